//! Inflating a zlib stream bit by bit, so that no claim about its size is believed.

use std::io::{self, Read};

use miniz_oxide::inflate::stream::{InflateState, inflate};
use miniz_oxide::{DataFormat, MZError, MZFlush, MZStatus};

/// Bytes read from the source at once.
const INPUT_BYTES: usize = 4096;

/// What a zlib stream holds.
pub(super) struct Inflate<R> {
    source: R,
    state: Box<InflateState>,
    input: Vec<u8>,
    /// What of the input was not inflated yet.
    at: usize,
    end: usize,
    source_ended: bool,
    ended: bool,
}

impl<R: Read> Inflate<R> {
    pub(super) fn new(source: R) -> Self {
        Self {
            source,
            state: InflateState::new_boxed(DataFormat::Zlib),
            input: vec![0; INPUT_BYTES],
            at: 0,
            end: 0,
            source_ended: false,
            ended: false,
        }
    }

    /// Reads `size` bytes, which must be all there are.
    pub(super) fn exactly(&mut self, size: usize) -> io::Result<Vec<u8>> {
        let mut content = Vec::new();
        // One more than allowed shows that the stream does not end there. Memory follows what comes, not what is said.
        let limit = u64::try_from(size).unwrap_or(u64::MAX).saturating_add(1);
        self.take(limit).read_to_end(&mut content)?;
        if content.len() == size { Ok(content) } else { Err(io::ErrorKind::InvalidData.into()) }
    }

    /// Whether the stream ended, and with it the source.
    pub(super) fn is_whole(&mut self) -> io::Result<bool> {
        if !self.ended {
            return Ok(false);
        }
        Ok(self.at == self.end && self.source.read(&mut self.input)? == 0)
    }
}

impl<R: Read> Read for Inflate<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        loop {
            if self.ended || out.is_empty() {
                return Ok(0);
            }
            if self.at >= self.end && !self.source_ended {
                self.end = self.source.read(&mut self.input)?;
                self.at = 0;
                self.source_ended = self.end == 0;
            }
            let input = self.input.get(self.at..self.end).unwrap_or_default();
            let result = inflate(&mut self.state, input, out, MZFlush::None);
            self.at = self.at.saturating_add(result.bytes_consumed);
            match result.status {
                Ok(MZStatus::StreamEnd) => self.ended = true,
                Ok(_) | Err(MZError::Buf) => {}
                Err(_) => return Err(io::ErrorKind::InvalidData.into()),
            }
            if result.bytes_written > 0 || self.ended {
                return Ok(result.bytes_written);
            }
            if result.bytes_consumed == 0 && (self.source_ended || self.at < self.end) {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }
}
