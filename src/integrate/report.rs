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
    pub cost: Cost,
    /// The lockfiles' hash at the end.
    pub environment: String,
    pub pull_request: Option<String>,
    /// What of the final gate was left out, and why.
    pub left_out: Vec<String>,
    /// Whether a reviewer's word stands in the way.
    pub review: bool,
    pub tasks: Vec<TaskLine>,
    /// What the final gate found.
    pub findings: Vec<Finding>,
}

/// What the work took, and what doing it side by side saved. Times in milliseconds.
#[derive(Debug, Clone, Default, Serialize, JsonSchema)]
pub struct Cost {
    /// From the first record to the last, with what was waited for people.
    pub elapsed_ms: u64,
    /// Workers and their checks.
    pub worked_ms: u64,
    /// Commands on merged trees.
    pub gated_ms: u64,
    /// The part of `worked_ms` that went into attempts that did not pass.
    pub wasted_ms: u64,
    /// What one after the other would have taken beyond what passed; negative where it would have been faster.
    pub saved_ms: i64,
    /// Suites that ran to land, to blame, on staging and at the end.
    pub suites: [u32; 4],
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
    /// How long the last attempt's worker and checks were at work, ms.
    pub worked_ms: u64,
    /// What a blocked task waits for.
    pub needs: Vec<String>,
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
        Some(_) if facts.pull_request.is_some() => {
            out.push_str(&format!(
                "- `{}` was not moved; `{}` is pushed\n",
                facts.target, facts.staging
            ));
        }
        Some(commit) => out.push_str(&format!("- `{}` stands at {commit}\n", facts.target)),
        None => out.push_str(&format!("- `{}` was not moved\n", facts.target)),
    }
    if let Some(open) = &facts.pull_request {
        let what = if open.starts_with("http") { "pull request" } else { "open the pull request" };
        out.push_str(&format!("- {what}: {open}\n"));
    }
    for branch in &facts.kept {
        out.push_str(&format!("- kept: `{branch}`\n"));
    }
    let (cost, seconds) = (&facts.cost, |ms: u64| ms as f64 / 1000.0);
    out.push_str(&format!(
        "- work: {:.1} s of workers and checks ({:.1} s of it in attempts that did not pass), {:.1} s of gates\n",
        seconds(cost.worked_ms),
        seconds(cost.wasted_ms),
        seconds(cost.gated_ms)
    ));
    let saved = cost.saved_ms as f64 / 1000.0;
    out.push_str(&match cost.saved_ms >= 0 {
        true => format!("- side by side saved {saved:.1} s against one after the other\n"),
        false => format!("- one after the other would have taken {:.1} s less\n", -saved),
    });
    let [search, blame, base, last] = cost.suites;
    out.push_str(&format!(
        "- suites: {search} to land, {blame} to blame, {base} on staging, {last} at the end\n"
    ));
    for left in &facts.left_out {
        out.push_str(&format!("- skipped at the end: {}\n", cell(left)));
    }
    out.push_str(&format!("- environment: {}\n", facts.environment));
    out.push('\n');
    table(&mut out, facts);
    out
}

/// The run as JUnit XML: one test case for each task.
pub fn junit(facts: &Report) -> String {
    let whole =
        !matches!(facts.phase, "done" | "executing" | "integrating" | "reviewing" | "planning");
    let failed = facts.tasks.iter().filter(|t| t.state == "failed").count() + usize::from(whole);
    let skipped = facts.tasks.iter().filter(|t| !matches!(t.state, "merged" | "failed")).count();
    let mut out = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n  <testsuite name=\"{}\" tests=\"{}\" failures=\"{failed}\" skipped=\"{skipped}\" time=\"{}\">\n",
        xml(&facts.run),
        facts.tasks.len() + usize::from(whole),
        facts.cost.elapsed_ms as f64 / 1000.0
    );
    if whole {
        let text: Vec<String> = facts.findings.iter().map(|f| f.message.clone()).collect();
        let reason = if facts.reason.is_empty() { facts.phase } else { &facts.reason };
        out.push_str(&format!(
            "    <testcase classname=\"slimductor\" name=\"the run\">\n      <failure type=\"{}\" message=\"{}\">{}</failure>\n    </testcase>\n",
            facts.phase,
            xml(reason),
            xml(&text.join("\n"))
        ));
    }
    for t in &facts.tasks {
        let time = t.worked_ms as f64 / 1000.0;
        out.push_str(&format!(
            "    <testcase classname=\"slimductor\" name=\"{}\" time=\"{time:.3}\"",
            xml(&t.id)
        ));
        match t.state {
            "merged" => out.push_str("/>\n"),
            "failed" => {
                let kind = t.category.map_or("", Category::word);
                let text: Vec<String> = t
                    .findings
                    .iter()
                    .map(|f| format!("{}\n{}", f.message, f.output.as_deref().unwrap_or("")))
                    .collect();
                out.push_str(&format!(
                    ">\n      <failure type=\"{kind}\" message=\"{}\">{}</failure>\n    </testcase>\n",
                    xml(&t.reason),
                    xml(&text.join("\n"))
                ));
            }
            other => out.push_str(&format!(
                ">\n      <skipped message=\"{}: {}\"/>\n    </testcase>\n",
                xml(other),
                xml(&t.reason)
            )),
        }
    }
    out.push_str("  </testsuite>\n</testsuites>\n");
    out
}

/// Text as XML takes it; control characters, which it cannot hold, are left out.
fn xml(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\n' | '\t' => out.push(c),
            c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => {}
            c => out.push(c),
        }
    }
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
    for t in facts.tasks.iter().filter(|t| matches!(t.state, "failed" | "blocked")) {
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
        out.push_str("\n## What stands in the way of the whole\n\n");
        findings(&mut out, &facts.findings);
    }
    out.push_str("\n## What you can do\n\n");
    let first = facts.tasks.iter().find(|t| t.state == "failed").map(|t| t.id.as_str());
    let blocked: Vec<&TaskLine> = facts.tasks.iter().filter(|t| t.state == "blocked").collect();
    for t in &blocked {
        out.push_str(&format!("- {} needs {}\n", t.id, cell(&t.needs.join(", "))));
    }
    if facts.review {
        out.push_str(
            "- take it as it is: `slimductor answer run accept`, then `slimductor resume`\n",
        );
    }
    if let Some(t) = blocked.first() {
        out.push_str("- install all of it: `slimductor approve`, then `slimductor resume`\n");
        out.push_str(&format!("- for one task: `slimductor approve {}`\n", t.id));
        out.push_str(&format!("- go on without it: `slimductor skip {}`\n", t.id));
    }
    if facts.promoted.is_none() {
        if let Some(id) = first {
            if facts.tasks.iter().any(|t| t.id == id && t.worktree.is_some()) {
                out.push_str(&format!("- put it right yourself in its worktree, and have that judged: `slimductor answer {id} fix`, then `slimductor resume`\n"));
            }
            out.push_str(&format!(
                "- try it again: `slimductor retry {id}`, then `slimductor resume`\n"
            ));
            out.push_str(&format!("- go on without it and what needs it: `slimductor skip {id}`, then `slimductor resume`\n"));
            out.push_str("- take what landed and end: `slimductor resume --promote-landed`\n");
        } else {
            out.push_str("- put right what stands above, then `slimductor resume`\n");
        }
        out.push_str(
            "- go on with another plan; what landed stays: `slimductor replan tasks.yaml`\n",
        );
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
