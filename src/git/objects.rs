//! Objects without a working tree: diffs, in-memory merges, commits.

use git2::{DiffOptions, Repository, Signature, Time};

use super::{GitError, Merge, Repo, at as point, lib, oid, sha};
use crate::types::{Change, ChangeKind, Millis, Sha};

impl Repo {
    /// Every path that differs between two commits; a rename is a deletion and an addition.
    pub fn diff(&self, base: &Sha, head: &Sha) -> Result<Vec<Change>, GitError> {
        let repo = self.repo();
        let tree = |s: &Sha| -> Result<git2::Tree<'_>, GitError> {
            let commit = repo.find_commit(oid(s)?).map_err(lib(format!("read {s}")))?;
            commit.tree().map_err(lib("read a tree"))
        };
        let mut options = DiffOptions::new();
        options.include_typechange(true).ignore_submodules(false);
        let diff = repo
            .diff_tree_to_tree(Some(&tree(base)?), Some(&tree(head)?), Some(&mut options))
            .map_err(lib("compare two trees"))?;
        let mut out = Vec::new();
        for (n, delta) in diff.deltas().enumerate() {
            let file = |f: git2::DiffFile<'_>| {
                String::from_utf8_lossy(f.path_bytes().unwrap_or_default()).into_owned()
            };
            #[expect(
                clippy::wildcard_enum_match_arm,
                reason = "foreign enum; all else is a change"
            )]
            let kind = match delta.status() {
                git2::Delta::Added => ChangeKind::Added,
                git2::Delta::Deleted => ChangeKind::Deleted,
                _ => ChangeKind::Modified,
            };
            let side =
                if kind == ChangeKind::Deleted { delta.old_file() } else { delta.new_file() };
            let blob = |f: &git2::DiffFile<'_>| repo.find_blob(f.id()).ok();
            let (old, new) = (blob(&delta.old_file()), blob(&delta.new_file()));
            let binary = [&old, &new].into_iter().flatten().any(|b| b.is_binary());
            let (old, new) = (
                old.as_ref().map_or(&[][..], |b| b.content()),
                new.as_ref().map_or(&[][..], |b| b.content()),
            );
            let ink = |bytes: &[u8]| -> Vec<u8> {
                bytes.iter().copied().filter(|b| !b.is_ascii_whitespace()).collect()
            };
            let both = kind == ChangeKind::Modified && !binary && old != new;
            let only_blank = both && ink(old) == ink(new);
            let only_grew = !binary && new.starts_with(old);
            let (added, removed) = if binary {
                (usize::from(kind != ChangeKind::Deleted), usize::from(kind != ChangeKind::Added))
            } else {
                let patch = git2::Patch::from_diff(&diff, n).ok().flatten();
                let stats = patch.and_then(|p| p.line_stats().ok());
                stats.map_or((0, 0), |(_, added, removed)| (added, removed))
            };
            out.push(Change {
                path: file(side),
                kind,
                old_mode: u32::from(delta.old_file().mode()),
                new_mode: u32::from(delta.new_file().mode()),
                added,
                removed,
                only_grew,
                only_blank,
            });
        }
        Ok(out)
    }

    /// Merges `theirs` onto `ours` without a working tree. The commit's time is given, so that doing it
    /// again makes the same commit.
    pub fn merge(
        &self,
        ours: &Sha,
        theirs: &Sha,
        message: &str,
        at: Millis,
    ) -> Result<Merge, GitError> {
        let repo = self.repo();
        let find = |s: &Sha| repo.find_commit(oid(s)?).map_err(lib(format!("read {s}")));
        let (our, their) = (find(ours)?, find(theirs)?);
        let mut index = repo.merge_commits(&our, &their, None).map_err(lib("merge"))?;
        if index.has_conflicts() {
            let mut paths = Vec::new();
            for conflict in index.conflicts().map_err(lib("read the conflicts"))? {
                let conflict = conflict.map_err(lib("read the conflicts"))?;
                let side = conflict.our.or(conflict.their).or(conflict.ancestor);
                paths.extend(side.map(|e| String::from_utf8_lossy(&e.path).into_owned()));
            }
            paths.sort();
            paths.dedup();
            return Ok(Merge::Conflict(paths));
        }
        point("write a tree", ours.as_str())?;
        let tree_id = index.write_tree_to(&repo).map_err(lib("write the merged tree"))?;
        let tree = repo.find_tree(tree_id).map_err(lib("read the merged tree"))?;
        let (author, committer) = self.signatures(&repo, at)?;
        point("write a commit", ours.as_str())?;
        let commit = self.write(&repo, (&author, &committer), message, &tree, &[&our, &their])?;
        Ok(Merge::Clean { commit, tree: sha(tree_id)? })
    }

    /// The commit with these files, which it has, replaced by other texts: same parents, words and time.
    pub fn amend_files(&self, commit: &Sha, files: &[(String, String)]) -> Result<Merge, GitError> {
        let repo = self.repo();
        let found = repo.find_commit(oid(commit)?).map_err(lib("read a commit"))?;
        point("write a commit", commit.as_str())?;
        let mut update = git2::build::TreeUpdateBuilder::new();
        let old = found.tree().map_err(lib("read a tree"))?;
        for (path, text) in files {
            let blob = repo.blob(text.as_bytes()).map_err(lib("write a file"))?;
            let entry = old.get_path(std::path::Path::new(path)).map_err(lib("read a tree"))?;
            let executable = entry.filemode() == 0o100_755;
            let mode = match executable {
                true => git2::FileMode::BlobExecutable,
                false => git2::FileMode::Blob,
            };
            update.upsert(path.as_str(), blob, mode);
        }
        let tree_id = update.create_updated(&repo, &old).map_err(lib("write a tree"))?;
        let tree = repo.find_tree(tree_id).map_err(lib("read a tree"))?;
        let parents: Vec<git2::Commit<'_>> = found.parents().collect();
        let parents: Vec<&git2::Commit<'_>> = parents.iter().collect();
        let message = String::from_utf8_lossy(found.message_raw_bytes()).into_owned();
        let who = (&found.author(), &found.committer());
        let commit = self.write(&repo, who, &message, &tree, &parents)?;
        Ok(Merge::Clean { commit, tree: sha(tree_id)? })
    }

    /// Commits `tree` on `parent`.
    pub fn commit_tree(
        &self,
        tree: &Sha,
        parent: &Sha,
        message: &str,
        at: Millis,
    ) -> Result<Sha, GitError> {
        let repo = self.repo();
        let tree = repo.find_tree(oid(tree)?).map_err(lib("read a tree"))?;
        let parent = repo.find_commit(oid(parent)?).map_err(lib("read a commit"))?;
        let (author, committer) = self.signatures(&repo, at)?;
        point("write a commit", parent.id().to_string().as_str())?;
        self.write(&repo, (&author, &committer), message, &tree, &[&parent])
    }

    /// Writes a commit. `Repository::commit` is not to be believed: libgit2 1.9 calls it done when the object could not
    /// be written (git_commit__create_internal drops the error of git_odb_write).
    fn write(
        &self,
        repo: &Repository,
        (author, committer): (&Signature<'_>, &Signature<'_>),
        message: &str,
        tree: &git2::Tree<'_>,
        parents: &[&git2::Commit<'_>],
    ) -> Result<Sha, GitError> {
        let failed = || format!("write a commit into {}", self.common.join("objects").display());
        let text = repo.commit_create_buffer(author, committer, message, tree, parents);
        let odb = repo.odb().map_err(lib("open the objects"))?;
        let id = text.and_then(|text| odb.write(git2::ObjectType::Commit, &text));
        sha(id.map_err(lib(failed()))?)
    }

    /// Author and committer: the GIT_* environment, then git's configuration, then our own name.
    pub(super) fn signatures(
        &self,
        repo: &Repository,
        at: Millis,
    ) -> Result<(Signature<'static>, Signature<'static>), GitError> {
        let config = repo.config().and_then(|mut c| c.snapshot()).ok();
        let configured = |key: &str| {
            config
                .as_ref()
                .and_then(|c| c.get_str(key).ok().map(str::to_owned))
                .filter(|v| !v.is_empty())
        };
        #[expect(clippy::disallowed_methods, reason = "git's own variables belong to git's owner")]
        let variable = |key: String| std::env::var(key).ok().filter(|v| !v.is_empty());
        let who = |role: &str| {
            let name = variable(format!("GIT_{role}_NAME"))
                .or_else(|| configured("user.name"))
                .unwrap_or_else(|| "slimductor".to_owned());
            let mail = variable(format!("GIT_{role}_EMAIL"))
                .or_else(|| configured("user.email"))
                .unwrap_or_else(|| "slimductor@localhost".to_owned());
            let clean = |s: String| s.replace(['<', '>', '\n', '\0'], "");
            let time = Time::new(at.div_euclid(1000), 0);
            Signature::new(&clean(name), &clean(mail), &time).map_err(lib("name the author"))
        };
        Ok((who("AUTHOR")?, who("COMMITTER")?))
    }
}
