//! Turns as messages and as event streams.

use std::io::{self, Write};
use std::thread::sleep;
use std::time::Duration;

use serde_json::{Value, json};

use super::script::{Misbehaviour, Turn, Usage};
use super::wire;

/// Plays a turn to a client. `true` when the connection can go on.
pub(super) fn play(
    stream: &mut impl Write,
    turn: &Turn,
    body: &Value,
    key: Option<&str>,
    number: usize,
) -> io::Result<bool> {
    sleep(Duration::from_millis(turn.wait_ms));
    if let Some(status) = turn.status {
        let error = json!({"type": "error", "error": {"type": "api_error", "message": "scripted"}});
        wire::write_json(stream, status, &turn.headers, &error)?;
        return Ok(true);
    }
    let mut turn = turn.clone();
    if turn.misbehave == Some(Misbehaviour::EchoKey) {
        turn.text = Some(format!("your key is {}", key.unwrap_or("absent")));
    }
    let model = body.get("model").cloned().unwrap_or_default();
    if body.get("stream") == Some(&Value::Bool(true)) {
        stream_turn(stream, &turn, &model, number)
    } else {
        whole_turn(stream, &turn, &model, number)
    }
}

fn whole_turn(
    stream: &mut impl Write,
    turn: &Turn,
    model: &Value,
    number: usize,
) -> io::Result<bool> {
    let mut message = message(turn, model, number);
    if let Some(object) = message.as_object_mut() {
        object.insert("content".to_owned(), Value::Array(blocks(turn, number)));
        object.insert("stop_reason".to_owned(), stop_reason(turn).into());
        if turn.misbehave != Some(Misbehaviour::NoUsage) {
            object.insert("usage".to_owned(), usage(turn.usage));
        }
    }
    if turn.misbehave == Some(Misbehaviour::Abort) {
        let text = message.to_string();
        let fields = [("content-length".to_owned(), (text.len() + 1).to_string())];
        wire::write_head(stream, 200, &fields)?;
        stream.write_all(text.as_bytes())?;
        return Ok(false);
    }
    wire::write_json(stream, 200, &turn.headers, &message)?;
    Ok(true)
}

fn stream_turn(
    stream: &mut impl Write,
    turn: &Turn,
    model: &Value,
    number: usize,
) -> io::Result<bool> {
    let mut fields = turn.headers.clone();
    fields.push(("content-type".to_owned(), "text/event-stream; charset=utf-8".to_owned()));
    fields.push(("transfer-encoding".to_owned(), "chunked".to_owned()));
    wire::write_head(stream, 200, &fields)?;
    let events = events(turn, model, number);
    let half = events.len() / 2;
    for (index, event) in events.iter().enumerate() {
        match turn.misbehave {
            Some(Misbehaviour::Abort) if index == half => return Ok(false),
            Some(Misbehaviour::Hang) if index == half => {
                // Longer than any test waits; the peer's own limit ends it.
                sleep(Duration::from_secs(3600));
                return Ok(false);
            }
            Some(Misbehaviour::StreamError) if index == half => {
                let error = json!({"type": "error", "error": {"type": "overloaded_error", "message": "scripted"}});
                wire::write_chunk(stream, sse(&error).as_bytes())?;
                wire::write_chunk(stream, b"")?;
                return Ok(true);
            }
            _ => wire::write_chunk(stream, sse(event).as_bytes())?,
        }
        sleep(Duration::from_millis(turn.event_wait_ms));
    }
    wire::write_chunk(stream, b"")?;
    Ok(true)
}

fn sse(event: &Value) -> String {
    let kind = event.get("type").and_then(Value::as_str).unwrap_or_default();
    format!("event: {kind}\ndata: {event}\n\n")
}

fn message(turn: &Turn, model: &Value, number: usize) -> Value {
    let mut message = json!({
        "id": format!("msg_mock_{number}"), "type": "message", "role": "assistant", "model": model,
        "content": [], "stop_reason": null, "stop_sequence": null,
    });
    if let (Some(object), false) =
        (message.as_object_mut(), turn.misbehave == Some(Misbehaviour::NoUsage))
    {
        object.insert("usage".to_owned(), usage(Usage { output_tokens: 1, ..turn.usage }));
    }
    message
}

fn usage(usage: Usage) -> Value {
    json!({
        "input_tokens": usage.input_tokens, "output_tokens": usage.output_tokens,
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

fn events(turn: &Turn, model: &Value, number: usize) -> Vec<Value> {
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
        object.insert("usage".to_owned(), json!({"output_tokens": turn.usage.output_tokens}));
    }
    events.push(end);
    events.push(json!({"type": "message_stop"}));
    events
}
