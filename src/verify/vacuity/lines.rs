//! What a single line of a test runner says: a test ran, or none did. Knows no other line.

/// What one line says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sign {
    /// At least one test ran, whether it passed or not.
    Ran,
    /// The whole run had no test to run; so many were skipped or filtered out.
    NothingAtAll(u64),
    /// One binary, package or module of the run had no test to run.
    NothingInPart(u64),
}

/// Readers of lines that can be judged alone.
pub const READERS: [fn(&str) -> Option<Sign>; 9] = [
    pytest,
    nextest,
    jest_or_vitest,
    mocha,
    rspec_or_minitest,
    phpunit,
    gradle,
    surefire,
    any_runner,
];

/// `2 passed, 1 skipped in 0.1s`, between `=` or, with `-q`, bare.
fn pytest(line: &str) -> Option<Sign> {
    let bare = line.trim_matches(['=', ' ']);
    let (sums, time) = bare.rsplit_once(" in ")?;
    if !(time.starts_with(|c: char| c.is_ascii_digit()) && time.contains('s')) {
        return None;
    }
    // `--collect-only` lists the tests and runs none.
    if sums.starts_with("no tests ") || sums.contains(" tests collected") {
        return Some(Sign::NothingAtAll(0));
    }
    let sums = Counts::read(sums.split(','))?;
    let left_out = sums.of(&["skipped", "deselected"]);
    if sums.of(&["passed", "failed", "error", "errors", "xfailed", "xpassed", "subtests"]) > 0 {
        return Some(Sign::Ran);
    }
    // A count of warnings alone is pytest's only when it stands in its frame.
    let only_warnings = line.starts_with('=') && sums.of(&["warning", "warnings"]) > 0;
    (left_out > 0 || only_warnings).then_some(Sign::NothingAtAll(left_out))
}

/// `Summary [   0.1s] 2 tests run: 2 passed, 0 skipped`.
fn nextest(line: &str) -> Option<Sign> {
    if line == "error: no tests to run" || line == "warning: no tests to run" {
        return Some(Sign::NothingAtAll(0));
    }
    let (_, sums) = line.strip_prefix("Summary [")?.split_once("] ")?;
    let (run, rest) = sums.split_once(" run: ")?;
    if !run.starts_with("0 ") {
        return Some(Sign::Ran);
    }
    Some(Sign::NothingAtAll(Counts::read(rest.split(',')).map_or(0, |c| c.of(&["skipped"]))))
}

/// `Tests:  1 skipped, 1 passed, 2 total` of jest, `Tests  1 passed | 1 skipped (2)` of vitest.
fn jest_or_vitest(line: &str) -> Option<Sign> {
    let said = line.strip_prefix("Error: ").unwrap_or(line);
    let none =
        ["No tests found", "No test files found"].iter().any(|start| said.starts_with(start));
    // What `npm init` writes for a package without tests.
    if none || line.contains("Error: no test specified") {
        return Some(Sign::NothingAtAll(0));
    }
    let sums = match (line.strip_prefix("Tests:"), line.strip_prefix("Tests  ")) {
        (Some(sums), _) => Counts::read(sums.split(','))?,
        (None, Some(sums)) if sums.trim() == "no tests" => return Some(Sign::NothingInPart(0)),
        (None, Some(sums)) => Counts::read(sums.split('|'))?,
        (None, None) => return None,
    };
    Some(match sums.of(&["passed", "failed"]) {
        0 => Sign::NothingInPart(sums.of(&["skipped", "todo", "pending"])),
        _ => Sign::Ran,
    })
}

/// `2 passing (3ms)`.
fn mocha(line: &str) -> Option<Sign> {
    let (number, rest) = line.split_once(' ')?;
    let number = number.parse::<u64>().ok()?;
    let passing = rest == "passing" || rest.starts_with("passing (");
    match (passing, rest == "failing", number) {
        (true, _, 0) => Some(Sign::NothingInPart(0)),
        (true, _, _) => Some(Sign::Ran),
        (false, true, 1..) => Some(Sign::Ran),
        (false, _, _) => None,
    }
}

/// `2 examples, 0 failures, 1 pending` of RSpec, `2 runs, 1 assertions, …, 1 skips` of minitest.
fn rspec_or_minitest(line: &str) -> Option<Sign> {
    if line == "No examples found." || line.starts_with("All examples were filtered out") {
        return Some(Sign::NothingInPart(0));
    }
    let sums = Counts::read(line.split(','))?;
    let all = match sums.of_first(&["example", "examples"]) {
        Some(all) => all,
        None => {
            sums.of_first(&["run", "runs", "test", "tests"]).filter(|_| sums.has("assertions"))?
        }
    };
    let left_out = sums.of(&["pending", "pendings", "skips", "omissions"]);
    Some(if all > left_out { Sign::Ran } else { Sign::NothingInPart(left_out) })
}

/// `OK (2 tests, 3 assertions)`, `Tests: 2, Assertions: 1, Skipped: 1.`
fn phpunit(line: &str) -> Option<Sign> {
    if line == "No tests executed!" {
        return Some(Sign::NothingAtAll(0));
    }
    if let Some(sums) = line.strip_prefix("OK (") {
        let sums = Counts::read(sums.trim_end_matches(')').split(','))?;
        let all = sums.of_first(&["test", "tests"])?;
        return Some(if all > 0 { Sign::Ran } else { Sign::NothingInPart(0) });
    }
    let sums = labelled(line.strip_suffix('.')?)?;
    let of = |label: &str| sums.iter().find(|(word, _)| *word == label).map(|(_, count)| *count);
    let (all, _) = of("Tests").zip(of("Assertions"))?;
    let left_out = of("Skipped").unwrap_or(0).saturating_add(of("Incomplete").unwrap_or(0));
    Some(if all > left_out { Sign::Ran } else { Sign::NothingInPart(left_out) })
}

/// `> Task :app:test NO-SOURCE`, before Gradle 4.5 `:app:test NO-SOURCE`.
fn gradle(line: &str) -> Option<Sign> {
    let task = line.strip_prefix("> Task ").unwrap_or(line).strip_prefix(':')?;
    let (path, outcome) = task.split_once(' ').unwrap_or((task, ""));
    let name = path.rsplit(':').find(|part| !part.is_empty())?;
    // `testClasses` and `packageTest` only prepare; `testDebugUnitTest` and `integrationTest` run.
    let prepares = ["testClasses", "testFixtures", "assemble", "package", "compile", "process"];
    let tests = name.strip_prefix("test");
    let runs = tests.is_some_and(|rest| !rest.starts_with(|c: char| c.is_ascii_lowercase()))
        || name.ends_with("Test");
    if !runs || prepares.iter().any(|start| name.starts_with(start)) {
        return None;
    }
    Some(match outcome.trim() {
        "NO-SOURCE" | "SKIPPED" => Sign::NothingInPart(0),
        _ => Sign::Ran,
    })
}

/// `[INFO] Tests run: 2, Failures: 0, Errors: 0, Skipped: 1` of Maven's surefire and failsafe.
fn surefire(line: &str) -> Option<Sign> {
    let said = line.strip_prefix('[').and_then(|rest| rest.split_once("] ")).map_or(line, |p| p.1);
    let none = ["No tests to run.", "There are no tests to run.", "Tests are skipped."];
    if is_one_of(said, &none) || said.starts_with("No tests were executed!") {
        return Some(Sign::NothingInPart(0));
    }
    if !said.starts_with("Tests run: ") {
        return None;
    }
    let sums = labelled(said.split(", Time elapsed").next().unwrap_or(said))?;
    let of = |label: &str| sums.iter().find(|(word, _)| *word == label).map(|(_, count)| *count);
    let (all, left_out) = (of("Tests run")?, of("Skipped").unwrap_or(0));
    Some(if all > left_out { Sign::Ran } else { Sign::NothingInPart(left_out) })
}

/// `3 passed (1.2s)`, `3 pass`, `ok | 3 passed | 0 failed`: what other runners ran counts too.
fn any_runner(line: &str) -> Option<Sign> {
    let mut words = line.trim_start_matches("ok |").split_ascii_whitespace();
    let number = words.next()?.parse::<u64>().ok()?;
    let word = words.next()?.trim_end_matches([',', ';']);
    (number > 0 && is_one_of(word, &["pass", "passed"])).then_some(Sign::Ran)
}

/// Numbers with the word that follows each: `2 passed`, `1 skipped`.
pub struct Counts<'a>(Vec<(u64, &'a str)>);

impl<'a> Counts<'a> {
    /// Every part must be a number and a word; else the line is about something else.
    pub fn read(parts: impl Iterator<Item = &'a str>) -> Option<Counts<'a>> {
        let one = |part: &'a str| {
            let mut words = part.split_ascii_whitespace();
            let number = words.next()?.parse::<u64>().ok()?;
            Some((number, words.next()?))
        };
        parts.filter(|part| !part.trim().is_empty()).map(one).collect::<Option<_>>().map(Counts)
    }

    /// The sum of the numbers that stand before one of `words`.
    pub fn of(&self, words: &[&str]) -> u64 {
        let counts = self.0.iter().filter(|(_, word)| is_one_of(word, words));
        counts.fold(0, |sum, (count, _)| sum.saturating_add(*count))
    }

    fn of_first(&self, words: &[&str]) -> Option<u64> {
        self.0.first().filter(|(_, word)| is_one_of(word, words)).map(|(count, _)| *count)
    }

    fn has(&self, word: &str) -> bool {
        self.0.iter().any(|(_, w)| *w == word)
    }
}

/// `Tests: 2, Skipped: 1` as labels and numbers; `None` when any part is not of that form.
fn labelled(text: &str) -> Option<Vec<(&str, u64)>> {
    let one = |part| {
        let (label, number) = str::split_once(part, ": ")?;
        Some((label.trim(), number.trim().parse::<u64>().ok()?))
    };
    text.split(',').map(one).collect()
}

/// Whether `word` is one of `words`.
pub fn is_one_of(word: &str, words: &[&str]) -> bool {
    words.contains(&word)
}
