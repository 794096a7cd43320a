//! Writes texts, numbers, flags and lists as literals of a language. It does not know what they
//! are for; characters that end lines were refused before.

use super::Value;
use super::text::Language;
use super::value::quote;

/// A value as a literal.
///
/// # Errors
///
/// Why the language has no safe literal for it.
pub(super) fn write(value: &Value, language: Language) -> Result<String, String> {
    match value {
        Value::Flag(true) if language == Language::Python => Ok("True".into()),
        Value::Flag(false) if language == Language::Python => Ok("False".into()),
        Value::Flag(flag) => Ok(flag.to_string()),
        Value::Number(found) => Ok(number(*found)),
        Value::Text(found) => text(found, language),
        Value::List(items) => {
            let all: Vec<String> =
                items.iter().map(|item| text(item, language)).collect::<Result<_, _>>()?;
            Ok(list(&all, language))
        }
    }
}

/// A number as every language writes it: whole numbers without a point.
pub(super) fn number(found: f64) -> String {
    // Display never uses an exponent, and writes whole numbers without a fraction.
    format!("{found}")
}

/// Literals as a list.
pub(super) fn list(items: &[String], language: Language) -> String {
    match language {
        Language::Python | Language::Javascript | Language::Toml | Language::Yaml => {
            format!("[{}]", items.join(", "))
        }
        Language::Java => format!("{{{}}}", items.join(", ")),
        Language::Properties | Language::Env | Language::Plain => items.join(","),
    }
}

/// A text as a literal.
///
/// # Errors
///
/// Why it cannot be written.
pub(super) fn text(found: &str, language: Language) -> Result<String, String> {
    match language {
        Language::Python | Language::Javascript | Language::Java => Ok(quoted(found)),
        Language::Toml | Language::Yaml => Ok(quoted(found)),
        Language::Properties => Ok(property(found)),
        Language::Env => env(found),
        Language::Plain => Ok(found.to_owned()),
    }
}

/// In double quotes. `\\`, `\"` and `\t` mean the same in all of these languages.
fn quoted(found: &str) -> String {
    let mut out = String::from("\"");
    for c in found.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\t' => out.push_str("\\t"),
            other => out.push(other),
        }
    }
    out.push('"');
    out
}

/// The value of a Java property, in the letters of ISO 8859-1 that every reader agrees on.
fn property(found: &str) -> String {
    let mut out = String::new();
    let last = found.chars().count().saturating_sub(1);
    for (nth, c) in found.chars().enumerate() {
        match c {
            // Blanks at the end are easily lost on the way.
            ' ' if nth == last => out.push_str("\\u0020"),
            '\\' => out.push_str("\\\\"),
            '\t' => out.push_str("\\t"),
            ' ' if nth == 0 => out.push_str("\\ "),
            c if c.is_ascii() => out.push(c),
            c => {
                let mut units = [0; 2];
                for unit in c.encode_utf16(&mut units) {
                    out.push_str(&format!("\\u{unit:04X}"));
                }
            }
        }
    }
    out
}

/// The value of a shell-like variable: bare, or in quotes in which nothing has a meaning.
fn env(found: &str) -> Result<String, String> {
    let bare = |c: char| c.is_ascii_alphanumeric() || "_./:@%+,=-?&~".contains(c);
    if found.chars().all(bare) && !found.starts_with('~') && !found.contains('&') {
        return Ok(found.to_owned());
    }
    if !found.contains('\'') && !found.ends_with('\\') {
        return Ok(format!("'{found}'"));
    }
    if found.contains(['$', '`', '\\', '"']) {
        return Err(format!("`{}` cannot be quoted in the same way everywhere", quote(found)));
    }
    Ok(format!("\"{found}\""))
}
