use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::frame::RequestId;
use super::message::ProgressToken;
use super::version::ProtocolVersion;

/// Memory taken for a line before its length is known, so that what is usual need not be copied while it grows.
const LINE_ROOM_BYTES: usize = 8 * 1024;

/// Standard JSON-RPC error codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorCode {
    /// -32700: the line is not JSON.
    ParseError,
    /// -32600: the JSON is not a message.
    InvalidRequest,
    /// -32601: no such method.
    MethodNotFound,
    /// -32602: the parameters do not fit; an unknown tool is one of these.
    InvalidParams,
    /// -32603: our own fault.
    Internal,
    /// -32020: HTTP headers and body do not say the same.
    HeaderMismatch,
    /// -32022: the revision is not spoken here.
    UnsupportedProtocolVersion,
}

impl ErrorCode {
    /// The number on the wire.
    #[must_use]
    pub fn number(self) -> i32 {
        match self {
            Self::ParseError => -32700,
            Self::InvalidRequest => -32600,
            Self::MethodNotFound => -32601,
            Self::InvalidParams => -32602,
            Self::Internal => -32603,
            Self::HeaderMismatch => -32020,
            Self::UnsupportedProtocolVersion => -32022,
        }
    }
}

/// An answer to one request.
#[derive(Debug, Clone, PartialEq)]
pub struct Reply(Value);

impl Reply {
    /// A result.
    #[must_use]
    pub fn result(id: RequestId, result: Value) -> Self {
        // By hand: `json!` would copy the result.
        Self(object([("jsonrpc", json!("2.0")), ("id", json!(id)), ("result", result)]))
    }

    /// An error; `id` is `None` when the request's could not be read. The message reaches the agent.
    #[must_use]
    pub fn error(id: Option<RequestId>, code: ErrorCode, message: &str) -> Self {
        let error = json!({ "code": code.number(), "message": message });
        Self(json!({ "jsonrpc": "2.0", "id": id, "error": error }))
    }

    /// The answer to a method nobody here knows.
    #[must_use]
    pub fn method_not_found(id: RequestId) -> Self {
        Self::error(Some(id), ErrorCode::MethodNotFound, "method not found")
    }

    /// The answer to an oversize line, whose id was never read.
    #[must_use]
    pub fn oversize(limit: usize) -> Self {
        let message = format!("the message is larger than {limit} bytes and was not read");
        Self::error(None, ErrorCode::InvalidRequest, &message)
    }

    /// The answer to a request of a revision that is not among those `spoken` here.
    #[must_use]
    pub fn unsupported_version(id: RequestId, requested: &str, spoken: &[ProtocolVersion]) -> Self {
        let error = json!({
            "code": ErrorCode::UnsupportedProtocolVersion.number(),
            "message": "unsupported protocol version",
            "data": { "supported": versions(spoken), "requested": requested },
        });
        Self(json!({ "jsonrpc": "2.0", "id": id, "error": error }))
    }

    /// The empty result `ping` wants.
    #[must_use]
    pub fn pong(id: RequestId) -> Self {
        Self::result(id, json!({}))
    }

    /// The answer to `initialize`. Tools are the only capability, and their list does not change.
    #[must_use]
    pub fn initialized(id: RequestId, version: ProtocolVersion, server: &ServerInfo<'_>) -> Self {
        let mut result = json!({
            "protocolVersion": version.as_str(),
            "capabilities": { "tools": { "listChanged": false } },
            "serverInfo": server.as_value(),
        });
        if let Some(instructions) = server.instructions {
            insert(&mut result, "instructions", json!(instructions));
        }
        Self::result(id, result)
    }

    /// The answer to `server/discover`, before [`Reply::stateless`] and [`Reply::cacheable`].
    #[must_use]
    pub fn discovered(id: RequestId, server: &ServerInfo<'_>, spoken: &[ProtocolVersion]) -> Self {
        let mut result = json!({
            "supportedVersions": versions(spoken),
            "capabilities": { "tools": { "listChanged": false } },
        });
        if let Some(instructions) = server.instructions {
            insert(&mut result, "instructions", json!(instructions));
        }
        Self::result(id, result)
    }

    /// An answer to `tools/call` that asks the client to make the call again with `state`. Nothing is asked of the
    /// client's user: what is waited for happens elsewhere.
    #[must_use]
    pub fn input_required(id: RequestId, state: &str) -> Self {
        Self::result(id, json!({ "resultType": "input_required", "requestState": state }))
    }

    /// The same answer with what revision 2026-07-28 wants in every result. An error stays as it is.
    #[must_use]
    pub fn stateless(mut self, server: &ServerInfo<'_>) -> Self {
        let Some(Value::Object(result)) = self.0.get_mut("result") else { return self };
        result.entry("resultType").or_insert_with(|| json!("complete"));
        let meta = result.entry("_meta").or_insert_with(|| json!({}));
        insert(meta, "io.modelcontextprotocol/serverInfo", server.as_value());
        self
    }

    /// The same answer with how long whoever asked may keep it for itself, of revision 2026-07-28.
    #[must_use]
    pub fn cacheable(mut self, ttl_ms: u64) -> Self {
        if let Some(result) = self.0.get_mut("result") {
            insert(result, "ttlMs", json!(ttl_ms));
            insert(result, "cacheScope", json!("private"));
        }
        self
    }

    /// True for an error.
    #[must_use]
    pub fn is_error(&self) -> bool {
        self.0.get("error").is_some()
    }

    /// The answer to `tools/list`, in one page.
    #[must_use]
    pub fn tools(id: RequestId, tools: Vec<Value>) -> Self {
        Self::result(id, json!({ "tools": tools }))
    }

    /// The answer to `tools/call`.
    #[must_use]
    pub fn tool(id: RequestId, result: ToolResult) -> Self {
        Self::result(id, result.into_value())
    }

    /// The message as one line, end included. JSON escapes every newline inside.
    #[must_use]
    pub fn to_line(&self) -> Vec<u8> {
        to_line(&self.0)
    }

    /// The message as a value.
    #[must_use]
    pub fn as_value(&self) -> &Value {
        &self.0
    }
}

/// What the server says of itself in `initialize`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ServerInfo<'a> {
    /// Name for programs.
    pub name: &'a str,
    /// Name for people.
    pub title: Option<&'a str>,
    /// Version of the program.
    pub version: &'a str,
    /// Text a client may put before the model: how to work with these tools.
    pub instructions: Option<&'a str>,
}

impl ServerInfo<'_> {
    fn as_value(&self) -> Value {
        let mut info = json!({ "name": self.name, "version": self.version });
        if let Some(title) = self.title {
            insert(&mut info, "title", json!(title));
        }
        info
    }
}

/// A picture in a result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// Its kind, `image/png` and the like.
    pub mime_type: &'static str,
}

/// Result of a tool: text for the model, pictures, whether it is an error, and data for clients that read it.
#[derive(Debug, Clone, PartialEq)]
pub struct ToolResult {
    text: Vec<String>,
    images: Vec<Image>,
    is_error: bool,
    structured: Option<Map<String, Value>>,
    meta: Option<Map<String, Value>>,
}

impl ToolResult {
    /// A result that is not an error.
    #[must_use]
    pub fn text(text: impl Into<String>) -> Self {
        Self {
            text: vec![text.into()],
            images: Vec::new(),
            is_error: false,
            structured: None,
            meta: None,
        }
    }

    /// A refusal or failure the model should read and act on.
    #[must_use]
    pub fn error(text: impl Into<String>) -> Self {
        Self { is_error: true, ..Self::text(text) }
    }

    /// Adds another block of text.
    #[must_use]
    pub fn with_text(mut self, text: impl Into<String>) -> Self {
        self.text.push(text.into());
        self
    }

    /// Adds a picture after the text.
    #[must_use]
    pub fn with_image(mut self, image: Image) -> Self {
        self.images.push(image);
        self
    }

    /// Adds `structuredContent`. Some clients show the model this *instead* of the text, so it must carry
    /// everything the text does; where the text is the point (file contents, command output) leave it out.
    #[must_use]
    pub fn with_structured(mut self, structured: Map<String, Value>) -> Self {
        self.structured = Some(structured);
        self
    }

    /// Adds `_meta`, which clients keep away from the model.
    #[must_use]
    pub fn with_meta(mut self, meta: Map<String, Value>) -> Self {
        self.meta = Some(meta);
        self
    }

    /// True for a refusal or failure.
    #[must_use]
    pub fn is_error(&self) -> bool {
        self.is_error
    }

    /// The blocks of text.
    #[must_use]
    pub fn blocks(&self) -> &[String] {
        &self.text
    }

    fn into_value(self) -> Value {
        let block = |text| object([("type", json!("text")), ("text", Value::String(text))]);
        let mut content: Vec<Value> = self.text.into_iter().map(block).collect();
        content.extend(self.images.into_iter().map(|image| {
            let data = BASE64_STANDARD.encode(image.bytes);
            let data = Value::String(data);
            object([("type", json!("image")), ("data", data), ("mimeType", json!(image.mime_type))])
        }));
        let is_error = json!(self.is_error);
        let mut value = object([("content", Value::Array(content)), ("isError", is_error)]);
        if let Some(structured) = self.structured {
            insert(&mut value, "structuredContent", Value::Object(structured));
        }
        if let Some(meta) = self.meta {
            insert(&mut value, "_meta", Value::Object(meta));
        }
        value
    }
}

/// A notification of ours.
#[derive(Debug, Clone, PartialEq)]
pub struct ServerNotification(Value);

/// State of a long call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress<'a> {
    /// How far, in a unit of the sender's; it must grow with every notification of one token.
    pub progress: u64,
    /// Where it ends, if known.
    pub total: Option<u64>,
    /// Text for people.
    pub message: Option<&'a str>,
}

impl ServerNotification {
    /// `notifications/subscriptions/acknowledged` for the request `id`: no kind of change is told of here, because
    /// none happens.
    #[must_use]
    pub fn acknowledged(id: &RequestId) -> Self {
        let meta = json!({ "io.modelcontextprotocol/subscriptionId": id });
        let method = "notifications/subscriptions/acknowledged";
        let params = json!({ "_meta": meta, "notifications": {} });
        Self(json!({ "jsonrpc": "2.0", "method": method, "params": params }))
    }

    /// `notifications/progress` for a call that asked for it.
    #[must_use]
    pub fn progress(token: &ProgressToken, progress: &Progress<'_>) -> Self {
        let mut params = json!({ "progressToken": token, "progress": progress.progress });
        if let Some(total) = progress.total {
            insert(&mut params, "total", json!(total));
        }
        if let Some(message) = progress.message {
            insert(&mut params, "message", json!(message));
        }
        let method = "notifications/progress";
        Self(json!({ "jsonrpc": "2.0", "method": method, "params": params }))
    }

    /// The message as one line, end included.
    #[must_use]
    pub fn to_line(&self) -> Vec<u8> {
        to_line(&self.0)
    }
}

fn versions(spoken: &[ProtocolVersion]) -> Vec<&'static str> {
    spoken.iter().map(|version| version.as_str()).collect()
}

fn object<const N: usize>(members: [(&str, Value); N]) -> Value {
    Value::Object(members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
}

fn insert(object: &mut Value, key: &str, value: Value) {
    if let Value::Object(members) = object {
        members.insert(key.to_owned(), value);
    }
}

fn to_line(value: &impl Serialize) -> Vec<u8> {
    let mut line = Vec::with_capacity(LINE_ROOM_BYTES);
    // Writing a `Value` to memory cannot fail: its keys are text and its numbers finite.
    let _written = serde_json::to_writer(&mut line, value);
    line.push(b'\n');
    line
}
