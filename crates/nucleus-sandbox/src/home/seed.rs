//! Making and refreshing an agent's home.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use aws_lc_rs::digest::{SHA256, digest};
use rustix::fs::{Gid, Mode, OFlags, Uid};
use rustix::io::Errno;
use serde_json::Value;

use super::data::{AgentData, agent};
use super::{document, json, markdown};
use crate::workspace::removal::{empty, enter, remove_at};
use crate::workspace::tree::{Tree, is_absent, stat_at};
use crate::workspace::{NodeKind, TreePath, escape};

/// Largest single file seeded.
const FILE_BYTES: u64 = 1024 * 1024;
/// Most bytes and files seeded from one directory.
const DIRECTORY_BYTES: u64 = 32 * 1024 * 1024;
const DIRECTORY_FILES: usize = 2000;
const DEPTH_LEVELS: usize = 8;

/// An agent's home on the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeededHome {
    /// Its directory.
    pub path: PathBuf,
    /// What the user should know: MCP servers and files that were not carried over.
    pub notes: Vec<String>,
    /// The user's own choices for the adapter, by dotted key: plain words, nothing else.
    pub settings: BTreeMap<String, String>,
}

/// Why a home could not be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HomeError {
    /// Misuse: no such agent in the data file.
    #[error("there is no agent adapter {name:?}")]
    UnknownAgent {
        /// What was asked for.
        name: String,
    },
    /// Unavailable: a system call failed.
    #[error("cannot prepare the agent's home {}: {source}", path.display())]
    Io {
        /// Where.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// Makes (or finds) the home of an agent for a workspace below `state_dir/homes` and refreshes what is seeded in it.
/// `owner` is the pod's uid and gid on a root host. What the agent wrote elsewhere in the home stays, except where
/// programs look for configuration or for something to run.
///
/// # Errors
/// [`HomeError`]; a half-refreshed home is completed by the next call.
pub fn seed(
    name: &str,
    workspace: &Path,
    state_dir: &Path,
    host_home: &Path,
    owner: Option<(u32, u32)>,
) -> Result<SeededHome, HomeError> {
    let data = agent(name).ok_or_else(|| HomeError::UnknownAgent { name: name.to_owned() })?;
    let homes = state_dir.join("homes");
    let path = homes.join(format!("{name}-{}", workspace_hash(workspace)));
    let failed = |source: io::Error| HomeError::Io { path: path.clone(), source };
    fs::DirBuilder::new().recursive(true).mode(0o700).create(&homes).map_err(failed)?;
    match fs::DirBuilder::new().mode(0o700).create(&path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(failed(error)),
        _ => {}
    }
    // A task may have closed its home to itself.
    fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).map_err(failed)?;
    let mut seeding = Seeding {
        home: Tree::open(&path).map_err(failed)?,
        owner: owner.map(|(uid, gid)| (Uid::from_raw(uid), Gid::from_raw(gid))),
        data,
        notes: Vec::new(),
    };
    seeding.own(seeding.home.fd()).map_err(failed)?;
    let everywhere = super::data::everywhere();
    for place in everywhere.chain(data.clear.iter().map(String::as_str)) {
        seeding.clear(place).map_err(failed)?;
    }
    for directory in &data.directories {
        seeding.directory(directory, &host_home.join(directory)).map_err(failed)?;
    }
    if let Some(state) = &data.state {
        seeding.state(state, &host_home.join(state), workspace).map_err(failed)?;
    }
    seeding.list_servers(workspace, host_home);
    let settings = data.settings.as_ref().map(|settings| {
        document::words(&document::read(&host_home.join(&settings.file)), &settings.keep)
    });
    Ok(SeededHome { path, notes: seeding.notes, settings: settings.unwrap_or_default() })
}

/// Short name of a workspace in Nucleus's state directory.
#[must_use]
pub fn workspace_hash(workspace: &Path) -> String {
    let hash = digest(&SHA256, workspace.as_os_str().as_bytes());
    hash.as_ref().iter().take(8).map(|b| format!("{b:02x}")).collect()
}

struct Seeding {
    home: Tree,
    owner: Option<(Uid, Gid)>,
    data: &'static AgentData,
    notes: Vec<String>,
}

impl Seeding {
    fn own(&self, fd: impl std::os::fd::AsFd) -> io::Result<()> {
        if let Some((uid, gid)) = self.owner {
            rustix::fs::fchown(fd, Some(uid), Some(gid))?;
        }
        Ok(())
    }

    /// Opens a directory of the home, making it; whatever else is in its place is removed, and its owner is let in again.
    fn make(&self, path: &TreePath) -> io::Result<OwnedFd> {
        let mut dir = self.home.dir(&TreePath::root())?;
        for name in path.names() {
            match rustix::fs::mkdirat(&dir, name, Mode::RWXU) {
                Ok(()) => {}
                Err(Errno::EXIST) if kind_at(&dir, name)? == Some(NodeKind::Directory) => {}
                Err(Errno::EXIST) => {
                    remove_at(dir.as_fd(), name)?;
                    rustix::fs::mkdirat(&dir, name, Mode::RWXU)?;
                }
                Err(error) => return Err(error.into()),
            }
            dir = enter(dir.as_fd(), name)?;
            self.own(&dir)?;
        }
        Ok(dir)
    }

    /// Removes what the agent left at a place where programs look for configuration or for something to run.
    fn clear(&self, path: &str) -> io::Result<()> {
        let path = TreePath::parse(path.as_bytes()).unwrap_or_default();
        let Some(last) = path.name() else { return Ok(()) };
        let mut dir = self.home.dir(&TreePath::root())?;
        for name in path.parent().iter().flat_map(TreePath::names) {
            if kind_at(&dir, name)? != Some(NodeKind::Directory) {
                return Ok(());
            }
            dir = enter(dir.as_fd(), name)?;
        }
        let found = stat_at(dir.as_fd(), last)?;
        // An empty file says nothing, and may be where a pod of another task has the host's mounted: it would lose it.
        if found.is_some_and(|stat| NodeKind::of(&stat) == NodeKind::File && stat.st_size == 0) {
            return Ok(());
        }
        remove_at(dir.as_fd(), last)
    }

    /// Replaces one seeded directory by the host's.
    fn directory(&mut self, name: &str, host: &Path) -> io::Result<()> {
        let path = TreePath::parse(name.as_bytes()).unwrap_or_default();
        let dir = self.make(&path)?;
        empty(&dir)?;
        let from = match Tree::open(host) {
            Ok(from) => from,
            Err(error) if is_absent(&error) => return Ok(()),
            Err(error) => return Err(error),
        };
        let mut left = (DIRECTORY_BYTES, DIRECTORY_FILES);
        self.copy(&from, &TreePath::root(), &path, &mut left, 0)
    }

    fn copy(
        &mut self,
        from: &Tree,
        dir: &TreePath,
        to: &TreePath,
        left: &mut (u64, usize),
        depth: usize,
    ) -> io::Result<()> {
        let target = self.make(to)?;
        for entry in from.entries(dir)? {
            let path = dir.child(&entry.name);
            let Some(stat) = from.stat(&path)? else { continue };
            match NodeKind::of(&stat) {
                NodeKind::Directory if depth < DEPTH_LEVELS => {
                    self.copy(from, &path, &to.child(&entry.name), left, depth.saturating_add(1))?;
                }
                NodeKind::File => {
                    let size = u64::try_from(stat.st_size).unwrap_or(u64::MAX);
                    if size > FILE_BYTES || size > left.0 || left.1 == 0 {
                        self.notes.push(format!(
                            "{} is too large for the agent's home and was left out",
                            to.child(&entry.name)
                        ));
                        continue;
                    }
                    *left = (left.0.saturating_sub(size), left.1.saturating_sub(1));
                    let mut bytes = Vec::new();
                    from.file(&path)?.take(FILE_BYTES).read_to_end(&mut bytes)?;
                    let bytes = self.stripped(&entry.name, bytes);
                    let mode = Mode::RUSR | Mode::WUSR | Mode::from_raw_mode(stat.st_mode & 0o100);
                    self.write(&target, &entry.name, &bytes, mode)?;
                }
                _ => self
                    .notes
                    .push(format!("{} is no plain file and was left out", to.child(&entry.name))),
            }
        }
        Ok(())
    }

    fn stripped(&self, name: &OsStr, bytes: Vec<u8>) -> Vec<u8> {
        let ends = |suffix: &[u8]| name.as_bytes().to_ascii_lowercase().ends_with(suffix);
        match String::from_utf8(bytes) {
            Ok(text) if ends(b".md") => markdown::strip(&text, &self.data.strip).into_bytes(),
            Ok(text) if ends(b".toml") => document::strip(&text, &self.data.strip).into_bytes(),
            Ok(text) => text.into_bytes(),
            Err(other) => other.into_bytes(),
        }
    }

    /// Writes a file under a new name and moves it in place: a link the agent left there is replaced, not followed.
    fn write(&self, dir: &OwnedFd, name: &OsStr, bytes: &[u8], mode: Mode) -> io::Result<()> {
        let temporary = ".nucleus-seed";
        remove_at(dir.as_fd(), temporary)?;
        let flags =
            OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mut file = File::from(rustix::fs::openat(dir, temporary, flags, mode)?);
        file.write_all(bytes)?;
        self.own(&file)?;
        // A directory of this name is the agent's: a file cannot be moved over it.
        remove_at(dir.as_fd(), name)?;
        rustix::fs::renameat(dir, temporary, dir, name)?;
        Ok(())
    }

    fn state(&mut self, name: &str, host: &Path, workspace: &Path) -> io::Result<()> {
        let path = TreePath::parse(name.as_bytes()).unwrap_or_default();
        let own = self.home.file(&path).map(json::parse).unwrap_or_default();
        let merged =
            json::merge(own, &document::read(host), self.data, &workspace.to_string_lossy());
        let text = serde_json::to_vec(&Value::Object(merged)).map_err(io::Error::other)?;
        let (dir, file) = self.home.parent(&path)?;
        self.write(&dir, file, &text, Mode::RUSR | Mode::WUSR)
    }

    fn list_servers(&mut self, workspace: &Path, host_home: &Path) {
        let workspace_text = workspace.to_string_lossy();
        for place in &self.data.mcp {
            let file =
                match (place.file.strip_prefix("~/"), place.file.strip_prefix("{workspace}/")) {
                    (Some(rest), _) => host_home.join(rest),
                    (_, Some(rest)) => workspace.join(rest),
                    _ => continue,
                };
            // Following a link here only reads names for the user's own eyes.
            for server in document::names(&document::read(&file), &place.key, &workspace_text) {
                let shown = place.file.replace("{workspace}/", "");
                self.notes
                    .push(format!("MCP server {} of {shown} is not carried over", escape(&server)));
            }
        }
        self.notes.dedup();
    }
}

/// What a name in a held directory is.
fn kind_at(dir: &OwnedFd, name: &OsStr) -> io::Result<Option<NodeKind>> {
    Ok(stat_at(dir.as_fd(), name)?.as_ref().map(NodeKind::of))
}
