//! The command line as typed. What it means is resolved in the file of each subcommand.

mod kept;
mod login;
mod mcp;
mod record;

use std::path::PathBuf;

use clap::builder::Resettable;
use clap::{Arg, Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

use crate::approvals::args::ApprovalsArgs;
pub(crate) use kept::{
    ChangesArgs, Colour, ConfigCommand, DoctorArgs, GcArgs, LogsArgs, ManArgs, PsArgs, UndoArgs,
};
pub(crate) use login::{LoginArgs, LogoutArgs};
use nucleus_wire::control::Publish;

use crate::provider::Provider;

pub(crate) use mcp::{Client, McpArgs, McpCommand, McpConfigArgs, McpServeArgs, McpStartArgs};
pub(crate) use record::{Only, ReplayArgs, ReportArgs};

/// Exit codes, shown by `nucleus --help` and in the README.
const EXIT_CODES: &str = "\
Exit codes:
  64   wrong use: flags, workspace, missing agent
  65   a policy or configuration file is bad
  69   this host cannot hold what is asked, or the local driver was not accepted
  70   a defect of Nucleus
  74   no space, IO error, unwritable log, or a log that does not verify
  77   the envelope refused the task
  124  the task ran out of time; the session is kept
  130  interrupted; the session is kept
  any other: what the agent or command itself returned (127: not found,
  128+N: killed by signal N)";

/// Run agents inside an enforced envelope.
#[derive(Debug, Parser)]
#[command(name = "nucleus", version, after_help = EXIT_CODES, disable_help_subcommand = true, max_term_width = 100)]
pub(crate) struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
    /// Colour output: auto (on a terminal, unless NO_COLOR is set), always or never.
    #[arg(long, global = true, value_enum, value_name = "WHEN", hide_possible_values = true)]
    pub color: Option<Colour>,
}

impl Command {
    /// Whether the user asked for JSON, so that a failure is told in JSON too.
    pub(crate) fn wants_json(&self) -> bool {
        match self {
            Self::Run(args) | Self::Claude(args) | Self::Codex(args) => args.json,
            Self::Approvals(args) => args.command.wants_json(),
            Self::Profiles(args) => args.json,
            Self::Apply(args) | Self::Discard(args) | Self::Stop(args) => args.json,
            Self::Review(args) => args.session.json,
            Self::Undo(args) => args.json,
            Self::Ps(args) => args.json,
            Self::Changes(args) => args.json,
            Self::Gc(args) => args.json,
            Self::Doctor(args) => args.json,
            Self::Login(args) => args.json,
            Self::Config(
                ConfigCommand::Show { json }
                | ConfigCommand::Path { json }
                | ConfigCommand::Check { json },
            ) => *json,
            // The log's own lines are all that a reader of `logs --json` gets.
            Self::Attach(_)
            | Self::Logs(_)
            | Self::Report(_)
            | Self::Logout(_)
            | Self::Mcp(_)
            | Self::Completions { .. }
            | Self::Man(_) => false,
            Self::Replay(args) => args.json,
        }
    }
}

/// The subcommands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run an agent on a task, or one command, inside the envelope.
    Run(Box<RunArgs>),
    /// Offer the tools to an MCP client outside of any sandbox.
    Mcp(Box<McpArgs>),
    /// Work with Claude Code in its own terminal interface, inside the envelope.
    #[command(
        mut_arg("task", own_terminal_task),
        mut_arg("command", own_terminal_args),
        mut_arg("interactive", hidden),
        mut_arg("agent", hidden),
        mut_arg("script", hidden),
        mut_arg("json", hidden)
    )]
    Claude(Box<RunArgs>),
    /// Work with Codex in its own terminal interface, inside the envelope.
    #[command(
        mut_arg("task", own_terminal_task),
        mut_arg("command", own_terminal_args),
        mut_arg("interactive", hidden),
        mut_arg("agent", hidden),
        mut_arg("script", hidden),
        mut_arg("json", hidden)
    )]
    Codex(Box<RunArgs>),
    /// Come back to a task that runs without a terminal.
    Attach(SessionName),
    /// End a running task; its changes are kept in the session.
    Stop(SessionArgs),
    /// Pay for model calls with a subscription: take over the login of Claude Code or Codex.
    Login(LoginArgs),
    /// Forget a login.
    Logout(LogoutArgs),
    /// Answer requests for approval of running tasks, from anywhere on this machine.
    Approvals(ApprovalsArgs),
    /// List the permission profiles.
    Profiles(ProfilesArgs),
    /// Write an ended or interrupted session's changes to the workspace.
    Apply(SessionArgs),
    /// Show, accept or reject changes held back for review.
    Review(ReviewArgs),
    /// Throw a session's changes away.
    Discard(SessionArgs),
    /// Take back what a session applied.
    Undo(UndoArgs),
    /// Show what a running or kept session has changed.
    Changes(ChangesArgs),
    /// List running and kept sessions.
    Ps(PsArgs),
    /// Show a session's audit log.
    Logs(LogsArgs),
    /// Remove settled sessions, caches and homes that nobody uses.
    Gc(GcArgs),
    /// Say what this host can enforce, what is weaker, and how to mend it.
    Doctor(DoctorArgs),
    /// Show and check the configuration.
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Print or write manual pages.
    Man(ManArgs),
    /// Show call by call what happened in a session, from its verified log.
    Replay(ReplayArgs),
    /// Write a session's record as one page: timeline, verdicts, changes, budget, verification.
    Report(ReportArgs),
    /// Print a completion script for a shell.
    Completions {
        /// The shell.
        shell: Shell,
    },
}

/// `nucleus run`.
#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    /// The task in words, for an agent.
    #[arg(value_name = "TASK", required_unless_present_any = ["command", "interactive"], conflicts_with = "command")]
    pub task: Option<String>,
    /// A command to run in a tool pod instead of an agent.
    #[arg(last = true, value_name = "CMD")]
    pub command: Vec<String>,
    /// Permission profile (see `nucleus profiles`); `restrictive` when nothing else is said.
    #[arg(long, value_name = "NAME", conflicts_with = "config")]
    pub profile: Option<String>,
    /// A permissions.toml.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// The agent program; without it the configured one, or the only one that is installed.
    #[arg(long, value_enum, conflicts_with = "command")]
    pub agent: Option<Agent>,
    /// Go on with the agent's latest conversation about this workspace.
    #[arg(long = "continue", conflicts_with_all = ["command", "resume"])]
    pub go_on: bool,
    /// Go on with the conversation the agent knows by this id.
    #[arg(long, value_name = "ID", conflicts_with = "command")]
    pub resume: Option<String>,
    /// Model to ask the agent for; its own choice when absent.
    #[arg(long, value_name = "NAME", conflicts_with = "command")]
    pub model: Option<String>,
    /// Whose model, for an agent that speaks to several; else the first whose key is set.
    #[arg(long, value_enum, conflicts_with = "command")]
    pub provider: Option<Provider>,
    /// Work with the agent in its own terminal interface (see `nucleus claude`); Ctrl-] calls up Nucleus itself.
    #[arg(long, short, conflicts_with_all = ["command", "json", "quiet"])]
    pub interactive: bool,
    /// Start the task, leave it running without a terminal and come back with `nucleus attach`. Meanwhile
    /// `nucleus approvals` answers what it asks.
    #[arg(long, short)]
    pub detach: bool,
    /// The tool calls a scripted agent makes, as JSON.
    #[arg(long, value_name = "FILE", required_if_eq("agent", "scripted"))]
    pub script: Option<PathBuf>,
    /// Directory to work on; when absent the repository around the current one, or that itself.
    #[arg(long, value_name = "DIR")]
    pub workspace: Option<PathBuf>,
    /// Accept the local driver: walls of this host's own kernel instead of a microVM.
    #[arg(long)]
    pub allow_local_driver: bool,
    /// Hold every change for `nucleus review`.
    #[arg(long)]
    pub review: bool,
    /// Who answers what needs approval: this terminal, `nucleus approvals` alone, or nobody (it is refused). The terminal
    /// when there is one, else what the configuration says, else nobody.
    #[arg(long, value_enum, value_name = "WHO")]
    pub approvals: Option<Approvals>,
    /// Stop the task after this many seconds.
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=604_800))]
    pub timeout: Option<u64>,
    /// Let this machine's 127.0.0.1:HOSTPORT reach what the task's commands serve at PORT, while the task runs (may be
    /// given more than once).
    #[arg(long, value_name = "[HOSTPORT:]PORT", value_parser = publish)]
    pub publish: Vec<Publish>,
    /// Read the model key from a file instead of the environment (ANTHROPIC_API_KEY, OPENAI_API_KEY, GEMINI_API_KEY).
    #[arg(long, value_name = "FILE")]
    pub model_key_file: Option<PathBuf>,
    /// Send model calls to this origin instead of the provider's.
    #[arg(long, value_name = "URL")]
    pub model_upstream: Option<String>,
    /// Extra arguments for the agent program.
    #[arg(long = "agent-arg", value_name = "ARG", allow_hyphen_values = true)]
    pub agent_args: Vec<String>,
    /// Print events and the result as JSON lines on standard output (`type`: started, feed, approval_requested,
    /// approval_settled, output, finished, failed). Nobody can approve then, except by --approvals socket.
    #[arg(long)]
    pub json: bool,
    /// Show only what asks, fails or is refused, and the summary.
    #[arg(long, short, conflicts_with = "json")]
    pub quiet: bool,
}

/// `PORT` or `HOSTPORT:PORT`. No address: nothing is ever published beyond this machine.
fn publish(text: &str) -> Result<Publish, String> {
    let port = |text: &str| {
        let plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        text.parse::<u16>().ok().filter(|port| plain && *port > 0)
    };
    let (host, pod) = text.split_once(':').unwrap_or((text, text));
    match (port(host), port(pod)) {
        (Some(host), Some(pod)) => Ok(Publish { host, pod }),
        _ => Err(
            "write PORT or HOSTPORT:PORT, each from 1 to 65535; the address is always 127.0.0.1"
                .to_owned(),
        ),
    }
}

/// Who answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Approvals {
    /// This terminal, and `nucleus approvals` from anywhere.
    Terminal,
    /// `nucleus approvals` only.
    Socket,
    /// Nobody.
    None,
}

/// The agents this build can start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Agent {
    /// Claude Code.
    Claude,
    /// OpenAI Codex.
    Codex,
    /// Gemini CLI.
    Gemini,
    /// OpenCode.
    Opencode,
    /// A fixed list of tool calls, for demonstrations and tests.
    Scripted,
}

/// `nucleus profiles`.
#[derive(Debug, Args)]
pub(crate) struct ProfilesArgs {
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

/// A session by id, or the one that runs in this directory.
#[derive(Debug, Args)]
pub(crate) struct SessionName {
    /// Session id, or an unambiguous beginning of it; the one that runs on this directory when absent.
    pub session: Option<String>,
}

/// A session by id.
#[derive(Debug, Args)]
pub(crate) struct SessionArgs {
    /// Session id, or an unambiguous beginning of it; the latest of this workspace when absent.
    pub session: Option<String>,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

/// `nucleus review`.
#[derive(Debug, Args)]
pub(crate) struct ReviewArgs {
    /// The session.
    #[command(flatten)]
    pub session: SessionArgs,
    /// List the sessions that wait, of all workspaces.
    #[arg(long, conflicts_with_all = ["session", "accept", "reject"])]
    pub list: bool,
    /// Write this held path to the workspace (may be given more than once).
    #[arg(long, value_name = "PATH")]
    pub accept: Vec<String>,
    /// Drop this held path (may be given more than once).
    #[arg(long, value_name = "PATH")]
    pub reject: Vec<String>,
}

/// The task of an agent with a terminal interface: it may be typed there.
fn own_terminal_task(arg: Arg) -> Arg {
    arg.required_unless_present(Resettable::Reset)
        .conflicts_with(Resettable::Reset)
        .help("What to begin with; may be typed in the agent's interface instead")
}

/// What follows `--` of such an agent.
fn own_terminal_args(arg: Arg) -> Arg {
    arg.value_name("ARG").help("Arguments for the agent program")
}

fn hidden(arg: Arg) -> Arg {
    arg.hide(true)
}
