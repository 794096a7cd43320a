//! Conflicts as they are told, and the resources that tasks claim.

use super::Checker;
use crate::plan::conflict::{self, Claim, Role};
use crate::plan::diagnostic::{Code, Label, Problem};
use crate::plan::schema::{IntentAction, IntentValue, PatchIntent};
use crate::plan::yaml::At;
use crate::types::TaskId;

impl Checker<'_> {
    pub(super) fn resources(&self) -> Vec<Claim<String>> {
        let mut out = Vec::new();
        for (task, spec) in self.document.tasks.iter().enumerate() {
            let named = |list: &[At<String>], role, out: &mut Vec<Claim<String>>| {
                for (nth, name) in list.iter().enumerate() {
                    out.push(Claim { task, role, nth, target: (**name).clone() });
                }
            };
            named(&spec.resources_write, Role::Write, &mut out);
            named(&spec.resources_read, Role::Read, &mut out);
            let defaults = self.document.defaults.as_ref();
            let own = !spec.patch_intents.is_empty();
            let inherited = defaults.map_or(&[][..], |d| &d.patch_intents);
            for intent in if own { &spec.patch_intents } else { inherited } {
                if let Some(target) = implied_resource(intent) {
                    out.push(Claim { task, role: Role::Write, nth: usize::MAX, target });
                }
            }
        }
        out
    }

    pub(super) fn conflict_problem(
        &self,
        c: &conflict::Conflict,
        fix: &(TaskId, TaskId),
    ) -> Problem {
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
