//! A refusal: data, not an error.
//!
//! Policy refusals come from the decision; whatever goes wrong unexpectedly becomes a refusal in
//! [`fail_closed`], and nowhere else.

use std::fmt;

use nucleus_wire::display::escape_short;

/// Longest text of a refusal, in characters.
const TEXT_CHARS: usize = 2_000;

/// Why a call was not let through, in the words an agent may read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    code: &'static str,
    layer: &'static str,
    text: String,
}

impl Refusal {
    /// A refusal by the rule `code` (`deny.path.blocked`), held by `layer` (`policy`, `resolver`, `budget`, …). `text`
    /// names the rule and the legal next step; it must hold no host path.
    #[must_use]
    pub fn new(code: &'static str, layer: &'static str, text: impl Into<String>) -> Self {
        Self { code, layer, text: text.into() }
    }

    /// Stable code of the rule.
    #[must_use]
    pub fn code(&self) -> &'static str {
        self.code
    }

    /// Layer that held.
    #[must_use]
    pub fn layer(&self) -> &'static str {
        self.layer
    }

    /// What the agent reads.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The same refusal with its text bounded, escaped and passed through `clean`.
    pub(crate) fn shown(mut self, clean: impl Fn(&str) -> String) -> Self {
        self.text = escape_short(&clean(&self.text), TEXT_CHARS);
        self
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.text.contains(self.code) {
            return f.write_str(&self.text);
        }
        write!(f, "{} [{}]", self.text, self.code)
    }
}

/// What can go wrong in the pipeline without anybody having decided anything.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Unexpected {
    /// The intent could not be made durable.
    #[error("the audit log did not take the entry")]
    Log(#[source] nucleus_log::AppendError),
    /// What a human should approve could not be pinned down.
    #[error("the canonical arguments could not be made: {what}")]
    Canonical {
        /// Which part.
        what: &'static str,
        /// The system's reason.
        #[source]
        source: std::io::Error,
    },
    /// A tool panicked (builds that unwind).
    #[error("a tool ended in a panic")]
    Panicked,
    /// The host has no randomness to give.
    #[error("the host gives no random numbers")]
    Random,
}

/// The one place where an unexpected error becomes a refusal.
///
/// The agent learns that nothing was done and that retrying does not help; the operator finds the cause in the
/// returned error's chain, which the caller has shown or logged.
#[must_use]
pub fn fail_closed(error: &Unexpected) -> Refusal {
    match error {
        Unexpected::Log(_) => Refusal::new(
            "deny.unavailable.log",
            "log",
            "refused: the audit log cannot be written, so nothing may be done any more in this task. \
             Stop here and report it; retrying does not help",
        ),
        Unexpected::Canonical { .. } => Refusal::new(
            "deny.unavailable.canonical",
            "approval",
            "refused: what would run could not be pinned down for approval. Name a program and files that exist",
        ),
        Unexpected::Panicked => Refusal::new(
            "deny.internal",
            "pipeline",
            "refused: an internal error of Nucleus. Report it; retrying does not help",
        ),
        Unexpected::Random => Refusal::new(
            "deny.unavailable.random",
            "pipeline",
            "refused: the host cannot make the identifiers this call needs. Stop here and report it",
        ),
    }
}
