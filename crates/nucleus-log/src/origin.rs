//! The name of a log.

use std::fmt;

use crate::limits::MAX_ORIGIN_BYTES;

/// The name of a log: 1 to 255 bytes of `[A-Za-z0-9._/:@-]`.
///
/// It is the origin line of every checkpoint, the name of the key that signs it, and part of what every line's MAC
/// covers. Two logs must not share one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(transparent)]
pub struct Origin(String);

/// A text that cannot be the name of a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a log's origin is 1 to 255 bytes of letters, digits and . _ / : @ -")]
pub struct OriginError;

impl Origin {
    /// Takes a name.
    ///
    /// # Errors
    /// [`OriginError`] for an empty or overlong name, or one with a byte outside the alphabet.
    pub fn parse(text: &str) -> Result<Self, OriginError> {
        let fits = !text.is_empty() && text.len() <= MAX_ORIGIN_BYTES;
        let allowed = |b: u8| b.is_ascii_alphanumeric() || b"._/:@-".contains(&b);
        if fits && text.bytes().all(allowed) { Ok(Self(text.to_owned())) } else { Err(OriginError) }
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'de> serde::Deserialize<'de> for Origin {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        Self::parse(&text).map_err(serde::de::Error::custom)
    }
}
