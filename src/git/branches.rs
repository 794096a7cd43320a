//! All branches at once: where they stand, what they hold together, and the removal of one that has not moved. Knows
//! nothing of tasks or runs.

use git2::ErrorCode;

use super::{GitError, Repo, at, lib, oid, sha};
use crate::types::Sha;

impl Repo {
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
