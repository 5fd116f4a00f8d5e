//! A credential that can be used but not shown.

use thiserror::Error;
use zeroize::Zeroizing;

use crate::limits::SECRET_BYTES;

/// A credential of the host. It has no `Debug`, `Display`, `Clone` or `Serialize`, and its memory is cleared when it is dropped.
pub struct Secret(Zeroizing<Vec<u8>>);

/// Why bytes are not a usable credential. The texts never repeat the bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SecretError {
    /// Nothing but white space.
    #[error("the model key is empty")]
    Empty,
    /// Longer than any key of a provider.
    #[error("the model key is longer than {SECRET_BYTES} bytes")]
    TooLong,
    /// Bytes that cannot stand in a header field.
    #[error("the model key holds a byte that is not printable ASCII")]
    NotPrintable,
}

impl Secret {
    /// Takes a key as read from a file or descriptor; white space around it is removed.
    ///
    /// # Errors
    /// Malformed: empty, longer than 4,096 bytes, or not printable ASCII.
    pub fn from_bytes(bytes: Vec<u8>) -> Result<Self, SecretError> {
        let bytes = Zeroizing::new(bytes);
        let trimmed = bytes.trim_ascii();
        if trimmed.is_empty() {
            return Err(SecretError::Empty);
        }
        if trimmed.len() > SECRET_BYTES {
            return Err(SecretError::TooLong);
        }
        if !trimmed.iter().all(u8::is_ascii_graphic) {
            return Err(SecretError::NotPrintable);
        }
        Ok(Self(Zeroizing::new(trimmed.to_vec())))
    }

    /// The bytes, for the header that carries them and for the filter that keeps them out of answers.
    pub(crate) fn expose(&self) -> &[u8] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn white_space_around_a_key_is_removed() {
        let key = Secret::from_bytes(b" sk-ant-1\n".to_vec()).unwrap();
        assert_eq!(key.expose(), b"sk-ant-1");
    }

    #[test]
    fn unusable_keys_are_refused_by_kind() {
        let kind = |bytes: &[u8]| Secret::from_bytes(bytes.to_vec()).err();
        assert_eq!(kind(b" \n"), Some(SecretError::Empty));
        assert_eq!(kind(b"a\r\nx-evil: 1"), Some(SecretError::NotPrintable));
        assert_eq!(kind(&[b'a'; SECRET_BYTES + 1]), Some(SecretError::TooLong));
    }
}
