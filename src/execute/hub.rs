//! Wake-ups by the file system. Knows directories, not what lies in them.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use notify::{RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::Notify;

/// Wakes whoever waits for a change in a job's directory.
pub(super) struct Hub {
    watcher: Mutex<Option<RecommendedWatcher>>,
    waiting: Arc<Mutex<HashMap<PathBuf, Arc<Notify>>>>,
}

impl Hub {
    /// `wake` is called for changes in directories that are watched and that no job waits for.
    pub(super) fn new(wake: impl Fn() + Send + 'static) -> Hub {
        let waiting: Arc<Mutex<HashMap<PathBuf, Arc<Notify>>>> = Arc::default();
        let shared = waiting.clone();
        let watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            let Ok(event) = event else { return };
            // Looking at a file is an event as well: it would wake us to look again.
            if event.kind.is_access() {
                return;
            }
            let waiting = shared.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            for path in &event.paths {
                match path.parent().and_then(|dir| waiting.get(dir)) {
                    Some(notify) => notify.notify_one(),
                    None => wake(),
                }
            }
        });
        // Where the system does not notify, the fallback look finds the end all the same.
        Hub { watcher: Mutex::new(watcher.ok()), waiting }
    }

    pub(super) fn watch_dir(&self, dir: &Path) {
        let mut watcher = self.watcher.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(watcher) = watcher.as_mut() {
            let _ = watcher.watch(dir, RecursiveMode::NonRecursive);
        }
    }

    pub(super) fn watch_job(&self, dir: &Path) -> Arc<Notify> {
        let notify = Arc::new(Notify::new());
        let mut waiting = self.waiting.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        waiting.insert(dir.to_owned(), notify.clone());
        drop(waiting);
        self.watch_dir(dir);
        notify
    }

    pub(super) fn unwatch(&self, dir: &Path) {
        let mut waiting = self.waiting.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        waiting.remove(dir);
        drop(waiting);
        let mut watcher = self.watcher.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(watcher) = watcher.as_mut() {
            let _ = watcher.unwatch(dir);
        }
    }
}
