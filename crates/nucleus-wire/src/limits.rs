//! Every limit on what enters through this crate. Units are in the names.

/// One frame of an agent-facing connection: room for [`STDIN_MAX_BYTES`] of text after JSON escaping.
pub const FRAME_MAX_BYTES: usize = 4 * 1024 * 1024;
/// Open arrays and objects in one JSON document.
pub const JSON_MAX_DEPTH: usize = 64;
/// Values in one JSON document. An argument list is the largest thing a call holds; this bounds memory at a
/// small multiple of the frame.
pub const JSON_MAX_VALUES: usize = 65_536;

/// A JSON-RPC id given as text.
pub const REQUEST_ID_MAX_BYTES: usize = 256;
/// A JSON-RPC method name.
pub const METHOD_MAX_BYTES: usize = 256;
/// Name of a tool in a call.
pub const TOOL_NAME_MAX_BYTES: usize = 128;
/// Client name and version of `initialize`, each.
pub const CLIENT_INFO_MAX_BYTES: usize = 256;
/// Reason of `notifications/cancelled`; longer text is cut.
pub const CANCEL_REASON_MAX_BYTES: usize = 512;
/// Tool-use id a client attaches to a call, kept for correlation only.
pub const TOOL_USE_ID_MAX_BYTES: usize = 128;

/// State of an `input_required` answer, as a client echoes it.
pub const REQUEST_STATE_MAX_BYTES: usize = 256;

/// A path argument.
pub const PATH_MAX_BYTES: usize = 4_096;
/// A glob or regular expression.
pub const PATTERN_MAX_BYTES: usize = 1_024;
/// A URL.
pub const URL_MAX_BYTES: usize = 2_048;
/// All of an argv together (or a command line as text).
pub const ARGV_MAX_BYTES: usize = 16_384;
/// Items of an argv.
pub const ARGV_MAX_ITEMS: usize = 256;
/// Standard input of a command.
pub const STDIN_MAX_BYTES: usize = 1024 * 1024;
/// What `write` puts into one file.
pub const CONTENT_MAX_BYTES: usize = 2 * 1024 * 1024;
/// Each of `old_string` and `new_string` of `edit`.
pub const EDIT_MAX_BYTES: usize = 1024 * 1024;
/// Free text a client adds to a call (`description` of `run`); read and dropped.
pub const DESCRIPTION_MAX_BYTES: usize = 4_096;
/// Arguments of a client's own tool, as JSON, that `permission_prompt` is asked about; the answer repeats them.
pub const PROMPT_INPUT_MAX_BYTES: usize = 2 * 1024 * 1024;
/// A job or approval id.
pub const HANDLE_MAX_BYTES: usize = 64;

/// Longest a call keeps its caller waiting before it becomes a job, and longest `job_output` waits.
pub const CALL_WAIT_MAX_S: u64 = 30;
/// Longest a command may run.
pub const RUN_TIMEOUT_MAX_S: u64 = 24 * 60 * 60;
/// How long a command may run when the call does not say.
pub const RUN_TIMEOUT_DEFAULT_S: u64 = 30 * 60;
/// Lines `read` gives when the call does not say.
pub const READ_DEFAULT_LINES: u64 = 2_000;
/// Lines one `read` may ask for.
pub const READ_MAX_LINES: u64 = 100_000;
/// Highest line number `read` starts at.
pub const READ_MAX_OFFSET_LINES: u64 = 1_000_000_000;
/// Lines of context around a match, on each side.
pub const GREP_MAX_CONTEXT_LINES: u64 = 20;
/// Matches of one search when the call does not say.
pub const GREP_DEFAULT_MATCHES: u64 = 200;
/// Matches one search may ask for.
pub const GREP_MAX_MATCHES: u64 = 10_000;

/// A permissions, profile or configuration file.
pub const POLICY_FILE_MAX_BYTES: usize = 64 * 1024;
/// Entries of one list in such a file.
pub const POLICY_LIST_MAX_ITEMS: usize = 1_024;
/// One string in such a file.
pub const POLICY_STRING_MAX_BYTES: usize = 1_024;
/// Examples of one command rule, for and against each.
pub const POLICY_MAX_EXAMPLES: usize = 32;
/// Errors reported for one file; the rest are counted.
pub const POLICY_MAX_ERRORS: usize = 50;
/// Longest window a policy may ask for.
pub const POLICY_MAX_VALID_HOURS: u64 = 24 * 366;
/// Highest cost limit a policy may name, in whole dollars.
pub const POLICY_MAX_COST_USD: u64 = 1_000_000;
/// Highest token limit a policy may name.
pub const POLICY_MAX_TOKENS: u64 = 1_000_000_000_000;

const _: () = assert!(STDIN_MAX_BYTES.saturating_mul(2) < FRAME_MAX_BYTES);
const _: () = assert!(CONTENT_MAX_BYTES < FRAME_MAX_BYTES);
const _: () = assert!(PROMPT_INPUT_MAX_BYTES < FRAME_MAX_BYTES);
const _: () = assert!(EDIT_MAX_BYTES.saturating_mul(2) < FRAME_MAX_BYTES);
const _: () = assert!(ARGV_MAX_ITEMS < JSON_MAX_VALUES);

/// Shortest key of an approvals webhook, a line break at its end not counted.
pub const WEBHOOK_KEY_MIN_BYTES: usize = 32;
