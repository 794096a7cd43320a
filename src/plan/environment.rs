//! The environment hash: one word for what the lockfiles say. Reads no file.

use schemars::JsonSchema;
use serde::Serialize;
use sha2::{Digest, Sha256};

/// The hash where there is no lockfile.
pub const NO_LOCK: &str = "no-lock";

/// What the lockfiles of a repository say.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Environment {
    /// SHA-256 over path and content of each, in the order of their paths, in hexadecimal; `no-lock` when there is none.
    pub hash: String,
    /// Their paths, relative to the root, sorted.
    pub lockfiles: Vec<String>,
}

impl Default for Environment {
    fn default() -> Environment {
        Environment::of(Vec::new())
    }
}

impl Environment {
    /// The environment of these lockfiles: relative paths with `/`, and contents.
    pub fn of(mut files: Vec<(String, Vec<u8>)>) -> Environment {
        files.sort();
        let mut hasher = Sha256::new();
        for (path, content) in &files {
            hasher.update(path);
            hasher.update(content);
        }
        let hash = match files.is_empty() {
            true => NO_LOCK.to_owned(),
            false => hasher.finalize().iter().map(|b| format!("{b:02x}")).collect(),
        };
        Environment { hash, lockfiles: files.into_iter().map(|(path, _)| path).collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::sha256;

    #[test]
    fn the_hash_is_over_path_and_content_in_the_order_of_the_paths() {
        let files =
            vec![("b/go.sum".to_owned(), b"2".to_vec()), ("Cargo.lock".to_owned(), b"1".to_vec())];
        let environment = Environment::of(files);
        assert_eq!(environment.hash, sha256(b"Cargo.lock1b/go.sum2"));
        assert_eq!(environment.lockfiles, ["Cargo.lock", "b/go.sum"]);
        assert_eq!(Environment::default().hash, "no-lock");
    }
}
