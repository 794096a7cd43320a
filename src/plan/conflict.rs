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
struct Meeting {
    target: String,
    files: bool,
    /// Sorted by topological position.
    left: Vec<Side>,
    /// `None`: the left side meets itself.
    right: Option<Vec<Side>>,
}

/// Every conflict between `files` claims and between `resources` claims.
pub fn find(order: &Order, files: &[Claim<Pattern>], resources: &[Claim<String>]) -> Found {
    let mut meetings = file_meetings(files);
    let mut by_name: HashMap<&str, Vec<Side>> = HashMap::new();
    for claim in resources {
        by_name.entry(&claim.target).or_default().push((claim.task, claim.role, claim.nth));
    }
    for (name, left) in by_name {
        if left.len() > 1 {
            meetings.push(Meeting { target: name.to_owned(), files: false, left, right: None });
        }
    }
    for meeting in &mut meetings {
        strongest(&mut meeting.left);
        if let Some(right) = &mut meeting.right {
            strongest(right);
        }
    }
    meetings.sort_by(|a, b| a.target.cmp(&b.target).then(a.files.cmp(&b.files)));
    for meeting in &mut meetings {
        let by_place = |c: &Side| (order.position[c.0], c.1, c.2);
        meeting.left.sort_unstable_by_key(by_place);
        if let Some(right) = &mut meeting.right {
            right.sort_unstable_by_key(by_place);
        }
    }
    unordered_pairs(order, &meetings)
}

/// One side for each task: who owns a thing and reads it as well, owns it.
fn strongest(sides: &mut Vec<Side>) {
    let rank = |role: Role| match role {
        Role::Write => 0,
        Role::Append => 1,
        Role::Read => 2,
    };
    sides.sort_unstable_by_key(|s| (s.0, rank(s.1), s.2));
    sides.dedup_by_key(|s| s.0);
}

fn file_meetings(files: &[Claim<Pattern>]) -> Vec<Meeting> {
    let mut literal: HashMap<&str, Vec<Side>> = HashMap::new();
    let mut globs: HashMap<&str, (&Pattern, Vec<Side>)> = HashMap::new();
    for claim in files {
        let side = (claim.task, claim.role, claim.nth);
        match claim.target.literal() {
            Some(path) => literal.entry(path).or_default().push(side),
            None => globs
                .entry(claim.target.as_str())
                .or_insert_with(|| (&claim.target, Vec::new()))
                .1
                .push(side),
        }
    }
    let mut meetings = Vec::new();
    for (path, sides) in &literal {
        if sides.len() > 1 {
            meetings.push(meeting(path, sides, None));
        }
        // A directory overlaps what is under it.
        for (at, _) in path.match_indices('/') {
            if let Some(above) = path.get(..at).and_then(|dir| literal.get(dir)) {
                meetings.push(meeting(path, sides, Some(above)));
            }
        }
    }
    let mut globs: Vec<_> = globs.into_values().collect();
    globs.sort_unstable_by_key(|(pattern, _)| pattern.as_str());
    for (n, (glob, sides)) in globs.iter().enumerate() {
        if sides.len() > 1 {
            meetings.push(meeting(glob.as_str(), sides, None));
        }
        for (path, others) in &literal {
            let overlap = Pattern::parse(path, true).is_ok_and(|p| glob.overlaps(&p));
            if overlap {
                meetings.push(meeting(path, sides, Some(others)));
            }
        }
        for (other, others) in globs.iter().skip(n + 1) {
            if glob.overlaps(other) {
                meetings.push(meeting(glob.as_str(), sides, Some(others)));
            }
        }
    }
    meetings
}

fn meeting(target: &str, left: &[Side], right: Option<&Vec<Side>>) -> Meeting {
    Meeting { target: target.to_owned(), files: true, left: left.to_vec(), right: right.cloned() }
}

/// Goes through all pairs, asking reachability in blocks of columns: a full matrix of 100,000 tasks
/// would take 1.25 GB, a block of 1,024 columns takes 13 MB.
fn unordered_pairs(order: &Order, meetings: &[Meeting]) -> Found {
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
        let mut column = HashMap::with_capacity(block.len());
        for (number, &place) in block.iter().enumerate() {
            column.insert(place, number);
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
                if let Some(&number) = column.get(&from) {
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
    column: &HashMap<usize, usize>,
    early: &[Side],
    late: &[Side],
    meeting: &Meeting,
    ordered: &dyn Fn(usize, usize, usize) -> bool,
    found: &mut Found,
) {
    let place = |side: &Side| order.position[side.0];
    let from = early.partition_point(|s| place(s) < block.0);
    for a in early.iter().skip(from).take_while(|s| place(s) <= block.1) {
        let Some(&number) = column.get(&place(a)) else { continue };
        let after = late.partition_point(|s| place(s) <= place(a));
        for b in late.iter().skip(after) {
            let Some(code) = clash(meeting.files, a.1, b.1) else { continue };
            if ordered(a.0, b.0, number) {
                continue;
            }
            found.count += 1;
            let sides = if a.0 < b.0 { [*a, *b] } else { [*b, *a] };
            found.listed.push(Conflict { code, target: meeting.target.clone(), sides });
            if found.listed.len() >= 64 * LISTED {
                found.settle();
            }
        }
    }
}

fn clash(files: bool, a: Role, b: Role) -> Option<Code> {
    let code = match (a, b) {
        (Role::Write, Role::Write | Role::Append) | (Role::Append, Role::Write) => {
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
        (Role::Read | Role::Append, Role::Read | Role::Append) => return None,
    };
    Some(code)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn claims(list: &[(usize, Role, &str)]) -> Vec<Claim<Pattern>> {
        list.iter()
            .enumerate()
            .map(|(nth, (task, role, raw))| Claim {
                task: *task,
                role: *role,
                nth,
                target: Pattern::parse(raw, false).unwrap(),
            })
            .collect()
    }

    fn pairs(order: &Order, list: &[(usize, Role, &str)]) -> Vec<(usize, usize)> {
        let found = find(order, &claims(list), &[]);
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
        let found = find(&order, &claims(&all), &[]);
        assert_eq!((found.count, found.listed.len()), (n * (n - 1) / 2, LISTED));
        assert_eq!((found.listed[0].sides[0].0, found.listed[0].sides[1].0), (0, 1));
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]
        #[test]
        fn conflicts_are_exactly_the_unordered_pairs(
            edges in proptest::collection::vec((0_usize..30, 0_usize..30), 0..60),
            touches in proptest::collection::vec((0_usize..30, 0_usize..3, 0_usize..6), 0..60),
        ) {
            let mut deps = vec![Vec::new(); 30];
            for (a, b) in edges {
                if a != b { deps[a.max(b)].push(a.min(b)); }
            }
            let order = Order::new(deps);
            let names = ["p", "p/q", "r", "s/t", "s", "u"];
            let roles = [Role::Write, Role::Read, Role::Append];
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
            let found = find(&order, &claims(&list), &[]);
            let got: std::collections::BTreeSet<_> =
                found.listed.iter().map(|c| (c.sides[0].0, c.sides[1].0)).collect();
            prop_assert_eq!(got, expected);
        }
    }
}
