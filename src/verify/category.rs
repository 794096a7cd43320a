//! From the output of a failed command to the kind of failure. Pure text matching; later ecosystems add rows.

use crate::types::Category;

/// Signs of a package that is not installed.
const MISSING: [&str; 9] = [
    "ModuleNotFoundError: No module named",
    "ImportError: No module named",
    "Cannot find module",
    "Cannot find package",
    "error[E0432]: unresolved import",
    "error[E0463]: can't find crate",
    "no required module provides package",
    "cannot load such file -- ",
    "package does not exist",
];

/// Signs of a machine that lacks something.
const ENVIRONMENT: [&str; 5] = [
    "command not found",
    ": not found",
    "KeyError: 'DATABASE_URL'",
    "environment variable not set",
    "No space left on device",
];

/// The category of a required command that exited with `code` and printed `output`.
pub fn of_failure(code: Option<i32>, output: &str) -> Category {
    if MISSING.iter().any(|sign| output.contains(sign)) {
        return Category::MissingDependency;
    }
    let not_run = matches!(code, Some(126 | 127));
    if not_run || ENVIRONMENT.iter().any(|sign| output.contains(sign)) {
        return Category::EnvIssue;
    }
    Category::LogicError
}

/// What to do about a failed command of this category.
pub fn help(category: Category) -> &'static str {
    match category {
        Category::MissingDependency => "declare the package under deps_required, and install it",
        Category::EnvIssue => "make the command work in this environment",
        Category::Timeout => "make it faster, or raise the check's `timeout`",
        Category::BoundaryViolation
        | Category::Tampering
        | Category::ContractMismatch
        | Category::Crash
        | Category::Budget
        | Category::Permission
        | Category::RateLimited
        | Category::Auth
        | Category::Vacuous
        | Category::LogicError
        | Category::Flaky
        | Category::MergeConflict
        | Category::NoChanges => "make the command pass",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn output_tells_a_missing_package_from_a_wrong_program() {
        let cases = [
            (Some(1), "ModuleNotFoundError: No module named 'jwt'", Category::MissingDependency),
            (Some(1), "Error: Cannot find module 'express'", Category::MissingDependency),
            (Some(127), "sh: 1: pytest: not found", Category::EnvIssue),
            (Some(1), "AssertionError: 2 != 3", Category::LogicError),
            (None, "", Category::LogicError),
        ];
        for (code, output, expected) in cases {
            assert_eq!(of_failure(code, output), expected, "{output}");
        }
    }
}
