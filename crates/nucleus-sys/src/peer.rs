//! Who is at the other end of a Unix socket: its user, and whether it lives in our own namespaces.
#![expect(unsafe_code, reason = "a peer without a number and SO_PEERPIDFD have no safe binding")]

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixStream;

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::process::{Pid, PidfdFlags};

use crate::weaken::{Weak, off};

/// The namespaces whose difference shuts a peer out: a pod has both of its own.
const SHARED: [&str; 2] = ["user", "pid"];

/// Why a peer is refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PeerError {
    /// It acts as another user.
    #[error("the peer acts as user {uid}")]
    User {
        /// Its effective user.
        uid: u32,
    },
    /// It is in a user or process namespace that is not ours, or cannot be seen from here at all.
    #[error("the peer is in another {namespace} namespace")]
    Namespace {
        /// Which one.
        namespace: &'static str,
    },
    /// It is gone, or cannot be looked at.
    #[error("the peer cannot be looked at")]
    Io(#[from] io::Error),
}

/// Refuses a peer that is not a process of our own user in our own user and process namespaces. The process is held
/// by a descriptor while it is looked at, so that its number cannot come to mean another one.
///
/// # Errors
/// [`PeerError`]; whoever gets it must not read from the socket.
pub fn require_own(socket: &UnixStream) -> Result<(), PeerError> {
    let mut credentials = libc::ucred { pid: 0, uid: u32::MAX, gid: u32::MAX };
    option(socket, libc::SO_PEERCRED, &mut credentials)?;
    if credentials.uid != rustix::process::geteuid().as_raw() {
        return Err(PeerError::User { uid: credentials.uid });
    }
    if off(Weak::ApprovalPeer) {
        return Ok(());
    }
    // A process that has no number here lives in a process namespace that is not beneath ours.
    let Some(pid) = Pid::from_raw(credentials.pid) else {
        return Err(PeerError::Namespace { namespace: "pid" });
    };
    let held = match peer_pidfd(socket) {
        Ok(held) => held,
        // Kernels before 6.5.
        Err(error) if error.raw_os_error() == Some(libc::ENOPROTOOPT) => {
            rustix::process::pidfd_open(pid, PidfdFlags::empty()).map_err(io::Error::from)?
        }
        Err(error) => return Err(error.into()),
    };
    for namespace in SHARED {
        if !same_namespace(pid, namespace)? {
            return Err(PeerError::Namespace { namespace });
        }
    }
    if has_ended(&held)? {
        return Err(io::Error::from(io::ErrorKind::ConnectionAborted).into());
    }
    Ok(())
}

fn same_namespace(pid: Pid, namespace: &str) -> io::Result<bool> {
    let theirs = std::fs::metadata(format!("/proc/{}/ns/{namespace}", pid.as_raw_nonzero()))?;
    let ours = std::fs::metadata(format!("/proc/self/ns/{namespace}"))?;
    Ok((theirs.dev(), theirs.ino()) == (ours.dev(), ours.ino()))
}

fn peer_pidfd(socket: &UnixStream) -> io::Result<OwnedFd> {
    let mut pidfd: libc::c_int = -1;
    option(socket, libc::SO_PEERPIDFD, &mut pidfd)?;
    // SAFETY: the kernel stored a fresh descriptor there.
    Ok(unsafe { OwnedFd::from_raw_fd(pidfd) })
}

/// Reads a socket option. `T` is what the kernel documents for it; any bytes of that size are a valid one.
fn option<T: Copy>(socket: &UnixStream, name: libc::c_int, value: &mut T) -> io::Result<()> {
    let mut length = libc::socklen_t::try_from(size_of::<T>()).unwrap_or_default();
    let (slot, size) = ((&raw mut *value).cast::<libc::c_void>(), &raw mut length);
    // SAFETY: both pointers are to live values, and the kernel writes no more than the length it is told.
    let result =
        unsafe { libc::getsockopt(socket.as_raw_fd(), libc::SOL_SOCKET, name, slot, size) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

fn has_ended(pidfd: &OwnedFd) -> io::Result<bool> {
    let mut polled = [PollFd::new(pidfd, PollFlags::IN)];
    let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
    Ok(rustix::event::poll(&mut polled, Some(&at_once))? > 0)
}

#[cfg(test)]
mod tests {
    use super::require_own;
    use std::os::unix::net::UnixStream;

    #[test]
    fn this_very_process_is_one_of_ours() {
        let (ours, _theirs) = UnixStream::pair().unwrap();
        require_own(&ours).unwrap();
    }
}
