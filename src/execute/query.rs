//! Questions to the state of a run: derived, never stored. Pure.

use std::collections::BTreeSet;

use super::event::Outcome;
use super::state::RunState;
use super::task_run::{Stage, Step};
use crate::plan::Check;
use crate::types::{Attempt, TaskId};

impl RunState {
    /// Whether the coordinator has nothing more to do: the run ended, or waits for a person.
    pub fn is_over(&self) -> bool {
        self.outcome.is_some() || self.waiting.is_some()
    }

    /// Whether everything that `task` depends on is in staging.
    pub fn is_ready(&self, task: usize) -> bool {
        self.plan.order.dependencies[task].iter().all(|&d| self.tasks[d].step == Step::Merged)
    }

    /// The nearest thing that `task` waits for and that will not come by itself.
    pub fn stuck_on(&self, task: usize) -> Option<usize> {
        let mut todo = self.plan.order.dependencies[task].clone();
        let mut seen = BTreeSet::new();
        while let Some(d) = todo.pop() {
            if self.tasks[d].step == Step::Failed {
                return Some(d);
            }
            if seen.insert(d) && self.tasks[d].step == Step::Pending {
                todo.extend(self.plan.order.dependencies[d].iter().copied());
            }
        }
        None
    }

    /// Whether a person may have `task` tried again: it failed, or was left out while all that it needs was not.
    pub fn may_retry(&self, task: usize) -> bool {
        let lacks = |d: &usize| self.tasks[*d].step == Step::Skipped;
        let missing = self.plan.order.dependencies[task].iter().any(lacks);
        matches!(self.tasks[task].step, Step::Failed | Step::Skipped) && !missing
    }

    /// Whether a person may leave `task` out: it has not begun, or it failed.
    pub fn may_skip(&self, task: usize) -> bool {
        matches!(self.tasks[task].step, Step::Failed | Step::Pending)
    }

    /// The phase's word in `status`.
    pub fn phase(&self) -> &'static str {
        match (self.outcome, &self.waiting) {
            (Some(Outcome::Done), _) => "done",
            (Some(Outcome::Partial), _) => "failed",
            (Some(Outcome::Aborted), _) => "aborted",
            (None, Some(_)) => "waiting",
            (None, None) if self.seq <= 1 => "planning",
            (None, None) => {
                let busy = self.tasks.iter().any(|t| t.is_active() || t.step == Step::Pending);
                if busy { "executing" } else { "integrating" }
            }
        }
    }

    /// The name of the run's staging branch.
    pub fn staging_branch(&self) -> String {
        format!("slimductor/{}/staging", self.header.run_id)
    }

    /// The name of a task's branch.
    pub fn task_branch(&self, task: &TaskId) -> String {
        format!("slimductor/{}/task/{task}", self.header.run_id)
    }

    /// The name of the branch that keeps an attempt's work that did not pass.
    pub fn recovery_branch(&self, task: &TaskId, attempt: Attempt) -> String {
        format!("slimductor/{}/recovery/{task}-{attempt}", self.header.run_id)
    }

    /// The checks of the stage at the gate, each with the task that it belongs to: the task's own and the
    /// incremental ones; at the end the final ones or, where none are declared, those of everything that landed.
    pub fn stage_checks(&self) -> Vec<(Option<usize>, Check)> {
        let plan = &self.plan;
        let of = |task: usize| {
            plan.tasks[task].verification.iter().map(move |c| (Some(task), c.clone()))
        };
        let common = |checks: &[Check]| -> Vec<(Option<usize>, Check)> {
            checks.iter().map(|c| (None, c.clone())).collect()
        };
        match self.stage.as_ref() {
            Some(Stage { task: Some(task), .. }) => {
                of(*task).chain(common(&plan.incremental)).collect()
            }
            Some(Stage { task: None, .. }) if !plan.final_checks.is_empty() => {
                common(&plan.final_checks)
            }
            Some(Stage { task: None, .. }) => {
                let merged = (0..plan.tasks.len()).filter(|t| self.tasks[*t].step == Step::Merged);
                merged.flat_map(of).chain(common(&plan.incremental)).collect()
            }
            None => Vec::new(),
        }
    }
}
