//! Random plans against an oracle that tries everything: waves, cycles, and conflicts as pairs. What the engine finds by
//! bit columns and automata, the oracle finds by walking every path and trying every name.
#![expect(clippy::panic, reason = "a test that fails may say so by a panic")]

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use proptest::prelude::*;
use proptest::test_runner::{Config as Cases, TestRunner};
use slimductor::plan::config::Config;
use slimductor::plan::diagnostic::Code;
use slimductor::plan::{Facts, analyse, fix};

const TASKS: usize = 14;
/// What tasks write and read; every pair of them is decided by the names below.
const PATTERNS: [&str; 12] = [
    "a/x.py",
    "a/y.py",
    "./a//x.py",
    "a",
    "a/",
    "a/*.py",
    "**/x.py",
    "b/{x,y}.py",
    "b/[xz].py",
    "b/?.py",
    "c/d/e",
    "{a,c}/**",
];
/// Every file that could tell two of these patterns apart or show that they meet.
const NAMES: [&str; 15] = [
    "c/d/e/x.py",
    "a",
    "a/x.py",
    "a/y.py",
    "a/z.py",
    "a/q",
    "a/s/x.py",
    "b/x.py",
    "b/y.py",
    "b/z.py",
    "x.py",
    "c/d/e",
    "c/d/e/f",
    "c/x.py",
    "b/s/x.py",
];

/// Dependencies, and what the task touches: (role, pattern), (role, resource).
type Task = (Vec<usize>, Vec<(usize, usize)>, Vec<(usize, usize)>);

#[derive(Debug, Clone)]
struct Random {
    tasks: Vec<Task>,
}

fn random() -> impl Strategy<Value = Random> {
    let task = (
        proptest::collection::vec(0..TASKS, 0..3),
        proptest::collection::vec((0..3_usize, 0..PATTERNS.len()), 0..3),
        proptest::collection::vec((0..2_usize, 0..4_usize), 0..2),
    );
    (proptest::collection::vec(task, 1..=TASKS), 0..4_u8).prop_map(|(mut tasks, back)| {
        let n = tasks.len();
        for (t, (dependencies, _, _)) in tasks.iter_mut().enumerate() {
            // Most plans have no cycle: then dependencies only point back.
            dependencies.iter_mut().for_each(|d| *d %= n);
            dependencies.retain(|d| *d != t && (back == 0 || *d < t));
            dependencies.sort_unstable();
            dependencies.dedup();
        }
        Random { tasks }
    })
}

impl Random {
    fn yaml(&self) -> String {
        let mut out = String::from("tasks:\n");
        for (t, (dependencies, files, resources)) in self.tasks.iter().enumerate() {
            let list = |wanted: usize| {
                let of = files.iter().filter(|(role, _)| *role == wanted);
                of.map(|(_, p)| format!("'{}'", PATTERNS[*p])).collect::<Vec<_>>().join(", ")
            };
            let named = |wanted: usize| {
                let of = resources.iter().filter(|(role, _)| *role == wanted);
                of.map(|(_, r)| format!("'route:/{r}'")).collect::<Vec<_>>().join(", ")
            };
            let first: Vec<String> = dependencies.iter().map(|d| format!("t{d}")).collect();
            let _ = writeln!(
                out,
                "- {{id: t{t}, description: d, run: make, depends_on: [{}], files_write: [{}], files_read: [{}], files_append: [{}], resources_write: [{}], resources_read: [{}], verification: [{{command: make test}}]}}",
                first.join(", "),
                list(0),
                list(1),
                list(2),
                named(0),
                named(1)
            );
        }
        out
    }

    /// Whether one task comes before the other, by walking every way.
    fn before(&self, first: usize, later: usize) -> bool {
        let mut todo = vec![later];
        let mut seen = BTreeSet::new();
        while let Some(t) = todo.pop() {
            for &d in &self.tasks[t].0 {
                if d == first {
                    return true;
                }
                if seen.insert(d) {
                    todo.push(d);
                }
            }
        }
        false
    }

    fn has_cycle(&self) -> bool {
        (0..self.tasks.len()).any(|t| self.before(t, t))
    }

    /// The length of the longest way back, by trying all of them.
    fn depth(&self, task: usize) -> usize {
        self.tasks[task].0.iter().map(|d| self.depth(*d) + 1).max().unwrap_or(0)
    }

    /// Pairs of unordered tasks that touch a name of both, one of them writing.
    fn conflicts(&self) -> BTreeSet<(usize, usize)> {
        let mut out = BTreeSet::new();
        for a in 0..self.tasks.len() {
            for b in a + 1..self.tasks.len() {
                let ordered = self.before(a, b) || self.before(b, a);
                if !ordered && (self.files_clash(a, b) || self.resources_clash(a, b)) {
                    out.insert((a, b));
                }
            }
        }
        out
    }

    fn files_clash(&self, a: usize, b: usize) -> bool {
        let clash = |x: usize, y: usize| matches!((x, y), (0, _) | (_, 0));
        self.tasks[a].1.iter().any(|(x, p)| {
            self.tasks[b].1.iter().any(|(y, q)| {
                clash(*x, *y)
                    && NAMES
                        .iter()
                        .any(|name| names(PATTERNS[*p], name) && names(PATTERNS[*q], name))
            })
        })
    }

    fn resources_clash(&self, a: usize, b: usize) -> bool {
        let of = |t: usize| self.tasks[t].2.iter();
        of(a).any(|(x, r)| of(b).any(|(y, s)| r == s && (*x == 0 || *y == 0)))
    }
}

/// Whether a pattern names a file: written out by hand for each of them.
fn names(pattern: &str, name: &str) -> bool {
    let below = |dir: &str| name.starts_with(&format!("{dir}/"));
    let in_dir = |dir: &str, test: &dyn Fn(&str) -> bool| {
        name.strip_prefix(dir).is_some_and(|rest| !rest.contains('/') && test(rest))
    };
    match pattern {
        "a/x.py" | "./a//x.py" => name == "a/x.py",
        "a/y.py" => name == "a/y.py",
        "a" => name == "a" || below("a"),
        "a/" => below("a"),
        "a/*.py" => in_dir("a/", &|rest| rest.ends_with(".py")),
        "**/x.py" => name == "x.py" || name.ends_with("/x.py"),
        "b/{x,y}.py" => ["b/x.py", "b/y.py"].contains(&name),
        "b/[xz].py" => ["b/x.py", "b/z.py"].contains(&name),
        "b/?.py" => in_dir("b/", &|rest| rest.len() == 4 && rest.ends_with(".py")),
        "c/d/e" => name == "c/d/e" || below("c/d/e"),
        "{a,c}/**" => below("a") || below("c"),
        other => panic!("{other} is not written out"),
    }
}

#[test]
fn random_plans_are_judged_as_the_oracle_judges_them() {
    let mut runner =
        TestRunner::new(Cases { cases: 400, failure_persistence: None, ..Cases::default() });
    let (cycles, conflicts) = (Cell::new(0), Cell::new(0));
    let config = Config::default();
    runner
        .run(&random(), |plan| {
            let text = plan.yaml();
            let analysis = analyse(text.as_bytes(), &config, |_| Facts::default()).analysis;
            let facts = Facts::default();
            let cyclic = analysis.problems.iter().any(|p| p.code == Code::Cycle);
            prop_assert_eq!(cyclic, plan.has_cycle(), "{}", text);
            let index =
                |id: &slimductor::types::TaskId| id.as_str()[1..].parse::<usize>().unwrap_or(0);
            let found: BTreeSet<(usize, usize)> = analysis
                .conflicts
                .iter()
                .map(|c| (index(&c.tasks[0]), index(&c.tasks[1])))
                .collect();
            if cyclic {
                cycles.set(cycles.get() + 1);
                return Ok(());
            }
            prop_assert_eq!(&found, &plan.conflicts(), "{}", text);
            let mut waves: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
            for t in 0..plan.tasks.len() {
                waves.entry(plan.depth(t)).or_default().push(t);
            }
            let told: Vec<Vec<usize>> =
                analysis.waves.iter().map(|w| w.iter().map(index).collect()).collect();
            prop_assert_eq!(told, waves.into_values().collect::<Vec<_>>(), "{}", text);
            let fixed = fix::fix(text.as_bytes(), &facts, &config).unwrap();
            prop_assert_eq!(fixed.is_some(), !found.is_empty(), "{}", text);
            if let Some(fixed) = fixed {
                conflicts.set(conflicts.get() + 1);
                let after = analyse(fixed.text.as_bytes(), &config, |_| Facts::default()).analysis;
                prop_assert!(after.valid(), "{}\n{:?}", fixed.text, after.problems);
                let again = fix::fix(fixed.text.as_bytes(), &facts, &config).unwrap();
                prop_assert_eq!(again, None);
                for (n, (waiting, first)) in fixed.edges.iter().enumerate() {
                    let rest: Vec<_> =
                        fixed.edges.iter().enumerate().filter(|(m, _)| *m != n).collect();
                    let mut without = plan.clone();
                    let number = |id: &String| id[1..].parse::<usize>().unwrap_or(0);
                    for (_, (w, f)) in rest {
                        without.tasks[number(w)].0.push(number(f));
                    }
                    let needed = !without.conflicts().is_empty();
                    prop_assert!(needed, "{} does not need {} → {}", text, first, waiting);
                }
            }
            Ok(())
        })
        .unwrap_or_else(|e| panic!("{e}"));
    let (cycles, conflicts) = (cycles.get(), conflicts.get());
    assert!(cycles > 20 && conflicts > 100, "too tame: {cycles} cycles, {conflicts} conflicts");
}
