//! Branches of runs that are over, and git's locks on them. A recovery branch that is merged is retention's.

use std::path::PathBuf;

use super::{Act, Around, Leftover, What, files, over};
use crate::execute::past::{self, Purpose, Runs};
use crate::execute::run::RunError;
use crate::types::{Millis, Sha};

/// A lock on a branch is held for the moment of a write.
const LOCKED_MS: Millis = 60 * 1000;

pub(super) fn find(around: &Around<'_>, runs: &Runs) -> Result<Vec<Leftover>, RunError> {
    let mut out = branches(around, runs)?;
    out.extend(locks(around, runs));
    Ok(out)
}

pub(super) fn by_hand(branch: &str) -> String {
    format!("git branch -D {}", shell_words::quote(branch))
}

fn branches(around: &Around<'_>, runs: &Runs) -> Result<Vec<Leftover>, RunError> {
    let repo = around.repo;
    let all = repo.branches()?;
    let (mut theirs, mut at_work): (Vec<Sha>, Vec<Sha>) = (Vec::new(), Vec::new());
    for (name, tip) in &all {
        match past::branch_of(name) {
            None => theirs.push(tip.clone()),
            Some((run, _)) if !runs.life(&run).is_over() => at_work.push(tip.clone()),
            Some(_) => {}
        }
    }
    let mut out = Vec::new();
    for (name, tip) in &all {
        let Some((run, purpose)) = past::branch_of(name) else { continue };
        let life = runs.life(&run);
        if !life.is_over() {
            continue;
        }
        // What cannot be read is merged nowhere.
        let merged = repo.is_within(tip, &theirs).unwrap_or(false);
        let found = |why: String| {
            Leftover::new(What::Branch, name.clone(), why, Act::Branch { tip: tip.clone() })
        };
        match (merged, purpose) {
            (true, Purpose::Recovery) => {}
            (true, Purpose::Staging | Purpose::Task) => {
                let why = format!("{}, and another branch holds its work", over(&run, life));
                out.push(match repo.checkout_of(name) {
                    Ok(None) => found(why),
                    Ok(Some(at)) => found(why)
                        .kept(format!("it is checked out in {}", at.display()), by_hand(name)),
                    Err(e) => found(why).kept(e.to_string(), by_hand(name)),
                });
            }
            // A run that goes on from there takes care of it.
            (false, _) if repo.is_within(tip, &at_work).unwrap_or(false) => {}
            (false, _) => {
                let why = "it holds work that no other branch of yours has";
                let help = format!("{}, when you do not want it", by_hand(name));
                out.push(found(String::new()).kept(format!("{}; {why}", over(&run, life)), help));
            }
        }
    }
    Ok(out)
}

/// Locks below the branches of a run that is over: nobody moves these any more.
fn locks(around: &Around<'_>, runs: &Runs) -> Vec<Leftover> {
    let top = around.repo.common().join("refs/heads/slimductor");
    let mut out = Vec::new();
    for entry in std::fs::read_dir(&top).into_iter().flatten().flatten() {
        let Some(run) = past::id_of(&entry.file_name().to_string_lossy()) else { continue };
        let life = runs.life(&run);
        if !life.is_over() {
            continue;
        }
        let mut todo: Vec<PathBuf> = vec![entry.path()];
        while let Some(dir) = todo.pop() {
            for entry in std::fs::read_dir(&dir).into_iter().flatten().flatten() {
                let Ok(kind) = entry.file_type() else { continue };
                let path = entry.path();
                if kind.is_dir() {
                    todo.push(path);
                } else if path.extension().is_some_and(|e| e == "lock")
                    && files::is_older(around, &path, LOCKED_MS)
                {
                    let why = format!("{}: nobody moves its branches", over(&run, life));
                    let act = Act::GitLock { run: run.clone(), path: path.clone() };
                    out.push(Leftover::at(What::GitLock, &path, why, act));
                }
            }
        }
    }
    out
}
