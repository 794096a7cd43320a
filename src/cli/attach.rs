//! `slimductor attach`: a worker's tmux session in this terminal.

use std::os::unix::process::CommandExt;

use clap::Args;

use super::Context;
use super::exit::{Exit, Failure};
use super::logs::find_task;
use crate::execute::backend::Handle;
use crate::execute::coordinator;
use crate::types::JobId;

/// Open a worker's tmux session.
#[derive(Debug, Args)]
pub struct AttachArgs {
    /// The task.
    task: String,
    /// The run; the newest unless given.
    #[arg(long)]
    run: Option<String>,
}

/// The command; returns only when it cannot.
pub fn attach(context: &mut Context, args: &AttachArgs) -> Result<Exit, Failure> {
    let (state, places, task) = find_task(context, args.run.as_deref(), &args.task)?;
    let id = &state.plan.tasks[task].id;
    let job = JobId::worker(id, state.tasks[task].attempt);
    let handle = Handle { dir: places.job(&job), job, title: format!("worker-{id}") };
    let backend = coordinator::backend_of(&state, &places.root, context.exe.clone());
    let Some((mut command, _)) = backend.attach(&handle) else {
        if backend.name() == "tmux" {
            let why = crate::execute::projection::reason(&state, task, &state.tasks[task]);
            return Err(Failure::new(Exit::Usage, format!("{id} has no session now: {why}"))
                .hint(format!("`slimductor logs {id}` shows what it printed")));
        }
        return Err(Failure::new(
            Exit::Usage,
            format!("{id} has no terminal ({} backend)", backend.name()),
        )
        .hint(format!("`slimductor logs {id} -f` shows its output")));
    };
    let error = command.env_remove("TMUX").exec();
    Err(Failure::new(Exit::Environment, format!("cannot start tmux: {error}")))
}
