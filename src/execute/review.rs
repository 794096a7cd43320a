//! The reviewer: its job, what it is told, and what its words mean. It may stop a promotion and never causes one.

use super::brief;
use super::event::{Feedback, Verdict};
use super::job::{self, Spec, StepSpec};
use super::job_end;
use super::shared::{EffectError, Shared};
use super::state::{RunState, Step};
use crate::store::{self, Mode};
use crate::types::{Gate, JobId, JobReport, TaskId};

/// How long a review may take, ms.
const LIMIT_MS: u64 = 30 * 60_000;
/// How much of its output is read, in bytes.
const MOST: u64 = 1024 * 1024;

/// The job of the review that is due: the reviewer's command on the gated tree.
pub(super) fn job(shared: &Shared, state: &RunState) -> Result<Spec, EffectError> {
    let places = &shared.places;
    let job = JobId::review(state.reviews);
    store::make_dir(&places.prompts())?;
    let prompt = places.prompts().join(format!("{job}.md"));
    store::replace(&prompt, told(state).as_bytes(), Mode::Private)?;
    let prompt = prompt.to_string_lossy().into_owned();
    let fill = |word: &String| word.replace("{prompt_file}", &prompt);
    let argv: Vec<String> = state.header.settings.reviewer.iter().map(fill).collect();
    let step = StepSpec::new(shell_words::join(&argv), argv, LIMIT_MS);
    let worktree = places.gate(Gate::Final);
    let mut spec = brief::plain(&shared.around, state, job, vec![step], &worktree);
    spec.env.insert("SLIMDUCTOR_PROMPT".to_owned(), prompt);
    spec.env.insert("SLIMDUCTOR_BASE".to_owned(), state.header.base.to_string());
    Ok(spec)
}

fn told(state: &RunState) -> String {
    let mut text = format!(
        "# Review\n\nRequest: {}\n\nThe working tree holds the whole result; it passed every check. `git diff {}` shows it.\n\nTasks that landed:\n\n",
        state.header.request, state.header.base
    );
    for (task, run) in state.plan.tasks.iter().zip(&state.tasks) {
        if run.step == Step::Merged {
            text.push_str(&format!("- {}: {}\n", task.id, task.description));
        }
    }
    text.push_str(
        "\nEnd with one line of JSON on standard output:\n\n    {\"verdict\": \"accept\", \"comment\": \"…\"}\n\nor, to have tasks worked on again:\n\n    {\"verdict\": \"iterate\", \"feedback\": [{\"task\": \"task-id\", \"message\": \"what to change\"}]}\n",
    );
    text
}

/// What the reviewer said: the last line of its output that is such an object.
pub(super) fn verdict(shared: &Shared, state: &RunState, report: &JobReport) -> Verdict {
    let unreadable = |why: String| Verdict::Unreadable { why };
    if let Some(failure) = report.first_failure() {
        return unreadable(format!("`{}`: {}", failure.command, failure.ending()));
    }
    let dir = shared.places.job(&JobId::review(state.reviews));
    let text = job_end::last(&job::log_path(&dir, 0), MOST).unwrap_or_default();
    let objects = text.lines().rev().filter_map(|l| serde_json::from_str(l.trim()).ok());
    let found = objects
        .into_iter()
        .find(|v: &serde_json::Value| v.get("verdict").is_some_and(|w| w.is_string()));
    let Some(value) = found else {
        return unreadable("its output has no line of JSON with a verdict".to_owned());
    };
    let text = |v: &serde_json::Value, key: &str| {
        v.get(key).and_then(|t| t.as_str()).unwrap_or("").chars().take(4000).collect::<String>()
    };
    match text(&value, "verdict").as_str() {
        "accept" => Verdict::Accept { comment: text(&value, "comment") },
        "iterate" => {
            let list = value.get("feedback").and_then(|f| f.as_array()).cloned();
            let mut feedback = Vec::new();
            for said in list.unwrap_or_default() {
                let name = text(&said, "task");
                let task = TaskId::parse(&name).filter(|id| {
                    let index = state.plan.index_of(id);
                    index.is_some_and(|t| state.tasks[t].step == Step::Merged)
                });
                let Some(task) = task else {
                    return unreadable(format!("it names `{name}`, which is no task that landed"));
                };
                let message = text(&said, "message");
                if message.trim().is_empty() {
                    return unreadable(format!(
                        "it sends {task} back and says nothing in `message`"
                    ));
                }
                feedback.push(Feedback { task, message });
            }
            match feedback.is_empty() {
                true => unreadable("it wants changes and names no task".to_owned()),
                false => Verdict::Iterate { feedback },
            }
        }
        other => unreadable(format!("its verdict is `{other}`, neither accept nor iterate")),
    }
}
