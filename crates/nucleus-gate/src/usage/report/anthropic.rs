//! Usage in answers of the Messages API.

use serde::Deserialize;

use super::{Seen, Unbelieved, grow};

#[derive(Debug, Clone, Copy, Default, Deserialize)]
struct CacheCreation {
    ephemeral_5m_input_tokens: Option<u64>,
    ephemeral_1h_input_tokens: Option<u64>,
}

#[derive(Debug, Clone, Default, Deserialize)]
struct Reported {
    input_tokens: Option<u64>,
    output_tokens: Option<u64>,
    cache_creation_input_tokens: Option<u64>,
    cache_read_input_tokens: Option<u64>,
    cache_creation: Option<CacheCreation>,
    inference_geo: Option<String>,
}

#[derive(Deserialize)]
struct Whole {
    usage: Option<Reported>,
    #[serde(default)]
    content: Vec<serde::de::IgnoredAny>,
}

#[derive(Deserialize)]
struct Event<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    message: Option<Whole>,
    usage: Option<Reported>,
    delta: Option<Delta>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Delta {
    text: Option<String>,
    thinking: Option<String>,
    partial_json: Option<String>,
}

pub(super) fn event(data: &[u8], seen: &mut Seen) -> Result<(), Unbelieved> {
    // An event this version cannot read may be the one with the usage.
    let event: Event<'_> = serde_json::from_slice(data).map_err(|_| Unbelieved::Missing)?;
    match event.kind {
        "message_start" => report(seen, event.message.and_then(|message| message.usage)),
        "message_delta" => report(seen, event.usage),
        "message_stop" => seen.ended = true,
        "error" => return Err(Unbelieved::StreamError),
        _ => {
            let delta = event.delta.unwrap_or_default();
            for text in [delta.text, delta.thinking, delta.partial_json] {
                seen.output_bytes(text.as_deref());
            }
        }
    }
    Ok(())
}

pub(super) fn whole(data: &[u8], seen: &mut Seen) -> Result<(), Unbelieved> {
    let whole: Whole = serde_json::from_slice(data).map_err(|_| Unbelieved::Missing)?;
    seen.output_bytes = u64::from(!whole.content.is_empty());
    seen.ended = true;
    report(seen, whole.usage);
    Ok(())
}

fn report(seen: &mut Seen, new: Option<Reported>) {
    let Some(new) = new else { return };
    grow(&mut seen.input, new.input_tokens);
    grow(&mut seen.output, new.output_tokens);
    let most = |old: u64, new: Option<u64>| old.max(new.unwrap_or(0));
    seen.cache_read = most(seen.cache_read, new.cache_read_input_tokens);
    let split = new.cache_creation.unwrap_or_default();
    let (hour, short) = (split.ephemeral_1h_input_tokens, split.ephemeral_5m_input_tokens);
    seen.cache_written_1h = most(seen.cache_written_1h, hour);
    let both = short.unwrap_or(0).saturating_add(hour.unwrap_or(0));
    seen.cache_written = most(seen.cache_written, new.cache_creation_input_tokens).max(both);
    if let Some(geo) = new.inference_geo {
        seen.us_only = geo == "us";
    }
}
