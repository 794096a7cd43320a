//! A job on disk: spec, log, pid, exit file, and the probe that reads them (wrapper.rs runs it). Knows nothing of
//! tasks, git or backends. The exit file is the only word on how a job ended.

use std::collections::BTreeMap;

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::fence::Fence;
use super::job_end::read_exit;
use super::process_tree;
use crate::store::{self, Mode, StoreError};
use crate::types::{JobId, JobReport, sha256};
use serde::{Deserialize, Serialize};

/// What a wrapper leaves that could not go on.
pub(super) const DIED: &str = "died.txt";

/// The largest file of a job that is read whole, in bytes.
pub(super) const MOST: u64 = 64 * 1024 * 1024;

/// What a job is to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spec {
    /// Version of this format.
    pub v: u32,
    /// Its id.
    pub job: JobId,
    /// The commit that it is about: a job of the same name about another is another.
    #[serde(default)]
    pub about: String,
    /// Where its commands run.
    pub cwd: PathBuf,
    /// Their whole environment; nothing else passes.
    pub env: BTreeMap<String, String>,
    /// Its commands, run one after the other, all of them.
    pub steps: Vec<StepSpec>,
    /// Whether what it leaves in its worktree is used: then that is on the disk before the exit file is.
    #[serde(default)]
    pub leaves: bool,
    /// Between TERM and KILL, ms.
    pub grace_ms: u64,
    /// What its commands may write; absent where nothing is fenced.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fence: Option<Fence>,
}

/// One command of a job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepSpec {
    /// The command as it stands in the plan.
    pub command: String,
    /// Program and arguments.
    pub argv: Vec<String>,
    /// Whether its failure fails the whole.
    pub required: bool,
    /// Its limit, ms.
    pub timeout_ms: u64,
    /// Variables of its own, over those of the job.
    #[serde(default)]
    pub env: BTreeMap<String, String>,
    /// Whether it is run once more when it fails: what passes unchanged is flaky.
    #[serde(default)]
    pub again: bool,
    /// Why it is not run.
    #[serde(default)]
    pub skipped: Option<String>,
    /// What its failure says about, when it is not simply the work.
    #[serde(default)]
    pub on_contract: bool,
    /// Whether it runs tests: then it must have run some.
    #[serde(default)]
    pub test: bool,
    /// The scanner whose findings of high severity are looked for in its output.
    #[serde(default)]
    pub scanner: Option<String>,
    /// The generated file whose type check it is: then its output says how it ended, not its exit code.
    #[serde(default)]
    pub conformance: Option<Conformance>,
    /// The files that its failure must be about; empty where every failure counts.
    #[serde(default)]
    pub about: Vec<String>,
    /// Whether it was found in the project, and not declared.
    #[serde(default)]
    pub detected: bool,
    /// The program that it needs; when that is not there once the worktree is prepared, it is left out and told.
    #[serde(default)]
    pub tool: Option<String>,
    /// Whether it only prepares the worktree: when it fails, nothing else runs.
    #[serde(default)]
    pub setup: bool,
}

/// A generated file that a type checker is to judge.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Conformance {
    /// Its name in the worktree.
    pub file: String,
    /// What stands in it.
    pub text: String,
    /// Everything that is to stand in the worktree for it: names and texts.
    pub files: Vec<(String, String)>,
}

impl StepSpec {
    /// What names exactly this command: its words, its variables and what must be true of its output.
    pub fn key(&self) -> String {
        let whole = serde_json::json!([self.argv, self.env, self.test, self.scanner]);
        sha256(whole.to_string().as_bytes())
    }

    /// A command with nothing special about it.
    pub fn new(command: String, argv: Vec<String>, timeout_ms: u64) -> StepSpec {
        StepSpec {
            command,
            argv,
            required: true,
            timeout_ms,
            env: BTreeMap::new(),
            again: false,
            skipped: None,
            on_contract: false,
            test: false,
            scanner: None,
            conformance: None,
            about: Vec::new(),
            detected: false,
            tool: None,
            setup: false,
        }
    }
}

/// Who runs the job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pid {
    /// The wrapper's process id.
    pub pid: u32,
    /// When that process started, in clock ticks since boot; 0 where the system does not tell.
    pub start_time: u64,
}

/// The exit file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Exit {
    pub(super) v: u32,
    pub(super) report: JobReport,
}

/// What is known of a job by looking at its directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Probe {
    /// No wrapper has taken it up.
    NotStarted,
    /// A wrapper holds its lock.
    Running,
    /// It has an exit file.
    Ended(JobReport),
    /// A wrapper took it up and is gone without an exit file.
    Dead,
}

/// What a wrapper or coordinator cannot do with a job's directory.
#[derive(Debug, thiserror::Error)]
pub enum JobError {
    /// A file cannot be written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A file cannot be read, or is not what it should be.
    #[error("cannot read {path}: {why}")]
    Read {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// Nobody can tell how a job stands: the look at it failed.
    #[error("cannot look at {path}: {source}")]
    Look {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Its lock cannot be taken, whoever has it.
    #[error("{0}")]
    Locked(String),
    /// There is no place for a job's temporary files.
    #[error("cannot make a temporary directory in {dir}: {source}")]
    Temporary {
        /// Where they go.
        dir: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A program cannot be started or waited for.
    #[error("cannot run {what}: {source}")]
    Run {
        /// The program.
        what: String,
        /// What the system said.
        source: std::io::Error,
    },
}

pub(super) fn lock_path(dir: &Path) -> PathBuf {
    dir.join("lock")
}

/// The log of the command number `step`.
pub fn log_path(dir: &Path, step: usize) -> PathBuf {
    dir.join(format!("{step}.log"))
}

/// Writes the job's directory, whole; one that is there is left as it is.
pub fn create(dir: &Path, spec: &Spec) -> Result<(), JobError> {
    if dir.join("spec.json").exists() {
        return Ok(());
    }
    let above = dir.parent().unwrap_or(Path::new("."));
    store::make_dir(above)?;
    let built = above.join(format!(".new-{}", spec.job));
    store::remove_dir(&built)?;
    store::make_dir(&built)?;
    let text = serde_json::to_vec_pretty(spec).unwrap_or_default();
    store::replace(&built.join("spec.json"), &text, Mode::Private)?;
    store::sync_dir(&built)?;
    store::publish_dir(&built, dir)?;
    Ok(())
}

/// What is known of the job.
pub fn probe(dir: &Path) -> Result<Probe, JobError> {
    if let Some(exit) = read_exit(dir)? {
        return Ok(Probe::Ended(exit));
    }
    let lock = lock_path(dir);
    let held = store::lock_is_held(&lock);
    if held.map_err(|source| JobError::Look { path: lock, source })? {
        return Ok(Probe::Running);
    }
    // It may have ended between the two looks.
    if let Some(exit) = read_exit(dir)? {
        return Ok(Probe::Ended(exit));
    }
    Ok(if dir.join("pid.json").exists() { Probe::Dead } else { Probe::NotStarted })
}

/// Makes this process the leader of a session of its own, which no terminal ends.
pub fn leave_session() {
    process_tree::lead();
}

/// Ends what a wrapper that was killed left running: its commands would write into a worktree that is used again.
pub fn end_orphans(dir: &Path) {
    process_tree::kill_marked(dir);
    if let Some(tmp) = super::leftovers::temporary_of(dir) {
        let _ = store::remove_tree(&tmp);
    }
    let _ = store::remove_dir(&dir.join(super::fence::PRIVATE_TMP));
}

/// Why the job's wrapper could not go on, in its own words.
pub(super) fn why_it_died(dir: &Path) -> Option<String> {
    let bytes = store::read_regular(&dir.join(DIED), MOST).ok()?;
    let text = String::from_utf8_lossy(&bytes).trim_end().to_owned();
    (!text.is_empty()).then_some(text)
}

/// Blocks until no wrapper holds the job.
pub fn wait_for_wrapper(dir: &Path) -> Result<(), JobError> {
    Ok(store::wait_unlocked(&lock_path(dir))?)
}

/// Who runs the job, where a wrapper has taken it up.
pub fn read_pid(dir: &Path) -> Option<Pid> {
    serde_json::from_slice(&store::read_regular(&dir.join("pid.json"), MOST).ok()?).ok()
}

/// Whether the job was told to end, alone or with all jobs of its run.
pub fn is_cancelled(dir: &Path) -> bool {
    dir.join("cancel").exists() || dir.join("../cancelled").exists()
}

/// Tells a job that was not taken up yet that it never will be.
pub fn cancel(dir: &Path) -> Result<(), JobError> {
    // One that is not made yet never will be.
    store::make_dir(dir)?;
    store::create_new(&dir.join("cancel"), b"", Mode::Private)?;
    Ok(())
}

/// The same to every job of a run, made or to be made.
pub fn cancel_all(jobs: &Path) -> Result<(), JobError> {
    store::make_dir(jobs)?;
    store::create_new(&jobs.join("cancelled"), b"", Mode::Private)?;
    Ok(())
}

/// Asks the job to end and waits until it has: TERM, grace, KILL, its whole process tree. A job that was not
/// taken up yet never will be.
pub fn stop(dir: &Path) -> Result<(), JobError> {
    cancel(dir)?;
    let Some(pid) = read_pid(dir) else { return Ok(()) };
    // The lock is held, so the process behind the pid is the wrapper and no other.
    if !store::is_locked(&lock_path(dir)) {
        end_orphans(dir);
        return Ok(());
    }
    let spec = read_spec(dir)?;
    // A pid alone may be another process by now.
    let same = |found: u64| pid.start_time == 0 || found == pid.start_time;
    if process_tree::start_time(pid.pid).is_some_and(|t| !same(t)) {
        end_orphans(dir);
        return Ok(());
    }
    process_tree::terminate(pid.pid);
    let limit = Duration::from_millis(spec.grace_ms + 5_000);
    let (sender, receiver) = std::sync::mpsc::channel();
    let lock = dir.to_owned();
    std::thread::spawn(move || sender.send(wait_for_wrapper(&lock).is_ok()));
    if receiver.recv_timeout(limit).is_err() {
        process_tree::kill(pid.pid);
        let _ = receiver.recv_timeout(Duration::from_secs(5));
    }
    end_orphans(dir);
    Ok(())
}

pub(super) fn read_spec(dir: &Path) -> Result<Spec, JobError> {
    let path = dir.join("spec.json");
    let wrong = |why: String| JobError::Read { path: path.clone(), why };
    let bytes = store::read_regular(&path, MOST).map_err(|e| wrong(e.to_string()))?;
    serde_json::from_slice(&bytes).map_err(|e| wrong(e.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_words_about_other_files_or_variables_are_another_proof() {
        let step = |line: &str| {
            let argv = ["sh", "-c", line].map(str::to_owned).to_vec();
            StepSpec::new("sh check.sh {modified_files}".to_owned(), argv, 1)
        };
        let (one, same) = (step("sh check.sh 'a'"), step("sh check.sh 'a'"));
        assert_eq!(one.key(), same.key());
        assert_ne!(one.key(), step("sh check.sh 'b'").key());
        let mut other = same;
        other.env.insert("MODE".to_owned(), "x".to_owned());
        assert_ne!(one.key(), other.key());
    }
}
