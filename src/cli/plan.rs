//! `slimductor plan`: checks a plan and says what it found, in many forms; mends it, pins its contracts, writes
//! `execution-plan.md`. With `--dry-run` it opens nothing for writing.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::Context;
use super::exit::{Exit, Failure};
use super::gather::{Gathered, Purpose, gather};
use super::pins::write_lock;
use super::plan_report::{PlanReport, summary};
use crate::execute::run::DEFAULT_JOBS;
use crate::plan::config::Config;
use crate::plan::contract::{self, Lock, Pin};
use crate::plan::diagnostic::{Code, Severity, closest};
use crate::plan::fix::{Fixed, fix};
use crate::plan::render::human::{self, Source};
use crate::plan::render::{diagram, document, machine};
use crate::plan::{self};
use crate::store::{self, Mode};

/// Check a plan.
#[derive(Debug, Args)]
pub struct PlanArgs {
    /// The plan; tasks.yaml unless given.
    file: Option<PathBuf>,
    /// No side effect at all: no file, branch, directory or process.
    #[arg(long)]
    dry_run: bool,
    /// What is printed on stdout.
    #[arg(long, value_enum, value_name = "FORMAT")]
    format: Option<Format>,
    /// Add the dependencies that settle all conflicts to the file; with --dry-run, only say which.
    #[arg(long)]
    fix: bool,
    /// Exit with 3 when the risk score is higher.
    #[arg(long, value_name = "N")]
    max_risk: Option<u64>,
    /// Explain a problem's code, and check nothing.
    #[arg(long, value_name = "CODE", conflicts_with_all = ["dry_run", "format", "fix", "max_risk", "file"])]
    explain: Option<String>,
}

/// What is printed on stdout.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Waves, critical path and risk as text; problems go to stderr.
    Human,
    /// One JSON document, the same as with --json.
    Json,
    /// The graph, for Graphviz.
    Dot,
    /// The graph, for Mermaid.
    Mermaid,
    /// The problems as a SARIF 2.1.0 log.
    Sarif,
    /// The problems as commands for GitHub's runners.
    Github,
}

/// The command.
pub fn plan(context: &mut Context, args: &PlanArgs) -> Result<Exit, Failure> {
    if let Some(word) = &args.explain {
        return explain(context, word);
    }
    let format = match (args.format, context.output.manner.json) {
        (Some(format), false) | (Some(format @ Format::Json), true) => format,
        (None, false) => Format::Human,
        (None, true) => Format::Json,
        (Some(_), true) => {
            return Err(Failure::new(
                Exit::Usage,
                "--json and another --format were both asked for",
            )
            .hint("leave one of them out"));
        }
    };
    // Also a failure is then told in JSON.
    context.output.manner.json |= format == Format::Json;
    let purpose = if args.dry_run { Purpose::Check } else { Purpose::Pin };
    let mut gathered = gather(context, args.file.as_deref(), purpose)?;
    let mut unfixed = None;
    if args.fix {
        match mend(context, args, &gathered)? {
            Mended::Rewritten => gathered = gather(context, args.file.as_deref(), purpose)?,
            Mended::Nothing => {}
            Mended::Not(failure) => unfixed = Some(failure),
        }
    }
    show(context, &gathered, format);
    if let Some(failure) = unfixed {
        return Err(failure);
    }
    let analysis = &gathered.analysis;
    if !analysis.valid() {
        return Ok(Exit::Invalid);
    }
    let score = analysis.risk.as_ref().map_or(0, |r| r.score);
    if let Some(limit) = args.max_risk.filter(|limit| score > *limit) {
        let message = format!("the risk score is {score}, over --max-risk {limit}");
        return Err(Failure::new(Exit::Invalid, message)
            .hint("`slimductor plan --dry-run` shows what it is made of"));
    }
    if !args.dry_run {
        write(context, &gathered)?;
    }
    // The process ends here; giving a large plan back piece by piece would take a tenth of the whole time.
    std::mem::forget(gathered);
    Ok(Exit::Done)
}

fn explain(context: &Context, word: &str) -> Result<Exit, Failure> {
    let Some(code) = Code::parse(word) else {
        let known: Vec<&str> = Code::ALL.iter().map(|c| c.word()).collect();
        let hint = match closest(word, known.iter().copied()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("known: {}", known.join(", ")),
        };
        return Err(Failure::new(Exit::Usage, format!("there is no code `{word}`")).hint(hint));
    };
    if context.output.manner.json {
        let value = serde_json::json!({
            "code": code, "title": code.title(), "explanation": code.explanation(),
        });
        context.output.json(&value, false);
    } else {
        context.output.result(code.explanation());
    }
    Ok(Exit::Done)
}

enum Mended {
    Rewritten,
    Nothing,
    Not(Failure),
}

/// Adds the missing dependencies to the plan's file.
fn mend(context: &Context, args: &PlanArgs, gathered: &Gathered) -> Result<Mended, Failure> {
    let Fixed { text, edges } = match fix(&gathered.bytes, &gathered.facts, &gathered.config) {
        Ok(Some(fixed)) => fixed,
        Ok(None) => return Ok(Mended::Nothing),
        // Without a conflict there was nothing to mend, whatever else is wrong.
        Err(_) if gathered.analysis.conflict_count == 0 => return Ok(Mended::Nothing),
        Err(why) => {
            let message = format!("--fix changed nothing: {why}");
            return Ok(Mended::Not(Failure::new(Exit::Invalid, message)));
        }
    };
    if !args.dry_run {
        // Through a symbolic link, and with the rights that the file has.
        let path = gathered.path.canonicalize().unwrap_or_else(|_| gathered.path.clone());
        store::rewrite(&path, text.as_bytes())?;
    }
    let would = if args.dry_run { "would add" } else { "added" };
    for (waiting, first) in &edges {
        context.output.note(&format!("{would} `{first}` to depends_on of `{waiting}`"));
    }
    Ok(if args.dry_run { Mended::Nothing } else { Mended::Rewritten })
}

fn show(context: &Context, gathered: &Gathered, format: Format) {
    let analysis = &gathered.analysis;
    let from_root = gathered.path.strip_prefix(&gathered.root).unwrap_or(&gathered.file);
    let from_root = from_root.to_string_lossy();
    match format {
        Format::Human => {
            show_problems(context, gathered);
            context.output.result(&summary(analysis));
        }
        Format::Json => context.output.json(&PlanReport::new(gathered), false),
        Format::Dot => context.output.result(&diagram::dot(analysis, &graph(gathered))),
        Format::Mermaid => context.output.result(&diagram::mermaid(analysis, &graph(gathered))),
        Format::Sarif => {
            context.output.json(&machine::sarif(&analysis.problems, &from_root), false)
        }
        Format::Github => {
            context.output.raw(machine::github(&analysis.problems, &from_root).as_bytes())
        }
    }
}

/// Ids and dependencies as they are written, also of a plan that is not valid.
fn graph(gathered: &Gathered) -> Vec<(String, Vec<String>)> {
    let tasks = gathered.document.iter().flat_map(|d| &d.tasks);
    let text = |id: &plan::yaml::Id| id.as_str().to_owned();
    tasks.map(|t| (text(&t.id), t.depends_on.iter().map(text).collect())).collect()
}

/// Shows every problem as a compiler would.
pub fn show_problems(context: &Context, gathered: &Gathered) {
    const SHOWN: usize = 100;
    let quiet = context.output.manner.quiet;
    let loud = |p: &&plan::diagnostic::Problem| !quiet || p.severity == Severity::Error;
    let problems: Vec<_> = gathered.analysis.problems.iter().filter(loud).collect();
    // What is not text has one problem, which stands before the first byte that is none.
    let text = std::str::from_utf8(&gathered.bytes);
    let text = text.map_or_else(|_| String::from_utf8_lossy(&gathered.bytes), Into::into);
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    let file = gathered.file.to_string_lossy();
    let source = Source { file: &file, text };
    for problem in problems.iter().take(SHOWN) {
        context.output.diagnostic(&human::problem(problem, source, context.output.manner.colour));
    }
    let more = problems.len().saturating_sub(SHOWN);
    if more > 0 {
        context.output.diagnostic(&format!("… and {more} more; `--json` lists them"));
    }
    let worst = problems.iter().find(|p| p.severity == Severity::Error).or(problems.first());
    if let Some(first) = worst {
        let code = first.code.word();
        context
            .output
            .note(&format!("`slimductor plan --explain {code}` says more about one of these"));
    }
    let unused = Config::without_effect(&gathered.config_bytes, &context.env);
    if !unused.is_empty() {
        context.output.note(&format!(
            "note: this version does not act on these settings yet: {}",
            unused.join(", ")
        ));
    }
}

/// Writes `execution-plan.md` and pins what the contracts say.
fn write(context: &Context, gathered: &Gathered) -> Result<(), Failure> {
    let workers = gathered.config.orchestration.max_parallel_workers.unwrap_or(DEFAULT_JOBS);
    let file = gathered.file.to_string_lossy();
    let beside = document::Beside {
        file: &file,
        workers: workers as usize,
        environment: &gathered.environment.hash,
    };
    if let Some(text) = document::markdown(&gathered.analysis, beside) {
        let path = gathered.root.join("execution-plan.md");
        let ours = match std::fs::read(&path) {
            Ok(old) => old.is_empty() || old.starts_with(document::TITLE.as_bytes()),
            Err(e) => e.kind() == std::io::ErrorKind::NotFound,
        };
        if !ours {
            let message = format!("{} is there, and slimductor did not write it", path.display());
            return Err(Failure::new(Exit::Environment, message)
                .hint("move it away, or use --dry-run, which writes nothing"));
        }
        store::replace(&path, text.as_bytes(), Mode::Shared)?;
        context.output.note(&format!("wrote {}", path.display()));
    }
    let lock = pinned(gathered);
    if lock != gathered.lock && !lock.contracts.is_empty() {
        write_lock(&context.dir, &gathered.root, &lock)?;
        let s = if lock.contracts.len() == 1 { "" } else { "s" };
        context.output.note(&format!("pinned {} contract{s}", lock.contracts.len()));
    }
    Ok(())
}

/// The old pins with what the plan's contracts say now.
fn pinned(gathered: &Gathered) -> Lock {
    let mut lock = Lock { v: 1, ..gathered.lock.clone() };
    for found in &gathered.analysis.contracts {
        let text = gathered.facts.contracts.get(&found.file_path).and_then(Option::as_deref);
        let Some(text) = text else { continue };
        let before = lock.contracts.get(&found.name).filter(|p| p.file_path == found.file_path);
        let pin = Pin {
            version: found.version.clone(),
            file_path: found.file_path.clone(),
            sha256: contract::hash(&found.file_path, text),
            renegotiations: before.map(|p| p.renegotiations.clone()).unwrap_or_default(),
        };
        lock.contracts.insert(found.name.clone(), pin);
    }
    lock
}
