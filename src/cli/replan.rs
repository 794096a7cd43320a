//! `slimductor replan`: ends the newest run and goes on with another plan, on top of what has landed.

use clap::Args;

use super::Context;
use super::exit::{Exit, Failure};
use super::run::{From, RunArgs, finish, make_from, take_up};
use crate::execute::event::{Choice, Outcome};
use crate::execute::state::{RunState, Step};
use crate::execute::worktree::Places;
use crate::execute::world::AnswerFile;
use crate::execute::{reports, run};
use crate::git::Repo;
use crate::store;
use crate::types::TaskId;

/// Go on with another plan.
#[derive(Debug, Args)]
pub struct ReplanArgs {
    #[command(flatten)]
    run: RunArgs,
}

/// The command.
pub fn replan(context: &mut Context, args: &ReplanArgs) -> Result<Exit, Failure> {
    let repo = Repo::discover(&context.dir)?;
    let old = run::newest_unfinished(repo.root())?.ok_or_else(|| {
        Failure::new(Exit::Usage, "there is no run to go on from: every run has ended")
            .hint("`slimductor run` starts one")
    })?;
    // A plan that is refused must not cost the run that is there.
    args.run.check(context)?;
    let places = Places { root: repo.root().to_owned(), run: old.clone() };
    let state = run::read(repo.root(), &old)?;
    if state.promoted.is_some() || state.cleaned {
        let message = format!("run {old} has moved {} already", state.header.target);
        return Err(Failure::new(Exit::Usage, message).hint("`slimductor resume` finishes it"));
    }
    let answer = AnswerFile { choice: Choice::Replan, task: None, attempt: None };
    reports::leave_answer(&places, &answer)?;
    if store::is_locked(&places.lock()) {
        context.output.note("the coordinator ends the run");
        store::wait_unlocked(&places.lock())?;
    }
    let mut state = run::read(repo.root(), &old)?;
    if state.outcome.is_none() {
        state = take_up(context, Repo::discover(&context.dir)?, &old, None, false)?;
    }
    if state.outcome != Some(Outcome::Replanned) {
        let message = format!("run {old} ended otherwise: {}", state.phase());
        return Err(Failure::new(Exit::Usage, message));
    }
    let from = from(&state);
    let (id, lock) = make_from(context, &args.run, &repo, Some(&from))?;
    // The new run's staging begins at the same commit.
    repo.delete_branch(&state.staging_branch())?;
    let state = take_up(context, repo, &id, Some(lock), false)?;
    finish(context, &state)
}

/// What the next run goes on from.
fn from(state: &RunState) -> From {
    let merged = state.tasks.iter().zip(&state.plan.tasks).filter(|(t, _)| t.step == Step::Merged);
    let landed: Vec<TaskId> = merged.map(|(_, spec)| spec.id.clone()).collect();
    From {
        target: state.header.target.clone(),
        target_at: state.target_tip.clone(),
        base: state.staging.clone().unwrap_or_else(|| state.header.base.clone()),
        landed,
    }
}
