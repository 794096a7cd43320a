//! `slimductor doctor`: what this machine and repository have, and what dead runs left. Changes nothing, but with
//! `--fix` it removes what was left, and only that.

use std::path::Path;

use clap::Args;
use serde::Serialize;

use super::Context;
use super::clearing::{self, Left};
use super::exit::{Exit, Failure};
use super::gather;
use super::output::columns;
use crate::execute::backend::tmux::TmuxServer;
use crate::execute::fence::{self, Mode};
use crate::execute::retention::Policy;
use crate::execute::run;
use crate::git::{GitError, Repo};
use crate::store;

/// Below this a run soon fails, bytes.
const LEAST_BYTES: u64 = 100 * 1024 * 1024;
/// The same as a part of the whole: one in so many.
const LEAST_PART: u64 = 100;

/// Say what this machine and repository have, and what is missing.
#[derive(Debug, Args)]
pub struct DoctorArgs {
    /// Remove what dead runs left, and what `retention` lets go; without it that is only shown.
    #[arg(long)]
    fix: bool,
}

#[derive(Serialize)]
struct Finding {
    what: &'static str,
    state: &'static str,
    detail: String,
    help: Option<String>,
}

impl Finding {
    fn new(what: &'static str, good: bool, needed: bool, detail: String, help: &str) -> Finding {
        let state = match (good, needed) {
            (true, _) => "ok",
            (false, true) => "missing",
            (false, false) => "absent",
        };
        Finding { what, state, detail, help: (!good).then(|| help.to_owned()) }
    }
}

/// The command.
pub fn doctor(context: &mut Context, args: &DoctorArgs) -> Result<Exit, Failure> {
    let mut found = Vec::new();
    let root = Repo::checkout_around(&context.dir).unwrap_or_else(|| context.dir.clone());
    let config = gather::config(context, &root);
    let repo = Repo::discover(&context.dir);
    let mut left = Vec::new();
    match &repo {
        Ok(repo) => {
            found.extend(repository(context, repo));
            found.push(room(repo.root()));
            let policy = config.as_ref().ok().map(|(config, _)| Policy::of(&config.retention));
            match clearing::clear(context, repo, policy.as_ref(), args.fix) {
                Ok(all) => {
                    found.push(leftovers(&all, args.fix));
                    left = all;
                }
                Err(e) => {
                    let help = "mend what it says, then `slimductor doctor` again";
                    found.push(Finding::new("leftovers", false, false, e.to_string(), help));
                }
            }
        }
        Err(error) => found.push(no_repository(error, &context.dir)),
    }
    found.extend(machine(context));
    let detail = match &config {
        Ok((_, bytes)) if bytes.is_empty() => "no file; the defaults hold".to_owned(),
        Ok(_) => "valid".to_owned(),
        Err(failure) => failure.message.clone(),
    };
    found.push(Finding::new("configuration", config.is_ok(), true, detail, "mend slimductor.yaml"));
    let bad = found.iter().any(|f| f.state == "missing");
    if context.output.manner.json {
        let all = serde_json::json!({"ok": !bad, "findings": found, "leftovers": left});
        context.output.json(&all, false);
    } else {
        let row = |state: &str, what: &str, detail: &str, help: Option<&String>| {
            let help = help.map(|h| format!(" ({h})")).unwrap_or_default();
            vec![state.to_owned(), what.to_owned(), format!("{detail}{help}")]
        };
        let rows: Vec<Vec<String>> =
            found.iter().map(|f| row(f.state, f.what, &f.detail, f.help.as_ref())).collect();
        context.output.result(&columns(&rows));
        let detail = |l: &Left| format!("{}: {}", l.name, l.why);
        let rows: Vec<Vec<String>> =
            left.iter().map(|l| row(l.state(), l.what, &detail(l), l.help.as_ref())).collect();
        if !rows.is_empty() {
            context.output.result(&format!("\n{}", columns(&rows)));
        }
    }
    Ok(if bad { Exit::Environment } else { Exit::Done })
}

fn repository(context: &Context, repo: &Repo) -> Vec<Finding> {
    let mut found = Vec::new();
    let version = repo.version();
    let detail = version.as_ref().map_or_else(ToString::to_string, Clone::clone);
    let help = "install git and put it on PATH";
    found.push(Finding::new("git", version.is_ok(), true, detail, help));
    // What libgit2 opens the git command may still refuse, and the other way round.
    let refused = repo.changed_files(repo.root()).err().filter(GitError::is_foreign);
    found.push(match refused {
        Some(error) => no_repository(&error, repo.root()),
        None => Finding::new("repository", true, true, repo.root().display().to_string(), ""),
    });
    let branch = repo.current_branch(&context.dir).ok().flatten();
    let tip = branch.as_ref().and_then(|b| repo.branch_tip(b).ok().flatten());
    let detail = match (&branch, &tip) {
        (Some(b), Some(t)) => format!("{b} at {}", t.short()),
        (Some(b), None) => format!("{b} has no commit"),
        (None, _) => "HEAD is detached".to_owned(),
    };
    let help = "check out a branch with a commit, or name one under `base:` in the plan";
    found.push(Finding::new("branch", tip.is_some(), true, detail, help));
    found.push(own_directory(repo.root()));
    let unfinished = run::newest_unfinished(repo.root());
    let (good, detail) = match &unfinished {
        Ok(None) => (true, "none is unfinished".to_owned()),
        Ok(Some(run)) => (false, format!("{run} is unfinished")),
        Err(e) => (false, e.to_string()),
    };
    let help = "`slimductor resume` goes on, `abort` ends it";
    found.push(Finding::new("runs", good, false, detail, help));
    found
}

fn no_repository(error: &GitError, dir: &Path) -> Finding {
    let whole = shell_words::quote(&dir.to_string_lossy()).into_owned();
    let trust = format!("if you trust it: `git config --global --add safe.directory {whole}`");
    let (detail, help) = match error {
        GitError::NoRepository(_) => (error.to_string(), "`git init`, and commit something"),
        e if e.is_foreign() => {
            let whose = format!("{} belongs to another user, so git refuses it", dir.display());
            (whose, trust.as_str())
        }
        GitError::NoCommand(_) => (error.to_string(), "install git and put it on PATH"),
        GitError::Bare(_) => (error.to_string(), "`git worktree add`, and work there"),
        GitError::Command { .. }
        | GitError::Library { .. }
        | GitError::File { .. }
        | GitError::NotAnId(_) => (error.to_string(), "`git fsck` may say more"),
    };
    Finding::new("repository", false, true, detail, help)
}

/// Whether `.orchestrator` can be written, or made.
fn own_directory(root: &Path) -> Finding {
    let dir = root.join(".orchestrator");
    let there = dir.symlink_metadata().is_ok();
    let asked = if there { dir.as_path() } else { root };
    let may = rustix::fs::Access::WRITE_OK | rustix::fs::Access::EXEC_OK;
    let refused = match (asked.is_dir(), rustix::fs::access(asked, may)) {
        (false, _) => Some("it is not a directory".to_owned()),
        (true, Err(e)) => Some(std::io::Error::from(e).to_string()),
        (true, Ok(())) => None,
    };
    let help = "runs keep their journals there: make it a directory that you may write";
    match refused {
        Some(why) => {
            let detail = format!("{} cannot be written: {why}", asked.display());
            Finding::new(".orchestrator", false, true, detail, help)
        }
        None if there => Finding::new(".orchestrator", true, true, "can be written".to_owned(), ""),
        None => {
            Finding::new(".orchestrator", true, true, "is made by the first run".to_owned(), "")
        }
    }
}

/// The room that is free where worktrees and journals lie.
fn room(root: &Path) -> Finding {
    let help = "make room: a run that finds none stops, and is resumed";
    let Ok(disk) = rustix::fs::statvfs(root) else {
        let detail = "cannot be asked for".to_owned();
        return Finding::new("disk", false, false, detail, "look at `df` by hand");
    };
    let free = store::free_bytes(root).unwrap_or(0);
    let whole = disk.f_blocks.saturating_mul(disk.f_frsize);
    let good = has_room(free, whole);
    let mib = |bytes: u64| bytes / (1024 * 1024);
    let detail = format!("{} of {} MiB free", mib(free), mib(whole));
    Finding::new("disk", good, true, detail, help)
}

fn has_room(free: u64, whole: u64) -> bool {
    free >= LEAST_BYTES && free >= whole / LEAST_PART
}

fn leftovers(left: &[Left], fixed: bool) -> Finding {
    let count = |state: &str| left.iter().filter(|l| l.state() == state).count();
    let (open, removed, kept) = (count("left"), count("removed"), count("kept"));
    let detail = match (open, removed, kept) {
        (0, 0, 0) => "none".to_owned(),
        (_, _, kept) if fixed => format!("{removed} removed, {kept} kept"),
        (open, _, kept) => format!("{open} to remove, {kept} to look at"),
    };
    let help = match open {
        0 => "below, each with how to remove it by hand",
        _ => "below; `slimductor doctor --fix` removes what is certain",
    };
    let good = open == 0 && kept == 0;
    Finding::new("leftovers", good, false, detail, help)
}

fn machine(context: &Context) -> Vec<Finding> {
    let tmux = TmuxServer::version();
    let detail =
        tmux.clone().unwrap_or_else(|| "not installed; jobs run as plain processes".to_owned());
    let help = "install it to look at workers while they work";
    let tmux = Finding::new("tmux", tmux.is_some(), false, detail, help);
    let mode = fence::strongest(&context.exe);
    let detail = match mode {
        Mode::Namespace => {
            "namespaces: jobs can write their worktree and what lies outside the repository"
        }
        Mode::Landlock => {
            "Landlock: as with namespaces, but sockets and file modes are not covered"
        }
        Mode::Off => "neither namespaces nor Landlock are permitted; only diffs are judged",
    };
    let help = "do not run workers that you do not trust";
    let good = mode == Mode::Namespace;
    vec![tmux, Finding::new("write fence", good, false, detail.to_owned(), help)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_room_with_a_hundred_mebibytes_and_one_part_in_a_hundred() {
        let mib = 1024 * 1024;
        for (free, whole, good) in [
            (100 * mib, 200 * mib, true),
            (100 * mib - 1, 200 * mib, false),
            (200 * mib, 20_000 * mib, true),
            (199 * mib, 20_000 * mib, false),
            (0, 0, false),
        ] {
            assert_eq!(has_room(free, whole), good, "{free} of {whole}");
        }
    }

    #[test]
    fn what_is_left_is_counted_by_what_became_of_it() {
        let left = |certain, removed| Left {
            what: "link",
            name: String::new(),
            why: String::new(),
            removed,
            help: None,
            certain,
        };
        let said = |all: &[Left], fixed| leftovers(all, fixed).detail;
        assert_eq!(said(&[], false), "none");
        assert_eq!(
            said(&[left(true, false), left(false, false)], false),
            "1 to remove, 1 to look at"
        );
        assert_eq!(said(&[left(true, true), left(false, false)], true), "1 removed, 1 kept");
    }
}
