//! The words every room shares: ids, shas, categories, findings. Knows nothing of disk, git or clocks.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Milliseconds since the Unix epoch, as read by the world's clock.
pub type Millis = i64;

/// The SHA-256 of `bytes` in hexadecimal.
pub fn sha256(bytes: &[u8]) -> String {
    use sha2::Digest;
    sha2::Sha256::digest(bytes).iter().map(|b| format!("{b:02x}")).collect()
}

macro_rules! text_newtype {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(
            Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
        )]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            /// The text itself.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

text_newtype! {
    /// A task's id: `[a-z0-9][a-z0-9-]{0,62}`, safe as a branch, directory and tmux session name.
    TaskId
}
text_newtype! {
    /// A run's id: `[a-z0-9-]`; of two runs the newer sorts last.
    RunId
}
text_newtype! {
    /// A git object id in hexadecimal.
    Sha
}
text_newtype! {
    /// A job's id inside its run; also the name of its directory.
    JobId
}

impl TaskId {
    /// Takes `text` when it is a well-formed id.
    pub fn parse(text: &str) -> Option<TaskId> {
        let bytes = text.as_bytes();
        let head = bytes.first()?;
        let word = |b: &u8| b.is_ascii_lowercase() || b.is_ascii_digit();
        let fits = bytes.len() <= 63 && word(head) && bytes.iter().all(|b| word(b) || *b == b'-');
        fits.then(|| TaskId(text.to_owned()))
    }
}

impl RunId {
    /// Takes `text` when it is a well-formed id.
    pub fn parse(text: &str) -> Option<RunId> {
        let ok = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        let fits = !text.is_empty()
            && text.len() <= 63
            && text.bytes().all(ok)
            && !text.starts_with('-')
            && !text.ends_with('-');
        fits.then(|| RunId(text.to_owned()))
    }
}

impl Sha {
    /// Takes `text` when it is a full hexadecimal object id.
    pub fn parse(text: &str) -> Option<Sha> {
        let fits = (text.len() == 40 || text.len() == 64)
            && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
        fits.then(|| Sha(text.to_owned()))
    }

    /// The first ten characters, for people.
    pub fn short(&self) -> &str {
        self.0.get(..10).unwrap_or(&self.0)
    }
}

impl JobId {
    /// The worker of one attempt.
    pub fn worker(task: &TaskId, attempt: Attempt) -> JobId {
        JobId(format!("worker-{task}-{attempt}"))
    }

    /// The verification commands of one attempt, in its own worktree.
    pub fn checks(task: &TaskId, attempt: Attempt) -> JobId {
        JobId(format!("check-{task}-{attempt}"))
    }

    /// The commands of gate `number` on a merged tree.
    pub fn gate(number: GateNumber) -> JobId {
        JobId(format!("gate-{number}"))
    }

    /// The commands that install packages.
    pub fn install(number: u32) -> JobId {
        JobId(format!("install-{number}"))
    }

    /// The reviewer of one iteration.
    pub fn review(iteration: u32) -> JobId {
        JobId(format!("review-{iteration}"))
    }
}

/// Counts the tries at one task, from 1.
pub type Attempt = u32;

/// Counts the merged trees of a run's queue, from 1.
pub type StageNumber = u32;

/// Counts the trees of a run that were put to the gate, from 1.
pub type GateNumber = u32;

/// Names a reusable worktree: `.worktrees/<run-id>-slot<n>`.
pub type Slot = u32;

/// Names a reusable worktree of the gate.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Gate {
    /// `.worktrees/<run-id>-gate<n>`: its caches stay warm.
    Slot(u32),
    /// `.worktrees/<run-id>-gate-final`: made anew for each final gate.
    Final,
}

/// Why an attempt did not pass. The order is gate.md's: the first of several names the task's failure.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Category {
    /// Touched what the task does not own.
    BoundaryViolation,
    /// Touched what judges it.
    Tampering,
    /// A contract's version or signature does not hold.
    ContractMismatch,
    /// The worker ended with a failure.
    Crash,
    /// A time limit was reached.
    Timeout,
    /// A cost or token limit was reached.
    Budget,
    /// The agent was refused a permission.
    Permission,
    /// The model's service refused for a while.
    RateLimited,
    /// The model's service refused the credentials.
    Auth,
    /// A check ended well but checked nothing.
    Vacuous,
    /// A required check failed on the work itself.
    LogicError,
    /// A check failed because a package is not installed.
    MissingDependency,
    /// A check failed because of the machine it ran on.
    EnvIssue,
    /// A check failed, then passed unchanged.
    Flaky,
    /// The work does not merge with what landed meanwhile.
    MergeConflict,
    /// The worker ended well and changed nothing.
    NoChanges,
    /// A reviewer sent it back.
    Review,
}

impl Category {
    /// The category's word in JSON, reports and messages.
    pub fn word(self) -> &'static str {
        match self {
            Category::BoundaryViolation => "boundary_violation",
            Category::Tampering => "tampering",
            Category::ContractMismatch => "contract_mismatch",
            Category::Crash => "crash",
            Category::Timeout => "timeout",
            Category::Budget => "budget",
            Category::Permission => "permission",
            Category::RateLimited => "rate_limited",
            Category::Auth => "auth",
            Category::Vacuous => "vacuous",
            Category::LogicError => "logic_error",
            Category::MissingDependency => "missing_dependency",
            Category::EnvIssue => "env_issue",
            Category::Flaky => "flaky",
            Category::MergeConflict => "merge_conflict",
            Category::NoChanges => "no_changes",
            Category::Review => "review",
        }
    }

    /// Whether the same work may pass when it is simply tried again later.
    pub fn is_transient(self) -> bool {
        matches!(self, Category::Crash | Category::Timeout | Category::Flaky | Category::EnvIssue)
    }
}

impl fmt::Display for Category {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// One thing that is wrong with an attempt, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Finding {
    /// What kind of thing.
    pub category: Category,
    /// What was seen, in one line.
    pub message: String,
    /// The path or command it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// What would put it right.
    pub help: String,
    /// The end of a command's output; data from a worker, never executed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<String>,
    /// The package that is missing, as far as the output names it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub package: Option<String>,
}

/// How a job came to its end, as its exit file says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Ending {
    /// Every command that was to run has run.
    Finished,
    /// Ended from outside, by `abort`, `stop` or a signal to the wrapper.
    Stopped,
    /// The wrapper died without an exit file; nothing is known of its command.
    Lost,
}

/// How one command of a job ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StepResult {
    /// The command, as it stands in the plan.
    pub command: String,
    /// Whether its failure fails the whole.
    pub required: bool,
    /// The exit code, when it exited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<i32>,
    /// The signal, when one ended it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signal: Option<i32>,
    /// Whether its time limit ended it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub timed_out: bool,
    /// How long it ran, in milliseconds.
    pub duration_ms: u64,
    /// The end of its output when it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<String>,
    /// The time limit that it had, in milliseconds.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub limit_ms: u64,
    /// What its failure says about, when it is not simply the work: the signature of a contract.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub on_contract: bool,
    /// Why it was not run, as people read it: `mypy is not installed`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub skipped: Option<String>,
    /// Whether it only prepares the worktree.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub setup: bool,
    /// Whether it failed, and passed when it ran again, unchanged.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub flaky: bool,
    /// What names exactly this command with its words and variables, for results that are kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// Whether it was found in the project, and not declared.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub detected: bool,
    /// The line of its output that says that no test ran.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub no_tests: Option<String>,
    /// How many findings of high severity a scanner reported, and the first of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub high: Vec<String>,
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

impl StepResult {
    /// A command that has not run yet.
    pub fn new(command: String, required: bool) -> StepResult {
        StepResult {
            command,
            required,
            code: None,
            signal: None,
            timed_out: false,
            duration_ms: 0,
            output: None,
            limit_ms: 0,
            on_contract: false,
            skipped: None,
            setup: false,
            flaky: false,
            key: None,
            detected: false,
            no_tests: None,
            high: Vec::new(),
        }
    }

    /// Whether the command exited with 0 in time, or was left out for a reason that is told.
    pub fn passed(&self) -> bool {
        self.skipped.is_some() || (self.code == Some(0) && !self.timed_out)
    }

    /// How it ended, for people: `exit 7`, `killed by signal 9`, `timed out`.
    pub fn ending(&self) -> String {
        match (self.timed_out, self.code, self.signal) {
            (true, _, _) => "timed out".to_owned(),
            (false, Some(code), _) => format!("exit {code}"),
            (false, None, Some(signal)) => format!("killed by signal {signal}"),
            (false, None, None) => match &self.skipped {
                Some(why) => format!("skipped: {why}"),
                None => "did not run".to_owned(),
            },
        }
    }
}

/// What a finished job left.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct JobReport {
    /// How the job as a whole ended.
    pub ending: Ending,
    /// Its commands, in order; those that were not reached are absent.
    pub steps: Vec<StepResult>,
}

impl JobReport {
    /// The first required command that did not pass.
    pub fn first_failure(&self) -> Option<&StepResult> {
        self.steps.iter().find(|s| s.required && !s.passed())
    }

    /// How long its commands ran, one after the other, ms.
    pub fn length_ms(&self) -> u64 {
        self.steps.iter().map(|s| s.duration_ms).sum()
    }

    /// Whether the job ran to its end and every required command passed.
    pub fn passed(&self) -> bool {
        self.ending == Ending::Finished && self.first_failure().is_none()
    }
}

/// How one path differs between two trees.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The path in the new tree (in the old one for a deletion), with `/` between its parts.
    pub path: String,
    /// What happened to it.
    pub kind: ChangeKind,
    /// Git's file mode before; 0 when it did not exist.
    pub old_mode: u32,
    /// Git's file mode after; 0 when it no longer exists.
    pub new_mode: u32,
    /// How many lines are new; a binary file counts as one.
    pub added: usize,
    /// How many lines are gone; a binary file counts as one.
    pub removed: usize,
    /// Whether all that was there still begins the file: it was only added to.
    pub only_grew: bool,
    /// Whether old and new differ in their white space alone.
    pub only_blank: bool,
}

/// What happened to a path. A rename is a deletion and an addition: both ends are judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChangeKind {
    /// It is new.
    Added,
    /// Its content or mode is another.
    Modified,
    /// It is gone.
    Deleted,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_task_id_is_lower_case_letters_digits_and_dashes() {
        for good in ["a", "0", "task-auth-service", &"a".repeat(63)] {
            assert!(TaskId::parse(good).is_some(), "{good}");
        }
        for bad in ["", "-a", "A", "a_b", "a.b", "a/b", "é", "a b", &"a".repeat(64)] {
            assert!(TaskId::parse(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn the_category_word_is_its_serialised_form() {
        for category in [Category::BoundaryViolation, Category::NoChanges, Category::RateLimited] {
            let json = serde_json::to_string(&category).unwrap();
            assert_eq!(json, format!("\"{category}\""));
        }
    }
}
