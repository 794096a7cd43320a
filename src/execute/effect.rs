//! What each effect does, with git and on disk. Every result follows from the state alone, so that doing it twice is
//! harmless. Decides nothing, waits for nothing.

use std::path::Path;

use super::cleanup;
use super::command::{Effect, Product};
use super::event::GateOn;
use super::shared::{EffectError, Shared, commit_worktree, own_commits};
use super::state::{GateRun, RunState, Stage};
use super::worktree::Places;
use super::{evidence, hot, install, job, lost};
use crate::git::{FastForward, Merge, Swap, Worktree};
use crate::integrate::message;
use crate::store::{self, Mode, StoreError};
use crate::types::{Attempt, Gate, GateNumber, JobId, Millis, Sha, StageNumber, TaskId};

/// Effects that end by themselves. Each has a deterministic result, so that doing it twice is harmless.
pub(super) fn perform(
    shared: &Shared,
    effect: &Effect,
    state: &RunState,
) -> Result<Product, EffectError> {
    let (repo, places) = (&shared.repo, &shared.places);
    match effect {
        Effect::CreateStaging => {
            let (branch, base) = (state.staging_branch(), &state.header.base);
            Ok(Product::Swapped(repo.swap_branch(&branch, None, base, "slimductor: begin")?))
        }
        Effect::Prepare { task, .. } => {
            let run = &state.tasks[*task];
            let id = &state.plan.tasks[*task].id;
            let staging = state.staging.as_ref();
            let landed =
                |head: &Sha| staging.is_some_and(|s| repo.contains(s, head).unwrap_or(false));
            // One that made nothing, or whose work was dropped, stands where it began.
            for (attempt, head) in run.discarded.iter().filter(|(_, head)| !landed(head)) {
                let branch = state.recovery_branch(id, *attempt);
                repo.set_branch(&branch, head, "slimductor: keep an attempt that did not pass")?;
            }
            repo.delete_branch(&state.task_branch(id))?;
            let (Some(slot), Some(base)) = (run.slot, &run.base) else {
                return Err(EffectError::State("the attempt has no slot"));
            };
            let worktree = places.worktree_of(slot);
            store::make_dir(&places.indices())?;
            store::make_dir(&places.gitdirs())?;
            if let Some((edited, slot)) = run.unsaved.filter(|_| !state.force) {
                cleanup::save_edits(shared, state, *task, edited, slot)?;
            }
            if !lost::was_started(shared, state, *task, slot, base)? {
                make_worktree(shared, &worktree, base)?;
            }
            cleanup::link(places, id, &worktree.path)?;
            Ok(Product::Prepared { around: evidence::around(shared) })
        }
        Effect::Collect { task, attempt } => collect(shared, state, *task, *attempt),
        Effect::BuildStage { stage } => {
            restore_merges(shared, state)?;
            let stage = stage_of(state, *stage)?;
            merged(shared, state, stage.task, &stage.base, stage.started_at)
        }
        Effect::BuildGate { gate } => {
            let run = gate_of(state, *gate)?;
            let GateOn::With { landed, task } = &run.on else {
                return Err(EffectError::State("only a pair is merged for the gate"));
            };
            with(shared, state, run, task, *landed)
        }
        Effect::PrepareGate { gate } => {
            restore_merges(shared, state)?;
            let run = gate_of(state, *gate)?;
            let commit = run.commit.as_ref().ok_or(EffectError::State("a gate without a tree"))?;
            store::make_dir(&places.indices())?;
            store::make_dir(&places.gitdirs())?;
            let worktree = places.gate(run.place);
            if run.place == Gate::Final {
                // The final gate's worktree is fresh, not merely clean.
                repo.remove_worktree(&worktree.path)?;
            }
            make_worktree(shared, &worktree, commit)?;
            Ok(Product::Nothing)
        }
        Effect::StopGate { gate } => {
            job::stop(&places.job(&JobId::gate(*gate)))?;
            // Asked again until whoever waits for its commands has seen their end: not at full speed.
            std::thread::sleep(std::time::Duration::from_millis(20));
            Ok(Product::Nothing)
        }
        Effect::Land { stage } => {
            restore_merges(shared, state)?;
            let stage = stage_of(state, *stage)?;
            let commit =
                stage.commit.as_ref().ok_or(EffectError::State("the stage has no commit"))?;
            let from = state.staging.as_ref();
            let swap = lost::move_staging(repo, state, from, commit, "slimductor: land")?;
            if swap == Swap::Done {
                for landed in state.train.iter().take_while(|s| s.number <= stage.number) {
                    let id = &state.plan.tasks[landed.task].id;
                    repo.delete_branch(&state.task_branch(id))?;
                    cleanup::unlink(places, id)?;
                }
            }
            Ok(Product::Swapped(swap))
        }
        Effect::PrepareInstall { .. } => {
            let install = state.install.as_ref().ok_or(EffectError::State("no installation"))?;
            store::make_dir(&places.indices())?;
            store::make_dir(&places.gitdirs())?;
            let worktree = places.gate(Gate::Final);
            repo.remove_worktree(&worktree.path)?;
            repo.prepare_worktree(&worktree, &install.base, &[])?;
            settle(places, &worktree)?;
            Ok(Product::Nothing)
        }
        Effect::CommitInstall { .. } => install::commit(shared, state),
        Effect::Propose { to } => {
            let branch = state.staging_branch();
            let (url, command) =
                repo.propose(&branch, to, &state.header.target, &state.header.request)?;
            Ok(Product::Proposed { url, command })
        }
        Effect::Promote { to } => {
            let (target, from) = (&state.header.target, &state.target_tip);
            // One at a time: two runs that move a checkout at once undo each other's index.
            let _alone = alone(&places.root)?;
            match repo.fast_forward(target, from, to) {
                Ok(moved) => Ok(Product::Promoted(moved)),
                // What is refused must have moved nothing: an answer is taken after that.
                Err(error) => match repo.branch_tip(target) {
                    Ok(Some(now)) if now == *to => Ok(Product::Promoted(FastForward::Done)),
                    Ok(_) => Err(error.into()),
                    Err(_) => Err(EffectError::Unclear { target: target.clone(), error }),
                },
            }
        }
        Effect::MergeTarget { target } => {
            let staging = state.staging.as_ref().ok_or(EffectError::State("no staging"))?;
            let at = state.target_moved.as_ref().map_or(0, |(_, at)| *at);
            let text = message::merge_target(&state.header.run_id, &state.header.target);
            let merge = repo.merge(staging, target, &text, at)?;
            if let Merge::Clean { commit, .. } = &merge {
                let text = "slimductor: follow the target";
                match lost::move_staging(repo, state, Some(staging), commit, text)? {
                    Swap::Done => {}
                    Swap::Elsewhere(_) => {
                        return Err(EffectError::State("staging was moved by somebody else"));
                    }
                }
            }
            Ok(Product::Merged(merge))
        }
        Effect::CleanUp => cleanup::clean_up(shared, state),
        Effect::DropAnswer { id } => {
            store::remove(&places.answers().join(format!("{id}.json")))?;
            Ok(Product::Nothing)
        }
        Effect::Work { .. }
        | Effect::Check { .. }
        | Effect::CheckGate { .. }
        | Effect::RunInstall { .. }
        | Effect::Review { .. } => Err(EffectError::State("a job is not performed")),
    }
}

/// Commits what stands in the attempt's worktree, and says how it differs from the base.
pub(super) fn collect(
    shared: &Shared,
    state: &RunState,
    task: usize,
    attempt: Attempt,
) -> Result<Product, EffectError> {
    let (repo, places) = (&shared.repo, &shared.places);
    let (run, spec) = (&state.tasks[task], &state.plan.tasks[task]);
    let (Some(slot), Some(base)) = (run.slot, &run.base) else {
        return Err(EffectError::State("the attempt has no slot"));
    };
    let text = message::work(&state.header.run_id, &spec.id, attempt, &spec.description);
    store::make_dir(&places.indices())?;
    // Of a fix the worktree shows what the checks of the last attempt were to see.
    for shown in run.discarded.values().next_back().into_iter().chain([base]) {
        hot::hide(shared, spec, shown, &places.slot(slot))?;
    }
    let at = run.worker_ended_at.unwrap_or(state.at);
    let worktree = places.worktree_of(slot);
    let bases = (base, state.staging.as_ref());
    let head = if state.force && state.tainted.contains(&slot) {
        // Its worker was cut down, and `resume --force` keeps only what it had committed itself.
        own_commits(shared, &worktree, bases)
    } else {
        match commit_worktree(shared, &worktree, bases, &text, at) {
            Err(_) if state.force => own_commits(shared, &worktree, bases),
            other => other?,
        }
    };
    repo.set_branch(&state.task_branch(&spec.id), &head, "slimductor: work of an attempt")?;
    let changes = repo.diff(base, &head)?;
    let mut found = evidence::tampering(shared, run, spec, &changes);
    found.extend(evidence::contracts(shared, state, spec, &head)?);
    found.extend(evidence::disturbed(shared, run.around.as_deref()));
    found.extend(hot::judge(shared, spec, &changes, &head)?);
    found.extend(evidence::said(&places.worktree_of(slot).path));
    Ok(Product::Collected { head, changes, found })
}

/// Puts what is not committed into a worktree: copies, and links to the checkout. What is committed there wins.
fn furnish(shared: &Shared, worktree: &Path) -> Result<(), EffectError> {
    let root = shared.repo.root();
    let settings = &shared.config.worktree;
    let inside = |name: &&String| {
        let path = Path::new(name.trim_end_matches('/'));
        let plain = path.components().all(|c| matches!(c, std::path::Component::Normal(_)));
        plain && !name.trim_end_matches('/').is_empty()
    };
    // A kept directory may have become a link to anywhere.
    let way = |name: &str| {
        let above = Path::new(name).ancestors().skip(1);
        above.map(|a| worktree.join(a)).all(|a| !a.is_symlink())
    };
    let free = |name: &str| way(name) && worktree.join(name).symlink_metadata().is_err();
    for name in settings.copy.iter().filter(inside) {
        let from = root.join(name);
        if from.is_file() && free(name) {
            let bytes = std::fs::read(&from).map_err(|source| StoreError {
                action: "copy",
                path: from.clone(),
                source,
            })?;
            store::make_dir(worktree.join(name).parent().unwrap_or(worktree))?;
            store::replace(&worktree.join(name), &bytes, Mode::Private)?;
        }
    }
    for name in settings.symlink.iter().filter(inside).map(|n| n.trim_end_matches('/')) {
        if root.join(name).exists() && free(name) {
            store::make_dir(worktree.join(name).parent().unwrap_or(worktree))?;
            store::link(&root.join(name), &worktree.join(name))?;
        }
    }
    Ok(())
}

fn stage_of(state: &RunState, number: StageNumber) -> Result<&Stage, EffectError> {
    let found = state.train.iter().find(|s| s.number == number);
    found.ok_or(EffectError::State("no such stage"))
}

fn gate_of(state: &RunState, number: GateNumber) -> Result<&GateRun, EffectError> {
    let found = state.gates.iter().find(|g| g.number == number);
    found.ok_or(EffectError::State("no such gate"))
}

/// Makes a worktree hold exactly `commit`, with what belongs there besides, durably.
pub(super) fn make_worktree(
    shared: &Shared,
    worktree: &Worktree,
    commit: &Sha,
) -> Result<(), EffectError> {
    shared.repo.prepare_worktree(worktree, commit, &shared.keep)?;
    furnish(shared, &worktree.path)?;
    settle(&shared.places, worktree)
}

/// Puts a worktree that was just made, and the engine's index of it, on the disk: the journal will say that it is ready,
/// and after a power cut somebody would work on empty files.
fn settle(places: &Places, worktree: &Worktree) -> Result<(), EffectError> {
    store::sync_all(&worktree.path)?;
    if !store::same_disk(&worktree.path, &places.run_dir()) {
        store::sync_all(&places.run_dir())?;
    }
    Ok(())
}

/// How often the promotion of another run is waited for, in tries of a tenth of a second.
const PROMOTION_TRIES: u32 = 600;

/// The lock under which checkouts are moved.
fn alone(root: &Path) -> Result<store::Lock, EffectError> {
    let path = root.join(".orchestrator/promote.lock");
    for _ in 0..PROMOTION_TRIES {
        // With its own short tries.
        if let Some(lock) = store::Lock::try_take(&path)? {
            return Ok(lock);
        }
    }
    Err(EffectError::State("another run has been moving its target for a minute"))
}

/// Makes the merges again that the journal names and the repository has no more: until they land no branch holds them,
/// and somebody's `git gc` may have taken them away.
pub(super) fn restore_merges(shared: &Shared, state: &RunState) -> Result<(), EffectError> {
    let again = |commit: &Sha, made: Product| {
        let Product::Merged(Merge::Clean { commit: made, .. }) = made else {
            return Err(EffectError::State("a merge that is gone does not merge any more"));
        };
        let same = made == *commit;
        same.then_some(()).ok_or(EffectError::State("a merge that is gone came out otherwise"))
    };
    for stage in &state.train {
        let Some(commit) = stage.commit.as_ref().filter(|c| !shared.repo.has_commit(c)) else {
            continue;
        };
        again(commit, merged(shared, state, stage.task, &stage.base, stage.started_at)?)?;
    }
    for run in &state.gates {
        let gone = run.commit.as_ref().filter(|c| !shared.repo.has_commit(c));
        if let (Some(commit), GateOn::With { landed, task }) = (gone, &run.on) {
            again(commit, with(shared, state, run, task, *landed)?)?;
        }
    }
    Ok(())
}

/// A task's work merged onto staging as it was after so many landings.
fn with(
    shared: &Shared,
    state: &RunState,
    run: &GateRun,
    task: &TaskId,
    landed: usize,
) -> Result<Product, EffectError> {
    let task = state.plan.index_of(task);
    let task = task.ok_or(EffectError::State("a gate about no task"))?;
    let onto = match landed {
        0 => &state.header.base,
        n => &state.landed.get(n - 1).ok_or(EffectError::State("no such landing"))?.1,
    };
    merged(shared, state, task, onto, run.started_at)
}

/// A task's work merged onto `onto`.
fn merged(
    shared: &Shared,
    state: &RunState,
    task: usize,
    onto: &Sha,
    at: Millis,
) -> Result<Product, EffectError> {
    let (run, spec) = (&state.tasks[task], &state.plan.tasks[task]);
    let head = run.head.as_ref().ok_or(EffectError::State("the task has no work"))?;
    let text = message::merge(&state.header.run_id, &spec.id, run.attempt, &spec.description);
    let merge = shared.repo.merge(onto, head, &text, at)?;
    Ok(Product::Merged(hot::with_intents(shared, spec, merge)?))
}
