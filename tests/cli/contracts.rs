//! `slimductor contract` and `slimductor env`, and what `plan` and `run` make of contracts.

use super::sandbox::{Sandbox, plan, task};

fn with_contract(version: &str) -> String {
    let tasks = plan(&[
        task("service", &[], "service.py", "echo x > service.py")
            .replace("    run:", "    contracts: [Auth]\n    run:"),
        task("routes", &[], "routes.py", "echo x > routes.py")
            .replace("    run:", "    contracts: [Auth]\n    run:"),
    ]);
    format!(
        "{tasks}contracts:\n  - name: Auth\n    version: {version} # pinned\n    file_path: contracts/auth.py\n    methods: [login, logout]\n"
    )
}

fn version_in(text: &str) -> String {
    let line = text.lines().find(|l| l.starts_with("Version: ")).unwrap();
    line.split_whitespace().nth(1).unwrap().to_owned()
}

#[test]
fn a_stub_is_written_in_the_language_of_its_file_and_passes_the_check() {
    let s = Sandbox::new();
    for extension in ["py", "ts", "rs", "go", "java"] {
        let file = format!("contracts/auth.{extension}");
        let shown = s.run(&["contract", "new", "Auth", "login", "logout", "-o", &file]).exits(0);
        assert!(shown.out.contains(&format!("file_path: {file}")), "{}", shown.out);
        let text = s.read(&file);
        assert!(text.to_lowercase().contains("login") && text.contains("Contract: Auth"), "{text}");
    }
    let head = s.git(&["rev-parse", "--short=7", "HEAD"]);
    assert_eq!(version_in(&s.read("contracts/auth.py")), head);
    s.write("tasks.yaml", &with_contract(&head));
    let shown = s.run(&["contract", "check"]).exits(4);
    assert!(shown.out.contains("uncommitted"), "{}", shown.out);
    s.git(&["add", "contracts"]);
    s.git(&["commit", "-qm", "contracts"]);
    let shown = s.run(&["contract", "check"]).exits(0);
    assert!(shown.out.contains("ok"), "{}", shown.out);
    s.run(&["contract", "new", "Auth", "-o", "contracts/auth.py"]).exits(2);
    s.run(&["contract", "new", "Auth", "-o", "contracts/auth.cobol"]).exits(2);
    s.run(&["contract", "new", "1Auth"]).exits(2);
    assert!(
        s.run(&["contract", "new", "Auth", "login"]).exits(0).out.contains("class Auth(Protocol):")
    );
}

#[test]
fn the_check_names_what_the_file_lacks() {
    let s = Sandbox::new();
    s.write(
        "contracts/auth.py",
        "# Contract: Auth\n# Version: other\nclass Auth:\n    def login(self): ...\n",
    );
    s.write("tasks.yaml", &with_contract("abc1234"));
    let json = s.run(&["contract", "check", "--json"]).exits(4).json();
    assert_eq!(json[0]["status"], "version_mismatch");
    assert_eq!(json[0]["found"], "other");
    assert_eq!(json[0]["missing_methods"], serde_json::json!(["logout"]));
    let shown = s.run(&["plan", "--dry-run"]).exits(3);
    assert!(shown.err.contains("::: contracts/auth.py:2:12"), "{}", shown.err);
}

#[test]
fn a_contract_that_is_not_committed_is_told_by_plan_and_refused_by_run() {
    let s = Sandbox::new();
    s.run(&["contract", "new", "Auth", "login", "logout", "-o", "contracts/auth.py"]).exits(0);
    let version = version_in(&s.read("contracts/auth.py"));
    s.write("tasks.yaml", &with_contract(&version));
    let json = s.run(&["plan", "--dry-run", "--json"]).exits(0).json();
    assert_eq!(json["contracts"][0]["status"], "uncommitted");
    let shown = s.run(&["run", "--backend", "process"]).exits(3);
    assert!(shown.err.contains("error[contract_uncommitted]"), "{}", shown.err);
    s.git(&["add", "contracts"]);
    s.git(&["commit", "-qm", "contracts"]);
    s.write("slimductor.yaml", "contracts: {typecheck: off}\n");
    s.run(&["run", "--backend", "process"]).exits(0);
}

#[test]
fn a_content_that_changed_under_its_version_is_refused_until_it_is_pinned_again() {
    let s = Sandbox::new();
    s.run(&["contract", "new", "Auth", "login", "logout", "-o", "contracts/auth.py"]).exits(0);
    let version = version_in(&s.read("contracts/auth.py"));
    s.write("tasks.yaml", &with_contract(&version));
    s.run(&["plan"]).exits(0);
    assert!(s.read(".orchestrator/contracts.lock").contains(&version));
    s.write("contracts/auth.py", &(s.read("contracts/auth.py") + "\n# login takes a token now\n"));
    let shown = s.run(&["plan", "--dry-run"]).exits(3);
    assert!(shown.err.contains("contract_version_mismatch"), "{}", shown.err);
    s.run(&["plan"]).exits(0);
    s.run(&["plan", "--dry-run"]).exits(0);
}

#[test]
fn a_renegotiation_makes_a_new_version_tells_the_consumers_and_ends_at_the_limit() {
    let s = Sandbox::new();
    s.run(&["contract", "new", "Auth", "login", "logout", "-o", "contracts/auth.py"]).exits(0);
    let first = version_in(&s.read("contracts/auth.py"));
    s.write("tasks.yaml", &with_contract(&format!("\"{first}\"")));
    s.run(&["plan"]).exits(0);
    let again = |reason: &str| s.run(&["contract", "renegotiate", "Auth", "--reason", reason]);
    s.write(
        "contracts/auth.py",
        &s.read("contracts/auth.py").replace("def logout", "def sign_out"),
    );
    let shown = again("logout is taken").exits(0);
    assert!(shown.out.contains("renegotiation 1 of 2); told: service, routes"), "{}", shown.out);
    let text = s.read("contracts/auth.py");
    let second = version_in(&text);
    assert!(
        text.contains(&format!(
            "Version: {second} (renegotiated from {first})\nRenegotiation: 1 of 2\n"
        )),
        "{text}"
    );
    assert!(s.read("tasks.yaml").contains(&format!("version: \"{second}\" # pinned")));
    let mail = std::fs::read_dir(s.root().join(".orchestrator/mailbox/routes")).unwrap();
    let mail: Vec<String> =
        mail.flatten().map(|e| std::fs::read_to_string(e.path()).unwrap()).collect();
    assert!(
        mail.len() == 1 && mail[0].contains("api_change") && mail[0].contains("logout is taken"),
        "{mail:?}"
    );
    s.run(&["plan", "--dry-run"]).exits(0);
    again("and again").exits(0);
    let refused = again("and again").exits(5);
    assert!(
        refused.err.contains("logout is taken") && refused.err.contains("2 is the most"),
        "{}",
        refused.err
    );
    s.run(&["contract", "renegotiate", "Aut", "--reason", "x"]).exits(2);
    s.write("slimductor.yaml", "contracts: {max_renegotiations: 3}\n");
    again("a third").exits(0);
}

#[test]
fn the_environment_hash_is_over_the_lockfiles_of_all_projects() {
    let s = Sandbox::new();
    assert_eq!(s.run(&["env", "hash"]).exits(0).out.trim(), "no-lock");
    s.run(&["env", "verify", "no-lock"]).exits(0);
    s.write("Cargo.lock", "one");
    s.write("web/app/package-lock.json", "two");
    s.write("node_modules/x/package-lock.json", "not ours");
    s.write(".gitignore", "scratch/\n");
    s.write("scratch/yarn.lock", "ignored");
    let json = s.run(&["env", "hash", "--json"]).exits(0).json();
    assert_eq!(json["lockfiles"], serde_json::json!(["Cargo.lock", "web/app/package-lock.json"]));
    let hash = json["hash"].as_str().unwrap().to_owned();
    assert_eq!(hash, slimductor::types::sha256(b"Cargo.lockoneweb/app/package-lock.jsontwo"));
    s.run(&["env", "verify", &hash]).exits(0);
    s.run(&["env", "verify", &hash[..12]]).exits(0);
    s.write("web/app/package-lock.json", "three");
    s.run(&["env", "verify", &hash]).exits(4);
}

#[test]
fn settings_come_from_the_file_of_the_ancestor_too_and_wrong_ones_are_all_shown() {
    let s = Sandbox::new();
    let tasks = plan(&[task("a", &[], "internal/proprietary/x.py", "echo")]);
    s.write("tasks.yaml", &tasks);
    s.write(
        ".claude-agents.yaml",
        "risk:\n  sensitive_patterns:\n    - pattern: \"internal/proprietary/*\"\n      weight: 50\n  auto_approve_threshold: 30\n",
    );
    let json = s.run(&["plan", "--dry-run", "--json"]).exits(0).json();
    assert_eq!(
        (json["risk"]["score"].as_u64(), &json["risk"]["level"]),
        (Some(50), &"review".into())
    );
    s.write("slimductor.yaml", "orchestration: {max_parallel_worker: 3}\nbudget: {max_duration: soon}\nrisk: {always_require_human: [/x]}\n");
    let shown = s.run(&["plan", "--dry-run"]).exits(3);
    for part in [
        "did you mean `max_parallel_workers`?",
        "slimductor.yaml:2:24",
        "`soon` is not a length of time",
    ] {
        assert!(shown.err.contains(part), "{part} is missing: {}", shown.err);
    }
    s.write("slimductor.yaml", "risk: {always_require_human: [/x]}\n");
    let shown = s.run(&["plan", "--dry-run"]).exits(3);
    assert!(shown.err.contains("`/x` is absolute"), "{}", shown.err);
    // A setting that nothing acts on yet is not swallowed.
    s.write("slimductor.yaml", "budget: {max_cost_usd: 5}\n");
    let shown = s.run(&["plan", "--dry-run"]).exits(0);
    assert!(shown.err.contains("does not act on these settings yet: budget"), "{}", shown.err);
    let ran = s
        .slimductor()
        .env("SLIMDUCTOR__RISK__AUTO_APROVE_THRESHOLD", "5")
        .args(["plan", "--dry-run"])
        .output()
        .unwrap();
    let ran = super::sandbox::ran(ran).exits(3);
    assert!(ran.err.contains("SLIMDUCTOR__RISK__AUTO_APROVE_THRESHOLD"), "{}", ran.err);
    assert!(ran.err.contains("did you mean `auto_approve_threshold`?"), "{}", ran.err);
}

#[test]
fn a_path_that_needs_a_person_asks_for_one_whatever_the_score() {
    let s = Sandbox::new();
    s.write(
        "tasks.yaml",
        &plan(&[task("a", &[], "infra/x.tf", "mkdir -p infra && echo x > infra/x.tf")]),
    );
    s.write("slimductor.yaml", "approval: {always_require_human: ['infra/**']}\n");
    s.git(&["add", "-A"]);
    s.git(&["commit", "-qm", "plan"]);
    let shown = s.run(&["run", "--backend", "process", "--yes"]).exits(5);
    assert!(shown.err.contains("--approve"), "{}", shown.err);
    s.run(&["run", "--backend", "process", "--approve"]).exits(0);
}

#[test]
fn a_renegotiation_that_cannot_be_written_safely_changes_nothing() {
    let s = Sandbox::new();
    s.write("c/a.py", "# Contract: Auth\n# Version: abc1234\n");
    s.write("c/b.py", "# Contract: Other\n# Version: abc1234\n");
    let tasks = plan(&[task("a", &[], "a.txt", "echo")]);
    let cases = [
        "contracts:\n  - {name: Auth, file_path: c/a.py, version: &v abc1234}\n  - {name: Other, file_path: c/b.py, version: *v}\n",
        "contracts:\n  - name: Auth\n    version: |-\n      abc1234\n    file_path: c/a.py\n",
    ];
    for text in cases {
        let text = format!("{tasks}{text}");
        s.write("tasks.yaml", &text);
        let refused = s.run(&["contract", "renegotiate", "Auth", "--reason", "x"]).exits(3);
        assert!(refused.err.contains("cannot be edited in place"), "{}", refused.err);
        assert_eq!(s.read("tasks.yaml"), text);
        assert_eq!(s.read("c/a.py"), "# Contract: Auth\n# Version: abc1234\n");
    }
}

#[test]
fn nothing_outside_the_repository_is_read_as_a_contract_or_written() {
    let s = Sandbox::new();
    let outside = s.outside("secret.py");
    std::fs::write(&outside, "# Contract: Auth\n# Version: abc1234\n").unwrap();
    std::os::unix::fs::symlink(&outside, s.root().join("a.py")).unwrap();
    let tasks = plan(&[task("a", &[], "a.txt", "echo")]);
    s.write(
        "tasks.yaml",
        &format!("{tasks}contracts: [{{name: Auth, version: abc1234, file_path: a.py}}]\n"),
    );
    let shown = s.run(&["plan", "--dry-run"]).exits(3);
    assert!(shown.err.contains("outside of the repository"), "{}", shown.err);
    s.run(&["contract", "renegotiate", "Auth", "--reason", "x"]).exits(3);
    assert_eq!(
        std::fs::read_to_string(&outside).unwrap(),
        "# Contract: Auth\n# Version: abc1234\n"
    );
    s.run(&["contract", "new", "Auth", "-o", "../auth.py"]).exits(2);
    // A pipe would be waited for, a device would fill the memory.
    std::fs::remove_file(s.root().join("a.py")).unwrap();
    let made = s.command("mkfifo").arg(s.root().join("a.py")).status().unwrap();
    assert!(made.success());
    let shown = s.run(&["plan", "--dry-run"]).exits(3);
    assert!(shown.err.contains("not a regular file"), "{}", shown.err);
}

#[test]
fn a_contract_with_other_line_ends_on_disk_is_committed_all_the_same() {
    let s = Sandbox::new();
    s.write(".gitattributes", "*.py text eol=crlf\n");
    s.write("c/a.py", "# Contract: Auth\r\n# Version: abc1234\r\n");
    let tasks = plan(&[task("a", &[], "a.txt", "echo x > a.txt")]);
    s.write(
        "tasks.yaml",
        &format!("{tasks}contracts: [{{name: Auth, version: abc1234, file_path: c/a.py, consumers: [a]}}]\n"),
    );
    s.git(&["add", "-A"]);
    s.git(&["commit", "-qm", "contract"]);
    let json = s.run(&["plan", "--dry-run", "--json"]).exits(0).json();
    assert_eq!(json["contracts"][0]["status"], "ok");
}

#[test]
fn init_does_not_switch_off_a_configuration_that_is_there() {
    let s = Sandbox::new();
    s.write(".slimductor.yaml", "approval: {auto_approve_threshold: 3}\n");
    s.run(&["init"]).exits(0);
    assert!(!s.root().join("slimductor.yaml").exists());
    let first = s.read("tasks.yaml");
    assert!(
        first.starts_with(
            "# yaml-language-server: $schema=.orchestrator/schemas/tasks.schema.json\n"
        )
    );
    assert!(s.read(".orchestrator/schemas/tasks.schema.json").contains("files_write"));
}
