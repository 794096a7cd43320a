//! The only writer of files: whole or not at all, synced, private where asked; and the careful reader of what others may
//! have put there. Knows nothing of what it writes.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crate::fault;

/// A file or directory that could not be written, and why.
#[derive(Debug, thiserror::Error)]
#[error("cannot {action} {path}: {source}")]
pub struct StoreError {
    /// What was tried.
    pub action: &'static str,
    /// On what.
    pub path: PathBuf,
    /// What the system said.
    pub source: io::Error,
}

impl StoreError {
    /// Whether the disk is full, broken or cannot be written: the user's to put right, then `resume`.
    pub fn is_no_room(&self) -> bool {
        fault::is_no_room(&self.source)
    }
}

/// Adds the action and path to an error of the system.
fn failed<'a>(action: &'static str, path: &'a Path) -> impl FnOnce(io::Error) -> StoreError + 'a {
    move |source| StoreError { action, path: path.to_owned(), source }
}

/// A point at which tests plant faults.
fn at(action: &'static str, path: &Path) -> Result<(), StoreError> {
    fault::point(action, path).map_err(failed(action, path))
}

/// Who may read a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// The owner only (0600): prompts, logs, environments.
    Private,
    /// As the user's umask says.
    Shared,
}

impl Mode {
    fn bits(self) -> u32 {
        match self {
            Mode::Private => 0o600,
            Mode::Shared => 0o666,
        }
    }
}

/// Makes `dir` and what is missing above it, for the owner only (0700).
pub fn make_dir(dir: &Path) -> Result<(), StoreError> {
    at("create", dir)?;
    DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(failed("create", dir))
}

/// A synced file with `content` in the directory of `path`, to be moved there.
fn beside(path: &Path, content: &[u8], mode: Mode) -> Result<tempfile::NamedTempFile, StoreError> {
    temp_in(path.parent().unwrap_or(Path::new(".")), path, content, mode)
}

fn temp_in(
    dir: &Path,
    path: &Path,
    content: &[u8],
    mode: Mode,
) -> Result<tempfile::NamedTempFile, StoreError> {
    at("write beside", path)?;
    let mut temp = tempfile::Builder::new()
        .prefix(".tmp-")
        .permissions(std::os::unix::fs::PermissionsExt::from_mode(mode.bits()))
        .tempfile_in(dir)
        .map_err(failed("write beside", path))?;
    at("write", path)?;
    temp.write_all(content).map_err(failed("write", path))?;
    at("sync", path)?;
    temp.as_file().sync_data().map_err(failed("sync", path))?;
    Ok(temp)
}

/// Makes a directory that belongs to the user, as the umask says, and what is missing above it.
pub fn make_user_dir(dir: &Path) -> Result<(), StoreError> {
    fs::create_dir_all(dir).map_err(failed("create", dir))
}

/// The content of a regular file of at most `most` bytes; what is none, a device or a pipe say, is refused.
pub fn read_regular(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    // Asked before it is opened: opening a pipe waits for the other end.
    if !fs::metadata(path)?.is_file() {
        return Err(io::Error::other("it is not a regular file"));
    }
    let opened = File::open(path)?;
    let length = opened.metadata().map_or(0, |m| m.len()).min(most);
    // Room for all of it at once, as far as the file's length can be believed.
    let mut bytes = Vec::with_capacity(length as usize + 1);
    opened.take(most + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > most {
        return Err(io::Error::other(format!("it has more than {most} bytes")));
    }
    Ok(bytes)
}

/// Replaces `path` by `content`: a reader sees the old or the new, never a part.
pub fn replace(path: &Path, content: &[u8], mode: Mode) -> Result<(), StoreError> {
    let temp = beside(path, content, mode)?;
    at("replace", path)?;
    temp.persist(path).map_err(|e| failed("replace", path)(e.error))?;
    Ok(())
}

/// Replaces the content of a file of the user's, which keeps its rights.
pub fn rewrite(path: &Path, content: &[u8]) -> Result<(), StoreError> {
    let meta = fs::metadata(path).map_err(failed("read", path))?;
    let refused = |why: &str| failed("rewrite", path)(io::Error::other(why.to_owned()));
    if !meta.is_file() {
        return Err(refused("it is not a regular file"));
    }
    if meta.permissions().readonly()
        || rustix::fs::access(path, rustix::fs::Access::WRITE_OK).is_err()
    {
        return Err(refused("it is read-only"));
    }
    let temp = beside(path, content, Mode::Private)?;
    if meta.nlink() > 1 || meta.uid() != rustix::process::geteuid().as_raw() {
        // Another name or another owner of it would be lost with a new file: the old one gets the new content, and the
        // whole of it lies beside until then.
        let mut file =
            File::options().write(true).truncate(true).open(path).map_err(failed("open", path))?;
        file.write_all(content).map_err(failed("write", path))?;
        return file.sync_data().map_err(failed("sync", path));
    }
    temp.as_file().set_permissions(meta.permissions()).map_err(failed("write", path))?;
    temp.persist(path).map_err(|e| failed("replace", path)(e.error))?;
    Ok(())
}

/// The same for a file in a directory of the user's: the half-written one lies in `dir`, of the same file system.
pub fn replace_through(
    dir: &Path,
    path: &Path,
    content: &[u8],
    mode: Mode,
) -> Result<(), StoreError> {
    let temp = temp_in(dir, path, content, mode)?;
    at("replace", path)?;
    temp.persist(path).map_err(|e| failed("replace", path)(e.error))?;
    Ok(())
}

/// Creates `path` with `content`; `Ok(false)` when it is already there. Atomic between processes.
pub fn create_new(path: &Path, content: &[u8], mode: Mode) -> Result<bool, StoreError> {
    let temp = beside(path, content, mode)?;
    at("create", path)?;
    match temp.persist_noclobber(path) {
        Ok(_) => sync_dir(path.parent().unwrap_or(Path::new("."))).map(|()| true),
        Err(e) if e.error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        Err(e) => Err(failed("create", path)(e.error)),
    }
}

/// Moves a finished directory to where it belongs and syncs the directory above.
pub fn publish_dir(built: &Path, place: &Path) -> Result<(), StoreError> {
    at("rename to", place)?;
    #[expect(clippy::disallowed_methods, reason = "this is the file that may")]
    fs::rename(built, place).map_err(failed("rename to", place))?;
    sync_dir(place.parent().unwrap_or(Path::new(".")))
}

/// Makes the names in `dir` durable.
pub fn sync_dir(dir: &Path) -> Result<(), StoreError> {
    at("sync", dir)?;
    File::open(dir).and_then(|d| d.sync_all()).map_err(failed("sync", dir))
}

/// Makes everything durable that was written to the file system on which `path` lies, by whomever.
pub fn sync_all(path: &Path) -> Result<(), StoreError> {
    at("sync all of", path)?;
    #[cfg(target_os = "linux")]
    {
        let file = File::open(path).map_err(failed("sync all of", path))?;
        rustix::fs::syncfs(&file).map_err(|e| failed("sync all of", path)(e.into()))
    }
    #[cfg(not(target_os = "linux"))]
    {
        rustix::fs::sync();
        Ok(())
    }
}

/// Removes a file; one that is not there is fine.
pub fn remove(path: &Path) -> Result<(), StoreError> {
    at("remove", path)?;
    match fs::remove_file(path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(failed("remove", path)(e)),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Removes a directory and what is in it; one that is not there is fine.
pub fn remove_dir(path: &Path) -> Result<(), StoreError> {
    at("remove", path)?;
    match fs::remove_dir_all(path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(failed("remove", path)(e)),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// The same for a directory in which somebody may have taken away permissions. Links in it are removed, not followed.
pub fn remove_tree(path: &Path) -> Result<(), StoreError> {
    match remove_dir(path) {
        Err(e) if e.source.kind() == io::ErrorKind::PermissionDenied => {}
        other => return other,
    }
    let mut todo = vec![path.to_owned()];
    at("open up", path)?;
    while let Some(dir) = todo.pop() {
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o700);
        fs::set_permissions(&dir, mode).map_err(failed("remove", path))?;
        for entry in fs::read_dir(&dir).map_err(failed("remove", path))?.flatten() {
            if entry.file_type().is_ok_and(|t| t.is_dir()) {
                todo.push(entry.path());
            }
        }
    }
    remove_dir(path)
}

/// Removes a directory when nothing is in it.
pub fn remove_empty_dir(path: &Path) {
    // That it still holds something is the answer, not an error.
    let _ = fs::remove_dir(path);
}

/// Points the symbolic link `link` at `target`, replacing one that is there.
pub fn link(target: &Path, link: &Path) -> Result<(), StoreError> {
    let name = link.file_name().unwrap_or_default().to_string_lossy();
    let temp = link.with_file_name(format!(".tmp-link-{}-{name}", std::process::id()));
    remove(&temp)?;
    at("link", link)?;
    std::os::unix::fs::symlink(target, &temp).map_err(failed("link", link))?;
    at("link", link)?;
    #[expect(clippy::disallowed_methods, reason = "this is the file that may")]
    fs::rename(&temp, link).map_err(failed("link", link))
}

/// Writes over the beginning of a file that is there: no room is needed for it.
pub fn overwrite(path: &Path, content: &[u8]) -> Result<(), StoreError> {
    at("write", path)?;
    let mut file = File::options().write(true).open(path).map_err(failed("open", path))?;
    file.write_all(content).map_err(failed("write", path))?;
    file.sync_data().map_err(failed("sync", path))
}

/// Opens `path` for appending, made private when it is new.
pub fn open_append(path: &Path) -> Result<File, StoreError> {
    at("open", path)?;
    OpenOptions::new()
        .create(true)
        .append(true)
        .mode(0o600)
        .open(path)
        .map_err(failed("open", path))
}

/// Appends `bytes` and makes them durable before it returns.
pub fn append_synced(file: &mut File, path: &Path, bytes: &[u8]) -> Result<(), StoreError> {
    at("append to", path)?;
    file.write_all(bytes).map_err(failed("append to", path))?;
    at("sync", path)?;
    file.sync_data().map_err(failed("sync", path))
}

/// Below so many free bytes a disk counts as full: little that is worth writing is smaller.
pub const NO_ROOM: u64 = 64 * 1024;

/// Whether something can be written in `dir`, found out by doing it.
pub fn room_in(dir: &Path) -> Result<(), StoreError> {
    if free_bytes(dir).is_some_and(|free| free < NO_ROOM) {
        return Err(failed("write in", dir)(io::ErrorKind::StorageFull.into()));
    }
    temp_in(dir, dir, &[0; 4096], Mode::Private).map(drop)
}

/// Whether two paths lie on one file system; `false` where that cannot be said.
pub fn same_disk(one: &Path, other: &Path) -> bool {
    let device = |path: &Path| fs::metadata(path).map(|m| m.dev()).ok();
    device(one).is_some() && device(one) == device(other)
}

/// How many bytes can still be written where `path` lies; `None` where the file system does not tell.
pub fn free_bytes(path: &Path) -> Option<u64> {
    let found = rustix::fs::statvfs(path).ok()?;
    // What is reserved is the superuser's.
    let root = rustix::process::geteuid().is_root();
    let blocks = if root { found.f_bfree } else { found.f_bavail };
    (found.f_blocks > 0).then(|| blocks.saturating_mul(found.f_frsize))
}

/// Cuts `path` back to `len` bytes.
pub fn truncate(path: &Path, len: u64) -> Result<(), StoreError> {
    at("truncate", path)?;
    let file = OpenOptions::new().write(true).open(path).map_err(failed("open", path))?;
    file.set_len(len).map_err(failed("truncate", path))?;
    file.sync_data().map_err(failed("sync", path))
}

/// Appends the `lines` that `path` does not hold yet, making it where it is missing.
pub fn ensure_lines(path: &Path, lines: &[&str]) -> Result<(), StoreError> {
    let mut text = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(e) if e.kind() == io::ErrorKind::NotFound => Vec::new(),
        Err(e) => return Err(failed("read", path)(e)),
    };
    let before = text.len();
    for line in lines {
        if text.split(|b| *b == b'\n').any(|l| l.trim_ascii_end() == line.as_bytes()) {
            continue;
        }
        if text.last().is_some_and(|b| *b != b'\n') {
            text.push(b'\n');
        }
        text.extend_from_slice(line.as_bytes());
        text.push(b'\n');
    }
    if text.len() == before {
        return Ok(());
    }
    if let Some(dir) = path.parent() {
        fs::create_dir_all(dir).map_err(failed("create", dir))?;
    }
    replace(path, &text, Mode::Shared)
}

/// Against a passing look at the lock.
const LOCK_TRIES: u32 = 10;
const LOCK_PAUSE: std::time::Duration = std::time::Duration::from_millis(10);

/// An exclusive lock on a file, freed by the kernel when the process dies.
#[derive(Debug)]
pub struct Lock {
    file: File,
    path: PathBuf,
}

impl Lock {
    /// Takes the lock; `None` when another process has it. Whoever only looks whether it is held holds it for a
    /// moment as well, so that a few tries are made.
    pub fn try_take(path: &Path) -> Result<Option<Lock>, StoreError> {
        let file = open_lock(path)?;
        Ok(try_lock(&file, path)?.then(|| Lock { file, path: path.to_owned() }))
    }

    /// Waits for the lock.
    pub fn take(path: &Path) -> Result<Lock, StoreError> {
        let file = open_lock(path)?;
        file.lock().map_err(failed("lock", path))?;
        Ok(Lock { file, path: path.to_owned() })
    }

    /// The open file, for whoever is to hold the lock as well.
    pub fn share(&self) -> Result<File, StoreError> {
        self.file.try_clone().map_err(failed("share", &self.path))
    }

    /// Writes who holds it, for messages; never relied on.
    pub fn describe(&mut self, text: &str) -> Result<(), StoreError> {
        self.file.set_len(0).map_err(failed("write", &self.path))?;
        self.file.write_all(text.as_bytes()).map_err(failed("write", &self.path))
    }
}

/// Locks an open file against other processes; `false` when one of them has it.
pub fn try_lock(file: &File, path: &Path) -> Result<bool, StoreError> {
    for _ in 0..LOCK_TRIES {
        match file.try_lock() {
            Ok(()) => return Ok(true),
            Err(TryLockError::WouldBlock) => std::thread::sleep(LOCK_PAUSE),
            Err(TryLockError::Error(e)) => return Err(failed("lock", path)(e)),
        }
    }
    Ok(false)
}

/// Whether some process holds the lock on `path`. What cannot be found out counts as held: nobody is taken for dead
/// because a look at him failed.
pub fn is_locked(path: &Path) -> bool {
    lock_is_held(path).unwrap_or(true)
}

/// The same, with what keeps it from being found out.
pub fn lock_is_held(path: &Path) -> io::Result<bool> {
    // Opening a pipe waits for its other end.
    match fs::metadata(path) {
        Ok(meta) if !meta.is_file() => return Err(io::Error::other("it is not a regular file")),
        Ok(_) | Err(_) => {}
    }
    let file = match OpenOptions::new().read(true).open(path) {
        Ok(file) => file,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(e) => return Err(e),
    };
    match file.try_lock_shared() {
        Ok(()) => Ok(false),
        Err(TryLockError::WouldBlock) => Ok(true),
        Err(TryLockError::Error(e)) => Err(e),
    }
}

/// Blocks until nobody holds the lock on `path`.
pub fn wait_unlocked(path: &Path) -> Result<(), StoreError> {
    let file = OpenOptions::new().read(true).open(path).map_err(failed("open", path))?;
    file.lock_shared().map_err(failed("wait for", path))
}

fn open_lock(path: &Path) -> Result<File, StoreError> {
    at("open", path)?;
    OpenOptions::new()
        .create(true)
        .truncate(false)
        .read(true)
        .write(true)
        .mode(0o600)
        .open(path)
        .map_err(failed("open", path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_created_once() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x");
        assert!(create_new(&path, b"1", Mode::Private).unwrap());
        assert!(!create_new(&path, b"2", Mode::Private).unwrap());
        assert_eq!(fs::read(&path).unwrap(), b"1");
    }

    #[test]
    fn lines_are_added_once_and_what_stands_there_is_kept() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("info/exclude");
        ensure_lines(&path, &["/a", "/b"]).unwrap();
        replace(&path, b"mine\n/a", Mode::Shared).unwrap();
        ensure_lines(&path, &["/a", "/b"]).unwrap();
        ensure_lines(&path, &["/a", "/b"]).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "mine\n/a\n/b\n");
    }

    #[test]
    fn a_lock_has_one_holder_and_is_free_afterwards() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        let held = Lock::try_take(&path).unwrap().unwrap();
        assert!(Lock::try_take(&path).unwrap().is_none());
        assert!(is_locked(&path));
        assert!(is_locked(&path.join("below")), "a look that fails says nothing");
        drop(held);
        assert!(!is_locked(&path));
        assert!(Lock::try_take(&path).unwrap().is_some());
    }
}
