//! How many findings of high severity a security scanner's JSON tells of. Runs nothing; a report
//! it cannot read in full is "not parsed", never "no issues".

use serde_json::Value;
use std::collections::BTreeMap;

/// A scanner whose JSON is understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scanner {
    /// `bandit -f json`
    Bandit,
    /// `pip-audit -f json`
    PipAudit,
    /// `npm audit --json`, and what pnpm, yarn (both) and bun print for it
    Node,
    /// `cargo audit --json`
    CargoAudit,
    /// `govulncheck -json`
    Govulncheck,
}

/// What a report says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Parsed {
    /// It is no whole report, with the reason: "not run" or failed, but not green.
    NotParsed(String),
    /// It was read.
    Found {
        /// Findings of high or critical severity, and those that say nothing of their severity.
        high: u32,
        /// All findings.
        total: u32,
        /// The first few of the high ones (of all, when none is high), one line each.
        first: Vec<String>,
    },
}

/// The scanner that a command line runs: the first known name in it, so that
/// `uv export | pip-audit` and `uv run --frozen bandit` are found as well.
pub fn scanner_of(command: &str) -> Option<Scanner> {
    let known = |word: &str| match word {
        "bandit" => Some(Scanner::Bandit),
        "pip-audit" => Some(Scanner::PipAudit),
        "npm" | "pnpm" | "yarn" | "bun" => Some(Scanner::Node),
        "cargo-audit" | "cargo" => Some(Scanner::CargoAudit),
        "govulncheck" => Some(Scanner::Govulncheck),
        _ => None,
    };
    command.split_whitespace().find_map(|word| known(word.rsplit('/').next().unwrap_or(word)))
}

/// One finding; no severity when the scanner told none.
struct Item {
    severity: Option<bool>,
    line: String,
}

/// Reads a scanner's whole output (not a tail of it: half a JSON is none). `tool` is the command
/// line or the scanner's name. Lines around the JSON do not matter. A finding without a severity
/// (all of pip-audit's, cargo audit's without a CVSS) counts as high: nobody said it is harmless.
/// What govulncheck sees only in a required module, and not in a call, does not.
pub fn high_findings(tool: &str, output: &str) -> Parsed {
    let Some(scanner) = scanner_of(tool) else {
        return Parsed::NotParsed("no known scanner".to_owned());
    };
    let values = match documents(output) {
        Ok(values) => values,
        Err(reason) => return Parsed::NotParsed(reason),
    };
    let items = match scanner {
        Scanner::Bandit => bandit(&values),
        Scanner::PipAudit => pip_audit(&values),
        Scanner::Node => node(&values),
        Scanner::CargoAudit => cargo_audit(&values),
        Scanner::Govulncheck => govulncheck(&values),
    };
    match items {
        Ok(items) => count(&items),
        Err(reason) => Parsed::NotParsed(reason),
    }
}

fn count(items: &[Item]) -> Parsed {
    let high: Vec<&Item> = items.iter().filter(|i| i.severity.unwrap_or(true)).collect();
    let number = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    let shown: Vec<&Item> = if high.is_empty() { items.iter().collect() } else { high.clone() };
    let first = shown.iter().take(5).map(|i| line(&i.line)).collect();
    Parsed::Found { high: number(high.len()), total: number(items.len()), first }
}

/// One line of bounded length, without control characters: it is shown on terminals.
fn line(text: &str) -> String {
    let clean = |c: char| if c.is_control() { ' ' } else { c };
    text.chars().map(clean).take(160).collect::<String>().trim().to_owned()
}

/// The JSON values in an output, from the first line that begins one. At most a few beginnings are
/// tried, so that a hostile output costs linear time.
fn documents(output: &str) -> Result<Vec<Value>, String> {
    let mut reason = "no JSON in the output".to_owned();
    let mut at = 0;
    let mut tries = 0;
    for text in output.split_inclusive('\n') {
        let begins = text.starts_with('{') || text.starts_with('[');
        let start = at;
        at += text.len();
        if !begins {
            continue;
        }
        tries += 1;
        if tries > 16 {
            break;
        }
        let rest = output.get(start..).unwrap_or("");
        let mut values = Vec::new();
        let mut end = None;
        for value in serde_json::Deserializer::from_str(rest).into_iter::<Value>() {
            match value {
                Ok(value) => values.push(value),
                Err(error) => {
                    end = Some(error);
                    break;
                }
            }
        }
        match end {
            // What a tool says after its report on stderr may be in the same log.
            Some(error) if !values.is_empty() && !error.is_eof() => return Ok(values),
            Some(error) => {
                reason = format!("the JSON is broken or cut: {}", line(&error.to_string()))
            }
            None => return Ok(values),
        }
    }
    Err(reason)
}

type Items = Result<Vec<Item>, String>;

fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or("")
}

/// High or critical; `None` for what is no known level.
fn level(severity: &str) -> Option<bool> {
    match severity.to_ascii_lowercase().as_str() {
        "high" | "critical" => Some(true),
        "medium" | "moderate" | "low" | "info" | "informational" | "none" => Some(false),
        _ => None,
    }
}

fn bandit(values: &[Value]) -> Items {
    let report = values.iter().find(|v| v.get("results").is_some_and(Value::is_array));
    let report = report.ok_or("no bandit report")?;
    let results = report.get("results").and_then(Value::as_array).ok_or("no bandit report")?;
    let errors = report.get("errors").and_then(Value::as_array).map_or(0, Vec::len);
    let read = report.pointer("/metrics/_totals/loc").and_then(Value::as_u64).unwrap_or(0);
    if results.is_empty() && errors > 0 && read == 0 {
        return Err("bandit could read none of the files".to_owned());
    }
    let item = |r: &Value| Item {
        severity: level(text(r, "/issue_severity")),
        line: format!(
            "{}:{}: {} {}",
            text(r, "/filename"),
            r.get("line_number").and_then(Value::as_u64).unwrap_or(0),
            text(r, "/test_id"),
            text(r, "/issue_text")
        ),
    };
    Ok(results.iter().map(item).collect())
}

fn pip_audit(values: &[Value]) -> Items {
    // Before 2.5 the report was the bare list.
    let list = values.iter().find_map(|v| v.get("dependencies").unwrap_or(v).as_array());
    let list = list.ok_or("no pip-audit report")?;
    // "No known vulnerabilities found" is also said when nothing was looked at.
    if list.is_empty() {
        return Err("pip-audit was given no package".to_owned());
    }
    let audited = list.iter().filter(|d| d.get("vulns").is_some_and(Value::is_array)).count();
    if audited == 0 {
        return Err(format!("pip-audit audited none of {} packages", list.len()));
    }
    let mut items = Vec::new();
    for dependency in list {
        let vulns = dependency.get("vulns").and_then(Value::as_array);
        for vuln in vulns.into_iter().flatten() {
            let (name, version) = (text(dependency, "/name"), text(dependency, "/version"));
            items.push(Item {
                severity: None,
                line: format!("{name} {version}: {}", text(vuln, "/id")),
            });
        }
    }
    Ok(items)
}

fn node(values: &[Value]) -> Items {
    let mut items = Vec::new();
    let mut report = false;
    // What the summary counts and the list does not name must not get lost.
    let mut summary: BTreeMap<&str, u64> = BTreeMap::new();
    let advisory = |a: &Value, name: &str| Item {
        severity: level(text(a, "/severity")),
        line: format!("{name}: {} {}", text(a, "/severity"), text(a, "/title")),
    };
    for value in values {
        if value.get("error").is_some_and(|e| !e.is_null()) || value.get("statusCode").is_some() {
            let said = [text(value, "/message"), text(value, "/error/summary")].join(" ");
            return Err(format!("the audit failed: {}", line(&said)));
        }
        let counted = value.pointer("/metadata/vulnerabilities");
        if let Some(counted) = counted.or_else(|| value.pointer("/data/vulnerabilities")) {
            report = true;
            for name in ["high", "critical"] {
                let number = counted.get(name).and_then(Value::as_u64).unwrap_or(0);
                summary.insert(name, number);
            }
        }
        if let Some(map) = value.get("vulnerabilities").and_then(Value::as_object) {
            report |= value.get("auditReportVersion").is_some();
            items.extend(map.iter().map(|(name, v)| npm_entry(name, v)));
        } else if let Some(map) = value.get("advisories").and_then(Value::as_object) {
            report = true;
            items.extend(map.values().map(|a| advisory(a, text(a, "/module_name"))));
        } else if let Some(a) = value.pointer("/data/advisory") {
            items.push(advisory(a, text(a, "/module_name")));
        } else if let Some(children) = value.get("children") {
            report = true;
            let said = text(children, "/Severity");
            let shown = format!("{}: {said} {}", text(value, "/value"), text(children, "/Issue"));
            items.push(Item { severity: level(said), line: shown });
        } else if let Some(map) = value.as_object().filter(|m| m.values().all(Value::is_array)) {
            // bun: a list of advisories for each package
            report = true;
            let each = map.iter().flat_map(|(name, list)| {
                list.as_array().into_iter().flatten().map(move |a| (name, a))
            });
            items.extend(each.map(|(name, a)| advisory(a, name)));
        }
    }
    if !report {
        return Err("no audit report".to_owned());
    }
    let told: u64 = summary.values().fold(0_u64, |sum, n| sum.saturating_add(*n)).min(100_000);
    let listed = items.iter().filter(|i| i.severity.unwrap_or(true)).count() as u64;
    // yarn counts a package once for each way to it; the count says at least that there is one.
    if listed == 0 {
        let unnamed = |_| Item { severity: Some(true), line: "counted, not named".to_owned() };
        items.extend((0..told).map(unnamed));
    }
    Ok(items)
}

fn npm_entry(name: &str, entry: &Value) -> Item {
    let via = entry.get("via").and_then(Value::as_array);
    let title = via.into_iter().flatten().map(|v| text(v, "/title")).find(|t| !t.is_empty());
    let severity = text(entry, "/severity");
    Item {
        severity: level(severity),
        line: format!("{name} {}: {severity} {}", text(entry, "/range"), title.unwrap_or("")),
    }
}

fn cargo_audit(values: &[Value]) -> Items {
    let report = values.iter().find_map(|v| v.get("vulnerabilities"));
    let report = report.ok_or("no cargo audit report")?;
    let list = report.get("list").and_then(Value::as_array).ok_or("no list of vulnerabilities")?;
    let counted = report.get("count").and_then(Value::as_u64).unwrap_or(0);
    let found = report.get("found").and_then(Value::as_bool).unwrap_or(false);
    if counted > list.len() as u64 || (found && list.is_empty()) {
        return Err("cargo audit counts more vulnerabilities than it lists".to_owned());
    }
    let item = |v: &Value| {
        let vector = text(v, "/advisory/cvss");
        let named = level(text(v, "/advisory/severity"));
        Item {
            severity: cvss3(vector).map(|score| score >= 7.0).or(named),
            line: format!(
                "{} {}: {} {}",
                text(v, "/package/name"),
                text(v, "/package/version"),
                text(v, "/advisory/id"),
                text(v, "/advisory/title")
            ),
        }
    };
    Ok(list.iter().map(item).collect())
}

/// The base score, 0 to 10, of a CVSS 3.0 or 3.1 vector, by the formula of its specification;
/// `None` for another version or a vector that is not whole.
fn cvss3(vector: &str) -> Option<f64> {
    let rest = vector.strip_prefix("CVSS:3.0/").or_else(|| vector.strip_prefix("CVSS:3.1/"))?;
    let metrics: BTreeMap<&str, &str> =
        rest.split('/').take(32).filter_map(|m| m.split_once(':')).collect();
    let get = |name: &str, values: &[(&str, f64)]| {
        let value = metrics.get(name)?;
        values.iter().find(|(letter, _)| letter == value).map(|(_, weight)| *weight)
    };
    let changed = *metrics.get("S")? == "C";
    let attack = get("AV", &[("N", 0.85), ("A", 0.62), ("L", 0.55), ("P", 0.2)])?;
    let complexity = get("AC", &[("L", 0.77), ("H", 0.44)])?;
    let (low, high) = if changed { (0.68, 0.5) } else { (0.62, 0.27) };
    let privileges = get("PR", &[("N", 0.85), ("L", low), ("H", high)])?;
    let interaction = get("UI", &[("N", 0.85), ("R", 0.62)])?;
    let loss = [("H", 0.56), ("L", 0.22), ("N", 0.0)];
    let kept = (1.0 - get("C", &loss)?) * (1.0 - get("I", &loss)?) * (1.0 - get("A", &loss)?);
    let lost = 1.0 - kept;
    let impact =
        if changed { 7.52 * (lost - 0.029) - 3.25 * (lost - 0.02).powi(15) } else { 6.42 * lost };
    if impact <= 0.0 {
        return Some(0.0);
    }
    let exploitability = 8.22 * attack * complexity * privileges * interaction;
    let scale = if changed { 1.08 } else { 1.0 };
    let score = (scale * (impact + exploitability)).min(10.0);
    // Rounded up to one decimal, with the guard against floating point that 3.1 asks for.
    Some(((score * 100_000.0).round() / 10_000.0).ceil() / 10.0)
}

fn govulncheck(values: &[Value]) -> Items {
    if !values.iter().any(|v| v.get("config").is_some()) {
        return Err("no govulncheck report".to_owned());
    }
    let mut called: BTreeMap<&str, (bool, String)> = BTreeMap::new();
    for finding in values.iter().filter_map(|v| v.get("finding")) {
        let id = text(finding, "/osv");
        // One vulnerability is told for the module, again for the package, again for each call.
        let calls = !text(finding, "/trace/0/function").is_empty();
        let module = text(finding, "/trace/0/module");
        let entry = called.entry(id).or_insert_with(|| (false, format!("{module}: {id}")));
        entry.0 |= calls;
    }
    Ok(called.into_values().map(|(calls, line)| Item { severity: Some(calls), line }).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(tool: &str, output: &str) -> Option<(u32, u32)> {
        match high_findings(tool, output) {
            Parsed::NotParsed(_) => None,
            Parsed::Found { high, total, .. } => Some((high, total)),
        }
    }

    /// Printed by bandit 1.9.4, shortened to two of its results.
    const BANDIT: &str = r#"{
  "errors": [],
  "generated_at": "2026-11-20T15:49:06Z",
  "metrics": {"_totals": {"SEVERITY.HIGH": 1, "SEVERITY.LOW": 1, "loc": 7, "nosec": 0}},
  "results": [
    {"code": "1 import subprocess, hashlib, pickle\n", "filename": "./a.py",
     "issue_confidence": "HIGH", "issue_severity": "LOW",
     "issue_text": "Consider possible security implications associated with pickle module.",
     "line_number": 1, "test_id": "B403", "test_name": "blacklist"},
    {"code": "3     subprocess.call(x, shell=True)\n", "filename": "./a.py",
     "issue_confidence": "HIGH", "issue_severity": "HIGH",
     "issue_text": "subprocess call with shell=True identified, security issue.",
     "line_number": 3, "test_id": "B602", "test_name": "subprocess_popen_with_shell_equals_true"}
  ]
}
"#;

    #[test]
    fn bandit_s_severities_are_told_apart() {
        let Parsed::Found { high, total, first } = high_findings("uv run --frozen bandit", BANDIT)
        else {
            panic!("parsed");
        };
        assert_eq!((high, total), (1, 2));
        let shown = "./a.py:3: B602 subprocess call with shell=True identified, security issue.";
        assert_eq!(first, [shown]);
    }

    #[test]
    fn bandit_that_read_nothing_is_not_green() {
        let text = r#"{"errors":[{"filename":"a.py","reason":"syntax error"}],
            "metrics":{"_totals":{"loc":0}},"results":[]}"#;
        assert_eq!(numbers("bandit", &text.replace("\n            ", "")), None);
        assert_eq!(numbers("bandit", r#"{"errors":[],"results":[]}"#), Some((0, 0)));
    }

    #[test]
    fn a_report_that_is_cut_is_not_parsed() {
        for cut in [10, 300, 700, BANDIT.len() - 3] {
            assert_eq!(numbers("bandit", BANDIT.get(..cut).unwrap()), None, "{cut}");
            assert_eq!(numbers("bandit", BANDIT.get(cut..).unwrap()), None, "{cut}");
        }
        assert_eq!(numbers("bandit", ""), None);
    }

    #[test]
    fn lines_around_the_report_do_not_matter() {
        let text = format!("npm warn x\n[main] INFO running\n{BANDIT}done\n");
        assert_eq!(numbers("bandit", &text), Some((1, 2)));
    }

    #[test]
    fn pip_audit_that_looked_at_nothing_is_not_green() {
        // Both printed by pip-audit 2.10.1, with exit code 0 and "No known vulnerabilities found".
        let skipped = r#"{"dependencies": [{"name": "jinja2", "skip_reason":
            "Dependency not found on PyPI and could not be audited: jinja2 (2.10)"}], "fixes": []}"#;
        assert_eq!(numbers("pip-audit", skipped), None);
        assert_eq!(numbers("pip-audit", r#"{"dependencies": [], "fixes": []}"#), None);
    }

    #[test]
    fn pip_audit_tells_no_severity_so_all_counts() {
        let text = r#"{"dependencies": [{"name": "jinja2", "version": "2.10", "vulns":
            [{"id": "PYSEC-2019-217", "fix_versions": ["2.10.1"], "aliases": ["CVE-2019-10906"]}]},
            {"name": "six", "version": "1.16", "vulns": []}], "fixes": []}"#;
        assert_eq!(numbers("uv export | pip-audit -f json", text), Some((1, 1)));
    }

    #[test]
    fn npm_audit_is_counted_by_severity() {
        let text = r#"npm warn Unknown user config
{"auditReportVersion": 2, "vulnerabilities": {
  "lodash": {"name": "lodash", "severity": "critical", "isDirect": true, "range": "<=4.17.20",
    "via": ["x", {"source": 1, "title": "Prototype Pollution", "severity": "critical"}]},
  "minimist": {"name": "minimist", "severity": "moderate", "via": [], "range": "<0.2.1"}},
 "metadata": {"vulnerabilities": {"info":0,"low":0,"moderate":1,"high":0,"critical":1,"total":2}}}"#;
        assert_eq!(numbers("npm audit --json", text), Some((1, 2)));
        // Printed by npm 10 with no package that has a known vulnerability.
        let none = r#"{"auditReportVersion": 2, "vulnerabilities": {}, "metadata":
            {"vulnerabilities": {"high": 0, "critical": 0, "total": 0}}}"#;
        assert_eq!(numbers("npm", none), Some((0, 0)));
    }

    #[test]
    fn an_audit_that_the_registry_refused_is_not_parsed() {
        // Printed by npm 10 against a registry without the endpoint.
        let refused = r#"{"message":
  "405 Method Not Allowed - POST https://registry.npmjs.org/-/npm/v1/security/advisories/bulk",
  "method": "POST", "statusCode": 405, "body": "", "error": {"summary": "", "detail": ""}}"#;
        assert_eq!(numbers("npm audit --json", refused), None);
        let no_lock = r#"{"error": {"code": "ENOLOCK",
            "summary": "This command requires an existing lockfile."}}"#;
        assert_eq!(numbers("npm audit --json", no_lock), None);
        assert_eq!(numbers("npm audit --json", "[]"), None);
    }

    #[test]
    fn the_other_node_managers_are_read_as_well() {
        let pnpm = r#"{"advisories": {"1": {"module_name": "braces", "severity": "high",
            "title": "t"}},
            "metadata": {"vulnerabilities": {"high": 1, "critical": 0}}}"#;
        assert_eq!(numbers("pnpm audit --json", pnpm), Some((1, 1)));
        let yarn = r#"{"type":"auditAdvisory","data":{"advisory":{"module_name":"a","severity":"low"}}}
{"type":"auditSummary","data":{"vulnerabilities":{"low":1,"high":0,"critical":0}}}"#;
        assert_eq!(numbers("yarn audit --json", yarn), Some((0, 1)));
        let berry = r#"{"value":"a","children":{"ID":1,"Issue":"i","Severity":"critical"}}"#;
        assert_eq!(numbers("yarn npm audit --json", berry), Some((1, 1)));
        let bun = r#"{"lodash":[{"id":1,"title":"t","severity":"high"}]}"#;
        assert_eq!(numbers("bun audit --json", bun), Some((1, 1)));
        let counted = r#"{"metadata": {"vulnerabilities": {"high": 2, "critical": 0}}}"#;
        assert_eq!(numbers("pnpm audit --json", counted), Some((2, 2)));
    }

    #[test]
    fn cargo_audit_s_vectors_are_scored() {
        let entry = |cvss: &str| {
            format!(
                r#"{{"database":{{"advisory-count":1177}},"vulnerabilities":{{"found":true,"count":1,
                "list":[{{"advisory":{{"id":"RUSTSEC-2020-0071","title":"segfault","cvss":{cvss}}},
                "package":{{"name":"time","version":"0.1.43"}}}}]}},"warnings":{{}}}}"#
            )
        };
        let medium = entry(r#""CVSS:3.1/AV:L/AC:L/PR:L/UI:N/S:U/C:N/I:N/A:H""#);
        assert_eq!(numbers("cargo audit --json", &medium), Some((0, 1)));
        let critical = entry(r#""CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H""#);
        assert_eq!(numbers("cargo audit --json", &critical), Some((1, 1)));
        assert_eq!(numbers("cargo-audit", &entry("null")), Some((1, 1)));
        let none = r#"{"vulnerabilities":{"found":false,"count":0,"list":[]},"warnings":{}}"#;
        assert_eq!(numbers("cargo audit", none), Some((0, 0)));
        let less = r#"{"vulnerabilities":{"found":true,"count":5,"list":[]}}"#;
        assert_eq!(numbers("cargo audit", less), None);
    }

    #[test]
    fn scores_are_those_of_the_specification_s_examples() {
        for (vector, score) in [
            ("CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H", Some(9.8)),
            ("CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:C/C:H/I:H/A:H", Some(10.0)),
            ("CVSS:3.0/AV:N/AC:L/PR:N/UI:R/S:C/C:L/I:L/A:N", Some(6.1)),
            ("CVSS:3.1/AV:L/AC:L/PR:L/UI:N/S:U/C:H/I:H/A:H", Some(7.8)),
            ("CVSS:3.1/AV:N/AC:L/PR:L/UI:N/S:C/C:L/I:L/A:N", Some(6.4)),
            ("CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:N/I:N/A:N", Some(0.0)),
            ("CVSS:3.1/AV:N", None),
            ("CVSS:4.0/AV:N/AC:L", None),
        ] {
            assert_eq!(cvss3(vector), score, "{vector}");
        }
    }

    #[test]
    fn govulncheck_counts_a_vulnerability_once_and_high_when_it_is_called() {
        let text = r#"{"config": {"protocol_version": "v1.0.0", "scanner_name": "govulncheck"}}
{"progress": {"message": "Scanning your code"}}
{"osv": {"id": "GO-2021-0113", "aliases": ["CVE-2021-38561"]}}
{"finding": {"osv": "GO-2021-0113", "trace": [{"module": "golang.org/x/text"}]}}
{
  "finding": {"osv": "GO-2021-0113", "fixed_version": "v0.3.7", "trace": [
    {"module": "golang.org/x/text", "package": "golang.org/x/text/language", "function": "Parse"},
    {"module": "vuln", "package": "vuln", "function": "main"}]}
}
{"finding": {"osv": "GO-2022-0001", "trace": [{"module": "golang.org/x/net"}]}}
"#;
        let Parsed::Found { high, total, first } = high_findings("govulncheck -json ./...", text)
        else {
            panic!("parsed");
        };
        assert_eq!((high, total), (1, 2));
        assert_eq!(first, ["golang.org/x/text: GO-2021-0113"]);
        assert_eq!(numbers("govulncheck", "{\"progress\": {}}"), None);
    }

    #[test]
    fn hostile_output_never_panics_and_ends() {
        let deep = "[".repeat(100_000);
        let many = "{\n".repeat(100_000);
        let lines = "{}\n".repeat(50_000);
        let wrong = r#"{"results": [1, null, {"line_number": -1}], "vulnerabilities": 3}"#;
        for text in [&deep, &many, &lines, wrong, "\u{feff}{}", "{\"a\":\"\\ud800\"}", "\0\u{1b}["]
        {
            for tool in ["bandit", "pip-audit", "npm", "cargo audit", "govulncheck", "?", ""] {
                let _ = high_findings(tool, text);
            }
        }
        let shown = r#"{"results":[{"issue_severity":"HIGH","issue_text":"\u001b[31m\nx"}]}"#;
        let Parsed::Found { first, .. } = high_findings("bandit", shown) else { panic!("parsed") };
        assert_eq!(first, [":0:   [31m x"]);
    }
}
