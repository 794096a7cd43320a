//! A new version of a contract: its header says how often, and from what. Writes no file.

use super::hash;
use super::header::{self, HeaderLine};
use crate::types::sha256;

/// A contract file with its new version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Renewed {
    /// The file's new content.
    pub text: String,
    /// The version before.
    pub from: String,
    /// The version now.
    pub to: String,
    /// Which renegotiation it was, from 1.
    pub count: u32,
}

/// Why there is no new version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refused {
    /// The file has no header with a version.
    NoVersion,
    /// It was renegotiated as often as it may be.
    TooOften {
        /// How often it was.
        count: u32,
    },
}

/// Gives the contract in `text` a new version: a hash of its content and of the version before. `before` is how often
/// that is known to have happened, whatever the file says.
pub fn renegotiate(file: &str, text: &str, before: u32, most: u32) -> Result<Renewed, Refused> {
    let header = header::read(file, text);
    let (Some(version), Some(at)) = (header.version, header.version_line) else {
        return Err(Refused::NoVersion);
    };
    let HeaderLine { start, before: lead, end } = at;
    let count = header.renegotiation.unwrap_or(0).max(before);
    if count >= most {
        return Err(Refused::TooOften { count });
    }
    let count = count + 1;
    let from = version.value;
    let to: String =
        sha256(format!("{}\n{from}", hash(file, text)).as_bytes()).chars().take(12).collect();
    let line = format!("{lead}Version: {to} (renegotiated from {from})");
    let which = |before: &str| format!("{before}Renegotiation: {count} of {most}");
    let mut edits = match header.renegotiation_line {
        Some(old) => vec![(start, end, line), (old.start, old.end, which(&old.before))],
        None => {
            // The new line begins as the one above it, but for what opens the comment.
            let opens =
                ["\"\"\"", "'''", "/*", "<!--"].iter().any(|s| lead.trim_start().starts_with(s));
            let lead = if opens { String::new() } else { lead };
            let newline = if text.contains("\r\n") { "\r\n" } else { "\n" };
            let rest = text.get(end..).and_then(|t| t.lines().next()).unwrap_or("");
            let closes = ["*/", "\"\"\"", "'''", "-->"].iter().any(|sign| rest.contains(sign));
            // What stands behind the version stays there; a sign that ends the comment stays behind both.
            let at = if closes { end } else { end + rest.trim_end_matches('\r').len() };
            vec![(start, end, line), (at, at, format!("{newline}{}", which(&lead)))]
        }
    };
    edits.sort();
    let mut out = String::with_capacity(text.len() + 80);
    let mut at = 0;
    for (from, to, new) in &edits {
        out.push_str(text.get(at..*from).unwrap_or(""));
        out.push_str(new);
        at = *to;
    }
    out.push_str(text.get(at..).unwrap_or(""));
    Ok(Renewed { text: out, from, to, count })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_renegotiation_is_counted_and_names_the_version_before() {
        let styles = [
            ("a.py", "\"\"\"\nContract: A\nVersion: abc1234\n\"\"\"\nclass A: ...\n"),
            ("a.ts", "/**\n * Contract: A\n * Version: abc1234\n * Generated: t\n */\n"),
            ("a.go", "/* Contract: A\n   Version: abc1234 */\npackage a\n"),
            ("A.java", "// Contract: A\r\n// Version: abc1234\r\n"),
        ];
        for (file, text) in styles {
            let first = renegotiate(file, text, 0, 2).unwrap();
            assert_eq!((first.from.as_str(), first.count), ("abc1234", 1));
            let header = header::read(file, &first.text);
            assert_eq!(header.version.unwrap().value, first.to, "{}", first.text);
            assert_eq!(header.renegotiation, Some(1), "{}", first.text);
            assert!(first.text.contains("(renegotiated from abc1234)"), "{}", first.text);
            assert_eq!(
                hash(file, text),
                hash(file, &first.text),
                "only the header changed: {}",
                first.text
            );
            let second = renegotiate(file, &first.text, 0, 2).unwrap();
            assert_eq!((second.from, second.count), (first.to, 2));
            assert_eq!(second.text.matches("Renegotiation:").count(), 1, "{}", second.text);
            let refused = renegotiate(file, &second.text, 0, 2).unwrap_err();
            assert_eq!(refused, Refused::TooOften { count: 2 });
        }
    }

    #[test]
    fn words_behind_the_version_stay_behind_it() {
        let new =
            renegotiate("d.ts", "// Contract: A\n// Version: abc1234 stable\nx\n", 0, 2).unwrap();
        let (lines, to) = (new.text.lines().collect::<Vec<_>>(), new.to);
        assert_eq!(lines[1], format!("// Version: {to} (renegotiated from abc1234) stable"));
        assert_eq!(lines[2..], ["// Renegotiation: 1 of 2", "x"]);
    }

    #[test]
    fn a_file_without_a_version_cannot_have_a_new_one() {
        assert_eq!(renegotiate("a.py", "x = 1\n", 0, 2), Err(Refused::NoVersion));
    }
}
