//! What happens in a run, as plain data: journal line, reporter's input and line of `run --json` in one. Has no
//! behaviour; what an event does to the state is in state.rs.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::types::{
    Attempt, Category, Finding, Gate, GateNumber, JobReport, Millis, RunId, Sha, Slot, StageNumber,
    TaskId,
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
        settings: Box<Settings>,
        approval: Approval,
    },
    /// A coordinator took the run up, the first or a later one.
    CoordinatorStarted {
        pid: u32,
        version: String,
        promote_landed: bool,
        /// Whether what is committed nowhere is dropped from now on, instead of being kept on a recovery branch.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        force: bool,
        /// Where the target went forward to since the run last knew it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        target: Option<Sha>,
    },
    /// The staging branch exists.
    StagingCreated,
    /// Chosen: a new attempt, its worktree and its base.
    AttemptStarted { task: TaskId, attempt: Attempt, slot: Slot, base: Sha },
    /// The attempt's worktree holds its base.
    WorktreeReady {
        task: TaskId,
        attempt: Attempt,
        /// What stood around it, where the fence cannot keep that as it was.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        around: Option<String>,
    },
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
    /// The worker, or a failed check, asks for packages that are not installed; the task waits for them.
    TaskBlocked { task: TaskId, attempt: Attempt, reason: String, packages: Vec<String> },
    /// Chosen: the next tree of the queue, `task` merged onto `base`, the tree before it.
    StageStarted { stage: StageNumber, task: TaskId, base: Sha },
    /// The tree exists.
    StageBuilt { stage: StageNumber, commit: Sha, tree: Sha },
    /// The task does not merge with what is before it.
    StageConflicted { stage: StageNumber, paths: Vec<String> },
    /// Chosen: a tree to put to the gate, and the worktree for it. Without `commit` it must be merged first.
    GateStarted { gate: GateNumber, on: GateOn, commit: Option<Sha>, place: Gate },
    /// The tree to be checked exists.
    GateBuilt { gate: GateNumber, commit: Sha },
    /// The gate's worktree holds the tree.
    GateReady { gate: GateNumber },
    /// The gate's commands have run; empty findings are green.
    GateChecked { gate: GateNumber, report: JobReport, findings: Vec<Finding> },
    /// Chosen: what this gate says is of no use any more; its commands are to be ended.
    GateDropped { gate: GateNumber },
    /// They are ended, and its worktree is free.
    GateStopped { gate: GateNumber },
    /// Chosen: staging is to go to this stage, whose tree is green.
    LandingStarted { stage: StageNumber },
    /// Staging holds the task; of several that land at once each has its own commit, and staging stands at the last.
    Landed { task: TaskId, commit: Sha },
    /// The task breaks the suite: everything before it is green. It leaves the queue until it is known why.
    TaskEvicted { task: TaskId, stage: StageNumber, findings: Vec<Finding> },
    /// The same tree passed when its checks ran again: the task goes back to the queue.
    TaskCleared { task: TaskId },
    /// Chosen: these packages are to be installed on top of staging.
    InstallStarted { number: u32, packages: Vec<String>, base: Sha },
    /// The worktree for it is ready.
    InstallReady { number: u32 },
    /// The commands have run.
    InstallEnded { number: u32, report: JobReport, findings: Vec<Finding> },
    /// Staging holds what the commands changed; the lockfiles have a new hash.
    Installed { number: u32, commit: Sha, environment: String },
    /// Chosen: the reviewer is to look at what is gated.
    ReviewStarted { number: u32, iteration: u32, commit: Sha },
    /// What the reviewer said.
    ReviewEnded { iteration: u32, report: JobReport, verdict: Verdict },
    /// The staging branch was pushed; `url` is the pull request's, else `command` opens it.
    PullRequest { commit: Sha, url: Option<String>, command: String },
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
    /// Chosen: what the run made is to be removed. From now on no answer is taken.
    CleanUpStarted,
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
    /// Install what a blocked task asks for; without a task, what all of them ask for.
    Approve,
    /// Judge what a person has put right in the task's kept worktree.
    Fix,
    /// Take what is gated as it is, whatever the reviewer says.
    Accept,
    /// End the run for a new plan that starts from what landed.
    Replan,
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
    /// A person went on with another plan, on top of what had landed.
    Replanned,
}

/// Which tree a gate checks, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the fields are named by the variant's line")]
pub enum GateOn {
    /// The staging tip by itself.
    Base,
    /// The queue up to and with this stage.
    Prefix { stage: StageNumber },
    /// The tree for which this task is blamed, once more: is the suite flaky?
    Again { task: TaskId },
    /// The task's work on the base that it had: is it its own fault?
    Alone { task: TaskId },
    /// The task's work on an earlier staging tip, after so many landings: whom does it not get on with?
    With { task: TaskId, landed: usize },
    /// The staging tip, at the end, with every check.
    Final,
}

/// What a reviewer decided.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the fields are named by the variant's line")]
pub enum Verdict {
    /// Let it go to the target.
    Accept { comment: String },
    /// Work on these tasks again, with what is said to each.
    Iterate { feedback: Vec<Feedback> },
    /// It ended badly, or said nothing that can be read.
    Unreadable { why: String },
}

/// What a reviewer says to one task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[expect(missing_docs, reason = "the fields are named by their types")]
pub struct Feedback {
    pub task: TaskId,
    pub message: String,
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
    /// How many gates run at once.
    #[serde(default = "one")]
    pub window: u32,
    /// Whether every landed commit is to be green by itself.
    #[serde(default)]
    pub strict: bool,
    /// Whether a target that moved ends in a question, instead of a merge and a new gate.
    #[serde(default)]
    pub fail_on_diverged: bool,
    /// Push staging and open a pull request instead of moving the target.
    #[serde(default)]
    pub pull_request: bool,
    /// How often a reviewer may send the result back.
    #[serde(default)]
    pub max_iterations: u32,
    /// The reviewer's command and its arguments; empty where nobody reviews.
    #[serde(default)]
    pub reviewer: Vec<String>,
    /// Packages that need nobody's approval.
    #[serde(default)]
    pub allowed_packages: Vec<String>,
    /// Whether no package needs approval.
    #[serde(default)]
    pub auto_approve: bool,
    /// Tasks of this plan that had landed before, in a run that this one goes on from.
    #[serde(default)]
    pub landed: Vec<TaskId>,
    /// Where the target stood, when the run starts from elsewhere.
    #[serde(default)]
    pub target_at: Option<Sha>,
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

fn one() -> u32 {
    1
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
