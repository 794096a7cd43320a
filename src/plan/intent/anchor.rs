//! Finds the target of an adapter and the place of a region in a text. It does not know what is
//! written there.

use std::collections::BTreeMap;

use super::adapter::{Adapter, Anchor, At, Region, Within, compile, with_names};
use super::region::Found;
use super::text::{Language, Line, Source};

/// The one statement or block that intents are about.
#[derive(Debug)]
pub(super) struct Target {
    /// Where its match begins and ends.
    pub start: usize,
    pub end: usize,
    /// The line on which it begins.
    pub line: Line,
    /// That line's indentation.
    pub indent: String,
    /// Where its block ends.
    pub block_end: usize,
    /// What its named groups matched.
    pub names: BTreeMap<String, String>,
}

/// Where a region is to be written.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// The offset.
    pub at: usize,
    /// The indentation of its lines.
    pub indent: String,
    /// Whether the text before must first be given an end of line.
    pub breaks_before: bool,
    /// What must follow on the last line: the indentation of what was behind it.
    pub after: String,
}

/// Finds the target.
///
/// # Errors
///
/// That there is none, more than one, or one in a place that is not understood.
pub(super) fn target(adapter: &Adapter, source: &Source<'_>) -> Result<Option<Target>, String> {
    let Some(pattern) = &adapter.target else { return Ok(None) };
    let found = compile(pattern)?;
    let mut only = None;
    for groups in found.captures_iter(source.text) {
        let Some(whole) = groups.get(0) else { continue };
        let Some(line) = source.line_at(whole.start()) else { continue };
        if !line.code || !source.is_code(whole.start()) {
            continue;
        }
        if only.is_some() {
            return Err("what it looks for is there more than once".into());
        }
        let names = found
            .capture_names()
            .flatten()
            .filter_map(|name| groups.name(name).map(|m| (name.to_owned(), m.as_str().to_owned())));
        only = Some(Target {
            start: whole.start(),
            end: whole.end(),
            line: *line,
            indent: source.indent(line).to_owned(),
            block_end: block_end(source, line),
            names: names.collect(),
        });
    }
    let target = only.ok_or("what it looks for is not there")?;
    if source.language.indented() {
        enclosed(source, &target)?;
    }
    Ok(Some(target))
}

/// Whether a line of code stands further out than an indentation.
fn leaves(source: &Source<'_>, line: &Line, from: &Line) -> bool {
    if source.language.indented() {
        line.code
            && line.depth == 0
            && !source.is_idle(line)
            && source.indent(line).len() < source.indent(from).len()
    } else {
        line.depth < from.depth
    }
}

fn block_end(source: &Source<'_>, from: &Line) -> usize {
    let after = source.lines.partition_point(|line| line.start <= from.start);
    let rest = source.lines.get(after..).unwrap_or_default();
    rest.iter().find(|line| leaves(source, line, from)).map_or(source.text.len(), |line| line.start)
}

/// An indented target is understood in a function, not in a branch that may not be taken.
fn enclosed(source: &Source<'_>, target: &Target) -> Result<(), String> {
    if target.line.depth > 0 {
        return Err("what it looks for is inside brackets".into());
    }
    if target.indent.is_empty() {
        return Ok(());
    }
    let before = source.lines.partition_point(|line| line.start < target.line.start);
    let outer = source.lines.get(..before).unwrap_or_default().iter().rev();
    let head = outer.into_iter().find(|line| leaves(source, line, &target.line));
    let words = head.map(|line| source.words(line).trim_start()).unwrap_or_default();
    if ["def ", "async def ", ")"].iter().any(|start| words.starts_with(start)) {
        return Ok(());
    }
    Err("what it looks for is in a block that is no function".into())
}

/// Finds the place for a region that is not there yet.
///
/// # Errors
///
/// That none of its anchors is there.
pub(super) fn place(
    adapter: &Adapter,
    region: &Region,
    source: &Source<'_>,
    target: Option<&Target>,
    regions: &[Found],
) -> Result<Place, String> {
    let rank = |name: &str| adapter.regions.iter().position(|r| r.name == name);
    let own = rank(&region.name);
    let first = |other: &Found| rank(&other.name) < own;
    for anchor in &region.anchors {
        if let Some(place) = one(anchor, source, target, regions)? {
            return Ok(outside(place, anchor.at, source, regions, first));
        }
    }
    Err(format!("there is no place for the region `{}`", region.name))
}

/// A place inside another region is moved behind it, or before it when it was before something.
/// Regions at one place stand in the adapter's order, whichever was made first.
fn outside(
    mut place: Place,
    at: At,
    source: &Source<'_>,
    regions: &[Found],
    first: impl Fn(&Found) -> bool,
) -> Place {
    if let Some(other) = regions.iter().find(|r| r.start < place.at && place.at < r.end) {
        place.at = if at == At::BeforeFirst { other.start } else { other.end };
    }
    while let Some(other) = regions.iter().find(|r| r.start == place.at && first(r)) {
        place.at = other.end;
    }
    while let Some(other) = regions.iter().find(|r| r.end == place.at && !first(r)) {
        place.at = other.start;
    }
    let before = source.text.get(..place.at).unwrap_or_default();
    place.breaks_before = !before.is_empty() && before != "\u{feff}" && !before.ends_with('\n');
    place
}

fn at_line(at: usize, indent: &str) -> Place {
    Place { at, indent: indent.to_owned(), breaks_before: false, after: String::new() }
}

fn one(
    anchor: &Anchor,
    source: &Source<'_>,
    target: Option<&Target>,
    regions: &[Found],
) -> Result<Option<Place>, String> {
    Ok(match (anchor.at, target) {
        (At::AfterLast | At::BeforeFirst, _) => by_pattern(anchor, source, target)?,
        (At::AfterTarget, Some(t)) => {
            source.statement_end(t.start).map(|at| at_line(at, &t.indent))
        }
        (At::InsideStart, Some(t)) => inside_start(source, t),
        (At::InsideEnd, Some(t)) => inside_end(source, t),
        (At::AfterTarget | At::InsideStart | At::InsideEnd, None) => None,
        (At::Start, _) => Some(at_line(top(source, regions), "")),
        (At::End, _) => Some(at_line(source.text.len(), "")),
    })
}

fn by_pattern(
    anchor: &Anchor,
    source: &Source<'_>,
    target: Option<&Target>,
) -> Result<Option<Place>, String> {
    let Some(pattern) = &anchor.pattern else { return Ok(None) };
    let named = with_names(pattern, |name| target.and_then(|t| t.names.get(name).cloned()));
    let found = compile(&named)?;
    let (from, to, indent, depth) = match (anchor.within, target) {
        (Within::Module, Some(t)) => (0, t.start, "", 0),
        (Within::Module, None) | (Within::File, _) => (0, source.text.len(), "", 0),
        (Within::Target, Some(t)) => (t.end, t.block_end, t.indent.as_str(), t.line.depth),
        (Within::Target, None) => return Ok(None),
    };
    let mut fits = found.find_iter(source.text).filter_map(|found| {
        let line = source.line_at(found.start())?;
        let inside = line.start >= from && line.start < to;
        let level = line.code && line.depth == depth && source.indent(line) == indent;
        let whole = found.start() <= line.start + indent.len() && begins_statement(source, line);
        (inside && level && whole && source.is_code(line.start)).then_some(line.start)
    });
    Ok(match anchor.at {
        At::AfterLast => {
            fits.last().and_then(|at| source.statement_end(at)).map(|at| at_line(at, indent))
        }
        At::BeforeFirst => fits.next().map(|at| at_line(above_comments(source, at), indent)),
        At::AfterTarget | At::InsideStart | At::InsideEnd | At::Start | At::End => None,
    })
}

/// Whether a line is not the rest of the statement above.
fn begins_statement(source: &Source<'_>, line: &Line) -> bool {
    let before = source.mask.get(..line.start).unwrap_or_default();
    match source.language {
        Language::Javascript | Language::Java => {
            let Some(at) = before.iter().rposition(|b| !b.is_ascii_whitespace()) else {
                return true;
            };
            let last = before.get(at).copied().unwrap_or_default();
            // The body of a branch or loop without braces.
            let head = source.line_at(at).map(|line| source.words(line).trim_start());
            let open = ["if", "for", "while", "else", "do", "} else"].iter().any(|word| {
                let rest = head.and_then(|head| head.strip_prefix(word));
                rest.is_some_and(|rest| !rest.starts_with(|c: char| c.is_alphanumeric()))
            });
            !b"=+-*/,.([?:&|<>!%".contains(&last) && (!open || b";{}".contains(&last))
        }
        Language::Python => !(before.ends_with(b"\\\n") || before.ends_with(b"\\\r\n")),
        Language::Toml
        | Language::Yaml
        | Language::Properties
        | Language::Env
        | Language::Plain => true,
    }
}

/// Comments and decorators right above a statement belong to it.
fn above_comments(source: &Source<'_>, at: usize) -> usize {
    let nth = source.lines.partition_point(|line| line.start < at);
    let above = source.lines.get(..nth).unwrap_or_default().iter().rev();
    let belongs = |line: &&Line| {
        line.code
            && source.is_idle(line)
            && !source.words(line).trim().is_empty()
            && !source.words(line).contains("<<< slimductor")
    };
    above.take_while(belongs).last().map_or(at, |line| line.start)
}

/// The place after comments, a docstring and directives at the top.
fn top(source: &Source<'_>, regions: &[Found]) -> usize {
    let mut at = if source.text.starts_with('\u{feff}') { '\u{feff}'.len_utf8() } else { 0 };
    let mut here = at;
    for line in &source.lines {
        if line.start < at && line.next <= at {
            continue;
        }
        if regions.iter().any(|region| region.start == line.start) {
            return at;
        }
        let from = line.start.max(here.min(line.end));
        let begins = source.mask.get(from..line.end).unwrap_or_default();
        let first = begins.iter().find(|b| !b.is_ascii_whitespace());
        if !line.code {
            // The rest of a long comment.
            at = if source.is_idle(line) { line.next } else { return at };
        } else {
            match first {
                None if source.words(line).trim().is_empty() => {}
                None => at = line.next,
                Some(1) => match source.statement_end(from) {
                    Some(end) => at = end,
                    None => return at,
                },
                Some(_) => return at,
            }
        }
        here = at;
    }
    at
}

/// One step further in than a line.
fn deeper(source: &Source<'_>, inside: usize, to: usize, outer: &str) -> String {
    let first = source.lines.iter().find(|line| {
        line.start > inside
            && line.start < to
            && line.code
            && !source.words(line).trim().is_empty()
            && source.indent(line).len() > outer.len()
            && source.indent(line).starts_with(outer)
    });
    match first {
        Some(line) => source.indent(line).to_owned(),
        None if outer.starts_with('\t') => format!("{outer}\t"),
        None if source.language == Language::Java => format!("{outer}    "),
        None => format!("{outer}  "),
    }
}

/// The bracket with which the target's match ends.
fn bracket(source: &Source<'_>, target: &Target) -> Option<usize> {
    let open = target.end.checked_sub(1)?;
    source.mask.get(open).filter(|b| b"([{".contains(b)).map(|_| open)
}

fn inside_start(source: &Source<'_>, target: &Target) -> Option<Place> {
    let open = bracket(source, target)?;
    let close = source.closing(open)?;
    let line = source.line_at(open)?;
    let rest = source.mask.get(open + 1..line.end)?;
    let indent = deeper(source, open, close, source.indent(line));
    if line.next < source.text.len() + 1
        && line.next > line.end
        && rest.iter().all(u8::is_ascii_whitespace)
        && source.line_at(line.next).is_none_or(|next| next.code)
    {
        return Some(at_line(line.next, &indent));
    }
    let closed = rest.iter().find(|b| !b.is_ascii_whitespace()) == source.mask.get(close);
    let after = if closed { source.indent(line).to_owned() } else { indent.clone() };
    Some(Place { at: open + 1, indent, breaks_before: true, after })
}

fn inside_end(source: &Source<'_>, target: &Target) -> Option<Place> {
    let open = bracket(source, target)?;
    let close = source.closing(open)?;
    let line = source.line_at(close)?;
    let outer = source.line_at(open).map(|line| source.indent(line))?;
    let indent = deeper(source, open, close, outer);
    let before = source.mask.get(line.start..close)?;
    if line.code && before.iter().all(u8::is_ascii_whitespace) && line.start > open {
        return Some(at_line(line.start, &indent));
    }
    Some(Place { at: close, indent, breaks_before: true, after: outer.to_owned() })
}

impl Place {
    /// The place of a region that is there.
    pub(super) fn of(found: &Found) -> Self {
        at_line(found.start, &found.indent)
    }
}
