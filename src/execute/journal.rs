//! The journal on disk: JSON lines with checksums, appended and synced; reads back what it wrote, finds a torn
//! tail, refuses a damaged middle. Knows nothing of what the events mean.

use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::event::{Event, Record};
use crate::fault;
use crate::store::{self, StoreError};

/// The format that this version writes.
pub const VERSION: u32 = 1;

/// A journal that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// It cannot be read.
    #[error("cannot read {path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A line in the middle is not what was written.
    #[error("{path}:{line}: {why}")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Its line, from 1.
        line: usize,
        /// What is wrong with it.
        why: String,
    },
    /// Another process is writing it.
    #[error("{0} is being written by another process")]
    Held(PathBuf),
    /// It cannot be written.
    #[error(transparent)]
    Write(#[from] StoreError),
}

#[derive(Deserialize)]
struct Head {
    v: u32,
}

#[derive(Serialize, Deserialize)]
struct Line {
    v: u32,
    seq: u64,
    at: jiff::Timestamp,
    event: Event,
    crc: String,
}

/// A record as a line: the checksum covers every byte before it.
fn encode(record: &Record) -> String {
    // Serialising plain data with string keys has no failure.
    let mut text = serde_json::to_string(record).unwrap_or_default();
    text.pop();
    let crc = crc32fast::hash(text.as_bytes());
    format!("{text},\"crc\":\"{crc:08x}\"}}\n")
}

fn decode(line: &str) -> Result<Record, String> {
    let cut = line.rfind(",\"crc\":\"").ok_or("it has no checksum")?;
    let (body, tail) = line.split_at(cut);
    let crc = tail.get(8..16).ok_or("its checksum is cut")?;
    if tail.get(16..) != Some("\"}") {
        return Err("something stands behind its checksum".to_owned());
    }
    let found = format!("{:08x}", crc32fast::hash(body.as_bytes()));
    if found != crc {
        return Err(format!("its checksum is {crc}, its content's is {found}"));
    }
    // Before its event, which this version may not know.
    let head: Head = serde_json::from_str(line).map_err(|e| e.to_string())?;
    if head.v > VERSION {
        return Err(format!("it was written by a newer slimductor (format {})", head.v));
    }
    let line: Line = serde_json::from_str(line).map_err(|e| e.to_string())?;
    Ok(Record { v: line.v, seq: line.seq, at: line.at, event: line.event })
}

/// Asked before it is opened: opening a pipe waits for the other end.
fn is_file(path: &Path) -> std::io::Result<()> {
    match fs::metadata(path)?.is_file() {
        true => Ok(()),
        false => Err(std::io::Error::other("it is not a regular file")),
    }
}

/// What a journal holds.
#[derive(Debug)]
pub struct Contents {
    /// The whole records.
    pub records: Vec<Record>,
    /// Where the last whole line ends, in bytes.
    pub good: u64,
    /// How many bytes behind it belong to a write that was cut off.
    pub torn: u64,
}

/// Reads a journal without touching it.
pub fn read(path: &Path) -> Result<Contents, JournalError> {
    let failed = |source| JournalError::Read { path: path.to_owned(), source };
    is_file(path).map_err(failed)?;
    let bytes = fs::read(path).map_err(failed)?;
    // A line cut just before its newline still parses: only a newline ends a record.
    let whole = bytes.iter().rposition(|b| *b == b'\n').map_or(0, |n| n + 1);
    let mut records = Vec::new();
    let damaged =
        |line: usize, why: String| JournalError::Damaged { path: path.to_owned(), line, why };
    let lines = bytes.get(..whole).unwrap_or_default().split_inclusive(|b| *b == b'\n');
    for (n, line) in lines.enumerate() {
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        let text =
            std::str::from_utf8(line).map_err(|_| damaged(n + 1, "it is not UTF-8".to_owned()))?;
        let record = decode(text).map_err(|why| damaged(n + 1, why))?;
        if record.seq != records.len() as u64 + 1 {
            return Err(damaged(
                n + 1,
                format!("it is number {}, expected {}", record.seq, records.len() + 1),
            ));
        }
        records.push(record);
    }
    Ok(Contents { records, good: whole as u64, torn: (bytes.len() - whole) as u64 })
}

/// How much of a journal's end is read at first to find its last record, in bytes.
const TAIL: u64 = 64 * 1024;

/// The last whole record, found without reading what is before it; `None` where there is none. What is before may be
/// damaged all the same.
pub fn last(path: &Path) -> Result<Option<Record>, JournalError> {
    let failed = |source| JournalError::Read { path: path.to_owned(), source };
    is_file(path).map_err(failed)?;
    let mut file = File::open(path).map_err(failed)?;
    let length = file.metadata().map_err(failed)?.len();
    let mut want = TAIL;
    loop {
        let from = length.saturating_sub(want);
        let mut bytes = Vec::new();
        file.seek(SeekFrom::Start(from)).map_err(failed)?;
        (&mut file).take(length - from).read_to_end(&mut bytes).map_err(failed)?;
        let whole = bytes.iter().rposition(|b| *b == b'\n').unwrap_or(0);
        let text = bytes.get(..whole).unwrap_or_default();
        let start = text.iter().rposition(|b| *b == b'\n').map(|n| n + 1);
        match start {
            // The line begins before what was read.
            None if from > 0 => want = want.saturating_mul(8),
            None if text.is_empty() => return Ok(None),
            _ => {
                let line = text.get(start.unwrap_or(0)..).unwrap_or_default();
                let why =
                    |why: String| JournalError::Damaged { path: path.to_owned(), line: 0, why };
                let line = std::str::from_utf8(line).map_err(|e| why(e.to_string()))?;
                return decode(line).map(Some).map_err(why);
            }
        }
    }
}

/// A journal that is being written.
#[derive(Debug)]
pub struct Journal {
    file: File,
    path: PathBuf,
    next: u64,
    last_at: jiff::Timestamp,
}

impl Journal {
    /// Makes a journal with its first record, and syncs it.
    pub fn create(path: &Path, at: jiff::Timestamp, first: Event) -> Result<Record, JournalError> {
        let record = Record { v: VERSION, seq: 1, at, event: first };
        store::replace(path, encode(&record).as_bytes(), store::Mode::Private)?;
        Ok(record)
    }

    /// Opens a journal for writing: locks it, reads it, cuts off a torn tail. The lock is the journal's own, because
    /// a lock file beside it can be removed and made anew.
    pub fn open(path: &Path) -> Result<(Journal, Vec<Record>), JournalError> {
        is_file(path).map_err(|source| JournalError::Read { path: path.to_owned(), source })?;
        let file = store::open_append(path)?;
        if !store::try_lock(&file, path)? {
            return Err(JournalError::Held(path.to_owned()));
        }
        let contents = read(path)?;
        if contents.torn > 0 {
            store::truncate(path, contents.good)?;
        }
        let next = contents.records.len() as u64 + 1;
        let last_at = contents.records.last().map_or(jiff::Timestamp::UNIX_EPOCH, |r| r.at);
        Ok((Journal { file, path: path.to_owned(), next, last_at }, contents.records))
    }

    /// Where a test wants the process to die within this write.
    fn crash_in(&mut self, records: &[Record]) -> Result<(), JournalError> {
        let mut bytes = Vec::new();
        for record in records {
            let line = encode(record).into_bytes();
            if let Some(cut) = fault::cuts(record.seq, line.len()) {
                bytes.extend(line.get(..cut).unwrap_or_default());
                store::append_synced(&mut self.file, &self.path, &bytes)?;
                fault::crash();
            }
            bytes.extend(line);
        }
        Ok(())
    }

    /// Appends `events` as one write with one sync; on return they are durable.
    pub fn append(
        &mut self,
        at: jiff::Timestamp,
        events: Vec<Event>,
    ) -> Result<Vec<Record>, JournalError> {
        // A clock that was set back does not make history run backwards.
        let at = at.max(self.last_at);
        let mut records = Vec::with_capacity(events.len());
        let mut text = String::new();
        for (n, event) in events.into_iter().enumerate() {
            let record = Record { v: VERSION, seq: self.next + n as u64, at, event };
            text.push_str(&encode(&record));
            records.push(record);
        }
        if cfg!(debug_assertions) {
            self.crash_in(&records)?;
        }
        store::append_synced(&mut self.file, &self.path, text.as_bytes())?;
        self.next += records.len() as u64;
        self.last_at = at;
        Ok(records)
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "tests damage files on purpose")]
mod tests {
    use super::*;
    use crate::types::TaskId;

    fn ready(n: u32) -> Event {
        Event::WorktreeReady { task: TaskId::parse("a").unwrap(), attempt: n, around: None }
    }

    fn written(dir: &Path) -> PathBuf {
        let path = dir.join("journal.jsonl");
        let at = jiff::Timestamp::UNIX_EPOCH;
        Journal::create(&path, at, Event::StagingCreated).unwrap();
        let (mut journal, _) = Journal::open(&path).unwrap();
        journal.append(at, vec![ready(1), ready(2)]).unwrap();
        journal.append(at, vec![ready(3)]).unwrap();
        path
    }

    #[test]
    fn what_was_appended_is_read_back() {
        let dir = tempfile::tempdir().unwrap();
        let path = written(dir.path());
        let seqs: Vec<u64> = read(&path).unwrap().records.iter().map(|r| r.seq).collect();
        assert_eq!(seqs, [1, 2, 3, 4]);
    }

    #[test]
    fn the_last_whole_record_is_found_from_the_end() {
        let dir = tempfile::tempdir().unwrap();
        let path = written(dir.path());
        assert_eq!(last(&path).unwrap().unwrap().seq, 4);
        let (mut journal, _) = Journal::open(&path).unwrap();
        let long = Event::Escalated { reason: "x".repeat(3 * TAIL as usize) };
        journal.append(jiff::Timestamp::UNIX_EPOCH, vec![long]).unwrap();
        assert_eq!(last(&path).unwrap().unwrap().seq, 5);
        let bytes = fs::read(&path).unwrap();
        fs::write(&path, &bytes[..bytes.len() - 1]).unwrap();
        assert_eq!(last(&path).unwrap().unwrap().seq, 4);
        fs::write(&path, "").unwrap();
        assert!(last(&path).unwrap().is_none());
    }

    #[test]
    fn a_cut_at_any_byte_loses_only_the_record_it_hits() {
        let dir = tempfile::tempdir().unwrap();
        let path = written(dir.path());
        let bytes = fs::read(&path).unwrap();
        for len in 0..bytes.len() {
            fs::write(&path, &bytes[..len]).unwrap();
            let whole = bytes[..len].iter().filter(|b| **b == b'\n').count();
            assert_eq!(read(&path).unwrap().records.len(), whole, "cut at {len}");
            let (mut journal, records) = Journal::open(&path).unwrap();
            assert_eq!(records.len(), whole);
            journal.append(jiff::Timestamp::UNIX_EPOCH, vec![ready(9)]).unwrap();
            assert_eq!(read(&path).unwrap().records.len(), whole + 1);
        }
    }

    #[test]
    fn a_flipped_bit_is_refused_with_its_line() {
        let dir = tempfile::tempdir().unwrap();
        let path = written(dir.path());
        let bytes = fs::read(&path).unwrap();
        for at in 0..bytes.len() - 1 {
            let mut bad = bytes.clone();
            bad[at] ^= 0x01;
            fs::write(&path, &bad).unwrap();
            match read(&path) {
                Err(JournalError::Damaged { .. }) => {}
                other => panic!("flip at {at}: {other:?}"),
            }
        }
    }
}
