//! `slimductor init`: a commented slimductor.yaml, a first tasks.yaml, and their schemas for editors; leaves alone what
//! is there.

use super::Context;
use super::exit::{Exit, Failure};
use super::pins::own_dir;
use super::schema;
use crate::git::Repo;
use crate::store::{self, Mode};

const CONFIG: &str = include_str!("init/slimductor.yaml");
const TASKS: &str = include_str!("init/tasks.yaml");

/// The command.
pub fn init(context: &mut Context) -> Result<Exit, Failure> {
    let root = Repo::checkout_around(&context.dir).unwrap_or_else(|| context.dir.clone());
    if Repo::discover(&context.dir).is_ok_and(|repo| repo.root() == repo.common()) {
        return Err(Failure::new(
            Exit::Environment,
            "this is a bare repository: it has no files to work on",
        )
        .hint("clone it, or `git worktree add` a checkout"));
    }
    let other =
        [".slimductor.yaml", ".claude-agents.yaml"].into_iter().find(|n| root.join(n).exists());
    // Editors find the schemas by the first line of each file; they are ours and always those of this version.
    for (name, text) in [("tasks", schema::text("tasks")), ("config", schema::text("config"))] {
        let dir = own_dir(&context.dir, &root)?.join("schemas");
        store::make_dir(&dir)?;
        store::replace(&dir.join(format!("{name}.schema.json")), text.as_bytes(), Mode::Shared)?;
    }
    let mut made = Vec::new();
    for (name, text) in [("slimductor.yaml", CONFIG), ("tasks.yaml", TASKS)] {
        // A new slimductor.yaml would go before the one that is there, and switch it off.
        if let (Some(other), "slimductor.yaml") = (other, name) {
            context.output.note(&format!("{other} stays the configuration"));
            continue;
        }
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
