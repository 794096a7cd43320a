//! What a person may decide, and what is asked before a run starts.

use super::sandbox::{Sandbox, plan, task, wait_for_line};

fn fails_until(flag: &std::path::Path) -> String {
    let work = format!("test -e {} && echo a > a", flag.display());
    plan(&[
        task("a", &[], "a", &work)
            .replace("    files_write", "    max_attempts: 1\n    files_write"),
        task("b", &["a"], "b", "echo b > b"),
        task("c", &[], "c", "echo c > c"),
    ])
}

#[test]
fn retry_tries_again_and_the_run_goes_on_to_its_end() {
    let s = Sandbox::new();
    let flag = s.outside("flag");
    s.run_plan(&fails_until(&flag), &[]).exits(5);
    // Nothing was decided: the question stands.
    s.run(&["resume"]).exits(5);
    std::fs::write(&flag, "").unwrap();
    s.run(&["retry", "a"]).exits(0);
    s.run(&["resume"]).exits(0);
    assert_eq!((s.read("a"), s.read("b"), s.read("c")), ("a\n".into(), "b\n".into(), "c\n".into()));
    s.assert_nothing_is_left();
    assert!(!s.root().join(".orchestrator/escalation-report.md").exists());
    s.run(&["retry", "a"]).exits(2);
}

#[test]
fn skip_leaves_out_a_task_and_what_needs_it() {
    let s = Sandbox::new();
    s.run_plan(&fails_until(&s.outside("never")), &[]).exits(5);
    s.run(&["skip", "a"]).exits(0);
    s.run(&["resume"]).exits(0);
    let states = s.states();
    assert_eq!((states["a"].0.as_str(), states["b"].0.as_str()), ("skipped", "skipped"));
    assert_eq!(s.read("c"), "c\n");
    assert!(!s.root().join("b").exists());
}

#[test]
fn an_answer_to_an_older_attempt_answers_nothing() {
    let s = Sandbox::new();
    let flag = s.outside("flag");
    s.run_plan(&fails_until(&flag), &[]).exits(5);
    s.run(&["retry", "a"]).exits(0);
    s.run(&["resume"]).exits(5);
    let run = s.status()["run_id"].as_str().unwrap().to_owned();
    // A copy of the answer about attempt 1 comes late; the task stands at attempt 2.
    s.write(
        &format!(".orchestrator/runs/{run}/answers/late.json"),
        r#"{"choice": "retry", "task": "a", "attempt": 1}"#,
    );
    s.run(&["resume"]).exits(5);
    assert_eq!(s.status()["tasks"][0]["attempt"], 2);
    assert!(!s.root().join(format!(".orchestrator/runs/{run}/answers/late.json")).exists());
}

#[test]
fn abort_leaves_the_repository_as_it_was_but_for_recovery_branches() {
    let s = Sandbox::new();
    let before = s.git(&["rev-parse", "main"]);
    s.run_plan(&fails_until(&s.outside("never")), &[]).exits(5);
    s.run(&["abort"]).exits(0);
    assert_eq!(s.status()["phase"], "aborted");
    assert_eq!(s.git(&["rev-parse", "main"]), before);
    assert!(!s.root().join(".worktrees").exists());
    let branches = s.git(&["for-each-ref", "refs/heads/slimductor", "--format=%(refname:short)"]);
    // What had landed is kept, and nothing else is left.
    assert!(branches.ends_with("/recovery/staging") && branches.lines().count() == 1, "{branches}");
    assert_eq!(s.git(&["show", &format!("{branches}:c")]), "c");
    s.run(&["abort"]).exits(2);
}

#[test]
fn abort_while_workers_run_ends_them_and_keeps_what_they_wrote() {
    let s = Sandbox::new();
    let started = s.fifo("started");
    let work = format!("echo half > a; echo go > {}; sleep 600", started.display());
    s.write("tasks.yaml", &plan(&[task("a", &[], "a", &work)]));
    let mut child = s.start(&["run", "--backend", "process"]);
    assert_eq!(std::fs::read_to_string(&started).unwrap(), "go\n");
    s.run(&["abort"]).exits(0);
    // The run itself did not do what it was asked.
    assert_eq!(child.wait().unwrap().code(), Some(4));
    s.assert_no_process();
    assert_eq!(s.status()["summary"]["executing"], 0);
    let kept = s.git(&["for-each-ref", "refs/heads/slimductor", "--format=%(refname:short)"]);
    assert_eq!(s.git(&["show", &format!("{kept}:a")]), "half");
    assert!(!s.root().join("a").exists());
}

#[test]
fn a_risky_plan_needs_a_person() {
    let s = Sandbox::new();
    let text = plan(&[
        task("a", &[], "src/auth_secret_a", "mkdir -p src; echo a > src/auth_secret_a"),
        task("b", &[], "prod/deploy", "mkdir -p prod; echo b > prod/deploy"),
        task("c", &[], "billing", "echo c > billing"),
    ]);
    let refused = s.run_plan(&text, &["--yes"]).exits(5);
    assert!(refused.err.contains("--approve"), "{}", refused.err);
    assert!(!s.root().join(".orchestrator").exists());
    s.run_plan(&text, &["--approve"]).exits(0);
    let t = Sandbox::new();
    let text = plan(&[
        task("a", &[], "auth1", "echo a > auth1"),
        task("b", &[], "auth2", "echo b > auth2"),
    ]);
    let refused = t.run_plan(&text, &[]).exits(5);
    assert!(refused.err.contains("--yes"), "{}", refused.err);
    t.run_plan(&text, &["--yes"]).exits(0);
}

#[test]
fn an_agent_that_cannot_be_launched_is_refused_before_anything_is_made() {
    let s = Sandbox::new();
    let text = "tasks:\n  - {id: a, description: d, agent: claude, files_write: [a], verification: [{command: test -s a}]}\n";
    let refused = s.run_plan(text, &[]).exits(7);
    assert!(refused.err.contains("claude"), "{}", refused.err);
    assert!(!s.root().join(".orchestrator").exists());
}

#[test]
fn a_contract_that_is_not_committed_is_refused() {
    let s = Sandbox::new();
    s.write("contracts/c.py", "\"\"\"\nContract: C\nVersion: 1\n\"\"\"\n");
    let mut text = plan(&[task("a", &[], "a", "cat contracts/c.py > a")
        .replace("    files_write", "    contracts: [C]\n    files_write")]);
    text.push_str("contracts: [{name: C, version: '1', file_path: contracts/c.py}]\n");
    let refused = s.run_plan(&text, &[]).exits(3);
    assert!(refused.err.contains("contract_uncommitted"), "{}", refused.err);
    s.git(&["add", "contracts"]);
    s.git(&["commit", "-qm", "contract"]);
    s.write("slimductor.yaml", "contracts: {typecheck: {python: no-such-checker}}\n");
    s.run_plan(&text, &[]).exits(5);
    assert_eq!(s.states()["a"].1, "env_issue");
    s.run(&["abort"]).exits(0);
    s.write("slimductor.yaml", "contracts: {typecheck: off}\n");
    s.run_plan(&text, &[]).exits(0);
}

#[test]
fn a_target_that_moved_during_the_run_keeps_the_users_commit_and_is_gated_again() {
    let s = Sandbox::new();
    let (started, go) = (s.fifo("started"), s.fifo("go"));
    let work = format!("echo > {}; read x < {}; echo a > a", started.display(), go.display());
    let mut text = plan(&[task("a", &[], "a", &work)]);
    let gates = s.outside("gates");
    text.push_str(&format!(
        "integration: {{final: [{{command: 'ls >> {}; test -s a'}}]}}\n",
        gates.display()
    ));
    s.write("tasks.yaml", &text);
    let child = s.start(&["run", "--backend", "process"]);
    std::fs::read_to_string(&started).unwrap();
    s.write("mine.txt", "mine\n");
    s.git(&["add", "mine.txt"]);
    s.git(&["commit", "-qm", "mine"]);
    std::fs::write(&go, "\n").unwrap();
    let ran = super::sandbox::ran(child.wait_with_output().unwrap()).exits(0);
    assert!(ran.err.contains("moved"), "{}", ran.err);
    assert_eq!((s.read("a"), s.read("mine.txt")), ("a\n".into(), "mine\n".into()));
    // The second gate saw the tree that became the target.
    assert!(std::fs::read_to_string(gates).unwrap().contains("mine.txt"));
    s.assert_nothing_is_left();
}

#[test]
fn a_checkout_with_changes_in_the_way_is_asked_about_and_nothing_is_lost() {
    let s = Sandbox::new();
    let before = s.git(&["rev-parse", "main"]);
    s.write("README.md", "my edit\n");
    let text = plan(&[task("a", &[], "README.md", "echo theirs > README.md")]);
    let ran = s.run_plan(&text, &[]).exits(5);
    assert!(ran.out.contains("changes in the way"), "{}", ran.out);
    assert_eq!(s.read("README.md"), "my edit\n");
    assert_eq!(s.git(&["rev-parse", "main"]), before);
    s.git(&["checkout", "-q", "--", "README.md"]);
    s.run(&["resume"]).exits(0);
    assert_eq!(s.read("README.md"), "theirs\n");
    // An untracked file in the way counts as well.
    let t = Sandbox::new();
    t.write("new.txt", "my own\n");
    t.run_plan(&plan(&[task("a", &[], "new.txt", "echo theirs > new.txt")]), &[]).exits(5);
    assert_eq!(t.read("new.txt"), "my own\n");
}

#[test]
fn a_second_coordinator_and_an_overlapping_run_are_refused_and_a_disjoint_one_lands() {
    let s = Sandbox::new();
    let (started, go) = (s.fifo("started"), s.fifo("go"));
    let work = format!("echo > {}; read x < {}; echo a > a", started.display(), go.display());
    s.write("tasks.yaml", &plan(&[task("a", &[], "a", &work)]));
    let mut child = s.start(&["run", "--backend", "process"]);
    std::fs::read_to_string(&started).unwrap();
    wait_for_line(&mut child, "start");
    s.run(&["resume"]).exits(6);
    let refused = s.run(&["run", "--backend", "process"]).exits(6);
    assert!(refused.err.contains("also writes a"), "{}", refused.err);
    s.write("other.yaml", &plan(&[task("b", &[], "b", "echo b > b")]));
    s.run(&["run", "other.yaml", "--backend", "process"]).exits(0);
    std::fs::write(&go, "\n").unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert_eq!((s.read("a"), s.read("b")), ("a\n".into(), "b\n".into()));
}

#[test]
fn the_last_answer_is_taken_last() {
    let s = Sandbox::new();
    let flag = s.outside("flag");
    s.run_plan(&fails_until(&flag), &[]).exits(5);
    std::fs::write(&flag, "").unwrap();
    s.run(&["skip", "a"]).exits(0);
    s.run(&["retry", "a"]).exits(0);
    s.run(&["resume"]).exits(0);
    assert_eq!((s.read("a"), s.read("b")), ("a\n".into(), "b\n".into()));
}

#[test]
fn retry_of_what_needs_a_skipped_task_is_refused_and_the_run_ends() {
    let s = Sandbox::new();
    s.run_plan(&fails_until(&s.outside("never")), &[]).exits(5);
    s.run(&["skip", "a"]).exits(0);
    let run = s.status()["run_id"].as_str().unwrap().to_owned();
    // Asked before the skip is taken: at that time the task merely waits.
    s.write(
        &format!(".orchestrator/runs/{run}/answers/999999999999999-x.json"),
        r#"{"choice": "retry", "task": "b", "attempt": 0}"#,
    );
    s.run(&["resume"]).exits(0);
    assert_eq!(s.states()["b"].0, "skipped");
}

#[test]
fn what_a_person_edits_in_a_kept_worktree_is_kept() {
    let s = Sandbox::new();
    let work = "echo wrong > a; test $SLIMDUCTOR_ATTEMPT != 1";
    let once = |t: String| t.replace("    files_write", "    max_attempts: 1\n    files_write");
    s.run_plan(&plan(&[once(task("a", &[], "a", work))]), &[]).exits(5);
    s.write(".worktrees/a/a", "by hand\n");
    s.run(&["retry", "a"]).exits(0);
    s.run(&["resume", "--promote-landed"]).exits(0);
    assert_eq!(s.read("a"), "wrong\n");
    let kept = s.git(&["for-each-ref", "refs/heads/slimductor", "--format=%(refname:short)"]);
    assert!(kept.ends_with("recovery/a-1-edited"), "{kept}");
    assert_eq!(s.git(&["show", &format!("{kept}:a")]), "by hand");
    // The same when the run is ended instead.
    let t = Sandbox::new();
    t.run_plan(&plan(&[once(task("a", &[], "a", "echo wrong > a; exit 1"))]), &[]).exits(5);
    t.write(".worktrees/a/a", "by hand\n");
    t.run(&["abort"]).exits(0);
    let kept = t.git(&["for-each-ref", "refs/heads/slimductor", "--format=%(refname:short)"]);
    assert_eq!(kept.lines().count(), 2, "{kept}");
    assert_eq!(t.git(&["show", &format!("{}:a", kept.lines().last().unwrap())]), "by hand");
}

#[test]
fn an_unfinished_run_on_the_same_files_is_named_instead_of_done_again() {
    let s = Sandbox::new();
    let text = fails_until(&s.outside("never"));
    s.run_plan(&text, &[]).exits(5);
    let refused = s.run_plan(&text, &[]).exits(6);
    assert!(refused.err.contains("unfinished") && refused.err.contains("abort"), "{}", refused.err);
    s.run(&["abort"]).exits(0);
    s.run_plan(&text, &[]).exits(5);
}

#[test]
fn of_two_overlapping_runs_started_at_once_one_is_refused() {
    let s = Sandbox::new();
    s.write("tasks.yaml", &plan(&[task("a", &[], "a", "echo a > a")]));
    let children: Vec<_> = (0..4).map(|_| s.start(&["run", "--backend", "process"])).collect();
    let mut codes: Vec<i32> = children
        .into_iter()
        .map(|c| super::sandbox::ran(c.wait_with_output().unwrap()).code)
        .collect();
    codes.sort_unstable();
    // A later one may start when the first is over: then there is nothing left to change.
    assert_eq!(codes[0], 0, "{codes:?}");
    assert!(codes[1..].iter().all(|c| [5, 6].contains(c)), "{codes:?}");
    assert_eq!(s.git(&["log", "--format=%s", "--first-parent", "main"]).lines().count(), 2);
}

#[test]
fn a_rebase_of_the_target_is_waited_for() {
    let s = Sandbox::new();
    s.write("tasks.yaml", &plan(&[task("a", &[], "a", "echo a > a")]));
    let before = s.git(&["rev-parse", "main"]);
    s.write(".git/rebase-merge/head-name", "refs/heads/main\n");
    let ran = s.run(&["run", "--backend", "process"]).exits(5);
    assert!(ran.out.contains("a rebase of main"), "{}", ran.out);
    assert_eq!(s.git(&["rev-parse", "main"]), before);
    std::fs::remove_dir_all(s.root().join(".git/rebase-merge")).unwrap();
    s.run(&["resume"]).exits(0);
    assert_eq!(s.read("a"), "a\n");
}

#[test]
fn what_cannot_be_saved_is_not_cleaned_away_by_any_later_attempt() {
    let s = Sandbox::new();
    let work = "echo try-$SLIMDUCTOR_ATTEMPT > a; exit 1";
    let t = task("a", &[], "a", work)
        .replace("    files_write", "    max_attempts: 2\n    files_write");
    s.run_plan(&plan(&[t]), &[]).exits(5);
    s.write(".worktrees/a/a", "by hand\n");
    // Git cannot add a repository without a commit, so that the edit cannot be committed.
    s.git(&["init", "-q", ".worktrees/a/proto"]);
    s.run(&["retry", "a"]).exits(0);
    s.run(&["resume"]).exits(5);
    assert_eq!(s.read(".worktrees/a/a"), "by hand\n");
    // When what was in the way is gone, all goes on, and the edit is kept.
    std::fs::remove_dir_all(s.root().join(".worktrees/a/proto")).unwrap();
    s.run(&["retry", "a"]).exits(0);
    s.run(&["resume"]).exits(5);
    let kept = s.git(&["for-each-ref", "refs/heads/slimductor", "--format=%(refname:short)"]);
    let edited = kept.lines().find(|b| b.ends_with("-edited")).unwrap();
    assert_eq!(s.git(&["show", &format!("{edited}:a")]), "by hand");
}

#[test]
fn abort_removes_nothing_whose_recovery_branch_cannot_be_made() {
    let s = Sandbox::new();
    let t = task("a", &[], "a", "echo work > a; exit 1");
    s.run_plan(&plan(&[t.replace("    files_write", "    max_attempts: 1\n    files_write")]), &[])
        .exits(5);
    let run = s.status()["run_id"].as_str().unwrap().to_owned();
    // A branch below the name that is needed: git cannot have both.
    s.git(&["branch", &format!("slimductor/{run}/recovery/a-1/in-the-way")]);
    let aborted = s.run(&["abort"]).exits(0);
    assert!(aborted.out.contains("-slot0"), "{}", aborted.out);
    assert_eq!(s.git(&["show", &format!("slimductor/{run}/task/a:a")]), "work");
    assert_eq!(s.read(&format!(".worktrees/{run}-slot0/a")), "work\n");
}
