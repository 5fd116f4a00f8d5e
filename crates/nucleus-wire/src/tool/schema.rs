//! What `tools/list` says: written for a model, so that its first call is a good one.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::limits::{
    CALL_WAIT_MAX_S, GREP_DEFAULT_MATCHES, GREP_MAX_CONTEXT_LINES, GREP_MAX_MATCHES,
    PATTERN_MAX_BYTES, READ_DEFAULT_LINES, READ_MAX_LINES, READ_MAX_OFFSET_LINES,
    RUN_TIMEOUT_DEFAULT_S, RUN_TIMEOUT_MAX_S,
};

use super::ToolName;

/// The entries of `tools/list` for the tools an agent may use, always in the same order.
#[must_use]
pub fn schemas(tools: &BTreeSet<ToolName>) -> Vec<Value> {
    tools.iter().map(|tool| tool.schema()).collect()
}

/// How a call behaves, as hints for clients. Nothing here decides anything.
struct Hints {
    read_only: bool,
    destructive: bool,
    idempotent: bool,
}

const READS: Hints = Hints { read_only: true, destructive: false, idempotent: true };
const CHANGES: Hints = Hints { read_only: false, destructive: true, idempotent: false };

impl ToolName {
    fn schema(self) -> Value {
        match self {
            Self::Read => read(),
            Self::Write => write(),
            Self::Edit => edit(),
            Self::Run => run(),
            Self::JobOutput => job_output(),
            Self::JobStop => job_stop(),
            Self::Glob => glob(),
            Self::Grep => grep(),
            Self::ApprovalsStatus => approvals_status(),
            Self::PermissionPrompt => permission_prompt(),
        }
    }

    fn entry(
        self,
        title: &str,
        description: &str,
        properties: Value,
        required: &[&str],
        hints: &Hints,
    ) -> Value {
        json!({
            "name": self.as_str(),
            "title": title,
            "description": description,
            "inputSchema": {
                "type": "object",
                "properties": properties,
                "required": required,
                "additionalProperties": false,
            },
            "annotations": {
                "readOnlyHint": hints.read_only,
                "destructiveHint": hints.destructive,
                "idempotentHint": hints.idempotent,
                "openWorldHint": false,
            },
        })
    }
}

fn text(description: &str) -> Value {
    json!({ "type": "string", "description": description })
}

fn flag(description: &str) -> Value {
    json!({ "type": "boolean", "description": description, "default": false })
}

fn number(description: &str, min: u64, max: u64) -> Value {
    json!({ "type": "integer", "description": description, "minimum": min, "maximum": max })
}

fn file_path() -> Value {
    text("The file: relative to the workspace, or absolute beneath it. No `..`.")
}

fn read() -> Value {
    let description = format!(
        "Reads a text file of the workspace. Each line comes with its number and a tab before it; these are not part of the file. Gives {READ_DEFAULT_LINES} lines from the start unless told otherwise; when more follow, the result says so and `offset` continues. A PNG, JPEG, GIF or WebP picture is given as it is, up to 3 MiB, if its name says what it is. Use `glob` to list files and `grep` to search them."
    );
    ToolName::Read.entry(
        "Read a file",
        &description,
        json!({
            "path": file_path(),
            "offset": number("First line to give, counted from 1.", 1, READ_MAX_OFFSET_LINES),
            "limit": number("How many lines to give.", 1, READ_MAX_LINES),
        }),
        &["path"],
        &READS,
    )
}

fn write() -> Value {
    ToolName::Write.entry(
        "Write a file",
        "Creates a file, or replaces all of one, with exactly this content (UTF-8, at most 2 MiB). Missing directories are made. To change part of a file use `edit`, which is safer.",
        json!({
            "path": file_path(),
            "content": text("Everything the file will hold."),
        }),
        &["path", "content"],
        &Hints { idempotent: true, ..CHANGES },
    )
}

fn edit() -> Value {
    ToolName::Edit.entry(
        "Edit a file",
        "Replaces text in a file. `old_string` must match the file exactly, white space and line ends included, without the line numbers that `read` puts in front. It must occur exactly once: when it occurs several times, give more of the surrounding lines or set `replace_all`. When it does not occur, the answer says what is different; read the place again before the next try.",
        json!({
            "path": file_path(),
            "old_string": text("Text that is in the file now. Not empty."),
            "new_string": text("Text to put in its place. Empty removes it."),
            "replace_all": flag("Replace every occurrence."),
        }),
        &["path", "old_string", "new_string"],
        &CHANGES,
    )
}

fn run() -> Value {
    let description = format!(
        "Runs a command in the workspace, in a sandbox: it sees the workspace, the system's programs and the installed toolchains, has no network unless the policy gives some, and no terminal. Answers with exit status, duration and output; of a long output the beginning and the end are kept. Give `command` for a command line (pipes, `cd`, `&&` and redirection work: it then goes to `sh`), or `argv` for one program with exact arguments and no shell. A command still running after {CALL_WAIT_MAX_S} s goes on as a job and the answer is its id: follow it with `job_output`, end it with `job_stop`. For a server or watcher set `background`. Every call starts afresh in `cwd`: `cd` and variables do not carry over, files do. Prefer `read`, `glob` and `grep` over `cat`, `find` and `grep`."
    );
    let timeout = format!(
        "Seconds after which the command and everything it started is killed. Default {RUN_TIMEOUT_DEFAULT_S}."
    );
    ToolName::Run.entry(
        "Run a command",
        &description,
        json!({
            "command": text("A command line, such as `cargo test -p core 2>&1 | tail -20`. At most 16 KiB."),
            "argv": {
                "type": "array",
                "items": { "type": "string" },
                "minItems": 1,
                "maxItems": crate::limits::ARGV_MAX_ITEMS,
                "description": "Program and arguments, instead of `command`.",
            },
            "cwd": text("Directory to run in, relative to the workspace. Default: the workspace."),
            "stdin": text("Text for the standard input, at most 1 MiB. Default: empty."),
            "timeout_s": number(&timeout, 1, RUN_TIMEOUT_MAX_S),
            "background": flag("Answer with a job id at once and let the command run on."),
            "description": text("What the command is for, in a few words. Has no effect."),
        }),
        &[],
        &CHANGES,
    )
}

fn job_output() -> Value {
    ToolName::JobOutput.entry(
        "Read a job's output",
        "Gives new output of a job, whether it still runs, and its exit status once it has ended. Without `offset` it continues where the last answer stopped. Set `wait_s` to wait for more instead of asking again and again; for a long build or test set `until_end` instead, and ask again until it has ended. Without `job` it lists the background jobs.",
        json!({
            "job": text("Id that `run` gave. Default: a list of all background jobs."),
            "offset": json!({
                "type": "integer",
                "minimum": 0,
                "description": "Byte of the job's output to begin at; 0 is the start. The first 32 MiB and the newest output are kept.",
            }),
            "wait_s": number(
                "Seconds to wait for new output or the end. Default 0, with `until_end` the most.",
                0,
                CALL_WAIT_MAX_S,
            ),
            "until_end": flag("Wait for the end of the job, not for new output."),
        }),
        &[],
        &Hints { idempotent: false, ..READS },
    )
}

fn job_stop() -> Value {
    ToolName::JobStop.entry(
        "Stop a job",
        "Kills a job and everything it started, and gives the last of its output.",
        json!({ "job": text("Id that `run` gave.") }),
        &["job"],
        &Hints { idempotent: true, ..CHANGES },
    )
}

fn glob() -> Value {
    ToolName::Glob.entry(
        "List files by name",
        "Lists files of the workspace whose path matches a pattern. `*` matches within one name, `**` across directories, `?` one character, `{a,b}` either. Ignored files (.gitignore) and files the policy withholds are left out.",
        json!({
            "pattern": text(&format!(
                "Such as `src/**/*.rs` or `**/Cargo.toml`. At most {PATTERN_MAX_BYTES} bytes."
            )),
            "path": text("Directory to look in, relative to the workspace; the pattern is relative to it. Default: the workspace."),
        }),
        &["pattern"],
        &READS,
    )
}

fn grep() -> Value {
    ToolName::Grep.entry(
        "Search file contents",
        "Searches the text files of the workspace for a regular expression (Rust syntax, as in ripgrep; no look-around, no back-references; escape literal brackets and dots). Ignored files, binary files and files the policy withholds are left out.",
        json!({
            "pattern": text(&format!(
                "The regular expression, matched line by line. At most {PATTERN_MAX_BYTES} bytes. Nested repetition such as `(a+)+` and counts of 1000 and more are refused."
            )),
            "path": text("File or directory to search, relative to the workspace. Default: the workspace."),
            "glob": text("Search only files whose name matches, such as `*.rs` or `!*.lock`."),
            "ignore_case": flag("Upper and lower case are the same."),
            "context": number(
                "Lines to show before and after each match. Default 0.",
                0,
                GREP_MAX_CONTEXT_LINES,
            ),
            "max_matches": number(
                &format!("Stop after this many matches. Default {GREP_DEFAULT_MATCHES}."),
                1,
                GREP_MAX_MATCHES,
            ),
            "mode": {
                "type": "string",
                "enum": ["content", "files", "count"],
                "default": "content",
                "description": "`content` shows matching lines with file and line number, `files` only the files, `count` the number of matching lines per file.",
            },
        }),
        &["pattern"],
        &READS,
    )
}

fn approvals_status() -> Value {
    ToolName::ApprovalsStatus.entry(
        "State of approvals",
        "Says whether requests of yours that need a person's approval are waiting, granted, refused or expired. When one is granted, repeat the very same call: a grant is good once, for exactly that call. You cannot approve anything yourself.",
        json!({ "id": text("Id of one request. Default: all of this task.") }),
        &[],
        &READS,
    )
}

fn permission_prompt() -> Value {
    ToolName::PermissionPrompt.entry(
        "Permission prompt",
        "For Claude Code itself (--permission-prompt-tool), not for its model: says whether a tool of its own may be used. It does nothing, and it grants nothing to tools of this server, which are judged when they are called.",
        json!({
            "tool_name": text("Claude Code's own name of the tool, such as `Bash`."),
            "input": json!({
                "type": "object",
                "description": "The tool's arguments. An answer that allows gives them back unchanged.",
            }),
            "tool_use_id": text("Id of the tool use. Has no effect."),
        }),
        &["tool_name", "input"],
        &Hints { idempotent: false, ..READS },
    )
}
