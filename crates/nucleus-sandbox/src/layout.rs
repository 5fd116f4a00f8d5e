//! What a pod's root consists of. Decided here, on the host, as data for the launcher.

use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use crate::error::{PathProblem, SandboxError};
use crate::ids::{INSIDE, PodIds};
use crate::plan::{Access, Cover, CoverWith, Entry, What};
use crate::spec::{AgentPodSpec, HOME, Limits, SessionSpec};
use crate::toolchain::{self, CacheOverlay, RoBind};
use crate::workspace::{self, Mask};

/// Device nodes that every pod gets.
const DEVICES: [&str; 5] = ["null", "zero", "full", "random", "urandom"];

/// Places that belong to the pod itself: neither a workspace nor an ancestor of one of these may be a workspace.
const RESERVED: [&str; 14] = [
    "/bin",
    "/boot",
    "/dev",
    "/etc",
    HOME,
    "/lib",
    "/lib64",
    "/opt/nucleus",
    "/proc",
    "/run",
    "/sbin",
    "/sys",
    "/tmp",
    "/usr",
];

/// Refuses workspaces that pods could not have at their own path, or that would hand out Nucleus's own state.
///
/// # Errors
/// [`SandboxError::Path`].
pub(crate) fn admit(workspace: &Path, session_dir: &Path) -> Result<(), SandboxError> {
    let refuse = |problem| Err(SandboxError::Path { path: workspace.to_path_buf(), problem });
    match fs::symlink_metadata(workspace) {
        Err(_) => return refuse(PathProblem::Missing),
        Ok(metadata) if metadata.file_type().is_symlink() => {
            return refuse(PathProblem::NotCanonical);
        }
        Ok(metadata) if !metadata.is_dir() => return refuse(PathProblem::NotADirectory),
        Ok(_) => {}
    }
    if workspace.to_str().is_none() {
        return refuse(PathProblem::NotUtf8);
    }
    if fs::canonicalize(workspace).ok().as_deref() != Some(workspace) {
        return refuse(PathProblem::NotCanonical);
    }
    if RESERVED.iter().any(|place| Path::new(place).starts_with(workspace)) {
        return refuse(PathProblem::Reserved);
    }
    for place in ["/dev", "/etc", "/proc", "/sys"] {
        if workspace.starts_with(place) {
            return refuse(PathProblem::Reserved);
        }
    }
    let state = fs::canonicalize(session_dir).unwrap_or_else(|_| session_dir.to_path_buf());
    if state.starts_with(workspace) || workspace.starts_with(&state) {
        return refuse(PathProblem::CoversState);
    }
    Ok(())
}

/// How the workspace gets into tool pods.
#[derive(Debug)]
pub(crate) enum WorkspaceSource {
    /// An overlay over the host's directory.
    Overlay,
    /// This copy, which belongs to the pod.
    Copy(PathBuf),
    /// The host's directory itself, for the positive controls of tests.
    Direct,
}

/// The root of a session's tool pods.
///
/// # Errors
/// What making directories of the session says; what [`SandboxError::Path`] says of odd names.
pub(crate) fn tool_root(
    spec: &SessionSpec,
    ids: &PodIds,
    masks: &[Mask],
    source: WorkspaceSource,
    cache_dir: &Path,
) -> Result<Vec<Entry>, SandboxError> {
    let session = &spec.session_dir;
    let mut entries = base(&spec.limits);
    entries.push(writable("/tmp", private(session, "tmp", ids, 0o1777)?));
    entries.push(writable(HOME, private(session, "home", ids, 0o755)?));
    for tools in &spec.toolchains {
        for bind in &tools.binds {
            entries.push(read_only(bind, true)?);
        }
        for cache in &tools.overlays {
            entries.extend(cache_overlay(cache, cache_dir, ids)?);
        }
    }
    for bind in &spec.beside {
        entries.push(read_only(bind, true)?);
    }
    for (inside, text) in spec.gate.iter().flat_map(|gate| &gate.files) {
        entries.push(entry(inside, What::File { text: text.clone() }));
    }
    let covers = masks.iter().map(cover).collect::<Result<_, _>>()?;
    let what = match source {
        WorkspaceSource::Overlay => {
            let scratch = overlay_scratch(session, &spec.workspace, ids)?;
            What::Overlay { lower: spec.workspace.clone(), scratch, workspace: Some(covers) }
        }
        WorkspaceSource::Copy(host) => {
            What::Bind { host, directory: true, mapped: false, access: Access::Workspace(covers) }
        }
        WorkspaceSource::Direct => What::Bind {
            host: spec.workspace.clone(),
            directory: true,
            mapped: true,
            access: Access::Workspace(covers),
        },
    };
    entries.push(Entry { inside: utf8(&spec.workspace)?, what });
    Ok(ordered(entries))
}

/// The root of an agent pod. `workspace` is where its stand-in lies.
///
/// # Errors
/// As [`tool_root`].
pub(crate) fn agent_root(
    agent: &AgentPodSpec,
    session_dir: &Path,
    workspace: &Path,
    limits: &Limits,
    ids: &PodIds,
) -> Result<Vec<Entry>, SandboxError> {
    let mut entries = base(limits);
    entries.push(writable("/tmp", private(session_dir, "agent-tmp", ids, 0o1777)?));
    entries.push(writable(HOME, agent.home_dir.clone()));
    let stand_in = stand_in(session_dir, &agent.context_files)?;
    entries.push(Entry {
        inside: utf8(workspace)?,
        what: What::Bind { host: stand_in, directory: true, mapped: false, access: Access::Read },
    });
    for bind in &agent.binds {
        entries.push(read_only(bind, true)?);
    }
    if agent.terminal {
        entries.push(device("tty"));
    }
    Ok(ordered(entries))
}

fn base(limits: &Limits) -> Vec<Entry> {
    let host = toolchain::base();
    let mut entries = Vec::new();
    for bind in &host.binds {
        entries.extend(read_only(bind, false));
    }
    for link in host.links {
        entries.push(entry(&link.inside.to_string_lossy(), What::Link { target: link.target }));
    }
    entries.extend(DEVICES.map(device));
    for (name, target) in [
        ("fd", "/proc/self/fd"),
        ("stdin", "/proc/self/fd/0"),
        ("stdout", "/proc/self/fd/1"),
        ("stderr", "/proc/self/fd/2"),
    ] {
        entries.push(entry(&format!("/dev/{name}"), What::Link { target: target.to_owned() }));
    }
    entries.push(entry("/dev/shm", What::Memory { bytes: limits.shm_bytes }));
    entries.push(entry("/proc", What::Proc));
    entries.push(entry("/run", What::Directory));
    entries.extend(etc());
    entries
}

fn device(name: &str) -> Entry {
    let what = What::Bind {
        host: Path::new("/dev").join(name),
        directory: false,
        mapped: false,
        access: Access::Device,
    };
    entry(&format!("/dev/{name}"), what)
}

/// The files of `/etc` that programs cannot do without, written for the pod.
fn etc() -> Vec<Entry> {
    let files = [
        (
            "passwd",
            format!(
                "agent:x:{INSIDE}:{INSIDE}:agent:{HOME}:/bin/sh\nnobody:x:65534:65534:nobody:/nonexistent:/bin/false\n"
            ),
        ),
        ("group", format!("agent:x:{INSIDE}:\nnogroup:x:65534:\n")),
        ("hosts", "127.0.0.1 localhost pod\n::1 localhost\n".to_owned()),
        ("hostname", "pod\n".to_owned()),
        ("resolv.conf", "nameserver 127.0.0.1\noptions timeout:1 attempts:1\n".to_owned()),
        ("nsswitch.conf", "passwd: files\ngroup: files\nhosts: files dns\n".to_owned()),
    ];
    let make = |(name, text): (&str, String)| entry(&format!("/etc/{name}"), What::File { text });
    files.into_iter().map(make).collect()
}

fn entry(inside: &str, what: What) -> Entry {
    Entry { inside: inside.to_owned(), what }
}

fn writable(inside: &str, host: PathBuf) -> Entry {
    entry(inside, What::Bind { host, directory: true, mapped: false, access: Access::Write })
}

fn read_only(bind: &RoBind, mapped: bool) -> Result<Entry, SandboxError> {
    let what = What::Bind {
        host: bind.host.clone(),
        directory: bind.directory,
        mapped,
        access: Access::Read,
    };
    Ok(Entry { inside: utf8(&bind.inside)?, what })
}

/// A mask as data for the launcher.
///
/// # Errors
/// [`SandboxError::Path`] of a name that is not text.
pub(crate) fn cover(mask: &Mask) -> Result<Cover, SandboxError> {
    let with = match &mask.cover {
        workspace::Cover::File => CoverWith::File,
        workspace::Cover::Directory => CoverWith::Directory,
        workspace::Cover::Copy(path) => CoverWith::Copy(path.clone()),
    };
    let path = mask.path.as_str().ok_or_else(|| SandboxError::Path {
        path: mask.path.as_path().to_path_buf(),
        problem: PathProblem::NotUtf8,
    })?;
    Ok(Cover { path: path.to_owned(), with })
}

fn cache_overlay(
    cache: &CacheOverlay,
    cache_dir: &Path,
    ids: &PodIds,
) -> Result<Vec<Entry>, SandboxError> {
    let place = private(cache_dir, &cache.name, ids, 0o700)?;
    let scratch = |name: &str| -> Result<PathBuf, SandboxError> {
        let scratch = match name {
            "" => place.clone(),
            _ => private(&place, name, ids, 0o700)?,
        };
        private(&scratch, "upper", ids, 0o755)?;
        private(&scratch, "work", ids, 0o755)?;
        Ok(scratch)
    };
    let inside = utf8(&cache.inside)?;
    let mut entries = Vec::new();
    if !cache.lowers.iter().any(|(_, relative)| relative.is_empty()) {
        entries.push(writable(&inside, private(&place, "home", ids, 0o755)?));
    }
    for (lower, relative) in &cache.lowers {
        let scratch = scratch(&relative.replace('/', "-"))?;
        let at = if relative.is_empty() { inside.clone() } else { format!("{inside}/{relative}") };
        entries.push(Entry {
            inside: at,
            what: What::Overlay { lower: lower.clone(), scratch, workspace: None },
        });
    }
    Ok(entries)
}

fn overlay_scratch(
    session: &Path,
    workspace: &Path,
    ids: &PodIds,
) -> Result<PathBuf, SandboxError> {
    let failed = || SandboxError::host("preparing the overlay");
    let scratch = private(session, "overlay", ids, 0o700)?;
    // The root of an overlay has the mode of its upper directory.
    let mode = fs::metadata(workspace).map_err(failed())?.permissions().mode() & 0o777;
    private(&scratch, "upper", ids, mode)?;
    private(&scratch, "work", ids, 0o755)?;
    Ok(scratch)
}

/// Makes a directory that belongs to the pod, beneath one that only we can enter.
fn private(parent: &Path, name: &str, ids: &PodIds, mode: u32) -> Result<PathBuf, SandboxError> {
    let failed = || SandboxError::host("making a directory of the session");
    fs::DirBuilder::new().recursive(true).mode(0o700).create(parent).map_err(failed())?;
    let path = parent.join(name);
    match fs::create_dir(&path) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(failed()(error)),
    }
    let metadata = fs::symlink_metadata(&path).map_err(failed())?;
    if !metadata.is_dir() {
        return Err(SandboxError::Path { path, problem: PathProblem::NotADirectory });
    }
    if ids.base.is_some() && (metadata.uid(), metadata.gid()) != (ids.uid, ids.gid) {
        std::os::unix::fs::lchown(&path, Some(ids.uid), Some(ids.gid)).map_err(failed())?;
    }
    fs::set_permissions(&path, fs::Permissions::from_mode(mode)).map_err(failed())?;
    Ok(path)
}

/// Writes the read-only copies that lie at the workspace's path in an agent pod.
fn stand_in(session_dir: &Path, files: &[(String, Vec<u8>)]) -> Result<PathBuf, SandboxError> {
    let failed = || SandboxError::host("writing context files");
    let top = session_dir.join("stand-in");
    match fs::remove_dir_all(&top) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed()(error)),
        _ => {}
    }
    readable_directory(&top)?;
    for (relative, bytes) in files {
        let plain = Path::new(relative)
            .components()
            .all(|part| matches!(part, std::path::Component::Normal(_)));
        if !plain || relative.is_empty() {
            return Err(SandboxError::Path {
                path: relative.into(),
                problem: PathProblem::NotCanonical,
            });
        }
        let path = top.join(relative);
        let mut parents: Vec<&Path> = path.ancestors().skip(1).collect();
        parents.retain(|parent| parent.starts_with(&top));
        for parent in parents.iter().rev() {
            readable_directory(parent)?;
        }
        fs::write(&path, bytes).map_err(failed())?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).map_err(failed())?;
    }
    Ok(top)
}

/// Makes a directory that pods may read, whatever the mask of this process.
fn readable_directory(path: &Path) -> Result<(), SandboxError> {
    let failed = || SandboxError::host("making a directory for context files");
    match fs::create_dir(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(failed()(error)),
        _ => {}
    }
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).map_err(failed())
}

/// Parents before children. Files written for the pod stand for those of the host at the same place; else the later
/// of two entries is mounted over the earlier.
fn ordered(mut entries: Vec<Entry>) -> Vec<Entry> {
    let written: Vec<String> = entries
        .iter()
        .filter(|entry| matches!(entry.what, What::File { .. }))
        .map(|entry| entry.inside.clone())
        .collect();
    entries.retain(|entry| {
        matches!(entry.what, What::File { .. }) || !written.contains(&entry.inside)
    });
    entries.sort_by(|a, b| Path::new(&a.inside).cmp(Path::new(&b.inside)));
    entries
}

pub(crate) fn utf8(path: &Path) -> Result<String, SandboxError> {
    path.to_str().map(str::to_owned).ok_or_else(|| SandboxError::Path {
        path: path.to_path_buf(),
        problem: PathProblem::NotUtf8,
    })
}

/// The least root that a self-test can run in.
pub(crate) fn probe_root() -> Vec<Entry> {
    let mut entries = base(&Limits::default());
    entries.push(entry("/tmp", What::Memory { bytes: 1 << 20 }));
    ordered(entries)
}
