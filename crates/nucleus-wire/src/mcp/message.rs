use serde::{Serialize, Serializer};
use serde_json::{Map, Value};

use super::frame::RequestId;
use super::reply::{ErrorCode, Reply};
use crate::limits::{
    CANCEL_REASON_MAX_BYTES, CLIENT_INFO_MAX_BYTES, REQUEST_STATE_MAX_BYTES, TOOL_NAME_MAX_BYTES,
    TOOL_USE_ID_MAX_BYTES,
};
use crate::text;

/// A request with its type.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Request {
    /// `initialize`: the connection begins.
    Initialize(Initialize),
    /// `ping`: answer with an empty result.
    Ping,
    /// `tools/list`.
    ListTools,
    /// `tools/call`.
    CallTool(CallTool),
    /// `server/discover`: what the server is, of revision 2026-07-28.
    Discover,
    /// `subscriptions/listen`: a stream of change notifications, of revision 2026-07-28.
    Listen,
    /// Any other method; answered with [`ErrorCode::MethodNotFound`].
    Unknown {
        /// Its name.
        method: String,
    },
}

/// Parameters of `initialize`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Initialize {
    /// Revision the client asks for, not yet negotiated.
    pub protocol_version: String,
    /// What the client says of itself. Unauthenticated.
    pub client: ClientInfo,
}

/// Name and version a client gives itself. Unauthenticated; for the log only.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ClientInfo {
    /// Name, cut to [`CLIENT_INFO_MAX_BYTES`].
    pub name: String,
    /// Version, cut likewise.
    pub version: String,
}

/// Parameters of `tools/call`, before the tool has looked at them.
#[derive(Debug, Clone, PartialEq)]
pub struct CallTool {
    /// Name of the tool, as sent.
    pub name: String,
    /// Its arguments; absent means none.
    pub arguments: Value,
    /// Token to send progress under, when the client wants it.
    pub progress_token: Option<ProgressToken>,
    /// The model's own id of this call, if the client passes one on; for correlation only.
    pub tool_use_id: Option<String>,
    /// The state of an `input_required` answer, echoed with the call made again. Whatever it says is the client's word.
    pub request_state: Option<String>,
}

/// Token under which a client wants progress: text or a 64-bit integer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProgressToken(RequestId);

impl Serialize for ProgressToken {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

/// A notification with its type.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Notification {
    /// `notifications/initialized`.
    Initialized,
    /// `notifications/cancelled`: the client gave up on a request.
    Cancelled {
        /// Which one.
        request_id: RequestId,
        /// Why, cut to [`CANCEL_REASON_MAX_BYTES`].
        reason: Option<String>,
    },
    /// `notifications/progress`: progress of a request of ours. This server makes none.
    Progress,
    /// Any other; ignored.
    Unknown {
        /// Its name.
        method: String,
    },
}

/// Parameters that do not fit their method.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParamsError {
    /// A required member is absent or of another type.
    #[error("\"{member}\" must be {expected}")]
    Member {
        /// Its name.
        member: &'static str,
        /// What it has to be.
        expected: &'static str,
    },
    /// Pagination was asked for; lists come in one page.
    #[error("unknown cursor: the list has one page")]
    Cursor,
}

impl ParamsError {
    /// The answer JSON-RPC prescribes.
    #[must_use]
    pub fn reply(&self, id: RequestId) -> Reply {
        Reply::error(Some(id), ErrorCode::InvalidParams, &self.to_string())
    }
}

impl Request {
    /// Gives a request its type.
    ///
    /// # Errors
    /// [`ParamsError`] when the method is known and its parameters do not fit. An unknown method is no error.
    pub fn parse(method: &str, params: Map<String, Value>) -> Result<Self, ParamsError> {
        match method {
            "initialize" => initialize(&params).map(Self::Initialize),
            "ping" => Ok(Self::Ping),
            "server/discover" => Ok(Self::Discover),
            "subscriptions/listen" => match params.get("notifications") {
                Some(Value::Object(_)) => Ok(Self::Listen),
                _ => Err(member("notifications", "an object")),
            },
            "tools/list" => match params.get("cursor") {
                None | Some(Value::Null) => Ok(Self::ListTools),
                Some(_) => Err(ParamsError::Cursor),
            },
            "tools/call" => call_tool(params).map(Self::CallTool),
            _ => Ok(Self::Unknown { method: method.to_owned() }),
        }
    }
}

impl Notification {
    /// Gives a notification its type.
    ///
    /// # Errors
    /// [`ParamsError`] when the method is known and its parameters do not fit. A notification is never
    /// answered, so the error is for the log.
    pub fn parse(method: &str, params: &Map<String, Value>) -> Result<Self, ParamsError> {
        match method {
            "notifications/initialized" => Ok(Self::Initialized),
            "notifications/progress" => Ok(Self::Progress),
            "notifications/cancelled" => {
                let request_id = params
                    .get("requestId")
                    .and_then(RequestId::from_value)
                    .ok_or(member("requestId", "the id of a request"))?;
                let reason = params.get("reason").and_then(Value::as_str);
                Ok(Self::Cancelled {
                    request_id,
                    reason: reason.map(|r| text::cut(r, CANCEL_REASON_MAX_BYTES).to_owned()),
                })
            }
            _ => Ok(Self::Unknown { method: method.to_owned() }),
        }
    }
}

pub(super) fn member(member: &'static str, expected: &'static str) -> ParamsError {
    ParamsError::Member { member, expected }
}

fn initialize(params: &Map<String, Value>) -> Result<Initialize, ParamsError> {
    let version = params
        .get("protocolVersion")
        .and_then(Value::as_str)
        .ok_or(member("protocolVersion", "text"))?;
    Ok(Initialize {
        protocol_version: text::cut(version, CLIENT_INFO_MAX_BYTES).to_owned(),
        client: client_info(params.get("clientInfo")),
    })
}

/// Name and version as a client gives them; empty where it does not.
pub(super) fn client_info(info: Option<&Value>) -> ClientInfo {
    let text = |key| {
        let given = info.and_then(|info| info.get(key)).and_then(Value::as_str);
        text::cut(given.unwrap_or_default(), CLIENT_INFO_MAX_BYTES).to_owned()
    };
    ClientInfo { name: text("name"), version: text("version") }
}

fn call_tool(mut params: Map<String, Value>) -> Result<CallTool, ParamsError> {
    let name = match params.remove("name") {
        Some(Value::String(name)) if name.len() <= TOOL_NAME_MAX_BYTES => name,
        _ => return Err(member("name", "the name of a tool")),
    };
    let arguments = match params.remove("arguments") {
        None | Some(Value::Null) => Value::Object(Map::new()),
        Some(Value::Object(arguments)) => Value::Object(arguments),
        Some(_) => return Err(member("arguments", "an object")),
    };
    let meta = match params.remove("_meta") {
        None => Map::new(),
        Some(Value::Object(meta)) => meta,
        Some(_) => return Err(member("_meta", "an object")),
    };
    let progress_token = match meta.get("progressToken") {
        None => None,
        Some(token) => Some(ProgressToken(
            RequestId::from_value(token)
                .ok_or(member("_meta.progressToken", "text or an integer"))?,
        )),
    };
    let tool_use_id = meta
        .get("claudecode/toolUseId")
        .and_then(Value::as_str)
        .map(|id| text::cut(id, TOOL_USE_ID_MAX_BYTES).to_owned());
    let request_state = match params.remove("requestState") {
        None => None,
        Some(Value::String(state)) if state.len() <= REQUEST_STATE_MAX_BYTES => Some(state),
        Some(_) => return Err(member("requestState", "text as this server gave it")),
    };
    Ok(CallTool { name, arguments, progress_token, tool_use_id, request_state })
}
