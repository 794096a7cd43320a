//! What the gate does next: stage the queue, check the telling prefixes, land, blame, and find out why. Pure; which
//! prefixes tell is integrate::search's business.

use super::command::{Limits, Seen};
use super::event::{Event, GateOn};
use super::gate_state::conflict_of;
use super::outcome::attempt_failed;
use super::request;
use super::state::{Colour, GateRun, RunState, Step, TOGETHER};
use super::task_run::{GateStep, Inquest};
use crate::integrate::queue;
use crate::integrate::search::{self, Known, Move, View};
use crate::types::{Category, Finding, Gate, Sha};

/// What is to be recorded about the queue, its trees and the gates.
pub(super) fn queue_choices(
    state: &RunState,
    seen: &Seen,
    limits: &Limits,
    staging: &Sha,
) -> Vec<Event> {
    let mut events = dropped(state);
    if state.landing.is_some() {
        return events;
    }
    events.extend(conflicts(state, seen, limits, staging));
    if !events.is_empty() {
        return events;
    }
    // All that waits is staged before anything is checked: merging costs nothing beside a suite.
    if let Some(next) = next_stage(state, staging) {
        return vec![next];
    }
    if state.train.iter().any(|s| s.commit.is_none()) {
        return Vec::new();
    }
    let mut places = Places::of(state);
    events.extend(train_moves(state, limits, staging, &mut places));
    let searching = events.iter().any(|e| matches!(e, Event::GateStarted { .. }));
    events.extend(inquests(state, seen, limits, if searching { None } else { Some(places) }));
    events
}

/// Gates whose result nobody waits for any more.
fn dropped(state: &RunState) -> Vec<Event> {
    let useless = |gate: &&GateRun| match &gate.on {
        _ if gate.step == GateStep::Stopping => false,
        GateOn::Prefix { stage } => !state.train.iter().any(|s| s.number == *stage),
        GateOn::Again { task } | GateOn::Alone { task } | GateOn::With { task, .. } => {
            let task = state.plan.index_of(task);
            task.is_none_or(|t| state.tasks[t].step != Step::Suspect)
        }
        GateOn::Base | GateOn::Final => false,
    };
    state.gates.iter().filter(useless).map(|g| Event::GateDropped { gate: g.number }).collect()
}

/// What does not merge with staging itself goes back.
fn conflicts(state: &RunState, seen: &Seen, limits: &Limits, staging: &Sha) -> Vec<Event> {
    let stuck = |t: &usize| {
        let run = &state.tasks[*t];
        run.step == Step::Queued && run.conflicted_on.as_ref() == Some(staging)
    };
    let found = (0..state.tasks.len()).filter(stuck);
    found.map(|t| attempt_failed(state, seen, t, conflict_of(&state.tasks[t]), limits)).collect()
}

/// The next task to be merged behind the queue's last tree.
fn next_stage(state: &RunState, staging: &Sha) -> Option<Event> {
    if state.train.iter().any(|s| s.commit.is_none()) || state.wants_install() {
        return None;
    }
    let tip = state.train.last().and_then(|s| s.commit.as_ref()).unwrap_or(staging);
    let waits = |t: &usize| {
        let run = &state.tasks[*t];
        run.step == Step::Queued
            && run.conflicted_on.as_ref() != Some(tip)
            && !state.train.iter().any(|s| s.task == *t)
    };
    let front = queue::front((0..state.tasks.len()).filter(waits).map(|t| queue::Waiting {
        task: t,
        priority: state.plan.tasks[t].priority,
        remaining: state.plan.tails[t],
        risk: state.plan.tasks[t].risk,
        since: state.tasks[t].verified_seq,
    }))?;
    Some(Event::StageStarted {
        stage: state.stages + 1,
        task: state.plan.tasks[front].id.clone(),
        base: tip.clone(),
    })
}

/// The gates' worktrees that are free.
struct Places {
    free: Vec<Gate>,
    next: u32,
}

impl Places {
    fn of(state: &RunState) -> Places {
        let used = |n: &u32| state.gates.iter().any(|g| g.place == Gate::Slot(*n));
        let window = state.header.settings.window.max(1);
        // The lowest last, to be taken first: its caches are the warmest.
        let free = (0..window).rev().filter(|n| !used(n)).map(Gate::Slot).collect();
        Places { free, next: state.gate_count + 1 }
    }

    fn start(&mut self, on: GateOn, commit: Option<Sha>) -> Option<Event> {
        let place = self.free.pop()?;
        let gate = self.next;
        self.next += 1;
        Some(Event::GateStarted { gate, on, commit, place })
    }
}

fn gate_on<'a>(state: &'a RunState, on: &GateOn) -> Option<&'a GateRun> {
    state.gates.iter().find(|g| g.on == *on)
}

/// The search's moves, as events.
fn train_moves(
    state: &RunState,
    limits: &Limits,
    staging: &Sha,
    places: &mut Places,
) -> Vec<Event> {
    if state.train.is_empty() {
        return Vec::new();
    }
    let on = |k: usize| match k {
        0 => GateOn::Base,
        _ => GateOn::Prefix { stage: state.train[k - 1].number },
    };
    let known = |k: usize| {
        let colour = if k == 0 { state.base_colour } else { state.train[k - 1].colour };
        match colour {
            Colour::Green => Known::Green,
            Colour::Red => Known::Red,
            Colour::Unknown if gate_on(state, &on(k)).is_some() => Known::Running,
            Colour::Unknown => Known::Unknown,
        }
    };
    let prefixes: Vec<Known> = (0..=state.train.len()).map(known).collect();
    let chances: Vec<f64> = state.train.iter().map(|s| chance(state, limits, s.task)).collect();
    let ours = |gate: &&GateRun| (0..=state.train.len()).any(|k| gate.on == on(k));
    let others = state.gates.len() - state.gates.iter().filter(ours).count();
    let slots = (state.header.settings.window.max(1) as usize).saturating_sub(others);
    let strict = state.header.settings.strict;
    let view = View { chances: &chances, prefixes: &prefixes, slots, strict };
    let mut events = Vec::new();
    for step in search::moves(&view) {
        events.extend(match step {
            Move::Check(k) => {
                let commit = match k {
                    0 => Some(staging.clone()),
                    _ => state.train[k - 1].commit.clone(),
                };
                places.start(on(k), commit)
            }
            Move::Cancel(k) => gate_on(state, &on(k))
                .filter(|g| g.step != GateStep::Stopping)
                .map(|g| Event::GateDropped { gate: g.number }),
            Move::Land(k) => Some(Event::LandingStarted { stage: state.train[k - 1].number }),
            Move::Blame => state.train.first().map(|s| Event::TaskEvicted {
                task: state.plan.tasks[s.task].id.clone(),
                stage: s.number,
                findings: s.findings.clone(),
            }),
            // Asked about at the end of the turn, when nobody is left who may mend it.
            Move::BaseRed => None,
        });
    }
    events
}

/// The chance that a task breaks the suite: what this repository showed, and what this task did so far.
fn chance(state: &RunState, limits: &Limits, task: usize) -> f64 {
    let points = f64::from(u32::try_from(state.plan.tasks[task].risk).unwrap_or(100));
    let tries = f64::from(state.tasks[task].attempt.saturating_sub(1));
    let factor = 0.75 + points / 40.0 + tries / 2.0;
    search::chance(search::PRIOR, limits.history.seen, limits.history.broke, factor)
}

/// What is asked, or found, about tasks that break the suite. Asked only where a gate is idle.
fn inquests(
    state: &RunState,
    seen: &Seen,
    limits: &Limits,
    mut places: Option<Places>,
) -> Vec<Event> {
    let mut events = Vec::new();
    for (task, run) in state.tasks.iter().enumerate() {
        let Some(inquest) = run.inquest.as_ref().filter(|_| run.step == Step::Suspect) else {
            continue;
        };
        let id = &state.plan.tasks[task].id;
        match question(state, task, inquest) {
            Question::Ask(on, commit) => {
                let asked = gate_on(state, &on).is_some();
                let place = places.as_mut().filter(|_| !asked);
                events.extend(place.and_then(|p| p.start(on, commit)));
            }
            Question::Flaky if run.flaky == 0 => {
                events.push(Event::TaskCleared { task: id.clone() });
            }
            Question::Flaky => {
                let finding = Finding {
                    category: Category::Flaky,
                    message: "the suite failed with it and passed unchanged, twice".to_owned(),
                    subject: None,
                    help: "make the suite say the same each time".to_owned(),
                    output: inquest.findings.iter().find_map(|f| f.output.clone()),
                    package: None,
                };
                events.push(attempt_failed(state, seen, task, vec![finding], limits));
            }
            Question::Answered(partner) => {
                let mut findings: Vec<Finding> =
                    partner.map(|p| together(state, p)).into_iter().collect();
                findings.extend(inquest.findings.iter().cloned());
                if let Some(blocked) = request::blocked(state, task, &inquest.findings) {
                    events.push(blocked);
                    continue;
                }
                events.push(attempt_failed(state, seen, task, findings, limits));
            }
        }
    }
    events
}

fn together(state: &RunState, partner: usize) -> Finding {
    let partner = &state.plan.tasks[partner].id;
    Finding {
        category: Category::LogicError,
        message: format!("{TOGETHER} {partner}, which landed before"),
        subject: Some(partner.to_string()),
        help: format!("make it work with what {partner} changed; both stand in the next base"),
        output: None,
        package: None,
    }
}

enum Question {
    Ask(GateOn, Option<Sha>),
    /// The same tree passed when its checks ran again.
    Flaky,
    /// It is the task's own fault, or that of the task and the one that is named.
    Answered(Option<usize>),
}

/// What is to be asked next about a task that breaks the suite.
fn question(state: &RunState, task: usize, inquest: &Inquest) -> Question {
    let id = state.plan.tasks[task].id.clone();
    let run = &state.tasks[task];
    let (passed, failed) = inquest.between;
    match (inquest.again, inquest.alone) {
        (None, _) => Question::Ask(GateOn::Again { task: id }, Some(inquest.commit.clone())),
        (Some(true), _) => Question::Flaky,
        // Nothing landed since it began: there is nobody it could not get on with.
        (Some(false), _) if run.base_landed >= failed => Question::Answered(None),
        (Some(false), None) => Question::Ask(GateOn::Alone { task: id }, run.head.clone()),
        (Some(false), Some(false)) => Question::Answered(None),
        (Some(false), Some(true)) if failed - passed > 1 => {
            let landed = passed + (failed - passed) / 2;
            Question::Ask(GateOn::With { task: id, landed }, None)
        }
        (Some(false), Some(true)) => {
            Question::Answered(state.landed.get(failed - 1).map(|(partner, _)| *partner))
        }
    }
}
