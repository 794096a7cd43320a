//! Problems of a plan: codes, places, help, and their text as a compiler would show it. Prints nothing.

use std::ops::Range;

use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};
use schemars::JsonSchema;
use serde::Serialize;

use crate::types::TaskId;

/// A stable name for a kind of problem; scripts match on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "each is explained by tasks-yaml.md and by its message")]
pub enum Code {
    YamlSyntax,
    UnknownKey,
    WrongType,
    MissingField,
    DuplicateId,
    InvalidId,
    UnknownDependency,
    SelfDependency,
    Cycle,
    FileWriteWrite,
    FileReadWrite,
    ResourceWriteWrite,
    ResourceReadWrite,
    PathAbsolute,
    PathEscapesRepo,
    PathInGitDir,
    BadPattern,
    NoVerification,
    VacuousVerification,
    ContractUnknown,
    ContractConsumerUnknown,
    ContractMissing,
    ContractVersionMismatch,
    ContractWrittenByTask,
    WriteForbidden,
    SingleWaveSerial,
    BroadGlob,
    UnusedContract,
}

impl Code {
    /// The code's word, as in JSON.
    pub fn word(self) -> &'static str {
        match self {
            Code::YamlSyntax => "yaml_syntax",
            Code::UnknownKey => "unknown_key",
            Code::WrongType => "wrong_type",
            Code::MissingField => "missing_field",
            Code::DuplicateId => "duplicate_id",
            Code::InvalidId => "invalid_id",
            Code::UnknownDependency => "unknown_dependency",
            Code::SelfDependency => "self_dependency",
            Code::Cycle => "cycle",
            Code::FileWriteWrite => "file_write_write",
            Code::FileReadWrite => "file_read_write",
            Code::ResourceWriteWrite => "resource_write_write",
            Code::ResourceReadWrite => "resource_read_write",
            Code::PathAbsolute => "path_absolute",
            Code::PathEscapesRepo => "path_escapes_repo",
            Code::PathInGitDir => "path_in_git_dir",
            Code::BadPattern => "bad_pattern",
            Code::NoVerification => "no_verification",
            Code::VacuousVerification => "vacuous_verification",
            Code::ContractUnknown => "contract_unknown",
            Code::ContractConsumerUnknown => "contract_consumer_unknown",
            Code::ContractMissing => "contract_missing",
            Code::ContractVersionMismatch => "contract_version_mismatch",
            Code::ContractWrittenByTask => "contract_written_by_task",
            Code::WriteForbidden => "write_forbidden",
            Code::SingleWaveSerial => "single_wave_serial",
            Code::BroadGlob => "broad_glob",
            Code::UnusedContract => "unused_contract",
        }
    }
}

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

    fn bytes_in(&self, text: &str) -> Range<usize> {
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

/// A place and what is to be said about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Label {
    /// Where.
    pub span: Span,
    /// What, in a few words.
    pub text: String,
}

impl Label {
    /// `text` at `span`.
    pub fn here(span: Span, text: impl Into<String>) -> Label {
        Label { span, text: text.into() }
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
    pub path: Option<String>,
    /// Places in the file, the main one first.
    pub labels: Vec<Label>,
    /// What to do about it.
    pub help: Option<String>,
    /// The exact edit, where one exists.
    pub fix: Option<String>,
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

    /// Says which task and which part of it.
    pub fn of(mut self, task: &TaskId, path: impl Into<String>) -> Problem {
        self.task = Some(task.clone());
        self.path = Some(path.into());
        self
    }

    /// The main place: line and column from 1.
    pub fn place(&self) -> Option<(u32, u32)> {
        self.labels.first().map(|l| (l.span.line, l.span.column))
    }

    /// The problem as a compiler would show it, with excerpts from `text`, the content of `file`.
    pub fn render(&self, file: &str, text: &str, colour: bool) -> String {
        let renderer = if colour { Renderer::styled() } else { Renderer::plain() };
        let level = match self.severity {
            Severity::Error => Level::ERROR,
            Severity::Warning => Level::WARNING,
        };
        let mut snippet = Snippet::source(text).path(file).fold(true);
        for (n, label) in self.labels.iter().enumerate() {
            let kind = if n == 0 { AnnotationKind::Primary } else { AnnotationKind::Context };
            snippet =
                snippet.annotation(kind.span(label.span.bytes_in(text)).label(label.text.as_str()));
        }
        let mut group =
            level.primary_title(self.message.as_str()).id(self.code.word()).element(snippet);
        if let Some(help) = &self.help {
            group = group.element(Level::HELP.message(help.as_str()));
        }
        if let Some(fix) = &self.fix {
            group = group.element(Level::NOTE.with_name("fix").message(fix.as_str()));
        }
        renderer.render(&[group])
    }
}

/// The one of `known` that is nearest to `word`, when it is near enough to be a slip.
pub fn closest<'a>(word: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let limit = (word.chars().count() / 3).max(1) + 1;
    known
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

    #[test]
    fn a_problem_shows_its_line_and_a_mark_below_it() {
        let text = "tasks:\n  - idd: a\n";
        let span = Span { line: 2, column: 5, offset: 11, len: 3 };
        let shown = Problem::error(Code::UnknownKey, "unknown key `idd`")
            .at(Label::here(span, "not a key of this place"))
            .help("did you mean `id`?")
            .render("tasks.yaml", text, false);
        assert!(shown.contains("error[unknown_key]: unknown key `idd`"), "{shown}");
        assert!(shown.contains("--> tasks.yaml:2:5"), "{shown}");
        assert!(shown.contains("^^^ not a key of this place"), "{shown}");
        assert!(shown.contains("help: did you mean `id`?"), "{shown}");
    }

    #[test]
    fn a_span_outside_the_text_is_moved_into_it() {
        let span = Span { line: 9, column: 9, offset: 900, len: 5 };
        let shown = Problem::error(Code::YamlSyntax, "x")
            .at(Label::here(span, "y"))
            .render("f", "é", false);
        assert!(shown.contains("error[yaml_syntax]"));
    }
}
