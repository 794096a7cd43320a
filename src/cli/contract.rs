//! `slimductor contract`: stubs of interfaces, what their files say, and new versions of them.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use schemars::JsonSchema;
use serde::Serialize;

use super::Context;
use super::exit::{Exit, Failure};
use super::gather::{Gathered, Purpose, gather};
use super::output::columns;
use super::pins::{own_dir, read_lock, write_lock};
use crate::coordinate::mailbox::{self, Kind};
use crate::execute::world::present;
use crate::git::Repo;
use crate::plan::Pattern;
use crate::plan::contract::renegotiate::{Refused, Renewed, renegotiate};
use crate::plan::contract::stub::{EXTENSIONS, Stub, is_name, is_signature};
use crate::plan::contract::{self, Lock, Pin, Renegotiation, State, header};
use crate::plan::diagnostic::closest;
use crate::plan::place;
use crate::plan::schema::{ContractSpec, Document};
use crate::plan::yaml::tree::{MAX_VALUES, Tree};
use crate::plan::yaml::{edit, text_of};
use crate::store::{self, Mode};
use crate::types::TaskId;

/// Interfaces that tasks agree on.
#[derive(Debug, Args)]
pub struct ContractArgs {
    #[command(subcommand)]
    verb: ContractVerb,
}

#[derive(Debug, Subcommand)]
enum ContractVerb {
    /// Write a stub: a Protocol, interface or trait, by the file's extension.
    New {
        /// The interface's name.
        name: String,
        /// Its methods: names, or signatures in the file's language.
        #[arg(value_name = "METHOD")]
        methods: Vec<String>,
        /// Where it goes: .py, .ts, .rs, .go or .java; a Python stub on stdout unless given.
        #[arg(short, long, value_name = "FILE")]
        output: Option<PathBuf>,
    },
    /// Compare the contracts of a plan with their files.
    Check {
        /// The plan; tasks.yaml unless given.
        file: Option<PathBuf>,
    },
    /// Give a contract whose file was changed a new version, and tell those who rely on it.
    Renegotiate {
        /// The contract's name.
        name: String,
        /// Why it had to change.
        #[arg(long)]
        reason: String,
        /// The plan; tasks.yaml unless given.
        #[arg(long, value_name = "FILE")]
        plan: Option<PathBuf>,
    },
}

/// `contract check --json`: one for each contract.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(title = "slimductor contract check")]
pub struct ContractReport {
    name: String,
    version: Option<String>,
    file_path: String,
    status: State,
    /// The version that the file says.
    found: Option<String>,
    /// Methods of the plan whose names do not stand in the file.
    missing_methods: Vec<String>,
    /// How often it was renegotiated.
    renegotiations: u32,
}

/// The command.
pub fn contract(context: &mut Context, args: &ContractArgs) -> Result<Exit, Failure> {
    match &args.verb {
        ContractVerb::New { name, methods, output } => {
            new(context, name, methods, output.as_deref())
        }
        ContractVerb::Check { file } => check(context, file.as_deref()),
        ContractVerb::Renegotiate { name, reason, plan } => {
            again(context, name, reason, plan.as_deref())
        }
    }
}

fn now() -> String {
    let at = present();
    at.round(jiff::Unit::Second).unwrap_or(at).to_string()
}

fn new(
    context: &Context,
    name: &str,
    methods: &[String],
    output: Option<&Path>,
) -> Result<Exit, Failure> {
    let usage = |message: String| Failure::new(Exit::Usage, message);
    if !is_name(name) {
        return Err(usage(format!("`{name}` cannot be the name of an interface"))
            .hint("letters, digits and `_`, not a digit first"));
    }
    let twice = methods.iter().enumerate().find(|(n, m)| methods.iter().take(*n).any(|o| o == *m));
    if let Some((_, twice)) = twice {
        return Err(usage(format!("the method `{twice}` is named twice")));
    }
    let bad = methods.iter().find(|m| !is_name(m) && !is_signature(m));
    if let Some(bad) = bad {
        return Err(usage(format!("`{bad}` is neither the name of a method nor a signature"))
            .hint("`login`, or `\"login(self, user: str) -> Token\"` as the file's language writes it"));
    }
    let path = output.map_or(Path::new("contract.py"), |p| p);
    let extension = path.extension().and_then(|e| e.to_str()).unwrap_or("").to_ascii_lowercase();
    let stem = path.file_stem().and_then(|s| s.to_str()).unwrap_or("");
    let parent = context.dir.join(path).parent().map(Path::to_owned).unwrap_or_default();
    let directory = parent.file_name().and_then(|d| d.to_str()).unwrap_or("").to_owned();
    let generated = now();
    let text = |version: &str| {
        let stub =
            Stub { name, methods, version, generated: &generated, directory: &directory, stem };
        stub.text(&extension)
    };
    let Some(draft) = text("") else {
        return Err(usage(format!("no stub can be written for `{}`", path.display()))
            .hint(format!("known extensions: {}", EXTENSIONS.join(", "))));
    };
    // The commit it is made at; where there is none, its own content.
    let head = Repo::discover(&context.dir).ok().and_then(|repo| {
        let branch = repo.current_branch(&context.dir).ok()??;
        repo.branch_tip(&branch).ok()?
    });
    let version = match head {
        Some(head) => head.as_str().chars().take(7).collect(),
        None => {
            contract::hash(&path.to_string_lossy(), &draft).chars().take(12).collect::<String>()
        }
    };
    let text = text(&version).unwrap_or(draft);
    let Some(output) = output else {
        context.output.result(&text);
        return Ok(Exit::Done);
    };
    let path = context.dir.join(output);
    let root = Repo::checkout_around(&context.dir).unwrap_or_else(|| context.dir.clone());
    let inside = path.strip_prefix(&root).ok().and_then(|p| p.to_str());
    if inside.is_none_or(|p| Pattern::parse(p, true).is_err()) {
        return Err(usage(format!("{} does not lie in the repository", output.display()))
            .hint("workers get contracts from a commit: name a file below the repository's root"));
    }
    // A link on the way may lead out, whatever the names say.
    let there = parent.ancestors().find_map(|dir| dir.canonicalize().ok()).unwrap_or_default();
    if !there.starts_with(root.canonicalize().unwrap_or_else(|_| root.clone())) {
        return Err(usage(format!("{} leads out of the repository", output.display()))
            .hint("workers get contracts from a commit: name a file below the repository's root"));
    }
    store::make_user_dir(&parent)?;
    if !store::create_new(&path, text.as_bytes(), Mode::Shared)? {
        return Err(usage(format!("{} is there already", output.display()))
            .hint("name another file; `contract renegotiate` changes one that is there"));
    }
    let shown = path.strip_prefix(&root).unwrap_or(output);
    if context.output.manner.json {
        let value = serde_json::json!({"name": name, "version": version, "file_path": shown});
        context.output.json(&value, false);
    } else {
        context.output.result(&format!(
            "wrote {}; commit it, and add to the plan:\n\ncontracts:\n  - name: {name}\n    version: \"{version}\"\n    file_path: {}\n",
            output.display(),
            shown.display()
        ));
    }
    Ok(Exit::Done)
}

/// The plan, when it can be read as one.
fn document(gathered: &Gathered) -> Result<&Document, Failure> {
    gathered.document.as_ref().ok_or_else(|| {
        let file = gathered.file.display();
        Failure::new(Exit::Invalid, format!("{file} cannot be read as a plan"))
            .hint("`slimductor plan --dry-run` says what is wrong")
    })
}

fn check(context: &Context, file: Option<&Path>) -> Result<Exit, Failure> {
    let gathered = gather(context, file, Purpose::Check)?;
    let document = document(&gathered)?;
    let mut reports = Vec::new();
    for (spec, found) in document.contracts.iter().zip(&gathered.analysis.contracts) {
        let text = gathered.facts.contracts.get(&spec.file_path).and_then(Option::as_deref);
        let header = text.map(|t| header::read(&spec.file_path, t)).unwrap_or_default();
        let missing = |m: &&String| text.is_some_and(|t| !names(t, m));
        reports.push(ContractReport {
            name: spec.name.clone(),
            version: spec.version.clone(),
            file_path: spec.file_path.clone(),
            status: found.status,
            found: header.version.map(|v| v.value),
            missing_methods: spec.methods.iter().filter(missing).cloned().collect(),
            renegotiations: header.renegotiation.unwrap_or(0),
        });
    }
    let good = reports.iter().all(|r| r.status == State::Ok && r.missing_methods.is_empty());
    if context.output.manner.json {
        context.output.json(&reports, false);
    } else if reports.is_empty() {
        context.output.result("the plan declares no contract");
    } else {
        let rows: Vec<Vec<String>> = reports.iter().map(row).collect();
        context.output.result(&columns(&rows));
    }
    Ok(if good { Exit::Done } else { Exit::Unlanded })
}

fn row(report: &ContractReport) -> Vec<String> {
    let mut state = report.status.word().replace('_', " ");
    if report.status == State::VersionMismatch
        && let Some(found) = &report.found
    {
        state.push_str(&format!(", the file says {found}"));
    }
    if !report.missing_methods.is_empty() {
        state.push_str(&format!(", not in the file: {}", report.missing_methods.join(", ")));
    }
    let version = report.version.clone().unwrap_or_else(|| "-".to_owned());
    vec![report.name.clone(), version, report.file_path.clone(), state]
}

/// Whether a method's name stands in the text as a word; Go writes the first letter large.
fn names(text: &str, method: &str) -> bool {
    let word = method.split('(').next().unwrap_or(method).trim();
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    let lower = text.to_lowercase();
    let word = word.to_lowercase();
    !word.is_empty()
        && lower.match_indices(&word).any(|(at, found)| {
            let before = lower.get(..at).and_then(|t| t.chars().next_back());
            let after = lower.get(at + found.len()..).and_then(|t| t.chars().next());
            !before.is_some_and(is_part) && !after.is_some_and(is_part)
        })
}

fn again(
    context: &Context,
    name: &str,
    reason: &str,
    plan: Option<&Path>,
) -> Result<Exit, Failure> {
    if reason.trim().is_empty() {
        return Err(Failure::new(Exit::Usage, "--reason is empty")
            .hint("say why the contract had to change"));
    }
    let gathered = gather(context, plan, Purpose::Check)?;
    let document = document(&gathered)?;
    let Some((n, spec)) = document.contracts.iter().enumerate().find(|(_, c)| c.name == name)
    else {
        let known = document.contracts.iter().map(|c| c.name.as_str());
        let hint = match closest(name, known) {
            Some(near) => format!("did you mean `{near}`?"),
            None => "contracts stand under `contracts:` in the plan".to_owned(),
        };
        let message = format!("{} declares no contract `{name}`", gathered.file.display());
        return Err(Failure::new(Exit::Usage, message).hint(hint));
    };
    let mut lock = read_lock(&gathered.root)?;
    let most = gathered.config.max_renegotiations();
    let renewed = renew(&gathered, spec, most, &lock)?;
    // Everything that can be refused is, before the first file changes.
    let plan = with_version(&gathered, n, &renewed.to)?;
    own_dir(&context.dir, &gathered.root)?;
    let real = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_owned());
    store::rewrite(&real(&gathered.root.join(&spec.file_path)), renewed.text.as_bytes())?;
    let pinned = plan.is_some();
    if let Some(new) = plan {
        store::rewrite(&real(&gathered.path), &new)?;
    }
    let at = now();
    let before = lock.contracts.remove(name);
    let mut renegotiations = before.map(|p| p.renegotiations).unwrap_or_default();
    renegotiations.push(Renegotiation {
        from: renewed.from.clone(),
        to: renewed.to.clone(),
        reason: reason.to_owned(),
        at: at.clone(),
    });
    let pin = Pin {
        version: Some(renewed.to.clone()),
        file_path: spec.file_path.clone(),
        sha256: contract::hash(&spec.file_path, &renewed.text),
        renegotiations,
    };
    lock.v = 1;
    lock.contracts.insert(name.to_owned(), pin);
    write_lock(&context.dir, &gathered.root, &lock)?;
    let consumers = consumers(document, spec);
    let body = format!(
        "The contract {name} ({}) was renegotiated: version {} is now {}. Reason: {reason}",
        spec.file_path, renewed.from, renewed.to
    );
    for to in &consumers {
        mailbox::send(&gathered.root, "contract", to, Kind::ApiChange, &body, &at)?;
    }
    if context.output.manner.json {
        let value = serde_json::json!({
            "name": name, "from": renewed.from, "to": renewed.to, "renegotiation": renewed.count,
            "max_renegotiations": most, "plan_updated": pinned, "notified": consumers,
        });
        context.output.json(&value, false);
        return Ok(Exit::Done);
    }
    let told: Vec<&str> = consumers.iter().map(TaskId::as_str).collect();
    let told = if told.is_empty() {
        "nobody relies on it".to_owned()
    } else {
        format!("told: {}", told.join(", "))
    };
    let also = if pinned { format!(" and {}", gathered.file.display()) } else { String::new() };
    context.output.result(&format!(
        "{name}: {} → {} (renegotiation {} of {most}); {told}\nchanged {}{also}; commit that before the next run",
        renewed.from, renewed.to, renewed.count, spec.file_path
    ));
    Ok(Exit::Done)
}

fn renew(
    gathered: &Gathered,
    spec: &ContractSpec,
    most: u32,
    lock: &Lock,
) -> Result<Renewed, Failure> {
    let file = spec.file_path.as_str();
    let text = gathered.facts.contracts.get(file).and_then(Option::as_deref);
    let Some(text) = text else {
        return Err(Failure::new(
            Exit::Invalid,
            format!("the contract file `{file}` does not exist"),
        )
        .hint(format!("`slimductor contract new {} METHOD… -o {file}`", spec.name)));
    };
    let before = lock.contracts.get(&spec.name).map_or(0, |p| p.renegotiations.len());
    renegotiate(file, text, before as u32, most).map_err(|refused| match refused {
        Refused::NoVersion => {
            Failure::new(Exit::Invalid, format!("the first comment of `{file}` says no version"))
                .hint("it needs the lines `Contract: NAME` and `Version: …`")
        }
        Refused::TooOften { count } => {
            let pins = lock.contracts.get(&spec.name);
            let reasons: Vec<String> = pins
                .iter()
                .flat_map(|p| &p.renegotiations)
                .map(|r| format!("{} → {} at {}: {}", r.from, r.to, r.at, r.reason))
                .collect();
            let before = if reasons.is_empty() { String::new() } else { format!("\n  {}", reasons.join("\n  ")) };
            let message = format!(
                "`{}` was renegotiated {count} times, and {most} is the most: a person has to decide{before}",
                spec.name
            );
            Failure::new(Exit::Person, message).hint(
                "cut the tasks differently and plan again, or raise contracts.max_renegotiations in slimductor.yaml",
            )
        }
    })
}

/// The plan's text with the new version in the place of the old; `None` when the plan pins none.
fn with_version(gathered: &Gathered, n: usize, version: &str) -> Result<Option<Vec<u8>>, Failure> {
    let by_hand = || {
        let file = gathered.file.display();
        Failure::new(Exit::Invalid, format!("the version in {file} cannot be edited in place"))
            .hint(
                "write it as a plain value of this contract alone, without anchor, alias or block",
            )
    };
    let old = document(gathered)?;
    if old.contracts.get(n).is_none_or(|c| c.version.is_none()) {
        return Ok(None);
    }
    let text = text_of(&gathered.bytes, "tasks").map_err(|_| by_hand())?;
    let tree = Tree::read(text, MAX_VALUES).map_err(|_| by_hand())?;
    let path = place::Path::of("contracts").index(n).key("version");
    let change = edit::set_word(text, &tree, &path, version).ok_or_else(by_hand)?;
    let edited = edit::apply(text, vec![change]);
    // The proof: read again it says the same, but for this one version.
    let mut new = crate::plan::parse(edited.as_bytes()).map_err(|_| by_hand())?;
    let Some(contract) = new.contracts.get_mut(n).filter(|c| c.version.as_deref() == Some(version))
    else {
        return Err(by_hand());
    };
    contract.version = old.contracts.get(n).and_then(|c| c.version.clone());
    if format!("{new:?}") != format!("{old:?}") {
        return Err(by_hand());
    }
    let lead = gathered.bytes.len() - text.len();
    let mut whole = gathered.bytes.get(..lead).unwrap_or_default().to_vec();
    whole.extend(edited.into_bytes());
    Ok(Some(whole))
}

/// Everyone who relies on a contract: its consumers, and the tasks that name it.
fn consumers(document: &Document, spec: &ContractSpec) -> Vec<TaskId> {
    let inherited = document.defaults.as_ref().map_or(&[][..], |d| &d.contracts);
    let naming = document.tasks.iter().filter(|t| {
        let own = if t.contracts.is_empty() { inherited } else { t.contracts.as_slice() };
        own.contains(&spec.name) || spec.consumers.contains(&t.id)
    });
    naming.filter_map(|t| TaskId::parse(t.id.as_str())).collect()
}
