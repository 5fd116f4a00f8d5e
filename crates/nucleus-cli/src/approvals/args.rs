//! Flags of `nucleus approvals`.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use nucleus_wire::approvals::{GLASS_SECONDS_MAX, RULE_COUNT_MAX, RULE_SECONDS_MAX};

/// `nucleus approvals`.
#[derive(Debug, Args)]
pub(crate) struct ApprovalsArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: ApprovalsCommand,
}

/// What can be done about requests.
#[derive(Debug, Subcommand)]
pub(crate) enum ApprovalsCommand {
    /// List the requests that wait, of all running tasks.
    List(ListArgs),
    /// Show one request: arguments, files, digests.
    Show(RequestArgs),
    /// Let one request through, once.
    Approve(Box<ApproveArgs>),
    /// Refuse one request.
    Deny(DenyArgs),
    /// Wait for requests and answer them, in a terminal.
    Watch(WatchArgs),
    /// List the rules for similar calls that are in force.
    Rules(ListArgs),
    /// End a rule, or a break-glass window.
    Revoke(RequestArgs),
    /// With a key of its own and a reason: let everything through that asks, for a short time.
    BreakGlass(BreakGlassArgs),
    /// Hand over a signed answer that came back from a webhook.
    Answer(AnswerArgs),
}

impl ApprovalsCommand {
    /// Whether the user asked for JSON.
    pub(crate) fn wants_json(&self) -> bool {
        match self {
            Self::List(args) | Self::Rules(args) => args.json,
            Self::Show(args) | Self::Revoke(args) => args.json,
            Self::Approve(args) => args.request.json,
            Self::Deny(args) => args.request.json,
            Self::BreakGlass(args) => args.json,
            Self::Answer(args) => args.json,
            Self::Watch(_) => false,
        }
    }
}

/// What to list.
#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    /// Only this session: its id, or an unambiguous beginning of it.
    #[arg(long, value_name = "SESSION")]
    pub session: Option<String>,
    /// Also what is decided, used, expired or withdrawn.
    #[arg(long)]
    pub all: bool,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

/// One request or rule.
#[derive(Debug, Args)]
pub(crate) struct RequestArgs {
    /// Its id.
    pub id: String,
    /// Only of this session: its id, or an unambiguous beginning of it.
    #[arg(long, value_name = "SESSION")]
    pub session: Option<String>,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

/// `approve`.
#[derive(Debug, Args)]
pub(crate) struct ApproveArgs {
    /// The request.
    #[command(flatten)]
    pub request: RequestArgs,
    /// Let similar calls of this task through too: the same operation by the same tool, within the policy, a few times.
    #[arg(long)]
    pub similar: bool,
    /// Similar commands, as words; `*` is any one argument, at the end any arguments. The request's own words when absent.
    #[arg(long, value_name = "PATTERN", requires = "similar")]
    pub argv: Option<String>,
    /// Similar files: those beneath this directory of the workspace. The request's own file when absent.
    #[arg(long, value_name = "DIR", requires = "similar", conflicts_with = "argv")]
    pub path_prefix: Option<String>,
    /// How many calls more.
    #[arg(long, value_name = "N", requires = "similar", value_parser = clap::value_parser!(u32).range(1..=i64::from(RULE_COUNT_MAX)))]
    pub count: Option<u32>,
    /// For how many seconds.
    #[arg(long = "for", value_name = "SECONDS", requires = "similar", value_parser = clap::value_parser!(u64).range(1..=RULE_SECONDS_MAX))]
    pub seconds: Option<u64>,
}

/// `deny`.
#[derive(Debug, Args)]
pub(crate) struct DenyArgs {
    /// The request.
    #[command(flatten)]
    pub request: RequestArgs,
    /// Words for the agent.
    #[arg(long, value_name = "TEXT")]
    pub reason: Option<String>,
}

/// `watch`.
#[derive(Debug, Args)]
pub(crate) struct WatchArgs {
    /// Only this session: its id, or an unambiguous beginning of it.
    #[arg(long, value_name = "SESSION")]
    pub session: Option<String>,
    /// No desktop notification, no bell.
    #[arg(long)]
    pub silent: bool,
}

/// `break-glass`.
#[derive(Debug, Args)]
pub(crate) struct BreakGlassArgs {
    /// Session id, or an unambiguous beginning of it; the only running one when absent.
    pub session: Option<String>,
    /// Make the key, for tasks that start from now on.
    #[arg(long, conflicts_with_all = ["session", "reason", "seconds"])]
    pub init: bool,
    /// The key file; `break-glass.key` beside the configuration file when absent. It may be kept elsewhere.
    #[arg(long, value_name = "FILE")]
    pub key: Option<PathBuf>,
    /// Why; goes into the log of the task.
    #[arg(long, value_name = "TEXT", required_unless_present = "init")]
    pub reason: Option<String>,
    /// For how many seconds.
    #[arg(long = "for", value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=GLASS_SECONDS_MAX))]
    pub seconds: Option<u64>,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

/// `answer`.
#[derive(Debug, Args)]
pub(crate) struct AnswerArgs {
    /// The signed document; standard input when absent.
    pub file: Option<PathBuf>,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}
