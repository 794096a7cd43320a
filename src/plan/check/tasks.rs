//! The checks of one task: its paths, its verification, what it resolves to.

use super::Checker;
use crate::plan::conflict::{Claim, Role};
use crate::plan::diagnostic::{Code, Label, Problem, Span};
use crate::plan::pattern::{Pattern, PatternError, is_below};
use crate::plan::schema::{CheckSpec, Defaults, TaskSpec};
use crate::plan::yaml::At;
use crate::plan::{
    Check, DEFAULT_ATTEMPTS, DEFAULT_CHECK_TIMEOUT_MS, DEFAULT_TIMEOUT_MS, Task, Work,
};
use crate::types::TaskId;

impl Checker<'_> {
    pub(super) fn task(
        &mut self,
        n: usize,
        spec: &TaskSpec,
        id: &TaskId,
        defaults: &Defaults,
    ) -> Task {
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
        if let Some(run) = spec.run.as_ref().filter(|r| r.contains('\0')) {
            self.problems.push(nul(run));
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
    pub(super) fn patterns(
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

    pub(super) fn verification(
        &mut self,
        n: usize,
        spec: &TaskSpec,
        id: &TaskId,
        checks: &[CheckSpec],
    ) {
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

    pub(super) fn checks(&mut self, specs: &[CheckSpec], path: &str) -> Vec<Check> {
        let mut out = Vec::new();
        for (k, spec) in specs.iter().enumerate() {
            if spec.command.contains('\0') {
                self.problems.push(nul(&spec.command));
            }
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

    pub(super) fn integration(&mut self) -> (Vec<Check>, Vec<Check>) {
        let plan = self.document.integration.clone().unwrap_or_default();
        let incremental = plan.incremental.or_else(|| self.config.integration.incremental.clone());
        let final_ = plan.final_.or_else(|| self.config.integration.final_.clone());
        (
            self.checks(&incremental.unwrap_or_default(), "integration.incremental"),
            self.checks(&final_.unwrap_or_default(), "integration.final"),
        )
    }
}

fn nul(command: &At<String>) -> Problem {
    Problem::error(
        Code::WrongType,
        "a command holds a NUL character, which no program can be given",
    )
    .at(Label::here(command.span(), "here"))
    .help("take it out")
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
