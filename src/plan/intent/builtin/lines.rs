//! Adapters for files that are lines: settings and lists. All they write goes to one region at the
//! end (TOML: before the first table).

use super::super::Action;
use super::{
    ActionSpec, Adapter, At, Comment, Field, Kind, Language, Within, adapter, at, by, form, need,
    region, setting, spec, strings,
};

/// A backslash at the very end would join the file's last line with ours.
const JOINED: &str = r"\\\s*\z";

fn append_line() -> ActionSpec {
    let line = need(Kind::Line, &["line", "text", "content"]);
    spec(&[], vec![("line", line)], vec![form(&[], &[("lines", &["{line}"])])])
}

fn at_end(name: &str, files: &[&str], language: Language, mark: &str) -> Adapter {
    let mut made = adapter(name, files, language, mark);
    made.lacks = strings(&[JOINED]);
    made.regions = vec![region("lines", vec![at(At::End)])];
    made
}

pub(super) fn adapters() -> Vec<Adapter> {
    let config = |mark: &str, line: &str| setting("lines", mark, line, "{key}");
    let both = |mark: &str, line: &str| {
        [(Action::AddConfig, config(mark, line)), (Action::AppendLine, append_line())].into()
    };

    let mut properties = at_end("properties", &["*.properties"], Language::Properties, "#");
    properties.actions = both("#", "{key}={value}");

    let examples =
        ["*.env.example", "*.env.sample", "*.env.template", "*.env.dist", "*.env.defaults"];
    let mut env = at_end("env", &examples, Language::Env, "#");
    env.actions = both("#", "{key}={value}");

    // Spring reads `server.port: 1` at the top as it does the nested form; other readers of YAML
    // do not, so that only its own files are taken.
    let files = ["application*.yml", "application*.yaml"];
    let mut yaml = at_end("spring-yaml", &files, Language::Yaml, "#");
    yaml.contains = strings(&[r#"\A(?:\s|#.*$)*\z|^["']?[A-Za-z_][\w.-]*["']?\s*:(?:\s|$)"#]);
    // A second document may be for one profile only.
    yaml.lacks.extend(strings(&[r"(?s:\A.+?)^---", r"^\.\.\.", r"\A\s*[\[{]"]));
    yaml.actions = [(Action::AddConfig, config("#", "{key}: {value}"))].into();

    let mut toml = adapter("toml", &["*.toml"], Language::Toml, "#");
    toml.regions =
        vec![region("lines", vec![by(At::BeforeFirst, r"^\[", Within::File), at(At::End)])];
    toml.actions = [(Action::AddConfig, config("#", "{key} = {value}"))].into();

    // A setting at the end of a file with sections would be in its last section.
    let mut flat = at_end("ini", &["*.ini", "*.cfg"], Language::Properties, ";");
    let mut lines = flat.clone();
    flat.lacks.push(r"^\s*\[".to_owned());
    let mut simple = config(";", "{key} = {value}");
    simple.fields.insert(
        "value".to_owned(),
        Field {
            pattern: Some(r"^(?:[\w./:@+-](?:[\w./:@+, -]*[\w./:@+-])?)?$".to_owned()),
            ..need(Kind::Literal, &[])
        },
    );
    flat.actions = [(Action::AddConfig, simple)].into();
    lines.name = "ini-lines".to_owned();
    lines.actions = [(Action::AppendLine, append_line())].into();

    let lists = [
        "*.txt",
        ".gitignore",
        ".dockerignore",
        ".npmignore",
        ".prettierignore",
        ".eslintignore",
        ".gitattributes",
        "CODEOWNERS",
        "MANIFEST.in",
        "requirements*.in",
    ];
    let mut list = at_end("list", &lists, Language::Plain, "#");
    list.actions = [(Action::AppendLine, append_line())].into();

    let prose = ["*.md", "*.markdown", "CHANGELOG", "CHANGES"];
    let mut markdown = at_end("markdown", &prose, Language::Plain, "<!--");
    markdown.comment = Comment { prefix: "<!--".to_owned(), suffix: "-->".to_owned() };
    markdown.actions = [(Action::AppendLine, append_line())].into();

    vec![properties, env, yaml, toml, flat, lines, list, markdown]
}
