//! The model providers whose API the gate speaks.

use std::fmt;
use std::str::FromStr;

use crate::error::ConfigError;

/// A provider's API. Everything that differs between providers hangs on this: paths, shapes, usage, errors, credentials.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Provider {
    /// Anthropic Messages.
    Anthropic,
    /// OpenAI Responses.
    OpenAi,
    /// OpenAI Chat Completions and what is compatible with it.
    OpenAiChat,
    /// Gemini.
    Gemini,
}

impl Provider {
    /// Every provider.
    pub const ALL: [Self; 4] = [Self::Anthropic, Self::OpenAi, Self::OpenAiChat, Self::Gemini];

    /// Its name in policies, in the log and on the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Anthropic => "anthropic",
            Self::OpenAi => "openai",
            Self::OpenAiChat => "openai-chat",
            Self::Gemini => "gemini",
        }
    }

    pub(crate) fn data(self) -> &'static str {
        match self {
            Self::Anthropic => include_str!("../data/anthropic.toml"),
            Self::OpenAi => include_str!("../data/openai.toml"),
            Self::OpenAiChat => include_str!("../data/openai-chat.toml"),
            Self::Gemini => include_str!("../data/gemini.toml"),
        }
    }

    /// The header field that carries a credential, and what stands before the credential in it.
    pub(crate) fn credential(self, bearer: bool) -> (&'static str, &'static str) {
        match self {
            Self::Anthropic if !bearer => ("x-api-key", ""),
            Self::Gemini if !bearer => ("x-goog-api-key", ""),
            _ => ("authorization", "Bearer "),
        }
    }
}

impl fmt::Display for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Provider {
    type Err = ConfigError;

    fn from_str(text: &str) -> Result<Self, ConfigError> {
        let known = Self::ALL.into_iter().find(|provider| provider.name() == text);
        known.ok_or_else(|| ConfigError::Provider { name: text.to_owned() })
    }
}
