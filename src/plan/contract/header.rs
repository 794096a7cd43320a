//! The header of a contract file: what its first comment or docstring says of name, version and renegotiations. Knows
//! the comment signs of languages, and nothing else of them.

use crate::plan::diagnostic::Span;

/// A value of the header and its place in the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field {
    /// The value: the first word, or for a renegotiation all of it.
    pub value: String,
    /// Where it stands.
    pub span: Span,
}

/// What a contract file says of itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Header {
    /// `Contract:`.
    pub name: Option<Field>,
    /// `Version:`, without what stands in brackets behind it.
    pub version: Option<Field>,
    /// `Renegotiation: 1 of 2`: which one it was.
    pub renegotiation: Option<u32>,
    /// The line of the version.
    pub version_line: Option<HeaderLine>,
    /// The line of the renegotiation.
    pub renegotiation_line: Option<HeaderLine>,
    /// The line of the time at which it was made.
    pub generated_line: Option<HeaderLine>,
}

/// A line of the header: what a renegotiation writes anew.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeaderLine {
    /// The offset in bytes at which it begins.
    pub start: usize,
    /// What stands before its key.
    pub before: String,
    /// The offset at which the key's value ends: what follows stays.
    pub end: usize,
}

/// Signs of a language: what begins a comment up to the end of the line, and what encloses one.
struct Signs {
    line: &'static [&'static str],
    block: &'static [(&'static str, &'static str)],
}

fn signs_of(file: &str) -> Signs {
    let extension = file.rsplit('/').next().and_then(|name| name.rsplit_once('.')).map(|(_, e)| e);
    match extension.unwrap_or("").to_ascii_lowercase().as_str() {
        "ts" | "tsx" | "mts" | "cts" | "js" | "jsx" | "mjs" | "cjs" | "rs" | "go" | "java"
        | "kt" | "kts" | "scala" | "cs" | "c" | "h" | "cc" | "cpp" | "hpp" | "swift" | "dart"
        | "proto" | "zig" => Signs { line: &["//"], block: &[("/*", "*/")] },
        "py" | "pyi" => Signs {
            line: &["#"],
            block: &[("\"\"\"", "\"\"\""), ("'''", "'''"), ("r\"\"\"", "\"\"\"")],
        },
        _ => Signs {
            line: &["#", "//", "--", ";", "%"],
            block: &[("/*", "*/"), ("<!--", "-->"), ("\"\"\"", "\"\"\""), ("'''", "'''")],
        },
    }
}

/// Reads the header out of the first comment of `text` that names a contract; `file` says which language it is.
pub fn read(file: &str, text: &str) -> Header {
    let signs = signs_of(file);
    let mark = text.len() - text.trim_start_matches('\u{feff}').len();
    let mut header = Header::default();
    let mut closing: Option<&str> = None;
    let mut offset = 0;
    for (n, raw) in text.split_inclusive('\n').enumerate() {
        let start = offset;
        offset += raw.len();
        let line = raw.trim_end_matches(['\n', '\r']);
        let mut comment = line.get(if n == 0 { mark } else { 0 }..).unwrap_or("").trim_start();
        let mut inside = closing.is_some();
        if closing.is_none() {
            let block = signs.block.iter().find(|(open, _)| comment.starts_with(open));
            if let Some((open, close)) = block {
                if header.name.is_none() {
                    header = Header::default();
                }
                comment = comment.get(open.len()..).unwrap_or("");
                (inside, closing) = (true, Some(*close));
            } else if let Some(sign) = signs.line.iter().find(|s| comment.starts_with(**s)) {
                comment = comment.get(sign.len()..).unwrap_or("");
                inside = true;
            }
        }
        if let Some(close) = closing
            && let Some(end) = comment.find(close)
        {
            comment = comment.get(..end).unwrap_or("");
            closing = None;
        }
        if inside {
            let at = line.len() - rest_len(line, comment);
            entry(&mut header, Line { number: n as u32 + 1, text: line, start }, at, comment);
        } else if !line.trim().is_empty() || closing.is_none() {
            if header.name.is_some() && !line.trim().is_empty() {
                // The comment that names the contract is over.
                break;
            }
            // A licence may say a version as well; it is another comment's.
            if header.name.is_none() {
                header = Header::default();
            }
        }
    }
    if header.name.is_none() { Header::default() } else { header }
}

/// How much of `line` is left from the beginning of `part`, which lies in it.
fn rest_len(line: &str, part: &str) -> usize {
    line.len() - (part.as_ptr() as usize).saturating_sub(line.as_ptr() as usize).min(line.len())
}

struct Line<'a> {
    number: u32,
    text: &'a str,
    /// Offset of the line in the file, in bytes.
    start: usize,
}

/// Takes up `Key: value` out of the comment that begins at byte `at` of the line.
fn entry(header: &mut Header, line: Line<'_>, at: usize, comment: &str) {
    let decoration = |c: char| matches!(c, '*' | '!' | '/' | '#' | '-' | ';' | ' ' | '\t');
    let bare = comment.trim_start_matches(decoration);
    let key_at = at + (comment.len() - bare.len());
    let Some((key, rest)) = bare.split_once(':') else { return };
    let value = rest.trim();
    let value_at = key_at + key.len() + 1 + (rest.len() - rest.trim_start().len());
    let word = value.split_whitespace().next().unwrap_or("");
    let field = || {
        let before = line.text.get(..value_at).unwrap_or("");
        let span = Span {
            line: line.number,
            column: before.chars().count() as u32 + 1,
            offset: line.start + value_at,
            len: word.len(),
        };
        (!word.is_empty()).then(|| Field { value: word.to_owned(), span })
    };
    let whole = || {
        let before = line.text.get(..key_at).unwrap_or("").to_owned();
        let value = rest.trim_start();
        // A word of the user's behind the value stays; what a renegotiation wrote in brackets goes.
        let known = match value
            .find("(renegotiated from")
            .and_then(|at| Some(at + value.get(at..)?.find(')')? + 1))
        {
            Some(end) => end,
            None if key.trim() == "Renegotiation" => {
                let words = value.split_whitespace().take(3).collect::<Vec<_>>();
                words
                    .last()
                    .map_or(0, |last| last.as_ptr() as usize - value.as_ptr() as usize + last.len())
            }
            None => word.len(),
        };
        Some(HeaderLine { start: line.start, before, end: line.start + value_at + known })
    };
    match key.trim() {
        "Contract" if header.name.is_none() => header.name = field(),
        "Version" if header.version.is_none() => {
            header.version = field();
            header.version_line = whole();
        }
        "Generated" if header.generated_line.is_none() => header.generated_line = whole(),
        "Renegotiation" if header.renegotiation.is_none() => {
            header.renegotiation = word.parse().ok();
            header.renegotiation_line = whole();
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read_pair(file: &str, text: &str) -> (Option<String>, Option<String>) {
        let header = read(file, text);
        (header.name.map(|f| f.value), header.version.map(|f| f.value))
    }

    #[test]
    fn the_header_is_read_in_every_comment_style() {
        let styles = [
            ("a.py", "\"\"\"\nContract: A\nVersion: abc1234\n\"\"\"\nclass A: ...\n"),
            (
                "a.py",
                "#!/usr/bin/env python3\n# Contract: A\n# Version: abc1234 (renegotiated from 9f00b1c)\n",
            ),
            ("a.py", "'''Contract: A\nVersion: abc1234'''\n"),
            (
                "a.pyi",
                "# Copyright\n\nfrom typing import Protocol\n\nr\"\"\"Contract: A\nVersion: abc1234\n\"\"\"\n",
            ),
            ("a.ts", "/**\n * Contract: A\n * Version: abc1234\n */\nexport interface A {}\n"),
            ("a.ts", "// Contract: A\n// Version: abc1234\n"),
            ("a.rs", "//! Contract: A\n//! Version: abc1234\n"),
            ("a.rs", "/// Contract: A\n/// Version: abc1234\npub trait A {}\n"),
            ("a.go", "// Contract: A\n// Version: abc1234\npackage contracts\n"),
            ("a.go", "package contracts\n\n/* Contract: A\nVersion: abc1234 */\n"),
            (
                "A.java",
                "package a.b;\r\n\r\n/**\r\n * Contract: A\r\n * Version: abc1234\r\n */\r\n",
            ),
            ("a.sql", "-- Contract: A\n-- Version: abc1234\n"),
            ("a", "# Contract: A\n# Version: abc1234"),
        ];
        for (file, text) in styles {
            let expected = (Some("A".to_owned()), Some("abc1234".to_owned()));
            assert_eq!(read_pair(file, text), expected, "{file}: {text}");
        }
    }

    #[test]
    fn what_is_not_in_the_first_comment_is_no_header() {
        for (file, text) in [
            ("a.py", "version = 'Contract: A'\nContract: A\n"),
            ("a.rs", "const X: &str = \"Contract: A\";\n"),
            ("a.py", "# Version: abc1234\nx = 1\n"),
        ] {
            assert_eq!(read(file, text), Header::default(), "{text}");
        }
        let later = "# Contract: A\nx = 1\n# Version: abc1234\n";
        assert_eq!(read_pair("a.py", later), (Some("A".to_owned()), None));
    }

    #[test]
    fn the_version_of_a_licence_is_not_the_contracts() {
        let text = "\u{feff}/*\n * Version: MPL 1.1\n */\nimport x;\n/**\n * Contract: A\n * Version: abc1234\n */\n";
        assert_eq!(read_pair("a.ts", text), (Some("A".to_owned()), Some("abc1234".to_owned())));
        let text = "# Version: 9\n\n# Contract: A\n# Version: abc1234\n";
        assert_eq!(read_pair("a.py", text), (Some("A".to_owned()), Some("abc1234".to_owned())));
    }

    #[test]
    fn a_value_knows_its_place() {
        let text = "/**\n * Contract: Ä\n * Version: abc1234 (renegotiated from x)\n */\n";
        let field = read("a.ts", text).version.unwrap();
        assert_eq!((field.span.line, field.span.column), (3, 13));
        assert_eq!(&text[field.span.offset..field.span.offset + field.span.len], "abc1234");
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]
        #[test]
        fn no_text_upsets_the_reader(
            text in "(.|\n|Contract: A|Version: b|\"\"\"|/\\*|\\*/|//|#| \\* ){0,40}",
            file in "a\\.(py|ts|rs|go|java|x)",
        ) {
            let header = read(&file, &text);
            for field in [header.name, header.version].into_iter().flatten() {
                let span = field.span;
                prop_assert_eq!(&text[span.offset..span.offset + span.len], field.value);
            }
        }
    }
}
