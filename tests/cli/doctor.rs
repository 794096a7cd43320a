//! What dead runs left: told by `doctor`, removed by `doctor --fix`, and nothing else.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use serde_json::Value;
use slimductor::execute::event::{Event, Outcome};
use slimductor::execute::journal::{self, Journal};
use slimductor::types::RunId;

use super::sandbox::{Ran, Sandbox, plan, task, tmux_is_here};

fn fails(id: &str) -> String {
    let t = task(id, &[], id, &format!("echo work > {id}; exit 1"));
    t.replace("    files_write", "    max_attempts: 1\n    files_write")
}

fn run_of(s: &Sandbox) -> String {
    s.status()["run_id"].as_str().unwrap().to_owned()
}

fn run_dir(s: &Sandbox, run: &str) -> PathBuf {
    s.root().join(".orchestrator/runs").join(run)
}

/// What and name of everything that was left; `removed` as asked.
fn left(ran: &Ran, removed: bool) -> Vec<String> {
    let all = ran.json()["leftovers"].as_array().unwrap().clone();
    let word = |l: &Value, key: &str| l[key].as_str().unwrap().to_owned();
    let of = all.iter().filter(|l| l["removed"] == removed);
    of.map(|l| format!("{} {}", word(l, "what"), word(l, "name"))).collect()
}

fn doctor(s: &Sandbox) -> Ran {
    s.run(&["doctor", "--json"]).exits(0)
}

fn fix(s: &Sandbox) -> Ran {
    s.run(&["doctor", "--fix", "--json"]).exits(0)
}

#[track_caller]
fn assert_has(list: &[String], wanted: &str) {
    assert!(list.iter().any(|l| l.contains(wanted)), "{wanted} is missing: {list:#?}");
}

/// Makes something look as old as that.
fn touch(s: &Sandbox, path: &Path, when: &str) {
    let args = ["-h", "-d", when];
    assert!(s.command("touch").args(args).arg(path).status().unwrap().success());
}

fn copy(s: &Sandbox, from: &Path, to: &Path) {
    assert!(s.command("cp").arg("-a").arg(from).arg(to).status().unwrap().success());
}

/// Adds the last record to the journal of a run, as if it had ended.
fn end(s: &Sandbox, run: &str) {
    let (mut journal, records) = Journal::open(&run_dir(s, run).join("journal.jsonl")).unwrap();
    let at = records.last().unwrap().at;
    journal.append(at, vec![Event::RunEnded { outcome: Outcome::Aborted }]).unwrap();
}

/// The same run so many days ago, under an id of that time.
fn aged(s: &Sandbox, run: &str, days: i64) -> String {
    let back = jiff::SignedDuration::from_hours(24 * days);
    let records = journal::read(&run_dir(s, run).join("journal.jsonl")).unwrap().records;
    let old = (records[0].at - back).strftime("%Y%m%d-%H%M%S-042").to_string();
    let dir = run_dir(s, &old);
    copy(s, &run_dir(s, run), &dir);
    let mut all = records.into_iter();
    let mut first = all.next().unwrap();
    if let Event::RunStarted { run_id, .. } = &mut first.event {
        *run_id = RunId::parse(&old).unwrap();
    }
    let path = dir.join("journal.jsonl");
    Journal::create(&path, first.at - back, first.event).unwrap();
    let (mut journal, _) = Journal::open(&path).unwrap();
    for record in all {
        journal.append(record.at - back, vec![record.event]).unwrap();
    }
    old
}

#[test]
fn where_nothing_was_left_doctor_finds_nothing_and_changes_nothing() {
    let s = Sandbox::new();
    let before = s.listing();
    assert_eq!(doctor(&s).json()["leftovers"], serde_json::json!([]));
    assert!(s.run(&["doctor", "--fix"]).exits(0).out.contains("none"));
    assert_eq!(s.listing(), before);
    s.run_plan(&plan(&[task("a", &[], "a", "echo a > a")]), &[]).exits(0);
    let before = s.listing();
    let json = doctor(&s).json();
    assert_eq!(json["leftovers"], serde_json::json!([]), "{json}");
    assert_eq!(s.listing(), before);
    for what in ["disk", "leftovers", ".orchestrator", "repository"] {
        let found = json["findings"].as_array().unwrap().iter().find(|f| f["what"] == what);
        assert_eq!(found.unwrap()["state"], "ok", "{json}");
    }
    assert!(left(&fix(&s), true).is_empty());
}

#[test]
fn an_unfinished_run_is_untouched_and_still_resumes() {
    let s = Sandbox::new();
    let (started, go) = (s.fifo("started"), s.fifo("go"));
    let work = format!("echo > {}; read x < {}; echo a > a", started.display(), go.display());
    s.write("tasks.yaml", &plan(&[task("a", &[], "a", &work)]));
    let mut child = s.start(&["run", "--backend", "process"]);
    std::fs::read_to_string(&started).unwrap();
    // A live run.
    assert!(left(&fix(&s), true).is_empty());
    child.kill().unwrap();
    child.wait().unwrap();
    let run = run_of(&s);
    let half = run_dir(&s, &run).join(".tmp-AbC123");
    std::fs::write(&half, "").unwrap();
    touch(&s, &half, "2 days ago");
    let lock = s.root().join(format!(".git/refs/heads/slimductor/{run}/staging.lock"));
    std::fs::write(&lock, "").unwrap();
    touch(&s, &lock, "2 days ago");
    let before = s.listing();
    let found = doctor(&s);
    assert!(left(&found, false).is_empty(), "{}", found.out);
    assert_eq!(s.listing(), before);
    let fixed = fix(&s);
    assert!(left(&fixed, true).is_empty() && left(&fixed, false).is_empty(), "{}", fixed.out);
    assert!(half.exists() && lock.exists());
    std::fs::remove_file(&half).unwrap();
    let resumed = s.start(&["resume"]);
    std::fs::write(&go, "\n").unwrap();
    super::sandbox::ran(resumed.wait_with_output().unwrap()).exits(0);
    assert_eq!(s.read("a"), "a\n");
    s.assert_nothing_is_left();
}

#[test]
fn what_merely_looks_like_ours_stays() {
    let s = Sandbox::with_tmux();
    // An old run that is gone, and one of its things, so that there is something to do.
    s.run_plan(&plan(&[task("a", &[], "a", "echo a > a")]), &[]).exits(0);
    let gone = "20200101-000000-000";
    s.git(&["branch", &format!("slimductor/{gone}/staging")]);
    let branches = [
        "slimductor-notes".to_owned(),
        "slimductor/notes".to_owned(),
        "slimductor/mine/staging".to_owned(),
        format!("slimductor/{gone}/mine"),
        format!("feature/{gone}/staging"),
    ];
    for branch in &branches {
        s.git(&["branch", branch]);
    }
    s.git(&["worktree", "add", "-q", "--detach", ".worktrees/mine"]);
    s.git(&["worktree", "add", "-q", "--detach", ".worktrees/mine-slot0"]);
    std::os::unix::fs::symlink("nowhere", s.root().join(".worktrees/task")).unwrap();
    std::os::unix::fs::symlink("/nowhere", s.root().join(".worktrees/.tmp-link-1-a")).unwrap();
    let files = [
        ".tmp-notes",
        ".tmp-AbC123",
        ".orchestrator/.tmp-notes",
        ".orchestrator/notes/.new-mine",
        ".orchestrator/runs/notes/.tmp-AbC123",
        ".orchestrator/runs/.new-mine/x",
        ".orchestrator/runs/.old-20200101/x",
        ".git/refs/heads/slimductor/notes-too.lock",
    ];
    for file in files {
        s.write(file, "mine\n");
        touch(&s, &s.root().join(file), "2 days ago");
    }
    for name in ["sd-probe-notes", "sd-mine", "sd-AbC123", "sd-probe-AbC12"] {
        let dir = s.outside("tmp").join(name);
        std::fs::create_dir(&dir).unwrap();
        touch(&s, &dir, "3 days ago");
    }
    // A young one may be in use.
    std::fs::create_dir(s.outside("tmp/sd-probe-AbC123")).unwrap();
    let tmux = |socket: &str, args: &[&str]| {
        let mut command = s.command("tmux");
        let out = command.args(["-L", socket, "-f", "/dev/null"]).args(args).output().unwrap();
        String::from_utf8_lossy(&out.stdout).into_owned()
    };
    let here = tmux_is_here();
    let ours = s.socket();
    if here {
        for socket in ["default", &ours] {
            tmux(socket, &["new-session", "-d", "-s", "worker-a", "sleep 600"]);
        }
        // A job's directory that is none of this repository's.
        tmux(&ours, &["new-session", "-d", "-s", "other", "sleep 600"]);
        tmux(&ours, &["set-option", "-t", "=other:", "@slimductor-job", "/elsewhere/jobs/a"]);
    }
    let fixed = fix(&s);
    assert_eq!(left(&fixed, true), [format!("branch slimductor/{gone}/staging")], "{}", fixed.out);
    let again = fix(&s);
    assert!(left(&again, true).is_empty() && left(&again, false).is_empty(), "{}", again.out);
    let all = s.git(&["for-each-ref", "refs/heads", "--format=%(refname:short)"]);
    for branch in &branches {
        assert!(all.lines().any(|b| b == branch), "{branch}: {all}");
    }
    for file in files {
        assert!(s.root().join(file).exists(), "{file}");
    }
    for name in ["sd-probe-notes", "sd-mine", "sd-AbC123", "sd-probe-AbC12", "sd-probe-AbC123"] {
        assert!(s.outside("tmp").join(name).exists(), "{name}");
    }
    assert_eq!(s.git(&["worktree", "list"]).lines().count(), 3);
    assert!(s.root().join(".worktrees/task").symlink_metadata().is_ok());
    assert!(s.root().join(".worktrees/.tmp-link-1-a").symlink_metadata().is_ok());
    if here {
        assert!(tmux("default", &["ls"]).contains("worker-a"));
        assert!(tmux(&ours, &["ls"]).contains("worker-a"));
        assert!(tmux(&ours, &["ls"]).contains("other"));
        tmux("default", &["kill-server"]);
    }
}

#[test]
fn of_a_run_that_is_gone_work_is_kept_and_the_rest_removed() {
    let s = Sandbox::new();
    let text = plan(&[fails("a"), task("b", &[], "b", "echo b > b")]);
    s.run_plan(&text, &[]).exits(5);
    let run = run_of(&s);
    std::fs::remove_dir_all(run_dir(&s, &run)).unwrap();
    let root = s.root();
    let slot = root.join(format!(".worktrees/{run}-slot0"));
    assert!(slot.exists());
    // A record of a worktree that is not there, a link that leads nowhere, and halves.
    let admin = root.join(format!(".git/worktrees/{run}-slot7"));
    std::fs::create_dir_all(&admin).unwrap();
    let back = root.join(format!(".worktrees/{run}-slot7/.git"));
    std::fs::write(admin.join("gitdir"), format!("{}\n", back.display())).unwrap();
    std::fs::write(admin.join("commondir"), "../..\n").unwrap();
    std::fs::write(admin.join("HEAD"), format!("{}\n", s.git(&["rev-parse", "HEAD"]))).unwrap();
    let link = |to: &str, name: &str| {
        std::os::unix::fs::symlink(to, root.join(".worktrees").join(name)).unwrap();
    };
    link(&format!("{run}-slot7"), "dangling");
    link(&format!("{run}-slot0"), ".tmp-link-4194303-a");
    for dir in [format!(".new-{run}"), ".old-20200101-000000-000".to_owned()] {
        s.write(&format!(".orchestrator/runs/{dir}/journal.jsonl"), "");
    }
    s.write(".orchestrator/mailbox/.tmp-AbC123", "");
    touch(&s, &root.join(".orchestrator/mailbox/.tmp-AbC123"), "2 hours ago");
    s.write(".orchestrator/mailbox/.tmp-young1", "");
    s.write(&format!(".git/refs/heads/slimductor/{run}/task/x.lock"), "");
    touch(&s, &root.join(format!(".git/refs/heads/slimductor/{run}/task/x.lock")), "1 hour ago");
    let probe = s.outside("tmp/sd-probe-AbC123");
    std::fs::create_dir(&probe).unwrap();
    touch(&s, &probe, "3 days ago");
    let before = s.listing();
    let found = doctor(&s);
    assert_eq!(s.listing(), before, "plain doctor changes nothing");
    assert!(probe.exists());
    let fixed = fix(&s);
    let (removed, kept) = (left(&fixed, true), left(&fixed, false));
    for wanted in [
        "-slot7",
        ".worktrees/dangling",
        ".tmp-link-4194303-a",
        ".new-",
        ".old-",
        ".tmp-AbC123",
        "x.lock",
        "sd-probe-AbC123",
    ] {
        assert_has(&removed, wanted);
        assert_has(&left(&found, false), wanted);
    }
    assert_eq!(removed.len(), 8, "{removed:#?}");
    assert_has(&kept, &format!("worktree {}", slot.display()));
    assert_has(&kept, &format!("branch slimductor/{run}/task/a"));
    assert_has(&kept, &format!("branch slimductor/{run}/staging"));
    assert_eq!(std::fs::read_to_string(slot.join("a")).unwrap(), "work\n");
    assert!(
        root.join(".worktrees/a").exists()
            && root.join(".orchestrator/mailbox/.tmp-young1").exists()
    );
    // Each says how it is removed by hand, and that works.
    for item in fixed.json()["leftovers"].as_array().unwrap() {
        let help = item["help"].as_str();
        assert_eq!(help.is_none(), item["removed"] == true, "{item}");
        let commands: Vec<&str> = help.unwrap_or("").split('`').skip(1).step_by(2).collect();
        let commands = match help {
            Some(help) if commands.is_empty() => vec![help.split(',').next().unwrap()],
            _ => commands,
        };
        for line in commands {
            assert!(s.command("sh").args(["-c", line]).status().unwrap().success(), "{line}");
        }
    }
    // The link leads nowhere now.
    assert_eq!(left(&fix(&s), true), [format!("link {}", root.join(".worktrees/a").display())]);
    assert_eq!(doctor(&s).json()["leftovers"], serde_json::json!([]));
    assert!(!root.join(".worktrees").exists());
    assert_eq!(s.git(&["for-each-ref", "refs/heads", "--format=%(refname)"]), "refs/heads/main");
    s.git(&["fsck", "--strict"]);
}

/// A run that has ended while its worktree is still there, whole; its run id.
fn ended_with_worktree(s: &Sandbox) -> (String, PathBuf) {
    s.run_plan(&plan(&[fails("a")]), &[]).exits(5);
    let run = run_of(s);
    let aside = s.outside("aside");
    std::fs::create_dir(&aside).unwrap();
    let things = [
        format!(".worktrees/{run}-slot0"),
        format!(".git/worktrees/{run}-slot0"),
        format!(".orchestrator/runs/{run}/indices"),
        format!(".orchestrator/runs/{run}/git"),
    ];
    for (n, thing) in things.iter().enumerate() {
        copy(s, &s.root().join(thing), &aside.join(n.to_string()));
    }
    s.run(&["abort"]).exits(0);
    for (n, thing) in things.iter().enumerate() {
        let to = s.root().join(thing);
        std::fs::create_dir_all(to.parent().unwrap()).unwrap();
        copy(s, &aside.join(n.to_string()), &to);
    }
    let slot = s.root().join(&things[0]);
    (run, slot)
}

#[test]
fn a_worktree_of_an_ended_run_goes_when_all_of_it_is_committed() {
    let s = Sandbox::new();
    let (run, slot) = ended_with_worktree(&s);
    assert_has(&left(&doctor(&s), false), &slot.display().to_string());
    assert!(slot.exists());
    // A cache is nobody's work.
    std::fs::create_dir(slot.join("node_modules")).unwrap();
    std::fs::write(slot.join("node_modules/x"), "").unwrap();
    // As is what is missing: a clearing may have been cut off.
    std::fs::remove_file(slot.join("README.md")).unwrap();
    let fixed = fix(&s);
    assert_eq!(left(&fixed, true), [format!("worktree {}", slot.display())], "{}", fixed.out);
    // Its work is on the recovery branch, which is told and kept.
    assert_eq!(left(&fixed, false), [format!("branch slimductor/{run}/recovery/a-1")]);
    assert!(!s.root().join(".worktrees").exists());
    assert_eq!(s.git(&["worktree", "list"]).lines().count(), 1);
    assert!(left(&fix(&s), true).is_empty());
}

#[test]
fn a_worktree_of_an_ended_run_stays_when_something_in_it_is_committed_nowhere() {
    for edit in ["edited", "new", "committed", "no index", "locked"] {
        let s = Sandbox::new();
        let (run, slot) = ended_with_worktree(&s);
        match edit {
            "edited" => std::fs::write(slot.join("a"), "by hand\n").unwrap(),
            "new" => std::fs::write(slot.join("new"), "by hand\n").unwrap(),
            "no index" => std::fs::remove_dir_all(run_dir(&s, &run).join("indices")).unwrap(),
            "locked" => s.write(&format!(".git/worktrees/{run}-slot0/locked"), "mine\n"),
            // In the private repository alone, and no longer in the files.
            _ => {
                std::fs::write(slot.join("a"), "by hand\n").unwrap();
                let git =
                    ["-c", "user.name=p", "-c", "user.email=p@p", "-C", slot.to_str().unwrap()];
                s.git(&[&git[..], &["add", "a"]].concat());
                s.git(&[&git[..], &["commit", "-qm", "mine"]].concat());
                std::fs::write(slot.join("a"), "work\n").unwrap();
            }
        }
        let fixed = fix(&s);
        assert!(left(&fixed, true).is_empty(), "{edit}: {}", fixed.out);
        assert_has(&left(&fixed, false), &format!("worktree {}", slot.display()));
        assert!(slot.join("a").exists(), "{edit}");
        let again = fix(&s);
        assert_eq!(left(&again, false), left(&fixed, false), "{edit}");
    }
}

#[test]
fn processes_and_temporary_directories_of_ended_runs_are_ended() {
    let s = Sandbox::new();
    let started = s.fifo("started");
    let work = format!("echo half > a; echo go > {}; sleep 600", started.display());
    s.write("tasks.yaml", &plan(&[task("a", &[], "a", &work)]));
    let mut child = s.start(&["run", "--backend", "process"]);
    std::fs::read_to_string(&started).unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    let run = run_of(&s);
    let wrapper = s.wrapper_of("worker-a-1");
    assert!(left(&fix(&s), true).is_empty(), "a live worker of an unfinished run");
    end(&s, &run);
    let found = doctor(&s);
    assert_has(&left(&found, false), &format!("process {wrapper}"));
    let fixed = fix(&s);
    assert_has(&left(&fixed, true), &format!("process {wrapper}"));
    s.assert_no_process();
    // What it had written is committed nowhere.
    let slot = s.root().join(format!(".worktrees/{run}-slot0"));
    assert_eq!(std::fs::read_to_string(slot.join("a")).unwrap(), "half\n");
    assert!(left(&fix(&s), true).is_empty());
}

#[test]
fn the_temporary_directory_of_a_killed_wrapper_goes_with_its_run() {
    let s = Sandbox::new();
    let started = s.fifo("started");
    let work = format!("echo half > $TMPDIR/x; echo go > {}; sleep 600", started.display());
    s.write("tasks.yaml", &plan(&[task("a", &[], "a", &work)]));
    let mut child = s.start(&["run", "--backend", "process", "--fence", "off"]);
    std::fs::read_to_string(&started).unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    let run = run_of(&s);
    let job = run_dir(&s, &run).join("jobs/worker-a-1");
    let tmp = std::fs::read_link(job.join("tmp")).unwrap();
    assert!(tmp.join("x").exists());
    // The wrapper and its command, by the mark of the job.
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let env = std::fs::read(entry.path().join("environ")).unwrap_or_default();
        let line = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let name = job.to_str().unwrap().as_bytes();
        if [env, line].iter().any(|text| text.windows(name.len()).any(|w| w == name)) {
            let pid = entry.file_name().into_string().unwrap();
            s.command("kill").args(["-9", &pid]).stderr(Stdio::null()).status().unwrap();
        }
    }
    while std::fs::File::open(job.join("lock")).unwrap().try_lock_shared().is_err() {
        std::thread::yield_now();
    }
    assert!(left(&fix(&s), true).is_empty());
    assert!(tmp.exists(), "the run may still be resumed");
    end(&s, &run);
    // A link to somewhere else is not followed.
    let mine = s.outside("tmp/sd-mine");
    std::fs::create_dir(&mine).unwrap();
    copy(&s, &job, &job.with_file_name("worker-b-1"));
    std::fs::remove_file(job.with_file_name("worker-b-1").join("tmp")).unwrap();
    std::os::unix::fs::symlink(&mine, job.with_file_name("worker-b-1").join("tmp")).unwrap();
    let fixed = fix(&s);
    assert_has(&left(&fixed, true), &format!("temporary directory {}", tmp.display()));
    assert!(!tmp.exists() && mine.exists());
}

#[test]
fn sessions_of_ended_runs_go_and_those_of_unfinished_ones_stay() {
    if !tmux_is_here() {
        return;
    }
    let s = Sandbox::with_tmux();
    s.write("tasks.yaml", &plan(&[fails("a")]));
    s.run(&["run", "--backend", "tmux"]).exits(5);
    assert!(s.sessions().contains("worker-a"));
    assert!(left(&fix(&s), true).is_empty());
    assert!(s.sessions().contains("worker-a"));
    let run = run_of(&s);
    std::fs::rename(run_dir(&s, &run), s.outside("run")).unwrap();
    assert_has(&left(&doctor(&s), false), "session worker-a");
    assert!(s.sessions().contains("worker-a"));
    assert_has(&left(&fix(&s), true), "session worker-a");
    assert!(!s.sessions().contains("worker-a"));
    assert!(!left(&doctor(&s), false).iter().any(|l| l.contains("session")));
}

#[test]
fn branches_of_ended_runs_go_when_they_are_merged_and_are_told_else() {
    let s = Sandbox::new();
    let text = plan(&[task("a", &[], "a", "echo a > a")]);
    s.run_plan(&text, &["--no-promote"]).exits(0);
    let run = run_of(&s);
    let staging = format!("slimductor/{run}/staging");
    let fixed = s.run(&["doctor", "--fix"]).exits(0);
    assert!(fixed.out.contains("kept") && fixed.out.contains(&format!("git branch -D {staging}")));
    assert_eq!(s.git(&["show", &format!("{staging}:a")]), "a");
    // Merged by a person, but checked out somewhere.
    s.git(&["merge", "-q", &staging]);
    s.git(&["worktree", "add", "-q", "../looking", &staging]);
    assert!(left(&fix(&s), true).is_empty());
    s.git(&["worktree", "remove", "../looking"]);
    assert_eq!(left(&fix(&s), true), [format!("branch {staging}")]);
    assert_eq!(s.read("a"), "a\n");
    assert_eq!(doctor(&s).json()["leftovers"], serde_json::json!([]));
}

#[test]
fn old_runs_are_pruned_by_policy_and_never_the_last_one_or_unmerged_work() {
    let s = Sandbox::new();
    s.write("slimductor.yaml", "retention: {runs: 1, days: 30, recovery_days: 90}\n");
    s.git(&["add", "-A"]);
    s.git(&["commit", "-qm", "settings"]);
    s.run_plan(&plan(&[task("a", &[], "a", "echo a > a")]), &[]).exits(0);
    let run = run_of(&s);
    let (merged, old, unmerged, young) =
        (aged(&s, &run, 200), aged(&s, &run, 60), aged(&s, &run, 50), aged(&s, &run, 20));
    // Work that was merged, long ago and not so long ago, and work that was not.
    s.git(&["branch", &format!("slimductor/{merged}/recovery/a-1")]);
    s.git(&["branch", &format!("slimductor/{old}/recovery/a-1")]);
    let commit = s.git(&["commit-tree", "-p", "HEAD", "-m", "work", "HEAD^{tree}"]);
    s.git(&["branch", &format!("slimductor/{unmerged}/recovery/a-1"), &commit]);
    let aside = s.root().join(".orchestrator/runs/.old-20200101-000000-000");
    std::fs::create_dir(&aside).unwrap();
    let before = s.listing();
    let due = left(&doctor(&s), false);
    assert_eq!(s.listing(), before);
    for wanted in [
        format!("run {merged}"),
        format!("run {old}"),
        format!("run logs {unmerged}"),
        format!("recovery branch slimductor/{merged}/recovery/a-1"),
        format!("run directory {}", aside.display()),
    ] {
        assert!(due.contains(&wanted), "{wanted}: {due:#?}");
    }
    let check = |fixed: &str| {
        assert!(run_dir(&s, &run).join("jobs").exists(), "{fixed}");
        assert!(run_dir(&s, &young).join("jobs").exists(), "{fixed}");
        assert!(!run_dir(&s, &merged).exists() && !run_dir(&s, &old).exists(), "{fixed}");
        assert!(!aside.exists(), "{fixed}");
        let thin = run_dir(&s, &unmerged);
        assert!(!thin.join("jobs").exists(), "{fixed}");
        for name in ["journal.jsonl", "plan.yaml", "config.yaml", "frozen.json", "report.md"] {
            assert!(thin.join(name).exists(), "{name}");
        }
        let all = s.git(&["for-each-ref", "refs/heads/slimductor", "--format=%(refname:short)"]);
        let kept = [&old, &unmerged].map(|r| format!("slimductor/{r}/recovery/a-1"));
        assert_eq!(all.lines().collect::<Vec<_>>(), kept, "{fixed}");
        s.run(&["report", &unmerged]).exits(0);
        s.run(&["status", &unmerged]).exits(0);
    };
    let copy_of_all = s.outside("all");
    copy(&s, &s.root(), &copy_of_all);
    let fixed = fix(&s);
    check(&fixed.out);
    let again = fix(&s);
    assert!(left(&again, true).is_empty(), "{}", again.out);
    // The same at the end of a run, by itself.
    std::fs::rename(s.root(), s.outside("first")).unwrap();
    std::fs::rename(&copy_of_all, s.outside("repo")).unwrap();
    let ran = s.run_plan(&plan(&[task("b", &[], "b", "echo b > b")]), &[]).exits(0);
    assert!(ran.err.contains(&format!("removed run {old}")), "{}", ran.err);
    check(&ran.err);
}

#[test]
fn without_a_valid_configuration_old_runs_are_not_judged() {
    let s = Sandbox::new();
    s.run_plan(&plan(&[task("a", &[], "a", "echo a > a")]), &[]).exits(0);
    let old = aged(&s, &run_of(&s), 500);
    s.write("slimductor.yaml", "retention: {runs: none}\n");
    s.write(".orchestrator/.tmp-AbC123", "");
    touch(&s, &s.root().join(".orchestrator/.tmp-AbC123"), "2 hours ago");
    let fixed = s.run(&["doctor", "--fix", "--json"]).exits(7);
    assert_eq!(left(&fixed, true).len(), 1, "{}", fixed.out);
    assert!(run_dir(&s, &old).exists());
}

#[test]
fn a_damaged_run_and_its_things_are_left_alone() {
    let s = Sandbox::new();
    s.run_plan(&plan(&[fails("a")]), &[]).exits(5);
    let run = run_of(&s);
    s.run(&["abort"]).exits(0);
    let old = aged(&s, &run, 500);
    let journal = run_dir(&s, &old).join("journal.jsonl");
    let text = std::fs::read_to_string(&journal).unwrap();
    std::fs::write(&journal, text.replacen("\"seq\":2", "\"seq\":3", 1)).unwrap();
    s.git(&["branch", &format!("slimductor/{old}/staging")]);
    s.write("slimductor.yaml", "retention: {runs: 1, days: 1}\n");
    let fixed = s.run(&["doctor", "--fix", "--json"]).exits(0);
    assert!(left(&fixed, true).is_empty(), "{}", fixed.out);
    assert!(run_dir(&s, &old).join("jobs").exists());
    assert!(s.git(&["branch", "--list", "slimductor/*"]).contains(&old));
}

#[test]
fn what_stands_in_the_way_of_a_run_is_said() {
    let s = Sandbox::new();
    s.write(".orchestrator", "a file\n");
    let bad = s.run(&["doctor"]).exits(7);
    assert!(bad.out.contains("not a directory"), "{}", bad.out);
    std::fs::remove_file(s.root().join(".orchestrator")).unwrap();
    // As root only: a repository of somebody else's.
    let chown = |who: &str| {
        let mut command = s.command("chown");
        command.args(["-R", who]).arg(s.root()).stderr(Stdio::null()).status().unwrap().success()
    };
    if !chown("12345") {
        println!("skipped: not root");
        return;
    }
    let foreign = s.run(&["doctor"]).exits(7);
    assert!(foreign.out.contains("safe.directory"), "{}", foreign.out);
    chown("0");
}

/// Every name below the repository, but for git's own bookkeeping, and its branches.
fn names(s: &Sandbox) -> Vec<String> {
    let root = s.root();
    let mut found = s.command("find");
    found.args([".", "-path", "./.git/objects", "-prune", "-o", "-print"]);
    let found = found.output().unwrap();
    let text = String::from_utf8_lossy(&found.stdout).into_owned();
    // A copy of an index that a crash left goes with its run.
    let left_out = ["./.git/logs", "run.lock", "/indices", "/git/"];
    let ours = text.lines().filter(|l| !left_out.iter().any(|part| l.contains(part)));
    let mut out: Vec<String> = ours.map(str::to_owned).collect();
    out.push(s.git(&["for-each-ref", "--format=%(refname) %(objectname)"]));
    assert!(root.join(".git").exists());
    out.sort();
    out
}

#[test]
fn a_fix_that_dies_or_fails_at_any_effect_is_finished_by_the_next_one() {
    if !cfg!(debug_assertions) {
        println!("skipped: faults are planted in debug builds alone");
        return;
    }
    let s = Sandbox::new();
    s.write("slimductor.yaml", "retention: {runs: 1, days: 30, recovery_days: 90}\n");
    s.git(&["add", "-A"]);
    s.git(&["commit", "-qm", "settings"]);
    let (ended, slot) = ended_with_worktree(&s);
    let (merged, unmerged) = (aged(&s, &ended, 200), aged(&s, &ended, 100));
    s.git(&["branch", &format!("slimductor/{merged}/recovery/a-1"), "main"]);
    let work = format!("slimductor/{ended}/recovery/a-1");
    s.git(&["branch", &format!("slimductor/{unmerged}/recovery/a-1"), &work]);
    let gone = "20200101-000000-000";
    s.git(&["branch", &format!("slimductor/{gone}/staging")]);
    s.git(&["branch", &format!("slimductor/{gone}/task/a"), &work]);
    let link = |to: &str, name: &str| {
        std::os::unix::fs::symlink(to, s.root().join(".worktrees").join(name)).unwrap();
    };
    link(&format!("{gone}-slot0"), "dangling");
    link(&format!("{ended}-slot0"), "a");
    s.write(&format!(".worktrees/{gone}-slot1/work"), "mine\n");
    s.write(&format!(".orchestrator/runs/.new-{gone}/x"), "");
    s.write(".orchestrator/.tmp-AbC123", "");
    touch(&s, &s.root().join(".orchestrator/.tmp-AbC123"), "2 hours ago");
    let all = s.outside("all");
    copy(&s, &s.root(), &all);
    let again = || {
        std::fs::remove_dir_all(s.root().join(".git")).unwrap();
        let root = s.root();
        for entry in std::fs::read_dir(&root).unwrap().flatten() {
            s.command("rm").arg("-rf").arg(entry.path()).status().unwrap();
        }
        copy(&s, &all.join("."), &root);
    };
    let first = fix(&s);
    let (removed, kept) = (left(&first, true), left(&first, false));
    assert_has(&removed, &slot.display().to_string());
    assert_has(&removed, &format!("run {merged}"));
    assert_has(&removed, &format!("run logs {unmerged}"));
    assert_has(&removed, "dangling");
    assert_has(&removed, ".worktrees/a");
    let wanted = names(&s);
    for fault in ["kill", "enospc", "eacces"] {
        for n in 1.. {
            again();
            let log = s.outside("log");
            let _ = std::fs::remove_file(&log);
            let mut command = s.slimductor();
            command.args(["doctor", "--fix", "--json"]).env("SLIMDUCTOR_FAULT_LOG", &log);
            command.env("SLIMDUCTOR_FAULT", format!("{fault}@{n}"));
            let hit = super::sandbox::ran(command.output().unwrap());
            assert!([-1, 0, 7].contains(&hit.code), "{fault}@{n}: {} {}", hit.code, hit.err);
            let second = fix(&s);
            assert_eq!(names(&s), wanted, "{fault}@{n}: {}\n{}", hit.out, second.out);
            assert_eq!(left(&second, false), kept, "{fault}@{n}");
            let text = std::fs::read_to_string(&log).unwrap_or_default();
            if text.lines().count() < n {
                println!("{fault}: {} points", n - 1);
                break;
            }
        }
    }
    s.git(&["fsck", "--strict"]);
}
