//! The sections of slimductor.yaml as types, each key with what it means and what holds when it is not given.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::plan::schema::CheckSpec;
use crate::plan::yaml::Length;

/// How much runs at once, and where.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Orchestration {
    /// How many tasks are worked on at once; 5 unless given.
    pub max_parallel_workers: Option<u32>,
    /// How many times the reviewer may send the result back; 3 unless given.
    pub max_iterations: Option<u32>,
    /// The least time between the starts of two agents; none unless given.
    pub spawn_stagger: Option<Length>,
    /// Where worktrees stand, relative to the repository's root; .worktrees unless given.
    pub worktree_dir: Option<String>,
    /// The staging branch; slimductor/<run>/staging unless given.
    pub staging_branch: Option<String>,
}

/// An agent of one's own: how it is launched and how its output is read.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct AgentSpec {
    /// The command and its arguments; {prompt_file}, {model} and {session} are replaced.
    pub command: Vec<String>,
    /// How it is given its prompt: file, stdin or argument.
    pub prompt: PromptBy,
    /// Which built-in agent's output its own is like; text unless given.
    pub parser: Parser,
    /// Arguments with which it goes on in a session of its own.
    pub resume: Vec<String>,
    /// Names of environment variables that it needs.
    pub env: Vec<String>,
}

/// How an agent is given its prompt.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the words are the documentation")]
pub enum PromptBy {
    #[default]
    File,
    Stdin,
    Argument,
}

/// Whose output an agent's is like.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the words are the documentation")]
pub enum Parser {
    Claude,
    Codex,
    Gemini,
    Opencode,
    #[default]
    Text,
}

/// Where and with what environment workers run.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Workers {
    /// auto, tmux or process.
    pub backend: BackendChoice,
    /// What keeps a worker from writing outside its worktree: repo (the strongest that the machine permits), strict
    /// (the worktree, caches and the temporary directory only), namespace, landlock or off.
    pub fence: Fence,
    /// Directories outside the worktree that workers may write, such as caches.
    pub writable: Vec<String>,
    /// Names of further environment variables that reach workers, checks and gates.
    pub env_pass: Vec<String>,
}

/// Which backend runs the jobs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum BackendChoice {
    /// tmux where it is installed, else process.
    #[default]
    Auto,
    /// tmux sessions on a socket of our own.
    Tmux,
    /// Plain processes in sessions of their own.
    Process,
}

/// What keeps a worker from writing outside its worktree.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the words are the documentation")]
pub enum Fence {
    #[default]
    #[serde(alias = "auto")]
    Repo,
    Strict,
    Namespace,
    Landlock,
    Off,
}

/// What a worktree gets beyond what is committed.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Worktree {
    /// Files that are copied from the checkout, such as .env.
    pub copy: Vec<String>,
    /// Files and directories of the checkout to which the worktree gets symbolic links.
    pub symlink: Vec<String>,
    /// What stays when a worktree is used again, such as build caches.
    pub keep: Vec<String>,
    /// Commands before the first use of a worktree.
    pub setup: Vec<Command>,
    /// Commands before a worktree is removed.
    pub teardown: Vec<Command>,
}

/// A command with a time limit.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Command {
    /// With a time limit.
    Timed {
        /// Run by `sh -c`.
        command: String,
        /// How long it may take; 10m unless given.
        #[serde(default)]
        timeout: Option<Length>,
    },
    /// With 10 minutes.
    Plain(String),
}

impl Command {
    /// The command, and its limit in milliseconds.
    pub fn parts(&self) -> (&str, u64) {
        match self {
            Command::Timed { command, timeout } => {
                (command, timeout.map_or(crate::plan::DEFAULT_CHECK_TIMEOUT_MS, |l| l.millis))
            }
            Command::Plain(command) => (command, crate::plan::DEFAULT_CHECK_TIMEOUT_MS),
        }
    }
}

/// Points and thresholds of the risk score.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RiskConfig {
    /// Replaces the built-in patterns.
    pub sensitive_patterns: Option<Vec<SensitivePattern>>,
    /// The highest score that needs nobody; `review` reaches to twice that. 25 unless given.
    pub auto_approve_threshold: Option<u64>,
    /// Paths that always need a person's approval.
    pub always_require_human: Vec<String>,
}

/// A regular expression and its points.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum SensitivePattern {
    /// With its points.
    Weighted {
        /// The expression, matched anywhere in the path, in either case.
        pattern: String,
        /// What a match adds.
        weight: u64,
    },
    /// With 10 points.
    Plain(String),
}

/// What no task may touch.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Boundaries {
    /// The most changed lines in one file without `allow_large_changes`; 500 unless given.
    pub churn_threshold_lines: u64,
    /// Which files may not be changed in their white space alone.
    pub formatting_check: FormattingCheck,
    /// Paths that no task may write; a given list replaces the built-in one.
    pub forbidden_patterns: Vec<String>,
    /// File names of lockfiles, which only the engine may change; a given list replaces the built-in one.
    pub lockfiles: Vec<String>,
}

/// Which files may not be changed in their white space alone, by extension or name.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct FormattingCheck {
    /// Judged.
    pub check: Option<Vec<String>>,
    /// Never judged.
    pub ignore: Option<Vec<String>>,
}

/// Extensions of files in which white space means nothing.
const BLANK_MEANS_NOTHING: [&str; 22] = [
    ".js", ".ts", ".jsx", ".tsx", ".json", ".md", ".rst", ".css", ".scss", ".less", ".html",
    ".xml", ".java", ".kt", ".go", ".rs", ".c", ".cpp", ".h", ".cs", ".rb", ".php",
];

impl FormattingCheck {
    /// Whether a change of white space alone is a violation in this file.
    pub fn judges(&self, path: &str) -> bool {
        let name = path.rsplit('/').next().unwrap_or(path);
        let has = |rule: &str| match rule.starts_with('.') {
            true => name.to_ascii_lowercase().ends_with(&rule.to_ascii_lowercase()),
            false => name == rule,
        };
        if self.ignore.iter().flatten().any(|rule| has(rule)) {
            return false;
        }
        match &self.check {
            Some(own) => own.iter().any(|rule| has(rule)),
            None => BLANK_MEANS_NOTHING.iter().any(|rule| has(rule)),
        }
    }
}

/// Lockfiles by name: only the engine may change them.
const LOCKFILES: [&str; 20] = [
    "package-lock.json",
    "npm-shrinkwrap.json",
    "pnpm-lock.yaml",
    "yarn.lock",
    "bun.lock",
    "bun.lockb",
    "deno.lock",
    "uv.lock",
    "poetry.lock",
    "Pipfile.lock",
    "requirements.lock",
    "Cargo.lock",
    "go.sum",
    "Gemfile.lock",
    "composer.lock",
    "packages.lock.json",
    "mix.lock",
    "pubspec.lock",
    "flake.lock",
    "gradle.lockfile",
];

/// What no task may write, wherever in the tree.
const FORBIDDEN: [&str; 11] = [
    "node_modules/",
    "__pycache__/",
    "*.pyc",
    "vendor/",
    "dist/",
    "build/",
    ".env",
    "*.generated.*",
    "*.min.js",
    "*.min.css",
    ".git/",
];

impl Default for Boundaries {
    fn default() -> Boundaries {
        let own = |list: &[&str]| list.iter().map(|s| (*s).to_owned()).collect();
        Boundaries {
            churn_threshold_lines: 500,
            formatting_check: FormattingCheck::default(),
            forbidden_patterns: own(&FORBIDDEN),
            lockfiles: own(&LOCKFILES),
        }
    }
}

/// How commands that prove a task are run.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Verification {
    /// For `{modified_tests}`: the tests that belong to a changed file, by pattern.
    pub test_file_patterns: BTreeMap<String, Vec<String>>,
    /// What `{modified_tests}` stands for when no pattern fits.
    pub fallback_on_no_match: Option<String>,
    /// Whether every required command must be found before the run starts; true unless given.
    pub require_executable_checks: Option<bool>,
}

/// How contracts are kept.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Contracts {
    /// How often one may be renegotiated; 2 unless given.
    pub max_renegotiations: Option<u32>,
    /// The type checker for each language, or `off`.
    pub typecheck: Option<Typecheck>,
}

/// The type checker for each language, or none.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Typecheck {
    /// `off`.
    Word(Off),
    /// Commands by language.
    Commands(BTreeMap<String, String>),
}

/// The word `off`.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Off {
    /// Nothing is checked.
    Off,
}

/// How requested packages are installed.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Dependencies {
    /// The command that installs packages, by ecosystem.
    pub install: BTreeMap<String, String>,
    /// Packages that need nobody's approval.
    pub allowed_packages: Vec<String>,
    /// Whether all of them need nobody's approval; false unless given.
    pub auto_approve: bool,
}

/// Commands on the merged result, and where it goes.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Integration {
    /// Run on every merged tree before it becomes the staging tip.
    pub incremental: Option<Vec<CheckSpec>>,
    /// Run once on the staging tip, before the target moves.
    #[serde(rename = "final")]
    pub final_: Option<Vec<CheckSpec>>,
    /// How many merged trees are checked at once; 1 unless given.
    pub window: Option<u32>,
    /// Whether every merge is checked by itself.
    pub strict: bool,
    /// What happens when the target moved meanwhile: regate or fail.
    pub on_diverged: OnDiverged,
    /// When the target moves: whole or landed.
    pub promote: Promote,
}

/// When the target moves.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Promote {
    /// When every task has landed or was skipped by a person.
    #[default]
    Whole,
    /// Also when some failed: with what landed.
    Landed,
}

/// What happens when the target moved during the run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnDiverged {
    /// It is merged into staging, and the gate runs again.
    #[default]
    Regate,
    /// The run stops and asks.
    Fail,
}

/// Hard limits of a run.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Budget {
    /// In US dollars, as the agents report it.
    pub max_cost_usd: Option<f64>,
    /// Tokens in and out.
    pub max_tokens: Option<u64>,
    /// From the start of the run.
    pub max_duration: Option<Length>,
}

/// Between sessions that share the repository.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Coordination {
    /// How long a file lock lasts; 5m unless given.
    pub lock_ttl: Option<Length>,
    /// After how long without a heartbeat a session is stale; 5m unless given.
    pub stale_after: Option<Length>,
}

/// How a person is told that one is needed.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Notify {
    /// Run by `sh -c`, with the message on stdin.
    pub command: Option<String>,
    /// Gets the message as JSON by POST.
    pub webhook: Option<String>,
    /// Whether the terminal's bell rings.
    pub bell: bool,
}

/// What is kept of old runs. A value of 0 is the same as leaving it out.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Retention {
    /// So many of the newest runs are kept, however old; 20 unless given.
    pub runs: Option<u32>,
    /// Runs that ended in the last so many days are kept, however many; 30 unless given.
    pub days: Option<u32>,
    /// Merged recovery branches are kept for so many days, unmerged ones for ever; 90 unless given.
    pub recovery_days: Option<u32>,
}

/// Who takes a role.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Role {
    /// The agent.
    pub agent: Option<String>,
    /// Its model.
    pub model: Option<String>,
}

/// Which agent and model take each role.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
#[expect(missing_docs, reason = "the roles' own names")]
pub struct Roles {
    pub planner: Role,
    pub worker: Role,
    pub verifier: Role,
    #[serde(alias = "integration_checker")]
    pub integration_checker: Role,
    pub reviewer: Role,
}
