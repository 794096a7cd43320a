//! Makes a Python file that a type checker accepts only if the classes that implement a contract
//! still fit it. Reads text, runs nothing; it knows classes as they are written.

use regex::Regex;
use std::collections::BTreeSet;

/// A class at the top level of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Class {
    name: String,
    /// The last part of each base: `typing.Protocol[T]` is `Protocol`.
    bases: Vec<String>,
    methods: BTreeSet<String>,
    body: String,
}

impl Class {
    fn is_protocol(&self) -> bool {
        self.bases.iter().any(|b| b == "Protocol")
    }

    fn is_abstract(&self) -> bool {
        self.is_protocol()
            || self.bases.iter().any(|b| b == "ABC" || b == "ABCMeta")
            || self.body.contains("abstractmethod")
    }
}

/// Words that Python keeps for itself: a module of that name cannot be imported.
const KEYWORDS: [&str; 35] = [
    "False", "None", "True", "and", "as", "assert", "async", "await", "break", "class", "continue",
    "def", "del", "elif", "else", "except", "finally", "for", "from", "global", "if", "import",
    "in", "is", "lambda", "nonlocal", "not", "or", "pass", "raise", "return", "try", "while",
    "with", "yield",
];

fn is_identifier(word: &str) -> bool {
    let mut chars = word.chars();
    chars.next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_')
        && chars.all(|c| c.is_ascii_alphanumeric() || c == '_')
        && !KEYWORDS.contains(&word)
}

/// Whether a text is identifiers joined by dots, and so may stand in an import.
pub fn is_module(module: &str) -> bool {
    module.len() <= 300 && module.split('.').all(is_identifier)
}

/// A method that half of all classes have says nothing about what a class is meant to be.
const COMMON: [&str; 24] = [
    "__call__",
    "__enter__",
    "__exit__",
    "__eq__",
    "__len__",
    "__iter__",
    "__str__",
    "__repr__",
    "run",
    "call",
    "close",
    "open",
    "get",
    "set",
    "execute",
    "handle",
    "process",
    "start",
    "stop",
    "read",
    "write",
    "send",
    "save",
    "load",
];

/// A Python file for the type checker, which fails when a class of `implementers` (module, text)
/// that is evidently meant to implement a class of the contract does not fit it any more. Evident
/// is: it inherits from it by name (also through another class of its file), it is called as the
/// contract without `Protocol`, `Interface`, `Abstract`, `Base` or a leading `I`, or it has all of
/// the contract's methods. The last needs two methods or an uncommon one, and no mention of the
/// contract in the class: what mentions it uses it. `None` when there is nothing to check or a
/// module's name is no name.
pub fn conformance_python(
    contract_module: &str,
    contract_text: &str,
    implementers: &[(String, String)],
) -> Option<String> {
    if !is_module(contract_module) {
        return None;
    }
    let declared = classes(&blank(contract_text));
    let contracts: Vec<&Class> = declared.iter().filter(|c| c.is_abstract()).collect();
    let mut imports = String::new();
    let mut checks = String::new();
    let mut number = 0;
    let others = implementers.iter().filter(|(m, _)| is_module(m) && m != contract_module);
    for (module, text) in others {
        let code = blank(text);
        let found = classes(&code);
        for contract in &contracts {
            let methods = all_methods(contract, &declared);
            let heirs = heirs(&contract.name, &code, &found);
            for class in found.iter().filter(|c| !c.is_protocol()) {
                let inherits = heirs.contains(&class.name);
                if !(inherits
                    || is_named_after(&class.name, &contract.name)
                    || looks_like(class, &contract.name, &methods))
                {
                    continue;
                }
                let imported = |module: &str, name: &str, alias: &str| {
                    format!("from {module} import {name} as {alias}{number}\n")
                };
                imports.push_str(&imported(contract_module, &contract.name, "Contract"));
                imports.push_str(&imported(module, &class.name, "Class"));
                checks.push_str(&check(number, contract, &methods, class, inherits));
                number += 1;
            }
        }
    }
    let head = "# Made by slimductor; never run. Each function but the last type-checks while the\n\
                # classes fit their contract.\n# mypy: disallow-any-generics=False\n\
                from typing import Any\n";
    // `contracts::conformance` wants an error in the last line, as a sign that somebody looked.
    let last = "\n\ndef looked() -> str:\n    return 0\n";
    (number > 0).then(|| format!("{head}{imports}{checks}{last}"))
}

/// The functions that fail for one pair of classes.
fn check(
    number: usize,
    contract: &Class,
    methods: &BTreeSet<String>,
    class: &Class,
    inherits: bool,
) -> String {
    let what = format!("\n\n# {} implements {}\n", class.name, contract.name);
    let mut out = what;
    if contract.is_protocol() {
        out.push_str(&format!(
            "def fits_{number}(x: Class{number}) -> Contract{number}:\n    return x\n"
        ));
    }
    // Whoever inherits is assignable whatever its methods take, an ABC is only assignable to those
    // who inherit, and a protocol does not look at the names of parameters, by which consumers
    // may call: so the methods are compared one by one as well. A list, because pyright lets a
    // plain variable change its type.
    for method in methods.iter().filter(|m| !is_private(m)) {
        out.push_str(&format!(
            "\n\ndef has_{number}_{method}(x: Class{number}, y: Contract{number}) -> None:\n    \
             f = [y.{method}]\n    f.append(x.{method})\n"
        ));
    }
    // A method that is missing is inherited as an abstract one. Its constructor's parameters are
    // not known here, and Any fits all.
    if inherits && !class.is_abstract() {
        out.push_str(&format!(
            "\n\ndef makes_{number}(a: Any) -> None:\n    Class{number}(*a, **a)\n"
        ));
    }
    out
}

/// `__x` is renamed inside classes and `__init__` is no part of what an instance offers.
fn is_private(method: &str) -> bool {
    method.starts_with("__") && (!method.ends_with("__") || is_constructor(method))
}

fn is_constructor(method: &str) -> bool {
    matches!(method, "__init__" | "__new__" | "__init_subclass__" | "__class_getitem__")
}

fn all_methods(contract: &Class, declared: &[Class]) -> BTreeSet<String> {
    let mut methods = BTreeSet::new();
    let mut seen = BTreeSet::new();
    let mut open = vec![contract];
    while let Some(class) = open.pop() {
        if seen.insert(&class.name) {
            methods.extend(class.methods.iter().filter(|m| !is_constructor(m)).cloned());
            open.extend(declared.iter().filter(|c| class.bases.contains(&c.name)));
        }
    }
    methods
}

/// The classes of a file that inherit from the contract, under whatever name it is imported.
fn heirs(contract: &str, code: &str, found: &[Class]) -> BTreeSet<String> {
    let mut names = BTreeSet::from([contract.to_owned()]);
    if let Ok(alias) = Regex::new(&format!(r"\b{contract}\s+as\s+([A-Za-z_][A-Za-z0-9_]*)")) {
        names.extend(alias.captures_iter(code).filter_map(|c| c.get(1)).map(|m| m.as_str().into()));
    }
    // A base stands above its heirs in a file, so one pass sees all of them.
    let mut heirs = BTreeSet::new();
    for class in found {
        if class.bases.iter().any(|b| names.contains(b)) {
            names.insert(class.name.clone());
            heirs.insert(class.name.clone());
        }
    }
    heirs
}

fn is_named_after(class: &str, contract: &str) -> bool {
    let mut stems = vec![contract];
    stems.extend(
        ["Protocol", "Interface", "Contract"].iter().filter_map(|s| contract.strip_suffix(s)),
    );
    stems.extend(["Abstract", "Base"].iter().filter_map(|p| contract.strip_prefix(p)));
    let rest = contract.strip_prefix('I');
    stems.extend(rest.filter(|r| r.starts_with(|c: char| c.is_ascii_uppercase())));
    let plain = class.strip_suffix("Impl").unwrap_or(class);
    stems.iter().any(|stem| !stem.is_empty() && (*stem == class || *stem == plain))
}

fn looks_like(class: &Class, contract: &str, methods: &BTreeSet<String>) -> bool {
    let telling = methods.len() >= 2 || methods.iter().any(|m| !COMMON.contains(&m.as_str()));
    telling && methods.is_subset(&class.methods) && !mentions(&class.body, contract)
}

fn mentions(code: &str, name: &str) -> bool {
    code.split(|c: char| !(c.is_alphanumeric() || c == '_')).any(|word| word == name)
}

/// The code with comments and the contents of strings as spaces, lines kept: what is written in
/// a docstring declares nothing.
fn blank(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    let keep = |out: &mut String, c: char| out.push(if c == '\n' { '\n' } else { ' ' });
    while let Some(c) = rest.chars().next() {
        if c == '#' {
            let end = rest.find('\n').unwrap_or(rest.len());
            rest = rest.get(end..).unwrap_or("");
            continue;
        }
        if c != '"' && c != '\'' {
            out.push(c);
            rest = rest.get(c.len_utf8()..).unwrap_or("");
            continue;
        }
        let triple: String = std::iter::repeat_n(c, 3).collect();
        let long = rest.starts_with(&triple);
        rest = rest.get(if long { 3 } else { 1 }..).unwrap_or("");
        out.push(' ');
        while let Some(inner) = rest.chars().next() {
            if long && rest.starts_with(&triple) {
                rest = rest.get(3..).unwrap_or("");
                break;
            }
            rest = rest.get(inner.len_utf8()..).unwrap_or("");
            if inner == '\\' {
                if let Some(escaped) = rest.chars().next() {
                    keep(&mut out, escaped);
                    rest = rest.get(escaped.len_utf8()..).unwrap_or("");
                }
                continue;
            }
            keep(&mut out, inner);
            if !long && (inner == c || inner == '\n') {
                break;
            }
        }
    }
    out
}

/// The classes at the top level of a blanked text.
fn classes(code: &str) -> Vec<Class> {
    let mut found: Vec<Class> = Vec::new();
    let mut head: Option<String> = None;
    let mut inside = false;
    let mut indent: Option<usize> = None;
    let mut depth = 0_i64;
    for line in code.lines() {
        let open = line.matches(['(', '[', '{']).count() as i64;
        let closed = line.matches([')', ']', '}']).count() as i64;
        let continued = depth > 0;
        depth = (depth + open - closed).max(0);
        if let Some(text) = head.as_mut() {
            text.push_str(line);
            text.push('\n');
        } else if !continued && line.starts_with("class ") {
            head = Some(format!("{line}\n"));
        } else if !continued && !line.trim().is_empty() && !line.starts_with([' ', '\t']) {
            inside = false;
        } else if let Some(class) = found.last_mut().filter(|_| inside) {
            class.body.push_str(line);
            class.body.push('\n');
            if !continued && !line.trim().is_empty() {
                let width = line.len() - line.trim_start().len();
                if *indent.get_or_insert(width) == width {
                    class.methods.extend(method(line));
                }
            }
        }
        if depth == 0
            && let Some(text) = head.take()
        {
            inside = false;
            if let Some(class) = header(&text) {
                found.push(class);
                (inside, indent) = (true, None);
            }
        }
    }
    found
}

fn method(line: &str) -> Option<String> {
    let line = line.trim_start();
    let line = line.strip_prefix("async ").unwrap_or(line).trim_start();
    let rest = line.strip_prefix("def ")?.trim_start();
    let name: String = rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
    is_identifier(&name).then_some(name)
}

/// `class Name[T](Base, module.Other[X], metaclass=ABCMeta): pass`
fn header(text: &str) -> Option<Class> {
    let rest = text.strip_prefix("class ")?.trim_start();
    let name: String = rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
    if !is_identifier(&name) {
        return None;
    }
    let mut bases = Vec::new();
    let mut word = String::new();
    let mut depth = 0_u32;
    let mut square = 0_u32;
    let mut seen = false;
    for c in rest.get(name.len()..).unwrap_or("").chars() {
        match c {
            '[' => square += 1,
            ']' => square = square.saturating_sub(1),
            _ if square > 0 => {}
            '(' => {
                depth += 1;
                seen = true;
            }
            ')' => depth = depth.saturating_sub(1),
            ':' if depth == 0 => break,
            ',' if depth == 1 => bases.push(std::mem::take(&mut word)),
            _ if depth == 1 => word.push(c),
            _ => {}
        }
        if seen && depth == 0 {
            break;
        }
    }
    bases.push(word);
    let last = |b: &String| {
        let value = b.rsplit('=').next().unwrap_or(b);
        value.rsplit('.').next().unwrap_or(value).trim().to_owned()
    };
    let bases = bases.iter().map(last).filter(|b| is_identifier(b)).collect();
    Some(Class { name, bases, methods: BTreeSet::new(), body: String::new() })
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONTRACT: &str = "\"\"\"\nclass Fake(Protocol):\n\"\"\"\nfrom typing import Protocol\n\n\
        class AuthProtocol(Protocol):\n    name: str\n    def login(\n        self,\n        user: str,\n    \
        ) -> str: ...\n    async def logout(self) -> None: ...  # def no(self)\n";

    fn made(text: &str) -> Option<String> {
        conformance_python("contracts.auth", CONTRACT, &[("src.auth".into(), text.into())])
    }

    fn has(text: &str, class: &str) -> bool {
        made(text).is_some_and(|t| t.contains(&format!("import {class} as Class")))
    }

    #[test]
    fn who_inherits_is_named_after_it_or_has_all_methods_is_compared() {
        assert!(has("class X(AuthProtocol):\n    pass\n", "X"));
        assert!(has("class X(base.AuthProtocol, Generic[T]):\n    pass\n", "X"));
        assert!(has("import y\nclass B(AuthProtocol): ...\nclass X(\n    B,\n): ...\n", "X"));
        assert!(has("from c import AuthProtocol as P\nclass X(P): ...\n", "X"));
        assert!(has("class Auth:\n    pass\n", "Auth"));
        assert!(has("class AuthImpl:\n    pass\n", "AuthImpl"));
        let duck = "class X:\n    def login(self): ...\n    async def logout(self): ...\n";
        assert!(has(duck, "X"));
    }

    #[test]
    fn unrelated_classes_do_not_matter() {
        for text in [
            "class X:\n    def login(self): ...\n",
            "class X(Other):\n    pass\n",
            "# class X(AuthProtocol):\n'''\nclass X(AuthProtocol):\n    pass\n'''\n",
            "def f():\n    class X(AuthProtocol):\n        pass\n",
            "class X(AuthProtocol, Protocol):\n    pass\n",
            "class X:\n    def __init__(self, a: AuthProtocol): ...\n    def login(self): ...\n    \
             def logout(self): ...\n",
            "class X:\n    def f(self):\n        def login(): ...\n        def logout(): ...\n",
        ] {
            assert_eq!(made(text), None, "{text}");
        }
    }

    #[test]
    fn one_common_method_tells_nothing() {
        let contract = "class Runner(Protocol):\n    def run(self) -> None: ...\n";
        let class = "class X:\n    def run(self) -> None: ...\n";
        let list = [("src.x".to_owned(), class.to_owned())];
        assert_eq!(conformance_python("c", contract, &list), None);
        let contract = contract.replace("run", "refresh_token");
        let list = [("src.x".to_owned(), class.replace("run", "refresh_token"))];
        assert!(conformance_python("c", &contract, &list).is_some());
    }

    #[test]
    fn the_file_compares_the_class_and_each_method_and_ends_with_an_error() {
        let text = made("class X(AuthProtocol):\n    pass\n").unwrap();
        assert!(text.contains("from contracts.auth import AuthProtocol as Contract0\n"));
        assert!(text.contains("def fits_0(x: Class0) -> Contract0:\n    return x\n"));
        assert!(text.contains("def has_0_login(x: Class0, y: Contract0) -> None:"));
        assert!(text.contains("def makes_0(a: Any) -> None:\n    Class0(*a, **a)\n"));
        assert!(!text.contains("no"), "what stands in a comment is no method: {text}");
        assert!(text.ends_with("def looked() -> str:\n    return 0\n"));
    }

    #[test]
    fn an_abstract_base_class_is_compared_method_by_method() {
        let contract = "from abc import ABC, abstractmethod\nclass BaseStore(ABC):\n    \
                        @abstractmethod\n    def put(self, k: str) -> None: ...\n";
        let list = [("src.s".to_owned(), "class Store:\n    pass\n".to_owned())];
        let text = conformance_python("c", contract, &list).unwrap();
        assert!(!text.contains("def fits_"));
        assert!(text.contains("def has_0_put("));
    }

    #[test]
    fn odd_modules_and_texts_are_skipped() {
        let class = "class Auth: ...\n".to_owned();
        for module in ["a-b", "a..b", "", "a.import", "a b", "a\nimport os", "os; x", "é"] {
            let list = [(module.to_owned(), class.clone())];
            assert_eq!(conformance_python("c", CONTRACT, &list), None, "{module:?}");
            let list = [("src.x".to_owned(), class.clone())];
            assert_eq!(conformance_python(module, CONTRACT, &list), None, "{module:?}");
        }
        let deep = "(".repeat(100_000);
        let quotes = "'''".repeat(50_001);
        let many = "class A(AuthProtocol, \n".repeat(20_000);
        for text in
            [deep.as_str(), &quotes, &many, "class", "class :", "class é(X):\n", "\\", "'\\"]
        {
            let _ = made(text);
            let list = [("src.x".to_owned(), class.clone())];
            let _ = conformance_python("c", text, &list);
        }
    }
}
