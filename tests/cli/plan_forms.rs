//! `slimductor plan` in all its forms: fixes, explanations, diagrams, SARIF, GitHub's commands, execution-plan.md.

use super::sandbox::{Sandbox, plan, task};

const CLASH: &str = "# the plan
tasks:
  - id: a   # first
    description: d
    run: make
    files_write: [src/x.py]
    verification: [{command: make test, type: test}]

  - {id: b, description: d, run: make, files_write: ['src/*.py'], verification: [{command: make test, type: test}]}
  - id: end
    description: d
    run: make
    depends_on:
      - b # because
    files_write: [\"docs/\"]
    verification: [{command: make test, type: test}]
";

#[test]
fn both_places_of_a_conflict_are_shown_with_the_edge_that_settles_it() {
    let s = Sandbox::new();
    s.write("tasks.yaml", CLASH);
    let shown = s.run(&["plan", "--dry-run"]).exits(3);
    for part in [
        "error[file_write_write]: two unordered tasks touch `src/x.py`",
        "--> tasks.yaml:9:54",
        "files_write: [src/x.py]",
        "`a` writes it",
        "`b` writes it",
        "fix: add `b` to depends_on of `a`",
    ] {
        assert!(shown.err.contains(part), "{part} is missing:\n{}", shown.err);
    }
}

#[test]
fn a_fix_adds_what_is_missing_and_nothing_else_and_does_so_once() {
    let s = Sandbox::new();
    s.write("tasks.yaml", CLASH);
    let before = s.listing();
    let told = s.run(&["plan", "--fix", "--dry-run"]).exits(3);
    assert!(told.err.contains("would add `b` to depends_on of `a`"), "{}", told.err);
    assert_eq!(s.listing(), before);
    let fixed = s.run(&["plan", "--fix"]).exits(0);
    assert!(fixed.err.contains("added `b` to depends_on of `a`"), "{}", fixed.err);
    let text = s.read("tasks.yaml");
    assert_eq!(text, CLASH.replace("id: a   # first\n", "id: a   # first\n    depends_on: [b]\n"));
    s.run(&["plan", "--fix"]).exits(0);
    assert_eq!(s.read("tasks.yaml"), text);
}

#[test]
fn a_fix_keeps_the_rights_of_the_file_and_the_link_to_it() {
    use std::os::unix::fs::PermissionsExt;
    let s = Sandbox::new();
    s.write("plans/p.yaml", CLASH);
    let real = s.root().join("plans/p.yaml");
    std::fs::set_permissions(&real, std::fs::Permissions::from_mode(0o640)).unwrap();
    std::os::unix::fs::symlink("plans/p.yaml", s.root().join("tasks.yaml")).unwrap();
    s.run(&["plan", "--fix"]).exits(0);
    assert!(s.root().join("tasks.yaml").symlink_metadata().unwrap().is_symlink());
    assert_eq!(real.metadata().unwrap().permissions().mode() & 0o777, 0o640);
    assert!(s.read("plans/p.yaml").contains("depends_on: [b]"));
}

#[test]
fn a_fix_that_cannot_be_made_says_why_and_changes_nothing() {
    let s = Sandbox::new();
    let text = CLASH.replace("- b # because", "- b\n      - nobody");
    s.write("tasks.yaml", &text);
    let shown = s.run(&["plan", "--fix"]).exits(3);
    assert!(shown.err.contains("--fix changed nothing"), "{}", shown.err);
    assert_eq!(s.read("tasks.yaml"), text);
}

#[test]
fn an_explanation_is_printed_and_an_unknown_code_is_usage() {
    let s = Sandbox::new();
    let shown = s.run(&["plan", "--explain", "file_write_write"]).exits(0);
    assert!(shown.out.starts_with("# file_write_write: "), "{}", shown.out);
    let shown = s.run(&["plan", "--explain", "file_write_writ"]).exits(2);
    assert!(shown.err.contains("did you mean `file_write_write`?"), "{}", shown.err);
    let json = s.run(&["plan", "--explain", "cycle", "--json"]).exits(0).json();
    assert_eq!(json["code"], "cycle");
}

#[test]
fn a_graph_is_drawn_for_graphviz_and_for_mermaid() {
    let s = Sandbox::new();
    s.write("tasks.yaml", CLASH);
    let dot = s.run(&["plan", "--dry-run", "--format", "dot"]).exits(3).out;
    assert!(dot.starts_with("digraph plan {") && dot.trim_end().ends_with('}'), "{dot}");
    assert!(dot.contains("\"b\" -> \"end\""), "{dot}");
    assert!(dot.contains("style=dashed, color=red, label=\"src/x.py\""), "{dot}");
    // `end` would end a Mermaid chart if it were a node's own name.
    let chart = s.run(&["plan", "--dry-run", "--format", "mermaid"]).exits(3).out;
    assert!(chart.starts_with("flowchart LR\n") && chart.contains("t2[\"end\"]"), "{chart}");
    assert!(chart.contains("t1 ==> t2") && chart.contains("t0 -. \"src/x.py\" .- t1"), "{chart}");
}

#[test]
fn sarif_names_rule_place_and_related_place() {
    let s = Sandbox::new();
    s.write("sub/plan one.yaml", CLASH);
    let ran = s.run(&["plan", "sub/plan one.yaml", "--dry-run", "--format", "sarif"]).exits(3);
    let log = ran.json();
    assert_eq!(log["version"], "2.1.0");
    let run = &log["runs"][0];
    let result = run["results"]
        .as_array()
        .unwrap()
        .iter()
        .find(|r| r["ruleId"] == "file_write_write")
        .unwrap();
    let rule = &run["tool"]["driver"]["rules"][result["ruleIndex"].as_u64().unwrap() as usize];
    assert_eq!(rule["id"], "file_write_write");
    assert_eq!(result["level"], "error");
    let place = &result["locations"][0]["physicalLocation"];
    assert_eq!(place["artifactLocation"]["uri"], "sub/plan%20one.yaml");
    assert_eq!(place["region"]["startLine"], 9);
    let related = &result["relatedLocations"][0]["physicalLocation"]["region"];
    assert_eq!(related["startLine"], 6);
}

#[test]
fn githubs_runners_get_a_command_for_every_problem() {
    let s = Sandbox::new();
    s.write("tasks.yaml", CLASH);
    let out = s.run(&["plan", "--dry-run", "--format", "github"]).exits(3).out;
    let first = out.lines().find(|l| l.contains("file_write_write")).unwrap();
    assert!(
        first.starts_with(
            "::error file=tasks.yaml,line=9,col=54,title=slimductor file_write_write::"
        ),
        "{out}"
    );
}

#[test]
fn two_forms_at_once_are_usage() {
    let s = Sandbox::new();
    s.write("tasks.yaml", CLASH);
    s.run(&["plan", "--json", "--format", "dot"]).exits(2);
    s.run(&["plan", "--json", "--format", "json", "--dry-run"]).exits(3);
}

#[test]
fn the_execution_plan_tells_owners_speed_up_contracts_gate_and_risk() {
    let s = Sandbox::new();
    let text = plan(&[
        task("a", &[], "x", "echo").replace("    run:", "    estimate: 10m\n    run:"),
        task("b", &[], "src/auth.py", "echo").replace("    run:", "    estimate: 10m\n    run:"),
        task("c", &["a", "b"], "z", "echo").replace("    run:", "    estimate: 20m\n    run:"),
    ]);
    s.write(
        "tasks.yaml",
        &format!("{text}integration:\n  incremental: [{{command: make test}}]\n"),
    );
    s.run(&["plan"]).exits(0);
    let shown = s.read("execution-plan.md");
    for part in [
        "> a test",
        "1. a, b\n2. c",
        "| one after the other | 40m |",
        "| 5 at once | 30m (1.3 times as fast) |",
        "| at best, the critical path | 30m |",
        "| b | `src/auth.py` |  |",
        "| after each merge | `make test` | custom | required |",
        "20 points, auto: nothing to ask.",
    ] {
        assert!(shown.contains(part), "{part} is missing:\n{shown}");
    }
    // Only what a person wants in the repository shows up in its status.
    let status = s.git(&["status", "--porcelain"]);
    assert_eq!(status, "?? execution-plan.md\n?? tasks.yaml");
}

#[test]
fn every_slip_in_the_shape_is_told_at_once_and_so_is_what_else_is_wrong() {
    let s = Sandbox::new();
    s.write(
        "tasks.yaml",
        "tasks:
  - id: a
    description: d
    run: make
    file_write: [x]
    timeout: soon
    verification: [{command: make test, type: tst}]
  - id: 12
    run: make
    files_write: y
    max_attempts: three
    verification: [{command: make test}]
  - {id: c, description: d, run: make, files_write: [x], files_write: [q], verification: [{command: make test}]}
  - {id: e, description: d, run: make, depends_on: [nobody], files_write: [x], verification: [{command: make test}]}
colour: red
",
    );
    let json = s.run(&["plan", "--dry-run", "--json"]).exits(3).json();
    let told: Vec<String> = json["problems"]
        .as_array()
        .unwrap()
        .iter()
        .map(|p| {
            format!(
                "{} {} {}",
                p["code"].as_str().unwrap(),
                p["path"].as_str().unwrap_or("-"),
                p["line"]
            )
        })
        .collect();
    let expected = [
        "unknown_key tasks[0].file_write 5",
        "wrong_type tasks[0].timeout 6",
        "wrong_type tasks[0].verification[0].type 7",
        "missing_field tasks[1].description 8",
        "wrong_type tasks[1].id 8",
        "wrong_type tasks[1].files_write 10",
        "wrong_type tasks[1].max_attempts 11",
        "yaml_syntax tasks[2].files_write 13",
        "unknown_dependency tasks[3].depends_on[0] 14",
        "unknown_key colour 15",
    ];
    for one in expected {
        assert!(told.contains(&one.to_owned()), "{one} is missing from {told:#?}");
    }
    // What was meant by `file_write` clashes with the last task, and that is told too.
    assert!(told.iter().any(|t| t.starts_with("file_write_write")), "{told:#?}");
    assert!(
        !told.iter().any(|t| t.starts_with("no_verification") || t.starts_with("invalid_id")),
        "{told:#?}"
    );
    let ids: Vec<&str> =
        json["problems"].as_array().unwrap().iter().filter_map(|p| p["task"].as_str()).collect();
    assert!(ids.contains(&"a") && ids.contains(&"e"), "{ids:?}");
}

#[test]
fn one_file_under_two_names_is_one_file() {
    let s = Sandbox::new();
    std::os::unix::fs::symlink("src", s.root().join("lib")).unwrap();
    s.git(&["add", "-A"]);
    s.git(&["commit", "-qm", "link"]);
    for (a, b) in [
        ("lib/x.py", "src/x.py"),
        ("'l*/x.py'", "src/x.py"),
        ("lib", "'src/*.py'"),
        ("lib/", "src/q"),
    ] {
        s.write(
            "tasks.yaml",
            &plan(&[task("a", &[], "a.txt", "echo"), task("b", &[], "b.txt", "echo")])
                .replace("files_write: [a.txt]", &format!("files_write: [{a}]"))
                .replace("files_write: [b.txt]", &format!("files_write: [{b}]")),
        );
        let shown = s.run(&["plan", "--dry-run"]).exits(3);
        assert!(shown.err.contains("file_write_write"), "{a} {b}: {}", shown.err);
    }
}

#[test]
fn letters_of_another_case_are_another_file_only_where_the_file_system_says_so() {
    let s = Sandbox::new();
    let text = plan(&[task("a", &[], "Docs/A.md", "echo"), task("b", &[], "docs/a.md", "echo")]);
    s.write("tasks.yaml", &text);
    s.run(&["plan", "--dry-run"]).exits(0);
    s.git(&["config", "core.ignorecase", "true"]);
    let shown = s.run(&["plan", "--dry-run"]).exits(3);
    assert!(shown.err.contains("file_write_write"), "{}", shown.err);
}

#[test]
fn an_intent_and_a_writer_of_the_same_file_conflict_and_two_intents_do_not() {
    let s = Sandbox::new();
    let intent = |id: &str, prefix: &str| {
        task(id, &[], &format!("{id}.txt"), "echo").replace(
            "    run:",
            &format!("    patch_intents: [{{file: main.py, action: add_router, intent: {{prefix: {prefix}}}}}]\n    run:"),
        )
    };
    s.write("tasks.yaml", &plan(&[intent("a", "/a"), intent("b", "/b")]));
    s.run(&["plan", "--dry-run"]).exits(0);
    s.write("tasks.yaml", &plan(&[intent("a", "/a"), intent("b", "/a")]));
    let shown = s.run(&["plan", "--dry-run"]).exits(3);
    assert!(shown.err.contains("resource_write_write"), "{}", shown.err);
    s.write("tasks.yaml", &plan(&[intent("a", "/a"), task("b", &[], "main.py", "echo")]));
    let shown = s.run(&["plan", "--dry-run"]).exits(3);
    assert!(shown.err.contains("file_write_write"), "{}", shown.err);
}

#[test]
fn hundreds_of_writers_of_one_file_are_put_in_one_row() {
    let s = Sandbox::new();
    let tasks: Vec<String> =
        (0..300).map(|n| format!("- {{id: t{n}, description: d, run: make, files_write: [x], verification: [{{command: make test}}]}}\n")).collect();
    s.write("tasks.yaml", &format!("tasks:\n{}", tasks.concat()));
    let fixed = s.run(&["plan", "--fix"]).exits(0);
    assert_eq!(fixed.err.matches("added `").count(), 299);
}

#[test]
fn a_fix_follows_the_longest_path_and_quotes_what_looks_like_a_number() {
    let s = Sandbox::new();
    s.write(
        "tasks.yaml",
        "tasks:
- {id: c, description: d, run: make, estimate: 48m, files_write: [x], verification: [{command: make test}]}
- {id: b, description: d, run: make, estimate: 49m, files_write: [x], verification: [{command: make test}]}
- {id: '007', description: d, run: make, estimate: 50m, files_write: [x], verification: [{command: make test}]}
- {id: late, description: d, run: make, estimate: 100m, depends_on: ['007'], files_write: [y], verification: [{command: make test}]}
",
    );
    s.run(&["plan", "--fix"]).exits(0);
    let json = s.run(&["plan", "--dry-run", "--json"]).exits(0).json();
    // The task with the long way behind it goes first; the others wait for it.
    assert_eq!(json["waves"][0], serde_json::json!(["007"]));
    assert!(s.read("tasks.yaml").contains("depends_on: [\"007\"]"), "{}", s.read("tasks.yaml"));
}

#[test]
fn a_fix_leaves_a_pipe_and_a_read_only_plan_alone() {
    use std::os::unix::fs::PermissionsExt;
    let s = Sandbox::new();
    s.write("tasks.yaml", CLASH);
    let path = s.root().join("tasks.yaml");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o444)).unwrap();
    let refused = s.run(&["plan", "--fix"]);
    assert_ne!(refused.code, 0);
    assert!(refused.err.contains("read-only"), "{}", refused.err);
    assert_eq!(s.read("tasks.yaml"), CLASH);
}

#[test]
fn what_slimductor_did_not_write_is_not_overwritten() {
    let s = Sandbox::new();
    s.write("tasks.yaml", &plan(&[task("a", &[], "a", "echo")]));
    s.write("execution-plan.md", "my own plan\n");
    let refused = s.run(&["plan"]).exits(7);
    assert!(refused.err.contains("did not write it"), "{}", refused.err);
    assert_eq!(s.read("execution-plan.md"), "my own plan\n");
}

#[test]
fn a_gate_that_can_only_pass_is_refused_and_so_is_a_way_into_gits_directory() {
    let s = Sandbox::new();
    let tasks = plan(&[task("a", &[], "a", "echo")]);
    s.write("tasks.yaml", &format!("{tasks}integration: {{final: [{{command: 'true'}}]}}\n"));
    let shown = s.run(&["plan", "--dry-run"]).exits(3);
    assert!(shown.err.contains("vacuous_verification"), "{}", shown.err);
    std::os::unix::fs::symlink("../.git", s.root().join("src/inside")).unwrap();
    s.write("tasks.yaml", &plan(&[task("a", &[], "src/inside/hooks/x", "echo")]));
    let shown = s.run(&["plan", "--dry-run"]).exits(3);
    assert!(shown.err.contains("path_in_git_dir"), "{}", shown.err);
}

#[test]
fn a_task_that_is_no_mapping_does_not_hide_what_else_is_wrong() {
    let s = Sandbox::new();
    s.write(
        "tasks.yaml",
        "tasks:\n- x\n- {id: A B, description: d, run: make, depends_on: [nope], files_write: [a]}\n",
    );
    let json = s.run(&["plan", "--dry-run", "--json"]).exits(3).json();
    let codes: Vec<&str> =
        json["problems"].as_array().unwrap().iter().map(|p| p["code"].as_str().unwrap()).collect();
    for code in ["wrong_type", "invalid_id", "unknown_dependency", "no_verification"] {
        assert!(codes.contains(&code), "{code} is missing from {codes:?}");
    }
    assert_eq!(codes.iter().filter(|c| **c == "no_verification").count(), 1, "{codes:?}");
    assert!(!json["problems"].to_string().contains("task-1"), "{json}");
}

#[test]
fn a_link_to_a_file_is_that_file_and_has_nothing_below_it() {
    let s = Sandbox::new();
    s.write("AGENTS.md", "x\n");
    std::os::unix::fs::symlink("AGENTS.md", s.root().join("CLAUDE.md")).unwrap();
    s.git(&["add", "-A"]);
    s.git(&["commit", "-qm", "link"]);
    let check = |first: &str, second: &str| {
        let tasks = [task("a", &[], "a.txt", "echo"), task("b", &[], "b.txt", "echo")];
        let text = plan(&tasks)
            .replace("files_write: [a.txt]", &format!("files_write: ['{first}']"))
            .replace("files_write: [b.txt]", &format!("files_write: ['{second}']"));
        s.write("tasks.yaml", &text);
        s.run(&["plan", "--dry-run"]).code
    };
    assert_eq!(check("**/*.py", "AGENTS.md"), 0);
    assert_eq!(check("CLAUDE.md", "AGENTS.md"), 3);
    assert_eq!(check("CLAUDE*", "AGENTS.md"), 3);
}

#[test]
fn a_slip_whose_value_does_not_fit_hides_nothing() {
    let s = Sandbox::new();
    for slip in ["timout: x", "patch_intents: [{file: s, action: foo}]", "priorty: high"] {
        s.write(
            "tasks.yaml",
            &format!(
                "tasks:
- {{id: a, description: d, run: make, files_write: [/etc/x], depends_on: [nope], verification: [{{command: make test}}]}}
- {{id: b, description: d, run: make, files_write: [s], verification: [{{command: make test}}], {slip}}}
"
            ),
        );
        let json = s.run(&["plan", "--dry-run", "--json"]).exits(3).json();
        let codes = json["problems"].to_string();
        for code in ["path_absolute", "unknown_dependency"] {
            assert!(codes.contains(code), "{slip}: {code} is missing from {codes}");
        }
    }
}

#[test]
fn one_file_is_found_through_links_in_a_row() {
    let s = Sandbox::new();
    s.write("b/keep.txt", "x\n");
    s.write("d/x.py", "x\n");
    std::os::unix::fs::symlink("b", s.root().join("a")).unwrap();
    std::os::unix::fs::symlink("../d", s.root().join("b/c")).unwrap();
    s.git(&["add", "-A"]);
    s.git(&["commit", "-qm", "links"]);
    let tasks = [task("one", &[], "one.txt", "echo"), task("two", &[], "two.txt", "echo")];
    let text = plan(&tasks)
        .replace("files_write: [one.txt]", "files_write: ['a/*/x.py']")
        .replace("files_write: [two.txt]", "files_write: [d/x.py]");
    s.write("tasks.yaml", &text);
    let shown = s.run(&["plan", "--dry-run"]).exits(3);
    assert!(shown.err.contains("file_write_write"), "{}", shown.err);
}

#[test]
fn a_fix_that_would_come_out_wrong_is_not_written() {
    let s = Sandbox::new();
    // A key without a colon: there is no place behind it for a list.
    let text = "tasks:
- {id: a, description: d, run: make, files_write: [x], verification: [{command: make test}]}
- {id: b, depends_on, description: d, run: make, files_write: [x], verification: [{command: make test}]}
";
    s.write("tasks.yaml", text);
    let refused = s.run(&["plan", "--fix"]).exits(3);
    assert!(refused.err.contains("cannot be edited safely"), "{}", refused.err);
    assert_eq!(s.read("tasks.yaml"), text);
}
