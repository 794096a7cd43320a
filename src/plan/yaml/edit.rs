//! Edits of a document in place: what is not edited keeps every sign, comment and blank. Knows structure, no plans.

use super::tree::{Ref, Shape, Tree};
use crate::plan::place::Path;

/// New text in the place of a part of the old.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Edit {
    /// Where the replaced part begins, in bytes.
    pub from: usize,
    /// Where it ends.
    pub to: usize,
    /// What stands there instead.
    pub text: String,
}

/// `text` with all `edits` made; of two at one place the first comes first.
pub fn apply(text: &str, mut edits: Vec<Edit>) -> String {
    edits.sort_by_key(|e| (e.from, e.to));
    let mut out =
        String::with_capacity(text.len() + edits.iter().map(|e| e.text.len()).sum::<usize>());
    let mut at = 0;
    for edit in &edits {
        out.push_str(text.get(at..edit.from).unwrap_or(""));
        out.push_str(&edit.text);
        at = edit.to;
    }
    out.push_str(text.get(at..).unwrap_or(""));
    out
}

/// Puts a word in the place of the scalar at `path`, with the quotes that it has.
pub fn set_word(text: &str, tree: &Tree<'_>, path: &Path, word: &str) -> Option<Edit> {
    let value = tree.find(path)?.value;
    value.text().filter(|_| !value.is_alias())?;
    let span = value.span();
    let old = text.get(span.offset..value.end())?;
    // A block or a text over several lines ends where others begin; nothing at all has no place of its own.
    if old.is_empty() || old.contains('\n') || old.starts_with(['|', '>']) {
        return None;
    }
    let quote = old.chars().next().filter(|c| matches!(c, '"' | '\''));
    let quote = quote.map_or(String::new(), |c| c.to_string());
    Some(Edit { from: span.offset, to: value.end(), text: format!("{quote}{word}{quote}") })
}

/// Adds `words` to the list under `key` of the mapping at `path`, or says why it cannot. A list that is not there is
/// made behind the entry `after`.
pub fn add_to_list(
    text: &str,
    tree: &Tree<'_>,
    path: &Path,
    key: &str,
    after: &str,
    words: &[&str],
) -> Result<Edit, String> {
    let Some(node) = tree.find(path).map(|f| f.value) else {
        return Err("it was not found".to_owned());
    };
    if node.is_alias() {
        return Err("it is an alias; give it a mapping of its own".to_owned());
    }
    let own = |name: &str| node.entries().find(|(k, _)| k.text() == Some(name));
    if let Some((key, value)) = own(key) {
        return extend(text, key, value, words);
    }
    // A merged list would be hidden by an own one, so its entries are said again.
    let merged: Vec<&str> = node
        .get(key)
        .map(|found| found.value.resolved().items().filter_map(Ref::text).collect())
        .unwrap_or_default();
    let Some((anchor, value)) = own(after) else {
        return Err(format!("it has no `{after}` of its own"));
    };
    let all: Vec<&str> = merged.into_iter().chain(words.iter().copied()).collect();
    let quoted = text.get(anchor.span().offset..).is_some_and(|t| t.starts_with('"'));
    let list = listed(&all, quoted.then_some('"'));
    let key = if quoted { format!("\"{key}\"") } else { key.to_owned() };
    if node.is_flow() {
        return Ok(insert(value.end(), format!(", {key}: {list}")));
    }
    let indent = " ".repeat((anchor.span().column as usize).saturating_sub(1));
    Ok(new_line(text, value.end(), &format!("{indent}{key}: {list}")))
}

fn extend(text: &str, key: Ref<'_>, value: Ref<'_>, words: &[&str]) -> Result<Edit, String> {
    if value.is_alias() {
        return Err("its list is an alias; give it a list of its own".to_owned());
    }
    match value.shape() {
        Shape::Sequence => {}
        Shape::Scalar { .. } => {
            // Nothing stands there: `depends_on:`, or a word that means nothing.
            let span = value.span();
            if value.end() > span.offset {
                let list = listed(words, None);
                return Ok(Edit { from: span.offset, to: value.end(), text: list });
            }
            let colon = text.get(key.end()..).and_then(|t| t.find(':'));
            let Some(colon) = colon else { return Err("its list cannot be found".to_owned()) };
            return Ok(insert(key.end() + colon + 1, format!(" {}", listed(words, None))));
        }
        Shape::Mapping => return Err("its list is a mapping".to_owned()),
    }
    let Some(last) = value.items().last() else {
        let quoted = text.get(key.span().offset..).is_some_and(|t| t.starts_with('"'));
        let list = listed(words, quoted.then_some('"'));
        return Ok(insert(value.span().offset + 1, list.trim_matches(['[', ']']).to_owned()));
    };
    let start = last.span().offset;
    let raw = text.get(start..last.end()).unwrap_or("");
    let quote = raw.chars().next().filter(|c| matches!(c, '"' | '\''));
    if value.is_flow() {
        let more: String = words.iter().map(|w| format!(", {}", quoted(w, quote))).collect();
        return Ok(insert(last.end(), more));
    }
    // The dash stands before the entry, on the same line or, seldom, above it.
    let before = text.get(..start).unwrap_or("");
    let dash = before.rfind('-').unwrap_or(0);
    let line = before.get(..dash).and_then(|t| t.rfind('\n')).map_or(0, |n| n + 1);
    let indent: String = before.get(line..dash).unwrap_or("").chars().map(blank).collect();
    let lines: Vec<String> =
        words.iter().map(|w| format!("{indent}- {}", quoted(w, quote))).collect();
    Ok(new_line(text, last.end(), &lines.join("\n")))
}

fn blank(c: char) -> char {
    if c == '\t' { '\t' } else { ' ' }
}

fn insert(at: usize, text: String) -> Edit {
    Edit { from: at, to: at, text }
}

/// Whole lines behind the line in which `at` lies, with the line ends of the text.
fn new_line(text: &str, at: usize, lines: &str) -> Edit {
    let rest = text.get(at..).unwrap_or("");
    let (end, newline) = match rest.find('\n') {
        Some(n) if rest.get(..n).is_some_and(|t| t.ends_with('\r')) => (at + n - 1, "\r\n"),
        Some(n) => (at + n, "\n"),
        None if text.contains("\r\n") => (text.len(), "\r\n"),
        None => (text.len(), "\n"),
    };
    insert(end, format!("{newline}{}", lines.replace('\n', newline)))
}

fn quoted(word: &str, quote: Option<char>) -> String {
    // An id may look like a number; then it has to be told from one.
    let other = super::number_of(word).is_some() || matches!(word, "true" | "false" | "null");
    match quote.or(other.then_some('"')) {
        Some(quote) => format!("{quote}{word}{quote}"),
        None => word.to_owned(),
    }
}

fn listed(words: &[&str], quote: Option<char>) -> String {
    let words: Vec<String> = words.iter().map(|w| quoted(w, quote)).collect();
    format!("[{}]", words.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::yaml::tree::MAX_VALUES;

    fn with_b(text: &str) -> String {
        let tree = Tree::read(text, MAX_VALUES).unwrap();
        let edit = add_to_list(text, &tree, &Path::task(0), "depends_on", "id", &["b", "c"]);
        apply(text, vec![edit.unwrap()])
    }

    #[test]
    fn an_entry_is_added_in_the_style_of_the_list() {
        let cases = [
            (
                "tasks:\n- id: a # x\n  run: y\n",
                "tasks:\n- id: a # x\n  depends_on: [b, c]\n  run: y\n",
            ),
            (
                "tasks:\n  - run: y\n    id: a",
                "tasks:\n  - run: y\n    id: a\n    depends_on: [b, c]",
            ),
            ("tasks: [{id: a, run: y}]\n", "tasks: [{id: a, depends_on: [b, c], run: y}]\n"),
            (
                "{\"tasks\": [{\"id\": \"a\"}]}",
                "{\"tasks\": [{\"id\": \"a\", \"depends_on\": [\"b\", \"c\"]}]}",
            ),
            (
                "{\"tasks\": [{\"id\": \"a\", \"depends_on\": []}]}",
                "{\"tasks\": [{\"id\": \"a\", \"depends_on\": [\"b\", \"c\"]}]}",
            ),
            (
                "tasks:\n- id: a\n  depends_on: [x] # why\n",
                "tasks:\n- id: a\n  depends_on: [x, b, c] # why\n",
            ),
            (
                "tasks:\n- id: a\n  depends_on: ['x', ]\n",
                "tasks:\n- id: a\n  depends_on: ['x', 'b', 'c', ]\n",
            ),
            ("tasks:\n- id: a\n  depends_on: [ ]\n", "tasks:\n- id: a\n  depends_on: [b, c ]\n"),
            (
                "tasks:\r\n- id: a\r\n  depends_on:\r\n  - x # why\r\n\r\n  run: y\r\n",
                "tasks:\r\n- id: a\r\n  depends_on:\r\n  - x # why\r\n  - b\r\n  - c\r\n\r\n  run: y\r\n",
            ),
            (
                "tasks:\n- id: a\n  depends_on:\n      - x",
                "tasks:\n- id: a\n  depends_on:\n      - x\n      - b\n      - c",
            ),
            (
                "tasks:\n- id: a\n  depends_on:   # none\n  run: y\n",
                "tasks:\n- id: a\n  depends_on: [b, c]   # none\n  run: y\n",
            ),
            (
                "tasks:\n- id: a\n  depends_on: ~\n  run: y\n",
                "tasks:\n- id: a\n  depends_on: [b, c]\n  run: y\n",
            ),
            (
                "x: &x {depends_on: [q]}\ntasks:\n- <<: *x\n  id: a\n",
                "x: &x {depends_on: [q]}\ntasks:\n- <<: *x\n  id: a\n  depends_on: [q, b, c]\n",
            ),
        ];
        for (before, after) in cases {
            assert_eq!(with_b(before), after);
        }
    }

    #[test]
    fn a_shared_list_is_left_alone() {
        for text in
            ["l: &l [x]\ntasks:\n- id: a\n  depends_on: *l\n", "t: &t {id: a}\ntasks:\n- *t\n"]
        {
            let tree = Tree::read(text, MAX_VALUES).unwrap();
            let path = Path::task(0);
            assert!(add_to_list(text, &tree, &path, "depends_on", "id", &["b"]).is_err());
        }
    }

    #[test]
    fn a_word_keeps_its_quotes() {
        for (before, after) in [
            ("contracts: [{version: \"a\"}]\n", "contracts: [{version: \"b\"}]\n"),
            ("contracts:\n- version: a # x\n", "contracts:\n- version: b # x\n"),
        ] {
            let tree = Tree::read(before, MAX_VALUES).unwrap();
            let path = Path::of("contracts").index(0).key("version");
            let edit = set_word(before, &tree, &path, "b").unwrap();
            assert_eq!(apply(before, vec![edit]), after);
        }
    }
}
