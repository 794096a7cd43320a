//! The engine against a simulated world: seeds choose plan, behaviour and timing; coordinators are killed, refused,
//! interrupted and meddled with at every point, and the run must end as its untroubled twin did.
//!
//! `SLIMDUCTOR_SIM_SEEDS=1000 cargo test --release --test sim` runs the thousand of the promise.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a test that fails may say so by a panic, and does what users do"
)]

mod checks;
mod disk;
mod effects;
mod fate;
mod jobs;
mod script;
mod world;

use std::collections::{BTreeMap, BTreeSet};

use checks::{assert_nobody_is_blamed_for_another, assert_sound, ending, landed};
use disk::{Disk, Piece, sha};
use fate::{Blow, Fate, answer_what_is_asked};
use script::{Rng, Script, script};
use slimductor::execute::command::{History, Limits};
use slimductor::execute::engine::{EngineError, World, run};
use slimductor::execute::event::{Approval, Event, Record};
use slimductor::execute::state::RunState;
use slimductor::plan::config::Boundaries;
use slimductor::types::RunId;
use tokio::runtime::Runtime;
use world::{Sim, SimError};

/// A run that takes more coordinators than this does not end.
const LIVES: u64 = 120;

/// A run that was just made.
fn made(script: &Script) -> Disk {
    let mut content = BTreeSet::from([Piece::Root]);
    for id in &script.settings.landed {
        content.insert(Piece::Work { task: script.plan.index_of(id).unwrap(), attempt: 0 });
    }
    let base = if content.len() == 1 { disk::root() } else { sha(&["base"]) };
    let event = Event::RunStarted {
        run_id: RunId::parse("sim").unwrap(),
        version: "sim".to_owned(),
        request: String::new(),
        plan_sha256: String::new(),
        target: "main".to_owned(),
        base: base.clone(),
        settings: Box::new(script.settings.clone()),
        approval: Approval { score: 0, level: "auto".to_owned(), by: "auto".to_owned() },
    };
    // Far from the epoch, so that a clock may be set back.
    let at = jiff::Timestamp::from_second(1_700_000_000).unwrap();
    let record = Record { v: 1, seq: 1, at, event };
    Disk::new(&base, content, record, script.dirty)
}

fn replay(script: &Script, disk: &Disk) -> RunState {
    let mut state = RunState::begin(script.plan.clone(), &disk.journal[0]).unwrap();
    for record in &disk.journal[1..] {
        state.apply(record).expect("a journal that a run wrote replays");
    }
    state
}

/// Runs to the end, coordinator upon coordinator on the same disk.
fn run_to_end(script: &Script, disk: Disk, fate: &mut Fate, points: &mut u64) -> (Disk, RunState) {
    let mut disk = disk;
    // Of the rules for paths one is enough; the whole list is compiled for each attempt.
    let boundaries =
        Boundaries { forbidden_patterns: vec!["*.lock".to_owned()], ..Boundaries::default() };
    let limits = Limits { boundaries, backoff_ms: 10, history: History::default() };
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    while disk.lives < LIVES {
        disk.lives += 1;
        let state = replay(script, &disk);
        if state.outcome.is_some() {
            let stays = state.promoted.is_none() && !landed(&state).is_empty() && !state.aborting;
            if disk.staging_meddled && stays {
                // What a person does to the branch once the clean-up has left it there is his own affair.
                disk.staging.clone_from(&state.staging);
            }
            return (disk, state);
        }
        fate.meddle(&mut disk, &state, 2);
        if state.waiting.is_some()
            && !answer_what_is_asked(&mut disk, &state, fate, script.skip_when_asked)
        {
            return (disk, state);
        }
        live(script, &mut disk, state, fate, points, (&limits, &runtime));
    }
    panic!("the run does not end");
}

/// One coordinator, from taking the run up to its end, whatever that is.
fn live(
    script: &Script,
    disk: &mut Disk,
    mut state: RunState,
    fate: &mut Fate,
    points: &mut u64,
    (limits, runtime): (&Limits, &Runtime),
) {
    let mut rng = Rng(script.timing.wrapping_add(disk.lives));
    while rng.one_in(2)
        && let Some(name) = disk.running().first()
    {
        // Jobs go on while nobody looks.
        disk.finish(name);
    }
    let start = Event::CoordinatorStarted {
        pid: 1,
        version: "sim".to_owned(),
        promote_landed: false,
        force: false,
        target: disk.target_went_on(&state),
    };
    let mut world = Sim::new(script, disk, rng, fate, points);
    let Ok(records) = world.append(vec![start]) else { return };
    for record in &records {
        state.apply(record).unwrap();
    }
    let ended = runtime.block_on(run(&mut world, &mut state, limits, |_, _| {}));
    world.abandon();
    match ended {
        Ok(()) => assert!(
            !world.told_elsewhere || state.waiting.is_some() || state.outcome.is_some(),
            "it went on although staging was moved by somebody else"
        ),
        Err(EngineError::World(SimError::Killed | SimError::Full)) => return,
        Err(EngineError::NoRoom(_) | EngineError::Interrupted) => {}
        Err(error @ EngineError::Illegal(_)) => panic!("the engine gave up: {error}"),
    }
    if fate.is_chance() {
        let again = format!("{:?}", replay(script, disk));
        assert_eq!(format!("{state:?}"), again, "the journal tells another story");
    }
}

fn seeds() -> u64 {
    std::env::var("SLIMDUCTOR_SIM_SEEDS").ok().and_then(|s| s.parse().ok()).unwrap_or(60)
}

/// Spreads the seeds over the cores.
fn over_all_cores<T: Send>(count: u64, one: impl Fn(u64) -> T + Sync) -> Vec<T> {
    let threads = std::thread::available_parallelism().map_or(1, |n| n.get() as u64);
    let one = &one;
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads)
            .map(|first| {
                scope.spawn(move || {
                    (first..count).step_by(threads as usize).map(one).collect::<Vec<T>>()
                })
            })
            .collect();
        workers.into_iter().flat_map(|w| w.join().unwrap()).collect()
    })
}

/// Tells which run it was, should one go wrong.
struct Told(String);

impl Drop for Told {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("this was {}", self.0);
        }
    }
}

/// The run of a seed to which nothing happens, and how many points it has.
struct Twin {
    script: Script,
    state: RunState,
    ending: String,
    points: u64,
}

fn twin(seed: u64, fate: &mut Fate) -> Twin {
    let script = script(seed, false);
    let mut points = 0;
    let told = Told(format!("seed {seed}"));
    let (disk, state) = run_to_end(&script, made(&script), fate, &mut points);
    assert_sound(&script, &disk, &state, &told.0);
    assert_nobody_is_blamed_for_another(&script, &disk, &told.0);
    assert!(disk.answers.is_empty(), "seed {seed}: an answer was left over");
    Twin { ending: ending(&disk, &state), script, state, points }
}

/// Runs one seed with a crash at each point; says how many there were and how the twin ended.
fn with_crashes(seed: u64) -> (BTreeMap<Blow, u64>, String) {
    let mut fate = Fate::Explored { left: Vec::new() };
    let Twin { script, state, ending: expected, points } = twin(seed, &mut fate);
    let Fate::Explored { left } = fate else { panic!("it stays what it is") };
    assert_eq!(left.len() as u64, points);
    // With few seeds every third point of every second one, so that the whole test stays short.
    let stride = if seeds() > 100 || seed.is_multiple_of(2) { 1 } else { 3 };
    let mut crashes = 0;
    for (at, disk) in left.into_iter().enumerate().step_by(stride) {
        crashes += 1;
        let told = Told(format!("seed {seed}, crash at {} of {points}", at + 1));
        let (disk, after) = run_to_end(&script, disk, &mut Fate::kind(), &mut 0);
        assert_sound(&script, &disk, &after, &told.0);
        assert_nobody_is_blamed_for_another(&script, &disk, &told.0);
        assert_eq!(ending(&disk, &after), expected, "{}", told.0);
    }
    (BTreeMap::from([(Blow::Crash, crashes)]), format!("{:?}", state.outcome))
}

/// Runs one seed with one blow at each `stride`th point; says how many hit and how the twin ended.
fn with_blows(seed: u64, blows: &[Blow], stride: u64) -> (BTreeMap<Blow, u64>, String) {
    let Twin { script, state, ending: expected, points } = twin(seed, &mut Fate::kind());
    let mut hits = BTreeMap::new();
    for at in (1..=points).filter(|at| (at + seed).is_multiple_of(stride)) {
        let blow = blows[((at + seed) / stride) as usize % blows.len()];
        if blow == Blow::TargetMoves
            && (script.settings.fail_on_diverged || script.target_conflicts)
        {
            // Then a target that moved is a question to a person.
            continue;
        }
        let told = Told(format!("seed {seed}, {blow:?} at {at} of {points}"));
        let mut fate = Fate::planned(at, blow);
        let (disk, after) = run_to_end(&script, made(&script), &mut fate, &mut 0);
        assert_sound(&script, &disk, &after, &told.0);
        assert_nobody_is_blamed_for_another(&script, &disk, &told.0);
        if blow == Blow::Refusal && !fate::cost_an_attempt(&disk).is_empty() {
            // The outcome may be another; once the trouble is gone, a person who tries again loses nothing by it.
            let (before, now) = (landed(&state), landed(&after));
            let lost: Vec<usize> =
                before.difference(&now).copied().filter(|t| script.may_land_at_last(*t)).collect();
            // Nobody was asked before what was left was promoted.
            let unasked = script.settings.promote_landed;
            assert!(lost.is_empty() || unasked, "{}: {lost:?} did not land", told.0);
        } else {
            assert_eq!(ending(&disk, &after), expected, "{}", told.0);
        }
        let hit = matches!(fate, Fate::Planned { hit: true, .. });
        *hits.entry(blow).or_insert(0) += u64::from(hit);
    }
    (hits, format!("{:?}", state.outcome))
}

fn tell(what: &str, results: Vec<(BTreeMap<Blow, u64>, String)>) {
    let (mut hits, mut endings) = (BTreeMap::new(), BTreeMap::new());
    for (some, outcome) in results {
        *endings.entry(outcome).or_insert(0) += 1;
        for (blow, n) in some {
            *hits.entry(blow).or_insert(0) += n;
        }
    }
    let runs: u64 = hits.values().sum();
    println!("{runs} {what} {} seeds ended as their twins: {hits:?}; twins: {endings:?}", seeds());
}

/// Runs one seed through chance; says how it ended.
fn chance(seed: u64) -> String {
    let script = script(seed, true);
    let rng = Rng(seed ^ 0x5eed);
    let patient = !seed.is_multiple_of(4);
    let told = Told(format!("chance {seed}"));
    let mut fate = Fate::Chance { rng, blows: 20, people: 10, patient };
    let (disk, state) = run_to_end(&script, made(&script), &mut fate, &mut 0);
    assert_sound(&script, &disk, &state, &told.0);
    assert!(
        !patient || state.outcome.is_some(),
        "{}: whoever answers everything that is asked comes to an end",
        told.0
    );
    format!("{:?}", state.outcome)
}

#[test]
fn answers_at_any_moment_and_blow_upon_blow_break_no_promise() {
    let mut endings = BTreeMap::new();
    for outcome in over_all_cores(seeds() * 20, chance) {
        *endings.entry(outcome).or_insert(0) += 1;
    }
    println!("{} runs of chance ended: {endings:?}", seeds() * 20);
    assert_eq!(endings.len(), 5, "every kind of end is reached: {endings:?}");
}

#[test]
fn a_crash_before_in_or_after_any_effect_or_append_changes_nothing_in_the_end() {
    let results = over_all_cores(seeds(), with_crashes);
    tell("crashed runs of", results);
}

#[test]
fn a_full_disk_a_signal_a_moved_branch_or_a_refusal_changes_nothing_that_a_resume_does_not_mend() {
    let blows = [
        Blow::Full,
        Blow::Refusal,
        Blow::Signal,
        Blow::TargetMoves,
        Blow::StagingMoves,
        Blow::StagingGoes,
    ];
    // With many seeds every second point; with few the whole test stays short.
    let stride = if seeds() > 100 { 2 } else { 9 };
    let results = over_all_cores(seeds(), |seed| with_blows(seed, &blows, stride));
    tell("runs with one blow, of", results);
}
