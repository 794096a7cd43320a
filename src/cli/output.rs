//! The only file that prints: results on stdout, progress and diagnostics on stderr. Decides no content.

use std::collections::BTreeMap;
use std::io::{IsTerminal, Write};
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Serialize;

use super::exit::Failure;

/// How to talk to whoever called.
#[derive(Debug, Clone, Copy)]
pub struct Manner {
    /// One JSON document (or a line each) on stdout.
    pub json: bool,
    /// Nothing on stderr but errors.
    pub quiet: bool,
    /// Every record of a run, not only those that matter to most.
    pub verbose: bool,
    /// Colour on stderr.
    pub colour: bool,
    /// Progress bars on stderr.
    pub bars: bool,
}

impl Manner {
    /// From the flags, and what stdout and stderr are. `no_colour` is whether NO_COLOR is set.
    pub fn new(json: bool, quiet: bool, verbose: bool, no_colour: bool) -> Manner {
        let terminal = std::io::stderr().is_terminal();
        Manner {
            json,
            quiet,
            verbose,
            colour: terminal && !no_colour,
            bars: terminal && !json && !quiet,
        }
    }
}

/// Where everything that a command says goes through.
#[derive(Debug)]
pub struct Output {
    /// How.
    pub manner: Manner,
    multi: MultiProgress,
    bars: BTreeMap<String, ProgressBar>,
}

impl Output {
    /// An output in this manner.
    pub fn new(manner: Manner) -> Output {
        let target =
            if manner.bars { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        Output { manner, multi: MultiProgress::with_draw_target(target), bars: BTreeMap::new() }
    }

    /// A result for people; nothing when JSON was asked for.
    pub fn result(&self, text: &str) {
        if !self.manner.json {
            // A closed pipe (`| head`) is the reader's right, not an error.
            let _ = writeln!(std::io::stdout(), "{}", text.trim_end());
        }
    }

    /// A result for programs: one line, or an indented document.
    pub fn json(&self, value: &impl Serialize, line: bool) {
        let text =
            if line { serde_json::to_string(value) } else { serde_json::to_string_pretty(value) };
        let _ = writeln!(std::io::stdout(), "{}", text.unwrap_or_default());
    }

    /// Bytes of somebody else's output.
    pub fn raw(&self, bytes: &[u8]) {
        let _ = std::io::stdout().write_all(bytes).and_then(|()| std::io::stdout().flush());
    }

    /// A line of progress or a remark.
    pub fn note(&self, text: &str) {
        if self.manner.quiet {
            return;
        }
        if self.manner.bars {
            let _ = self.multi.println(text);
        } else {
            let _ = writeln!(std::io::stderr(), "{text}");
        }
    }

    /// A diagnostic that is rendered already.
    pub fn diagnostic(&self, text: &str) {
        let _ = writeln!(std::io::stderr(), "{text}\n");
    }

    /// What went wrong, and what to do about it.
    pub fn failure(&self, failure: &Failure) {
        if self.manner.json {
            let error = serde_json::json!({
                "type": "error",
                "error": failure.message,
                "hint": failure.hint,
                "exit": failure.exit.code(),
            });
            self.json(&error, true);
            return;
        }
        let (red, bold, plain) = if self.manner.colour {
            ("\u{1b}[1;31m", "\u{1b}[1m", "\u{1b}[0m")
        } else {
            ("", "", "")
        };
        // A closed stderr is the reader's right as well.
        let mut err = std::io::stderr();
        let _ = writeln!(err, "{red}error{plain}{bold}: {}{plain}", failure.message);
        if let Some(hint) = &failure.hint {
            let _ = writeln!(err, "  hint: {hint}");
        }
    }

    /// Shows `text` on the line of `task`, making it where there is none.
    pub fn bar(&mut self, task: &str, text: &str) {
        if !self.manner.bars {
            return;
        }
        let bar = self.bars.entry(task.to_owned()).or_insert_with(|| {
            let bar = self.multi.add(ProgressBar::new_spinner());
            let style = ProgressStyle::with_template("  {spinner} {prefix} {msg} {elapsed}");
            bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()));
            bar.set_prefix(task.to_owned());
            bar.enable_steady_tick(Duration::from_millis(120));
            bar
        });
        bar.set_message(text.to_owned());
    }

    /// Takes the line of `task` away.
    pub fn end_bar(&mut self, task: &str) {
        if let Some(bar) = self.bars.remove(task) {
            bar.finish_and_clear();
        }
    }

    /// Takes every line away.
    pub fn end_bars(&mut self) {
        for (_, bar) in std::mem::take(&mut self.bars) {
            bar.finish_and_clear();
        }
    }

    /// Asks a question on the terminal; `None` where there is none to ask.
    pub fn ask(&self, question: &str) -> Option<String> {
        if !std::io::stdin().is_terminal() || !std::io::stderr().is_terminal() || self.manner.json {
            return None;
        }
        let _ = write!(std::io::stderr(), "{question} ");
        let mut answer = String::new();
        std::io::stdin().read_line(&mut answer).ok()?;
        Some(answer.trim().to_lowercase())
    }
}

/// Columns of text, each as wide as its widest cell; the last one as it is.
pub fn columns(rows: &[Vec<String>]) -> String {
    let count = rows.iter().map(Vec::len).max().unwrap_or(0);
    let wide = |n: usize| {
        rows.iter().filter_map(|r| r.get(n)).map(|c| c.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..count).map(wide).collect();
    let mut out = String::new();
    for row in rows {
        let mut line = String::new();
        for (n, cell) in row.iter().enumerate() {
            line.push_str(cell);
            let missing = widths.get(n).copied().unwrap_or(0).saturating_sub(cell.chars().count());
            if n + 1 < row.len() {
                line.push_str(&" ".repeat(missing + 2));
            }
        }
        out.push_str(line.trim_end());
        out.push('\n');
    }
    out
}
