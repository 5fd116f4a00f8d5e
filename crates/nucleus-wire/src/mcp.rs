//! The Model Context Protocol as a server speaks it on a byte stream: JSON-RPC 2.0 frames, one per line, and the
//! messages of revisions 2025-06-18 and 2025-11-25, which begin with `initialize`, and of 2026-07-28, where every
//! request carries its own [`Envelope`] and nothing is remembered between requests.
//!
//! [`FrameReader`] cuts a stream into lines without ever holding more than a frame. [`Frame::parse`] makes an
//! untyped message of a line, [`Request::parse`] and [`Notification::parse`] give it its type, and [`Reply`] and
//! [`ServerNotification`] write the answers. Batches are refused (the protocol dropped them), as are ids that are
//! neither text nor integer. A method
//! nobody here knows is an ordinary [`Request::Unknown`] to be answered with [`ErrorCode::MethodNotFound`].
//!
//! Nothing a client says of itself (`clientInfo`, `_meta`) is authority for anything; it is kept for the log.

mod envelope;
mod frame;
mod headers;
mod message;
mod reader;
mod reply;
mod version;

pub use envelope::{Envelope, EnvelopeError};
pub use frame::{Frame, FrameError, FrameErrorKind, ReplyPayload, RequestId};
pub use headers::{Headers, HeadersError};
pub use message::{
    CallTool, ClientInfo, Initialize, Notification, ParamsError, ProgressToken, Request,
};
pub use reader::{FrameReader, Line};
pub use reply::{ErrorCode, Image, Progress, Reply, ServerInfo, ServerNotification, ToolResult};
pub use version::ProtocolVersion;
