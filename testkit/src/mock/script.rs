//! What the stand-in says, turn by turn.

use serde::Deserialize;
use serde_json::Value;

use super::{Api, play};

/// A script: JSON, unknown members refused.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Script {
    /// The turns; past the last one the answer is the text `done`.
    pub turns: Vec<Turn>,
    /// Which turn answers a request.
    #[serde(default)]
    pub select: Select,
}

/// Which turn answers a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Select {
    /// The turn after as many as the conversation holds of the assistant: a repeated request gets the same answer.
    #[default]
    Conversation,
    /// One turn per request, in the order of arrival.
    Order,
}

/// One answer.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Turn {
    /// Text of the assistant.
    pub text: Option<String>,
    /// Tools it calls, after the text.
    pub tools: Vec<ToolUse>,
    /// Wait before the head of the answer, in milliseconds.
    pub wait_ms: u64,
    /// Wait between two events of a stream, in milliseconds.
    pub event_wait_ms: u64,
    /// Usage reported; by default plausible small numbers.
    pub usage: Usage,
    /// Answer with this status and an error instead of a message.
    pub status: Option<u16>,
    /// Header fields added to the answer.
    pub headers: Vec<(String, String)>,
    /// A way to break the protocol.
    pub misbehave: Option<Misbehaviour>,
}

/// A call of a tool.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ToolUse {
    /// Name, for Claude Code and an MCP server `nucleus`: `mcp__nucleus__read`.
    pub name: String,
    /// Arguments.
    pub input: Value,
}

/// Tokens reported.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Usage {
    /// Uncached input.
    pub input_tokens: u64,
    /// Written to the cache of five minutes.
    pub cache_write_5m_tokens: u64,
    /// Read from a cache.
    pub cache_read_tokens: u64,
    /// Output.
    pub output_tokens: u64,
}

impl Default for Usage {
    fn default() -> Self {
        Self {
            input_tokens: 100,
            cache_write_5m_tokens: 0,
            cache_read_tokens: 0,
            output_tokens: 50,
        }
    }
}

/// A way to break the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Misbehaviour {
    /// No usage anywhere.
    NoUsage,
    /// The connection closes in the middle of the answer.
    Abort,
    /// The stream ends with an error event.
    StreamError,
    /// The key it received is put into the text of the answer.
    EchoKey,
    /// Nothing more comes after the first half of the answer.
    Hang,
    /// Events that cannot be read, or an object that is not JSON.
    Malformed,
    /// One line of 10 MiB in the middle of the answer.
    LongLine,
    /// Comments go on for ever after the first half of the answer.
    Endless,
    /// Counts below zero.
    NegativeUsage,
    /// Counts no call can have.
    HugeUsage,
    /// A report in the middle of the stream that is larger than the last one.
    DecreasingUsage,
}

/// Why a script cannot be played.
#[derive(Debug)]
pub struct ScriptError(serde_json::Error);

impl std::fmt::Display for ScriptError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "the model script is malformed: {}", self.0)
    }
}

impl std::error::Error for ScriptError {}

impl Script {
    /// Parses a script.
    ///
    /// # Errors
    /// Malformed JSON, unknown members, wrong types.
    pub fn parse(text: &[u8]) -> Result<Self, ScriptError> {
        serde_json::from_slice(text).map_err(ScriptError)
    }

    /// The answer to the `order`-th request (from 0) with this body.
    pub(super) fn turn(&self, api: Api, order: usize, body: &Value) -> Turn {
        let index = match self.select {
            Select::Order => order,
            Select::Conversation => play::answers(api, body),
        };
        let done = || Turn { text: Some("done".to_owned()), ..Turn::default() };
        self.turns.get(index).cloned().unwrap_or_else(done)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_is_strict_and_turns_follow_the_conversation() {
        let text = br#"{"turns":[{"tools":[{"name":"a","input":{}}]},{"text":"b","wait_ms":5}]}"#;
        let script = Script::parse(text).unwrap();
        let body = |n: usize| serde_json::json!({"messages": vec![serde_json::json!({"role": "assistant"}); n]});
        assert_eq!(script.turn(Api::Anthropic, 9, &body(0)).tools.len(), 1);
        assert_eq!(script.turn(Api::Anthropic, 0, &body(1)).text.as_deref(), Some("b"));
        assert_eq!(script.turn(Api::Anthropic, 0, &body(2)).text.as_deref(), Some("done"));
        let by_order = Script { select: Select::Order, ..script };
        assert_eq!(by_order.turn(Api::Anthropic, 1, &body(0)).text.as_deref(), Some("b"));
        assert!(Script::parse(br#"{"turns":[{"txt":"b"}]}"#).is_err());
        assert!(Script::parse(br#"{"turns":[{"misbehave":"politely"}]}"#).is_err());
        assert!(Script::parse(br#"{"turns":[]}"#).is_ok());
    }
}
