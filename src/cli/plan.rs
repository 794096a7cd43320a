//! `slimductor plan`: checks a plan and says what it found. With `--dry-run` it opens nothing for writing.

use std::path::PathBuf;

use clap::Args;
use schemars::JsonSchema;
use serde::Serialize;

use super::Context;
use super::exit::{Exit, Failure};
use super::gather::{Environment, Gathered, gather};
use super::output::columns;
use crate::git::Repo;
use crate::plan::Analysis;
use crate::plan::diagnostic::{Code, Severity};
use crate::plan::risk::{Level, Risk};
use crate::store::{self, Mode};
use crate::types::TaskId;

/// Check a plan.
#[derive(Debug, Args)]
pub struct PlanArgs {
    /// The plan; tasks.yaml unless given.
    file: Option<PathBuf>,
    /// No side effect at all: no file, branch, directory or process.
    #[arg(long)]
    dry_run: bool,
    /// Exit with 3 when the risk score is higher.
    #[arg(long, value_name = "N")]
    max_risk: Option<u64>,
}

/// `plan --json`.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(title = "slimductor plan")]
pub struct PlanReport {
    valid: bool,
    tasks: usize,
    waves: Vec<Vec<TaskId>>,
    critical_path: Vec<TaskId>,
    max_parallelism: usize,
    problems: Vec<ProblemReport>,
    conflicts: Vec<ConflictLine>,
    conflict_count: usize,
    risk: Option<Risk>,
    contracts: Vec<ContractLine>,
    environment: Environment,
}

#[derive(Debug, Serialize, JsonSchema)]
struct ProblemReport {
    code: Code,
    severity: Severity,
    message: String,
    task: Option<TaskId>,
    path: Option<String>,
    line: Option<u32>,
    column: Option<u32>,
    help: Option<String>,
    fix: Option<String>,
}

#[derive(Debug, Serialize, JsonSchema)]
struct ConflictLine {
    kind: Code,
    target: String,
    tasks: [TaskId; 2],
    fix: Fix,
}

#[derive(Debug, Serialize, JsonSchema)]
struct Fix {
    task: TaskId,
    depends_on: TaskId,
}

#[derive(Debug, Serialize, JsonSchema)]
struct ContractLine {
    name: String,
    version: Option<String>,
    file_path: String,
    status: &'static str,
}

impl PlanReport {
    fn new(gathered: &Gathered) -> PlanReport {
        let analysis = &gathered.analysis;
        let problems = analysis.problems.iter().map(|p| ProblemReport {
            code: p.code,
            severity: p.severity,
            message: p.message.clone(),
            task: p.task.clone(),
            path: p.path.clone(),
            line: p.place().map(|(line, _)| line),
            column: p.place().map(|(_, column)| column),
            help: p.help.clone(),
            fix: p.fix.clone(),
        });
        let conflicts = analysis.conflicts.iter().map(|c| ConflictLine {
            kind: c.kind,
            target: c.target.clone(),
            tasks: c.tasks.clone(),
            fix: Fix { task: c.fix.0.clone(), depends_on: c.fix.1.clone() },
        });
        let contracts = analysis.contracts.iter().map(|c| ContractLine {
            name: c.name.clone(),
            version: c.version.clone(),
            file_path: c.file_path.clone(),
            status: c.status,
        });
        PlanReport {
            valid: analysis.valid(),
            tasks: analysis.tasks,
            waves: analysis.waves.clone(),
            critical_path: analysis.critical_path.clone(),
            max_parallelism: analysis.waves.iter().map(Vec::len).max().unwrap_or(0),
            problems: problems.collect(),
            conflicts: conflicts.collect(),
            conflict_count: analysis.conflict_count,
            risk: analysis.risk.clone(),
            contracts: contracts.collect(),
            environment: gathered.environment.clone(),
        }
    }
}

/// The command.
pub fn plan(context: &mut Context, args: &PlanArgs) -> Result<Exit, Failure> {
    let gathered = gather(context, args.file.as_deref())?;
    let analysis = &gathered.analysis;
    if context.output.manner.json {
        context.output.json(&PlanReport::new(&gathered), false);
    } else {
        show_problems(context, &gathered);
        context.output.result(&summary(analysis));
    }
    if !analysis.valid() {
        return Ok(Exit::Invalid);
    }
    if !args.dry_run {
        let root = Repo::checkout_around(&context.dir).unwrap_or_else(|| context.dir.clone());
        let path = root.join("execution-plan.md");
        store::replace(&path, document(&gathered).as_bytes(), Mode::Shared)?;
        context.output.note(&format!("wrote {}", path.display()));
    }
    let score = analysis.risk.as_ref().map_or(0, |r| r.score);
    match args.max_risk {
        Some(limit) if score > limit => Err(Failure::new(
            Exit::Invalid,
            format!("the risk score is {score}, over --max-risk {limit}"),
        )),
        Some(_) | None => Ok(Exit::Done),
    }
}

/// Shows every problem as a compiler would.
pub fn show_problems(context: &Context, gathered: &Gathered) {
    let text = String::from_utf8_lossy(&gathered.bytes);
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    let file = gathered.file.to_string_lossy();
    const SHOWN: usize = 100;
    for problem in gathered.analysis.problems.iter().take(SHOWN) {
        let quiet = context.output.manner.quiet && problem.severity == Severity::Warning;
        if !quiet {
            context.output.diagnostic(&problem.render(&file, text, context.output.manner.colour));
        }
    }
    let more = gathered.analysis.problems.len().saturating_sub(SHOWN);
    if more > 0 {
        context.output.diagnostic(&format!("… and {more} more; `--json` lists them"));
    }
}

fn names(ids: &[TaskId]) -> String {
    ids.iter().map(TaskId::as_str).collect::<Vec<_>>().join(", ")
}

fn summary(analysis: &Analysis) -> String {
    let errors = analysis.problems.iter().filter(|p| p.severity == Severity::Error).count();
    if errors > 0 {
        let s = if errors == 1 { "" } else { "s" };
        let conflicts = match analysis.conflict_count {
            0 => String::new(),
            n => format!(", {n} of them conflicts"),
        };
        return format!("the plan is invalid: {errors} error{s}{conflicts}");
    }
    let mut rows = Vec::new();
    for (n, wave) in analysis.waves.iter().enumerate() {
        if n == 12 && analysis.waves.len() > 14 {
            rows.push(vec!["  …".to_owned(), format!("{} waves in all", analysis.waves.len())]);
            break;
        }
        let mut text = names(wave.get(..20).unwrap_or(wave));
        if wave.len() > 20 {
            text.push_str(&format!(" … ({} tasks)", wave.len()));
        }
        rows.push(vec![format!("  wave {}", n + 1), text]);
    }
    let many = |n: usize, what: &str| format!("{n} {what}{}", if n == 1 { "" } else { "s" });
    let (tasks, waves) = (many(analysis.tasks, "task"), many(analysis.waves.len(), "wave"));
    let mut out = format!("the plan is valid: {tasks} in {waves}\n");
    out.push_str(&columns(&rows));
    let path = analysis.critical_path.get(..12).unwrap_or(&analysis.critical_path);
    let more = if analysis.critical_path.len() > 12 { " …" } else { "" };
    let path = path.iter().map(TaskId::as_str).collect::<Vec<_>>().join(" → ");
    out.push_str(&format!("critical path: {path}{more}\n"));
    if let Some(risk) = &analysis.risk {
        out.push_str(&risk_text(risk));
    }
    out
}

/// The risk in a few lines.
pub fn risk_text(risk: &Risk) -> String {
    let what = match risk.level {
        Level::Auto => "nothing to ask",
        Level::Review => "`run` asks, or takes --yes",
        Level::Approval => "`run` needs --approve",
    };
    let mut out = format!("risk: {} ({}: {what})\n", risk.score, risk.level.word());
    for factor in risk.factors.iter().take(10) {
        out.push_str(&format!("  {:>3}  {}\n", factor.points, factor.detail));
    }
    if risk.factors.len() > 10 {
        out.push_str(&format!("       … and {} more\n", risk.factors.len() - 10));
    }
    out
}

/// `execution-plan.md`.
fn document(gathered: &Gathered) -> String {
    let analysis = &gathered.analysis;
    let mut out = String::from("# Execution plan\n\n");
    if let Some(plan) = &analysis.plan {
        out.push_str(&format!(
            "{}\n\nMade by `slimductor plan` from {}.\n",
            plan.request,
            gathered.file.display()
        ));
        out.push_str("\n## Waves\n\n");
        for (n, wave) in analysis.waves.iter().enumerate() {
            out.push_str(&format!("{}. {}\n", n + 1, names(wave)));
        }
        let path =
            analysis.critical_path.iter().map(TaskId::as_str).collect::<Vec<_>>().join(" → ");
        out.push_str(&format!(
            "\nCritical path: {path}\n\n## Who owns what\n\n| task | writes |\n|---|---|\n"
        ));
        for task in &plan.tasks {
            let files: Vec<String> = task.files_write.iter().map(|f| format!("`{f}`")).collect();
            out.push_str(&format!("| {} | {} |\n", task.id, files.join(", ").replace('|', "\\|")));
        }
        out.push_str("\n## What runs at the gate\n\n");
        for (when, checks) in
            [("after each merge", &plan.incremental), ("at the end", &plan.final_checks)]
        {
            for check in checks {
                let kind = if check.required { "required" } else { "reported" };
                out.push_str(&format!("- {when}, {kind}: `{}`\n", check.command));
            }
        }
    }
    if let Some(risk) = &analysis.risk {
        out.push_str(&format!("\n## Risk\n\n{} ({})\n\n", risk.score, risk.level.word()));
        for factor in &risk.factors {
            out.push_str(&format!("- {}: {} ({})\n", factor.points, factor.detail, factor.code));
        }
    }
    out
}
