//! The checks of one task by hand, on its worktree as it stands: what `slimductor verify` runs. Changes no run.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::backend::process::Process;
use super::backend::{Backend, Handle};
use super::command::Effect;
use super::hub::Hub;
use super::run::{self, RunError};
use super::shared::{EffectError, Shared};
use super::state::RunState;
use super::worktree::Places;
use super::{evidence, hot, job, jobs, surroundings};
use crate::git::Repo;
use crate::plan::check::intents::adapters;
use crate::types::{Finding, JobReport};
use crate::verify;

/// Which of the checks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// What it touched.
    Boundaries,
    /// Its verification commands.
    Commands,
    /// Its contracts' versions and signatures.
    Contracts,
    /// The lockfiles.
    Environment,
}

/// What the checks said.
#[derive(Debug, Default)]
pub struct Verdict {
    /// What is wrong.
    pub findings: Vec<Finding>,
    /// What the commands did, where they ran.
    pub report: Option<JobReport>,
}

/// Judges what stands in the task's worktree; only the parts in `parts`, or all where that is empty.
pub fn verify(
    repo: Repo,
    places: &Places,
    state: &RunState,
    task: usize,
    parts: &[Part],
    env: &BTreeMap<String, String>,
    exe: PathBuf,
) -> Result<Verdict, RunError> {
    let wants = |part: Part| parts.is_empty() || parts.contains(&part);
    let failed = |e: EffectError| RunError::NoRoom(e.to_string());
    let (run, spec) = (&state.tasks[task], &state.plan.tasks[task]);
    let (Some(slot), Some(base)) = (run.slot, &run.base) else {
        return Err(RunError::NoWorktree(spec.id.to_string()));
    };
    let worktree = places.worktree_of(slot);
    if !worktree.path.exists() || !worktree.index.exists() {
        return Err(RunError::NoWorktree(spec.id.to_string()));
    }
    let config = run::config_of(places)?;
    let around = surroundings::surroundings(&repo, places, env, &state.header.settings);
    let shared = Shared {
        repo,
        places: places.clone(),
        backend: Box::new(Process::new(exe.clone())),
        around,
        adapters: adapters(&config),
        keep: Vec::new(),
        config,
        hub: Hub::new(|| {}),
    };
    let repo = &shared.repo;
    // What the engine wrote there for the checks is not the task's.
    for shown in run.discarded.values().next_back().into_iter().chain([base]) {
        hot::hide(&shared, spec, shown, &worktree.path).map_err(failed)?;
    }
    let tree = repo.snapshot(&worktree, &shared.furnished(base))?;
    let head = match repo.tree_of(base)? == tree {
        true => base.clone(),
        false => repo.commit_tree(&tree, base, "what stands in the worktree\n", state.at)?,
    };
    let changes = repo.diff(base, &head)?;
    let mut verdict = Verdict::default();
    if wants(Part::Boundaries) {
        let rules = &shared.config.boundaries;
        verdict.findings.extend(verify::boundary::judge(spec, &changes, rules));
        verdict.findings.extend(hot::judge(&shared, spec, &changes, &head).map_err(failed)?);
    }
    if wants(Part::Boundaries) || wants(Part::Environment) {
        let found = evidence::tampering(&shared, run, spec, &changes);
        let environment = crate::types::Category::EnvIssue;
        verdict.findings.extend(found.into_iter().filter(|f| {
            if f.category == environment {
                wants(Part::Environment)
            } else {
                wants(Part::Boundaries)
            }
        }));
    }
    if wants(Part::Contracts) {
        let found = evidence::contracts(&shared, state, spec, &head).map_err(failed)?;
        verdict.findings.extend(found);
    }
    if wants(Part::Commands) || wants(Part::Contracts) {
        let mut now = state.clone();
        now.tasks[task].head = Some(head);
        let effect = Effect::Check { task, attempt: run.attempt };
        let (mut spec, title) = jobs::make_job(&shared, &effect, &now).map_err(failed)?;
        spec.steps.retain(|s| match s.on_contract {
            true => wants(Part::Contracts),
            false => wants(Part::Commands),
        });
        if !spec.steps.is_empty() {
            let report = finish(&exe, places, &spec, title).map_err(failed)?;
            verdict.findings.extend(verify::command::judge(&report));
            verdict.report = Some(report);
        }
    }
    Ok(verdict)
}

/// Runs a job beside those of the run, to its end.
fn finish(
    exe: &std::path::Path,
    places: &Places,
    spec: &job::Spec,
    title: String,
) -> Result<JobReport, EffectError> {
    // Where no job can write: its spec says what it may do.
    let place = tempfile::Builder::new().prefix("verify-").tempdir_in(places.run_dir());
    let place = place.map_err(|_| EffectError::State("no temporary directory can be made"))?;
    let dir = place.path().join("job");
    job::create(&dir, spec)?;
    let handle = Handle { job: spec.job.clone(), dir: dir.clone(), title };
    let child = Process::new(exe.to_owned()).start(&handle)?;
    if let Some(mut child) = child {
        let _ = child.wait();
    }
    match job::probe(&dir)? {
        job::Probe::Ended(report) => Ok(report),
        job::Probe::NotStarted | job::Probe::Running | job::Probe::Dead => {
            Err(EffectError::State("the checks ended without a result"))
        }
    }
}
