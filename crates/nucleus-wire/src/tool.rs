//! The tools of the door: their names, their arguments as types, their schemas.
//!
//! [`ToolCall::parse`] is where an agent's JSON stops being JSON. After it there are workspace-relative paths, argv
//! vectors or one command line, numbers within their limits, and nothing else: an argument nobody knows, a wrong type
//! and a value over its limit are refused with a text the model can act on.
//!
//! Paths may be relative to the workspace or absolute beneath the path the workspace has inside the pod, because that
//! is how agents write them. `/ws-evil/x` is not beneath `/ws`.

mod args;
mod error;
mod path;
mod prompt;
mod schema;

use std::fmt;
use std::str::FromStr;

use lattice_guard::RelPath;
use serde::Serialize;
use serde_json::Value;

pub use error::{ArgPathError, Found, ToolArgError};
pub use path::WorkspaceRoot;
pub use prompt::{Asked, PROMPT_TOOL, PermissionPrompt};
pub use schema::schemas;

use args::Args;

use crate::limits::{
    ARGV_MAX_BYTES, ARGV_MAX_ITEMS, CALL_WAIT_MAX_S, CONTENT_MAX_BYTES, DESCRIPTION_MAX_BYTES,
    EDIT_MAX_BYTES, GREP_DEFAULT_MATCHES, GREP_MAX_CONTEXT_LINES, GREP_MAX_MATCHES,
    HANDLE_MAX_BYTES, PATTERN_MAX_BYTES, READ_DEFAULT_LINES, READ_MAX_LINES, READ_MAX_OFFSET_LINES,
    RUN_TIMEOUT_MAX_S, STDIN_MAX_BYTES,
};

/// A tool of the door.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ToolName {
    /// Read a file.
    Read,
    /// Create or replace a file.
    Write,
    /// Replace an exact piece of a file.
    Edit,
    /// Run a command.
    Run,
    /// Output of a background command.
    JobOutput,
    /// Stop a background command.
    JobStop,
    /// List files by name.
    Glob,
    /// Search file contents.
    Grep,
    /// State of requests that wait for a human.
    ApprovalsStatus,
    /// What Claude Code asks about tools of its own.
    PermissionPrompt,
}

impl ToolName {
    /// All tools, in the order they are listed.
    pub const ALL: [Self; 10] = [
        Self::Read,
        Self::Write,
        Self::Edit,
        Self::Run,
        Self::JobOutput,
        Self::JobStop,
        Self::Glob,
        Self::Grep,
        Self::ApprovalsStatus,
        Self::PermissionPrompt,
    ];

    /// The name on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Edit => "edit",
            Self::Run => "run",
            Self::JobOutput => "job_output",
            Self::JobStop => "job_stop",
            Self::Glob => "glob",
            Self::Grep => "grep",
            Self::ApprovalsStatus => "approvals_status",
            Self::PermissionPrompt => "permission_prompt",
        }
    }

    /// The arguments it takes.
    pub(crate) fn arguments(self) -> &'static [&'static str] {
        match self {
            Self::Read => &["path", "offset", "limit"],
            Self::Write => &["path", "content"],
            Self::Edit => &["path", "old_string", "new_string", "replace_all"],
            Self::Run => {
                &["command", "argv", "cwd", "stdin", "timeout_s", "background", "description"]
            }
            Self::JobOutput => &["job", "offset", "wait_s", "until_end"],
            Self::JobStop => &["job"],
            Self::Glob => &["pattern", "path"],
            Self::Grep => {
                &["pattern", "path", "glob", "ignore_case", "context", "max_matches", "mode"]
            }
            Self::ApprovalsStatus => &["id"],
            Self::PermissionPrompt => &["tool_name", "input", "tool_use_id"],
        }
    }
}

impl fmt::Display for ToolName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for ToolName {
    type Err = ToolArgError;

    /// Exactly the name: no other case, no look-alike, no prefix.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|name| name.as_str() == text)
            .ok_or_else(|| ToolArgError::unknown_tool(text))
    }
}

/// A call whose arguments are sound. Serialises to one canonical form, which digests and approvals are bound to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "tool", rename_all = "snake_case")]
pub enum ToolCall {
    /// `read`.
    Read(Read),
    /// `write`.
    Write(Write),
    /// `edit`.
    Edit(Edit),
    /// `run`.
    Run(Run),
    /// `job_output`.
    JobOutput(JobOutput),
    /// `job_stop`.
    JobStop(JobStop),
    /// `glob`.
    Glob(Glob),
    /// `grep`.
    Grep(Grep),
    /// `approvals_status`.
    ApprovalsStatus(ApprovalsStatus),
    /// `permission_prompt`.
    PermissionPrompt(PermissionPrompt),
}

/// Arguments of `read`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Read {
    /// The file.
    pub path: RelPath,
    /// First line, from 1.
    pub offset: u64,
    /// Number of lines.
    pub limit: u64,
}

/// Arguments of `write`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Write {
    /// The file.
    pub path: RelPath,
    /// All it will hold.
    pub content: String,
}

/// Arguments of `edit`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Edit {
    /// The file.
    pub path: RelPath,
    /// Text to find, never empty, not equal to the new text.
    pub old_string: String,
    /// Text to put in its place.
    pub new_string: String,
    /// Replace every occurrence rather than the only one.
    pub replace_all: bool,
}

/// Arguments of `run`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Run {
    /// What to run.
    pub command: CommandInput,
    /// Directory to run in.
    pub cwd: RelPath,
    /// Standard input; none means end of file at once.
    pub stdin: Option<String>,
    /// Time after which it is killed, when the call says so.
    pub timeout_ms: Option<u64>,
    /// Become a job at once.
    pub background: bool,
}

/// A command as the agent gave it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum CommandInput {
    /// A command line; whoever judges it splits it or hands it to a shell.
    Text(String),
    /// Program and arguments, no shell.
    Argv(Vec<String>),
}

/// Arguments of `job_output`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct JobOutput {
    /// The job; absent means a list of all.
    pub job: Option<String>,
    /// Byte of its output to begin at; absent means after what was last shown.
    pub offset: Option<u64>,
    /// How long to wait for more output or the end.
    pub wait_ms: u64,
    /// Wait for the end alone.
    pub until_end: bool,
}

/// Arguments of `job_stop`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct JobStop {
    /// The job.
    pub job: String,
}

/// Arguments of `glob`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Glob {
    /// Pattern, relative to `path`.
    pub pattern: String,
    /// Directory to search.
    pub path: RelPath,
}

/// Arguments of `grep`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Grep {
    /// Regular expression.
    pub pattern: String,
    /// File or directory to search.
    pub path: RelPath,
    /// Only files whose name matches this.
    pub glob: Option<String>,
    /// Upper and lower case are the same.
    pub ignore_case: bool,
    /// Lines to show before and after each match.
    pub context: u64,
    /// Matches to stop after.
    pub max_matches: u64,
    /// What to show.
    pub mode: GrepMode,
}

/// What `grep` shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum GrepMode {
    /// The matching lines.
    Content,
    /// The files that match.
    Files,
    /// The number of matching lines per file.
    Count,
}

/// Arguments of `approvals_status`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ApprovalsStatus {
    /// One request; absent means all of this task.
    pub id: Option<String>,
}

impl ToolCall {
    /// Reads the name and arguments of a call. `null` for an optional argument means it was not given.
    ///
    /// # Errors
    /// [`ToolArgError`]: unknown tool or argument, a missing argument, a wrong type, a value over its limit, a path
    /// that is not beneath the workspace. Nothing is guessed or cut.
    pub fn parse(
        name: &str,
        arguments: &Value,
        workspace: WorkspaceRoot<'_>,
    ) -> Result<Self, ToolArgError> {
        let tool: ToolName = name.parse()?;
        let args = Args::new(tool, arguments, workspace)?;
        match tool {
            ToolName::Read => read(&args).map(Self::Read),
            ToolName::Write => write(&args).map(Self::Write),
            ToolName::Edit => edit(&args).map(Self::Edit),
            ToolName::Run => run(&args).map(Self::Run),
            ToolName::JobOutput => job_output(&args).map(Self::JobOutput),
            ToolName::JobStop => Ok(Self::JobStop(JobStop { job: args.handle("job")? })),
            ToolName::Glob => glob(&args).map(Self::Glob),
            ToolName::Grep => grep(&args).map(Self::Grep),
            ToolName::ApprovalsStatus => {
                Ok(Self::ApprovalsStatus(ApprovalsStatus { id: args.optional_handle("id")? }))
            }
            ToolName::PermissionPrompt => prompt::prompt(&args).map(Self::PermissionPrompt),
        }
    }

    /// Which tool it is.
    #[must_use]
    pub fn name(&self) -> ToolName {
        match self {
            Self::Read(_) => ToolName::Read,
            Self::Write(_) => ToolName::Write,
            Self::Edit(_) => ToolName::Edit,
            Self::Run(_) => ToolName::Run,
            Self::JobOutput(_) => ToolName::JobOutput,
            Self::JobStop(_) => ToolName::JobStop,
            Self::Glob(_) => ToolName::Glob,
            Self::Grep(_) => ToolName::Grep,
            Self::ApprovalsStatus(_) => ToolName::ApprovalsStatus,
            Self::PermissionPrompt(_) => ToolName::PermissionPrompt,
        }
    }
}

fn read(args: &Args<'_>) -> Result<Read, ToolArgError> {
    Ok(Read {
        path: args.file("path")?,
        offset: args.integer("offset", 1, READ_MAX_OFFSET_LINES)?.unwrap_or(1),
        limit: args.integer("limit", 1, READ_MAX_LINES)?.unwrap_or(READ_DEFAULT_LINES),
    })
}

fn write(args: &Args<'_>) -> Result<Write, ToolArgError> {
    Ok(Write { path: args.file("path")?, content: args.text("content", CONTENT_MAX_BYTES)? })
}

fn edit(args: &Args<'_>) -> Result<Edit, ToolArgError> {
    let edit = Edit {
        path: args.file("path")?,
        old_string: args.text("old_string", EDIT_MAX_BYTES)?,
        new_string: args.text("new_string", EDIT_MAX_BYTES)?,
        replace_all: args.flag("replace_all")?,
    };
    if edit.old_string.is_empty() {
        return Err(ToolArgError::Empty { argument: "old_string" });
    }
    if edit.old_string == edit.new_string {
        return Err(ToolArgError::SameText);
    }
    Ok(edit)
}

fn run(args: &Args<'_>) -> Result<Run, ToolArgError> {
    let command = match (args.given("command"), args.given("argv")) {
        (true, true) => return Err(ToolArgError::CommandAndArgv),
        (false, false) => return Err(ToolArgError::Missing { argument: "command" }),
        (true, false) => CommandInput::Text(args.nonempty_without_nul("command", ARGV_MAX_BYTES)?),
        (false, true) => CommandInput::Argv(args.argv("argv", ARGV_MAX_ITEMS, ARGV_MAX_BYTES)?),
    };
    args.optional_text("description", DESCRIPTION_MAX_BYTES)?;
    Ok(Run {
        command,
        cwd: args.directory("cwd")?,
        stdin: args.optional_text("stdin", STDIN_MAX_BYTES)?,
        timeout_ms: args
            .integer("timeout_s", 1, RUN_TIMEOUT_MAX_S)?
            .map(|seconds| seconds.saturating_mul(1_000)),
        background: args.flag("background")?,
    })
}

fn job_output(args: &Args<'_>) -> Result<JobOutput, ToolArgError> {
    let job = args.optional_handle("job")?;
    let of_one = ["offset", "wait_s", "until_end"];
    if job.is_none() && of_one.iter().any(|argument| args.given(argument)) {
        return Err(ToolArgError::Missing { argument: "job" });
    }
    let until_end = args.flag("until_end")?;
    let wait_s = args.integer("wait_s", 0, CALL_WAIT_MAX_S)?;
    let unsaid = if until_end { CALL_WAIT_MAX_S } else { 0 };
    Ok(JobOutput {
        job,
        offset: args.integer("offset", 0, u64::MAX)?,
        wait_ms: wait_s.unwrap_or(unsaid).saturating_mul(1_000),
        until_end,
    })
}

fn glob(args: &Args<'_>) -> Result<Glob, ToolArgError> {
    Ok(Glob { pattern: args.glob_pattern("pattern")?, path: args.directory("path")? })
}

fn grep(args: &Args<'_>) -> Result<Grep, ToolArgError> {
    Ok(Grep {
        pattern: args.nonempty_without_nul("pattern", PATTERN_MAX_BYTES)?,
        path: args.directory("path")?,
        glob: if args.given("glob") {
            Some(args.nonempty_without_nul("glob", PATTERN_MAX_BYTES)?)
        } else {
            None
        },
        ignore_case: args.flag("ignore_case")?,
        context: args.integer("context", 0, GREP_MAX_CONTEXT_LINES)?.unwrap_or_default(),
        max_matches: args
            .integer("max_matches", 1, GREP_MAX_MATCHES)?
            .unwrap_or(GREP_DEFAULT_MATCHES),
        mode: args.mode("mode")?,
    })
}

/// A handle is what we made ourselves: a short word of lower-case letters, digits and dashes.
fn is_handle(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= HANDLE_MAX_BYTES
        && text.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_'))
}
