//! Tells whether a line declares a name, well enough to refuse a second declaration. It does not
//! know scopes.

use regex::Regex;

use super::text::Language;

/// A pattern for lines that declare a name; with a colon after it, a key of an object.
pub(super) fn pattern(name: &str, language: Language) -> Option<String> {
    let (bare, key) = match name.strip_suffix(':') {
        Some(bare) => (bare, true),
        None => (name, false),
    };
    let n = regex::escape(bare);
    if key {
        return Some(format!(r#"(?:^|[{{,])\s*["']?{n}["']?\s*:"#));
    }
    Some(match language {
        Language::Python => [
            format!(r"^\s*(?:async\s+)?(?:def|class)\s+{n}\b"),
            format!(r"^\s*{n}\s*(?::[^=]*)?=(?:[^=]|$)"),
            format!(r"^\s*(?:from\b.*)?\bimport\b.*\b{n}\b"),
        ]
        .join("|"),
        Language::Javascript => {
            // A dollar sign is part of a name, but no letter to the expression.
            let end = r"(?:[^\w$]|$)";
            [
                format!(r"\b(?:const|let|var|function|class|import|as)\s+{n}{end}"),
                format!(r"^\s*import\b.*[{{,]\s*{n}\s*[,}}]"),
                format!(r"^\s*(?:const|let|var)\s*\{{(?:.*[^\w$])?{n}{end}.*\}}\s*="),
            ]
            .join("|")
        }
        Language::Java => [
            format!(r"^\s*import\s[\w.\s]*\b{n}\s*;"),
            format!(r"^\s*(?:[\w<>\[\],.?@]+\s+)+{n}\s*\("),
            format!(r"\b(?:class|interface|enum|record)\s+{n}\b"),
        ]
        .join("|"),
        Language::Toml => format!(r"^\s*{n}\s*="),
        Language::Yaml => format!(r#"^["']?{n}["']?\s*:"#),
        Language::Properties | Language::Env => format!(r"^\s*(?:export\s+)?{n}\s*[=:]"),
        Language::Plain => return None,
    })
}

/// Whether a line declares what the pattern is for.
pub(super) fn declares(pattern: &Regex, line: &str, language: Language) -> bool {
    let calls = language == Language::Java
        && ["return ", "throw ", "new "].iter().any(|word| line.trim_start().starts_with(word));
    !calls && pattern.is_match(line)
}
