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

/// The hash of a contract's content, without the header lines that a renegotiation changes, in hexadecimal.
pub fn hash(text: &str) -> String {
    let changes = |line: &&str| {
        let bare = line.trim_start_matches(['#', '/', '*', '!', '-', ';', ' ', '\t']);
        ["Version:", "Renegotiation:", "Generated:"].iter().any(|key| bare.starts_with(key))
    };
    let kept: Vec<&str> = text.lines().filter(|line| !changes(line)).collect();
    sha256(kept.join("\n").as_bytes())
}
