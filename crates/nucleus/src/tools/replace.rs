//! Putting whole contents in a file's place: a temporary beside it, then one rename, both beneath a held
//! directory handle. Readers see the old file or the new one, never a part; a link swapped in at the name is
//! replaced, never followed.

use std::ffi::CString;
use std::fs::File;
use std::io::Write;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::fs::{AtFlags, Mode, OFlags, Stat};
use rustix::io::Errno;

use super::bounds::Bounds;
use super::error::{Kind, ToolError};
use super::resolver::{LIST, Resolver, kind, open_beneath};

/// Start of the names of half-written files. What is found under such a name was left by a host that died,
/// and is never applied to the workspace.
pub(crate) const WRITE_TEMP_PREFIX: &str = ".nucleus-write-";

const CHUNK_BYTES: usize = 256 * 1024;
const FILE_MODE: u32 = 0o644;
const DIRECTORY_MODE: u32 = 0o755;

/// The file a write is about to replace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Version {
    device: u64,
    inode: u64,
    size: i64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Version {
    /// The version these attributes tell of.
    pub(crate) fn of(stat: &Stat) -> Self {
        Self {
            device: stat.st_dev,
            inode: stat.st_ino,
            size: stat.st_size,
            modified: (stat.st_mtime, nanoseconds(stat.st_mtime_nsec)),
            changed: (stat.st_ctime, nanoseconds(stat.st_ctime_nsec)),
        }
    }
}

fn nanoseconds<T: TryInto<i64>>(value: T) -> i64 {
    value.try_into().unwrap_or(-1)
}

/// What a replacement did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Replaced {
    /// Nothing was at the name before.
    pub(crate) created: bool,
}

/// Puts `content` in the place of the file at `real` (a real name, already admitted by policy), making its
/// directories. Keeps the mode of the old file without setuid, setgid and sticky bits. With `expected`, only
/// if the file is still that version. `Ok(None)`: the tree changed, resolve again.
pub(crate) fn replace(
    resolver: &Resolver<'_>,
    real: &str,
    content: &[u8],
    expected: Option<Version>,
    bounds: &Bounds<'_>,
) -> Result<Option<Replaced>, ToolError> {
    let (parent, name) = real.rsplit_once('/').unwrap_or(("", real));
    let Some(directory) = directory(resolver, parent)? else { return Ok(None) };
    let at = directory.as_fd();
    let Some(old) = target(at, name, real)? else { return Ok(None) };
    if let Some(expected) = expected
        && old.as_ref().map(Version::of) != Some(expected)
    {
        return Err(ToolError::Changed { path: real.to_owned() });
    }
    let mode = old.as_ref().map_or(FILE_MODE, |stat| stat.st_mode & 0o777);
    let temporary = Temporary::create(at, real)?;
    temporary.fill(content, mode, real, bounds)?;
    if !same_directory(resolver, parent, at)? {
        return Ok(None);
    }
    let Some(now) = target(at, name, real)? else { return Ok(None) };
    if expected.is_some() && now.as_ref().map(Version::of) != expected {
        return Err(ToolError::Changed { path: real.to_owned() });
    }
    temporary.rename_to(name, real)?;
    Ok(Some(Replaced { created: old.is_none() }))
}

/// Attributes of what is at `name`, if a write may take its place; `Some(None)` when nothing is there, `None`
/// when a link is there now, which must be resolved again.
fn target(at: BorrowedFd<'_>, name: &str, real: &str) -> Result<Option<Option<Stat>>, ToolError> {
    let stat = match rustix::fs::statat(at, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) => stat,
        Err(Errno::NOENT) => return Ok(Some(None)),
        Err(error) => return Err(ToolError::io("look at", real, error)),
    };
    let path = || real.to_owned();
    if rustix::fs::FileType::from_raw_mode(stat.st_mode).is_symlink() {
        return Ok(None);
    }
    match kind(&stat) {
        Kind::File => {}
        kind => return Err(ToolError::NotRegular { path: path(), kind }),
    }
    if stat.st_nlink > 1 {
        #[expect(
            clippy::useless_conversion,
            reason = "the field is 32 bits wide on some machines"
        )]
        return Err(ToolError::HardLink { path: path(), links: stat.st_nlink.into() });
    }
    if stat.st_mode & 0o222 == 0 {
        return Err(ToolError::ReadOnly { path: path() });
    }
    Ok(Some(Some(stat)))
}

/// Opens the directory at the real name `parent`, making what is missing. `None`: the tree changed.
fn directory(resolver: &Resolver<'_>, parent: &str) -> Result<Option<OwnedFd>, ToolError> {
    if let Some(fd) = resolver.open_real(parent, LIST)? {
        return Ok(Some(fd));
    }
    let Some(mut at) = resolver.open_real("", LIST)? else { return Ok(None) };
    for name in parent.split('/') {
        let made = match rustix::fs::mkdirat(&at, name, Mode::from_raw_mode(DIRECTORY_MODE)) {
            Ok(()) => true,
            Err(Errno::EXIST) => false,
            Err(error) => return Err(ToolError::io("make the directory", parent, error)),
        };
        let next = match open_beneath(at.as_fd(), name, LIST) {
            Ok(next) => next,
            Err(Errno::LOOP | Errno::NOENT | Errno::NOTDIR) if made => return Ok(None),
            Err(Errno::NOENT | Errno::LOOP) => return Ok(None),
            Err(Errno::NOTDIR) => {
                return Err(ToolError::NotDirectory { path: parent.to_owned() });
            }
            Err(error) => return Err(ToolError::io("open", parent, error)),
        };
        if made {
            // The process's own umask is not the workspace's business.
            rustix::fs::fchmod(&next, Mode::from_raw_mode(DIRECTORY_MODE))
                .map_err(|e| ToolError::io("make the directory", parent, e))?;
        }
        at = next;
    }
    Ok(Some(at))
}

/// Whether the real name still leads to the directory that is held.
fn same_directory(
    resolver: &Resolver<'_>,
    parent: &str,
    held: BorrowedFd<'_>,
) -> Result<bool, ToolError> {
    let Some(now) = resolver.open_real(parent, OFlags::PATH | OFlags::DIRECTORY)? else {
        return Ok(false);
    };
    let look =
        |fd: BorrowedFd<'_>| rustix::fs::fstat(fd).map_err(|e| ToolError::io("look at", parent, e));
    let (now, held) = (look(now.as_fd())?, look(held)?);
    Ok((now.st_dev, now.st_ino) == (held.st_dev, held.st_ino))
}

/// A file under a name of ours, removed again unless it was renamed.
struct Temporary<'a> {
    at: BorrowedFd<'a>,
    name: CString,
    file: File,
    renamed: std::cell::Cell<bool>,
}

impl<'a> Temporary<'a> {
    fn create(at: BorrowedFd<'a>, real: &str) -> Result<Self, ToolError> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        const TRIES: usize = 100;
        let flags =
            OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        for _ in 0..TRIES {
            let number = NEXT.fetch_add(1, Ordering::Relaxed);
            let text = format!("{WRITE_TEMP_PREFIX}{}-{number}", std::process::id());
            let Ok(name) = CString::new(text) else { continue };
            match rustix::fs::openat(at, name.as_c_str(), flags, Mode::from_raw_mode(0o600)) {
                Ok(fd) => {
                    let renamed = std::cell::Cell::new(false);
                    return Ok(Self { at, name, file: File::from(fd), renamed });
                }
                Err(Errno::EXIST) => {}
                Err(error) => return Err(ToolError::io("write", real, error)),
            }
        }
        Err(ToolError::Changed { path: real.to_owned() })
    }

    fn fill(
        &self,
        content: &[u8],
        mode: u32,
        real: &str,
        bounds: &Bounds<'_>,
    ) -> Result<(), ToolError> {
        for chunk in content.chunks(CHUNK_BYTES) {
            bounds.go_on()?;
            (&self.file).write_all(chunk).map_err(|e| ToolError::io("write", real, e))?;
        }
        rustix::fs::fchmod(&self.file, Mode::from_raw_mode(mode))
            .map_err(|e| ToolError::io("write", real, e))
    }

    fn rename_to(&self, name: &str, real: &str) -> Result<(), ToolError> {
        match rustix::fs::renameat(self.at, self.name.as_c_str(), self.at, name) {
            Ok(()) => {
                self.renamed.set(true);
                Ok(())
            }
            Err(Errno::ISDIR | Errno::NOTEMPTY) => {
                Err(ToolError::NotRegular { path: real.to_owned(), kind: Kind::Directory })
            }
            Err(error) => Err(ToolError::io("write", real, error)),
        }
    }
}

impl Drop for Temporary<'_> {
    fn drop(&mut self) {
        if !self.renamed.get() {
            // Nothing better can be done with a failure here: the apply step skips these names.
            let _ = rustix::fs::unlinkat(self.at, self.name.as_c_str(), AtFlags::empty());
        }
    }
}
