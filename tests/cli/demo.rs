//! `slimductor demo`.

use super::sandbox::{Sandbox, ran, tmux_is_here, wait_for_line};

#[test]
fn the_demo_needs_no_tmux_lands_everything_and_leaves_nothing_behind() {
    let s = Sandbox::bare(false);
    let shown = s.run(&["demo"]).exits(0);
    assert!(shown.out.contains("8 of 8 tasks landed"), "{}", shown.out);
    assert!(shown.out.contains("task-status needed 2 attempts"), "{}", shown.out);
    assert_eq!(std::fs::read_dir(s.outside("tmp")).unwrap().count(), 0);
    assert_eq!(std::fs::read_dir(s.outside("home")).unwrap().count(), 0);
    s.assert_no_process();
}

#[test]
fn the_demo_s_workers_are_seen_in_tmux() {
    if !tmux_is_here() {
        return;
    }
    let s = Sandbox::bare(true);
    let mut child = s.start(&["demo"]);
    let seen = wait_for_line(&mut child, "start ");
    let socket =
        seen.split("tmux -L ").nth(1).and_then(|t| t.split(' ').next()).unwrap().to_owned();
    // The first worker is being started; its session appears as soon as it runs.
    let mut sessions = String::new();
    while !sessions.contains("worker-task-") {
        let output = s.command("tmux").args(["-L", &socket, "ls"]).output().unwrap();
        sessions = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(child.try_wait().unwrap().is_none(), "the demo ended without a worker in tmux");
    }
    ran(child.wait_with_output().unwrap()).exits(0);
    let output = s.command("tmux").args(["-L", &socket, "ls"]).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "");
}

#[test]
fn the_demo_can_be_kept_to_look_around() {
    let s = Sandbox::bare(false);
    let shown = s.run(&["demo", "--keep", "--quiet"]).exits(0);
    assert_eq!(shown.err, "");
    let kept = std::fs::read_dir(s.outside("tmp")).unwrap().next().unwrap().unwrap().path();
    let status =
        ran(s.slimductor().args(["-C", kept.to_str().unwrap(), "status"]).output().unwrap())
            .exits(0);
    assert!(status.out.contains("8 merged"), "{}", status.out);
}
