//! What is left of a document: without what is wrong in it, or with every scalar as it is written. Knows the tree and what
//! was found wrong, judges nothing.

use std::collections::{HashMap, HashSet};

use serde::de::DeserializeOwned;
use serde_json::Value;

use super::tree::{MAX_VALUES, Ref, Shape, Tree};
use super::{MAX_INPUT, number_of, typed};
use crate::plan::diagnostic::Problem;
use crate::plan::place::Path;

/// A document with every scalar as it is written: text, but for truth values and nothing. What reads it again decides
/// which texts are numbers, so that `1.10` stays what it is where text is meant.
pub fn words_of(text: &str) -> Value {
    fn value(node: Ref<'_>, left: &mut usize) -> Value {
        *left = left.saturating_sub(1);
        if *left == 0 {
            return Value::Null;
        }
        let node = node.resolved();
        match node.shape() {
            Shape::Scalar { text: "" | "~" | "null", plain: true } => Value::Null,
            Shape::Scalar { text: "true", plain: true } => Value::Bool(true),
            Shape::Scalar { text: "false", plain: true } => Value::Bool(false),
            Shape::Scalar { text, .. } => Value::String(text.to_owned()),
            Shape::Sequence => node.items().map(|item| value(item, left)).collect(),
            Shape::Mapping => node
                .entries()
                .filter_map(|(key, item)| Some((key.text()?.to_owned(), value(item, left))))
                .collect(),
        }
    }
    let tree = Tree::read(text, MAX_VALUES / 4).ok();
    tree.as_ref().and_then(Tree::root).map_or(Value::Null, |root| value(root, &mut 1_000_000))
}

/// What is left of a document without its problems.
pub(super) fn rest<T: DeserializeOwned>(
    tree: &Tree<'_>,
    problems: &[Problem],
    lost: &[(Path, String)],
    slips: bool,
) -> Option<T> {
    let meant = |p: &Problem| p.meant.clone().filter(|_| slips);
    let wrong = problems.iter().filter_map(|p| Some((p.path.clone()?, meant(p)))).collect();
    let mut missing: HashMap<Path, Vec<(String, String)>> = HashMap::new();
    for (path, text) in lost {
        if let Some((place, name)) = path.last_key() {
            missing.entry(place).or_default().push((name, text.clone()));
        }
    }
    let mut left = Left { wrong, missing, out: String::new(), nodes: 0 };
    left.write(tree.root()?, &Path::default())?;
    typed(&left.out).ok()
}

/// Writes a document again, in brackets, without what is wrong in it.
struct Left {
    /// Places, and the key that was probably meant there.
    wrong: HashMap<Path, Option<String>>,
    /// Mappings, the keys that they need and lack, and what these get.
    missing: HashMap<Path, Vec<(String, String)>>,
    out: String,
    nodes: usize,
}

impl Left {
    /// `None` where it would become too long: aliases can name each other.
    fn write(&mut self, node: Ref<'_>, path: &Path) -> Option<()> {
        self.nodes += 1;
        if self.nodes > 2_000_000 || self.out.len() > MAX_INPUT {
            return None;
        }
        let node = node.resolved();
        match node.shape() {
            Shape::Scalar { text, plain } => {
                let meaning =
                    number_of(text).is_some() || matches!(text, "true" | "false" | "null");
                if plain && (meaning || text.is_empty() || text == "~") {
                    self.out.push_str(if text.is_empty() { "null" } else { text });
                } else {
                    self.quoted(text);
                }
            }
            Shape::Sequence => {
                self.out.push('[');
                for (n, item) in node.items().enumerate() {
                    let here = path.clone().index(n);
                    // The others keep their numbers.
                    if self.wrong.contains_key(&here) {
                        match self.missing.get(&here).cloned() {
                            Some(names) => {
                                let entry = |(name, text): &(String, String)| {
                                    format!(
                                        "{}: {}",
                                        Value::from(name.as_str()),
                                        Value::from(text.as_str())
                                    )
                                };
                                let all: Vec<String> = names.iter().map(entry).collect();
                                self.out.push_str(&format!("{{{}}}", all.join(", ")));
                            }
                            None => self.out.push_str("\"\""),
                        }
                    } else {
                        self.write(item, &here)?;
                    }
                    self.out.push_str(", ");
                }
                self.out.push(']');
            }
            Shape::Mapping => {
                self.out.push('{');
                let mut taken = HashSet::new();
                for (key, value) in node.entries() {
                    let name = key.text()?;
                    let here = path.clone().key(name);
                    // A slip of the hand is read as what was meant; everything else is left out.
                    let name = match self.wrong.get(&here) {
                        Some(Some(meant)) if node.get(meant).is_none() => meant.clone(),
                        Some(_) => continue,
                        None => name.to_owned(),
                    };
                    if taken.insert(name.clone()) {
                        self.quoted(&name);
                        self.out.push_str(": ");
                        self.write(value, &here)?;
                        self.out.push_str(", ");
                    }
                }
                for (name, text) in self.missing.get(path).cloned().unwrap_or_default() {
                    if !taken.contains(&name) {
                        self.quoted(&name);
                        self.out.push_str(": ");
                        self.quoted(&text);
                        self.out.push_str(", ");
                    }
                }
                self.out.push('}');
            }
        }
        Some(())
    }

    fn quoted(&mut self, text: &str) {
        self.out.push_str(&Value::String(text.to_owned()).to_string());
    }
}
