//! What is looked at when a worker has ended, beside its diff: what judges it, its contracts' versions, the lockfiles,
//! and what it says of itself. Gathers; the rules are verify's.

use std::path::Path;

use super::shared::{EffectError, Shared};
use super::state::RunState;
use crate::plan::Task;
use crate::plan::contract::header;
use crate::types::{Category, Change, Finding, Sha};
use crate::verify::tamper;

/// The most that is read of what a worker says of itself, in bytes.
const MAX_STATUS: u64 = 64 * 1024;
/// The file in which workers of the ancestor say how they stand.
pub(super) const STATUS: &str = ".task-status.json";

fn finding(category: Category, message: String, subject: &str, help: &str) -> Finding {
    Finding {
        category,
        message,
        subject: Some(subject.to_owned()),
        help: help.to_owned(),
        output: None,
        package: None,
    }
}

/// Changes of what judges the task, and of the environment that all work is judged in.
pub(super) fn tampering(
    shared: &Shared,
    state: &RunState,
    task: &Task,
    changes: &[Change],
) -> Vec<Finding> {
    let mut found = tamper::judge(task, changes);
    let name = |path: &str| path.rsplit('/').next().unwrap_or(path).to_owned();
    let locks = &shared.config.boundaries.lockfiles;
    for change in changes.iter().filter(|c| locks.contains(&name(&c.path))) {
        let run = state.environment.get(..10).unwrap_or(&state.environment);
        found.push(finding(
            Category::EnvIssue,
            format!("the environment is not the run's ({run}): {} differs", change.path),
            &change.path,
            "leave lockfiles alone; say which packages are needed, and the engine installs them",
        ));
    }
    found
}

/// The contracts of the task whose file in `head` no longer says the version that the plan pins.
pub(super) fn contracts(
    shared: &Shared,
    state: &RunState,
    task: &Task,
    head: &Sha,
) -> Result<Vec<Finding>, EffectError> {
    let mut found = Vec::new();
    for contract in state.plan.contracts.iter().filter(|c| task.contracts.contains(&c.name)) {
        if task.renegotiates.contains(&contract.name) {
            continue;
        }
        let Some(pinned) = &contract.version else { continue };
        let text = shared.repo.file_at(head, &contract.file_path)?;
        let text = text.map(|t| String::from_utf8_lossy(&t).into_owned());
        let says = text.map(|t| header::read(&contract.file_path, &t));
        let says = says.and_then(|h| h.version).map(|v| v.value);
        if says.as_ref() != Some(pinned) {
            let now = says.unwrap_or_else(|| "nothing".to_owned());
            found.push(finding(
                Category::ContractMismatch,
                format!("the contract {} is pinned at {pinned} and says {now}", contract.name),
                &contract.file_path,
                "work with the version that the plan pins, or ask for a renegotiation",
            ));
        }
    }
    Ok(found)
}

/// What a worker's own status file says, when it says that it is blocked.
pub(super) fn said(worktree: &Path) -> Option<Finding> {
    let path = worktree.join(STATUS);
    let meta = path.symlink_metadata().ok()?;
    if !meta.is_file() || meta.len() > MAX_STATUS {
        return None;
    }
    let value: serde_json::Value = serde_json::from_slice(&std::fs::read(&path).ok()?).ok()?;
    if value.get("status").and_then(|s| s.as_str()) != Some("blocked") {
        return None;
    }
    let text = |key: &str| value.get(key).and_then(|v| v.as_str()).map(str::to_owned);
    let package = match value.get("needs_dependency") {
        Some(serde_json::Value::String(name)) => Some(name.clone()),
        Some(serde_json::Value::Object(fields)) => {
            let named = ["package", "name"].iter().find_map(|k| fields.get(*k)?.as_str());
            let version = fields.get("version").and_then(|v| v.as_str()).unwrap_or("");
            named.map(|name| format!("{name}{version}"))
        }
        Some(serde_json::Value::Array(list)) => {
            let names: Vec<&str> = list.iter().filter_map(|v| v.as_str()).collect();
            (!names.is_empty()).then(|| names.join(" "))
        }
        _ => None,
    };
    let reason = text("blocked_reason").unwrap_or_else(|| "it does not say why".to_owned());
    let reason: String = reason.chars().filter(|c| !c.is_control()).take(200).collect();
    Some(Finding {
        category: Category::MissingDependency,
        message: format!("the worker says that it is blocked: {reason}"),
        subject: Some(STATUS.to_owned()),
        help: "give it what it asks for: `slimductor approve`, or `retry` when that is done"
            .to_owned(),
        output: None,
        package,
    })
}
