//! SHA-256 digests and the two hashes of an RFC 6962 tree.

use std::fmt;

use aws_lc_rs::digest::{SHA256, digest};

use crate::encoding::{base64, hex32, parse_hex};

/// A SHA-256 digest. It prints as 64 lowercase hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Digest([u8; 32]);

impl Digest {
    /// The digest that stands where nothing comes before.
    pub const ZERO: Self = Self([0; 32]);

    /// SHA-256 of `bytes`.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self::take(digest(&SHA256, bytes).as_ref())
    }

    /// Reads 64 lowercase hexadecimal digits, and nothing else.
    #[must_use]
    pub fn parse_hex(text: &str) -> Option<Self> {
        parse_hex(text.as_bytes()).map(Self)
    }

    /// The 32 bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The digest in base64, as content security policies and subresource integrity write it.
    #[must_use]
    pub fn base64(&self) -> String {
        base64(&self.0)
    }

    /// The digits as bytes, as they stand in a line.
    pub(crate) fn hex(&self) -> [u8; 64] {
        hex32(&self.0)
    }

    pub(crate) const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// RFC 6962 leaf hash: SHA-256 of 0x00 and the bytes. One pass over a copy is faster than two updates.
    pub(crate) fn leaf(scratch: &mut Vec<u8>, bytes: &[u8]) -> Self {
        scratch.clear();
        scratch.push(0);
        scratch.extend_from_slice(bytes);
        Self::of(scratch)
    }

    /// RFC 6962 node hash: SHA-256 of 0x01 and both children.
    pub(crate) fn node(left: &Self, right: &Self) -> Self {
        let mut joined = [1_u8; 65];
        if let Some((_, children)) = joined.split_first_mut() {
            let (first, second) = children.split_at_mut(32);
            first.copy_from_slice(&left.0);
            second.copy_from_slice(&right.0);
        }
        Self::of(&joined)
    }

    /// A SHA-256 digest always has 32 bytes.
    fn take(bytes: &[u8]) -> Self {
        bytes.first_chunk().map_or(Self::ZERO, |bytes| Self(*bytes))
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for byte in self.0 {
            write!(f, "{byte:02x}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Digest({self})")
    }
}

impl serde::Serialize for Digest {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for Digest {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        Self::parse_hex(&text)
            .ok_or_else(|| serde::de::Error::custom("expected 64 lowercase hexadecimal digits"))
    }
}
