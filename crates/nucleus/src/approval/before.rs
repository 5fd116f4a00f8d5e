//! What is in a file before a call changes it, kept while the file is hashed: the digest that a grant is bound to and the
//! text that a person compares come from the same bytes.

use std::fs::File;
use std::io::{self, Read};

use crate::digest::Digest;
use crate::limits::MAX_DIFF_FILE_BYTES;

/// The content of the file a call would change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Before {
    /// There is no file.
    Absent,
    /// Its text.
    Text(String),
    /// Nothing that can be compared; why, in words.
    Other(String),
}

impl Default for Before {
    fn default() -> Self {
        Self::Other("what is there now cannot be looked at".to_owned())
    }
}

impl Before {
    /// Hashes `file` and keeps what it read.
    ///
    /// # Errors
    /// As [`Digest::of_reader`].
    pub(crate) fn read(file: File, max_bytes: u64) -> io::Result<(Self, Digest, u64)> {
        let mut kept = Kept { file, bytes: Vec::new(), over: false };
        let (digest, bytes) = Digest::of_reader(&mut kept, max_bytes)?;
        let before = if kept.over {
            Self::Other(format!("what is there now is too large to be compared: {bytes} bytes"))
        } else {
            match String::from_utf8(kept.bytes) {
                Ok(text) if !text.contains('\0') => Self::Text(text),
                _ => Self::Other(format!("what is there now is binary: {bytes} bytes")),
            }
        };
        Ok((before, digest, bytes))
    }
}

/// A reader that keeps what it gave, up to what is compared.
struct Kept {
    file: File,
    bytes: Vec<u8>,
    over: bool,
}

impl Read for Kept {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read(into)?;
        let given = into.get(..count).unwrap_or_default();
        self.over |= self.bytes.len().saturating_add(given.len()) > MAX_DIFF_FILE_BYTES;
        if self.over {
            self.bytes = Vec::new();
        } else {
            self.bytes.extend_from_slice(given);
        }
        Ok(count)
    }
}
