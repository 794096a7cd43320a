//! Reads a plan with everything that it is checked against: the plan file, the configuration, the facts of the tree.
//! Changes nothing.

use std::path::{Path, PathBuf};

use super::Context;
use super::exit::{Exit, Failure};
use super::facts::{Surroundings, environment};
use super::pins::read_lock;
use crate::git::Repo;
use crate::plan::config::{Config, Invalid};
use crate::plan::contract::Lock;
use crate::plan::environment::Environment;
use crate::plan::render::human::{self, Source};
use crate::plan::schema::Document;
use crate::plan::{self, Analysis, Checked, Facts};
use crate::store::read_regular;

/// A plan and everything it was checked against.
pub struct Gathered {
    /// The plan file, as the user named it.
    pub file: PathBuf,
    /// The same, as it can be opened.
    pub path: PathBuf,
    /// The repository's root or, without one, the directory that the command works in.
    pub root: PathBuf,
    /// Its content.
    pub bytes: Vec<u8>,
    /// The configuration.
    pub config: Config,
    /// Its content.
    pub config_bytes: Vec<u8>,
    /// The facts.
    pub facts: Facts,
    /// What the plan says, as far as it can be read.
    pub document: Option<Document>,
    /// What the checks found.
    pub analysis: Analysis,
    /// The lockfiles.
    pub environment: Environment,
    /// What `plan` pinned before.
    pub lock: Lock,
}

/// What the plan is read for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// To look at it.
    Check,
    /// To look at it and to pin what its contracts say now: older pins do not count.
    Pin,
    /// To start a run from it.
    Run,
}

/// Reads and checks the plan in `file`.
pub fn gather(
    context: &Context,
    file: Option<&Path>,
    purpose: Purpose,
) -> Result<Gathered, Failure> {
    let checkout = Repo::checkout_around(&context.dir);
    let repo = checkout.as_ref().and_then(|_| Repo::discover(&context.dir).ok());
    let root = checkout.unwrap_or_else(|| context.dir.clone());
    let file = plan_file(context, &root, file);
    let (config, config_bytes) = config(context, &root)?;
    let path = context.dir.join(&file);
    let bytes = read_plan(&path, &file)?;
    let lock = read_lock(&root)?;
    let surroundings = Surroundings {
        root: &root,
        repo: repo.as_ref(),
        pins: if purpose == Purpose::Pin { Default::default() } else { lock.contracts.clone() },
        for_run: purpose == Purpose::Run,
    };
    let checked = plan::analyse(&bytes, &config, |document| surroundings.facts(document));
    let Checked { analysis, facts, document } = checked;
    let environment = environment(&root, repo.as_ref(), &config)?;
    Ok(Gathered {
        file,
        path,
        root,
        bytes,
        config,
        config_bytes,
        facts,
        document,
        analysis,
        environment,
        lock,
    })
}

/// Without a name it is the one here or, in a subdirectory, the one in the root.
pub fn plan_file(context: &Context, root: &Path, given: Option<&Path>) -> PathBuf {
    let here = context.dir.join("tasks.yaml");
    match given {
        Some(file) => file.to_owned(),
        None if here.exists() || !root.join("tasks.yaml").exists() => PathBuf::from("tasks.yaml"),
        None => root.join("tasks.yaml"),
    }
}

fn read_plan(path: &Path, file: &Path) -> Result<Vec<u8>, Failure> {
    use std::io::Read;
    let failed = |e: std::io::Error| {
        let failure = Failure::new(Exit::Invalid, format!("cannot read {}: {e}", file.display()));
        if e.kind() == std::io::ErrorKind::NotFound {
            failure
                .hint("name the plan: `slimductor plan FILE`; `slimductor init` writes a first one")
        } else {
            failure
        }
    };
    let opened = std::fs::File::open(path).map_err(failed)?;
    // Room for all of it at once, as far as the file's length can be believed.
    let length = opened.metadata().map_or(0, |m| m.len()).min(plan::yaml::MAX_INPUT as u64);
    let mut bytes = Vec::with_capacity(length as usize + 1);
    // One byte more than is allowed, whatever the file claims to be: a device has no length. Reading it says the rest.
    opened.take(plan::yaml::MAX_INPUT as u64 + 1).read_to_end(&mut bytes).map_err(failed)?;
    Ok(bytes)
}

/// The configuration of the repository at `root`, with environment variables laid over it, and the file's content.
pub fn config(context: &Context, root: &Path) -> Result<(Config, Vec<u8>), Failure> {
    let path = config_file(context, root);
    let bytes = match &path {
        Some(path) => read_regular(path, plan::yaml::MAX_INPUT as u64).map_err(|e| {
            Failure::new(Exit::Invalid, format!("cannot read {}: {e}", path.display()))
        })?,
        None => Vec::new(),
    };
    let config = Config::read(&bytes, &context.env).map_err(|invalid| match invalid {
        Invalid::File(problems) => {
            let text = String::from_utf8_lossy(&bytes);
            let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
            let file = path.as_deref().unwrap_or(Path::new("slimductor.yaml"));
            let file = file.strip_prefix(root).unwrap_or(file).to_string_lossy();
            let source = Source { file: &file, text };
            let colour = context.output.manner.colour;
            let mut shown: Vec<String> =
                problems.iter().take(20).map(|p| human::problem(p, source, colour)).collect();
            if problems.len() > 20 {
                shown.push(format!("… and {} more", problems.len() - 20));
            }
            let message = format!("the configuration is invalid\n{}", shown.join("\n\n"));
            Failure::new(Exit::Invalid, message).hint("`slimductor schema config` prints every key")
        }
        Invalid::Variable { name, message, help } => {
            let failure = Failure::new(Exit::Invalid, format!("the variable {name}: {message}"));
            match help {
                Some(help) => failure.hint(help),
                None => failure,
            }
        }
    })?;
    Ok((config, bytes))
}

/// The configuration's file, where there is one.
pub fn config_file(context: &Context, root: &Path) -> Option<PathBuf> {
    let names = ["slimductor.yaml", ".slimductor.yaml", ".claude-agents.yaml"];
    match &context.global.config {
        Some(given) => Some(context.dir.join(given)),
        None => names.iter().map(|n| root.join(n)).find(|p| p.exists()),
    }
}
