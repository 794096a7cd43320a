//! Adapters for Node.js: Express with both kinds of modules, in JavaScript and TypeScript, and the
//! configuration and middleware of Next.js.

use super::super::Action;
use super::{
    ActionSpec, Adapter, At, Field, Kind, Language, Region, Within, adapter, at, by, form, may,
    need, options, region, setting, spec, strings, wrapped,
};

const IMPORT: &str = r#"^import[\s{"'*]"#;
const REQUIRE: &str = r"^(?:const|let|var)\s+[^=;]*=\s*require\(";
const APP: &str = concat!(
    r"^[ \t]*(?:export\s+)?(?:const|let|var)\s+",
    r"(?P<app>[A-Za-z_$][\w$]*)\s*(?::\s*[\w.]+\s*)?=\s*express\(\)"
);

/// What must come after the routes: the server, error handlers, catch-alls and exports.
const LAST: &str = concat!(
    r"^[ \t]*(?:",
    r"(?:(?:export\s+)?(?:const|let|var)\s+\w+\s*(?::\s*[\w.]+\s*)?=\s*)?(?:await\s+)?",
    r"(?:%app%\.listen|(?:\w+\.)?createServer)\(",
    r"|%app%\.use\(\s*(?:async\s*)?(?:function\s*\w*\s*)?\(\s*\w+\s*(?::[^,()]+)?,",
    r"\s*\w+\s*(?::[^,()]+)?(?:,\s*\w+\s*(?::[^,()]+)?,\s*\w+\s*(?::[^,()]+)?)?,?\s*\)",
    r"|%app%\.use\(\s*[\w.]*(?:[eE]rror|[nN]ot_?[fF]ound|404)\w*",
    r#"|%app%\.(?:all|use|get)\(\s*["'`]/?(?:\{/)?\*"#,
    r"|module\.exports\b|exports\.|export\b|if\s*\(\s*(?:require\.main|import\.meta)\b|return\b",
    r")"
);
const ROUTES: &str = r"^[ \t]*%app%\.(?:use|get|post|put|patch|delete|all|set|route)\(";

pub(super) fn adapters() -> Vec<Adapter> {
    let mut all = Vec::new();
    for esm in [true, false] {
        let files: &[&str] = if esm {
            &["*.js", "*.mjs", "*.ts", "*.mts", "*.jsx", "*.tsx"]
        } else {
            &["*.js", "*.cjs", "*.ts", "*.cts"]
        };
        let name = if esm { "express-esm" } else { "express-commonjs" };
        let mut made = adapter(name, files, Language::Javascript, "//");
        made.contains = strings(&[if esm {
            r#"^import\s+(?:\*\s+as\s+)?express\b[^;]*?from\s*["']express["']"#
        } else {
            r#"^(?:const|let|var)\s+express\s*=\s*require\(\s*["'](?:node:)?express["']\s*\)"#
        }]);
        made.target = Some(APP.to_owned());
        made.regions = vec![
            imports(if esm { IMPORT } else { REQUIRE }),
            region(
                "body",
                vec![
                    by(At::BeforeFirst, LAST, Within::Target),
                    by(At::AfterLast, ROUTES, Within::Target),
                    at(At::AfterTarget),
                ],
            ),
        ];
        made.actions = [
            (Action::AddRouter, add_router(esm)),
            (Action::AddMiddleware, add_middleware(esm)),
            (Action::AddConfig, add_config()),
        ]
        .into();
        all.push(made);
    }
    all.push(next_config());
    all.push(next_middleware());
    all
}

fn imports(pattern: &str) -> Region {
    region("imports", vec![by(At::AfterLast, pattern, Within::Module), at(At::Start)])
}

fn import(esm: bool, what: &str, module: &str) -> String {
    if esm {
        format!("import {what} from {{{module}}};")
    } else {
        format!("const {what} = require({{{module}}});")
    }
}

fn add_router(esm: bool) -> ActionSpec {
    let module: &[&str] = &["router_module", "router_path", "import_from", "module"];
    let router = Field {
        // A dotted name of Python would be taken for a package.
        pattern: Some(r"^(?:\.{1,2}/|@|[A-Za-z0-9_-]+(?:/|$))".to_owned()),
        ..need(Kind::Module, module)
    };
    let prefix = Field { none: Some("/".to_owned()), ..wrapped(Kind::UrlPath, &[], "{}, ") };
    let named: Vec<&str> = module.iter().copied().chain(["router_name"]).collect();
    let alias = Field { wrap: Some("{}Router".to_owned()), ..need(Kind::Alias, &named) };
    let one = if esm { "{{ {router_name} as {alias} }}" } else { "{{ {router_name}: {alias} }}" };
    let body: (&str, &[&str]) = ("body", &["{app}.use({prefix}{alias});"]);
    spec(
        &["prefix", "router_module", "router_name"],
        vec![
            ("router_module", router),
            ("router_name", may(Kind::Identifier, &[])),
            ("prefix", prefix),
            ("typescript", wrapped(Kind::Flag, &[], "")),
            ("alias", alias),
        ],
        vec![
            form(&["router_name"], &[("imports", &[&import(esm, one, "router_module")]), body])
                .declaring(&["{alias}"]),
            form(&[], &[("imports", &[&import(esm, "{alias}", "router_module")]), body])
                .declaring(&["{alias}"]),
        ],
    )
}

/// The fields of a middleware, and the line that imports it.
fn middleware() -> Vec<(&'static str, Field)> {
    vec![
        ("middleware_class", need(Kind::Identifier, &["middleware_class", "middleware_name"])),
        ("module", may(Kind::Module, &["import_from", "module", "middleware_module"])),
        ("open", wrapped(Kind::Flag, &["named"], "{ ")),
        ("close", wrapped(Kind::Flag, &["named"], " }")),
        ("typescript", wrapped(Kind::Flag, &[], "")),
    ]
}

fn add_middleware(esm: bool) -> ActionSpec {
    let mut fields = middleware();
    fields.push(("builtin", may(Kind::Flag, &[])));
    fields.push(("handler", may(Kind::Flag, &[])));
    let import = import(esm, "{open}{middleware_class}{close}", "module");
    let imports: (&str, &[&str]) = ("imports", &[&import]);
    let handler: (&str, &[&str]) = ("body", &["{app}.use({middleware_class});"]);
    let made: (&str, &[&str]) = ("body", &["{app}.use({middleware_class}({options}));"]);
    let own: (&str, &[&str]) = ("body", &["{app}.use(express.{middleware_class}({options}));"]);
    let declared = ["{middleware_class}"];
    let used = ["middleware_class"];
    let all = spec(
        &["middleware_class"],
        fields,
        vec![
            form(&["builtin"], &[own]),
            form(&["module", "handler"], &[imports, handler]).declaring(&declared),
            form(&["handler"], &[handler]).using(&used),
            form(&["module"], &[imports, made]).declaring(&declared),
            form(&[], &[made]).using(&used),
        ],
    );
    options(all, "{name}: {value}", ", ", Some("{ {} }"))
}

fn add_config() -> ActionSpec {
    let key = Field { pattern: Some(r"^[A-Za-z][\w .-]*$".to_owned()), ..need(Kind::Literal, &[]) };
    spec(
        &["key"],
        vec![
            ("key", key),
            ("value", need(Kind::Literal, &[])),
            ("description", may(Kind::Remark, &[])),
        ],
        vec![form(&[], &[("body", &["// {description}", "{app}.set({key}, {value});"])])],
    )
}

fn next_config() -> Adapter {
    let files = ["next.config.js", "next.config.mjs", "next.config.cjs", "next.config.ts"];
    let mut made = adapter("nextjs-config", &files, Language::Javascript, "//");
    made.target = Some(
        concat!(
            r"^(?:(?:const|let|var)\s+\w*[cC]onfig\w*\s*(?::\s*[\w.]+\s*)?=",
            r"|module\.exports\s*=|export\s+default)\s*\{"
        )
        .to_owned(),
    );
    made.regions = vec![region("body", vec![at(At::InsideStart)])];
    made.actions = [(Action::AddConfig, setting("body", "//", "{key}: {value},", "{key}:"))].into();
    made
}

/// A function that is awaited with the request and answers it, or gives nothing back.
fn next_middleware() -> Adapter {
    let files = ["middleware.ts", "middleware.js", "proxy.ts", "proxy.js"];
    let mut made = adapter("nextjs-middleware", &files, Language::Javascript, "//");
    made.target = Some(
        concat!(
            r"^export\s+(?:default\s+)?async\s+function\s+(?:middleware|proxy)\s*",
            r"\(\s*(?P<request>[A-Za-z_$][\w$]*)[^(){}]*\)[^(){};]*\{"
        )
        .to_owned(),
    );
    made.regions = vec![imports(IMPORT), region("body", vec![at(At::InsideStart)])];
    let import = import(true, "{open}{middleware_class}{close}", "module");
    let result = "{middleware_class}Response";
    let call = format!("const {result} = await {{middleware_class}}({{request}}{{options}});");
    let give = format!("if ({result}) return {result};");
    let body: (&str, &[&str]) = ("body", &[&call, &give]);
    let all = spec(
        &["middleware_class"],
        middleware(),
        vec![
            form(&["module"], &[("imports", &[&import]), body])
                .declaring(&["{middleware_class}", result]),
            form(&[], &[body]).using(&["middleware_class"]).declaring(&[result]),
        ],
    );
    let all = options(all, "{name}: {value}", ", ", Some(", { {} }"));
    made.actions = [(Action::AddMiddleware, all)].into();
    made
}
