//! Simulated merge queues: the search must land and blame what checking the tasks one by one lands
//! and blames, with as few suite runs as information theory allows. Knows no git and no jobs.

use slimductor::integrate::search::{Known, Move, PRIOR, View, moves};
use std::collections::{HashMap, HashSet};

/// SplitMix64: small, and the same on every machine.
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mixed(self.0)
    }

    fn below(&mut self, n: usize) -> usize {
        (self.next() % n as u64) as usize
    }

    fn happens(&mut self, chance: f64) -> bool {
        (self.next() >> 11) as f64 / ((1_u64 << 53) as f64) < chance
    }
}

fn mixed(seed: u64) -> u64 {
    let z = (seed ^ (seed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// A set of at most 64 tasks: what a tree holds. The order of a queue never changes, so the set
/// names the tree.
type Tree = u64;

/// Which trees are red, and who needs whom.
#[derive(Default)]
struct Truth {
    tasks: usize,
    breakers: Tree,
    /// Two tasks that are red only together.
    pairs: Vec<Tree>,
    /// (broken, mended): the first is red without the second. Redness is not monotone then.
    fixers: Vec<(Tree, Tree)>,
    /// Every tree is red with one chance in eight, by a hash of this.
    chaos: Option<u64>,
    /// The base itself is red, and all on it.
    base: bool,
    needs: Vec<Option<usize>>,
}

impl Truth {
    fn red(&self, tree: Tree) -> bool {
        self.base
            || tree & self.breakers != 0
            || self.pairs.iter().any(|pair| tree & pair == *pair)
            || self.fixers.iter().any(|(broken, by)| tree & broken != 0 && tree & by == 0)
            || (tree != 0 && self.chaos.is_some_and(|seed| mixed(seed ^ tree).is_multiple_of(8)))
    }

    fn random(dice: &mut Dice, tasks: usize, p: f64) -> Self {
        let mut truth = Self { tasks, ..Self::default() };
        for task in 0..tasks {
            truth.breakers |= Tree::from(dice.happens(p)) << task;
            let needs = task > 0 && dice.happens(0.1);
            truth.needs.push(needs.then(|| dice.below(task.max(1))));
        }
        if tasks > 1 && dice.happens(0.5) {
            for _ in 0..=dice.below(3) {
                let one = dice.below(tasks);
                let other = (one + 1 + dice.below(tasks - 1)) % tasks;
                truth.pairs.push(1 << one | 1 << other);
            }
        }
        truth
    }
}

/// What came of a queue.
#[derive(Debug, Default, PartialEq, Eq)]
struct Outcome {
    landed: Vec<usize>,
    blamed: Vec<usize>,
    /// Went with one that was blamed, because they need it.
    dropped: Tree,
    base_red: bool,
}

/// The yardstick: every task alone on the tip, in order.
fn one_by_one(truth: &Truth) -> Outcome {
    let mut out = Outcome::default();
    let (mut tip, mut gone): (Tree, Tree) = (0, 0);
    for task in 0..truth.tasks {
        if truth.needs[task].is_some_and(|it| gone >> it & 1 == 1) {
            gone |= 1 << task;
            out.dropped |= 1 << task;
        } else if truth.red(tip | 1 << task) {
            gone |= 1 << task;
            out.blamed.push(task);
        } else {
            tip |= 1 << task;
            out.landed.push(task);
        }
    }
    out
}

#[derive(Clone, Copy, PartialEq)]
enum Pace {
    /// All checks take the same time and all tasks wait from the start.
    Lockstep,
    /// Checks end in any order, tasks arrive while they run.
    Free,
    /// Also, cancelled checks go on for a while and may still have a result.
    SlowCancel,
    /// Also, people withdraw queued tasks.
    Withdrawals,
}

struct Job {
    tree: Tree,
    cancelled: bool,
}

/// A caller of `moves` with the duties that the module's page gives it.
struct World<'a> {
    truth: &'a Truth,
    chances: &'a [f64],
    slots: usize,
    strict: bool,
    pace: Pace,
    queue: Vec<usize>,
    arrived: usize,
    base: Tree,
    results: HashMap<Tree, Known>,
    jobs: Vec<Job>,
    asked: HashSet<Tree>,
    gone: Tree,
    out: Outcome,
    runs: usize,
    base_runs: usize,
    rounds: usize,
}

impl<'a> World<'a> {
    fn new(truth: &'a Truth, chances: &'a [f64], slots: usize, strict: bool, pace: Pace) -> Self {
        Self {
            truth,
            chances,
            slots,
            strict,
            pace,
            queue: Vec::new(),
            arrived: 0,
            base: 0,
            results: HashMap::from([(0, Known::Green)]),
            jobs: Vec::new(),
            asked: HashSet::new(),
            gone: 0,
            out: Outcome::default(),
            runs: 0,
            base_runs: 0,
            rounds: 0,
        }
    }

    fn trees(&self) -> Vec<Tree> {
        let mut tree = self.base;
        let mut trees = vec![tree];
        for task in &self.queue {
            tree |= 1 << task;
            trees.push(tree);
        }
        trees
    }

    fn known(&self, tree: Tree) -> Known {
        if self.jobs.iter().any(|job| job.tree == tree) {
            return Known::Running;
        }
        self.results.get(&tree).copied().unwrap_or(Known::Unknown)
    }

    /// Asks and obeys once; says whether anything changed.
    fn turn(&mut self) -> bool {
        let trees = self.trees();
        let prefixes: Vec<Known> = trees.iter().map(|&tree| self.known(tree)).collect();
        let chances: Vec<f64> = self.queue.iter().map(|&task| self.chances[task]).collect();
        let orphans = self.jobs.iter().filter(|job| !trees.contains(&job.tree));
        assert!(orphans.clone().all(|job| job.cancelled), "a useless check was not cancelled");
        let slots = self.slots - orphans.count();
        let view = View { chances: &chances, prefixes: &prefixes, slots, strict: self.strict };
        let moves = moves(&view);
        let mut changed = false;
        for (at, it) in moves.iter().enumerate() {
            match *it {
                Move::Check(k) => {
                    assert_eq!(prefixes[k], Known::Unknown, "checked twice: {view:?}");
                    assert!(self.asked.insert(trees[k]), "one tree, two checks: {view:?}");
                    self.jobs.push(Job { tree: trees[k], cancelled: false });
                    assert!(self.jobs.len() <= self.slots, "too many checks: {view:?}");
                    *(if k == 0 { &mut self.base_runs } else { &mut self.runs }) += 1;
                    changed = true;
                }
                Move::Cancel(k) => {
                    assert_eq!(prefixes[k], Known::Running);
                    if matches!(self.pace, Pace::Lockstep | Pace::Free) {
                        self.jobs.retain(|job| job.tree != trees[k]);
                        self.asked.remove(&trees[k]);
                        changed = true;
                    } else if let Some(job) = self.jobs.iter_mut().find(|it| it.tree == trees[k]) {
                        changed |= !job.cancelled;
                        job.cancelled = true;
                    }
                }
                Move::Land(k) => {
                    assert_eq!(at + 1, moves.len(), "something after a landing");
                    let proofs = if self.strict { &prefixes[1..=k] } else { &prefixes[k..=k] };
                    assert!(proofs.iter().all(|&it| it == Known::Green), "landed unproved");
                    assert!(!self.truth.red(trees[k]));
                    self.base = trees[k];
                    self.out.landed.extend(self.queue.drain(..k));
                    changed = true;
                }
                Move::Blame => {
                    assert_eq!((prefixes[0], prefixes[1]), (Known::Green, Known::Red));
                    self.out.blamed.push(self.queue[0]);
                    self.evict(0);
                    changed = true;
                }
                Move::BaseRed => {
                    self.out.base_red = true;
                    return false;
                }
            }
        }
        changed
    }

    /// Takes a task out of the queue and all that need it.
    fn evict(&mut self, at: usize) {
        self.gone |= 1 << self.queue.remove(at);
        for task in std::mem::take(&mut self.queue) {
            self.enqueue(task);
        }
        let trees = self.trees();
        if self.pace == Pace::Withdrawals {
            for job in &mut self.jobs {
                job.cancelled |= !trees.contains(&job.tree);
            }
        }
    }

    fn enqueue(&mut self, task: usize) {
        if self.truth.needs[task].is_some_and(|it| self.gone >> it & 1 == 1) {
            self.gone |= 1 << task;
            self.out.dropped |= 1 << task;
        } else {
            self.queue.push(task);
        }
    }

    fn arrive(&mut self, count: usize) {
        for _ in 0..count.min(self.truth.tasks - self.arrived) {
            self.arrived += 1;
            self.enqueue(self.arrived - 1);
        }
    }

    fn end(&mut self, at: usize, dice: &mut Dice) {
        let job = self.jobs.swap_remove(at);
        if job.cancelled && dice.happens(0.5) {
            self.asked.remove(&job.tree);
            return;
        }
        let result = if self.truth.red(job.tree) { Known::Red } else { Known::Green };
        self.results.insert(job.tree, result);
    }

    fn run(&mut self, dice: &mut Dice) {
        if self.pace == Pace::Lockstep {
            self.arrive(self.truth.tasks);
        }
        loop {
            while self.turn() {}
            if self.out.base_red {
                return;
            }
            let all_here = self.arrived == self.truth.tasks;
            assert!(!self.jobs.is_empty() || self.queue.is_empty(), "stuck");
            if self.jobs.is_empty() && all_here {
                return;
            }
            if self.pace == Pace::Withdrawals && !self.queue.is_empty() && dice.happens(0.05) {
                self.evict(dice.below(self.queue.len()));
            } else if !all_here && (self.jobs.is_empty() || dice.happens(0.3)) {
                self.arrive(1 + dice.below(8));
            } else if self.pace == Pace::Lockstep {
                self.rounds += 1;
                while !self.jobs.is_empty() {
                    self.end(0, dice);
                }
            } else {
                self.end(dice.below(self.jobs.len()), dice);
            }
        }
    }
}

/// Estimates of every quality: right, all the same, nonsense.
fn estimates(dice: &mut Dice, tasks: usize, p: f64) -> Vec<f64> {
    let quality = dice.below(3);
    let nonsense = [f64::NAN, -1.0, 0.0, 1e-9, 0.3, 0.5, 0.9, 1.0, 7.0, f64::INFINITY];
    let one = |_| match quality {
        0 => p,
        1 => PRIOR,
        _ => nonsense[dice.below(nonsense.len())],
    };
    (0..tasks).map(one).collect()
}

#[test]
fn ten_thousand_queues_end_as_if_checked_one_by_one() {
    let mut dice = Dice(1);
    for round in 0..12_000 {
        let p = [0.0, 0.01, 0.05, 0.10][round % 4];
        let tasks = 1 + dice.below(40);
        let truth = Truth::random(&mut dice, tasks, p);
        let chances = estimates(&mut dice, tasks, p);
        let slots = 1 + dice.below(6);
        let strict = dice.happens(0.2);
        let pace = [Pace::Lockstep, Pace::Free, Pace::Free, Pace::SlowCancel][dice.below(4)];
        let mut world = World::new(&truth, &chances, slots, strict, pace);
        let unproved_base = dice.happens(0.1);
        if unproved_base {
            world.results.clear();
        }
        world.run(&mut dice);
        assert_eq!(world.out, one_by_one(&truth), "queue {round}");
        assert!(world.base_runs <= usize::from(unproved_base), "the base was checked again");
    }
}

#[test]
fn an_interacting_pair_costs_exactly_its_later_task() {
    let mut dice = Dice(2);
    for tasks in [2, 3, 7, 20] {
        for later in 1..tasks {
            for earlier in 0..later {
                let truth = Truth {
                    tasks,
                    pairs: vec![1 << earlier | 1 << later],
                    needs: vec![None; tasks],
                    ..Truth::default()
                };
                let chances = vec![PRIOR; tasks];
                let slots = 1 + dice.below(4);
                let mut world = World::new(&truth, &chances, slots, false, Pace::Free);
                world.run(&mut dice);
                assert_eq!(world.out.blamed, [later]);
                assert_eq!(world.out.landed.len(), tasks - 1);
            }
        }
    }
}

#[test]
fn strict_is_one_by_one_even_where_tasks_mend_each_other() {
    let mut dice = Dice(3);
    for _ in 0..1_000 {
        let tasks = 1 + dice.below(20);
        let mut truth = Truth::random(&mut dice, tasks, 0.05);
        truth.chaos = Some(dice.next());
        let chances = estimates(&mut dice, tasks, 0.2);
        let mut world = World::new(&truth, &chances, 1 + dice.below(6), true, Pace::SlowCancel);
        world.run(&mut dice);
        assert_eq!(world.out, one_by_one(&truth));
    }
}

/// Whatever the results and whoever leaves: it ends, and only what was green has landed (the
/// assertions of `turn`).
#[test]
fn chaos_and_withdrawals_never_land_a_red_tree_and_never_get_stuck() {
    let mut dice = Dice(4);
    for _ in 0..2_000 {
        let tasks = 1 + dice.below(30);
        let mut truth = Truth::random(&mut dice, tasks, 0.05);
        truth.chaos = dice.happens(0.5).then(|| dice.next());
        for _ in 0..dice.below(3) {
            truth.fixers.push((1 << dice.below(tasks), 1 << dice.below(tasks)));
        }
        let chances = estimates(&mut dice, tasks, 0.1);
        let (slots, strict) = (1 + dice.below(6), dice.happens(0.3));
        let mut world = World::new(&truth, &chances, slots, strict, Pace::Withdrawals);
        world.run(&mut dice);
        let ended = world.base | world.gone;
        assert_eq!(ended.count_ones() as usize, tasks);
    }
}

#[test]
fn a_red_base_is_found_and_nobody_is_blamed_for_it() {
    let mut dice = Dice(5);
    for _ in 0..200 {
        let tasks = 1 + dice.below(40);
        let truth = Truth { tasks, base: true, needs: vec![None; tasks], ..Truth::default() };
        let chances = estimates(&mut dice, tasks, 0.1);
        let strict = dice.happens(0.3);
        let mut world = World::new(&truth, &chances, 1 + dice.below(6), strict, Pace::SlowCancel);
        world.results.clear();
        world.run(&mut dice);
        let found = Outcome { base_red: true, dropped: world.out.dropped, ..Outcome::default() };
        assert_eq!(world.out, found);
        assert_eq!(world.base_runs, 1);
    }
}

/// Expected suite runs with one slot, exactly, for equal chances: `of(tasks, red)` where `red` is
/// the length of the known red prefix, 0 for none. Asks the search itself, or (`best`) takes the
/// best of all cuts, which is the optimum of all ways to check prefixes.
struct Expected {
    p: f64,
    best: bool,
    memo: HashMap<(usize, usize), f64>,
}

impl Expected {
    fn of(&mut self, tasks: usize, red: usize) -> f64 {
        if tasks == 0 {
            return 0.0;
        }
        if red == 1 {
            return self.of(tasks - 1, 0);
        }
        if let Some(&known) = self.memo.get(&(tasks, red)) {
            return known;
        }
        let cuts = if red == 0 { 1..tasks + 1 } else { 1..red };
        let runs = if self.best {
            cuts.map(|cut| self.after(tasks, red, cut)).fold(f64::INFINITY, f64::min)
        } else {
            let mut prefixes = vec![Known::Unknown; tasks + 1];
            prefixes[0] = Known::Green;
            if red > 0 {
                prefixes[red] = Known::Red;
            }
            let chances = vec![self.p; tasks];
            let view = View { chances: &chances, prefixes: &prefixes, slots: 1, strict: false };
            let moves = moves(&view);
            let cut = if let [Move::Check(cut)] = moves[..] { cut } else { 0 };
            assert!(cuts.contains(&cut), "{moves:?} for {view:?}");
            self.after(tasks, red, cut)
        };
        self.memo.insert((tasks, red), runs);
        runs
    }

    fn after(&mut self, tasks: usize, red: usize, cut: usize) -> f64 {
        let green = |k: usize| (1.0 - self.p).powi(k as i32);
        let least = if red == 0 { 0.0 } else { green(red) };
        let chance = (green(cut) - least) / (1.0 - least);
        let on_green = self.of(tasks - cut, red.saturating_sub(cut));
        let on_red = if chance < 1.0 { self.of(tasks, cut) } else { 0.0 };
        1.0 + chance * on_green + (1.0 - chance) * on_red
    }
}

/// The least that any way of asking yes-or-no questions needs on average to say who of `n` breaks:
/// the entropy of the answer. When "nobody" has a chance of one half or more, the first question
/// is spent on less than a bit and the bound is its run and the entropy of the rest (the length of
/// a Huffman code, with the rest at its own entropy).
fn bound(n: usize, p: f64) -> f64 {
    let entropy = |q: f64| {
        let part = |q: f64| if q > 0.0 { -q * q.log2() } else { 0.0 };
        part(q) + part(1.0 - q)
    };
    let (bits, nobody) = (n as f64 * entropy(p), (1.0 - p).powi(n as i32));
    if nobody < 0.5 { bits } else { 1.0 + bits - entropy(nobody) }
}

/// Exact, not sampled: the search is asked in every state it can come into.
///
/// Both yardsticks hold. The page gives 1, 2.4, 8.6 and 14.1 bits for n = 30 at p = 0, 1, 5, 10 %;
/// the second is below what any search can do (a first question that is answered "green" three
/// times in four is worth 0.83 bits, not 1), the true bound there is 2.60 and the optimum of all
/// prefix searches 2.738.
#[test]
fn with_one_slot_the_runs_are_near_the_least_possible() {
    println!("{:>3} {:>5} {:>7} {:>8} {:>7}", "n", "p", "search", "optimum", "bound");
    for n in [1, 2, 3, 5, 8, 10, 15, 20, 30, 40] {
        for p in [0.0, 0.01, 0.02, 0.05, 0.10, 0.20, 0.30, 0.60] {
            let expected = |best| Expected { p, best, memo: HashMap::new() }.of(n, 0);
            let (search, optimum, bound) = (expected(false), expected(true), bound(n, p));
            println!("{n:>3} {p:>5.2} {search:>7.3} {optimum:>8.3} {bound:>7.3}");
            assert!(bound <= optimum + 1e-9 && optimum <= search + 1e-9, "impossible");
            assert!(search <= 1.10 * bound, "not within 10 % of the information bound");
            assert!(search <= 1.02 * optimum, "not within 2 % of the best prefix search");
        }
    }
}

/// How a queue of thirty that is all there at the start is done with, in rounds of equal length.
/// `share` is the bound for rounds: one round of W checks has W + 1 outcomes.
#[test]
fn more_slots_trade_runs_for_rounds() {
    let (n, queues) = (30, 500);
    let mut dice = Dice(6);
    println!("  n W     p   runs  bound rounds  share");
    for p in [0.0, 0.01, 0.05, 0.10] {
        let mut before = f64::INFINITY;
        for slots in [1, 2, 4, 6] {
            let (mut runs, mut rounds) = (0, 0);
            for _ in 0..queues {
                let mut truth = Truth { tasks: n, needs: vec![None; n], ..Truth::default() };
                for task in 0..n {
                    truth.breakers |= Tree::from(dice.happens(p)) << task;
                }
                let chances = vec![p; n];
                let mut world = World::new(&truth, &chances, slots, false, Pace::Lockstep);
                world.run(&mut dice);
                assert_eq!(world.base_runs, 0);
                runs += world.runs;
                rounds += world.rounds;
            }
            let mean = |sum: usize| sum as f64 / f64::from(queues);
            let (runs, rounds, bits) = (mean(runs), mean(rounds), bound(n, p));
            let share = (bits / (slots as f64 + 1.0).log2()).max(1.0);
            println!("{n:>3} {slots} {p:>5.2} {runs:>6.2} {bits:>6.2} {rounds:>6.2} {share:>6.2}");
            assert!(rounds <= 1.25 * share + 0.75, "far from its share of the time");
            assert!(rounds <= before + 0.1, "more slots, more time");
            assert!(runs <= rounds * slots as f64);
            before = rounds;
            if p == 0.0 {
                assert_eq!((runs, rounds), (1.0, 1.0), "one suite for a green queue");
            }
            if slots == 1 {
                let exact = Expected { p, best: false, memo: HashMap::new() }.of(n, 0);
                assert!((runs / exact - 1.0).abs() < 0.06, "{runs} is not {exact}");
            }
        }
    }
}
