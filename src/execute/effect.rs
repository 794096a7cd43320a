//! What each effect does, with git and on disk. Every result follows from the state alone, so that doing it twice is
//! harmless. Decides nothing, waits for nothing.

use super::backend::{Backend, BackendError};
use super::brief::{self, Surroundings};
use super::cleanup;
use super::decide::{self, Effect, Product, Trouble};
use super::job::{self, Spec};
use super::state::{RunState, Step};
use super::watch::Hub;
use super::worktree::Places;
use crate::git::{GitError, Merge, Repo, Swap};
use crate::integrate::message;
use crate::store::{self, Mode, StoreError};
use crate::types::{Attempt, JobId, Sha};

/// What effects share; every one runs on its own thread or task.
pub struct Shared {
    /// The repository.
    pub repo: Repo,
    /// Where worktrees, jobs and indices of this run lie.
    pub places: Places,
    /// Where jobs run.
    pub backend: Box<dyn Backend>,
    /// What jobs may see.
    pub around: Surroundings,
    /// Who waits for which directory.
    pub(super) hub: Hub,
}

/// Why an effect failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum EffectError {
    #[error(transparent)]
    Git(#[from] GitError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Job(#[from] job::JobError),
    #[error(transparent)]
    Backend(#[from] BackendError),
    #[error("{0}")]
    State(&'static str),
}

pub(super) fn trouble(error: EffectError) -> Trouble {
    let no_room = match &error {
        EffectError::Store(e) | EffectError::Job(job::JobError::Store(e)) => e.is_no_room(),
        EffectError::Git(e) => e.to_string().contains("No space left on device"),
        EffectError::Job(_) | EffectError::Backend(_) | EffectError::State(_) => false,
    };
    if no_room { Trouble::NoRoom(error.to_string()) } else { Trouble::Refused(error.to_string()) }
}

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
            for (attempt, head) in &run.discarded {
                let branch = state.recovery_branch(id, *attempt);
                repo.set_branch(&branch, head, "slimductor: keep an attempt that did not pass")?;
            }
            repo.delete_branch(&state.task_branch(id))?;
            let (Some(slot), Some(base)) = (run.slot, &run.base) else {
                return Err(EffectError::State("the attempt has no slot"));
            };
            let path = places.slot(slot);
            store::make_dir(&places.indices())?;
            let retried = run.attempts_before > 0 && run.attempt == run.attempts_before + 1;
            let edited = if retried { cleanup::edited(repo, places, run, state.at)? } else { None };
            if let Some(edited) = edited {
                let branch = format!("{}-edited", state.recovery_branch(id, run.attempts_before));
                repo.set_branch(&branch, &edited, "slimductor: keep what a person edited")?;
            }
            repo.prepare_worktree(&path, base, &places.slot_index(slot))?;
            cleanup::link(places, id, &path)?;
            Ok(Product::Nothing)
        }
        Effect::Collect { task, attempt } => collect(shared, state, *task, *attempt),
        Effect::BuildStage { .. } => {
            let stage = state.stage.as_ref().ok_or(EffectError::State("no stage"))?;
            let Some(task) = stage.task else {
                let tree = repo.tree_of(&stage.base)?;
                return Ok(Product::Merged(Merge::Clean { commit: stage.base.clone(), tree }));
            };
            let (run, spec) = (&state.tasks[task], &state.plan.tasks[task]);
            let head = run.head.as_ref().ok_or(EffectError::State("the task has no work"))?;
            let text =
                message::merge(&state.header.run_id, &spec.id, run.attempt, &spec.description);
            Ok(Product::Merged(repo.merge(&stage.base, head, &text, stage.started_at)?))
        }
        Effect::PrepareStage { .. } => {
            let stage = state.stage.as_ref().ok_or(EffectError::State("no stage"))?;
            let commit =
                stage.commit.as_ref().ok_or(EffectError::State("the stage has no commit"))?;
            store::make_dir(&places.indices())?;
            if stage.task.is_none() {
                // The final gate's worktree is fresh, not merely clean.
                repo.remove_worktree(&places.gate())?;
            }
            repo.prepare_worktree(&places.gate(), commit, &places.gate_index())?;
            Ok(Product::Nothing)
        }
        Effect::Land { .. } => {
            let stage = state.stage.as_ref().ok_or(EffectError::State("no stage"))?;
            let commit =
                stage.commit.as_ref().ok_or(EffectError::State("the stage has no commit"))?;
            let branch = state.staging_branch();
            let swap = repo.swap_branch(&branch, Some(&stage.base), commit, "slimductor: land")?;
            if let (Swap::Done, Some(task)) = (&swap, stage.task) {
                let id = &state.plan.tasks[task].id;
                repo.delete_branch(&state.task_branch(id))?;
                cleanup::unlink(places, id)?;
            }
            Ok(Product::Swapped(swap))
        }
        Effect::Promote { to } => {
            Ok(Product::Promoted(repo.fast_forward(&state.header.target, &state.target_tip, to)?))
        }
        Effect::MergeTarget { target } => {
            let staging = state.staging.as_ref().ok_or(EffectError::State("no staging"))?;
            let at = state.target_moved.as_ref().map_or(0, |(_, at)| *at);
            let text = message::merge_target(&state.header.run_id, &state.header.target);
            let merge = repo.merge(staging, target, &text, at)?;
            if let Merge::Clean { commit, .. } = &merge {
                let branch = state.staging_branch();
                match repo.swap_branch(
                    &branch,
                    Some(staging),
                    commit,
                    "slimductor: follow the target",
                )? {
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
        Effect::Work { .. } | Effect::Check { .. } | Effect::CheckStage { .. } => {
            Err(EffectError::State("a job is not performed"))
        }
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
    let at = run.worker_ended_at.unwrap_or(state.at);
    let head = commit_slot(repo, places, slot, base, &text, at)?;
    repo.set_branch(&state.task_branch(&spec.id), &head, "slimductor: work of an attempt")?;
    let changes = repo.diff(base, &head)?;
    Ok(Product::Collected { head, changes })
}

/// The commit that holds what stands in a slot: the worker's own where it says the same, else one on top.
pub(super) fn commit_slot(
    repo: &Repo,
    places: &Places,
    slot: u32,
    base: &Sha,
    text: &str,
    at: i64,
) -> Result<Sha, EffectError> {
    let path = places.slot(slot);
    let tree = repo.snapshot(&path, &places.slot_index(slot))?;
    if tree == repo.tree_of(base)? {
        return Ok(base.clone());
    }
    let own = repo.worktree_head(&path)?.filter(|h| repo.has_commit(h));
    let own = own.filter(|h| repo.contains(h, base).unwrap_or(false));
    match own {
        Some(own) if repo.tree_of(&own)? == tree => Ok(own),
        own => Ok(repo.commit_tree(&tree, own.as_ref().unwrap_or(base), text, at)?),
    }
}

/// What the job of an effect is to do, and the name that people see.
pub(super) fn make_job(
    shared: &Shared,
    effect: &Effect,
    state: &RunState,
) -> Result<(Spec, String), EffectError> {
    let (repo, places, around) = (&shared.repo, &shared.places, &shared.around);
    let changed = |base: &Sha, head: &Sha| -> Result<Vec<String>, EffectError> {
        let changes = repo.diff(base, head)?.into_iter();
        Ok(changes.filter(|c| c.new_mode != 0).map(|c| c.path).collect())
    };
    match effect {
        Effect::Work { task, attempt } => {
            let run = &state.tasks[*task];
            let slot = run.slot.ok_or(EffectError::State("the attempt has no slot"))?;
            let id = &state.plan.tasks[*task].id;
            let job = JobId::worker(id, *attempt);
            store::make_dir(&places.prompts())?;
            store::make_dir(&places.jobs())?;
            let prompt = brief::prompt(state, *task);
            store::replace(
                &places.prompts().join(format!("{job}.md")),
                prompt.as_bytes(),
                Mode::Private,
            )?;
            let findings = brief::findings(&run.findings);
            store::replace(
                &places.jobs().join(format!("{job}.findings.md")),
                findings.as_bytes(),
                Mode::Private,
            )?;
            Ok((
                brief::worker(around, state, *task, *attempt, &places.slot(slot)),
                format!("worker-{id}"),
            ))
        }
        Effect::Check { task, attempt } => {
            let run = &state.tasks[*task];
            let (Some(slot), Some(base), Some(head)) = (run.slot, &run.base, &run.head) else {
                return Err(EffectError::State("the attempt has no work"));
            };
            let spec = &state.plan.tasks[*task];
            let job = JobId::checks(&spec.id, *attempt);
            let title = format!("check-{}", spec.id);
            let changed = changed(base, head)?;
            let cwd = places.slot(slot);
            Ok((
                brief::checks(around, state, job, &[*task], &spec.verification, &changed, &cwd),
                title,
            ))
        }
        Effect::CheckStage { stage: number } => {
            let stage = state.stage.as_ref().ok_or(EffectError::State("no stage"))?;
            let commit =
                stage.commit.as_ref().ok_or(EffectError::State("the stage has no commit"))?;
            let (tasks, base) = match stage.task {
                Some(task) => (vec![task], &stage.base),
                None => (
                    (0..state.tasks.len())
                        .filter(|t| state.tasks[*t].step == Step::Merged)
                        .collect(),
                    &state.header.base,
                ),
            };
            let changed = changed(base, commit)?;
            let checks = decide::stage_checks(state);
            let cwd = places.gate();
            let job = JobId::gate(*number);
            Ok((
                brief::checks(around, state, job, &tasks, &checks, &changed, &cwd),
                format!("gate-{number}"),
            ))
        }
        Effect::CreateStaging
        | Effect::Prepare { .. }
        | Effect::Collect { .. }
        | Effect::BuildStage { .. }
        | Effect::PrepareStage { .. }
        | Effect::Land { .. }
        | Effect::Promote { .. }
        | Effect::MergeTarget { .. }
        | Effect::CleanUp
        | Effect::DropAnswer { .. } => Err(EffectError::State("not a job")),
    }
}
