//! Packages that tasks wait for: who is blocked, what is put to a person in one batch, when it is installed. Pure.

use super::event::{Choice, Event};
use super::state::{RunState, Step};
use crate::types::{Category, Finding, Sha};
use crate::verify::{self, deps};

/// The event for a task whose attempt failed only for want of packages that it was not given before.
pub(super) fn blocked(state: &RunState, task: usize, findings: &[Finding]) -> Option<Event> {
    let (run, spec) = (&state.tasks[task], &state.plan.tasks[task]);
    let first = verify::leading(findings)?;
    if first.category != Category::MissingDependency {
        return None;
    }
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
    (news && !packages.is_empty()).then(|| Event::TaskBlocked {
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
    if requests.is_empty() {
        return None;
    }
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
    if state.install_failed.is_none() && conflicts.is_empty() && agreed {
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
            asked.push(format!("{id} needs {}{from}", request.packages.join(", ")));
        }
    }
    let mut reason = format!("blocked: {}", asked.join("; "));
    for conflict in &conflicts {
        reason.push_str(&format!("; these do not go together: {}", conflict.describe()));
    }
    if let Some(finding) = state.install_failed.iter().flatten().next() {
        reason.push_str(&format!("; the installation failed: {}", finding.message));
    }
    reason.push_str("; `slimductor approve` installs it, `skip` goes on without");
    Some(Event::Escalated { reason })
}
