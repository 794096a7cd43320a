//! Which test, security, type and lint suites a project has, from its tracked files. Runs nothing,
//! knows no PATH.

/// What must be known of a tree: its tracked files and what they say.
pub struct Tree<'a> {
    /// The text of a file, by its path from the project's root; `None` when absent.
    pub files: &'a dyn Fn(&str) -> Option<String>,
    /// Every tracked path, relative to the project's root.
    pub paths: &'a [String],
}

impl Tree<'_> {
    /// The text of a file; nothing when it is absent.
    pub fn text(&self, path: &str) -> String {
        (self.files)(path).unwrap_or_default()
    }

    /// Whether a file is there.
    pub fn has(&self, path: &str) -> bool {
        self.paths.iter().any(|p| p == path)
    }

    /// Whether any tracked path ends with this.
    pub fn has_suffix(&self, suffix: &str) -> bool {
        self.paths.iter().any(|p| p.ends_with(suffix))
    }

    fn any(&self, names: &[&str]) -> bool {
        names.iter().any(|n| self.has(n))
    }
}

/// What a suite is about; the final gate treats each kind in its own way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Tests: its exit code counts.
    Test,
    /// Security: its JSON counts (see `severity`), its exit code does not.
    Security,
    /// Types: reported.
    Typecheck,
    /// Style: reported.
    Lint,
}

/// One detected suite.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Suite {
    /// python, node, rust, go, java, ruby or php.
    pub ecosystem: &'static str,
    /// What it is about.
    pub kind: Kind,
    /// A line for `sh -c` in the project's root. Holds no text from the repository.
    pub command: String,
    /// The program that must be on PATH or in one of `BIN_DIRS`; else "skipped: not installed".
    pub tool: String,
    /// Whether it can stop a promotion; a security suite only by findings of high severity.
    pub required: bool,
}

/// Where a project's own programs are, beside PATH.
pub const BIN_DIRS: [&str; 2] = ["node_modules/.bin", "vendor/bin"];

/// How many files are read to find out what kind of tests a project has.
const SAMPLE: usize = 200;

fn suite(ecosystem: &'static str, kind: Kind, tool: &str, command: &str) -> Suite {
    let required = matches!(kind, Kind::Test | Kind::Security);
    Suite { ecosystem, kind, command: command.to_owned(), tool: tool.to_owned(), required }
}

/// The suites of a project, in a fixed order: by ecosystem, then tests, security, types, lint.
/// Only the root is looked at for markers; a monorepo's packages are the root's business.
pub fn suites(tree: &Tree) -> Vec<Suite> {
    let mut found = python(tree);
    found.extend(node(tree));
    found.extend(rust(tree));
    found.extend(go(tree));
    found.extend(java(tree));
    found.extend(ruby(tree));
    found.extend(php(tree));
    found
}

// --- Python ---------------------------------------------------------------------------------

/// Whether the lockfile `text` holds a package of this name (uv.lock and poetry.lock).
fn locked(text: &str, name: &str) -> bool {
    let line = format!("name = \"{name}\"");
    text.lines().any(|l| l == line)
}

/// A Python program: through uv or poetry when their lockfile brings it, else from PATH.
fn python_suite(tree: &Tree, kind: Kind, program: &str, arguments: &str) -> Suite {
    // `--frozen` because only the engine may change a lockfile.
    let runners = [("uv.lock", "uv", "uv run --frozen "), ("poetry.lock", "poetry", "poetry run ")];
    let runner = runners.iter().find(|(lock, _, _)| locked(&tree.text(lock), program));
    let (tool, prefix) = runner.map_or((program, ""), |(_, tool, prefix)| (*tool, *prefix));
    suite("python", kind, tool, &format!("{prefix}{program}{arguments}"))
}

fn python_tests<'a>(tree: &'a Tree) -> Vec<&'a str> {
    let named = |p: &&String| {
        let name = p.rsplit('/').next().unwrap_or(p);
        name.ends_with("_test.py") || (name.starts_with("test") && name.ends_with(".py"))
    };
    tree.paths.iter().filter(named).map(String::as_str).collect()
}

fn python(tree: &Tree) -> Vec<Suite> {
    let tests = python_tests(tree);
    let markers =
        ["pyproject.toml", "setup.py", "setup.cfg", "requirements.txt", "Pipfile", "pytest.ini"];
    if tests.is_empty() && !tree.any(&markers) {
        return Vec::new();
    }
    let mut found = Vec::new();
    if !tests.is_empty() {
        found.push(unittest(tree, &tests).map_or_else(
            || python_suite(tree, Kind::Test, "pytest", ""),
            |command| suite("python", Kind::Test, "python3", &command),
        ));
    }
    if tree.has_suffix(".py") {
        let skipped = "./.git,./.venv,./venv,./.tox,./.eggs,./node_modules,./.worktrees";
        let arguments = format!(" -q -r . -f json -x {skipped}");
        found.push(python_suite(tree, Kind::Security, "bandit", &arguments));
    }
    if let Some(command) = pip_audit(tree) {
        found.push(suite("python", Kind::Security, "pip-audit", &command));
    }
    if tree.has_suffix(".py") {
        found.push(python_suite(tree, Kind::Typecheck, "mypy", " ."));
        found.push(python_suite(tree, Kind::Lint, "ruff", " check ."));
    }
    found
}

/// pip-audit looks at its own environment when it is not told what to look at, which is not the
/// project's; a project that declares nothing it can read has no such suite.
fn pip_audit(tree: &Tree) -> Option<String> {
    let audit = "pip-audit -f json --progress-spinner off";
    if tree.has("uv.lock") {
        let export = "uv export --frozen --no-hashes --no-emit-project --format requirements-txt";
        // An export that fails leaves an empty list: for `severity` that is no report.
        return Some(format!("{export} | {audit} --disable-pip --no-deps -r /dev/stdin"));
    }
    if tree.has("requirements.txt") {
        return Some(format!("{audit} -r requirements.txt"));
    }
    let declared = tree.text("pyproject.toml").lines().any(|l| l.trim() == "[project]");
    declared.then(|| format!("{audit} ."))
}

/// The unittest command when nothing speaks of pytest and every test file that was looked at is
/// unittest's. pytest runs those as well, so every doubt is decided for pytest.
fn unittest(tree: &Tree, tests: &[&str]) -> Option<String> {
    let configured = tree.any(&["pytest.ini", ".pytest.ini", "pytest.toml"])
        || tree.paths.iter().any(|p| p == "conftest.py" || p.ends_with("/conftest.py"));
    let files = ["pyproject.toml", "setup.cfg", "setup.py", "tox.ini", "Pipfile", "uv.lock"];
    let more = ["poetry.lock", "requirements.txt", "requirements-dev.txt", "dev-requirements.txt"];
    if configured || files.iter().chain(&more).any(|f| tree.text(f).contains("pytest")) {
        return None;
    }
    let of_unittest = |path: &&str| {
        let text = tree.text(path);
        let plain = |l: &str| l.starts_with("def test") || l.starts_with("async def test");
        text.contains("unittest") && !text.contains("pytest") && !text.lines().any(plain)
    };
    if !tests.iter().take(SAMPLE).all(of_unittest) {
        return None;
    }
    let package = |path: &str| {
        let parts: Vec<&str> = path.split('/').collect();
        (1..parts.len()).all(|n| {
            parts.get(..n).is_some_and(|d| tree.has(&format!("{}/__init__.py", d.join("/"))))
        })
    };
    // Discovery sees `test*.py` and does not enter a directory that is no package.
    let seen = |p: &&str| p.rsplit('/').next().unwrap_or(p).starts_with("test");
    if !tests.iter().all(seen) {
        return None;
    }
    if tests.iter().all(|p| package(p)) {
        return Some("python3 -m unittest discover".to_owned());
    }
    let folder = |p: &&str| p.rsplit_once('/').map_or("", |(d, _)| d).to_owned();
    let first = tests.first().map(folder)?;
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '/');
    let one = !first.is_empty() && first.chars().all(plain);
    (one && tests.iter().all(|p| folder(p) == first))
        .then(|| format!("python3 -m unittest discover -s {first}"))
}

// --- Node -----------------------------------------------------------------------------------

/// npm, pnpm, yarn or bun: what `packageManager` says, else by lockfile, else npm.
pub fn node_manager(tree: &Tree) -> &'static str {
    let package: serde_json::Value =
        serde_json::from_str(&tree.text("package.json")).unwrap_or_default();
    let said = package.get("packageManager").and_then(|v| v.as_str()).unwrap_or("");
    let said = said.split('@').next().unwrap_or("");
    let all = [
        ("pnpm", "pnpm-lock.yaml"),
        ("yarn", "yarn.lock"),
        ("bun", "bun.lock"),
        ("bun", "bun.lockb"),
    ];
    let by_name = all.iter().find(|(name, _)| *name == said).map(|(name, _)| *name);
    if by_name.is_some() || said == "npm" {
        return by_name.unwrap_or("npm");
    }
    all.iter().find(|(_, lock)| tree.has(lock)).map_or("npm", |(name, _)| *name)
}

fn node(tree: &Tree) -> Vec<Suite> {
    let Some(text) = (tree.files)("package.json") else { return Vec::new() };
    let package: serde_json::Value = serde_json::from_str(&text).unwrap_or_default();
    let manager = node_manager(tree);
    let mut found = Vec::new();
    let script = package.pointer("/scripts/test").and_then(|v| v.as_str()).unwrap_or("");
    if !script.trim().is_empty() && !script.contains("no test specified") {
        // `CI` keeps watching test runners from waiting and jest from writing snapshots.
        let run = if manager == "bun" { "run test" } else { "test" };
        found.push(suite("node", Kind::Test, manager, &format!("CI=true {manager} {run}")));
    }
    let locks = ["package-lock.json", "npm-shrinkwrap.json"];
    let audit = match manager {
        "pnpm" if tree.has("pnpm-lock.yaml") => Some("pnpm audit --json"),
        // Yarn 2 and later write `__metadata:`; the first one knows another command.
        "yarn" if tree.text("yarn.lock").contains("__metadata:") => {
            Some("yarn npm audit --all --recursive --json")
        }
        "yarn" if tree.has("yarn.lock") => Some("yarn audit --json"),
        "bun" if tree.any(&["bun.lock", "bun.lockb"]) => Some("bun audit --json"),
        "npm" if tree.any(&locks) => Some("npm audit --json"),
        _ => None,
    };
    found.extend(audit.map(|command| suite("node", Kind::Security, manager, command)));
    if tree.has("tsconfig.json") {
        let command = format!("{NODE_PATH} {}", tsc_project(&tree.text("tsconfig.json")));
        found.push(suite("node", Kind::Typecheck, "tsc", &command));
    }
    let configured = |p: &String| p.starts_with("eslint.config.") || p.starts_with(".eslintrc");
    if tree.paths.iter().any(configured) || package.get("eslintConfig").is_some() {
        found.push(suite("node", Kind::Lint, "eslint", &format!("{NODE_PATH} eslint .")));
    }
    found
}

/// npx would ask the registry for a program that is not there.
pub const NODE_PATH: &str = "PATH=\"$PWD/node_modules/.bin:$PATH\"";

/// The tsc command for a project. A "solution" file with `references` and no files of its own
/// would pass without a look at anything; only build mode follows its references.
pub fn tsc_project(tsconfig: &str) -> &'static str {
    if tsconfig.contains("\"references\"") {
        "tsc -b --noEmit"
    } else {
        "tsc --noEmit -p tsconfig.json"
    }
}

// --- Rust, Go, Java, Ruby, PHP ----------------------------------------------------------------

fn rust(tree: &Tree) -> Vec<Suite> {
    let Some(manifest) = (tree.files)("Cargo.toml") else { return Vec::new() };
    // Without it, cargo leaves out all members but the root's own package.
    let all = if manifest.contains("[workspace") { " --workspace" } else { "" };
    let signs = ["#[test]", "::test]", "::test(", "#[rstest", "proptest!", "quickcheck", "/// ```"];
    let mut sources = tree.paths.iter().filter(|p| p.ends_with(".rs")).take(SAMPLE * 5);
    let mut found = Vec::new();
    if sources.any(|p| signs.iter().any(|s| tree.text(p).contains(s))) {
        found.push(suite("rust", Kind::Test, "cargo", &format!("cargo test{all}")));
    }
    if tree.has("Cargo.lock") {
        found.push(suite("rust", Kind::Security, "cargo-audit", "cargo audit --json"));
    }
    let check = format!("cargo check{all} --all-targets");
    found.push(suite("rust", Kind::Typecheck, "cargo", &check));
    let clippy = format!("cargo clippy{all} --all-targets -- -D warnings");
    found.push(suite("rust", Kind::Lint, "cargo-clippy", &clippy));
    found
}

fn go(tree: &Tree) -> Vec<Suite> {
    if !tree.any(&["go.mod", "go.work"]) {
        return Vec::new();
    }
    let mut found = Vec::new();
    if tree.has_suffix("_test.go") {
        found.push(suite("go", Kind::Test, "go", "go test ./..."));
    }
    found.push(suite("go", Kind::Security, "govulncheck", "govulncheck -json ./..."));
    found.push(suite("go", Kind::Typecheck, "go", "go vet ./..."));
    found.push(suite("go", Kind::Lint, "golangci-lint", "golangci-lint run"));
    found
}

fn java(tree: &Tree) -> Vec<Suite> {
    let in_tests = |p: &String| p.starts_with("src/test/") || p.contains("/src/test/");
    if !tree.paths.iter().any(in_tests) {
        return Vec::new();
    }
    // A wrapper is run through sh: it need not be executable in the tree.
    let pick = |wrapper: &str, tool: &str, arguments: &str| {
        let (command, tool) = if tree.has(wrapper) {
            (format!("sh ./{wrapper} {arguments}"), "sh")
        } else {
            (format!("{tool} {arguments}"), tool)
        };
        vec![suite("java", Kind::Test, tool, &command)]
    };
    if tree.has("pom.xml") {
        return pick("mvnw", "mvn", "-B test");
    }
    let gradle = ["build.gradle", "build.gradle.kts", "settings.gradle", "settings.gradle.kts"];
    if tree.any(&gradle) {
        return pick("gradlew", "gradle", "test --console=plain");
    }
    Vec::new()
}

fn ruby(tree: &Tree) -> Vec<Suite> {
    if !tree.has_suffix("_spec.rb") {
        return Vec::new();
    }
    if tree.text("Gemfile").contains("rspec") || locked_gem(&tree.text("Gemfile.lock")) {
        return vec![suite("ruby", Kind::Test, "bundle", "bundle exec rspec")];
    }
    vec![suite("ruby", Kind::Test, "rspec", "rspec")]
}

fn locked_gem(lock: &str) -> bool {
    lock.lines().any(|l| l.trim_start().starts_with("rspec"))
}

fn php(tree: &Tree) -> Vec<Suite> {
    let configured = tree.any(&["phpunit.xml", "phpunit.xml.dist", "phpunit.dist.xml"]);
    let declared = tree.text("composer.json").contains("phpunit/phpunit");
    if !tree.has_suffix("Test.php") || !(configured || declared) {
        return Vec::new();
    }
    // Without a configuration phpunit must be told where to look.
    let place = if configured { "" } else { " tests" };
    let command = format!("PATH=\"$PWD/vendor/bin:$PATH\" phpunit{place}");
    vec![suite("php", Kind::Test, "phpunit", &command)]
}

// --- Not run --------------------------------------------------------------------------------

/// Signs of an audit that could not reach its database. Only for output that is no report.
const UNREACHABLE: [&str; 26] = [
    "ENOTFOUND",
    "ECONNREFUSED",
    "ECONNRESET",
    "ETIMEDOUT",
    "EAI_AGAIN",
    "ERR_SOCKET_TIMEOUT",
    "audit endpoint returned an error",
    "ERR_PNPM_AUDIT_BAD_RESPONSE",
    "ERR_PNPM_AUDIT_ENDPOINT_NOT_EXISTS",
    "security/advisories/bulk",
    "security/audits",
    "Max retries exceeded",
    "ProxyError",
    "NameResolutionError",
    "Failed to establish a new connection",
    "Name or service not known",
    "Temporary failure in name resolution",
    "Could not resolve host",
    "Could not connect to",
    "couldn't fetch advisory database",
    "failed to prepare fetch",
    "error sending request for url",
    "dial tcp",
    "no such host",
    "i/o timeout",
    "fetching vulnerabilities",
];

/// Why an audit that gave no report was "not run", when that was for want of the network or of
/// what it must read; `None` when it may have failed for another reason. Ask only when
/// `severity::high_findings` did not parse the output, and only for security suites: the output
/// of a test can say anything. `command` is the suite's. bandit needs no network: no excuse.
pub fn not_run(command: &str, output: &str) -> Option<String> {
    let names = ["pip-audit", "npm", "pnpm", "yarn", "bun", "cargo-audit", "cargo", "govulncheck"];
    let mut words = command.split_whitespace();
    let tool = words.find_map(|w| names.iter().find(|n| **n == w))?;
    if let Some(sign) = UNREACHABLE.iter().find(|sign| output.contains(**sign)) {
        return Some(format!("not run: {tool} could not reach its database ({sign})"));
    }
    output.contains("ENOLOCK").then(|| format!("not run: {tool} found no lockfile"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn of(files: &[(&str, &str)]) -> Vec<Suite> {
        let map: BTreeMap<String, String> =
            files.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect();
        let paths: Vec<String> = map.keys().cloned().collect();
        let read = |path: &str| map.get(path).cloned();
        suites(&Tree { files: &read, paths: &paths })
    }

    fn commands(files: &[(&str, &str)], kind: Kind) -> Vec<String> {
        of(files).into_iter().filter(|s| s.kind == kind).map(|s| s.command).collect()
    }

    #[test]
    fn an_empty_tree_has_no_suites() {
        assert_eq!(of(&[]), Vec::new());
        assert_eq!(of(&[("README.md", "pytest"), ("Makefile", "test:")]), Vec::new());
    }

    #[test]
    fn a_python_project_is_tested_by_pytest_unless_all_its_tests_are_unittests() {
        let test = Kind::Test;
        let plain = [("tests/test_a.py", "def test_a():\n    assert 1")];
        assert_eq!(commands(&plain, test), ["pytest"]);
        let unit = "import unittest\nclass T(unittest.TestCase):\n    def test_a(self): ...";
        let whole = [("tests/__init__.py", ""), ("tests/test_a.py", unit)];
        assert_eq!(commands(&whole, test), ["python3 -m unittest discover"]);
        assert_eq!(
            commands(&[("tests/test_a.py", unit)], test),
            ["python3 -m unittest discover -s tests"]
        );
        let both = [("tests/test_a.py", unit), ("other/test_b.py", unit)];
        assert_eq!(commands(&both, test), ["pytest"]);
        let config = [("tests/test_a.py", unit), ("pyproject.toml", "[tool.pytest.ini_options]")];
        assert_eq!(commands(&config, test), ["pytest"]);
        let odd = [("tests $(x)/test_a.py", unit)];
        assert_eq!(commands(&odd, test), ["pytest"]);
        assert_eq!(commands(&[("pyproject.toml", "")], test), Vec::<String>::new());
    }

    #[test]
    fn a_tool_that_the_lockfile_brings_runs_in_the_projects_environment() {
        let files = [
            ("pyproject.toml", "[project]"),
            ("uv.lock", "[[package]]\nname = \"pytest\"\n"),
            ("test_a.py", ""),
        ];
        let found = of(&files);
        assert_eq!(found[0].command, "uv run --frozen pytest");
        assert_eq!(found[0].tool, "uv");
        assert_eq!(commands(&files, Kind::Typecheck), ["mypy ."]);
        assert!(commands(&files, Kind::Security)[1].starts_with("uv export --frozen"));
    }

    #[test]
    fn npm_s_default_test_script_is_no_suite() {
        let default = r#"{"scripts":{"test":"echo \"Error: no test specified\" && exit 1"}}"#;
        assert_eq!(commands(&[("package.json", default)], Kind::Test), Vec::<String>::new());
        assert_eq!(commands(&[("package.json", "{ nonsense")], Kind::Test), Vec::<String>::new());
        let real = r#"{"scripts":{"test":"jest"}}"#;
        assert_eq!(commands(&[("package.json", real)], Kind::Test), ["CI=true npm test"]);
    }

    #[test]
    fn the_node_manager_is_the_declared_one_then_the_lockfiles() {
        let said = r#"{"packageManager":"yarn@4.1.0","scripts":{"test":"vitest"}}"#;
        let files = [("package.json", said), ("pnpm-lock.yaml", "")];
        assert_eq!(commands(&files, Kind::Test), ["CI=true yarn test"]);
        let real = r#"{"scripts":{"test":"jest"}}"#;
        let files = [("package.json", real), ("pnpm-lock.yaml", "")];
        assert_eq!(commands(&files, Kind::Test), ["CI=true pnpm test"]);
        assert_eq!(commands(&files, Kind::Security), ["pnpm audit --json"]);
        let files = [("package.json", real), ("bun.lock", "")];
        assert_eq!(commands(&files, Kind::Test), ["CI=true bun run test"]);
        let files = [("package.json", real), ("package-lock.json", "{}"), ("tsconfig.json", "{}")];
        assert_eq!(commands(&files, Kind::Security), ["npm audit --json"]);
        assert!(commands(&files, Kind::Typecheck)[0].ends_with("tsc --noEmit -p tsconfig.json"));
        let hostile = r#"{"packageManager":"; rm -rf /","scripts":{"test":"jest"}}"#;
        assert_eq!(commands(&[("package.json", hostile)], Kind::Test), ["CI=true npm test"]);
    }

    #[test]
    fn compiled_ecosystems_are_found_by_their_manifest_and_their_tests() {
        let files = [
            ("Cargo.toml", "[workspace]"),
            ("Cargo.lock", ""),
            ("src/lib.rs", "#[test]\nfn a() {}"),
            ("go.mod", "module x"),
            ("x_test.go", ""),
            ("pom.xml", ""),
            ("mvnw", ""),
            ("src/test/java/ATest.java", ""),
        ];
        let expected = ["cargo test --workspace", "go test ./...", "sh ./mvnw -B test"];
        assert_eq!(commands(&files, Kind::Test), expected);
        let security = ["cargo audit --json", "govulncheck -json ./..."];
        assert_eq!(commands(&files, Kind::Security), security);
        let none = [("Cargo.toml", "[package]"), ("src/main.rs", "fn main() {}")];
        assert_eq!(commands(&none, Kind::Test), Vec::<String>::new());
    }

    #[test]
    fn gradle_rspec_and_phpunit_are_known() {
        let gradle = [("build.gradle.kts", ""), ("src/test/kotlin/A.kt", "")];
        assert_eq!(commands(&gradle, Kind::Test), ["gradle test --console=plain"]);
        let ruby = [("Gemfile", "gem 'rspec'"), ("spec/a_spec.rb", "")];
        assert_eq!(commands(&ruby, Kind::Test), ["bundle exec rspec"]);
        let php = [("phpunit.xml", ""), ("tests/ATest.php", "")];
        assert_eq!(commands(&php, Kind::Test), ["PATH=\"$PWD/vendor/bin:$PATH\" phpunit"]);
    }

    #[test]
    fn tests_and_security_are_required_types_and_lint_are_reported() {
        let files = [("go.mod", ""), ("x_test.go", ""), ("eslint.config.js", "")];
        for suite in of(&files) {
            let strict = matches!(suite.kind, Kind::Test | Kind::Security);
            assert_eq!(suite.required, strict, "{}", suite.command);
        }
    }

    #[test]
    fn an_audit_without_its_database_was_not_run() {
        let npm = "npm warn audit 405 Method Not Allowed - POST https://registry.npmjs.org/-/npm/\
                   v1/security/advisories/bulk\nnpm error audit endpoint returned an error";
        assert!(not_run("npm audit --json", npm).is_some());
        let pip = "requests.exceptions.ConnectionError: HTTPSConnectionPool(host='api.osv.dev', \
                   port=443): Max retries exceeded with url: /v1/query";
        assert!(not_run("pip-audit", pip).is_some());
        let cargo = "error: couldn't fetch advisory database: git operation failed";
        assert!(not_run("cargo-audit", cargo).is_some());
        let lock = r#"{"error": {"code": "ENOLOCK"}}"#;
        assert_eq!(not_run("npm", lock).as_deref(), Some("not run: npm found no lockfile"));
        assert_eq!(not_run("npm", "SyntaxError: x"), None);
        assert_eq!(not_run("uv run --frozen bandit -r .", "ENOTFOUND"), None);
    }
}
