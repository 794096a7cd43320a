//! What `resume` would do now, found out without doing anything: the same decisions on a copy of the state. Writes
//! nothing, takes no lock, starts no process.

use std::collections::HashSet;
use std::path::Path;

use schemars::JsonSchema;
use serde::Serialize;

use super::command::{Command, Done, Effect, Product, Seen};
use super::coordinator::{self, TakeUp};
use super::decide::decide;
use super::event::{Event, Record, kind_of};
use super::job::{self, Probe};
use super::run::{self, RunError};
use super::state::RunState;
use super::worktree::Places;
use super::world;
use super::{jobs, journal, lost};
use crate::git::Repo;
use crate::store;
use crate::types::{Attempt, Ending, JobReport, RunId, TaskId};

/// `resume --dry-run --json`.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[schemars(title = "slimductor resume --dry-run")]
pub struct Rehearsal {
    /// The run.
    pub run_id: RunId,
    /// How many records its journal holds.
    pub records: u64,
    /// How many bytes behind them belong to a write that was cut off; `resume` cuts them away.
    pub torn_bytes: u64,
    /// What is begun, in this order, before the end of anything that is still open is known.
    pub effects: Vec<Foreseen>,
    /// Why a person is waited for, when that comes before anything else.
    pub waits: Option<String>,
    /// How the run ends, when it ends with that.
    pub ends: bool,
}

/// One thing that would be begun.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Foreseen {
    /// How.
    pub does: Does,
    /// What: the same words as in the effects' log.
    pub effect: String,
    /// How that is known, or what it finds.
    pub detail: String,
    /// The task that it is about.
    pub task: Option<TaskId>,
    /// Its attempt.
    pub attempt: Option<Attempt>,
}

/// How an effect meets what is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Does {
    /// The job still runs: it is waited for.
    Adopt,
    /// The job ended meanwhile: its result is taken.
    Collect,
    /// The job's wrapper is gone without an exit file.
    Lost,
    /// The job is started.
    Start,
    /// Something that ends by itself, with git or on disk; done again where it was done already.
    Do,
}

impl Does {
    /// Its word.
    pub fn word(self) -> &'static str {
        match self {
            Does::Adopt => "adopt",
            Does::Collect => "collect",
            Does::Lost => "lost",
            Does::Start => "start",
            Does::Do => "do",
        }
    }
}

/// What `resume` would do with this run.
///
/// With the state as it is now.
pub fn rehearse(repo: &Repo, id: &RunId, how: TakeUp) -> Result<(Rehearsal, RunState), RunError> {
    let places = Places { root: repo.root().to_owned(), run: id.clone() };
    if store::is_locked(&places.lock()) {
        return Err(run::held_by(&places));
    }
    let contents = journal::read(&places.journal())?;
    let (plan, config) = run::load_plan(&places)?;
    let mut state = run::replay(plan, &contents.records, &places)?;
    let limits = run::limits(repo.root(), &config);
    let (records, before) = (state.seq, state.clone());
    let mut foreseen = Vec::new();
    let mut now = world::present().as_millisecond().max(state.at);
    let start = coordinator::taken_up(repo, &state, how)?;
    record(&mut state, now, start)?;
    let (mut in_flight, mut done) = (HashSet::new(), Vec::new());
    loop {
        let answers = world::read_answers(&places.answers(), &state);
        let seen = Seen {
            now,
            done: std::mem::take(&mut done),
            in_flight: in_flight.clone(),
            answers,
            interrupted: false,
        };
        let todo = decide(&state, &seen, &limits);
        let mut stuck = true;
        for command in todo {
            match command {
                Command::Record(event) => {
                    stuck = false;
                    record(&mut state, now, *event)?;
                }
                Command::Begin(effect) => {
                    stuck = false;
                    let (step, result) = foresee(&places, &state, &effect)?;
                    foreseen.push(step);
                    in_flight.insert(effect.clone());
                    if let Some(report) = result {
                        done.push(Done { effect, result: Ok(Product::Job(report)) });
                    }
                }
            }
        }
        in_flight.retain(|e| !done.iter().any(|d: &Done| d.effect == *e));
        now += 1;
        if stuck {
            break;
        }
    }
    let rehearsal = Rehearsal {
        run_id: id.clone(),
        records,
        torn_bytes: contents.torn,
        effects: foreseen,
        waits: state.waiting.clone(),
        ends: state.outcome.is_some(),
    };
    Ok((rehearsal, before))
}

fn record(state: &mut RunState, now: i64, event: Event) -> Result<(), RunError> {
    let what = kind_of(&event);
    let at = jiff::Timestamp::from_millisecond(now)
        .map_err(|e| RunError::Unreadable(format!("{what}: {e}")))?;
    Ok(state.apply(&Record { v: journal::VERSION, seq: state.seq + 1, at, event })?)
}

/// What an effect would meet, and the job's result where that is known already.
fn foresee(
    places: &Places,
    state: &RunState,
    effect: &Effect,
) -> Result<(Foreseen, Option<JobReport>), RunError> {
    let task = effect.about();
    let step = |does: Does, detail: String| Foreseen {
        does,
        effect: effect.describe(state),
        detail,
        task: task.and_then(|(t, _)| Some(state.plan.tasks.get(t)?.id.clone())),
        attempt: task.map(|(_, attempt)| attempt),
    };
    let Some(job) = effect.job(state) else { return Ok((step(Does::Do, String::new()), None)) };
    let dir = places.job(&job);
    if !lost::is_about(&dir, jobs::about(effect, state)) {
        let detail = "a job of that name is about something else: it is ended and put aside";
        return Ok((step(Does::Start, detail.to_owned()), None));
    }
    let probed = job::probe(&dir).map_err(|e| RunError::Unreadable(e.to_string()))?;
    // A check that was ended from outside, or lost its wrapper, is simply run again.
    let once = matches!(effect, Effect::Work { .. });
    Ok(match probed {
        Probe::Running => (step(Does::Adopt, at_work(&dir)), None),
        Probe::Ended(report) if once || report.ending != Ending::Stopped => {
            let detail = match report.first_failure() {
                Some(failed) => format!("it ended: {}, {}", failed.command, failed.ending()),
                None => "it ended well".to_owned(),
            };
            let known = !matches!(effect, Effect::Review { .. });
            (step(Does::Collect, detail), Some(report).filter(|_| known))
        }
        Probe::Dead if once && job::why_it_died(&dir).is_some() => {
            let why = job::why_it_died(&dir).unwrap_or_default();
            let detail =
                format!("begun again in a worktree made anew: its wrapper could not go on: {why}");
            (step(Does::Start, detail), None)
        }
        Probe::NotStarted if once && lost::is_begun_again(&dir) => {
            let detail = "begun again in a worktree made anew; what is there is kept";
            (step(Does::Start, detail.to_owned()), None)
        }
        Probe::Dead if once => {
            let report = JobReport { ending: Ending::Lost, steps: Vec::new() };
            let kept = if state.force {
                "its wrapper is gone; what it did not commit is dropped"
            } else {
                "its wrapper is gone; what it made is committed and kept"
            };
            (step(Does::Lost, kept.to_owned()), Some(report))
        }
        Probe::NotStarted if job::is_cancelled(&dir) => {
            let report = JobReport { ending: Ending::Stopped, steps: Vec::new() };
            (step(Does::Collect, "it was told to end before it began".to_owned()), Some(report))
        }
        Probe::Ended(_) | Probe::Dead => {
            (step(Does::Start, "it was cut down: it is run again".to_owned()), None)
        }
        Probe::NotStarted => (step(Does::Start, String::new()), None),
    })
}

fn at_work(dir: &Path) -> String {
    job::read_pid(dir).map_or_else(
        || "it holds its lock".to_owned(),
        |pid| format!("it holds its lock as process {}", pid.pid),
    )
}
