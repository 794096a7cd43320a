//! What effects are called, which task each is about and which job it waits for. Does none of them.

use super::command::Effect;
use super::state::RunState;
use crate::types::{Attempt, JobId, StageNumber};

impl Effect {
    /// What it is, in words that a person can follow.
    pub fn describe(&self, state: &RunState) -> String {
        let id = |task: &usize| state.plan.tasks.get(*task).map_or("", |t| t.id.as_str());
        let stage = |number: &StageNumber| {
            let found = state.train.iter().find(|s| s.number == *number);
            found.map_or("", |s| id(&s.task)).to_owned()
        };
        let target = &state.header.target;
        match self {
            Effect::CreateStaging => format!("make the branch {}", state.staging_branch()),
            Effect::Prepare { task, attempt } => {
                format!("make the worktree of {} (attempt {attempt})", id(task))
            }
            Effect::Work { task, attempt } => {
                format!("run the worker of {} (attempt {attempt})", id(task))
            }
            Effect::Collect { task, attempt } => {
                format!("commit what {} made (attempt {attempt})", id(task))
            }
            Effect::Check { task, attempt } => format!("check {} (attempt {attempt})", id(task)),
            Effect::BuildStage { stage: number } => format!("merge {}", stage(number)),
            Effect::BuildGate { gate } => format!("merge for gate {gate}"),
            Effect::PrepareGate { gate } => format!("make the worktree of gate {gate}"),
            Effect::CheckGate { gate } => format!("run gate {gate}"),
            Effect::StopGate { gate } => format!("end gate {gate}"),
            Effect::Land { stage: number } => format!("land up to {}", stage(number)),
            Effect::PrepareInstall { number } => {
                format!("make the worktree of installation {number}")
            }
            Effect::RunInstall { number } => format!("run installation {number}"),
            Effect::CommitInstall { number } => format!("commit installation {number}"),
            Effect::Review { number } => format!("run review {number}"),
            Effect::Promote { to } => format!("move {target} to {}", to.short()),
            Effect::Propose { to } => format!("push {} for a pull request", to.short()),
            Effect::MergeTarget { target: to } => {
                format!("merge {target} at {} into staging", to.short())
            }
            Effect::CleanUp if state.aborting => "end every job and clean up".to_owned(),
            Effect::CleanUp => "clean up".to_owned(),
            Effect::DropAnswer { id } => format!("remove the answer {id}"),
        }
    }

    /// The task and attempt that it is about, where it is about one.
    pub fn about(&self) -> Option<(usize, Attempt)> {
        if let Effect::Prepare { task, attempt }
        | Effect::Work { task, attempt }
        | Effect::Collect { task, attempt }
        | Effect::Check { task, attempt } = self
        {
            return Some((*task, *attempt));
        }
        None
    }

    /// The job that it waits for.
    pub fn job(&self, state: &RunState) -> Option<JobId> {
        let id = |task: &usize| state.plan.tasks.get(*task).map(|t| &t.id);
        #[expect(clippy::wildcard_enum_match_arm, reason = "is_job() says which the others are")]
        match self {
            Effect::Work { task, attempt } => id(task).map(|id| JobId::worker(id, *attempt)),
            Effect::Check { task, attempt } => id(task).map(|id| JobId::checks(id, *attempt)),
            Effect::CheckGate { gate } => Some(JobId::gate(*gate)),
            Effect::RunInstall { number } => Some(JobId::install(*number)),
            Effect::Review { number } => Some(JobId::review(*number)),
            _ => None,
        }
    }
}
