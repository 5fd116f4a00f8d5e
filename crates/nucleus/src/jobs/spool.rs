//! Output of a job on disk: what memory no longer holds can still be paged through.
//!
//! INVARIANT: a spool is a file without a name, so nothing of it outlives the process; its size is bounded per job and
//! per task, and what does not fit is only missing, never waited for.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::fs::{AtFlags, Mode, OFlags, openat, unlinkat};
use rustix::io::Errno;

use super::capture::{Part, Ring};
use crate::tools::limits::{JOB_RING_BYTES, JOB_SPOOL_BYTES, TASK_SPOOL_BYTES};

/// Where the spools of one task lie, and how much they may still take.
#[derive(Debug)]
pub(crate) struct Spooler {
    dir: OwnedFd,
    left: AtomicU64,
    job_bytes: u64,
    count: AtomicU64,
}

impl Spooler {
    /// Spools in `dir`, which nobody but this process writes.
    pub(crate) fn new(dir: OwnedFd) -> Self {
        Self::bounded(dir, JOB_SPOOL_BYTES, TASK_SPOOL_BYTES)
    }

    fn bounded(dir: OwnedFd, job_bytes: u64, task_bytes: u64) -> Self {
        let (left, count) = (AtomicU64::new(task_bytes), AtomicU64::new(0));
        Self { dir, left, job_bytes, count }
    }

    /// A new file without a name.
    fn file(&self) -> io::Result<File> {
        let mode = Mode::RUSR | Mode::WUSR;
        let flags = OFlags::RDWR | OFlags::CLOEXEC;
        match openat(self.dir.as_fd(), ".", flags | OFlags::TMPFILE, mode) {
            Ok(file) => Ok(file.into()),
            // Some file systems have no such files.
            Err(Errno::OPNOTSUPP | Errno::ISDIR | Errno::NOENT) => {
                let number = self.count.fetch_add(1, Ordering::Relaxed);
                let name = format!(".output-{}-{number}", std::process::id());
                let new = flags | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW;
                let file = openat(self.dir.as_fd(), name.as_str(), new, mode)?;
                unlinkat(self.dir.as_fd(), name.as_str(), AtFlags::empty())?;
                Ok(file.into())
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Takes up to `wanted` bytes of what the task may still spool.
    fn take(&self, wanted: u64) -> u64 {
        let taken = self.left.fetch_update(Ordering::AcqRel, Ordering::Acquire, |left| {
            Some(left.saturating_sub(wanted))
        });
        // The closure always answers, so this is what was left before.
        taken.map_or(0, |before| before.min(wanted))
    }

    fn give_back(&self, bytes: u64) {
        self.left.fetch_add(bytes, Ordering::AcqRel);
    }
}

/// Both streams of a job as they came: the newest in memory, the first of them on disk once memory is too small.
#[derive(Debug)]
pub(crate) struct Transcript {
    ring: Ring,
    capacity: u64,
    spool: Spool,
}

#[derive(Debug)]
enum Spool {
    /// Memory holds everything so far.
    NotBegun(Option<Arc<Spooler>>),
    /// On disk, from the first byte on.
    Begun(Disk),
    /// There is none, or it could not be made.
    None,
}

#[derive(Debug)]
struct Disk {
    spooler: Arc<Spooler>,
    file: File,
    bytes: u64,
    /// Something did not fit: later bytes would be in the wrong place.
    full: bool,
}

impl Transcript {
    pub(crate) fn new(spooler: Option<Arc<Spooler>>) -> Self {
        Self::with_memory(spooler, JOB_RING_BYTES)
    }

    fn with_memory(spooler: Option<Arc<Spooler>>, capacity: usize) -> Self {
        let spool = Spool::NotBegun(spooler);
        Self { ring: Ring::new(capacity), capacity: length(capacity), spool }
    }

    /// Adds bytes.
    pub(crate) fn push(&mut self, chunk: &[u8]) {
        if matches!(self.spool, Spool::NotBegun(_))
            && self.ring.total().saturating_add(length(chunk.len())) > self.capacity
        {
            self.begin();
        }
        if let Spool::Begun(disk) = &mut self.spool {
            disk.append(chunk);
        }
        self.ring.push(chunk);
    }

    fn begin(&mut self) {
        let begun = std::mem::replace(&mut self.spool, Spool::None);
        let Spool::NotBegun(Some(spooler)) = begun else { return };
        // Without a file the newest output is still there, and the agent is told what is missing.
        if let Ok(file) = spooler.file() {
            let mut disk = Disk { spooler, file, bytes: 0, full: false };
            disk.append(&self.ring.newest(usize::MAX));
            self.spool = Spool::Begun(disk);
        }
    }

    /// Bytes that ever came.
    pub(crate) fn total(&self) -> u64 {
        self.ring.total()
    }

    /// The newest bytes, at most `max`.
    pub(crate) fn newest(&self, max: usize) -> Vec<u8> {
        self.ring.newest(max)
    }

    /// At most `max` bytes from the place `from` on, of what memory holds.
    pub(crate) fn recent(&self, from: u64, max: usize) -> Part {
        let part = self.ring.part(from, max);
        let on_disk = part.lost > 0 && self.disk().is_some_and(|disk| from < disk.bytes);
        Part { kept_at: on_disk.then_some(from), ..part }
    }

    /// At most `max` bytes from the place `from` on, from disk where memory does not hold them.
    pub(crate) fn part(&self, from: u64, max: usize) -> Part {
        match self.disk().and_then(|disk| disk.read(from, max)) {
            Some(bytes) => {
                let next = from.saturating_add(length(bytes.len()));
                Part { lost: 0, kept_at: None, bytes, next }
            }
            None => self.ring.part(from, max),
        }
    }

    /// Everything that ever came can still be read.
    pub(crate) fn is_whole(&self) -> bool {
        let on_disk = self.disk().map_or(0, |disk| disk.bytes);
        self.ring.part(on_disk, 0).lost == 0
    }

    fn disk(&self) -> Option<&Disk> {
        match &self.spool {
            Spool::Begun(disk) => Some(disk),
            Spool::NotBegun(_) | Spool::None => None,
        }
    }
}

impl Disk {
    fn append(&mut self, chunk: &[u8]) {
        if self.full {
            return;
        }
        let room = self.spooler.job_bytes.saturating_sub(self.bytes).min(length(chunk.len()));
        let taken = self.spooler.take(room);
        let count = usize::try_from(taken).unwrap_or(usize::MAX).min(chunk.len());
        let part = chunk.get(..count).unwrap_or_default();
        if self.file.write_all_at(part, self.bytes).is_err() {
            self.spooler.give_back(taken);
            self.full = true;
            return;
        }
        self.bytes = self.bytes.saturating_add(taken);
        self.full = count < chunk.len();
    }

    fn read(&self, from: u64, max: usize) -> Option<Vec<u8>> {
        let left = usize::try_from(self.bytes.saturating_sub(from)).unwrap_or(usize::MAX);
        let mut part = vec![0; left.min(max)];
        if part.is_empty() {
            return None;
        }
        self.file.read_exact_at(&mut part, from).ok().map(|()| part)
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        self.spooler.give_back(self.bytes);
    }
}

fn length(bytes: usize) -> u64 {
    u64::try_from(bytes).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place() -> (tempfile::TempDir, OwnedFd) {
        let dir = tempfile::tempdir().unwrap();
        let fd = File::open(dir.path()).unwrap().into();
        (dir, fd)
    }

    #[test]
    fn the_middle_of_long_output_is_read_from_disk() {
        let (dir, fd) = place();
        let mut all =
            Transcript::with_memory(Some(Arc::new(Spooler::bounded(fd, 1_000, 1_000))), 8);
        for chunk in [&b"0123"[..], b"4567", b"89abcdef", b"ghij"] {
            all.push(chunk);
        }
        assert!(all.is_whole());
        assert_eq!(all.part(2, 10).bytes, b"23456789ab");
        assert_eq!(all.part(14, 99).bytes, b"efghij");
        let recent = all.recent(0, 99);
        assert_eq!((recent.lost, recent.kept_at, recent.next), (12, Some(0), 20));
        assert_eq!(recent.bytes, b"cdefghij");
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0, "the file has no name");
    }

    #[test]
    fn a_spool_is_bounded_and_says_what_is_missing() {
        let (_dir, fd) = place();
        let spooler = Arc::new(Spooler::bounded(fd, 10, 15));
        let mut first = Transcript::with_memory(Some(Arc::clone(&spooler)), 4);
        let mut second = Transcript::with_memory(Some(Arc::clone(&spooler)), 4);
        first.push(b"0123456789abcdef");
        assert!(!first.is_whole());
        assert_eq!(first.part(8, 99).bytes, b"89");
        let gap = first.part(10, 99);
        assert_eq!((gap.lost, gap.bytes.as_slice(), gap.next), (2, &b"cdef"[..], 16));
        second.push(b"0123456789");
        assert_eq!(second.part(0, 99).bytes, b"01234", "five bytes were left for the task");
        drop(first);
        second.push(b"x");
        assert_eq!(second.part(4, 99).bytes, b"4", "a spool with a gap is not continued");
        drop(second);
        assert_eq!(spooler.left.load(Ordering::SeqCst), 15);
    }

    #[test]
    fn without_a_spool_the_newest_output_is_kept() {
        let mut all = Transcript::with_memory(None, 4);
        all.push(b"012345");
        assert!(!all.is_whole());
        let part = all.part(0, 99);
        assert_eq!((part.lost, part.bytes.as_slice()), (2, &b"2345"[..]));
    }
}
