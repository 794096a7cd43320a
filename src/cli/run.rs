//! `slimductor run`: checks, asks, makes the run, drives it, tells how it ended.

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};

use super::Context;
use super::choose;
use super::exit::{Exit, Failure};
use super::gather::{Gathered, Purpose, gather};
use super::plan::show_problems;
use super::progress;
use crate::execute::coordinator::{self, TakeUp};
use crate::execute::event::{Approval, Outcome, Settings};
use crate::execute::make::{self, NewRun};
use crate::execute::run::{self, DEFAULT_JOBS, DEFAULT_WINDOW, Held};
use crate::execute::state::RunState;
use crate::execute::worktree::Places;
use crate::execute::{preflight, projection, retention};
use crate::git::Repo;
use crate::plan::Task;
use crate::plan::config::{OnDiverged, Promote};
use crate::store::Lock;
use crate::types::{RunId, Sha};

/// Run a plan.
#[derive(Debug, Args)]
pub struct RunArgs {
    /// The plan; tasks.yaml unless given.
    file: Option<PathBuf>,
    /// How many tasks are worked on at once.
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=512))]
    jobs: Option<u32>,
    /// Where jobs run.
    #[arg(long, value_enum)]
    backend: Option<BackendArg>,
    /// The agent for tasks that name none.
    #[arg(long, value_name = "NAME")]
    agent: Option<String>,
    /// Approve the plan's risk, whatever its level.
    #[arg(long)]
    pub(super) approve: bool,
    /// Only these tasks, and what they depend on.
    #[arg(long, value_name = "TASK", num_args = 1.., value_delimiter = ',')]
    only: Vec<String>,
    /// Go on in the background; `status`, `logs` and `resume` find it.
    #[arg(long)]
    pub(super) detach: bool,
    /// Stop after the final gate; the target stays where it is.
    #[arg(long, conflicts_with = "promote_landed")]
    no_promote: bool,
    /// Promote what landed even when some tasks failed.
    #[arg(long)]
    promote_landed: bool,
    /// Push the staging branch and open a pull request, instead of moving the target.
    #[arg(long, conflicts_with = "no_promote")]
    pr: bool,
    /// How many merged trees are checked at once.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=256))]
    window: Option<u32>,
    /// What keeps jobs from writing outside their worktrees.
    #[arg(long, value_enum, value_name = "MODE")]
    fence: Option<FenceArg>,
}

/// What keeps jobs from writing outside their worktrees.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum FenceArg {
    /// The strongest that this machine permits: the repository is read-only but for the job's worktree.
    Repo,
    /// The same, and nothing else but caches and the temporary directory.
    Strict,
    /// Namespaces, or nothing is started.
    Namespace,
    /// Landlock, or nothing is started.
    Landlock,
    /// None.
    Off,
}

/// Which backend runs the jobs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum BackendArg {
    /// tmux where it is installed, else process.
    Auto,
    /// tmux sessions on a socket of slimductor's own.
    Tmux,
    /// Plain processes in sessions of their own.
    Process,
}

impl RunArgs {
    /// What `demo` runs with.
    pub fn for_demo(file: PathBuf, backend: Option<BackendArg>) -> RunArgs {
        RunArgs {
            file: Some(file),
            jobs: None,
            backend,
            agent: None,
            approve: false,
            only: Vec::new(),
            detach: false,
            no_promote: false,
            promote_landed: false,
            fence: None,
            pr: false,
            window: None,
        }
    }
}

/// The command.
pub fn run(context: &mut Context, args: &RunArgs) -> Result<Exit, Failure> {
    let repo = Repo::discover(&context.dir)?;
    let (id, lock) = make(context, args, &repo)?;
    if args.detach {
        drop(lock);
        return detach(context, &repo, &id);
    }
    let state = take_up(context, repo, &id, Some(lock), TakeUp::default())?;
    finish(context, &state)
}

/// What a run goes on from, when it is not the target itself.
pub struct From {
    /// The branch that it goes to.
    pub target: String,
    /// Where that stands, as the run before knew it.
    pub target_at: Sha,
    /// What landed so far.
    pub base: Sha,
    /// The tasks that landed, as they were asked for.
    pub landed: Vec<Task>,
}

/// A run that may be made: everything that could refuse it has agreed.
pub struct Prepared {
    gathered: Gathered,
    target: String,
    base: Sha,
    settings: Settings,
    approval: Approval,
}

/// Checks the plan, asks what is to be asked, and makes the run.
pub fn make(context: &mut Context, args: &RunArgs, repo: &Repo) -> Result<(RunId, Lock), Failure> {
    let prepared = prepare(context, args, repo, None)?;
    create(context, repo, prepared, None)
}

/// Everything that may refuse a run, before anything is made or given up for it.
pub fn prepare(
    context: &mut Context,
    args: &RunArgs,
    repo: &Repo,
    from: Option<&From>,
) -> Result<Prepared, Failure> {
    let gathered = gather(context, args.file.as_deref(), Purpose::Run)?;
    if !context.output.manner.json || !gathered.analysis.valid() {
        show_problems(context, &gathered);
    }
    let Some(plan) = &gathered.analysis.plan else {
        let file = gathered.file.display();
        return Err(Failure::new(Exit::Invalid, format!("the plan {file} is invalid"))
            .hint("`slimductor plan` shows the same without starting anything"));
    };
    let only = choose::only(plan, &args.only)?;
    if let (Some(from), Some(base)) = (from, &plan.base)
        && *base != from.target
    {
        let message =
            format!("the plan goes to {base}, and the run that it goes on from to {}", from.target);
        return Err(Failure::new(Exit::Invalid, message)
            .hint("take `base:` out of the plan, or end that run and start this one by itself"));
    }
    let (target, base) = match from {
        Some(from) => (from.target.clone(), from.base.clone()),
        None => choose::target(context, repo, plan)?,
    };
    choose::agents(plan, args.agent.as_deref())?;
    if repo.branch_tip("slimductor")?.is_some() {
        return Err(Failure::new(
            Exit::Environment,
            "the branch `slimductor` is in the way of `slimductor/<run>/…`",
        )
        .hint("rename it: `git branch -m slimductor something-else`"));
    }
    let worktrees = repo.root().join(".worktrees");
    if worktrees.symlink_metadata().is_ok() && !worktrees.is_dir() {
        let message = format!("{} is in the way: it is not a directory", worktrees.display());
        return Err(Failure::new(Exit::Environment, message).hint("move it away"));
    }
    let backend = choose::backend(args.backend, gathered.config.workers.backend)?;
    let fence = choose::fence(context, args.fence, gathered.config.workers.fence)?;
    let missing = preflight::type_checkers(plan, &gathered.config, repo, &base, &context.env)?;
    if let Some(missing) = missing.or_else(|| preflight::commands(&gathered.config, repo.root())) {
        return Err(Failure::new(Exit::Environment, missing.what).hint(missing.help));
    }
    if args.pr && !repo.has_remote(&target) {
        return Err(Failure::new(
            Exit::Environment,
            format!("--pr: {target} has no remote to push to"),
        )
        .hint("`git remote add origin URL`"));
    }
    let risk = gathered.analysis.risk.as_ref();
    let approval = choose::approve(context, args, risk)?;
    let changed = repo.changed_files(&context.dir).unwrap_or(0);
    if changed > 0 {
        let s = if changed == 1 { " has" } else { "s have" };
        context.output.note(&format!(
            "note: {changed} tracked file{s} uncommitted changes; workers start from {} at {} and do not see them",
            target,
            base.short()
        ));
    }
    let integration = &gathered.config.integration;
    let settings = Settings {
        jobs: args
            .jobs
            .or(gathered.config.orchestration.max_parallel_workers)
            .unwrap_or(DEFAULT_JOBS)
            .max(1),
        backend: backend.to_owned(),
        promote_landed: args.promote_landed
            || gathered.config.integration.promote == Promote::Landed,
        no_promote: args.no_promote,
        window: args.window.or(integration.window).unwrap_or(DEFAULT_WINDOW).max(1),
        strict: integration.strict,
        fail_on_diverged: integration.on_diverged == OnDiverged::Fail,
        pull_request: args.pr,
        max_iterations: gathered.config.orchestration.max_iterations.unwrap_or(3).max(1),
        reviewer: choose::reviewer(context, repo, &gathered.config)?,
        allowed_packages: gathered.config.dependencies.allowed_packages.clone(),
        auto_approve: gathered.config.dependencies.auto_approve,
        landed: Vec::new(),
        target_at: from.map(|f| f.target_at.clone()),
        only,
        agent: args.agent.clone(),
        env_pass: gathered.config.workers.env_pass.clone(),
        fence: fence.0.word().to_owned(),
        strict_fence: fence.1,
        writable: gathered.config.workers.writable.clone(),
        environment: gathered.environment.hash.clone(),
    };
    Ok(Prepared { target, base, settings, approval, gathered })
}

/// Makes the run that was prepared; `from` as it stands now.
pub fn create(
    context: &mut Context,
    repo: &Repo,
    prepared: Prepared,
    from: Option<&From>,
) -> Result<(RunId, Lock), Failure> {
    let Prepared { gathered, target, mut base, mut settings, approval } = prepared;
    let Some(plan) = &gathered.analysis.plan else {
        return Err(Failure::new(Exit::Bug, "a run without a plan was prepared"));
    };
    let backend = settings.backend.clone();
    if let Some(from) = from {
        base = from.base.clone();
        settings.target_at = Some(from.target_at.clone());
        for task in &from.landed {
            let Some(index) = plan.index_of(&task.id) else { continue };
            if plan.tasks[index].asks_the_same(task) {
                settings.landed.push(task.id.clone());
            } else {
                let id = &task.id;
                context.output.note(&format!(
                    "note: {id} landed as it was asked for before; the new plan asks for something else, so it is worked on again"
                ));
            }
        }
    }
    let overlay = context.env.iter().filter(|(name, _)| name.starts_with("SLIMDUCTOR__"));
    let (id, lock) = make::create(
        repo,
        NewRun {
            file: &gathered.path,
            plan_text: &gathered.bytes,
            config_text: &gathered.config_bytes,
            facts: gathered.facts.clone(),
            overlay: overlay.map(|(k, v)| (k.clone(), v.clone())).collect(),
            plan,
            target,
            base,
            settings,
            approval,
        },
    )?;
    if let Some(older) = unfinished_before(repo, &id)? {
        context.output.note(&format!(
            "note: run {older} is unfinished; `slimductor resume {older}` goes on with it"
        ));
    }
    let how = match backend.as_str() {
        "tmux" => format!("tmux; `tmux -L {} ls` shows the workers", run::socket_name(repo.root())),
        other => other.to_owned(),
    };
    let count = plan.tasks.len();
    let s = if count == 1 { "" } else { "s" };
    context.output.note(&format!("run {id}: {count} task{s} on {how}"));
    Ok((id, lock))
}

/// Takes a run up and drives it until it is over or waits for a person.
pub fn take_up(
    context: &mut Context,
    repo: Repo,
    id: &RunId,
    lock: Option<Lock>,
    how: TakeUp,
) -> Result<RunState, Failure> {
    let held = run::hold(repo.root(), id, lock)?;
    drive(context, repo, held, how)
}

/// Drives a run that is held until it is over or waits for a person.
pub fn drive(
    context: &mut Context,
    repo: Repo,
    held: Held,
    how: TakeUp,
) -> Result<RunState, Failure> {
    let (root, id) = (repo.root().to_owned(), held.state.header.run_id.clone());
    let (env, exe) = (context.env.clone(), context.exe.clone());
    let output = &mut context.output;
    let result = coordinator::drive(repo, held, &env, exe, how, |record, state| {
        progress::show(output, record, state);
    });
    context.output.end_bars();
    let state = result?;
    if state.outcome.is_some() {
        for line in retention::after(&root, &id) {
            context.output.note(&line);
        }
    }
    Ok(state)
}

/// Tells how a run ended, and maps it to the exit code.
pub fn finish(context: &mut Context, state: &RunState) -> Result<Exit, Failure> {
    let exit = exit_of(state);
    if context.output.manner.json {
        let mut value = serde_json::json!({"type": "result", "exit": exit.code()});
        if let (Some(out), Ok(serde_json::Value::Object(status))) =
            (value.as_object_mut(), serde_json::to_value(projection::status(state, None)))
        {
            out.extend(status);
        }
        context.output.json(&value, true);
    } else {
        context.output.result(&progress::summary(state));
    }
    Ok(exit)
}

/// The exit code that a run's end stands for.
pub fn exit_of(state: &RunState) -> Exit {
    match (state.outcome, &state.waiting) {
        (Some(Outcome::Done), _) => Exit::Done,
        (Some(Outcome::Partial | Outcome::Aborted | Outcome::Replanned), _) => Exit::Unlanded,
        (None, _) => Exit::Person,
    }
}

fn unfinished_before(repo: &Repo, new: &RunId) -> Result<Option<RunId>, Failure> {
    for run in run::list(repo.root()).into_iter().rev().filter(|r| r != new).take(1) {
        if run::read(repo.root(), &run).is_ok_and(|s| s.outcome.is_none()) {
            return Ok(Some(run));
        }
    }
    Ok(None)
}

/// Leaves the run to a coordinator in the background.
pub(super) fn detach(context: &mut Context, repo: &Repo, id: &RunId) -> Result<Exit, Failure> {
    let places = Places { root: repo.root().to_owned(), run: id.clone() };
    let log = places.run_dir().join("coordinator.log");
    spawn_coordinator(context, repo.root(), id, &log)?;
    if context.output.manner.json {
        context
            .output
            .json(&serde_json::json!({"type": "detached", "run_id": id, "log": log}), true);
    } else {
        context
            .output
            .result(&format!("run {id} goes on in the background; `slimductor status` shows it"));
    }
    Ok(Exit::Done)
}

fn spawn_coordinator(
    context: &Context,
    root: &Path,
    id: &RunId,
    log: &Path,
) -> Result<(), Failure> {
    let failed =
        |e: String| Failure::new(Exit::Environment, format!("cannot start the coordinator: {e}"));
    let file = crate::store::open_append(log)?;
    let second = file.try_clone().map_err(|e| failed(e.to_string()))?;
    #[expect(
        clippy::disallowed_methods,
        reason = "the coordinator of a detached run is this binary"
    )]
    let mut command = std::process::Command::new(&context.exe);
    command
        .arg("-C")
        .arg(root)
        .args(["resume", id.as_str(), "--own-session"])
        .stdin(std::process::Stdio::null())
        .stdout(file)
        .stderr(second)
        .spawn()
        .map_err(|e| failed(e.to_string()))?;
    Ok(())
}
