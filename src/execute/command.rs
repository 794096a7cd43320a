//! What can be done, what came of it, and what is seen: the plain data between decisions and the world.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};

use super::event::{Choice, Event, Verdict};
use crate::git::{FastForward, Merge, Swap};
use crate::plan::config::Boundaries;
use crate::types::{Attempt, Change, Finding, GateNumber, JobReport, Millis, Sha, StageNumber};

/// Something to be done in the world. Plain data, and its own name: doing one twice is harmless.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[expect(missing_docs, reason = "the fields are indices and numbers of the state")]
pub enum Effect {
    /// Make the staging branch at the base.
    CreateStaging,
    /// Make the attempt's worktree hold its base.
    Prepare { task: usize, attempt: Attempt },
    /// Run the worker to its end, or find the one that runs.
    Work { task: usize, attempt: Attempt },
    /// Commit what the worker left, and compare it with its base.
    Collect { task: usize, attempt: Attempt },
    /// Run the verification commands in the attempt's worktree.
    Check { task: usize, attempt: Attempt },
    /// Merge in memory.
    BuildStage { stage: StageNumber },
    /// Merge in memory what a gate is to look at.
    BuildGate { gate: GateNumber },
    /// Make the gate's worktree hold its tree.
    PrepareGate { gate: GateNumber },
    /// Run the gate's commands there.
    CheckGate { gate: GateNumber },
    /// End them.
    StopGate { gate: GateNumber },
    /// Move staging to the merged commit.
    Land { stage: StageNumber },
    /// Make the worktree in which packages are installed.
    PrepareInstall { number: u32 },
    /// Run the commands that install them.
    RunInstall { number: u32 },
    /// Commit what those changed on top of staging, and move it there.
    CommitInstall { number: u32 },
    /// Let the reviewer look at what is gated.
    Review { number: u32 },
    /// Move the target to the staging tip.
    Promote { to: Sha },
    /// Push the staging branch and open a pull request.
    Propose { to: Sha },
    /// Merge the target's new tip into staging.
    MergeTarget { target: Sha },
    /// Remove what the run made; when it is aborted, end its jobs first.
    CleanUp,
    /// Remove an answer that was taken, or that answers nothing any more.
    DropAnswer { id: String },
}

impl Effect {
    /// Whether it waits for a job, which outlives the coordinator.
    pub fn is_job(&self) -> bool {
        matches!(
            self,
            Effect::Work { .. }
                | Effect::Check { .. }
                | Effect::CheckGate { .. }
                | Effect::RunInstall { .. }
                | Effect::Review { .. }
        )
    }
}

/// What an effect brought about.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the variants are the effects' results")]
pub enum Product {
    Nothing,
    Job(JobReport),
    /// The worktree is ready; what stands around it, where the fence cannot keep that as it was.
    Prepared {
        around: Option<String>,
    },
    Collected {
        head: Sha,
        changes: Vec<Change>,
        found: Vec<Finding>,
    },
    Installed {
        commit: Sha,
        environment: String,
    },
    Reviewed {
        report: JobReport,
        verdict: Verdict,
    },
    Proposed {
        url: Option<String>,
        command: String,
    },
    Merged(Merge),
    Swapped(Swap),
    Promoted(FastForward),
    CleanedUp {
        kept: Vec<String>,
    },
}

/// Why an effect brought nothing about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trouble {
    /// Git or the system refused.
    Refused(String),
    /// The disk is full or cannot be written: stop cleanly, `resume` later.
    NoRoom(String),
}

/// An effect that came to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Done {
    /// Which.
    pub effect: Effect,
    /// With what.
    pub result: Result<Product, Trouble>,
}

/// An answer that a person left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// Its name; an answer is taken once.
    pub id: String,
    /// What was decided.
    pub choice: Choice,
    /// About which task, and at which attempt: an answer to an older question is none.
    pub about: Option<(usize, Attempt)>,
}

/// What the coordinator sees of the world at one moment.
#[derive(Debug, Clone, Default)]
#[expect(missing_docs, reason = "the fields are named by their types")]
pub struct Seen {
    pub now: Millis,
    pub done: Vec<Done>,
    pub in_flight: HashSet<Effect>,
    pub answers: Vec<Answer>,
    /// Finish what is under way, begin nothing.
    pub interrupted: bool,
}

/// What decisions need besides the state.
#[derive(Debug, Clone)]
pub struct Limits {
    /// What no task may touch.
    pub boundaries: Boundaries,
    /// The wait before the first retry of a crash or timeout, ms; doubled each time, at most a minute.
    pub backoff_ms: u64,
    /// What earlier runs of this repository showed.
    pub history: History,
}

/// How tasks did at the gates of earlier runs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct History {
    /// How many were checked.
    pub seen: u32,
    /// How many of them broke the suite.
    pub broke: u32,
}

/// One thing to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Write it down.
    Record(Box<Event>),
    /// Begin it.
    Begin(Effect),
}
