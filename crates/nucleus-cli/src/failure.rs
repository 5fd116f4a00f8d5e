//! Failures of the command itself: one text for the user, one hint, one exit code.

use nucleus_wire::control::{Failure, FailureClass};

/// Exit code of a task that the user ended, as a shell reports SIGINT.
pub(crate) const INTERRUPTED: u8 = 130;

/// A failure with what to do about it.
#[derive(Debug)]
pub(crate) struct CliFailure {
    code: u8,
    message: String,
    hint: Option<String>,
}

impl CliFailure {
    /// Wrong use of the command line or the workspace.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self { code: FailureClass::Usage.exit_code(), message: message.into(), hint: None }
    }

    /// A file that should hold policy or configuration does not.
    pub(crate) fn policy(message: impl Into<String>) -> Self {
        Self { code: FailureClass::Policy.exit_code(), message: message.into(), hint: None }
    }

    /// The host did not give what is needed.
    pub(crate) fn unavailable(message: impl Into<String>) -> Self {
        Self { code: FailureClass::Unavailable.exit_code(), message: message.into(), hint: None }
    }

    /// The host cannot isolate as asked.
    pub(crate) fn isolation(message: impl Into<String>) -> Self {
        Self { code: FailureClass::Isolation.exit_code(), message: message.into(), hint: None }
    }

    /// A defect of Nucleus itself.
    pub(crate) fn internal(message: impl Into<String>) -> Self {
        Self { code: FailureClass::Internal.exit_code(), message: message.into(), hint: None }
    }

    /// The user ended it at once.
    pub(crate) fn interrupted(message: impl Into<String>) -> Self {
        Self { code: INTERRUPTED, message: message.into(), hint: None }
    }

    /// Adds what to do about it.
    #[must_use]
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The process exit code.
    pub(crate) fn exit_code(&self) -> u8 {
        self.code
    }

    /// The text for standard error.
    pub(crate) fn render(&self) -> String {
        let mut text = format!("nucleus: {}\n", self.message);
        if let Some(hint) = &self.hint {
            for line in hint.lines() {
                text.push_str("  ");
                text.push_str(line);
                text.push('\n');
            }
        }
        text
    }
}

impl From<Failure> for CliFailure {
    fn from(failure: Failure) -> Self {
        Self { code: failure.class.exit_code(), message: failure.message, hint: failure.hint }
    }
}
