//! The real binary as users run it: real git, real processes, real tmux where it is installed, an empty HOME.

mod crash;
mod decisions;
mod demo;
mod examples;
mod failures;
mod plan;
mod run;
mod sandbox;
