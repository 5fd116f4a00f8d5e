//! Turns in the form of Responses and of Chat Completions.
//!
//! A tool of a script is called the way the request offers it: in its namespace (`mcp__nucleus__read` in `mcp__nucleus`), as
//! a freeform tool (its input is then the member `input`, or the whole as JSON), or as a plain function.

use serde_json::{Value, json};

use super::play::{Event, told};
use super::script::{Misbehaviour, ToolUse, Turn};

/// Groups of items the model made, one per answer.
pub(super) fn answers(body: &Value) -> usize {
    let Some(items) = body.get("input").and_then(Value::as_array) else { return 0 };
    let made = |item: &Value| {
        let text = |name: &str| item.get(name).and_then(Value::as_str);
        text("role") == Some("assistant")
            || matches!(text("type"), Some("function_call" | "custom_tool_call" | "reasoning"))
    };
    let starts =
        |index: usize| index.checked_sub(1).and_then(|i| items.get(i)).is_none_or(|i| !made(i));
    items.iter().enumerate().filter(|(index, item)| made(item) && starts(*index)).count()
}

/// A whole answer of Responses.
pub(super) fn whole(turn: &Turn, body: &Value, number: usize) -> Value {
    response(turn, body, number, "completed", &items(turn, body, number))
}

/// The events of an answer of Responses.
pub(super) fn events(turn: &Turn, body: &Value, number: usize) -> Vec<Event> {
    let items = items(turn, body, number);
    let mut created = response(turn, body, number, "in_progress", &[]);
    if turn.misbehave == Some(Misbehaviour::DecreasingUsage) {
        created["usage"] = usage(&Turn {
            usage: crate::mock::Usage { input_tokens: 9000, ..turn.usage },
            ..turn.clone()
        });
    }
    let mut all = vec![json!({"type": "response.created", "response": created})];
    for (index, item) in items.iter().enumerate() {
        let place = |mut event: Value| {
            event["output_index"] = json!(index);
            event["item_id"] = item["id"].clone();
            event
        };
        let mut added = item.clone();
        added["status"] = json!("in_progress");
        match item["type"].as_str() {
            Some("message") => {
                let text = &item["content"][0]["text"];
                added["content"] = json!([]);
                let part = json!({"type": "output_text", "text": "", "annotations": []});
                all.push(json!({"type": "response.output_item.added", "output_index": index, "item": added}));
                all.push(place(json!({"type": "response.content_part.added", "content_index": 0, "part": part})));
                all.push(place(json!({"type": "response.output_text.delta", "content_index": 0, "delta": text})));
                all.push(place(
                    json!({"type": "response.output_text.done", "content_index": 0, "text": text}),
                ));
            }
            Some("custom_tool_call") => {
                added["input"] = json!("");
                all.push(json!({"type": "response.output_item.added", "output_index": index, "item": added}));
                all.push(place(json!({"type": "response.custom_tool_call_input.delta", "delta": item["input"]})));
                all.push(place(
                    json!({"type": "response.custom_tool_call_input.done", "input": item["input"]}),
                ));
            }
            _ => {
                added["arguments"] = json!("");
                all.push(json!({"type": "response.output_item.added", "output_index": index, "item": added}));
                all.push(place(json!({"type": "response.function_call_arguments.delta", "delta": item["arguments"]})));
                all.push(place(json!({"type": "response.function_call_arguments.done", "arguments": item["arguments"]})));
            }
        }
        all.push(json!({"type": "response.output_item.done", "output_index": index, "item": item}));
    }
    let done = response(turn, body, number, "completed", &items);
    all.push(json!({"type": "response.completed", "response": done}));
    for (index, event) in all.iter_mut().enumerate() {
        event["sequence_number"] = json!(index);
    }
    all.iter().map(Event::typed).collect()
}

fn response(turn: &Turn, body: &Value, number: usize, status: &str, output: &[Value]) -> Value {
    let done = status == "completed" && turn.misbehave != Some(Misbehaviour::NoUsage);
    json!({
        "id": format!("resp_mock_{number}"), "object": "response", "created_at": 0, "status": status,
        "model": body["model"], "output": output, "error": null, "incomplete_details": null,
        "usage": if done { usage(turn) } else { Value::Null },
    })
}

fn usage(turn: &Turn) -> Value {
    let counts = turn.usage;
    let prompt = counts.input_tokens + counts.cache_read_tokens + counts.cache_write_5m_tokens;
    json!({
        "input_tokens": told(turn, prompt),
        "input_tokens_details": {
            "cached_tokens": counts.cache_read_tokens, "cache_write_tokens": counts.cache_write_5m_tokens,
        },
        "output_tokens": told(turn, counts.output_tokens),
        "output_tokens_details": {"reasoning_tokens": counts.output_tokens / 2},
        "total_tokens": told(turn, prompt + counts.output_tokens),
    })
}

fn items(turn: &Turn, body: &Value, number: usize) -> Vec<Value> {
    let text = turn.text.iter().map(|text| {
        json!({
            "type": "message", "id": format!("msg_{number}"), "role": "assistant", "status": "completed",
            "content": [{"type": "output_text", "text": text, "annotations": []}],
        })
    });
    let tools = turn.tools.iter().enumerate().map(|(index, tool)| {
        let id = format!("{number}_{index}");
        match offered(body, &tool.name) {
            Offer::Custom(name, namespace) => {
                let input = tool.input.get("input").unwrap_or(&tool.input);
                let input = input.as_str().map_or_else(|| input.to_string(), str::to_owned);
                in_namespace(
                    json!({
                        "type": "custom_tool_call", "id": format!("ctc_{id}"), "status": "completed",
                        "call_id": format!("call_{id}"), "name": name, "input": input,
                    }),
                    namespace,
                )
            }
            Offer::Function(name, namespace) => in_namespace(
                json!({
                    "type": "function_call", "id": format!("fc_{id}"), "status": "completed",
                    "call_id": format!("call_{id}"), "name": name, "arguments": tool.input.to_string(),
                }),
                namespace,
            ),
        }
    });
    text.chain(tools).collect()
}

fn in_namespace(mut item: Value, namespace: Option<String>) -> Value {
    if let Some(namespace) = namespace {
        item["namespace"] = json!(namespace);
    }
    item
}

enum Offer {
    Function(String, Option<String>),
    Custom(String, Option<String>),
}

/// How the request offers a tool of that name.
fn offered(body: &Value, name: &str) -> Offer {
    let lists = std::iter::once(body).chain(body["input"].as_array().into_iter().flatten());
    let tools = lists.flat_map(|holder| holder["tools"].as_array().into_iter().flatten());
    for tool in tools {
        let own = tool["name"].as_str().unwrap_or_default();
        if tool["type"] == "namespace" {
            // With or without the two underscores at the end of its own name.
            let stem = format!("{}__", own.trim_end_matches('_'));
            let Some(inner) = name.strip_prefix(&stem) else { continue };
            let found = tool["tools"].as_array().into_iter().flatten().find(|t| t["name"] == inner);
            let namespace = Some(own.to_owned());
            return match found {
                Some(found) if found["type"] == "custom" => {
                    Offer::Custom(inner.to_owned(), namespace)
                }
                _ => Offer::Function(inner.to_owned(), namespace),
            };
        }
        if own == name && tool["type"] == "custom" {
            return Offer::Custom(name.to_owned(), None);
        }
    }
    Offer::Function(name.to_owned(), None)
}

/// A whole chat completion.
pub(super) fn completion(turn: &Turn, body: &Value, number: usize) -> Value {
    let calls: Vec<Value> =
        turn.tools.iter().enumerate().map(|(index, tool)| call(tool, number, index)).collect();
    let mut message = json!({"role": "assistant", "content": turn.text});
    if !calls.is_empty() {
        message["tool_calls"] = json!(calls);
    }
    let mut whole = json!({
        "id": format!("chatcmpl-mock-{number}"), "object": "chat.completion", "created": 0, "model": body["model"],
        "choices": [{"index": 0, "message": message, "finish_reason": reason(turn)}],
    });
    if turn.misbehave != Some(Misbehaviour::NoUsage) {
        whole["usage"] = chat_usage(turn);
    }
    whole
}

/// The chunks of a chat completion; usage only when it was asked for.
pub(super) fn chunks(turn: &Turn, body: &Value, number: usize) -> Vec<Event> {
    let chunk = |choices: Value, usage: Value| {
        json!({
            "id": format!("chatcmpl-mock-{number}"), "object": "chat.completion.chunk", "created": 0,
            "model": body["model"], "choices": choices, "usage": usage,
        })
    };
    let delta = |delta: Value, reason: Value| json!([{"index": 0, "delta": delta, "finish_reason": reason}]);
    let mut all =
        vec![chunk(delta(json!({"role": "assistant", "content": ""}), Value::Null), Value::Null)];
    if let Some(text) = &turn.text {
        all.push(chunk(delta(json!({"content": text}), Value::Null), Value::Null));
    }
    for (index, tool) in turn.tools.iter().enumerate() {
        let mut call = call(tool, number, index);
        call["index"] = json!(index);
        all.push(chunk(delta(json!({"tool_calls": [call]}), Value::Null), Value::Null));
    }
    all.push(chunk(delta(json!({}), json!(reason(turn))), Value::Null));
    let asked = body["stream_options"]["include_usage"] == json!(true);
    if asked && turn.misbehave != Some(Misbehaviour::NoUsage) {
        if turn.misbehave == Some(Misbehaviour::DecreasingUsage) {
            let usage = crate::mock::Usage { input_tokens: 9000, ..turn.usage };
            all.push(chunk(json!([]), chat_usage(&Turn { usage, ..turn.clone() })));
        }
        all.push(chunk(json!([]), chat_usage(turn)));
    }
    let mut events: Vec<Event> = all.iter().map(Event::plain).collect();
    events.push(Event { name: None, data: "[DONE]".to_owned() });
    events
}

fn call(tool: &ToolUse, number: usize, index: usize) -> Value {
    json!({
        "id": format!("call_{number}_{index}"), "type": "function",
        "function": {"name": tool.name, "arguments": tool.input.to_string()},
    })
}

fn reason(turn: &Turn) -> &'static str {
    if turn.tools.is_empty() { "stop" } else { "tool_calls" }
}

fn chat_usage(turn: &Turn) -> Value {
    let usage = usage(turn);
    json!({
        "prompt_tokens": usage["input_tokens"], "completion_tokens": usage["output_tokens"],
        "total_tokens": usage["total_tokens"], "prompt_tokens_details": usage["input_tokens_details"],
        "completion_tokens_details": usage["output_tokens_details"],
    })
}
