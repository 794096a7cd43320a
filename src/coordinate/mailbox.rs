//! Messages between workers: one directory for each recipient, one file for each message. Knows no runs and no clock.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::store::{self, Mode, StoreError};
use crate::types::TaskId;

/// What a message is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the words are the documentation")]
pub enum Kind {
    Info,
    ApiChange,
    DependencyInstalled,
    Warning,
    Blocking,
}

/// A message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// Unique: the time, the sender's process and a counter.
    pub id: String,
    /// Who sent it.
    pub from: String,
    /// Who is to read it.
    pub to: String,
    /// What it is about.
    #[serde(rename = "type")]
    pub kind: Kind,
    /// The text.
    pub body: String,
    /// When, RFC 3339.
    pub timestamp: String,
}

/// The directory of a recipient's messages.
pub fn inbox(root: &Path, to: &TaskId) -> PathBuf {
    root.join(".orchestrator/mailbox").join(to.as_str())
}

/// What the names of messages of the moment `at` (RFC 3339) begin with; sorted by name is sorted by time.
fn stamp(at: &str) -> String {
    at.chars().filter(char::is_ascii_digit).collect()
}

/// Whether a message of exactly the moment `at` (RFC 3339) lies in the inbox of `to`.
pub fn was_sent(root: &Path, to: &TaskId, at: &str) -> bool {
    let start = format!("{}-", stamp(at));
    let mut entries = std::fs::read_dir(inbox(root, to)).into_iter().flatten().flatten();
    entries.any(|e| e.file_name().to_string_lossy().starts_with(&start))
}

/// Puts `body` into the inbox of `to`: the file appears whole or not at all. `at` is RFC 3339.
pub fn send(
    root: &Path,
    from: &str,
    to: &TaskId,
    kind: Kind,
    body: &str,
    at: &str,
) -> Result<Message, StoreError> {
    let dir = inbox(root, to);
    store::make_dir(&dir)?;
    let stamp = stamp(at);
    let mut number = 0;
    loop {
        let message = Message {
            id: format!("{stamp}-{}-{number}", std::process::id()),
            from: from.to_owned(),
            to: to.as_str().to_owned(),
            kind,
            body: body.to_owned(),
            timestamp: at.to_owned(),
        };
        let text = serde_json::to_string(&message).unwrap_or_default();
        let path = dir.join(format!("{}.json", message.id));
        if store::create_new(&path, text.as_bytes(), Mode::Private)? {
            return Ok(message);
        }
        number += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_messages_of_one_moment_are_two_files() {
        let dir = tempfile::tempdir().unwrap();
        let to = TaskId::parse("a").unwrap();
        let at = "2026-11-20T10:00:00Z";
        let first = send(dir.path(), "x", &to, Kind::Info, "1", at).unwrap();
        let second = send(dir.path(), "x", &to, Kind::ApiChange, "2", at).unwrap();
        assert_ne!(first.id, second.id);
        let text =
            std::fs::read(inbox(dir.path(), &to).join(format!("{}.json", second.id))).unwrap();
        assert_eq!(serde_json::from_slice::<Message>(&text).unwrap(), second);
    }
}
