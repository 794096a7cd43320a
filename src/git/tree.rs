//! What a plan must know of the working tree: links, case, what is ignored. Reads only.

use std::path::Path;

use super::{GitError, Repo};
use crate::types::Sha;

/// The mode of a symbolic link in git's index.
const LINK: u32 = 0o120_000;

impl Repo {
    /// The tracked symbolic links, by their paths; empty when the index cannot be read.
    pub fn links(&self) -> Vec<String> {
        let Ok(index) = self.repo().index() else { return Vec::new() };
        let links = index.iter().filter(|entry| entry.mode == LINK);
        links.filter_map(|entry| String::from_utf8(entry.path).ok()).collect()
    }

    /// Whether git found a file system that does not tell `A` from `a`.
    pub fn ignores_case(&self) -> bool {
        let config = self.repo().config().and_then(|mut c| c.snapshot());
        config.is_ok_and(|c| c.get_bool("core.ignorecase").unwrap_or(false))
    }

    /// Whether git tracks `path`, relative to the root.
    pub fn tracks(&self, path: &Path) -> bool {
        self.repo().index().is_ok_and(|index| index.get_path(path, 0).is_some())
    }

    /// Whether git tracks anything below the directory `prefix`, which ends with `/`.
    pub fn tracks_below(&self, prefix: &str) -> bool {
        self.repo().index().is_ok_and(|index| index.find_prefix(prefix).is_ok())
    }

    /// Whether `content`, as it stands on disk at `path`, is what `commit` holds there once git's filters have had it.
    pub fn is_committed(&self, commit: &Sha, path: &str, content: &[u8]) -> Result<bool, GitError> {
        let Some(committed) = self.file_at(commit, path)? else { return Ok(false) };
        if committed == content {
            return Ok(true);
        }
        let repo = self.repo();
        let found = repo.find_commit(super::oid(commit)?).map_err(super::lib("read a commit"))?;
        let tree = found.tree().map_err(super::lib("read a tree"))?;
        let mut options = git2::DiffOptions::new();
        options.pathspec(path).disable_pathspec_match(true);
        let diff = repo.diff_tree_to_workdir(Some(&tree), Some(&mut options));
        // A link to the file, or one on the way, is compared by what it leads to: that differs here.
        let diff = diff.map_err(super::lib(format!("compare {path}")))?;
        Ok(diff.deltas().len() == 0)
    }

    /// Whether a commit's tree has something at `path`, a file or a directory.
    pub fn has_path(&self, commit: &Sha, path: &str) -> bool {
        let repo = self.repo();
        let Ok(id) = super::oid(commit) else { return false };
        let tree = repo.find_commit(id).and_then(|c| c.tree());
        tree.is_ok_and(|t| t.get_path(Path::new(path)).is_ok())
    }

    /// Every path of a commit's tree but for those of submodules.
    pub fn paths_at(&self, commit: &Sha) -> Result<Vec<String>, GitError> {
        let repo = self.repo();
        let found = repo.find_commit(super::oid(commit)?).map_err(super::lib("read a commit"))?;
        let tree = found.tree().map_err(super::lib("read a tree"))?;
        let mut paths = Vec::new();
        tree.walk(git2::TreeWalkMode::PreOrder, |dir, entry| {
            if entry.kind() == Some(git2::ObjectType::Blob) {
                let name = String::from_utf8_lossy(entry.name_bytes());
                paths.push(format!("{dir}{name}"));
            }
            git2::TreeWalkResult::Ok
        })
        .map_err(super::lib("read a tree"))?;
        Ok(paths)
    }

    /// Whether git ignores `path`, relative to the root.
    pub fn is_ignored(&self, path: &Path) -> bool {
        self.repo().is_path_ignored(path).unwrap_or(false)
    }
}
