//! What a person is told: the run report and the escalation report, as Markdown. Pure; says only what is known.

use schemars::JsonSchema;
use serde::Serialize;

use crate::types::{Category, Finding};

/// The run as its reports tell it; `report.json` in the run's directory is this.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[schemars(title = "slimductor report")]
#[expect(missing_docs, reason = "the fields are named by their words")]
pub struct Report {
    pub run: String,
    pub request: String,
    pub phase: &'static str,
    /// Why nothing goes on without a person; empty when it does.
    pub reason: String,
    pub target: String,
    pub promoted: Option<String>,
    pub staging: String,
    pub staging_exists: bool,
    pub kept: Vec<String>,
    pub run_dir: String,
    pub seconds: u64,
    pub tasks: Vec<TaskLine>,
    /// What the final gate found.
    pub findings: Vec<Finding>,
}

/// One task of it.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[expect(missing_docs, reason = "the fields are named by their words")]
pub struct TaskLine {
    pub id: String,
    pub state: &'static str,
    pub reason: String,
    pub category: Option<Category>,
    pub attempts: u32,
    pub findings: Vec<Finding>,
    pub commit: Option<String>,
    /// The commit of the last attempt that did not pass.
    pub work: Option<String>,
    pub worktree: Option<String>,
    pub log: Option<String>,
}

/// Text of others, safe inside a table cell.
fn cell(text: &str) -> String {
    let flat: String =
        text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(160).collect();
    flat.replace('|', "\\|").replace('<', "&lt;")
}

/// Output of others, as a quoted block.
fn quote(out: &mut String, text: &str) {
    for line in text.lines() {
        out.push_str("      ");
        out.push_str(line);
        out.push('\n');
    }
}

fn table(out: &mut String, facts: &Report) {
    out.push_str("| task | state | category | attempts | what |\n|---|---|---|---|---|\n");
    for t in &facts.tasks {
        let category = t.category.map_or("", Category::word);
        let reason = cell(&t.reason);
        out.push_str(&format!(
            "| {} | {} | {category} | {} | {reason} |\n",
            t.id, t.state, t.attempts
        ));
    }
}

/// `report.md` of a run.
pub fn run_report(facts: &Report) -> String {
    let merged = facts.tasks.iter().filter(|t| t.state == "merged").count();
    let mut out = format!("# Run {}\n\n{}\n\n", facts.run, facts.request);
    out.push_str(&format!(
        "- phase: {}\n- {merged} of {} tasks landed, in {} s\n",
        facts.phase,
        facts.tasks.len(),
        facts.seconds
    ));
    match &facts.promoted {
        Some(commit) => out.push_str(&format!("- `{}` stands at {commit}\n", facts.target)),
        None => out.push_str(&format!("- `{}` was not moved\n", facts.target)),
    }
    for branch in &facts.kept {
        out.push_str(&format!("- kept: `{branch}`\n"));
    }
    out.push('\n');
    table(&mut out, facts);
    out
}

/// `escalation-report.md`: what happened, where everything is, and what may be done about it.
pub fn escalation(facts: &Report) -> String {
    let mut out = format!("# Run {} needs a person\n\n{}\n\n", facts.run, facts.request);
    if !facts.reason.is_empty() {
        out.push_str(&format!("**{}**\n\n", cell(&facts.reason)));
    }
    match &facts.promoted {
        Some(commit) => out.push_str(&format!(
            "What landed was promoted: `{}` stands at {commit}.\n",
            facts.target
        )),
        None => out.push_str(&format!("`{}` is where it was before the run.\n", facts.target)),
    }
    if facts.staging_exists {
        out.push_str(&format!("What landed so far is on `{}`.\n", facts.staging));
    }
    out.push('\n');
    table(&mut out, facts);
    for t in facts.tasks.iter().filter(|t| t.state == "failed") {
        out.push_str(&format!("\n## {}\n\n", t.id));
        let attempts = if t.attempts == 1 {
            "1 attempt".to_owned()
        } else {
            format!("{} attempts", t.attempts)
        };
        out.push_str(&format!("Tried: {attempts}. The last one:\n\n"));
        findings(&mut out, &t.findings);
        out.push('\n');
        for (what, place) in
            [("worktree", &t.worktree), ("logs", &t.log), ("its work, as a commit", &t.work)]
        {
            if let Some(place) = place {
                out.push_str(&format!("- {what}: `{place}`\n"));
            }
        }
    }
    if !facts.findings.is_empty() {
        out.push_str("\n## The final gate\n\n");
        findings(&mut out, &facts.findings);
    }
    out.push_str("\n## What you can do\n\n");
    let first = facts.tasks.iter().find(|t| t.state == "failed").map(|t| t.id.as_str());
    if facts.promoted.is_none() {
        if let Some(id) = first {
            out.push_str(&format!(
                "- try it again: `slimductor retry {id}`, then `slimductor resume`\n"
            ));
            out.push_str(&format!("- go on without it and what needs it: `slimductor skip {id}`, then `slimductor resume`\n"));
            out.push_str("- take what landed and end: `slimductor resume --promote-landed`\n");
        } else {
            out.push_str("- put right what stands above, then `slimductor resume`\n");
        }
        out.push_str("- end the run; the target stays where it was, unmerged work stays on recovery branches: `slimductor abort`\n");
    } else {
        for branch in &facts.kept {
            out.push_str(&format!("- work that did not land is on `{branch}`\n"));
        }
        out.push_str("- plan what is missing as a new run\n");
    }
    out.push_str(&format!("\nEverything of this run lies in `{}`.\n", facts.run_dir));
    out
}

fn findings(out: &mut String, list: &[Finding]) {
    for f in list {
        out.push_str(&format!("- **{}**: {}\n  {}\n", f.category, cell(&f.message), f.help));
        if let Some(output) = &f.output {
            out.push('\n');
            quote(out, output);
            out.push('\n');
        }
    }
}
