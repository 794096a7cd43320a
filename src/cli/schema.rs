//! `slimductor schema`: the JSON Schemas, made from the types. CI writes them and fails on a difference.

use std::path::PathBuf;

use clap::Args;
use schemars::schema_for;

use super::Context;
use super::contract::ContractReport;
use super::env::EnvReport;
use super::exit::{Exit, Failure};
use super::plan_report::PlanReport;
use crate::execute::event::Record;
use crate::execute::projection::Status;
use crate::execute::rehearsal::Rehearsal;
use crate::integrate::report;
use crate::plan::config::Config;
use crate::plan::schema::Document;
use crate::store::{self, Mode};

/// Print a JSON Schema.
#[derive(Debug, Args)]
pub struct SchemaArgs {
    /// tasks, config, plan, status, resume, record, report, contract or env.
    #[arg(required_unless_present = "write")]
    name: Option<String>,
    /// Write all of them into DIR.
    #[arg(long, value_name = "DIR")]
    write: Option<PathBuf>,
}

fn all() -> [(&'static str, schemars::Schema); 9] {
    [
        ("tasks", schema_for!(Document)),
        ("config", schema_for!(Config)),
        ("plan", schema_for!(PlanReport)),
        ("status", schema_for!(Status)),
        ("resume", schema_for!(Rehearsal)),
        ("record", schema_for!(Record)),
        ("report", schema_for!(report::Report)),
        ("contract", schema_for!(Vec<ContractReport>)),
        ("env", schema_for!(EnvReport)),
    ]
}

/// One of them as it stands in a file; empty for a name that is not known.
pub fn text(name: &str) -> String {
    let found = all().into_iter().find(|(known, _)| *known == name);
    found.map_or_else(String::new, |(_, schema)| {
        serde_json::to_string_pretty(&schema).unwrap_or_default() + "\n"
    })
}

/// The command.
pub fn schema(context: &mut Context, args: &SchemaArgs) -> Result<Exit, Failure> {
    if let Some(dir) = &args.write {
        let dir = context.dir.join(dir);
        store::make_user_dir(&dir)?;
        for (name, _) in all() {
            let path = dir.join(format!("{name}.schema.json"));
            store::replace(&path, text(name).as_bytes(), Mode::Shared)?;
        }
        return Ok(Exit::Done);
    }
    let wanted = args.name.as_deref().unwrap_or_default();
    match all().into_iter().find(|(name, _)| *name == wanted) {
        Some((_, schema)) => {
            context.output.json(&schema, false);
            Ok(Exit::Done)
        }
        None => {
            let known: Vec<&str> = all().iter().map(|(name, _)| *name).collect();
            Err(Failure::new(Exit::Usage, format!("there is no schema `{wanted}`"))
                .hint(format!("known: {}", known.join(", "))))
        }
    }
}
