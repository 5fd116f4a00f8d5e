//! Members of an event.

use serde_json::{Map, Value};

/// The members of one entry, `detail` included.
pub(crate) struct Members(Map<String, Value>);

impl Members {
    pub(crate) fn new(members: Map<String, Value>) -> Self {
        Self(members)
    }

    /// A member as text; a value that was too large for its line is told by its digest.
    pub(crate) fn text(&self, name: &str) -> Option<String> {
        self.0.get(name).map(shown)
    }

    pub(crate) fn number(&self, name: &str) -> Option<u64> {
        self.0.get(name).and_then(Value::as_u64)
    }

    /// A member of `detail` as text.
    pub(crate) fn detail(&self, name: &str) -> Option<String> {
        self.details().find(|(known, _)| known.as_str() == name).map(|(_, value)| shown(value))
    }

    pub(crate) fn detail_number(&self, name: &str) -> Option<u64> {
        self.details().find(|(known, _)| known.as_str() == name).and_then(|(_, v)| v.as_u64())
    }

    pub(crate) fn details(&self) -> impl Iterator<Item = (&String, &Value)> {
        self.0.get("detail").and_then(Value::as_object).into_iter().flatten()
    }
}

/// A value as a person reads it.
pub(crate) fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Object(map) => match (map.get("sha256"), map.get("size")) {
            (Some(Value::String(digest)), Some(size)) if map.len() == 2 => {
                format!("({size} bytes, sha256 {digest})")
            }
            _ => value.to_string(),
        },
        _ => value.to_string(),
    }
}
