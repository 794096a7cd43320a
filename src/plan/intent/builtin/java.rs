//! The adapter for Spring: a configuration class to which beans are added. Each bean is complete in
//! itself, so that a class may also implement `WebMvcConfigurer` or have such methods already.

use super::super::Action;
use super::{
    ActionSpec, Adapter, At, Field, Kind, Language, Within, adapter, at, by, form, may, need,
    region, spec, wrapped,
};

const CLASS: &str = concat!(
    r"^@(?:Configuration|SpringBootApplication|SpringBootConfiguration|AutoConfiguration)\b",
    r"(?:\s*\([^()]*\))?(?:\s*@\w[\w.]*(?:\s*\([^()]*\))?)*\s*",
    r"(?:(?:public|final|abstract)\s+)*class\s+\w+[^{;]*\{"
);
const BEAN: &str = "import org.springframework.context.annotation.Bean;";
const CONFIGURER: &str =
    "import org.springframework.web.servlet.config.annotation.WebMvcConfigurer;";

pub(super) fn adapters() -> Vec<Adapter> {
    let mut made = adapter("spring", &["*.java"], Language::Java, "//");
    made.target = Some(CLASS.to_owned());
    made.regions = vec![
        region(
            "imports",
            vec![
                by(At::AfterLast, r"^import\s", Within::Module),
                by(At::AfterLast, r"^package\s", Within::Module),
                at(At::Start),
            ],
        ),
        region("body", vec![at(At::InsideEnd)]),
    ];
    made.actions = [
        (Action::AddRouter, add_router()),
        (Action::AddMiddleware, add_middleware()),
        (Action::AddDependency, add_dependency()),
    ]
    .into();
    vec![made]
}

/// A prefix for the paths of every controller in a package.
fn add_router() -> ActionSpec {
    let bean =
        Field { wrap: Some("{}PathPrefix".to_owned()), ..need(Kind::Alias, &["router_module"]) };
    let imports: &[&str] = &[
        BEAN,
        "import org.springframework.web.method.HandlerTypePredicate;",
        "import org.springframework.web.servlet.config.annotation.PathMatchConfigurer;",
        CONFIGURER,
    ];
    let body: &[&str] = &[
        "@Bean",
        "public WebMvcConfigurer {bean}() {{",
        "    return new WebMvcConfigurer() {{",
        "        @Override",
        "        public void configurePathMatch(PathMatchConfigurer configurer) {{",
        "            configurer.addPathPrefix(",
        "                {prefix}, HandlerTypePredicate.forBasePackage({package}));",
        "        }}",
        "    }};",
        "}}",
    ];
    spec(
        &["prefix", "router_module"],
        vec![
            ("router_module", need(Kind::Dotted, &[])),
            ("package", need(Kind::Literal, &["router_module"])),
            ("prefix", need(Kind::UrlPath, &[])),
            ("tags", wrapped(Kind::List, &[], "{}")),
            ("bean", bean),
        ],
        vec![form(&[], &[("imports", imports), ("body", body)]).declaring(&["{bean}"])],
    )
}

/// A servlet filter, or an interceptor when it is said to be one.
fn add_middleware() -> ActionSpec {
    let own = "import {module}.{middleware_class};";
    // Digits only, so that it can be written as it is.
    let order = Field { pattern: Some(r"^-?[0-9]{1,9}$".to_owned()), ..may(Kind::Line, &[]) };
    let registration = "import org.springframework.boot.web.servlet.FilterRegistrationBean;";
    let registry = "import org.springframework.web.servlet.config.annotation.InterceptorRegistry;";
    let filter: &[&str] = &[
        "@Bean",
        "public FilterRegistrationBean<{middleware_class}> register{middleware_class}() {{",
        "    FilterRegistrationBean<{middleware_class}> registration =",
        "        new FilterRegistrationBean<>(new {middleware_class}());",
        "    registration.addUrlPatterns({url_patterns});",
        "    registration.setOrder({order});",
        "    return registration;",
        "}}",
    ];
    let interceptor: &[&str] = &[
        "@Bean",
        "public WebMvcConfigurer register{middleware_class}() {{",
        "    return new WebMvcConfigurer() {{",
        "        @Override",
        "        public void addInterceptors(InterceptorRegistry registry) {{",
        "            registry.addInterceptor(new {middleware_class}()){patterns}{rank};",
        "        }}",
        "    }};",
        "}}",
    ];
    let names = ["register{middleware_class}", "{middleware_class}"];
    let used = ["middleware_class"];
    spec(
        &["middleware_class"],
        vec![
            ("middleware_class", need(Kind::Identifier, &["middleware_class", "middleware_name"])),
            ("module", may(Kind::Dotted, &["import_from", "module", "middleware_module"])),
            ("url_patterns", may(Kind::Arguments, &[])),
            ("patterns", wrapped(Kind::Arguments, &["url_patterns"], ".addPathPatterns({})")),
            ("order", order.clone()),
            ("rank", Field { of: vec!["order".into()], wrap: Some(".order({})".into()), ..order }),
            ("interceptor", may(Kind::Flag, &[])),
        ],
        vec![
            form(
                &["interceptor", "module"],
                &[("imports", &[BEAN, registry, CONFIGURER, own]), ("body", interceptor)],
            )
            .declaring(&names),
            form(
                &["interceptor"],
                &[("imports", &[BEAN, registry, CONFIGURER]), ("body", interceptor)],
            )
            .declaring(&["register{middleware_class}"])
            .using(&used),
            form(&["module"], &[("imports", &[BEAN, registration, own]), ("body", filter)])
                .declaring(&names),
            form(&[], &[("imports", &[BEAN, registration]), ("body", filter)])
                .declaring(&["register{middleware_class}"])
                .using(&used),
        ],
    )
}

/// A bean; Spring keeps one of each, so that `cache` and `is_async` change nothing.
fn add_dependency() -> ActionSpec {
    let body: &[&str] =
        &["@Bean", "public {result} {function_name}() {{", "    return new {import_name}();", "}}"];
    spec(
        &["function_name"],
        vec![
            ("function_name", need(Kind::Identifier, &[])),
            ("result", need(Kind::Type, &["return_type", "import_name"])),
            ("module", may(Kind::Dotted, &["import_from", "module"])),
            ("import_name", need(Kind::Identifier, &["import_name", "return_type"])),
            ("is_async", wrapped(Kind::Flag, &[], "")),
            ("cache", wrapped(Kind::Flag, &[], "")),
        ],
        vec![
            form(
                &["module"],
                &[("imports", &[BEAN, "import {module}.{import_name};"]), ("body", body)],
            )
            .declaring(&["{function_name}", "{import_name}"])
            .using(&["result"]),
            form(&[], &[("imports", &[BEAN]), ("body", body)])
                .declaring(&["{function_name}"])
                .using(&["import_name", "result"]),
        ],
    )
}
