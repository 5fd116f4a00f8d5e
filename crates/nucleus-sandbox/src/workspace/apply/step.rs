//! The steps of an apply on the file system: forward, back, and recognising which were done.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::Path;

use rustix::fs::{AtFlags, Gid, Mode, OFlags, RenameFlags, Stat, Uid};
use rustix::io::Errno;

use crate::workspace::error::{At as _, Doing, WorkspaceError};
use crate::workspace::journal::PlanRecord;
use crate::workspace::node::{Fingerprint, NodeKind, Stamp};
use crate::workspace::path::TreePath;
use crate::workspace::plan::{ConflictReason, Op, Owner};
use crate::workspace::session::Session;
use crate::workspace::stage;
use crate::workspace::tree::{Tree, entries_of, is_absent, stat_at};
use crate::workspace::undo;

/// Asked at each named point whether the process "dies" there. Only tests say yes.
pub(crate) type Probe<'a> = &'a dyn Fn(&str) -> bool;

/// Most threads that wait for files to be durable, and the least number of files worth a thread.
const SYNC_THREADS: usize = 32;
const SYNC_SHARE: usize = 32;

/// Why a step stopped.
#[derive(Debug)]
pub(crate) enum StepError {
    Failed {
        path: TreePath,
        source: io::Error,
    },
    /// A test's stand-in for a dead process.
    Crash,
}

impl StepError {
    pub(crate) fn is_crash(&self) -> bool {
        matches!(self, Self::Crash)
    }

    pub(crate) fn into_error(self, id: &str) -> WorkspaceError {
        let (path, source) = match self {
            Self::Failed { path, source } => (path.to_string(), source),
            Self::Crash => (String::new(), io::ErrorKind::Interrupted.into()),
        };
        WorkspaceError::RolledBack { path, source, id: id.to_owned() }
    }
}

/// Both trees and the staging directory, held.
pub(crate) struct Executor<'a> {
    host: Tree,
    result: Tree,
    /// The new files are images of old ones, named by their slots.
    images: bool,
    staging: String,
    slots: Option<OwnedFd>,
    probe: Probe<'a>,
}

/// A step's end.
enum Done {
    Yes,
    Conflict(ConflictReason),
}

impl<'a> Executor<'a> {
    pub(crate) fn open(
        session: &Session,
        record: &PlanRecord,
        probe: Probe<'a>,
    ) -> Result<Self, WorkspaceError> {
        let workspace = &session.meta().workspace;
        let host = Tree::open(workspace).at(Doing::Read, workspace)?;
        let source = match record.undo {
            Some(layer) => undo::images_dir(session, layer),
            None => session.result_dir(),
        };
        let result = Tree::open(&source).at(Doing::Read, &source)?;
        let staging = record.staging.clone();
        let slots = open_staging(&host, &staging).at(Doing::Read, workspace)?;
        Ok(Self { host, result, images: record.undo.is_some(), staging, slots, probe })
    }

    /// The user's tree.
    pub(crate) fn host(&self) -> &Tree {
        &self.host
    }

    /// Where the new version of a path is found.
    fn source(&self, path: &TreePath, slot: u32) -> TreePath {
        if self.images { TreePath::root().child(slot.to_string().as_ref()) } else { path.clone() }
    }

    pub(crate) fn crash_here(&self, point: &str) -> Result<(), StepError> {
        if (self.probe)(point) { Err(StepError::Crash) } else { Ok(()) }
    }

    /// Refuses before anything is written when the changes cannot fit.
    pub(crate) fn require_space(
        &self,
        session: &Session,
        ops: &[Op],
    ) -> Result<(), WorkspaceError> {
        let workspace = &session.meta().workspace;
        let mut needed = 0_u64;
        for op in ops {
            if let Op::Put { path, slot, .. } = op
                && let Some(stat) =
                    self.result.stat(&self.source(path, *slot)).at(Doing::Read, workspace)?
            {
                let blocks = u64::try_from(stat.st_blocks).unwrap_or(0);
                needed = needed.saturating_add(blocks.saturating_mul(512));
            }
        }
        let space = rustix::fs::fstatvfs(self.host.fd()).at(Doing::Read, workspace)?;
        let available = space.f_bavail.saturating_mul(space.f_frsize);
        if needed > available {
            return Err(WorkspaceError::NoSpace { needed, available, id: session.id().to_owned() });
        }
        Ok(())
    }

    /// Copies every new file into the staging directory and makes it durable; gives each slot's inode.
    pub(crate) fn stage(&mut self, ops: &[Op]) -> Result<BTreeMap<u32, u64>, StepError> {
        self.crash_here("planned")?;
        let at_root = |source: io::Error| StepError::Failed { path: TreePath::root(), source };
        self.make_staging().map_err(at_root)?;
        let mut slots = BTreeMap::new();
        for op in ops {
            let Op::Put { path, expected, slot, owner, mtime } = op else { continue };
            let failed = |source| StepError::Failed { path: path.clone(), source };
            let replaces = expected.is_some();
            let inode = self.stage_one(path, replaces, *slot, *owner, *mtime).map_err(failed)?;
            slots.insert(*slot, inode);
            self.crash_here("staging")?;
        }
        let held = self.slots().map_err(at_root)?;
        sync_slots(held, &slots.keys().copied().collect::<Vec<_>>()).map_err(at_root)?;
        rustix::fs::fsync(self.slots().map_err(at_root)?).map_err(|e| at_root(e.into()))?;
        self.crash_here("staged")?;
        Ok(slots)
    }

    fn make_staging(&mut self) -> io::Result<()> {
        rustix::fs::mkdirat(self.host.fd(), &self.staging, Mode::RWXU)?;
        self.slots = open_staging(&self.host, &self.staging)?;
        // So that a `git status` of the user does not list it while it is there.
        let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::CLOEXEC;
        let ignore =
            rustix::fs::openat(self.slots()?, ".gitignore", flags, Mode::RUSR | Mode::WUSR)?;
        rustix::io::write(&ignore, b"*\n")?;
        Ok(())
    }

    pub(crate) fn slots(&self) -> io::Result<&OwnedFd> {
        self.slots.as_ref().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn stage_one(
        &self,
        path: &TreePath,
        replaces: bool,
        slot: u32,
        owner: Owner,
        mtime: Stamp,
    ) -> io::Result<u64> {
        let slots = self.slots()?;
        let name = slot.to_string();
        let source = &self.source(path, slot);
        let new = self.result.stat(source)?.ok_or(io::ErrorKind::NotFound)?;
        let root = rustix::process::geteuid().is_root();
        let (uid, gid) = (Uid::from_raw(owner.uid), Gid::from_raw(owner.gid));
        if NodeKind::of(&new) == NodeKind::Symlink {
            rustix::fs::symlinkat(self.result.link(source)?, slots, &name)?;
            if root {
                rustix::fs::chownat(slots, &name, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW)?;
            }
        } else {
            let from = self.readable(source, &new)?;
            let flags =
                OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
            let to = File::from(rustix::fs::openat(slots, &name, flags, Mode::RUSR | Mode::WUSR)?);
            stage::copy_content(&from, &to)?;
            if self.images {
                stage::copy_attributes(&from, &to);
            } else if replaces && let Ok(old) = self.host.file(path) {
                stage::copy_attributes(&old, &to);
            }
            if root {
                rustix::fs::fchown(&to, Some(uid), Some(gid))?;
            } else {
                // A group the user is not in cannot be kept; the file is the user's all the same.
                let _ = rustix::fs::fchown(&to, None, Some(gid));
            }
            // What a task left has no setuid bit; what the user had may have one.
            let bits = if self.images { 0o7777 } else { 0o777 };
            rustix::fs::fchmod(&to, Mode::from_raw_mode(owner.mode & bits))?;
            stage::set_mtime(&to, mtime)?;
            let _ = rustix::fs::fadvise(&to, 0, None, rustix::fs::Advice::DontNeed);
        }
        Ok(stat_at(slots.as_fd(), OsStr::new(&name))?.ok_or(io::ErrorKind::NotFound)?.st_ino)
    }

    /// Opens a file of the result, which a task may have left without read permission.
    fn readable(&self, path: &TreePath, stat: &Stat) -> io::Result<File> {
        match self.result.file(path) {
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                let (dir, name) = self.result.parent(path)?;
                let mode = Mode::from_raw_mode(stat.st_mode & 0o777) | Mode::RUSR;
                rustix::fs::chmodat(dir, name, mode, AtFlags::empty())?;
                self.result.file(path)
            }
            other => other,
        }
    }

    /// Does every step that is not done yet; steps the host got in the way of are given as conflicts.
    pub(crate) fn forward(
        &self,
        ops: &[Op],
        staged: &BTreeMap<u32, u64>,
    ) -> Result<BTreeMap<TreePath, ConflictReason>, StepError> {
        let mut conflicts = BTreeMap::new();
        for op in ops {
            let failed = |source| StepError::Failed { path: op.path().clone(), source };
            self.crash_here("step")?;
            match self.step(op, staged) {
                Ok(Done::Yes) => {}
                Ok(Done::Conflict(reason)) => {
                    conflicts.insert(op.path().clone(), reason);
                }
                Err(error) if is_absent(&error) => {
                    conflicts.insert(op.path().clone(), ConflictReason::ParentChanged);
                }
                Err(error) => return Err(failed(error)),
            }
        }
        self.crash_here("stepped")?;
        Ok(conflicts)
    }

    fn step(&self, op: &Op, staged: &BTreeMap<u32, u64>) -> io::Result<Done> {
        match op {
            Op::Remove { path, expected, slot } => self.remove(path, expected, *slot),
            Op::RemoveDir { path, .. } => self.remove_dir(path, staged),
            Op::MakeDir { path, owner } => self.make_dir(path, *owner),
            Op::Put { path, expected, slot, .. } => {
                let inode = staged.get(slot).copied().unwrap_or(0);
                self.put(path, expected.as_ref(), *slot, inode)
            }
            Op::Chmod { path, expected, mode } => self.chmod(path, expected, *mode),
        }
    }

    fn remove(&self, path: &TreePath, expected: &Fingerprint, slot: u32) -> io::Result<Done> {
        let slots = self.slots()?;
        let slot = slot.to_string();
        if stat_at(slots.as_fd(), OsStr::new(&slot))?.is_some() {
            return Ok(Done::Yes);
        }
        let (dir, name) = self.host.parent(path)?;
        let Some(now) = stat_at(dir.as_fd(), name)? else { return Ok(Done::Yes) };
        if Fingerprint::of(&now) != *expected {
            return Ok(Done::Conflict(ConflictReason::EditedOnHost));
        }
        rename_new(&dir, name, slots, OsStr::new(&slot))?;
        let moved = stat_at(slots.as_fd(), OsStr::new(&slot))?;
        if moved.is_none_or(|m| !Fingerprint::of(&m).same_content(expected)) {
            rename_new(slots, OsStr::new(&slot), &dir, name)?;
            return Ok(Done::Conflict(ConflictReason::EditedOnHost));
        }
        Ok(Done::Yes)
    }

    fn remove_dir(&self, path: &TreePath, staged: &BTreeMap<u32, u64>) -> io::Result<Done> {
        let (dir, name) = match self.host.parent(path) {
            // Removed with the directory it was in, before this process.
            Err(error) if is_absent(&error) => return Ok(Done::Yes),
            other => other?,
        };
        match rustix::fs::unlinkat(&dir, name, AtFlags::REMOVEDIR) {
            Ok(()) | Err(Errno::NOENT) => Ok(Done::Yes),
            Err(Errno::NOTEMPTY | Errno::EXIST) => Ok(Done::Conflict(ConflictReason::NotEmpty)),
            Err(Errno::NOTDIR) => {
                // Removed before this process, and what replaces it put in place.
                let now = stat_at(dir.as_fd(), name)?.map(|stat| stat.st_ino);
                let ours = now.is_some_and(|now| staged.values().any(|inode| *inode == now));
                Ok(if ours { Done::Yes } else { Done::Conflict(ConflictReason::EditedOnHost) })
            }
            Err(error) => Err(error.into()),
        }
    }

    fn make_dir(&self, path: &TreePath, owner: Owner) -> io::Result<Done> {
        let (dir, name) = self.host.parent(path)?;
        match rustix::fs::mkdirat(&dir, name, Mode::RWXU) {
            Ok(()) => {}
            Err(Errno::EXIST) => {
                let is_dir = stat_at(dir.as_fd(), name)?
                    .is_some_and(|s| NodeKind::of(&s) == NodeKind::Directory);
                return Ok(if is_dir {
                    Done::Yes
                } else {
                    Done::Conflict(ConflictReason::CreatedOnHost)
                });
            }
            Err(error) => return Err(error.into()),
        }
        let made = self.host.dir(path)?;
        if rustix::process::geteuid().is_root() {
            rustix::fs::fchown(
                &made,
                Some(Uid::from_raw(owner.uid)),
                Some(Gid::from_raw(owner.gid)),
            )?;
        }
        // The owner must be able to fill it; a directory nobody can enter would be of no use to the user either.
        rustix::fs::fchmod(&made, Mode::from_raw_mode(owner.mode & 0o2777) | Mode::RWXU)?;
        Ok(Done::Yes)
    }

    fn put(
        &self,
        path: &TreePath,
        expected: Option<&Fingerprint>,
        slot: u32,
        inode: u64,
    ) -> io::Result<Done> {
        let slots = self.slots()?;
        let slot = slot.to_string();
        let slot = OsStr::new(&slot);
        let in_slot = stat_at(slots.as_fd(), slot)?;
        let (dir, name) = self.host.parent(path)?;
        let now = stat_at(dir.as_fd(), name)?;
        if in_slot.as_ref().is_none_or(|s| s.st_ino != inode) {
            // Done by a process that died; perhaps before it could compare what it took out.
            let (Some(old), Some(expected)) = (in_slot, expected) else { return Ok(Done::Yes) };
            let ours = now.is_some_and(|n| n.st_ino == inode);
            if ours && !Fingerprint::of(&old).same_content(expected) {
                exchange(slots, slot, &dir, name)?;
                return Ok(Done::Conflict(ConflictReason::EditedOnHost));
            }
            return Ok(Done::Yes);
        }
        let (Some(expected), Some(now)) = (expected, &now) else {
            return match (expected, now) {
                (Some(_), None) => Ok(Done::Conflict(ConflictReason::RemovedOnHost)),
                (None, Some(_)) => Ok(Done::Conflict(ConflictReason::CreatedOnHost)),
                _ => match rename_new(slots, slot, &dir, name) {
                    Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                        Ok(Done::Conflict(ConflictReason::CreatedOnHost))
                    }
                    other => other.map(|()| Done::Yes),
                },
            };
        };
        if Fingerprint::of(now) != *expected {
            return Ok(Done::Conflict(ConflictReason::EditedOnHost));
        }
        exchange(slots, slot, &dir, name)?;
        self.crash_probe_between();
        let old = stat_at(slots.as_fd(), slot)?;
        if old.is_none_or(|o| !Fingerprint::of(&o).same_content(expected)) {
            exchange(slots, slot, &dir, name)?;
            return Ok(Done::Conflict(ConflictReason::EditedOnHost));
        }
        Ok(Done::Yes)
    }

    /// Lets a test act between the exchange and the comparison.
    fn crash_probe_between(&self) {
        let _ = (self.probe)("exchanged");
    }

    fn chmod(&self, path: &TreePath, expected: &Fingerprint, mode: u32) -> io::Result<Done> {
        let (dir, name) = self.host.parent(path)?;
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let held = rustix::fs::openat(&dir, name, flags, Mode::empty())?;
        let now = Fingerprint::of(&rustix::fs::fstat(&held)?);
        if now.ino != expected.ino {
            return Ok(Done::Conflict(ConflictReason::EditedOnHost));
        }
        if now.mode & 0o7777 == mode {
            return Ok(Done::Yes);
        }
        let is_dir = now.mode & 0o170_000 == 0o040_000;
        // A directory's stamps moved with the steps before; a file must be as it was.
        if now.mode != expected.mode || (!is_dir && now != *expected) {
            return Ok(Done::Conflict(ConflictReason::EditedOnHost));
        }
        stage::set_mode(&held, mode)?;
        Ok(Done::Yes)
    }

    /// Undoes every step that was done, last first. What the host changed since a step stays as the host left it.
    pub(crate) fn back(&self, ops: &[Op], staged: &BTreeMap<u32, u64>) {
        for op in ops.iter().rev() {
            // An undo that cannot be done leaves the new version in place; going on undoes as much as possible.
            let _ = self.step_back(op, staged);
        }
    }

    fn step_back(&self, op: &Op, staged: &BTreeMap<u32, u64>) -> io::Result<()> {
        let (dir, name) = self.host.parent(op.path())?;
        match op {
            Op::Remove { slot, .. } => {
                rename_new(self.slots()?, OsStr::new(&slot.to_string()), &dir, name)?;
            }
            Op::RemoveDir { path, owner } => {
                rustix::fs::mkdirat(&dir, name, Mode::RWXU)?;
                let made = self.host.dir(path)?;
                if rustix::process::geteuid().is_root() {
                    rustix::fs::fchown(
                        &made,
                        Some(Uid::from_raw(owner.uid)),
                        Some(Gid::from_raw(owner.gid)),
                    )?;
                }
                rustix::fs::fchmod(&made, Mode::from_raw_mode(owner.mode))?;
            }
            Op::MakeDir { .. } => rustix::fs::unlinkat(&dir, name, AtFlags::REMOVEDIR)?,
            Op::Put { expected, slot, .. } => {
                let ours = staged.get(slot).copied();
                let now = stat_at(dir.as_fd(), name)?.map(|s| s.st_ino);
                if now.is_some() && now == ours {
                    let slot = slot.to_string();
                    match expected {
                        Some(_) => exchange(self.slots()?, OsStr::new(&slot), &dir, name)?,
                        None => rename_new(&dir, name, self.slots()?, OsStr::new(&slot))?,
                    }
                }
            }
            Op::Chmod { expected, mode, .. } => {
                let mut now = expected.clone();
                now.mode = expected.mode & 0o170_000 | mode;
                let held =
                    rustix::fs::openat(&dir, name, OFlags::PATH | OFlags::NOFOLLOW, Mode::empty())?;
                let found = Fingerprint::of(&rustix::fs::fstat(&held)?);
                if found.ino == now.ino && found.mode == now.mode {
                    stage::set_mode(&held, expected.mode)?;
                }
            }
        }
        Ok(())
    }

    /// Makes the steps durable: names live in directories, permission bits in the nodes.
    pub(crate) fn sync(&self, ops: &[Op], workspace: &Path) -> Result<(), WorkspaceError> {
        let mut directories: BTreeSet<TreePath> = BTreeSet::from([TreePath::root()]);
        for op in ops {
            directories.extend(op.path().parent());
            if let Op::Chmod { path, .. } | Op::MakeDir { path, .. } = op {
                directories.insert(path.clone());
            }
        }
        for path in &directories {
            let held = self.host.dir(path).or_else(|_| self.host.file(path).map(OwnedFd::from));
            match held {
                Ok(held) => {
                    rustix::fs::fsync(held).at(Doing::Sync, &workspace.join(path.as_path()))?
                }
                Err(error) if is_absent(&error) => {}
                Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {}
                Err(error) => return Err(error).at(Doing::Sync, &workspace.join(path.as_path())),
            }
        }
        if let Some(slots) = &self.slots {
            rustix::fs::fsync(slots).at(Doing::Sync, workspace)?;
        }
        Ok(())
    }

    /// Removes the staging directory with what is left in it.
    pub(crate) fn clear(&self, workspace: &Path) -> Result<(), WorkspaceError> {
        let Some(slots) = open_staging(&self.host, &self.staging).at(Doing::Read, workspace)?
        else {
            return Ok(());
        };
        let names: BTreeSet<_> = {
            let again = rustix::fs::openat(
                &slots,
                ".",
                OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC,
                Mode::empty(),
            );
            entries_of(again.at(Doing::Read, workspace)?)
                .at(Doing::Read, workspace)?
                .into_iter()
                .map(|e| e.name)
                .collect()
        };
        for name in names {
            rustix::fs::unlinkat(&slots, &name, AtFlags::empty()).at(Doing::Remove, workspace)?;
        }
        rustix::fs::unlinkat(self.host.fd(), &self.staging, AtFlags::REMOVEDIR)
            .at(Doing::Remove, workspace)
    }
}

/// Makes staged files durable. Many at a time, so that the file system commits them together; not by one sync of the
/// whole file system, which would wait for everybody else's writes too.
fn sync_slots(held: &OwnedFd, slots: &[u32]) -> io::Result<()> {
    let share = slots.len().div_ceil(SYNC_THREADS).max(SYNC_SHARE);
    std::thread::scope(|scope| {
        let threads: Vec<_> = slots
            .chunks(share)
            .map(|part| {
                scope.spawn(move || part.iter().try_for_each(|slot| sync_slot(held, *slot)))
            })
            .collect();
        threads.into_iter().try_for_each(|thread| {
            thread.join().unwrap_or_else(|_| Err(io::ErrorKind::Other.into()))
        })
    })
}

fn sync_slot(held: &OwnedFd, slot: u32) -> io::Result<()> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    match rustix::fs::openat(held, slot.to_string(), flags, Mode::empty()) {
        Ok(file) => Ok(rustix::fs::fsync(&file)?),
        // A link, which its directory makes durable; or a file its owner cannot read, which the staging directory's
        // transaction carries.
        Err(Errno::LOOP | Errno::ACCESS) => Ok(rustix::fs::fsync(held)?),
        Err(error) => Err(error.into()),
    }
}

fn open_staging(host: &Tree, name: &str) -> io::Result<Option<OwnedFd>> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    match rustix::fs::openat(host.fd(), name, flags, Mode::empty()) {
        Ok(dir) => Ok(Some(dir)),
        Err(Errno::NOENT) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Moves a name to one that must be free.
fn rename_new(from: &OwnedFd, name: &OsStr, to: &OwnedFd, new: &OsStr) -> io::Result<()> {
    match rustix::fs::renameat_with(from, name, to, new, RenameFlags::NOREPLACE) {
        Err(Errno::INVAL | Errno::NOSYS) => {
            // A file system without the flag: a link refuses to replace too.
            rustix::fs::linkat(from, name, to, new, AtFlags::empty())?;
            rustix::fs::unlinkat(from, name, AtFlags::empty())?;
            Ok(())
        }
        other => other.map_err(io::Error::from),
    }
}

/// Exchanges two names.
fn exchange(slots: &OwnedFd, slot: &OsStr, dir: &OwnedFd, name: &OsStr) -> io::Result<()> {
    match rustix::fs::renameat_with(slots, slot, dir, name, RenameFlags::EXCHANGE) {
        Err(Errno::INVAL | Errno::NOSYS) => {
            // A file system without the flag. The old file gets a second name first, so it is never without one; an
            // edit between the comparison and the rename goes to the second name and is found there.
            let mut kept = slot.to_owned();
            kept.push(".old");
            rustix::fs::linkat(dir, name, slots, &kept, AtFlags::empty())?;
            rustix::fs::renameat(slots, slot, dir, name)?;
            rustix::fs::renameat(slots, &kept, slots, slot)?;
            Ok(())
        }
        other => other.map_err(io::Error::from),
    }
}
