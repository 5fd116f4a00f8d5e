//! Stand-ins for model providers: they play scripted turns, record what they received, and can misbehave.
//!
//! One server plays for every provider; what differs is how a turn is written in the provider's API ([`Api`]). Each speaks
//! enough of its API to drive real agents, and answers everything else with 404.

#[expect(clippy::indexing_slicing, reason = "a member of JSON that is not there reads as null")]
mod anthropic;
#[expect(clippy::indexing_slicing, reason = "a member of JSON that is not there reads as null")]
mod gemini;
#[expect(clippy::indexing_slicing, reason = "a member of JSON that is not there reads as null")]
mod openai;
mod play;
mod script;
mod serve;
mod server;
mod wire;

pub use script::{Misbehaviour, Script, ScriptError, Select, ToolUse, Turn, Usage};
pub use serve::serve;
pub use server::{Mock, Options};
pub use wire::Received;

/// The API a stand-in speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Api {
    /// Messages.
    #[default]
    Anthropic,
    /// Responses and Chat Completions, by path.
    OpenAi,
    /// `generateContent` and its stream.
    Gemini,
}
