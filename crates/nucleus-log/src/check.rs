//! The part of verification that each line allows on its own, done on all cores.

use std::num::NonZero;
use std::thread;

use crate::digest::Digest;
use crate::header::Header;
use crate::json::Scanner;
use crate::key::EpochKey;
use crate::line::Line;

/// Below this, threads cost more than they bring.
const MIN_PART_BYTES: usize = 64 * 1024;
const MAX_THREADS: usize = 8;

/// A line and what could be said of it without the lines before its part.
#[derive(Debug)]
pub(crate) struct Checked<'a> {
    pub(crate) line: Line<'a>,
    pub(crate) digest: Digest,
    pub(crate) leaf: Digest,
    /// Whether it names the line before it; not known of the first line of a part.
    pub(crate) links: Option<bool>,
    /// Whether its MAC is that of its sequence number's epoch; not known without a key, or for a number out of range.
    pub(crate) authentic: Option<bool>,
}

/// What lines are checked against.
#[derive(Clone, Copy)]
pub(crate) struct Against<'k> {
    pub(crate) header: &'k Header,
    pub(crate) key: Option<&'k EpochKey>,
    /// The sequence number that the first line should have.
    pub(crate) expected: u64,
}

/// The lines of a part up to the first that breaks the format; if one does, the flag is set.
pub(crate) struct Part<'a> {
    pub(crate) lines: Vec<Checked<'a>>,
    pub(crate) malformed: bool,
}

/// Checks complete lines, each ended by its newline. The parts come back in order.
pub(crate) fn check<'a>(text: &'a [u8], against: Against<'_>) -> Vec<Part<'a>> {
    let cores = thread::available_parallelism().map_or(1, NonZero::get).min(MAX_THREADS);
    let size = text.len().div_ceil(cores).max(MIN_PART_BYTES);
    let mut pieces = Vec::with_capacity(cores);
    let mut rest = text;
    while !rest.is_empty() {
        let from = rest.get(size..).unwrap_or_default();
        let end = memchr::memchr(b'\n', from)
            .and_then(|at| at.checked_add(size)?.checked_add(1))
            .unwrap_or(rest.len());
        let Some((piece, next)) = rest.split_at_checked(end) else { break };
        pieces.push(piece);
        rest = next;
    }
    // A number that no line of this text can have is not worth a key.
    let limit = against.expected.saturating_add(u64::try_from(text.len()).unwrap_or(u64::MAX));
    let Some((first, others)) = pieces.split_first() else { return Vec::new() };
    thread::scope(|scope| {
        let others: Vec<_> =
            others.iter().map(|piece| scope.spawn(move || part(piece, against, limit))).collect();
        let mut parts = vec![part(first, against, limit)];
        // A thread that died has checked nothing: its part fails.
        parts.extend(
            others
                .into_iter()
                .map(|handle| handle.join().unwrap_or(Part { lines: Vec::new(), malformed: true })),
        );
        parts
    })
}

fn part<'a>(text: &'a [u8], against: Against<'_>, limit: u64) -> Part<'a> {
    let mut scanner = Scanner::default();
    let mut scratch = Vec::new();
    let mut key = against.key.map(EpochKey::share);
    let mut lines: Vec<Checked<'a>> = Vec::with_capacity(text.len() / 256);
    let mut previous: Option<Digest> = None;
    let mut rest = text;
    while let Some(end) = memchr::memchr(b'\n', rest) {
        let Some((bytes, next)) = rest.split_at_checked(end) else { break };
        rest = next.strip_prefix(b"\n").unwrap_or_default();
        let Some(line) = Line::scan(&mut scanner, bytes) else {
            return Part { lines, malformed: true };
        };
        let in_range = line.sequence >= against.expected && line.sequence <= limit;
        let authentic = match &mut key {
            Some(key) if in_range => {
                let there = key.forward_to(against.header.epoch_of(line.sequence));
                there.is_ok().then(|| key.accepts(line.head, line.tag))
            }
            _ => None,
        };
        let digest = Digest::of(bytes);
        let leaf = Digest::leaf(&mut scratch, bytes);
        let links = previous.map(|previous| line.previous == previous.hex());
        previous = Some(digest);
        lines.push(Checked { line, digest, leaf, links, authentic });
    }
    Part { lines, malformed: false }
}
