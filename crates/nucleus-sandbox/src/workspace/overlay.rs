//! The upper layer of an overlay mounted with `userxattr`, read against the lower one.

use std::ffi::OsStr;
use std::io::{self, Read as _};
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::{AtFlags, FileType, Mode, Stat};
use rustix::io::Errno;

use super::change::{ChangeKind, Scan};
use super::error::{At as _, Doing, WorkspaceError};
use super::limits::DEPTH_LEVELS;
use super::node::NodeKind;
use super::path::TreePath;
use super::session::Session;
use super::tree::{Tree, is_absent};

const OPAQUE: &str = "user.overlay.opaque";
const WHITEOUT: &str = "user.overlay.whiteout";
const ORIGIN: &str = "user.overlay.origin";

/// What lies below a directory of the upper layer.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Below {
    /// The lower directory of the same path shows through.
    Merged,
    /// There is one, but it is hidden whole.
    Hidden,
    /// Nothing.
    Nothing,
}

struct Walk<'a> {
    upper: Tree,
    lower: Tree,
    upper_path: &'a Path,
    lower_path: &'a Path,
    /// Pods may be writing: nothing is touched, and what comes and goes meanwhile is passed over.
    live: bool,
    scan: Scan,
}

/// Reads the upper layer. `live` while pods may be writing to it.
pub(crate) fn scan(session: &Session, live: bool) -> Result<Scan, WorkspaceError> {
    let upper_path = session.upper();
    let lower_path = &session.meta().workspace;
    let mut walk = Walk {
        upper: Tree::open(&upper_path).at(Doing::Read, &upper_path)?,
        lower: Tree::open(lower_path).at(Doing::Read, lower_path)?,
        upper_path: &upper_path,
        lower_path,
        live,
        scan: Scan::default(),
    };
    walk.directory(&TreePath::root(), Below::Merged, 0)?;
    Ok(walk.scan)
}

impl Walk<'_> {
    fn directory(
        &mut self,
        dir: &TreePath,
        below: Below,
        depth: usize,
    ) -> Result<(), WorkspaceError> {
        let at = self.upper_path.join(dir.as_path());
        if depth > DEPTH_LEVELS {
            return Err(WorkspaceError::TooDeep { path: at, limit: DEPTH_LEVELS });
        }
        let entries = self.upper.entries(dir).at(Doing::Read, &at)?;
        if below == Below::Hidden {
            // What is absent above an opaque directory is deleted.
            for old in
                self.lower.entries(dir).at(Doing::Read, &self.lower_path.join(dir.as_path()))?
            {
                if entries.binary_search_by(|new| new.name.cmp(&old.name)).is_err() {
                    self.deleted(&dir.child(&old.name), depth)?;
                }
            }
        }
        for entry in entries {
            match self.entry(&dir.child(&entry.name), below, depth) {
                Err(WorkspaceError::Io { source, .. })
                    if self.live
                        && (is_absent(&source)
                            || source.kind() == io::ErrorKind::PermissionDenied) => {}
                other => other?,
            }
        }
        Ok(())
    }

    fn entry(&mut self, path: &TreePath, below: Below, depth: usize) -> Result<(), WorkspaceError> {
        let at = self.upper_path.join(path.as_path());
        let Some(new) = self.upper.stat(path).at(Doing::Read, &at)? else { return Ok(()) };
        if NodeKind::of(&new) == NodeKind::Directory {
            self.open_up(path, &new).at(Doing::Read, &at)?;
        }
        let old = match below {
            Below::Nothing => None,
            _ => self.lower.stat(path).at(Doing::Read, &self.lower_path.join(path.as_path()))?,
        };
        if self.is_whiteout(path, &new).at(Doing::Read, &at)? {
            if old.is_some() {
                self.deleted(path, depth)?;
            }
            return Ok(());
        }
        match (NodeKind::of(&new), old.as_ref().map(|o| (NodeKind::of(o), o))) {
            (NodeKind::Special, _) => self.scan.special.push(path.clone()),
            (NodeKind::Directory, Some((NodeKind::Directory, old))) => {
                if new.st_mode & 0o777 != old.st_mode & 0o777 {
                    self.scan.push(path.clone(), ChangeKind::Mode, NodeKind::Directory);
                }
                // A directory made anew inside an opaque one carries no mark of its own.
                let hidden = below == Below::Hidden || self.is_opaque(path).at(Doing::Read, &at)?;
                let below = if hidden { Below::Hidden } else { Below::Merged };
                self.directory(path, below, depth.saturating_add(1))?;
            }
            (NodeKind::Directory, old) => {
                if old.is_some() {
                    self.deleted(path, depth)?;
                }
                self.scan.push(path.clone(), ChangeKind::Created, NodeKind::Directory);
                self.directory(path, Below::Nothing, depth.saturating_add(1))?;
            }
            (kind, Some((NodeKind::Directory, _))) => {
                self.deleted(path, depth)?;
                self.scan.push(path.clone(), ChangeKind::Created, kind);
            }
            (kind, Some((_, old))) => {
                if let Some(change) =
                    differs(&self.upper, &new, &self.lower, old, path).at(Doing::Read, &at)?
                {
                    self.scan.push(path.clone(), change, kind);
                }
            }
            (kind, None) => self.scan.push(path.clone(), ChangeKind::Created, kind),
        }
        Ok(())
    }

    /// Lets this user into a directory that the task closed to its owner, or its content could be neither shown nor
    /// applied. Root is let in anyway.
    fn open_up(&self, path: &TreePath, stat: &Stat) -> io::Result<()> {
        let open = stat.st_mode & 0o700 == 0o700;
        if self.live || open || rustix::process::geteuid().is_root() {
            return Ok(());
        }
        let (dir, name) = self.upper.parent(path)?;
        let mode = Mode::from_raw_mode(stat.st_mode & 0o777) | Mode::RWXU;
        Ok(rustix::fs::chmodat(dir, name, mode, AtFlags::empty())?)
    }

    /// Lists a deletion, with all that was in it.
    fn deleted(&mut self, path: &TreePath, depth: usize) -> Result<(), WorkspaceError> {
        let at = self.lower_path.join(path.as_path());
        deleted(&self.lower, path, depth, &mut self.scan).at(Doing::Read, &at)
    }

    /// A device 0:0, or an empty file marked so.
    fn is_whiteout(&self, path: &TreePath, stat: &Stat) -> io::Result<bool> {
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::CharacterDevice => Ok(stat.st_rdev == 0),
            FileType::RegularFile if stat.st_size == 0 => {
                let file = match self.upper.file(path) {
                    Ok(file) => file,
                    // An unreadable empty file of the task's own making is no whiteout of the kernel's.
                    Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                        return Ok(false);
                    }
                    Err(error) => return Err(error),
                };
                Ok(attribute(&OwnedFd::from(file), WHITEOUT)?.is_some())
            }
            _ => Ok(false),
        }
    }

    fn is_opaque(&self, path: &TreePath) -> io::Result<bool> {
        Ok(attribute(&self.upper.dir(path)?, OPAQUE)?.is_some_and(|v| v == b"y"))
    }
}

/// Whether the kernel marked an upper file as copied up from a lower one. Its absence proves nothing.
pub(crate) fn was_copied_up(upper: &Tree, path: &TreePath) -> io::Result<bool> {
    let file = match upper.file(path) {
        Ok(file) => OwnedFd::from(file),
        Err(_) => match upper.dir(path) {
            Ok(dir) => dir,
            Err(_) => return Ok(false),
        },
    };
    Ok(attribute(&file, ORIGIN)?.is_some())
}

fn attribute(fd: &OwnedFd, name: &str) -> io::Result<Option<Vec<u8>>> {
    let mut value = vec![0_u8; 256];
    match rustix::fs::fgetxattr(fd, name, value.as_mut_slice()) {
        Ok(length) => {
            value.truncate(length);
            Ok(Some(value))
        }
        Err(Errno::RANGE) => Ok(Some(Vec::new())),
        Err(Errno::NODATA | Errno::OPNOTSUPP) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Lists `path` and what is below it as deleted, contents before their directory.
pub(crate) fn deleted(
    lower: &Tree,
    path: &TreePath,
    depth: usize,
    scan: &mut Scan,
) -> io::Result<()> {
    if depth > DEPTH_LEVELS {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let Some(stat) = lower.stat(path)? else { return Ok(()) };
    let kind = NodeKind::of(&stat);
    if kind == NodeKind::Directory {
        for entry in lower.entries(path)? {
            deleted(lower, &path.child(&entry.name), depth.saturating_add(1), scan)?;
        }
    }
    scan.push(path.clone(), ChangeKind::Deleted, kind);
    Ok(())
}

/// How the new node differs from the old one; `None` when content and permission bits are the same.
pub(crate) fn differs(
    new_tree: &Tree,
    new: &Stat,
    old_tree: &Tree,
    old: &Stat,
    path: &TreePath,
) -> io::Result<Option<ChangeKind>> {
    let kind = NodeKind::of(new);
    if kind != NodeKind::of(old) {
        return Ok(Some(ChangeKind::Modified));
    }
    if kind == NodeKind::Symlink {
        let same = new_tree.link(path)? == old_tree.link(path)?;
        return Ok((!same).then_some(ChangeKind::Modified));
    }
    if new.st_size != old.st_size || !same_bytes(new_tree, old_tree, path)? {
        return Ok(Some(ChangeKind::Modified));
    }
    let mode = new.st_mode & 0o777 != old.st_mode & 0o777;
    Ok(mode.then_some(ChangeKind::Mode))
}

/// Compares two files of the same size. One that cannot be read counts as different.
fn same_bytes(a: &Tree, b: &Tree, path: &TreePath) -> io::Result<bool> {
    let (Ok(mut a), Ok(mut b)) = (a.file(path), b.file(path)) else { return Ok(false) };
    let (mut left, mut right) = (vec![0_u8; 1 << 16], vec![0_u8; 1 << 16]);
    loop {
        let got = a.read(&mut left)?;
        let Some(part) = right.get_mut(..got) else { return Ok(false) };
        if got == 0 {
            return Ok(b.read(&mut right)? == 0);
        }
        match b.read_exact(part) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(false),
            Err(error) => return Err(error),
        }
        if left.get(..got) != right.get(..got) {
            return Ok(false);
        }
    }
}

/// Names that only the kernel or Nucleus's own tools leave.
pub(crate) fn is_own_temporary(name: &OsStr) -> bool {
    let name = name.as_encoded_bytes();
    name.starts_with(b".nucleus-write-") || name.starts_with(b".nucleus-apply-")
}
