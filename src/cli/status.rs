//! `slimductor status`: every task, why it is where it is, and how that is known. Only reads.

use clap::Args;

use super::Context;
use super::exit::{Exit, Failure};
use super::output::columns;
use crate::execute::projection::{self, Status};
use crate::execute::run;
use crate::execute::worktree::Places;
use crate::git::Repo;
use crate::store;

/// Show every task.
#[derive(Debug, Args)]
pub struct StatusArgs {
    /// The run; the newest unless given.
    run: Option<String>,
}

/// The command.
pub fn status(context: &mut Context, args: &StatusArgs) -> Result<Exit, Failure> {
    let repo = Repo::discover(&context.dir)?;
    let id = run::find(repo.root(), args.run.as_deref())?;
    let state = run::read(repo.root(), &id)?;
    let places = Places { root: repo.root().to_owned(), run: id };
    let status = projection::status(&state, Some(&places));
    if context.output.manner.json {
        context.output.json(&status, false);
        return Ok(Exit::Done);
    }
    context.output.result(&text(&status, store::is_locked(&places.lock())));
    Ok(Exit::Done)
}

fn text(status: &Status, live: bool) -> String {
    let coordinator = match (live, status.phase) {
        (true, _) => "a coordinator is at work",
        (false, "done" | "failed" | "aborted") => "over",
        (false, _) => "no coordinator; `slimductor resume` goes on",
    };
    let mut out = format!("run {} · {} · {coordinator}\n", status.run_id, status.phase);
    if !status.request.is_empty() {
        out.push_str(&format!("{}\n", status.request));
    }
    if let Some(waiting) = &status.waiting {
        out.push_str(&format!("waits: {waiting}\n"));
    }
    let mut rows = vec![["TASK", "STATE", "TRY", "WHY", "KNOWN FROM"].map(str::to_owned).to_vec()];
    for t in &status.tasks {
        let why = match &t.failure {
            Some(failure) if t.state == "failed" => format!("{}: {}", failure.category, t.reason),
            Some(_) | None => t.reason.clone(),
        };
        rows.push(vec![
            t.id.to_string(),
            t.state.to_owned(),
            t.attempt.to_string(),
            why,
            t.source.to_owned(),
        ]);
    }
    out.push_str(&columns(&rows));
    let s = &status.summary;
    out.push_str(&format!(
        "{} merged · {} verified · {} completed · {} executing · {} pending · {} blocked · {} failed · {} skipped\n",
        s.merged, s.verified, s.completed, s.executing, s.pending, s.blocked, s.failed, s.skipped
    ));
    out
}
