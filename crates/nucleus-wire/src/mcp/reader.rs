use std::io::{self, ErrorKind, Read};

use crate::limits::FRAME_MAX_BYTES;

/// What [`FrameReader`] found between two line ends.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Line {
    /// A complete line without its end; not parsed yet, never blank.
    Frame(Vec<u8>),
    /// A line longer than the limit. Its bytes are gone and the rest of it will be skipped; the stream goes on
    /// with the line after it.
    Oversize {
        /// The limit it broke, in bytes.
        limit: usize,
    },
    /// The stream ended inside a line. What was there is not a message.
    Torn {
        /// Bytes that were dropped.
        bytes: usize,
    },
}

/// Cuts a byte stream into newline-delimited frames, holding at most one frame.
///
/// A line that is too long is reported as soon as the limit is passed, so the peer can be told before it has
/// finished sending, and costs no memory beyond the limit.
#[derive(Debug)]
pub struct FrameReader<R> {
    input: R,
    /// Bytes of the line being read.
    line: Vec<u8>,
    /// Bytes read from `input` and not consumed: `chunk[start..end]`.
    chunk: Box<[u8]>,
    start: usize,
    end: usize,
    limit: usize,
    skipping: bool,
}

const CHUNK_BYTES: usize = 16 * 1024;

impl<R: Read> FrameReader<R> {
    /// A reader with the frame limit of agent-facing connections.
    pub fn new(input: R) -> Self {
        Self::with_limit(input, FRAME_MAX_BYTES)
    }

    /// A reader whose lines hold at most `limit` bytes, line end not counted.
    pub fn with_limit(input: R, limit: usize) -> Self {
        let chunk = vec![0; CHUNK_BYTES].into_boxed_slice();
        Self { input, line: Vec::new(), chunk, start: 0, end: 0, limit, skipping: false }
    }

    /// The next line, or `None` at the end of the stream. Blank lines are passed over.
    ///
    /// # Errors
    /// Those of the stream. Interrupted reads are retried; after any other error (a timeout, say) the call may
    /// be repeated and loses nothing.
    pub fn next_line(&mut self) -> io::Result<Option<Line>> {
        loop {
            if self.start == self.end && self.fill()? == 0 {
                self.skipping = false;
                let bytes = std::mem::take(&mut self.line).len();
                return Ok((bytes > 0).then_some(Line::Torn { bytes }));
            }
            let pending = self.chunk.get(self.start..self.end).unwrap_or_default();
            let newline = pending.iter().position(|byte| *byte == b'\n');
            let piece = pending.get(..newline.unwrap_or(pending.len())).unwrap_or_default();
            let room = self.limit.saturating_sub(self.line.len());
            let oversize = !self.skipping && piece.len() > room;
            if !self.skipping && !oversize {
                self.line.extend_from_slice(piece);
            }
            let consumed = piece.len().saturating_add(usize::from(newline.is_some()));
            self.start = self.start.saturating_add(consumed);
            let ended = newline.is_some();
            if oversize {
                self.line = Vec::new();
                self.skipping = !ended;
                return Ok(Some(Line::Oversize { limit: self.limit }));
            }
            if ended {
                self.skipping = false;
                let line = std::mem::take(&mut self.line);
                if !line.iter().all(u8::is_ascii_whitespace) {
                    return Ok(Some(Line::Frame(line)));
                }
            }
        }
    }

    fn fill(&mut self) -> io::Result<usize> {
        loop {
            match self.input.read(&mut self.chunk) {
                Ok(read) => {
                    self.start = 0;
                    self.end = read.min(self.chunk.len());
                    return Ok(self.end);
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}
