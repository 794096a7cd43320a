//! `execution-plan.md`: a plan for people to read before it runs. Knows the checked plan, no files.

use std::fmt::Write;

use crate::plan::risk::Level;
use crate::plan::schedule::{self, Schedule};
use crate::plan::{Analysis, Check, Plan, Task};
use crate::types::TaskId;

/// The first line, by which a document of ours is known.
pub const TITLE: &str = "# Execution plan";

/// What stands beside the plan itself.
#[derive(Debug, Clone, Copy)]
pub struct Beside<'a> {
    /// The plan's file.
    pub file: &'a str,
    /// How many tasks are worked on at once.
    pub workers: usize,
    /// The environment hash.
    pub environment: &'a str,
}

/// The document; `None` for a plan that is not valid.
pub fn markdown(analysis: &Analysis, beside: Beside<'_>) -> Option<String> {
    let plan = analysis.plan.as_ref()?;
    let mut out = format!("{TITLE}\n\n");
    if !plan.request.trim().is_empty() {
        let _ = writeln!(out, "> {}\n", plan.request.trim().replace('\n', "\n> "));
    }
    let _ = writeln!(
        out,
        "Written by `slimductor plan` from {}. Environment: {}.\n",
        code(beside.file),
        code(beside.environment)
    );
    waves(&mut out, analysis, plan);
    time(&mut out, analysis, plan, beside.workers);
    owners(&mut out, plan);
    contracts(&mut out, analysis);
    gate(&mut out, plan);
    risk(&mut out, analysis);
    Some(out)
}

/// Text as code inside a table or a sentence.
fn code(text: &str) -> String {
    let text = text.replace('\n', " ").replace('|', "\\|");
    if text.contains('`') { format!("`` {text} ``") } else { format!("`{text}`") }
}

fn names(ids: &[TaskId]) -> String {
    ids.iter().map(TaskId::as_str).collect::<Vec<_>>().join(", ")
}

fn waves(out: &mut String, analysis: &Analysis, plan: &Plan) {
    out.push_str(
        "## Waves\n\nA task starts when all it depends on has landed, not when a wave is over.\n\n",
    );
    for (n, wave) in analysis.waves.iter().enumerate() {
        let _ = writeln!(out, "{}. {}", n + 1, names(wave));
    }
    out.push_str("\n| task | what | waits for |\n|---|---|---|\n");
    for (n, task) in plan.tasks.iter().enumerate() {
        let first: Vec<&str> =
            plan.order.dependencies[n].iter().map(|&d| plan.tasks[d].id.as_str()).collect();
        let what = task.description.replace('\n', " ").replace('|', "\\|");
        let _ = writeln!(out, "| {} | {} | {} |", task.id, what.trim(), first.join(", "));
    }
}

fn time(out: &mut String, analysis: &Analysis, plan: &Plan, workers: usize) {
    let path = analysis.critical_path.iter().map(TaskId::as_str).collect::<Vec<_>>().join(" → ");
    let _ = writeln!(out, "\n## Critical path and speed-up\n\n{path}\n");
    let Schedule { serial, parallel, longest, known } = schedule::of(plan, workers);
    let each = |length: u64| match known {
        0 => format!("{length} steps"),
        _ => schedule::length(length),
    };
    out.push_str("| | expected |\n|---|---|\n");
    let _ = writeln!(out, "| one after the other | {} |", each(serial));
    let _ = writeln!(
        out,
        "| {workers} at once | {} ({:.1} times as fast) |",
        each(parallel),
        serial as f64 / parallel.max(1) as f64
    );
    let _ = writeln!(out, "| at best, the critical path | {} |", each(longest));
    let total = plan.tasks.len();
    let _ = match known {
        0 => writeln!(out, "\nNo task has an estimate; each counts as one step."),
        n if n < total => writeln!(
            out,
            "\n{} of {total} tasks have no estimate and count as the mean of the others.",
            total - n
        ),
        _ => writeln!(out, "\nFrom the tasks' own estimates; checks and merges are not in it."),
    };
}

fn owners(out: &mut String, plan: &Plan) {
    out.push_str("\n## Who owns what\n\n| task | writes | only adds to |\n|---|---|---|\n");
    for task in &plan.tasks {
        let list = |patterns: &[crate::plan::Pattern]| {
            patterns.iter().map(|p| code(p.as_str())).collect::<Vec<_>>().join(", ")
        };
        let Task { id, files_write, files_append, .. } = task;
        let _ = writeln!(out, "| {id} | {} | {} |", list(files_write), list(files_append));
    }
}

fn contracts(out: &mut String, analysis: &Analysis) {
    if analysis.contracts.is_empty() {
        return;
    }
    out.push_str("\n## Contracts\n\n| contract | version | file | state |\n|---|---|---|---|\n");
    for contract in &analysis.contracts {
        let version = contract.version.as_deref().map_or(String::new(), code);
        let state = contract.status.word().replace('_', " ");
        let name = code(&contract.name);
        let _ = writeln!(out, "| {name} | {version} | {} | {state} |", code(&contract.file_path));
    }
}

fn gate(out: &mut String, plan: &Plan) {
    out.push_str("\n## What runs\n\n| when | command | kind | |\n|---|---|---|---|\n");
    let mut row = |when: &str, check: &Check| {
        let required = if check.required { "required" } else { "reported" };
        let _ = writeln!(
            out,
            "| {when} | {} | {} | {required} |",
            code(&check.command),
            check.kind.word()
        );
    };
    for task in &plan.tasks {
        for check in &task.verification {
            row(&format!("{}: in its worktree and on the merged tree", task.id), check);
        }
    }
    for check in plan.incremental.iter().flatten() {
        row("after each merge", check);
    }
    for check in plan.final_checks.iter().flatten() {
        row("at the end, before the target moves", check);
    }
    if plan.final_checks.is_none() {
        out.push_str(
            "\nThe plan declares nothing for the end: then the verification of everything that landed runs again, with the suites that the project has of its own.\n",
        );
    }
}

fn risk(out: &mut String, analysis: &Analysis) {
    let Some(risk) = &analysis.risk else { return };
    let what = match risk.level {
        Level::Auto => "nothing to ask",
        Level::Review => "`run` asks, or takes `--yes`",
        Level::Approval => "`run` needs `--approve`",
    };
    let _ = writeln!(out, "\n## Risk\n\n{} points, {}: {what}.\n", risk.score, risk.level.word());
    if !risk.factors.is_empty() {
        out.push_str("| points | why | factor |\n|---|---|---|\n");
    }
    for factor in &risk.factors {
        let detail = factor.detail.replace('|', "\\|");
        let _ = writeln!(out, "| {} | {detail} | {} |", factor.points, factor.code);
    }
}
