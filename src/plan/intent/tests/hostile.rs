//! Tests with what must not get through: hostile values, damaged regions, mutated and long texts.

use super::*;

#[test]
fn hostile_values_are_refused() {
    let fast = "from fastapi import FastAPI\napp = FastAPI()\n";
    let bad = |name: &str, value: Value| {
        let mut all = router("t", "src.auth", "/auth");
        all.values.insert(name.to_owned(), value);
        all
    };
    let long = "a".repeat(5000);
    let table = [
        bad("router_module", text("src; import os")),
        bad("router_module", text("src.auth\nimport os")),
        bad("router_module", text("src.class")),
        bad("router_module", text("")),
        bad("router_module", list(&["a", "b"])),
        bad("router_module", text(&long)),
        bad("prefix", text("/a\", evil=\"")),
        bad("prefix", text("/a\n")),
        bad("prefix", text("//evil.example")),
        bad("prefix", text("auth")),
        bad("prefix", text("/auth/")),
        bad("tags", text("a\nb")),
        bad("tags", list(&["ok", "a\u{2028}b"])),
        bad("tags", list(&["\u{202e}cod"])),
        bad("tags", list(&["a\0b"])),
        bad("router_name", text("a.b")),
        bad("router_name", text("router, os")),
        bad("unknown", text("x")),
        bad("dependencies", list(&["f()"])),
        middleware("t", "A()", "m", &[]),
        middleware("t", "A", "m", &[("x=1, y", text("a"))]),
        middleware("t", "A", "m", &[("x", Value::Number(f64::NAN))]),
        middleware("t", "A", "m", &[("x", Value::Number(f64::INFINITY))]),
        middleware("t", "A", "m", &[("kwargs", list(&["no equals sign"]))]),
        middleware("t", "A", "m", &[("lambda", text("a"))]),
        config("t", "a b", text("x")),
        config("t", "KEY", text("a\rb")),
        config("Task\nx", "KEY", text("a")),
        config("", "KEY", text("a")),
    ];
    for one in table {
        let refused = apply_all(&builtin(), "main.py", fast, std::slice::from_ref(&one));
        let Err(error) = refused else { panic!("{one:?} gave {refused:?}") };
        assert!(error.to_string().chars().all(|c| !c.is_control()), "{error}");
        assert!(error.to_string().len() < 400, "{error}");
    }
    let provider = |kind: &str| {
        let values = [("function_name", text("f")), ("import_name", text("FastAPI"))];
        let values = [&values[..], &[("return_type", text(kind))]].concat();
        intent("t", Action::AddDependency, &values)
    };
    for kind in ["int: pass", "list[int", "a]", "a |", "[int]]", "x()", "a b", "'A'"] {
        let one = [provider(kind)];
        assert!(apply_all(&builtin(), "main.py", fast, &one).is_err(), "{kind}");
    }
    let listed = ["# <<< slimductor lines", " # slimductor: a append_line", "x\\", "", "a\nb"];
    for words in listed {
        assert!(apply_all(&builtin(), ".gitignore", "", &[line("t", words)]).is_err(), "{words}");
    }
    for words in ["<!-- x", "x -->", "```", "<!-- <<< slimductor lines -->"] {
        assert!(apply_all(&builtin(), "A.md", "", &[line("t", words)]).is_err(), "{words}");
    }
    let env = config("t", "K", text("'$(rm)"));
    assert!(apply_all(&builtin(), ".env.example", "", &[env]).is_err());
}

#[test]
fn literals_cannot_be_broken_out_of() {
    let hostile = "a\"b'c\\d`e${f}{g}*/#<!--\\u0022\\";
    for (name, key) in [
        ("fastapi/plain.py", "KEY"),
        ("express/commonjs.js", "key"),
        ("nextjs/next.config.mjs", "key"),
        ("spring/application.properties", "key"),
        ("spring/application.yml", "key"),
        ("lines/ruff.toml", "key"),
    ] {
        let one = [config("t", key, text(hostile))];
        let all = apply_all(&builtin(), name, &corpus(name), &one).unwrap();
        let found = all.lines().find(|line| line.contains("a\\\"b") || line.contains("a\"b"));
        assert!(found.is_some_and(|line| line.contains(r"\\u0022\\")), "{name}: {all}");
    }
}

#[test]
fn damaged_regions_are_refused_and_never_guessed() {
    let fast = corpus("fastapi/plain.py");
    let intents = python();
    let adapters = builtin();
    let good = apply_all(&adapters, "main.py", &fast, &intents).unwrap();
    let rows: Vec<&str> = good.lines().collect();
    let mut seen = 0;
    for (nth, row) in rows.iter().enumerate() {
        if !row.contains("> slimductor ") && !row.contains("< slimductor ") {
            continue;
        }
        seen += 1;
        let with = |rows: &[&[&str]]| rows.concat().join("\n") + "\n";
        let lost = with(&[&rows[..nth], &rows[nth + 1..]]);
        let twice = with(&[&rows[..=nth], &rows[nth..]]);
        let changed = row.replace("slimductor ", "slimductor 2 ");
        let changed = with(&[&rows[..nth], &[&changed], &rows[nth + 1..]]);
        let copied = with(&[&rows[..], &[row]]);
        for text in [lost, twice, changed, copied] {
            let result = apply_all(&adapters, "main.py", &text, &intents);
            assert!(matches!(result, Err(Refused::Region { .. })), "{result:?}\n{text}");
        }
    }
    assert_eq!(seen, 6);
    let headless = good.replacen("# slimductor: task-auth add_config JWT_NAME\n", "", 1);
    assert!(matches!(
        apply_all(&adapters, "main.py", &headless, &intents),
        Err(Refused::Region { .. })
    ));
}

#[test]
fn mutated_files_never_panic_and_stay_stable_when_they_are_written() {
    let adapters = builtin();
    let mut dice = Dice(42);
    let scraps = [
        "(",
        ")",
        "{",
        "}",
        "\"",
        "'",
        "\"\"\"",
        "`",
        "/*",
        "*/",
        "#",
        "\\",
        "\n",
        "\r\n",
        "# >>> slimductor body",
        "// <<< slimductor body",
        "é",
        "\u{feff}",
        "import x\n",
        "/",
    ];
    for (name, intents) in cases() {
        let content = corpus(name);
        let written = apply_all(&adapters, name, &content, &intents).unwrap();
        for base in [&content, &written] {
            for _ in 0..8 {
                let mut chars: Vec<char> = base.chars().collect();
                for _ in 0..=dice.below(3) {
                    let at = dice.below(chars.len());
                    if dice.below(2) == 0 {
                        let to = (at + dice.below(30)).min(chars.len());
                        chars.drain(at..to);
                    } else {
                        let scrap = scraps[dice.below(scraps.len())];
                        chars.splice(at..at, scrap.chars());
                    }
                }
                let text: String = chars.into_iter().collect();
                if let Ok(once) = apply_all(&adapters, name, &text, &intents) {
                    let twice = apply_all(&adapters, name, &once, &intents);
                    assert_eq!(twice.as_ref(), Ok(&once), "{name}:\n{text}");
                }
            }
        }
    }
}

#[test]
fn long_and_nasty_texts_are_read_to_their_end() {
    // What took more than linear time would take hours here.

    let adapters = builtin();
    let import = "from fastapi import FastAPI\napp = FastAPI()\n";
    let texts = ["(", "\n", "a = (\n", "'''", "import a\n", "# >>> slimductor body\n", "`${", "/"];
    for nasty in texts {
        let text = format!("{import}{}", nasty.repeat(300_000 / nasty.len()));
        for name in ["main.py", "app.js", "A.java", "a.toml", ".gitignore", "application.yml"] {
            for action in Action::ALL {
                let _ = detect(&adapters, name, &text, action);
            }
        }
        let _ = apply_all(&adapters, "main.py", &text, &python());
    }
}
