//! Where one task and the tree at the gate stand. Plain data; state.rs changes it.

use std::collections::BTreeMap;

use super::event::GateOn;
use crate::types::{Attempt, Category, Finding, Gate, GateNumber, Millis, Sha, Slot, StageNumber};

/// Where one task stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Not started, or waiting for its next attempt.
    Pending,
    /// Its worktree is being made.
    Preparing,
    /// Its worker runs.
    Working,
    /// What the worker left is to be committed and compared.
    Collecting,
    /// Its verification commands run.
    Checking,
    /// All evidence is in; the verdict is due.
    Judging,
    /// Verified; in the queue or at the gate.
    Queued,
    /// Out of the queue: it breaks the suite, and it is being found out why.
    Suspect,
    /// Waits for packages.
    Blocked,
    /// In staging.
    Merged,
    /// Out of attempts.
    Failed,
    /// Left out by a person.
    Skipped,
}

/// One task of a run.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "the fields are named by the events that set them")]
pub struct TaskRun {
    pub step: Step,
    /// The number of the current or last attempt; 0 before the first.
    pub attempt: Attempt,
    /// The attempt number from which max_attempts is counted; a person's `retry` raises it.
    pub attempts_before: Attempt,
    pub slot: Option<Slot>,
    pub base: Option<Sha>,
    /// The commit that holds the attempt's work; on the task's branch.
    pub head: Option<Sha>,
    /// How many tasks had landed when the attempt began.
    pub base_landed: usize,
    /// How long the attempt's worker and checks were at work, ms.
    pub worked_ms: u64,
    /// Whether the work differs from its base.
    pub files: usize,
    pub findings: Vec<Finding>,
    pub failure: Option<Category>,
    pub retry_at: Option<Millis>,
    pub merged: Option<Sha>,
    /// Heads of attempts that did not pass, by attempt.
    pub discarded: BTreeMap<Attempt, Sha>,
    /// When the current attempt began, ms.
    pub started_at: Option<Millis>,
    /// When the last event about it was written, ms.
    pub updated_at: Option<Millis>,
    /// When the current attempt's worker ended, ms: the time of its commit.
    pub worker_ended_at: Option<Millis>,
    /// The place in the order of verification, for the queue.
    pub verified_seq: u64,
    /// The failed attempt whose kept worktree a person may have edited and that is not saved yet, and its slot, which
    /// stays with the task until it is.
    pub unsaved: Option<(Attempt, Slot)>,
    /// The skipped task that it depends on, when it was left out because of that.
    pub skipped_with: Option<usize>,
    /// The tree on which it did not merge, but which is not staging: it waits until that is another.
    pub conflicted_on: Option<Sha>,
    /// The paths that did not merge there.
    pub conflicts: Vec<String>,
    /// What is known of why it breaks the suite.
    pub inquest: Option<Inquest>,
    /// With whom it did not get on in an earlier attempt.
    pub together: Option<Finding>,
    /// How often a suite that was red with it was green when it ran again.
    pub flaky: u32,
    /// What it waits for, while it is blocked.
    pub request: Option<Request>,
    /// Packages that were installed for it; asked for again, they do not help.
    pub installed: Vec<String>,
    /// What stood around its worktree when the worker began, where the fence cannot keep that as it was.
    pub around: Option<String>,
    /// The hash of the lockfiles that its current attempt works with.
    pub environment: String,
}

/// What a blocked task asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields are those of Event::TaskBlocked")]
pub struct Request {
    pub reason: String,
    pub packages: Vec<String>,
    /// Whether a person, or the configuration, has agreed.
    pub approved: bool,
}

/// What is known of why a task breaks the suite.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inquest {
    /// The red tree: the task merged onto `base`, which is green.
    pub commit: Sha,
    /// What was found on it.
    pub findings: Vec<Finding>,
    /// The tasks whose verification was part of that, and from where changes were counted.
    pub checked: (Vec<usize>, Sha),
    /// Whether the same tree passed when its checks ran again.
    pub again: Option<bool>,
    /// Whether the task's work passes on the base that it had.
    pub alone: Option<bool>,
    /// After so many landings it still passed, and after so many it no longer did.
    pub between: (usize, usize),
}

impl TaskRun {
    pub(super) fn new() -> TaskRun {
        TaskRun {
            step: Step::Pending,
            attempt: 0,
            attempts_before: 0,
            slot: None,
            base: None,
            head: None,
            base_landed: 0,
            worked_ms: 0,
            files: 0,
            findings: Vec::new(),
            failure: None,
            retry_at: None,
            merged: None,
            discarded: BTreeMap::new(),
            started_at: None,
            updated_at: None,
            worker_ended_at: None,
            verified_seq: 0,
            unsaved: None,
            skipped_with: None,
            conflicted_on: None,
            conflicts: Vec::new(),
            inquest: None,
            together: None,
            flaky: 0,
            request: None,
            installed: Vec::new(),
            around: None,
            environment: String::new(),
        }
    }

    /// A task at the start of a run; `landed` when an earlier run has done it.
    pub(super) fn at_first(landed: bool, base: &Sha) -> TaskRun {
        let step = if landed { Step::Merged } else { Step::Pending };
        let merged = landed.then(|| base.clone());
        TaskRun { step, merged, ..TaskRun::new() }
    }

    /// Whether it takes up a place among the parallel tasks.
    pub fn is_active(&self) -> bool {
        matches!(
            self.step,
            Step::Preparing | Step::Working | Step::Collecting | Step::Checking | Step::Judging
        )
    }

    /// The state's word in `status` and reports.
    pub fn word(&self) -> &'static str {
        match self.step {
            Step::Pending => "pending",
            Step::Preparing | Step::Working => "executing",
            Step::Collecting | Step::Checking | Step::Judging => "completed",
            Step::Queued | Step::Suspect => "verified",
            Step::Blocked => "blocked",
            Step::Merged => "merged",
            Step::Failed => "failed",
            Step::Skipped => "skipped",
        }
    }
}

/// What is known of a tree of the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Colour {
    /// Not checked, or not to its end.
    Unknown,
    /// Every required check passed on exactly this tree.
    Green,
    /// A required check failed on it.
    Red,
}

/// A tree of the queue: a task merged onto what is before it.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "the fields are named by the events that set them")]
pub struct Stage {
    pub number: StageNumber,
    pub task: usize,
    pub base: Sha,
    pub commit: Option<Sha>,
    pub tree: Option<Sha>,
    pub colour: Colour,
    pub findings: Vec<Finding>,
    /// The tasks whose verification its colour comes from, and from where changes were counted.
    pub checked: (Vec<usize>, Sha),
    /// When it was chosen, ms: the time of its merge commit.
    pub started_at: Millis,
}

/// How far a gate has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GateStep {
    /// Its tree is to be merged.
    Building,
    /// Its tree is to be put into its worktree.
    Preparing,
    /// Its commands run.
    Checking,
    /// They are to be ended.
    Stopping,
}

/// A tree at the gate.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "the fields are named by the events that set them")]
pub struct GateRun {
    pub number: GateNumber,
    pub on: GateOn,
    pub commit: Option<Sha>,
    pub place: Gate,
    pub step: GateStep,
    /// The tasks whose verification is part of it.
    pub tasks: Vec<usize>,
    /// What its changes are counted from, for checks with `paths` and the placeholders.
    pub base: Sha,
    /// When it was chosen, ms: the time of a merge commit that it needs.
    pub started_at: Millis,
}

/// Packages that are being installed.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "the fields are named by the events that set them")]
pub struct Install {
    pub number: u32,
    pub packages: Vec<String>,
    pub base: Sha,
    pub step: InstallStep,
    /// When its commands ended, ms: the time of its commit.
    pub ended_at: Millis,
}

/// How far an installation has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InstallStep {
    /// Its worktree is to be made.
    Preparing,
    /// Its commands run.
    Running,
    /// What they changed is to be committed.
    Committing,
}
