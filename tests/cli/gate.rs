//! The gate with the real binary: who lands, who is blamed, how many suites that took, and what is left behind.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Child;
use std::time::{Duration, Instant};

use serde_json::Value;
use slimductor::integrate::search::{self, Known, Move, View};

use super::sandbox::{Ran, Sandbox, plan, ran, task};

// ---------------------------------------------------------------------------------------------
// What the tests share
// ---------------------------------------------------------------------------------------------

/// A task that makes one file and is tried once.
fn once(text: String) -> String {
    text.replace("    files_write", "    max_attempts: 1\n    files_write")
}

fn with(text: String, lines: &str) -> String {
    text.replace("    files_write", &format!("    {lines}\n    files_write"))
}

/// Makes `name` as soon as `flag` exists.
fn after(name: &str, flag: &Path) -> String {
    let wait = format!("until test -e {}; do sleep 0.01; done", flag.display());
    task(name, &[], name, &format!("{wait}; echo {name} > {name}"))
}

/// An executable script outside of the repository, as a command.
fn script(s: &Sandbox, name: &str, text: &str) -> String {
    let path = s.outside(name);
    fs::write(&path, text.replace("$OUT", s.outside("").to_str().unwrap())).unwrap();
    format!("sh {}", path.display())
}

/// The events of the newest run's journal, each with the time of its append.
fn journal(s: &Sandbox) -> Vec<(String, Value)> {
    let runs = fs::read_dir(s.root().join(".orchestrator/runs")).into_iter().flatten().flatten();
    let Some(run) = runs.map(|r| r.path()).max() else { return Vec::new() };
    let text = fs::read_to_string(run.join("journal.jsonl")).unwrap_or_default();
    let read = |line: &str| {
        // The last line may be half written.
        let value: Value = serde_json::from_str(line).ok()?;
        Some((value["at"].as_str()?.to_owned(), value["event"].clone()))
    };
    text.lines().filter_map(read).collect()
}

fn count(events: &[(String, Value)], kind: &str) -> usize {
    events.iter().filter(|(_, e)| e["type"] == kind).count()
}

/// Looks until the journal says so.
#[track_caller]
fn wait(s: &Sandbox, what: &str, so: impl Fn(&[(String, Value)]) -> bool) {
    let begun = Instant::now();
    loop {
        let events = journal(s);
        if so(&events) {
            return;
        }
        assert!(begun.elapsed() < Duration::from_secs(60), "never {what}: {events:#?}");
        std::thread::sleep(Duration::from_millis(4));
    }
}

/// The end of a run, which comes in a minute or never.
#[track_caller]
fn end(mut child: Child) -> Ran {
    let begun = Instant::now();
    while child.try_wait().unwrap().is_none() {
        if begun.elapsed() > Duration::from_secs(60) {
            child.kill().unwrap();
            let ran = ran(child.wait_with_output().unwrap());
            panic!("it never ends:\n{}\n{}", ran.out, ran.err);
        }
        std::thread::sleep(Duration::from_millis(4));
    }
    ran(child.wait_with_output().unwrap())
}

fn lines(path: &Path) -> usize {
    fs::read_to_string(path).unwrap_or_default().lines().count()
}

/// The line with the numbers of suite runs.
fn suites(ran: &Ran) -> &str {
    ran.out.lines().find(|l| l.contains("suite run")).unwrap_or_default()
}

fn suites_of(search: usize, base: usize, blame: usize, last: usize) -> String {
    let all = search + base + blame + last;
    let mut out = format!("{all} suite run{}: {search} to land", if all == 1 { "" } else { "s" });
    for (n, what) in [(base, "on staging"), (blame, "to blame"), (last, "at the end")] {
        if n > 0 {
            out.push_str(&format!(", {n} {what}"));
        }
    }
    out
}

// ---------------------------------------------------------------------------------------------
// A pair that fails only together
// ---------------------------------------------------------------------------------------------

const NAMES: [&str; 8] = ["t1", "t2", "t3", "t4", "t5", "t6", "t7", "t8"];

struct Paired {
    ran: Ran,
    /// The eight in the order in which they were staged.
    order: Vec<String>,
    events: Vec<(String, Value)>,
    states: std::collections::BTreeMap<String, (String, String)>,
    report: String,
}

/// Eight tasks queue behind one whose suite is held up. Which two do not get on is told when the order of the queue is
/// known: those at the places `pair`.
fn paired(window: usize, strict: bool, pair: (usize, usize)) -> Paired {
    let s = Sandbox::new();
    let go = s.outside("go");
    let suite = script(
        &s,
        "suite.sh",
        "until test -e $OUT/pair; do sleep 0.01; done\nread a b < $OUT/pair\n! { test -e $a && test -e $b; }\n",
    );
    let mut tasks = vec![task("hold", &[], "hold", "echo hold > hold")];
    tasks.extend(NAMES.iter().map(|n| once(after(n, &go))));
    let integration = format!("integration: {{incremental: [{{command: {suite}}}]}}\n");
    s.write("tasks.yaml", &(plan(&tasks) + &integration));
    if strict {
        s.write("slimductor.yaml", "integration: {strict: true}\n");
    }
    let window = window.to_string();
    let flags = ["--window", &window, "-j", "9", "--promote-landed", "--backend", "process"];
    let child = s.start(&[&["run"], &flags[..]].concat());
    wait(&s, "the first gate runs", |e| count(e, "gate_ready") == 1);
    fs::write(&go, "").unwrap();
    wait(&s, "all are staged", |e| count(e, "stage_built") == 9);
    let staged = |events: &[(String, Value)]| -> Vec<String> {
        let found = events.iter().filter(|(_, e)| e["type"] == "stage_started");
        let names = found.map(|(_, e)| e["task"].as_str().unwrap().to_owned());
        names.filter(|n| n != "hold").take(8).collect()
    };
    let order = staged(&journal(&s));
    fs::write(s.outside("pair.new"), format!("{} {}\n", order[pair.0], order[pair.1])).unwrap();
    fs::rename(s.outside("pair.new"), s.outside("pair")).unwrap();
    let ran = end(child);
    let report = fs::read_to_string(s.root().join(".orchestrator/escalation-report.md"));
    let states = s.states();
    s.assert_no_process();
    let events = journal(&s);
    Paired { ran, order, events, states, report: report.unwrap_or_default() }
}

/// The later of the two, and nobody else, is blamed, and told with whom it does not get on.
#[track_caller]
fn blamed_exactly(p: &Paired, pair: (usize, usize)) {
    let (first, second) = (&p.order[pair.0], &p.order[pair.1]);
    assert_eq!(p.ran.code, 4, "{}\n{}", p.ran.out, p.ran.err);
    for (name, (state, category)) in &p.states {
        let expected = if name == second { ("failed", "logic_error") } else { ("merged", "") };
        assert_eq!((state.as_str(), category.as_str()), expected, "{name}\n{}", p.ran.err);
    }
    let partner = format!("fails together with {first},");
    assert!(p.report.contains(&partner), "{partner}\n{}", p.report);
    let evicted: Vec<&Value> =
        p.events.iter().filter(|(_, e)| e["type"] == "task_evicted").map(|(_, e)| e).collect();
    assert!(evicted.len() == 1 && evicted[0]["task"] == second.as_str(), "{evicted:?}");
}

/// The chance of a task without risk at its first attempt, in a repository without history.
fn fresh() -> f64 {
    search::chance(search::PRIOR, 0, 0, 0.75)
}

/// How many suites one slot runs to land a queue of eight behind a landed one, and to find out about the pair.
fn one_slot(strict: bool, pair: (usize, usize)) -> (usize, usize) {
    let mut train: Vec<usize> = (0..8).collect();
    let mut known = vec![Known::Unknown; 9];
    known[0] = Known::Green;
    // The task that held the queue up is the first that landed.
    let mut landed = vec![8];
    let (mut search_runs, mut hi) = (0, 0);
    while !train.is_empty() {
        let chances = vec![fresh(); train.len()];
        let view = View { chances: &chances, prefixes: &known, slots: 1, strict };
        let moves = search::moves(&view);
        assert!(!moves.is_empty());
        for step in moves {
            match step {
                Move::Check(k) => {
                    search_runs += 1;
                    let red = [pair.0, pair.1]
                        .iter()
                        .all(|t| train[..k].contains(t) || landed.contains(t));
                    known[k] = if red { Known::Red } else { Known::Green };
                }
                Move::Land(k) => {
                    landed.extend(train.drain(..k));
                    known.drain(..k);
                    known[0] = Known::Green;
                }
                Move::Blame => {
                    assert_eq!(train.remove(0), pair.1);
                    hi = landed.len();
                    known = vec![Known::Unknown; train.len() + 1];
                    known[0] = Known::Green;
                }
                Move::Cancel(_) | Move::BaseRed => unreachable!(),
            }
        }
    }
    // The same tree again, the task alone, and then halves of what landed between its base and its end.
    let (mut passed, mut failed, mut blame) = (0, hi, 2);
    while failed - passed > 1 {
        let middle = passed + (failed - passed) / 2;
        blame += 1;
        if landed[..middle].contains(&pair.0) {
            failed = middle;
        } else {
            passed = middle;
        }
    }
    assert_eq!(landed[failed - 1], pair.0);
    (search_runs, blame)
}

/// Goes through the journal append by append: each time the gate chose, it chose what the search says.
#[track_caller]
fn chose_as_the_search_says(p: &Paired, window: usize, strict: bool) {
    let mut train: Vec<(u64, Known)> = Vec::new();
    let mut base = Known::Unknown;
    // Number, what about, whether it was told to stop.
    let mut gates: Vec<(u64, String, u64)> = Vec::new();
    let mut at = 0;
    let mut choices = 0;
    while at < p.events.len() {
        let turn = &p.events[at].0;
        let batch: Vec<&Value> =
            p.events[at..].iter().take_while(|(t, _)| t == turn).map(|(_, e)| e).collect();
        at += batch.len();
        let about = |e: &Value| -> (String, u64) {
            if let Some(on) = e["on"].as_str() {
                return (on.to_owned(), 0);
            }
            let (word, what) = e["on"].as_object().unwrap().iter().next().unwrap();
            (word.clone(), what["stage"].as_u64().unwrap_or(0))
        };
        let searches = |e: &Value| {
            e["type"] == "gate_started" && ["prefix", "base"].contains(&about(e).0.as_str())
        };
        if batch.iter().any(|e| searches(e) || e["type"] == "landing_started") {
            choices += 1;
            let mut prefixes = vec![base];
            prefixes.extend(train.iter().map(|s| s.1));
            let place = |on: &str, stage: u64| match on {
                "base" => Some(0),
                "prefix" => train.iter().position(|s| s.0 == stage).map(|k| k + 1),
                _ => None,
            };
            let mut others = 0;
            for (_, on, stage) in &gates {
                match place(on, *stage) {
                    Some(k) if prefixes[k] == Known::Unknown => prefixes[k] = Known::Running,
                    Some(_) => {}
                    None => others += 1,
                }
            }
            let chances = vec![fresh(); train.len()];
            let slots = window - others;
            let view = View { chances: &chances, prefixes: &prefixes, slots, strict };
            let said = search::moves(&view);
            let checks: Vec<Option<usize>> = said
                .iter()
                .filter_map(|m| if let Move::Check(k) = m { Some(Some(*k)) } else { None })
                .collect();
            let began: Vec<Option<usize>> = batch
                .iter()
                .filter(|e| searches(e))
                .map(|e| place(&about(e).0, about(e).1))
                .collect();
            assert_eq!(began, checks, "{prefixes:?} with {slots} slots: {said:?}\n{batch:#?}");
            let lands =
                said.iter().find_map(|m| if let Move::Land(k) = m { Some(*k) } else { None });
            let landing = batch.iter().find(|e| e["type"] == "landing_started");
            let landing = landing.and_then(|e| place("prefix", e["stage"].as_u64().unwrap()));
            assert_eq!(landing, lands, "{prefixes:?}: {said:?}");
        }
        for e in batch {
            let gate = e["gate"].as_u64().unwrap_or(0);
            let stage = e["stage"].as_u64().unwrap_or(0);
            match e["type"].as_str().unwrap() {
                "stage_started" => train.push((stage, Known::Unknown)),
                "task_evicted" => {
                    let k = train.iter().position(|s| s.0 == stage).unwrap();
                    assert_eq!(k, 0, "only the front is blamed");
                    train.clear();
                }
                "landed" => {
                    train.remove(0);
                    base = Known::Green;
                }
                "gate_started" => {
                    let (on, stage) = about(e);
                    gates.push((gate, on, stage));
                }
                "gate_stopped" => gates.retain(|g| g.0 != gate),
                "gate_checked" => {
                    let k = gates.iter().position(|g| g.0 == gate).unwrap();
                    let (_, on, stage) = gates.remove(k);
                    let green = e["findings"].as_array().unwrap().is_empty();
                    let colour = if green { Known::Green } else { Known::Red };
                    if on == "base" {
                        base = colour;
                    } else if on == "prefix"
                        && let Some(s) = train.iter_mut().find(|s| s.0 == stage)
                    {
                        s.1 = colour;
                    }
                }
                _ => {}
            }
        }
    }
    assert!(choices > 2, "{choices}");
}

/// The printed numbers are those of the gates that came to a result.
#[track_caller]
fn numbers_are_those_of_the_journal(p: &Paired) {
    let mut what = std::collections::BTreeMap::new();
    let mut counts = [0; 4];
    for (_, e) in &p.events {
        if e["type"] == "gate_started" {
            let on = e["on"].as_str().map(str::to_owned);
            let on =
                on.unwrap_or_else(|| e["on"].as_object().unwrap().keys().next().unwrap().clone());
            what.insert(e["gate"].as_u64().unwrap(), on);
        }
        if e["type"] == "gate_checked" {
            let on = match what[&e["gate"].as_u64().unwrap()].as_str() {
                "prefix" => 0,
                "base" => 1,
                "final" => 3,
                _ => 2,
            };
            counts[on] += 1;
        }
    }
    let [search, base, blame, last] = counts;
    assert_eq!(suites(&p.ran), suites_of(search, base, blame, last), "{}", p.ran.out);
}

#[test]
fn one_slot_runs_exactly_the_suites_that_the_search_says_and_blames_the_later_of_a_pair() {
    for (strict, pair) in [(false, (0, 7)), (true, (3, 4)), (false, (0, 1))] {
        let p = paired(1, strict, pair);
        blamed_exactly(&p, pair);
        let (search, blame) = one_slot(strict, pair);
        // One more for the task that held the queue up, and one at the end.
        let expected = suites_of(search + 1, 0, blame, 1);
        assert_eq!(suites(&p.ran), expected, "{strict} {pair:?}\n{}", p.ran.err);
        chose_as_the_search_says(&p, 1, strict);
        numbers_are_those_of_the_journal(&p);
    }
}

#[test]
fn two_slots_choose_what_the_search_says_and_blame_the_later_of_a_pair() {
    for (strict, pair) in [(false, (1, 6)), (true, (0, 5))] {
        let p = paired(2, strict, pair);
        blamed_exactly(&p, pair);
        chose_as_the_search_says(&p, 2, strict);
        numbers_are_those_of_the_journal(&p);
    }
}

#[test]
fn four_slots_choose_what_the_search_says_and_blame_the_later_of_a_pair() {
    for (strict, pair) in [(false, (3, 5)), (true, (0, 7))] {
        let p = paired(4, strict, pair);
        blamed_exactly(&p, pair);
        chose_as_the_search_says(&p, 4, strict);
        numbers_are_those_of_the_journal(&p);
    }
}

#[test]
fn whom_a_task_does_not_get_on_with_is_named_at_its_last_attempt_too() {
    let s = Sandbox::new();
    let tasks = [
        with(task("early", &[], "early", "echo 1 > early"), "priority: 1"),
        with(task("late", &[], "late", "echo 1 > late"), "max_attempts: 2"),
    ];
    let text = plan(&tasks)
        + "integration: {incremental: [{command: 'test ! -e early || test ! -e late'}]}\n";
    let go = s.outside("go");
    let text = text.replace(
        "echo 1 > late",
        &format!("until test -e {}; do sleep 0.01; done; echo 1 > late", go.display()),
    );
    s.write("tasks.yaml", &text);
    let child = s.start(&["run", "--backend", "process"]);
    wait(&s, "early has landed", |e| count(e, "landed") == 1);
    fs::write(&go, "").unwrap();
    let ran = end(child).exits(5);
    assert_eq!(s.states()["late"].0, "failed");
    // The second attempt is told, the person on the terminal is told, and the report does not forget.
    let told =
        ran.err.lines().filter(|l| l.starts_with("again ") && l.contains("together with early"));
    assert_eq!(told.count(), 1, "{}", ran.err);
    let report = s.read(".orchestrator/escalation-report.md");
    assert!(report.contains("together with early"), "{report}");
}

#[test]
fn a_coordinator_that_dies_with_gates_running_blames_and_counts_as_one_that_lives() {
    let s = Sandbox::new();
    // Every prefix is wanted, so that all slots are in use.
    s.write("slimductor.yaml", "integration: {strict: true}\n");
    let suite = script(
        &s,
        "suite.sh",
        "echo x >> $OUT/runs\nuntil test -e $OUT/go; do sleep 0.01; done\n! { test -e t1 && test -e t2; }\n",
    );
    let tasks: Vec<String> =
        NAMES[..4].iter().map(|n| once(task(n, &[], n, &format!("echo {n} > {n}")))).collect();
    let integration = format!(
        "integration: {{incremental: [{{command: {suite}}}], final: [{{command: test -e t3}}]}}\n"
    );
    s.write("tasks.yaml", &(plan(&tasks) + &integration));
    let mut child = s.start(&["run", "--backend", "process", "--window", "3", "--promote-landed"]);
    wait(&s, "the gates run", |e| count(e, "gate_ready") == 3 && count(e, "stage_built") == 4);
    child.kill().unwrap();
    child.wait().unwrap();
    fs::write(s.outside("go"), "").unwrap();
    let ran = s.run(&["resume"]).exits(4);
    let failed: Vec<String> =
        s.states().into_iter().filter(|(_, (w, _))| w == "failed").map(|(n, _)| n).collect();
    assert!(failed == ["t1"] || failed == ["t2"], "{failed:?}");
    let landed = s.states().values().filter(|(w, _)| w == "merged").count();
    assert_eq!(landed, 3, "{}", ran.err);
    // What ran when the coordinator died is not run again; what a result made needless may have been cut short.
    let counted: usize = suites(&ran).split(' ').next().unwrap().parse().unwrap();
    let ran_at_all = lines(&s.outside("runs"));
    assert!((counted - 1..=counted + 2).contains(&ran_at_all), "{ran_at_all}: {}", ran.out);
    assert_eq!(s.git(&["worktree", "list"]).lines().count(), 1);
    s.assert_no_process();
}

#[test]
fn what_a_person_put_right_by_hand_is_judged_anew() {
    let runs = |s: &Sandbox| lines(&s.outside("runs"));
    let tasks = |s: &Sandbox, work: &str| {
        let check = script(s, "check.sh", "echo x >> $OUT/runs\ngrep -q right b\n");
        once(task("b", &[], "b", work)).replace("test -s b", &check)
    };
    let s = Sandbox::new();
    s.run_plan(&plan(&[tasks(&s, "echo wrong > b")]), &[]).exits(5);
    s.write(".worktrees/b/b", "still not\n");
    s.run(&["answer", "b", "fix"]).exits(0);
    let before = runs(&s);
    s.run(&["resume"]).exits(5);
    assert!(runs(&s) > before, "the check ran on what the person wrote");
    s.write(".worktrees/b/b", "right\n");
    s.run(&["answer", "b", "fix"]).exits(0);
    s.run(&["resume"]).exits(0);
    assert_eq!(s.read("b"), "right\n");
    // Green once is not green for ever.
    let t = Sandbox::new();
    t.run_plan(&plan(&[tasks(&t, "echo right > b; echo 1 > stray")]), &[]).exits(5);
    fs::remove_file(t.root().join(".worktrees/b/stray")).unwrap();
    t.write(".worktrees/b/b", "wrong\n");
    t.run(&["answer", "b", "fix"]).exits(0);
    let before = runs(&t);
    t.run(&["resume"]).exits(5);
    assert!(runs(&t) > before);
    assert_eq!(t.states()["b"], ("failed".to_owned(), "logic_error".to_owned()));
    assert!(count(&journal(&t), "task_evicted") == 0, "its own check says it, before the gate");
}

// ---------------------------------------------------------------------------------------------
// One that fails by itself, one that fails now and then, a base that fails
// ---------------------------------------------------------------------------------------------

#[test]
fn what_breaks_the_suite_by_itself_is_blamed_alone() {
    let s = Sandbox::new();
    let tasks: Vec<String> = ["a", "bad", "c", "d", "e"]
        .map(|n| once(task(n, &[], n, &format!("echo {n} > {n}"))))
        .into();
    let text = plan(&tasks) + "integration: {incremental: [{command: test ! -e bad}]}\n";
    let ran = s.run_plan(&text, &["--promote-landed"]).exits(4);
    let states = s.states();
    for name in ["a", "c", "d", "e"] {
        assert_eq!(states[name].0, "merged", "{name}: {}", ran.err);
    }
    assert_eq!(states["bad"], ("failed".to_owned(), "logic_error".to_owned()));
    let report = s.read(".orchestrator/escalation-report.md");
    assert!(!report.contains("together with"), "{report}");
    assert_eq!(s.git(&["ls-tree", "--name-only", "main"]), "README.md\na\nc\nd\ne\nsrc");
    s.assert_no_process();
}

/// A suite that fails each time whose number (of those with the file `shaky`) is odd and not above `most`.
fn shaky(s: &Sandbox, most: u32) -> String {
    let suite = script(
        s,
        "shaky.sh",
        &format!(
            "test -e shaky || exit 0\necho x >> $OUT/runs\nn=$(wc -l < $OUT/runs)\ntest $n -gt {most} || test $((n % 2)) = 0\n"
        ),
    );
    let tasks = [
        task("steady", &[], "steady", "echo 1 > steady"),
        once(task("shaky", &["steady"], "shaky", "echo 1 > shaky")),
    ];
    plan(&tasks)
        + &format!(
            "integration: {{incremental: [{{command: {suite}}}], final: [{{command: test -e steady}}]}}\n"
        )
}

#[test]
fn a_suite_that_fails_once_clears_the_task_and_a_second_time_says_flaky() {
    let s = Sandbox::new();
    let ran = s.run_plan(&shaky(&s, 1), &[]).exits(0);
    assert!(ran.err.contains("flaky    shaky"), "{}", ran.err);
    // Red, green when run again, and then green where it lands.
    assert_eq!(lines(&s.outside("runs")), 3, "{}", ran.err);
    assert_eq!(suites(&ran), suites_of(3, 0, 1, 1));
    s.assert_nothing_is_left();
    let t = Sandbox::new();
    let ran = t.run_plan(&shaky(&t, 9), &[]).exits(5);
    assert_eq!(t.states()["shaky"], ("failed".to_owned(), "flaky".to_owned()), "{}", ran.err);
    assert_eq!(t.states()["steady"].0, "merged");
    assert_eq!(lines(&t.outside("runs")), 4, "{}", ran.err);
}

#[test]
fn a_base_that_is_red_by_itself_is_asked_about_and_nobody_is_blamed() {
    let s = Sandbox::new();
    let flag = s.outside("flag");
    let two = [once(task("a", &[], "a", "echo a > a")), once(task("b", &[], "b", "echo b > b"))];
    let text = plan(&two)
        + &format!("integration: {{incremental: [{{command: test -e {}}}]}}\n", flag.display());
    let before = s.git(&["rev-parse", "main"]);
    s.write("tasks.yaml", &text);
    let ran = end(s.start(&["run", "--backend", "process"])).exits(5);
    assert!(ran.out.contains("fails by itself"), "{}", ran.out);
    assert!(!ran.err.contains("breaks the suite"), "{}", ran.err);
    for (name, (state, category)) in s.states() {
        assert!(state != "failed" && category.is_empty(), "{name}: {state} {category}");
    }
    assert_eq!(s.git(&["rev-parse", "main"]), before);
    // As long as it is not mended the question stands; then all that was done is used.
    end(s.start(&["resume"])).exits(5);
    fs::write(&flag, "").unwrap();
    let ran = end(s.start(&["resume"])).exits(0);
    // What failed on a base that failed says nothing about who stood on it.
    assert!(!ran.err.contains("breaks the suite") && !ran.err.contains("flaky"), "{}", ran.err);
    assert!(s.states().values().all(|(state, _)| state == "merged"));
    assert_eq!(count(&journal(&s), "attempt_started"), 2);
    s.assert_nothing_is_left();
}

#[test]
fn a_task_that_mends_a_red_base_lands_with_those_that_wait_for_it() {
    let s = Sandbox::new();
    commit(&s, "broken", "yes\n");
    let work = after("broken", &s.outside("go")).replace("echo broken > broken", "rm broken");
    let mend = work.replace("test -s broken", "test ! -e broken");
    let text = plan(&[once(task("a", &[], "a", "echo a > a")), once(mend)])
        + "integration: {incremental: [{command: test ! -e broken}]}\n";
    s.write("tasks.yaml", &text);
    let child = s.start(&["run", "--backend", "process"]);
    // The first stands before the gate alone, and the base is known to be red, when the other is done.
    wait(&s, "the base is red", |e| count(e, "gate_checked") == 2);
    fs::write(s.outside("go"), "").unwrap();
    end(child).exits(0);
    assert!(!s.root().join("broken").exists());
    assert_eq!(s.read("a"), "a\n");
    s.assert_nothing_is_left();
}

// ---------------------------------------------------------------------------------------------
// Merge conflicts
// ---------------------------------------------------------------------------------------------

#[test]
fn the_later_of_two_that_append_to_one_line_is_told_of_the_conflict_and_lands_on_the_new_tip() {
    let s = Sandbox::new();
    s.write("log", "start\n");
    s.git(&["add", "-A"]);
    s.git(&["commit", "-qm", "log"]);
    let held = s.outside("held");
    let suite = script(
        &s,
        "suite.sh",
        "test -e hold && until test -e $OUT/held; do sleep 0.01; done\ntrue\n",
    );
    let append = |id: &str| {
        let work = format!(
            "test -e hold || test $SLIMDUCTOR_ATTEMPT = 1 || exit 9; cp $SLIMDUCTOR_FINDINGS {id}; echo {id} >> {id}; echo {id} >> log"
        );
        with(task(id, &[], id, &work), "files_append: [log]")
    };
    let tasks = [
        with(task("hold", &[], "hold", "echo hold > hold"), "priority: 9"),
        append("a"),
        append("b"),
    ];
    let text = plan(&tasks) + &format!("integration: {{incremental: [{{command: {suite}}}]}}\n");
    s.write("tasks.yaml", &text);
    let child = s.start(&["run", "--backend", "process", "--window", "1"]);
    wait(&s, "one of them met the other", |e| count(e, "stage_conflicted") == 1);
    fs::write(&held, "").unwrap();
    let ran = end(child).exits(0);
    let events = journal(&s);
    let failed: Vec<&Value> =
        events.iter().map(|e| &e.1).filter(|e| e["type"] == "attempt_failed").collect();
    assert!(failed.len() == 1 && failed[0]["category"] == "merge_conflict", "{}", ran.err);
    let later = failed[0]["task"].as_str().unwrap();
    let earlier = if later == "a" { "b" } else { "a" };
    assert!(s.read(later).contains("merge_conflict") && s.read(later).contains("log"));
    assert!(!s.read(earlier).contains("merge_conflict"));
    // Neither "ours" nor "theirs": both lines, in the order in which they landed.
    assert_eq!(s.read("log"), format!("start\n{earlier}\n{later}\n"));
    s.assert_nothing_is_left();
}

// ---------------------------------------------------------------------------------------------
// The target, while we were away
// ---------------------------------------------------------------------------------------------

/// Starts a run of one task, lets `meanwhile` happen when the worker is at it, and waits for the end.
fn meanwhile(s: &Sandbox, text: &str, meanwhile: impl Fn()) -> Ran {
    s.write("tasks.yaml", text);
    let child = s.start(&["run", "--backend", "process"]);
    wait(s, "the worker runs", |e| count(e, "worktree_ready") == 1);
    meanwhile();
    fs::write(s.outside("go"), "").unwrap();
    end(child)
}

fn commit(s: &Sandbox, name: &str, text: &str) -> String {
    s.write(name, text);
    s.git(&["add", name]);
    s.git(&["commit", "-qm", &format!("by hand: {name}")]);
    s.git(&["rev-parse", "main"])
}

#[test]
fn with_on_diverged_fail_a_target_that_moved_is_left_alone_until_a_person_merged() {
    let s = Sandbox::new();
    s.write("slimductor.yaml", "integration: {on_diverged: fail}\n");
    let text = plan(&[after("a", &s.outside("go"))]);
    let ran = meanwhile(&s, &text, || drop(commit(&s, "mine", "mine\n"))).exits(5);
    let mine = s.git(&["rev-parse", "main"]);
    assert_eq!(s.git(&["log", "-1", "--format=%s", "main"]), "by hand: mine");
    assert!(ran.out.contains("moved during the run"), "{}", ran.out);
    assert!(!s.root().join("a").exists());
    s.run(&["resume"]).exits(5);
    assert_eq!(s.git(&["rev-parse", "main"]), mine);
    // What the question proposes.
    let staging = s.status()["staging"]["branch"].as_str().unwrap().to_owned();
    s.git(&["merge", "-q", "--no-edit", &staging]);
    s.run(&["resume"]).exits(0);
    assert_eq!((s.read("a"), s.read("mine")), ("a\n".into(), "mine\n".into()));
}

#[test]
fn a_target_that_moved_into_a_conflict_is_asked_about_and_untouched() {
    let s = Sandbox::new();
    let text = plan(&[after("a", &s.outside("go"))]);
    let ran = meanwhile(&s, &text, || drop(commit(&s, "a", "mine\n"))).exits(5);
    assert!(ran.out.contains("conflicts") && ran.out.contains(" a"), "{}", ran.out);
    assert_eq!(
        (s.read("a").as_str(), s.git(&["log", "-1", "--format=%s", "main"]).as_str()),
        ("mine\n", "by hand: a")
    );
    s.run(&["abort"]).exits(0);
    assert_eq!(s.read("a"), "mine\n");
}

#[test]
fn an_edit_in_the_way_may_be_stashed_or_committed_and_resume_promotes() {
    let numbers: String = (1..=30).map(|n| format!("{n}\n")).collect();
    for way in ["stash", "commit"] {
        let s = Sandbox::new();
        commit(&s, "list", &numbers);
        s.write("list", &format!("0\n{numbers}"));
        let work = task("a", &[], "list", "echo 31 >> list");
        let ran = s.run_plan(&plan(&[work]), &[]).exits(5);
        assert!(ran.out.contains("changes in the way: list"), "{}", ran.out);
        assert_eq!(s.read("list"), format!("0\n{numbers}"));
        // As long as it is in the way nothing happens.
        s.run(&["resume"]).exits(5);
        assert_eq!(s.read("list"), format!("0\n{numbers}"));
        if way == "stash" {
            s.git(&["stash", "-q"]);
        } else {
            s.git(&["commit", "-qam", "mine"]);
        }
        s.run(&["resume"]).exits(0);
        if way == "stash" {
            assert_eq!(s.read("list"), format!("{numbers}31\n"));
            s.git(&["stash", "pop", "-q"]);
        } else {
            s.assert_nothing_is_left();
        }
        assert_eq!(s.read("list"), format!("0\n{numbers}31\n"), "{way}");
    }
}

#[test]
fn a_commit_of_a_person_on_the_staging_branch_is_not_lost() {
    for answer in [&["skip", "b"][..], &["abort"]] {
        let s = Sandbox::new();
        let tasks =
            [task("a", &[], "a", "echo a > a"), once(task("b", &[], "b", "echo b > b; exit 1"))];
        s.run_plan(&plan(&tasks), &[]).exits(5);
        let staging = s.status()["staging"]["branch"].as_str().unwrap().to_owned();
        let there = s.outside("there");
        let there = there.to_str().unwrap();
        s.git(&["worktree", "add", "-q", there, &staging]);
        fs::write(s.outside("there/mine"), "mine\n").unwrap();
        s.git(&["-C", there, "add", "mine"]);
        s.git(&["-C", there, "commit", "-qm", "by hand"]);
        let mine = s.git(&["-C", there, "rev-parse", "HEAD"]);
        s.git(&["worktree", "remove", there]);
        s.run(answer).exits(0);
        if answer[0] == "skip" {
            // Taken along, or asked about: both are fine.
            let code = s.run(&["resume"]).code;
            assert!([0, 5].contains(&code), "{code}");
        }
        let holds = s.git(&["for-each-ref", "--contains", &mine, "--format=%(refname)"]);
        assert!(!holds.is_empty(), "after {answer:?} nothing holds the commit");
    }
}

// ---------------------------------------------------------------------------------------------
// Abort
// ---------------------------------------------------------------------------------------------

/// What an aborted run must leave as it was.
fn surroundings(s: &Sandbox) -> Vec<String> {
    let recovery = |l: &&str| !l.contains("/recovery/");
    let refs = s.git(&["for-each-ref", "--format=%(refname) %(objectname)"]);
    let mut out: Vec<String> = refs.lines().filter(recovery).map(str::to_owned).collect();
    out.push(s.git(&["status", "--porcelain", "--untracked-files=all"]));
    out.push(s.git(&["worktree", "list"]));
    out.push(s.git(&["stash", "list"]));
    out.push(s.read(".git/config"));
    out.push(s.git(&["symbolic-ref", "HEAD"]));
    // No ignored file either.
    out.push(
        s.git(&["status", "--porcelain", "--ignored", "--untracked-files=all"])
            .lines()
            .filter(|l| !l.contains(".orchestrator/") && !l.contains(".orchestration-state.json"))
            .collect::<Vec<_>>()
            .join("\n"),
    );
    let mut inside: Vec<String> = fs::read_dir(s.root().join(".git"))
        .unwrap()
        .flatten()
        .map(|e| e.file_name().into_string().unwrap())
        // Git's own traces of the merges and reads.
        .filter(|n| !["index", "ORIG_HEAD", "logs", "info"].contains(&n.as_str()))
        .collect();
    inside.sort();
    out.extend(inside);
    out
}

fn kept(s: &Sandbox) -> Vec<String> {
    let all = s.git(&["for-each-ref", "refs/heads/slimductor", "--format=%(refname:short)"]);
    all.lines().map(str::to_owned).collect()
}

/// A command that tells that it runs, and then does not end.
fn hangs(s: &Sandbox) -> String {
    format!("echo x > {}; sleep 600", s.outside("reached").display())
}

/// A plan that hangs in this phase.
fn hanging(s: &Sandbox, phase: &str) -> String {
    let hang = hangs(s);
    let first = task("first", &[], "first", "echo first > first");
    let mut a = once(task("a", &["first"], "a", "echo work > a"));
    let mut gate = "true".to_owned();
    let mut last = "test -e a".to_owned();
    match phase {
        "worker" => a = once(task("a", &["first"], "a", &format!("echo work > a; {hang}"))),
        "check" => a = a.replace("test -s a", &format!("\"{hang}\"")),
        "gate" => gate = format!("test ! -e a || {{ {hang}; }}"),
        "final" => last = hang,
        "failed" => a = a.replace("echo work > a", "echo work > a; exit 1"),
        "blocked" => {
            let says = "echo \\\"ModuleNotFoundError: No module named 'nosuchthing'\\\"; exit 1";
            a = a.replace("command: test -s a", &format!("command: \"test -s a; {says}\""));
        }
        other => unreachable!("{other}"),
    }
    plan(&[first, a])
        + &format!(
            "integration:\n  incremental: [{{command: \"test -e first && {gate}\"}}]\n  final: [{{command: \"{last}\"}}]\n"
        )
}

#[track_caller]
fn abort_in(phase: &str, interrupted: bool) {
    let s = Sandbox::new();
    s.write("tasks.yaml", &hanging(&s, phase));
    let before = surroundings(&s);
    let child = s.start(&["run", "--backend", "process"]);
    if ["failed", "blocked"].contains(&phase) {
        end(child).exits(5);
    } else {
        let begun = Instant::now();
        while !s.outside("reached").exists() {
            assert!(begun.elapsed() < Duration::from_secs(30), "{phase}: {:#?}", journal(&s));
            std::thread::sleep(Duration::from_millis(4));
        }
        if interrupted {
            let pid = child.id().to_string();
            assert!(s.command("kill").args(["-INT", &pid]).status().unwrap().success());
            end(child).exits(130);
            s.run(&["abort"]).exits(0);
        } else {
            s.run(&["abort"]).exits(0);
            end(child).exits(4);
        }
    }
    if ["failed", "blocked"].contains(&phase) {
        s.run(&["abort"]).exits(0);
    }
    assert_eq!(surroundings(&s), before, "{phase} {interrupted}");
    assert_eq!(s.status()["phase"], "aborted");
    assert!(!s.root().join(".worktrees").exists());
    s.assert_no_process();
    s.git(&["fsck", "--strict"]);
    // What landed, and what had been worked on.
    let kept = kept(&s);
    assert!(kept.iter().all(|b| b.contains("/recovery/")), "{phase}: {kept:?}");
    let staging = kept.iter().find(|b| b.ends_with("/recovery/staging"));
    let staging = staging.unwrap_or_else(|| panic!("{phase}: {kept:?}"));
    assert_eq!(s.git(&["show", &format!("{staging}:first")]), "first");
    let work = match phase {
        "final" => Some(staging),
        _ => kept.iter().find(|b| b.ends_with("/recovery/a-1")),
    };
    let work = work.unwrap_or_else(|| panic!("{phase}: {kept:?}"));
    assert_eq!(s.git(&["show", &format!("{work}:a")]), "work", "{phase}");
    // The way is free for the next run.
    assert_eq!(s.git(&["rev-parse", "HEAD"]), s.git(&["rev-parse", "main"]));
}

#[test]
fn abort_while_a_worker_runs_leaves_only_recovery_branches() {
    abort_in("worker", false);
    abort_in("worker", true);
}

#[test]
fn abort_while_a_check_runs_leaves_only_recovery_branches() {
    abort_in("check", false);
    abort_in("check", true);
}

#[test]
fn abort_while_a_gate_runs_leaves_only_recovery_branches() {
    abort_in("gate", false);
    abort_in("gate", true);
}

#[test]
fn abort_while_several_gates_run_ends_them_all() {
    let s = Sandbox::new();
    // Every prefix is wanted, so that all slots are in use.
    s.write("slimductor.yaml", "integration: {strict: true}\n");
    let suite = script(&s, "suite.sh", "trap '' TERM INT\nsleep 600 & wait; sleep 600\n");
    let tasks: Vec<String> =
        NAMES[..4].iter().map(|n| task(n, &[], n, &format!("echo {n} > {n}"))).collect();
    let text = plan(&tasks) + &format!("integration: {{incremental: [{{command: {suite}}}]}}\n");
    s.write("tasks.yaml", &text);
    let before = surroundings(&s);
    let child = s.start(&["run", "--backend", "process", "--window", "3"]);
    wait(&s, "the gates run", |e| count(e, "gate_ready") == 3 && count(e, "stage_built") == 4);
    s.run(&["abort"]).exits(0);
    end(child).exits(4);
    assert_eq!(surroundings(&s), before);
    s.assert_no_process();
    assert!(!s.root().join(".worktrees").exists());
    let kept = kept(&s);
    for (branch, name) in kept.iter().zip(&NAMES[..4]) {
        assert!(branch.ends_with(&format!("/recovery/{name}-1")), "{kept:?}");
        assert_eq!(s.git(&["show", &format!("{branch}:{name}")]), *name);
    }
    assert_eq!(kept.len(), 4);
}

#[test]
fn abort_while_the_final_gate_runs_leaves_only_recovery_branches() {
    abort_in("final", false);
    abort_in("final", true);
}

#[test]
fn abort_of_a_run_that_waits_leaves_only_recovery_branches() {
    abort_in("failed", false);
    abort_in("blocked", false);
}

// ---------------------------------------------------------------------------------------------
// Pull requests, and no promotion
// ---------------------------------------------------------------------------------------------

/// A directory with links to everything on PATH but `gh`.
fn without_gh(s: &Sandbox) -> PathBuf {
    let bin = s.outside("bin");
    fs::create_dir(&bin).unwrap();
    for from in std::env::var("PATH").unwrap().split(':') {
        for entry in fs::read_dir(from).into_iter().flatten().flatten() {
            if entry.file_name() != "gh" && entry.file_name() != "tmux" {
                let _ = std::os::unix::fs::symlink(entry.path(), bin.join(entry.file_name()));
            }
        }
    }
    bin
}

fn pull_request(gh: Option<&str>) -> (Sandbox, Ran) {
    let s = Sandbox::new();
    let bin = without_gh(&s);
    if let Some(text) = gh {
        let path = bin.join("gh");
        fs::write(&path, text.replace("$OUT", s.outside("").to_str().unwrap())).unwrap();
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        fs::set_permissions(&path, mode).unwrap();
    }
    s.git(&["init", "-q", "--bare", s.outside("origin.git").to_str().unwrap()]);
    s.git(&["remote", "add", "origin", s.outside("origin.git").to_str().unwrap()]);
    s.write("tasks.yaml", &plan(&[task("a", &[], "a", "echo a > a")]));
    let mut command = s.slimductor();
    command.env("PATH", &bin).args(["run", "--backend", "process", "--pr"]);
    let ran = ran(command.output().unwrap());
    (s, ran)
}

#[test]
fn a_pull_request_without_gh_pushes_the_staging_branch_and_says_the_command() {
    let (s, ran) = pull_request(None);
    let ran = ran.exits(0);
    let before = s.git(&["rev-parse", "main"]);
    assert_eq!(s.git(&["log", "--format=%s", "main"]), "first");
    assert!(!s.root().join("a").exists());
    let origin = s.outside("origin.git");
    let origin = origin.to_str().unwrap();
    let pushed = s.git(&["-C", origin, "for-each-ref", "--format=%(refname:short)"]);
    assert!(pushed.starts_with("slimductor/") && pushed.ends_with("/staging"), "{pushed}");
    assert_eq!(s.git(&["-C", origin, "show", &format!("{pushed}:a")]), "a");
    let command = format!("gh pr create --base main --head {pushed} --title 'a test'");
    assert!(ran.err.contains(&command) && ran.out.contains(&command), "{}\n{}", ran.out, ran.err);
    assert!(ran.out.contains("main was not moved"), "{}", ran.out);
    assert_eq!(s.git(&["rev-parse", "main"]), before);
    s.assert_no_process();
    assert_eq!(s.git(&["worktree", "list"]).lines().count(), 1);
}

#[test]
fn a_pull_request_that_gh_opened_is_shown_and_one_that_it_did_not_is_no_failure() {
    let gh = "#!/bin/sh\nprintf '%s\\n' \"$@\" > $OUT/said\necho Creating\necho https://example.org/pull/7\n";
    let (s, ran) = pull_request(Some(gh));
    let ran = ran.exits(0);
    assert!(ran.out.contains("pull request: https://example.org/pull/7"), "{}", ran.out);
    let said = fs::read_to_string(s.outside("said")).unwrap();
    assert!(said.starts_with("pr\ncreate\n--base\nmain\n--head\nslimductor/"), "{said}");
    assert_eq!(s.git(&["log", "--format=%s", "main"]), "first");
    let (s, ran) = pull_request(Some("#!/bin/sh\necho https://example.org/login >&2\nexit 4\n"));
    let ran = ran.exits(0);
    assert!(ran.out.contains("gh pr create --base main"), "{}", ran.out);
    assert_eq!(s.git(&["log", "--format=%s", "main"]), "first");
}

#[test]
fn a_red_final_gate_is_mended_by_a_commit_on_the_target() {
    let s = Sandbox::new();
    commit(&s, "broken", "yes\n");
    let text = plan(&[task("a", &[], "a", "echo a > a")])
        + "integration: {incremental: [], final: [{command: test ! -e broken}]}\n";
    s.run_plan(&text, &[]).exits(5);
    s.run(&["resume"]).exits(5);
    s.git(&["rm", "-q", "broken"]);
    s.git(&["commit", "-qm", "mend"]);
    s.run(&["resume"]).exits(0);
    assert_eq!(s.read("a"), "a\n");
    assert!(!s.root().join("broken").exists());
    assert!(s.git(&["log", "--format=%s", "main"]).contains("mend"));
    s.assert_nothing_is_left();
}

#[test]
fn a_push_that_is_refused_is_asked_about_and_resume_pushes() {
    let s = Sandbox::new();
    s.write("tasks.yaml", &plan(&[task("a", &[], "a", "echo a > a")]));
    let mut command = s.slimductor();
    let bin = without_gh(&s);
    command.env("PATH", &bin).args(["run", "--backend", "process", "--pr"]);
    // Without a remote nothing is begun; with one that is not there the work is done and waits.
    let nowhere = ran(command.output().unwrap()).exits(7);
    assert!(nowhere.err.contains("no remote"), "{}", nowhere.err);
    assert!(!s.root().join(".orchestrator").exists());
    s.git(&["remote", "add", "origin", s.outside("origin.git").to_str().unwrap()]);
    let refused = ran(command.output().unwrap()).exits(5);
    assert!(refused.out.contains("push"), "{}", refused.out);
    s.git(&["init", "-q", "--bare", s.outside("origin.git").to_str().unwrap()]);
    let mut command = s.slimductor();
    ran(command.env("PATH", &bin).arg("resume").output().unwrap()).exits(0);
    assert_eq!(s.git(&["log", "--format=%s", "main"]), "first");
}

#[test]
fn without_promotion_the_staging_branch_stays_where_the_final_gate_saw_it() {
    let s = Sandbox::new();
    let seen = s.outside("seen");
    let text = plan(&[task("a", &[], "a", "echo a > a"), task("b", &[], "b", "echo b > b")])
        + &format!(
            "integration: {{final: [{{command: 'ls > {} && test -e a'}}]}}\n",
            seen.display()
        );
    let ran = s.run_plan(&text, &["--no-promote"]).exits(0);
    assert!(ran.out.contains("main was not moved"), "{}", ran.out);
    assert_eq!(s.git(&["log", "--format=%s", "main"]), "first");
    let kept = kept(&s);
    assert!(kept.len() == 1 && kept[0].ends_with("/staging"), "{kept:?}");
    assert_eq!(
        s.git(&["ls-tree", "--name-only", &kept[0]]) + "\n",
        fs::read_to_string(seen).unwrap()
    );
    assert!(ran.out.contains(&kept[0]), "{}", ran.out);
    assert_eq!(s.git(&["worktree", "list"]).lines().count(), 1);
    assert!(!s.root().join(".worktrees").exists());
    s.assert_no_process();
}

// ---------------------------------------------------------------------------------------------
// Which checks run
// ---------------------------------------------------------------------------------------------

#[test]
fn a_check_with_paths_runs_only_for_what_touches_them() {
    let s = Sandbox::new();
    let suite = script(&s, "count.sh", "echo x >> $OUT/runs\n");
    let tasks = [
        task("code", &[], "src/x", "echo x > src/x"),
        task("docs", &["code"], "docs/y", "mkdir docs; echo y > docs/y"),
    ];
    let text = plan(&tasks)
        + &format!(
            "integration: {{incremental: [{{command: {suite}, paths: [src/**]}}], final: [{{command: test -e docs}}]}}\n"
        );
    let ran = s.run_plan(&text, &[]).exits(0);
    assert_eq!(lines(&s.outside("runs")), 1, "{}", ran.out);
}

#[test]
fn a_check_with_paths_runs_for_a_deletion_and_a_rename_as_well() {
    for (work, proof) in
        [("rm src/base.txt", "test ! -e src/base.txt"), ("mv src/base.txt moved", "test -e moved")]
    {
        let s = Sandbox::new();
        let suite = script(&s, "count.sh", "echo x >> $OUT/runs\n");
        let t = task("a", &[], "src/base.txt, moved", work)
            .replace("test -s src/base.txt, moved", proof);
        let text = plan(&[t])
            + &format!(
                "integration: {{incremental: [{{command: {suite}, paths: [src/**]}}], final: [{{command: test -e README.md}}]}}\n"
            );
        s.run_plan(&text, &[]).exits(0);
        assert_eq!(lines(&s.outside("runs")), 1, "{work}");
    }
}

#[test]
fn a_tree_that_passed_is_not_checked_again() {
    let s = Sandbox::new();
    let suite = script(&s, "count.sh", "echo x >> $OUT/runs\n");
    let idle = with(task("idle", &["a"], "a", "true"), "expects_no_changes: true");
    let text = plan(&[task("a", &[], "a", "echo a > a"), idle])
        + &format!(
            "integration: {{incremental: [{{command: {suite}}}], final: [{{command: test -e a}}]}}\n"
        );
    let ran = s.run_plan(&text, &[]).exits(0);
    // The second leaves the tree as the first made it.
    assert_eq!(lines(&s.outside("runs")), 1, "{}", ran.out);
    assert_eq!(suites(&ran), suites_of(1, 0, 0, 1), "a gate that ran nothing is no suite run");
}

#[test]
fn a_gate_that_runs_when_the_coordinator_is_interrupted_is_adopted() {
    let s = Sandbox::new();
    let suite =
        script(&s, "suite.sh", "echo x >> $OUT/runs\nuntil test -e $OUT/go; do sleep 0.01; done\n");
    let text = plan(&[task("a", &[], "a", "echo a > a")])
        + &format!(
            "integration: {{incremental: [{{command: {suite}}}], final: [{{command: test -e a}}]}}\n"
        );
    s.write("tasks.yaml", &text);
    let child = s.start(&["run", "--backend", "process"]);
    wait(&s, "the gate runs", |_| s.outside("runs").exists());
    assert!(s.command("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    end(child).exits(130);
    fs::write(s.outside("go"), "").unwrap();
    let ran = s.run(&["resume"]).exits(0);
    assert_eq!(lines(&s.outside("runs")), 1);
    assert_eq!(suites(&ran), suites_of(1, 0, 0, 1));
    s.assert_nothing_is_left();
}

// ---------------------------------------------------------------------------------------------
// The stream of records
// ---------------------------------------------------------------------------------------------

#[test]
fn the_stream_tells_every_landing_once_in_the_order_of_the_history() {
    let s = Sandbox::new();
    let tasks: Vec<String> = ["a", "b", "c", "d", "e"]
        .map(|n| task(n, if n == "e" { &["a", "b"] } else { &[] }, n, &format!("echo {n} > {n}")))
        .into();
    let ran = s.run_plan(&plan(&tasks), &["--json"]).exits(0);
    let stream: Vec<Value> = ran.out.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    let numbers: Vec<u64> = stream.iter().filter_map(|v| v["seq"].as_u64()).collect();
    // Without a gap: from the stream alone the run can be told.
    assert!(numbers.windows(2).all(|w| w[1] == w[0] + 1), "{numbers:?}");
    let landed: Vec<(String, String)> = stream
        .iter()
        .filter(|v| v["type"] == "landed")
        .map(|v| (v["task"].as_str().unwrap().to_owned(), v["commit"].as_str().unwrap().to_owned()))
        .collect();
    let names: BTreeSet<&str> = landed.iter().map(|l| l.0.as_str()).collect();
    assert!(landed.len() == 5 && names.len() == 5, "{landed:?}");
    let history = s.git(&["log", "--first-parent", "--reverse", "--format=%H", "main"]);
    let commits: Vec<&str> = history.lines().skip(1).collect();
    assert_eq!(commits, landed.iter().map(|l| l.1.as_str()).collect::<Vec<_>>());
    // What the journal says, without what the stream adds.
    let journal = journal(&s);
    let records: Vec<&Value> = stream.iter().filter(|v| v["seq"].is_u64()).collect();
    let tail = &journal[journal.len() - records.len()..];
    for (said, (_, event)) in records.iter().zip(tail) {
        for (key, value) in event.as_object().unwrap() {
            assert_eq!(&said[key], value, "{said}");
        }
    }
    assert!(ran.err.is_empty() || !ran.err.contains('{'), "{}", ran.err);
}
