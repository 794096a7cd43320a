//! Faults on purpose, for tests of debug builds: the n-th effect on the system fails, or the process is killed there.
//! Knows nothing of what the effects are for.
//!
//! `SLIMDUCTOR_FAULT` is `kill@N`, `enospc@N`, `eio@N`, `erofs@N`, `eacces@N` (with a `+` behind it for all from
//! there on), `record@N` (killed when record N is durable) or `cut@N` (killed when half of record N is).
//! `SLIMDUCTOR_FAULT_LOG` names a file to which every point is written.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

#[derive(Debug)]
enum Fault {
    None,
    Kill(u64),
    Error { code: i32, from: u64, stays: bool },
    Record(u64),
    Cut(u64),
}

#[derive(Debug)]
struct Planted {
    fault: Fault,
    log: Option<File>,
}

static PLANTED: OnceLock<Planted> = OnceLock::new();
static COUNT: AtomicU64 = AtomicU64::new(0);

pub(super) fn arm(value: Option<String>, log: Option<String>) {
    let fault = value.as_deref().and_then(parse).unwrap_or(Fault::None);
    let log = log.and_then(|path| File::options().create(true).append(true).open(path).ok());
    let _ = PLANTED.set(Planted { fault, log });
}

fn parse(text: &str) -> Option<Fault> {
    let (what, at) = text.split_once('@')?;
    let stays = at.ends_with('+');
    let from = at.trim_end_matches('+').parse().ok()?;
    let error = |code: i32| Fault::Error { code, from, stays };
    Some(match what {
        "kill" => Fault::Kill(from),
        "record" => Fault::Record(from),
        "cut" => Fault::Cut(from),
        "enospc" => error(28),
        "eio" => error(5),
        "erofs" => error(30),
        "eacces" => error(13),
        _ => return None,
    })
}

fn note(planted: &Planted, line: &str) {
    if let Some(log) = &planted.log {
        let mut log = log;
        // One write for each line: threads do not mix.
        let _ = log.write_all(line.as_bytes());
    }
}

pub(super) fn point(what: &str, name: &Path) -> io::Result<()> {
    let Some(planted) = PLANTED.get() else { return Ok(()) };
    let n = COUNT.fetch_add(1, Ordering::SeqCst) + 1;
    note(planted, &format!("{n} {what} {}\n", name.display()));
    match planted.fault {
        Fault::Kill(at) if at == n => crash(),
        Fault::Error { code, from, stays } if n == from || (stays && n > from) => {
            return Err(io::Error::from_raw_os_error(code));
        }
        Fault::None | Fault::Kill(_) | Fault::Error { .. } | Fault::Record(_) | Fault::Cut(_) => {}
    }
    Ok(())
}

pub(super) fn begins(effect: &dyn std::fmt::Display) {
    if let Some(planted) = PLANTED.get() {
        note(planted, &format!("begin {effect}\n"));
    }
}

pub(super) fn cuts(seq: u64, bytes: usize) -> Option<usize> {
    match PLANTED.get()?.fault {
        Fault::Record(at) if at == seq => Some(bytes),
        Fault::Cut(at) if at == seq => Some(bytes / 2),
        Fault::None | Fault::Kill(_) | Fault::Error { .. } | Fault::Record(_) | Fault::Cut(_) => {
            None
        }
    }
}

pub(super) fn crash() {
    let me = rustix::process::getpid();
    let _ = rustix::process::kill_process(me, rustix::process::Signal::KILL);
    loop {
        std::thread::park();
    }
}
