//! What an entry says.

use std::borrow::Cow;

use serde::Serialize;
use serde_json::{Map, Value};

use crate::digest::Digest;
use crate::json;
use crate::limits::{INTEGER_LIMIT, MAX_ID_BYTES};

/// Where in the life of a call an entry stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Phase {
    /// The call was allowed and its effect may start. Durable before the effect.
    Intent,
    /// The effect has ended, one way or another.
    Outcome,
    /// A decision without effect: a denial, a request for approval, an answer to one.
    Decision,
    /// Anything else: session start and end, pods, warnings.
    Note,
}

impl Phase {
    /// The word on the line.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Intent => "intent",
            Self::Outcome => "outcome",
            Self::Decision => "decision",
            Self::Note => "note",
        }
    }
}

/// What an entry says. Members that are absent do not appear on the line; the others stand in the order of the fields.
///
/// The writer adds the monotonic time (`monotonic_us`) and the boot id (`boot_id`) of the moment of
/// [`append`](crate::Writer::append).
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// Kind of event: `tool_execution`, `model_call`, `session_start`, … 1 to 256 bytes.
    pub kind: Cow<'static, str>,
    /// The agent on whose behalf it happens. At most 256 bytes.
    pub agent_id: String,
    /// Tool or operation.
    pub tool: Option<String>,
    /// What it acts on: a path, a command, a host. Any text.
    pub target: Option<String>,
    /// `success`, `denied`, `error`, …
    pub result: Option<String>,
    /// Where in the life of a call this stands.
    pub phase: Phase,
    /// Joins the entries of one call. At most 256 bytes. Unique among the calls of a log.
    pub request_id: Option<String>,
    /// Who called, by the channel the call came through.
    pub principal: Option<String>,
    /// `allow`, `needs_approval`, `deny`.
    pub decision: Option<String>,
    /// Code of the rule that decided.
    pub rule: Option<String>,
    /// Digest of the policy in force.
    pub policy_digest: Option<String>,
    /// The approval this belongs to. At most 256 bytes.
    pub approval_id: Option<String>,
    /// Single-use nonce of the grant that an intent consumes. At most 256 bytes.
    pub grant_nonce: Option<String>,
    /// Digest of the canonical arguments.
    pub args_digest: Option<String>,
    /// How long the effect took, in milliseconds.
    pub duration_ms: Option<u64>,
    /// Bytes that the effect returned.
    pub bytes_returned: Option<u64>,
    /// Cost booked, in millionths of a dollar.
    pub cost_micro_usd: Option<u64>,
    /// Anything else. Numbers that are not integers below 2^53 are written as text.
    pub detail: Map<String, Value>,
}

/// An event that cannot become an entry. The caller's mistake: nothing was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EventError {
    /// An identifier is longer than 256 bytes.
    #[error("an identifier of the event is longer than {MAX_ID_BYTES} bytes")]
    LongId,
    /// The kind is empty.
    #[error("the event has no type")]
    NoKind,
    /// An intent or outcome has no request id, so the two could not be joined.
    #[error("an intent or outcome needs a request id")]
    NoRequest,
    /// `detail` nests too deep.
    #[error("the detail of the event nests too deep")]
    Depth,
}

/// Monotonic time and boot of an append.
#[derive(Debug, Clone)]
pub(crate) struct Stamp {
    pub(crate) monotonic_us: u64,
    pub(crate) boot_id: String,
}

impl Event {
    /// An event with nothing but its kind and agent, in phase [`Phase::Note`].
    #[must_use]
    pub fn new(kind: impl Into<Cow<'static, str>>, agent_id: impl Into<String>) -> Self {
        Self {
            kind: kind.into(),
            agent_id: agent_id.into(),
            tool: None,
            target: None,
            result: None,
            phase: Phase::Note,
            request_id: None,
            principal: None,
            decision: None,
            rule: None,
            policy_digest: None,
            approval_id: None,
            grant_nonce: None,
            args_digest: None,
            duration_ms: None,
            bytes_returned: None,
            cost_micro_usd: None,
            detail: Map::new(),
        }
    }

    fn refuse(&self) -> Result<(), EventError> {
        let ids = [&self.request_id, &self.approval_id, &self.grant_nonce];
        let long = ids.into_iter().flatten().any(|id| id.len() > MAX_ID_BYTES);
        if long || self.kind.len() > MAX_ID_BYTES || self.agent_id.len() > MAX_ID_BYTES {
            return Err(EventError::LongId);
        }
        if self.kind.is_empty() {
            return Err(EventError::NoKind);
        }
        if matches!(self.phase, Phase::Intent | Phase::Outcome) && self.request_id.is_none() {
            return Err(EventError::NoRequest);
        }
        Ok(())
    }

    /// The event's bytes as they stand on the line, at most `budget` of them.
    pub(crate) fn encode(&self, stamp: &Stamp, budget: usize) -> Result<Vec<u8>, EventError> {
        self.refuse()?;
        let mut members = self.members(stamp);
        let mut bytes = Vec::with_capacity(1_024);
        object(&mut bytes, &members);
        while bytes.len() > budget && shrink(&mut members) {
            bytes.clear();
            object(&mut bytes, &members);
        }
        if json::Scanner::default().event(&bytes).is_some_and(|(_, rest)| rest.is_empty()) {
            Ok(bytes)
        } else {
            Err(EventError::Depth)
        }
    }

    fn members<'a>(&'a self, stamp: &'a Stamp) -> Vec<Member<'a>> {
        let mut members = Members(Vec::with_capacity(20));
        members.fixed("type", &self.kind);
        members.fixed("agent_id", &self.agent_id);
        members.text("tool", self.tool.as_deref());
        members.text("target", self.target.as_deref());
        members.text("result", self.result.as_deref());
        members.fixed("phase", self.phase.as_str());
        members.id("request_id", self.request_id.as_deref());
        members.text("principal", self.principal.as_deref());
        members.text("decision", self.decision.as_deref());
        members.text("rule", self.rule.as_deref());
        members.text("policy_digest", self.policy_digest.as_deref());
        members.id("approval_id", self.approval_id.as_deref());
        members.id("grant_nonce", self.grant_nonce.as_deref());
        members.text("args_digest", self.args_digest.as_deref());
        members.integer("monotonic_us", Some(stamp.monotonic_us));
        members.fixed("boot_id", &stamp.boot_id);
        members.integer("duration_ms", self.duration_ms);
        members.integer("bytes_returned", self.bytes_returned);
        members.integer("cost_micro_usd", self.cost_micro_usd);
        if !self.detail.is_empty() {
            let parts = self.detail.iter().map(|(name, value)| Member {
                name,
                value: Encoded::Json(json(&bounded(value))),
                fixed: false,
            });
            members.0.push(Member {
                name: "detail",
                value: Encoded::Object(parts.collect()),
                fixed: false,
            });
        }
        members.0
    }
}

/// One member of an object under construction.
struct Member<'a> {
    name: &'a str,
    value: Encoded<'a>,
    fixed: bool,
}

enum Encoded<'a> {
    Text(&'a str),
    Integer(u64),
    Json(Vec<u8>),
    Object(Vec<Member<'a>>),
}

struct Members<'a>(Vec<Member<'a>>);

impl<'a> Members<'a> {
    fn fixed(&mut self, name: &'static str, text: &'a str) {
        self.0.push(Member { name, value: Encoded::Text(text), fixed: true });
    }
    fn id(&mut self, name: &'static str, text: Option<&'a str>) {
        if let Some(text) = text {
            self.fixed(name, text);
        }
    }
    fn text(&mut self, name: &'static str, text: Option<&'a str>) {
        if let Some(text) = text {
            self.0.push(Member { name, value: Encoded::Text(text), fixed: false });
        }
    }
    fn integer(&mut self, name: &'static str, value: Option<u64>) {
        if let Some(value) = value {
            self.0.push(Member { name, value: Encoded::Integer(value), fixed: true });
        }
    }
}

fn json(value: &impl Serialize) -> Vec<u8> {
    let mut bytes = Vec::new();
    put(&mut bytes, value);
    bytes
}

fn put(bytes: &mut Vec<u8>, value: &(impl Serialize + ?Sized)) {
    // Texts and values of JSON have no failing case, and neither has a vector as a writer.
    let _written = serde_json::to_writer(bytes, value);
}

/// The value with every number outside the format written as text.
fn bounded(value: &Value) -> Value {
    match value {
        Value::Number(number) => {
            let positive = number.as_u64().is_some_and(|n| n < INTEGER_LIMIT);
            let negative = number.as_i64().is_some_and(|n| n.unsigned_abs() < INTEGER_LIMIT);
            if positive || negative { value.clone() } else { Value::from(number.to_string()) }
        }
        Value::Array(items) => items.iter().map(bounded).collect(),
        Value::Object(map) => {
            Value::Object(map.iter().map(|(name, value)| (name.clone(), bounded(value))).collect())
        }
        _ => value.clone(),
    }
}

fn object(bytes: &mut Vec<u8>, members: &[Member<'_>]) {
    let mut separator = b'{';
    if members.is_empty() {
        bytes.push(b'{');
    }
    for member in members {
        bytes.push(separator);
        separator = b',';
        put(bytes, member.name);
        bytes.push(b':');
        member.value.write(bytes);
    }
    bytes.push(b'}');
}

impl Encoded<'_> {
    fn write(&self, bytes: &mut Vec<u8>) {
        match self {
            Self::Text(text) => put(bytes, *text),
            Self::Integer(value) if *value < INTEGER_LIMIT => put(bytes, value),
            Self::Integer(value) => put(bytes, &value.to_string()),
            Self::Json(json) => bytes.extend_from_slice(json),
            Self::Object(members) => object(bytes, members),
        }
    }

    fn bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.write(&mut bytes);
        bytes
    }
}

/// The shortest value that a digest makes shorter.
const DIGESTED_BYTES: usize = 112;

fn digested(json: &[u8]) -> Encoded<'static> {
    let text = format!("{{\"sha256\":\"{}\",\"size\":{}}}", Digest::of(json), json.len());
    Encoded::Json(text.into_bytes())
}

/// Puts digest and size in the place of the largest value; false when nothing is left to shrink.
fn shrink(members: &mut [Member<'_>]) -> bool {
    let sized = members.iter_mut().filter(|m| !m.fixed).map(|m| (m.value.bytes(), m));
    let largest = sized.max_by_key(|(bytes, _)| bytes.len());
    let Some((bytes, member)) = largest.filter(|(bytes, _)| bytes.len() > DIGESTED_BYTES) else {
        return false;
    };
    if let Encoded::Object(parts) = &mut member.value
        && shrink(parts)
    {
        return true;
    }
    member.value = digested(&bytes);
    true
}

#[cfg(test)]
mod tests;
