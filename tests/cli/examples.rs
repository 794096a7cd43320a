//! The examples are real input: each is run.

use std::path::{Path, PathBuf};

use super::sandbox::{Sandbox, python_is_here};

fn example(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples").join(name)
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap().flatten() {
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

#[test]
fn the_python_service_gets_its_users_auth_routes_and_tests() {
    if !python_is_here() {
        return;
    }
    let s = Sandbox::bare(false);
    copy(&example("python-service/repo"), &s.root());
    s.git(&["init", "-q", "-b", "main"]);
    s.git(&["add", "-A"]);
    s.git(&["commit", "-qm", "service"]);
    let plan = example("python-service/tasks.yaml");
    let ran = s.run(&["run", plan.to_str().unwrap(), "--approve"]).exits(0);
    assert!(ran.out.contains("7 of 7 tasks landed"), "{}", ran.out);
    let tests = s
        .command("python3")
        .args(["-m", "unittest", "discover", "-s", "tests", "-t", "."])
        .env("PYTHONPATH", "src")
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .output()
        .unwrap();
    assert!(tests.status.success(), "{}", String::from_utf8_lossy(&tests.stderr));
    assert_eq!(s.git(&["status", "--porcelain"]), "");
}

#[test]
fn the_monorepo_of_some_hundred_files_gets_its_tools() {
    if !python_is_here() {
        return;
    }
    let s = Sandbox::bare(false);
    let made = s
        .command("sh")
        .arg(example("monorepo/make-repo.sh"))
        .arg(s.root().join("mono"))
        .output()
        .unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let files = s.git(&["-C", "mono", "ls-files"]).lines().count();
    assert!(files > 300, "{files}");
    let plan = example("monorepo/tasks.yaml");
    let ran = s.run(&["-C", "mono", "run", plan.to_str().unwrap(), "--approve"]).exits(0);
    assert!(ran.out.contains("12 of 12 tasks landed"), "{}", ran.out);
    assert_eq!(s.git(&["-C", "mono", "status", "--porcelain"]), "");
}
