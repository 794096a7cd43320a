//! What to do next, from the state and what was seen: pure, level-triggered, the same for `run` and `resume`.

use std::collections::HashSet;

use super::command::{Answer, Command, Effect, Limits, Seen};
use super::event::{Choice, Event, GateOn, Outcome};
use super::outcome::{MAX_BACKOFF_MS, attempt_failed, outcomes};
use super::state::{Colour, InstallStep, RunState, Step, TaskRun};
use super::task_run::GateStep;
use super::{gate, request};
use crate::types::{Gate, Millis, Sha, Slot};

/// What to do next; empty when there is nothing to do but wait.
pub fn decide(state: &RunState, seen: &Seen, limits: &Limits) -> Vec<Command> {
    let mut events = Vec::new();
    if !seen.done.is_empty() {
        // What is no longer due was superseded; its outcome is dropped.
        let due = due(state, &seen.answers, &HashSet::new());
        events = outcomes(state, seen, &due, limits);
    }
    if events.is_empty() && !seen.interrupted {
        events = answers(state, seen);
    }
    if events.is_empty() && !seen.interrupted && !state.is_over() {
        events = choices(state, seen, limits);
    }
    if !events.is_empty() {
        return events.into_iter().map(|e| Command::Record(Box::new(e))).collect();
    }
    if seen.interrupted {
        return Vec::new();
    }
    let due = due(state, &seen.answers, &seen.in_flight)
        .into_iter()
        .filter(|e| !seen.in_flight.contains(e));
    due.map(Command::Begin).collect()
}

/// How long to wait until something is due by itself, ms: the next retry after `decided`, the moment of the last
/// decision. One that was due then waits for a free place, which an outcome brings. Never longer than any backoff: the
/// clock may have been set back since.
pub fn next_wake(state: &RunState, decided: Millis, now: Millis) -> Option<Millis> {
    let waiting = |t: &usize| state.tasks[*t].step == Step::Pending && state.is_ready(*t);
    (0..state.tasks.len())
        .filter(waiting)
        .filter_map(|t| state.tasks[t].retry_at)
        .filter(|at| *at > decided)
        .min()
        .map(|at| (at - now).clamp(0, MAX_BACKOFF_MS))
}

/// The effects that the state asks for, whether in flight or not.
fn due(state: &RunState, answers: &[Answer], in_flight: &HashSet<Effect>) -> Vec<Effect> {
    let mut due: Vec<Effect> = answers
        .iter()
        .filter(|a| state.answered.contains(&a.id) || !is_current(state, a))
        .map(|a| Effect::DropAnswer { id: a.id.clone() })
        .collect();
    if state.is_over() || state.refused.is_some() {
        return due;
    }
    // A choice about the target that was recorded is seen to its end before anything else.
    if let Some((target, _)) = &state.target_moved {
        due.push(Effect::MergeTarget { target: target.clone() });
        return due;
    }
    if let Some(to) = &state.promoting {
        let to = to.clone();
        let propose = state.header.settings.pull_request;
        due.push(if propose { Effect::Propose { to } } else { Effect::Promote { to } });
        return due;
    }
    if state.aborting {
        // What is being written is finished first; what runs is ended by the clean-up.
        if !state.cleaned && !in_flight.iter().any(|e| !e.is_job() && *e != Effect::CleanUp) {
            due.push(Effect::CleanUp);
        }
        return due;
    }
    if state.staging.is_none() {
        due.push(Effect::CreateStaging);
        return due;
    }
    for (task, run) in state.tasks.iter().enumerate() {
        let attempt = run.attempt;
        match run.step {
            Step::Preparing => due.push(Effect::Prepare { task, attempt }),
            Step::Working => due.push(Effect::Work { task, attempt }),
            Step::Collecting => due.push(Effect::Collect { task, attempt }),
            Step::Checking => due.push(Effect::Check { task, attempt }),
            Step::Pending
            | Step::Judging
            | Step::Queued
            | Step::Suspect
            | Step::Blocked
            | Step::Merged
            | Step::Failed
            | Step::Skipped => {}
        }
    }
    due.extend(gate_due(state, in_flight));
    if state.cleaning && !state.cleaned {
        due.push(Effect::CleanUp);
    }
    due
}

/// Whether everything that the run was for is done or given up, and what it made may go.
fn may_clean_up(state: &RunState) -> bool {
    is_settled(state)
        && state.train.is_empty()
        && state.gates.is_empty()
        && state.install.is_none()
        && !wants_promotion(state)
        && may_end(state)
}

/// The effects of the queue, the gates, the installation and the review.
fn gate_due(state: &RunState, in_flight: &HashSet<Effect>) -> Vec<Effect> {
    let mut due = Vec::new();
    let building = state.train.iter().filter(|s| s.commit.is_none());
    due.extend(building.map(|s| Effect::BuildStage { stage: s.number }));
    for run in &state.gates {
        let gate = run.number;
        if run.step == GateStep::Stopping && in_flight.contains(&Effect::PrepareGate { gate }) {
            // Its worktree is still being written.
            continue;
        }
        due.push(match run.step {
            GateStep::Building => Effect::BuildGate { gate },
            GateStep::Preparing => Effect::PrepareGate { gate },
            GateStep::Checking => Effect::CheckGate { gate },
            GateStep::Stopping => Effect::StopGate { gate },
        });
    }
    due.extend(state.landing.map(|stage| Effect::Land { stage }));
    if let Some(install) = &state.install {
        let number = install.number;
        due.push(match install.step {
            InstallStep::Preparing => Effect::PrepareInstall { number },
            InstallStep::Running => Effect::RunInstall { number },
            InstallStep::Committing => Effect::CommitInstall { number },
        });
    }
    if state.reviewing {
        due.push(Effect::Review { number: state.reviews });
    }
    due
}

/// Whether no task can move any more by itself, and what is there may go to the target.
fn is_settled(state: &RunState) -> bool {
    let all_landed = state.tasks.iter().all(|t| matches!(t.step, Step::Merged | Step::Skipped));
    all_landed || (state.promote_landed && is_stuck(state))
}

/// Whether nothing runs, nothing can start, now or later, and something has not landed.
fn is_stuck(state: &RunState) -> bool {
    let idle = |task: usize| match state.tasks[task].step {
        Step::Merged | Step::Failed | Step::Skipped => true,
        Step::Blocked => !state.wants_install(),
        Step::Pending => !state.is_ready(task),
        Step::Preparing
        | Step::Working
        | Step::Collecting
        | Step::Checking
        | Step::Judging
        | Step::Queued
        | Step::Suspect => false,
    };
    let open = |t: &super::state::TaskRun| !matches!(t.step, Step::Merged | Step::Skipped);
    (0..state.tasks.len()).all(idle) && state.tasks.iter().any(open)
}

/// Whether staging holds something that the target does not have yet and is to get.
fn wants_promotion(state: &RunState) -> bool {
    let landed = state.tasks.iter().any(|t| t.step == Step::Merged);
    landed && !state.header.settings.no_promote && state.promoted.is_none()
}

/// Whether the final gate is behind us, or there is nothing for it to look at.
fn may_end(state: &RunState) -> bool {
    let landed = state.tasks.iter().any(|t| t.step == Step::Merged);
    let gated = state.gated.is_some() && state.gated == state.staging;
    let reviewed = state.header.settings.reviewer.is_empty() || state.accepted == state.gated;
    !landed || state.promoted.is_some() || (gated && reviewed)
}

fn is_current(state: &RunState, answer: &Answer) -> bool {
    if state.promoted.is_some() || state.cleaning || state.aborting || state.outcome.is_some() {
        return false;
    }
    match (answer.choice, answer.about) {
        (Choice::Abort | Choice::Replan, _) => true,
        (Choice::Accept, _) => state.review_stuck.is_some() || state.waiting.is_some(),
        (Choice::Approve, None) => {
            let asks = |t: &TaskRun| t.request.as_ref().is_some_and(|r| !r.approved);
            state.tasks.iter().any(|t| t.step == Step::Blocked && asks(t))
        }
        (Choice::Approve, Some((task, attempt))) => {
            let run = &state.tasks[task];
            run.step == Step::Blocked
                && run.attempt == attempt
                && run.request.as_ref().is_some_and(|r| !r.approved)
        }
        (Choice::Fix, Some((task, attempt))) => {
            let run = &state.tasks[task];
            run.step == Step::Failed && run.attempt == attempt && run.slot.is_some()
        }
        (Choice::Retry, Some((task, attempt))) => {
            state.may_retry(task) && state.tasks[task].attempt == attempt
        }
        (Choice::Skip, Some((task, attempt))) => {
            state.may_skip(task) && state.tasks[task].attempt == attempt
        }
        (Choice::Retry | Choice::Skip | Choice::Fix, None) => false,
    }
}

fn answers(state: &RunState, seen: &Seen) -> Vec<Event> {
    // While the target is being moved, what happens to it is decided already.
    if state.promoting.is_some() || state.target_moved.is_some() {
        return Vec::new();
    }
    // One at a time: the next is judged by the state that this one makes.
    let fresh =
        seen.answers.iter().find(|a| !state.answered.contains(&a.id) && is_current(state, a));
    let event = fresh.map(|a| Event::Answered {
        id: a.id.clone(),
        choice: a.choice,
        task: a.about.map(|(task, _)| state.plan.tasks[task].id.clone()),
    });
    event.into_iter().collect()
}

/// Choices that the state allows: verdicts, the next stage, the next attempts, the end.
fn choices(state: &RunState, seen: &Seen, limits: &Limits) -> Vec<Event> {
    if let Some(reason) = &state.refused {
        return vec![Event::Escalated { reason: reason.clone() }];
    }
    if state.aborting {
        let outcome = if state.replanning { Outcome::Replanned } else { Outcome::Aborted };
        let ended = state.cleaned.then_some(Event::RunEnded { outcome });
        return ended.into_iter().collect();
    }
    if state.cleaning {
        return ending(state, seen).into_iter().collect();
    }
    let Some(staging) = &state.staging else { return Vec::new() };
    let mut events = Vec::new();
    for (task, run) in state.tasks.iter().enumerate() {
        if run.step != Step::Judging {
            continue;
        }
        if run.findings.is_empty() {
            let id = state.plan.tasks[task].id.clone();
            events.push(Event::TaskVerified { task: id, attempt: run.attempt });
        } else if let Some(blocked) = request::blocked(state, task, &run.findings) {
            events.push(blocked);
        } else {
            events.push(attempt_failed(state, seen, task, run.findings.clone(), limits));
        }
    }
    events.extend(gate::queue_choices(state, seen, limits, staging));
    if events.is_empty() {
        events.extend(last_choice(state, staging));
    }
    if events.is_empty() {
        events.extend(request::install(state, staging));
    }
    if events.is_empty() {
        events.extend(starts(state, seen, staging));
    }
    if events.is_empty() {
        events.extend(ending(state, seen));
    }
    events
}

/// What comes when every task has landed: the final gate, the review, the promotion.
fn last_choice(state: &RunState, staging: &Sha) -> Option<Event> {
    let landed = state.tasks.iter().any(|t| t.step == Step::Merged);
    let open = is_settled(state)
        && landed
        && state.train.is_empty()
        && state.gates.is_empty()
        // A task may be skipped while what it asked for is being installed: that moves staging once more.
        && state.install.is_none()
        // The reviewer sits in the final gate's worktree.
        && !state.reviewing
        && state.promoted.is_none()
        && state.promotion_blocked.is_none()
        && state.target_moved.is_none()
        && state.promoting.is_none();
    if !open {
        return None;
    }
    if state.gated.as_ref() != Some(staging) {
        let (on, commit) = (GateOn::Final, Some(staging.clone()));
        let start =
            Event::GateStarted { gate: state.gate_count + 1, on, commit, place: Gate::Final };
        return state.final_red.is_none().then_some(start);
    }
    let reviewed = state.header.settings.reviewer.is_empty() || state.accepted == state.gated;
    if !reviewed {
        let due = !state.reviewing && state.review_stuck.is_none();
        let (number, iteration) = (state.reviews + 1, state.iteration);
        let commit = staging.clone();
        return due.then_some(Event::ReviewStarted { number, iteration, commit });
    }
    let (from, to) = (state.target_tip.clone(), staging.clone());
    wants_promotion(state).then_some(Event::PromotionStarted { from, to })
}

/// Whether a retry is due. One that lies further ahead than any backoff was reckoned by a clock that was wrong.
fn is_due(at: Millis, now: Millis) -> bool {
    at <= now || at > now + MAX_BACKOFF_MS
}

/// New attempts for the tasks that are ready, while there is room.
fn starts(state: &RunState, seen: &Seen, staging: &Sha) -> Vec<Event> {
    let active = state.tasks.iter().filter(|t| t.is_active()).count();
    // Who started now would not have what is just being installed.
    let open = if state.install.is_some() { 0 } else { state.header.settings.jobs as usize };
    let room = open.saturating_sub(active);
    let can_start = |t: &usize| {
        let run = &state.tasks[*t];
        run.step == Step::Pending
            && run.retry_at.is_none_or(|at| is_due(at, seen.now))
            && state.is_ready(*t)
    };
    let mut ready: Vec<usize> = (0..state.tasks.len()).filter(can_start).collect();
    ready.sort_by_key(|&t| {
        (std::cmp::Reverse(state.plan.tasks[t].priority), std::cmp::Reverse(state.plan.tails[t]), t)
    });
    let mut taken: HashSet<Slot> = state.tasks.iter().filter_map(|t| t.slot).collect();
    taken.extend(state.tainted.iter().copied());
    let mut events = Vec::new();
    for task in ready.into_iter().take(room) {
        let own = state.tasks[task].slot.filter(|s| !state.tainted.contains(s));
        let Some(slot) = own.or_else(|| (0..).find(|s| !taken.contains(s))) else { break };
        taken.insert(slot);
        events.push(Event::AttemptStarted {
            task: state.plan.tasks[task].id.clone(),
            attempt: state.tasks[task].attempt + 1,
            slot,
            base: staging.clone(),
        });
    }
    events
}

/// The end, or the question to a person, when nothing else is left.
#[expect(clippy::wildcard_enum_match_arm, reason = "three steps are not a question of activity")]
fn ending(state: &RunState, seen: &Seen) -> Option<Event> {
    // What is chosen and not begun yet counts as what is under way.
    let open = due(state, &[], &seen.in_flight).iter().any(|e| *e != Effect::CleanUp);
    if open || !seen.in_flight.is_empty() {
        return None;
    }
    // Somebody who is still at work, or about to be, may mend it.
    let quiet = |task: usize| match state.tasks[task].step {
        Step::Pending => !state.is_ready(task),
        Step::Suspect => false,
        _ => !state.tasks[task].is_active(),
    };
    if state.base_colour == Colour::Red && !state.train.is_empty() {
        if !(0..state.tasks.len()).all(quiet) {
            return None;
        }
        let first = state.base_findings.first().map_or("", |f| f.message.as_str());
        let (branch, target) = (state.staging_branch(), &state.header.target);
        let reason = format!(
            "{branch} fails by itself, without what waits to be merged: {first}; mend what it says about this machine or commit the cure on {target}, and `resume`"
        );
        return Some(Event::Escalated { reason });
    }
    if let Some(findings) = &state.final_red {
        let first = findings.first().map_or("", |f| f.message.as_str());
        let target = &state.header.target;
        let reason = format!(
            "the final gate is red: {first}; what you commit on {target} is merged in by `resume`, `replan` goes on with another plan"
        );
        return Some(Event::Escalated { reason });
    }
    if let Some(reason) = &state.promotion_blocked {
        return Some(Event::Escalated { reason: reason.clone() });
    }
    if let Some(reason) = &state.review_stuck {
        return Some(Event::Escalated { reason: reason.clone() });
    }
    if !state.cleaning && may_clean_up(state) {
        return Some(Event::CleanUpStarted);
    }
    if state.cleaned {
        let whole = state.tasks.iter().all(|t| matches!(t.step, Step::Merged | Step::Skipped));
        let outcome = if whole { Outcome::Done } else { Outcome::Partial };
        return Some(Event::RunEnded { outcome });
    }
    if is_stuck(state) && !is_settled(state) {
        if let Some(event) = request::batch(state) {
            return Some(event);
        }
        let with = |step: Step| -> Vec<&str> {
            let tasks = (0..state.tasks.len()).filter(|t| state.tasks[*t].step == step);
            tasks.map(|t| state.plan.tasks[t].id.as_str()).collect()
        };
        let failed = with(Step::Failed);
        let reason = if failed.is_empty() {
            format!("nothing can start: {}", with(Step::Pending).join(", "))
        } else {
            format!("out of attempts: {}", failed.join(", "))
        };
        return Some(Event::Escalated { reason });
    }
    None
}
