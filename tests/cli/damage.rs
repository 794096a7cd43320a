//! Files of a run are cut, flipped, lost or replaced, and `resume` ends right or refuses in one clear sentence.

use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::sandbox::{Ran, Sandbox, plan, ran, task};

/// Which kind of run is damaged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Finished,
    /// The coordinator was killed while a worker waited; the worker has ended meanwhile.
    Interrupted,
    /// A task failed, and a person is to say what next.
    Waiting,
}

/// A run and a copy of all that it left on disk, so that it can be damaged again and again.
struct Scene {
    s: Sandbox,
    kind: Kind,
    run: String,
    effects: PathBuf,
    flag: PathBuf,
}

impl Scene {
    fn new(kind: Kind) -> Scene {
        let s = Sandbox::new();
        let (effects, flag) = (s.outside("effects"), s.outside("flag"));
        let note = |id: &str| format!("echo {id} >> {}", effects.display());
        let (started, go) = (s.fifo("started"), s.fifo("go"));
        let text = match kind {
            Kind::Finished => plan(&[
                task("a", &[], "a", &format!("{}; echo a > a", note("a"))),
                task("b", &["a"], "b", &format!("{}; echo b > b", note("b"))),
            ]),
            Kind::Interrupted => plan(&[
                task("a", &[], "a", &format!("{}; echo a > a", note("a"))),
                task(
                    "b",
                    &["a"],
                    "b",
                    &format!(
                        "{}; test -e {} || {{ echo > {}; read x < {}; }}; echo b > b",
                        note("b"),
                        flag.display(),
                        started.display(),
                        go.display()
                    ),
                ),
            ]),
            Kind::Waiting => plan(&[
                task(
                    "a",
                    &[],
                    "a",
                    &format!("{}; echo a > a; test -e {}", note("a"), flag.display()),
                )
                .replace("    files_write", "    max_attempts: 1\n    files_write"),
                task("b", &[], "b", &format!("{}; echo b > b", note("b"))),
            ]),
        };
        match kind {
            Kind::Finished => drop(s.run_plan(&text, &[]).exits(0)),
            Kind::Waiting => drop(s.run_plan(&text, &[]).exits(5)),
            Kind::Interrupted => {
                s.write("tasks.yaml", &text);
                let mut child = s.start(&["run", "--backend", "process"]);
                opened(&started);
                child.kill().unwrap();
                child.wait().unwrap();
                std::fs::write(&flag, "").unwrap();
                std::fs::write(&go, "\n").unwrap();
            }
        }
        let run = s.status()["run_id"].as_str().unwrap().to_owned();
        let scene = Scene { s, kind, run, effects, flag };
        if kind == Kind::Interrupted {
            slimductor::store::wait_unlocked(&scene.place("jobs/worker-b-1/lock")).unwrap();
        }
        scene.copy(&scene.s.root(), &scene.s.outside("saved"));
        std::fs::copy(&scene.effects, scene.s.outside("saved-effects")).unwrap();
        scene
    }

    /// A path below the run's directory.
    fn place(&self, name: &str) -> PathBuf {
        self.s.root().join(".orchestrator/runs").join(&self.run).join(name)
    }

    fn copy(&self, from: &Path, to: &Path) {
        // Not by the sandbox's command: at this moment there may be no directory to work in.
        let mut command = std::process::Command::new("cp");
        let copied = command.arg("-a").args([from, to]).current_dir("/").status().unwrap();
        assert!(copied.success());
    }

    /// Everything as it was before the first damage, at the same place: worktrees are known by their paths.
    fn restore(&self) {
        let root = self.s.outside("repo");
        std::fs::remove_dir_all(&root).unwrap();
        self.copy(&self.s.outside("saved"), &root);
        std::fs::copy(self.s.outside("saved-effects"), &self.effects).unwrap();
        if self.kind == Kind::Waiting {
            let _ = std::fs::remove_file(&self.flag);
        }
    }

    fn journal(&self) -> Vec<u8> {
        std::fs::read(
            self.s.outside("saved/.orchestrator/runs").join(&self.run).join("journal.jsonl"),
        )
        .unwrap()
    }

    /// `resume`, killed when it hangs.
    fn resume(&self) -> Ran {
        self.bounded(&["resume"])
    }

    fn bounded(&self, args: &[&str]) -> Ran {
        let exe = self.s.slimductor();
        let mut command = self.s.command("timeout");
        command.args(["-s", "KILL", "60"]).arg(exe.get_program()).args(args);
        ran(command.output().unwrap())
    }

    /// How often each worker's command ran.
    fn effects(&self) -> String {
        let text = std::fs::read_to_string(&self.effects).unwrap();
        let mut lines: Vec<&str> = text.lines().collect();
        lines.sort_unstable();
        lines.join(" ")
    }

    /// What must be true once the run has come to its end; `times` is how often each worker may have run.
    #[track_caller]
    fn assert_ended(&self, what: &str, ended: Ran, times: &[&str]) {
        let mut ended = ended;
        if self.kind == Kind::Waiting {
            assert_eq!(ended.code, 5, "{what}: {}{}", ended.out, ended.err);
            assert!(!self.s.root().join("b").exists(), "{what}: promoted by itself");
            std::fs::write(&self.flag, "").unwrap();
            let retried = self.bounded(&["retry", "a"]);
            assert_eq!(retried.code, 0, "{what}: retry: {}{}", retried.out, retried.err);
            ended = self.resume();
        }
        assert_eq!(ended.code, 0, "{what}: {}{}", ended.out, ended.err);
        let read =
            |name: &str| std::fs::read_to_string(self.s.root().join(name)).unwrap_or_default();
        assert_eq!((read("a"), read("b")), ("a\n".to_owned(), "b\n".to_owned()), "{what}");
        assert_eq!(self.s.git(&["status", "--porcelain"]), "?? tasks.yaml", "{what}");
        let tree = self.s.git(&["ls-tree", "-r", "--name-only", "main"]);
        assert_eq!(tree, "README.md\na\nb\nsrc/base.txt", "{what}");
        // Each landed by one merge of its own, once.
        let merges = self.s.git(&["rev-list", "--first-parent", "--count", "main"]);
        assert_eq!(merges, "3", "{what}");
        let ran = self.effects();
        assert!(times.contains(&ran.as_str()), "{what}: workers ran as `{ran}`");
        self.s.git(&["fsck", "--strict"]);
        self.s.assert_no_process();
    }

    /// The count of runs of an undamaged twin.
    fn once(&self) -> &'static str {
        if self.kind == Kind::Waiting { "a a b" } else { "a b" }
    }

    /// Refused: exit 8, the file named, nothing touched.
    #[track_caller]
    fn assert_refused(&self, what: &str, ended: &Ran, names: &str, before: &[String]) {
        assert_eq!(ended.code, 8, "{what}: {}{}", ended.out, ended.err);
        assert!(ended.err.contains(names), "{what}: {} is not named: {}", names, ended.err);
        assert!(
            ended.err.contains("hint:") || ended.err.contains("help:"),
            "{what}: {}",
            ended.err
        );
        assert_eq!(self.s.listing(), before, "{what}: something was changed");
    }

    /// Damages the journal, resumes, and holds that it ended right or was refused.
    #[track_caller]
    fn damaged_journal(&self, what: &str, bytes: &[u8]) {
        self.restore();
        std::fs::write(self.place("journal.jsonl"), bytes).unwrap();
        let before = self.s.listing();
        let ended = self.resume();
        if ended.code == 8 {
            let line = ended.err.split("journal.jsonl:").nth(1).unwrap_or("");
            let numbered = line.starts_with(|c: char| c.is_ascii_digit());
            assert!(numbered, "{what}: no line: {}", ended.err);
            self.assert_refused(what, &ended, "journal.jsonl:", &before);
        } else {
            self.assert_ended(what, ended, &[self.once()]);
        }
    }
}

/// Waits until a worker has opened the pipe; a minute at most, so that a run that never came so far fails the test.
fn opened(pipe: &Path) {
    let (sender, receiver) = std::sync::mpsc::channel();
    let path = pipe.to_owned();
    std::thread::spawn(move || sender.send(std::fs::read_to_string(path).is_ok()));
    let came = receiver.recv_timeout(std::time::Duration::from_secs(60));
    assert_eq!(came, Ok(true), "no worker came to {}", pipe.display());
}

/// Where the last three records begin, and the end.
fn last_three(journal: &[u8]) -> Vec<usize> {
    let mut starts = vec![0];
    starts.extend((0..journal.len()).filter(|n| journal[*n] == b'\n').map(|n| n + 1));
    starts[starts.len() - 4..].to_vec()
}

fn all() -> bool {
    std::env::var_os("SLIMDUCTOR_CRASH_ALL").is_some()
}

/// Both ends of each of the last three records and something between; all bytes when asked for.
fn places(journal: &[u8]) -> Vec<usize> {
    let starts = last_three(journal);
    if all() {
        return (starts[0]..journal.len()).collect();
    }
    let of = |w: &[usize]| {
        let (from, to) = (w[0], w[1]);
        [from, from + 1, from + (to - from) / 2, to - 12, to - 3, to - 2, to - 1]
    };
    starts.windows(2).flat_map(of).collect()
}

/// Goes on after a failure, so that one sweep shows all places; fails at its end.
fn sweep<T: Copy + std::fmt::Debug>(items: &[T], each: impl Fn(T)) {
    let mut bad = Vec::new();
    for item in items {
        let tried = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| each(*item)));
        if let Err(why) = tried {
            let text = why.downcast_ref::<String>().cloned().unwrap_or_default();
            bad.push(format!("{item:?}: {}", text.chars().take(600).collect::<String>()));
        }
    }
    assert!(bad.is_empty(), "{} of {} failed:\n{}", bad.len(), items.len(), bad.join("\n---\n"));
}

fn cut_everywhere(kind: Kind) {
    let scene = Scene::new(kind);
    let journal = scene.journal();
    sweep(&places(&journal), |at| {
        scene.damaged_journal(&format!("{kind:?} cut at {at}"), &journal[..at]);
    });
}

#[test]
fn a_finished_run_whose_journal_was_cut_at_any_byte_ends_the_same_way() {
    cut_everywhere(Kind::Finished);
}

#[test]
fn an_interrupted_run_whose_journal_was_cut_at_any_byte_ends_the_same_way() {
    cut_everywhere(Kind::Interrupted);
}

#[test]
fn a_waiting_run_whose_journal_was_cut_at_any_byte_ends_the_same_way() {
    cut_everywhere(Kind::Waiting);
}

fn flip_everywhere(kind: Kind) {
    let scene = Scene::new(kind);
    let journal = scene.journal();
    let mut flips = Vec::new();
    for at in places(&journal) {
        let to: &[u8] = if all() { &[0x01, 0x20, 0x80, 0xff] } else { &[0x01, 0x80] };
        flips.extend(to.iter().map(|mask| (at, journal[at] ^ mask)));
        flips.push((at, b'\n'));
        flips.push((at, 0));
    }
    flips.retain(|(at, to)| journal[*at] != *to);
    sweep(&flips, |(at, to)| {
        let mut bytes = journal.clone();
        bytes[at] = to;
        scene.damaged_journal(&format!("{kind:?} byte {at} is {to}"), &bytes);
    });
}

#[test]
fn a_finished_run_with_any_flipped_byte_ends_right_or_is_refused() {
    flip_everywhere(Kind::Finished);
}

#[test]
fn an_interrupted_run_with_any_flipped_byte_ends_right_or_is_refused() {
    flip_everywhere(Kind::Interrupted);
}

#[test]
fn a_waiting_run_with_any_flipped_byte_ends_right_or_is_refused() {
    flip_everywhere(Kind::Waiting);
}

/// CRC-32 (IEEE), so that a record can be forged.
fn crc32(bytes: &[u8]) -> u32 {
    let mut crc = !0_u32;
    for byte in bytes {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 { (crc >> 1) ^ 0xedb8_8320 } else { crc >> 1 };
        }
    }
    !crc
}

fn record(body: &str) -> String {
    format!("{body},\"crc\":\"{:08x}\"}}\n", crc32(body.as_bytes()))
}

#[test]
fn what_a_journal_may_become_is_read_or_refused_with_its_place() {
    sweep(&[Kind::Finished, Kind::Interrupted, Kind::Waiting], |kind| {
        let scene = Scene::new(kind);
        let whole = scene.journal();
        let text = String::from_utf8(whole.clone()).unwrap();
        let next = text.lines().count() + 1;
        let newer = |event: &str| {
            record(&format!(
                "{{\"v\":999,\"seq\":{next},\"at\":\"2026-11-20T00:00:00Z\",\"event\":{event}"
            ))
        };
        let refused = |what: &str, bytes: &[u8], names: &str| {
            scene.restore();
            std::fs::write(scene.place("journal.jsonl"), bytes).unwrap();
            let before = scene.s.listing();
            let ended = scene.resume();
            scene.assert_refused(&format!("{kind:?} {what}"), &ended, names, &before);
            ended
        };
        // What a file system may show after a loss of power: the length is there, the content is not.
        let nulled = [&whole[..], &[0; 4096]].concat();
        scene.damaged_journal("NUL behind the end", &nulled);
        let crlf = text.replace('\n', "\r\n");
        refused("CRLF", crlf.as_bytes(), "journal.jsonl:1");
        let twice = [&whole[..], &whole[..]].concat();
        refused("two journals", &twice, &format!("journal.jsonl:{next}"));
        refused("empty", b"", "journal.jsonl");
        let line = format!("journal.jsonl:{next}");
        let known = newer("{\"type\":\"staging_created\"}");
        let ended = refused("newer", &[&whole[..], known.as_bytes()].concat(), &line);
        assert!(ended.err.contains("newer slimductor"), "{}", ended.err);
    });
}

#[test]
fn a_newer_event_is_called_newer() {
    let scene = Scene::new(Kind::Waiting);
    let whole = scene.journal();
    let next = whole.iter().filter(|b| **b == b'\n').count() + 1;
    let unknown = record(&format!(
        "{{\"v\":999,\"seq\":{next},\"at\":\"2026-11-20T00:00:00Z\",\"event\":{{\"type\":\"budget_spent\",\"cents\":3}}"
    ));
    std::fs::write(scene.place("journal.jsonl"), [&whole[..], unknown.as_bytes()].concat())
        .unwrap();
    let before = scene.s.listing();
    let ended = scene.resume();
    scene.assert_refused("newer event", &ended, &format!("journal.jsonl:{next}"), &before);
    assert!(ended.err.contains("newer slimductor"), "{}", ended.err);
}

#[test]
fn the_end_of_a_journal_that_turned_into_zeros_is_cut_off() {
    sweep(&[Kind::Finished, Kind::Interrupted, Kind::Waiting], |kind| {
        let scene = Scene::new(kind);
        let mut torn = scene.journal();
        torn.truncate(torn.len() - 9);
        scene.damaged_journal("zeros", &[&torn[..], &[0; 700]].concat());
    });
}

#[test]
fn a_blank_line_hides_nothing_of_what_stands_behind_it() {
    sweep(&[Kind::Finished, Kind::Interrupted, Kind::Waiting], |kind| {
        let scene = Scene::new(kind);
        let whole = scene.journal();
        let starts = last_three(&whole);
        let inside = [&whole[..starts[1]], b"\n", &whole[starts[1]..]].concat();
        for (what, bytes) in [("behind", [&whole[..], b"\n"].concat()), ("inside", inside)] {
            scene.restore();
            std::fs::write(scene.place("journal.jsonl"), bytes).unwrap();
            let before = scene.s.listing();
            let ended = scene.resume();
            scene.assert_refused(&format!("{kind:?} {what}"), &ended, "journal.jsonl:", &before);
        }
    });
}

#[test]
fn indices_that_were_deleted_are_made_again() {
    let scene = Scene::new(Kind::Interrupted);
    scene.restore();
    std::fs::remove_dir_all(scene.place("indices")).unwrap();
    scene.assert_ended("without indices", scene.resume(), &["a b"]);
}

#[test]
fn a_journal_that_is_gone_or_no_file_is_refused_with_its_path() {
    let scene = Scene::new(Kind::Interrupted);
    for what in ["missing", "directory", "unreadable link"] {
        scene.restore();
        let path = scene.place("journal.jsonl");
        std::fs::remove_file(&path).unwrap();
        match what {
            "directory" => std::fs::create_dir(&path).unwrap(),
            "unreadable link" => std::os::unix::fs::symlink("journal.jsonl", &path).unwrap(),
            _ => {}
        }
        let before = scene.s.listing();
        scene.assert_refused(what, &scene.resume(), "journal.jsonl", &before);
        let named = scene.bounded(&["resume", &scene.run]);
        scene.assert_refused(what, &named, "journal.jsonl", &before);
        let status = scene.bounded(&["status"]);
        scene.assert_refused(what, &status, "journal.jsonl", &before);
    }
}

#[test]
fn files_beside_the_journal_that_are_gone_or_garbage_are_refused_by_name() {
    let scene = Scene::new(Kind::Interrupted);
    let names = ["plan.yaml", "frozen.json", "config.yaml"];
    let damages = ["missing", "garbage", "binary", "directory"];
    let all: Vec<(&str, &str)> =
        names.iter().flat_map(|n| damages.iter().map(move |d| (*n, *d))).collect();
    sweep(&all, |(name, damage)| {
        scene.restore();
        let path = scene.place(name);
        std::fs::remove_file(&path).unwrap();
        match damage {
            "garbage" => std::fs::write(&path, "{{{ : ]\n").unwrap(),
            "binary" => std::fs::write(&path, [0, 0xff, 0xfe, b'\n']).unwrap(),
            "directory" => std::fs::create_dir(&path).unwrap(),
            _ => {}
        }
        let before = scene.s.listing();
        scene.assert_refused(&format!("{name} {damage}"), &scene.resume(), name, &before);
    });
}

#[test]
fn a_plan_that_was_changed_inside_the_run_is_refused() {
    let scene = Scene::new(Kind::Interrupted);
    sweep(&["test -s b", "echo b > b", "make b"], |part| {
        scene.restore();
        let path = scene.place("plan.yaml");
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.contains(part));
        std::fs::write(&path, text.replace(part, "true")).unwrap();
        let before = scene.s.listing();
        scene.assert_refused(part, &scene.resume(), "plan.yaml", &before);
    });
}

#[test]
fn an_exit_file_that_cannot_be_right_is_told_or_tried_again_and_no_work_is_lost() {
    let scene = Scene::new(Kind::Interrupted);
    let exit = |s: &Scene| s.place("jobs/worker-b-1/exit.json");
    let good = std::fs::read(exit(&scene)).unwrap();
    sweep(&["half", "empty", "garbage", "nul", "directory", "gone"], |what| {
        scene.restore();
        match what {
            "half" => std::fs::write(exit(&scene), &good[..good.len() / 2]).unwrap(),
            "empty" => std::fs::write(exit(&scene), "").unwrap(),
            "garbage" => std::fs::write(exit(&scene), "}{").unwrap(),
            "nul" => std::fs::write(exit(&scene), vec![0; good.len()]).unwrap(),
            "gone" => std::fs::remove_file(exit(&scene)).unwrap(),
            _ => {
                std::fs::remove_file(exit(&scene)).unwrap();
                std::fs::create_dir(exit(&scene)).unwrap();
            }
        }
        let ended = scene.resume();
        if ended.code == 5 {
            let report = scene.s.read(".orchestrator/escalation-report.md");
            assert!(report.contains("exit.json"), "{what}: {report}");
            // What the worker did still stands where the report says.
            let worktree = scene.s.status()["tasks"][1]["worktree"].as_str().unwrap().to_owned();
            assert_eq!(std::fs::read_to_string(format!("{worktree}/b")).unwrap(), "b\n", "{what}");
            assert_eq!(scene.effects(), "a b", "{what}");
        } else {
            assert!(ended.err.contains("attempt 1"), "{what}: nobody was told: {}", ended.err);
            scene.assert_ended(what, ended, &["a b", "a b b"]);
        }
    });
}

#[test]
fn an_exit_file_of_another_job_counts_for_nothing() {
    let scene = Scene::new(Kind::Interrupted);
    // A check of two steps: not the one step that the worker's spec has.
    let jobs = scene.place("jobs");
    let other = jobs.join("gate-1/exit.json");
    let text = std::fs::read_to_string(&other).unwrap();
    scene.restore();
    let failed = text.replace("\"code\":0", "\"code\":3");
    assert_ne!(text, failed);
    std::fs::write(jobs.join("worker-b-1/exit.json"), failed).unwrap();
    let ended = scene.resume();
    if ended.code == 0 {
        scene.assert_ended("another's exit file", ended, &["a b", "a b b"]);
    } else {
        assert_eq!(ended.code, 5, "{}{}", ended.out, ended.err);
        let report = scene.s.read(".orchestrator/escalation-report.md");
        assert!(report.contains("exit.json"), "{report}");
    }
}

#[test]
fn a_spec_that_is_garbage_does_not_lose_a_finished_job() {
    let scene = Scene::new(Kind::Interrupted);
    sweep(&["", "}{", "\0\0\0"], |text| {
        scene.restore();
        std::fs::write(scene.place("jobs/worker-b-1/spec.json"), text).unwrap();
        scene.assert_ended("spec", scene.resume(), &["a b"]);
    });
}

#[test]
fn garbage_among_the_answers_answers_nothing_and_stands_in_nobodys_way() {
    sweep(&[Kind::Interrupted, Kind::Waiting], |kind| {
        let scene = Scene::new(kind);
        scene.restore();
        let dir = scene.place("answers");
        std::fs::create_dir_all(&dir).unwrap();
        std::fs::write(dir.join("a.json"), "}{").unwrap();
        std::fs::write(dir.join("b.json"), [0xff, 0, 0xfe]).unwrap();
        std::fs::write(dir.join("c.json"), "{\"choice\":\"explode\"}").unwrap();
        std::fs::write(
            dir.join("d.json"),
            "{\"choice\":\"retry\",\"task\":\"no-such\",\"attempt\":1}",
        )
        .unwrap();
        std::fs::write(dir.join("e.json"), "{\"choice\":\"retry\",\"task\":\"a\",\"attempt\":99}")
            .unwrap();
        std::fs::write(dir.join("f.json"), "{\"choice\":\"skip\"}").unwrap();
        std::fs::write(dir.join("g.json"), "{\"choice\":\"abort\",\"task\":\"a\"").unwrap();
        std::fs::write(dir.join("no-json"), "x").unwrap();
        std::fs::create_dir(dir.join("h.json")).unwrap();
        std::os::unix::fs::symlink("i.json", dir.join("i.json")).unwrap();
        let name = std::ffi::OsStr::from_bytes(b"\xff\xfe.json");
        std::fs::write(dir.join(name), "{\"choice\":\"abort\"}").unwrap();
        scene.assert_ended("answers", scene.resume(), &[scene.once()]);
    });
}

#[test]
fn an_answer_that_is_a_pipe_holds_nobody_up() {
    let scene = Scene::new(Kind::Interrupted);
    let path = scene.place("answers/p.json");
    assert!(scene.s.command("mkfifo").arg(&path).status().unwrap().success());
    scene.assert_ended("a pipe", scene.resume(), &["a b"]);
}

#[test]
fn the_state_file_is_made_again_or_left_to_its_owner() {
    let scene = Scene::new(Kind::Interrupted);
    let path = scene.s.root().join(".orchestration-state.json");
    sweep(&["gone", "half", "garbage", "nul"], |what| {
        scene.restore();
        let good = std::fs::read(&path).unwrap();
        match what {
            "gone" => std::fs::remove_file(&path).unwrap(),
            "half" => std::fs::write(&path, &good[..good.len() / 2]).unwrap(),
            "garbage" => std::fs::write(&path, "mine\n").unwrap(),
            _ => std::fs::write(&path, vec![0; 100]).unwrap(),
        }
        scene.assert_ended(what, scene.resume(), &["a b"]);
        let now = std::fs::read_to_string(&path).unwrap();
        match what {
            "gone" | "half" => {
                let value: serde_json::Value = serde_json::from_str(&now).unwrap();
                assert!(value["request_id"].is_string(), "{now}");
            }
            "garbage" => assert_eq!(now, "mine\n"),
            _ => {}
        }
    });
}

#[test]
fn a_state_file_that_is_a_directory_does_not_stop_a_run() {
    let scene = Scene::new(Kind::Interrupted);
    let path = scene.s.root().join(".orchestration-state.json");
    std::fs::remove_file(&path).unwrap();
    std::fs::create_dir(&path).unwrap();
    // It is derived and nobody's truth: the run comes to its end, or says which file is in the way.
    let ended = scene.resume();
    if ended.code == 7 {
        assert!(ended.err.contains(".orchestration-state.json"), "{}", ended.err);
        std::fs::remove_dir(&path).unwrap();
        scene.assert_ended("a directory", scene.resume(), &["a b"]);
    } else {
        scene.assert_ended("a directory", ended, &["a b"]);
    }
}

#[test]
fn jobs_that_were_deleted_are_done_again() {
    let scene = Scene::new(Kind::Interrupted);
    sweep(&["jobs", "prompts", "git", "gitconfig", "answers"], |name| {
        scene.restore();
        let path = scene.place(name);
        if path.is_dir() {
            std::fs::remove_dir_all(&path).unwrap();
        } else {
            let _ = std::fs::remove_file(&path);
        }
        let times: &[&str] = if name == "jobs" { &["a b b"] } else { &["a b"] };
        scene.assert_ended(&format!("without {name}"), scene.resume(), times);
    });
}

#[test]
fn worktrees_that_were_deleted_or_pruned_are_made_again_or_still_used() {
    let scene = Scene::new(Kind::Interrupted);
    sweep(&["deleted", "pruned", "moved and pruned", "admin gone", "a file"], |what| {
        scene.restore();
        let (dir, aside) = (scene.s.root().join(".worktrees"), scene.s.root().join(".aside"));
        let mut times = "a b";
        match what {
            "deleted" => {
                std::fs::remove_dir_all(&dir).unwrap();
                times = "a b b";
            }
            "pruned" => drop(scene.s.git(&["worktree", "prune"])),
            "moved and pruned" => {
                std::fs::rename(&dir, &aside).unwrap();
                scene.s.git(&["worktree", "prune", "--expire=now"]);
                std::fs::rename(&aside, &dir).unwrap();
            }
            "admin gone" => std::fs::remove_dir_all(scene.s.root().join(".git/worktrees")).unwrap(),
            _ => {
                std::fs::remove_dir_all(&dir).unwrap();
                std::fs::write(&dir, "mine\n").unwrap();
            }
        }
        let ended = scene.resume();
        if what == "a file" {
            // Somebody's file stands there: it is named and kept, and when it is gone the run goes on.
            assert!([5, 7].contains(&ended.code), "{}{}", ended.out, ended.err);
            let said = format!("{}{}", ended.out, ended.err);
            assert!(said.contains(".worktrees"), "{said}");
            assert_eq!(std::fs::read_to_string(&dir).unwrap(), "mine\n");
            std::fs::remove_file(&dir).unwrap();
            if ended.code == 5 {
                scene.bounded(&["retry", "b"]).exits(0);
            }
            scene.assert_ended(what, scene.resume(), &["a b b", "a b b b"]);
            return;
        }
        scene.assert_ended(what, ended, &["a b", times]);
    });
}

#[test]
fn a_staging_branch_that_was_deleted_or_moved_is_asked_about_in_words_that_help() {
    let scene = Scene::new(Kind::Interrupted);
    sweep(&["deleted", "back", "forward"], |what| {
        scene.restore();
        let branch = scene.s.status()["staging"]["branch"].as_str().unwrap().to_owned();
        let tip = scene.s.git(&["rev-parse", &branch]);
        let forward = scene.s.git(&["commit-tree", "-p", &tip, "-m", "mine", "main^{tree}"]);
        match what {
            "deleted" => drop(scene.s.git(&["branch", "-D", &branch])),
            "back" => drop(scene.s.git(&["branch", "-f", &branch, "main"])),
            _ => drop(scene.s.git(&["branch", "-f", &branch, &forward])),
        }
        let ended = scene.resume();
        if ended.code == 0 {
            scene.assert_ended(what, ended, &["a b"]);
            return;
        }
        assert_eq!(ended.code, 5, "{what}: {}{}", ended.out, ended.err);
        let said = format!("{}{}", ended.out, ended.err);
        assert!(said.contains("staging"), "{what}: {said}");
        // No command of that name helps.
        assert!(!said.contains("mine gone"), "{what}: {said}");
        scene.s.git(&["branch", "-f", &branch, &tip]);
        scene.assert_ended(what, scene.resume(), &["a b"]);
    });
}

#[test]
fn task_branches_that_were_deleted_are_not_missed() {
    let scene = Scene::new(Kind::Waiting);
    scene.restore();
    let list = scene.s.git(&["for-each-ref", "refs/heads/slimductor", "--format=%(refname:short)"]);
    let tasks: Vec<&str> = list.lines().filter(|b| b.contains("/task/")).collect();
    assert!(!tasks.is_empty(), "{list}");
    for branch in tasks {
        scene.s.git(&["branch", "-D", branch]);
    }
    scene.assert_ended("no task branches", scene.resume(), &[scene.once()]);
}

#[test]
fn a_run_that_cannot_be_read_is_not_done_a_second_time_behind_its_back() {
    let scene = Scene::new(Kind::Interrupted);
    scene.restore();
    std::fs::write(scene.place("journal.jsonl"), "garbage\n").unwrap();
    // Whether it is over and which files it owns cannot be known, so that nobody may start over it.
    let again = scene.bounded(&["run", "--backend", "process"]);
    assert!([6, 8].contains(&again.code), "{}: {}{}", again.code, again.out, again.err);
    assert!(again.err.contains(&scene.run), "{}", again.err);
}
