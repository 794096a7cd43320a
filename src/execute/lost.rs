//! What stands on disk from records that the journal lost (a disk that lied about a sync, a restored copy): found
//! before it is taken for something else. Knows nothing of how records get lost.

use std::path::{Path, PathBuf};

use super::command::Effect;
use super::effect;
use super::job::{self, Probe, Spec};
use super::shared::{EffectError, Shared, commit_worktree};
use super::state::RunState;
use crate::git::{Repo, Swap};
use crate::integrate::message;
use crate::store::{self, Mode, StoreError};
use crate::types::{Attempt, JobId, Sha, Slot};

/// Puts a job aside that has the name of the one that is due and is about something else: its result would be believed.
pub(super) fn settle_job(shared: &Shared, dir: &Path, due: &Spec) -> Result<(), EffectError> {
    if !dir.join("spec.json").exists() {
        return Ok(());
    }
    // What cannot be read any more was read by its wrapper: how it ends is in the exit file.
    let Ok(there) = job::read_spec(dir) else { return Ok(()) };
    if there.about == due.about && there.cwd.file_name() == due.cwd.file_name() {
        // In a repository that was moved its paths are old ones: what has begun goes on, what has not begins anew.
        let begun = there.cwd == due.cwd || dir.join("pid.json").exists();
        return if begun { Ok(()) } else { put_aside(shared, dir, STALE) };
    }
    job::stop(dir)?;
    if due.leaves && put_full_aside(dir)? {
        // A worker's worktree holds what that one left: it is kept and made anew, see `begin_again`.
        return Ok(());
    }
    put_aside(shared, dir, STALE)
}

/// What the directory of a job is called that was about something else.
const STALE: &str = "stale";
/// What the directory of a job is called that failed because its disk was full.
pub(super) const FULL: &str = "full";

/// A worker whose disk was full is begun again, as the same attempt: what it left is kept, its worktree is made anew.
/// Done again where it was cut off; once the worker's job is there, it is behind us.
pub(super) fn begin_again(
    shared: &Shared,
    state: &RunState,
    effect: &Effect,
) -> Result<(), EffectError> {
    let Effect::Work { task, attempt } = effect else { return Ok(()) };
    let (run, spec) = (&state.tasks[*task], &state.plan.tasks[*task]);
    let dir = shared.places.job(&JobId::worker(&spec.id, *attempt));
    if job::why_it_died(&dir).is_some() && matches!(job::probe(&dir)?, Probe::Dead) {
        // Its wrapper said why while nobody was there to hear it.
        put_full_aside(&dir)?;
    }
    let Some(aside) = full_asides(&dir).pop().filter(|_| !dir.exists()) else { return Ok(()) };
    let (Some(slot), Some(base)) = (run.slot, &run.base) else {
        return Err(EffectError::State("the attempt has no slot"));
    };
    job::end_orphans(&aside);
    shared.backend.forget(&aside)?;
    let worktree = shared.places.worktree_of(slot);
    // After this the worktree may be half made anew: a crash must not take that for the worker's.
    let saved = aside.join("saved");
    if !saved.exists() && !state.force {
        let text = message::work(&state.header.run_id, &spec.id, *attempt, &spec.description);
        let bases = (base, state.staging.as_ref());
        let head = commit_worktree(shared, &worktree, bases, &text, state.at)?;
        // No task's id has a `+`.
        let stem = format!("{}+{FULL}", state.recovery_branch(&spec.id, *attempt));
        let mut names = (1..).map(|n| if n == 1 { stem.clone() } else { format!("{stem}-{n}") });
        let free = names.find(|n| shared.repo.branch_tip(n).map_or(true, |tip| tip.is_none()));
        if let Some(branch) = free.filter(|_| head != *base) {
            shared.repo.set_branch(&branch, &head, "slimductor: keep what a full disk cut off")?;
        }
        store::create_new(&saved, b"", Mode::Private)?;
    }
    effect::make_worktree(shared, &worktree, base)
}

/// Whether this job is due to be begun again because of the machine.
pub(super) fn is_begun_again(dir: &Path) -> bool {
    !dir.exists() && !full_asides(dir).is_empty()
}

/// How often a job is begun again as if it never had been. What goes wrong each time is its own fault.
const MOST_AGAIN: usize = 5;

/// Puts a job aside that failed because of the machine; whether that was done.
pub(super) fn put_full_aside(dir: &Path) -> Result<bool, StoreError> {
    let count = full_asides(dir).len();
    if count >= MOST_AGAIN {
        return Ok(false);
    }
    store::publish_dir(dir, &dir.with_extension(format!("{FULL}-{}", count + 1)))?;
    Ok(true)
}

/// Where this job was put aside because of the machine, the first first.
fn full_asides(dir: &Path) -> Vec<PathBuf> {
    let names = (1..=MOST_AGAIN).map(|n| dir.with_extension(format!("{FULL}-{n}")));
    names.take_while(|aside| aside.exists()).collect()
}

/// Whether the job in `dir`, where there is one, is about this commit.
pub(super) fn is_about(dir: &Path, commit: Option<&Sha>) -> bool {
    job::read_spec(dir).map_or(true, |spec| spec.about == commit.map_or("", Sha::as_str))
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
    if there.cwd.file_name() == worktree.path.file_name() && there.about == base.as_str() {
        return Ok(ready);
    }
    job::stop(&dir)?;
    keep(shared, state, task, attempt, &there)?;
    put_aside(shared, &dir, STALE)?;
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
    let mut slots = slots.filter(|n| shared.places.slot(*n).file_name() == there.cwd.file_name());
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

/// Puts the job in `dir` aside, beside those that were before.
pub(super) fn put_aside(shared: &Shared, dir: &Path, word: &str) -> Result<(), EffectError> {
    // What is still to be seen of it would pass for the one that comes in its place.
    shared.backend.forget(dir)?;
    let mut n = 1;
    let mut aside = dir.with_extension(format!("{word}-{n}"));
    while aside.exists() {
        n += 1;
        aside = dir.with_extension(format!("{word}-{n}"));
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
