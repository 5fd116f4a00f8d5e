//! A stand-in for OpenAI: `POST /v1/responses` and `POST /v1/chat/completions`, with and without streaming.
//!
//! A tool of a script is called the way the request offers it: in its namespace (`mcp__nucleus__read` in `mcp__nucleus`), as
//! a freeform tool (its input is then the string `input`, or the member of that name), or as a plain function.

use std::io;

use crate::mock::Options;
pub use crate::mock::{Api, Mock, Received, Script, Select, ToolUse, Turn, Usage};

/// Starts a stand-in that accepts only `key`, when there is one.
///
/// # Errors
/// Unavailable: no port or no thread.
pub fn start(script: Script, key: Option<String>) -> io::Result<Mock> {
    Mock::start(Options { api: Api::OpenAi, script, key, ..Options::default() })
}
