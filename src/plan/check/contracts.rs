//! The checks of contracts: that they are there, say what the plan pins, and are used by who may.

use super::{Checker, contracts_of, renegotiates_of};
use crate::plan::ContractStatus;
use crate::plan::conflict::Role;
use crate::plan::contract;
use crate::plan::diagnostic::{Code, Label, Problem, closest};
use crate::plan::pattern::Pattern;
use crate::plan::yaml::At;
use crate::types::TaskId;

impl Checker<'_> {
    pub(super) fn contracts(&mut self) -> Vec<ContractStatus> {
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

    pub(super) fn contract_uses(&mut self) {
        let document = self.document;
        for (n, task) in document.tasks.iter().enumerate() {
            let Some(id) = TaskId::parse(task.id.as_str()) else { continue };
            for name in contracts_of(document, task).chain(renegotiates_of(document, task)) {
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
                let may =
                    renegotiates_of(document, task).any(|r| r.as_str() == contract.name.as_str());
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
}
