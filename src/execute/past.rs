//! The runs of a repository as retention and the clearing of leftovers see them: which names are a run's, and which
//! runs are over. Reads only.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::event::Event;
use super::journal;
use super::run;
use super::worktree::{Places, runs_dir};
use crate::git::Repo;
use crate::store;
use crate::types::{Millis, RunId};

/// The length of `20261120-101530-042`.
const ID_LENGTH: usize = 19;

/// How a run stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Life {
    /// A coordinator holds it.
    Live,
    /// It has not ended; `resume` goes on with it.
    Unfinished,
    /// Nobody can say: its journal cannot be read, or it lies in another checkout.
    Unknown,
    /// It ended at this time.
    Ended(Millis),
    /// It has no directory any more.
    Gone,
}

impl Life {
    /// Whether nobody will ever go on with it.
    pub fn is_over(self) -> bool {
        match self {
            Life::Ended(_) | Life::Gone => true,
            Life::Live | Life::Unfinished | Life::Unknown => false,
        }
    }
}

/// What a branch of a run is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Where what landed is gathered.
    Staging,
    /// The work of a task's attempt.
    Task,
    /// Work that did not land.
    Recovery,
}

/// The id of a run as `run` makes them; a name that merely looks similar belongs to somebody else.
pub fn id_of(text: &str) -> Option<RunId> {
    let digits = |part: &str, n: usize| part.len() == n && part.bytes().all(|b| b.is_ascii_digit());
    let mut parts = text.split('-');
    let fits = [8, 6, 3].into_iter().all(|n| parts.next().is_some_and(|p| digits(p, n)));
    RunId::parse(text).filter(|_| fits && parts.next().is_none())
}

/// When a run was made, as its id says.
pub fn made_at(run: &RunId) -> Option<Millis> {
    let (day, rest) = run.as_str().split_once('-')?;
    let (time, millis) = rest.split_once('-')?;
    let text = format!("{day} {time}");
    let at = jiff::civil::DateTime::strptime("%Y%m%d %H%M%S", text).ok()?;
    let at = at.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp().as_millisecond();
    Some(at + millis.parse::<Millis>().ok()?)
}

/// The run that a branch belongs to, and what it is for.
pub fn branch_of(name: &str) -> Option<(RunId, Purpose)> {
    let (run, rest) = name.strip_prefix("slimductor/")?.split_once('/')?;
    let run = id_of(run)?;
    let purpose = match rest.split_once('/') {
        None if rest == "staging" => Purpose::Staging,
        Some(("task", _)) => Purpose::Task,
        Some(("recovery", _)) => Purpose::Recovery,
        None | Some(_) => return None,
    };
    Some((run, purpose))
}

/// The run to which a name in `.worktrees` belongs, where it is that of a worktree.
pub fn worktree_of(root: &Path, name: &str) -> Option<RunId> {
    let run = id_of(name.get(..ID_LENGTH)?)?;
    let places = Places { root: root.to_owned(), run: run.clone() };
    places.is_ours(Path::new(name)).then_some(run)
}

/// Every run that is known here.
#[derive(Debug)]
pub struct Runs {
    root: PathBuf,
    known: BTreeMap<RunId, Life>,
    /// Those of which something unexpected was seen.
    doubted: BTreeSet<RunId>,
    /// Other checkouts of the repository: of a bare one, each may have runs of its own.
    elsewhere: Vec<PathBuf>,
    /// Whether the directory of the runs could be read; else nothing can be said of a run that is not there.
    whole: bool,
}

impl Runs {
    /// Reads the journals of all runs.
    pub fn read(repo: &Repo) -> Runs {
        let root = repo.root().to_owned();
        let ids = run::list(&root).into_iter().filter_map(|r| id_of(r.as_str()));
        let known = ids.map(|run| (run.clone(), life(&root, &run))).collect();
        let whole = match std::fs::read_dir(runs_dir(&root)) {
            Ok(_) => true,
            Err(e) => e.kind() == std::io::ErrorKind::NotFound,
        };
        let mut elsewhere = repo.worktrees();
        elsewhere.extend(repo.common().parent().map(Path::to_owned));
        elsewhere.retain(|path| *path != root);
        Runs { root, known, doubted: BTreeSet::new(), elsewhere, whole }
    }

    /// From now on nobody can say how this run stands.
    pub fn doubt(&mut self, run: &RunId) {
        self.doubted.insert(run.clone());
    }

    /// How a run stands.
    pub fn life(&self, run: &RunId) -> Life {
        if self.doubted.contains(run) {
            return Life::Unknown;
        }
        if let Some(life) = self.known.get(run) {
            return *life;
        }
        let there = |root: &PathBuf| {
            let dir = runs_dir(root).join(run.as_str());
            !dir.symlink_metadata().is_err_and(|e| e.kind() == std::io::ErrorKind::NotFound)
        };
        let unseen = there(&self.root) || self.elsewhere.iter().any(there);
        if !self.whole || unseen { Life::Unknown } else { Life::Gone }
    }

    /// The runs that have a directory, the oldest first, and how each stands.
    pub fn known(&self) -> impl Iterator<Item = (&RunId, Life)> {
        self.known.iter().map(|(run, life)| (run, *life))
    }

    /// The paths of a run.
    pub fn places(&self, run: &RunId) -> Places {
        Places { root: self.root.clone(), run: run.clone() }
    }

    /// The paths of those that have ended.
    pub fn ended(&self) -> impl Iterator<Item = Places> {
        let over = self.known().filter(|(_, life)| life.is_over());
        over.map(|(run, _)| self.places(run))
    }
}

fn life(root: &Path, run: &RunId) -> Life {
    let places = Places { root: root.to_owned(), run: run.clone() };
    // Each has a lock of its own: a lock file can be removed and made anew.
    if store::is_locked(&places.lock()) || store::is_locked(&places.journal()) {
        return Life::Live;
    }
    let Ok(contents) = journal::read(&places.journal()) else { return Life::Unknown };
    match contents.records.last() {
        None => Life::Unknown,
        Some(last) if matches!(last.event, Event::RunEnded { .. }) => {
            Life::Ended(last.at.as_millisecond())
        }
        Some(_) => Life::Unfinished,
    }
}

/// Whether a wrapper of this run is still at work.
pub fn is_at_work(places: &Places) -> bool {
    places.jobs_on_disk().iter().any(|dir| store::is_locked(&super::job::lock_path(dir)))
}

/// Whether a worktree of this run is still there.
pub fn has_worktree(places: &Places) -> bool {
    !places.worktrees_on_disk().is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_that_a_run_gives_are_a_runs() {
        assert!(id_of("20261120-101530-042").is_some());
        for other in ["", "notes", "2026-1-1", "20261120-101530-04", "20261120-101530-042-1"] {
            assert!(id_of(other).is_none(), "{other}");
        }
        let run = "20261120-101530-042";
        let of = |rest: &str| branch_of(&format!("slimductor/{run}/{rest}")).map(|(_, p)| p);
        assert_eq!(of("staging"), Some(Purpose::Staging));
        assert_eq!(of("task/a"), Some(Purpose::Task));
        assert_eq!(of("recovery/a-1"), Some(Purpose::Recovery));
        for mine in ["notes", "staging/x", "tasks/a", ""] {
            assert_eq!(of(mine), None, "{mine}");
        }
        for mine in ["slimductor-notes", "slimductor/notes", "slimductor/notes/staging", "main"] {
            assert!(branch_of(mine).is_none(), "{mine}");
        }
        let root = Path::new("/r");
        for name in ["slot0", "gate1", "gate-final"] {
            assert!(worktree_of(root, &format!("{run}-{name}")).is_some(), "{name}");
        }
        for mine in
            ["mine", "a-slot0", "20261120-101530-042", "20261120-101530-042-slot", "ééééééééééééé"]
        {
            assert!(worktree_of(root, mine).is_none(), "{mine}");
        }
    }

    #[test]
    fn an_id_says_when_its_run_was_made() {
        let at = made_at(&id_of("20261120-101530-042").unwrap()).unwrap();
        let text = jiff::Timestamp::from_millisecond(at).unwrap().to_string();
        assert_eq!(text, "2026-11-20T10:15:30.042Z");
        assert_eq!(made_at(&id_of("20269920-101530-042").unwrap()), None);
    }
}
