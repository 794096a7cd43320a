//! `slimductor plan`.

use super::sandbox::{Sandbox, plan, task};

const VALID: &str = "tasks:\n  - {id: a, description: d, run: make, files_write: [a], verification: [{command: make test, type: test}]}\n  - {id: b, description: d, run: make, files_write: [b], depends_on: [a], verification: [{command: make test, type: test}]}\n";

#[test]
fn a_valid_plan_is_told_in_waves_and_as_json() {
    let s = Sandbox::new();
    s.write("tasks.yaml", VALID);
    let shown = s.run(&["plan", "--dry-run"]).exits(0);
    assert!(shown.out.contains("2 tasks in 2 waves"), "{}", shown.out);
    let json = s.run(&["plan", "--dry-run", "--json"]).exits(0).json();
    assert_eq!(json["valid"], true);
    assert_eq!(json["tasks"], 2);
    assert_eq!(json["waves"], serde_json::json!([["a"], ["b"]]));
    assert_eq!(json["critical_path"], serde_json::json!(["a", "b"]));
    assert_eq!(json["max_parallelism"], 1);
    assert_eq!(json["risk"]["level"], "auto");
    assert_eq!(json["environment"]["hash"], "no-lock");
}

#[test]
fn an_unknown_key_is_refused_with_its_place_and_the_word_that_was_meant() {
    let s = Sandbox::new();
    s.write("tasks.yaml", "tasks:\n  - id: a\n    description: d\n    file_write: [a]\n");
    let shown = s.run(&["plan", "--dry-run"]).exits(3);
    assert!(shown.err.contains("unknown_key"), "{}", shown.err);
    assert!(shown.err.contains("tasks.yaml:4:5"), "{}", shown.err);
    assert!(shown.err.contains("did you mean `files_write`?"), "{}", shown.err);
}

#[test]
fn every_problem_is_told_in_one_pass() {
    let s = Sandbox::new();
    s.write(
        "tasks.yaml",
        "tasks:
  - {id: A, description: d, run: x, files_write: [/etc/passwd], verification: [{command: 'true'}]}
  - {id: b, description: d, run: x, files_write: [../x, .git/config, Cargo.lock], depends_on: [b, nope], verification: []}
  - {id: c, description: d, run: x, files_write: [x], depends_on: [e], verification: [{command: t}]}
  - {id: e, description: d, run: x, files_write: [x], depends_on: [c], verification: [{command: t}]}
  - {id: f, description: d, run: x, files_write: ['src/**'], verification: [{command: t}]}
  - {id: g, description: d, run: x, files_write: [src/a.py], files_read: [x], contracts: [K], verification: [{command: t}]}
",
    );
    let json = s.run(&["plan", "--dry-run", "--json"]).exits(3).json();
    let codes: Vec<&str> =
        json["problems"].as_array().unwrap().iter().map(|p| p["code"].as_str().unwrap()).collect();
    for code in [
        "invalid_id",
        "path_absolute",
        "vacuous_verification",
        "path_escapes_repo",
        "path_in_git_dir",
        "write_forbidden",
        "self_dependency",
        "unknown_dependency",
        "no_verification",
        "cycle",
        "file_write_write",
        "file_read_write",
        "contract_unknown",
    ] {
        assert!(codes.contains(&code), "{code} is missing from {codes:?}");
    }
    for problem in json["problems"].as_array().unwrap() {
        assert!(problem["line"].as_u64().is_some(), "{problem}");
    }
}

#[test]
fn a_conflict_names_both_tasks_and_the_edge_that_settles_it() {
    let s = Sandbox::new();
    let tasks = [
        task("a", &[], "x", "echo"),
        task("b", &["a"], "x", "echo"),
        task("c", &[], "./x", "echo"),
    ];
    s.write("tasks.yaml", &plan(&tasks));
    let json = s.run(&["plan", "--dry-run", "--json"]).exits(3).json();
    assert_eq!(json["conflict_count"], 2);
    let pairs: Vec<String> =
        json["conflicts"].as_array().unwrap().iter().map(|c| c["tasks"].to_string()).collect();
    assert_eq!(pairs, [r#"["a","c"]"#, r#"["b","c"]"#]);
    assert_eq!(json["conflicts"][0]["kind"], "file_write_write");
    assert_eq!(json["conflicts"][0]["target"], "x");
    let shown = s.run(&["plan", "--dry-run"]).exits(3);
    assert!(
        shown.err.contains("`a` writes it") && shown.err.contains("`c` writes it"),
        "{}",
        shown.err
    );
}

#[test]
fn hostile_documents_are_one_clear_error_each() {
    let s = Sandbox::new();
    let bomb = "a: &a [x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b]\ntasks: [*c]\n";
    let deep = format!("tasks: {}{}", "[".repeat(20_000), "]".repeat(20_000));
    let cases = [
        ("tab", "tasks:\n\t- id: a\n"),
        ("duplicate", "tasks: []\ntasks: []\n"),
        ("bomb", bomb),
        ("deep", deep.as_str()),
        ("nul", "tasks: \"a\u{0}b\"\n"),
        ("empty", ""),
        ("list", "- a\n- b\n"),
        ("text", "hello"),
        ("no tasks", "tasks: []\n"),
        ("number", "tasks: 5\n"),
    ];
    for (name, text) in cases {
        s.write("tasks.yaml", text);
        let shown = s.run(&["plan", "--dry-run"]).exits(3);
        assert!(shown.err.contains("error["), "{name}: {}", shown.err);
        assert!(shown.err.contains("tasks.yaml:"), "{name} has no place: {}", shown.err);
    }
    std::fs::write(s.root().join("tasks.yaml"), b"tasks:\n  - id: \xe9\n").unwrap();
    let shown = s.run(&["plan", "--dry-run"]).exits(3);
    assert!(
        shown.err.contains("not UTF-8") && shown.err.contains("tasks.yaml:2:9"),
        "{}",
        shown.err
    );
}

#[test]
fn a_missing_plan_is_named() {
    let s = Sandbox::new();
    let shown = s.run(&["plan"]).exits(3);
    assert!(shown.err.contains("tasks.yaml") && shown.err.contains("hint"), "{}", shown.err);
}

#[test]
fn a_plan_is_read_as_json_too() {
    let s = Sandbox::new();
    s.write("p.json", r#"{"tasks": [{"id": "a", "description": "d", "run": "x", "files_write": ["a"], "verification": [{"command": "t"}]}]}"#);
    s.run(&["plan", "p.json", "--dry-run"]).exits(0);
}

#[test]
fn a_dry_run_leaves_no_trace_and_works_without_a_repository() {
    let s = Sandbox::new();
    s.write("tasks.yaml", VALID);
    let before = s.listing();
    s.run(&["plan", "--dry-run"]).exits(0);
    s.run(&["plan", "--dry-run", "--json"]).exits(0);
    assert_eq!(s.listing(), before);
    let bare = Sandbox::bare(false);
    bare.write("tasks.yaml", VALID);
    let before = bare.listing();
    bare.run(&["plan", "--dry-run"]).exits(0);
    assert_eq!(bare.listing(), before);
}

#[test]
fn the_risk_limit_of_ci_holds() {
    let s = Sandbox::new();
    s.write("tasks.yaml", &plan(&[task("a", &[], "src/auth.py", "echo")]));
    s.run(&["plan", "--dry-run", "--max-risk", "20"]).exits(0);
    s.run(&["plan", "--dry-run", "--max-risk", "19"]).exits(3);
}

#[test]
fn a_configuration_with_an_invalid_expression_is_refused() {
    let s = Sandbox::new();
    s.write("tasks.yaml", VALID);
    s.write("slimductor.yaml", "risk: {sensitive_patterns: ['(']}\n");
    let shown = s.run(&["plan", "--dry-run"]).exits(3);
    assert!(shown.err.contains("sensitive_patterns"), "{}", shown.err);
    s.write("slimductor.yaml", "risks: {}\n");
    let shown = s.run(&["plan", "--dry-run"]).exits(3);
    assert!(shown.err.contains("did you mean `risk`?"), "{}", shown.err);
}

#[test]
fn what_init_writes_is_valid_and_init_overwrites_nothing() {
    let s = Sandbox::new();
    s.run(&["init"]).exits(0);
    s.run(&["plan", "--dry-run"]).exits(0);
    s.write("tasks.yaml", "mine");
    s.run(&["init"]).exits(0);
    assert_eq!(s.read("tasks.yaml"), "mine");
}

#[test]
fn the_schemas_in_the_repository_are_those_of_the_types() {
    let s = Sandbox::new();
    s.run(&["schema", "--write", "out"]).exits(0);
    for entry in std::fs::read_dir(s.root().join("out")).unwrap().flatten() {
        let name = entry.file_name().into_string().unwrap();
        let kept = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("schemas").join(&name);
        let kept = std::fs::read_to_string(kept).unwrap_or_default();
        assert!(
            kept == s.read(&format!("out/{name}")),
            "{name}: run `slimductor schema --write schemas`"
        );
    }
}

#[test]
fn a_link_out_of_the_repository_is_found_however_it_is_written() {
    let s = Sandbox::new();
    std::os::unix::fs::symlink("/tmp", s.root().join("out")).unwrap();
    for path in ["out/x", "./out/x", "src/../out/x", "out/**", "out/*.py"] {
        s.write(
            "tasks.yaml",
            &plan(&[task("a", &[], &format!("'{path}'"), "echo")])
                .replace("test -s '", "test -s 'x"),
        );
        let shown = s.run(&["plan", "--dry-run"]).exits(3);
        assert!(shown.err.contains("path_escapes_repo"), "{path}: {}", shown.err);
    }
}

#[test]
fn defaults_count_as_if_each_task_had_said_them() {
    let s = Sandbox::new();
    let tasks = plan(&[task("a", &[], "a", "echo"), task("b", &[], "b", "echo")]);
    s.write("tasks.yaml", &format!("defaults: {{contracts: [Nope]}}\n{tasks}"));
    assert!(s.run(&["plan", "--dry-run"]).exits(3).err.contains("contract_unknown"));
    s.write("tasks.yaml", &format!("defaults: {{patch_intents: [{{file: m.py, action: add_router, intent: {{prefix: /x}}}}]}}\n{tasks}"));
    assert!(s.run(&["plan", "--dry-run"]).exits(3).err.contains("resource_write_write"));
}

#[test]
fn in_a_subdirectory_the_plan_of_the_root_is_found() {
    let s = Sandbox::new();
    s.write("tasks.yaml", VALID);
    let ran = super::sandbox::ran(
        s.slimductor()
            .current_dir(s.root().join("src"))
            .args(["plan", "--dry-run"])
            .output()
            .unwrap(),
    );
    ran.exits(0);
}
