//! "Did you mean": the nearest known word, within a budget, so that a plan full of unknown words is not a hang.

use crate::plan::diagnostic::closest;

/// Words that may still be compared for one plan.
#[derive(Debug)]
pub struct Suggest {
    left: usize,
}

impl Default for Suggest {
    fn default() -> Suggest {
        Suggest { left: 200_000 }
    }
}

impl Suggest {
    /// "did you mean …", or `otherwise` when nothing is near.
    pub fn help<'k>(
        &mut self,
        word: &str,
        known: impl ExactSizeIterator<Item = &'k str>,
        otherwise: &str,
    ) -> String {
        // A long word is compared letter by letter with each.
        let cost = known.len().saturating_mul(1 + word.len().min(80) / 8);
        let Some(left) = self.left.checked_sub(cost) else { return otherwise.to_owned() };
        self.left = left;
        match closest(word, known) {
            Some(near) => format!("did you mean `{near}`?"),
            None => otherwise.to_owned(),
        }
    }
}
