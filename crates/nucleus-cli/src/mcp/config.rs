//! What a client's configuration has to say to start `nucleus mcp serve`.

use std::io::Write;
use std::path::Path;

use nucleus_wire::tool::PROMPT_TOOL;
use serde_json::{Value, json};

use crate::args::{Client, McpConfigArgs, McpStartArgs};
use crate::failure::CliFailure;
use crate::run;

/// Name of the server in every configuration.
const NAME: &str = "nucleus";

/// Prints the snippet on standard output, and where it belongs on standard error.
pub(crate) fn print(args: &McpConfigArgs) -> Result<u8, CliFailure> {
    let program = std::env::current_exe().map_err(|error| {
        CliFailure::internal(format!("cannot find this program's own path: {error}"))
    })?;
    let program = text(&program)?;
    let line = command_line(&args.start)?;
    let (place, advice) = place(args.client);
    let advice = match (args.client, args.start.permission_prompt) {
        (_, false) => advice.to_owned(),
        (Client::Claude, true) => format!(
            "start it as `claude -p --permission-prompt-tool {PROMPT_TOOL}`: it then asks here before it uses a tool of its own. A no is Claude Code's to heed"
        ),
        (_, true) => {
            return Err(CliFailure::usage("--permission-prompt is for Claude Code alone")
                .hint("no other client has such a question: --client claude, or leave it out"));
        }
    };
    // Readers that closed their end have seen enough.
    let _gone = write!(std::io::stdout(), "{}", snippet(args.client, &program, &line));
    let _gone = write!(
        std::io::stderr(),
        "goes into {place}\n{advice}\nonly tool calls are enforced: what the client does by other means is not\n"
    );
    Ok(0)
}

/// Where the snippet belongs, and what makes the client use these tools only.
fn place(client: Client) -> (&'static str, &'static str) {
    match client {
        Client::Claude => (
            ".mcp.json of the project",
            "start it as `claude --tools \"\"`, which leaves it no tools but those of MCP servers",
        ),
        Client::Cursor => (
            ".cursor/mcp.json of the project, or ~/.cursor/mcp.json",
            "its own terminal and editing tools stay beside these: switch them off in a custom mode",
        ),
        Client::Vscode => (
            ".vscode/mcp.json of the project",
            "its own terminal and editing tools stay beside these: clear them in the tools picker of the chat",
        ),
        Client::Codex => (
            "~/.codex/config.toml",
            "its own shell stays beside these: [features] shell_tool = false takes it away",
        ),
        Client::Zed => (
            "settings.json (command palette: zed: open settings file)",
            "its own tools stay beside these: make a profile of the agent panel that has only these",
        ),
    }
}

fn snippet(client: Client, program: &str, line: &[String]) -> String {
    let pretty = |value: Value| format!("{value:#}\n");
    let typed = json!({ "type": "stdio", "command": program, "args": line });
    let plain = json!({ "command": program, "args": line });
    match client {
        Client::Claude => pretty(json!({ "mcpServers": { NAME: typed } })),
        Client::Cursor => pretty(json!({ "mcpServers": { NAME: plain } })),
        Client::Vscode => pretty(json!({ "servers": { NAME: typed } })),
        Client::Zed => pretty(
            json!({ "context_servers": { NAME: { "command": program, "args": line, "env": {} } } }),
        ),
        // A JSON string is a TOML one too: both escape alike what a path can hold.
        Client::Codex => {
            format!("[mcp_servers.{NAME}]\ncommand = {}\nargs = {}\n", json!(program), json!(line))
        }
    }
}

/// The arguments of the server, with a workspace the client cannot mistake.
fn command_line(args: &McpStartArgs) -> Result<Vec<String>, CliFailure> {
    let mut line: Vec<String> = ["mcp", "serve"].map(str::to_owned).into();
    let mut option = |flag: &str, value: String| line.extend([flag.to_owned(), value]);
    if let Some(profile) = &args.profile {
        option("--profile", profile.clone());
    }
    if let Some(config) = &args.config {
        let absolute = std::path::absolute(config).map_err(|error| {
            CliFailure::usage(format!("--config {}: {error}", config.display()))
        })?;
        option("--config", text(&absolute)?);
    }
    option("--workspace", text(&run::workspace(args.workspace.as_deref())?)?);
    for (flag, given) in [
        ("--allow-local-driver", args.allow_local_driver),
        ("--review", args.review),
        ("--permission-prompt", args.permission_prompt),
    ] {
        if given {
            line.push(flag.to_owned());
        }
    }
    Ok(line)
}

fn text(path: &Path) -> Result<String, CliFailure> {
    path.to_str().map(str::to_owned).ok_or_else(|| {
        CliFailure::usage(format!("{} is no text, and configurations are", path.display()))
    })
}

#[cfg(test)]
mod tests {
    use clap::ValueEnum;

    use super::*;

    #[test]
    fn every_snippet_parses_as_what_it_is_and_names_program_and_arguments() {
        let program = "/opt/my \"tools\"/nucleus";
        let line = ["mcp", "serve", "--workspace", "/home/u/a b"].map(str::to_owned);
        for client in Client::value_variants() {
            let text = snippet(*client, program, &line);
            let value: Value = match client {
                Client::Codex => {
                    let table: toml::Table = toml::from_str(&text).unwrap();
                    serde_json::to_value(table).unwrap()
                }
                _ => serde_json::from_str(&text).unwrap(),
            };
            let at = match client {
                Client::Claude | Client::Cursor => "/mcpServers/nucleus",
                Client::Vscode => "/servers/nucleus",
                Client::Codex => "/mcp_servers/nucleus",
                Client::Zed => "/context_servers/nucleus",
            };
            let server = value.pointer(at).unwrap();
            assert_eq!(server.get("command").unwrap(), program);
            assert_eq!(server.get("args").unwrap(), &json!(line));
        }
    }
}
