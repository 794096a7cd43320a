//! Reads a text just far enough to tell code from strings and comments and to find the end of a
//! statement or a bracket. It does not know grammars: what it cannot follow it gives up.

use schemars::JsonSchema;
use serde::Deserialize;

/// How a file's literals, comments, strings and brackets look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the words are the documentation")]
pub enum Language {
    Python,
    Javascript,
    Java,
    Toml,
    Yaml,
    Properties,
    /// Shell-like `KEY=value`.
    Env,
    /// Lines without any structure.
    Plain,
}

/// What takes the place of each byte of a string, so that no pattern can begin in one.
const STRING: u8 = 1;

/// Words after which a slash begins a regular expression.
const BEFORE_REGEX: [&str; 12] = [
    "return", "typeof", "case", "in", "of", "do", "else", "void", "delete", "throw", "await",
    "yield",
];

/// One line of the text.
#[derive(Debug, Clone, Copy)]
pub(super) struct Line {
    /// Where it begins.
    pub start: usize,
    /// Where its end-of-line begins.
    pub end: usize,
    /// Where the next line begins.
    pub next: usize,
    /// Whether it begins outside strings and comments.
    pub code: bool,
    /// How many brackets are open where it begins.
    pub depth: usize,
}

/// A text with what is code in it.
#[derive(Debug)]
pub(super) struct Source<'a> {
    /// The text.
    pub text: &'a str,
    /// Its language.
    pub language: Language,
    /// As long as the text; comments are blanks, strings are `STRING`.
    pub mask: Vec<u8>,
    /// Its lines; none when it is empty.
    pub lines: Vec<Line>,
}

/// What the reader is in the middle of.
enum Mode {
    Code,
    LineComment,
    BlockComment,
    /// The delimiter and whether a backslash escapes.
    Text(&'static [u8], bool),
    Template,
    /// Whether inside a class of characters.
    Pattern(bool),
}

impl Language {
    fn brackets(self) -> bool {
        match self {
            Self::Python | Self::Javascript | Self::Java | Self::Toml => true,
            Self::Yaml | Self::Properties | Self::Env | Self::Plain => false,
        }
    }

    fn slashes(self) -> bool {
        matches!(self, Self::Javascript | Self::Java)
    }

    /// Whether blocks are made of indentation and a line ends a statement.
    pub(super) fn indented(self) -> bool {
        self == Self::Python
    }
}

impl<'a> Source<'a> {
    /// Reads a text in linear time.
    ///
    /// # Errors
    ///
    /// What is not closed or does not belong together.
    pub(super) fn read(text: &'a str, language: Language) -> Result<Self, String> {
        let bytes = text.as_bytes();
        let mut mask = bytes.to_vec();
        let mut lines = Vec::new();
        let mut stack: Vec<u8> = Vec::new();
        let mut mode = if language == Language::Javascript && bytes.starts_with(b"#!") {
            Mode::LineComment
        } else {
            Mode::Code
        };
        // The last byte of code that is no blank, and the word it ends.
        let mut last = (0_u8, 0_usize);
        let (mut at, mut start, mut begins) = (0, 0, (true, 0));
        while let Some(&byte) = bytes.get(at) {
            let mut step = 1;
            let rest = bytes.get(at..).unwrap_or_default();
            if language.brackets() {
                match mode {
                    Mode::Code => match opening(rest, language, last, bytes) {
                        Some((found, length)) => {
                            mode = found;
                            step = length;
                            let fill = match mode {
                                Mode::LineComment | Mode::BlockComment => b' ',
                                Mode::Code | Mode::Text(..) | Mode::Template | Mode::Pattern(_) => {
                                    last = (STRING, at);
                                    STRING
                                }
                            };
                            if matches!(mode, Mode::Template) {
                                stack.push(b'`');
                            }
                            blank(&mut mask, at, step, fill);
                        }
                        None => {
                            if let Some(back) = bracket(byte, &mut stack)? {
                                mode = back;
                                blank(&mut mask, at, 1, STRING);
                            }
                            if !byte.is_ascii_whitespace() {
                                last = (byte, at);
                            }
                        }
                    },
                    Mode::LineComment => {
                        if byte == b'\n' {
                            mode = Mode::Code;
                        } else if byte != b'\r' {
                            blank(&mut mask, at, 1, b' ');
                        }
                    }
                    Mode::BlockComment => {
                        if rest.starts_with(b"*/") {
                            step = 2;
                            mode = Mode::Code;
                        }
                        blank(&mut mask, at, step, b' ');
                    }
                    Mode::Text(end, escapes) => {
                        if rest.starts_with(end) {
                            step = end.len();
                            mode = Mode::Code;
                        } else if escapes && byte == b'\\' {
                            // An escaped CRLF is one end of line.
                            step = if rest.starts_with(b"\\\r\n") { 3 } else { 2 };
                        } else if byte == b'\n' && end.len() == 1 {
                            return Err("a string is not closed".into());
                        }
                        blank(&mut mask, at, step, STRING);
                    }
                    Mode::Template => {
                        if byte == b'`' {
                            stack.pop();
                            mode = Mode::Code;
                        } else if byte == b'\\' {
                            step = 2;
                        } else if rest.starts_with(b"${") {
                            stack.push(b'$');
                            step = 2;
                            mode = Mode::Code;
                        }
                        blank(&mut mask, at, step, STRING);
                    }
                    Mode::Pattern(class) => {
                        match byte {
                            b'\n' => return Err("a regular expression is not closed".into()),
                            b'\\' => step = 2,
                            b'[' => mode = Mode::Pattern(true),
                            b']' => mode = Mode::Pattern(false),
                            b'/' if !class => mode = Mode::Code,
                            _ => {}
                        }
                        blank(&mut mask, at, step, STRING);
                    }
                }
            }
            for offset in at..(at + step).min(bytes.len()) {
                if bytes.get(offset) == Some(&b'\n') {
                    lines.push(line(bytes, start, offset, begins));
                    start = offset + 1;
                    begins = (matches!(mode, Mode::Code), stack.len());
                }
            }
            at += step;
        }
        if start < bytes.len() {
            let (code, depth) = begins;
            lines.push(Line { start, end: bytes.len(), next: bytes.len(), code, depth });
        }
        if !matches!(mode, Mode::Code | Mode::LineComment) || !stack.is_empty() {
            return Err("a bracket, string or comment is not closed".into());
        }
        Ok(Self { text, language, mask, lines })
    }

    /// The line that holds a place.
    pub(super) fn line_at(&self, at: usize) -> Option<&Line> {
        let after = self.lines.partition_point(|line| line.start <= at);
        self.lines.get(after.checked_sub(1)?)
    }

    /// A line's words, without its end.
    pub(super) fn words(&self, line: &Line) -> &'a str {
        self.text.get(line.start..line.end).unwrap_or_default()
    }

    /// The blanks with which a line begins.
    pub(super) fn indent(&self, line: &Line) -> &'a str {
        let words = self.words(line);
        words.get(..words.len() - words.trim_start_matches([' ', '\t']).len()).unwrap_or_default()
    }

    /// Whether the first thing at a place that is no blank is code.
    pub(super) fn is_code(&self, from: usize) -> bool {
        let bytes = self.text.as_bytes();
        let blank = |at: &usize| bytes.get(*at).is_some_and(u8::is_ascii_whitespace);
        (from..bytes.len())
            .find(|at| !blank(at))
            .is_none_or(|at| self.mask.get(at) == bytes.get(at))
    }

    /// Whether a line holds nothing but blanks and comments.
    pub(super) fn is_idle(&self, line: &Line) -> bool {
        self.mask
            .get(line.start..line.end)
            .is_some_and(|all| all.iter().all(u8::is_ascii_whitespace))
    }

    /// Where the line after a statement begins; `None` when it ends inside a line.
    pub(super) fn statement_end(&self, from: usize) -> Option<usize> {
        let mut depth = 0_usize;
        let mut at = from;
        let mut last = 0;
        while let Some(&byte) = self.mask.get(at) {
            match byte {
                b'(' | b'[' | b'{' if self.language.brackets() => depth += 1,
                b')' | b']' | b'}' if self.language.brackets() => depth = depth.checked_sub(1)?,
                b'\n' if depth == 0 => match self.goes_on(last, at) {
                    Some(next) => {
                        at = next;
                        continue;
                    }
                    None => return Some(at + 1),
                },
                _ => {}
            }
            if !byte.is_ascii_whitespace() {
                last = byte;
            }
            at += 1;
        }
        Some(self.text.len())
    }

    /// Whether a statement goes on after the end of a line, and where.
    fn goes_on(&self, last: u8, newline: usize) -> Option<usize> {
        match self.language {
            Language::Python => (last == b'\\'
                && self
                    .mask
                    .get(..newline)
                    .is_some_and(|m| m.ends_with(b"\\") || m.ends_with(b"\\\r")))
            .then_some(newline + 1),
            Language::Javascript | Language::Java => {
                let rest = self.mask.get(newline..)?;
                let skip = rest.iter().position(|b| !b.is_ascii_whitespace())?;
                let next = *rest.get(skip)?;
                let open = b"=+-*/,.?:&|<>!%".contains(&last);
                let joins = last != b';' && b".?:+-*/&|=,<>%".contains(&next);
                let java = self.language == Language::Java && !b";}".contains(&last);
                (open || joins || java).then_some(newline + skip)
            }
            Language::Toml
            | Language::Yaml
            | Language::Properties
            | Language::Env
            | Language::Plain => None,
        }
    }

    /// Where the bracket that opens at a place is closed.
    pub(super) fn closing(&self, open: usize) -> Option<usize> {
        let mut depth = 0_usize;
        for (at, byte) in self.mask.iter().enumerate().skip(open) {
            match byte {
                b'(' | b'[' | b'{' => depth += 1,
                b')' | b']' | b'}' => {
                    depth = depth.checked_sub(1)?;
                    if depth == 0 {
                        return Some(at);
                    }
                }
                _ => {}
            }
        }
        None
    }

    /// The end of line that the text uses.
    pub(super) fn eol(&self) -> &'static str {
        match self.lines.first() {
            Some(line) if line.next - line.end == 2 => "\r\n",
            Some(_) | None => "\n",
        }
    }
}

fn line(bytes: &[u8], start: usize, newline: usize, (code, depth): (bool, usize)) -> Line {
    let crlf = newline > start && bytes.get(newline - 1) == Some(&b'\r');
    Line { start, end: newline - usize::from(crlf), next: newline + 1, code, depth }
}

fn blank(mask: &mut [u8], at: usize, length: usize, fill: u8) {
    for byte in mask.iter_mut().skip(at).take(length) {
        *byte = fill;
    }
}

/// What begins here that is no code, and how long its delimiter is.
fn opening(
    rest: &[u8],
    language: Language,
    (last, last_at): (u8, usize),
    all: &[u8],
) -> Option<(Mode, usize)> {
    let first = *rest.first()?;
    if language.slashes() {
        if rest.starts_with(b"//") {
            return Some((Mode::LineComment, 2));
        }
        if rest.starts_with(b"/*") {
            return Some((Mode::BlockComment, 2));
        }
    } else if first == b'#' {
        return Some((Mode::LineComment, 1));
    }
    let triple = language != Language::Javascript;
    match first {
        b'"' if triple && rest.starts_with(b"\"\"\"") => Some((Mode::Text(b"\"\"\"", true), 3)),
        b'\'' if triple && language != Language::Java && rest.starts_with(b"'''") => {
            Some((Mode::Text(b"'''", language != Language::Toml), 3))
        }
        b'"' => Some((Mode::Text(b"\"", true), 1)),
        b'\'' => Some((Mode::Text(b"'", language != Language::Toml), 1)),
        b'`' if language == Language::Javascript => Some((Mode::Template, 1)),
        b'/' if language == Language::Javascript && begins_regex(last, last_at, all) => {
            Some((Mode::Pattern(false), 1))
        }
        _ => None,
    }
}

/// Whether a slash after this byte begins a regular expression and is no division.
fn begins_regex(last: u8, last_at: usize, all: &[u8]) -> bool {
    if last == 0 || b"(,=:[!&|?{;+-*%<>~^".contains(&last) {
        return true;
    }
    // No longer than the longest of the words, so that the whole stays linear.
    let from = last_at.saturating_sub(8);
    let tail = all.get(from..=last_at).unwrap_or_default();
    let name = |b: &&u8| b.is_ascii_alphanumeric() || **b == b'_' || **b == b'$';
    let length = tail.iter().rev().take_while(name).count();
    let word = tail.get(tail.len() - length..).unwrap_or_default();
    BEFORE_REGEX.iter().any(|known| known.as_bytes() == word)
}

/// Follows brackets; says when a closing brace goes back into a template.
fn bracket(byte: u8, stack: &mut Vec<u8>) -> Result<Option<Mode>, String> {
    let wanted = match byte {
        b'(' | b'[' | b'{' => {
            stack.push(byte);
            return Ok(None);
        }
        b')' => b'(',
        b']' => b'[',
        b'}' => b'{',
        _ => return Ok(None),
    };
    match stack.pop() {
        Some(b'$') if byte == b'}' => Ok(Some(Mode::Template)),
        Some(open) if open == wanted => Ok(None),
        Some(_) | None => Err("brackets do not match".into()),
    }
}
