//! Patch intents: structured edits of a hot file that the engine writes into regions of its own.
//!
//! It knows adapters (data), texts and values; it does not know files, tasks' plans, git or when a
//! merge happens. Everything here is a pure function of its arguments.

mod adapter;
mod anchor;
mod apply;
mod builtin;
mod declared;
mod literal;
mod name;
mod outside;
mod region;
mod template;
mod text;
mod value;

use std::collections::BTreeMap;
use std::fmt;

use schemars::JsonSchema;
use serde::Deserialize;

pub use adapter::{
    ActionSpec, Adapter, Anchor, At, Comment, Field, Form, Kind, Options, Region, Within, validate,
};
pub use apply::{apply, apply_all, check, detect};
pub use builtin::builtin;
pub use text::Language;

/// What an intent does. The order is the one in which entries stand in a region: what others
/// refer to comes first, and middleware comes before the routes that it guards.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the words are the documentation")]
pub enum Action {
    AddConfig,
    AddDependency,
    AddMiddleware,
    AddRouter,
    AppendLine,
}

impl Action {
    /// Every action, in the order of their entries.
    pub const ALL: [Self; 5] = [
        Self::AddConfig,
        Self::AddDependency,
        Self::AddMiddleware,
        Self::AddRouter,
        Self::AppendLine,
    ];

    /// The word that stands for it in a plan and in a region.
    pub fn word(self) -> &'static str {
        match self {
            Self::AddConfig => "add_config",
            Self::AddDependency => "add_dependency",
            Self::AddMiddleware => "add_middleware",
            Self::AddRouter => "add_router",
            Self::AppendLine => "append_line",
        }
    }
}

/// One particular of an intent, as the plan gives it.
#[derive(Debug, Clone, PartialEq)]
#[expect(missing_docs, reason = "any YAML scalar or a list of texts")]
pub enum Value {
    Flag(bool),
    Number(f64),
    Text(String),
    List(Vec<String>),
}

/// An edit that a task asks for; its values are hostile until they are checked.
#[derive(Debug, Clone, PartialEq)]
pub struct Intent {
    /// The id of the task that asks.
    pub task: String,
    /// What is to be done.
    pub action: Action,
    /// The particulars by their name.
    pub values: BTreeMap<String, Value>,
}

/// Why nothing was written. The text is left as it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refused {
    /// A value is missing, unknown or could not be written safely.
    Value {
        /// The task that asks.
        task: String,
        /// What it asks for.
        action: Action,
        /// The name of the value.
        name: String,
        /// What is wrong with it.
        why: String,
    },
    /// A name would be declared twice, or two entries contradict each other.
    Clash {
        /// The task that asks.
        task: String,
        /// What it asks for.
        action: Action,
        /// What it clashes with.
        why: String,
    },
    /// A region's markers or entries are damaged: a person has to look at the file.
    Region {
        /// The line, counted from 1.
        line: usize,
        /// What is wrong there.
        why: String,
    },
    /// The file does not fit the adapter: there is no place for the region.
    Place {
        /// The adapter's name.
        adapter: String,
        /// What is missing.
        why: String,
    },
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Value { task, action, name, why } => {
                write!(f, "{task}: {} cannot take `{name}`: {why}", action.word())
            }
            Self::Clash { task, action, why } => write!(f, "{task}: {}: {why}", action.word()),
            Self::Region { line, why } => write!(f, "line {line}: damaged region: {why}"),
            Self::Place { adapter, why } => write!(f, "the file does not fit {adapter}: {why}"),
        }
    }
}

impl std::error::Error for Refused {}

#[cfg(test)]
mod tests;
