use serde_json::{Map, Value};

use super::frame::RequestId;
use super::message::{ClientInfo, ParamsError, client_info, member};
use super::reply::Reply;
use super::version::ProtocolVersion;
use crate::limits::CLIENT_INFO_MAX_BYTES;
use crate::text;

/// Key of the revision in a request's `_meta`.
pub(super) const VERSION: &str = "io.modelcontextprotocol/protocolVersion";
/// Key of what the client says of itself.
const CLIENT: &str = "io.modelcontextprotocol/clientInfo";
/// Key of what the client can do.
const CAPABILITIES: &str = "io.modelcontextprotocol/clientCapabilities";

/// What a request of revision 2026-07-28 says of itself in `_meta`, instead of a handshake before it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope {
    /// The revision, one that is spoken here and stateless.
    pub version: ProtocolVersion,
    /// What the client says of itself. Unauthenticated.
    pub client: ClientInfo,
}

/// Why a request's own metadata cannot be served.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EnvelopeError {
    /// A required member is absent or of another type.
    #[error(transparent)]
    Params(#[from] ParamsError),
    /// The revision is not one that is served this way.
    #[error("unsupported protocol version")]
    Version {
        /// As asked for, cut.
        requested: String,
    },
}

impl EnvelopeError {
    /// The answer the revision prescribes, from a server of these revisions.
    #[must_use]
    pub fn reply(&self, id: RequestId, spoken: &[ProtocolVersion]) -> Reply {
        match self {
            Self::Params(error) => error.reply(id),
            Self::Version { requested } => Reply::unsupported_version(id, requested, spoken),
        }
    }
}

impl Envelope {
    /// Reads the metadata of a request; `None` when it has none and so belongs to an earlier revision.
    ///
    /// # Errors
    /// [`EnvelopeError`]: incomplete metadata, or a revision that is not spoken here.
    pub fn of(params: &Map<String, Value>) -> Result<Option<Self>, EnvelopeError> {
        let meta = match params.get("_meta") {
            None => return Ok(None),
            Some(Value::Object(meta)) => meta,
            Some(_) => return Err(member("_meta", "an object").into()),
        };
        if ![VERSION, CLIENT, CAPABILITIES].iter().any(|key| meta.contains_key(*key)) {
            return Ok(None);
        }
        let requested = meta
            .get(VERSION)
            .and_then(Value::as_str)
            .ok_or(member("_meta.io.modelcontextprotocol/protocolVersion", "text"))?;
        let version = ProtocolVersion::by_name(requested)
            .filter(|version| version.is_stateless())
            .ok_or_else(|| EnvelopeError::Version {
                requested: text::cut(requested, CLIENT_INFO_MAX_BYTES).to_owned(),
            })?;
        if !meta.get(CAPABILITIES).is_some_and(Value::is_object) {
            let name = "_meta.io.modelcontextprotocol/clientCapabilities";
            return Err(member(name, "an object").into());
        }
        Ok(Some(Self { version, client: client_info(meta.get(CLIENT)) }))
    }

    /// The refusal of a request that needs metadata and has none.
    #[must_use]
    pub fn missing() -> EnvelopeError {
        member("_meta.io.modelcontextprotocol/protocolVersion", "text; or begin with initialize")
            .into()
    }
}
