//! Worktrees for workers and gates: registered with the repository, but with a git directory of their own inside, so
//! that no git command in them can reach the repository. Knows nothing of tasks or runs.
//!
//! Outside, `.git/worktrees/<name>` is what `git worktree list` shows. Inside, the `.git` file names a private
//! directory: detached HEAD, objects borrowed from the repository, refs copied. Commit, amend, stash and branch work
//! there; the engine reads HEAD as text and takes over the objects that it wants.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use super::command::{path_option, remove_whole};
use super::hostile::{make_readable, private_head, remove_odd, remove_pipes};
use super::{GitError, Repo};
use crate::fault;
use crate::types::Sha;

/// Sections of the repository's configuration that decide what a file's content is; all else stays outside.
const CONFIG_SECTIONS: [&str; 6] = ["user.", "core.", "filter.", "merge.", "diff.", "extensions."];
/// What of `core` is about a place and not about content.
const CONFIG_LEFT_OUT: [&str; 6] = [
    "core.worktree",
    "core.bare",
    "core.hookspath",
    "core.fsmonitor",
    "core.repositoryformatversion",
    "core.sshcommand",
];

/// A worktree and what belongs to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Worktree {
    /// Where its files stand.
    pub path: PathBuf,
    /// The private git directory that its `.git` file names.
    pub gitdir: PathBuf,
    /// The engine's own index of it.
    pub index: PathBuf,
}

impl Repo {
    /// Makes the worktree hold exactly `commit`, clean but for what matches `keep`; makes it where it is missing.
    pub fn prepare_worktree(
        &self,
        worktree: &Worktree,
        commit: &Sha,
        keep: &[String],
    ) -> Result<(), GitError> {
        // One at a time works here: a lock that is there was left by a git that was cut down.
        let _ = std::fs::remove_file(worktree.index.with_extension("lock"));
        let known = self.admin_dir(&worktree.path).filter(|_| worktree.index.exists());
        let fresh = known.is_none() || !is_real_dir(&worktree.path);
        if fresh {
            self.remove_worktree(&worktree.path)?;
            self.register(&worktree.path, commit)?;
            // An index of another tree would only be in the way.
            let _ = std::fs::remove_file(&worktree.index);
        }
        let sha = OsStr::new(commit.as_str());
        let fill = ["read-tree", "--reset", "-u"].map(OsStr::new);
        let filled = self.at(worktree, &[&fill[..], &[sha]].concat());
        let kept: Vec<String> = keep.iter().map(|k| format!("--exclude={k}")).collect();
        let mut clean = ["clean", "-ffdxq"].map(OsStr::new).to_vec();
        clean.extend(kept.iter().map(OsStr::new));
        let whole = match (filled, fresh) {
            (filled, true) => filled.map(|_| ()),
            (filled, false) => filled.and_then(|_| self.at(worktree, &clean)).map(|_| ()),
        };
        if whole.is_err() && !fresh {
            // Damaged by whoever used it before: make it anew.
            self.remove_worktree(&worktree.path)?;
            self.register(&worktree.path, commit)?;
            let _ = std::fs::remove_file(&worktree.index);
            self.at(worktree, &[&fill[..], &[sha]].concat())?;
        } else {
            whole?;
        }
        if let Some(admin) = self.admin_dir(&worktree.path) {
            put(&admin.join("HEAD"), format!("{commit}\n").as_bytes())?;
        }
        self.make_private(worktree, commit)
    }

    /// Runs git on the worktree with the repository's own directory and our own index, both named: what the worker
    /// wrote into `.git` is never looked at.
    fn at(&self, worktree: &Worktree, args: &[&OsStr]) -> Result<String, GitError> {
        let dir = path_option("--git-dir=", &self.common);
        let tree = path_option("--work-tree=", &worktree.path);
        // The checkout of a person may be sparse; what is judged is whole.
        let bare = ["-c", "core.bare=false", "-c", "core.sparseCheckout=false"].map(OsStr::new);
        let off = self.relative_filters();
        let off: Vec<&OsStr> = off.iter().flat_map(|o| [OsStr::new("-c"), OsStr::new(o)]).collect();
        let all = [&bare[..], &off, &[dir.as_os_str(), tree.as_os_str()], args].concat();
        self.run_ok(&worktree.path, &all, Some(&worktree.index))
    }

    /// Which of these paths git ignores in the worktree as it stands.
    fn ignored(&self, worktree: &Worktree, paths: &[String]) -> Vec<String> {
        let is_ignored = |path: &&String| {
            let ask = ["check-ignore", "-q", "--", path.as_str()].map(OsStr::new);
            self.at(worktree, &ask).is_ok()
        };
        paths.iter().filter(is_ignored).cloned().collect()
    }

    /// Settings that turn off the filters whose program could lie in the worktree: git runs them there, and what lies
    /// there is the worker's. Files then stand as they are committed.
    fn relative_filters(&self) -> Vec<String> {
        let config = self.repo().config();
        let Ok(config) = config else { return Vec::new() };
        let Ok(entries) = config.entries(Some("filter\\..*\\.(clean|smudge|process)")) else {
            return Vec::new();
        };
        let mut off = BTreeSet::new();
        let _ = entries.for_each(|entry| {
            if !entry.has_value() {
                return;
            }
            let (Ok(name), Ok(value)) = (entry.name(), entry.value()) else { return };
            if let Some((driver, _)) = name.rsplit_once('.')
                && !stands_elsewhere(value)
            {
                off.insert(driver.to_owned());
            }
        });
        let keys = ["clean=", "smudge=", "process=", "required=false"];
        off.iter().flat_map(|driver| keys.map(|key| format!("{driver}.{key}"))).collect()
    }

    /// Makes the directory and tells the repository of it.
    fn register(&self, path: &Path, commit: &Sha) -> Result<(), GitError> {
        let _one_at_a_time =
            self.worktrees.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let name = path.file_name().unwrap_or_default();
        let admin = self.common.join("worktrees").join(name);
        std::fs::create_dir_all(path).map_err(trouble(path))?;
        std::fs::create_dir_all(&admin).map_err(trouble(&admin))?;
        let back = [path.join(".git").as_os_str().as_encoded_bytes(), b"\n"].concat();
        put(&admin.join("gitdir"), &back)?;
        put(&admin.join("commondir"), b"../..\n")?;
        // A worktree without a HEAD is none to git.
        put(&admin.join("HEAD"), format!("{commit}\n").as_bytes())
    }

    /// Makes the private git directory anew, and the `.git` file that names it.
    fn make_private(&self, worktree: &Worktree, commit: &Sha) -> Result<(), GitError> {
        let dir = &worktree.gitdir;
        fault::point("make", dir).map_err(trouble(dir))?;
        if dir.symlink_metadata().is_ok() {
            remove_whole(dir).map_err(trouble(dir))?;
        }
        for part in ["objects/info", "objects/pack", "refs/heads", "refs/tags", "info"] {
            let part = dir.join(part);
            std::fs::create_dir_all(&part).map_err(trouble(&part))?;
        }
        let objects = self.common.join("objects");
        let alternates = [objects.as_os_str().as_encoded_bytes(), b"\n"].concat();
        put(&dir.join("objects/info/alternates"), &alternates)?;
        put(&dir.join("HEAD"), format!("{commit}\n").as_bytes())?;
        put(&dir.join("packed-refs"), self.refs_text()?.as_bytes())?;
        put(&dir.join("config"), self.private_config(&worktree.path).as_bytes())?;
        for name in ["info/exclude", "info/attributes", "shallow"] {
            if let Ok(bytes) = std::fs::read(self.common.join(name)) {
                put(&dir.join(name), &bytes)?;
            }
        }
        copy_index(&worktree.index, &dir.join("index"))?;
        let link = worktree.path.join(".git");
        if link.symlink_metadata().is_ok_and(|m| m.is_dir()) {
            remove_whole(&link).map_err(trouble(&link))?;
        } else if link.symlink_metadata().is_ok() {
            std::fs::remove_file(&link).map_err(trouble(&link))?;
        }
        put(&link, &[b"gitdir: ", dir.as_os_str().as_encoded_bytes(), b"\n"].concat())
    }

    /// The repository's branches, remote branches and tags, as packed-refs; those of runs are nobody's business.
    fn refs_text(&self) -> Result<String, GitError> {
        let repo = self.repo();
        let refs = repo.references().map_err(super::lib("read the refs"))?;
        let mut lines: Vec<(String, git2::Oid)> = Vec::new();
        for found in refs.flatten() {
            let (Ok(name), Some(target)) = (found.name(), found.target()) else { continue };
            if name.starts_with("refs/") && !name.starts_with("refs/heads/slimductor/") {
                lines.push((name.to_owned(), target));
            }
        }
        lines.sort();
        let mut text = "# pack-refs with: sorted \n".to_owned();
        text.extend(lines.iter().map(|(name, target)| format!("{target} {name}\n")));
        Ok(text)
    }

    fn private_config(&self, path: &Path) -> String {
        let mut text = "[core]\n\trepositoryformatversion = 0\n\tbare = false\n".to_owned();
        text.push_str(&format!("\tworktree = {}\n", quoted(&path.to_string_lossy())));
        let config = self.repo().config().and_then(|c| c.open_level(git2::ConfigLevel::Local));
        let Ok(config) = config else { return text };
        let Ok(entries) = config.entries(None) else { return text };
        let mut set = |entry: &git2::ConfigEntry<'_>| {
            // A key without a value is true.
            let value = if entry.has_value() { entry.value().ok() } else { Some("true") };
            let (Ok(name), Some(value)) = (entry.name(), value) else { return };
            let wanted = CONFIG_SECTIONS.iter().any(|s| name.starts_with(s));
            if !wanted || CONFIG_LEFT_OUT.contains(&name) {
                return;
            }
            text.push_str(&config_entry(name, value));
        };
        let _ = entries.for_each(|entry| set(entry));
        text
    }

    /// `.git/worktrees/<name>` of the worktree at `path`, found from OUR side.
    pub(super) fn admin_dir(&self, path: &Path) -> Option<PathBuf> {
        let path = path.canonicalize().unwrap_or_else(|_| path.to_owned());
        let back_of = |dir: &Path| {
            let back = std::fs::read_to_string(dir.join("gitdir")).unwrap_or_default();
            Path::new(back.trim_end()).parent().map(Path::to_owned).unwrap_or_default()
        };
        let is_it = |dir: &Path| {
            let back = back_of(dir);
            back == path || back.canonicalize().is_ok_and(|b| b == path)
        };
        let worktrees = self.common.join("worktrees");
        // Ours are found without reading all the others.
        let usual = worktrees.join(path.file_name().unwrap_or_default());
        // A repository that was moved leaves records of our worktrees that lead nowhere: their names are a run's own.
        let ours = path.parent().and_then(Path::file_name) == Some(OsStr::new(".worktrees"));
        let stale = ours && usual.join("gitdir").exists() && !back_of(&usual).exists();
        if is_it(&usual) || stale {
            return Some(usual);
        }
        let entries = std::fs::read_dir(worktrees).ok()?;
        entries.flatten().map(|e| e.path()).find(|dir| is_it(dir))
    }

    /// Removes a worktree and git's record of it; one that is not there is fine.
    pub fn remove_worktree(&self, path: &Path) -> Result<(), GitError> {
        let _one_at_a_time =
            self.worktrees.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let admin = self.admin_dir(path);
        fault::point("remove", path).map_err(trouble(path))?;
        if path.symlink_metadata().is_ok_and(|m| m.is_dir()) {
            remove_whole(path).map_err(trouble(path))?;
        } else if path.symlink_metadata().is_ok() {
            std::fs::remove_file(path).map_err(trouble(path))?;
        }
        if let Some(admin) = admin {
            fault::point("remove", &admin).map_err(trouble(&admin))?;
            match std::fs::remove_dir_all(&admin) {
                // Somebody's `git gc` was faster.
                Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
                    return Err(trouble(&admin)(e));
                }
                Ok(()) | Err(_) => {}
            }
            // Git removes the directory with the last worktree; so do we.
            let _ = std::fs::remove_dir(self.common.join("worktrees"));
        }
        Ok(())
    }

    /// The worktrees that git knows in the directory `dir`, whether they are still there or not; also those that it knows
    /// where they stood before the repository was moved.
    pub fn worktrees_in(&self, dir: &Path) -> Vec<PathBuf> {
        let here = |path: PathBuf| match path.parent() == Some(dir) {
            true => Some(path),
            false if path.exists() => None,
            false => path.file_name().map(|name| dir.join(name)),
        };
        self.worktrees().into_iter().filter_map(here).collect()
    }

    /// Every worktree that git knows, but for the main one, whether it is still there or not.
    pub fn worktrees(&self) -> Vec<PathBuf> {
        let Ok(entries) = std::fs::read_dir(self.common.join("worktrees")) else {
            return Vec::new();
        };
        let back = |admin: PathBuf| -> Option<PathBuf> {
            let text = std::fs::read_to_string(admin.join("gitdir")).ok()?;
            Path::new(text.trim_end()).parent().map(Path::to_owned)
        };
        entries.flatten().filter_map(|e| back(e.path())).collect()
    }

    /// The commit that the worktree's own HEAD stands at, read as text and taken into the repository; `None` where there
    /// is none that holds together.
    pub fn take_head(&self, worktree: &Worktree, base: &Sha) -> Option<Sha> {
        remove_odd(&worktree.gitdir);
        let head = private_head(&worktree.gitdir)?;
        if !self.has_commit(&head) && self.import(worktree, &head, base).is_err() {
            return None;
        }
        Some(head).filter(|h| self.has_commit(h))
    }

    /// Whether the repository has this commit.
    pub fn has_commit(&self, commit: &Sha) -> bool {
        super::oid(commit).is_ok_and(|id| self.repo().find_commit(id).is_ok())
    }

    /// Makes the engine's index of a worktree anew where somebody removed it.
    pub fn restore_index(&self, worktree: &Worktree, base: &Sha) -> Result<(), GitError> {
        if worktree.index.exists() {
            return Ok(());
        }
        self.at(worktree, &["read-tree", base.as_str()].map(OsStr::new)).map(drop)
    }

    /// The tree of what stands in the worktree now: tracked and untracked, not ignored. Nothing of the worktree's is
    /// written, and its own `.git` is not looked at.
    ///
    /// `left_out` are paths that are no part of it.
    pub fn snapshot(&self, worktree: &Worktree, left_out: &[String]) -> Result<Sha, GitError> {
        if !is_real_dir(&worktree.path) {
            // A link in its place leads to somebody else's files.
            let source = std::io::Error::other("it is not a directory any more");
            return Err(trouble(&worktree.path)(source));
        }
        remove_pipes(&worktree.path);
        make_readable(&worktree.path)?;
        // A copy for this one time: a lock that a killed git left beside the other is nobody's business.
        let dir = worktree.index.parent().unwrap_or(Path::new("."));
        let copy = tempfile::Builder::new().prefix(".index-").tempdir_in(dir);
        let copy = copy.map_err(trouble(dir))?;
        let index = copy.path().join("index");
        copy_index(&worktree.index, &index)?;
        let worktree = Worktree { index, ..worktree.clone() };
        // What the worker says of itself is never committed; where it is tracked it stays as it was.
        let status = ["ls-files", "-s", "--", ".task-status.json"].map(OsStr::new);
        let tracked = self.at(&worktree, &status)?;
        // Git refuses to be told of what it ignores anyway, or of what lies behind a link.
        let ignored = self.ignored(&worktree, left_out);
        let plain = |p: &&String| {
            let above = Path::new(p.as_str()).ancestors().skip(1);
            !ignored.contains(*p) && above.map(|a| worktree.path.join(a)).all(|a| !a.is_symlink())
        };
        let left_out: Vec<String> =
            left_out.iter().filter(plain).map(|p| format!(":(exclude,top,literal){p}")).collect();
        let mut add = ["add", "-A", "--", "."].map(OsStr::new).to_vec();
        add.extend(left_out.iter().map(OsStr::new));
        self.at(&worktree, &add)?;
        let mut fields = tracked.split_whitespace();
        if let (Some(mode), Some(blob)) = (fields.next(), fields.next()) {
            let entry = format!("{mode},{blob},.task-status.json");
            self.at(&worktree, &["update-index", "--add", "--cacheinfo", &entry].map(OsStr::new))?;
        }
        let text = self.at(&worktree, &["write-tree".as_ref()])?;
        Sha::parse(&text).ok_or(GitError::NotAnId(text))
    }
}

/// Whether a filter is one that reads its input and nothing that lies in the worktree. Others could run what a worker
/// put there: an interpreter, a wrapper, a relative path.
fn stands_elsewhere(command: &str) -> bool {
    const KNOWN: [&str; 8] =
        ["git-lfs", "git-crypt", "git-annex", "nbstripout", "cat", "tr", "dos2unix", "unix2dos"];
    let shell = command.contains(['|', ';', '&', '$', '`', '<', '>', '\n', '(']);
    let mut words = command.split_whitespace();
    let program = words.next().unwrap_or("");
    let name = match program.rsplit_once('/') {
        Some((_, name)) if program.starts_with('/') => name,
        Some(_) => return false,
        None => program,
    };
    let own = name == "git" && matches!(words.next(), Some("lfs" | "crypt" | "annex"));
    !shell && (own || KNOWN.contains(&name))
}

/// Copies an index with its time: git compares files more closely that are no older than the index, and a younger copy
/// would hide a change that was made within one tick of the clock.
fn copy_index(from: &Path, to: &Path) -> Result<(), GitError> {
    fault::point("write", to).map_err(trouble(to))?;
    std::fs::copy(from, to).map_err(trouble(to))?;
    let time = std::fs::metadata(from).and_then(|m| m.modified());
    let kept = time.and_then(|t| std::fs::File::options().write(true).open(to)?.set_modified(t));
    kept.map_err(trouble(to))
}

/// Whether a directory stands there, and no link to one.
fn is_real_dir(path: &Path) -> bool {
    path.symlink_metadata().is_ok_and(|m| m.is_dir())
}

/// One setting as a section of its own.
pub(super) fn config_entry(name: &str, value: &str) -> String {
    let Some((section, key)) = name.rsplit_once('.') else { return String::new() };
    let section = match section.split_once('.') {
        Some((section, sub)) => format!("{section} {}", quoted(sub)),
        None => section.to_owned(),
    };
    format!("[{section}]\n\t{key} = {}\n", quoted(value))
}

/// A value as git's configuration wants it.
fn quoted(value: &str) -> String {
    let escaped = value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
    format!("\"{escaped}\"")
}

/// A small file of git's own; derived from what is recorded elsewhere, so it needs no sync.
pub(super) fn put(path: &Path, bytes: &[u8]) -> Result<(), GitError> {
    fault::point("write", path).map_err(trouble(path))?;
    let written =
        std::fs::File::create(path).and_then(|mut f| std::io::Write::write_all(&mut f, bytes));
    written.map_err(trouble(path))
}

pub(super) fn trouble(path: &Path) -> impl FnOnce(std::io::Error) -> GitError + '_ {
    move |source| GitError::File { path: path.to_owned(), source }
}
