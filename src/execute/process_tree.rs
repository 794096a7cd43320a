//! The processes below a wrapper: found, counted and ended. Knows nothing of jobs. On Linux orphans come back to
//! the wrapper (it is their subreaper), so that what moved to a session of its own is found as well.

use std::collections::HashMap;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use crate::fault;

/// Makes this process the leader of its own session and the parent of every orphan below it.
pub fn lead() {
    // Fails where it leads a session already (in a tmux pane), which is as good.
    let _ = rustix::process::setsid();
    #[cfg(target_os = "linux")]
    {
        // Any pid says yes; only its absence says no.
        let _ = rustix::process::set_child_subreaper(Pid::from_raw(1));
    }
}

/// When this process started, in clock ticks since boot; 0 where the system does not tell.
pub fn start_time_of_self() -> u64 {
    start_time(std::process::id()).unwrap_or(0)
}

/// When the process started, in clock ticks since boot.
pub fn start_time(pid: u32) -> Option<u64> {
    // The name in parentheses may hold anything; fields are counted behind it.
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let rest = stat.rsplit_once(") ")?.1;
    rest.split_whitespace().nth(19)?.parse().ok()
}

/// Parent and state of every process.
fn table() -> HashMap<u32, (u32, char)> {
    let mut out = HashMap::new();
    let Ok(entries) = fs::read_dir("/proc") else { return table_by_ps() };
    for entry in entries.flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|n| n.parse::<u32>().ok()) else {
            continue;
        };
        let Ok(stat) = fs::read_to_string(format!("/proc/{pid}/stat")) else { continue };
        let Some((_, rest)) = stat.rsplit_once(") ") else { continue };
        let mut fields = rest.split_whitespace();
        let state = fields.next().and_then(|s| s.chars().next()).unwrap_or('?');
        let parent = fields.next().and_then(|p| p.parse().ok()).unwrap_or(0);
        out.insert(pid, (parent, state));
    }
    out
}

/// The same where there is no /proc (macOS).
fn table_by_ps() -> HashMap<u32, (u32, char)> {
    #[expect(clippy::disallowed_methods, reason = "the only source of process parents there")]
    let output = std::process::Command::new("ps").args(["-axo", "pid=,ppid=,stat="]).output();
    let text = output.map(|o| String::from_utf8_lossy(&o.stdout).into_owned()).unwrap_or_default();
    let row = |line: &str| {
        let mut fields = line.split_whitespace();
        let (pid, parent) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
        Some((pid, (parent, fields.next()?.chars().next()?)))
    };
    text.lines().filter_map(row).collect()
}

/// The living descendants of `root`, nearest first.
fn descendants(root: u32) -> Vec<u32> {
    let table = table();
    let mut found = vec![root];
    let mut n = 0;
    while let Some(&parent) = found.get(n) {
        let children =
            table.iter().filter(|(_, (p, state))| *p == parent && *state != 'Z' && *state != 'X');
        found.extend(children.map(|(pid, _)| *pid));
        n += 1;
    }
    found.remove(0);
    found
}

fn signal_all(pids: &[u32], signal: Signal) {
    for pid in pids {
        // A signal has no error that anybody could do something about.
        let _ = fault::point("signal", Path::new(""));
        if let Some(pid) = i32::try_from(*pid).ok().and_then(Pid::from_raw) {
            // It may have ended meanwhile.
            let _ = kill_process(pid, signal);
        }
    }
}

/// Whether a process of this number runs (a zombie does not).
pub fn is_alive(pid: u32) -> bool {
    table().get(&pid).is_some_and(|(_, state)| *state != 'Z' && *state != 'X')
}

/// The processes that hold this file open, as far as they may be looked at.
pub fn holders(path: &Path) -> Vec<u32> {
    let me = std::process::id();
    let holds = |pid: &u32| {
        let files = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
        files.map(|f| fs::read_link(f.path())).any(|to| to.is_ok_and(|to| to == path))
    };
    let mut found: Vec<u32> = table().into_keys().filter(|pid| *pid != me).filter(holds).collect();
    found.sort_unstable();
    found
}

/// Whether a process was started with this path among its arguments.
pub fn is_named(path: &Path) -> bool {
    let path = path.as_os_str().as_encoded_bytes();
    let named = |pid: u32| {
        let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        line.split(|b| *b == 0).any(|argument| argument == path)
    };
    table().into_keys().any(named)
}

/// Asks a wrapper to end its job.
pub fn terminate(wrapper: u32) {
    signal_all(&[wrapper], Signal::TERM);
}

/// Ends a wrapper that does not answer, and everything below it.
pub fn kill(wrapper: u32) {
    let below = descendants(wrapper);
    signal_all(&[wrapper], Signal::KILL);
    signal_all(&below, Signal::KILL);
}

/// The variable by which a job's processes are known when their wrapper is gone.
pub const MARK: &str = "SLIMDUCTOR_JOB";

/// Ends every process whose environment names the job in `dir`, until none is left.
pub fn kill_marked(dir: &Path) {
    let name = format!("{MARK}=").into_bytes();
    // Run and job: the repository may have been moved since.
    let parts: Vec<_> = dir.components().rev().take(3).collect();
    let job: std::path::PathBuf = parts.into_iter().rev().collect();
    let is_it = |value: &[u8]| Path::new(std::ffi::OsStr::from_bytes(value)).ends_with(&job);
    for _ in 0..50 {
        let named = |pid: &u32| {
            let env = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
            env.split(|b| *b == 0).any(|entry| entry.strip_prefix(&name[..]).is_some_and(is_it))
        };
        let living = table().into_iter().filter(|(_, (_, state))| *state != 'Z' && *state != 'X');
        let found: Vec<u32> = living.map(|(pid, _)| pid).filter(named).collect();
        if found.is_empty() {
            return;
        }
        signal_all(&found, Signal::KILL);
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Ends every process below this one: TERM, `grace`, KILL until none is left.
pub async fn end_descendants(grace: Duration) {
    let me = std::process::id();
    let below = descendants(me);
    if below.is_empty() {
        return;
    }
    signal_all(&below, Signal::TERM);
    let mut waited = Duration::ZERO;
    let mut pause = Duration::from_millis(2);
    loop {
        tokio::time::sleep(pause).await;
        waited += pause;
        pause = (pause * 2).min(Duration::from_millis(100));
        let left = descendants(me);
        if left.is_empty() || waited > grace + Duration::from_secs(5) {
            return;
        }
        if waited >= grace {
            signal_all(&left, Signal::KILL);
        }
    }
}
