//! Where jobs run. A backend starts a wrapper and shows it; how a job ended is read from its exit file alone.

pub mod process;
pub mod tmux;

use std::path::{Path, PathBuf};
use std::process::{Child, Command};

use crate::types::JobId;

/// A job that is to be started or shown.
#[derive(Debug, Clone)]
pub struct Handle {
    /// Its id.
    pub job: JobId,
    /// Its directory.
    pub dir: PathBuf,
    /// The name under which people see it: `worker-<task-id>`, `check-…`, `gate-…`.
    pub title: String,
}

/// A backend that could not do what it was asked.
#[derive(Debug, thiserror::Error)]
#[error("{backend} cannot {action}: {message}")]
pub struct BackendError {
    /// Which backend.
    pub backend: &'static str,
    /// What was tried.
    pub action: &'static str,
    /// What it said.
    pub message: String,
}

/// Starts wrappers and shows them. Starting one twice is harmless: the job's lock lets one through.
pub trait Backend: Send + Sync {
    /// Its word in the configuration and the journal.
    fn name(&self) -> &'static str;

    /// Starts the wrapper of a job. A child of this process is returned, to be waited for.
    fn start(&self, job: &Handle) -> Result<Option<Child>, BackendError>;

    /// Forgets what is left to be seen of jobs that have ended.
    fn forget(&self, jobs_dir: &Path) -> Result<(), BackendError>;

    /// The command that shows the job in this terminal, and the name of what it shows.
    fn attach(&self, job: &Handle) -> Option<(Command, String)>;
}
