//! What every driver offers.

use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::fd::OwnedFd;

use crate::enforcement::Enforcement;
use crate::error::SandboxError;
use crate::ids::PodIds;
use crate::pod::Pod;
use crate::spec::{PodSpec, SessionSpec};
use crate::workspace::Mask;

/// A way to build walls and run programs behind them.
pub trait Driver: Send + Sync {
    /// Its name in policies and reports.
    fn name(&self) -> &'static str;

    /// What its layers are worth on this host, found out without starting anything of a task's.
    ///
    /// # Errors
    /// When not even the probe can be run; the text says how to change that.
    fn probe(&self) -> Result<Enforcement, SandboxError>;

    /// Builds the session's root and namespaces and tests them from inside. Once per driver.
    ///
    /// # Errors
    /// Any error means that nothing stands.
    fn prepare(&self, spec: &SessionSpec) -> Result<SessionHandles, SandboxError>;

    /// Starts a program in a pod of the prepared session.
    ///
    /// # Errors
    /// Any error means that nothing runs.
    fn spawn(&self, spec: PodSpec) -> Result<Pod, SandboxError>;

    /// Connects to a port of the loopback of the session's tool pods; `None` when nobody listens there.
    ///
    /// # Errors
    /// The driver is gone, or no session is prepared.
    fn dial(&self, port: u16) -> Result<Option<TcpStream>, SandboxError>;

    /// Kills every pod of the session, the holders included; nothing can be spawned afterwards.
    ///
    /// # Errors
    /// [`SandboxError::Launcher`] when the launcher is gone, and with it every pod.
    fn kill_all(&self) -> Result<(), SandboxError>;
}

/// What the host holds of a prepared session.
#[derive(Debug)]
pub struct SessionHandles {
    /// The workspace as tool pods change it, without masks: for the host's file tools.
    pub merged: OwnedFd,
    /// The root that tool pods see, to find the programs in it (`openat2` with `RESOLVE_IN_ROOT`).
    pub root: OwnedFd,
    /// Ids of the pods on the host; file tools of a root host act under them.
    pub ids: PodIds,
    /// What holds, as probed and tested.
    pub enforcement: Enforcement,
    /// Whether the workspace is an overlay or a copy.
    pub workspace_mode: WorkspaceMode,
    /// What of the workspace is masked in tool pods. [`SessionHandles::merged`] shows whole what pods see as a copy
    /// without its credentials, so the file tools must not show that at all.
    pub masks: Vec<Mask>,
    /// The listener of [`SessionSpec::gate`].
    pub gate: Option<TcpListener>,
    /// The name service sockets of the tool pods, UDP and TCP, at `127.0.0.1:53` inside.
    pub dns: Option<(UdpSocket, TcpListener)>,
}

/// How the workspace got into the session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "both must be handled")]
pub enum WorkspaceMode {
    /// An overlay over the host's directory.
    Overlay,
    /// A copy in the session, because the file systems could not be overlaid.
    Copy,
}
