//! What is kept of runs that are over, by policy: a pure plan over plain facts, and its doing. Never the newest run,
//! never one that is not over, never work that is on no branch of the user's.

use std::path::Path;

use super::past::{self, Life, Purpose, Runs};
use super::run::{self, RunError};
use super::worktree::{Places, runs_dir};
use super::{leftovers, world};
use crate::git::Repo;
use crate::plan::config::Retention;
use crate::store::{self, Lock};
use crate::types::{Millis, RunId, Sha};

const DAY_MS: Millis = 24 * 60 * 60 * 1000;
/// What of a run directory may go while its report stays.
const BULK: [&str; 5] = ["jobs", "prompts", "logs", "indices", "git"];

/// How much is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// So many of the newest runs that have ended.
    pub runs: usize,
    /// Those that ended in the last so many days.
    pub days: u32,
    /// Recovery branches of runs that ended in the last so many days.
    pub recovery_days: u32,
}

impl Default for Policy {
    fn default() -> Policy {
        Policy { runs: 20, days: 30, recovery_days: 90 }
    }
}

impl Policy {
    /// The policy of a configuration. A value that is left out or 0 is the default: some would mean "nothing" by a 0
    /// and others "without limit", and the default disappoints neither by much. Who wants the least says 1, who
    /// wants all says a great number.
    pub fn of(config: &Retention) -> Policy {
        let default = Policy::default();
        let given = |value: Option<u32>| value.filter(|v| *v > 0);
        let runs = given(config.runs).and_then(|n| usize::try_from(n).ok());
        Policy {
            runs: runs.unwrap_or(default.runs),
            days: given(config.days).unwrap_or(default.days),
            recovery_days: given(config.recovery_days).unwrap_or(default.recovery_days),
        }
    }
}

/// A branch of a run that is over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BranchFacts {
    /// Its name.
    pub name: String,
    /// The commit that it stands at.
    pub tip: Sha,
    /// Whether it is a recovery branch, and no staging or task branch that was left.
    pub recovery: bool,
    /// Since when it is kept, ms: the end of its run, or its making where that is all that is known. Not the time of
    /// its commit, which a worker may have set to anything.
    pub at: Millis,
    /// Whether a branch that is not ours holds its commit.
    pub merged: bool,
}

/// A run, as far as retention asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunFacts {
    /// Which one; of two runs the newer sorts last.
    pub run: RunId,
    /// How it stands.
    pub life: Life,
    /// Whether a wrapper of it is still at work, whatever its journal says.
    pub at_work: bool,
    /// Whether a worktree of it is still there: its index and git directory are needed to judge that.
    pub worktree: bool,
    /// Whether there are logs and the like that could go while the report stays.
    pub bulk: bool,
    /// Its branches.
    pub branches: Vec<BranchFacts>,
}

/// One thing that the policy lets go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Prune {
    /// A recovery branch whose commit is on a branch of the user's.
    Branch {
        /// Its name.
        name: String,
        /// Where it stood when that was found.
        tip: Sha,
    },
    /// The logs, prompts, indices and git directories of a run; its journal and reports stay.
    Bulk(RunId),
    /// A run as a whole.
    Run(RunId),
}

/// What the policy lets go at the time `now`.
///
/// A run goes only when it is BOTH beyond the count AND older than the days: after fifty runs in a week the one from
/// Monday is still wanted, and after a year's pause the last twenty are. One limit alone would lose the one or the other.
///
/// A run that has unmerged work on a branch keeps its journal and its reports, which are what says where that work
/// came from; only its bulk goes.
pub fn plan(now: Millis, policy: &Policy, runs: &[RunFacts]) -> Vec<Prune> {
    let there = runs.iter().filter(|r| r.life != Life::Gone);
    let newest = there.map(|r| &r.run).max();
    let mut over: Vec<&RunFacts> = runs.iter().filter(|r| r.life.is_over()).collect();
    over.sort_by(|a, b| b.run.cmp(&a.run));
    let free = |run: &RunFacts| !run.at_work && Some(&run.run) != newest;
    let is_old = |at: Millis, days: u32| now.saturating_sub(at) > Millis::from(days) * DAY_MS;
    let mut out = Vec::new();
    for run in over.iter().filter(|r| free(r)) {
        let due = run.branches.iter();
        let due = due.filter(|b| b.recovery && b.merged && is_old(b.at, policy.recovery_days));
        out.extend(due.map(|b| Prune::Branch { name: b.name.clone(), tip: b.tip.clone() }));
    }
    let ended = over.iter().filter_map(|r| match r.life {
        Life::Ended(at) => Some((*r, at)),
        Life::Gone | Life::Live | Life::Unfinished | Life::Unknown => None,
    });
    for (run, at) in ended.skip(policy.runs) {
        if !free(run) || !is_old(at, policy.days) || run.worktree {
            continue;
        }
        let unmerged = run.branches.iter().any(|b| !b.merged);
        match (unmerged, run.bulk) {
            (false, _) => out.push(Prune::Run(run.run.clone())),
            (true, true) => out.push(Prune::Bulk(run.run.clone())),
            (true, false) => {}
        }
    }
    out
}

/// What was removed, and what could not be.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pruned {
    /// What the policy let go and is gone.
    pub gone: Vec<Prune>,
    /// What it let go and is still there, each with why.
    pub kept: Vec<(Prune, String)>,
    /// Directories of runs whose removal or making a crash had cut off, and which are gone now.
    pub finished: Vec<String>,
}

impl Prune {
    /// What it is, in one word or two.
    pub fn word(&self) -> &'static str {
        match self {
            Prune::Branch { .. } => "recovery branch",
            Prune::Bulk(_) => "run logs",
            Prune::Run(_) => "run",
        }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        match self {
            Prune::Branch { name, .. } => name,
            Prune::Bulk(run) | Prune::Run(run) => run.as_str(),
        }
    }

    /// Why it may go.
    pub fn why(&self) -> &'static str {
        match self {
            Prune::Branch { .. } => "older than retention.recovery_days, and merged",
            Prune::Bulk(_) => "older than `retention` says; its unmerged work and reports stay",
            Prune::Run(_) => "older than `retention` says",
        }
    }
}

impl Pruned {
    /// What was done, a line each, for people.
    pub fn lines(&self) -> Vec<String> {
        let gone = self.gone.iter();
        let gone = gone.map(|p| format!("removed {} {} ({})", p.word(), p.name(), p.why()));
        let finished = self.finished.iter().map(|f| format!("removed {f} (half made or removed)"));
        let kept = self.kept.iter();
        let kept = kept.map(|(p, why)| format!("kept {} {}: {why}", p.word(), p.name()));
        gone.chain(finished).chain(kept).collect()
    }
}

/// What the policy would let go now; changes nothing.
pub fn due(repo: &Repo, policy: &Policy, now: Millis) -> Result<Vec<Prune>, RunError> {
    Ok(plan(now, policy, &facts(repo)?))
}

fn facts(repo: &Repo) -> Result<Vec<RunFacts>, RunError> {
    let runs = Runs::read(repo);
    let branches = repo.branches()?;
    let others = branches.iter().filter(|(name, _)| past::branch_of(name).is_none());
    let others: Vec<Sha> = others.map(|(_, tip)| tip.clone()).collect();
    let fact = |run: &RunId, life: Life| RunFacts {
        run: run.clone(),
        life,
        at_work: life.is_over() && past::is_at_work(&runs.places(run)),
        worktree: past::has_worktree(&runs.places(run)),
        bulk: BULK.iter().any(|name| runs.places(run).run_dir().join(name).exists()),
        branches: Vec::new(),
    };
    let mut out: Vec<RunFacts> = runs.known().map(|(run, life)| fact(run, life)).collect();
    for (name, tip) in &branches {
        let Some((run, purpose)) = past::branch_of(name) else { continue };
        let life = runs.life(&run);
        let at = match life {
            Life::Ended(at) => Some(at),
            Life::Gone => past::made_at(&run),
            Life::Live | Life::Unfinished | Life::Unknown => None,
        };
        let Some(at) = at else { continue };
        let place = match out.iter().position(|r| r.run == run) {
            Some(place) => place,
            None => {
                out.push(fact(&run, life));
                out.len() - 1
            }
        };
        // What cannot be read is not merged.
        let merged = repo.is_within(tip, &others).unwrap_or(false);
        let recovery = purpose == Purpose::Recovery;
        let branch = BranchFacts { name: name.clone(), tip: tip.clone(), recovery, at, merged };
        out[place].branches.push(branch);
    }
    Ok(out)
}

/// Removes what the policy lets go. One process at a time; what a crash cuts off, the next one finishes.
pub fn prune(repo: &Repo, policy: &Policy, now: Millis) -> Result<Pruned, RunError> {
    let runs = runs_dir(repo.root());
    let mut pruned = Pruned::default();
    if !runs.is_dir() {
        return Ok(pruned);
    }
    // The same lock as for making a run: nobody makes or removes another meanwhile. Who has it may be at this very thing,
    // and the next one does it in any case.
    let Some(_alone) = Lock::try_take(&making_lock(repo.root()))? else { return Ok(pruned) };
    for dir in half_directories(&runs) {
        if store::remove_tree(&dir).is_ok() {
            pruned.finished.push(dir.display().to_string());
        }
    }
    if run::list(repo.root()).len() <= policy.runs && !keeps_work(repo)? {
        // Nothing can be due: the journals need not be read.
        return Ok(pruned);
    }
    for item in plan(now, policy, &facts(repo)?) {
        match remove(repo, &item) {
            Ok(()) => pruned.gone.push(item),
            Err(why) => pruned.kept.push((item, why)),
        }
    }
    Ok(pruned)
}

/// Whether there is a recovery branch of any run.
fn keeps_work(repo: &Repo) -> Result<bool, RunError> {
    let branches = repo.branches()?;
    let mut ours = branches.iter().filter_map(|(name, _)| past::branch_of(name));
    Ok(ours.any(|(_, purpose)| purpose == Purpose::Recovery))
}

/// The same when a run has ended, by the configuration it was made with. That it cannot be done is no failure of the
/// run; it is among what is said.
pub fn after(root: &Path, run: &RunId) -> Vec<String> {
    let places = Places { root: root.to_owned(), run: run.clone() };
    let done = || -> Result<Pruned, RunError> {
        let policy = Policy::of(&run::config_of(&places)?.retention);
        prune(&Repo::discover(root)?, &policy, world::present().as_millisecond())
    };
    match done() {
        Ok(pruned) => pruned.lines(),
        Err(error) => vec![format!("old runs are kept: {error}")],
    }
}

/// The lock under which runs are made and removed.
pub(super) fn making_lock(root: &Path) -> std::path::PathBuf {
    root.join(".orchestrator/run.lock")
}

/// Directories of runs that were being made or removed when that was cut off. Right only while nobody makes one.
pub(super) fn half_directories(runs: &Path) -> Vec<std::path::PathBuf> {
    let half = |name: &str| {
        let run = name.strip_prefix(".old-").or_else(|| name.strip_prefix(".new-"));
        run.is_some_and(|run| past::id_of(run).is_some())
    };
    let entries = std::fs::read_dir(runs).into_iter().flatten().flatten();
    let half = entries.filter(|e| half(&e.file_name().to_string_lossy())).map(|e| e.path());
    let is_dir = |p: &std::path::PathBuf| p.symlink_metadata().is_ok_and(|m| m.is_dir());
    half.filter(is_dir).filter(|p| !store::is_locked(&p.join("lock"))).collect()
}

fn remove(repo: &Repo, item: &Prune) -> Result<(), String> {
    match item {
        Prune::Branch { name, tip } => remove_branch(repo, name, tip),
        Prune::Bulk(run) => {
            let places = Places { root: repo.root().to_owned(), run: run.clone() };
            let _held = hold(&places)?;
            end_temporaries(&places);
            for name in BULK {
                store::remove_tree(&places.run_dir().join(name)).map_err(|e| e.to_string())?;
            }
            Ok(())
        }
        Prune::Run(run) => {
            let places = Places { root: repo.root().to_owned(), run: run.clone() };
            let _held = hold(&places)?;
            end_temporaries(&places);
            // Gone at once for everybody who looks; what a crash leaves has a name that says what it is.
            let aside = runs_dir(repo.root()).join(format!(".old-{run}"));
            store::publish_dir(&places.run_dir(), &aside).map_err(|e| e.to_string())?;
            store::remove_tree(&aside).map_err(|e| e.to_string())
        }
    }
}

/// The lock of a run that is to go: whoever holds it meanwhile keeps it.
fn hold(places: &Places) -> Result<Lock, String> {
    let lock = Lock::try_take(&places.lock()).map_err(|e| e.to_string())?;
    lock.ok_or_else(|| "somebody has taken it up".to_owned())
}

/// Only the job's directory knows of its temporary one.
fn end_temporaries(places: &Places) {
    for dir in places.jobs_on_disk() {
        if let Some(tmp) = leftovers::temporary_of(&dir) {
            // It lies where the system clears up by itself.
            let _ = store::remove_tree(&tmp);
        }
    }
}

/// Removes a branch that still stands where it was judged, unless somebody has it checked out.
pub(super) fn remove_branch(repo: &Repo, name: &str, tip: &Sha) -> Result<(), String> {
    if let Some(at) = repo.checkout_of(name).map_err(|e| e.to_string())? {
        return Err(format!("it is checked out in {}", at.display()));
    }
    match repo.delete_branch_at(name, tip).map_err(|e| e.to_string())? {
        true => Ok(()),
        false => Err("it has moved meanwhile".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOW: Millis = 1_000 * DAY_MS;

    fn id(n: u32) -> RunId {
        RunId::parse(&format!("20260101-000000-{n:03}")).unwrap()
    }

    fn sha() -> Sha {
        Sha::parse(&"a".repeat(40)).unwrap()
    }

    fn branch(recovery: bool, merged: bool, age: i64) -> BranchFacts {
        let name = format!("b-{recovery}-{merged}-{age}");
        BranchFacts { name, tip: sha(), recovery, at: NOW - age * DAY_MS, merged }
    }

    /// An ended run of so many days ago.
    fn ended(n: u32, age: i64) -> RunFacts {
        RunFacts {
            run: id(n),
            life: Life::Ended(NOW - age * DAY_MS),
            at_work: false,
            worktree: false,
            bulk: true,
            branches: Vec::new(),
        }
    }

    fn words(policy: &Policy, runs: &[RunFacts]) -> Vec<String> {
        let said = |p: &Prune| format!("{} {}", p.word(), p.name().trim_start_matches("20260101-"));
        plan(NOW, policy, runs).iter().map(said).collect()
    }

    #[test]
    fn zero_and_nothing_are_the_defaults() {
        let of = |runs, days, recovery_days| Policy::of(&Retention { runs, days, recovery_days });
        assert_eq!(of(None, None, None), Policy::default());
        assert_eq!(of(Some(0), Some(0), Some(0)), Policy::default());
        let all = of(Some(1), Some(2), Some(u32::MAX));
        assert_eq!((all.runs, all.days, all.recovery_days), (1, 2, u32::MAX));
    }

    #[test]
    fn a_run_goes_only_when_it_is_beyond_the_count_and_older_than_the_days() {
        let policy = Policy { runs: 2, days: 30, recovery_days: 90 };
        let none: [&str; 0] = [];
        // Many, but young.
        let young: Vec<RunFacts> = (0..9).map(|n| ended(n, 30)).collect();
        assert_eq!(words(&policy, &young), none);
        // Old, but few.
        assert_eq!(words(&policy, &[ended(1, 400), ended(2, 300)]), none);
        let both = [ended(1, 400), ended(2, 300), ended(3, 31), ended(4, 1)];
        assert_eq!(words(&policy, &both), ["run 000000-002", "run 000000-001"]);
        // A clock that was set back makes nothing old.
        assert_eq!(words(&policy, &[ended(1, -5), ended(2, -5), ended(3, -5)]), none);
    }

    #[test]
    fn what_is_not_over_stays_and_takes_no_place() {
        let policy = Policy { runs: 1, days: 1, recovery_days: 1 };
        let mut runs = vec![ended(1, 99), ended(2, 99), ended(3, 99), ended(4, 99)];
        for (place, life) in [(0, Life::Live), (1, Life::Unfinished), (3, Life::Unknown)] {
            runs[place].life = life;
            runs[place].branches = vec![branch(true, true, 99)];
        }
        // The only one that has ended is the one that is kept.
        assert_eq!(words(&policy, &runs), Vec::<String>::new());
        runs.push(ended(5, 99));
        assert_eq!(words(&policy, &runs), ["run 000000-003"]);
        runs[2].at_work = true;
        assert_eq!(words(&policy, &runs), Vec::<String>::new());
        runs[2].at_work = false;
        runs[2].worktree = true;
        assert_eq!(words(&policy, &runs), Vec::<String>::new());
    }

    #[test]
    fn unmerged_work_keeps_its_branch_and_the_report_of_its_run() {
        let policy = Policy { runs: 1, days: 1, recovery_days: 90 };
        let mut runs = vec![ended(1, 999), ended(2, 1)];
        runs[0].branches = vec![branch(true, false, 999), branch(true, true, 999)];
        assert_eq!(
            words(&policy, &runs),
            ["recovery branch b-true-true-999", "run logs 000000-001"]
        );
        runs[0].bulk = false;
        runs[0].branches.pop();
        assert_eq!(words(&policy, &runs), Vec::<String>::new());
        // A merged branch outlives its run until its own time has come.
        runs[0].branches = vec![branch(true, true, 90)];
        assert_eq!(words(&policy, &runs), ["run 000000-001"]);
        runs[0].life = Life::Gone;
        assert_eq!(words(&policy, &runs), Vec::<String>::new());
        runs[0].branches = vec![branch(true, true, 91), branch(false, true, 999)];
        assert_eq!(words(&policy, &runs), ["recovery branch b-true-true-91"]);
    }

    fn any_life() -> impl Strategy<Value = Life> {
        prop_oneof![
            Just(Life::Live),
            Just(Life::Unfinished),
            Just(Life::Unknown),
            Just(Life::Gone),
            (-10_i64..200).prop_map(|age| Life::Ended(NOW - age * DAY_MS)),
            (-10_i64..200).prop_map(|age| Life::Ended(NOW - age * DAY_MS)),
            Just(Life::Ended(Millis::MIN)),
            Just(Life::Ended(Millis::MAX)),
        ]
    }

    fn any_run(n: u32) -> impl Strategy<Value = RunFacts> {
        let branches = prop::collection::vec(
            (any::<bool>(), any::<bool>(), -10_i64..200).prop_map(|(r, m, a)| branch(r, m, a)),
            0..3,
        );
        (any_life(), prop::bool::weighted(0.2), prop::bool::weighted(0.2), any::<bool>(), branches)
            .prop_map(move |(life, at_work, worktree, bulk, mut branches)| {
                for b in &mut branches {
                    b.name = format!("{n}-{}", b.name);
                }
                RunFacts { run: id(n), life, at_work, worktree, bulk, branches }
            })
    }

    fn any_runs() -> impl Strategy<Value = Vec<RunFacts>> {
        let runs: Vec<_> = (0..8).map(any_run).collect();
        (runs, 0_usize..=8).prop_map(|(mut runs, n)| {
            runs.truncate(n);
            runs
        })
    }

    /// The facts once the plan is carried out.
    fn done(runs: &[RunFacts], plan: &[Prune]) -> Vec<RunFacts> {
        let mut out = runs.to_vec();
        for item in plan {
            match item {
                Prune::Branch { name, .. } => {
                    out.iter_mut().for_each(|r| r.branches.retain(|b| b.name != *name));
                }
                Prune::Bulk(run) => {
                    out.iter_mut().filter(|r| r.run == *run).for_each(|r| r.bulk = false);
                }
                Prune::Run(run) => {
                    for r in out.iter_mut().filter(|r| r.run == *run) {
                        (r.life, r.bulk) = (Life::Gone, false);
                    }
                }
            }
        }
        out
    }

    proptest! {
        #[test]
        fn what_must_stay_stays(runs in any_runs(), count in 0_usize..5, days in 0_u32..100, kept in 0_u32..100) {
            let policy = Policy { runs: count, days, recovery_days: kept };
            let plan = plan(NOW, &policy, &runs);
            let newest = runs.iter().filter(|r| r.life != Life::Gone).map(|r| r.run.clone()).max();
            let rank = |run: &RunId| {
                runs.iter().filter(|r| matches!(r.life, Life::Ended(_)) && r.run > *run).count()
            };
            for item in &plan {
                let of = |r: &&RunFacts| match item {
                    Prune::Branch { name, .. } => r.branches.iter().any(|b| b.name == *name),
                    Prune::Bulk(run) | Prune::Run(run) => r.run == *run,
                };
                let run = runs.iter().find(of).unwrap();
                prop_assert!(run.life.is_over() && !run.at_work);
                prop_assert!(Some(&run.run) != newest.as_ref());
                match item {
                    Prune::Branch { name, .. } => {
                        let b = run.branches.iter().find(|b| b.name == *name).unwrap();
                        prop_assert!(b.recovery && b.merged);
                        prop_assert!(NOW - b.at > i64::from(kept) * DAY_MS);
                    }
                    Prune::Run(_) => {
                        prop_assert!(run.branches.iter().all(|b| b.merged) && !run.worktree);
                        prop_assert!(matches!(run.life, Life::Ended(at) if at < NOW - i64::from(days) * DAY_MS));
                        prop_assert!(rank(&run.run) >= count);
                    }
                    Prune::Bulk(_) => {
                        prop_assert!(run.bulk && !run.worktree);
                        prop_assert!(run.branches.iter().any(|b| !b.merged));
                        prop_assert!(rank(&run.run) >= count);
                    }
                }
            }
        }

        #[test]
        fn it_says_nothing_twice_and_the_second_time_there_is_nothing_to_do(runs in any_runs(), count in 0_usize..5, days in 0_u32..100) {
            let policy = Policy { runs: count, days, recovery_days: days };
            let first = plan(NOW, &policy, &runs);
            for (n, item) in first.iter().enumerate() {
                prop_assert!(!first[..n].contains(item));
            }
            prop_assert_eq!(plan(NOW, &policy, &done(&runs, &first)), Vec::new());
        }

        #[test]
        fn a_more_generous_policy_lets_go_of_nothing_more(runs in any_runs(), count in 0_usize..5, days in 0_u32..100) {
            let strict = plan(NOW, &Policy { runs: count, days, recovery_days: days }, &runs);
            for more in [(count + 1, days), (count, days + 7)] {
                let generous = Policy { runs: more.0, days: more.1, recovery_days: more.1 };
                for item in plan(NOW, &generous, &runs) {
                    prop_assert!(strict.contains(&item));
                }
            }
        }

        #[test]
        fn the_order_of_the_facts_does_not_matter(runs in any_runs(), count in 0_usize..5) {
            let policy = Policy { runs: count, days: 30, recovery_days: 30 };
            let mut turned = runs.clone();
            turned.reverse();
            let sorted = |mut plan: Vec<Prune>| {
                plan.sort_by_key(|p| (p.word(), p.name().to_owned()));
                plan
            };
            prop_assert_eq!(sorted(plan(NOW, &policy, &runs)), sorted(plan(NOW, &policy, &turned)));
        }
    }
}
