//! The run as others read it: `status --json`, and `.orchestration-state.json` in the ancestor's shape. Derived,
//! never read back.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;

use super::job;
use super::state::{RunState, Step, TaskRun};
use super::worktree::Places;
use crate::types::{Attempt, Category, JobId, Millis, RunId, Sha, TaskId};

/// `status --json`.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[schemars(title = "slimductor status")]
#[expect(missing_docs, reason = "the fields are those of cli.md")]
pub struct Status {
    pub run_id: RunId,
    pub request: String,
    /// planning, executing, integrating, reviewing, waiting, done, failed or aborted.
    pub phase: &'static str,
    pub iteration: u32,
    pub target: Branch,
    pub staging: Branch,
    pub summary: Summary,
    pub tasks: Vec<TaskStatus>,
    /// Why nothing goes on without a person.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub waiting: Option<String>,
    /// Branches that keep work that did not land.
    pub kept: Vec<String>,
}

/// A branch and where it stands.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[expect(missing_docs, reason = "the fields are those of cli.md")]
pub struct Branch {
    pub branch: String,
    pub head: Option<Sha>,
}

/// How many tasks are in each state.
#[derive(Debug, Clone, Default, Serialize, JsonSchema)]
#[expect(missing_docs, reason = "the fields are the states")]
pub struct Summary {
    pub pending: usize,
    pub executing: usize,
    pub blocked: usize,
    pub completed: usize,
    pub verified: usize,
    pub merged: usize,
    pub failed: usize,
    pub skipped: usize,
}

/// One task.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[expect(missing_docs, reason = "the fields are those of cli.md")]
pub struct TaskStatus {
    pub id: TaskId,
    /// pending, executing, blocked, completed, verified, merged, failed or skipped.
    pub state: &'static str,
    /// Why it is in that state.
    pub reason: String,
    /// How that is known: journal, exit file, lock or nothing.
    pub source: &'static str,
    pub attempt: Attempt,
    pub depends_on: Vec<TaskId>,
    pub branch: String,
    pub worktree: Option<String>,
    pub backend: String,
    pub pid: Option<u32>,
    pub session: Option<String>,
    pub agent_session_id: Option<String>,
    /// RFC 3339.
    pub started_at: Option<String>,
    /// RFC 3339.
    pub updated_at: Option<String>,
    pub tokens: Tokens,
    pub cost_usd: f64,
    pub failure: Option<Failure>,
}

/// What a model has read and written.
#[derive(Debug, Clone, Default, Serialize, JsonSchema)]
#[expect(missing_docs, reason = "the fields are those of cli.md")]
pub struct Tokens {
    pub input: u64,
    pub output: u64,
    pub context: u64,
    pub context_limit: Option<u64>,
}

/// Why a task failed, or its last attempt did.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[expect(missing_docs, reason = "the fields are those of cli.md")]
pub struct Failure {
    pub category: Category,
    pub detail: String,
}

/// A moment as RFC 3339.
pub fn moment(at: Millis) -> String {
    jiff::Timestamp::from_millisecond(at).map(|t| t.to_string()).unwrap_or_default()
}

/// The run as `status` tells it. With `places`, running jobs are looked at as well.
pub fn status(state: &RunState, places: Option<&Places>) -> Status {
    let mut summary = Summary::default();
    let mut tasks = Vec::new();
    for (task, run) in state.tasks.iter().enumerate() {
        let place = match run.word() {
            "pending" => &mut summary.pending,
            "executing" => &mut summary.executing,
            "completed" => &mut summary.completed,
            "verified" => &mut summary.verified,
            "blocked" => &mut summary.blocked,
            "merged" => &mut summary.merged,
            "failed" => &mut summary.failed,
            _ => &mut summary.skipped,
        };
        *place += 1;
        tasks.push(task_status(state, places, task, run));
    }
    Status {
        run_id: state.header.run_id.clone(),
        request: state.header.request.clone(),
        phase: state.phase(),
        iteration: state.iteration,
        target: Branch {
            branch: state.header.target.clone(),
            head: Some(state.target_tip.clone()),
        },
        staging: Branch { branch: state.staging_branch(), head: state.staging.clone() },
        summary,
        tasks,
        waiting: state.waiting.clone(),
        kept: state.kept.clone(),
    }
}

fn task_status(
    state: &RunState,
    places: Option<&Places>,
    task: usize,
    run: &TaskRun,
) -> TaskStatus {
    let id = &state.plan.tasks[task].id;
    let working = matches!(run.step, Step::Working);
    let dir = places.filter(|_| working).map(|p| p.job(&JobId::worker(id, run.attempt)));
    let (mut source, mut pid) = ("journal", None);
    let mut reason = reason(state, task, run);
    if let Some(dir) = dir {
        match job::probe(&dir) {
            Ok(job::Probe::Running) => {
                source = "lock";
                pid = job::read_pid(&dir).map(|p| p.pid);
            }
            Ok(job::Probe::Ended(_)) => {
                source = "exit file";
                reason = "the worker has ended".to_owned();
            }
            Ok(job::Probe::Dead) => {
                source = "lock";
                reason = "the worker's wrapper is gone; `slimductor resume` goes on".to_owned();
            }
            Ok(job::Probe::NotStarted) | Err(_) => source = "journal",
        }
    }
    let tmux = state.header.settings.backend == "tmux";
    let detail = || run.findings.first().map(|f| f.message.clone()).unwrap_or_default();
    let failure = run.failure.filter(|_| !matches!(run.step, Step::Merged | Step::Queued));
    TaskStatus {
        id: id.clone(),
        state: run.word(),
        reason,
        source,
        attempt: run.attempt,
        depends_on: state.plan.order.dependencies[task]
            .iter()
            .map(|&d| state.plan.tasks[d].id.clone())
            .collect(),
        branch: state.task_branch(id),
        worktree: places.and_then(|p| run.slot.map(|s| p.slot(s).to_string_lossy().into_owned())),
        backend: state.header.settings.backend.clone(),
        pid,
        session: (tmux && working).then(|| format!("worker-{id}")),
        agent_session_id: None,
        started_at: run.started_at.map(moment),
        updated_at: run.updated_at.map(moment),
        tokens: Tokens::default(),
        cost_usd: 0.0,
        failure: failure.map(|category| Failure { category, detail: detail() }),
    }
}

/// Why a task is where it is, in a few words.
pub fn reason(state: &RunState, task: usize, run: &TaskRun) -> String {
    let name = |t: usize| state.plan.tasks[t].id.as_str();
    match run.step {
        Step::Pending if state.outcome.is_some() => "the run ended before it landed".to_owned(),
        Step::Pending => {
            if let Some(stuck) = state.stuck_on(task) {
                let blocked = state.tasks[stuck].step == Step::Blocked;
                let how = if blocked { "is blocked" } else { "failed" };
                return format!("needs {}, which {how}", name(stuck));
            }
            let missing: Vec<&str> = state.plan.order.dependencies[task]
                .iter()
                .filter(|d| state.tasks[**d].step != Step::Merged)
                .map(|d| name(*d))
                .collect();
            match (missing.is_empty(), run.failure) {
                (false, _) => format!("waits for {}", missing.join(", ")),
                (true, Some(category)) => {
                    format!("attempt {} ended with {category}; tried again", run.attempt)
                }
                (true, None) => "ready; waits for a free worker".to_owned(),
            }
        }
        Step::Preparing => "its worktree is being made".to_owned(),
        Step::Working => "its worker runs".to_owned(),
        Step::Collecting => "its work is being committed".to_owned(),
        Step::Checking => "its verification runs".to_owned(),
        Step::Judging => "it is being judged".to_owned(),
        Step::Queued if state.at_gate(task) => "at the gate".to_owned(),
        Step::Queued => "waits in the queue".to_owned(),
        Step::Suspect => "the suite fails with it; it is being found out why".to_owned(),
        Step::Blocked => {
            let request = run.request.as_ref();
            let packages = request.map(|r| r.packages.join(", ")).unwrap_or_default();
            let why = request.map_or("", |r| r.reason.as_str());
            let asked =
                if packages.is_empty() { String::new() } else { format!("needs {packages}: ") };
            format!("{asked}{why}")
        }
        Step::Merged if state.pull_request.is_some() => "in the pull request's branch".to_owned(),
        Step::Merged if state.promoted.is_some() => format!("in {}", state.header.target),
        Step::Merged => "in staging".to_owned(),
        Step::Failed => {
            let first = run.findings.first().map_or("", |f| f.message.as_str());
            format!("out of attempts ({}): {first}", run.attempt - run.attempts_before)
        }
        Step::Skipped => match run.skipped_with {
            Some(root) => format!("needs {}, which was skipped", name(root)),
            None => "left out by a person".to_owned(),
        },
    }
}

#[derive(Serialize)]
struct StateFile<'a> {
    request_id: &'a RunId,
    original_request: &'a str,
    created_at: String,
    environment: BTreeMap<&'static str, &'a str>,
    tasks: BTreeMap<String, StateTask>,
    current_phase: &'static str,
    iteration: u32,
    status: Status,
}

#[derive(Serialize)]
struct StateTask {
    status: &'static str,
    worktree: Option<String>,
    updated_at: Option<String>,
    error: Option<String>,
}

/// `.orchestration-state.json`: the ancestor's shape, and ours beside it.
pub fn state_file(state: &RunState) -> Vec<u8> {
    let status = status(state, None);
    let tasks = status.tasks.iter().map(|t| {
        let error = t.failure.as_ref().map(|f| format!("{}: {}", f.category, f.detail));
        let worktree = Some(format!(".worktrees/{}", t.id))
            .filter(|_| t.state == "executing" || t.state == "completed");
        (
            t.id.to_string(),
            StateTask { status: t.state, worktree, updated_at: t.updated_at.clone(), error },
        )
    });
    let file = StateFile {
        request_id: &state.header.run_id,
        original_request: &state.header.request,
        created_at: moment(state.header.started_at),
        environment: BTreeMap::from([("hash", state.environment.as_str())]),
        tasks: tasks.collect(),
        current_phase: status.phase,
        iteration: state.iteration,
        status,
    };
    let mut text = serde_json::to_vec_pretty(&file).unwrap_or_default();
    text.push(b'\n');
    text
}
