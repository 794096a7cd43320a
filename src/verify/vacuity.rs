//! From the output of a test run to whether it ran any test. Knows neither command nor exit code.
//!
//! Every line is asked for signs: "a test ran" or "here none ran". One sign that a test ran
//! outweighs all others, for a command may start several tools, and one tool several binaries,
//! packages or modules. Without any sign nothing is said: a linter's output names no tests either.

mod lines;

use lines::{Counts, READERS, Sign, is_one_of};

/// How many characters of the telling line are given back.
const LINE_CHARS: usize = 160;

/// A text of this many bytes may be the end of a longer one, the start of which is not known.
const MAYBE_CUT_BYTES: usize = 7 * 1024;

/// The line that says that no test ran, trimmed and at most 160 characters long; `None` when a
/// test ran or when no known tool says anything. Skipped, ignored, filtered and deselected tests
/// did not run.
pub fn no_tests(output: &str) -> Option<String> {
    let mut scan = Scan { may_be_cut: output.len() >= MAYBE_CUT_BYTES, ..Scan::default() };
    // The cut may go through a number and leave `0 passing` of `10 passing`.
    for line in output.lines().skip(usize::from(scan.may_be_cut)) {
        scan.read(line.trim_end());
        if scan.ran {
            return None;
        }
    }
    let line = scan.finish()?;
    Some(line.trim().chars().take(LINE_CHARS).collect())
}

/// What is known after some lines.
#[derive(Debug, Default)]
struct Scan<'a> {
    may_be_cut: bool,
    ran: bool,
    /// The most telling line so far and how many tests it says were left out.
    nothing: Option<(&'a str, u64)>,
    /// Whether libtest announced tests and has not yet summed them up.
    libtest_open: bool,
    /// How many tests unittest says it ran; its next line tells how many of them it skipped.
    unittest_ran: Option<u64>,
    /// The skipped tests of the Go package that is being read.
    go_skipped: Option<(&'a str, u64)>,
    /// The heading of Maven's test plugin, while nothing has come from the plugin itself.
    surefire: Option<&'a str>,
    tap: Tap<'a>,
}

/// What the Test Anything Protocol, or Node's runner, has said so far.
#[derive(Debug, Default)]
struct Tap<'a> {
    /// How many test files passed as if they were tests: Node does that with a file that has none.
    files: u64,
    file: Option<&'a str>,
    /// How many others passed: tests, but suites too.
    others: u64,
    /// Whether Node summed up; its sums leave suites out.
    summed: bool,
}

impl<'a> Scan<'a> {
    fn read(&mut self, raw: &'a str) {
        let line = raw.trim_start();
        if line.is_empty() {
            return;
        }
        // With the start of the tests in sight every binary is, however much was compiled before.
        if line.starts_with("Finished `") || line.contains("Scanning for projects...") {
            self.may_be_cut = false;
        }
        self.silent_surefire(line);
        let sign = self
            .libtest(line)
            .or_else(|| self.unittest(line))
            .or_else(|| self.go(raw, line))
            .or_else(|| self.tap(line))
            .or_else(|| READERS.iter().find_map(|reader| reader(line)));
        if let Some(sign) = sign {
            self.take(sign, line);
        }
    }

    fn take(&mut self, sign: Sign, line: &'a str) {
        let left_out = match sign {
            Sign::Ran => {
                self.ran = true;
                return;
            }
            // What is out of sight may have been the part with the tests.
            Sign::NothingInPart(_) if self.may_be_cut => return,
            Sign::NothingInPart(left_out) | Sign::NothingAtAll(left_out) => left_out,
        };
        if self.nothing.is_none_or(|(_, most)| left_out >= most) {
            self.nothing = Some((line, left_out));
        }
    }

    fn finish(self) -> Option<&'a str> {
        let unsummed = self.libtest_open || self.unittest_ran.is_some();
        let plain_tap = !self.tap.summed && self.tap.others > 0;
        if unsummed || plain_tap { None } else { self.nothing.map(|(line, _)| line) }
    }

    /// `running 2 tests` and `test result: ok. 1 passed; 0 failed; …` of cargo test.
    fn libtest(&mut self, line: &str) -> Option<Sign> {
        if let Some(rest) = line.strip_prefix("running ") {
            let (number, word) = rest.split_once(' ')?;
            let announced =
                number.parse::<u64>().ok().filter(|_| is_one_of(word, &["test", "tests"]))?;
            let died_before_its_sum = std::mem::replace(&mut self.libtest_open, announced > 0);
            return match (died_before_its_sum, announced) {
                (true, _) => Some(Sign::Ran),
                (false, 0) => Some(Sign::NothingInPart(0)),
                (false, _) => None,
            };
        }
        let (_, sums) = line.strip_prefix("test result: ")?.split_once(". ")?;
        self.libtest_open = false;
        let sums = Counts::read(sums.split(';').filter(|part| !part.contains("finished in")))?;
        Some(match sums.of(&["passed", "failed", "measured"]) {
            0 => Sign::NothingInPart(sums.of(&["ignored", "filtered"])),
            _ => Sign::Ran,
        })
    }

    /// `Ran 2 tests in 0.1s`, then `OK (skipped=2)`.
    fn unittest(&mut self, line: &str) -> Option<Sign> {
        if let Some(rest) = line.strip_prefix("Ran ") {
            let (number, rest) = rest.split_once(' ')?;
            let ran = number.parse::<u64>().ok()?;
            if !(rest.starts_with("test in ") || rest.starts_with("tests in ")) {
                return None;
            }
            let unsummed = std::mem::take(&mut self.unittest_ran).is_some();
            if ran > 0 {
                self.unittest_ran = Some(ran);
            }
            return match (unsummed, ran) {
                (true, _) => Some(Sign::Ran),
                (false, 0) => Some(Sign::NothingInPart(0)),
                (false, _) => None,
            };
        }
        if line.starts_with("NO TESTS RAN") {
            self.unittest_ran = None;
            return Some(Sign::NothingInPart(0));
        }
        let ran = self.unittest_ran.take()?;
        let skipped = line
            .strip_prefix("OK (")
            .and_then(|rest| rest.strip_suffix(')'))
            .and_then(|rest| rest.split(", ").find_map(|part| part.strip_prefix("skipped=")))
            .and_then(|number| number.parse::<u64>().ok())
            .unwrap_or(0);
        Some(if skipped >= ran { Sign::NothingInPart(skipped) } else { Sign::Ran })
    }

    /// One line for each package; with `-v` also one for each test, before the package's.
    fn go(&mut self, raw: &str, line: &'a str) -> Option<Sign> {
        let starts = |words: &[&str]| words.iter().any(|word| line.starts_with(word));
        if starts(&["--- PASS: ", "--- FAIL: ", "--- BENCH: ", "FAIL\t"]) {
            return Some(Sign::Ran);
        }
        if starts(&["--- SKIP: "]) {
            let before = self.go_skipped.map_or(0, |(_, count)| count);
            self.go_skipped = Some((line, before.saturating_add(1)));
            return None;
        }
        let untested = raw.starts_with('\t') && line.ends_with("coverage: 0.0% of statements");
        if untested || line == "testing: warning: no tests to run" {
            return Some(Sign::NothingInPart(0));
        }
        if line.starts_with('?') && line.ends_with("[no test files]") {
            return Some(Sign::NothingInPart(0));
        }
        if !(line.starts_with("ok ") && line.contains('\t')) {
            return None;
        }
        match self.go_skipped.take() {
            // The package's own line says `ok` only: a skipped test is the better witness.
            Some((skip, count)) => {
                self.take(Sign::NothingInPart(count), skip);
                None
            }
            None if line.ends_with("[no tests to run]") => Some(Sign::NothingInPart(0)),
            None => Some(Sign::Ran),
        }
    }

    /// Without test classes Maven's plugin may say nothing: its heading is followed by the next
    /// plugin's, the next module's or by the end.
    fn silent_surefire(&mut self, line: &'a str) {
        let Some(said) = line.strip_prefix('[').and_then(|rest| rest.split_once(']')) else {
            return;
        };
        let said = said.1.trim();
        let heading = said.starts_with("--- ") && said.ends_with(" ---");
        let goes_on = said.starts_with("--") && !said.trim_matches('-').is_empty();
        let ends = said == "BUILD SUCCESS" || said.starts_with("Reactor Summary");
        if goes_on || ends {
            if let Some(silent) = self.surefire.take() {
                self.take(Sign::NothingInPart(0), silent);
            }
        } else if !said.trim_matches('-').is_empty() {
            self.surefire = None;
        }
        if heading && (said.contains("surefire") && said.contains(":test ")) {
            self.surefire = Some(line);
        }
    }

    /// The Test Anything Protocol, and the sums of `node --test`.
    fn tap(&mut self, line: &'a str) -> Option<Sign> {
        if let Some(sum) = line.strip_prefix("# ").or_else(|| line.strip_prefix("ℹ ")) {
            let (word, number) = sum.split_once(' ')?;
            let number = number.parse::<u64>().ok()?;
            self.tap.summed |= word == "tests";
            return match (word, number) {
                ("tests", 0) => Some(Sign::NothingInPart(0)),
                ("pass" | "fail" | "cancelled" | "skipped" | "todo", 0) => None,
                ("fail" | "cancelled", _) => Some(Sign::Ran),
                ("skipped" | "todo", left_out) => Some(Sign::NothingInPart(left_out)),
                ("pass", passed) => match self.tap.file {
                    Some(file) if passed <= self.tap.files && self.tap.others == 0 => {
                        self.take(Sign::NothingInPart(0), file);
                        None
                    }
                    Some(_) | None => Some(Sign::Ran),
                },
                _ => None,
            };
        }
        let name = match (line.strip_prefix("ok "), line.strip_prefix("✔ ")) {
            (Some(rest), _) => {
                let name = rest.trim_start_matches(|c: char| c.is_ascii_digit());
                if name.len() == rest.len() {
                    return None;
                }
                name.trim_start_matches([' ', '-'])
            }
            (None, Some(rest)) => rest.rsplit_once(" (").map_or(rest, |(name, _)| name),
            (None, None) => return None,
        };
        let directive = name.rsplit_once("# ").map_or("", |(_, word)| word);
        if starts_ignoring_case(directive, "skip") || starts_ignoring_case(directive, "todo") {
            return None;
        }
        if is_script(name) {
            self.tap.files = self.tap.files.saturating_add(1);
            self.tap.file = Some(line);
        } else {
            self.tap.others = self.tap.others.saturating_add(1);
        }
        None
    }
}

/// Whether `name` is the absolute path of a script, as Node names a test file.
fn is_script(name: &str) -> bool {
    let extensions = [".js", ".mjs", ".cjs", ".ts", ".mts", ".cts"];
    let absolute = name.starts_with('/') || name.get(1..3) == Some(":\\");
    absolute && extensions.iter().any(|e| name.ends_with(e))
}

fn starts_ignoring_case(text: &str, start: &str) -> bool {
    text.get(..start.len()).is_some_and(|head| head.eq_ignore_ascii_case(start))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(output: &str) -> Option<String> {
        no_tests(output)
    }

    #[test]
    fn a_run_without_tests_is_vacuous() {
        for output in [
            "===== no tests ran in 0.00s =====",
            "Ran 0 tests in 0.000s\n\nOK",
            "Ran 0 tests in 0.000s\n\nNO TESTS RAN",
            "running 0 tests\n\ntest result: ok. 0 passed; 0 failed; 0 ignored; 0 measured",
            "?   \ta/b\t[no test files]",
            "ok  \ta/b\t0.1s [no tests to run]",
            "No tests found, exiting with code 0",
            "      Tests  no tests",
            "  0 passing (1ms)",
            "ℹ tests 0\nℹ pass 0",
            "0 examples, 0 failures",
            "No tests executed!",
            "> Task :test NO-SOURCE",
            "[INFO] No tests to run.",
            "> echo \"Error: no test specified\" && exit 0\n\nError: no test specified",
        ] {
            assert!(line(output).is_some(), "{output}");
        }
    }

    #[test]
    fn skipped_filtered_and_deselected_tests_did_not_run() {
        for (output, said) in [
            (
                "==== 3 deselected, 1 warning in 0.1s ====",
                "==== 3 deselected, 1 warning in 0.1s ====",
            ),
            ("Ran 2 tests in 0.1s\n\nOK (skipped=2)", "OK (skipped=2)"),
            ("Tests:       2 skipped, 2 total\r\n", "Tests:       2 skipped, 2 total"),
            ("=== RUN TestA\n--- SKIP: TestA (0s)\nPASS\nok  \ta\t0.1s", "--- SKIP: TestA (0s)"),
            ("2 examples, 0 failures, 2 pending", "2 examples, 0 failures, 2 pending"),
            ("1..1\nok 1 - a # SKIP\n# tests 1\n# pass 0\n# skipped 1", "# skipped 1"),
        ] {
            assert_eq!(line(output).as_deref(), Some(said));
        }
    }

    #[test]
    fn one_tool_or_part_that_ran_a_test_outweighs_the_others() {
        let none =
            "running 0 tests\n\ntest result: ok. 0 passed; 0 failed; 0 ignored; 0 measured\n";
        for some in [
            "running 1 test\n\ntest result: ok. 1 passed; 0 failed; 0 ignored; 0 measured\n",
            "running 4 tests\n",
            "ok  \ta/b\t0.1s\n",
            "===== 1 passed, 4 skipped in 0.1s =====\n",
            "  3 passed (1.2s)\n",
            " 3 pass\n 0 fail\n",
            "ok | 3 passed | 0 failed (12ms)\n",
            "Ran 2 tests in 0.1s\n\nOK (skipped=1)\n",
            "[INFO] Tests run: 3, Failures: 0, Errors: 0, Skipped: 1\n",
            "1..1\nok 1 - adds\n",
        ] {
            assert_eq!(line(&format!("{none}{some}{none}")), None, "{some}");
        }
        assert!(line(&format!("{none}{none}")).is_some());
    }

    #[test]
    fn output_of_no_known_tool_says_nothing() {
        for output in
            ["", "\n\n", "All checks passed!", "0 errors", "Found 0 errors in 3 files", "💥"]
        {
            assert_eq!(line(output), None, "{output}");
        }
    }

    #[test]
    fn the_line_that_counts_what_was_left_out_is_the_one_told() {
        let part = |n| {
            format!(
                "test result: ok. 0 passed; 0 failed; 0 ignored; 0 measured; {n} filtered out\n"
            )
        };
        let output = [part(0), part(7), part(0)].concat();
        assert_eq!(line(&output).as_deref(), Some(part(7).trim()));
    }

    #[test]
    fn a_cut_text_does_not_prove_that_nothing_ran_before_it() {
        let part = "test result: ok. 0 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out\n";
        let many = part.repeat(110);
        assert_eq!(line(&many), None);
        let compiled = "   Compiling a v0.1.0\n".repeat(350);
        assert!(line(&format!("{compiled}    Finished `test` profile in 1s\n{part}")).is_some());
    }

    #[test]
    fn a_number_that_the_cut_went_through_is_not_read() {
        let rest = "  some line of a long report\n".repeat(300);
        assert_eq!(line(&format!("0 passing (1ms)\n{rest}")), None);
        assert_eq!(line(&format!("no tests ran in 0.1s\n{rest}")), None);
    }

    #[test]
    fn a_silent_surefire_ran_nothing() {
        let heading = "[INFO] --- maven-surefire-plugin:2.22.3:test (default-test) @ shop ---";
        let end = "[INFO] -----------\n[INFO] BUILD SUCCESS";
        assert_eq!(line(&format!("{heading}\n{end}")).as_deref(), Some(heading));
        let ran = "[INFO] \n[INFO] ----\n[INFO]  T E S T S\n[INFO] ----";
        assert_eq!(line(&format!("{heading}\n{ran}\n{end}")), None);
    }

    #[test]
    fn hostile_text_neither_panics_nor_takes_long() {
        let pieces = [
            "ok ",
            "é\t",
            "test result: ",
            ". ",
            "; ",
            "Tests: ",
            "99999999999999999999 passed",
            "> Task :",
            ":",
            "# pass ",
            "ℹ ",
            "✔ ",
            "\u{0}",
            " in 1s",
            "running ",
            "\r",
            "\n",
        ];
        for start in 0..pieces.len() {
            let text: String =
                pieces.iter().cycle().skip(start).step_by(start + 1).take(4000).copied().collect();
            let _ = no_tests(&text);
        }
        let long = format!("= {} no tests ran in 0.1s", "=".repeat(9000));
        assert!(no_tests(&long).is_none_or(|line| line.chars().count() <= LINE_CHARS));
    }
}
