//! `slimductor abort`: ends a run through its own coordinator, or takes it up to end it.

use clap::Args;

use super::Context;
use super::exit::{Exit, Failure};
use super::run::{finish, take_up};
use crate::execute::coordinator::TakeUp;
use crate::execute::event::{Choice, Outcome};
use crate::execute::worktree::Places;
use crate::execute::world::AnswerFile;
use crate::execute::{reports, run};
use crate::git::Repo;
use crate::store;

/// End a run.
#[derive(Debug, Args)]
pub struct AbortArgs {
    /// The run; the newest that has not ended unless given.
    pub(super) run: Option<String>,
}

/// The command.
pub fn abort(context: &mut Context, args: &AbortArgs) -> Result<Exit, Failure> {
    let repo = Repo::discover(&context.dir)?;
    let id = match &args.run {
        Some(_) => run::find(repo.root(), args.run.as_deref())?,
        None => run::newest_unfinished(repo.root())?.ok_or_else(|| {
            Failure::new(Exit::Usage, "there is no run to abort: every run has ended")
        })?,
    };
    let places = Places { root: repo.root().to_owned(), run: id.clone() };
    let state = run::read(repo.root(), &id)?;
    if state.outcome.is_some() {
        return Err(Failure::new(
            Exit::Usage,
            format!("run {id} has ended: there is nothing to abort"),
        ));
    }
    if state.promoted.is_some() {
        return Err(Failure::new(
            Exit::Usage,
            format!("run {id} has moved {} already", state.header.target),
        )
        .hint("`slimductor resume` finishes it"));
    }
    reports::leave_answer(
        &places,
        &AnswerFile { choice: Choice::Abort, task: None, attempt: None },
    )?;
    if store::is_locked(&places.lock()) {
        let holder = run::holder(&places);
        context.output.note(format!("the coordinator{holder} ends the run").as_str());
        store::wait_unlocked(&places.lock())?;
        let state = run::read(repo.root(), &id)?;
        if state.outcome.is_some() {
            let exit = finish(context, &state)?;
            if state.outcome == Some(Outcome::Aborted) {
                return Ok(Exit::Done);
            }
            return match state.promoted {
                Some(_) => {
                    let target = &state.header.target;
                    Err(Failure::new(
                        Exit::Usage,
                        format!("too late: {target} had been moved already"),
                    ))
                }
                None => Ok(exit),
            };
        }
    }
    let state = take_up(context, repo, &id, None, TakeUp::default())?;
    let exit = finish(context, &state)?;
    Ok(if state.outcome == Some(Outcome::Aborted) { Exit::Done } else { exit })
}
