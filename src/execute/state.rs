//! The state of a run, and the one fold that makes it out of events. Pure; knows no clock and no disk.

use std::collections::BTreeSet;

pub use super::task_run::{Stage, StageStep, Step, TaskRun};

use super::event::{Choice, Event, Outcome, Record, Settings, kind_of};
use crate::plan::Plan;
use crate::types::{Category, Ending, Finding, Millis, RunId, Sha, Slot, StageNumber, TaskId};

/// What the first record says.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "the fields are those of Event::RunStarted")]
pub struct Header {
    pub run_id: RunId,
    pub request: String,
    pub plan_sha256: String,
    pub target: String,
    pub base: Sha,
    pub settings: Settings,
    pub started_at: Millis,
}

/// Everything that is known of a run: its plan, and the fold of its journal.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "the fields are named by the events that set them")]
pub struct RunState {
    pub plan: std::sync::Arc<Plan>,
    pub header: Header,
    pub tasks: Vec<TaskRun>,
    /// The staging tip; `None` before the branch exists.
    pub staging: Option<Sha>,
    pub stage: Option<Stage>,
    pub stages: StageNumber,
    /// The staging commit whose final gate was green.
    pub gated: Option<Sha>,
    /// The findings of the last final gate that was red, until something changes.
    pub final_red: Option<Vec<Finding>>,
    /// The target as the run last knew it.
    pub target_tip: Sha,
    /// Where the target went during the run, and when that was seen: to be merged into staging.
    pub target_moved: Option<(Sha, Millis)>,
    /// The commit that the target is about to move to.
    pub promoting: Option<Sha>,
    pub promoted: Option<Sha>,
    /// Why the target could not be moved, until the next coordinator tries again.
    pub promotion_blocked: Option<String>,
    /// Something around the run was refused, until the next coordinator tries again.
    pub refused: Option<String>,
    pub promote_landed: bool,
    /// Slots in which something of a worker whose wrapper died may still be at work: not used again.
    pub tainted: BTreeSet<Slot>,
    pub answered: BTreeSet<String>,
    pub aborting: bool,
    pub cleaned: bool,
    pub kept: Vec<String>,
    pub waiting: Option<String>,
    pub outcome: Option<Outcome>,
    pub seq: u64,
    /// When the last record was written, ms.
    pub at: Millis,
    /// When the current coordinator took the run up, ms.
    pub coordinator_since: Millis,
}

/// A record that no run could have written: the journal is not of this plan, or damaged.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("record {seq} ({what}) does not fit what was before it: {why}")]
pub struct IllegalRecord {
    /// Its number.
    pub seq: u64,
    /// Its event's type.
    pub what: String,
    /// What does not fit.
    pub why: String,
}

impl RunState {
    /// The state after the first record of a journal, which must be `RunStarted`.
    pub fn begin(plan: std::sync::Arc<Plan>, first: &Record) -> Result<RunState, IllegalRecord> {
        let Event::RunStarted { run_id, request, plan_sha256, target, base, settings, .. } =
            &first.event
        else {
            return Err(IllegalRecord {
                seq: first.seq,
                what: kind_of(&first.event),
                why: "a journal begins with run_started".to_owned(),
            });
        };
        let at = first.at.as_millisecond();
        Ok(RunState {
            tasks: plan.tasks.iter().map(|_| TaskRun::new()).collect(),
            plan,
            header: Header {
                run_id: run_id.clone(),
                request: request.clone(),
                plan_sha256: plan_sha256.clone(),
                target: target.clone(),
                base: base.clone(),
                settings: settings.clone(),
                started_at: at,
            },
            staging: None,
            stage: None,
            stages: 0,
            gated: None,
            final_red: None,
            target_tip: base.clone(),
            target_moved: None,
            promoting: None,
            promoted: None,
            promotion_blocked: None,
            refused: None,
            promote_landed: settings.promote_landed,
            tainted: BTreeSet::new(),
            answered: BTreeSet::new(),
            aborting: false,
            cleaned: false,
            kept: Vec::new(),
            waiting: None,
            outcome: None,
            seq: first.seq,
            at,
            coordinator_since: at,
        })
    }

    /// The only way that state changes, live and on replay.
    pub fn apply(&mut self, record: &Record) -> Result<(), IllegalRecord> {
        let at = record.at.as_millisecond();
        if record.seq != self.seq + 1 {
            return Err(self.illegal(record, &format!("expected number {}", self.seq + 1)));
        }
        self.apply_event(record, at)?;
        self.seq = record.seq;
        self.at = at;
        Ok(())
    }

    fn illegal(&self, record: &Record, why: &str) -> IllegalRecord {
        IllegalRecord { seq: record.seq, what: kind_of(&record.event), why: why.to_owned() }
    }

    fn apply_event(&mut self, record: &Record, at: Millis) -> Result<(), IllegalRecord> {
        match &record.event {
            Event::RunStarted { .. } => {
                return Err(self.illegal(record, "the run has begun already"));
            }
            Event::CoordinatorStarted { promote_landed, .. } => {
                self.coordinator_since = at;
                self.promote_landed |= promote_landed;
                self.waiting = None;
                self.promotion_blocked = None;
                self.refused = None;
                self.final_red = None;
            }
            Event::StagingCreated => self.staging = Some(self.header.base.clone()),
            Event::AttemptStarted { task, attempt, slot, base } => {
                let run = self.task_at(record, task, &[Step::Pending])?;
                *run = TaskRun {
                    step: Step::Preparing,
                    attempt: *attempt,
                    attempts_before: run.attempts_before,
                    slot: Some(*slot),
                    base: Some(base.clone()),
                    findings: std::mem::take(&mut run.findings),
                    discarded: std::mem::take(&mut run.discarded),
                    unsaved: run.unsaved,
                    started_at: Some(at),
                    ..TaskRun::new()
                };
                self.touch(task, at);
            }
            Event::WorktreeReady { task, .. } => {
                let run = self.task_at(record, task, &[Step::Preparing])?;
                run.step = Step::Working;
                run.unsaved = None;
                self.touch(task, at);
            }
            Event::WorkerEnded { task, finding, report, .. } => {
                let run = self.task_at(record, task, &[Step::Working])?;
                let lost = run.slot.filter(|_| report.ending == Ending::Lost);
                run.step = Step::Collecting;
                run.worker_ended_at = Some(at);
                run.findings = finding.iter().cloned().collect();
                self.tainted.extend(lost);
                self.touch(task, at);
            }
            Event::WorkCollected { task, head, files, findings, .. } => {
                let run = self.task_at(record, task, &[Step::Collecting])?;
                run.head = Some(head.clone());
                run.files = *files;
                let ended_well = run.findings.is_empty();
                run.findings.extend(findings.iter().cloned());
                let nothing = findings.iter().any(|f| f.category == Category::NoChanges);
                // Checks say something only about work that was finished.
                run.step = if ended_well && !nothing { Step::Checking } else { Step::Judging };
                self.touch(task, at);
            }
            Event::ChecksEnded { task, findings, .. } => {
                let run = self.task_at(record, task, &[Step::Checking])?;
                run.findings.extend(findings.iter().cloned());
                run.step = Step::Judging;
                self.touch(task, at);
            }
            Event::TaskVerified { task, .. } => {
                let seq = record.seq;
                let run = self.task_at(record, task, &[Step::Judging])?;
                run.step = Step::Queued;
                run.slot = None;
                run.verified_seq = seq;
                self.touch(task, at);
            }
            Event::AttemptFailed { task, attempt, category, findings, retry_at } => {
                let any = [
                    Step::Preparing,
                    Step::Working,
                    Step::Collecting,
                    Step::Checking,
                    Step::Judging,
                    Step::Queued,
                ];
                let run = self.task_at(record, task, &any)?;
                run.failure = Some(*category);
                run.findings.clone_from(findings);
                run.retry_at = *retry_at;
                if let Some(head) = run.head.take() {
                    run.discarded.insert(*attempt, head);
                }
                if retry_at.is_some() {
                    run.step = Step::Pending;
                    run.slot = run.slot.filter(|_| run.unsaved.is_some());
                } else {
                    // The worktree is kept for a person to look at.
                    run.step = Step::Failed;
                }
                self.touch(task, at);
                if self
                    .stage
                    .as_ref()
                    .is_some_and(|s| s.task.is_some() && s.task == self.plan.index_of(task))
                {
                    self.stage = None;
                }
            }
            Event::StageStarted { stage, task, base } => {
                if self.stage.is_some() {
                    return Err(self.illegal(record, "another stage is at the gate"));
                }
                let task = match task {
                    Some(id) => Some(self.index(record, id)?),
                    None => None,
                };
                self.stages = *stage;
                self.stage = Some(Stage {
                    number: *stage,
                    task,
                    base: base.clone(),
                    commit: None,
                    tree: None,
                    step: StageStep::Building,
                    findings: Vec::new(),
                    started_at: at,
                });
            }
            Event::StageBuilt { stage, commit, tree } => {
                let found = self.stage_at(record, *stage, StageStep::Building)?;
                found.commit = Some(commit.clone());
                found.tree = Some(tree.clone());
                found.step = StageStep::Preparing;
            }
            Event::StageConflicted { stage, paths } => {
                let found = self.stage_at(record, *stage, StageStep::Building)?;
                found.step = StageStep::Red;
                found.findings = vec![Finding {
                    category: Category::MergeConflict,
                    message: format!("does not merge with what landed: {}", paths.join(", ")),
                    subject: paths.first().cloned(),
                    help: "the next attempt starts from the new tip".to_owned(),
                    output: None,
                }];
            }
            Event::StageReady { stage } => {
                self.stage_at(record, *stage, StageStep::Preparing)?.step = StageStep::Checking;
            }
            Event::StageChecked { stage, findings, .. } => {
                let found = self.stage_at(record, *stage, StageStep::Checking)?;
                found.findings.clone_from(findings);
                found.step = if findings.is_empty() { StageStep::Green } else { StageStep::Red };
                if found.task.is_none() {
                    if findings.is_empty() {
                        self.gated = found.commit.clone();
                    } else {
                        self.final_red = Some(findings.clone());
                    }
                    self.stage = None;
                }
            }
            Event::Landed { task, commit } => {
                let run = self.task_at(record, task, &[Step::Queued])?;
                run.step = Step::Merged;
                run.merged = Some(commit.clone());
                run.failure = None;
                run.findings.clear();
                self.staging = Some(commit.clone());
                self.stage = None;
                self.final_red = None;
                self.touch(task, at);
            }
            Event::PromotionStarted { to, .. } => self.promoting = Some(to.clone()),
            Event::Promoted { to, .. } => {
                self.promoting = None;
                self.promoted = Some(to.clone());
                self.target_tip = to.clone();
            }
            Event::PromotionBlocked { reason, help } => {
                self.promoting = None;
                self.target_moved = None;
                self.promotion_blocked = Some(format!("{reason}; {help}"));
            }
            Event::TargetMoved { to } => {
                self.promoting = None;
                self.target_moved = Some((to.clone(), at));
            }
            Event::TargetMerged { target, commit } => {
                self.target_moved = None;
                self.target_tip = target.clone();
                self.staging = Some(commit.clone());
                self.gated = None;
                self.final_red = None;
            }
            Event::EffectFailed { what, error, .. } => {
                self.refused = Some(format!("{what}: {error}"));
            }
            Event::Answered { id, choice, task } => {
                self.answered.insert(id.clone());
                self.waiting = None;
                match (choice, task) {
                    (Choice::Abort, _) => self.aborting = true,
                    (Choice::Retry, Some(task)) => {
                        let run = self.task_at(record, task, &[Step::Failed, Step::Skipped])?;
                        // Its worktree stays its own: a person may have edited there.
                        run.unsaved = run.unsaved.or(run.slot.map(|_| run.attempt));
                        run.step = Step::Pending;
                        run.retry_at = None;
                        run.skipped_with = None;
                        run.attempts_before = run.attempt;
                        self.revive_dependants();
                    }
                    (Choice::Skip, Some(task)) => {
                        let run = self.task_at(record, task, &[Step::Pending, Step::Failed])?;
                        run.step = Step::Skipped;
                        self.skip_dependants(task);
                    }
                    (Choice::Retry | Choice::Skip, None) => {
                        return Err(self.illegal(record, "names no task"));
                    }
                }
            }
            Event::Escalated { reason } => self.waiting = Some(reason.clone()),
            Event::CleanedUp { kept } => {
                self.cleaned = true;
                self.kept.clone_from(kept);
            }
            Event::RunEnded { outcome } => {
                self.outcome = Some(*outcome);
                // What was cut down is at work no more.
                let open = |t: &&mut TaskRun| t.is_active() || t.step == Step::Queued;
                for run in self.tasks.iter_mut().filter(open) {
                    run.step = Step::Pending;
                    run.slot = None;
                }
            }
        }
        Ok(())
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
            if matches!(run.step, Step::Pending | Step::Failed) {
                run.step = Step::Skipped;
                run.skipped_with = Some(root);
                todo.extend(self.plan.order.dependants[next].iter().copied());
            }
        }
    }

    fn index(&self, record: &Record, task: &TaskId) -> Result<usize, IllegalRecord> {
        self.plan
            .index_of(task)
            .ok_or_else(|| self.illegal(record, &format!("the plan has no task {task}")))
    }

    fn task_at(
        &mut self,
        record: &Record,
        task: &TaskId,
        steps: &[Step],
    ) -> Result<&mut TaskRun, IllegalRecord> {
        let index = self.index(record, task)?;
        let now = &self.tasks[index].step;
        if !steps.contains(now) {
            return Err(self.illegal(record, &format!("{task} is {now:?}")));
        }
        Ok(&mut self.tasks[index])
    }

    fn stage_at(
        &mut self,
        record: &Record,
        number: StageNumber,
        step: StageStep,
    ) -> Result<&mut Stage, IllegalRecord> {
        if !self.stage.as_ref().is_some_and(|s| s.number == number && s.step == step) {
            return Err(self.illegal(record, &format!("stage {number} is not {step:?}")));
        }
        self.stage.as_mut().ok_or_else(|| IllegalRecord {
            seq: record.seq,
            what: String::new(),
            why: "no stage is at the gate".to_owned(),
        })
    }

    fn touch(&mut self, task: &TaskId, at: Millis) {
        if let Some(index) = self.plan.index_of(task) {
            self.tasks[index].updated_at = Some(at);
        }
    }
}
