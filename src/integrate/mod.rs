//! From verified work to the target branch: the queue, the words of merges, what a person is told. Knows no run.

pub mod message;
pub mod queue;
pub mod report;
pub mod search;
