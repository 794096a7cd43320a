//! A run on disk: made whole, found again, taken up by one coordinator, driven to its end. Prints nothing.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::command::Limits;
use super::coordinator;
use super::event::{Event, Record};
use super::journal::{self, Journal, JournalError};
use super::process_tree;
use super::state::{IllegalRecord, RunState};
use super::worktree::{Places, runs_dir};
use super::world::{self, WorldError};
use crate::git::GitError;
use crate::plan::config::{Config, Invalid};
use crate::plan::diagnostic::Problem;
use crate::plan::{self, Facts, Plan};
use crate::store::{Lock, StoreError};
use crate::types::{RunId, sha256};

/// How long the lock of a dead coordinator is waited for: tries and the pause between them.
const DYING_TRIES: u32 = 100;
const DYING_PAUSE: std::time::Duration = std::time::Duration::from_millis(20);
/// How many tasks are worked on at once when nothing says otherwise.
pub const DEFAULT_JOBS: u32 = 5;
/// How many merged trees are checked at once when nothing says otherwise.
pub const DEFAULT_WINDOW: u32 = 1;
/// The wait before the first retry of a crash or timeout.
pub const BACKOFF_MS: u64 = 1_000;

/// Why a run cannot be made, found or taken up.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// Another coordinator holds it.
    #[error("another slimductor holds run {run}{holder}")]
    Held {
        /// The run.
        run: RunId,
        /// What the lock file says, in brackets; empty where it says nothing.
        holder: String,
    },
    /// A live run owns some of the same files.
    #[error("run {run} is under way and also writes {path}")]
    Overlaps {
        /// The run.
        run: RunId,
        /// The first path that both own.
        path: String,
    },
    /// An interrupted run owns some of the same files.
    #[error("run {run} is unfinished and also writes {path}")]
    Unfinished {
        /// The run.
        run: RunId,
        /// The first path that both own.
        path: String,
    },
    /// An earlier run cannot be read: it may own the same files.
    #[error("run {run} cannot be read, so that nobody knows whether it owns the same files: {why}")]
    Unclear {
        /// The run.
        run: RunId,
        /// What is wrong with it.
        why: String,
    },
    /// A git command of a coordinator that was killed still works for it.
    #[error(
        "a git command of an earlier coordinator of run {run} is still at work (process {pids})"
    )]
    StillAtWork {
        /// The run.
        run: RunId,
        /// Its process, or several.
        pids: String,
    },
    /// There is no such run.
    #[error("there is no run {0}")]
    Unknown(String),
    /// There is no run at all.
    #[error("there is no run in this repository")]
    None,
    /// Its journal or a file beside it cannot be read.
    #[error("{0}")]
    Unreadable(String),
    /// The disk is full or cannot be written.
    #[error("{0}")]
    NoRoom(String),
    /// A task has no worktree at the moment.
    #[error("{0} has no worktree now: there is nothing to verify")]
    NoWorktree(String),
    /// Git refused.
    #[error(transparent)]
    Git(#[from] GitError),
    /// A signal; `resume` goes on.
    #[error("interrupted; `slimductor resume` goes on")]
    Interrupted,
}

impl From<StoreError> for RunError {
    fn from(error: StoreError) -> RunError {
        RunError::NoRoom(error.to_string())
    }
}

impl From<JournalError> for RunError {
    fn from(error: JournalError) -> RunError {
        match error {
            JournalError::Write(e) => e.into(),
            JournalError::Held(_) | JournalError::Read { .. } | JournalError::Damaged { .. } => {
                RunError::Unreadable(error.to_string())
            }
        }
    }
}

impl From<IllegalRecord> for RunError {
    fn from(error: IllegalRecord) -> RunError {
        RunError::Unreadable(error.to_string())
    }
}

impl From<WorldError> for RunError {
    fn from(error: WorldError) -> RunError {
        match error {
            WorldError::Journal(e) => e.into(),
            WorldError::Store(e) => e.into(),
            WorldError::Signal(e) => RunError::NoRoom(format!("cannot listen for signals: {e}")),
            WorldError::InterruptedTwice => RunError::Interrupted,
        }
    }
}

/// What of the disk and environment was true when the run was made; `resume` checks the plan against the same.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Frozen {
    /// The plan's file, as it can be opened.
    #[serde(default)]
    pub(super) file: PathBuf,
    pub(super) facts: Facts,
    pub(super) overlay: BTreeMap<String, String>,
}

/// The runs of a repository, the oldest first.
pub fn list(root: &Path) -> Vec<RunId> {
    let Ok(entries) = std::fs::read_dir(runs_dir(root)) else { return Vec::new() };
    let names = entries.flatten().filter_map(|e| RunId::parse(&e.file_name().to_string_lossy()));
    let mut runs: Vec<RunId> = names.collect();
    runs.sort();
    runs
}

/// The run that `wanted` names, or the newest.
pub fn find(root: &Path, wanted: Option<&str>) -> Result<RunId, RunError> {
    let runs = list(root);
    match wanted {
        Some(text) => runs
            .into_iter()
            .find(|r| r.as_str() == text)
            .ok_or_else(|| RunError::Unknown(text.to_owned())),
        None => runs.into_iter().next_back().ok_or(RunError::None),
    }
}

/// The newest run that has not ended.
pub fn newest_unfinished(root: &Path) -> Result<Option<RunId>, RunError> {
    for run in list(root).into_iter().rev() {
        if !has_ended(root, &run)? {
            return Ok(Some(run));
        }
    }
    Ok(None)
}

/// Whether the run's last record says that it is over.
pub fn has_ended(root: &Path, run: &RunId) -> Result<bool, RunError> {
    let places = Places { root: root.to_owned(), run: run.clone() };
    let last = match journal::last(&places.journal()) {
        Ok(last) => last,
        // Read whole, the damage is told with its line.
        Err(_) => journal::read(&places.journal())?.records.pop(),
    };
    let Some(last) = last else {
        let path = places.journal();
        return Err(RunError::Unreadable(format!("{} is empty", path.display())));
    };
    Ok(matches!(last.event, Event::RunEnded { .. }))
}

/// The state of a run, read without touching anything.
pub fn read(root: &Path, run: &RunId) -> Result<RunState, RunError> {
    let places = Places { root: root.to_owned(), run: run.clone() };
    let records = journal::read(&places.journal())?.records;
    let (plan, _) = load_plan(&places)?;
    replay(plan, &records, &places)
}

pub(super) fn replay(
    plan: Plan,
    records: &[Record],
    places: &Places,
) -> Result<RunState, RunError> {
    let (first, rest) = records
        .split_first()
        .ok_or_else(|| RunError::Unreadable(format!("{} is empty", places.journal().display())))?;
    let mut only = Vec::new();
    if let Event::RunStarted { settings, plan_sha256, .. } = &first.event {
        only.clone_from(&settings.only);
        let found = sha256(&std::fs::read(places.plan()).unwrap_or_default());
        if found != *plan_sha256 {
            let plan = places.plan();
            return Err(RunError::Unreadable(format!(
                "{} is not the plan that the run was made from: its SHA-256 is {found}, the journal has {plan_sha256}",
                plan.display()
            )));
        }
    }
    let plan = if only.is_empty() { plan } else { plan.only(&only) };
    let mut state = RunState::begin(Arc::new(plan), first)?;
    for record in rest {
        state.apply(record)?;
    }
    Ok(state)
}

fn first_of(problems: &[Problem]) -> String {
    problems.first().map_or_else(String::new, |p| p.message.clone())
}

/// The plan's file, when it is no longer what the run was made from: the run goes on with its own copy.
pub fn edited_plan(root: &Path, state: &RunState) -> Option<PathBuf> {
    let places = Places { root: root.to_owned(), run: state.header.run_id.clone() };
    let frozen = std::fs::read(places.run_dir().join("frozen.json")).ok()?;
    let frozen: Frozen = serde_json::from_slice(&frozen).ok()?;
    // A pipe is read once; one that is gone was not edited.
    let is_file = std::fs::metadata(&frozen.file).is_ok_and(|m| m.is_file());
    let text = std::fs::read(&frozen.file).ok().filter(|_| is_file)?;
    (sha256(&text) != state.header.plan_sha256).then_some(frozen.file)
}

/// The configuration that a run was made with.
pub(super) fn config_of(places: &Places) -> Result<Config, RunError> {
    load_plan(places).map(|(_, config)| config)
}

pub(super) fn load_plan(places: &Places) -> Result<(Plan, Config), RunError> {
    let unreadable =
        |path: &Path, why: String| RunError::Unreadable(format!("{}: {why}", path.display()));
    let bytes = |path: PathBuf| std::fs::read(&path).map_err(|e| unreadable(&path, e.to_string()));
    let frozen_path = places.run_dir().join("frozen.json");
    let frozen: Frozen = serde_json::from_slice(&bytes(frozen_path.clone())?)
        .map_err(|e| unreadable(&frozen_path, e.to_string()))?;
    let config = Config::read(&bytes(places.config())?, &frozen.overlay).map_err(|invalid| {
        let why = match invalid {
            Invalid::File(problems) => first_of(&problems),
            Invalid::Variable { name, message, .. } => format!("{name}: {message}"),
        };
        unreadable(&places.config(), why)
    })?;
    let document = plan::parse(&bytes(places.plan())?)
        .map_err(|e| unreadable(&places.plan(), first_of(&e.problems)))?;
    // What was valid when the run was made stays so, whatever later versions check.
    Ok((plan::check::resolve(&document, &frozen.facts, &config), config))
}

/// A run that this process holds.
pub struct Held {
    /// Where its things lie.
    pub places: Places,
    /// Its state so far.
    pub state: RunState,
    pub(super) journal: Journal,
    pub(super) limits: Limits,
    pub(super) config: Config,
    pub(super) lock: Lock,
}

/// Takes a run up; no other process can until this one is gone. `made` is the lock of a run just made.
pub fn hold(root: &Path, run: &RunId, made: Option<Lock>) -> Result<Held, RunError> {
    let places = Places { root: root.to_owned(), run: run.clone() };
    if !places.journal().exists() {
        return Err(RunError::Unknown(run.to_string()));
    }
    let mut lock = match made {
        Some(lock) => lock,
        None => take_lock(&places)?,
    };
    let opened = Journal::open(&places.journal());
    if matches!(opened, Err(JournalError::Held(_))) {
        return Err(held_by(&places));
    }
    let (journal, records) = opened?;
    let (plan, config) = load_plan(&places)?;
    let state = replay(plan, &records, &places)?;
    let limits = limits(root, &config);
    // Only now: whoever is refused changes nothing.
    lock.describe(&format!("pid {} on {} since {}", std::process::id(), host(), world::present()))?;
    Ok(Held { places, state, journal, limits, config, lock })
}

/// What decisions about a run need besides its state.
pub(super) fn limits(root: &Path, config: &Config) -> Limits {
    let (boundaries, history) = (config.boundaries.clone(), coordinator::history(root));
    Limits { boundaries, backoff_ms: BACKOFF_MS, history }
}

/// This machine's name, in one word.
fn host() -> String {
    let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let word: String = name.chars().filter(|c| !c.is_whitespace() && !c.is_control()).collect();
    if word.is_empty() { "this-machine".to_owned() } else { word }
}

/// Who holds the run, as the lock file says it.
pub(super) fn held_by(places: &Places) -> RunError {
    RunError::Held { run: places.run.clone(), holder: holder(places) }
}

/// What the lock file says of who holds the run, in brackets; empty where it says nothing.
pub fn holder(places: &Places) -> String {
    let said = std::fs::read_to_string(places.lock()).unwrap_or_default();
    let said = said.trim();
    if said.is_empty() { String::new() } else { format!(" ({said})") }
}

fn take_lock(places: &Places) -> Result<Lock, RunError> {
    let mut tries = 0;
    loop {
        if let Some(lock) = Lock::try_take(&places.lock())? {
            return Ok(lock);
        }
        let holder = std::fs::read_to_string(places.lock()).unwrap_or_default();
        let word = |n: usize| holder.split_whitespace().nth(n);
        let pid = word(1).and_then(|p| p.parse().ok());
        // The kernel frees the lock of a killed process a moment after the process is gone. What runs on another
        // machine cannot be looked at.
        let here = word(3).is_some_and(|h| h == host());
        let gone = here && pid.is_some_and(|pid| !process_tree::is_alive(pid));
        let dying = gone && tries < DYING_TRIES;
        if !dying {
            return Err(held_by(places));
        }
        tries += 1;
        std::thread::sleep(DYING_PAUSE);
    }
}

/// The tmux server of a repository: one of our own, never the user's.
pub fn socket_name(root: &Path) -> String {
    let hash = sha256(root.as_os_str().as_encoded_bytes());
    format!("slimductor-{}", hash.get(..10).unwrap_or_default())
}
