//! `grep`: lines that match a regular expression, by ripgrep's engine.
//!
//! One line of the result is `path:line:text` for a match and `path-line-text` for context, with `--` between
//! places that do not touch.

mod sink;

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::OwnedFd;

use globset::GlobMatcher;
use grep_regex::RegexMatcher;
use grep_searcher::{BinaryDetection, Searcher, SearcherBuilder};
use rustix::fs::FileType;

use super::bounds::{Bounds, Paths};
use super::error::{Kind, ToolError, shown};
use super::glob::notes;
use super::limits::{GREP_FILE_MAX_BYTES, GREP_LINE_MAX_BYTES, GREP_TEXT_MAX_BYTES};
use super::pattern;
use super::resolver::{READ, Resolver, admit};
use super::text::plural;
use super::tree::{Flow, Seen, Skipped, walk};
use sink::FileSink;

/// What the result shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Show {
    /// The lines.
    Lines,
    /// The names of the files.
    Files,
    /// How many lines match in each file.
    Counts,
}

/// What to look for, and where.
#[derive(Debug, Clone, Copy)]
pub(crate) struct GrepArgs<'a> {
    /// Regular expression.
    pub(crate) pattern: &'a str,
    /// File or directory to look in; empty = the workspace.
    pub(crate) path: &'a str,
    /// Only files whose name matches (with a `/`: whose path below `path` matches; with `!` before it: the others).
    pub(crate) glob: Option<&'a str>,
    /// Upper and lower case are the same.
    pub(crate) ignore_case: bool,
    /// Lines around each match.
    pub(crate) context: usize,
    /// Most matches in all.
    pub(crate) max_matches: u64,
    /// What to show.
    pub(crate) show: Show,
}

/// What was found.
#[derive(Debug)]
pub(crate) struct GrepOutcome {
    /// Text for the agent.
    pub(crate) text: String,
    /// Lines that match.
    pub(crate) matches: u64,
    /// Files with a match.
    pub(crate) files: u64,
    /// Bytes looked through.
    pub(crate) bytes: u64,
    /// The search ended at a limit.
    pub(crate) truncated: bool,
}

/// Searches files. Ignored, withheld and binary files are not looked into.
pub(crate) fn grep(
    resolver: &Resolver<'_>,
    paths: &dyn Paths,
    args: &GrepArgs<'_>,
    bounds: &Bounds<'_>,
) -> Result<GrepOutcome, ToolError> {
    let matcher = pattern::regex(args.pattern, args.ignore_case)?;
    let filter = args.glob.map(Filter::parse).transpose()?;
    resolver.act(|| {
        let mut search = Search::new(resolver, args, &matcher, bounds);
        let located = resolver.locate_here(args.path)?;
        match located.kind {
            Kind::File => {
                admit(paths, args.path, &located.real)?;
                search.file(&located.real)?;
                return Ok(search.finish(&Skipped::default()));
            }
            Kind::Directory => {}
            Kind::Missing => return Err(ToolError::NotFound { path: located.real }),
            kind => return Err(ToolError::NotRegular { path: located.real, kind }),
        }
        let (directory, start) = resolver.open_directory(args.path)?;
        let skipped = walk(resolver, &start, &directory, bounds, &mut |seen| {
            if seen.link || filter.as_ref().is_some_and(|filter| !filter.passes(seen)) {
                return Ok(Flow::On);
            }
            if !paths.visible(seen.real) {
                search.withheld = search.withheld.saturating_add(1);
                return Ok(Flow::On);
            }
            search.file(seen.real)
        })?;
        Ok(search.finish(&skipped))
    })
}

/// The `glob` argument.
struct Filter {
    matcher: GlobMatcher,
    by_name: bool,
    negated: bool,
}

impl Filter {
    fn parse(text: &str) -> Result<Self, ToolError> {
        let (negated, text) = text.strip_prefix('!').map_or((false, text), |rest| (true, rest));
        let by_name = !text.contains('/');
        let matcher = pattern::glob(text.strip_prefix("./").unwrap_or(text))?;
        Ok(Self { matcher, by_name, negated })
    }

    fn passes(&self, seen: &Seen<'_>) -> bool {
        let name = seen.real.rsplit_once('/').map_or(seen.real, |(_, name)| name);
        self.matcher.is_match(if self.by_name { name } else { seen.below }) != self.negated
    }
}

/// One search over several files.
struct Search<'a> {
    resolver: &'a Resolver<'a>,
    matcher: &'a RegexMatcher,
    bounds: &'a Bounds<'a>,
    searcher: Searcher,
    show: Show,
    max_matches: u64,
    text: String,
    matches: u64,
    files: u64,
    bytes: u64,
    withheld: u64,
    too_large: u64,
    unreadable: u64,
    truncated: bool,
}

impl<'a> Search<'a> {
    fn new(
        resolver: &'a Resolver<'a>,
        args: &GrepArgs<'_>,
        matcher: &'a RegexMatcher,
        bounds: &'a Bounds<'a>,
    ) -> Self {
        let context = if args.show == Show::Lines { args.context } else { 0 };
        let searcher = SearcherBuilder::new()
            .line_number(true)
            .before_context(context)
            .after_context(context)
            .binary_detection(BinaryDetection::quit(0))
            .heap_limit(Some(GREP_LINE_MAX_BYTES))
            .build();
        Self {
            resolver,
            matcher,
            bounds,
            searcher,
            show: args.show,
            max_matches: args.max_matches.max(1),
            text: String::new(),
            matches: 0,
            files: 0,
            bytes: 0,
            withheld: 0,
            too_large: 0,
            unreadable: 0,
            truncated: false,
        }
    }

    /// Searches one file by its real name, which policy has admitted.
    fn file(&mut self, real: &str) -> Result<Flow, ToolError> {
        let Some(fd) = self.resolver.open_real(real, READ).ok().flatten() else {
            self.unreadable = self.unreadable.saturating_add(1);
            return Ok(Flow::On);
        };
        let Some(size) = regular_size(&fd) else { return Ok(Flow::On) };
        if size > GREP_FILE_MAX_BYTES {
            self.too_large = self.too_large.saturating_add(1);
            return Ok(Flow::On);
        }
        let mut reader = BoundedReader::new(File::from(fd), self.bounds);
        let mut sink = FileSink::new(
            self.matcher,
            real,
            self.show,
            self.max_matches.saturating_sub(self.matches),
            GREP_TEXT_MAX_BYTES.saturating_sub(self.text.len()),
        );
        let searched = self.searcher.search_reader(self.matcher, &mut reader, &mut sink);
        self.bytes = self.bytes.saturating_add(reader.bytes);
        if let Some(error) = reader.stopped.take() {
            return Err(error);
        }
        if searched.is_err() {
            self.unreadable = self.unreadable.saturating_add(1);
        }
        Ok(self.take(sink, real))
    }

    fn take(&mut self, sink: FileSink<'_>, real: &str) -> Flow {
        if sink.matches == 0 {
            return Flow::On;
        }
        self.files = self.files.saturating_add(1);
        self.matches = self.matches.saturating_add(sink.matches);
        match self.show {
            Show::Lines => {
                if sink.contexts && !self.text.is_empty() {
                    self.text.push_str("--\n");
                }
                self.text.push_str(&sink.text);
            }
            Show::Files => self.text.push_str(&format!("{}\n", shown(real))),
            Show::Counts => self.text.push_str(&format!("{}:{}\n", shown(real), sink.matches)),
        }
        self.truncated |= sink.full;
        let full = self.matches >= self.max_matches || self.text.len() >= GREP_TEXT_MAX_BYTES;
        self.truncated |= full;
        if full || sink.full { Flow::Stop } else { Flow::On }
    }

    fn finish(mut self, skipped: &Skipped) -> GrepOutcome {
        if self.matches == 0 {
            self.text.push_str("No line matches.\n");
        }
        if self.truncated {
            self.text.push_str(&format!(
                "[ended at a limit after {}; narrow the pattern, the path or the glob]\n",
                plural(self.matches, "match", "matches")
            ));
        }
        if self.too_large > 0 {
            self.text.push_str(&format!(
                "[{} larger than {GREP_FILE_MAX_BYTES} bytes passed over]\n",
                plural(self.too_large, "file", "files")
            ));
        }
        let mut skipped = *skipped;
        skipped.unreadable = skipped.unreadable.saturating_add(self.unreadable);
        self.text.push_str(&notes(self.withheld, &skipped));
        GrepOutcome {
            text: self.text,
            matches: self.matches,
            files: self.files,
            bytes: self.bytes,
            truncated: self.truncated || skipped.exhausted,
        }
    }
}

/// Size of a regular file; `None` for what was swapped in for one.
fn regular_size(fd: &OwnedFd) -> Option<u64> {
    let stat = rustix::fs::fstat(fd).ok()?;
    if !FileType::from_raw_mode(stat.st_mode).is_file() {
        return None;
    }
    u64::try_from(stat.st_size).ok()
}

/// Reads a file up to the limit while the call may go on.
struct BoundedReader<'a> {
    file: File,
    bounds: &'a Bounds<'a>,
    bytes: u64,
    stopped: Option<ToolError>,
}

impl<'a> BoundedReader<'a> {
    fn new(file: File, bounds: &'a Bounds<'a>) -> Self {
        Self { file, bounds, bytes: 0, stopped: None }
    }
}

impl Read for BoundedReader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if let Err(error) = self.bounds.go_on() {
            self.stopped = Some(error);
            return Err(io::Error::other("stopped"));
        }
        if self.bytes >= GREP_FILE_MAX_BYTES {
            return Ok(0);
        }
        let count = self.file.read(buffer)?;
        self.bytes = self.bytes.saturating_add(u64::try_from(count).unwrap_or(u64::MAX));
        Ok(count)
    }
}

#[cfg(test)]
mod tests;
