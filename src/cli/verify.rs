//! `slimductor verify` and `stop`: the checks of one task by hand, and the end of one worker.

use clap::{Args, ValueEnum};

use super::Context;
use super::exit::{Exit, Failure};
use super::logs::find_task;
use crate::execute::by_hand::{self, Part};
use crate::execute::job;
use crate::execute::state::Step;
use crate::git::Repo;
use crate::types::JobId;

/// Run the checks of one task by hand, on its worktree as it stands.
#[derive(Debug, Args)]
pub struct VerifyArgs {
    /// The task.
    task: String,
    /// Only these checks.
    #[arg(long, value_enum, value_delimiter = ',')]
    only: Vec<Only>,
    /// The run; the newest unless given.
    #[arg(long)]
    run: Option<String>,
}

/// One kind of check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Only {
    /// What it touched.
    Boundaries,
    /// Its verification commands.
    Commands,
    /// Its contracts' versions and signatures.
    Contracts,
    /// The lockfiles.
    Environment,
}

/// `verify`.
pub fn verify(context: &mut Context, args: &VerifyArgs) -> Result<Exit, Failure> {
    let (state, places, task) = find_task(context, args.run.as_deref(), &args.task)?;
    let part = |only: &Only| match only {
        Only::Boundaries => Part::Boundaries,
        Only::Commands => Part::Commands,
        Only::Contracts => Part::Contracts,
        Only::Environment => Part::Environment,
    };
    let parts: Vec<Part> = args.only.iter().map(part).collect();
    let repo = Repo::discover(&context.dir)?;
    let (env, exe) = (&context.env, context.exe.clone());
    let verdict = by_hand::verify(repo, &places, &state, task, &parts, env, exe)?;
    let id = &state.plan.tasks[task].id;
    let exit = if verdict.findings.is_empty() { Exit::Done } else { Exit::Unlanded };
    if context.output.manner.json {
        let value = serde_json::json!({
            "task": id, "passed": verdict.findings.is_empty(),
            "findings": verdict.findings, "report": verdict.report,
        });
        context.output.json(&value, false);
        return Ok(exit);
    }
    for step in verdict.report.iter().flat_map(|r| &r.steps) {
        let how = if step.passed() && step.skipped.is_none() {
            "passed".to_owned()
        } else {
            step.ending()
        };
        context.output.note(&format!("{how:<10} {}", step.command));
    }
    for finding in &verdict.findings {
        let mut text = format!("{}: {}\n  {}", finding.category, finding.message, finding.help);
        for line in finding.output.iter().flat_map(|o| o.lines()) {
            text.push_str(&format!("\n  > {line}"));
        }
        context.output.result(&text);
    }
    if verdict.findings.is_empty() {
        context.output.result(&format!("{id}: nothing is wrong with what stands in its worktree"));
    }
    Ok(exit)
}

/// End one worker.
#[derive(Debug, Args)]
pub struct StopArgs {
    /// The task.
    task: String,
    /// The run; the newest unless given.
    #[arg(long)]
    run: Option<String>,
}

/// `stop`.
pub fn stop(context: &mut Context, args: &StopArgs) -> Result<Exit, Failure> {
    let (state, places, task) = find_task(context, args.run.as_deref(), &args.task)?;
    let (run, id) = (&state.tasks[task], &state.plan.tasks[task].id);
    let dir = places.job(&JobId::worker(id, run.attempt));
    if run.step != Step::Working || !dir.join("pid.json").exists() {
        let message = format!("{id} is {}: no worker of it runs", run.word());
        return Err(Failure::new(Exit::Usage, message));
    }
    job::stop(&dir).map_err(|e| Failure::new(Exit::Environment, e.to_string()))?;
    if context.output.manner.json {
        context.output.json(&serde_json::json!({"task": id, "stopped": true}), false);
    } else {
        context
            .output
            .result(&format!("{id}: its worker was ended; the run tries it again, or asks"));
    }
    Ok(Exit::Done)
}
