//! The conductor: a run is its journal, its state a fold of it, its next step a pure decision.

pub mod backend;
pub mod brief;
mod cleanup;
pub mod command;
pub mod decide;
mod effect;
pub mod engine;
pub mod event;
pub mod fence;
mod hub;
pub mod job;
mod jobs;
pub mod journal;
mod outcome;
mod process_tree;
pub mod projection;
mod query;
pub mod reports;
pub mod run;
mod shared;
pub mod state;
mod surroundings;
pub mod task_run;
mod watch;
pub mod worktree;
pub mod world;
pub mod wrapper;
