//! Maps of a user namespace.

use std::io;

/// One line of a map: `count` ids from `inside` are those from `outside`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extent {
    /// First id in the namespace.
    pub inside: u32,
    /// First id in the parent namespace.
    pub outside: u32,
    /// How many.
    pub count: u32,
}

/// Writes both maps of a process that is in a fresh user namespace.
///
/// `process` is `self` or a process id. Without privilege in the parent namespace each map may have one
/// extent of one id, the writer's own, and `setgroups` must be denied first (`deny_setgroups`).
///
/// # Errors
/// `EPERM` or `EACCES` when the kernel or a security module refuses.
pub fn write_maps(
    process: &str,
    uids: &[Extent],
    gids: &[Extent],
    deny_setgroups: bool,
) -> io::Result<()> {
    if deny_setgroups {
        std::fs::write(format!("/proc/{process}/setgroups"), "deny")?;
    }
    std::fs::write(format!("/proc/{process}/gid_map"), render(gids))?;
    std::fs::write(format!("/proc/{process}/uid_map"), render(uids))
}

fn render(extents: &[Extent]) -> String {
    let mut text = String::new();
    for extent in extents {
        text.push_str(&format!("{} {} {}\n", extent.inside, extent.outside, extent.count));
    }
    text
}
