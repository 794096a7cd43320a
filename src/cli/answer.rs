//! `slimductor answer`, `approve`, `retry` and `skip`: what a person decides. Drops a file that the coordinator takes,
//! the one that runs or the next.

use clap::{Args, ValueEnum};

use super::Context;
use super::abort::{self, AbortArgs};
use super::exit::{Exit, Failure};
use super::logs::find_task;
use crate::execute;
use crate::execute::event::Choice;
use crate::execute::reports;
use crate::execute::state::Step;
use crate::execute::worktree::Places;
use crate::execute::world::AnswerFile;
use crate::git::Repo;
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

/// Decide about a question that a run asks.
#[derive(Debug, Args)]
pub struct DecideArgs {
    /// What it is about: a task's id, or `run` for the whole.
    id: String,
    /// What is decided.
    #[arg(value_enum)]
    choice: Decision,
    /// The run; the newest unless given.
    #[arg(long)]
    run: Option<String>,
}

/// What may be decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Decision {
    /// Judge what was put right in the task's kept worktree.
    Fix,
    /// Try the task again, with fresh attempts.
    Retry,
    /// Go on without the task, and without what needs it.
    Skip,
    /// Install what the task waits for; with `run`, what all of them wait for.
    Approve,
    /// Take the whole as it is, whatever the reviewer says.
    Accept,
    /// End the run.
    Abort,
}

/// Let packages be installed.
#[derive(Debug, Args)]
pub struct ApproveArgs {
    /// The tasks whose packages; all of them unless given.
    tasks: Vec<String>,
    /// The run; the newest unless given.
    #[arg(long)]
    run: Option<String>,
}

/// `answer`.
pub fn decide(context: &mut Context, args: &DecideArgs) -> Result<Exit, Failure> {
    let about = |task: &str| AnswerArgs { task: task.to_owned(), run: args.run.clone() };
    match (args.id.as_str(), args.choice) {
        ("run", Decision::Abort) => abort::abort(context, &AbortArgs { run: args.run.clone() }),
        ("run", Decision::Accept) => accept(context, args.run.as_deref()),
        (_, Decision::Accept) => Err(Failure::new(Exit::Usage, "that is decided about the whole")
            .hint("`slimductor answer run accept`")),
        ("run", Decision::Approve) => approve_all(context, args.run.as_deref()),
        ("run", _) => Err(Failure::new(Exit::Usage, "that is decided about a task: name it").hint(
            "`slimductor answer TASK fix|retry|skip|approve`, `answer run accept|approve|abort`",
        )),
        (_, Decision::Abort) => Err(Failure::new(Exit::Usage, "a task is not aborted: skip it")
            .hint("`slimductor abort` ends the whole run")),
        (task, Decision::Fix) => answer(context, &about(task), Choice::Fix),
        (task, Decision::Retry) => answer(context, &about(task), Choice::Retry),
        (task, Decision::Skip) => answer(context, &about(task), Choice::Skip),
        (task, Decision::Approve) => answer(context, &about(task), Choice::Approve),
    }
}

/// `approve`.
pub fn approve(context: &mut Context, args: &ApproveArgs) -> Result<Exit, Failure> {
    if args.tasks.is_empty() {
        return approve_all(context, args.run.as_deref());
    }
    // All names are looked at before the first is answered.
    for task in &args.tasks {
        find_task(context, args.run.as_deref(), task)?;
    }
    for task in &args.tasks {
        let about = AnswerArgs { task: task.clone(), run: args.run.clone() };
        answer(context, &about, Choice::Approve)?;
    }
    Ok(Exit::Done)
}

fn accept(context: &mut Context, run: Option<&str>) -> Result<Exit, Failure> {
    let repo = Repo::discover(&context.dir)?;
    let id = execute::run::find(repo.root(), run)?;
    let state = execute::run::read(repo.root(), &id)?;
    if state.review_stuck.is_none() {
        let message = format!("run {id} does not wait for a word about a review");
        return Err(Failure::new(Exit::Usage, message));
    }
    let places = Places { root: repo.root().to_owned(), run: id };
    let choice = Choice::Accept;
    reports::leave_answer(&places, &AnswerFile { choice, task: None, attempt: None })?;
    context.output.result("accepted: `slimductor resume` takes it up");
    Ok(Exit::Done)
}

fn approve_all(context: &mut Context, run: Option<&str>) -> Result<Exit, Failure> {
    let repo = Repo::discover(&context.dir)?;
    let id = execute::run::find(repo.root(), run)?;
    let state = execute::run::read(repo.root(), &id)?;
    let places = Places { root: repo.root().to_owned(), run: id };
    let packages: Vec<String> = state.requests(false).into_iter().map(|(_, p)| p).collect();
    let asked = state.tasks.iter().any(|t| t.step == Step::Blocked);
    if state.outcome.is_some() || !asked {
        let message = format!("run {} asks for nothing to be installed", places.run);
        return Err(Failure::new(Exit::Usage, message));
    }
    let choice = Choice::Approve;
    reports::leave_answer(&places, &AnswerFile { choice, task: None, attempt: None })?;
    let live = store::is_locked(&places.lock());
    if context.output.manner.json {
        let value = serde_json::json!({"choice": "approve", "packages": packages, "live": live});
        context.output.json(&value, false);
        return Ok(Exit::Done);
    }
    let next = if live { "the coordinator" } else { "`slimductor resume`" };
    let what =
        if packages.is_empty() { "what they ask for".to_owned() } else { packages.join(", ") };
    context.output.result(&format!("approved {what}: {next} takes it up"));
    Ok(Exit::Done)
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
        Choice::Skip | Choice::Abort | Choice::Replan | Choice::Accept => {
            ("skip", state.may_skip(task))
        }
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
