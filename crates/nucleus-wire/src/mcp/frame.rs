use std::fmt;

use serde::{Serialize, Serializer};
use serde_json::{Map, Value};

use super::reply::{ErrorCode, Reply};
use crate::json::{self, JsonError, JsonErrorKind};
use crate::limits::{METHOD_MAX_BYTES, REQUEST_ID_MAX_BYTES};

/// Id of a request: text or a 64-bit integer, compared and echoed exactly.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RequestId {
    /// An integer id.
    Integer(i64),
    /// A text id, at most [`REQUEST_ID_MAX_BYTES`].
    Text(String),
}

impl RequestId {
    pub(super) fn from_value(value: &Value) -> Option<Self> {
        match value {
            Value::Number(number) => number.as_i64().map(Self::Integer),
            Value::String(text) if text.len() <= REQUEST_ID_MAX_BYTES => {
                Some(Self::Text(text.clone()))
            }
            _ => None,
        }
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Integer(id) => id.fmt(f),
            Self::Text(id) => write!(f, "{id:?}"),
        }
    }
}

impl Serialize for RequestId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Integer(id) => serializer.serialize_i64(*id),
            Self::Text(id) => serializer.serialize_str(id),
        }
    }
}

/// One JSON-RPC 2.0 message whose envelope is sound; method and parameters are not judged yet.
#[derive(Debug, Clone, PartialEq)]
pub enum Frame {
    /// Wants an answer.
    Request {
        /// Id to answer with.
        id: RequestId,
        /// Method name.
        method: String,
        /// Parameters; an absent `params` is an empty object.
        params: Map<String, Value>,
    },
    /// Wants no answer and gets none, whatever is wrong with it.
    Notification {
        /// Method name.
        method: String,
        /// Parameters; an absent `params` is an empty object.
        params: Map<String, Value>,
    },
    /// Answers a request of ours.
    Response {
        /// Id of our request.
        id: RequestId,
        /// What came back.
        payload: ReplyPayload,
    },
}

/// The body of a response.
#[derive(Debug, Clone, PartialEq)]
pub enum ReplyPayload {
    /// `result`.
    Result(Value),
    /// `error`, as sent.
    Error(Value),
}

/// Why a line is not a frame, with the id to answer when one could be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{kind}")]
pub struct FrameError {
    id: Option<RequestId>,
    #[source]
    kind: FrameErrorKind,
}

/// The ways a line can fail to be a frame. All of them are the peer's doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FrameErrorKind {
    /// Not acceptable JSON.
    #[error("malformed JSON: {0}")]
    Json(#[from] JsonError),
    /// An array: batches are not part of the protocol.
    #[error("batch arrays are not accepted")]
    Batch,
    /// A value that is not an object.
    #[error("a frame is a JSON object")]
    NotAnObject,
    /// `jsonrpc` is absent or not "2.0".
    #[error("\"jsonrpc\" must be \"2.0\"")]
    Version,
    /// `id` is null, a fraction, too long or too large.
    #[error("\"id\" must be text or an integer")]
    Id,
    /// `method` is not text, empty or too long.
    #[error("\"method\" must be a short text")]
    Method,
    /// `params` is not an object.
    #[error("\"params\" must be an object")]
    Params,
    /// Neither request, notification nor response, or several of them at once.
    #[error("a frame has a method, or an id and exactly one of result and error")]
    Shape,
}

impl FrameError {
    fn new(kind: FrameErrorKind, id: Option<RequestId>) -> Self {
        Self { id, kind }
    }

    /// What is wrong.
    #[must_use]
    pub fn kind(&self) -> FrameErrorKind {
        self.kind
    }

    /// Id of the offending request, if it was readable.
    #[must_use]
    pub fn id(&self) -> Option<&RequestId> {
        self.id.as_ref()
    }

    /// The answer JSON-RPC prescribes.
    #[must_use]
    pub fn reply(&self) -> Reply {
        let code = match self.kind {
            FrameErrorKind::Json(error)
                if !matches!(
                    error.kind(),
                    JsonErrorKind::TooLarge | JsonErrorKind::TooDeep | JsonErrorKind::TooManyValues
                ) =>
            {
                ErrorCode::ParseError
            }
            _ => ErrorCode::InvalidRequest,
        };
        Reply::error(self.id.clone(), code, &self.kind.to_string())
    }
}

impl Frame {
    /// Reads one line (without or with its end) as a frame.
    ///
    /// # Errors
    /// [`FrameError`]: malformed JSON, a batch, or an envelope that breaks JSON-RPC 2.0. Members the envelope
    /// does not know are ignored.
    pub fn parse(line: &[u8]) -> Result<Self, FrameError> {
        let value = json::parse(line, &json::Limits::FRAME)
            .map_err(|error| FrameError::new(error.into(), None))?;
        match value {
            Value::Object(members) => Self::from_members(members),
            Value::Array(_) => Err(FrameError::new(FrameErrorKind::Batch, None)),
            _ => Err(FrameError::new(FrameErrorKind::NotAnObject, None)),
        }
    }

    fn from_members(mut members: Map<String, Value>) -> Result<Self, FrameError> {
        let raw_id = members.remove("id");
        let id = raw_id.as_ref().and_then(RequestId::from_value);
        let fail = |kind| FrameError::new(kind, id.clone());
        if members.get("jsonrpc").and_then(Value::as_str) != Some("2.0") {
            return Err(fail(FrameErrorKind::Version));
        }
        if raw_id.is_some() && id.is_none() {
            return Err(fail(FrameErrorKind::Id));
        }
        let answer = (members.remove("result"), members.remove("error"));
        let Some(method) = members.remove("method") else {
            let payload = match answer {
                (Some(result), None) => ReplyPayload::Result(result),
                (None, Some(error)) => ReplyPayload::Error(error),
                _ => return Err(fail(FrameErrorKind::Shape)),
            };
            let Some(id) = id else { return Err(fail(FrameErrorKind::Shape)) };
            return Ok(Self::Response { id, payload });
        };
        if answer != (None, None) {
            return Err(fail(FrameErrorKind::Shape));
        }
        let method = match method {
            Value::String(text) if !text.is_empty() && text.len() <= METHOD_MAX_BYTES => text,
            _ => return Err(fail(FrameErrorKind::Method)),
        };
        let params = match members.remove("params") {
            None => Map::new(),
            Some(Value::Object(params)) => params,
            Some(_) => return Err(fail(FrameErrorKind::Params)),
        };
        Ok(match id {
            Some(id) => Self::Request { id, method, params },
            None => Self::Notification { method, params },
        })
    }
}
