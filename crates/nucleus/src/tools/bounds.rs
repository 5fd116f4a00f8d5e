//! How long a tool may work, and whom it asks about paths.

use std::time::Instant;

use super::error::ToolError;
use crate::cancel::Cancel;

/// Stop signal and deadline of one call.
pub(crate) struct Bounds<'a> {
    cancel: &'a Cancel,
    deadline: Instant,
}

impl<'a> Bounds<'a> {
    /// Bounds that end when `cancel` is set or `deadline` passes.
    pub(crate) fn new(cancel: &'a Cancel, deadline: Instant) -> Self {
        Self { cancel, deadline }
    }

    /// True once the caller withdrew.
    pub(crate) fn cancelled(&self) -> bool {
        self.cancel.is_cancelled()
    }

    /// Goes on, or says why not.
    pub(crate) fn go_on(&self) -> Result<(), ToolError> {
        if self.cancelled() {
            return Err(ToolError::Cancelled);
        }
        if Instant::now() >= self.deadline {
            return Err(ToolError::Deadline);
        }
        Ok(())
    }
}

/// The call's policy on paths, asked about names *after* resolution.
pub(crate) trait Paths {
    /// Whether the call may touch this workspace-relative path.
    fn admit(&self, real: &str) -> Result<(), ToolError>;
    /// Whether a search may list it or look into it.
    fn visible(&self, real: &str) -> bool;
}
