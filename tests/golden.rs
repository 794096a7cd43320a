//! Journals that released versions wrote: each replays to what `status` said then, for ever. New formats get a directory
//! of their own beside `v1`; what stands there is never changed.
//!
//! `SLIMDUCTOR_WRITE_GOLDEN=1 cargo test --test golden` writes `status.json` for journals that are new there.

#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test that fails may say so by a panic, and lays out files as users have them"
)]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use slimductor::execute::event::Event;
use slimductor::execute::{journal, projection, run};
use slimductor::types::RunId;

fn golden() -> Vec<PathBuf> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus/golden");
    let below = |dir: PathBuf| std::fs::read_dir(dir).unwrap().flatten().map(|e| e.path());
    let mut runs: Vec<PathBuf> = below(dir).flat_map(below).collect();
    runs.sort();
    runs
}

/// The run laid out as in a repository, read as `status` reads it.
fn status_of(run: &Path) -> String {
    let root = tempfile::tempdir().unwrap();
    let first = &journal::read(&run.join("journal.jsonl")).unwrap().records[0].event;
    let first = serde_json::to_value(first).unwrap();
    let id = RunId::parse(first["run_id"].as_str().unwrap()).unwrap();
    let place = root.path().join(".orchestrator/runs").join(id.as_str());
    std::fs::create_dir_all(&place).unwrap();
    for name in ["journal.jsonl", "plan.yaml", "config.yaml", "frozen.json"] {
        std::fs::copy(run.join(name), place.join(name)).unwrap();
    }
    let state = run::read(root.path(), &id).unwrap();
    serde_json::to_string_pretty(&projection::status(&state, None)).unwrap() + "\n"
}

#[test]
fn a_journal_of_any_released_format_replays_to_what_it_was() {
    for run in golden() {
        let path = run.join("status.json");
        let now = status_of(&run);
        if std::env::var_os("SLIMDUCTOR_WRITE_GOLDEN").is_some() && !path.exists() {
            std::fs::write(&path, &now).unwrap();
        }
        let then = std::fs::read_to_string(&path).unwrap();
        // Fields only grow: what was told then is told now.
        let (then, now): (serde_json::Value, serde_json::Value) =
            (serde_json::from_str(&then).unwrap(), serde_json::from_str(&now).unwrap());
        assert!(holds(&now, &then), "{}:\nthen {then:#}\nnow {now:#}", run.display());
    }
}

/// Whether `now` says everything that `then` says.
fn holds(now: &serde_json::Value, then: &serde_json::Value) -> bool {
    use serde_json::Value;
    match (now, then) {
        (Value::Object(now), Value::Object(then)) => {
            then.iter().all(|(key, value)| now.get(key).is_some_and(|n| holds(n, value)))
        }
        (Value::Array(now), Value::Array(then)) => {
            now.len() == then.len() && now.iter().zip(then).all(|(n, t)| holds(n, t))
        }
        (now, then) => now == then,
    }
}

#[test]
fn every_kind_of_event_stands_in_a_golden_journal() {
    let schema = serde_json::to_value(schemars::schema_for!(Event)).unwrap();
    let kind =
        |v: &serde_json::Value| v["properties"]["type"]["const"].as_str().unwrap().to_owned();
    let known: BTreeSet<String> = schema["oneOf"].as_array().unwrap().iter().map(kind).collect();
    let mut seen = BTreeSet::new();
    for run in golden() {
        for record in journal::read(&run.join("journal.jsonl")).unwrap().records {
            let value = serde_json::to_value(&record.event).unwrap();
            seen.insert(value["type"].as_str().unwrap().to_owned());
        }
    }
    assert_eq!(seen, known);
}

#[test]
fn a_record_is_read_and_written_again_without_a_difference() {
    for run in golden() {
        let path = run.join("journal.jsonl");
        let lines = std::fs::read_to_string(&path).unwrap();
        for (line, record) in lines.lines().zip(journal::read(&path).unwrap().records) {
            let again: serde_json::Value = serde_json::to_value(&record).unwrap();
            let mut there: serde_json::Value = serde_json::from_str(line).unwrap();
            there.as_object_mut().unwrap().remove("crc");
            assert!(holds(&again, &there), "{}: {line}", run.display());
        }
    }
}

/// Where the last three records of a journal begin.
fn last_three(bytes: &[u8]) -> usize {
    let ends = bytes.iter().enumerate().filter(|(_, b)| **b == b'\n').map(|(n, _)| n + 1);
    let ends: Vec<usize> = ends.collect();
    ends[ends.len() - 4]
}

#[test]
fn a_journal_that_is_cut_anywhere_in_its_last_records_holds_what_was_whole_before() {
    for run in golden() {
        let (whole, dir) = (run.join("journal.jsonl"), tempfile::tempdir().unwrap());
        let (bytes, path) = (std::fs::read(&whole).unwrap(), dir.path().join("journal.jsonl"));
        let records = journal::read(&whole).unwrap().records;
        for cut in last_three(&bytes)..bytes.len() {
            std::fs::write(&path, &bytes[..cut]).unwrap();
            let left = journal::read(&path).unwrap();
            let lines = bytes[..cut].iter().filter(|b| **b == b'\n').count();
            assert_eq!(left.records, records[..lines], "{} cut at {cut}", run.display());
            assert_eq!(left.good + left.torn, cut as u64);
        }
    }
}

#[test]
fn a_byte_that_changed_in_the_last_records_is_told_with_its_line_or_cuts_the_last_record_off() {
    let mut runs = golden();
    runs.sort_by_key(|run| std::fs::metadata(run.join("journal.jsonl")).unwrap().len());
    for (n, run) in runs.iter().enumerate() {
        let (whole, dir) = (run.join("journal.jsonl"), tempfile::tempdir().unwrap());
        let path = dir.path().join("journal.jsonl");
        let records = journal::read(&whole).unwrap().records;
        let all = std::fs::read(&whole).unwrap();
        // Every value for the shortest journal, every bit for the others.
        let changes: Vec<u8> =
            if n == 0 { (1..=255).collect() } else { (0..8).map(|b| 1 << b).collect() };
        for at in last_three(&all)..all.len() {
            let line = all[..at].iter().filter(|b| **b == b'\n').count() + 1;
            for change in &changes {
                let mut bytes = all.clone();
                bytes[at] ^= change;
                std::fs::write(&path, &bytes).unwrap();
                match journal::read(&path) {
                    // Without its newline the last record counts as cut off.
                    Ok(left) => {
                        assert_eq!((at, left.torn > 0), (all.len() - 1, true), "{}", run.display());
                        assert_eq!(left.records, records[..records.len() - 1]);
                    }
                    Err(journal::JournalError::Damaged { line: told, .. }) => {
                        assert!(told == line || told == line + 1, "{at}: {told} instead of {line}");
                    }
                    Err(other) => panic!("{at}: {other}"),
                }
            }
        }
    }
}
