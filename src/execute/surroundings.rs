//! What every job of a run may see and write: the allowed environment, and the trees that are shut. Starts nothing.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::brief::{self, Surroundings};
use super::event::Settings;
use super::fence::{self, Fence, Mode};
use super::worktree::Places;
use crate::git::Repo;

/// What jobs see of this process's environment, and what they may write.
pub fn surroundings(
    repo: &Repo,
    places: &Places,
    env: &BTreeMap<String, String>,
    settings: &Settings,
) -> Surroundings {
    let mode = Mode::of(&settings.fence).unwrap_or(Mode::Off);
    let mut shut = vec![repo.root().to_owned(), repo.common().to_owned()];
    // Checkouts of the same repository that stand elsewhere.
    shut.extend(repo.worktrees().into_iter().filter(|w| !w.starts_with(places.worktrees())));
    // A submodule: the repository that holds it is somebody's as well.
    let text = repo.common().to_string_lossy().into_owned();
    shut.extend(text.split_once("/.git/modules/").map(|(above, _)| PathBuf::from(above)));
    // What runs outside the fence.
    shut.extend(std::env::current_exe());
    shut.extend(repo.program());
    // It may be a link to another disk.
    shut.push(places.worktrees());
    let home = env.get("HOME").map(PathBuf::from);
    // What these say is run by every git command, the engine's included.
    let config = env.get("XDG_CONFIG_HOME").map(PathBuf::from);
    let config = config.or_else(|| home.as_ref().map(|h| h.join(".config")));
    shut.extend(home.as_ref().map(|h| h.join(".gitconfig")));
    shut.extend(config.map(|c| c.join("git")));
    if settings.strict_fence {
        shut.push(PathBuf::from("/"));
    }
    let expand = |path: &String| match (path.strip_prefix("~/"), &home) {
        (Some(rest), Some(home)) => home.join(rest),
        (_, _) => repo.root().join(path),
    };
    let mut writable: Vec<PathBuf> = settings.writable.iter().map(expand).collect();
    if settings.strict_fence {
        let usual = [".cache", ".cargo", ".rustup", ".npm", ".local/share", ".claude", ".codex"];
        writable.extend(home.iter().flat_map(|h| usual.map(|u| h.join(u))));
        writable.push(std::env::temp_dir());
    }
    let hidden = vec![fence::tmux_sockets(env.get("TMUX_TMPDIR").map(String::as_str))];
    Surroundings {
        run_dir: places.run_dir(),
        env: brief::allowed(env, &settings.env_pass),
        walls: Fence {
            mode,
            read_only: fence::existing(shut),
            writable: fence::existing(writable),
            hidden,
            private_tmp: None,
        },
    }
}
