//! `slimductor init`: a commented slimductor.yaml, a first tasks.yaml, and their schemas for editors; leaves alone what
//! is there.

use super::Context;
use super::exit::{Exit, Failure};
use super::schema;
use crate::execute::worktree::EXCLUDED;
use crate::git::Repo;
use crate::store::{self, Mode};

const CONFIG: &str = include_str!("init/slimductor.yaml");
const TASKS: &str = include_str!("init/tasks.yaml");

/// The command.
pub fn init(context: &mut Context) -> Result<Exit, Failure> {
    let root = Repo::checkout_around(&context.dir).unwrap_or_else(|| context.dir.clone());
    // Editors find the schemas by the first line of each file; they are ours and always those of this version.
    for (name, text) in [("tasks", schema::text("tasks")), ("config", schema::text("config"))] {
        let dir = root.join(".orchestrator").join("schemas");
        store::make_dir(&dir)?;
        store::replace(&dir.join(format!("{name}.schema.json")), text.as_bytes(), Mode::Shared)?;
    }
    if let Ok(repo) = Repo::discover(&context.dir) {
        store::ensure_lines(&repo.common().join("info/exclude"), &EXCLUDED)?;
    }
    let mut made = Vec::new();
    for (name, text) in [("slimductor.yaml", CONFIG), ("tasks.yaml", TASKS)] {
        let new = store::create_new(&root.join(name), text.as_bytes(), Mode::Shared)?;
        made.push((name, new));
    }
    if context.output.manner.json {
        let list: Vec<_> =
            made.iter().map(|(n, new)| serde_json::json!({"file": n, "created": new})).collect();
        context.output.json(&list, false);
    } else {
        for (name, new) in made {
            context.output.result(&format!("{} {name}", if new { "wrote" } else { "left alone" }));
        }
        context.output.result("next: edit tasks.yaml, then `slimductor plan --dry-run`");
    }
    Ok(Exit::Done)
}
