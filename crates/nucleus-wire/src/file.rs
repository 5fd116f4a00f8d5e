//! Strict TOML files: permissions, profiles, configuration.
//!
//! A file is read to the end and every error in it reported at once, each with line, column, key, what was found and
//! what is allowed. Unknown keys are errors. Nothing is guessed, and a file with an error has no effect at all.

mod table;

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;

pub(crate) use table::{Item, Table};

use toml::de::DeTable;

use crate::display::{escape, escape_short};
use crate::limits::{POLICY_FILE_MAX_BYTES, POLICY_MAX_ERRORS};
use crate::text::cut;

/// A place in a file: line and column, counted from 1, the column in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// Line.
    pub line: usize,
    /// Column.
    pub column: usize,
}

/// Everything that is wrong with one file, in order of place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileErrors {
    file: String,
    errors: Vec<FileError>,
    omitted: usize,
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileError {
    position: Position,
    key: String,
    kind: FileErrorKind,
}

/// The ways a file can be wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum FileErrorKind {
    /// The whole file is too long and was not read.
    TooLarge {
        /// Its length.
        bytes: usize,
    },
    /// Not UTF-8.
    NotUtf8,
    /// Not TOML.
    Syntax {
        /// The TOML parser's words.
        problem: String,
    },
    /// The key is there twice.
    DuplicateKey,
    /// No such key.
    UnknownKey {
        /// The keys there are.
        allowed: Vec<&'static str>,
        /// The one that was probably meant.
        suggestion: Option<&'static str>,
    },
    /// A value whose own parser refuses it.
    Refused {
        /// The value as written, shortened.
        found: String,
        /// What is wrong with it, in the words of its parser.
        problem: String,
    },
    /// A required key is absent.
    MissingKey {
        /// What it has to be.
        expected: Cow<'static, str>,
    },
    /// A value of the wrong type, outside its limits, or none of the words there are.
    Value {
        /// The value as written, shortened.
        found: String,
        /// What is allowed.
        allowed: Cow<'static, str>,
        /// The word that was probably meant.
        suggestion: Option<String>,
    },
    /// Too many entries in a list.
    TooMany {
        /// Entries found.
        items: usize,
        /// Entries allowed.
        max_items: usize,
    },
    /// Two keys exclude each other.
    Conflict {
        /// The other key.
        with: &'static str,
    },
    /// An example of a command rule turned out otherwise than the file says.
    Example {
        /// The example.
        example: String,
        /// What the file says of it.
        expected: Expected,
    },
    /// A budget limit that nothing on this route measures.
    Unmeasured,
}

/// What a file says of an example.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expected {
    /// The rule matches it.
    Match,
    /// The rule does not match it.
    NoMatch,
}

impl FileErrors {
    /// The errors, in order of place. Never empty.
    #[must_use]
    pub fn errors(&self) -> &[FileError] {
        &self.errors
    }

    /// Name of the file.
    #[must_use]
    pub fn file(&self) -> &str {
        &self.file
    }
}

impl fmt::Display for FileErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let file = escape(&self.file);
        for (index, error) in self.errors.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            let Position { line, column } = error.position;
            write!(f, "{file}:{line}:{column}: {error}")?;
        }
        if self.omitted > 0 {
            write!(f, "\n{file}: and {} more errors", self.omitted)?;
        }
        Ok(())
    }
}

impl std::error::Error for FileErrors {}

impl FileError {
    /// Where it is.
    #[must_use]
    pub fn position(&self) -> Position {
        self.position
    }

    /// The key, with the tables it is in: `capabilities.read_files`. Empty for the file as a whole.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }

    /// What is wrong.
    #[must_use]
    pub fn kind(&self) -> &FileErrorKind {
        &self.kind
    }
}

impl fmt::Display for FileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.key.is_empty() {
            write!(f, "{}: ", escape_short(&self.key, 120))?;
        }
        self.kind.fmt(f)
    }
}

impl fmt::Display for FileErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLarge { bytes } => {
                write!(f, "the file has {bytes} bytes; allowed: {POLICY_FILE_MAX_BYTES}")
            }
            Self::NotUtf8 => f.write_str("the file is not UTF-8 from here on"),
            Self::Syntax { problem } => write!(f, "not valid TOML: {}", escape(problem)),
            Self::DuplicateKey => f.write_str("the key is given twice"),
            Self::UnknownKey { allowed, suggestion } => {
                write!(f, "unknown key; allowed: {}", allowed.join(", "))?;
                suggest(f, suggestion.as_deref())
            }
            Self::Refused { found, problem } => write!(f, "found {found}: {problem}"),
            Self::MissingKey { expected } => write!(f, "missing; expected {expected}"),
            Self::Value { found, allowed, suggestion } => {
                write!(f, "found {found}; allowed: {allowed}")?;
                suggest(f, suggestion.as_deref())
            }
            Self::TooMany { items, max_items } => {
                write!(f, "found {items} entries; allowed: {max_items}")
            }
            Self::Conflict { with } => write!(f, "cannot stand beside `{with}`"),
            Self::Example { example, expected: Expected::Match } => {
                write!(f, "the rule does not match its own example {example}")
            }
            Self::Example { example, expected: Expected::NoMatch } => {
                write!(f, "the rule matches {example}, which the file says it must not")
            }
            Self::Unmeasured => f.write_str(
                "nothing on this route measures this, so the limit could not be held; remove it or run an agent whose model calls pass the gate",
            ),
        }
    }
}

fn suggest(f: &mut fmt::Formatter<'_>, suggestion: Option<&str>) -> fmt::Result {
    match suggestion {
        Some(word) => write!(f, " (did you mean {word}?)"),
        None => Ok(()),
    }
}

/// The text of a file and what has been found wrong in it so far.
#[derive(Debug)]
pub(crate) struct Source<'a> {
    file: &'a str,
    text: &'a str,
    errors: Vec<FileError>,
}

impl<'a> Source<'a> {
    /// Reads a file as TOML and hands its root table to `read`. Gives what `read` made of it if nothing was wrong.
    pub(crate) fn read<T>(
        file: &'a str,
        bytes: &'a [u8],
        read: impl FnOnce(Table<'_, '_>, &mut Self) -> T,
    ) -> Result<T, FileErrors> {
        let mut source = Self { file, text: "", errors: Vec::new() };
        if bytes.len() > POLICY_FILE_MAX_BYTES {
            let kind = FileErrorKind::TooLarge { bytes: bytes.len() };
            source.report(0..0, String::new(), kind);
            return Err(source.into_errors());
        }
        match std::str::from_utf8(bytes) {
            Ok(text) => source.text = text,
            Err(error) => {
                let valid = bytes.get(..error.valid_up_to()).unwrap_or_default();
                source.text = std::str::from_utf8(valid).unwrap_or_default();
                let end = source.text.len();
                source.report(end..end, String::new(), FileErrorKind::NotUtf8);
                return Err(source.into_errors());
            }
        }
        let (root, syntax) = DeTable::parse_recoverable(source.text);
        source.report_syntax(&syntax);
        let span = root.span();
        let value = read(Table::root(root.get_ref(), span), &mut source);
        if source.errors.is_empty() { Ok(value) } else { Err(source.into_errors()) }
    }

    fn report_syntax(&mut self, errors: &[toml::de::Error]) {
        for error in errors {
            let span = error.span().unwrap_or(0..0);
            if error.message() == "duplicate key" {
                let key = self.text.get(span.clone()).unwrap_or_default().to_owned();
                self.report(span, key, FileErrorKind::DuplicateKey);
            } else {
                let problem = error.message().to_owned();
                self.report(span, String::new(), FileErrorKind::Syntax { problem });
            }
        }
    }

    /// Notes an error. From the first line on that is not TOML, only that is reported: what the rest seems to mean
    /// depends on what was lost.
    pub(crate) fn report(&mut self, span: Range<usize>, key: String, kind: FileErrorKind) {
        let position = self.position(span.start);
        let is_syntax = |kind: &FileErrorKind| {
            matches!(kind, FileErrorKind::Syntax { .. } | FileErrorKind::DuplicateKey)
        };
        let unsure = self.errors.iter().any(|error| {
            error.position.line <= position.line
                && matches!(error.kind, FileErrorKind::Syntax { .. })
        });
        if is_syntax(&kind) || !unsure {
            self.errors.push(FileError { position, key, kind });
        }
    }

    /// Notes that a value is not what is allowed.
    pub(crate) fn report_value(
        &mut self,
        item: &Item<'_, '_>,
        allowed: impl Into<Cow<'static, str>>,
    ) {
        self.report_word(item, allowed, None);
    }

    /// As [`Self::report_value`], with the word that was probably meant.
    pub(crate) fn report_word(
        &mut self,
        item: &Item<'_, '_>,
        allowed: impl Into<Cow<'static, str>>,
        suggestion: Option<&str>,
    ) {
        let kind = FileErrorKind::Value {
            found: self.found(item),
            allowed: allowed.into(),
            suggestion: suggestion.map(|word| format!("\"{word}\"")),
        };
        self.report(item.span(), item.key().to_owned(), kind);
    }

    /// Notes that a value's own parser refuses it.
    pub(crate) fn report_refused(&mut self, item: &Item<'_, '_>, problem: &impl fmt::Display) {
        let kind = FileErrorKind::Refused { found: self.found(item), problem: problem.to_string() };
        self.report(item.span(), item.key().to_owned(), kind);
    }

    /// A value as it is written in the file, on one line, shortened.
    fn found(&self, item: &Item<'_, '_>) -> String {
        const SHOWN_CHARS: usize = 60;
        if item.is_table() {
            return "a table".to_owned();
        }
        let written = self.text.get(item.span()).unwrap_or_default();
        let shown = escape(cut(written, SHOWN_CHARS));
        if cut(written, SHOWN_CHARS).len() < written.len() { format!("{shown}…") } else { shown }
    }

    /// The place of a byte.
    pub(crate) fn position(&self, offset: usize) -> Position {
        let before = self.text.get(..offset).unwrap_or(self.text);
        let line_start = before.rfind('\n').map_or(0, |newline| newline.saturating_add(1));
        let line = before.bytes().filter(|byte| *byte == b'\n').count().saturating_add(1);
        let column = before.get(line_start..).unwrap_or_default().chars().count().saturating_add(1);
        Position { line, column }
    }

    fn into_errors(self) -> FileErrors {
        let mut errors = self.errors;
        errors.sort_by_key(|error| error.position);
        let omitted = errors.len().saturating_sub(POLICY_MAX_ERRORS);
        errors.truncate(POLICY_MAX_ERRORS);
        FileErrors { file: self.file.to_owned(), errors, omitted }
    }
}

/// Errors that are found when a file, sound in itself, meets a use it does not fit.
pub(crate) fn later_errors(
    file: &str,
    found: Vec<(Position, String, FileErrorKind)>,
) -> FileErrors {
    let errors =
        found.into_iter().map(|(position, key, kind)| FileError { position, key, kind }).collect();
    FileErrors { file: file.to_owned(), errors, omitted: 0 }
}
