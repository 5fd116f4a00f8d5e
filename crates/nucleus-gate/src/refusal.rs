//! Why the gate did not serve a request.

use hyper::StatusCode;
use serde::Deserialize;
use thiserror::Error;

use crate::json::JsonError;
use crate::ledger::Denial;
use crate::limits::REQUEST_BODY_BYTES;

/// A kind of tagged object of which only listed types pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Unlisted {
    /// A content block.
    Block,
    /// The source of an image or document.
    Source,
    /// A tool definition or a change of the tool list.
    Tool,
    /// Who made a tool call.
    Caller,
    /// A tool choice.
    ToolChoice,
    /// A thinking configuration.
    Thinking,
    /// A context edit.
    Edit,
}

/// A request the gate refused. `Display` is the text for the agent: it names the rule and the legal next step, and holds
/// nothing of the host.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Refusal {
    /// Method and path are not served.
    #[error(
        "this method and path are not served here; only the calls of the model's own API that generate, count or list are"
    )]
    Route,
    /// Absolute-form, authority-form or asterisk-form of a request target.
    #[error("the request target must be a plain path; this is not a forward proxy")]
    Form,
    /// More than one `Host` field.
    #[error("a request has one Host field")]
    Host,
    /// A protocol upgrade.
    #[error("protocol upgrades are not served here")]
    Upgrade,
    /// Transfer codings or encodings the gate does not read.
    #[error("send the body as plain JSON, without content or transfer encodings")]
    Encoding,
    /// A content type other than JSON.
    #[error("send the body as application/json")]
    ContentType,
    /// The API version is not the one the gate knows.
    #[error("this version of the API is not served here; use anthropic-version 2023-06-01")]
    ApiVersion,
    /// Larger than the provider accepts.
    #[error("the body is larger than {REQUEST_BODY_BYTES} bytes; send a shorter conversation")]
    TooLarge,
    /// The body did not arrive in time or broke off.
    #[error("the body did not arrive complete and in time")]
    Incomplete,
    /// Not acceptable JSON.
    #[error("the body is refused: {0}")]
    Json(#[from] JsonReason),
    /// A field has the wrong form.
    #[error("{place} must be {expected}")]
    Shape {
        /// Where in the body.
        place: String,
        /// What is accepted there.
        expected: &'static str,
    },
    /// A field the API needs is missing.
    #[error("the body lacks {field}")]
    Missing {
        /// Its name.
        field: String,
    },
    /// An object lacks a member without which it would mean something else.
    #[error("{place} lacks {field}")]
    Lacks {
        /// Where in the body.
        place: String,
        /// Its name, from the gate's list.
        field: String,
    },
    /// A field that gives the provider power to act.
    #[error(
        "the field {field} lets the provider act on its own, which this task does not permit; send the request without it"
    )]
    Field {
        /// Its name, from the gate's list.
        field: String,
    },
    /// A type that is not on the list.
    #[error("{place}: {} {tag:?} is not permitted: {}", what.noun(), what.advice())]
    Unlisted {
        /// What kind of thing.
        what: Unlisted,
        /// Its type as sent, escaped.
        tag: String,
        /// Where in the body.
        place: String,
    },
    /// The price table does not know the model.
    #[error(
        "model {model:?} has no price here, so its cost cannot be held to the budget; choose another model or ask the user to add its price"
    )]
    NoPrice {
        /// Its name as sent, escaped.
        model: String,
    },
    /// The policy or the budget denies the call.
    #[error("{0}")]
    Denied(Denial),
}

/// Opaque reason of a JSON refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error(transparent)]
pub struct JsonReason(#[from] JsonError);

impl From<JsonError> for Refusal {
    fn from(error: JsonError) -> Self {
        Self::Json(JsonReason(error))
    }
}

impl Unlisted {
    fn noun(self) -> &'static str {
        match self {
            Self::Block => "content block",
            Self::Source => "source",
            Self::Tool => "tool type",
            Self::Caller => "caller",
            Self::ToolChoice => "tool choice",
            Self::Thinking => "thinking type",
            Self::Edit => "context edit",
        }
    }

    fn advice(self) -> &'static str {
        match self {
            Self::Block => "send text, images, documents, tool calls and tool results",
            Self::Source => "send the content itself (base64 or text), not a URL or file id",
            Self::Tool => "tools that run at the provider are off; use the tools of this sandbox",
            Self::Caller => "only the model calls tools here",
            Self::ToolChoice => "use auto, any, tool or none",
            Self::Thinking => "use enabled, adaptive or disabled",
            Self::Edit => "send the request without it",
        }
    }
}

impl Refusal {
    /// Stable code of the rule.
    #[must_use]
    pub fn code(&self) -> &str {
        match self {
            Self::Route => "gate.route",
            Self::Form => "gate.form",
            Self::Host => "gate.host",
            Self::Upgrade => "gate.upgrade",
            Self::Encoding => "gate.encoding",
            Self::ContentType => "gate.content_type",
            Self::ApiVersion => "gate.api_version",
            Self::TooLarge => "gate.body.too_large",
            Self::Incomplete => "gate.body.incomplete",
            Self::Json(JsonReason(JsonError::DuplicateKey(_))) => "gate.json.duplicate_key",
            Self::Json(JsonReason(JsonError::TooDeep)) => "gate.json.too_deep",
            Self::Json(JsonReason(JsonError::TooMany)) => "gate.json.too_many",
            Self::Json(JsonReason(JsonError::NotUtf8)) => "gate.json.not_utf8",
            Self::Json(JsonReason(JsonError::Syntax(_))) => "gate.json.syntax",
            Self::Shape { .. } => "gate.shape",
            Self::Missing { .. } | Self::Lacks { .. } => "gate.missing",
            Self::Field { .. } => "gate.field.provider_side",
            Self::Unlisted { what: Unlisted::Block, .. } => "gate.block.unlisted",
            Self::Unlisted { what: Unlisted::Source, .. } => "gate.source.remote",
            Self::Unlisted { what: Unlisted::Tool, .. } => "gate.tool.provider_side",
            Self::Unlisted { .. } => "gate.variant.unlisted",
            Self::NoPrice { .. } => "gate.model.no_price",
            Self::Denied(denial) => &denial.code,
        }
    }

    /// The layer that held, for the feed: `gate`, or `policy` when the ledger denied.
    #[must_use]
    pub fn layer(&self) -> &'static str {
        match self {
            Self::Denied(_) => "policy",
            _ => "gate",
        }
    }

    /// Status of the answer and the provider's name for that kind of error.
    pub(crate) fn status(&self) -> (StatusCode, &'static str) {
        match self {
            Self::Route => (StatusCode::NOT_FOUND, "not_found_error"),
            Self::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "request_too_large"),
            Self::Field { .. } | Self::Unlisted { .. } | Self::NoPrice { .. } | Self::Denied(_) => {
                (StatusCode::BAD_REQUEST, "invalid_request_error")
            }
            _ => (StatusCode::BAD_REQUEST, "invalid_request_error"),
        }
    }
}
