//! What does not pass does not land, and says why.

use super::sandbox::{Sandbox, plan, task};

/// A worker that strays, one whose check fails, one that exits 7, one that times out, and two good ones.
fn bad_company() -> String {
    let once = |t: String| t.replace("    files_write", "    max_attempts: 1\n    files_write");
    plan(&[
        once(task(
            "strays",
            &[],
            "strays.txt",
            "echo 1 > strays.txt; echo 2 > src/base.txt; echo 3 > other.txt",
        )),
        once(task("unproven", &[], "unproven.txt", "echo 1 > unproven.txt"))
            .replace("test -s unproven.txt", "grep -q 2 unproven.txt"),
        once(task("exits", &[], "exits.txt", "echo 1 > exits.txt; echo why >&2; exit 7")),
        once(task("hangs", &[], "hangs.txt", "echo 1 > hangs.txt; sleep 600"))
            .replace("    max_attempts", "    timeout: 300ms\n    max_attempts"),
        task("good", &[], "good.txt", "echo good > good.txt"),
        task("better", &["good"], "better.txt", "echo better > better.txt"),
        task("needs", &["exits"], "needs.txt", "echo 1 > needs.txt"),
    ])
}

#[test]
fn each_bad_worker_has_its_category_and_the_target_is_untouched() {
    let s = Sandbox::new();
    let before = s.git(&["rev-parse", "main"]);
    let ran = s.run_plan(&bad_company(), &[]).exits(5);
    let states = s.states();
    let expect = |task: &str, state: &str, category: &str| {
        assert_eq!(states[task], (state.to_owned(), category.to_owned()), "{task}");
    };
    expect("strays", "failed", "boundary_violation");
    expect("unproven", "failed", "logic_error");
    expect("exits", "failed", "crash");
    expect("hangs", "failed", "timeout");
    expect("good", "merged", "");
    expect("better", "merged", "");
    expect("needs", "pending", "");
    assert_eq!(s.git(&["rev-parse", "main"]), before);
    assert_eq!(s.git(&["status", "--porcelain"]), "?? tasks.yaml");
    let staging = s.status()["staging"]["branch"].as_str().unwrap().to_owned();
    assert_eq!(
        s.git(&["ls-tree", "-r", "--name-only", &staging]),
        "README.md\nbetter.txt\ngood.txt\nsrc/base.txt"
    );
    let report = s.read(".orchestrator/escalation-report.md");
    for word in [
        "boundary_violation",
        "src/base.txt",
        "other.txt",
        "logic_error",
        "exit 7",
        "why",
        "timeout",
        "slimductor retry",
        "slimductor skip",
        "slimductor abort",
    ] {
        assert!(report.contains(word), "{word} is missing:\n{report}");
    }
    assert!(ran.out.contains("escalation-report.md"), "{}", ran.out);
    assert_eq!(s.status()["phase"], "waiting");
    // Work is kept where a person can look at it.
    assert!(s.root().join(".worktrees/exits/exits.txt").exists());
    s.assert_no_process();
}

#[test]
fn promote_landed_takes_the_rest_and_exits_4() {
    let s = Sandbox::new();
    let ran = s.run_plan(&bad_company(), &["--promote-landed"]).exits(4);
    assert!(ran.out.contains("2 of 7 tasks landed"), "{}", ran.out);
    assert_eq!(s.read("better.txt"), "better\n");
    assert!(!s.root().join("strays.txt").exists() && !s.root().join("exits.txt").exists());
    assert_eq!(s.read("src/base.txt"), "base\n");
    let kept = s.git(&["for-each-ref", "refs/heads/slimductor", "--format=%(refname:short)"]);
    for task in ["strays", "unproven", "exits", "hangs"] {
        assert!(kept.contains(&format!("/recovery/{task}-1")), "{kept}");
    }
    assert!(!s.root().join(".worktrees").exists());
    assert!(s.read(".orchestrator/escalation-report.md").contains("was promoted"));
    // The same can be decided afterwards.
    let t = Sandbox::new();
    t.run_plan(&bad_company(), &[]).exits(5);
    t.run(&["resume", "--promote-landed"]).exits(4);
    assert_eq!(t.read("better.txt"), "better\n");
}

#[test]
fn a_clean_exit_without_a_change_is_a_failure_unless_it_is_expected() {
    let s = Sandbox::new();
    let idle = task("idle", &[], "README.md", "echo nothing to do")
        .replace("    files_write", "    max_attempts: 1\n    files_write");
    s.run_plan(&plan(std::slice::from_ref(&idle)), &[]).exits(5);
    assert_eq!(s.states()["idle"].1, "no_changes");
    let t = Sandbox::new();
    t.run_plan(
        &plan(&[idle.replace("    files_write", "    expects_no_changes: true\n    files_write")]),
        &[],
    )
    .exits(0);
}

#[test]
fn a_change_that_was_committed_and_taken_back_is_no_change() {
    let s = Sandbox::new();
    let work = "git() { command git -c user.name=w -c user.email=w@w \"$@\"; }; echo x > other; git add -A; git commit -qm 1; git rm -q other; git commit -qm 2";
    let t = task("a", &[], "a", work)
        .replace("    files_write", "    max_attempts: 1\n    files_write");
    s.run_plan(&plan(&[t]), &[]).exits(5);
    assert_eq!(s.states()["a"].1, "no_changes");
}

#[test]
fn committing_hides_nothing_from_the_boundary() {
    let s = Sandbox::new();
    let work = "git() { command git -c user.name=w -c user.email=w@w \"$@\"; }; echo a > a; git mv README.md READ; chmod +x src/base.txt; git add -A; git commit -qm 1";
    let t = task("a", &[], "a", work)
        .replace("    files_write", "    max_attempts: 1\n    files_write");
    s.run_plan(&plan(&[t]), &[]).exits(5);
    assert_eq!(s.states()["a"].1, "boundary_violation");
    let report = s.read(".orchestrator/escalation-report.md");
    for path in ["deleted README.md", "added READ,", "changed src/base.txt"] {
        assert!(report.contains(path), "{path}:\n{report}");
    }
}

#[test]
fn a_nested_repository_a_symlink_and_a_lockfile_are_refused() {
    let s = Sandbox::new();
    let work = "git init -q d/nested; git -C d/nested -c user.name=w -c user.email=w@w commit -q --allow-empty -m x; ln -s /etc/passwd d/link; echo x > d/Cargo.lock";
    let t = task("a", &[], "d/", work)
        .replace("test -s d/", "test -d d")
        .replace("    files_write", "    max_attempts: 1\n    files_write");
    s.run_plan(&plan(&[t]), &[]).exits(5);
    let report = s.read(".orchestrator/escalation-report.md");
    for word in ["nested repository d/nested", "symbolic link d/link", "Cargo.lock"] {
        assert!(report.contains(word), "{word}:\n{report}");
    }
}

#[test]
fn the_next_attempt_is_told_what_was_wrong_with_the_last() {
    let s = Sandbox::new();
    let work = "if [ \"$SLIMDUCTOR_ATTEMPT\" = 1 ]; then echo wrong > a; else cp \"$SLIMDUCTOR_FINDINGS\" a; fi";
    let t = task("a", &[], "a", work).replace("test -s a", "cat a; grep -q logic_error a");
    let ran = s.run_plan(&plan(&[t]), &[]).exits(0);
    assert!(ran.err.contains("attempt 2"), "{}", ran.err);
    assert!(s.read("a").contains("> wrong"), "{}", s.read("a"));
    s.assert_nothing_is_left();
}

#[test]
fn a_task_that_breaks_the_merged_tree_is_blamed_and_the_others_land() {
    let s = Sandbox::new();
    let mut text = plan(&[
        task("a", &[], "a", "echo a > a"),
        task("b", &[], "b", "echo b > b")
            .replace("    files_write", "    max_attempts: 1\n    priority: -1\n    files_write"),
        task("c", &[], "c", "echo c > c")
            .replace("    files_write", "    priority: -2\n    files_write"),
    ]);
    text.push_str("integration: {incremental: [{command: 'test ! -e a || test ! -e b'}]}\n");
    // One at a time, by priority: `a` is at the gate before `b` is there.
    s.run_plan(&text, &["--promote-landed", "-j", "1"]).exits(4);
    let states = s.states();
    assert_eq!(states["b"], ("failed".to_owned(), "logic_error".to_owned()));
    assert_eq!(states["a"].0, "merged");
    assert_eq!(states["c"].0, "merged");
}

#[test]
fn a_merge_conflict_goes_back_to_its_task_which_lands_on_the_new_tip() {
    let s = Sandbox::new();
    s.write("log", "start\n");
    s.git(&["add", "-A"]);
    s.git(&["commit", "-qm", "log"]);
    let append = |id: &str| {
        task(id, &[], id, &format!("echo {id} > {id}; echo {id} >> log"))
            .replace("    files_write", "    files_append: [log]\n    files_write")
    };
    // Both start at once; the second to land meets the line of the first.
    let (one, two) = (s.fifo("one"), s.fifo("two"));
    let meet = |t: String, mine: &std::path::Path, other: &std::path::Path| {
        let pair = format!(
            "      if [ \"$SLIMDUCTOR_ATTEMPT\" = 1 ]; then (echo > {}) & read x < {}; wait; fi\n      echo",
            mine.display(),
            other.display()
        );
        t.replacen("      echo", &pair, 1)
    };
    let text = plan(&[meet(append("a"), &one, &two), meet(append("b"), &two, &one)]);
    let ran = s.run_plan(&text, &[]).exits(0);
    assert!(ran.err.contains("merge_conflict"), "{}", ran.err);
    let mut lines: Vec<String> = s.read("log").lines().map(str::to_owned).collect();
    lines.sort();
    assert_eq!(lines, ["a", "b", "start"]);
}

#[test]
fn a_red_final_gate_asks_and_the_target_is_untouched() {
    let s = Sandbox::new();
    let before = s.git(&["rev-parse", "main"]);
    let flag = s.outside("flag");
    let mut text = plan(&[task("a", &[], "a", "echo a > a")]);
    text.push_str(&format!("integration:\n  final:\n    - command: test -e {}\n    - {{command: 'false', required: false}}\n", flag.display()));
    let ran = s.run_plan(&text, &[]).exits(5);
    assert!(ran.out.contains("final gate is red"), "{}", ran.out);
    assert_eq!(s.git(&["rev-parse", "main"]), before);
    std::fs::write(flag, "").unwrap();
    let ran = s.run(&["resume"]).exits(0);
    assert!(ran.err.contains("not required"), "{}", ran.err);
    assert_eq!(s.read("a"), "a\n");
    s.assert_nothing_is_left();
}

#[test]
fn an_append_only_file_may_grow_and_nothing_else() {
    let s = Sandbox::new();
    s.write("log", "one\ntwo");
    s.git(&["add", "-A"]);
    s.git(&["commit", "-qm", "log"]);
    let appends = |work: &str| {
        let t = task("a", &[], "a", &format!("echo a > a; {work}"));
        plan(&[t.replace(
            "    files_write",
            "    max_attempts: 1\n    files_append: [log]\n    files_write",
        )])
    };
    for bad in [
        "sed -i s/one/ONE/ log",
        "printf 'x\\0' > log",
        "echo zero | cat - log > x && mv x log",
        "rm log",
    ] {
        s.run_plan(&appends(bad), &[]).exits(5);
        assert_eq!(s.states()["a"].1, "boundary_violation", "{bad}");
        s.run(&["abort"]).exits(0);
    }
    s.run_plan(&appends("printf '\\nthree\\n' >> log"), &[]).exits(0);
    assert_eq!(s.read("log"), "one\ntwo\nthree\n");
}

#[test]
fn more_changed_lines_than_the_threshold_need_a_word_in_the_plan() {
    let s = Sandbox::new();
    let big = task("a", &[], "a", "seq 501 > a")
        .replace("    files_write", "    max_attempts: 1\n    files_write");
    s.run_plan(&plan(std::slice::from_ref(&big)), &[]).exits(5);
    assert_eq!(s.states()["a"].1, "boundary_violation");
    let t = Sandbox::new();
    t.run_plan(
        &plan(&[big.replace("    files_write", "    allow_large_changes: true\n    files_write")]),
        &[],
    )
    .exits(0);
}

#[test]
fn each_check_runs_with_the_variables_of_its_own_task() {
    let s = Sandbox::new();
    let own = |id: &str, mode: &str| {
        task(id, &[], id, &format!("echo $MODE > {id}"))
            .replace(&format!("test -s {id}"), &format!("test \"$MODE\" = {mode}"))
            .replace("    files_write", &format!("    env: {{MODE: {mode}}}\n    files_write"))
    };
    s.run_plan(&plan(&[own("a", "one"), own("b", "two")]), &[]).exits(0);
    assert_eq!((s.read("a"), s.read("b")), ("one\n".into(), "two\n".into()));
}

#[test]
fn a_check_with_paths_does_not_hide_the_same_one_without() {
    let s = Sandbox::new();
    let t = task("a", &[], "a", "echo a > a").replace(
        "verification: [{command: test -s a, type: test}]",
        "verification: [{command: test -s a}, {command: test ! -e a, paths: [src/**]}]",
    );
    let t = t.replace("    files_write", "    max_attempts: 1\n    files_write");
    let text = plan(&[t]) + "integration: {incremental: [{command: test ! -e a}]}\n";
    s.run_plan(&text, &[]).exits(5);
    assert_eq!(s.states()["a"].1, "logic_error");
}

#[test]
fn work_that_cannot_be_committed_is_not_cleaned_away() {
    let s = Sandbox::new();
    // A path that git cannot add: a nested repository without a commit.
    let work = "echo important > a; git init -q nested";
    s.run_plan(&plan(&[task("a", &[], "a", work)]), &[]).exits(5);
    let status = s.status();
    assert_eq!(status["tasks"][0]["attempt"], 1, "no other attempt wiped it: {status}");
    let aborted = s.run(&["abort"]).exits(0);
    let worktree = status["tasks"][0]["worktree"].as_str().unwrap();
    assert!(aborted.out.contains(worktree), "{}", aborted.out);
    assert_eq!(std::fs::read_to_string(format!("{worktree}/a")).unwrap(), "important\n");
}
