//! What a project has of its own, found in a tree: test, security, type and lint suites, and the checks of its
//! contracts' signatures. Makes steps of jobs; runs nothing.

use std::collections::BTreeMap;
use std::path::Path;

use super::brief::shell;
use super::job::{Conformance, StepSpec};
use super::shared::{EffectError, Shared};
use super::state::RunState;
use crate::git::{GitError, Repo};
use crate::plan::Pattern;
use crate::plan::PinnedContract;
use crate::plan::config::Typecheck;
use crate::types::Sha;
use crate::verify::conform_python::conformance_python;
use crate::verify::conform_typescript::conformance_typescript;
use crate::verify::contracts::{self, Checker};
use crate::verify::ecosystem::{self, BIN_DIRS, Kind, Tree};
use crate::verify::testmap::is_test;

/// How long a detected suite may take, ms.
const LIMIT_MS: u64 = 30 * 60_000;
/// The most files of implementers that are compared with a contract.
const MOST_FILES: usize = 50;
/// What generated files are called in a worktree; kept out of every commit.
pub const GENERATED: &str = "slimductor_conformance";

/// Looks at a commit's tree with what detects something in it.
pub(super) fn with_tree<T>(
    repo: &Repo,
    commit: &Sha,
    look: impl FnOnce(&Tree<'_>) -> T,
) -> Result<T, GitError> {
    let paths = repo.paths_at(commit)?;
    let text = |path: &str| {
        let bytes = repo.file_at(commit, path).ok().flatten()?;
        Some(String::from_utf8_lossy(&bytes).into_owned())
    };
    Ok(look(&Tree { files: &text, paths: &paths }))
}

/// Whether a program is there: on PATH, or where a project keeps its own.
pub fn is_installed(env: &BTreeMap<String, String>, root: &Path, program: &str) -> bool {
    let path = env.get("PATH").cloned().unwrap_or_default();
    let dirs = path.split(':').filter(|d| !d.is_empty()).map(std::path::PathBuf::from);
    let own = BIN_DIRS.iter().map(|d| root.join(d));
    dirs.chain(own).any(|dir| {
        let meta = dir.join(program).metadata();
        meta.is_ok_and(|m| {
            m.is_file() && std::os::unix::fs::PermissionsExt::mode(&m.permissions()) & 0o111 != 0
        })
    })
}

/// The suites that the tree has of its own: only its tests, or with `all` everything.
pub(super) fn detected(
    shared: &Shared,
    commit: &Sha,
    all: bool,
) -> Result<Vec<StepSpec>, EffectError> {
    let suites = with_tree(&shared.repo, commit, ecosystem::suites)?;
    let wanted = suites.into_iter().filter(|s| all || s.kind == Kind::Test);
    let steps = wanted.map(|mut suite| {
        if suite.ecosystem == "python" && suite.kind == Kind::Test {
            // As `python3 -m pytest` does it: the project's own packages are found.
            suite.command =
                format!("PYTHONPATH=\"$PWD${{PYTHONPATH:+:$PYTHONPATH}}\" {}", suite.command);
        }
        let argv = shell(&suite.command);
        let mut step = StepSpec::new(suite.command.clone(), argv, LIMIT_MS);
        step.test = suite.kind == Kind::Test;
        step.required = suite.required && suite.kind == Kind::Test;
        step.scanner = (suite.kind == Kind::Security).then(|| suite.command.clone());
        step.detected = true;
        // Asked when the worktree is prepared: its setup may bring the tool.
        step.tool = Some(suite.tool);
        step
    });
    Ok(steps.collect())
}

/// The type checker of a contract, unless it is turned off.
pub fn checker_of(
    contract: &PinnedContract,
    typecheck: Option<&Typecheck>,
    tsconfig: Option<&str>,
) -> Option<(Checker, Option<String>)> {
    let checker = contracts::typechecker(&contract.file_path, tsconfig)?;
    match typecheck {
        Some(Typecheck::Word(_)) => None,
        Some(Typecheck::Commands(own)) => {
            let own = own.get(checker.language).cloned();
            Some((checker, own))
        }
        None => Some((checker, None)),
    }
}

/// The checks of the signatures of the contracts that `tasks` name, in the worktree at `root` that holds `commit`.
pub(super) fn signatures(
    shared: &Shared,
    state: &RunState,
    tasks: &[usize],
    commit: &Sha,
    changed: &[String],
    root: &Path,
) -> Result<Vec<StepSpec>, EffectError> {
    let named = |c: &&PinnedContract| {
        tasks.iter().any(|t| state.plan.tasks[*t].contracts.contains(&c.name))
    };
    let wanted: Vec<&PinnedContract> = state.plan.contracts.iter().filter(named).collect();
    if wanted.is_empty() {
        return Ok(Vec::new());
    }
    let repo = &shared.repo;
    let paths = repo.paths_at(commit)?;
    let text = |path: &str| -> Option<String> {
        let bytes = repo.file_at(commit, path).ok().flatten()?;
        Some(String::from_utf8_lossy(&bytes).into_owned())
    };
    let tsconfig = text("tsconfig.json");
    let mut steps: Vec<StepSpec> = Vec::new();
    for contract in wanted {
        let typecheck = shared.config.contracts.typecheck.as_ref();
        let checker = checker_of(contract, typecheck, tsconfig.as_deref());
        let Some((checker, own)) = checker else { continue };
        let extension = |path: &str| path.rsplit_once('.').map(|(_, e)| e.to_owned());
        let same = |path: &String| {
            contracts::typechecker(path, None).is_some_and(|c| c.language == checker.language)
                && extension(path).is_some()
        };
        let owners = state.plan.tasks.iter().filter(|t| t.contracts.contains(&contract.name));
        let patterns: Vec<&Pattern> = owners.flat_map(|t| &t.files_write).collect();
        let ours = |p: &&String| patterns.iter().any(|q| q.matches(p)) && **p != contract.file_path;
        let implementers: Vec<String> =
            paths.iter().filter(|p| same(p)).filter(ours).take(MOST_FILES).cloned().collect();
        let found = checker.candidates.iter();
        let there = |program: &str| {
            let env = &shared.around.env;
            is_installed(env, root, program) || is_installed(env, shared.repo.root(), program)
        };
        let found = found.clone().find(|c| there(c.probe));
        // What the change touches, with the contract: what was there before is not this task's to answer for.
        let ours = |p: &&String| same(p) && paths.contains(p) && !is_test(p);
        let mut files: Vec<String> = changed.iter().filter(ours).cloned().collect();
        files.insert(0, contract.file_path.clone());
        files.dedup();
        let template = own.as_deref().or(found.map(|c| c.command));
        let Some(template) = template else {
            let mut step = StepSpec::new(format!("signature of {}", contract.name), Vec::new(), 0);
            let names: Vec<&str> = checker.candidates.iter().map(|c| c.probe).collect();
            step.skipped = Some(format!("{} is not installed", names.join(" or ")));
            step.on_contract = true;
            steps.push(step);
            continue;
        };
        let python = checker.language == "python";
        let root = if python { python_root(&contract.file_path, &implementers, &text) } else { "" };
        // A layout in which `src` is no package but stands on the path.
        let prefix = if root.is_empty() { "" } else { "MYPYPATH=\"src${MYPYPATH:+:$MYPYPATH}\" " };
        let line = format!("{prefix}{}", contracts::command(template, &files));
        if !steps.iter().any(|s| s.command == line) {
            let argv = shell(&line);
            let mut step = StepSpec::new(line, argv, LIMIT_MS);
            step.on_contract = true;
            if !template.contains("{files}") {
                // It looks at the whole project: what was wrong elsewhere before is not this contract's business.
                step.about = [&files[..], &implementers].concat();
            }
            steps.push(step);
        }
        let Some(found) = found else { continue };
        let texts = |module: &dyn Fn(&str) -> Option<String>| -> Vec<(String, String)> {
            let pair = |p: &String| Some((module(p)?, text(p)?));
            implementers.iter().filter_map(pair).collect()
        };
        let Some(said) = text(&contract.file_path) else { continue };
        let id = format!("{GENERATED}_{}", slug(&contract.name));
        let generated = match checker.language {
            "python" => {
                let module = |p: &str| contracts::python_module(p, root);
                let of = module(&contract.file_path);
                of.and_then(|of| conformance_python(&of, &said, &texts(&module))).map(|body| {
                    let file = format!("{id}.py");
                    let line = contracts::conformance_command_python(found.probe, &file);
                    let line = format!("{prefix}{line}");
                    (line, file, body, Vec::new())
                })
            }
            "typescript" => {
                let module = |p: &str| contracts::typescript_module(p, ".");
                let of = module(&contract.file_path);
                of.and_then(|of| conformance_typescript(&of, &said, &texts(&module))).map(|body| {
                    let (file, config) = (format!("{id}.mts"), format!("{id}.json"));
                    let base = tsconfig.as_ref().map(|_| "./tsconfig.json");
                    let options = contracts::conformance_tsconfig(base, &format!("./{file}"));
                    let line = contracts::conformance_command_typescript(&config);
                    (line, file, body, vec![(config, options)])
                })
            }
            _ => None,
        };
        if let Some((line, file, body, beside)) = generated {
            let argv = shell(&line);
            let name = format!("signature of {} ({})", contract.name, contract.file_path);
            let mut step = StepSpec::new(name, argv, LIMIT_MS);
            step.on_contract = true;
            let files = [vec![(file.clone(), body.clone())], beside].concat();
            step.conformance = Some(Conformance { file, text: body, files });
            steps.push(step);
        }
    }
    Ok(steps)
}

/// The directory that stands on Python's path: `src`, when the files lie there and nobody imports it as a package.
fn python_root(
    contract: &str,
    implementers: &[String],
    text: &dyn Fn(&str) -> Option<String>,
) -> &'static str {
    let files = || implementers.iter().map(String::as_str).chain([contract]);
    let named =
        |p: &str| text(p).is_some_and(|t| t.contains("from src.") || t.contains("import src."));
    let inside = files().any(|p| p.starts_with("src/")) && text("src/__init__.py").is_none();
    if inside && !files().any(named) { "src" } else { "" }
}

fn slug(name: &str) -> String {
    name.chars()
        .map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '_' })
        .collect()
}
