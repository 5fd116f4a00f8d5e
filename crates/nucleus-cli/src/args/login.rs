//! Options of `nucleus login` and `nucleus logout`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use nucleus_wire::login::Subscription;

/// A subscription by the name of its agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Subscribed {
    /// Claude Pro, Max or Team.
    Claude,
    /// ChatGPT.
    Codex,
}

impl From<Subscribed> for Subscription {
    fn from(subscribed: Subscribed) -> Self {
        match subscribed {
            Subscribed::Claude => Self::Claude,
            Subscribed::Codex => Self::Codex,
        }
    }
}

/// `nucleus login`.
#[derive(Debug, Args)]
pub(crate) struct LoginArgs {
    /// Whose login to take over: claude or codex.
    #[arg(value_enum, hide_possible_values = true, required_unless_present = "status")]
    pub subscription: Option<Subscribed>,
    /// Show which logins are kept.
    #[arg(long)]
    pub status: bool,
    /// Take the login from this file instead of the agent's own.
    #[arg(long, value_name = "FILE", conflicts_with = "status")]
    pub from: Option<PathBuf>,
    /// Ask this address for new tokens instead of the provider's.
    #[arg(long, value_name = "URL", conflicts_with = "status")]
    pub token_url: Option<String>,
    /// Do not ask.
    #[arg(long, short, conflicts_with = "status")]
    pub yes: bool,
    /// Print the status as JSON.
    #[arg(long, requires = "status")]
    pub json: bool,
}

/// `nucleus logout`.
#[derive(Debug, Args)]
pub(crate) struct LogoutArgs {
    /// Which login to forget: claude or codex; all when none is named.
    #[arg(value_enum, hide_possible_values = true)]
    pub subscription: Option<Subscribed>,
}
