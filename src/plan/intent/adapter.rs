//! An adapter as data: which files it fits, where its regions go and what an action writes there.
//! It does not know how a text is read or changed.

use std::collections::{BTreeMap, BTreeSet};

use regex::Regex;
use schemars::JsonSchema;
use serde::Deserialize;

use super::text::Language;
use super::{Action, template};

/// How intents are written into one kind of file.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Adapter {
    /// Its name, for messages.
    pub name: String,
    /// Names of files that it may fit, without directories; `*` stands for anything.
    pub files: Vec<String>,
    /// Regular expressions of which each must occur in the file; `^` and `$` are a line's ends.
    #[serde(default)]
    pub contains: Vec<String>,
    /// Regular expressions of which none may occur in the file.
    #[serde(default)]
    pub lacks: Vec<String>,
    /// How literals are written and how comments, strings and brackets are told apart.
    pub language: Language,
    /// How a comment is written.
    pub comment: Comment,
    /// A regular expression for the statement or block that intents are about, such as the one
    /// that makes the application. It must match exactly once; its named groups can be used in
    /// templates as `{name}` and in anchors as `%name%`.
    #[serde(default)]
    pub target: Option<String>,
    /// The regions, in the order in which they are made.
    pub regions: Vec<Region>,
    /// What each action writes; an action that is not here is not for this adapter.
    pub actions: BTreeMap<Action, ActionSpec>,
}

/// How a comment that fills a line is written.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Comment {
    /// What it begins with.
    pub prefix: String,
    /// What it ends with, such as `-->`.
    #[serde(default)]
    pub suffix: String,
}

/// A part of the file that only the engine writes.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Region {
    /// Its name in the markers: lower-case letters.
    pub name: String,
    /// Whether each line is an entry of its own, as imports are: two tasks can then share one.
    #[serde(default)]
    pub per_line: bool,
    /// Where it goes at first; the first of these that there is.
    pub anchors: Vec<Anchor>,
}

/// A place in a file.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Anchor {
    /// Where.
    pub at: At,
    /// For `after_last` and `before_first`: what a statement there begins with.
    #[serde(default)]
    pub pattern: Option<String>,
    /// For `after_last` and `before_first`: which statements count.
    #[serde(default)]
    pub within: Within,
}

/// Where a region goes, relative to its anchor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum At {
    /// After the last statement that matches the pattern.
    AfterLast,
    /// Before the first statement that matches the pattern.
    BeforeFirst,
    /// After the target's statement.
    AfterTarget,
    /// After the bracket with which the target's match ends.
    InsideStart,
    /// Before the bracket that closes the one with which the target's match ends.
    InsideEnd,
    /// At the top, after comments, a docstring or directives such as "use strict".
    Start,
    /// At the end of the file.
    End,
}

/// Which statements an anchor's pattern is compared with.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Within {
    /// Those at the outermost level, and before the target if there is one.
    #[default]
    Module,
    /// Those at the outermost level, anywhere.
    File,
    /// Those after the target and in the same block.
    Target,
}

/// What an action writes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ActionSpec {
    /// The values that it takes, by the names that templates use.
    #[serde(default)]
    pub fields: BTreeMap<String, Field>,
    /// Further values as options of the call; none are taken unless given.
    #[serde(default)]
    pub options: Option<Options>,
    /// The fields by which a task's entry is found again; the entry itself when empty.
    #[serde(default)]
    pub identity: Vec<String>,
    /// What is written; the first form whose needs are met.
    pub forms: Vec<Form>,
}

/// One way to write an action.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Form {
    /// Optional fields that must be given (and not false) for this form.
    #[serde(default)]
    pub needs: Vec<String>,
    /// Names that the written code declares: a second declaration is refused.
    #[serde(default)]
    pub declares: Vec<String>,
    /// Fields whose names must already be in use in the file.
    #[serde(default)]
    pub in_scope: Vec<String>,
    /// Template lines by region. `{field}` is replaced; `{{` and `}}` are braces; a line that comes
    /// out empty, or that names a field that is not given and has no `wrap`, is left out.
    pub code: BTreeMap<String, Vec<String>>,
}

/// A value that an action takes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Field {
    /// What it has to be; decides how it is checked and written.
    pub kind: Kind,
    /// The names under which a plan may give it, the first that is given counts; its own name
    /// unless given. An alias is made of all of them.
    #[serde(default)]
    pub of: Vec<String>,
    /// Whether it may be missing.
    #[serde(default)]
    pub optional: bool,
    /// What it is when it is missing, as a plan would give it.
    #[serde(default)]
    pub default: Option<String>,
    /// A text that means the same as leaving it out.
    #[serde(default)]
    pub none: Option<String>,
    /// A regular expression that the text must match.
    #[serde(default)]
    pub pattern: Option<String>,
    /// For lists: what each item becomes, with the item at `{}`.
    #[serde(default)]
    pub each: Option<String>,
    /// What is written around it at `{}`; nothing is written when it is not given. For an alias:
    /// the whole name.
    #[serde(default)]
    pub wrap: Option<String>,
}

/// What a value has to be.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A dotted name, `src.routes.auth`, written as it is.
    Dotted,
    /// A module specifier, `./routes/auth` or `@scope/name`, written as a text literal.
    Module,
    /// A name of the language that is none of its keywords.
    Identifier,
    /// A list of such names, written with commas.
    Identifiers,
    /// A type: names, dots and balanced brackets.
    Type,
    /// The path of a URL, written as a text literal.
    UrlPath,
    /// Any text, number, flag or list, written as a literal.
    #[default]
    Literal,
    /// A list of texts, written as a literal.
    List,
    /// A list of texts, written as literals with commas and no brackets.
    Arguments,
    /// A flag: its `wrap` is written when it is true.
    Flag,
    /// A key of a configuration file, written as it is.
    Key,
    /// One line, written as it is.
    Line,
    /// The words of a comment at a line's end.
    Remark,
    /// A name made of the texts of its `of`.
    Alias,
}

/// How values that are no fields are written: `name: value` in the plan, or a list of
/// `name=value` under `options` or `kwargs`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Options {
    /// One of them, with `{name}` and `{value}`.
    pub item: String,
    /// What stands between two.
    #[serde(default)]
    pub join: String,
    /// What is written around all at `{}`; nothing is written when there are none.
    #[serde(default)]
    pub wrap: Option<String>,
}

/// Says what is wrong with an adapter that a user wrote.
///
/// # Errors
///
/// The first thing that is wrong, in words that name the adapter and the place.
pub fn validate(adapter: &Adapter) -> Result<(), String> {
    problem(adapter).map_or(Ok(()), |why| Err(format!("adapter `{}`: {why}", adapter.name)))
}

fn problem(adapter: &Adapter) -> Option<String> {
    if adapter.name.trim().is_empty() {
        return Some("it has no name".into());
    }
    if adapter.files.is_empty() || adapter.files.iter().any(|f| f.is_empty() || f.contains('/')) {
        return Some("files needs names of files without directories, such as \"*.py\"".into());
    }
    let comment = &adapter.comment;
    if comment.prefix.trim().is_empty()
        || format!("{}{}", comment.prefix, comment.suffix).contains(char::is_control)
    {
        return Some("comment.prefix must be what a comment begins with".into());
    }
    let mut names = BTreeSet::new();
    if let Some(target) = &adapter.target {
        match compile(target) {
            Ok(found) => names.extend(found.capture_names().flatten().map(str::to_owned)),
            Err(why) => return Some(format!("target: {why}")),
        }
    }
    for pattern in adapter.contains.iter().chain(&adapter.lacks) {
        if let Err(why) = compile(pattern) {
            return Some(format!("contains or lacks: {why}"));
        }
    }
    let mut regions = BTreeSet::new();
    for region in &adapter.regions {
        if let Some(why) = region_problem(region, adapter.target.is_some()) {
            return Some(format!("region `{}`: {why}", region.name));
        }
        if !regions.insert(region.name.as_str()) {
            return Some(format!("region `{}` is there twice", region.name));
        }
    }
    if adapter.actions.is_empty() {
        return Some("it has no actions".into());
    }
    adapter.actions.iter().find_map(|(action, spec)| {
        action_problem(spec, &regions, &names).map(|why| format!("{}: {why}", action.word()))
    })
}

fn region_problem(region: &Region, target: bool) -> Option<String> {
    if region.name.is_empty() || !region.name.bytes().all(|b| b.is_ascii_lowercase()) {
        return Some("its name must be lower-case letters".into());
    }
    if region.anchors.is_empty() {
        return Some("it has no anchors".into());
    }
    region.anchors.iter().find_map(|anchor| match anchor.at {
        At::AfterLast | At::BeforeFirst => match &anchor.pattern {
            _ if anchor.within == Within::Target && !target => {
                Some("within: target needs a target".into())
            }
            Some(pattern) => compile(&without_names(pattern)).err(),
            None => Some("this anchor needs a pattern".into()),
        },
        At::AfterTarget | At::InsideStart | At::InsideEnd if !target => {
            Some("this anchor needs a target".into())
        }
        At::AfterTarget | At::InsideStart | At::InsideEnd | At::Start | At::End => {
            anchor.pattern.as_ref().map(|_| "this anchor takes no pattern".into())
        }
    })
}

fn action_problem(
    spec: &ActionSpec,
    regions: &BTreeSet<&str>,
    names: &BTreeSet<String>,
) -> Option<String> {
    for (name, field) in &spec.fields {
        if let Some(pattern) = &field.pattern
            && let Err(why) = compile(pattern)
        {
            return Some(format!("field `{name}`: {why}"));
        }
        for wrap in field.wrap.iter().chain(&field.each) {
            if field.kind != Kind::Flag && !wrap.contains("{}") {
                return Some(format!("field `{name}`: wrap and each need {{}} for the value"));
            }
        }
        if field.kind == Kind::Alias && field.of.is_empty() {
            return Some(format!("field `{name}`: an alias needs `of`"));
        }
    }
    let known = |name: &str| {
        spec.fields.contains_key(name)
            || names.contains(name)
            || (name == "options" && spec.options.is_some())
    };
    let missing = |name: &String| {
        (!known(name)).then(|| format!("`{name}` is neither a field nor a name in the target"))
    };
    if spec.forms.is_empty() {
        return Some("it has no forms".into());
    }
    if let Some(why) = spec.identity.iter().find_map(missing) {
        return Some(format!("identity: {why}"));
    }
    for form in &spec.forms {
        if let Some(why) = form.needs.iter().chain(&form.in_scope).find_map(missing) {
            return Some(why);
        }
        for (region, lines) in &form.code {
            if !regions.contains(region.as_str()) {
                return Some(format!("there is no region `{region}`"));
            }
            for line in lines {
                match template::names(line) {
                    Ok(used) => {
                        if let Some(why) = used.iter().find_map(missing) {
                            return Some(why);
                        }
                    }
                    Err(why) => return Some(format!("template `{line}`: {why}")),
                }
            }
        }
    }
    None
}

/// A regular expression in which `^` and `$` are a line's ends, also with CRLF.
pub(super) fn compile(pattern: &str) -> Result<Regex, String> {
    Regex::new(&format!("(?mR){pattern}")).map_err(|error| {
        let text = error.to_string();
        let last = text.lines().last().unwrap_or_default().trim();
        format!("`{pattern}` is no regular expression: {}", last.trim_start_matches("error: "))
    })
}

/// An anchor's pattern with the target's names replaced by a word, to see whether it compiles.
fn without_names(pattern: &str) -> String {
    with_names(pattern, |_| Some("name".into()))
}

/// Replaces `%name%` by what the target's group of that name matched.
pub(super) fn with_names(pattern: &str, value: impl Fn(&str) -> Option<String>) -> String {
    let mut out = String::new();
    let mut rest = pattern;
    while let Some((before, after)) = rest.split_once('%') {
        out.push_str(before);
        match after.split_once('%') {
            Some((name, tail))
                if !name.is_empty() && name.bytes().all(|b| b.is_ascii_lowercase()) =>
            {
                out.push_str(&value(name).map_or_else(String::new, |v| regex::escape(&v)));
                rest = tail;
            }
            Some(_) | None => {
                out.push('%');
                rest = after;
            }
        }
    }
    out.push_str(rest);
    out
}
