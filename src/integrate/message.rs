//! The words of the engine's commits, with the trailers by which they are found again. Pure.

use crate::types::{Attempt, RunId, TaskId};

/// The commit that holds an attempt's work.
pub fn work(run: &RunId, task: &TaskId, attempt: Attempt, description: &str) -> String {
    format!("{task}: {}\n\n{}", first_line(description), trailers(run, task, attempt))
}

/// The merge of a task into staging.
pub fn merge(run: &RunId, task: &TaskId, attempt: Attempt, description: &str) -> String {
    format!("Merge {task}: {}\n\n{}", first_line(description), trailers(run, task, attempt))
}

/// The merge of the target's new tip into staging.
pub fn merge_target(run: &RunId, target: &str) -> String {
    format!("Merge {target}, which moved during the run\n\nSlimductor-Run: {run}\n")
}

/// The commit of what an installation changed.
pub fn install(run: &RunId, packages: &[String]) -> String {
    format!("Install {}\n\nSlimductor-Run: {run}\n", first_line(&packages.join(", ")))
}

fn trailers(run: &RunId, task: &TaskId, attempt: Attempt) -> String {
    format!("Slimductor-Run: {run}\nSlimductor-Task: {task}\nSlimductor-Attempt: {attempt}\n")
}

/// The first line, cut where `git log` would.
fn first_line(text: &str) -> String {
    let line = text.lines().next().unwrap_or_default().trim();
    line.chars().filter(|c| !c.is_control()).take(100).collect()
}
