//! One entry as bytes: composed by the writer, scanned by the verifier, never re-serialised.

use crate::digest::Digest;
use crate::encoding::{hex32, is_hex};
use crate::json::{EventFacts, Scanner, integer};
use crate::key::EpochKey;
use crate::limits::MAX_LINE_BYTES;

const TIMESTAMP: &[u8] = b"{\"timestamp\":\"";
const SEQUENCE: &[u8] = b"\",\"sequence\":";
const PREVIOUS: &[u8] = b",\"previous_hash\":\"";
const EVENT: &[u8] = b"\",\"event\":";
const SIGNATURE: &[u8] = b",\"signature\":\"hmac-sha256:";
const END: &[u8] = b"\"}";
const TIMESTAMP_BYTES: usize = 24;
const HEX_BYTES: usize = 64;
const MAX_DIGITS: usize = 16;

/// What is left of a line for the event.
pub(crate) const MAX_EVENT_BYTES: usize = MAX_LINE_BYTES
    - TIMESTAMP.len()
    - TIMESTAMP_BYTES
    - SEQUENCE.len()
    - MAX_DIGITS
    - PREVIOUS.len()
    - HEX_BYTES
    - EVENT.len()
    - SIGNATURE.len()
    - HEX_BYTES
    - END.len();

/// A scanned line. All slices point into its bytes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Line<'a> {
    pub(crate) timestamp: &'a [u8],
    pub(crate) sequence: u64,
    /// Hexadecimal digits.
    pub(crate) previous: &'a [u8],
    pub(crate) event: &'a [u8],
    pub(crate) facts: EventFacts<'a>,
    /// Hexadecimal digits.
    pub(crate) tag: &'a [u8],
    /// The line up to its signature member.
    pub(crate) head: &'a [u8],
}

impl<'a> Line<'a> {
    /// Reads a line without its newline; `None` if it breaks any rule of the format.
    pub(crate) fn scan(scanner: &mut Scanner<'a>, line: &'a [u8]) -> Option<Self> {
        if line.len() > MAX_LINE_BYTES || line.iter().fold(false, |bad, b| bad | (*b < 0x20)) {
            return None;
        }
        if !line.is_ascii() && std::str::from_utf8(line).is_err() {
            return None;
        }
        let rest = line.strip_prefix(TIMESTAMP)?;
        let (timestamp, rest) = rest.split_at_checked(TIMESTAMP_BYTES)?;
        if !is_timestamp(timestamp) {
            return None;
        }
        let (sequence, rest) = integer(rest.strip_prefix(SEQUENCE)?)?;
        let (previous, rest) = rest.strip_prefix(PREVIOUS)?.split_at_checked(HEX_BYTES)?;
        let body = rest.strip_prefix(EVENT)?;
        let (facts, rest) = scanner.event(body)?;
        let event = body.get(..body.len().checked_sub(rest.len())?)?;
        let head = line.get(..line.len().checked_sub(rest.len())?)?;
        let (tag, rest) = rest.strip_prefix(SIGNATURE)?.split_at_checked(HEX_BYTES)?;
        (rest == END && is_hex(tag) && is_hex(previous)).then_some(Self {
            timestamp,
            sequence,
            previous,
            event,
            facts,
            tag,
            head,
        })
    }
}

/// Writes the next line and its newline to `batch`; returns the line's digest and its leaf hash.
pub(crate) fn compose(
    batch: &mut Vec<u8>,
    scratch: &mut Vec<u8>,
    key: &EpochKey,
    timestamp: &str,
    sequence: u64,
    previous: &Digest,
    event: &[u8],
) -> (Digest, Digest) {
    let start = batch.len();
    batch.extend_from_slice(TIMESTAMP);
    batch.extend_from_slice(timestamp.as_bytes());
    batch.extend_from_slice(SEQUENCE);
    batch.extend_from_slice(sequence.to_string().as_bytes());
    batch.extend_from_slice(PREVIOUS);
    batch.extend_from_slice(&previous.hex());
    batch.extend_from_slice(EVENT);
    batch.extend_from_slice(event);
    let tag = key.tag(batch.get(start..).unwrap_or_default());
    batch.extend_from_slice(SIGNATURE);
    batch.extend_from_slice(&hex32(&tag));
    batch.extend_from_slice(END);
    let line = batch.get(start..).unwrap_or_default();
    let hashes = (Digest::of(line), Digest::leaf(scratch, line));
    batch.push(b'\n');
    hashes
}

/// `YYYY-MM-DDTHH:MM:SS.mmmZ` with every field in its range.
pub(crate) fn is_timestamp(text: &[u8]) -> bool {
    let shape = text.iter().zip(b"0000-00-00T00:00:00.000Z").all(|(b, form)| match form {
        b'0' => b.is_ascii_digit(),
        other => b == other,
    });
    let two = |at: usize| match text.get(at..).unwrap_or_default() {
        [tens, ones, ..] => {
            tens.wrapping_sub(b'0').wrapping_mul(10).wrapping_add(ones.wrapping_sub(b'0'))
        }
        _ => u8::MAX,
    };
    let days = match two(5) {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        4 | 6 | 9 | 11 => 30,
        2 if leap(two(0), two(2)) => 29,
        2 => 28,
        _ => 0,
    };
    shape
        && text.len() == TIMESTAMP_BYTES
        && (1..=days).contains(&two(8))
        && two(11) < 24
        && two(14) < 60
        && two(17) < 60
}

/// Gregorian leap year, from its century and its year in the century.
const fn leap(century: u8, year: u8) -> bool {
    year.is_multiple_of(4) && (year != 0 || century.is_multiple_of(4))
}

#[cfg(test)]
mod tests;
