//! The adapters that come with the tool, as data. It does not know how they are applied.

mod java;
mod lines;
mod node;
mod python;

use std::collections::BTreeMap;

use super::adapter::{
    ActionSpec, Adapter, Anchor, At, Comment, Field, Form, Kind, Options, Region, Within,
};
use super::text::Language;

/// All adapters, the particular before the general: the first that fits is taken.
pub fn builtin() -> Vec<Adapter> {
    let mut all = python::adapters();
    all.extend(node::adapters());
    all.extend(java::adapters());
    all.extend(lines::adapters());
    all
}

fn strings(all: &[&str]) -> Vec<String> {
    all.iter().map(|one| (*one).to_owned()).collect()
}

fn adapter(name: &str, files: &[&str], language: Language, prefix: &str) -> Adapter {
    Adapter {
        name: name.to_owned(),
        files: strings(files),
        contains: Vec::new(),
        lacks: Vec::new(),
        language,
        comment: Comment { prefix: prefix.to_owned(), suffix: String::new() },
        target: None,
        regions: Vec::new(),
        actions: BTreeMap::new(),
    }
}

fn region(name: &str, anchors: Vec<Anchor>) -> Region {
    Region { name: name.to_owned(), per_line: name == "imports", anchors }
}

fn at(at: At) -> Anchor {
    Anchor { at, pattern: None, within: Within::Module }
}

fn by(at: At, pattern: &str, within: Within) -> Anchor {
    Anchor { at, pattern: Some(pattern.to_owned()), within }
}

/// A field that must be given.
fn need(kind: Kind, of: &[&str]) -> Field {
    Field { kind, of: strings(of), ..Field::default() }
}

/// A field that may be missing; lines that name it are then left out.
fn may(kind: Kind, of: &[&str]) -> Field {
    Field { optional: true, ..need(kind, of) }
}

/// A field that may be missing; nothing stands in its place then.
fn wrapped(kind: Kind, of: &[&str], wrap: &str) -> Field {
    Field { wrap: Some(wrap.to_owned()), ..may(kind, of) }
}

fn form(needs: &[&str], code: &[(&str, &[&str])]) -> Form {
    let code = code.iter().map(|(region, lines)| ((*region).to_owned(), strings(lines))).collect();
    Form { needs: strings(needs), code, ..Form::default() }
}

impl Form {
    fn declaring(mut self, names: &[&str]) -> Self {
        self.declares = strings(names);
        self
    }

    fn using(mut self, fields: &[&str]) -> Self {
        self.in_scope = strings(fields);
        self
    }
}

fn spec(identity: &[&str], fields: Vec<(&str, Field)>, forms: Vec<Form>) -> ActionSpec {
    let fields = fields.into_iter().map(|(name, field)| (name.to_owned(), field)).collect();
    ActionSpec { fields, options: None, identity: strings(identity), forms }
}

fn options(mut spec: ActionSpec, item: &str, join: &str, wrap: Option<&str>) -> ActionSpec {
    spec.options = Some(Options {
        item: item.to_owned(),
        join: join.to_owned(),
        wrap: wrap.map(str::to_owned),
    });
    spec
}

/// `add_config` as a line of its own, with the description as a comment above.
fn setting(region: &str, mark: &str, line: &str, declares: &str) -> ActionSpec {
    let remark = format!("{mark} {{description}}");
    let fields = vec![
        ("key", need(Kind::Key, &[])),
        ("value", need(Kind::Literal, &[])),
        ("description", may(Kind::Remark, &[])),
    ];
    let code: [(&str, &[&str]); 1] = [(region, &[&remark, line])];
    spec(&["key"], fields, vec![form(&[], &code).declaring(&[declares])])
}
