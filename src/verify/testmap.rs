//! From changed files to the tests that belong to them, by patterns. Touches no disk: whether a
//! file exists is asked.

use regex::Regex;
use std::collections::{BTreeMap, BTreeSet};

/// Common layouts, for files that no pattern of the user's names.
const DEFAULTS: [(&str, &[&str]); 18] = [
    ("src/**/*.py", &["tests/**/test_*.py", "tests/test_*.py", "tests/unit/test_*.py"]),
    ("**/*.py", &["tests/**/test_*.py", "tests/test_*.py", "**/test_*.py", "**/*_test.py"]),
    ("**/*.ts", &["**/*.test.ts", "**/*.spec.ts", "**/__tests__/*.test.ts", "**/__tests__/*.ts"]),
    (
        "**/*.tsx",
        &["**/*.test.tsx", "**/*.spec.tsx", "**/__tests__/*.test.tsx", "**/__tests__/*.tsx"],
    ),
    ("**/*.js", &["**/*.test.js", "**/*.spec.js", "**/__tests__/*.test.js", "**/__tests__/*.js"]),
    ("**/*.jsx", &["**/*.test.jsx", "**/*.spec.jsx", "**/__tests__/*.test.jsx"]),
    ("**/*.mjs", &["**/*.test.mjs", "**/*.spec.mjs"]),
    (
        "src/**/*.ts",
        &["tests/**/*.test.ts", "tests/**/*.spec.ts", "test/**/*.test.ts", "tests/*.test.ts"],
    ),
    ("src/**/*.tsx", &["tests/**/*.test.tsx", "tests/**/*.spec.tsx", "test/**/*.test.tsx"]),
    (
        "src/**/*.js",
        &["tests/**/*.test.js", "tests/**/*.spec.js", "test/**/*.test.js", "test/**/*.js"],
    ),
    ("lib/**/*.js", &["test/**/*.js", "test/**/*.test.js", "tests/**/*.test.js"]),
    ("lib/**/*.rb", &["spec/**/*_spec.rb", "test/**/*_test.rb", "test/**/test_*.rb"]),
    ("app/**/*.rb", &["spec/**/*_spec.rb", "test/**/*_test.rb"]),
    ("**/*.go", &["**/*_test.go"]),
    ("src/**/*.rs", &["tests/**/*.rs", "tests/*.rs"]),
    ("**/src/main/java/**/*.java", &["**/src/test/java/**/*Test.java"]),
    ("**/src/main/kotlin/**/*.kt", &["**/src/test/kotlin/**/*Test.kt"]),
    ("src/**/*.php", &["tests/**/*Test.php", "tests/Unit/**/*Test.php"]),
];

/// The test files for the changed files, sorted, each once: the changed tests themselves, and
/// those that `patterns` map the others to (`"src/*.py": ["tests/test_*.py"]`). What a `*` of the
/// key matched is put for the `*`s of the value in their order, likewise for `**`, which may also
/// stand for nothing. A file that no key matches is mapped by common layouts. Only files that
/// `exists` knows are returned.
pub fn tests_for(
    changed: &[String],
    patterns: &BTreeMap<String, Vec<String>>,
    exists: &dyn Fn(&str) -> bool,
) -> Vec<String> {
    let own: Table = patterns
        .iter()
        .filter_map(|(k, v)| {
            Some((expression(k)?, v.iter().map(String::as_str).collect(), k.as_str()))
        })
        .collect();
    let defaults: Table =
        DEFAULTS.iter().filter_map(|(k, v)| Some((expression(k)?, v.to_vec(), *k))).collect();
    let mut found = BTreeSet::new();
    for path in changed {
        if is_test(path) && exists(path) {
            found.insert(path.clone());
        }
        let tests = match map(path, &own) {
            Some(tests) => tests,
            // A test is no source of another one, unless the user says so.
            None if is_test(path) => Vec::new(),
            None => common(path, &defaults),
        };
        found.extend(tests.into_iter().filter(|t| is_inside(t) && exists(t)));
    }
    found.into_iter().collect()
}

/// Keys as expressions, with their values.
type Table<'a> = Vec<(Regex, Vec<&'a str>, &'a str)>;

/// The candidates for a path; `None` when no key matches it.
fn map(path: &str, table: &Table) -> Option<Vec<String>> {
    let mut tests = None;
    for (expression, values, key) in table {
        if let Some(captures) = expression.captures(path) {
            let part = |c: Option<regex::Match<'_>>| c.map_or(String::new(), |m| m.as_str().into());
            let parts: Vec<String> = captures.iter().skip(1).map(part).collect();
            let list: &mut Vec<String> = tests.get_or_insert_default();
            list.extend(values.iter().filter_map(|v| fill(v, key, &parts)));
        }
    }
    tests
}

/// The candidates by common layouts. The tests of a Python package often leave out its name:
/// `src/pkg/sub/x.py` and `pkg/sub/x.py` are tested by `tests/sub/test_x.py`.
fn common(path: &str, defaults: &Table) -> Vec<String> {
    let mut tests = map(path, defaults).unwrap_or_default();
    let inner = path.strip_prefix("src/").unwrap_or(path).split_once('/');
    if let Some((_, inner)) = inner.filter(|(_, inner)| inner.ends_with(".py")) {
        tests.extend(map(&format!("src/{inner}"), defaults).unwrap_or_default());
    }
    tests
}

fn is_inside(path: &str) -> bool {
    !path.starts_with('/') && path.split('/').all(|part| !matches!(part, "" | "." | ".."))
}

/// A piece of a pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Text(String),
    /// `*`: no slash
    Star,
    /// `**/`: any number of directories, also none
    Directories,
    /// `**` at the end or within a name
    Anything,
    /// `?`
    One,
}

fn pieces(pattern: &str) -> Vec<Piece> {
    let mut out: Vec<Piece> = Vec::new();
    let mut rest = pattern.strip_prefix("./").unwrap_or(pattern);
    while let Some(c) = rest.chars().next() {
        let (piece, length) = match c {
            '*' if rest.starts_with("**/") => (Piece::Directories, 3),
            '*' if rest.starts_with("**") => (Piece::Anything, 2),
            '*' => (Piece::Star, 1),
            '?' => (Piece::One, 1),
            c => (Piece::Text(c.to_string()), c.len_utf8()),
        };
        rest = rest.get(length..).unwrap_or("");
        match (out.last_mut(), &piece) {
            (Some(Piece::Text(text)), Piece::Text(more)) => text.push_str(more),
            _ => out.push(piece),
        }
    }
    out
}

/// The pattern as an expression, each star a group. `None` when it is too large: each star
/// makes every match slower.
fn expression(pattern: &str) -> Option<Regex> {
    if pattern.len() > 500 || pattern.matches('*').count() > 16 {
        return None;
    }
    let mut text = String::from(r"\A");
    for piece in pieces(pattern) {
        match piece {
            Piece::Text(plain) => text.push_str(&regex::escape(&plain)),
            Piece::Star => text.push_str("([^/]*)"),
            Piece::Directories => text.push_str("((?s:.*)/)?"),
            Piece::Anything => text.push_str("((?s:.*))"),
            Piece::One => text.push_str("[^/]"),
        }
    }
    text.push_str(r"\z");
    Regex::new(&text).ok()
}

/// The value with what the key's stars matched. `None` when it has more `*` than there is to put.
fn fill(value: &str, key: &str, parts: &[String]) -> Option<String> {
    let groups = pieces(key);
    let stars = groups.iter().filter(|p| !matches!(p, Piece::Text(_) | Piece::One));
    let (mut single, mut double) = (Vec::new(), Vec::new());
    for (piece, part) in stars.zip(parts) {
        match piece {
            Piece::Star => single.push(part.as_str()),
            Piece::Directories | Piece::Anything => double.push(part.as_str()),
            Piece::Text(_) | Piece::One => {}
        }
    }
    let (mut single, mut double) = (single.into_iter(), double.into_iter());
    let mut out = String::new();
    for piece in pieces(value) {
        match piece {
            Piece::Text(text) => out.push_str(&text),
            Piece::Star => out.push_str(single.next().or_else(|| double.next())?),
            Piece::Directories => {
                let part = double.next().unwrap_or("").trim_end_matches('/');
                if !part.is_empty() {
                    out.push_str(part);
                    out.push('/');
                }
            }
            Piece::Anything => out.push_str(double.next().or_else(|| single.next())?),
            Piece::One => return None,
        }
    }
    Some(out)
}

/// Whether a path looks like a test file of any ecosystem.
pub fn is_test(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    let in_dir = path.split('/').any(|s| matches!(s, "tests" | "test" | "__tests__" | "spec"));
    let stem = name.split('.').next().unwrap_or(name);
    in_dir
        || stem.starts_with("test_")
        || stem.ends_with("_test")
        || name.contains(".test.")
        || name.contains(".spec.")
        || stem.ends_with("Test")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(changed: &[&str], patterns: &[(&str, &[&str])], there: &[&str]) -> Vec<String> {
        let owned = |list: &[&str]| list.iter().map(|s| (*s).to_owned()).collect::<Vec<_>>();
        let patterns = patterns.iter().map(|(k, v)| ((*k).to_owned(), owned(v))).collect();
        tests_for(&owned(changed), &patterns, &|path| there.contains(&path))
    }

    #[test]
    fn what_a_star_matched_stands_in_the_test_s_name() {
        let patterns: [(&str, &[&str]); 1] = [("src/*.py", &["tests/test_*.py", "tests/*/all.py"])];
        let there = ["tests/test_auth.py", "tests/auth/all.py", "tests/test_b.py"];
        let expected = ["tests/auth/all.py", "tests/test_auth.py"];
        assert_eq!(map(&["src/auth.py"], &patterns, &there), expected);
        assert_eq!(map(&["src/none.py"], &patterns, &there), Vec::<String>::new());
    }

    #[test]
    fn two_stars_are_directories_also_none() {
        let patterns: [(&str, &[&str]); 1] = [("src/**/*.py", &["tests/**/test_*.py"])];
        let there = ["tests/test_a.py", "tests/x/y/test_a.py"];
        assert_eq!(map(&["src/a.py"], &patterns, &there), ["tests/test_a.py"]);
        assert_eq!(map(&["src/x/y/a.py"], &patterns, &there), ["tests/x/y/test_a.py"]);
        let patterns: [(&str, &[&str]); 1] = [("src/**/*.py", &["tests/test_*.py"])];
        assert_eq!(map(&["src/x/y/a.py"], &patterns, &there), ["tests/test_a.py"]);
        let patterns: [(&str, &[&str]); 1] = [("src/**", &["checks/**.sh"])];
        assert_eq!(map(&["src/x/y"], &patterns, &["checks/x/y.sh"]), ["checks/x/y.sh"]);
    }

    #[test]
    fn stars_are_filled_in_their_order() {
        let patterns: [(&str, &[&str]); 1] = [("pkg/*/src/*.ts", &["pkg/*/test/*.test.ts"])];
        let there = ["pkg/a/test/b.test.ts"];
        assert_eq!(map(&["pkg/a/src/b.ts"], &patterns, &there), there);
        let patterns: [(&str, &[&str]); 1] = [("src/*.py", &["tests/*_*.py"])];
        assert_eq!(map(&["src/a.py"], &patterns, &["tests/a_a.py"]), Vec::<String>::new());
    }

    #[test]
    fn a_value_without_stars_is_that_file() {
        let patterns: [(&str, &[&str]); 1] = [("src/**", &["tests/smoke.py"])];
        let changed = ["src/a", "src/b/c"];
        assert_eq!(map(&changed, &patterns, &["tests/smoke.py"]), ["tests/smoke.py"]);
    }

    #[test]
    fn changed_tests_are_their_own_tests_while_they_exist() {
        let changed = ["tests/test_a.py", "tests/test_gone.py"];
        assert_eq!(map(&changed, &[], &["tests/test_a.py"]), ["tests/test_a.py"]);
    }

    #[test]
    fn common_layouts_need_no_pattern() {
        for (changed, test) in [
            ("src/x.py", "tests/test_x.py"),
            ("src/pkg/x.py", "tests/test_x.py"),
            ("src/pkg/x.py", "tests/pkg/test_x.py"),
            ("src/pkg/sub/x.py", "tests/sub/test_x.py"),
            ("pkg/x.py", "tests/test_x.py"),
            ("pkg/sub/x.py", "tests/sub/test_x.py"),
            ("pkg/x.py", "pkg/test_x.py"),
            ("x.py", "test_x.py"),
            ("src/x.ts", "src/x.test.ts"),
            ("src/x.ts", "src/x.spec.ts"),
            ("src/a/x.ts", "src/a/__tests__/x.test.ts"),
            ("src/a/x.tsx", "tests/a/x.test.tsx"),
            ("lib/x.rb", "spec/x_spec.rb"),
            ("app/models/user.rb", "spec/models/user_spec.rb"),
            ("x.go", "x_test.go"),
            ("a/b/x.go", "a/b/x_test.go"),
            ("src/main/java/a/X.java", "src/test/java/a/XTest.java"),
            ("m/src/main/java/a/X.java", "m/src/test/java/a/XTest.java"),
            ("src/a/X.php", "tests/a/XTest.php"),
        ] {
            assert_eq!(map(&[changed], &[], &[test]), [test], "{changed}");
        }
    }

    #[test]
    fn a_pattern_of_the_user_s_takes_the_place_of_the_common_layouts() {
        let patterns: [(&str, &[&str]); 1] = [("src/*.py", &["checks/*.py"])];
        let there = ["tests/test_a.py", "checks/a.py"];
        assert_eq!(map(&["src/a.py"], &patterns, &there), ["checks/a.py"]);
        assert_eq!(map(&["lib/a.py"], &patterns, &there), ["tests/test_a.py"]);
    }

    #[test]
    fn nothing_outside_the_repository_is_a_test() {
        let patterns: [(&str, &[&str]); 2] =
            [("src/*", &["../*", "/etc/*"]), ("x/**/y", &["t/**/y"])];
        let there = ["../passwd", "/etc/passwd", "t/../y"];
        assert_eq!(map(&["src/passwd", "x/../y"], &patterns, &there), Vec::<String>::new());
    }

    #[test]
    fn odd_names_and_patterns_do_no_harm() {
        let long = "a/".repeat(4000) + "x.py";
        let stars = "*".repeat(3000);
        let patterns: [(&str, &[&str]); 3] =
            [(&stars, &["t"]), ("[(+", &["t"]), ("s/?.py", &["tests/?"])];
        let changed = [long.as_str(), "a\nb.py", "[(+", "s/ü.py", ""];
        assert_eq!(map(&changed, &patterns, &["t"]), ["t"]);
    }
}
