//! The one place where errors become exit codes, with a hint beside each. Prints nothing.

use crate::execute::run::RunError;
use crate::git::GitError;
use crate::store::StoreError;

/// The documented exit codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// Done.
    Done = 0,
    /// A bug in slimductor, always.
    Bug = 1,
    /// Usage.
    Usage = 2,
    /// The plan or the configuration is invalid, missing or over `--max-risk`.
    Invalid = 3,
    /// The run is over and some tasks did not land.
    Unlanded = 4,
    /// Waits for a person.
    Person = 5,
    /// Another slimductor holds this run.
    Held = 6,
    /// The environment lacks something.
    Environment = 7,
    /// The journal or a state file is unreadable.
    Unreadable = 8,
    /// Interrupted; `resume` goes on.
    Interrupted = 130,
}

impl Exit {
    /// The number.
    pub fn code(self) -> u8 {
        self as u8
    }
}

/// Why a command did not do what it was asked.
#[derive(Debug, Clone)]
pub struct Failure {
    /// The exit code.
    pub exit: Exit,
    /// What happened, in one line.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
}

impl Failure {
    /// A failure without a hint.
    pub fn new(exit: Exit, message: impl Into<String>) -> Failure {
        Failure { exit, message: message.into(), hint: None }
    }

    /// Says what to do about it.
    pub fn hint(mut self, hint: impl Into<String>) -> Failure {
        self.hint = Some(hint.into());
        self
    }
}

impl From<RunError> for Failure {
    fn from(error: RunError) -> Failure {
        let message = error.to_string();
        match error {
            RunError::Held { .. } => Failure::new(Exit::Held, message)
                .hint("`slimductor status` shows it; wait for it, or stop that process"),
            RunError::Overlaps { .. } => Failure::new(Exit::Held, message)
                .hint("wait for it, or take the files out of one of the plans"),
            RunError::Unfinished { run, .. } => {
                let hint =
                    format!("`slimductor resume {run}` goes on with it, `abort {run}` ends it");
                Failure::new(Exit::Held, message).hint(hint)
            }
            RunError::Unknown(_) => Failure::new(Exit::Usage, message)
                .hint("`ls .orchestrator/runs` names the runs; without a name it is the newest"),
            RunError::None => {
                Failure::new(Exit::Usage, message).hint("`slimductor run tasks.yaml` starts one")
            }
            RunError::StillAtWork { .. } => Failure::new(Exit::Held, message)
                .hint("wait for it, or end it with `kill`, then `slimductor resume`"),
            RunError::Unclear { run, .. } => {
                let hint = format!(
                    "restore the file, or move `.orchestrator/runs/{run}` away to start all the same"
                );
                Failure::new(Exit::Unreadable, message).hint(hint)
            }
            RunError::Unreadable(_) => Failure::new(Exit::Unreadable, message)
                .hint("nothing was changed; restore the file, or move the run's directory away: `slimductor doctor` then names its worktrees and branches"),
            RunError::NoRoom(_) => Failure::new(Exit::Environment, message).hint(NO_ROOM),
            RunError::NoWorktree(_) => Failure::new(Exit::Usage, message)
                .hint("a task has one while it is worked on, and after it failed"),
            RunError::Git(error) => error.into(),
            RunError::Interrupted => Failure::new(Exit::Interrupted, message),
        }
    }
}

impl From<GitError> for Failure {
    fn from(error: GitError) -> Failure {
        let message = error.to_string();
        let failure = Failure::new(Exit::Environment, message);
        if error.is_no_room() {
            return failure.hint(NO_ROOM);
        }
        match error {
            GitError::NoRepository(_) => failure.hint("`git init`, and commit something"),
            GitError::NoCommand(_) => failure.hint("install git and put it on PATH"),
            GitError::Bare(_)
            | GitError::Command { .. }
            | GitError::Library { .. }
            | GitError::File { .. }
            | GitError::NotAnId(_) => failure,
        }
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Failure {
        let failure = Failure::new(Exit::Environment, error.to_string());
        if error.is_no_room() { failure.hint(NO_ROOM) } else { failure }
    }
}

/// What to do about a full or dead disk.
const NO_ROOM: &str = "make room or mend what it says, then `slimductor resume`";
