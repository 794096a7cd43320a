//! A job on disk: spec, log, pid, exit file, and the probe that reads them (wrapper.rs runs it). Knows nothing of
//! tasks, git or backends. The exit file is the only word on how a job ended.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::fence::Fence;
use super::process_tree;
use crate::store::{self, Mode, StoreError};
use crate::types::{JobId, JobReport, StepResult, sha256};
use crate::verify::severity::{self, Parsed};
use crate::verify::vacuity;
use crate::verify::{contracts, ecosystem};
use serde::{Deserialize, Serialize};

/// What a wrapper leaves that could not go on.
pub(super) const DIED: &str = "died.txt";
/// How much of a failed command's output is kept, in bytes and in lines.
const TAIL_BYTES: u64 = 8 * 1024;
const TAIL_LINES: usize = 40;
/// How much of a scanner's output is read, in bytes.
const SCAN_BYTES: u64 = 4 * 1024 * 1024;

/// The largest file of a job that is read whole, in bytes.
const MOST: u64 = 64 * 1024 * 1024;

/// What a job is to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spec {
    /// Version of this format.
    pub v: u32,
    /// Its id.
    pub job: JobId,
    /// The commit that it is about: a job of the same name about another is another.
    #[serde(default)]
    pub about: String,
    /// Where its commands run.
    pub cwd: PathBuf,
    /// Their whole environment; nothing else passes.
    pub env: BTreeMap<String, String>,
    /// Its commands, run one after the other, all of them.
    pub steps: Vec<StepSpec>,
    /// Between TERM and KILL, ms.
    pub grace_ms: u64,
    /// What its commands may write; absent where nothing is fenced.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fence: Option<Fence>,
}

/// One command of a job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepSpec {
    /// The command as it stands in the plan.
    pub command: String,
    /// Program and arguments.
    pub argv: Vec<String>,
    /// Whether its failure fails the whole.
    pub required: bool,
    /// Its limit, ms.
    pub timeout_ms: u64,
    /// Variables of its own, over those of the job.
    #[serde(default)]
    pub env: BTreeMap<String, String>,
    /// Whether it is run once more when it fails: what passes unchanged is flaky.
    #[serde(default)]
    pub again: bool,
    /// Why it is not run.
    #[serde(default)]
    pub skipped: Option<String>,
    /// What its failure says about, when it is not simply the work.
    #[serde(default)]
    pub on_contract: bool,
    /// Whether it runs tests: then it must have run some.
    #[serde(default)]
    pub test: bool,
    /// The scanner whose findings of high severity are looked for in its output.
    #[serde(default)]
    pub scanner: Option<String>,
    /// The generated file whose type check it is: then its output says how it ended, not its exit code.
    #[serde(default)]
    pub conformance: Option<Conformance>,
    /// The files that its failure must be about; empty where every failure counts.
    #[serde(default)]
    pub about: Vec<String>,
    /// Whether it was found in the project, and not declared.
    #[serde(default)]
    pub detected: bool,
    /// The program that it needs; when that is not there once the worktree is prepared, it is left out and told.
    #[serde(default)]
    pub tool: Option<String>,
    /// Whether it only prepares the worktree: when it fails, nothing else runs.
    #[serde(default)]
    pub setup: bool,
}

/// A generated file that a type checker is to judge.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Conformance {
    /// Its name in the worktree.
    pub file: String,
    /// What stands in it.
    pub text: String,
    /// Everything that is to stand in the worktree for it: names and texts.
    pub files: Vec<(String, String)>,
}

impl StepSpec {
    /// What names exactly this command: its words, its variables and what must be true of its output.
    pub fn key(&self) -> String {
        let whole = serde_json::json!([self.argv, self.env, self.test, self.scanner]);
        sha256(whole.to_string().as_bytes())
    }

    /// A command with nothing special about it.
    pub fn new(command: String, argv: Vec<String>, timeout_ms: u64) -> StepSpec {
        StepSpec {
            command,
            argv,
            required: true,
            timeout_ms,
            env: BTreeMap::new(),
            again: false,
            skipped: None,
            on_contract: false,
            test: false,
            scanner: None,
            conformance: None,
            about: Vec::new(),
            detected: false,
            tool: None,
            setup: false,
        }
    }
}

/// Who runs the job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pid {
    /// The wrapper's process id.
    pub pid: u32,
    /// When that process started, in clock ticks since boot; 0 where the system does not tell.
    pub start_time: u64,
}

/// The exit file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Exit {
    pub(super) v: u32,
    pub(super) report: JobReport,
}

/// What is known of a job by looking at its directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Probe {
    /// No wrapper has taken it up.
    NotStarted,
    /// A wrapper holds its lock.
    Running,
    /// It has an exit file.
    Ended(JobReport),
    /// A wrapper took it up and is gone without an exit file.
    Dead,
}

/// What a wrapper or coordinator cannot do with a job's directory.
#[derive(Debug, thiserror::Error)]
pub enum JobError {
    /// A file cannot be written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A file cannot be read, or is not what it should be.
    #[error("cannot read {path}: {why}")]
    Read {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// A program cannot be started or waited for.
    #[error("cannot run {what}: {source}")]
    Run {
        /// The program.
        what: String,
        /// What the system said.
        source: std::io::Error,
    },
}

pub(super) fn lock_path(dir: &Path) -> PathBuf {
    dir.join("lock")
}

/// The log of the command number `step`.
pub fn log_path(dir: &Path, step: usize) -> PathBuf {
    dir.join(format!("{step}.log"))
}

/// Writes the job's directory, whole; one that is there is left as it is.
pub fn create(dir: &Path, spec: &Spec) -> Result<(), JobError> {
    if dir.join("spec.json").exists() {
        return Ok(());
    }
    let above = dir.parent().unwrap_or(Path::new("."));
    store::make_dir(above)?;
    let built = above.join(format!(".new-{}", spec.job));
    store::remove_dir(&built)?;
    store::make_dir(&built)?;
    let text = serde_json::to_vec_pretty(spec).unwrap_or_default();
    store::replace(&built.join("spec.json"), &text, Mode::Private)?;
    store::publish_dir(&built, dir)?;
    Ok(())
}

/// What is known of the job.
pub fn probe(dir: &Path) -> Result<Probe, JobError> {
    if let Some(exit) = read_exit(dir)? {
        return Ok(Probe::Ended(exit));
    }
    if store::is_locked(&lock_path(dir)) {
        return Ok(Probe::Running);
    }
    // It may have ended between the two looks.
    if let Some(exit) = read_exit(dir)? {
        return Ok(Probe::Ended(exit));
    }
    Ok(if dir.join("pid.json").exists() { Probe::Dead } else { Probe::NotStarted })
}

/// Makes this process the leader of a session of its own, which no terminal ends.
pub fn leave_session() {
    process_tree::lead();
}

/// Ends what a wrapper that was killed left running: its commands would write into a worktree that is used again.
pub fn end_orphans(dir: &Path) {
    process_tree::kill_marked(dir);
    if let Ok(tmp) = fs::read_link(dir.join("tmp"))
        && tmp.file_name().is_some_and(|n| n.to_string_lossy().starts_with("sd-"))
    {
        let _ = store::remove_dir(&tmp);
    }
    let _ = store::remove_dir(&dir.join(super::fence::PRIVATE_TMP));
}

/// Why the job's wrapper could not go on, in its own words.
pub(super) fn why_it_died(dir: &Path) -> Option<String> {
    let bytes = store::read_regular(&dir.join(DIED), MOST).ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

/// Blocks until no wrapper holds the job.
pub fn wait_for_wrapper(dir: &Path) -> Result<(), JobError> {
    Ok(store::wait_unlocked(&lock_path(dir))?)
}

/// Who runs the job, where a wrapper has taken it up.
pub fn read_pid(dir: &Path) -> Option<Pid> {
    serde_json::from_slice(&store::read_regular(&dir.join("pid.json"), MOST).ok()?).ok()
}

fn read_exit(dir: &Path) -> Result<Option<JobReport>, JobError> {
    let path = dir.join("exit.json");
    let bytes = match store::read_regular(&path, MOST) {
        Ok(bytes) => bytes,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(JobError::Read { path, why: e.to_string() }),
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

/// Whether the job was told to end, alone or with all jobs of its run.
pub fn is_cancelled(dir: &Path) -> bool {
    dir.join("cancel").exists() || dir.parent().is_some_and(|jobs| jobs.join("cancelled").exists())
}

/// Tells a job that was not taken up yet that it never will be.
pub fn cancel(dir: &Path) -> Result<(), JobError> {
    // One that is not made yet never will be.
    store::make_dir(dir)?;
    store::create_new(&dir.join("cancel"), b"", Mode::Private)?;
    Ok(())
}

/// The same to every job of a run, made or to be made.
pub fn cancel_all(jobs: &Path) -> Result<(), JobError> {
    store::make_dir(jobs)?;
    store::create_new(&jobs.join("cancelled"), b"", Mode::Private)?;
    Ok(())
}

/// Asks the job to end and waits until it has: TERM, grace, KILL, its whole process tree. A job that was not
/// taken up yet never will be.
pub fn stop(dir: &Path) -> Result<(), JobError> {
    cancel(dir)?;
    let Some(pid) = read_pid(dir) else { return Ok(()) };
    // The lock is held, so the process behind the pid is the wrapper and no other.
    if !store::is_locked(&lock_path(dir)) {
        end_orphans(dir);
        return Ok(());
    }
    let spec = read_spec(dir)?;
    // A pid alone may be another process by now.
    let same = |found: u64| pid.start_time == 0 || found == pid.start_time;
    if process_tree::start_time(pid.pid).is_some_and(|t| !same(t)) {
        end_orphans(dir);
        return Ok(());
    }
    process_tree::terminate(pid.pid);
    let limit = Duration::from_millis(spec.grace_ms + 5_000);
    let (sender, receiver) = std::sync::mpsc::channel();
    let lock = dir.to_owned();
    std::thread::spawn(move || sender.send(wait_for_wrapper(&lock).is_ok()));
    if receiver.recv_timeout(limit).is_err() {
        process_tree::kill(pid.pid);
        let _ = receiver.recv_timeout(Duration::from_secs(5));
    }
    end_orphans(dir);
    Ok(())
}

pub(super) fn read_spec(dir: &Path) -> Result<Spec, JobError> {
    let path = dir.join("spec.json");
    let wrong = |why: String| JobError::Read { path: path.clone(), why };
    let bytes = store::read_regular(&path, MOST).map_err(|e| wrong(e.to_string()))?;
    serde_json::from_slice(&bytes).map_err(|e| wrong(e.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_words_about_other_files_or_variables_are_another_proof() {
        let step = |line: &str| {
            let argv = ["sh", "-c", line].map(str::to_owned).to_vec();
            StepSpec::new("sh check.sh {modified_files}".to_owned(), argv, 1)
        };
        let (one, same) = (step("sh check.sh 'a'"), step("sh check.sh 'a'"));
        assert_eq!(one.key(), same.key());
        assert_ne!(one.key(), step("sh check.sh 'b'").key());
        let mut other = same;
        other.env.insert("MODE".to_owned(), "x".to_owned());
        assert_ne!(one.key(), other.key());
    }

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
