//! Files, as a port, so that tests can make them fail.

use std::fmt::Debug;
use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::{CWD, Mode, OFlags, RenameFlags};
use rustix::io::retry_on_intr;

/// A file that only grows.
pub trait AppendFile: Send + Debug {
    /// Writes at the end, once; returns how many bytes were taken.
    ///
    /// # Errors
    /// What the system says, `ENOSPC` among it.
    fn append(&mut self, bytes: &[u8]) -> io::Result<usize>;
    /// Makes everything written durable.
    ///
    /// # Errors
    /// What the system says. After an error nothing may be assumed of what was written.
    fn sync(&mut self) -> io::Result<()>;
    /// Length in bytes.
    ///
    /// # Errors
    /// What the system says.
    fn size(&self) -> io::Result<u64>;
    /// Cuts the file and makes that durable. Only recovery does this.
    ///
    /// # Errors
    /// What the system says.
    fn truncate(&mut self, len: u64) -> io::Result<()>;
}

/// Where files live.
pub trait Disk: Send + Sync + Debug {
    /// Makes a file that is not there, readable by the owner alone, and makes its name durable.
    ///
    /// # Errors
    /// `AlreadyExists`, or what the system says.
    fn create(&self, path: &Path) -> io::Result<Box<dyn AppendFile>>;
    /// Opens a file for appending; does not follow a symbolic link.
    ///
    /// # Errors
    /// What the system says.
    fn open(&self, path: &Path) -> io::Result<Box<dyn AppendFile>>;
    /// Puts a whole file in place, or nothing: durable on return. Never replaces a file.
    ///
    /// # Errors
    /// `AlreadyExists`, or what the system says.
    fn publish(&self, path: &Path, bytes: &[u8], mode: u32) -> io::Result<()>;
}

/// The host's file system.
#[derive(Debug, Clone, Copy, Default)]
pub struct HostDisk;

#[derive(Debug)]
struct HostFile(OwnedFd);

impl AppendFile for HostFile {
    fn append(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(retry_on_intr(|| rustix::io::write(&self.0, bytes))?)
    }

    fn sync(&mut self) -> io::Result<()> {
        Ok(rustix::fs::fdatasync(&self.0)?)
    }

    fn size(&self) -> io::Result<u64> {
        let size = rustix::fs::fstat(&self.0)?.st_size;
        u64::try_from(size).map_err(|_| io::ErrorKind::InvalidData.into())
    }

    fn truncate(&mut self, len: u64) -> io::Result<()> {
        rustix::fs::ftruncate(&self.0, len)?;
        Ok(rustix::fs::fsync(&self.0)?)
    }
}

impl Disk for HostDisk {
    fn create(&self, path: &Path) -> io::Result<Box<dyn AppendFile>> {
        let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY;
        let file = open(path, flags)?;
        sync_parent(path)?;
        Ok(Box::new(HostFile(file)))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn AppendFile>> {
        Ok(Box::new(HostFile(open(path, OFlags::WRONLY)?)))
    }

    fn publish(&self, path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
        publish(path, bytes, mode, RenameFlags::NOREPLACE)
    }
}

fn open(path: &Path, flags: OFlags) -> io::Result<OwnedFd> {
    let flags = flags | OFlags::APPEND | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    Ok(retry_on_intr(|| rustix::fs::open(path, flags, Mode::from_raw_mode(0o600)))?)
}

/// Makes the names in a file's directory durable.
pub(crate) fn sync_parent(path: &Path) -> io::Result<()> {
    let parent = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    fs::File::open(parent)?.sync_all()
}

/// Writes a temporary file beside `path`, makes it durable, and renames it there.
pub(crate) fn publish(path: &Path, bytes: &[u8], mode: u32, flags: RenameFlags) -> io::Result<()> {
    let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?;
    let mut hidden = std::ffi::OsString::from(".");
    hidden.push(name);
    hidden.push(format!(".{}.{:016x}", std::process::id(), random_u64()?));
    let temporary = path.with_file_name(hidden);
    let flags_new = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY;
    let mut file = fs::File::from(open(&temporary, flags_new)?);
    let placed = io::Write::write_all(&mut file, bytes)
        .and_then(|()| Ok(rustix::fs::fchmod(&file, Mode::from_raw_mode(mode))?))
        .and_then(|()| file.sync_all())
        .and_then(|()| Ok(rustix::fs::renameat_with(CWD, &temporary, CWD, path, flags)?));
    match placed {
        Ok(()) => sync_parent(path),
        Err(error) => {
            // The error that matters is the first; a left-over temporary file harms nobody.
            let _ = fs::remove_file(&temporary);
            Err(error)
        }
    }
}

/// Eight random bytes of the system, as a number.
fn random_u64() -> io::Result<u64> {
    random::<8>().map(u64::from_le_bytes)
}

/// Random bytes of the system. The kernel's own: the crypto library's generator gathers jitter for some 20 ms before
/// its first byte.
pub(crate) fn random<const N: usize>() -> io::Result<[u8; N]> {
    let mut bytes = [0_u8; N];
    // The kernel gives up to 256 bytes at once or none.
    if rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty())? != N {
        return Err(io::Error::other("no random bytes"));
    }
    Ok(bytes)
}
