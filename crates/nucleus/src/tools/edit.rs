//! `edit`: exact replacement of text in a file.
//!
//! The old text must occur exactly once, or `replace_all` be given. When it does not, the error says what is
//! different (line endings, white space, line numbers copied from `read`) or where the several places are.

mod hint;

use std::io::Read;

use memchr::memmem;

use super::bounds::{Bounds, Paths};
use super::error::{ToolError, shown};
use super::limits::{EDIT_FILE_MAX_BYTES, EDIT_PLACES_MAX, RACE_RETRIES_MAX};
use super::replace::{Version, replace};
use super::resolver::{Opened, Resolver};
use super::text::{binary_format, lossy, plural, prefix};

use crate::approved::Written;
use crate::digest::Digest;

pub(crate) use hint::EditHint;

const SNIPPET_LINES_AROUND: usize = 3;
const SNIPPET_LINES_MAX: usize = 40;
const SNIPPET_LINE_MAX_BYTES: usize = 400;

/// What to change in which file.
#[derive(Debug)]
pub(crate) struct EditArgs<'a> {
    /// Path as the agent gave it.
    pub(crate) path: &'a str,
    /// Text that is there.
    pub(crate) old: &'a str,
    /// Text that takes its place.
    pub(crate) new: &'a str,
    /// Replace every occurrence.
    pub(crate) all: bool,
}

/// What was changed.
#[derive(Debug)]
pub(crate) struct EditOutcome {
    /// Text for the agent.
    pub(crate) text: String,
    /// Bytes written.
    pub(crate) bytes: u64,
    /// Occurrences replaced.
    pub(crate) replaced: u64,
    /// Where it really went, and what is there now.
    pub(crate) written: Written,
}

/// Why an edit does not apply.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum EditFault {
    /// Nothing to look for.
    #[error("old_string is empty; use write to make a file or to replace all of it")]
    EmptyOld,
    /// Nothing would change.
    #[error("old_string and new_string are the same")]
    Same,
    /// The text is not there.
    #[error("old_string does not occur in it{}", hint::sentence(.hint.as_ref()))]
    NoMatch {
        /// What seems to be different.
        hint: Option<EditHint>,
    },
    /// The text is there several times.
    #[error(
        "old_string occurs {count} times, at {}; add lines around it until it is unique, or set replace_all",
        hint::places(lines, *count)
    )]
    Several {
        /// How often.
        count: u64,
        /// Lines of the first occurrences.
        lines: Vec<u64>,
    },
}

impl EditFault {
    /// Stable code.
    #[must_use]
    pub(crate) fn code(&self) -> &'static str {
        match self {
            Self::EmptyOld => "edit.empty",
            Self::Same => "edit.same",
            Self::NoMatch { .. } => "edit.no_match",
            Self::Several { .. } => "edit.several_matches",
        }
    }
}

/// Edits a file. It must be a regular text file with one name, and is put in place as a whole.
pub(crate) fn edit(
    resolver: &Resolver<'_>,
    paths: &dyn Paths,
    args: &EditArgs<'_>,
    bounds: &Bounds<'_>,
) -> Result<EditOutcome, ToolError> {
    resolver.act(|| {
        for _ in 0..RACE_RETRIES_MAX {
            bounds.go_on()?;
            let mut opened = resolver.open_file(args.path, paths)?;
            let version = Version::of(&opened.stat);
            let before = whole(&mut opened)?;
            let real = opened.real;
            let edited = apply(&before, args)
                .map_err(|fault| ToolError::Edit { path: real.clone(), fault })?;
            let bytes = u64::try_from(edited.content.len()).unwrap_or(u64::MAX);
            if bytes > EDIT_FILE_MAX_BYTES {
                return Err(ToolError::TooLarge {
                    path: real,
                    bytes,
                    limit_bytes: EDIT_FILE_MAX_BYTES,
                });
            }
            if replace(resolver, &real, &edited.content, Some(version), bounds)?.is_some() {
                let text = edited.report(&real);
                let written = Written { content: Digest::of(&edited.content), path: real };
                return Ok(EditOutcome { text, bytes, replaced: edited.replaced, written });
            }
        }
        Err(ToolError::Changed { path: args.path.to_owned() })
    })
}

/// What an edit makes of a text; why not, in words, when it does not apply.
pub(crate) fn edited(before: &str, args: &EditArgs<'_>) -> Result<String, String> {
    let edited = apply(before.as_bytes(), args).map_err(|fault| fault.to_string())?;
    String::from_utf8(edited.content).map_err(|error| error.to_string())
}

fn whole(opened: &mut Opened) -> Result<Vec<u8>, ToolError> {
    let size = u64::try_from(opened.stat.st_size).unwrap_or(0);
    let too_large = |bytes| ToolError::TooLarge {
        path: opened.real.clone(),
        bytes,
        limit_bytes: EDIT_FILE_MAX_BYTES,
    };
    if size > EDIT_FILE_MAX_BYTES {
        return Err(too_large(size));
    }
    let mut content = Vec::new();
    (&mut opened.file)
        .take(EDIT_FILE_MAX_BYTES.saturating_add(1))
        .read_to_end(&mut content)
        .map_err(|e| ToolError::io("read", &opened.real, e))?;
    let length = u64::try_from(content.len()).unwrap_or(u64::MAX);
    if length > EDIT_FILE_MAX_BYTES {
        return Err(too_large(length));
    }
    if let Some(format) = binary_format(&content) {
        return Err(ToolError::Binary { path: opened.real.clone(), bytes: length, format });
    }
    Ok(content)
}

#[derive(Debug)]
struct Edited {
    content: Vec<u8>,
    replaced: u64,
    /// Where the first new text begins and ends in `content`.
    first: (usize, usize),
}

fn apply(before: &[u8], args: &EditArgs<'_>) -> Result<Edited, EditFault> {
    let (old, new) = (args.old.as_bytes(), args.new.as_bytes());
    if old.is_empty() {
        return Err(EditFault::EmptyOld);
    }
    if old == new {
        return Err(EditFault::Same);
    }
    let finder = memmem::Finder::new(old);
    let mut found = finder.find_iter(before);
    let Some(first) = found.next() else {
        return Err(EditFault::NoMatch { hint: hint::find(before, args.old) });
    };
    if !args.all && found.next().is_some() {
        return Err(several(before, &finder));
    }
    let mut content = Vec::with_capacity(before.len());
    let mut replaced: u64 = 0;
    let mut from = 0;
    for at in finder.find_iter(before) {
        // A file that would grow over its limit is refused after this, at a bounded size.
        if u64::try_from(content.len()).unwrap_or(u64::MAX) > EDIT_FILE_MAX_BYTES {
            break;
        }
        content.extend_from_slice(before.get(from..at).unwrap_or_default());
        content.extend_from_slice(new);
        from = at.saturating_add(old.len());
        replaced = replaced.saturating_add(1);
    }
    content.extend_from_slice(before.get(from..).unwrap_or_default());
    Ok(Edited { content, replaced, first: (first, first.saturating_add(new.len())) })
}

fn several(before: &[u8], finder: &memmem::Finder<'_>) -> EditFault {
    let mut count: u64 = 0;
    let mut lines = Vec::new();
    let (mut line, mut counted_to) = (1_u64, 0);
    for at in finder.find_iter(before) {
        count = count.saturating_add(1);
        if lines.len() < EDIT_PLACES_MAX {
            let between = before.get(counted_to..at).unwrap_or_default();
            line = line.saturating_add(newlines(between));
            counted_to = at;
            lines.push(line);
        }
    }
    EditFault::Several { count, lines }
}

fn newlines(bytes: &[u8]) -> u64 {
    u64::try_from(memchr::memchr_iter(b'\n', bytes).count()).unwrap_or(u64::MAX)
}

impl Edited {
    /// What was done, with the lines around the first place.
    fn report(&self, real: &str) -> String {
        let (start, end) = self.first;
        let head = self.content.get(..start).unwrap_or_default();
        let inside = self.content.get(start..end).unwrap_or_default();
        let first = usize::try_from(newlines(head)).unwrap_or(usize::MAX);
        let last = first.saturating_add(usize::try_from(newlines(inside)).unwrap_or(usize::MAX));
        let skip = first.saturating_sub(SNIPPET_LINES_AROUND);
        let take = last
            .saturating_add(SNIPPET_LINES_AROUND)
            .saturating_add(1)
            .saturating_sub(skip)
            .min(SNIPPET_LINES_MAX);
        let mut text = format!(
            "Edited {}: {} replaced.\n",
            shown(real),
            plural(self.replaced, "occurrence", "occurrences")
        );
        let lines = self.content.split(|byte| *byte == b'\n').enumerate().skip(skip).take(take);
        for (index, line) in lines {
            let cut = prefix(line, SNIPPET_LINE_MAX_BYTES);
            let mark = if cut.len() < line.len() { " [line cut]" } else { "" };
            let body = lossy(cut.strip_suffix(b"\r").unwrap_or(cut)).0;
            text.push_str(&format!("{:>6}\t{body}{mark}\n", index.saturating_add(1)));
        }
        text
    }
}

#[cfg(test)]
mod tests;
