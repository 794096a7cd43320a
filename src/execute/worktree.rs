//! Where the things of one run lie on disk. Makes nothing.

use std::path::{Path, PathBuf};

use crate::git::Worktree;
use crate::types::{Gate, JobId, RunId, Slot, TaskId};

/// The paths of one run.
#[derive(Debug, Clone)]
pub struct Places {
    /// The main working tree.
    pub root: PathBuf,
    /// The run.
    pub run: RunId,
}

/// `.orchestrator/runs` of a repository.
pub fn runs_dir(root: &Path) -> PathBuf {
    root.join(".orchestrator/runs")
}

/// What is kept out of `git status` through `.git/info/exclude`.
pub const EXCLUDED: [&str; 5] = [
    "/.orchestrator/",
    "/.worktrees/",
    "/.orchestration-state.json",
    ".task-status.json",
    "/slimductor_conformance_*",
];

#[expect(missing_docs, reason = "each names one path of cli.md's list")]
impl Places {
    pub fn run_dir(&self) -> PathBuf {
        runs_dir(&self.root).join(self.run.as_str())
    }

    pub fn journal(&self) -> PathBuf {
        self.run_dir().join("journal.jsonl")
    }

    pub fn plan(&self) -> PathBuf {
        self.run_dir().join("plan.yaml")
    }

    pub fn config(&self) -> PathBuf {
        self.run_dir().join("config.yaml")
    }

    pub fn lock(&self) -> PathBuf {
        self.run_dir().join("lock")
    }

    pub fn jobs(&self) -> PathBuf {
        self.run_dir().join("jobs")
    }

    pub fn job(&self, job: &JobId) -> PathBuf {
        self.jobs().join(job.as_str())
    }

    pub fn prompts(&self) -> PathBuf {
        self.run_dir().join("prompts")
    }

    pub fn answers(&self) -> PathBuf {
        self.run_dir().join("answers")
    }

    pub fn indices(&self) -> PathBuf {
        self.run_dir().join("indices")
    }

    pub fn gitdirs(&self) -> PathBuf {
        self.run_dir().join("git")
    }

    pub fn worktree_of(&self, slot: Slot) -> Worktree {
        let name = format!("slot{slot}");
        Worktree {
            path: self.slot(slot),
            gitdir: self.gitdirs().join(&name),
            index: self.indices().join(&name),
        }
    }

    pub fn gate(&self, gate: Gate) -> Worktree {
        let name = match gate {
            Gate::Slot(n) => format!("gate{n}"),
            Gate::Final => "gate-final".to_owned(),
        };
        Worktree {
            path: self.worktrees().join(format!("{}-{name}", self.run)),
            gitdir: self.gitdirs().join(&name),
            index: self.indices().join(&name),
        }
    }

    pub fn worktrees(&self) -> PathBuf {
        self.root.join(".worktrees")
    }

    pub fn slot(&self, slot: Slot) -> PathBuf {
        self.worktrees().join(format!("{}-slot{slot}", self.run))
    }

    pub fn task_link(&self, task: &TaskId) -> PathBuf {
        self.worktrees().join(task.as_str())
    }

    pub fn report(&self) -> PathBuf {
        self.run_dir().join("report.md")
    }

    pub fn escalation(&self) -> PathBuf {
        self.run_dir().join("escalation-report.md")
    }

    /// Whether a name in `.worktrees` is a worktree of this run.
    pub fn is_ours(&self, name: &Path) -> bool {
        let name = name.to_string_lossy();
        let rest = name.strip_prefix(self.run.as_str());
        rest.is_some_and(|r| {
            let number = |n: &str| n.parse::<Slot>().is_ok();
            r == "-gate-final"
                || r.strip_prefix("-slot").is_some_and(number)
                || r.strip_prefix("-gate").is_some_and(number)
        })
    }

    /// Whether a path is that of a worktree of this run.
    pub fn is_ours_at(&self, path: &Path) -> bool {
        path.file_name().is_some_and(|name| self.is_ours(Path::new(name)))
    }

    /// Halves of links that a killed coordinator left.
    pub fn link_temps(&self) -> Vec<PathBuf> {
        let Ok(entries) = std::fs::read_dir(self.worktrees()) else { return Vec::new() };
        let half = |name: &std::ffi::OsStr| name.to_string_lossy().starts_with(".tmp-link-");
        entries.flatten().filter(|e| half(&e.file_name())).map(|e| e.path()).collect()
    }

    /// The worktrees of this run that are there.
    pub fn worktrees_on_disk(&self) -> Vec<PathBuf> {
        let Ok(entries) = std::fs::read_dir(self.worktrees()) else { return Vec::new() };
        let ours = entries.flatten().filter(|e| self.is_ours(Path::new(&e.file_name())));
        ours.map(|e| e.path()).collect()
    }

    /// The directories of the jobs that were made.
    pub fn jobs_on_disk(&self) -> Vec<PathBuf> {
        let Ok(entries) = std::fs::read_dir(self.jobs()) else { return Vec::new() };
        let jobs = entries.flatten().map(|e| e.path());
        jobs.filter(|p| p.join("spec.json").exists()).collect()
    }
}
