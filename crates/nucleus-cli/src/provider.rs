//! Model providers: whose key, whose origin.

use crate::args::{Agent, RunArgs};
use crate::environment::Environment;
use crate::failure::CliFailure;

/// A provider that the gate has an adapter for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Provider {
    /// Anthropic: the Messages API.
    Anthropic,
    /// OpenAI: the Responses API.
    Openai,
    /// OpenAI, or a service compatible with it: the Chat Completions API.
    OpenaiChat,
    /// Google: the Gemini API.
    Gemini,
}

impl Provider {
    /// Those that are tried when none is named.
    const BY_KEY: [Self; 3] = [Self::Anthropic, Self::Openai, Self::Gemini];

    /// Name in the control protocol and in logs.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Anthropic => "anthropic",
            Self::Openai => "openai",
            Self::OpenaiChat => "openai-chat",
            Self::Gemini => "gemini",
        }
    }

    /// Variables that may hold the user's key, the first that is set counts.
    pub(crate) fn key_names(self) -> &'static [&'static str] {
        match self {
            Self::Anthropic => &["ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN"],
            Self::Openai | Self::OpenaiChat => &["OPENAI_API_KEY", "CODEX_API_KEY"],
            Self::Gemini => &["GEMINI_API_KEY", "GOOGLE_API_KEY"],
        }
    }

    /// The base of its API: as asked, as the environment of its own clients says, as configured, where the subscription that
    /// pays is served, its own.
    pub(crate) fn base_url(
        self,
        asked: Option<&str>,
        configured: Option<&str>,
        subscribed: Option<&str>,
        env: &Environment,
    ) -> String {
        let (names, own): (&[&str], &str) = match self {
            Self::Anthropic => (&["ANTHROPIC_BASE_URL"], "https://api.anthropic.com"),
            Self::Openai | Self::OpenaiChat => (&["OPENAI_BASE_URL"], "https://api.openai.com/v1"),
            Self::Gemini => {
                (&["GOOGLE_GEMINI_BASE_URL"], "https://generativelanguage.googleapis.com")
            }
        };
        // The configured origin is that of Claude models: no other provider's key goes there.
        let configured = configured.filter(|_| self == Self::Anthropic).map(str::to_owned);
        let named = asked.map(str::to_owned).or_else(|| env.first(names)).or(configured);
        named.unwrap_or_else(|| subscribed.unwrap_or(own).to_owned())
    }
}

/// The provider of this run: the agent's only one, the one that is named, else the first whose key is set.
pub(crate) fn of(agent: Agent, args: &RunArgs, env: &Environment) -> Result<Provider, CliFailure> {
    match (agent.provider(), args.provider) {
        (Some(only), Some(named)) if only != named => Err(CliFailure::usage(format!(
            "{} speaks to {} only, not to {}",
            agent.name(),
            only.name(),
            named.name()
        ))
        .hint("leave --provider out, or use an agent that speaks to several: --agent opencode")),
        (Some(only), _) => Ok(only),
        (None, Some(named)) => Ok(named),
        (None, None) => Ok(Provider::BY_KEY
            .into_iter()
            .find(|provider| env.first(provider.key_names()).is_some())
            .unwrap_or(Provider::Anthropic)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_configured_origin_is_for_claude_models() {
        let env = Environment::default();
        let origin =
            |provider: Provider| provider.base_url(None, Some("https://gw.example"), None, &env);
        assert_eq!(origin(Provider::Anthropic), "https://gw.example");
        assert_eq!(origin(Provider::Openai), "https://api.openai.com/v1");
    }
}
