//! The simulated world of one coordinator: what it has in flight, what it sees of the disk and when. Everything may
//! come late and in any order.

use std::collections::{BTreeSet, HashSet};
use std::rc::Rc;

use slimductor::execute::command::{Done, Effect, Product, Seen, Trouble};
use slimductor::execute::decide::next_wake;
use slimductor::execute::engine::World;
use slimductor::execute::event::{Event, Record};
use slimductor::execute::state::RunState;
use slimductor::git::Swap;

use crate::disk::Disk;
use crate::effects::{Cut, Work};
use crate::fate::{Blow, Fate, meddle_with_branches};
use crate::jobs::{self, Found};
use crate::script::{Rng, Script};

/// A run that takes more steps than this does not end; honest ones stay below a third of it.
const MOST_POINTS: u64 = 4_000;

/// What an effect says that is refused for no reason of the run's.
pub const REFUSED: &str = "the machine refused";
/// The longest wait before a retry, ms.
const LONGEST_BACKOFF: i64 = 60_000;
const HOUR: i64 = 3_600_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SimError {
    #[error("killed")]
    Killed,
    #[error("the journal cannot be written")]
    Full,
}

/// An effect that has begun, with the state at that time.
#[derive(Clone)]
struct Pending {
    effect: Effect,
    state: Rc<RunState>,
    /// How often its job died under this coordinator.
    deaths: u32,
}

pub struct Sim<'a> {
    pub script: &'a Script,
    pub disk: &'a mut Disk,
    pub rng: Rng,
    pub fate: &'a mut Fate,
    /// Counts the places where something may happen.
    pub points: &'a mut u64,
    pending: Vec<Pending>,
    /// What ended, and is not seen yet.
    ready: Vec<Done>,
    done: Vec<Done>,
    dropped: BTreeSet<String>,
    /// Whether something ended that is no event.
    woken: bool,
    signals: u32,
    /// Whether it was told that staging is where it did not put it.
    pub told_elsewhere: bool,
}

impl<'a> Sim<'a> {
    pub fn new(
        script: &'a Script,
        disk: &'a mut Disk,
        rng: Rng,
        fate: &'a mut Fate,
        points: &'a mut u64,
    ) -> Sim<'a> {
        let (pending, ready, done) = (Vec::new(), Vec::new(), Vec::new());
        let dropped = BTreeSet::new();
        Sim {
            script,
            disk,
            rng,
            fate,
            points,
            pending,
            ready,
            done,
            dropped,
            woken: false,
            signals: 0,
            told_elsewhere: false,
        }
    }

    /// A place where something may happen: the coordinator is killed, or what it does meets trouble.
    fn point(&mut self, doing: Option<&Pending>) -> Result<Option<Trouble>, SimError> {
        if let Fate::Explored { .. } = self.fate {
            let killed = self.killed_here(doing);
            if let Fate::Explored { left } = self.fate {
                left.push(killed);
            }
        }
        *self.points += 1;
        assert!(*self.points < MOST_POINTS, "the run goes round in circles");
        let Some(blow) = self.fate.blow(*self.points) else { return Ok(None) };
        match blow {
            Blow::Crash => {
                self.cut_down(doing);
                return Err(SimError::Killed);
            }
            Blow::Reboot => {
                self.cut_down(doing);
                self.disk.reboot(&mut self.rng);
                return Err(SimError::Killed);
            }
            Blow::Full => return Ok(Some(Trouble::NoRoom("no space left".to_owned()))),
            Blow::Refusal => return Ok(Some(Trouble::Refused(REFUSED.to_owned()))),
            Blow::Signal => self.signals += 1,
            Blow::TargetMoves | Blow::StagingMoves | Blow::StagingGoes => {
                meddle_with_branches(self.disk, blow);
            }
        }
        Ok(None)
    }

    fn tick(&mut self) {
        self.disk.clock += 1 + self.rng.below(3) as i64;
        if self.script.wild_clock && self.rng.one_in(12) {
            let jump = self.rng.below(10) as i64 * HOUR - 5 * HOUR;
            // No machine of ours believes that it is before the epoch.
            self.disk.clock = (self.disk.clock + jump).max(0);
        }
    }

    /// What a crash at this moment leaves.
    fn killed_here(&self, doing: Option<&Pending>) -> Disk {
        let (mut disk, mut fate, mut points) = (self.disk.clone(), Fate::kind(), 0);
        let rng = self.rng.clone();
        let mut killed = Sim::new(self.script, &mut disk, rng, &mut fate, &mut points);
        killed.pending.clone_from(&self.pending);
        killed.cut_down(doing);
        disk
    }

    /// Everything stops, in the midst of what is done at this moment, and of all that is under way.
    fn cut_down(&mut self, doing: Option<&Pending>) {
        let steps_left = self.rng.below(8).checked_sub(3);
        if let (Some(doing), Some(_)) = (doing, steps_left) {
            let _ = self.work(&doing.effect, &doing.state, steps_left);
        }
        self.abandon();
    }

    /// What is under way when the coordinator ends may be done, half done, or not done.
    pub fn abandon(&mut self) {
        while !self.pending.is_empty() {
            let of = self.rng.below(self.pending.len());
            let pending = self.pending.swap_remove(of);
            if self.rng.one_in(2) {
                continue;
            }
            if !pending.effect.is_job() {
                let steps_left = Some(self.rng.below(6));
                let mut work = Work { script: self.script, disk: self.disk, steps_left };
                let _ = work.perform(&pending.effect, &pending.state);
            } else if let Found::Begin =
                jobs::look(self.disk, &pending.effect, &pending.state, &mut { pending.deaths })
            {
                jobs::begin(self.script, self.disk, &pending.effect, &pending.state);
            }
        }
    }

    /// An effect that ends by itself takes its turn.
    fn perform(&mut self, pending: &Pending) -> Result<(), SimError> {
        let (effect, state) = (&pending.effect, &pending.state);
        let result = match self.point(Some(pending))? {
            Some(trouble) => Err(trouble),
            None => {
                let moves = matches!(effect, Effect::Promote { .. })
                    && self.disk.target_moved < self.script.target_moves;
                let mut result = self.work(effect, state, None);
                if !moves && self.rng.one_in(6) {
                    let again = self.work(effect, state, None);
                    assert_eq!(again, result, "{effect:?} done twice is not done once");
                    result = again;
                }
                // The effects promise that one that is refused has moved nothing: moving a branch is their last step, and
                // a promotion that cannot be told from one that did nothing ends the coordinator.
                let last = matches!(effect, Effect::MergeTarget { .. } | Effect::Promote { .. });
                match self.point(None)? {
                    Some(Trouble::Refused(_)) if last => result,
                    Some(trouble) => Err(trouble),
                    None => result,
                }
            }
        };
        if let Effect::DropAnswer { id } = effect {
            // Whether it could be removed or not: it is not looked at again.
            self.dropped.insert(id.clone());
            self.woken = true;
            return Ok(());
        }
        self.told_elsewhere |= matches!(result, Ok(Product::Swapped(Swap::Elsewhere(_))));
        self.ready.push(Done { effect: effect.clone(), result });
        Ok(())
    }

    fn work(
        &mut self,
        effect: &Effect,
        state: &RunState,
        steps_left: Option<usize>,
    ) -> Result<Product, Trouble> {
        let mut work = Work { script: self.script, disk: self.disk, steps_left };
        work.perform(effect, state).map_err(|cut| match cut {
            Cut::Killed => Trouble::Refused("killed".to_owned()),
            Cut::Refused(why) => Trouble::Refused(why.to_owned()),
        })
    }

    /// An effect that waits for a job takes its turn; whether it has come to its end.
    fn attend(&mut self, of: usize) -> Result<(), SimError> {
        let (effect, state) = (self.pending[of].effect.clone(), self.pending[of].state.clone());
        let result = match jobs::look(self.disk, &effect, &state, &mut self.pending[of].deaths) {
            Found::Running => return Ok(()),
            Found::Begin => match self.point(None)? {
                Some(trouble) => Err(trouble),
                None => {
                    jobs::begin(self.script, self.disk, &effect, &state);
                    match self.point(None)? {
                        Some(trouble @ Trouble::Refused(_)) => {
                            // Whoever is no longer waited for is ended, where that can be done; a rest of him may live on,
                            // but has written what it had to write.
                            let name = jobs::job_of(&effect, &state).0;
                            match self.rng.one_in(2) {
                                true => self.disk.finish(&name),
                                false => self.disk.write_down(&name),
                            }
                            Err(trouble)
                        }
                        Some(trouble) => Err(trouble),
                        None => return Ok(()),
                    }
                }
            },
            Found::Over(product) => Ok(product),
        };
        self.pending.swap_remove(of);
        self.ready.push(Done { effect, result });
        Ok(())
    }

    fn has_news(&self) -> bool {
        !self.done.is_empty() || self.signals > 0 || self.woken
    }

    /// One thing happens. `false`: nothing can.
    fn happen(&mut self) -> Result<bool, SimError> {
        let running = self.disk.running();
        let hidden: Vec<usize> =
            (0..self.disk.answers.len()).filter(|n| !self.disk.answers[*n].1).collect();
        let waits = |p: &Pending| {
            p.effect.is_job() && running.contains(&jobs::job_of(&p.effect, &p.state).0)
        };
        let moving: Vec<usize> =
            (0..self.pending.len()).filter(|n| !waits(&self.pending[*n])).collect();
        let (a, b, c) = (moving.len(), running.len(), self.ready.len());
        let all = a + b + c + hidden.len();
        if all == 0 {
            return Ok(false);
        }
        let chosen = self.rng.below(all);
        if chosen < a {
            let of = moving[chosen];
            if self.pending[of].effect.is_job() {
                self.attend(of)?;
            } else {
                let pending = self.pending.swap_remove(of);
                self.perform(&pending)?;
            }
        } else if chosen < a + b {
            self.disk.finish(&running[chosen - a]);
        } else if chosen < a + b + c {
            let seen = self.ready.swap_remove(chosen - a - b);
            self.done.push(seen);
        } else {
            self.disk.answers[hidden[chosen - a - b - c]].1 = true;
        }
        Ok(true)
    }
}

impl World for Sim<'_> {
    type Error = SimError;

    fn observe(&mut self, _: &RunState) -> Result<Seen, SimError> {
        if self.signals > 1 {
            return Err(SimError::Killed);
        }
        self.woken = false;
        let flying = self.pending.iter().map(|p| &p.effect);
        let in_flight: HashSet<Effect> =
            flying.chain(self.ready.iter().map(|d| &d.effect)).cloned().collect();
        let looks = |id: &String| !self.dropped.contains(id);
        let seen = self.disk.answers.iter().filter(|(a, seen)| *seen && looks(&a.id));
        let mut answers: Vec<_> = seen.map(|(a, _)| a.clone()).collect();
        answers.sort_by(|a, b| a.id.cmp(&b.id));
        Ok(Seen {
            now: self.disk.clock,
            done: std::mem::take(&mut self.done),
            in_flight,
            answers,
            interrupted: self.signals > 0,
        })
    }

    fn append(&mut self, events: Vec<Event>) -> Result<Vec<Record>, SimError> {
        // What a full disk, or a crash, leaves of one write of several records is any number of the first.
        let full = |trouble: Option<Trouble>| match trouble {
            Some(Trouble::NoRoom(_)) => Err(SimError::Full),
            Some(Trouble::Refused(_)) | None => Ok(()),
        };
        let lands = events.iter().any(|e| matches!(e, Event::Landed { .. }));
        let moved = self.told_elsewhere && lands;
        assert!(!moved, "it says that it landed, where staging is not what it left");
        full(self.point(None)?)?;
        // A clock that was set back does not make history run backwards.
        let at = jiff::Timestamp::from_millisecond(self.disk.clock).unwrap();
        let at = at.max(self.disk.journal.last().unwrap().at);
        let mut records = Vec::new();
        for event in events {
            let seq = self.disk.journal.len() as u64 + 1;
            let record = Record { v: 1, seq, at, event };
            self.disk.journal.push(record.clone());
            records.push(record);
            full(self.point(None)?)?;
        }
        Ok(records)
    }

    fn begin(&mut self, effects: Vec<Effect>, state: &RunState) -> Result<(), SimError> {
        let written = self.disk.journal.len() as u64;
        assert_eq!(state.seq, written, "something begins that follows from what is not written");
        assert_eq!(self.signals, 0, "{effects:?} begin after a signal");
        let state = Rc::new(state.clone());
        for effect in effects {
            let flying = self.pending.iter().any(|p| p.effect == effect);
            assert!(!flying, "{effect:?} begins while it is under way");
            self.pending.push(Pending { effect, state: state.clone(), deaths: 0 });
        }
        Ok(())
    }

    async fn wait(&mut self, state: &RunState) -> Result<(), SimError> {
        let seen_at = self.disk.clock;
        loop {
            self.tick();
            self.fate.meddle(self.disk, state, 20);
            if !self.happen()? {
                if self.has_news() {
                    return Ok(());
                }
                // Only a retry can be due.
                let left = next_wake(state, seen_at, self.disk.clock);
                let left = left.expect("nothing in flight, nothing to wait for: stuck");
                assert!(left <= LONGEST_BACKOFF, "a retry waits {left} ms");
                self.disk.clock += left;
                return Ok(());
            }
            if (self.has_news() && !self.rng.one_in(5)) || self.rng.one_in(12) {
                return Ok(());
            }
        }
    }
}
