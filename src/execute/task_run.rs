//! Where one task and the tree at the gate stand. Plain data; state.rs changes it.

use std::collections::BTreeMap;

use crate::types::{Attempt, Category, Finding, Millis, Sha, Slot, StageNumber};

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
    /// The failed attempt whose kept worktree a person may have edited and that is not saved yet; the slot stays
    /// with the task until it is.
    pub unsaved: Option<Attempt>,
    /// The skipped task that it depends on, when it was left out because of that.
    pub skipped_with: Option<usize>,
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
        }
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
            Step::Queued => "verified",
            Step::Merged => "merged",
            Step::Failed => "failed",
            Step::Skipped => "skipped",
        }
    }
}

/// How far a tree at the gate has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StageStep {
    /// To be merged.
    Building,
    /// To be put into the gate's worktree.
    Preparing,
    /// Its commands run.
    Checking,
    /// Green: staging is to move there (for the last stage: the target).
    Green,
    /// Red: the verdict is due.
    Red,
}

/// A tree at the gate.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "the fields are named by the events that set them")]
pub struct Stage {
    pub number: StageNumber,
    /// The task that is merged; `None` is the final gate on the staging tip.
    pub task: Option<usize>,
    pub base: Sha,
    pub commit: Option<Sha>,
    pub tree: Option<Sha>,
    pub step: StageStep,
    pub findings: Vec<Finding>,
    /// When it was chosen, ms: the time of its merge commit.
    pub started_at: Millis,
}
