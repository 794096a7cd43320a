//! Files, links and temporary directories that dead writers left. Only names that slimductor gives, of this user.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::{Act, Around, Leftover, What, over};
use crate::execute::past::{self, Runs};
use crate::execute::{job, process_tree};
use crate::store;
use crate::types::{Millis, TaskId};

/// A file that is written is moved to its place at once: what is older than this has no writer.
const WRITTEN_MS: Millis = 60 * 60 * 1000;
/// What tries a fence needs a moment; nothing says for certain that it is gone but time.
const PROBED_MS: Millis = 24 * 60 * 60 * 1000;
/// How deep below `.orchestrator` files are written.
const DEPTH: usize = 6;

pub(super) fn find(around: &Around<'_>, runs: &Runs) -> Vec<Leftover> {
    let mut out = temporaries(around, runs);
    out.extend(probes(around));
    out.extend(half_files(around, runs));
    out.extend(links(around, runs));
    out
}

/// Whether `name` is what tempfile makes of this prefix: six letters and digits behind it.
fn is_made(name: &str, prefix: &str) -> bool {
    let rest = name.strip_prefix(prefix);
    rest.is_some_and(|r| r.len() == 6 && r.bytes().all(|b| b.is_ascii_alphanumeric()))
}

fn is_mine(path: &Path) -> bool {
    let me = rustix::process::geteuid().as_raw();
    path.symlink_metadata().is_ok_and(|m| m.uid() == me)
}

/// How long ago it was changed, ms; nothing where that cannot be said.
fn age(around: &Around<'_>, path: &Path) -> Option<Millis> {
    let at = path.symlink_metadata().ok()?.modified().ok()?;
    let at = at.duration_since(std::time::UNIX_EPOCH).ok()?.as_millis();
    Some(around.now.saturating_sub(Millis::try_from(at).ok()?))
}

pub(super) fn is_older(around: &Around<'_>, path: &Path, ms: Millis) -> bool {
    age(around, path).is_some_and(|age| age > ms)
}

/// The temporary directory that a job's wrapper left: named by the job, of this user, where such are made.
pub(in crate::execute) fn temporary_of(dir: &Path) -> Option<PathBuf> {
    if store::is_locked(&job::lock_path(dir)) {
        return None;
    }
    let tmp = std::fs::read_link(dir.join("tmp")).ok()?;
    let above = tmp.parent()?;
    let usual = [std::env::temp_dir(), "/tmp".into(), "/var/tmp".into()];
    let name = tmp.file_name()?.to_str()?;
    let is_dir = tmp.symlink_metadata().is_ok_and(|m| m.is_dir());
    let ours = is_made(name, "sd-") && usual.iter().any(|u| u == above);
    (ours && is_dir && is_mine(&tmp)).then_some(tmp)
}

fn temporaries(_: &Around<'_>, runs: &Runs) -> Vec<Leftover> {
    let mut out = Vec::new();
    for places in runs.ended() {
        for dir in places.jobs_on_disk() {
            let Some(tmp) = temporary_of(&dir) else { continue };
            let why = format!("run {} has ended, and its job with it", places.run);
            out.push(Leftover::at(What::Temporary, &tmp, why, Act::Tree(tmp.clone())));
        }
    }
    out
}

/// Where it was tried whether a fence holds.
fn probes(around: &Around<'_>) -> Vec<Leftover> {
    let entries = std::fs::read_dir(around.tmp).into_iter().flatten().flatten();
    let made = entries.filter(|e| is_made(&e.file_name().to_string_lossy(), "sd-probe-"));
    let dead = |path: &PathBuf| {
        path.symlink_metadata().is_ok_and(|m| m.is_dir())
            && is_mine(path)
            && is_older(around, path, PROBED_MS)
            && !process_tree::is_named(path)
    };
    let why = "a fence was tried there, more than a day ago";
    let found = made.map(|e| e.path()).filter(dead);
    found.map(|p| Leftover::at(What::Temporary, &p, why, Act::Tree(p.clone()))).collect()
}

/// What was to replace a file, and never did.
fn half_files(around: &Around<'_>, runs: &Runs) -> Vec<Leftover> {
    let top = around.repo.root().join(".orchestrator");
    let mut out = Vec::new();
    let mut todo = vec![(top.clone(), 0)];
    while let Some((dir, depth)) = todo.pop() {
        for entry in std::fs::read_dir(&dir).into_iter().flatten().flatten() {
            let (path, name) = (entry.path(), entry.file_name().to_string_lossy().into_owned());
            let Ok(kind) = entry.file_type() else { continue };
            if kind.is_dir() {
                if depth < DEPTH && is_ours_below(&top, &path, runs) {
                    todo.push((path, depth + 1));
                }
                continue;
            }
            let half = (kind.is_file() && is_made(&name, ".tmp-"))
                || (kind.is_symlink() && name.starts_with(".tmp-link-"));
            if half && is_mine(&path) && is_older(around, &path, WRITTEN_MS) {
                let why = "whoever wrote it is gone: it is more than an hour old";
                out.push(Leftover::at(What::HalfFile, &path, why, Act::File(path.clone())));
            }
        }
    }
    out
}

/// Whether files of slimductor's own lie in a directory below `.orchestrator`: not in those that workers write, nor in
/// those of a run that is not over.
fn is_ours_below(top: &Path, path: &Path, runs: &Runs) -> bool {
    let below = path.strip_prefix(top).unwrap_or(path);
    let mut parts = below.iter().map(|p| p.to_string_lossy());
    if parts.next().as_deref() != Some("runs") {
        return true;
    }
    match parts.next() {
        None => true,
        Some(run) => {
            let over = past::id_of(&run).is_some_and(|run| runs.life(&run).is_over());
            over && !matches!(parts.next().as_deref(), Some("git" | "indices"))
        }
    }
}

/// Links in `.worktrees`: those to a worktree that is gone, and halves of them.
fn links(around: &Around<'_>, runs: &Runs) -> Vec<Leftover> {
    let root = around.repo.root();
    let mut out = Vec::new();
    for entry in std::fs::read_dir(root.join(".worktrees")).into_iter().flatten().flatten() {
        let (path, name) = (entry.path(), entry.file_name().to_string_lossy().into_owned());
        let Ok(to) = std::fs::read_link(&path) else { continue };
        let run = to.to_str().and_then(|to| past::worktree_of(root, to));
        let Some(run) = run.filter(|run| runs.life(run).is_over()) else { continue };
        let life = runs.life(&run);
        if TaskId::parse(&name).is_some() && !path.exists() {
            let why = format!("it leads nowhere, and {}", over(&run, life));
            out.push(Leftover::at(What::Link, &path, why, Act::File(path.clone())));
        } else if let Some(rest) = name.strip_prefix(".tmp-link-") {
            let writer = rest.split('-').next().and_then(|pid| pid.parse::<u32>().ok());
            let dead = writer.is_some_and(|pid| !process_tree::is_alive(pid));
            if dead || is_older(around, &path, WRITTEN_MS) {
                let why = format!("its writer is gone, and {}", over(&run, life));
                out.push(Leftover::at(What::HalfFile, &path, why, Act::File(path.clone())));
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_that_were_made_are_taken() {
        for (name, prefix) in [(".tmp-AbC123", ".tmp-"), ("sd-000000", "sd-"), ("sd-zzZZ99", "sd-")]
        {
            assert!(is_made(name, prefix), "{name}");
        }
        for (name, prefix) in [
            (".tmp-notes", ".tmp-"),
            (".tmp-AbC1234", ".tmp-"),
            (".tmp-AbC12-", ".tmp-"),
            (".tmp-AbC1é", ".tmp-"),
            ("sd-probe-AbC123", "sd-"),
            ("my-sd-AbC123", "sd-"),
            ("sd-", "sd-"),
        ] {
            assert!(!is_made(name, prefix), "{name}");
        }
    }

    #[test]
    fn a_link_of_a_job_to_somewhere_else_names_no_temporary_directory() {
        let job = tempfile::tempdir().unwrap();
        let tmp = tempfile::Builder::new().prefix("sd-").tempdir().unwrap();
        let below = tmp.path().join("sd-AbC123");
        store::make_dir(&below).unwrap();
        let link = job.path().join("tmp");
        let named = |to: &Path| {
            store::link(to, &link).unwrap();
            temporary_of(job.path())
        };
        assert_eq!(named(tmp.path()).as_deref(), Some(tmp.path()));
        for to in
            [below.as_path(), job.path(), Path::new("/"), Path::new("sd-AbC123"), Path::new("..")]
        {
            assert_eq!(named(to), None, "{}", to.display());
        }
        let other = below.join("sd-AbC124");
        std::os::unix::fs::symlink(tmp.path(), &other).unwrap();
        assert_eq!(named(&other), None);
        store::link(tmp.path(), &link).unwrap();
        let _held = store::Lock::try_take(&job::lock_path(job.path())).unwrap().unwrap();
        assert_eq!(temporary_of(job.path()), None, "somebody is at work");
    }
}
