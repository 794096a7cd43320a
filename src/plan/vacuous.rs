//! Whether a command can only pass, and so proves nothing. Knows shell words, runs nothing.

use super::schema::CheckSpec;

/// Programs that succeed whatever the work looks like.
const ALWAYS: [&str; 6] = ["true", ":", "echo", "ls", "printf", "pwd"];
/// Words before a command that change nothing about its success.
const BEFORE: [&str; 8] = ["command", "env", "exec", "time", "nice", "then", "(", "{"];

/// Whether none of the checks is required and can fail.
pub fn proves_nothing(checks: &[CheckSpec]) -> bool {
    checks.iter().filter(|c| c.required.unwrap_or(true)).all(|c| is_vacuous(&c.command))
}

/// Whether there are required checks, and none of them can fail.
pub fn only_passes_all(checks: &[CheckSpec]) -> bool {
    checks.iter().any(|c| c.required.unwrap_or(true)) && proves_nothing(checks)
}

/// Whether a command can only pass.
pub fn is_vacuous(command: &str) -> bool {
    let command = command.trim();
    // Nearly every command is one program with arguments, and not one of these: no need to take it apart.
    let first = command.split_whitespace().next().unwrap_or("");
    let signs = [';', '|', '&', '"', '\'', '\\', '(', '{', '#', '=', '/', '\n'];
    let known = |word: &str| ALWAYS.contains(&word) || BEFORE.contains(&word);
    let suspicious =
        known(first) || matches!(first, "exit" | "sh" | "bash") || first.starts_with("python");
    if !suspicious && !command.contains(signs) {
        return command.is_empty();
    }
    // What comes last decides; of `a && b` each, of `a || b` any that can only pass.
    let Some(parts) = split(command, &[";", "\n"]) else { return false };
    let Some(last) = parts.iter().rev().find(|p| !p.trim().is_empty()) else { return true };
    let stops = parts.iter().any(|p| p.trim().starts_with("set -") && p.contains('e'));
    let passes = |part: &str| {
        let Some(choices) = split(part, &["||"]) else { return false };
        choices.iter().any(|choice| {
            let Some(steps) = split(choice, &["&&"]) else { return false };
            steps.iter().all(|step| only_passes(step))
        })
    };
    if stops { parts.iter().all(|part| passes(part)) } else { passes(last) }
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
    let step = step.trim().trim_matches(['(', ')', '{', '}', ';', ' ', '\t']);
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
        ] {
            assert!(!is_vacuous(command), "{command}");
        }
    }
}
