//! What happens around a coordinator: crashes, faults, signals, people, the clock. Knows nothing of effects.

use std::collections::BTreeSet;

use slimductor::execute::command::Answer;
use slimductor::execute::event::{Choice, Event, Record};
use slimductor::execute::state::{RunState, Step};
use slimductor::types::{Ending, TaskId};

use crate::disk::{Disk, JobStep, Piece};
use crate::script::Rng;

/// What may hit a coordinator at one of the counted points.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Blow {
    /// It is killed.
    Crash,
    /// It is killed, and every job with it.
    Reboot,
    /// The disk is full: an effect says so, or the journal cannot be written.
    Full,
    /// Git or the system refuses an effect.
    Refusal,
    /// A signal.
    Signal,
    /// Somebody commits on the target.
    TargetMoves,
    /// Somebody commits on the staging branch.
    StagingMoves,
    /// Somebody deletes the staging branch.
    StagingGoes,
}

/// When something happens to the coordinator, and what people do meanwhile.
#[derive(Debug)]
pub enum Fate {
    /// Nothing, or one blow at a counted point.
    Planned { at: Option<(u64, Blow)>, hit: bool },
    /// Nothing; but at every counted point it is noted what a crash would leave.
    Explored { left: Vec<Disk> },
    /// As it comes: so many blows, so many things that people do.
    Chance { rng: Rng, blows: u32, people: u32, patient: bool },
}

impl Fate {
    /// A run to which nothing happens.
    pub fn kind() -> Fate {
        Fate::Planned { at: None, hit: false }
    }

    pub fn planned(point: u64, blow: Blow) -> Fate {
        Fate::Planned { at: Some((point, blow)), hit: false }
    }

    pub fn is_chance(&self) -> bool {
        matches!(self, Fate::Chance { .. })
    }

    /// What happens at this point.
    pub fn blow(&mut self, point: u64) -> Option<Blow> {
        match self {
            Fate::Explored { .. } => None,
            Fate::Planned { at, hit } => {
                let (_, blow) = at.filter(|(n, _)| *n == point)?;
                *hit = true;
                Some(blow)
            }
            Fate::Chance { rng, blows, .. } => {
                if *blows == 0 || !rng.one_in(30) {
                    return None;
                }
                *blows -= 1;
                Some(match rng.below(24) {
                    0..=7 => Blow::Crash,
                    8 => Blow::Reboot,
                    9..=11 => Blow::Full,
                    12..=14 => Blow::Refusal,
                    15..=17 => Blow::Signal,
                    18..=21 => Blow::TargetMoves,
                    22 => Blow::StagingMoves,
                    _ => Blow::StagingGoes,
                })
            }
        }
    }

    /// What people and the machine do beside the run at this moment, one time in `one_in`.
    pub fn meddle(&mut self, disk: &mut Disk, state: &RunState, one_in: usize) {
        let Fate::Chance { rng, people, .. } = self else { return };
        // The moment at which a person changes his mind.
        let late = state.promoting.is_some() || state.target_moved.is_some() || state.aborting;
        if *people == 0 || !rng.one_in(if late { 3 } else { one_in }) {
            return;
        }
        *people -= 1;
        if late {
            let choice = if rng.one_in(2) { Choice::Abort } else { Choice::Replan };
            disk.say(Answer { id: format!("late-{people}"), choice, about: None }, true);
            return;
        }
        match rng.below(12) {
            0 => {
                let running = disk.running();
                if !running.is_empty() {
                    let name = &running[rng.below(running.len())];
                    let steps = [JobStep::Dead, JobStep::Ended(Ending::Stopped)];
                    disk.cut_down(name, steps[rng.below(2)], rng.one_in(2));
                }
            }
            1 if rng.one_in(3) => cure(disk),
            1 => edit(disk, state, rng),
            2 if rng.one_in(4) => rewrite_target(disk),
            _ => {
                let answer = nonsense(state, rng, *people);
                if answer.choice == Choice::Fix {
                    edit(disk, state, rng);
                }
                let told = rng.one_in(2);
                disk.say(answer, told);
            }
        }
    }
}

/// Something happens to the branches.
pub fn meddle_with_branches(disk: &mut Disk, blow: Blow) {
    match blow {
        Blow::TargetMoves => {
            let onto = disk.content(&disk.target).clone();
            disk.target = disk.foreign_commit(&onto, None);
        }
        Blow::StagingMoves => {
            let Some(tip) = disk.staging.clone() else { return };
            let onto = disk.content(&tip).clone();
            disk.staging = Some(disk.foreign_commit(&onto, None));
            disk.staging_meddled = true;
        }
        Blow::StagingGoes => disk.staging_meddled |= disk.staging.take().is_some(),
        Blow::Crash | Blow::Reboot | Blow::Full | Blow::Refusal | Blow::Signal => {}
    }
}

/// Somebody commits on the target what makes a red suite green.
fn cure(disk: &mut Disk) {
    let onto = disk.content(&disk.target).clone();
    disk.target = disk.foreign_commit(&onto, Some(Piece::Cure));
}

/// History is rewritten: what the run began with is gone.
fn rewrite_target(disk: &mut Disk) {
    disk.target = disk.foreign_commit(&BTreeSet::new(), None);
    disk.target_rewritten = true;
}

/// A person works in the kept worktree of a failed task.
fn edit(disk: &mut Disk, state: &RunState, rng: &mut Rng) {
    let open = |t: &usize| state.tasks[*t].step == Step::Failed && state.tasks[*t].slot.is_some();
    let failed: Vec<usize> = (0..state.tasks.len()).filter(open).collect();
    if failed.is_empty() {
        return;
    }
    let task = failed[rng.below(failed.len())];
    let run = &state.tasks[task];
    let tree = run.slot.and_then(|slot| disk.slots.get_mut(&slot));
    // Its worktree may never have been made.
    if let Some(tree) = tree.filter(|t| t.made_for.is_some_and(|(t, _)| t == task)) {
        let piece = Piece::Edit { task, attempt: run.attempt + 1 };
        tree.content.insert(piece);
        disk.written.insert(piece);
    }
}

/// What a person may say at any moment; also things that make no sense, or no longer.
fn nonsense(state: &RunState, rng: &mut Rng, number: u32) -> Answer {
    let task = rng.below(state.tasks.len());
    let attempt = state.tasks[task].attempt.saturating_sub(u32::from(rng.one_in(6)));
    let choice = match rng.below(18) {
        0 => Choice::Abort,
        1 => Choice::Replan,
        2 => Choice::Accept,
        3..=6 => Choice::Skip,
        7..=9 => Choice::Approve,
        10..=12 => Choice::Fix,
        _ => Choice::Retry,
    };
    let about = (!rng.one_in(8)).then_some((task, attempt));
    Answer { id: format!("{number:03}"), choice, about }
}

/// Puts right what stands in the way, and answers. `false`: nobody answers any more.
pub fn answer_what_is_asked(disk: &mut Disk, state: &RunState, fate: &Fate, skips: bool) -> bool {
    disk.dirty = false;
    if disk.staging_meddled {
        // It keeps what is there under a name of its own, and puts the branch back.
        disk.branches.extend(disk.staging.clone().map(|tip| ("mine".to_owned(), tip)));
        disk.staging.clone_from(&state.staging);
        disk.staging_meddled = false;
    }
    let refused = state.refused.is_some();
    let later = refused || state.promotion_blocked.is_some() || state.review_unreadable;
    if state.final_red.is_some()
        && !disk.target_rewritten
        && disk.person.patience < 5
        && !disk.person.cured
    {
        // At last somebody finds the cure.
        disk.person.cured = true;
        cure(disk);
    }
    if (later || state.final_red.is_some()) && disk.person.patience > 0 {
        disk.person.patience -= 1;
        return true;
    }
    let at = |task: usize| Some((task, state.tasks[task].attempt));
    let (choice, about) = match fate {
        Fate::Planned { .. } | Fate::Explored { .. } => {
            let failed = |t: &usize| state.tasks[*t].step == Step::Failed;
            let troubled = cost_an_attempt(disk);
            let cost = |t: &usize| failed(t) && troubled.contains(&state.plan.tasks[*t].id);
            if let Some(task) = (0..state.tasks.len()).find(cost).filter(|_| disk.person.asked < 8)
            {
                // The trouble is gone: what it cost an attempt is tried again.
                (Choice::Retry, at(task))
            } else if let Some(task) = (0..state.tasks.len()).find(failed).filter(|_| skips) {
                (Choice::Skip, at(task))
            } else {
                return false;
            }
        }
        Fate::Chance { patient: false, .. } => return false,
        Fate::Chance { .. } => {
            let lost = |t: &usize| matches!(state.tasks[*t].step, Step::Failed | Step::Blocked);
            match (0..state.tasks.len()).find(lost) {
                Some(task) if state.promotion_blocked.is_none() => (Choice::Skip, at(task)),
                _ if state.review_stuck.is_some() && !disk.person.asked.is_multiple_of(3) => {
                    (Choice::Accept, None)
                }
                _ => (Choice::Abort, None),
            }
        }
    };
    disk.person.asked += 1;
    let id = format!("person-{}", disk.person.asked);
    disk.say(Answer { id, choice, about }, true);
    true
}

/// The tasks that lost an attempt because the machine refused something, which is not how any task fails by itself.
#[expect(clippy::wildcard_enum_match_arm, reason = "one event is looked for")]
pub fn cost_an_attempt(disk: &Disk) -> BTreeSet<TaskId> {
    let refused = |r: &Record| match &r.event {
        Event::AttemptFailed { findings, task, .. } => {
            findings.iter().any(|f| f.message == crate::world::REFUSED).then(|| task.clone())
        }
        _ => None,
    };
    disk.journal.iter().filter_map(refused).collect()
}
