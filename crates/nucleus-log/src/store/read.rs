//! Reads the entries of a log.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use serde_json::value::RawValue;

use crate::json::Scanner;
use crate::key::VerifyKeys;
use crate::limits::MAX_LINE_BYTES;
use crate::line::Line;
use crate::report::Verdict;
use crate::store::clock::parse_rfc3339;
use crate::store::inspect::{VerifyError, VerifyOptions, verify};
use crate::store::layout::Layout;

/// An entry as it stands in the log. Reading it says nothing of its authenticity: [`verify`] first.
#[derive(Debug)]
pub struct Entry {
    /// Sequence number.
    pub sequence: u64,
    /// Time by the writer's wall clock, RFC 3339 in UTC.
    pub timestamp: String,
    /// The event's JSON.
    pub event: Box<RawValue>,
}

impl Entry {
    /// The event's members.
    #[must_use]
    pub fn members(&self) -> serde_json::Map<String, serde_json::Value> {
        serde_json::from_str(self.event.get()).unwrap_or_default()
    }
}

/// Why the next entry cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// The host refused to read a file.
    #[error("cannot read {}: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A line breaks the format, or is unfinished.
    #[error("a line after entry {after} breaks the format or is unfinished")]
    Malformed {
        /// Sequence number of the entry before it.
        after: u64,
    },
}

/// The entries of a log, through all its segments. It ends after the first error.
#[derive(Debug)]
pub struct Entries {
    layout: Layout,
    segment: u32,
    reader: Option<BufReader<File>>,
    line: Vec<u8>,
    last: u64,
    done: bool,
}

/// Opens a log for reading its entries. Nothing is verified.
///
/// # Errors
/// [`ReadError::Unreadable`] if the log cannot be opened.
pub fn entries(path: &Path) -> Result<Entries, ReadError> {
    let layout = Layout::new(path);
    let reader = open(path)?;
    Ok(Entries { layout, segment: 0, reader: Some(reader), line: Vec::new(), last: 0, done: false })
}

fn open(path: &Path) -> Result<BufReader<File>, ReadError> {
    File::open(path)
        .map(BufReader::new)
        .map_err(|source| ReadError::Unreadable { path: path.to_owned(), source })
}

impl Entries {
    fn read(&mut self) -> Result<Option<Entry>, ReadError> {
        loop {
            let Some(reader) = &mut self.reader else { return Ok(None) };
            self.line.clear();
            let limit = u64::try_from(MAX_LINE_BYTES).unwrap_or(u64::MAX).saturating_add(2);
            let read = reader.take(limit).read_until(b'\n', &mut self.line);
            let path = self.layout.segment(self.segment);
            if read.map_err(|source| ReadError::Unreadable { path, source })? > 0 {
                let entry = parse(&self.line).ok_or(ReadError::Malformed { after: self.last })?;
                self.last = entry.sequence;
                return Ok(Some(entry));
            }
            self.segment = self.segment.saturating_add(1);
            self.reader = match open(&self.layout.segment(self.segment)) {
                Ok(reader) => Some(reader),
                Err(ReadError::Unreadable { source, .. })
                    if source.kind() == io::ErrorKind::NotFound =>
                {
                    None
                }
                Err(error) => return Err(error),
            };
        }
    }
}

fn parse(line: &[u8]) -> Option<Entry> {
    let mut scanner = Scanner::default();
    let line = Line::scan(&mut scanner, line.strip_suffix(b"\n")?)?;
    let event = std::str::from_utf8(line.event).ok()?.to_owned();
    Some(Entry {
        sequence: line.sequence,
        timestamp: std::str::from_utf8(line.timestamp).ok()?.to_owned(),
        event: RawValue::from_string(event).ok()?,
    })
}

impl Iterator for Entries {
    type Item = Result<Entry, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.done {
            return None;
        }
        let item = self.read().transpose();
        self.done = !matches!(item, Some(Ok(_)));
        item
    }
}

/// Why the approvals of a log cannot be told. Whoever gets this must treat every grant as used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HistoryError {
    /// The log cannot be verified.
    #[error(transparent)]
    Verify(#[from] VerifyError),
    /// The log does not verify.
    #[error("the log does not verify: {0}")]
    Untrusted(Verdict),
    /// An entry cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
}

/// What a log says of approvals.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ApprovalHistory {
    /// Nonces of all grants that were consumed: those of the intents.
    pub used_nonces: BTreeSet<String>,
    /// Requests by id, each as its last entry leaves it.
    pub requests: BTreeMap<String, ApprovalRecord>,
    /// The latest time any entry bears, in milliseconds since 1970: no clock of a later process may be behind it.
    pub latest_ms: u64,
}

/// One request as a log leaves it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ApprovalRecord {
    /// Operation that needed approval.
    pub operation: String,
    /// What it acts on.
    pub target: String,
    /// `pending`, `granted`, `used`, `refused`, `expired`, `withdrawn`.
    pub state: String,
    /// Digest of the canonical request, hex.
    pub digest: String,
    /// The human's words, when refused.
    pub reason: Option<String>,
}

/// The approvals of a log.
///
/// The log is verified first. An unfinished last record holds no intent that was ever acted on.
///
/// # Errors
/// [`HistoryError`]
pub fn approval_history(path: &Path, keys: &VerifyKeys) -> Result<ApprovalHistory, HistoryError> {
    let report = verify(path, keys, &VerifyOptions::default())?;
    match report.verdict {
        Verdict::Ok | Verdict::OkWithoutMacKey | Verdict::TornTail => {}
        Verdict::Empty => return Ok(ApprovalHistory::default()),
        verdict => return Err(HistoryError::Untrusted(verdict)),
    }
    let mut history = ApprovalHistory::default();
    let count = usize::try_from(report.entries).unwrap_or(usize::MAX);
    for entry in entries(path)?.take(count) {
        history.add(&entry?);
    }
    Ok(history)
}

impl ApprovalHistory {
    fn add(&mut self, entry: &Entry) {
        let time_ms = parse_rfc3339(&entry.timestamp).and_then(|ms| u64::try_from(ms).ok());
        self.latest_ms = self.latest_ms.max(time_ms.unwrap_or(0));
        let members = entry.members();
        let text = |name: &str| members.get(name).and_then(|value| value.as_str());
        let owned = |name: &str| text(name).unwrap_or_default().to_owned();
        if let (Some("intent"), Some(nonce)) = (text("phase"), text("grant_nonce")) {
            self.used_nonces.insert(nonce.to_owned());
            if let Some(request) = text("approval_id").and_then(|id| self.requests.get_mut(id)) {
                request.state = "used".to_owned();
            }
        }
        if let (Some("approval"), Some(id)) = (text("type"), text("approval_id")) {
            let detail = members.get("detail").and_then(|detail| detail.get("reason"));
            let record = ApprovalRecord {
                operation: owned("tool"),
                target: owned("target"),
                state: owned("result"),
                digest: owned("args_digest"),
                reason: detail.and_then(|reason| reason.as_str()).map(str::to_owned),
            };
            self.requests.insert(id.to_owned(), record);
        }
    }
}
