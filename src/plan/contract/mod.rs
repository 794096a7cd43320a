//! Contracts: interface files that tasks agree on, with a version that the plan pins. Reads no disk.

pub mod header;
pub mod renegotiate;
pub mod stub;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::types::sha256;

/// How a contract stands against its file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// The file is there and says what the plan pins.
    Ok,
    /// There is no file.
    Missing,
    /// The file says another version, or another content under the same one.
    VersionMismatch,
    /// The file is not committed as it stands on disk.
    Uncommitted,
}

impl State {
    /// The state's word, as in JSON.
    pub fn word(self) -> &'static str {
        match self {
            State::Ok => "ok",
            State::Missing => "missing",
            State::VersionMismatch => "version_mismatch",
            State::Uncommitted => "uncommitted",
        }
    }
}

/// What `plan` found in a contract's file, kept so that a later change is seen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pin {
    /// The version that the plan pinned.
    pub version: Option<String>,
    /// Where the file stood.
    pub file_path: String,
    /// The [`hash`] of its content.
    pub sha256: String,
    /// How it came to this version, the oldest change first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub renegotiations: Vec<Renegotiation>,
}

/// One change of a contract.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Renegotiation {
    /// The version before.
    pub from: String,
    /// The version after.
    pub to: String,
    /// Why.
    pub reason: String,
    /// When, RFC 3339.
    pub at: String,
}

/// `.orchestrator/contracts.lock`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lock {
    /// Version of this format; 1 is the only one.
    pub v: u32,
    /// The pins by the contracts' names.
    pub contracts: BTreeMap<String, Pin>,
}

/// The hash of a contract's content, without the lines of its header that a renegotiation changes, in hexadecimal.
pub fn hash(file: &str, text: &str) -> String {
    let header = header::read(file, text);
    let own: Vec<usize> =
        [&header.version_line, &header.renegotiation_line, &header.generated_line]
            .into_iter()
            .flatten()
            .map(|line| line.start)
            .collect();
    let mut kept = String::with_capacity(text.len());
    let mut offset = 0;
    for line in text.split_inclusive('\n') {
        if !own.contains(&offset) {
            kept.push_str(line.trim_end_matches(['\r', '\n']));
            kept.push('\n');
        }
        offset += line.len();
    }
    sha256(kept.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_headers_own_lines_do_not_count() {
        let text = "# Contract: A\n# Version: 1\n# Generated: x\nclass A:\n    Version: str\n";
        let of = |text: &str| hash("a.py", text);
        assert_eq!(
            of(text),
            of(&text.replace("# Version: 1", "# Version: 2 (renegotiated from 1)"))
        );
        assert_eq!(of(text), of(&text.replace("Generated: x", "Generated: y")));
        assert_ne!(of(text), of(&text.replace("Version: str", "Version: int")));
    }
}
