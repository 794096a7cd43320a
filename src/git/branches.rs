//! Branches: where they stand, their compare-and-swap, what they hold together, their removal. Knows nothing of tasks or
//! runs.

use git2::ErrorCode;

use super::{GitError, Repo, Swap, at, lib, oid, sha};
use crate::types::Sha;

/// How long a lock that somebody's git holds on a ref is waited for.
const LOCK_TRIES: u32 = 50;
const LOCK_PAUSE: std::time::Duration = std::time::Duration::from_millis(100);

/// Does something with refs; again while another git has locked them, `git gc` say.
fn patiently<T>(mut act: impl FnMut() -> Result<T, git2::Error>) -> Result<T, git2::Error> {
    for _ in 0..LOCK_TRIES {
        match act() {
            Err(e) if e.code() == ErrorCode::Locked => std::thread::sleep(LOCK_PAUSE),
            other => return other,
        }
    }
    act()
}

impl Repo {
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
        at("move a branch", branch)?;
        let moved = {
            let repo = self.repo();
            let (new, old) = (oid(new)?, old.map(oid).transpose()?);
            let done = patiently(|| match old {
                Some(old) => repo.reference_matching(&name, new, true, old, message),
                None => repo.reference(&name, new, false, message),
            });
            match done {
                Ok(_) => true,
                // Somebody else was faster.
                Err(e) if matches!(e.code(), ErrorCode::Modified | ErrorCode::Exists) => false,
                Err(e) => {
                    let place = self.common.display();
                    return Err(lib(format!("move the branch {branch} in {place}"))(e));
                }
            }
        };
        if moved { Ok(Swap::Done) } else { Ok(Swap::Elsewhere(self.branch_tip(branch)?)) }
    }

    /// Sets a branch of our own to `new`, wherever it stands.
    pub fn set_branch(&self, branch: &str, new: &Sha, message: &str) -> Result<(), GitError> {
        at("set a branch", branch)?;
        let repo = self.repo();
        let (name, new) = (format!("refs/heads/{branch}"), oid(new)?);
        patiently(|| repo.reference(&name, new, true, message))
            .map(|_| ())
            .map_err(lib(format!("set the branch {branch} in {}", self.common.display())))
    }

    /// Removes the locks that a killed process of ours left on branches below `prefix`, which is ours alone. One
    /// that somebody's `git pack-refs` holds is gone in a moment, so it is given one.
    pub fn clear_stale_locks(&self, prefix: &str) {
        let mut todo = vec![self.common.join("refs/heads").join(prefix)];
        while let Some(dir) = todo.pop() {
            for entry in std::fs::read_dir(&dir).into_iter().flatten().flatten() {
                let path = entry.path();
                if path.is_dir() {
                    todo.push(path);
                } else if path.extension().is_some_and(|e| e == "lock") {
                    for _ in 0..20 {
                        if !path.exists() {
                            break;
                        }
                        std::thread::sleep(std::time::Duration::from_millis(50));
                    }
                    // Still there: whoever held it is gone. A failure shows when the branch is moved.
                    let _ = std::fs::remove_file(&path);
                }
            }
        }
    }

    /// Removes a branch; one that is not there is fine.
    pub fn delete_branch(&self, branch: &str) -> Result<(), GitError> {
        let repo = self.repo();
        at("remove a branch", branch)?;
        // Looked up anew each time: of a ref that is packed as well, half may be gone.
        let gone = patiently(|| match repo.find_reference(&format!("refs/heads/{branch}")) {
            Ok(mut found) => found.delete(),
            Err(e) if e.code() == ErrorCode::NotFound => Ok(()),
            Err(e) => Err(e),
        });
        gone.map_err(lib(format!("remove the branch {branch}")))
    }

    /// Every branch of this repository with the commit that it stands at, by name; none whose name is not UTF-8.
    pub fn branches(&self) -> Result<Vec<(String, Sha)>, GitError> {
        let repo = self.repo();
        let refs = repo.references().map_err(lib("read the branches"))?;
        let mut out = Vec::new();
        for found in refs.flatten() {
            let (Ok(name), Some(target)) = (found.name(), found.target()) else { continue };
            if let Some(branch) = name.strip_prefix("refs/heads/") {
                out.push((branch.to_owned(), sha(target)?));
            }
        }
        out.sort();
        Ok(out)
    }

    /// Whether `commit` belongs to the history of one of `tips`.
    pub fn is_within(&self, commit: &Sha, tips: &[Sha]) -> Result<bool, GitError> {
        if tips.contains(commit) {
            return Ok(true);
        }
        let repo = self.repo();
        // One walk for all of them: whatever is left of the commit's history is in none of theirs.
        let mut walk = repo.revwalk().map_err(lib("read a history"))?;
        walk.push(oid(commit)?).map_err(lib("read a history"))?;
        for tip in tips {
            walk.hide(oid(tip)?).map_err(lib("read a history"))?;
        }
        match walk.next() {
            None => Ok(true),
            Some(first) => first.map(|_| false).map_err(lib("read a history")),
        }
    }

    /// Whether a checkout of this repository is on the branch.
    pub fn is_checked_out(&self, branch: &str) -> bool {
        let wanted = format!("ref: refs/heads/{branch}");
        let entries = std::fs::read_dir(self.common().join("worktrees")).into_iter().flatten();
        let mut heads: Vec<_> = entries.flatten().map(|e| e.path().join("HEAD")).collect();
        heads.push(self.common().join("HEAD"));
        heads.iter().any(|h| std::fs::read_to_string(h).is_ok_and(|t| t.trim_end() == wanted))
    }

    /// Removes a branch that still stands at `tip`; says whether it is gone. One that moved is somebody's.
    pub fn delete_branch_at(&self, branch: &str, tip: &Sha) -> Result<bool, GitError> {
        let repo = self.repo();
        let mut found = match repo.find_reference(&format!("refs/heads/{branch}")) {
            Ok(found) => found,
            Err(e) if e.code() == ErrorCode::NotFound => return Ok(true),
            Err(e) => return Err(lib(format!("read the branch {branch}"))(e)),
        };
        if found.target() != Some(oid(tip)?) {
            return Ok(false);
        }
        at("remove a branch", branch)?;
        match found.delete() {
            Ok(()) => Ok(true),
            Err(e) if e.code() == ErrorCode::Modified => Ok(false),
            Err(e) => Err(lib(format!("remove the branch {branch}"))(e)),
        }
    }
}

impl GitError {
    /// Whether git refuses the repository because it belongs to another user (`safe.directory`).
    pub fn is_foreign(&self) -> bool {
        match self {
            GitError::Library { source, .. } => source.code() == ErrorCode::Owner,
            GitError::Command { message, .. } => message.contains("dubious ownership"),
            GitError::NoRepository(_)
            | GitError::Bare(_)
            | GitError::NoCommand(_)
            | GitError::File { .. }
            | GitError::NotAnId(_) => false,
        }
    }
}
