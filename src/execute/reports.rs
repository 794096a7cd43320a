//! What a run tells people in files, and the file by which a person answers it.

use std::path::Path;

use super::event::Outcome;
use super::projection;
use super::state::{Colour, RunState};
use super::worktree::Places;
use super::world::{self, AnswerFile};
use crate::integrate::report;
use crate::store::{self, Mode, StoreError};
use crate::types::Finding;

/// Writes the run's report and, when it waits for a person, the escalation report.
pub(super) fn write(places: &Places, state: &RunState) -> Result<(), StoreError> {
    let facts = facts(places, state);
    store::replace(&places.report(), report::run_report(&facts).as_bytes(), Mode::Private)?;
    let json = serde_json::to_string_pretty(&facts).unwrap_or_default() + "\n";
    store::replace(&places.report().with_extension("json"), json.as_bytes(), Mode::Private)?;
    let newest = places.root.join(".orchestrator/escalation-report.md");
    if state.waiting.is_some() || state.outcome == Some(Outcome::Partial) {
        let text = report::escalation(&facts);
        store::replace(&places.escalation(), text.as_bytes(), Mode::Private)?;
        store::replace(&newest, text.as_bytes(), Mode::Private)?;
    } else {
        // An older question that this run has answered would only mislead.
        store::remove(&places.escalation())?;
        store::remove(&newest)?;
    }
    Ok(())
}

/// Writes the reports of a run that has ended where they do not tell its end: whoever ended it was cut down before.
pub fn write_missing(root: &Path, state: &RunState) -> Result<(), StoreError> {
    let places = Places { root: root.to_owned(), run: state.header.run_id.clone() };
    let told = std::fs::read_to_string(places.report().with_extension("json")).unwrap_or_default();
    if told.contains(&format!("\"phase\": \"{}\"", state.phase())) {
        return Ok(());
    }
    write(&places, state)
}

/// The run as its reports tell it.
pub fn facts(places: &Places, state: &RunState) -> report::Report {
    let status = projection::status(state, Some(places));
    let tasks = status.tasks.into_iter().enumerate().map(|(n, t)| {
        let run = &state.tasks[n];
        let job = crate::types::JobId::worker(&t.id, run.attempt.max(1));
        report::TaskLine {
            id: t.id.to_string(),
            state: t.state,
            reason: t.reason,
            category: t.failure.map(|f| f.category),
            attempts: run.attempt,
            findings: run.findings.clone(),
            commit: run.merged.as_ref().map(|s| s.short().to_owned()),
            work: run.discarded.iter().next_back().map(|(_, s)| s.short().to_owned()),
            worktree: t.worktree,
            worked_ms: run.worked_ms,
            needs: run.request.as_ref().map(|r| r.packages.clone()).unwrap_or_default(),
            log: (run.attempt > 0).then(|| places.job(&job).to_string_lossy().into_owned()),
        }
    });
    report::Report {
        run: state.header.run_id.to_string(),
        request: state.header.request.clone(),
        phase: state.phase(),
        reason: state.waiting.clone().unwrap_or_default(),
        target: state.header.target.clone(),
        promoted: state.promoted.as_ref().map(|s| s.short().to_owned()),
        staging: state.staging_branch(),
        staging_exists: state.staging.is_some() && !state.cleaned,
        kept: state.kept.clone(),
        run_dir: places.run_dir().to_string_lossy().into_owned(),
        seconds: u64::try_from(state.at - state.header.started_at).unwrap_or(0) / 1000,
        cost: cost(state),
        environment: state.environment.clone(),
        pull_request: state.pull_request.clone(),
        left_out: state.left_out.clone(),
        review: state.review_stuck.is_some(),
        tasks: tasks.collect(),
        findings: red(state),
    }
}

/// What stands in the way of the whole: the final gate, the base, an installation.
fn red(state: &RunState) -> Vec<Finding> {
    let base = match state.base_colour {
        Colour::Red => state.base_findings.clone(),
        Colour::Green | Colour::Unknown => Vec::new(),
    };
    let last = state.final_red.clone().unwrap_or_default();
    [last, base, state.install_failed.clone().unwrap_or_default()].concat()
}

fn cost(state: &RunState) -> report::Cost {
    let elapsed_ms = u64::try_from(state.at - state.header.started_at).unwrap_or(0);
    // One after the other: what passed, each with one suite, on the mean of those that ran.
    let s = &state.suites;
    let ran = u64::from(s.search + s.blame + s.base + s.last);
    let landed = u64::try_from(state.landed.len()).unwrap_or(0);
    let suite = state.gated_ms.checked_div(ran).unwrap_or(0);
    let serial = (state.worked_ms - state.wasted_ms.min(state.worked_ms)) + suite * (landed + 1);
    let signed = |ms: u64| i64::try_from(ms).unwrap_or(i64::MAX);
    report::Cost {
        elapsed_ms,
        worked_ms: state.worked_ms,
        gated_ms: state.gated_ms,
        wasted_ms: state.wasted_ms,
        saved_ms: signed(serial) - signed(elapsed_ms),
        suites: [s.search, s.blame, s.base, s.last],
    }
}

/// Leaves an answer for the coordinator, the one that runs or the next.
pub fn leave_answer(places: &Places, answer: &AnswerFile) -> Result<(), StoreError> {
    store::make_dir(&places.answers())?;
    let word = serde_json::to_value(answer.choice).ok();
    let word = word.as_ref().and_then(|w| w.as_str()).unwrap_or("answer").to_owned();
    let about = match (&answer.task, answer.attempt) {
        (Some(task), Some(attempt)) => format!("{word}-{task}-{attempt}"),
        (_, _) => word,
    };
    let text = serde_json::to_vec(answer).unwrap_or_default();
    // By time, so that the last word is taken last; never one that was taken before.
    let mut at = world::present().as_millisecond();
    loop {
        let path = places.answers().join(format!("{at:015}-{about}.json"));
        if store::create_new(&path, &text, Mode::Private)? {
            return Ok(());
        }
        at += 1;
    }
}
