//! Is this attempt what the task asked for? Pure: judges diffs and reports that others gathered, believes no agent.

pub mod boundary;
pub mod category;
pub mod command;
pub mod conform_python;
pub mod conform_typescript;
pub mod contracts;
pub mod deps;
pub mod ecosystem;
pub mod severity;
pub mod tamper;
pub mod testmap;
pub mod vacuity;
pub mod versions;

use crate::plan::Task;
use crate::types::{Category, Ending, Finding, JobReport};

/// How a worker's ending counts: `None` when it ended well.
pub fn judge_worker(task: &Task, report: &JobReport) -> Option<Finding> {
    // Those before it prepare its worktree: the first that fails is the last that ran.
    let step = report.steps.last();
    let (category, message, help) = match (report.ending, step) {
        (Ending::Lost, _) => (
            Category::Crash,
            "the worker's wrapper died without an exit file".to_owned(),
            "the machine was restarted or the process killed; the work is on the recovery branch",
        ),
        (Ending::Stopped, _) => {
            (Category::Crash, "the worker was stopped".to_owned(), "start it again with `retry`")
        }
        (Ending::Finished, None) => {
            (Category::Crash, "the worker did not start".to_owned(), "see the job's log")
        }
        (Ending::Finished, Some(step)) if step.passed() => return None,
        (Ending::Finished, Some(step)) if step.setup => (
            Category::EnvIssue,
            format!("`{}` of worktree.setup failed: {}", step.command, step.ending()),
            "mend `worktree.setup` in slimductor.yaml; a run keeps the configuration that it began with",
        ),
        (Ending::Finished, Some(step)) if step.timed_out => (
            Category::Timeout,
            format!("the worker reached its limit of {}", length(task.timeout_ms)),
            "raise `timeout`, or make the task smaller",
        ),
        (Ending::Finished, Some(step)) if step.code == Some(126) => (
            Category::EnvIssue,
            "the worker could not be started: exit 126".to_owned(),
            "its output says what this machine refused",
        ),
        (Ending::Finished, Some(step)) => {
            (Category::Crash, format!("the worker ended: {}", step.ending()), "its output says why")
        }
    };
    let output = step.and_then(|s| s.output.clone());
    Some(Finding { category, message, subject: None, help: help.to_owned(), output, package: None })
}

/// The finding for a clean exit without a change, unless the task expects none.
pub fn judge_no_changes(task: &Task) -> Option<Finding> {
    // What the engine edits for a task may be all that there is to do.
    (!task.expects_no_changes && task.edits.is_empty()).then(|| Finding {
        category: Category::NoChanges,
        message: "the worker ended well and changed nothing".to_owned(),
        subject: None,
        help: "say `expects_no_changes: true` if that is right".to_owned(),
        output: None,
        package: None,
    })
}

/// The finding that names the task's failure: the first by gate.md's order.
pub fn leading(findings: &[Finding]) -> Option<&Finding> {
    findings.iter().min_by_key(|f| f.category)
}

/// A length of time for people: `90s`, `30m`, `1h 5m`.
pub fn length(millis: u64) -> String {
    let seconds = millis / 1000;
    match (seconds / 3600, seconds % 3600 / 60, seconds % 60) {
        (0, 0, 0) => format!("{millis}ms"),
        (0, 0, s) => format!("{s}s"),
        (0, m, 0) => format!("{m}m"),
        (0, m, s) => format!("{m}m {s}s"),
        (h, 0, _) => format!("{h}h"),
        (h, m, _) => format!("{h}h {m}m"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_reads_as_people_write_it() {
        for (ms, text) in [
            (250, "250ms"),
            (90_000, "1m 30s"),
            (5_000, "5s"),
            (1_800_000, "30m"),
            (3_900_000, "1h 5m"),
        ] {
            assert_eq!(length(ms), text);
        }
    }
}
