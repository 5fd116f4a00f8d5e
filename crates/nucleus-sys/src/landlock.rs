//! A Landlock domain: the second wall behind the mounts.
#![expect(unsafe_code, reason = "the version query and entering have no safe binding")]

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use landlock::{
    ABI, Access, AccessFs, CompatLevel, Compatible, PathBeneath, PathFd, Ruleset, RulesetAttr,
    RulesetCreated, RulesetCreatedAttr, Scope,
};

/// Newest interface version whose rights are used.
const NEWEST: ABI = ABI::V6;

/// Oldest interface version that is of use: the first forbids every rename between directories.
pub const OLDEST: i32 = 2;

/// What a path beneath a pod's root is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Use {
    /// Read and execute.
    Read,
    /// Everything but making device nodes.
    Write,
    /// Read and write what exists, device controls included.
    Device,
}

/// A prepared domain; entering it costs one call.
#[derive(Debug)]
pub struct Domain(OwnedFd);

/// Interface version of the running kernel; 0 when it has no Landlock or it is not enabled.
#[must_use]
pub fn version() -> i32 {
    const CREATE_RULESET_VERSION: libc::c_uint = 1;
    let null = std::ptr::null::<libc::c_void>();
    // SAFETY: with this flag the kernel reads no memory and only returns a number.
    let version = unsafe {
        libc::syscall(libc::SYS_landlock_create_ruleset, null, 0_usize, CREATE_RULESET_VERSION)
    };
    i32::try_from(version).unwrap_or(0).max(0)
}

/// Prepares a domain that allows only these paths (with the rights of their use), no signals to outside and no
/// connection to abstract sockets made outside. Paths that do not exist are left out.
///
/// Rights that the running kernel lacks are left out too: [`version`] says what the domain is worth.
///
/// # Errors
/// What the kernel says; `Unsupported` when it has no Landlock.
pub fn prepare(paths: &[(&str, Use)]) -> io::Result<Domain> {
    let ruleset = build(paths).map_err(io::Error::other)?;
    let fd: Option<OwnedFd> = ruleset.into();
    fd.map(Domain).ok_or_else(|| io::Error::from(io::ErrorKind::Unsupported))
}

fn build(paths: &[(&str, Use)]) -> Result<RulesetCreated, landlock::RulesetError> {
    let mut ruleset = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(NEWEST))?
        .scope(Scope::from_all(NEWEST))?
        .create()?;
    for (path, purpose) in paths {
        let Ok(fd) = PathFd::new(path) else { continue };
        let access = match purpose {
            Use::Read => AccessFs::from_read(NEWEST),
            Use::Write => AccessFs::from_all(NEWEST) & !(AccessFs::MakeBlock | AccessFs::MakeChar),
            Use::Device => {
                AccessFs::ReadFile
                    | AccessFs::ReadDir
                    | AccessFs::WriteFile
                    | AccessFs::Truncate
                    | AccessFs::IoctlDev
            }
        };
        ruleset = ruleset.add_rule(PathBeneath::new(fd, access))?;
    }
    Ok(ruleset)
}

impl Domain {
    /// Enters the domain, for this process and its children. No-new-privileges must be set.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn enter(&self) -> io::Result<()> {
        // SAFETY: takes two integers; the descriptor is a ruleset that we own.
        let result =
            unsafe { libc::syscall(libc::SYS_landlock_restrict_self, self.0.as_raw_fd(), 0_u32) };
        if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    }
}

impl AsFd for Domain {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
