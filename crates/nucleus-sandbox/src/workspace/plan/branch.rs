//! What a task did to references: those that would be lost, and branches that were moved under a worktree.

use std::io;

use super::conflict::Host;
use crate::workspace::change::{Change, ChangeKind};
use crate::workspace::error::{At as _, Doing, WorkspaceError};
use crate::workspace::git::{self, in_dir};
use crate::workspace::node::NodeKind;
use crate::workspace::path::TreePath;

impl Host<'_> {
    /// Whether a task took away HEAD or a reference that the host has: what they named would be lost to its user. A
    /// reference that moved to the packed ones is still there.
    pub(super) fn loses_references(&self, unit: &[Change]) -> Result<bool, WorkspaceError> {
        let gone =
            unit.iter().filter(|c| c.kind == ChangeKind::Deleted && c.node != NodeKind::Directory);
        for change in gone {
            let Some((dir, rest)) = self.git.split(&change.path) else { continue };
            if matches!(rest, "HEAD" | "packed-refs") {
                return Ok(true);
            }
            let at = self.path.join(change.path.as_path());
            if rest.starts_with("refs/")
                && self.packed_value(dir, rest).at(Doing::Read, &at)?.is_none()
            {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Whether a task moved a branch that a worktree has checked out without touching that worktree: its files and its
    /// index would show what was there before as if the user had put it back, and the next commit would do so.
    pub(super) fn leaves_worktree_behind(&self, unit: &[Change]) -> Result<bool, WorkspaceError> {
        for worktree in self.git.worktrees() {
            if unit.iter().any(|c| c.path.is_within(worktree)) {
                continue;
            }
            let Some(common) = worktree.parent().and_then(|p| p.parent()) else { continue };
            let at = self.path.join(worktree.as_path());
            if self.moves_head(worktree, &common, unit).at(Doing::Read, &at)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn moves_head(
        &self,
        worktree: &TreePath,
        common: &TreePath,
        unit: &[Change],
    ) -> io::Result<bool> {
        let head = git::text(&self.tree, &in_dir(worktree, "HEAD"))?.unwrap_or_default();
        // A detached HEAD names no branch.
        let Some(branch) = head.trim_end().strip_prefix("ref: ") else { return Ok(false) };
        let path = in_dir(common, branch);
        let loose = |tree| git::text(tree, &path).map(|text| text.map(|t| t.trim_end().to_owned()));
        let was = match loose(&self.tree)? {
            Some(value) => Some(value),
            None => value(git::packed(&self.tree, common)?.as_deref(), branch),
        };
        let now = match unit.iter().find(|c| c.path == path).map(|c| c.kind) {
            Some(ChangeKind::Created | ChangeKind::Modified) => loose(&self.result)?,
            Some(ChangeKind::Deleted) => self.packed_value(common, branch)?,
            // Not touched: a loose reference holds over a packed one.
            _ => match loose(&self.tree)? {
                Some(value) => Some(value),
                None => self.packed_value(common, branch)?,
            },
        };
        Ok(was != now)
    }

    /// The packed value of a reference as the task left it.
    fn packed_value(&self, dir: &TreePath, name: &str) -> io::Result<Option<String>> {
        let packed = match git::packed(&self.result, dir)? {
            Some(packed) => Some(packed),
            None => git::packed(&self.tree, dir)?,
        };
        Ok(value(packed.as_deref(), name))
    }
}

/// The value of a reference among packed ones.
fn value(packed: Option<&str>, name: &str) -> Option<String> {
    let mut lines = packed?.lines().filter_map(|line| line.split_once(' '));
    lines.find(|(_, found)| *found == name).map(|(value, _)| value.to_owned())
}
