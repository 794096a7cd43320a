//! Ends and removes what a run made, and the links that show it. Work that did not land stays on recovery
//! branches; what a person edited in a kept worktree stays as well. What cannot be kept is not removed.

use std::path::{Path, PathBuf};

use super::command::Product;
use super::hot;
use super::job::{self, Probe};
use super::lost;
use super::shared::{EffectError, Shared, commit_worktree, own_commits};
use super::state::{RunState, Step};
use super::worktree::Places;
use crate::git::Repo;
use crate::integrate::message;
use crate::store::{self, Mode};
use crate::types::{Attempt, Sha, Slot, TaskId};

/// Removes jobs, worktrees, branches and links of the run, and says which branches were kept.
pub(super) fn clean_up(shared: &Shared, state: &RunState) -> Result<Product, EffectError> {
    let (repo, places) = (&shared.repo, &shared.places);
    if state.aborting {
        // Also those that are only being made at this moment.
        job::cancel_all(&places.jobs())?;
        for dir in places.jobs_on_disk() {
            if !matches!(job::probe(&dir)?, Probe::Ended(_)) {
                job::stop(&dir)?;
            }
        }
    }
    shared.backend.forget(&places.jobs())?;
    let (mut kept, mut spared) = (Vec::new(), Vec::new());
    let branches = repo.branches()?;
    for (task, run) in state.tasks.iter().enumerate() {
        let id = &state.plan.tasks[task].id;
        if run.step == Step::Merged {
            for attempt in run.discarded.keys() {
                repo.delete_branch(&state.recovery_branch(id, *attempt))?;
            }
            for attempt in 1..=run.attempt {
                let cut_off = format!("{}+{}", state.recovery_branch(id, attempt), lost::FULL);
                for (name, _) in branches.iter().filter(|(n, _)| n.starts_with(&cut_off)) {
                    repo.delete_branch(name)?;
                }
            }
        } else if let Err(error) = keep_unmerged(shared, state, task, &mut kept) {
            // What cannot be kept on a branch is not removed either: worktree and task branch stay.
            let Some(slot) = run.unsaved.map(|(_, slot)| slot).or(run.slot) else {
                return Err(error);
            };
            spared.push(places.slot(slot));
            kept.push(format!("{} ({error})", places.slot(slot).display()));
            continue;
        }
        repo.delete_branch(&state.task_branch(id))?;
        unlink(places, id)?;
    }
    let mut worktrees = places.worktrees_on_disk();
    let known = repo.worktrees_in(&places.worktrees());
    worktrees.extend(known.into_iter().filter(|p| places.is_ours_at(p)));
    worktrees.sort();
    worktrees.dedup();
    for path in worktrees.iter().filter(|p| !spared.contains(p)) {
        // A directory that cannot be removed is told of; the run is over all the same.
        if let Err(error) = repo.remove_worktree(path) {
            kept.push(format!("{} ({error})", path.display()));
        }
    }
    if spared.is_empty() {
        // With its index a spared worktree is tried again, should a crash make this be done twice.
        store::remove_dir(&places.indices())?;
        store::remove_dir(&places.gitdirs())?;
    }
    for left in places.link_temps() {
        store::remove(&left)?;
    }
    store::remove_empty_dir(&places.worktrees());
    keep_staging(repo, state, &mut kept)?;
    Ok(Product::CleanedUp { kept })
}

/// Puts what a task that did not land has to show on recovery branches. One that is there already is whole, and
/// stays: after a crash the worktree behind it may be half gone.
fn keep_unmerged(
    shared: &Shared,
    state: &RunState,
    task: usize,
    kept: &mut Vec<String>,
) -> Result<(), EffectError> {
    let (repo, places) = (&shared.repo, &shared.places);
    let (run, spec) = (&state.tasks[task], &state.plan.tasks[task]);
    let branch = |attempt| state.recovery_branch(&spec.id, attempt);
    let mut keep = |branch: String, head: Sha| -> Result<(), EffectError> {
        let staging = state.staging.as_ref();
        if staging.is_some_and(|s| repo.contains(s, &head).unwrap_or(false)) {
            return Ok(());
        }
        repo.set_branch(&branch, &head, "slimductor: keep work that did not land")?;
        kept.push(branch);
        Ok(())
    };
    for (attempt, head) in &run.discarded {
        keep(branch(*attempt), head.clone())?;
    }
    if let Some(head) = &run.head {
        return keep(branch(run.attempt), head.clone());
    }
    if let (Some(slot), Some(base), true) = (run.slot, &run.base, run.is_active()) {
        // A worker that was cut down: what it had written is kept.
        let name = branch(run.attempt);
        if let Some(head) = repo.branch_tip(&name)? {
            return keep(name, head);
        }
        let worktree = places.worktree_of(slot);
        if state.force {
            return keep(name, own_commits(shared, &worktree, (base, state.staging.as_ref())));
        }
        if worktree.index.exists() && worktree.path.exists() {
            let text =
                message::work(&state.header.run_id, &spec.id, run.attempt, &spec.description);
            let head = commit_worktree(
                shared,
                &worktree,
                (base, state.staging.as_ref()),
                &text,
                state.at,
            )?;
            return keep(name, head);
        }
        return Ok(());
    }
    if state.force {
        return Ok(());
    }
    let kept_in = run.unsaved.or(run.slot.map(|slot| (run.attempt, slot)));
    let Some((attempt, slot)) = kept_in else { return Ok(()) };
    if let Some(name) = save_edits(shared, state, task, attempt, slot)? {
        kept.push(name);
    }
    Ok(())
}

/// Keeps what a person changed in the kept worktree of a failed attempt on a branch of its own, once; says which.
pub(super) fn save_edits(
    shared: &Shared,
    state: &RunState,
    task: usize,
    attempt: Attempt,
    slot: Slot,
) -> Result<Option<String>, EffectError> {
    let (repo, places) = (&shared.repo, &shared.places);
    let (run, id) = (&state.tasks[task], &state.plan.tasks[task].id);
    let branch = format!("{}-edited", state.recovery_branch(id, attempt));
    if repo.branch_tip(&branch)?.is_some() {
        return Ok(Some(branch));
    }
    let worktree = places.worktree_of(slot);
    // After this the worktree may be half made anew: a crash must not take that for a person's work.
    let saved = places.indices().join(format!("{id}-{attempt}.saved"));
    if saved.exists() || !worktree.path.exists() || !worktree.index.exists() {
        return Ok(None);
    }
    let last = match run.discarded.get(&attempt) {
        Some(head) => Some(head.clone()),
        // It could not be committed at the time.
        None => run.base.as_ref().and_then(|base| repo.take_head(&worktree, base)),
    };
    let last = last.ok_or(EffectError::State("the kept worktree stands at no commit"))?;
    hot::hide(shared, &state.plan.tasks[task], &last, &worktree.path)?;
    let tree = repo.snapshot(&worktree, &shared.furnished(&last))?;
    let mut edited = tree != repo.tree_of(&last)?;
    if edited {
        let text = "Edited by hand in the kept worktree\n";
        let commit = repo.commit_tree(&tree, &last, text, state.at)?;
        let changes = repo.diff(&last, &commit)?;
        let rules = shared.config.boundaries.forbidden(changes.len());
        // Caches that the checks left there are nobody's work.
        edited = changes.iter().any(|c| rules.rule(&c.path).is_none());
        if !edited {
            store::create_new(&saved, b"", Mode::Private)?;
            return Ok(None);
        }
        repo.set_branch(&branch, &commit, "slimductor: keep what a person edited")?;
    }
    store::create_new(&saved, b"", Mode::Private)?;
    Ok(edited.then_some(branch))
}

/// The staging branch goes with the run, unless it holds what nothing else does.
fn keep_staging(repo: &Repo, state: &RunState, kept: &mut Vec<String>) -> Result<(), EffectError> {
    let branch = state.staging_branch();
    if let (Some(tip), Some(staging)) = (repo.branch_tip(&branch)?, &state.staging)
        && tip != *staging
        && !repo.contains(staging, &tip)?
    {
        // Somebody committed there: that is not ours to drop.
        let edited = format!("slimductor/{}/recovery/staging-edited", state.header.run_id);
        repo.set_branch(&edited, &tip, "slimductor: keep what a person committed on staging")?;
        kept.push(edited);
    }
    let landed = state.tasks.iter().any(|t| t.step == Step::Merged);
    let stays = state.promoted.is_none() && landed && !state.aborting;
    if let (true, None, Some(staging)) = (stays, repo.branch_tip(&branch)?, &state.staging) {
        // Somebody removed it, and nothing else holds what landed.
        repo.set_branch(&branch, staging, "slimductor: keep what landed")?;
    }
    if state.replanning {
        // The next run starts from it, and takes it over.
        return Ok(());
    }
    if stays {
        kept.push(branch);
        return Ok(());
    }
    if let (true, true, Some(staging)) = (state.aborting, landed, &state.staging) {
        let recovery = format!("slimductor/{}/recovery/staging", state.header.run_id);
        repo.set_branch(&recovery, staging, "slimductor: keep what had landed")?;
        kept.push(recovery);
    }
    if repo.is_checked_out(&branch) {
        // As git does it: who stands on a branch keeps it.
        kept.push(format!("{branch} (it is checked out)"));
        return Ok(());
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
