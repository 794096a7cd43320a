//! YAML text into typed values with their places in the file. The only file that knows the YAML crate.

use std::ops::Deref;

use jiff::SignedDuration;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use serde_yaml::Spanned;

use super::diagnostic::{Code, Label, Problem, Span, closest};

/// The largest plan or configuration that is read, in bytes.
pub const MAX_INPUT: usize = 64 * 1024 * 1024;

/// A value and the place in the file where it stands.
#[derive(Debug, Clone, Deserialize)]
#[serde(transparent)]
pub struct At<T>(Spanned<T>);

impl<T> At<T> {
    /// The value alone.
    pub fn into_inner(self) -> T {
        self.0.value
    }

    /// Where it stands.
    pub fn span(&self) -> Span {
        span_of(&self.0.referenced)
    }
}

impl<T> Deref for At<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0.value
    }
}

impl<T: JsonSchema> JsonSchema for At<T> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        T::schema_name()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        T::json_schema(generator)
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
        let text = String::deserialize(deserializer)?;
        parse_length(&text).map_err(serde::de::Error::custom)
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

/// Reads `bytes` as a `T`, or says what is wrong and where.
pub fn read<T: DeserializeOwned>(bytes: &[u8], what: &str) -> Result<T, Box<Problem>> {
    let text = text_of(bytes, what)?;
    if text.trim().is_empty() {
        return Err(Box::new(
            Problem::error(Code::YamlSyntax, format!("the {what} is empty"))
                .at(Label::here(Span::START, "nothing here"))
                .help(format!("`slimductor schema {what}` prints what belongs into it")),
        ));
    }
    serde_yaml::from_str_with_options::<T>(text, options())
        .map_err(|e| Box::new(problem_of(&e, text)))
}

/// `bytes` as text, without a byte order mark; refuses what is too large or not UTF-8.
pub fn text_of<'a>(bytes: &'a [u8], what: &str) -> Result<&'a str, Box<Problem>> {
    if bytes.len() > MAX_INPUT {
        let size = bytes.len() / (1024 * 1024);
        return Err(Box::new(
            Problem::error(
                Code::YamlSyntax,
                format!("the {what} is {size} MiB; 64 MiB is the most"),
            )
            .at(Label::here(Span::START, ""))
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
            Problem::error(Code::YamlSyntax, format!("the {what} is not UTF-8"))
                .at(Label::here(span, "this byte begins no character"))
                .help("save the file as UTF-8"),
        )
    })?;
    Ok(text.strip_prefix('\u{feff}').unwrap_or(text))
}

fn options() -> serde_yaml::Options {
    let mut budget = serde_yaml::Budget::default();
    // 10,000 tasks have 475,000 nodes; the default of 250,000 refuses them.
    budget.max_nodes = 20_000_000;
    budget.max_events = 40_000_000;
    budget.max_total_scalar_bytes = MAX_INPUT;
    budget.max_aliases = 10_000;
    budget.max_depth = 64;
    budget.flow_nesting_limit = 64;
    let mut options = serde_yaml::Options::default();
    options.budget = Some(budget);
    options.strict_booleans = true;
    options.with_snippet = false;
    options
}

fn span_of(location: &serde_yaml::Location) -> Span {
    let span = location.span();
    Span {
        line: location.line() as u32,
        column: location.column() as u32,
        offset: span.byte_offset().unwrap_or(0) as usize,
        len: span.byte_len().unwrap_or(0) as usize,
    }
}

fn problem_of(error: &serde_yaml::Error, text: &str) -> Problem {
    use serde_yaml::Error;
    let error = error.without_snippet();
    let span = error.location().map_or(Span::START, |l| span_of(&l)).within(text);
    #[expect(clippy::wildcard_enum_match_arm, reason = "foreign enum; the rest is syntax or type")]
    match error {
        Error::SerdeUnknownField { field, expected, .. } => {
            let help = match closest(field, expected.iter().copied()) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("known here: {}", expected.join(", ")),
            };
            Problem::error(Code::UnknownKey, format!("unknown key `{field}`"))
                .at(Label::here(span, "not a key of this place"))
                .help(help)
        }
        Error::SerdeMissingField { field, .. } => {
            Problem::error(Code::MissingField, format!("`{field}` is missing"))
                .at(Label::here(span, "needed in what begins here"))
                .help(format!("add `{field}:`"))
        }
        Error::DuplicateMappingKey { key, .. } => {
            let key = key.as_deref().unwrap_or("?");
            Problem::error(Code::YamlSyntax, format!("the key `{key}` stands here twice"))
                .at(Label::here(span, "the second one"))
                .help("keep one of them")
        }
        Error::SerdeInvalidType { unexpected, expected, .. }
        | Error::SerdeInvalidValue { unexpected, expected, .. } => {
            Problem::error(Code::WrongType, format!("expected {expected}, found {unexpected}"))
                .at(Label::here(span, "this value"))
        }
        Error::Message { msg, .. } => {
            Problem::error(Code::WrongType, msg.clone()).at(Label::here(span, "this value"))
        }
        other => {
            let mut message = other.to_string();
            // The place is shown by the excerpt; the crate repeats it in words.
            if let Some(cut) = message.rfind(" at line ") {
                message.truncate(cut);
            }
            let first = message.lines().next().unwrap_or("not YAML").to_owned();
            let code = match other {
                Error::Unexpected { .. } | Error::NullIntoString { .. } => Code::WrongType,
                _ => Code::YamlSyntax,
            };
            Problem::error(code, first).at(Label::here(span, "here"))
        }
    }
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
