//! `slimductor replan`: ends the newest run and goes on with another plan, on top of what has landed.

use clap::Args;

use super::Context;
use super::exit::{Exit, Failure};
use super::run::{From, RunArgs, create, detach, finish, prepare, take_up};
use crate::execute::coordinator::TakeUp;
use crate::execute::event::{Choice, Outcome};
use crate::execute::state::{RunState, Step};
use crate::execute::worktree::Places;
use crate::execute::world::AnswerFile;
use crate::execute::{reports, run};
use crate::git::Repo;
use crate::plan::Task;
use crate::store;
use crate::types::RunId;

/// Go on with another plan.
#[derive(Debug, Args)]
pub struct ReplanArgs {
    #[command(flatten)]
    run: RunArgs,
}

/// The command.
pub fn replan(context: &mut Context, args: &ReplanArgs) -> Result<Exit, Failure> {
    let repo = Repo::discover(&context.dir)?;
    let old = started(&repo)?;
    let places = Places { root: repo.root().to_owned(), run: old.clone() };
    let mut state = run::read(repo.root(), &old)?;
    if state.promoted.is_some() || (state.cleaned && state.outcome.is_none()) {
        let message = format!("run {old} has moved {} already", state.header.target);
        return Err(Failure::new(Exit::Usage, message).hint("`slimductor resume` finishes it"));
    }
    // What refuses the new run must not cost the one that is there.
    let prepared = prepare(context, &args.run, &repo, Some(&from(&state)))?;
    if state.outcome.is_none() {
        let answer = AnswerFile { choice: Choice::Replan, task: None, attempt: None };
        reports::leave_answer(&places, &answer)?;
        if store::is_locked(&places.lock()) {
            context.output.note("the coordinator ends the run");
            store::wait_unlocked(&places.lock())?;
        }
        state = run::read(repo.root(), &old)?;
        if state.outcome.is_none() {
            state = take_up(context, Repo::discover(&context.dir)?, &old, None, TakeUp::default())?;
        }
    }
    if state.outcome != Some(Outcome::Replanned) {
        let message = format!("run {old} ended otherwise: {}", state.phase());
        return Err(Failure::new(Exit::Usage, message));
    }
    let (id, lock) = create(context, &repo, prepared, Some(&from(&state)))?;
    // The new run's staging begins at the same commit.
    repo.delete_branch(&state.staging_branch())?;
    if args.run.detach {
        drop(lock);
        return detach(context, &repo, &id);
    }
    let state = take_up(context, repo, &id, Some(lock), TakeUp::default())?;
    finish(context, &state)
}

/// The run that another plan goes on from: one that has not ended, or one that ended for this and was not followed yet.
fn started(repo: &Repo) -> Result<RunId, Failure> {
    if let Some(run) = run::newest_unfinished(repo.root())? {
        return Ok(run);
    }
    let none = || {
        Failure::new(Exit::Usage, "there is no run to go on from: every run has ended")
            .hint("`slimductor run` starts one")
    };
    let last = run::list(repo.root()).into_iter().next_back().ok_or_else(none)?;
    let state = run::read(repo.root(), &last)?;
    let open = repo.branch_tip(&state.staging_branch())?.is_some();
    if state.outcome == Some(Outcome::Replanned) && open { Ok(last) } else { Err(none()) }
}

/// What the next run goes on from.
fn from(state: &RunState) -> From {
    let merged = state.tasks.iter().zip(&state.plan.tasks).filter(|(t, _)| t.step == Step::Merged);
    let landed: Vec<Task> = merged.map(|(_, spec)| spec.clone()).collect();
    From {
        target: state.header.target.clone(),
        target_at: state.target_tip.clone(),
        base: state.staging.clone().unwrap_or_else(|| state.header.base.clone()),
        landed,
    }
}
