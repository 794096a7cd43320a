//! What a user may write in tasks.yaml, as types. Checks nothing beyond the shape.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::intent::Action;
use super::yaml::{Id, Length};

/// tasks.yaml as a whole.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "tasks.yaml")]
pub struct Document {
    /// Version of this format; 1 is the only one.
    #[serde(default)]
    pub version: Option<u32>,
    /// What was asked for, in a sentence.
    #[serde(default)]
    pub request: Option<String>,
    /// When the plan was made, RFC 3339.
    #[serde(default)]
    pub created_at: Option<String>,
    /// The branch that the run starts from and promotes to; the current branch unless given.
    #[serde(default)]
    pub base: Option<String>,
    /// Values for every task that does not give its own.
    #[serde(default)]
    pub defaults: Option<Defaults>,
    /// The tasks.
    pub tasks: Vec<TaskSpec>,
    /// Interfaces that tasks rely on.
    #[serde(default)]
    pub contracts: Vec<ContractSpec>,
    /// Commands on the merged result.
    #[serde(default)]
    pub integration: Option<IntegrationSpec>,
}

/// One task.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TaskSpec {
    /// Unique; lower-case letters, digits and dashes, at most 63.
    pub id: Id,
    /// What it is, in a sentence.
    pub description: String,
    /// What the worker is told; the description unless given.
    #[serde(default)]
    pub prompt: Option<String>,
    /// A shell command that is the work; no agent takes part.
    #[serde(default)]
    pub run: Option<String>,
    /// Who does the work: claude, codex, gemini, opencode, shell, or a name from slimductor.yaml.
    #[serde(default)]
    pub agent: Option<String>,
    /// The model that the agent is to use.
    #[serde(default)]
    pub model: Option<String>,
    /// Paths or globs that the task owns, relative to the repository's root.
    #[serde(default)]
    pub files_write: Vec<String>,
    /// Paths or globs that it relies on.
    #[serde(default)]
    pub files_read: Vec<String>,
    /// Files to which it may add lines, and nothing else.
    #[serde(default)]
    pub files_append: Vec<String>,
    /// Things that are not files and that it owns, such as `route:/auth`.
    #[serde(default)]
    pub resources_write: Vec<String>,
    /// Things that are not files and that it relies on.
    #[serde(default)]
    pub resources_read: Vec<String>,
    /// Ids of the tasks that must have landed before it starts.
    #[serde(default)]
    pub depends_on: Vec<Id>,
    /// Names of the contracts that it implements or consumes.
    #[serde(default)]
    pub contracts: Vec<String>,
    /// Contracts that it may change.
    #[serde(default)]
    pub renegotiates: Vec<String>,
    /// Entries of the context store that go into its prompt.
    #[serde(default)]
    pub context_keys: Vec<String>,
    /// Packages that it needs.
    #[serde(default)]
    pub deps_required: Option<DepsRequired>,
    /// Structured edits of files that several tasks share.
    #[serde(default)]
    pub patch_intents: Vec<PatchIntent>,
    /// Commands that prove the work done; at least one.
    #[serde(default)]
    pub verification: Vec<CheckSpec>,
    /// Allows more changed lines in one file than the threshold.
    #[serde(default)]
    pub allow_large_changes: Option<bool>,
    /// Says that ending without a change is right.
    #[serde(default)]
    pub expects_no_changes: Option<bool>,
    /// How long one attempt's worker may take; 30m unless given.
    #[serde(default)]
    pub timeout: Option<Length>,
    /// How many attempts there may be; 3 unless given.
    #[serde(default)]
    #[schemars(range(min = 1))]
    pub max_attempts: Option<u32>,
    /// Among ready tasks the higher goes first.
    #[serde(default)]
    pub priority: Option<i64>,
    /// How long it will probably take.
    #[serde(default)]
    pub estimate: Option<Length>,
    /// The most that it may cost.
    #[serde(default)]
    pub max_cost_usd: Option<f64>,
    /// Environment for its worker and its checks.
    #[serde(default)]
    #[schemars(with = "BTreeMap<String, Scalar>")]
    pub env: BTreeMap<String, String>,
}

/// Values for every task that does not give its own.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "the fields are those of a task")]
pub struct Defaults {
    #[serde(default)]
    pub prompt: Option<String>,
    #[serde(default)]
    pub run: Option<String>,
    #[serde(default)]
    pub agent: Option<String>,
    #[serde(default)]
    pub model: Option<String>,
    #[serde(default)]
    pub contracts: Vec<String>,
    #[serde(default)]
    pub renegotiates: Vec<String>,
    #[serde(default)]
    pub context_keys: Vec<String>,
    #[serde(default)]
    pub deps_required: Option<DepsRequired>,
    #[serde(default)]
    pub patch_intents: Vec<PatchIntent>,
    #[serde(default)]
    pub verification: Vec<CheckSpec>,
    #[serde(default)]
    pub allow_large_changes: Option<bool>,
    #[serde(default)]
    pub expects_no_changes: Option<bool>,
    #[serde(default)]
    pub timeout: Option<Length>,
    #[serde(default)]
    #[schemars(range(min = 1))]
    pub max_attempts: Option<u32>,
    #[serde(default)]
    pub priority: Option<i64>,
    #[serde(default)]
    pub estimate: Option<Length>,
    #[serde(default)]
    pub max_cost_usd: Option<f64>,
    #[serde(default)]
    #[schemars(with = "BTreeMap<String, Scalar>")]
    pub env: BTreeMap<String, String>,
}

/// A value that a person writes without quotes.
#[derive(Debug, JsonSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "only its schema is used")]
enum Scalar {
    Text(String),
    Number(f64),
    Flag(bool),
}

/// Packages that a task needs.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DepsRequired {
    /// Needed when the program runs.
    #[serde(default)]
    pub runtime: Vec<String>,
    /// Needed when it is built or tested.
    #[serde(default)]
    pub dev: Vec<String>,
}

/// A structured edit of a file that several tasks share.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PatchIntent {
    /// The file.
    pub file: String,
    /// What is to be done to it.
    pub action: Action,
    /// The particulars; which ones depends on the action.
    #[serde(default)]
    pub intent: BTreeMap<String, IntentValue>,
}

/// One particular of an intent.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(untagged)]
#[expect(missing_docs, reason = "any YAML scalar or a list of texts")]
pub enum IntentValue {
    Flag(bool),
    Number(f64),
    Text(String),
    List(Vec<String>),
}

/// A command that proves something.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CheckSpec {
    /// Run by `sh -c` at the root of the tree that is judged.
    pub command: String,
    /// What kind of proof it is.
    #[serde(default, rename = "type")]
    pub kind: CheckKind,
    /// Whether its failure fails the whole; true unless given.
    #[serde(default)]
    pub required: Option<bool>,
    /// How long it may take; 10m unless given.
    #[serde(default)]
    pub timeout: Option<Length>,
    /// Run it only when the change touches these; always unless given.
    #[serde(default)]
    pub paths: Vec<String>,
}

/// What kind of proof a command is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the words are the documentation")]
pub enum CheckKind {
    Test,
    Lint,
    Typecheck,
    Build,
    Security,
    #[default]
    Custom,
}

impl CheckKind {
    /// The kind's word, as in the plan.
    pub fn word(self) -> &'static str {
        match self {
            CheckKind::Test => "test",
            CheckKind::Lint => "lint",
            CheckKind::Typecheck => "typecheck",
            CheckKind::Build => "build",
            CheckKind::Security => "security",
            CheckKind::Custom => "custom",
        }
    }
}

/// An interface that tasks rely on.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ContractSpec {
    /// Its name.
    pub name: String,
    /// The commit or content hash that it was made at.
    #[serde(default)]
    pub version: Option<String>,
    /// Where it stands.
    pub file_path: String,
    /// What it declares.
    #[serde(default)]
    pub methods: Vec<String>,
    /// The tasks that rely on it.
    #[serde(default)]
    pub consumers: Vec<Id>,
}

/// Commands on the merged result.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct IntegrationSpec {
    /// Run on every merged tree before it becomes the staging tip.
    #[serde(default)]
    pub incremental: Option<Vec<CheckSpec>>,
    /// Run once on the staging tip, before the target moves.
    #[serde(default, rename = "final")]
    pub final_: Option<Vec<CheckSpec>>,
}
