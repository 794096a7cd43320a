//! What the system says when a disk is full or dead, and the points at which tests plant such faults. Knows nothing
//! of what is written there.
//!
//! In a release build a point is nothing at all: the module `planted` is not compiled.

use std::io;
use std::path::Path;

#[cfg(debug_assertions)]
mod planted;

/// Whether the disk is full, over its quota, read-only or broken, or the machine out of memory or descriptors: nobody's
/// fault but the machine's.
pub fn is_no_room(error: &io::Error) -> bool {
    // EIO, ENOMEM, ENFILE, EMFILE: Linux and macOS agree on these numbers, and there are no kinds for most.
    const NUMBERS: [i32; 4] = [5, 12, 23, 24];
    error.raw_os_error().is_some_and(|n| NUMBERS.contains(&n))
        || matches!(
            error.kind(),
            io::ErrorKind::StorageFull
                | io::ErrorKind::ReadOnlyFilesystem
                | io::ErrorKind::QuotaExceeded
        )
}

/// The same of the words in which a program or library passes the system's error on.
pub fn says_no_room(text: &str) -> bool {
    const WORDS: [&str; 9] = [
        "No space left on device",
        // Git's own, for a write that was cut short.
        "Out of diskspace",
        "Read-only file system",
        "Disk quota exceeded",
        "Input/output error",
        "Too many open files",
        "Cannot allocate memory",
        "Out of memory",
        // No process can be started.
        "Resource temporarily unavailable",
    ];
    // libgit2 begins them small.
    WORDS.iter().any(|w| text.contains(w) || text.contains(w.get(1..).unwrap_or(w)))
}

/// An effect on the system is about to happen to `name`. Tests make it fail, or end the process here.
#[inline]
pub fn point(what: &str, name: &Path) -> io::Result<()> {
    #[cfg(debug_assertions)]
    return planted::point(what, name);
    #[cfg(not(debug_assertions))]
    {
        let _ = (what, name);
        Ok(())
    }
}

/// An engine's effect begins.
#[inline]
pub fn begins(effect: &dyn std::fmt::Display) {
    #[cfg(debug_assertions)]
    planted::begins(effect);
    #[cfg(not(debug_assertions))]
    let _ = effect;
}

/// How much of the record number `seq`, a line of so many bytes, is to reach the disk before the process is killed;
/// `None` when it goes on.
#[inline]
pub fn cuts(seq: u64, bytes: usize) -> Option<usize> {
    #[cfg(debug_assertions)]
    return planted::cuts(seq, bytes);
    #[cfg(not(debug_assertions))]
    {
        let _ = (seq, bytes);
        None
    }
}

/// Ends this process as a crash would.
#[inline]
pub fn crash() {
    #[cfg(debug_assertions)]
    planted::crash();
}

/// Reads from the environment which fault is planted, if any.
pub fn arm(value: Option<String>, log: Option<String>) {
    #[cfg(debug_assertions)]
    planted::arm(value, log);
    #[cfg(not(debug_assertions))]
    drop((value, log));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_or_dead_disk_is_known_by_number_and_by_words() {
        for number in [5, 12, 24, 28, 30] {
            let error = io::Error::from_raw_os_error(number);
            assert!(is_no_room(&error), "{error}");
            assert!(says_no_room(&error.to_string()), "{error}");
        }
        let other = io::Error::from_raw_os_error(13);
        assert!(!is_no_room(&other) && !says_no_room(&other.to_string()));
        assert!(says_no_room("failed to write: no space left on device"));
    }
}
