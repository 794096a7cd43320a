//! The order of tasks: who waits for whom, in which waves, along which critical path. Knows only indices.

use petgraph::algo::kosaraju_scc;
use petgraph::graph::{DiGraph, NodeIndex};

/// The dependency graph, put in order.
#[derive(Debug, Clone, Default)]
pub struct Order {
    /// For every task the tasks that it depends on, each once, in ascending order.
    pub dependencies: Vec<Vec<usize>>,
    /// For every task the tasks that depend on it.
    pub dependants: Vec<Vec<usize>>,
    /// Every task after all that it depends on (members of a cycle side by side).
    pub topological: Vec<usize>,
    /// For every task its place in `topological`.
    pub position: Vec<usize>,
    /// For every task the number of its cycle; tasks with the same number wait for each other.
    pub component: Vec<usize>,
    /// Groups of more than one task that wait for each other.
    pub cycles: Vec<Vec<usize>>,
}

impl Order {
    /// Puts `dependencies` (lists of indices below their number) in order.
    pub fn new(mut dependencies: Vec<Vec<usize>>) -> Order {
        let n = dependencies.len();
        let mut dependants = vec![Vec::new(); n];
        let mut graph = DiGraph::<(), ()>::with_capacity(n, n);
        for _ in 0..n {
            graph.add_node(());
        }
        for (task, list) in dependencies.iter_mut().enumerate() {
            list.sort_unstable();
            list.dedup();
            list.retain(|&d| d != task && d < n);
            for &d in list.iter() {
                dependants[d].push(task);
                graph.add_edge(NodeIndex::new(task), NodeIndex::new(d), ());
            }
        }
        // Edges point at dependencies, so the reverse topological order of the components is ours.
        // Tarjan's recursion overflows the stack on long chains; Kosaraju's does not.
        let mut topological = Vec::with_capacity(n);
        let mut component = vec![0; n];
        let mut cycles = Vec::new();
        for (number, group) in kosaraju_scc(&graph).into_iter().enumerate() {
            let mut group: Vec<usize> = group.into_iter().map(NodeIndex::index).collect();
            group.sort_unstable();
            for &task in &group {
                component[task] = number;
                topological.push(task);
            }
            if group.len() > 1 {
                cycles.push(group);
            }
        }
        let mut position = vec![0; n];
        for (place, &task) in topological.iter().enumerate() {
            position[task] = place;
        }
        Order { dependencies, dependants, topological, position, component, cycles }
    }

    /// The tasks by the earliest moment at which each could start; empty when there is a cycle.
    pub fn waves(&self) -> Vec<Vec<usize>> {
        if !self.cycles.is_empty() {
            return Vec::new();
        }
        let mut depth = vec![0_usize; self.topological.len()];
        let mut waves: Vec<Vec<usize>> = Vec::new();
        for &task in &self.topological {
            let level = self.dependencies[task].iter().map(|&d| depth[d] + 1).max().unwrap_or(0);
            depth[task] = level;
            if waves.len() <= level {
                waves.resize_with(level + 1, Vec::new);
            }
            waves[level].push(task);
        }
        for wave in &mut waves {
            wave.sort_unstable();
        }
        waves
    }

    /// For every task the length of the longest path that ends with it, itself included.
    pub fn heads(&self, cost: &[u64]) -> Vec<u64> {
        let mut head = vec![0_u64; self.topological.len()];
        for &task in &self.topological {
            let before = self.dependencies[task].iter().map(|&d| head[d]).max().unwrap_or(0);
            head[task] = before.saturating_add(cost[task]);
        }
        head
    }

    /// For every task the length of the longest path that begins with it, itself included.
    pub fn tails(&self, cost: &[u64]) -> Vec<u64> {
        let mut tail = vec![0_u64; self.topological.len()];
        for &task in self.topological.iter().rev() {
            let after = self.dependants[task].iter().map(|&d| tail[d]).max().unwrap_or(0);
            tail[task] = after.saturating_add(cost[task]);
        }
        tail
    }

    /// Which of two unordered tasks should wait, and for which: the edge that lengthens the longest path least; of
    /// equal ones the later task waits. `heads` and `tails` are those of the graph as it stands.
    pub fn gentler(&self, a: usize, b: usize, heads: &[u64], tails: &[u64]) -> (usize, usize) {
        let (a, b) = (a.min(b), a.max(b));
        let b_waits = heads[a].saturating_add(tails[b]) <= heads[b].saturating_add(tails[a]);
        if b_waits { (b, a) } else { (a, b) }
    }

    /// The longest path; of equal ones the one through the earlier tasks.
    pub fn critical_path(&self, cost: &[u64]) -> Vec<usize> {
        if !self.cycles.is_empty() {
            return Vec::new();
        }
        let tail = self.tails(cost);
        let longest = |among: &mut dyn Iterator<Item = usize>| {
            among.max_by(|&a, &b| tail[a].cmp(&tail[b]).then(b.cmp(&a)))
        };
        let mut path = Vec::new();
        let mut roots = (0..tail.len()).filter(|&t| self.dependencies[t].is_empty());
        let mut next = longest(&mut roots);
        while let Some(task) = next {
            path.push(task);
            next = longest(&mut self.dependants[task].iter().copied());
        }
        path
    }

    /// One way round the cycle `group`, ending where it begins.
    pub fn way_round(&self, group: &[usize]) -> Vec<usize> {
        let Some(&start) = group.first() else { return Vec::new() };
        let inside = |t: &usize| self.component[*t] == self.component[start];
        // Breadth first, so that the way shown is the shortest.
        let mut came_from: std::collections::HashMap<usize, usize> =
            std::collections::HashMap::new();
        let mut queue = std::collections::VecDeque::from([start]);
        while let Some(task) = queue.pop_front() {
            for &d in self.dependencies[task].iter().filter(|d| inside(d)) {
                if d == start {
                    let mut way = vec![start, task];
                    let mut at = task;
                    while at != start {
                        at = came_from.get(&at).copied().unwrap_or(start);
                        way.push(at);
                    }
                    way.reverse();
                    return way;
                }
                if let std::collections::hash_map::Entry::Vacant(slot) = came_from.entry(d) {
                    slot.insert(task);
                    queue.push_back(d);
                }
            }
        }
        Vec::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_diamond_has_three_waves_and_its_longer_side_is_critical() {
        let order = Order::new(vec![vec![], vec![0], vec![0], vec![1, 2]]);
        assert_eq!(order.waves(), vec![vec![0], vec![1, 2], vec![3]]);
        assert_eq!(order.critical_path(&[1, 1, 5, 1]), vec![0, 2, 3]);
        assert_eq!(order.tails(&[1, 1, 5, 1]), vec![7, 2, 6, 1]);
    }

    #[test]
    fn a_cycle_is_named_all_the_way_round() {
        let order = Order::new(vec![vec![2], vec![0], vec![1], vec![]]);
        assert_eq!(order.cycles, vec![vec![0, 1, 2]]);
        let way = order.way_round(&order.cycles[0]);
        assert_eq!(way.len(), 4);
        assert_eq!(way.first(), way.last());
        for pair in way.windows(2) {
            assert!(order.dependencies[pair[0]].contains(&pair[1]), "{way:?}");
        }
    }

    #[test]
    fn a_chain_of_a_hundred_thousand_tasks_is_no_trouble() {
        let n = 100_000;
        let order =
            Order::new((0..n).map(|i: usize| i.checked_sub(1).into_iter().collect()).collect());
        assert_eq!(order.waves().len(), n);
        assert_eq!(order.critical_path(&vec![1; n]).len(), n);
    }
}
