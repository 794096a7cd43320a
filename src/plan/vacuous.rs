//! Whether a command can only pass, and so proves nothing. Knows shell words, runs nothing.

use super::schema::CheckSpec;

/// Programs that succeed whatever the work looks like.
const ALWAYS: [&str; 6] = ["true", ":", "echo", "ls", "printf", "pwd"];
/// Words before a command that change nothing about its success.
const BEFORE: [&str; 5] = ["command", "env", "exec", "time", "nice"];
/// Words with which a script decides for itself how it ends: such a one is not judged.
const DECIDES: [&str; 12] =
    ["if", "for", "while", "until", "case", "set", "trap", "return", "wait", "eval", "source", "!"];

/// Whether none of the checks is required and can fail.
pub fn proves_nothing(checks: &[CheckSpec]) -> bool {
    checks.iter().filter(|c| c.required.unwrap_or(true)).all(|c| is_vacuous(&c.command))
}

/// Whether there are required checks, and none of them can fail.
pub fn only_passes_all(checks: &[CheckSpec]) -> bool {
    checks.iter().any(|c| c.required.unwrap_or(true)) && proves_nothing(checks)
}

/// Whether a command can only pass. Refusing a plan whose check can fail would be worse than missing one that cannot,
/// so only what is plain is judged.
pub fn is_vacuous(command: &str) -> bool {
    let command = unwrapped(command.trim());
    // Nearly every command is one program with arguments, and not one of these: no need to take it apart.
    let first = command.split_whitespace().next().unwrap_or("");
    let signs = [';', '|', '&', '"', '\'', '\\', '#', '=', '/', '\n'];
    let known = |word: &str| ALWAYS.contains(&word) || BEFORE.contains(&word);
    let suspicious =
        known(first) || matches!(first, "exit" | "sh" | "bash") || first.starts_with("python");
    if !suspicious && !command.contains(signs) {
        return command.is_empty();
    }
    // Brackets, substitutions and here-documents nest; what is in them is not taken apart.
    let Some(parts) = split(command, &[";", "\n"]) else { return false };
    let bare: String = parts.join("\n");
    if outside_quotes(&bare).contains(['(', '{', '`', '<']) {
        return false;
    }
    let words = || bare.split(|c: char| c.is_whitespace() || matches!(c, ';' | '&' | '|'));
    if words().any(|word| DECIDES.contains(&word)) {
        return false;
    }
    let parts: Vec<&str> = parts.iter().map(|p| p.trim()).filter(|p| !p.is_empty()).collect();
    // A bare `exit` ends with what came before; any other number than 0 is a way to fail.
    let alone = parts.len() == 1;
    let exits = words().zip(words().skip(1).chain([""])).filter(|(word, _)| *word == "exit");
    if exits.into_iter().any(|(_, code)| code != "0" && !(alone && code.is_empty())) {
        return false;
    }
    // What comes last decides; of `a && b` each, of `a || b` any that can only pass.
    let Some(last) = parts.last() else { return true };
    let Some(choices) = split(last, &["||"]) else { return false };
    choices.iter().any(|choice| {
        let Some(steps) = split(choice, &["&&"]) else { return false };
        steps.iter().all(|step| only_passes(step))
    })
}

/// A command without the brackets that are all around it.
fn unwrapped(command: &str) -> &str {
    let inner = command
        .strip_prefix('(')
        .and_then(|c| c.strip_suffix(')'))
        .or_else(|| command.strip_prefix("{ ").and_then(|c| c.strip_suffix('}')));
    match inner {
        Some(inner) if !inner.contains(['(', ')', '{', '}']) => inner.trim().trim_end_matches(';'),
        Some(_) | None => command,
    }
}

/// The text without what stands in single quotes, and without plain words in double ones.
fn outside_quotes(command: &str) -> String {
    let mut out = String::new();
    let mut quote: Option<char> = None;
    let mut chars = command.chars();
    while let Some(c) = chars.next() {
        match quote {
            Some(q) if c == q => quote = None,
            Some('"') if matches!(c, '$' | '`') => out.push('`'),
            Some(_) => {}
            None if c == '"' || c == '\'' => quote = Some(c),
            None if c == '\\' => drop(chars.next()),
            None => out.push(c),
        }
    }
    out
}

/// Splits at operators outside of quotes, and leaves comments out; `None` for quotes that are not closed.
fn split(command: &str, operators: &[&str]) -> Option<Vec<String>> {
    let mut out = vec![String::new()];
    let mut quote: Option<char> = None;
    let mut chars = command.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        let rest = command.get(at..).unwrap_or("");
        let part = out.last_mut()?;
        match quote {
            Some(q) if c == q => quote = None,
            Some('"') | None if c == '\\' => {
                part.push(c);
                part.extend(chars.next().map(|(_, c)| c));
                continue;
            }
            Some(_) => {}
            None if c == '"' || c == '\'' => quote = Some(c),
            None if c == '#' && part.chars().next_back().is_none_or(char::is_whitespace) => {
                while chars.peek().is_some_and(|(_, c)| *c != '\n') {
                    chars.next();
                }
                continue;
            }
            None => {
                if let Some(operator) = operators.iter().find(|o| rest.starts_with(**o)) {
                    for _ in 1..operator.len() {
                        chars.next();
                    }
                    out.push(String::new());
                    continue;
                }
            }
        }
        part.push(c);
    }
    quote.is_none().then_some(out)
}

/// Whether one command, without `;`, `&&` and `||`, can only pass.
fn only_passes(step: &str) -> bool {
    // The last program of a pipe decides.
    let step = step.rsplit('|').next().unwrap_or(step);
    let Ok(words) = shell_words::split(step) else { return false };
    let is_setting = |w: &str| {
        let name = w.split('=').next().unwrap_or("");
        w.contains('=') && !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || c == '_')
    };
    let skipped = words.iter().skip_while(|w| BEFORE.contains(&w.as_str()) || is_setting(w));
    let words: Vec<&str> = skipped.map(String::as_str).collect();
    let Some(first) = words.first() else { return true };
    let program = first.rsplit('/').next().unwrap_or(first);
    match (program, words.get(1..).unwrap_or_default()) {
        ("exit", [] | ["0"]) => true,
        ("sh" | "bash", ["-c", inner]) => is_vacuous(inner),
        (python, ["-c", code]) if python.starts_with("python") => {
            code.split([';', '\n']).all(|s| {
                let s = s.trim();
                s.is_empty() || s == "pass" || s.starts_with("import ") || s.starts_with("from ")
            })
        }
        (program, _) => ALWAYS.contains(&program),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_that_can_only_pass_is_known() {
        for command in [
            "true",
            ":",
            "exit 0",
            "exit",
            "(exit 0)",
            "{ true; }",
            "/bin/true",
            "command true",
            "env true",
            "X=1",
            "X=1 true",
            "sh -c true",
            "echo ok",
            "ls src",
            "make test || true",
            "make test || exit 0",
            "make test ||true",
            "make test || echo failed",
            "make test; echo done",
            "make test; true",
            "make test | echo",
            "# make test",
            "true # make test",
            "python3 -c 'import app'",
            "python -c pass",
            "echo a && ls",
        ] {
            assert!(is_vacuous(command), "{command}");
        }
        for command in [
            "make test",
            "pytest # || true",
            "grep -q '|| true' x",
            "echo ok | grep -q ok",
            "set -e; make test; echo done",
            "cd web && npm test",
            "test -s x",
            "python3 -c 'import app; app.check()'",
            "exit 1",
            "sh -c 'make test'",
            "[ -f x ]",
            "true && make test",
            "make a || make b",
            "./true.sh",
            "grep -q foo x || { echo missing; exit 1; }",
            "{ make test; }",
            "( cd web; npm test; )",
            "make test && {\n echo ok\n}",
            "make test || exit 1\necho ok",
            "if ! make test; then exit 1; fi; echo ok",
            "for f in a b; do test -f $f || exit 1; done; echo ok",
            "make test; exit",
            "make test; exit $?",
            "out=\"$(make test)\"",
            "out=$(pytest)",
            "make lint && (make test || true)",
            "(set -e; make test; echo ok)",
            "set -euo pipefail\nmake test\necho ok",
            "python -c 'import app' || exit 1",
            "python3 - <<END\nassert 1\nEND\necho ok",
            "! grep -q TODO src",
            "trap 'exit 1' ERR; make test; echo ok",
        ] {
            assert!(!is_vacuous(command), "{command}");
        }
    }
}
