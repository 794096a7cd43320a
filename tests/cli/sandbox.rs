//! A hermetic place for one test: a HOME, a repository, and the binary with nothing of the caller's environment.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::OnceLock;

use serde_json::Value;

pub struct Sandbox {
    dir: tempfile::TempDir,
    path: String,
}

pub struct Ran {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl Ran {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|e| panic!("{e}: {}", self.out))
    }

    /// The last line of a stream.
    pub fn last_line(&self) -> Value {
        serde_json::from_str(self.out.lines().last().unwrap_or("")).unwrap()
    }

    #[track_caller]
    pub fn exits(self, code: i32) -> Ran {
        assert_eq!(self.code, code, "stdout:\n{}\nstderr:\n{}", self.out, self.err);
        self
    }
}

/// Whether tmux is installed; a test that needs it says that it was skipped where it is not.
pub fn tmux_is_here() -> bool {
    let here = Command::new("tmux").arg("-V").output().is_ok_and(|o| o.status.success());
    if !here {
        println!("skipped: tmux is not installed");
    }
    here
}

pub fn python_is_here() -> bool {
    let here = Command::new("python3").arg("-V").output().is_ok_and(|o| o.status.success());
    if !here {
        println!("skipped: python3 is not installed");
    }
    here
}

/// A directory with links to everything that is on PATH, but for tmux; made once for all tests.
pub fn path_without_tmux() -> &'static str {
    static BIN: OnceLock<String> = OnceLock::new();
    BIN.get_or_init(|| {
        let bin =
            Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("bin-{}", std::process::id()));
        std::fs::create_dir_all(&bin).unwrap();
        for from in std::env::var("PATH").unwrap().split(':') {
            for entry in std::fs::read_dir(from).into_iter().flatten().flatten() {
                if entry.file_name() != "tmux" {
                    let _ = symlink(entry.path(), bin.join(entry.file_name()));
                }
            }
        }
        bin.to_str().unwrap().to_owned()
    })
}

impl Sandbox {
    /// A repository on `main` with one commit, and no tmux on PATH.
    pub fn new() -> Sandbox {
        Sandbox::with(false)
    }

    /// The same with tmux on PATH.
    pub fn with_tmux() -> Sandbox {
        Sandbox::with(true)
    }

    fn with(tmux: bool) -> Sandbox {
        let sandbox = Sandbox::bare(tmux);
        sandbox.write("README.md", "hello\n");
        sandbox.write("src/base.txt", "base\n");
        sandbox.git(&["init", "-q", "-b", "main"]);
        sandbox.git(&["add", "-A"]);
        sandbox.git(&["commit", "-qm", "first"]);
        sandbox
    }

    /// An empty directory.
    pub fn bare(tmux: bool) -> Sandbox {
        let dir = tempfile::Builder::new().prefix("sd-").tempdir().unwrap();
        for name in ["home", "repo", "tmp"] {
            std::fs::create_dir(dir.path().join(name)).unwrap();
        }
        let real = std::env::var("PATH").unwrap();
        let path = if tmux { real } else { path_without_tmux().to_owned() };
        Sandbox { dir, path }
    }

    pub fn root(&self) -> PathBuf {
        self.dir.path().join("repo").canonicalize().unwrap()
    }

    /// A path outside of the repository, for what workers leave behind on purpose.
    pub fn outside(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn write(&self, name: &str, text: &str) {
        let path = self.root().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    pub fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.root().join(name)).unwrap_or_else(|e| panic!("{name}: {e}"))
    }

    pub fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new(program);
        command
            .env_clear()
            .env("PATH", &self.path)
            .env("HOME", self.dir.path().join("home"))
            .env("TMPDIR", self.dir.path().join("tmp"))
            .env("TMUX_TMPDIR", self.dir.path().join("tmp"))
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .current_dir(self.root())
            .stdin(Stdio::null());
        command
    }

    pub fn git(&self, args: &[&str]) -> String {
        let identity = ["-c", "user.name=tester", "-c", "user.email=t@example.org"];
        let output = self.command("git").args(identity).args(args).output().unwrap();
        assert!(
            output.status.success(),
            "git {args:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8_lossy(&output.stdout).trim_end().to_owned()
    }

    pub fn slimductor(&self) -> Command {
        self.command(env!("CARGO_BIN_EXE_slimductor"))
    }

    pub fn run(&self, args: &[&str]) -> Ran {
        ran(self.slimductor().args(args).output().unwrap())
    }

    /// Starts the binary and returns at once.
    pub fn start(&self, args: &[&str]) -> Child {
        self.slimductor().args(args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }

    /// Writes the plan and runs it on plain processes.
    pub fn run_plan(&self, plan: &str, flags: &[&str]) -> Ran {
        self.write("tasks.yaml", plan);
        self.run(&[&["run", "--backend", "process"], flags].concat())
    }

    pub fn status(&self) -> Value {
        self.run(&["status", "--json"]).exits(0).json()
    }

    /// The newest run.
    pub fn run_id(&self) -> String {
        self.status()["run_id"].as_str().unwrap().to_owned()
    }

    /// State and category of every task.
    pub fn states(&self) -> BTreeMap<String, (String, String)> {
        let word = |v: &Value| v.as_str().unwrap_or("").to_owned();
        let tasks = self.status()["tasks"].as_array().unwrap().clone();
        tasks
            .iter()
            .map(|t| (word(&t["id"]), (word(&t["state"]), word(&t["failure"]["category"]))))
            .collect()
    }

    /// A named pipe outside of the repository.
    pub fn fifo(&self, name: &str) -> PathBuf {
        let path = self.outside(name);
        let made = self.command("mkfifo").arg(&path).status().unwrap();
        assert!(made.success());
        path
    }

    /// The wrapper of a job of the newest run, as soon as one has taken it up.
    pub fn wrapper_of(&self, job: &str) -> String {
        loop {
            for run in std::fs::read_dir(self.root().join(".orchestrator/runs")).unwrap().flatten()
            {
                let text =
                    std::fs::read_to_string(run.path().join("jobs").join(job).join("pid.json"));
                if let Ok(pid) = serde_json::from_str::<Value>(&text.unwrap_or_default()) {
                    return pid["pid"].to_string();
                }
            }
            std::thread::yield_now();
        }
    }

    /// Every path below the repository, `.git` included, with its size and modification time.
    pub fn listing(&self) -> Vec<String> {
        let mut out = Vec::new();
        walk(&self.root(), &mut out);
        out.sort();
        out
    }

    /// The socket of this repository's tmux server.
    pub fn socket(&self) -> String {
        slimductor::execute::run::socket_name(&self.root())
    }

    /// The sessions on this repository's tmux server; empty when there is no server.
    pub fn sessions(&self) -> String {
        let output = self.command("tmux").args(["-L", &self.socket(), "ls"]).output().unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// What a finished run may not leave behind.
    #[track_caller]
    pub fn assert_nothing_is_left(&self) {
        assert_eq!(self.git(&["status", "--porcelain", "--untracked-files=all"]), "?? tasks.yaml");
        assert_eq!(
            self.git(&["for-each-ref", "refs/heads", "--format=%(refname)"]),
            "refs/heads/main"
        );
        assert_eq!(self.git(&["worktree", "list"]).lines().count(), 1);
        assert!(!self.root().join(".worktrees").exists());
        self.assert_no_process();
        self.git(&["fsck", "--strict"]);
    }

    /// No process works in this sandbox any more.
    #[track_caller]
    pub fn assert_no_process(&self) {
        let here = self.dir.path().to_str().unwrap().as_bytes().to_vec();
        for entry in std::fs::read_dir("/proc").unwrap().flatten() {
            let line = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
            let found = line.windows(here.len()).any(|w| w == here);
            assert!(!found, "still alive: {}", String::from_utf8_lossy(&line).replace('\0', " "));
        }
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        // A failed test may have left a server of ours; never the user's.
        let _ = self
            .command("tmux")
            .args(["-L", &slimductor::execute::run::socket_name(&self.root()), "kill-server"])
            .stderr(Stdio::null())
            .status();
    }
}

fn walk(dir: &Path, out: &mut Vec<String>) {
    for entry in std::fs::read_dir(dir).unwrap().flatten() {
        let meta = entry.path().symlink_metadata().unwrap();
        out.push(format!(
            "{} {} {:?}",
            entry.path().display(),
            meta.len(),
            meta.modified().unwrap()
        ));
        if meta.is_dir() {
            walk(&entry.path(), out);
        }
    }
}

pub fn ran(output: Output) -> Ran {
    Ran {
        code: output.status.code().unwrap_or(-1),
        out: String::from_utf8_lossy(&output.stdout).into_owned(),
        err: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// Reads the child's stderr until a line contains `text`; the rest is read on a thread of its own, so that the
/// child never waits for us.
pub fn wait_for_line(child: &mut Child, text: &str) -> String {
    let mut reader = BufReader::new(child.stderr.take().unwrap());
    let mut seen = String::new();
    loop {
        let mut line = String::new();
        let n = reader.read_line(&mut line).unwrap();
        assert!(n > 0, "stderr ended without `{text}`:\n{seen}");
        seen.push_str(&line);
        if line.contains(text) {
            break;
        }
    }
    std::thread::spawn(move || {
        let mut rest = Vec::new();
        let _ = reader.read_to_end(&mut rest);
    });
    seen
}

/// One task of a plan, with a check that its file is there.
pub fn task(id: &str, deps: &[&str], file: &str, run: &str) -> String {
    format!(
        "  - id: {id}\n    description: make {file}\n    run: |\n{}\n    files_write: [{file}]\n    depends_on: [{}]\n    verification: [{{command: test -s {file}, type: test}}]\n",
        run.lines().map(|l| format!("      {l}")).collect::<Vec<_>>().join("\n"),
        deps.join(", ")
    )
}

pub fn plan(tasks: &[String]) -> String {
    format!("request: a test\ntasks:\n{}", tasks.concat())
}
