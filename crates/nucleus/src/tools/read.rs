//! `read`: a file's text with line numbers, or a picture as it is.
//!
//! Each line is its number, right-aligned to six places, a tab, and the line's text without its line ending:
//! what `cat -n` prints. Whatever the tool has to say itself stands in square brackets on lines of its own,
//! after the text.

use std::fmt::Write;
use std::io::{BufRead, BufReader, Read};

use super::bounds::{Bounds, Paths};
use super::error::ToolError;
use super::image::image_format;
use super::limits::{
    BINARY_PROBE_BYTES, IMAGE_MAX_BYTES, READ_LINE_MAX_BYTES, READ_SCAN_MAX_BYTES,
    READ_TEXT_MAX_BYTES,
};
use super::resolver::Resolver;
use super::text::{binary_format, lossy, plural, prefix, size};
use crate::result::Image;

/// Lines between two looks at the deadline.
const LINES_BETWEEN_CHECKS: u64 = 64;
/// Memory for text is taken by the size of the file, up to this; what is longer grows.
const READ_TEXT_ROOM_BYTES: u64 = 16 * 1024;

/// Which part of which file.
#[derive(Debug)]
pub(crate) struct ReadArgs<'a> {
    /// Path as the agent gave it.
    pub(crate) path: &'a str,
    /// First line, from 1.
    pub(crate) offset: u64,
    /// Most lines.
    pub(crate) limit: u64,
}

/// What was read.
#[derive(Debug)]
pub(crate) struct ReadOutcome {
    /// Text for the agent.
    pub(crate) text: String,
    /// The picture, when the file is one; then there are no lines.
    pub(crate) image: Option<Image>,
    /// Lines given.
    pub(crate) lines: u64,
    /// Bytes of the file that were looked at.
    pub(crate) bytes: u64,
    /// Whether more lines follow or one was cut.
    pub(crate) truncated: bool,
}

/// Reads lines of a text file.
pub(crate) fn read(
    resolver: &Resolver<'_>,
    paths: &dyn Paths,
    args: &ReadArgs<'_>,
    bounds: &Bounds<'_>,
) -> Result<ReadOutcome, ToolError> {
    resolver.act(|| {
        let opened = resolver.open_file(args.path, paths)?;
        let file_bytes = u64::try_from(opened.stat.st_size).unwrap_or(0);
        let mut reader = BufReader::with_capacity(64 * 1024, opened.file);
        let start = reader.fill_buf().map_err(|e| ToolError::io("read", &opened.real, e))?;
        let probe = start.get(..BINARY_PROBE_BYTES).unwrap_or(start);
        if let Some((mime_type, name)) = image_format(args.path, probe) {
            return picture(reader, file_bytes, (mime_type, name), &opened.real, bounds);
        }
        if let Some(format) = binary_format(probe) {
            return Err(ToolError::Binary { path: opened.real, bytes: file_bytes, format });
        }
        let room = usize::try_from(file_bytes.min(READ_TEXT_ROOM_BYTES)).unwrap_or(0);
        let text = String::with_capacity(room);
        let mut page = Page { text, file_bytes, ..Page::default() };
        page.fill(&mut reader, args, bounds, &opened.real)?;
        page.finish(args, opened.real)
    })
}

/// A whole picture.
fn picture(
    reader: impl Read,
    file_bytes: u64,
    (mime_type, name): (&'static str, &'static str),
    real: &str,
    bounds: &Bounds<'_>,
) -> Result<ReadOutcome, ToolError> {
    bounds.go_on()?;
    let mut bytes = Vec::new();
    let limit_bytes = IMAGE_MAX_BYTES;
    let read = reader.take(limit_bytes.saturating_add(1)).read_to_end(&mut bytes);
    let length = read.map_err(|error| ToolError::io("read", real, error))? as u64;
    if length > limit_bytes {
        let path = real.to_owned();
        return Err(ToolError::TooLarge { path, bytes: file_bytes.max(length), limit_bytes });
    }
    Ok(ReadOutcome {
        text: format!("[{name} picture, {}]\n", size(length)),
        image: Some(Image { bytes, mime_type }),
        lines: 0,
        bytes: length,
        truncated: false,
    })
}

#[derive(Default)]
struct Page {
    text: String,
    /// Lines passed so far, those before the offset included.
    seen: u64,
    given: u64,
    bytes: u64,
    file_bytes: u64,
    damaged: bool,
    carriage_returns: u64,
    cut_lines: u64,
    ended: bool,
    newline_at_end: bool,
}

impl Page {
    fn fill(
        &mut self,
        reader: &mut impl BufRead,
        args: &ReadArgs<'_>,
        bounds: &Bounds<'_>,
        real: &str,
    ) -> Result<(), ToolError> {
        let mut line = Vec::new();
        while self.given < args.limit && self.text.len() < READ_TEXT_MAX_BYTES {
            // Asking what time it is costs as much as a line does.
            if self.seen.is_multiple_of(LINES_BETWEEN_CHECKS) {
                bounds.go_on()?;
            }
            let wanted = self.seen.saturating_add(1) >= args.offset;
            let keep = if wanted { READ_LINE_MAX_BYTES } else { 0 };
            let Some(length) = take_line(reader, &mut line, keep, bounds, real)? else {
                self.ended = true;
                return Ok(());
            };
            self.newline_at_end = length.newline;
            self.bytes = self.bytes.saturating_add(length.bytes);
            if self.bytes > READ_SCAN_MAX_BYTES {
                return Err(ToolError::TooLarge {
                    path: real.to_owned(),
                    bytes: self.file_bytes,
                    limit_bytes: READ_SCAN_MAX_BYTES,
                });
            }
            self.seen = self.seen.saturating_add(1);
            if wanted {
                self.push(&line, &length);
            }
        }
        let rest = reader.fill_buf().map_err(|e| ToolError::io("read", real, e))?;
        self.ended = rest.is_empty();
        Ok(())
    }

    fn push(&mut self, line: &[u8], length: &LineLength) {
        let mut body = line;
        if length.cut == 0
            && length.newline
            && let Some(stripped) = body.strip_suffix(b"\r")
        {
            body = stripped;
            self.carriage_returns = self.carriage_returns.saturating_add(1);
        }
        let (text, damaged) = lossy(body);
        self.damaged |= damaged;
        // Nothing can keep a text from growing.
        let _written = write!(self.text, "{:>6}\t", self.seen);
        self.text.push_str(&text);
        if length.cut > 0 {
            self.cut_lines = self.cut_lines.saturating_add(1);
            self.text.push_str(&format!(" [line cut, {} more bytes]", length.cut));
        }
        self.text.push('\n');
        self.given = self.given.saturating_add(1);
    }

    fn finish(mut self, args: &ReadArgs<'_>, real: String) -> Result<ReadOutcome, ToolError> {
        if self.given == 0 && self.seen > 0 {
            return Err(ToolError::BeyondEnd { path: real, lines: self.seen });
        }
        if self.given == 0 {
            self.text.push_str("[the file is empty]\n");
        }
        if self.ended && self.given > 0 && !self.newline_at_end {
            self.text.push_str("[no newline at the end of the file]\n");
        }
        if self.carriage_returns > 0 {
            self.text.push_str(&format!(
                "[{} above end in CRLF; edit needs \\r\\n to match across them]\n",
                plural(self.carriage_returns, "line", "lines")
            ));
        }
        if self.damaged {
            self.text.push_str("[not all UTF-8: other bytes are shown as U+FFFD]\n");
        }
        if !self.ended {
            self.text.push_str(&format!(
                "[lines {}-{} shown, the file goes on ({} bytes); read on with offset {}]\n",
                args.offset.max(1),
                self.seen,
                self.file_bytes,
                self.seen.saturating_add(1)
            ));
        }
        Ok(ReadOutcome {
            text: self.text,
            image: None,
            lines: self.given,
            bytes: self.bytes,
            truncated: !self.ended || self.cut_lines > 0,
        })
    }
}

struct LineLength {
    bytes: u64,
    cut: u64,
    newline: bool,
}

/// Takes one line from `reader`, keeping at most `keep` bytes of it in `line`. `None` at the end of the file.
fn take_line(
    reader: &mut impl BufRead,
    line: &mut Vec<u8>,
    keep: usize,
    bounds: &Bounds<'_>,
    real: &str,
) -> Result<Option<LineLength>, ToolError> {
    line.clear();
    let mut total: u64 = 0;
    let mut newline = false;
    while !newline && total <= READ_SCAN_MAX_BYTES {
        if total > 0 {
            bounds.go_on()?;
        }
        let chunk = reader.fill_buf().map_err(|e| ToolError::io("read", real, e))?;
        if chunk.is_empty() {
            break;
        }
        let end = memchr::memchr(b'\n', chunk);
        let body = end.and_then(|at| chunk.get(..at)).unwrap_or(chunk);
        newline = end.is_some();
        let used = body.len().saturating_add(usize::from(newline));
        // A character more than is shown, so that the cut falls between characters.
        let room = keep.saturating_add(4).saturating_sub(line.len());
        line.extend_from_slice(body.get(..room).unwrap_or(body));
        total = total.saturating_add(u64::try_from(used).unwrap_or(u64::MAX));
        reader.consume(used);
    }
    if total == 0 {
        return Ok(None);
    }
    let body_bytes = total.saturating_sub(u64::from(newline));
    if line.len() > keep {
        let shown = prefix(line, keep).len();
        line.truncate(shown);
    }
    let kept = u64::try_from(line.len()).unwrap_or(u64::MAX);
    Ok(Some(LineLength { bytes: total, cut: body_bytes.saturating_sub(kept), newline }))
}

#[cfg(test)]
mod tests;
