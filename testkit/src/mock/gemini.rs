//! Turns in the form of the Gemini API.

use serde_json::{Value, json};

use super::Received;
use super::play::{Event, told};
use super::script::{Misbehaviour, Turn, Usage};

/// A whole answer.
pub(super) fn whole(turn: &Turn, request: &Received) -> Value {
    answer(turn, request, &parts(turn), true)
}

/// The events of a stream: one per part, each with the usage so far; the last one tells why it ended.
pub(super) fn events(turn: &Turn, request: &Received) -> Vec<Event> {
    let parts = parts(turn);
    let mut all: Vec<Value> =
        parts.iter().map(|part| answer(turn, request, std::slice::from_ref(part), false)).collect();
    if turn.misbehave == Some(Misbehaviour::DecreasingUsage) {
        let usage = Usage { input_tokens: 9000, ..turn.usage };
        let larger = Turn { usage, ..turn.clone() };
        all.push(answer(&larger, request, &[], false));
    }
    all.push(answer(turn, request, &[json!({"text": ""})], true));
    all.iter().map(Event::plain).collect()
}

fn parts(turn: &Turn) -> Vec<Value> {
    let text = turn.text.iter().map(|text| json!({"text": text}));
    let calls = turn.tools.iter().enumerate().map(|(index, tool)| {
        json!({"functionCall": {"id": format!("call_{index}"), "name": tool.name, "args": tool.input}})
    });
    text.chain(calls).collect()
}

fn answer(turn: &Turn, request: &Received, parts: &[Value], last: bool) -> Value {
    let model = request.path().rsplit('/').next().and_then(|name| name.split(':').next());
    let mut candidate = json!({"index": 0, "content": {"role": "model", "parts": parts}});
    if last {
        candidate["finishReason"] = json!("STOP");
    }
    let mut answer = json!({"candidates": [candidate], "modelVersion": model});
    if turn.misbehave != Some(Misbehaviour::NoUsage) {
        let counts = turn.usage;
        let prompt = counts.input_tokens + counts.cache_read_tokens;
        let thoughts = counts.output_tokens / 2;
        answer["usageMetadata"] = json!({
            "promptTokenCount": told(turn, prompt), "cachedContentTokenCount": counts.cache_read_tokens,
            "candidatesTokenCount": told(turn, counts.output_tokens - thoughts), "thoughtsTokenCount": thoughts,
            "totalTokenCount": told(turn, prompt + counts.output_tokens),
        });
    }
    answer
}
