//! What is looked at when a worker has ended, beside its diff: what judges it, its contracts' versions, the lockfiles,
//! and what it says of itself. Gathers; the rules are verify's.

use std::path::{Path, PathBuf};

use super::fence::Mode;
use super::shared::{EffectError, Shared};
use super::state::{RunState, TaskRun};
use crate::plan::Task;
use crate::plan::contract::header;
use crate::types::{Category, Change, Finding, Sha, sha256};
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
    run: &TaskRun,
    task: &Task,
    changes: &[Change],
) -> Vec<Finding> {
    let mut found = tamper::judge(task, changes);
    let name = |path: &str| path.rsplit('/').next().unwrap_or(path).to_owned();
    let locks = &shared.config.boundaries.lockfiles;
    for change in changes.iter().filter(|c| locks.contains(&name(&c.path))) {
        // The one that the attempt began with: another may have been installed meanwhile.
        let run = run.environment.get(..10).unwrap_or(&run.environment);
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
    let text = |key: &str| value.get(key).and_then(|v| v.as_str()).map(str::to_owned);
    let status = text("status").unwrap_or_default();
    if status == "failed" {
        let why = text("error").or_else(|| text("blocked_reason")).unwrap_or_default();
        let why: String = why.chars().filter(|c| !c.is_control()).take(200).collect();
        return Some(finding(
            Category::Crash,
            format!("the worker says that it failed: {why}").trim_end_matches(": ").to_owned(),
            "",
            "its output says why",
        ));
    }
    if status != "blocked" {
        return None;
    }
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

/// One word for what of the repository no worker may change and the fence may not keep: configuration, hooks and the
/// like, and what the run was made from. `None` behind namespaces, which keep all of it.
pub(super) fn around(shared: &Shared) -> Option<String> {
    if shared.around.walls.mode == Mode::Namespace {
        return None;
    }
    let common = shared.repo.common();
    let mut text = String::new();
    let plain =
        ["config", "config.worktree", "info/exclude", "info/attributes", "objects/info/alternates"];
    let mut files: Vec<PathBuf> = plain.iter().map(|name| common.join(name)).collect();
    files.push(shared.places.plan());
    files.push(shared.places.config());
    let hooks = std::fs::read_dir(common.join("hooks")).into_iter().flatten().flatten();
    files.extend(hooks.map(|entry| entry.path()));
    files.sort();
    for path in files {
        let bytes = std::fs::read(&path).unwrap_or_default();
        text.push_str(&format!("{} {}\n", path.display(), sha256(&bytes)));
    }
    Some(sha256(text.as_bytes()))
}

/// The finding when that is not as it was before the worker began.
pub(super) fn disturbed(shared: &Shared, before: Option<&str>) -> Option<Finding> {
    let now = around(shared)?;
    (before.is_some_and(|b| b != now)).then(|| {
        finding(
            Category::Tampering,
            "the repository's configuration, hooks or the run's own files changed while it ran"
                .to_owned(),
            ".git",
            "no fence holds here: look at `.git/config` and `.git/hooks` before you go on",
        )
    })
}
