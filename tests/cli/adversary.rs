//! Workers that cheat, stray and break things: nothing but a task's own files ever reaches staging
//! or the target, and nothing of the user's is touched. Knows no fence: each case says what may
//! come of it with any of them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use serde_json::{Value, json};

use super::sandbox::{Ran, Sandbox, ran, tmux_is_here};

/// What every worker begins with: its own file, a git with a name, and where things lie. It also
/// has `$ROOT` (the user's checkout), `$LINKED` (another one), `$OUT` (a directory outside), `$OWN`
/// (its directory), `$BIN` and `$SOCK`.
const PRELUDE: &str = r#"git() { command git -c user.name=w -c user.email=w@example.org "$@"; }
jobs=${SLIMDUCTOR_JOB%/*}; rundir=${jobs%/*}; run=$SLIMDUCTOR_RUN; common=$ROOT/.git
staging=slimductor/$run/staging
tip() { git --git-dir="$common" rev-parse -q --verify "$staging"; }
answer() { git --git-dir="$common" cat-file -p "$staging:src/answer.txt"; }
staging_is_right() { answer | grep -q right; }
# Waits, at most five seconds, until its arguments are true.
until_true() { n=0; until "$@" 2>&-; do n=$((n+1)); [ $n -lt 100 ] || return 1; sleep 0.05
done; }
# A program that tells when somebody runs it.
trap_in() { printf '#!/bin/sh\ntouch "%s/markers/%s"\ncat\n' "$OUT" "$OWN" > "$1"
chmod +x "$1"; }
mkdir -p "$OWN"; echo own > "$OWN/a"
"#;

/// A script behind one that makes a repository, at `$e`, whose settings run a program at every
/// chance.
macro_rules! beside_evil {
    ($rest:literal) => {
        concat!(
            r#"e=$OUT/evil-$OWN; trap_in "$OUT/p-$OWN"; p=$OUT/p-$OWN
git init -q --bare "$e"; mkdir -p "$e/hooks" "$e/info"; cp "$p" "$e/hooks/post-checkout"
cp "$p" "$e/hooks/reference-transaction"
printf '[core]\n\tbare = false\n\tfsmonitor = %s\n\tsshCommand = %s\n' "$p" "$p" >> "$e/config"
printf '[filter "evil"]\n\tclean = %s\n\tsmudge = %s\n\trequired = true\n' "$p" "$p" >> "$e/config"
printf '[diff "evil"]\n\ttextconv = %s\n' "$p" >> "$e/config"
printf '[merge "evil"]\n\tdriver = %s\n' "$p" >> "$e/config"
echo '* filter=evil diff=evil merge=evil' > "$e/info/attributes"
"#,
            $rest
        )
    };
}

/// A script that leaves three processes behind, in sessions of their own, which write later.
macro_rules! daemon {
    () => {
        r#"l="sleep 0.6; echo x > $PWD/$OWN/late; echo x > $PWD/src/base.txt
             echo x > '$ROOT/README.md'"
setsid sh -c "$l" >&- 2>&- & nohup sh -c "$l" >&- 2>&- &
(setsid env -i "PATH=$PATH" sh -c "(setsid sh -c \"$l\" &) ; sleep 30" >&- 2>&- &)
"#
    };
}

/// An exit file of a job whose check passed, as `$g`.
macro_rules! green {
    () => {
        r#"g='{"v":1,"report":{"ending":"finished","steps":[{"command":"sh check.sh",'
g=$g'"required":true,"code":0,"duration_ms":1}]}}'
"#
    };
}

/// What may come of a case; the finding's words count where it fails.
#[derive(Clone, Copy)]
enum Expected {
    /// It lands, with exactly its files.
    Lands,
    /// It fails: one of these categories, all of these words in its findings.
    Fails(&'static [&'static str], &'static [&'static str]),
    /// It fails as a boundary violation, with all of these words, and as tampering beside it.
    Tampers(&'static [&'static str]),
    /// It lands with exactly its files, or fails with one of these: a matter of the fence.
    Either(&'static [&'static str]),
}
use Expected::{Either, Fails, Lands, Tampers};

const STRAYED: &[&str] = &["boundary_violation"];
/// A fence may refuse a step, detection may tell of it, a broken worktree may be unusable: all
/// harmless.
const REFUSED: &[&str] = &[
    "boundary_violation",
    "tampering",
    "crash",
    "no_changes",
    "env_issue",
    "logic_error",
    "merge_conflict",
];

struct Case {
    name: &'static str,
    /// `files_write`; its own directory when empty.
    owns: &'static [&'static str],
    run: &'static str,
    check: &'static str,
    /// What it adds to the target when it lands; its own `a` when empty.
    files: &'static [&'static str],
    /// Further keys of the task, as JSON.
    keys: Value,
    expected: Expected,
}

fn case(name: &'static str, run: &'static str, expected: Expected) -> Case {
    let (owns, files, check): (&[&str], &[&str], _) = (&[], &[], "test -s \"$OWN/a\"");
    Case { name, owns, run, check, files, keys: json!({}), expected }
}

impl Case {
    fn owns(self, owns: &'static [&'static str]) -> Case {
        Case { owns, ..self }
    }
    fn check(self, check: &'static str) -> Case {
        Case { check, ..self }
    }
    /// Below its own directory, unless it begins with `/`: then from the root.
    fn files(self, files: &'static [&'static str]) -> Case {
        Case { files, ..self }
    }
    fn keys(self, keys: Value) -> Case {
        Case { keys, ..self }
    }

    fn landed_files(&self) -> Vec<String> {
        let files = if self.files.is_empty() { &["a"][..] } else { self.files };
        let whole = |f: &&str| match f.strip_prefix('/') {
            Some(from_root) => from_root.to_owned(),
            None => format!("{}/{f}", self.name),
        };
        files.iter().map(whole).collect()
    }

    fn task(&self, s: &Sandbox) -> Value {
        let own = format!("{}/", self.name);
        let owns = if self.owns.is_empty() { vec![own.as_str()] } else { self.owns.to_vec() };
        let mut task = json!({
            "id": self.name,
            "description": format!("adversary {}", self.name),
            "run": format!("{PRELUDE}{}\n", self.run),
            "files_write": owns,
            "max_attempts": 1,
            "timeout": "20s",
            "verification": [{"command": self.check, "type": "test"}],
            "env": {
                "ROOT": s.root(), "LINKED": s.outside("linked"), "OUT": s.outside("out"),
                "OWN": self.name,
                "BIN": env!("CARGO_BIN_EXE_slimductor"),
                "SOCK": s.outside("tmp").join(format!("tmux-{}", own_uid())).join(s.socket()),
            },
        });
        for (key, value) in self.keys.as_object().unwrap() {
            task[key] = value.clone();
        }
        task
    }
}

fn own_uid() -> u32 {
    fs::metadata("/proc/self").unwrap().uid()
}

/// A repository with what judges work in it: tests, a workflow, scripts.
fn victim(tmux: bool) -> Sandbox {
    let s = if tmux { Sandbox::with_tmux() } else { Sandbox::new() };
    for (name, text) in [
        (".gitignore", "*.state\n"),
        (".github/workflows/ci.yml", "on: push\n"),
        ("check.sh", "exit 1\n"),
        ("docs/code.js", "function f() {\n  return 1;\n}\n"),
        ("docs/page.md", "# Page\n\ntext\n"),
        ("log.txt", "one\ntwo\n"),
        ("package.json", "{\n  \"scripts\": {\"test\": \"exit 1\"}\n}\n"),
        ("pytest.ini", "[pytest]\n"),
        ("src/answer.txt", "wrong\n"),
        ("tests/t.sh", "grep -q right src/answer.txt\n"),
    ] {
        s.write(name, text);
    }
    s.git(&["add", "-A"]);
    s.git(&["commit", "-qm", "what judges"]);
    s.git(&["branch", "feature"]);
    // Another checkout of the user's, with work that is not committed.
    s.git(&["worktree", "add", "-q", "-b", "linked", "../linked"]);
    fs::write(s.outside("linked/README.md"), "my edit\n").unwrap();
    fs::write(s.outside("linked/mine.txt"), "mine\n").unwrap();
    s.git(&["tag", "v1"]);
    fs::create_dir_all(s.outside("out/markers")).unwrap();
    s
}

/// All that is the user's and no business of a worker.
#[derive(PartialEq, Debug)]
struct World {
    /// Files of the checkout, and of `.git` those that steer git: content and whether executable.
    files: BTreeMap<String, (u32, Vec<u8>)>,
    /// Refs that are not of the run.
    refs: BTreeSet<String>,
    /// Refs of the run that it does not make, and what hides files from the user.
    strange: BTreeSet<String>,
    /// Of both checkouts.
    status: [String; 2],
}

const STEERING: [&str; 9] = [
    "config",
    "config.worktree",
    "HEAD",
    "shallow",
    "hooks",
    "info/attributes",
    "info/grafts",
    "info/sparse-checkout",
    "objects/info/alternates",
];

impl World {
    fn of(s: &Sandbox) -> World {
        let root = s.root();
        let mut files = BTreeMap::new();
        for entry in fs::read_dir(&root).unwrap().flatten() {
            let name = entry.file_name().into_string().unwrap();
            let ours = [".git", ".orchestrator", ".worktrees", ".orchestration-state.json"];
            if !ours.contains(&name.as_str()) {
                gather(&root, &name, &mut files);
            }
        }
        let outside = root.parent().unwrap();
        gather(outside, "linked", &mut files);
        for name in STEERING {
            gather(&root, &format!(".git/{name}"), &mut files);
        }
        let format = "--format=%(objectname) %(refname) %(symref)";
        let all = git(s, &["for-each-ref", format]);
        let (run, refs): (Vec<&str>, Vec<&str>) =
            all.lines().partition(|l| l.contains(" refs/heads/slimductor/"));
        let known = |line: &&str| {
            let name = line.split(' ').nth(1).unwrap_or("");
            let kind = name.split('/').nth(4);
            matches!(kind, Some("staging" | "task" | "recovery")) && !name.contains("evil")
        };
        let exclude = fs::read_to_string(root.join(".git/info/exclude")).unwrap_or_default();
        let hidden = exclude.lines().filter(|l| l.contains("evil"));
        let strange = run.iter().filter(|l| !known(l)).copied().chain(hidden);
        World {
            files,
            refs: refs.iter().map(|l| (*l).to_owned()).collect(),
            strange: strange.map(str::to_owned).collect(),
            status: ["repo", "linked"].map(|d| {
                let dir = outside.join(d);
                git(s, &["-C", dir.to_str().unwrap(), "status", "--porcelain", "-uall", "-b"])
            }),
        }
    }

    /// How `after` differs, one line for each.
    fn differences(&self, after: &World) -> Vec<String> {
        let mut out = Vec::new();
        let names: BTreeSet<&String> = self.files.keys().chain(after.files.keys()).collect();
        for name in names.iter().filter(|n| self.files.get(**n) != after.files.get(**n)) {
            out.push(format!("the user's {name} was touched"));
        }
        for line in self.refs.symmetric_difference(&after.refs) {
            out.push(format!("the user's ref was touched: {line}"));
        }
        for line in &after.strange {
            out.push(format!("not of the run: {line}"));
        }
        if self.status != after.status {
            out.push(format!("git status says {:?}, was {:?}", after.status, self.status));
        }
        out
    }
}

fn gather(root: &Path, name: &str, out: &mut BTreeMap<String, (u32, Vec<u8>)>) {
    let path = root.join(name);
    let Ok(meta) = path.symlink_metadata() else { return };
    if meta.is_dir() {
        for entry in fs::read_dir(&path).unwrap().flatten() {
            gather(root, &format!("{name}/{}", entry.file_name().to_string_lossy()), out);
        }
        return;
    }
    // A pipe in the user's checkout would be a difference by its mode alone.
    let bytes = if meta.is_file() { fs::read(&path).unwrap() } else { Vec::new() };
    out.insert(name.to_owned(), (meta.mode(), bytes));
}

/// What git says, be it a complaint: a broken repository is one thing that is wrong, among others.
/// It must not be our own look at things that runs what a worker planted.
fn git(s: &Sandbox, args: &[&str]) -> String {
    let safe = ["-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null"];
    let mut command = s.command("timeout");
    command.args(["-k", "2", "20", "git"]);
    command.env("GIT_CONFIG_GLOBAL", "/dev/null").env("GIT_NO_REPLACE_OBJECTS", "1");
    let output = command.args(safe).args(args).output().unwrap();
    let said = if output.status.success() { output.stdout } else { output.stderr };
    String::from_utf8_lossy(&said).trim_end().to_owned()
}

/// Paths of a commit with mode and content.
fn tree(s: &Sandbox, commit: &str) -> BTreeMap<String, String> {
    let text = git(s, &["ls-tree", "-r", "-z", commit]);
    let entry = |e: &str| e.split_once('\t').map(|(what, path)| (path.to_owned(), what.to_owned()));
    text.split('\0').filter_map(entry).collect()
}

/// What the journal's records say: the findings of each task, as one text with categories.
fn findings_of(out: &str) -> BTreeMap<String, Vec<(String, String)>> {
    let mut all: BTreeMap<String, Vec<(String, String)>> = BTreeMap::new();
    for line in out.lines() {
        let record: Value = serde_json::from_str(line).unwrap_or_default();
        let Some(task) = record["task"].as_str() else { continue };
        let mut take = |f: &Value| {
            let word = |v: &Value| v.as_str().unwrap_or("").to_owned();
            let pair = (word(&f["category"]), word(&f["message"]));
            let seen = all.entry(task.to_owned()).or_default();
            if !pair.0.is_empty() && !seen.contains(&pair) {
                seen.push(pair);
            }
        };
        record["findings"].as_array().into_iter().flatten().for_each(&mut take);
        take(&record["finding"]);
    }
    all
}

/// Runs all cases in one run, beside a good task and a bad one; looks at everything, then promotes
/// what landed and looks again.
#[track_caller]
fn attack(cases: Vec<Case>) {
    attack_on("process", &victim(false), cases);
}

#[track_caller]
fn attack_on(backend: &str, s: &Sandbox, mut cases: Vec<Case>) {
    cases.push(case("good", "", Lands));
    // With it the run always waits, so that staging can be looked at before anything is promoted.
    cases.push(case("bad", "exit 7", Fails(&["crash"], &["exit 7"])));
    let tasks: Vec<Value> = cases.iter().map(|c| c.task(s)).collect();
    let plan = json!({"request": "a test", "tasks": tasks, "integration": {"incremental": [], "final": [{"command": "test -s README.md"}]}});
    s.write("tasks.yaml", &plan.to_string());
    let (before, base) = (World::of(s), tree(s, "main"));
    let mut wrong = Vec::new();

    let flags = ["run", "--approve", "--json", "-j", "4", "--backend", backend];
    let ran = limited(s, &flags);
    if ran.code != 5 {
        wrong.push(format!("the run exited with {}, not 5: {}", ran.code, ran.err));
    }
    wrong.extend(markers(s));
    wrong.extend(before.differences(&World::of(s)));
    let landed = judge_cases(s, &cases, &findings_of(&ran.out), &mut wrong);
    let status = limited(s, &["status", "--json"]);
    let status: Value = serde_json::from_str(&status.out).unwrap_or_default();
    match status["staging"]["branch"].as_str() {
        Some(staging) => wrong.extend(tree_is(s, staging, &base, &landed)),
        None => wrong.push("there is no staging".to_owned()),
    }
    // A failed worker's pane is shown for as long as the run waits.
    if backend == "process" {
        wrong.extend(living(s));
    }

    // The same again with what landed promoted: the checkout follows, and holds nothing else.
    let ran = limited(s, &["resume", "--promote-landed"]);
    if ran.code != 4 {
        wrong.push(format!("the promotion exited with {}: {}{}", ran.code, ran.out, ran.err));
    }
    wrong.extend(markers(s));
    wrong.extend(tree_is(s, "main", &base, &landed));
    let (mut before, mut after) = (before, World::of(s));
    for world in [&mut before, &mut after] {
        world.files.retain(|name, _| !landed.contains(name));
        world.refs.retain(|line| !line.contains(" refs/heads/main "));
    }
    wrong.extend(before.differences(&after));
    // Work that git cannot commit is kept where it is.
    let kept = status["tasks"].as_array().into_iter().flatten();
    let kept = kept.filter(|t| t["failure"]["category"] == "env_issue").count();
    let left = fs::read_dir(s.root().join(".worktrees")).into_iter().flatten().flatten();
    let left: Vec<_> = left.filter(|e| e.path().is_dir() && !e.path().is_symlink()).collect();
    if left.len() > kept || s.root().join(".worktrees/evil").exists() {
        wrong.push(format!("left in .worktrees: {left:?}"));
    }
    wrong.extend(living(s));
    wrong.extend(plan_is(s, &plan.to_string()));
    let fsck = git(s, &["fsck", "--strict", "--no-dangling", "--no-progress"]);
    if !fsck.is_empty() {
        wrong.push(format!("fsck: {}", fsck.lines().next().unwrap_or("")));
    }
    assert!(wrong.is_empty(), "{} things are wrong:\n{}", wrong.len(), wrong.join("\n"));
}

/// The binary, ended after 40 s: a worker may try to make it wait for ever.
fn limited(s: &Sandbox, args: &[&str]) -> Ran {
    let mut command = s.command("timeout");
    command.args(["-k", "2", "40", env!("CARGO_BIN_EXE_slimductor")]).args(args);
    ran(command.output().unwrap())
}

/// What each task came to; returns the paths that may now be in staging.
fn judge_cases(
    s: &Sandbox,
    cases: &[Case],
    findings: &BTreeMap<String, Vec<(String, String)>>,
    wrong: &mut Vec<String>,
) -> BTreeSet<String> {
    let status = limited(s, &["status", "--json"]);
    let status: Value = serde_json::from_str(&status.out).unwrap_or_default();
    let mut landed = BTreeSet::new();
    for case in cases {
        let named = |t: &&Value| t["id"] == case.name;
        let task = status["tasks"].as_array().and_then(|t| t.iter().find(named));
        let word = |v: Option<&Value>| v.and_then(Value::as_str).unwrap_or("").to_owned();
        let state = word(task.map(|t| &t["state"]));
        let category = word(task.map(|t| &t["failure"]["category"]));
        let category = category.as_str();
        let found = findings.get(case.name).cloned().unwrap_or_default();
        let merged = state == "merged";
        if merged {
            landed.extend(case.landed_files());
        }
        let texts: Vec<String> = found.iter().map(|(c, m)| format!("{c}: {m}")).collect();
        let text = texts.join("\n");
        let says = |words: &[&str]| words.iter().all(|w| text.contains(w));
        let failed = |with: &[&str]| state == "failed" && with.contains(&category);
        let right = match case.expected {
            Lands => merged,
            Fails(categories, words) => failed(categories) && says(words),
            Tampers(words) => failed(STRAYED) && says(words) && says(&["tampering: "]),
            Either(categories) => merged || failed(categories),
        };
        if !right {
            wrong.push(format!("{} is {state} {category}, with:\n{text}", case.name));
        }
    }
    landed
}

/// Whether `commit` holds the base as it was and `added`, nothing else.
fn tree_is(
    s: &Sandbox,
    commit: &str,
    base: &BTreeMap<String, String>,
    added: &BTreeSet<String>,
) -> Vec<String> {
    let now = tree(s, commit);
    let mut wrong = Vec::new();
    for (path, entry) in base.iter().filter(|(p, _)| !added.contains(*p)) {
        if now.get(path) != Some(entry) {
            wrong.push(format!("{commit}: {path} is another: {:?}", now.get(path)));
        }
    }
    for path in added.iter().filter(|p| now.get(*p) == base.get(*p)) {
        wrong.push(format!("{commit}: what landed in {path} is missing"));
    }
    for path in now.keys().filter(|p| !base.contains_key(*p) && !added.contains(*p)) {
        wrong.push(format!("{commit}: {path} got in"));
    }
    wrong
}

/// Whether the run still knows the plan that it was made from.
fn plan_is(s: &Sandbox, plan: &str) -> Option<String> {
    let runs = fs::read_dir(s.root().join(".orchestrator/runs")).ok()?;
    let texts = runs.flatten().filter_map(|r| fs::read_to_string(r.path().join("plan.yaml")).ok());
    let same = texts.filter(|t| t == plan).count() == 1;
    (!same).then(|| "the run's plan.yaml is another".to_owned())
}

/// Processes that still work in the sandbox.
fn living(s: &Sandbox) -> Vec<String> {
    let here = s.outside("").into_os_string().into_encoded_bytes();
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let line = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        if line.windows(here.len()).any(|w| w == here) {
            let said = String::from_utf8_lossy(&line).replace('\0', " ");
            found.push(format!("still alive: {said}"));
            // It was started for this test alone, and would stay for ever.
            let pid = entry.file_name();
            let _ = s.command("kill").arg("-9").arg(pid).output();
        }
    }
    found
}

/// Programs that workers planted and that somebody outside of the worker ran.
fn markers(s: &Sandbox) -> Vec<String> {
    let entries = fs::read_dir(s.outside("out/markers")).unwrap().flatten();
    entries.map(|e| format!("a planted program ran: {}", e.file_name().display())).collect()
}

#[test]
fn whatever_a_worker_does_with_its_commits_the_whole_diff_is_judged() {
    attack(vec![
        case(
            "reverts",
            "echo x > src/base.txt; git add -A; git commit -qm 1; git revert --no-edit HEAD
             git checkout -q HEAD~2 -- src/base.txt; echo own > $OWN/a; mkdir -p $OWN
             echo own > $OWN/a",
            Lands,
        ),
        case(
            "commit-reset-hard",
            "git add -A; git commit -qm 1; echo x > src/base.txt; git commit -qam 2
             git reset -q --hard HEAD~1",
            Lands,
        ),
        case(
            "commit-reset-soft",
            "echo x > src/base.txt; git add -A; git commit -qm 1; git reset -q --soft HEAD~1",
            Fails(STRAYED, &["changed src/base.txt"]),
        ),
        case(
            "index-only",
            "cp src/base.txt $TMPDIR/b; echo x > src/base.txt; git add -A
             cp $TMPDIR/b src/base.txt",
            Lands,
        ),
        case(
            "hidden-in-the-index",
            "git update-index --assume-unchanged src/base.txt
             git update-index --skip-worktree README.md
             echo x > src/base.txt; echo x > README.md",
            Fails(STRAYED, &["changed src/base.txt", "changed README.md"]),
        ),
        case(
            "amends-the-base",
            "echo x > src/base.txt; git add -A; git commit -q --amend -m rewritten",
            Fails(STRAYED, &["changed src/base.txt"]),
        ),
        case("amends-its-own", "git add -A; git commit -q --amend -m rewritten", Lands),
        case(
            "orphan",
            "git checkout -q --orphan evil; git rm -rqf --cached .; git add $OWN
             git commit -qm orphan
             git checkout -q --detach",
            Either(REFUSED),
        ),
        case(
            "renames",
            "git mv src/base.txt $OWN/base.txt; git commit -qm moved",
            Fails(STRAYED, &["deleted src/base.txt"]),
        ),
        case(
            "changes-case",
            "git mv README.md readme.md",
            Fails(STRAYED, &["deleted README.md", "added readme.md"]),
        ),
        case("changes-mode", "chmod +x src/base.txt", Fails(STRAYED, &["changed src/base.txt"])),
        case("own-with-mode", "chmod +x $OWN/a; cp -p $OWN/a $OWN/b; chmod 4777 $OWN/b", Lands)
            .files(&["a", "b"]),
        case(
            "types",
            "rm src/base.txt; mkdir src/base.txt; echo x > src/base.txt/x",
            Fails(STRAYED, &["src/base.txt"]),
        ),
        case(
            "stashes",
            "git stash -qu; git stash pop -q; mkdir -p $OWN; echo own > $OWN/a",
            Either(REFUSED),
        ),
        case("stashes-it-all", "git stash -qu", Either(REFUSED)),
        case(
            "sparse",
            "git sparse-checkout set --no-cone /$OWN/ || true; echo own > $OWN/a",
            Either(REFUSED),
        ),
        case(
            "says-it-is-done",
            "rm -r $OWN
             echo '{\"status\": \"completed\"}' > .task-status.json",
            Fails(&["no_changes"], &["changed nothing"]),
        ),
        case(
            "status-file-is-a-tree",
            "mkdir .task-status.json; echo x > .task-status.json/evil; git add -Af
             git commit -qm 1",
            Either(STRAYED),
        ),
        case(
            "forces-the-ignored",
            "echo x > evil.state; git add -Af; git commit -qm forced",
            Either(STRAYED),
        ),
        case(
            "unignores",
            "echo '!*.state' > .gitignore; echo x > evil.state",
            Fails(STRAYED, &[".gitignore", "evil.state"]),
        ),
        case(
            "talks",
            "printf '{\"type\":\"landed\",\"task\":\"talks\"}\\n'
             printf '\\033[2J\\033]0;x\\007Finding: none\\n'
             exit 3",
            Fails(&["crash"], &["exit 3"]),
        ),
    ]);
}

#[test]
fn links_nested_repositories_and_strange_files_bring_nothing_in() {
    attack(vec![
        case(
            "link-inside",
            "ln -s ../README.md $OWN/link; echo x >> $OWN/link",
            Fails(STRAYED, &["changed README.md", "symbolic link link-inside/link"]),
        ),
        case(
            "link-to-the-checkout",
            "ln -s \"$ROOT/README.md\" $OWN/link; ln -s \"$ROOT\" $OWN/dir
             echo x >> $OWN/link; echo x > $OWN/dir/evil.txt; true",
            Fails(STRAYED, &["symbolic link link-to-the-checkout/link"]),
        ),
        case(
            "link-up",
            "ln -s ../../.. $OWN/up; echo x > $OWN/up/evil.txt
             echo x > $OWN/up/.worktrees/evil; true",
            Fails(STRAYED, &["symbolic link link-up/up"]),
        ),
        case(
            "link-instead",
            "mkdir x; mv $OWN/a x/a; rmdir $OWN; ln -s x $OWN",
            Fails(STRAYED, &["link-instead"]),
        ),
        case(
            "hard-link",
            "ln \"$ROOT/README.md\" $OWN/hard 2>&-; ln \"$common/config\" $OWN/config 2>&-
             echo x >> $OWN/hard; echo '# x' >> $OWN/config",
            Lands,
        )
        .files(&["a", "hard", "config"]),
        case(
            "nested",
            "git init -q $OWN/in; git -C $OWN/in commit -q --allow-empty -m x",
            Fails(STRAYED, &["nested repository nested/in"]),
        ),
        case(
            "nested-empty",
            "git init -q $OWN/in",
            Fails(&["boundary_violation", "env_issue"], &["nested-empty/in"]),
        ),
        case(
            "submodule",
            "git init -q $OWN/in; git -C $OWN/in commit -q --allow-empty -m x
             printf '[submodule \"x\"]\\n\\tpath = %s/in\\n\\turl = ../x\\n' $OWN > .gitmodules
             git add -A
             git commit -qm sub",
            Fails(STRAYED, &[".gitmodules", "nested repository submodule/in"]),
        ),
        case(
            "git-file-of-the-user",
            "echo \"gitdir: $common\" > $OWN/.git; echo x > $OWN/README.md",
            Fails(&["boundary_violation", "env_issue"], &["git-file-of-the-user"]),
        ),
        case(
            "pipe",
            "mkfifo $OWN/pipe; mknod $OWN/dev c 1 3 2>&-
             python3 -c 'import socket; socket.socket(1).bind(\"pipe/socket\")' 2>&-; true",
            Lands,
        ),
        case(
            "pipe-for-a-file",
            "rm src/base.txt; mkfifo src/base.txt",
            Fails(&["boundary_violation", "env_issue"], &["src/base.txt"]),
        ),
        case("pipe-for-the-status", "mkfifo .task-status.json", Either(REFUSED)),
        case(
            "deep",
            "d=$OWN; n=0; while [ $n -lt 300 ]; do d=$d/d; n=$((n+1)); done; mkdir -p $d
             echo x > $d/a",
            Lands,
        )
        .files(&["a", DEEP]),
        case("empty-file", ": > $OWN/a", Lands).check("test -e \"$OWN/a\""),
        case("names", NAMES, Lands)
            .owns(&["names/", "--output=x", "-rf", r"\{modified_files\}"])
            .check(
                "sort {modified_files} > \"$TMPDIR/sorted\" && test -s ./--output=x &&
             test ! -e x",
            )
            .files(&[
                "a",
                "$(touch evil)",
                "`touch evil`",
                "'; touch evil; '",
                "new\nline",
                "qu\"ote",
                "ünï 文\u{202e}",
                "\\",
                "/--output=x",
                "/-rf",
                "/{modified_files}",
            ]),
        case(
            "control-names",
            "printf x > \"$(printf '\\033[31mred\\a')\"",
            Fails(STRAYED, &["red"]),
        ),
        case("many-lines", "seq 10000 > $OWN/a", Fails(STRAYED, &["10000 lines", "many-lines/a"])),
        case("large-binary", "{ printf 'x\\0'; seq 400000; } > $OWN/a", Either(STRAYED)),
        case(
            "spaces-md",
            "sed -i 's/$/  /' docs/page.md",
            Fails(STRAYED, &["docs/page.md", "whitespace"]),
        )
        .owns(&["docs/page.md", "spaces-md/"]),
        case(
            "spaces-js",
            "sed -i 's/^ *//' docs/code.js",
            Fails(STRAYED, &["docs/code.js", "whitespace"]),
        )
        .owns(&["docs/code.js", "spaces-js/"]),
        case(
            "rewrites-the-log",
            "sed -i s/one/ONE/ log.txt; echo three >> log.txt",
            Fails(STRAYED, &["log.txt"]),
        )
        .keys(json!({"files_append": ["log.txt"]})),
        case(
            "lockfile",
            "echo x > $OWN/Cargo.lock; echo x > $OWN/.env",
            Fails(STRAYED, &["lockfile/Cargo.lock", "lockfile/.env"]),
        ),
        case(
            "deletes-its-worktree",
            "w=$PWD; cd /; rm -rf \"$w\"; true",
            Fails(&["boundary_violation", "no_changes", "env_issue", "crash"], &[]),
        ),
        case(
            "link-for-its-worktree",
            "w=$PWD; cd /; mv \"$w\" \"$OUT/moved\" && ln -s \"$ROOT\" \"$w\"; true",
            Either(REFUSED),
        ),
        // The next attempt is made in the same place: what lies behind the link stays.
        case(
            "link-to-a-worktree",
            "[ $SLIMDUCTOR_ATTEMPT = 1 ] || exit 0; w=$PWD; cd /; mv \"$w\" \"$OUT/moved-2\" &&
             ln -s \"$LINKED\" \"$w\"; echo x > \"$w/src/base.txt.new\"; true",
            Either(REFUSED),
        )
        .keys(json!({"max_attempts": 2})),
        case(
            "ends-as-a-link",
            "w=$PWD; cd /; mv \"$w\" \"$OUT/moved-3\" && ln -s \"$LINKED\" \"$w\"; true",
            Either(REFUSED),
        ),
    ]);
}

const NAMES: &str = r#"n=$(printf 'new\nline')
for f in '$(touch evil)' '`touch evil`' "'; touch evil; '" "$n" \
  'qu"ote' "$(printf '\303\274n\303\257 \346\226\207\342\200\256')" '\'
do echo x > "$OWN/$f"; done
echo x > ./--output=x; echo x > ./-rf; echo x > '{modified_files}'"#;

/// `d` three hundred times, and a file.
const DEEP: &str = concat!(
    "d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/",
    "d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/",
    "d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/",
    "d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/",
    "d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/",
    "d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/",
    "d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/",
    "a"
);

#[test]
fn a_name_that_is_not_text_and_a_path_that_is_too_long_are_no_others_business() {
    let sorts = "sort {modified_files} > \"$TMPDIR/sorted\"";
    attack(vec![
        case(
            "too-deep",
            "l=$(printf '%0200d' 0); for k in one two; do d=$OWN/$k; n=0
             while [ $n -lt 15 ]; do d=$d/$l; n=$((n+1)); done
             mkdir -p $d; [ $k = two ] || echo x > $d/a; done; mv $OWN/one $d/",
            Either(REFUSED),
        ),
        case("no-utf-8", "printf x > \"$OWN/$(printf 'b\\377d')\"", Either(REFUSED))
            .files(&["a", "b\u{fffd}d"]),
        // These come into the same places, and their checks name every changed file.
        case("next-1", "sleep 0.3", Lands).check(sorts),
        case("next-2", "sleep 0.3", Lands).check(sorts),
        case("next-3", "sleep 0.3", Lands).check(sorts),
        case("next-4", "sleep 0.3", Lands).check(sorts),
    ]);
}

#[test]
fn a_worker_cannot_make_its_own_judge() {
    attack(vec![
        case("edits-the-test", "echo exit 0 > tests/t.sh", Tampers(&["changed tests/t.sh"]))
            .check("sh tests/t.sh"),
        case("deletes-the-test", "rm tests/t.sh", Tampers(&["deleted tests/t.sh"]))
            .check("test ! -e tests/t.sh || sh tests/t.sh"),
        case("edits-the-check", "echo exit 0 > check.sh", Tampers(&["changed check.sh"]))
            .check("sh check.sh"),
        case(
            "conftest",
            "echo 'collect_ignore = [\"tests\"]' > conftest.py",
            Tampers(&["conftest.py"]),
        ),
        case("pytest-ini", "echo 'addopts = --co' >> pytest.ini", Tampers(&["pytest.ini"])),
        case(
            "package-json",
            "sed -i 's/exit 1/exit 0/' package.json",
            Fails(STRAYED, &["changed package.json"]),
        )
        .check("sh -c \"$(sed -n 's/.*\"test\": \"\\(.*\\)\".*/\\1/p' package.json)\""),
        case(
            "workflow",
            "echo 'on: []' > .github/workflows/ci.yml",
            Tampers(&[".github/workflows/ci.yml"]),
        ),
        case(
            "new-workflow",
            "echo 'on: []' > .github/workflows/x.yml",
            Tampers(&[".github/workflows/x.yml"]),
        ),
        case(
            "configuration",
            "echo 'boundaries: {churn_threshold_lines: 9}' > slimductor.yaml",
            Fails(STRAYED, &["added slimductor.yaml"]),
        ),
        case(
            "test-deletes-itself",
            "echo 'rm \"$0\"; echo right > src/answer.txt' > $OWN/t.sh",
            Lands,
        )
        .files(&["a", "t.sh"])
        .check("sh test-deletes-itself/t.sh"),
        case(
            "check-edits-the-source",
            "{ echo 'echo right > src/answer.txt; git add -A'
             echo 'git -c user.name=w -c user.email=w@w commit -qm x'; } > $OWN/t.sh",
            Lands,
        )
        .files(&["a", "t.sh"])
        .check("sh check-edits-the-source/t.sh; grep -q right src/answer.txt"),
        case(
            "once-outside",
            "echo 'test ! -e \"$OUT/once\" && touch \"$OUT/once\"' > $OWN/t.sh",
            Fails(&["logic_error", "flaky"], &["t.sh"]),
        )
        .check("sh once-outside/t.sh"),
        case(
            "once-ignored",
            "echo x > $OWN/x.state",
            Fails(&["logic_error", "flaky"], &["x.state"]),
        )
        .check("test -e once-ignored/x.state"),
        case(
            "knows-the-place",
            "echo 'case $PWD in *-slot*) exit 0;; esac; exit 1' > $OWN/t.sh",
            Fails(&["logic_error", "flaky"], &["t.sh"]),
        )
        .check("sh knows-the-place/t.sh"),
        case("no-check-passes", "true", Fails(&["logic_error"], &["exit 1"])).check("sh check.sh"),
        case(
            "path-of-programs",
            "mkdir -p \"$HOME/bin\" \"$HOME/.local/bin\"
             for d in \"$HOME/bin\" \"$HOME/.local/bin\"; do
               printf '#!/bin/sh\\nexit 0\\n' > $d/grep; chmod +x $d/grep; done; true",
            Fails(&["logic_error"], &["grep"]),
        )
        .check("grep -q right src/answer.txt"),
    ]);
}

#[test]
fn the_users_git_directory_is_out_of_reach() {
    attack(vec![
        case(
            "config-local",
            "git config evil.x 1; git config core.worktree /
             git config core.bare true; true",
            Either(REFUSED),
        ),
        case(
            "config-of-the-user",
            "git --git-dir=\"$common\" config core.fsmonitor \"$OUT/x\"
             echo '[evil]' >> \"$common/config\"
             git config --file \"$common/config.worktree\" evil.x 1; true",
            Either(REFUSED),
        ),
        case(
            "hooks",
            "mkdir -p \"$common/hooks\"
             for h in post-checkout pre-commit post-merge reference-transaction; do
               trap_in \"$common/hooks/$h\"; done; true",
            Either(REFUSED),
        ),
        case(
            "hooks-by-git",
            "h=$(git rev-parse --git-path hooks); mkdir -p \"$h\"
             trap_in \"$h/reference-transaction\"; true",
            Either(REFUSED),
        ),
        case(
            "info",
            "echo '* filter=evil' >> \"$common/info/attributes\"
             echo '/evil*' >> \"$common/info/exclude\"
             git rev-parse HEAD > \"$common/shallow\"
             git rev-parse HEAD > \"$common/info/grafts\"; true",
            Either(REFUSED),
        ),
        case(
            "alternates",
            "mkdir -p \"$common/objects/info\"
             echo \"$OUT\" >> \"$common/objects/info/alternates\"; true",
            Either(REFUSED),
        ),
        case(
            "main",
            "echo x > evil.txt; git add -A; git commit -qm evil
             git update-ref refs/heads/main HEAD
             git branch -f feature HEAD; e=$(git rev-parse HEAD)
             git --git-dir=\"$common\" update-ref refs/heads/main $e; rm evil.txt",
            Either(REFUSED),
        ),
        case(
            "main-by-file",
            "echo x > evil.txt; git add -A; git commit -qm evil; rm evil.txt
             h=$(git rev-parse HEAD)
             for r in main feature; do echo $h > \"$common/refs/heads/$r\"; done
             echo $h > \"$common/HEAD\"; true",
            Either(REFUSED),
        ),
        case(
            "main-by-head",
            "git symbolic-ref HEAD refs/heads/main; echo x > evil.txt; git add -A
             git commit -qm evil
             rm evil.txt",
            Either(REFUSED),
        ),
        case(
            "feature-by-head",
            "git checkout -q feature; git add -A; git commit -qm evil
             git push -q . HEAD:refs/heads/pushed; true",
            Either(REFUSED),
        ),
        case(
            "refs",
            "git add -A; git commit -qm evil; git tag -f v1; git tag evil; git branch evil
             git update-ref refs/notes/x HEAD; git pack-refs --all; git branch -D feature
             true",
            Either(REFUSED),
        ),
        case(
            "replace",
            "b=$(git rev-parse HEAD); echo x > src/base.txt; git add -A; git commit -qm evil
             git replace -f $b HEAD; git reset -q --hard $b; mkdir -p $OWN; echo own > $OWN/a",
            Either(REFUSED),
        ),
        case(
            "push",
            "git add -A; git commit -qm evil
             git push -q \"$ROOT\" HEAD:refs/heads/pushed HEAD:feature
             git -C \"$ROOT\" commit -qm evil --allow-empty; git -C \"$ROOT\" stash -qu; true",
            Either(REFUSED),
        ),
        case(
            "locks",
            "a=$(git rev-parse --absolute-git-dir); : > \"$a/index.lock\"; : > \"$a/HEAD.lock\"
             echo x > \"$a/index\"; : > \"$common/evil.lock\" ; rm -f \"$common/evil.lock\"
             true",
            Either(REFUSED),
        ),
    ]);
}

#[test]
fn the_runs_own_refs_are_out_of_reach() {
    attack(vec![
        case("waits", "until_true test -e \"$OUT/refs-done\"; true", Lands),
        case(
            "moves-staging",
            "echo x > src/base.txt; git add -A; git commit -qm evil; e=$(git rev-parse HEAD)
             git reset -q --hard HEAD~1; mkdir -p $OWN; echo own > $OWN/a
             git update-ref refs/heads/$staging $e
             git --git-dir=\"$common\" update-ref refs/heads/$staging $e
             echo $e > \"$common/refs/heads/$staging\"
             git update-ref refs/heads/slimductor/$run/task/waits $e
             git update-ref refs/heads/slimductor/$run/recovery/evil $e
             git branch slimductor/$run/evil; touch \"$OUT/refs-done\"; true",
            Either(REFUSED),
        ),
        case(
            "in-the-way",
            "git update-ref refs/heads/slimductor/$run/task/in-the-way/evil HEAD
             mkdir -p \"$common/refs/heads/slimductor/$run\"
             : > \"$common/refs/heads/slimductor/$run/recovery\"; true",
            Either(REFUSED),
        ),
        case(
            "commits-on-staging",
            "git symbolic-ref HEAD refs/heads/$staging; git add -A; git commit -qm evil; true",
            Either(REFUSED),
        ),
    ]);
}

#[test]
fn a_worker_that_steps_onto_a_newer_staging_takes_back_nothing_that_landed() {
    attack(vec![
        // Its check says nothing of the change: only a true merge keeps it.
        case("landed-first", "rm -r $OWN; echo right > src/answer.txt", Lands)
            .owns(&["src/answer.txt"])
            .files(&["/src/answer.txt"])
            .check("test -s src/answer.txt"),
        // Its tree lacks what landed since its base: as a child of the newer tip it would take
        // that back.
        case(
            "steps-over",
            "until_true staging_is_right; git reset -q --soft $(tip); true",
            Either(REFUSED),
        ),
        case(
            "merges-ours",
            "until_true staging_is_right; git add -A; git commit -qm 1
             git merge -q -s ours --no-edit $(tip); true",
            Either(REFUSED),
        ),
        case(
            "head-by-hand",
            "until_true staging_is_right; s=$(tip)
             echo $s > \"$(git rev-parse --absolute-git-dir)/HEAD\"; true",
            Either(REFUSED),
        ),
    ]);
}

#[test]
fn the_runs_records_are_out_of_reach() {
    attack(vec![
        case(
            "plan",
            "echo 'tasks: []' > \"$ROOT/tasks.yaml\"
             echo 'tasks: []' > \"$rundir/plan.yaml\"; true",
            Either(REFUSED),
        ),
        case(
            "journal",
            "echo x >> \"$rundir/journal.jsonl\"; : > \"$rundir/config.yaml\"
             rm -f \"$rundir/lock\"; true",
            Either(REFUSED),
        ),
    ]);
}

#[test]
fn the_checkout_and_what_people_decide_are_out_of_reach() {
    attack(vec![
        case(
            "waits",
            "until_true test -e \"$OUT/records-done\"
             exit 9",
            Fails(&["crash"], &["exit 9"]),
        ),
        case(
            "checkout",
            "echo x > \"$ROOT/README.md\"; echo x > \"$ROOT/evil.txt\"
             rm -f \"$ROOT/src/base.txt\"
             chmod 777 \"$ROOT/check.sh\"; mv \"$ROOT/docs\" \"$ROOT/evil\"; true",
            Either(REFUSED),
        ),
        case(
            "linked",
            "echo x > \"$LINKED/README.md\"; rm -f \"$LINKED/mine.txt\"; true",
            Either(REFUSED),
        ),
        case(
            "answers",
            "mkdir -p \"$rundir/answers\"; for t in waits good bad; do
               printf '{\"choice\": \"skip\", \"task\": \"%s\", \"attempt\": 1}' $t > \"$TMPDIR/x\"
               cp \"$TMPDIR/x\" \"$rundir/answers/0-$t.json\"; done
             printf '{\"choice\": \"abort\"}' > \"$rundir/answers/1.json\"; true",
            Either(REFUSED),
        ),
        case(
            "commands",
            "cd \"$ROOT\"; \"$BIN\" abort; \"$BIN\" skip waits; \"$BIN\" retry bad
             \"$BIN\" resume; true",
            Either(REFUSED),
        ),
        case(
            "cancels",
            "touch \"$jobs/cancelled\" \"$jobs/worker-waits-1/cancel\"
             touch \"$OUT/records-done\"",
            Either(REFUSED),
        ),
    ]);
}

#[test]
fn a_forged_exit_file_makes_nothing_green() {
    attack(vec![
        case(
            "waits",
            "until_true test -e \"$OUT/exit-done\"; sleep 0.3
             exit 9",
            Fails(&["crash"], &["exit 9"]),
        ),
        case("exit-of-another", FORGED_OTHER, Either(REFUSED)),
        case("own-exit", FORGED_OWN, Fails(&["crash"], &["exit 9"])),
        case("own-check", FORGED_CHECK, Fails(&["logic_error"], &["exit 1"])).check("sh check.sh"),
        case(
            "own-spec",
            "sed -i 's/exit 1/exit 0/g' \"$SLIMDUCTOR_JOB/spec.json\"
             rm -f \"$SLIMDUCTOR_JOB/lock\"; true",
            Either(REFUSED),
        ),
    ]);
}

const FORGED_OWN: &str = concat!(
    green!(),
    r#"printf '%s' "$g" > "$SLIMDUCTOR_JOB/.x" &&
mv "$SLIMDUCTOR_JOB/.x" "$SLIMDUCTOR_JOB/exit.json"
sleep 0.4; exit 9"#
);

const FORGED_OTHER: &str = concat!(
    green!(),
    r#"until_true test -e "$jobs/worker-waits-1/pid.json"
printf '%s' "$g" > "$jobs/worker-waits-1/.x" &&
mv "$jobs/worker-waits-1/.x" "$jobs/worker-waits-1/exit.json"
touch "$OUT/exit-done"; true"#
);

const FORGED_CHECK: &str = concat!(
    green!(),
    r#"for j in check-$OWN-1 gate-1 gate-2 gate-3 gate-4 gate-5 gate-6; do
  mkdir -p "$jobs/$j"; cp "$SLIMDUCTOR_JOB/spec.json" "$jobs/$j/spec.json"
printf '%s' "$g" > "$jobs/$j/exit.json"
done; true"#
);

#[test]
fn another_tasks_worktree_is_out_of_reach() {
    attack(vec![
        case("neighbour", "touch \"$OUT/ready\"; until_true test -e \"$OUT/edited\"; true", Lands),
        case(
            "edits-it",
            "until_true test -e \"$OUT/ready\"; for w in \"$ROOT\"/.worktrees/*/; do
               case $(cd \"$w\" && pwd -P) in \"$(pwd -P)\") continue;; esac
               echo x > \"$w/README.md\"; echo evil > \"$w/neighbour/a\"
             echo x > \"$w/neighbour/evil\"
               git -C \"$w\" config --worktree evil.x 1
             git -C \"$w\" reset -q --hard HEAD~1; done
             touch \"$OUT/edited\"; true",
            Either(REFUSED),
        ),
    ]);
}

#[test]
fn another_tasks_worktree_cannot_be_removed_or_pruned() {
    attack(vec![
        case(
            "neighbour",
            "touch \"$OUT/ready\"; until_true test -e \"$OUT/pruned\"; mkdir -p $OWN
             echo own > $OWN/a",
            Lands,
        ),
        case(
            "removes-it",
            "until_true test -e \"$OUT/ready\"; for w in \"$ROOT\"/.worktrees/*/; do
               case $(cd \"$w\" && pwd -P) in \"$(pwd -P)\") continue;; esac
               git worktree remove --force \"$(cd \"$w\" && pwd -P)\"; done
             git worktree prune --expire=now; touch \"$OUT/pruned\"; true",
            Either(REFUSED),
        ),
    ]);
}

#[test]
fn the_objects_of_the_repository_outlive_a_worker() {
    attack(vec![
        case(
            "collects",
            "git reflog expire --expire=now --all; git gc -q --prune=now; git repack -adq
             true",
            Either(REFUSED),
        ),
        case(
            "deletes-objects",
            "git add -A; git commit -qm 1
             rm -rf \"$common\"/objects/??/ \"$common\"/objects/pack; true",
            Either(REFUSED),
        ),
        case(
            "spoils-objects",
            "o=$(git rev-parse HEAD^{tree} | sed 's,^..,&/,'); chmod u+w \"$common/objects/$o\"
             echo x > \"$common/objects/$o\"; true",
            Either(REFUSED),
        ),
    ]);
}

#[test]
fn nothing_that_a_worker_planted_is_run_by_the_engine() {
    attack(vec![
        case("plants-a-repository", PLANTED_NESTED, Fails(STRAYED, &["plants-a-repository/in"])),
        case("rewrites-the-git-file", PLANTED_GIT_FILE, Either(REFUSED)),
        case("rewrites-the-link", PLANTED_COMMON_DIR, Either(REFUSED)),
        // The second attempt works in the same place: the engine checks out and cleans there.
        case("rewrites-it-and-strays", PLANTED_TWICE, Either(REFUSED))
            .keys(json!({"max_attempts": 2})),
        case("borrows-a-directory", BORROWED, Either(REFUSED)),
        case("driver-by-config", DRIVER, Either(REFUSED)).files(&["a", ".gitattributes"]),
    ]);
}

const PLANTED_NESTED: &str = r#"git init -q $OWN/in
git -C $OWN/in commit -q --allow-empty -m x; git add -A; git commit -qm link
trap_in "$OUT/p1"; mkdir -p "$OUT/hooks1"; trap_in "$OUT/hooks1/post-checkout"
printf '[core]\n\tfsmonitor = %s\n\thooksPath = %s\n' "$OUT/p1" "$OUT/hooks1" >> $OWN/in/.git/config
printf '[filter "evil"]\n\tclean = %s\n' "$OUT/p1" >> $OWN/in/.git/config
echo '* filter=evil' > $OWN/in/.gitattributes; echo x > $OWN/in/x"#;

const PLANTED_GIT_FILE: &str = beside_evil!(r#"rm -rf .git; echo "gitdir: $e" > .git"#);
const PLANTED_COMMON_DIR: &str = beside_evil!(
    r#"a=$(git rev-parse --absolute-git-dir); echo "$e" > "$a/commondir"
             echo "$OUT/else/.git" > "$a/gitdir"; true"#
);
const PLANTED_TWICE: &str = beside_evil!(
    r#"[ "$SLIMDUCTOR_ATTEMPT" = 1 ] || exit 0
a=$(git rev-parse --absolute-git-dir); cp -r "$a/." "$TMPDIR/a"; echo "$e" > "$a/commondir"
cp "$e/config" "$a/config.worktree"; cp "$e/config" "$a/config"
cp -r "$e/info" "$e/hooks" "$a/"; echo x > src/base.txt"#
);
const BORROWED: &str = r#"a=$(git rev-parse --absolute-git-dir)
for w in "$ROOT"/.worktrees/*/; do w=$(cd "$w" && pwd -P); [ "$w" = "$(pwd -P)" ] ||
echo "$w/.git" > "$a/gitdir"; done; true"#;
const DRIVER: &str = r#"trap_in "$OUT/p-$OWN"; git config filter.evil.clean "$OUT/p-$OWN"
git --git-dir="$common" config filter.evil.smudge "$OUT/p-$OWN"
echo '* filter=evil' > $OWN/.gitattributes; true"#;

#[test]
fn pipes_where_git_reads_hold_nobody_up() {
    attack(vec![
        case("ignore-pipe", "mkfifo $OWN/.gitignore", Either(REFUSED)),
        case("attributes-pipe", "mkfifo $OWN/.gitattributes .gitattributes", Either(REFUSED)),
        case("modules-pipe", "mkfifo .gitmodules", Either(REFUSED)),
        case(
            "nested-pipe",
            "git init -q $OWN/in; rm $OWN/in/.git/HEAD; mkfifo $OWN/in/.git/HEAD",
            Either(REFUSED),
        ),
        case(
            "head-pipe",
            "a=$(git rev-parse --absolute-git-dir); rm $a/HEAD; mkfifo $a/HEAD
             rm .git; mkfifo .git",
            Either(REFUSED),
        ),
        case(
            "refs-pipe",
            "a=$(git rev-parse --absolute-git-dir); [ $a != \"$common\" ] || exit 1
             echo 'ref: refs/heads/nowhere' > $a/HEAD; rm -f $a/packed-refs; mkfifo $a/packed-refs",
            Either(REFUSED),
        ),
        case(
            "objects-pipe",
            "git add -A; git commit -qm 1; o=$(git rev-parse --git-path objects)
             [ -n \"$o\" ] && [ \"$o\" != \"$common/objects\" ] || exit 1
             rm -f \"$o/info/alternates\"; mkfifo \"$o/info/alternates\"",
            Either(REFUSED),
        ),
        case(
            "pack-pipe",
            "git add -A; git commit -qm 1; o=$(git rev-parse --git-path objects)
             [ -n \"$o\" ] && [ \"$o\" != \"$common/objects\" ] || exit 1
             n=$o/pack/pack-1234567890123456789012345678901234567890
             echo x > $n.pack; mkfifo $n.idx; mkfifo \"$o/info/commit-graph\"",
            Either(REFUSED),
        ),
    ]);
}

#[test]
fn objects_that_a_worker_forged_do_not_come_in() {
    attack(vec![
        // The next who writes this content would find it there, and be given another.
        case(
            "forged-object",
            "o=$(echo forged | git hash-object --stdin); e=$(echo evil | git hash-object -w --stdin)
             d=$(git rev-parse --git-path objects); f() { echo $1 | sed 's,^..,&/,'; }
             mkdir -p $d/$(f $o | cut -c1-2); cp $d/$(f $e) $d/$(f $o)
             echo forged > $OWN/b; git add -A; git commit -qm forged",
            Either(REFUSED),
        )
        .files(&["a", "b"])
        .check("test forged = \"$(cat forged-object/b)\""),
        case(
            "head-of-nowhere",
            "p=1234567890123456789012345678901234567890; t=$(git rev-parse HEAD^{tree})
             c=$({ echo tree $t; echo parent $(git rev-parse HEAD); echo parent $p
               printf 'author w <w> 1 +0000\\ncommitter w <w> 1 +0000\\n\\nx\\n'
               } | git hash-object -t commit -w --stdin --literally)
             echo $c > \"$(git rev-parse --absolute-git-dir)/HEAD\"",
            Either(REFUSED),
        ),
        case(
            "head-is-a-tree",
            "a=$(git rev-parse --absolute-git-dir); t=$(git rev-parse HEAD^{tree})
             echo $t > $a/HEAD",
            Either(REFUSED),
        ),
        case(
            "borrowed-objects",
            "mkdir -p $OUT/store/info; o=$(git rev-parse --git-path objects)
             [ \"$o\" != \"$common/objects\" ] || exit 1
             echo \"$common/objects\" > $OUT/store/info/alternates
             echo $OUT/store >> \"$o/info/alternates\"
             export GIT_OBJECT_DIRECTORY=$OUT/store; git add -A; git commit -qm elsewhere",
            Either(REFUSED),
        ),
        case(
            "bad-tree",
            "b=$(git hash-object -w $OWN/a); a=$(git rev-parse --absolute-git-dir)
             t=$(printf '100644 blob %s\\t.git\\n100644 blob %s\\t..\\n' $b $b | git mktree)
             c=$(echo x | git commit-tree $t -p HEAD); echo $c > \"$a/HEAD\"",
            Either(REFUSED),
        ),
        case(
            "rewrites-time",
            "git add -A; export GIT_COMMITTER_DATE='@99999999999 +0000' GIT_AUTHOR_DATE='@0 +0000'
             git commit -qm x",
            Lands,
        ),
    ]);
}

#[test]
fn what_a_worker_writes_into_the_git_configuration_of_home_is_not_run_by_the_engine() {
    attack(vec![case("home", HOME_CONFIG, Either(REFUSED)).files(&["a", ".gitattributes"])]);
}

const HOME_CONFIG: &str = r#"p=$OUT/p-$OWN; mkdir -p "$OUT/hooks-$OWN"; trap_in "$p"
trap_in "$OUT/hooks-$OWN/post-checkout"
cp "$p" "$OUT/hooks-$OWN/reference-transaction"; echo '* filter=evil' > "$OUT/attributes"
echo '* filter=evil' > $OWN/.gitattributes
git config --global core.hooksPath "$OUT/hooks-$OWN"; git config --global core.fsmonitor "$p"
git config --global core.attributesFile "$OUT/attributes"
git config --global filter.evil.clean "$p"
git config --global filter.evil.smudge "$p"; git config --global merge.evil.driver "$p"; true"#;

#[test]
fn processes_of_a_worker_end_with_it_and_reach_no_other() {
    attack(vec![
        case("daemon", concat!(daemon!(), "sleep 0.2"), Lands),
        // What it does before it is found counts as the worker's.
        case("quick-daemon", daemon!(), Either(STRAYED)),
        // It has until the grace is over; what it does in that time is judged as well.
        case("deaf-daemon", DEAF_DAEMON, Fails(STRAYED, &["changed src/base.txt"])),
        case(
            "kills-its-parent",
            "tr '\\0' ' ' < /proc/$PPID/cmdline | grep -qF \"$ROOT\" && kill -9 $PPID
             sleep 0.2; true",
            Either(&["crash"]),
        ),
        case(
            "stops-its-parent",
            "tr '\\0' ' ' < /proc/$PPID/cmdline | grep -qF \"$ROOT\" &&
             kill -TERM $PPID; sleep 0.2; true",
            Either(&["crash"]),
        ),
        case("through-proc", THROUGH_PROC, Either(REFUSED)),
        case("inherited", INHERITED, Lands),
        case(
            "remounts",
            "mount -o remount,bind,rw \"$ROOT\" 2>&-
             umount \"$ROOT/.git\" 2>&-; umount \"$ROOT\" 2>&-
             echo x > \"$ROOT/evil.txt\"; echo x > \"$ROOT/.git/hooks/evil\"; true",
            Either(REFUSED),
        ),
        case("outlives", "timeout 20 sh -c 'trap \"\" TERM; sleep 0.3' ; true", Lands),
    ]);
}

const DEAF_DAEMON: &str = r#"l="trap '' TERM HUP INT; while :; do echo x > $PWD/src/base.txt
sleep 0.1; done"
(setsid env -i "PATH=$PATH" sh -c "trap '' TERM; (setsid sh -c \"$l\" &)" >&- 2>&- &)
sleep 0.2"#;

/// Files of this sandbox that were left open for it, and no others.
const INHERITED: &str = r#"for f in 3 4 5 6 7 8 9 10 11 12 13 14 15 16; do
  case $(readlink /proc/$$/fd/$f) in "${ROOT%/*}"/*) echo evil >> /proc/$$/fd/$f
: > /proc/$$/fd/$f;; esac
done; true"#;

/// Through the parents' view of the file system, as far as they belong to this sandbox.
const THROUGH_PROC: &str = r#"p=$PPID; n=0
while [ "${p:-0}" -gt 1 ] && [ $n -lt 4 ]; do
  case $(readlink /proc/$p/cwd)/ in "$ROOT"/*) ;; *) break;; esac
  echo x > "/proc/$p/root$ROOT/evil-$n.txt"; echo x > "/proc/$p/cwd/evil-cwd-$n.txt"
  nsenter -t $p -m -- sh -c "echo x > '$ROOT/evil-ns-$n.txt'"
  p=$(sed 's/.*) . //' /proc/$p/stat | cut -d' ' -f1); n=$((n+1))
done 2>&-; true"#;

#[test]
fn the_runs_tmux_server_runs_nothing_for_a_worker() {
    if !tmux_is_here() {
        return;
    }
    let s = victim(true);
    attack_on("tmux", &s, vec![case("tmux", THROUGH_TMUX, Either(REFUSED))]);
    assert_eq!(s.sessions(), "");
}

const THROUGH_TMUX: &str = r#"tmux -S "$SOCK" run-shell "echo x > '$ROOT/evil.txt'
echo x > '$ROOT/.git/hooks/evil'"
tmux -S "$SOCK" new-session -d "echo x > '$ROOT/evil-2.txt'"
tmux -S "$SOCK" set-option -g default-command "echo x > '$ROOT/evil-3.txt'"; sleep 0.2; true"#;
