//! Plans of any size for benchmarks: valid by construction, without conflicts, the same on every machine.

use std::fmt::Write;

/// Every task with three files of its own and a path that it shares in order; about √n layers.
pub fn layered(tasks: usize) -> String {
    let width = (tasks as f64).sqrt() as usize;
    let mut out = String::from("request: \"synthetic layered plan\"\n\ntasks:\n");
    for i in 0..tasks {
        let layer = i / width;
        let mut parents: Vec<usize> = Vec::new();
        if layer > 0 {
            let low = (layer - 1) * width;
            parents = (0..3.min(width)).map(|k| low + (i * 7 + k * 3) % width).collect();
            parents.sort_unstable();
            parents.dedup();
        }
        // The column's file is handed down: the parent of the same column always comes first.
        if layer > 0 && !parents.contains(&(i - width)) {
            parents.insert(0, i - width);
        }
        task(&mut out, i, &format!("src/flow/f{}.rs", i % width), &parents);
    }
    out
}

/// Every task waits for the one before it.
pub fn chain(tasks: usize) -> String {
    let mut out = String::from("request: \"synthetic chain\"\n\ntasks:\n");
    for i in 0..tasks {
        let parents: Vec<usize> = i.checked_sub(1).into_iter().collect();
        task(&mut out, i, &format!("src/shared/window{}.rs", i / 50), &parents);
    }
    out
}

fn task(out: &mut String, i: usize, shared: &str, parents: &[usize]) {
    let _ = write!(
        out,
        "  - id: task-{i:05}\n    description: \"Implement part {i} of the plan\"\n    files_write:\n      - \"src/mod{:02}/t{i}_a.rs\"\n      - \"src/mod{:02}/t{i}_b.rs\"\n      - \"{shared}\"\n    files_read:\n      - \"docs/shared{}.md\"\n      - \"src/api/common{}.rs\"\n    resources_write:\n      - \"route:/svc/{i}\"\n",
        i % 97,
        i % 97,
        i % 20,
        i % 19
    );
    if parents.is_empty() {
        out.push_str("    depends_on: []\n");
    } else {
        out.push_str("    depends_on:\n");
        for p in parents {
            let _ = writeln!(out, "      - task-{p:05}");
        }
    }
    let _ = write!(
        out,
        "    verification:\n      - command: \"cargo test -p m{}\"\n        type: test\n        required: true\n",
        i % 97
    );
}

/// The same plan as JSON.
pub fn as_json(yaml: &str) -> String {
    slimductor::plan::yaml::value_of(yaml).to_string()
}
