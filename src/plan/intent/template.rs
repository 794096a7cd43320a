//! Fills the templates of an adapter. It does not know what the values mean.

/// One part of a template line.
enum Part<'a> {
    Text(&'a str),
    Name(&'a str),
}

/// Cuts a line at its names.
///
/// # Errors
///
/// A brace that is neither doubled nor part of a name.
fn parts(line: &str) -> Result<Vec<Part<'_>>, String> {
    let mut out = Vec::new();
    let mut rest = line;
    while let Some(at) = rest.find(['{', '}']) {
        let (before, from) = rest.split_at(at);
        out.push(Part::Text(before));
        if let Some(tail) = from.strip_prefix("{{") {
            out.push(Part::Text("{"));
            rest = tail;
        } else if let Some(tail) = from.strip_prefix("}}") {
            out.push(Part::Text("}"));
            rest = tail;
        } else {
            let inner = from.strip_prefix('{').and_then(|tail| tail.split_once('}'));
            let Some((name, tail)) = inner else {
                return Err("a brace stands alone; `{{` and `}}` are braces".into());
            };
            if name.is_empty() || !name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_') {
                return Err(format!("`{{{name}}}` is no name"));
            }
            out.push(Part::Name(name));
            rest = tail;
        }
    }
    out.push(Part::Text(rest));
    Ok(out)
}

/// The names in a line.
///
/// # Errors
///
/// What is wrong with its braces.
pub(super) fn names(line: &str) -> Result<Vec<String>, String> {
    let named = |part: &Part<'_>| match part {
        Part::Name(name) => Some((*name).to_owned()),
        Part::Text(_) => None,
    };
    Ok(parts(line)?.iter().filter_map(named).collect())
}

/// Fills a line; `None` when one of its names has no value, or when nothing is left of it.
///
/// # Errors
///
/// What is wrong with its braces.
pub(super) fn fill(
    line: &str,
    value: impl Fn(&str) -> Option<String>,
) -> Result<Option<String>, String> {
    let mut out = String::new();
    for part in parts(line)? {
        match part {
            Part::Text(text) => out.push_str(text),
            Part::Name(name) => match value(name) {
                Some(text) => out.push_str(&text),
                None => return Ok(None),
            },
        }
    }
    out.truncate(out.trim_end().len());
    Ok((!out.is_empty()).then_some(out))
}
