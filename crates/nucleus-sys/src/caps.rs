//! Capabilities: kept while a pod is built, all gone before anything of the agent's runs.

use std::io;

use rustix::thread::{CapabilitiesSecureBits, CapabilitySet, CapabilitySets};

/// Highest capability number looked at; the kernel defines 41 today.
const MAX_CAPABILITY: u32 = 63;

/// Changes user and group ids of this process, keeping the permitted capabilities effective.
///
/// # Errors
/// `EINVAL` when an id is not mapped here; `EPERM` without the right to change ids.
pub fn become_user(uid: u32, gid: u32) -> io::Result<()> {
    rustix::thread::set_keep_capabilities(true)?;
    let gid = rustix::process::Gid::from_raw(gid);
    let uid = rustix::process::Uid::from_raw(uid);
    rustix::thread::set_thread_res_gid(gid, gid, gid)?;
    rustix::thread::set_thread_res_uid(uid, uid, uid)?;
    rustix::thread::set_keep_capabilities(false)?;
    let mut sets = rustix::thread::capabilities(None)?;
    sets.effective = sets.permitted;
    Ok(rustix::thread::set_capabilities(None, sets)?)
}

/// Drops every supplementary group.
///
/// # Errors
/// `EPERM` in a user namespace that forbids it (rootless): the groups stay, unmapped.
pub fn clear_groups() -> io::Result<()> {
    Ok(rustix::thread::set_thread_groups(&[])?)
}

/// Empties every capability set for good: bounding, ambient, inheritable, permitted, effective; locks the secure bits.
///
/// # Errors
/// What the kernel says; `PermissionDenied` when a set is not empty afterwards.
pub fn drop_all() -> io::Result<()> {
    for number in 0..=MAX_CAPABILITY {
        let capability = CapabilitySet::from_bits_retain(1 << number);
        match rustix::thread::capability_is_in_bounding_set(capability) {
            Ok(true) => rustix::thread::remove_capability_from_bounding_set(capability)?,
            Ok(false) => {}
            Err(_) => break,
        }
    }
    rustix::thread::clear_ambient_capability_set()?;
    rustix::thread::set_capabilities_secure_bits(
        CapabilitiesSecureBits::NO_ROOT
            | CapabilitiesSecureBits::NO_ROOT_LOCKED
            | CapabilitiesSecureBits::NO_SETUID_FIXUP
            | CapabilitiesSecureBits::NO_SETUID_FIXUP_LOCKED
            | CapabilitiesSecureBits::KEEP_CAPS_LOCKED
            | CapabilitiesSecureBits::NO_CAP_AMBIENT_RAISE
            | CapabilitiesSecureBits::NO_CAP_AMBIENT_RAISE_LOCKED,
    )?;
    let none = CapabilitySets {
        effective: CapabilitySet::empty(),
        permitted: CapabilitySet::empty(),
        inheritable: CapabilitySet::empty(),
    };
    rustix::thread::set_capabilities(None, none)?;
    if are_empty()? { Ok(()) } else { Err(io::Error::from(io::ErrorKind::PermissionDenied)) }
}

/// True when every set of this process is empty, the bounding set included.
///
/// # Errors
/// What the kernel says.
pub fn are_empty() -> io::Result<bool> {
    let sets = rustix::thread::capabilities(None)?;
    let union = sets.effective | sets.permitted | sets.inheritable;
    if !union.is_empty() {
        return Ok(false);
    }
    for number in 0..=MAX_CAPABILITY {
        let capability = CapabilitySet::from_bits_retain(1 << number);
        match rustix::thread::capability_is_in_bounding_set(capability) {
            Ok(true) => return Ok(false),
            Ok(false) => {}
            Err(_) => break,
        }
    }
    Ok(true)
}
