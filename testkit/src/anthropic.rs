//! A stand-in for the Anthropic Messages API: `POST /v1/messages` with and without streaming, and `…/count_tokens`.

pub use crate::mock::{
    Misbehaviour, Mock, Options, Received, Script, ScriptError, Select, ToolUse, Turn, Usage,
};
