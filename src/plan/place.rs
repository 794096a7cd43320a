//! A place in a document's structure, like `tasks[3].files_write[0]`. Knows neither text nor lines.

use std::fmt;

/// One step from a value to a value inside it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Step {
    /// Into a mapping.
    Key(String),
    /// Into a list, from 0.
    Index(usize),
}

/// The steps from the document's root to a value.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Path(Vec<Step>);

impl Path {
    /// The value under `name` in the root.
    pub fn of(name: &str) -> Path {
        Path::default().key(name)
    }

    /// The task with this index.
    pub fn task(n: usize) -> Path {
        Path::of("tasks").index(n)
    }

    /// Where the value of a task stands: in the task itself or, when it is not its own, in the defaults.
    pub fn owner(own: bool, n: usize) -> Path {
        if own { Path::task(n) } else { Path::of("defaults") }
    }

    /// The value under `name` in this one.
    pub fn key(mut self, name: &str) -> Path {
        self.0.push(Step::Key(name.to_owned()));
        self
    }

    /// The value at `n` in this one.
    pub fn index(mut self, n: usize) -> Path {
        self.0.push(Step::Index(n));
        self
    }

    /// The value beside this one under another name.
    pub fn sibling(mut self, name: &str) -> Path {
        self.0.pop();
        self.key(name)
    }

    /// The mapping that this value stands in, and its key there.
    pub fn last_key(&self) -> Option<(Path, String)> {
        let (last, before) = self.0.split_last()?;
        match last {
            Step::Key(name) => Some((Path(before.to_vec()), name.clone())),
            Step::Index(_) => None,
        }
    }

    /// The steps, the root's first.
    pub fn steps(&self) -> &[Step] {
        &self.0
    }

    /// Whether one of the two lies in the other, or both are the same.
    pub fn touches(&self, other: &Path) -> bool {
        self.0.iter().zip(&other.0).all(|(a, b)| a == b)
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, step) in self.0.iter().enumerate() {
            match step {
                Step::Key(name) if n == 0 => f.write_str(name)?,
                Step::Key(name) => write!(f, ".{name}")?,
                Step::Index(at) => write!(f, "[{at}]")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_written_like_code() {
        let path = Path::task(3).key("files_write").index(0);
        assert_eq!(path.to_string(), "tasks[3].files_write[0]");
        assert!(Path::task(3).touches(&path) && path.touches(&Path::task(3)));
        assert!(!Path::task(2).touches(&path));
    }
}
