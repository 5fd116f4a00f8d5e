//! Options of the commands that show a session's record.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

/// `nucleus replay`.
#[derive(Debug, Args)]
pub(crate) struct ReplayArgs {
    /// Session id, or an unambiguous beginning of it; the newest of this workspace when absent.
    pub session: Option<String>,
    /// Show only what ended like this (may be given more than once).
    #[arg(long, value_enum, value_name = "VERDICT")]
    pub only: Vec<Only>,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

/// How a step ended, for `nucleus replay --only`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Only {
    /// Let through by the envelope, and done.
    Allowed,
    /// Let through by a person's word, and done.
    Approved,
    /// Refused.
    Denied,
    /// Failed.
    Failed,
    /// Stopped, taken back, or over with the task.
    Stopped,
    /// No call: an unknown tool, bad arguments, a broken message.
    Malformed,
    /// A person was asked.
    Waiting,
    /// Without an outcome.
    Unfinished,
}

/// `nucleus report`.
#[derive(Debug, Args)]
pub(crate) struct ReportArgs {
    /// Session id, or an unambiguous beginning of it; the newest of this workspace when absent.
    pub session: Option<String>,
    /// As one self-contained HTML page.
    #[arg(long, required = true)]
    pub html: bool,
    /// Write to this file (`-`: standard output); `report.html` in the session's directory when absent.
    #[arg(long, short, value_name = "FILE")]
    pub output: Option<PathBuf>,
}
