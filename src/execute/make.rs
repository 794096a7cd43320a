//! The making of a run: its directory appears whole, held by whoever made it, and never beside one that owns the same
//! files. Drives nothing.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::event::{Approval, Event, Settings};
use super::journal::Journal;
use super::past;
use super::run::{Frozen, RunError, has_ended, list, read};
use super::worktree::{EXCLUDED, Places, runs_dir};
use super::world;
use crate::git::Repo;
use crate::plan::{Facts, Plan};
use crate::store::{self, Lock, Mode};
use crate::types::{RunId, Sha, sha256};

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
    // The way to it, which may be new.
    for dir in [repo.root().join(".orchestrator"), repo.root().to_owned()] {
        store::sync_dir(&dir)?;
    }
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
    // After the newest that is there: the clock may have been set back.
    let newest = std::fs::read_dir(runs).into_iter().flatten().flatten();
    let newest = newest.filter_map(|e| past::id_of(&e.file_name().to_string_lossy())).max();
    let newest = newest.and_then(|run| past::made_at(&run));
    let newest = newest.and_then(|at| jiff::Timestamp::from_millisecond(at + 1).ok());
    let mut at = newest.map_or(at, |newest| at.max(newest));
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
    // Without anything in it, it is no run.
    if std::fs::read_dir(places.run_dir()).is_ok_and(|mut entries| entries.next().is_none()) {
        return Ok(None);
    }
    // A run that cannot be read may be in the middle of the same work.
    let unclear =
        |error: RunError| RunError::Unclear { run: other.clone(), why: error.to_string() };
    // Of one that is over nothing else is asked.
    if has_ended(root, other).map_err(unclear)? {
        return Ok(None);
    }
    let state = read(root, other).map_err(unclear)?;
    let theirs: Vec<_> = state.plan.tasks.iter().flat_map(|t| &t.files_write).collect();
    let mut ours = plan.tasks.iter().flat_map(|t| &t.files_write);
    let path = ours.find(|p| theirs.iter().any(|q| p.overlaps(q)));
    Ok(path.map(|path| (path.to_string(), store::is_locked(&places.lock()))))
}
