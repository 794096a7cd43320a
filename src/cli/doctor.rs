//! `slimductor doctor`: what this machine and repository have. Changes nothing.

use serde::Serialize;

use super::Context;
use super::exit::{Exit, Failure};
use super::gather;
use super::output::columns;
use crate::execute::backend::tmux::TmuxServer;
use crate::execute::fence::{self, Mode};
use crate::execute::run;
use crate::git::Repo;

#[derive(Serialize)]
struct Finding {
    what: &'static str,
    state: &'static str,
    detail: String,
    help: Option<&'static str>,
}

impl Finding {
    fn new(
        what: &'static str,
        good: bool,
        needed: bool,
        detail: String,
        help: &'static str,
    ) -> Finding {
        let state = match (good, needed) {
            (true, _) => "ok",
            (false, true) => "missing",
            (false, false) => "absent",
        };
        Finding { what, state, detail, help: (!good).then_some(help) }
    }
}

/// The command.
pub fn doctor(context: &mut Context) -> Result<Exit, Failure> {
    let mut found = Vec::new();
    let repo = Repo::discover(&context.dir);
    match &repo {
        Ok(repo) => {
            let version = repo.version();
            let detail = version.as_ref().map_or_else(ToString::to_string, Clone::clone);
            found.push(Finding::new(
                "git",
                version.is_ok(),
                true,
                detail,
                "install git and put it on PATH",
            ));
            found.push(Finding::new(
                "repository",
                true,
                true,
                repo.root().display().to_string(),
                "",
            ));
            let branch = repo.current_branch(&context.dir).ok().flatten();
            let tip = branch.as_ref().and_then(|b| repo.branch_tip(b).ok().flatten());
            let detail = match (&branch, &tip) {
                (Some(b), Some(t)) => format!("{b} at {}", t.short()),
                (Some(b), None) => format!("{b} has no commit"),
                (None, _) => "HEAD is detached".to_owned(),
            };
            let help = "check out a branch with a commit, or name one under `base:` in the plan";
            found.push(Finding::new("branch", tip.is_some(), true, detail, help));
            let unfinished = run::newest_unfinished(repo.root());
            let (good, detail) = match &unfinished {
                Ok(None) => (true, "none is unfinished".to_owned()),
                Ok(Some(run)) => (false, format!("{run} is unfinished")),
                Err(e) => (false, e.to_string()),
            };
            found.push(Finding::new(
                "runs",
                good,
                false,
                detail,
                "`slimductor resume` goes on, `abort` ends it",
            ));
        }
        Err(error) => {
            found.push(Finding::new(
                "repository",
                false,
                true,
                error.to_string(),
                "`git init`, and commit something",
            ));
        }
    }
    let tmux = TmuxServer::version();
    let detail =
        tmux.clone().unwrap_or_else(|| "not installed; jobs run as plain processes".to_owned());
    found.push(Finding::new(
        "tmux",
        tmux.is_some(),
        false,
        detail,
        "install it to look at workers while they work",
    ));
    let root = Repo::checkout_around(&context.dir).unwrap_or_else(|| context.dir.clone());
    let config = gather::config(context, &root);
    let detail = match &config {
        Ok((_, bytes)) if bytes.is_empty() => "no file; the defaults hold".to_owned(),
        Ok(_) => "valid".to_owned(),
        Err(failure) => failure.message.clone(),
    };
    found.push(Finding::new("configuration", config.is_ok(), true, detail, "mend slimductor.yaml"));
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
    found.push(Finding::new(
        "write fence",
        mode == Mode::Namespace,
        false,
        detail.to_owned(),
        help,
    ));
    let bad = found.iter().any(|f| f.state == "missing");
    if context.output.manner.json {
        context.output.json(&serde_json::json!({"ok": !bad, "findings": found}), false);
    } else {
        let rows: Vec<Vec<String>> = found
            .iter()
            .map(|f| {
                let help = f.help.map(|h| format!(" ({h})")).unwrap_or_default();
                vec![f.state.to_owned(), f.what.to_owned(), format!("{}{help}", f.detail)]
            })
            .collect();
        context.output.result(&columns(&rows));
    }
    Ok(if bad { Exit::Environment } else { Exit::Done })
}
