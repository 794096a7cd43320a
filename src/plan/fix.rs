//! Which dependencies settle all conflicts of a plan, and the plan's text with them. Chooses; writes no file.

use std::collections::BTreeMap;

use super::check;
use super::config::Config;
use super::conflict::{Found, Role};
use super::place::Path;
use super::schema::Document;
use super::wave::Order;
use super::yaml::edit::{Edit, add_to_list, apply};
use super::yaml::tree::{MAX_VALUES, Tree};
use super::{Facts, parse, yaml};

/// A plan's text with the missing dependencies in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fixed {
    /// The new text.
    pub text: String,
    /// The new dependencies: who waits for whom.
    pub edges: Vec<(String, String)>,
}

/// Adds the dependencies that settle every conflict; `None` when there is no conflict.
///
/// # Errors
/// In words, what has to be mended by hand first.
pub fn fix(bytes: &[u8], facts: &Facts, config: &Config) -> Result<Option<Fixed>, String> {
    let by_hand = |what: &str| Err(format!("{what}; mend that first"));
    let Ok(text) = yaml::text_of(bytes, "tasks") else { return by_hand("it is not text") };
    let Ok(document) = parse(bytes) else {
        return by_hand("the plan has keys or values that are wrong");
    };
    let Some((order, cost, find)) = check::claims(&document, facts, config) else {
        return by_hand("a dependency or an id is wrong, or tasks wait for each other");
    };
    let edges = edges(order, &cost, &find);
    if edges.is_empty() {
        return Ok(None);
    }
    let mut by_task: BTreeMap<usize, Vec<&str>> = BTreeMap::new();
    for (waiting, first) in &edges {
        by_task.entry(*waiting).or_default().push(document.tasks[*first].id.as_str());
    }
    let Ok(tree) = Tree::read(text, MAX_VALUES) else { return by_hand("it cannot be read") };
    let edit = |(task, words): (&usize, &Vec<&str>)| {
        add_to_list(text, &tree, &Path::task(*task), "depends_on", "id", words).map_err(|why| {
            format!("`depends_on` of {} cannot be edited: {why}", document.tasks[*task].id.as_str())
        })
    };
    let edits: Vec<Edit> = by_task.iter().map(edit).collect::<Result<_, _>>()?;
    let fixed = apply(text, edits);
    if !is_as_meant(&document, &fixed, &by_task) {
        return Err("the file is written in a way that cannot be edited safely".to_owned());
    }
    let name = |task: usize| document.tasks[task].id.as_str().to_owned();
    // What stood before the text, a byte order mark, stays.
    let lead = bytes.len() - text.len();
    let mut whole = String::from_utf8_lossy(bytes.get(..lead).unwrap_or_default()).into_owned();
    whole.push_str(&fixed);
    let edges = edges.into_iter().map(|(waiting, first)| (name(waiting), name(first))).collect();
    Ok(Some(Fixed { text: whole, edges }))
}

/// Whether the new text says the old dependencies and the new ones, and no others.
fn is_as_meant(old: &Document, new: &str, added: &BTreeMap<usize, Vec<&str>>) -> bool {
    let Ok(new) = parse(new.as_bytes()) else { return false };
    new.tasks.len() == old.tasks.len()
        && old.tasks.iter().zip(&new.tasks).enumerate().all(|(n, (old, new))| {
            let more = added.get(&n).map_or(&[][..], Vec::as_slice);
            let expected = old.depends_on.iter().map(|d| d.as_str()).chain(more.iter().copied());
            old.id == new.id && expected.eq(new.depends_on.iter().map(|d| d.as_str()))
        })
}

/// The dependencies that settle every conflict that `find` finds, in pairs of who waits and for whom.
pub fn edges(order: Order, cost: &[u64], find: &dyn Fn(&Order) -> Found) -> Vec<(usize, usize)> {
    let mut order = order;
    let mut added: Vec<(usize, usize)> = Vec::new();
    loop {
        let found = find(&order);
        if found.listed.is_empty() {
            break;
        }
        let mut graph = Graph::of(&order, cost);
        let before = added.len();
        // Those who touch one thing are put into a row: far fewer dependencies than one for every pair. The order of a
        // row is that of `gentler` for any two of it.
        for row in &found.rows {
            let mut row = row.clone();
            let key = |task: usize| i128::from(graph.heads[task]) - i128::from(graph.tails[task]);
            row.sort_by_key(|(task, role)| (key(*task), *task, *role));
            row.dedup_by_key(|(task, _)| *task);
            for pair in row.windows(2) {
                let ((a, first), (b, second)) = (pair[0], pair[1]);
                if first == Role::Write || second == Role::Write {
                    added.extend(graph.add(b, a));
                }
            }
        }
        if added.len() == before
            && let Some(conflict) = found.listed.first()
        {
            let [a, b] = [conflict.sides[0].0, conflict.sides[1].0];
            let (waiting, first) = order.gentler(a, b, &graph.heads, &graph.tails);
            added.extend(graph.add(waiting, first));
        }
        if added.len() == before {
            // A conflict between two that are ordered: nothing that a dependency could settle.
            break;
        }
        order = Order::new(graph.dependencies);
    }
    without_needless(&order, added)
}

/// The dependency graph while it grows.
struct Graph<'c> {
    dependencies: Vec<Vec<usize>>,
    dependants: Vec<Vec<usize>>,
    cost: &'c [u64],
    heads: Vec<u64>,
    tails: Vec<u64>,
}

impl Graph<'_> {
    fn of<'c>(order: &Order, cost: &'c [u64]) -> Graph<'c> {
        Graph {
            dependencies: order.dependencies.clone(),
            dependants: order.dependants.clone(),
            cost,
            heads: order.heads(cost),
            tails: order.tails(cost),
        }
    }

    /// Adds a dependency unless the two are ordered already.
    fn add(&mut self, waiting: usize, first: usize) -> Option<(usize, usize)> {
        if reaches(&self.dependencies, waiting, first, None)
            || reaches(&self.dependencies, first, waiting, None)
        {
            return None;
        }
        self.dependencies[waiting].push(first);
        self.dependants[first].push(waiting);
        // Longer paths spread to what comes after, and before.
        raise(&mut self.heads, &self.dependants, self.cost, waiting, first);
        raise(&mut self.tails, &self.dependencies, self.cost, first, waiting);
        Some((waiting, first))
    }
}

/// Gives `at` at least the length through `through`, and spreads what grew along `next`.
fn raise(length: &mut [u64], next: &[Vec<usize>], cost: &[u64], at: usize, through: usize) {
    let mut todo = vec![(at, length[through].saturating_add(cost[at]))];
    while let Some((task, new)) = todo.pop() {
        if new > length[task] {
            length[task] = new;
            todo.extend(next[task].iter().map(|&t| (t, new.saturating_add(cost[t]))));
        }
    }
}

/// Whether `from` depends on `to`, not counting the edge `but`.
fn reaches(
    dependencies: &[Vec<usize>],
    from: usize,
    to: usize,
    but: Option<(usize, usize)>,
) -> bool {
    let mut seen = vec![false; dependencies.len()];
    let mut todo = vec![from];
    while let Some(task) = todo.pop() {
        for &d in &dependencies[task] {
            if but == Some((task, d)) || seen[d] {
                continue;
            }
            if d == to {
                return true;
            }
            seen[d] = true;
            todo.push(d);
        }
    }
    false
}

/// Leaves out new dependencies that follow from the others.
fn without_needless(order: &Order, added: Vec<(usize, usize)>) -> Vec<(usize, usize)> {
    let mut dependencies = order.dependencies.clone();
    let mut kept = Vec::new();
    for (waiting, first) in added {
        if reaches(&dependencies, waiting, first, Some((waiting, first))) {
            dependencies[waiting].retain(|d| *d != first);
        } else {
            kept.push((waiting, first));
        }
    }
    kept.sort_unstable();
    kept
}
