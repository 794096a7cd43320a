//! What a run is made with: which tasks, from where, on which backend, behind which fence, and who agrees. Starts nothing.

use super::Context;
use super::exit::{Exit, Failure};
use super::plan_report::risk_text;
use super::run::{BackendArg, FenceArg, RunArgs};
use crate::execute::backend::tmux::TmuxServer;
use crate::execute::event::Approval;
use crate::execute::fence::{self, Mode};
use crate::execute::suites;
use crate::git::Repo;
use crate::plan::config::{BackendChoice, Config, Fence, PromptBy};
use crate::plan::risk::{Level, Risk};
use crate::plan::{Plan, Work};
use crate::types::{Sha, TaskId};

pub(super) fn only(plan: &Plan, wanted: &[String]) -> Result<Vec<TaskId>, Failure> {
    let mut out = Vec::new();
    for text in wanted {
        let known = TaskId::parse(text).filter(|id| plan.index_of(id).is_some());
        out.push(known.ok_or_else(|| {
            Failure::new(Exit::Usage, format!("--only: the plan has no task `{text}`"))
        })?);
    }
    Ok(out)
}

/// The branch that the run starts from and promotes to, and where it stands.
pub(super) fn target(
    context: &Context,
    repo: &Repo,
    plan: &Plan,
) -> Result<(String, Sha), Failure> {
    let branch = match &plan.base {
        Some(base) => base.clone(),
        None => repo.current_branch(&context.dir)?.ok_or_else(|| {
            Failure::new(
                Exit::Environment,
                "HEAD is detached: there is no current branch to start from",
            )
            .hint("check out a branch, or name one under `base:` in the plan")
        })?,
    };
    match repo.branch_tip(&branch)? {
        Some(tip) => Ok((branch, tip)),
        None if plan.base.is_some() => Err(Failure::new(
            Exit::Invalid,
            format!("the plan's base `{branch}` is not a branch here"),
        )
        .hint("`git branch` lists them")),
        None => {
            Err(Failure::new(Exit::Environment, format!("the branch {branch} has no commit yet"))
                .hint("commit something first: workers start from a commit"))
        }
    }
}

/// Every agent that the plan needs must be there before anything is created.
pub(super) fn agents(plan: &Plan, given: Option<&str>) -> Result<(), Failure> {
    for task in &plan.tasks {
        let Work::Agent(named) = &task.work else { continue };
        let name = named.as_deref().or(given);
        if name == Some("shell") {
            continue;
        }
        let message = match name {
            Some(name) => {
                format!("{} wants the agent `{name}`, which this version cannot launch", task.id)
            }
            None => format!("{} has neither `run` nor `agent`", task.id),
        };
        return Err(Failure::new(Exit::Environment, message).hint(
            "give the task a `run:` command, or `agent: shell` with a script as its prompt",
        ));
    }
    Ok(())
}

pub(super) fn backend(
    given: Option<BackendArg>,
    configured: BackendChoice,
) -> Result<&'static str, Failure> {
    let choice = match given {
        Some(BackendArg::Auto) => BackendChoice::Auto,
        Some(BackendArg::Tmux) => BackendChoice::Tmux,
        Some(BackendArg::Process) => BackendChoice::Process,
        None => configured,
    };
    match choice {
        BackendChoice::Process => Ok("process"),
        BackendChoice::Auto if TmuxServer::version().is_none() => Ok("process"),
        BackendChoice::Tmux if TmuxServer::version().is_none() => {
            Err(Failure::new(Exit::Environment, "tmux cannot be run")
                .hint("install tmux, or use `--backend process`"))
        }
        BackendChoice::Auto | BackendChoice::Tmux => Ok("tmux"),
    }
}

/// The command of the agent that reviews; empty where no role says who.
pub(super) fn reviewer(
    context: &Context,
    repo: &Repo,
    config: &Config,
) -> Result<Vec<String>, Failure> {
    let Some(name) = &config.roles.reviewer.agent else { return Ok(Vec::new()) };
    if let Some(agent) = config.agents.get(name).filter(|a| !a.command.is_empty()) {
        if agent.prompt != PromptBy::File {
            let message = format!("the reviewer `{name}` takes its prompt otherwise than by file");
            return Err(Failure::new(Exit::Environment, message)
                .hint("give `prompt: file`, and {prompt_file} where the command wants it"));
        }
        let program = agent.command.first().map(String::as_str).unwrap_or_default();
        if !program.contains('/') && !suites::is_installed(&context.env, repo.root(), program) {
            let message = format!("the reviewer `{name}` runs `{program}`, which is not installed");
            return Err(Failure::new(Exit::Environment, message)
                .hint("install it, or take `roles.reviewer.agent` out"));
        }
        let model = config.roles.reviewer.model.clone().unwrap_or_default();
        return Ok(agent.command.iter().map(|word| word.replace("{model}", &model)).collect());
    }
    let message = format!("the reviewer is the agent `{name}`, which this version cannot launch");
    Err(Failure::new(Exit::Environment, message)
        .hint("name one with a `command` under `agents` in slimductor.yaml, or take `roles.reviewer.agent` out"))
}

/// How jobs are fenced, and whether strictly.
pub(super) fn fence(
    context: &Context,
    given: Option<FenceArg>,
    configured: Fence,
) -> Result<(Mode, bool), Failure> {
    // Every job needs one, and without it no fence could be tried.
    tempfile::tempfile().map_err(|e| {
        let dir = std::env::temp_dir();
        let message = format!("the temporary directory {} cannot be written: {e}", dir.display());
        Failure::new(Exit::Environment, message).hint("set TMPDIR to one that can")
    })?;
    let wanted = match given {
        Some(FenceArg::Repo) => Fence::Repo,
        Some(FenceArg::Strict) => Fence::Strict,
        Some(FenceArg::Namespace) => Fence::Namespace,
        Some(FenceArg::Landlock) => Fence::Landlock,
        Some(FenceArg::Off) => Fence::Off,
        None => configured,
    };
    let named = |mode: Mode| match fence::holds(&context.exe, mode) {
        true => Ok((mode, false)),
        false => Err(Failure::new(
            Exit::Environment,
            format!("this machine does not permit the fence `{}`", mode.word()),
        )
        .hint("`slimductor doctor` says which holds here; `--fence repo` takes the strongest")),
    };
    match wanted {
        Fence::Off => Ok((Mode::Off, false)),
        Fence::Namespace => named(Mode::Namespace),
        Fence::Landlock => named(Mode::Landlock),
        Fence::Repo | Fence::Strict => {
            let mode = fence::strongest(&context.exe);
            if mode == Mode::Off {
                let note = "note: neither namespaces nor Landlock are permitted here: jobs are not fenced, their work is only judged";
                context.output.note(note);
            }
            Ok((mode, wanted == Fence::Strict))
        }
    }
}

/// Asks for what the plan's risk asks for.
pub(super) fn approve(
    context: &Context,
    args: &RunArgs,
    risk: Option<&Risk>,
) -> Result<Approval, Failure> {
    let Some(risk) = risk else {
        return Err(Failure::new(Exit::Bug, "a valid plan without a risk"));
    };
    let by = |by: &str| Approval {
        score: risk.score,
        level: risk.level.word().to_owned(),
        by: by.to_owned(),
    };
    let flag = match risk.level {
        Level::Auto => return Ok(by("auto")),
        _ if args.approve => return Ok(by("--approve")),
        Level::Review if context.global.yes => return Ok(by("--yes")),
        Level::Review => "--yes",
        Level::Approval => "--approve",
    };
    context.output.note(risk_text(risk).trim_end());
    match context.output.ask("Go on? [y/N]").as_deref() {
        Some("y" | "yes") => Ok(by("terminal")),
        Some(_) => Err(Failure::new(Exit::Person, "not approved; nothing was started")),
        None => Err(Failure::new(
            Exit::Person,
            format!("the risk is {} ({}): a person has to agree", risk.score, risk.level.word()),
        )
        .hint(format!("look at `slimductor plan --dry-run`, then add {flag}"))),
    }
}
