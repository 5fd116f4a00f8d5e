//! Drivers, pods and the workspace of Nucleus.
//!
//! A [`Driver`] builds the walls a task runs behind: [`LocalDriver`] makes them of Linux namespaces, capability
//! drop and system call filters, with Landlock, control groups and resource limits behind them. What
//! holds on a host is probed and told ([`Enforcement`]), tested from inside ([`SelfTest`]) before anything
//! of the agent's runs, and never silently less.
//!
//! Not here: what an agent may do (`lattice-guard`), and whether a command may start (`nucleus`). A driver runs
//! what it is given.

mod driver;
mod enforcement;
mod error;
mod groups;
mod holder;
pub mod home;
mod ids;
mod init;
mod launcher;
mod layout;
mod local;
mod plan;
mod pod;
mod rehearsal;
mod root;
mod self_test;
mod spec;
pub mod storage;
pub mod toolchain;
mod withhold;
pub mod workspace;

pub use driver::{Driver, SessionHandles, WorkspaceMode};
pub use enforcement::{Enforcement, Finding, Strength};
pub use error::{Failure, Obstacle, PathProblem, SandboxError, Step};
pub use ids::PodIds;
pub use lattice_guard::Layer;
pub use launcher::{LAUNCHER, launcher_main};
pub use local::{LauncherConfig, LocalDriver};
pub use pod::{Pod, PodEnd};
pub use rehearsal::{Rehearsal, rehearse};
pub use self_test::{Breach, SelfTest};
pub use spec::{AgentPodSpec, DOOR, HOME, Limits, PodKind, PodSpec, SessionSpec, ToolGate};
pub use withhold::Withhold;
