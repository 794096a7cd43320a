//! slimductor.yaml: what a project sets for all its runs, with what the environment lays over it. Reads no file.

mod forbidden;
mod sections;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use super::diagnostic::{Code, Label, Problem, Span, bad_path};
use super::intent::{self, Adapter};
use super::pattern::Pattern;
use super::place::Path;
use super::risk::{self, Rules};
use super::yaml;
use super::yaml::tree::{MAX_VALUES, Tree};
pub use forbidden::Forbidden;
pub use sections::*;

/// The agents that need no entry under `agents`.
pub const AGENTS: [&str; 5] = ["claude", "codex", "gemini", "opencode", "shell"];

/// Variables with this prefix are laid over the file: `SLIMDUCTOR__SECTION__KEY`.
pub const VARIABLES: &str = "SLIMDUCTOR__";

/// slimductor.yaml as a whole.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(title = "slimductor.yaml")]
pub struct Config {
    /// How much runs at once, and where.
    pub orchestration: Orchestration,
    /// Agents of one's own, by name.
    pub agents: BTreeMap<String, AgentSpec>,
    /// How patch intents are written into files of frameworks that are not built in.
    pub adapters: Vec<Adapter>,
    /// Where and with what environment workers run.
    pub workers: Workers,
    /// What a worktree gets beyond what is committed.
    pub worktree: Worktree,
    /// Points and thresholds of the risk score.
    pub risk: Option<RiskConfig>,
    /// The same as `risk`, under the ancestor's name.
    pub approval: Option<RiskConfig>,
    /// What no task may touch.
    pub boundaries: Boundaries,
    /// How commands that prove a task are run.
    pub verification: Verification,
    /// How contracts are kept.
    pub contracts: Contracts,
    /// How requested packages are installed.
    pub dependencies: Dependencies,
    /// Commands on the merged result, for plans that declare none, and where the result goes.
    pub integration: Integration,
    /// Hard limits of a run.
    pub budget: Budget,
    /// Between sessions that share the repository.
    pub coordination: Coordination,
    /// How a person is told that one is needed.
    pub notify: Notify,
    /// What is kept of old runs.
    pub retention: Retention,
    /// Which agent and model take each role.
    pub roles: Roles,
    /// Commands that must succeed before anything is created, by ecosystem.
    pub preflight: BTreeMap<String, String>,
}

/// Settings that this version reads and does not act on yet. Whoever sets one is told.
const NOT_YET: [&str; 12] = [
    "orchestration.spawn_stagger",
    "orchestration.worktree_dir",
    "orchestration.staging_branch",
    "worktree.teardown",
    "verification.require_executable_checks",
    "budget",
    "coordination",
    "notify",
    "roles.planner",
    "roles.worker",
    "roles.verifier",
    "roles.integration-checker",
];

/// Why there is no configuration.
#[derive(Debug)]
pub enum Invalid {
    /// The file is wrong.
    File(Vec<Problem>),
    /// A variable is wrong.
    Variable {
        /// Its name.
        name: String,
        /// What is wrong with it, in one line.
        message: String,
        /// What to do about it.
        help: Option<String>,
    },
}

impl Config {
    /// Reads the file (an empty one is the default) and lays `variables` over it; others than `SLIMDUCTOR__…` are
    /// passed over.
    pub fn read(bytes: &[u8], variables: &BTreeMap<String, String>) -> Result<Config, Invalid> {
        let text = yaml::text_of(bytes, "config").map_err(|p| Invalid::File(vec![*p]))?;
        let blank = text.lines().all(|l| l.trim().is_empty() || l.trim().starts_with('#'));
        let mut config = match blank {
            true => Config::default(),
            false => yaml::read::<Config>(bytes, "config").map_err(|mut e| {
                place(&mut e.problems, text);
                Invalid::File(e.problems)
            })?,
        };
        let mut problems = config.problems();
        if !problems.is_empty() {
            place(&mut problems, text);
            return Err(Invalid::File(problems));
        }
        let ours = variables.iter().filter(|(name, _)| name.starts_with(VARIABLES));
        let mut layered: Option<Value> = None;
        for (name, raw) in ours {
            let layer = layer(name, raw)?;
            let base =
                layered.get_or_insert_with(|| if blank { empty() } else { yaml::words_of(text) });
            // One section under two names: the variable goes over the one that the file has.
            let other = |layer: &Value, base: &Value, from: &str, to: &str| {
                layer.get(from).is_some() && base.get(from).is_none() && base.get(to).is_some()
            };
            let layer = match layer {
                layer if other(&layer, base, "approval", "risk") => {
                    renamed(layer, "approval", "risk")
                }
                layer if other(&layer, base, "risk", "approval") => {
                    renamed(layer, "risk", "approval")
                }
                layer => layer,
            };
            merge(base, layer);
        }
        if let Some(value) = layered {
            let whole = yaml::read::<Config>(value.to_string().as_bytes(), "config");
            config = whole.map_err(|e| Invalid::Variable {
                name: format!("{VARIABLES}…"),
                message: e.problems.first().map_or_else(String::new, |p| p.message.clone()),
                help: Some("each is right alone, but not together with the file".to_owned()),
            })?;
        }
        Ok(config)
    }

    /// The settings in `bytes` and `variables` that this version reads and does not act on.
    pub fn without_effect(bytes: &[u8], variables: &BTreeMap<String, String>) -> Vec<&'static str> {
        let mut value = yaml::value_of(std::str::from_utf8(bytes).unwrap_or(""));
        for (name, raw) in variables.iter().filter(|(name, _)| name.starts_with(VARIABLES)) {
            if let Ok(layer) = layer(name, raw) {
                merge(&mut value, layer);
            }
        }
        let is_set = |path: &&&str| {
            path.split('.').try_fold(&value, |at, key| at.get(key)).is_some_and(|v| !v.is_null())
        };
        NOT_YET.iter().filter(is_set).copied().collect()
    }

    /// What is wrong with it beyond its shape.
    fn problems(&self) -> Vec<Problem> {
        let mut out = Vec::new();
        let sections = [("risk", &self.risk), ("approval", &self.approval)];
        for (name, risk) in sections.into_iter().filter_map(|(n, r)| Some((n, r.as_ref()?))) {
            for (n, entry) in risk.sensitive_patterns.iter().flatten().enumerate() {
                let (pattern, _) = weighted(entry);
                let compiled = match pattern.is_empty() {
                    true => Err("it is empty, and would match every path".to_owned()),
                    false => risk::compile(pattern).map(|_| ()),
                };
                if let Err(error) = compiled {
                    let why = error.lines().last().unwrap_or("invalid").to_owned();
                    out.push(
                        Problem::error(Code::BadPattern, format!("`{pattern}`: {why}"))
                            .on(
                                Path::of(name).key("sensitive_patterns").index(n),
                                "this expression",
                            )
                            .help("it is a regular expression, matched anywhere in the path"),
                    );
                }
            }
            for (n, raw) in risk.always_require_human.iter().enumerate() {
                if let Err(error) = Pattern::parse(raw, false) {
                    out.push(bad(raw, &error, Path::of(name).key("always_require_human").index(n)));
                }
            }
        }
        for (n, raw) in self.boundaries.forbidden_patterns.iter().enumerate() {
            let read = match raw.trim_matches('/').is_empty() {
                true => Err(super::pattern::PatternError::Empty),
                false => forbidden::anywhere(raw),
            };
            if let Err(error) = read {
                out.push(bad(
                    raw,
                    &error,
                    Path::of("boundaries").key("forbidden_patterns").index(n),
                ));
            }
        }
        let lists =
            [("incremental", &self.integration.incremental), ("final", &self.integration.final_)];
        for (name, list) in lists {
            if let Some(checks) = list
                && super::vacuous::only_passes_all(checks)
            {
                out.push(
                    Problem::error(
                        Code::VacuousVerification,
                        format!("the commands of integration.{name} can only pass"),
                    )
                    .on(Path::of("integration").key(name).index(0), "proves nothing")
                    .help("name a required command that fails when the result is wrong, or leave the list out"),
                );
            }
            for (n, check) in list.iter().flatten().enumerate() {
                if check.command.trim().is_empty() || check.command.contains('\0') {
                    out.push(
                        Problem::error(
                            Code::MissingField,
                            "a command is empty, or holds a NUL character",
                        )
                        .on(Path::of("integration").key(name).index(n).key("command"), "no command")
                        .help("name what is to be run, or remove the entry"),
                    );
                }
            }
        }
        if let (Some(_), Some(_)) = (
            self.risk.as_ref().and_then(|r| r.sensitive_patterns.as_ref()),
            self.approval.as_ref().and_then(|r| r.sensitive_patterns.as_ref()),
        ) {
            out.push(
                Problem::error(
                    Code::WrongType,
                    "`risk` and `approval` both give sensitive_patterns",
                )
                .on(Path::of("approval").key("sensitive_patterns"), "one of the two lists")
                .help("the two sections are one under two names; put the patterns into one list"),
            );
        }
        for (n, name) in self.workers.env_pass.iter().enumerate() {
            if name.is_empty() || name.contains(['=', '\0']) {
                out.push(
                    Problem::error(
                        Code::WrongType,
                        format!("`{name}` is not the name of a variable"),
                    )
                    .on(Path::of("workers").key("env_pass").index(n), "this name")
                    .help("give names alone; their values come from the environment"),
                );
            }
        }
        let ecosystems = ["python", "node", "rust", "go", "ruby", "php"];
        let languages = ["python", "typescript", "rust", "go"];
        let commands = match &self.contracts.typecheck {
            Some(Typecheck::Commands(commands)) => commands.keys().collect(),
            Some(Typecheck::Word(_)) | None => Vec::new(),
        };
        let named = |key: &'static [&'static str], keys: Vec<&String>, known: &[&str]| {
            let unknown = keys.into_iter().filter(|k| !known.contains(&k.as_str()));
            let problem = |k: &String| {
                let path = Path::of(key[0]).key(key[1]).key(k);
                Problem::error(Code::UnknownKey, format!("`{k}` is none of {}", known.join(", ")))
                    .on(path, "not known here")
                    .help("nothing would ever ask for it")
            };
            unknown.map(problem).collect::<Vec<_>>()
        };
        let installs = self.dependencies.install.keys().collect();
        out.extend(named(&["dependencies", "install"], installs, &ecosystems));
        out.extend(named(&["contracts", "typecheck"], commands, &languages));
        for (n, adapter) in self.adapters.iter().enumerate() {
            if let Err(why) = intent::validate(adapter) {
                out.push(
                    Problem::error(
                        Code::BadPattern,
                        format!("the adapter `{}`: {why}", adapter.name),
                    )
                    .on(Path::of("adapters").index(n), "this adapter")
                    .help("compare it with the example in docs/adapters.md"),
                );
            }
        }
        if self.orchestration.max_parallel_workers == Some(0) {
            out.push(
                Problem::error(Code::WrongType, "max_parallel_workers is 0")
                    .on(Path::of("orchestration").key("max_parallel_workers"), "at least 1")
                    .help("leave it out for 5"),
            );
        }
        out
    }

    /// How often a contract may be renegotiated.
    pub fn max_renegotiations(&self) -> u32 {
        self.contracts.max_renegotiations.unwrap_or(2)
    }

    /// The risk rules that follow from it, for a plan of about so many paths.
    pub fn risk_rules(&self, paths: usize) -> Rules {
        let mut rules = Rules::for_paths(paths);
        let sections: Vec<&RiskConfig> = self.risk.iter().chain(&self.approval).collect();
        if let Some(patterns) = sections.iter().find_map(|s| s.sensitive_patterns.as_ref()) {
            // One that cannot be read was refused with the file.
            let compiled = patterns
                .iter()
                .map(weighted)
                .filter_map(|(pattern, weight)| Some((risk::compile(pattern).ok()?, weight)));
            rules.replace(compiled.collect());
        }
        // Where both sections say one, the stricter counts.
        if let Some(at) = sections.iter().filter_map(|s| s.auto_approve_threshold).min() {
            rules.auto_up_to = at;
            rules.review_up_to = at.saturating_mul(2);
        }
        let patterns = sections.iter().flat_map(|s| &s.always_require_human);
        rules.always_require_human =
            patterns.filter_map(|raw| Pattern::parse(raw, false).ok()).collect();
        rules
    }
}

/// Gives the problems of a configuration their places in its text.
fn place(problems: &mut [Problem], text: &str) {
    if let Ok(tree) = Tree::read(text, MAX_VALUES) {
        yaml::locate::locate(problems, &tree);
    }
}

fn weighted(entry: &SensitivePattern) -> (&str, u64) {
    match entry {
        SensitivePattern::Weighted { pattern, weight } => (pattern, *weight),
        SensitivePattern::Plain(pattern) => (pattern, 10),
    }
}

fn bad(raw: &str, error: &super::pattern::PatternError, path: Path) -> Problem {
    let mut problem = bad_path(raw, error, path);
    problem.code = Code::BadPattern;
    problem
}

fn empty() -> Value {
    Value::Object(serde_json::Map::new())
}

/// A variable as a document of one value, when a configuration of that alone is right.
fn layer(name: &str, raw: &str) -> Result<Value, Invalid> {
    let keys: Vec<String> = name
        .strip_prefix(VARIABLES)
        .unwrap_or("")
        .split("__")
        .map(str::to_ascii_lowercase)
        .collect();
    let document = |value: Value| {
        keys.iter().rev().fold(value, |inside, key| {
            Value::Object(serde_json::Map::from_iter([(key.clone(), inside)]))
        })
    };
    // What it means as YAML, else the text itself, else a list with commas.
    let list = raw.split(',').map(|part| Value::String(part.trim().to_owned())).collect();
    let candidates = [yaml::value_of(raw), Value::String(raw.to_owned()), Value::Array(list)];
    let mut first: Option<Problem> = None;
    for value in candidates {
        let layer = document(value);
        let alone = yaml::read::<Config>(layer.to_string().as_bytes(), "config");
        let problems = match alone {
            Ok(config) => config.problems(),
            Err(error) => error.problems,
        };
        match problems.into_iter().next() {
            None => return Ok(layer),
            Some(problem) => {
                first.get_or_insert(problem);
            }
        }
    }
    let unknown =
        Problem::error(Code::UnknownKey, "it names no setting").at(Label::here(Span::START, ""));
    let problem = first.unwrap_or(unknown);
    Err(Invalid::Variable { name: name.to_owned(), message: problem.message, help: problem.help })
}

fn renamed(layer: Value, from: &str, to: &str) -> Value {
    let inner = layer.get(from).cloned().unwrap_or(Value::Null);
    Value::Object(serde_json::Map::from_iter([(to.to_owned(), inner)]))
}

fn merge(base: &mut Value, layer: Value) {
    match (base, layer) {
        (Value::Object(base), Value::Object(layer)) => {
            for (key, value) in layer {
                merge(base.entry(key).or_insert(Value::Null), value);
            }
        }
        (base, value) => *base = value,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variables(list: &[(&str, &str)]) -> BTreeMap<String, String> {
        list.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
    }

    #[test]
    fn every_section_of_the_page_is_read() {
        let text = include_str!("every-section.yaml");
        let config = Config::read(text.as_bytes(), &BTreeMap::new()).unwrap();
        assert_eq!(config.roles.integration_checker.model.as_deref(), Some("sonnet"));
        assert_eq!(config.coordination.lock_ttl.map(|l| l.millis), Some(300_000));
        assert_eq!(config.agents["aider"].command[0], "aider");
        for path in NOT_YET {
            let set = Config::without_effect(text.as_bytes(), &BTreeMap::new());
            assert!(set.contains(&path), "{path} is not in the example");
        }
    }

    #[test]
    fn a_variable_lies_over_the_file_and_an_unknown_one_is_named() {
        let file = b"orchestration: {max_parallel_workers: 2, max_iterations: 4}\n";
        let over = variables(&[
            ("SLIMDUCTOR__ORCHESTRATION__MAX_PARALLEL_WORKERS", "7"),
            ("SLIMDUCTOR__WORKERS__ENV_PASS", "A, B"),
            ("SLIMDUCTOR__NOTIFY__COMMAND", "5"),
            ("SLIMDUCTOR__BUDGET__MAX_DURATION", "2h"),
            ("SLIMDUCTOR_ATTEMPT", "not a setting"),
        ]);
        let config = Config::read(file, &over).unwrap();
        assert_eq!(config.orchestration.max_parallel_workers, Some(7));
        assert_eq!(config.orchestration.max_iterations, Some(4));
        assert_eq!(config.workers.env_pass, ["A", "B"]);
        assert_eq!(config.notify.command.as_deref(), Some("5"));
        assert_eq!(config.budget.max_duration.map(|l| l.millis), Some(7_200_000));
        let wrong = variables(&[("SLIMDUCTOR__ORCHESTRATION__MAX_PARALEL_WORKERS", "7")]);
        let Err(Invalid::Variable { name, help, .. }) = Config::read(file, &wrong) else {
            panic!("accepted");
        };
        assert!(name.ends_with("PARALEL_WORKERS"));
        assert_eq!(help.as_deref(), Some("did you mean `max_parallel_workers`?"));
        let wrong = variables(&[("SLIMDUCTOR__INTEGRATION__PROMOTE", "wole")]);
        let Err(Invalid::Variable { message, .. }) = Config::read(b"", &wrong) else {
            panic!("accepted");
        };
        assert!(message.contains("`wole` is not one of whole, landed"), "{message}");
    }
}
