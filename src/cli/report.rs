//! `slimductor report`: what a run did, or what it waits for, as Markdown, JSON or JUnit. Only reads.

use clap::{Args, ValueEnum};

use super::Context;
use super::exit::{Exit, Failure};
use crate::execute::event::Outcome;
use crate::execute::worktree::Places;
use crate::execute::{reports, run};
use crate::git::Repo;
use crate::integrate::report as forms;

/// Tell what a run did.
#[derive(Debug, Args)]
pub struct ReportArgs {
    /// The run; the newest unless given.
    run: Option<String>,
    /// In which form.
    #[arg(long, value_enum, default_value = "markdown")]
    format: Format,
    /// The escalation report, also when nothing waits for a person.
    #[arg(long)]
    escalation: bool,
}

/// The form of a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people: the escalation report when a person is needed, else the run's.
    Markdown,
    /// One document; `slimductor schema report` describes it.
    Json,
    /// One test case for each task, for CI.
    Junit,
}

/// The command.
pub fn report(context: &mut Context, args: &ReportArgs) -> Result<Exit, Failure> {
    let repo = Repo::discover(&context.dir)?;
    let id = run::find(repo.root(), args.run.as_deref())?;
    let state = run::read(repo.root(), &id)?;
    let places = Places { root: repo.root().to_owned(), run: id };
    let facts = reports::facts(&places, &state);
    let needs_person = state.waiting.is_some() || state.outcome == Some(Outcome::Partial);
    match args.format {
        Format::Json => context.output.json(&facts, false),
        Format::Markdown if context.output.manner.json => context.output.json(&facts, false),
        Format::Junit => context.output.result(forms::junit(&facts).trim_end()),
        Format::Markdown if args.escalation || needs_person => {
            context.output.result(forms::escalation(&facts).trim_end());
        }
        Format::Markdown => context.output.result(forms::run_report(&facts).trim_end()),
    }
    Ok(Exit::Done)
}
