//! A disk that is really full, or read-only: a small tmpfs in a mount namespace of its own. `slimductor` ends with exit 7
//! and says which file had no room; when there is room again, it goes on.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use super::sandbox::{Ran, Sandbox, plan, ran, task};

/// How the system, Rust, git and we ourselves say that a disk is full, or may not be written.
const FULL: [&str; 4] =
    ["No space left on device", "no storage space", "Out of diskspace", "is full"];
const READ_ONLY: [&str; 2] = ["Read-only file system", "read-only"];

/// A small disk that only processes of ours see.
struct Disk {
    s: Sandbox,
    holder: Child,
    user: bool,
    place: PathBuf,
}

impl Drop for Disk {
    fn drop(&mut self) {
        // With its last process the namespace goes, and with that the disk.
        let _ = self.holder.kill();
        let _ = self.holder.wait();
    }
}

impl Disk {
    /// Mounts one with these options of tmpfs; `None`, and a word about it, where that is not permitted.
    fn new(options: &str) -> Option<Disk> {
        let s = Sandbox::bare(false);
        let place = s.outside("disk");
        std::fs::create_dir(&place).unwrap();
        let place = place.canonicalize().unwrap();
        for user in [false, true] {
            let mut command = s.command("unshare");
            if user {
                command.args(["--user", "--map-root-user"]);
            }
            let script =
                "mount -t tmpfs -o \"$OPTIONS\" tmpfs \"$PLACE\" && echo ready && exec sleep 3600";
            command
                .args(["--mount", "--propagation", "private", "sh", "-c", script])
                .env("PLACE", &place)
                .env("OPTIONS", options)
                .stdout(Stdio::piped())
                .stderr(Stdio::null());
            let Ok(mut holder) = command.spawn() else { continue };
            let mut line = String::new();
            let _ = BufReader::new(holder.stdout.take().unwrap()).read_line(&mut line);
            if line == "ready\n" {
                return Some(Disk { s, holder, user, place });
            }
            let _ = holder.kill();
            let _ = holder.wait();
        }
        println!("skipped: neither root nor a user namespace may mount a tmpfs here");
        None
    }

    fn repo(&self) -> PathBuf {
        self.place.join("repo")
    }

    /// A command that sees the disk, in the directory `dir`.
    fn command(&self, dir: &Path, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = self.s.command("nsenter");
        if self.user {
            command.args(["--user", "--preserve-credentials"]);
        }
        command
            .args(["-m", "-t", &self.holder.id().to_string()])
            .args(["sh", "-c", "cd \"$0\" && exec \"$@\""])
            .arg(dir)
            .arg(program);
        command
    }

    fn sh(&self, script: &str) -> String {
        let output = self.command(&self.place, "sh").args(["-ec", script]).output().unwrap();
        let err = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{script}: {err}");
        String::from_utf8_lossy(&output.stdout).trim_end().to_owned()
    }

    fn git(&self, args: &[&str]) -> String {
        let identity = ["-c", "user.name=tester", "-c", "user.email=t@example.org"];
        let output = self.command(&self.repo(), "git").args(identity).args(args).output().unwrap();
        let err = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "git {args:?}: {err}");
        String::from_utf8_lossy(&output.stdout).trim_end().to_owned()
    }

    /// The binary in the repository on the disk; killed when it hangs.
    fn slimductor(&self, args: &[&str]) -> Command {
        let mut command = self.command(&self.repo(), "timeout");
        command.args(["-s", "KILL", "90", env!("CARGO_BIN_EXE_slimductor")]).args(args);
        command
    }

    fn run(&self, args: &[&str]) -> Ran {
        ran(self.slimductor(args).output().unwrap())
    }

    /// A repository with this plan, in place of the one that is there.
    fn fresh(&self, text: &str) {
        std::fs::write(self.s.outside("plan"), text).unwrap();
        self.sh(&format!(
            "rm -rf ballast many repo; mkdir -p repo/src; echo hello > repo/README.md; echo base > repo/src/base.txt
            git init -q -b main repo; rm -rf repo/.git/hooks; cd repo; git add -A
            git -c user.name=t -c user.email=t@e commit -qm first; cp {} tasks.yaml",
            self.s.outside("plan").display()
        ));
    }

    /// Leaves so many KiB free.
    fn fill(&self, free: u64) {
        self.sh(&format!(
            "n=$(df --output=avail -k . | tail -n 1); fallocate -l $((n - {free}))K ballast"
        ));
    }

    /// Leaves so many names (inodes) free.
    fn fill_names(&self, free: u64) {
        self.sh(&format!(
            "mkdir many; n=$(df --output=iavail . | tail -n 1); cd many; seq $((n - {free})) | xargs touch"
        ));
    }

    fn make_room(&self) {
        self.sh("rm -rf ballast many");
    }

    /// The ids of the runs that were made.
    fn runs(&self) -> usize {
        self.sh("ls repo/.orchestrator/runs 2>/dev/null | wc -l").parse().unwrap()
    }

    /// Holds that a run for which there was no room said so.
    #[track_caller]
    fn assert_said(&self, what: &str, ended: &Ran, words: &[&str]) {
        let said = format!("{}{}", ended.out, ended.err);
        assert!([0, 4, 5, 7].contains(&ended.code), "{what}: exit {}: {said}", ended.code);
        assert!(!said.contains("panicked") && !said.contains("bug in"), "{what}: {said}");
        let names_it = |line: &&str| words.iter().any(|w| line.contains(w));
        if ended.code == 7 {
            let line = ended.err.lines().find(names_it);
            assert!(line.is_some(), "{what}: no reason: {said}");
            // Which file it was, or on which disk.
            let place = self.s.outside("");
            // Git's own words may be two lines of it.
            let message = ended.err.split("error: ").skip(1).collect::<Vec<_>>().join("");
            let named = message.contains(place.to_str().unwrap());
            assert!(named, "{what}: no file: {said}");
            assert!(ended.err.contains("hint:"), "{what}: no hint: {said}");
        } else if ended.code != 0 {
            // Only a command of the plan's own may have failed for it.
            let report = self.sh("cat repo/.orchestrator/escalation-report.md 2>/dev/null || true");
            assert!(
                report.lines().chain(said.lines()).any(|l| names_it(&l)),
                "{what}: exit {} without the reason: {said}\n{report}",
                ended.code
            );
        }
    }

    /// There is room again: the run, or a new one where none was made, comes to its end.
    #[track_caller]
    fn assert_goes_on(&self, what: &str, ended: Ran) {
        let mut ended = ended;
        let first = format!("{}{}", ended.out, ended.err);
        if ended.code == 7 {
            ended = match self.runs() {
                0 => self.run(&["run", "--backend", "process"]),
                _ => self.run(&["resume"]),
            };
        }
        if ended.code == 5 {
            for task in ["a", "b"] {
                let _ = self.run(&["retry", task]);
            }
            ended = self.run(&["resume"]);
        }
        assert_eq!(ended.code, 0, "{what}: {}{}\nbefore:\n{first}", ended.out, ended.err);
        assert_eq!(self.sh("cat repo/a repo/b"), "a\nb", "{what}");
        assert_eq!(
            self.git(&["ls-tree", "-r", "--name-only", "main"]),
            "README.md\na\nb\nsrc/base.txt"
        );
        assert_eq!(self.git(&["status", "--porcelain"]), "?? tasks.yaml", "{what}");
        self.git(&["fsck", "--strict"]);
        let branches = self.git(&["for-each-ref", "refs/heads", "--format=%(refname)"]);
        assert_eq!(
            branches, "refs/heads/main",
            "{what}: before:\n{first}\nthen:\n{}{}",
            ended.out, ended.err
        );
        assert_eq!(self.git(&["worktree", "list"]).lines().count(), 1, "{what}");
        self.assert_no_process(what);
        let left = self.sh(
            "find . -name '.tmp-*' -o -name '.new-*' -o -name '*.lock' ! -name run.lock ! -name git.lock ! -name promote.lock -o -name .worktrees | sort",
        );
        // Three locks of ours stay; what git leaves of objects without room, git prunes.
        assert_eq!(left, "", "{what}: left over");
        let tmp = std::fs::read_dir(self.s.outside("tmp")).unwrap().flatten();
        // The directory of tmux's sockets is made before it is covered; a killed coordinator leaves it, as tmux does.
        let ours = |n: &std::ffi::OsString| !n.to_string_lossy().starts_with("tmux-");
        let tmp: Vec<_> = tmp.map(|e| e.file_name()).filter(ours).collect();
        assert!(tmp.is_empty(), "{what}: left in TMPDIR: {tmp:?}");
    }

    #[track_caller]
    fn assert_no_process(&self, what: &str) {
        // A wrapper may need a moment to leave.
        for _ in 0..100 {
            if self.alive().is_empty() {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        panic!("{what}: still alive: {:?}", self.alive());
    }

    fn alive(&self) -> Vec<String> {
        let here = self.s.outside("").to_str().unwrap().to_owned();
        let processes = std::fs::read_dir("/proc").unwrap().flatten();
        let lines = processes.filter_map(|e| std::fs::read(e.path().join("cmdline")).ok());
        let lines = lines.map(|l| String::from_utf8_lossy(&l).replace('\0', " "));
        lines.filter(|l| l.contains(&here)).collect()
    }

    /// A named pipe that is not on the disk.
    fn fifo(&self, name: &str) -> PathBuf {
        let path = self.s.outside(name);
        let _ = std::fs::remove_file(&path);
        assert!(self.s.command("mkfifo").arg(&path).status().unwrap().success());
        path
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

fn two() -> String {
    plan(&[task("a", &[], "a", "echo a > a"), task("b", &["a"], "b", "echo b > b")])
}

/// A plan whose first worker waits: before or after it has done its work.
fn waits(disk: &Disk, after: bool) -> (String, PathBuf, PathBuf) {
    let (started, go) = (disk.fifo("started"), disk.fifo("go"));
    let flag = disk.s.outside("once");
    let _ = std::fs::remove_file(&flag);
    std::fs::write(&flag, "").unwrap();
    let wait = format!(
        "test ! -e {} || {{ echo > {}; read x < {}; }}",
        flag.display(),
        started.display(),
        go.display()
    );
    let work = if after { format!("echo a > a; {wait}") } else { format!("{wait}; echo a > a") };
    (plan(&[task("a", &[], "a", &work), task("b", &["a"], "b", "echo b > b")]), started, go)
}

/// One size alone, to look at it.
fn only() -> Option<u64> {
    std::env::var("SLIMDUCTOR_DISK_FREE").ok()?.parse().ok()
}

fn all() -> bool {
    std::env::var_os("SLIMDUCTOR_CRASH_ALL").is_some()
}

/// Goes on after a failure, so that one sweep shows every size that fails.
fn sweep(sizes: &[u64], each: impl Fn(u64)) {
    let mut bad = Vec::new();
    let one = only().map(|n| vec![n]);
    let sizes = one.as_deref().unwrap_or(sizes);
    for size in sizes {
        let tried = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| each(*size)));
        if let Err(why) = tried {
            let text = why.downcast_ref::<String>().cloned().unwrap_or_default();
            bad.push(format!("{size}: {}", text.chars().take(1500).collect::<String>()));
        }
    }
    assert!(bad.is_empty(), "{} of {} failed:\n{}", bad.len(), sizes.len(), bad.join("\n---\n"));
}

#[test]
fn a_full_disk_is_said_and_the_run_goes_on_when_there_is_room() {
    let Some(disk) = Disk::new("size=16m,mode=755") else { return };
    let sizes: Vec<u64> = if all() {
        (0..160).map(|n| n * 4).collect()
    } else {
        vec![0, 4, 12, 20, 32, 48, 80, 120, 160, 208, 256, 304, 352, 400, 1024]
    };
    sweep(&sizes, |free| {
        disk.fresh(&two());
        disk.fill(free);
        let ended = disk.run(&["run", "--backend", "process"]);
        println!("{free} KiB free: exit {}", ended.code);
        disk.assert_said(&format!("{free} KiB"), &ended, &FULL);
        disk.make_room();
        disk.assert_goes_on(&format!("{free} KiB"), ended);
    });
}

#[test]
fn a_disk_without_free_names_is_said_and_the_run_goes_on_when_there_are_some() {
    let Some(disk) = Disk::new("size=16m,nr_inodes=3000,mode=755") else { return };
    let sizes: Vec<u64> = if all() {
        (0..260).collect()
    } else {
        vec![0, 1, 3, 6, 10, 20, 35, 50, 70, 90, 110, 140, 180, 400]
    };
    sweep(&sizes, |free| {
        disk.fresh(&two());
        disk.fill_names(free);
        let ended = disk.run(&["run", "--backend", "process"]);
        println!("{free} names free: exit {}", ended.code);
        disk.assert_said(&format!("{free} names"), &ended, &FULL);
        disk.make_room();
        disk.assert_goes_on(&format!("{free} names"), ended);
    });
}

fn fills_during_the_run(after: bool) {
    let Some(disk) = Disk::new("size=16m,mode=755") else { return };
    let sizes: &[u64] = if all() {
        &[0, 4, 8, 12, 16, 20, 24, 28, 32, 48, 64, 96, 128, 192]
    } else {
        &[0, 4, 8, 16, 32, 64, 128]
    };
    sweep(sizes, |free| {
        let (text, started, go) = waits(&disk, after);
        disk.fresh(&text);
        let mut command = disk.slimductor(&["run", "--backend", "process"]);
        let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        opened(&started);
        disk.fill(free);
        std::fs::remove_file(disk.s.outside("once")).unwrap();
        std::fs::write(&go, "\n").unwrap();
        let ended = ran(child.wait_with_output().unwrap());
        println!("{free} KiB left (after: {after}): exit {}", ended.code);
        disk.assert_said(&format!("{free} KiB"), &ended, &FULL);
        disk.make_room();
        disk.assert_goes_on(&format!("{free} KiB"), ended);
    });
}

#[test]
fn a_disk_that_fills_before_a_worker_writes_is_said() {
    fills_during_the_run(false);
}

#[test]
fn a_disk_that_fills_after_a_worker_wrote_is_said_and_its_work_kept() {
    fills_during_the_run(true);
}

#[test]
fn a_disk_that_fills_under_a_killed_coordinator_is_said_by_resume() {
    let Some(disk) = Disk::new("size=16m,mode=755") else { return };
    sweep(&[0, 4, 8, 12, 20, 40, 80], |free| {
        let (text, started, go) = waits(&disk, true);
        disk.fresh(&text);
        let mut command = disk.command(&disk.repo(), env!("CARGO_BIN_EXE_slimductor"));
        command.args(["run", "--backend", "process"]).stdout(Stdio::null()).stderr(Stdio::null());
        // nsenter and sh become the coordinator by exec, so that this kills it and not them.
        let mut child = command.spawn().unwrap();
        opened(&started);
        child.kill().unwrap();
        child.wait().unwrap();
        std::fs::remove_file(disk.s.outside("once")).unwrap();
        std::fs::write(&go, "\n").unwrap();
        disk.assert_no_process("the worker ends");
        disk.fill(free);
        let ended = disk.run(&["resume"]);
        println!("{free} KiB left: exit {}", ended.code);
        disk.assert_said(&format!("{free} KiB"), &ended, &FULL);
        // To look at it needs no room.
        disk.run(&["status"]).exits(0);
        disk.run(&["report"]).exits(0);
        disk.make_room();
        disk.assert_goes_on(&format!("{free} KiB"), ended);
    });
}

#[test]
fn a_disk_that_is_read_only_is_said_and_the_run_goes_on_when_it_is_not() {
    let Some(disk) = Disk::new("size=16m,mode=755") else { return };
    disk.fresh(&two());
    disk.sh("mount -o remount,ro .");
    let ended = disk.run(&["run", "--backend", "process"]);
    assert_eq!(ended.code, 7, "{}{}", ended.out, ended.err);
    disk.assert_said("from the start", &ended, &READ_ONLY);
    disk.sh("mount -o remount,rw .");
    disk.assert_goes_on("from the start", ended);
    // Between a killed coordinator and the next.
    let (text, started, go) = waits(&disk, true);
    disk.fresh(&text);
    let mut command = disk.command(&disk.repo(), env!("CARGO_BIN_EXE_slimductor"));
    command.args(["run", "--backend", "process"]).stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = command.spawn().unwrap();
    opened(&started);
    child.kill().unwrap();
    child.wait().unwrap();
    std::fs::remove_file(disk.s.outside("once")).unwrap();
    std::fs::write(&go, "\n").unwrap();
    disk.assert_no_process("the worker ends");
    disk.sh("mount -o remount,ro .");
    let ended = disk.run(&["resume"]);
    assert_eq!(ended.code, 7, "{}{}", ended.out, ended.err);
    disk.assert_said("resume", &ended, &READ_ONLY);
    disk.run(&["status"]).exits(0);
    disk.run(&["report"]).exits(0);
    disk.run(&["logs", "a"]).exits(0);
    disk.sh("mount -o remount,rw .");
    disk.assert_goes_on("resume", ended);
}

#[test]
fn a_disk_that_turns_read_only_during_the_run_is_said() {
    let Some(disk) = Disk::new("size=16m,mode=755") else { return };
    for after in [false, true] {
        let (text, started, go) = waits(&disk, after);
        disk.fresh(&text);
        let mut command = disk.slimductor(&["run", "--backend", "process"]);
        let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        opened(&started);
        // A mount with files open for writing cannot be turned; one that is laid over it can, and is what every new
        // open meets.
        disk.sh("mount --bind repo repo; mount -o remount,bind,ro repo");
        std::fs::remove_file(disk.s.outside("once")).unwrap();
        std::fs::write(&go, "\n").unwrap();
        let ended = ran(child.wait_with_output().unwrap());
        assert_eq!(ended.code, 7, "after {after}: {}{}", ended.out, ended.err);
        disk.assert_said("during the run", &ended, &READ_ONLY);
        disk.sh("umount -l repo");
        disk.assert_goes_on("during the run", ended);
    }
}

#[test]
fn a_temporary_directory_without_room_is_said() {
    let Some(disk) = Disk::new("size=4m,nr_inodes=200,mode=755") else { return };
    // The repository stands elsewhere.
    let s = Sandbox::new();
    let tmp = disk.place.join("tmp");
    disk.sh("mkdir tmp");
    let run = |args: &[&str]| {
        let mut command = disk.command(&s.root(), "timeout");
        command.args(["-s", "KILL", "90", env!("CARGO_BIN_EXE_slimductor")]).args(args);
        command.env("TMPDIR", &tmp);
        command
    };
    let here = disk.place.to_str().unwrap();
    // From the start: nothing is made.
    s.write("tasks.yaml", &two());
    disk.fill_names(0);
    let ended = ran(run(&["run", "--backend", "process"]).output().unwrap());
    assert_eq!(ended.code, 7, "{}{}", ended.out, ended.err);
    assert!(ended.err.contains(here) && ended.err.contains("No space left"), "{}", ended.err);
    assert!(!s.root().join(".orchestrator/runs").exists());
    disk.make_room();
    // During the run it turns read-only: the next job has no temporary directory.
    let (text, started, go) = waits(&disk, true);
    s.write("tasks.yaml", &text);
    let mut command = run(&["run", "--backend", "process"]);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    opened(&started);
    disk.sh("mount --bind tmp tmp; mount -o remount,bind,ro tmp");
    std::fs::remove_file(disk.s.outside("once")).unwrap();
    std::fs::write(&go, "\n").unwrap();
    let ended = ran(child.wait_with_output().unwrap());
    assert_eq!(ended.code, 7, "{}{}", ended.out, ended.err);
    assert!(ended.err.contains(here) && ended.err.contains("Read-only"), "{}", ended.err);
    disk.sh("umount -l tmp");
    let ended = ran(run(&["resume"]).output().unwrap());
    assert_eq!(ended.code, 0, "{}{}", ended.out, ended.err);
    assert_eq!((s.read("a"), s.read("b")), ("a\n".into(), "b\n".into()));
    s.assert_nothing_is_left();
}

#[test]
fn a_temporary_directory_without_bytes_fails_only_who_writes_there() {
    let Some(disk) = Disk::new("size=4m,mode=755") else { return };
    let s = Sandbox::new();
    let tmp = disk.place.join("tmp");
    disk.sh("mkdir tmp");
    disk.fill(0);
    let run = |args: &[&str]| {
        let mut command = disk.command(&s.root(), "timeout");
        command.args(["-s", "KILL", "90", env!("CARGO_BIN_EXE_slimductor")]).args(args);
        ran(command.env("TMPDIR", &tmp).output().unwrap())
    };
    // Off: with a namespace the job's temporary directory stands below the run, where there is room.
    let writes = task("a", &[], "a", "seq 5000 > $TMPDIR/x && cp $TMPDIR/x a").replace(
        "    files_write",
        "    max_attempts: 1\n    allow_large_changes: true\n    files_write",
    );
    s.write("tasks.yaml", &plan(&[writes, task("b", &[], "b", "echo b > b")]));
    let ended = run(&["run", "--backend", "process", "--fence", "off"]);
    let said = format!("{}{}", ended.out, ended.err);
    assert!([5, 7].contains(&ended.code), "{said}");
    assert!(
        said.contains("No space left on device")
            || s.read(".orchestrator/escalation-report.md").contains("No space left on device"),
        "{said}"
    );
    disk.make_room();
    if ended.code == 5 {
        run(&["retry", "a"]).exits(0);
    }
    let mut ended = run(&["resume"]);
    if ended.code == 5 {
        run(&["retry", "a"]).exits(0);
        ended = run(&["resume"]);
    }
    assert_eq!(ended.code, 0, "{}{}", ended.out, ended.err);
    assert_eq!(s.read("a").lines().count(), 5000);
    s.assert_nothing_is_left();
}
