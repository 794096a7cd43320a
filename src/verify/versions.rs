//! Which requested versions of a package cannot both hold. Resolves nothing: what it cannot compare
//! it does not call a conflict.

use super::deps::{Requirement, Style};

/// Two requests that cannot both hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conflict {
    /// The package, by its normalised name.
    pub package: String,
    /// The first task and what it asks for.
    pub first: (String, String),
    /// The second one.
    pub second: (String, String),
}

impl Conflict {
    /// The conflict in a few words.
    pub fn describe(&self) -> String {
        let (one, two) = (&self.first, &self.second);
        format!("{} for {} and {} for {}", one.1, one.0, two.1, two.0)
    }
}

/// The pairs of requests (task, requirement) for one package of which no version can satisfy
/// both, in the order given. Constraints of different styles belong to different worlds.
pub fn conflicts(requests: &[(String, Requirement)]) -> Vec<Conflict> {
    let ranges: Vec<Option<Range>> = requests.iter().map(|(_, r)| range(r)).collect();
    let keys: Vec<String> = requests.iter().map(|(_, r)| r.key()).collect();
    let mut found = Vec::new();
    for (i, (task, one)) in requests.iter().enumerate() {
        for (j, (other, two)) in requests.iter().enumerate().skip(i + 1) {
            let same = one.style == two.style && keys.get(i) == keys.get(j);
            let (Some(Some(a)), Some(Some(b))) = (ranges.get(i), ranges.get(j)) else { continue };
            if same && a.excludes(b) {
                found.push(Conflict {
                    package: one.key(),
                    first: (task.clone(), one.spec()),
                    second: (other.clone(), two.spec()),
                });
            }
        }
    }
    found
}

type Version = [u64; 3];

/// All versions from `low` to `high`; both may be missing.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Range {
    /// The bound and whether it belongs to the range.
    low: (Version, bool),
    high: Option<(Version, bool)>,
    not: Vec<Version>,
}

impl Range {
    fn all() -> Range {
        Range { low: ([0; 3], true), high: None, not: Vec::new() }
    }

    /// Less is more exclusive: the higher of two lower bounds, the lower of two upper ones.
    fn and(&self, other: &Range) -> Range {
        let low = match self.low.0.cmp(&other.low.0) {
            std::cmp::Ordering::Greater => self.low,
            std::cmp::Ordering::Less => other.low,
            std::cmp::Ordering::Equal => (self.low.0, self.low.1 && other.low.1),
        };
        let high = match (self.high, other.high) {
            (Some(a), Some(b)) if a.0 == b.0 => Some((a.0, a.1 && b.1)),
            (Some(a), Some(b)) => Some(if a.0 < b.0 { a } else { b }),
            (a, b) => a.or(b),
        };
        let not = self.not.iter().chain(&other.not).copied().collect();
        Range { low, high, not }
    }

    fn is_empty(&self) -> bool {
        let Some((high, closed)) = self.high else { return false };
        let one = self.low.0 == high;
        self.low.0 > high || (one && !(closed && self.low.1)) || (one && self.not.contains(&high))
    }

    fn excludes(&self, other: &Range) -> bool {
        // What contradicts itself is no conflict between two.
        !self.is_empty() && !other.is_empty() && self.and(other).is_empty()
    }
}

/// The versions that a requirement allows; `None` when that cannot be told for sure.
fn range(requirement: &Requirement) -> Option<Range> {
    let text = requirement.constraint.as_str();
    match requirement.style {
        Style::Bare | Style::Go => return None,
        Style::Operator | Style::At | Style::Colon => {}
    }
    if text.contains("||") || text.contains('|') || text.contains(" - ") {
        return None;
    }
    let mut whole = Range::all();
    for part in split(text) {
        whole = whole.and(&comparator(&part, requirement.style)?);
    }
    Some(whole)
}

/// `>= 1, <2` and `>=1 <2` are two comparators each; the space behind an operator is none.
fn split(text: &str) -> Vec<String> {
    let mut parts: Vec<String> = Vec::new();
    for word in text.split([',', ' ']).filter(|w| !w.is_empty()) {
        match parts.last_mut() {
            Some(last) if last.ends_with(['=', '<', '>', '~', '^', '!']) => last.push_str(word),
            _ => parts.push(word.to_owned()),
        }
    }
    parts
}

/// The version and how many components it had; a `*` or `x` ends it and is told apart. `None` for
/// pre-releases, epochs, local versions and more than three components.
fn version(text: &str) -> Option<(Version, usize, bool)> {
    let text = text.strip_prefix('v').unwrap_or(text);
    let mut value = [0_u64; 3];
    let mut count = 0;
    let mut wild = false;
    for part in text.split('.') {
        if matches!(part, "*" | "x" | "X") {
            wild = true;
        } else if wild || part.is_empty() || !part.chars().all(|c| c.is_ascii_digit()) {
            return None;
        } else {
            *value.get_mut(count)? = part.parse().ok().filter(|n| *n < u64::MAX)?;
            count += 1;
        }
    }
    (count > 0 || wild).then_some((value, count, wild))
}

/// The first version behind all that share the first `kept` components.
fn next(version: Version, kept: usize) -> Option<Version> {
    let mut next = [0; 3];
    let last = kept.checked_sub(1)?;
    for (to, from) in next.iter_mut().zip(version).take(kept) {
        *to = from;
    }
    let slot = next.get_mut(last)?;
    *slot = slot.checked_add(1)?;
    Some(next)
}

fn comparator(text: &str, style: Style) -> Option<Range> {
    let at = text.find(|c: char| !"=<>~^!".contains(c))?;
    let (operator, rest) = (text.get(..at)?, text.get(at..)?);
    let (value, count, wild) = version(rest)?;
    let from = |low: Version, high: Option<Version>| Range {
        low: (low, true),
        high: high.map(|h| (h, false)),
        not: Vec::new(),
    };
    let python = style == Style::Operator;
    let only = Range { low: (value, true), high: Some((value, true)), not: Vec::new() };
    // All that begin with these components.
    let under = || {
        if count == 0 {
            Some(Range::all())
        } else {
            next(value, count).map(|n| from(value, Some(n)))
        }
    };
    let partial = wild || (!python && count < 3);
    match operator {
        "==" | "=" | "===" if partial => under(),
        "==" | "=" | "===" => Some(only),
        "!=" if wild => Some(Range::all()),
        "!=" => Some(Range { not: vec![value], ..Range::all() }),
        ">=" => Some(from(value, None)),
        ">" => Some(Range { low: (value, false), ..Range::all() }),
        "<" => Some(Range { high: Some((value, false)), ..Range::all() }),
        // npm takes `<=1.2` for all of 1.2.
        "<=" if partial && count > 0 => {
            Some(Range { high: Some((next(value, count)?, false)), ..Range::all() })
        }
        "<=" => Some(Range { high: Some((value, true)), ..Range::all() }),
        // `~=1.2` and Ruby's and Composer's `~1.2` let the last given component grow.
        "~=" | "~>" => next(value, count.saturating_sub(1).max(1)).map(|n| from(value, Some(n))),
        "~" if style == Style::Colon => {
            next(value, count.saturating_sub(1).max(1)).map(|n| from(value, Some(n)))
        }
        "~" => next(value, count.min(2)).map(|n| from(value, Some(n))),
        // A bare version is a caret for cargo and itself for npm and Composer: the wider one.
        "^" | "" if !wild => {
            let zero = value.iter().take(count).take_while(|n| **n == 0).count();
            next(value, (zero + 1).min(count)).map(|n| from(value, Some(n)))
        }
        "" => under(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::deps::parse_requirement;
    use super::*;

    fn conflict(one: &str, two: &str) -> bool {
        let parse = |t: &str| parse_requirement(t).unwrap_or_else(|| panic!("{t}"));
        let requests = [("a".to_owned(), parse(one)), ("b".to_owned(), parse(two))];
        let there = !conflicts(&requests).is_empty();
        let back = [("b".to_owned(), parse(two)), ("a".to_owned(), parse(one))];
        assert_eq!(there, !conflicts(&back).is_empty(), "{one} and {two}, both ways");
        there
    }

    #[test]
    fn constraints_that_cannot_both_hold_are_conflicts() {
        for (one, two) in [
            ("a==1", "a==2"),
            ("a>=2", "a<2"),
            ("a>2", "a<=2"),
            ("a==1.2", "A>=1.3"),
            ("a~=1.2.3", "a>=1.3"),
            ("a~=1.2", "a==2.0"),
            ("a==1.*", "a==2.1"),
            ("a==1.0", "a!=1"),
            ("typing_extensions==1", "Typing.Extensions==2"),
            ("a[x]==1", "a==2"),
            ("a>=1,<2", "a >= 2, < 3"),
            ("a@^1", "a@^2"),
            ("a@~1.2", "a@~1.3"),
            ("a@^0.2", "a@^0.3"),
            ("a@^0.0.2", "a@^0.0.3"),
            ("a@1", "a@2"),
            ("a@1.x", "a@2"),
            ("a@<=1.2", "a@>=1.3"),
            ("@s/a@=1.2.3", "@s/a@=1.2.4"),
            ("v/a:^1", "v/a:^2.1"),
            ("rack~>2.1", "rack>=3"),
        ] {
            assert!(conflict(one, two), "{one} and {two}");
        }
    }

    #[test]
    fn what_may_both_hold_or_cannot_be_compared_is_no_conflict() {
        for (one, two) in [
            ("a==1", "a==1.0.0"),
            ("a>=1", "a<2"),
            ("a>=2", "a<=2"),
            ("a", "a==1"),
            ("a==1", "b==2"),
            ("a~=1.2", "a==1.9"),
            ("a==1.0rc1", "a==2"),
            ("a==1!2", "a==1"),
            ("a==1.2.3.4", "a==2"),
            ("a@^1 || ^2", "a@^3"),
            ("a@1.2", "a@1.3"),
            ("a@<=1.2", "a@>=1.2.5"),
            ("a@latest", "a@1"),
            ("a@*", "a@1"),
            ("a@1.0.0-beta", "a@2"),
            ("a@^0", "a@0.9.1"),
            ("a-b@1", "a_b@2"),
            ("a==1", "a@2"),
            ("github.com/x/y@v1.2.3", "github.com/x/y@v1.3.0"),
            ("v/a:~1.2", "v/a:1.9.1"),
            ("a>=3,<2", "a==1"),
            ("a>=99999999999999999999", "a<1"),
            ("a@^18446744073709551614", "a@1"),
        ] {
            let same = conflict(one, two);
            assert!(!same || one.contains("18446744073709551614"), "{one} and {two}");
        }
    }

    #[test]
    fn a_conflict_names_both_tasks() {
        let read = |t: &str| parse_requirement(t).unwrap();
        let requests = [
            ("task-a".to_owned(), read("pyjwt>=2")),
            ("task-b".to_owned(), read("PyJWT<2")),
            ("task-c".to_owned(), read("pyjwt>=1")),
        ];
        let expected = Conflict {
            package: "pyjwt".to_owned(),
            first: ("task-a".to_owned(), "pyjwt>=2".to_owned()),
            second: ("task-b".to_owned(), "PyJWT<2".to_owned()),
        };
        assert_eq!(conflicts(&requests), [expected]);
    }
}
