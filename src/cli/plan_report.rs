//! A plan's check as `plan --json` prints it, and as text for people. Prints nothing itself.

use schemars::JsonSchema;
use serde::Serialize;

use super::gather::Gathered;
use super::output::columns;
use crate::plan::Analysis;
use crate::plan::contract::State;
use crate::plan::diagnostic::{Code, Severity};
use crate::plan::environment::Environment;
use crate::plan::risk::{Level, Risk};
use crate::types::TaskId;

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
    line: u32,
    column: u32,
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
    status: State,
}

impl PlanReport {
    /// The report of what was gathered.
    pub fn new(gathered: &Gathered) -> PlanReport {
        let analysis = &gathered.analysis;
        let problems = analysis.problems.iter().map(|p| ProblemReport {
            code: p.code,
            severity: p.severity,
            message: p.message.clone(),
            task: p.task.clone(),
            path: p.path.as_ref().map(ToString::to_string),
            line: p.place().0,
            column: p.place().1,
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
            max_parallelism: analysis.max_parallelism(),
            problems: problems.collect(),
            conflicts: conflicts.collect(),
            conflict_count: analysis.conflict_count,
            risk: analysis.risk.clone(),
            contracts: contracts.collect(),
            environment: gathered.environment.clone(),
        }
    }
}

fn names(ids: &[TaskId]) -> String {
    ids.iter().map(TaskId::as_str).collect::<Vec<_>>().join(", ")
}

/// The whole check in a few lines.
pub fn summary(analysis: &Analysis) -> String {
    let errors = analysis.problems.iter().filter(|p| p.severity == Severity::Error).count();
    if errors > 0 {
        // Of the conflicts only so many are listed as problems.
        let listed = analysis.problems.iter().filter(|p| p.code.is_conflict()).count();
        let errors = errors - listed + analysis.conflict_count;
        let s = if errors == 1 { "" } else { "s" };
        let conflicts = match analysis.conflict_count {
            0 => String::new(),
            n => format!(", {n} of them conflicts"),
        };
        let fixable =
            if listed > 0 { "\n`slimductor plan --fix` adds the missing dependencies" } else { "" };
        return format!("the plan is invalid: {errors} error{s}{conflicts}{fixable}");
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
