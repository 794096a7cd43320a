//! How long planning takes: stage by stage in this process, and as a whole process, beside the recorded references.
//!
//! `cargo bench --bench plan` prints the table; `benches/instructions.sh` counts instructions, which repeat exactly.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a benchmark prints its table, and stops where something is missing"
)]

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use slimductor::plan::config::Config;
use slimductor::plan::yaml::tree::{MAX_VALUES, Tree};
use slimductor::plan::{Facts, check, parse};

#[path = "plans.rs"]
mod plans;

fn median(mut runs: Vec<Duration>) -> Duration {
    runs.sort();
    runs[runs.len() / 2]
}

fn time<R>(times: usize, mut work: impl FnMut() -> R) -> Duration {
    median(
        (0..times)
            .map(|_| {
                let start = Instant::now();
                std::hint::black_box(work());
                start.elapsed()
            })
            .collect(),
    )
}

/// Processor time of finished children so far, in clock ticks of 10 ms.
fn children_ticks() -> u64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let rest = stat.rsplit(')').next().unwrap();
    let fields: Vec<&str> = rest.split_whitespace().collect();
    fields[13].parse::<u64>().unwrap() + fields[14].parse::<u64>().unwrap()
}

/// Wall time and processor time of one `plan --dry-run`, in milliseconds.
fn process(file: &Path, times: usize) -> (f64, f64) {
    let run = || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_slimductor"));
        command.args(["plan", "--dry-run", "-q"]).arg(file).stdout(Stdio::null());
        command.stderr(Stdio::null()).current_dir(file.parent().unwrap());
        assert_eq!(command.status().unwrap().code(), Some(0));
    };
    run();
    let before = children_ticks();
    let start = Instant::now();
    (0..times).for_each(|_| run());
    let wall = start.elapsed().as_secs_f64() * 1000.0 / times as f64;
    let cpu = (children_ticks() - before) as f64 * 10.0 / times as f64;
    (wall, cpu)
}

fn peak_kib(file: &Path) -> Option<u64> {
    let output = Command::new("/usr/bin/time")
        .args(["-f", "%M", env!("CARGO_BIN_EXE_slimductor"), "plan", "--dry-run", "-q"])
        .arg(file)
        .stdout(Stdio::null())
        .output()
        .ok()?;
    String::from_utf8_lossy(&output.stderr).lines().last()?.trim().parse().ok()
}

fn main() {
    let dir = tempfile::tempdir().unwrap();
    println!(
        "| whole process, `plan --dry-run` | ours: wall, CPU | ancestor's scripts | best found | goal |"
    );
    println!("|---|---|---|---|---|");
    // The references were measured once, on another machine of two cores: docs of the design, not of this run.
    let rows = [
        (10, 200, "160 ms", "1 ms", "2 ms CPU"),
        (100, 200, "430 ms", "3 ms", "5 ms CPU"),
        (1_000, 40, "2.9 s", "19 ms", "35 ms CPU"),
        (10_000, 10, "82 s", "163 ms", "1.15 × the YAML parse"),
    ];
    for (tasks, times, ancestor, best, goal) in rows {
        let file = dir.path().join(format!("{tasks}.yaml"));
        std::fs::write(&file, plans::layered(tasks)).unwrap();
        let (wall, cpu) = process(&file, times);
        println!("| {tasks} tasks | {wall:.1} ms, {cpu:.1} ms | {ancestor} | {best} | {goal} |");
    }
    let json = dir.path().join("10000.json");
    std::fs::write(&json, plans::as_json(&plans::layered(10_000))).unwrap();
    let (wall, cpu) = process(&json, 10);
    println!("| 10,000 tasks as JSON | {wall:.1} ms, {cpu:.1} ms | - | - | 60 ms |");
    let chain = dir.path().join("chain.yaml");
    std::fs::write(&chain, plans::chain(100_000)).unwrap();
    let (wall, cpu) = process(&chain, 1);
    println!("| a chain of 100,000 | {wall:.0} ms, {cpu:.0} ms | recursion error | - | plans |");
    for (name, file) in
        [("10,000 tasks", dir.path().join("10000.yaml")), ("a chain of 100,000", chain)]
    {
        match peak_kib(&file) {
            Some(kib) => {
                println!("| {name}, peak memory | {} MiB | - | - | 96 MiB at 10,000 |", kib / 1024)
            }
            None => println!("| {name}, peak memory | skipped: no /usr/bin/time | - | - | - |"),
        }
    }

    let text = plans::layered(10_000);
    let config = Config::read(b"", &BTreeMap::new()).unwrap();
    let document = parse(text.as_bytes()).unwrap_or_else(|_| std::process::exit(1));
    let facts = Facts::default();
    println!(
        "\n| 10,000 tasks, {:.1} MB, in this process | median of 9 |",
        text.len() as f64 / 1e6
    );
    println!("|---|---|");
    let row = |name: &str, time: Duration| {
        println!("| {name} | {:.1} ms |", time.as_secs_f64() * 1000.0);
    };
    row("YAML into types", time(9, || parse(text.as_bytes())));
    row("every check", time(9, || check::check(&document, &facts, &config)));
    row(
        "the tree with places (only when there is a problem)",
        time(9, || Tree::read(&text, MAX_VALUES)),
    );
}
