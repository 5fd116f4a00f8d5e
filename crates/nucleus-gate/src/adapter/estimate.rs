//! How large a prompt can be, before the provider has counted it.
//!
//! An estimate from above: two tokens for five bytes of ASCII and one for two bytes of anything else, which exceeds what
//! current tokenizers make of prose, code and JSON. A text built to defeat it can cost more than was reserved for that one
//! call; what it really used is booked all the same, and the next call finds the budget smaller.

use std::collections::BTreeSet;

use crate::json::Json;

/// Tokens per ASCII byte, as a fraction.
const ASCII: (u64, u64) = (2, 5);
/// Tokens the provider adds of its own, for the instructions that explain tools.
const BASE_TOKENS: u64 = 500;

/// Upper estimate of the prompt's tokens, at most `context`.
pub(super) fn prompt(
    body: &Json,
    parts: &BTreeSet<String>,
    image_tokens: u64,
    context: u64,
) -> u64 {
    let mut sum = BASE_TOKENS;
    if let Json::Object(members) = body {
        for (name, value) in members {
            if parts.contains(name) {
                sum = sum.saturating_add(value_tokens(value, image_tokens));
            }
        }
    }
    sum.min(context)
}

fn value_tokens(value: &Json, image: u64) -> u64 {
    match value {
        Json::Null | Json::Bool(_) => 1,
        Json::Number(text) | Json::String(text) => text_tokens(text),
        Json::Array(items) => {
            items.iter().fold(1, |sum: u64, item| sum.saturating_add(value_tokens(item, image)))
        }
        Json::Object(members) => {
            if let Some(tokens) = encoded_tokens(value, image) {
                return tokens;
            }
            members.iter().fold(1, |sum: u64, (key, item)| {
                let tokens = match inline_tokens(key, item, image) {
                    Some(tokens) => tokens,
                    None => value_tokens(item, image),
                };
                sum.saturating_add(text_tokens(key)).saturating_add(tokens)
            })
        }
    }
}

/// Tokens of base64 data with its type beside it: an image has a fixed worst case, a document up to one token per byte.
fn encoded_tokens(source: &Json, image: u64) -> Option<u64> {
    let media_type = match source.get("type").and_then(Json::as_str) {
        Some("base64") => source.get("media_type"),
        None => source.get("mimeType"),
        Some(_) => None,
    };
    let data = source.get("data").and_then(Json::as_str)?;
    Some(data_tokens(media_type.and_then(Json::as_str)?, data, image))
}

/// The same for a `data:` URL in the members that carry one.
fn inline_tokens(key: &str, value: &Json, image: u64) -> Option<u64> {
    let text = value.as_str().filter(|_| matches!(key, "image_url" | "url" | "file_data"))?;
    Some(data_tokens(text.strip_prefix("data:")?, text, image))
}

fn data_tokens(media_type: &str, data: &str, image: u64) -> u64 {
    if media_type.starts_with("image/") {
        return image;
    }
    image.max(u64::try_from(data.len()).unwrap_or(u64::MAX))
}

fn text_tokens(text: &str) -> u64 {
    let all = u64::try_from(text.len()).unwrap_or(u64::MAX);
    let ascii = text.bytes().filter(u8::is_ascii).count();
    let ascii = u64::try_from(ascii).unwrap_or(u64::MAX);
    (ascii.saturating_mul(ASCII.0)).div_ceil(ASCII.1).saturating_add((all - ascii).div_ceil(2))
}

/// Whether the request asks for caches of five minutes and of one hour.
pub(super) fn cache_writes(body: &Json) -> (bool, bool) {
    let mut found = (false, false);
    find_cache(body, &mut found);
    found
}

fn find_cache(value: &Json, found: &mut (bool, bool)) {
    match value {
        Json::Array(items) => items.iter().for_each(|item| find_cache(item, found)),
        Json::Object(members) => {
            for (key, item) in members {
                if key == "cache_control" {
                    match item.get("ttl").and_then(Json::as_str) {
                        None | Some("5m") => found.0 = true,
                        // An unknown time counts as the dearest.
                        Some(_) => found.1 = true,
                    }
                }
                find_cache(item, found);
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens(messages: &str) -> u64 {
        let body = format!("{{\"messages\":{messages},\"model\":\"{}\"}}", "m".repeat(9000));
        let parts = BTreeSet::from(["messages".to_owned()]);
        prompt(&Json::parse(body.as_bytes()).unwrap(), &parts, 5000, 1_000_000) - BASE_TOKENS
    }

    #[test]
    fn text_images_and_documents_are_estimated_from_above() {
        assert_eq!(tokens(&format!("\"{}\"", "a".repeat(1000))), 400);
        assert_eq!(tokens(&format!("\"{}\"", "é".repeat(1000))), 1000);
        let source = |media: &str, data: &str| {
            format!("{{\"type\":\"base64\",\"media_type\":\"{media}\",\"data\":\"{data}\"}}")
        };
        assert_eq!(tokens(&source("image/png", &"A".repeat(900_000))), 5000);
        assert_eq!(tokens(&source("application/pdf", &"A".repeat(9000))), 9000);
        let url = |url: &str| format!("{{\"url\":\"{url}{}\"}}", "A".repeat(900_000));
        assert!(tokens(&url("data:image/png;base64,")) < 5010);
        assert!(tokens(&url("data:application/pdf;base64,")) > 900_000 - BASE_TOKENS);
        let gemini = format!("{{\"mimeType\":\"image/png\",\"data\":\"{}\"}}", "A".repeat(90_000));
        assert_eq!(tokens(&gemini), 5000);
        assert_eq!(tokens(&format!("\"{}\"", "a".repeat(9_000_000))), 1_000_000 - BASE_TOKENS);
    }

    #[test]
    fn cache_marks_are_found_at_any_depth() {
        let writes = |text: &str| cache_writes(&Json::parse(text.as_bytes()).unwrap());
        assert_eq!(writes(r#"{"a":[{"cache_control":{"type":"ephemeral"}}]}"#), (true, false));
        assert_eq!(writes(r#"{"cache_control":{"ttl":"1h"}}"#), (false, true));
        assert_eq!(writes(r#"{"cache_control":{"ttl":"9h"}}"#), (false, true));
        assert_eq!(writes(r#"{"system":[]}"#), (false, false));
    }
}
