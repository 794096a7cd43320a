//! Two coordinators of one run, two runs in one repository: one holds a run, the others say who, and disjoint runs all land.

use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use super::sandbox::{Ran, Sandbox, plan, ran, task, tmux_is_here};

/// A run whose worker waits on a pipe.
struct Live {
    s: Sandbox,
    child: Child,
    go: PathBuf,
    effects: PathBuf,
}

fn waiting_work(started: &Path, go: &Path, effects: &Path) -> String {
    format!(
        "echo a >> {}; echo > {}; read x < {}; echo a > a",
        effects.display(),
        started.display(),
        go.display()
    )
}

fn live(s: Sandbox, backend: &str) -> Live {
    let (started, go, effects) = (s.fifo("started"), s.fifo("go"), s.outside("effects"));
    let text = plan(&[task("a", &[], "a", &waiting_work(&started, &go, &effects))]);
    s.write("tasks.yaml", &text);
    let child = s.start(&["run", "--backend", backend]);
    opened(&started);
    Live { s, child, go, effects }
}

/// Waits until a worker has opened the pipe; a minute at most, so that a run that never came so far fails the test.
fn opened(pipe: &Path) {
    let (sender, receiver) = std::sync::mpsc::channel();
    let path = pipe.to_owned();
    std::thread::spawn(move || sender.send(std::fs::read_to_string(path).is_ok()));
    let came = receiver.recv_timeout(Duration::from_secs(60));
    assert_eq!(came, Ok(true), "no worker came to {}", pipe.display());
}

/// Refused at once with exit 6.
#[track_caller]
fn refused(s: &Sandbox, args: &[&str]) -> Ran {
    let began = Instant::now();
    let ended = s.run(args).exits(6);
    assert!(began.elapsed() < Duration::from_secs(10), "{args:?} took {:?}", began.elapsed());
    assert!(ended.err.contains("hint:"), "{}", ended.err);
    ended
}

/// How often the journal of the only run says that a coordinator took it up.
fn coordinators(s: &Sandbox) -> usize {
    let run = s.status()["run_id"].as_str().unwrap().to_owned();
    let text = s.read(&format!(".orchestrator/runs/{run}/journal.jsonl"));
    text.matches("\"type\":\"coordinator_started\"").count()
}

#[test]
fn a_second_coordinator_is_refused_at_once_and_told_who_has_the_run() {
    let l = live(Sandbox::new(), "process");
    let run = l.s.status()["run_id"].as_str().unwrap().to_owned();
    for args in [&["resume"][..], &["resume", &run]] {
        let ended = refused(&l.s, args);
        // The host as well, once it is written.
        assert!(ended.err.contains(&format!("pid {}", l.child.id())), "{}", ended.err);
        assert!(ended.err.contains(" since 20") && ended.err.contains(&run), "{}", ended.err);
    }
    let ended = refused(&l.s, &["run", "--backend", "process"]);
    assert!(ended.err.contains(&run) && ended.err.contains("also writes a"), "{}", ended.err);
    std::fs::write(&l.go, "\n").unwrap();
    ran(l.child.wait_with_output().unwrap()).exits(0);
    assert_eq!(std::fs::read_to_string(&l.effects).unwrap(), "a\n");
    assert_eq!(coordinators(&l.s), 1);
    l.s.assert_nothing_is_left();
}

#[test]
fn an_overlapping_run_is_refused_while_the_first_is_interrupted() {
    let mut l = live(Sandbox::new(), "process");
    l.child.kill().unwrap();
    l.child.wait().unwrap();
    let run = l.s.status()["run_id"].as_str().unwrap().to_owned();
    // Its worker still works, and then it does not: the files are its own all the same.
    for alive in [true, false] {
        let ended = refused(&l.s, &["run", "--backend", "process"]);
        assert!(ended.err.contains(&format!("resume {run}")), "{}", ended.err);
        assert!(ended.err.contains(&format!("abort {run}")), "{}", ended.err);
        if alive {
            std::fs::write(&l.go, "\n").unwrap();
            let lock = format!(".orchestrator/runs/{run}/jobs/worker-a-1/lock");
            slimductor::store::wait_unlocked(&l.s.root().join(lock)).unwrap();
        }
    }
    l.s.run(&["resume"]).exits(0);
    assert_eq!(std::fs::read_to_string(&l.effects).unwrap(), "a\n");
    l.s.assert_nothing_is_left();
}

/// Two runs at the same time; the one that ends last is gated on what the other landed.
fn two_runs(s: Sandbox, backend: &str, second_ends_first: bool) {
    let gates = s.outside("gates");
    let pipes = |id: &str| (s.fifo(&format!("started-{id}")), s.fifo(&format!("go-{id}")));
    let (a, b) = (pipes("a"), pipes("b"));
    let text = |id: &str, (started, go): &(PathBuf, PathBuf)| {
        let work =
            format!("echo > {}; read x < {}; echo {id} > {id}", started.display(), go.display());
        format!(
            "{}integration: {{final: [{{command: 'echo $(ls) >> {}; test -s {id}'}}]}}\n",
            plan(&[task(id, &[], id, &work)]),
            gates.display()
        )
    };
    s.write("tasks.yaml", &text("a", &a));
    let other = s.outside("other.yaml");
    std::fs::write(&other, text("b", &b)).unwrap();
    let first = s.start(&["run", "--backend", backend]);
    opened(&a.0);
    let second = s.start(&["run", other.to_str().unwrap(), "--backend", backend]);
    opened(&b.0);
    let mut order = [(first, &a.1), (second, &b.1)];
    if second_ends_first {
        order.reverse();
    }
    let [(early, early_go), (late, late_go)] = order;
    std::fs::write(early_go, "\n").unwrap();
    let early = ran(early.wait_with_output().unwrap()).exits(0);
    assert!(!early.err.contains("moved"), "{}", early.err);
    std::fs::write(late_go, "\n").unwrap();
    let late = ran(late.wait_with_output().unwrap()).exits(0);
    assert!(late.err.contains("moved"), "{}", late.err);
    assert_eq!((s.read("a"), s.read("b")), ("a\n".into(), "b\n".into()));
    // The last gate saw the tree that became the target.
    let gates = std::fs::read_to_string(gates).unwrap();
    assert!(gates.lines().last().unwrap().starts_with("README.md a b src"), "{gates}");
    assert_eq!(s.git(&["ls-tree", "-r", "--name-only", "main"]), "README.md\na\nb\nsrc/base.txt");
    s.assert_nothing_is_left();
}

#[test]
fn two_disjoint_runs_at_the_same_time_both_land_in_either_order() {
    two_runs(Sandbox::new(), "process", true);
    two_runs(Sandbox::new(), "process", false);
}

#[test]
fn two_disjoint_runs_in_tmux_at_the_same_time_both_land_in_either_order() {
    if tmux_is_here() {
        two_runs(Sandbox::with_tmux(), "tmux", true);
        two_runs(Sandbox::with_tmux(), "tmux", false);
    }
}

#[test]
fn many_disjoint_runs_that_end_at_the_same_time_all_land() {
    let s = Sandbox::new();
    let files: Vec<String> = (0..5).map(|n| format!("f{n}")).collect();
    // A start line for all workers: one writer answers five readers.
    let gate = s.outside("gate");
    let children: Vec<Child> = files
        .iter()
        .map(|file| {
            let work = format!(
                "n=0; until test -e {} || test $n = 600; do n=$((n+1)); sleep 0.05; done; echo {file} > {file}",
                gate.display()
            );
            let path = s.outside(&format!("{file}.yaml"));
            std::fs::write(&path, plan(&[task(file, &[], file, &work)])).unwrap();
            s.start(&["run", path.to_str().unwrap(), "--backend", "process"])
        })
        .collect();
    let runs = s.root().join(".orchestrator/runs");
    let began = Instant::now();
    while std::fs::read_dir(&runs).map_or(0, |d| d.flatten().count()) < files.len()
        && began.elapsed() < Duration::from_secs(60)
    {
        std::thread::sleep(Duration::from_millis(20));
    }
    std::fs::write(&gate, "").unwrap();
    for child in children {
        ran(child.wait_with_output().unwrap()).exits(0);
    }
    for file in &files {
        assert_eq!(s.read(file), format!("{file}\n"));
        s.git(&["cat-file", "-e", &format!("main:{file}")]);
    }
    assert_eq!(s.git(&["status", "--porcelain"]), "");
    assert_eq!(s.git(&["for-each-ref", "refs/heads", "--format=%(refname)"]), "refs/heads/main");
    assert_eq!(s.git(&["worktree", "list"]).lines().count(), 1);
    s.assert_no_process();
    s.git(&["fsck", "--strict"]);
}

/// The listing once nothing changes any more.
fn settled(s: &Sandbox) -> Vec<String> {
    let mut before = s.listing();
    for _ in 0..40 {
        std::thread::sleep(Duration::from_millis(400));
        let now = s.listing();
        if now == before {
            return now;
        }
        before = now;
    }
    panic!("the repository never comes to rest");
}

#[test]
fn looking_at_a_live_run_works_and_changes_nothing() {
    let l = live(Sandbox::new(), "process");
    let before = settled(&l.s);
    let run = l.s.status()["run_id"].as_str().unwrap().to_owned();
    let looks: [&[&str]; 12] = [
        &["status"],
        &["status", "--json"],
        &["status", &run],
        &["logs", "a"],
        &["logs"],
        &["plan", "--dry-run"],
        &["plan", "--dry-run", "--json"],
        &["report"],
        &["report", "--format", "json"],
        &["report", "--format", "junit"],
        &["report", "--escalation"],
        &["schema", "report"],
    ];
    for args in looks {
        let looked = l.s.run(args);
        let usage = args == ["logs"] && looked.code == 2;
        assert!(looked.code == 0 || usage, "{args:?}: {} {}", looked.out, looked.err);
        assert_eq!(l.s.listing(), before, "{args:?} changed something");
    }
    let status = l.s.status();
    assert_eq!(status["tasks"][0]["state"], "executing", "{status}");
    // Twenty at once do not make the coordinator lose its lock, nor each other.
    let mut many: Vec<Child> = (0..20).map(|_| l.s.start(&["status", "--json"])).collect();
    many.extend((0..5).map(|_| l.s.start(&["resume"])));
    for (n, child) in many.into_iter().enumerate() {
        ran(child.wait_with_output().unwrap()).exits(if n < 20 { 0 } else { 6 });
    }
    std::fs::write(&l.go, "\n").unwrap();
    ran(l.child.wait_with_output().unwrap()).exits(0);
    assert_eq!(coordinators(&l.s), 1);
    l.s.assert_nothing_is_left();
}

fn rounds() -> usize {
    if std::env::var_os("SLIMDUCTOR_CRASH_ALL").is_some() { 20 } else { 2 }
}

#[test]
fn of_ten_that_resume_an_interrupted_run_at_once_one_goes_on() {
    for _ in 0..rounds() {
        let mut l = live(Sandbox::new(), "process");
        l.child.kill().unwrap();
        l.child.wait().unwrap();
        let mut ten: Vec<Child> = (0..10).map(|_| l.s.start(&["resume"])).collect();
        // The worker waits, so that whoever goes on is still there when all others have left.
        let mut left = Vec::new();
        let began = Instant::now();
        while left.len() < 9 && began.elapsed() < Duration::from_secs(60) {
            if let Some(n) = ten.iter_mut().position(|c| c.try_wait().unwrap().is_some()) {
                left.push(ran(ten.remove(n).wait_with_output().unwrap()));
            } else {
                std::thread::sleep(Duration::from_millis(10));
            }
        }
        assert_eq!(left.len(), 9, "more than one goes on, or nobody left");
        let winner = ten.pop().unwrap();
        for ended in left {
            let ended = ended.exits(6);
            assert!(ended.err.contains("another slimductor holds run"), "{}", ended.err);
        }
        std::fs::write(&l.go, "\n").unwrap();
        ran(winner.wait_with_output().unwrap()).exits(0);
        assert_eq!(std::fs::read_to_string(&l.effects).unwrap(), "a\n");
        assert_eq!(coordinators(&l.s), 2);
        assert_eq!(l.s.git(&["rev-list", "--first-parent", "--count", "main"]), "2");
        l.s.assert_nothing_is_left();
    }
}

#[test]
fn of_ten_that_resume_a_run_that_is_nearly_over_all_tell_the_truth() {
    for _ in 0..rounds() {
        let mut l = live(Sandbox::new(), "process");
        l.child.kill().unwrap();
        l.child.wait().unwrap();
        std::fs::write(&l.go, "\n").unwrap();
        let run = l.s.status()["run_id"].as_str().unwrap().to_owned();
        let lock = format!(".orchestrator/runs/{run}/jobs/worker-a-1/lock");
        slimductor::store::wait_unlocked(&l.s.root().join(lock)).unwrap();
        let mut ten = Vec::new();
        for n in 0..10 {
            // Some come when it has just ended.
            std::thread::sleep(Duration::from_millis(n * 25));
            ten.push(l.s.start(&["resume"]));
        }
        let ended: Vec<Ran> = ten.into_iter().map(|c| ran(c.wait_with_output().unwrap())).collect();
        let codes: Vec<i32> = ended.iter().map(|e| e.code).collect();
        assert!(codes.iter().all(|c| [0, 6].contains(c)), "{codes:?}");
        assert!(codes.contains(&0), "{codes:?}");
        assert_eq!(coordinators(&l.s), 2, "{codes:?}");
        assert_eq!(std::fs::read_to_string(&l.effects).unwrap(), "a\n");
        assert_eq!(l.s.git(&["rev-list", "--first-parent", "--count", "main"]), "2");
        l.s.assert_nothing_is_left();
    }
}

#[test]
fn a_lock_file_that_was_deleted_does_not_let_a_second_coordinator_in() {
    let l = live(Sandbox::new(), "process");
    let run = l.s.status()["run_id"].as_str().unwrap().to_owned();
    std::fs::remove_file(l.s.root().join(format!(".orchestrator/runs/{run}/lock"))).unwrap();
    let mut command = l.s.command("timeout");
    command.args(["-s", "KILL", "30", env!("CARGO_BIN_EXE_slimductor"), "resume"]);
    let second = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    std::thread::sleep(Duration::from_millis(1500));
    std::fs::write(&l.go, "\n").unwrap();
    let first = ran(l.child.wait_with_output().unwrap());
    let second = ran(second.wait_with_output().unwrap());
    // Nothing is lost: the journal can be read, and the run ended.
    let status = l.s.run(&["status", "--json"]);
    assert_eq!(
        status.code, 0,
        "{}\nfirst {}: {}\nsecond {}: {}",
        status.err, first.code, first.err, second.code, second.err
    );
    assert_eq!(status.json()["phase"], "done", "{}", status.out);
    assert_eq!((first.code, second.code), (0, 6), "{}\n{}", first.err, second.err);
    assert_eq!(std::fs::read_to_string(&l.effects).unwrap(), "a\n");
    l.s.assert_nothing_is_left();
}

#[test]
fn a_lock_file_that_is_no_file_or_full_of_words_is_told_or_not_minded() {
    for what in ["words", "directory", "binary", "endless"] {
        let mut l = live(Sandbox::new(), "process");
        l.child.kill().unwrap();
        l.child.wait().unwrap();
        let run = l.s.status()["run_id"].as_str().unwrap().to_owned();
        let lock = l.s.root().join(format!(".orchestrator/runs/{run}/lock"));
        match what {
            "words" => std::fs::write(&lock, "pid -7 since the flood\nand more\n").unwrap(),
            "binary" => std::fs::write(&lock, [0, 0xff, 27, b'[', b'2', b'J']).unwrap(),
            "endless" => std::fs::write(&lock, vec![b'9'; 1 << 20]).unwrap(),
            _ => {
                std::fs::remove_file(&lock).unwrap();
                std::fs::create_dir(&lock).unwrap();
            }
        }
        let resumed = l.s.start(&["resume"]);
        if what == "directory" {
            let ended = ran(resumed.wait_with_output().unwrap());
            assert!([7, 8].contains(&ended.code), "{}: {}", ended.code, ended.err);
            assert!(ended.err.contains("lock"), "{}", ended.err);
            std::fs::remove_dir(&lock).unwrap();
            let resumed = l.s.start(&["resume"]);
            std::fs::write(&l.go, "\n").unwrap();
            ran(resumed.wait_with_output().unwrap()).exits(0);
        } else {
            std::fs::write(&l.go, "\n").unwrap();
            ran(resumed.wait_with_output().unwrap()).exits(0);
        }
        l.s.assert_nothing_is_left();
    }
}

#[test]
fn answers_from_many_at_once_are_each_taken_once() {
    let s = Sandbox::new();
    let (flag, effects) = (s.outside("flag"), s.outside("effects"));
    let work = format!("echo a >> {}; test -e {} && echo a > a", effects.display(), flag.display());
    let once = task("a", &[], "a", &work)
        .replace("    files_write", "    max_attempts: 1\n    files_write");
    s.run_plan(&plan(&[once]), &[]).exits(5);
    std::fs::write(&flag, "").unwrap();
    let many: Vec<Child> = (0..10).map(|_| s.start(&["retry", "a"])).collect();
    for child in many {
        ran(child.wait_with_output().unwrap()).exits(0);
    }
    s.run(&["resume"]).exits(0);
    // Ten answers about one attempt are one more attempt.
    assert_eq!(std::fs::read_to_string(effects).unwrap(), "a\na\n");
    s.assert_nothing_is_left();
}

#[test]
fn an_abort_from_many_at_once_ends_a_live_run_once() {
    let l = live(Sandbox::new(), "process");
    let mut many = Vec::new();
    for _ in 0..6 {
        let mut command = l.s.slimductor();
        command.arg("abort").stdout(Stdio::piped()).stderr(Stdio::piped());
        many.push(command.spawn().unwrap());
    }
    let mut codes = Vec::new();
    for child in many {
        let ended = ran(child.wait_with_output().unwrap());
        // Whoever comes when it is over is told so.
        assert!([0, 2, 6].contains(&ended.code), "{}: {}{}", ended.code, ended.out, ended.err);
        codes.push(ended.code);
    }
    assert!(codes.contains(&0), "{codes:?}");
    ran(l.child.wait_with_output().unwrap()).exits(4);
    assert_eq!(l.s.status()["phase"], "aborted");
    l.s.assert_no_process();
    assert!(!l.s.root().join(".worktrees").exists());
    assert_eq!(l.s.git(&["rev-list", "--count", "main"]), "1");
}
