//! Copying content and attributes between held files.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd as _};
use std::os::unix::fs::FileExt as _;

use rustix::fs::{SeekFrom, Timespec, Timestamps, XattrFlags};
use rustix::io::Errno;

use super::node::Stamp;

const CHUNK: usize = 1 << 18;
const ACL: &[u8] = b"system.posix_acl_access";

/// Copies a file's content: shared blocks where the file system can, holes kept as holes elsewhere.
pub(crate) fn copy_content(from: &File, to: &File) -> io::Result<()> {
    if rustix::fs::ioctl_ficlone(to, from).is_ok() {
        return Ok(());
    }
    let size = from.metadata()?.len();
    let mut at = 0;
    while at < size {
        let start = match rustix::fs::seek(from, SeekFrom::Data(at)) {
            Ok(start) => start,
            Err(Errno::NXIO) => break,
            Err(Errno::INVAL | Errno::OPNOTSUPP) => at,
            Err(error) => return Err(error.into()),
        };
        let end = rustix::fs::seek(from, SeekFrom::Hole(start)).unwrap_or(size).min(size);
        let end = if end <= start { size } else { end };
        copy_range(from, to, start, end)?;
        at = end;
    }
    to.set_len(size)
}

fn copy_range(from: &File, to: &File, start: u64, end: u64) -> io::Result<()> {
    let (mut read_at, mut write_at) = (start, start);
    while read_at < end {
        let left = usize::try_from(end.saturating_sub(read_at)).unwrap_or(usize::MAX).min(1 << 30);
        match rustix::fs::copy_file_range(from, Some(&mut read_at), to, Some(&mut write_at), left) {
            Ok(0) => break,
            Ok(_) => {}
            Err(Errno::XDEV | Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP | Errno::PERM) => {
                return copy_by_hand(from, to, read_at, end);
            }
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

fn copy_by_hand(from: &File, to: &File, mut at: u64, end: u64) -> io::Result<()> {
    let mut buffer = vec![0_u8; CHUNK];
    while at < end {
        let left = usize::try_from(end.saturating_sub(at)).unwrap_or(CHUNK).min(CHUNK);
        let got = from.read_at(buffer.get_mut(..left).unwrap_or_default(), at)?;
        if got == 0 {
            break;
        }
        to.write_all_at(buffer.get(..got).unwrap_or_default(), at)?;
        at = at.saturating_add(u64::try_from(got).unwrap_or(0));
    }
    Ok(())
}

/// Carries the user's own attributes and access list of a replaced file to its replacement, as far as allowed.
pub(crate) fn copy_attributes(from: &File, to: &File) {
    let Ok(length) = rustix::fs::flistxattr(from, &mut [0_u8; 0]) else { return };
    let mut names = vec![0_u8; length];
    let Ok(length) = rustix::fs::flistxattr(from, names.as_mut_slice()) else { return };
    names.truncate(length);
    for name in names.split(|b| *b == 0) {
        let users = name.starts_with(b"user.") && !name.starts_with(b"user.overlay.");
        if !users && name != ACL {
            continue;
        }
        let mut value = vec![0_u8; 1 << 16];
        if let Ok(length) = rustix::fs::fgetxattr(from, name, value.as_mut_slice()) {
            value.truncate(length);
            // An attribute that the file system refuses is no reason to keep the change from the user.
            let _ = rustix::fs::fsetxattr(to, name, &value, XattrFlags::empty());
        }
    }
}

/// Sets the modification time, leaving the access time.
pub(crate) fn set_mtime(file: &File, mtime: Stamp) -> io::Result<()> {
    let last_access = Timespec { tv_sec: 0, tv_nsec: rustix::fs::UTIME_OMIT };
    let last_modification = Timespec { tv_sec: mtime.s, tv_nsec: mtime.ns };
    rustix::fs::futimens(file, &Timestamps { last_access, last_modification })?;
    Ok(())
}

/// Changes the permission bits of whatever a handle (of any kind) holds.
pub(crate) fn set_mode(fd: impl AsFd, mode: u32) -> io::Result<()> {
    let path = format!("/proc/self/fd/{}", fd.as_fd().as_raw_fd());
    rustix::fs::chmod(path, rustix::fs::Mode::from_raw_mode(mode & 0o7777))?;
    Ok(())
}
