//! Just enough HTTP/1.1 for one peer that behaves.

use std::collections::BTreeMap;
use std::io::{self, BufRead, Read, Write};

use serde::Serialize;
use serde_json::Value;

/// Largest head and body read; the gate's own limit is smaller.
const HEAD_MAX: u64 = 256 * 1024;
const BODY_MAX: usize = 64 * 1024 * 1024;

/// A request as it was received.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Received {
    /// Method.
    pub method: String,
    /// Target, as sent.
    pub target: String,
    /// Header fields by lower-case name; repeated ones joined by `, `.
    pub headers: BTreeMap<String, String>,
    /// Body, as JSON where it is JSON, else as text.
    pub body: Value,
    /// Number of the connection it came on, from 1.
    pub connection: u64,
}

/// Reads one request; `None` at the end of the connection.
pub(super) fn read(stream: &mut impl BufRead, connection: u64) -> io::Result<Option<Received>> {
    let mut head = stream.take(HEAD_MAX);
    let mut line = String::new();
    if head.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    let mut words = line.split_whitespace();
    let (Some(method), Some(target)) = (words.next(), words.next()) else {
        return Err(io::ErrorKind::InvalidData.into());
    };
    let (method, target) = (method.to_owned(), target.to_owned());
    let mut headers: BTreeMap<String, String> = BTreeMap::new();
    loop {
        let mut line = String::new();
        if head.read_line(&mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let line = line.trim_end();
        if line.is_empty() {
            break;
        }
        let (name, value) = line.split_once(':').ok_or(io::ErrorKind::InvalidData)?;
        let slot = headers.entry(name.to_ascii_lowercase()).or_default();
        if !slot.is_empty() {
            slot.push_str(", ");
        }
        slot.push_str(value.trim());
    }
    let length = headers.get("content-length").map_or(Ok(0), |text| text.parse::<usize>());
    let length = length.map_err(|_| io::ErrorKind::InvalidData)?;
    if length > BODY_MAX || headers.contains_key("transfer-encoding") {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let mut bytes = vec![0; length];
    stream.read_exact(&mut bytes)?;
    let body = serde_json::from_slice(&bytes)
        .unwrap_or_else(|_| Value::String(String::from_utf8_lossy(&bytes).into_owned()));
    Ok(Some(Received { method, target, headers, body, connection }))
}

impl Received {
    /// The credential it carries, whichever way.
    #[must_use]
    pub fn key(&self) -> Option<&str> {
        let bearer = self.headers.get("authorization").and_then(|v| v.strip_prefix("Bearer "));
        let plain = self.headers.get("x-api-key").or_else(|| self.headers.get("x-goog-api-key"));
        plain.map(String::as_str).or(bearer)
    }

    /// The target without its query.
    #[must_use]
    pub fn path(&self) -> &str {
        self.target.split('?').next().unwrap_or_default()
    }
}

/// Writes the head of an answer.
pub(super) fn write_head(
    stream: &mut impl Write,
    status: u16,
    fields: &[(String, String)],
) -> io::Result<()> {
    let mut head = format!("HTTP/1.1 {status} Status\r\nrequest-id: req_mock\r\n");
    for (name, value) in fields {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str("\r\n");
    stream.write_all(head.as_bytes())
}

/// Writes a whole JSON answer.
pub(super) fn write_json(
    stream: &mut impl Write,
    status: u16,
    fields: &[(String, String)],
    body: &Value,
) -> io::Result<()> {
    write_text(stream, status, fields, &body.to_string())
}

/// The same for a text that is called JSON, whether it is or not.
pub(super) fn write_text(
    stream: &mut impl Write,
    status: u16,
    fields: &[(String, String)],
    body: &str,
) -> io::Result<()> {
    let mut fields = fields.to_vec();
    fields.push(("content-type".to_owned(), "application/json".to_owned()));
    fields.push(("content-length".to_owned(), body.len().to_string()));
    write_head(stream, status, &fields)?;
    stream.write_all(body.as_bytes())?;
    stream.flush()
}

/// Writes one chunk of a chunked body; an empty one ends it.
pub(super) fn write_chunk(stream: &mut impl Write, bytes: &[u8]) -> io::Result<()> {
    write!(stream, "{:x}\r\n", bytes.len())?;
    stream.write_all(bytes)?;
    stream.write_all(b"\r\n")?;
    stream.flush()
}
