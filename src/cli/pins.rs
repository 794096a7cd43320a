//! `.orchestrator/contracts.lock`: what `plan` found in the contracts' files, and what a renegotiation made of it.

use std::path::{Path, PathBuf};

use super::exit::{Exit, Failure};
use crate::execute::worktree::EXCLUDED;
use crate::git::Repo;
use crate::plan::contract::Lock;
use crate::store::{self, Mode};

/// The most that a lock is read of, in bytes.
const MAX_LOCK: u64 = 16 * 1024 * 1024;

fn lock_path(root: &Path) -> PathBuf {
    root.join(".orchestrator").join("contracts.lock")
}

/// What `plan` pinned the last time; empty when it never did, or when it is not for this user to read.
pub fn read_lock(root: &Path) -> Result<Lock, Failure> {
    let path = lock_path(root);
    let bytes = match store::read_regular(&path, MAX_LOCK) {
        Ok(bytes) => bytes,
        Err(e) => {
            use std::io::ErrorKind::{NotADirectory, NotFound, PermissionDenied};
            if matches!(e.kind(), NotFound | NotADirectory | PermissionDenied) {
                return Ok(Lock::default());
            }
            let message = format!("cannot read {}: {e}", path.display());
            return Err(Failure::new(Exit::Unreadable, message));
        }
    };
    let unreadable = |why: String| {
        Failure::new(Exit::Unreadable, format!("{}: {why}", path.display()))
            .hint("remove it; `slimductor plan` pins the contracts again")
    };
    let lock: Lock = serde_json::from_slice(&bytes)
        .map_err(|e| unreadable(format!("this is not what slimductor writes: {e}")))?;
    if lock.v > 1 {
        return Err(unreadable(format!("format {} is newer than this slimductor", lock.v)));
    }
    Ok(lock)
}

/// Writes the pins, in a directory that `git status` does not show.
pub fn write_lock(dir: &Path, root: &Path, lock: &Lock) -> Result<(), Failure> {
    own_dir(dir, root)?;
    let text = serde_json::to_string_pretty(lock).unwrap_or_default() + "\n";
    store::replace(&lock_path(root), text.as_bytes(), Mode::Private)?;
    Ok(())
}

/// Makes `.orchestrator`, hidden from `git status`; refuses one that leads elsewhere.
pub fn own_dir(dir: &Path, root: &Path) -> Result<PathBuf, Failure> {
    let own = root.join(".orchestrator");
    if own.symlink_metadata().is_ok_and(|m| !m.is_dir()) {
        let message = format!("{} is in the way: it is not a directory", own.display());
        return Err(Failure::new(Exit::Environment, message).hint("move it away"));
    }
    if let Ok(repo) = Repo::discover(dir) {
        store::ensure_lines(&repo.common().join("info/exclude"), &EXCLUDED)?;
    }
    store::make_dir(&own)?;
    Ok(own)
}
