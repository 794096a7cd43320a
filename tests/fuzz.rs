//! Hostile input for everything that reads text of others: plans, configurations, contract headers, globs. Mutates a
//! small corpus by bytes, lines and words of the formats; no input may panic, hang or take much memory.
//!
//! `cargo test` runs it for a moment; `SLIMDUCTOR_FUZZ_SECONDS=900 cargo test --release --test fuzz` for a quarter of an
//! hour each. `SLIMDUCTOR_FUZZ_SEED` repeats a run. What fails is written to the corpus directory's `found-*`.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a fuzzer that fails may say so by a panic, and says what it did"
)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use slimductor::plan::config::Config;
use slimductor::plan::contract::{header, renegotiate};
use slimductor::plan::fix::fix;
use slimductor::plan::pattern::Pattern;
use slimductor::plan::render::human::{self, Source};
use slimductor::plan::render::{diagram, machine};
use slimductor::plan::{Facts, analyse};

/// No input of a few kilobytes may take longer, even on a busy machine.
const SLOW: Duration = Duration::from_secs(5);
const PEAK_KIB: u64 = 200 * 1024;

/// A small generator of the xorshift kind: enough for mutations, and repeatable.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, n: usize) -> usize {
        (self.next() % n.max(1) as u64) as usize
    }
}

/// Words that matter to one of the readers.
const WORDS: [&str; 64] = [
    "tasks:",
    "id: a",
    "- ",
    "depends_on: [a]",
    "files_write:",
    "{",
    "}",
    "[",
    "]",
    ",",
    ": ",
    "&a ",
    "*a",
    "<<: *a",
    "|",
    ">",
    "\"",
    "'",
    "#",
    "\n",
    "\t",
    "\u{0}",
    "\u{feff}",
    "---\n",
    "...\n",
    "!!str ",
    "? ",
    "~",
    "null",
    "true",
    "0x1F",
    "1e999",
    ".inf",
    "-1",
    "99999999999999999999",
    "**",
    "*",
    "?",
    "[a-z]",
    "[!a]",
    "{a,b}",
    "\\",
    "/",
    "..",
    ".git",
    "./",
    "é",
    "\u{202e}",
    "Contract: X",
    "Version: y (renegotiated from z)",
    "Renegotiation: 1 of 2",
    "\"\"\"",
    "/*",
    "*/",
    "//",
    "patch_intents:",
    "verification: [{command: x}]",
    "version: 1",
    "files_append: ['**/*']",
    "contracts:",
    "defaults:",
    "%YAML 1.2\n",
    "\r\n",
    "timeout: 1h 30m",
];

fn mutate(seeds: &[Vec<u8>], random: &mut Random) -> Vec<u8> {
    let mut bytes = seeds[random.below(seeds.len())].clone();
    for _ in 0..=random.below(6) {
        let at = random.below(bytes.len() + 1);
        let end = (at + random.below(24)).min(bytes.len());
        match random.below(9) {
            0 => drop(bytes.drain(at..end)),
            1 => bytes.insert(at, random.next() as u8),
            2 if at < bytes.len() => bytes[at] ^= 1 << random.below(8),
            3 | 4 => {
                let word = WORDS[random.below(WORDS.len())].as_bytes();
                bytes.splice(at..at, word.iter().copied());
            }
            5 => {
                let piece: Vec<u8> = bytes[at..end].to_vec();
                let to = random.below(bytes.len() + 1);
                bytes.splice(to..to, piece);
            }
            6 => {
                // A line of another seed.
                let other = &seeds[random.below(seeds.len())];
                let lines: Vec<&[u8]> = other.split_inclusive(|b| *b == b'\n').collect();
                if !lines.is_empty() {
                    let line = lines[random.below(lines.len())].to_vec();
                    bytes.splice(at..at, line);
                }
            }
            7 => {
                let piece: Vec<u8> = bytes[at..end].to_vec();
                for _ in 0..random.below(200) {
                    bytes.splice(at..at, piece.iter().copied());
                }
            }
            _ => bytes.truncate(at),
        }
    }
    bytes.truncate(16 * 1024);
    bytes
}

fn corpus(name: &str) -> Vec<Vec<u8>> {
    let dir = dir(name);
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(dir).unwrap().flatten().map(|entry| entry.path()).collect();
    files.sort();
    files.iter().map(|path| std::fs::read(path).unwrap()).collect()
}

fn dir(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus").join(name)
}

fn setting(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// Runs `read` on mutations of the corpus `name` until the time is over.
fn run(name: &str, read: fn(&[u8])) {
    let seeds = corpus(name);
    seeds.iter().for_each(|seed| read(seed));
    let seed = setting("SLIMDUCTOR_FUZZ_SEED").unwrap_or(0x9e37_79b9_7f4a_7c15);
    let mut random = Random(seed ^ name.len() as u64);
    let whole = Duration::from_secs(setting("SLIMDUCTOR_FUZZ_SECONDS").unwrap_or(0));
    let start = Instant::now();
    let (mut tried, mut longest) = (0_u64, Duration::ZERO);
    // Without a wish for more, a fixed number: the same inputs on every machine.
    while tried < 2_000 || start.elapsed() < whole {
        let input = mutate(&seeds, &mut random);
        let begun = Instant::now();
        let outcome = std::panic::catch_unwind(|| read(&input));
        let mut took = begun.elapsed();
        if took > SLOW {
            // The machine may have slept; an input that is slow is slow again.
            let begun = Instant::now();
            let _ = std::panic::catch_unwind(|| read(&input));
            took = begun.elapsed();
        }
        longest = longest.max(took);
        tried += 1;
        if outcome.is_err() || took > SLOW {
            let kept = dir(name).join(format!("found-{tried}"));
            std::fs::write(&kept, &input).unwrap();
            assert!(outcome.is_ok(), "a panic; the input is {}", kept.display());
            assert!(took <= SLOW, "{took:?}; the input is {}", kept.display());
        }
    }
    let peak = peak_kib().unwrap_or(0);
    println!(
        "{name}: {tried} inputs in {:?}, the longest {longest:?}, peak {} MiB",
        start.elapsed(),
        peak / 1024
    );
    assert!(peak < PEAK_KIB, "{} MiB", peak / 1024);
}

/// The most memory that this process has held.
fn peak_kib() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|l| l.strip_prefix("VmHWM:"))?;
    line.trim().trim_end_matches(" kB").trim().parse().ok()
}

#[test]
fn no_plan_upsets_the_reader_the_checks_the_fixer_or_the_forms() {
    run("tasks", |bytes| {
        let config = Config::default();
        let checked = analyse(bytes, &config, |_| Facts::default());
        let text = String::from_utf8_lossy(bytes);
        let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
        let source = Source { file: "tasks.yaml", text };
        for problem in checked.analysis.problems.iter().take(20) {
            human::problem(problem, source, false);
        }
        machine::sarif(&checked.analysis.problems, "tasks.yaml");
        machine::github(&checked.analysis.problems, "tasks.yaml");
        let name = |id: &slimductor::plan::yaml::Id| id.as_str().to_owned();
        let tasks = checked.document.iter().flat_map(|d| &d.tasks);
        let graph: Vec<_> =
            tasks.map(|t| (name(&t.id), t.depends_on.iter().map(name).collect())).collect();
        diagram::dot(&checked.analysis, &graph);
        diagram::mermaid(&checked.analysis, &graph);
        if let Ok(Some(fixed)) = fix(bytes, &checked.facts, &config) {
            let again = fix(fixed.text.as_bytes(), &checked.facts, &config);
            assert!(matches!(again, Ok(None)), "a fix that does not hold: {again:?}");
        }
    });
}

#[test]
fn no_configuration_upsets_the_reader() {
    run("config", |bytes| {
        let text = String::from_utf8_lossy(bytes);
        let variables =
            BTreeMap::from([("SLIMDUCTOR__BUDGET__MAX_DURATION".to_owned(), "1h".to_owned())]);
        let _ = Config::read(bytes, &variables);
        Config::without_effect(bytes, &variables);
        if let Some((key, value)) = text.split_once(':') {
            let name = format!("SLIMDUCTOR__{}", key.to_ascii_uppercase());
            let _ = Config::read(b"", &BTreeMap::from([(name, value.to_owned())]));
        }
    });
}

#[test]
fn no_contract_upsets_the_reader() {
    run("contract", |bytes| {
        let text = String::from_utf8_lossy(bytes);
        for file in ["a.py", "a.ts", "a.rs", "a.go", "A.java", "a"] {
            let header = header::read(file, &text);
            if let Some(version) = header.version {
                let span = version.span;
                assert_eq!(
                    text.get(span.offset..span.offset + span.len),
                    Some(version.value.as_str())
                );
            }
            if let Ok(new) = renegotiate::renegotiate(file, &text, 0, 5) {
                let again = header::read(file, &new.text);
                assert_eq!(again.version.map(|v| v.value), Some(new.to), "{file}: {}", new.text);
                assert_eq!(again.renegotiation, Some(new.count), "{file}: {}", new.text);
            }
        }
    });
}

#[test]
fn no_glob_upsets_the_reader_and_two_that_match_a_path_overlap() {
    run("glob", |bytes| {
        let text = String::from_utf8_lossy(bytes);
        let patterns: Vec<Pattern> =
            text.lines().take(8).filter_map(|l| Pattern::parse(l, false).ok()).collect();
        for a in &patterns {
            let _ = a.through_link("src", "lib/src");
            let _ = a.folded();
            for b in &patterns {
                let overlap = a.overlaps(b);
                assert_eq!(overlap, b.overlaps(a), "{a} and {b}");
                if let Some(path) =
                    b.literal().filter(|p| !b.as_str().ends_with('/') && a.matches(p))
                {
                    assert!(overlap, "{a} matches {path}");
                }
            }
        }
    });
}
