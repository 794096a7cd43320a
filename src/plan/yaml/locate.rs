//! Places for problems: paths in a document become lines and columns. Knows the tree, judges nothing.

use super::tree::Tree;
use crate::plan::diagnostic::{Anchor, Problem};
use crate::plan::place::{Path, Step};
use crate::types::TaskId;

/// Gives every label that names a value its place in the text, and every problem the task in which it lies; then puts
/// the problems into the order of the file.
pub fn locate(problems: &mut [Problem], tree: &Tree<'_>) {
    for problem in problems.iter_mut() {
        for label in &mut problem.labels {
            let (path, key) = match &label.at {
                Anchor::Value(path) => (path, false),
                Anchor::Key(path) => (path, true),
                Anchor::Span(_) | Anchor::Elsewhere { .. } => continue,
            };
            if let Some(found) = tree.find(path) {
                let node = found.key.filter(|_| key).unwrap_or(found.value);
                label.at = Anchor::Span(node.span());
            }
        }
        if problem.task.is_none()
            && let Some([Step::Key(tasks), Step::Index(n), ..]) =
                problem.path.as_ref().map(Path::steps)
            && tasks == "tasks"
        {
            let id = tree.find(&Path::task(*n).key("id"));
            problem.task = id.and_then(|found| TaskId::parse(found.value.text()?));
        }
    }
    problems.sort_by_key(|p| p.span().map_or(0, |s| s.offset));
}
