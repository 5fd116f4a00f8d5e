//! A path inside a workspace.

use std::ffi::OsStr;
use std::fmt;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::limits::PATH_BYTES;
use super::text::escape;

/// A path relative to the workspace: `/`-separated names, none of them empty, `.` or `..`; the empty path is the
/// workspace itself. Bytes, because a file name need not be text.
///
/// `Display` escapes what hides; serialisation writes bytes that are not UTF-8 (and `%`) as `%XX`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct TreePath(Vec<u8>);

impl TreePath {
    /// The workspace itself.
    #[must_use]
    pub fn root() -> Self {
        Self(Vec::new())
    }

    /// Accepts relative paths of plain names only; `None` for anything else.
    #[must_use]
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        if bytes.is_empty() {
            return Some(Self::root());
        }
        let plain =
            |name: &[u8]| !name.is_empty() && name != b"." && name != b".." && !name.contains(&0);
        let valid = bytes.len() <= PATH_BYTES && bytes.split(|b| *b == b'/').all(plain);
        valid.then(|| Self(bytes.to_vec()))
    }

    /// This path with one more name.
    #[must_use]
    pub fn child(&self, name: &OsStr) -> Self {
        let mut bytes =
            Vec::with_capacity(self.0.len().saturating_add(name.len()).saturating_add(1));
        bytes.extend_from_slice(&self.0);
        if !bytes.is_empty() {
            bytes.push(b'/');
        }
        bytes.extend_from_slice(name.as_bytes());
        Self(bytes)
    }

    /// The directory that holds it; `None` for the workspace itself.
    #[must_use]
    pub fn parent(&self) -> Option<Self> {
        if self.0.is_empty() {
            return None;
        }
        let cut = self.0.iter().rposition(|b| *b == b'/').unwrap_or(0);
        Some(Self(self.0.get(..cut).unwrap_or_default().to_vec()))
    }

    /// The last name; `None` for the workspace itself.
    #[must_use]
    pub fn name(&self) -> Option<&OsStr> {
        self.0.rsplit(|b| *b == b'/').next().filter(|n| !n.is_empty()).map(OsStr::from_bytes)
    }

    /// The names, in order.
    pub fn names(&self) -> impl Iterator<Item = &OsStr> {
        self.0.split(|b| *b == b'/').filter(|n| !n.is_empty()).map(OsStr::from_bytes)
    }

    /// Whether this is `dir` or lies below it.
    #[must_use]
    pub fn is_within(&self, dir: &Self) -> bool {
        dir.0.is_empty()
            || self
                .0
                .strip_prefix(dir.0.as_slice())
                .is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/"))
    }

    /// The bytes of this path from `dir` on; `None` when it does not lie below.
    #[must_use]
    pub fn below(&self, dir: &Self) -> Option<&[u8]> {
        if dir.0.is_empty() {
            return Some(&self.0);
        }
        self.0.strip_prefix(dir.0.as_slice())?.strip_prefix(b"/")
    }

    /// The path as text, when it is text.
    #[must_use]
    pub fn as_str(&self) -> Option<&str> {
        std::str::from_utf8(&self.0).ok()
    }

    /// The path for file-system calls; `.` for the workspace itself.
    #[must_use]
    pub fn as_path(&self) -> &Path {
        if self.0.is_empty() { Path::new(".") } else { Path::new(OsStr::from_bytes(&self.0)) }
    }

    /// Whether it is the workspace itself.
    #[must_use]
    pub fn is_root(&self) -> bool {
        self.0.is_empty()
    }

    /// Number of names.
    #[must_use]
    pub fn depth(&self) -> usize {
        self.names().count()
    }
}

impl fmt::Display for TreePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&escape(&String::from_utf8_lossy(&self.0)))
    }
}

impl fmt::Debug for TreePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", String::from_utf8_lossy(&self.0))
    }
}

impl Serialize for TreePath {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut text = String::with_capacity(self.0.len());
        for chunk in self.0.utf8_chunks() {
            text.push_str(&chunk.valid().replace('%', "%25"));
            for byte in chunk.invalid() {
                text.push_str(&format!("%{byte:02X}"));
            }
        }
        serializer.serialize_str(&text)
    }
}

impl<'de> Deserialize<'de> for TreePath {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let mut bytes = Vec::with_capacity(text.len());
        let mut rest = text.as_bytes();
        while let Some((first, tail)) = rest.split_first() {
            if *first != b'%' {
                bytes.push(*first);
                rest = tail;
                continue;
            }
            let hex = tail.get(..2).and_then(|h| std::str::from_utf8(h).ok());
            let byte = hex.and_then(|h| u8::from_str_radix(h, 16).ok());
            bytes.push(byte.ok_or_else(|| D::Error::custom("bad escape in a path"))?);
            rest = tail.get(2..).unwrap_or_default();
        }
        Self::parse(&bytes).ok_or_else(|| D::Error::custom("not a path inside the workspace"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_relative_names() {
        for bad in ["/a", "a//b", "../a", "a/..", "./a", "a/", "a\0b"] {
            assert!(TreePath::parse(bad.as_bytes()).is_none(), "{bad:?}");
        }
        assert_eq!(TreePath::parse(b"a/b").and_then(|p| p.parent()), TreePath::parse(b"a"));
    }

    #[test]
    fn within_is_by_name_not_by_prefix() {
        let dir = TreePath::parse(b"ws").unwrap();
        assert!(TreePath::parse(b"ws/a").unwrap().is_within(&dir));
        assert!(!TreePath::parse(b"ws-evil/a").unwrap().is_within(&dir));
    }

    #[test]
    fn bytes_survive_serialisation() {
        let path = TreePath::parse(b"d/\xff100%/\xc3\xa9").unwrap();
        let text = serde_json::to_string(&path).unwrap();
        assert_eq!(serde_json::from_str::<TreePath>(&text).unwrap(), path);
        assert!(serde_json::from_str::<TreePath>("\"%2E%2E/x\"").is_err());
    }
}
