//! What a call comes back as.

use serde_json::Value;

use crate::port::Exit;
use crate::refusal::Refusal;

/// The answer to one tool call, ready to be sent to the agent.
#[derive(Debug, Clone, PartialEq)]
pub struct ToolResult {
    /// Body for the agent.
    pub text: String,
    /// A picture that was asked for.
    pub image: Option<Box<Image>>,
    /// The same as data.
    pub structured: Option<Value>,
    /// How the call ended.
    pub ending: Ending,
}

/// A picture, ready for a model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// Its kind, `image/png` and the like.
    pub mime_type: &'static str,
}

/// How a call ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ending {
    /// The effect took place and did what was asked.
    Done {
        /// Exit of a command that ended.
        exit: Option<Exit>,
        /// Something was left out of the text.
        truncated: bool,
        /// Id of a command that goes on in the background.
        job: Option<String>,
        /// Time the effect took, in milliseconds.
        duration_ms: u64,
    },
    /// The effect was let through and failed.
    Failed {
        /// Stable code of the fault.
        code: &'static str,
    },
    /// The call was refused.
    Denied(Refusal),
    /// A human has to say yes. Made again unchanged after that, the call goes through once.
    ApprovalRequired {
        /// Operation that needs approval.
        operation: &'static str,
        /// Id of the request; absent when nobody can be asked.
        id: Option<String>,
    },
    /// The arguments are not what the tool takes.
    Malformed {
        /// Stable code of the fault.
        code: &'static str,
    },
}

impl ToolResult {
    /// True for everything but an effect that did what was asked.
    #[must_use]
    pub fn is_error(&self) -> bool {
        !matches!(self.ending, Ending::Done { .. })
    }
}
