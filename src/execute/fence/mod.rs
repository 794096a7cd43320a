//! The write fence around workers, checks and gates: what a job may write, and how the kernel is told. Knows nothing of
//! tasks; the wrapper outside starts `slimductor fence <dir> <step>`, which confines itself and then runs the command.
//!
//! Inside, the repository is read-only but for the job's own worktree and private git directory, tmux's sockets are
//! hidden, and (with namespaces) no process outside can be seen or signalled.

#[cfg(target_os = "linux")]
mod landlock;
#[cfg(target_os = "linux")]
mod namespace;

use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};

use serde::{Deserialize, Serialize};

use super::job::{JobError, Spec, read_spec};

/// What a fence that cannot be set up exits with, as a shell that cannot execute: judged as the environment's fault.
const CANNOT: u8 = 126;

/// The directory in a job's own that stands behind its temporary directory.
pub(super) const PRIVATE_TMP: &str = "tmp.private";

/// How the fence is built.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// A mount and PID namespace of the job's own.
    Namespace,
    /// Landlock rules; processes outside can be seen, and sockets reached.
    Landlock,
    /// Nothing is prevented, only compared afterwards.
    Off,
}

impl Mode {
    /// The mode's word in the journal, in `doctor` and for `--fence`.
    pub fn word(self) -> &'static str {
        match self {
            Mode::Namespace => "namespace",
            Mode::Landlock => "landlock",
            Mode::Off => "off",
        }
    }

    /// The mode of this word.
    pub fn of(word: &str) -> Option<Mode> {
        [Mode::Namespace, Mode::Landlock, Mode::Off].into_iter().find(|m| m.word() == word)
    }
}

/// What a job may write.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fence {
    /// How it is built.
    pub mode: Mode,
    /// Trees that nothing may be written in.
    pub read_only: Vec<PathBuf>,
    /// Trees inside of them that may be written all the same.
    pub writable: Vec<PathBuf>,
    /// Directories that appear empty: those of control sockets.
    pub hidden: Vec<PathBuf>,
    /// A directory of the job's own, and the temporary directory where it appears.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub private_tmp: Option<(PathBuf, PathBuf)>,
}

/// The strongest fence that this machine permits. `exe` is this binary, which tries it in a process of its own.
pub fn strongest(exe: &Path) -> Mode {
    [Mode::Namespace, Mode::Landlock].into_iter().find(|m| holds(exe, *m)).unwrap_or(Mode::Off)
}

/// Whether this machine permits a fence of this mode.
pub fn holds(exe: &Path, mode: Mode) -> bool {
    if mode == Mode::Off {
        return true;
    }
    #[expect(clippy::disallowed_methods, reason = "the fence confines processes")]
    let mut command = Command::new(exe);
    // Made here, because inside it is a mount point that cannot be removed.
    let Ok(dir) = tempfile::Builder::new().prefix("sd-probe-").tempdir() else { return false };
    command.args(["fence", "--probe", mode.word()]).arg(dir.path());
    command.stdin(std::process::Stdio::null());
    command.output().is_ok_and(|o| o.status.success())
}

/// Confines this process for a trial in `dir`: the exit code of `fence --probe`.
pub fn probe(mode: Mode, dir: &Path) -> u8 {
    let (shut, open) = (dir.join("shut"), dir.join("shut/open"));
    if std::fs::create_dir_all(&open).is_err() {
        return CANNOT;
    }
    let fence = Fence {
        mode,
        read_only: vec![shut.clone()],
        writable: vec![open.clone()],
        hidden: Vec::new(),
        private_tmp: None,
    };
    // What it claims is tried: the one may be written, the other may not.
    let script = "! mkdir \"$1/no\" 2>/dev/null && mkdir \"$1/open/yes\"";
    let argv = ["sh", "-c", script, "probe"].map(str::to_owned);
    let argv = [&argv[..], &[shut.to_string_lossy().into_owned()]].concat();
    confined(&fence, Path::new("/"), &argv).map_or(CANNOT, code_of)
}

/// Runs the command number `step` of the job in `dir` inside its fence, and returns its exit code.
pub fn enter(dir: &Path, step: usize) -> u8 {
    let run = || -> Result<u8, JobError> {
        let spec = read_spec(dir)?;
        let argv = spec.steps.get(step).map(|s| s.argv.clone()).unwrap_or_default();
        let failed = |source| JobError::Run { what: "the fence".to_owned(), source };
        let mut fence = spec.fence.ok_or_else(|| failed(io::ErrorKind::NotFound.into()))?;
        let tmp = dir.join(PRIVATE_TMP);
        fence.private_tmp =
            std::fs::read_link(dir.join("tmp")).ok().filter(|_| tmp.is_dir()).map(|at| (tmp, at));
        confined(&fence, &spec.cwd, &argv).map(code_of).map_err(failed)
    };
    match run() {
        Ok(code) => code,
        Err(error) => {
            // The job's log is this process's output.
            let said = format!("slimductor: {error}\n");
            let _ = rustix::io::write(rustix::stdio::stderr(), said.as_bytes());
            CANNOT
        }
    }
}

/// How the wrapper starts a command of the job: through the fence, where there is one.
pub(super) fn command_line(
    exe: &Path,
    dir: &Path,
    spec: &Spec,
    step: usize,
) -> Option<Vec<std::ffi::OsString>> {
    spec.fence.as_ref().filter(|f| f.mode != Mode::Off)?;
    Some(vec![exe.into(), "fence".into(), dir.into(), step.to_string().into()])
}

/// Runs `argv` inside the fence, in `cwd`.
fn confined(fence: &Fence, cwd: &Path, argv: &[String]) -> io::Result<ExitStatus> {
    match fence.mode {
        Mode::Off => run(cwd, argv),
        #[cfg(target_os = "linux")]
        Mode::Namespace => namespace::run(fence, cwd, argv),
        #[cfg(target_os = "linux")]
        Mode::Landlock => landlock::confine(fence).and_then(|()| run(cwd, argv)),
        #[cfg(not(target_os = "linux"))]
        Mode::Namespace | Mode::Landlock => Err(io::ErrorKind::Unsupported.into()),
    }
}

/// The first process inside a namespace: `slimductor fence --init <cwd> <argv…>`.
#[cfg(target_os = "linux")]
pub fn init(cwd: &Path, argv: &[String]) -> u8 {
    match namespace::init(cwd, argv) {
        Ok(status) => code_of(status),
        Err(error) => {
            let said = format!("slimductor: the fence: {error}\n");
            let _ = rustix::io::write(rustix::stdio::stderr(), said.as_bytes());
            CANNOT
        }
    }
}

/// There are no namespaces here.
#[cfg(not(target_os = "linux"))]
pub fn init(_: &Path, _: &[String]) -> u8 {
    CANNOT
}

fn run(cwd: &Path, argv: &[String]) -> io::Result<ExitStatus> {
    let (program, rest) = argv.split_first().ok_or(io::ErrorKind::InvalidInput)?;
    #[expect(clippy::disallowed_methods, reason = "the fence confines processes")]
    let mut command = Command::new(program);
    command.args(rest).current_dir(cwd).status()
}

/// As a shell says it: 128 and the signal's number for a command that a signal ended.
fn code_of(status: ExitStatus) -> u8 {
    let signal = std::os::unix::process::ExitStatusExt::signal(&status);
    let code = status.code().or(signal.map(|s| 128 + s)).unwrap_or(1);
    u8::try_from(code).unwrap_or(CANNOT)
}

/// The directory of tmux's sockets of this user.
pub(super) fn tmux_sockets(tmux_tmpdir: Option<&str>) -> PathBuf {
    let uid = rustix::process::getuid().as_raw();
    let base = tmux_tmpdir.filter(|d| !d.is_empty()).unwrap_or("/tmp");
    Path::new(base).join(format!("tmux-{uid}"))
}

/// The paths that are there, by their real names.
pub(super) fn existing(paths: Vec<PathBuf>) -> Vec<PathBuf> {
    let whole = paths.into_iter().filter_map(|p| p.canonicalize().ok());
    let mut out: Vec<PathBuf> = whole.collect();
    out.sort();
    out.dedup();
    out
}
