//! Mounts, by the descriptor-based interface (Linux 5.12).
#![expect(unsafe_code, reason = "mount_setattr has no safe binding")]

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MountFlags, MountPropagationFlags, MoveMountFlags,
    OpenTreeFlags, UnmountFlags,
};

/// What a mount forbids.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Restrictions(u64);

impl Restrictions {
    /// Nothing.
    pub const NONE: Self = Self(0);
    /// Set-user-id bits and file capabilities are ignored; device nodes do not work.
    pub const PLAIN: Self = Self(libc::MOUNT_ATTR_NOSUID | libc::MOUNT_ATTR_NODEV);
    /// As [`Self::PLAIN`], and nothing can be written.
    pub const READ_ONLY: Self = Self(Self::PLAIN.0 | libc::MOUNT_ATTR_RDONLY);
    /// As [`Self::PLAIN`], and nothing can be executed.
    pub const NO_EXEC: Self = Self(Self::PLAIN.0 | libc::MOUNT_ATTR_NOEXEC);
    /// Set-user-id bits are ignored and nothing can be executed; device nodes work.
    pub const DEVICE: Self = Self(libc::MOUNT_ATTR_NOSUID | libc::MOUNT_ATTR_NOEXEC);
}

/// A detached copy of the tree at `path`, submounts included, not yet anywhere.
///
/// # Errors
/// What `open_tree(2)` says.
pub fn clone_tree(path: &Path) -> io::Result<OwnedFd> {
    clone_tree_at(rustix::fs::CWD, path)
}

/// As [`clone_tree`], from a path beneath a directory, or with an empty path the object behind the descriptor.
///
/// # Errors
/// What `open_tree(2)` says.
pub fn clone_tree_at(directory: BorrowedFd<'_>, path: &Path) -> io::Result<OwnedFd> {
    let mut flags = OpenTreeFlags::OPEN_TREE_CLONE
        | OpenTreeFlags::OPEN_TREE_CLOEXEC
        | OpenTreeFlags::AT_RECURSIVE;
    if path.as_os_str().is_empty() {
        flags |= OpenTreeFlags::AT_EMPTY_PATH;
    }
    Ok(rustix::mount::open_tree(directory, path, flags)?)
}

/// Puts a detached tree at `path` beneath `directory`.
///
/// # Errors
/// What `move_mount(2)` says.
pub fn attach(tree: BorrowedFd<'_>, directory: BorrowedFd<'_>, path: &str) -> io::Result<()> {
    let mut flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH;
    if path.is_empty() {
        flags |= MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
    }
    Ok(rustix::mount::move_mount(tree, "", directory, path, flags)?)
}

/// Sets restrictions on a whole tree.
///
/// # Errors
/// What `mount_setattr(2)` says.
pub fn restrict(tree: BorrowedFd<'_>, restrictions: Restrictions) -> io::Result<()> {
    set_attributes(tree, restrictions.0, None, libc::AT_RECURSIVE)
}

/// Sets restrictions on one mount and not on those inside it.
///
/// # Errors
/// What `mount_setattr(2)` says.
pub fn restrict_one(mount: BorrowedFd<'_>, restrictions: Restrictions) -> io::Result<()> {
    set_attributes(mount, restrictions.0, None, 0)
}

/// Adds an id map, given by a user namespace, to a detached tree that has none.
///
/// # Errors
/// `EINVAL` when the file system cannot (overlay, network file systems) or before Linux 5.12; `EPERM` without
/// privilege over the file system.
pub fn map_ids(tree: BorrowedFd<'_>, user_namespace: BorrowedFd<'_>) -> io::Result<()> {
    set_attributes(tree, libc::MOUNT_ATTR_IDMAP, Some(user_namespace), libc::AT_RECURSIVE)
}

/// Makes a whole tree private, so that nothing propagates out of this mount namespace or into it.
///
/// # Errors
/// What the kernel says.
pub fn make_private(path: &Path) -> io::Result<()> {
    Ok(rustix::mount::mount_change(
        path,
        MountPropagationFlags::REC | MountPropagationFlags::PRIVATE,
    )?)
}

fn set_attributes(
    tree: BorrowedFd<'_>,
    set: u64,
    user_namespace: Option<BorrowedFd<'_>>,
    flags: libc::c_int,
) -> io::Result<()> {
    let attributes = libc::mount_attr {
        attr_set: set,
        attr_clr: 0,
        propagation: 0,
        userns_fd: user_namespace
            .and_then(|fd| u64::try_from(fd.as_raw_fd()).ok())
            .unwrap_or_default(),
    };
    let flags = libc::AT_EMPTY_PATH | flags;
    let empty: &CStr = c"";
    // SAFETY: path and attributes outlive the call, the size is that of the structure, the kernel only reads both.
    let result = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            tree.as_raw_fd(),
            empty.as_ptr(),
            flags,
            &raw const attributes,
            size_of::<libc::mount_attr>(),
        )
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// A new file system that is not attached anywhere yet. Options are `name=value` pairs; an empty value is a flag.
///
/// # Errors
/// What `fsopen(2)`, `fsconfig(2)` and `fsmount(2)` say.
pub fn filesystem(
    kind: &str,
    options: &[(&str, &str)],
    restrictions: Restrictions,
) -> io::Result<OwnedFd> {
    let context = rustix::mount::fsopen(kind, FsOpenFlags::FSOPEN_CLOEXEC)?;
    for (name, value) in options {
        if value.is_empty() {
            rustix::mount::fsconfig_set_flag(context.as_fd(), *name)?;
        } else {
            rustix::mount::fsconfig_set_string(context.as_fd(), *name, *value)?;
        }
    }
    rustix::mount::fsconfig_create(context.as_fd())?;
    let bits = u32::try_from(restrictions.0).unwrap_or_default();
    Ok(rustix::mount::fsmount(
        context.as_fd(),
        FsMountFlags::FSMOUNT_CLOEXEC,
        MountAttrFlags::from_bits_retain(bits),
    )?)
}

/// Mounts an overlay at the relative path `target`; all paths are relative to the current directory.
///
/// # Errors
/// `EINVAL`, `ENODEV` or `EPERM` where the kernel or the file systems cannot.
pub fn overlay(lower: &str, upper: &str, work: &str, target: &str) -> io::Result<()> {
    let options = std::ffi::CString::new(format!(
        "lowerdir={lower},upperdir={upper},workdir={work},userxattr"
    ))?;
    Ok(rustix::mount::mount(
        "overlay",
        target,
        "overlay",
        MountFlags::NOSUID | MountFlags::NODEV,
        options.as_c_str(),
    )?)
}

/// Makes the current directory the root of this mount namespace and lets the old root go.
///
/// # Errors
/// What `pivot_root(2)` says; the current directory must be a mount point.
pub fn pivot_to_current() -> io::Result<()> {
    rustix::process::pivot_root(".", ".")?;
    // The old root is now stacked over the new one, at the same place.
    rustix::mount::unmount(".", UnmountFlags::DETACH)?;
    Ok(rustix::process::chdir("/")?)
}

/// Detaches whatever is mounted at `path`.
///
/// # Errors
/// What `umount2(2)` says.
pub fn detach(path: &str) -> io::Result<()> {
    Ok(rustix::mount::unmount(path, UnmountFlags::DETACH)?)
}
