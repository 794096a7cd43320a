//! Writes intents into the regions of a text. It does not know files, only texts that it is given,
//! and everything outside the regions stays as it is, byte for byte.

use std::collections::{BTreeMap, BTreeSet};

use super::adapter::{ActionSpec, Adapter, Form, Region, compile};
use super::anchor::{self, Target};
use super::outside::{self, Outside};
use super::region::{self, Item, Owner};
use super::text::Source;
use super::value::quote;
use super::{Action, Intent, Refused, Value, template, value};

/// Finds the adapter for an action on a file: the first that knows the action, fits the file's
/// name and content and has a place there for everything that the action may write.
pub fn detect<'a>(
    adapters: &'a [Adapter],
    path: &str,
    content: &str,
    action: Action,
) -> Option<&'a Adapter> {
    let name = path.rsplit('/').next().unwrap_or(path);
    adapters.iter().find(|adapter| {
        adapter.actions.contains_key(&action)
            && adapter.files.iter().any(|pattern| named(pattern, name))
            && fits(adapter, content, action)
    })
}

/// Whether a name is of a form in which `*` stands for anything.
fn named(pattern: &str, name: &str) -> bool {
    let Some((first, rest)) = pattern.split_once('*') else { return pattern == name };
    let Some(mut name) = name.strip_prefix(first) else { return false };
    let mut parts: Vec<&str> = rest.split('*').collect();
    let last = parts.pop().unwrap_or_default();
    for part in parts {
        match name.find(part) {
            Some(at) => name = name.get(at + part.len()..).unwrap_or_default(),
            None => return false,
        }
    }
    name.ends_with(last)
}

fn fits(adapter: &Adapter, content: &str, action: Action) -> bool {
    let Ok(source) = Source::read(content, adapter.language) else { return false };
    let occurs = |pattern: &String| {
        compile(pattern).is_ok_and(|found| {
            found.find_iter(content).any(|m| {
                source.line_at(m.start()).is_none_or(|l| l.code) && source.is_code(m.start())
            })
        })
    };
    if !adapter.contains.iter().all(occurs) || adapter.lacks.iter().any(occurs) {
        return false;
    }
    let Ok(target) = anchor::target(adapter, &source) else { return false };
    // A damaged region is no reason to take another adapter: `apply` will say what is wrong.
    let regions = region::find(&source, &adapter.comment).unwrap_or_default();
    let used = |region: &&Region| {
        adapter
            .actions
            .get(&action)
            .is_some_and(|spec| spec.forms.iter().any(|f| f.code.contains_key(&region.name)))
    };
    adapter.regions.iter().filter(used).all(|region| {
        regions.iter().any(|found| found.name == region.name)
            || anchor::place(adapter, region, &source, target.as_ref(), &regions).is_ok()
    })
}

/// Writes intents for one file, each by the adapter that fits it.
///
/// # Errors
///
/// As `apply`, and when there is no adapter for an action on this file.
pub fn apply_all(
    adapters: &[Adapter],
    path: &str,
    content: &str,
    intents: &[Intent],
) -> Result<String, Refused> {
    let mut text = content.to_owned();
    for action in Action::ALL {
        let some: Vec<Intent> = intents.iter().filter(|i| i.action == action).cloned().collect();
        let Some(first) = some.first() else { continue };
        let adapter = detect(adapters, path, content, action).ok_or_else(|| Refused::Clash {
            task: first.task.clone(),
            action,
            why: format!("no adapter fits the file {}", quote(path)),
        })?;
        text = apply(adapter, &text, &some)?;
    }
    Ok(text)
}

/// Says whether an intent's values are acceptable, before there is a file to write to.
///
/// # Errors
///
/// The first value that is not.
pub fn check(adapter: &Adapter, intent: &Intent) -> Result<(), Refused> {
    let (spec, _) = identified(adapter, intent)?;
    render(adapter, spec, intent, None).map(|_| ())
}

/// Writes intents into the adapter's regions of a text. The result does not depend on the order of
/// the intents, nor on how many calls they come in, and is the same when they are written again.
///
/// # Errors
///
/// The first value that is not acceptable, declaration that would clash, region that is damaged or
/// place that is missing. The text is not changed in part.
pub fn apply(adapter: &Adapter, content: &str, intents: &[Intent]) -> Result<String, Refused> {
    let mut text = content.to_owned();
    let mut seen: BTreeMap<Owner, &Intent> = BTreeMap::new();
    let mut sorted: Vec<&Intent> = intents.iter().collect();
    // What others refer to must be there first.
    sorted.sort_by_key(|intent| intent.action);
    for intent in sorted {
        let (spec, owner) = identified(adapter, intent)?;
        if !spec.identity.is_empty()
            && let Some(other) = seen.insert(owner.clone(), intent)
            && other.values != intent.values
        {
            return Err(clash(intent, "it is asked for twice, with different values".into()));
        }
        text = apply_one(adapter, &text, intent, spec, &owner)?;
    }
    Ok(text)
}

/// A refusal of the whole intent.
pub(super) fn clash(intent: &Intent, why: String) -> Refused {
    Refused::Clash { task: intent.task.clone(), action: intent.action, why }
}

/// A refusal of one value.
pub(super) fn bad(intent: &Intent, name: &str, why: String) -> Refused {
    let (task, name) = (quote(&intent.task), quote(name));
    Refused::Value { task, action: intent.action, name, why }
}

fn misfit(adapter: &Adapter, why: String) -> Refused {
    Refused::Place { adapter: adapter.name.clone(), why }
}

fn identified<'a>(
    adapter: &'a Adapter,
    intent: &Intent,
) -> Result<(&'a ActionSpec, Owner), Refused> {
    let fits = |b: u8| b.is_ascii_alphanumeric() || b"._-".contains(&b);
    let task = &intent.task;
    if task.is_empty() || task.contains("--") || !task.bytes().all(fits) {
        return Err(bad(intent, "task", "it is not the id of a task".into()));
    }
    let Some(spec) = adapter.actions.get(&intent.action) else {
        return Err(misfit(adapter, format!("it cannot do {}", intent.action.word())));
    };
    let identity = value::identity(&spec.identity, &spec.fields, &intent.values);
    Ok((spec, Owner { action: intent.action, identity, task: task.clone() }))
}

/// An intent as it is to be written.
pub(super) struct Written<'a> {
    /// How.
    pub form: &'a Form,
    /// Its values by field.
    pub values: BTreeMap<&'a str, String>,
    /// The fields whose names must be in the file, as the plan gives them.
    pub scope: Vec<(&'a str, String)>,
    /// Its entries by region.
    pub code: BTreeMap<&'a str, Vec<Vec<String>>>,
}

fn render<'a>(
    adapter: &'a Adapter,
    spec: &'a ActionSpec,
    intent: &Intent,
    target: Option<&Target>,
) -> Result<Written<'a>, Refused> {
    let language = adapter.language;
    let known = |called: &str| {
        spec.fields.iter().any(|(name, field)| match field.of.is_empty() {
            true => name == called,
            false => field.of.iter().any(|name| name == called),
        })
    };
    let rest: BTreeMap<&str, &Value> =
        intent.values.iter().filter(|(n, _)| !known(n)).map(|(n, v)| (n.as_str(), v)).collect();
    let mut values = BTreeMap::new();
    for (called, field) in &spec.fields {
        let label = field.of.first().unwrap_or(called);
        let written = value::field(called, field, &intent.values, language);
        if let Some(text) = written.map_err(|why| bad(intent, label, why))? {
            values.insert(called.as_str(), text);
        }
    }
    match (&spec.options, rest.keys().next()) {
        (Some(options), _) => {
            let written = value::options(options, &rest, language);
            let text = written.map_err(|(name, why)| bad(intent, &name, why))?;
            values.insert("options", text);
        }
        (None, Some(name)) => return Err(bad(intent, name, "it is not known here".into())),
        (None, None) => {}
    }
    let has = |need: &String| {
        spec.fields.get(need).is_some_and(|field| {
            let raw = value::given(need, field, &intent.values);
            raw.is_some_and(|value| *value != Value::Flag(false))
        })
    };
    let Some(form) = spec.forms.iter().find(|form| form.needs.iter().all(has)) else {
        let needs: Vec<String> =
            spec.forms.iter().map(|form| format!("`{}`", form.needs.join("` and `"))).collect();
        return Err(clash(intent, format!("it needs {}", needs.join(", or "))));
    };
    let named = |name: &str| {
        values.get(name).cloned().or_else(|| target.and_then(|t| t.names.get(name).cloned()))
    };
    let mut code: BTreeMap<&str, Vec<Vec<String>>> = BTreeMap::new();
    for (region, lines) in &form.code {
        let mut filled = Vec::new();
        for line in lines {
            let text = template::fill(line, named).map_err(|why| misfit(adapter, why))?;
            filled.extend(text);
        }
        if let Some(line) = filled.iter().find(|l| ours(l, adapter)) {
            let why = format!("`{}` would look like a mark of this tool", quote(line));
            return Err(clash(intent, why));
        }
        let per_line = adapter.regions.iter().any(|r| r.name == *region && r.per_line);
        let items = if per_line {
            filled.into_iter().map(|line| vec![line]).collect()
        } else {
            vec![filled]
        };
        code.insert(region, items.into_iter().filter(|item| !item.is_empty()).collect());
    }
    let raw = |called: &'a String| {
        let value = value::given(called, spec.fields.get(called)?, &intent.values)?;
        Some((called.as_str(), value::texts(value).ok()?.join(" ")))
    };
    let scope = form.in_scope.iter().filter_map(raw).collect();
    Ok(Written { form, values, scope, code })
}

/// Whether a line could be read as a marker, or end the comments around it.
fn ours(line: &str, adapter: &Adapter) -> bool {
    let comment = &adapter.comment;
    let ends = !comment.suffix.is_empty()
        && (line.contains(comment.prefix.trim())
            || line.contains(comment.suffix.trim())
            || ["```", "~~~"].iter().any(|fence| line.trim_start().starts_with(fence)));
    ends || region::looks_like_ours(line, comment)
}

fn apply_one(
    adapter: &Adapter,
    content: &str,
    intent: &Intent,
    spec: &ActionSpec,
    owner: &Owner,
) -> Result<String, Refused> {
    let source = Source::read(content, adapter.language).map_err(|why| misfit(adapter, why))?;
    let regions = region::find(&source, &adapter.comment)?;
    let target = anchor::target(adapter, &source).map_err(|why| misfit(adapter, why))?;
    let written = render(adapter, spec, intent, target.as_ref())?;
    let keyed = !spec.identity.is_empty();
    let there = Outside::of(&source, &regions);
    outside::check(adapter, intent, &written, owner, keyed, &there, &regions, target.as_ref())?;
    let mut text = content.to_owned();
    for region in &adapter.regions {
        let wanted = written.code.get(region.name.as_str());
        if wanted.is_none() && !keyed {
            continue;
        }
        let wanted = wanted.map(Vec::as_slice).unwrap_or_default();
        text = update(adapter, &text, region, owner, keyed, wanted)?;
    }
    Ok(text)
}

/// Puts an owner's entries into one region.
fn update(
    adapter: &Adapter,
    content: &str,
    region: &Region,
    owner: &Owner,
    keyed: bool,
    wanted: &[Vec<String>],
) -> Result<String, Refused> {
    let source = Source::read(content, adapter.language).map_err(|why| misfit(adapter, why))?;
    let regions = region::find(&source, &adapter.comment)?;
    let found = regions.iter().find(|found| found.name == region.name);
    if found.is_none() && wanted.is_empty() {
        return Ok(content.to_owned());
    }
    let place = match found {
        Some(found) => anchor::Place::of(found),
        None => {
            let target = anchor::target(adapter, &source).map_err(|why| misfit(adapter, why))?;
            anchor::place(adapter, region, &source, target.as_ref(), &regions)
                .map_err(|why| misfit(adapter, why))?
        }
    };
    let mut items: BTreeMap<Vec<String>, BTreeSet<Owner>> = BTreeMap::new();
    for item in found.map(|found| found.items.as_slice()).unwrap_or_default() {
        items.entry(item.lines.clone()).or_default().extend(item.owners.iter().cloned());
    }
    if keyed {
        for owners in items.values_mut() {
            owners.remove(owner);
        }
    }
    let there = Outside::of(&source, &regions);
    for lines in wanted {
        if !there.has(lines, &place.indent, region.per_line) {
            items.entry(lines.clone()).or_default().insert(owner.clone());
        }
    }
    items.retain(|_, owners| !owners.is_empty());
    let mut sorted: Vec<Item> =
        items.into_iter().map(|(lines, owners)| Item { owners, lines }).collect();
    sorted.sort_by(|a, b| (a.owners.first(), &a.lines).cmp(&(b.owners.first(), &b.lines)));
    let eol = source.eol();
    let mut new = region::write(&region.name, &sorted, &place.indent, &adapter.comment, eol);
    let to = found.map_or(place.at, |found| found.end);
    if found.is_none() {
        if new.is_empty() {
            return Ok(content.to_owned());
        }
        if place.breaks_before {
            new.insert_str(0, eol);
        }
        new.push_str(&place.after);
    }
    let before = content.get(..place.at).unwrap_or_default();
    let after = content.get(to..).unwrap_or_default();
    let text = format!("{before}{new}{after}");
    // What was written must be read again as what was meant, whatever the values were.
    let again = Source::read(&text, adapter.language).map_err(|why| misfit(adapter, why))?;
    let found = region::find(&again, &adapter.comment)?;
    let same = found.iter().find(|f| f.name == region.name).map(|f| f.items.as_slice());
    if same.unwrap_or_default() == sorted {
        Ok(text)
    } else {
        Err(misfit(adapter, "what would be written could not be read again".into()))
    }
}
