//! Reads a log and its sidecar for the verifier.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{Mode, OFlags};

use crate::checkpoint::notes;
use crate::header::Header;
use crate::key::VerifyKeys;
use crate::limits::{MAX_CHECKPOINT_FILE_BYTES, MAX_HEADER_BYTES, MAX_LINE_BYTES, MAX_SEGMENTS};
use crate::report::{Report, Verdict};
use crate::store::clock::{now_ms, parse_rfc3339};
use crate::store::layout::Layout;
use crate::store::lock::is_live;
use crate::store::pinfile::{Pin, PinError};
use crate::walk::{End, Walk};

const CHUNK_BYTES: usize = 2 * 1024 * 1024;
const LIVE_RETRIES: u32 = 10;
const LIVE_PAUSE: Duration = Duration::from_millis(10);

/// What to demand beyond the log's own consistency.
#[derive(Debug, Clone, Default)]
pub struct VerifyOptions {
    /// File that remembers how far each log had come when it was last verified; made if absent.
    pub pin: Option<PathBuf>,
    /// Greatest age of the last checkpoint, in seconds.
    pub max_age_s: Option<u64>,
}

/// Why a log could not be verified at all, as opposed to a verdict on it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VerifyError {
    /// The host refused to read a file.
    #[error("cannot read {}: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Neither a MAC key nor a public key was given.
    #[error("no key to verify with: give the MAC key or the public key")]
    NoKey,
    /// The pin file.
    #[error(transparent)]
    Pin(#[from] PinError),
}

/// Verifies the log at `path` with its sidecar and every segment.
///
/// Nothing of the log is believed but what the keys vouch for. The report says what is proved and up to where.
///
/// # Errors
/// [`VerifyError`] only when there is nothing to judge: no key, or a file that cannot be read. A log that is not
/// what it claims to be is a [`Verdict`].
pub fn verify(
    path: &Path,
    keys: &VerifyKeys,
    options: &VerifyOptions,
) -> Result<Report, VerifyError> {
    if keys.mac.is_none() && keys.public.is_none() {
        return Err(VerifyError::NoKey);
    }
    let mut pin = options.pin.as_deref().map(Pin::open).transpose()?;
    let layout = Layout::new(path);
    let (mut report, _) = inspect(&layout, keys, pin.as_mut())?;
    for _ in 0..LIVE_RETRIES {
        // A record that a living writer is just writing is not a torn one.
        if !(report.live && report.verdict == Verdict::TornTail) {
            break;
        }
        std::thread::sleep(LIVE_PAUSE);
        (report, _) = inspect(&layout, keys, pin.as_mut())?;
    }
    if let Some(max_age_s) = options.max_age_s {
        judge_age(&mut report, max_age_s);
    }
    if let Some(pin) = pin {
        pin.remember(&mut report)?;
    }
    Ok(report)
}

fn judge_age(report: &mut Report, max_age_s: u64) {
    if !matches!(report.verdict, Verdict::Ok | Verdict::OkWithoutMacKey | Verdict::TornTail) {
        return;
    }
    let signed = report.proved.as_ref().and_then(|proved| parse_rfc3339(&proved.time)).unwrap_or(0);
    let age_ms = u64::try_from(now_ms().saturating_sub(signed)).unwrap_or(0);
    let age_s = age_ms.checked_div(1_000).unwrap_or(0);
    if age_s > max_age_s {
        report.verdict = Verdict::Stale { age_s };
    }
}

/// Where the complete records of the files end.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Extent {
    pub(crate) segment_bytes: u64,
    pub(crate) checkpoint_bytes: u64,
}

/// Walks the whole log. The second part is there if the walk reached the end of the files.
pub(crate) fn inspect(
    layout: &Layout,
    keys: &VerifyKeys,
    pin: Option<&mut Pin>,
) -> Result<(Report, Option<(End, Extent)>), VerifyError> {
    let mut report = Report::new();
    report.live = is_live(&layout.lock());
    // Checkpoints are read before the lines: whatever they sign for was there before them.
    let Sidecar { header, checkpoints } = match Sidecar::read(layout)? {
        Ok(sidecar) => sidecar,
        Err(verdict) => {
            report.verdict = verdict;
            return Ok((report, None));
        }
    };
    let (records, torn) = notes(&checkpoints);
    report.torn.checkpoint_bytes = length(torn);
    let mut extent = Extent { checkpoint_bytes: length(checkpoints.len()), ..Extent::default() };
    extent.checkpoint_bytes = extent.checkpoint_bytes.saturating_sub(length(torn));
    let mut walk = match Walk::begin(keys.clone(), header, &records, report) {
        Ok(walk) => walk,
        Err(report) => return Ok((*report, None)),
    };
    if let Some(expectation) = pin.and_then(|pin| pin.find(walk.origin())) {
        walk.expect(expectation);
    }
    let mut walked = segments(layout, &mut walk)?;
    if walked.is_ok() && walk.lacks_seals() {
        let now = Sidecar::checkpoints(layout)?.unwrap_or_default();
        walked = walk.find_seals(&notes(&now).0).and(walked);
    }
    match walked {
        Ok(segment_bytes) => {
            extent.segment_bytes = segment_bytes;
            let (report, end) = walk.finish(None);
            Ok((report, Some((end, extent))))
        }
        Err(verdict) => Ok((walk.finish(Some(verdict)).0, None)),
    }
}

/// Walks every segment; returns the length of the last one's complete lines.
fn segments(layout: &Layout, walk: &mut Walk) -> Result<Result<u64, Verdict>, VerifyError> {
    if let Err(verdict) = walk.at_start() {
        return Ok(Err(verdict));
    }
    let mut index = 0;
    loop {
        let path = layout.segment(index);
        let next = index.saturating_add(1);
        let header = read_small(&layout.header(next), MAX_HEADER_BYTES)?;
        let file = open(&path)?;
        if file.is_none() && index == 0 && header.is_none() {
            // Without the log the checkpoints alone say how much is missing.
            return Ok(Ok(0));
        }
        // A crash between header and file leaves a segment without file, as good as an empty one.
        let (complete, torn) = match file {
            Some(file) => match feed(file, &path, walk)? {
                Ok(read) => read,
                Err(verdict) => return Ok(Err(verdict)),
            },
            None => (0, 0),
        };
        let Some(header) = header else {
            walk.report_mut().torn.log_bytes = torn;
            return Ok(Ok(complete));
        };
        let sequence = walk.report_mut().entries.saturating_add(1);
        if torn > 0 {
            return Ok(Err(Verdict::Malformed { sequence }));
        }
        let stepped = match Header::parse(&header) {
            _ if next >= MAX_SEGMENTS => Err(Verdict::Malformed { sequence: 0 }),
            Some(header) => walk.next_segment(header),
            None => Err(Verdict::Malformed { sequence: 0 }),
        };
        if let Err(verdict) = stepped {
            return Ok(Err(verdict));
        }
        index = next;
    }
}

/// Feeds a segment's complete lines; returns their length and that of what follows them.
///
/// Reads no further than the file reached when it was opened: a busy writer must not keep a verifier running for ever.
fn feed(
    file: File,
    path: &Path,
    walk: &mut Walk,
) -> Result<Result<(u64, u64), Verdict>, VerifyError> {
    let unreadable = |source| VerifyError::Unreadable { path: path.to_owned(), source };
    let size = file.metadata().map_err(unreadable)?.len();
    let mut file = file.take(size);
    let mut buffer = vec![0_u8; CHUNK_BYTES];
    let mut kept = 0_usize;
    let mut complete = 0_u64;
    loop {
        let free = buffer.get_mut(kept..).unwrap_or_default();
        let read = match file.read(free) {
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(source) => return Err(unreadable(source)),
        };
        if read == 0 {
            return Ok(Ok((complete, length(kept))));
        }
        let filled = kept.saturating_add(read);
        let text = buffer.get(..filled).unwrap_or_default();
        let ends = memchr::memrchr(b'\n', text).map_or(0, |last| last.saturating_add(1));
        if let Err(verdict) = walk.lines(text.get(..ends).unwrap_or_default()) {
            return Ok(Err(verdict));
        }
        complete = complete.saturating_add(length(ends));
        kept = filled.saturating_sub(ends);
        if kept > MAX_LINE_BYTES {
            let sequence = walk.report_mut().entries.saturating_add(1);
            return Ok(Err(Verdict::Malformed { sequence }));
        }
        buffer.copy_within(ends..filled, 0);
    }
}

/// What lies beside a log.
struct Sidecar {
    header: Header,
    checkpoints: Vec<u8>,
}

impl Sidecar {
    fn read(layout: &Layout) -> Result<Result<Self, Verdict>, VerifyError> {
        if open(layout.log())?.is_none() && open(layout.sidecar())?.is_none() {
            let source = io::ErrorKind::NotFound.into();
            return Err(VerifyError::Unreadable { path: layout.log().to_owned(), source });
        }
        let Some(header) = read_small(&layout.header(0), MAX_HEADER_BYTES)? else {
            return Ok(Err(Verdict::MissingSidecar));
        };
        let Some(checkpoints) = Self::checkpoints(layout)? else {
            return Ok(Err(Verdict::MissingSidecar));
        };
        Ok(Header::parse(&header)
            .map(|header| Self { header, checkpoints })
            .ok_or(Verdict::Malformed { sequence: 0 }))
    }

    fn checkpoints(layout: &Layout) -> Result<Option<Vec<u8>>, VerifyError> {
        let limit = usize::try_from(MAX_CHECKPOINT_FILE_BYTES).unwrap_or(usize::MAX);
        read_small(&layout.checkpoints(), limit)
    }
}

fn length(bytes: usize) -> u64 {
    u64::try_from(bytes).unwrap_or(u64::MAX)
}

/// Opens a file for reading; `None` if it is not there.
fn open(path: &Path) -> Result<Option<File>, VerifyError> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK;
    match rustix::fs::open(path, flags, Mode::empty()) {
        Ok(file) => Ok(Some(File::from(file))),
        Err(rustix::io::Errno::NOENT | rustix::io::Errno::NOTDIR) => Ok(None),
        Err(error) => Err(VerifyError::Unreadable { path: path.to_owned(), source: error.into() }),
    }
}

/// Reads a whole file, at most one byte more than `limit`; `None` if it is not there.
fn read_small(path: &Path, limit: usize) -> Result<Option<Vec<u8>>, VerifyError> {
    let Some(file) = open(path)? else { return Ok(None) };
    let mut bytes = Vec::new();
    let limit = length(limit).saturating_add(1);
    match file.take(limit).read_to_end(&mut bytes) {
        Ok(_) => Ok(Some(bytes)),
        Err(source) => Err(VerifyError::Unreadable { path: path.to_owned(), source }),
    }
}
