//! Worktrees of runs that are over, and git's records of them. One whose content is committed nowhere is kept.

use std::path::{Path, PathBuf};

use super::{Act, Around, Leftover, Refused, What, by_hand, jobs, over};
use crate::execute::past::{self, Life, Runs};
use crate::execute::run;
use crate::execute::worktree::Places;
use crate::git::{GitError, Repo, Worktree};
use crate::plan::config::Config;
use crate::store;
use crate::types::{Change, ChangeKind, RunId, Sha};

pub(super) fn find(around: &Around<'_>, runs: &Runs) -> Vec<Leftover> {
    let repo = around.repo;
    let (root, dir) = (repo.root(), repo.root().join(".worktrees"));
    let mut paths: Vec<PathBuf> = std::fs::read_dir(&dir)
        .into_iter()
        .flatten()
        .flatten()
        .filter(|e| e.file_type().is_ok_and(|t| t.is_dir()))
        .map(|e| e.path())
        .collect();
    paths.extend(repo.worktrees_in(&dir));
    paths.sort();
    paths.dedup();
    let mut out = Vec::new();
    for path in paths {
        let name = path.file_name().and_then(|n| n.to_str());
        let Some(run) = name.and_then(|n| past::worktree_of(root, n)) else { continue };
        let life = runs.life(&run);
        if !life.is_over() {
            continue;
        }
        let why = over(&run, life);
        if path.symlink_metadata().is_err() {
            let why = format!("it is not there, and {why}");
            let act = Act::Registration(path.clone());
            out.push(Leftover::at(What::Registration, &path, why, act));
            continue;
        }
        let act = Act::Worktree { path: path.clone(), run: run.clone() };
        let found = Leftover::at(What::Worktree, &path, why.clone(), act);
        let kept = |why: String| found.clone().kept(why, help(&path));
        out.push(if is_locked(repo, &path) {
            kept(format!("{why}, but somebody has locked it (`git worktree lock`)"))
        } else if !jobs::is_quiet(runs, &run) {
            kept(format!("{why}, but something is still at work in it"))
        } else if life == Life::Gone && !is_empty(&path) {
            kept(format!("{why}: nobody can say whether what is in it is committed"))
        } else if is_empty(&path) {
            found
        } else {
            Leftover { why: format!("{why}; it goes if all that is in it is committed"), ..found }
        });
    }
    out
}

fn help(path: &Path) -> String {
    format!("look at it, then `{}` and `git worktree prune`", by_hand("rm -r", path))
}

fn is_locked(repo: &Repo, path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default();
    repo.common().join("worktrees").join(name).join("locked").exists()
}

/// Whether nothing is in it but the file that names its git directory.
fn is_empty(path: &Path) -> bool {
    let Ok(mut entries) = std::fs::read_dir(path) else { return false };
    entries.all(|e| e.is_ok_and(|e| e.file_name() == ".git"))
        && !path.join(".git").symlink_metadata().is_ok_and(|m| m.is_dir())
}

/// Removes a worktree when all that is in it is committed somewhere.
pub(super) fn remove(repo: &Repo, path: &Path, run: &RunId) -> Result<(), Refused> {
    let refused = |why: String| Refused::new(why, help(path));
    if !is_empty(path) && !is_committed(repo, path, run).map_err(&refused)? {
        return Err(refused(format!(
            "run {run} has ended, but something in it is committed nowhere"
        )));
    }
    repo.remove_worktree(path).map_err(|e| refused(e.to_string()))?;
    // Of no use without it; what a crash leaves of these goes with the run.
    let worktree = worktree_at(&Places { root: repo.root().to_owned(), run: run.clone() }, path);
    let _ = store::remove(&worktree.index);
    let _ = store::remove_tree(&worktree.gitdir);
    Ok(())
}

fn worktree_at(places: &Places, path: &Path) -> Worktree {
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let name = name.strip_prefix(&format!("{}-", places.run)).unwrap_or(&name).to_owned();
    Worktree {
        path: path.to_owned(),
        gitdir: places.gitdirs().join(&name),
        index: places.indices().join(&name),
    }
}

/// Whether what stands in the worktree is the tree of a commit that some branch holds, but for caches. The same
/// comparison as when a run cleans up after itself.
fn is_committed(repo: &Repo, path: &Path, run: &RunId) -> Result<bool, String> {
    let places = Places { root: repo.root().to_owned(), run: run.clone() };
    let unknown = |what: &str| format!("{what}: nobody can say whether what is in it is committed");
    let worktree = worktree_at(&places, path);
    let settings = places.run_dir().join("gitconfig");
    if !worktree.index.exists() || !settings.exists() {
        return Err(unknown("the index of the worktree is gone"));
    }
    let state = run::read(repo.root(), run).map_err(|e| unknown(&e.to_string()))?;
    let config = run::config_of(&places).map_err(|e| unknown(&e.to_string()))?;
    let said = |e: GitError| unknown(&e.to_string());
    // With the user's settings as they were: a worker may have changed those since.
    let mut repo = Repo::discover(repo.root()).map_err(said)?;
    repo.freeze_config(&settings);
    let tips: Vec<Sha> = repo.branches().map_err(said)?.into_iter().map(|(_, tip)| tip).collect();
    let held = |sha: &Sha| repo.has_commit(sha) && repo.is_within(sha, &tips).unwrap_or(false);
    let base = &state.header.base;
    let tree = repo.snapshot(&worktree, &furnished(&repo, &config, base)).map_err(said)?;
    if let Some(head) = repo.take_head(&worktree, base)
        && !held(&head)
        && !tips.iter().any(|tip| same_tree(&repo, &head, tip))
    {
        return Ok(false);
    }
    let mut known: Vec<Sha> = vec![base.clone(), state.target_tip.clone()];
    known.extend(state.staging.iter().chain(&state.promoted).cloned());
    known.extend(state.landed.iter().map(|(_, sha)| sha.clone()));
    for task in &state.tasks {
        known.extend(task.base.iter().chain(&task.head).chain(&task.merged).cloned());
        known.extend(task.discarded.values().cloned());
    }
    known.sort();
    known.dedup();
    known.retain(held);
    let is_it = |sha: &Sha| repo.tree_of(sha).is_ok_and(|found| found == tree);
    if tips.iter().chain(&known).any(is_it) {
        return Ok(true);
    }
    // Caches that the checks left there are nobody's work; and what is missing was perhaps removed by a clearing that
    // was cut off, and is in the commit.
    let rules = config.boundaries.forbidden(known.len());
    for sha in &known {
        let text = "What stands in a worktree\n";
        let commit = repo.commit_tree(&tree, sha, text, 0).map_err(said)?;
        let changes = repo.diff(sha, &commit).map_err(said)?;
        let nothing_new =
            |c: &Change| c.kind == ChangeKind::Deleted || rules.rule(&c.path).is_some();
        if changes.iter().all(nothing_new) {
            return Ok(true);
        }
    }
    Ok(false)
}

fn same_tree(repo: &Repo, one: &Sha, other: &Sha) -> bool {
    match (repo.tree_of(one), repo.tree_of(other)) {
        (Ok(one), Ok(other)) => one == other,
        (_, _) => false,
    }
}

/// What the engine itself put there.
fn furnished(repo: &Repo, config: &Config, base: &Sha) -> Vec<String> {
    let names = config.worktree.copy.iter().chain(&config.worktree.symlink);
    let names = names.map(|n| n.trim_matches('/').to_owned()).filter(|n| !n.is_empty());
    names.filter(|n| !repo.has_path(base, n)).collect()
}
