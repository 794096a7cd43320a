//! `slimductor retry` and `slimductor skip`: what a person decides about a task. Drops a file that the coordinator
//! takes, the one that runs or the next.

use clap::Args;

use super::Context;
use super::exit::{Exit, Failure};
use super::logs::find_task;
use crate::execute::event::Choice;
use crate::execute::reports;
use crate::execute::state::Step;
use crate::execute::world::AnswerFile;
use crate::store;

/// Decide about a task.
#[derive(Debug, Args)]
pub struct AnswerArgs {
    /// The task.
    task: String,
    /// The run; the newest unless given.
    #[arg(long)]
    run: Option<String>,
}

/// `retry`.
pub fn retry(context: &mut Context, args: &AnswerArgs) -> Result<Exit, Failure> {
    answer(context, args, Choice::Retry)
}

/// `skip`.
pub fn skip(context: &mut Context, args: &AnswerArgs) -> Result<Exit, Failure> {
    answer(context, args, Choice::Skip)
}

fn answer(context: &mut Context, args: &AnswerArgs, choice: Choice) -> Result<Exit, Failure> {
    let (state, places, task) = find_task(context, args.run.as_deref(), &args.task)?;
    let run = &state.tasks[task];
    let id = state.plan.tasks[task].id.clone();
    let (word, fits) = match choice {
        Choice::Retry => ("retry", state.may_retry(task)),
        Choice::Fix => ("fix", run.step == Step::Failed && run.slot.is_some()),
        Choice::Approve => ("approve", run.step == Step::Blocked),
        Choice::Skip | Choice::Abort | Choice::Replan => ("skip", state.may_skip(task)),
    };
    if state.outcome.is_some() {
        return Err(Failure::new(Exit::Usage, format!("run {} has ended", places.run)));
    }
    if state.promoted.is_some() || state.cleaned {
        let message = format!("run {} has moved {} already", places.run, state.header.target);
        return Err(Failure::new(Exit::Usage, message).hint("`slimductor resume` finishes it"));
    }
    if !fits {
        let why = crate::execute::projection::reason(&state, task, run);
        let message = format!("{id} is {} ({why}): there is nothing to {word}", run.word());
        return Err(Failure::new(Exit::Usage, message));
    }
    reports::leave_answer(
        &places,
        &AnswerFile { choice, task: Some(id.clone()), attempt: Some(run.attempt) },
    )?;
    let live = store::is_locked(&places.lock());
    if context.output.manner.json {
        context.output.json(&serde_json::json!({"task": id, "choice": word, "live": live}), false);
    } else if live {
        context.output.result(&format!("{word} {id}: the coordinator takes it up"));
    } else {
        context.output.result(&format!("{word} {id}: `slimductor resume` takes it up"));
    }
    Ok(Exit::Done)
}
