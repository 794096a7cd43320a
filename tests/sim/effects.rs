//! What each effect does to the disk, as src/execute/effect.rs does it to the real one; and what must be true when it
//! is done. May be cut anywhere between two of its steps.

use slimductor::execute::command::{Effect, Product};
use slimductor::execute::event::GateOn;
use slimductor::execute::state::{RunState, Step};
use slimductor::git::{FastForward, Merge, Swap};
use slimductor::types::{Attempt, Change, ChangeKind, Gate, Sha, Slot};

use crate::disk::{Disk, Place, Tree};
use crate::script::{Act, Script};

/// What ends an effect without a product.
#[derive(Debug)]
pub enum Cut {
    /// The coordinator is killed in the midst of it.
    Killed,
    /// Git says no.
    Refused(&'static str),
}

/// One effect at work: on which disk, and when it is cut down.
pub struct Work<'a> {
    pub script: &'a Script,
    pub disk: &'a mut Disk,
    /// After so many of its steps it is cut down.
    pub steps_left: Option<usize>,
}

fn task_branch(task: usize) -> String {
    format!("task/t{task}")
}

fn recovery(task: usize, attempt: Attempt) -> String {
    format!("recovery/t{task}-{attempt}")
}

impl Work<'_> {
    /// Between two steps.
    fn step(&mut self) -> Result<(), Cut> {
        match &mut self.steps_left {
            Some(0) => Err(Cut::Killed),
            Some(left) => {
                *left -= 1;
                Ok(())
            }
            None => Ok(()),
        }
    }

    fn swap_staging(&mut self, old: Option<&Sha>, new: &Sha) -> Swap {
        let now = self.disk.staging.clone();
        if now.as_ref() == Some(new) {
            return Swap::Done;
        }
        if now.as_ref() != old {
            return Swap::Elsewhere(now);
        }
        if let Some(old) = old {
            assert!(self.disk.contains(new, old), "staging loses what had landed");
        }
        self.disk.staging = Some(new.clone());
        Swap::Done
    }

    fn merge(&mut self, state: &RunState, task: usize, onto: &Sha) -> Product {
        let head = state.tasks[task].head.clone().expect("a task without work is merged");
        let (base, work) = (self.disk.content(onto).clone(), self.disk.content(&head).clone());
        if let Some(path) = self.script.conflict(&base, &work, task) {
            return Product::Merged(Merge::Conflict(vec![path]));
        }
        let commit = self.disk.commit(&["merge", onto.as_str(), head.as_str()], &base | &work);
        Product::Merged(Merge::Clean { tree: commit.clone(), commit })
    }

    /// Whether everything stands still in a place that is about to be made anew.
    fn assert_idle(&self, place: Place, what: &str) {
        let runs = self.disk.runs_in(place);
        assert!(runs.is_none(), "{what}: {runs:?} still runs there");
    }

    fn keep(&mut self, branch: String, head: &Sha) {
        self.disk.branches.insert(branch, head.clone());
    }

    /// What a person changed in the kept worktree of a failed attempt goes to a branch of its own, once.
    fn save_edits(&mut self, state: &RunState, task: usize, (attempt, slot): (Attempt, Slot)) {
        let run = &state.tasks[task];
        let Some(tree) = self.disk.slots.get(&slot).cloned() else { return };
        if !self.disk.saved.insert((task, attempt)) {
            return;
        }
        let last = run.discarded.get(&attempt).unwrap_or(&tree.at);
        if tree.content != *self.disk.content(last) {
            let words = ["edited", last.as_str(), &format!("{:?}", tree.content)];
            let commit = self.disk.commit(&words, tree.content);
            self.keep(format!("{}-edited", recovery(task, attempt)), &commit);
        }
    }

    pub fn perform(&mut self, effect: &Effect, state: &RunState) -> Result<Product, Cut> {
        self.step()?;
        let product = match effect {
            Effect::CreateStaging => Product::Swapped(self.swap_staging(None, &state.header.base)),
            Effect::Prepare { task, .. } => self.prepare(*task, state)?,
            Effect::Collect { task, attempt } => self.collect(*task, *attempt, state)?,
            Effect::BuildStage { stage } => {
                let stage = state.train.iter().find(|s| s.number == *stage).unwrap();
                self.merge(state, stage.task, &stage.base)
            }
            Effect::BuildGate { gate } => {
                let gate = state.gates.iter().find(|g| g.number == *gate).unwrap();
                let GateOn::With { landed, task } = &gate.on else {
                    panic!("only pairs are merged")
                };
                let onto = match *landed {
                    0 => state.header.base.clone(),
                    n => state.landed[n - 1].1.clone(),
                };
                self.merge(state, state.plan.index_of(task).unwrap(), &onto)
            }
            Effect::PrepareGate { gate } => {
                let gate = state.gates.iter().find(|g| g.number == *gate).unwrap();
                self.make_gate(gate.place, gate.commit.as_ref().expect("a gate without a tree"))?;
                Product::Nothing
            }
            Effect::PrepareInstall { .. } => {
                let open = !state.train.is_empty() || !state.gates.is_empty();
                assert!(!open, "staging is about to move under what waits and what is checked");
                let base = state.install.as_ref().unwrap().base.clone();
                self.make_gate(Gate::Final, &base)?;
                Product::Nothing
            }
            Effect::StopGate { gate } => {
                let run = state.gates.iter().find(|g| g.number == *gate).unwrap();
                self.disk.stop(&format!("gate-{gate}"), Place::Gate(run.place));
                Product::Nothing
            }
            Effect::Land { stage } => self.land(*stage, state)?,
            Effect::CommitInstall { number } => {
                let base = &state.install.as_ref().unwrap().base;
                self.assert_idle(Place::Gate(Gate::Final), "what is installed is committed");
                let tree = self.disk.gates[&Gate::Final].clone();
                assert_eq!(tree.at, *base, "what is committed was installed on another tree");
                let piece = crate::disk::Piece::Installed(*number);
                assert!(tree.content.contains(&piece), "nothing was installed there");
                let words = ["install", base.as_str(), &number.to_string()];
                let commit = self.disk.commit(&words, tree.content);
                self.step()?;
                if self.swap_staging(Some(base), &commit) != Swap::Done {
                    return Err(Cut::Refused("staging was moved by somebody else"));
                }
                self.disk.installed = true;
                Product::Installed { commit, environment: format!("env-{number}") }
            }
            Effect::Propose { to } => {
                assert_eq!(state.gated.as_ref(), Some(to), "what was not gated is proposed");
                Product::Proposed { url: None, command: "gh".to_owned() }
            }
            Effect::Promote { to } => Product::Promoted(self.promote(to, state)?),
            Effect::MergeTarget { target } => {
                if self.script.target_conflicts {
                    return Ok(Product::Merged(Merge::Conflict(vec!["f0".to_owned()])));
                }
                let ours = state.staging.clone().unwrap();
                let content = self.disk.content(&ours) | self.disk.content(target);
                let commit = self.disk.commit(&["merge", ours.as_str(), target.as_str()], content);
                self.step()?;
                if self.swap_staging(Some(&ours), &commit) != Swap::Done {
                    return Err(Cut::Refused("staging was moved by somebody else"));
                }
                Product::Merged(Merge::Clean { tree: commit.clone(), commit })
            }
            Effect::CleanUp => self.clean_up(state)?,
            Effect::DropAnswer { id } => {
                self.disk.answers.retain(|(a, _)| a.id != *id);
                Product::Nothing
            }
            Effect::Work { .. }
            | Effect::Check { .. }
            | Effect::CheckGate { .. }
            | Effect::RunInstall { .. }
            | Effect::Review { .. } => panic!("a job is not performed"),
        };
        self.step()?;
        Ok(product)
    }

    fn prepare(&mut self, task: usize, state: &RunState) -> Result<Product, Cut> {
        let run = &state.tasks[task];
        for (attempt, head) in &run.discarded {
            self.keep(recovery(task, *attempt), head);
        }
        self.step()?;
        self.disk.branches.remove(&task_branch(task));
        let (slot, base) = (run.slot.unwrap(), run.base.clone().unwrap());
        self.step()?;
        if let Some(edited) = run.unsaved {
            self.save_edits(state, task, edited);
        }
        self.step()?;
        let what = format!("t{task} gets slot {slot}");
        self.assert_idle(Place::Slot(slot), &what);
        let haunted = self.disk.haunted.contains(&slot);
        assert!(!haunted, "{what}, in which a lost worker's rest may still write");
        if let Some(tree) = self.disk.slots.get(&slot) {
            self.disk.assert_kept(tree, |_| false, &what);
        }
        let content = self.disk.content(&base).clone();
        let tree = Tree { made_for: Some((task, run.attempt)), at: base, content };
        self.disk.slots.insert(slot, tree);
        Ok(Product::Prepared { around: None })
    }

    fn collect(&mut self, task: usize, attempt: Attempt, state: &RunState) -> Result<Product, Cut> {
        let run = &state.tasks[task];
        let (slot, base) = (run.slot.unwrap(), run.base.clone().unwrap());
        // Whoever could not be looked after may go on: his place is not used again.
        if !state.tainted.contains(&slot) {
            self.assert_idle(Place::Slot(slot), "what is collected");
        }
        let Some(tree) = self.disk.slots.get(&slot).cloned() else {
            return Err(Cut::Refused("there is no worktree"));
        };
        let worked = self.disk.jobs.contains_key(&format!("worker-t{task}-{attempt}"));
        let made_for = tree.made_for.filter(|(t, a)| *t == task && (*a == attempt || !worked));
        if made_for.is_none() {
            // A fix after an attempt whose worktree was never made: it would be another's.
            assert!(!worked, "t{task}: what is collected is another's: {:?}", tree.made_for);
            return Err(Cut::Refused("there is no worktree"));
        }
        let words = ["work", base.as_str(), &format!("{:?}", tree.content)];
        let nothing = tree.content == *self.disk.content(&base);
        let path = match self.script.act_in(&tree.content, task) {
            Some(Act::StraysOutside) => "elsewhere".to_owned(),
            _ => format!("f{task}"),
        };
        let head = if nothing { base } else { self.disk.commit(&words, tree.content) };
        self.step()?;
        self.keep(task_branch(task), &head);
        let change = Change {
            path,
            kind: ChangeKind::Added,
            old_mode: 0,
            new_mode: 0o100_644,
            added: 1,
            removed: 0,
            only_grew: true,
            only_blank: false,
        };
        let changes = if nothing { Vec::new() } else { vec![change] };
        Ok(Product::Collected { head, changes, found: Vec::new() })
    }

    fn make_gate(&mut self, gate: Gate, commit: &Sha) -> Result<(), Cut> {
        self.assert_idle(Place::Gate(gate), &format!("the gate's worktree {gate:?} is made anew"));
        self.disk.gates.remove(&gate);
        self.step()?;
        let content = self.disk.content(commit).clone();
        self.disk.gates.insert(gate, Tree { made_for: None, at: commit.clone(), content });
        Ok(())
    }

    fn land(&mut self, stage: u32, state: &RunState) -> Result<Product, Cut> {
        let stage = state.train.iter().find(|s| s.number == stage).expect("what is to land");
        let commit = stage.commit.clone().unwrap();
        assert!(!self.script.is_red(self.disk.content(&commit)), "what is red at the gate lands");
        let swap = self.swap_staging(state.staging.as_ref(), &commit);
        self.step()?;
        if swap == Swap::Done {
            for landed in state.train.iter().take_while(|s| s.number <= stage.number) {
                self.disk.branches.remove(&task_branch(landed.task));
            }
        }
        Ok(Product::Swapped(swap))
    }

    fn promote(&mut self, to: &Sha, state: &RunState) -> Result<FastForward, Cut> {
        if self.disk.target_moved < self.script.target_moves {
            self.disk.target_moved += 1;
            let onto = self.disk.content(&self.disk.target).clone();
            self.disk.target = self.disk.foreign_commit(&onto, None);
        }
        let now = self.disk.target.clone();
        if self.disk.contains(&now, to) {
            return Ok(FastForward::Done);
        }
        if now != state.target_tip || !self.disk.contains(to, &now) {
            let onward = self.disk.contains(&now, &state.target_tip);
            return Ok(FastForward::Moved { now: Some(now), onward });
        }
        if self.disk.dirty {
            let message = "error: local changes\n\tREADME\n".to_owned();
            return Ok(FastForward::Dirty { checkout: ".".into(), message });
        }
        let gated = state.gated.as_ref() == Some(to);
        assert!(gated, "the target would move to a tree that was not gated");
        let red = self.script.is_red_at_last(self.disk.content(to));
        assert!(!red, "the target would move to a tree that is red");
        assert!(!state.aborting, "the target would move although the run is aborted");
        self.disk.target = to.clone();
        Ok(FastForward::Done)
    }

    fn clean_up(&mut self, state: &RunState) -> Result<Product, Cut> {
        self.disk.cleaning = true;
        if state.aborting {
            self.disk.cancelled = true;
            for name in self.disk.running() {
                let place = self.disk.jobs[&name].place;
                self.disk.stop(&name, place);
            }
        }
        let running = self.disk.running();
        assert!(running.is_empty(), "{running:?} run while everything is removed");
        self.step()?;
        for (task, run) in state.tasks.iter().enumerate() {
            if run.step == Step::Merged {
                for attempt in run.discarded.keys() {
                    self.disk.branches.remove(&recovery(task, *attempt));
                }
            } else {
                self.keep_unmerged(task, state);
            }
            self.disk.branches.remove(&task_branch(task));
        }
        self.step()?;
        // What a survivor writes after his work was collected is nobody's.
        for (_, tree) in self.disk.slots.iter().filter(|(slot, _)| !state.tainted.contains(slot)) {
            let merged = |t: usize| state.tasks[t].step == Step::Merged;
            self.disk.assert_kept(tree, merged, "a worktree is removed");
        }
        self.disk.slots.clear();
        self.disk.gates.clear();
        self.step()?;
        self.keep_staging(state);
        self.disk.cleaned = true;
        Ok(Product::CleanedUp { kept: Vec::new() })
    }

    fn keep_unmerged(&mut self, task: usize, state: &RunState) {
        let run = &state.tasks[task];
        for (attempt, head) in &run.discarded {
            self.keep(recovery(task, *attempt), head);
        }
        let name = recovery(task, run.attempt);
        if let Some(head) = &run.head {
            self.keep(name, head);
        } else if let (Some(slot), Some(base), true) = (run.slot, &run.base, run.is_active()) {
            // A worker that was cut down: what it had written is kept.
            let tree = self.disk.slots.get(&slot).cloned();
            if let Some(tree) = tree.filter(|_| !self.disk.branches.contains_key(&name)) {
                let words = ["work", base.as_str(), &format!("{:?}", tree.content)];
                let head = self.disk.commit(&words, tree.content);
                self.keep(name, &head);
            }
        } else {
            let kept_in = run.unsaved.or(run.slot.map(|slot| (run.attempt, slot)));
            if let Some(kept_in) = kept_in {
                self.save_edits(state, task, kept_in);
            }
        }
    }

    fn keep_staging(&mut self, state: &RunState) {
        let Some(staging) = &state.staging else { return };
        if let Some(tip) = self.disk.staging.clone()
            && !self.disk.contains(staging, &tip)
        {
            self.keep("recovery/staging-edited".to_owned(), &tip);
        }
        let landed = state.tasks.iter().any(|t| t.step == Step::Merged);
        let stays = state.promoted.is_none() && landed && !state.aborting;
        if stays && self.disk.staging.is_none() {
            // Somebody removed it, and nothing else holds what landed.
            self.disk.staging = Some(staging.clone());
        }
        if state.replanning || stays {
            return;
        }
        if state.aborting && landed {
            self.keep("recovery/staging".to_owned(), staging);
        }
        self.disk.staging = None;
    }
}
