//! The machinery of the crash tests: plans whose end is known, their uncrashed twins, crashes, and what must be true
//! after any of them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Mutex, OnceLock};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::crash_parts::{cut_down, processes};
use super::sandbox::{Ran, Sandbox, plan, ran, task};

/// A command that takes longer than this never ends.
const FOR_EVER: Duration = Duration::from_secs(120);

/// A plan whose end is the same whatever happens on the way.
#[derive(Clone, Copy, PartialEq)]
pub enum Plan {
    /// Twelve tasks: a chain, a diamond, two whose first attempt fails its check, one whose first fails at the gate.
    Twelve,
    /// Three tasks: one needs another, one's first attempt fails its check.
    Three,
}

impl Plan {
    fn text(self, s: &Sandbox) -> String {
        let effects = s.outside("effects");
        let note = |id: &str| format!("echo {id}-$SLIMDUCTOR_ATTEMPT >> {}", effects.display());
        let good = |id: &str, deps: &[&str]| {
            task(id, deps, id, &format!("{}; echo {id} > {id}", note(id)))
        };
        // Not right before its second attempt; no later one differs from that.
        let second = |id: &str, deps: &[&str]| {
            let work = "if [ $SLIMDUCTOR_ATTEMPT = 1 ]; then echo red; else echo green; fi";
            task(id, deps, id, &format!("{}; ({work}) > {id}", note(id)))
        };
        let fails = |id: &str, deps: &[&str]| {
            second(id, deps).replace(&format!("test -s {id}"), &format!("grep -q green {id}"))
        };
        match self {
            Plan::Twelve => {
                let tasks = [
                    good("c1", &[]),
                    good("c2", &["c1"]),
                    good("c3", &["c2"]),
                    good("d1", &[]),
                    good("d2", &["d1"]),
                    good("d3", &["d1"]),
                    good("d4", &["d2", "d3"]),
                    good("i1", &[]),
                    fails("f1", &[]),
                    fails("f2", &["i1"]),
                    good("z1", &["f1"]),
                    second("g1", &[]),
                ];
                let gates = "integration: {incremental: [{command: 'test ! -e g1 || grep -q green g1'}], final: [{command: test -s c3}]}\n";
                plan(&tasks) + gates
            }
            Plan::Three => {
                plan(&[good("a", &[]), good("b", &["a"]), fails("f", &[])])
                    + "integration: {final: [{command: test -s b}]}\n"
            }
        }
    }

    /// How the same plan ends when nothing crashes; run once.
    pub fn twin(self) -> &'static Twin {
        static TWELVE: OnceLock<Twin> = OnceLock::new();
        static THREE: OnceLock<Twin> = OnceLock::new();
        let cell = if self == Plan::Twelve { &TWELVE } else { &THREE };
        cell.get_or_init(|| {
            let lab = Lab::new(self, "process");
            let began = Instant::now();
            lab.disturbed("").exits(0);
            let took = began.elapsed();
            lab.s.assert_nothing_is_left();
            Twin {
                tree: lab.s.git(&["rev-parse", "main^{tree}"]),
                effects: lab.effects(),
                words: lab.s.states(),
                records: lab.journal().len(),
                bytes: lab.bytes(),
                points: lab.points().len(),
                took,
            }
        })
    }
}

/// The end of a run that was not disturbed.
#[derive(Debug)]
pub struct Twin {
    tree: String,
    effects: Vec<String>,
    words: BTreeMap<String, (String, String)>,
    /// Of the journal.
    pub records: usize,
    /// Of the journal.
    pub bytes: u64,
    /// Effects on the system that the coordinator had; 0 without faults in the binary.
    pub points: usize,
    pub took: Duration,
}

/// What may have happened to attempts.
#[derive(Clone, Copy, PartialEq)]
pub enum Attempts {
    /// Those of the twin, no more and no less.
    Same,
    /// A disturbed one is used up; none has been made twice.
    Once,
}

/// One disturbed run.
pub struct Lab {
    pub s: Sandbox,
    plan: Plan,
    backend: String,
}

impl Lab {
    pub fn new(plan: Plan, backend: &str) -> Lab {
        let s = if backend == "tmux" { Sandbox::with_tmux() } else { Sandbox::new() };
        s.write("tasks.yaml", &plan.text(&s));
        Lab { s, plan, backend: backend.to_owned() }
    }

    /// The command that makes the run.
    pub fn first(&self) -> Command {
        let mut command = self.s.slimductor();
        command.args(["run", "--backend", &self.backend, "-j", "4", "--yes"]);
        command
    }

    /// Goes on with the run, or makes it where the crash came before it was there.
    pub fn next(&self) -> Command {
        if self.journal().is_empty() {
            return self.first();
        }
        let mut command = self.s.slimductor();
        command.arg("resume");
        command
    }

    /// The command's end, which comes in two minutes or never.
    #[track_caller]
    pub fn end(&self, command: &mut Command) -> Ran {
        let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        end(child)
    }

    /// Makes the run with this fault.
    pub fn disturbed(&self, fault: &str) -> Ran {
        let mut first = self.first();
        first.env("SLIMDUCTOR_FAULT", fault).env("SLIMDUCTOR_FAULT_LOG", self.s.outside("points"));
        self.end(&mut first)
    }

    /// The effects on the system that the disturbed coordinator had, each with its number.
    pub fn points(&self) -> Vec<String> {
        let log = fs::read_to_string(self.s.outside("points")).unwrap_or_default();
        let counted = log.lines().filter(|l| l.starts_with(|c: char| c.is_ascii_digit()));
        counted.map(str::to_owned).collect()
    }

    /// The lines of the newest run's journal; none when there is no run.
    pub fn journal(&self) -> Vec<Value> {
        let text = fs::read_to_string(self.journal_path()).unwrap_or_default();
        // The last line may be half written.
        text.split_inclusive('\n')
            .filter(|l| l.ends_with('\n'))
            .map(|l| serde_json::from_str(l).unwrap())
            .collect()
    }

    fn journal_path(&self) -> PathBuf {
        let runs = fs::read_dir(self.s.root().join(".orchestrator/runs"));
        let runs = runs.into_iter().flatten().flatten().map(|r| r.path());
        let made = runs.filter(|r| !r.file_name().unwrap().to_string_lossy().starts_with('.'));
        made.max().unwrap_or_default().join("journal.jsonl")
    }

    /// The length of the newest run's journal.
    pub fn bytes(&self) -> u64 {
        fs::metadata(self.journal_path()).map_or(0, |m| m.len())
    }

    /// What workers left outside of the repository, sorted.
    pub fn effects(&self) -> Vec<String> {
        let text = fs::read_to_string(self.s.outside("effects")).unwrap_or_default();
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        lines.sort();
        lines
    }

    /// `status` works after a crash and tells what the journal holds.
    #[track_caller]
    pub fn looks_right(&self) {
        let journal = self.journal();
        let Some(first) = journal.first() else { return };
        let status = self.s.status();
        assert_eq!(status["run_id"], first["event"]["run_id"]);
        let ended = journal.iter().any(|r| r["event"]["type"] == "run_ended");
        assert_eq!(status["phase"] == "done", ended, "{status}");
        for task in status["tasks"].as_array().unwrap() {
            let about = |kind: &str| -> Vec<&Value> {
                let events = journal.iter().map(|r| &r["event"]);
                events.filter(|e| e["type"] == kind && e["task"] == task["id"]).collect()
            };
            let started = about("attempt_started");
            let attempt = started.last().map_or(Value::from(0), |e| e["attempt"].clone());
            assert_eq!(task["attempt"], attempt, "{status}");
            let merged = !about("landed").is_empty();
            assert_eq!(task["state"] == "merged", merged, "{status}");
        }
    }

    /// Resumes until the run is over; where it asks a person, every failed task is tried again.
    #[track_caller]
    pub fn lands(&self, by_person: bool) {
        for _ in 0..6 {
            let ran = self.end(&mut self.next());
            self.sober(&ran);
            if ran.code == 0 {
                return;
            }
            assert!(by_person && ran.code == 5, "exit {}\n{}\n{}", ran.code, ran.out, ran.err);
            for (id, (state, _)) in self.s.states() {
                if state == "failed" {
                    self.s.run(&["retry", &id]).exits(0);
                }
            }
        }
        panic!("it waits for a person for ever: {}", self.s.status());
    }

    /// Not a bug's exit, nor its words.
    #[track_caller]
    pub fn sober(&self, ran: &Ran) {
        let bug = ran.code == 1 || ran.err.contains("panicked") || ran.err.contains("is a bug");
        assert!(!bug, "exit {}\n{}\n{}", ran.code, ran.out, ran.err);
    }

    /// The run ended as its twin, and nothing of it is left.
    #[track_caller]
    pub fn ended_as_its_twin(&self, attempts: Attempts) {
        let twin = self.plan.twin();
        assert_eq!(self.s.git(&["rev-parse", "main^{tree}"]), twin.tree, "the target's tree");
        let effects = self.effects();
        match attempts {
            Attempts::Same => assert_eq!(effects, twin.effects),
            Attempts::Once => {
                let once: BTreeSet<&String> = effects.iter().collect();
                assert_eq!(once.len(), effects.len(), "done twice: {effects:?}");
            }
        }
        let log = ["log", "--first-parent", "--format=%(trailers:key=Slimductor-Task,valueonly)"];
        let log = self.s.git(&[&log[..], &["main"]].concat());
        let mut landed: Vec<&str> = log.lines().filter(|l| !l.is_empty()).collect();
        landed.sort_unstable();
        assert_eq!(landed, twin.words.keys().collect::<Vec<_>>(), "one merge for each task");
        assert_eq!(self.s.states(), twin.words);
        assert_eq!(self.s.git(&["fsck", "--strict", "--no-dangling"]), "");
        if self.backend == "tmux" {
            assert_eq!(self.s.sessions(), "");
        }
        // A wrapper that came too late is on its way out.
        wait("every process ends", || self.processes().is_empty());
        let cleaned = self.journal().into_iter().rev().find(|r| r["event"]["type"] == "cleaned_up");
        let kept = cleaned.unwrap()["event"]["kept"].as_array().unwrap().clone();
        if attempts == Attempts::Once && !kept.is_empty() {
            // What a fault kept from being removed stays, and is told.
            let told = self.s.run(&["resume"]).exits(0).out;
            assert!(kept.iter().all(|k| told.contains(k.as_str().unwrap())), "{kept:?}: {told}");
            return;
        }
        self.s.assert_nothing_is_left();
        let runs = fs::read_dir(self.s.root().join(".orchestrator/runs")).unwrap();
        assert_eq!(runs.count(), 1, "half a run is left");
        // What a coordinator tries before it makes a run is its own litter.
        let is_a_jobs = |name: &str| name.starts_with("sd-") && !name.starts_with("sd-probe-");
        let tmp = fs::read_dir(self.s.outside("tmp")).unwrap().flatten();
        let mut left = tmp.filter(|e| is_a_jobs(&e.file_name().to_string_lossy()));
        // A power cut may come between its making and the link by which it is found again.
        let none = attempts == Attempts::Once || left.next().is_none();
        assert!(none, "a job's temporary directory is left");
    }

    /// Everything that works in this sandbox: coordinator, wrappers, workers, tmux server.
    pub fn processes(&self) -> Vec<u32> {
        processes(self.s.outside("").to_str().unwrap())
    }

    fn tail(&self) -> String {
        let journal = self.journal();
        let last = &journal[journal.len().saturating_sub(8)..];
        last.iter().map(|r| format!("  {r}\n")).collect()
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        // A failed case must not disturb the next.
        cut_down(&self.processes());
    }
}

/// Looks until it is so.
#[track_caller]
pub fn wait(what: &str, so: impl Fn() -> bool) {
    let began = Instant::now();
    while !so() {
        assert!(began.elapsed() < FOR_EVER, "never: {what}");
        std::thread::sleep(Duration::from_millis(4));
    }
}

/// The child's end, which comes in two minutes or never.
#[track_caller]
pub fn end(mut child: Child) -> Ran {
    let began = Instant::now();
    while child.try_wait().unwrap().is_none() {
        if began.elapsed() > FOR_EVER {
            child.kill().unwrap();
            let ran = ran(child.wait_with_output().unwrap());
            panic!("it never ends:\n{}\n{}", ran.out, ran.err);
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    ran(child.wait_with_output().unwrap())
}

/// Whether all cases are asked for, and not a sample: with `SLIMDUCTOR_CRASH_ALL=3` every third.
pub fn all() -> Option<usize> {
    let value = std::env::var("SLIMDUCTOR_CRASH_ALL").ok()?;
    Some(value.parse().ok().filter(|n| *n > 0).unwrap_or(1))
}

/// Whether the binary can be told to fail.
pub fn faults_are_here() -> bool {
    let here = cfg!(debug_assertions);
    if !here {
        println!("skipped: a release build has no faults");
    }
    here
}

/// Tries every case in a lab of its own and tells all that fail; on two threads when all cases are asked for. `check` says
/// whether the run was disturbed at all; how many were is given back.
#[track_caller]
pub fn sweep<T: Sync + std::fmt::Debug>(
    plan: Plan,
    backend: impl Fn(&T) -> &'static str + Sync,
    cases: &[T],
    check: impl Fn(&Lab, &T) -> bool + Sync,
) -> usize {
    plan.twin();
    let began = Instant::now();
    let (next, failed) = (Mutex::new(cases.iter()), Mutex::new(Vec::new()));
    let hits = AtomicUsize::new(0);
    let work = || {
        loop {
            let Some(case) = next.lock().unwrap().next() else { return };
            let lab = Lab::new(plan, backend(case));
            match catch_unwind(AssertUnwindSafe(|| check(&lab, case))) {
                Ok(hit) => drop(hits.fetch_add(usize::from(hit), Relaxed)),
                Err(why) => {
                    let text = why.downcast_ref::<String>().map(String::as_str);
                    let text = text.or(why.downcast_ref::<&str>().copied()).unwrap_or("?");
                    let said = format!("{case:?}: {text}\n{}", lab.tail());
                    println!("{said}");
                    failed.lock().unwrap().push(said);
                }
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..if all().is_some() { 2 } else { 1 } {
            scope.spawn(work);
        }
    });
    let (hits, failed) = (hits.into_inner(), failed.into_inner().unwrap());
    println!("{} cases, {hits} of them hit, in {:.1?}", cases.len(), began.elapsed());
    assert!(failed.is_empty(), "{} of {}:\n{}", failed.len(), cases.len(), failed.concat());
    hits
}
