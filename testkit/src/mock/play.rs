//! Sends a turn, whichever API it is written in, or breaks it the way the script says.

use std::io::{self, Write};
use std::thread::sleep;
use std::time::Duration;

use serde_json::{Value, json};

use super::script::{Misbehaviour, Turn};
use super::{Api, Received, anthropic, gemini, openai, wire};

/// Longer than any test waits; the peer's own limit ends it.
const LONG: Duration = Duration::from_secs(3600);
/// A line no reader should keep whole.
const LONG_LINE_BYTES: usize = 10 * 1024 * 1024;

/// One event of a stream.
pub(super) struct Event {
    /// Its name, where the API names events.
    pub(super) name: Option<String>,
    /// Its data.
    pub(super) data: String,
}

impl Event {
    /// An event that bears the `type` of its data as its name.
    pub(super) fn typed(data: &Value) -> Self {
        let name = data.get("type").and_then(Value::as_str).map(str::to_owned);
        Self { name, data: data.to_string() }
    }

    /// An event without a name.
    pub(super) fn plain(data: &Value) -> Self {
        Self { name: None, data: data.to_string() }
    }

    fn text(&self) -> String {
        match &self.name {
            Some(name) => format!("event: {name}\ndata: {}\n\n", self.data),
            None => format!("data: {}\n\n", self.data),
        }
    }
}

/// How many answers the conversation in a request holds already.
pub(super) fn answers(api: Api, body: &Value) -> usize {
    match api {
        Api::Anthropic => with_role(body, "messages", "assistant"),
        Api::OpenAi if body.get("input").is_some() => openai::answers(body),
        Api::OpenAi => with_role(body, "messages", "assistant"),
        Api::Gemini => with_role(body, "contents", "model"),
    }
}

fn with_role(body: &Value, list: &str, role: &str) -> usize {
    let items = body.get(list).and_then(Value::as_array);
    let own = |item: &&Value| item.get("role").and_then(Value::as_str) == Some(role);
    items.map_or(0, |items| items.iter().filter(own).count())
}

/// An error in the API's form.
pub(super) fn error(api: Api, status: u16, kind: &str, message: &str) -> Value {
    match api {
        Api::Anthropic => json!({"type": "error", "error": {"type": kind, "message": message}}),
        Api::OpenAi => {
            json!({"error": {"type": kind, "message": message, "param": null, "code": null}})
        }
        Api::Gemini => {
            json!({"error": {"code": status, "message": message, "status": "UNAVAILABLE"}})
        }
    }
}

/// Plays a turn to a client. `true` when the connection can go on.
pub(super) fn play(
    stream: &mut impl Write,
    api: Api,
    turn: &Turn,
    request: &Received,
    number: usize,
) -> io::Result<bool> {
    sleep(Duration::from_millis(turn.wait_ms));
    if let Some(status) = turn.status {
        let error = error(api, status, "api_error", "scripted");
        wire::write_json(stream, status, &turn.headers, &error)?;
        return Ok(true);
    }
    let mut turn = turn.clone();
    if turn.misbehave == Some(Misbehaviour::EchoKey) {
        let key = request.key().unwrap_or("absent");
        turn.text = Some(format!("your key is {key}"));
        for name in ["request-id", "x-request-id"] {
            turn.headers.push((name.to_owned(), format!("id-{key}")));
        }
        turn.headers.push(("retry-after".to_owned(), "7".to_owned()));
    }
    let chat = request.path().ends_with("/chat/completions");
    let body = &request.body;
    let streamed = match api {
        Api::Gemini => request.path().ends_with(":streamGenerateContent"),
        Api::Anthropic | Api::OpenAi => body.get("stream") == Some(&Value::Bool(true)),
    };
    if streamed {
        let events = match api {
            Api::Anthropic => anthropic::events(&turn, body, number),
            Api::OpenAi if chat => openai::chunks(&turn, body, number),
            Api::OpenAi => openai::events(&turn, body, number),
            Api::Gemini => gemini::events(&turn, request),
        };
        stream_turn(stream, api, &turn, &events)
    } else {
        let whole = match api {
            Api::Anthropic => anthropic::whole(&turn, body, number),
            Api::OpenAi if chat => openai::completion(&turn, body, number),
            Api::OpenAi => openai::whole(&turn, body, number),
            Api::Gemini => gemini::whole(&turn, request),
        };
        whole_turn(stream, &turn, &whole)
    }
}

fn whole_turn(stream: &mut impl Write, turn: &Turn, whole: &Value) -> io::Result<bool> {
    let text = match turn.misbehave {
        Some(Misbehaviour::Malformed) => format!("{{\"broken\": {whole}"),
        Some(Misbehaviour::LongLine) => {
            format!("{{\"padding\":\"{}\"}}", "x".repeat(LONG_LINE_BYTES))
        }
        _ => whole.to_string(),
    };
    match turn.misbehave {
        Some(Misbehaviour::Abort | Misbehaviour::Hang | Misbehaviour::Endless) => {
            let length = text.len().saturating_add(1).to_string();
            wire::write_head(stream, 200, &[("content-length".to_owned(), length)])?;
            stream.write_all(text.as_bytes())?;
            stream.flush()?;
            if turn.misbehave != Some(Misbehaviour::Abort) {
                sleep(LONG);
            }
            Ok(false)
        }
        _ => {
            wire::write_text(stream, 200, &turn.headers, &text)?;
            Ok(true)
        }
    }
}

fn stream_turn(
    stream: &mut impl Write,
    api: Api,
    turn: &Turn,
    events: &[Event],
) -> io::Result<bool> {
    let mut fields = turn.headers.clone();
    fields.push(("content-type".to_owned(), "text/event-stream; charset=utf-8".to_owned()));
    fields.push(("transfer-encoding".to_owned(), "chunked".to_owned()));
    wire::write_head(stream, 200, &fields)?;
    let half = events.len() / 2;
    for (index, event) in events.iter().enumerate() {
        if index == half {
            match turn.misbehave {
                Some(Misbehaviour::Abort) => return Ok(false),
                Some(Misbehaviour::Hang) => {
                    sleep(LONG);
                    return Ok(false);
                }
                Some(Misbehaviour::StreamError) => {
                    let error = error(api, 529, "overloaded_error", "scripted");
                    let event = match api {
                        Api::Anthropic => Event::typed(&error),
                        Api::OpenAi if event.name.is_some() => {
                            Event::typed(&json!({"type": "error", "message": "scripted"}))
                        }
                        Api::OpenAi | Api::Gemini => Event::plain(&error),
                    };
                    wire::write_chunk(stream, event.text().as_bytes())?;
                    wire::write_chunk(stream, b"")?;
                    return Ok(true);
                }
                Some(Misbehaviour::Malformed) => {
                    wire::write_chunk(stream, b"data: {\"broken\": \n\ndata: \xff\xfe\n\n")?;
                }
                Some(Misbehaviour::LongLine) => long_line(stream)?,
                // Until the peer closes the connection.
                Some(Misbehaviour::Endless) => loop {
                    wire::write_chunk(stream, b": still here\n\n")?;
                    sleep(Duration::from_millis(20));
                },
                _ => {}
            }
        }
        wire::write_chunk(stream, event.text().as_bytes())?;
        sleep(Duration::from_millis(turn.event_wait_ms));
    }
    wire::write_chunk(stream, b"")?;
    Ok(true)
}

fn long_line(stream: &mut impl Write) -> io::Result<()> {
    let piece = [b'x'; 64 * 1024];
    wire::write_chunk(stream, b"data: {\"padding\":\"")?;
    for _ in 0..LONG_LINE_BYTES / piece.len() {
        wire::write_chunk(stream, &piece)?;
    }
    wire::write_chunk(stream, b"\"}\n\n")
}

/// A count as the script wants it told, honestly or not.
pub(super) fn told(turn: &Turn, count: u64) -> Value {
    match turn.misbehave {
        Some(Misbehaviour::NegativeUsage) => json!(-1),
        Some(Misbehaviour::HugeUsage) => json!(u64::MAX),
        _ => json!(count),
    }
}
