//! Attempts at what a pod must not be able to do, for the self-test from inside. `Ok` means that it worked.
#![expect(unsafe_code, reason = "the calls that must fail have no safe binding")]

use std::io;
use std::os::fd::{FromRawFd, OwnedFd};

/// Makes a socket of any family, type and protocol.
///
/// # Errors
/// What the kernel says.
pub fn socket(family: i32, kind: i32, protocol: i32) -> io::Result<OwnedFd> {
    // SAFETY: takes three integers.
    let fd = unsafe { libc::socket(family, kind | libc::SOCK_CLOEXEC, protocol) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: fresh and ours.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Sets up an io_uring with one entry, with a parameter block that the kernel must reject even if the call exists.
///
/// # Errors
/// `ENOSYS` when the call is filtered; anything else means that the kernel looked at it.
pub fn io_uring() -> io::Result<()> {
    plain(libc::SYS_io_uring_setup, [1, 0, 0, 0])
}

/// Makes a user namespace.
///
/// # Errors
/// What the kernel says.
pub fn user_namespace() -> io::Result<()> {
    plain(libc::SYS_unshare, [i64::from(libc::CLONE_NEWUSER), 0, 0, 0])
}

/// Calls `clone3` without arguments.
///
/// # Errors
/// `ENOSYS` when the call is filtered.
pub fn clone3() -> io::Result<()> {
    plain(libc::SYS_clone3, [0, 0, 0, 0])
}

/// Asks to be traced by the parent.
///
/// # Errors
/// What the kernel says.
pub fn trace() -> io::Result<()> {
    plain(libc::SYS_ptrace, [i64::from(libc::PTRACE_TRACEME), 0, 0, 0])
}

/// Opens the session keyring.
///
/// # Errors
/// What the kernel says.
pub fn keyring() -> io::Result<()> {
    // KEYCTL_GET_KEYRING_ID of KEY_SPEC_SESSION_KEYRING.
    plain(libc::SYS_keyctl, [0, -3, 0, 0])
}

/// Opens a file system context.
///
/// # Errors
/// What the kernel says.
pub fn mount_context() -> io::Result<()> {
    rustix::mount::fsopen("tmpfs", rustix::mount::FsOpenFlags::FSOPEN_CLOEXEC)?;
    Ok(())
}

/// Mounts an empty file system.
///
/// # Errors
/// What the kernel says.
pub fn mount(target: &str) -> io::Result<()> {
    let flags = rustix::mount::MountFlags::empty();
    Ok(rustix::mount::mount("none", target, "tmpfs", flags, None)?)
}

/// Types a character into the terminal behind standard input.
///
/// # Errors
/// What the kernel says.
pub fn type_into_terminal() -> io::Result<()> {
    let character = b'x';
    let pointer = &raw const character;
    // SAFETY: the kernel reads one byte, which outlives the call.
    let result = unsafe { libc::ioctl(0, libc::TIOCSTI, pointer) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

fn plain(call: i64, arguments: [i64; 4]) -> io::Result<()> {
    let [a, b, c, d] = arguments;
    // SAFETY: only called from here, with integers and null pointers, for calls that then touch no memory of ours.
    let result = unsafe { libc::syscall(call, a, b, c, d) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
