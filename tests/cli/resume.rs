//! `resume` and its flags: what it says it would do is what it does; `--force` drops what is committed nowhere.

use serde_json::Value;

use super::sandbox::{Sandbox, plan, ran, task};

/// A run that was killed while `a` waits on a pipe and `b` works; `b` then ends by itself.
fn interrupted() -> (Sandbox, std::path::PathBuf) {
    let s = Sandbox::new();
    let (started, go, b_started, b_go) =
        (s.fifo("started"), s.fifo("go"), s.fifo("b-started"), s.fifo("b-go"));
    let waits = |on: &std::path::Path, to: &std::path::Path, id: &str| {
        format!("echo > {}; read x < {}; echo {id} > {id}", on.display(), to.display())
    };
    s.write(
        "tasks.yaml",
        &plan(&[
            task("a", &[], "a", &waits(&started, &go, "a")),
            task("b", &[], "b", &waits(&b_started, &b_go, "b")),
            task("c", &["a"], "c", "echo c > c"),
        ]),
    );
    let mut child = s.start(&["run", "--backend", "process"]);
    std::fs::read_to_string(&started).unwrap();
    std::fs::read_to_string(&b_started).unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    std::fs::write(&b_go, "\n").unwrap();
    let run = s.run_id();
    let job = s.root().join(format!(".orchestrator/runs/{run}/jobs/worker-b-1"));
    slimductor::store::wait_unlocked(&job.join("lock")).unwrap();
    (s, go)
}

fn effects(rehearsal: &Value) -> Vec<(String, String)> {
    let word = |v: &Value| v.as_str().unwrap_or("").to_owned();
    let list = rehearsal["effects"].as_array().unwrap();
    list.iter().map(|e| (word(&e["does"]), word(&e["effect"]))).collect()
}

#[test]
fn a_dry_run_names_exactly_the_effects_that_resume_then_begins() {
    let (s, go) = interrupted();
    let before = s.listing();
    let text = s.run(&["resume", "--dry-run"]).exits(0);
    assert!(text.out.contains("adopt"), "{}", text.out);
    let rehearsal = s.run(&["resume", "--dry-run", "--json"]).exits(0).json();
    assert_eq!(s.listing(), before, "a dry run touches nothing");
    let foreseen = effects(&rehearsal);
    let expected = [
        ("adopt", "run the worker of a (attempt 1)"),
        ("collect", "run the worker of b (attempt 1)"),
        ("do", "commit what b made (attempt 1)"),
    ]
    .map(|(does, effect)| (does.to_owned(), effect.to_owned()));
    assert_eq!(foreseen, expected);
    let log = s.outside("log");
    let mut resume = s.slimductor();
    resume.env("SLIMDUCTOR_FAULT_LOG", &log).arg("resume");
    let resumed = resume.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
    let resumed = resumed.spawn().unwrap();
    // What follows from the end of `a` is no part of it.
    let read = || std::fs::read_to_string(&log).unwrap_or_default();
    while cfg!(debug_assertions) && !read().contains("commit what b made") {
        std::thread::yield_now();
    }
    std::fs::write(&go, "\n").unwrap();
    ran(resumed.wait_with_output().unwrap()).exits(0);
    assert_eq!((s.read("a"), s.read("b"), s.read("c")), ("a\n".into(), "b\n".into(), "c\n".into()));
    if !cfg!(debug_assertions) {
        println!("skipped: the effects are logged in debug builds alone");
        return;
    }
    let log = std::fs::read_to_string(log).unwrap();
    let begun: Vec<&str> = log.lines().filter_map(|l| l.strip_prefix("begin ")).collect();
    let foreseen: Vec<&str> = foreseen.iter().map(|(_, effect)| effect.as_str()).collect();
    assert_eq!(begun[..foreseen.len()], foreseen);
}

#[test]
fn a_dry_run_of_a_run_that_is_held_says_by_whom() {
    let s = Sandbox::new();
    let (started, go) = (s.fifo("started"), s.fifo("go"));
    let work = format!("echo > {}; read x < {}; echo a > a", started.display(), go.display());
    s.write("tasks.yaml", &plan(&[task("a", &[], "a", &work)]));
    let child = s.start(&["run", "--backend", "process"]);
    std::fs::read_to_string(&started).unwrap();
    for args in [&["resume", "--dry-run"][..], &["resume"]] {
        let refused = s.run(args).exits(6);
        let holder = format!("(pid {} on ", child.id());
        assert!(refused.err.contains(&holder), "{}", refused.err);
    }
    std::fs::write(&go, "\n").unwrap();
    ran(child.wait_with_output().unwrap()).exits(0);
    let over = s.run(&["resume", "--dry-run"]).exits(0);
    assert!(over.err.contains("every run has ended"), "{}", over.err);
}

#[test]
fn a_dry_run_says_what_a_run_waits_for() {
    let s = Sandbox::new();
    let text = plan(&[task("a", &[], "a", "exit 1")])
        .replace("    files", "    max_attempts: 1\n    files");
    s.run_plan(&text, &[]).exits(5);
    let rehearsal = s.run(&["resume", "--dry-run", "--json"]).exits(0).json();
    assert_eq!(effects(&rehearsal), [], "{rehearsal}");
    assert!(rehearsal["waits"].as_str().unwrap().contains("out of attempts: a"), "{rehearsal}");
    s.run(&["skip", "a"]).exits(0);
    let rehearsal = s.run(&["resume", "--dry-run", "--json"]).exits(0).json();
    let effects = effects(&rehearsal);
    assert!(effects[0].1.starts_with("remove the answer"), "{effects:?}");
    assert_eq!(effects[1], ("do".to_owned(), "clean up".to_owned()));
}

/// A run whose only worker was killed with half of its work in the worktree; what its first attempt's branch holds.
fn kept_after_a_kill(flags: &[&str]) -> String {
    let s = Sandbox::new();
    let (started, again, go) = (s.fifo("started"), s.fifo("again"), s.fifo("go"));
    let work = format!(
        "echo half > a; if [ $SLIMDUCTOR_ATTEMPT = 1 ]; then echo > {}; sleep 600; fi; echo > {}; read x < {}; echo whole > a",
        started.display(),
        again.display(),
        go.display()
    );
    s.write("tasks.yaml", &plan(&[task("a", &[], "a", &work)]));
    let mut child = s.start(&["run", "--backend", "process"]);
    std::fs::read_to_string(&started).unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    let wrapper = s.wrapper_of("worker-a-1");
    assert!(s.command("kill").args(["-9", &wrapper]).status().unwrap().success());
    let resumed = s.start(&[&["resume"], flags].concat());
    std::fs::read_to_string(&again).unwrap();
    let kept = format!("slimductor/{}/recovery/a-1", s.run_id());
    // A branch without any work would only look like kept work.
    let there = !s.git(&["branch", "--list", &kept]).is_empty();
    let names = if there { s.git(&["ls-tree", "--name-only", &kept]) } else { String::new() };
    std::fs::write(&go, "\n").unwrap();
    ran(resumed.wait_with_output().unwrap()).exits(0);
    assert_eq!(s.read("a"), "whole\n");
    s.assert_nothing_is_left();
    names
}

#[test]
fn what_a_killed_worker_left_is_kept_unless_force_drops_it() {
    let names = kept_after_a_kill(&[]);
    assert!(names.lines().any(|n| n == "a"), "{names}");
    let names = kept_after_a_kill(&["--force"]);
    assert!(!names.lines().any(|n| n == "a"), "{names}");
}

#[test]
fn an_edited_plan_changes_nothing_and_resume_says_so() {
    let (s, go) = interrupted();
    let edited = s.read("tasks.yaml").replace("echo c > c", "echo other > c");
    s.write("tasks.yaml", &edited);
    let resumed = s.start(&["resume"]);
    std::fs::write(&go, "\n").unwrap();
    let resumed = ran(resumed.wait_with_output().unwrap()).exits(0);
    assert!(
        resumed.err.contains("tasks.yaml was edited since the run was made"),
        "{}",
        resumed.err
    );
    assert_eq!(s.read("c"), "c\n");
}
