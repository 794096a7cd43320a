//! A plan's graph as text for Graphviz and for Mermaid. Knows tasks, order and conflicts, no files.

use std::collections::HashSet;
use std::fmt::Write;

use crate::plan::Analysis;
use crate::types::TaskId;

/// Who waits for whom: the tasks in the order of the plan, each with what it depends on.
pub type Graph<'a> = &'a [(String, Vec<String>)];

/// The pairs that follow each other on the critical path.
fn critical(analysis: &Analysis) -> HashSet<(&str, &str)> {
    let path: Vec<&str> = analysis.critical_path.iter().map(TaskId::as_str).collect();
    path.windows(2).map(|pair| (pair[0], pair[1])).collect()
}

/// For Graphviz: one rank for each wave, the critical path bold, conflicts dashed and red.
pub fn dot(analysis: &Analysis, graph: Graph<'_>) -> String {
    let mut out =
        String::from("digraph plan {\n  rankdir=LR;\n  node [shape=box, style=rounded];\n");
    let on_path: HashSet<&str> = analysis.critical_path.iter().map(TaskId::as_str).collect();
    let critical = critical(analysis);
    for (id, _) in graph {
        let bold = if on_path.contains(id.as_str()) { " [penwidth=2]" } else { "" };
        let _ = writeln!(out, "  {}{bold};", quoted(id));
    }
    for wave in analysis.waves.iter().filter(|w| w.len() > 1) {
        let ids: Vec<String> = wave.iter().map(|id| quoted(id.as_str())).collect();
        let _ = writeln!(out, "  {{ rank=same; {}; }}", ids.join("; "));
    }
    for (id, dependencies) in graph {
        for first in dependencies {
            let bold = if critical.contains(&(first.as_str(), id.as_str())) {
                " [penwidth=2]"
            } else {
                ""
            };
            let _ = writeln!(out, "  {} -> {}{bold};", quoted(first), quoted(id));
        }
    }
    for conflict in &analysis.conflicts {
        let [a, b] = &conflict.tasks;
        let _ = writeln!(
            out,
            "  {} -> {} [dir=none, constraint=false, style=dashed, color=red, label={}];",
            quoted(a.as_str()),
            quoted(b.as_str()),
            quoted(&conflict.target)
        );
    }
    out + "}\n"
}

fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            c if c.is_control() => out.push(' '),
            c => out.push(c),
        }
    }
    out + "\""
}

/// For Mermaid: a flow chart, the critical path thick, conflicts dotted.
pub fn mermaid(analysis: &Analysis, graph: Graph<'_>) -> String {
    let mut out = String::from("flowchart LR\n");
    let number = |id: &str| graph.iter().position(|(name, _)| name == id);
    let index: std::collections::HashMap<&str, usize> =
        graph.iter().enumerate().map(|(n, (id, _))| (id.as_str(), n)).collect();
    let critical = critical(analysis);
    // A word such as `end` would end the chart: nodes have numbers, and their names stand in quotes.
    for (n, (id, _)) in graph.iter().enumerate() {
        let _ = writeln!(out, "  t{n}[\"{}\"]", entity(id));
    }
    for (n, (id, dependencies)) in graph.iter().enumerate() {
        for first in dependencies {
            let Some(from) = index.get(first.as_str()) else { continue };
            let thick = critical.contains(&(first.as_str(), id.as_str()));
            let _ = writeln!(out, "  t{from} {} t{n}", if thick { "==>" } else { "-->" });
        }
    }
    for conflict in &analysis.conflicts {
        let [a, b] = conflict.tasks.each_ref().map(|id| number(id.as_str()));
        if let (Some(a), Some(b)) = (a, b) {
            let _ = writeln!(out, "  t{a} -. \"{}\" .- t{b}", entity(&conflict.target));
        }
    }
    let on_path = analysis.critical_path.iter().filter_map(|id| index.get(id.as_str()));
    let on_path: Vec<String> = on_path.map(|n| format!("t{n}")).collect();
    if !on_path.is_empty() {
        let _ = writeln!(
            out,
            "  classDef critical stroke-width:3px\n  class {} critical",
            on_path.join(",")
        );
    }
    out
}

/// Text inside a Mermaid label: what has a meaning there is written as a number.
fn entity(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        if c.is_alphanumeric() || matches!(c, ' ' | '-' | '_' | '/' | '.' | ':') {
            out.push(c);
        } else {
            let _ = write!(out, "#{};", u32::from(c));
        }
    }
    out
}
