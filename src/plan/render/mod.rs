//! A plan and its problems as texts of many kinds: for people, for CI, for pictures. Prints nothing, decides nothing.

pub mod diagram;
pub mod document;
pub mod human;
pub mod machine;
