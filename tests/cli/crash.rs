//! The coordinator dies, and `resume` goes on: nothing finished is done again, nothing is lost.

use std::os::unix::process::ExitStatusExt;

use super::sandbox::{Sandbox, plan, ran, task, tmux_is_here};

fn survives_a_kill_on(backend: &str) {
    let s = Sandbox::with_tmux();
    let (started, go, effects) = (s.fifo("started"), s.fifo("go"), s.outside("effects"));
    let note = |id: &str| format!("echo {id} >> {}", effects.display());
    let text = plan(&[
        task("first", &[], "first", &format!("{}; echo 1 > first", note("first"))),
        task(
            "second",
            &["first"],
            "second",
            &format!(
                "{}; echo > {}; read x < {}; echo 2 > second",
                note("second"),
                started.display(),
                go.display()
            ),
        ),
        task("third", &["second"], "third", &format!("{}; echo 3 > third", note("third"))),
    ]);
    s.write("tasks.yaml", &text);
    let mut child = s.start(&["run", "--backend", backend]);
    std::fs::read_to_string(&started).unwrap();
    child.kill().unwrap();
    assert_eq!(child.wait().unwrap().signal(), Some(9));
    let status = s.status();
    assert_eq!(status["tasks"][1]["state"], "executing", "{status}");
    assert_eq!(
        status["tasks"][1]["source"], "lock",
        "the worker outlives the coordinator: {status}"
    );
    // The live worker is adopted: it waits on the pipe that only now is answered.
    let resumed = s.start(&["resume"]);
    std::fs::write(&go, "\n").unwrap();
    ran(resumed.wait_with_output().unwrap()).exits(0);
    assert_eq!(std::fs::read_to_string(effects).unwrap(), "first\nsecond\nthird\n");
    assert_eq!(
        (s.read("first"), s.read("second"), s.read("third")),
        ("1\n".into(), "2\n".into(), "3\n".into())
    );
    s.assert_nothing_is_left();
    let again = s.run(&["resume"]).exits(0);
    assert!(again.err.contains("every run has ended"), "{}", again.err);
}

#[test]
fn a_killed_coordinator_is_resumed_and_its_processes_adopted() {
    survives_a_kill_on("process");
}

#[test]
fn a_killed_coordinator_is_resumed_and_its_tmux_workers_adopted() {
    if tmux_is_here() {
        survives_a_kill_on("tmux");
    }
}

#[test]
fn a_worker_that_ended_while_nobody_watched_is_collected_and_not_run_again() {
    let s = Sandbox::new();
    let (started, go, ended, effects) =
        (s.fifo("started"), s.fifo("go"), s.fifo("ended"), s.outside("effects"));
    let work = format!(
        "echo a >> {}; echo > {}; read x < {}; echo a > a; echo > {}",
        effects.display(),
        started.display(),
        go.display(),
        ended.display()
    );
    s.write("tasks.yaml", &plan(&[task("a", &[], "a", &work)]));
    let mut child = s.start(&["run", "--backend", "process"]);
    std::fs::read_to_string(&started).unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    std::fs::write(&go, "\n").unwrap();
    std::fs::read_to_string(&ended).unwrap();
    let run = s.status()["run_id"].as_str().unwrap().to_owned();
    slimductor::store::wait_unlocked(
        &s.root().join(format!(".orchestrator/runs/{run}/jobs/worker-a-1/lock")),
    )
    .unwrap();
    s.run(&["resume"]).exits(0);
    assert_eq!(std::fs::read_to_string(effects).unwrap(), "a\n");
    s.assert_nothing_is_left();
}

#[test]
fn a_worker_that_was_killed_with_everything_is_tried_again_and_its_work_kept() {
    let s = Sandbox::new();
    let started = s.fifo("started");
    let work = format!(
        "echo half > a; if [ $SLIMDUCTOR_ATTEMPT = 1 ]; then echo > {}; sleep 600; fi; echo whole > a",
        started.display()
    );
    s.write("tasks.yaml", &plan(&[task("a", &[], "a", &work)]));
    let mut child = s.start(&["run", "--backend", "process"]);
    std::fs::read_to_string(&started).unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    // A reboot: the wrapper and all below it die as well, without an exit file.
    let wrapper = s.wrapper_of("worker-a-1");
    assert!(s.command("kill").args(["-9", &wrapper]).status().unwrap().success());
    let resumed = s.run(&["resume"]).exits(0);
    assert!(resumed.err.contains("attempt 1 ended with crash"), "{}", resumed.err);
    assert_eq!(s.read("a"), "whole\n");
}

#[test]
fn ctrl_c_leaves_workers_alive_and_exits_130() {
    let s = Sandbox::new();
    let (started, go) = (s.fifo("started"), s.fifo("go"));
    let work = format!("echo > {}; read x < {}; echo a > a", started.display(), go.display());
    s.write("tasks.yaml", &plan(&[task("a", &[], "a", &work)]));
    let child = s.start(&["run", "--backend", "process"]);
    std::fs::read_to_string(&started).unwrap();
    assert!(s.command("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    let stopped = ran(child.wait_with_output().unwrap()).exits(130);
    assert!(stopped.err.contains("resume"), "{}", stopped.err);
    let resumed = s.start(&["resume"]);
    std::fs::write(&go, "\n").unwrap();
    ran(resumed.wait_with_output().unwrap()).exits(0);
    assert_eq!(s.read("a"), "a\n");
    s.assert_nothing_is_left();
}

#[test]
fn a_damaged_journal_is_refused_with_its_line() {
    let s = Sandbox::new();
    s.run_plan(
        &plan(&[task("a", &[], "a", "exit 1")
            .replace("    files_write", "    max_attempts: 1\n    files_write")]),
        &[],
    )
    .exits(5);
    let run = s.status()["run_id"].as_str().unwrap().to_owned();
    let path = format!(".orchestrator/runs/{run}/journal.jsonl");
    let text = s.read(&path).replacen("\"attempt\":1", "\"attempt\":2", 1);
    s.write(&path, &text);
    let refused = s.run(&["resume"]).exits(8);
    assert!(refused.err.contains("journal.jsonl:"), "{}", refused.err);
    assert_eq!(s.read(&path), text);
}

#[test]
fn a_journal_that_was_cut_anywhere_is_resumed_to_the_same_end() {
    let s = Sandbox::new();
    s.run_plan(
        &plan(&[task("a", &[], "a", "echo a > a"), task("b", &["a"], "b", "echo b > b")]),
        &["--no-promote"],
    )
    .exits(0);
    let run = s.status()["run_id"].as_str().unwrap().to_owned();
    let path = format!(".orchestrator/runs/{run}/journal.jsonl");
    let whole = s.read(&path);
    // Cut in the middle of the last record: the run had ended but for that line.
    s.write(&path, &whole[..whole.len() - 7]);
    s.run(&["resume"]).exits(0);
    assert_eq!(s.status()["phase"], "done");
}

#[test]
fn what_a_killed_worker_left_running_does_not_reach_the_next_attempt() {
    let s = Sandbox::new();
    let (ready, stale, go) = (s.fifo("ready"), s.outside("stale"), s.fifo("go"));
    // Without its environment and in a session of its own nobody can tell that it is ours; with its namespace it ends
    // all the same, and where there is none the slot is not used again.
    let first = format!(
        "env -i setsid /bin/sh -c 'echo > {}; sleep 1; echo STALE >> a; echo > {}' & sleep 600; exit 1",
        ready.display(),
        stale.display()
    );
    let work = format!(
        "if [ $SLIMDUCTOR_ATTEMPT = 1 ]; then {first}; fi\necho fine > a; echo > {}",
        go.display()
    );
    s.write("tasks.yaml", &plan(&[task("a", &[], "a", &work)]));
    let child = s.start(&["run", "--backend", "process"]);
    std::fs::read_to_string(&ready).unwrap();
    let wrapper = s.wrapper_of("worker-a-1");
    assert!(s.command("kill").args(["-9", &wrapper]).status().unwrap().success());
    std::fs::read_to_string(&go).unwrap();
    ran(child.wait_with_output().unwrap()).exits(0);
    assert_eq!(s.read("a"), "fine\n");
    s.assert_nothing_is_left();
}
