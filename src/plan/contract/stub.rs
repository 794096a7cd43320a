//! A new contract file: an interface without a body, in the language of the file's extension. Writes no file.

use std::fmt::Write;

/// Languages in which a stub can be written, by extension.
pub const EXTENSIONS: [&str; 8] = ["py", "pyi", "ts", "tsx", "mts", "rs", "go", "java"];

/// What a stub is made of.
#[derive(Debug, Clone, Copy)]
pub struct Stub<'a> {
    /// The interface's name.
    pub name: &'a str,
    /// Its methods: names, or whole signatures in the language of the file.
    pub methods: &'a [String],
    /// What the version line is to say.
    pub version: &'a str,
    /// When, RFC 3339.
    pub generated: &'a str,
    /// The name of the directory that the file stands in; Go's package is called like it.
    pub directory: &'a str,
    /// The file's name without its extension; Java's public interfaces have that name.
    pub stem: &'a str,
}

/// Words that one of the languages keeps for itself.
const RESERVED: [&str; 74] = [
    "None",
    "True",
    "False",
    "and",
    "as",
    "assert",
    "async",
    "await",
    "break",
    "class",
    "continue",
    "def",
    "del",
    "elif",
    "else",
    "except",
    "finally",
    "for",
    "from",
    "global",
    "if",
    "import",
    "in",
    "is",
    "lambda",
    "nonlocal",
    "not",
    "or",
    "pass",
    "raise",
    "return",
    "try",
    "while",
    "with",
    "yield",
    "fn",
    "impl",
    "let",
    "loop",
    "match",
    "mod",
    "move",
    "mut",
    "pub",
    "ref",
    "self",
    "Self",
    "static",
    "struct",
    "super",
    "trait",
    "type",
    "unsafe",
    "use",
    "where",
    "dyn",
    "enum",
    "extern",
    "const",
    "crate",
    "func",
    "go",
    "interface",
    "package",
    "range",
    "select",
    "var",
    "new",
    "public",
    "private",
    "void",
    "int",
    "this",
    "throw",
];

/// Whether `name` can be the name of an interface or a method in all of the languages.
pub fn is_name(name: &str) -> bool {
    let mut chars = name.chars();
    chars.next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_')
        && chars.all(|c| c.is_ascii_alphanumeric() || c == '_')
        && !RESERVED.contains(&name)
}

/// Whether `text` is one signature, without the words with which a stub begins a method.
pub fn is_signature(text: &str) -> bool {
    let text = text.trim();
    let balanced = text.chars().try_fold(0_u32, |depth, c| match c {
        '(' => Some(depth + 1),
        ')' => depth.checked_sub(1),
        _ => Some(depth),
    });
    let first = text.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap_or("");
    text.contains('(')
        && balanced == Some(0)
        && !text.contains(['\n', ';', '{', '}'])
        && !text.ends_with(':')
        && !["def", "fn", "func", "async", "pub", "function"].contains(&first)
}

impl Stub<'_> {
    /// The file's content; `None` for an extension that is not among [`EXTENSIONS`].
    pub fn text(&self, extension: &str) -> Option<String> {
        let text = match extension {
            "py" | "pyi" => self.python(),
            "ts" | "tsx" | "mts" => self.typescript(),
            "rs" => self.rust(),
            "go" => self.go(),
            "java" => self.java(),
            _ => return None,
        };
        Some(text)
    }

    fn header(&self, before: &str) -> String {
        format!(
            "{before}Contract: {}\n{before}Version: {}\n{before}Generated: {}\n",
            self.name, self.version, self.generated
        )
    }

    /// Every method as a line: its own signature, or `from_name` of its name.
    fn lines(&self, from_name: impl Fn(&str) -> String) -> Vec<String> {
        let line = |m: &String| if is_name(m) { from_name(m) } else { m.trim().to_owned() };
        self.methods.iter().map(line).collect()
    }

    fn python(&self) -> String {
        let mut out = format!("\"\"\"\n{}\"\"\"\n", self.header(""));
        let plain = self.methods.iter().any(|m| is_name(m));
        let names = if plain { "Any, Protocol" } else { "Protocol" };
        let _ = write!(out, "from typing import {names}\n\n\nclass {}(Protocol):\n", self.name);
        let lines = self.lines(|m| format!("{m}(self, *args: Any, **kwargs: Any) -> Any"));
        for (n, line) in lines.iter().enumerate() {
            let gap = if n == 0 { "" } else { "\n" };
            let _ = write!(out, "{gap}    def {line}:\n        ...\n");
        }
        if lines.is_empty() {
            out.push_str("    ...\n");
        }
        out
    }

    fn typescript(&self) -> String {
        let mut out =
            format!("/**\n{} */\nexport interface {} {{\n", self.header(" * "), self.name);
        for line in self.lines(|m| format!("{m}(...args: unknown[]): unknown")) {
            let _ = writeln!(out, "  {line};");
        }
        out + "}\n"
    }

    fn rust(&self) -> String {
        let mut out = format!("{}\npub trait {} {{\n", self.header("//! "), self.name);
        for line in self.lines(|m| format!("{m}(&self)")) {
            let _ = writeln!(out, "    fn {line};");
        }
        out + "}\n"
    }

    fn go(&self) -> String {
        let package: String = self
            .directory
            .to_ascii_lowercase()
            .chars()
            .filter(char::is_ascii_alphanumeric)
            .collect();
        let digit = package.starts_with(|c: char| c.is_ascii_digit());
        let usable = !package.is_empty() && !digit && is_name(&package);
        let package = if usable { package } else { "contracts".to_owned() };
        let mut out = self.header("// ");
        let _ = write!(out, "\npackage {package}\n\ntype {} interface {{\n", self.name);
        for line in self.lines(|m| {
            let mut chars = m.chars();
            let first = chars.next().map(|c| c.to_ascii_uppercase());
            format!("{}()", first.into_iter().chain(chars).collect::<String>())
        }) {
            let _ = writeln!(out, "\t{line}");
        }
        out + "}\n"
    }

    fn java(&self) -> String {
        let public = if self.stem == self.name { "public " } else { "" };
        let mut out =
            format!("/**\n{} */\n{public}interface {} {{\n", self.header(" * "), self.name);
        for line in self.lines(|m| format!("Object {m}(Object... args)")) {
            let _ = writeln!(out, "    {line};");
        }
        out + "}\n"
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::contract::header;

    #[test]
    fn every_stub_says_name_and_version_where_the_reader_looks() {
        let methods = ["login".to_owned(), "logout".to_owned()];
        for extension in EXTENSIONS {
            let stub = Stub {
                name: "AuthService",
                methods: &methods,
                version: "abc1234",
                generated: "2025-01-27T10:00:00Z",
                directory: "contracts",
                stem: "auth",
            };
            let text = stub.text(extension).unwrap();
            let header = header::read(&format!("auth.{extension}"), &text);
            assert_eq!(header.name.unwrap().value, "AuthService", "{text}");
            assert_eq!(header.version.unwrap().value, "abc1234", "{text}");
            assert!(
                text.to_lowercase().contains("login") && text.contains("AuthService"),
                "{text}"
            );
        }
    }

    #[test]
    fn a_signature_is_taken_as_it_is() {
        let methods = ["login(self, user: str) -> dict".to_owned()];
        let stub = Stub {
            name: "A",
            methods: &methods,
            version: "v",
            generated: "t",
            directory: "",
            stem: "a",
        };
        let text = stub.text("py").unwrap();
        assert!(text.contains("    def login(self, user: str) -> dict:\n"), "{text}");
        assert!(text.contains("from typing import Protocol\n"), "{text}");
    }
}
