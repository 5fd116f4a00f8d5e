//! Resource limits of one process.

use std::io;

use rustix::process::{Resource, Rlimit};

/// Limits a payload starts with. `None` leaves the inherited one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Limits {
    /// Largest file it may write, in bytes.
    pub file_bytes: Option<u64>,
    /// Open descriptors.
    pub descriptors: Option<u64>,
    /// Processes and threads of its user id in its user namespace.
    pub processes: Option<u64>,
}

/// Applies the limits, soft and hard; core dumps are always off.
///
/// # Errors
/// What `setrlimit(2)` says.
pub fn apply(limits: &Limits) -> io::Result<()> {
    set(Resource::Core, Some(0))?;
    set(Resource::Fsize, limits.file_bytes)?;
    set(Resource::Nofile, limits.descriptors)?;
    set(Resource::Nproc, limits.processes)
}

fn set(resource: Resource, value: Option<u64>) -> io::Result<()> {
    let Some(value) = value else { return Ok(()) };
    // Never above the inherited hard limit: raising needs a privilege the launcher may not have.
    let ceiling = rustix::process::getrlimit(resource).maximum.unwrap_or(u64::MAX);
    let value = Some(value.min(ceiling));
    Ok(rustix::process::setrlimit(resource, Rlimit { current: value, maximum: value })?)
}
