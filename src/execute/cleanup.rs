//! Ends and removes what a run made. Work that did not land stays on recovery branches; what a person edited in a
//! kept worktree stays as well.

use std::path::{Path, PathBuf};

use super::command::Product;
use super::job::{self, Probe};
use super::shared::{EffectError, Shared, commit_slot};
use super::state::{RunState, Step, TaskRun};
use super::worktree::Places;
use crate::git::Repo;
use crate::integrate::message;
use crate::store;
use crate::types::{Sha, TaskId};

/// Removes jobs, worktrees, branches and links of the run, and says which branches were kept.
pub(super) fn clean_up(shared: &Shared, state: &RunState) -> Result<Product, EffectError> {
    let (repo, places) = (&shared.repo, &shared.places);
    if state.aborting {
        for dir in places.jobs_on_disk() {
            if !matches!(job::probe(&dir)?, Probe::Ended(_)) {
                job::stop(&dir)?;
            }
        }
    }
    shared.backend.forget(&places.jobs())?;
    let mut kept = Vec::new();
    for (task, run) in state.tasks.iter().enumerate() {
        let id = &state.plan.tasks[task].id;
        if run.step == Step::Merged {
            for attempt in run.discarded.keys() {
                repo.delete_branch(&state.recovery_branch(id, *attempt))?;
            }
        } else {
            keep_unmerged(shared, state, task, &mut kept)?;
        }
        repo.delete_branch(&state.task_branch(id))?;
        unlink(places, id)?;
    }
    for path in places.worktrees_on_disk() {
        repo.remove_worktree(&path)?;
    }
    store::remove_dir(&places.indices())?;
    store::remove_empty_dir(&places.worktrees());
    keep_staging(repo, state, &mut kept)?;
    Ok(Product::CleanedUp { kept })
}

/// Puts what a task that did not land has to show on recovery branches.
fn keep_unmerged(
    shared: &Shared,
    state: &RunState,
    task: usize,
    kept: &mut Vec<String>,
) -> Result<(), EffectError> {
    let (repo, places) = (&shared.repo, &shared.places);
    let (run, spec) = (&state.tasks[task], &state.plan.tasks[task]);
    let branch = |attempt| state.recovery_branch(&spec.id, attempt);
    let mut unmerged: Vec<(String, Sha)> =
        run.discarded.iter().map(|(attempt, head)| (branch(*attempt), head.clone())).collect();
    if let Some(head) = &run.head {
        unmerged.push((branch(run.attempt), head.clone()));
    } else if let (Some(slot), Some(base), true) = (run.slot, &run.base, run.is_active()) {
        // A worker that was cut down: what it had written is kept.
        if places.slot_index(slot).exists() && places.slot(slot).exists() {
            let text =
                message::work(&state.header.run_id, &spec.id, run.attempt, &spec.description);
            let head = commit_slot(repo, places, slot, base, &text, state.at)?;
            unmerged.push((branch(run.attempt), head));
        }
    } else if let Some(edited) = edited(repo, places, run, state.at)? {
        unmerged.push((format!("{}-edited", branch(run.attempt)), edited));
    }
    for (branch, head) in unmerged {
        let staging = state.staging.as_ref();
        if staging.is_some_and(|s| repo.contains(s, &head).unwrap_or(false)) {
            continue;
        }
        repo.set_branch(&branch, &head, "slimductor: keep work that did not land")?;
        kept.push(branch);
    }
    Ok(())
}

/// What a person changed in the kept worktree of a failed attempt, as a commit; `None` when nothing.
pub(super) fn edited(
    repo: &Repo,
    places: &Places,
    run: &TaskRun,
    at: i64,
) -> Result<Option<Sha>, EffectError> {
    let Some(slot) = run.slot else { return Ok(None) };
    let (path, index) = (places.slot(slot), places.slot_index(slot));
    let Some((_, last)) = run.discarded.iter().next_back() else { return Ok(None) };
    // A worktree that stands at the new base was made ready before a crash.
    let remade =
        repo.worktree_head(&path)?.is_some_and(|h| run.base.as_ref() == Some(&h) && *last != h);
    if !path.exists() || !index.exists() || remade {
        return Ok(None);
    }
    let tree = repo.snapshot(&path, &index)?;
    if tree == repo.tree_of(last)? {
        return Ok(None);
    }
    Ok(Some(repo.commit_tree(&tree, last, "Edited by hand in the kept worktree\n", at)?))
}

/// The staging branch goes with the run, unless it holds what nothing else does.
fn keep_staging(repo: &Repo, state: &RunState, kept: &mut Vec<String>) -> Result<(), EffectError> {
    let branch = state.staging_branch();
    let landed = state.tasks.iter().any(|t| t.step == Step::Merged);
    if state.promoted.is_none() && landed && !state.aborting {
        kept.push(branch);
        return Ok(());
    }
    if let (true, true, Some(staging)) = (state.aborting, landed, &state.staging) {
        let recovery = format!("slimductor/{}/recovery/staging", state.header.run_id);
        repo.set_branch(&recovery, staging, "slimductor: keep what had landed")?;
        kept.push(recovery);
    }
    Ok(repo.delete_branch(&branch)?)
}

/// Points `.worktrees/<task-id>` at the worktree that the task is in; what a user put there is left alone.
pub(super) fn link(places: &Places, task: &TaskId, worktree: &Path) -> Result<(), EffectError> {
    let link = places.task_link(task);
    let of_a_run = |to: PathBuf| to.to_string_lossy().contains("-slot");
    let free = link.symlink_metadata().is_err() || std::fs::read_link(&link).is_ok_and(of_a_run);
    if free {
        store::link(Path::new(worktree.file_name().unwrap_or_default()), &link)?;
    }
    Ok(())
}

/// Removes `.worktrees/<task-id>` when it points at a worktree of this run.
pub(super) fn unlink(places: &Places, task: &TaskId) -> Result<(), EffectError> {
    let link = places.task_link(task);
    if std::fs::read_link(&link).is_ok_and(|to| places.is_ours(&to)) {
        store::remove(&link)?;
    }
    Ok(())
}
