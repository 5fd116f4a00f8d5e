//! Keeping the way back while an apply ends.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::fs::DirBuilderExt as _;

use rustix::fs::{AtFlags, Mode, OFlags, Stat};

use super::{FORMAT, Layer};
use crate::workspace::apply::Executor;
use crate::workspace::error::{At as _, Doing, WorkspaceError};
use crate::workspace::git;
use crate::workspace::limits::UNDO_BYTES;
use crate::workspace::node::{Fingerprint, NodeKind, mtime};
use crate::workspace::path::TreePath;
use crate::workspace::plan::{ConflictReason, Op, Owner};
use crate::workspace::removal;
use crate::workspace::session::{Session, sync_parent};
use crate::workspace::stage;
use crate::workspace::tree::{Tree, stat_at};

/// Keeps what an apply replaced or removed, before the apply is committed. That it cannot be kept is no reason to refuse
/// the apply: the layer says so then.
pub(crate) fn keep(
    session: &Session,
    executor: &Executor<'_>,
    ops: &[Op],
    conflicted: &BTreeMap<TreePath, ConflictReason>,
) -> Result<(), WorkspaceError> {
    let parent = session.dir().join("undo");
    match fs::DirBuilder::new().mode(0o700).create(&parent) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            return Err(error).at(Doing::Write, &parent);
        }
        _ => {}
    }
    let number = super::layers(session)?.last().map_or(1, |last| last.saturating_add(1));
    let dir = super::images_dir(session, number);
    // A process that died here left some images and no layer.
    removal::remove_tree(&dir).at(Doing::Remove, &dir)?;
    fs::DirBuilder::new().mode(0o700).create(&dir).at(Doing::Write, &dir)?;
    let done: Vec<&Op> = ops.iter().filter(|op| !conflicted.contains_key(op.path())).collect();
    let host = executor.host();
    let kept = Tree::open(&dir).and_then(|images| Keeper { executor, images }.keep(&done));
    let layer = match kept {
        Ok(Ok((ops, images))) => {
            let git = git::digest(host).at(Doing::Read, &session.meta().workspace)?;
            Layer { version: FORMAT, lost: None, git, ops, images }
        }
        Ok(Err(TooLarge(bytes))) => lost(format!(
            "it replaced or removed {} MiB, and at most {} MiB are kept",
            bytes >> 20,
            UNDO_BYTES >> 20
        )),
        Err(error) => lost(format!("what it replaced could not be kept ({error})")),
    };
    if layer.lost.is_some() {
        removal::remove_tree(&dir).at(Doing::Remove, &dir)?;
    }
    sync_parent(&dir)?;
    super::save(session, number, &layer)
}

fn lost(why: String) -> Layer {
    Layer { version: FORMAT, lost: Some(why), git: None, ops: Vec::new(), images: BTreeMap::new() }
}

/// More than is kept.
struct TooLarge(u64);

type Kept = (Vec<Op>, BTreeMap<u32, Fingerprint>);

struct Keeper<'a> {
    executor: &'a Executor<'a>,
    images: Tree,
}

impl Keeper<'_> {
    fn keep(&self, ops: &[&Op]) -> io::Result<Result<Kept, TooLarge>> {
        let slots = self.executor.slots()?;
        let mut back = Vec::with_capacity(ops.len());
        let mut images = BTreeMap::new();
        let mut old = Vec::new();
        let mut bytes = 0_u64;
        for op in ops {
            if let Op::Remove { slot, .. } | Op::Put { expected: Some(_), slot, .. } = op
                && let Some(stat) = stat_at(slots.as_fd(), OsStr::new(&slot.to_string()))?
            {
                let blocks = u64::try_from(stat.st_blocks).unwrap_or(0);
                bytes = bytes.saturating_add(blocks.saturating_mul(512));
                old.push((*slot, stat));
            }
        }
        if bytes > UNDO_BYTES {
            return Ok(Err(TooLarge(bytes)));
        }
        let mut copied = Vec::new();
        for (slot, stat) in &old {
            let (image, copy) = self.image(slots, *slot, stat)?;
            images.insert(*slot, image);
            copied.extend(copy);
        }
        for file in &copied {
            file.sync_all()?;
        }
        rustix::fs::fsync(self.images.fd())?;
        let old: BTreeMap<u32, &Stat> = old.iter().map(|(slot, stat)| (*slot, stat)).collect();
        for op in ops {
            back.extend(self.reverse(op, &old)?);
        }
        back.sort_by(order);
        Ok(Ok((back, images)))
    }

    /// The old file itself where a second name for it can be made, a copy elsewhere.
    fn image(
        &self,
        slots: &OwnedFd,
        slot: u32,
        stat: &Stat,
    ) -> io::Result<(Fingerprint, Option<File>)> {
        let name = slot.to_string();
        let images = self.images.fd();
        let mut copy = None;
        if NodeKind::of(stat) == NodeKind::Symlink {
            let target = rustix::fs::readlinkat(slots, &name, Vec::new())?;
            rustix::fs::symlinkat(target, images, &name)?;
        } else if rustix::fs::linkat(slots, &name, images, &name, AtFlags::empty()).is_err() {
            let read = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
            let from = File::from(rustix::fs::openat(slots, &name, read, Mode::empty())?);
            let write = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::CLOEXEC;
            let to = File::from(rustix::fs::openat(images, &name, write, Mode::RUSR | Mode::WUSR)?);
            stage::copy_content(&from, &to)?;
            stage::copy_attributes(&from, &to);
            copy = Some(to);
        }
        let kept = stat_at(images, OsStr::new(&name))?.ok_or(io::ErrorKind::NotFound)?;
        Ok((Fingerprint::of(&kept), copy))
    }

    /// The step that takes a step back; none when there was nothing to it.
    fn reverse(&self, op: &Op, old: &BTreeMap<u32, &Stat>) -> io::Result<Option<Op>> {
        let path = op.path().clone();
        let now = self.executor.host().stat(&path)?;
        let after = now.as_ref().map(Fingerprint::of);
        let owner =
            |stat: &Stat| Owner { uid: stat.st_uid, gid: stat.st_gid, mode: stat.st_mode & 0o7777 };
        Ok(match op {
            Op::Remove { slot, .. } => old.get(slot).map(|stat| Op::Put {
                path,
                expected: None,
                slot: *slot,
                owner: owner(stat),
                mtime: mtime(stat),
            }),
            Op::Put { expected: Some(_), slot, .. } => {
                old.get(slot).zip(after).map(|(stat, after)| Op::Put {
                    path,
                    expected: Some(after),
                    slot: *slot,
                    owner: owner(stat),
                    mtime: mtime(stat),
                })
            }
            Op::Put { expected: None, slot, .. } => {
                after.map(|expected| Op::Remove { path, expected, slot: *slot })
            }
            Op::RemoveDir { owner, .. } => Some(Op::MakeDir { path, owner: *owner }),
            Op::MakeDir { .. } => {
                now.as_ref().map(|stat| Op::RemoveDir { path, owner: owner(stat) })
            }
            Op::Chmod { expected, .. } => {
                after.map(|after| Op::Chmod { path, mode: expected.mode & 0o7777, expected: after })
            }
        })
    }
}

/// Removals before what replaces them, directories before their content, the repository last, permission bits at the end.
pub(super) fn order(a: &Op, b: &Op) -> std::cmp::Ordering {
    let rank = |op: &Op| match op {
        Op::Remove { .. } => 0_u8,
        Op::RemoveDir { .. } => 1,
        Op::MakeDir { .. } => 2,
        Op::Put { path, .. } if path.as_str().is_some_and(|p| p == ".git/HEAD") => 6,
        Op::Put { path, .. } if path.as_str().is_some_and(|p| p.starts_with(".git/")) => 4,
        Op::Put { .. } => 3,
        Op::Chmod { .. } => 9,
    };
    let by_path = match rank(a) {
        // Contents before the directory that holds them.
        0 | 1 => b.path().cmp(a.path()),
        _ => a.path().cmp(b.path()),
    };
    rank(a).cmp(&rank(b)).then(by_path)
}
