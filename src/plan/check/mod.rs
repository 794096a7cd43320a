//! Every check of a document, in one pass, into an [`Analysis`]. Reads no disk: see [`Facts`].

mod conflicts;
mod contracts;
mod tasks;

use std::collections::HashMap;

use crate::plan::config::Config;
use crate::plan::conflict::{self, Claim};
use crate::plan::diagnostic::{Code, Label, Problem, Span, closest};
use crate::plan::pattern::Pattern;
use crate::plan::schema::{Document, TaskSpec};
use crate::plan::wave::Order;
use crate::plan::yaml::At;
use crate::plan::{Analysis, ConflictReport, Facts, Plan, Task, costs, risk};
use crate::types::TaskId;

pub use tasks::is_vacuous;

/// Checks `document` against `facts` and `config`; every problem is found, not the first.
pub fn check(document: &Document, facts: &Facts, config: &Config) -> Analysis {
    let mut checker = Checker { document, facts, config, problems: Vec::new(), claims: Vec::new() };
    let (mut analysis, plan) = checker.run();
    analysis.plan = analysis.valid().then_some(plan);
    analysis
}

/// The plan that `document` says, whether it is valid or not: for a run that was checked when it was made.
pub fn resolve(document: &Document, facts: &Facts, config: &Config) -> Plan {
    Checker { document, facts, config, problems: Vec::new(), claims: Vec::new() }.run().1
}

struct Checker<'a> {
    document: &'a Document,
    facts: &'a Facts,
    config: &'a Config,
    problems: Vec<Problem>,
    claims: Vec<Claim<Pattern>>,
}

impl Checker<'_> {
    fn run(&mut self) -> (Analysis, Plan) {
        let document = self.document;
        if let Some(version) = document.version.as_ref().filter(|v| ***v != 1) {
            self.problems.push(
                Problem::error(
                    Code::WrongType,
                    format!("version {} of tasks.yaml is not known", **version),
                )
                .at(Label::here(version.span(), "1 is the only one")),
            );
        }
        if document.tasks.is_empty() {
            self.problems.push(
                Problem::error(Code::MissingField, "the plan has no task")
                    .at(Label::here(Span::START, ""))
                    .help("add at least one entry under `tasks:`"),
            );
        }
        let ids = self.ids();
        let dependencies = self.dependencies(&ids);
        let order = Order::new(dependencies.clone());
        self.cycles(&order, &ids);
        let defaults = document.defaults.clone().unwrap_or_default();
        let tasks: Vec<Task> = document
            .tasks
            .iter()
            .enumerate()
            .map(|(n, spec)| self.task(n, spec, &ids[n], &defaults))
            .collect();
        let contracts = self.contracts();
        let found = conflict::find(&order, &self.claims, &self.resources());
        let cost = costs(tasks.iter().map(|t| t.estimate_ms));
        let heads = order.heads(&cost);
        let tails = order.tails(&cost);
        let mut conflicts = Vec::with_capacity(found.listed.len());
        for c in &found.listed {
            let [a, b] = [c.sides[0].0, c.sides[1].0];
            // The edge that lengthens the longest path least; then the later task waits.
            let b_waits = heads[a].saturating_add(tails[b]) <= heads[b].saturating_add(tails[a]);
            let (waiting, first) = if b_waits { (b, a) } else { (a, b) };
            let fix = (ids[waiting].clone(), ids[first].clone());
            let tasks = [ids[a].clone(), ids[b].clone()];
            self.problems.push(self.conflict_problem(c, &fix));
            conflicts.push(ConflictReport { kind: c.code, target: c.target.clone(), tasks, fix });
        }
        let waves = order.waves();
        if waves.len() == tasks.len() && tasks.len() > 2 {
            self.problems.push(
                Problem::warning(Code::SingleWaveSerial, "every task waits for the one before it")
                    .at(Label::here(Span::START, "nothing here can run in parallel"))
                    .help("drop the `depends_on` that no file or contract asks for"),
            );
        }
        let name = |n: &usize| ids[*n].clone();
        let waves: Vec<Vec<TaskId>> = waves.iter().map(|w| w.iter().map(name).collect()).collect();
        let critical_path = order.critical_path(&cost).iter().map(name).collect();
        let risk = match self.config.risk_rules() {
            Ok(rules) => Some(risk::assess(&tasks, document.contracts.len(), &rules)),
            Err(problem) => {
                self.problems.push(*problem);
                None
            }
        };
        let (incremental, final_checks) = self.integration();
        let request = document.request.clone().unwrap_or_default();
        let base = document.base.as_ref().map(|b| (**b).clone());
        let plan = Plan::new(request, base, tasks, dependencies, incremental, final_checks);
        let mut problems = std::mem::take(&mut self.problems);
        problems.sort_by_key(|p| p.labels.first().map_or(0, |l| l.span.offset));
        let analysis = Analysis {
            tasks: document.tasks.len(),
            problems,
            conflicts,
            conflict_count: found.count,
            waves,
            critical_path,
            risk,
            contracts,
            plan: None,
        };
        (analysis, plan)
    }

    /// The ids, one for every task; a bad one is reported and stands in by its place.
    fn ids(&mut self) -> Vec<TaskId> {
        let mut seen: HashMap<&str, Span> = HashMap::new();
        let mut ids = Vec::new();
        for (n, task) in self.document.tasks.iter().enumerate() {
            let text = task.id.as_str();
            let parsed = TaskId::parse(text);
            if parsed.is_none() {
                self.problems.push(
                    Problem::error(Code::InvalidId, format!("`{text}` is not a task id"))
                        .at(Label::here(
                            task.id.span(),
                            "lower-case letters, digits and dashes, at most 63",
                        ))
                        .help("ids become names of branches, directories and tmux sessions"),
                );
            }
            if let Some(first) = seen.insert(text, task.id.span()) {
                self.problems.push(
                    Problem::error(Code::DuplicateId, format!("two tasks are called `{text}`"))
                        .at(Label::here(task.id.span(), "the second one"))
                        .at(Label::here(first, "the first one"))
                        .help("give one of them another id"),
                );
            }
            let stand_in = || TaskId::parse(&format!("task-{n}"));
            if let Some(id) = parsed.or_else(stand_in) {
                ids.push(id);
            }
        }
        ids
    }

    fn dependencies(&mut self, ids: &[TaskId]) -> Vec<Vec<usize>> {
        let index: HashMap<&str, usize> =
            self.document.tasks.iter().enumerate().map(|(n, t)| (t.id.as_str(), n)).collect();
        let mut out = Vec::with_capacity(ids.len());
        for (n, task) in self.document.tasks.iter().enumerate() {
            let mut list = Vec::new();
            for (k, name) in task.depends_on.iter().enumerate() {
                let path = format!("tasks[{n}].depends_on[{k}]");
                match index.get(name.as_str()) {
                    Some(&d) if d == n => self.problems.push(
                        Problem::error(
                            Code::SelfDependency,
                            format!("`{}` depends on itself", **name),
                        )
                        .at(Label::here(name.span(), "its own id"))
                        .help("remove this entry")
                        .of(&ids[n], path),
                    ),
                    Some(&d) => list.push(d),
                    None => {
                        let known = self.document.tasks.iter().map(|t| t.id.as_str());
                        let help = closest(name, known)
                            .map_or("no task has this id".to_owned(), |k| {
                                format!("did you mean `{k}`?")
                            });
                        self.problems.push(
                            Problem::error(
                                Code::UnknownDependency,
                                format!("there is no task `{}`", **name),
                            )
                            .at(Label::here(name.span(), "not the id of a task"))
                            .help(help)
                            .of(&ids[n], path),
                        );
                    }
                }
            }
            out.push(list);
        }
        out
    }

    fn cycles(&mut self, order: &Order, ids: &[TaskId]) {
        for group in &order.cycles {
            let way = order.way_round(group);
            let names: Vec<&str> = way.iter().map(|&t| ids[t].as_str()).collect();
            let mut problem = Problem::error(
                Code::Cycle,
                format!("these tasks wait for each other: {}", names.join(" → ")),
            )
            .help("remove one of these dependencies");
            for pair in way.windows(2) {
                let (from, to) = (&self.document.tasks[pair[0]], &self.document.tasks[pair[1]]);
                if let Some(edge) = from.depends_on.iter().find(|d| d.as_str() == to.id.as_str()) {
                    let text = format!("`{}` waits for `{}`", from.id.as_str(), to.id.as_str());
                    problem = problem.at(Label::here(edge.span(), text));
                }
            }
            if let Some(&first) = way.first() {
                problem = problem.of(&ids[first], format!("tasks[{first}].depends_on"));
            }
            self.problems.push(problem);
        }
    }
}

/// The contracts of a task, its own or the defaults'.
fn contracts_of<'a>(
    document: &'a Document,
    task: &'a TaskSpec,
) -> std::slice::Iter<'a, At<String>> {
    let defaults = document.defaults.as_ref().map_or(&[][..], |d| &d.contracts);
    if task.contracts.is_empty() { defaults.iter() } else { task.contracts.iter() }
}

/// The contracts that a task may change, its own or the defaults'.
fn renegotiates_of<'a>(
    document: &'a Document,
    task: &'a TaskSpec,
) -> std::slice::Iter<'a, At<String>> {
    let defaults = document.defaults.as_ref().map_or(&[][..], |d| &d.renegotiates);
    if task.renegotiates.is_empty() { defaults.iter() } else { task.renegotiates.iter() }
}
