//! What can go wrong when a log is written.

use std::io;
use std::path::PathBuf;

use crate::event::EventError;
use crate::report::Verdict;

/// The step of the writer that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Step {
    /// Writing lines.
    Write,
    /// A write that took only part of the lines.
    ShortWrite,
    /// Making lines durable.
    Sync,
    /// Writing a checkpoint or making it durable.
    Checkpoint,
    /// Beginning the next segment.
    Rotate,
    /// The lock file or the log changed under the writer: someone else writes.
    Fence,
    /// The crypto library refused.
    Crypto,
    /// The writer's thread is gone.
    Thread,
}

impl Step {
    const fn words(self) -> &'static str {
        match self {
            Self::Write => "writing an entry failed",
            Self::ShortWrite => "an entry was written only in part (no space?)",
            Self::Sync => "making an entry durable failed",
            Self::Checkpoint => "writing a checkpoint failed",
            Self::Rotate => "beginning the next segment failed",
            Self::Fence => "another process has touched the log or its lock",
            Self::Crypto => "the crypto library refused to sign",
            Self::Thread => "the writer's thread is gone",
        }
    }
}

/// The first failure of a writer. It is final: the log takes no further entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{}{}", step.words(), kind.map(|k| format!(": {k}")).unwrap_or_default())]
pub struct Fault {
    /// What failed.
    pub step: Step,
    /// What the system said, where it said something.
    pub kind: Option<io::ErrorKind>,
}

impl Fault {
    pub(crate) const fn new(step: Step) -> Self {
        Self { step, kind: None }
    }

    pub(crate) fn io(step: Step, error: &io::Error) -> Self {
        Self { step, kind: Some(error.kind()) }
    }
}

/// Why an entry was not recorded. Whoever gets this must not act.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AppendError {
    /// The event cannot become an entry; nothing was written and the log goes on.
    #[error("the event was refused: {0}")]
    Event(#[from] EventError),
    /// The log has failed and takes no further entry.
    #[error("the audit log has failed and takes no further entry: {0}")]
    Poisoned(Fault),
    /// The log is closed.
    #[error("the audit log is closed")]
    Closed,
}

impl AppendError {
    /// The text an agent may see.
    #[must_use]
    pub const fn agent_text(&self) -> &'static str {
        match self {
            Self::Event(_) => "the call cannot be recorded, so it was not made",
            Self::Poisoned(_) => {
                "the audit log has failed, so no further call can be made in this task"
            }
            Self::Closed => "the task has ended, so no further call can be made",
        }
    }
}

/// Why a log cannot be created, resumed or closed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LogError {
    /// The host refused a step.
    #[error("{action} {}: {source}", path.display())]
    Unavailable {
        /// What was tried, as a verb.
        action: &'static str,
        /// On which file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Another process writes this log.
    #[error("another process writes the log {}", path.display())]
    Busy {
        /// The log.
        path: PathBuf,
    },
    /// There already is something at the place of the new log.
    #[error("the log {} or its sidecar already exists", path.display())]
    Exists {
        /// The log.
        path: PathBuf,
    },
    /// The log does not verify, so nothing is appended to it.
    #[error("the log {} cannot be continued: {verdict}", path.display())]
    Untrusted {
        /// The log.
        path: PathBuf,
        /// What verification found.
        verdict: Verdict,
    },
    /// The writer had failed before.
    #[error("the audit log had failed: {0}")]
    Poisoned(#[from] Fault),
    /// An option is outside its range.
    #[error("the log's options are out of range: {0}")]
    Options(&'static str),
    /// The crypto library refused.
    #[error("the crypto library refused")]
    Crypto,
}
