//! Turns as messages and as event streams of the Messages API.

use serde_json::{Value, json};

use super::play::{Event, told};
use super::script::{Misbehaviour, Turn, Usage};

/// A whole message.
pub(super) fn whole(turn: &Turn, body: &Value, number: usize) -> Value {
    let mut message = message(turn, &body["model"], number);
    message["content"] = Value::Array(blocks(turn, number));
    message["stop_reason"] = stop_reason(turn).into();
    if turn.misbehave != Some(Misbehaviour::NoUsage) {
        message["usage"] = usage(turn, turn.usage);
    }
    message
}

fn message(turn: &Turn, model: &Value, number: usize) -> Value {
    let mut message = json!({
        "id": format!("msg_mock_{number}"), "type": "message", "role": "assistant", "model": model,
        "content": [], "stop_reason": null, "stop_sequence": null,
    });
    if let (Some(object), false) =
        (message.as_object_mut(), turn.misbehave == Some(Misbehaviour::NoUsage))
    {
        object.insert("usage".to_owned(), usage(turn, Usage { output_tokens: 1, ..turn.usage }));
    }
    message
}

fn usage(turn: &Turn, usage: Usage) -> Value {
    let larger = u64::from(turn.misbehave == Some(Misbehaviour::DecreasingUsage)) * 9000;
    json!({
        "input_tokens": told(turn, usage.input_tokens + larger), "output_tokens": told(turn, usage.output_tokens),
        "cache_creation_input_tokens": usage.cache_write_5m_tokens,
        "cache_read_input_tokens": usage.cache_read_tokens,
    })
}

fn stop_reason(turn: &Turn) -> &'static str {
    if turn.tools.is_empty() { "end_turn" } else { "tool_use" }
}

fn blocks(turn: &Turn, number: usize) -> Vec<Value> {
    let text = turn.text.iter().map(|text| json!({"type": "text", "text": text}));
    let tools = turn.tools.iter().enumerate().map(|(index, tool)| {
        json!({"type": "tool_use", "id": format!("toolu_{number}_{index}"), "name": tool.name, "input": tool.input})
    });
    text.chain(tools).collect()
}

/// The events of a stream.
pub(super) fn events(turn: &Turn, body: &Value, number: usize) -> Vec<Event> {
    let model = &body["model"];
    let mut events =
        vec![json!({"type": "message_start", "message": message(turn, model, number)})];
    for (index, block) in blocks(turn, number).into_iter().enumerate() {
        let input = block.get("input").map(Value::to_string);
        let text = block.get("text").cloned();
        let mut start = block;
        if let Some(object) = start.as_object_mut() {
            object.insert(
                if input.is_some() { "input" } else { "text" }.to_owned(),
                if input.is_some() { json!({}) } else { json!("") },
            );
        }
        events.push(json!({"type": "content_block_start", "index": index, "content_block": start}));
        let delta = match input {
            Some(input) => json!({"type": "input_json_delta", "partial_json": input}),
            None => json!({"type": "text_delta", "text": text}),
        };
        events.push(json!({"type": "content_block_delta", "index": index, "delta": delta}));
        events.push(json!({"type": "content_block_stop", "index": index}));
    }
    let mut end = json!({"type": "message_delta", "delta": {"stop_reason": stop_reason(turn), "stop_sequence": null}});
    if let (Some(object), false) =
        (end.as_object_mut(), turn.misbehave == Some(Misbehaviour::NoUsage))
    {
        object.insert("usage".to_owned(), json!({"input_tokens": told(turn, turn.usage.input_tokens), "output_tokens": told(turn, turn.usage.output_tokens)}));
    }
    events.push(end);
    events.push(json!({"type": "message_stop"}));
    events.iter().map(Event::typed).collect()
}
