//! SHA-256 digests of canonical bytes.

use std::fmt;
use std::io::{self, Read};

use aws_lc_rs::{constant_time, digest};
use nucleus_wire::hex;

/// Bytes hashed at a time.
const BLOCK_BYTES: usize = 64 * 1024;

/// A SHA-256 digest. Compared in constant time, shown as lower-case hex.
#[derive(Clone, Copy)]
pub struct Digest([u8; 32]);

impl Digest {
    /// Digest of these bytes.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self::from_context(digest::digest(&digest::SHA256, bytes).as_ref())
    }

    /// Digest of everything `reader` gives, and how many bytes that was.
    ///
    /// # Errors
    /// The reader's own, and `FileTooLarge` once more than `max_bytes` came.
    pub fn of_reader(mut reader: impl Read, max_bytes: u64) -> io::Result<(Self, u64)> {
        let mut context = digest::Context::new(&digest::SHA256);
        let mut block = vec![0_u8; BLOCK_BYTES];
        let mut total = 0_u64;
        loop {
            let read = match reader.read(&mut block) {
                Ok(0) => return Ok((Self::from_context(context.finish().as_ref()), total)),
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            total = total.saturating_add(read as u64);
            if total > max_bytes {
                return Err(io::ErrorKind::FileTooLarge.into());
            }
            context.update(block.get(..read).unwrap_or_default());
        }
    }

    /// A digest made elsewhere.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The 32 bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Lower-case hex, 64 characters.
    #[must_use]
    pub fn hex(&self) -> String {
        hex::encode(&self.0)
    }

    fn from_context(bytes: &[u8]) -> Self {
        let mut out = [0; 32];
        for (to, from) in out.iter_mut().zip(bytes) {
            *to = *from;
        }
        Self(out)
    }
}

impl PartialEq for Digest {
    fn eq(&self, other: &Self) -> bool {
        constant_time::verify_slices_are_equal(&self.0, &other.0).is_ok()
    }
}

impl Eq for Digest {}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.hex())
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.hex())
    }
}

#[cfg(test)]
mod tests {
    use super::Digest;

    #[test]
    fn agrees_with_the_standard_vector() {
        let expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(Digest::of(b"abc").hex(), expected);
        assert_eq!(Digest::of_reader(&b"abc"[..], 3).unwrap(), (Digest::of(b"abc"), 3));
        assert!(Digest::of_reader(&b"abcd"[..], 3).is_err());
        assert_ne!(Digest::of(b"abc"), Digest::of(b"abd"));
    }
}
