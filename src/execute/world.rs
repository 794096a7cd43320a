//! The real world: journal, clock, signals and effects in flight behind [`World`]. Decides nothing.

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

use super::backend::Backend;
use super::brief::Surroundings;
use super::command::{Answer, Done, Effect, Seen};
use super::decide;
use super::effect::perform;
use super::engine::World;
use super::event::{Choice, Event, Record};
use super::hub::Hub;
use super::journal::{Journal, JournalError};
use super::projection;
use super::shared::{EffectError, Shared, trouble};
use super::state::RunState;
use super::watch::run_job_effect;
use super::worktree::Places;
use crate::fault;
use crate::git::Repo;
use crate::plan::check::intents::adapters;
use crate::plan::config::Config;
use crate::store::{self, Mode, StoreError};
use crate::types::{Attempt, Millis, TaskId};

/// How often the projection is rewritten at most.
const PROJECTION_PAUSE: Duration = Duration::from_millis(250);
/// The largest answer and the largest projection that are read, in bytes.
const MAX_ANSWER: u64 = 64 * 1024;
const MAX_PROJECTION: u64 = 256 * 1024 * 1024;

/// What the coordinator cannot go on without.
#[derive(Debug, thiserror::Error)]
pub enum WorldError {
    /// The journal cannot be written.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// A file beside it cannot be written or watched.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A signal handler cannot be set.
    #[error("cannot listen for signals: {0}")]
    Signal(std::io::Error),
    /// A second Ctrl-C: leave at once.
    #[error("interrupted twice")]
    InterruptedTwice,
}

const BROKE_DOWN: EffectError =
    EffectError::State("this is a bug in slimductor: an effect broke down");

enum Message {
    Done(Box<Done>),
    Look,
    Signal,
}

/// The real world of one run.
pub struct RealWorld {
    shared: Arc<Shared>,
    journal: Journal,
    sender: mpsc::UnboundedSender<Message>,
    receiver: mpsc::UnboundedReceiver<Message>,
    in_flight: HashSet<Effect>,
    done: Vec<Done>,
    /// Answers whose removal was tried; a file that cannot be removed is not tried again for ever.
    dropped: HashSet<String>,
    signals: u32,
    seen_at: Millis,
    projected: Option<Instant>,
    stale: bool,
}

impl RealWorld {
    /// Takes up the run whose journal is `journal`.
    pub fn new(
        repo: Repo,
        places: Places,
        backend: Box<dyn Backend>,
        around: Surroundings,
        config: Config,
        journal: Journal,
    ) -> Result<RealWorld, WorldError> {
        let (sender, receiver) = mpsc::unbounded_channel();
        let hub = Hub::new({
            let sender = sender.clone();
            // The receiver is gone only when the run is.
            move || drop(sender.send(Message::Look))
        });
        store::make_dir(&places.answers())?;
        hub.watch_dir(&places.answers());
        listen(&sender)?;
        let shared = Arc::new(Shared {
            repo,
            places,
            backend,
            around,
            adapters: adapters(&config),
            keep: config.worktree.keep.clone(),
            config,
            hub,
        });
        Ok(RealWorld {
            shared,
            journal,
            sender,
            receiver,
            in_flight: HashSet::new(),
            done: Vec::new(),
            dropped: HashSet::new(),
            signals: 0,
            seen_at: 0,
            projected: None,
            stale: false,
        })
    }

    /// What effects share.
    pub fn shared(&self) -> &Shared {
        &self.shared
    }

    /// Rewrites `.orchestration-state.json`, now or as soon as it was not done for a while.
    pub fn project(&mut self, state: &RunState, now: bool) -> Result<(), WorldError> {
        let due = self.projected.is_none_or(|at| at.elapsed() >= PROJECTION_PAUSE);
        if now || (self.stale && due) {
            let path = self.shared.places.root.join(".orchestration-state.json");
            // A file of that name that is not such a projection is the user's.
            let foreign =
                |bytes: Vec<u8>| !String::from_utf8_lossy(&bytes).contains("\"request_id\"");
            let there = path.symlink_metadata().is_ok();
            let read = store::read_regular(&path, MAX_PROJECTION);
            if read.map_or(there, foreign) {
                self.stale = false;
                return Ok(());
            }
            let dir = self.shared.places.root.join(".orchestrator");
            let text = projection::state_file(state);
            let written = store::replace_through(&dir, &path, &text, Mode::Shared)
                // `.orchestrator` may be a link to another disk.
                .or_else(|_| store::replace(&path, &text, Mode::Shared));
            match written {
                Err(error) if error.is_no_room() => return Err(error.into()),
                // It is for people and old scripts; nothing relies on it.
                Ok(()) | Err(_) => {}
            }
            self.projected = Some(Instant::now());
            self.stale = false;
        }
        Ok(())
    }

    fn take(&mut self, message: Message) {
        match message {
            Message::Done(done) => {
                self.in_flight.remove(&done.effect);
                if let Effect::DropAnswer { id } = &done.effect {
                    self.dropped.insert(id.clone());
                    return;
                }
                self.done.push(*done);
            }
            Message::Look => {}
            Message::Signal => self.signals += 1,
        }
    }
}

fn listen(sender: &mpsc::UnboundedSender<Message>) -> Result<(), WorldError> {
    for kind in [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()] {
        let mut stream = signal(kind).map_err(WorldError::Signal)?;
        let sender = sender.clone();
        tokio::spawn(async move {
            while stream.recv().await.is_some() {
                if sender.send(Message::Signal).is_err() {
                    return;
                }
            }
        });
    }
    Ok(())
}

#[expect(clippy::disallowed_methods, reason = "the one place where the clock comes in")]
fn now() -> jiff::Timestamp {
    jiff::Timestamp::try_from(std::time::SystemTime::now()).unwrap_or(jiff::Timestamp::UNIX_EPOCH)
}

/// The present moment, for the first record of a run.
pub fn present() -> jiff::Timestamp {
    now()
}

impl World for RealWorld {
    type Error = WorldError;

    fn observe(&mut self, state: &RunState) -> Result<Seen, WorldError> {
        while let Ok(message) = self.receiver.try_recv() {
            self.take(message);
        }
        if self.signals > 1 {
            return Err(WorldError::InterruptedTwice);
        }
        self.seen_at = now().as_millisecond();
        Ok(Seen {
            now: self.seen_at,
            done: std::mem::take(&mut self.done),
            in_flight: self.in_flight.clone(),
            answers: {
                let mut answers = read_answers(&self.shared.places.answers(), state);
                answers.retain(|a| !self.dropped.contains(&a.id));
                answers
            },
            interrupted: self.signals > 0,
        })
    }

    fn append(&mut self, events: Vec<Event>) -> Result<Vec<Record>, WorldError> {
        self.stale = true;
        Ok(self.journal.append(now(), events)?)
    }

    fn begin(&mut self, effects: Vec<Effect>, state: &RunState) -> Result<(), WorldError> {
        self.project(state, false)?;
        let now = Arc::new(state.clone());
        for effect in effects {
            if cfg!(debug_assertions) {
                fault::begins(&effect.describe(state));
            }
            self.in_flight.insert(effect.clone());
            let (shared, state, sender) = (self.shared.clone(), now.clone(), self.sender.clone());
            if effect.is_job() {
                tokio::spawn(async move {
                    let (shared_, effect_, state_) = (shared.clone(), effect.clone(), state);
                    let waiting =
                        tokio::spawn(
                            async move { run_job_effect(&shared_, &effect_, &state_).await },
                        );
                    // An effect that breaks down must come back all the same, or the run waits for ever.
                    let result = waiting.await.unwrap_or(Err(BROKE_DOWN));
                    let done = Done { effect, result: result.map_err(|e| trouble(&shared, e)) };
                    let _ = sender.send(Message::Done(Box::new(done)));
                });
            } else {
                tokio::task::spawn_blocking(move || {
                    let tried = std::panic::AssertUnwindSafe(|| perform(&shared, &effect, &state));
                    let result = std::panic::catch_unwind(tried).unwrap_or(Err(BROKE_DOWN));
                    let done = Done { effect, result: result.map_err(|e| trouble(&shared, e)) };
                    let _ = sender.send(Message::Done(Box::new(done)));
                });
            }
        }
        Ok(())
    }

    async fn wait(&mut self, state: &RunState) -> Result<(), WorldError> {
        self.project(state, false)?;
        let mut limit = Duration::from_secs(3600);
        // By the clock that decided: a retry that fell due since then is due now, not never.
        if let Some(left) = decide::next_wake(state, self.seen_at, now().as_millisecond()) {
            let left = u64::try_from(left).unwrap_or(0);
            limit = limit.min(Duration::from_millis(left));
        }
        if self.stale {
            limit = limit.min(PROJECTION_PAUSE);
        }
        tokio::select! {
            message = self.receiver.recv() => {
                if let Some(message) = message {
                    self.take(message);
                }
            }
            () = tokio::time::sleep(limit) => {}
        }
        Ok(())
    }
}

/// The answers that people left.
pub(super) fn read_answers(dir: &Path, state: &RunState) -> Vec<Answer> {
    let Ok(entries) = std::fs::read_dir(dir) else { return Vec::new() };
    let mut answers = Vec::new();
    for entry in entries.flatten() {
        let name = entry.file_name();
        // A name that is not ours to write is not an answer.
        let Some(id) = name.to_str().and_then(|n| n.strip_suffix(".json")) else { continue };
        let Ok(bytes) = store::read_regular(&entry.path(), MAX_ANSWER) else { continue };
        let Ok(file) = serde_json::from_slice::<AnswerFile>(&bytes) else { continue };
        let about = file.task.as_ref().and_then(|t| state.plan.index_of(t)).zip(file.attempt);
        answers.push(Answer { id: id.to_owned(), choice: file.choice, about });
    }
    answers.sort_by(|a, b| a.id.cmp(&b.id));
    answers
}

/// An answer as a file in the run's `answers/`.
#[derive(Debug, serde::Serialize, serde::Deserialize)]
pub struct AnswerFile {
    /// What was decided.
    pub choice: Choice,
    /// About which task.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task: Option<TaskId>,
    /// At which attempt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempt: Option<Attempt>,
}
