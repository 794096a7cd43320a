//! What must be true of a run when nobody drives it any more, whatever happened to it, and what must be the same as
//! without it.

use std::collections::BTreeSet;

use slimductor::execute::event::{Choice, Event, Outcome};
use slimductor::execute::state::{RunState, Step};
use slimductor::types::{Attempt, Sha};

use crate::disk::{Content, Disk, Piece};
use crate::script::{Act, Script};

/// A tree without what somebody else committed there.
fn ours(content: &Content) -> Content {
    let foreign = |p: &Piece| matches!(p, Piece::Foreign(_) | Piece::Cure);
    content.iter().filter(|p| !foreign(p)).copied().collect()
}

/// What a recovery branch keeps of its own task; what else is in its tree was its base, which depends on timing.
fn of_its_task(name: &str, content: &Content) -> Content {
    let own = |p: &Piece| p.owner().is_none_or(|t| name.starts_with(&format!("recovery/t{t}-")));
    ours(content).into_iter().filter(own).collect()
}

/// What must be the same with and without crashes.
pub fn ending(disk: &Disk, state: &RunState) -> String {
    let tasks: Vec<String> = state
        .tasks
        .iter()
        .map(|t| format!("{} {} {:?} {:?}", t.word(), t.attempt, t.failure, t.discarded.keys()))
        .collect();
    let content = |at: Option<&Sha>| at.map(|s| ours(disk.content(s)));
    // Gates depend on timing, and reviews on how often the target moves.
    let by_timing = |job: &str| job.starts_with("gate") || job.starts_with("review");
    let of_attempts: Vec<&String> = disk.jobs.keys().filter(|j| !by_timing(j)).collect();
    let edited = |name: &&String| !name.ends_with("staging-edited") && *name != "mine";
    let kept: Vec<_> = disk
        .branches
        .iter()
        .filter(|(name, _)| disk.cleaned && edited(name))
        .map(|(name, tip)| (name, of_its_task(name, disk.content(tip))))
        .collect();
    format!(
        "{:?} waiting={} cleaned={}\n{}\ntarget {:?}\nstaging {:?}\nkept {kept:?}\njobs {of_attempts:?}",
        state.outcome,
        state.waiting.is_some(),
        disk.cleaned,
        tasks.join("\n"),
        content(Some(&disk.target)),
        content(disk.staging.as_ref())
    )
}

/// The tasks whose work landed.
pub fn landed(state: &RunState) -> BTreeSet<usize> {
    let there = |t: &usize| state.tasks[*t].step == Step::Merged;
    (0..state.tasks.len()).filter(there).collect()
}

pub fn assert_sound(script: &Script, disk: &Disk, state: &RunState, what: &str) {
    every_job_began_once_for_each_time_it_was_let_down(disk, what);
    nothing_that_was_written_is_lost(disk, state, what);
    an_answer_counts_only_for_the_attempt_that_it_is_about(script, disk, what);
    what_is_recorded_is_what_git_has(disk, state, what);
    let target = disk.content(&disk.target);
    let promoted = state.promoted.is_some() && state.pull_request.is_none();
    for task in 0..state.tasks.len() {
        let there = target.iter().any(|p| p.owner() == Some(task));
        let run = &state.tasks[task];
        if promoted && run.merged.is_some() && state.iteration == 1 && !disk.target_rewritten {
            assert!(there, "{what}: t{task} landed and is not in the target");
        }
        assert!(
            !there || (promoted && run.merged.is_some()) || disk.target_rewritten,
            "{what}: t{task} reached the target without landing or without a promotion"
        );
        every_attempt_that_did_not_pass_is_kept(disk, state, task, what);
        if run.step == Step::Merged {
            what_landed_is_what_was_asked_for(script, disk, state, task, what);
        }
    }
    if promoted {
        let aborted = matches!(state.outcome, Some(Outcome::Aborted | Outcome::Replanned));
        assert!(!aborted, "{what}: aborted after the target moved");
        assert!(disk.target_rewritten || !script.is_red(target), "{what}: the target is red");
    }
    if state.outcome == Some(Outcome::Done) {
        let done = state.tasks.iter().all(|t| matches!(t.step, Step::Merged | Step::Skipped));
        assert!(done, "{what}: done, and something is open");
        let end = promoted || state.pull_request.is_some() || script.settings.no_promote;
        assert!(end || landed(state).is_empty(), "{what}: done, and nothing was promoted");
    }
    if matches!(state.outcome, Some(Outcome::Aborted | Outcome::Replanned)) {
        assert!(disk.running().is_empty(), "{what}: jobs outlive an aborted run");
    }
    if state.outcome.is_some() {
        assert!(disk.cleaned, "{what}: ended without a clean-up");
        assert!(disk.slots.is_empty(), "{what}: worktrees are left: {:?}", disk.slots);
    }
}

/// A worker's side effects happen exactly once for each attempt; a check is run again only when it was cut down.
fn every_job_began_once_for_each_time_it_was_let_down(disk: &Disk, what: &str) {
    for (name, job) in &disk.jobs {
        let most = if name.starts_with("worker") { 1 } else { 1 + job.deaths };
        assert!(job.began <= most, "{what}: {name} began {} times", job.began);
    }
}

/// What a worker or a person wrote is on a branch or stands in a worktree. Versions of a task that landed in another
/// one go when the run is cleaned up.
fn nothing_that_was_written_is_lost(disk: &Disk, state: &RunState, what: &str) {
    // Whoever deleted the branch with what had landed has it on his conscience.
    if disk.staging_meddled || disk.target_rewritten {
        return;
    }
    for piece in &disk.written {
        let stands = disk.slots.values().any(|tree| tree.content.contains(piece));
        let landed = piece.owner().is_some_and(|t| state.tasks[t].step == Step::Merged);
        assert!(
            stands || disk.is_on_a_branch(piece) || (landed && disk.cleaned),
            "{what}: {piece:?} is lost"
        );
    }
}

#[expect(clippy::wildcard_enum_match_arm, reason = "one event is looked for")]
fn an_answer_counts_only_for_the_attempt_that_it_is_about(
    script: &Script,
    disk: &Disk,
    what: &str,
) {
    if disk.said.is_empty() {
        return;
    }
    let mut state = RunState::begin(script.plan.clone(), &disk.journal[0]).unwrap();
    for record in &disk.journal[1..] {
        let taken = match &record.event {
            Event::Answered { id, .. } => disk.said.iter().find(|a| a.id == *id),
            _ => None,
        };
        if let Some((answer, (task, attempt))) = taken.and_then(|a| Some((a, a.about?))) {
            let now = state.tasks[task].attempt;
            let about_a_task = matches!(
                answer.choice,
                Choice::Retry | Choice::Skip | Choice::Fix | Choice::Approve
            );
            assert!(
                !about_a_task || now == attempt,
                "{what}: {answer:?} is taken in attempt {now}"
            );
        }
        state.apply(record).unwrap();
    }
}

/// An attempt that does what is asked fails only for trouble that is not its own: for use where nobody stops jobs.
pub fn assert_nobody_is_blamed_for_another(script: &Script, disk: &Disk, what: &str) {
    for record in &disk.journal {
        let Event::AttemptFailed { task, attempt, findings, .. } = &record.event else { continue };
        let good = script.act(script.plan.index_of(task).unwrap(), *attempt) == Act::Good;
        let trouble = findings.iter().any(|f| f.message == crate::world::REFUSED);
        assert!(!good || trouble, "{what}: {task} is blamed, which did well: {findings:?}");
    }
}

/// The journal and git agree about staging and the target.
fn what_is_recorded_is_what_git_has(disk: &Disk, state: &RunState, what: &str) {
    if !disk.staging_meddled && !disk.cleaned {
        let (git, said) = (disk.staging.as_ref(), state.staging.as_ref());
        // A move whose record is missing is recorded by the next coordinator.
        assert!(
            git == said || said.is_none_or(|s| git.is_some_and(|g| disk.contains(g, s))),
            "{what}: staging is at {git:?}, recorded is {said:?}"
        );
    }
    if let (Some(to), None, false) = (&state.promoted, &state.pull_request, disk.target_rewritten) {
        assert!(disk.contains(&disk.target, to), "{what}: promoted, and the target has it not");
    }
}

#[expect(clippy::wildcard_enum_match_arm, reason = "one event is looked for")]
fn every_attempt_that_did_not_pass_is_kept(disk: &Disk, state: &RunState, task: usize, what: &str) {
    let (run, id) = (&state.tasks[task], &state.plan.tasks[task].id);
    let collected: BTreeSet<Attempt> = disk
        .journal
        .iter()
        .filter_map(|r| match &r.event {
            Event::WorkCollected { task, attempt, .. } if task == id => Some(*attempt),
            _ => None,
        })
        .collect();
    for attempt in collected {
        let current = attempt == run.attempt && run.head.is_some();
        assert!(
            current || run.discarded.contains_key(&attempt) || run.merged.is_some(),
            "{what}: t{task}: attempt {attempt} is forgotten"
        );
    }
}

fn what_landed_is_what_was_asked_for(
    script: &Script,
    disk: &Disk,
    state: &RunState,
    task: usize,
    what: &str,
) {
    let run = &state.tasks[task];
    let merged = run.merged.as_ref().expect("a task that is merged has a commit");
    let tree = disk.content(merged);
    for &d in &script.plan.order.dependencies[task] {
        // One that a reviewer sent back had landed all the same.
        let there = state.tasks[d].merged.is_some();
        assert!(there, "{what}: t{task} landed before t{d}");
    }
    let Some(act) = script.act_in(tree, task) else {
        panic!("{what}: t{task} landed without its work")
    };
    match act {
        Act::Good | Act::FlakyAtTheGate | Act::ConflictsWithAnother => {}
        Act::LacksAPackage => assert!(disk.installed, "{what}: t{task} landed"),
        Act::FailsWithAnother => assert!(
            task == 0 || script.act_in(tree, task - 1).is_none(),
            "{what}: t{task} landed with the one that it does not get on with"
        ),
        // What a person put right in the kept worktree may land, however its worker ended.
        Act::Exits7 | Act::TimesOut | Act::ChangesNothing => {
            assert!(fixed(disk, state, task), "{what}: t{task} landed, which {act:?}");
        }
        Act::StraysOutside | Act::FailsItsCheck | Act::FailsAtTheGate => {
            panic!("{what}: t{task} landed, which {act:?}")
        }
    }
}

#[expect(clippy::wildcard_enum_match_arm, reason = "one event is looked for")]
fn fixed(disk: &Disk, state: &RunState, task: usize) -> bool {
    let id = &state.plan.tasks[task].id;
    disk.journal.iter().any(|r| match &r.event {
        Event::Answered { choice, task, .. } => *choice == Choice::Fix && task.as_ref() == Some(id),
        _ => false,
    })
}
