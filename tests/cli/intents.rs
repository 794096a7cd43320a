//! Patch intents: tasks that edit one file side by side, and what becomes of files that nothing knows.

use super::ecosystems::tools;
use super::sandbox::{Sandbox, plan, task};

const MAIN: &str = "from fastapi import FastAPI\n\napp = FastAPI()\n\n\n@app.get(\"/\")\ndef home() -> str:\n    return \"home\"\n";

/// A task that makes a router and asks for it in `main.py`; with `meets`, it ends only when the other runs as well.
fn router(s: &Sandbox, name: &str, meets: Option<&str>) -> String {
    let file = format!("src/routes/{name}.py");
    let meeting = meets.map_or_else(String::new, |other| {
        let (own, theirs) = (s.outside(name), s.outside(other));
        format!("echo > {} & read x < {}; wait\n", own.display(), theirs.display())
    });
    let code = format!(
        "from fastapi import APIRouter\\n\\nrouter = APIRouter()\\n\\n\\n@router.get(\"/who\")\\ndef who() -> str:\\n    return \"{name}\"\\n"
    );
    let work = format!("{meeting}mkdir -p src/routes\nprintf '{code}' > {file}");
    task(name, &[], &file, &work).replace(
        "    depends_on",
        &format!(
            "    patch_intents: [{{file: src/main.py, action: add_router, intent: {{router_module: src.routes.{name}, prefix: /{name}, tags: [{name}]}}}}]\n    depends_on"
        ),
    )
}

fn commit_main(s: &Sandbox, text: &str) {
    s.write("src/main.py", text);
    s.write(".gitignore", "__pycache__/\n");
    s.git(&["add", "-A"]);
    s.git(&["commit", "-qm", "main"]);
}

#[test]
fn two_tasks_with_intents_on_one_fastapi_file_run_side_by_side_land_and_the_file_imports() {
    let s = Sandbox::new();
    commit_main(&s, MAIN);
    s.fifo("users");
    s.fifo("orders");
    let two = plan(&[router(&s, "users", Some("orders")), router(&s, "orders", Some("users"))]);
    s.run_plan(
        &(two + "integration: {incremental: [], final: [{command: test -s src/main.py}]}\n"),
        &[],
    )
    .exits(0);
    let main = s.read("src/main.py");
    assert!(main.starts_with("from fastapi import FastAPI\n"), "{main}");
    for name in ["users", "orders"] {
        assert_eq!(
            main.matches(&format!("from src.routes.{name} import router")).count(),
            1,
            "{main}"
        );
        assert_eq!(main.matches(&format!("prefix=\"/{name}\"")).count(), 1, "{main}");
    }
    s.assert_nothing_is_left();
    let Some(path) = tools(&s, &["python3"]) else { return };
    let python = |code: &str| s.command("python3").env("PATH", &path).args(["-c", code]).output();
    if !python("import fastapi, httpx").unwrap().status.success() {
        println!("skipped: fastapi is not installed, so the file is not imported");
        return;
    }
    let ask = "from fastapi.testclient import TestClient; from src.main import app; c = TestClient(app); assert [c.get(p).json() for p in ('/', '/users/who', '/orders/who')] == ['home', 'users', 'orders']";
    let ran = python(ask).unwrap();
    assert!(ran.status.success(), "{main}\n{}", String::from_utf8_lossy(&ran.stderr));
}

#[test]
fn the_worker_s_own_checks_see_the_program_as_it_will_be() {
    let s = Sandbox::new();
    commit_main(&s, MAIN);
    let text = router(&s, "users", None).replace(
        "{command: test -s src/routes/users.py, type: test}",
        "{command: grep -q src.routes.users src/main.py, type: custom}",
    );
    s.run_plan(&plan(&[text]), &[]).exits(0);
    s.assert_nothing_is_left();
}

#[test]
fn without_an_adapter_the_tasks_edit_the_file_themselves_one_after_the_other() {
    let s = Sandbox::new();
    commit_main(&s, "print('no framework')\n");
    let own = |name: &str| {
        router(&s, name, None).replace(
            "      mkdir -p src/routes",
            &format!("      mkdir -p src/routes; echo 'print(\"{name}\")' >> src/main.py"),
        )
    };
    s.write("tasks.yaml", &plan(&[own("users"), own("orders")]));
    let json = s.run(&["plan", "--dry-run", "--json"]).exits(0).json();
    assert_eq!(json["waves"], serde_json::json!([["users"], ["orders"]]));
    let said = json["problems"].as_array().unwrap().iter().any(|p| p["code"] == "no_adapter");
    assert!(said, "{json}");
    s.run(&["run", "--backend", "process"]).exits(0);
    assert_eq!(
        s.read("src/main.py"),
        "print('no framework')\nprint(\"users\")\nprint(\"orders\")\n"
    );
}

#[test]
fn who_edits_the_file_that_the_engine_edits_has_strayed() {
    let s = Sandbox::new();
    commit_main(&s, MAIN);
    let text = router(&s, "users", None)
        .replace(
            "      mkdir -p src/routes",
            "      echo '# mine' >> src/main.py; mkdir -p src/routes",
        )
        .replace("    files_write", "    max_attempts: 1\n    files_write");
    s.run_plan(&plan(&[text]), &[]).exits(5);
    assert_eq!(s.states()["users"].1, "boundary_violation");
    // What the engine put there for the checks is nobody's edit.
    let ended = s.run(&["abort"]).exits(0);
    assert!(ended.out.contains("/recovery/users-1"), "{}", ended.out);
    assert!(!ended.out.contains("-edited"), "{}", ended.out);
}
