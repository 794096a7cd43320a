//! What is no longer where it was when a run goes on: the repository, tmux, the temporary directory, room, objects, a
//! branch, the run's own records. Nobody is blamed for it, nothing is done twice.

use std::path::PathBuf;

use super::sandbox::{Sandbox, path_without_tmux, plan, ran, task, tmux_is_here};

/// `a` appends to a file outside and to its own, waits in between, and is all there is.
fn waiting(s: &Sandbox) -> (PathBuf, PathBuf, String) {
    let (started, go, effects) = (s.fifo("started"), s.fifo("go"), s.outside("effects"));
    let work = format!(
        "echo a >> {}; echo begun >> a; echo > {}; read x < {}; echo done >> a",
        effects.display(),
        started.display(),
        go.display()
    );
    let once = |t: String| t.replace("    files_write", "    max_attempts: 1\n    files_write");
    (started, go, plan(&[once(task("a", &[], "a", &work))]))
}

/// The coordinator is killed while the worker waits.
fn killed(s: &Sandbox, backend: &str) -> PathBuf {
    let (started, go, text) = waiting(s);
    s.write("tasks.yaml", &text);
    let mut child = s.start(&["run", "--backend", backend]);
    std::fs::read_to_string(&started).unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    go
}

#[track_caller]
fn assert_done_once(s: &Sandbox) {
    assert_eq!(std::fs::read_to_string(s.outside("effects")).unwrap(), "a\n");
    assert_eq!(s.read("a"), "begun\ndone\n");
}

#[test]
fn a_repository_that_was_moved_goes_on_with_the_worker_that_lives() {
    let s = Sandbox::new();
    let go = killed(&s, "process");
    std::fs::rename(s.outside("repo"), s.outside("moved")).unwrap();
    std::os::unix::fs::symlink(s.outside("moved"), s.outside("repo")).unwrap();
    let said = s.run(&["resume", "--dry-run"]).exits(0);
    assert!(said.out.contains("adopt"), "{}", said.out);
    let resumed = s.start(&["resume"]);
    std::fs::write(&go, "\n").unwrap();
    ran(resumed.wait_with_output().unwrap()).exits(0);
    assert_done_once(&s);
    assert_eq!(s.git(&["worktree", "list"]).lines().count(), 1);
    s.assert_nothing_is_left();
}

#[test]
fn a_machine_without_tmux_stops_the_run_and_costs_no_attempt() {
    if !tmux_is_here() {
        return;
    }
    let s = Sandbox::with_tmux();
    let go = killed(&s, "tmux");
    std::fs::write(&go, "\n").unwrap();
    let job = s.root().join(format!(".orchestrator/runs/{}/jobs/worker-a-1", s.run_id()));
    slimductor::store::wait_unlocked(&job.join("lock")).unwrap();
    // The worker has ended; its check needs a session.
    let without = s.slimductor().arg("resume").env("PATH", path_without_tmux()).output().unwrap();
    let refused = ran(without).exits(7);
    assert!(refused.err.contains("tmux is not on PATH"), "{}", refused.err);
    s.run(&["resume"]).exits(0);
    assert_done_once(&s);
    s.assert_nothing_is_left();
}

#[test]
fn a_temporary_directory_that_is_gone_stops_the_run_and_costs_no_attempt() {
    let s = Sandbox::new();
    let go = killed(&s, "process");
    std::fs::write(&go, "\n").unwrap();
    let job = s.root().join(format!(".orchestrator/runs/{}/jobs/worker-a-1", s.run_id()));
    slimductor::store::wait_unlocked(&job.join("lock")).unwrap();
    let gone = s.outside("no-such-directory");
    let refused = ran(s.slimductor().arg("resume").env("TMPDIR", &gone).output().unwrap()).exits(7);
    assert!(refused.err.contains(gone.to_str().unwrap()), "{}", refused.err);
    s.run(&["resume"]).exits(0);
    assert_done_once(&s);
    s.assert_nothing_is_left();
}

#[test]
fn a_wrapper_that_finds_no_room_costs_no_attempt() {
    if !cfg!(debug_assertions) {
        println!("skipped: faults are planted in debug builds alone");
        return;
    }
    for n in 1..=18 {
        let s = Sandbox::new();
        let once = |t: String| t.replace("    files_write", "    max_attempts: 1\n    files_write");
        s.write("tasks.yaml", &plan(&[once(task("a", &[], "a", "echo a >> a"))]));
        let fault = format!("enospc@{n}");
        let mut run = s.slimductor();
        run.args(["run", "--backend", "process"]).env("SLIMDUCTOR_FAULT_JOB", &fault);
        let mut ended = ran(run.output().unwrap());
        for _ in 0..3 {
            if ended.code == 0 {
                break;
            }
            assert_eq!(ended.code, 7, "{fault}: {}{}", ended.out, ended.err);
            assert!(ended.err.contains("No space left on device"), "{fault}: {}", ended.err);
            ended = s.run(&["resume"]);
        }
        assert_eq!(ended.code, 0, "{fault}: {}{}", ended.out, ended.err);
        assert_eq!(
            (s.read("a"), s.status()["tasks"][0]["attempt"].as_u64()),
            ("a\n".into(), Some(1))
        );
        s.assert_nothing_is_left();
    }
}

#[test]
fn merges_that_a_gc_took_away_are_made_again() {
    if !cfg!(debug_assertions) {
        println!("skipped: faults are planted in debug builds alone");
        return;
    }
    let s = Sandbox::new();
    let text = plan(&[task("a", &[], "a", "echo a > a"), task("b", &[], "b", "echo b > b")]);
    s.write("tasks.yaml", &text);
    s.run(&["run", "--backend", "process", "--no-promote"]).exits(0);
    let journal = s.read(&format!(".orchestrator/runs/{}/journal.jsonl", s.run_id()));
    let built = journal.lines().position(|l| l.contains("\"stage_built\"")).unwrap() + 1;
    for more in 0..4 {
        let s = Sandbox::new();
        s.write("tasks.yaml", &text);
        let mut run = s.slimductor();
        run.args(["run", "--backend", "process"]);
        run.env("SLIMDUCTOR_FAULT", format!("record@{}", built + more));
        run.output().unwrap();
        s.git(&["gc", "-q", "--prune=now"]);
        s.run(&["resume"]).exits(0);
        assert_eq!((s.read("a"), s.read("b")), ("a\n".into(), "b\n".into()));
    }
}

#[test]
fn a_branch_that_a_person_stands_on_stays() {
    let s = Sandbox::new();
    let fails =
        task("b", &[], "b", "exit 1").replace("    files", "    max_attempts: 1\n    files");
    s.run_plan(&plan(&[task("a", &[], "a", "echo a > a"), fails]), &[]).exits(5);
    let staging = format!("slimductor/{}/staging", s.run_id());
    s.git(&["checkout", "-q", &staging]);
    s.run(&["skip", "b"]).exits(0);
    let ended = s.run(&["resume"]).exits(0);
    assert!(ended.out.contains("it is checked out"), "{}", ended.out);
    assert_eq!(s.git(&["branch", "--show-current"]), staging);
    s.git(&["rev-parse", "--verify", "-q", "HEAD"]);
    assert_eq!(s.git(&["show", "main:a"]), "a");
}

#[test]
fn a_worker_whose_records_were_moved_away_is_told_and_not_ended() {
    if !tmux_is_here() {
        return;
    }
    let s = Sandbox::with_tmux();
    let go = killed(&s, "tmux");
    let aside = s.outside("aside");
    std::fs::rename(s.root().join(".orchestrator"), &aside).unwrap();
    let fixed = s.run(&["doctor", "--fix"]).exits(0);
    assert!(fixed.out.contains("something runs in it"), "{}", fixed.out);
    assert!(s.sessions().contains("worker-a"), "{}", s.sessions());
    let _ = std::fs::remove_dir_all(s.root().join(".orchestrator"));
    std::fs::rename(&aside, s.root().join(".orchestrator")).unwrap();
    let resumed = s.start(&["resume"]);
    std::fs::write(&go, "\n").unwrap();
    ran(resumed.wait_with_output().unwrap()).exits(0);
    assert_done_once(&s);
}

#[test]
fn a_run_without_its_journal_is_not_begun_a_second_time() {
    let s = Sandbox::new();
    let go = killed(&s, "process");
    let journal = s.root().join(format!(".orchestrator/runs/{}/journal.jsonl", s.run_id()));
    let aside = s.outside("journal");
    std::fs::rename(&journal, &aside).unwrap();
    s.run(&["run", "--backend", "process"]).exits(8);
    // A pipe of that name holds nobody up.
    assert!(s.command("mkfifo").arg(&journal).status().unwrap().success());
    for args in [&["resume"][..], &["status"], &["run", "--backend", "process"]] {
        let refused = s.run(args).exits(8);
        assert!(refused.err.contains("not a regular file"), "{}", refused.err);
    }
    std::fs::rename(&aside, &journal).unwrap();
    let resumed = s.start(&["resume"]);
    std::fs::write(&go, "\n").unwrap();
    ran(resumed.wait_with_output().unwrap()).exits(0);
    assert_done_once(&s);
}
