//! How much a plan could hurt: points by the table in tasks-yaml.md, and the level that follows.

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
    sensitive: Vec<(Regex, u64)>,
    /// All of them in one: most paths match none, and are asked once.
    any: Option<Regex>,
    /// The highest score that needs nobody.
    pub auto_up_to: u64,
    /// The highest score that a person need not approve.
    pub review_up_to: u64,
    /// A path that matches makes it `approval` whatever the score.
    pub always_require_human: Vec<Pattern>,
}

/// The patterns of the table, with their points.
const SENSITIVE: [(&str, u64); 6] = [
    ("auth|security|crypto", 20),
    ("payment|billing|stripe", 25),
    ("prod|production|deploy", 30),
    ("admin|sudo|root", 15),
    (r"\.env|secret|key|token", 25),
    ("migration|schema|database", 15),
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
        let sensitive =
            SENSITIVE.iter().filter_map(|(p, w)| compile(p).ok().map(|r| (r, *w))).collect();
        let mut rules = Rules {
            sensitive: Vec::new(),
            any: None,
            auto_up_to: 25,
            review_up_to: 50,
            always_require_human: Vec::new(),
        };
        rules.replace(sensitive);
        rules
    }
}

impl Rules {
    /// Puts other patterns and points in the place of the built-in ones.
    pub fn replace(&mut self, sensitive: Vec<(Regex, u64)>) {
        let all: Vec<String> = sensitive.iter().map(|(r, _)| format!("(?:{r})")).collect();
        // Flags inside a pattern stay inside its brackets; where the sum is too large, each is asked.
        self.any = compile(&all.join("|")).ok().filter(|_| !all.is_empty());
        self.sensitive = sensitive;
    }

    /// The first pattern that `path` matches, and its points.
    fn hit(&self, path: &str) -> Option<&(Regex, u64)> {
        if self.any.as_ref().is_some_and(|any| !any.is_match(path)) {
            return None;
        }
        self.sensitive.iter().find(|(r, _)| r.is_match(path))
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
                add("sensitive_path", detail, *points);
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
