//! Checks names: identifiers, modules, types, keys and paths of URLs. It does not know what they
//! name.

use super::text::Language;
use super::value::quote;

const PYTHON: &[&str] = &[
    "False", "None", "True", "and", "as", "assert", "async", "await", "break", "class", "continue",
    "def", "del", "elif", "else", "except", "finally", "for", "from", "global", "if", "import",
    "in", "is", "lambda", "nonlocal", "not", "or", "pass", "raise", "return", "try", "while",
    "with", "yield",
];

const JAVASCRIPT: &[&str] = &[
    "arguments",
    "await",
    "break",
    "case",
    "catch",
    "class",
    "const",
    "continue",
    "debugger",
    "default",
    "delete",
    "do",
    "else",
    "enum",
    "eval",
    "export",
    "extends",
    "false",
    "finally",
    "for",
    "function",
    "if",
    "implements",
    "import",
    "in",
    "instanceof",
    "interface",
    "let",
    "new",
    "null",
    "package",
    "private",
    "protected",
    "public",
    "return",
    "static",
    "super",
    "switch",
    "this",
    "throw",
    "true",
    "try",
    "typeof",
    "undefined",
    "var",
    "void",
    "while",
    "with",
    "yield",
];

const JAVA: &[&str] = &[
    "_",
    "abstract",
    "assert",
    "boolean",
    "break",
    "byte",
    "case",
    "catch",
    "char",
    "class",
    "const",
    "continue",
    "default",
    "do",
    "double",
    "else",
    "enum",
    "extends",
    "false",
    "final",
    "finally",
    "float",
    "for",
    "goto",
    "if",
    "implements",
    "import",
    "instanceof",
    "int",
    "interface",
    "long",
    "native",
    "new",
    "null",
    "package",
    "private",
    "protected",
    "public",
    "record",
    "return",
    "short",
    "static",
    "strictfp",
    "super",
    "switch",
    "synchronized",
    "this",
    "throw",
    "throws",
    "transient",
    "true",
    "try",
    "var",
    "void",
    "volatile",
    "while",
    "yield",
];

/// Types of Java that are keywords.
const PRIMITIVE: &[&str] = &["boolean", "byte", "char", "double", "float", "int", "long", "short"];

/// Words that YAML 1.1 reads as something else than a text.
const YAML: &[&str] = &["y", "n", "yes", "no", "on", "off", "true", "false", "null"];

/// Types that need no import.
const BUILTIN: &[&str] = &[
    "bool",
    "bytes",
    "complex",
    "dict",
    "float",
    "frozenset",
    "int",
    "list",
    "object",
    "set",
    "str",
    "tuple",
    "type",
    "Boolean",
    "Byte",
    "Character",
    "Class",
    "Double",
    "Float",
    "Integer",
    "Iterable",
    "Long",
    "Number",
    "Object",
    "Runnable",
    "Short",
    "String",
    "Void",
];

/// How deeply a type may be nested.
const DEEPEST: usize = 16;

fn keywords(language: Language) -> &'static [&'static str] {
    match language {
        Language::Python => PYTHON,
        Language::Javascript => JAVASCRIPT,
        Language::Java => JAVA,
        Language::Yaml => YAML,
        Language::Toml | Language::Properties | Language::Env | Language::Plain => &[],
    }
}

/// Whether a name is there without being declared or imported.
pub(super) fn is_builtin(text: &str, language: Language) -> bool {
    matches!(language, Language::Python | Language::Java) && BUILTIN.contains(&text)
}

fn is_name(text: &str, language: Language) -> bool {
    let dollar = matches!(language, Language::Javascript | Language::Java);
    text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_' || (dollar && c == '$'))
        && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || (dollar && c == '$'))
}

fn refuse(text: &str, what: &str) -> String {
    format!("`{}` is not {what}", quote(text))
}

/// A name that is no keyword.
pub(super) fn identifier(text: &str, language: Language) -> Result<&str, String> {
    if !is_name(text, language) {
        return Err(refuse(text, "a name of ASCII letters, digits and underscores"));
    }
    if keywords(language).contains(&text) {
        return Err(format!("`{text}` is a keyword"));
    }
    Ok(text)
}

/// Names with dots between; in Python with dots before as well.
pub(super) fn dotted(text: &str, language: Language) -> Result<&str, String> {
    let python = language == Language::Python;
    let names = if python { text.trim_start_matches('.') } else { text };
    let relative = names.is_empty() && !text.is_empty();
    if !relative && names.split('.').any(|part| identifier(part, language).is_err()) {
        return Err(refuse(text, "a dotted name such as src.routes.auth"));
    }
    Ok(text)
}

/// A module specifier of JavaScript.
pub(super) fn module(text: &str) -> Result<&str, String> {
    let fits = |b: u8| b.is_ascii_alphanumeric() || b"_./@-".contains(&b);
    if text.is_empty() || !text.bytes().all(fits) {
        return Err(refuse(text, "a module: letters, digits and _ . / @ -"));
    }
    Ok(text)
}

/// The path of a URL; empty or from the root.
pub(super) fn url_path(text: &str) -> Result<&str, String> {
    let fits = |b: u8| b.is_ascii_alphanumeric() || b"_./{}:*~@%+-".contains(&b);
    let rooted = text.is_empty() || text.starts_with('/');
    if !rooted || text.starts_with("//") || !text.bytes().all(fits) {
        return Err(refuse(text, "a path such as /auth"));
    }
    Ok(text)
}

/// A key of a configuration file.
pub(super) fn key(text: &str, language: Language) -> Result<&str, String> {
    match language {
        Language::Python | Language::Javascript | Language::Java | Language::Env => {
            identifier(text, language)
        }
        Language::Toml | Language::Yaml | Language::Properties | Language::Plain => {
            let fits = |part: &str| {
                !part.is_empty()
                    && part.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-".contains(&b))
            };
            let word = text.to_ascii_lowercase();
            let first = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
            if !first || !text.split('.').all(fits) || keywords(language).contains(&word.as_str()) {
                return Err(refuse(text, "a key such as server.port"));
            }
            Ok(text)
        }
    }
}

/// A type of Python (`dict[str, User] | None`) or Java (`Map<String, User>`).
pub(super) fn typed(text: &str, language: Language) -> Result<&str, String> {
    let wrong = || refuse(text, "a type");
    let end = one_type(text, language, 0).ok_or_else(wrong)?;
    if end.trim().is_empty() { Ok(text.trim()) } else { Err(wrong()) }
}

/// Reads one type and gives back what follows.
fn one_type(text: &str, language: Language, depth: usize) -> Option<&str> {
    if depth > DEEPEST {
        return None;
    }
    let text = text.trim_start();
    let python = language == Language::Python;
    let mut rest = if python && text.starts_with('[') {
        several(text.get(1..)?, ']', language, depth)?
    } else if !python && text.starts_with('?') {
        return text.get(1..);
    } else {
        let length = text.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == '.'));
        let (word, tail) = text.split_at(length.unwrap_or(text.len()));
        let known = PRIMITIVE.contains(&word) || (python && word == "None");
        if !known && (word.starts_with('.') || dotted(word, language).is_err()) {
            return None;
        }
        tail
    };
    let (open, close) = if python { ('[', ']') } else { ('<', '>') };
    if let Some(inner) = rest.strip_prefix(open) {
        rest = several(inner, close, language, depth)?;
    }
    if !python {
        while let Some(tail) = rest.strip_prefix("[]") {
            rest = tail;
        }
        return Some(rest);
    }
    match rest.trim_start().strip_prefix('|') {
        Some(tail) => one_type(tail, language, depth + 1),
        None => Some(rest),
    }
}

/// Types with commas between, up to a bracket.
fn several(text: &str, close: char, language: Language, depth: usize) -> Option<&str> {
    let mut rest = text;
    if close == ']'
        && let Some(tail) = rest.trim_start().strip_prefix(close)
    {
        return Some(tail);
    }
    loop {
        rest = one_type(rest, language, depth + 1)?.trim_start();
        match rest.strip_prefix(',') {
            Some(tail) => rest = tail,
            None => return rest.strip_prefix(close),
        }
    }
}
