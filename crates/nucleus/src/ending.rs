//! How a command ended, and at whose word.

use std::fmt;

use crate::port::{Exit, RunnerError};

/// Why a command is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CommandEnding {
    /// It ended by itself.
    Exited(Exit),
    /// There is no such program in the sandbox.
    NoProgram,
    /// There is such a file, and it cannot be executed.
    NotExecutable,
    /// Its time was over.
    TimedOut,
    /// `job_stop`, or the user stopped the command that was the task.
    Stopped,
    /// The client took the call back.
    Cancelled,
    /// The task ended.
    TaskEnded,
    /// The driver lost it or could not kill it.
    Lost,
}

impl CommandEnding {
    /// What a runner's error says of a command that it had been given.
    #[must_use]
    pub fn of_error(error: &RunnerError) -> Self {
        match error {
            RunnerError::NotFound { .. } => Self::NoProgram,
            RunnerError::NotExecutable { .. } => Self::NotExecutable,
            _ => Self::Lost,
        }
    }

    /// The word for it in the log; none for one that ended by itself, whose status says all.
    pub(crate) fn word(self) -> Option<&'static str> {
        Some(match self {
            Self::Exited(_) => return None,
            Self::NoProgram => "no_program",
            Self::NotExecutable => "not_executable",
            Self::TimedOut => "timed_out",
            Self::Stopped => "stopped",
            Self::Cancelled => "cancelled",
            Self::TaskEnded => "task_ended",
            Self::Lost => "lost",
        })
    }

    /// Stable code; none for one that ended by itself.
    pub(crate) fn code(self) -> Option<&'static str> {
        Some(match self {
            Self::Exited(_) => return None,
            Self::NoProgram => "run.no_program",
            Self::NotExecutable => "run.not_executable",
            Self::TimedOut => "run.timed_out",
            Self::Stopped => "run.stopped",
            Self::Cancelled => "run.cancelled",
            Self::TaskEnded => "run.task_ended",
            Self::Lost => "run.lost",
        })
    }

    /// Somebody ended it on purpose: it neither succeeded nor failed.
    pub(crate) fn is_stopped(self) -> bool {
        matches!(self, Self::Stopped | Self::Cancelled | Self::TaskEnded)
    }
}

/// A few words, for the feed.
impl fmt::Display for CommandEnding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Exited(exit) => return exit.fmt(f),
            Self::NoProgram => "no such program",
            Self::NotExecutable => "not executable",
            Self::TimedOut => "timed out",
            Self::Stopped => "stopped",
            Self::Cancelled => "cancelled",
            Self::TaskEnded => "ended with the task",
            Self::Lost => "lost",
        })
    }
}
