//! A run on disk: made whole, found again, taken up by one coordinator, driven to its end. Prints nothing.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::command::Limits;
use super::coordinator;
use super::event::{Approval, Event, Record, Settings};
use super::journal::{self, Journal, JournalError};
use super::process_tree;
use super::state::{IllegalRecord, RunState};
use super::worktree::{EXCLUDED, Places, runs_dir};
use super::world::{self, WorldError};
use crate::git::{GitError, Repo};
use crate::plan::config::{Config, Invalid};
use crate::plan::diagnostic::Problem;
use crate::plan::{self, Facts, Plan};
use crate::store::{self, Lock, Mode, StoreError};
use crate::types::{RunId, Sha, sha256};

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
struct Frozen {
    /// The plan's file, as it can be opened.
    #[serde(default)]
    file: PathBuf,
    facts: Facts,
    overlay: BTreeMap<String, String>,
}

/// What a run is made from.
#[derive(Debug)]
pub struct NewRun<'a> {
    /// The plan's file, as it can be opened.
    pub file: &'a Path,
    /// The plan as it was read.
    pub plan_text: &'a [u8],
    /// The configuration as it was read.
    pub config_text: &'a [u8],
    /// The facts that the plan was checked against.
    pub facts: Facts,
    /// `SLIMDUCTOR__…` variables.
    pub overlay: BTreeMap<String, String>,
    /// The checked plan.
    pub plan: &'a Plan,
    /// The branch that it starts from and goes to.
    pub target: String,
    /// Where that branch stands.
    pub base: Sha,
    /// What was set.
    pub settings: Settings,
    /// Who let it start.
    pub approval: Approval,
}

/// Makes a run: its directory appears whole, with the approval in its first record, and held by this process.
pub fn create(repo: &Repo, new: NewRun<'_>) -> Result<(RunId, Lock), RunError> {
    let runs = runs_dir(repo.root());
    store::make_dir(&runs)?;
    store::ensure_lines(&repo.common().join("info/exclude"), &EXCLUDED)?;
    // One at a time, so that two runs that overlap cannot both find the other absent.
    let _making = Lock::take(&repo.root().join(".orchestrator/run.lock"))?;
    for other in list(repo.root()) {
        if let Some((path, live)) = overlap(repo.root(), &other, new.plan)? {
            return Err(if live {
                RunError::Overlaps { run: other, path }
            } else {
                RunError::Unfinished { run: other, path }
            });
        }
    }
    // Nobody else is making one: what lies there half made is a dead process's.
    for half in half_made(&runs) {
        store::remove_dir(&half)?;
    }
    let at = world::present();
    let run = fresh_id(&runs, at);
    let built = runs.join(format!(".new-{run}"));
    store::make_dir(&built)?;
    store::replace(&built.join("plan.yaml"), new.plan_text, Mode::Private)?;
    store::replace(&built.join("config.yaml"), new.config_text, Mode::Private)?;
    let file = std::path::absolute(new.file).unwrap_or_else(|_| new.file.to_owned());
    let frozen = Frozen { file, facts: new.facts, overlay: new.overlay };
    store::replace(
        &built.join("frozen.json"),
        &serde_json::to_vec(&frozen).unwrap_or_default(),
        Mode::Private,
    )?;
    let first = Event::RunStarted {
        run_id: run.clone(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        request: new.plan.request.clone(),
        plan_sha256: sha256(new.plan_text),
        target: new.target,
        base: new.base,
        settings: Box::new(new.settings),
        approval: new.approval,
    };
    Journal::create(&built.join("journal.jsonl"), at, first)?;
    // Held before the run can be seen: two runs that overlap cannot both start.
    let lock = Lock::take(&built.join("lock"))?;
    store::sync_dir(&built)?;
    store::publish_dir(&built, &runs.join(run.as_str()))?;
    Ok((run, lock))
}

/// Runs that were never finished being made.
fn half_made(runs: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(runs).into_iter().flatten().flatten();
    let half = entries.filter(|e| e.file_name().to_string_lossy().starts_with(".new-"));
    half.map(|e| e.path()).collect()
}

/// `20261120-101530-042`: of two runs the newer sorts last.
fn fresh_id(runs: &Path, at: jiff::Timestamp) -> RunId {
    let mut at = at;
    loop {
        let text = at.strftime("%Y%m%d-%H%M%S").to_string();
        let millis = at.as_millisecond().rem_euclid(1000);
        if let Some(id) = RunId::parse(&format!("{text}-{millis:03}"))
            && !runs.join(id.as_str()).exists()
        {
            return id;
        }
        at += jiff::SignedDuration::from_millis(1);
    }
}

/// A path that an unfinished run and this plan both write, and whether that run is live.
fn overlap(root: &Path, other: &RunId, plan: &Plan) -> Result<Option<(String, bool)>, RunError> {
    let places = Places { root: root.to_owned(), run: other.clone() };
    if !places.journal().exists() {
        return Ok(None);
    }
    // A run that cannot be read may be in the middle of the same work.
    let state = read(root, other)
        .map_err(|error| RunError::Unclear { run: other.clone(), why: error.to_string() })?;
    if state.outcome.is_some() {
        return Ok(None);
    }
    let theirs: Vec<_> = state.plan.tasks.iter().flat_map(|t| &t.files_write).collect();
    let mut ours = plan.tasks.iter().flat_map(|t| &t.files_write);
    let path = ours.find(|p| theirs.iter().any(|q| p.overlaps(q)));
    Ok(path.map(|path| (path.to_string(), store::is_locked(&places.lock()))))
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
        let places = Places { root: root.to_owned(), run: run.clone() };
        let records = journal::read(&places.journal())?.records;
        if !matches!(records.last().map(|r| &r.event), Some(Event::RunEnded { .. })) {
            return Ok(Some(run));
        }
    }
    Ok(None)
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
    lock.describe(&format!("pid {} on {} since {}", std::process::id(), host(), world::present()))?;
    let (plan, config) = load_plan(&places)?;
    let state = replay(plan, &records, &places)?;
    let limits = limits(root, &config);
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
    let said = std::fs::read_to_string(places.lock()).unwrap_or_default();
    let said = said.trim();
    let holder = if said.is_empty() { String::new() } else { format!(" ({said})") };
    RunError::Held { run: places.run.clone(), holder }
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
