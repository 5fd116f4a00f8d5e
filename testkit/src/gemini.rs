//! A stand-in for the Gemini API: `generateContent`, `streamGenerateContent?alt=sse` and `countTokens` of any model.

use std::io;

use crate::mock::Options;
pub use crate::mock::{Api, Mock, Received, Script, Select, ToolUse, Turn, Usage};

/// Starts a stand-in that accepts only `key`, when there is one.
///
/// # Errors
/// Unavailable: no port or no thread.
pub fn start(script: Script, key: Option<String>) -> io::Result<Mock> {
    Mock::start(Options { api: Api::Gemini, script, key, ..Options::default() })
}
