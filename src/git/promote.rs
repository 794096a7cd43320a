//! The target's fast-forward, inside its checkout where it has one: nothing of the user's is overwritten, and what was
//! cut down half way is taken up. Knows nothing of runs.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::command::said;
use super::{FastForward, GitError, Repo, Swap, lib, oid};
use crate::types::{ChangeKind, Sha};

/// How long a lock of somebody else's git is waited for before it counts as in the way.
const LOCK_TRIES: u32 = 50;
const LOCK_PAUSE: std::time::Duration = std::time::Duration::from_millis(200);

/// A file as a tree has it: mode and blob.
type Entry = (u32, String);

/// A file that stands in the checkout as the new commit has it, although the index does not say so yet.
struct Written {
    path: String,
    old: Option<Entry>,
    new: Option<Entry>,
}

impl Repo {
    /// Moves `branch` from `old` to its descendant `new`; inside its checkout where it has one, and there
    /// only when nothing of the user's is in the way.
    pub fn fast_forward(
        &self,
        branch: &str,
        old: &Sha,
        new: &Sha,
    ) -> Result<FastForward, GitError> {
        let now = self.branch_tip(branch)?;
        // There already, or merged by a person.
        if let Some(now) = &now
            && self.contains(now, new)?
        {
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
        let mut output = self.run(&checkout, &args.map(OsStr::new), None)?;
        for _ in 0..LOCK_TRIES {
            // Another run is at the same thing, or an editor looks.
            if !said(&output).contains(".lock': File exists") {
                break;
            }
            std::thread::sleep(LOCK_PAUSE);
            output = self.run(&checkout, &args.map(OsStr::new), None)?;
        }
        let mut now = self.branch_tip(branch)?;
        if now.as_ref() == Some(old)
            && let Some(files) = self.half_done(&checkout, old, new)?
        {
            self.enter(&checkout, &files, |f| f.new.as_ref())?;
            output = self.run(&checkout, &args.map(OsStr::new), None)?;
            now = self.branch_tip(branch)?;
            if now.as_ref() != Some(new) {
                self.enter(&checkout, &files, |f| f.old.as_ref())?;
            }
        }
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

    /// The files that an earlier try had written when it was cut down; `None` where there are none, or where anything
    /// else is in the way.
    fn half_done(
        &self,
        checkout: &Path,
        old: &Sha,
        new: &Sha,
    ) -> Result<Option<Vec<Written>>, GitError> {
        let mut files = Vec::new();
        for change in self.diff(old, new)? {
            let path = checkout.join(&change.path);
            let there = self.blob_of(checkout, &change.path)?;
            let entry = |commit: &Sha| self.entry_at(commit, &change.path);
            let (was, is) = (entry(old)?, entry(new)?);
            if change.path.contains('\n') {
                return Ok(None);
            }
            match there {
                None if path.symlink_metadata().is_ok() => return Ok(None),
                // Git makes what is missing, and takes what is to go and is gone already.
                None => {}
                Some(there) if Some(&there) == was.as_ref() => {}
                Some(there)
                    if change.kind != ChangeKind::Deleted && Some(&there) == is.as_ref() =>
                {
                    files.push(Written { path: change.path.clone(), old: was, new: is });
                }
                Some(_) => return Ok(None),
            }
        }
        Ok((!files.is_empty()).then_some(files))
    }

    /// Mode and blob of a file in a commit.
    fn entry_at(&self, commit: &Sha, path: &str) -> Result<Option<Entry>, GitError> {
        let repo = self.repo();
        let found = repo.find_commit(oid(commit)?).map_err(lib("read a commit"))?;
        let tree = found.tree().map_err(lib("read a tree"))?;
        let entry = tree.get_path(Path::new(path)).ok();
        Ok(entry.and_then(|e| Some((u32::try_from(e.filemode()).ok()?, e.id().to_string()))))
    }

    /// Mode and blob that a regular file of the checkout would be committed with; `None` where there is none.
    fn blob_of(&self, checkout: &Path, path: &str) -> Result<Option<Entry>, GitError> {
        let full = checkout.join(path);
        let Ok(meta) = full.symlink_metadata() else { return Ok(None) };
        if !meta.is_file() {
            return Ok(None);
        }
        let args = ["hash-object", "--", path].map(OsStr::new);
        let blob = self.run_ok(checkout, &args, None)?;
        let mode = if meta.permissions().mode() & 0o100 == 0 { 0o100_644 } else { 0o100_755 };
        Ok(Some((mode, blob)))
    }

    /// Puts one side of these files into the checkout's index; the files themselves stay as they are.
    fn enter(
        &self,
        checkout: &Path,
        files: &[Written],
        side: impl Fn(&Written) -> Option<&Entry>,
    ) -> Result<(), GitError> {
        let mut input = Vec::new();
        for file in files {
            let line = match side(file) {
                Some((mode, blob)) => format!("{mode:o} {blob}\t"),
                None => format!("0 {}\t", "0".repeat(40)),
            };
            input.extend(line.as_bytes());
            input.extend(OsStr::new(&file.path).as_bytes());
            input.push(0);
        }
        let args = ["update-index", "-z", "--index-info"].map(OsStr::new);
        self.run_with(checkout, &args, input).map(drop)
    }
}
