//! One direction: from one descriptor to another, byte for byte, through one fixed buffer.

use std::os::fd::BorrowedFd;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;

const BUFFER_BYTES: usize = 64 * 1024;

/// Which end failed.
#[derive(Debug)]
pub(crate) enum Broken {
    /// The source.
    Read(Errno),
    /// The destination.
    Write(Errno),
}

/// Copies until `from` ends. Works on descriptors in either mode: one that would block is waited for.
pub(crate) fn pump(from: BorrowedFd<'_>, to: BorrowedFd<'_>) -> Result<(), Broken> {
    let mut buffer = vec![0_u8; BUFFER_BYTES];
    loop {
        match rustix::io::read(from, &mut *buffer) {
            Ok(0) => return Ok(()),
            Ok(count) => put(to, buffer.get(..count).unwrap_or_default())?,
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => wait(from, PollFlags::IN).map_err(Broken::Read)?,
            Err(error) => return Err(Broken::Read(error)),
        }
    }
}

fn put(to: BorrowedFd<'_>, mut bytes: &[u8]) -> Result<(), Broken> {
    while !bytes.is_empty() {
        match rustix::io::write(to, bytes) {
            Ok(count) => bytes = bytes.get(count..).unwrap_or_default(),
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => wait(to, PollFlags::OUT).map_err(Broken::Write)?,
            Err(error) => return Err(Broken::Write(error)),
        }
    }
    Ok(())
}

fn wait(fd: BorrowedFd<'_>, for_what: PollFlags) -> Result<(), Errno> {
    match poll(&mut [PollFd::from_borrowed_fd(fd, for_what)], None) {
        Ok(_) | Err(Errno::INTR) => Ok(()),
        Err(error) => Err(error),
    }
}
