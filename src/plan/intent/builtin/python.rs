//! Adapters for Python: FastAPI's application and routers, and any module for what needs neither.

use super::super::Action;
use super::{
    ActionSpec, Adapter, At, Field, Kind, Language, Region, Within, adapter, at, by, form, may,
    need, options, region, setting, spec, strings, wrapped,
};

const IMPORT: &str = r"^(?:import|from)\s+\S";
const FASTAPI: &str = r"^\s*(?:from\s+fastapi\b|import\s+fastapi\b)";
const APP: &str = r"^[ \t]*(?P<app>[A-Za-z_]\w*)(?:\s*:\s*[\w.]+)?\s*=\s*(?:fastapi\.)?FastAPI\(";
const ROUTER: &str =
    r"^[ \t]*(?P<app>[A-Za-z_]\w*)(?:\s*:\s*[\w.]+)?\s*=\s*(?:fastapi\.)?APIRouter\(";

pub(super) fn adapters() -> Vec<Adapter> {
    let mut app = adapter("fastapi", &["*.py"], Language::Python, "#");
    app.contains = strings(&[FASTAPI]);
    app.target = Some(APP.to_owned());
    app.regions = regions(true);
    app.actions = [
        (Action::AddRouter, add_router()),
        (Action::AddMiddleware, add_middleware()),
        (Action::AddDependency, add_dependency()),
        (Action::AddConfig, setting("definitions", "#", "{key} = {value}", "{key}")),
    ]
    .into();
    let mut router = app.clone();
    router.name = "fastapi-router".to_owned();
    router.target = Some(ROUTER.to_owned());
    // Where there are applications that were not understood, a router is not the next best thing.
    router.lacks = strings(&[r"\bFastAPI\("]);
    router.actions.remove(&Action::AddMiddleware);
    let mut module = adapter("python", &["*.py"], Language::Python, "#");
    module.regions = regions(false);
    module.actions = app
        .actions
        .iter()
        .filter(|(action, _)| matches!(action, Action::AddDependency | Action::AddConfig))
        .map(|(action, spec)| (*action, spec.clone()))
        .collect();
    vec![app, router, module]
}

fn regions(target: bool) -> Vec<Region> {
    let after_imports = || vec![by(At::AfterLast, IMPORT, Within::Module), at(At::Start)];
    let mut all = vec![region("imports", after_imports()), region("definitions", after_imports())];
    if target {
        all.push(region("body", vec![at(At::AfterTarget)]));
    }
    all
}

fn add_router() -> ActionSpec {
    let prefix = Field {
        none: Some("/".to_owned()),
        // FastAPI refuses a prefix that ends in a slash.
        pattern: Some("^(?:/.*[^/])?$".to_owned()),
        ..wrapped(Kind::UrlPath, &[], ", prefix={}")
    };
    let dependencies = Field {
        each: Some("Depends({})".to_owned()),
        ..wrapped(Kind::Identifiers, &[], ", dependencies=[{}]")
    };
    let name = Field { default: Some("router".to_owned()), ..may(Kind::Identifier, &[]) };
    let alias = Field {
        wrap: Some("{}_router".to_owned()),
        ..need(Kind::Alias, &["router_module", "router_name"])
    };
    let import = "from {router_module} import {router_name} as {alias}";
    let body: &[&str] = &["{app}.include_router({alias}{prefix}{tags}{dependencies})"];
    spec(
        &["prefix", "router_module", "router_name"],
        vec![
            ("router_module", need(Kind::Dotted, &[])),
            ("router_name", name),
            ("prefix", prefix),
            ("tags", wrapped(Kind::List, &[], ", tags={}")),
            ("dependencies", dependencies),
            ("alias", alias),
        ],
        vec![
            form(
                &["dependencies"],
                &[("imports", &["from fastapi import Depends", import]), ("body", body)],
            )
            .declaring(&["{alias}"])
            .using(&["dependencies"]),
            form(&[], &[("imports", &[import]), ("body", body)]).declaring(&["{alias}"]),
        ],
    )
}

fn add_middleware() -> ActionSpec {
    let body: (&str, &[&str]) = ("body", &["{app}.add_middleware({middleware_class}{options})"]);
    let made = spec(
        &["middleware_class"],
        vec![
            ("middleware_class", need(Kind::Identifier, &["middleware_class", "middleware_name"])),
            ("module", may(Kind::Dotted, &["import_from", "module", "middleware_module"])),
        ],
        vec![
            form(&["module"], &[("imports", &["from {module} import {middleware_class}"]), body])
                .declaring(&["{middleware_class}"]),
            form(&[], &[body]).using(&["middleware_class"]),
        ],
    );
    options(made, ", {name}={value}", "", None)
}

fn add_dependency() -> ActionSpec {
    let import = "from {module} import {import_name}";
    let head = "{is_async}def {function_name}(){return_type}:";
    let tail = "    return {import_name}()";
    let provider: (&str, &[&str]) = ("definitions", &[head, tail]);
    // A cached coroutine can be awaited only once, so that what is cached is never async.
    let cached: &[&str] = &["@lru_cache", "def {function_name}(){return_type}:", tail];
    spec(
        &["function_name"],
        vec![
            ("function_name", need(Kind::Identifier, &[])),
            ("return_type", wrapped(Kind::Type, &[], " -> {}")),
            ("module", may(Kind::Dotted, &["import_from", "module"])),
            ("import_name", may(Kind::Identifier, &[])),
            ("is_async", wrapped(Kind::Flag, &[], "async ")),
            ("cache", wrapped(Kind::Flag, &[], "")),
        ],
        vec![
            form(
                &["import_name", "module", "cache"],
                &[
                    ("imports", &["from functools import lru_cache", import]),
                    ("definitions", cached),
                ],
            )
            .declaring(&["{function_name}", "{import_name}"])
            .using(&["return_type"]),
            form(&["import_name", "module"], &[("imports", &[import]), provider])
                .declaring(&["{function_name}", "{import_name}"])
                .using(&["return_type"]),
            form(
                &["import_name", "cache"],
                &[("imports", &["from functools import lru_cache"]), ("definitions", cached)],
            )
            .declaring(&["{function_name}"])
            .using(&["import_name", "return_type"]),
            form(&["import_name"], &[provider])
                .declaring(&["{function_name}"])
                .using(&["import_name", "return_type"]),
            form(&["module"], &[("imports", &["from {module} import {function_name}"])])
                .declaring(&["{function_name}"]),
        ],
    )
}
