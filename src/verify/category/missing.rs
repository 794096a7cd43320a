//! From output to the module that could not be found, and whether it is a package or the project's
//! own. Knows no package registry: whether a name is the project's shows in the output alone.

/// The longest package name that a registry takes (npm's limit), in bytes.
const NAME_BYTES: usize = 214;

/// How many lines below a compiler's error still belong to it.
const ERROR_LINES: usize = 12;

/// So many lines about missing modules are judged: each may be compared with all others.
const JUDGED_LINES: usize = 32;

/// Names by which projects call their own directories. Packages of these names exist in registries,
/// and none is what the author of the import meant.
const OWN_NAMES: [&str; 23] = [
    "api",
    "app",
    "backend",
    "common",
    "conftest",
    "core",
    "helpers",
    "lib",
    "main",
    "models",
    "routes",
    "schemas",
    "server",
    "services",
    "settings",
    "spec_helper",
    "src",
    "test",
    "test_helper",
    "tests",
    "util",
    "utils",
    "rails_helper",
];

/// What could not be found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Missing {
    /// A package that is not installed; its name when the output says a sane one.
    Package(Option<String>),
    /// A module, file or package of the project itself.
    Own,
}

/// Reads one line, together with the whole output, for a module that could not be found.
type Reader = fn(&str, &Output) -> Option<Missing>;

const READERS: [Reader; 6] = [python, node, rust, go, ruby_or_php, java];

/// The output, line by line, with what is asked of it more than once.
struct Output<'a> {
    text: &'a str,
    lines: Vec<&'a str>,
    /// The line that is being read.
    at: usize,
}

/// The first package that `output` says is missing; else whether it misses a module of its own.
pub fn find(output: &str) -> Option<Missing> {
    let mut seen = Output { text: output, lines: output.lines().collect(), at: 0 };
    let (mut unnamed, mut own, mut judged) = (false, false, 0);
    for at in 0..seen.lines.len() {
        seen.at = at;
        let line = seen.lines.get(at).copied().unwrap_or_default().trim();
        let missing = READERS.iter().find_map(|reader| reader(line, &seen));
        judged += usize::from(missing.is_some());
        if judged > JUDGED_LINES {
            break;
        }
        match missing {
            Some(Missing::Package(Some(name))) => return Some(Missing::Package(Some(name))),
            Some(Missing::Package(None)) => unnamed = true,
            Some(Missing::Own) => own = true,
            None => {}
        }
    }
    match (unnamed, own) {
        (true, _) => Some(Missing::Package(None)),
        (false, true) => Some(Missing::Own),
        (false, false) => None,
    }
}

fn python(line: &str, output: &Output) -> Option<Missing> {
    let stub = "Cannot find implementation or library stub for module named ";
    let metadata = "PackageNotFoundError: No package metadata was found for ";
    if let Some(name) = after(line, metadata) {
        return Some(package(name.trim()));
    }
    // A plugin's option is unknown as long as the plugin is not installed.
    if line.contains("pytest: error: unrecognized arguments:") && line.contains("--cov") {
        return Some(package("pytest-cov"));
    }
    // A module that is done without is warned of.
    if is_warning(line) {
        return None;
    }
    let plain = line.contains("ModuleNotFoundError") || line.contains("ImportError");
    let module = match (after(line, "No module named "), after(line, stub)) {
        (Some(rest), _) if plain || starts_quoted(rest) || line.contains("python") => rest,
        (_, Some(rest)) => rest,
        (Some(_) | None, None) => return None,
    };
    let name = quoted(module).or_else(|| module.split_ascii_whitespace().next())?;
    let top = name.split('.').next()?;
    let own = OWN_NAMES.contains(&top)
        || top == "config"
        || module.ends_with("is not a package")
        || name.starts_with('.')
        || output.has_python_file_of(top);
    Some(if own { Missing::Own } else { package(top) })
}

fn node(line: &str, _: &Output) -> Option<Missing> {
    // What `npm ci` says of a package that package.json names and the lockfile does not.
    let unlocked = after(line, " Missing: ").and_then(|rest| rest.strip_suffix(" from lock file"));
    if let Some((name, _version)) = unlocked.and_then(|spec| spec.rsplit_once('@')) {
        return Some(package(name));
    }
    let signs = [
        "Cannot find module ",
        "Cannot find package ",
        "Can't resolve ",
        "Could not resolve ",
        "Failed to resolve import ",
        "Failed to load url ",
        "Could not find a declaration file for module ",
    ];
    let rest = signs.iter().find_map(|sign| after(line, sign))?;
    let name = match quoted(rest) {
        Some(name) => name,
        // Vite names the file without quotes.
        None if line.contains("Failed to load url ") => rest.split(' ').next()?,
        None => return None,
    };
    let climbs = name.split('/').skip(1).any(|part| part == "..") && !name.starts_with(['.', '/']);
    if climbs {
        return Some(Missing::Package(None));
    }
    if let Some((_, inside)) = name.rsplit_once("/node_modules/") {
        return Some(package(npm_name(inside)));
    }
    let top = name.split('/').next()?;
    // `@/`, `~` and `#` are the usual aliases of a project's own directories.
    let own = name.starts_with(['.', '/', '~', '#', '\\'])
        || name.starts_with("@/")
        || name.get(1..2) == Some(":")
        || OWN_NAMES.contains(&top);
    // A built-in that this Node does not have is the machine's matter.
    if name.starts_with("node:") {
        return None;
    }
    Some(if own { Missing::Own } else { package(npm_name(name)) })
}

/// `@scope/name/file` is `@scope/name`, `name/file` is `name`.
fn npm_name(path: &str) -> &str {
    let parts = if path.starts_with('@') { 2 } else { 1 };
    let end = path.match_indices('/').nth(parts - 1).map(|(at, _)| at);
    end.and_then(|at| path.get(..at)).unwrap_or(path)
}

fn rust(line: &str, output: &Output) -> Option<Missing> {
    let ticked = |sign: &str| after(line, sign).and_then(quoted);
    if let Some(name) = ticked("no matching package named ") {
        return Some(package(name));
    }
    if line.contains("because --locked was passed") {
        return Some(Missing::Package(None));
    }
    if line.contains("error[E0583]") {
        return Some(Missing::Own);
    }
    if !line.contains("error[E04") && !line.contains("error: cannot find") {
        return None;
    }
    let block = output.error_block();
    let says = |words: &[&str]| block.iter().any(|l| words.iter().any(|word| l.contains(word)));
    // A file of that name is there, or the target itself: neither is a package to install.
    if says(&["to make use of source file"]) {
        return Some(Missing::Own);
    }
    if let Some(name) = ticked("can't find crate for ") {
        let target = ["std", "core", "alloc", "test"].contains(&name);
        return (!target).then(|| package(name));
    }
    let unlinked = [
        "unlinked crate ",
        "undeclared crate or module ",
        "maybe a missing crate ",
        "cannot find module or crate ",
        "no external crate ",
    ];
    let from_block = block.iter().find_map(|l| {
        unlinked.iter().find_map(|sign| after(l, sign).and_then(quoted)).map(crate_of)
    });
    let Some(path) = ticked("unresolved import ").or_else(|| ticked("unresolved imports ")) else {
        return from_block;
    };
    let first = path.split("::").find(|part| !part.is_empty())?;
    if ["crate", "self", "super", "std", "core", "alloc"].contains(&first) {
        return Some(Missing::Own);
    }
    if from_block.is_some() {
        return from_block;
    }
    // The crate is there, what is asked of it is not.
    let lacks = says(&["no `", "could not find `"]);
    Some(if lacks { Missing::Own } else { crate_of(first) })
}

fn crate_of(name: &str) -> Missing {
    if OWN_NAMES.contains(&name) { Missing::Own } else { package(name) }
}

fn go(line: &str, output: &Output) -> Option<Missing> {
    let signs = [
        "no required module provides package ",
        "cannot find module providing package ",
        "missing go.sum entry for module providing package ",
    ];
    let own = |path: &str| {
        let root = path.splitn(4, '/').take(3).collect::<Vec<_>>().join("/");
        let mentions = |l: &&str| {
            let named = after(l, "# ").or_else(|| after(l, "FAIL\t")).unwrap_or_default();
            let named = named.split_ascii_whitespace().next().unwrap_or_default();
            !root.is_empty() && (named == root || named.starts_with(&format!("{root}/")))
        };
        output.lines.iter().any(mentions)
    };
    if let Some(rest) = signs.iter().find_map(|sign| after(line, sign)) {
        let path = rest.split([' ', ';', ':', '(']).next()?;
        return Some(if own(path) { Missing::Own } else { package(path) });
    }
    // Only a path whose first part has a dot can come from elsewhere.
    let (_, path) = line.split_once(": package ")?;
    let (path, rest) = path.split_once(' ')?;
    let nowhere = rest.starts_with("is not in GOROOT") || rest.starts_with("is not in std");
    nowhere.then_some(Missing::Own).filter(|_| !path.is_empty())
}

fn ruby_or_php(line: &str, output: &Output) -> Option<Missing> {
    if line.contains("vendor/autoload.php") && line.contains("ailed to open") {
        return Some(Missing::Package(None));
    }
    if line.contains("vendor/autoload.php") && line.contains("Failed opening required") {
        return Some(Missing::Package(None));
    }
    if let Some(rest) = after(line, "Could not find gem ") {
        let name = quoted(rest)?;
        return Some(package(name.split(' ').next().unwrap_or(name)));
    }
    if line.contains("in locally installed gems") && line.contains("Could not find ") {
        return Some(Missing::Package(None));
    }
    let rest = after(line, "cannot load such file -- ")?;
    let path = rest.split([' ', '(']).next()?;
    let top = path.split('/').next()?;
    let own = path.starts_with(['/', '.', '~'])
        || OWN_NAMES.contains(&top)
        || (!top.is_empty() && output.text.contains(&format!("lib/{top}.rb")));
    Some(if own { Missing::Own } else { package(top) })
}

fn java(line: &str, output: &Output) -> Option<Missing> {
    let unresolved = ["has not been downloaded from it before", "No cached version of "];
    if unresolved.iter().any(|sign| line.contains(sign))
        || line.starts_with("Could not resolve all ")
        || line.contains("Could not find artifact ")
    {
        return Some(Missing::Package(None));
    }
    let absent = ["NoClassDefFoundError: ", "Caused by: java.lang.ClassNotFoundException: "];
    let name = match line.strip_suffix(" does not exist").and_then(|l| l.rsplit_once("package ")) {
        Some((_, name)) => name.to_owned(),
        None => {
            let class = absent.iter().find_map(|sign| after(line, sign))?;
            class.split_ascii_whitespace().next()?.replace('/', ".")
        }
    };
    // Two parts of a package's name are the owner's domain: what shares them is the owner's code.
    let mut parts = name.split('.');
    let (first, second) = (parts.next()?, parts.next().unwrap_or_default());
    let (as_path, as_frame) = (format!("/{first}/{second}/"), format!("at {first}.{second}."));
    // Frames of the runner are in every trace.
    let runners = ["junit", "apache", "gradle", "testng"];
    let framed = !runners.contains(&second) && output.text.contains(&as_frame);
    let own = second.is_empty()
        || framed
        || output.lines.iter().any(|l| l.contains(&as_path) && l.contains("/src/"));
    Some(if own { Missing::Own } else { package(&name) })
}

impl Output<'_> {
    /// The line that is being read and those below that belong to the same error.
    fn error_block(&self) -> Vec<&str> {
        let rest = self.lines.iter().skip(self.at).take(ERROR_LINES);
        let belongs = |(n, line): &(usize, &&str)| {
            *n == 0
                || !(line.trim().is_empty() || line.contains("error[") || line.contains("error:"))
        };
        rest.enumerate().take_while(belongs).map(|(_, line)| *line).collect()
    }

    /// Whether a path through `top` names a file of the project, not of an installed package.
    fn has_python_file_of(&self, top: &str) -> bool {
        if top.is_empty() {
            return false;
        }
        let installed = ["site-packages", "dist-packages", "/lib/python"];
        let (dir, file) = (format!("{top}/"), format!("{top}.py"));
        let names = |line: &str| {
            let mut words = line.split([' ', '"', '\'', ':', ',', '(', ')']);
            words.any(|word| {
                let below_tests = word.starts_with("tests/") || word.contains("/tests/");
                let through = word.starts_with(&dir) || word.contains(&format!("/{dir}"));
                let named = word == file || word.ends_with(&format!("/{file}"));
                word.ends_with(".py") && !below_tests && (through || named)
            })
        };
        let own = |line: &&&str| !installed.iter().any(|dir| line.contains(dir));
        self.lines.iter().filter(own).any(|line| names(line))
    }
}

/// The package `name`, when it is one that a registry could know.
fn package(name: &str) -> Missing {
    let sane = |c: char| c.is_ascii_alphanumeric() || "@/._-".contains(c);
    let fits = !name.is_empty()
        && name.len() <= NAME_BYTES
        && name.chars().all(sane)
        && name.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '@' || c == '_')
        && !name.split('/').any(|part| part.is_empty() || part == "." || part == "..");
    Missing::Package(fits.then(|| name.to_owned()))
}

/// What follows `sign` in `line`.
fn after<'a>(line: &'a str, sign: &str) -> Option<&'a str> {
    line.split_once(sign).map(|(_, rest)| rest)
}

/// Whether `line` warns of something that did not end the command.
pub fn is_warning(line: &str) -> bool {
    line.contains("warning") || line.contains("Warning:") || line.contains("WARN")
}

fn starts_quoted(text: &str) -> bool {
    text.starts_with(['\'', '"', '`'])
}

/// The text between the quotes with which `text` starts.
fn quoted(text: &str) -> Option<&str> {
    let quote = text.chars().next().filter(|c| ['\'', '"', '`'].contains(c))?;
    text.get(1..)?.split_once(quote).map(|(inside, _)| inside)
}
