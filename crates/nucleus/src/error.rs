//! What a program that embeds the executor gets instead of a result.

use crate::refusal::Refusal;
use nucleus_wire::tool::ToolArgError;

/// Why [`Executor::run`](crate::Executor::run) has no output to give.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ExecutorError {
    /// A human has to approve this operation first. When someone can be asked, they are being asked: see
    /// [`Sandbox::approvals`](crate::Sandbox::approvals); the same call made again then goes through once.
    #[error("`{operation}` needs approval")]
    ApprovalRequired {
        /// The operation, as in `permissions.toml`.
        operation: &'static str,
    },
    /// The envelope refuses.
    #[error("{0}")]
    Denied(Refusal),
    /// The command is not one.
    #[error(transparent)]
    Malformed(#[from] ToolArgError),
    /// The call was let through and failed.
    #[error("{text} [{code}]")]
    Failed {
        /// Stable code of the fault.
        code: &'static str,
        /// What went wrong, without host paths.
        text: String,
    },
}
