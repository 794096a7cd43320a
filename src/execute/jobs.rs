//! Which job an effect stands for: its spec, made from the state. Starts nothing.

use std::collections::BTreeMap;

use super::brief::{self, Checks, Touched};
use super::command::Effect;
use super::effect;
use super::event::GateOn;
use super::job::{Spec, StepSpec};
use super::shared::{EffectError, Shared};
use super::state::RunState;
use super::{hot, install, review, suites};
use crate::store::{self, Mode};
use crate::types::{JobId, Sha};

/// What the job of an effect is to do, and the name that people see.
pub(super) fn make_job(
    shared: &Shared,
    effect: &Effect,
    state: &RunState,
) -> Result<(Spec, String), EffectError> {
    let (mut spec, title) = made(shared, effect, state)?;
    spec.about = about(effect, state).map(Sha::to_string).unwrap_or_default();
    Ok((spec, title))
}

/// The commit that a job starts from or looks at.
pub(super) fn about<'a>(effect: &Effect, state: &'a RunState) -> Option<&'a Sha> {
    #[expect(clippy::wildcard_enum_match_arm, reason = "is_job() says which the others are")]
    match effect {
        Effect::Work { task, .. } => state.tasks[*task].base.as_ref(),
        Effect::Check { task, .. } => state.tasks[*task].head.as_ref(),
        Effect::CheckGate { gate } => {
            state.gates.iter().find(|g| g.number == *gate)?.commit.as_ref()
        }
        Effect::RunInstall { .. } => state.install.as_ref().map(|i| &i.base),
        Effect::Review { .. } => state.review_of.as_ref(),
        _ => None,
    }
}

fn made(shared: &Shared, effect: &Effect, state: &RunState) -> Result<(Spec, String), EffectError> {
    let (places, around) = (&shared.places, &shared.around);
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
            let mut spec = brief::worker(around, state, *task, *attempt, &places.worktree_of(slot));
            spec.steps.splice(0..0, setup(shared));
            Ok((spec, format!("worker-{id}")))
        }
        Effect::Check { task, attempt } => {
            let run = &state.tasks[*task];
            let (Some(slot), Some(base), Some(head)) = (run.slot, &run.base, &run.head) else {
                return Err(EffectError::State("the attempt has no work"));
            };
            let spec = &state.plan.tasks[*task];
            let worktree = places.worktree_of(slot);
            let own: Vec<_> = spec.verification.iter().map(|c| (Some(*task), c.clone())).collect();
            let changed = changed(shared, base, head)?;
            let job = JobId::checks(&spec.id, *attempt);
            let by_task = BTreeMap::new();
            let checks =
                Checks { about: Some(*task), list: &own, changed: &changed, by_task: &by_task };
            let mut made = brief::checks(shared, state, job, &checks, head, &worktree)?;
            for step in &mut made.steps {
                // What passes unchanged is flaky, and no word about the work.
                step.again = true;
            }
            made.steps.extend(suites::signatures(
                shared,
                state,
                &[*task],
                head,
                &changed.there,
                &worktree.path,
            )?);
            generate(&made)?;
            hot::show(shared, spec, head, &worktree.path)?;
            Ok((made, format!("check-{}", spec.id)))
        }
        Effect::CheckGate { gate: number } => {
            effect::restore_merges(shared, state)?;
            let gate = state.gates.iter().find(|g| g.number == *number);
            let gate = gate.ok_or(EffectError::State("no such gate"))?;
            let commit =
                gate.commit.as_ref().ok_or(EffectError::State("the gate has no commit"))?;
            let worktree = places.gate(gate.place);
            let last = gate.on == GateOn::Final;
            let changed = changed(shared, &gate.base, commit)?;
            let (list, detect) = state.gate_checks(gate);
            let about = match gate.tasks.as_slice() {
                [task] if !last => Some(*task),
                _ => None,
            };
            let by_task = shares(shared, state, &gate.tasks, &changed)?;
            let mut list = list;
            if gate.on == GateOn::Base {
                // It is asked whether they pass at all, not whether something touched them.
                list.iter_mut().for_each(|(_, check)| check.paths.clear());
            }
            let checks = Checks { about, list: &list, changed: &changed, by_task: &by_task };
            let job = JobId::gate(*number);
            let mut spec = brief::checks(shared, state, job, &checks, commit, &worktree)?;
            if detect {
                for step in suites::detected(shared, commit, last)? {
                    let same = |s: &StepSpec| {
                        s.command == step.command
                            && s.required >= step.required
                            && s.test >= step.test
                            && s.env == step.env
                    };
                    if !spec.steps.iter().any(same) {
                        spec.steps.push(step);
                    }
                }
            }
            let tasks = &gate.tasks;
            let root = &worktree.path;
            spec.steps.extend(suites::signatures(
                shared,
                state,
                tasks,
                commit,
                &changed.there,
                root,
            )?);
            if matches!(gate.on, GateOn::Prefix { .. }) {
                // What passed on exactly this tree is not run again; at the end, and to find out why, everything is.
                let tree = shared.repo.tree_of(commit)?;
                spec.steps.retain(|s| !state.proven.contains(&(tree.clone(), s.key())));
            }
            if !spec.steps.is_empty() {
                spec.steps.splice(0..0, setup(shared));
            }
            generate(&spec)?;
            Ok((spec, format!("gate-{number}")))
        }
        Effect::RunInstall { number } => {
            Ok((install::job(shared, state)?, format!("install-{number}")))
        }
        Effect::Review { number } => Ok((review::job(shared, state)?, format!("review-{number}"))),
        Effect::CreateStaging
        | Effect::Prepare { .. }
        | Effect::Collect { .. }
        | Effect::BuildStage { .. }
        | Effect::BuildGate { .. }
        | Effect::PrepareGate { .. }
        | Effect::StopGate { .. }
        | Effect::Land { .. }
        | Effect::PrepareInstall { .. }
        | Effect::CommitInstall { .. }
        | Effect::Promote { .. }
        | Effect::Propose { .. }
        | Effect::MergeTarget { .. }
        | Effect::CleanUp
        | Effect::DropAnswer { .. } => Err(EffectError::State("not a job")),
    }
}

/// The paths in which `head` differs from `base`.
fn changed(shared: &Shared, base: &Sha, head: &Sha) -> Result<Touched, EffectError> {
    let changes = shared.repo.diff(base, head)?;
    let there = changes.iter().filter(|c| c.new_mode != 0).map(|c| c.path.clone()).collect();
    Ok(Touched { there, all: changes.into_iter().map(|c| c.path).collect() })
}

/// What each of several tasks changed of all that is `changed`.
fn shares(
    shared: &Shared,
    state: &RunState,
    tasks: &[usize],
    all: &Touched,
) -> Result<BTreeMap<usize, Touched>, EffectError> {
    let mut out = BTreeMap::new();
    for &task in tasks {
        let run = &state.tasks[task];
        // One that an earlier run did has no work of its own here.
        let (Some(base), Some(head)) = (&run.base, &run.head) else { continue };
        let mut own = changed(shared, base, head)?;
        own.there.retain(|path| all.there.contains(path));
        out.insert(task, own);
    }
    Ok(out)
}

/// The commands of `worktree.setup`.
fn setup(shared: &Shared) -> Vec<StepSpec> {
    let commands = shared.config.worktree.setup.iter();
    let steps = commands.map(|command| {
        let (line, limit) = command.parts();
        let mut step = StepSpec::new(line.to_owned(), brief::shell(line), limit);
        step.setup = true;
        step
    });
    steps.collect()
}

/// Puts the generated files of a job into its worktree; a link of that name is replaced, not followed.
fn generate(spec: &Spec) -> Result<(), EffectError> {
    for made in spec.steps.iter().filter_map(|s| s.conformance.as_ref()) {
        for (name, text) in &made.files {
            store::replace(&spec.cwd.join(name), text.as_bytes(), Mode::Shared)?;
        }
    }
    Ok(())
}
