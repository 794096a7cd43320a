//! `slimductor demo`: the main job on a throw-away repository made from examples/demo. Needs no agent, key or tmux.

use std::path::{Path, PathBuf};

use clap::Args;

use super::Context;
use super::exit::{Exit, Failure};
use super::run::{BackendArg, RunArgs, exit_of, finish, make, take_up};
use crate::execute::coordinator::TakeUp;
use crate::execute::event::Choice;
use crate::execute::reports;
use crate::execute::worktree::Places;
use crate::execute::world::{self, AnswerFile};
use crate::git::Repo;
use crate::store::{self, Mode};
use crate::types::Sha;

/// The files of the demo's repository, as they stand in examples/demo/repo.
const FILES: [(&str, &str); 8] = [
    (".gitignore", include_str!("../../examples/demo/repo/.gitignore")),
    ("README.md", include_str!("../../examples/demo/repo/README.md")),
    ("lib/book.sh", include_str!("../../examples/demo/repo/lib/book.sh")),
    ("tests/run.sh", include_str!("../../examples/demo/repo/tests/run.sh")),
    ("tests/check.sh", include_str!("../../examples/demo/repo/tests/check.sh")),
    ("tests/check_guide.sh", include_str!("../../examples/demo/repo/tests/check_guide.sh")),
    ("tests/check_table.sh", include_str!("../../examples/demo/repo/tests/check_table.sh")),
    ("tests/test_book.sh", include_str!("../../examples/demo/repo/tests/test_book.sh")),
];
const PLAN: &str = include_str!("../../examples/demo/tasks.yaml");

/// Run a small plan in a throw-away repository.
#[derive(Debug, Args)]
pub struct DemoArgs {
    /// Keep the repository, to look around in it.
    #[arg(long)]
    keep: bool,
    /// Where jobs run.
    #[arg(long, value_enum)]
    backend: Option<BackendArg>,
}

/// The command.
pub fn demo(context: &mut Context, args: &DemoArgs) -> Result<Exit, Failure> {
    let temp = tempfile::Builder::new().prefix("slimductor-demo-").tempdir().map_err(|e| {
        Failure::new(Exit::Environment, format!("cannot make a temporary directory: {e}"))
    })?;
    let (dir, _guard) =
        if args.keep { (temp.keep(), None) } else { (temp.path().to_owned(), Some(temp)) };
    let dir = dir.canonicalize().unwrap_or(dir);
    let repo = fill(&dir)?;
    context.output.note(&format!("a throw-away repository in {}", dir.display()));
    // The demo is the same whatever configures the caller's own runs.
    context.env.retain(|name, _| !name.starts_with("SLIMDUCTOR__"));
    context.global.config = None;
    context.dir.clone_from(&dir);
    let start = tip(&repo)?;
    let (id, lock) =
        make(context, &RunArgs::for_demo(PathBuf::from("tasks.yaml"), args.backend), &repo)?;
    let state = match take_up(context, repo, &id, Some(lock), TakeUp::default()) {
        Ok(state) => state,
        Err(failure) => {
            if !args.keep {
                end(context, &dir, &id);
            }
            let gone = !args.keep && failure.exit == Exit::Interrupted;
            return Err(if gone {
                Failure::new(Exit::Interrupted, "interrupted; the throw-away repository is gone")
            } else {
                failure
            });
        }
    };
    if !context.output.manner.json {
        let repo = Repo::discover(&dir)?;
        let mut text = String::from("\nwhat main holds now, one merge for each task:\n");
        for line in repo.first_parents(&start, &tip(&repo)?)? {
            text.push_str(&format!("  {line}\n"));
        }
        let again = state.plan.tasks.iter().zip(&state.tasks).filter(|(_, run)| run.attempt > 1);
        for (task, run) in again {
            text.push_str(&format!(
                "{} needed {} attempts: its own test refused the first\n",
                task.id, run.attempt
            ));
        }
        context.output.result(&text);
    }
    finish(context, &state)?;
    if !context.output.manner.json {
        context.output.result(&if args.keep {
            format!(
                "look around: cd {} && git log --graph --oneline && slimductor status",
                dir.display()
            )
        } else {
            "the repository is gone again; `slimductor demo --keep` leaves it to look around in"
                .to_owned()
        });
    }
    Ok(exit_of(&state))
}

fn fill(dir: &Path) -> Result<Repo, Failure> {
    for (name, text) in FILES {
        let path = dir.join(name);
        if let Some(above) = path.parent() {
            store::make_user_dir(above)?;
        }
        store::replace(&path, text.as_bytes(), Mode::Shared)?;
    }
    store::replace(&dir.join("tasks.yaml"), PLAN.as_bytes(), Mode::Shared)?;
    Ok(Repo::create(dir, "A very small post office", world::present().as_millisecond())?)
}

fn tip(repo: &Repo) -> Result<Sha, Failure> {
    repo.branch_tip("main")?
        .ok_or_else(|| Failure::new(Exit::Bug, "the demo's repository has no main"))
}

/// Ends what an interrupted demo left running, before its directory goes.
fn end(context: &mut Context, dir: &Path, id: &crate::types::RunId) {
    let places = Places { root: dir.to_owned(), run: id.clone() };
    let _ = reports::leave_answer(
        &places,
        &AnswerFile { choice: Choice::Abort, task: None, attempt: None },
    );
    if let Ok(repo) = Repo::discover(dir) {
        let _ = take_up(context, repo, id, None, TakeUp::default());
    }
}
