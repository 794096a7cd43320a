//! What each effect does, with git and on disk. Every result follows from the state alone, so that doing it twice is
//! harmless. Decides nothing, waits for nothing.

use super::cleanup;
use super::command::{Effect, Product};
use super::shared::{EffectError, Shared, commit_worktree};
use super::state::RunState;
use crate::git::{Merge, Swap};
use crate::integrate::message;
use crate::store;
use crate::types::{Attempt, Gate};

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
            let worktree = places.worktree_of(slot);
            store::make_dir(&places.indices())?;
            if let Some(edited) = run.unsaved {
                cleanup::save_edits(shared, state, *task, edited)?;
            }
            repo.prepare_worktree(&worktree, base, &[])?;
            cleanup::link(places, id, &worktree.path)?;
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
                repo.remove_worktree(&places.gate(Gate::Final).path)?;
            }
            let gate = if stage.task.is_none() { Gate::Final } else { Gate::Slot(0) };
            repo.prepare_worktree(&places.gate(gate), commit, &[])?;
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
    let head = commit_worktree(repo, &places.worktree_of(slot), base, &text, at)?;
    repo.set_branch(&state.task_branch(&spec.id), &head, "slimductor: work of an attempt")?;
    let changes = repo.diff(base, &head)?;
    Ok(Product::Collected { head, changes })
}
