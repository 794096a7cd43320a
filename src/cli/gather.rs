//! Reads what a plan is checked against: the plan file, the configuration, and the facts of the tree. Changes nothing.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::Serialize;

use super::Context;
use super::exit::{Exit, Failure};
use crate::execute::run::sha256;
use crate::git::Repo;
use crate::plan::config::Config;
use crate::plan::diagnostic::Problem;
use crate::plan::schema::Document;
use crate::plan::{self, Analysis, Facts};

/// The lockfiles at the repository's root.
#[derive(Debug, Clone, Default, Serialize, JsonSchema)]
pub struct Environment {
    /// SHA-256 over path and content of each, in hexadecimal; `no-lock` when there is none.
    pub hash: String,
    /// Their paths.
    pub lockfiles: Vec<String>,
}

/// A plan and everything it was checked against.
pub struct Gathered {
    /// The plan file, as the user named it.
    pub file: PathBuf,
    /// Its content.
    pub bytes: Vec<u8>,
    /// The configuration.
    pub config: Config,
    /// Its content.
    pub config_bytes: Vec<u8>,
    /// The facts.
    pub facts: Facts,
    /// What the checks found.
    pub analysis: Analysis,
    /// The lockfiles.
    pub environment: Environment,
}

/// Reads and checks the plan in `file`.
pub fn gather(context: &Context, file: Option<&Path>) -> Result<Gathered, Failure> {
    let root = Repo::checkout_around(&context.dir).unwrap_or_else(|| context.dir.clone());
    // Without a name it is the one here or, in a subdirectory, the one in the root.
    let here = context.dir.join("tasks.yaml");
    let file = match file {
        Some(file) => file.to_owned(),
        None if here.exists() || !root.join("tasks.yaml").exists() => PathBuf::from("tasks.yaml"),
        None => root.join("tasks.yaml"),
    };
    let (config, config_bytes) = config(context, &root)?;
    let path = context.dir.join(&file);
    let size = std::fs::metadata(&path).map_or(0, |m| m.len());
    if size > plan::yaml::MAX_INPUT as u64 {
        let mib = size / (1024 * 1024);
        let message = format!("{} is {mib} MiB; a plan may have 64 MiB", file.display());
        return Err(Failure::new(Exit::Invalid, message).hint("split it into several plans"));
    }
    let bytes = std::fs::read(&path).map_err(|e| {
        let failure = Failure::new(Exit::Invalid, format!("cannot read {}: {e}", file.display()));
        if e.kind() == std::io::ErrorKind::NotFound {
            failure
                .hint("name the plan: `slimductor plan FILE`; `slimductor init` writes a first one")
        } else {
            failure
        }
    })?;
    let (facts, analysis) = match plan::parse(&bytes) {
        Ok(document) => {
            let facts = facts(&document, &root);
            let analysis = plan::check::check(&document, &facts, &config);
            (facts, analysis)
        }
        Err(problem) => (Facts::default(), Analysis::unreadable(*problem)),
    };
    let environment = environment(&root, &config);
    Ok(Gathered { file, bytes, config, config_bytes, facts, analysis, environment })
}

/// The configuration of the repository at `root`, with environment variables laid over it.
pub fn config(context: &Context, root: &Path) -> Result<(Config, Vec<u8>), Failure> {
    let names = ["slimductor.yaml", ".slimductor.yaml", ".claude-agents.yaml"];
    let path = match &context.global.config {
        Some(given) => Some(context.dir.join(given)),
        None => names.iter().map(|n| root.join(n)).find(|p| p.exists()),
    };
    let invalid = |message: String| Failure::new(Exit::Invalid, message);
    let Some(path) = path else {
        let mut config = Config::default();
        config.overlay(&context.env).map_err(invalid)?;
        return Ok((config, Vec::new()));
    };
    let bytes = std::fs::read(&path)
        .map_err(|e| invalid(format!("cannot read {}: {e}", path.display())))?;
    let mut config = plan::parse_config(&bytes).map_err(|p| problem_failure(&p, &path, &bytes))?;
    config.risk_rules().map_err(|p| problem_failure(&p, &path, &bytes))?;
    config.overlay(&context.env).map_err(invalid)?;
    Ok((config, bytes))
}

fn problem_failure(problem: &Problem, path: &Path, bytes: &[u8]) -> Failure {
    let text = String::from_utf8_lossy(bytes);
    let shown = problem.render(&path.to_string_lossy(), &text, false);
    Failure::new(Exit::Invalid, format!("the configuration is invalid\n{shown}"))
}

fn environment(root: &Path, config: &Config) -> Environment {
    let mut lockfiles: Vec<String> = config.boundaries.lockfiles.clone();
    lockfiles.retain(|name| root.join(name).is_file());
    lockfiles.sort();
    if lockfiles.is_empty() {
        return Environment { hash: "no-lock".to_owned(), lockfiles };
    }
    let mut bytes = Vec::new();
    for name in &lockfiles {
        bytes.extend_from_slice(name.as_bytes());
        bytes.push(0);
        bytes.extend(std::fs::read(root.join(name)).unwrap_or_default());
        bytes.push(0);
    }
    Environment { hash: sha256(&bytes), lockfiles }
}

fn facts(document: &Document, root: &Path) -> Facts {
    let mut facts = Facts::default();
    let specs = document.tasks.iter();
    let mut paths: Vec<&str> = specs
        .flat_map(|t| t.files_write.iter().chain(&t.files_read).chain(&t.files_append))
        .map(|p| p.as_str())
        .collect();
    paths.sort_unstable();
    paths.dedup();
    let inside = root.canonicalize().unwrap_or_else(|_| root.to_owned());
    let mut known: HashSet<String> = HashSet::new();
    for path in paths {
        let glob = path.contains(['*', '?', '[', '{', '\\']);
        let literal = glob && !path.starts_with('/') && root.join(path).symlink_metadata().is_ok();
        if literal {
            facts.existing.insert(path.to_owned());
        }
        // Only what lies on the way to a named path can lead out of the repository.
        let Ok(pattern) = plan::Pattern::parse(path, literal) else { continue };
        for part in pattern.fixed_parents() {
            if known.contains(part) {
                continue;
            }
            let here = root.join(part);
            // What is not there cannot lead anywhere, nor can what would be below it.
            let Ok(meta) = here.symlink_metadata() else { break };
            if meta.is_symlink() && !here.canonicalize().is_ok_and(|to| to.starts_with(&inside)) {
                facts.outward_links.insert(part.to_owned());
            } else {
                known.insert(part.to_owned());
            }
        }
    }
    for contract in &document.contracts {
        let path = contract.file_path.as_str();
        let inside = plan::Pattern::parse(path, true).is_ok();
        let text = inside.then(|| std::fs::read_to_string(root.join(path)).ok()).flatten();
        facts.contracts.insert(path.to_owned(), text);
    }
    facts
}
