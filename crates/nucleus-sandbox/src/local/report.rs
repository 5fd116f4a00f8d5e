//! From facts and failures to what people read.

use std::fs;
use std::path::Path;

use nucleus_sys::landlock;

use crate::enforcement::{Enforcement, Strength};
use crate::error::{Failure, Obstacle, SandboxError, Step};
use crate::ids::PodIds;
use crate::plan::{Facts, MemoryFiles};
use lattice_guard::Layer;

/// Landlock interface version from which every right and scope we use exists.
const LANDLOCK_FULL: i32 = 6;

/// What the layers of a holder are worth.
pub(super) fn enforcement(facts: &Facts, ids: &PodIds) -> Enforcement {
    let tested = if facts.self_tested { "built; self-test from inside held" } else { "built" };
    let mut found = Enforcement::default();
    for layer in [
        Layer::Mount,
        Layer::Network,
        Layer::Pid,
        Layer::Ipc,
        Layer::Uts,
        Layer::Capabilities,
        Layer::Seccomp,
        Layer::Rlimits,
    ] {
        found.record(layer, Strength::Full, tested);
    }
    user(&mut found, facts, ids);
    cgroup(&mut found, facts);
    domain(&mut found, facts.landlock_version);
    match facts.memory_files {
        MemoryFiles::Sysctl => {
            found.record(Layer::MemfdNoexec, Strength::Full, "vm.memfd_noexec is 2 in the pod");
        }
        MemoryFiles::Filter => {
            let evidence = "the system call filter demands MFD_NOEXEC_SEAL";
            found.record(Layer::MemfdNoexec, Strength::Full, evidence);
        }
        MemoryFiles::Unknown => {
            let evidence = "the kernel (before 6.3) has no MFD_NOEXEC_SEAL";
            found.record(Layer::MemfdNoexec, Strength::None, evidence);
        }
    }
    found
}

fn user(found: &mut Enforcement, facts: &Facts, ids: &PodIds) {
    if ids.base.is_some() {
        let evidence = format!("pods run as host uid {}, which owns nothing else", ids.uid);
        found.record(Layer::User, Strength::Full, evidence);
    } else if facts.groups_dropped {
        found.record(Layer::User, Strength::Partial, "pods run as the user's own uid");
    } else {
        let evidence = "pods run as the user's own uid and keep the user's groups (unmapped)";
        found.record(Layer::User, Strength::Partial, evidence);
    }
}

fn cgroup(found: &mut Enforcement, facts: &Facts) {
    let (strength, evidence) = match (facts.cgroup_version, facts.cgroup_pids, facts.cgroup_memory)
    {
        (Some(version), true, true) => {
            (Strength::Full, format!("version {version}: processes and memory are limited"))
        }
        (Some(version), true, false) => {
            (Strength::Partial, format!("version {version}: memory has no limit"))
        }
        (Some(version), false, true) => {
            (Strength::Partial, format!("version {version}: processes are limited by rlimit only"))
        }
        _ => {
            let evidence = "no control group is delegated to this user: memory has no limit, \
                            processes are limited by rlimit only";
            (Strength::None, evidence.to_owned())
        }
    };
    found.record(Layer::Cgroup, strength, evidence);
}

fn domain(found: &mut Enforcement, version: i32) {
    let (strength, evidence) = match version {
        0 => (Strength::None, "the kernel has no Landlock, or it is not enabled".to_owned()),
        LANDLOCK_FULL.. => (Strength::Full, format!("interface version {version}")),
        ..landlock::OLDEST => {
            let evidence = "interface version 1 forbids renames between directories; not used";
            (Strength::None, evidence.to_owned())
        }
        _ => {
            let missing = "no scopes for signals and abstract sockets";
            (Strength::Partial, format!("interface version {version}: {missing}"))
        }
    };
    found.record(Layer::Landlock, strength, evidence);
}

/// Finds the cause behind a failed step that an operator can do something about.
pub(super) fn explain(failure: Failure, session_dir: &Path) -> SandboxError {
    use rustix::io::Errno;
    let errno = Errno::from_raw_os_error(failure.errno);
    if failure.step == Step::Proc && errno == Errno::PERM {
        return SandboxError::UserNamespaces { obstacle: Obstacle::MaskedProc };
    }
    let early = matches!(
        failure.step,
        Step::Namespaces | Step::IdMaps | Step::User | Step::Source | Step::Place | Step::Make
    );
    if matches!(failure.step, Step::Namespaces | Step::IdMaps)
        && matches!(errno, Errno::PERM | Errno::ACCESS | Errno::NOSPC | Errno::USERS | Errno::INVAL)
    {
        return SandboxError::UserNamespaces { obstacle: obstacle(errno) };
    }
    // AppArmor lets the namespace be made and then takes the capabilities in it away.
    if early
        && matches!(errno, Errno::PERM | Errno::ACCESS)
        && setting("kernel/apparmor_restrict_unprivileged_userns") == Some(1)
    {
        return SandboxError::UserNamespaces { obstacle: Obstacle::AppArmor };
    }
    // A clone of a host mount needs the right to mount: root of a container may lack it.
    if failure.step == Step::Source && errno == Errno::PERM {
        return SandboxError::UserNamespaces { obstacle: Obstacle::Refused };
    }
    // Root needs user namespaces too, for its id-mapped mounts, and the kernel says the same of them as of a full disk.
    if errno == Errno::NOSPC && setting("user/max_user_namespaces") == Some(0) {
        return SandboxError::UserNamespaces { obstacle: Obstacle::NoneAllowed };
    }
    if errno == Errno::NOSPC && matches!(failure.step, Step::Overlay | Step::Make) {
        return SandboxError::NoSpace { path: session_dir.to_path_buf() };
    }
    SandboxError::Build(failure)
}

fn obstacle(errno: rustix::io::Errno) -> Obstacle {
    let exhausted = matches!(errno, rustix::io::Errno::NOSPC | rustix::io::Errno::USERS);
    if exhausted || setting("user/max_user_namespaces") == Some(0) {
        Obstacle::NoneAllowed
    } else if setting("kernel/unprivileged_userns_clone") == Some(0) {
        Obstacle::UnprivilegedCloneOff
    } else if setting("kernel/apparmor_restrict_unprivileged_userns") == Some(1) {
        Obstacle::AppArmor
    } else {
        Obstacle::Refused
    }
}

fn setting(name: &str) -> Option<u64> {
    fs::read_to_string(Path::new("/proc/sys").join(name)).ok()?.trim().parse().ok()
}
