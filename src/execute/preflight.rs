//! What must be there before a run is made: type checkers for its contracts, and commands of the configuration. Makes
//! nothing.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};

use super::suites::{checker_of, is_installed};
use crate::git::{GitError, Repo};
use crate::plan::Plan;
use crate::plan::config::Config;
use crate::types::Sha;

/// What is missing, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missing {
    /// What, in one line.
    pub what: String,
    /// How it is put right.
    pub help: String,
}

/// Whether every contract that a task names can be checked in its language.
pub fn type_checkers(
    plan: &Plan,
    config: &Config,
    repo: &Repo,
    base: &Sha,
    env: &BTreeMap<String, String>,
) -> Result<Option<Missing>, GitError> {
    let tsconfig = repo.file_at(base, "tsconfig.json")?;
    let tsconfig = tsconfig.map(|t| String::from_utf8_lossy(&t).into_owned());
    for contract in &plan.contracts {
        let Some(task) = plan.tasks.iter().find(|t| t.contracts.contains(&contract.name)) else {
            continue;
        };
        let typecheck = config.contracts.typecheck.as_ref();
        let Some((checker, own)) = checker_of(contract, typecheck, tsconfig.as_deref()) else {
            continue;
        };
        let there = |program: &str| is_installed(env, repo.root(), program);
        if own.is_some() || checker.candidates.iter().any(|c| there(c.probe)) {
            continue;
        }
        let programs: Vec<&str> = checker.candidates.iter().map(|c| c.probe).collect();
        return Ok(Some(Missing {
            what: format!(
                "{} names the contract {} ({}), and {} is not installed to check its signature",
                task.id,
                contract.name,
                contract.file_path,
                programs.join(" or ")
            ),
            help: format!(
                "install it, name another command under `contracts.typecheck.{}`, or say `contracts: {{typecheck: off}}` in slimductor.yaml",
                checker.language
            ),
        }));
    }
    Ok(None)
}

/// Runs the commands of `preflight` in the checkout; the first that fails.
pub fn commands(config: &Config, root: &Path) -> Option<Missing> {
    for (ecosystem, line) in &config.preflight {
        #[expect(
            clippy::disallowed_methods,
            reason = "the user's own commands, before there is a run"
        )]
        let mut command = Command::new("sh");
        command.arg("-c").arg(line).current_dir(root).stdin(Stdio::null());
        let failed = match command.output() {
            Ok(output) if output.status.success() => continue,
            Ok(output) => {
                let text = [output.stdout, output.stderr].concat();
                let text = super::job_end::plain(&String::from_utf8_lossy(&text));
                let last = text.lines().rev().find(|l| !l.trim().is_empty()).unwrap_or("");
                format!("{}: {}", output.status, last.chars().take(200).collect::<String>())
            }
            Err(error) => error.to_string(),
        };
        return Some(Missing {
            what: format!("the preflight command for {ecosystem} failed: `{line}`: {failed}"),
            help: "nothing was made; put it right, or take it out of `preflight`".to_owned(),
        });
    }
    None
}
