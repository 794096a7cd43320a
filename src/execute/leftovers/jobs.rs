//! Processes and tmux sessions of runs that are over. A worker of any other run is never touched.

use std::path::{Path, PathBuf};

use super::{Act, Around, Leftover, Refused, What, by_hand, over};
use crate::execute::backend::Backend;
use crate::execute::backend::tmux::TmuxServer;
use crate::execute::past::{self, Life, Runs};
use crate::execute::worktree::runs_dir;
use crate::execute::{fence, job, process_tree, run};
use crate::store;

/// A run of which something is alive is in doubt from then on: nothing else of it is touched.
pub(super) fn find(around: &Around<'_>, runs: &mut Runs) -> Vec<Leftover> {
    let mut out = processes(runs);
    out.extend(sessions(around, runs));
    out
}

/// Wrappers that hold the lock of a job although their run has ended.
fn processes(runs: &Runs) -> Vec<Leftover> {
    let mut out = Vec::new();
    for places in runs.ended() {
        for dir in places.jobs_on_disk() {
            // One that has written how it ended is about to go by itself.
            if dir.join("exit.json").exists() || !store::is_locked(&job::lock_path(&dir)) {
                continue;
            }
            let Some(pid) = job::read_pid(&dir) else { continue };
            let name = pid.pid.to_string();
            let title = dir.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let why = format!("it still does {title}, and run {} has ended", places.run);
            let found = Leftover::new(What::Process, name, why, Act::Process { dir: dir.clone() });
            out.push(match is_wrapper(&pid) {
                true => found,
                false => {
                    let why = format!("somebody holds {}, but not the process it names", title);
                    let lock = job::lock_path(&dir);
                    found.kept(why, by_hand("fuser -v", &lock) + " shows who")
                }
            });
        }
    }
    out
}

/// Whether the process is the very one that took the job up, and no later one of the same number.
fn is_wrapper(pid: &job::Pid) -> bool {
    pid.start_time != 0 && process_tree::start_time(pid.pid) == Some(pid.start_time)
}

/// Asks the wrapper to end its job, and waits until it has.
pub(super) fn stop(dir: &Path) -> Result<(), Refused> {
    let pid = job::read_pid(dir);
    let help = || match &pid {
        Some(pid) => format!("kill {}", pid.pid),
        None => String::new(),
    };
    // It is looked at once more: it may have ended since.
    if pid.as_ref().is_some_and(|pid| !is_wrapper(pid)) {
        return match store::is_locked(&job::lock_path(dir)) {
            true => Err(Refused::new("another process holds its job", help())),
            false => Ok(()),
        };
    }
    job::stop(dir).map_err(|e| Refused::new(e, help()))?;
    match store::is_locked(&job::lock_path(dir)) {
        true => Err(Refused::new("it does not end", help())),
        false => Ok(()),
    }
}

/// Sessions on our own tmux server that show a job of a run that is over.
fn sessions(around: &Around<'_>, runs: &mut Runs) -> Vec<Leftover> {
    let root = around.repo.root();
    let socket = run::socket_name(root);
    // Asking tmux would make the directory of its sockets.
    if !fence::tmux_sockets(around.tmux_tmpdir).join(&socket).exists() {
        return Vec::new();
    }
    let jobs_of = |runs: &Runs, dir: &Path| {
        let below = dir.strip_prefix(runs_dir(root)).ok()?;
        let run = below.iter().next().and_then(|r| r.to_str()).and_then(past::id_of)?;
        let is_job = dir.parent() == Some(&runs.places(&run).jobs());
        is_job.then_some(run)
    };
    let mut out = Vec::new();
    let server = TmuxServer::new(PathBuf::new(), socket.clone());
    for (name, dir) in server.sessions() {
        let Some(run) = jobs_of(runs, &dir) else { continue };
        let life = runs.life(&run);
        if !life.is_over() || store::is_locked(&job::lock_path(&dir)) {
            continue;
        }
        if !server.is_dead(&name) {
            // Its directory is gone or was moved away, and with it everything by which it could be known.
            let why = format!("{}, but something runs in it", over(&run, life));
            let act = Act::Session { socket: socket.clone(), dir };
            let help = format!("look at it with `tmux -L {socket} attach -t {name}`");
            out.push(Leftover::new(What::Session, name, String::new(), act).kept(why, help));
            runs.doubt(&run);
            continue;
        }
        let why = format!("{}, and nothing runs in it", over(&run, life));
        let act = Act::Session { socket: socket.clone(), dir };
        out.push(Leftover::new(What::Session, name, why, act));
    }
    out
}

pub(super) fn end_session(socket: &str, dir: &Path) -> Result<(), Refused> {
    let help = format!("tmux -L {socket} kill-session -t NAME");
    if store::is_locked(&job::lock_path(dir)) {
        return Err(Refused::new("something runs in it", help));
    }
    let server = TmuxServer::new(PathBuf::new(), socket.to_owned());
    let alive = |(name, at): &(String, PathBuf)| at == dir && !server.is_dead(name);
    if server.sessions().iter().any(alive) {
        return Err(Refused::new("something runs in it", help));
    }
    server.forget(dir).map_err(|e| Refused::new(e, help))
}

/// Whether nothing of this run is at work any more.
pub(super) fn is_quiet(runs: &Runs, run: &crate::types::RunId) -> bool {
    match runs.life(run) {
        Life::Ended(_) | Life::Gone => !past::is_at_work(&runs.places(run)),
        Life::Live | Life::Unfinished | Life::Unknown => false,
    }
}
