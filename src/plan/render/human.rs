//! A problem as a compiler would show it, with excerpts. Knows terminals only as "with colour or without".

use annotate_snippets::{AnnotationKind, Group, Level, Origin, Renderer, Snippet};

use crate::plan::diagnostic::{Anchor, Label, Problem, Severity, Span};

/// The text of the document that a problem is about.
#[derive(Debug, Clone, Copy)]
pub struct Source<'a> {
    /// Its path, as the user named it.
    pub file: &'a str,
    /// Its content.
    pub text: &'a str,
}

/// How many lines may lie between two labels that share an excerpt.
const NEAR: u32 = 40;

/// The problem with excerpts from `source`.
pub fn problem(problem: &Problem, source: Source<'_>, colour: bool) -> String {
    let renderer = if colour { Renderer::styled() } else { Renderer::plain() };
    let level = match problem.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
    };
    let mut group =
        Group::with_title(level.primary_title(problem.message.as_str()).id(problem.code.word()));
    for (n, excerpt) in excerpts(problem, source).into_iter().enumerate() {
        let mut snippet = Snippet::source(excerpt.text)
            .path(excerpt.file)
            .line_start(excerpt.first_line as usize)
            .fold(true);
        for (k, (label, range)) in excerpt.labels.into_iter().enumerate() {
            let kind =
                if n == 0 && k == 0 { AnnotationKind::Primary } else { AnnotationKind::Context };
            snippet = snippet.annotation(kind.span(range).label(label.text.as_str()));
        }
        group = group.element(snippet);
    }
    if problem.labels.is_empty() {
        group = group.element(Origin::path(source.file).line(1).char_column(1));
    }
    if let Some(help) = &problem.help {
        group = group.element(Level::HELP.message(help.as_str()));
    }
    if let Some(fix) = &problem.fix {
        group = group.element(Level::NOTE.with_name("fix").message(fix.as_str()));
    }
    renderer.render(&[group])
}

/// A part of a file with the labels in it.
struct Excerpt<'p> {
    file: &'p str,
    text: &'p str,
    first_line: u32,
    last_line: u32,
    labels: Vec<(&'p Label, std::ops::Range<usize>)>,
}

/// Labels that stand near each other share an excerpt; a large file is not gone through for each of them.
fn excerpts<'p>(problem: &'p Problem, source: Source<'p>) -> Vec<Excerpt<'p>> {
    let mut out: Vec<Excerpt<'p>> = Vec::new();
    for label in &problem.labels {
        let (file, text, span) = match &label.at {
            Anchor::Span(span) => (source.file, source.text, *span),
            Anchor::Elsewhere { file, text, span } => (file.as_str(), text.as_str(), *span),
            // A place that was not found is not shown.
            Anchor::Value(_) | Anchor::Key(_) => continue,
        };
        let span = span.within(text);
        let near = out.iter_mut().find(|e| {
            e.file == file
                && e.first_line.saturating_sub(NEAR) <= span.line
                && span.line <= e.last_line.saturating_add(NEAR)
        });
        match near {
            Some(excerpt) => {
                excerpt.first_line = excerpt.first_line.min(span.line);
                excerpt.last_line = excerpt.last_line.max(span.line);
                excerpt.labels.push((label, span.bytes_in(text)));
            }
            None => out.push(Excerpt {
                file,
                text,
                first_line: span.line,
                last_line: span.line,
                labels: vec![(label, span.bytes_in(text))],
            }),
        }
    }
    for excerpt in &mut out {
        cut(excerpt);
    }
    out
}

/// Leaves of the text only the lines from the first label to the last, and one on each side.
fn cut(excerpt: &mut Excerpt<'_>) {
    let text = excerpt.text;
    let low = excerpt.labels.iter().map(|(_, r)| r.start).min().unwrap_or(0);
    let high = excerpt.labels.iter().map(|(_, r)| r.end).max().unwrap_or(0);
    let line_start = |at: usize| {
        text.get(..at).and_then(|before| before.rfind('\n')).map_or(0, |newline| newline + 1)
    };
    let mut from = line_start(low);
    if from > 0 {
        from = line_start(from - 1);
        excerpt.first_line = excerpt.first_line.saturating_sub(1).max(1);
    }
    let rest = text.get(high..).unwrap_or("");
    let to = rest.match_indices('\n').nth(1).map_or(text.len(), |(at, _)| high + at);
    excerpt.text = text.get(from..to).unwrap_or(text);
    for (_, range) in &mut excerpt.labels {
        let inside = |at: usize| at.saturating_sub(from).min(excerpt.text.len());
        *range = inside(range.start)..inside(range.end);
    }
}

/// A span as words: `file:line:column`.
pub fn place(file: &str, span: Option<Span>) -> String {
    span.map_or_else(|| file.to_owned(), |s| format!("{file}:{}:{}", s.line, s.column))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::diagnostic::Code;

    #[test]
    fn a_problem_shows_its_line_and_a_mark_below_it() {
        let text = "tasks:\n  - idd: a\n";
        let span = Span { line: 2, column: 5, offset: 11, len: 3 };
        let shown = Problem::error(Code::UnknownKey, "unknown key `idd`")
            .at(Label::here(span, "not a key of this place"))
            .help("did you mean `id`?");
        let shown = problem(&shown, Source { file: "tasks.yaml", text }, false);
        assert!(shown.contains("error[unknown_key]: unknown key `idd`"), "{shown}");
        assert!(shown.contains("--> tasks.yaml:2:5"), "{shown}");
        assert!(shown.contains("^^^ not a key of this place"), "{shown}");
        assert!(shown.contains("help: did you mean `id`?"), "{shown}");
    }

    #[test]
    fn a_span_outside_the_text_is_moved_into_it() {
        let span = Span { line: 9, column: 9, offset: 900, len: 5 };
        let shown = Problem::error(Code::YamlSyntax, "x").at(Label::here(span, "y"));
        let shown = problem(&shown, Source { file: "f", text: "é" }, false);
        assert!(shown.contains("error[yaml_syntax]"));
    }

    #[test]
    fn labels_far_apart_are_shown_in_two_excerpts_with_their_own_lines() {
        let text: String = (1..=500).map(|n| format!("line {n}\n")).collect();
        let at = |line: u32| {
            let offset = text.find(&format!("line {line}\n")).unwrap();
            Span { line, column: 1, offset, len: 4 }
        };
        let shown = Problem::error(Code::Cycle, "c")
            .at(Label::here(at(490), "second"))
            .at(Label::here(at(7), "first"));
        let shown = problem(&shown, Source { file: "f", text: &text }, false);
        assert!(shown.contains("--> f:490:1") && shown.contains("::: f:7:1"), "{shown}");
        assert!(shown.contains("490 | line 490") && !shown.contains("line 300"), "{shown}");
    }
}
