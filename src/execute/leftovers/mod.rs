//! What dead runs left: found as data, each with why it is nobody's any more, and removed one by one where that is
//! certain. Nothing of a run that is not over, nothing of the user's, no work that is committed nowhere.

mod files;
mod jobs;
mod refs;
mod worktrees;

use std::path::{Path, PathBuf};

use super::past::{Life, Runs};
use super::retention;
use super::run::RunError;
use super::worktree::runs_dir;
use crate::git::Repo;
use crate::store::{self, Lock};
use crate::types::{Millis, RunId, Sha};
pub(super) use files::temporary_of;

/// Where it is looked, and when.
#[derive(Debug, Clone, Copy)]
pub struct Around<'a> {
    /// The repository.
    pub repo: &'a Repo,
    /// The directory for temporary files.
    pub tmp: &'a Path,
    /// `TMUX_TMPDIR`, where that is set.
    pub tmux_tmpdir: Option<&'a str>,
    /// The time, ms.
    pub now: Millis,
}

/// What something is that was left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    /// The wrapper of a job, still at work.
    Process,
    /// A tmux session that shows a job.
    Session,
    /// A temporary directory.
    Temporary,
    /// A file that was being written.
    HalfFile,
    /// A worktree.
    Worktree,
    /// Git's record of a worktree that is not there.
    Registration,
    /// A link that leads nowhere.
    Link,
    /// A branch.
    Branch,
    /// A lock of git's on a branch.
    GitLock,
    /// The directory of a run that was being made or removed.
    RunDirectory,
}

impl What {
    /// Its word for people and in JSON.
    pub fn word(self) -> &'static str {
        match self {
            What::Process => "process",
            What::Session => "session",
            What::Temporary => "temporary directory",
            What::HalfFile => "half-written file",
            What::Worktree => "worktree",
            What::Registration => "worktree record",
            What::Link => "link",
            What::Branch => "branch",
            What::GitLock => "lock",
            What::RunDirectory => "run directory",
        }
    }
}

/// Something that a dead run left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leftover {
    /// What it is.
    pub what: What,
    /// Its path, branch, session or process id.
    pub name: String,
    /// Why it is nobody's any more; of what is kept, why it is.
    pub why: String,
    /// How to remove it by hand: given where it is kept.
    pub help: Option<String>,
    act: Act,
}

/// How it is removed.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Act {
    /// Not at all.
    Keep,
    Process {
        dir: PathBuf,
    },
    Session {
        socket: String,
        dir: PathBuf,
    },
    Tree(PathBuf),
    File(PathBuf),
    Worktree {
        path: PathBuf,
        run: RunId,
    },
    Registration(PathBuf),
    Branch {
        tip: Sha,
    },
    GitLock {
        run: RunId,
        path: PathBuf,
    },
}

impl Leftover {
    fn new(what: What, name: impl Into<String>, why: impl Into<String>, act: Act) -> Leftover {
        Leftover { what, name: name.into(), why: why.into(), help: None, act }
    }

    fn at(what: What, path: &Path, why: impl Into<String>, act: Act) -> Leftover {
        Leftover::new(what, path.display().to_string(), why, act)
    }

    /// The same, to be kept.
    fn kept(self, why: impl Into<String>, help: impl Into<String>) -> Leftover {
        Leftover { why: why.into(), help: Some(help.into()), act: Act::Keep, ..self }
    }

    /// Whether `fix` would try to remove it.
    pub fn is_certain(&self) -> bool {
        self.act != Act::Keep
    }
}

/// What was found and what became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fixed {
    /// What it was; of what is kept, with why and how to remove it.
    pub leftover: Leftover,
    /// Whether it is gone.
    pub removed: bool,
}

/// Finds what dead runs left. Changes nothing.
pub fn find(around: &Around<'_>) -> Result<Vec<Leftover>, RunError> {
    let making = store::is_locked(&retention::making_lock(around.repo.root()));
    look(around, making)
}

/// `making`: whether another process may be making a run at this moment.
fn look(around: &Around<'_>, making: bool) -> Result<Vec<Leftover>, RunError> {
    let mut runs = Runs::read(around.repo);
    let mut out = jobs::find(around, &mut runs);
    out.extend(files::find(around, &runs));
    out.extend(worktrees::find(around, &runs));
    out.extend(refs::find(around, &runs)?);
    if !making {
        let half = retention::half_directories(&runs_dir(around.repo.root()));
        out.extend(half.into_iter().map(|dir| {
            let why = "the making or removing of a run was cut off";
            Leftover::at(What::RunDirectory, &dir, why, Act::Tree(dir.clone()))
        }));
    }
    Ok(out)
}

/// Removes what is certain, and says of everything what became of it. While it does, no run is made.
pub fn fix(around: &Around<'_>) -> Result<Vec<Fixed>, RunError> {
    /// What one removal brings to light (the link to a removed worktree) is found in the next round.
    const ROUNDS: usize = 4;
    let root = around.repo.root();
    let _alone = match root.join(".orchestrator").is_dir() {
        true => Some(Lock::take(&retention::making_lock(root))?),
        false => None,
    };
    let mut out: Vec<Fixed> = Vec::new();
    let mut failed: Vec<Leftover> = Vec::new();
    for _ in 0..ROUNDS {
        let found = look(around, false)?;
        let known = |l: &Leftover| failed.iter().any(|f| f.what == l.what && f.name == l.name);
        let (todo, rest): (Vec<_>, Vec<_>) =
            found.into_iter().filter(|l| !known(l)).partition(Leftover::is_certain);
        if todo.is_empty() {
            failed.extend(rest);
            break;
        }
        for leftover in todo {
            match remove(around, &leftover) {
                Ok(()) => out.push(Fixed { leftover, removed: true }),
                Err(Refused { why, help }) => failed.push(leftover.kept(why, help)),
            }
        }
    }
    store::remove_empty_dir(&root.join(".worktrees"));
    out.extend(failed.into_iter().map(|leftover| Fixed { leftover, removed: false }));
    Ok(out)
}

/// Why something is kept after all, and how it is removed by hand.
#[derive(Debug)]
struct Refused {
    why: String,
    help: String,
}

impl Refused {
    fn new(why: impl std::fmt::Display, help: impl Into<String>) -> Refused {
        Refused { why: why.to_string(), help: help.into() }
    }
}

fn remove(around: &Around<'_>, leftover: &Leftover) -> Result<(), Refused> {
    let repo = around.repo;
    match &leftover.act {
        Act::Keep => Err(Refused::new(&leftover.why, leftover.help.clone().unwrap_or_default())),
        Act::Process { dir } => jobs::stop(dir),
        Act::Session { socket, dir } => jobs::end_session(socket, dir),
        Act::Tree(path) => {
            store::remove_tree(path).map_err(|e| Refused::new(e, by_hand("rm -r", path)))
        }
        Act::File(path) => store::remove(path).map_err(|e| Refused::new(e, by_hand("rm", path))),
        Act::Worktree { path, run } => worktrees::remove(repo, path, run),
        Act::Registration(path) => {
            repo.remove_worktree(path).map_err(|e| Refused::new(e, "git worktree prune"))
        }
        Act::Branch { tip } => retention::remove_branch(repo, &leftover.name, tip)
            .map_err(|why| Refused::new(why, refs::by_hand(&leftover.name))),
        Act::GitLock { run, path } => {
            repo.clear_stale_locks(&format!("slimductor/{run}"));
            match path.exists() {
                true => Err(Refused::new("it cannot be removed", by_hand("rm", path))),
                false => Ok(()),
            }
        }
    }
}

/// A command line that a person can copy.
fn by_hand(command: &str, path: &Path) -> String {
    format!("{command} {}", shell_words::quote(&path.to_string_lossy()))
}

/// `run … has ended`, or that it is gone.
fn over(run: &RunId, life: Life) -> String {
    match life {
        Life::Gone => format!("there is no run {run} any more"),
        Life::Ended(_) | Life::Live | Life::Unfinished | Life::Unknown => {
            format!("run {run} has ended")
        }
    }
}
