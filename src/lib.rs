//! slimductor plans and executes the parallel work of coding agents on one git repository.
//!
//! | room | what it is for |
//! |---|---|
//! | [`types`] | the words every room shares |
//! | [`plan`] | text in, checked plan out; pure |
//! | `store`, `git` | the only writer of files, the only user of git |
//! | `verify` | is this attempt what the task asked for? |
//! | `coordinate` | what sessions and workers share beside a run |
//! | `integrate` | merge, gate, promote, or ask a person |
//! | `execute` | the conductor: journal, state, decisions, effects, jobs |
//! | `cli` | arguments into calls, values into text |
//!
//! Imports run one way (tests/architecture.rs holds the table): `types ◀ plan ◀ verify ◀ execute ◀ cli`,
//! `types ◀ store, git ◀ integrate, coordinate ◀ execute`.

pub mod cli;
pub mod coordinate;
pub mod execute;
pub mod fault;
pub mod git;
pub mod integrate;
pub mod plan;
pub mod store;
pub mod types;
pub mod verify;
