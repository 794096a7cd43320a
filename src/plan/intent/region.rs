//! Reads and writes regions: the marked parts of a file with their entries and whose they are. It
//! does not know where a region goes or what its entries mean.

use std::collections::BTreeSet;

use super::adapter::Comment;
use super::text::{Language, Source};
use super::{Action, Refused};

/// What markers and headers are known by.
const MARK: &str = "slimductor";

/// Whose an entry is, in the order in which entries stand.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Owner {
    /// What was asked for.
    pub action: Action,
    /// Which one, escaped; empty when the entry's own text tells.
    pub identity: String,
    /// Who asked.
    pub task: String,
}

/// An entry: some lines, and everybody who asked for exactly these.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Item {
    /// At least one.
    pub owners: BTreeSet<Owner>,
    /// At least one, without the region's indentation.
    pub lines: Vec<String>,
}

/// A region in a text.
#[derive(Debug)]
pub(super) struct Found {
    /// Its name.
    pub name: String,
    /// Where the line of its first marker begins.
    pub start: usize,
    /// Where the line after its last marker begins.
    pub end: usize,
    /// The indentation of its first marker.
    pub indent: String,
    /// What it holds.
    pub items: Vec<Item>,
}

/// What a line is to us.
enum Sign {
    Begin(String),
    End(String),
    Header(Owner),
    Broken,
}

/// Whether a line could be taken for one of ours.
pub(super) fn looks_like_ours(line: &str, comment: &Comment) -> bool {
    sign(line.trim(), comment).is_some()
        || (line.contains(">>> slimductor") || line.contains("<<< slimductor"))
}

fn sign(line: &str, comment: &Comment) -> Option<Sign> {
    let inner = line.strip_prefix(comment.prefix.trim())?;
    let bare = inner.strip_suffix(comment.suffix.trim());
    let words = bare.unwrap_or(inner).trim();
    let (first, rest) = words.split_once(' ')?;
    let name = |rest: &str| {
        let name = rest.strip_prefix(MARK)?.trim();
        let fits = !name.is_empty() && name.bytes().all(|b| b.is_ascii_lowercase());
        (fits && bare.is_some()).then(|| name.to_owned())
    };
    let rest = rest.trim();
    if !words.contains(MARK) {
        return None;
    }
    match first {
        ">>>" if rest.starts_with(MARK) => Some(name(rest).map_or(Sign::Broken, Sign::Begin)),
        "<<<" if rest.starts_with(MARK) => Some(name(rest).map_or(Sign::Broken, Sign::End)),
        "slimductor:" => Some(match (owner(rest), bare) {
            (Some(owner), Some(_)) => Sign::Header(owner),
            (_, _) => Sign::Broken,
        }),
        _ => None,
    }
}

fn owner(rest: &str) -> Option<Owner> {
    let mut words = rest.splitn(3, ' ');
    let (task, word) = (words.next()?, words.next()?);
    let action = Action::ALL.into_iter().find(|action| action.word() == word)?;
    let identity = words.next().unwrap_or_default().trim().to_owned();
    Some(Owner { action, identity, task: task.to_owned() })
}

/// Finds every region of a text.
///
/// # Errors
///
/// The first marker or header that is not where it belongs.
pub(super) fn find(source: &Source<'_>, comment: &Comment) -> Result<Vec<Found>, Refused> {
    let mut all: Vec<Found> = Vec::new();
    let mut open: Option<(Found, usize)> = None;
    let mut owners: BTreeSet<Owner> = BTreeSet::new();
    let mut body: Vec<String> = Vec::new();
    let mut last = 0;
    for (nth, line) in source.lines.iter().enumerate() {
        last = nth + 1;
        let fail = |why: String| Refused::Region { line: nth + 1, why };
        let words = source.words(line);
        // A line in a string or a long comment is not ours, whatever it says.
        let found = if line.code { sign(words.trim(), comment) } else { None };
        match (found, &mut open) {
            (Some(Sign::Broken), _) => {
                return Err(fail("this marker or header has been changed".into()));
            }
            (Some(Sign::Begin(name)), Some((region, _))) => {
                return Err(fail(format!("`{name}` begins inside `{}`", region.name)));
            }
            (Some(Sign::Begin(name)), None) => {
                if all.iter().any(|region| region.name == name) {
                    return Err(fail(format!("a second region `{name}`")));
                }
                let indent = source.indent(line).to_owned();
                let region = Found { name, start: line.start, end: 0, indent, items: Vec::new() };
                open = Some((region, line.depth));
            }
            (Some(Sign::End(name)), None) => {
                return Err(fail(format!("`{name}` ends and never began")));
            }
            (Some(Sign::End(name)), Some((region, depth))) => {
                if region.name != name {
                    return Err(fail(format!("`{name}` ends where `{}` is open", region.name)));
                }
                if *depth != line.depth {
                    return Err(fail("brackets are opened or closed inside it".into()));
                }
                region.close(&mut owners, &mut body).map_err(fail)?;
                region.end = line.next;
                all.extend(open.take().map(|(region, _)| region));
            }
            (Some(Sign::Header(_)), None) => {
                return Err(fail("an entry's header outside every region".into()));
            }
            (Some(Sign::Header(owner)), Some((region, _))) => {
                if !body.is_empty() {
                    region.close(&mut owners, &mut body).map_err(fail)?;
                }
                owners.insert(owner);
            }
            (None, Some((region, _))) => {
                if owners.is_empty() && !words.trim().is_empty() {
                    return Err(fail("a line that belongs to no entry".into()));
                }
                let inner = words.strip_prefix(region.indent.as_str()).unwrap_or(words);
                if !owners.is_empty() && (!body.is_empty() || !inner.trim().is_empty()) {
                    body.push(inner.to_owned());
                }
            }
            (None, None) => {}
        }
    }
    match open {
        Some((region, _)) => {
            Err(Refused::Region { line: last, why: format!("`{}` has no end", region.name) })
        }
        None => Ok(all),
    }
}

impl Found {
    /// Ends the entry that was being read.
    fn close(
        &mut self,
        owners: &mut BTreeSet<Owner>,
        body: &mut Vec<String>,
    ) -> Result<(), String> {
        while body.last().is_some_and(|line| line.trim().is_empty()) {
            body.pop();
        }
        let item = Item { owners: std::mem::take(owners), lines: std::mem::take(body) };
        match (item.owners.is_empty(), item.lines.is_empty()) {
            (true, true) => {}
            (false, false) => self.items.push(item),
            (_, _) => return Err("a header without its entry".into()),
        }
        Ok(())
    }
}

/// Writes a region; nothing when it holds nothing.
pub(super) fn write(
    name: &str,
    items: &[Item],
    indent: &str,
    comment: &Comment,
    eol: &str,
) -> String {
    if items.is_empty() {
        return String::new();
    }
    let suffix = comment.suffix.trim();
    let note = |words: &str| {
        let line = format!("{indent}{} {words} {suffix}", comment.prefix.trim());
        line.trim_end().to_owned()
    };
    let mut lines = vec![note(&format!(">>> {MARK} {name}"))];
    for item in items {
        for owner in &item.owners {
            let head = format!("{MARK}: {} {} {}", owner.task, owner.action.word(), owner.identity);
            lines.push(note(head.trim_end()));
        }
        let indented = |line: &String| {
            if line.is_empty() { String::new() } else { format!("{indent}{line}") }
        };
        lines.extend(item.lines.iter().map(indented));
    }
    lines.push(note(&format!("<<< {MARK} {name}")));
    lines.iter().flat_map(|line| [line.as_str(), eol]).collect()
}

/// The same line however it is quoted and whether or not it ends in a semicolon.
pub(super) fn normal(line: &str, language: Language) -> String {
    match language {
        Language::Python | Language::Javascript | Language::Java => {
            line.trim_end().trim_end_matches(';').replace('\'', "\"")
        }
        Language::Toml
        | Language::Yaml
        | Language::Properties
        | Language::Env
        | Language::Plain => line.trim_end().to_owned(),
    }
}
