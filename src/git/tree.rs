//! What a plan must know of the working tree: links, case, what is ignored. Reads only.

use std::path::Path;

use super::Repo;

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

    /// Whether git ignores `path`, relative to the root.
    pub fn is_ignored(&self, path: &Path) -> bool {
        self.repo().is_path_ignored(path).unwrap_or(false)
    }
}
