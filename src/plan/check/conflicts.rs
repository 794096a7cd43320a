//! What tasks claim, and conflicts as they are told.

use std::borrow::Cow;

use super::Checker;
use super::tasks::Paths;
use crate::plan::Facts;
use crate::plan::conflict::{self, Claim, Role, Side};
use crate::plan::diagnostic::{Code, Label, Problem, shown};
use crate::plan::intent::Action;
use crate::plan::pattern::Pattern;
use crate::plan::place::Path;
use crate::plan::schema::{Document, IntentValue, PatchIntent};
use crate::types::TaskId;

/// Everything that the tasks of a plan claim.
pub(super) struct Claims<'a> {
    files: Vec<Claim<Cow<'a, Pattern>>>,
    resources: Vec<Claim<Cow<'a, str>>>,
}

impl<'a> Claims<'a> {
    pub(super) fn of(paths: &'a [Paths], facts: &Facts, document: &'a Document) -> Claims<'a> {
        let mut claims = Claims { files: Vec::new(), resources: Vec::new() };
        for (task, paths) in paths.iter().enumerate() {
            for (role, nth, pattern) in paths.all() {
                claims.file(Claim { task, role, nth, target: pattern }, facts);
            }
        }
        let inherited =
            document.defaults.as_ref().map_or(&[][..], |defaults| &defaults.patch_intents);
        for (task, spec) in document.tasks.iter().enumerate() {
            let lists = [(&spec.resources_write, Role::Write), (&spec.resources_read, Role::Read)];
            for (list, role) in lists {
                for (nth, name) in list.iter().enumerate() {
                    let target = Cow::Borrowed(name.trim());
                    claims.resources.push(Claim { task, role, nth, target });
                }
            }
            let own = !spec.patch_intents.is_empty();
            let intents = if own { &spec.patch_intents } else { inherited };
            for (nth, intent) in intents.iter().enumerate() {
                if let Some(name) = implied_resource(intent) {
                    let target = Cow::Owned(name);
                    claims.resources.push(Claim { task, role: Role::Intent, nth, target });
                }
            }
        }
        claims
    }

    /// Adds a claim under every name that its files have.
    fn file(&mut self, claim: Claim<&'a Pattern>, facts: &Facts) {
        let Claim { task, role, nth, target } = claim;
        for other in other_names(target, facts) {
            let other = if facts.case_insensitive { other.folded() } else { other };
            self.files.push(Claim { task, role, nth, target: Cow::Owned(other) });
        }
        let target = if facts.case_insensitive {
            Cow::Owned(target.folded())
        } else {
            Cow::Borrowed(target)
        };
        self.files.push(Claim { task, role, nth, target });
    }

    pub(super) fn files(&self) -> Vec<Claim<&Pattern>> {
        let plain = |c: &'_ Claim<Cow<'a, Pattern>>| (c.task, c.role, c.nth);
        self.files.iter().map(|c| claim(plain(c), c.target.as_ref())).collect()
    }

    /// Two intents of the same resource do disturb each other: here an intent is a writer.
    pub(super) fn resources(&self) -> Vec<Claim<&str>> {
        let role = |role| if role == Role::Intent { Role::Write } else { role };
        let intents =
            |c: &Claim<Cow<'a, str>>| if c.role == Role::Intent { c.nth + IMPLIED } else { c.nth };
        self.resources
            .iter()
            .map(|c| claim((c.task, role(c.role), intents(c)), c.target.as_ref()))
            .collect()
    }
}

/// Under which other names the files of a pattern are known, through one link or several in a row.
pub(super) fn other_names(pattern: &Pattern, facts: &Facts) -> Vec<Pattern> {
    let mut out: Vec<Pattern> = Vec::new();
    let mut n = 0;
    // Links that lead in a circle are cut off by the number of links.
    loop {
        let from = if n == 0 {
            pattern
        } else {
            match out.get(n - 1) {
                Some(found) => found,
                None => return out,
            }
        };
        let files = facts.file_links.iter().filter(|(link, _)| from.matches(link));
        let files = files.filter_map(|(_, to)| Pattern::parse(to, true).ok());
        let below = facts.links.iter().filter_map(|(link, to)| from.through_link(link, to));
        let found: Vec<Pattern> = below.chain(files).collect();
        for pattern in found {
            if out.len() < facts.links.len() + facts.file_links.len()
                && out.iter().all(|p| p.as_str() != pattern.as_str())
            {
                out.push(pattern);
            }
        }
        n += 1;
    }
}

/// Added to the number of an intent, so that its resource is told from those that are written out.
const IMPLIED: usize = usize::MAX / 2;

fn claim<T>((task, role, nth): Side, target: T) -> Claim<T> {
    Claim { task, role, nth, target }
}

impl Checker<'_> {
    pub(super) fn conflict_problem(
        &self,
        c: &conflict::Conflict,
        fix: &(TaskId, TaskId),
        paths: &[Paths],
    ) -> Problem {
        let files = matches!(c.code, Code::FileWriteWrite | Code::FileReadWrite);
        let side = |n: usize| {
            let (task, role, nth) = c.sides[n];
            let (field, nth) = match (files, role) {
                (true, Role::Write) => ("files_write", nth),
                (true, Role::Read) => ("files_read", nth),
                (true, Role::Append) => ("files_append", nth),
                (_, Role::Intent) => ("patch_intents", nth),
                (false, Role::Write | Role::Append) if nth >= IMPLIED => {
                    ("patch_intents", nth - IMPLIED)
                }
                (false, Role::Write | Role::Append) => ("resources_write", nth),
                (false, Role::Read) => ("resources_read", nth),
            };
            let spec = &self.document.tasks[task];
            let id = spec.id.as_str();
            let verb = match (role, field) {
                (_, "patch_intents") => "has an intent for it",
                (Role::Write, _) => "writes it",
                (Role::Read, _) => "reads it",
                (Role::Append | Role::Intent, _) => "appends to it",
            };
            let mut text = format!("`{id}` {verb}");
            if let Some(pattern) = files.then(|| paths[task].get(role, nth)).flatten()
                && let Some(link) = self.facts.links.keys().find(|l| pattern.is_below(l))
            {
                text.push_str(&format!(", through the link `{link}`"));
            }
            let own = field != "patch_intents" || !spec.patch_intents.is_empty();
            let owner = Path::owner(own, task);
            (owner.key(field).index(nth), text)
        };
        let (first, second) = (side(0), side(1));
        let (waiting, before) = (&fix.0, &fix.1);
        let what = if files { "the file" } else { "the resource" };
        let problem =
            Problem::error(c.code, format!("two unordered tasks touch `{}`", shown(&c.target)))
                .on(second.0, second.1)
                .at(Label::on(first.0, first.1))
                .help(format!("order them, or give {what} to one of them"));
        // A task whose id is wrong has none to be named by.
        let named = |id: &TaskId| self.index.contains_key(id.as_str());
        if named(waiting) && named(before) {
            problem.fix(format!("add `{before}` to depends_on of `{waiting}`")).of(waiting)
        } else {
            problem
        }
    }
}

/// The resource that an intent stands for.
fn implied_resource(intent: &PatchIntent) -> Option<String> {
    let (prefix, key) = match intent.action {
        Action::AddRouter => ("route", "prefix"),
        Action::AddDependency => ("di", "function_name"),
        Action::AddConfig => ("config", "key"),
        Action::AddMiddleware if intent.intent.contains_key("middleware_name") => {
            ("middleware", "middleware_name")
        }
        Action::AddMiddleware => ("middleware", "middleware_class"),
        Action::AppendLine => return None,
    };
    match intent.intent.get(key) {
        Some(IntentValue::Text(value)) => Some(format!("{prefix}:{value}")),
        Some(IntentValue::Number(value)) => Some(format!("{prefix}:{value}")),
        Some(IntentValue::Flag(value)) => Some(format!("{prefix}:{value}")),
        Some(IntentValue::List(_)) | None => None,
    }
}
