//! Real projects: Python, Node and Rust with their own test runners and type checkers, packages that are asked for and
//! installed, the final gate's own suites, a reviewer. A test whose tools are not on this machine says so and ends.

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use super::sandbox::{Ran, Sandbox, plan, python_is_here, ran, task};

/// PATH for projects with real tools: what `SLIMDUCTOR_TEST_TOOLS` holds (`.ci/install-tools.sh` fills it), cargo itself and not its
/// proxy, which would need a HOME, then the sandbox's own. `None`, said once, when one of `programs` is nowhere.
pub fn tools(s: &Sandbox, programs: &[&str]) -> Option<String> {
    let mut dirs = Vec::new();
    if let Some(own) = std::env::var_os("SLIMDUCTOR_TEST_TOOLS").map(PathBuf::from) {
        dirs.extend([own.join("venv/bin"), own.join("node/node_modules/.bin")]);
    }
    if programs.contains(&"cargo") {
        let said = Command::new("rustc").args(["--print", "sysroot"]).output();
        let said = said.map(|o| String::from_utf8_lossy(&o.stdout).trim().to_owned());
        dirs.extend(said.ok().map(|root| PathBuf::from(root).join("bin")));
    }
    let command = s.command("sh");
    let path = command.get_envs().find(|(name, _)| *name == "PATH").and_then(|(_, value)| value);
    dirs.extend(std::env::split_paths(path.unwrap()));
    let missing = programs.iter().find(|p| !dirs.iter().any(|d| d.join(p).is_file()));
    if let Some(missing) = missing {
        // Where somebody promised the tools, a test that is skipped would be a test that nobody misses.
        let promised = std::env::var_os("SLIMDUCTOR_TEST_TOOLS").is_some();
        assert!(!promised, "{missing} is neither in SLIMDUCTOR_TEST_TOOLS nor on PATH");
        println!("skipped: {missing} is not installed (SLIMDUCTOR_TEST_TOOLS names where it is)");
        return None;
    }
    Some(std::env::join_paths(dirs).unwrap().into_string().unwrap())
}

/// A PATH with all that is on `path`, but for these programs: a machine that lacks them.
fn without(s: &Sandbox, path: &str, programs: &[&str]) -> String {
    let bin = s.outside("bin");
    std::fs::create_dir(&bin).unwrap();
    for from in std::env::split_paths(path) {
        for entry in std::fs::read_dir(from).into_iter().flatten().flatten() {
            if !programs.iter().any(|p| entry.file_name() == *p) {
                let _ = symlink(entry.path(), bin.join(entry.file_name()));
            }
        }
    }
    bin.into_os_string().into_string().unwrap()
}

fn commit(s: &Sandbox, files: &[(&str, &str)]) {
    for (name, text) in files {
        s.write(name, text);
    }
    s.git(&["add", "-A"]);
    s.git(&["commit", "-qm", "the project"]);
}

fn slimductor(s: &Sandbox, path: &str, args: &[&str]) -> Ran {
    ran(s.slimductor().env("PATH", path).args(args).output().unwrap())
}

fn run_plan(s: &Sandbox, path: &str, plan: &str, flags: &[&str]) -> Ran {
    s.write("tasks.yaml", plan);
    slimductor(s, path, &[&["run", "--backend", "process"], flags].concat())
}

/// A task that writes these files and is proved by this command.
fn writes(id: &str, files: &[(&str, &str)], check: &str) -> String {
    let mut script = String::from("set -e\n");
    for (name, text) in files {
        let dir = Path::new(name).parent().filter(|d| !d.as_os_str().is_empty());
        let dir = dir.map_or(".", |d| d.to_str().unwrap());
        script.push_str(&format!("mkdir -p {dir}\ncat > {name} <<'EOF'\n{text}EOF\n"));
    }
    let names: Vec<&str> = files.iter().map(|(name, _)| *name).collect();
    let first = names.first().unwrap();
    task(id, &[], first, &script)
        .replace(
            &format!("files_write: [{first}]"),
            &format!("files_write: [{}]", names.join(", ")),
        )
        .replace(
            &format!("{{command: test -s {first}, type: test}}"),
            &format!("{{command: \"{check}\", type: test}}"),
        )
}

/// With more keys, one for each line.
fn with(task: String, keys: &[&str]) -> String {
    let lines: String = keys.iter().map(|k| format!("    {k}\n")).collect();
    task.replacen("    run:", &format!("{lines}    run:"), 1)
}

fn once_on(contract: &str, task: String) -> String {
    with(task, &["max_attempts: 1", &format!("contracts: [{contract}]")])
}

fn contract(name: &str, file: &str, methods: &str) -> String {
    format!("contracts: [{{name: {name}, version: v1, file_path: {file}, methods: [{methods}]}}]\n")
}

/// One of three: what conforms lands, what only the type checker objects to does not, nor what ran no test.
#[track_caller]
fn assert_that_types_decide(s: &Sandbox, ran: &Ran, objection: &[&str]) {
    let state = |a: &str, b: &str| (a.to_owned(), b.to_owned());
    let report = s.read(".orchestrator/escalation-report.md");
    let all = format!("{}\n{}\n{report}", ran.out, ran.err);
    let states = s.states();
    assert_eq!(states["fits"], state("merged", ""), "{all}");
    assert_eq!(states["breaks"], state("failed", "contract_mismatch"), "{all}");
    assert_eq!(states["idle"], state("failed", "vacuous"), "{all}");
    // Its own tests passed: nothing but the signature speaks against it.
    assert!(!report.contains("logic_error"), "{report}");
    for words in objection {
        assert!(report.contains(words), "`{words}` is missing:\n{report}");
    }
    assert!(ran.out.contains("1 of 3 tasks landed"), "{all}");
    s.assert_no_process();
}

#[test]
fn a_python_task_that_breaks_a_protocol_and_no_test_is_a_contract_mismatch() {
    let s = Sandbox::new();
    let Some(path) = tools(&s, &["python3", "pytest", "mypy"]) else { return };
    let store = "# Contract: Store\n# Version: v1\nfrom typing import Protocol\n\n\nclass Store(Protocol):\n    def put_item(self, key: str, value: int) -> None: ...\n\n    def find_item(self, key: str) -> int: ...\n";
    commit(
        &s,
        &[
            (".gitignore", "__pycache__/\n.pytest_cache/\n.mypy_cache/\n"),
            ("pyproject.toml", "[tool.pytest.ini_options]\npythonpath = [\".\"]\n"),
            ("contracts/__init__.py", ""),
            ("contracts/store.py", store),
            ("app/__init__.py", ""),
        ],
    );
    let of = |class: &str, value: &str| {
        format!(
            "class {class}:\n    def __init__(self) -> None:\n        self.items: dict[str, {value}] = {{}}\n\n    def put_item(self, key: str, value: {value}) -> None:\n        self.items[key] = value\n\n    def find_item(self, key: str) -> {value}:\n        return self.items[key]\n"
        )
    };
    let test = |module: &str, class: &str, value: &str| {
        format!(
            "from app.{module} import {class}\n\n\ndef test_what_was_put_is_found():\n    store = {class}()\n    store.put_item(\"a\", {value})\n    assert store.find_item(\"a\") == {value}\n"
        )
    };
    let fits = [
        ("app/memory.py", of("MemoryStore", "int")),
        ("tests/test_memory.py", test("memory", "MemoryStore", "1")),
    ];
    // Consistent in itself, and no Store: it takes and gives text.
    let breaks = [
        ("app/disk.py", of("DiskStore", "str")),
        ("tests/test_disk.py", test("disk", "DiskStore", "\"1\"")),
    ];
    let text = plan(&[
        once_on("Store", writes("fits", &borrowed(&fits), "pytest -q tests/test_memory.py")),
        once_on("Store", writes("breaks", &borrowed(&breaks), "pytest -q tests/test_disk.py")),
        with(
            writes(
                "idle",
                &[("idle/test_nothing.py", "X = 1\n")],
                "python3 -m unittest discover -s idle",
            ),
            &["max_attempts: 1"],
        ),
    ]) + &contract("Store", "contracts/store.py", "put_item, find_item")
        + "integration: {incremental: [], final: [{command: pytest -q}]}\n";
    let ran = run_plan(&s, &path, &text, &["--promote-landed"]).exits(4);
    assert_that_types_decide(
        &s,
        &ran,
        &["signature of Store", "DiskStore", "def find_item(self, key: str) -> int"],
    );
    assert!(s.read("app/memory.py").contains("MemoryStore"));
    assert!(!s.root().join("app/disk.py").exists());
    // What was generated for the check is nobody's work.
    assert!(!s.git(&["ls-files"]).contains("slimductor_conformance"));
}

fn borrowed<'a>(files: &'a [(&'a str, String)]) -> Vec<(&'a str, &'a str)> {
    files.iter().map(|(name, text)| (*name, text.as_str())).collect()
}

#[test]
fn a_typescript_task_that_breaks_an_interface_and_no_test_is_a_contract_mismatch() {
    let s = Sandbox::new();
    let Some(path) = tools(&s, &["node", "tsc"]) else { return };
    commit(
        &s,
        &[
            (".gitignore", "out/\n"),
            ("package.json", "{\"type\": \"module\", \"private\": true}\n"),
            (
                "tsconfig.json",
                "{\"compilerOptions\": {\"strict\": true, \"target\": \"es2022\", \"lib\": [\"es2022\"], \"module\": \"esnext\", \"moduleResolution\": \"bundler\", \"rootDir\": \".\", \"types\": []}, \"include\": [\"src\", \"contracts\"]}\n",
            ),
            (
                "contracts/clock.ts",
                "// Contract: Clock\n// Version: v1\nexport interface Clock {\n  nowMillis(): number;\n  waitUntil(at: number): void;\n}\n",
            ),
        ],
    );
    let of = |class: &str, given: &str| {
        format!(
            "import type {{ Clock }} from \"../contracts/clock\";\n\nexport class {class} implements Clock {{\n  constructor(private at: {given}) {{}}\n  nowMillis() {{\n    return this.at;\n  }}\n  waitUntil(at: {given}) {{\n    this.at = at;\n  }}\n}}\n"
        )
    };
    let test = |file: &str, class: &str, one: &str, two: &str| {
        format!(
            "import test from \"node:test\";\nimport assert from \"node:assert\";\nimport {{ {class} }} from \"../out/src/{file}.js\";\n\ntest(\"it waits\", () => {{\n  const clock = new {class}({one});\n  clock.waitUntil({two});\n  assert.equal(clock.nowMillis(), {two});\n}});\n"
        )
    };
    let fits = [
        ("src/steady.ts", of("SteadyClock", "number")),
        ("test/steady.test.mjs", test("steady", "SteadyClock", "1", "2")),
    ];
    let breaks = [
        ("src/written.ts", of("WrittenClock", "string")),
        ("test/written.test.mjs", test("written", "WrittenClock", "'1'", "'2'")),
    ];
    // Translated without a look at the types, as many projects do for their tests.
    let check =
        |name: &str| format!("tsc -p . --noCheck --outDir out && node --test test/{name}.test.mjs");
    let text = plan(&[
        once_on("Clock", writes("fits", &borrowed(&fits), &check("steady"))),
        once_on("Clock", writes("breaks", &borrowed(&breaks), &check("written"))),
        with(
            writes(
                "idle",
                &[("test/idle.test.mjs", "export const x = 1;\n")],
                "node --test test/idle.test.mjs",
            ),
            &["max_attempts: 1"],
        ),
    ]) + &contract("Clock", "contracts/clock.ts", "nowMillis, waitUntil")
        + "integration: {incremental: [], final: [{command: tsc -p . --noCheck --outDir out && node --test test/}]}\n";
    let ran = run_plan(&s, &path, &text, &["--promote-landed"]).exits(4);
    assert_that_types_decide(&s, &ran, &["tsc", "src/written.ts", "TS2416"]);
    assert!(s.read("src/steady.ts").contains("SteadyClock"));
    assert!(!s.root().join("src/written.ts").exists());
    assert!(!s.git(&["ls-files"]).contains("slimductor_conformance"));
}

#[test]
fn a_rust_task_that_breaks_a_trait_and_no_test_is_a_contract_mismatch() {
    let s = Sandbox::new();
    let Some(path) = tools(&s, &["cargo", "cc"]) else { return };
    commit(
        &s,
        &[
            (".gitignore", "/target\n"),
            (
                "Cargo.toml",
                "[package]\nname = \"shop\"\nversion = \"0.1.0\"\nedition = \"2021\"\n\n[profile.dev]\ndebug = false\n",
            ),
            ("Cargo.lock", "version = 4\n\n[[package]]\nname = \"shop\"\nversion = \"0.1.0\"\n"),
            (
                "src/contract.rs",
                "//! Contract: Price\n//! Version: v1\n\npub trait Price {\n    fn cents(&self, count: u32) -> u64;\n}\n",
            ),
            (
                "src/lib.rs",
                "pub mod contract;\n\npub fn total(p: &dyn contract::Price) -> u64 {\n    p.cents(2)\n}\n\n#[cfg(test)]\nmod tests {\n    struct Flat;\n    impl super::contract::Price for Flat {\n        fn cents(&self, count: u32) -> u64 {\n            100 * u64::from(count)\n        }\n    }\n    #[test]\n    fn two_are_twice_one() {\n        assert_eq!(super::total(&Flat), 200);\n    }\n}\n",
            ),
        ],
    );
    let program = |gives: &str| {
        format!(
            "use shop::contract::Price;\n\nstruct Rebate;\n\nimpl Price for Rebate {{\n    fn cents(&self, count: u32) -> {gives} {{\n        90 * {gives}::from(count)\n    }}\n}}\n\nfn main() {{\n    println!(\"{{}}\", Rebate.cents(1));\n}}\n"
        )
    };
    let text = plan(&[
        once_on(
            "Price",
            writes(
                "fits",
                &[("src/bin/fits.rs", &program("u64"))],
                "cargo test --offline -q --lib",
            ),
        ),
        once_on(
            "Price",
            writes(
                "breaks",
                &[("src/bin/breaks.rs", &program("f64"))],
                "cargo test --offline -q --lib",
            ),
        ),
        with(
            writes("idle", &[("notes.txt", "x\n")], "cargo test --offline -q --lib nothing"),
            &["max_attempts: 1"],
        ),
    ]) + &contract("Price", "src/contract.rs", "cents")
        + "integration: {incremental: [], final: [{command: cargo test --offline -q}]}\n";
    let ran = run_plan(&s, &path, &text, &["--promote-landed"]).exits(4);
    assert_that_types_decide(&s, &ran, &["cargo check", "src/bin/breaks.rs", "E0053"]);
    assert!(s.root().join("src/bin/fits.rs").exists());
    assert!(!s.root().join("src/bin/breaks.rs").exists());
}

/// A Python project with a package manager of its own, which writes a lockfile and installs into the tree, unless there
/// is a file `no-network` outside.
fn project_with_packages(s: &Sandbox, dependencies: &str) {
    let offline = s.outside("no-network");
    let install = format!(
        "test ! -e '{}' || {{ echo 'no route to the index' >&2; exit 1; }}\n",
        offline.display()
    );
    let install = install
        + "set -e\nfor p in \"$@\"; do\n  name=${p%%[=<>]*}\n  printf '\\n[[package]]\\nname = \"%s\"\\n' \"$name\" >> uv.lock\n  echo 'def pad(s, n): return s.rjust(n)' > \"$name.py\"\ndone\n";
    commit(
        s,
        &[
            (".gitignore", "__pycache__/\n"),
            ("pyproject.toml", "[project]\nname = \"shop\"\nversion = \"1\"\n"),
            ("uv.lock", "version = 1\n"),
            ("tools/install.sh", &install),
            (
                "slimductor.yaml",
                &format!(
                    "dependencies: {{install: {{python: sh tools/install.sh}}{dependencies}}}\n"
                ),
            ),
        ],
    );
}

/// A task whose own test imports a module that nobody has installed.
fn padded(id: &str, module: &str) -> String {
    let test = format!("tests/test_{id}.py");
    let body = format!(
        "import unittest\nimport {module}\n\n\nclass Pads(unittest.TestCase):\n    def test_pad(self):\n        self.assertEqual({module}.pad('x', 2), ' x')\n"
    );
    writes(id, &[(&test, &body)], &format!("python3 -m unittest tests/test_{id}.py"))
}

fn hash(s: &Sandbox) -> String {
    let state: Value = serde_json::from_str(&s.read(".orchestration-state.json")).unwrap();
    state["environment"]["hash"].as_str().unwrap().to_owned()
}

#[test]
fn a_task_that_lacks_a_package_waits_for_a_person_while_the_others_go_on() {
    if !python_is_here() {
        return;
    }
    let s = Sandbox::new();
    project_with_packages(&s, "");
    let before = s.git(&["rev-parse", "main"]);
    let text = plan(&[
        padded("pads", "leftpad"),
        task("after", &["pads"], "after.txt", "echo after > after.txt"),
        task("good", &[], "good.txt", "echo good > good.txt"),
        task("better", &["good"], "better.txt", "echo better > better.txt"),
    ]);
    let ran = s.run_plan(&text, &[]).exits(5);
    let states = s.states();
    assert_eq!(states["good"].0, "merged", "{}", ran.err);
    assert_eq!(states["better"].0, "merged");
    assert_eq!(states["pads"].0, "blocked");
    assert_eq!(states["after"].0, "pending");
    for words in ["pads needs leftpad", "slimductor approve"] {
        assert!(ran.out.contains(words), "{}", ran.out);
    }
    assert_eq!(s.git(&["rev-parse", "main"]), before);
    let old = hash(&s);
    s.run(&["approve"]).exits(0);
    let ran = s.run(&["resume"]).exits(0);
    assert_ne!(hash(&s), old, "{}", ran.err);
    assert!(s.git(&["show", "main:uv.lock"]).contains("leftpad"));
    // Who was still to work is told, and nobody else.
    for (id, told) in [("pads", 1), ("after", 1), ("good", 0), ("better", 0)] {
        let inbox = s.root().join(".orchestrator/mailbox").join(id);
        let mail: Vec<_> = std::fs::read_dir(inbox).into_iter().flatten().flatten().collect();
        assert_eq!(mail.len(), told, "{id}");
        for entry in mail {
            let text = std::fs::read_to_string(entry.path()).unwrap();
            assert!(text.contains("dependency_installed") && text.contains("leftpad"), "{text}");
        }
    }
    for file in ["leftpad.py", "tests/test_pads.py", "after.txt", "better.txt"] {
        assert!(s.root().join(file).exists(), "{file}");
    }
    s.assert_nothing_is_left();
}

#[test]
fn an_installation_that_failed_says_why_and_is_tried_again_when_it_is_agreed_to_again() {
    if !python_is_here() {
        return;
    }
    let s = Sandbox::new();
    project_with_packages(&s, "");
    std::fs::write(s.outside("no-network"), "").unwrap();
    s.run_plan(&plan(&[padded("pads", "leftpad")]), &[]).exits(5);
    s.run(&["approve"]).exits(0);
    let ran = s.run(&["resume"]).exits(5);
    assert!(ran.out.contains("the installation failed"), "{}", ran.out);
    let report = s.read(".orchestrator/escalation-report.md");
    for words in ["no route to the index", "slimductor approve", "slimductor skip pads"] {
        assert!(report.contains(words), "`{words}` is missing:\n{report}");
    }
    std::fs::remove_file(s.outside("no-network")).unwrap();
    s.run(&["approve"]).exits(0);
    // What the failed one left is gone by the time that the next workers are started.
    s.run(&["resume"]).exits(0);
    assert!(s.root().join("tests/test_pads.py").exists());
    s.assert_nothing_is_left();
}

#[test]
fn npm_itself_installs_what_a_task_lacks_and_every_later_worktree_has_it() {
    let s = Sandbox::new();
    let Some(path) = tools(&s, &["node", "npm"]) else { return };
    commit(
        &s,
        &[
            (".gitignore", "node_modules/\n"),
            ("package.json", "{\"name\": \"shop\", \"version\": \"1.0.0\", \"private\": true}\n"),
            (
                "package-lock.json",
                "{\"name\": \"shop\", \"version\": \"1.0.0\", \"lockfileVersion\": 3, \"requires\": true, \"packages\": {\"\": {\"name\": \"shop\", \"version\": \"1.0.0\"}}}\n",
            ),
            // A package that needs no registry.
            (
                "packages/leftpad/package.json",
                "{\"name\": \"leftpad\", \"version\": \"1.0.0\", \"main\": \"index.js\"}\n",
            ),
            ("packages/leftpad/index.js", "module.exports = (s, n) => s.padStart(n);\n"),
            (
                "slimductor.yaml",
                "dependencies:\n  install: {node: \"npm install --offline --no-audit --no-fund ./packages/{packages}\"}\n  allowed_packages: [leftpad]\nworktree: {setup: [\"npm ci --offline --no-audit --no-fund\"]}\n",
            ),
        ],
    );
    let test = "const test = require(\"node:test\");\nconst assert = require(\"node:assert\");\nconst pad = require(\"leftpad\");\ntest(\"it pads\", () => assert.equal(pad(\"x\", 2), \" x\"));\n";
    let text =
        plan(&[writes("pads", &[("test/pads.test.js", test)], "node --test test/pads.test.js")])
            + "integration: {incremental: [], final: [{command: node --test test/}]}\n";
    run_plan(&s, &path, &text, &[]).exits(0);
    assert!(s.git(&["show", "main:package-lock.json"]).contains("packages/leftpad"));
    assert!(s.git(&["show", "main:package.json"]).contains("leftpad"));
    assert!(!s.git(&["ls-files"]).contains("node_modules"));
    s.assert_nothing_is_left();
}

#[test]
fn pip_itself_installs_what_a_plan_declares_and_requirements_txt_says_so() {
    let s = Sandbox::new();
    let has_pip = || s.command("python3").args(["-m", "pip", "--version"]).output();
    if !has_pip().is_ok_and(|o| o.status.success()) {
        println!("skipped: python3 or its pip is not installed");
        return;
    }
    // A wheel beside the repository stands for the index; it goes into the HOME of the sandbox.
    let wheels = s.outside("wheels");
    std::fs::create_dir(&wheels).unwrap();
    let make = "import sys, zipfile\nname = sys.argv[1] + '/leftpad-1.0-py3-none-any.whl'\ninfo = 'leftpad-1.0.dist-info/'\nwith zipfile.ZipFile(name, 'w') as z:\n    z.writestr('leftpad.py', 'def pad(s, n): return s.rjust(n)\\n')\n    z.writestr(info + 'METADATA', 'Metadata-Version: 2.1\\nName: leftpad\\nVersion: 1.0\\n')\n    z.writestr(info + 'WHEEL', 'Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n')\n    z.writestr(info + 'RECORD', '')\n";
    let made = s.command("python3").args(["-c", make]).arg(&wheels).status().unwrap();
    assert!(made.success());
    let settings = s.outside("home/.config/pip");
    std::fs::create_dir_all(&settings).unwrap();
    let text = format!(
        "[global]\nno-index = true\nfind-links = {}\nbreak-system-packages = true\n[install]\nuser = true\n",
        wheels.display()
    );
    std::fs::write(settings.join("pip.conf"), text).unwrap();
    commit(&s, &[(".gitignore", "__pycache__/\n"), ("requirements.txt", "# what is needed\n")]);
    let declared = with(padded("pads", "leftpad"), &["deps_required: {runtime: [leftpad>=1]}"]);
    let text = plan(&[declared])
        + "integration: {final: [{command: python3 -m unittest discover -s tests}]}\n";
    let ran = s.run_plan(&text, &[]).exits(5);
    assert!(ran.out.contains("pads needs leftpad>=1"), "{}", ran.out);
    s.run(&["approve", "pads"]).exits(0);
    s.run(&["resume"]).exits(0);
    assert_eq!(s.read("requirements.txt"), "# what is needed\nleftpad>=1\n");
    s.assert_nothing_is_left();
}

#[test]
fn a_worker_may_say_itself_what_it_lacks() {
    if !python_is_here() {
        return;
    }
    let s = Sandbox::new();
    project_with_packages(&s, ", allowed_packages: [leftpad]");
    let work = "if test -f leftpad.py; then echo done > a; else echo '{\"status\": \"blocked\", \"blocked_reason\": \"I pad\", \"needs_dependency\": \"leftpad\"}' > .task-status.json; fi";
    let ran = s.run_plan(&plan(&[task("a", &[], "a", work)]), &[]).exits(0);
    assert!(ran.err.contains("I pad"), "{}", ran.err);
    assert!(s.git(&["show", "main:uv.lock"]).contains("leftpad"));
    assert_eq!(s.read("a"), "done\n");
    assert!(!s.git(&["ls-files"]).contains("task-status"));
    s.assert_nothing_is_left();
}

#[test]
fn an_allowed_package_needs_nobody() {
    if !python_is_here() {
        return;
    }
    let s = Sandbox::new();
    project_with_packages(&s, ", allowed_packages: [LeftPad]");
    let ran = s.run_plan(&plan(&[padded("pads", "leftpad")]), &[]).exits(0);
    assert!(ran.err.contains("leftpad"), "{}", ran.err);
    assert!(s.git(&["show", "main:uv.lock"]).contains("leftpad"));
    s.assert_nothing_is_left();
}

#[test]
fn packages_that_do_not_go_together_are_put_to_a_person() {
    if !python_is_here() {
        return;
    }
    let s = Sandbox::new();
    // Allowed or not: which of the two it is to be is nothing that a list can say.
    project_with_packages(&s, ", auto_approve: true");
    let wants = |id: &str, version: &str| {
        with(padded(id, "leftpad"), &[&format!("deps_required: {{runtime: [leftpad=={version}]}}")])
    };
    let ran = s.run_plan(&plan(&[wants("one", "1"), wants("two", "2")]), &[]).exits(5);
    for words in ["these do not go together", "leftpad==1", "leftpad==2", "one", "two"] {
        assert!(ran.out.contains(words), "{words}:\n{}", ran.out);
    }
    s.run(&["skip", "two"]).exits(0);
    let ran = s.run(&["resume"]).exits(0);
    assert!(ran.out.contains("1 of 2 tasks landed"), "{}", ran.out);
    assert!(s.git(&["show", "main:uv.lock"]).contains("leftpad"));
    assert!(s.root().join("tests/test_one.py").exists());
    assert!(!s.root().join("tests/test_two.py").exists());
    s.assert_no_process();
}

#[test]
fn the_final_gate_runs_the_projects_own_tests_and_says_which_tools_are_missing() {
    let s = Sandbox::new();
    let Some(path) = tools(&s, &["python3", "pytest"]) else { return };
    let path = without(&s, &path, &["ruff", "mypy", "bandit", "pip-audit"]);
    commit(
        &s,
        &[
            (".gitignore", "__pycache__/\n.pytest_cache/\n"),
            ("pyproject.toml", "[tool.pytest.ini_options]\npythonpath = [\".\"]\n"),
            ("price.py", "def price(n):\n    return 100 * n\n"),
            (
                "tests/test_price.py",
                "from price import price\n\n\ndef test_price():\n    assert price(2) == 200\n",
            ),
        ],
    );
    let before = s.git(&["rev-parse", "main"]);
    let cheap = |cents: u32| {
        plan(&[with(
            writes(
                "cheap",
                &[("price.py", &format!("def price(n):\n    return {cents} * n + 0\n"))],
                "python3 -m py_compile price.py",
            ),
            &["max_attempts: 1"],
        )]) + "integration: {incremental: []}\n"
    };
    // Its own check is content; the project's tests, which nobody declared, are not.
    let ran = run_plan(&s, &path, &cheap(90), &[]).exits(5);
    assert!(ran.out.contains("final gate is red"), "{}", ran.out);
    assert!(s.read(".orchestrator/escalation-report.md").contains("test_price"));
    assert_eq!(s.git(&["rev-parse", "main"]), before);
    slimductor(&s, &path, &["abort"]).exits(0);
    let ran = run_plan(&s, &path, &cheap(100), &[]).exits(0);
    for tool in ["ruff", "mypy", "bandit"] {
        let line = ran.err.lines().find(|l| l.contains(tool)).unwrap_or_default();
        assert!(line.contains("skipped") && line.contains(&format!("{tool} is not installed")));
    }
    assert!(!ran.err.contains("0 issues") && !ran.out.contains("0 issues"), "{}", ran.err);
    assert!(s.read("price.py").contains("100 * n + 0"));
    s.git(&["rev-parse", "-q", "--verify", "main"]);
    s.assert_no_process();
}

/// Two tasks, and a reviewer that wants a better `a` until it says what the reviewer said.
fn reviewed(s: &Sandbox, review: &str, more: &str) -> String {
    commit(
        s,
        &[
            ("tools/review.sh", review),
            (
                "slimductor.yaml",
                &format!(
                    "agents: {{critic: {{command: [sh, tools/review.sh, \"{{prompt_file}}\"]}}}}\nroles: {{reviewer: {{agent: critic}}}}\n{more}"
                ),
            ),
        ],
    );
    let a = "if [ \"$SLIMDUCTOR_ATTEMPT\" = 1 ]; then echo first > a; else cp \"$SLIMDUCTOR_FINDINGS\" a; echo $SLIMDUCTOR_ATTEMPT >> a; fi";
    plan(&[task("a", &[], "a", a), task("b", &[], "b", "echo b > b")])
}

#[test]
fn a_reviewer_sends_one_task_back_with_its_words_and_then_accepts() {
    let s = Sandbox::new();
    // What it is told names what landed; the tree is the one that is to be promoted.
    let review = "grep -q 'make b' \"$1\" && test -f b || { echo the prompt is wrong >&2; exit 1; }\necho some thoughts\nif grep -q 'a louder greeting' a; then echo '{\"verdict\": \"accept\", \"comment\": \"fine now\"}'\nelse echo '{\"verdict\": \"iterate\", \"feedback\": [{\"task\": \"a\", \"message\": \"a louder greeting, please\"}]}'; fi\n";
    let text = reviewed(&s, review, "");
    let ran = s.run_plan(&text, &[]).exits(0);
    assert!(ran.err.contains("sent back: a"), "{}", ran.err);
    let tasks = s.status()["tasks"].clone();
    assert_eq!((&tasks[0]["id"], &tasks[0]["attempt"]), (&"a".into(), &2.into()), "{tasks}");
    assert_eq!(tasks[1]["attempt"], 1, "only the named one runs again: {tasks}");
    assert!(s.read("a").contains("a louder greeting, please"), "{}", s.read("a"));
    s.assert_nothing_is_left();
}

#[test]
fn a_reviewer_that_never_accepts_ends_with_a_person() {
    let s = Sandbox::new();
    let before = s.git(&["rev-parse", "main"]);
    let review = "echo '{\"verdict\": \"iterate\", \"feedback\": [{\"task\": \"a\", \"message\": \"not yet\"}]}'\n";
    let text = reviewed(&s, review, "orchestration: {max_iterations: 2}\n");
    let base = s.git(&["rev-parse", "main"]);
    let ran = s.run_plan(&text, &[]).exits(5);
    assert!(ran.out.contains("review"), "{}", ran.out);
    let reviews = ran.err.lines().filter(|l| l.contains("sent back")).count();
    assert_eq!(reviews, 2, "{}", ran.err);
    assert_ne!(before, base);
    assert_eq!(s.git(&["rev-parse", "main"]), base);
    assert!(s.read(".orchestrator/escalation-report.md").contains("not yet"));
    s.run(&["abort"]).exits(0);
    assert_eq!(s.git(&["rev-parse", "main"]), base);
    assert!(!s.root().join("a").exists());
    s.assert_no_process();
}

#[test]
fn a_reviewer_that_cannot_be_understood_accepts_nothing() {
    for (review, words) in [
        ("echo looks good to me\n", "no line of JSON"),
        ("echo '{\"verdict\": \"accept\"}'; exit 3\n", "exit 3"),
        (
            "echo '{\"verdict\": \"iterate\", \"feedback\": [{\"task\": \"zzz\", \"message\": \"x\"}]}'\n",
            "zzz",
        ),
    ] {
        let s = Sandbox::new();
        let text = reviewed(&s, review, "");
        let base = s.git(&["rev-parse", "main"]);
        let ran = s.run_plan(&text, &[]).exits(5);
        assert!(ran.out.contains(words), "{words}:\n{}", ran.out);
        assert_eq!(s.git(&["rev-parse", "main"]), base);
    }
}

#[test]
fn checks_get_the_changed_files_and_the_tests_that_belong_to_them() {
    let s = Sandbox::new();
    let record = s.outside("record");
    let tell = format!(
        "f=$1; shift; {{ echo \"$f\"; for a; do echo \"<$a>\"; done; }} > '{}'.$f\n",
        record.display()
    );
    commit(
        &s,
        &[
            ("tools/tell.sh", &tell),
            ("checks/price_check.sh", "exit 0\n"),
            ("checks/other_check.sh", "exit 0\n"),
            (
                "slimductor.yaml",
                "verification: {test_file_patterns: {\"src/*.py\": [\"checks/*_check.sh\"]}, fallback_on_no_match: checks --all}\n",
            ),
        ],
    );
    let tells = |id: &str, files: &str, work: &str| {
        task(id, &[], "x", work)
            .replace("files_write: [x]", &format!("files_write: [{files}]"))
            .replace(
                "test -s x",
                &format!("sh tools/tell.sh {id} {{modified_files}} -- {{modified_tests}}"),
            )
    };
    // In a plan's flow mapping, braces are quoted.
    let quoted =
        |t: String| t.replace("{command: sh", "{command: \"sh").replace(", type", "\", type");
    let text = plan(&[
        quoted(tells(
            "source",
            "src/price.py, \"src/it's a file.py\"",
            "echo 1 > src/price.py; echo 1 > \"src/it's a file.py\"",
        )),
        quoted(tells("words", "docs/a.txt", "mkdir docs; echo 1 > docs/a.txt")),
    ]) + "integration: {incremental: []}\n";
    s.run_plan(&text, &[]).exits(0);
    let told = |id: &str| std::fs::read_to_string(s.outside(&format!("record.{id}"))).unwrap();
    assert_eq!(
        told("source"),
        "source\n<src/it's a file.py>\n<src/price.py>\n<-->\n<checks/price_check.sh>\n"
    );
    assert_eq!(told("words"), "words\n<docs/a.txt>\n<-->\n<checks>\n<--all>\n");
    s.assert_nothing_is_left();
}
#[test]
fn a_python_project_below_src_with_libraries_without_stubs_is_no_contract_mismatch() {
    let s = Sandbox::new();
    let Some(path) = tools(&s, &["python3", "pytest", "mypy"]) else { return };
    let store = "# Contract: Store\n# Version: v1\nfrom typing import Protocol\n\n\nclass Store(Protocol):\n    def put_item(self, key: str, value: int) -> None: ...\n";
    commit(
        &s,
        &[
            (".gitignore", "__pycache__/\n.pytest_cache/\n.mypy_cache/\n"),
            ("pyproject.toml", "[tool.pytest.ini_options]\npythonpath = [\"src\"]\n"),
            ("src/shop/__init__.py", ""),
            ("src/shop/contracts.py", store),
        ],
    );
    let memory = "from shop.contracts import Store\n\n\nclass MemoryStore(Store):\n    def put_item(self, key: str, value: int) -> None:\n        import requests\n        import nobody_has_stubs_for_this\n";
    let text = plan(&[once_on(
        "Store",
        writes(
            "memory",
            &[("src/shop/memory.py", memory)],
            "python3 -m py_compile src/shop/memory.py",
        ),
    )]) + &contract("Store", "src/shop/contracts.py", "put_item")
        + "integration: {incremental: [], final: [{command: test -s src/shop/memory.py}]}\n";
    run_plan(&s, &path, &text, &[]).exits(0);
}

#[test]
fn what_the_type_checker_said_before_is_no_tasks_contract_mismatch() {
    let s = Sandbox::new();
    let Some(path) = tools(&s, &["node", "tsc"]) else { return };
    commit(
        &s,
        &[
            (
                "tsconfig.json",
                "{\"compilerOptions\": {\"strict\": true, \"target\": \"es2022\", \"lib\": [\"es2022\"], \"module\": \"esnext\", \"moduleResolution\": \"bundler\", \"types\": []}, \"include\": [\"src\", \"contracts\"]}\n",
            ),
            (
                "contracts/clock.ts",
                "// Contract: Clock\n// Version: v1\nexport interface Clock {\n  nowMillis(): number;\n}\n",
            ),
            // Only ever transpiled: nobody asked the type checker.
            ("src/old.ts", "const n: number = \"text\";\nexport default n;\n"),
        ],
    );
    let steady = "import type { Clock } from \"../contracts/clock\";\n\nexport class SteadyClock implements Clock {\n  nowMillis() {\n    return 1;\n  }\n}\n";
    let text = plan(&[once_on(
        "Clock",
        writes("steady", &[("src/steady.ts", steady)], "test -s src/steady.ts"),
    )]) + &contract("Clock", "contracts/clock.ts", "nowMillis")
        + "integration: {incremental: [], final: [{command: test -s src/steady.ts}]}\n";
    run_plan(&s, &path, &text, &[]).exits(0);
}

#[test]
fn the_detected_suite_finds_the_packages_that_the_projects_own_command_finds() {
    let s = Sandbox::new();
    let Some(path) = tools(&s, &["python3", "pytest"]) else { return };
    // Flat, without a setting of pytest's: only `python -m pytest` sees `app`.
    commit(
        &s,
        &[
            (".gitignore", "__pycache__/\n.pytest_cache/\n.mypy_cache/\n"),
            ("app/__init__.py", ""),
            ("app/price.py", "def price(n):\n    return 100 * n\n"),
        ],
    );
    let test = "from app.price import price\n\n\ndef test_price():\n    assert price(2) == 200\n";
    let text = plan(&[writes(
        "tests",
        &[("tests/test_price.py", test)],
        "python3 -m pytest -q tests/test_price.py",
    )]);
    run_plan(&s, &path, &text, &[]).exits(0);
}

#[test]
fn a_pytest_run_that_selects_nothing_is_vacuous_although_it_ends_with_5() {
    let s = Sandbox::new();
    let Some(path) = tools(&s, &["python3", "pytest"]) else { return };
    commit(
        &s,
        &[
            (".gitignore", "__pycache__/\n.pytest_cache/\n"),
            ("tests/test_one.py", "def test_one():\n    pass\n"),
        ],
    );
    let text = plan(&[with(
        writes("idle", &[("idle.py", "X = 1\n")], "pytest -q -k nothing"),
        &["max_attempts: 1"],
    )]);
    run_plan(&s, &path, &text, &[]).exits(5);
    assert_eq!(s.states()["idle"].1, "vacuous");
}
