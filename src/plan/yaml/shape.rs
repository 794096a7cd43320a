//! Does a document fit its JSON Schema? Every unknown key, wrong type, missing field and repeated key, each with its
//! place. Knows the part of JSON Schema that our own types use, and nothing of plans.

use std::collections::HashMap;

use serde_json::Value;

use super::tree::{Ref, Shape, Tree};
use super::{number_of, parse_length};
use crate::plan::diagnostic::{Code, Label, Problem, closest};
use crate::plan::place::Path;

/// Formats that our types name in their schemas, beyond what JSON Schema knows.
pub const LENGTH: &str = "length";
/// How many problems of shape are told.
const MOST: usize = 1_000;
/// An id: text, never a number.
pub const ID: &str = "task-id";

/// Every place where a document does not fit.
#[derive(Debug, Default)]
pub struct Misfit {
    /// What is wrong, each with its place.
    pub problems: Vec<Problem>,
    /// Values that are needed and are not there, or wrong, each with a text that would fit.
    pub lost: Vec<(Path, String)>,
}

/// Every place where the document does not fit `schema`.
pub fn misfit(tree: &Tree<'_>, schema: &Value) -> Misfit {
    let mut walker = Walker { root: schema, problems: Vec::new(), lost: Vec::new() };
    if let Some(root) = tree.root() {
        walker.value(root, schema, &Path::default());
    }
    Misfit { problems: walker.problems, lost: walker.lost }
}

struct Walker<'s> {
    root: &'s Value,
    problems: Vec<Problem>,
    lost: Vec<(Path, String)>,
}

impl<'s> Walker<'s> {
    /// The schemas that a value may fit, references followed.
    fn alternatives(&self, schema: &'s Value) -> Vec<&'s Value> {
        let mut out = Vec::new();
        let mut todo = vec![schema];
        while let Some(schema) = todo.pop() {
            let parts = schema.get("anyOf").or_else(|| schema.get("oneOf"));
            if let Some(target) = schema.get("$ref").and_then(Value::as_str) {
                let name = target.strip_prefix("#/").unwrap_or(target);
                todo.extend(name.split('/').try_fold(self.root, |at, part| at.get(part)));
            } else if let Some(parts) = parts.and_then(Value::as_array) {
                todo.extend(parts.iter().rev());
            } else {
                out.push(schema);
            }
        }
        out
    }

    fn value(&mut self, node: Ref<'_>, schema: &'s Value, path: &Path) {
        // Nobody reads further than this, and a list of a million wrong entries would fill the memory.
        if self.problems.len() >= MOST {
            return;
        }
        // What an alias names is checked where it stands; following it could take for ever.
        if node.is_alias() {
            return;
        }
        let alternatives = self.alternatives(schema);
        let of_type = |word: &str| alternatives.iter().copied().find(|s| takes(s, word));
        match node.shape() {
            Shape::Mapping => match of_type("object") {
                Some(object) => self.mapping(node, object, path),
                None => self.wrong(node, &alternatives, "a mapping", path),
            },
            Shape::Sequence => match of_type("array") {
                Some(array) => {
                    let empty = Value::Bool(true);
                    let items = array.get("items").unwrap_or(&empty);
                    // Both live as long as the schema, but for the empty one, which fits everything.
                    if let Some(items) = items.as_object().and(array.get("items")) {
                        for (n, item) in node.items().enumerate() {
                            self.value(item, items, &path.clone().index(n));
                        }
                    }
                }
                None => self.wrong(node, &alternatives, "a list", path),
            },
            Shape::Scalar { text, plain } => {
                if !alternatives.iter().any(|s| fits(s, text, plain)) {
                    self.scalar(node, text, &alternatives, path);
                }
            }
        }
    }

    fn mapping(&mut self, node: Ref<'_>, schema: &'s Value, path: &Path) {
        let known = schema.get("properties").and_then(Value::as_object);
        let others = schema.get("additionalProperties");
        let required = schema.get("required").and_then(Value::as_array).map_or(&[][..], |r| r);
        let mut seen: HashMap<&str, Ref<'_>> = HashMap::new();
        let mut merges = false;
        for (key, value) in node.entries() {
            let Some(name) = key.text() else {
                self.problems.push(
                    Problem::error(Code::WrongType, "a key is a list or a mapping")
                        .at(Label::here(key.span(), "a key is text"))
                        .within(path.clone()),
                );
                continue;
            };
            if name == "<<" {
                merges = true;
                continue;
            }
            if self.problems.len() >= MOST {
                return;
            }
            let here = path.clone().key(name);
            if let Some(first) = seen.insert(name, key) {
                self.problems.push(
                    Problem::error(Code::YamlSyntax, format!("the key `{name}` stands here twice"))
                        .at(Label::here(key.span(), "the second one"))
                        .at(Label::here(first.span(), "the first one"))
                        .help("keep one of them")
                        .within(here.clone()),
                );
            }
            match (known.and_then(|k| k.get(name)), others) {
                (Some(schema), _) => {
                    let before = self.problems.len();
                    self.value(value, schema, &here);
                    let wrong = |p: &Problem| p.path.as_ref() == Some(&here);
                    if required.iter().any(|r| r == name)
                        && self.problems.iter().skip(before).any(wrong)
                    {
                        let stand_in = self.stand_in(schema);
                        self.lost.push((here, stand_in));
                    }
                }
                (None, Some(Value::Bool(false))) => {
                    let words: Vec<&str> =
                        known.into_iter().flatten().map(|(k, _)| k.as_str()).collect();
                    self.problems.push(unknown(key, name, &words).within(here));
                }
                (None, Some(schema)) => self.value(value, schema, &here),
                (None, None) => {}
            }
        }
        for name in required.iter().filter_map(|r| r.as_str()) {
            // A merged mapping may bring it; the typed read knows.
            if !seen.contains_key(name) && !merges {
                let property = known.and_then(|k| k.get(name));
                let stand_in = property.map_or_else(String::new, |schema| self.stand_in(schema));
                self.lost.push((path.clone().key(name), stand_in));
                self.problems.push(
                    Problem::error(Code::MissingField, format!("`{name}` is missing"))
                        .at(Label::here(node.span(), "needed in what begins here"))
                        .help(format!("add `{name}:`"))
                        .within(path.clone().key(name)),
                );
            }
        }
    }

    /// What a mapping would need that is not there at all.
    fn lose(&mut self, wanted: &[&'s Value], path: &Path) {
        let object = wanted.iter().find(|s| takes(s, "object") && s.get("properties").is_some());
        let required = object.and_then(|o| o.get("required")).and_then(Value::as_array);
        for name in required.into_iter().flatten().filter_map(Value::as_str) {
            let property = object.and_then(|o| o.get("properties")?.get(name));
            let stand_in = property.map_or_else(String::new, |schema| self.stand_in(schema));
            self.lost.push((path.clone().key(name), stand_in));
        }
    }

    /// A text that fits where one is needed: the first word of a choice, else none.
    fn stand_in(&self, schema: &'s Value) -> String {
        let words = self.alternatives(schema).into_iter().flat_map(|s| choices(s)).next();
        words.unwrap_or_default().to_owned()
    }

    fn wrong(&mut self, node: Ref<'_>, wanted: &[&'s Value], found: &str, path: &Path) {
        self.lose(wanted, path);
        self.problems.push(
            Problem::error(
                Code::WrongType,
                format!("expected {}, found {found}", words_of(wanted)),
            )
            .at(Label::here(node.span(), "this value"))
            .within(path.clone()),
        );
    }

    fn scalar(&mut self, node: Ref<'_>, text: &str, wanted: &[&'s Value], path: &Path) {
        self.lose(wanted, path);
        let shown: String = text.chars().take(60).collect();
        let choices: Vec<&str> = wanted.iter().flat_map(|s| choices(s)).collect();
        let format = wanted.iter().find_map(|s| s.get("format").and_then(Value::as_str));
        let problem = if !choices.is_empty() {
            let message = format!("`{shown}` is not one of {}", choices.join(", "));
            let problem = Problem::error(Code::WrongType, message);
            match closest(text, choices.iter().copied()) {
                Some(near) => problem.help(format!("did you mean `{near}`?")),
                None => problem,
            }
        } else if format == Some(LENGTH) {
            let why = parse_length(text).err().unwrap_or_default();
            Problem::error(Code::WrongType, why)
        } else if format == Some(ID) {
            Problem::error(Code::WrongType, format!("an id is text, and `{shown}` is not"))
                .help(format!("quote it: `\"{shown}\"`"))
        } else {
            let found = if text.is_empty() || text == "~" || text == "null" {
                "nothing".to_owned()
            } else {
                format!("`{shown}`")
            };
            let problem = Problem::error(
                Code::WrongType,
                format!("expected {}, found {found}", words_of(wanted)),
            );
            if wanted.iter().any(|s| takes(s, "array")) && found != "nothing" {
                problem.help(format!("write it as a list: `[{shown}]`"))
            } else {
                problem
            }
        };
        self.problems.push(problem.at(Label::here(node.span(), "this value")).within(path.clone()));
    }
}

fn unknown(key: Ref<'_>, name: &str, known: &[&str]) -> Problem {
    let shown: String = name.chars().take(60).collect();
    let problem = Problem::error(Code::UnknownKey, format!("unknown key `{shown}`"))
        .at(Label::here(key.span(), "not a key of this place"));
    match closest(name, known.iter().copied()) {
        Some(near) => problem.help(format!("did you mean `{near}`?")).meant(near),
        None => problem.help(format!("known here: {}", known.join(", "))),
    }
}

/// Whether a schema without alternatives takes values of this type.
fn takes(schema: &Value, word: &str) -> bool {
    match schema.get("type") {
        Some(Value::String(one)) => one == word,
        Some(Value::Array(several)) => several.iter().any(|t| t == word),
        Some(_) => false,
        None => schema.get("const").is_none() && schema.get("enum").is_none(),
    }
}

/// The words that a schema allows, when it names them.
fn choices(schema: &Value) -> Vec<&str> {
    let named = schema.get("enum").and_then(Value::as_array).into_iter().flatten();
    named.chain(schema.get("const")).filter_map(Value::as_str).collect()
}

/// Whether the typed read would take this text there.
fn fits(schema: &Value, text: &str, plain: bool) -> bool {
    let nothing = plain && matches!(text, "" | "~" | "null" | "Null" | "NULL");
    if nothing {
        return takes(schema, "null") || takes(schema, "array");
    }
    let words = choices(schema);
    if !words.is_empty() {
        return words.contains(&text);
    }
    let format = schema.get("format").and_then(Value::as_str).unwrap_or("");
    match format {
        LENGTH => return parse_length(text).is_ok(),
        ID => return !plain || (number_of(text).is_none() && truth_of(text).is_none()),
        _ => {}
    }
    if takes(schema, "string") {
        return true;
    }
    let number = number_of(text);
    if takes(schema, "integer") {
        let least = schema.get("minimum").and_then(Value::as_f64).unwrap_or(f64::MIN);
        let most = if format.ends_with("32") { f64::from(u32::MAX) } else { f64::MAX };
        let hexadecimal = text.contains('x');
        let whole = hexadecimal || !text.contains(['.', 'e', 'E']);
        return number.is_some_and(|n| whole && n.fract() == 0.0 && n >= least && n <= most);
    }
    (takes(schema, "number") && number.is_some())
        || (takes(schema, "boolean") && truth_of(text).is_some())
}

fn truth_of(text: &str) -> Option<bool> {
    match text {
        "true" | "True" | "TRUE" => Some(true),
        "false" | "False" | "FALSE" => Some(false),
        _ => None,
    }
}

/// What the alternatives take, in words.
fn words_of(wanted: &[&Value]) -> String {
    let names = [
        ("array", "a list"),
        ("object", "a mapping"),
        ("string", "text"),
        ("integer", "a whole number"),
        ("number", "a number"),
        ("boolean", "true or false"),
    ];
    let is_named = |word: &str| {
        wanted.iter().any(|s| takes(s, word) || (word == "string" && !choices(s).is_empty()))
    };
    let words: Vec<&str> = names.iter().filter(|(w, _)| is_named(w)).map(|(_, n)| *n).collect();
    if words.is_empty() { "nothing".to_owned() } else { words.join(" or ") }
}
