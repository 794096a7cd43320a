//! The checks of one task: its paths, its verification, what it resolves to.

use super::Checker;
use crate::plan::config::AGENTS;
use crate::plan::conflict::Role;
use crate::plan::diagnostic::{Code, Label, Problem, bad_path, shown};
use crate::plan::pattern::Pattern;
use crate::plan::place::Path;
use crate::plan::schema::{CheckSpec, TaskSpec};
use crate::plan::vacuous::{only_passes_all, proves_nothing};
use crate::plan::{
    Check, DEFAULT_ATTEMPTS, DEFAULT_CHECK_TIMEOUT_MS, DEFAULT_TIMEOUT_MS, Task, Work,
};
use crate::types::TaskId;

/// The paths of one task that could be read, each with its place in its list.
#[derive(Debug, Default)]
pub(super) struct Paths {
    write: Vec<(usize, Pattern)>,
    read: Vec<(usize, Pattern)>,
    append: Vec<(usize, Pattern)>,
    intents: Vec<(usize, Pattern)>,
}

impl Paths {
    fn list(&self, role: Role) -> &[(usize, Pattern)] {
        match role {
            Role::Write => &self.write,
            Role::Read => &self.read,
            Role::Append => &self.append,
            Role::Intent => &self.intents,
        }
    }

    pub(super) fn all(&self) -> impl Iterator<Item = (Role, usize, &Pattern)> {
        [Role::Write, Role::Read, Role::Append, Role::Intent].into_iter().flat_map(|role| {
            self.list(role).iter().map(move |(nth, pattern)| (role, *nth, pattern))
        })
    }

    pub(super) fn get(&self, role: Role, nth: usize) -> Option<&Pattern> {
        self.list(role).iter().find(|(n, _)| *n == nth).map(|(_, pattern)| pattern)
    }

    /// What it may write, and to what it may append.
    pub(super) fn into_owned(self) -> (Vec<Pattern>, Vec<Pattern>) {
        let bare = |list: Vec<(usize, Pattern)>| list.into_iter().map(|(_, p)| p).collect();
        (bare(self.write), bare(self.append))
    }
}

impl Checker<'_> {
    pub(super) fn paths(&mut self, n: usize, spec: &TaskSpec, id: &TaskId) -> Paths {
        let mut paths = Paths::default();
        let lists = [
            ("files_write", &spec.files_write, Role::Write),
            ("files_read", &spec.files_read, Role::Read),
            ("files_append", &spec.files_append, Role::Append),
        ];
        for (field, list, role) in lists {
            let mut out = Vec::with_capacity(list.len());
            for (nth, raw) in list.iter().enumerate() {
                let path = || Path::task(n).key(field).index(nth);
                if let Some(pattern) = self.pattern(raw, role, id, &path) {
                    out.push((nth, pattern));
                }
            }
            match role {
                Role::Write => paths.write = out,
                Role::Read => paths.read = out,
                Role::Append | Role::Intent => paths.append = out,
            }
        }
        let own = !spec.patch_intents.is_empty();
        let owner = Path::owner(own, n);
        let files: Vec<String> =
            if own { &spec.patch_intents } else { &self.defaults.patch_intents }
                .iter()
                .map(|intent| intent.file.clone())
                .collect();
        for (nth, file) in files.iter().enumerate() {
            let path = || owner.clone().key("patch_intents").index(nth).key("file");
            if let Some(pattern) = self.pattern(file, Role::Intent, id, &path) {
                paths.intents.push((nth, pattern));
            }
        }
        paths
    }

    /// Reads one path; what is wrong with it is reported.
    fn pattern(
        &mut self,
        raw: &str,
        role: Role,
        id: &TaskId,
        path: &dyn Fn() -> Path,
    ) -> Option<Pattern> {
        let read = match role {
            Role::Intent => Pattern::parse(raw, true),
            Role::Write | Role::Read | Role::Append => Pattern::parse_in(raw, &self.facts.existing),
        };
        let pattern = match read {
            Ok(pattern) => pattern,
            Err(error) => {
                self.problems.push(bad_path(raw, &error, path()).of(id));
                return None;
            }
        };
        let pattern = match pattern.literal() {
            Some(path) if self.facts.directories.contains(path) => pattern.known_as_file(false),
            Some(path) if self.facts.files.contains(path) => pattern.known_as_file(true),
            Some(_) | None => pattern,
        };
        let outward = self.facts.outward_links.iter().find(|link| pattern.is_below(link));
        if let Some(link) = outward {
            self.problems.push(
                Problem::error(
                    Code::PathEscapesRepo,
                    format!("`{}` leaves the repository", shown(pattern.as_str())),
                )
                .on(path(), format!("`{link}` is a symbolic link to outside"))
                .help("name the files by a path inside the repository")
                .of(id),
            );
        }
        let into_git = self.facts.links.iter().find(|(link, to)| {
            to.split('/').any(|part| part.eq_ignore_ascii_case(".git")) && pattern.is_below(link)
        });
        if let Some((link, to)) = into_git {
            self.problems.push(
                Problem::error(
                    Code::PathInGitDir,
                    format!("`{}` lies in git's own directory", shown(pattern.as_str())),
                )
                .on(path(), format!("`{link}` is a symbolic link to `{to}`"))
                .help("no task may touch it")
                .of(id),
            );
        }
        if role == Role::Read {
            return Some(pattern);
        }
        if let Some(rule) = self.forbidden.aimed_at(&pattern) {
            self.problems.push(
                Problem::error(
                    Code::WriteForbidden,
                    format!("no task may write `{}`", shown(pattern.as_str())),
                )
                .on(path(), format!("falls under `{rule}`"))
                .help("lockfiles are changed by the engine only; other rules stand under `boundaries` in slimductor.yaml")
                .of(id),
            );
        }
        if role == Role::Write && pattern.is_broad() {
            self.problems.push(
                Problem::warning(
                    Code::BroadGlob,
                    format!("`{pattern}` owns files all over the tree"),
                )
                .on(path(), "conflicts with nearly every other task")
                .help("name the directory that the task works in")
                .of(id),
            );
        }
        Some(pattern)
    }

    pub(super) fn task(&mut self, n: usize, spec: &TaskSpec, id: &TaskId) -> Task {
        let own = !spec.verification.is_empty();
        let owner = || Path::owner(own, n);
        let inherited = std::mem::take(&mut self.defaults.verification);
        let specs = if own { &spec.verification } else { &inherited };
        // What is wrong with an inherited check is said once.
        let verification = self.checks(specs, &|| owner().key("verification"), own || n == 0);
        self.verification(n, id, specs, own);
        self.defaults.verification = inherited;
        self.work(n, spec, id);
        let defaults = &self.defaults;
        let run =
            spec.run.as_ref().or_else(|| defaults.run.as_ref().filter(|_| spec.agent.is_none()));
        let agent = spec.agent.clone().or_else(|| defaults.agent.clone());
        let intents = if spec.patch_intents.is_empty() {
            defaults.patch_intents.len()
        } else {
            spec.patch_intents.len()
        };
        let deps = spec.deps_required.as_ref().or(defaults.deps_required.as_ref());
        let mut env = defaults.env.clone();
        env.extend(spec.env.clone());
        let flag = |own: Option<bool>, inherited: Option<bool>| own.or(inherited).unwrap_or(false);
        Task {
            id: id.clone(),
            description: spec.description.clone(),
            prompt: spec.prompt.clone().or_else(|| defaults.prompt.clone()),
            work: run.map_or(Work::Agent(agent), |r| Work::Command(r.clone())),
            files_write: Vec::new(),
            files_append: Vec::new(),
            verification,
            allow_large_changes: flag(spec.allow_large_changes, defaults.allow_large_changes),
            expects_no_changes: flag(spec.expects_no_changes, defaults.expects_no_changes),
            timeout_ms: spec.timeout.or(defaults.timeout).map_or(DEFAULT_TIMEOUT_MS, |l| l.millis),
            max_attempts: spec.max_attempts.or(defaults.max_attempts).unwrap_or(DEFAULT_ATTEMPTS),
            priority: spec.priority.or(defaults.priority).unwrap_or(0),
            estimate_ms: spec.estimate.or(defaults.estimate).map(|l| l.millis),
            env,
            patch_intents: intents,
            runtime_dependencies: deps.map_or(0, |d| d.runtime.len()),
            packages: deps.map_or_else(Vec::new, |d| [&d.runtime[..], &d.dev].concat()),
            risk: 0,
            edits: Vec::new(),
            own_edits: Vec::new(),
            contracts: own_or(&spec.contracts, &defaults.contracts),
            renegotiates: own_or(&spec.renegotiates, &defaults.renegotiates),
        }
    }

    /// Who or what does the work.
    fn work(&mut self, n: usize, spec: &TaskSpec, id: &TaskId) {
        let path = |field| Path::task(n).key(field);
        if spec.run.is_some() && spec.agent.is_some() {
            self.problems.push(
                Problem::error(Code::WrongType, "a task has either `run` or `agent`, not both")
                    .on(path("agent"), "this agent would have nothing to do")
                    .at(Label::on(path("run"), "this command is the work"))
                    .help("remove one of them")
                    .of(id),
            );
        }
        self.environment(n, spec, id);
        // What the defaults say is reported with the first task.
        let inherited = self.defaults.run.clone().filter(|_| n == 0);
        if let Some(run) = spec.run.as_ref().or(inherited.as_ref()) {
            let place = Path::owner(spec.run.is_some(), n).key("run");
            if run.contains('\0') {
                self.problems.push(nul(place.clone()).of(id));
            }
            if run.trim().is_empty() {
                self.problems.push(
                    Problem::error(Code::MissingField, "`run` is empty")
                        .on(place, "no command")
                        .help("give it a command, or leave `run` out and name an agent")
                        .of(id),
                );
            }
        }
        let (agent, place) = match (&spec.agent, n) {
            (Some(agent), _) => (Some(agent.clone()), path("agent")),
            (None, 0) => (self.defaults.agent.clone(), Path::of("defaults").key("agent")),
            (None, _) => (None, path("agent")),
        };
        if let Some(agent) = agent
            && !AGENTS.contains(&agent.as_str())
            && !self.config.agents.contains_key(&agent)
        {
            let known: Vec<&str> =
                AGENTS.into_iter().chain(self.config.agents.keys().map(String::as_str)).collect();
            let otherwise = format!("known here: {}", known.join(", "));
            let help = self.suggest.help(&agent, known.into_iter(), &otherwise);
            self.problems.push(
                Problem::error(
                    Code::UnknownAgent,
                    format!("there is no agent `{}`", shown(&agent)),
                )
                .on(place, "neither built in nor under `agents` in slimductor.yaml")
                .help(help),
            );
        }
        let zero = |attempts: Option<u32>| attempts == Some(0);
        let place = match (zero(spec.max_attempts), zero(self.defaults.max_attempts), n) {
            (true, _, _) => path("max_attempts"),
            (false, true, 0) => Path::of("defaults").key("max_attempts"),
            (false, _, _) => return,
        };
        self.problems.push(
            Problem::error(Code::WrongType, "max_attempts is 0")
                .on(place, "at least 1")
                .help("leave it out for 3 attempts"),
        );
    }

    /// Names and values that no process can be given.
    fn environment(&mut self, n: usize, spec: &TaskSpec, id: &TaskId) {
        let inherited = self.defaults.env.clone();
        let lists = [(Path::task(n), &spec.env), (Path::of("defaults"), &inherited)];
        for (owner, list) in lists.into_iter().take(if n == 0 { 2 } else { 1 }) {
            for (name, value) in list {
                if name.is_empty() || name.contains(['=', '\0']) || value.contains('\0') {
                    self.problems.push(
                        Problem::error(
                            Code::WrongType,
                            format!("`{}` cannot be a variable of the environment", shown(name)),
                        )
                        .on(
                            owner.clone().key("env").key(name),
                            "no `=` in the name, no NUL in the value",
                        )
                        .help("name and value stand apart: `NAME: value`")
                        .of(id),
                    );
                }
            }
        }
    }

    fn verification(&mut self, n: usize, id: &TaskId, checks: &[CheckSpec], own: bool) {
        let name = self.document.tasks.get(n).map_or_else(String::new, |t| shown(t.id.as_str()));
        let path = Path::task(n).key("verification");
        if checks.is_empty() {
            self.problems.push(
                Problem::error(Code::NoVerification, format!("`{name}` has no verification"))
                    .at(Label::on(Path::task(n).key("id"), "nothing would prove this task done"))
                    .help("add `verification:` with at least one command that fails when the work is wrong")
                    .within(path)
                    .of(id),
            );
            return;
        }
        if proves_nothing(checks) {
            let owner = Path::owner(own, n);
            self.problems.push(
                Problem::error(
                    Code::VacuousVerification,
                    format!("the verification of `{name}` can only pass"),
                )
                .at(Label::on(owner.key("verification").index(0).key("command"), "proves nothing"))
                .help("add a required command that fails when the work is wrong")
                .within(path)
                .of(id),
            );
        }
    }

    /// Reads a list of checks; with `report`, what is wrong with them is reported.
    fn checks(&mut self, specs: &[CheckSpec], path: &dyn Fn() -> Path, report: bool) -> Vec<Check> {
        let before = self.problems.len();
        let mut out = Vec::with_capacity(specs.len());
        for (k, spec) in specs.iter().enumerate() {
            if spec.command.contains('\0') {
                self.problems.push(nul(path().index(k).key("command")));
            }
            if spec.command.trim().is_empty() {
                self.problems.push(
                    Problem::error(Code::MissingField, "a command is empty")
                        .on(path().index(k).key("command"), "no command")
                        .help("name what is to be run, or remove the entry"),
                );
            }
            let mut paths = Vec::new();
            for (nth, raw) in spec.paths.iter().enumerate() {
                match Pattern::parse_in(raw, &self.facts.existing) {
                    Ok(pattern) => paths.push(pattern),
                    Err(error) => {
                        let place = path().index(k).key("paths").index(nth);
                        self.problems.push(bad_path(raw, &error, place));
                    }
                }
            }
            out.push(Check {
                command: spec.command.clone(),
                kind: spec.kind,
                required: spec.required.unwrap_or(true),
                timeout_ms: spec.timeout.map_or(DEFAULT_CHECK_TIMEOUT_MS, |l| l.millis),
                paths,
            });
        }
        if !report {
            self.problems.truncate(before);
        }
        out
    }

    /// The commands on the merged result: the plan's, else the configuration's.
    pub(super) fn integration(&mut self) -> (Option<Vec<Check>>, Option<Vec<Check>>) {
        let plan = self.document.integration.clone().unwrap_or_default();
        let set = &self.config.integration;
        let lists = [
            ("incremental", plan.incremental, set.incremental.clone()),
            ("final", plan.final_, set.final_.clone()),
        ];
        let [incremental, final_] = lists.map(|(name, own, configured)| {
            let path = || Path::of("integration").key(name);
            // Those of the configuration were judged with it.
            let report = own.is_some();
            if own.as_deref().is_some_and(only_passes_all) {
                self.problems.push(
                    Problem::error(
                        Code::VacuousVerification,
                        format!("the commands of integration.{name} can only pass"),
                    )
                    .on(path().index(0).key("command"), "proves nothing")
                    .help("name a required command that fails when the result is wrong, or leave the list out"),
                );
            }
            own.or(configured).map(|list| self.checks(&list, &path, report))
        });
        (incremental, final_)
    }
}

/// A task's own list, or the defaults' where it has none.
fn own_or(own: &[String], inherited: &[String]) -> Vec<String> {
    if own.is_empty() { inherited.to_vec() } else { own.to_vec() }
}

fn nul(path: Path) -> Problem {
    Problem::error(
        Code::WrongType,
        "a command holds a NUL character, which no program can be given",
    )
    .on(path, "here")
    .help("take it out")
}
