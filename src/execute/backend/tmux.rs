//! Jobs as tmux sessions on a socket of our own, so that a person can look at them. Never the user's server, never
//! the user's configuration; nothing is typed into a session.

use std::path::{Path, PathBuf};
use std::process::{Child, Command};

use tmux_interface::{StdIO, Tmux, TmuxCommand};

use super::{Backend, BackendError, Handle};
use crate::fault;

/// The session option that says which job a session shows; names alone could be another run's.
const JOB_OPTION: &str = "@slimductor-job";

/// Against a server that ends at the same moment.
const START_TRIES: u32 = 4;
const START_PAUSE: std::time::Duration = std::time::Duration::from_millis(50);

/// The tmux backend.
#[derive(Debug)]
pub struct TmuxServer {
    exe: PathBuf,
    socket: String,
}

impl TmuxServer {
    /// Starts wrappers with the binary at `exe`, on the server named `socket`.
    pub fn new(exe: PathBuf, socket: String) -> TmuxServer {
        TmuxServer { exe, socket }
    }

    /// The server's name, for `tmux -L`.
    pub fn socket(&self) -> &str {
        &self.socket
    }

    /// The version of the tmux on PATH; `None` where there is none.
    pub fn version() -> Option<String> {
        let output = Tmux::new().version().stdin(Some(StdIO::Null)).output().ok()?.into_inner();
        let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        (output.status.success() && text.starts_with("tmux")).then_some(text)
    }

    fn tmux(&self) -> Tmux<'static> {
        // `/dev/null`: a person's configuration may rename, hook or kill sessions.
        Tmux::new()
            .force_utf8()
            .socket_name(self.socket.clone())
            .file("/dev/null")
            .stdin(Some(StdIO::Null))
    }

    fn run(
        &self,
        action: &'static str,
        commands: Vec<TmuxCommand<'static>>,
    ) -> Result<String, BackendError> {
        let failed = |message: String| BackendError { backend: "tmux", action, message };
        fault::point("tmux", Path::new(action)).map_err(|e| failed(e.to_string()))?;
        let all = commands.into_iter().fold(self.tmux(), Tmux::add_command);
        let output = all.output().map_err(|e| failed(said(&e)))?.into_inner();
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
        }
        Err(failed(String::from_utf8_lossy(&output.stderr).trim().to_owned()))
    }

    /// The sessions on our server and the job directory that each shows.
    pub(in crate::execute) fn sessions(&self) -> Vec<(String, PathBuf)> {
        let list =
            command("list-sessions", &["-F", &format!("#{{session_name}}:#{{{JOB_OPTION}}}")]);
        // No server is no session.
        let text = self.run("list sessions", vec![list]).unwrap_or_default();
        let pair = |line: &str| line.split_once(':').map(|(n, d)| (n.to_owned(), PathBuf::from(d)));
        text.lines().filter_map(pair).collect()
    }

    /// Ends a session; one that ended by itself meanwhile is fine, whatever tmux says of it.
    fn end(&self, name: &str) -> Result<(), BackendError> {
        let kill = command("kill-session", &["-t", &format!("={name}")]);
        match self.run("end a session", vec![kill]) {
            Err(error) if self.sessions().iter().any(|(n, _)| n == name) => Err(error),
            Ok(_) | Err(_) => Ok(()),
        }
    }

    /// Whether nothing runs in the session's pane any more.
    pub(in crate::execute) fn is_dead(&self, name: &str) -> bool {
        let target = format!("={name}:");
        let ask = command("display-message", &["-p", "-t", &target, "#{pane_dead}"]);
        self.run("look at a session", vec![ask]).is_ok_and(|text| text.trim() == "1")
    }

    fn session_of(&self, dir: &Path) -> Option<String> {
        self.sessions().into_iter().find(|(_, d)| d == dir).map(|(name, _)| name)
    }
}

/// Why tmux could not be run, in words.
fn said(error: &tmux_interface::Error) -> String {
    let tmux_interface::Error::IO(e) = error else { return format!("{error:?}") };
    match e.kind() == std::io::ErrorKind::NotFound {
        true => "tmux is not on PATH".to_owned(),
        false => e.to_string(),
    }
}

fn command(name: &'static str, params: &[&str]) -> TmuxCommand<'static> {
    let mut command = TmuxCommand::new();
    command.name(name);
    for param in params {
        command.push_param((*param).to_owned());
    }
    command
}

impl Backend for TmuxServer {
    fn name(&self) -> &'static str {
        "tmux"
    }

    fn start(&self, job: &Handle) -> Result<Option<Child>, BackendError> {
        let mut sessions = self.sessions();
        if let Some((name, _)) = sessions.iter().find(|(_, dir)| *dir == job.dir).cloned() {
            // Started before a crash; its wrapper may not have taken the lock yet. One that is dead never will.
            if !self.is_dead(&name) {
                return Ok(None);
            }
            self.end(&name)?;
            sessions.retain(|(n, _)| *n != name);
        }
        let mut name = job.title.clone();
        if let Some((_, other)) = sessions.iter().find(|(n, _)| *n == name) {
            if crate::store::is_locked(&other.join("lock")) {
                // Another run's task of the same name is at work: leave it alone.
                name = format!("{name}-{}", std::process::id());
            } else {
                self.end(&name)?;
            }
        }
        let exe = self.exe.to_string_lossy();
        let dir = job.dir.to_string_lossy();
        // Several words after the options are executed as they are, without a shell.
        let start = command(
            "new-session",
            &["-d", "-s", &name, "-x", "200", "-y", "50", "--", &exe, "job", &dir],
        );
        // Options of a session begin with `@`; its target is the exact name.
        let target = format!("={name}:");
        let mark = command("set-option", &["-t", &target, JOB_OPTION, &dir]);
        // A worker's last screen stays to be looked at; checks and gates have their logs.
        let stays = if job.title.starts_with("worker-") { "on" } else { "off" };
        let keep = command("set-option", &["-t", &target, "remain-on-exit", stays]);
        for _ in 0..START_TRIES {
            let all = vec![start.clone(), mark.clone(), keep.clone()];
            match self.run("start a session", all) {
                // The server was just ending with its last session; the next one starts a new server.
                Err(e) if e.message.contains("server exited") => std::thread::sleep(START_PAUSE),
                other => return other.map(|_| None),
            }
        }
        self.run("start a session", vec![start, mark, keep]).map(|_| None)
    }

    fn forget(&self, jobs_dir: &Path) -> Result<(), BackendError> {
        for (name, dir) in self.sessions() {
            if dir.starts_with(jobs_dir) {
                self.end(&name)?;
            }
        }
        Ok(())
    }

    fn attach(&self, job: &Handle) -> Option<(Command, String)> {
        let name = self.session_of(&job.dir)?;
        #[expect(clippy::disallowed_methods, reason = "a backend starts processes")]
        let mut tmux = Command::new("tmux");
        tmux.args(["-L", &self.socket, "attach-session", "-t", &format!("={name}")]);
        Some((tmux, name))
    }
}
