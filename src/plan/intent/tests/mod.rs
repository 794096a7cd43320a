//! Tests of the whole over the corpus: what holds for every adapter and every order.

use std::path::PathBuf;

use super::*;

mod hostile;

fn corpus(name: &str) -> String {
    let root = option_env!("CARGO_MANIFEST_DIR").map_or_else(
        || PathBuf::from("corpus/intents"),
        |root| PathBuf::from(root).join("tests/corpus/intents"),
    );
    std::fs::read_to_string(root.join(name)).unwrap()
}

fn text(value: &str) -> Value {
    Value::Text(value.to_owned())
}

fn list(items: &[&str]) -> Value {
    Value::List(items.iter().map(|item| (*item).to_owned()).collect())
}

fn intent(task: &str, action: Action, values: &[(&str, Value)]) -> Intent {
    let values = values.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
    Intent { task: task.to_owned(), action, values }
}

fn router(task: &str, module: &str, prefix: &str) -> Intent {
    let values = [("router_module", text(module)), ("prefix", text(prefix))];
    intent(task, Action::AddRouter, &values)
}

fn config(task: &str, key: &str, value: Value) -> Intent {
    intent(task, Action::AddConfig, &[("key", text(key)), ("value", value)])
}

fn line(task: &str, words: &str) -> Intent {
    intent(task, Action::AppendLine, &[("line", text(words))])
}

fn middleware(task: &str, class: &str, module: &str, more: &[(&str, Value)]) -> Intent {
    let own = [("middleware_class", text(class)), ("import_from", text(module))];
    intent(task, Action::AddMiddleware, &[&own, more].concat())
}

fn python() -> Vec<Intent> {
    let provider = [
        ("function_name", text("get_auth")),
        ("return_type", text("dict[str, Auth] | None")),
        ("import_from", text("src.services")),
        ("import_name", text("Auth")),
        ("cache", Value::Flag(true)),
    ];
    let mut users = router("task-users", "src.routes.users", "/users");
    users.values.insert("tags".into(), list(&["a\"", "b\\"]));
    vec![
        router("task-auth", "src.routes.auth", "/auth"),
        users,
        middleware("task-zip", "GZip", "x.gzip", &[("minimum_size", Value::Number(500.0))]),
        middleware("task-two", "GZip", "x.gzip", &[("minimum_size", Value::Number(500.0))]),
        intent("task-auth", Action::AddDependency, &provider),
        config("task-auth", "JWT_NAME", text("it's \"quoted\" \\")),
        config("task-users", "LIMIT", Value::Number(2.5)),
    ]
}

fn node() -> Vec<Intent> {
    vec![
        router("task-auth", "./routes/auth", "/auth"),
        router("task-users", "./routes/user-list.js", "/users"),
        middleware("task-cors", "cors", "cors", &[("origin", list(&["https://a.b"]))]),
        middleware("task-helmet", "helmet", "helmet", &[]),
        config("task-auth", "trust proxy", Value::Flag(true)),
    ]
}

fn java() -> Vec<Intent> {
    vec![
        router("task-auth", "com.example.auth", "/auth"),
        middleware("task-a", "AuthFilter", "com.a", &[("order", Value::Number(1.0))]),
        middleware("task-b", "Audit", "com.a", &[("interceptor", Value::Flag(true))]),
    ]
}

fn settings() -> Vec<Intent> {
    vec![
        config("task-a", "ALPHA", text("x y")),
        config("task-b", "BETA", Value::Number(1.0)),
        config("task-b", "GAMMA", Value::Flag(false)),
    ]
}

fn lines() -> Vec<Intent> {
    vec![line("task-a", "*.log"), line("task-b", "*.log"), line("task-b", "é x"), line("c", "a")]
}

fn cases() -> Vec<(&'static str, Vec<Intent>)> {
    let next = vec![
        config("a", "poweredByHeader", Value::Flag(false)),
        config("b", "pageExtensions", list(&["tsx", "mdx"])),
    ];
    let guard = vec![middleware("a", "auth", "./auth", &[]), middleware("b", "i18n", "@/i", &[])];
    vec![
        ("fastapi/plain.py", python()),
        ("fastapi/multiline.py", python()),
        ("fastapi/factory.py", python()),
        ("fastapi/crlf.py", python()),
        ("fastapi/dependencies.py", python()[4..].to_vec()),
        ("express/commonjs.js", node()),
        ("express/esm.mjs", node()),
        ("express/typescript.ts", node()),
        ("express/factory.js", node()),
        ("express/listen.js", node()),
        ("spring/WebConfig.java", java()),
        ("spring/Application.java", java()),
        ("spring/OneLine.java", java()),
        ("spring/application.properties", settings()),
        ("spring/application.yml", settings()),
        ("nextjs/next.config.mjs", next.clone()),
        ("nextjs/next.config.js", next),
        ("nextjs/middleware.ts", guard),
        ("lines/.env.example", settings()),
        ("lines/ruff.toml", settings()),
        ("lines/.gitignore", lines()),
        ("lines/CHANGELOG.md", lines()),
        ("lines/requirements.txt", lines()),
    ]
}

/// A small generator of numbers, the same on each run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        usize::try_from(self.0 >> 33).unwrap() % bound.max(1)
    }

    fn shuffle<T>(&mut self, all: &mut [T]) {
        for at in (1..all.len()).rev() {
            all.swap(at, self.below(at + 1));
        }
    }
}

/// The text without the regions, and without what white space they needed.
fn without_regions(text: &str) -> String {
    let mut out = String::new();
    let mut inside = false;
    for line in text.split_inclusive('\n') {
        inside |= line.contains(">>> slimductor ");
        let outside_of_text = !line.starts_with("# >>> slimductor body\n\"\"\"");
        if !inside && outside_of_text {
            out.push_str(line);
        }
        inside &= !line.contains("<<< slimductor ");
    }
    out
}

#[test]
fn every_adapter_that_comes_with_the_tool_is_valid() {
    for adapter in builtin() {
        assert_eq!(validate(&adapter), Ok(()));
    }
}

#[test]
fn order_and_number_of_calls_do_not_matter_and_twice_is_once() {
    let adapters = builtin();
    let mut dice = Dice(7);
    for (name, intents) in cases() {
        let content = corpus(name);
        let all = apply_all(&adapters, name, &content, &intents).unwrap();
        assert_eq!(apply_all(&adapters, name, &all, &intents).as_ref(), Ok(&all), "{name}");
        for _ in 0..4 {
            let mut order = intents.clone();
            dice.shuffle(&mut order);
            let mut one_by_one = content.clone();
            for intent in &order {
                let one = std::slice::from_ref(intent);
                one_by_one = apply_all(&adapters, name, &one_by_one, one).unwrap();
            }
            assert_eq!(one_by_one, all, "{name}");
        }
    }
}

#[test]
fn everything_outside_the_regions_stays_as_it_is() {
    for (name, intents) in cases() {
        let content = corpus(name);
        let all = apply_all(&builtin(), name, &content, &intents).unwrap();
        // A text in a fixture that only looks like a marker.
        let fake = "\"\"\"\napp = FastAPI()\n# >>> slimductor body\n\"\"\"";
        let (all, content) = (all.replace(fake, "\"\""), content.replace(fake, "\"\""));
        let rest = without_regions(&all);
        if name.ends_with("OneLine.java") || name.ends_with("next.config.js") {
            let dense = |text: &str| text.split_whitespace().collect::<String>();
            assert_eq!(dense(&rest), dense(&content), "{name}");
        } else {
            let eol = if content.contains("\r\n") { "\r\n" } else { "\n" };
            let ended = content.trim_end_matches(['\r', '\n']);
            assert!(rest == content || rest == format!("{ended}{eol}"), "{name}: {rest}");
            assert!(content.ends_with('\n') || all.ends_with(eol), "{name}");
        }
        if content.contains("\r\n") {
            assert_eq!(all.matches('\n').count(), all.matches("\r\n").count(), "{name}");
        }
    }
}

#[test]
fn an_update_of_a_tasks_entry_replaces_it_and_its_imports() {
    let fast = corpus("fastapi/plain.py");
    let adapters = builtin();
    let old = middleware("t", "A", "old.place", &[("x", Value::Number(1.0))]);
    let new = middleware("t", "A", "new.place", &[("x", Value::Number(2.0))]);
    let other = config("u", "KEY", Value::Flag(true));
    let first = apply_all(&adapters, "main.py", &fast, &[old, other.clone()]).unwrap();
    let second = apply_all(&adapters, "main.py", &first, std::slice::from_ref(&new)).unwrap();
    assert_eq!(second, apply_all(&adapters, "main.py", &fast, &[new, other]).unwrap());
    assert!(!second.contains("old.place"));
}

#[test]
fn what_is_there_already_is_not_added() {
    let there = "from fastapi import FastAPI\nfrom a.b import (\n    Other,\n    A,\n)\n\
                 app = FastAPI()\napp.add_middleware(A)\n";
    let one = [middleware("t", "A", "a.b", &[])];
    assert_eq!(apply_all(&builtin(), "main.py", there, &one).as_deref(), Ok(there));
    let listed = apply_all(&builtin(), ".gitignore", "a\nb\n", &[line("t", "b")]);
    assert_eq!(listed.as_deref(), Ok("a\nb\n"));
    let quoted = "const express = require('express')\nconst cors = require('cors')\n\
                  const app = express()\napp.use(cors())\n";
    let one = [middleware("t", "cors", "cors", &[])];
    assert_eq!(apply_all(&builtin(), "app.js", quoted, &one).as_deref(), Ok(quoted));
}

#[test]
fn contradicting_entries_and_second_declarations_are_refused() {
    let fast = corpus("fastapi/plain.py");
    let adapters = builtin();
    let one = config("a", "KEY", text("1"));
    let two = config("b", "KEY", text("2"));
    for order in [[one.clone(), two.clone()], [two, one]] {
        let result = apply_all(&adapters, "main.py", &fast, &order);
        assert!(matches!(result, Err(Refused::Clash { .. })), "{result:?}");
    }
    let health = config("a", "health", text("x"));
    assert!(apply_all(&adapters, "main.py", &fast, &[health]).is_err());
    let js = corpus("express/commonjs.js");
    let path = middleware("a", "path", "other", &[]);
    assert!(apply_all(&adapters, "app.js", &js, &[path]).is_err());
    let unknown = [intent("a", Action::AddMiddleware, &[("middleware_class", text("Nowhere"))])];
    assert!(apply_all(&adapters, "main.py", &fast, &unknown).is_err());
}

#[test]
fn a_file_that_is_not_understood_fits_no_adapter() {
    let adapters = builtin();
    for name in ["no-fit-branch.py", "no-fit-class.py", "no-fit-unclosed.py"] {
        let content = corpus(&format!("fastapi/{name}"));
        assert_eq!(detect(&adapters, name, &content, Action::AddRouter), None, "{name}");
    }
    let none = [
        ("main.go", "package main\n", Action::AddRouter),
        ("main.py", "x = 1\n", Action::AddRouter),
        ("main.py", "x = 1\n", Action::AppendLine),
        ("package-lock.json", "{}", Action::AddConfig),
        ("setup.ini", "[a]\nb = 1\n", Action::AddConfig),
        ("application.yml", "a: 1\n---\nb: 2\n", Action::AddConfig),
        ("application.yml", "[1, 2]\n", Action::AddConfig),
        ("a.properties", "a=b\\", Action::AddConfig),
        ("app.js", "const s = 'const app = express()'\n", Action::AddRouter),
    ];
    for (name, content, action) in none {
        let found = detect(&adapters, name, content, action);
        assert_eq!(found.map(|a| a.name.as_str()), None, "{name}: {content}");
    }
}

#[test]
fn a_users_adapter_is_checked_in_words() {
    let mut wrong = builtin().remove(0);
    wrong.contains.push("(".into());
    assert!(validate(&wrong).unwrap_err().starts_with("adapter `fastapi`: contains"));
    let mut wrong = builtin().remove(0);
    let spec = wrong.actions.get_mut(&Action::AddConfig).unwrap();
    spec.forms[0].code.insert("definitions".into(), vec!["{nothing} = {".into()]);
    assert!(validate(&wrong).unwrap_err().contains("stands alone"));
    let mut wrong = builtin().remove(0);
    wrong.target = None;
    assert!(validate(&wrong).unwrap_err().contains("needs a target"));
}
#[test]
fn windows_ends_of_line_are_kept_and_change_nothing_else() {
    let adapters = builtin();
    for (name, intents) in cases() {
        let content = corpus(name).replace("\r\n", "\n");
        let unix = apply_all(&adapters, name, &content, &intents).unwrap();
        let windows = content.replace('\n', "\r\n");
        let windows = apply_all(&adapters, name, &windows, &intents).unwrap();
        // A file of a single line without an end does not say what its ends are.
        assert_eq!(windows.replace("\r\n", "\n"), unix, "{name}");
        assert_eq!(windows.matches('\n').count(), windows.matches("\r\n").count(), "{name}");
    }
}

#[test]
fn a_missing_end_of_the_last_line_is_added_once() {
    let adapters = builtin();
    for (name, intents) in cases() {
        let content = corpus(name);
        let bare = content.trim_end();
        let all = apply_all(&adapters, name, bare, &intents).unwrap();
        assert_eq!(apply_all(&adapters, name, &all, &intents).as_ref(), Ok(&all), "{name}");
        let ended = apply_all(&adapters, name, &format!("{bare}\n"), &intents).unwrap();
        let unix = |text: &str| text.trim_end().replace('\r', "");
        assert_eq!(unix(&all), unix(&ended), "{name}");
    }
}

#[test]
fn values_can_be_checked_before_there_is_a_file() {
    let fastapi = builtin().into_iter().find(|a| a.name == "fastapi").unwrap();
    assert_eq!(check(&fastapi, &router("t", "src.auth", "/auth")), Ok(()));
    let refused = check(&fastapi, &router("t", "src auth", "/auth")).unwrap_err();
    let words = "t: add_router cannot take `router_module`: `src auth` is not a dotted name";
    assert!(refused.to_string().starts_with(words), "{refused}");
}

#[test]
fn a_region_never_becomes_the_body_of_a_branch_without_braces() {
    let head = "const express = require('express')\nconst app = express()\n";
    for branch in ["if (process.env.PORT)", "if (a) b()\nelse", "while (c)"] {
        let text = format!("{head}{branch}\napp.listen(1)\nmodule.exports = app\n");
        let one = [router("a", "./a", "/a")];
        let all = apply_all(&builtin(), "app.js", &text, &one).unwrap();
        assert!(all.contains(&format!("{branch}\napp.listen(1)\n")), "{all}");
    }
}
