//! What one file adds to the result of a search.

use std::io;

use grep_matcher::Matcher;
use grep_regex::RegexMatcher;
use grep_searcher::{Searcher, Sink, SinkContext, SinkMatch};

use super::Show;
use crate::tools::error::shown;
use crate::tools::limits::GREP_SHOWN_LINE_MAX_BYTES;
use crate::tools::text::{lossy, prefix};

/// Text before a match that is kept when a long line is cut.
const BEFORE_MATCH_BYTES: usize = 200;

/// Takes the matches of one file.
pub(super) struct FileSink<'a> {
    /// Lines, rendered.
    pub(super) text: String,
    /// Lines that match.
    pub(super) matches: u64,
    /// Lines of context are among the text.
    pub(super) contexts: bool,
    /// A limit ended the search of this file.
    pub(super) full: bool,
    matcher: &'a RegexMatcher,
    path: String,
    show: Show,
    matches_left: u64,
    text_left: usize,
}

impl<'a> FileSink<'a> {
    pub(super) fn new(
        matcher: &'a RegexMatcher,
        real: &str,
        show: Show,
        matches_left: u64,
        text_left: usize,
    ) -> Self {
        Self {
            text: String::new(),
            matches: 0,
            contexts: false,
            full: false,
            matcher,
            path: shown(real),
            show,
            matches_left,
            text_left,
        }
    }

    fn push(&mut self, mark: char, number: Option<u64>, line: &[u8], at: usize) {
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let from = if line.len() > GREP_SHOWN_LINE_MAX_BYTES {
            at.saturating_sub(BEFORE_MATCH_BYTES)
        } else {
            0
        };
        let rest = line.get(from..).unwrap_or_default();
        let cut = prefix(rest, GREP_SHOWN_LINE_MAX_BYTES);
        let head = if from > 0 { "[…] " } else { "" };
        let tail = if cut.len() < rest.len() { " […]" } else { "" };
        let number = number.map_or_else(String::new, |n| format!("{n}{mark}"));
        self.text.push_str(&format!("{}{mark}{number}{head}{}{tail}\n", self.path, lossy(cut).0));
    }
}

impl Sink for FileSink<'_> {
    type Error = io::Error;

    fn matched(&mut self, _: &Searcher, found: &SinkMatch<'_>) -> Result<bool, io::Error> {
        if self.matches >= self.matches_left {
            self.full = true;
            return Ok(false);
        }
        self.matches = self.matches.saturating_add(1);
        if self.show == Show::Files {
            return Ok(false);
        }
        if self.show == Show::Lines {
            let at = self.matcher.find(found.bytes()).ok().flatten().map_or(0, |m| m.start());
            self.push(':', found.line_number(), found.bytes(), at);
        }
        self.full = self.text.len() >= self.text_left;
        Ok(!self.full)
    }

    fn context(&mut self, _: &Searcher, context: &SinkContext<'_>) -> Result<bool, io::Error> {
        self.contexts = true;
        self.push('-', context.line_number(), context.bytes(), 0);
        self.full = self.text.len() >= self.text_left;
        Ok(!self.full)
    }

    fn context_break(&mut self, _: &Searcher) -> Result<bool, io::Error> {
        self.text.push_str("--\n");
        Ok(true)
    }
}
