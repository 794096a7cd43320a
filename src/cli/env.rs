//! `slimductor env`: the environment hash of the lockfiles. Changes nothing.

use clap::{Args, Subcommand};
use schemars::JsonSchema;
use serde::Serialize;

use super::Context;
use super::exit::{Exit, Failure};
use super::facts::environment;
use super::gather::config;
use crate::git::Repo;
use crate::plan::environment::Environment;

/// The environment hash of the lockfiles.
#[derive(Debug, Args)]
pub struct EnvArgs {
    #[command(subcommand)]
    verb: EnvVerb,
}

#[derive(Debug, Subcommand)]
enum EnvVerb {
    /// Print the hash over all lockfiles of the repository; `no-lock` when there is none.
    Hash,
    /// Exit with 0 when the hash is HASH, else with 4.
    Verify {
        /// A hash that `env hash` printed, or its first 8 characters or more.
        hash: String,
    },
}

/// `env --json`.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(title = "slimductor env")]
pub struct EnvReport {
    #[serde(flatten)]
    environment: Environment,
    /// What `verify` was given.
    #[serde(skip_serializing_if = "Option::is_none")]
    expected: Option<String>,
    /// Whether it is the same.
    #[serde(skip_serializing_if = "Option::is_none")]
    matches: Option<bool>,
}

/// The command.
pub fn env(context: &mut Context, args: &EnvArgs) -> Result<Exit, Failure> {
    let checkout = Repo::checkout_around(&context.dir);
    let repo = checkout.as_ref().and_then(|_| Repo::discover(&context.dir).ok());
    let root = checkout.unwrap_or_else(|| context.dir.clone());
    let (config, _) = config(context, &root)?;
    let environment = environment(&root, repo.as_ref(), &config)?;
    let hash = environment.hash.clone();
    let files = match environment.lockfiles.as_slice() {
        [] => "no lockfiles".to_owned(),
        files => files.join(", "),
    };
    let expected = match &args.verb {
        EnvVerb::Hash => None,
        EnvVerb::Verify { hash } => Some(hash.trim().to_ascii_lowercase()),
    };
    let matches = expected.as_ref().map(|e| *e == hash || (e.len() >= 8 && hash.starts_with(e)));
    if context.output.manner.json {
        context.output.json(&EnvReport { environment, expected, matches }, false);
    } else {
        match matches {
            None => context.output.result(&hash),
            Some(true) => context.output.result(&format!("the same: {hash}")),
            Some(false) => context.output.result(&format!("another environment: {hash}")),
        }
        context.output.note(&files);
    }
    Ok(if matches == Some(false) { Exit::Unlanded } else { Exit::Done })
}
