use nucleus_wire::tool::{ToolArgError, ToolCall, WorkspaceRoot};
use serde_json::Value;

/// A call whose arguments are sound. Nobody has asked yet who it is from.
#[derive(Debug)]
#[must_use = "a parsed call does nothing"]
pub struct Parsed {
    pub(super) call: ToolCall,
}

impl Parsed {
    /// Reads a tool's name and arguments; absolute paths are taken beneath `workspace`.
    ///
    /// # Errors
    /// What the arguments are not.
    pub fn parse(
        name: &str,
        arguments: &Value,
        workspace: WorkspaceRoot<'_>,
    ) -> Result<Self, ToolArgError> {
        ToolCall::parse(name, arguments, workspace).map(|call| Self { call })
    }

    /// A call that was parsed elsewhere: [`ToolCall`] has no unsound values.
    pub fn from_call(call: ToolCall) -> Self {
        Self { call }
    }
}
