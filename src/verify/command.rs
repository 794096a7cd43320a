//! What a check's results say about the work, and how its command line is made. Runs nothing.

use super::category;
use super::length;
use crate::plan::Check;
use crate::types::{Category, Ending, Finding, JobReport};

/// The findings of a job of checks: one for each required command that did not pass.
pub fn judge(checks: &[Check], report: &JobReport) -> Vec<Finding> {
    let mut findings = Vec::new();
    if report.ending != Ending::Finished {
        findings.push(Finding {
            category: Category::EnvIssue,
            message: "the checks were ended from outside".to_owned(),
            subject: None,
            help: "they are run again with the next attempt".to_owned(),
            output: None,
        });
    }
    for step in report.steps.iter().filter(|s| s.required && !s.passed()) {
        let output = step.output.as_deref().unwrap_or("");
        let limit = checks.iter().find(|c| c.command == step.command).map_or(0, |c| c.timeout_ms);
        let category = if step.timed_out {
            Category::Timeout
        } else {
            category::of_failure(step.code, output)
        };
        let ending =
            if step.timed_out { format!("no end after {}", length(limit)) } else { step.ending() };
        findings.push(Finding {
            category,
            message: format!("`{}` failed: {ending}", step.command),
            subject: Some(step.command.clone()),
            help: category::help(category).to_owned(),
            output: step.output.clone(),
        });
    }
    findings
}

/// Puts the changed files into `{modified_files}` and `{modified_tests}`, each quoted for the shell.
pub fn expand(command: &str, changed: &[String]) -> String {
    if !command.contains("{modified_") {
        return command.to_owned();
    }
    let quoted = |list: Vec<&String>| {
        let words = list.iter().map(|path| {
            // A leading dash would be read as an option.
            let safe = if path.starts_with('-') { format!("./{path}") } else { (*path).clone() };
            format!("'{}'", safe.replace('\'', "'\\''"))
        });
        words.collect::<Vec<_>>().join(" ")
    };
    let (all, tests) =
        (quoted(changed.iter().collect()), quoted(changed.iter().filter(|p| is_test(p)).collect()));
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

    #[test]
    fn file_names_reach_the_command_as_one_word_each() {
        let changed = vec!["a b.py".to_owned(), "tests/it's.py".to_owned(), "-rf".to_owned()];
        assert_eq!(
            expand("run {modified_files}", &changed),
            "run 'a b.py' 'tests/it'\\''s.py' './-rf'"
        );
        assert_eq!(expand("run {modified_tests}", &changed), "run 'tests/it'\\''s.py'");
    }

    #[test]
    fn a_file_that_is_called_like_a_placeholder_is_a_file() {
        let changed = vec!["{modified_tests}".to_owned(), "tests/$(touch x)".to_owned()];
        assert_eq!(
            expand("t {modified_files} {modified_x}", &changed),
            "t '{modified_tests}' 'tests/$(touch x)' {modified_x}"
        );
    }
}
