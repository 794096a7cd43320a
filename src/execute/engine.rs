//! THE LOOP: observe, decide, record, apply, begin. Knows neither git nor disk nor clock: see [`World`].

use super::command::{Command, Done, Effect, Limits, Seen, Trouble};
use super::decide::decide;
use super::event::{Event, Record};
use super::state::{IllegalRecord, RunState};

/// Everything outside the pure core. The real one is [`super::world`]; tests/sim has one with seeds that crashes.
pub trait World {
    /// Why the world cannot go on.
    type Error: std::error::Error;

    /// The clock, effects that ended since, answers, signals.
    fn observe(&mut self, state: &RunState) -> Result<Seen, Self::Error>;

    /// Writes the events down, durably, in one step.
    fn append(&mut self, events: Vec<Event>) -> Result<Vec<Record>, Self::Error>;

    /// Begins effects; never waits for them. What ends comes back through `observe`.
    fn begin(&mut self, effects: Vec<Effect>, state: &RunState) -> Result<(), Self::Error>;

    /// Waits until something may have changed, at the latest until the next retry is due.
    fn wait(&mut self, state: &RunState) -> impl Future<Output = Result<(), Self::Error>>;
}

/// Why the loop ended before the run was over.
#[derive(Debug, thiserror::Error)]
pub enum EngineError<E: std::error::Error> {
    /// A signal; `resume` goes on.
    #[error("interrupted")]
    Interrupted,
    /// The disk is full or cannot be written; `resume` goes on when there is room.
    #[error("{0}")]
    NoRoom(String),
    /// A record does not fit.
    #[error(transparent)]
    Illegal(#[from] IllegalRecord),
    /// The world cannot go on.
    #[error("{0}")]
    World(E),
}

/// Runs until the run is over or waits for a person.
pub async fn run<W: World>(
    world: &mut W,
    state: &mut RunState,
    limits: &Limits,
    mut report: impl FnMut(&Record, &RunState),
) -> Result<(), EngineError<W::Error>> {
    loop {
        let seen = world.observe(state).map_err(EngineError::World)?;
        if let Some(error) = no_room(&seen.done) {
            return Err(EngineError::NoRoom(error.clone()));
        }
        let todo = decide(state, &seen, limits);
        if todo.is_empty() {
            // Jobs outlive the coordinator; everything else is seen to its end.
            let writing = seen.in_flight.iter().any(|e| !e.is_job());
            if state.is_over() && !writing {
                return Ok(());
            }
            if seen.interrupted && !writing {
                return Err(EngineError::Interrupted);
            }
            world.wait(state).await.map_err(EngineError::World)?;
            continue;
        }
        let (mut events, mut effects) = (Vec::new(), Vec::new());
        for command in todo {
            match command {
                Command::Record(event) => events.push(*event),
                Command::Begin(effect) => effects.push(effect),
            }
        }
        if !events.is_empty() {
            let records = world.append(events).map_err(EngineError::World)?;
            for record in &records {
                state.apply(record)?;
                report(record, state);
            }
        }
        if !effects.is_empty() {
            world.begin(effects, state).map_err(EngineError::World)?;
        }
    }
}

fn no_room(done: &[Done]) -> Option<&String> {
    done.iter().find_map(|d| match &d.result {
        Err(Trouble::NoRoom(error)) => Some(error),
        Ok(_) | Err(Trouble::Refused(_)) => None,
    })
}
