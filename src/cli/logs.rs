//! `slimductor logs`: what a worker, its checks and the gate printed. Only reads.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::Context;
use super::exit::{Exit, Failure};
use crate::execute::job::{self, Probe};
use crate::execute::run;
use crate::execute::state::RunState;
use crate::execute::worktree::Places;
use crate::git::Repo;
use crate::store;
use crate::types::{JobId, TaskId};

/// Print a worker's output.
#[derive(Debug, Args)]
pub struct LogsArgs {
    /// The task.
    task: String,
    /// Go on until the worker has ended.
    #[arg(short, long)]
    follow: bool,
    /// The run; the newest unless given.
    #[arg(long)]
    run: Option<String>,
    /// The attempt; the last unless given.
    #[arg(long, value_name = "N")]
    attempt: Option<u32>,
    /// The output of the verification commands instead of the worker's.
    #[arg(long)]
    checks: bool,
}

/// A task of the newest (or named) run, or a failure that names the known ones.
pub fn find_task(
    context: &Context,
    run: Option<&str>,
    task: &str,
) -> Result<(RunState, Places, usize), Failure> {
    let repo = Repo::discover(&context.dir)?;
    let id = run::find(repo.root(), run)?;
    let state = run::read(repo.root(), &id)?;
    let index = TaskId::parse(task).and_then(|t| state.plan.index_of(&t)).ok_or_else(|| {
        let known: Vec<&str> = state.plan.tasks.iter().take(20).map(|t| t.id.as_str()).collect();
        let near =
            crate::plan::diagnostic::closest(task, state.plan.tasks.iter().map(|t| t.id.as_str()));
        let hint =
            near.map_or(format!("it has {}", known.join(", ")), |n| format!("did you mean `{n}`?"));
        Failure::new(Exit::Usage, format!("run {id} has no task `{task}`")).hint(hint)
    })?;
    let places = Places { root: repo.root().to_owned(), run: id };
    Ok((state, places, index))
}

/// The command.
pub fn logs(context: &mut Context, args: &LogsArgs) -> Result<Exit, Failure> {
    let (mut state, places, task) = find_task(context, args.run.as_deref(), &args.task)?;
    let id = state.plan.tasks[task].id.clone();
    // To follow means to wait for the beginning as well, as long as somebody works on the run.
    while args.follow && state.tasks[task].attempt == 0 && store::is_locked(&places.lock()) {
        std::thread::sleep(Duration::from_millis(200));
        state = run::read(&places.root, &places.run)?;
    }
    let attempt = args.attempt.unwrap_or(state.tasks[task].attempt);
    let job = if args.checks { JobId::checks(&id, attempt) } else { JobId::worker(&id, attempt) };
    let dir = places.job(&job);
    if attempt == 0 || !dir.exists() {
        let why = crate::execute::projection::reason(&state, task, &state.tasks[task]);
        return Err(Failure::new(Exit::Usage, format!("{id} has no such output yet: {why}")));
    }
    if context.output.manner.json {
        let steps = (0..).map(|n| job::log_path(&dir, n)).take_while(|p| p.exists());
        let texts: Vec<String> = steps
            .map(|p| String::from_utf8_lossy(&std::fs::read(p).unwrap_or_default()).into_owned())
            .collect();
        context
            .output
            .json(&serde_json::json!({"task": id, "attempt": attempt, "output": texts}), false);
        return Ok(Exit::Done);
    }
    let mut step = 0;
    let mut at = 0;
    loop {
        let ended = !matches!(job::probe(&dir), Ok(Probe::Running | Probe::NotStarted));
        let path = job::log_path(&dir, step);
        at = copy(context, &path, at);
        if job::log_path(&dir, step + 1).exists() {
            step += 1;
            at = 0;
        } else if ended || !args.follow {
            return Ok(Exit::Done);
        } else {
            std::thread::sleep(Duration::from_millis(200));
        }
    }
}

/// Prints what the file holds behind `at`, and says where it ends now.
fn copy(context: &Context, path: &PathBuf, at: u64) -> u64 {
    let Ok(mut file) = File::open(path) else { return at };
    let mut bytes = Vec::new();
    let read = file.seek(SeekFrom::Start(at)).and_then(|_| file.read_to_end(&mut bytes));
    if read.is_ok() {
        context.output.raw(&bytes);
    }
    at + bytes.len() as u64
}
