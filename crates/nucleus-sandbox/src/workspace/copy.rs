//! The workspace as a copy, where no overlay is possible.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, Gid, Mode, OFlags, Stat, Uid};
use serde::{Deserialize, Serialize};

use super::change::{ChangeKind, Scan};
use super::error::{At as _, Doing, WorkspaceError};
use super::limits::DEPTH_LEVELS;
use super::node::{Fingerprint, NodeKind, mtime};
use super::overlay::{deleted, differs};
use super::path::TreePath;
use super::removal::remove_tree;
use super::session::{Session, read_json, write_json};
use super::stage;
use super::tree::{Tree, is_absent};

const MANIFEST: &str = "copy.json";

/// State of both sides when the copy was made.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Pair {
    pub(crate) copy: Fingerprint,
    pub(crate) host: Fingerprint,
}

/// Copies the workspace into the session and gives the copy's path. Shared blocks are used where the file system has
/// them. `owner` is the pod's uid and gid on a root host: it gets what the workspace's owner owns. Sockets, FIFOs,
/// devices and files this user cannot read are left out.
///
/// # Errors
/// `Io`, no space included: the half-made copy is removed.
pub fn prepare_copy(
    session_dir: &Path,
    workspace: &Path,
    owner: Option<(u32, u32)>,
) -> Result<PathBuf, WorkspaceError> {
    let target = session_dir.join("copy");
    fs::DirBuilder::new().mode(0o700).create(&target).at(Doing::Write, &target)?;
    let made = copy_all(workspace, &target, owner)
        .and_then(|manifest| write_json(&session_dir.join(MANIFEST), &manifest));
    if let Err(error) = made {
        let _ = remove_tree(&target);
        return Err(error);
    }
    Ok(target)
}

struct Copying<'a> {
    from: Tree,
    to: Tree,
    from_path: &'a Path,
    to_path: &'a Path,
    uid: u32,
    owner: Option<(u32, u32)>,
    manifest: BTreeMap<TreePath, Pair>,
}

fn copy_all(
    from: &Path,
    to: &Path,
    owner: Option<(u32, u32)>,
) -> Result<BTreeMap<TreePath, Pair>, WorkspaceError> {
    let tree = Tree::open(from).at(Doing::Read, from)?;
    let root = rustix::fs::fstat(tree.fd()).at(Doing::Read, from)?;
    let mut copying = Copying {
        from: tree,
        to: Tree::open(to).at(Doing::Write, to)?,
        from_path: from,
        to_path: to,
        uid: root.st_uid,
        owner,
        manifest: BTreeMap::new(),
    };
    copying.directory(&TreePath::root(), 0)?;
    copying.attributes(&TreePath::root(), &root).at(Doing::Write, to)?;
    Ok(copying.manifest)
}

impl Copying<'_> {
    fn directory(&mut self, dir: &TreePath, depth: usize) -> Result<(), WorkspaceError> {
        let at = self.from_path.join(dir.as_path());
        if depth > DEPTH_LEVELS {
            return Err(WorkspaceError::TooDeep { path: at, limit: DEPTH_LEVELS });
        }
        let entries = match self.from.entries(dir) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => return Ok(()),
            Err(error) => return Err(error).at(Doing::Read, &at),
        };
        for entry in entries {
            let path = dir.child(&entry.name);
            let target = self.to_path.join(path.as_path());
            let Some(stat) = self.from.stat(&path).at(Doing::Read, &at)? else { continue };
            if !self.node(&path, &stat).at(Doing::Write, &target)? {
                continue;
            }
            if NodeKind::of(&stat) == NodeKind::Directory {
                self.directory(&path, depth.saturating_add(1))?;
            }
            self.attributes(&path, &stat).at(Doing::Write, &target)?;
            if let Some(made) = self.to.stat(&path).at(Doing::Read, &target)? {
                let pair = Pair { copy: Fingerprint::of(&made), host: Fingerprint::of(&stat) };
                self.manifest.insert(path, pair);
            }
        }
        Ok(())
    }

    /// Makes one node; false when it is left out.
    fn node(&self, path: &TreePath, stat: &Stat) -> io::Result<bool> {
        let (dir, name) = self.to.parent(path)?;
        match NodeKind::of(stat) {
            NodeKind::Directory => rustix::fs::mkdirat(dir, name, Mode::RWXU)?,
            NodeKind::Symlink => rustix::fs::symlinkat(self.from.link(path)?, dir, name)?,
            NodeKind::Special => return Ok(false),
            NodeKind::File => {
                let from = match self.from.file(path) {
                    Ok(from) => from,
                    Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                        return Ok(false);
                    }
                    Err(error) if is_absent(&error) => return Ok(false),
                    Err(error) => return Err(error),
                };
                let flags = OFlags::CREATE
                    | OFlags::EXCL
                    | OFlags::WRONLY
                    | OFlags::CLOEXEC
                    | OFlags::NOFOLLOW;
                let to = File::from(rustix::fs::openat(dir, name, flags, Mode::RUSR | Mode::WUSR)?);
                stage::copy_content(&from, &to)?;
                stage::copy_attributes(&from, &to);
                stage::set_mtime(&to, mtime(stat))?;
            }
        }
        Ok(true)
    }

    fn attributes(&self, path: &TreePath, stat: &Stat) -> io::Result<()> {
        let (dir, name) = if path.is_root() {
            (self.to.dir(path)?, std::ffi::OsStr::new("."))
        } else {
            self.to.parent(path)?
        };
        if let Some((uid, gid)) = self.owner.filter(|_| stat.st_uid == self.uid) {
            let (uid, gid) = (Uid::from_raw(uid), Gid::from_raw(gid));
            rustix::fs::chownat(&dir, name, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW)?;
        }
        if NodeKind::of(stat) != NodeKind::Symlink {
            // No other process can reach the copy yet, so the name is what was made above.
            rustix::fs::chmodat(
                &dir,
                name,
                Mode::from_raw_mode(stat.st_mode & 0o777),
                AtFlags::empty(),
            )?;
        }
        Ok(())
    }
}

/// The manifest of a copy.
pub(crate) fn manifest(session: &Session) -> Result<BTreeMap<TreePath, Pair>, WorkspaceError> {
    read_json(&session.dir().join(MANIFEST))
}

pub(crate) fn scan(session: &Session) -> Result<Scan, WorkspaceError> {
    let copy_path = session.result_dir();
    let host_path = &session.meta().workspace;
    let mut walk = Walk {
        copy: Tree::open(&copy_path).at(Doing::Read, &copy_path)?,
        host: Tree::open(host_path).at(Doing::Read, host_path)?,
        copy_path: &copy_path,
        manifest: manifest(session)?,
        scan: Scan::default(),
    };
    walk.directory(&TreePath::root(), 0)?;
    walk.absent()?;
    Ok(walk.scan)
}

struct Walk<'a> {
    copy: Tree,
    host: Tree,
    copy_path: &'a Path,
    manifest: BTreeMap<TreePath, Pair>,
    scan: Scan,
}

impl Walk<'_> {
    fn directory(&mut self, dir: &TreePath, depth: usize) -> Result<(), WorkspaceError> {
        let at = self.copy_path.join(dir.as_path());
        if depth > DEPTH_LEVELS {
            return Err(WorkspaceError::TooDeep { path: at, limit: DEPTH_LEVELS });
        }
        for entry in self.copy.entries(dir).at(Doing::Read, &at)? {
            self.entry(&dir.child(&entry.name), depth)?;
        }
        Ok(())
    }

    fn entry(&mut self, path: &TreePath, depth: usize) -> Result<(), WorkspaceError> {
        let at = self.copy_path.join(path.as_path());
        let Some(new) = self.copy.stat(path).at(Doing::Read, &at)? else { return Ok(()) };
        let was = self.manifest.get(path).map(|pair| pair.copy.clone());
        let was_dir = was.as_ref().is_some_and(|w| w.mode & 0o170_000 == 0o040_000);
        match NodeKind::of(&new) {
            NodeKind::Special => self.scan.special.push(path.clone()),
            NodeKind::Directory => {
                if was.is_some() && !was_dir {
                    deleted(&self.host, path, depth, &mut self.scan).at(Doing::Read, &at)?;
                }
                match was {
                    Some(was) if was_dir => {
                        if was.mode & 0o777 != new.st_mode & 0o777 {
                            self.scan.push(path.clone(), ChangeKind::Mode, NodeKind::Directory);
                        }
                    }
                    _ => self.scan.push(path.clone(), ChangeKind::Created, NodeKind::Directory),
                }
                self.directory(path, depth.saturating_add(1))?;
            }
            kind => {
                if was.is_some_and(|was| was == Fingerprint::of(&new)) {
                    return Ok(());
                }
                let old = self.host.stat(path).at(Doing::Read, &at)?;
                match old {
                    Some(old) if NodeKind::of(&old) == NodeKind::Directory => {
                        deleted(&self.host, path, depth, &mut self.scan).at(Doing::Read, &at)?;
                        self.scan.push(path.clone(), ChangeKind::Created, kind);
                    }
                    Some(old) => {
                        let change = differs(&self.copy, &new, &self.host, &old, path);
                        if let Some(change) = change.at(Doing::Read, &at)? {
                            self.scan.push(path.clone(), change, kind);
                        }
                    }
                    None => self.scan.push(path.clone(), ChangeKind::Created, kind),
                }
            }
        }
        Ok(())
    }

    /// What was copied and is no longer there.
    fn absent(&mut self) -> Result<(), WorkspaceError> {
        let mut gone: BTreeSet<TreePath> = BTreeSet::new();
        for path in self.manifest.keys() {
            // A directory sorts before what is in it.
            if path.parent().is_some_and(|p| gone.contains(&p)) {
                gone.insert(path.clone());
                continue;
            }
            let at = self.copy_path.join(path.as_path());
            if self.copy.stat(path).at(Doing::Read, &at)?.is_none() {
                gone.insert(path.clone());
                // A parent that became a file was listed as deleted, with its contents, by the walk.
                let replaced =
                    path.parent().map(|p| self.copy.stat(&p)).transpose().at(Doing::Read, &at)?;
                let parent_is_dir =
                    replaced.flatten().is_none_or(|s| NodeKind::of(&s) == NodeKind::Directory);
                if parent_is_dir {
                    deleted(&self.host, path, path.depth(), &mut self.scan).at(Doing::Read, &at)?;
                }
            }
        }
        Ok(())
    }
}
