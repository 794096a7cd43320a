//! `slimductor resume`: goes on with the newest run that has not ended, or with the one that is named.

use clap::Args;

use super::Context;
use super::exit::{Exit, Failure};
use super::run::{exit_of, finish, take_up};
use crate::execute::{job, run};
use crate::git::Repo;

/// Go on after any interruption.
#[derive(Debug, Args)]
pub struct ResumeArgs {
    /// The run; the newest that has not ended unless given.
    run: Option<String>,
    /// Promote what landed even when some tasks failed.
    #[arg(long)]
    promote_landed: bool,
    /// Leave the terminal's session first (used by `run --detach`).
    #[arg(long, hide = true)]
    own_session: bool,
}

/// The command.
pub fn resume(context: &mut Context, args: &ResumeArgs) -> Result<Exit, Failure> {
    if args.own_session {
        job::leave_session();
    }
    let repo = Repo::discover(&context.dir)?;
    let id = match &args.run {
        Some(_) => run::find(repo.root(), args.run.as_deref())?,
        None => match run::newest_unfinished(repo.root())? {
            Some(id) => id,
            None => {
                let last = run::find(repo.root(), None)?;
                let state = run::read(repo.root(), &last)?;
                context.output.note(&format!("every run has ended; the last one was {last}"));
                return finish(context, &state);
            }
        },
    };
    let state = run::read(repo.root(), &id)?;
    if state.outcome.is_some() {
        context.output.note(&format!("run {id} has ended"));
        finish(context, &state)?;
        return Ok(exit_of(&state));
    }
    let request = state.header.request.lines().next().unwrap_or("");
    context.output.note(format!("run {id}: {request}").trim_end_matches(": "));
    let state = take_up(context, repo, &id, None, args.promote_landed)?;
    finish(context, &state)
}
