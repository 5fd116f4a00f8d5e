//! Usage in answers of the Responses API and of Chat Completions.

use std::borrow::Cow;

use serde::Deserialize;

use super::{Seen, Unbelieved, grow};

#[derive(Debug, Default, Deserialize)]
struct Details {
    #[serde(default)]
    cached_tokens: Option<u64>,
    #[serde(default)]
    cache_write_tokens: Option<u64>,
}

/// Both APIs' names; reasoning is part of the output in both.
#[derive(Debug, Default, Deserialize)]
struct Reported {
    #[serde(alias = "prompt_tokens")]
    input_tokens: Option<u64>,
    #[serde(alias = "completion_tokens")]
    output_tokens: Option<u64>,
    #[serde(alias = "prompt_tokens_details")]
    input_tokens_details: Option<Details>,
}

#[derive(Deserialize)]
struct Response<'a> {
    #[serde(borrow)]
    status: Option<Cow<'a, str>>,
    usage: Option<Reported>,
    #[serde(default)]
    output: Vec<serde::de::IgnoredAny>,
}

#[derive(Deserialize)]
struct Event<'a> {
    #[serde(rename = "type", borrow)]
    kind: Cow<'a, str>,
    #[serde(borrow)]
    response: Option<Response<'a>>,
    /// Text in all events that add to the answer; objects elsewhere.
    delta: Option<serde_json::Value>,
}

/// One event of a Responses stream.
pub(super) fn event(data: &[u8], seen: &mut Seen) -> Result<(), Unbelieved> {
    let event: Event<'_> = serde_json::from_slice(data).map_err(|_| Unbelieved::Missing)?;
    match event.kind.as_ref() {
        "response.completed" | "response.incomplete" => {
            report(seen, event.response.and_then(|response| response.usage));
            seen.ended = true;
        }
        "error" | "response.failed" => return Err(Unbelieved::StreamError),
        _ => seen.output_bytes(event.delta.as_ref().and_then(serde_json::Value::as_str)),
    }
    Ok(())
}

/// A whole answer of Responses.
pub(super) fn whole(data: &[u8], seen: &mut Seen) -> Result<(), Unbelieved> {
    let whole: Response<'_> = serde_json::from_slice(data).map_err(|_| Unbelieved::Missing)?;
    match whole.status.as_deref() {
        Some("completed" | "incomplete") => {}
        Some(_) => return Err(Unbelieved::StreamError),
        None => return Err(Unbelieved::Missing),
    }
    seen.output_bytes = u64::from(!whole.output.is_empty());
    seen.ended = true;
    report(seen, whole.usage);
    Ok(())
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Choice {
    delta: Delta,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Delta {
    content: Option<String>,
    reasoning_content: Option<String>,
    tool_calls: Option<Vec<ToolCall>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ToolCall {
    function: Option<Called>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Called {
    arguments: Option<String>,
}

#[derive(Deserialize)]
struct Chunk {
    usage: Option<Reported>,
    #[serde(default)]
    choices: Vec<Choice>,
    error: Option<serde::de::IgnoredAny>,
}

/// One chunk of a Chat Completions stream. `[DONE]` ends it.
pub(super) fn chunk(data: &[u8], seen: &mut Seen) -> Result<(), Unbelieved> {
    if data == b"[DONE]" {
        seen.ended = true;
        return Ok(());
    }
    let chunk: Chunk = serde_json::from_slice(data).map_err(|_| Unbelieved::Missing)?;
    if chunk.error.is_some() {
        return Err(Unbelieved::StreamError);
    }
    for choice in chunk.choices {
        seen.output_bytes(choice.delta.content.as_deref());
        seen.output_bytes(choice.delta.reasoning_content.as_deref());
        for call in choice.delta.tool_calls.unwrap_or_default() {
            seen.output_bytes(call.function.and_then(|f| f.arguments).as_deref());
        }
    }
    report(seen, chunk.usage);
    Ok(())
}

/// A whole chat completion.
pub(super) fn completion(data: &[u8], seen: &mut Seen) -> Result<(), Unbelieved> {
    let whole: Chunk = serde_json::from_slice(data).map_err(|_| Unbelieved::Missing)?;
    seen.output_bytes = u64::from(!whole.choices.is_empty());
    seen.ended = true;
    report(seen, whole.usage);
    Ok(())
}

fn report(seen: &mut Seen, new: Option<Reported>) {
    let Some(new) = new else { return };
    grow(&mut seen.input, new.input_tokens);
    grow(&mut seen.output, new.output_tokens);
    let details = new.input_tokens_details.unwrap_or_default();
    seen.cache_read = seen.cache_read.max(details.cached_tokens.unwrap_or(0));
    // Without a count, everything the provider had to read anew may have been written to its cache.
    let anew = new.input_tokens.unwrap_or(0).saturating_sub(seen.cache_read);
    seen.cache_written = seen.cache_written.max(details.cache_write_tokens.unwrap_or(anew));
}
