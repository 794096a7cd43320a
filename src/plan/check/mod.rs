//! Every check of a document, in one pass, into an [`Analysis`]. Reads no disk: see [`Facts`].

mod conflicts;
mod contracts;
pub(crate) mod intents;
mod suggest;
mod tasks;

use std::collections::HashMap;

use crate::plan::config::{Config, Forbidden};
use crate::plan::conflict;
use crate::plan::diagnostic::{Code, Label, Problem, shown};
use crate::plan::place::Path;
use crate::plan::schema::{Defaults, Document};
use crate::plan::wave::Order;
use crate::plan::{Analysis, ConflictReport, Facts, PinnedContract, Plan, Task, costs, risk};
use crate::types::TaskId;

use conflicts::Claims;
use suggest::Suggest;
use tasks::Paths;

/// Checks `document` against `facts` and `config`; every problem is found, not the first.
pub fn check(document: &Document, facts: &Facts, config: &Config) -> Analysis {
    let lowered = intents::lower(document, facts, config);
    let (mut analysis, plan) = Checker::new(&lowered.document, facts, config).run();
    let plan = plan.with_edits(lowered.edits, lowered.own);
    analysis.problems.extend(lowered.problems);
    analysis.plan = analysis.valid().then_some(plan);
    analysis
}

/// The plan that `document` says, whether it is valid or not: for a run that was checked when it was made.
pub fn resolve(document: &Document, facts: &Facts, config: &Config) -> Plan {
    let lowered = intents::lower(document, facts, config);
    let plan = Checker::new(&lowered.document, facts, config).run().1;
    plan.with_edits(lowered.edits, lowered.own)
}

/// The order of a plan's tasks, what each costs, and what finds the conflicts in any order.
pub(super) type Claimed<'a> = (Order, Vec<u64>, Box<dyn Fn(&Order) -> conflict::Found + 'a>);

/// The order of a document's tasks, what each costs, and what finds their conflicts in any order; `None` when ids or
/// dependencies are wrong.
pub(super) fn claims<'a>(
    document: &'a Document,
    facts: &'a Facts,
    config: &'a Config,
) -> Option<Claimed<'a>> {
    let mut checker = Checker::new(document, facts, config);
    let ids = checker.ids();
    let order = Order::new(checker.dependencies(&ids));
    checker.cycles(&order, &ids);
    if !checker.problems.is_empty() {
        return None;
    }
    let tasks = document.tasks.iter().zip(&ids).enumerate();
    let paths: Vec<Paths> = tasks.map(|(n, (spec, id))| checker.paths(n, spec, id)).collect();
    let find = move |order: &Order| {
        let claims = Claims::of(&paths, facts, document);
        conflict::find(order, &claims.files(), &claims.resources())
    };
    let inherited = document.defaults.as_ref().and_then(|d| d.estimate);
    let cost = costs(document.tasks.iter().map(|t| t.estimate.or(inherited).map(|l| l.millis)));
    Some((order, cost, Box::new(find)))
}

struct Checker<'a> {
    document: &'a Document,
    facts: &'a Facts,
    config: &'a Config,
    forbidden: Forbidden,
    defaults: Defaults,
    /// The tasks by id; of two with the same id the later.
    index: HashMap<&'a str, usize>,
    suggest: Suggest,
    problems: Vec<Problem>,
}

impl<'a> Checker<'a> {
    fn new(document: &'a Document, facts: &'a Facts, config: &'a Config) -> Checker<'a> {
        Checker {
            document,
            facts,
            config,
            forbidden: config.boundaries.forbidden(document.tasks.len()),
            defaults: document.defaults.clone().unwrap_or_default(),
            index: document.tasks.iter().enumerate().map(|(n, t)| (t.id.as_str(), n)).collect(),
            suggest: Suggest::default(),
            problems: Vec::new(),
        }
    }

    fn run(mut self) -> (Analysis, Plan) {
        let document = self.document;
        self.whole();
        let ids = self.ids();
        let order = Order::new(self.dependencies(&ids));
        self.cycles(&order, &ids);
        let mut paths: Vec<Paths> = Vec::with_capacity(document.tasks.len());
        for (n, (spec, id)) in document.tasks.iter().zip(&ids).enumerate() {
            paths.push(self.paths(n, spec, id));
        }
        let contracts = self.contracts(&paths);
        let claims = Claims::of(&paths, self.facts, document);
        let found = conflict::find(&order, &claims.files(), &claims.resources());
        let mut tasks: Vec<Task> = Vec::with_capacity(document.tasks.len());
        for (n, (spec, id)) in document.tasks.iter().zip(&ids).enumerate() {
            tasks.push(self.task(n, spec, id));
        }
        for contract in &document.contracts {
            for consumer in &contract.consumers {
                let found = tasks.iter_mut().find(|t| t.id.as_str() == consumer.as_str());
                if let Some(task) = found.filter(|t| !t.contracts.contains(&contract.name)) {
                    task.contracts.push(contract.name.clone());
                }
            }
        }
        let cost = costs(tasks.iter().map(|t| t.estimate_ms));
        self.estimates(&tasks);
        let conflicts = self.conflicts(&found, &order, &cost, &ids, &paths);
        for (task, paths) in tasks.iter_mut().zip(paths) {
            (task.files_write, task.files_append) = paths.into_owned();
        }
        let waves = order.waves();
        if waves.len() == tasks.len() && tasks.len() > 2 {
            self.problems.push(
                Problem::warning(
                    Code::SingleWaveSerial,
                    format!("each of the {} tasks waits for the one before it", tasks.len()),
                )
                .help("nothing runs in parallel; drop the `depends_on` that no file or contract asks for"),
            );
        }
        let name = |n: &usize| ids[*n].clone();
        let waves: Vec<Vec<TaskId>> = waves.iter().map(|w| w.iter().map(name).collect()).collect();
        let critical_path = order.critical_path(&cost).iter().map(name).collect();
        let rules = self.config.risk_rules(2 * tasks.len());
        let risk = risk::assess(&tasks, document.contracts.len(), &rules);
        for task in &mut tasks {
            task.risk = rules.points(task);
        }
        let (incremental, final_checks) = self.integration();
        let mut plan = Plan::new(
            document.request.clone().unwrap_or_default(),
            document.base.clone(),
            tasks,
            order,
            incremental,
            final_checks,
        );
        let pinned = document.contracts.iter().map(|c| PinnedContract {
            name: c.name.clone(),
            version: c.version.clone(),
            file_path: c.file_path.clone(),
        });
        plan.contracts = pinned.collect();
        // A stand-in for an id that is wrong is no name that anybody knows.
        for problem in &mut self.problems {
            problem.task = problem.task.take().filter(|id| self.index.contains_key(id.as_str()));
        }
        let analysis = Analysis {
            tasks: document.tasks.len(),
            problems: self.problems,
            conflicts,
            conflict_count: found.count,
            waves,
            critical_path,
            risk: Some(risk),
            contracts,
            plan: None,
        };
        (analysis, plan)
    }

    fn whole(&mut self) {
        if let Some(version) = self.document.version.filter(|v| *v != 1) {
            self.problems.push(
                Problem::error(
                    Code::WrongType,
                    format!("version {version} of tasks.yaml is not known"),
                )
                .on(Path::of("version"), "1 is the only one"),
            );
        }
        if self.document.tasks.is_empty() {
            self.problems.push(
                Problem::error(Code::MissingField, "the plan has no task")
                    .on(Path::of("tasks"), "empty")
                    .help("add at least one entry under `tasks:`"),
            );
        }
    }

    /// The ids, one for every task; a bad one is reported and stands in by its place.
    fn ids(&mut self) -> Vec<TaskId> {
        let mut first: HashMap<&str, usize> = HashMap::with_capacity(self.document.tasks.len());
        let mut ids = Vec::with_capacity(self.document.tasks.len());
        for (n, task) in self.document.tasks.iter().enumerate() {
            let text = task.id.as_str();
            let path = || Path::task(n).key("id");
            let parsed = TaskId::parse(text);
            if parsed.is_none() {
                self.problems.push(
                    Problem::error(Code::InvalidId, format!("`{}` is not a task id", shown(text)))
                        .on(path(), "lower-case letters, digits and dashes, at most 63")
                        .help("ids become names of branches, directories and tmux sessions"),
                );
            }
            match first.get(text) {
                Some(first) => self.problems.push(
                    Problem::error(
                        Code::DuplicateId,
                        format!("two tasks are called `{}`", shown(text)),
                    )
                    .on(path(), "the second one")
                    .at(Label::on(Path::task(*first).key("id"), "the first one"))
                    .help("give one of them another id"),
                ),
                None => {
                    first.insert(text, n);
                }
            }
            let stand_in = || TaskId::parse(&format!("task-{n}"));
            if let Some(id) = parsed.or_else(stand_in) {
                ids.push(id);
            }
        }
        ids
    }

    fn dependencies(&mut self, ids: &[TaskId]) -> Vec<Vec<usize>> {
        let mut out = Vec::with_capacity(ids.len());
        for (n, task) in self.document.tasks.iter().enumerate() {
            let mut list = Vec::with_capacity(task.depends_on.len());
            for (k, name) in task.depends_on.iter().enumerate() {
                let name = name.as_str();
                let path = || Path::task(n).key("depends_on").index(k);
                match self.index.get(name) {
                    Some(&d) if d == n => self.problems.push(
                        Problem::error(
                            Code::SelfDependency,
                            format!("`{}` depends on itself", shown(name)),
                        )
                        .on(path(), "its own id")
                        .help("remove this entry")
                        .of(&ids[n]),
                    ),
                    Some(&d) => list.push(d),
                    None => {
                        let known = self.document.tasks.iter().map(|t| t.id.as_str());
                        let help = self.suggest.help(name, known, "no task has this id");
                        self.problems.push(
                            Problem::error(
                                Code::UnknownDependency,
                                format!("there is no task `{}`", shown(name)),
                            )
                            .on(path(), "not the id of a task")
                            .help(help)
                            .of(&ids[n]),
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
                let edge = from.depends_on.iter().position(|d| d == &to.id);
                if let Some(k) = edge {
                    let text = format!("`{}` waits for `{}`", from.id.as_str(), to.id.as_str());
                    problem =
                        problem.at(Label::on(Path::task(pair[0]).key("depends_on").index(k), text));
                }
            }
            if let Some(&first) = way.first() {
                problem = problem.of(&ids[first]).within(Path::task(first).key("depends_on"));
            }
            self.problems.push(problem);
        }
    }

    /// One warning for the whole plan: only the critical path and what is worked out from it suffers.
    fn estimates(&mut self, tasks: &[Task]) {
        let missing: Vec<usize> =
            (0..tasks.len()).filter(|n| tasks[*n].estimate_ms.is_none()).collect();
        let Some(&first) = missing.first() else { return };
        let (message, help) = if missing.len() == tasks.len() {
            (
                "no task has an estimate".to_owned(),
                "each counts as 1; add `estimate: 10m` for a true critical path",
            )
        } else {
            let message = format!("{} of {} tasks have no estimate", missing.len(), tasks.len());
            (message, "each of these counts as the mean of the others; add `estimate: 10m`")
        };
        let problem = Problem::warning(Code::NoEstimate, message).help(help);
        self.problems.push(if missing.len() == tasks.len() {
            problem
        } else {
            problem.on(Path::task(first).key("id"), "this one, for example")
        });
    }

    fn conflicts(
        &mut self,
        found: &conflict::Found,
        order: &Order,
        cost: &[u64],
        ids: &[TaskId],
        paths: &[Paths],
    ) -> Vec<ConflictReport> {
        let (heads, tails) = (order.heads(cost), order.tails(cost));
        let mut out = Vec::with_capacity(found.listed.len());
        for c in &found.listed {
            let [a, b] = [c.sides[0].0, c.sides[1].0];
            let (waiting, first) = order.gentler(a, b, &heads, &tails);
            let fix = (ids[waiting].clone(), ids[first].clone());
            let tasks = [ids[a].clone(), ids[b].clone()];
            self.problems.push(self.conflict_problem(c, &fix, paths));
            out.push(ConflictReport { kind: c.code, target: c.target.clone(), tasks, fix });
        }
        out
    }
}
