//! Output of real tools, kept in tests/corpus/output, against what is read from it: whether a test
//! ran, and what kind of failure it was. How the samples were made is told in the README there.
//!
//! The first word of a file's name is the expectation: `none-…` ran no test, `ran-…` ran one,
//! `fail-<category>-…` failed in that way. A first line `# exit 127` is not output: it is the exit
//! code, 0 for `none-` and `ran-` and 1 for `fail-` where it is absent.
#![expect(clippy::unwrap_used, reason = "a test that fails may say so by a panic")]

use std::path::{Path, PathBuf};

use slimductor::types::Category;
use slimductor::verify::{category, vacuity};

/// Every tool that must have samples, so that a lost directory is a failure and not silence.
const TOOLS: [&str; 16] = [
    "cargo", "go", "gradle", "jest", "maven", "minitest", "mocha", "nextest", "node", "phpunit",
    "pytest", "rspec", "tools", "tsc", "unittest", "vitest",
];

/// Those of them that run no tests: they only fail.
const NO_RUNNERS: [&str; 2] = ["tools", "tsc"];

struct Sample {
    tool: String,
    /// The file's name without `.txt`.
    name: String,
    code: Option<i32>,
    output: String,
}

fn samples() -> Vec<Sample> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus/output");
    let mut samples = Vec::new();
    for tool in entries(&root).into_iter().filter(|path| path.is_dir()) {
        for path in entries(&tool) {
            assert_eq!(path.extension().unwrap(), "txt", "{} is no sample", path.display());
            samples.push(sample(&tool, &path));
        }
    }
    samples
}

fn entries(dir: &Path) -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> =
        std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
}

fn sample(tool: &Path, path: &Path) -> Sample {
    let text = std::fs::read_to_string(path).unwrap();
    let word = |path: &Path| path.file_stem().unwrap().to_str().unwrap().to_owned();
    let (tool, name) = (word(tool), word(path));
    let usual = i32::from(name.starts_with("fail-"));
    let (code, output) = match text.strip_prefix("# exit ").and_then(|rest| rest.split_once('\n')) {
        Some((code, output)) => (code.parse().unwrap(), output.to_owned()),
        None => (usual, text),
    };
    Sample { tool, name, code: Some(code), output }
}

#[test]
fn every_tool_has_its_samples() {
    let samples = samples();
    let has = |tool: &str, start: &str| {
        samples.iter().any(|sample| sample.tool == tool && sample.name.starts_with(start))
    };
    for tool in TOOLS {
        assert!(has(tool, ""), "{tool} has no sample");
        if !NO_RUNNERS.contains(&tool) {
            assert!(has(tool, "none-") && has(tool, "ran-"), "{tool} lacks `none-` or `ran-`");
        }
    }
    for sample in &samples {
        assert!(TOOLS.contains(&sample.tool.as_str()), "{} is not in the list", sample.tool);
        let (tool, name) = (&sample.tool, &sample.name);
        assert!(sample.output.len() <= 4096, "{tool}/{name} is longer than 4 KiB");
        assert!(!sample.output.is_empty(), "{tool}/{name} is empty");
        let known = ["none-", "ran-", "fail-"].iter().any(|start| name.starts_with(start));
        assert!(known, "{tool}/{name} does not say what to expect");
    }
}

#[test]
fn a_run_without_a_test_is_told_from_one_with_tests() {
    let mut wrong = Vec::new();
    for Sample { tool, name, output, .. } in samples() {
        let line = vacuity::no_tests(&output);
        let right = match (name.starts_with("none-"), name.starts_with("ran-")) {
            (true, _) => line.as_deref().is_some_and(|said| {
                said.chars().count() <= 160 && said.trim() == said && output.contains(said)
            }),
            (_, true) => line.is_none(),
            (false, false) => true,
        };
        if !right {
            wrong.push(format!("{tool}/{name}: {line:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_kind_of_a_failure_is_read_from_its_output() {
    let expected = |name: &str| {
        [Category::LogicError, Category::MissingDependency, Category::EnvIssue]
            .into_iter()
            .find(|category| name.starts_with(&format!("fail-{}-", category.word())))
    };
    let mut wrong = Vec::new();
    for Sample { tool, name, code, output } in samples() {
        if !name.starts_with("fail-") {
            continue;
        }
        let category = category::of_failure(code, &output);
        if expected(&name) != Some(category) {
            wrong.push(format!("{tool}/{name}: {}", category.word()));
        }
        let package = category::missing_package(&output);
        if package.is_some() && category != Category::MissingDependency {
            wrong.push(format!("{tool}/{name}: names {package:?} and is {}", category.word()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_tool_that_ran_tests_outweighs_each_that_ran_none() {
    let samples = samples();
    for ran in samples.iter().filter(|sample| sample.name.starts_with("ran-")) {
        for none in samples.iter().filter(|sample| sample.name.starts_with("none-")) {
            for output in [
                format!("{}\n{}", none.output, ran.output),
                format!("{}\n{}", ran.output, none.output),
            ] {
                let (a, b) = (&ran.name, &none.name);
                let line = vacuity::no_tests(&output);
                assert_eq!(line, None, "{}/{a} with {}/{b}", ran.tool, none.tool);
            }
        }
    }
}

#[test]
fn the_name_of_a_missing_package_is_read_from_the_tools_own_words() {
    let samples = samples();
    for (tool, name, package) in [
        ("pytest", "fail-missing_dependency-collection", "jwt"),
        ("pytest", "fail-missing_dependency-no-pytest", "pytest"),
        ("unittest", "fail-missing_dependency-import", "requests_nowhere"),
        ("jest", "fail-missing_dependency-package", "express"),
        ("vitest", "fail-missing_dependency-package", "express"),
        ("mocha", "fail-missing_dependency-scoped-package", "@acme/db"),
        ("node", "fail-missing_dependency-esm", "express"),
        ("tsc", "fail-missing_dependency-package", "express"),
        ("go", "fail-missing_dependency-module", "github.com/golang-jwt/jwt/v5"),
        ("cargo", "fail-missing_dependency-crate", "serde"),
        ("cargo", "fail-missing_dependency-no-package", "serde_nowhere"),
        ("rspec", "fail-missing_dependency-gem", "sidekiq_nowhere"),
        ("rspec", "fail-missing_dependency-bundler", "sidekiq_nowhere"),
        ("maven", "fail-missing_dependency-package", "com.google.nowhere"),
    ] {
        let found = samples.iter().find(|sample| sample.tool == tool && sample.name == name);
        let said = found.and_then(|sample| category::missing_package(&sample.output));
        assert_eq!(said.as_deref(), Some(package), "{tool}/{name}");
    }
}
