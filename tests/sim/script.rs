//! What tasks do and how the run is set, chosen by a seed. Knows nothing of crashes and of the engine's loop.

use std::collections::BTreeSet;
use std::sync::Arc;

use slimductor::execute::event::Settings;
use slimductor::plan::config::Config;
use slimductor::plan::{Facts, Plan, check, parse};
use slimductor::types::{Attempt, TaskId};

use crate::disk::{Content, Piece};

/// A small generator: the same seed gives the same run on every machine.
#[derive(Debug, Clone)]
pub struct Rng(pub u64);

impl Rng {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, n: usize) -> usize {
        (self.next() % n as u64) as usize
    }

    pub fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }
}

/// What one version of a task's work is like: what its worker does, and what is said about what it wrote.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Act {
    Good,
    Exits7,
    TimesOut,
    StraysOutside,
    FailsItsCheck,
    ChangesNothing,
    FailsAtTheGate,
    /// The first gate that sees it is red, and every later one is not.
    FlakyAtTheGate,
    /// Fails at the gate when the task before it is in the tree.
    FailsWithAnother,
    /// Does not merge onto a tree with the task before it, unless it began on one.
    ConflictsWithAnother,
    /// Its check fails for want of a package, which an installation brings.
    LacksAPackage,
}

/// Everything that is the same for a run and its crashed copies.
#[derive(Debug, Clone)]
pub struct Script {
    pub plan: Arc<Plan>,
    pub settings: Settings,
    /// For every task what its attempts do; the last one goes on for ever.
    pub acts: Vec<Vec<Act>>,
    /// How often the target goes forward just when it is about to be moved.
    pub target_moves: u32,
    /// Whether what is new there conflicts with the run.
    pub target_conflicts: bool,
    /// Whether the checkout of the target has changes in the way, until it is told.
    pub dirty: bool,
    /// Whether every suite is red until somebody commits the cure on the target.
    pub sick: bool,
    /// Whether only the last suite is, which looks at more than the others.
    pub sick_at_last: bool,
    /// Whether the reviewer's first word cannot be read.
    pub mumbles: bool,
    pub skip_when_asked: bool,
    /// Whether the clock is set forward and back all the time.
    pub wild_clock: bool,
    pub timing: u64,
}

impl Script {
    /// What the `attempt`th version of the task is like.
    pub fn act(&self, task: usize, attempt: Attempt) -> Act {
        let list = &self.acts[task];
        // What an earlier run has done is well done.
        let Some(n) = (attempt as usize).checked_sub(1) else { return Act::Good };
        list[n.min(list.len() - 1)]
    }

    /// What the version of the task in a tree is like; `None` where the tree has none.
    pub fn act_in(&self, content: &Content, task: usize) -> Option<Act> {
        let attempts = content.iter().filter_map(|p| p.attempt_of(task));
        attempts.max().map(|attempt| self.act(task, attempt))
    }

    /// Whether the task lands when it is tried again often enough, and what it needs does.
    pub fn may_land_at_last(&self, task: usize) -> bool {
        let last = self.acts[task].last();
        // One that asks for a package on the way waits for a person.
        matches!(last, Some(Act::Good))
            && !self.acts[task].contains(&Act::LacksAPackage)
            && self.plan.order.dependencies[task].iter().all(|d| self.may_land_at_last(*d))
    }

    /// Whether the suite is red on a tree, each time that it runs.
    pub fn is_red(&self, content: &Content) -> bool {
        let breaks = |task: usize| match self.act_in(content, task) {
            Some(Act::FailsAtTheGate) => true,
            Some(Act::FailsWithAnother) => task > 0 && self.act_in(content, task - 1).is_some(),
            Some(
                Act::Good
                | Act::Exits7
                | Act::TimesOut
                | Act::StraysOutside
                | Act::FailsItsCheck
                | Act::ChangesNothing
                | Act::FlakyAtTheGate
                | Act::ConflictsWithAnother
                | Act::LacksAPackage,
            )
            | None => false,
        };
        (0..self.acts.len()).any(breaks) || (self.sick && !content.contains(&Piece::Cure))
    }

    /// Whether the last suite is red on a tree.
    pub fn is_red_at_last(&self, content: &Content) -> bool {
        self.is_red(content) || (self.sick_at_last && !content.contains(&Piece::Cure))
    }

    /// The path on which a version of a task does not merge onto a tree.
    pub fn conflict(&self, onto: &Content, work: &Content, task: usize) -> Option<String> {
        let partner = task.checked_sub(1)?;
        let met = self.act_in(work, task) == Some(Act::ConflictsWithAnother)
            && self.act_in(onto, partner).is_some()
            && self.act_in(work, partner).is_none();
        met.then(|| format!("f{partner}"))
    }
}

const BAD: [Act; 10] = [
    Act::Exits7,
    Act::TimesOut,
    Act::StraysOutside,
    Act::FailsItsCheck,
    Act::ChangesNothing,
    Act::FailsAtTheGate,
    Act::FlakyAtTheGate,
    Act::LacksAPackage,
    // Only where who lands may depend on timing:
    Act::FailsWithAnother,
    Act::ConflictsWithAnother,
];

/// With `pairs` some tasks do not get on with others: then who lands depends on timing.
pub fn script(seed: u64, pairs: bool) -> Script {
    let mut rng = Rng(seed);
    let n = 2 + rng.below(6);
    let bad = &BAD[..if pairs { BAD.len() } else { BAD.len() - 2 }];
    let mut yaml = String::from("request: sim\ntasks:\n");
    let mut acts = Vec::new();
    for t in 0..n {
        let deps: Vec<String> = (0..t).filter(|_| rng.one_in(3)).map(|d| format!("t{d}")).collect();
        yaml.push_str(&format!(
            "  - id: t{t}\n    description: d\n    run: work\n    files_write: [f{t}]\n    depends_on: [{}]\n    max_attempts: {}\n    priority: {}\n    verification: [{{command: prove {t}}}]\n",
            deps.join(", "), 1 + rng.below(3), rng.below(3)
        ));
        let mut list: Vec<Act> = (0..rng.below(3)).map(|_| bad[rng.below(bad.len())]).collect();
        if rng.below(6) > 0 {
            list = if rng.one_in(2) { Vec::new() } else { list };
            list.push(Act::Good);
        } else {
            list.push(bad[rng.below(bad.len())]);
        }
        acts.push(list);
    }
    if rng.one_in(2) {
        yaml.push_str("integration: {incremental: [{command: inc}], final: [{command: fin}]}\n");
    }
    let document = parse(yaml.as_bytes()).unwrap();
    let plan = check::check(&document, &Facts::default(), &Config::default()).plan.unwrap();
    // An earlier run may have landed some, never one that needs what has not.
    let earlier = if rng.one_in(8) { 1 + rng.below(2) } else { 0 };
    let mut landed: BTreeSet<usize> = BTreeSet::new();
    for &task in &plan.order.topological {
        if landed.len() < earlier.min(n - 1)
            && plan.order.dependencies[task].iter().all(|d| landed.contains(d))
        {
            landed.insert(task);
        }
    }
    let landed: Vec<TaskId> = landed.into_iter().map(|t| plan.tasks[t].id.clone()).collect();
    let settings = Settings {
        jobs: 1 + rng.below(4) as u32,
        backend: "process".to_owned(),
        promote_landed: rng.one_in(3),
        no_promote: rng.one_in(8),
        only: Vec::new(),
        agent: None,
        window: 1 + rng.below(3) as u32,
        strict: rng.one_in(4),
        fail_on_diverged: rng.one_in(10),
        pull_request: rng.one_in(12),
        max_iterations: 2,
        reviewer: if rng.one_in(4) { vec!["look".to_owned()] } else { Vec::new() },
        allowed_packages: Vec::new(),
        auto_approve: rng.one_in(2),
        target_at: (!landed.is_empty()).then(crate::disk::root),
        landed,
        env_pass: Vec::new(),
        fence: String::new(),
        strict_fence: false,
        writable: Vec::new(),
        environment: String::new(),
    };
    Script {
        plan: Arc::new(plan),
        settings,
        acts,
        target_moves: if rng.one_in(4) { 1 + rng.below(3) as u32 } else { 0 },
        target_conflicts: rng.one_in(16),
        dirty: rng.one_in(8),
        sick: pairs && rng.one_in(12),
        sick_at_last: rng.one_in(10),
        mumbles: rng.one_in(3),
        skip_when_asked: rng.one_in(3),
        wild_clock: rng.one_in(3),
        timing: rng.next(),
    }
}
