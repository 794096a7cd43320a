//! Every check of a document, in one pass, into an [`Analysis`]. Reads no disk: see [`Facts`].

use std::collections::HashMap;

use super::config::Config;
use super::conflict::{self, Claim, Role};
use super::diagnostic::{Code, Label, Problem, Span, closest};
use super::pattern::{Pattern, PatternError, is_below};
use super::schema::{
    CheckSpec, Defaults, Document, IntentAction, IntentValue, PatchIntent, TaskSpec,
};
use super::wave::Order;
use super::yaml::At;
use super::{
    Analysis, Check, ConflictReport, ContractStatus, DEFAULT_ATTEMPTS, DEFAULT_CHECK_TIMEOUT_MS,
    DEFAULT_TIMEOUT_MS, Facts, Plan, Task, Work, contract, costs, risk,
};
use crate::types::TaskId;

/// Checks `document` against `facts` and `config`; every problem is found, not the first.
pub fn check(document: &Document, facts: &Facts, config: &Config) -> Analysis {
    let mut checker = Checker { document, facts, config, problems: Vec::new(), claims: Vec::new() };
    checker.run()
}

struct Checker<'a> {
    document: &'a Document,
    facts: &'a Facts,
    config: &'a Config,
    problems: Vec<Problem>,
    claims: Vec<Claim<Pattern>>,
}

impl Checker<'_> {
    fn run(&mut self) -> Analysis {
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
        let mut analysis = Analysis {
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
        analysis.plan = analysis.valid().then_some(plan);
        analysis
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

    fn task(&mut self, n: usize, spec: &TaskSpec, id: &TaskId, defaults: &Defaults) -> Task {
        let files_write = self.patterns(n, id, "files_write", &spec.files_write, Role::Write);
        self.patterns(n, id, "files_read", &spec.files_read, Role::Read);
        let files_append = self.patterns(n, id, "files_append", &spec.files_append, Role::Append);
        for (k, pattern) in files_write.iter().enumerate() {
            let Some(at) = spec.files_write.get(k) else { continue };
            if pattern.is_broad() {
                self.problems.push(
                    Problem::warning(
                        Code::BroadGlob,
                        format!("`{pattern}` owns files all over the tree"),
                    )
                    .at(Label::here(at.span(), "conflicts with nearly every other task"))
                    .help("name the directory that the task works in"),
                );
            }
        }
        let intents = if spec.patch_intents.is_empty() {
            &defaults.patch_intents
        } else {
            &spec.patch_intents
        };
        let specs =
            if spec.verification.is_empty() { &defaults.verification } else { &spec.verification };
        let verification = self.checks(specs, &format!("tasks[{n}].verification"));
        self.verification(n, spec, id, specs);
        let run =
            spec.run.as_ref().or_else(|| defaults.run.as_ref().filter(|_| spec.agent.is_none()));
        if let (Some(run), Some(agent)) = (&spec.run, &spec.agent) {
            self.problems.push(
                Problem::error(Code::WrongType, "a task has either `run` or `agent`, not both")
                    .at(Label::here(agent.span(), "this agent would have nothing to do"))
                    .at(Label::here(run.span(), "this command is the work"))
                    .help("remove one of them")
                    .of(id, format!("tasks[{n}].agent")),
            );
        }
        if let Some(run) = spec.run.as_ref().filter(|r| r.trim().is_empty()) {
            self.problems.push(
                Problem::error(Code::MissingField, "`run` is empty")
                    .at(Label::here(run.span(), "no command")),
            );
        }
        let agent = spec.agent.as_ref().or(defaults.agent.as_ref()).map(|a| (**a).clone());
        let deps = spec.deps_required.as_ref().or(defaults.deps_required.as_ref());
        let attempts = spec.max_attempts.as_ref().or(defaults.max_attempts.as_ref());
        if let Some(zero) = attempts.filter(|a| ***a == 0) {
            self.problems.push(
                Problem::error(Code::WrongType, "max_attempts is 0")
                    .at(Label::here(zero.span(), "at least 1"))
                    .of(id, format!("tasks[{n}].max_attempts")),
            );
        }
        let mut env = defaults.env.clone();
        env.extend(spec.env.clone());
        Task {
            id: id.clone(),
            description: spec.description.clone(),
            prompt: spec.prompt.clone().or_else(|| defaults.prompt.clone()),
            work: run.map_or(Work::Agent(agent), |r| Work::Command((**r).clone())),
            files_write,
            files_append,
            verification,
            allow_large_changes: spec
                .allow_large_changes
                .or(defaults.allow_large_changes)
                .unwrap_or(false),
            expects_no_changes: spec
                .expects_no_changes
                .or(defaults.expects_no_changes)
                .unwrap_or(false),
            timeout_ms: spec.timeout.or(defaults.timeout).map_or(DEFAULT_TIMEOUT_MS, |l| l.millis),
            max_attempts: attempts.map_or(DEFAULT_ATTEMPTS, |a| **a),
            priority: spec.priority.or(defaults.priority).unwrap_or(0),
            estimate_ms: spec.estimate.or(defaults.estimate).map(|l| l.millis),
            env,
            patch_intents: intents.len(),
            runtime_dependencies: deps.map_or(0, |d| d.runtime.len()),
        }
    }

    /// Reads a list of paths; what is wrong with one is reported and the one left out.
    fn patterns(
        &mut self,
        n: usize,
        id: &TaskId,
        field: &str,
        list: &[At<String>],
        role: Role,
    ) -> Vec<Pattern> {
        let mut out = Vec::new();
        for (nth, raw) in list.iter().enumerate() {
            let path = format!("tasks[{n}].{field}[{nth}]");
            match Pattern::parse(raw, self.facts.existing.contains(raw.as_str())) {
                Ok(pattern) => {
                    let fixed = pattern.as_str();
                    let outward = |link: &&String| fixed == link.as_str() || is_below(fixed, link);
                    if let Some(link) = self.facts.outward_links.iter().find(outward) {
                        self.problems.push(
                            Problem::error(
                                Code::PathEscapesRepo,
                                format!("`{fixed}` leaves the repository"),
                            )
                            .at(Label::here(
                                raw.span(),
                                format!("`{link}` is a symbolic link to outside"),
                            ))
                            .of(id, path.clone()),
                        );
                    }
                    if role == Role::Write
                        && let Some(rule) = self.config.boundaries.forbids(fixed)
                    {
                        self.problems.push(
                            Problem::error(Code::WriteForbidden, format!("no task may write `{fixed}`"))
                                .at(Label::here(raw.span(), format!("falls under `{rule}`")))
                                .help("lockfiles are changed by the engine only; other rules stand under `boundaries` in slimductor.yaml")
                                .of(id, path),
                        );
                    }
                    self.claims.push(Claim { task: n, role, nth, target: pattern.clone() });
                    out.push(pattern);
                }
                Err(error) => self.problems.push(bad_path(raw, &error).of(id, path)),
            }
        }
        out
    }

    fn verification(&mut self, n: usize, spec: &TaskSpec, id: &TaskId, checks: &[CheckSpec]) {
        let path = format!("tasks[{n}].verification");
        if checks.is_empty() {
            self.problems.push(
                Problem::error(Code::NoVerification, format!("`{id}` has no verification"))
                    .at(Label::here(spec.id.span(), "nothing would prove this task done"))
                    .help("add `verification:` with at least one command that fails when the work is wrong")
                    .of(id, path),
            );
            return;
        }
        let mut required = checks.iter().filter(|c| c.required.unwrap_or(true)).peekable();
        if required.peek().is_none() || required.all(|c| is_vacuous(&c.command)) {
            let label = checks.first().map_or(Span::START, |c| c.command.span());
            self.problems.push(
                Problem::error(
                    Code::VacuousVerification,
                    format!("the verification of `{id}` can only pass"),
                )
                .at(Label::here(label, "proves nothing"))
                .help("add a required command that fails when the work is wrong")
                .of(id, path),
            );
        }
    }

    fn checks(&mut self, specs: &[CheckSpec], path: &str) -> Vec<Check> {
        let mut out = Vec::new();
        for (k, spec) in specs.iter().enumerate() {
            if spec.command.trim().is_empty() {
                self.problems.push(
                    Problem::error(Code::MissingField, format!("{path}[{k}].command is empty"))
                        .at(Label::here(spec.command.span(), "no command")),
                );
            }
            let mut paths = Vec::new();
            for raw in &spec.paths {
                match Pattern::parse(raw, self.facts.existing.contains(raw.as_str())) {
                    Ok(pattern) => paths.push(pattern),
                    Err(error) => self.problems.push(bad_path(raw, &error)),
                }
            }
            out.push(Check {
                command: (*spec.command).clone(),
                kind: spec.kind,
                required: spec.required.unwrap_or(true),
                timeout_ms: spec.timeout.map_or(DEFAULT_CHECK_TIMEOUT_MS, |l| l.millis),
                paths,
            });
        }
        out
    }

    fn integration(&mut self) -> (Vec<Check>, Vec<Check>) {
        let plan = self.document.integration.clone().unwrap_or_default();
        let incremental = plan.incremental.or_else(|| self.config.integration.incremental.clone());
        let final_ = plan.final_.or_else(|| self.config.integration.final_.clone());
        (
            self.checks(&incremental.unwrap_or_default(), "integration.incremental"),
            self.checks(&final_.unwrap_or_default(), "integration.final"),
        )
    }

    fn contracts(&mut self) -> Vec<ContractStatus> {
        let document = self.document;
        let mut out = Vec::new();
        for (n, spec) in document.contracts.iter().enumerate() {
            let path = spec.file_path.as_str();
            let version = spec.version.as_ref().map(|v| (**v).clone());
            let text = self.facts.contracts.get(path).cloned().flatten();
            let status = match text.as_deref().map(contract::read_header) {
                None => {
                    self.problems.push(
                        Problem::error(
                            Code::ContractMissing,
                            format!("the contract file `{path}` does not exist"),
                        )
                        .at(Label::here(spec.file_path.span(), "no such file"))
                        .help("write it and commit it: workers start from the commit"),
                    );
                    "missing"
                }
                Some(header) if version.is_some() && header.version != version => {
                    let found = header.version.as_deref().unwrap_or("none");
                    let span = spec.version.as_ref().map_or(spec.name.span(), At::span);
                    self.problems.push(
                        Problem::error(
                            Code::ContractVersionMismatch,
                            format!("`{path}` says another version: {found}"),
                        )
                        .at(Label::here(span, "the plan pins this one")),
                    );
                    "version_mismatch"
                }
                Some(_) => "ok",
            };
            for consumer in &spec.consumers {
                if !document.tasks.iter().any(|t| t.id.as_str() == consumer.as_str()) {
                    let near = closest(consumer, document.tasks.iter().map(|t| t.id.as_str()));
                    let mut problem = Problem::error(
                        Code::ContractConsumerUnknown,
                        format!("there is no task `{}`", **consumer),
                    )
                    .at(Label::here(consumer.span(), "named as a consumer"));
                    problem.path = Some(format!("contracts[{n}].consumers"));
                    problem.help = near.map(|k| format!("did you mean `{k}`?"));
                    self.problems.push(problem);
                }
            }
            let used = !spec.consumers.is_empty()
                || document.tasks.iter().any(|t| {
                    t.contracts
                        .iter()
                        .chain(&t.renegotiates)
                        .any(|c| c.as_str() == spec.name.as_str())
                });
            if !used {
                self.problems.push(
                    Problem::warning(
                        Code::UnusedContract,
                        format!("no task uses `{}`", *spec.name),
                    )
                    .at(Label::here(spec.name.span(), "declared here")),
                );
            }
            out.push(ContractStatus {
                name: (*spec.name).clone(),
                version,
                file_path: path.to_owned(),
                status,
            });
        }
        self.contract_uses();
        out
    }

    fn contract_uses(&mut self) {
        let document = self.document;
        for (n, task) in document.tasks.iter().enumerate() {
            let Some(id) = TaskId::parse(task.id.as_str()) else { continue };
            for name in task.contracts.iter().chain(&task.renegotiates) {
                if !document.contracts.iter().any(|c| c.name.as_str() == name.as_str()) {
                    let near = closest(name, document.contracts.iter().map(|c| c.name.as_str()));
                    let mut problem = Problem::error(
                        Code::ContractUnknown,
                        format!("the contract `{}` is not declared", **name),
                    )
                    .at(Label::here(name.span(), "not under `contracts:`"))
                    .of(&id, format!("tasks[{n}].contracts"));
                    problem.help = near.map(|k| format!("did you mean `{k}`?"));
                    self.problems.push(problem);
                }
            }
            for contract in &document.contracts {
                let Ok(file) = Pattern::parse(contract.file_path.as_str(), true) else { continue };
                let may = task.renegotiates.iter().any(|r| r.as_str() == contract.name.as_str());
                let owned = self
                    .claims
                    .iter()
                    .find(|c| c.task == n && c.role == Role::Write && c.target.overlaps(&file));
                if let (false, Some(claim)) = (may, owned) {
                    let span = task.files_write.get(claim.nth).map_or(task.id.span(), At::span);
                    self.problems.push(
                        Problem::error(
                            Code::ContractWrittenByTask,
                            format!("`{id}` owns the contract `{}`", *contract.name),
                        )
                        .at(Label::here(span, format!("covers {}", contract.file_path.as_str())))
                        .help("name it under `renegotiates:`, or leave the file out")
                        .of(&id, format!("tasks[{n}].files_write[{}]", claim.nth)),
                    );
                }
            }
        }
    }

    fn resources(&self) -> Vec<Claim<String>> {
        let mut out = Vec::new();
        for (task, spec) in self.document.tasks.iter().enumerate() {
            let named = |list: &[At<String>], role, out: &mut Vec<Claim<String>>| {
                for (nth, name) in list.iter().enumerate() {
                    out.push(Claim { task, role, nth, target: (**name).clone() });
                }
            };
            named(&spec.resources_write, Role::Write, &mut out);
            named(&spec.resources_read, Role::Read, &mut out);
            for intent in &spec.patch_intents {
                if let Some(target) = implied_resource(intent) {
                    out.push(Claim { task, role: Role::Write, nth: usize::MAX, target });
                }
            }
        }
        out
    }

    fn conflict_problem(&self, c: &conflict::Conflict, fix: &(TaskId, TaskId)) -> Problem {
        let side = |n: usize| {
            let (task, role, nth) = c.sides[n];
            let spec = &self.document.tasks[task];
            let files = matches!(c.code, Code::FileWriteWrite | Code::FileReadWrite);
            let (list, field) = match (files, role) {
                (true, Role::Write) => (&spec.files_write, "files_write"),
                (true, Role::Read) => (&spec.files_read, "files_read"),
                (true, Role::Append) => (&spec.files_append, "files_append"),
                (false, Role::Write | Role::Append) => (&spec.resources_write, "resources_write"),
                (false, Role::Read) => (&spec.resources_read, "resources_read"),
            };
            let at = list.get(nth).map_or(spec.id.span(), At::span);
            let verb = match role {
                Role::Write => "writes",
                Role::Read => "reads",
                Role::Append => "appends to",
            };
            (
                at,
                format!("`{}` {verb} it", spec.id.as_str()),
                format!("tasks[{task}].{field}[{nth}]"),
            )
        };
        let (first, second) = (side(0), side(1));
        let (waiting, before) = (&fix.0, &fix.1);
        let mut problem =
            Problem::error(c.code, format!("two unordered tasks touch `{}`", c.target))
                .at(Label::here(second.0, second.1))
                .at(Label::here(first.0, first.1))
                .help("order them, or give the file to one of them")
                .fix(format!("add `{before}` to depends_on of `{waiting}`"));
        problem.task = Some(waiting.clone());
        problem.path = Some(second.2);
        problem
    }
}

/// The resource that an intent stands for.
fn implied_resource(intent: &PatchIntent) -> Option<String> {
    let (prefix, key) = match intent.action {
        IntentAction::AddRouter => ("route", "prefix"),
        IntentAction::AddDependency => ("di", "function_name"),
        IntentAction::AddConfig => ("config", "key"),
        IntentAction::AddMiddleware => ("middleware", "middleware_class"),
        IntentAction::AppendLine => return None,
    };
    match intent.intent.get(key) {
        Some(IntentValue::Text(value)) => Some(format!("{prefix}:{value}")),
        Some(IntentValue::Flag(_) | IntentValue::Number(_) | IntentValue::List(_)) | None => None,
    }
}

fn bad_path(raw: &At<String>, error: &PatternError) -> Problem {
    let text = raw.as_str().escape_debug();
    let (code, message, help) = match error {
        PatternError::Empty => {
            (Code::BadPattern, "an empty path".to_owned(), "name a file or directory")
        }
        PatternError::Absolute => (
            Code::PathAbsolute,
            format!("`{text}` is absolute"),
            "paths are relative to the repository's root",
        ),
        PatternError::Escapes => {
            (Code::PathEscapesRepo, format!("`{text}` leaves the repository"), "take the `..` out")
        }
        PatternError::GitDir => (
            Code::PathInGitDir,
            format!("`{text}` lies in git's own directory"),
            "no task may touch it",
        ),
        PatternError::Malformed(why) => (
            Code::BadPattern,
            format!("`{text}` is not a pattern: {why}"),
            "`\\` before a sign makes it a plain character",
        ),
    };
    Problem::error(code, message).at(Label::here(raw.span(), "here")).help(help)
}

/// Whether a command can only pass.
pub fn is_vacuous(command: &str) -> bool {
    let command = command.trim();
    for tail in ["|| true", "|| :", "|| exit 0", "; true", "; :", "; exit 0"] {
        if command.ends_with(tail) {
            return true;
        }
    }
    if command.contains('|') && !command.contains("||") {
        return false;
    }
    command.split("&&").flat_map(|part| part.split(';')).all(|part| {
        let part = part.trim();
        let Ok(words) = shell_words::split(part) else { return false };
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        match words.as_slice() {
            [] | ["true" | ":" | "echo" | "ls" | "printf" | "pwd", ..] | ["exit", "0"] => true,
            [python, "-c", code] if python.starts_with("python") => {
                let one =
                    |s: &str| s.trim().starts_with("import ") || s.trim().starts_with("from ");
                code.split([';', '\n']).all(|s| s.trim().is_empty() || one(s))
            }
            _ => false,
        }
    })
}
