//! The deaths of parts while two workers are at work: of everything at once, of a worker, a wrapper, the tmux server; and
//! of git in the middle of the promotion. What was written is kept, what was cut down is tried again, nothing else.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, Stdio};

use super::crash_lab::{end, wait};
use super::sandbox::{Sandbox, plan, task, tmux_is_here};

/// Living processes whose command line or environment contains `word`; never this one.
pub fn processes(word: &str) -> Vec<u32> {
    // What is found is killed: a short word would be in everybody's.
    assert!(word.len() > 8 && word.contains("/sd-"), "not a sandbox: {word}");
    let mut out = Vec::new();
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|n| n.parse().ok()) else { continue };
        let has = |name: &str| {
            let bytes = fs::read(entry.path().join(name)).unwrap_or_default();
            bytes.windows(word.len()).any(|w| w == word.as_bytes())
        };
        if pid != std::process::id() && (has("cmdline") || has("environ")) {
            out.push(pid);
        }
    }
    out
}

/// Kills them as a power cut does: none sees another die.
pub fn cut_down(pids: &[u32]) {
    for signal in ["-STOP", "-KILL"] {
        let pids = pids.iter().map(u32::to_string);
        // One may have ended meanwhile.
        let _ = Command::new("kill").arg(signal).args(pids).stderr(Stdio::null()).status();
    }
}

/// What is killed while two workers are at work.
#[derive(Clone, Copy, PartialEq)]
enum Victim {
    Everything,
    Worker,
    Wrapper,
    Server,
}

/// One task has landed, two are at work with uncommitted files, one waits: then something is killed.
fn goes_on_without(victim: Victim, backend: &str) {
    let s = if backend == "tmux" { Sandbox::with_tmux() } else { Sandbox::new() };
    let out = |name: &str| s.outside(name).display().to_string();
    let note = |id: &str| format!("echo {id}-$SLIMDUCTOR_ATTEMPT >> {}", out("effects"));
    let waits = |id: &str| {
        let name = format!("{id}-$SLIMDUCTOR_ATTEMPT");
        let (ready, go) = (out(&format!("ready-{name}")), out(&format!("go-{name}")));
        let until = format!("touch {ready}; until test -e {go}; do sleep 0.02; done");
        let work = format!("{}; echo half > {id}; {until}; echo whole > {id}", note(id));
        task(id, &["a"], id, &work)
    };
    s.write(
        "tasks.yaml",
        &plan(&[
            task("a", &[], "a", &format!("{}; echo a > a", note("a"))),
            waits("b"),
            waits("c"),
            task("d", &["b"], "d", &format!("{}; echo d > d", note("d"))),
        ]),
    );
    let mut coordinator = s.start(&["run", "--yes", "--backend", backend]);
    let ready = |name: &str| wait(name, || s.outside(&format!("ready-{name}")).exists());
    ready("b-1");
    ready("c-1");
    let tmux = |args: &[&str]| {
        let output = s.command("tmux").args(["-L", &s.socket()]).args(args).output().unwrap();
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    };
    let status = s.status();
    let run = status["run_id"].as_str().unwrap().to_owned();
    let job = format!("/runs/{run}/jobs/worker-b-1");
    let lost = match victim {
        Victim::Everything => {
            let all = processes(s.outside("").to_str().unwrap());
            assert!(all.contains(&coordinator.id()), "{all:?}");
            cut_down(&all);
            assert_eq!(coordinator.wait().unwrap().signal(), Some(9));
            let left = || processes(s.outside("").to_str().unwrap());
            wait("everything is dead", || left().is_empty());
            let status = s.status();
            let words: Vec<&str> =
                (0..4).map(|n| status["tasks"][n]["state"].as_str().unwrap()).collect();
            assert_eq!(words, ["merged", "executing", "executing", "pending"], "{status}");
            coordinator = s.start(&["resume"]);
            vec!["b", "c"]
        }
        Victim::Worker => {
            let ours = fs::canonicalize(env!("CARGO_BIN_EXE_slimductor")).unwrap();
            let mut workers =
                processes(&format!("SLIMDUCTOR_JOB={}/.orchestrator{job}", s.root().display()));
            workers.retain(|p| fs::read_link(format!("/proc/{p}/exe")).is_ok_and(|e| e != ours));
            assert!(!workers.is_empty());
            cut_down(&workers);
            vec!["b"]
        }
        Victim::Wrapper => {
            let wrapper = s.wrapper_of("worker-b-1").parse().unwrap();
            cut_down(&[wrapper]);
            vec!["b"]
        }
        Victim::Server => {
            cut_down(&[tmux(&["display-message", "-p", "#{pid}"]).parse().unwrap()]);
            vec!["b", "c"]
        }
    };
    // Before the second attempt is at work, what the first had written is safe.
    for id in &lost {
        ready(&format!("{id}-2"));
        let kept = format!("slimductor/{run}/recovery/{id}-1:{id}");
        assert_eq!(s.git(&["show", &kept]), "half");
        fs::write(s.outside(&format!("go-{id}-2")), "").unwrap();
    }
    fs::write(s.outside("go-c-1"), "").unwrap();
    let ran = end(coordinator).exits(0);
    for id in &lost {
        assert!(ran.err.contains("attempt 1 ended with crash"), "{id}: {}", ran.err);
    }
    let mut effects: Vec<String> =
        fs::read_to_string(out("effects")).unwrap().lines().map(str::to_owned).collect();
    effects.sort();
    let mut expected: Vec<String> = ["a-1", "b-1", "c-1", "d-1"].map(str::to_owned).into();
    expected.extend(lost.iter().map(|id| format!("{id}-2")));
    expected.sort();
    assert_eq!(effects, expected);
    let files = ["a", "b", "c", "d"].map(|f| s.read(f));
    assert_eq!(files, ["a\n", "whole\n", "whole\n", "d\n"].map(str::to_owned));
    s.assert_nothing_is_left();
    if backend == "tmux" {
        assert_eq!(s.sessions(), "");
    }
}

#[test]
fn after_a_reboot_what_was_at_work_is_kept_and_tried_again_and_nothing_else() {
    goes_on_without(Victim::Everything, "process");
}

#[test]
fn after_a_reboot_that_took_the_tmux_server_the_same_is_true() {
    if tmux_is_here() {
        goes_on_without(Victim::Everything, "tmux");
    }
}

#[test]
fn a_worker_that_is_killed_alone_is_tried_again_and_its_work_kept() {
    goes_on_without(Victim::Worker, "process");
}

#[test]
fn a_wrapper_that_is_killed_alone_is_noticed_at_once_and_its_task_tried_again() {
    goes_on_without(Victim::Wrapper, "process");
}

#[test]
fn a_tmux_server_that_is_killed_alone_comes_back_with_the_next_attempts() {
    if tmux_is_here() {
        goes_on_without(Victim::Server, "tmux");
    }
}

// ---------------------------------------------------------------------------------------------
// A git of the engine's, when its coordinator dies
// ---------------------------------------------------------------------------------------------

/// Makes a run whose coordinator dies as soon as it has started git with `word` among its arguments while the file
/// `armed` is there; that git does `then`.
fn dies_at_its_git(s: &Sandbox, word: &str, then: &str) {
    let bin = s.outside("bin");
    fs::create_dir(&bin).unwrap();
    let (here, once) = (bin.display(), s.outside("once").display().to_string());
    let armed = s.outside("armed").display().to_string();
    let first =
        format!("if test -e {armed}; then mv {armed} {once}; kill -9 $PPID; {then}; exit 1; fi");
    let git = format!(
        "#!/bin/sh\nPATH=${{PATH#{here}:}}\ncase \"$*\" in *{word}*) {first};; esac\nexec git \"$@\"\n"
    );
    fs::write(bin.join("git"), git).unwrap();
    fs::set_permissions(bin.join("git"), fs::Permissions::from_mode(0o755)).unwrap();
    let mut run = s.slimductor();
    let path = run.get_envs().find(|(name, _)| *name == "PATH").unwrap().1.unwrap().to_owned();
    run.env("PATH", format!("{here}:{}", path.to_string_lossy()));
    let died = run.args(["run", "--backend", "process"]).stdin(Stdio::null());
    let died = died.stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap();
    assert_eq!(died.signal(), Some(9));
}

#[test]
fn a_promotion_that_was_cut_off_between_files_and_index_is_taken_up() {
    let s = Sandbox::new();
    s.write("tasks.yaml", &plan(&[task("a", &[], "a", "echo a > a")]));
    // What git leaves when the power fails at that moment.
    fs::write(s.outside("armed"), "").unwrap();
    dies_at_its_git(&s, "--ff-only", "touch .git/index.lock; echo a > a");
    wait("git is dead", || processes(s.outside("").to_str().unwrap()).is_empty());
    // Another git of the user's may hold the lock: that is asked.
    let asked = s.run(&["resume"]).exits(5);
    assert!(asked.out.contains("index.lock"), "{}", asked.out);
    fs::remove_file(s.root().join(".git/index.lock")).unwrap();
    s.run(&["resume"]).exits(0);
    assert_eq!(s.read("a"), "a\n");
    s.assert_nothing_is_left();
}

#[test]
fn a_git_that_outlives_its_coordinator_does_not_reach_the_worker_of_the_next() {
    let s = Sandbox::new();
    let (worked, late) = (s.outside("worked"), s.outside("late"));
    // Each waits for the other for a while only: the one may be ended, or the other not be started as long as it is there.
    let until = |file: &Path, tries: u32| {
        format!("for i in $(seq {tries}); do test -e {} || sleep 0.02; done", file.display())
    };
    // The first attempt changes nothing; the second works in the same worktree.
    let armed = s.outside("armed");
    let idle = format!("if [ $SLIMDUCTOR_ATTEMPT = 1 ]; then touch {}; exit; fi", armed.display());
    let wait_for_git = until(&late, 150);
    let work =
        format!("{idle}\necho new > src/base.txt; touch {}; {wait_for_git}", worked.display());
    s.write("tasks.yaml", &plan(&[task("a", &[], "src/base.txt", &work)]));
    // A checkout that takes its time.
    let slow = format!("{}; git \"$@\"; touch {}", until(&worked, 100), late.display());
    dies_at_its_git(&s, "--reset", &slow);
    let ran = s.run(&["resume"]).exits(0);
    assert!(!ran.err.contains("attempt 2 ended"), "{}", ran.err);
    assert_eq!(s.read("src/base.txt"), "new\n");
    wait("git is over", || processes(s.outside("").to_str().unwrap()).is_empty());
    s.assert_nothing_is_left();
}
