//! The fence as namespaces: a mount namespace in which the repository is read-only, and a PID namespace that ends
//! whole. Knows nothing of jobs. Works as root and, where user namespaces are permitted, as anybody.

use std::collections::BTreeSet;
use std::ffi::CString;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::time::Duration;

use rustix::fs::StatVfsMountFlags;
use rustix::mount::{
    MountFlags, MountPropagationFlags, mount, mount_bind, mount_bind_recursive, mount_change,
    mount_remount,
};
use rustix::process::{Signal, getgid, getuid, set_parent_process_death_signal};
use rustix::thread::{CapabilitySet, UnshareFlags, remove_capability_from_bounding_set};

use tokio::signal::unix::{SignalKind, signal};

use super::Fence;
use crate::execute::process_tree;

/// Between TERM and the end of the namespace, for what a command left running.
const GRACE: Duration = Duration::from_millis(crate::execute::brief::GRACE_MS);

/// Confines this process and runs `argv` below a first process of the namespace's own.
pub(super) fn run(fence: &Fence, cwd: &Path, argv: &[String]) -> io::Result<ExitStatus> {
    // With the wrapper everything inside ends, whatever it did to its environment and sessions.
    set_parent_process_death_signal(Some(Signal::KILL))?;
    // Not through the old view of the worktree.
    std::env::set_current_dir("/")?;
    separate()?;
    mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)?;
    if let Some((from, at)) = &fence.private_tmp {
        // What lies in the temporary directory is in the job's own, where no other job can write. Before that is shut.
        mount_bind(from, at)?;
    }
    shut(fence)?;
    for dir in fence.hidden.iter().filter(|d| d.is_dir()) {
        let options = CString::new("size=1m,mode=0700").unwrap_or_default();
        let flags = MountFlags::NOSUID | MountFlags::NODEV;
        mount("tmpfs", dir, "tmpfs", flags, Some(options.as_c_str()))?;
    }
    // TERM is for the command inside; with this process all of it would end at once, without its grace.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let _inside = runtime.enter();
    let _term = signal(SignalKind::terminate())?;
    let _hangup = signal(SignalKind::hangup())?;
    #[expect(clippy::disallowed_methods, reason = "the fence confines processes")]
    let mut init = Command::new("/proc/self/exe");
    init.args(["fence", "--init"]).arg(cwd).arg("--").args(argv).status()
}

/// New namespaces; as somebody else than root, or where root may not, inside a user namespace whose root we are.
fn separate() -> io::Result<()> {
    let spaces = UnshareFlags::NEWNS | UnshareFlags::NEWPID;
    let (uid, gid) = (getuid(), getgid());
    if uid.is_root() && leave(spaces).is_ok() {
        return Ok(());
    }
    leave(spaces | UnshareFlags::NEWUSER)?;
    map(&format!("0 {} 1", uid.as_raw()), &format!("0 {} 1", gid.as_raw()))
}

#[expect(
    deprecated,
    reason = "unsafe only for FILES, which is not asked for; unsafe code is forbidden here"
)]
fn leave(spaces: UnshareFlags) -> io::Result<()> {
    Ok(rustix::thread::unshare(spaces)?)
}

#[expect(clippy::disallowed_methods, reason = "the kernel's own files, not anybody's")]
fn map(uid: &str, gid: &str) -> io::Result<()> {
    // Root of the first namespace may map groups without this.
    let _ = std::fs::write("/proc/self/setgroups", "deny");
    std::fs::write("/proc/self/uid_map", uid)?;
    std::fs::write("/proc/self/gid_map", gid)
}

/// Makes what is to be shut read-only, with all that is mounted inside, and opens what is to be open.
fn shut(fence: &Fence) -> io::Result<()> {
    // By the names that the kernel uses, links followed; what is gone by now needs no fence.
    let fence = &Fence {
        read_only: super::existing(fence.read_only.clone()),
        writable: super::existing(fence.writable.clone()),
        ..fence.clone()
    };
    // A directory that is mounted on cannot be renamed: not the shut trees, and nothing above them.
    for above in ancestors(fence.read_only.iter().chain(&fence.writable)) {
        bind(&above)?;
    }
    for path in &fence.read_only {
        if path != Path::new("/") {
            bind(path)?;
        }
    }
    for path in &fence.writable {
        bind(path)?;
    }
    for point in mount_points()? {
        let shut = fence.read_only.iter().any(|r| point.starts_with(r));
        let open = fence.writable.iter().any(|w| point.starts_with(w));
        // Where everything is shut, what the kernel itself shows stays as it is.
        let kernel = ["/proc", "/dev", "/sys"].iter().any(|k| point.starts_with(k));
        if shut && !open && !(kernel && fence.read_only.contains(&PathBuf::from("/"))) {
            unless_gone(&point, make_read_only(&point))?;
        }
    }
    Ok(())
}

/// Mounts a path over itself, with all that is mounted inside.
fn bind(path: &Path) -> io::Result<()> {
    let bound = match path.is_dir() {
        true => mount_bind_recursive(path, path),
        false => mount_bind(path, path),
    };
    unless_gone(path, bound.map_err(io::Error::from))
}

/// What somebody has removed meanwhile, another run its worktree say, needs no fence.
fn unless_gone(path: &Path, result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(e) if e.kind() == io::ErrorKind::NotFound && path.symlink_metadata().is_err() => Ok(()),
        other => other,
    }
}

/// Every directory above these paths but the root, the upper ones first.
fn ancestors<'a>(paths: impl Iterator<Item = &'a PathBuf>) -> BTreeSet<PathBuf> {
    let above = paths.flat_map(|p| p.ancestors().skip(1));
    above.filter(|a| *a != Path::new("/")).map(Path::to_owned).collect()
}

fn make_read_only(point: &Path) -> io::Result<()> {
    // What a mount forbids already must be said again, or the kernel refuses.
    let have = rustix::fs::statvfs(point)?.f_flag;
    let mut flags = MountFlags::BIND | MountFlags::RDONLY;
    for (is, flag) in [
        (StatVfsMountFlags::NOSUID, MountFlags::NOSUID),
        (StatVfsMountFlags::NODEV, MountFlags::NODEV),
        (StatVfsMountFlags::NOEXEC, MountFlags::NOEXEC),
        (StatVfsMountFlags::NOATIME, MountFlags::NOATIME),
        (StatVfsMountFlags::NODIRATIME, MountFlags::NODIRATIME),
        (StatVfsMountFlags::RELATIME, MountFlags::RELATIME),
    ] {
        if have.contains(is) {
            flags |= flag;
        }
    }
    Ok(mount_remount(point, flags, c"")?)
}

/// Where something is mounted, as the kernel lists it.
fn mount_points() -> io::Result<Vec<PathBuf>> {
    let table = std::fs::read("/proc/self/mountinfo")?;
    let field = |line: &[u8]| line.split(|b| *b == b' ').nth(4).map(unescape);
    let mut points: Vec<PathBuf> = table.split(|b| *b == b'\n').filter_map(field).collect();
    points.sort();
    points.dedup();
    Ok(points)
}

/// The kernel writes blanks and the like as three octal digits.
fn unescape(field: &[u8]) -> PathBuf {
    let mut out = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((first, tail)) = rest.split_first() {
        let digits = tail.get(..3).filter(|d| *first == b'\\' && d.iter().all(u8::is_ascii_digit));
        let code = digits.and_then(|d| std::str::from_utf8(d).ok());
        match code.and_then(|d| u8::from_str_radix(d, 8).ok()) {
            Some(byte) => {
                out.push(byte);
                rest = tail.get(3..).unwrap_or_default();
            }
            None => {
                out.push(*first);
                rest = tail;
            }
        }
    }
    PathBuf::from(std::ffi::OsStr::from_bytes(&out))
}

/// The first process of the PID namespace: shows the namespace's own processes under /proc, gives up the power over
/// its mounts, runs the command, and with it ends everything.
pub(super) fn init(cwd: &Path, argv: &[String]) -> io::Result<ExitStatus> {
    set_parent_process_death_signal(Some(Signal::KILL))?;
    let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    mount("proc", "/proc", "proc", flags, None::<&std::ffi::CStr>)?;
    // The kernel's switches are the whole machine's.
    mount_bind("/proc/sys", "/proc/sys")?;
    make_read_only(Path::new("/proc/sys"))?;
    renounce()?;
    let status = super::run(cwd, argv)?;
    // With this process everything inside is killed: who is still cleaning up has its grace first.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(process_tree::end_descendants(GRACE));
    Ok(status)
}

/// Gives up the power over the mounts. Inside a user namespace of ours: by another one below it, in which we are who
/// started us. As root of the machine: by never having the capability again.
fn renounce() -> io::Result<()> {
    let (uids, gids) = (own_row("/proc/self/uid_map")?, own_row("/proc/self/gid_map")?);
    if let (Some(uid), Some(gid)) = (uids, gids) {
        leave(UnshareFlags::NEWUSER)?;
        return map(&uid, &gid);
    }
    // What a user namespace made inside could mount is locked by the kernel.
    for capability in [
        CapabilitySet::SYS_ADMIN,
        CapabilitySet::SYS_MODULE,
        CapabilitySet::SYS_RAWIO,
        CapabilitySet::MKNOD,
        // Opens files by their numbers, past every mount.
        CapabilitySet::DAC_READ_SEARCH,
        // Takes over the first process, which can still mount.
        CapabilitySet::SYS_PTRACE,
        CapabilitySet::SYS_BOOT,
    ] {
        remove_capability_from_bounding_set(capability)?;
    }
    Ok(())
}

/// The way back from the single id that is mapped here; `None` where a whole range is.
fn own_row(file: &str) -> io::Result<Option<String>> {
    let text = std::fs::read_to_string(file)?;
    let mut fields = text.split_whitespace();
    Ok(match (fields.next(), fields.next(), fields.next()) {
        (Some(inside), Some(outside), Some("1")) => Some(format!("{outside} {inside} 1")),
        (_, _, _) => None,
    })
}
