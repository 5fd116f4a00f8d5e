//! What the host tells the launcher, and the launcher its holders: data only, decided entirely on the host.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::error::Failure;
use crate::ids::PodIds;
use crate::self_test::{Breach, SelfTest};
use crate::spec::Limits;

/// Largest message between host, launcher and holder, in bytes.
pub(crate) const MESSAGE_BYTES: usize = 8 << 20;

/// From host to launcher.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Request {
    /// Build a root with its namespaces. Answered by `Held`.
    Hold(Box<HolderPlan>),
    /// Run a program; descriptors: standard input, output, error. Answered by `Running`.
    Run { holder: u32, plan: RunPlan },
    /// Connect to a port of this holder's loopback. Answered by `Dialled`.
    Dial { holder: u32, port: u16 },
    /// Cover paths of the workspace in pods to come. Answered by `Covered`.
    Cover { holder: u32, covers: LateCovers },
    /// Kill every pod of this holder and let its namespaces go. Answered by `Done`.
    Release { holder: u32 },
    /// Kill everything. Answered by `Done`.
    KillAll,
}

/// From launcher to host.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Reply {
    /// A holder stands. Descriptors in the order of `parts`.
    Held { holder: u32, parts: Vec<Part>, facts: Facts },
    /// A program runs; descriptors: process, status pipe.
    Running,
    /// A connection, as the one descriptor; none when nobody listens there.
    Dialled,
    /// The paths that are not there, by their place in the request; the others are covered.
    Covered { absent: Vec<usize> },
    /// Nothing to say.
    Done,
    /// It could not be done; nothing runs.
    Failed(Failure),
}

/// What a descriptor of `Held` is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Part {
    Root,
    Merged,
    DnsUdp,
    DnsTcp,
    Gate,
    Door,
}

/// What building a holder showed about this host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Facts {
    pub(crate) landlock_version: i32,
    pub(crate) memory_files: MemoryFiles,
    pub(crate) groups_dropped: bool,
    pub(crate) cgroup_version: Option<u8>,
    pub(crate) cgroup_pids: bool,
    pub(crate) cgroup_memory: bool,
    pub(crate) breaches: Vec<Breach>,
    pub(crate) self_tested: bool,
}

/// How execution of memory files is prevented.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum MemoryFiles {
    Sysctl,
    Filter,
    Unknown,
}

/// Everything about one holder.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct HolderPlan {
    pub(crate) ids: PodIds,
    /// The new root, parents before children.
    pub(crate) entries: Vec<Entry>,
    pub(crate) listeners: Listeners,
    pub(crate) limits: Limits,
    pub(crate) self_test: Option<SelfTest>,
    /// More than one program will run: the next pod is made ready while there is time.
    pub(crate) repeat: bool,
}

/// Listeners made in the new network namespace and root, passed up to the host.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub(crate) struct Listeners {
    pub(crate) dns: bool,
    pub(crate) gate_port: Option<u16>,
    pub(crate) door: bool,
}

/// One thing in the new root.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Entry {
    /// Absolute path inside.
    pub(crate) inside: String,
    pub(crate) what: What,
}

/// What it is.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) enum What {
    /// A directory of the read-only root.
    Directory,
    /// A text file of the read-only root.
    File { text: String },
    /// A symbolic link of the read-only root.
    Link { target: String },
    /// A directory or file of the host.
    Bind { host: PathBuf, directory: bool, mapped: bool, access: Access },
    /// An overlay: `scratch` holds `upper` and `work`.
    Overlay { lower: PathBuf, scratch: PathBuf, workspace: Option<Vec<Cover>> },
    /// A file system in memory.
    Memory { bytes: u64 },
    /// The process file system.
    Proc,
}

/// A mask over a path of the workspace.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Cover {
    /// Relative to the workspace.
    pub(crate) path: String,
    pub(crate) with: CoverWith,
}

/// What covers it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) enum CoverWith {
    File,
    Directory,
    Copy(PathBuf),
    /// A file with this text: a holder that stands no longer reaches files of the host.
    Text(String),
}

/// Masks for what appeared after a root was built.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct LateCovers {
    /// Where the workspace is inside.
    pub(crate) inside: String,
    pub(crate) covers: Vec<Cover>,
}

/// What a bind allows.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) enum Access {
    Read,
    Write,
    /// As `Write`, and it is the workspace (a copy), with these masks.
    Workspace(Vec<Cover>),
    Device,
}

/// One program.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct RunPlan {
    pub(crate) argv: Vec<String>,
    pub(crate) env: Vec<(String, String)>,
    pub(crate) cwd: String,
    /// Standard input is the terminal that controls it.
    pub(crate) terminal: bool,
}

/// From launcher to holder.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum HolderRequest {
    /// The id maps are written: build.
    Build,
    /// Make a pod ready. Descriptors: entrances of its control groups. Answered by `Done`.
    Ready,
    /// Run this in the pod made ready. Descriptors: standard input, output, error. Answered by `Running`.
    Start(Program),
    /// Connect to a port of the loopback. Answered by `Dialled`.
    Dial { port: u16 },
    /// Cover paths of the workspace; the pod made ready goes when one is. Answered by `Covered`.
    Cover(LateCovers),
}

/// What a pod runs.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Program {
    Run(RunPlan),
    SelfTest(SelfTest),
}

/// From holder to launcher.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum HolderReply {
    /// Built. Descriptors in the order of `parts`.
    Built { parts: Vec<Part>, memory_files: MemoryFiles, groups_dropped: bool },
    /// A pod is being made ready.
    Done,
    /// A connection, as the one descriptor; none when nobody listens there.
    Dialled,
    /// A program runs; descriptors: process, status pipe.
    Running,
    /// The paths that are not there, by their place in the request; the others are covered.
    Covered { absent: Vec<usize> },
    /// It could not be done.
    Failed(Failure),
}

/// One line in a status pipe.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Report {
    /// The program exited.
    Code(i32),
    /// A signal ended the program.
    Signal(i32),
    /// The program could not be executed.
    Exec(i32),
    /// A layer could not be applied; the program was not started.
    Failed(Failure),
    /// What the self-test could do.
    Breaches(Vec<Breach>),
}
