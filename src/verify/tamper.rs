//! Whether a task changed what judges it: tests, CI, and the files that its verification runs. Pure; paths only.

use crate::plan::Task;
use crate::types::{Category, Change, Finding};

use super::testmap::is_test;

/// Directories and files of continuous integration.
const CI: [&str; 14] = [
    ".github/",
    ".gitlab-ci.yml",
    ".gitlab/",
    ".circleci/",
    ".travis.yml",
    "azure-pipelines.yml",
    "Jenkinsfile",
    ".drone.yml",
    ".woodpecker",
    "bitbucket-pipelines.yml",
    ".buildkite/",
    ".teamcity/",
    "appveyor.yml",
    ".ci/",
];

/// Files by name that decide what a test run, a type checker or a linter does.
const RULES: [&str; 40] = [
    "conftest.py",
    "pytest.ini",
    ".pytest.ini",
    "tox.ini",
    "noxfile.py",
    "setup.cfg",
    "mypy.ini",
    ".mypy.ini",
    "pyrightconfig.json",
    "ruff.toml",
    ".ruff.toml",
    ".bandit",
    "sitecustomize.py",
    "jest.config.js",
    "jest.config.ts",
    "jest.config.mjs",
    "jest.config.cjs",
    "jest.config.json",
    "vitest.config.js",
    "vitest.config.ts",
    "vitest.config.mts",
    "vitest.config.mjs",
    "vite.config.js",
    "vite.config.ts",
    ".mocharc.json",
    ".mocharc.js",
    ".mocharc.cjs",
    ".mocharc.yml",
    "karma.conf.js",
    "playwright.config.ts",
    "tsconfig.json",
    "eslint.config.js",
    ".eslintrc.json",
    ".rspec",
    "phpunit.xml",
    "phpunit.xml.dist",
    ".npmrc",
    "nextest.toml",
    "clippy.toml",
    "tasks.yaml",
];

/// The findings about changed paths that judge the task and are not its own.
pub fn judge(task: &Task, changes: &[Change]) -> Vec<Finding> {
    let owned =
        |path: &str| task.files_write.iter().chain(&task.files_append).any(|p| p.matches(path));
    changes
        .iter()
        .filter(|change| !owned(&change.path))
        .filter_map(|change| Some((change, what_it_is(task, &change.path)?)))
        .map(|(change, what)| Finding {
            category: Category::Tampering,
            message: format!("touched {}, {what}", change.path.escape_debug()),
            subject: Some(change.path.clone()),
            help: "leave what judges the work alone; a task that is to change it owns it"
                .to_owned(),
            output: None,
            package: None,
        })
        .collect()
}

fn what_it_is(task: &Task, path: &str) -> Option<&'static str> {
    let name = path.rsplit('/').next().unwrap_or(path);
    if CI.iter().any(|ci| path.starts_with(ci) || (!ci.ends_with('/') && name == *ci)) {
        return Some("a file of continuous integration");
    }
    if RULES.contains(&name) || matches!(name, "slimductor.yaml" | ".slimductor.yaml") {
        return Some("which decides how work is checked");
    }
    if task.verification.iter().any(|c| names(&c.command, path)) {
        return Some("which its verification runs");
    }
    is_test(path).then_some("a test")
}

/// Whether a command names the path as a word of its own.
fn names(command: &str, path: &str) -> bool {
    let mut words = command.split(|c: char| {
        c.is_whitespace() || matches!(c, '\'' | '"' | ';' | '&' | '|' | '(' | ')' | '<' | '>' | '=')
    });
    words.any(|word| {
        let word = word.strip_prefix("./").unwrap_or(word);
        // `pytest tests/x.py::test_one`
        word.split("::").next() == Some(path)
    })
}

#[cfg(test)]
mod tests {
    use super::names;

    #[test]
    fn a_command_names_the_files_that_it_runs() {
        assert!(names("sh ./check.sh --all", "check.sh"));
        assert!(names("pytest tests/a.py::test_x", "tests/a.py"));
        assert!(names("PATH=x; 'tools/verify' && true", "tools/verify"));
        assert!(!names("sh check.sh", "k.sh"));
        assert!(!names("sh check.sh.bak", "check.sh"));
    }
}
