//! The house rules that a compiler does not hold: who imports whom, who prints, who runs git, how long files are.
#![expect(clippy::unwrap_used, reason = "a test that fails may say so by a panic")]

use std::path::{Path, PathBuf};

/// For every room the rooms that it may name.
const MAY_IMPORT: [(&str, &[&str]); 11] = [
    ("types", &[]),
    ("fault", &[]),
    ("store", &["types", "fault"]),
    ("git", &["types", "fault"]),
    ("plan", &["types"]),
    ("verify", &["types", "plan"]),
    ("coordinate", &["types", "store"]),
    ("integrate", &["types", "git", "store"]),
    ("execute", &["types", "fault", "git", "store", "plan", "verify", "integrate", "coordinate"]),
    (
        "cli",
        &["types", "fault", "git", "store", "plan", "verify", "integrate", "coordinate", "execute"],
    ),
    ("lib", &[]),
];

fn sources() -> Vec<(PathBuf, String)> {
    fn walk(dir: &Path, out: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(dir).unwrap().flatten() {
            if entry.path().is_dir() {
                walk(&entry.path(), out);
            } else if entry.path().extension().is_some_and(|e| e == "rs") {
                out.push(entry.path());
            }
        }
    }
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    walk(&src, &mut files);
    files.sort();
    let text = |p: PathBuf| {
        let content = std::fs::read_to_string(&p).unwrap();
        (p.strip_prefix(&src).unwrap().to_owned(), content)
    };
    files.into_iter().map(text).collect()
}

/// The file without its tests and comments.
fn code(text: &str) -> String {
    let end = text.find("#[cfg(test)]").unwrap_or(text.len());
    let lines = text[..end].lines().filter(|l| !l.trim_start().starts_with("//"));
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn imports_run_one_way() {
    for (path, text) in sources() {
        let first = path.components().next().unwrap().as_os_str().to_str().unwrap();
        let room = first.trim_end_matches(".rs");
        if room == "main" {
            continue;
        }
        let Some((_, allowed)) = MAY_IMPORT.iter().find(|(r, _)| *r == room) else {
            panic!("{} is in no room of the table", path.display());
        };
        for part in code(&text).split("crate::").skip(1) {
            let named: String =
                part.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
            assert!(
                named == room || allowed.contains(&named.as_str()),
                "{} names {named}, which {room} may not",
                path.display()
            );
        }
    }
}

#[test]
fn one_file_prints_and_one_runs_git() {
    for (path, text) in sources() {
        let code = code(&text);
        if path != Path::new("cli/output.rs") {
            for word in ["println!", "eprintln!", "stdout().write", "stderr().write"] {
                assert!(!code.contains(word), "{} prints: {word}", path.display());
            }
        }
        if path != Path::new("git/command.rs") {
            assert!(!code.contains("Command::new(\"git\")"), "{} runs git", path.display());
        }
        if !path.starts_with("git") {
            assert!(!code.contains("git2::"), "{} knows libgit2", path.display());
        }
    }
}

#[test]
fn every_file_says_first_what_it_does_and_stays_near_four_hundred_lines() {
    for (path, text) in sources() {
        assert!(text.starts_with("//! "), "{} does not say what it does", path.display());
        let lines = text[..text.find("#[cfg(test)]").unwrap_or(text.len())].lines().count();
        assert!(lines <= 470, "{} has {lines} lines", path.display());
    }
}

#[test]
fn the_examples_of_the_demo_are_all_embedded() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let demo = std::fs::read_to_string(root.join("src/cli/demo.rs")).unwrap();
    for dir in ["", "lib", "tests"] {
        for entry in std::fs::read_dir(root.join("examples/demo/repo").join(dir)).unwrap().flatten()
        {
            if entry.path().is_file() {
                let name = Path::new(dir).join(entry.file_name());
                assert!(
                    demo.contains(&format!("\"{}\"", name.display())),
                    "{} is missing",
                    name.display()
                );
            }
        }
    }
}
