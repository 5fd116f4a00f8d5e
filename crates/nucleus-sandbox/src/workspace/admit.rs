//! What may be a workspace.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Component, Path, PathBuf};

use super::tree::Tree;

/// Directories of the system that pods see read-only or do not see at all; a workspace at or below one of them would
/// collide with the pod's own mounts.
const SYSTEM: [&str; 13] = [
    "/bin", "/boot", "/dev", "/etc", "/lib", "/lib32", "/lib64", "/libx32", "/proc", "/run",
    "/sbin", "/sys", "/usr",
];
/// Directories that hold many people's things: a workspace may lie below, not be one.
const SHARED: [&str; 9] =
    ["/home", "/media", "/mnt", "/opt", "/srv", "/tmp", "/var", "/var/tmp", "/workspaces"];

/// A directory that a task may work on.
#[derive(Debug)]
pub struct Workspace {
    path: PathBuf,
    dev: u64,
    ino: u64,
    uid: u32,
    gid: u32,
}

impl Workspace {
    /// Its real path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Device of the directory.
    #[must_use]
    pub fn dev(&self) -> u64 {
        self.dev
    }

    /// Inode of the directory.
    #[must_use]
    pub fn ino(&self) -> u64 {
        self.ino
    }

    /// Owner of the directory.
    #[must_use]
    pub fn uid(&self) -> u32 {
        self.uid
    }

    /// Group of the directory.
    #[must_use]
    pub fn gid(&self) -> u32 {
        self.gid
    }
}

/// Why a directory cannot be a workspace, with what to do instead.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WorkspaceRefusal {
    /// Nothing there.
    #[error("{} does not exist; name an existing project directory", path.display())]
    Missing {
        /// The path.
        path: PathBuf,
    },
    /// A symbolic link.
    #[error(
        "{} is a symbolic link to {}; name the directory itself, so that nobody can point the link elsewhere during the task",
        path.display(), target.display()
    )]
    Link {
        /// The path.
        path: PathBuf,
        /// Where it points.
        target: PathBuf,
    },
    /// A file or something else.
    #[error("{} is not a directory; name the project's directory", path.display())]
    NotDirectory {
        /// The path.
        path: PathBuf,
    },
    /// The root directory.
    #[error("the whole file system cannot be a workspace; name the project's directory")]
    Root,
    /// A home directory itself.
    #[error(
        "{} is a home directory: keys, histories and settings lie in it. Work in a project directory below it", path.display()
    )]
    Home {
        /// The path.
        path: PathBuf,
    },
    /// A directory of the system.
    #[error("{} belongs to the system; copy or clone the project to a directory of your own", path.display())]
    System {
        /// The path.
        path: PathBuf,
    },
    /// A directory that many share.
    #[error("{} is shared by many programs; work in a project directory below it", path.display())]
    Shared {
        /// The path.
        path: PathBuf,
    },
    /// It holds Nucleus's own files.
    #[error(
        "{} contains Nucleus's own directory {}, which no agent may see; choose a directory that does not contain it", path.display(), protected.display()
    )]
    Covers {
        /// The path.
        path: PathBuf,
        /// The protected directory.
        protected: PathBuf,
    },
    /// It lies in Nucleus's own files.
    #[error(
        "{} lies in Nucleus's own directory {}, which no agent may see; move the project elsewhere", path.display(), protected.display()
    )]
    Inside {
        /// The path.
        path: PathBuf,
        /// The protected directory.
        protected: PathBuf,
    },
    /// Not ours to write.
    #[error("{} cannot be written by this user; changes could never be applied. Run as its owner", path.display())]
    NotWritable {
        /// The path.
        path: PathBuf,
    },
    /// The path is not text or holds a control character.
    #[error(
        "the path of the workspace must be text without control characters or ':' and ','; rename the directory"
    )]
    Name,
    /// A system call failed.
    #[error("cannot open {}: {source}", path.display())]
    Unreadable {
        /// The path.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// Admits a directory as a workspace. `protected` are Nucleus's state and configuration directories (they need not
/// exist), `home` is the user's home; homes of other accounts are found in `/etc/passwd`.
///
/// # Errors
/// A [`WorkspaceRefusal`], whose text says what to do instead.
pub fn admit(
    path: &Path,
    protected: &[PathBuf],
    home: &Path,
) -> Result<Workspace, WorkspaceRefusal> {
    let real = real_directory(path)?;
    if real.parent().is_none() {
        return Err(WorkspaceRefusal::Root);
    }
    named(&real)?;
    placed(&real, home)?;
    for own in protected {
        let own = real_prefix(own);
        if own.starts_with(&real) {
            return Err(WorkspaceRefusal::Covers { path: real, protected: own });
        }
        if real.starts_with(&own) {
            return Err(WorkspaceRefusal::Inside { path: real, protected: own });
        }
    }
    let unreadable = |source| WorkspaceRefusal::Unreadable { path: real.clone(), source };
    let held = Tree::open(&real).map_err(unreadable)?;
    let stat = rustix::fs::fstat(held.fd()).map_err(|e| unreadable(e.into()))?;
    let access = rustix::fs::Access::WRITE_OK | rustix::fs::Access::EXEC_OK;
    if rustix::fs::accessat(held.fd(), ".", access, rustix::fs::AtFlags::EACCESS).is_err() {
        return Err(WorkspaceRefusal::NotWritable { path: real });
    }
    let (dev, ino, uid, gid) = (stat.st_dev, stat.st_ino, stat.st_uid, stat.st_gid);
    Ok(Workspace { path: real, dev, ino, uid, gid })
}

/// The real path of a directory whose last name is not a link.
fn real_directory(path: &Path) -> Result<PathBuf, WorkspaceRefusal> {
    // A trailing slash or `/.` would make lstat follow a link.
    let plain: PathBuf = path.components().filter(|c| *c != Component::CurDir).collect();
    let plain = if plain.as_os_str().is_empty() { PathBuf::from(".") } else { plain };
    let absent = |source: io::Error| {
        if source.kind() == io::ErrorKind::NotFound {
            WorkspaceRefusal::Missing { path: path.to_owned() }
        } else {
            WorkspaceRefusal::Unreadable { path: path.to_owned(), source }
        }
    };
    let metadata = fs::symlink_metadata(&plain).map_err(absent)?;
    if metadata.is_symlink() {
        let target = fs::read_link(&plain).unwrap_or_default();
        return Err(WorkspaceRefusal::Link { path: plain, target });
    }
    if !metadata.is_dir() {
        return Err(WorkspaceRefusal::NotDirectory { path: plain });
    }
    fs::canonicalize(&plain).map_err(absent)
}

/// Overlay options and messages carry the path as text.
fn named(path: &Path) -> Result<(), WorkspaceRefusal> {
    let text = path.to_str().ok_or(WorkspaceRefusal::Name)?;
    if text.chars().any(|c| c.is_control() || matches!(c, ':' | ',' | '\\')) {
        return Err(WorkspaceRefusal::Name);
    }
    Ok(())
}

fn placed(path: &Path, home: &Path) -> Result<(), WorkspaceRefusal> {
    if SYSTEM.iter().any(|dir| path.starts_with(dir)) {
        return Err(WorkspaceRefusal::System { path: path.to_owned() });
    }
    if SHARED.iter().any(|dir| path == Path::new(dir)) {
        return Err(WorkspaceRefusal::Shared { path: path.to_owned() });
    }
    if is_home(path, home) {
        return Err(WorkspaceRefusal::Home { path: path.to_owned() });
    }
    Ok(())
}

/// Whether `path` is a home directory, or contains the user's.
fn is_home(path: &Path, home: &Path) -> bool {
    let home = real_prefix(home);
    if home.parent().is_some() && home.starts_with(path) {
        return true;
    }
    let accounts = fs::read_to_string("/etc/passwd").unwrap_or_default();
    // uid 1..999 are services, whose "home" is often a data directory someone may well work in.
    accounts.lines().any(|line| {
        let mut fields = line.split(':');
        let uid = fields.nth(2).and_then(|f| f.parse::<u32>().ok());
        let dir = fields.nth(2).map(Path::new);
        uid.is_some_and(|uid| uid == 0 || uid >= 1000) && dir == Some(path)
    })
}

/// The real path of what exists of `path`, with the rest appended.
fn real_prefix(path: &Path) -> PathBuf {
    let mut rest = Vec::new();
    let mut at = path;
    loop {
        if let Ok(real) = fs::canonicalize(at) {
            return rest.iter().rev().fold(real, |dir, name| dir.join(name));
        }
        match (at.parent(), at.file_name()) {
            (Some(parent), Some(name)) => {
                rest.push(name.to_owned());
                at = parent;
            }
            _ => return path.to_owned(),
        }
    }
}

/// Whether a directory is still the one a session began with.
pub(crate) fn is_same(path: &Path, dev: u64, ino: u64) -> bool {
    fs::symlink_metadata(path).is_ok_and(|m| m.is_dir() && m.dev() == dev && m.ino() == ino)
}
