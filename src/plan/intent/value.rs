//! Checks the values of an intent and writes them in a language: nothing that is written here can
//! end its literal, its line or its comment. It does not know where they are written.

use std::collections::BTreeMap;

use super::adapter::{Field, Kind, Options, compile};
use super::text::Language;
use super::{Value, literal, name};

/// The longest text that a value may have, in bytes.
const LONGEST: usize = 4096;

/// A field as it is to be written; `None` when it is not given.
///
/// # Errors
///
/// Why it is not acceptable.
pub(super) fn field(
    called: &str,
    field: &Field,
    values: &BTreeMap<String, Value>,
    language: Language,
) -> Result<Option<String>, String> {
    let given = given(called, field, values);
    let owned;
    let value = match (given, &field.default) {
        (Some(value), _) => value,
        (None, Some(text)) => {
            owned = Value::Text(text.clone());
            &owned
        }
        (None, None) if field.kind == Kind::Alias => {
            owned = Value::Flag(true);
            &owned
        }
        (None, None) if field.optional => return Ok(absent(field)),
        (None, None) => return Err("it is missing".into()),
    };
    check(value)?;
    if let (Value::Text(text), Some(none)) = (value, &field.none)
        && text == none
    {
        return Ok(absent(field));
    }
    if let Some(pattern) = &field.pattern {
        let found = compile(pattern)?;
        if !texts(value)?.iter().all(|text| found.is_match(text)) {
            return Err(format!("{} is not of the form {pattern}", show(value)));
        }
    }
    if field.kind == Kind::Alias {
        return alias(field, values, language).map(Some);
    }
    let written = match field.kind {
        Kind::Flag => match value {
            Value::Flag(false) => return Ok(absent(field)),
            Value::Flag(true) => String::new(),
            Value::Number(_) | Value::Text(_) | Value::List(_) => {
                return Err(format!("{} is not true or false", show(value)));
            }
        },
        Kind::Literal => literal::write(value, language)?,
        Kind::List | Kind::Arguments | Kind::Identifiers => {
            let items = texts(value)?;
            if items.is_empty() {
                return Ok(absent(field));
            }
            let each = |item: &String| {
                let one = if field.kind == Kind::Identifiers {
                    name::identifier(item, language)?.to_owned()
                } else {
                    literal::text(item, language)?
                };
                Ok(field.each.as_ref().map_or_else(|| one.clone(), |e| e.replace("{}", &one)))
            };
            let all: Vec<String> = items.iter().map(each).collect::<Result<_, String>>()?;
            if field.kind == Kind::List { literal::list(&all, language) } else { all.join(", ") }
        }
        Kind::Dotted
        | Kind::Module
        | Kind::Identifier
        | Kind::Type
        | Kind::UrlPath
        | Kind::Key
        | Kind::Line
        | Kind::Remark
        | Kind::Alias => one(field.kind, &text(value)?, language)?,
    };
    Ok(Some(match &field.wrap {
        Some(wrap) => wrap.replace("{}", &written),
        None => written,
    }))
}

/// A single text of some kind.
fn one(kind: Kind, text: &str, language: Language) -> Result<String, String> {
    match kind {
        Kind::Dotted => name::dotted(text, language).map(str::to_owned),
        Kind::Module => literal::text(name::module(text)?, language),
        Kind::Identifier => name::identifier(text, language).map(str::to_owned),
        Kind::Type => name::typed(text, language).map(str::to_owned),
        Kind::UrlPath => literal::text(name::url_path(text)?, language),
        Kind::Key => name::key(text, language).map(str::to_owned),
        Kind::Line => line(text),
        Kind::Remark => remark(text),
        Kind::Identifiers
        | Kind::Literal
        | Kind::List
        | Kind::Arguments
        | Kind::Flag
        | Kind::Alias => Err("it is not a single text".into()),
    }
}

/// What a plan gives for a field.
pub(super) fn given<'v>(
    called: &str,
    field: &Field,
    values: &'v BTreeMap<String, Value>,
) -> Option<&'v Value> {
    if field.of.is_empty() {
        return values.get(called);
    }
    if field.kind == Kind::Alias {
        return None;
    }
    field.of.iter().find_map(|name| values.get(name))
}

/// What stands for a field that is not given: nothing, or no line at all.
fn absent(field: &Field) -> Option<String> {
    field.wrap.as_ref().map(|_| String::new())
}

/// The options of a call: whatever the plan gives that is no field.
///
/// # Errors
///
/// The name of the option that is not acceptable, and why.
pub(super) fn options(
    spec: &Options,
    rest: &BTreeMap<&str, &Value>,
    language: Language,
) -> Result<String, (String, String)> {
    let mut all: BTreeMap<String, Value> = BTreeMap::new();
    for (&called, &value) in rest {
        let pairs = match value {
            Value::List(items) if ["options", "kwargs"].contains(&called) => {
                let split = |item: &String| {
                    let (key, text) =
                        item.split_once('=').ok_or_else(|| "each must be name=value".to_owned())?;
                    Ok((key.trim().to_owned(), scalar(text.trim())))
                };
                let pairs = items.iter().map(split).collect::<Result<Vec<_>, String>>();
                pairs.map_err(|why| (called.to_owned(), why))?
            }
            Value::Flag(_) | Value::Number(_) | Value::Text(_) | Value::List(_) => {
                vec![(called.to_owned(), value.clone())]
            }
        };
        for (key, value) in pairs {
            if all.insert(key.clone(), value).is_some() {
                return Err((called.to_owned(), format!("`{}` is given twice", quote(&key))));
            }
        }
    }
    let mut written = Vec::new();
    for (key, value) in &all {
        let fail = |why| (key.clone(), why);
        let called = name::identifier(key, language).map_err(fail)?;
        check(value).map_err(fail)?;
        let value = literal::write(value, language).map_err(fail)?;
        written.push(spec.item.replace("{name}", called).replacen("{value}", &value, 1));
    }
    let all = written.join(&spec.join);
    Ok(match &spec.wrap {
        Some(_) if all.is_empty() => String::new(),
        Some(wrap) => wrap.replace("{}", &all),
        None => all,
    })
}

/// A value as YAML would read it.
fn scalar(text: &str) -> Value {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let numeric = digits.starts_with(|c: char| c.is_ascii_digit())
        && digits.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    match (text, text.parse::<f64>()) {
        ("true", _) => Value::Flag(true),
        ("false", _) => Value::Flag(false),
        (_, Ok(number)) if numeric => Value::Number(number),
        (_, _) => Value::Text(text.to_owned()),
    }
}

/// The identity of an entry, safe inside a comment of any language.
pub(super) fn identity(
    fields: &[String],
    spec: &BTreeMap<String, Field>,
    values: &BTreeMap<String, Value>,
) -> String {
    let of = |called: &String| {
        let field = spec.get(called)?;
        let raw = match given(called, field, values) {
            Some(value) => texts(value).ok()?.join(","),
            None => field.default.clone()?,
        };
        Some(escape(&raw))
    };
    fields.iter().filter_map(of).filter(|raw| !raw.is_empty()).collect::<Vec<_>>().join(" ")
}

fn escape(raw: &str) -> String {
    let mut out = String::new();
    for byte in raw.bytes() {
        if byte.is_ascii_alphanumeric() || b"_./@:{}$#,~+-".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    // Two hyphens end or upset a comment of HTML.
    out.replace("--", "-%2D")
}

/// Refuses what has no place in any source file.
fn check(value: &Value) -> Result<(), String> {
    match value {
        Value::Flag(_) => Ok(()),
        Value::Number(number) if number.is_finite() => Ok(()),
        Value::Number(_) => Err("it is not a finite number".into()),
        Value::Text(text) => check_text(text),
        Value::List(items) => items.iter().try_for_each(|item| check_text(item)),
    }
}

fn check_text(text: &str) -> Result<(), String> {
    if text.len() > LONGEST {
        return Err(format!("it is longer than {LONGEST} bytes"));
    }
    match text.chars().find(|c| is_hidden(*c)) {
        Some(found) => Err(format!("it contains U+{:04X}", u32::from(found))),
        None => Ok(()),
    }
}

/// Characters that end a line somewhere, or make a text look other than it is.
fn is_hidden(c: char) -> bool {
    (c.is_control() && c != '\t')
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}')
        || matches!(c, '\u{2066}'..='\u{2069}' | '\u{feff}')
}

fn line(text: &str) -> Result<String, String> {
    let text = text.trim_end();
    if text.is_empty() {
        return Err("the line is empty".into());
    }
    if text.ends_with('\\') {
        return Err("it ends in a backslash, which would join it with the next line".into());
    }
    Ok(text.to_owned())
}

fn remark(text: &str) -> Result<String, String> {
    let text = text.trim();
    // Java reads \u000a as the end of a line, in comments too.
    if text.contains('\\') || text.contains("*/") || text.contains("--") {
        return Err(format!("`{}` cannot stand in a comment", quote(text)));
    }
    Ok(text.to_owned())
}

/// A text or what is written like one.
fn text(value: &Value) -> Result<String, String> {
    match value {
        Value::Text(text) => Ok(text.clone()),
        Value::Number(number) => Ok(literal::number(*number)),
        Value::Flag(flag) => Ok(flag.to_string()),
        Value::List(_) => Err("it is a list".into()),
    }
}

/// A list of texts; a single one is a list of one.
pub(super) fn texts(value: &Value) -> Result<Vec<String>, String> {
    match value {
        Value::List(items) => Ok(items.clone()),
        Value::Text(_) | Value::Number(_) | Value::Flag(_) => Ok(vec![text(value)?]),
    }
}

/// A name that no other texts lead to: `src.routes.auth` becomes `src_routes_auth_router`.
fn alias(
    field: &Field,
    values: &BTreeMap<String, Value>,
    language: Language,
) -> Result<String, String> {
    let found: Vec<String> =
        field.of.iter().filter_map(|name| values.get(name)).filter_map(|v| text(v).ok()).collect();
    let whole = found.join(".");
    if whole.is_empty() {
        return Err("there is nothing to name it after".into());
    }
    check_text(&whole)?;
    let plain = whole.strip_prefix("./").unwrap_or(&whole);
    let camel = matches!(language, Language::Javascript | Language::Java);
    // What stands in a word for an underscore must not look like the end of the word.
    let (odd, even) = if camel { ("-", "_") } else { ("_", "__") };
    let mut made = String::new();
    for word in plain.split(['.', '/']) {
        let fits = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let word: String = word.replace(odd, even).chars().filter(|c| fits(*c)).collect();
        if camel && !made.is_empty() {
            made.push_str(&word.get(..1).unwrap_or_default().to_ascii_uppercase());
            made.push_str(word.get(1..).unwrap_or_default());
        } else {
            if !made.is_empty() {
                made.push('_');
            }
            made.push_str(&word);
        }
    }
    if made.is_empty() || made.starts_with(|c: char| c.is_ascii_digit()) {
        made.insert_str(0, if camel { "m" } else { "m_" });
    }
    // What is lost on the way is kept in a number, so that two modules do not share a name.
    let clear = |word: &str| {
        let inner = |c: char| {
            c.is_ascii_digit()
                || c.is_ascii_lowercase()
                || odd.contains(c)
                || (c.is_ascii_uppercase() && !camel)
        };
        let edge = word.starts_with(odd) || word.ends_with(odd) || word.contains("__");
        !word.is_empty() && !edge && word.chars().all(inner)
    };
    if !plain.split(['.', '/']).all(clear) {
        let sum = whole.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |sum, byte| {
            (sum ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        made.push_str(&format!("_{:06x}", sum & 0xff_ffff));
    }
    Ok(field.wrap.as_ref().map_or_else(|| made.clone(), |wrap| wrap.replace("{}", &made)))
}

fn show(value: &Value) -> String {
    match value {
        Value::Flag(flag) => flag.to_string(),
        Value::Number(number) => number.to_string(),
        Value::Text(text) => format!("`{}`", quote(text)),
        Value::List(items) => format!("`{}`", quote(&items.join(", "))),
    }
}

/// A hostile text for a message: one line, not long.
pub(super) fn quote(text: &str) -> String {
    let mut out: String = text.chars().take(60).flat_map(char::escape_debug).collect();
    if text.chars().nth(60).is_some() {
        out.push('…');
    }
    out
}
