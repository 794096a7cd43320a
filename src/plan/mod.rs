//! Text in, checked plan out: the schema, every check, waves, conflicts, risk. Pure: what must be known of
//! the disk is handed in as [`Facts`].

mod automaton;
pub mod check;
mod code;
pub mod config;
pub mod conflict;
pub mod contract;
pub mod diagnostic;
pub mod environment;
pub mod fix;
pub mod intent;
pub mod pattern;
pub mod place;
pub mod render;
pub mod risk;
pub mod schedule;
pub mod schema;
pub mod vacuous;
pub mod wave;
pub mod yaml;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde::{Deserialize, Serialize};

use crate::types::TaskId;
use diagnostic::{Problem, Severity};
pub use pattern::Pattern;
use schema::{CheckKind, Document};
use wave::Order;
use yaml::Unreadable;

/// A worker's time limit when the task gives none: 30 minutes.
pub const DEFAULT_TIMEOUT_MS: u64 = 30 * 60_000;
/// A check's time limit when it gives none: 10 minutes.
pub const DEFAULT_CHECK_TIMEOUT_MS: u64 = 10 * 60_000;
/// Attempts when the task gives no number.
pub const DEFAULT_ATTEMPTS: u32 = 3;

/// What does a task's work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Work {
    /// A shell command.
    Command(String),
    /// An agent; `None` is the configured default.
    Agent(Option<String>),
}

/// A command that proves something.
#[derive(Debug, Clone)]
pub struct Check {
    /// Run by `sh -c`.
    pub command: String,
    /// What kind of proof.
    pub kind: CheckKind,
    /// Whether its failure fails the whole.
    pub required: bool,
    /// Its time limit in milliseconds.
    pub timeout_ms: u64,
    /// When not empty: run only when the change touches one of them.
    pub paths: Vec<Pattern>,
}

/// A checked task; its dependencies stand in the plan's [`Order`].
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "the fields are those of schema::TaskSpec, resolved")]
pub struct Task {
    pub id: TaskId,
    pub description: String,
    pub prompt: Option<String>,
    pub work: Work,
    pub files_write: Vec<Pattern>,
    pub files_append: Vec<Pattern>,
    pub verification: Vec<Check>,
    pub allow_large_changes: bool,
    pub expects_no_changes: bool,
    pub timeout_ms: u64,
    pub max_attempts: u32,
    pub priority: i64,
    pub estimate_ms: Option<u64>,
    pub env: BTreeMap<String, String>,
    /// How many patch intents it has.
    pub patch_intents: usize,
    /// How many runtime packages it needs.
    pub runtime_dependencies: usize,
    /// The packages that it may need, as the plan writes them.
    pub packages: Vec<String>,
    /// Points of the sensitive paths that it writes.
    pub risk: u64,
    pub contracts: Vec<String>,
    pub renegotiates: Vec<String>,
    /// What the engine writes into files that several tasks share.
    pub edits: Vec<HotEdit>,
    /// Files with intents that no adapter fits: the worker edits them itself.
    pub own_edits: Vec<String>,
}

impl Task {
    /// Whether both ask for the same work with the same proof, whatever they wait for.
    pub fn asks_the_same(&self, other: &Task) -> bool {
        let texts = |list: &[Pattern]| list.iter().map(ToString::to_string).collect::<Vec<_>>();
        let checks = |list: &[Check]| {
            let one = |c: &Check| (c.command.clone(), c.kind, c.required, texts(&c.paths));
            list.iter().map(one).collect::<Vec<_>>()
        };
        self.description == other.description
            && self.prompt == other.prompt
            && self.work == other.work
            && self.env == other.env
            && self.contracts == other.contracts
            && self.edits == other.edits
            && texts(&self.files_write) == texts(&other.files_write)
            && texts(&self.files_append) == texts(&other.files_append)
            && checks(&self.verification) == checks(&other.verification)
    }
}

/// A structured edit that the engine makes when the task is merged.
#[derive(Debug, Clone, PartialEq)]
pub struct HotEdit {
    /// The file.
    pub file: String,
    /// What is asked for.
    pub intent: intent::Intent,
}

/// A contract as the plan pins it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PinnedContract {
    /// Its name.
    pub name: String,
    /// Its version, where the plan names one.
    pub version: Option<String>,
    /// Where it stands.
    pub file_path: String,
}

/// A plan that may be run.
#[derive(Debug, Clone)]
pub struct Plan {
    /// What was asked for.
    pub request: String,
    /// The branch that it names as its base.
    pub base: Option<String>,
    /// The tasks, in the order of the file.
    pub tasks: Vec<Task>,
    /// Who waits for whom.
    pub order: Order,
    /// Commands on every merged tree.
    /// `None` where nothing is declared.
    pub incremental: Option<Vec<Check>>,
    /// Commands on the staging tip before promotion; `None` where nothing is declared.
    pub final_checks: Option<Vec<Check>>,
    /// The contracts, as the plan pins them.
    pub contracts: Vec<PinnedContract>,
    /// For every task the longest path that begins with it.
    pub tails: Vec<u64>,
    index: HashMap<TaskId, usize>,
}

impl Plan {
    /// The place of `id` in `tasks`.
    pub fn index_of(&self, id: &TaskId) -> Option<usize> {
        self.index.get(id).copied()
    }

    /// The plan whose tasks have these edits, in the order of its tasks.
    fn with_edits(mut self, edits: Vec<Vec<HotEdit>>, own: Vec<Vec<String>>) -> Plan {
        for (task, (edits, own)) in self.tasks.iter_mut().zip(edits.into_iter().zip(own)) {
            task.edits = edits;
            task.own_edits = own;
        }
        self
    }

    /// The plan with only the tasks in `wanted` and what they depend on.
    pub fn only(mut self, wanted: &[TaskId]) -> Plan {
        let mut keep = BTreeSet::new();
        let mut todo: Vec<usize> = wanted.iter().filter_map(|id| self.index_of(id)).collect();
        while let Some(task) = todo.pop() {
            if keep.insert(task) {
                todo.extend(self.order.dependencies[task].iter().copied());
            }
        }
        let new_index: HashMap<usize, usize> =
            keep.iter().enumerate().map(|(new, old)| (*old, new)).collect();
        let dependencies = keep
            .iter()
            .map(|old| {
                self.order.dependencies[*old]
                    .iter()
                    .filter_map(|d| new_index.get(d).copied())
                    .collect()
            })
            .collect();
        let mut number = 0;
        self.tasks.retain(|_| {
            number += 1;
            keep.contains(&(number - 1))
        });
        let order = Order::new(dependencies);
        let contracts = self.contracts;
        let (incremental, last) = (self.incremental, self.final_checks);
        let plan = Plan::new(self.request, self.base, self.tasks, order, incremental, last);
        Plan { contracts, ..plan }
    }

    pub(crate) fn new(
        request: String,
        base: Option<String>,
        tasks: Vec<Task>,
        order: Order,
        incremental: Option<Vec<Check>>,
        final_checks: Option<Vec<Check>>,
    ) -> Plan {
        let index = tasks.iter().enumerate().map(|(n, t)| (t.id.clone(), n)).collect();
        let tails = order.tails(&costs(tasks.iter().map(|t| t.estimate_ms)));
        let contracts = Vec::new();
        Plan { request, base, tasks, order, incremental, final_checks, contracts, tails, index }
    }
}

/// What each task costs on the critical path: its estimate, the mean of the others', or 1.
pub fn costs(estimates: impl Iterator<Item = Option<u64>> + Clone) -> Vec<u64> {
    let known: Vec<u64> = estimates.clone().flatten().collect();
    let total: u64 = known.iter().fold(0, |a, b| a.saturating_add(*b));
    let mean = total.checked_div(known.len() as u64).unwrap_or(1).max(1);
    estimates.map(|e| e.unwrap_or(mean).max(1)).collect()
}

/// What the checks must know of the disk.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Facts {
    /// Patterns of the plan that name an existing file as they stand.
    pub existing: BTreeSet<String>,
    /// Paths of the plan that are directories, though their names look like those of files, such as `conf.d`.
    pub directories: BTreeSet<String>,
    /// Paths of the plan that are files, though their names look like those of directories, such as `Makefile`.
    pub files: BTreeSet<String>,
    /// The text of every contract file; `None` when it is absent.
    pub contracts: BTreeMap<String, Option<String>>,
    /// Contract files that are there and cannot be read, with the reason.
    pub unreadable: BTreeMap<String, String>,
    /// Symbolic links in the tree that lead out of the repository.
    pub outward_links: BTreeSet<String>,
    /// Symbolic links to directories in the tree, and the path inside the repository to which each leads.
    pub links: BTreeMap<String, String>,
    /// The same for links to files: these have nothing below them.
    pub file_links: BTreeMap<String, String>,
    /// Contract files that are not committed as they stand on disk, at the branch the run would start from.
    pub uncommitted: BTreeSet<String>,
    /// What the last `plan` found in the contracts' files.
    pub pins: BTreeMap<String, contract::Pin>,
    /// The text of every file that has patch intents; `None` when it is absent or no text.
    pub hot_files: BTreeMap<String, Option<String>>,
    /// Whether the file system does not tell `A` from `a`.
    pub case_insensitive: bool,
    /// Whether a run is to start from this: then what is not committed is an error.
    pub for_run: bool,
}

/// How one contract stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContractStatus {
    /// Its name.
    pub name: String,
    /// The version that the plan pins.
    pub version: Option<String>,
    /// Where it stands.
    pub file_path: String,
    /// How it stands.
    pub status: contract::State,
}

/// A conflict as it is told: `kind` is the problem's code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConflictReport {
    /// The code.
    pub kind: diagnostic::Code,
    /// The normalised path or resource.
    pub target: String,
    /// The two tasks, in the order of the plan.
    pub tasks: [TaskId; 2],
    /// The edge that would settle it: the first is to depend on the second.
    pub fix: (TaskId, TaskId),
}

/// All that the checks found.
#[derive(Debug, Default)]
pub struct Analysis {
    /// The plan, when no problem is an error.
    pub plan: Option<Plan>,
    /// How many tasks the document has.
    pub tasks: usize,
    /// Every problem, in the order of the file.
    pub problems: Vec<Problem>,
    /// The conflicts, at most a thousand.
    pub conflicts: Vec<ConflictReport>,
    /// How many there are.
    pub conflict_count: usize,
    /// Ids by the earliest moment at which each could start.
    pub waves: Vec<Vec<TaskId>>,
    /// The longest path.
    pub critical_path: Vec<TaskId>,
    /// The risk; absent when the document could not be read.
    pub risk: Option<risk::Risk>,
    /// The contracts.
    pub contracts: Vec<ContractStatus>,
}

impl Analysis {
    /// Whether the plan may be run.
    pub fn valid(&self) -> bool {
        !self.problems.iter().any(|p| p.severity == Severity::Error)
    }

    /// How many tasks could work at the same time.
    pub fn max_parallelism(&self) -> usize {
        self.waves.iter().map(Vec::len).max().unwrap_or(0)
    }
}

/// Reads tasks.yaml (or the same as JSON).
pub fn parse(bytes: &[u8]) -> Result<Document, Unreadable<Document>> {
    yaml::read(bytes, "tasks")
}

/// A plan's text, read and checked.
#[derive(Debug, Default)]
pub struct Checked {
    /// What was found.
    pub analysis: Analysis,
    /// What it was checked against.
    pub facts: Facts,
    /// What the text says, as far as it can be read.
    pub document: Option<Document>,
}

/// Checks a plan from its text: reads it, gathers the facts about what it names, and finds every problem, also in what
/// is left of a document whose shape is wrong. Each problem has its place.
pub fn analyse(
    bytes: &[u8],
    config: &config::Config,
    gather: impl FnOnce(&Document) -> Facts,
) -> Checked {
    let mut checked = match parse(bytes) {
        Ok(document) => {
            let facts = gather(&document);
            let analysis = check::check(&document, &facts, config);
            Checked { analysis, facts, document: Some(document) }
        }
        Err(Unreadable { problems, rest: None }) => {
            let analysis = Analysis { problems, ..Analysis::default() };
            Checked { analysis, ..Checked::default() }
        }
        Err(Unreadable { problems, rest: Some(document) }) => {
            let facts = gather(&document);
            let mut analysis = check::check(&document, &facts, config);
            // What follows only from a shape that is wrong would be said twice.
            let meant = |p: &Problem| Some(p.path.clone()?.sibling(p.meant.as_deref()?));
            let wrong: Vec<place::Path> =
                problems.iter().flat_map(|p| p.path.clone().into_iter().chain(meant(p))).collect();
            let follows = |p: &Problem| {
                p.path.as_ref().is_some_and(|path| wrong.iter().any(|w| w.touches(path)))
            };
            analysis.problems.retain(|p| p.severity == Severity::Error && !follows(p));
            analysis.problems.extend(problems);
            analysis.plan = None;
            Checked { analysis, facts, document: Some(*document) }
        }
    };
    let problems = &mut checked.analysis.problems;
    if problems.iter().any(|p| !p.labels.is_empty())
        && let Ok(text) = yaml::text_of(bytes, "tasks")
        && let Ok(tree) = yaml::tree::Tree::read(text, yaml::tree::MAX_VALUES)
    {
        yaml::locate::locate(problems, &tree);
    }
    checked
}
