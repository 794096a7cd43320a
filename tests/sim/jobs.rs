//! Which job an effect stands for, what its commands come to, and what must be true where they begin. Judges nothing
//! of what comes of it.

use slimductor::execute::command::{Effect, Product};
use slimductor::execute::event::{Feedback, GateOn, Verdict};
use slimductor::execute::state::{RunState, Step};
use slimductor::execute::task_run::GateStep;
use slimductor::types::{Ending, Gate, Sha, StepResult};

use crate::disk::{Disk, Job, JobStep, Piece, Place};
use crate::script::{Act, Script};

/// How often a check that died is started again within one effect.
const RESTARTS: u32 = 3;

pub fn step(command: &str, code: Option<i32>, timed_out: bool) -> StepResult {
    let mut step = StepResult::new(command.to_owned(), true);
    step.code = code;
    step.timed_out = timed_out;
    step
}

/// The job's name, and where it runs.
pub fn job_of(effect: &Effect, state: &RunState) -> (String, Place) {
    let slot = |task: usize| Place::Slot(state.tasks[task].slot.expect("an attempt has a slot"));
    match effect {
        Effect::Work { task, attempt } => (format!("worker-t{task}-{attempt}"), slot(*task)),
        Effect::Check { task, attempt } => (format!("check-t{task}-{attempt}"), slot(*task)),
        Effect::CheckGate { gate: number } => {
            let gate = state.gates.iter().find(|g| g.number == *number).unwrap();
            assert_eq!(gate.step, GateStep::Checking, "a gate is checked that is not ready");
            (format!("gate-{number}"), Place::Gate(gate.place))
        }
        Effect::RunInstall { number } => (format!("install-{number}"), Place::Gate(Gate::Final)),
        Effect::Review { number } => (format!("review-{number}"), Place::Gate(Gate::Final)),
        Effect::CreateStaging
        | Effect::Prepare { .. }
        | Effect::Collect { .. }
        | Effect::BuildStage { .. }
        | Effect::BuildGate { .. }
        | Effect::PrepareGate { .. }
        | Effect::StopGate { .. }
        | Effect::Land { .. }
        | Effect::PrepareInstall { .. }
        | Effect::CommitInstall { .. }
        | Effect::Promote { .. }
        | Effect::Propose { .. }
        | Effect::MergeTarget { .. }
        | Effect::CleanUp
        | Effect::DropAnswer { .. } => panic!("{effect:?} is no job"),
    }
}

/// What an effect that waits for a job finds.
pub enum Found {
    /// Its commands are to begin, for the first time or again.
    Begin,
    /// They run.
    Running,
    /// They are over.
    Over(Product),
}

/// Looks at the job of an effect, as src/execute/watch.rs does. `deaths` counts those within this one effect.
pub fn look(disk: &mut Disk, effect: &Effect, state: &RunState, deaths: &mut u32) -> Found {
    let (name, _) = job_of(effect, state);
    let restarts = if matches!(effect, Effect::Work { .. }) { 0 } else { RESTARTS };
    let cancelled = disk.cancelled || disk.jobs.get(&name).is_some_and(|j| j.cancelled);
    let ending = match disk.jobs.get(&name).map(|j| j.step) {
        None | Some(JobStep::Made) if cancelled => Ending::Stopped,
        None | Some(JobStep::Made) => return Found::Begin,
        Some(JobStep::Running) => return Found::Running,
        Some(JobStep::Ended(Ending::Stopped)) if !cancelled && *deaths < restarts => {
            *deaths += 1;
            return Found::Begin;
        }
        Some(JobStep::Dead) if *deaths < restarts => {
            *deaths += 1;
            // It is made anew, and never begins when it was told to end meanwhile.
            if cancelled {
                Ending::Stopped
            } else {
                return Found::Begin;
            }
        }
        Some(JobStep::Ended(ending)) => ending,
        Some(JobStep::Dead) => Ending::Lost,
    };
    let (report, verdict) = match disk.jobs.get(&name) {
        Some(job) => (job.report(ending), job.verdict.clone()),
        None => (slimductor::types::JobReport { ending, steps: Vec::new() }, None),
    };
    if ending == Ending::Finished {
        let saw = disk.jobs.get(&name).and_then(|job| job.saw.clone());
        assert_eq!(saw, looks_at(effect, state), "{name} says something about other work");
    }
    if !matches!(effect, Effect::Review { .. }) {
        return Found::Over(Product::Job(report));
    }
    let said = verdict.filter(|_| report.ending == Ending::Finished);
    let nothing = Verdict::Unreadable { why: "it ended without a word".to_owned() };
    Found::Over(Product::Reviewed { report, verdict: said.unwrap_or(nothing) })
}

/// What a check's or a gate's result is about.
fn looks_at(effect: &Effect, state: &RunState) -> Option<Sha> {
    if let Effect::Check { task, .. } = effect {
        return state.tasks[*task].head.clone();
    }
    let Effect::CheckGate { gate } = effect else { return None };
    state.gates.iter().find(|g| g.number == *gate)?.commit.clone()
}

/// The commands of an effect's job begin.
#[expect(clippy::wildcard_enum_match_arm, reason = "`job_of` has refused what is no job")]
pub fn begin(script: &Script, disk: &mut Disk, effect: &Effect, state: &RunState) {
    let (name, place) = job_of(effect, state);
    assert!(!disk.cancelled, "{name} begins after everything was told to end");
    let runs = disk.runs_in(place);
    assert!(runs.is_none(), "{name} begins where {runs:?} runs");
    let mut verdict = None;
    let (steps, writes) = match effect {
        Effect::Work { task, attempt } => work(script, disk, place, *task, *attempt),
        Effect::Check { task, .. } => (check(script, disk, place, *task, state), None),
        Effect::CheckGate { gate } => (gate_steps(script, disk, *gate, state), None),
        Effect::RunInstall { number } => {
            let base = &state.install.as_ref().unwrap().base;
            assert_eq!(disk.gates[&Gate::Final].at, *base, "it is installed on another tree");
            (vec![step("install", Some(0), false)], Some(Piece::Installed(*number)))
        }
        Effect::Review { number } => {
            let at = disk.gates.get(&Gate::Final).map(|t| &t.at);
            assert_eq!(at, state.review_of.as_ref(), "the reviewer looks at another tree");
            verdict = Some(review(script, *number, state));
            (vec![step("look", Some(0), false)], None)
        }
        _ => panic!("{effect:?} is no job"),
    };
    let job = disk.jobs.entry(name).or_insert(Job {
        place,
        step: JobStep::Made,
        began: 0,
        deaths: 0,
        cancelled: false,
        writes,
        steps: Vec::new(),
        verdict: None,
        saw: None,
    });
    job.began += 1;
    job.step = JobStep::Running;
    (job.steps, job.verdict) = (steps, verdict);
    job.saw = looks_at(effect, state);
    // A check of what a person has put right runs beside them.
    // The rest of one that nobody looks after any more does not count.
    let looked_after = |name: &&String| !matches!(disk.jobs[*name].place, Place::Slot(slot) if state.tainted.contains(&slot));
    let is_worker = |job: &&String| job.starts_with("worker");
    let workers = disk.running().iter().filter(is_worker).filter(looked_after).count();
    assert!(workers <= script.settings.jobs as usize, "too many workers at once");
    let is_gate = |job: &&Job| {
        matches!(job.place, Place::Gate(Gate::Slot(_))) && job.step == JobStep::Running
    };
    let gates = disk.jobs.values().filter(is_gate).count();
    assert!(gates <= script.settings.window as usize, "too many gates at once");
}

fn work(
    script: &Script,
    disk: &Disk,
    place: Place,
    task: usize,
    attempt: u32,
) -> (Vec<StepResult>, Option<Piece>) {
    let Place::Slot(slot) = place else { panic!("a worker outside a slot") };
    let tree = &disk.slots[&slot];
    assert_eq!(tree.made_for, Some((task, attempt)), "t{task} works in another's worktree");
    assert_eq!(tree.content, *disk.content(&tree.at), "t{task} begins on what is not its base");
    let piece = Piece::Work { task, attempt };
    match script.act(task, attempt) {
        Act::Exits7 => (vec![step("work", Some(7), false)], Some(piece)),
        Act::TimesOut => (vec![step("work", None, true)], Some(piece)),
        Act::ChangesNothing => (vec![step("work", Some(0), false)], None),
        Act::Good
        | Act::StraysOutside
        | Act::FailsItsCheck
        | Act::FailsWithAnother
        | Act::ConflictsWithAnother
        | Act::LacksAPackage
        | Act::FlakyAtTheGate
        | Act::FailsAtTheGate => (vec![step("work", Some(0), false)], Some(piece)),
    }
}

fn check(
    script: &Script,
    disk: &Disk,
    place: Place,
    task: usize,
    state: &RunState,
) -> Vec<StepResult> {
    let Place::Slot(slot) = place else { panic!("a check outside a slot") };
    let head = state.tasks[task].head.as_ref().expect("a check of work that is not collected");
    let content = &disk.slots[&slot].content;
    assert_eq!(content, disk.content(head), "t{task} is checked where its work does not stand");
    let act = script.act_in(content, task);
    let lacks = act == Some(Act::LacksAPackage) && !disk.installed;
    let good = act != Some(Act::FailsItsCheck) && !lacks;
    let mut step = step(&format!("prove {task}"), Some(i32::from(!good)), false);
    if lacks {
        step.output = Some("ModuleNotFoundError: No module named 'left'".to_owned());
    }
    vec![step]
}

fn gate_steps(script: &Script, disk: &mut Disk, number: u32, state: &RunState) -> Vec<StepResult> {
    let gate = state.gates.iter().find(|g| g.number == number).unwrap();
    let commit = gate.commit.as_ref().expect("a gate without a tree");
    let stands = disk.gates.get(&gate.place).map(|t| &t.at);
    assert_eq!(stands, Some(commit), "gate {number} looks at another tree");
    let content = disk.content(commit).clone();
    // Once in a run, and only where the search for what may land is: a person is not asked about it.
    let flakes = (0..script.acts.len())
        .find(|t| script.act_in(&content, *t) == Some(Act::FlakyAtTheGate))
        .filter(|t| matches!(gate.on, GateOn::Prefix { .. }) && disk.flaked.insert((*t, 0)));
    let red = match gate.on {
        GateOn::Final => script.is_red_at_last(&content),
        GateOn::Base
        | GateOn::Prefix { .. }
        | GateOn::Again { .. }
        | GateOn::Alone { .. }
        | GateOn::With { .. } => script.is_red(&content),
    };
    let good = !red && flakes.is_none();
    let (checks, _) = state.gate_checks(gate);
    let code = Some(i32::from(!good));
    let mut steps: Vec<StepResult> =
        checks.iter().map(|(_, c)| step(&c.command, code, false)).collect();
    if steps.is_empty() && !good {
        steps.push(step("suite", Some(1), false));
    }
    steps
}

fn review(script: &Script, number: u32, state: &RunState) -> Verdict {
    if number == 1 && script.mumbles {
        return Verdict::Unreadable { why: "it mumbles".to_owned() };
    }
    let landed = state.tasks.iter().position(|t| t.step == Step::Merged);
    match (state.iteration, landed) {
        (1, Some(task)) => Verdict::Iterate {
            feedback: vec![Feedback {
                task: state.plan.tasks[task].id.clone(),
                message: "once more".to_owned(),
            }],
        },
        _ => Verdict::Accept { comment: String::new() },
    }
}
