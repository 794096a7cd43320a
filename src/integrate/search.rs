//! Which prefixes of the merge queue to check, land or blame next: arithmetic on chances and
//! results. It knows no task, commit, job or clock, and keeps nothing between two calls.
//!
//! Prefix `k` is the base with the first `k` queued tasks merged. Every check halves (with `W`
//! slots: cuts into `W + 1` parts) what is not known about the longest green prefix, weighed by
//! chance. The chances only choose what is checked first: what lands and who is blamed follows
//! from results alone, so that a wrong estimate costs runs and nothing else. Every result narrows
//! the span between the longest green and the shortest red prefix, so the search always ends.

/// Chance that a task nobody knows anything about breaks the suite.
pub const PRIOR: f64 = 0.05;

/// How many observed tasks the prior counts for.
const PRIOR_WEIGHT: f64 = 20.0;
/// Nothing is certain: a chance of 0 or 1 would leave prefixes that are never worth a check.
const LEAST: f64 = 0.001;
const MOST: f64 = 0.999;
/// More parallel checks are not planned for: bounds the time of one call, whatever `slots` says.
const MOST_SLOTS: usize = 256;

/// The whole queue takes the place of the lowest quantile when its chance is more than this share
/// of it: when it is green nothing is left to do, after any shorter prefix a rest is. It is twice
/// (3 − √5)/2, so that one slot tries all at once down to a chance of 0.382; the quantile alone
/// would say 0.5 and cost up to 2 % more runs than the optimum (see tests/queue.rs).
const WHOLE: f64 = 0.764;

/// What is known of one prefix's tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Known {
    /// Neither checked nor being checked.
    Unknown,
    /// A check runs, also one that was told to stop and has not yet.
    Running,
    /// Every required check passed on exactly this tree.
    Green,
    /// A required check failed on exactly this tree.
    Red,
}

/// Everything the decision rests on.
#[derive(Debug, Clone, Copy)]
pub struct View<'a> {
    /// For each queued task in queue order, the chance (0..=1) that it breaks the suite. A missing
    /// one or one that is not a number counts as [`PRIOR`].
    pub chances: &'a [f64],
    /// What is known of prefix 0 (the base), 1, …, n: one more than there are queued tasks.
    pub prefixes: &'a [Known],
    /// How many checks may run at once, with those in `prefixes` that run. A running check of a
    /// tree that is no prefix any more (its task was evicted) is the caller's to subtract.
    pub slots: usize,
    /// Every landed commit must be green by itself, not only the last one of a batch.
    pub strict: bool,
}

/// One thing to do. All numbers are prefixes of the view that was asked about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Move {
    /// Land the first `k` tasks. Always the last move; prefix `k` is the base afterwards, and what
    /// is known or runs beyond it stays good.
    Land(usize),
    /// Start the check of prefix `k`; 0 is the base's own tree.
    Check(usize),
    /// Stop the check of prefix `k`: its result would tell nothing.
    Cancel(usize),
    /// The first task is to blame, exactly: the base is green, the base with it is red. Evict it
    /// and its dependants; every prefix but the base is a new tree then.
    Blame,
    /// The base itself is red, and so is the whole queue on it: nobody in the queue is to blame.
    BaseRed,
}

/// What to do now. Nothing to do and nothing running means that the queue is empty or that there
/// are no slots. Asked twice about one view it says the same, so a caller may ask at any time.
/// Cancelled checks hold their slot until the view says that they do not run any more.
pub fn moves(view: &View) -> Vec<Move> {
    let known = view.prefixes;
    if known.is_empty() {
        return Vec::new();
    }
    let lo = landable(view);
    let red = known.iter().skip(lo + 1).position(|&it| it == Known::Red).map(|at| lo + 1 + at);
    // Open prefixes, about which a check would tell something: lo < k < end.
    let end = red.unwrap_or(known.len());
    let running = || (0..known.len()).filter(|&k| known[k] == Known::Running);
    // On a red base a longer prefix tells something as well: one of its tasks may mend the base.
    let mending = lo == 0 && red == Some(1) && known[0] == Known::Red;
    let stale: Vec<usize> = running().filter(|&k| k < lo || (k > end && !mending)).collect();
    let free = view.slots.saturating_sub(running().count());
    let mut moves: Vec<Move> = stale.iter().copied().map(Move::Cancel).collect();
    if red != Some(lo + 1) {
        // Planned with the slots that will be free after the cancels, begun with those that are:
        // otherwise the first cut would stand where one slot wants it, not where all of them do.
        let room = view.slots.saturating_sub(running().count() - stale.len()).min(MOST_SLOTS);
        let cuts = if view.strict {
            (lo + 1..end).filter(|&k| known[k] == Known::Unknown).collect()
        } else {
            cuts(view, lo, red, room)
        };
        moves.extend(cuts.into_iter().take(free).map(Move::Check));
    } else if lo == 0 {
        match known[0] {
            Known::Unknown if free > 0 => moves.push(Move::Check(0)),
            Known::Unknown | Known::Running => {}
            Known::Green => moves.push(Move::Blame),
            Known::Red if running().any(|k| k > 0) => {}
            Known::Red => {
                let whole = known.len() - 1;
                let open = whole > 1 && known[whole] == Known::Unknown;
                match open {
                    true if free > 0 => moves.push(Move::Check(whole)),
                    true => {}
                    false => moves.push(Move::BaseRed),
                }
            }
        }
    }
    if lo > 0 {
        moves.push(Move::Land(lo));
    }
    moves
}

/// The longest prefix that may land, 0 for none.
fn landable(view: &View) -> usize {
    if view.strict {
        view.prefixes.iter().skip(1).take_while(|&&it| it == Known::Green).count()
    } else {
        view.prefixes.iter().rposition(|&it| it == Known::Green).unwrap_or(0)
    }
}

/// The prefixes between `lo` and `red` (else up to the whole queue) to check besides those that
/// run: at most `room`, ascending.
///
/// Running checks divide the range of F into gaps. The new cuts go, one by one, to the gap whose
/// parts are the largest, and stand evenly in F within it: with nothing running these are the
/// quantiles j/(W+1). Cuts that fall onto one prefix are one check, and a gap without a prefix in
/// it takes its share as well: a slot is left idle rather than spent on what is nearly known.
fn cuts(view: &View, lo: usize, red: Option<usize>, room: usize) -> Vec<usize> {
    let end = red.unwrap_or(view.prefixes.len());
    let chances = green_chances(view.chances, lo, end, red.is_some());
    let green = |k: usize| chances[k - lo];
    let open = || (lo + 1..end).filter(|&k| view.prefixes[k] == Known::Running);
    let borders: Vec<usize> = [lo].into_iter().chain(open()).chain([end]).collect();
    let mut shares = vec![0_usize; borders.len() - 1];
    let mass = |gap: usize| green(borders[gap]) - green(borders[gap + 1]);
    for _ in 0..room {
        let part = |gap: usize| mass(gap) / (shares[gap] + 1) as f64;
        // The first of equals, so that the choice does not hang on rounding of later ones.
        let largest =
            (1..shares.len()).fold(0, |best, gap| if part(gap) > part(best) { gap } else { best });
        shares[largest] += 1;
    }
    let whole = end - 1;
    let mut cuts = Vec::new();
    for (gap, &share) in shares.iter().enumerate() {
        let (from, to) = (borders[gap], borders[gap + 1]);
        for j in 1..=share {
            let wanted = green(to) + mass(gap) * j as f64 / (share + 1) as f64;
            let off = |k: &usize| (green(*k) - wanted).abs();
            // `min_by` keeps the first of equals: from the longest down, that is the longer one.
            let nearest = (from + 1..to).rev().min_by(|one, other| off(one).total_cmp(&off(other)));
            let all = red.is_none() && to == end && j == 1 && green(whole) > WHOLE * wanted;
            cuts.extend(nearest.map(|k| if all { whole } else { k }));
        }
    }
    cuts.sort_unstable();
    cuts.dedup();
    if red.is_none()
        && whole > lo
        && cuts.len() < room
        && green(whole) > 0.5 / (view.slots as f64 + 1.0)
        && view.prefixes[whole] == Known::Unknown
        && cuts.last() != Some(&whole)
    {
        cuts.push(whole);
    }
    cuts
}

/// F(k) for k = lo, …, end: the chance that prefix `k` is green, given that `lo` is green and
/// (when `red`) that `end` is not. From 1 down; the last is 0, for behind the whole queue there is
/// nothing that could be green.
fn green_chances(chances: &[f64], lo: usize, end: usize, red: bool) -> Vec<f64> {
    let mut all = vec![1.0];
    let mut green = 1.0;
    for task in lo..end {
        green *= 1.0 - bounded(chances.get(task).copied().unwrap_or(PRIOR));
        all.push(green);
    }
    let least = if red { green } else { 0.0 };
    for it in &mut all {
        *it = (*it - least) / (1.0 - least);
    }
    if let Some(last) = all.last_mut() {
        *last = 0.0;
    }
    all
}

/// The chance that a task breaks the suite: a prior that weighs as much as twenty observed tasks,
/// corrected by what this repository showed (of `seen` tasks `broke` broke it), times the task's
/// risk factor, which is held to 0.5..=4. The result is in 0.001..=0.999, whatever comes in.
pub fn chance(prior: f64, seen: u32, broke: u32, risk_factor: f64) -> f64 {
    let seen_so = f64::from(broke.min(seen)) + bounded(prior) * PRIOR_WEIGHT;
    let mean = seen_so / (f64::from(seen) + PRIOR_WEIGHT);
    let factor = if risk_factor.is_nan() { 1.0 } else { risk_factor.clamp(0.5, 4.0) };
    bounded(mean * factor)
}

/// A chance that can be reckoned with.
fn bounded(chance: f64) -> f64 {
    if chance.is_nan() { PRIOR } else { chance.clamp(LEAST, MOST) }
}

#[cfg(test)]
mod tests {
    use super::Known::{Green, Red, Running, Unknown};
    use super::*;

    fn ask(chance: f64, prefixes: &[Known], slots: usize) -> Vec<Move> {
        let chances = vec![chance; prefixes.len().saturating_sub(1)];
        moves(&View { chances: &chances, prefixes, slots, strict: false })
    }

    fn ask_strict(prefixes: &[Known], slots: usize) -> Vec<Move> {
        let chances = vec![PRIOR; prefixes.len().saturating_sub(1)];
        moves(&View { chances: &chances, prefixes, slots, strict: true })
    }

    /// A green base and `n` tasks of which nothing is known but these.
    fn queue(n: usize, known: &[(usize, Known)]) -> Vec<Known> {
        let mut prefixes = vec![Unknown; n + 1];
        prefixes[0] = Green;
        for &(k, it) in known {
            prefixes[k] = it;
        }
        prefixes
    }

    #[test]
    fn nothing_to_do_without_tasks_or_slots() {
        assert_eq!(ask(PRIOR, &[], 4), []);
        assert_eq!(ask(PRIOR, &[Unknown], 4), []);
        assert_eq!(ask(PRIOR, &[Red], 4), []);
        assert_eq!(ask(PRIOR, &queue(5, &[]), 0), []);
        assert_eq!(ask(PRIOR, &[Unknown, Red], 0), []);
    }

    #[test]
    fn one_slot_and_likely_greens_check_the_whole_queue() {
        assert_eq!(ask(0.0, &queue(30, &[]), 1), [Move::Check(30)]);
        assert_eq!(ask(0.01, &queue(30, &[]), 1), [Move::Check(30)]);
        assert_eq!(ask(0.05, &queue(5, &[]), 1), [Move::Check(5)]);
        // The same with more slots: what nobody doubts needs no second check.
        assert_eq!(ask(0.0, &queue(30, &[]), 6), [Move::Check(30)]);
    }

    #[test]
    fn one_slot_and_doubt_check_the_prefix_that_is_as_likely_green_as_red() {
        // 0.95^13 = 0.5133, 0.95^14 = 0.4877
        assert_eq!(ask(0.05, &queue(30, &[]), 1), [Move::Check(14)]);
        // 0.8^3 = 0.512, 0.8^5 = 0.328
        assert_eq!(ask(0.2, &queue(5, &[]), 1), [Move::Check(3)]);
        // 0.8^4 = 0.41 is more than 0.382.
        assert_eq!(ask(0.2, &queue(4, &[]), 1), [Move::Check(4)]);
        assert_eq!(ask(0.9, &queue(4, &[]), 1), [Move::Check(1)]);
    }

    #[test]
    fn one_bad_risk_at_the_end_is_left_for_later() {
        let view = View {
            chances: &[0.01, 0.01, 0.01, 0.9],
            prefixes: &queue(4, &[]),
            slots: 2,
            strict: false,
        };
        // Wanted 0.67 and 0.33; there are 0.99, 0.98, 0.97, 0.10.
        assert_eq!(moves(&view), [Move::Check(3), Move::Check(4)]);
    }

    #[test]
    fn the_whole_queue_takes_the_lowest_quantile_and_no_other() {
        // 0.83, 0.69, 0.57, 0.47, 0.39 for 0.75, 0.5, 0.25
        let cuts = [Move::Check(2), Move::Check(4), Move::Check(5)];
        assert_eq!(ask(0.17, &queue(5, &[]), 3), cuts);
    }

    #[test]
    fn behind_what_lands_the_chances_of_those_behind_count() {
        let view = View {
            chances: &[0.9, 0.9, 0.01, 0.01, 0.9],
            prefixes: &queue(5, &[(2, Green), (5, Red)]),
            slots: 1,
            strict: false,
        };
        assert_eq!(moves(&view), [Move::Check(4), Move::Land(2)]);
    }

    #[test]
    fn after_a_red_the_search_halves_what_is_left() {
        assert_eq!(ask(0.01, &queue(30, &[(30, Red)]), 1), [Move::Check(14)]);
        assert_eq!(ask(0.01, &queue(30, &[(8, Red)]), 1), [Move::Check(4)]);
        assert_eq!(ask(0.01, &queue(30, &[(2, Red)]), 1), [Move::Check(1)]);
        assert_eq!(ask(0.01, &queue(30, &[(8, Red), (20, Red)]), 1), [Move::Check(4)]);
        // Three slots quarter it.
        let quarters = [Move::Check(2), Move::Check(4), Move::Check(6)];
        assert_eq!(ask(0.01, &queue(30, &[(8, Red)]), 3), quarters);
    }

    #[test]
    fn the_front_is_blamed_only_on_a_green_base() {
        let red = |base| vec![base, Red, Unknown];
        assert_eq!(ask(PRIOR, &red(Unknown), 1), [Move::Check(0)]);
        assert_eq!(ask(PRIOR, &red(Running), 1), []);
        assert_eq!(ask(PRIOR, &red(Green), 1), [Move::Blame]);
        // On a red base the whole queue is tried once: one of it may mend the base.
        assert_eq!(ask(PRIOR, &red(Red), 1), [Move::Check(2)]);
        assert_eq!(ask(PRIOR, &[Red, Red, Running], 1), []);
        assert_eq!(ask(PRIOR, &[Red, Red, Red], 1), [Move::BaseRed]);
        assert_eq!(ask(PRIOR, &[Red, Red, Green], 1), [Move::Land(2)]);
    }

    #[test]
    fn a_red_base_matters_only_when_the_front_is_red() {
        // The second task mends the base.
        assert_eq!(ask(PRIOR, &[Red, Red, Green], 1), [Move::Land(2)]);
        assert_eq!(ask(PRIOR, &[Red, Unknown, Red], 1), [Move::Check(1)]);
    }

    #[test]
    fn the_longest_green_lands_and_shorter_checks_stop() {
        let prefixes = queue(6, &[(1, Running), (2, Red), (3, Green), (5, Running)]);
        assert_eq!(ask(PRIOR, &prefixes, 2), [Move::Cancel(1), Move::Land(3)]);
        // Also the base's.
        let base = [Running, Red, Green];
        assert_eq!(ask(PRIOR, &base, 2), [Move::Cancel(0), Move::Land(2)]);
        // With a slot more the search goes on behind what lands.
        let more = [Move::Cancel(1), Move::Check(6), Move::Land(3)];
        assert_eq!(ask(PRIOR, &prefixes, 3), more);
    }

    #[test]
    fn a_red_stops_longer_checks_and_their_slots_are_free_when_they_have_stopped() {
        let prefixes = queue(9, &[(4, Red), (6, Running), (9, Running)]);
        assert_eq!(ask(0.01, &prefixes, 2), [Move::Cancel(6), Move::Cancel(9)]);
        let stopped = queue(9, &[(4, Red)]);
        assert_eq!(ask(0.01, &stopped, 2), [Move::Check(1), Move::Check(3)]);
        // One has stopped: the first of two cuts, not the middle.
        let half = queue(9, &[(4, Red), (6, Running)]);
        assert_eq!(ask(0.01, &half, 2), [Move::Cancel(6), Move::Check(1)]);
    }

    #[test]
    fn a_red_behind_a_landing_waits_for_the_landing() {
        let prefixes = queue(6, &[(3, Green), (4, Red)]);
        assert_eq!(ask(PRIOR, &prefixes, 6), [Move::Land(3)]);
    }

    #[test]
    fn new_cuts_complete_those_that_run() {
        // Of the thirds of 12, one runs: the other is added, whichever it is.
        let thirds = [Move::Check(4), Move::Check(8)];
        assert_eq!(ask(0.001, &queue(12, &[(12, Red)]), 2), thirds);
        assert_eq!(ask(0.001, &queue(12, &[(12, Red), (4, Running)]), 2), thirds[1..]);
        assert_eq!(ask(0.001, &queue(12, &[(12, Red), (8, Running)]), 2), thirds[..1]);
        // The middle runs: one cut in each half.
        let halves = [Move::Check(3), Move::Check(9)];
        assert_eq!(ask(0.001, &queue(12, &[(12, Red), (6, Running)]), 3), halves);
        // The whole queue runs and is likely green: what comes later gets the free slot.
        assert_eq!(ask(0.01, &queue(5, &[(5, Running)]), 2), []);
        assert_eq!(ask(0.01, &queue(7, &[(5, Running)]), 2), [Move::Check(7)]);
    }

    #[test]
    fn strict_checks_in_order_and_lands_the_green_front() {
        let checks = [Move::Check(1), Move::Check(2), Move::Check(3)];
        assert_eq!(ask_strict(&queue(5, &[]), 3), checks);
        let holes = queue(5, &[(1, Green), (2, Running), (3, Green)]);
        assert_eq!(ask_strict(&holes, 2), [Move::Check(4), Move::Land(1)]);
        let red = queue(5, &[(1, Running), (2, Green), (3, Red), (4, Running)]);
        assert_eq!(ask_strict(&red, 2), [Move::Cancel(4)]);
        // What a longer prefix says does not save the first.
        assert_eq!(ask_strict(&queue(2, &[(1, Red), (2, Green)]), 2), [Move::Blame]);
    }

    #[test]
    fn nonsense_is_survived() {
        for chance in [f64::NAN, f64::INFINITY, -1.0, 0.0, 1.0, 1e300] {
            for n in [1, 2, 3, 2_000] {
                for slots in [1, 7, usize::MAX] {
                    let whole = ask(chance, &queue(n, &[]), slots);
                    assert!(matches!(whole[..], [Move::Check(_), ..]), "{whole:?}");
                    let red = ask(chance, &queue(n, &[(n, Red)]), slots);
                    assert!(matches!(red[..], [Move::Check(_) | Move::Blame, ..]), "{red:?}");
                }
            }
        }
        let short = View { chances: &[], prefixes: &queue(9, &[]), slots: 1, strict: false };
        assert_eq!(moves(&short), [Move::Check(9)]);
    }

    #[test]
    fn a_chance_starts_at_the_prior_and_follows_what_was_seen() {
        let near = |got: f64, wanted: f64| assert!((got - wanted).abs() < 1e-9, "{got} {wanted}");
        near(chance(PRIOR, 0, 0, 1.0), 0.05);
        near(chance(PRIOR, 20, 1, 1.0), 0.05);
        near(chance(PRIOR, 80, 0, 1.0), 0.01);
        near(chance(PRIOR, 80, 49, 1.0), 0.5);
        near(chance(PRIOR, 0, 0, 2.0), 0.1);
    }

    #[test]
    fn a_chance_is_never_certain_and_always_a_number() {
        let near = |got: f64, wanted: f64| assert!((got - wanted).abs() < 1e-9, "{got} {wanted}");
        near(chance(PRIOR, 0, 0, 100.0), 0.2);
        near(chance(PRIOR, 0, 0, -1.0), 0.025);
        near(chance(f64::NAN, 0, 0, f64::NAN), 0.05);
        near(chance(0.0, u32::MAX, 0, 0.5), 0.001);
        near(chance(1.0, u32::MAX, u32::MAX, 4.0), 0.999);
        near(chance(PRIOR, 20, 900, 1.0), 0.525);
    }
}
