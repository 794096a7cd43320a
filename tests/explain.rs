//! Every explanation of a problem's code is true: its wrong example has exactly that problem, its right one has none.
#![expect(clippy::unwrap_used, reason = "a test that fails may say so by a panic")]

use std::collections::BTreeMap;

use slimductor::plan::config::Config;
use slimductor::plan::diagnostic::{Code, Severity};
use slimductor::plan::schema::Document;
use slimductor::plan::{Facts, analyse};

/// A fenced block: its info string and its content.
fn blocks(text: &str) -> Vec<(String, String)> {
    let mut out: Vec<(String, String)> = Vec::new();
    let mut inside = false;
    for line in text.lines() {
        match line.strip_prefix("```") {
            Some(info) if !inside => {
                inside = true;
                out.push((info.trim().to_owned(), String::new()));
            }
            Some(_) => inside = false,
            None if inside => {
                let block = &mut out.last_mut().unwrap().1;
                block.push_str(line);
                block.push('\n');
            }
            None => {}
        }
    }
    out
}

fn facts(files: &BTreeMap<String, String>, document: &Document) -> Facts {
    let found = |c: &slimductor::plan::schema::ContractSpec| {
        (c.file_path.clone(), files.get(&c.file_path).cloned())
    };
    let hot = files.iter().map(|(path, text)| (path.clone(), Some(text.clone())));
    Facts {
        contracts: document.contracts.iter().map(found).collect(),
        hot_files: hot.collect(),
        ..Facts::default()
    }
}

#[test]
fn every_explanation_is_true_of_its_examples() {
    for code in Code::ALL {
        let word = code.word();
        let text = code.explanation();
        assert!(text.starts_with(&format!("# {word}: ")), "{word}: title");
        let longest = text.lines().map(|l| l.chars().count()).max().unwrap_or(0);
        assert!(longest <= 100, "{word}: a line of {longest} characters");
        let mut files = BTreeMap::new();
        let mut config = Config::default();
        let (mut wrong, mut right) = (0, 0);
        for (info, content) in blocks(text) {
            if let Some(path) = info.strip_prefix("file ") {
                files.insert(path.to_owned(), content);
                continue;
            }
            if info == "config" {
                config = Config::read(content.as_bytes(), &BTreeMap::new()).unwrap();
                continue;
            }
            let analysis = analyse(content.as_bytes(), &config, |d| facts(&files, d)).analysis;
            let codes: Vec<Code> = analysis.problems.iter().map(|p| p.code).collect();
            let errors = analysis.problems.iter().filter(|p| p.severity == Severity::Error);
            match info.as_str() {
                "yaml wrong" => {
                    wrong += 1;
                    assert!(codes.contains(code), "{word}: wrong has {codes:?}");
                    let others: Vec<Code> = errors.map(|p| p.code).filter(|c| c != code).collect();
                    assert!(others.is_empty(), "{word}: wrong has also {others:?}");
                }
                "yaml right" => {
                    right += 1;
                    assert!(!codes.contains(code), "{word}: right has it too");
                    assert!(analysis.valid(), "{word}: right has {codes:?}");
                }
                _ => {}
            }
        }
        assert_eq!(right, 1, "{word}");
        // What git knows is not in the text of a plan.
        assert_eq!(wrong, usize::from(*code != Code::ContractUncommitted), "{word}");
    }
}
