//! One task's place in Nucleus's state directory.

use std::fmt;
use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::FlockOperation;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::admit::Workspace;
use super::baseline::Baseline;
use super::error::{At as _, Doing, WorkspaceError};
use super::ids::IdMap;
use super::limits::META_BYTES;
use super::node::NodeKind;
use super::path::TreePath;
use super::tree::Tree;

/// Version of `session.json`.
const FORMAT: u32 = 1;

/// How far a session is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// The task runs, or its processes died with it; the lock says which.
    Running,
    /// The task was stopped before its changes were applied.
    Interrupted,
    /// Ordinary changes were applied; some wait for review.
    Held,
    /// Everything was applied or rejected.
    Applied,
    /// The user threw the changes away.
    Discarded,
    /// The user took back what was applied.
    Undone,
}

impl Status {
    /// Nothing of the session's waits for the user any more.
    #[must_use]
    pub fn is_settled(self) -> bool {
        matches!(self, Self::Applied | Self::Discarded | Self::Undone)
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Running => "running",
            Self::Interrupted => "interrupted",
            Self::Held => "held",
            Self::Applied => "applied",
            Self::Discarded => "discarded",
            Self::Undone => "undone",
        })
    }
}

/// Where the pods' writes go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// The upper layer of an overlay.
    Overlay,
    /// A copy of the workspace.
    Copy,
}

/// What the caller adds to a new session.
#[derive(Debug, Clone, Default)]
pub struct SessionSettings {
    /// The operator's policy file, when it lies in the workspace: changes to it are held.
    pub policy_file: Option<PathBuf>,
    /// What the task is, for lists.
    pub task: Option<String>,
}

/// `session.json`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SessionMeta {
    /// Format of the file.
    pub version: u32,
    /// Session id.
    pub id: String,
    /// How far it is.
    pub status: Status,
    /// Where writes went.
    pub mode: Mode,
    /// The workspace's real path.
    pub workspace: PathBuf,
    /// Its device.
    pub dev: u64,
    /// Its inode.
    pub ino: u64,
    /// Its owner.
    pub uid: u32,
    /// Its group.
    pub gid: u32,
    /// Owners across an id-mapped lower layer.
    pub ids: Option<IdMap>,
    /// State of the host at the start, for the conflict rule.
    pub baseline: Baseline,
    /// The operator's policy file.
    pub policy_file: Option<PathBuf>,
    /// What the task is.
    pub task: Option<String>,
}

/// A session on disk.
#[derive(Debug)]
pub struct Session {
    dir: PathBuf,
    meta: SessionMeta,
}

/// Holds a session for one process; dropped or killed, it is free again.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

impl Session {
    /// Makes the directory of a new session and takes the baseline. Call it before the overlay is mounted.
    ///
    /// # Errors
    /// [`WorkspaceError::BadSessionId`], or `Io` (an existing id included): nothing stays behind that `list` shows.
    pub fn create(
        state_dir: &Path,
        id: &str,
        workspace: &Workspace,
        settings: SessionSettings,
    ) -> Result<(Self, Lock), WorkspaceError> {
        let dir = session_dir(state_dir, id)?;
        let parent = state_dir.join("sessions");
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&parent)
            .at(Doing::Write, &parent)?;
        private_dir(&dir)?;
        private_dir(&dir.join("overlay"))?;
        for name in ["overlay/upper", "overlay/work", "tmp"] {
            private_dir(&dir.join(name))?;
        }
        let lock = lock_at(&dir, id)?;
        let meta = SessionMeta {
            version: FORMAT,
            id: id.to_owned(),
            status: Status::Running,
            mode: Mode::Overlay,
            workspace: workspace.path().to_owned(),
            dev: workspace.dev(),
            ino: workspace.ino(),
            uid: workspace.uid(),
            gid: workspace.gid(),
            ids: None,
            baseline: Baseline::take(workspace.path())?,
            policy_file: settings.policy_file,
            task: settings.task,
        };
        let mut session = Self { dir, meta };
        session.save()?;
        session.set_upper_root()?;
        Ok((session, lock))
    }

    /// Opens a session by its exact id.
    ///
    /// # Errors
    /// No such session, or its metadata is damaged or of another version.
    pub fn open(state_dir: &Path, id: &str) -> Result<Self, WorkspaceError> {
        let dir = session_dir(state_dir, id)?;
        let path = dir.join("session.json");
        if !path.exists() {
            return Err(WorkspaceError::UnknownSession { id: id.to_owned() });
        }
        #[derive(Deserialize)]
        struct Versioned {
            version: u32,
        }
        let Versioned { version } = read_json(&path)?;
        if version != FORMAT {
            return Err(WorkspaceError::Version { path, found: version, known: FORMAT });
        }
        let meta = read_json(&path)?;
        Ok(Self { dir, meta })
    }

    /// Takes the session for this process.
    ///
    /// # Errors
    /// [`WorkspaceError::Running`] while another process has it.
    pub fn lock(&self) -> Result<Lock, WorkspaceError> {
        lock_at(&self.dir, &self.meta.id)
    }

    /// Whether a process holds it now.
    #[must_use]
    pub fn is_running(&self) -> bool {
        matches!(self.lock(), Err(WorkspaceError::Running { .. }))
    }

    /// Records how far the session is.
    ///
    /// # Errors
    /// `Io`; the old status holds then.
    pub fn set_status(&mut self, _lock: &Lock, status: Status) -> Result<(), WorkspaceError> {
        self.meta.status = status;
        self.save()
    }

    /// Records what the driver found possible.
    ///
    /// # Errors
    /// `Io`.
    pub fn set_mode(
        &mut self,
        _lock: &Lock,
        mode: Mode,
        ids: Option<IdMap>,
    ) -> Result<(), WorkspaceError> {
        self.meta.mode = mode;
        self.meta.ids = ids;
        self.save()
    }

    /// Its directory.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Its id.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.meta.id
    }

    /// Its metadata.
    #[must_use]
    pub fn meta(&self) -> &SessionMeta {
        &self.meta
    }

    /// How far it is.
    #[must_use]
    pub fn status(&self) -> Status {
        self.meta.status
    }

    /// Upper layer of the overlay.
    #[must_use]
    pub fn upper(&self) -> PathBuf {
        self.dir.join("overlay/upper")
    }

    /// Work directory of the overlay.
    #[must_use]
    pub fn work(&self) -> PathBuf {
        self.dir.join("overlay/work")
    }

    /// Backing of the pods' `/tmp`.
    #[must_use]
    pub fn tmp(&self) -> PathBuf {
        self.dir.join("tmp")
    }

    /// The audit log.
    #[must_use]
    pub fn log_path(&self) -> PathBuf {
        self.dir.join("log.jsonl")
    }

    /// What the task left: the upper layer, or the copy.
    pub(crate) fn result_dir(&self) -> PathBuf {
        match self.meta.mode {
            Mode::Overlay => self.upper(),
            Mode::Copy => self.dir.join("copy"),
        }
    }

    /// The files the task left, held.
    ///
    /// # Errors
    /// Those of opening the directory.
    pub fn files(&self) -> io::Result<TaskFiles> {
        Tree::open(&self.result_dir()).map(TaskFiles)
    }

    /// Fails unless the workspace is still the same directory.
    pub(crate) fn require_workspace(&self) -> Result<(), WorkspaceError> {
        let SessionMeta { workspace, dev, ino, id, .. } = &self.meta;
        if super::admit::is_same(workspace, *dev, *ino) {
            Ok(())
        } else {
            Err(WorkspaceError::WorkspaceGone { path: workspace.clone(), id: id.clone() })
        }
    }

    fn save(&mut self) -> Result<(), WorkspaceError> {
        write_json(&self.dir.join("session.json"), &self.meta)
    }

    /// The root of the merged tree shows the mode of the upper's root: it must look like the workspace's.
    fn set_upper_root(&self) -> Result<(), WorkspaceError> {
        use std::os::unix::fs::PermissionsExt as _;
        let workspace =
            fs::symlink_metadata(&self.meta.workspace).at(Doing::Read, &self.meta.workspace)?;
        let mode = fs::Permissions::from_mode(workspace.permissions().mode() & 0o777);
        fs::set_permissions(self.upper(), mode).at(Doing::Write, &self.upper())
    }
}

/// What a task left, file by file.
#[derive(Debug)]
pub struct TaskFiles(Tree);

impl TaskFiles {
    /// The regular file of this workspace-relative path, if the task wrote one.
    #[must_use]
    pub fn file(&self, path: &str) -> Option<std::fs::File> {
        let path = TreePath::parse(path.as_bytes())?;
        let stat = self.0.stat(&path).ok()??;
        (NodeKind::of(&stat) == NodeKind::File).then(|| self.0.file(&path).ok()).flatten()
    }
}

/// Every session, newest first; directories that are no session are passed over, damaged ones are given as errors.
///
/// # Errors
/// `Io` when the state directory cannot be listed; a missing one holds no session.
pub fn list(state_dir: &Path) -> Result<Vec<Result<Session, WorkspaceError>>, WorkspaceError> {
    let parent = state_dir.join("sessions");
    let entries = match fs::read_dir(&parent) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error).at(Doing::Read, &parent),
    };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry.at(Doing::Read, &parent)?;
        let Some(id) = entry.file_name().to_str().map(str::to_owned) else { continue };
        if is_id(&id) && entry.path().join("session.json").exists() {
            found.push(Session::open(state_dir, &id));
        }
    }
    found.sort_by_key(|session| {
        std::cmp::Reverse(session.as_ref().map_or(0, |s| s.meta.baseline.started_ms))
    });
    Ok(found)
}

/// Finds a session by its id or a prefix of it that fits only one.
///
/// # Errors
/// Unknown, ambiguous, or damaged.
pub fn find(state_dir: &Path, id: &str) -> Result<Session, WorkspaceError> {
    if is_id(id) && session_dir(state_dir, id)?.join("session.json").exists() {
        return Session::open(state_dir, id);
    }
    let mut fitting: Vec<Session> =
        list(state_dir)?.into_iter().flatten().filter(|s| s.id().starts_with(id)).collect();
    match (fitting.len(), fitting.pop()) {
        (1, Some(session)) => Ok(session),
        (0, _) | (_, None) => Err(WorkspaceError::UnknownSession { id: id.to_owned() }),
        (count, _) => Err(WorkspaceError::AmbiguousSession { id: id.to_owned(), count }),
    }
}

/// The newest session of a workspace that fits.
///
/// # Errors
/// As [`list`].
pub fn newest(
    state_dir: &Path,
    workspace: &Path,
    fits: impl Fn(&Session) -> bool,
) -> Result<Option<Session>, WorkspaceError> {
    let mut sessions = list(state_dir)?.into_iter().flatten();
    Ok(sessions.find(|s| s.meta.workspace == workspace && fits(s)))
}

fn is_id(id: &str) -> bool {
    (8..=40).contains(&id.len())
        && id.bytes().all(|b| b.is_ascii_digit() || b.is_ascii_lowercase() || b == b'-')
}

fn session_dir(state_dir: &Path, id: &str) -> Result<PathBuf, WorkspaceError> {
    if is_id(id) {
        Ok(state_dir.join("sessions").join(id))
    } else {
        Err(WorkspaceError::BadSessionId { id: id.to_owned() })
    }
}

fn private_dir(path: &Path) -> Result<(), WorkspaceError> {
    fs::DirBuilder::new().mode(0o700).create(path).at(Doing::Write, path)
}

fn lock_at(dir: &Path, id: &str) -> Result<Lock, WorkspaceError> {
    let path = dir.join("lock");
    let file = File::options()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(&path)
        .at(Doing::Lock, &path)?;
    match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(Lock { _file: file }),
        Err(rustix::io::Errno::WOULDBLOCK) => Err(WorkspaceError::Running { id: id.to_owned() }),
        Err(error) => Err(error).at(Doing::Lock, &path),
    }
}

/// Reads a bounded JSON file of our own.
pub(crate) fn read_json<T: DeserializeOwned>(path: &Path) -> Result<T, WorkspaceError> {
    let file = File::open(path).at(Doing::Read, path)?;
    let mut text = Vec::new();
    file.take(META_BYTES).read_to_end(&mut text).at(Doing::Read, path)?;
    serde_json::from_slice(&text)
        .map_err(|source| WorkspaceError::Damaged { path: path.to_owned(), source })
}

/// Writes a JSON file whole or not at all, durably.
pub(crate) fn write_json<T: Serialize>(path: &Path, value: &T) -> Result<(), WorkspaceError> {
    let text = serde_json::to_vec(value)
        .map_err(|source| WorkspaceError::Damaged { path: path.to_owned(), source })?;
    let temporary = path.with_extension("new");
    let mut file = File::options()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&temporary)
        .at(Doing::Write, &temporary)?;
    file.write_all(&text).at(Doing::Write, &temporary)?;
    file.sync_all().at(Doing::Sync, &temporary)?;
    fs::rename(&temporary, path).at(Doing::Write, path)?;
    sync_parent(path)
}

/// Makes a name durable.
pub(crate) fn sync_parent(path: &Path) -> Result<(), WorkspaceError> {
    let parent = path.parent().unwrap_or(Path::new("/"));
    File::open(parent).and_then(|dir| dir.sync_all()).at(Doing::Sync, parent)
}
