//! Which changed paths a task may not have touched. Pure; knows nothing of git but its file modes.

use crate::plan::Task;
use crate::plan::config::{Boundaries, Forbidden};
use crate::types::{Category, Change, ChangeKind, Finding};

const SYMLINK: u32 = 0o120_000;
const SUBMODULE: u32 = 0o160_000;

/// Every path of `changes` that `task` does not own, or that nobody may touch.
pub fn judge(task: &Task, changes: &[Change], rules: &Boundaries) -> Vec<Finding> {
    let forbidden = rules.forbidden(changes.len());
    changes.iter().filter_map(|change| judge_one(task, change, rules, &forbidden)).collect()
}

fn judge_one(
    task: &Task,
    change: &Change,
    rules: &Boundaries,
    forbidden: &Forbidden,
) -> Option<Finding> {
    let path = change.path.as_str();
    let what = match change.kind {
        ChangeKind::Added => "added",
        ChangeKind::Modified => "changed",
        ChangeKind::Deleted => "deleted",
    };
    let owned = task.files_write.iter().any(|p| p.matches(path));
    let appends =
        change.kind != ChangeKind::Deleted && task.files_append.iter().any(|p| p.matches(path));
    let shown = path.escape_debug();
    let limit = usize::try_from(rules.churn_threshold_lines).unwrap_or(usize::MAX);
    let (message, help) = if path.contains('\u{fffd}') {
        (
            format!("{what} {shown}, whose name is not UTF-8"),
            "give it a name that every tool can read".to_owned(),
        )
    } else if let Some(rule) = forbidden.rule(path) {
        (
            format!("{what} {shown}, which no task may touch ({rule})"),
            "leave it as it was; what tools make belongs into .gitignore; `boundaries` in slimductor.yaml has the rules".to_owned(),
        )
    } else if change.new_mode == SUBMODULE || change.old_mode == SUBMODULE {
        (
            format!("{what} the nested repository {shown}"),
            "a task may not add, move or remove a submodule".to_owned(),
        )
    } else if !owned && !appends {
        (
            format!("{what} {shown}, which is not in files_write"),
            "leave it as it was, or add it to the task's files_write".to_owned(),
        )
    } else if appends
        && !owned
        && change.kind == ChangeKind::Modified
        && (!change.only_grew || change.old_mode != change.new_mode)
    {
        (
            format!("changed what stood in {shown}, to which it may only add"),
            "leave the old lines as they were, and add behind them".to_owned(),
        )
    } else if change.added + change.removed > limit && !task.allow_large_changes {
        (
            format!(
                "changed {} lines of {shown}, more than {limit}",
                change.added + change.removed
            ),
            "say `allow_large_changes: true` if that is right".to_owned(),
        )
    } else if change.only_blank && rules.formatting_check.judges(path) {
        (
            format!("changed only the white space of {shown} (whitespace means nothing there)"),
            "leave files alone that need no change".to_owned(),
        )
    } else if change.new_mode == SYMLINK {
        (
            format!("{what} the symbolic link {shown}"),
            "write a file: what lies behind a link is not judged".to_owned(),
        )
    } else {
        return None;
    };
    Some(Finding {
        category: Category::BoundaryViolation,
        message,
        subject: Some(path.to_owned()),
        help,
        output: None,
        package: None,
    })
}
