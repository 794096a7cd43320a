//! Jobs as plain processes in sessions of their own: the embedded default, needs nothing.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use super::{Backend, BackendError, Handle};
use crate::fault;
use crate::store;

/// The process backend.
#[derive(Debug)]
pub struct Process {
    exe: PathBuf,
}

impl Process {
    /// Starts wrappers with the binary at `exe`.
    pub fn new(exe: PathBuf) -> Process {
        Process { exe }
    }
}

impl Backend for Process {
    fn name(&self) -> &'static str {
        "process"
    }

    fn start(&self, job: &Handle) -> Result<Option<Child>, BackendError> {
        let failed =
            |message: String| BackendError { backend: "process", action: "start a job", message };
        fault::point("start", &job.dir).map_err(|e| failed(e.to_string()))?;
        let log =
            store::open_append(&job.dir.join("wrapper.log")).map_err(|e| failed(e.to_string()))?;
        let second = log.try_clone().map_err(|e| failed(e.to_string()))?;
        #[expect(clippy::disallowed_methods, reason = "a backend starts processes")]
        let child = Command::new(&self.exe)
            .arg("job")
            .arg(&job.dir)
            .stdin(Stdio::null())
            .stdout(Stdio::from(log))
            .stderr(Stdio::from(second))
            .spawn()
            .map_err(|e| failed(format!("{}: {e}", self.exe.display())))?;
        Ok(Some(child))
    }

    fn forget(&self, _: &Path) -> Result<(), BackendError> {
        Ok(())
    }

    fn attach(&self, _: &Handle) -> Option<(Command, String)> {
        None
    }
}
