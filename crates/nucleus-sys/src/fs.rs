//! File access under the ids of a pod.
#![expect(unsafe_code, reason = "setfsuid and setfsgid have no safe binding")]

use std::io;

/// Runs `action` with this thread's file system ids changed, and changes them back.
///
/// A root host must act on an overlay with the pod's ids: with its own, creation fails (`EOVERFLOW`) and what
/// succeeded would belong to root. Changing away from 0 also drops the file capabilities until the ids return.
/// If the ids cannot be restored the process
/// ends, because going on with the wrong ones is worse.
///
/// # Errors
/// `PermissionDenied` when the kernel refuses the ids; `action` did not run.
pub fn with_fs_ids<T>(uid: u32, gid: u32, action: impl FnOnce() -> T) -> io::Result<T> {
    // Each call tells what was in effect before it, in the order in which root may change both.
    let gid_before = set_fs_gid(gid);
    let restore = Restore { uid: set_fs_uid(uid), gid: gid_before };
    // Neither says whether it was obeyed; an invalid id changes nothing and tells what is in effect.
    if set_fs_gid(u32::MAX) != gid || set_fs_uid(u32::MAX) != uid {
        drop(restore);
        return Err(io::Error::from(io::ErrorKind::PermissionDenied));
    }
    let value = action();
    drop(restore);
    Ok(value)
}

struct Restore {
    uid: u32,
    gid: u32,
}

impl Drop for Restore {
    fn drop(&mut self) {
        set_fs_uid(self.uid);
        set_fs_gid(self.gid);
        if set_fs_uid(u32::MAX) != self.uid || set_fs_gid(u32::MAX) != self.gid {
            crate::process::exit_now(70);
        }
    }
}

fn set_fs_uid(uid: u32) -> u32 {
    // SAFETY: takes an integer and concerns only this thread; the raw call is not broadcast to others.
    let old = unsafe { libc::syscall(libc::SYS_setfsuid, uid) };
    u32::try_from(old).unwrap_or(u32::MAX)
}

fn set_fs_gid(gid: u32) -> u32 {
    // SAFETY: as above.
    let old = unsafe { libc::syscall(libc::SYS_setfsgid, gid) };
    u32::try_from(old).unwrap_or(u32::MAX)
}
