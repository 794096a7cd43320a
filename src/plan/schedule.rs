//! How long a plan would take with so many workers: a simulation of the engine's own rule. Knows lengths, no clock.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::{Plan, costs};

/// How long a plan takes, in milliseconds, or in steps when no task has an estimate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Schedule {
    /// One task after the other.
    pub serial: u64,
    /// With the given number of workers.
    pub parallel: u64,
    /// With any number of workers: the critical path.
    pub longest: u64,
    /// How many tasks have an estimate.
    pub known: usize,
}

/// How long `plan` takes with `workers` at once: of the ready tasks the one with the higher priority goes first, then
/// the one with the longer path behind it.
pub fn of(plan: &Plan, workers: usize) -> Schedule {
    let cost = costs(plan.tasks.iter().map(|t| t.estimate_ms));
    let rank = |task: usize| (plan.tasks[task].priority, plan.tails[task], Reverse(task));
    let mut missing: Vec<usize> = plan.order.dependencies.iter().map(Vec::len).collect();
    let mut ready: BinaryHeap<_> =
        (0..missing.len()).filter(|t| missing[*t] == 0).map(|t| (rank(t), t)).collect();
    let mut busy: BinaryHeap<Reverse<(u64, usize)>> = BinaryHeap::new();
    let mut now = 0_u64;
    loop {
        while busy.len() < workers.max(1)
            && let Some((_, task)) = ready.pop()
        {
            busy.push(Reverse((now.saturating_add(cost[task]), task)));
        }
        let Some(Reverse((end, task))) = busy.pop() else { break };
        now = end;
        for &next in &plan.order.dependants[task] {
            missing[next] -= 1;
            if missing[next] == 0 {
                ready.push((rank(next), next));
            }
        }
    }
    Schedule {
        serial: cost.iter().fold(0, |sum, c| sum.saturating_add(*c)),
        parallel: now,
        longest: plan.tails.iter().copied().max().unwrap_or(0),
        known: plan.tasks.iter().filter(|t| t.estimate_ms.is_some()).count(),
    }
}

/// A length of time in words: `1h 30m`, `45s`.
pub fn length(millis: u64) -> String {
    let seconds = millis.div_ceil(1000);
    let (h, m, s) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    match (h, m, s) {
        (0, 0, s) => format!("{s}s"),
        (0, m, 0) => format!("{m}m"),
        (0, m, s) => format!("{m}m {s}s"),
        (h, 0, _) => format!("{h}h"),
        (h, m, _) => format!("{h}h {m}m"),
    }
}
