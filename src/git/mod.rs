//! The only user of git: libgit2 for refs (here) and objects (objects.rs), the git command for worktrees and
//! snapshots (command.rs). Knows nothing of tasks or runs.

mod branches;
mod command;
mod hostile;
mod objects;
mod promote;
mod tree;
mod worktree;

use std::path::{Path, PathBuf};
use std::sync::Mutex;

use git2::{ErrorCode, Oid, Repository};

use crate::fault;
use crate::types::{Millis, Sha};
pub use worktree::Worktree;

/// What git refused, and why.
#[derive(Debug, thiserror::Error)]
pub enum GitError {
    /// The directory lies in no repository.
    #[error("{0} is not in a git repository")]
    NoRepository(PathBuf),
    /// The repository has no working tree.
    #[error("{0} is a bare repository; slimductor needs a working tree")]
    Bare(PathBuf),
    /// The `git` command is not on PATH.
    #[error("the git command cannot be run: {0}")]
    NoCommand(std::io::Error),
    /// The `git` command failed.
    #[error("git {verb} failed: {message}")]
    Command {
        /// Its first argument.
        verb: String,
        /// What it said.
        message: String,
    },
    /// libgit2 failed.
    #[error("cannot {action}: {}", .source.message())]
    Library {
        /// What was tried.
        action: String,
        /// What it said.
        source: git2::Error,
    },
    /// A file of git's own could not be written.
    #[error("cannot write {path}: {source}")]
    File {
        /// The file or directory.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A name that should be an object id is none.
    #[error("`{0}` is not an object id")]
    NotAnId(String),
}

impl GitError {
    /// Whether the disk is full, broken or cannot be written.
    pub fn is_no_room(&self) -> bool {
        match self {
            GitError::File { source, .. } | GitError::NoCommand(source) => {
                fault::is_no_room(source)
            }
            GitError::Command { message, .. } => fault::says_no_room(message),
            GitError::Library { source, .. } => fault::says_no_room(source.message()),
            GitError::NoRepository(_) | GitError::Bare(_) | GitError::NotAnId(_) => false,
        }
    }
}

/// Whether a compare-and-swap moved the ref.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Swap {
    /// It stands at the new value now (also when it stood there already).
    Done,
    /// It stood elsewhere and was left there.
    Elsewhere(Option<Sha>),
}

/// The result of an in-memory merge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Merge {
    /// A commit with both parents.
    Clean {
        /// The merge commit.
        commit: Sha,
        /// Its tree.
        tree: Sha,
    },
    /// Both sides changed these.
    Conflict(Vec<String>),
}

/// The result of moving a branch that may be checked out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FastForward {
    /// The branch, and its checkout where there is one, stand at the new commit.
    Done,
    /// The branch stands elsewhere.
    Moved {
        /// Where; `None` when it is gone.
        now: Option<Sha>,
        /// Whether it only went forward from where it was.
        onward: bool,
    },
    /// The checkout has changes in the way; nothing was touched.
    Dirty {
        /// The checkout.
        checkout: PathBuf,
        /// What git said of it.
        message: String,
    },
}

/// A repository: its main working tree and its common git directory.
pub struct Repo {
    root: PathBuf,
    common: PathBuf,
    inner: Mutex<Repository>,
    /// The git command, by its path.
    program: Option<PathBuf>,
    /// The user's own configuration, as it was when the run was made.
    config: Option<PathBuf>,
    /// Whether what is written is synced.
    durable: bool,
    /// Given to every git command as its standard input: a lock that is held as long as one of them lives.
    held: Option<std::fs::File>,
    /// `git worktree add` and `remove` race with each other; one at a time.
    worktrees: Mutex<()>,
}

impl std::fmt::Debug for Repo {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Repo").field("root", &self.root).finish_non_exhaustive()
    }
}

fn lib(action: impl Into<String>) -> impl FnOnce(git2::Error) -> GitError {
    move |source| GitError::Library { action: action.into(), source }
}

/// A point at which tests plant faults, told as libgit2 would.
fn at(action: &str, name: &str) -> Result<(), GitError> {
    fault::point(action, Path::new(name)).map_err(|e| {
        let said = git2::Error::new(ErrorCode::GenericError, git2::ErrorClass::Os, e.to_string());
        lib(action)(said)
    })
}

/// The repository around `dir`, with the working tree that is found on the way.
fn open_around(dir: &Path) -> Result<Repository, git2::Error> {
    let flags = git2::RepositoryOpenFlags::empty();
    Repository::open_ext(dir, flags, std::iter::empty::<&std::ffi::OsStr>())
}

fn sha(oid: Oid) -> Result<Sha, GitError> {
    let text = oid.to_string();
    Sha::parse(&text).ok_or(GitError::NotAnId(text))
}

fn oid(sha: &Sha) -> Result<Oid, GitError> {
    Oid::from_str(sha.as_str()).map_err(|_| GitError::NotAnId(sha.to_string()))
}

impl Repo {
    /// The repository that `dir` lies in; from a linked worktree, the one that it belongs to.
    pub fn discover(dir: &Path) -> Result<Repo, GitError> {
        let found = open_around(dir).map_err(|source| {
            if source.code() == ErrorCode::NotFound {
                return GitError::NoRepository(dir.to_owned());
            }
            GitError::Library {
                action: format!("open the repository at {}", dir.display()),
                source,
            }
        })?;
        let common = found.commondir().to_owned();
        let here = found.workdir().map(Path::to_owned);
        let inner = if found.is_worktree() {
            Repository::open(&common).map_err(lib(format!("open {}", common.display())))?
        } else {
            found
        };
        // A bare repository may have worktrees; the one that we stand in has to do.
        let main = inner.workdir().map(Path::to_owned);
        let root = main.or(here).ok_or_else(|| GitError::Bare(common.clone()))?;
        let root = root.canonicalize().unwrap_or(root);
        let common = common.canonicalize().unwrap_or(common);
        let (inner, worktrees) = (Mutex::new(inner), Mutex::new(()));
        let program = command::find_git();
        Ok(Repo {
            root,
            common,
            inner,
            program,
            config: None,
            durable: false,
            held: None,
            worktrees,
        })
    }

    /// The root of the working tree (main or linked) that `dir` lies in. Reads only.
    pub fn checkout_around(dir: &Path) -> Option<PathBuf> {
        let root = open_around(dir).ok()?.workdir()?.to_owned();
        Some(root.canonicalize().unwrap_or(root))
    }

    /// Makes a repository of the files in `dir`, with one commit on `main`.
    pub fn create(dir: &Path, message: &str, at: Millis) -> Result<Repo, GitError> {
        let mut options = git2::RepositoryInitOptions::new();
        options.initial_head("main");
        let made = Repository::init_opts(dir, &options).map_err(lib("make a repository"))?;
        let mut index = made.index().map_err(lib("open the index"))?;
        let all = ["*"].iter();
        index.add_all(all, git2::IndexAddOption::DEFAULT, None).map_err(lib("add the files"))?;
        index.write().map_err(lib("write the index"))?;
        let tree_id = index.write_tree().map_err(lib("write the tree"))?;
        drop(made);
        let repo = Repo::discover(dir)?;
        {
            let inner = repo.repo();
            let tree = inner.find_tree(tree_id).map_err(lib("read the tree"))?;
            let (author, committer) = repo.signatures(&inner, at)?;
            let first = inner.commit(Some("HEAD"), &author, &committer, message, &tree, &[]);
            first.map_err(lib("write the first commit"))?;
        }
        Ok(repo)
    }

    /// The first lines of the commits from `from` (not itself) to `to`, along the first parents, newest first.
    pub fn first_parents(&self, from: &Sha, to: &Sha) -> Result<Vec<String>, GitError> {
        let repo = self.repo();
        let mut walk = repo.revwalk().map_err(lib("walk the history"))?;
        let (from, to) = (oid(from)?, oid(to)?);
        walk.push(to).and_then(|()| walk.hide(from)).map_err(lib("walk the history"))?;
        walk.simplify_first_parent().map_err(lib("walk the history"))?;
        let mut out = Vec::new();
        for id in walk {
            let id = id.map_err(lib("walk the history"))?;
            let commit = repo.find_commit(id).map_err(lib("read a commit"))?;
            let title =
                String::from_utf8_lossy(commit.summary_bytes().unwrap_or_default()).into_owned();
            out.push(format!("{} {title}", sha(id)?.short()));
        }
        Ok(out)
    }

    /// The main working tree.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The git directory that all worktrees share.
    pub fn common(&self) -> &Path {
        &self.common
    }

    /// From now on every object and ref is synced before it counts as written: the journal, which is, names them. `path`
    /// is where that is said to libgit2, which takes it from a file alone.
    pub fn make_durable(&mut self, path: &Path) -> Result<(), GitError> {
        worktree::put(path, b"[core]\n\tfsyncObjectFiles = true\n")?;
        // Opened anew, because what has read an object before no longer asks.
        let place = if self.root.join(".git").is_dir() { &self.root } else { &self.common };
        let fresh = Repository::open(place).map_err(lib(format!("open {}", place.display())))?;
        let config =
            fresh.config().and_then(|mut c| c.add_file(path, git2::ConfigLevel::App, true));
        config.map_err(lib("set how objects are written"))?;
        self.durable = true;
        if fresh.workdir().is_some() || self.repo().workdir().is_none() {
            self.inner = Mutex::new(fresh);
        }
        Ok(())
    }

    fn repo(&self) -> std::sync::MutexGuard<'_, Repository> {
        // A thread that panicked with the lock held left no half-written state behind in libgit2.
        self.inner.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// The branch that the working tree around `dir` is on; `None` when it is detached.
    pub fn current_branch(&self, dir: &Path) -> Result<Option<String>, GitError> {
        let repo = open_around(dir).map_err(lib("open the repository"))?;
        let head = repo.find_reference("HEAD").map_err(lib("read HEAD"))?;
        let target = head.symbolic_target().map_err(lib("read HEAD"))?;
        Ok(target.and_then(|t| t.strip_prefix("refs/heads/")).map(str::to_owned))
    }

    /// Whether `commit` holds all of `ancestor`'s history (a commit holds its own).
    pub fn contains(&self, commit: &Sha, ancestor: &Sha) -> Result<bool, GitError> {
        if commit == ancestor {
            return Ok(true);
        }
        self.repo()
            .graph_descendant_of(oid(commit)?, oid(ancestor)?)
            .map_err(lib("compare two commits"))
    }

    /// Whether every commit of `head` beyond `base` stands on `base` or on another of them, and `base` is among their
    /// parents: nothing of other branches came along.
    /// Nor may any of them hold one of the paths `without`.
    pub fn grew_from(&self, head: &Sha, base: &Sha, without: &[String]) -> Result<bool, GitError> {
        const MOST: usize = 10_000;
        let repo = self.repo();
        let (head, base) = (oid(head)?, oid(base)?);
        let mut walk = repo.revwalk().map_err(lib("read a history"))?;
        walk.push(head).map_err(lib("read a history"))?;
        walk.hide(base).map_err(lib("read a history"))?;
        let mut own = std::collections::HashSet::new();
        for id in walk.take(MOST + 1) {
            own.insert(id.map_err(lib("read a history"))?);
        }
        if own.len() > MOST || own.is_empty() {
            return Ok(own.is_empty() && head == base);
        }
        for id in &own {
            let commit = repo.find_commit(*id).map_err(lib("read a commit"))?;
            let tree = commit.tree().map_err(lib("read a tree"))?;
            if without.iter().any(|path| tree.get_path(Path::new(path)).is_ok()) {
                return Ok(false);
            }
            let mut parents = commit.parent_ids();
            if commit.parent_count() == 0 || !parents.all(|p| p == base || own.contains(&p)) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// The nearest commit that both hold; `None` where they have nothing in common.
    pub fn merge_base(&self, one: &Sha, other: &Sha) -> Result<Option<Sha>, GitError> {
        match self.repo().merge_base(oid(one)?, oid(other)?) {
            Ok(id) => sha(id).map(Some),
            Err(e) if e.code() == ErrorCode::NotFound => Ok(None),
            Err(e) => Err(lib("compare two commits")(e)),
        }
    }

    /// The tree of a commit.
    pub fn tree_of(&self, commit: &Sha) -> Result<Sha, GitError> {
        let repo = self.repo();
        let found = repo.find_commit(oid(commit)?).map_err(lib(format!("read {commit}")))?;
        sha(found.tree_id())
    }

    /// Whether two commits have the same tree and the same words.
    pub fn says_the_same(&self, one: &Sha, other: &Sha) -> Result<bool, GitError> {
        let repo = self.repo();
        let find = |s: &Sha| repo.find_commit(oid(s)?).map_err(lib(format!("read {s}")));
        let (one, other) = (find(one)?, find(other)?);
        Ok(one.tree_id() == other.tree_id() && one.message_bytes() == other.message_bytes())
    }

    /// The text of a file in a commit; `None` when it is not there.
    pub fn file_at(&self, commit: &Sha, path: &str) -> Result<Option<Vec<u8>>, GitError> {
        let repo = self.repo();
        let found = repo.find_commit(oid(commit)?).map_err(lib(format!("read {commit}")))?;
        let tree = found.tree().map_err(lib("read a tree"))?;
        match tree.get_path(Path::new(path)) {
            Ok(entry) => Ok(repo.find_blob(entry.id()).ok().map(|b| b.content().to_vec())),
            Err(e) if e.code() == ErrorCode::NotFound => Ok(None),
            Err(e) => Err(lib(format!("read {path}"))(e)),
        }
    }
}
