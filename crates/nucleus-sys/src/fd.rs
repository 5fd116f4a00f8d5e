//! Descriptors: inheritance, closing, passing between processes.
#![expect(unsafe_code, reason = "taking over inherited descriptors and close_range")]

use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::net::UnixStream;

use rustix::io::FdFlags;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags,
};

/// Descriptors that travel with one message at most.
pub const MAX_FDS: usize = 16;

/// Takes over a descriptor that the parent left open under a number it told us, and marks it close-on-exec.
///
/// # Errors
/// `EBADF` when no such descriptor is open; `InvalidInput` for the three standard ones.
pub fn inherit(raw: i32) -> io::Result<OwnedFd> {
    if raw <= 2 {
        return Err(io::Error::from(io::ErrorKind::InvalidInput));
    }
    // SAFETY: only borrowed for the two calls below, the first of which fails if it is not open.
    let borrowed = unsafe { BorrowedFd::borrow_raw(raw) };
    let flags = rustix::io::fcntl_getfd(borrowed)?;
    rustix::io::fcntl_setfd(borrowed, flags | FdFlags::CLOEXEC)?;
    // SAFETY: it is open, and by the contract of this function the parent left it for us alone.
    Ok(unsafe { OwnedFd::from_raw_fd(raw) })
}

/// Marks every descriptor from `first` up close-on-exec, so that a program executed later gets none.
///
/// # Errors
/// `ENOSYS` before Linux 5.11.
pub fn close_on_exec_from(first: u32) -> io::Result<()> {
    close_range(first, libc::CLOSE_RANGE_CLOEXEC)
}

/// Closes every descriptor from `first` up. For a process that has just been executed and has opened nothing.
///
/// # Errors
/// `ENOSYS` before Linux 5.9.
pub fn close_from(first: u32) -> io::Result<()> {
    close_range(first, 0)
}

/// Closes every descriptor but the standard three and those given. For a process just forked, whose copies of
/// other owners of descriptors are never used nor dropped because it ends by [`crate::process::exit_now`]
/// or by executing a program.
///
/// # Errors
/// `ENOSYS` before Linux 5.9.
pub fn keep_only(keep: &[BorrowedFd<'_>]) -> io::Result<()> {
    let mut numbers: Vec<u32> =
        keep.iter().filter_map(|fd| u32::try_from(fd.as_raw_fd()).ok()).collect();
    numbers.sort_unstable();
    let mut first = 3;
    for number in numbers {
        if number > first {
            close_span(first, number.saturating_sub(1), 0)?;
        }
        first = first.max(number.saturating_add(1));
    }
    close_range(first, 0)
}

fn close_range(first: u32, flags: u32) -> io::Result<()> {
    close_span(first, u32::MAX, flags)
}

fn close_span(first: u32, last: u32, flags: u32) -> io::Result<()> {
    // SAFETY: takes three integers; closing is for callers that own every descriptor of the span.
    let result = unsafe { libc::syscall(libc::SYS_close_range, first, last, flags) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Makes `fd` the standard input (0), output (1) or error (2) of this process.
///
/// # Errors
/// What `dup2(2)` says.
pub fn set_standard(
    stdin: BorrowedFd<'_>,
    out: BorrowedFd<'_>,
    err: BorrowedFd<'_>,
) -> io::Result<()> {
    rustix::stdio::dup2_stdin(stdin)?;
    rustix::stdio::dup2_stdout(out)?;
    rustix::stdio::dup2_stderr(err)?;
    Ok(())
}

/// Sends one message: a length, the descriptors, the bytes.
///
/// # Errors
/// `InvalidInput` when the body exceeds `limit` or there are too many descriptors; what the socket says.
pub fn send(
    socket: &UnixStream,
    body: &[u8],
    fds: &[BorrowedFd<'_>],
    limit: usize,
) -> io::Result<()> {
    let length = u32::try_from(body.len())
        .ok()
        .filter(|_| body.len() <= limit && fds.len() <= MAX_FDS)
        .ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
    let header = length.to_le_bytes();
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_FDS))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !fds.is_empty() && !control.push(SendAncillaryMessage::ScmRights(fds)) {
        return Err(io::Error::from(io::ErrorKind::InvalidInput));
    }
    let sent = retry(|| {
        rustix::net::sendmsg(socket, &[IoSlice::new(&header)], &mut control, SendFlags::NOSIGNAL)
    })?;
    let mut stream = socket;
    if let Some(rest) = header.get(sent..) {
        stream.write_all(rest)?;
    }
    stream.write_all(body)
}

/// Receives one message of [`send`]; `None` when the peer closed before one began.
///
/// # Errors
/// `InvalidData` when the announced length exceeds `limit`; `UnexpectedEof` when the peer closed within
/// a message; what the socket says (a read timeout included).
pub fn receive(socket: &UnixStream, limit: usize) -> io::Result<Option<(Vec<u8>, Vec<OwnedFd>)>> {
    let mut header = [0_u8; 4];
    let mut fds = Vec::new();
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_FDS))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let got = retry(|| {
        rustix::net::recvmsg(
            socket,
            &mut [IoSliceMut::new(&mut header)],
            &mut control,
            RecvFlags::CMSG_CLOEXEC,
        )
    })?;
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(rights) = message {
            fds.extend(rights);
        }
    }
    if got.bytes == 0 {
        return Ok(None);
    }
    let mut stream = socket;
    if let Some(rest) = header.get_mut(got.bytes..) {
        stream.read_exact(rest)?;
    }
    let length = usize::try_from(u32::from_le_bytes(header)).unwrap_or(usize::MAX);
    if length > limit {
        return Err(io::Error::from(io::ErrorKind::InvalidData));
    }
    let mut body = vec![0_u8; length];
    stream.read_exact(&mut body)?;
    Ok(Some((body, fds)))
}

fn retry<T>(mut call: impl FnMut() -> rustix::io::Result<T>) -> io::Result<T> {
    loop {
        match call() {
            Err(rustix::io::Errno::INTR) => {}
            other => return Ok(other?),
        }
    }
}

/// Duplicates a descriptor, close-on-exec.
///
/// # Errors
/// What `fcntl(2)` says.
pub fn duplicate(fd: impl AsFd) -> io::Result<OwnedFd> {
    Ok(rustix::io::fcntl_dupfd_cloexec(fd, 3)?)
}
