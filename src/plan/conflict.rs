//! Which unordered tasks would touch the same thing: every pair, exactly. Knows indices, patterns and order.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::rc::Rc;

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
    /// For everything that unordered tasks touch: all tasks that touch it, and how.
    pub rows: Vec<Vec<(usize, Role)>>,
}

/// Who touches one thing, each task once, sorted by topological position.
type Sides = Rc<Vec<Side>>;

/// Claims on one thing or on two overlapping things: every one of `left` meets every one of `right`.
struct Meeting<'a> {
    target: &'a str,
    files: bool,
    left: Sides,
    /// `None`: the left side meets itself.
    right: Option<Sides>,
}

/// Every conflict between `files` claims and between `resources` claims.
pub fn find(order: &Order, files: &[Claim<&Pattern>], resources: &[Claim<&str>]) -> Found {
    let mut meetings = file_meetings(order, files);
    let mut named = Groups::of(order, resources.iter().map(|claim| (claim.target, side(claim))));
    for group in 0..named.names.len() {
        if let Some(left) = named.clashing(group) {
            meetings.push(Meeting { target: named.names[group], files: false, left, right: None });
        }
    }
    meetings.retain(|meeting| {
        let all = || meeting.left.iter().chain(meeting.right.iter().flat_map(|r| r.iter()));
        all().any(|side| side.1 == Role::Write) && all().count() > 1
    });
    meetings.sort_by(|a, b| a.target.cmp(b.target).then(a.files.cmp(&b.files)));
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
struct Groups<'a> {
    order: &'a Order,
    index: HashMap<&'a str, usize>,
    names: Vec<&'a str>,
    /// For every name its last claim.
    last: Vec<usize>,
    /// Every claim, and the one before it of the same name.
    chain: Vec<(Side, Option<usize>)>,
    /// The sides of the names that were asked for.
    known: HashMap<usize, Sides>,
}

impl<'a> Groups<'a> {
    fn of(order: &'a Order, claims: impl Iterator<Item = (&'a str, Side)>) -> Groups<'a> {
        let many = claims.size_hint().0;
        let mut groups = Groups {
            order,
            index: HashMap::with_capacity(many),
            names: Vec::new(),
            last: Vec::new(),
            chain: Vec::with_capacity(many),
            known: HashMap::new(),
        };
        for (name, side) in claims {
            let here = groups.chain.len();
            match groups.index.entry(name) {
                Entry::Occupied(found) => {
                    let before = std::mem::replace(&mut groups.last[*found.get()], here);
                    groups.chain.push((side, Some(before)));
                }
                Entry::Vacant(free) => {
                    free.insert(groups.names.len());
                    groups.names.push(name);
                    groups.last.push(here);
                    groups.chain.push((side, None));
                }
            }
        }
        groups
    }

    /// The claims of a name that more than one task has, when they may clash.
    fn clashing(&mut self, group: usize) -> Option<Sides> {
        let (last, before) = self.chain[self.last[group]];
        let (first, others) = self.chain[before?];
        // Most shared things are handed from one task to the next, and need no further thought.
        let waits = |a: Side, b: Side| self.order.dependencies[a.0].binary_search(&b.0).is_ok();
        if others.is_none() && (last.0 == first.0 || waits(last, first) || waits(first, last)) {
            return None;
        }
        Some(self.sides(group))
    }

    fn sides(&mut self, group: usize) -> Sides {
        if let Some(known) = self.known.get(&group) {
            return Rc::clone(known);
        }
        let mut out = Vec::new();
        let mut at = Some(self.last[group]);
        while let Some(here) = at {
            out.push(self.chain[here].0);
            at = self.chain[here].1;
        }
        strongest(&mut out);
        out.sort_unstable_by_key(|side| self.order.position[side.0]);
        let sides = Rc::new(out);
        self.known.insert(group, Rc::clone(&sides));
        sides
    }
}

fn file_meetings<'a>(order: &'a Order, files: &[Claim<&'a Pattern>]) -> Vec<Meeting<'a>> {
    let literals = || files.iter().filter_map(|c| Some((c.target.literal()?, side(c))));
    let mut literal = Groups::of(order, literals());
    let mut meetings = Vec::new();
    // The groups of the directories on the way to a directory, found once for each directory.
    let mut above: HashMap<&str, Vec<usize>> = HashMap::new();
    for group in 0..literal.names.len() {
        let path = literal.names[group];
        if let Some(left) = literal.clashing(group) {
            meetings.push(Meeting { target: path, files: true, left, right: None });
        }
        // A directory overlaps what is under it.
        let Some(parent) = path.rfind('/').and_then(|at| path.get(..at)) else { continue };
        let on_the_way = above.entry(parent).or_insert_with(|| {
            let cuts = parent.match_indices('/').filter_map(|(at, _)| parent.get(..at));
            cuts.chain([parent]).filter_map(|dir| literal.index.get(dir).copied()).collect()
        });
        for &dir in on_the_way.iter() {
            let (left, right) = (literal.sides(group), Some(literal.sides(dir)));
            meetings.push(Meeting { target: path, files: true, left, right });
        }
    }
    glob_meetings(order, files, &mut meetings);
    meetings
}

/// What globs meet: each other, and other patterns. Only what begins alike is compared.
fn glob_meetings<'a>(
    order: &'a Order,
    files: &[Claim<&'a Pattern>],
    meetings: &mut Vec<Meeting<'a>>,
) {
    if !files.iter().any(|c| c.target.is_glob()) {
        return;
    }
    // Here `dir` and `dir/` are two: a glob may match the one and not what is below it.
    let mut patterns: HashMap<&'a str, &'a Pattern> = HashMap::new();
    for claim in files {
        patterns.insert(claim.target.as_str(), claim.target);
    }
    let mut groups = Groups::of(order, files.iter().map(|c| (c.target.as_str(), side(c))));
    let mut literals: Vec<(&str, usize)> = Vec::new();
    let mut globs: Vec<(&'a Pattern, usize)> = Vec::new();
    for (group, name) in groups.names.iter().enumerate() {
        match patterns.get(name) {
            Some(pattern) if pattern.is_glob() => globs.push((pattern, group)),
            Some(_) => literals.push((name, group)),
            None => {}
        }
    }
    literals.sort_unstable();
    globs.sort_unstable_by_key(|(pattern, _)| (pattern.fixed_prefix(), pattern.as_str()));
    for (n, (glob, group)) in globs.iter().enumerate() {
        if let Some(left) = groups.clashing(*group) {
            meetings.push(Meeting { target: glob.as_str(), files: true, left, right: None });
        }
        let prefix = glob.fixed_prefix();
        let from = literals.partition_point(|(path, _)| *path < prefix);
        let inside = literals.iter().skip(from).take_while(|(path, _)| path.starts_with(prefix));
        let cuts = prefix.match_indices('/').filter_map(|(at, _)| prefix.get(..at));
        // The prefix's own directory with its slash lies inside already.
        let known =
            |dir: &str| groups.index.get_key_value(dir).map(|(name, group)| (*name, *group));
        let above = cuts.flat_map(|dir| [known(dir), known(&format!("{dir}/"))]).flatten();
        let above = above.filter(|(name, _)| !name.starts_with(prefix));
        let others: Vec<(&str, usize)> = inside.copied().chain(above).collect();
        for (path, other) in others {
            if patterns.get(path).is_some_and(|p| glob.overlaps(p)) {
                let (left, right) = (groups.sides(*group), Some(groups.sides(other)));
                let target = groups.names[other].trim_end_matches('/');
                meetings.push(Meeting { target, files: true, left, right });
            }
        }
        let after = globs.iter().skip(n + 1);
        for (other, right) in after.take_while(|(p, _)| p.fixed_prefix().starts_with(prefix)) {
            if glob.overlaps(other) {
                let (left, right) = (groups.sides(*group), Some(groups.sides(*right)));
                meetings.push(Meeting { target: glob.as_str(), files: true, left, right });
            }
        }
    }
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
    let mut wanted = vec![false; n];
    for meeting in meetings {
        for side in meeting.left.iter().chain(meeting.right.iter().flat_map(|r| r.iter())) {
            wanted[order.position[side.0]] = true;
        }
    }
    let wanted: Vec<usize> = (0..n).filter(|place| wanted[*place]).collect();
    let mut found = Found::default();
    let mut conflicted = vec![false; meetings.len()];
    for block in wanted.chunks(BLOCK) {
        let reach = Reach::of(order, block);
        let mut seen = Seen::default();
        for (number, meeting) in meetings.iter().enumerate() {
            // The same two tasks may meet at one thing by several of their patterns.
            let same = |other: Option<&Meeting<'_>>| {
                other.is_some_and(|o| o.target == meeting.target && o.files == meeting.files)
            };
            let goes_on = same(number.checked_sub(1).and_then(|before| meetings.get(before)));
            if !goes_on {
                seen.clear();
            }
            let shared = goes_on || same(meetings.get(number + 1));
            let right = meeting.right.as_ref().unwrap_or(&meeting.left);
            let turns = [(&meeting.left, right), (right, &meeting.left)];
            let turns = if meeting.right.is_some() { turns.as_slice() } else { &turns[..1] };
            for (early, late) in turns {
                let scan = Scan { order, reach: &reach, meeting, early, late };
                let seen = shared.then_some(&mut seen);
                conflicted[number] |= scan.run(seen, &mut found);
            }
        }
    }
    found.settle();
    let rows = meetings.iter().zip(conflicted).filter(|(_, conflicted)| *conflicted);
    found.rows = rows
        .map(|(m, _)| {
            let all = m.left.iter().chain(m.right.iter().flat_map(|r| r.iter()));
            all.map(|side| (side.0, side.1)).collect()
        })
        .collect();
    found
}

/// Which tasks depend on those of one block of columns, directly or not.
struct Reach<'o> {
    order: &'o Order,
    first: usize,
    last: usize,
    columns: Columns,
    words: usize,
    rows: Vec<u64>,
}

impl<'o> Reach<'o> {
    /// For a `block` of positions, in ascending order.
    fn of(order: &'o Order, block: &[usize]) -> Reach<'o> {
        let n = order.position.len();
        let words = block.len().div_ceil(64);
        let mut columns = Columns(vec![NONE; n]);
        for (number, &place) in (0_u32..).zip(block) {
            columns.0[place] = number;
        }
        let first = block.first().copied().unwrap_or(0);
        let last = block.last().copied().unwrap_or(0);
        // Row of a position: which tasks of the block it depends on.
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
                if let Some(number) = columns.at(from) {
                    high[number / 64] |= 1 << (number % 64);
                }
            }
        }
        Reach { order, first, last, columns, words, rows }
    }

    /// Whether `late` depends on `early`, the task of column `number`, or both wait for each other.
    fn ordered(&self, early: usize, late: usize, number: usize) -> bool {
        let row = (self.order.position[late] - self.first) * self.words;
        self.order.component[early] == self.order.component[late]
            || self.rows[row + number / 64] >> (number % 64) & 1 == 1
    }
}

/// Pairs of tasks that were counted at one target.
type Seen = HashSet<(u32, u32)>;

impl Found {
    /// Keeps the plan's first conflicts.
    fn settle(&mut self) {
        let key = |c: &Conflict| (c.sides[0].0, c.sides[1].0);
        self.listed.sort_by(|a, b| key(a).cmp(&key(b)).then_with(|| a.target.cmp(&b.target)));
        self.listed.truncate(LISTED);
    }
}

/// Pairs of an earlier member of `early` (in the block) with a later member of `late`.
struct Scan<'s> {
    order: &'s Order,
    reach: &'s Reach<'s>,
    meeting: &'s Meeting<'s>,
    early: &'s [Side],
    late: &'s [Side],
}

impl Scan<'_> {
    /// Whether there was one.
    fn run(&self, mut seen: Option<&mut Seen>, found: &mut Found) -> bool {
        let place = |side: &Side| self.order.position[side.0];
        let from = self.early.partition_point(|s| place(s) < self.reach.first);
        let mut any = false;
        for a in self.early.iter().skip(from).take_while(|s| place(s) <= self.reach.last) {
            let Some(number) = self.reach.columns.at(place(a)) else { continue };
            let after = self.late.partition_point(|s| place(s) <= place(a));
            for b in self.late.iter().skip(after) {
                let Some(code) = clash(self.meeting.files, a.1, b.1) else { continue };
                if self.reach.ordered(a.0, b.0, number) {
                    continue;
                }
                any = true;
                let new = seen.as_mut().is_none_or(|s| s.insert((a.0 as u32, b.0 as u32)));
                if !new {
                    continue;
                }
                found.count += 1;
                let sides = if a.0 < b.0 { [*a, *b] } else { [*b, *a] };
                let target = self.meeting.target.to_owned();
                found.listed.push(Conflict { code, target, sides });
                if found.listed.len() >= 64 * LISTED {
                    found.settle();
                }
            }
        }
        any
    }
}

/// What two roles at one thing are, when one of them writes.
pub(super) fn clash(files: bool, a: Role, b: Role) -> Option<Code> {
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
    fn a_pair_that_meets_by_several_patterns_is_counted_once_for_each_target() {
        let n = 60;
        let order = Order::new(vec![vec![]; n]);
        let all: Vec<_> = (0..n)
            .flat_map(|t| {
                [(t, Role::Write, "g/**"), (t, Role::Write, "g/*.py"), (t, Role::Write, "g/x.py")]
            })
            .collect();
        let found = conflicts(&order, &all);
        assert_eq!(found.count, 3 * n * (n - 1) / 2);
        assert_eq!(found.listed.len(), LISTED);
    }

    #[test]
    fn a_directory_that_thousands_read_costs_no_more_than_its_readers() {
        let n = 3_000;
        let order =
            Order::new((0..n).map(|t: usize| t.checked_sub(1).into_iter().collect()).collect());
        let names: Vec<String> = (0..n).map(|t| format!("src/f{t}")).collect();
        let all: Vec<_> = (0..n)
            .flat_map(|t| [(t, Role::Read, "src"), (t, Role::Write, names[t].as_str())])
            .collect();
        assert_eq!(conflicts(&order, &all).count, 0);
    }

    #[test]
    fn what_matches_a_directorys_name_does_not_meet_what_is_below_it() {
        let order = Order::new(vec![vec![]; 3]);
        let w = Role::Write;
        assert!(pairs(&order, &[(0, w, "src/*"), (1, w, "src/gen/")]).is_empty());
        assert_eq!(pairs(&order, &[(0, w, "src/*"), (1, w, "src/gen")]), [(0, 1)]);
        assert_eq!(pairs(&order, &[(0, w, "src/**"), (1, w, "src/")]), [(0, 1)]);
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
            touches in proptest::collection::vec((0_usize..30, 0_usize..4, 0_usize..11), 0..60),
        ) {
            let mut deps = vec![Vec::new(); 30];
            for (a, b) in edges {
                if a != b { deps[a.max(b)].push(a.min(b)); }
            }
            let order = Order::new(deps);
            let names = ["p", "p/q", "r", "s/t", "s", "u", "p/*", "**/t", "{r,s}*", "p/", "*"];
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
