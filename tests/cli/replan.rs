//! Another plan on top of what landed, and settings that change what a worktree holds.

use super::sandbox::{Sandbox, plan, task};

fn once(text: String) -> String {
    text.replace("    files_write", "    max_attempts: 1\n    files_write")
}

/// A run that waits: `good` landed, `bad` failed.
fn waiting() -> Sandbox {
    let s = Sandbox::new();
    let good = task("good", &[], "good.txt", "echo one >> good.txt");
    s.run_plan(&plan(&[good, once(task("bad", &[], "bad.txt", "exit 1"))]), &[]).exits(5);
    s
}

#[test]
fn a_new_plan_goes_on_from_what_landed_and_does_nothing_twice() {
    let s = waiting();
    let good = task("good", &[], "good.txt", "echo one >> good.txt");
    s.write(
        "next.yaml",
        &plan(&[good, task("bad", &["good"], "bad.txt", "cat good.txt > bad.txt")]),
    );
    s.run(&["replan", "next.yaml", "--backend", "process"]).exits(0);
    assert_eq!((s.read("good.txt"), s.read("bad.txt")), ("one\n".into(), "one\n".into()));
    let left = s.git(&["for-each-ref", "refs/heads/slimductor", "--format=%(refname)"]);
    assert!(left.lines().all(|l| l.contains("/recovery/")), "{left}");
    assert!(!s.root().join(".worktrees").exists());
}

#[test]
fn what_landed_and_is_asked_for_otherwise_is_worked_on_again() {
    let s = waiting();
    s.write("next.yaml", &plan(&[task("good", &[], "good.txt", "echo two > good.txt")]));
    let ran = s.run(&["replan", "next.yaml", "--backend", "process"]).exits(0);
    assert!(ran.err.contains("worked on again"), "{}", ran.err);
    assert_eq!(s.read("good.txt"), "two\n");
}

#[test]
fn a_plan_that_is_refused_does_not_cost_the_run_that_is_there() {
    let s = waiting();
    let before = s.status();
    let risky = task("a", &[], "production/x.txt", "mkdir production; echo x > production/x.txt");
    s.write("risky.yaml", &plan(&[risky]));
    let refused = s.run(&["replan", "risky.yaml", "--backend", "process"]).exits(5);
    assert!(refused.err.contains("a person has to agree"), "{}", refused.err);
    let agent =
        plan(&[task("a", &[], "a", "x").replace("    run: |\n      x\n", "    agent: claude\n")]);
    s.write("agent.yaml", &agent);
    s.run(&["replan", "agent.yaml", "--backend", "process"]).exits(7);
    s.write("wrong.yaml", "tasks: [{}]\n");
    s.run(&["replan", "wrong.yaml", "--backend", "process"]).exits(3);
    assert_eq!(s.status(), before);
    s.run(&["skip", "bad"]).exits(0);
    s.run(&["resume"]).exits(0);
    assert_eq!(s.read("good.txt"), "one\n");
}

#[test]
fn what_the_engine_puts_into_a_worktree_is_neither_judged_nor_committed() {
    let s = Sandbox::new();
    s.write(".gitignore", "node_modules/\n");
    s.git(&["add", "-A"]);
    s.git(&["commit", "-qm", "ignore"]);
    s.write("node_modules/left/index.js", "exports.left = 1\n");
    s.write(".env", "SECRET=1\n");
    s.write("slimductor.yaml", "worktree: {symlink: [node_modules], copy: [.env]}\n");
    let work = "cat node_modules/left/index.js .env > a";
    s.run_plan(&plan(&[task("a", &[], "a", work)]), &[]).exits(0);
    assert_eq!(s.read("a"), "exports.left = 1\nSECRET=1\n");
    let all = s.git(&["log", "--all", "--name-only", "--format="]);
    assert!(!all.contains(".env") && !all.contains("node_modules"), "{all}");
}

#[test]
fn what_is_furnished_and_ignored_is_no_obstacle_and_in_no_commit_of_a_worker() {
    let s = Sandbox::new();
    s.write(".gitignore", "node_modules\n.env\n");
    s.git(&["add", "-A"]);
    s.git(&["commit", "-qm", "ignore"]);
    s.write("node_modules/left/index.js", "exports.left = 1\n");
    s.write(".env", "SECRET=1\n");
    s.write("settings", "PLAIN=1\n");
    s.write("slimductor.yaml", "worktree: {symlink: [node_modules], copy: [.env, settings]}\n");
    let own = "git -c user.name=w -c user.email=w@w";
    let work = format!("cat settings > a; {own} add -A; {own} commit -qm mine");
    s.run_plan(&plan(&[task("a", &[], "a", &work)]), &[]).exits(0);
    assert_eq!(s.read("a"), "PLAIN=1\n");
    let all = s.git(&["log", "--all", "--name-only", "--format=%s"]);
    assert!(!all.contains("settings") && !all.contains(".env"), "{all}");
}

#[test]
fn a_child_of_the_command_has_its_grace_as_well() {
    let s = Sandbox::new();
    let (ready, done) = (s.fifo("ready"), s.outside("done"));
    let child = format!(
        "trap 'sleep 0.3; echo cleaned > {}; exit 0' TERM; echo > {}; while :; do sleep 0.05; done",
        done.display(),
        ready.display()
    );
    // The shell above has no trap: it ends at once.
    s.write("child.sh", &child);
    s.git(&["add", "-A"]);
    s.git(&["commit", "-qm", "child"]);
    s.write("tasks.yaml", &plan(&[once(task("a", &[], "a", "sh child.sh; true"))]));
    let run = s.start(&["run", "--backend", "process"]);
    std::fs::read_to_string(&ready).unwrap();
    s.run(&["stop", "a"]).exits(0);
    super::sandbox::ran(run.wait_with_output().unwrap()).exits(5);
    assert_eq!(std::fs::read_to_string(done).unwrap(), "cleaned\n");
}

#[test]
fn a_setup_that_fails_is_the_environments_fault_and_named() {
    let s = Sandbox::new();
    s.write("slimductor.yaml", "worktree: {setup: ['echo broken >&2; exit 9']}\n");
    s.run_plan(&plan(&[once(task("a", &[], "a", "echo a > a"))]), &[]).exits(5);
    assert_eq!(s.states()["a"].1, "env_issue");
    assert!(s.read(".orchestrator/escalation-report.md").contains("worktree.setup"));
}

#[test]
fn who_asks_again_for_what_was_given_is_a_persons_business() {
    let s = Sandbox::new();
    s.write("uv.lock", "old\n");
    s.write("pyproject.toml", "[project]\nname = \"x\"\n");
    s.git(&["add", "-A"]);
    s.git(&["commit", "-qm", "python"]);
    s.write(
        "slimductor.yaml",
        "dependencies: {install: {python: 'sh -c \"echo new > uv.lock\"'}, allowed_packages: [left]}\n",
    );
    let work =
        "echo '{\"status\": \"blocked\", \"needs_dependency\": \"left\"}' > .task-status.json";
    let ran = s.run_plan(&plan(&[task("a", &[], "a", work)]), &[]).exits(5);
    assert!(ran.out.contains("blocked a"), "{}", ran.out);
    assert_eq!(s.status()["tasks"][0]["attempt"], 2);
}
