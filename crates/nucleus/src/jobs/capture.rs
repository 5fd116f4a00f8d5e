//! Output in bounded memory.

use std::collections::VecDeque;

use nucleus_sys::weaken::{self, Weak};

use crate::tools::limits::{OUTPUT_HEAD_BYTES, OUTPUT_TAIL_BYTES};
use crate::tools::text::{lossy, prefix};

/// The newest bytes of a stream, with the place of each in the whole.
#[derive(Debug)]
pub(crate) struct Ring {
    bytes: VecDeque<u8>,
    /// Bytes that ever came.
    total: u64,
    capacity: usize,
}

/// A part of what a ring holds.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Part {
    /// Bytes between the place asked for and the first one still held.
    pub(crate) lost: u64,
    /// Where those can still be read from, when they can.
    pub(crate) kept_at: Option<u64>,
    /// The bytes.
    pub(crate) bytes: Vec<u8>,
    /// The place after them.
    pub(crate) next: u64,
}

impl Ring {
    /// An empty ring of `capacity` bytes.
    pub(crate) fn new(capacity: usize) -> Self {
        Self { bytes: VecDeque::new(), total: 0, capacity }
    }

    /// Adds bytes, dropping the oldest.
    pub(crate) fn push(&mut self, chunk: &[u8]) {
        self.total = self.total.saturating_add(length(chunk));
        let newest = chunk.len().saturating_sub(self.capacity);
        let kept = chunk.get(newest..).unwrap_or_default();
        let over = self.bytes.len().saturating_add(kept.len()).saturating_sub(self.capacity);
        self.bytes.drain(..over.min(self.bytes.len()));
        self.bytes.extend(kept);
    }

    /// Bytes that ever came.
    pub(crate) fn total(&self) -> u64 {
        self.total
    }

    /// At most `max` bytes from the place `from` on.
    pub(crate) fn part(&self, from: u64, max: usize) -> Part {
        let held = u64::try_from(self.bytes.len()).unwrap_or(u64::MAX);
        let oldest = self.total.saturating_sub(held);
        let from = from.min(self.total);
        let start = from.max(oldest);
        let skip = usize::try_from(start.saturating_sub(oldest)).unwrap_or(usize::MAX);
        let bytes: Vec<u8> = self.bytes.iter().skip(skip).take(max).copied().collect();
        let next = start.saturating_add(length(&bytes));
        Part { lost: start.saturating_sub(from), kept_at: None, bytes, next }
    }

    /// The newest bytes, at most `max`.
    pub(crate) fn newest(&self, max: usize) -> Vec<u8> {
        let skip = self.bytes.len().saturating_sub(max);
        self.bytes.iter().skip(skip).copied().collect()
    }
}

/// Start and end of one stream.
#[derive(Debug)]
pub(crate) struct Capture {
    head: Vec<u8>,
    tail: Ring,
    head_capacity: usize,
}

impl Default for Capture {
    fn default() -> Self {
        // Test builds can remove the bound to show that it is what keeps memory small.
        let bounded = !weaken::off(Weak::OutputBound);
        Self::new(if bounded { OUTPUT_HEAD_BYTES } else { usize::MAX }, OUTPUT_TAIL_BYTES)
    }
}

impl Capture {
    /// A capture that keeps the first `head` and the last `tail` bytes.
    pub(crate) fn new(head: usize, tail: usize) -> Self {
        Self { head: Vec::new(), tail: Ring::new(tail), head_capacity: head }
    }

    /// Adds bytes.
    pub(crate) fn push(&mut self, chunk: &[u8]) {
        let room = self.head_capacity.saturating_sub(self.head.len()).min(chunk.len());
        let (first, rest) = chunk.split_at_checked(room).unwrap_or((chunk, &[]));
        self.head.extend_from_slice(first);
        self.tail.push(rest);
    }

    /// Bytes that ever came.
    pub(crate) fn total(&self) -> u64 {
        length(&self.head).saturating_add(self.tail.total())
    }

    /// Bytes that are no longer held.
    pub(crate) fn dropped(&self) -> u64 {
        self.tail.part(0, 0).lost
    }

    /// The text, with what was dropped said where it is missing.
    pub(crate) fn text(&self) -> String {
        let dropped = self.dropped();
        let tail = self.tail.newest(usize::MAX);
        if dropped == 0 {
            let whole: Vec<u8> = self.head.iter().chain(&tail).copied().collect();
            return lossy(&whole).0.into_owned();
        }
        let head = prefix(&self.head, self.head.len());
        let characters = tail.iter().take(3).take_while(|byte| **byte & 0xC0 == 0x80).count();
        let tail = tail.get(characters..).unwrap_or_default();
        format!("{}\n[{dropped} bytes dropped here]\n{}", lossy(head).0, lossy(tail).0)
    }
}

fn length(bytes: &[u8]) -> u64 {
    u64::try_from(bytes.len()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn head_and_tail_are_kept_and_the_gap_is_counted() {
        let mut capture = Capture::new(4, 4);
        for chunk in [&b"ab"[..], b"cdef", b"ghijkl"] {
            capture.push(chunk);
        }
        assert_eq!(capture.total(), 12);
        assert_eq!(capture.dropped(), 4);
        assert_eq!(capture.text(), "abcd\n[4 bytes dropped here]\nijkl");
    }

    #[test]
    fn what_fits_is_given_whole_even_across_head_and_tail() {
        let mut capture = Capture::new(2, 4);
        capture.push("aéz".as_bytes());
        assert_eq!(capture.dropped(), 0);
        assert_eq!(capture.text(), "aéz");
    }

    #[test]
    fn a_part_says_what_it_lost() {
        let mut ring = Ring::new(4);
        ring.push(b"abcdef");
        assert_eq!(
            ring.part(0, 10),
            Part { lost: 2, kept_at: None, bytes: b"cdef".to_vec(), next: 6 }
        );
        assert_eq!(
            ring.part(3, 2),
            Part { lost: 0, kept_at: None, bytes: b"de".to_vec(), next: 5 }
        );
        assert_eq!(ring.part(6, 2), Part { lost: 0, kept_at: None, bytes: vec![], next: 6 });
        assert_eq!(ring.part(99, 2), Part { lost: 0, kept_at: None, bytes: vec![], next: 6 });
    }

    proptest! {
        #[test]
        fn a_ring_is_the_end_of_all_that_came(chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..20), 0..20), capacity in 0_usize..30) {
            let mut ring = Ring::new(capacity);
            for chunk in &chunks {
                ring.push(chunk);
                prop_assert!(ring.newest(usize::MAX).len() <= capacity);
            }
            let all: Vec<u8> = chunks.concat();
            prop_assert_eq!(ring.total(), all.len() as u64);
            prop_assert_eq!(ring.newest(usize::MAX), all[all.len().saturating_sub(capacity)..].to_vec());
        }
    }
}
