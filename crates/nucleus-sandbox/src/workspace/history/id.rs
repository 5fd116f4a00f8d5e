//! Names of objects.

use std::fmt;

use aws_lc_rs::digest::{Context, SHA1_FOR_LEGACY_USE_ONLY, SHA256};

/// Which hash names the objects of a repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Format {
    Sha1,
    Sha256,
}

impl Format {
    /// That of a repository with this configuration.
    pub(super) fn of_config(config: &str) -> Self {
        let sha256 = config.lines().any(|line| {
            let line = line.trim().to_ascii_lowercase();
            line.starts_with("objectformat") && line.ends_with("sha256")
        });
        if sha256 { Self::Sha256 } else { Self::Sha1 }
    }

    /// Length of a name.
    pub(super) fn bytes(self) -> usize {
        match self {
            Self::Sha1 => 20,
            Self::Sha256 => 32,
        }
    }

    /// A hash that takes an object in.
    pub(super) fn hasher(self) -> Context {
        Context::new(match self {
            // What git names objects by; nobody chose it here.
            Self::Sha1 => &SHA1_FOR_LEGACY_USE_ONLY,
            Self::Sha256 => &SHA256,
        })
    }
}

/// Name of an object: the hash of what it is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct ObjectId {
    format: Format,
    bytes: [u8; 32],
}

impl ObjectId {
    /// From the bytes of a hash; `None` when there are too many or too few.
    pub(super) fn new(format: Format, hash: &[u8]) -> Option<Self> {
        let mut bytes = [0; 32];
        let length = format.bytes();
        if hash.len() != length {
            return None;
        }
        bytes.get_mut(..length)?.copy_from_slice(hash);
        Some(Self { format, bytes })
    }

    /// From hexadecimal digits, all of them lower-case as git writes them.
    pub(super) fn parse(format: Format, hex: &[u8]) -> Option<Self> {
        let mut hash = Vec::with_capacity(format.bytes());
        for pair in hex.chunks(2) {
            let [high, low] = *pair else { return None };
            hash.push(digit(high)? << 4 | digit(low)?);
        }
        Self::new(format, &hash)
    }

    pub(super) fn format(&self) -> Format {
        self.format
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.format.bytes()).unwrap_or_default()
    }

    /// Whether it stands for no object: git's way to say none.
    pub(super) fn is_null(&self) -> bool {
        self.bytes == [0; 32]
    }

    /// As short as people write it.
    pub(super) fn short(&self) -> String {
        self.to_string().chars().take(8).collect()
    }
}

fn digit(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte.wrapping_sub(b'0')),
        b'a'..=b'f' => Some(byte.wrapping_sub(b'a').wrapping_add(10)),
        _ => None,
    }
}

impl fmt::Display for ObjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_bytes().iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for ObjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
