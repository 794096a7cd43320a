//! `slimductor resume`: goes on with the newest run that has not ended, or with the one that is named; or says what it
//! would do.

use clap::Args;

use super::Context;
use super::exit::{Exit, Failure};
use super::output::columns;
use super::run::{drive, finish};
use crate::execute::coordinator::TakeUp;
use crate::execute::rehearsal::{self, Rehearsal};
use crate::execute::state::RunState;
use crate::execute::{job, reports, run};
use crate::git::Repo;

/// Go on after any interruption.
#[derive(Debug, Args)]
pub struct ResumeArgs {
    /// The run; the newest that has not ended unless given.
    run: Option<String>,
    /// Promote what landed even when some tasks failed.
    #[arg(long)]
    promote_landed: bool,
    /// Say what would be begun, and begin nothing: no file, process or branch is touched.
    #[arg(long)]
    dry_run: bool,
    /// Drop what dead workers and people left uncommitted in worktrees, instead of keeping it on recovery branches.
    #[arg(long)]
    force: bool,
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
                tell(&repo, args, &state)?;
                return finish(context, &state);
            }
        },
    };
    if run::has_ended(repo.root(), &id)? {
        let state = run::read(repo.root(), &id)?;
        context.output.note(&format!("run {id} has ended"));
        tell(&repo, args, &state)?;
        return finish(context, &state);
    }
    let how = TakeUp { promote_landed: args.promote_landed, force: args.force };
    if args.dry_run {
        let (rehearsal, state) = rehearsal::rehearse(&repo, &id, how)?;
        introduce(context, &repo, &state);
        if context.output.manner.json {
            context.output.json(&rehearsal, false);
        } else {
            context.output.result(&text(&rehearsal));
        }
        return Ok(Exit::Done);
    }
    let held = run::hold(repo.root(), &id, None)?;
    introduce(context, &repo, &held.state);
    let state = drive(context, repo, held, how)?;
    finish(context, &state)
}

/// Says which run this is, and what of it is no longer what it was.
fn introduce(context: &mut Context, repo: &Repo, state: &RunState) {
    let request = state.header.request.lines().next().unwrap_or("");
    let id = &state.header.run_id;
    context.output.note(format!("run {id}: {request}").trim_end_matches(": "));
    if let Some(file) = run::edited_plan(repo.root(), state) {
        context.output.note(&format!(
            "note: {} was edited since the run was made; the run goes on with its own copy, `slimductor replan` takes the new one",
            file.display()
        ));
    }
}

/// Of a run that has ended, what its last coordinator could not write any more.
fn tell(repo: &Repo, args: &ResumeArgs, state: &RunState) -> Result<(), Failure> {
    if args.dry_run { Ok(()) } else { Ok(reports::write_missing(repo.root(), state)?) }
}

fn text(rehearsal: &Rehearsal) -> String {
    let mut out = String::new();
    if rehearsal.torn_bytes > 0 {
        out.push_str(&format!(
            "{} bytes of a record that was cut off go from the journal's end\n",
            rehearsal.torn_bytes
        ));
    }
    let rows: Vec<Vec<String>> = rehearsal
        .effects
        .iter()
        .map(|e| vec![e.does.word().to_owned(), e.effect.clone(), e.detail.clone()])
        .collect();
    out.push_str(&columns(&rows));
    match &rehearsal.waits {
        Some(reason) => out.push_str(&format!("then it waits for a person: {reason}\n")),
        None if rehearsal.ends => out.push_str("then the run is over\n"),
        None => out.push_str("then what follows from how these end\n"),
    }
    out
}
