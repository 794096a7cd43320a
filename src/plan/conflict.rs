//! Which unordered tasks would touch the same thing: every pair, exactly. Knows indices, patterns and order.

use std::collections::HashMap;

use super::diagnostic::Code;
use super::pattern::Pattern;
use super::wave::Order;

/// How many conflicts are listed; all are counted.
pub const LISTED: usize = 1000;

/// What one task does to one thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Role {
    /// Owns it.
    Write,
    /// Relies on it.
    Read,
    /// Adds lines to it; appenders do not disturb each other or readers.
    Append,
    /// Has the engine edit it; intents do not disturb each other, appenders or readers.
    Intent,
}

/// A mention in short: the task, its role, and which of its mentions in that role.
pub type Side = (usize, Role, usize);

/// One mention of a file or resource by a task.
#[derive(Debug, Clone)]
pub struct Claim<T> {
    /// The task's index.
    pub task: usize,
    /// What it does.
    pub role: Role,
    /// Where among the task's mentions in that role, for the place in the file.
    pub nth: usize,
    /// The thing.
    pub target: T,
}

/// Two unordered tasks that touch the same thing, at least one of them writing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conflict {
    /// The problem's code.
    pub code: Code,
    /// The path, pattern or resource.
    pub target: String,
    /// The mentions, the task earlier in the plan first.
    pub sides: [Side; 2],
}

/// What was found.
#[derive(Debug, Default)]
pub struct Found {
    /// The first of them, in the order of the plan.
    pub listed: Vec<Conflict>,
    /// How many there are.
    pub count: usize,
}

/// Claims on one thing or on two overlapping things: every one of `left` meets every one of `right`.
struct Meeting<'a> {
    target: &'a str,
    files: bool,
    /// Sorted by topological position.
    left: Vec<Side>,
    /// `None`: the left side meets itself.
    right: Option<Vec<Side>>,
}

/// Every conflict between `files` claims and between `resources` claims.
pub fn find(order: &Order, files: &[Claim<&Pattern>], resources: &[Claim<&str>]) -> Found {
    let mut meetings = file_meetings(order, files);
    let named = Groups::of(resources.iter().map(|claim| (claim.target, side(claim))));
    for (group, name) in named.names.iter().enumerate() {
        if let Some(left) = named.clashing(group, order) {
            meetings.push(Meeting { target: name, files: false, left, right: None });
        }
    }
    for meeting in &mut meetings {
        strongest(&mut meeting.left);
        if let Some(right) = &mut meeting.right {
            strongest(right);
        }
    }
    meetings.retain(|meeting| {
        let all = || meeting.left.iter().chain(meeting.right.iter().flatten());
        all().any(|side| side.1 == Role::Write) && all().count() > 1
    });
    meetings.sort_by(|a, b| a.target.cmp(b.target).then(a.files.cmp(&b.files)));
    for meeting in &mut meetings {
        let by_place = |c: &Side| (order.position[c.0], c.1, c.2);
        meeting.left.sort_unstable_by_key(by_place);
        if let Some(right) = &mut meeting.right {
            right.sort_unstable_by_key(by_place);
        }
    }
    unordered_pairs(order, &meetings)
}

fn side<T>(claim: &Claim<T>) -> Side {
    (claim.task, claim.role, claim.nth)
}

/// One side for each task: who owns a thing and reads it as well, owns it.
fn strongest(sides: &mut Vec<Side>) {
    let rank = |role: Role| match role {
        Role::Write => 0,
        Role::Append => 1,
        Role::Intent => 2,
        Role::Read => 3,
    };
    sides.sort_unstable_by_key(|s| (s.0, rank(s.1), s.2));
    sides.dedup_by_key(|s| s.0);
}

/// Claims by name, in chains through one list: most names have one claim, and a vector for each would cost more than
/// all the rest.
#[derive(Default)]
struct Groups<'a> {
    index: HashMap<&'a str, usize>,
    names: Vec<&'a str>,
    /// For every name its last claim.
    last: Vec<usize>,
    /// Every claim, and the one before it of the same name.
    chain: Vec<(Side, Option<usize>)>,
}

impl<'a> Groups<'a> {
    fn of(claims: impl Iterator<Item = (&'a str, Side)>) -> Groups<'a> {
        let mut groups = Groups::default();
        let many = claims.size_hint().0;
        groups.index.reserve(many);
        groups.chain.reserve(many);
        for (name, side) in claims {
            let here = groups.chain.len();
            match groups.index.entry(name) {
                std::collections::hash_map::Entry::Occupied(found) => {
                    let before = std::mem::replace(&mut groups.last[*found.get()], here);
                    groups.chain.push((side, Some(before)));
                }
                std::collections::hash_map::Entry::Vacant(free) => {
                    free.insert(groups.names.len());
                    groups.names.push(name);
                    groups.last.push(here);
                    groups.chain.push((side, None));
                }
            }
        }
        groups
    }

    fn is_shared(&self, group: usize) -> bool {
        self.chain[self.last[group]].1.is_some()
    }

    /// The claims of a name that more than one task has, when they may clash.
    fn clashing(&self, group: usize, order: &Order) -> Option<Vec<Side>> {
        let (last, before) = self.chain[self.last[group]];
        let (first, others) = self.chain[before?];
        // Most shared things are handed from one task to the next, and need no further thought.
        let waits = |a: Side, b: Side| order.dependencies[a.0].binary_search(&b.0).is_ok();
        if others.is_none() && (last.0 == first.0 || waits(last, first) || waits(first, last)) {
            return None;
        }
        Some(self.sides(group))
    }

    fn sides(&self, group: usize) -> Vec<Side> {
        let mut out = Vec::new();
        let mut at = Some(self.last[group]);
        while let Some(here) = at {
            out.push(self.chain[here].0);
            at = self.chain[here].1;
        }
        out
    }
}

fn file_meetings<'a>(order: &Order, files: &[Claim<&'a Pattern>]) -> Vec<Meeting<'a>> {
    let literals = || files.iter().filter_map(|c| Some((c.target.literal()?, side(c))));
    let literal = Groups::of(literals());
    let mut meetings = Vec::new();
    // The groups of the directories on the way to a directory, found once for each directory.
    let mut above: HashMap<&str, Vec<usize>> = HashMap::new();
    for (group, path) in literal.names.iter().enumerate() {
        if let Some(left) = literal.clashing(group, order) {
            meetings.push(meeting(path, left, None));
        }
        // A directory overlaps what is under it.
        let Some(parent) = path.rfind('/').and_then(|at| path.get(..at)) else { continue };
        let on_the_way = above.entry(parent).or_insert_with(|| {
            let cuts = parent.match_indices('/').filter_map(|(at, _)| parent.get(..at));
            cuts.chain([parent]).filter_map(|dir| literal.index.get(dir).copied()).collect()
        });
        for &dir in on_the_way.iter() {
            meetings.push(meeting(path, literal.sides(group), Some(literal.sides(dir))));
        }
    }
    glob_meetings(files, &literal, &mut meetings);
    meetings
}

/// What globs meet: each other, and literal paths. Only what begins alike is compared.
fn glob_meetings<'a>(
    files: &[Claim<&'a Pattern>],
    literal: &Groups<'a>,
    meetings: &mut Vec<Meeting<'a>>,
) {
    let mut patterns: HashMap<&'a str, &'a Pattern> = HashMap::new();
    for claim in files.iter().filter(|c| c.target.is_glob()) {
        patterns.insert(claim.target.as_str(), claim.target);
    }
    if patterns.is_empty() {
        return;
    }
    let claims = files.iter().filter(|c| c.target.is_glob());
    let globs = Groups::of(claims.map(|c| (c.target.as_str(), side(c))));
    let mut sorted: Vec<(&str, usize)> = literal.names.iter().copied().zip(0..).collect();
    sorted.sort_unstable();
    let mut ordered: Vec<(&Pattern, usize)> = globs
        .names
        .iter()
        .zip(0..)
        .filter_map(|(name, group)| Some((*patterns.get(name)?, group)))
        .collect();
    ordered.sort_unstable_by_key(|(pattern, _)| (pattern.fixed_prefix(), pattern.as_str()));
    for (n, (glob, group)) in ordered.iter().enumerate() {
        if globs.is_shared(*group) {
            meetings.push(meeting(glob.as_str(), globs.sides(*group), None));
        }
        let prefix = glob.fixed_prefix();
        let from = sorted.partition_point(|(path, _)| *path < prefix);
        let inside = sorted.iter().skip(from).take_while(|(path, _)| path.starts_with(prefix));
        let cuts = prefix.match_indices('/').filter_map(|(at, _)| prefix.get(..at));
        let on_the_way = cuts.filter_map(|dir| Some((dir, *literal.index.get(dir)?)));
        for (path, other) in inside.copied().chain(on_the_way) {
            if Pattern::parse(path, true).is_ok_and(|p| glob.overlaps(&p)) {
                let right = literal.sides(other);
                meetings.push(meeting(path, globs.sides(*group), Some(right)));
            }
        }
        let after = ordered.iter().skip(n + 1);
        for (other, right) in after.take_while(|(p, _)| p.fixed_prefix().starts_with(prefix)) {
            if glob.overlaps(other) {
                let right = globs.sides(*right);
                meetings.push(meeting(glob.as_str(), globs.sides(*group), Some(right)));
            }
        }
    }
}

fn meeting(target: &str, left: Vec<Side>, right: Option<Vec<Side>>) -> Meeting<'_> {
    Meeting { target, files: true, left, right }
}

/// For every position its column in the block, or [`NONE`].
struct Columns(Vec<u32>);

const NONE: u32 = u32::MAX;

impl Columns {
    fn at(&self, place: usize) -> Option<usize> {
        self.0.get(place).filter(|n| **n != NONE).map(|n| *n as usize)
    }
}

/// Goes through all pairs, asking reachability in blocks of columns: a full matrix of 100,000 tasks
/// would take 1.25 GB, a block of 1,024 columns takes 13 MB.
fn unordered_pairs(order: &Order, meetings: &[Meeting<'_>]) -> Found {
    const BLOCK: usize = 1024;
    let n = order.position.len();
    let mut wanted: Vec<usize> = Vec::new();
    for meeting in meetings {
        let sides = meeting.left.iter().chain(meeting.right.iter().flatten());
        wanted.extend(sides.map(|s| order.position[s.0]));
    }
    wanted.sort_unstable();
    wanted.dedup();
    let mut found = Found::default();
    // (position of the earlier task) → its column in the block.
    for block in wanted.chunks(BLOCK) {
        let words = block.len().div_ceil(64);
        let mut column = Columns(vec![NONE; n]);
        for (number, &place) in (0_u32..).zip(block) {
            column.0[place] = number;
        }
        let first = block.first().copied().unwrap_or(0);
        let last = block.last().copied().unwrap_or(0);
        // Row of a position: which tasks of the block it depends on, directly or not.
        let mut rows = vec![0_u64; (n - first) * words];
        for place in first..n {
            let task = order.topological[place];
            for &d in &order.dependencies[task] {
                let from = order.position[d];
                if from < first || from >= place {
                    continue;
                }
                let (low, high) = rows.split_at_mut((place - first) * words);
                let source = &low[(from - first) * words..(from - first + 1) * words];
                for (word, bits) in high.iter_mut().zip(source) {
                    *word |= bits;
                }
                if let Some(number) = column.at(from) {
                    high[number / 64] |= 1 << (number % 64);
                }
            }
        }
        let ordered = |early: usize, late: usize, number: usize| {
            order.component[early] == order.component[late]
                || rows[(order.position[late] - first) * words + number / 64] >> (number % 64) & 1
                    == 1
        };
        for meeting in meetings {
            let right = meeting.right.as_ref().unwrap_or(&meeting.left);
            scan(
                order,
                (first, last),
                &column,
                &meeting.left,
                right,
                meeting,
                &ordered,
                &mut found,
            );
            if meeting.right.is_some() {
                scan(
                    order,
                    (first, last),
                    &column,
                    right,
                    &meeting.left,
                    meeting,
                    &ordered,
                    &mut found,
                );
            }
        }
    }
    found.settle();
    found
}

impl Found {
    /// Keeps the plan's first conflicts; the same pair on the same path once, however many patterns meet.
    fn settle(&mut self) {
        self.listed.sort_by(|a, b| {
            (&a.sides[0].0, &a.sides[1].0, &a.target).cmp(&(
                &b.sides[0].0,
                &b.sides[1].0,
                &b.target,
            ))
        });
        let before = self.listed.len();
        self.listed.dedup_by(|a, b| {
            a.target == b.target && a.sides[0].0 == b.sides[0].0 && a.sides[1].0 == b.sides[1].0
        });
        self.count -= before - self.listed.len();
        self.listed.truncate(LISTED);
    }
}

/// Pairs of an earlier member of `early` (in the block) with a later member of `late`.
#[expect(
    clippy::too_many_arguments,
    reason = "one inner loop, called twice with the sides swapped"
)]
fn scan(
    order: &Order,
    block: (usize, usize),
    column: &Columns,
    early: &[Side],
    late: &[Side],
    meeting: &Meeting<'_>,
    ordered: &dyn Fn(usize, usize, usize) -> bool,
    found: &mut Found,
) {
    let place = |side: &Side| order.position[side.0];
    let from = early.partition_point(|s| place(s) < block.0);
    for a in early.iter().skip(from).take_while(|s| place(s) <= block.1) {
        let Some(number) = column.at(place(a)) else { continue };
        let after = late.partition_point(|s| place(s) <= place(a));
        for b in late.iter().skip(after) {
            let Some(code) = clash(meeting.files, a.1, b.1) else { continue };
            if ordered(a.0, b.0, number) {
                continue;
            }
            found.count += 1;
            let sides = if a.0 < b.0 { [*a, *b] } else { [*b, *a] };
            found.listed.push(Conflict { code, target: meeting.target.to_owned(), sides });
            if found.listed.len() >= 64 * LISTED {
                found.settle();
            }
        }
    }
}

fn clash(files: bool, a: Role, b: Role) -> Option<Code> {
    let code = match (a, b) {
        (Role::Write, Role::Write | Role::Append | Role::Intent)
        | (Role::Append | Role::Intent, Role::Write) => {
            if files {
                Code::FileWriteWrite
            } else {
                Code::ResourceWriteWrite
            }
        }
        (Role::Write, Role::Read) | (Role::Read, Role::Write) => {
            if files {
                Code::FileReadWrite
            } else {
                Code::ResourceReadWrite
            }
        }
        (Role::Read | Role::Append | Role::Intent, Role::Read | Role::Append | Role::Intent) => {
            return None;
        }
    };
    Some(code)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn conflicts(order: &Order, list: &[(usize, Role, &str)]) -> Found {
        let patterns: Vec<Pattern> =
            list.iter().map(|(_, _, raw)| Pattern::parse(raw, false).unwrap()).collect();
        let claims: Vec<Claim<&Pattern>> = list
            .iter()
            .zip(&patterns)
            .enumerate()
            .map(|(nth, ((task, role, _), target))| Claim { task: *task, role: *role, nth, target })
            .collect();
        find(order, &claims, &[])
    }

    fn pairs(order: &Order, list: &[(usize, Role, &str)]) -> Vec<(usize, usize)> {
        let found = conflicts(order, list);
        assert_eq!(found.count, found.listed.len());
        found.listed.iter().map(|c| (c.sides[0].0, c.sides[1].0)).collect()
    }

    #[test]
    fn a_third_writer_conflicts_with_both_of_an_ordered_pair() {
        let order = Order::new(vec![vec![], vec![0], vec![]]);
        let w = Role::Write;
        assert_eq!(pairs(&order, &[(0, w, "x"), (1, w, "x"), (2, w, "./x")]), [(0, 2), (1, 2)]);
    }

    #[test]
    fn order_through_a_third_task_is_order() {
        let order = Order::new(vec![vec![], vec![0], vec![1]]);
        assert!(pairs(&order, &[(0, Role::Write, "x"), (2, Role::Write, "x")]).is_empty());
    }

    #[test]
    fn directories_and_globs_meet_what_is_under_them() {
        let order = Order::new(vec![vec![]; 4]);
        let list = [
            (0, Role::Write, "src"),
            (1, Role::Write, "src/a/b.py"),
            (2, Role::Read, "**/*.py"),
            (3, Role::Append, "CHANGELOG.md"),
            (2, Role::Append, "CHANGELOG.md"),
        ];
        assert_eq!(pairs(&order, &list), [(0, 1), (0, 2), (1, 2)]);
    }

    #[test]
    fn two_thousand_writers_of_one_file_are_counted_and_a_thousand_listed() {
        let n = 2_000;
        let order = Order::new(vec![vec![]; n]);
        let all: Vec<_> = (0..n).map(|t| (t, Role::Write, "x")).collect();
        let found = conflicts(&order, &all);
        assert_eq!((found.count, found.listed.len()), (n * (n - 1) / 2, LISTED));
        assert_eq!((found.listed[0].sides[0].0, found.listed[0].sides[1].0), (0, 1));
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]
        #[test]
        fn conflicts_are_exactly_the_unordered_pairs(
            edges in proptest::collection::vec((0_usize..30, 0_usize..30), 0..60),
            touches in proptest::collection::vec((0_usize..30, 0_usize..4, 0_usize..10), 0..60),
        ) {
            let mut deps = vec![Vec::new(); 30];
            for (a, b) in edges {
                if a != b { deps[a.max(b)].push(a.min(b)); }
            }
            let order = Order::new(deps);
            let names = ["p", "p/q", "r", "s/t", "s", "u", "p/*", "**/t", "{r,s}*", "p/"];
            let roles = [Role::Write, Role::Read, Role::Append, Role::Intent];
            let list: Vec<_> = touches.iter().map(|&(t, r, n)| (t, roles[r], names[n])).collect();
            let mut reach = vec![vec![false; 30]; 30];
            for &t in &order.topological {
                for &d in &order.dependencies[t] {
                    reach[t][d] = true;
                    let row = reach[d].clone();
                    for (x, y) in reach[t].iter_mut().zip(row) { *x |= y; }
                }
            }
            let mut expected = std::collections::BTreeSet::new();
            for (x, a) in list.iter().enumerate() {
                for b in list.iter().skip(x + 1) {
                    let (p, q) = (Pattern::parse(a.2, false).unwrap(), Pattern::parse(b.2, false).unwrap());
                    if a.0 != b.0 && !reach[a.0][b.0] && !reach[b.0][a.0]
                        && clash(true, a.1, b.1).is_some() && p.overlaps(&q)
                    {
                        expected.insert((a.0.min(b.0), a.0.max(b.0)));
                    }
                }
            }
            let found = conflicts(&order, &list);
            let got: std::collections::BTreeSet<_> =
                found.listed.iter().map(|c| (c.sides[0].0, c.sides[1].0)).collect();
            prop_assert_eq!(got, expected);
        }
    }
}
