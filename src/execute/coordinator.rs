//! The coordinator: takes a held run up and drives it until it is over or waits for a person. Prints nothing, decides
//! nothing.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::backend::Backend;
use super::backend::process::Process;
use super::backend::tmux::TmuxServer;
use super::command::History;
use super::engine::{self, EngineError};
use super::event::{Event, Record};
use super::fence::{self, Mode as FenceMode};
use super::process_tree;
use super::reports;
use super::run::{Held, RunError, socket_name};
use super::state::RunState;
use super::surroundings;
use super::worktree::Places;
use super::world::RealWorld;
use crate::git::{GitError, Repo};
use crate::store::{self, Lock, Mode, StoreError};

/// How long the git commands of a killed coordinator are waited for, in tries of a tenth of a second.
const ORPHAN_TRIES: u32 = 100;
/// With fewer open files than that nothing works.
const FEWEST_FILES: u64 = 64;

/// How a run is taken up.
#[derive(Debug, Clone, Copy, Default)]
pub struct TakeUp {
    /// Promote what landed even when some tasks failed.
    pub promote_landed: bool,
    /// Drop what is committed nowhere, instead of keeping it on a recovery branch.
    pub force: bool,
}

/// The backend that a run was made with.
pub fn backend_of(state: &RunState, root: &Path, exe: PathBuf) -> Box<dyn Backend> {
    match state.header.settings.backend.as_str() {
        "tmux" => Box::new(TmuxServer::new(exe, socket_name(root))),
        _ => Box::new(Process::new(exe)),
    }
}

fn history_path(root: &Path) -> PathBuf {
    root.join(".orchestrator/history.json")
}

/// How tasks did at the gates of earlier runs; nothing where nothing is known.
pub(super) fn history(root: &Path) -> History {
    let bytes = store::read_regular(&history_path(root), 64 * 1024).unwrap_or_default();
    serde_json::from_slice(&bytes).unwrap_or_default()
}

/// Adds what this run showed, once, at its end.
fn learn(root: &Path, state: &RunState) -> Result<(), StoreError> {
    let mut known = history(root);
    let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    known.seen = known.seen.saturating_add(count(state.landed.len())).saturating_add(state.blamed);
    known.broke = known.broke.saturating_add(state.blamed);
    let text = serde_json::to_vec(&known).unwrap_or_default();
    store::replace(&history_path(root), &text, Mode::Private)
}

/// Waits for the git commands of a coordinator that was killed: one that still writes into a worktree would do so under
/// the feet of the next worker.
fn wait_for_gits(places: &Places) -> Result<Lock, RunError> {
    let path = places.run_dir().join("git.lock");
    for _ in 0..ORPHAN_TRIES {
        // With its own short tries.
        if let Some(lock) = Lock::try_take(&path)? {
            return Ok(lock);
        }
    }
    let pids = process_tree::holders(&path);
    let pids: Vec<String> = pids.iter().map(u32::to_string).collect();
    let pids = if pids.is_empty() { "unknown".to_owned() } else { pids.join(", ") };
    Err(RunError::StillAtWork { run: places.run.clone(), pids })
}

/// Writes the user's git configuration down, whole or not at all, the first time; from then on that one holds.
fn freeze_config(repo: &mut Repo, places: &Places) -> Result<(), RunError> {
    let path = places.run_dir().join("gitconfig");
    if !path.exists() {
        store::replace(&path, repo.user_config()?.as_bytes(), Mode::Private)?;
    }
    repo.freeze_config(&path);
    Ok(())
}

/// The record with which a coordinator takes the run up.
pub(super) fn taken_up(repo: &Repo, state: &RunState, how: TakeUp) -> Result<Event, GitError> {
    let moved_on = repo.branch_tip(&state.header.target)?.filter(|tip| {
        *tip != state.target_tip && repo.contains(tip, &state.target_tip).unwrap_or(false)
    });
    Ok(Event::CoordinatorStarted {
        pid: std::process::id(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        promote_landed: how.promote_landed,
        force: how.force,
        target: moved_on,
    })
}

/// Drives a held run until it is over or waits for a person; its state stands in the value that comes back.
pub fn drive(
    repo: Repo,
    held: Held,
    env: &BTreeMap<String, String>,
    exe: PathBuf,
    how: TakeUp,
    mut report: impl FnMut(&Record, &RunState),
) -> Result<RunState, RunError> {
    let Held { places, mut state, journal, limits, config, lock: _lock } = held;
    if state.outcome.is_some() {
        return Ok(state);
    }
    let most = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    if let Some(most) = most.filter(|n| *n < FEWEST_FILES) {
        return Err(RunError::NoRoom(format!(
            "only {most} files may be open at once (`ulimit -n`), and {FEWEST_FILES} are needed"
        )));
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|e| RunError::NoRoom(format!("cannot start the event loop: {e}")))?;
    let sockets = fence::tmux_sockets(env.get("TMUX_TMPDIR").map(String::as_str));
    // Made before it is covered: a server that a person starts later must not appear in a worker's view.
    let made = state.header.settings.fence == FenceMode::Namespace.word() && !sockets.exists();
    if made {
        store::make_dir(&sockets)?;
    }
    let mut repo = repo;
    let gits = wait_for_gits(&places)?;
    repo.hold_while_running(gits.share()?);
    repo.make_durable(&places.run_dir().join("durable.conf"))?;
    freeze_config(&mut repo, &places)?;
    repo.clear_stale_locks(&format!("slimductor/{}", state.header.run_id));
    let start = taken_up(&repo, &state, how)?;
    let backend = backend_of(&state, repo.root(), exe);
    let around = surroundings::surroundings(&repo, &places, env, &state.header.settings);
    let result: Result<(), RunError> = runtime.block_on(async {
        let mut world = RealWorld::new(repo, places.clone(), backend, around, config, journal)?;
        for record in engine::World::append(&mut world, vec![start])? {
            state.apply(&record)?;
            report(&record, &state);
        }
        let ended = engine::run(&mut world, &mut state, &limits, &mut report).await;
        let projected = world.project(&state, true);
        // Why the run stopped comes before what could not be told of it.
        ended.map_err(|error| match error {
            EngineError::Interrupted => RunError::Interrupted,
            EngineError::NoRoom(why) => RunError::NoRoom(why),
            EngineError::Illegal(e) => e.into(),
            EngineError::World(e) => e.into(),
        })?;
        Ok(projected?)
    });
    // Threads that wait for jobs would hold the process; the jobs go on without it.
    runtime.shutdown_background();
    if made {
        store::remove_empty_dir(&sockets);
    }
    result?;
    reports::write(&places, &state)?;
    if state.outcome.is_some() {
        learn(&places.root, &state)?;
    }
    Ok(state)
}
