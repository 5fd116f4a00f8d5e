//! What the host did meanwhile.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fs;
use std::path::Path;

use super::order::owner_on_host;
use super::{ConflictReason, HoldReason, Wait};
use crate::workspace::baseline::Baseline;
use crate::workspace::change::{Change, ChangeKind};
use crate::workspace::copy::{self, Pair};
use crate::workspace::error::{At as _, Doing, WorkspaceError};
use crate::workspace::git::{self, GitDirs, GitPart};
use crate::workspace::mask;
use crate::workspace::node::{Fingerprint, NodeKind, ctime};
use crate::workspace::overlay::was_copied_up;
use crate::workspace::path::TreePath;
use crate::workspace::session::{Mode, Session, SessionMeta};
use crate::workspace::tree::Tree;

/// Both trees, held, and what is known of the start.
pub(crate) struct Host<'a> {
    pub(crate) tree: Tree,
    pub(crate) result: Tree,
    pub(super) path: &'a Path,
    baseline: &'a Baseline,
    dev: u64,
    /// Where git keeps its data.
    pub(crate) git: GitDirs,
    /// What the repository's configuration has git run.
    obeyed: Vec<TreePath>,
    meta: &'a SessionMeta,
    /// State of each path at the start, in copy mode.
    manifest: Option<BTreeMap<TreePath, Pair>>,
    /// Names that existed at the start, when a walk recorded them.
    names: Option<BTreeSet<TreePath>>,
}

impl<'a> Host<'a> {
    pub(crate) fn open(session: &'a Session) -> Result<Self, WorkspaceError> {
        let meta = session.meta();
        let result = session.result_dir();
        let manifest = match meta.mode {
            Mode::Overlay => None,
            Mode::Copy => Some(copy::manifest(session)?),
        };
        let tree = Tree::open(&meta.workspace).at(Doing::Read, &meta.workspace)?;
        Ok(Self {
            git: GitDirs::of(&tree).at(Doing::Read, &meta.workspace)?,
            obeyed: git::obeyed_in(&tree, &meta.workspace).at(Doing::Read, &meta.workspace)?,
            tree,
            result: Tree::open(&result).at(Doing::Read, &result)?,
            path: &meta.workspace,
            meta,
            baseline: &meta.baseline,
            dev: meta.dev,
            manifest,
            names: fs::read(mask::names_file(session.dir()))
                .ok()
                .map(|bytes| mask::read_names(&bytes)),
        })
    }

    /// Where the user's tree lies.
    pub(crate) fn root(&self) -> &Path {
        self.path
    }

    /// The host's state of a path now.
    pub(crate) fn fingerprint(
        &self,
        path: &TreePath,
    ) -> Result<Option<Fingerprint>, WorkspaceError> {
        let stat = self.tree.stat(path).at(Doing::Read, &self.path.join(path.as_path()))?;
        Ok(stat.as_ref().map(Fingerprint::of))
    }

    /// Target of a link the task left.
    pub(crate) fn result_link(&self, path: &TreePath) -> Result<OsString, WorkspaceError> {
        self.result.link(path).at(Doing::Read, &self.path.join(path.as_path()))
    }

    /// Whether git runs or reads a file because the repository's configuration, which no task can change, names it or
    /// a directory above it.
    pub(super) fn is_obeyed(&self, path: &TreePath) -> bool {
        self.obeyed.iter().any(|named| path.is_within(named))
    }

    /// Whether a directory holds what makes it a repository to git, here or as the task left it.
    pub(super) fn has_head(&self, dir: &TreePath) -> Result<bool, WorkspaceError> {
        let head = dir.child("HEAD".as_ref());
        let at = self.path.join(head.as_path());
        for tree in [&self.tree, &self.result] {
            let stat = tree.stat(&head).at(Doing::Read, &at)?;
            if stat.is_some_and(|s| NodeKind::of(&s) != NodeKind::Directory) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// How the host changed under a change of the task.
    pub(crate) fn conflict(
        &self,
        change: &Change,
    ) -> Result<Option<ConflictReason>, WorkspaceError> {
        let path = &change.path;
        let stat = self.tree.stat(path).at(Doing::Read, &self.path.join(path.as_path()))?;
        let Some(stat) = stat else {
            return match change.kind {
                ChangeKind::Deleted => Ok(None),
                ChangeKind::Created => self.was_removed(path),
                _ => Ok(Some(ConflictReason::RemovedOnHost)),
            };
        };
        let is_dir = NodeKind::of(&stat) == NodeKind::Directory;
        if is_dir && change.kind != ChangeKind::Mode {
            // A directory's stamps move with its entries, which are judged one by one.
            return Ok(None);
        }
        let now = Fingerprint::of(&stat);
        let changed = match &self.manifest {
            Some(manifest) => manifest.get(path).is_none_or(|was| was.host != now),
            None => self.baseline.is_since(ctime(&stat)),
        };
        let reason = match change.kind {
            // A node made over one that is deleted in the same breath; the deletion carries the conflict.
            ChangeKind::Created if !changed => None,
            ChangeKind::Created => Some(ConflictReason::CreatedOnHost),
            _ if changed && self.names.as_ref().is_some_and(|names| !names.contains(path)) => {
                Some(ConflictReason::CreatedOnHost)
            }
            _ => changed.then_some(ConflictReason::EditedOnHost),
        };
        Ok(reason)
    }

    /// Whether a path that the host lacks existed when the task began.
    fn was_removed(&self, path: &TreePath) -> Result<Option<ConflictReason>, WorkspaceError> {
        let removed = Some(ConflictReason::RemovedOnHost);
        if let Some(manifest) = &self.manifest {
            return Ok(removed.filter(|_| manifest.contains_key(path)));
        }
        // The nearest directory that the host has: if nothing changed in it, nothing was removed from it.
        let mut missing = path.clone();
        let mut copied_up = false;
        loop {
            copied_up |= was_copied_up(&self.result, &missing)
                .at(Doing::Read, &self.path.join(missing.as_path()))?;
            let parent = missing.parent().unwrap_or_default();
            let at = self.path.join(parent.as_path());
            let Some(stat) = self.tree.stat(&parent).at(Doing::Read, &at)? else {
                missing = parent;
                continue;
            };
            if NodeKind::of(&stat) != NodeKind::Directory {
                return Ok(Some(ConflictReason::ParentChanged)
                    .filter(|_| self.baseline.is_since(ctime(&stat))));
            }
            if !self.baseline.is_since(ctime(&stat)) {
                return Ok(None);
            }
            break;
        }
        if copied_up {
            return Ok(removed);
        }
        // Without a record of the names, a changed directory means that the file may have been there.
        let was_there = self.names.as_ref().is_none_or(|names| names.contains(path));
        Ok(removed.filter(|_| was_there))
    }

    /// Reasons that lie in where and whose the host's node is.
    pub(super) fn place(&self, change: &Change) -> Result<Option<HoldReason>, WorkspaceError> {
        let at = self.path.join(change.path.as_path());
        let parent = change.path.parent().unwrap_or_default();
        if self.tree.stat(&parent).at(Doing::Read, &at)?.is_some_and(|s| s.st_dev != self.dev) {
            return Ok(Some(HoldReason::OtherFilesystem));
        }
        let Some(stat) = self.tree.stat(&change.path).at(Doing::Read, &at)? else {
            return Ok(None);
        };
        if stat.st_dev != self.dev {
            return Ok(Some(HoldReason::OtherFilesystem));
        }
        let replaces = matches!(change.kind, ChangeKind::Modified | ChangeKind::Mode)
            && change.node != NodeKind::Directory;
        if !replaces {
            return Ok(None);
        }
        let me = rustix::process::geteuid();
        let owner = if me.is_root() {
            // The task's file stands in the other's place with bits of the task's choice: it is the other's no more.
            let new = self.result.stat(&change.path).at(Doing::Read, &at)?;
            new.map(|new| owner_on_host(&new, self.meta))
        } else {
            (change.kind == ChangeKind::Modified).then_some(me.as_raw())
        };
        let lost = owner.is_some_and(|owner| owner != stat.st_uid);
        Ok(lost.then_some(HoldReason::OwnerLost))
    }

    /// Whether nothing of an index of the task's hides what it did.
    pub(super) fn is_settled(&self, change: &Change) -> Result<bool, WorkspaceError> {
        git::is_settled(&self.tree, &self.result, &self.git, change)
            .at(Doing::Read, &self.path.join(change.path.as_path()))
    }

    /// Why the `.git` unit as a whole waits.
    pub(super) fn git_wait(&self, unit: &[Change]) -> Result<Option<Wait>, WorkspaceError> {
        let at = self.path.join(".git");
        if git::host_busy(&self.tree).at(Doing::Read, &at)? {
            return Ok(Some(Wait::Held(HoldReason::GitBusy)));
        }
        if git::digest(&self.tree).at(Doing::Read, &at)? != self.baseline.git {
            return Ok(Some(Wait::Held(HoldReason::GitMoved)));
        }
        for change in unit {
            let part = self.git.part(&change.path);
            // The index and references were compared by content; objects are named by theirs.
            let compared = matches!(part, GitPart::State | GitPart::Object);
            if compared || change.node == NodeKind::Directory {
                continue;
            }
            let conflict = match self.conflict(change)? {
                // Without a record of names, a file git writes on every commit must not hold the commit back.
                Some(ConflictReason::RemovedOnHost) if self.names.is_none() => None,
                other => other,
            };
            if conflict.is_some() {
                return Ok(Some(Wait::Held(HoldReason::GitMoved)));
            }
        }
        Ok(None)
    }
}
