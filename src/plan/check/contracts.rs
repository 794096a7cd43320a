//! The checks of contracts: that they are there, say what the plan pins, and are used by who may.

use super::Checker;
use super::conflicts::other_names;
use super::tasks::Paths;
use crate::plan::ContractStatus;
use crate::plan::conflict::Role;
use crate::plan::contract::{self, State};
use crate::plan::diagnostic::{Anchor, Code, Label, Problem, bad_path, shown};
use crate::plan::pattern::Pattern;
use crate::plan::place::Path;
use crate::plan::schema::{ContractSpec, TaskSpec};
use crate::types::TaskId;

impl Checker<'_> {
    pub(super) fn contracts(&mut self, paths: &[Paths]) -> Vec<ContractStatus> {
        let document = self.document;
        let mut out = Vec::new();
        for (n, spec) in document.contracts.iter().enumerate() {
            let path = || Path::of("contracts").index(n);
            let first = document.contracts.iter().position(|c| c.name == spec.name);
            if let Some(first) = first.filter(|first| *first != n) {
                self.problems.push(
                    Problem::error(
                        Code::DuplicateContract,
                        format!("two contracts are called `{}`", shown(&spec.name)),
                    )
                    .on(path().key("name"), "the second one")
                    .at(Label::on(Path::of("contracts").index(first).key("name"), "the first one"))
                    .help("give one of them another name"),
                );
            }
            let state = self.state(n, spec);
            self.consumers(n, spec);
            let used = !spec.consumers.is_empty()
                || document.tasks.iter().any(|t| {
                    let names = self.named(t, |t| &t.contracts, &self.defaults.contracts);
                    let changed = self.named(t, |t| &t.renegotiates, &self.defaults.renegotiates);
                    names.iter().chain(changed).any(|c| *c == spec.name)
                });
            if !used {
                self.problems.push(
                    Problem::warning(
                        Code::UnusedContract,
                        format!("no task uses the contract `{}`", shown(&spec.name)),
                    )
                    .on(path().key("name"), "declared here")
                    .help("name it under `contracts:` of the tasks that rely on it, or remove it"),
                );
            }
            out.push(ContractStatus {
                name: spec.name.clone(),
                version: spec.version.clone(),
                file_path: spec.file_path.clone(),
                status: state,
            });
        }
        self.contract_uses(paths);
        out
    }

    /// How the file of a contract stands; what is wrong with it is reported.
    fn state(&mut self, n: usize, spec: &ContractSpec) -> State {
        let path = || Path::of("contracts").index(n);
        let file = spec.file_path.as_str();
        if let Err(error) = Pattern::parse(file, true) {
            self.problems.push(bad_path(file, &error, path().key("file_path")));
            return State::Missing;
        }
        if let Some(why) = self.facts.unreadable.get(file) {
            self.problems.push(
                Problem::error(
                    Code::ContractMissing,
                    format!("the contract file `{}` cannot be read: {why}", shown(file)),
                )
                .on(path().key("file_path"), "this file")
                .help("a contract is a text file in UTF-8 inside the repository"),
            );
            return State::Missing;
        }
        let Some(text) = self.facts.contracts.get(file).and_then(Option::as_deref) else {
            self.problems.push(
                Problem::error(
                    Code::ContractMissing,
                    format!("the contract file `{}` does not exist", shown(file)),
                )
                .on(path().key("file_path"), "no such file")
                .help(format!(
                    "`slimductor contract new {} METHOD… -o {file}` writes a stub; commit it: workers start from the commit",
                    spec.name
                )),
            );
            return State::Missing;
        };
        let header = contract::header::read(file, text);
        if let Some(version) = &spec.version
            && header.version.as_ref().map(|v| &v.value) != Some(version)
        {
            let mut problem = match &header.version {
                Some(found) => Problem::error(
                    Code::ContractVersionMismatch,
                    format!("`{file}` says another version: {}", shown(&found.value)),
                ),
                None => Problem::error(
                    Code::ContractVersionMismatch,
                    format!("the first comment of `{file}` says no version"),
                ),
            }
            .on(path().key("version"), "the plan pins this one")
            .help("`slimductor contract check` shows what each file says");
            if let Some(found) = header.version {
                let at = Anchor::Elsewhere {
                    file: file.to_owned(),
                    text: text.to_owned(),
                    span: found.span,
                };
                problem = problem.at(Label { at, text: "the file says this one".to_owned() });
            }
            self.problems.push(problem);
            return State::VersionMismatch;
        }
        if let Some(found) = header.name.filter(|found| found.value != spec.name) {
            self.problems.push(
                Problem::error(
                    Code::ContractVersionMismatch,
                    format!("`{file}` is another contract: {}", shown(&found.value)),
                )
                .on(path().key("name"), "the plan calls it so")
                .at(Label {
                    at: Anchor::Elsewhere {
                        file: file.to_owned(),
                        text: text.to_owned(),
                        span: found.span,
                    },
                    text: "the file calls itself so".to_owned(),
                })
                .help("name the file of this contract, or mend the line `Contract:`"),
            );
            return State::VersionMismatch;
        }
        let hash = contract::hash(file, text);
        let pin = self
            .facts
            .pins
            .get(&spec.name)
            .filter(|p| p.version == spec.version && p.file_path == spec.file_path);
        if pin.is_some_and(|p| p.sha256 != hash) {
            self.problems.push(
                Problem::error(
                    Code::ContractVersionMismatch,
                    format!("`{file}` has changed since `slimductor plan` pinned it"),
                )
                .on(path().key("file_path"), "another content under the same version")
                .help(format!(
                    "`slimductor contract renegotiate {} --reason …` makes a new version; `slimductor plan` pins what is there",
                    spec.name
                )),
            );
            return State::VersionMismatch;
        }
        if self.facts.uncommitted.contains(file) {
            let message = format!("`{file}` is not committed as it stands on disk");
            let problem = if self.facts.for_run {
                Problem::error(Code::ContractUncommitted, message)
            } else {
                Problem::warning(Code::ContractUncommitted, message)
            };
            self.problems.push(
                problem
                    .on(path().key("file_path"), "worktrees would lack this content")
                    .help(format!("`git add {file} && git commit`: workers start from the commit")),
            );
            return State::Uncommitted;
        }
        State::Ok
    }

    fn consumers(&mut self, n: usize, spec: &ContractSpec) {
        for (k, consumer) in spec.consumers.iter().enumerate() {
            if self.index.contains_key(consumer.as_str()) {
                continue;
            }
            let known = self.document.tasks.iter().map(|t| t.id.as_str());
            let help = self.suggest.help(consumer.as_str(), known, "consumers are ids of tasks");
            self.problems.push(
                Problem::error(
                    Code::ContractConsumerUnknown,
                    format!("there is no task `{}`", shown(consumer.as_str())),
                )
                .on(Path::of("contracts").index(n).key("consumers").index(k), "named as a consumer")
                .help(help),
            );
        }
    }

    /// A list of a task, its own or the defaults'.
    fn named<'b>(
        &self,
        task: &'b TaskSpec,
        own: impl Fn(&'b TaskSpec) -> &'b Vec<String>,
        inherited: &'b [String],
    ) -> &'b [String] {
        let own = own(task);
        if own.is_empty() { inherited } else { own }
    }

    fn contract_uses(&mut self, paths: &[Paths]) {
        let document = self.document;
        let defaults = self.defaults.clone();
        let declared: std::collections::HashSet<&str> =
            document.contracts.iter().map(|c| c.name.as_str()).collect();
        let files: Vec<(&ContractSpec, Pattern)> = document
            .contracts
            .iter()
            .filter_map(|c| Some((c, Pattern::parse(&c.file_path, true).ok()?)))
            .collect();
        for (n, task) in document.tasks.iter().enumerate() {
            let Some(id) = TaskId::parse(task.id.as_str()) else { continue };
            let lists = [
                ("contracts", &task.contracts, &defaults.contracts),
                ("renegotiates", &task.renegotiates, &defaults.renegotiates),
            ];
            for (field, own, inherited) in lists {
                let (list, owner) = match own.is_empty() {
                    // What the defaults say is reported with the first task.
                    true if n == 0 => (inherited, Path::of("defaults")),
                    true => continue,
                    false => (own, Path::task(n)),
                };
                for (k, name) in list.iter().enumerate() {
                    if declared.contains(name.as_str()) {
                        continue;
                    }
                    let known = document.contracts.iter().map(|c| c.name.as_str());
                    let help = self.suggest.help(name, known, "declare it under `contracts:`");
                    self.problems.push(
                        Problem::error(
                            Code::ContractUnknown,
                            format!("the contract `{}` is not declared", shown(name)),
                        )
                        .on(owner.clone().key(field).index(k), "not under `contracts:`")
                        .help(help),
                    );
                }
            }
            let may = self.named(task, |t| &t.renegotiates, &defaults.renegotiates);
            for (contract, file) in &files {
                if may.contains(&contract.name) {
                    continue;
                }
                let fold =
                    |p: &Pattern| if self.facts.case_insensitive { p.folded() } else { p.clone() };
                let covers = |p: &Pattern| {
                    p.overlaps(file)
                        || (self.facts.case_insensitive && fold(p).overlaps(&fold(file)))
                        || other_names(p, self.facts).iter().any(|p| fold(p).overlaps(&fold(file)))
                };
                let owned = paths[n].all().find(|(role, _, p)| *role != Role::Read && covers(p));
                if let Some((role, nth, _)) = owned {
                    let (field, owner) = match role {
                        Role::Append => ("files_append", Path::task(n)),
                        Role::Intent => {
                            ("patch_intents", Path::owner(!task.patch_intents.is_empty(), n))
                        }
                        Role::Write | Role::Read => ("files_write", Path::task(n)),
                    };
                    self.problems.push(
                        Problem::error(
                            Code::ContractWrittenByTask,
                            format!("`{id}` owns the contract `{}`", shown(&contract.name)),
                        )
                        .on(owner.key(field).index(nth), format!("covers {}", contract.file_path))
                        .help("name it under `renegotiates:`, or leave the file out")
                        .of(&id),
                    );
                }
            }
        }
    }
}
