//! Checkpoints: C2SP signed notes over the size, the Merkle root and the head of the log.

use aws_lc_rs::signature::Ed25519KeyPair;

use crate::digest::Digest;
use crate::encoding::{base64, parse_base64, parse_hex};
use crate::json::integer;
use crate::key::{CryptoError, PublicKey};
use crate::limits::MAX_NOTE_BYTES;
use crate::line::is_timestamp;
use crate::origin::Origin;

const ALGORITHM_ED25519: u8 = 1;
const SIGNATURE_LINE: &str = "\u{2014} ";

/// What a checkpoint promises.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// Number of entries of the log.
    pub size: u64,
    /// RFC 6962 root over their lines.
    pub root: Digest,
    /// Digest of the last line (of the first segment's header, when there is no line).
    pub head: Digest,
    /// When it was signed, RFC 3339 in UTC.
    pub time: String,
    /// True for the last checkpoint of a writer that ended in order.
    pub closed: bool,
}

/// Why a note is not a checkpoint of this log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NoteError {
    /// Not a note, or not a checkpoint.
    Malformed,
    /// No signature by the key.
    OtherKey,
    /// A signature that claims to be by the key and is not.
    BadSignature,
}

/// First four bytes of SHA-256 of name, newline, algorithm and key.
fn key_id(origin: &Origin, public: &PublicKey) -> [u8; 4] {
    let named =
        [origin.as_str().as_bytes(), b"\n", &[ALGORITHM_ED25519], public.as_bytes().as_slice()]
            .concat();
    let [a, b, c, d, ..] = *Digest::of(&named).as_bytes();
    [a, b, c, d]
}

impl Checkpoint {
    fn text(&self, origin: &Origin) -> String {
        let state = if self.closed { "closed" } else { "open" };
        format!(
            "{origin}\n{}\n{}\nhead {}\ntime {}\nstate {state}\n",
            self.size,
            base64(self.root.as_bytes()),
            self.head,
            self.time,
        )
    }

    /// The signed note, followed by the empty line that parts it from the next.
    pub(crate) fn seal(
        &self,
        origin: &Origin,
        public: &PublicKey,
        pair: &Ed25519KeyPair,
    ) -> Result<Vec<u8>, CryptoError> {
        let text = self.text(origin);
        let signature = pair.try_sign(text.as_bytes()).map_err(|_| CryptoError)?;
        let stamped = [key_id(origin, public).as_slice(), signature.as_ref()].concat();
        Ok(format!("{text}\n{SIGNATURE_LINE}{origin} {}\n\n", base64(&stamped)).into_bytes())
    }

    /// Reads one note (without the parting empty line) and checks its signature.
    pub(crate) fn open(
        note: &[u8],
        origin: &Origin,
        public: &PublicKey,
    ) -> Result<Self, NoteError> {
        let note = std::str::from_utf8(note).map_err(|_| NoteError::Malformed)?;
        let (text, signatures) = note.split_once("\n\n").ok_or(NoteError::Malformed)?;
        let signed = note.get(..text.len().saturating_add(1)).ok_or(NoteError::Malformed)?;
        let mut found = false;
        for line in signatures.strip_suffix('\n').ok_or(NoteError::Malformed)?.split('\n') {
            let (name, stamped) = line
                .strip_prefix(SIGNATURE_LINE)
                .and_then(|line| line.split_once(' '))
                .ok_or(NoteError::Malformed)?;
            let stamped = parse_base64(stamped).ok_or(NoteError::Malformed)?;
            let (id, signature) = stamped.split_at_checked(4).ok_or(NoteError::Malformed)?;
            if name != origin.as_str() || id != key_id(origin, public) {
                continue;
            }
            if !public.verify(signed.as_bytes(), signature) {
                return Err(NoteError::BadSignature);
            }
            found = true;
        }
        let checkpoint = Self::parse(signed, origin).ok_or(NoteError::Malformed)?;
        if found { Ok(checkpoint) } else { Err(NoteError::OtherKey) }
    }

    fn parse(text: &str, origin: &Origin) -> Option<Self> {
        let mut lines = text.strip_suffix('\n')?.split('\n');
        (lines.next()? == origin.as_str()).then_some(())?;
        let (size, rest) = integer(lines.next()?.as_bytes())?;
        rest.is_empty().then_some(())?;
        let root = parse_base64(lines.next()?)?.try_into().ok().map(Digest::from_bytes)?;
        let head = lines.next()?.strip_prefix("head ")?;
        let head = parse_hex(head.as_bytes()).map(Digest::from_bytes)?;
        let time = lines.next()?.strip_prefix("time ")?.to_owned();
        is_timestamp(time.as_bytes()).then_some(())?;
        let closed = match lines.next()? {
            "state closed" => true,
            "state open" => false,
            _ => return None,
        };
        lines.next().is_none().then_some(Self { size, root, head, time, closed })
    }
}

/// The notes of a checkpoint file, and the length of what follows the last complete one.
pub(crate) fn notes(file: &[u8]) -> (Vec<&[u8]>, usize) {
    let mut notes = Vec::new();
    let mut rest = file;
    while let Some(len) = note_len(rest) {
        let Some((note, next)) = rest.split_at_checked(len) else { break };
        notes.push(note);
        match next.strip_prefix(b"\n") {
            Some(next) => rest = next,
            None => break,
        }
    }
    (notes, rest.len())
}

/// Length of a note that the parting empty line follows: text, empty line, signatures.
fn note_len(file: &[u8]) -> Option<usize> {
    let window = file.get(..file.len().min(MAX_NOTE_BYTES))?;
    let text = memchr::memmem::find(window, b"\n\n")?.checked_add(2)?;
    let signatures = memchr::memmem::find(window.get(text..)?, b"\n\n")?.checked_add(1)?;
    text.checked_add(signatures)
}

#[cfg(test)]
mod tests;
