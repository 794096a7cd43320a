//! The facts of the tree that a plan is checked against: links, contracts, lockfiles. Changes nothing, judges nothing.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::{Path, PathBuf};

use super::exit::{Exit, Failure};
use crate::git::Repo;
use crate::plan::config::Config;
use crate::plan::contract::Pin;
use crate::plan::environment::Environment;
use crate::plan::pattern::plain_parents;
use crate::plan::schema::Document;
use crate::plan::{Facts, Pattern};
use crate::store::read_regular;

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

/// The largest contract and the largest lockfile that are read, in bytes.
const MAX_CONTRACT: u64 = 4 * 1024 * 1024;
const MAX_LOCKFILE: u64 = 512 * 1024 * 1024;

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
            self.contract(contract.file_path.as_str(), &inside, &mut facts);
        }
        let inherited = document.defaults.iter().flat_map(|d| &d.patch_intents);
        for intent in document.tasks.iter().flat_map(|t| &t.patch_intents).chain(inherited) {
            if facts.hot_files.contains_key(&intent.file) {
                continue;
            }
            let plain = Pattern::parse(&intent.file, true).is_ok();
            let real = self.root.join(&intent.file).canonicalize().ok();
            let real = real.filter(|r| plain && r.starts_with(&inside));
            let bytes = real.and_then(|r| read_regular(&r, MAX_CONTRACT).ok());
            let text = bytes.and_then(|b| String::from_utf8(b).ok());
            facts.hot_files.insert(intent.file.clone(), text);
        }
        self.uncommitted(document, &mut facts);
        facts
    }

    /// Reads a contract's file, when it lies inside the repository.
    fn contract(&self, path: &str, inside: &Path, facts: &mut Facts) {
        facts.contracts.insert(path.to_owned(), None);
        if Pattern::parse(path, true).is_err() {
            return;
        }
        let Ok(real) = self.root.join(path).canonicalize() else { return };
        let text = if real.starts_with(inside) {
            read_regular(&real, MAX_CONTRACT).map_err(|e| e.to_string()).and_then(|bytes| {
                String::from_utf8(bytes).map_err(|_| "it is not UTF-8".to_owned())
            })
        } else {
            Err("it lies outside of the repository".to_owned())
        };
        match text {
            Ok(text) => drop(facts.contracts.insert(path.to_owned(), Some(text))),
            Err(why) => drop(facts.unreadable.insert(path.to_owned(), why)),
        }
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
        let checks = document.tasks.iter().flat_map(|t| &t.verification);
        let integration = document.integration.iter();
        let merged = integration.flat_map(|i| i.incremental.iter().chain(&i.final_).flatten());
        let checked = checks.chain(merged).flat_map(|c| &c.paths);
        for path in lists.chain(intents.map(|i| &i.file)).chain(checked) {
            let glob = path.contains(['*', '?', '[', '{', '\\']);
            if glob
                && !facts.existing.contains(path)
                && !path.starts_with('/')
                && self.root.join(path).symlink_metadata().is_ok()
            {
                facts.existing.insert(path.clone());
            }
            if glob {
                self.odd_directories(path, facts);
            }
            // Only what lies on the way to a named path can lead out of the repository.
            if let Some(parents) = plain_parents(path) {
                self.walk(parents, inside, facts, &mut known);
            } else if let Ok(pattern) = Pattern::parse_in(path, &facts.existing) {
                self.walk(pattern.fixed_parents().into_iter(), inside, facts, &mut known);
            }
        }
    }

    /// Directories on the way whose names hold signs of globs, such as `app/[id]`.
    fn odd_directories(&self, path: &str, facts: &mut Facts) {
        let cuts = path.match_indices('/').filter_map(|(at, _)| path.get(..at));
        let odd =
            cuts.filter(|dir| dir.contains(['[', '{', '*', '?', '\\']) && !dir.starts_with('/'));
        for dir in odd.take(32) {
            if self.root.join(dir).symlink_metadata().is_ok_and(|m| m.is_dir()) {
                facts.existing.insert(dir.to_owned());
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
                Ok(meta) => {
                    // Only what its name does not tell is worth remembering.
                    let name = part.rsplit('/').next().unwrap_or("");
                    let like_file = name.chars().skip(1).any(|c| c == '.');
                    if meta.is_dir() && like_file {
                        facts.directories.insert(part.to_owned());
                    } else if meta.is_file() && !like_file {
                        facts.files.insert(part.to_owned());
                    }
                }
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
            // As git would write it: line ends may differ on disk.
            if !repo.is_committed(&tip, path, text.as_bytes()).unwrap_or(true) {
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
        Some(to) => {
            let links = if here.is_file() { &mut facts.file_links } else { &mut facts.links };
            links.insert(link.to_owned(), to.to_owned()).is_none()
        }
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
/// How deep projects of a monorepo may lie.
const DEPTH: usize = 6;

/// The lockfiles at the root and in the directories of a monorepo, but for what git ignores.
pub fn environment(
    root: &Path,
    repo: Option<&Repo>,
    config: &Config,
) -> Result<Environment, Failure> {
    let names: HashSet<&str> = config.boundaries.lockfiles.iter().map(String::as_str).collect();
    let mut found: Vec<String> = Vec::new();
    let mut todo = vec![(root.to_owned(), String::new(), 0)];
    let inside = root.canonicalize().unwrap_or_else(|_| root.to_owned());
    let failed = |path: &Path, e: std::io::Error| {
        Failure::new(
            Exit::Environment,
            format!("cannot look for lockfiles in {}: {e}", path.display()),
        )
    };
    while let Some((dir, prefix, depth)) = todo.pop() {
        let entries = match std::fs::read_dir(&dir) {
            Ok(entries) => entries,
            // What git does not know of may be anybody's; what it tracks has to be readable.
            Err(_) if depth > 0 && !repo.is_some_and(|r| r.tracks_below(&prefix)) => continue,
            Err(e) => return Err(failed(&dir, e)),
        };
        for entry in entries.flatten() {
            let name = entry.file_name();
            let Some(name) = name.to_str() else { continue };
            let Ok(kind) = entry.file_type() else { continue };
            let here = format!("{prefix}{name}");
            if kind.is_dir() {
                // A project may well lie in a directory called `build`, when git tracks it.
                let tracked = || repo.is_some_and(|r| r.tracks_below(&format!("{here}/")));
                let built = SKIPPED.contains(&name) && !tracked();
                let skip = name.starts_with('.') || built || depth >= DEPTH;
                // What is ignored, or a repository of its own, is not this one's project.
                let ignored = || repo.is_some_and(|r| r.is_ignored(Path::new(&here)));
                if !skip && !entry.path().join(".git").exists() && !ignored() {
                    todo.push((entry.path(), format!("{here}/"), depth + 1));
                }
            } else if names.contains(name) && entry.path().is_file() {
                // A link out of the repository says something of the machine, not of the project.
                let real = entry.path().canonicalize();
                if !kind.is_symlink() || real.is_ok_and(|real| real.starts_with(&inside)) {
                    found.push(here);
                }
            }
        }
    }
    found.retain(|path| {
        !repo.is_some_and(|r| r.is_ignored(Path::new(path)) && !r.tracks(Path::new(path)))
    });
    let mut files = Vec::with_capacity(found.len());
    for path in found {
        let content = read_regular(&root.join(&path), MAX_LOCKFILE).map_err(|e| {
            Failure::new(Exit::Environment, format!("cannot read the lockfile {path}: {e}"))
        })?;
        files.push((path, content));
    }
    Ok(Environment::of(files))
}
