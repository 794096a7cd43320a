//! Globs as automata over the characters of a path: matching, and the exact question whether two meet.

use std::collections::HashSet;

/// Why a path in a plan is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PatternError {
    /// It is empty or names the root itself.
    Empty,
    /// It begins with `/`, `~` or a drive.
    Absolute,
    /// It leaves the repository through `..`.
    Escapes,
    /// It lies in `.git`.
    GitDir,
    /// A bracket, brace or escape is not closed, or a control character stands in it.
    Malformed(&'static str),
}

/// A set of characters as sorted, disjoint, inclusive ranges.
#[derive(Clone)]
struct Class(Vec<(char, char)>);

impl Class {
    fn one(c: char) -> Class {
        Class(vec![(c, c)])
    }

    fn any() -> Class {
        Class(vec![('\u{0}', char::MAX)])
    }

    fn not_slash() -> Class {
        Class(vec![('\u{0}', '.'), ('0', char::MAX)])
    }

    fn has(&self, c: char) -> bool {
        self.0.iter().any(|(a, b)| *a <= c && c <= *b)
    }

    /// Sorted and merged; with `negated` the complement; never the slash.
    fn of(mut ranges: Vec<(char, char)>, negated: bool) -> Class {
        ranges.sort_unstable();
        let mut merged: Vec<(u32, u32)> = Vec::new();
        for (a, b) in ranges {
            match merged.last_mut() {
                Some(last) if u32::from(a) <= last.1.saturating_add(1) => {
                    last.1 = last.1.max(u32::from(b));
                }
                Some(_) | None => merged.push((u32::from(a), u32::from(b))),
            }
        }
        if negated {
            let mut gaps = Vec::new();
            let mut from = 0_u32;
            for (a, b) in &merged {
                if *a > from {
                    gaps.push((from, a - 1));
                }
                from = b.saturating_add(1);
            }
            if from <= u32::from(char::MAX) {
                gaps.push((from, u32::from(char::MAX)));
            }
            merged = gaps;
        }
        // Ends that fall between the surrogates move to the nearest character.
        let up = |n: u32| char::from_u32(n).unwrap_or('\u{e000}');
        let down = |n: u32| char::from_u32(n).unwrap_or('\u{d7ff}');
        let class = Class(
            merged.into_iter().map(|(a, b)| (up(a), down(b))).filter(|(a, b)| a <= b).collect(),
        );
        class.meet(&Class::not_slash())
    }

    /// The same characters in either case.
    fn folded(&self) -> Class {
        let mut out = self.0.clone();
        for &(a, b) in &self.0 {
            for (from, to) in [('A', 'Z'), ('a', 'z')] {
                let (low, high) = (a.max(from), b.min(to));
                if low <= high {
                    let swap = |c: char| char::from((c as u8) ^ 0x20);
                    out.push((swap(low), swap(high)));
                }
            }
            // Beyond ASCII only what stands alone: no range of other scripts is meant to be folded.
            if a == b && !a.is_ascii() {
                out.extend(a.to_lowercase().chain(a.to_uppercase()).map(|c| (c, c)));
            }
        }
        Class(out)
    }

    fn meet(&self, other: &Class) -> Class {
        let mut out = Vec::new();
        for (a, b) in &self.0 {
            for (c, d) in &other.0 {
                let (low, high) = ((*a).max(*c), (*b).min(*d));
                if low <= high {
                    out.push((low, high));
                }
            }
        }
        Class(out)
    }
}

#[derive(Clone, Default)]
struct Node {
    free: Vec<usize>,
    edges: Vec<(Class, usize)>,
}

/// A nondeterministic automaton over the characters of a path.
#[derive(Clone)]
pub(super) struct Automaton {
    nodes: Vec<Node>,
    start: usize,
    accept: usize,
}

impl Automaton {
    fn new() -> Automaton {
        Automaton { nodes: vec![Node::default(), Node::default()], start: 0, accept: 1 }
    }

    fn node(&mut self) -> usize {
        self.nodes.push(Node::default());
        self.nodes.len() - 1
    }

    fn edge(&mut self, from: usize, class: Class, to: usize) {
        self.nodes[from].edges.push((class, to));
    }

    /// With `itself` the path, and with `below` everything below it.
    pub(super) fn of_path(path: &str, itself: bool, below: bool) -> Automaton {
        let mut automaton = Automaton::new();
        let mut at = automaton.start;
        for c in path.chars() {
            at = automaton.step(at, Class::one(c));
        }
        let accept = automaton.accept;
        if itself {
            automaton.nodes[at].free.push(accept);
        }
        if !below {
            return automaton;
        }
        let deep = automaton.step(at, Class::one('/'));
        let inside = automaton.step(deep, Class::any());
        automaton.edge(inside, Class::any(), inside);
        automaton.nodes[inside].free.push(accept);
        automaton
    }

    /// What the glob `text` matches.
    pub(super) fn of_glob(text: &str) -> Result<Automaton, PatternError> {
        let mut automaton = Automaton::new();
        let chars: Vec<char> = text.chars().collect();
        let mut at = 0;
        let start = automaton.start;
        let end = automaton.sequence(&chars, &mut at, start, true, 0)?;
        let accept = automaton.accept;
        automaton.nodes[end].free.push(accept);
        Ok(automaton)
    }

    /// Builds from `chars[*at..]` up to the end, or up to `,` or `}` inside braces. `fresh` says whether
    /// a path segment begins here.
    fn sequence(
        &mut self,
        chars: &[char],
        at: &mut usize,
        from: usize,
        mut fresh: bool,
        depth: usize,
    ) -> Result<usize, PatternError> {
        if depth > 8 {
            return Err(PatternError::Malformed("braces are nested deeper than 8"));
        }
        let mut node = from;
        while let Some(&c) = chars.get(*at) {
            let mut next_fresh = false;
            match c {
                ',' | '}' if depth > 0 => break,
                '*' if chars.get(*at + 1) == Some(&'*') => {
                    while chars.get(*at) == Some(&'*') {
                        *at += 1;
                    }
                    let next = self.node();
                    if fresh && chars.get(*at) == Some(&'/') {
                        // `**/`: no directory, or any number of them.
                        *at += 1;
                        let inside = self.node();
                        self.nodes[node].free.push(next);
                        self.nodes[node].free.push(inside);
                        self.edge(inside, Class::any(), inside);
                        self.edge(inside, Class::one('/'), next);
                        next_fresh = true;
                    } else {
                        self.nodes[node].free.push(next);
                        self.edge(next, Class::any(), next);
                    }
                    node = next;
                    fresh = next_fresh;
                    continue;
                }
                '*' => {
                    let next = self.node();
                    self.nodes[node].free.push(next);
                    self.edge(next, Class::not_slash(), next);
                    node = next;
                }
                '?' => node = self.step(node, Class::not_slash()),
                '[' => {
                    let class = read_class(chars, at)?;
                    node = self.step(node, class);
                }
                '{' => {
                    let out = self.node();
                    loop {
                        *at += 1;
                        let end = self.sequence(chars, at, node, fresh, depth + 1)?;
                        self.nodes[end].free.push(out);
                        match chars.get(*at) {
                            Some(',') => {}
                            Some('}') => break,
                            Some(_) | None => {
                                return Err(PatternError::Malformed("a `{` is not closed"));
                            }
                        }
                    }
                    node = out;
                }
                '\\' => {
                    *at += 1;
                    let c = chars
                        .get(*at)
                        .ok_or(PatternError::Malformed("it ends with a lone `\\`"))?;
                    node = self.step(node, Class::one(*c));
                }
                '/' => {
                    node = self.step(node, Class::one('/'));
                    next_fresh = true;
                }
                other => node = self.step(node, Class::one(other)),
            }
            fresh = next_fresh;
            *at += 1;
        }
        Ok(node)
    }

    /// The rest of every path that begins with `from`, put behind `to`; `None` when no path begins so.
    pub(super) fn moved(&self, from: &str, to: &str) -> Option<Automaton> {
        let (set, _) = self.reach(from)?;
        let mut moved = self.clone();
        moved.start = moved.node();
        let mut at = moved.start;
        for c in to.chars() {
            at = moved.step(at, Class::one(c));
        }
        moved.nodes[at].free.extend(set);
        Some(moved)
    }

    fn step(&mut self, from: usize, class: Class) -> usize {
        let next = self.node();
        self.edge(from, class, next);
        next
    }

    /// `set` and all that is reached from it without a character.
    fn close(&self, set: &mut Vec<usize>, seen: &mut [bool]) {
        let mut n = 0;
        while let Some(&node) = set.get(n) {
            for &free in &self.nodes[node].free {
                if !seen[free] {
                    seen[free] = true;
                    set.push(free);
                }
            }
            n += 1;
        }
    }

    pub(super) fn matches(&self, path: &str) -> bool {
        self.reach(path).is_some_and(|(_, seen)| seen[self.accept])
    }

    /// Whether some path begins with `start`.
    pub(super) fn reaches(&self, start: &str) -> bool {
        self.reach(start).is_some()
    }

    /// The automaton that takes every character in either case.
    pub(super) fn folded(&self) -> Automaton {
        let mut folded = self.clone();
        for node in &mut folded.nodes {
            for (class, _) in &mut node.edges {
                *class = class.folded();
            }
        }
        folded
    }

    /// The nodes that are reached over `path`, as a list and as a mark for each; `None` when there is none.
    fn reach(&self, path: &str) -> Option<(Vec<usize>, Vec<bool>)> {
        let mut seen = vec![false; self.nodes.len()];
        seen[self.start] = true;
        let mut set = vec![self.start];
        self.close(&mut set, &mut seen);
        for c in path.chars() {
            let mut next_seen = vec![false; self.nodes.len()];
            let mut next = Vec::new();
            for &node in &set {
                for (class, to) in &self.nodes[node].edges {
                    if !next_seen[*to] && class.has(c) {
                        next_seen[*to] = true;
                        next.push(*to);
                    }
                }
            }
            self.close(&mut next, &mut next_seen);
            if next.is_empty() {
                return None;
            }
            set = next;
            seen = next_seen;
        }
        Some((set, seen))
    }

    /// Whether some well-formed path is accepted by both: a search through pairs of nodes, with the
    /// state of the current segment, since no path has an empty, `.` or `..` segment.
    pub(super) fn meet(a: &Automaton, b: &Automaton) -> bool {
        #[derive(Clone, Copy, PartialEq, Eq, Hash)]
        enum Segment {
            Empty,
            Dot,
            DotDot,
            Named,
        }
        let mut todo = vec![(a.start, b.start, Segment::Empty)];
        let mut seen: HashSet<(usize, usize, Segment)> = todo.iter().copied().collect();
        while let Some((x, y, segment)) = todo.pop() {
            if x == a.accept && y == b.accept && segment == Segment::Named {
                return true;
            }
            let mut visit = |state| {
                if seen.insert(state) {
                    todo.push(state);
                }
            };
            for &free in &a.nodes[x].free {
                visit((free, y, segment));
            }
            for &free in &b.nodes[y].free {
                visit((x, free, segment));
            }
            for (left, to_x) in &a.nodes[x].edges {
                for (right, to_y) in &b.nodes[y].edges {
                    let both = left.meet(right);
                    if both.has('/') && segment == Segment::Named {
                        visit((*to_x, *to_y, Segment::Empty));
                    }
                    if both.has('.') {
                        let next = match segment {
                            Segment::Empty => Segment::Dot,
                            Segment::Dot => Segment::DotDot,
                            Segment::DotDot | Segment::Named => Segment::Named,
                        };
                        visit((*to_x, *to_y, next));
                    }
                    let plain = |c: char| c != '/' && c != '.';
                    if both.0.iter().any(|(low, high)| {
                        plain(*low) || plain(*high) || u32::from(*high) - u32::from(*low) > 1
                    }) {
                        visit((*to_x, *to_y, Segment::Named));
                    }
                }
            }
        }
        false
    }
}

/// Reads `[…]` from its `[`; leaves `at` on the `]`.
fn read_class(chars: &[char], at: &mut usize) -> Result<Class, PatternError> {
    const OPEN: PatternError = PatternError::Malformed("a `[` is not closed");
    *at += 1;
    let negated = matches!(chars.get(*at), Some('!' | '^'));
    if negated {
        *at += 1;
    }
    let mut ranges = Vec::new();
    let mut first = true;
    loop {
        let mut low = *chars.get(*at).ok_or(OPEN)?;
        if low == ']' && !first {
            return Ok(Class::of(ranges, negated));
        }
        first = false;
        if low == '\\' {
            *at += 1;
            low = *chars.get(*at).ok_or(OPEN)?;
        }
        *at += 1;
        let mut high = low;
        if chars.get(*at) == Some(&'-') && chars.get(*at + 1).is_some_and(|c| *c != ']') {
            *at += 1;
            high = *chars.get(*at).ok_or(OPEN)?;
            if high == '\\' {
                *at += 1;
                high = *chars.get(*at).ok_or(OPEN)?;
            }
            *at += 1;
        }
        if low > high {
            return Err(PatternError::Malformed("a range in `[…]` runs backwards"));
        }
        ranges.push((low, high));
    }
}
