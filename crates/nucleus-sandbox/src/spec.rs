//! What a caller asks of a driver.

use std::collections::BTreeSet;
use std::os::fd::OwnedFd;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::toolchain::{RoBind, Toolchain};
use crate::workspace::MaskPolicy;
use lattice_guard::Layer;

/// A task's session: one workspace, one overlay, any number of tool pods.
#[derive(Debug, Clone)]
pub struct SessionSpec {
    /// Directory of the session (mode 0700), with `overlay/upper`, `overlay/work` and `tmp` in it.
    pub session_dir: PathBuf,
    /// Canonical path of the workspace; it has the same path inside.
    pub workspace: PathBuf,
    /// What of the workspace tool pods must not read.
    pub masks: MaskPolicy,
    /// Toolchains of the host that pods get.
    pub toolchains: Vec<Toolchain>,
    /// Read-only things beside the workspace that are no toolchain: the repository of a worktree.
    pub beside: Vec<crate::toolchain::RoBind>,
    /// Where the writable layers of toolchain caches live; none means that they live in the session.
    pub cache_dir: Option<PathBuf>,
    /// A listener of the host's in the pods' network.
    pub gate: Option<ToolGate>,
    /// Limits of the task and of each of its commands.
    pub limits: Limits,
    /// Layers without which the session is refused.
    pub required: BTreeSet<Layer>,
}

/// A listener among the tool pods that the host serves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToolGate {
    /// Port of the pods' loopback address.
    pub port: u16,
    /// Read-only files that lead programs to it: absolute path inside and text.
    pub files: Vec<(String, String)>,
}

/// Limits of a task and of each command. They are ceilings against accidents and bombs, not quotas.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Processes and threads of all commands together.
    pub pids: u64,
    /// Memory of all commands together, in bytes.
    pub memory_bytes: u64,
    /// Largest file a command may write, in bytes.
    pub file_bytes: u64,
    /// Open descriptors per process.
    pub descriptors: u64,
    /// Shared memory (`/dev/shm`), in bytes.
    pub shm_bytes: u64,
    /// Space that must stay free where the session lives, in bytes: below it commands are killed and none is started.
    pub free_bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        const GIB: u64 = 1 << 30;
        Self {
            pids: 2_048,
            memory_bytes: 8 * GIB,
            file_bytes: 16 * GIB,
            descriptors: 65_536,
            shm_bytes: GIB,
            free_bytes: GIB / 4,
        }
    }
}

/// Which kind of pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PodKind {
    /// Runs a command of the task on the workspace.
    Tool,
    /// Runs the agent program, without the workspace.
    Agent,
}

/// One program to run in a pod.
#[derive(Debug)]
pub struct PodSpec {
    /// Program and arguments; the program is looked up in the `PATH` of `env`.
    pub argv: Vec<String>,
    /// The exact environment.
    pub env: Vec<(String, String)>,
    /// Absolute working directory inside.
    pub cwd: String,
    /// Standard input.
    pub stdin: OwnedFd,
    /// Standard output.
    pub stdout: OwnedFd,
    /// Standard error.
    pub stderr: OwnedFd,
    /// Present for an agent pod.
    pub agent: Option<AgentPodSpec>,
}

impl PodSpec {
    /// Which kind of pod this asks for.
    #[must_use]
    pub fn kind(&self) -> PodKind {
        if self.agent.is_some() { PodKind::Agent } else { PodKind::Tool }
    }
}

/// What an agent pod gets beyond the base system.
#[derive(Debug, Default)]
pub struct AgentPodSpec {
    /// Host directory that is the agent's home, read and write, at [`HOME`].
    pub home_dir: PathBuf,
    /// Read-only files of the stand-in at the workspace's path: relative path and bytes.
    pub context_files: Vec<(String, Vec<u8>)>,
    /// Read-only binds (the agent's program, the relay).
    pub binds: Vec<RoBind>,
    /// Make the door listener at [`DOOR`].
    pub door: bool,
    /// Make the model gate's listener at this port of the pod's loopback address.
    pub gate_port: Option<u16>,
    /// Make the name service sockets.
    pub dns: bool,
    /// The standard streams are the follower of a pair of terminals made for this pod: it controls the program.
    pub terminal: bool,
}

/// Home directory inside every pod.
pub const HOME: &str = "/home/agent";
/// Path of the door inside an agent pod.
pub const DOOR: &str = "/run/door.sock";
