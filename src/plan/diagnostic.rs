//! Problems of a plan: severity, places, help. Knows neither the checks nor how problems are shown.

use std::ops::Range;

use schemars::JsonSchema;
use serde::Serialize;

pub use super::code::Code;
use super::pattern::PatternError;
use super::place::Path;
use crate::types::TaskId;

/// Whether a problem refuses the plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// The plan is invalid.
    Error,
    /// The plan is valid and probably not what was meant.
    Warning,
}

/// A place in a text: line and column count from 1 in characters, offset and length are bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields are named by the type's line")]
pub struct Span {
    pub line: u32,
    pub column: u32,
    pub offset: usize,
    pub len: usize,
}

impl Span {
    /// The first character of the file.
    pub const START: Span = Span { line: 1, column: 1, offset: 0, len: 0 };

    /// The same place, moved to character boundaries inside `text`.
    pub fn within(mut self, text: &str) -> Span {
        let range = self.bytes_in(text);
        self.offset = range.start;
        self.len = range.end - range.start;
        self.line = self.line.max(1);
        self.column = self.column.max(1);
        self
    }

    /// The bytes of `text` that it covers, on its first line.
    pub fn bytes_in(&self, text: &str) -> Range<usize> {
        let floor = |mut at: usize| {
            at = at.min(text.len());
            while !text.is_char_boundary(at) {
                at -= 1;
            }
            at
        };
        let start = floor(self.offset);
        let end = floor(self.offset.saturating_add(self.len)).max(start);
        // A block value's span may run over several lines; the first one says enough.
        let line_end = text.get(start..end).and_then(|s| s.find('\n')).map_or(end, |n| start + n);
        start..line_end
    }
}

/// Where a label belongs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Anchor {
    /// A place in the text of the document.
    Span(Span),
    /// A value of the document; [`locate`] finds its place.
    Value(Path),
    /// The key of a value.
    Key(Path),
    /// A place in another file.
    Elsewhere {
        /// Its path.
        file: String,
        /// Its content.
        text: String,
        /// The place in it.
        span: Span,
    },
}

/// A place and what is to be said about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Label {
    /// Where.
    pub at: Anchor,
    /// What, in a few words.
    pub text: String,
}

impl Label {
    /// `text` at `span`.
    pub fn here(span: Span, text: impl Into<String>) -> Label {
        Label { at: Anchor::Span(span), text: text.into() }
    }

    /// `text` at the value `path`.
    pub fn on(path: Path, text: impl Into<String>) -> Label {
        Label { at: Anchor::Value(path), text: text.into() }
    }

    /// `text` at the key of the value `path`.
    pub fn on_key(path: Path, text: impl Into<String>) -> Label {
        Label { at: Anchor::Key(path), text: text.into() }
    }
}

/// Something wrong with a plan or configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// What kind.
    pub code: Code,
    /// Whether it refuses the plan.
    pub severity: Severity,
    /// What, in one line.
    pub message: String,
    /// The task it is about.
    pub task: Option<TaskId>,
    /// Where in the document's structure, like `tasks[3].files_write[0]`.
    pub path: Option<Path>,
    /// Places, the main one first.
    pub labels: Vec<Label>,
    /// What to do about it.
    pub help: Option<String>,
    /// The exact edit, where one exists.
    pub fix: Option<String>,
    /// The key that was probably meant, where one was not known.
    pub meant: Option<String>,
}

impl Problem {
    /// An error without a place.
    pub fn error(code: Code, message: impl Into<String>) -> Problem {
        Problem {
            code,
            severity: Severity::Error,
            message: message.into(),
            task: None,
            path: None,
            labels: Vec::new(),
            help: None,
            fix: None,
            meant: None,
        }
    }

    /// A warning without a place.
    pub fn warning(code: Code, message: impl Into<String>) -> Problem {
        Problem { severity: Severity::Warning, ..Problem::error(code, message) }
    }

    /// Adds a place.
    pub fn at(mut self, label: Label) -> Problem {
        self.labels.push(label);
        self
    }

    /// Adds `text` at the value `path`, which becomes the problem's path when it is the first.
    pub fn on(mut self, path: Path, text: impl Into<String>) -> Problem {
        if self.path.is_none() {
            self.path = Some(path.clone());
        }
        self.at(Label::on(path, text))
    }

    /// Says what to do.
    pub fn help(mut self, help: impl Into<String>) -> Problem {
        self.help = Some(help.into());
        self
    }

    /// Says the exact edit.
    pub fn fix(mut self, fix: impl Into<String>) -> Problem {
        self.fix = Some(fix.into());
        self
    }

    /// Says which task it is about.
    pub fn of(mut self, task: &TaskId) -> Problem {
        self.task = Some(task.clone());
        self
    }

    /// Says which part of the document it is about.
    pub fn within(mut self, path: Path) -> Problem {
        self.path = Some(path);
        self
    }

    /// Says which key was probably meant.
    pub fn meant(mut self, key: &str) -> Problem {
        self.meant = Some(key.to_owned());
        self
    }

    /// The main place in the document, line and column from 1; the beginning for what is wrong with the whole.
    pub fn place(&self) -> (u32, u32) {
        self.span().map_or((1, 1), |s| (s.line, s.column))
    }

    /// The main place in the document.
    pub fn span(&self) -> Option<Span> {
        self.labels.iter().find_map(|label| match &label.at {
            Anchor::Span(span) => Some(*span),
            Anchor::Value(_) | Anchor::Key(_) | Anchor::Elsewhere { .. } => None,
        })
    }
}

/// What is wrong with a path or pattern of a document.
pub fn bad_path(raw: &str, error: &PatternError, path: Path) -> Problem {
    let text = shown(raw);
    let (code, message, help) = match error {
        PatternError::Empty => (
            Code::BadPattern,
            format!("`{text}` names nothing"),
            "name a file or directory in the repository",
        ),
        PatternError::Absolute => (
            Code::PathAbsolute,
            format!("`{text}` is absolute"),
            "paths are relative to the repository's root",
        ),
        PatternError::Escapes => {
            (Code::PathEscapesRepo, format!("`{text}` leaves the repository"), "take the `..` out")
        }
        PatternError::GitDir => (
            Code::PathInGitDir,
            format!("`{text}` lies in git's own directory"),
            "no task may touch it",
        ),
        PatternError::Malformed(why) => (
            Code::BadPattern,
            format!("`{text}` is not a pattern: {why}"),
            "`\\` before a sign makes it a plain character",
        ),
    };
    Problem::error(code, message).on(path, "here").help(help)
}

/// Text from a document as it may stand in a message: short, on one line.
pub fn shown(text: &str) -> String {
    let short: String = text.chars().take(80).collect();
    short.escape_debug().to_string()
}

/// The one of `known` that is nearest to `word`, when it is near enough to be a slip.
pub fn closest<'a>(word: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let limit = (word.chars().count() / 3).max(1) + 1;
    let length = word.chars().count();
    known
        // The distance is at least the difference of the lengths.
        .filter(|k| k.chars().count().abs_diff(length) <= limit)
        .map(|k| (edit_distance(word, k), k))
        .filter(|(d, _)| *d <= limit)
        .min_by_key(|(d, _)| *d)
        .map(|(_, k)| k)
}

/// Insertions, deletions, replacements and swaps of neighbours between two words.
fn edit_distance(a: &str, b: &str) -> usize {
    let a: Vec<char> = a.chars().take(80).collect();
    let b: Vec<char> = b.chars().take(80).collect();
    let mut rows: Vec<Vec<usize>> = vec![(0..=b.len()).collect()];
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let change = usize::from(a[i - 1] != b[j - 1]);
            let mut best =
                (rows[i - 1][j] + 1).min(row[j - 1] + 1).min(rows[i - 1][j - 1] + change);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(rows[i - 2][j - 2] + 1);
            }
            row.push(best);
        }
        rows.push(row);
    }
    rows.last().and_then(|r| r.last().copied()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_hand_finds_the_word_that_was_meant() {
        let known = ["files_write", "files_read", "depends_on"];
        assert_eq!(closest("file_write", known.into_iter()), Some("files_write"));
        assert_eq!(closest("dependson", known.into_iter()), Some("depends_on"));
        assert_eq!(closest("banana", known.into_iter()), None);
    }
}
