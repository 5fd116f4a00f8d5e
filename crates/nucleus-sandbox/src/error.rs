//! Why a driver could not do its work, by blame.

use std::fmt;
use std::io;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::self_test::Breach;
use crate::workspace::WorkspaceError;
use lattice_guard::Layer;

/// Failure of a driver. Every failure means that nothing of the agent's runs.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SandboxError {
    /// This host does not let us make user namespaces.
    #[error(
        "this host does not let Nucleus build a pod: {obstacle}; nothing was run.\n{}",
        obstacle.remedy()
    )]
    UserNamespaces {
        /// What stands in the way.
        obstacle: Obstacle,
    },
    /// Layers that the policy demands are not there.
    #[error("the policy demands layers that this host does not offer in full: {}", names(.missing))]
    Requirement {
        /// The layers.
        missing: Vec<Layer>,
    },
    /// The self-test inside a pod did something that must be impossible.
    #[error("the self-test broke through: {}; the pod was killed and nothing was run", list(.breaches))]
    SelfTest {
        /// What it could do.
        breaches: Vec<Breach>,
    },
    /// Setting up the pod failed at one step.
    #[error("the pod could not be built: {0}")]
    Build(Failure),
    /// The file system of the session is full.
    #[error("no space left where the session lives ({path}); free some and start again")]
    NoSpace {
        /// The session's directory.
        path: PathBuf,
    },
    /// A path of the specification is not what it must be.
    #[error("{path}: {problem}")]
    Path {
        /// The path on the host.
        path: PathBuf,
        /// What is wrong with it.
        problem: PathProblem,
    },
    /// The workspace could not be scanned or copied.
    #[error("the workspace: {0}")]
    Workspace(#[from] WorkspaceError),
    /// The launcher died or spoke nonsense; every pod of the task is dead.
    #[error("the launcher of pods is gone ({0}); every pod of the task is dead")]
    Launcher(io::Error),
    /// A call in the wrong order, e.g. `spawn` before `prepare`.
    #[error("{0}")]
    Misuse(&'static str),
    /// The host refused an operation of ours.
    #[error("{action}: {source}")]
    Host {
        /// What was being done.
        action: &'static str,
        /// What the system said.
        source: io::Error,
    },
}

impl SandboxError {
    /// The text that may reach the agent: no host path.
    #[must_use]
    pub fn agent_text(&self) -> &'static str {
        match self {
            Self::UserNamespaces { .. } | Self::Requirement { .. } => {
                "the sandbox is not available on this host; nothing was run"
            }
            Self::SelfTest { .. } => "the sandbox failed its self-test; nothing was run",
            Self::NoSpace { .. } => "no space is left for the sandbox; nothing was run",
            Self::Launcher(_) => "the sandbox has been shut down; nothing was run",
            _ => "the sandbox could not be set up; nothing was run",
        }
    }

    pub(crate) fn host(action: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Host { action, source }
    }
}

/// What is wrong with a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum PathProblem {
    /// It does not exist.
    Missing,
    /// It is no directory.
    NotADirectory,
    /// It is not absolute, or has `.` or `..` or a symbolic link in it.
    NotCanonical,
    /// Pods need that place for something else.
    Reserved,
    /// It contains the session, so the agent could reach Nucleus's own state.
    CoversState,
    /// It is not valid UTF-8.
    NotUtf8,
}

impl fmt::Display for PathProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Missing => "does not exist",
            Self::NotADirectory => "is not a directory",
            Self::NotCanonical => "is not a canonical absolute path; name the directory itself",
            Self::Reserved => {
                "cannot be a workspace, pods need that place; choose a directory below it"
            }
            Self::CoversState => {
                "contains Nucleus's own state; choose a narrower directory, or move the state with XDG_STATE_HOME"
            }
            Self::NotUtf8 => "is not valid UTF-8; rename it",
        })
    }
}

/// Why user namespaces cannot be had.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Obstacle {
    /// `kernel.unprivileged_userns_clone` is 0.
    UnprivilegedCloneOff,
    /// `user.max_user_namespaces` is 0 or used up.
    NoneAllowed,
    /// AppArmor takes the capabilities away.
    AppArmor,
    /// Parts of `/proc` are covered, as in most containers, and then the kernel allows no fresh one.
    MaskedProc,
    /// This process is root of a user namespace that has too few ids for pods of its own.
    FewIds,
    /// A container's seccomp filter or something else refuses.
    Refused,
}

impl Obstacle {
    /// What the operator can do.
    #[must_use]
    pub fn remedy(self) -> &'static str {
        match self {
            Self::UnprivilegedCloneOff => {
                "Allow them with: sysctl -w kernel.unprivileged_userns_clone=1"
            }
            Self::NoneAllowed => "Allow them with: sysctl -w user.max_user_namespaces=65536",
            Self::AppArmor => {
                "Either load an AppArmor profile for nucleus-tool-proxy with the rule `userns,` \
                 or allow them for all with: sysctl -w kernel.apparmor_restrict_unprivileged_userns=0"
            }
            Self::MaskedProc => {
                "Inside a container, start it with --security-opt systempaths=unconfined, or run Nucleus on the host"
            }
            Self::FewIds => {
                "Run Nucleus as an ordinary user here (it needs one id only), outside of the namespace, or as root of \
                 a namespace with all ids"
            }
            Self::Refused => {
                "Inside a container, start it with a seccomp profile that allows clone and mount in user \
                 namespaces (or --security-opt seccomp=unconfined), or run Nucleus on the host"
            }
        }
    }
}

impl fmt::Display for Obstacle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::UnprivilegedCloneOff => "kernel.unprivileged_userns_clone is 0",
            Self::NoneAllowed => "user.max_user_namespaces is used up or 0",
            Self::AppArmor => "kernel.apparmor_restrict_unprivileged_userns is 1",
            Self::MaskedProc => "parts of /proc are covered, so the kernel allows none for a pod",
            Self::FewIds => "root of this user namespace has no ids to give to pods",
            Self::Refused => "the kernel refused",
        })
    }
}

/// The step of building a pod that failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{step}{}: {}", display_detail(.detail), io::Error::from_raw_os_error(*.errno))]
pub struct Failure {
    /// Which step.
    pub step: Step,
    /// The path or name it was about; may be empty.
    pub detail: String,
    /// What the system said.
    pub errno: i32,
}

/// A step of building a pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Step {
    /// Making the namespaces.
    Namespaces,
    /// Writing the id maps.
    IdMaps,
    /// Changing to the pod's user.
    User,
    /// Taking a directory or file of the host.
    Source,
    /// Mapping the ids of a directory.
    MapIds,
    /// Placing a mount in the new root.
    Place,
    /// Making a file, directory or link in the new root.
    Make,
    /// Mounting the overlay over the workspace.
    Overlay,
    /// Masking a withheld path.
    Mask,
    /// Changing to the new root.
    Pivot,
    /// Setting up the network.
    Network,
    /// Making a listener.
    Listener,
    /// Entering the control groups.
    Cgroup,
    /// Mounting `/proc`.
    Proc,
    /// Setting resource limits.
    Rlimits,
    /// Dropping capabilities.
    Capabilities,
    /// Entering the Landlock domain.
    Landlock,
    /// Installing the system call filter.
    Seccomp,
    /// Leaving session and terminal.
    Session,
    /// Forbidding executable memory files.
    MemfdNoexec,
    /// Starting a process.
    Fork,
    /// Talking to the process that builds.
    Protocol,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Namespaces => "making namespaces",
            Self::IdMaps => "writing id maps",
            Self::User => "changing to the pod's user",
            Self::Source => "opening on the host",
            Self::MapIds => "mapping ids of",
            Self::Place => "placing a mount at",
            Self::Make => "making",
            Self::Overlay => "mounting the overlay",
            Self::Mask => "masking",
            Self::Pivot => "changing the root",
            Self::Network => "setting up the network",
            Self::Listener => "listening at",
            Self::Cgroup => "entering control groups",
            Self::Proc => "mounting /proc",
            Self::Rlimits => "setting resource limits",
            Self::Capabilities => "dropping capabilities",
            Self::Landlock => "entering Landlock",
            Self::Seccomp => "installing seccomp filters",
            Self::Session => "starting a session",
            Self::MemfdNoexec => "forbidding executable memory files",
            Self::Fork => "starting a process",
            Self::Protocol => "talking to the builder",
        })
    }
}

pub(crate) type Built<T> = Result<T, Failure>;

/// Turns a system error into the failure of a step.
pub(crate) fn at(step: Step, detail: impl Into<String>) -> impl FnOnce(io::Error) -> Failure {
    let detail = detail.into();
    move |error| Failure { step, detail, errno: errno_of(&error) }
}

/// The system's number for an error, looked for in its sources too; `EIO` when there is none.
fn errno_of(error: &io::Error) -> i32 {
    let mut source: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(current) = source {
        if let Some(number) = current.downcast_ref::<io::Error>().and_then(io::Error::raw_os_error)
        {
            return number;
        }
        source = match current.downcast_ref::<io::Error>() {
            Some(io) => io.get_ref().map(|inner| inner as &(dyn std::error::Error + 'static)),
            None => current.source(),
        };
    }
    rustix::io::Errno::IO.raw_os_error()
}

fn display_detail(detail: &str) -> String {
    if detail.is_empty() { String::new() } else { format!(" {detail}") }
}

fn names(layers: &[Layer]) -> String {
    layers.iter().map(|layer| layer.name()).collect::<Vec<_>>().join(", ")
}

fn list(breaches: &[Breach]) -> String {
    breaches.iter().map(|breach| breach.name()).collect::<Vec<_>>().join(", ")
}
