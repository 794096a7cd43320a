//! What stands on disk from records that the journal lost (a disk that lied about a sync, a restored copy): found
//! before it is taken for something else. Knows nothing of how records get lost.

use std::path::Path;

use super::job::{self, Spec};
use super::shared::{EffectError, Shared, commit_worktree};
use super::state::RunState;
use crate::git::{Repo, Swap};
use crate::integrate::message;
use crate::store;
use crate::types::{Attempt, JobId, Sha, Slot};

/// Puts a job aside that has the name of the one that is due and is about something else: its result would be believed.
pub(super) fn settle_job(dir: &Path, due: &Spec) -> Result<(), EffectError> {
    if !dir.join("spec.json").exists() {
        return Ok(());
    }
    // What cannot be read any more was read by its wrapper: how it ends is in the exit file.
    let Ok(there) = job::read_spec(dir) else { return Ok(()) };
    if there.about == due.about && there.cwd == due.cwd {
        return Ok(());
    }
    job::stop(dir)?;
    put_aside(dir)
}

/// Whether the attempt's worker was started already, in this very worktree: then that is ready, whatever the journal
/// says. One that was started elsewhere is ended, and what it made is kept.
pub(super) fn was_started(
    shared: &Shared,
    state: &RunState,
    task: usize,
    slot: Slot,
    base: &Sha,
) -> Result<bool, EffectError> {
    let (places, spec) = (&shared.places, &state.plan.tasks[task]);
    let attempt = state.tasks[task].attempt;
    let dir = places.job(&JobId::worker(&spec.id, attempt));
    if !dir.join("spec.json").exists() {
        return Ok(false);
    }
    let worktree = places.worktree_of(slot);
    let ready = worktree.path.exists() && worktree.index.exists();
    let Ok(there) = job::read_spec(&dir) else { return Ok(ready) };
    if there.cwd == worktree.path && there.about == base.as_str() {
        return Ok(ready);
    }
    job::stop(&dir)?;
    keep(shared, state, task, attempt, &there)?;
    put_aside(&dir)?;
    Ok(false)
}

fn keep(
    shared: &Shared,
    state: &RunState,
    task: usize,
    attempt: Attempt,
    there: &Spec,
) -> Result<(), EffectError> {
    let (repo, spec) = (&shared.repo, &state.plan.tasks[task]);
    let used = |slot: &Slot| state.tasks.iter().any(|t| t.slot == Some(*slot) && t.is_active());
    let slots = 0..=Slot::try_from(state.tasks.len()).unwrap_or(Slot::MAX);
    let mut slots = slots.filter(|n| shared.places.slot(*n) == there.cwd);
    let (Some(slot), Some(base)) = (slots.next(), Sha::parse(&there.about)) else { return Ok(()) };
    let worktree = shared.places.worktree_of(slot);
    // What another task does there now is that one's.
    if used(&slot) && state.tasks[task].slot != Some(slot) {
        return Ok(());
    }
    if !worktree.path.exists() || !worktree.index.exists() || !repo.has_commit(&base) {
        return Ok(());
    }
    let text = message::work(&state.header.run_id, &spec.id, attempt, &spec.description);
    let bases = (&base, state.staging.as_ref());
    let head = commit_worktree(shared, &worktree, bases, &text, state.at)?;
    if head != base {
        let branch = format!("{}-lost", state.recovery_branch(&spec.id, attempt));
        repo.set_branch(&branch, &head, "slimductor: keep what the journal does not know of")?;
    }
    Ok(())
}

fn put_aside(dir: &Path) -> Result<(), EffectError> {
    let mut aside = dir.with_extension("stale");
    let mut n = 1;
    while aside.exists() {
        n += 1;
        aside = dir.with_extension(format!("stale-{n}"));
    }
    Ok(store::publish_dir(dir, &aside)?)
}

/// Moves staging from `from` to `to`. A commit there with the words and the tree of `to` is our own, whose record was
/// lost: made again it has another time, and takes its place.
pub(super) fn move_staging(
    repo: &Repo,
    state: &RunState,
    from: Option<&Sha>,
    to: &Sha,
    message: &str,
) -> Result<Swap, EffectError> {
    let branch = state.staging_branch();
    let swap = repo.swap_branch(&branch, from, to, message)?;
    match &swap {
        Swap::Elsewhere(Some(now)) if repo.says_the_same(now, to)? => {
            Ok(repo.swap_branch(&branch, Some(now), to, message)?)
        }
        Swap::Elsewhere(_) | Swap::Done => Ok(swap),
    }
}
