//! Which type checker judges a contract's language, and how its command line is made. Runs
//! nothing, knows no PATH.

/// One way to check the types of a language.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Candidate {
    /// The program that must be on PATH (or in `node_modules/.bin`) for it.
    pub probe: &'static str,
    /// A line for `sh -c` in the project's root; `{files}` stands for the quoted files.
    pub command: &'static str,
}

/// The type checkers of a language, the preferred one first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checker {
    /// python, typescript, rust or go: the key under `contracts.typecheck`.
    pub language: &'static str,
    /// The first whose probe is there is used; with none, preflight fails.
    pub candidates: &'static [Candidate],
}

/// Strict about what is said, not about what is left unsaid: old code and tests have no annotations.
/// Without `--explicit-package-bases` a file in a directory that is no package has two names for
/// mypy, its own and the one by which it is imported, and mypy checks nothing.
const PYTHON: [Candidate; 2] = [
    Candidate {
        probe: "mypy",
        command: "mypy --strict --allow-untyped-defs --allow-incomplete-defs \
                  --allow-untyped-calls --allow-any-generics --allow-untyped-decorators \
                  --disable-error-code=import-untyped --disable-error-code=import-not-found \
                  --follow-imports=silent --no-error-summary --explicit-package-bases {files}",
    },
    Candidate { probe: "pyright", command: "pyright {files}" },
];

const NODE_PATH: &str = "PATH=\"$PWD/node_modules/.bin:$PATH\" ";

const TYPESCRIPT_PROJECT: [Candidate; 1] = [Candidate {
    probe: "tsc",
    command: "PATH=\"$PWD/node_modules/.bin:$PATH\" tsc --noEmit -p tsconfig.json",
}];

/// A "solution" file checks nothing by itself: only build mode follows its references.
const TYPESCRIPT_SOLUTION: [Candidate; 1] =
    [Candidate { probe: "tsc", command: "PATH=\"$PWD/node_modules/.bin:$PATH\" tsc -b --noEmit" }];

const TYPESCRIPT_FILES: [Candidate; 1] = [Candidate {
    probe: "tsc",
    command: "PATH=\"$PWD/node_modules/.bin:$PATH\" tsc --noEmit --strict --skipLibCheck \
              --target es2022 --module esnext --moduleResolution bundler {files}",
}];

const RUST: [Candidate; 1] =
    [Candidate { probe: "cargo", command: "cargo check --quiet --all-targets" }];

const GO: [Candidate; 1] = [Candidate { probe: "go", command: "go vet ./..." }];

/// The type checker for a contract at this path; `None` for a language that has none here.
/// `tsconfig` is the text of the `tsconfig.json` in the project's root, `None` when there is none.
pub fn typechecker(path: &str, tsconfig: Option<&str>) -> Option<Checker> {
    let (_, extension) = path.rsplit('/').next().unwrap_or(path).rsplit_once('.')?;
    let typescript: &'static [Candidate] = match tsconfig {
        None => &TYPESCRIPT_FILES,
        Some(text) if text.contains("\"references\"") => &TYPESCRIPT_SOLUTION,
        Some(_) => &TYPESCRIPT_PROJECT,
    };
    let (language, candidates): (&'static str, &'static [Candidate]) = match extension {
        "py" | "pyi" => ("python", &PYTHON),
        "ts" | "tsx" | "mts" | "cts" => ("typescript", typescript),
        "rs" => ("rust", &RUST),
        "go" => ("go", &GO),
        _ => return None,
    };
    Some(Checker { language, candidates })
}

/// The command line of a candidate, or of a configured command, for these files, each quoted for
/// the shell. A template without `{files}` gets no files.
pub fn command(template: &str, files: &[String]) -> String {
    let quoted = super::command::quoted_paths(files);
    // Split, not replaced: a file that is called `{files}` is a file.
    template.split("{files}").collect::<Vec<_>>().join(&quoted)
}

/// The command that checks a generated conformance file of Python with `probe`, mypy or pyright.
/// The repository's own configuration of mypy is left out: it could turn off the errors that are
/// looked for.
pub fn conformance_command_python(probe: &str, file: &str) -> String {
    let mypy = "mypy --config-file= --disable-error-code=import-untyped --follow-imports=silent --no-error-summary \
                --explicit-package-bases --no-incremental {files}";
    let template = if probe == "pyright" { "pyright {files}" } else { mypy };
    command(template, &[file.to_owned()])
}

/// The command that checks a generated conformance file of TypeScript through the `tsconfig` that
/// `conformance_tsconfig` made.
pub fn conformance_command_typescript(tsconfig: &str) -> String {
    let tsc = format!("{NODE_PATH}tsc --noEmit --pretty false -p {{files}}");
    command(&tsc, &[tsconfig.to_owned()])
}

/// A configuration that checks only the conformance file `file` (seen from the configuration:
/// `./x.mts`), with the project's options when it has a configuration (`base`: `./tsconfig.json`).
/// The file must end with `.mts`: only such a module may import from both kinds of modules.
pub fn conformance_tsconfig(base: Option<&str>, file: &str) -> String {
    // A null takes back what the project says. Its `strict` stays as it is, because null would be
    // another type; but parameters are compared as strictly as can be.
    let mut options = serde_json::json!({
        "noEmit": true, "composite": false, "incremental": false, "tsBuildInfoFile": null,
        "rootDir": null, "declaration": false, "declarationMap": false,
        "emitDeclarationOnly": false, "isolatedDeclarations": false, "isolatedModules": false,
        "verbatimModuleSyntax": false, "skipLibCheck": true, "noUnusedLocals": false,
        "strictFunctionTypes": true,
    });
    if let (Some(object), None) = (options.as_object_mut(), base) {
        for (name, value) in
            [("target", "es2022"), ("module", "esnext"), ("moduleResolution", "bundler")]
        {
            object.insert(name.to_owned(), value.into());
        }
        object.insert("strict".to_owned(), true.into());
    }
    let mut whole = serde_json::json!({
        "files": [file], "include": [], "references": [], "compilerOptions": options,
    });
    if let (Some(object), Some(base)) = (whole.as_object_mut(), base) {
        object.insert("extends".to_owned(), base.into());
    }
    format!("{whole}\n")
}

/// What a checker's run over a conformance file says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Conformance {
    /// Every class fits its contract.
    Fits,
    /// The checker's lines about the classes that do not, at most 40.
    Broken(Vec<String>),
    /// Nothing was compared, with the checker's first words about why: no success.
    NotChecked(String),
}

/// Signs that a class could not be imported, which says nothing about it.
const UNREAD: [&str; 5] =
    ["[import-not-found]", "[import-untyped]", "error TS2307", "error TS6059", "error TS2709"];

/// Judges the run of a conformance command by what it printed on both of its streams. `text` is the
/// conformance file, `file` its name, which no file of the repository may have.
/// The last line of such a file is wrong on purpose: a checker
/// that does not complain of it did not look, because of its options or of a syntax error
/// somewhere. What else is wrong elsewhere in the project is not the contract's business.
pub fn conformance(text: &str, output: &str, file: &str) -> Conformance {
    let last = text.lines().count();
    let about = lines_about(output, file);
    let looked = about.iter().any(|(line, _)| *line == last);
    let errors: Vec<String> =
        about.into_iter().filter(|(line, _)| *line != last).map(|(_, words)| words).collect();
    let real = |l: &String| l.contains("error") && !UNREAD.iter().any(|sign| l.contains(sign));
    if errors.iter().any(real) {
        return Conformance::Broken(errors.into_iter().take(40).collect());
    }
    let first = errors.iter().map(String::as_str).chain(output.lines());
    let first = first.filter(|l| !l.trim().is_empty()).find(|l| l.contains("error"));
    match first {
        _ if looked && errors.is_empty() => Conformance::Fits,
        Some(line) => Conformance::NotChecked(line.chars().take(400).collect()),
        None => Conformance::NotChecked("the type checker said nothing".to_owned()),
    }
}

/// The lines of an output about one file, each with the line number in that file; the indented
/// lines below one, in which tsc and pyright tell the reasons, have the same number.
fn lines_about(output: &str, file: &str) -> Vec<(usize, String)> {
    let name = file.rsplit('/').next().unwrap_or(file);
    let number = |line: &str| -> Option<usize> {
        let at = line.find(name)?;
        let before = line.get(..at)?.trim_start();
        let after = line.get(at + name.len()..)?.strip_prefix([':', '('])?;
        let digits = after.find(|c: char| !c.is_ascii_digit()).unwrap_or(after.len());
        let own = before.is_empty() || before.ends_with('/');
        own.then(|| after.get(..digits)?.parse().ok()).flatten()
    };
    let mut found = Vec::new();
    let mut inside = None;
    for line in output.lines() {
        inside = number(line).or(inside.filter(|_| line.starts_with(' ')));
        if let Some(at) = inside {
            found.push((at, line.chars().take(400).collect()));
        }
    }
    found
}

/// The module name of a Python file: `src/services/auth.py` is `src.services.auth`, or
/// `services.auth` when `root` is `src` (a layout in which `src` is put on the path and is no
/// package). `None` when a part is no identifier.
pub fn python_module(path: &str, root: &str) -> Option<String> {
    let inside = if root.is_empty() {
        path
    } else {
        path.strip_prefix(root).and_then(|p| p.strip_prefix('/')).unwrap_or(path)
    };
    let stem = inside.strip_suffix(".py").or_else(|| inside.strip_suffix(".pyi"))?;
    let stem = stem.strip_suffix("/__init__").unwrap_or(stem);
    let module = stem.split('/').collect::<Vec<_>>().join(".");
    super::conform_python::is_module(&module).then_some(module)
}

/// The import specifier of a TypeScript file, seen from the directory `up` (`.` for the root,
/// `../..` for two below it). With the extension of what it compiles to, which every kind of
/// module resolution understands. `None` for a declaration file or an odd path.
pub fn typescript_module(path: &str, up: &str) -> Option<String> {
    if path.ends_with(".d.ts") {
        return None;
    }
    let (stem, extension) = path.rsplit_once('.')?;
    let compiled = match extension {
        "ts" | "tsx" => "js",
        "mts" => "mjs",
        "cts" => "cjs",
        _ => return None,
    };
    let module = format!("{up}/{stem}.{compiled}");
    super::conform_typescript::is_specifier(&module).then_some(module)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checker_follows_from_the_contract_s_file_name() {
        let of = |path: &str| typechecker(path, None).map(|c| (c.language, c.candidates[0].probe));
        assert_eq!(of("contracts/auth.py"), Some(("python", "mypy")));
        assert_eq!(of("contracts/auth.pyi"), Some(("python", "mypy")));
        assert_eq!(of("a.tsx"), Some(("typescript", "tsc")));
        assert_eq!(of("a.rs"), Some(("rust", "cargo")));
        assert_eq!(of("a.go"), Some(("go", "go")));
        assert_eq!(of("a.md"), None);
        assert_eq!(of("a.py/x"), None);
    }

    #[test]
    fn a_solution_file_is_checked_in_build_mode() {
        let first = |t: Option<&str>| typechecker("a.ts", t).unwrap().candidates[0].command;
        assert!(first(None).contains("{files}"));
        assert!(first(Some("{}")).ends_with("tsc --noEmit -p tsconfig.json"));
        assert!(first(Some(r#"{"files":[],"references":[]}"#)).ends_with("tsc -b --noEmit"));
    }

    #[test]
    fn files_are_one_word_each_and_never_placeholders() {
        let files = ["a b.py".to_owned(), "-x.py".to_owned(), "{files}'".to_owned()];
        assert_eq!(command("mypy {files}", &files), "mypy 'a b.py' './-x.py' '{files}'\\'''");
        assert_eq!(command("go vet ./...", &files), "go vet ./...");
    }

    #[test]
    fn modules_are_only_what_may_be_imported() {
        let of = |path: &str, root: &str| python_module(path, root);
        assert_eq!(of("src/auth.py", "").as_deref(), Some("src.auth"));
        assert_eq!(of("src/pkg/auth.py", "src").as_deref(), Some("pkg.auth"));
        assert_eq!(of("pkg/__init__.py", "").as_deref(), Some("pkg"));
        for path in ["a-b.py", "a/../b.py", "x/class.py", "1.py", "a;b.py", ".py", "a.txt"] {
            assert_eq!(of(path, ""), None, "{path}");
        }
        let of = |path: &str| typescript_module(path, ".");
        assert_eq!(of("src/auth.ts").as_deref(), Some("./src/auth.js"));
        assert_eq!(of("app/[id]/page.tsx").as_deref(), Some("./app/[id]/page.js"));
        assert_eq!(typescript_module("a.mts", "../..").as_deref(), Some("../../a.mjs"));
        for path in ["a\".ts", "a b.ts", "a\n.ts", "x.d.ts", "a//b.ts", "a.js"] {
            assert_eq!(of(path), None, "{path}");
        }
    }

    const FILE: &str = "line 1\nline 2\ndef looked() -> str:\n    return 0\n";

    #[test]
    fn only_a_checker_that_saw_the_last_line_has_looked() {
        let last = "x/conf.py:4: error: Incompatible return value type (got \"int\")";
        assert_eq!(conformance(FILE, last, "conf.py"), Conformance::Fits);
        let other = format!("src/a.py:1: error: no\n{last}\nsrc/b.py:2: error: no\n");
        assert_eq!(conformance(FILE, &other, "conf.py"), Conformance::Fits);
        for none in ["", "Success: no issues found", "a.py:3: error: syntax", "xconf.py:4: error"] {
            let said = conformance(FILE, none, "conf.py");
            assert!(matches!(said, Conformance::NotChecked(_)), "{none}");
        }
    }

    #[test]
    fn what_is_said_about_the_other_lines_breaks_the_contract() {
        let text = "conf.mts(2,5): error TS2322: Type 'A' is not assignable.\n  Types of property\n\
                    src/x.ts(1,1): error TS1: no\n  more\nconf.mts(4,1): error TS2322: Type\n";
        let expected =
            ["conf.mts(2,5): error TS2322: Type 'A' is not assignable.", "  Types of property"];
        let expected = expected.map(str::to_owned).to_vec();
        assert_eq!(conformance(FILE, text, "conf.mts"), Conformance::Broken(expected));
    }

    #[test]
    fn a_class_that_could_not_be_imported_was_not_compared() {
        let text = "c.py:2: error: Cannot find implementation [import-not-found]\nc.py:4: error: x";
        let said = conformance(FILE, text, "c.py");
        assert!(matches!(said, Conformance::NotChecked(l) if l.contains("import-not-found")));
    }

    #[test]
    fn the_generated_configuration_is_json_and_extends_the_project_s() {
        let value: serde_json::Value =
            serde_json::from_str(&conformance_tsconfig(Some("./tsconfig.json"), "./c.mts"))
                .unwrap();
        assert_eq!(value["extends"], "./tsconfig.json");
        assert_eq!(value["files"][0], "./c.mts");
        assert!(value["compilerOptions"].get("strict").is_none());
        let own: serde_json::Value =
            serde_json::from_str(&conformance_tsconfig(None, "./c.mts")).unwrap();
        assert_eq!(own["compilerOptions"]["strict"], true);
    }
}
