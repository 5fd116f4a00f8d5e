//! Switches that remove one layer, for the positive controls of the security tests.
//!
//! A test that shows an attack failing proves nothing unless the same attack works once the layers that
//! hold it are gone. Without the `weaken` feature [`off`] is the constant `false` and the name of
//! the environment variable is not in the binary; continuous integration looks for it.

/// One removable layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Weak {
    /// Allowlist mounts: the pod keeps the host's root.
    Mounts,
    /// The pod's own network namespace.
    Netns,
    /// The pod's own process namespace.
    Pidns,
    /// The pod's own System V IPC namespace.
    Ipcns,
    /// Capability drop.
    Caps,
    /// System call filter.
    Seccomp,
    /// Landlock domain.
    Landlock,
    /// Ban on executing memory files.
    Memfd,
    /// Resource limits of the process.
    Rlimits,
    /// Control group limits.
    Cgroup,
    /// Closing of inherited descriptors.
    Fds,
    /// Exact environment.
    Env,
    /// Protection of our own processes against inspection.
    Dumpable,
    /// Read-only root.
    RoRoot,
    /// Masks over withheld paths.
    Masks,
    /// Beneath-only resolution of the file tools.
    Resolver,
    /// Path policy of the file tools.
    PathPolicy,
    /// Self-test from inside the pod.
    SelfTest,
    /// Kill of the whole process tree.
    Kill,
    /// Overlay over the workspace.
    Overlay,
    /// New session without a controlling terminal.
    Session,
    /// Output bounds.
    OutputBound,
    /// Look at the namespaces of whoever connects to the approvals socket.
    ApprovalPeer,
}

#[cfg(feature = "weaken")]
impl Weak {
    fn name(self) -> &'static str {
        match self {
            Self::Mounts => "mounts",
            Self::Netns => "netns",
            Self::Pidns => "pidns",
            Self::Ipcns => "ipcns",
            Self::Caps => "caps",
            Self::Seccomp => "seccomp",
            Self::Landlock => "landlock",
            Self::Memfd => "memfd",
            Self::Rlimits => "rlimits",
            Self::Cgroup => "cgroup",
            Self::Fds => "fds",
            Self::Env => "env",
            Self::Dumpable => "dumpable",
            Self::RoRoot => "ro-root",
            Self::Masks => "masks",
            Self::Resolver => "resolver",
            Self::PathPolicy => "path-policy",
            Self::SelfTest => "self-test",
            Self::Kill => "kill",
            Self::Overlay => "overlay",
            Self::Session => "session",
            Self::OutputBound => "output-bound",
            Self::ApprovalPeer => "approval-peer",
        }
    }
}

/// Name of the variable, for a parent that hands it to a process with an otherwise empty environment.
#[cfg(feature = "weaken")]
pub const VARIABLE: &str = "NUCLEUS_WEAKEN";

/// True when a test build was told to leave this layer out.
#[cfg(feature = "weaken")]
#[must_use]
pub fn off(layer: Weak) -> bool {
    std::env::var(VARIABLE).is_ok_and(|list| list.split(',').any(|name| name == layer.name()))
}

/// True when a test build was told to leave this layer out: never, in this build.
#[cfg(not(feature = "weaken"))]
#[must_use]
pub const fn off(_layer: Weak) -> bool {
    false
}
