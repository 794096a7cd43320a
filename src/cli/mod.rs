//! Arguments into calls, values into text: one file per command. Knows every room, is known by none.

mod abort;
mod answer;
mod attach;
mod choose;
mod clearing;
mod contract;
mod demo;
mod doctor;
mod env;
mod exit;
mod facts;
mod fence;
mod gather;
mod init;
mod logs;
mod output;
mod pins;
mod plan;
mod plan_report;
mod progress;
mod replan;
mod report;
mod resume;
mod run;
mod schema;
mod status;
mod verify;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use exit::{Exit, Failure};
use output::{Manner, Output};

use crate::fault as faults;

/// Plans and executes the parallel work of coding agents on one git repository.
#[derive(Debug, Parser)]
#[command(name = "slimductor", version, max_term_width = 100, after_help = EXIT_CODES)]
struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Verb,
}

const EXIT_CODES: &str = "\
Exit codes:
  0  done                                5  waits for a person
  1  a bug in slimductor                 6  another slimductor holds the run
  2  usage                               7  the environment lacks something
  3  plan or configuration invalid       8  the journal is unreadable
  4  over, and some tasks did not land   130  interrupted; `resume` goes on";

/// Flags that work everywhere.
#[derive(Debug, Clone, Args)]
struct Global {
    /// Work as if started in DIR.
    #[arg(short = 'C', global = true, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// The configuration, instead of slimductor.yaml in the repository's root.
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Print JSON: one document, or one object per line for streams.
    #[arg(long, global = true)]
    json: bool,
    /// Print nothing on stderr but errors.
    #[arg(short, long, global = true)]
    quiet: bool,
    /// Say more.
    #[arg(short, long, global = true)]
    verbose: bool,
    /// Answer yes to what is merely recommended.
    #[arg(long, global = true)]
    yes: bool,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Check a plan: ownership, conflicts, cycles, contracts, risk, waves.
    Plan(plan::PlanArgs),
    /// Run a plan: worktrees, workers, verification, merge, gate, promotion.
    Run(run::RunArgs),
    /// Go on after any interruption.
    Resume(resume::ResumeArgs),
    /// Show every task: state, reason, and how that is known.
    Status(status::StatusArgs),
    /// Print a worker's output.
    Logs(logs::LogsArgs),
    /// Open a worker's tmux session in this terminal.
    Attach(attach::AttachArgs),
    /// Run the checks of one task by hand, on its worktree as it stands.
    Verify(verify::VerifyArgs),
    /// End one worker; the task is then tried again, or asked about.
    Stop(verify::StopArgs),
    /// Decide about what a run asks: fix, retry, skip, approve or abort.
    Answer(answer::DecideArgs),
    /// Let the packages that blocked tasks wait for be installed.
    Approve(answer::ApproveArgs),
    /// Go on with another plan, on top of what landed.
    Replan(replan::ReplanArgs),
    /// Tell what a run did, or waits for, as Markdown, JSON or JUnit.
    Report(report::ReportArgs),
    /// Try a failed or skipped task again.
    Retry(answer::AnswerArgs),
    /// Go on without a task, and without what needs it.
    Skip(answer::AnswerArgs),
    /// End a run: the target stays where it is, unmerged work stays on recovery branches.
    Abort(abort::AbortArgs),
    /// Interfaces that tasks agree on: stubs, what their files say, new versions.
    Contract(contract::ContractArgs),
    /// The environment hash of the lockfiles.
    Env(env::EnvArgs),
    /// Write a commented slimductor.yaml and a first tasks.yaml.
    Init,
    /// Say what this machine and repository have and what dead runs left; `--fix` removes that.
    Doctor(doctor::DoctorArgs),
    /// Print the JSON Schema of a file or of a command's JSON.
    Schema(schema::SchemaArgs),
    /// Run a small plan in a throw-away repository and show what happened.
    Demo(demo::DemoArgs),
    /// Run a command inside a job's fence (used by the wrapper).
    #[command(hide = true)]
    Fence(fence::FenceArgs),
    /// Run a job (used by the backends).
    #[command(hide = true)]
    Job {
        /// The job's directory.
        dir: PathBuf,
    },
}

/// What every command gets.
struct Context {
    global: Global,
    /// Where the command works.
    dir: PathBuf,
    /// The environment, read once.
    env: BTreeMap<String, String>,
    /// This binary.
    exe: PathBuf,
    output: Output,
}

/// Runs the command line and returns its exit code.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let shown = error.print().is_ok();
            let usage = error.use_stderr() || !shown;
            return ExitCode::from(if usage { Exit::Usage } else { Exit::Done }.code());
        }
    };
    if let Verb::Job { dir } = &cli.command {
        return wrapper(dir);
    }
    if let Verb::Fence(args) = &cli.command {
        return ExitCode::from(fence::fence(args));
    }
    #[expect(clippy::disallowed_methods, reason = "the environment is read once, here")]
    let no_colour = std::env::var_os("NO_COLOR").is_some_and(|v| !v.is_empty());
    let manner = Manner::new(cli.global.json, cli.global.quiet, cli.global.verbose, no_colour);
    let mut output = Output::new(manner);
    let env: BTreeMap<String, String> = std::env::vars_os()
        .filter_map(|(k, v)| Some((k.into_string().ok()?, v.into_string().ok()?)))
        .collect();
    let dir = cli.global.dir.clone().unwrap_or_else(|| PathBuf::from("."));
    let dir = match dir.canonicalize() {
        Ok(dir) => dir,
        Err(e) => {
            output.failure(&Failure::new(Exit::Usage, format!("{}: {e}", dir.display())));
            return ExitCode::from(Exit::Usage.code());
        }
    };
    let exe = std::env::current_exe().unwrap_or_else(|_| PathBuf::from("slimductor"));
    let named = |name: &str| env.get(name).cloned();
    faults::arm(named("SLIMDUCTOR_FAULT"), named("SLIMDUCTOR_FAULT_LOG"));
    let mut context = Context { global: cli.global, dir, env, exe, output };
    let command = cli.command;
    // A panic is our own bug, and says so with the code that stands for it.
    let result =
        std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| dispatch(&mut context, command)))
            .unwrap_or_else(|_| {
                Err(Failure::new(Exit::Bug, "this is a bug in slimductor").hint(
                    "please report what stands above; nothing recorded is lost, `resume` goes on",
                ))
            });
    output = context.output;
    output.end_bars();
    match result {
        Ok(exit) => ExitCode::from(exit.code()),
        Err(failure) => {
            output.failure(&failure);
            ExitCode::from(failure.exit.code())
        }
    }
}

fn dispatch(context: &mut Context, verb: Verb) -> Result<Exit, Failure> {
    match verb {
        Verb::Plan(args) => plan::plan(context, &args),
        Verb::Run(args) => run::run(context, &args),
        Verb::Resume(args) => resume::resume(context, &args),
        Verb::Status(args) => status::status(context, &args),
        Verb::Logs(args) => logs::logs(context, &args),
        Verb::Attach(args) => attach::attach(context, &args),
        Verb::Verify(args) => verify::verify(context, &args),
        Verb::Stop(args) => verify::stop(context, &args),
        Verb::Answer(args) => answer::decide(context, &args),
        Verb::Approve(args) => answer::approve(context, &args),
        Verb::Replan(args) => replan::replan(context, &args),
        Verb::Report(args) => report::report(context, &args),
        Verb::Retry(args) => answer::retry(context, &args),
        Verb::Skip(args) => answer::skip(context, &args),
        Verb::Abort(args) => abort::abort(context, &args),
        Verb::Contract(args) => contract::contract(context, &args),
        Verb::Env(args) => env::env(context, &args),
        Verb::Init => init::init(context),
        Verb::Doctor(args) => doctor::doctor(context, &args),
        Verb::Schema(args) => schema::schema(context, &args),
        Verb::Demo(args) => demo::demo(context, &args),
        Verb::Fence(args) => {
            fence::fence(&args);
            Ok(Exit::Done)
        }
        Verb::Job { dir } => {
            wrapper(&dir);
            Ok(Exit::Done)
        }
    }
}

/// The wrapper of a job: its own small program, with nothing of the rest set up.
fn wrapper(dir: &std::path::Path) -> ExitCode {
    #[expect(clippy::disallowed_methods, reason = "a wrapper is a program of its own")]
    faults::arm(std::env::var("SLIMDUCTOR_FAULT_JOB").ok(), None);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let Ok(runtime) = runtime else { return ExitCode::from(Exit::Environment.code()) };
    match runtime.block_on(crate::execute::wrapper::run(dir)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let failure = Failure::new(Exit::Environment, error.to_string());
            Output::new(Manner::new(false, false, false, true)).failure(&failure);
            ExitCode::from(failure.exit.code())
        }
    }
}
