//! Compares what would be written with what is outside the regions: what is there already, which
//! names are declared and which are missing. It does not write.

use regex::Regex;

use super::adapter::Adapter;
use super::anchor::Target;
use super::apply::{Written, bad, clash};
use super::region::{Found, Item, Owner, normal};
use super::text::{Language, Line, Source};
use super::value::quote;
use super::{Intent, Refused, declared, name, template};

/// What is outside the regions of a text.
pub(super) struct Outside<'s> {
    source: &'s Source<'s>,
    /// Its lines that begin as code; `None` where a region or something else stands between.
    lines: Vec<Option<Line>>,
}

impl<'s> Outside<'s> {
    pub(super) fn of(source: &'s Source<'s>, regions: &[Found]) -> Self {
        let inside =
            |line: &Line| regions.iter().any(|r| r.start <= line.start && line.start < r.end);
        let lines =
            source.lines.iter().map(|line| (line.code && !inside(line)).then_some(*line)).collect();
        Self { source, lines }
    }

    /// Whether an entry is there already, in the same scope.
    pub(super) fn has(&self, lines: &[String], indent: &str, import: bool) -> bool {
        let language = self.source.language;
        let wanted: Vec<String> =
            lines.iter().map(|line| normal(&format!("{indent}{line}"), language)).collect();
        let same = |line: &Option<Line>, wanted: &String| {
            line.is_some_and(|line| normal(self.source.words(&line), language) == *wanted)
        };
        let block = |all: &[Option<Line>]| all.iter().zip(&wanted).all(|(line, w)| same(line, w));
        if !wanted.is_empty() && self.lines.windows(wanted.len()).any(block) {
            return true;
        }
        import && lines.first().is_some_and(|line| self.imports(line))
    }

    /// Whether a longer import brings in the same: `from a import b` in `from a import (b, c)`.
    fn imports(&self, wanted: &str) -> bool {
        let language = self.source.language;
        if !matches!(language, Language::Python | Language::Javascript) {
            return false;
        }
        let ours: Vec<&str> = words(wanted).collect();
        let starts = ["import", "from", "const", "let", "var"];
        self.lines.iter().flatten().filter(|line| line.depth == 0).any(|line| {
            if !words(self.source.words(line)).next().is_some_and(|w| starts.contains(&w))
                || !self.source.indent(line).is_empty()
            {
                return false;
            }
            let end = self.source.statement_end(line.start).unwrap_or(line.end);
            let theirs: Vec<&str> =
                words(self.source.text.get(line.start..end).unwrap_or_default()).collect();
            covers(&theirs, &ours)
        })
    }
}

/// Whether one statement says the words of another in their order, none of them renamed.
fn covers(theirs: &[&str], ours: &[&str]) -> bool {
    let mut rest = theirs.iter().enumerate();
    let kept = |word: &&str| {
        rest.by_ref().any(|(nth, found)| {
            let near = |at: Option<usize>| at.and_then(|at| theirs.get(at)).copied();
            let renamed =
                near(nth.checked_sub(1)) == Some("as") || near(nth.checked_add(1)) == Some("as");
            found == word && (!renamed || ours.contains(&"as"))
        })
    };
    ours.len() > 2 && ours.iter().all(kept)
}

/// The names and paths in a line.
fn words(line: &str) -> impl Iterator<Item = &str> {
    let part = |c: char| c.is_alphanumeric() || "_$./@-".contains(c);
    line.split(move |c| !part(c)).filter(|word| !word.is_empty())
}

/// Refuses names that would be declared twice, and names that are used but not there.
#[expect(clippy::too_many_arguments, reason = "each is one thing that the names depend on")]
pub(super) fn check(
    adapter: &Adapter,
    intent: &Intent,
    written: &Written<'_>,
    owner: &Owner,
    keyed: bool,
    there: &Outside<'_>,
    regions: &[Found],
    target: Option<&Target>,
) -> Result<(), Refused> {
    let source = there.source;
    for (called, raw) in &written.scope {
        for word in raw.split(|c: char| !(c.is_alphanumeric() || c == '_' || c == '$')) {
            let code = source.lines.iter().filter(|line| line.code);
            let used = |line: &Line| words(source.words(line)).any(|found| found == word);
            let brought = adapter.regions.iter().filter(|region| region.per_line).any(|region| {
                let lines = written.code.get(region.name.as_str()).into_iter().flatten().flatten();
                lines
                    .into_iter()
                    .any(|line| words(line).any(|w| w.rsplit('.').next() == Some(word)))
            });
            let known = brought
                || name::is_builtin(word, adapter.language)
                || name::identifier(word, adapter.language).is_err();
            if !known && !code.into_iter().any(used) {
                let why = format!("`{word}` is not in the file: say where it is imported from");
                return Err(bad(intent, called, why));
            }
        }
    }
    for template in &written.form.declares {
        let named = |name: &str| written.values.get(name).cloned();
        let Ok(Some(whole)) = template::fill(template, named) else { continue };
        let Some(pattern) = declared::pattern(&whole, adapter.language) else { continue };
        let Ok(pattern) = Regex::new(&pattern) else { continue };
        let declares = |line: &str| declared::declares(&pattern, line, adapter.language);
        let own = |item: &Item| {
            (keyed && item.owners.len() == 1 && item.owners.contains(owner))
                || written.code.values().flatten().any(|lines| *lines == item.lines)
        };
        let inner = regions
            .iter()
            .flat_map(|region| &region.items)
            .filter(|item| !own(item))
            .any(|item| item.lines.iter().any(|line| declares(line)));
        let deepest = target.map_or(0, |t| t.line.depth) + 1;
        let said = |line: &Line| {
            line.depth <= deepest && declares(source.words(line)) && !source.is_idle(line)
        };
        let indent = target.map(|t| t.indent.as_str()).unwrap_or_default();
        let met = written.code.iter().any(|(region, items)| {
            let per_line = adapter.regions.iter().any(|r| r.name == *region && r.per_line);
            items.iter().any(|lines| {
                lines.iter().any(|line| declares(line))
                    && (there.has(lines, "", per_line) || there.has(lines, indent, per_line))
            })
        });
        if inner || (!met && there.lines.iter().flatten().any(said)) {
            let name = quote(whole.trim_end_matches(':'));
            return Err(clash(intent, format!("`{name}` is already declared in the file")));
        }
    }
    Ok(())
}
