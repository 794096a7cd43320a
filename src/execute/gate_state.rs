//! What gate events do to the state: the queue's trees, the gates that run, landings, and why a task breaks the
//! suite. A part of the one fold; pure.

use super::event::{Event, GateOn, Record};
use super::state::{IllegalRecord, RunState, Step};
use super::task_run::{Colour, GateRun, GateStep, Inquest, Stage, TaskRun};
use crate::types::{Category, Finding, GateNumber, Millis, Sha, StageNumber, StepResult, TaskId};

impl RunState {
    /// Applies an event of the gate; others are not its business.
    #[expect(clippy::wildcard_enum_match_arm, reason = "the rest of the fold has them")]
    pub(super) fn apply_gate(&mut self, record: &Record, at: Millis) -> Result<(), IllegalRecord> {
        match &record.event {
            Event::StageStarted { stage, task, base } => {
                let index = self.index(record, task)?;
                self.task_at(record, task, &[Step::Queued])?;
                if self.train.iter().any(|s| s.commit.is_none() || s.task == index) {
                    return Err(self.illegal(record, "another stage is being built"));
                }
                self.stages = *stage;
                self.train.push(Stage {
                    number: *stage,
                    task: index,
                    base: base.clone(),
                    commit: None,
                    tree: None,
                    colour: Colour::Unknown,
                    findings: Vec::new(),
                    checked: (Vec::new(), base.clone()),
                    started_at: at,
                });
            }
            Event::StageBuilt { stage, commit, tree } => {
                let found = self.building(record, *stage)?;
                found.commit = Some(commit.clone());
                found.tree = Some(tree.clone());
                let task = found.task;
                self.tasks[task].conflicted_on = None;
            }
            Event::StageConflicted { stage, paths } => {
                let found = self.building(record, *stage)?;
                let (task, base) = (found.task, found.base.clone());
                self.train.retain(|s| s.number != *stage);
                // On staging itself the verdict follows at once; else when staging is there.
                self.tasks[task].conflicted_on = Some(base);
                self.tasks[task].conflicts.clone_from(paths);
            }
            Event::GateStarted { gate, on, commit, place } => {
                if self.gates.iter().any(|g| g.place == *place) {
                    return Err(self.illegal(record, "its worktree is in use"));
                }
                let (tasks, base) = self.gate_scope(record, on)?;
                self.gate_count = *gate;
                let step = if commit.is_some() { GateStep::Preparing } else { GateStep::Building };
                self.gates.push(GateRun {
                    number: *gate,
                    on: on.clone(),
                    commit: commit.clone(),
                    place: *place,
                    step,
                    tasks,
                    base,
                    started_at: at,
                });
            }
            Event::GateBuilt { gate, commit } => {
                let found = self.gate_at(record, *gate, GateStep::Building)?;
                found.commit = Some(commit.clone());
                found.step = GateStep::Preparing;
            }
            Event::GateReady { gate } => {
                self.gate_at(record, *gate, GateStep::Preparing)?.step = GateStep::Checking;
            }
            Event::GateChecked { gate, report, findings } => {
                let found = self.gates.iter().position(|g| g.number == *gate);
                let Some(found) = found else {
                    return Err(self.illegal(record, "no such gate runs"));
                };
                let run = self.gates.remove(found);
                if let Some(tree) = self.tree_of_gate(&run) {
                    // A result belongs to exactly this tree and command.
                    let good = |s: &&StepResult| {
                        s.code == Some(0)
                            && s.passed()
                            && s.skipped.is_none()
                            && s.no_tests.is_none()
                    };
                    let passed = report.steps.iter().filter(good);
                    let passed = passed.filter_map(|s| Some((tree.clone(), s.key.clone()?)));
                    self.proven.extend(passed);
                }
                self.gated_ms += report.length_ms();
                // What was proven before, or left out by its `paths`, did not run.
                if report.steps.iter().any(|s| s.skipped.is_none()) {
                    self.suites.count(&run.on);
                }
                if run.on == GateOn::Final {
                    let told =
                        |s: &StepResult| Some(format!("`{}`: {}", s.command, s.skipped.as_ref()?));
                    self.left_out = report.steps.iter().filter_map(told).collect();
                }
                self.gate_result(&run, findings);
            }
            Event::GateDropped { gate } => {
                let found = self.gates.iter_mut().find(|g| g.number == *gate);
                let Some(found) = found else {
                    return Err(self.illegal(record, "no such gate runs"));
                };
                found.step = GateStep::Stopping;
            }
            Event::GateStopped { gate } => {
                self.gate_at(record, *gate, GateStep::Stopping)?;
                self.gates.retain(|g| g.number != *gate);
            }
            Event::LandingStarted { stage } => {
                if !self.train.iter().any(|s| s.number == *stage && s.commit.is_some()) {
                    return Err(self.illegal(record, "no such stage is in the queue"));
                }
                self.landing = Some(*stage);
            }
            Event::Landed { task, commit } => self.landed(record, task, commit, at)?,
            Event::TaskEvicted { task, stage, findings } => {
                let index = self.index(record, task)?;
                let found = self.train.iter().position(|s| s.number == *stage && s.task == index);
                let Some(found) = found else {
                    return Err(self.illegal(record, "it is not in the queue"));
                };
                let stage = self.train.remove(found);
                self.train.truncate(found);
                let run = self.task_at(record, task, &[Step::Queued])?;
                run.step = Step::Suspect;
                self.blamed += 1;
                let hi = self.landed.len();
                let run = &mut self.tasks[index];
                run.inquest = Some(Inquest {
                    commit: stage.commit.unwrap_or(stage.base),
                    checked: stage.checked,
                    findings: findings.clone(),
                    again: None,
                    alone: None,
                    between: (run.base_landed, hi),
                });
                self.touch(task, at);
            }
            Event::TaskCleared { task } => {
                let run = self.task_at(record, task, &[Step::Suspect])?;
                run.step = Step::Queued;
                run.inquest = None;
                run.flaky += 1;
                self.touch(task, at);
            }
            _ => {}
        }
        Ok(())
    }

    /// Takes `task`, and what was staged behind it, out of the queue's trees.
    pub(super) fn unstage(&mut self, task: usize) {
        if let Some(found) = self.train.iter().position(|s| s.task == task) {
            self.train.truncate(found);
        }
    }

    /// Whose verification belongs to a gate, and from where its changes are counted.
    fn gate_scope(&self, record: &Record, on: &GateOn) -> Result<(Vec<usize>, Sha), IllegalRecord> {
        let staging = self.staging.clone().unwrap_or_else(|| self.header.base.clone());
        let base_of = |task: usize| self.tasks[task].base.clone().unwrap_or(staging.clone());
        Ok(match on {
            GateOn::Base => (Vec::new(), self.header.base.clone()),
            GateOn::Prefix { stage } => {
                let to = self.train.iter().position(|s| s.number == *stage);
                let to = to.ok_or_else(|| self.illegal(record, "no such stage"))?;
                (self.train.iter().take(to + 1).map(|s| s.task).collect(), staging)
            }
            // Exactly what was red, whoever of it has landed meanwhile.
            GateOn::Again { task } => {
                let task = self.index(record, task)?;
                let checked = self.tasks[task].inquest.as_ref().map(|i| i.checked.clone());
                checked.unwrap_or_else(|| (vec![task], base_of(task)))
            }
            GateOn::Alone { task } => {
                let task = self.index(record, task)?;
                (vec![task], base_of(task))
            }
            GateOn::With { task, landed } => {
                let task = self.index(record, task)?;
                let there = |t: &&usize| self.landed.iter().take(*landed).any(|(l, _)| l == *t);
                let checked = self.tasks[task].inquest.iter().flat_map(|i| &i.checked.0);
                let mut tasks: Vec<usize> = checked.filter(there).copied().collect();
                tasks.push(task);
                (tasks, base_of(task))
            }
            GateOn::Final => {
                let merged = (0..self.tasks.len()).filter(|t| self.tasks[*t].step == Step::Merged);
                let from = &self.header.settings.target_at;
                (merged.collect(), from.clone().unwrap_or_else(|| self.header.base.clone()))
            }
        })
    }

    fn tree_of_gate(&self, run: &GateRun) -> Option<Sha> {
        let GateOn::Prefix { stage } = run.on else { return None };
        self.train.iter().find(|s| s.number == stage)?.tree.clone()
    }

    fn gate_result(&mut self, run: &GateRun, findings: &[Finding]) {
        let green = findings.is_empty();
        let colour = if green { Colour::Green } else { Colour::Red };
        match &run.on {
            GateOn::Base => {
                self.base_colour = colour;
                self.base_findings = findings.to_vec();
            }
            GateOn::Prefix { stage } => {
                // Of a tree that is in the queue no more nothing is to be known.
                if let Some(stage) = self.train.iter_mut().find(|s| s.number == *stage) {
                    stage.colour = colour;
                    stage.findings = findings.to_vec();
                    stage.checked = (run.tasks.clone(), run.base.clone());
                }
            }
            GateOn::Again { task } => self.inquire(task, |i| i.again = Some(green)),
            GateOn::Alone { task } => self.inquire(task, |i| i.alone = Some(green)),
            GateOn::With { task, landed } => {
                let landed = *landed;
                self.inquire(task, |i| {
                    if green {
                        i.between.0 = landed;
                    } else {
                        i.between.1 = landed;
                    }
                });
            }
            GateOn::Final if green => self.gated.clone_from(&run.commit),
            GateOn::Final => self.final_red = Some(findings.to_vec()),
        }
    }

    fn inquire(&mut self, task: &TaskId, change: impl FnOnce(&mut Inquest)) {
        let Some(task) = self.plan.index_of(task) else { return };
        if let Some(inquest) = &mut self.tasks[task].inquest {
            change(inquest);
        }
    }

    fn landed(
        &mut self,
        record: &Record,
        task: &TaskId,
        commit: &Sha,
        at: Millis,
    ) -> Result<(), IllegalRecord> {
        let index = self.index(record, task)?;
        if self.train.first().is_none_or(|s| s.task != index) {
            return Err(self.illegal(record, "it is not the front of the queue"));
        }
        let stage = self.train.remove(0);
        self.landed.push((index, commit.clone()));
        let run = &mut self.tasks[index];
        run.step = Step::Merged;
        run.merged = Some(commit.clone());
        run.failure = None;
        run.findings.clear();
        run.updated_at = Some(at);
        self.staging = Some(commit.clone());
        if self.landing == Some(stage.number) {
            self.landing = None;
        }
        self.final_red = None;
        self.base_colour = Colour::Green;
        Ok(())
    }

    /// Staging stands at a tree of which nothing is known.
    pub(super) fn rebase_queue(&mut self, staging: &Sha) {
        self.staging = Some(staging.clone());
        self.train.clear();
        self.base_colour = Colour::Unknown;
        self.gated = None;
        self.final_red = None;
    }

    fn building(
        &mut self,
        record: &Record,
        number: StageNumber,
    ) -> Result<&mut Stage, IllegalRecord> {
        let illegal = self.illegal(record, "no such stage is being built");
        let found = self.train.iter_mut().find(|s| s.number == number && s.commit.is_none());
        found.ok_or(illegal)
    }

    fn gate_at(
        &mut self,
        record: &Record,
        number: GateNumber,
        step: GateStep,
    ) -> Result<&mut GateRun, IllegalRecord> {
        let illegal = self.illegal(record, &format!("gate {number} is not {step:?}"));
        self.gates.iter_mut().find(|g| g.number == number && g.step == step).ok_or(illegal)
    }
}

/// How many suites ran, and what for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Suites {
    /// To find out what may land.
    pub search: u32,
    /// To find out why a task breaks the suite.
    pub blame: u32,
    /// On staging itself.
    pub base: u32,
    /// At the end.
    pub last: u32,
}

impl Suites {
    fn count(&mut self, on: &GateOn) {
        match on {
            GateOn::Prefix { .. } => self.search += 1,
            GateOn::Again { .. } | GateOn::Alone { .. } | GateOn::With { .. } => self.blame += 1,
            GateOn::Base => self.base += 1,
            GateOn::Final => self.last += 1,
        }
    }
}

/// The finding of a task that does not merge with what landed.
pub(super) fn conflict_of(run: &TaskRun) -> Vec<Finding> {
    vec![Finding {
        category: Category::MergeConflict,
        message: format!("does not merge with what landed: {}", run.conflicts.join(", ")),
        subject: run.conflicts.first().cloned(),
        help: "the next attempt starts from the new tip".to_owned(),
        output: None,
        package: None,
    }]
}
