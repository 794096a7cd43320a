//! The git command: worktrees, snapshots, fast-forwards in a checkout. The one file that runs it.

use std::ffi::{OsStr, OsString};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use super::{FastForward, GitError, Repo, Swap, oid};
use crate::types::Sha;

/// How long a lock of somebody else's git is waited for before it counts as in the way.
const LOCK_TRIES: u32 = 50;
const LOCK_PAUSE: std::time::Duration = std::time::Duration::from_millis(200);

impl Repo {
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
            // Ctrl-C is for us: a git that it cut down would look like a failure.
            .process_group(0)
            .args(["-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null"])
            .args([
                "-c",
                "core.untrackedCache=false",
                "-c",
                "core.splitIndex=false",
                "-c",
                "advice.detachedHead=false",
            ]);
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
        let words: Vec<_> = args.iter().map(|a| a.to_string_lossy()).collect();
        let is_verb = |n: &usize| !words[*n].starts_with('-') && (*n == 0 || words[*n - 1] != "-c");
        let verb = (0..words.len()).find(is_verb).map(|n| words[n].to_string()).unwrap_or_default();
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
            remove_whole(path).map_err(|e| GitError::Command {
                verb: "worktree".to_owned(),
                message: format!("{} is in the way: {e}", path.display()),
            })?;
        }
        let dir = path_option("--git-dir=", &self.common);
        let add = ["worktree", "add", "-q", "-f", "--detach"].map(OsStr::new);
        let all = [&[dir.as_os_str()][..], &add[..], &[path.as_os_str(), sha]].concat();
        self.run_ok(&self.root, &all, None)?;
        self.copy_index(path, index)
    }

    /// Runs git with the worktree's own administrative directory, found from OUR side: the `.git` file
    /// inside belongs to whoever worked there.
    fn in_worktree(&self, path: &Path, args: &[&OsStr]) -> Result<String, GitError> {
        let admin = self.admin_dir(path).ok_or_else(|| GitError::NoRepository(path.to_owned()))?;
        let dir = path_option("--git-dir=", &admin);
        let tree = path_option("--work-tree=", path);
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
            remove_whole(path).map_err(trouble)?;
        }
        if let Some(admin) = admin {
            std::fs::remove_dir_all(admin).map_err(trouble)?;
            // Git removes the directory with the last worktree; so do we.
            let _ = std::fs::remove_dir(self.common.join("worktrees"));
        }
        Ok(())
    }

    /// The worktrees that git knows in the directory `dir`, whether they are still there or not.
    pub fn worktrees_in(&self, dir: &Path) -> Vec<PathBuf> {
        let Ok(entries) = std::fs::read_dir(self.common.join("worktrees")) else {
            return Vec::new();
        };
        let back = |admin: PathBuf| -> Option<PathBuf> {
            let text = std::fs::read_to_string(admin.join("gitdir")).ok()?;
            Path::new(text.trim_end()).parent().map(Path::to_owned)
        };
        let found = entries.flatten().filter_map(|e| back(e.path()));
        found.filter(|p| p.parent() == Some(dir)).collect()
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
        // A copy for this one time: a lock that a killed git left beside the other is nobody's business.
        let dir = index.parent().unwrap_or(Path::new("."));
        let trouble = |e: std::io::Error| GitError::Command {
            verb: "add".to_owned(),
            message: format!("cannot copy the index: {e}"),
        };
        let copy = tempfile::Builder::new().prefix(".index-").tempdir_in(dir).map_err(trouble)?;
        let own = copy.path().join("index");
        std::fs::copy(index, &own).map_err(trouble)?;
        self.snapshot_with(path, &own)
    }

    fn snapshot_with(&self, path: &Path, index: &Path) -> Result<Sha, GitError> {
        let dir = path_option("--git-dir=", &self.common);
        let tree = path_option("--work-tree=", path);
        let at = [dir.as_os_str(), tree.as_os_str()];
        // What the worker says of itself is never committed; where it is tracked it stays as it was.
        let status = ["ls-files", "-s", "--", ".task-status.json"].map(OsStr::new);
        let tracked = self.run_ok(path, &[&at[..], &status[..]].concat(), Some(index))?;
        let add = ["-c", "core.bare=false", "add", "-A", "--", "."].map(OsStr::new);
        self.run_ok(path, &[&at[..], &add[..]].concat(), Some(index))?;
        let mut fields = tracked.split_whitespace();
        if let (Some(mode), Some(blob)) = (fields.next(), fields.next()) {
            let entry = format!("{mode},{blob},.task-status.json");
            let back = ["update-index", "--add", "--cacheinfo", &entry].map(OsStr::new);
            self.run_ok(path, &[&at[..], &back[..]].concat(), Some(index))?;
        }
        let text = self.run_ok(path, &[&at[..], &["write-tree".as_ref()]].concat(), Some(index))?;
        Sha::parse(&text).ok_or(GitError::NotAnId(text))
    }

    /// The worktree that has `branch` checked out.
    pub fn checkout_of(&self, branch: &str) -> Result<Option<PathBuf>, GitError> {
        let dir = path_option("--git-dir=", &self.common);
        let list = [dir.as_os_str(), "worktree".as_ref(), "list".as_ref(), "--porcelain".as_ref()];
        let text = self.run_ok(&self.root, &list, None)?;
        let wanted = format!("branch refs/heads/{branch}");
        let mut current = None;
        for line in text.lines() {
            if let Some(path) = line.strip_prefix("worktree ") {
                // With a separate git directory git names that one instead of the working tree.
                let at = Path::new(path);
                let at = if at == self.common { self.root.clone() } else { at.to_owned() };
                current = Some(at).filter(|p| p.exists());
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
        if self.is_rebasing(branch) {
            let message = format!("\ta rebase of {branch} that is under way");
            return Ok(FastForward::Dirty { checkout: self.root.clone(), message });
        }
        let Some(checkout) = self.checkout_of(branch)? else {
            return match self.swap_branch(branch, Some(old), new, "slimductor: promote")? {
                Swap::Done => Ok(FastForward::Done),
                Swap::Elsewhere(now) => self.moved(now, old),
            };
        };
        let dirty = |message: String| FastForward::Dirty { checkout: checkout.clone(), message };
        // An editor's `git status` holds a lock for a moment; one that stays is in the way.
        let index = self.admin_dir(&checkout).unwrap_or_else(|| self.common.clone());
        let locks =
            [index.join("index.lock"), self.common.join(format!("refs/heads/{branch}.lock"))];
        for _ in 0..LOCK_TRIES {
            if !locks.iter().any(|l| l.exists()) {
                break;
            }
            std::thread::sleep(LOCK_PAUSE);
        }
        if let Some(lock) = locks.iter().find(|l| l.exists()) {
            return Ok(dirty(format!("\t{}", lock.display())));
        }
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
        // Git may have written files before it failed to move the branch: back to where they were, around
        // whatever the user has changed.
        let back = ["read-tree", "-m", "-u", new.as_str(), old.as_str()];
        let _ = self.run(&checkout, &back.map(OsStr::new), None);
        Ok(dirty(said(&output)))
    }

    /// Whether `branch` is being rebased somewhere: no checkout is on it meanwhile, and the rebase will move it.
    fn is_rebasing(&self, branch: &str) -> bool {
        let wanted = format!("refs/heads/{branch}");
        let entries = std::fs::read_dir(self.common.join("worktrees")).into_iter().flatten();
        let mut dirs: Vec<PathBuf> = entries.flatten().map(|e| e.path()).collect();
        dirs.push(self.common.clone());
        let names = ["rebase-merge/head-name", "rebase-apply/head-name"];
        let is_it = |path: PathBuf| std::fs::read_to_string(path).is_ok_and(|t| t.trim() == wanted);
        dirs.iter().any(|dir| names.iter().any(|name| is_it(dir.join(name))))
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

/// An option whose value is a path of any bytes.
fn path_option(name: &str, path: &Path) -> OsString {
    let mut option = OsString::from(name);
    option.push(path);
    option
}

/// Removes a directory in which somebody may have taken away permissions.
fn remove_whole(path: &Path) -> std::io::Result<()> {
    let first = std::fs::remove_dir_all(path);
    if !first.as_ref().is_err_and(|e| e.kind() == std::io::ErrorKind::PermissionDenied) {
        return first;
    }
    let mut todo = vec![path.to_owned()];
    while let Some(dir) = todo.pop() {
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o700);
        std::fs::set_permissions(&dir, mode)?;
        for entry in std::fs::read_dir(&dir)?.flatten() {
            if entry.file_type().is_ok_and(|t| t.is_dir()) {
                todo.push(entry.path());
            }
        }
    }
    std::fs::remove_dir_all(path)
}

fn said(output: &Output) -> String {
    let text = String::from_utf8_lossy(&output.stderr);
    let text = if text.trim().is_empty() { String::from_utf8_lossy(&output.stdout) } else { text };
    text.trim().to_owned()
}
