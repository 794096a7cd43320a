//! How much a plan could hurt: points by the table in tasks-yaml.md, and the level that follows.

use aho_corasick::{AhoCorasick, AhoCorasickKind};
use regex::{Regex, RegexBuilder};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Task;
use super::pattern::Pattern;
use super::schema::CheckKind;

/// What `run` has to ask before it starts.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// Nothing.
    Auto,
    /// A look is recommended.
    Review,
    /// A person has to approve.
    Approval,
}

impl Level {
    /// The level's word, as in JSON.
    pub fn word(self) -> &'static str {
        match self {
            Level::Auto => "auto",
            Level::Review => "review",
            Level::Approval => "approval",
        }
    }
}

/// One reason for points.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Factor {
    /// Which row of the table.
    pub code: &'static str,
    /// What it was found on.
    pub detail: String,
    /// What it adds.
    pub points: u64,
}

/// The sum and its reasons.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Risk {
    /// The sum of the points.
    pub score: u64,
    /// What follows from it.
    pub level: Level,
    /// What it is made of.
    pub factors: Vec<Factor>,
}

/// Patterns and thresholds, ready for use.
#[derive(Debug, Clone)]
pub struct Rules {
    /// First match counts, per path in files_write.
    sensitive: Sensitive,
    /// The highest score that needs nobody.
    pub auto_up_to: u64,
    /// The highest score that a person need not approve.
    pub review_up_to: u64,
    /// A path that matches makes it `approval` whatever the score.
    pub always_require_human: Vec<Pattern>,
}

/// What makes a path sensitive.
#[derive(Debug, Clone)]
enum Sensitive {
    /// The words of the table, looked for all at once: compiling them as expressions would take longer than all else
    /// that a small plan needs.
    Words(AhoCorasick),
    /// Expressions of the project's own, and their points.
    Expressions {
        list: Vec<(Regex, u64)>,
        /// All of them in one: most paths match none, and are asked once.
        any: Option<Regex>,
    },
    Nothing,
}

/// The rows of the table: what is looked for in a path, in either case, and the points.
const SENSITIVE: [(&[&str], u64); 6] = [
    (&["auth", "security", "crypto"], 20),
    (&["payment", "billing", "stripe"], 25),
    (&["prod", "production", "deploy"], 30),
    (&["admin", "sudo", "root"], 15),
    (&[".env", "secret", "key", "token"], 25),
    (&["migration", "schema", "database"], 15),
];

/// Compiles a pattern as the table means it: anywhere in the path, in either case, in linear time.
pub fn compile(pattern: &str) -> Result<Regex, String> {
    RegexBuilder::new(pattern)
        .case_insensitive(true)
        .size_limit(1 << 20)
        .build()
        .map_err(|e| e.to_string())
}

impl Default for Rules {
    fn default() -> Rules {
        Rules::for_paths(0)
    }
}

impl Rules {
    /// The rules of the table, for a plan of about so many paths: looking is faster where building may take longer.
    pub fn for_paths(count: usize) -> Rules {
        let kind =
            if count > 2_000 { AhoCorasickKind::DFA } else { AhoCorasickKind::ContiguousNFA };
        let words = SENSITIVE.iter().flat_map(|(words, _)| words.iter());
        let found =
            AhoCorasick::builder().ascii_case_insensitive(true).kind(Some(kind)).build(words);
        Rules {
            // Eighteen words are far below every limit that building knows.
            sensitive: found.map_or(Sensitive::Nothing, Sensitive::Words),
            auto_up_to: 25,
            review_up_to: 50,
            always_require_human: Vec::new(),
        }
    }

    /// Puts other patterns and points in the place of the built-in ones.
    pub fn replace(&mut self, list: Vec<(Regex, u64)>) {
        let all: Vec<String> = list.iter().map(|(r, _)| format!("(?:{r})")).collect();
        // Where the sum is too large, each is asked.
        let any = compile(&all.join("|")).ok().filter(|_| !all.is_empty());
        self.sensitive = Sensitive::Expressions { list, any };
    }

    /// The first pattern that `path` matches, and its points.
    fn hit(&self, path: &str) -> Option<(String, u64)> {
        match &self.sensitive {
            Sensitive::Nothing => None,
            Sensitive::Words(words) => {
                let word =
                    words.find_overlapping_iter(path).map(|m| m.pattern().as_usize()).min()?;
                let mut before = 0;
                let row = SENSITIVE.iter().find(|(words, _)| {
                    before += words.len();
                    word < before
                });
                row.map(|(words, points)| (words.join("|"), *points))
            }
            Sensitive::Expressions { list, any } => {
                if any.as_ref().is_some_and(|any| !any.is_match(path)) {
                    return None;
                }
                let (pattern, points) = list.iter().find(|(r, _)| r.is_match(path))?;
                Some((pattern.to_string(), *points))
            }
        }
    }
}

impl Rules {
    /// The points of the sensitive paths that one task writes.
    pub fn points(&self, task: &Task) -> u64 {
        task.files_write.iter().filter_map(|p| self.hit(p.as_str())).map(|(_, points)| points).sum()
    }
}

/// The risk of `tasks` with `contracts` declared contracts.
pub fn assess(tasks: &[Task], contracts: usize, rules: &Rules) -> Risk {
    let mut factors = Vec::new();
    let mut add = |code, detail: String, points: u64| {
        if points > 0 {
            factors.push(Factor { code, detail, points });
        }
    };
    for task in tasks {
        for path in &task.files_write {
            if let Some((pattern, points)) = rules.hit(path.as_str()) {
                let detail = format!("{} of {} matches {pattern}", path.as_str(), task.id);
                add("sensitive_path", detail, points);
            }
        }
    }
    let over = |count: usize, limit: usize, each: u64| count.saturating_sub(limit) as u64 * each;
    add("many_tasks", format!("{} tasks, 5 are free", tasks.len()), over(tasks.len(), 5, 5));
    let files: usize = tasks.iter().map(|t| t.files_write.len()).sum();
    add("many_files", format!("{files} files in files_write, 10 are free"), over(files, 10, 3));
    let intents: usize = tasks.iter().map(|t| t.patch_intents).sum();
    add("many_intents", format!("{intents} patch intents, 3 are free"), over(intents, 3, 5));
    let deps: usize = tasks.iter().map(|t| t.runtime_dependencies).sum();
    add("new_dependencies", format!("{deps} new runtime dependencies"), over(deps, 0, 3));
    add("many_contracts", format!("{contracts} contracts, 3 are free"), over(contracts, 3, 5));
    let tested =
        tasks.iter().filter(|t| t.verification.iter().any(|c| c.kind == CheckKind::Test)).count();
    if let Some(missing) = (20 * (tasks.len() - tested)).checked_div(tasks.len()) {
        let detail = format!("{tested} of {} tasks have a test verification", tasks.len());
        add("untested_tasks", detail, missing as u64);
    }
    let score = factors.iter().fold(0_u64, |sum, f| sum.saturating_add(f.points));
    let mut level = match score {
        s if s <= rules.auto_up_to => Level::Auto,
        s if s <= rules.review_up_to => Level::Review,
        _ => Level::Approval,
    };
    for task in tasks {
        for path in &task.files_write {
            if rules.always_require_human.iter().any(|p| p.overlaps(path)) {
                level = Level::Approval;
                let detail = format!("{} of {}", path.as_str(), task.id);
                factors.push(Factor { code: "always_require_human", detail, points: 0 });
            }
        }
    }
    Risk { score, level, factors }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_counts_once_by_the_first_row_that_it_matches() {
        let rules = Rules::default();
        for (path, points) in [
            ("src/Auth/secret.py", Some(20)),
            ("src/secret_auth.py", Some(20)),
            ("deploy/production.yaml", Some(30)),
            ("app/roots.py", Some(15)),
            ("config/.env.example", Some(25)),
            ("denv.py", None),
            ("db/schema.sql", Some(15)),
            ("src/main.rs", None),
        ] {
            assert_eq!(rules.hit(path).map(|(_, p)| p), points, "{path}");
        }
    }
}
