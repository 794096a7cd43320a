//! The main job: what lands, and what a run leaves alone.

use std::process::Command;

use super::sandbox::{Sandbox, plan, task, tmux_is_here};

fn diamond() -> String {
    plan(&[
        task("top", &[], "top.txt", "echo top > top.txt"),
        task("left", &["top"], "left.txt", "(cat top.txt; echo left) > left.txt"),
        task("right", &["top"], "right.txt", "(cat top.txt; echo right) > right.txt"),
        task("bottom", &["left", "right"], "bottom.txt", "cat left.txt right.txt > bottom.txt"),
    ])
}

fn a_diamond_lands_on(backend: &str) {
    let s = Sandbox::with_tmux();
    s.write("tasks.yaml", &diamond());
    let before = s.git(&["rev-parse", "main"]);
    let ran = s.run(&["run", "--backend", backend]).exits(0);
    assert!(ran.out.contains("4 of 4 tasks landed"), "{}", ran.out);
    assert_eq!(s.read("bottom.txt"), "top\nleft\ntop\nright\n");
    assert_eq!(s.git(&["rev-parse", "--abbrev-ref", "HEAD"]), "main");
    s.git(&["merge-base", "--is-ancestor", &before, "main"]);
    assert_eq!(
        s.git(&["log", "--first-parent", "--format=%s", &format!("{before}..main")])
            .lines()
            .count(),
        4
    );
    let trailers =
        s.git(&["log", "-1", "--format=%(trailers:key=Slimductor-Task,valueonly)", "main"]);
    assert_eq!(trailers.trim(), "bottom");
    assert!(!s.root().join(".gitignore").exists());
    if backend == "tmux" {
        assert_eq!(s.sessions(), "");
    }
    s.assert_nothing_is_left();
}

#[test]
fn a_diamond_lands_through_processes() {
    a_diamond_lands_on("process");
}

#[test]
fn a_diamond_lands_through_tmux() {
    if tmux_is_here() {
        a_diamond_lands_on("tmux");
    }
}

#[test]
fn without_tmux_auto_takes_processes_and_tmux_by_name_is_refused() {
    let s = Sandbox::new();
    s.write("tasks.yaml", &plan(&[task("a", &[], "a", "echo a > a")]));
    let refused = s.run(&["run", "--backend", "tmux"]).exits(7);
    assert!(refused.err.contains("--backend process"), "{}", refused.err);
    assert!(!s.root().join(".orchestrator").exists());
    s.run(&["run"]).exits(0);
    assert_eq!(s.status()["tasks"][0]["backend"], "process");
}

#[test]
fn the_shell_agent_runs_its_prompt_as_a_script() {
    let s = Sandbox::new();
    let plan = "tasks:
  - id: a
    description: d
    agent: shell
    prompt: |
      set -eu
      echo \"$SLIMDUCTOR_TASK $SLIMDUCTOR_ATTEMPT\" > a.txt
    files_write: [a.txt]
    verification: [{command: grep -qx 'a 1' a.txt, type: test}]
";
    s.run_plan(plan, &[]).exits(0);
    assert_eq!(s.read("a.txt"), "a 1\n");
}

#[test]
fn a_workers_own_commits_are_kept() {
    let s = Sandbox::new();
    let work = "echo 1 > a; git add a; git -c user.name=w -c user.email=w@w commit -qm 'by the worker'; echo 2 >> a";
    s.run_plan(&plan(&[task("a", &[], "a", work)]), &[]).exits(0);
    assert_eq!(s.read("a"), "1\n2\n");
    assert!(s.git(&["log", "--format=%s", "main"]).contains("by the worker"));
    s.assert_nothing_is_left();
}

#[test]
fn any_file_name_lands_as_it_is() {
    let s = Sandbox::new();
    let work = "mkdir -p 'd/ä b'; echo 1 > \"d/-rf\"; echo 2 > 'd/ä b/it'\\''s'; printf 3 > \"$(printf 'd/new\\nline')\"";
    let text = format!(
        "tasks:\n  - id: a\n    description: d\n    run: {work:?}\n    files_write: [d/]\n    verification: [{{command: 'test $(printf \"%s\\n\" {{modified_files}} | grep -c .) = 4', type: test}}]\n"
    );
    s.run_plan(&text, &[]).exits(0);
    assert_eq!(s.read("d/new\nline"), "3");
    assert_eq!(s.read("d/-rf"), "1\n");
    assert_eq!(s.read("d/ä b/it's"), "2\n");
}

#[test]
fn ignored_files_and_the_task_status_file_are_not_committed() {
    let s = Sandbox::new();
    s.write(".gitignore", "*.log\n");
    s.git(&["add", "-A"]);
    s.git(&["commit", "-qm", "ignore"]);
    let work = "echo 1 > a; echo 2 > x.log; echo '{\"status\": \"completed\"}' > .task-status.json";
    s.run_plan(&plan(&[task("a", &[], "a", work)]), &[]).exits(0);
    assert_eq!(
        s.git(&["ls-tree", "-r", "--name-only", "main"]),
        ".gitignore\nREADME.md\na\nsrc/base.txt"
    );
}

#[test]
fn a_dirty_checkout_keeps_its_changes() {
    let s = Sandbox::new();
    s.write("README.md", "mine\n");
    s.write("untracked.txt", "mine too\n");
    s.run_plan(&plan(&[task("a", &[], "a", "echo a > a")]), &[]).exits(0);
    assert_eq!(s.read("README.md"), "mine\n");
    assert_eq!(s.read("untracked.txt"), "mine too\n");
    assert_eq!(s.read("a"), "a\n");
    assert_eq!(s.git(&["status", "--porcelain"]), " M README.md\n?? tasks.yaml\n?? untracked.txt");
}

#[test]
fn a_target_that_is_not_checked_out_is_moved_without_touching_the_checkout() {
    let s = Sandbox::new();
    s.git(&["checkout", "-qb", "other"]);
    let text =
        plan(&[task("a", &[], "a", "echo a > a")]).replace("request:", "base: main\nrequest:");
    s.run_plan(&text, &[]).exits(0);
    assert_eq!(s.git(&["rev-parse", "--abbrev-ref", "HEAD"]), "other");
    assert!(!s.root().join("a").exists());
    assert_eq!(s.git(&["show", "main:a"]), "a");
}

#[test]
fn a_run_from_a_linked_worktree_promotes_its_branch_there() {
    let s = Sandbox::new();
    s.git(&["worktree", "add", "-q", "-b", "feature", "../linked"]);
    let linked = s.outside("linked");
    std::fs::write(linked.join("tasks.yaml"), plan(&[task("a", &[], "a", "echo a > a")])).unwrap();
    let ran =
        super::sandbox::ran(s.slimductor().current_dir(&linked).args(["run"]).output().unwrap());
    ran.exits(0);
    assert_eq!(std::fs::read_to_string(linked.join("a")).unwrap(), "a\n");
    assert_eq!(
        s.git(&["rev-parse", "feature"]),
        s.git(&["-C", linked.to_str().unwrap(), "rev-parse", "HEAD"])
    );
    assert!(!s.root().join("a").exists());
}

#[test]
fn json_streams_records_and_ends_with_the_result() {
    let s = Sandbox::new();
    let ran = s.run_plan(&plan(&[task("a", &[], "a", "echo a > a")]), &["--json"]).exits(0);
    for line in ran.out.lines() {
        let value: serde_json::Value = serde_json::from_str(line).unwrap();
        assert!(value["type"].is_string(), "{line}");
    }
    let landed = ran.out.lines().find(|l| l.contains("\"landed\"")).unwrap();
    let landed: serde_json::Value = serde_json::from_str(landed).unwrap();
    assert_eq!((landed["task"].as_str(), landed["state"].as_str()), (Some("a"), Some("merged")));
    let last = ran.last_line();
    assert_eq!(last["type"], "result");
    assert_eq!(last["exit"], 0);
    assert_eq!(last["phase"], "done");
    assert_eq!(last["summary"]["merged"], 1);
}

#[test]
fn secrets_of_the_caller_do_not_reach_a_worker() {
    let s = Sandbox::new();
    let text = plan(&[task("a", &[], "a", "env > a")])
        .replace("    files_write", "    env: {MINE: yes-mine}\n    files_write");
    s.write("tasks.yaml", &text);
    let mut command: Command = s.slimductor();
    command.env("AWS_SECRET_ACCESS_KEY", "hunter2").env("WANTED", "yes-wanted");
    command.env("SLIMDUCTOR__WORKERS__ENV_PASS", "WANTED");
    super::sandbox::ran(command.args(["run"]).output().unwrap()).exits(0);
    let seen = s.read("a");
    assert!(!seen.contains("hunter2"), "{seen}");
    assert!(seen.contains("yes-mine") && seen.contains("yes-wanted"), "{seen}");
}

#[test]
fn only_runs_the_named_tasks_and_what_they_need() {
    let s = Sandbox::new();
    s.run_plan(&diamond(), &["--only", "left"]).exits(0);
    assert_eq!(s.read("left.txt"), "top\nleft\n");
    assert!(!s.root().join("right.txt").exists());
}

#[test]
fn no_promote_stops_behind_the_final_gate() {
    let s = Sandbox::new();
    let before = s.git(&["rev-parse", "main"]);
    s.run_plan(&plan(&[task("a", &[], "a", "echo a > a")]), &["--no-promote"]).exits(0);
    assert_eq!(s.git(&["rev-parse", "main"]), before);
    let branches = s.git(&["for-each-ref", "refs/heads/slimductor", "--format=%(refname:short)"]);
    assert!(branches.ends_with("/staging") && branches.lines().count() == 1, "{branches}");
    assert_eq!(s.git(&["show", &format!("{branches}:a")]), "a");
}

#[test]
fn jobs_bounds_the_workers_and_priority_orders_them() {
    let s = Sandbox::new();
    let log = s.outside("order");
    let mut tasks = Vec::new();
    for (id, priority) in [("a", 0), ("b", 5), ("c", 1)] {
        let work = format!("echo {id} >> {}; echo {id} > {id}", log.display());
        tasks.push(
            task(id, &[], id, &work)
                .replace("    files_write", &format!("    priority: {priority}\n    files_write")),
        );
    }
    s.run_plan(&plan(&tasks), &["-j", "1"]).exits(0);
    assert_eq!(std::fs::read_to_string(log).unwrap(), "b\nc\na\n");
}

#[test]
fn logs_show_what_a_worker_printed() {
    let s = Sandbox::new();
    s.run_plan(&plan(&[task("a", &[], "a", "echo hello from a; echo a > a")]), &[]).exits(0);
    assert_eq!(s.run(&["logs", "a"]).exits(0).out, "hello from a\n");
    assert_eq!(s.run(&["logs", "a", "--json"]).exits(0).json()["output"][0], "hello from a\n");
    let unknown = s.run(&["logs", "b"]).exits(2);
    assert!(unknown.err.contains("no task `b`"), "{}", unknown.err);
}

#[test]
fn a_detached_run_goes_on_by_itself() {
    let s = Sandbox::new();
    let started = s.fifo("started");
    let work = format!("echo a > a; echo started > {}", started.display());
    s.run_plan(&plan(&[task("a", &[], "a", &work)]), &["--detach"]).exits(0);
    // The worker runs, so a coordinator holds the run; when it lets go the run is over.
    assert_eq!(std::fs::read_to_string(started).unwrap(), "started\n");
    let run = s.status()["run_id"].as_str().unwrap().to_owned();
    slimductor::store::wait_unlocked(&s.root().join(format!(".orchestrator/runs/{run}/lock")))
        .unwrap();
    assert_eq!(s.status()["phase"], "done");
    assert_eq!(s.read("a"), "a\n");
}

#[test]
fn what_a_worker_leaves_running_ends_with_it() {
    let s = Sandbox::new();
    // Its own name is in its command line, by which it would be found.
    let work = format!("(setsid sh -c 'sleep 600; : {}' &) ; echo a > a", s.outside("x").display());
    for fence in ["repo", "off"] {
        s.run_plan(&plan(&[task("a", &[], "a", &work)]), &["--fence", fence]).exits(0);
        s.assert_no_process();
        s.git(&["reset", "-q", "--hard", "HEAD~1"]);
    }
}

#[test]
fn doctor_says_what_is_missing() {
    let s = Sandbox::new();
    let good = s.run(&["doctor", "--json"]).exits(0).json();
    assert_eq!(good["ok"], true);
    let bare = Sandbox::bare(false);
    let bad = bare.run(&["doctor"]).exits(7);
    assert!(bad.out.contains("repository") && bad.out.contains("git init"), "{}", bad.out);
}

#[test]
fn a_repository_without_a_commit_or_a_branch_is_refused_before_anything_is_made() {
    let bare = Sandbox::bare(false);
    bare.write("tasks.yaml", &plan(&[task("a", &[], "a", "echo")]));
    bare.run(&["run"]).exits(7);
    bare.git(&["init", "-q", "-b", "main"]);
    let refused = bare.run(&["run"]).exits(7);
    assert!(refused.err.contains("no commit"), "{}", refused.err);
    let s = Sandbox::new();
    s.git(&["checkout", "-q", "--detach"]);
    s.write("tasks.yaml", &plan(&[task("a", &[], "a", "echo")]));
    let refused = s.run(&["run"]).exits(7);
    assert!(refused.err.contains("detached"), "{}", refused.err);
    assert!(!s.root().join(".orchestrator").exists());
}

#[test]
fn a_repository_with_unusual_git_settings_is_no_trouble() {
    let s = Sandbox::new();
    for (key, value) in [
        ("core.splitIndex", "true"),
        ("core.fsmonitor", "false"),
        ("merge.ff", "false"),
        ("merge.autoStash", "true"),
        ("commit.gpgSign", "true"),
        ("core.hooksPath", "hooks"),
    ] {
        s.git(&["config", key, value]);
    }
    s.write("hooks/post-checkout", "#!/bin/sh\nexit 1\n");
    s.run_plan(&diamond(), &[]).exits(0);
    assert_eq!(s.read("bottom.txt"), "top\nleft\ntop\nright\n");
}

#[test]
fn a_worktree_of_a_bare_repository_and_a_separate_git_directory_work() {
    let s = Sandbox::new();
    let text = plan(&[task("a", &[], "a", "echo a > a")]);
    s.git(&["clone", "-q", "--bare", ".", "../bare"]);
    s.git(&["-C", "../bare", "worktree", "add", "-q", "../tree", "main"]);
    std::fs::write(s.outside("tree").join("tasks.yaml"), &text).unwrap();
    super::sandbox::ran(
        s.slimductor().current_dir(s.outside("tree")).args(["run"]).output().unwrap(),
    )
    .exits(0);
    assert_eq!(std::fs::read_to_string(s.outside("tree/a")).unwrap(), "a\n");
    s.git(&["clone", "-q", "--separate-git-dir", "../apart.git", ".", "../apart"]);
    std::fs::write(s.outside("apart").join("tasks.yaml"), &text).unwrap();
    super::sandbox::ran(
        s.slimductor().current_dir(s.outside("apart")).args(["run"]).output().unwrap(),
    )
    .exits(0);
    assert_eq!(std::fs::read_to_string(s.outside("apart/a")).unwrap(), "a\n");
}

#[test]
fn a_worker_has_a_short_temporary_directory_of_its_own_which_goes_with_it() {
    let s = Sandbox::new();
    s.run_plan(&plan(&[task("a", &[], "a", "touch \"$TMPDIR/x\" && echo \"$TMPDIR\" > a")]), &[])
        .exits(0);
    let dir = s.read("a").trim().to_owned();
    assert!(dir.len() < s.outside("tmp").to_str().unwrap().len() + 12, "{dir}");
    assert!(!std::path::Path::new(&dir).exists());
}

#[test]
fn a_users_file_of_a_name_that_we_use_is_left_alone() {
    let s = Sandbox::new();
    s.write(".orchestration-state.json", "mine\n");
    s.write(".worktrees/a/mine", "mine\n");
    s.run_plan(&plan(&[task("a", &[], "a", "echo a > a")]), &[]).exits(0);
    assert_eq!(s.read(".orchestration-state.json"), "mine\n");
    assert_eq!(s.read(".worktrees/a/mine"), "mine\n");
}

#[test]
fn a_reader_that_goes_away_does_not_end_the_run() {
    let s = Sandbox::new();
    s.write("tasks.yaml", &diamond());
    let shell =
        format!("{} run --backend process 2>&1 | head -n 1", env!("CARGO_BIN_EXE_slimductor"));
    assert!(s.command("sh").args(["-c", &shell]).status().unwrap().success());
    assert_eq!(s.status()["phase"], "done");
}
