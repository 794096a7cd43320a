//! The git command, hardened; fast-forwards in a checkout. The one file that runs it.

use std::ffi::{OsStr, OsString};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use super::worktree::{Worktree, config_entry};
use super::{GitError, Repo};
use crate::fault;
use crate::types::Sha;

impl Repo {
    /// The git command, hardened: no hooks, no file monitor, no inherited GIT_* but the identities.
    #[expect(clippy::disallowed_methods, reason = "the one place that starts git")]
    fn command(&self) -> Command {
        // The one that was found first: what is put before it on PATH later is somebody else's.
        let program = self.program.clone().unwrap_or_else(|| PathBuf::from("git"));
        let mut command = match program.is_absolute() {
            true => Command::new(program),
            false => Command::new("git"),
        };
        for (name, _) in std::env::vars_os() {
            let text = name.to_string_lossy();
            let identity = text.starts_with("GIT_AUTHOR_") || text.starts_with("GIT_COMMITTER_");
            if text.starts_with("GIT_") && !identity {
                command.env_remove(&name);
            }
        }
        if self.durable {
            command.args(["-c", "core.fsync=loose-object,pack,reference"]);
        }
        command
            .env("GIT_TERMINAL_PROMPT", "0")
            .env("GIT_OPTIONAL_LOCKS", "0")
            .env("GIT_NO_REPLACE_OBJECTS", "1")
            .envs(self.config.iter().map(|path| ("GIT_CONFIG_GLOBAL", path)))
            .envs(self.config.iter().map(|_| ("GIT_CONFIG_NOSYSTEM", "1")))
            .env("LC_ALL", "C")
            .stdin(
                self.held
                    .as_ref()
                    .and_then(|f| f.try_clone().ok())
                    .map_or_else(Stdio::null, Stdio::from),
            )
            // Ctrl-C is for us: a git that it cut down would look like a failure.
            .process_group(0)
            .args(["-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null"])
            // A populated submodule could be a repository that a worker planted.
            .args(["-c", "diff.ignoreSubmodules=dirty", "-c", "submodule.recurse=false"])
            .args([
                "-c",
                "core.untrackedCache=false",
                "-c",
                "core.splitIndex=false",
                "-c",
                "advice.detachedHead=false",
            ]);
        command
    }

    pub(super) fn run(
        &self,
        dir: &Path,
        args: &[&OsStr],
        index: Option<&Path>,
    ) -> Result<Output, GitError> {
        starts(args)?;
        let mut command = self.command();
        if let Some(index) = index {
            command.env("GIT_INDEX_FILE", index);
        }
        command.current_dir(dir).args(args).output().map_err(GitError::NoCommand)
    }

    pub(super) fn run_ok(
        &self,
        dir: &Path,
        args: &[&OsStr],
        index: Option<&Path>,
    ) -> Result<String, GitError> {
        let output = self.run(dir, args, index)?;
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).trim_end().to_owned());
        }
        let mut message = said(&output);
        if fault::says_no_room(&message) {
            // Git does not say which disk.
            message.push_str(&format!(" (in {})", dir.display()));
        }
        Err(GitError::Command { verb: verb_of(args), message })
    }

    /// Runs git with `input` on its standard input.
    pub(super) fn run_with(
        &self,
        dir: &Path,
        args: &[&OsStr],
        input: Vec<u8>,
    ) -> Result<String, GitError> {
        starts(args)?;
        let mut command = self.command();
        command.current_dir(dir).args(args).stdin(Stdio::piped());
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().map_err(GitError::NoCommand)?;
        let pipe = child.stdin.take();
        // Beside the reading, so that neither side waits for the other.
        let writer = std::thread::spawn(move || {
            // A git that is gone already says why by its exit code.
            pipe.map(|mut pipe| std::io::Write::write_all(&mut pipe, &input))
        });
        let output = child.wait_with_output().map_err(GitError::NoCommand)?;
        let _ = writer.join();
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
        }
        Err(GitError::Command { verb: verb_of(args), message: said(&output) })
    }

    /// From now on every git holds `lock` open, an empty file: whoever waits for that lock waits for them as well, also
    /// when this process is killed and its gits live on.
    pub fn hold_while_running(&mut self, lock: std::fs::File) {
        self.held = Some(lock);
    }

    /// The user's own configuration, as one file of git's.
    pub fn user_config(&self) -> Result<String, GitError> {
        let mut text = String::new();
        for scope in ["--system", "--global"] {
            let list = ["config", scope, "--includes", "--list", "-z"].map(OsStr::new);
            match self.run_ok(&self.root, &list, None) {
                Ok(found) => text.push_str(&found),
                // Without such a file there is nothing to keep.
                Err(GitError::Command { message, .. }) if says_absent(&message) => {}
                Err(error) => return Err(error),
            }
            text.push('\0');
        }
        let mut out = String::new();
        for entry in text.split('\0').filter(|e| !e.is_empty()) {
            let (name, value) = entry.split_once('\n').unwrap_or((entry, "true"));
            if !name.starts_with("include") {
                out.push_str(&config_entry(name, value));
            }
        }
        Ok(out)
    }

    /// From now on the user's own configuration is what `path` says, written down before any worker can have changed
    /// it: a filter that a worker puts into HOME is not run by us.
    pub fn freeze_config(&mut self, path: &Path) {
        self.config = Some(path.to_owned());
    }

    /// The git that is run, where it was found on PATH.
    pub fn program(&self) -> Option<PathBuf> {
        self.program.clone()
    }

    /// What `git --version` says.
    pub fn version(&self) -> Result<String, GitError> {
        self.run_ok(Path::new("/"), &["--version".as_ref()], None)
    }

    /// Takes the objects behind `head` over from a worktree's private directory, checked on the way; those behind
    /// `base` are here.
    pub(super) fn import(
        &self,
        worktree: &Worktree,
        head: &Sha,
        base: &Sha,
    ) -> Result<(), GitError> {
        let verb = |message: String| GitError::Command { verb: "index-pack".to_owned(), message };
        let dir = path_option("--git-dir=", &self.common);
        starts(&["index-pack".as_ref()])?;
        let mut pack = self.command();
        // Quoted, because a path may hold the colon that separates several.
        let objects = worktree.gitdir.join("objects").to_string_lossy().into_owned();
        let objects = format!("\"{}\"", objects.replace('\\', "\\\\").replace('"', "\\\""));
        pack.env("GIT_ALTERNATE_OBJECT_DIRECTORIES", objects)
            .current_dir(&self.root)
            .arg(&dir)
            .args(["pack-objects", "--revs", "--stdout", "-q", "--delta-base-offset"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        let mut pack = pack.spawn().map_err(GitError::NoCommand)?;
        if let Some(mut stdin) = pack.stdin.take() {
            let wanted = format!("{head}\n^{base}\n");
            // A git that is gone already says why by its exit code.
            let _ = std::io::Write::write_all(&mut stdin, wanted.as_bytes());
        }
        let objects = pack.stdout.take().ok_or_else(|| verb("no output".to_owned()))?;
        let mut index = self.command();
        index
            .current_dir(&self.root)
            .arg(&dir)
            .args(["index-pack", "--stdin", "--strict"])
            .stdin(objects);
        let output = index.output().map_err(GitError::NoCommand)?;
        let packed = pack.wait().map_err(GitError::NoCommand)?;
        if packed.success() && output.status.success() {
            return Ok(());
        }
        Err(verb(said(&output)))
    }

    /// The worktree that has `branch` checked out.
    pub fn checkout_of(&self, branch: &str) -> Result<Option<PathBuf>, GitError> {
        let dir = path_option("--git-dir=", &self.common);
        let list = [dir.as_os_str(), "worktree".as_ref(), "list".as_ref(), "--porcelain".as_ref()];
        let text = self.run_ok(&self.root, &list, None)?;
        let wanted = format!("branch refs/heads/{branch}");
        let mut current = None;
        for line in text.lines() {
            if let Some(path) = line.strip_prefix("worktree ") {
                // With a separate git directory git names that one instead of the working tree.
                let at = Path::new(path);
                let at = if at == self.common { self.root.clone() } else { at.to_owned() };
                current = Some(at).filter(|p| p.exists());
            } else if line == wanted {
                return Ok(current);
            }
        }
        Ok(None)
    }

    /// How many tracked files the checkout around `dir` has changed against HEAD.
    pub fn changed_files(&self, dir: &Path) -> Result<usize, GitError> {
        let args = ["status", "--porcelain", "--untracked-files=no"].map(OsStr::new);
        Ok(self.run_ok(dir, &args, None)?.lines().count())
    }

    /// Whether there is a remote to which the target's branches are pushed.
    pub fn has_remote(&self, target: &str) -> bool {
        // One after the other: both look into the repository, which is locked for each.
        let remote = self.remote_of(target);
        self.repo().find_remote(&remote).is_ok()
    }

    fn remote_of(&self, target: &str) -> String {
        let configured = self.repo().config().and_then(|mut c| c.snapshot());
        let key = format!("branch.{target}.remote");
        let remote = configured.ok().and_then(|c| c.get_str(&key).ok().map(str::to_owned));
        remote.filter(|r| r != ".").unwrap_or_else(|| "origin".to_owned())
    }

    /// Pushes `branch` to the remote of `target` and opens a pull request with `gh`, where that is installed; else says
    /// with which command it is opened.
    pub fn propose(
        &self,
        branch: &str,
        commit: &Sha,
        target: &str,
        title: &str,
    ) -> Result<(Option<String>, String), GitError> {
        let remote = self.remote_of(target);
        let spec = format!("{commit}:refs/heads/{branch}");
        self.run_ok(&self.root, &["push", "--quiet", &remote, &spec].map(OsStr::new), None)?;
        let line: String = title.lines().next().unwrap_or("").chars().take(120).collect();
        let title = if line.trim().is_empty() { branch.to_owned() } else { line };
        let words = ["pr", "create", "--base", target, "--head", branch, "--title", &title];
        let command = format!("gh {} --fill", shell_words::join(words));
        #[expect(clippy::disallowed_methods, reason = "gh belongs to the remote's git")]
        let mut gh = Command::new("gh");
        gh.args(words).args(["--body", "Opened by slimductor; every check passed on this tree."]);
        gh.current_dir(&self.root).stdin(Stdio::null());
        let Ok(output) = gh.output() else { return Ok((None, command)) };
        let said = String::from_utf8_lossy(&output.stdout);
        let url = said.lines().rev().find(|l| l.starts_with("http")).map(str::to_owned);
        Ok((url.filter(|_| output.status.success()), command))
    }
}

/// Whether git says that there is no such configuration.
fn says_absent(message: &str) -> bool {
    message.contains("No such file") || message.contains("HOME not set")
}

/// The first word that is neither an option nor an option's value.
fn verb_of(args: &[&OsStr]) -> String {
    let words: Vec<_> = args.iter().map(|a| a.to_string_lossy()).collect();
    let is_verb = |n: &usize| !words[*n].starts_with('-') && (*n == 0 || words[*n - 1] != "-c");
    (0..words.len()).find(is_verb).map(|n| words[n].to_string()).unwrap_or_default()
}

/// A point at which tests plant faults.
fn starts(args: &[&OsStr]) -> Result<(), GitError> {
    let verb = verb_of(args);
    fault::point("git", Path::new(&verb))
        .map_err(|e| GitError::Command { verb, message: e.to_string() })
}

/// The first git on PATH.
pub(super) fn find_git() -> Option<PathBuf> {
    #[expect(clippy::disallowed_methods, reason = "where git is belongs to git's owner")]
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|dir| dir.join("git")).find(|p| p.is_absolute() && p.is_file())
}

/// An option whose value is a path of any bytes.
pub(super) fn path_option(name: &str, path: &Path) -> OsString {
    let mut option = OsString::from(name);
    option.push(path);
    option
}

/// Removes a directory in which somebody may have taken away permissions.
pub(super) fn remove_whole(path: &Path) -> std::io::Result<()> {
    let first = std::fs::remove_dir_all(path);
    if !first.as_ref().is_err_and(|e| e.kind() == std::io::ErrorKind::PermissionDenied) {
        return first;
    }
    let mut todo = vec![path.to_owned()];
    while let Some(dir) = todo.pop() {
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o700);
        std::fs::set_permissions(&dir, mode)?;
        for entry in std::fs::read_dir(&dir)?.flatten() {
            if entry.file_type().is_ok_and(|t| t.is_dir()) {
                todo.push(entry.path());
            }
        }
    }
    std::fs::remove_dir_all(path)
}

pub(super) fn said(output: &Output) -> String {
    let text = String::from_utf8_lossy(&output.stderr);
    let text = if text.trim().is_empty() { String::from_utf8_lossy(&output.stdout) } else { text };
    text.trim().to_owned()
}
