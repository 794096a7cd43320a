//! Questions to the state of a run: derived, never stored. Pure.

use std::collections::BTreeSet;

use super::event::GateOn;
use super::event::Outcome;
use super::state::RunState;
use super::task_run::{Colour, GateRun, Step, TaskRun};
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
            if matches!(self.tasks[d].step, Step::Failed | Step::Blocked) {
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
        let open = matches!(self.tasks[task].step, Step::Failed | Step::Skipped | Step::Blocked);
        open && !missing
    }

    /// Whether a person may leave `task` out: it has not begun, or it failed.
    pub fn may_skip(&self, task: usize) -> bool {
        matches!(self.tasks[task].step, Step::Failed | Step::Pending | Step::Blocked)
    }

    /// The phase's word in `status`.
    pub fn phase(&self) -> &'static str {
        match (self.outcome, &self.waiting) {
            (Some(Outcome::Done), _) => "done",
            (Some(Outcome::Partial), _) => "failed",
            (Some(Outcome::Aborted | Outcome::Replanned), _) => "aborted",
            (None, Some(_)) => "waiting",
            (None, None) if self.seq <= 1 => "planning",
            (None, None) if self.reviewing => "reviewing",
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

    /// The checks of a gate, each with the task that it belongs to, and whether what the project has of its own is to be
    /// detected because nothing is declared.
    pub fn gate_checks(&self, gate: &GateRun) -> (Vec<(Option<usize>, Check)>, bool) {
        let plan = &self.plan;
        let own = gate.tasks.iter().flat_map(|task| {
            plan.tasks[*task].verification.iter().map(move |c| (Some(*task), c.clone()))
        });
        let common = |checks: &Option<Vec<Check>>| -> Vec<(Option<usize>, Check)> {
            checks.iter().flatten().map(|c| (None, c.clone())).collect()
        };
        match (&gate.on, &plan.final_checks) {
            // What came in by a merge of the target or an installation was on no gate yet.
            (GateOn::Final, Some(_)) if self.base_colour != Colour::Green => {
                let all = own.chain(common(&plan.incremental)).chain(common(&plan.final_checks));
                (all.collect(), false)
            }
            (GateOn::Final, Some(_)) => (common(&plan.final_checks), false),
            (GateOn::Final, None) => (own.chain(common(&plan.incremental)).collect(), true),
            _ => (own.chain(common(&plan.incremental)).collect(), plan.incremental.is_none()),
        }
    }

    /// Whether a tree with the task is at the gate.
    pub fn at_gate(&self, task: usize) -> bool {
        self.gates.iter().any(|g| g.tasks.contains(&task) && g.on != GateOn::Final)
    }

    /// Whether packages that were agreed to are to be installed as soon as the queue is empty.
    pub fn wants_install(&self) -> bool {
        let agreed =
            |t: &TaskRun| t.step == Step::Blocked && t.request.as_ref().is_some_and(|r| r.approved);
        self.install.is_some() || self.tasks.iter().any(agreed)
    }

    /// The packages that blocked tasks wait for, each once, with who asks.
    pub fn requests(&self, approved: bool) -> Vec<(usize, String)> {
        let mut out: Vec<(usize, String)> = Vec::new();
        for (task, run) in self.tasks.iter().enumerate() {
            let request = run.request.as_ref().filter(|_| run.step == Step::Blocked);
            for package in
                request.iter().filter(|r| r.approved == approved).flat_map(|r| &r.packages)
            {
                out.push((task, package.clone()));
            }
        }
        out
    }
}
