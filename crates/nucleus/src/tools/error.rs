//! What can go wrong in a tool, by blame, with a text for the agent.
//!
//! Paths in here are workspace-relative, so neither text holds a host path.

use std::fmt;
use std::io;

use nucleus_wire::display::escape_short;

use super::edit::EditFault;
use super::pattern::PatternFault;
use crate::port::RunnerError;
use crate::refusal::Refusal;

/// Why a tool did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ToolError {
    /// Policy refuses what the path turned out to be.
    #[error("refused: {0}")]
    Refused(Refusal),
    /// The sandbox did not run the command.
    #[error("the command could not be run")]
    Runner(#[source] RunnerError),
    /// The path argument is malformed.
    #[error("path argument: {0}")]
    Path(PathFault),
    /// The path leads out of the workspace.
    #[error("{path:?} leads out of the workspace")]
    Escape {
        /// As resolved so far.
        path: String,
    },
    /// A write would reach a file that has other names.
    #[error("{path:?} has {links} hard links")]
    HardLink {
        /// The file.
        path: String,
        /// Its link count.
        links: u64,
    },
    /// The path names something that is no regular file.
    #[error("{path:?} is a {kind}")]
    NotRegular {
        /// The path.
        path: String,
        /// What it is.
        kind: Kind,
    },
    /// The path names no directory.
    #[error("{path:?} is no directory")]
    NotDirectory {
        /// The path.
        path: String,
    },
    /// Nothing is there.
    #[error("{path:?} does not exist")]
    NotFound {
        /// The path.
        path: String,
    },
    /// The file may not be written by anybody.
    #[error("{path:?} is read-only")]
    ReadOnly {
        /// The file.
        path: String,
    },
    /// The tree kept changing while the path was resolved.
    #[error("{path:?} changed while it was used")]
    Changed {
        /// The path.
        path: String,
    },
    /// Too many links or components.
    #[error("{path:?} does not resolve within the limits")]
    TooDeep {
        /// The path.
        path: String,
    },
    /// A file is larger than the tool takes.
    #[error("{path:?} has {bytes} bytes, the limit is {limit_bytes}")]
    TooLarge {
        /// The file.
        path: String,
        /// Its size.
        bytes: u64,
        /// The limit.
        limit_bytes: u64,
    },
    /// A file holds no text.
    #[error("{path:?} is binary")]
    Binary {
        /// The file.
        path: String,
        /// Its size.
        bytes: u64,
        /// What its first bytes say.
        format: &'static str,
    },
    /// `read` was asked to begin behind the end.
    #[error("{path:?} has {lines} lines")]
    BeyondEnd {
        /// The file.
        path: String,
        /// Lines it has.
        lines: u64,
    },
    /// A search pattern is refused.
    #[error("pattern: {0}")]
    Pattern(#[from] PatternFault),
    /// An edit does not apply.
    #[error("edit of {path:?}: {fault}")]
    Edit {
        /// The file.
        path: String,
        /// Why.
        fault: EditFault,
    },
    /// No such job in this task.
    #[error("job {job:?} does not exist")]
    NoSuchJob {
        /// As named by the call.
        job: String,
    },
    /// Too many jobs run.
    #[error("{limit} jobs run already")]
    JobLimit {
        /// The limit.
        limit: usize,
    },
    /// The call is answered before the act room and has no effect to perform.
    #[error("the call has no effect")]
    NoEffect,
    /// The caller withdrew.
    #[error("cancelled")]
    Cancelled,
    /// The call's time is over.
    #[error("deadline passed")]
    Deadline,
    /// The operating system refused.
    #[error("{operation} {path:?}")]
    Io {
        /// What was tried.
        operation: &'static str,
        /// On which path.
        path: String,
        /// The system's answer.
        #[source]
        source: io::Error,
    },
}

/// What is wrong with a path argument.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum PathFault {
    /// Nothing given.
    #[error("it is empty")]
    Empty,
    /// Longer than a path may be.
    #[error("it is longer than 4,096 bytes")]
    TooLong,
    /// A NUL byte ends names in the kernel.
    #[error("it holds a NUL byte")]
    Nul,
    /// Absolute and not beneath the workspace.
    #[error("it is absolute and not beneath the workspace; give a path relative to the workspace")]
    Outside,
    /// `..` changes meaning with every link before it.
    #[error("it holds `..`; give the path from the root of the workspace")]
    Parent,
    /// A name longer than a file system holds.
    #[error("one of its names is longer than 255 bytes")]
    NameTooLong,
    /// The link behind it holds bytes that are no UTF-8, which no rule can be written for.
    #[error("it leads to a name that is not UTF-8")]
    NotUtf8,
}

/// What a path names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Nothing yet.
    Missing,
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A named pipe.
    Fifo,
    /// A socket.
    Socket,
    /// A character or block device.
    Device,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Missing => "missing file",
            Self::File => "regular file",
            Self::Directory => "directory",
            Self::Fifo => "named pipe",
            Self::Socket => "socket",
            Self::Device => "device",
        })
    }
}

impl ToolError {
    /// An error of the operating system on a workspace path.
    pub(crate) fn io(operation: &'static str, path: &str, source: impl Into<io::Error>) -> Self {
        Self::Io { operation, path: path.to_owned(), source: source.into() }
    }

    /// Stable code.
    #[must_use]
    pub(crate) fn code(&self) -> &'static str {
        match self {
            Self::Refused(refusal) => refusal.code(),
            Self::Runner(RunnerError::NotFound { .. }) => "run.no_program",
            Self::Runner(RunnerError::NotExecutable { .. }) => "run.not_executable",
            Self::Runner(RunnerError::NoSuchDirectory { .. }) => "run.no_directory",
            Self::Runner(RunnerError::Limit { .. }) => "run.limit",
            Self::Runner(_) => "run.sandbox",
            Self::Path(_) => "path.malformed",
            Self::Escape { .. } => "deny.path.escape",
            Self::HardLink { .. } => "deny.path.hard_link",
            Self::NotRegular { kind: Kind::Directory, .. } => "path.directory",
            Self::NotRegular { .. } => "deny.path.special",
            Self::NotDirectory { .. } => "path.not_directory",
            Self::NotFound { .. } => "path.not_found",
            Self::ReadOnly { .. } => "path.read_only",
            Self::Changed { .. } => "path.changed",
            Self::TooDeep { .. } => "path.too_deep",
            Self::TooLarge { .. } => "file.too_large",
            Self::Binary { .. } => "file.binary",
            Self::BeyondEnd { .. } => "read.beyond_end",
            Self::Pattern(fault) => fault.code(),
            Self::Edit { fault, .. } => fault.code(),
            Self::NoSuchJob { .. } => "job.unknown",
            Self::JobLimit { .. } => "job.limit",
            Self::NoEffect => "call.no_effect",
            Self::Cancelled => "call.cancelled",
            Self::Deadline => "call.deadline",
            Self::Io { .. } => "io",
        }
    }

    /// The refusal, when policy or the resolver refused what the path turned out to be; `None` for what simply
    /// went wrong.
    #[must_use]
    pub(crate) fn refusal(&self) -> Option<Refusal> {
        match self {
            Self::Refused(refusal) => Some(refusal.clone()),
            Self::Escape { .. }
            | Self::HardLink { .. }
            | Self::NotRegular { kind: Kind::Fifo | Kind::Socket | Kind::Device, .. } => {
                Some(Refusal::new(self.code(), "resolver", self.agent_text()))
            }
            _ => None,
        }
    }

    /// What the agent reads: the fault and what to do next.
    #[must_use]
    pub(crate) fn agent_text(&self) -> String {
        match self {
            Self::Refused(refusal) => refusal.text().to_owned(),
            Self::Runner(error) => error.agent_text(),
            Self::Path(fault) => format!("The path is refused: {fault}."),
            Self::Escape { path } => format!(
                "`{}` leads out of the workspace, which no tool can follow. Work on files inside the workspace.",
                shown(path)
            ),
            Self::HardLink { path, links } => format!(
                "`{}` has {links} names (hard links), so writing it could change a file elsewhere. \
                 Write a copy under a new name and, if it should take the place of this one, move it there with run.",
                shown(path)
            ),
            Self::NotRegular { path, kind: Kind::Directory } => {
                format!("`{}` is a directory. Use glob to list it.", shown(path))
            }
            Self::NotRegular { path, kind } => {
                format!("`{}` is a {kind}. The file tools only work on regular files.", shown(path))
            }
            Self::NotDirectory { path } => {
                format!("`{}` is used as a directory and is none.", shown(path))
            }
            Self::NotFound { path } => format!(
                "`{}` does not exist. Use glob to find the right path; paths are relative to the workspace.",
                shown(path)
            ),
            Self::ReadOnly { path } => format!(
                "`{}` is read-only for everybody. If it is meant to be changed, make it writable with run (chmod u+w).",
                shown(path)
            ),
            Self::Changed { path } => format!(
                "`{}` was changed by something else at the same moment; nothing was done. Read it again and retry.",
                shown(path)
            ),
            Self::TooDeep { path } => {
                format!("`{}` goes through too many links or directories.", shown(path))
            }
            Self::TooLarge { path, bytes, limit_bytes } => format!(
                "`{}` has {bytes} bytes; this tool takes at most {limit_bytes}. Use run with sed, head or tail.",
                shown(path)
            ),
            Self::Binary { path, bytes, format } => {
                format!(
                    "`{}` is a binary file ({format}, {bytes} bytes). This tool works on text.",
                    shown(path)
                )
            }
            Self::BeyondEnd { path, lines } => {
                format!("`{}` has {lines} lines; offset starts behind its end.", shown(path))
            }
            Self::Pattern(fault) => format!("The pattern is refused: {fault}."),
            Self::Edit { path, fault } => format!("`{}` is unchanged: {fault}.", shown(path)),
            Self::NoSuchJob { job } => {
                format!("There is no job `{}` in this task, or its output was dropped.", shown(job))
            }
            Self::JobLimit { limit } => {
                format!("{limit} jobs run already. Stop one with job_stop, or wait for one to end.")
            }
            Self::NoEffect => "This call does nothing by itself.".to_owned(),
            Self::Cancelled => "The call was cancelled.".to_owned(),
            Self::Deadline => {
                "The call took too long and was ended. Ask for less at a time.".to_owned()
            }
            Self::Io { operation, path, source } => {
                format!("Could not {operation} `{}`: {}.", shown(path), reason(source))
            }
        }
    }
}

impl From<Refusal> for ToolError {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<RunnerError> for ToolError {
    fn from(error: RunnerError) -> Self {
        Self::Runner(error)
    }
}

/// A path as the agent reads it.
pub(crate) fn shown(path: &str) -> String {
    if path.is_empty() {
        return ".".to_owned();
    }
    escape_short(path, 500)
}

fn reason(error: &io::Error) -> &'static str {
    use io::ErrorKind as K;
    match error.kind() {
        K::PermissionDenied => "permission denied",
        K::StorageFull | K::QuotaExceeded => "no space left",
        K::ReadOnlyFilesystem => "the file system is read-only",
        K::FileTooLarge => "the file would be too large",
        K::AlreadyExists => "it exists already",
        K::InvalidFilename => "the name is not allowed",
        K::Interrupted | K::TimedOut => "it took too long",
        _ => "the system refused",
    }
}
