//! Which package managers a project has, and how packages are added with them. Runs nothing; what
//! could be an option, a path or an address is no package for it.

use super::command::quoted as quote;
use super::ecosystem::{Tree, node_manager};
pub use super::versions::{Conflict, conflicts};

/// A package manager of a project and its commands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Manager {
    /// python, node, rust, go, ruby or php: the key under `dependencies.install`.
    pub ecosystem: &'static str,
    /// The program, which must be on PATH.
    pub program: &'static str,
    /// Adds runtime dependencies; `{packages}` stands for the quoted packages.
    pub add: &'static str,
    /// Adds development dependencies.
    pub add_dev: &'static str,
    /// The file to which the engine must add the requirements itself, because the program installs
    /// without writing them down. Empty mostly.
    pub record: &'static str,
}

const fn manager(
    ecosystem: &'static str,
    program: &'static str,
    add: &'static str,
    add_dev: &'static str,
) -> Manager {
    Manager { ecosystem, program, add, add_dev, record: "" }
}

const UV: Manager = manager("python", "uv", "uv add -- {packages}", "uv add --dev -- {packages}");
const POETRY: Manager =
    manager("python", "poetry", "poetry add -- {packages}", "poetry add --group dev -- {packages}");
const PIPENV: Manager =
    manager("python", "pipenv", "pipenv install {packages}", "pipenv install --dev {packages}");
const PIP: Manager = Manager {
    ecosystem: "python",
    program: "python3",
    add: "python3 -m pip install -- {packages}",
    add_dev: "python3 -m pip install -- {packages}",
    record: "requirements.txt",
};
const NPM: Manager = manager(
    "node",
    "npm",
    "npm install --save -- {packages}",
    "npm install --save-dev -- {packages}",
);
const PNPM: Manager =
    manager("node", "pnpm", "pnpm add {packages}", "pnpm add --save-dev {packages}");
const YARN: Manager = manager("node", "yarn", "yarn add {packages}", "yarn add --dev {packages}");
const BUN: Manager = manager("node", "bun", "bun add {packages}", "bun add --dev {packages}");
const CARGO: Manager =
    manager("rust", "cargo", "cargo add -- {packages}", "cargo add --dev -- {packages}");
const GO: Manager = manager("go", "go", "go get {packages}", "go get {packages}");
const BUNDLE: Manager =
    manager("ruby", "bundle", "bundle add {packages}", "bundle add --group development {packages}");
const COMPOSER: Manager = manager(
    "php",
    "composer",
    "composer require -- {packages}",
    "composer require --dev -- {packages}",
);

/// The managers of a project, one for each ecosystem, by lockfile, then by manifest.
pub fn detect(tree: &Tree) -> Vec<Manager> {
    let mut found = Vec::new();
    let has = |name: &str| tree.has(name);
    let project = tree.text("pyproject.toml");
    if has("uv.lock") {
        found.push(UV);
    } else if has("poetry.lock") || project.contains("[tool.poetry]") {
        found.push(POETRY);
    } else if has("Pipfile.lock") || has("Pipfile") {
        found.push(PIPENV);
    } else if project.contains("[tool.uv]") {
        found.push(UV);
    } else if has("requirements.txt") {
        found.push(PIP);
    } else if project.contains("[project]") {
        // Of those that write into pyproject.toml, uv needs no set-up.
        found.push(UV);
    }
    if has("package.json") {
        found.push(match node_manager(tree) {
            "pnpm" => PNPM,
            "yarn" => YARN,
            "bun" => BUN,
            _ => NPM,
        });
    }
    let rest =
        [("Cargo.toml", CARGO), ("go.mod", GO), ("Gemfile", BUNDLE), ("composer.json", COMPOSER)];
    found.extend(rest.into_iter().filter(|(marker, _)| has(marker)).map(|(_, m)| m));
    found
}

/// How a requirement is written, which tells the rules for its versions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// Only a name.
    Bare,
    /// `pyjwt>=2`: Python and Ruby.
    Operator,
    /// `express@^4`, `serde@1`: npm and cargo.
    At,
    /// `github.com/x/y@v1.2.3`: Go, where the highest of all requests is taken.
    Go,
    /// `vendor/package:^1`: Composer.
    Colon,
}

/// One requested package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Requirement {
    /// As written, with extras in brackets if there are any.
    pub name: String,
    /// As written, without `@` or `:`; empty for any version.
    pub constraint: String,
    /// How it was written.
    pub style: Style,
}

impl Requirement {
    /// The name under which packages are the same: for Python by PEP 503, without extras.
    pub fn key(&self) -> String {
        let name = self.name.split('[').next().unwrap_or("").trim();
        match self.style {
            Style::Bare | Style::At | Style::Go => name.to_owned(),
            Style::Colon => name.to_ascii_lowercase(),
            Style::Operator => {
                let lower = name.to_ascii_lowercase();
                let parts = lower.split(['-', '_', '.']).filter(|p| !p.is_empty());
                parts.collect::<Vec<_>>().join("-")
            }
        }
    }

    /// As the package managers of its style want it, in one word before quoting.
    pub fn spec(&self) -> String {
        match self.style {
            Style::Bare | Style::Operator => format!("{}{}", self.name, self.constraint),
            Style::At | Style::Go => format!("{}@{}", self.name, self.constraint),
            Style::Colon => format!("{}:{}", self.name, self.constraint),
        }
    }
}

/// Reads `pyjwt>=2`, `express@^4`, `@scope/x@1`, `serde@1`, `github.com/x/y@v1.2.3`,
/// `vendor/package:^1` or a bare name. `None` for whatever could be an option, a path, an address
/// or a command: those are not installed on a worker's word.
pub fn parse_requirement(text: &str) -> Option<Requirement> {
    let text = text.trim();
    if text.is_empty() || text.len() > 200 {
        return None;
    }
    // The scope's own `@` is no separator.
    let from = usize::from(text.starts_with('@'));
    let signs = ['=', '<', '>', '~', '!', '^', '@', ':'];
    let at = text.get(from..)?.find(signs).map_or(text.len(), |at| at + from);
    let (name, rest) = (text.get(..at)?.trim_end(), text.get(at..)?);
    let (style, constraint) = match rest.chars().next() {
        None => (Style::Bare, ""),
        Some('@') => {
            let host = name.split('/').next().unwrap_or("");
            let is_go = host.contains('.') && name.contains('/');
            (if is_go { Style::Go } else { Style::At }, rest.get(1..)?.trim())
        }
        Some(':') => (Style::Colon, rest.get(1..)?.trim()),
        Some(_) => (Style::Operator, rest.trim()),
    };
    if !is_name(name) || (style != Style::Bare && !is_constraint(constraint)) {
        return None;
    }
    if style == Style::Colon && name.split('/').count() != 2 {
        return None;
    }
    Some(Requirement { name: name.to_owned(), constraint: constraint.to_owned(), style })
}

fn is_name(name: &str) -> bool {
    let (base, extras) = match name.split_once('[') {
        Some((base, extras)) => match extras.strip_suffix(']') {
            Some(extras) => (base.trim_end(), extras),
            None => return false,
        },
        None => (name, ""),
    };
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    let part = |p: &str| {
        p.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_')
            && p.chars().all(|c| plain(c) || c == '~')
            && !p.contains("..")
    };
    let scoped = base.strip_prefix('@');
    if scoped.is_some_and(|s| s.split('/').count() != 2) {
        return false;
    }
    scoped.unwrap_or(base).split('/').all(part)
        && !is_archive(base)
        && extras.chars().all(|c| plain(c) || matches!(c, ',' | ' '))
}

fn is_constraint(text: &str) -> bool {
    // Without `/` and `:` there is neither a path nor an address in it.
    let allowed = |c: char| c.is_ascii_alphanumeric() || "._+-*^~<>=!,| ".contains(c);
    let says = |c: char| c.is_ascii_alphanumeric() || c == '*';
    text.contains(says)
        && !text.starts_with('-')
        && text.chars().all(allowed)
        && !text.contains("..")
        && !is_archive(text)
}

/// Package managers take a name that ends so for a file beside them.
fn is_archive(text: &str) -> bool {
    let lower = text.to_ascii_lowercase();
    [".tgz", ".gz", ".tar", ".whl", ".zip", ".gem", ".phar"].iter().any(|end| lower.ends_with(end))
}

/// A name with a slash is a repository on GitHub for npm, a path for uv and cargo.
fn name_fits(ecosystem: &str, name: &str) -> bool {
    match ecosystem {
        "node" => name.starts_with('@') || !name.contains('/'),
        "go" => !name.starts_with('@'),
        "php" => name.contains('/') && !name.starts_with('@'),
        _ => !name.contains('/'),
    }
}

/// The commands that add these packages, to be run in order in the project's root; each package
/// is one quoted word. Those that the manager could not understand are left out and returned
/// second.
pub fn install<'a>(
    manager: &Manager,
    requirements: &'a [Requirement],
    dev: bool,
) -> (Vec<String>, Vec<&'a Requirement>) {
    let template = if dev { manager.add_dev } else { manager.add };
    let written = |r: &Requirement| match r.style {
        Style::Bare => true,
        Style::Operator => matches!(manager.ecosystem, "python" | "ruby"),
        Style::At => matches!(manager.ecosystem, "node" | "rust" | "go"),
        Style::Go => manager.ecosystem == "go",
        Style::Colon => manager.ecosystem == "php",
    };
    let fits = |r: &&Requirement| written(r) && name_fits(manager.ecosystem, &r.name);
    let (good, bad): (Vec<_>, Vec<_>) = requirements.iter().partition(fits);
    if good.is_empty() {
        return (Vec::new(), bad);
    }
    let fill = |words: &str| template.split("{packages}").collect::<Vec<_>>().join(words);
    if manager.ecosystem == "ruby" {
        // Bundler takes one gem with its versions at a time.
        let one = |r: &&Requirement| {
            let version = if r.constraint.is_empty() {
                String::new()
            } else {
                format!(" --version {}", quote(&r.constraint))
            };
            fill(&format!("{}{version}", quote(&r.name)))
        };
        return (good.iter().map(one).collect(), bad);
    }
    let words: Vec<String> = good.iter().map(|r| quote(&r.spec())).collect();
    (vec![fill(&words.join(" "))], bad)
}

/// Modules of Python whose package has another name.
const PACKAGES: [(&str, &str); 16] = [
    ("yaml", "pyyaml"),
    ("cv2", "opencv-python"),
    ("PIL", "pillow"),
    ("sklearn", "scikit-learn"),
    ("jwt", "pyjwt"),
    ("dotenv", "python-dotenv"),
    ("bs4", "beautifulsoup4"),
    ("dateutil", "python-dateutil"),
    ("Crypto", "pycryptodome"),
    ("magic", "python-magic"),
    ("serial", "pyserial"),
    ("git", "gitpython"),
    ("jose", "python-jose"),
    ("multipart", "python-multipart"),
    ("MySQLdb", "mysqlclient"),
    ("psycopg2", "psycopg2-binary"),
];

/// The package that a missing module belongs to, as far as that is known; else its own name.
pub fn package_of_module(module: &str) -> &str {
    PACKAGES.iter().find(|(name, _)| *name == module).map_or(module, |(_, package)| *package)
}

/// Whether a name from the configuration is that of the package `name`.
pub fn same_package(allowed: &str, name: &str) -> bool {
    let plain = |text: &str| text.to_ascii_lowercase().replace(['_', '.'], "-");
    parse_requirement(allowed).is_some_and(|r| plain(&r.name) == plain(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn managers(names: &[(&str, &str)]) -> Vec<&'static str> {
        let paths: Vec<String> = names.iter().map(|(n, _)| (*n).to_owned()).collect();
        let read =
            |path: &str| names.iter().find(|(n, _)| *n == path).map(|(_, t)| (*t).to_owned());
        detect(&Tree { files: &read, paths: &paths }).iter().map(|m| m.program).collect()
    }

    #[test]
    fn the_manager_is_told_by_the_lockfile_then_by_the_manifest() {
        assert_eq!(managers(&[("uv.lock", ""), ("requirements.txt", "")]), ["uv"]);
        assert_eq!(managers(&[("pyproject.toml", "[tool.poetry]")]), ["poetry"]);
        assert_eq!(managers(&[("requirements.txt", "")]), ["python3"]);
        assert_eq!(managers(&[("package.json", "{}"), ("yarn.lock", "")]), ["yarn"]);
        let all = [("Cargo.toml", ""), ("go.mod", ""), ("Gemfile", ""), ("composer.json", "")];
        assert_eq!(managers(&all), ["cargo", "go", "bundle", "composer"]);
        assert_eq!(managers(&[("README.md", "")]), Vec::<&str>::new());
    }

    #[test]
    fn requirements_of_all_ecosystems_are_read() {
        for (text, name, constraint, style) in [
            ("pyjwt>=2", "pyjwt", ">=2", Style::Operator),
            ("pyjwt >= 2, <3", "pyjwt", ">= 2, <3", Style::Operator),
            ("uvicorn[standard]==0.30.*", "uvicorn[standard]", "==0.30.*", Style::Operator),
            ("express@^4", "express", "^4", Style::At),
            ("@types/node@~20.1", "@types/node", "~20.1", Style::At),
            ("@types/node", "@types/node", "", Style::Bare),
            ("react@latest", "react", "latest", Style::At),
            ("serde@1", "serde", "1", Style::At),
            ("github.com/x/y@v1.2.3", "github.com/x/y", "v1.2.3", Style::Go),
            ("vendor/pkg:^1.0", "vendor/pkg", "^1.0", Style::Colon),
            ("requests", "requests", "", Style::Bare),
            ("rack~>2.1", "rack", "~>2.1", Style::Operator),
        ] {
            let expected =
                Requirement { name: name.to_owned(), constraint: constraint.to_owned(), style };
            assert_eq!(parse_requirement(text), Some(expected), "{text}");
        }
    }

    #[test]
    fn what_is_no_package_is_refused() {
        for text in [
            "",
            " ",
            "--index-url=http://evil",
            "-e .",
            "-r/etc/passwd",
            "../evil",
            "./evil",
            "/etc",
            "a/../b",
            "x; rm -rf /",
            "x$(id)",
            "x`id`",
            "x'y",
            "x\ny",
            "x y",
            "x@file:../y",
            "x@npm:evil@1",
            "x@git+https://evil/y",
            "x @ https://evil/y.whl",
            "git+https://evil/y",
            "x>=1; python_version<'3'",
            "x@--flag",
            "@scope",
            "@/x",
            "x[",
            "x[a",
            "x>=",
            "x@",
            "é>=1",
            "x:1",
            "x>=1/../2",
            "x>=1\0",
            "x.tgz",
            "x@y.TGZ",
            "x.whl",
        ] {
            let read = parse_requirement(text);
            assert!(read.is_none(), "{text:?} is {read:?}");
        }
        assert_eq!(parse_requirement(&"x".repeat(201)), None);
    }

    #[test]
    fn packages_reach_the_command_as_one_word_each() {
        let read = |t: &str| parse_requirement(t).unwrap();
        let python = [read("pyjwt>=2,<3"), read("httpx")];
        let (commands, left) = install(&UV, &python, false);
        assert_eq!(commands, ["uv add -- 'pyjwt>=2,<3' 'httpx'"]);
        assert!(left.is_empty());
        let node = [read("express@^4"), read("pyjwt>=2")];
        let (commands, left) = install(&NPM, &node, true);
        assert_eq!(commands, ["npm install --save-dev -- 'express@^4'"]);
        assert_eq!(left, [&node[1]]);
        let ruby = [read("rack~>2.1"), read("rake")];
        let (commands, _) = install(&BUNDLE, &ruby, false);
        assert_eq!(commands, ["bundle add 'rack' --version '~>2.1'", "bundle add 'rake'"]);
        assert_eq!(install(&CARGO, &[], false).0, Vec::<String>::new());
        // npm would take it from GitHub, uv and cargo from a directory.
        for manager in [NPM, UV, CARGO] {
            assert_eq!(install(&manager, &[read("user/repo")], false).0, Vec::<String>::new());
        }
        let go = [read("github.com/x/y@v1.2.3")];
        assert_eq!(install(&GO, &go, false).0, ["go get 'github.com/x/y@v1.2.3'"]);
    }
}
