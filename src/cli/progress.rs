//! What of a run's records people see, as lines and bars. Prints through output.rs.

use serde_json::{Map, Value};

use super::output::Output;
use crate::execute::event::{Choice, Event, Feedback, GateOn, Outcome, Record, Verdict};
use crate::execute::projection;
use crate::execute::state::{RunState, Step};
use crate::types::{Finding, JobReport, StepResult, TaskId};

/// Shows one record.
pub fn show(output: &mut Output, record: &Record, state: &RunState) {
    if output.manner.json {
        output.json(&line(record, state), true);
        return;
    }
    match describe(&record.event, state) {
        Some(text) => output.note(&text),
        None if output.manner.verbose => {
            let value = line(record, state);
            let word = |key: &str| value.get(key).and_then(Value::as_str).unwrap_or("").to_owned();
            output.note(format!("·        {} {}", word("type"), word("task")).trim_end());
        }
        None => {}
    }
    if output.manner.bars {
        bars(output, state);
    }
}

/// A record as `run --json` tells it: the event's fields, with number, time and the task's state.
fn line(record: &Record, state: &RunState) -> Value {
    let mut out = Map::new();
    if let Ok(Value::Object(fields)) = serde_json::to_value(&record.event) {
        for (n, (key, value)) in fields.into_iter().enumerate() {
            out.insert(key, value);
            if n == 0 {
                out.insert("seq".to_owned(), record.seq.into());
                out.insert("at".to_owned(), record.at.to_string().into());
            }
        }
    }
    let task = out.get("task").and_then(Value::as_str).and_then(TaskId::parse);
    if let Some(index) = task.and_then(|id| state.plan.index_of(&id)) {
        out.insert("state".to_owned(), state.tasks[index].word().into());
    }
    Value::Object(out)
}

fn bars(output: &mut Output, state: &RunState) {
    for (task, run) in state.tasks.iter().enumerate() {
        let id = state.plan.tasks[task].id.as_str();
        let at_gate = state.at_gate(task);
        if run.is_active() || at_gate {
            let tries =
                if run.attempt > 1 { format!(" (attempt {})", run.attempt) } else { String::new() };
            output.bar(id, &format!("{}{tries}", projection::reason(state, task, run)));
        } else {
            output.end_bar(id);
        }
    }
    match state.gates.iter().any(|g| g.on == GateOn::Final) {
        true => output.bar("final gate", "its commands run"),
        false => output.end_bar("final gate"),
    }
}

/// The line for an event, where it is worth one.
fn describe(event: &Event, state: &RunState) -> Option<String> {
    let count = state.tasks.iter().filter(|t| t.step == Step::Merged).count();
    let text = match event {
        Event::AttemptStarted { task, attempt: 1, slot, .. } => {
            format!("start    {task} (slot {slot})")
        }
        Event::AttemptStarted { task, attempt, slot, .. } => {
            format!("start    {task}, attempt {attempt} (slot {slot})")
        }
        Event::TaskVerified { task, .. } => format!("verified {task}"),
        Event::AttemptFailed { task, attempt, category, findings, retry_at } => {
            let first = findings
                .iter()
                .find(|f| f.category == *category)
                .map_or("", |f| f.message.as_str());
            match retry_at {
                Some(_) => {
                    format!("again    {task}: attempt {attempt} ended with {category}: {first}")
                }
                None => format!("FAILED   {task}: {category}: {first}"),
            }
        }
        Event::Landed { task, commit } => {
            format!("landed   {task} ({count} of {}, {})", state.tasks.len(), commit.short())
        }
        Event::TaskBlocked { task, reason, packages, .. } => {
            format!("blocked  {task}: {} ({reason})", packages.join(", "))
        }
        Event::TaskEvicted { task, .. } => {
            format!("red      {task} breaks the suite; the rest goes on without it")
        }
        Event::TaskCleared { task } => {
            format!("flaky    {task}: the same tree passed when its checks ran again")
        }
        Event::GateStarted { on: GateOn::Final, .. } => "gate     the final gate".to_owned(),
        Event::GateChecked { findings, report, .. } if last_gate(state, findings) => {
            verdict(report, findings.is_empty())
        }
        Event::InstallStarted { packages, .. } => format!("install  {}", packages.join(", ")),
        Event::InstallEnded { findings, .. } if !findings.is_empty() => {
            let output = findings[0].output.as_deref().unwrap_or("");
            let last = output.lines().rev().find(|l| !l.trim().is_empty()).unwrap_or("");
            format!("REFUSED  the installation: {} ({})", findings[0].message, one_line(last))
        }
        Event::Installed { environment, .. } => {
            format!("install  done; the environment is {}", short(environment))
        }
        Event::ReviewStarted { iteration, .. } => format!("review   number {iteration}"),
        Event::ReviewEnded { verdict, .. } => match verdict {
            Verdict::Accept { comment } => {
                format!("review   accepted: {comment}").trim_end_matches(": ").to_owned()
            }
            Verdict::Iterate { feedback } => {
                let said = |f: &Feedback| format!("{} ({})", f.task, one_line(&f.message));
                let said: Vec<String> = feedback.iter().map(said).collect();
                format!("review   sent back: {}", said.join(", "))
            }
            Verdict::Unreadable { why } => format!("review   cannot be used: {why}"),
        },
        Event::PullRequest { url: Some(url), .. } => format!("pushed   {url}"),
        Event::PullRequest { command, .. } => {
            format!("pushed   the staging branch; open the pull request: {command}")
        }
        Event::Promoted { to, .. } => format!("promoted {} to {}", state.header.target, to.short()),
        Event::PromotionBlocked { reason, help } => format!("BLOCKED  {reason}; {help}"),
        Event::TargetMoved { to } => {
            format!("moved    {} went on to {} meanwhile", state.header.target, to.short())
        }
        Event::EffectFailed { what, error, .. } => format!("REFUSED  {what}: {error}"),
        Event::Answered { id, choice: Choice::Approve, .. } if id.starts_with("configuration-") => {
            "answer   approved by dependencies in slimductor.yaml".to_owned()
        }
        Event::Answered { choice, task, .. } => {
            let word = match choice {
                Choice::Retry => "retry",
                Choice::Skip => "skip",
                Choice::Abort => "abort",
                Choice::Approve => "approve",
                Choice::Fix => "fix",
                Choice::Accept => "accept",
                Choice::Replan => "replan",
            };
            let task = task.as_ref().map_or("", TaskId::as_str);
            format!("answer   {word} {task}").trim_end().to_owned()
        }
        Event::Escalated { reason } => format!("WAITS    {reason}"),
        Event::RunStarted { .. }
        | Event::CoordinatorStarted { .. }
        | Event::StagingCreated
        | Event::WorktreeReady { .. }
        | Event::WorkerEnded { .. }
        | Event::WorkCollected { .. }
        | Event::ChecksEnded { .. }
        | Event::StageStarted { .. }
        | Event::StageBuilt { .. }
        | Event::StageConflicted { .. }
        | Event::GateStarted { .. }
        | Event::GateBuilt { .. }
        | Event::GateReady { .. }
        | Event::GateChecked { .. }
        | Event::GateDropped { .. }
        | Event::GateStopped { .. }
        | Event::LandingStarted { .. }
        | Event::InstallReady { .. }
        | Event::InstallEnded { .. }
        | Event::TargetMerged { .. }
        | Event::PromotionStarted { .. }
        | Event::CleanUpStarted
        | Event::CleanedUp { .. }
        | Event::RunEnded { .. } => return None,
    };
    Some(text)
}

/// Whether the gate that was just judged is the final one, by what its result did.
fn last_gate(state: &RunState, findings: &[Finding]) -> bool {
    state.final_red.as_deref() == Some(findings)
        || (findings.is_empty() && state.gated.is_some() && state.gated == state.staging)
}

fn verdict(report: &JobReport, green: bool) -> String {
    let soft = report.steps.iter().filter(|s| s.skipped.is_some() || (!s.required && !s.passed()));
    let word = |s: &StepResult| match &s.skipped {
        Some(why) => format!("; skipped `{}`: {why}", s.command),
        None => format!("; not required: `{}`: {}", s.command, s.ending()),
    };
    let soft: Vec<String> = soft.map(word).collect();
    let run = report.steps.iter().filter(|s| s.skipped.is_none()).count();
    let s = if run == 1 { "" } else { "s" };
    let colour = if green { "green" } else { "RED" };
    format!("gate     {colour} after {run} command{s}{}", soft.concat())
}

/// The beginning of what somebody said, on one line.
fn one_line(text: &str) -> String {
    let text = crate::execute::job_end::plain(text);
    text.lines().next().unwrap_or("").chars().take(100).collect()
}

fn short(hash: &str) -> &str {
    hash.get(..10).unwrap_or(hash)
}

/// The last words about a run.
pub fn summary(state: &RunState) -> String {
    let merged = state.tasks.iter().filter(|t| t.step == Step::Merged).count();
    let seconds = (state.at - state.header.started_at) as f64 / 1000.0;
    let all = state.tasks.len();
    let mut out = match (state.outcome, &state.waiting) {
        (Some(Outcome::Done), _) => {
            format!("done: {merged} of {all} tasks landed in {seconds:.1} s")
        }
        (Some(Outcome::Partial), _) => {
            format!("over: {merged} of {all} tasks landed in {seconds:.1} s")
        }
        (Some(Outcome::Aborted), _) => "aborted".to_owned(),
        (Some(Outcome::Replanned), _) => "ended for another plan".to_owned(),
        (None, Some(reason)) => {
            format!("waits for a person: {reason}\n{merged} of {all} tasks are in staging")
        }
        (None, None) => format!("{merged} of {all} tasks are in staging"),
    };
    match &state.promoted {
        Some(_) if state.pull_request.is_some() => {
            let open = state.pull_request.as_deref().unwrap_or_default();
            let staging = state.staging_branch();
            let what =
                if open.starts_with("http") { "pull request" } else { "open the pull request" };
            let target = &state.header.target;
            out.push_str(&format!("\n{target} was not moved; {staging} is pushed; {what}: {open}"));
        }
        Some(to) => out.push_str(&format!("\n{} stands at {}", state.header.target, to.short())),
        None => out.push_str(&format!("\n{} was not moved", state.header.target)),
    }
    for (task, run) in state.tasks.iter().enumerate().filter(|(_, t)| t.step == Step::Failed) {
        let category = run.failure.map_or("", |c| c.word());
        let first = run.findings.first().map_or("", |f| f.message.as_str());
        out.push_str(&format!("\n  failed {}: {category}: {first}", state.plan.tasks[task].id));
    }
    for (task, run) in state.tasks.iter().enumerate().filter(|(_, t)| t.step == Step::Blocked) {
        let reason = projection::reason(state, task, run);
        out.push_str(&format!("\n  blocked {}: {reason}", state.plan.tasks[task].id));
    }
    for left in &state.left_out {
        out.push_str(&format!("\n  skipped {left}"));
    }
    for branch in &state.kept {
        out.push_str(&format!("\n  kept {branch}"));
    }
    let suites = &state.suites;
    let all = suites.search + suites.blame + suites.base + suites.last;
    if all > 0 {
        let s = if all == 1 { "" } else { "s" };
        let mut parts = vec![format!("{} to land", suites.search)];
        for (count, what) in
            [(suites.base, "on staging"), (suites.blame, "to blame"), (suites.last, "at the end")]
        {
            if count > 0 {
                parts.push(format!("{count} {what}"));
            }
        }
        out.push_str(&format!("\n{all} suite run{s}: {}", parts.join(", ")));
    }
    if state.waiting.is_some() || state.outcome == Some(Outcome::Partial) {
        out.push_str("\nread .orchestrator/escalation-report.md");
    }
    out
}
