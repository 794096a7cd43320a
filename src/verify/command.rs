//! What a check's results say about the work, and how its command line is made. Runs nothing.

use std::collections::BTreeMap;

use super::testmap::{is_test, tests_for};
use super::{category, length};
use crate::types::{Category, Ending, Finding, JobReport, StepResult};

/// The findings of a job of checks: one for each required command that did not pass, or that proved nothing.
pub fn judge(report: &JobReport) -> Vec<Finding> {
    let mut findings = Vec::new();
    if report.ending != Ending::Finished {
        findings.push(Finding {
            category: Category::EnvIssue,
            message: "the checks were ended from outside".to_owned(),
            subject: None,
            help: "they are run again with the next attempt".to_owned(),
            output: None,
            package: None,
        });
    }
    findings.extend(report.steps.iter().filter_map(judge_step));
    findings
}

fn judge_step(step: &StepResult) -> Option<Finding> {
    let output = step.output.as_deref().unwrap_or("");
    let (category, message) = if !step.high.is_empty() {
        let count = step.high.len();
        let what = format!("`{}` found {count} of high severity: {}", step.command, step.high[0]);
        (Category::LogicError, what)
    } else if !step.required {
        return None;
    } else if step.code == Some(5) && step.no_tests.is_some() {
        let line = step.no_tests.as_deref().unwrap_or_default();
        (Category::Vacuous, format!("`{}` ran no test: {line}", step.command))
    } else if step.passed() {
        let line = step.no_tests.as_ref()?;
        (Category::Vacuous, format!("`{}` passed, and ran no test: {line}", step.command))
    } else {
        let ending = match step.timed_out {
            true => format!("no end after {}", length(step.limit_ms)),
            false => step.ending(),
        };
        if step.setup {
            return Some(Finding {
                category: Category::EnvIssue,
                message: format!("`{}` of worktree.setup failed: {ending}", step.command),
                subject: Some(step.command.clone()),
                help: "mend `worktree.setup` in slimductor.yaml".to_owned(),
                output: step.output.clone(),
                package: None,
            });
        }
        let absent = matches!(step.code, Some(126 | 127));
        let category = match (step.timed_out, step.flaky, step.on_contract && !absent) {
            (true, _, _) => Category::Timeout,
            (_, true, _) => Category::Flaky,
            (_, _, true) => Category::ContractMismatch,
            (false, false, false) => category::of_failure(step.code, output),
        };
        let again = if step.flaky { ", and passed when it ran again" } else { "" };
        (category, format!("`{}` failed: {ending}{again}", step.command))
    };
    Some(Finding {
        category,
        message,
        subject: Some(step.command.clone()),
        help: match step.detected {
            true => format!(
                "{}; the suite was found in the project, `integration` in the plan or in slimductor.yaml names another",
                category::help(category)
            ),
            false => category::help(category).to_owned(),
        },
        output: step.output.clone(),
        package: category::missing_package(output)
            .filter(|_| category == Category::MissingDependency),
    })
}

/// How changed files are mapped to the tests that belong to them.
#[derive(Clone, Default)]
pub struct TestMap<'a> {
    /// Patterns of changed files and of their tests, as the configuration gives them.
    pub patterns: Option<&'a BTreeMap<String, Vec<String>>>,
    /// What `{modified_tests}` stands for when no test is found.
    pub fallback: Option<&'a str>,
    /// The paths of the tree.
    pub paths: Option<&'a dyn Fn(&str) -> bool>,
}

/// Puts the changed files into `{modified_files}` and `{modified_tests}`, each quoted for the shell.
pub fn expand(command: &str, changed: &[String], map: &TestMap<'_>) -> String {
    if !command.contains("{modified_") {
        return command.to_owned();
    }
    let none = BTreeMap::new();
    let found: Vec<String> = match map.paths {
        Some(exists) => tests_for(changed, map.patterns.unwrap_or(&none), exists),
        None => changed.iter().filter(|p| is_test(p)).cloned().collect(),
    };
    let all = quoted_paths(changed);
    // Written by the project's owner, so it is taken as it stands.
    let tests = match (found.is_empty(), map.fallback) {
        (true, Some(fallback)) => fallback.to_owned(),
        (_, _) => quoted_paths(&found),
    };
    // One pass: what was put in is never looked at again, whatever a file is called.
    let mut out = String::new();
    let mut rest = command;
    while let Some(at) = rest.find("{modified_") {
        let (before, from) = rest.split_at(at);
        out.push_str(before);
        let (word, value) = match from {
            f if f.starts_with("{modified_files}") => ("{modified_files}", all.as_str()),
            f if f.starts_with("{modified_tests}") => ("{modified_tests}", tests.as_str()),
            _ => ("{modified_", "{modified_"),
        };
        out.push_str(value);
        rest = from.strip_prefix(word).unwrap_or("");
    }
    out.push_str(rest);
    out
}

/// Any text as one word of a shell's.
pub fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', "'\\''"))
}

/// Paths as words of a shell's; a leading dash would be read as an option.
pub fn quoted_paths(paths: &[String]) -> String {
    let word = |path: &String| match path.starts_with('-') {
        true => quoted(&format!("./{path}")),
        false => quoted(path),
    };
    paths.iter().map(word).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_names_reach_the_command_as_one_word_each() {
        let changed = vec!["a b.py".to_owned(), "tests/it's.py".to_owned(), "-rf".to_owned()];
        assert_eq!(
            expand("run {modified_files}", &changed, &TestMap::default()),
            "run 'a b.py' 'tests/it'\\''s.py' './-rf'"
        );
        assert_eq!(
            expand("run {modified_tests}", &changed, &TestMap::default()),
            "run 'tests/it'\\''s.py'"
        );
    }

    #[test]
    fn a_file_that_is_called_like_a_placeholder_is_a_file() {
        let changed = vec!["{modified_tests}".to_owned(), "tests/$(touch x)".to_owned()];
        assert_eq!(
            expand("t {modified_files} {modified_x}", &changed, &TestMap::default()),
            "t '{modified_tests}' 'tests/$(touch x)' {modified_x}"
        );
    }
}
