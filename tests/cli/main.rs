//! The real binary as users run it: real git, real processes, real tmux where it is installed, an empty HOME.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a test that fails may say so by a panic, and does what users do"
)]

mod adversary;
mod contracts;
mod crash;
mod crash_lab;
mod crash_parts;
mod crash_places;
mod crash_sweep;
mod damage;
mod decisions;
mod demo;
mod disk;
mod doctor;
mod ecosystems;
mod examples;
mod failures;
mod gate;
mod intents;
mod plan;
mod plan_forms;
mod replan;
mod resume;
mod run;
mod sandbox;
mod twice;
