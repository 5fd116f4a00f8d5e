//! The ports of the enforcement point: what it needs from outside and never implements itself.
//!
//! Whoever builds a [`Sandbox`](crate::Sandbox) plugs in a [`Runner`] (pods), a [`Clock`], a [`Feed`]
//! (what the user sees) and an [`Approver`] (who is told that a human is asked). A port decides nothing.

use std::fmt;
use std::io;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::time::Duration;

use nucleus_wire::control::{ApprovalView, FeedEvent};
use nucleus_wire::display::escape_short;

/// Starts commands inside pods. Implemented over a sandbox driver.
pub trait Runner: Send + Sync {
    /// Finds the file that `program` names inside a pod whose working directory is `cwd`
    /// (workspace-relative, empty = the root): by the pod's `PATH`, or as a path when it holds a slash. Any
    /// regular file counts, executable or not. Reads nothing of it and starts nothing.
    ///
    /// # Errors
    /// [`RunnerError::NotFound`] when the pod has no such file.
    fn resolve(&self, program: &str, cwd: &str) -> Result<Program, RunnerError>;

    /// Starts one command. The process tree dies at the latest when the returned value is dropped.
    ///
    /// # Errors
    /// Any error means that nothing runs.
    fn start(&self, spec: RunSpec) -> Result<Box<dyn Running>, RunnerError>;

    /// What to do about a failure this output shows, where the sandbox is the reason (a dependency that is not on
    /// this host, say): one line for the agent and the user, or nothing.
    fn hint(&self, _output: &str) -> Option<String> {
        None
    }
}

/// A program as a pod sees it.
#[derive(Debug)]
pub struct Program {
    /// Absolute path inside the pod, as found.
    pub path: String,
    /// The same with every link followed.
    pub real: String,
    /// The agent can change the file: it lies in the workspace, in `/tmp` or in a writable cache.
    pub agent_writable: bool,
    /// The file opened for reading on the host side; absent when only the pod can see it.
    pub file: Option<std::fs::File>,
}

/// One command to run in a pod. Only the act room can make one, from a call whose intent is in the log.
#[derive(Debug)]
pub struct RunSpec {
    pub(crate) argv: Vec<String>,
    pub(crate) env: Vec<(String, String)>,
    pub(crate) cwd: String,
    pub(crate) stdin: Option<OwnedFd>,
}

impl RunSpec {
    /// Program and arguments; never empty.
    #[must_use]
    pub fn argv(&self) -> &[String] {
        &self.argv
    }

    /// Variables set on top of the pod's own allowlist.
    #[must_use]
    pub fn env(&self) -> &[(String, String)] {
        &self.env
    }

    /// Working directory, workspace-relative; empty = the root of the workspace.
    #[must_use]
    pub fn cwd(&self) -> &str {
        &self.cwd
    }

    /// Standard input, a sealed memory file; `None` = `/dev/null`. Taken once.
    pub fn take_stdin(&mut self) -> Option<OwnedFd> {
        self.stdin.take()
    }
}

/// A command that runs.
pub trait Running: Send + Sync {
    /// Read end of its standard output; `None` after the first call.
    fn take_stdout(&mut self) -> Option<OwnedFd>;
    /// Read end of its standard error; `None` after the first call.
    fn take_stderr(&mut self) -> Option<OwnedFd>;
    /// Waits for its end, at most `timeout`; `None` = still running. One thread may wait while another kills.
    ///
    /// # Errors
    /// [`RunnerError::Io`] when the driver lost the pod; the caller then kills it.
    fn wait(&self, timeout: Duration) -> Result<Option<Exit>, RunnerError>;
    /// Kills the whole process tree. Idempotent; `wait` then returns at once.
    fn kill(&self);
}

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// It exited with this status.
    Code(i32),
    /// A signal ended it.
    Signal(i32),
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Code(code) => write!(f, "exit {code}"),
            Self::Signal(signal) => write!(f, "signal {signal}"),
        }
    }
}

/// Why a runner could not do its work. The text is the operator's; the agent gets [`RunnerError::agent_text`].
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RunnerError {
    /// No such program inside the pod.
    #[error("program {program:?} does not exist in the pod")]
    NotFound {
        /// As named by the call.
        program: String,
    },
    /// The program is there and cannot be executed.
    #[error("{program:?} cannot be executed")]
    NotExecutable {
        /// As named by the call.
        program: String,
        /// The system's answer.
        #[source]
        source: io::Error,
    },
    /// The working directory does not exist or is no directory.
    #[error("working directory {cwd:?} does not exist in the workspace")]
    NoSuchDirectory {
        /// Workspace-relative.
        cwd: String,
    },
    /// A limit of the sandbox is reached (processes, memory, pods).
    #[error("sandbox limit reached: {limit}")]
    Limit {
        /// Which one.
        limit: &'static str,
    },
    /// The driver failed; the pod is dead or never started.
    #[error("sandbox driver failed")]
    Driver(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// An operating-system call failed.
    #[error("sandbox I/O failed")]
    Io(#[from] io::Error),
}

impl RunnerError {
    /// What the agent may read: no host path, no system detail.
    #[must_use]
    pub fn agent_text(&self) -> String {
        match self {
            Self::NotFound { program } => {
                format!("{}: no such program in the sandbox", escape_short(program, 200))
            }
            Self::NotExecutable { program, .. } => {
                format!("{}: found, but it cannot be executed", escape_short(program, 200))
            }
            Self::NoSuchDirectory { cwd } => {
                format!("{}: no such directory in the workspace", escape_short(cwd, 200))
            }
            Self::Limit { limit } => format!("the sandbox's limit of {limit} is reached"),
            Self::Driver(_) | Self::Io(_) => "the sandbox could not run the command".to_owned(),
        }
    }
}

/// Time, as the enforcement point sees it.
pub trait Clock: Send + Sync {
    /// Milliseconds since the Unix epoch; may jump.
    fn wall_ms(&self) -> u64;
    /// Nanoseconds since boot, never backwards.
    fn monotonic_ns(&self) -> u64;
    /// Identity of this boot.
    fn boot_id(&self) -> &str;
}

/// Receives what the user sees of each call. Must not block for long.
pub trait Feed: Send + Sync {
    /// One event.
    fn event(&self, event: FeedEvent);
}

/// Is told about approval requests; answers come back through
/// [`ApprovalBook::decide`](crate::ApprovalBook::decide), never through this trait.
pub trait Approver: Send + Sync {
    /// A human is asked.
    fn requested(&self, view: ApprovalView);
    /// A request reached its end: `granted`, `refused`, `expired` or `withdrawn`.
    fn settled(&self, id: &str, outcome: &'static str);
}

/// Receives progress of one long call (sent on as MCP progress by the door).
pub trait Progress: Send + Sync {
    /// One line for whoever waits.
    fn report(&self, message: &str);
}

/// Nobody watches.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoProgress;

impl Progress for NoProgress {
    fn report(&self, _message: &str) {}
}

/// Where the host's file tools act: the merged tree of the task, held open.
#[derive(Debug)]
pub struct Workspace {
    /// Directory handle of the merged tree. Every path is resolved beneath it.
    pub root: OwnedFd,
    /// Host uid and gid to act as when the enforcement process is root; `None` = own ids.
    pub ids: Option<(u32, u32)>,
    /// Path of the workspace on the host, which is also its path inside a pod. For messages only.
    pub path: PathBuf,
}
