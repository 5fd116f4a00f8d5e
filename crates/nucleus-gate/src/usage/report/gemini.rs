//! Usage in answers of the Gemini API: a stream's events have the form of a whole answer.

use serde::Deserialize;

use super::{Seen, Unbelieved, grow};

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Reported {
    prompt_token_count: Option<u64>,
    tool_use_prompt_token_count: Option<u64>,
    cached_content_token_count: Option<u64>,
    candidates_token_count: Option<u64>,
    thoughts_token_count: Option<u64>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Part {
    text: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Content {
    parts: Vec<Part>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Candidate {
    content: Content,
    finish_reason: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Feedback {
    block_reason: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Answer {
    usage_metadata: Option<Reported>,
    #[serde(default)]
    candidates: Vec<Candidate>,
    prompt_feedback: Option<Feedback>,
    error: Option<serde::de::IgnoredAny>,
}

pub(super) fn answer(data: &[u8], seen: &mut Seen) -> Result<(), Unbelieved> {
    let answer: Answer = serde_json::from_slice(data).map_err(|_| Unbelieved::Missing)?;
    if answer.error.is_some() {
        return Err(Unbelieved::StreamError);
    }
    for candidate in &answer.candidates {
        for part in &candidate.content.parts {
            seen.output_bytes(part.text.as_deref());
        }
        seen.ended |= candidate.finish_reason.is_some();
    }
    let blocked = answer.prompt_feedback.is_some_and(|feedback| feedback.block_reason.is_some());
    seen.ended |= blocked;
    let Some(new) = answer.usage_metadata else { return Ok(()) };
    let tools = new.tool_use_prompt_token_count.unwrap_or(0);
    grow(&mut seen.input, new.prompt_token_count.map(|count| count.saturating_add(tools)));
    grow(&mut seen.output, new.candidates_token_count);
    seen.thought = seen.thought.max(new.thoughts_token_count.unwrap_or(0));
    seen.cache_read = seen.cache_read.max(new.cached_content_token_count.unwrap_or(0));
    if blocked || seen.thought > 0 {
        // Nothing, or only thoughts, came: the count of candidates is left out.
        grow(&mut seen.output, Some(0));
    }
    Ok(())
}
