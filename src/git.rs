//! The only user of git: libgit2 for objects, merges, diffs and refs; the git command for worktrees and
//! snapshots. Knows nothing of tasks or runs.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::Mutex;

use git2::{DiffOptions, ErrorCode, Oid, Repository, Signature, Time};

use crate::types::{Change, ChangeKind, Millis, Sha};

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
    /// A name that should be an object id is none.
    #[error("`{0}` is not an object id")]
    NotAnId(String),
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
        let found = Repository::discover(dir).map_err(|source| {
            if source.code() == ErrorCode::NotFound {
                return GitError::NoRepository(dir.to_owned());
            }
            GitError::Library {
                action: format!("open the repository at {}", dir.display()),
                source,
            }
        })?;
        let common = found.commondir().to_owned();
        let inner = if found.is_worktree() {
            Repository::open(&common).map_err(lib(format!("open {}", common.display())))?
        } else {
            found
        };
        let root = inner.workdir().ok_or_else(|| GitError::Bare(common.clone()))?.to_owned();
        let root = root.canonicalize().unwrap_or(root);
        let common = common.canonicalize().unwrap_or(common);
        Ok(Repo { root, common, inner: Mutex::new(inner), worktrees: Mutex::new(()) })
    }

    /// The root of the working tree (main or linked) that `dir` lies in. Reads only.
    pub fn checkout_around(dir: &Path) -> Option<PathBuf> {
        let root = Repository::discover(dir).ok()?.workdir()?.to_owned();
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

    fn repo(&self) -> std::sync::MutexGuard<'_, Repository> {
        // A thread that panicked with the lock held left no half-written state behind in libgit2.
        self.inner.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// The branch that the working tree around `dir` is on; `None` when it is detached.
    pub fn current_branch(&self, dir: &Path) -> Result<Option<String>, GitError> {
        let repo = Repository::discover(dir).map_err(lib("open the repository"))?;
        let head = repo.find_reference("HEAD").map_err(lib("read HEAD"))?;
        let target = head.symbolic_target().map_err(lib("read HEAD"))?;
        Ok(target.and_then(|t| t.strip_prefix("refs/heads/")).map(str::to_owned))
    }

    /// The commit that a branch stands at.
    pub fn branch_tip(&self, branch: &str) -> Result<Option<Sha>, GitError> {
        let repo = self.repo();
        match repo.refname_to_id(&format!("refs/heads/{branch}")) {
            Ok(id) => sha(id).map(Some),
            Err(e) if e.code() == ErrorCode::NotFound => Ok(None),
            Err(e) => Err(lib(format!("read the branch {branch}"))(e)),
        }
    }

    /// Moves a branch from `old` (`None`: it does not exist) to `new`, or leaves it alone.
    pub fn swap_branch(
        &self,
        branch: &str,
        old: Option<&Sha>,
        new: &Sha,
        message: &str,
    ) -> Result<Swap, GitError> {
        let now = self.branch_tip(branch)?;
        if now.as_ref() == Some(new) {
            return Ok(Swap::Done);
        }
        if now.as_ref() != old {
            return Ok(Swap::Elsewhere(now));
        }
        let name = format!("refs/heads/{branch}");
        let moved = {
            let repo = self.repo();
            let done = match old {
                Some(old) => repo.reference_matching(&name, oid(new)?, true, oid(old)?, message),
                None => repo.reference(&name, oid(new)?, false, message),
            };
            match done {
                Ok(_) => true,
                // Somebody else was faster.
                Err(e) if matches!(e.code(), ErrorCode::Modified | ErrorCode::Exists) => false,
                Err(e) => return Err(lib(format!("move the branch {branch}"))(e)),
            }
        };
        if moved { Ok(Swap::Done) } else { Ok(Swap::Elsewhere(self.branch_tip(branch)?)) }
    }

    /// Sets a branch of our own to `new`, wherever it stands.
    pub fn set_branch(&self, branch: &str, new: &Sha, message: &str) -> Result<(), GitError> {
        let repo = self.repo();
        repo.reference(&format!("refs/heads/{branch}"), oid(new)?, true, message)
            .map(|_| ())
            .map_err(lib(format!("set the branch {branch}")))
    }

    /// Removes a branch; one that is not there is fine.
    pub fn delete_branch(&self, branch: &str) -> Result<(), GitError> {
        let repo = self.repo();
        match repo.find_reference(&format!("refs/heads/{branch}")) {
            Ok(mut found) => found.delete().map_err(lib(format!("remove the branch {branch}"))),
            Err(e) if e.code() == ErrorCode::NotFound => Ok(()),
            Err(e) => Err(lib(format!("remove the branch {branch}"))(e)),
        }
    }

    /// Branches whose name begins with `prefix`, and where they stand.
    pub fn branches_under(&self, prefix: &str) -> Result<BTreeMap<String, Sha>, GitError> {
        let repo = self.repo();
        let all = repo.references().map_err(lib("list the branches"))?;
        let mut out = BTreeMap::new();
        for reference in all {
            let reference = reference.map_err(lib("list the branches"))?;
            let Ok(name) = reference.name() else { continue };
            let Some(branch) = name.strip_prefix("refs/heads/") else { continue };
            if let (true, Some(target)) = (branch.starts_with(prefix), reference.target()) {
                out.insert(branch.to_owned(), sha(target)?);
            }
        }
        Ok(out)
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

    /// The tree of a commit.
    pub fn tree_of(&self, commit: &Sha) -> Result<Sha, GitError> {
        let repo = self.repo();
        let found = repo.find_commit(oid(commit)?).map_err(lib(format!("read {commit}")))?;
        sha(found.tree_id())
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

    /// Every path that differs between two commits; a rename is a deletion and an addition.
    pub fn diff(&self, base: &Sha, head: &Sha) -> Result<Vec<Change>, GitError> {
        let repo = self.repo();
        let tree = |s: &Sha| -> Result<git2::Tree<'_>, GitError> {
            let commit = repo.find_commit(oid(s)?).map_err(lib(format!("read {s}")))?;
            commit.tree().map_err(lib("read a tree"))
        };
        let mut options = DiffOptions::new();
        options.include_typechange(true).ignore_submodules(false);
        let diff = repo
            .diff_tree_to_tree(Some(&tree(base)?), Some(&tree(head)?), Some(&mut options))
            .map_err(lib("compare two trees"))?;
        let mut out = Vec::new();
        for delta in diff.deltas() {
            let file = |f: git2::DiffFile<'_>| {
                String::from_utf8_lossy(f.path_bytes().unwrap_or_default()).into_owned()
            };
            #[expect(
                clippy::wildcard_enum_match_arm,
                reason = "foreign enum; all else is a change"
            )]
            let kind = match delta.status() {
                git2::Delta::Added => ChangeKind::Added,
                git2::Delta::Deleted => ChangeKind::Deleted,
                _ => ChangeKind::Modified,
            };
            let side =
                if kind == ChangeKind::Deleted { delta.old_file() } else { delta.new_file() };
            out.push(Change {
                path: file(side),
                kind,
                old_mode: u32::from(delta.old_file().mode()),
                new_mode: u32::from(delta.new_file().mode()),
            });
        }
        Ok(out)
    }

    /// Merges `theirs` onto `ours` without a working tree. The commit's time is given, so that doing it
    /// again makes the same commit.
    pub fn merge(
        &self,
        ours: &Sha,
        theirs: &Sha,
        message: &str,
        at: Millis,
    ) -> Result<Merge, GitError> {
        let repo = self.repo();
        let find = |s: &Sha| repo.find_commit(oid(s)?).map_err(lib(format!("read {s}")));
        let (our, their) = (find(ours)?, find(theirs)?);
        let mut index = repo.merge_commits(&our, &their, None).map_err(lib("merge"))?;
        if index.has_conflicts() {
            let mut paths = Vec::new();
            for conflict in index.conflicts().map_err(lib("read the conflicts"))? {
                let conflict = conflict.map_err(lib("read the conflicts"))?;
                let side = conflict.our.or(conflict.their).or(conflict.ancestor);
                paths.extend(side.map(|e| String::from_utf8_lossy(&e.path).into_owned()));
            }
            paths.sort();
            paths.dedup();
            return Ok(Merge::Conflict(paths));
        }
        let tree_id = index.write_tree_to(&repo).map_err(lib("write the merged tree"))?;
        let tree = repo.find_tree(tree_id).map_err(lib("read the merged tree"))?;
        let (author, committer) = self.signatures(&repo, at)?;
        let commit = repo
            .commit(None, &author, &committer, message, &tree, &[&our, &their])
            .map_err(lib("write the merge commit"))?;
        Ok(Merge::Clean { commit: sha(commit)?, tree: sha(tree_id)? })
    }

    /// Commits `tree` on `parent`.
    pub fn commit_tree(
        &self,
        tree: &Sha,
        parent: &Sha,
        message: &str,
        at: Millis,
    ) -> Result<Sha, GitError> {
        let repo = self.repo();
        let tree = repo.find_tree(oid(tree)?).map_err(lib("read a tree"))?;
        let parent = repo.find_commit(oid(parent)?).map_err(lib("read a commit"))?;
        let (author, committer) = self.signatures(&repo, at)?;
        let id = repo
            .commit(None, &author, &committer, message, &tree, &[&parent])
            .map_err(lib("write a commit"))?;
        sha(id)
    }

    /// Author and committer: the GIT_* environment, then git's configuration, then our own name.
    fn signatures(
        &self,
        repo: &Repository,
        at: Millis,
    ) -> Result<(Signature<'static>, Signature<'static>), GitError> {
        let config = repo.config().and_then(|mut c| c.snapshot()).ok();
        let configured = |key: &str| {
            config
                .as_ref()
                .and_then(|c| c.get_str(key).ok().map(str::to_owned))
                .filter(|v| !v.is_empty())
        };
        #[expect(clippy::disallowed_methods, reason = "git's own variables belong to git's owner")]
        let variable = |key: String| std::env::var(key).ok().filter(|v| !v.is_empty());
        let who = |role: &str| {
            let name = variable(format!("GIT_{role}_NAME"))
                .or_else(|| configured("user.name"))
                .unwrap_or_else(|| "slimductor".to_owned());
            let mail = variable(format!("GIT_{role}_EMAIL"))
                .or_else(|| configured("user.email"))
                .unwrap_or_else(|| "slimductor@localhost".to_owned());
            let clean = |s: String| s.replace(['<', '>', '\n', '\0'], "");
            let time = Time::new(at.div_euclid(1000), 0);
            Signature::new(&clean(name), &clean(mail), &time).map_err(lib("name the author"))
        };
        Ok((who("AUTHOR")?, who("COMMITTER")?))
    }

    /// The git command, hardened: no hooks, no file monitor, no inherited GIT_* but the identities.
    #[expect(clippy::disallowed_methods, reason = "the one place that starts git")]
    fn command(&self) -> Command {
        let mut command = Command::new("git");
        for (name, _) in std::env::vars_os() {
            let text = name.to_string_lossy();
            let identity = text.starts_with("GIT_AUTHOR_") || text.starts_with("GIT_COMMITTER_");
            if text.starts_with("GIT_") && !identity {
                command.env_remove(&name);
            }
        }
        command
            .env("GIT_TERMINAL_PROMPT", "0")
            .env("GIT_OPTIONAL_LOCKS", "0")
            .env("LC_ALL", "C")
            .stdin(Stdio::null())
            .args(["-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null"])
            .args(["-c", "core.untrackedCache=false", "-c", "advice.detachedHead=false"]);
        command
    }

    fn run(&self, dir: &Path, args: &[&OsStr], index: Option<&Path>) -> Result<Output, GitError> {
        let mut command = self.command();
        if let Some(index) = index {
            command.env("GIT_INDEX_FILE", index);
        }
        command.current_dir(dir).args(args).output().map_err(GitError::NoCommand)
    }

    fn run_ok(
        &self,
        dir: &Path,
        args: &[&OsStr],
        index: Option<&Path>,
    ) -> Result<String, GitError> {
        let output = self.run(dir, args, index)?;
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).trim_end().to_owned());
        }
        let verb = args.iter().find(|a| !a.to_string_lossy().starts_with('-'));
        let verb = verb.map(|v| v.to_string_lossy().into_owned()).unwrap_or_default();
        Err(GitError::Command { verb, message: said(&output) })
    }

    /// What `git --version` says.
    pub fn version(&self) -> Result<String, GitError> {
        self.run_ok(Path::new("/"), &["--version".as_ref()], None)
    }

    /// Makes the worktree `path` hold exactly `commit`, detached and clean; makes it where it is missing.
    /// Its index is copied to `index`, so that a later snapshot need not read every file again.
    pub fn prepare_worktree(
        &self,
        path: &Path,
        commit: &Sha,
        index: &Path,
    ) -> Result<(), GitError> {
        let sha = OsStr::new(commit.as_str());
        let known = path.join(".git").is_file() && self.admin_dir(path).is_some();
        if known {
            let flags = ["checkout", "-q", "-f", "--detach"].map(OsStr::new);
            let reused = self
                .in_worktree(path, &[&flags[..], &[sha]].concat())
                .and_then(|_| self.in_worktree(path, &["clean", "-ffdxq"].map(OsStr::new)));
            if reused.is_ok() {
                return self.copy_index(path, index);
            }
            // Damaged by whoever used it before: make it anew.
            self.remove_worktree(path)?;
        }
        let _one_at_a_time =
            self.worktrees.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if path.exists() {
            std::fs::remove_dir_all(path).map_err(|e| GitError::Command {
                verb: "worktree".to_owned(),
                message: format!("{} is in the way: {e}", path.display()),
            })?;
        }
        let add = ["worktree", "add", "-q", "-f", "--detach"].map(OsStr::new);
        self.run_ok(&self.root, &[&add[..], &[path.as_os_str(), sha]].concat(), None)?;
        self.copy_index(path, index)
    }

    /// Runs git with the worktree's own administrative directory, found from OUR side: the `.git` file
    /// inside belongs to whoever worked there.
    fn in_worktree(&self, path: &Path, args: &[&OsStr]) -> Result<String, GitError> {
        let admin = self.admin_dir(path).ok_or_else(|| GitError::NoRepository(path.to_owned()))?;
        let mut dir = OsStr::new("--git-dir=").to_owned();
        dir.push(&admin);
        let mut tree = OsStr::new("--work-tree=").to_owned();
        tree.push(path);
        self.run_ok(path, &[&[dir.as_os_str(), tree.as_os_str()][..], args].concat(), None)
    }

    /// `.git/worktrees/<name>` of the worktree at `path`.
    fn admin_dir(&self, path: &Path) -> Option<PathBuf> {
        let path = path.canonicalize().unwrap_or_else(|_| path.to_owned());
        let entries = std::fs::read_dir(self.common.join("worktrees")).ok()?;
        entries.flatten().map(|e| e.path()).find(|dir| {
            let back = std::fs::read_to_string(dir.join("gitdir")).unwrap_or_default();
            let back = Path::new(back.trim_end()).parent().map(Path::to_owned).unwrap_or_default();
            back == path || back.canonicalize().is_ok_and(|b| b == path)
        })
    }

    fn copy_index(&self, path: &Path, index: &Path) -> Result<(), GitError> {
        let copied = self.admin_dir(path).map(|admin| std::fs::copy(admin.join("index"), index));
        match copied {
            Some(Ok(_)) => Ok(()),
            Some(Err(e)) => {
                Err(GitError::Command { verb: "worktree".to_owned(), message: e.to_string() })
            }
            None => Err(GitError::NoRepository(path.to_owned())),
        }
    }

    /// Removes a worktree and git's record of it; one that is not there is fine.
    pub fn remove_worktree(&self, path: &Path) -> Result<(), GitError> {
        let _one_at_a_time =
            self.worktrees.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let trouble = |e: std::io::Error| GitError::Command {
            verb: "worktree".to_owned(),
            message: format!("cannot remove {}: {e}", path.display()),
        };
        let admin = self.admin_dir(path);
        if path.symlink_metadata().is_ok() {
            std::fs::remove_dir_all(path).map_err(trouble)?;
        }
        if let Some(admin) = admin {
            std::fs::remove_dir_all(admin).map_err(trouble)?;
            // Git removes the directory with the last worktree; so do we.
            let _ = std::fs::remove_dir(self.common.join("worktrees"));
        }
        Ok(())
    }

    /// The commit that the worktree's HEAD stands at, read as text from our side.
    pub fn worktree_head(&self, path: &Path) -> Result<Option<Sha>, GitError> {
        let Some(admin) = self.admin_dir(path) else { return Ok(None) };
        let head = std::fs::read_to_string(admin.join("HEAD")).unwrap_or_default();
        if let Some(sha) = Sha::parse(head.trim()) {
            return Ok(Some(sha));
        }
        match head.trim().strip_prefix("ref: refs/heads/") {
            Some(branch) => self.branch_tip(branch),
            None => Ok(None),
        }
    }

    /// Whether the repository has this commit.
    pub fn has_commit(&self, commit: &Sha) -> bool {
        oid(commit).is_ok_and(|id| self.repo().find_commit(id).is_ok())
    }

    /// The tree of what stands in `path` now: tracked and untracked, not ignored. Only `index` (our own)
    /// is written, never the worktree's.
    pub fn snapshot(&self, path: &Path, index: &Path) -> Result<Sha, GitError> {
        let mut dir = OsStr::new("--git-dir=").to_owned();
        dir.push(&self.common);
        let mut tree = OsStr::new("--work-tree=").to_owned();
        tree.push(path);
        let at = [dir.as_os_str(), tree.as_os_str()];
        let add = ["-c", "core.bare=false", "add", "-A", "--", "."].map(OsStr::new);
        self.run_ok(path, &[&at[..], &add[..]].concat(), Some(index))?;
        let status = Path::new(".task-status.json");
        if path.join(status).exists() {
            let drop = ["rm", "-q", "--cached", "--ignore-unmatch", "--"].map(OsStr::new);
            self.run_ok(path, &[&at[..], &drop[..], &[status.as_os_str()]].concat(), Some(index))?;
        }
        let text = self.run_ok(path, &[&at[..], &["write-tree".as_ref()]].concat(), Some(index))?;
        Sha::parse(&text).ok_or(GitError::NotAnId(text))
    }

    /// The worktree that has `branch` checked out.
    pub fn checkout_of(&self, branch: &str) -> Result<Option<PathBuf>, GitError> {
        let text =
            self.run_ok(&self.root, &["worktree", "list", "--porcelain"].map(OsStr::new), None)?;
        let wanted = format!("branch refs/heads/{branch}");
        let mut current = None;
        for line in text.lines() {
            if let Some(path) = line.strip_prefix("worktree ") {
                current = Some(PathBuf::from(path));
            } else if line == wanted {
                return Ok(current);
            }
        }
        Ok(None)
    }

    /// Moves `branch` from `old` to its descendant `new`; inside its checkout where it has one, and there
    /// only when nothing of the user's is in the way.
    pub fn fast_forward(
        &self,
        branch: &str,
        old: &Sha,
        new: &Sha,
    ) -> Result<FastForward, GitError> {
        let now = self.branch_tip(branch)?;
        if now.as_ref() == Some(new) {
            return Ok(FastForward::Done);
        }
        if now.as_ref() != Some(old) || !self.contains(new, old)? {
            return self.moved(now, old);
        }
        let Some(checkout) = self.checkout_of(branch)? else {
            return match self.swap_branch(branch, Some(old), new, "slimductor: promote")? {
                Swap::Done => Ok(FastForward::Done),
                Swap::Elsewhere(now) => self.moved(now, old),
            };
        };
        let args =
            ["-c", "merge.autoStash=false", "merge", "-q", "--ff-only", "--no-stat", new.as_str()];
        let output = self.run(&checkout, &args.map(OsStr::new), None)?;
        let now = self.branch_tip(branch)?;
        if now.as_ref() == Some(new) {
            return Ok(FastForward::Done);
        }
        if now.as_ref() != Some(old) {
            return self.moved(now, old);
        }
        Ok(FastForward::Dirty { checkout, message: said(&output) })
    }

    fn moved(&self, now: Option<Sha>, old: &Sha) -> Result<FastForward, GitError> {
        let onward = match &now {
            Some(now) => self.contains(now, old)?,
            None => false,
        };
        Ok(FastForward::Moved { now, onward })
    }

    /// How many tracked files the checkout around `dir` has changed against HEAD.
    pub fn changed_files(&self, dir: &Path) -> Result<usize, GitError> {
        let args = ["status", "--porcelain", "--untracked-files=no"].map(OsStr::new);
        Ok(self.run_ok(dir, &args, None)?.lines().count())
    }
}

fn said(output: &Output) -> String {
    let text = String::from_utf8_lossy(&output.stderr);
    let text = if text.trim().is_empty() { String::from_utf8_lossy(&output.stdout) } else { text };
    text.trim().to_owned()
}
