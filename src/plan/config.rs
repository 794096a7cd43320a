//! slimductor.yaml: what a project sets for all its runs, as types with their defaults. Reads no file.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use super::diagnostic::{Code, Label, Problem};
use super::pattern::Pattern;
use super::risk::{self, Rules};
use super::schema::CheckSpec;
use super::yaml::At;

/// slimductor.yaml as a whole.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(title = "slimductor.yaml")]
pub struct Config {
    /// How much runs at once.
    pub orchestration: Orchestration,
    /// Where and with what environment workers run.
    pub workers: Workers,
    /// Points and thresholds of the risk score.
    pub risk: Option<RiskConfig>,
    /// The same as `risk`, under the ancestor's name.
    pub approval: Option<RiskConfig>,
    /// What no task may touch.
    pub boundaries: Boundaries,
    /// Commands on the merged result, for plans that declare none.
    pub integration: Integration,
}

/// How much runs at once.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Orchestration {
    /// How many tasks are worked on at once; 5 unless given.
    pub max_parallel_workers: Option<u32>,
}

/// Where and with what environment workers run.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Workers {
    /// auto, tmux or process.
    pub backend: BackendChoice,
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

/// Points and thresholds of the risk score.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RiskConfig {
    /// Replaces the built-in patterns.
    pub sensitive_patterns: Option<Vec<SensitivePattern>>,
    /// The highest score that needs nobody; `review` reaches to twice that. 25 unless given.
    pub auto_approve_threshold: Option<u64>,
    /// Paths that always need a person's approval.
    pub always_require_human: Vec<At<String>>,
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
    /// The most changed lines in one file without `allow_large_changes`.
    pub churn_threshold_lines: u64,
    /// Paths that no task may write.
    pub forbidden_patterns: Vec<String>,
    /// File names of lockfiles, which only the engine may change.
    pub lockfiles: Vec<String>,
}

impl Default for Boundaries {
    fn default() -> Boundaries {
        let own = |list: &[&str]| list.iter().map(|s| (*s).to_owned()).collect();
        Boundaries {
            churn_threshold_lines: 500,
            forbidden_patterns: own(&[
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
            ]),
            lockfiles: own(&[
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
            ]),
        }
    }
}

impl Boundaries {
    /// The lockfile or forbidden pattern that `path` falls under, wherever in the tree it stands.
    pub fn forbids(&self, path: &str) -> Option<&str> {
        let name = path.rsplit('/').next().unwrap_or(path);
        if let Some(lock) = self.lockfiles.iter().find(|l| *l == name) {
            return Some(lock);
        }
        self.forbidden_patterns.iter().map(String::as_str).find(|raw| {
            let anywhere = if raw.contains('/') && !raw.ends_with('/') {
                (*raw).to_owned()
            } else {
                format!("**/{raw}")
            };
            Pattern::parse(&anywhere, false).is_ok_and(|p| p.matches(path))
        })
    }
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
    /// When the target moves.
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

impl Config {
    /// Lays `SLIMDUCTOR__SECTION__KEY` variables over the file.
    pub fn overlay(&mut self, variables: &BTreeMap<String, String>) -> Result<(), String> {
        for (name, value) in variables {
            let Some(path) = name.strip_prefix("SLIMDUCTOR__") else { continue };
            let number =
                || value.parse::<u64>().map_err(|_| format!("{name}: `{value}` is no number"));
            match path.to_ascii_lowercase().as_str() {
                "orchestration__max_parallel_workers" => {
                    let count = u32::try_from(number()?).map_err(|e| format!("{name}: {e}"))?;
                    self.orchestration.max_parallel_workers = Some(count);
                }
                "workers__backend" => {
                    self.workers.backend = match value.as_str() {
                        "auto" => BackendChoice::Auto,
                        "tmux" => BackendChoice::Tmux,
                        "process" => BackendChoice::Process,
                        other => {
                            return Err(format!("{name}: `{other}` is not auto, tmux or process"));
                        }
                    };
                }
                "workers__env_pass" => {
                    self.workers.env_pass = value.split(',').map(|s| s.trim().to_owned()).collect();
                }
                "risk__auto_approve_threshold" | "approval__auto_approve_threshold" => {
                    let at = number()?;
                    let risk =
                        self.risk.get_or_insert_with(|| self.approval.take().unwrap_or_default());
                    risk.auto_approve_threshold = Some(at);
                }
                "boundaries__churn_threshold_lines" => {
                    self.boundaries.churn_threshold_lines = number()?
                }
                "integration__promote" => {
                    self.integration.promote = match value.as_str() {
                        "whole" => Promote::Whole,
                        "landed" => Promote::Landed,
                        other => return Err(format!("{name}: `{other}` is not whole or landed")),
                    };
                }
                _ => return Err(format!("{name} names no setting that a variable can override")),
            }
        }
        Ok(())
    }

    /// The risk rules that follow from it; an invalid expression is an error, never skipped.
    pub fn risk_rules(&self) -> Result<Rules, Box<Problem>> {
        let mut rules = Rules::default();
        let Some(config) = self.risk.as_ref().or(self.approval.as_ref()) else { return Ok(rules) };
        if let Some(patterns) = &config.sensitive_patterns {
            rules.sensitive.clear();
            for entry in patterns {
                let (pattern, weight) = match entry {
                    SensitivePattern::Weighted { pattern, weight } => (pattern, *weight),
                    SensitivePattern::Plain(pattern) => (pattern, 10),
                };
                let compiled = risk::compile(pattern).map_err(|e| {
                    let last = e.lines().last().unwrap_or("invalid").to_owned();
                    Box::new(
                        Problem::error(
                            Code::BadPattern,
                            format!("`{pattern}` in sensitive_patterns: {last}"),
                        )
                        .help("it is a regular expression, matched anywhere in the path"),
                    )
                })?;
                rules.sensitive.push((compiled, weight));
            }
        }
        if let Some(at) = config.auto_approve_threshold {
            rules.auto_up_to = at;
            rules.review_up_to = at.saturating_mul(2);
        }
        for raw in &config.always_require_human {
            let pattern = Pattern::parse(raw, false).map_err(|e| {
                Box::new(
                    Problem::error(
                        Code::BadPattern,
                        format!("`{}` in always_require_human: {e:?}", **raw),
                    )
                    .at(Label::here(raw.span(), "this pattern")),
                )
            })?;
            rules.always_require_human.push(pattern);
        }
        Ok(rules)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forbidden_patterns_hold_anywhere_in_the_tree() {
        let b = Boundaries::default();
        for path in [
            "Cargo.lock",
            "pkg/a/go.sum",
            "node_modules/x",
            "web/node_modules/x/y.js",
            "a/b.pyc",
            ".env",
        ] {
            assert!(b.forbids(path).is_some(), "{path}");
        }
        for path in ["src/a.rs", "environment.py", "builder/x", ".envrc", "lock.rs"] {
            assert!(b.forbids(path).is_none(), "{path}");
        }
    }
}
