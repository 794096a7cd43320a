//! Bugs that are planted on purpose, one at a time: the simulation of tests/sim must fail on each of them. It knows the
//! crate only as text.
//!
//! `cargo test --test planted -- --ignored --nocapture`; with `SLIMDUCTOR_PLANTED=<name>` only that bug.

#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test that fails may say so by a panic, and builds crates of its own"
)]

use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

/// How long one build and its simulation may take; what hangs is caught as well.
const LIMIT: Duration = Duration::from_secs(4 * 60);

/// One change of one place in src/execute, and what a user would suffer from it.
struct Bug {
    name: &'static str,
    file: &'static str,
    old: &'static str,
    new: &'static str,
    harm: &'static str,
}

const BUGS: [Bug; 29] = [
    Bug {
        name: "a_retry_goes_where_a_lost_worker_may_still_write",
        file: "decide.rs",
        old: "let own = state.tasks[task].slot.filter(|s| !state.tainted.contains(s));",
        new: "let own = state.tasks[task].slot;",
        harm: "what a killed worker left running writes into the next attempt",
    },
    Bug {
        name: "a_clock_that_was_set_back_holds_retries_up",
        file: "decide.rs",
        old: "at <= now || at > now + MAX_BACKOFF_MS",
        new: "at <= now",
        harm: "a machine that booted years ahead waits for years",
    },
    Bug {
        name: "an_answer_about_an_older_attempt_is_taken",
        file: "decide.rs",
        old: "state.may_retry(task) && state.tasks[task].attempt == attempt",
        new: "state.may_retry(task) && attempt <= state.tasks[task].attempt",
        harm: "a `retry` that was meant for a failure long mended throws away what came since",
    },
    Bug {
        name: "a_landing_does_not_move_the_queue",
        file: "gate_state.rs",
        old: "let stage = self.train.remove(0);",
        new: "let stage = self.train[0].clone();",
        harm: "the second task can never land: `resume` calls the journal damaged",
    },
    Bug {
        name: "a_failed_attempt_is_forgotten",
        file: "state.rs",
        old: r#"                if let Some(head) = run.head.take() {
                    run.discarded.insert(*attempt, head);
                }
                if retry_at"#,
        new: r#"                run.head = None;
                if retry_at"#,
        harm: "the work of an attempt that failed is deleted with its branch",
    },
    Bug {
        name: "a_red_last_gate_opens_the_way",
        file: "gate_state.rs",
        old: "GateOn::Final if green => self.gated.clone_from(&run.commit),",
        new: "GateOn::Final if green || !green => self.gated.clone_from(&run.commit),",
        harm: "main gets a tree whose last gate was red",
    },
    Bug {
        name: "a_tainted_slot_is_used_again",
        file: "decide.rs",
        old: r#"    taken.extend(state.tainted.iter().copied());
"#,
        new: "",
        harm: "what is left of a killed worker writes into another task's work",
    },
    Bug {
        name: "jobs_in_flight_begin_twice",
        file: "decide.rs",
        old: ".filter(|e| !seen.in_flight.contains(e));",
        new: ".filter(|e| !seen.in_flight.contains(e) || e.is_job());",
        harm: "every turn starts everything once more",
    },
    Bug {
        name: "what_is_no_longer_due_is_recorded",
        file: "outcome.rs",
        old: "seen.done.iter().filter(|d| due.contains(&d.effect))",
        new: "seen.done.iter().filter(|d| due.contains(&d.effect) || d.effect.is_job())",
        harm: "a gate that was dropped ends, and its result makes the journal one that does not replay",
    },
    Bug {
        name: "an_abort_crosses_a_promotion",
        file: "decide.rs",
        old: "if state.promoting.is_some() || state.target_moved.is_some() {",
        new: "if state.target_moved.is_some() {",
        harm: "`abort` says that main stayed where it was, and it moved",
    },
    Bug {
        name: "a_full_disk_costs_an_attempt",
        file: "engine.rs",
        old: "no_room(&seen.done)",
        new: "no_room(&[])",
        harm: "a full disk uses up the attempts of every task",
    },
    Bug {
        name: "the_last_of_the_queue_is_blamed",
        file: "gate.rs",
        old: "Move::Blame => state.train.first().map(",
        new: "Move::Blame => state.train.last().map(",
        harm: "a task that did well is sent back for what another broke",
    },
    Bug {
        name: "what_the_target_got_is_not_merged",
        file: "state.rs",
        old: r#"                self.rebase_queue(commit);
"#,
        new: r#"                let _ = commit;
"#,
        harm: "main moved during the run: the run and main chase each other for ever",
    },
    Bug {
        name: "a_retry_whose_moment_passed_is_never_made",
        file: "decide.rs",
        old: "at <= now || at > now + MAX_BACKOFF_MS",
        new: "at == now || at > now + MAX_BACKOFF_MS",
        harm: "a run stands still after a crash of a worker",
    },
    Bug {
        name: "a_worker_starts_before_its_worktree_is_ready",
        file: "decide.rs",
        old: "Step::Preparing => due.push(Effect::Prepare { task, attempt }),",
        new: "Step::Preparing => due.extend([Effect::Prepare { task, attempt }, Effect::Work { task, attempt }]),",
        harm: "after a crash the worktree is made anew under a worker",
    },
    Bug {
        name: "a_signal_stops_nothing",
        file: "decide.rs",
        old: r#"    if seen.interrupted {
        return Vec::new();
    }
    let due"#,
        new: "    let due",
        harm: "after Ctrl-C new workers are started",
    },
    Bug {
        name: "a_gate_that_is_being_stopped_gives_its_place_away",
        file: "gate.rs",
        old: "state.gates.iter().any(|g| g.place == Gate::Slot(*n))",
        new: "state.gates.iter().any(|g| g.place == Gate::Slot(*n) && g.step != GateStep::Stopping)",
        harm: "two suites run in one worktree, and `resume` calls the journal damaged",
    },
    Bug {
        name: "a_retry_forgets_what_a_person_wrote",
        file: "request_state.rs",
        old: "run.unsaved = run.unsaved.or(run.slot.map(|slot| (run.attempt, slot)));",
        new: "run.unsaved = None;",
        harm: "what a person edited in the kept worktree is deleted",
    },
    Bug {
        name: "a_resume_does_not_try_again",
        file: "state.rs",
        old: r#"                self.refused = None;
"#,
        new: "",
        harm: "one hiccup of git, and the run asks the same question for ever",
    },
    Bug {
        name: "only_the_last_of_a_batch_lands",
        file: "outcome.rs",
        old: "s.number <= to));",
        new: "s.number == to));",
        harm: "of three tasks that land at once two are forgotten",
    },
    Bug {
        name: "staging_that_somebody_moved_counts_as_landed",
        file: "outcome.rs",
        old: "Ok(Product::Swapped(Swap::Done)) if matches!(done.effect, Effect::Land { .. }) => {",
        new: "Ok(Product::Swapped(_)) if matches!(done.effect, Effect::Land { .. }) => {",
        harm: "the run goes on over what somebody committed on its branch",
    },
    Bug {
        name: "an_abort_does_not_wait_for_what_is_written",
        file: "decide.rs",
        old: "if !state.cleaned && !in_flight.iter().any(|e| !e.is_job() && *e != Effect::CleanUp) {",
        new: "if !state.cleaned {",
        harm: "worktrees and branches are left behind, or made again while they are removed",
    },
    Bug {
        name: "a_fix_is_checked_by_the_old_checks",
        file: "request_state.rs",
        old: r#"                run.attempt += 1;
                run.step = Step::Collecting;"#,
        new: "                run.step = Step::Collecting;",
        harm: "what a person put right is judged by the result of the attempt before",
    },
    Bug {
        name: "packages_are_installed_while_the_queue_is_busy",
        file: "request.rs",
        old: "let idle = state.train.is_empty() && state.gates.is_empty() && state.landing.is_none();",
        new: "let idle = state.landing.is_none();",
        harm: "staging moves under what was just found green",
    },
    Bug {
        name: "a_task_goes_on_before_its_dependencies_landed",
        file: "query.rs",
        old: "self.plan.order.dependencies[task].iter().all(|&d| self.tasks[d].step == Step::Merged)",
        new: "self.plan.order.dependencies[task].iter().all(|&d| self.tasks[d].attempt > 0)",
        harm: "a task begins on a base without what it needs",
    },
    Bug {
        name: "a_landing_is_not_the_tree_that_was_checked",
        file: "outcome.rs",
        old: "let (task, commit) = (state.plan.tasks[s.task].id.clone(), s.commit.clone()?);",
        new: "let (task, commit) = (state.plan.tasks[s.task].id.clone(), Some(s.base.clone())?);",
        harm: "the journal says that staging stands where it does not",
    },
    Bug {
        name: "a_lost_worker_counts_as_well_ended",
        file: "state.rs",
        old: "run.findings = finding.iter().cloned().collect();",
        new: "run.findings = finding.iter().filter(|_| lost.is_none()).cloned().collect();",
        harm: "half of a killed worker's work is verified and merged",
    },
    Bug {
        name: "a_moved_target_keeps_its_old_gate",
        file: "gate_state.rs",
        old: r#"        self.base_colour = Colour::Unknown;
        self.gated = None;
        self.final_red = None;
    }"#,
        new: r#"        self.base_colour = Colour::Unknown;
        self.gated.clone_from(&self.staging);
        self.final_red = None;
    }"#,
        harm: "what was merged from main goes back to main without a gate",
    },
    Bug {
        name: "a_collect_that_was_refused_is_tried_with_a_new_attempt",
        file: "outcome.rs",
        old: "*retry_at = None;",
        new: "*retry_at = retry_at.take();",
        harm: "work that could not be committed is cleaned away by the next attempt",
    },
];

/// What the simulation says of the crate as it stands in `dir`.
#[derive(Debug, PartialEq, Eq)]
enum Said {
    Passed,
    /// With the first line of the first failure.
    Failed(String),
    Hung,
    DoesNotCompile(String),
}

fn simulate(dir: &Path) -> Said {
    let mut child = Command::new(option_env!("CARGO").unwrap_or("cargo"))
        .args(["test", "--offline", "--test", "sim"])
        .current_dir(dir)
        .env("CARGO_TARGET_DIR", dir.join("target"))
        .env("RUST_BACKTRACE", "0")
        .env_remove("SLIMDUCTOR_SIM_SEEDS")
        .stdin(Stdio::null())
        .stdout(Stdio::from(std::fs::File::create(dir.join("out")).unwrap()))
        .stderr(Stdio::from(std::fs::File::create(dir.join("err")).unwrap()))
        .process_group(0)
        .spawn()
        .unwrap();
    let group = format!("-{}", child.id());
    let (sender, receiver) = mpsc::channel();
    let waiter = std::thread::spawn(move || {
        let passed = child.wait().unwrap().success();
        let _ = sender.send(passed);
    });
    let Ok(passed) = receiver.recv_timeout(LIMIT) else {
        Command::new("kill").args(["-KILL", "--", &group]).status().unwrap();
        waiter.join().unwrap();
        return Said::Hung;
    };
    waiter.join().unwrap();
    let out = std::fs::read_to_string(dir.join("out")).unwrap();
    let err = std::fs::read_to_string(dir.join("err")).unwrap();
    if passed {
        return Said::Passed;
    }
    if !err.contains("Running tests/sim") {
        return Said::DoesNotCompile(err);
    }
    let mut lines = out.lines().chain(err.lines()).skip_while(|l| !l.contains("panicked at"));
    Said::Failed(lines.nth(1).unwrap_or_default().to_owned())
}

fn copy(from: &Path, to: &Path) {
    if from.is_dir() {
        std::fs::create_dir_all(to).unwrap();
        for entry in std::fs::read_dir(from).unwrap() {
            let name = entry.unwrap().file_name();
            copy(&from.join(&name), &to.join(&name));
        }
    } else {
        std::fs::copy(from, to).unwrap();
    }
}

fn source(root: &Path, file: &str) -> String {
    std::fs::read_to_string(root.join("src/execute").join(file)).unwrap()
}

#[test]
fn every_planted_bug_still_has_its_place() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for bug in &BUGS {
        let found = source(root, bug.file).matches(bug.old).count();
        assert_eq!(found, 1, "{}: its old text in {}", bug.name, bug.file);
    }
}

#[test]
#[ignore = "builds the crate once for each bug: minutes"]
fn the_simulation_catches_every_planted_bug() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("tests")).unwrap();
    for part in ["src", "tests/sim", "benches", "examples", "schemas", "Cargo.toml", "Cargo.lock"] {
        copy(&root.join(part), &dir.path().join(part));
    }
    assert_eq!(simulate(dir.path()), Said::Passed, "unchanged");
    let only = std::env::var("SLIMDUCTOR_PLANTED").ok();
    let mut table = Vec::new();
    for bug in BUGS.iter().filter(|b| only.as_ref().is_none_or(|name| b.name == name)) {
        let path = dir.path().join("src/execute").join(bug.file);
        let sound = source(root, bug.file);
        assert_eq!(sound.matches(bug.old).count(), 1, "{}: its old text", bug.name);
        std::fs::write(&path, sound.replace(bug.old, bug.new)).unwrap();
        let said = simulate(dir.path());
        std::fs::write(&path, sound).unwrap();
        if let Said::DoesNotCompile(why) = &said {
            panic!("{} does not compile: {why}", bug.name);
        }
        table.push((bug, said));
    }
    for (bug, said) in &table {
        println!("{}: {said:?}\n    ({})", bug.name, bug.harm);
    }
    let missed: Vec<_> =
        table.iter().filter(|(_, said)| *said == Said::Passed).map(|(bug, _)| bug.name).collect();
    assert!(missed.is_empty(), "not caught: {missed:?}");
}
