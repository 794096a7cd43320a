//! Paths and globs of a plan: normal form, matching, and the exact question whether two can name the same path.
//! Knows nothing of the disk.

use std::collections::BTreeSet;
use std::fmt;

use super::automaton::Automaton;
pub use super::automaton::PatternError;

/// A path or glob, relative to the repository's root.
#[derive(Clone)]
pub struct Pattern {
    text: String,
    shape: Shape,
    /// Whether a path is taken for a file, which has nothing below it that a glob could meet.
    file: bool,
}

#[derive(Clone)]
enum Shape {
    /// A path, and everything below it.
    Literal,
    /// Everything below a path (the text ends with `/`).
    Below,
    Glob(Box<Glob>),
}

#[derive(Clone)]
struct Glob {
    automaton: Automaton,
    /// What every path that it matches begins with.
    prefix: String,
    /// What every path that it matches ends with.
    suffix: String,
}

impl Glob {
    fn of(text: &str) -> Result<Glob, PatternError> {
        let special = |c: char| matches!(c, '*' | '?' | '[' | ']' | '{' | '}' | '\\');
        let first = text.find(special).unwrap_or(text.len());
        let last = text.rfind(special).map_or(0, |at| at + 1);
        Ok(Glob {
            automaton: Automaton::of_glob(text)?,
            prefix: text.get(..first).unwrap_or("").to_owned(),
            suffix: text.get(last..).unwrap_or("").to_owned(),
        })
    }
}

/// The longest path or glob, in bytes: more than a file system takes, and little enough to compare with others.
const LONGEST: usize = 4096;
const LONGEST_GLOB: usize = 1024;

impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pattern({})", self.text)
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Pattern {
    /// Reads `raw`. With `literal`, `*?[{` stand for themselves: it names an existing file.
    pub fn parse(raw: &str, literal: bool) -> Result<Pattern, PatternError> {
        if raw.len() <= LONGEST && is_plain(raw) {
            return Ok(Pattern::of(raw.to_owned(), Shape::Literal));
        }
        if raw.len() > LONGEST {
            return Err(PatternError::Malformed("it is longer than 4,096 characters"));
        }
        if raw.chars().any(|c| c.is_control()) {
            return Err(PatternError::Malformed("a control character stands in it"));
        }
        let drive = raw.as_bytes().get(1) == Some(&b':')
            && raw.as_bytes().first().is_some_and(u8::is_ascii_alphabetic)
            && matches!(raw.as_bytes().get(2), Some(b'/' | b'\\'));
        if raw.starts_with('/') || raw.starts_with('~') || drive {
            return Err(PatternError::Absolute);
        }
        let segments =
            if literal { raw.split('/').map(str::to_owned).collect() } else { split(raw)? };
        let below = segments.len() > 1 && segments.last().is_some_and(String::is_empty);
        let mut kept: Vec<String> = Vec::new();
        for segment in segments {
            match segment.as_str() {
                "" | "." => {}
                ".." => {
                    kept.pop().ok_or(PatternError::Escapes)?;
                }
                _ => kept.push(segment),
            }
        }
        let first = kept.first().ok_or(PatternError::Empty)?;
        if kept.iter().any(|s| s.eq_ignore_ascii_case(".git"))
            || first.eq_ignore_ascii_case("git~1")
        {
            return Err(PatternError::GitDir);
        }
        let joined = kept.join("/");
        let is_glob = !literal && joined.contains(['*', '?', '[', '{', '\\']);
        if !is_glob {
            let shape = if below { Shape::Below } else { Shape::Literal };
            let text = if below { format!("{joined}/") } else { joined };
            return Ok(Pattern::of(text, shape));
        }
        let text = if below { format!("{joined}/**") } else { joined };
        if text.len() > LONGEST_GLOB {
            return Err(PatternError::Malformed("a glob is longer than 1,024 characters"));
        }
        let shape = Shape::Glob(Box::new(Glob::of(&text)?));
        let pattern = Pattern::of(text, shape);
        if pattern.names_below("..") {
            return Err(PatternError::Escapes);
        }
        let starred = pattern.text.contains('*');
        if pattern.names_below(".git") || (!starred && pattern.matches(".git")) {
            return Err(PatternError::GitDir);
        }
        Ok(pattern)
    }

    /// The pattern as a file system sees it that does not tell `A` from `a`.
    pub fn folded(&self) -> Pattern {
        let shape = match &self.shape {
            Shape::Literal => Shape::Literal,
            Shape::Below => Shape::Below,
            Shape::Glob(glob) => Shape::Glob(Box::new(Glob {
                automaton: glob.automaton.folded(),
                prefix: glob.prefix.to_lowercase(),
                suffix: glob.suffix.to_lowercase(),
            })),
        };
        Pattern { text: self.text.to_lowercase(), shape, file: self.file }
    }

    /// What it names under another name, when `link` is a symbolic link to `target`: the paths below the link, moved
    /// below the target. `None` when it names nothing there.
    pub fn through_link(&self, link: &str, target: &str) -> Option<Pattern> {
        let below = |rest: &str| Pattern::parse(&format!("{target}{rest}"), true).ok();
        match &self.shape {
            Shape::Literal | Shape::Below => {
                let path = self.text.trim_end_matches('/');
                if path == link || is_below(link, path) {
                    return below("");
                }
                below(path.strip_prefix(link).filter(|rest| rest.starts_with('/'))?)
            }
            Shape::Glob(glob) => {
                let prefix = format!("{target}/");
                let automaton = glob.automaton.moved(&format!("{link}/"), &prefix)?;
                // The text is what it is known by, so it names the way.
                let text = format!("{} through {link} to {target}", self.text);
                let suffix = String::new();
                Some(Pattern::of(text, Shape::Glob(Box::new(Glob { automaton, prefix, suffix }))))
            }
        }
    }

    /// Reads `raw` in a tree where `existing` names files and directories whose names hold signs of globs: these signs
    /// stand for themselves.
    pub fn parse_in(raw: &str, existing: &BTreeSet<String>) -> Result<Pattern, PatternError> {
        if existing.contains(raw) || existing.is_empty() {
            return Pattern::parse(raw, existing.contains(raw));
        }
        let cuts =
            raw.rmatch_indices('/').filter_map(|(at, _)| Some((raw.get(..at)?, raw.get(at..)?)));
        let mut known = cuts.filter(|(dir, _)| existing.contains(*dir));
        let Some((dir, rest)) = known.next() else { return Pattern::parse(raw, false) };
        let mut escaped = String::with_capacity(raw.len() + 8);
        for c in dir.chars() {
            if matches!(c, '*' | '?' | '[' | ']' | '{' | '}' | '\\') {
                escaped.push('\\');
            }
            escaped.push(c);
        }
        Pattern::parse(&(escaped + rest), false)
    }

    fn of(text: String, shape: Shape) -> Pattern {
        // `docs/guide.md` is a file as long as nobody knows better, `docs` is not.
        let name = text.rsplit('/').next().unwrap_or("");
        let file = matches!(shape, Shape::Literal) && name.chars().skip(1).any(|c| c == '.');
        Pattern { text, shape, file }
    }

    /// The same path, of which is known whether it is a file.
    pub fn known_as_file(mut self, file: bool) -> Pattern {
        self.file = file && matches!(self.shape, Shape::Literal);
        self
    }

    /// The normal form.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The path, when no glob is in it; without the trailing `/`.
    pub fn literal(&self) -> Option<&str> {
        match self.shape {
            Shape::Literal => Some(&self.text),
            Shape::Below => Some(self.text.trim_end_matches('/')),
            Shape::Glob(_) => None,
        }
    }

    /// Whether it owns files all over the tree: a glob that crosses directories, or takes all of one, at the root.
    pub fn is_broad(&self) -> bool {
        matches!(self.shape, Shape::Glob(_))
            && (self.text.starts_with("**") || matches!(self.text.as_str(), "*" | "*/**" | "*/*"))
    }

    /// Whether it is `dir`, or goes below it on purpose: a glob does when no `*` stands before it is there.
    pub fn is_below(&self, dir: &str) -> bool {
        match &self.shape {
            Shape::Literal | Shape::Below => {
                let path = self.text.trim_end_matches('/');
                path == dir || is_below(path, dir)
            }
            Shape::Glob(_) => self.names_below(dir),
        }
    }

    /// Whether a glob names paths below `dir`, and no `*` stands before it is there.
    fn names_below(&self, dir: &str) -> bool {
        let Shape::Glob(glob) = &self.shape else { return false };
        let depth = dir.matches('/').count() + 1;
        let before_star = self.text.split('*').next().unwrap_or("");
        (!self.text.contains('*') || before_star.matches('/').count() >= depth)
            && glob.automaton.reaches(&format!("{dir}/"))
    }

    /// Whether it is a glob.
    pub fn is_glob(&self) -> bool {
        matches!(self.shape, Shape::Glob(_))
    }

    /// The directories and the file that lie on the way to every path that it matches, the outermost first.
    pub fn fixed_parents(&self) -> Vec<&str> {
        let fixed = self.fixed_prefix();
        let whole = if matches!(self.shape, Shape::Glob(_)) {
            None
        } else {
            Some(fixed.trim_end_matches('/'))
        };
        let cuts = fixed.match_indices('/').filter_map(|(at, _)| fixed.get(..at));
        let mut out: Vec<&str> = cuts.chain(whole).collect();
        out.dedup();
        out
    }

    /// What every path that it matches begins with.
    pub fn fixed_prefix(&self) -> &str {
        match &self.shape {
            Shape::Literal | Shape::Below => &self.text,
            Shape::Glob(glob) => &glob.prefix,
        }
    }

    /// Whether `path` (normal form, no glob) is one that it names.
    pub fn matches(&self, path: &str) -> bool {
        match &self.shape {
            Shape::Literal => path == self.text || is_below(path, &self.text),
            Shape::Below => path.starts_with(&self.text),
            Shape::Glob(glob) => glob.automaton.matches(path),
        }
    }

    /// Whether some path is named by both. Exact: neither a guess nor a sample.
    pub fn overlaps(&self, other: &Pattern) -> bool {
        match (&self.shape, &other.shape) {
            (Shape::Glob(a), Shape::Glob(b)) => {
                prefixes_agree(&a.prefix, &b.prefix)
                    && (a.suffix.ends_with(&b.suffix) || b.suffix.ends_with(&a.suffix))
                    && Automaton::meet(&a.automaton, &b.automaton)
            }
            (Shape::Glob(a), Shape::Literal | Shape::Below) => {
                prefixes_agree(self.fixed_prefix(), &other.text)
                    && Automaton::meet(&a.automaton, &other.automaton())
            }
            (Shape::Literal | Shape::Below, Shape::Glob(_)) => other.overlaps(self),
            (Shape::Literal | Shape::Below, Shape::Literal | Shape::Below) => {
                let (a, b) = (self.text.trim_end_matches('/'), other.text.trim_end_matches('/'));
                a == b || is_below(a, b) || is_below(b, a)
            }
        }
    }

    /// A literal as an automaton.
    fn automaton(&self) -> Automaton {
        let itself = matches!(self.shape, Shape::Literal);
        Automaton::of_path(self.text.trim_end_matches('/'), itself, !self.file)
    }
}

/// Whether `path` lies below the directory `dir`.
pub fn is_below(path: &str, dir: &str) -> bool {
    path.strip_prefix(dir).is_some_and(|rest| rest.starts_with('/'))
}

/// The directories and the file on the way to `raw`, the outermost first, when it is a plain path.
pub fn plain_parents(raw: &str) -> Option<impl Iterator<Item = &str>> {
    let cuts = || raw.match_indices('/').filter_map(|(at, _)| raw.get(..at)).chain([raw]);
    is_plain(raw).then(cuts)
}

/// Whether `raw` is in normal form already, with nothing in it that has a meaning: nearly every path is.
fn is_plain(raw: &str) -> bool {
    let sign = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.' | b'/');
    let odd = |segment: &str| {
        matches!(segment, "" | "." | "..")
            || segment.eq_ignore_ascii_case(".git")
            || segment.eq_ignore_ascii_case("git~1")
    };
    raw.bytes().all(sign) && !raw.split('/').any(odd)
}

fn prefixes_agree(a: &str, b: &str) -> bool {
    let (a, b) = (a.trim_end_matches('/'), b.trim_end_matches('/'));
    a.starts_with(b) || b.starts_with(a)
}

/// Splits at `/` outside of brackets and braces, and checks that these are closed.
fn split(raw: &str) -> Result<Vec<String>, PatternError> {
    let mut out = vec![String::new()];
    let mut depth = 0_usize;
    let mut chars = raw.chars().peekable();
    while let Some(c) = chars.next() {
        let mut push = |c: char| {
            if let Some(last) = out.last_mut() {
                last.push(c);
            }
        };
        match c {
            '\\' => {
                push(c);
                push(chars.next().ok_or(PatternError::Malformed("it ends with a lone `\\`"))?);
            }
            '{' => {
                depth += 1;
                push(c);
            }
            '}' if depth > 0 => {
                depth -= 1;
                push(c);
            }
            '[' => {
                push(c);
                let mut first = true;
                loop {
                    let inner =
                        chars.next().ok_or(PatternError::Malformed("a `[` is not closed"))?;
                    push(inner);
                    match inner {
                        ']' if !first => break,
                        '!' | '^' if first => continue,
                        '\\' => push(
                            chars.next().ok_or(PatternError::Malformed("a `[` is not closed"))?,
                        ),
                        '/' => return Err(PatternError::Malformed("a `/` stands inside `[…]`")),
                        _ => {}
                    }
                    first = false;
                }
            }
            '/' if depth == 0 => out.push(String::new()),
            other => push(other),
        }
    }
    if depth > 0 {
        return Err(PatternError::Malformed("a `{` is not closed"));
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn pattern(raw: &str) -> Pattern {
        Pattern::parse(raw, false).unwrap_or_else(|e| panic!("{raw}: {e:?}"))
    }

    #[test]
    fn a_path_has_one_normal_form() {
        for (raw, normal) in [
            ("./a", "a"),
            ("a//b", "a/b"),
            ("a/./b", "a/b"),
            ("a/x/../b", "a/b"),
            ("a/b/", "a/b/"),
            ("x/*/", "x/*/**"),
        ] {
            assert_eq!(pattern(raw).as_str(), normal);
        }
    }

    #[test]
    fn a_path_that_leaves_the_repository_is_refused() {
        let refused = |raw| Pattern::parse(raw, false).unwrap_err();
        assert_eq!(refused("/etc/passwd"), PatternError::Absolute);
        assert_eq!(refused("C:\\x"), PatternError::Absolute);
        assert_eq!(refused("~/x"), PatternError::Absolute);
        assert_eq!(refused("../x"), PatternError::Escapes);
        assert_eq!(refused("a/../../x"), PatternError::Escapes);
        assert_eq!(refused(".git/hooks/x"), PatternError::GitDir);
        assert_eq!(refused("a/.GIT/x"), PatternError::GitDir);
        assert_eq!(refused("{..,a}/x"), PatternError::Escapes);
        assert_eq!(refused("{.git,x}/config"), PatternError::GitDir);
        assert_eq!(refused(".gi[t]/config"), PatternError::GitDir);
        assert!(Pattern::parse("*/config", false).is_ok());
        let long = "*a".repeat(600);
        assert!(matches!(refused(&long), PatternError::Malformed(_)));
        assert_eq!(refused("."), PatternError::Empty);
        assert!(matches!(refused("a[b"), PatternError::Malformed(_)));
        assert!(matches!(refused("a{b"), PatternError::Malformed(_)));
        assert!(matches!(refused("a\u{0}b"), PatternError::Malformed(_)));
    }

    #[test]
    fn a_glob_matches_what_the_page_says() {
        let cases = [
            ("src/*.py", "src/a.py", true),
            ("src/*.py", "src/x/a.py", false),
            ("src/**", "src/x/a.py", true),
            ("src/**", "src", false),
            ("**/a.py", "a.py", true),
            ("**/a.py", "x/y/a.py", true),
            ("**/a.py", "xa.py", false),
            ("a/**/b", "a/b", true),
            ("a/**/b", "a/x/y/b", true),
            ("{a,b/c}/d", "b/c/d", true),
            ("{a,b/c}/d", "b/d", false),
            ("f?", "fo", true),
            ("f?", "f/", false),
            ("[a-c]x", "bx", true),
            ("[!a-c]x", "bx", false),
            ("[!a-c]x", "dx", true),
            ("a\\*", "a*", true),
            ("a\\*", "ab", false),
            ("dir/", "dir/x/y", true),
            ("dir/", "dir", false),
            ("dir", "dir/x", true),
            ("dir", "dirx", false),
        ];
        for (glob, path, expected) in cases {
            assert_eq!(pattern(glob).matches(path), expected, "{glob} on {path}");
        }
    }

    #[test]
    fn an_existing_file_with_brackets_in_its_name_is_that_file() {
        let page = Pattern::parse("app/[id]/page.tsx", true).unwrap();
        assert!(page.matches("app/[id]/page.tsx"));
        assert!(!page.matches("app/i/page.tsx"));
    }

    #[test]
    fn a_directory_with_brackets_in_its_name_is_that_directory() {
        let existing = BTreeSet::from(["app/[id]".to_owned()]);
        let all = Pattern::parse_in("app/[id]/**", &existing).unwrap();
        assert!(all.matches("app/[id]/page.tsx") && !all.matches("app/i/page.tsx"));
        let page = Pattern::parse("app/[id]/page.tsx", true).unwrap();
        assert!(all.overlaps(&page));
    }

    #[test]
    fn overlap_is_decided_exactly() {
        let cases = [
            ("src/*.py", "src/a*", true),
            ("src/*.py", "src/*.rs", false),
            ("src/a*b", "src/*c", false),
            ("src/a*b", "src/*b", true),
            ("src/*", "src/a/b", false),
            ("src/**", "src/a/b", true),
            ("src", "src/a/b", true),
            ("src", "srcx", false),
            ("src/", "src/a", true),
            ("**/test_*.py", "tests/**", true),
            ("[ab]x", "[cd]x", false),
            ("[!a]", "a", false),
            ("{a,b}/x", "{b,c}/x", true),
            ("{a,b}/x", "{c,d}/x", false),
            ("a/*/b", "a/b", true),
            ("a/?/b", "a/bc", false),
            ("a/**/b", "a/b", true),
            ("?", "..x", false),
            ("**/*.py", "docs/guide.md", false),
            ("**/*.py", "docs", true),
            ("**/*.py", "conf.d/", true),
            ("*", ".github", true),
            (".github/**", ".github", true),
        ];
        for (a, b, expected) in cases {
            assert_eq!(pattern(a).overlaps(&pattern(b)), expected, "{a} and {b}");
            assert_eq!(pattern(b).overlaps(&pattern(a)), expected, "{b} and {a}");
        }
    }

    #[test]
    fn letters_of_either_case_meet_in_folded_patterns() {
        let folded = |raw| pattern(raw).folded();
        for (a, b, expected) in [
            ("Docs/A.md", "docs/a.md", true),
            ("[X-c]/f", "x/F", true),
            ("SRC/*.PY", "src/a.py", true),
            ("Ä*", "äx", true),
            ("a*", "bA", false),
        ] {
            assert_eq!(folded(a).overlaps(&folded(b)), expected, "{a} and {b}");
        }
        let moved = pattern("L*/x.py").through_link("Lib", "Src").unwrap().folded();
        assert!(moved.overlaps(&folded("src/X.py")) && !moved.overlaps(&folded("src/y.py")));
    }

    #[test]
    fn a_glob_goes_below_a_directory_only_on_purpose() {
        for (glob, below) in [
            ("my docs/*.md", true),
            ("my[ ]docs/*.md", true),
            ("{my docs,a}/x", true),
            ("my docs/*", true),
            ("**/x.md", false),
            ("*/x.md", false),
            ("other/*", false),
        ] {
            assert_eq!(pattern(glob).is_below("my docs"), below, "{glob}");
        }
    }

    /// Every well-formed path of up to `max` characters over a small alphabet.
    fn paths(max: usize) -> Vec<String> {
        let mut all = vec![String::new()];
        let mut last = all.clone();
        for _ in 0..max {
            last = last.iter().flat_map(|p| ['a', 'b', '/'].map(|c| format!("{p}{c}"))).collect();
            all.extend(last.iter().cloned());
        }
        all.retain(|p| !p.is_empty() && p.split('/').all(|s| !s.is_empty()));
        all
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]
        #[test]
        fn overlap_agrees_with_trying_every_short_path(
            left in "([ab]|\\*|\\?|\\[ab\\]|\\[!a\\]|\\{a,b\\}|\\*\\*/|/){1,3}",
            right in "([ab]|\\*|\\?|\\[ab\\]|\\[!a\\]|\\{a,b\\}|\\*\\*/|/){1,3}",
        ) {
            let (Ok(a), Ok(b)) = (Pattern::parse(&left, false), Pattern::parse(&right, false)) else {
                return Ok(());
            };
            let tried = paths(8).iter().any(|p| a.matches(p) && b.matches(p));
            // A literal that is a directory overlaps what is below it, which `matches` says too.
            // `[!a]` may need a character that is not in the alphabet, never here: b is in it.
            if tried {
                prop_assert!(a.overlaps(&b), "{left} and {right} share a path");
            } else {
                prop_assert!(!a.overlaps(&b), "{left} and {right} share no short path");
            }
        }
    }
}
