//! What no task may write: lockfiles and forbidden patterns, wherever in the tree. Knows paths, reads none.

use std::collections::HashSet;

use aho_corasick::{AhoCorasick, AhoCorasickKind};

use super::sections::Boundaries;
use crate::plan::pattern::{Pattern, PatternError};

/// The rules, ready for many questions.
#[derive(Debug, Clone)]
pub struct Forbidden {
    lockfiles: HashSet<String>,
    /// The same in the order of the configuration.
    sorted: Vec<String>,
    patterns: Vec<(String, Pattern)>,
    /// Parts of which every path that a pattern matches holds one: asked first, for it answers in one pass.
    needles: Option<AhoCorasick>,
}

impl Boundaries {
    /// The rules of these boundaries, to be asked about so many times a few paths; patterns that cannot be read were
    /// refused with the configuration.
    pub fn forbidden(&self, times: usize) -> Forbidden {
        let read = |raw: &String| Some((raw.clone(), anywhere(raw).ok()?));
        let patterns: Vec<(String, Pattern)> =
            self.forbidden_patterns.iter().filter_map(read).collect();
        // The longest part of each that stands for itself; a path without any of these matches none.
        let needles: Option<Vec<String>> = patterns
            .iter()
            .map(|(raw, _)| {
                let parts = raw.split(['*', '?', '[', ']', '{', '}', '\\', '/', ',']);
                let special = raw.contains(['[', '{', '\\']);
                let longest = parts.max_by_key(|p| p.len()).filter(|p| !p.is_empty() && !special);
                longest.map(str::to_owned)
            })
            .collect();
        let kind =
            Some(if times > 1_000 { AhoCorasickKind::DFA } else { AhoCorasickKind::ContiguousNFA });
        let needles = needles.and_then(|n| AhoCorasick::builder().kind(kind).build(n).ok());
        let lockfiles = self.lockfiles.iter().cloned().collect();
        Forbidden { lockfiles, sorted: self.lockfiles.clone(), patterns, needles }
    }
}

/// A forbidden pattern as it is meant: without a `/` inside, it holds in every directory.
pub(super) fn anywhere(raw: &str) -> Result<Pattern, PatternError> {
    // `.git/` is in the built-in list for people to see; no path of a plan can lie there anyway.
    let raw = if raw == ".git/" { ".git-/" } else { raw };
    if raw.contains('/') && !raw.ends_with('/') {
        Pattern::parse(raw, false)
    } else {
        Pattern::parse(&format!("**/{raw}"), false)
    }
}

impl Forbidden {
    /// The lockfile or forbidden pattern that a pattern of a plan is aimed at. One that crosses many directories may
    /// well meet such files; what a worker then does is judged by [`Forbidden::rule`].
    pub fn aimed_at(&self, pattern: &Pattern) -> Option<&str> {
        if !pattern.is_glob() {
            let path = pattern.as_str().trim_end_matches('/');
            let found = self.rule(path);
            if found.is_some() || self.needles.as_ref().is_some_and(|n| !n.is_match(path)) {
                return found;
            }
            // `node_modules` names what `node_modules/` forbids.
            return self.rule(&format!("{path}/-"));
        }
        if let Some(rule) = self.rule(pattern.as_str()) {
            return Some(rule);
        }
        let name = pattern.as_str().rsplit('/').next().unwrap_or("");
        let lower = name.to_lowercase();
        let written = name.chars().filter(|c| !matches!(c, '*' | '?' | '[' | ']')).count();
        self.sorted.iter().map(String::as_str).find(|lock| {
            // Only a name that is plainly a lockfile's: `*.json` is not, though it matches one.
            (lower.contains("lock") || written + 2 >= lock.chars().count())
                && Pattern::parse(name, false).is_ok_and(|p| p.is_glob() && p.matches(lock))
        })
    }

    /// The lockfile or forbidden pattern that `path` falls under.
    pub fn rule(&self, path: &str) -> Option<&str> {
        let name = path.rsplit('/').next().unwrap_or(path);
        if let Some(lock) = self.lockfiles.get(name) {
            return Some(lock);
        }
        if !self.patterns.is_empty() && self.needles.as_ref().is_none_or(|n| n.is_match(path)) {
            let hit = self.patterns.iter().find(|(_, pattern)| pattern.matches(path));
            return hit.map(|(raw, _)| raw.as_str());
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forbidden_patterns_hold_anywhere_in_the_tree() {
        let rules = Boundaries::default().forbidden(1);
        for path in [
            "Cargo.lock",
            "pkg/a/go.sum",
            "node_modules/x",
            "web/node_modules/x/y.js",
            "a/b.pyc",
            ".env",
            "a/x.generated.ts",
            "static/app.min.js",
        ] {
            assert!(rules.rule(path).is_some(), "{path}");
        }
        for path in ["src/a.rs", "environment.py", "builder/x", ".envrc", "lock.rs", "build.rs"] {
            assert!(rules.rule(path).is_none(), "{path}");
        }
    }

    #[test]
    fn a_pattern_aimed_at_what_is_forbidden_is_known_however_it_is_written() {
        let rules = Boundaries::default().forbidden(1);
        let aimed = |raw: &str| rules.aimed_at(&Pattern::parse(raw, false).unwrap()).is_some();
        for raw in [
            "node_modules",
            "vendor/",
            "web/vendor",
            "Cargo.loc?",
            "*.lock",
            "Cargo.{lock,toml}",
            "Cargo.lock/",
            "web/dist/**",
        ] {
            assert!(aimed(raw), "{raw}");
        }
        for raw in [
            "src/**",
            "**",
            "**/*",
            "web/*",
            "docs/*.md",
            "builder",
            "*.json",
            "config/*.yaml",
            "package*.json",
            "**/Cargo.*",
            "go.*",
            "src/block*",
        ] {
            assert!(!aimed(raw), "{raw}");
        }
    }

    #[test]
    fn a_pattern_of_ones_own_with_brackets_holds_as_well() {
        let own = Boundaries {
            forbidden_patterns: vec!["gen/{a,b}/*.rs".to_owned(), "[xy].lock".to_owned()],
            ..Boundaries::default()
        };
        let rules = own.forbidden(1);
        assert!(rules.rule("gen/b/x.rs").is_some() && rules.rule("d/y.lock").is_some());
        assert!(rules.rule("gen/c/x.rs").is_none());
    }
}
