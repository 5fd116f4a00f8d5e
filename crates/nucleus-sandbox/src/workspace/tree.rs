//! A directory held open; everything beneath it is reached through it and through no symbolic link.

use std::ffi::{CStr, OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::Path;

use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, ResolveFlags, Stat};
use rustix::io::Errno;

use super::path::TreePath;

/// How often a resolution that raced a rename is tried again.
const RACE_RETRIES: usize = 32;

/// A held directory.
#[derive(Debug)]
pub(crate) struct Tree {
    root: OwnedFd,
}

/// A name in a directory.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) name: OsString,
}

impl Tree {
    /// Holds `path`, whose last name must be a real directory.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let root = rustix::fs::openat(CWD, path, flags, Mode::empty())?;
        Ok(Self { root })
    }

    /// A directory that is held already.
    pub(crate) fn held(root: OwnedFd) -> Self {
        Self { root }
    }

    /// Holds a directory beneath.
    pub(crate) fn beneath(&self, path: &TreePath) -> io::Result<Self> {
        Ok(Self { root: self.dir(path)? })
    }

    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        self.root.as_fd()
    }

    fn resolve(&self, path: &TreePath, flags: OFlags) -> io::Result<OwnedFd> {
        let how = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
        let mut tries: usize = 0;
        loop {
            let flags = flags | OFlags::CLOEXEC;
            match rustix::fs::openat2(&self.root, path.as_path(), flags, Mode::empty(), how) {
                Err(Errno::AGAIN | Errno::INTR) if tries < RACE_RETRIES => {
                    tries = tries.saturating_add(1);
                }
                other => return other.map_err(io::Error::from),
            }
        }
    }

    /// Opens a directory beneath.
    pub(crate) fn dir(&self, path: &TreePath) -> io::Result<OwnedFd> {
        self.resolve(path, OFlags::RDONLY | OFlags::DIRECTORY)
    }

    /// Opens the directory that holds `path`, and gives the last name.
    pub(crate) fn parent<'p>(&self, path: &'p TreePath) -> io::Result<(OwnedFd, &'p OsStr)> {
        let (Some(parent), Some(name)) = (path.parent(), path.name()) else {
            return Err(io::ErrorKind::InvalidInput.into());
        };
        Ok((self.dir(&parent)?, name))
    }

    /// What lies at `path`, links not followed; `None` when nothing does or when a parent is not a real directory.
    pub(crate) fn stat(&self, path: &TreePath) -> io::Result<Option<Stat>> {
        if path.is_root() {
            return Ok(Some(rustix::fs::fstat(&self.root)?));
        }
        let (dir, name) = match self.parent(path) {
            Ok(found) => found,
            Err(error) if is_absent(&error) => return Ok(None),
            Err(error) => return Err(error),
        };
        stat_at(dir.as_fd(), name)
    }

    /// Opens a regular file for reading; anything else is refused, and a FIFO does not block.
    pub(crate) fn file(&self, path: &TreePath) -> io::Result<File> {
        let fd = self.resolve(path, OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK)?;
        let stat = rustix::fs::fstat(&fd)?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        Ok(File::from(fd))
    }

    /// Target of a symbolic link.
    pub(crate) fn link(&self, path: &TreePath) -> io::Result<OsString> {
        let (dir, name) = self.parent(path)?;
        let target = rustix::fs::readlinkat(dir, name, Vec::new())?;
        Ok(OsString::from_vec(target.into_bytes()))
    }

    /// The names in a directory, in byte order.
    pub(crate) fn entries(&self, path: &TreePath) -> io::Result<Vec<Entry>> {
        entries_of(self.dir(path)?)
    }
}

impl Entry {
    pub(crate) fn of(name: &CStr) -> Self {
        Self { name: OsStr::from_bytes(name.to_bytes()).to_owned() }
    }
}

/// Reads a directory to its end.
pub(crate) fn entries_of(dir: OwnedFd) -> io::Result<Vec<Entry>> {
    let mut out = Vec::new();
    for entry in Dir::new(dir)? {
        let entry = entry?;
        let name = entry.file_name();
        if name != c"." && name != c".." {
            out.push(Entry::of(name));
        }
    }
    out.sort_unstable_by(|a, b| a.name.cmp(&b.name));
    Ok(out)
}

/// Stat of a name in a held directory, links not followed.
pub(crate) fn stat_at(dir: BorrowedFd<'_>, name: &OsStr) -> io::Result<Option<Stat>> {
    match rustix::fs::statat(dir, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) => Ok(Some(stat)),
        Err(Errno::NOENT | Errno::NOTDIR) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Whether an error means that nothing (reachable without a link) is there.
pub(crate) fn is_absent(error: &io::Error) -> bool {
    let errno = error.raw_os_error().map(Errno::from_raw_os_error);
    matches!(errno, Some(Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::XDEV))
}
