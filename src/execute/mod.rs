//! The conductor: a run is its journal, its state a fold of it, its next step a pure decision.

pub mod decide;
pub mod engine;
pub mod journal;
pub mod state;
