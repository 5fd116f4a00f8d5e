//! Errors of the workspace side.

use std::io;
use std::path::PathBuf;

/// What went wrong, by blame. The texts are for the operator and may name host paths; nothing here reaches an agent.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WorkspaceError {
    /// Misuse: there is no such session.
    #[error("no session {id}; `nucleus review --list` shows the sessions that wait")]
    UnknownSession {
        /// What was asked for.
        id: String,
    },
    /// Misuse: a prefix fits several sessions.
    #[error("{id} fits {count} sessions; give more of the id")]
    AmbiguousSession {
        /// What was asked for.
        id: String,
        /// How many fit.
        count: usize,
    },
    /// Misuse: an id that is not `[0-9a-z-]{8,40}`.
    #[error("{id:?} is not a session id (8 to 40 of a-z, 0-9 and -)")]
    BadSessionId {
        /// The id.
        id: String,
    },
    /// Misuse: the task still runs.
    #[error("the task of session {id} is still running; stop it first, then try again")]
    Running {
        /// The session.
        id: String,
    },
    /// Misuse: the session is over.
    #[error("session {id} was already {status}; nothing is left to do")]
    Over {
        /// The session.
        id: String,
        /// `applied`, `discarded` or `undone`.
        status: super::session::Status,
    },
    /// Misuse: an item was named that does not wait for review.
    #[error("{path} does not wait for review in this session")]
    NotHeld {
        /// The path, escaped.
        path: String,
    },
    /// Misuse: a unit that cannot be accepted as it is.
    #[error("{path} cannot be accepted: {why}")]
    NotAcceptable {
        /// The path, escaped.
        path: String,
        /// The reason and what to do.
        why: super::plan::HoldReason,
    },
    /// The host changed under the session.
    #[error(
        "the workspace {} is not the directory the task began with (moved or replaced); move it back, or `nucleus discard {id}`", path.display()
    )]
    WorkspaceGone {
        /// Where it should be.
        path: PathBuf,
        /// The session.
        id: String,
    },
    /// Malformed: a file of Nucleus's own state cannot be understood.
    #[error("{} is damaged ({source}); the session's files lie beside it", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What the parser said.
        source: serde_json::Error,
    },
    /// Malformed: written by another version of Nucleus.
    #[error("{} has format {found}, this build reads {known}; use the build that made it", path.display())]
    Version {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: u32,
        /// The version of this build.
        known: u32,
    },
    /// Unavailable: not enough space for the changes.
    #[error(
        "not enough space to apply: {needed} bytes needed, {available} free on the file system of the workspace; nothing was changed. Free some, then `nucleus apply {id}`"
    )]
    NoSpace {
        /// Bytes needed.
        needed: u64,
        /// Bytes free.
        available: u64,
        /// The session.
        id: String,
    },
    /// Unavailable: applying failed and everything was put back.
    #[error(
        "applying {path} failed ({source}); every change was put back. Remove the cause, then `nucleus apply {id}`"
    )]
    RolledBack {
        /// The path at which it failed, escaped.
        path: String,
        /// Why.
        source: io::Error,
        /// The session.
        id: String,
    },
    /// Misuse: nothing of the session's was applied.
    #[error("session {id} ({status}) applied nothing that could be taken back")]
    NothingApplied {
        /// The session.
        id: String,
        /// How far it is.
        status: super::session::Status,
    },
    /// Unavailable: what would be put back was not kept.
    #[error("session {id} cannot be undone: {why}")]
    NotKept {
        /// The session.
        id: String,
        /// Why not.
        why: String,
    },
    /// Unavailable: taking back failed and everything was put as it was before.
    #[error(
        "taking back {path} failed ({source}); nothing was changed. Remove the cause, then `nucleus undo {id}`"
    )]
    UndoFailed {
        /// The path at which it failed, escaped.
        path: String,
        /// Why.
        source: io::Error,
        /// The session.
        id: String,
    },
    /// Unavailable: a system call failed.
    #[error("cannot {doing} {}: {source}", path.display())]
    Io {
        /// What was tried.
        doing: Doing,
        /// Where.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// Malformed: a tree deeper than the limit.
    #[error("{} is nested deeper than {limit} directories", path.display())]
    TooDeep {
        /// Where.
        path: PathBuf,
        /// The limit.
        limit: usize,
    },
}

/// What was tried when a system call failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Doing {
    /// Reading.
    Read,
    /// Writing or creating.
    Write,
    /// Locking.
    Lock,
    /// Removing.
    Remove,
    /// Making durable.
    Sync,
}

impl std::fmt::Display for Doing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Lock => "lock",
            Self::Remove => "remove",
            Self::Sync => "sync",
        })
    }
}

/// Attaches what was tried, and where, to an error.
pub(crate) trait At<T> {
    fn at(self, doing: Doing, path: &std::path::Path) -> Result<T, WorkspaceError>;
}

impl<T, E: Into<io::Error>> At<T> for Result<T, E> {
    fn at(self, doing: Doing, path: &std::path::Path) -> Result<T, WorkspaceError> {
        self.map_err(|source| WorkspaceError::Io {
            doing,
            path: path.to_owned(),
            source: source.into(),
        })
    }
}
