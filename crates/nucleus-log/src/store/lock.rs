//! One writer per log.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, Mode, OFlags};

/// The lock of a log's writer, held until dropped.
///
/// `flock` keeps other writers out. Should the lock file be replaced, or be locked on a file system whose locks do not
/// reach the other writer, the fence does: every writer raises the number in the file and stops as soon as it
/// finds another's.
#[derive(Debug)]
pub(crate) struct WriterLock {
    file: File,
    path: PathBuf,
    /// Device and inode of `file`.
    identity: (u64, u64),
    fence: u64,
}

impl WriterLock {
    /// Takes the lock; `WouldBlock` if a writer holds it.
    pub(crate) fn take(path: &Path) -> io::Result<Self> {
        let flags = OFlags::CREATE | OFlags::RDWR | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let mut file = File::from(rustix::fs::open(path, flags, Mode::from_raw_mode(0o600))?);
        rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive)?;
        let fence = read_fence(&file)?.checked_add(1).ok_or(io::ErrorKind::InvalidData)?;
        file.set_len(0)?;
        writeln!(file, "{fence}")?;
        file.sync_all()?;
        super::disk::sync_parent(path)?;
        let own = rustix::fs::fstat(&file)?;
        Ok(Self { file, path: path.to_owned(), identity: (own.st_dev, own.st_ino), fence })
    }

    /// True while the file at the lock's path is the one that is locked and bears this writer's number.
    pub(crate) fn held(&self) -> bool {
        rustix::fs::lstat(&self.path)
            .is_ok_and(|there| (there.st_dev, there.st_ino) == self.identity)
            && read_fence(&self.file).is_ok_and(|fence| fence == self.fence)
    }
}

/// True if a writer holds the lock at this moment.
pub(crate) fn is_live(path: &Path) -> bool {
    File::open(path).is_ok_and(|file| {
        rustix::fs::flock(&file, FlockOperation::NonBlockingLockShared)
            .is_err_and(|error| error == rustix::io::Errno::WOULDBLOCK)
    })
}

fn read_fence(file: &File) -> io::Result<u64> {
    let mut text = [0_u8; 24];
    let len = file.read_at(&mut text, 0)?;
    let text = text.get(..len).unwrap_or_default();
    if text.is_empty() {
        return Ok(0);
    }
    std::str::from_utf8(text)
        .ok()
        .and_then(|text| text.trim_end().parse().ok())
        .ok_or_else(|| io::ErrorKind::InvalidData.into())
}
