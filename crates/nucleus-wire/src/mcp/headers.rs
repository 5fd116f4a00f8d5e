use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Map, Value};

use super::envelope::VERSION;
use super::frame::RequestId;
use super::reply::{ErrorCode, Reply};

/// What the headers of a streamable HTTP request say of its body, in revision 2026-07-28.
#[derive(Debug, Clone, Copy, Default)]
pub struct Headers<'a> {
    /// `MCP-Protocol-Version`.
    pub version: Option<&'a str>,
    /// `Mcp-Method`.
    pub method: Option<&'a str>,
    /// `Mcp-Name`.
    pub name: Option<&'a str>,
}

/// Headers that are not what the body says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HeadersError {
    /// A required one is absent.
    #[error("the header {0} is missing")]
    Missing(&'static str),
    /// One says something else.
    #[error("the header {0} does not say what the body says")]
    Mismatch(&'static str),
}

impl HeadersError {
    /// The answer the revision prescribes.
    #[must_use]
    pub fn reply(&self, id: RequestId) -> Reply {
        Reply::error(Some(id), ErrorCode::HeaderMismatch, &self.to_string())
    }
}

impl Headers<'_> {
    /// Holds the headers to the body, which alone is acted on.
    ///
    /// # Errors
    /// [`HeadersError`]: one is missing or says something else.
    pub fn check(&self, method: &str, params: &Map<String, Value>) -> Result<(), HeadersError> {
        let version =
            params.get("_meta").and_then(|meta| meta.get(VERSION)).and_then(Value::as_str);
        same("MCP-Protocol-Version", self.version, version)?;
        same("Mcp-Method", self.method, Some(method))?;
        let key = match method {
            "tools/call" | "prompts/get" => "name",
            "resources/read" => "uri",
            _ => return Ok(()),
        };
        let decoded = self.name.map(decode).transpose()?;
        same("Mcp-Name", decoded.as_deref(), params.get(key).and_then(Value::as_str))
    }
}

fn same(header: &'static str, said: Option<&str>, body: Option<&str>) -> Result<(), HeadersError> {
    let said = said.ok_or(HeadersError::Missing(header))?;
    if Some(said) == body { Ok(()) } else { Err(HeadersError::Mismatch(header)) }
}

/// A name as it stands, or in the form for names that headers cannot carry.
fn decode(name: &str) -> Result<String, HeadersError> {
    let encoded = name.strip_prefix("=?base64?").and_then(|rest| rest.strip_suffix("?="));
    let Some(encoded) = encoded else { return Ok(name.to_owned()) };
    let bytes = BASE64_STANDARD.decode(encoded).map_err(|_| HeadersError::Mismatch("Mcp-Name"))?;
    String::from_utf8(bytes).map_err(|_| HeadersError::Mismatch("Mcp-Name"))
}
