//! Packages that tasks wait for: who is blocked, what is put to a person in one batch, when it is installed. Pure.

use super::event::{Choice, Event};
use super::evidence;
use super::state::{RunState, Step, TaskRun};
use crate::types::{Category, Finding, Sha};
use crate::verify::{self, deps};

/// The event for a task whose attempt failed only for want of packages that it was not given before.
pub(super) fn blocked(state: &RunState, task: usize, findings: &[Finding]) -> Option<Event> {
    let (run, spec) = (&state.tasks[task], &state.plan.tasks[task]);
    // A worker that says that it is blocked is believed in that alone: it costs no attempt, and a person looks.
    let said = findings.iter().find(|f| f.subject.as_deref() == Some(evidence::STATUS));
    let first = said.or_else(|| {
        verify::leading(findings).filter(|f| f.category == Category::MissingDependency)
    })?;
    let missing: Vec<&String> = findings.iter().filter_map(|f| f.package.as_ref()).collect();
    // What the plan declares says it better than the name of a module.
    let mut packages: Vec<String> = spec.packages.clone();
    if packages.is_empty() {
        packages = missing.into_iter().map(|m| deps::package_of_module(m).to_owned()).collect();
    }
    packages.retain(|p| deps::parse_requirement(p).is_some());
    packages.sort();
    packages.dedup();
    let news = packages.iter().any(|p| !run.installed.contains(p));
    if !news {
        // What it asks for was given: the next word is a person's.
        packages.clear();
    }
    let asks = news && !packages.is_empty();
    (asks || said.is_some()).then(|| Event::TaskBlocked {
        task: spec.id.clone(),
        attempt: run.attempt,
        reason: first.message.clone(),
        packages,
    })
}

/// What is to be installed now: everything that was agreed to, once the queue is empty.
pub(super) fn install(state: &RunState, staging: &Sha) -> Option<Event> {
    let mut packages: Vec<String> = state.requests(true).into_iter().map(|(_, p)| p).collect();
    packages.sort();
    packages.dedup();
    let idle = state.train.is_empty() && state.gates.is_empty() && state.landing.is_none();
    (idle && state.install.is_none() && !packages.is_empty()).then(|| Event::InstallStarted {
        number: state.installs + 1,
        packages,
        base: staging.clone(),
    })
}

/// When nothing else can run: the one batch of requests that is put to a person, or agreed to by the configuration.
pub(super) fn batch(state: &RunState) -> Option<Event> {
    let requests = state.requests(false);
    if !state.tasks.iter().any(|t| t.step == Step::Blocked) {
        return None;
    }
    let bare = |t: &TaskRun| {
        t.step == Step::Blocked && t.request.as_ref().is_some_and(|r| r.packages.is_empty())
    };
    let bare = state.tasks.iter().any(bare);
    let settings = &state.header.settings;
    // The name of a module is a guess at that of a package: only what the plan or the configuration names needs nobody.
    let allowed = |(task, package): &(usize, String)| {
        let declared = state.plan.tasks[*task].packages.contains(package);
        let named = deps::parse_requirement(package).is_some_and(|r| {
            settings.allowed_packages.iter().any(|a| deps::same_package(a, &r.name))
        });
        named || (settings.auto_approve && declared)
    };
    let agreed = requests.iter().all(allowed);
    let parsed: Vec<(String, deps::Requirement)> = requests
        .iter()
        .filter_map(|(task, package)| {
            let name = state.plan.tasks[*task].id.to_string();
            Some((name, deps::parse_requirement(package)?))
        })
        .collect();
    let conflicts = deps::conflicts(&parsed);
    if state.install_failed.is_none() && conflicts.is_empty() && agreed && !bare {
        // Its name is not one that a person's answer could have.
        let id = format!("configuration-{}", state.installs + 1);
        return Some(Event::Answered { id, choice: Choice::Approve, task: None });
    }
    let mut asked = Vec::new();
    for (task, run) in state.tasks.iter().enumerate() {
        if let Some(request) = run.request.as_ref().filter(|_| run.step == Step::Blocked) {
            let id = &state.plan.tasks[task].id;
            let guess = |p: &&String| !state.plan.tasks[task].packages.contains(p);
            let guessed = request.packages.iter().any(|p| guess(&p));
            let from = if guessed { " (by the name of a module)" } else { "" };
            asked.push(match request.packages.is_empty() {
                true => format!("{id}: {}", request.reason),
                false => format!("{id} needs {}{from}", request.packages.join(", ")),
            });
        }
    }
    let mut reason = format!("blocked: {}", asked.join("; "));
    for conflict in &conflicts {
        reason.push_str(&format!("; these do not go together: {}", conflict.describe()));
    }
    if let Some(finding) = state.install_failed.iter().flatten().next() {
        reason.push_str(&format!("; the installation failed: {}", finding.message));
    }
    reason.push_str(match conflicts.is_empty() {
        true => "; `slimductor approve` installs it, `skip` goes on without",
        false => {
            "; `slimductor approve TASK` installs that of one task, `skip TASK` goes on without"
        }
    });
    Some(Event::Escalated { reason })
}
