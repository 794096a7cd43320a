//! What a worker may have made of a worktree and its private git directory, read and put right with care. Knows nothing of
//! what is committed.

use std::fs::Permissions;
use std::io::Read;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use super::GitError;
use super::worktree::trouble;
use crate::types::Sha;

/// The most that is read of a file that a worker may have written.
const MAX_TEXT: u64 = 64 * 1024 * 1024;

/// HEAD of a private git directory; whatever a worker may have made of it.
pub(super) fn private_head(gitdir: &Path) -> Option<Sha> {
    let head = text_of(&gitdir.join("HEAD"))?;
    let head = head.trim();
    if let Some(sha) = Sha::parse(head) {
        return Some(sha);
    }
    let name = head.strip_prefix("ref: ")?.trim();
    let plain = |part: &str| !part.is_empty() && part != ".." && part != ".";
    if !name.starts_with("refs/") || !name.split('/').all(plain) {
        return None;
    }
    if let Some(sha) = text_of(&gitdir.join(name)).and_then(|t| Sha::parse(t.trim())) {
        return Some(sha);
    }
    let packed = text_of(&gitdir.join("packed-refs"))?;
    let line = packed.lines().find(|l| l.split_once(' ').is_some_and(|(_, n)| n == name))?;
    Sha::parse(line.split_once(' ')?.0)
}

/// A regular file's text; nothing of links, pipes and large files.
fn text_of(path: &Path) -> Option<String> {
    let is_file = path.symlink_metadata().is_ok_and(|m| m.is_file());
    if !is_file {
        return None;
    }
    let mut text = String::new();
    std::fs::File::open(path).ok()?.take(MAX_TEXT).read_to_string(&mut text).ok()?;
    Some(text)
}

/// Removes pipes, sockets and devices below `dir`: they are never committed, and a git that opens one waits for ever.
pub(super) fn remove_pipes(dir: &Path) {
    each(dir, &|path, kind| {
        if !kind.is_file() && !kind.is_dir() && !kind.is_symlink() {
            // What cannot be removed is met again by git, which has a time limit.
            let _ = std::fs::remove_file(path);
        }
    });
}

/// Gives the owner back what a worker took from him: git passes over a directory that it cannot read, and says so only in a
/// warning. What stays unreadable is an error.
pub(super) fn make_readable(dir: &Path) -> Result<(), GitError> {
    if rustix::process::geteuid().is_root() {
        return Ok(());
    }
    let mut todo = vec![dir.to_owned()];
    while let Some(dir) = todo.pop() {
        let entries = match open_dir(&dir) {
            // Somebody else's, a container's say: git passes over it, and so does the removal of the worktree.
            Err(_) if !is_mine(&dir) => continue,
            other => other.map_err(trouble(&dir))?,
        };
        for entry in entries.flatten() {
            let (path, Ok(meta)) = (entry.path(), entry.metadata()) else { continue };
            if meta.is_dir() && entry.file_name() != ".git" {
                todo.push(path);
            } else if meta.is_file()
                && meta.permissions().mode() & 0o400 == 0
                && is_mine(&path)
                && meta.nlink() == 1
            {
                let mode = Permissions::from_mode(meta.permissions().mode() | 0o400);
                std::fs::set_permissions(&path, mode).map_err(trouble(&path))?;
            }
        }
    }
    Ok(())
}

fn is_mine(path: &Path) -> bool {
    let me = rustix::process::geteuid().as_raw();
    path.symlink_metadata().is_ok_and(|m| m.uid() == me)
}

/// Lists a directory, with the owner's rights restored where they are missing.
fn open_dir(dir: &Path) -> std::io::Result<std::fs::ReadDir> {
    let mode = std::fs::metadata(dir)?.permissions().mode();
    if mode & 0o700 != 0o700 {
        std::fs::set_permissions(dir, Permissions::from_mode(mode | 0o700))?;
    }
    std::fs::read_dir(dir)
}

/// The same in a private git directory, where links have no business either.
pub(super) fn remove_odd(dir: &Path) {
    each(dir, &|path, kind| {
        if !kind.is_file() && !kind.is_dir() {
            let _ = std::fs::remove_file(path);
        }
    });
}

fn each(dir: &Path, act: &dyn Fn(&Path, std::fs::FileType)) {
    let mut todo = vec![dir.to_owned()];
    while let Some(dir) = todo.pop() {
        for entry in std::fs::read_dir(&dir).into_iter().flatten().flatten() {
            let Ok(kind) = entry.file_type() else { continue };
            act(&entry.path(), kind);
            if kind.is_dir() {
                todo.push(entry.path());
            }
        }
    }
}
