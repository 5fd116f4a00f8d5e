//! One line of the doctor's report.

use serde_json::{Value, json};

/// How something stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// As good as it gets.
    Good,
    /// It works, with less behind it.
    Weaker,
    /// Without it no run begins.
    Broken,
    /// For information.
    Note,
}

impl Verdict {
    fn as_str(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Weaker => "weaker",
            Self::Broken => "broken",
            Self::Note => "note",
        }
    }
}

/// One finding.
#[derive(Debug, Clone)]
pub(super) struct Check {
    /// What was looked at.
    pub name: String,
    /// How it stands.
    pub verdict: Verdict,
    /// What was found.
    pub found: String,
    /// What is weaker as it is.
    pub without: Option<String>,
    /// What to do about it.
    pub mend: Option<String>,
}

impl Check {
    /// Nothing to mend.
    pub(super) fn good(name: &str, found: impl Into<String>) -> Self {
        Self::new(name, Verdict::Good, found)
    }

    /// For information.
    pub(super) fn note(name: &str, found: impl Into<String>) -> Self {
        Self::new(name, Verdict::Note, found)
    }

    /// A finding that says nothing more yet.
    pub(super) fn new(name: &str, verdict: Verdict, found: impl Into<String>) -> Self {
        Self { name: name.to_owned(), verdict, found: found.into(), without: None, mend: None }
    }

    /// Adds what is weaker.
    pub(super) fn without(mut self, words: impl Into<String>) -> Self {
        self.without = Some(words.into());
        self
    }

    /// Adds what to do.
    pub(super) fn mend(mut self, words: impl Into<String>) -> Self {
        self.mend = Some(words.into());
        self
    }

    pub(super) fn as_json(&self) -> Value {
        json!({"name": self.name, "state": self.verdict.as_str(), "found": self.found, "without": self.without,
               "fix": self.mend})
    }
}
