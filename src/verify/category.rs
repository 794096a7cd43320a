//! From the output of a failed command to the kind of failure. Text only: no file, no registry.
//!
//! A package that is not installed outweighs a machine that lacks something, and both outweigh a
//! wrong program; a module of the project's own that is missing is a wrong program. What is called
//! missing may later be installed, so in doubt a name is the project's own.

mod environment;
mod missing;

use crate::types::Category;
use missing::Missing;

/// The category of a required command that exited with `code` and printed `output`.
pub fn of_failure(code: Option<i32>, output: &str) -> Category {
    // A shell says so when there is no such command, or when it is not one that can be run.
    if matches!(code, Some(126 | 127)) {
        return Category::EnvIssue;
    }
    match missing::find(output) {
        Some(Missing::Package(_)) => Category::MissingDependency,
        Some(Missing::Own) => Category::LogicError,
        None if environment::lacks_something(output) => Category::EnvIssue,
        None => Category::LogicError,
    }
}

/// The name under which the missing package is imported, where `output` says it: at most 214
/// ASCII letters, digits and `@ / . _ -`. It is a worker's word: nothing says that such a package
/// exists, or what it does.
pub fn missing_package(output: &str) -> Option<String> {
    match missing::find(output)? {
        Missing::Package(name) => name,
        Missing::Own => None,
    }
}

/// What to do about a failed command of this category.
pub fn help(category: Category) -> &'static str {
    match category {
        Category::MissingDependency => "declare the package under deps_required, and install it",
        Category::EnvIssue => "make the command work in this environment",
        Category::Timeout => "make it faster, or raise the check's `timeout`",
        Category::ContractMismatch => {
            "make the code fit the contract; its file says what is agreed"
        }
        Category::Vacuous => "make the command run at least one test",
        Category::BoundaryViolation
        | Category::Tampering
        | Category::Crash
        | Category::Budget
        | Category::Permission
        | Category::RateLimited
        | Category::Auth
        | Category::LogicError
        | Category::Flaky
        | Category::MergeConflict
        | Category::Review
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

    #[test]
    fn a_missing_package_is_told_by_its_import_name() {
        for (output, name) in [
            ("E   ModuleNotFoundError: No module named 'jwt.foo'", "jwt"),
            ("/usr/bin/python3: No module named pytest", "pytest"),
            ("ImportError: No module named yaml", "yaml"),
            (
                "x.py:1: error: Cannot find implementation or library stub for module \
                 named \"a.b\"  [import-not-found]",
                "a",
            ),
            (
                "Error [ERR_MODULE_NOT_FOUND]: Cannot find package 'express' imported from /b",
                "express",
            ),
            ("    Cannot find module '@scope/x/y' from 'a.test.js'", "@scope/x"),
            ("a.ts(1,2): error TS2307: Cannot find module 'lodash/fp' or its", "lodash"),
            ("Error: Cannot find module '/p/node_modules/jest/bin/jest.js'", "jest"),
            (
                "Error: Failed to resolve import \"vue\" from \"src/a.js\". Does the file exist?",
                "vue",
            ),
            ("Module not found: Error: Can't resolve 'react-dom/client' in '/p/src'", "react-dom"),
            (
                "a.go:3:8: no required module provides package github.com/x/y; to add it:",
                "github.com/x/y",
            ),
            ("error[E0463]: can't find crate for `serde`", "serde"),
            ("error[E0432]: unresolved import `serde`", "serde"),
            ("error[E0433]: use of unresolved module or unlinked crate `rand`", "rand"),
            ("error[E0433]: use of undeclared crate or module `rand`", "rand"),
            ("error: no matching package named `serde_x` found", "serde_x"),
            ("  cannot load such file -- sidekiq/api (LoadError)", "sidekiq"),
            ("bundler: Could not find gem 'pg' in locally installed gems", "pg"),
            (
                "/p/A.java:3: error: package org.junit.jupiter.api does not exist",
                "org.junit.jupiter.api",
            ),
        ] {
            assert_eq!(missing_package(output).as_deref(), Some(name), "{output}");
            assert_eq!(of_failure(Some(1), output), Category::MissingDependency, "{output}");
        }
    }

    #[test]
    fn a_missing_module_of_the_project_itself_is_a_wrong_program() {
        for output in [
            "Cannot find module './auth' from 'a.test.js'",
            "Error: Cannot find module '../src/auth'",
            "Error: Cannot find module '@/components/auth'",
            "Error: Cannot find module '/work/p/src/auth.js'",
            "error[E0432]: unresolved import `crate::auth`",
            "error[E0432]: unresolved import `super::auth`",
            "error[E0432]: unresolved import `self::auth`",
            "error[E0432]: unresolved import `tokio::net::Foo`\n   | ^^^ no `Foo` in `net`",
            "shop/cart.py:1: in <module>\nE   ModuleNotFoundError: No module named 'shop.auth'",
            "ModuleNotFoundError: No module named 'src'",
            "ModuleNotFoundError: No module named 'jwt.x'; 'jwt' is not a package",
            "LoadError: cannot load such file -- /work/p/lib/auth",
            "# example.com/me/shop\na.go:1: no required module provides package \
             example.com/me/shop/auth; to add",
            "/p/src/main/java/com/acme/shop/A.java:[3,4] package com.acme.auth does not exist",
        ] {
            assert_eq!(of_failure(Some(1), output), Category::LogicError, "{output}");
            assert_eq!(missing_package(output), None, "{output}");
        }
    }

    #[test]
    fn a_package_is_found_behind_a_missing_module_of_the_project() {
        let output =
            "Cannot find module './auth' from 'a.js'\nCannot find module 'express' from 'b.js'";
        assert_eq!(missing_package(output).as_deref(), Some("express"));
    }

    #[test]
    fn a_name_that_is_no_package_name_is_not_given_back() {
        let long = format!("No module named '{}'", "a".repeat(215));
        for output in [
            "Cannot find package 'x; rm -rf /' imported from a",
            "Cannot find package '$(id)' imported from a",
            "Cannot find package '-rf' imported from a",
            "Cannot find package 'é' imported from a",
            "Cannot find package '' imported from a",
            "Cannot find package 'a/../../b' imported from a",
            "cannot load such file -- ",
            long.as_str(),
        ] {
            assert_eq!(missing_package(output), None, "{output}");
        }
    }

    #[test]
    fn a_machine_that_lacks_something_is_an_environment_issue() {
        for output in [
            "bash: line 1: golangci-lint: command not found",
            "zsh: command not found: ruff",
            "sh: 1: ruff: not found\nmake: *** [Makefile:2: lint] Error 127",
            "make: ruff: No such file or directory",
            "/usr/bin/env: ‘node’: No such file or directory",
            "Error: spawn ruff ENOENT",
            "exec: \"psql\": executable file not found in $PATH",
            "error: no such command: `nextest`",
            "KeyError: 'DATABASE_URL'",
            "os.environ['REGION']\nKeyError: 'REGION'",
            "Error: Missing required environment variable: STRIPE_KEY",
            "panicked: the environment variable FOO is not set",
            "called `Result::unwrap()` on an `Err` value: NotPresent",
            "sh: 1: FOO: parameter not set",
            "bash: FOO: unbound variable",
            "Error: connect ECONNREFUSED 127.0.0.1:5432",
            "dial tcp [::1]:3306: connect: connection refused",
            "psycopg2.OperationalError: connection to server at \"db\" failed: Connection refused",
            "SQLSTATE[HY000] [2002] Connection refused",
            "OSError: [Errno 28] No space left on device",
            "sh: 1: ./scripts/test.sh: Permission denied",
            "Error: spawn /p/bin/x EACCES",
            "error: linker `cc` not found",
            "error Command \"jest\" not found.",
        ] {
            assert_eq!(of_failure(Some(1), output), Category::EnvIssue, "{output}");
        }
    }

    #[test]
    fn what_only_sounds_like_the_environment_is_a_wrong_program() {
        for output in [
            "AssertionError: expected 200, got 404: not found",
            "KeyError: 'user_id'",
            "KeyError: 'REGION'",
            "note: run with `RUST_BACKTRACE=1` environment variable to display a backtrace",
            "connect ECONNREFUSED 127.0.0.1:8080",
            "PermissionError: [Errno 13] Permission denied: '/etc/passwd'",
            "FileNotFoundError: [Errno 2] No such file or directory: 'a.json'",
            "npm error Missing script: \"test\"",
            "UserWarning: environment variable FOO is not set, using the default",
            "WARN optional: No module named 'orjson'",
        ] {
            assert_eq!(of_failure(Some(1), output), Category::LogicError, "{output}");
        }
    }

    #[test]
    fn hostile_text_neither_panics_nor_takes_long() {
        let pieces = [
            "No module named '",
            "'",
            "`",
            "é",
            "Cannot find module \"",
            "@",
            "/",
            "::",
            " ",
            "unresolved import `",
            "package ",
            " does not exist",
            "\n",
            "cannot load such file -- ",
            "KeyError: '",
            "no required module provides package ",
            "error[E0432]",
            "\u{0}",
            ": not found",
        ];
        for start in 0..pieces.len() {
            let text: String =
                pieces.iter().cycle().skip(start).step_by(start + 1).take(2000).copied().collect();
            let _ = (of_failure(Some(1), &text), missing_package(&text));
        }
    }
}
