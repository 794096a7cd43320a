//! What blocked tasks, answers of people, installations and reviews do to the state. A part of the one fold; pure.

use super::event::{Choice, Event, Record, Verdict};
use super::state::{IllegalRecord, RunState, Step};
use super::task_run::{Install, InstallStep, Request};
use crate::types::{Category, Finding, Millis, TaskId};

impl RunState {
    /// Applies what a person decided.
    pub(super) fn answer(
        &mut self,
        record: &Record,
        choice: Choice,
        task: Option<&TaskId>,
    ) -> Result<(), IllegalRecord> {
        match (choice, task) {
            (Choice::Abort, _) => self.aborting = true,
            (Choice::Accept, _) => {
                self.accepted.clone_from(&self.gated);
                self.review_stuck = None;
            }
            (Choice::Replan, _) => {
                self.aborting = true;
                self.replanning = true;
            }
            (Choice::Retry, Some(task)) => {
                let from = [Step::Failed, Step::Skipped, Step::Blocked];
                let run = self.task_at(record, task, &from)?;
                // Its worktree stays its own: a person may have edited there.
                run.unsaved = run.unsaved.or(run.slot.map(|slot| (run.attempt, slot)));
                run.step = Step::Pending;
                run.retry_at = None;
                run.skipped_with = None;
                run.request = None;
                run.attempts_before = run.attempt;
                self.revive_dependants();
            }
            (Choice::Fix, Some(task)) => {
                let run = self.task_at(record, task, &[Step::Failed])?;
                // What stands in its worktree is its work now, whoever wrote it: an attempt of its own, with checks of
                // its own.
                run.attempt += 1;
                run.step = Step::Collecting;
                run.findings.clear();
                run.failure = None;
                run.attempts_before = run.attempt - 1;
                run.head = None;
            }
            (Choice::Skip, Some(task)) => {
                let from = [Step::Pending, Step::Failed, Step::Blocked];
                let run = self.task_at(record, task, &from)?;
                run.request = None;
                if run.merged.is_some() {
                    // A reviewer sent it back, and a person goes on without that: what landed stays.
                    run.step = Step::Merged;
                    run.findings.clear();
                    return Ok(());
                }
                run.step = Step::Skipped;
                self.skip_dependants(task);
            }
            (Choice::Approve, task) => {
                let named = task.and_then(|t| self.plan.index_of(t));
                for (n, run) in self.tasks.iter_mut().enumerate() {
                    if let Some(request) = &mut run.request
                        && run.step == Step::Blocked
                        && named.is_none_or(|t| t == n)
                    {
                        request.approved = true;
                        if request.packages.is_empty() {
                            // It asked for something else, which a person has seen to.
                            run.step = Step::Pending;
                            run.request = None;
                            run.attempts_before += 1;
                            run.retry_at = None;
                        }
                    }
                }
                self.install_failed = None;
            }
            (Choice::Retry | Choice::Skip | Choice::Fix, None) => {
                return Err(self.illegal(record, "names no task"));
            }
        }
        Ok(())
    }

    /// Applies an event of an installation or a review.
    #[expect(clippy::wildcard_enum_match_arm, reason = "the rest of the fold has them")]
    pub(super) fn apply_request(
        &mut self,
        record: &Record,
        at: Millis,
    ) -> Result<(), IllegalRecord> {
        match &record.event {
            Event::TaskBlocked { task, attempt, reason, packages } => {
                let run = self.task_at(record, task, &[Step::Judging, Step::Suspect])?;
                run.inquest = None;
                run.step = Step::Blocked;
                run.slot = None;
                run.failure = Some(Category::MissingDependency);
                if let Some(head) = run.head.take() {
                    run.discarded.insert(*attempt, head);
                }
                run.request = Some(Request {
                    reason: reason.clone(),
                    packages: packages.clone(),
                    approved: false,
                });
                self.touch(task, at);
            }
            Event::InstallStarted { number, packages, base } => {
                self.installs = *number;
                self.install = Some(Install {
                    number: *number,
                    packages: packages.clone(),
                    base: base.clone(),
                    step: InstallStep::Preparing,
                    ended_at: at,
                });
            }
            Event::InstallReady { .. } => {
                if let Some(install) = &mut self.install {
                    install.step = InstallStep::Running;
                }
            }
            Event::InstallEnded { findings, .. } if findings.is_empty() => {
                if let Some(install) = &mut self.install {
                    install.step = InstallStep::Committing;
                    install.ended_at = at;
                }
            }
            Event::InstallEnded { findings, .. } => {
                self.install = None;
                self.install_failed = Some(findings.clone());
                for run in &mut self.tasks {
                    if let Some(request) = &mut run.request {
                        request.approved = false;
                    }
                }
            }
            Event::Installed { commit, environment, .. } => {
                let Some(install) = self.install.take() else {
                    return Err(self.illegal(record, "nothing is being installed"));
                };
                self.rebase_queue(commit);
                self.environment.clone_from(environment);
                for run in &mut self.tasks {
                    // One that was approved meanwhile waits for the next installation.
                    let served = run.request.as_ref().is_some_and(|r| {
                        r.approved && r.packages.iter().all(|p| install.packages.contains(p))
                    });
                    if run.step == Step::Blocked && served {
                        run.step = Step::Pending;
                        run.request = None;
                        run.installed.extend(install.packages.iter().cloned());
                        // It was not the task that failed.
                        run.attempts_before += 1;
                        run.retry_at = None;
                        run.updated_at = Some(at);
                    }
                }
            }
            Event::PullRequest { commit, url, command } => {
                self.promoting = None;
                self.promoted = Some(commit.clone());
                self.pull_request = Some(url.clone().unwrap_or_else(|| command.clone()));
            }
            Event::ReviewStarted { iteration, number, commit } => {
                self.review_of = Some(commit.clone());
                self.reviews = *number;
                self.iteration = *iteration;
                self.reviewing = true;
            }
            Event::ReviewEnded { verdict, iteration, .. } => self.reviewed(*iteration, verdict),
            _ => {}
        }
        Ok(())
    }

    fn reviewed(&mut self, iteration: u32, verdict: &Verdict) {
        self.reviewing = false;
        match verdict {
            Verdict::Accept { .. } => self.accepted.clone_from(&self.review_of),
            Verdict::Iterate { feedback } if iteration < self.header.settings.max_iterations => {
                for said in feedback {
                    let Some(task) = self.plan.index_of(&said.task) else { continue };
                    let run = &mut self.tasks[task];
                    if run.step != Step::Merged {
                        continue;
                    }
                    run.step = Step::Pending;
                    run.attempts_before = run.attempt;
                    run.failure = Some(Category::Review);
                    run.findings.push(Finding {
                        category: Category::Review,
                        message: said.message.clone(),
                        subject: None,
                        help: "what landed of this task is in the tree; change what is said here"
                            .to_owned(),
                        output: None,
                        package: None,
                    });
                }
                self.iteration = iteration + 1;
                self.gated = None;
            }
            Verdict::Iterate { feedback } => {
                let said: Vec<String> =
                    feedback.iter().map(|f| format!("{}: {}", f.task, f.message)).collect();
                self.review_stuck = Some(format!(
                    "the reviewer sent it back {iteration} times: {}",
                    said.join("; ")
                ));
            }
            Verdict::Unreadable { why } => {
                self.review_unreadable = true;
                self.review_stuck = Some(format!("the review cannot be used: {why}"));
            }
        }
    }

    /// What was left out only because of tasks that are no longer left out comes back.
    fn revive_dependants(&mut self) {
        let plan = self.plan.clone();
        for &task in &plan.order.topological {
            let lacks = |d: &usize| self.tasks[*d].step == Step::Skipped;
            let missing = plan.order.dependencies[task].iter().any(lacks);
            let run = &mut self.tasks[task];
            if run.step == Step::Skipped && run.skipped_with.is_some() && !missing {
                run.step = Step::Pending;
                run.skipped_with = None;
            }
        }
    }

    /// What needs a skipped task would wait for ever: it is left out as well.
    fn skip_dependants(&mut self, task: &TaskId) {
        let Some(root) = self.plan.index_of(task) else { return };
        let mut todo = self.plan.order.dependants[root].clone();
        while let Some(next) = todo.pop() {
            let run = &mut self.tasks[next];
            if matches!(run.step, Step::Pending | Step::Failed | Step::Blocked) {
                run.step = Step::Skipped;
                run.skipped_with = Some(root);
                todo.extend(self.plan.order.dependants[next].iter().copied());
            }
        }
    }
}
