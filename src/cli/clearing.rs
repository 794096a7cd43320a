//! What dead runs left and what retention lets go, for `doctor`: shown, or removed and told. Prints nothing.

use serde::Serialize;

use super::Context;
use crate::execute::leftovers::{self, Around, Leftover};
use crate::execute::retention::{self, Policy, Prune};
use crate::execute::run::RunError;
use crate::execute::world;
use crate::git::Repo;

/// One thing, as `doctor` tells it.
#[derive(Debug, Serialize)]
pub struct Left {
    /// What it is.
    pub what: &'static str,
    /// Its path, branch, session or process id.
    pub name: String,
    /// Why it is nobody's any more, or why it is kept.
    pub why: String,
    /// Whether it is gone now.
    pub removed: bool,
    /// How to remove what is kept.
    pub help: Option<String>,
    /// Whether `--fix` would try.
    #[serde(skip)]
    pub certain: bool,
}

impl Left {
    /// Its word in the list for people.
    pub fn state(&self) -> &'static str {
        match (self.removed, self.certain) {
            (true, _) => "removed",
            (false, true) => "left",
            (false, false) => "kept",
        }
    }

    fn of(leftover: Leftover, removed: bool) -> Left {
        let certain = leftover.is_certain();
        let Leftover { what, name, why, help, .. } = leftover;
        Left { what: what.word(), name, why, removed, help, certain }
    }

    fn old(item: &Prune, removed: bool) -> Left {
        let (what, name, why) = (item.word(), item.name().to_owned(), item.why().to_owned());
        Left { what, name, why, removed, help: None, certain: true }
    }
}

/// Finds what was left; with `fix`, removes it as well. Without a policy old runs are not judged.
pub fn clear(
    context: &Context,
    repo: &Repo,
    policy: Option<&Policy>,
    fix: bool,
) -> Result<Vec<Left>, RunError> {
    let tmp = std::env::temp_dir();
    let now = world::present().as_millisecond();
    let tmux_tmpdir = context.env.get("TMUX_TMPDIR").map(String::as_str);
    let around = Around { repo, tmp: &tmp, tmux_tmpdir, now };
    let mut out: Vec<Left> = match fix {
        true => {
            let fixed = leftovers::fix(&around)?;
            fixed.into_iter().map(|f| Left::of(f.leftover, f.removed)).collect()
        }
        false => leftovers::find(&around)?.into_iter().map(|l| Left::of(l, false)).collect(),
    };
    let Some(policy) = policy else { return Ok(out) };
    if !fix {
        out.extend(retention::due(repo, policy, now)?.iter().map(|p| Left::old(p, false)));
        return Ok(out);
    }
    let pruned = retention::prune(repo, policy, now)?;
    out.extend(pruned.gone.iter().map(|p| Left::old(p, true)));
    out.extend(pruned.kept.into_iter().map(|(item, why)| Left {
        why,
        certain: false,
        help: Some("`slimductor doctor --fix` tries again".to_owned()),
        ..Left::old(&item, false)
    }));
    Ok(out)
}
