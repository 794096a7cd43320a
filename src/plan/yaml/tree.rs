//! A document as a tree of nodes with their places in the text: for diagnostics and for edits in place. Knows YAML's
//! structure, no schema. The only file that knows the event parser.

use std::collections::HashMap;

use granit_parser::{Event, Parser, ScalarStyle, StructureStyle};

use crate::plan::diagnostic::{Code, Label, Problem, Span};
use crate::plan::place::{Path, Step};

/// How deep a document may be nested.
pub const MAX_DEPTH: usize = 64;
/// How many values a document may have, each counted as often as an alias names it.
pub const MAX_VALUES: usize = 6_000_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Text without quotes; it may mean a number, a truth value or nothing.
    Plain,
    /// Text in quotes or in a block.
    Quoted,
    Sequence,
    Mapping,
    /// `a` is the node that it stands for.
    Alias,
}

/// 28 bytes, so that a document of five million nodes stays below 200 MB.
#[derive(Debug, Clone, Copy)]
struct Node {
    start: u32,
    end: u32,
    line: u32,
    column: u32,
    /// Scalars: where the value's text begins. Containers: where its children begin.
    a: u32,
    /// Scalars: the text's length. Containers: how many children (a mapping's keys and values alternate).
    b: u32,
    kind: Kind,
    /// Containers: whether it is written with brackets. Scalars: whether the text lies in `unescaped`.
    flag: bool,
}

/// A document, read as far as its structure goes.
#[derive(Debug)]
pub struct Tree<'a> {
    text: &'a str,
    nodes: Vec<Node>,
    children: Vec<u32>,
    unescaped: String,
}

/// Why there is no tree.
#[derive(Debug)]
pub enum Refusal {
    /// The text is no document that could be meant.
    Wrong(Box<Problem>),
    /// It has more values than were allowed.
    Large,
}

impl From<Box<Problem>> for Refusal {
    fn from(problem: Box<Problem>) -> Refusal {
        Refusal::Wrong(problem)
    }
}

/// A node of a tree.
#[derive(Debug, Clone, Copy)]
pub struct Ref<'t> {
    tree: &'t Tree<'t>,
    id: u32,
}

/// What a node is.
#[derive(Debug, Clone, Copy)]
pub enum Shape<'t> {
    /// Text; `plain` is whether it stands without quotes.
    Scalar {
        /// The value.
        text: &'t str,
        /// Whether it may mean something else than text.
        plain: bool,
    },
    /// A list.
    Sequence,
    /// Keys and values.
    Mapping,
}

/// A value and, in a mapping, its key.
#[derive(Debug, Clone, Copy)]
pub struct Found<'t> {
    /// The key, where the value stands in a mapping.
    pub key: Option<Ref<'t>>,
    /// The value.
    pub value: Ref<'t>,
}

impl<'a> Tree<'a> {
    /// Reads `text` of at most `most` values, or says where it is not YAML, or no document that could be meant: a second
    /// one in the same file, aliases that name each other into the millions.
    pub fn read(text: &'a str, most: usize) -> Result<Tree<'a>, Refusal> {
        let mut tree =
            Tree { text, nodes: Vec::new(), children: Vec::new(), unescaped: String::new() };
        let mut anchors: HashMap<usize, u32> = HashMap::new();
        // Every open container with the children that it has so far.
        let mut open: Vec<(u32, Vec<u32>)> = Vec::new();
        let mut documents = 0;
        // For every node how many values it stands for; 0 while it is open.
        let mut sizes: Vec<u32> = Vec::new();
        for item in Parser::new_from_str(text) {
            let (event, span) = item.map_err(|e| Box::new(scan_problem(&e, text)))?;
            let start = span.start.byte_offset().unwrap_or(0);
            let end = span.end.byte_offset().unwrap_or(start);
            let mut node = Node {
                start: start as u32,
                end: end as u32,
                line: span.start.line() as u32,
                column: span.start.col() as u32 + 1,
                a: 0,
                b: 0,
                kind: Kind::Plain,
                flag: false,
            };
            let mut anchor = 0;
            #[expect(clippy::wildcard_enum_match_arm, reason = "foreign enum; the rest is no node")]
            match event {
                Event::DocumentStart(..) => {
                    documents += 1;
                    if documents > 1 {
                        return Err(Refusal::from(Box::new(
                            Problem::error(Code::YamlSyntax, "a second document begins here")
                                .at(Label::here(node.span(), "only one is read"))
                                .help("keep one of them, or put them into files of their own"),
                        )));
                    }
                    continue;
                }
                Event::Scalar(value, style, id, _) => {
                    anchor = id;
                    if style != ScalarStyle::Plain {
                        node.kind = Kind::Quoted;
                    }
                    tree.keep(&mut node, &value);
                }
                Event::SequenceStart(style, id, _) => {
                    (anchor, node.kind) = (id, Kind::Sequence);
                    node.flag = style == StructureStyle::Flow;
                }
                Event::MappingStart(style, id, _) => {
                    (anchor, node.kind) = (id, Kind::Mapping);
                    node.flag = style == StructureStyle::Flow;
                }
                Event::Alias(id) => {
                    node.kind = Kind::Alias;
                    node.a = anchors.get(&id).copied().unwrap_or(0);
                    if sizes.get(node.a as usize).is_none_or(|size| *size == 0) {
                        return Err(Refusal::from(Box::new(
                            Problem::error(
                                Code::YamlSyntax,
                                "an alias stands inside what it names",
                            )
                            .at(Label::here(node.span(), "this would never end"))
                            .help("write the value out"),
                        )));
                    }
                }
                Event::SequenceEnd | Event::MappingEnd => {
                    if let Some((id, list)) = open.pop() {
                        let from = tree.children.len() as u32;
                        let container = &mut tree.nodes[id as usize];
                        (container.a, container.b) = (from, list.len() as u32);
                        container.end = end as u32;
                        let inside = list.iter().map(|child| sizes[*child as usize]);
                        let size = inside.fold(1_u32, u32::saturating_add);
                        sizes[id as usize] = size;
                        if size as usize > MAX_VALUES {
                            return Err(Refusal::from(Box::new(too_many(
                                container.span(),
                                MAX_VALUES,
                            ))));
                        }
                        tree.children.extend(list);
                    }
                    continue;
                }
                _ => continue,
            }
            let id = tree.nodes.len() as u32;
            if tree.nodes.len() >= most {
                return Err(Refusal::Large);
            }
            tree.nodes.push(node);
            sizes.push(match node.kind {
                Kind::Plain | Kind::Quoted => 1,
                Kind::Alias => sizes[node.a as usize],
                Kind::Sequence | Kind::Mapping => 0,
            });
            if anchor != 0 {
                anchors.insert(anchor, id);
            }
            if let Some((_, list)) = open.last_mut() {
                list.push(id);
            }
            if matches!(node.kind, Kind::Sequence | Kind::Mapping) {
                open.push((id, Vec::new()));
                if open.len() > MAX_DEPTH {
                    return Err(Refusal::from(Box::new(
                        Problem::error(
                            Code::YamlSyntax,
                            format!("it is nested deeper than {MAX_DEPTH}"),
                        )
                        .at(Label::here(node.span(), "one level too many"))
                        .help("no plan needs this many brackets; was one not closed?"),
                    )));
                }
            }
        }
        Ok(tree)
    }

    /// Keeps a scalar's value: as a part of the text where it stands there as it is.
    fn keep(&mut self, node: &mut Node, value: &str) {
        let whole = self.text.get(node.start as usize..node.end as usize).unwrap_or("");
        let inner = whole.get(1..whole.len().saturating_sub(1)).unwrap_or("");
        node.b = value.len() as u32;
        if whole == value {
            node.a = node.start;
        } else if inner == value {
            node.a = node.start + 1;
        } else {
            node.a = self.unescaped.len() as u32;
            node.flag = true;
            self.unescaped.push_str(value);
        }
    }

    /// The root, when the document has one.
    pub fn root(&self) -> Option<Ref<'_>> {
        (!self.nodes.is_empty()).then_some(Ref { tree: self, id: 0 })
    }

    /// The value at `path`, through aliases and merged mappings.
    pub fn find(&self, path: &Path) -> Option<Found<'_>> {
        let mut found = Found { key: None, value: self.root()? };
        for step in path.steps() {
            let value = found.value.resolved();
            found = match step {
                Step::Index(n) => Found { key: None, value: value.items().nth(*n)? },
                Step::Key(name) => value.get(name)?,
            };
        }
        Some(found)
    }
}

impl Node {
    fn span(&self) -> Span {
        Span {
            line: self.line.max(1),
            column: self.column,
            offset: self.start as usize,
            len: (self.end - self.start.min(self.end)) as usize,
        }
    }
}

impl<'t> Ref<'t> {
    fn node(&self) -> &'t Node {
        &self.tree.nodes[self.id as usize]
    }

    /// The node itself or, for an alias, what it stands for.
    pub fn resolved(self) -> Ref<'t> {
        let mut at = self;
        // An alias can only name what stands before it, so this ends.
        while at.node().kind == Kind::Alias && at.node().a < at.id {
            at.id = at.node().a;
        }
        at
    }

    /// Whether it stands for another node.
    pub fn is_alias(self) -> bool {
        self.node().kind == Kind::Alias
    }

    /// Whether it is a container written with brackets.
    pub fn is_flow(self) -> bool {
        matches!(self.node().kind, Kind::Sequence | Kind::Mapping) && self.node().flag
    }

    /// What it is, seen through an alias.
    pub fn shape(self) -> Shape<'t> {
        let node = self.resolved().node();
        match node.kind {
            Kind::Sequence => Shape::Sequence,
            Kind::Mapping => Shape::Mapping,
            Kind::Plain | Kind::Quoted | Kind::Alias => {
                let source = if node.flag { &self.tree.unescaped } else { self.tree.text };
                let text = source.get(node.a as usize..(node.a + node.b) as usize).unwrap_or("");
                Shape::Scalar { text, plain: node.kind == Kind::Plain }
            }
        }
    }

    /// Its text, when it is a scalar.
    pub fn text(self) -> Option<&'t str> {
        match self.shape() {
            Shape::Scalar { text, .. } => Some(text),
            Shape::Sequence | Shape::Mapping => None,
        }
    }

    fn children(self) -> impl Iterator<Item = Ref<'t>> + Clone {
        let node = self.node();
        let range = match node.kind {
            Kind::Sequence | Kind::Mapping => node.a as usize..(node.a + node.b) as usize,
            Kind::Plain | Kind::Quoted | Kind::Alias => 0..0,
        };
        let tree = self.tree;
        tree.children.get(range).unwrap_or_default().iter().map(move |&id| Ref { tree, id })
    }

    /// The entries of a list.
    pub fn items(self) -> impl Iterator<Item = Ref<'t>> + Clone {
        let list = self.node().kind == Kind::Sequence;
        self.children().take(if list { usize::MAX } else { 0 })
    }

    /// Keys and values of a mapping.
    pub fn entries(self) -> impl Iterator<Item = (Ref<'t>, Ref<'t>)> {
        let mapping = self.node().kind == Kind::Mapping;
        let mut all = self.children().take(if mapping { usize::MAX } else { 0 });
        std::iter::from_fn(move || Some((all.next()?, all.next()?)))
    }

    /// The value under `name`, its own or a merged one.
    pub fn get(self, name: &str) -> Option<Found<'t>> {
        let own = self.entries().find(|(key, _)| key.text() == Some(name));
        if let Some((key, value)) = own {
            return Some(Found { key: Some(key), value });
        }
        let merged = self.entries().filter(|(key, _)| key.text() == Some("<<"));
        merged.flat_map(|(_, value)| value.merged()).find_map(|map| {
            let (key, value) = map.entries().find(|(key, _)| key.text() == Some(name))?;
            Some(Found { key: Some(key), value })
        })
    }

    /// The mappings that a value of `<<` names.
    fn merged(self) -> Vec<Ref<'t>> {
        let value = self.resolved();
        match value.node().kind {
            Kind::Mapping => vec![value],
            Kind::Sequence => value.items().map(Ref::resolved).collect(),
            Kind::Plain | Kind::Quoted | Kind::Alias => Vec::new(),
        }
    }

    /// Where it stands: all of a scalar, the beginning of a container.
    pub fn span(self) -> Span {
        let node = self.node();
        let mut span = node.span();
        match node.kind {
            // A block of keys begins with its first key; the excerpt marks that.
            Kind::Mapping => match self.children().next() {
                Some(first) if !node.flag => return first.span(),
                Some(_) | None => span.len = 1,
            },
            Kind::Sequence => span.len = 1,
            Kind::Plain | Kind::Quoted | Kind::Alias => {}
        }
        span
    }

    /// The offset in bytes behind its last character (containers: behind the closing bracket, or where the block ends).
    pub fn end(self) -> usize {
        self.node().end as usize
    }
}

/// A document with more values than anybody means.
pub(super) fn too_many(span: Span, most: usize) -> Problem {
    Problem::error(Code::YamlSyntax, format!("it stands for more than {most} values"))
        .at(Label::here(span, "one too many"))
        .help("split it into several plans; every use of an alias counts anew")
}

fn scan_problem(error: &granit_parser::ScanError, text: &str) -> Problem {
    let marker = error.marker();
    let span = Span {
        line: marker.line() as u32,
        column: marker.col() as u32 + 1,
        offset: marker.byte_offset().unwrap_or(0),
        len: 0,
    };
    let info = match error.info().as_str() {
        // The event parser's own limit, far above ours.
        "recursion limit exceeded" => format!("it is nested deeper than {MAX_DEPTH}"),
        other => other.to_owned(),
    };
    let problem = Problem::error(Code::YamlSyntax, info.clone());
    let problem = problem.at(Label::here(span.within(text), "here"));
    match info.as_str() {
        i if i.contains("nested") => {
            problem.help("no plan needs this many brackets; was one not closed?")
        }
        i if i.contains("tab") => problem.help("indent with spaces: YAML takes no tabs there"),
        i if i.contains("unknown anchor") => problem.help(
            "an alias needs an anchor of its name before it; quote a text that begins with `*`",
        ),
        i if i.contains("unexpected character") => {
            problem.help("quote a text that begins with `@`, `` ` `` or `%`")
        }
        i if i.contains("mapping values") => {
            problem.help("quote a text that holds `: `; otherwise look at the indentation")
        }
        _ => problem,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str) -> Problem {
        match Tree::read(text, MAX_VALUES) {
            Err(Refusal::Wrong(problem)) => *problem,
            other => panic!("{other:?}"),
        }
    }

    fn text_at(text: &str, path: Path) -> Option<String> {
        let tree = Tree::read(text, MAX_VALUES).unwrap();
        tree.find(&path).and_then(|f| f.value.text().map(str::to_owned))
    }

    #[test]
    fn a_value_is_found_through_lists_aliases_and_merged_mappings() {
        let text = "common: &c {model: 'it''s', env: [x]}\ntasks:\n  - {<<: *c, id: a}\n  - *c\n";
        assert_eq!(text_at(text, Path::task(0).key("id")).as_deref(), Some("a"));
        assert_eq!(text_at(text, Path::task(0).key("model")).as_deref(), Some("it's"));
        assert_eq!(text_at(text, Path::task(1).key("env").index(0)).as_deref(), Some("x"));
        assert_eq!(text_at(text, Path::task(2)), None);
        assert_eq!(text_at(text, Path::task(0).key("run")), None);
    }

    #[test]
    fn a_span_covers_the_value_where_it_stands() {
        let text = "é: 1\ntasks:\n  - id: \"a b\"\n";
        let tree = Tree::read(text, MAX_VALUES).unwrap();
        let span = tree.find(&Path::task(0).key("id")).unwrap().value.span();
        assert_eq!((span.line, span.column), (3, 9));
        assert_eq!(&text[span.offset..span.offset + span.len], "\"a b\"");
    }

    #[test]
    fn aliases_that_multiply_are_refused_before_they_do() {
        let mut text = String::from("a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n");
        for n in 1..10 {
            text.push_str(&format!(
                "a{n}: &a{n} [{}]\n",
                vec![format!("*a{}", n - 1); 10].join(",")
            ));
        }
        let problem = refused(&text);
        assert!(problem.message.contains("more than"), "{}", problem.message);
        let problem = refused("a: &a [*a]\n");
        assert!(problem.message.contains("inside what it names"), "{}", problem.message);
    }

    #[test]
    fn what_is_not_yaml_says_where() {
        for (text, line, column) in
            [("a:\n\t- x\n", 2, 2), ("a: [x", 1, 4), ("a: b\n---\nc: d\n", 2, 1)]
        {
            let problem = refused(text);
            assert_eq!(problem.place(), (line, column), "{text:?} {}", problem.message);
        }
        let deep = format!("{}{}", "[".repeat(20_000), "]".repeat(20_000));
        let problem = refused(&deep);
        assert!(problem.message.contains("nested"), "{}", problem.message);
    }
}
