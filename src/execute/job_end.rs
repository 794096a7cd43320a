//! How a job ended: its exit file, and what the output of its commands says about that. Knows nothing of what they were
//! to prove.

use std::fs;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

use super::job::{Conformance, Exit, JobError, MOST, StepSpec, log_path, read_spec};
use crate::store;
use crate::types::{JobReport, StepResult};
use crate::verify::severity::{self, Parsed};
use crate::verify::vacuity;
use crate::verify::{contracts, ecosystem};

/// How much of a failed command's output is kept, in bytes and in lines.
const TAIL_BYTES: u64 = 8 * 1024;
const TAIL_LINES: usize = 40;
/// How much of a scanner's output is read, in bytes.
const SCAN_BYTES: u64 = 4 * 1024 * 1024;

/// What the exit file says; `None` where there is none.
pub(super) fn read_exit(dir: &Path) -> Result<Option<JobReport>, JobError> {
    let path = dir.join("exit.json");
    let bytes = match store::read_regular(&path, MOST) {
        Ok(bytes) => bytes,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        // What is there and is no file was made so; what could not be read may be there.
        Err(e) if e.raw_os_error().is_none() => {
            return Err(JobError::Read { path, why: e.to_string() });
        }
        Err(source) => return Err(JobError::Look { path, source }),
    };
    let exit: Exit = serde_json::from_slice(&bytes)
        .map_err(|e| JobError::Read { path: path.clone(), why: e.to_string() })?;
    let mut report = exit.report;
    let specs = read_spec(dir).map(|s| s.steps).unwrap_or_default();
    for (n, step) in report.steps.iter_mut().enumerate() {
        let spec = specs.get(n);
        if let Some(made) = spec.and_then(|s| s.conformance.as_ref()) {
            let text = last(&log_path(dir, n), SCAN_BYTES).unwrap_or_default();
            conformance(step, made, &text);
            continue;
        }
        step.detected = spec.is_some_and(|s| s.detected);
        step.key = spec.map(StepSpec::key);
        if !step.passed() {
            step.output = tail(&log_path(dir, n));
            let text = last(&log_path(dir, n), SCAN_BYTES).unwrap_or_default();
            let about = spec.map_or(&[][..], |s| &s.about);
            // Only words about other files say that these are not meant.
            let ran =
                !matches!(step.code, Some(126 | 127)) && !step.timed_out && names_a_place(&text);
            if ran && !about.is_empty() && !about.iter().any(|file| text.contains(file.as_str())) {
                step.skipped =
                    Some("what it found is about none of the contract's files".to_owned());
            }
            // pytest says so by its exit code.
            if step.code == Some(5) && spec.is_some_and(|s| s.test) {
                step.no_tests =
                    vacuity::no_tests(&last(&log_path(dir, n), TAIL_BYTES).unwrap_or_default());
            }
        } else if spec.is_some_and(|s| s.test) && step.skipped.is_none() {
            let text = last(&log_path(dir, n), TAIL_BYTES).unwrap_or_default();
            step.no_tests = vacuity::no_tests(&text);
        }
        if let Some(scanner) = spec.and_then(|s| s.scanner.as_deref()) {
            let text = last(&log_path(dir, n), SCAN_BYTES).unwrap_or_default();
            scanned(step, scanner, &text);
        }
    }
    Ok(Some(report))
}

/// What a scanner's report says: its findings of high severity, or that there is no report. Its exit code, which some
/// give for any finding, counts for nothing.
fn scanned(step: &mut StepResult, scanner: &str, output: &str) {
    if step.skipped.is_some() {
        return;
    }
    match severity::high_findings(scanner, output) {
        Parsed::Found { high: 0, .. } => {}
        Parsed::Found { first, .. } => step.high = first,
        Parsed::NotParsed(why) => {
            let known = ecosystem::not_run(scanner, output);
            step.skipped = Some(known.unwrap_or_else(|| format!("no report: {why}")));
        }
    }
}

/// Whether a checker's output names a place in a source file: `src/x.rs:3`, `src/x.ts(3,1)`.
fn names_a_place(text: &str) -> bool {
    let ends = [".rs", ".go", ".ts", ".tsx", ".mts", ".cts", ".py"];
    ends.iter().any(|end| {
        text.match_indices(end).any(|(at, _)| {
            let mut rest = text.get(at + end.len()..).unwrap_or("").chars();
            matches!(rest.next(), Some(':' | '('))
                && rest.next().is_some_and(|c| c.is_ascii_digit())
        })
    })
}

/// What a type checker's words about a generated file say; its exit code counts for nothing, because the last line of
/// that file is wrong on purpose.
fn conformance(step: &mut StepResult, made: &Conformance, output: &str) {
    if step.timed_out || step.signal.is_some() {
        return;
    }
    if matches!(step.code, Some(126 | 127)) {
        // The checker is not there: that is no word about the contract.
        return;
    }
    match contracts::conformance(&made.text, output, &made.file) {
        contracts::Conformance::Fits => step.code = Some(0),
        contracts::Conformance::Broken(lines) => {
            step.code = Some(1);
            step.output = Some(lines.join("\n"));
        }
        contracts::Conformance::NotChecked(why) => step.skipped = Some(why),
    }
}

/// The end of a log, as text without control sequences.
pub fn tail(path: &Path) -> Option<String> {
    let text = last(path, TAIL_BYTES)?;
    let lines: Vec<&str> = text.lines().collect();
    let from = lines.len().saturating_sub(TAIL_LINES);
    let text = lines.get(from..).unwrap_or_default().join("\n");
    (!text.trim().is_empty()).then_some(text)
}

/// The last so many bytes of a log, as text without control sequences.
pub(super) fn last(path: &Path, most: u64) -> Option<String> {
    let mut file = fs::File::open(path).ok()?;
    let len = file.metadata().ok()?.len();
    file.seek(SeekFrom::Start(len.saturating_sub(most))).ok()?;
    let mut bytes = Vec::new();
    file.take(most).read_to_end(&mut bytes).ok()?;
    Some(plain(&String::from_utf8_lossy(&bytes)))
}

/// Text without escape sequences and control characters: output of others never drives a terminal.
pub fn plain(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\u{1b}' => match chars.next() {
                Some('[') => while chars.next().is_some_and(|c| !('@'..='~').contains(&c)) {},
                Some(']') => while chars.next().is_some_and(|c| c != '\u{7}' && c != '\u{1b}') {},
                Some(_) | None => {}
            },
            '\n' | '\t' => out.push(c),
            c if c.is_control() => {}
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scanner_stands_in_the_way_by_findings_of_high_severity_alone() {
        let report = |severity: &str| {
            format!(
                "{{\"errors\": [], \"generated_at\": \"x\", \"metrics\": {{\"_totals\": {{\"loc\": 1}}}}, \"results\": [{{\"issue_severity\": \"{severity}\", \"issue_confidence\": \"HIGH\", \"filename\": \"a.py\", \"line_number\": 1, \"issue_text\": \"x\", \"test_id\": \"B101\", \"test_name\": \"x\"}}]}}"
            )
        };
        let of = |output: &str| {
            let mut step = StepResult::new("bandit -f json".to_owned(), false);
            step.code = Some(1);
            scanned(&mut step, "bandit -f json", output);
            step
        };
        assert_eq!(of(&report("HIGH")).high.len(), 1);
        let low = of(&report("LOW"));
        assert!(low.high.is_empty() && low.skipped.is_none(), "{low:?}");
        let none = of("Traceback");
        assert!(none.skipped.is_some_and(|why| why.contains("no report")));
    }

    #[test]
    fn only_words_about_a_place_in_a_source_file_are_about_a_file() {
        assert!(names_a_place("src/old.ts(1,7): error TS2322"));
        assert!(names_a_place("  --> src/main.rs:3:1"));
        assert!(!names_a_place("error TS5023: Unknown compiler option in tsconfig.json"));
        assert!(!names_a_place("thread panicked; see x.rs for é.rs"));
    }

    #[test]
    fn escape_sequences_do_not_reach_a_terminal() {
        assert_eq!(plain("a\u{1b}[31mred\u{1b}[0m\u{1b}]0;title\u{7}b\r\nc\u{8}"), "aredb\nc");
    }
}
