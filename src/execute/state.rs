//! The state of a run, and the one fold that makes it out of events. Pure; knows no clock and no disk.

use std::collections::BTreeSet;

pub use super::gate_state::Suites;
pub use super::task_run::{Colour, GateRun, GateStep, Install, InstallStep, Stage, Step, TaskRun};

use super::event::{Event, Outcome, Record, Settings, kind_of};
use crate::plan::Plan;
use crate::types::{
    Category, Ending, Finding, GateNumber, Millis, RunId, Sha, Slot, StageNumber, TaskId,
};

/// How a finding begins that names the task with which another does not get on.
pub const TOGETHER: &str = "it passes alone, and fails together with";

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
    /// The trees of the queue: each task merged onto what is before it, the first onto staging.
    pub train: Vec<Stage>,
    pub stages: StageNumber,
    /// The gates that run.
    pub gates: Vec<GateRun>,
    pub gate_count: GateNumber,
    /// The stage to which staging is about to move.
    pub landing: Option<StageNumber>,
    /// What landed, in order, each with the commit that holds it.
    pub landed: Vec<(usize, Sha)>,
    /// What is known of the staging tip by itself.
    pub base_colour: Colour,
    pub base_findings: Vec<Finding>,
    /// Commands that passed, by their keys, each with the tree on which it did.
    pub proven: BTreeSet<(Sha, String)>,
    /// What of the last final gate was left out, and why.
    pub left_out: Vec<String>,
    /// How many suites ran.
    pub suites: Suites,
    /// How long workers and checks were at work, and gates, ms.
    pub worked_ms: u64,
    pub gated_ms: u64,
    /// How much of it went into attempts that did not pass, ms.
    pub wasted_ms: u64,
    /// How many times a task was found to break the suite.
    pub blamed: u32,
    /// The installation that is under way.
    pub install: Option<Install>,
    pub installs: u32,
    /// Why the last installation did not work, until somebody says something about it.
    pub install_failed: Option<Vec<Finding>>,
    /// The hash of the lockfiles of staging.
    pub environment: String,
    /// Counts the reviews, from 1.
    pub iteration: u32,
    /// Counts the reviewer's jobs.
    pub reviews: u32,
    /// What the reviewer looks at, or looked at last.
    pub review_of: Option<Sha>,
    /// Whether its last word could not be used: the next coordinator asks again.
    pub review_unreadable: bool,
    /// Whether the reviewer looks at it now.
    pub reviewing: bool,
    /// The gated commit that a reviewer accepted.
    pub accepted: Option<Sha>,
    /// What a person must decide about the review.
    pub review_stuck: Option<String>,
    /// The pull request, or the command that opens it.
    pub pull_request: Option<String>,
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
    /// Whether the coordinator drops what is committed nowhere.
    pub force: bool,
    /// Slots in which something of a worker whose wrapper died may still be at work: not used again.
    pub tainted: BTreeSet<Slot>,
    pub answered: BTreeSet<String>,
    pub aborting: bool,
    /// Whether the run ends for another plan: what landed is kept for that.
    pub replanning: bool,
    /// Whether what the run made is being removed.
    pub cleaning: bool,
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
            tasks: plan
                .tasks
                .iter()
                .map(|t| TaskRun::at_first(settings.landed.contains(&t.id), base))
                .collect(),
            plan,
            header: Header {
                run_id: run_id.clone(),
                request: request.clone(),
                plan_sha256: plan_sha256.clone(),
                target: target.clone(),
                base: base.clone(),
                settings: (**settings).clone(),
                started_at: at,
            },
            staging: None,
            train: Vec::new(),
            stages: 0,
            gates: Vec::new(),
            gate_count: 0,
            landing: None,
            landed: Vec::new(),
            base_colour: Colour::Unknown,
            base_findings: Vec::new(),
            proven: BTreeSet::new(),
            left_out: Vec::new(),
            suites: Suites::default(),
            worked_ms: 0,
            gated_ms: 0,
            wasted_ms: 0,
            blamed: 0,
            install: None,
            installs: 0,
            install_failed: None,
            environment: settings.environment.clone(),
            iteration: 1,
            reviews: 0,
            review_of: None,
            review_unreadable: false,
            reviewing: false,
            accepted: None,
            review_stuck: None,
            pull_request: None,
            gated: None,
            final_red: None,
            target_tip: settings.target_at.clone().unwrap_or_else(|| base.clone()),
            target_moved: None,
            promoting: None,
            promoted: None,
            promotion_blocked: None,
            refused: None,
            promote_landed: settings.promote_landed,
            force: false,
            tainted: BTreeSet::new(),
            answered: BTreeSet::new(),
            aborting: false,
            replanning: false,
            cleaning: false,
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

    pub(super) fn illegal(&self, record: &Record, why: &str) -> IllegalRecord {
        IllegalRecord { seq: record.seq, what: kind_of(&record.event), why: why.to_owned() }
    }

    fn apply_event(&mut self, record: &Record, at: Millis) -> Result<(), IllegalRecord> {
        match &record.event {
            Event::RunStarted { .. } => {
                return Err(self.illegal(record, "the run has begun already"));
            }
            Event::CoordinatorStarted { promote_landed, force, target, .. } => {
                let red = self.final_red.is_some() || self.base_colour == Colour::Red;
                if red && !self.header.settings.fail_on_diverged && !self.aborting {
                    // A person may have mended it there.
                    self.target_moved =
                        target.clone().map(|t| (t, at)).or(self.target_moved.take());
                }
                self.coordinator_since = at;
                self.promote_landed |= promote_landed;
                self.force = *force;
                self.waiting = None;
                self.promotion_blocked = None;
                self.refused = None;
                self.final_red = None;
                self.install_failed = None;
                if std::mem::take(&mut self.review_unreadable) {
                    self.review_stuck = None;
                }
                if self.base_colour == Colour::Red {
                    self.base_colour = Colour::Unknown;
                    // On a base that was red, red says nothing about a task.
                    for stage in self.train.iter_mut().filter(|s| s.colour == Colour::Red) {
                        stage.colour = Colour::Unknown;
                    }
                }
            }
            Event::StagingCreated => self.staging = Some(self.header.base.clone()),
            Event::AttemptStarted { task, attempt, slot, base } => {
                let (base_landed, environment) = (self.landed.len(), self.environment.clone());
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
                    installed: std::mem::take(&mut run.installed),
                    flaky: run.flaky,
                    together: run.together.take(),
                    merged: run.merged.take(),
                    started_at: Some(at),
                    base_landed,
                    environment,
                    ..TaskRun::new()
                };
                self.touch(task, at);
            }
            Event::WorktreeReady { task, around, .. } => {
                let run = self.task_at(record, task, &[Step::Preparing])?;
                run.around.clone_from(around);
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
                run.worked_ms = report.length_ms();
                self.worked_ms += report.length_ms();
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
            Event::ChecksEnded { task, findings, report, .. } => {
                let run = self.task_at(record, task, &[Step::Checking])?;
                run.worked_ms += report.length_ms();
                self.worked_ms += report.length_ms();
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
                    Step::Suspect,
                ];
                let run = self.task_at(record, task, &any)?;
                let worked = run.worked_ms;
                // Nobody saw it end: what was started there may still be at work.
                let unseen = matches!(run.step, Step::Working | Step::Checking);
                let tainted = run.slot.filter(|_| unseen);
                let together = findings.iter().find(|f| f.message.starts_with(TOGETHER));
                run.together = together.cloned().or(run.together.take());
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
                run.inquest = None;
                self.tainted.extend(tainted);
                self.wasted_ms += worked;
                self.touch(task, at);
                if let Some(task) = self.plan.index_of(task) {
                    self.unstage(task);
                }
            }
            Event::StageStarted { .. }
            | Event::StageBuilt { .. }
            | Event::StageConflicted { .. }
            | Event::GateStarted { .. }
            | Event::GateBuilt { .. }
            | Event::GateReady { .. }
            | Event::GateChecked { .. }
            | Event::GateDropped { .. }
            | Event::GateStopped { .. }
            | Event::LandingStarted { .. }
            | Event::Landed { .. }
            | Event::TaskEvicted { .. }
            | Event::TaskCleared { .. } => self.apply_gate(record, at)?,
            Event::TaskBlocked { .. }
            | Event::InstallStarted { .. }
            | Event::InstallReady { .. }
            | Event::InstallEnded { .. }
            | Event::Installed { .. }
            | Event::PullRequest { .. }
            | Event::ReviewStarted { .. }
            | Event::ReviewEnded { .. } => self.apply_request(record, at)?,
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
                self.rebase_queue(commit);
            }
            Event::EffectFailed { what, error, .. } => {
                self.refused = Some(format!("{what}: {error}"));
            }
            Event::Answered { id, choice, task } => {
                self.answered.insert(id.clone());
                self.waiting = None;
                self.answer(record, *choice, task.as_ref())?;
            }
            Event::Escalated { reason } => self.waiting = Some(reason.clone()),
            Event::CleanUpStarted => self.cleaning = true,
            Event::CleanedUp { kept } => {
                self.cleaned = true;
                self.kept.clone_from(kept);
            }
            Event::RunEnded { outcome } => {
                self.outcome = Some(*outcome);
                // What was cut down is at work no more.
                let open = |t: &&mut TaskRun| {
                    t.is_active() || matches!(t.step, Step::Queued | Step::Suspect)
                };
                for run in self.tasks.iter_mut().filter(open) {
                    run.step = Step::Pending;
                    run.slot = None;
                }
            }
        }
        Ok(())
    }

    pub(super) fn index(&self, record: &Record, task: &TaskId) -> Result<usize, IllegalRecord> {
        self.plan
            .index_of(task)
            .ok_or_else(|| self.illegal(record, &format!("the plan has no task {task}")))
    }

    pub(super) fn task_at(
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

    pub(super) fn touch(&mut self, task: &TaskId, at: Millis) {
        if let Some(index) = self.plan.index_of(task) {
            self.tasks[index].updated_at = Some(at);
        }
    }
}
