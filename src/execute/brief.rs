//! What a worker, check or gate is told: its environment and its commands, as job specs. Pure.

use std::collections::{BTreeMap, HashSet};
use std::path::PathBuf;

use super::fence::{Fence, Mode};
use super::job::{Spec, StepSpec};
use super::shared::{EffectError, Shared};
use super::state::RunState;
use crate::git::Worktree;
use crate::plan::schema::CheckKind;
use crate::plan::{Check, Pattern, Work};
use crate::types::{Attempt, Finding, JobId, Sha};
use crate::verify::command::{self, TestMap};

/// Between TERM and KILL.
pub const GRACE_MS: u64 = 5_000;

/// Variables that pass by name.
const PASS: [&str; 34] = [
    "PATH",
    "HOME",
    "USER",
    "LOGNAME",
    "SHELL",
    "LANG",
    "TERM",
    "TZ",
    "SSH_AUTH_SOCK",
    "RUSTUP_HOME",
    "CARGO_HOME",
    "JAVA_HOME",
    "GOPATH",
    "GOROOT",
    "NVM_DIR",
    "VIRTUAL_ENV",
    "PYENV_ROOT",
    "http_proxy",
    "https_proxy",
    "no_proxy",
    "all_proxy",
    "ftp_proxy",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "ALL_PROXY",
    "FTP_PROXY",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "NODE_EXTRA_CA_CERTS",
    "REQUESTS_CA_BUNDLE",
    "CURL_CA_BUNDLE",
    "GIT_SSL_CAINFO",
    "PIP_CERT",
];
/// Variables that pass by the beginning of their name.
const PASS_PREFIX: [&str; 5] = ["LC_", "XDG_", "SLIMDUCTOR_", "GIT_AUTHOR_", "GIT_COMMITTER_"];

/// The part of `all` that jobs may see: an allow-list, and what the user named.
pub fn allowed(all: &BTreeMap<String, String>, named: &[String]) -> BTreeMap<String, String> {
    let passes = |name: &str| {
        PASS.contains(&name)
            || PASS_PREFIX.iter().any(|p| name.starts_with(p))
            || named.iter().any(|n| n == name)
    };
    all.iter().filter(|(name, _)| passes(name)).map(|(n, v)| (n.clone(), v.clone())).collect()
}

/// Where things of one run lie, and what its jobs may see.
#[derive(Debug, Clone)]
pub struct Surroundings {
    /// The run's directory.
    pub run_dir: PathBuf,
    /// The allowed environment.
    pub env: BTreeMap<String, String>,
    /// How jobs are fenced, and which trees are shut to all of them.
    pub walls: Fence,
}

impl Surroundings {
    /// The fence around a job in `worktree`.
    fn fence(&self, worktree: &Worktree) -> Option<Fence> {
        if self.walls.mode == Mode::Off {
            return None;
        }
        let own = [worktree.path.clone(), worktree.gitdir.clone()];
        let writable = [&self.walls.writable[..], &own].concat();
        Some(Fence { writable, ..self.walls.clone() })
    }
}

/// The worker's job of one attempt. `prompt` is the file with what it is told.
pub fn worker(
    around: &Surroundings,
    state: &RunState,
    task: usize,
    attempt: Attempt,
    worktree: &Worktree,
) -> Spec {
    let spec = &state.plan.tasks[task];
    let job = JobId::worker(&spec.id, attempt);
    let dir = around.run_dir.join("jobs").join(job.as_str());
    let (command, argv) = match &spec.work {
        Work::Command(command) => (command.clone(), shell(command)),
        // The shell agent: the prompt is the script.
        Work::Agent(_) => {
            let script = around.run_dir.join("prompts").join(format!("{job}.md"));
            let argv = vec!["sh".to_owned(), script.to_string_lossy().into_owned()];
            (format!("sh prompts/{job}.md"), argv)
        }
    };
    let mut env = task_env(around, state, task);
    env.insert("SLIMDUCTOR_ATTEMPT".to_owned(), attempt.to_string());
    let findings = dir.with_file_name(format!("{job}.findings.md"));
    env.insert("SLIMDUCTOR_FINDINGS".to_owned(), findings.to_string_lossy().into_owned());
    let step = StepSpec::new(command, argv, spec.timeout_ms);
    let fence = around.fence(worktree);
    let cwd = worktree.path.clone();
    let (about, steps) = (String::new(), vec![step]);
    Spec { v: 1, job, about, cwd, env, steps, leaves: true, grace_ms: GRACE_MS, fence }
}

/// Commands that prove something, each with the task that it belongs to, whose variables it gets.
pub(super) struct Checks<'a> {
    /// The task that they are about, where it is one.
    pub about: Option<usize>,
    /// The commands.
    pub list: &'a [(Option<usize>, Check)],
    /// What the whole change touches.
    pub changed: &'a Touched,
    /// What one task's own change touches, where that is less.
    pub by_task: &'a BTreeMap<usize, Touched>,
}

/// The paths that a change touches.
#[derive(Debug, Clone, Default)]
pub(super) struct Touched {
    /// All of them, also those that are gone: what a check with `paths` asks.
    pub all: Vec<String>,
    /// Those that are there: what the placeholders stand for.
    pub there: Vec<String>,
}

/// A job of checks on the tree of `commit`, which stands in `worktree`.
pub(super) fn checks(
    shared: &Shared,
    state: &RunState,
    job: JobId,
    checks: &Checks<'_>,
    commit: &Sha,
    worktree: &Worktree,
) -> Result<Spec, EffectError> {
    let settings = &shared.config.verification;
    let wants_tests = checks.list.iter().any(|(_, c)| c.command.contains("{modified_tests}"));
    let paths: HashSet<String> = match wants_tests {
        true => shared.repo.paths_at(commit)?.into_iter().collect(),
        false => HashSet::new(),
    };
    let exists = |path: &str| paths.contains(path);
    let map = TestMap {
        patterns: Some(&settings.test_file_patterns),
        fallback: settings.fallback_on_no_match.as_deref(),
        paths: Some(&exists),
    };
    let mut steps: Vec<StepSpec> = Vec::new();
    for (task, check) in checks.list {
        let of_task = task.and_then(|t| checks.by_task.get(&t));
        let changed = of_task.unwrap_or(checks.changed);
        if !check.paths.is_empty() && !touches(&check.paths, &changed.all) {
            continue;
        }
        let mut own = task.map(|t| state.plan.tasks[t].env.clone()).unwrap_or_default();
        if let Some(task) = task.as_ref().filter(|_| check.command.contains("SLIMDUCTOR_TASK")) {
            // Otherwise the same command of several tasks is one command, and runs once.
            own.insert("SLIMDUCTOR_TASK".to_owned(), state.plan.tasks[*task].id.to_string());
        }
        let argv = shell(&command::expand(&check.command, &changed.there, &map));
        let same =
            |s: &&mut StepSpec| s.argv == argv && s.required == check.required && s.env == own;
        if let Some(step) = steps.iter_mut().find(same) {
            step.timeout_ms = step.timeout_ms.max(check.timeout_ms);
            continue;
        }
        let mut step = StepSpec::new(check.command.clone(), argv, check.timeout_ms);
        step.required = check.required;
        step.test = matches!(check.kind, CheckKind::Test | CheckKind::Custom);
        step.env = own;
        steps.push(step);
    }
    let mut spec = plain(&shared.around, state, job, steps, worktree);
    if let Some(task) = checks.about {
        spec.env.insert("SLIMDUCTOR_TASK".to_owned(), state.plan.tasks[task].id.to_string());
    }
    Ok(spec)
}

/// A job of these commands in a worktree.
pub(super) fn plain(
    around: &Surroundings,
    state: &RunState,
    job: JobId,
    steps: Vec<StepSpec>,
    worktree: &Worktree,
) -> Spec {
    let mut env = around.env.clone();
    env.insert("SLIMDUCTOR_RUN".to_owned(), state.header.run_id.to_string());
    let (cwd, fence) = (worktree.path.clone(), around.fence(worktree));
    let about = String::new();
    Spec { v: 1, job, about, cwd, env, steps, leaves: false, grace_ms: GRACE_MS, fence }
}

fn touches(patterns: &[Pattern], changed: &[String]) -> bool {
    patterns.iter().any(|p| changed.iter().any(|path| p.matches(path)))
}

fn task_env(around: &Surroundings, state: &RunState, task: usize) -> BTreeMap<String, String> {
    let spec = &state.plan.tasks[task];
    let mut env = around.env.clone();
    env.extend(spec.env.clone());
    env.insert("SLIMDUCTOR_RUN".to_owned(), state.header.run_id.to_string());
    env.insert("SLIMDUCTOR_TASK".to_owned(), spec.id.to_string());
    env
}

pub(super) fn shell(command: &str) -> Vec<String> {
    vec!["sh".to_owned(), "-c".to_owned(), command.to_owned()]
}

/// What the worker is told: the prompt, or the description where there is none.
pub fn prompt(state: &RunState, task: usize) -> String {
    let spec = &state.plan.tasks[task];
    spec.prompt.clone().unwrap_or_else(|| spec.description.clone())
}

/// What went wrong with the attempt before, for the next one. Output of others is quoted, never executed.
pub fn findings(findings: &[Finding]) -> String {
    let mut out = String::new();
    for finding in findings {
        out.push_str(&format!("- {}: {}\n  {}\n", finding.category, finding.message, finding.help));
        for line in finding.output.iter().flat_map(|o| o.lines()) {
            out.push_str(&format!("  > {line}\n"));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_listed_variables_reach_a_job() {
        let all: BTreeMap<String, String> =
            ["PATH", "LC_ALL", "AWS_SECRET_ACCESS_KEY", "TMUX", "MINE", "GIT_DIR"]
                .iter()
                .map(|n| ((*n).to_owned(), "x".to_owned()))
                .collect();
        let names: Vec<String> = allowed(&all, &["MINE".to_owned()]).into_keys().collect();
        assert_eq!(names, ["LC_ALL", "MINE", "PATH"]);
    }
}
