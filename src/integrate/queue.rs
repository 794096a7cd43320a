//! Which verified task is merged next, behind what is staged already. Pure.

/// A verified task that waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Waiting {
    /// Its index in the plan.
    pub task: usize,
    /// The higher goes first.
    pub priority: i64,
    /// The longest path that begins with it; the longer goes first.
    pub remaining: u64,
    /// Its points of risk; the fewer go first.
    pub risk: u64,
    /// When it was verified; the earlier goes first.
    pub since: u64,
}

/// The front of the queue.
pub fn front(waiting: impl Iterator<Item = Waiting>) -> Option<usize> {
    let order = |w: &Waiting| {
        (std::cmp::Reverse(w.priority), std::cmp::Reverse(w.remaining), w.risk, w.since, w.task)
    };
    waiting.min_by_key(order).map(|w| w.task)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn priority_beats_length_beats_age() {
        let w = |task, priority, remaining, since| Waiting {
            task,
            priority,
            remaining,
            risk: 0,
            since,
        };
        assert_eq!(front([w(0, 0, 9, 1), w(1, 1, 1, 2)].into_iter()), Some(1));
        assert_eq!(front([w(0, 0, 1, 1), w(1, 0, 9, 2)].into_iter()), Some(1));
        assert_eq!(front([w(0, 0, 1, 2), w(1, 0, 1, 1)].into_iter()), Some(1));
        assert_eq!(front([].into_iter()), None);
    }
}
