//! What happens in a run, as plain data: journal line, reporter's input and line of `run --json` in one. Has no
//! behaviour; what an event does to the state is in state.rs.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::types::{
    Attempt, Category, Finding, JobReport, Millis, RunId, Sha, Slot, StageNumber, TaskId,
};

/// What happened, or what was decided: a journal line, a reporter's input, a line of `run --json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
#[expect(missing_docs, reason = "the fields are named by the variant's line")]
pub enum Event {
    /// The run was made; always the first.
    RunStarted {
        run_id: RunId,
        version: String,
        request: String,
        plan_sha256: String,
        target: String,
        base: Sha,
        settings: Settings,
        approval: Approval,
    },
    /// A coordinator took the run up, the first or a later one.
    CoordinatorStarted { pid: u32, version: String, promote_landed: bool },
    /// The staging branch exists.
    StagingCreated,
    /// Chosen: a new attempt, its worktree and its base.
    AttemptStarted { task: TaskId, attempt: Attempt, slot: Slot, base: Sha },
    /// The attempt's worktree holds its base.
    WorktreeReady { task: TaskId, attempt: Attempt },
    /// The worker's job is over.
    WorkerEnded { task: TaskId, attempt: Attempt, report: JobReport, finding: Option<Finding> },
    /// What the worker left is committed on the task's branch and compared with what it may touch.
    WorkCollected {
        task: TaskId,
        attempt: Attempt,
        head: Sha,
        files: usize,
        findings: Vec<Finding>,
    },
    /// The verification commands have run in the attempt's worktree.
    ChecksEnded { task: TaskId, attempt: Attempt, report: JobReport, findings: Vec<Finding> },
    /// The attempt is what was asked for and waits in the queue.
    TaskVerified { task: TaskId, attempt: Attempt },
    /// The attempt did not pass. With `retry_at` (ms since the epoch) there is a next one.
    AttemptFailed {
        task: TaskId,
        attempt: Attempt,
        category: Category,
        findings: Vec<Finding>,
        retry_at: Option<Millis>,
    },
    /// Chosen: the next tree to put to the gate, `task` merged onto `base`, or `base` itself at the end.
    StageStarted { stage: StageNumber, task: Option<TaskId>, base: Sha },
    /// The tree exists.
    StageBuilt { stage: StageNumber, commit: Sha, tree: Sha },
    /// The task does not merge with what landed before it.
    StageConflicted { stage: StageNumber, paths: Vec<String> },
    /// The gate's worktree holds the tree.
    StageReady { stage: StageNumber },
    /// The gate's commands have run; empty findings are green.
    StageChecked { stage: StageNumber, report: JobReport, findings: Vec<Finding> },
    /// Staging stands at the stage's commit.
    Landed { task: TaskId, commit: Sha },
    /// Chosen: the target is to go from here to the staging tip. From now on no answer is taken until that is over.
    PromotionStarted { from: Sha, to: Sha },
    /// The target stands at the staging tip.
    Promoted { from: Sha, to: Sha },
    /// The target could not be moved; nothing was touched.
    PromotionBlocked { reason: String, help: String },
    /// The target went forward during the run; it is to be merged into staging.
    TargetMoved { to: Sha },
    /// The target's new tip is merged into staging, which is gated again.
    TargetMerged { target: Sha, commit: Sha },
    /// Something around the run was refused by the machine or git.
    EffectFailed { what: String, task: Option<TaskId>, error: String },
    /// A person's answer was taken.
    Answered { id: String, choice: Choice, task: Option<TaskId> },
    /// Nothing can go on without a person.
    Escalated { reason: String },
    /// Worktrees, branches and sessions of the run are gone, but for what is kept on purpose.
    CleanedUp { kept: Vec<String> },
    /// The run is over.
    RunEnded { outcome: Outcome },
}

/// What a person decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Choice {
    /// Try the task again, with fresh attempts.
    Retry,
    /// Go on without the task.
    Skip,
    /// End the run; the target stays where it was.
    Abort,
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Everything landed, or was skipped by a person.
    Done,
    /// What landed was promoted; some tasks did not land.
    Partial,
    /// A person ended it.
    Aborted,
}

/// What was set when the run was made; frozen, so that `resume` goes on the same way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Settings {
    /// How many tasks are worked on at once.
    pub jobs: u32,
    /// `tmux` or `process`.
    pub backend: String,
    /// Promote what landed even when some tasks failed.
    pub promote_landed: bool,
    /// Stop after the final gate.
    pub no_promote: bool,
    /// Only these tasks and what they depend on; empty is all.
    pub only: Vec<TaskId>,
    /// The agent for tasks that name none.
    pub agent: Option<String>,
    /// Names of further environment variables that reach the jobs.
    pub env_pass: Vec<String>,
    /// How jobs are fenced: `namespace`, `landlock` or `off`.
    #[serde(default)]
    pub fence: String,
    /// Whether a job may write nothing but its worktree, caches and the temporary directory.
    #[serde(default)]
    pub strict_fence: bool,
    /// Further paths that jobs may write.
    #[serde(default)]
    pub writable: Vec<String>,
    /// The hash of the lockfiles when the run was made.
    pub environment: String,
}

/// Who let the run start, and at which risk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Approval {
    /// The plan's score.
    pub score: u64,
    /// Its level.
    pub level: String,
    /// `auto`, `--yes`, `--approve` or `terminal`.
    pub by: String,
}

/// A journal record without its checksum.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Record {
    /// Version of the journal's format.
    pub v: u32,
    /// Counts from 1 without a gap.
    pub seq: u64,
    /// When it was written: RFC 3339, UTC.
    #[schemars(with = "String")]
    pub at: jiff::Timestamp,
    /// What happened.
    pub event: Event,
}

/// The event's type, as it stands in the journal.
pub fn kind_of(event: &Event) -> String {
    serde_json::to_value(event)
        .ok()
        .and_then(|v| v.get("type").and_then(|t| t.as_str().map(str::to_owned)))
        .unwrap_or_default()
}
