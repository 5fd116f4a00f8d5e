//! Failures of the command itself: one text for the user, one hint, one exit code.

use nucleus_wire::control::{Failure, FailureClass, FromProxy};

use crate::page::json_line;

/// A failure with what to do about it.
#[derive(Debug)]
pub(crate) struct CliFailure {
    class: FailureClass,
    message: String,
    hint: Option<String>,
    told: bool,
}

impl CliFailure {
    /// Wrong use of the command line or the workspace.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self { class: FailureClass::Usage, message: message.into(), hint: None, told: false }
    }

    /// A file that should hold policy or configuration does not.
    pub(crate) fn policy(message: impl Into<String>) -> Self {
        Self { class: FailureClass::Policy, message: message.into(), hint: None, told: false }
    }

    /// It is not allowed, or not any more.
    pub(crate) fn denied(message: impl Into<String>) -> Self {
        Self { class: FailureClass::Denied, message: message.into(), hint: None, told: false }
    }

    /// The host did not give what is needed.
    pub(crate) fn unavailable(message: impl Into<String>) -> Self {
        let message = message.into();
        let hint = limit(&message).map(str::to_owned);
        Self { class: FailureClass::Unavailable, message, hint, told: false }
    }

    /// The host cannot isolate as asked.
    pub(crate) fn isolation(message: impl Into<String>) -> Self {
        Self { class: FailureClass::Isolation, message: message.into(), hint: None, told: false }
    }

    /// A defect of Nucleus itself.
    pub(crate) fn internal(message: impl Into<String>) -> Self {
        Self { class: FailureClass::Internal, message: message.into(), hint: None, told: false }
    }

    /// The user ended it at once.
    pub(crate) fn interrupted(message: impl Into<String>) -> Self {
        Self { class: FailureClass::Interrupted, message: message.into(), hint: None, told: false }
    }

    /// Adds what to do about it.
    #[must_use]
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The same failure, blamed on something else: on the file, say, that named what failed.
    #[must_use]
    pub(crate) fn blamed(mut self, class: FailureClass) -> Self {
        self.class = class;
        self
    }

    /// Whether it says what to do already.
    pub(crate) fn has_hint(&self) -> bool {
        self.hint.is_some()
    }

    /// Notes that a reader of JSON lines has been told already.
    #[must_use]
    pub(crate) fn told(mut self) -> Self {
        self.told = true;
        self
    }

    /// The failure as the JSON line that the reader has not been given yet.
    pub(crate) fn as_json(&self) -> Option<String> {
        let failure =
            Failure { class: self.class, message: self.message.clone(), hint: self.hint.clone() };
        (!self.told).then(|| json_line(&FromProxy::Failed(failure)))
    }

    /// What happened.
    pub(crate) fn message(&self) -> &str {
        &self.message
    }

    /// The process exit code.
    pub(crate) fn exit_code(&self) -> u8 {
        self.class.exit_code()
    }

    /// The text for standard error.
    pub(crate) fn render(&self) -> String {
        let mut text = match self.message.lines().count() {
            0 | 1 => format!("nucleus: {}\n", self.message),
            // Errors of a file, each with its place at the beginning of the line.
            errors => format!("nucleus: {errors} errors, nothing was run\n{}\n", self.message),
        };
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
        let hint = failure.hint.or_else(|| limit(&failure.message).map(str::to_owned));
        Self { class: failure.class, message: failure.message, hint, told: false }
    }
}

/// What to do about a limit of the host that a message ends with.
fn limit(message: &str) -> Option<&'static str> {
    let is = |errno: rustix::io::Errno| {
        message.contains(&format!("(os error {})", errno.raw_os_error()))
    };
    if is(rustix::io::Errno::MFILE) {
        Some("this process may open too few files: ulimit -n 1024, or LimitNOFILE= of the service")
    } else if is(rustix::io::Errno::AGAIN) {
        Some("this user has as many processes as it may: end some, or raise the limit (ulimit -u)")
    } else if is(rustix::io::Errno::ROFS) {
        Some("the file system is read-only: set XDG_STATE_HOME to a directory that can be written")
    } else {
        None
    }
}
