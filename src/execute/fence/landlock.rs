//! The fence as Landlock rules, where namespaces are not permitted. Knows nothing of jobs. Rules only ever allow, so
//! everything beside the shut trees is named: nothing new can be made directly in a directory above one of them.

use std::io;
use std::path::{Path, PathBuf};

use landlock::{
    ABI, AccessFs, CompatLevel, Compatible, PathBeneath, PathFd, Ruleset, RulesetAttr,
    RulesetCreatedAttr, RulesetStatus, Scope,
};

use super::Fence;

/// Confines this process and all that it starts.
pub(super) fn confine(fence: &Fence) -> io::Result<()> {
    let refused = |e: landlock::RulesetError| io::Error::other(e.to_string());
    let abi = ABI::V3;
    let ruleset = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_write(abi))
        .and_then(|r| r.scope(Scope::Signal))
        .and_then(Ruleset::create)
        .map_err(refused)?;
    let mut open = Vec::new();
    collect(Path::new("/"), &fence.read_only, &mut open);
    open.extend(fence.writable.iter().cloned());
    let mut ruleset = ruleset;
    for path in open {
        // What vanished meanwhile needs no rule.
        let Ok(fd) = PathFd::new(&path) else { continue };
        let access = if path.is_dir() {
            AccessFs::from_write(abi)
        } else {
            AccessFs::from_write(abi) & AccessFs::from_file(abi)
        };
        ruleset = ruleset.add_rule(PathBeneath::new(fd, access)).map_err(refused)?;
    }
    let status = ruleset.restrict_self().map_err(refused)?;
    match status.ruleset {
        RulesetStatus::NotEnforced => Err(io::ErrorKind::Unsupported.into()),
        RulesetStatus::FullyEnforced | RulesetStatus::PartiallyEnforced => Ok(()),
    }
}

/// Everything below `dir` that holds none of the shut trees.
fn collect(dir: &Path, shut: &[PathBuf], out: &mut Vec<PathBuf>) {
    if shut.iter().any(|s| s == dir) {
        return;
    }
    if !shut.iter().any(|s| s.starts_with(dir)) {
        out.push(dir.to_owned());
        return;
    }
    for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
        // Through a link nothing is opened that is not opened by its own name.
        if !entry.file_type().is_ok_and(|t| t.is_symlink()) {
            collect(&entry.path(), shut, out);
        }
    }
}
