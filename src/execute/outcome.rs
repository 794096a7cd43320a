//! What ended, as events: effects' results put to the rules of verify. Pure.

use super::command::{Effect, Limits, Product, Seen, Trouble};
use super::event::Event;
use super::state::{RunState, Stage};
use crate::git::{FastForward, Merge, Swap};
use crate::types::{Category, Ending, Finding, JobReport, Millis, Sha};
use crate::verify;

/// How many files that are in the way are named.
const MOST_NAMED: usize = 5;
const MEND: &str = "put right what the message says, then `slimductor retry`";
/// The longest wait before a retry, ms.
pub(super) const MAX_BACKOFF_MS: Millis = 60_000;

/// What ended of the effects that are still `due`, as events.
pub(super) fn outcomes(
    state: &RunState,
    seen: &Seen,
    due: &[Effect],
    limits: &Limits,
) -> Vec<Event> {
    let mut events = Vec::new();
    for done in seen.done.iter().filter(|d| due.contains(&d.effect)) {
        match &done.result {
            Ok(Product::Swapped(Swap::Done)) if matches!(done.effect, Effect::Land { .. }) => {
                events.extend(landed(state));
            }
            Ok(product) => events.extend(outcome(state, seen, &done.effect, product, limits)),
            Err(Trouble::Refused(error) | Trouble::NoRoom(error)) => {
                events.push(refused(state, seen, &done.effect, error, limits));
            }
        }
    }
    events
}

/// One event for each task up to the stage to which staging moved.
fn landed(state: &RunState) -> Vec<Event> {
    let front = state.train.iter().filter(|s| state.landing.is_some_and(|to| s.number <= to));
    let event = |s: &Stage| {
        let (task, commit) = (state.plan.tasks[s.task].id.clone(), s.commit.clone()?);
        Some(Event::Landed { task, commit })
    };
    front.filter_map(event).collect()
}

fn outcome(
    state: &RunState,
    seen: &Seen,
    effect: &Effect,
    product: &Product,
    limits: &Limits,
) -> Option<Event> {
    let id = |task: usize| state.plan.tasks[task].id.clone();
    let event = match (effect, product) {
        (Effect::CreateStaging, Product::Swapped(Swap::Done)) => Event::StagingCreated,
        (Effect::CreateStaging, Product::Swapped(Swap::Elsewhere(at))) => {
            elsewhere(state, at.as_ref())
        }
        (Effect::Prepare { task, attempt }, Product::Prepared { around }) => {
            let around = around.clone();
            Event::WorktreeReady { task: id(*task), attempt: *attempt, around }
        }
        (Effect::Work { task, attempt }, Product::Job(report)) => Event::WorkerEnded {
            task: id(*task),
            attempt: *attempt,
            finding: verify::judge_worker(&state.plan.tasks[*task], report),
            report: report.clone(),
        },
        (Effect::Collect { task, attempt }, Product::Collected { head, changes, found }) => {
            let spec = &state.plan.tasks[*task];
            let mut findings = verify::boundary::judge(spec, changes, &limits.boundaries);
            findings.extend(found.iter().cloned());
            let ended_well = state.tasks[*task].findings.is_empty();
            if changes.is_empty() && ended_well {
                findings.extend(verify::judge_no_changes(spec));
            }
            let (task, attempt, head) = (id(*task), *attempt, head.clone());
            Event::WorkCollected { task, attempt, head, files: changes.len(), findings }
        }
        (Effect::Check { task, attempt }, Product::Job(report)) => Event::ChecksEnded {
            task: id(*task),
            attempt: *attempt,
            findings: verify::command::judge(report),
            report: report.clone(),
        },
        (Effect::BuildStage { stage }, Product::Merged(Merge::Clean { commit, tree })) => {
            Event::StageBuilt { stage: *stage, commit: commit.clone(), tree: tree.clone() }
        }
        (Effect::BuildStage { stage }, Product::Merged(Merge::Conflict(paths))) => {
            Event::StageConflicted { stage: *stage, paths: paths.clone() }
        }
        (Effect::BuildGate { gate }, Product::Merged(Merge::Clean { commit, .. })) => {
            Event::GateBuilt { gate: *gate, commit: commit.clone() }
        }
        (Effect::BuildGate { gate }, Product::Merged(Merge::Conflict(paths))) => {
            let report = JobReport { ending: Ending::Finished, steps: Vec::new() };
            let finding = Finding {
                category: Category::MergeConflict,
                message: format!("does not merge: {}", paths.join(", ")),
                subject: paths.first().cloned(),
                help: String::new(),
                output: None,
                package: None,
            };
            Event::GateChecked { gate: *gate, report, findings: vec![finding] }
        }
        (Effect::PrepareGate { gate }, Product::Nothing) => Event::GateReady { gate: *gate },
        (Effect::CheckGate { gate }, Product::Job(report)) => Event::GateChecked {
            gate: *gate,
            findings: verify::command::judge(report),
            report: report.clone(),
        },
        // Until what ran its commands has seen the end, something of it may still write there.
        (Effect::StopGate { gate }, Product::Nothing)
            if seen.in_flight.contains(&Effect::CheckGate { gate: *gate }) =>
        {
            return None;
        }
        (Effect::StopGate { gate }, Product::Nothing) => Event::GateStopped { gate: *gate },
        (Effect::Land { .. }, Product::Swapped(Swap::Elsewhere(at))) => {
            elsewhere(state, at.as_ref())
        }
        (Effect::Promote { to }, Product::Promoted(FastForward::Done)) => {
            Event::Promoted { from: state.target_tip.clone(), to: to.clone() }
        }
        (Effect::Promote { .. }, Product::Promoted(FastForward::Dirty { checkout, message })) => {
            // Git names the files on lines that begin with a tab.
            let files: Vec<&str> =
                message.lines().filter(|l| l.starts_with('\t')).map(str::trim).collect();
            let first = message.lines().next().unwrap_or("").trim_start_matches("error: ");
            let more = files.len().saturating_sub(MOST_NAMED);
            let named = files.get(..MOST_NAMED.min(files.len())).unwrap_or_default().join(", ");
            let what = match (files.is_empty(), more) {
                (true, _) => first.to_owned(),
                (false, 0) => named,
                (false, more) => format!("{named} and {more} more"),
            };
            let help = match what.ends_with(".lock") {
                true => {
                    "a git that runs, or was killed, left it: remove it when none runs, then `slimductor resume`"
                }
                false => "commit or stash them, then `slimductor resume`",
            };
            Event::PromotionBlocked {
                reason: format!("{} has changes in the way: {what}", checkout.display()),
                help: help.to_owned(),
            }
        }
        (
            Effect::Promote { .. },
            Product::Promoted(FastForward::Moved { now: Some(now), onward: true }),
        ) if !state.header.settings.fail_on_diverged => Event::TargetMoved { to: now.clone() },
        (
            Effect::Promote { .. },
            Product::Promoted(FastForward::Moved { now: Some(now), onward: true }),
        ) => {
            let (target, now) = (&state.header.target, now.short());
            Event::PromotionBlocked {
                reason: format!("{target} moved during the run, to {now}, and on_diverged is fail"),
                help: format!("merge {} yourself, or abort", state.staging_branch()),
            }
        }
        (Effect::Promote { .. }, Product::Promoted(FastForward::Moved { now, .. })) => {
            let now = now.as_ref().map_or("nothing", Sha::short);
            Event::PromotionBlocked {
                reason: format!("{} was rewritten during the run, to {now}", state.header.target),
                help: format!("merge {} yourself, or abort", state.staging_branch()),
            }
        }
        (Effect::MergeTarget { target }, Product::Merged(Merge::Clean { commit, .. })) => {
            Event::TargetMerged { target: target.clone(), commit: commit.clone() }
        }
        (Effect::MergeTarget { .. }, Product::Merged(Merge::Conflict(paths))) => {
            let (target, paths) = (&state.header.target, paths.join(", "));
            Event::PromotionBlocked {
                reason: format!("{target} moved during the run and conflicts with it in {paths}"),
                help: format!("merge {} into {target} yourself, or abort", state.staging_branch()),
            }
        }
        (Effect::PrepareInstall { number }, Product::Nothing) => {
            Event::InstallReady { number: *number }
        }
        (Effect::RunInstall { number }, Product::Job(report)) => Event::InstallEnded {
            number: *number,
            findings: verify::command::judge(report),
            report: report.clone(),
        },
        (Effect::CommitInstall { number }, Product::Installed { commit, environment }) => {
            let (commit, environment) = (commit.clone(), environment.clone());
            Event::Installed { number: *number, commit, environment }
        }
        (Effect::Review { .. }, Product::Reviewed { report, verdict }) => {
            let (report, verdict) = (report.clone(), verdict.clone());
            Event::ReviewEnded { iteration: state.iteration, report, verdict }
        }
        (Effect::Propose { to }, Product::Proposed { url, command }) => {
            Event::PullRequest { commit: to.clone(), url: url.clone(), command: command.clone() }
        }
        (Effect::CleanUp, Product::CleanedUp { kept }) => Event::CleanedUp { kept: kept.clone() },
        (_, _) => return None,
    };
    Some(event)
}

fn elsewhere(state: &RunState, at: Option<&Sha>) -> Event {
    let what = "the staging branch";
    let Some(at) = at else {
        let (branch, tip) = (state.staging_branch(), state.staging.as_ref());
        let tip = tip.unwrap_or(&state.header.base);
        let error =
            format!("it is gone; put it back with `git branch {branch} {tip}`, and `resume`");
        return Event::EffectFailed { what: what.to_owned(), task: None, error };
    };
    let at = at.short();
    let error = format!(
        "it is at {at}, which this run did not do; keep that under a name of your own (`git branch mine {at}`), put the branch back where `slimductor status --json` has it, and `resume`"
    );
    Event::EffectFailed { what: what.to_owned(), task: None, error }
}

/// An effect that git or the system refused: the attempt's failure, or a person's business.
fn refused(state: &RunState, seen: &Seen, effect: &Effect, error: &str, limits: &Limits) -> Event {
    match effect {
        // What it has made by now is committed like that of any other.
        Effect::Work { task, attempt } => Event::WorkerEnded {
            task: state.plan.tasks[*task].id.clone(),
            attempt: *attempt,
            finding: Some(machines_fault(error)),
            report: JobReport { ending: Ending::Lost, steps: Vec::new() },
        },
        Effect::Prepare { task, .. }
        | Effect::Collect { task, .. }
        | Effect::Check { task, .. } => {
            let finding = machines_fault(error);
            let mut event = attempt_failed(state, seen, *task, vec![finding], limits);
            if let (Effect::Collect { .. }, Event::AttemptFailed { retry_at, .. }) =
                (effect, &mut event)
            {
                // What could not be committed must not be cleaned away by another attempt: a person looks.
                *retry_at = None;
            }
            event
        }
        Effect::CreateStaging => failed("make the staging branch", error),
        Effect::BuildStage { .. } => failed("merge into staging", error),
        Effect::BuildGate { .. } => failed("merge for the gate", error),
        Effect::PrepareGate { .. } => failed("make the gate's worktree", error),
        Effect::CheckGate { .. } => failed("run the gate", error),
        Effect::StopGate { .. } => failed("end a gate", error),
        Effect::PrepareInstall { .. } => failed("make a worktree to install in", error),
        Effect::RunInstall { .. } => failed("install packages", error),
        Effect::CommitInstall { .. } => failed("commit what was installed", error),
        Effect::Review { .. } => failed("run the reviewer", error),
        Effect::Propose { .. } => blocked("push the staging branch", error),
        Effect::Land { .. } => failed("move the staging branch", error),
        Effect::MergeTarget { .. } => blocked("merge the target into staging", error),
        Effect::Promote { .. } => blocked("move the target branch", error),
        Effect::CleanUp => failed("clean up", error),
        Effect::DropAnswer { .. } => failed("remove an answer", error),
    }
}

/// What says that the machine or git refused something.
fn machines_fault(error: &str) -> Finding {
    Finding {
        category: Category::EnvIssue,
        message: error.to_owned(),
        subject: None,
        help: MEND.to_owned(),
        output: None,
        package: None,
    }
}

/// The promotion is put off: until somebody resumes, answers are taken again.
fn blocked(what: &str, error: &str) -> Event {
    Event::PromotionBlocked {
        reason: format!("cannot {what}: {error}"),
        help: "put right what it says, then `slimductor resume`".to_owned(),
    }
}

fn failed(what: &str, error: &str) -> Event {
    Event::EffectFailed { what: what.to_owned(), task: None, error: error.to_owned() }
}

pub(super) fn attempt_failed(
    state: &RunState,
    seen: &Seen,
    task: usize,
    findings: Vec<Finding>,
    limits: &Limits,
) -> Event {
    let run = &state.tasks[task];
    let spec = &state.plan.tasks[task];
    let mut findings = findings;
    if let Some(together) = run.together.as_ref().filter(|t| !findings.contains(t)) {
        // Its new base has the other in it: alone it would look like its own fault.
        findings.push(together.clone());
    }
    let category = verify::leading(&findings).map_or(Category::LogicError, |f| f.category);
    let used = run.attempt.saturating_sub(run.attempts_before);
    let wait = if category.is_transient() {
        let doubled = limits.backoff_ms.saturating_mul(1 << used.saturating_sub(1).min(10));
        i64::try_from(doubled).unwrap_or(MAX_BACKOFF_MS).min(MAX_BACKOFF_MS)
    } else {
        0
    };
    let retry_at = (used < spec.max_attempts).then_some(seen.now + wait);
    Event::AttemptFailed {
        task: spec.id.clone(),
        attempt: run.attempt,
        category,
        findings,
        retry_at,
    }
}
