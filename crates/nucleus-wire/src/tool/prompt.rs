//! `permission_prompt`: what Claude Code asks before it uses a tool where its own rules would ask its user, and how it
//! is answered.
//!
//! The forms are Claude Code's (`--permission-prompt-tool`, checked with 2.1.329). An answer is JSON in a text block; one
//! of another form, or one marked as an error, is a refusal whose words the model sees only in part.

use std::str::FromStr;

use lattice_guard::{Host, RelPath};
use serde::Serialize;
use serde_json::{Value, json};

use crate::limits::{
    ARGV_MAX_BYTES, CONTENT_MAX_BYTES, PATTERN_MAX_BYTES, PROMPT_INPUT_MAX_BYTES,
    TOOL_NAME_MAX_BYTES, TOOL_USE_ID_MAX_BYTES, URL_MAX_BYTES,
};

use super::ToolName;
use super::args::Args;
use super::error::{Found, ToolArgError};
use super::path::WorkspaceRoot;

/// What the flag `--permission-prompt-tool` of Claude Code has to name.
pub const PROMPT_TOOL: &str = "mcp__nucleus__permission_prompt";
/// What stands before the name of a tool of this server in Claude Code.
const OURS: &str = "mcp__nucleus__";
/// Where a web search of Claude Code's is made: by the provider of its model.
const SEARCH_URL: &str = "https://api.anthropic.com";
/// Its tools that stand for something there is a rule for, each with the arguments it takes. Another argument is refused:
/// in a later version it may change what the call does.
const BUILT_IN: [(&str, &[&str]); 10] = [
    (
        "Bash",
        &["command", "description", "timeout", "run_in_background", "dangerouslyDisableSandbox"],
    ),
    ("Read", &["file_path", "offset", "limit", "pages", "allow_large"]),
    ("Write", &["file_path", "content"]),
    ("Edit", &["file_path", "old_string", "new_string", "replace_all"]),
    ("MultiEdit", &["file_path", "edits"]),
    ("NotebookEdit", &["notebook_path", "cell_id", "cell_type", "edit_mode", "new_source"]),
    ("Glob", &["pattern", "path"]),
    (
        "Grep",
        &[
            "pattern",
            "path",
            "glob",
            "type",
            "output_mode",
            "-A",
            "-B",
            "-C",
            "-i",
            "-n",
            "-o",
            "context",
            "head_limit",
            "offset",
            "multiline",
        ],
    ),
    ("WebFetch", &["url", "prompt", "offset"]),
    ("WebSearch", &["query", "allowed_domains", "blocked_domains"]),
];

/// Arguments of `permission_prompt`. The id of the tool use is not among them: a call made again has another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PermissionPrompt {
    /// The client's own name of the tool.
    pub tool_name: String,
    /// The tool's arguments, an object.
    pub input: Value,
    /// What that comes down to. It follows from the two before it, so no digest needs it.
    #[serde(skip)]
    pub asked: Asked,
}

/// What a tool of the client's stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Asked {
    /// A tool of this very server.
    Ours,
    /// Read a file.
    Read(RelPath),
    /// Create or replace a file.
    Write(RelPath),
    /// Change part of a file.
    Edit(RelPath),
    /// List files by name.
    Glob {
        /// Where to begin.
        path: RelPath,
        /// What to look for.
        pattern: String,
    },
    /// Search file contents.
    Grep(RelPath),
    /// Run a command line.
    Run(String),
    /// Fetch a page.
    WebFetch(Host),
    /// Query a search engine.
    WebSearch(Host),
    /// Nothing there is a rule for.
    Unknown,
}

impl PermissionPrompt {
    /// The answer that lets the tool through. Its arguments replace those the tool was called with, so they are what was
    /// judged, unchanged.
    #[must_use]
    pub fn allowed(&self) -> String {
        json!({ "behavior": "allow", "updatedInput": self.input }).to_string()
    }

    /// The answer that refuses, with words for the model.
    #[must_use]
    pub fn denied(message: &str) -> String {
        json!({ "behavior": "deny", "message": message }).to_string()
    }
}

/// Reads the arguments.
pub(super) fn prompt(args: &Args<'_>) -> Result<PermissionPrompt, ToolArgError> {
    let tool_name = args.nonempty_without_nul("tool_name", TOOL_NAME_MAX_BYTES)?;
    let input = args.object("input", PROMPT_INPUT_MAX_BYTES)?;
    args.optional_text("tool_use_id", TOOL_USE_ID_MAX_BYTES)?;
    let asked = asked(&tool_name, input, args.workspace())?;
    Ok(PermissionPrompt { tool_name, input: input.clone(), asked })
}

/// What a tool of Claude Code comes down to.
fn asked(name: &str, input: &Value, workspace: WorkspaceRoot<'_>) -> Result<Asked, ToolArgError> {
    if let Some(ours) = name.strip_prefix(OURS) {
        return Ok(ToolName::from_str(ours).map_or(Asked::Unknown, |_| Asked::Ours));
    }
    let Some(&(tool, takes)) = BUILT_IN.iter().find(|(tool, _)| *tool == name) else {
        return Ok(Asked::Unknown);
    };
    let args = Args::of_another(tool, takes, input, workspace)?;
    Ok(match tool {
        "Bash" => Asked::Run(args.nonempty_without_nul("command", ARGV_MAX_BYTES)?),
        "Read" => Asked::Read(args.file("file_path")?),
        "Write" => {
            args.text("content", CONTENT_MAX_BYTES)?;
            Asked::Write(args.file("file_path")?)
        }
        "Edit" | "MultiEdit" => Asked::Edit(args.file("file_path")?),
        "NotebookEdit" => Asked::Edit(args.file("notebook_path")?),
        "Glob" => {
            Asked::Glob { path: args.directory("path")?, pattern: args.glob_pattern("pattern")? }
        }
        "Grep" => {
            args.nonempty_without_nul("pattern", PATTERN_MAX_BYTES)?;
            Asked::Grep(args.directory("path")?)
        }
        "WebFetch" => Asked::WebFetch(host("url", &args.text("url", URL_MAX_BYTES)?)?),
        "WebSearch" => {
            args.nonempty_without_nul("query", PATTERN_MAX_BYTES)?;
            Asked::WebSearch(host("query", SEARCH_URL)?)
        }
        _ => Asked::Unknown,
    })
}

/// The host of an `https` URL: a page without TLS is nothing there is a rule for.
fn host(argument: &'static str, url: &str) -> Result<Host, ToolArgError> {
    let authority =
        url.strip_prefix("https://").and_then(|rest| rest.split(['/', '?', '#']).next());
    authority.and_then(|authority| Host::parse(authority).ok()).ok_or_else(|| ToolArgError::Type {
        argument,
        expected: "an https URL with the name of a host",
        found: Found::of(&Value::from(url)),
    })
}
