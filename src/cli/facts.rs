//! The facts of the tree that a plan is checked against: links, contracts, lockfiles. Changes nothing, judges nothing.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::{Path, PathBuf};

use super::exit::{Exit, Failure};
use crate::git::Repo;
use crate::plan::config::Config;
use crate::plan::contract::{Lock, Pin};
use crate::plan::environment::Environment;
use crate::plan::pattern::plain_parents;
use crate::plan::schema::Document;
use crate::plan::{Facts, Pattern};

/// What stands in the tree around a plan.
pub struct Surroundings<'a> {
    /// The repository's root or, without one, the plan's directory.
    pub root: &'a Path,
    /// The repository, where there is one.
    pub repo: Option<&'a Repo>,
    /// What `plan` pinned.
    pub pins: BTreeMap<String, Pin>,
    /// Whether a run is to start from this.
    pub for_run: bool,
}

/// Where the pins of contracts stand.
pub fn lock_path(root: &Path) -> PathBuf {
    root.join(".orchestrator").join("contracts.lock")
}

/// What `plan` pinned the last time; empty when it never did.
pub fn read_lock(root: &Path) -> Result<Lock, Failure> {
    let path = lock_path(root);
    let bytes = match std::fs::read(&path) {
        Ok(bytes) => bytes,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Lock::default()),
        Err(e) => {
            let message = format!("cannot read {}: {e}", path.display());
            return Err(Failure::new(Exit::Unreadable, message));
        }
    };
    serde_json::from_slice(&bytes).map_err(|e| {
        Failure::new(
            Exit::Unreadable,
            format!("{} is not what slimductor wrote: {e}", path.display()),
        )
        .hint("remove it; `slimductor plan` pins the contracts again")
    })
}

impl Surroundings<'_> {
    /// The facts about everything that `document` names.
    pub fn facts(self, document: &Document) -> Facts {
        let mut facts = Facts {
            pins: self.pins.clone(),
            for_run: self.for_run,
            case_insensitive: self.repo.is_some_and(Repo::ignores_case),
            ..Facts::default()
        };
        let inside = self.root.canonicalize().unwrap_or_else(|_| self.root.to_owned());
        for link in self.repo.map(Repo::links).unwrap_or_default() {
            add_link(&mut facts, self.root, &inside, &link);
        }
        self.paths(document, &inside, &mut facts);
        for contract in &document.contracts {
            let path = contract.file_path.as_str();
            let allowed = Pattern::parse(path, true).is_ok();
            let text =
                allowed.then(|| std::fs::read_to_string(self.root.join(path)).ok()).flatten();
            facts.contracts.insert(path.to_owned(), text);
        }
        self.uncommitted(document, &mut facts);
        facts
    }

    /// Which patterns name a file as they stand, and which links lie on the way to a path.
    fn paths(&self, document: &Document, inside: &Path, facts: &mut Facts) {
        let lists = document
            .tasks
            .iter()
            .flat_map(|t| t.files_write.iter().chain(&t.files_read).chain(&t.files_append));
        let inherited = document.defaults.iter().flat_map(|d| &d.patch_intents);
        let intents = document.tasks.iter().flat_map(|t| &t.patch_intents).chain(inherited);
        let mut known: HashMap<String, bool> = HashMap::new();
        for path in lists.chain(intents.map(|i| &i.file)) {
            let glob = path.contains(['*', '?', '[', '{', '\\']);
            if glob
                && !facts.existing.contains(path)
                && !path.starts_with('/')
                && self.root.join(path).symlink_metadata().is_ok()
            {
                facts.existing.insert(path.clone());
            }
            // Only what lies on the way to a named path can lead out of the repository.
            if let Some(parents) = plain_parents(path) {
                self.walk(parents, inside, facts, &mut known);
            } else if let Ok(pattern) = Pattern::parse(path, facts.existing.contains(path)) {
                self.walk(pattern.fixed_parents().into_iter(), inside, facts, &mut known);
            }
        }
    }

    /// Goes down `parts`, the outermost first, and takes up every link on the way. `known` is whether a part is there.
    fn walk<'p>(
        &self,
        parts: impl Iterator<Item = &'p str>,
        inside: &Path,
        facts: &mut Facts,
        known: &mut HashMap<String, bool>,
    ) {
        for part in parts {
            match known.get(part) {
                Some(true) => continue,
                // What is not there cannot lead anywhere, nor can what would be below it.
                Some(false) => break,
                None => {}
            }
            let meta = self.root.join(part).symlink_metadata();
            known.insert(part.to_owned(), meta.is_ok());
            match meta {
                Ok(meta) if meta.is_symlink() => add_link(facts, self.root, inside, part),
                Ok(_) => {}
                Err(_) => break,
            }
        }
    }

    /// The contract files that a worktree would lack, or have with another content.
    fn uncommitted(&self, document: &Document, facts: &mut Facts) {
        let Some(repo) = self.repo.filter(|_| !document.contracts.is_empty()) else { return };
        let branch = match &document.base {
            Some(base) => Some(base.clone()),
            None => repo.current_branch(self.root).ok().flatten(),
        };
        // Without the branch, as in a checkout of CI, there is nothing to compare with.
        let Some(tip) = branch.and_then(|b| repo.branch_tip(&b).ok().flatten()) else { return };
        for (path, text) in &facts.contracts {
            let Some(text) = text else { continue };
            if let Ok(committed) = repo.file_at(&tip, path)
                && committed.as_deref() != Some(text.as_bytes())
            {
                facts.uncommitted.insert(path.clone());
            }
        }
    }
}

/// Takes up the symbolic link at `link`: where it leads, or that it leads outside.
fn add_link(facts: &mut Facts, root: &Path, inside: &Path, link: &str) {
    let here = root.join(link);
    let to = here.canonicalize().or_else(|_| {
        // It leads to what is not there yet: where it would lead, as far as the names tell.
        let target = std::fs::read_link(&here)?;
        Ok::<_, std::io::Error>(plain(&here.parent().unwrap_or(root).join(target)))
    });
    let to = to.unwrap_or_default();
    let relative = to.strip_prefix(inside).or_else(|_| to.strip_prefix(root));
    match relative.ok().and_then(Path::to_str) {
        Some("") | None => facts.outward_links.insert(link.to_owned()),
        Some(to) => facts.links.insert(link.to_owned(), to.to_owned()).is_none(),
    };
}

/// A path without `.` and `..`, by its names alone.
fn plain(path: &Path) -> PathBuf {
    let mut out = PathBuf::new();
    for part in path.components() {
        match part {
            std::path::Component::ParentDir => {
                out.pop();
            }
            std::path::Component::CurDir => {}
            std::path::Component::Normal(_)
            | std::path::Component::RootDir
            | std::path::Component::Prefix(_) => out.push(part),
        }
    }
    out
}

/// Directories that hold no project of this repository, however many lockfiles lie in them.
const SKIPPED: [&str; 12] = [
    "node_modules",
    "vendor",
    "target",
    "dist",
    "build",
    "out",
    "venv",
    "__pycache__",
    "site-packages",
    "bower_components",
    "Pods",
    "coverage",
];
/// How deep projects of a monorepo may lie, and how many directories are looked at.
const DEPTH: usize = 6;
const DIRECTORIES: usize = 20_000;

/// The lockfiles at the root and in the directories of a monorepo, but for what git ignores.
pub fn environment(
    root: &Path,
    repo: Option<&Repo>,
    config: &Config,
) -> Result<Environment, Failure> {
    let names: HashSet<&str> = config.boundaries.lockfiles.iter().map(String::as_str).collect();
    let mut found: Vec<String> = Vec::new();
    let mut todo = vec![(root.to_owned(), String::new(), 0)];
    let mut looked_at = 0;
    while let Some((dir, prefix, depth)) = todo.pop() {
        looked_at += 1;
        if looked_at > DIRECTORIES {
            let message = format!("more than {DIRECTORIES} directories to look for lockfiles in");
            return Err(Failure::new(Exit::Environment, message)
                .hint("is this the root of a repository? `-C DIR` names another directory"));
        }
        let Ok(entries) = std::fs::read_dir(&dir) else { continue };
        for entry in entries.flatten() {
            let (name, kind) = (entry.file_name(), entry.file_type());
            let (Some(name), Ok(kind)) = (name.to_str(), kind) else { continue };
            if kind.is_dir() {
                let skip = name.starts_with('.') || SKIPPED.contains(&name);
                // A repository of its own is not this one's project.
                if !skip && depth < DEPTH && !entry.path().join(".git").exists() {
                    todo.push((entry.path(), format!("{prefix}{name}/"), depth + 1));
                }
            } else if kind.is_file() && names.contains(name) {
                found.push(format!("{prefix}{name}"));
            }
        }
    }
    found.retain(|path| !repo.is_some_and(|r| r.is_ignored(Path::new(path))));
    let mut files = Vec::with_capacity(found.len());
    for path in found {
        let content = std::fs::read(root.join(&path)).map_err(|e| {
            Failure::new(Exit::Environment, format!("cannot read the lockfile {path}: {e}"))
        })?;
        files.push((path, content));
    }
    Ok(Environment::of(files))
}
