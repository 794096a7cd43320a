//! The engine against a simulated world: seeds choose plan, behaviour and timing; the coordinator is killed
//! before and after every effect and every append, and must end as its uncrashed twin did.
//!
//! `SLIMDUCTOR_SIM_SEEDS=1000 cargo test --release --test sim` runs the thousand of the promise.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test that fails may say so by a panic, and does what users do"
)]

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;

use sha2::{Digest, Sha256};
use slimductor::execute::command::{Answer, Done, Effect, History, Limits, Product, Seen};
use slimductor::execute::engine::{EngineError, World, run};
use slimductor::execute::event::{
    Approval, Choice, Event, Feedback, GateOn, Outcome, Record, Settings, Verdict,
};
use slimductor::execute::state::{RunState, Step};
use slimductor::execute::task_run::GateStep;
use slimductor::git::{FastForward, Merge, Swap};
use slimductor::plan::config::{Boundaries, Config};
use slimductor::plan::{Facts, Plan, check, parse};
use slimductor::types::{
    Attempt, Change, ChangeKind, Ending, Gate, JobReport, RunId, Sha, StepResult,
};

/// A small generator: the same seed gives the same run on every machine.
#[derive(Clone)]
struct Rng(u64);

impl Rng {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, n: usize) -> usize {
        (self.next() % n as u64) as usize
    }
}

/// What the worker of one attempt does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Act {
    Good,
    Exits7,
    TimesOut,
    StraysOutside,
    FailsItsCheck,
    ChangesNothing,
    FailsAtTheGate,
    /// Fails at the gate when the task before it is in the tree.
    FailsWithAnother,
    /// Its check fails for want of a package, which an installation brings.
    LacksAPackage,
}

/// Everything that is the same for a run and its crashed copies.
#[derive(Clone)]
struct Script {
    plan: Arc<Plan>,
    settings: Settings,
    /// For every task what its attempts do; the last one goes on for ever.
    acts: Vec<Vec<Act>>,
    target_moves: bool,
    skip_when_asked: bool,
    timing: u64,
}

/// With `pairs` some tasks do not get on with others: then who lands depends on timing.
fn script(seed: u64, pairs: bool) -> Script {
    let mut rng = Rng(seed);
    let n = 2 + rng.below(6);
    let mut yaml = String::from("request: sim\ntasks:\n");
    let mut acts = Vec::new();
    for t in 0..n {
        let deps: Vec<String> =
            (0..t).filter(|_| rng.below(3) == 0).map(|d| format!("t{d}")).collect();
        yaml.push_str(&format!(
            "  - id: t{t}\n    description: d\n    run: work\n    files_write: [f{t}]\n    depends_on: [{}]\n    max_attempts: {}\n    priority: {}\n    verification: [{{command: prove {t}}}]\n",
            deps.join(", "), 1 + rng.below(3), rng.below(3)
        ));
        let bad = [
            Act::Exits7,
            Act::TimesOut,
            Act::StraysOutside,
            Act::FailsItsCheck,
            Act::ChangesNothing,
            Act::FailsAtTheGate,
            Act::LacksAPackage,
            if pairs { Act::FailsWithAnother } else { Act::FailsAtTheGate },
        ];
        let mut list: Vec<Act> = (0..rng.below(3)).map(|_| bad[rng.below(bad.len())]).collect();
        if rng.below(6) > 0 {
            list = if rng.below(2) == 0 { Vec::new() } else { list };
            list.push(Act::Good);
        } else {
            list.push(bad[rng.below(bad.len())]);
        }
        acts.push(list);
    }
    if rng.below(2) == 0 {
        yaml.push_str("integration: {incremental: [{command: inc}], final: [{command: fin}]}\n");
    }
    let document = parse(yaml.as_bytes()).unwrap();
    let plan = check::check(&document, &Facts::default(), &Config::default()).plan.unwrap();
    Script {
        plan: Arc::new(plan),
        settings: Settings {
            jobs: 1 + rng.below(4) as u32,
            backend: "process".to_owned(),
            promote_landed: rng.below(3) == 0,
            no_promote: rng.below(8) == 0,
            only: Vec::new(),
            agent: None,
            window: 1 + rng.below(3) as u32,
            strict: rng.below(4) == 0,
            fail_on_diverged: rng.below(10) == 0,
            pull_request: rng.below(12) == 0,
            max_iterations: 2,
            reviewer: if rng.below(5) == 0 { vec!["look".to_owned()] } else { Vec::new() },
            allowed_packages: Vec::new(),
            auto_approve: rng.below(2) == 0,
            landed: Vec::new(),
            target_at: None,
            env_pass: Vec::new(),
            fence: String::new(),
            strict_fence: false,
            writable: Vec::new(),
            environment: String::new(),
        },
        acts,
        target_moves: rng.below(4) == 0,
        skip_when_asked: rng.below(3) == 0,
        timing: rng.next(),
    }
}

/// What survives a crash: the journal, git, and the jobs.
#[derive(Clone, Default)]
struct Disk {
    journal: Vec<Record>,
    /// Commit → the tasks whose work it holds.
    commits: BTreeMap<Sha, BTreeSet<usize>>,
    staging: Option<Sha>,
    /// Whether packages are installed.
    installed: bool,
    target: Option<Sha>,
    target_has_moved: bool,
    /// The jobs that were started. The wrapper's lock starts each name once, whoever asks.
    jobs: BTreeSet<String>,
    answers: Vec<Answer>,
    cleaned: bool,
}

fn sha(parts: &[&str]) -> Sha {
    let digest = Sha256::digest(parts.join("|").as_bytes());
    let hex: String = digest.iter().map(|b| format!("{b:02x}")).collect();
    Sha::parse(&hex[..40]).unwrap()
}

#[derive(Debug, thiserror::Error)]
enum SimError {
    #[error("crash")]
    Crash,
}

struct Sim<'a> {
    script: &'a Script,
    disk: &'a mut Disk,
    rng: Rng,
    pending: Vec<Effect>,
    done: Vec<Done>,
    clock: i64,
    /// Counts the places where a crash may happen.
    points: &'a mut u64,
    fate: &'a mut Fate,
}

/// When the coordinator is killed, and what people say meanwhile.
enum Fate {
    /// Nothing happens, or one crash at a counted place.
    Planned(Option<u64>),
    /// Crashes and answers as they come, so many of them.
    Chance { rng: Rng, crashes: u32, answers: u32 },
}

impl Fate {
    fn kills(&mut self, point: u64) -> bool {
        match self {
            Fate::Planned(at) => *at == Some(point),
            Fate::Chance { rng, crashes, .. } => {
                let kills = *crashes > 0 && rng.below(30) == 0;
                *crashes -= u32::from(kills);
                kills
            }
        }
    }

    /// What a person may say at this moment; also things that make no sense, or no longer.
    fn answer(&mut self, state: &RunState, one_in: usize) -> Option<Answer> {
        let Fate::Chance { rng, answers, .. } = self else { return None };
        if *answers == 0 || rng.below(one_in) > 0 {
            return None;
        }
        *answers -= 1;
        let task = rng.below(state.tasks.len());
        let attempt = state.tasks[task].attempt.saturating_sub(u32::from(rng.below(6) == 0));
        let choice = match rng.below(14) {
            0 => Choice::Abort,
            1..=4 => Choice::Skip,
            5..=7 => Choice::Approve,
            8 => Choice::Fix,
            _ => Choice::Retry,
        };
        Some(Answer { id: format!("{:03}", *answers), choice, about: Some((task, attempt)) })
    }
}

impl Sim<'_> {
    fn point(&mut self) -> Result<(), SimError> {
        *self.points += 1;
        assert!(*self.points < 20_000, "the run goes round in circles");
        if self.fate.kills(*self.points) { Err(SimError::Crash) } else { Ok(()) }
    }

    fn act(&self, task: usize, attempt: Attempt) -> Act {
        let list = &self.script.acts[task];
        list[(attempt as usize - 1).min(list.len() - 1)]
    }

    fn job(&mut self, name: String, steps: Vec<StepResult>) -> Product {
        self.disk.jobs.insert(name);
        Product::Job(JobReport { ending: Ending::Finished, steps })
    }

    fn merge(&mut self, state: &RunState, task: usize, onto: &Sha) -> Product {
        let head = state.tasks[task].head.clone().unwrap();
        let commit = sha(&["merge", onto.as_str(), head.as_str()]);
        let content = &self.disk.commits[onto] | &self.disk.commits[&head];
        self.disk.commits.insert(commit.clone(), content);
        Product::Merged(Merge::Clean { tree: commit.clone(), commit })
    }

    fn perform(&mut self, effect: &Effect, state: &RunState) -> Product {
        let work =
            |task: usize, attempt: Attempt| sha(&["work", &task.to_string(), &attempt.to_string()]);
        match effect {
            Effect::CreateStaging => {
                let base = state.header.base.clone();
                self.disk.staging.get_or_insert(base);
                Product::Swapped(Swap::Done)
            }
            Effect::Prepare { .. } => Product::Prepared { around: None },
            Effect::PrepareGate { .. }
            | Effect::StopGate { .. }
            | Effect::PrepareInstall { .. } => Product::Nothing,
            Effect::Work { task, attempt } => {
                let step = match self.act(*task, *attempt) {
                    Act::Exits7 => step("work", Some(7), false),
                    Act::TimesOut => step("work", None, true),
                    Act::Good
                    | Act::StraysOutside
                    | Act::FailsItsCheck
                    | Act::ChangesNothing
                    | Act::FailsWithAnother
                    | Act::LacksAPackage
                    | Act::FailsAtTheGate => step("work", Some(0), false),
                };
                self.job(format!("worker-{task}-{attempt}"), vec![step])
            }
            Effect::Collect { task, attempt } => {
                let run = &state.tasks[*task];
                let base = run.base.clone().unwrap();
                let mut content = self.disk.commits[&base].clone();
                let act = self.act(*task, *attempt);
                if act == Act::ChangesNothing {
                    return Product::Collected {
                        head: base,
                        changes: Vec::new(),
                        found: Vec::new(),
                    };
                }
                content.insert(*task);
                let head = work(*task, *attempt);
                self.disk.commits.insert(head.clone(), content);
                let path = if act == Act::StraysOutside {
                    "elsewhere".to_owned()
                } else {
                    format!("f{task}")
                };
                let change = Change {
                    path,
                    kind: ChangeKind::Added,
                    old_mode: 0,
                    new_mode: 0o100_644,
                    added: 1,
                    removed: 0,
                    only_grew: true,
                    only_blank: false,
                };
                Product::Collected { head, changes: vec![change], found: Vec::new() }
            }
            Effect::Check { task, attempt } => {
                let act = self.act(*task, *attempt);
                let lacks = act == Act::LacksAPackage && !self.disk.installed;
                let good = act != Act::FailsItsCheck && !lacks;
                let mut step = step(&format!("prove {task}"), Some(i32::from(!good)), false);
                if lacks {
                    step.output = Some("ModuleNotFoundError: No module named 'left'".to_owned());
                }
                self.job(format!("check-{task}-{attempt}"), vec![step])
            }
            Effect::BuildStage { stage } => {
                let stage = state.train.iter().find(|s| s.number == *stage).unwrap();
                self.merge(state, stage.task, &stage.base)
            }
            Effect::BuildGate { gate } => {
                let gate = state.gates.iter().find(|g| g.number == *gate).unwrap();
                let GateOn::With { landed, task } = &gate.on else {
                    panic!("only pairs are merged")
                };
                let (landed, task) = (*landed, state.plan.index_of(task).unwrap());
                let onto = match landed {
                    0 => state.header.base.clone(),
                    n => state.landed[n - 1].1.clone(),
                };
                self.merge(state, task, &onto)
            }
            Effect::CheckGate { gate } => {
                let number = *gate;
                let gate = state.gates.iter().find(|g| g.number == number);
                let Some(gate) = gate.filter(|g| g.step == GateStep::Checking) else {
                    // It was told to stop meanwhile.
                    let report = JobReport { ending: Ending::Stopped, steps: Vec::new() };
                    return Product::Job(report);
                };
                let running = state.gates.iter().filter(|g| g.place != Gate::Final).count();
                assert!(running <= self.script.settings.window as usize, "too many gates at once");
                let tree = &self.disk.commits[gate.commit.as_ref().unwrap()];
                // Red where a task is in the tree that fails there, alone or with the one before it.
                let fails = |t: &usize| {
                    let run = state.tasks.get(*t).filter(|r| r.attempt > 0);
                    run.is_some_and(|run| match self.act(*t, run.attempt) {
                        Act::FailsAtTheGate => true,
                        Act::FailsWithAnother => *t > 0 && tree.contains(&(*t - 1)),
                        Act::Good
                        | Act::Exits7
                        | Act::TimesOut
                        | Act::StraysOutside
                        | Act::FailsItsCheck
                        | Act::ChangesNothing
                        | Act::LacksAPackage => false,
                    })
                };
                let good = gate.on == GateOn::Final || !tree.iter().any(fails);
                let (checks, _) = state.gate_checks(gate);
                let mut steps: Vec<StepResult> = checks
                    .iter()
                    .map(|(_, c)| step(&c.command, Some(i32::from(!good)), false))
                    .collect();
                if steps.is_empty() && !good {
                    steps.push(step("suite", Some(1), false));
                }
                self.job(format!("gate-{number}"), steps)
            }
            Effect::RunInstall { number } => {
                let steps = vec![step("install", Some(0), false)];
                self.job(format!("install-{number}"), steps)
            }
            Effect::CommitInstall { number } => {
                let base = &state.install.as_ref().unwrap().base;
                let commit = sha(&["install", base.as_str(), &number.to_string()]);
                let content = self.disk.commits[base].clone();
                self.disk.commits.insert(commit.clone(), content);
                let now = self.disk.staging.clone();
                assert!(now.as_ref() == Some(base) || now.as_ref() == Some(&commit));
                self.disk.staging = Some(commit.clone());
                self.disk.installed = true;
                Product::Installed { commit, environment: format!("env-{number}") }
            }
            Effect::Review { .. } => {
                let landed = state.tasks.iter().position(|t| t.step == Step::Merged);
                let verdict = match (state.iteration, landed) {
                    (1, Some(task)) => Verdict::Iterate {
                        feedback: vec![Feedback {
                            task: state.plan.tasks[task].id.clone(),
                            message: "once more".to_owned(),
                        }],
                    },
                    _ => Verdict::Accept { comment: String::new() },
                };
                let report = JobReport { ending: Ending::Finished, steps: Vec::new() };
                Product::Reviewed { report, verdict }
            }
            Effect::Propose { to } => {
                assert_eq!(state.gated.as_ref(), Some(to), "what was not gated is proposed");
                Product::Proposed { url: None, command: "gh".to_owned() }
            }
            Effect::Land { stage } => {
                let stage = state.train.iter().find(|s| s.number == *stage).unwrap();
                let now = self.disk.staging.clone();
                if now == stage.commit || now == state.staging {
                    self.disk.staging.clone_from(&stage.commit);
                    Product::Swapped(Swap::Done)
                } else {
                    Product::Swapped(Swap::Elsewhere(now))
                }
            }
            Effect::Promote { to } => {
                if self.script.target_moves && !self.disk.target_has_moved {
                    self.disk.target_has_moved = true;
                    let foreign = sha(&["foreign"]);
                    self.disk.commits.insert(foreign.clone(), BTreeSet::from([999]));
                    self.disk.target = Some(foreign);
                }
                let now = self.disk.target.clone();
                if now.as_ref() == Some(to) {
                    return Product::Promoted(FastForward::Done);
                }
                if now.as_ref() != Some(&state.target_tip) {
                    return Product::Promoted(FastForward::Moved { now, onward: true });
                }
                let held = &self.disk.commits[now.as_ref().unwrap()];
                assert!(held.is_subset(&self.disk.commits[to]), "the target would lose work");
                assert_eq!(
                    state.gated.as_ref(),
                    Some(to),
                    "the target would move to a tree that was not gated"
                );
                self.disk.target = Some(to.clone());
                Product::Promoted(FastForward::Done)
            }
            Effect::MergeTarget { target } => {
                let ours = state.staging.clone().unwrap();
                let commit = sha(&["merge", ours.as_str(), target.as_str()]);
                let content = &self.disk.commits[&ours] | &self.disk.commits[target];
                self.disk.commits.insert(commit.clone(), content);
                assert!(
                    self.disk.staging.as_ref() == Some(&ours)
                        || self.disk.staging.as_ref() == Some(&commit)
                );
                self.disk.staging = Some(commit.clone());
                Product::Merged(Merge::Clean { tree: commit.clone(), commit })
            }
            Effect::CleanUp => {
                self.disk.cleaned = true;
                Product::CleanedUp { kept: Vec::new() }
            }
            Effect::DropAnswer { id } => {
                self.disk.answers.retain(|a| a.id != *id);
                Product::Nothing
            }
        }
    }
}

fn step(command: &str, code: Option<i32>, timed_out: bool) -> StepResult {
    let mut step = StepResult::new(command.to_owned(), true);
    step.code = code;
    step.timed_out = timed_out;
    step
}

impl World for Sim<'_> {
    type Error = SimError;

    fn observe(&mut self, _: &RunState) -> Result<Seen, SimError> {
        let done = std::mem::take(&mut self.done);
        let in_flight: HashSet<Effect> = self.pending.iter().cloned().collect();
        Ok(Seen {
            now: self.clock,
            done,
            in_flight,
            answers: self.disk.answers.clone(),
            interrupted: false,
        })
    }

    fn append(&mut self, events: Vec<Event>) -> Result<Vec<Record>, SimError> {
        self.point()?;
        let at = jiff::Timestamp::from_millisecond(self.clock).unwrap();
        let mut records = Vec::new();
        for event in events {
            let seq = self.disk.journal.len() as u64 + 1;
            let record = Record { v: 1, seq, at, event };
            self.disk.journal.push(record.clone());
            records.push(record);
            // A crash may cut one write of several records anywhere between them.
            self.point()?;
        }
        Ok(records)
    }

    fn begin(&mut self, effects: Vec<Effect>, _: &RunState) -> Result<(), SimError> {
        self.pending.extend(effects);
        Ok(())
    }

    async fn wait(&mut self, state: &RunState) -> Result<(), SimError> {
        let seen_at = self.clock;
        self.clock += 1;
        if let Some(answer) = self.fate.answer(state, 10) {
            self.disk.answers.push(answer);
            return Ok(());
        }
        if self.pending.is_empty() {
            // Only a retry can be due.
            let at = slimductor::execute::decide::next_wake(state, seen_at);
            self.clock = self.clock.max(at.expect("nothing in flight, nothing to wait for: stuck"));
            return Ok(());
        }
        let effect = self.pending.swap_remove(self.rng.below(self.pending.len()));
        self.point()?;
        let product = self.perform(&effect, state);
        self.point()?;
        self.done.push(Done { effect, result: Ok(product) });
        Ok(())
    }
}

fn first_record(script: &Script) -> Record {
    let base = sha(&["base"]);
    let event = Event::RunStarted {
        run_id: RunId::parse("sim").unwrap(),
        version: "sim".to_owned(),
        request: String::new(),
        plan_sha256: String::new(),
        target: "main".to_owned(),
        base,
        settings: Box::new(script.settings.clone()),
        approval: Approval { score: 0, level: "auto".to_owned(), by: "auto".to_owned() },
    };
    Record { v: 1, seq: 1, at: jiff::Timestamp::UNIX_EPOCH, event }
}

/// Runs to the end; a crash at point `crash_at` is followed by a new coordinator on the same disk.
fn run_to_end(script: &Script, fate: &mut Fate, points: &mut u64) -> (Disk, RunState) {
    let base = sha(&["base"]);
    let mut disk = Disk { target: Some(base.clone()), ..Disk::default() };
    disk.commits.insert(base, BTreeSet::new());
    disk.journal.push(first_record(script));
    let limits =
        Limits { boundaries: Boundaries::default(), backoff_ms: 10, history: History::default() };
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    for life in 0..50_u64 {
        let mut state = RunState::begin(script.plan.clone(), &disk.journal[0]).unwrap();
        for record in &disk.journal[1..] {
            state.apply(record).expect("a journal that a run wrote replays");
        }
        if state.outcome.is_some() {
            return (disk, state);
        }
        if let Some(answer) = fate.answer(&state, 1) {
            disk.answers.push(answer);
        } else if state.waiting.is_some() {
            if !script.skip_when_asked {
                return (disk, state);
            }
            // A person leaves out what failed; every answer names the attempt it is about.
            let failed = (0..state.tasks.len()).find(|t| state.tasks[*t].step == Step::Failed);
            let Some(task) = failed else { return (disk, state) };
            let attempt = state.tasks[task].attempt;
            let answer = Answer {
                id: format!("skip-{task}-{attempt}"),
                choice: Choice::Skip,
                about: Some((task, attempt)),
            };
            disk.answers.push(answer);
        }
        let clock = disk.journal.last().unwrap().at.as_millisecond() + 1;
        let mut world = Sim {
            script,
            disk: &mut disk,
            rng: Rng(script.timing.wrapping_add(life)),
            pending: Vec::new(),
            done: Vec::new(),
            clock,
            points,
            fate,
        };
        let start = Event::CoordinatorStarted {
            pid: 1,
            version: "sim".to_owned(),
            promote_landed: false,
            force: false,
            target: None,
        };
        let Ok(records) = world.append(vec![start]) else { continue };
        for record in &records {
            state.apply(record).unwrap();
        }
        match runtime.block_on(run(&mut world, &mut state, &limits, |_, _| {})) {
            Ok(()) | Err(EngineError::World(SimError::Crash)) => {}
            Err(error) => panic!("the engine gave up: {error}"),
        }
    }
    panic!("the run does not end");
}

/// What must be the same with and without crashes.
fn ending(disk: &Disk, state: &RunState) -> String {
    let tasks: Vec<String> = state
        .tasks
        .iter()
        .map(|t| format!("{} {} {:?} {:?}", t.word(), t.attempt, t.failure, t.discarded.keys()))
        .collect();
    let content = |at: &Option<Sha>| at.as_ref().map(|s| disk.commits[s].clone());
    // A gate job that was cut down by nothing runs once; stage numbers depend on timing.
    let workers: Vec<&String> = disk.jobs.iter().filter(|j| !j.starts_with("gate")).collect();
    format!(
        "{:?} waiting={} cleaned={}\n{}\ntarget {:?}\nstaging {:?}\nworkers {workers:?}",
        state.outcome,
        state.waiting.is_some(),
        disk.cleaned,
        tasks.join("\n"),
        content(&disk.target),
        content(&disk.staging)
    )
}

#[expect(clippy::wildcard_enum_match_arm, reason = "all others must not land")]
fn assert_sound(script: &Script, disk: &Disk, state: &RunState, what: &str) {
    let target = &disk.commits[disk.target.as_ref().unwrap()];
    for (task, run) in state.tasks.iter().enumerate() {
        let landed = run.step == Step::Merged;
        let refused = if landed { run.attempt - 1 } else { run.attempt };
        let kept: Vec<Attempt> = run.discarded.keys().copied().collect();
        let all: Vec<Attempt> = (1..=refused).collect();
        // An attempt that was cut down by an abort has no commit in this model; on disk it has.
        assert!(
            all.iter().all(|a| kept.contains(a))
                || state.outcome == Some(Outcome::Aborted)
                || state.iteration > 1,
            "{what}: t{task}: the work of every attempt that did not pass is kept"
        );
        if state.promoted.is_some() && state.pull_request.is_none() {
            assert_ne!(
                state.outcome,
                Some(Outcome::Aborted),
                "{what}: aborted after the target moved"
            );
            // What a reviewer sent back is in the tree as it was, until it lands anew.
            assert!(
                target.contains(&task) == landed || state.iteration > 1,
                "{what}: t{task} in the target"
            );
        } else {
            assert!(
                !target.contains(&task),
                "{what}: t{task} reached the target without a promotion"
            );
        }
        if landed {
            let last = run.attempt as usize - 1;
            let list = &script.acts[task];
            match list[last.min(list.len() - 1)] {
                Act::Good => {}
                Act::LacksAPackage => assert!(disk.installed, "{what}: t{task} landed"),
                Act::FailsWithAnother => assert!(
                    task == 0 || state.tasks[task - 1].step != Step::Merged,
                    "{what}: t{task} landed with the one that it does not get on with"
                ),
                // What a person put right in the kept worktree may land.
                act => assert!(
                    fixed(disk, state, task) || state.iteration > 1,
                    "{what}: t{task} landed, which {act:?}"
                ),
            }
            for &d in &script.plan.order.dependencies[task] {
                // One that a reviewer sent back had landed all the same.
                let there = state.tasks[d].merged.is_some();
                assert!(there, "{what}: t{task} landed before t{d}");
            }
        }
    }
    if state.outcome == Some(Outcome::Done) {
        assert!(
            state.tasks.iter().all(|t| matches!(t.step, Step::Merged | Step::Skipped)),
            "{what}"
        );
    }
}

#[expect(clippy::wildcard_enum_match_arm, reason = "one event is looked for")]
fn fixed(disk: &Disk, state: &RunState, task: usize) -> bool {
    let id = &state.plan.tasks[task].id;
    disk.journal.iter().any(|r| match &r.event {
        Event::Answered { choice, task, .. } => *choice == Choice::Fix && task.as_ref() == Some(id),
        _ => false,
    })
}

fn seeds() -> u64 {
    std::env::var("SLIMDUCTOR_SIM_SEEDS").ok().and_then(|s| s.parse().ok()).unwrap_or(60)
}

/// Runs one seed and every crashed copy of it; says how many there were and how the uncrashed one ended.
fn check_seed(seed: u64) -> (u64, String) {
    let script = script(seed, false);
    let mut points = 0;
    let (disk, state) = run_to_end(&script, &mut Fate::Planned(None), &mut points);
    assert_sound(&script, &disk, &state, &format!("seed {seed}"));
    assert!(disk.answers.is_empty(), "seed {seed}: an answer was left over");
    let twin = ending(&disk, &state);
    for crash_at in 1..=points {
        let mut count = 0;
        let (disk, state) = run_to_end(&script, &mut Fate::Planned(Some(crash_at)), &mut count);
        let what = format!("seed {seed}, crash at {crash_at} of {points}");
        assert_sound(&script, &disk, &state, &what);
        assert_eq!(ending(&disk, &state), twin, "{what}");
    }
    (points, format!("{:?}", state.outcome))
}

/// Runs one seed through chance; says how it ended.
fn chance(seed: u64) -> String {
    let script = script(seed, true);
    let rng = Rng(seed ^ 0x5eed);
    let mut fate = Fate::Chance { rng, crashes: 20, answers: 8 };
    let (disk, state) = run_to_end(&script, &mut fate, &mut 0);
    assert_sound(&script, &disk, &state, &format!("chance {seed}"));
    format!("{:?}", state.outcome)
}

#[test]
fn answers_at_any_moment_and_crash_upon_crash_break_no_promise() {
    let mut endings = BTreeMap::new();
    for seed in 0..seeds() * 20 {
        *endings.entry(chance(seed)).or_insert(0) += 1;
    }
    println!("{} runs of chance ended: {endings:?}", seeds() * 20);
    assert_eq!(endings.len(), 4, "every kind of end is reached: {endings:?}");
}

#[test]
fn a_crash_before_or_after_any_effect_or_append_changes_nothing_in_the_end() {
    let threads = std::thread::available_parallelism().map_or(1, |n| n.get() as u64);
    let share = |first: u64| (first..seeds()).step_by(threads as usize).map(check_seed).collect();
    let results: Vec<(u64, String)> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads)
            .map(|first| scope.spawn(move || -> Vec<(u64, String)> { share(first) }))
            .collect();
        workers.into_iter().flat_map(|w| w.join().unwrap()).collect()
    });
    let runs: u64 = results.iter().map(|(points, _)| points).sum();
    let mut endings = BTreeMap::new();
    for (_, outcome) in results {
        *endings.entry(outcome).or_insert(0) += 1;
    }
    println!(
        "{runs} crashed runs of {} seeds ended as their twins; uncrashed: {endings:?}",
        seeds()
    );
}
