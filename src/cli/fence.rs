//! `slimductor fence`, hidden: the wrapper's way into a job's fence. Knows nothing of runs.

use std::path::PathBuf;

use clap::Args;

use crate::execute::fence::{self, Mode};

/// Run a command inside a job's fence.
#[derive(Debug, Args)]
pub struct FenceArgs {
    /// Try in the directory that is named whether a fence of this mode holds here.
    #[arg(long, value_name = "MODE", conflicts_with = "init")]
    probe: Option<String>,
    /// Be the first process inside: the directory to run in, and behind `--` the command.
    #[arg(long, value_name = "DIR")]
    init: Option<PathBuf>,
    /// The job's directory and the number of the command.
    words: Vec<String>,
}

/// The command; its exit code is that of what it runs.
pub fn fence(args: &FenceArgs) -> u8 {
    if let Some(word) = &args.probe {
        let dir = args.words.first().map(PathBuf::from).unwrap_or_default();
        return Mode::of(word).map_or(2, |mode| fence::probe(mode, &dir));
    }
    if let Some(cwd) = &args.init {
        return fence::init(cwd, &args.words);
    }
    match args.words.as_slice() {
        [dir, step] => step.parse().map_or(2, |n| fence::enter(dir.as_ref(), n)),
        _ => 2,
    }
}
