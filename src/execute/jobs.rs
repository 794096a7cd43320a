//! Which job an effect stands for: its spec, made from the state. Starts nothing.

use super::brief;
use super::command::Effect;
use super::job::Spec;
use super::shared::{EffectError, Shared};
use super::state::RunState;
use crate::store::{self, Mode};
use crate::types::{Gate, JobId, Sha};

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
                brief::worker(around, state, *task, *attempt, &places.worktree_of(slot)),
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
            let own: Vec<_> = spec.verification.iter().map(|c| (Some(*task), c.clone())).collect();
            let changed = changed(base, head)?;
            let made = brief::checks(
                around,
                state,
                job,
                Some(*task),
                &own,
                &changed,
                &places.worktree_of(slot),
            );
            Ok((made, format!("check-{}", spec.id)))
        }
        Effect::CheckStage { stage: number } => {
            let stage = state.stage.as_ref().ok_or(EffectError::State("no stage"))?;
            let commit =
                stage.commit.as_ref().ok_or(EffectError::State("the stage has no commit"))?;
            let base = if stage.task.is_some() { &stage.base } else { &state.header.base };
            let changed = changed(base, commit)?;
            let checks = state.stage_checks();
            let job = JobId::gate(*number);
            let gate = if stage.task.is_none() { Gate::Final } else { Gate::Slot(0) };
            let spec = brief::checks(
                around,
                state,
                job,
                stage.task,
                &checks,
                &changed,
                &places.gate(gate),
            );
            Ok((spec, format!("gate-{number}")))
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
