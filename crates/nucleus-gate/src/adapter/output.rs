//! How each provider's requests name the longest answer, and how it is lowered to what a budget can pay for.

use crate::json::Json;
use crate::provider::Provider;
use crate::refusal::Refusal;

/// Output tokens a body asks for; `None` where the client leaves it to the provider.
pub(super) fn asked(provider: Provider, body: &Json) -> Result<Option<u64>, Refusal> {
    let number = |name: &str| body.get(name).and_then(Json::as_u64);
    Ok(match provider {
        // The API demands it.
        Provider::Anthropic => {
            let tokens = number("max_tokens");
            Some(tokens.ok_or(Refusal::Missing { field: "max_tokens".to_owned() })?)
        }
        Provider::OpenAi => number("max_output_tokens"),
        Provider::OpenAiChat => match (number("max_completion_tokens"), number("max_tokens")) {
            (Some(new), Some(old)) => Some(new.min(old)),
            (new, old) => new.or(old),
        },
        Provider::Gemini => {
            let config = body.get("generationConfig");
            config.and_then(|config| config.get("maxOutputTokens")).and_then(Json::as_u64)
        }
    })
}

/// Writes the limit into a body, and lowers what thinking may use within it.
pub(super) fn limit(provider: Provider, body: &mut Json, tokens: u64, least_thinking: u64) {
    match provider {
        Provider::Anthropic => {
            body.set("max_tokens", Json::integer(tokens));
            limit_thinking(body, tokens, least_thinking);
        }
        Provider::OpenAi => body.set("max_output_tokens", Json::integer(tokens)),
        Provider::OpenAiChat => {
            // Older servers know only the old name; a client that used it keeps it.
            let old =
                body.get("max_tokens").is_some() && body.get("max_completion_tokens").is_none();
            let name = if old { "max_tokens" } else { "max_completion_tokens" };
            if !old {
                body.remove("max_tokens");
            }
            body.set(name, Json::integer(tokens));
        }
        Provider::Gemini => {
            let mut config = body.get("generationConfig").cloned().unwrap_or(Json::Object(vec![]));
            config.set("maxOutputTokens", Json::integer(tokens));
            if let Some(mut thinking) = config.get("thinkingConfig").cloned() {
                let budget = thinking.get("thinkingBudget").and_then(Json::as_u64);
                if budget.is_some_and(|budget| budget >= tokens) {
                    thinking.set("thinkingBudget", Json::integer(tokens / 2));
                    config.set("thinkingConfig", thinking);
                }
            }
            body.set("generationConfig", config);
        }
    }
}

/// Takes the limit out, for the one backend that refuses requests with it: a ChatGPT subscription's.
pub(super) fn lift(body: &mut Json) {
    body.remove("max_output_tokens");
}

/// What the gate sends whatever the client says: nothing is stored, and a stream reports its usage.
pub(super) fn force(provider: Provider, body: &mut Json, stream: bool) {
    if matches!(provider, Provider::OpenAi | Provider::OpenAiChat) {
        body.set("store", Json::Bool(false));
    }
    if provider == Provider::OpenAiChat {
        body.remove("stream_options");
        if stream {
            let options = vec![("include_usage".to_owned(), Json::Bool(true))];
            body.set("stream_options", Json::Object(options));
        }
    }
}

/// The provider wants Anthropic's thinking budget below `max_tokens` and at least its own minimum.
fn limit_thinking(body: &mut Json, tokens: u64, least: u64) {
    let budget = body.get("thinking").and_then(|t| t.get("budget_tokens")).and_then(Json::as_u64);
    if budget.is_none_or(|budget| budget < tokens) {
        return;
    }
    let lowered = tokens.saturating_sub(1);
    let thinking = if lowered >= least {
        let mut thinking = body.get("thinking").cloned().unwrap_or(Json::Null);
        thinking.set("budget_tokens", Json::integer(lowered));
        thinking
    } else {
        Json::Object(vec![("type".to_owned(), Json::String("disabled".to_owned()))])
    };
    body.set("thinking", thinking);
}
