//! Options of the commands that look at what is kept and clear it away.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use nucleus_wire::config;

/// `--color`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Colour {
    /// On a terminal, unless NO_COLOR is set.
    Auto,
    /// Everywhere.
    Always,
    /// Nowhere.
    Never,
}

impl From<Colour> for config::Colour {
    fn from(colour: Colour) -> Self {
        match colour {
            Colour::Auto => Self::Auto,
            Colour::Always => Self::Always,
            Colour::Never => Self::Never,
        }
    }
}

/// `nucleus ps`.
#[derive(Debug, Args)]
pub(crate) struct PsArgs {
    /// List settled sessions too (applied, discarded, undone).
    #[arg(long, short)]
    pub all: bool,
    /// Print session ids only.
    #[arg(long, short, conflicts_with = "json")]
    pub quiet: bool,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

/// `nucleus logs`.
#[derive(Debug, Args)]
pub(crate) struct LogsArgs {
    /// Session id, or an unambiguous beginning of it; the newest of this workspace when absent.
    pub session: Option<String>,
    /// Go on until the task ends.
    #[arg(long, short)]
    pub follow: bool,
    /// Print one JSON object per entry: sequence, timestamp, event.
    #[arg(long)]
    pub json: bool,
}

/// `nucleus changes`.
#[derive(Debug, Args)]
pub(crate) struct ChangesArgs {
    /// Session id, or an unambiguous beginning of it; the newest of this workspace when absent.
    pub session: Option<String>,
    /// Show further changes as they come, until the task ends.
    #[arg(long, short)]
    pub follow: bool,
    /// List paths without diffs.
    #[arg(long)]
    pub list: bool,
    /// Print JSON; with --follow one object per line.
    #[arg(long)]
    pub json: bool,
}

/// `nucleus undo`.
#[derive(Debug, Args)]
pub(crate) struct UndoArgs {
    /// Session id, or an unambiguous beginning of it; the newest of this workspace that applied something when absent.
    pub session: Option<String>,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

/// `nucleus gc`.
#[derive(Debug, Args)]
pub(crate) struct GcArgs {
    /// Remove what was not used for this many days; the configuration's keep_days, or 30, when absent.
    #[arg(long, value_name = "DAYS", value_parser = clap::value_parser!(u64).range(0..=36_500))]
    pub older_than: Option<u64>,
    /// Remove more, oldest first, until this many bytes are left (5GB, 512MiB); the configuration's max_bytes when absent.
    #[arg(long, value_name = "BYTES", value_parser = crate::amount::parse_bytes)]
    pub max_bytes: Option<u64>,
    /// Treat sessions whose changes were never applied like the others. Running ones always stay.
    #[arg(long)]
    pub force: bool,
    /// Say what would go, and remove nothing.
    #[arg(long)]
    pub dry_run: bool,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

/// `nucleus doctor`.
#[derive(Debug, Args)]
pub(crate) struct DoctorArgs {
    /// Repair what can be repaired: an AppArmor profile, control groups for this user. Shows what it does and asks.
    #[arg(long)]
    pub fix: bool,
    /// With --fix: do not ask.
    #[arg(long, requires = "fix")]
    pub yes: bool,
    /// Print JSON.
    #[arg(long, conflicts_with = "fix")]
    pub json: bool,
}

/// `nucleus config`.
#[derive(Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// Every setting with its value and where it comes from.
    Show {
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Where the configuration files are.
    Path {
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Read the configuration files and say what is wrong with them.
    Check {
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
}

/// `nucleus man`.
#[derive(Debug, Args)]
pub(crate) struct ManArgs {
    /// Write one page per command into this directory instead of the first to standard output.
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,
}
