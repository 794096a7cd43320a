//! What effects share: repository, places, backend; their errors; and the commit of what stands in a worktree.

use std::path::PathBuf;

use super::backend::{Backend, BackendError};
use super::brief::Surroundings;
use super::command::Trouble;
use super::hub::Hub;
use super::job;
use super::worktree::Places;
use crate::fault;
use crate::git::{GitError, Repo, Worktree};
use crate::plan::config::Config;
use crate::plan::intent::Adapter;
use crate::store::{self, StoreError};
use crate::types::{JobId, Sha};

/// What effects share; every one runs on its own thread or task.
pub struct Shared {
    /// The repository.
    pub repo: Repo,
    /// Where worktrees, jobs and indices of this run lie.
    pub places: Places,
    /// Where jobs run.
    pub backend: Box<dyn Backend>,
    /// What jobs may see.
    pub around: Surroundings,
    /// The configuration that the run was made with.
    pub config: Config,
    /// What writes patch intents into files.
    pub adapters: Vec<Adapter>,
    /// What stays in a worktree when it is used again.
    pub keep: Vec<String>,
    /// Who waits for which directory.
    pub(super) hub: Hub,
}

impl Shared {
    /// What the engine itself puts into worktrees that start at `base`: neither judged nor committed.
    pub(super) fn furnished(&self, base: &Sha) -> Vec<String> {
        let names = self.config.worktree.copy.iter().chain(&self.config.worktree.symlink);
        let names = names.map(|n| n.trim_matches('/').to_owned()).filter(|n| !n.is_empty());
        names.filter(|n| !self.repo.has_path(base, n)).collect()
    }
}

/// Why an effect failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum EffectError {
    #[error(transparent)]
    Git(#[from] GitError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Job(#[from] job::JobError),
    #[error(transparent)]
    Backend(#[from] BackendError),
    /// A job failed, and there is no room for anything where it worked.
    #[error("{job} failed, and the disk of {dir} is full: {free} bytes are free", dir = .dir.display())]
    Full { job: JobId, dir: PathBuf, free: u64 },
    /// Nobody can tell whether the target was moved.
    #[error("cannot tell where {target} stands: {error}")]
    Unclear { target: String, error: GitError },
    /// A job's wrapper could not go on.
    #[error("the wrapper of {job} could not go on: {why}")]
    Wrapper { job: JobId, why: String },
    #[error("{0}")]
    State(&'static str),
}

/// What an error means for the run. Words alone do not tell that a disk is full, so it is looked at as well.
pub(super) fn trouble(shared: &Shared, error: EffectError) -> Trouble {
    if says_no_room(&error) {
        return Trouble::NoRoom(error.to_string());
    }
    let dirs =
        [shared.places.run_dir(), shared.repo.common().to_owned(), shared.places.worktrees()];
    let full = dirs.iter().filter(|d| d.exists()).find_map(|d| store::room_in(d).err());
    match full.filter(store::StoreError::is_no_room) {
        Some(full) => Trouble::NoRoom(format!("{error} ({full})")),
        None => Trouble::Refused(error.to_string()),
    }
}

/// Whether an error's own words say that a disk is full or dead.
pub(super) fn says_no_room(error: &EffectError) -> bool {
    match error {
        EffectError::Store(e) | EffectError::Job(job::JobError::Store(e)) => e.is_no_room(),
        EffectError::Git(e) => e.is_no_room(),
        EffectError::Job(
            job::JobError::Run { source, .. } | job::JobError::Temporary { source, .. },
        ) => fault::is_no_room(source),
        // Where jobs cannot be started, none of them is to blame; where one cannot be looked at, it may be well.
        EffectError::Backend(_) | EffectError::Job(job::JobError::Look { .. }) => true,
        // The choice stands in the journal: the next coordinator looks again.
        EffectError::Full { .. } | EffectError::Unclear { .. } => true,
        // It could not do what is the same for every job.
        EffectError::Wrapper { .. } => true,
        EffectError::Job(job::JobError::Read { .. } | job::JobError::Locked(_))
        | EffectError::State(_) => false,
    }
}

/// What the worker committed itself, where that stands on the base; else the base.
pub(super) fn own_commits(
    shared: &Shared,
    worktree: &Worktree,
    bases: (&Sha, Option<&Sha>),
) -> Sha {
    own_head(shared, worktree, bases).unwrap_or_else(|| bases.0.clone())
}

fn own_head(
    shared: &Shared,
    worktree: &Worktree,
    (base, staging): (&Sha, Option<&Sha>),
) -> Option<Sha> {
    let (repo, furnished) = (&shared.repo, shared.furnished(base));
    // Commits that stand on anything but the base would bring that along, or take it back: only their tree counts then.
    let alone = |head: &Sha| match staging {
        Some(staging) => repo.merge_base(head, staging).is_ok_and(|b| b.as_ref() == Some(base)),
        None => true,
    };
    let head = repo.take_head(worktree, base);
    head.filter(|h| repo.grew_from(h, base, &furnished).unwrap_or(false)).filter(alone)
}

/// The commit that holds what stands in a worktree: the worker's own where it says the same, else one on top.
pub(super) fn commit_worktree(
    shared: &Shared,
    worktree: &Worktree,
    (base, staging): (&Sha, Option<&Sha>),
    text: &str,
    at: i64,
) -> Result<Sha, EffectError> {
    let (repo, furnished) = (&shared.repo, shared.furnished(base));
    let own = || own_head(shared, worktree, (base, staging));
    if !worktree.path.exists() {
        // The worker removed it; what it had committed before is all that there is.
        return Ok(own().unwrap_or_else(|| base.clone()));
    }
    repo.restore_index(worktree, base)?;
    let tree = repo.snapshot(worktree, &furnished)?;
    if tree == repo.tree_of(base)? {
        return Ok(base.clone());
    }
    match own() {
        Some(own) if repo.tree_of(&own)? == tree => Ok(own),
        own => Ok(repo.commit_tree(&tree, own.as_ref().unwrap_or(base), text, at)?),
    }
}
