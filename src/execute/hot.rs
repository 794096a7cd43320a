//! Patch intents at merge time: the engine writes what a task asks for into the merged tree, and shows it to the task's
//! own checks. The rules are plan::intent's.

use std::collections::BTreeMap;
use std::path::Path;

use super::shared::{EffectError, Shared};
use crate::git::Merge;
use crate::plan::Task;
use crate::plan::intent::{self, Intent};
use crate::store::{self, Mode};
use crate::types::{Category, Change, Finding, Sha};

/// The files that a task's intents change, with their new texts; or why they cannot be written.
type Edited = Result<Vec<(String, String)>, String>;

fn edited(shared: &Shared, task: &Task, commit: &Sha) -> Result<Edited, EffectError> {
    let mut by_file: BTreeMap<&str, Vec<Intent>> = BTreeMap::new();
    for edit in &task.edits {
        by_file.entry(&edit.file).or_default().push(edit.intent.clone());
    }
    let mut out = Vec::new();
    for (file, intents) in by_file {
        let Some(bytes) = shared.repo.file_at(commit, file)? else {
            return Ok(Err(format!("{file} (no such file for its intents)")));
        };
        let Ok(text) = String::from_utf8(bytes) else {
            return Ok(Err(format!("{file} (not UTF-8, so no intent can be written)")));
        };
        match intent::apply_all(&shared.adapters, file, &text, &intents) {
            Ok(new) if new == text => {}
            Ok(new) => out.push((file.to_owned(), new)),
            Err(refused) => return Ok(Err(format!("{file} ({refused})"))),
        }
    }
    Ok(Ok(out))
}

/// A clean merge with the task's intents written into its tree; those that cannot be written are a conflict.
pub(super) fn with_intents(
    shared: &Shared,
    task: &Task,
    merge: Merge,
) -> Result<Merge, EffectError> {
    let Merge::Clean { commit, .. } = &merge else { return Ok(merge) };
    if task.edits.is_empty() {
        return Ok(merge);
    }
    match edited(shared, task, commit)? {
        Err(why) => Ok(Merge::Conflict(vec![why])),
        Ok(files) if files.is_empty() => Ok(merge),
        Ok(files) => Ok(shared.repo.amend_files(commit, &files)?),
    }
}

/// Puts the task's intents into its worktree, for its own checks: they ask about the program as it will be.
pub(super) fn show(
    shared: &Shared,
    task: &Task,
    head: &Sha,
    worktree: &Path,
) -> Result<(), EffectError> {
    if task.edits.is_empty() {
        return Ok(());
    }
    // What cannot be written was found when the work was collected.
    for (file, text) in edited(shared, task, head)?.unwrap_or_default() {
        store::replace(&worktree.join(file), text.as_bytes(), Mode::Shared)?;
    }
    Ok(())
}

/// Takes back what `show` put there: it is the engine's, and not the task's.
pub(super) fn hide(
    shared: &Shared,
    task: &Task,
    base: &Sha,
    worktree: &Path,
) -> Result<(), EffectError> {
    if task.edits.is_empty() {
        return Ok(());
    }
    for (file, text) in edited(shared, task, base)?.unwrap_or_default() {
        let path = worktree.join(&file);
        let is_file = path.symlink_metadata().is_ok_and(|m| m.is_file());
        if is_file
            && std::fs::read(&path).is_ok_and(|now| now == text.as_bytes())
            && let Some(old) = shared.repo.file_at(base, &file)?
        {
            store::replace(&path, &old, Mode::Shared)?;
        }
    }
    Ok(())
}

/// The finding when a task's intents cannot be written into what it left.
pub(super) fn judge(
    shared: &Shared,
    task: &Task,
    changes: &[Change],
    head: &Sha,
) -> Result<Vec<Finding>, EffectError> {
    let refused = match task.edits.is_empty() {
        true => None,
        false => edited(shared, task, head)?.err(),
    };
    let changed = |file: &&String| changes.iter().any(|c| c.path == **file);
    let left = task.own_edits.iter().filter(|file| !changed(file));
    let mut found: Vec<Finding> = left
        .map(|file| Finding {
            category: Category::LogicError,
            message: format!("did not edit {file}, which no adapter edits for it"),
            subject: Some(file.clone()),
            help: "write what the patch intent asks for into the file".to_owned(),
            output: None,
            package: None,
        })
        .collect();
    found.extend(refused.map(|why| Finding {
        category: Category::LogicError,
        message: format!("its patch intents cannot be written: {why}"),
        subject: None,
        help: "make the file one that an adapter knows, or mend the intent in the plan".to_owned(),
        output: None,
        package: None,
    }));
    Ok(found)
}
