//! From judged changes to the steps of an apply, in an order in which each step is possible.

use std::io;
use std::path::Path;

use rustix::fs::Stat;
use serde::{Deserialize, Serialize};

use super::conflict::Host;
use crate::workspace::change::{Change, ChangeKind};
use crate::workspace::error::{At as _, Doing, WorkspaceError};
use crate::workspace::git::{GitDirs, GitPart};
use crate::workspace::node::{Fingerprint, NodeKind, Stamp, mtime};
use crate::workspace::path::TreePath;
use crate::workspace::session::SessionMeta;

/// Owner and permission bits to give.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Owner {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) mode: u32,
}

/// One step. Every step can be undone, and can be recognised as done or not done from the file system alone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "snake_case")]
pub(crate) enum Op {
    /// Moves a file or link of the host into the slot.
    Remove { path: TreePath, expected: Fingerprint, slot: u32 },
    /// Removes an empty directory.
    RemoveDir { path: TreePath, owner: Owner },
    /// Makes a directory.
    MakeDir { path: TreePath, owner: Owner },
    /// Puts the slot's file or link in place, the old one (if one is expected) into the slot.
    Put { path: TreePath, expected: Option<Fingerprint>, slot: u32, owner: Owner, mtime: Stamp },
    /// Changes permission bits.
    Chmod { path: TreePath, expected: Fingerprint, mode: u32 },
}

impl Op {
    pub(crate) fn path(&self) -> &TreePath {
        match self {
            Self::Remove { path, .. }
            | Self::RemoveDir { path, .. }
            | Self::MakeDir { path, .. }
            | Self::Put { path, .. }
            | Self::Chmod { path, .. } => path,
        }
    }
}

/// Permission bits that a task may leave: no setuid, setgid or sticky bit.
const FILE_BITS: u32 = 0o777;
const SETGID: u32 = 0o2000;

/// Orders the changes: removals before what replaces them, directories before their content, git's objects before its
/// references, permission bits of directories last.
pub(crate) fn arrange(
    go: &[Change],
    host: &Host<'_>,
    meta: &SessionMeta,
) -> Result<Vec<Op>, WorkspaceError> {
    let mut ops: Vec<(u8, Op)> = Vec::with_capacity(go.len());
    let mut slot = 0_u32;
    for change in go {
        if let Some(ranked) = arrange_one(change, host, meta, &mut slot)
            .at(Doing::Read, Path::new(change.path.as_path()))?
        {
            ops.push(ranked);
        }
    }
    ops.sort_by(|(rank, a), (other, b)| {
        let by_path = match rank {
            // Contents before the directory that holds them.
            0 | 1 => b.path().cmp(a.path()),
            _ => a.path().cmp(b.path()),
        };
        rank.cmp(other).then(by_path)
    });
    Ok(ops.into_iter().map(|(_, op)| op).collect())
}

fn arrange_one(
    change: &Change,
    host: &Host<'_>,
    meta: &SessionMeta,
    slots: &mut u32,
) -> io::Result<Option<(u8, Op)>> {
    let path = change.path.clone();
    let old = host.tree.stat(&path)?;
    let is_dir = change.node == NodeKind::Directory;
    let mut slot = || {
        *slots = slots.saturating_add(1);
        *slots
    };
    if change.kind == ChangeKind::Deleted {
        let Some(old) = old else { return Ok(None) };
        let owner = Owner { uid: old.st_uid, gid: old.st_gid, mode: old.st_mode & 0o7777 };
        return Ok(Some(if is_dir {
            (1, Op::RemoveDir { path, owner })
        } else {
            (0, Op::Remove { path, expected: Fingerprint::of(&old), slot: slot() })
        }));
    }
    let Some(new) = host.result.stat(&path)? else { return Ok(None) };
    if change.kind == ChangeKind::Mode {
        let Some(old) = old else { return Ok(None) };
        // A directory keeps its group inheritance and sticky bit, which are the user's.
        let kept = if is_dir { old.st_mode & 0o7000 } else { 0 };
        let mode = new.st_mode & FILE_BITS | kept;
        return Ok(Some((9, Op::Chmod { path, expected: Fingerprint::of(&old), mode })));
    }
    let mut owner = Owner {
        uid: owner_on_host(&new, meta),
        gid: meta.ids.and_then(|ids| ids.host_gid(new.st_gid, meta.gid)).unwrap_or(meta.gid),
        mode: new.st_mode & FILE_BITS,
    };
    let parent = host.tree.stat(&path.parent().unwrap_or_default())?;
    if let Some(parent) = parent.filter(|p| p.st_mode & SETGID != 0) {
        owner.gid = parent.st_gid;
        owner.mode |= if is_dir { SETGID } else { 0 };
    }
    if is_dir {
        return Ok(Some((2, Op::MakeDir { path, owner })));
    }
    let replaced = old
        .filter(|o| NodeKind::of(o) != NodeKind::Directory && change.kind == ChangeKind::Modified);
    if let Some(old) = &replaced {
        // What belongs to somebody else by now was held, unless the user accepted it as it is.
        if owner.uid == old.st_uid || !rustix::process::geteuid().is_root() {
            owner.uid = old.st_uid;
        }
        owner.gid = old.st_gid;
    }
    let expected = replaced.as_ref().map(Fingerprint::of);
    let rank = rank(&path, &host.git);
    Ok(Some((rank, Op::Put { path, expected, slot: slot(), owner, mtime: mtime(&new) })))
}

/// Whose a node that a task left is on the host.
pub(super) fn owner_on_host(new: &Stat, meta: &SessionMeta) -> u32 {
    match meta.ids {
        Some(ids) => ids.host_uid(new.st_uid, meta.uid).unwrap_or(meta.uid),
        // Without a map nothing made by a pod can stand for anybody but the workspace's owner.
        None if rustix::process::geteuid().is_root() => meta.uid,
        None => new.st_uid,
    }
}

/// Git's objects, then ordinary files, then git's bookkeeping, then references, the index and HEAD.
fn rank(path: &TreePath, git: &GitDirs) -> u8 {
    if !super::hold::is_own_git(path) {
        return 4;
    }
    let rest = git.split(path).map(|(_, rest)| rest);
    match (git.part(path), rest) {
        (GitPart::Object, Some(rest)) if rest.ends_with(".idx") => 4,
        (GitPart::Object, _) => 3,
        (GitPart::State, Some("index")) => 7,
        (GitPart::State, Some("HEAD")) => 8,
        (GitPart::State, _) => 6,
        _ => 5,
    }
}
