//! What outlives a coordinator: the journal, git's branches and worktrees, the jobs, the answers, and the clock.
//! Holds what must be true of them at every moment; decides nothing.

use std::collections::{BTreeMap, BTreeSet};

use sha2::{Digest, Sha256};
use slimductor::execute::command::Answer;
use slimductor::execute::event::{Record, Verdict};
use slimductor::execute::state::RunState;
use slimductor::types::{Attempt, Ending, Gate, JobReport, Sha, Slot, StepResult};

/// A run is resumed so often because of what may go away by itself.
const PATIENCE: u32 = 6;

/// One thing that somebody wrote. Trees are sets of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Piece {
    /// What the repository began with.
    Root,
    /// What a worker wrote.
    Work { task: usize, attempt: Attempt },
    /// What a person wrote into a kept worktree, as if it were that attempt.
    Edit { task: usize, attempt: Attempt },
    /// What an installation changed.
    Installed(u32),
    /// What somebody else committed.
    Foreign(u32),
    /// What makes a suite pass that is red by itself.
    Cure,
}

impl Piece {
    /// Which version of `task` it is, if it is one.
    pub fn attempt_of(&self, task: usize) -> Option<Attempt> {
        match self {
            Piece::Work { task: t, attempt } | Piece::Edit { task: t, attempt } => {
                (*t == task).then_some(*attempt)
            }
            Piece::Root | Piece::Installed(_) | Piece::Foreign(_) | Piece::Cure => None,
        }
    }

    /// Whose work it is, if anybody's of the run.
    pub fn owner(&self) -> Option<usize> {
        match self {
            Piece::Work { task, .. } | Piece::Edit { task, .. } => Some(*task),
            Piece::Root | Piece::Installed(_) | Piece::Foreign(_) | Piece::Cure => None,
        }
    }
}

pub type Content = BTreeSet<Piece>;

/// A worktree: for whom it was made, at which commit, and what stands there now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tree {
    pub made_for: Option<(usize, Attempt)>,
    pub at: Sha,
    pub content: Content,
}

/// Where a job runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    Slot(Slot),
    Gate(Gate),
}

/// How far a job is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JobStep {
    /// Its directory is there; nothing runs.
    Made,
    Running,
    /// With its exit file.
    Ended(Ending),
    /// Without one: its wrapper was killed.
    Dead,
}

/// A job. It runs and ends by itself, whoever waits for it.
#[derive(Debug, Clone)]
pub struct Job {
    pub place: Place,
    pub step: JobStep,
    /// How often its commands really began.
    pub began: u32,
    /// How often it died, or was ended by a signal that was not ours.
    pub deaths: u32,
    pub cancelled: bool,
    /// What it writes where it runs, at the latest when it ends well.
    pub writes: Option<Piece>,
    /// What its commands come to when nobody ends them.
    pub steps: Vec<StepResult>,
    pub verdict: Option<Verdict>,
    /// The commit that a check looked at.
    pub saw: Option<Sha>,
}

impl Job {
    /// What its exit file says.
    pub fn report(&self, ending: Ending) -> JobReport {
        let steps = if ending == Ending::Finished { self.steps.clone() } else { Vec::new() };
        JobReport { ending, steps }
    }
}

/// The person who answers what the run asks.
#[derive(Debug, Clone, Default)]
pub struct Person {
    /// How often the run is simply taken up again when that may help.
    pub patience: u32,
    pub asked: u32,
    pub cured: bool,
}

/// What survives a crash.
#[derive(Debug, Clone)]
pub struct Disk {
    pub journal: Vec<Record>,
    /// The machine's clock, ms; it is set forward and back.
    pub clock: i64,
    pub commits: BTreeMap<Sha, Content>,
    pub staging: Option<Sha>,
    pub target: Sha,
    /// The task and recovery branches.
    pub branches: BTreeMap<String, Sha>,
    pub slots: BTreeMap<Slot, Tree>,
    pub gates: BTreeMap<Gate, Tree>,
    pub jobs: BTreeMap<String, Job>,
    /// Whether every job, made or to be made, is told to end.
    pub cancelled: bool,
    /// What people left, and whether the file system has told of it.
    pub answers: Vec<(Answer, bool)>,
    /// Everything that people ever said.
    pub said: Vec<Answer>,
    /// The kept worktrees of which a person's edits were saved.
    pub saved: BTreeSet<(usize, Attempt)>,
    /// Everything that was ever written by a worker or a person.
    pub written: BTreeSet<Piece>,
    /// Slots in which something of a worker whose wrapper was killed may still write.
    pub haunted: BTreeSet<Slot>,
    pub installed: bool,
    pub dirty: bool,
    pub cleaned: bool,
    /// Whether something of a clean-up was done.
    pub cleaning: bool,
    /// How often somebody else committed, and how often the script's moves of the target happened.
    pub foreign: u32,
    pub target_moved: u32,
    /// Whether somebody else moved or deleted staging and it is not put back yet.
    pub staging_meddled: bool,
    pub target_rewritten: bool,
    pub person: Person,
    /// How many coordinators there were.
    pub lives: u64,
    /// Versions that made a suite red once and do not again.
    pub flaked: BTreeSet<(usize, Attempt)>,
}

pub fn sha(parts: &[&str]) -> Sha {
    let digest = Sha256::digest(parts.join("|").as_bytes());
    let hex: String = digest.iter().take(20).map(|b| format!("{b:02x}")).collect();
    Sha::parse(&hex).unwrap()
}

/// Where the target stands at first.
pub fn root() -> Sha {
    sha(&["root"])
}

impl Disk {
    pub fn new(base: &Sha, in_base: Content, first: Record, dirty: bool) -> Disk {
        let mut commits = BTreeMap::from([(root(), BTreeSet::from([Piece::Root]))]);
        commits.insert(base.clone(), in_base);
        Disk {
            clock: first.at.as_millisecond(),
            journal: vec![first],
            commits,
            staging: None,
            target: root(),
            branches: BTreeMap::new(),
            slots: BTreeMap::new(),
            gates: BTreeMap::new(),
            jobs: BTreeMap::new(),
            cancelled: false,
            answers: Vec::new(),
            said: Vec::new(),
            saved: BTreeSet::new(),
            written: BTreeSet::new(),
            haunted: BTreeSet::new(),
            installed: false,
            dirty,
            cleaned: false,
            cleaning: false,
            foreign: 0,
            target_moved: 0,
            staging_meddled: false,
            target_rewritten: false,
            person: Person { patience: PATIENCE, ..Person::default() },
            lives: 0,
            flaked: BTreeSet::new(),
        }
    }

    pub fn content(&self, at: &Sha) -> &Content {
        &self.commits[at]
    }

    /// The commit with this content, always the same for the same words.
    pub fn commit(&mut self, words: &[&str], content: Content) -> Sha {
        let commit = sha(words);
        self.commits.insert(commit.clone(), content);
        commit
    }

    /// What somebody else commits on top of `onto`.
    pub fn foreign_commit(&mut self, onto: &Content, also: Option<Piece>) -> Sha {
        self.foreign += 1;
        let mut content = onto.clone();
        content.insert(Piece::Foreign(self.foreign));
        content.extend(also);
        self.commit(&["foreign", &self.foreign.to_string()], content)
    }

    /// A person leaves an answer, which the file system tells of now or later.
    pub fn say(&mut self, answer: Answer, told: bool) {
        self.said.push(answer.clone());
        self.answers.push((answer, told));
    }

    /// Whether history at `tip` has everything of `old`: a commit holds what its ancestors hold.
    pub fn contains(&self, tip: &Sha, old: &Sha) -> bool {
        self.content(old).is_subset(self.content(tip))
    }

    /// Whether a branch holds the piece.
    pub fn is_on_a_branch(&self, piece: &Piece) -> bool {
        let tips = self.branches.values().chain(&self.staging).chain([&self.target]);
        tips.into_iter().any(|tip| self.content(tip).contains(piece))
    }

    /// What stands in the tree and nowhere else is work that must not be thrown away. What landed in another version
    /// may go when the run is cleaned up.
    pub fn assert_kept(&self, tree: &Tree, dropped: impl Fn(usize) -> bool, what: &str) {
        for piece in &tree.content {
            let Some(task) = piece.owner() else { continue };
            let kept = self.is_on_a_branch(piece) || dropped(task) || self.staging_meddled;
            assert!(kept, "{what}: {piece:?} is thrown away");
        }
    }

    pub fn runs_in(&self, place: Place) -> Option<&String> {
        let runs = |job: &Job| job.place == place && job.step == JobStep::Running;
        self.jobs.iter().find(|(_, job)| runs(job)).map(|(name, _)| name)
    }

    pub fn running(&self) -> Vec<String> {
        let runs = |(_, job): &(&String, &Job)| job.step == JobStep::Running;
        self.jobs.iter().filter(runs).map(|(name, _)| name.clone()).collect()
    }

    pub fn write_down(&mut self, name: &str) {
        let job = &self.jobs[name];
        let Some(piece) = job.writes else { return };
        match job.place {
            Place::Slot(slot) => {
                let tree = self.slots.get_mut(&slot).expect("a worker's worktree was removed");
                let made_for = tree.made_for.map(|(task, attempt)| Piece::Work { task, attempt });
                assert_eq!(made_for, Some(piece), "{name} writes into another's worktree");
                tree.content.insert(piece);
                self.written.insert(piece);
            }
            Place::Gate(gate) => {
                self.gates.get_mut(&gate).expect("no worktree").content.insert(piece);
            }
        }
    }

    /// A job comes to its end by itself.
    pub fn finish(&mut self, name: &str) {
        self.write_down(name);
        self.jobs.get_mut(name).unwrap().step = JobStep::Ended(Ending::Finished);
    }

    /// A job is cut down; `wrote` says whether it had written by then.
    pub fn cut_down(&mut self, name: &str, step: JobStep, wrote: bool) {
        if wrote {
            self.write_down(name);
        }
        let job = self.jobs.get_mut(name).unwrap();
        job.step = step;
        job.deaths += 1;
        if let (JobStep::Dead, Place::Slot(slot), Some(_)) = (step, job.place, job.writes) {
            self.haunted.insert(slot);
        }
    }

    /// `slimductor` itself ends a job, and waits until it has.
    pub fn stop(&mut self, name: &str, place: Place) {
        let job = self.jobs.entry(name.to_owned()).or_insert_with(|| Job {
            place,
            step: JobStep::Made,
            began: 0,
            deaths: 0,
            cancelled: true,
            writes: None,
            steps: Vec::new(),
            verdict: None,
            saw: None,
        });
        job.cancelled = true;
        if job.step == JobStep::Running {
            job.step = JobStep::Ended(Ending::Stopped);
        }
    }

    /// Everything that ran is gone at once.
    pub fn reboot(&mut self, rng: &mut crate::script::Rng) {
        for name in self.running() {
            self.cut_down(&name, JobStep::Dead, rng.one_in(2));
        }
        // Nothing lives through that.
        for answer in &mut self.answers {
            answer.1 = true;
        }
    }

    /// The target went forward from where the run last knew it.
    pub fn target_went_on(&self, state: &RunState) -> Option<Sha> {
        let on = self.target != state.target_tip && self.contains(&self.target, &state.target_tip);
        on.then(|| self.target.clone())
    }
}
