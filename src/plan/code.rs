//! The names of all problems that a plan can have, each with its explanation. Decides nothing.

use schemars::JsonSchema;
use serde::Serialize;

macro_rules! codes {
    ($($name:ident = $word:literal),* $(,)?) => {
        /// A stable name for a kind of problem; scripts match on it.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, JsonSchema)]
        #[serde(rename_all = "snake_case")]
        #[expect(missing_docs, reason = "each is explained by its file under explain/")]
        pub enum Code {
            $($name),*
        }

        impl Code {
            /// All of them.
            pub const ALL: &[Code] = &[$(Code::$name),*];

            /// The code's word, as in JSON.
            pub fn word(self) -> &'static str {
                match self {
                    $(Code::$name => $word),*
                }
            }

            /// What `plan --explain` prints: why it is refused, a wrong example and a right one. Markdown.
            pub fn explanation(self) -> &'static str {
                match self {
                    $(Code::$name => include_str!(concat!("explain/", $word, ".md"))),*
                }
            }
        }
    };
}

codes! {
    YamlSyntax = "yaml_syntax",
    UnknownKey = "unknown_key",
    WrongType = "wrong_type",
    MissingField = "missing_field",
    DuplicateId = "duplicate_id",
    InvalidId = "invalid_id",
    UnknownDependency = "unknown_dependency",
    SelfDependency = "self_dependency",
    Cycle = "cycle",
    FileWriteWrite = "file_write_write",
    FileReadWrite = "file_read_write",
    ResourceWriteWrite = "resource_write_write",
    ResourceReadWrite = "resource_read_write",
    PathAbsolute = "path_absolute",
    PathEscapesRepo = "path_escapes_repo",
    PathInGitDir = "path_in_git_dir",
    BadPattern = "bad_pattern",
    NoVerification = "no_verification",
    VacuousVerification = "vacuous_verification",
    ContractUnknown = "contract_unknown",
    ContractConsumerUnknown = "contract_consumer_unknown",
    ContractMissing = "contract_missing",
    ContractUncommitted = "contract_uncommitted",
    ContractVersionMismatch = "contract_version_mismatch",
    ContractWrittenByTask = "contract_written_by_task",
    DuplicateContract = "duplicate_contract",
    WriteForbidden = "write_forbidden",
    UnknownAgent = "unknown_agent",
    NoEstimate = "no_estimate",
    SingleWaveSerial = "single_wave_serial",
    BroadGlob = "broad_glob",
    UnusedContract = "unused_contract",
    IntentRefused = "intent_refused",
    NoAdapter = "no_adapter",
}

impl Code {
    /// The code with this word.
    pub fn parse(word: &str) -> Option<Code> {
        Code::ALL.iter().copied().find(|code| code.word() == word)
    }

    /// Whether it is about two tasks that touch the same thing.
    pub fn is_conflict(self) -> bool {
        use Code::{FileReadWrite, FileWriteWrite, ResourceReadWrite, ResourceWriteWrite};
        [FileWriteWrite, FileReadWrite, ResourceWriteWrite, ResourceReadWrite].contains(&self)
    }

    /// What is wrong, in half a sentence: the explanation's title.
    pub fn title(self) -> &'static str {
        let first = self.explanation().lines().next().unwrap_or_default();
        first.split_once(": ").map_or(self.word(), |(_, title)| title)
    }
}
