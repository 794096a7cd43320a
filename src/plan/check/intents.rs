//! Patch intents at plan time: which adapter writes each, and what becomes of those that none fits. Reads no disk.
//!
//! A file that no adapter fits is edited by the workers themselves: each such task owns the file, and they wait for one
//! another.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use crate::plan::config::Config;
use crate::plan::diagnostic::{Code, Problem, shown};
use crate::plan::intent::{self, Adapter, Intent, Value};
use crate::plan::place::Path;
use crate::plan::schema::{Document, IntentValue, PatchIntent};
use crate::plan::wave::Order;
use crate::plan::{Facts, HotEdit};

/// What the adapters of a project are: its own first, then the built-in ones.
pub(crate) fn adapters(config: &Config) -> Vec<Adapter> {
    config.adapters.iter().cloned().chain(intent::builtin()).collect()
}

/// An intent of the plan as the adapters take it.
fn as_asked(task: &str, spec: &PatchIntent) -> Intent {
    let value = |v: &IntentValue| match v {
        IntentValue::Flag(flag) => Value::Flag(*flag),
        IntentValue::Number(number) => Value::Number(*number),
        IntentValue::Text(text) => Value::Text(text.clone()),
        IntentValue::List(list) => Value::List(list.clone()),
    };
    let values = spec.intent.iter().map(|(name, v)| (name.clone(), value(v))).collect();
    Intent { task: task.to_owned(), action: spec.action, values }
}

/// A document whose tasks own what no adapter edits for them, and wait for one another there.
pub(super) struct Lowered<'a> {
    /// The document; as it was where every intent finds an adapter.
    pub document: Cow<'a, Document>,
    /// What is to be said about it.
    pub problems: Vec<Problem>,
    /// For each task what the engine edits for it.
    pub edits: Vec<Vec<HotEdit>>,
    /// For each task the files that it edits itself, because no adapter fits.
    pub own: Vec<Vec<String>>,
}

/// Finds the adapters, and lowers the intents that have none.
pub(super) fn lower<'a>(document: &'a Document, facts: &Facts, config: &Config) -> Lowered<'a> {
    let inherited: &[PatchIntent] = document.defaults.as_ref().map_or(&[], |d| &d.patch_intents);
    let none = inherited.is_empty() && document.tasks.iter().all(|t| t.patch_intents.is_empty());
    if none {
        let edits = vec![Vec::new(); document.tasks.len()];
        let own = vec![Vec::new(); document.tasks.len()];
        return Lowered { document: Cow::Borrowed(document), problems: Vec::new(), edits, own };
    }
    let adapters = adapters(config);
    let mut known: BTreeMap<(String, intent::Action), Option<usize>> = BTreeMap::new();
    let mut fitting = |file: &str, action: intent::Action, text: &str| -> Option<usize> {
        *known.entry((file.to_owned(), action)).or_insert_with(|| {
            let found = intent::detect(&adapters, file, text, action)?;
            adapters.iter().position(|a| std::ptr::eq(a, found))
        })
    };
    let (mut problems, mut edits) = (Vec::new(), Vec::new());
    let mut own_edits = vec![Vec::new(); document.tasks.len()];
    let mut unfit: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    for (n, task) in document.tasks.iter().enumerate() {
        let own = !task.patch_intents.is_empty();
        let list = if own { &task.patch_intents[..] } else { inherited };
        let mut of_task = Vec::new();
        for (nth, spec) in list.iter().enumerate() {
            let path = || Path::owner(own, n).key("patch_intents").index(nth);
            let asked = as_asked(task.id.as_str(), spec);
            let text = facts.hot_files.get(&spec.file).and_then(Option::as_deref);
            // A file that is not there yet is judged when it is.
            let Some(text) = text else {
                of_task.push(HotEdit { file: spec.file.clone(), intent: asked });
                continue;
            };
            let Some(adapter) = fitting(&spec.file, spec.action, text) else {
                unfit.entry(spec.file.clone()).or_default().push(n);
                own_edits[n].push(spec.file.clone());
                continue;
            };
            if let Err(refused) = intent::check(&adapters[adapter], &asked) {
                problems.push(
                    Problem::error(Code::IntentRefused, shown(&refused.to_string()))
                        .on(path().key("intent"), "cannot be written like this")
                        .help("give the values that the action takes; see `plan --explain intent_refused`"),
                );
            }
            of_task.push(HotEdit { file: spec.file.clone(), intent: asked });
        }
        edits.push(of_task);
    }
    if unfit.is_empty() {
        let own = own_edits;
        return Lowered { document: Cow::Borrowed(document), problems, edits, own };
    }
    let mut place = vec![0; document.tasks.len()];
    for (n, task) in order_of(document).into_iter().enumerate() {
        place[task] = n;
    }
    let mut changed = document.clone();
    for (file, mut tasks) in unfit {
        tasks.dedup();
        // In an order that the dependencies already have, so that no circle can come of it.
        tasks.sort_by_key(|t| place[*t]);
        let names: Vec<&str> =
            tasks.iter().take(5).map(|t| document.tasks[*t].id.as_str()).collect();
        problems.push(
            Problem::warning(
                Code::NoAdapter,
                format!(
                    "no adapter fits `{}`: {} edit it themselves",
                    shown(&file),
                    names.join(", ")
                ),
            )
            .on(Path::task(tasks[0]).key("patch_intents"), "run one after the other")
            .help("add one under `adapters` in slimductor.yaml, and they run side by side"),
        );
        for pair in tasks.windows(2) {
            let (before, after) = (pair[0], pair[1]);
            let id = changed.tasks[before].id.clone();
            if !changed.tasks[after].depends_on.contains(&id) {
                changed.tasks[after].depends_on.push(id);
            }
        }
        for task in tasks {
            let owned = &mut changed.tasks[task].files_write;
            if !owned.contains(&file) {
                owned.push(file.clone());
            }
        }
    }
    Lowered { document: Cow::Owned(changed), problems, edits, own: own_edits }
}

/// The tasks in an order of their dependencies, as far as these can be read.
fn order_of(document: &Document) -> Vec<usize> {
    let index: BTreeMap<&str, usize> =
        document.tasks.iter().enumerate().map(|(n, t)| (t.id.as_str(), n)).collect();
    let known = |t: &crate::plan::schema::TaskSpec| {
        let ids = t.depends_on.iter().filter_map(|d| index.get(d.as_str()).copied());
        ids.collect::<Vec<usize>>()
    };
    let order = Order::new(document.tasks.iter().map(known).collect());
    // By waves, and in the order of the file within one; what stands in a circle comes last, and is refused anyway.
    let mut all: Vec<usize> = Vec::with_capacity(document.tasks.len());
    for mut wave in order.waves() {
        wave.sort_unstable();
        all.extend(wave);
    }
    let placed: BTreeSet<usize> = all.iter().copied().collect();
    all.extend((0..document.tasks.len()).filter(|t| !placed.contains(t)));
    all
}
