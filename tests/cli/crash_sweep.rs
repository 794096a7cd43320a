//! Crashes at every record, at every effect on the system, at any moment, and of everything at once: the run is resumed and
//! ends as its twin that was not disturbed. `SLIMDUCTOR_CRASH_ALL=1` tries all of what is a sample otherwise, `=3` every third.

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::process::Stdio;
use std::time::{Duration, Instant};

use super::crash_lab::{Attempts, Lab, Plan, all, faults_are_here, sweep, wait};
use super::crash_parts::cut_down;
use super::sandbox::{Ran, tmux_is_here};

/// The numbers up to `last`, or every `stride`-th of them.
fn sample(last: usize, stride: usize) -> Vec<usize> {
    (1..=last).step_by(all().unwrap_or(stride)).collect()
}

/// The coordinator died by the fault, or its run had no such moment.
#[track_caller]
fn died(ran: &Ran) {
    assert!([-1, 0].contains(&ran.code), "exit {}\n{}\n{}", ran.code, ran.out, ran.err);
}

// ---------------------------------------------------------------------------------------------
// Every event boundary
// ---------------------------------------------------------------------------------------------

/// Tries every case with processes; most must disturb something, or the sweep is over nothing.
#[track_caller]
fn disturb(plan: Plan, cases: &[usize], check: impl Fn(&Lab, &usize) -> bool + Sync) {
    let hits = sweep(plan, |_| "process", cases, check);
    assert!(hits * 4 >= cases.len() * 3, "hardly a run was disturbed: {hits} of {}", cases.len());
}

fn survives(lab: &Lab, fault: &str) -> bool {
    let ran = lab.disturbed(fault);
    died(&ran);
    lab.looks_right();
    lab.lands(false);
    lab.ended_as_its_twin(Attempts::Same);
    ran.code == -1
}

#[test]
fn a_crash_behind_any_record_is_resumed_to_the_end_of_the_twin() {
    if !faults_are_here() {
        return;
    }
    let cases = sample(Plan::Twelve.twin().records, 23);
    disturb(Plan::Twelve, &cases, |lab, k| survives(lab, &format!("record@{k}")));
}

#[test]
fn a_record_that_is_torn_by_the_crash_is_cut_off_and_made_again() {
    if !faults_are_here() {
        return;
    }
    let cases = sample(Plan::Three.twin().records, 11);
    disturb(Plan::Three, &cases, |lab, k| survives(lab, &format!("cut@{k}")));
}

// ---------------------------------------------------------------------------------------------
// Random moments
// ---------------------------------------------------------------------------------------------

/// A generator with a seed: xorshift64*.
struct Seeded(u64);

impl Seeded {
    /// In 0..1.
    fn fraction(&mut self) -> f64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 11) as f64 / (1_u64 << 53) as f64
    }
}

/// When a coordinator is killed.
#[derive(Debug, Clone, Copy)]
enum Moment {
    /// When its journal has this part of the twin's length.
    Length(f64),
    /// After this part of the twin's time.
    Time(f64),
}

/// Starts a coordinator and kills it then, with all that works for it or alone; it may have ended before.
fn killed(lab: &Lab, moment: Moment, everything: bool) -> bool {
    let twin = Plan::Twelve.twin();
    let began = Instant::now();
    let mut command = lab.next();
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let come = || match moment {
        Moment::Length(part) => lab.bytes() as f64 >= part * twin.bytes as f64,
        Moment::Time(part) => began.elapsed() >= twin.took.mul_f64(part),
    };
    while !come() && child.try_wait().unwrap().is_none() {
        assert!(began.elapsed() < Duration::from_secs(120), "it never ends");
        std::thread::sleep(Duration::from_millis(1));
    }
    if everything {
        cut_down(&lab.processes());
        wait("everything is dead", || lab.processes().is_empty());
    }
    let _ = child.kill();
    let status = child.wait().unwrap();
    assert!(status.signal() == Some(9) || status.code() == Some(0), "{status}");
    lab.looks_right();
    status.signal().is_some()
}

/// Backend, first crash, and for a third of them one during the resume.
fn moments(count: usize) -> Vec<(&'static str, Moment, Option<Moment>)> {
    let seed = std::env::var("SLIMDUCTOR_CRASH_SEED").ok().and_then(|s| s.parse().ok());
    let mut seeded = Seeded(seed.unwrap_or(20_261_120));
    let tmux = tmux_is_here();
    let mut moment = |n: usize| {
        let part = seeded.fraction();
        if n.is_multiple_of(2) { Moment::Length(part) } else { Moment::Time(part) }
    };
    let case = |n: usize| {
        let backend = if n % 2 == 1 && tmux { "tmux" } else { "process" };
        (backend, moment(n / 2), n.is_multiple_of(3).then(|| moment(n)))
    };
    (0..count).map(case).collect()
}

#[test]
fn a_reboot_at_any_moment_uses_up_at_most_the_attempts_that_were_at_work() {
    let cases = moments(all().map_or(4, |stride| 100 / stride));
    sweep(
        Plan::Twelve,
        |case| case.0,
        &cases,
        |lab, (_, first, _)| {
            let hit = killed(lab, *first, true);
            lab.lands(false);
            lab.ended_as_its_twin(Attempts::Once);
            hit
        },
    );
}

#[test]
fn a_crash_at_any_moment_is_resumed_to_the_end_of_the_twin() {
    let cases = moments(all().map_or(6, |stride| 200 / stride));
    sweep(
        Plan::Twelve,
        |case| case.0,
        &cases,
        |lab, (_, first, second)| {
            let hit = killed(lab, *first, false);
            if let Some(second) = second {
                killed(lab, *second, false);
            }
            lab.lands(false);
            lab.ended_as_its_twin(Attempts::Same);
            hit
        },
    );
}

// ---------------------------------------------------------------------------------------------
// Faults at every effect on the system
// ---------------------------------------------------------------------------------------------

#[test]
fn a_crash_at_any_effect_on_the_system_is_resumed_to_the_end_of_the_twin() {
    if !faults_are_here() {
        return;
    }
    let cases = sample(Plan::Three.twin().points, 67);
    disturb(Plan::Three, &cases, |lab, n| survives(lab, &format!("kill@{n}")));
}

#[test]
fn a_crash_of_the_resume_itself_is_resumed_as_well() {
    if !faults_are_here() {
        return;
    }
    // The first crash is late enough that there is something to take up, the second soon after.
    let cases = sample(60, 11);
    disturb(Plan::Three, &cases, |lab, n| {
        let first = lab.disturbed(&format!("record@{}", 2 + n % 50));
        died(&first);
        died(&lab.end(lab.next().env("SLIMDUCTOR_FAULT", format!("kill@{n}"))));
        lab.looks_right();
        lab.lands(false);
        lab.ended_as_its_twin(Attempts::Same);
        first.code == -1
    });
}

/// The run says what could not be written and why, or is none the worse; later it lands.
fn copes(lab: &Lab, kind: &str, n: usize, stays: &str) -> bool {
    let words = match kind {
        "enospc" => "No space left on device",
        "eio" => "Input/output error",
        _ => "Read-only file system",
    };
    let fault = &format!("{kind}@{n}{stays}");
    let ran = lab.disturbed(fault);
    lab.sober(&ran);
    let report = fs::read_to_string(lab.s.root().join(".orchestrator/escalation-report.md"));
    let said = match ran.code {
        // An effect that may fail without harm; what it was is told, or of no interest.
        0 => words.to_owned(),
        7 => ran.err.clone(),
        5 => ran.out.clone() + &ran.err + &report.unwrap_or_default(),
        code => panic!("exit {code}\n{}\n{}", ran.out, ran.err),
    };
    let line = said.lines().find(|l| l.contains(words)).unwrap_or_default();
    let points = lab.points();
    let point = points.get(n - 1).map_or("no such point", String::as_str);
    println!("{fault} ({point}): exit {}: {line}", ran.code);
    assert!(!line.is_empty(), "exit {} without a word of it:\n{said}", ran.code);
    lab.looks_right();
    lab.lands(true);
    lab.ended_as_its_twin(Attempts::Once);
    points.len() >= n
}

fn copes_with_every(kind: &str, stays: &str, stride: usize) {
    if !faults_are_here() {
        return;
    }
    let cases = sample(Plan::Three.twin().points, stride);
    disturb(Plan::Three, &cases, |lab, n| copes(lab, kind, *n, stays));
}

#[test]
fn a_full_disk_at_any_effect_is_told_and_the_run_lands_later() {
    copes_with_every("enospc", "", 73);
}

#[test]
fn a_disk_that_stays_full_is_told_and_the_run_lands_later() {
    copes_with_every("enospc", "+", 79);
}

#[test]
fn an_input_output_error_at_any_effect_is_told_and_the_run_lands_later() {
    copes_with_every("eio", "", 83);
}

#[test]
fn a_read_only_file_system_at_any_effect_is_told_and_the_run_lands_later() {
    copes_with_every("erofs", "", 97);
}

#[test]
fn wrappers_that_all_die_at_one_effect_do_no_harm() {
    if !faults_are_here() {
        return;
    }
    let cases = sample(24, 13);
    disturb(Plan::Three, &cases, |lab, n: &usize| {
        let mut first = lab.first();
        let ran = lab.end(first.env("SLIMDUCTOR_FAULT_JOB", format!("kill@{n}")));
        lab.sober(&ran);
        assert!([0, 5].contains(&ran.code), "exit {}\n{}\n{}", ran.code, ran.out, ran.err);
        lab.looks_right();
        lab.lands(true);
        lab.ended_as_its_twin(Attempts::Once);
        true
    });
}

#[test]
fn the_twins_are_what_the_sweeps_take_them_for() {
    // A sweep over nothing would pass.
    let (twelve, three) = (Plan::Twelve.twin(), Plan::Three.twin());
    println!("{twelve:#?}\n{three:#?}");
    assert!(twelve.records > 100 && three.records > 25, "{twelve:?}");
    assert!(!faults_are_here() || three.points > 100, "{three:?}");
    assert!(three.took > Duration::ZERO);
}
