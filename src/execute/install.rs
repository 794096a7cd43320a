//! Installing what tasks ask for: which commands, and the commit of what they changed. Decides nothing.

use super::brief::{self, shell};
use super::command::Product;
use super::job::{Spec, StepSpec};
use super::lost;
use super::shared::{EffectError, Shared};
use super::state::{RunState, Step, TaskRun};
use super::suites;
use crate::coordinate::mailbox::{self, Kind};
use crate::git::Swap;
use crate::integrate::message;
use crate::plan::environment::Environment;
use crate::store::{self, Mode};
use crate::types::{Gate, JobId, Millis, Sha};
use crate::verify::command::quoted;
use crate::verify::deps::{self, Manager, Requirement};

/// How long an installation may take, ms.
const LIMIT_MS: u64 = 30 * 60_000;

/// The job that installs the packages of the state's installation.
pub(super) fn job(shared: &Shared, state: &RunState) -> Result<Spec, EffectError> {
    let install = state.install.as_ref().ok_or(EffectError::State("no installation"))?;
    let worktree = shared.places.gate(Gate::Final);
    let lines = commands(shared, &install.base, &install.packages)?;
    let steps = lines.into_iter().map(|line| {
        let argv = shell(&line);
        StepSpec::new(line, argv, LIMIT_MS)
    });
    let id = JobId::install(install.number);
    let plain = brief::plain(&shared.around, state, id, steps.collect(), &worktree);
    Ok(Spec { leaves: true, ..plain })
}

/// A manager and what it is to install.
type Share = (Manager, Vec<Requirement>);

/// The managers of the tree, each with what it is to install; what none of them takes comes last.
fn shares(
    shared: &Shared,
    base: &Sha,
    packages: &[String],
) -> Result<(Vec<Share>, Vec<Requirement>), EffectError> {
    let managers = suites::with_tree(&shared.repo, base, deps::detect)?;
    let mut left: Vec<Requirement> =
        packages.iter().filter_map(|p| deps::parse_requirement(p)).collect();
    let mut shares = Vec::new();
    for manager in managers {
        let (_, unfit) = deps::install(&manager, &left, false);
        let unfit: Vec<Requirement> = unfit.into_iter().cloned().collect();
        let taken: Vec<Requirement> =
            left.into_iter().filter(|r| !unfit.iter().any(|u| u.spec() == r.spec())).collect();
        if !taken.is_empty() {
            shares.push((manager, taken));
        }
        left = unfit;
    }
    Ok((shares, left))
}

fn commands(shared: &Shared, base: &Sha, packages: &[String]) -> Result<Vec<String>, EffectError> {
    let configured = &shared.config.dependencies.install;
    let quote = |r: &Requirement| quoted(&r.spec());
    let filled = |template: &String, list: &[Requirement]| {
        let words = list.iter().map(quote).collect::<Vec<_>>().join(" ");
        match template.contains("{packages}") {
            true => template.split("{packages}").collect::<Vec<_>>().join(&words),
            false => format!("{template} {words}"),
        }
    };
    let (shares, left) = shares(shared, base, packages)?;
    let mut lines = Vec::new();
    for (manager, list) in &shares {
        match configured.get(manager.ecosystem) {
            Some(template) => lines.push(filled(template, list)),
            None => lines.extend(deps::install(manager, list, false).0),
        }
    }
    if !left.is_empty() {
        match (shares.is_empty(), configured.len(), configured.values().next()) {
            // A project without a sign of its ecosystem, and one command that somebody wrote for it.
            (true, 1, Some(template)) => lines.push(filled(template, &left)),
            _ => {
                let names = left.iter().map(quote).collect::<Vec<_>>().join(" ");
                lines.push(format!(
                    "echo no package manager is known for {names}, see dependencies.install >&2; exit 1"
                ));
            }
        }
    }
    Ok(lines)
}

/// Commits what the commands changed on top of staging, and moves staging there.
pub(super) fn commit(shared: &Shared, state: &RunState) -> Result<Product, EffectError> {
    let repo = &shared.repo;
    let install = state.install.as_ref().ok_or(EffectError::State("no installation"))?;
    let worktree = shared.places.gate(Gate::Final);
    let (shares, _) = shares(shared, &install.base, &install.packages)?;
    for (manager, list) in shares.iter().filter(|(m, _)| !m.record.is_empty()) {
        if !shared.config.dependencies.install.contains_key(manager.ecosystem) {
            record(&worktree.path.join(manager.record), list)?;
        }
    }
    let tree = repo.snapshot(&worktree, &[])?;
    let commit = if tree == repo.tree_of(&install.base)? {
        // Installed beside the tree: nothing in it says so.
        install.base.clone()
    } else {
        let text = message::install(&state.header.run_id, &install.packages);
        repo.commit_tree(&tree, &install.base, &text, install.ended_at)?
    };
    match lost::move_staging(repo, state, Some(&install.base), &commit, "slimductor: install")? {
        Swap::Done => {}
        Swap::Elsewhere(_) => {
            return Err(EffectError::State("staging was moved by somebody else"));
        }
    }
    // The worktree stays until it is made anew: doing this twice must find the same.
    let environment = environment(shared, &commit)?;
    tell(shared, state, &install.packages, &environment, install.ended_at)?;
    Ok(Product::Installed { commit, environment })
}

/// Leaves mail for everybody who is at work or will be; once, also when this is done twice.
fn tell(
    shared: &Shared,
    state: &RunState,
    packages: &[String],
    environment: &str,
    at: Millis,
) -> Result<(), EffectError> {
    let at = jiff::Timestamp::from_millisecond(at).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    let (root, at) = (shared.repo.root(), at.to_string());
    let body = format!(
        "installed: {}; the environment is {environment} from now on; what you began with is what you are judged by",
        packages.join(", ")
    );
    let open = |t: &&TaskRun| !matches!(t.step, Step::Merged | Step::Skipped | Step::Failed);
    for (task, _) in state.plan.tasks.iter().zip(&state.tasks).filter(|(_, t)| open(t)) {
        if !mailbox::was_sent(root, &task.id, &at) {
            mailbox::send(root, "engine", &task.id, Kind::DependencyInstalled, &body, &at)?;
        }
    }
    Ok(())
}

/// Writes down requirements that the manager itself does not, each once.
fn record(path: &std::path::Path, list: &[Requirement]) -> Result<(), EffectError> {
    let mut text = match path.symlink_metadata() {
        Ok(meta) if meta.is_file() => std::fs::read_to_string(path).unwrap_or_default(),
        _ => return Ok(()),
    };
    if !text.is_empty() && !text.ends_with('\n') {
        text.push('\n');
    }
    for requirement in list {
        let line = requirement.spec();
        if !text.lines().any(|l| l.trim() == line) {
            text.push_str(&line);
            text.push('\n');
        }
    }
    store::replace(path, text.as_bytes(), Mode::Shared)?;
    Ok(())
}

/// The environment hash of a commit's own lockfiles.
fn environment(shared: &Shared, commit: &Sha) -> Result<String, EffectError> {
    let names = &shared.config.boundaries.lockfiles;
    let is_lock = |path: &String| names.iter().any(|n| path.rsplit('/').next() == Some(n));
    let mut files = Vec::new();
    for path in shared.repo.paths_at(commit)?.into_iter().filter(is_lock) {
        if let Some(content) = shared.repo.file_at(commit, &path)? {
            files.push((path, content));
        }
    }
    Ok(Environment::of(files).hash)
}
