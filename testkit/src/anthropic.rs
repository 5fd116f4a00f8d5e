//! A stand-in for the Anthropic Messages API: it plays scripted turns, records what it received, and can misbehave.
//!
//! It speaks enough of the API to drive real agents: `POST /v1/messages` with and without streaming and
//! `POST /v1/messages/count_tokens`. Everything else is recorded and answered with 404.

mod reply;
mod script;
mod server;
mod wire;

pub use script::{Misbehaviour, Script, ScriptError, Select, ToolUse, Turn, Usage};
pub use server::{Mock, Options};
pub use wire::Received;
