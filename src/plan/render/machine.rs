//! Problems for other programs: SARIF 2.1.0, and the commands of GitHub's runners. Knows both formats, no plans.

use serde_json::{Value, json};

use crate::plan::diagnostic::{Anchor, Code, Problem, Severity, Span};

/// The problems as a SARIF 2.1.0 log about `file`, a path relative to the repository's root.
pub fn sarif(problems: &[Problem], file: &str) -> Value {
    let mut used: Vec<Code> = problems.iter().map(|p| p.code).collect();
    used.sort_unstable();
    used.dedup();
    let rules: Vec<Value> = used
        .iter()
        .map(|code| {
            json!({
                "id": code.word(),
                "shortDescription": {"text": code.title()},
                "help": {"text": code.explanation(), "markdown": code.explanation()},
            })
        })
        .collect();
    let results: Vec<Value> = problems
        .iter()
        .map(|p| {
            let places: Vec<Value> =
                p.labels.iter().filter_map(|l| place(file, &l.at, &l.text)).collect();
            let mut text = p.message.clone();
            for more in [&p.help, &p.fix].into_iter().flatten() {
                text.push_str(". ");
                text.push_str(more);
            }
            let mut result = json!({
                "ruleId": p.code.word(),
                "ruleIndex": used.binary_search(&p.code).unwrap_or(0),
                "level": level(p.severity),
                "message": {"text": text},
                "locations": [places.first().cloned().unwrap_or_else(|| whole(file))],
            });
            if let (Some(out), Some(others)) = (result.as_object_mut(), places.get(1..))
                && !others.is_empty()
            {
                let numbered = others.iter().zip(0..).map(|(place, n)| {
                    let mut place = place.clone();
                    if let Some(place) = place.as_object_mut() {
                        place.insert("id".to_owned(), json!(n));
                    }
                    place
                });
                out.insert("relatedLocations".to_owned(), numbered.collect());
            }
            result
        })
        .collect();
    json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": {"driver": {
                "name": "slimductor",
                "semanticVersion": env!("CARGO_PKG_VERSION"),
                "rules": rules,
            }},
            "columnKind": "unicodeCodePoints",
            "results": results,
        }],
    })
}

fn level(severity: Severity) -> &'static str {
    match severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
    }
}

fn whole(file: &str) -> Value {
    json!({"physicalLocation": {"artifactLocation": {"uri": uri(file)}, "region": {"startLine": 1}}})
}

fn place(file: &str, at: &Anchor, text: &str) -> Option<Value> {
    let (file, span) = match at {
        Anchor::Span(span) => (file, *span),
        Anchor::Elsewhere { file, span, .. } => (file.as_str(), *span),
        Anchor::Value(_) | Anchor::Key(_) => return None,
    };
    let mut place = json!({"physicalLocation": {
        "artifactLocation": {"uri": uri(file)},
        "region": {"startLine": span.line.max(1), "startColumn": span.column.max(1)},
    }});
    if let Some(place) = place.as_object_mut().filter(|_| !text.is_empty()) {
        place.insert("message".to_owned(), json!({"text": text}));
    }
    Some(place)
}

/// A path as a relative URI reference: everything but what may stand in one as it is becomes `%XX`.
fn uri(path: &str) -> String {
    let mut out = String::new();
    for byte in path.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

/// The problems as commands that GitHub's runners show beside the lines of a pull request.
pub fn github(problems: &[Problem], file: &str) -> String {
    let mut out = String::new();
    for problem in problems {
        let span = problem.span().unwrap_or(Span::START);
        let mut text = problem.message.clone();
        for more in [&problem.help, &problem.fix].into_iter().flatten() {
            text.push('\n');
            text.push_str(more);
        }
        out.push_str(&format!(
            "::{} file={},line={},col={},title={}::{}\n",
            level(problem.severity),
            property(file),
            span.line.max(1),
            span.column.max(1),
            property(&format!("slimductor {}", problem.code.word())),
            data(&text)
        ));
    }
    out
}

fn data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::diagnostic::Label;

    #[test]
    fn a_line_for_github_cannot_be_broken_by_what_it_tells() {
        let span = Span { line: 3, column: 4, offset: 0, len: 0 };
        let problem = Problem::error(Code::Cycle, "100%\n::error::x").at(Label::here(span, ""));
        let line = github(&[problem], "a:b,c.yaml");
        assert_eq!(
            line,
            "::error file=a%3Ab%2Cc.yaml,line=3,col=4,title=slimductor cycle::100%25%0A::error::x\n"
        );
    }

    #[test]
    fn a_path_in_sarif_is_a_relative_reference() {
        assert_eq!(uri("plans/a b#1.yaml"), "plans/a%20b%231.yaml");
    }
}
