use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

/// `nucleus mcp`.
#[derive(Debug, Args)]
pub(crate) struct McpArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: McpCommand,
}

/// The subcommands of `nucleus mcp`.
#[derive(Debug, Subcommand)]
pub(crate) enum McpCommand {
    /// Serve the tools on standard input and output until the client leaves, or by HTTP until it is stopped.
    ///
    /// Only tool calls are enforced: what the client does by other means is not. For an agent that can do nothing else,
    /// use `nucleus run`. Changes stay in a session and reach the workspace when the client leaves.
    Serve(McpServeArgs),
    /// Print the configuration that makes a client start `nucleus mcp serve`.
    Config(McpConfigArgs),
}

/// `nucleus mcp serve`.
#[derive(Debug, Args)]
pub(crate) struct McpServeArgs {
    /// What is served.
    #[command(flatten)]
    pub start: McpStartArgs,
    /// Listen at this loopback address and port instead (MCP 2026-07-28 at /mcp); a client has to send the token.
    #[arg(long, value_name = "ADDR:PORT", requires = "token_file")]
    pub http: Option<SocketAddr>,
    /// File with the token: at least 32 visible characters, readable by nobody else.
    #[arg(long, value_name = "FILE", requires = "http")]
    pub token_file: Option<PathBuf>,
}

/// What a server works on, and under which policy.
#[derive(Debug, Clone, Args)]
pub(crate) struct McpStartArgs {
    /// Permission profile (see `nucleus profiles`); `restrictive` when nothing else is said.
    #[arg(long, value_name = "NAME", conflicts_with = "config")]
    pub profile: Option<String>,
    /// A permissions.toml.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Directory to work on; the current one when absent.
    #[arg(long, value_name = "DIR")]
    pub workspace: Option<PathBuf>,
    /// Accept the local driver: walls of this host's own kernel instead of a microVM.
    #[arg(long)]
    pub allow_local_driver: bool,
    /// Hold every change for `nucleus review`.
    #[arg(long)]
    pub review: bool,
    /// Answer a Claude Code that asks about its own tools (its --permission-prompt-tool); holds nothing by itself.
    #[arg(long)]
    pub permission_prompt: bool,
}

/// `nucleus mcp config`.
#[derive(Debug, Args)]
pub(crate) struct McpConfigArgs {
    /// The client.
    #[arg(long, value_enum)]
    pub client: Client,
    /// How it is to start the server.
    #[command(flatten)]
    pub start: McpStartArgs,
}

/// Clients whose configuration is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Client {
    /// Claude Code.
    Claude,
    /// Cursor.
    Cursor,
    /// Visual Studio Code.
    Vscode,
    /// Codex.
    Codex,
    /// Zed.
    Zed,
}
