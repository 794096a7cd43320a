//! The wrapper of a job, `slimductor job <dir>`: takes the job's lock, runs its commands to their end or their limit,
//! ends what they leave running, writes the exit file last. Knows nothing of coordinators.

use std::ffi::OsString;
use std::io::{IsTerminal, Read, Write};
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use tokio::signal::unix::{SignalKind, signal};

use super::job::{
    DIED, Exit, JobError, Pid, Spec, StepSpec, is_cancelled, lock_path, log_path, read_spec,
};
use super::suites::is_installed;
use super::{fence, process_tree};
use crate::store::{self, Lock, Mode};
use crate::types::{Ending, JobReport, StepResult};

/// The wrapper: runs the job in `dir` to its end and writes the exit file. A second one returns at once. What it
/// cannot do is written down beside the exit file that is missing then.
pub async fn run(dir: &Path) -> Result<(), JobError> {
    // From inside its directory, which may be moved while the job runs, and the repository with it.
    let whole = std::path::absolute(dir).unwrap_or_else(|_| dir.to_owned());
    std::env::set_current_dir(dir)
        .map_err(|source| JobError::Look { path: dir.to_owned(), source })?;
    let (dir, place) = (Path::new("."), whole.as_path());
    // Held to the very end: whoever waits for it finds everything that is to be said.
    let lock = Lock::try_take(&lock_path(dir));
    let ended = match &lock {
        Ok(None) => return Ok(()),
        Ok(Some(_)) => run_to_end(dir, place).await,
        // Somebody else may have it: then nothing is said about his job.
        Err(error) if store::lock_is_held(&lock_path(dir)).unwrap_or(true) => {
            return Err(JobError::Locked(error.to_string()));
        }
        Err(error) => Err(JobError::Locked(error.to_string())),
    };
    if let Err(error) = &ended {
        // In the room that was kept for it: on a full disk nothing else can be written.
        let died = dir.join(DIED);
        let said = error.to_string();
        let _ = store::overwrite(&died, said.as_bytes())
            .or_else(|_| store::replace(&died, said.as_bytes(), Mode::Private));
    }
    ended
}

async fn run_to_end(dir: &Path, place: &Path) -> Result<(), JobError> {
    let spec = read_spec(dir)?;
    // Taken up before, by one that ended or died: its commands are never begun a second time.
    if dir.join("exit.json").exists() || dir.join("pid.json").exists() {
        return Ok(());
    }
    process_tree::lead();
    let mut stop = Stop::new()?;
    // Before the job counts as taken up: what cannot even get a directory has not begun. Short: a UNIX socket's whole path has room for about a hundred characters.
    let made = tempfile::Builder::new().prefix("sd-").tempdir();
    let made = made.map_err(|source| JobError::Temporary { dir: std::env::temp_dir(), source })?;
    store::replace(&dir.join(DIED), &[b' '; LAST_WORDS], Mode::Private)?;
    let pid = Pid { pid: std::process::id(), start_time: process_tree::start_time_of_self() };
    store::replace(
        &dir.join("pid.json"),
        &serde_json::to_vec(&pid).unwrap_or_default(),
        Mode::Private,
    )?;
    // A power cut must not make it look as if it had not begun.
    store::sync_dir(dir)?;
    let tmp = made.keep();
    store::link(&tmp, &dir.join("tmp"))?;
    if spec.fence.as_ref().is_some_and(|f| f.mode == fence::Mode::Namespace) {
        store::make_dir(&dir.join(fence::PRIVATE_TMP))?;
    }
    let mut report = JobReport { ending: Ending::Finished, steps: Vec::new() };
    for (n, step) in spec.steps.iter().enumerate() {
        if is_cancelled(dir) {
            report.ending = Ending::Stopped;
            break;
        }
        let (mut result, mut stopped) =
            run_step((dir, place), &spec, n, step, &tmp, &mut stop).await?;
        if step.again && !result.passed() && !result.timed_out && !stopped {
            // Once more, unchanged: what passes now says nothing about the work.
            let (second, ended) = run_step((dir, place), &spec, n, step, &tmp, &mut stop).await?;
            result.flaky = second.passed();
            stopped = ended;
        }
        let unprepared = step.setup && !result.passed();
        report.steps.push(result);
        if unprepared {
            break;
        }
        if stopped {
            report.ending = Ending::Stopped;
            break;
        }
    }
    if spec.leaves {
        // After a power cut the exit file would stand beside files that are empty. The command may have removed even its
        // own directory: that is nobody's fault but its own.
        let place = if spec.cwd.is_dir() { spec.cwd.as_path() } else { dir };
        store::sync_all(place).or_else(|e| if e.is_no_room() { Err(e) } else { Ok(()) })?;
    }
    let exit = Exit { v: 1, report };
    let text = serde_json::to_vec(&exit).unwrap_or_default();
    store::replace(&dir.join("exit.json"), &text, Mode::Private)?;
    store::sync_dir(dir)?;
    // What a command made unremovable says nothing about how it ended.
    let _ = store::remove_dir(&tmp);
    let _ = store::remove_dir(&dir.join(fence::PRIVATE_TMP));
    Ok(())
}

/// The room that is kept for why a wrapper could not go on, in bytes.
const LAST_WORDS: usize = 4096;

/// The signals that end a job from outside.
struct Stop {
    term: tokio::signal::unix::Signal,
    hangup: tokio::signal::unix::Signal,
    /// Ctrl-C in an attached terminal goes to the command, not to its wrapper.
    _interrupt: tokio::signal::unix::Signal,
}

impl Stop {
    fn new() -> Result<Stop, JobError> {
        let on = |kind| {
            signal(kind).map_err(|source| JobError::Run { what: "the wrapper".to_owned(), source })
        };
        Ok(Stop {
            term: on(SignalKind::terminate())?,
            hangup: on(SignalKind::hangup())?,
            _interrupt: on(SignalKind::interrupt())?,
        })
    }

    async fn requested(&mut self) {
        tokio::select! {
            _ = self.term.recv() => {}
            _ = self.hangup.recv() => {}
        }
    }
}

async fn run_step(
    (dir, place): (&Path, &Path),
    spec: &Spec,
    number: usize,
    step: &StepSpec,
    tmp: &Path,
    stop: &mut Stop,
) -> Result<(StepResult, bool), JobError> {
    let mut result = StepResult::new(step.command.clone(), step.required);
    result.limit_ms = step.timeout_ms;
    result.on_contract = step.on_contract;
    result.setup = step.setup;
    result.skipped.clone_from(&step.skipped);
    if let Some(tool) = step.tool.as_ref().filter(|t| !is_installed(&spec.env, &spec.cwd, t)) {
        result.skipped = Some(format!("{tool} is not installed"));
    }
    if result.skipped.is_some() {
        return Ok((result, false));
    }
    let began = Instant::now();
    let started = start((dir, place), spec, number, step, tmp);
    let (mut child, copier) = match started {
        Ok(started) => started,
        Err(JobError::Run { what, source }) => {
            // As a shell would say it, so that it is judged the same way.
            let mut log = store::open_append(&log_path(dir, number))?;
            let _ = writeln!(log, "{what}: not found or not executable: {source}");
            result.code = Some(127);
            return Ok((result, false));
        }
        Err(other) => return Err(other),
    };
    let mut stopped = false;
    let status = tokio::select! {
        status = child.wait() => Some(status),
        () = tokio::time::sleep(Duration::from_millis(step.timeout_ms)) => {
            result.timed_out = true;
            None
        }
        () = stop.requested() => {
            stopped = true;
            None
        }
    };
    // What the command left running ends with it, whichever session it moved to.
    process_tree::end_descendants(Duration::from_millis(spec.grace_ms)).await;
    let status = match status {
        Some(status) => status,
        None => child.wait().await,
    };
    if let Some(copier) = copier {
        let _ = copier.join();
    }
    let status = status.map_err(|source| JobError::Run { what: step.command.clone(), source })?;
    result.code = status.code();
    result.signal = std::os::unix::process::ExitStatusExt::signal(&status);
    result.duration_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
    Ok((result, stopped))
}

type Copier = std::thread::JoinHandle<()>;

/// Starts the command; in a terminal (a tmux pane) its output goes to the log and to the screen.
fn start(
    (dir, place): (&Path, &Path),
    spec: &Spec,
    number: usize,
    step: &StepSpec,
    tmp: &Path,
) -> Result<(tokio::process::Child, Option<Copier>), JobError> {
    let exe = std::env::current_exe().unwrap_or_else(|_| "slimductor".into());
    let argv = fence::command_line(&exe, place, spec, number)
        .unwrap_or_else(|| step.argv.iter().map(OsString::from).collect());
    let what = argv.first().cloned().unwrap_or_default();
    let failed = |source| JobError::Run { what: what.to_string_lossy().into_owned(), source };
    let mut log = store::open_append(&log_path(dir, number))?;
    let mut command = tokio::process::Command::new(&what);
    command
        .args(argv.iter().skip(1))
        .current_dir(&spec.cwd)
        .env_clear()
        .envs(&spec.env)
        .envs(&step.env)
        .env("TMPDIR", tmp)
        .env(process_tree::MARK, place)
        .stdin(Stdio::null());
    let screen = std::io::stdout();
    if !screen.is_terminal() {
        let second = log.try_clone().map_err(failed)?;
        command.stdout(Stdio::from(log)).stderr(Stdio::from(second));
        return Ok((command.spawn().map_err(failed)?, None));
    }
    let (mut reader, writer) = std::io::pipe().map_err(failed)?;
    let second = writer.try_clone().map_err(failed)?;
    command.stdout(Stdio::from(writer)).stderr(Stdio::from(second));
    let child = command.spawn().map_err(failed)?;
    // Our ends of the pipe close with the command value, so that the reader sees the end.
    drop(command);
    let copier = std::thread::spawn(move || {
        let mut screen = screen.lock();
        let mut buffer = [0_u8; 8192];
        while let Ok(n) = reader.read(&mut buffer) {
            let Some(part) = buffer.get(..n).filter(|p| !p.is_empty()) else { break };
            // A full disk or a closed pane must not stop the command.
            let _ = log.write_all(part);
            let _ = screen.write_all(part).and_then(|()| screen.flush());
        }
    });
    Ok((child, Some(copier)))
}
