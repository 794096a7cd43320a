//! YAML text into typed values, and everything that is wrong with its shape. The only room that knows YAML.

pub mod edit;
pub mod locate;
mod rest;
pub mod shape;
pub mod tree;

use jiff::SignedDuration;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::{DeserializeOwned, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::diagnostic::{Code, Label, Problem, Span};
pub use rest::words_of;
use tree::{MAX_VALUES, Refusal, Tree};

/// The largest plan or configuration that is read, in bytes.
pub const MAX_INPUT: usize = 64 * 1024 * 1024;

/// The id of a task as it was written: text, and nothing that YAML reads as a number or a truth value.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Id(String);

impl Id {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl<'de> Deserialize<'de> for Id {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl Visitor<'_> for Text {
            type Value = Id;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an id, which is text")
            }
            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Id, E> {
                Ok(Id(text.to_owned()))
            }
            fn visit_string<E: serde::de::Error>(self, text: String) -> Result<Id, E> {
                Ok(Id(text))
            }
        }
        deserializer.deserialize_any(Text)
    }
}

impl JsonSchema for Id {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Id".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        schemars::json_schema!({
            "type": "string", "format": shape::ID, "pattern": "^[a-z0-9][a-z0-9-]{0,62}$"
        })
    }
}

/// A length of time, written `30m`, `1h 30m`, `90s`, or a whole number of seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Length {
    /// In milliseconds, at least 1.
    pub millis: u64,
}

impl<'de> Deserialize<'de> for Length {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl Visitor<'_> for Text {
            type Value = Length;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a length of time")
            }
            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Length, E> {
                parse_length(text).map_err(E::custom)
            }
            fn visit_u64<E: serde::de::Error>(self, seconds: u64) -> Result<Length, E> {
                parse_length(&seconds.to_string()).map_err(E::custom)
            }
            fn visit_i64<E: serde::de::Error>(self, seconds: i64) -> Result<Length, E> {
                parse_length(&seconds.to_string()).map_err(E::custom)
            }
        }
        deserializer.deserialize_any(Text)
    }
}

impl JsonSchema for Length {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Length".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        schemars::json_schema!({
            "type": ["string", "integer"],
            "format": shape::LENGTH,
            "description": "a length of time: 30m, 1h 30m, 90s, or whole seconds",
            "examples": ["30m", "1h 30m", "90s"]
        })
    }
}

/// Reads `30m`, `1h 30m` or whole seconds.
pub fn parse_length(text: &str) -> Result<Length, String> {
    let seconds = text.trim().parse::<i64>().ok().map(SignedDuration::from_secs);
    let length = match seconds {
        Some(length) => length,
        None => text
            .trim()
            .parse::<SignedDuration>()
            .map_err(|_| format!("`{text}` is not a length of time; write 90s, 30m or 1h 30m"))?,
    };
    match u64::try_from(length.as_millis()) {
        Ok(millis) if millis > 0 && millis <= 400 * 86_400_000 => Ok(Length { millis }),
        Ok(_) | Err(_) => Err(format!("`{text}` is not between 1ms and 400 days")),
    }
}

/// What could not be read as it should, and why.
#[derive(Debug)]
pub struct Unreadable<T> {
    /// Everything that is wrong with its shape; at least one, each with its place.
    pub problems: Vec<Problem>,
    /// The rest, without what is wrong, for checks that find more; `None` where too little is left.
    pub rest: Option<Box<T>>,
}

/// Reads `bytes` as a `T`, or says everything that is wrong with them. Text that begins with `{` may be JSON.
pub fn read<T: DeserializeOwned + JsonSchema>(
    bytes: &[u8],
    what: &str,
) -> Result<T, Unreadable<T>> {
    let only = |problem: Box<Problem>| Unreadable { problems: vec![*problem], rest: None };
    let text = text_of(bytes, what).map_err(only)?;
    let blank = |line: &str| line.trim().is_empty() || line.trim_start().starts_with('#');
    if text.lines().all(blank) {
        return Err(only(Box::new(
            Problem::error(Code::YamlSyntax, format!("the {} is empty", word_of(what)))
                .at(Label::here(Span::START, "nothing here"))
                .help(format!("`slimductor schema {what}` prints what belongs into it")),
        )));
    }
    // JSON that its own, faster reader takes is YAML of the same meaning; what it refuses is read as YAML.
    if text.trim_start().starts_with('{')
        && let Ok(value) = serde_json::from_str(text)
        && !repeats(text)
    {
        return Ok(value);
    }
    typed::<T>(text).map_err(|error| {
        if matches!(error.without_snippet(), serde_yaml::Error::Budget { .. }) {
            return only(Box::new(problem_of(&error, text)));
        }
        let tree = match Tree::read(text, MAX_VALUES / 4) {
            Ok(tree) => tree,
            Err(Refusal::Wrong(problem)) => return only(problem),
            // A plan of ten thousand tasks has half a million; beyond, the first thing that is wrong has to do.
            Err(Refusal::Large) => return only(Box::new(problem_of(&error, text))),
        };
        let schema = schemars::schema_for!(T).to_value();
        let shape::Misfit { mut problems, lost } = shape::misfit(&tree, &schema);
        // What was probably meant may not fit there either; then without it.
        let rest = rest::rest(&tree, &problems, &lost, true)
            .or_else(|| rest::rest(&tree, &problems, &lost, false))
            .map(Box::new);
        if problems.is_empty() {
            // An alias bomb, say: no shape is wrong, and it cannot be read all the same.
            problems.push(problem_of(&error, text));
            return Unreadable { problems, rest: None };
        }
        Unreadable { problems, rest }
    })
}

/// Whether an environment in JSON may name a variable twice, which only the YAML reader refuses.
fn repeats(text: &str) -> bool {
    // Maps with keys of the user's own are few; fields of our own types are refused by both readers.
    ["\"env\"", "\"intent\""].iter().any(|key| text.contains(key))
}

/// Reads a single value, as a person writes it into an environment variable.
pub fn value_of(text: &str) -> Value {
    typed(text).unwrap_or_else(|_| Value::String(text.to_owned()))
}

/// The number that a plain text means.
fn number_of(text: &str) -> Option<f64> {
    let digits = text.replace('_', "");
    let unsigned = digits.strip_prefix(['+', '-']).unwrap_or(&digits);
    let radix = |prefix, radix| {
        let rest = unsigned.strip_prefix(prefix)?;
        u64::from_str_radix(rest, radix).ok().map(|n| n as f64)
    };
    if let Some(whole) = radix("0x", 16).or_else(|| radix("0o", 8)).or_else(|| radix("0b", 2)) {
        return Some(if digits.starts_with('-') { -whole } else { whole });
    }
    match unsigned.to_ascii_lowercase().as_str() {
        ".inf" => Some(f64::INFINITY),
        ".nan" => Some(f64::NAN),
        // Rust's own words for these are text in YAML.
        other if other.starts_with(['i', 'n']) => None,
        _ => digits.parse().ok(),
    }
}

/// `bytes` as text, without a byte order mark; refuses what is too large or not UTF-8.
pub fn text_of<'a>(bytes: &'a [u8], what: &str) -> Result<&'a str, Box<Problem>> {
    if bytes.len() > MAX_INPUT {
        let size = bytes.len() / (1024 * 1024);
        return Err(Box::new(
            Problem::error(
                Code::YamlSyntax,
                format!("the {} has {size} MiB or more, and 64 MiB is the most", word_of(what)),
            )
            .help("split it into several plans"),
        ));
    }
    let text = std::str::from_utf8(bytes).map_err(|e| {
        let good = bytes.get(..e.valid_up_to()).unwrap_or_default();
        let good = String::from_utf8_lossy(good);
        let line = good.matches('\n').count() + 1;
        let column = good.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        let span = Span { line: line as u32, column: column as u32, offset: good.len(), len: 0 };
        Box::new(
            Problem::error(Code::YamlSyntax, format!("the {} is not UTF-8", word_of(what)))
                .at(Label::here(span, "this byte begins no character"))
                .help("save the file as UTF-8"),
        )
    })?;
    Ok(text.strip_prefix('\u{feff}').unwrap_or(text))
}

/// What a schema's name stands for, in a sentence.
fn word_of(what: &str) -> &str {
    match what {
        "tasks" => "plan",
        "config" => "configuration",
        other => other,
    }
}

/// The typed read itself.
fn typed<T: DeserializeOwned>(text: &str) -> Result<T, serde_yaml::Error> {
    serde_yaml::from_str_with_options(text, options())
}

fn options() -> serde_yaml::Options {
    let mut budget = serde_yaml::Budget::default();
    // 10,000 tasks have 475,000 nodes; the default of 250,000 refuses them.
    budget.max_nodes = MAX_VALUES;
    budget.max_events = 20_000_000;
    budget.max_total_scalar_bytes = MAX_INPUT;
    budget.max_aliases = 10_000;
    budget.max_depth = tree::MAX_DEPTH;
    budget.flow_nesting_limit = tree::MAX_DEPTH;
    let mut options = serde_yaml::Options::default();
    options.budget = Some(budget);
    options.strict_booleans = true;
    options.with_snippet = false;
    options
}

/// The typed read's own word on what is wrong.
fn problem_of(error: &serde_yaml::Error, text: &str) -> Problem {
    use serde_yaml::Error;
    let error = error.without_snippet();
    let span = error.location().map_or(Span::START, |location| {
        let span = location.span();
        Span {
            line: location.line() as u32,
            column: location.column() as u32,
            offset: span.byte_offset().unwrap_or(0) as usize,
            len: span.byte_len().unwrap_or(0) as usize,
        }
    });
    if matches!(error, Error::Budget { .. }) {
        return tree::too_many(span.within(text), MAX_VALUES);
    }
    let mut message = error.to_string();
    // The place is shown by the excerpt; the crate repeats it in words.
    if let Some(cut) = message.rfind(" at line ") {
        message.truncate(cut);
    }
    let first = message.lines().next().unwrap_or("not YAML").to_owned();
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "foreign enum; the rest is syntax or a limit"
    )]
    let code = match error {
        Error::Unexpected { .. }
        | Error::NullIntoString { .. }
        | Error::SerdeInvalidType { .. }
        | Error::SerdeInvalidValue { .. }
        | Error::Message { .. } => Code::WrongType,
        Error::SerdeMissingField { .. } => Code::MissingField,
        _ => Code::YamlSyntax,
    };
    Problem::error(code, first).at(Label::here(span.within(text), "here"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_is_a_number_of_seconds_or_units() {
        for (text, millis) in
            [("90", 90_000), ("30m", 1_800_000), ("1h 30m", 5_400_000), ("250ms", 250)]
        {
            assert_eq!(parse_length(text).unwrap().millis, millis, "{text}");
        }
        for bad in ["", "soon", "-5m", "0", "9999999999h"] {
            assert!(parse_length(bad).is_err(), "{bad}");
        }
    }
}
