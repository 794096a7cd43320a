//! Makes a TypeScript file that tsc accepts only if the classes that implement a contract still
//! fit it. Reads text, runs nothing; it knows exported classes, and no object literals.

use std::collections::BTreeSet;

/// An exported class or interface at the top level of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Shape {
    name: String,
    /// What is to be imported: the name, or `default`.
    exported: String,
    /// `<any, any>` for two type parameters; mostly nothing.
    arguments: String,
    /// Words of `extends` and `implements`.
    bases: BTreeSet<String>,
    members: BTreeSet<String>,
    body: String,
    kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Interface,
    Abstract,
    Class,
}

/// Words that cannot be the name of a class.
const RESERVED: [&str; 12] = [
    "default",
    "class",
    "extends",
    "implements",
    "function",
    "import",
    "export",
    "new",
    "return",
    "typeof",
    "void",
    "null",
];

fn is_identifier(word: &str) -> bool {
    let mut chars = word.chars();
    chars.next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_' || c == '$')
        && chars.all(is_word)
        && !RESERVED.contains(&word)
}

fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_' || c == '$'
}

/// Whether a text is a relative import specifier that needs no quoting: `./src/auth.js`.
pub fn is_specifier(module: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "._-@[]()+".contains(c);
    module.len() <= 300
        && (module.starts_with("./") || module.starts_with("../"))
        && module.split('/').all(|part| !part.is_empty() && part.chars().all(plain))
}

/// Members that say nothing about what a class is meant to be.
const COMMON: [&str; 20] = [
    "run", "call", "close", "open", "get", "set", "execute", "handle", "process", "start", "stop",
    "read", "write", "send", "save", "load", "name", "id", "toString", "dispose",
];

/// A TypeScript file for tsc, which fails when an exported class of `implementers` (import
/// specifier, text) that is evidently meant to implement an interface or abstract class of the
/// contract does not fit it any more. Evident is: it says `implements` or `extends`, it is called
/// as the contract without `Interface`, `Protocol`, `Contract` or a leading `I`, or it has all of
/// the contract's members. The last needs two of them or an uncommon one, and no mention of the
/// contract in the class: what mentions it uses it. `None` when there is nothing to check or a
/// specifier is none.
pub fn conformance_typescript(
    contract_module: &str,
    contract_text: &str,
    implementers: &[(String, String)],
) -> Option<String> {
    if !is_specifier(contract_module) {
        return None;
    }
    let declared = shapes(&blank(contract_text));
    let contracts: Vec<&Shape> = declared.iter().filter(|s| s.kind != Kind::Class).collect();
    let mut imports = String::new();
    let mut checks = String::new();
    let mut number = 0;
    for (module, text) in implementers.iter().filter(|(m, _)| is_specifier(m)) {
        if module == contract_module {
            continue;
        }
        let code = blank(text);
        let found = shapes(&code);
        for contract in &contracts {
            let members = all_members(contract, &declared);
            let names = names_of(&contract.name, &code);
            for class in found.iter().filter(|s| s.kind != Kind::Interface) {
                let evident = names.iter().any(|n| class.bases.contains(n))
                    || is_named_after(&class.name, &contract.name)
                    || looks_like(class, &names, &members);
                if !evident {
                    continue;
                }
                for (from, what, alias) in [
                    (contract_module, &contract.exported, "Contract"),
                    (module.as_str(), &class.exported, "Class"),
                ] {
                    imports.push_str(&format!(
                        "import type {{ {what} as {alias}{number} }} from \"{from}\";\n"
                    ));
                }
                let (own, theirs) = (&class.arguments, &contract.arguments);
                checks.push_str(&format!(
                    "\n// {} implements {}\nexport const fits{number} = (x: Class{number}{own}): \
                     Contract{number}{theirs} => x;\n",
                    class.name, contract.name
                ));
                number += 1;
            }
        }
    }
    let head = "// Made by slimductor; never run. It fails to type-check when a class does not fit \
                its contract.\n";
    // `contracts::conformance` wants an error in the last line, as a sign that somebody looked.
    let last = "\nexport const looked: string = 0;\n";
    (number > 0).then(|| format!("{head}{imports}{checks}{last}"))
}

fn all_members(contract: &Shape, declared: &[Shape]) -> BTreeSet<String> {
    let mut members = BTreeSet::new();
    let mut seen = BTreeSet::new();
    let mut open = vec![contract];
    while let Some(shape) = open.pop() {
        if seen.insert(&shape.name) {
            members.extend(shape.members.iter().cloned());
            open.extend(declared.iter().filter(|s| shape.bases.contains(&s.name)));
        }
    }
    members
}

/// The contract's name and the names under which this file imports it.
fn names_of(contract: &str, code: &str) -> BTreeSet<String> {
    let words: Vec<&str> = code.split(|c| !is_word(c)).filter(|w| !w.is_empty()).collect();
    let mut names = BTreeSet::from([contract.to_owned()]);
    for three in words.windows(3) {
        if let [name, "as", alias] = three
            && *name == contract
            && is_identifier(alias)
        {
            names.insert((*alias).to_owned());
        }
    }
    names
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

fn looks_like(class: &Shape, names: &BTreeSet<String>, members: &BTreeSet<String>) -> bool {
    let telling = members.len() >= 2 || members.iter().any(|m| !COMMON.contains(&m.as_str()));
    telling
        && members.is_subset(&class.members)
        && !class.body.split(|c| !is_word(c)).any(|word| names.contains(word))
}

/// The code with comments and the contents of strings as spaces, lines kept.
fn blank(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match (c, chars.peek()) {
            ('/', Some('/')) => while chars.next_if(|n| *n != '\n').is_some() {},
            ('/', Some('*')) => {
                chars.next();
                let mut last = ' ';
                for inner in chars.by_ref() {
                    out.push(if inner == '\n' { '\n' } else { ' ' });
                    if last == '*' && inner == '/' {
                        break;
                    }
                    last = inner;
                }
            }
            ('"' | '\'' | '`', _) => {
                out.push(' ');
                while let Some(inner) = chars.next() {
                    if inner == '\\' {
                        chars.next();
                        continue;
                    }
                    out.push(if inner == '\n' { '\n' } else { ' ' });
                    // A string that is not closed ends with its line; most likely it was none.
                    if inner == c || (inner == '\n' && c != '`') {
                        break;
                    }
                }
            }
            _ => out.push(c),
        }
    }
    out
}

/// The exported classes and interfaces at the top level of a blanked text.
fn shapes(code: &str) -> Vec<Shape> {
    let (listed, default) = export_list(code);
    let mut found = Vec::new();
    let mut head = String::new();
    let mut body = String::new();
    let mut depth = 0_usize;
    let mut typed = 0_usize;
    for c in code.chars() {
        match c {
            '{' if typed > 0 || (depth == 0 && is_in_parameters(&head)) => {
                typed += 1;
                head.push(c);
            }
            '}' if typed > 0 => {
                typed -= 1;
                head.push(c);
            }
            _ if typed > 0 => head.push(c),
            '{' => {
                depth += 1;
                if depth > 1 {
                    body.push(c);
                }
            }
            '}' => {
                depth = depth.saturating_sub(1);
                if depth > 0 {
                    body.push(c);
                } else {
                    found.extend(shape(&head, std::mem::take(&mut body), &listed, &default));
                    head.clear();
                }
            }
            ';' if depth == 0 => head.clear(),
            _ if depth > 0 => body.push(c),
            _ => head.push(c),
        }
    }
    found
}

/// Where the declaration at the end of a head begins.
fn declaration(head: &str) -> Option<usize> {
    ["interface ", "class "].iter().filter_map(|word| head.rfind(word)).max()
}

/// Whether a brace here belongs to a type parameter: `class X<T extends {`.
fn is_in_parameters(head: &str) -> bool {
    // Longer than any declaration; each brace looks at all of it.
    if head.len() > 2000 {
        return false;
    }
    let text = declaration(head).and_then(|at| head.get(at..)).unwrap_or("").replace("=>", "");
    text.matches('<').count() > text.matches('>').count()
}

/// The names in `export { A, B as C }` as (local, exported), and the one in `export default A`.
fn export_list(code: &str) -> (Vec<(String, String)>, String) {
    let mut listed = Vec::new();
    let mut default = String::new();
    for part in code.split("export").skip(1) {
        let part = part.trim_start();
        let part = part.strip_prefix("type ").map_or(part, str::trim_start);
        if let Some(list) = part.strip_prefix('{').and_then(|p| p.split('}').next()) {
            for entry in list.split(',') {
                let words: Vec<&str> = entry.split_whitespace().collect();
                match words.as_slice() {
                    [name] => listed.push(((*name).to_owned(), (*name).to_owned())),
                    [name, "as", other] => listed.push(((*name).to_owned(), (*other).to_owned())),
                    _ => {}
                }
            }
        } else if let Some(rest) = part.strip_prefix("default ") {
            let name: String = rest.trim_start().chars().take_while(|c| is_word(*c)).collect();
            default = name;
        }
    }
    (listed, default)
}

fn shape(head: &str, body: String, listed: &[(String, String)], default: &str) -> Option<Shape> {
    // What stands before the declaration belongs to another statement without a semicolon.
    let at = declaration(head)?;
    let (before, from) = (head.get(..at)?, head.get(at..)?);
    let is_interface = from.starts_with("interface ");
    let (_, rest) = from.split_once(' ')?;
    let rest = rest.trim_start();
    let name: String = rest.chars().take_while(|c| is_word(*c)).collect();
    let line = before.rsplit(['\n', '}']).find(|l| !l.trim().is_empty()).unwrap_or("");
    let words: Vec<&str> = line.split_whitespace().collect();
    let is_abstract = words.contains(&"abstract");
    if !is_identifier(&name) {
        return None;
    }
    let rest = rest.get(name.len()..)?;
    let exported = if words.contains(&"export") {
        if words.contains(&"default") { "default".to_owned() } else { name.clone() }
    } else if default == name {
        "default".to_owned()
    } else {
        let other = listed.iter().find(|(local, _)| *local == name).map(|(_, o)| o.clone())?;
        if other == "default" || is_identifier(&other) { other } else { return None }
    };
    let (count, after) = parameters(rest);
    let arguments =
        if count == 0 { String::new() } else { format!("<{}>", vec!["any"; count].join(", ")) };
    let bases = after.split(|c| !is_word(c)).filter(|w| is_identifier(w)).map(str::to_owned);
    Some(Shape {
        exported,
        arguments,
        bases: bases.collect(),
        members: members(&body),
        body,
        kind: match (is_interface, is_abstract) {
            (true, _) => Kind::Interface,
            (false, true) => Kind::Abstract,
            (false, false) => Kind::Class,
        },
        name,
    })
}

/// How many type parameters stand first in the text, and what is behind them.
fn parameters(text: &str) -> (usize, &str) {
    let trimmed = text.trim_start();
    if !trimmed.starts_with('<') {
        return (0, trimmed);
    }
    let (mut depth, mut count, mut last) = (0_i64, 1, ' ');
    for (at, c) in trimmed.char_indices() {
        match c {
            '<' | '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' => depth -= 1,
            '>' if last != '=' => depth -= 1,
            ',' if depth == 1 => count += 1,
            _ => {}
        }
        last = c;
        if depth == 0 {
            return (count, trimmed.get(at + c.len_utf8()..).unwrap_or(""));
        }
    }
    (0, trimmed)
}

/// The public members that a body declares at its own level.
fn members(body: &str) -> BTreeSet<String> {
    // What is inside brackets is taken out, so that each member is one short piece of text.
    let mut flat = String::new();
    let mut depth = 0_usize;
    for c in body.chars() {
        match c {
            '(' | '{' | '[' => {
                if depth == 0 {
                    flat.push(c);
                }
                depth += 1;
            }
            ')' | '}' | ']' => {
                depth = depth.saturating_sub(1);
                // The body of a method ends it, with or without a semicolon.
                if depth == 0 && c == '}' {
                    flat.push(';');
                }
            }
            _ if depth == 0 => flat.push(c),
            _ => {}
        }
    }
    let modifiers =
        ["public", "readonly", "async", "static", "get", "set", "abstract", "override", "declare"];
    let mut found = BTreeSet::new();
    for piece in flat.split([';', '\n', ',']) {
        let mut rest = piece.trim_start();
        // A word is a modifier only when another name follows: a method may be called `get`.
        while let Some((word, after)) = rest.split_once(' ') {
            if !modifiers.contains(&word) || !after.trim_start().starts_with(is_word) {
                break;
            }
            rest = after.trim_start();
        }
        let name: String = rest.chars().take_while(|c| is_word(*c)).collect();
        let after = rest.get(name.len()..).unwrap_or("").trim_start();
        let declares = after.starts_with(['(', '<', ':', '?', '=', '!']) || after.is_empty();
        if declares && is_identifier(&name) && name != "constructor" && !piece.contains("static ") {
            found.insert(name);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONTRACT: &str = "/** export interface Fake { no(): void } */\n\
        export interface IAuth<T = { a: string }> extends Other {\n  readonly kind: T;\n  \
        login(user: string, o?: { no: boolean }): Promise<void>;\n  logout: (x: () => void) => void\n}\n";

    fn made(text: &str) -> Option<String> {
        let list = [("./src/auth.js".to_owned(), text.to_owned())];
        conformance_typescript("./contracts/auth.js", CONTRACT, &list)
    }

    fn has(text: &str, import: &str) -> bool {
        made(text).is_some_and(|t| t.contains(&format!("import type {{ {import} as Class0 }}")))
    }

    #[test]
    fn who_implements_is_named_after_it_or_has_all_members_is_compared() {
        assert!(has("export class X implements IAuth<string> { }", "X"));
        assert!(has("export class X extends Y implements Z, IAuth {}", "X"));
        assert!(has("import { IAuth as A } from 'c';\nexport class X implements A {}", "X"));
        assert!(has("export default class X implements IAuth {}", "default"));
        assert!(has("class X implements IAuth {}\nexport { X as Y };", "Y"));
        assert!(has("class X implements IAuth {}\nexport default X;", "default"));
        assert!(has("export class Auth {}", "Auth"));
        assert!(has("export class AuthImpl {}", "AuthImpl"));
        let duck = "export class X {\n  private s = 1\n  readonly kind = 'a'\n  async login(u: string) { \
                    return }\n  logout = () => { if (1) { } }\n}";
        assert!(has(duck, "X"));
    }

    #[test]
    fn unrelated_and_hidden_classes_do_not_matter() {
        for text in [
            "export class X { login() {} }",
            "export class X implements Other { kind = 1 }",
            "class X implements IAuth {}",
            "// export class X implements IAuth {}\nconst s = `export class X implements IAuth {}`;",
            "export function f() { class X implements IAuth {} }",
            "export class X { constructor(a: IAuth) {} kind = 1; login() {} logout() {} }",
            "export interface Auth { }",
        ] {
            assert_eq!(made(text), None, "{text}");
        }
    }

    #[test]
    fn the_file_gives_type_parameters_and_ends_with_an_error() {
        let text =
            made("export class X<A extends { b: [1, 2] }, B = () => void> implements IAuth {}");
        let text = text.unwrap();
        assert!(
            text.contains("import type { IAuth as Contract0 } from \"./contracts/auth.js\";\n")
        );
        assert!(text.contains("= (x: Class0<any, any>): Contract0<any> => x;\n"), "{text}");
        assert!(text.ends_with("export const looked: string = 0;\n"));
    }

    #[test]
    fn odd_specifiers_and_texts_are_skipped() {
        let class = "export class Auth {}".to_owned();
        for module in ["src/auth", "./a\"b", "./a b", "", "./", "/etc/x", "./a//b", "./é", "./a\n"]
        {
            let list = [(module.to_owned(), class.clone())];
            assert_eq!(conformance_typescript("./c.js", CONTRACT, &list), None, "{module:?}");
            let list = [("./x.js".to_owned(), class.clone())];
            assert_eq!(conformance_typescript(module, CONTRACT, &list), None, "{module:?}");
        }
        let open = "export class A {".repeat(20_000);
        let generic = format!("export class A{}", "<".repeat(50_000));
        let close = "}".repeat(50_000);
        for text in
            [open.as_str(), &generic, &close, "export class", "`${`", "/*", "export {", "\\", "'\\"]
        {
            let _ = made(text);
            let list = [("./x.js".to_owned(), class.clone())];
            let _ = conformance_typescript("./c.js", text, &list);
        }
    }
}
