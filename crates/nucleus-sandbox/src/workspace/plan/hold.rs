//! The judgement that needs no look at what the host did.

use std::path::Path;

use super::HoldReason;
use super::conflict::Host;
use crate::workspace::change::{Change, ChangeKind};
use crate::workspace::error::WorkspaceError;
use crate::workspace::git;
use crate::workspace::node::NodeKind;
use crate::workspace::path::TreePath;

/// What decides that an unconflicted change waits.
pub(crate) struct Holder<'a> {
    /// The policy's judgement.
    pub(crate) rule: &'a dyn Fn(&str) -> Option<HoldReason>,
    /// The operator's policy file, when it lies in the workspace.
    pub(crate) policy_file: Option<TreePath>,
    /// Everything waits.
    pub(crate) review: bool,
    /// Nothing shows what the host changed.
    pub(crate) clock_went_back: bool,
}

impl Holder<'_> {
    pub(crate) fn hold(
        &self,
        change: &Change,
        host: &Host<'_>,
    ) -> Result<Option<HoldReason>, WorkspaceError> {
        let path = &change.path;
        let Some(text) = path.as_str() else { return Ok(Some(HoldReason::NameNotText)) };
        if git::unit_of(path).is_some() {
            return Ok(Some(HoldReason::NestedRepository));
        }
        if self.policy_file.as_ref().is_some_and(|p| p == path || p.is_within(path))
            && !is_plain_dir(change)
        {
            return Ok(Some(HoldReason::PolicyFile));
        }
        if change.node != NodeKind::Directory
            && let Some(reason) = (self.rule)(text)
        {
            return Ok(Some(reason));
        }
        if change.node == NodeKind::Symlink
            && change.kind != ChangeKind::Deleted
            && let Some(reason) = link(path, host)?
        {
            return Ok(Some(reason));
        }
        if self.clock_went_back && change.kind != ChangeKind::Created {
            return Ok(Some(HoldReason::ClockWentBack));
        }
        if let Some(reason) = host.place(change)? {
            return Ok(Some(reason));
        }
        Ok(self.review.then_some(HoldReason::Review))
    }

    /// Why the whole of `.git` would wait.
    pub(crate) fn hold_git(&self) -> Option<HoldReason> {
        if self.clock_went_back {
            return Some(HoldReason::ClockWentBack);
        }
        self.review.then_some(HoldReason::Review)
    }
}

/// A directory that stays one.
fn is_plain_dir(change: &Change) -> bool {
    change.node == NodeKind::Directory && change.kind != ChangeKind::Deleted
}

/// Whether a path belongs to the workspace's own `.git`.
pub(super) fn is_own_git(path: &TreePath) -> bool {
    git::unit_of(path).is_some_and(|(unit, exact)| exact && unit.depth() == 1)
}

/// A link that leaves the workspace, or that stands under a hidden name for something else: `.github` linked to a
/// plain directory would give its files a name nobody judged.
fn link(path: &TreePath, host: &Host<'_>) -> Result<Option<HoldReason>, WorkspaceError> {
    let target = host.result_link(path)?;
    if leaves(path, Path::new(&target)) {
        return Ok(Some(HoldReason::LinkOutside));
    }
    let hidden = path.name().is_some_and(|n| n.as_encoded_bytes().starts_with(b"."));
    let bin = path.parent().and_then(|p| p.name().map(|n| n == ".bin")).unwrap_or(false);
    Ok((hidden && !bin).then_some(HoldReason::LinkAlias))
}

/// Whether a target, taken by its names, goes above the workspace.
fn leaves(path: &TreePath, target: &Path) -> bool {
    use std::path::Component;
    let mut depth = path.depth().saturating_sub(1);
    for component in target.components() {
        match component {
            Component::RootDir | Component::Prefix(_) => return true,
            Component::ParentDir => match depth.checked_sub(1) {
                Some(up) => depth = up,
                None => return true,
            },
            Component::Normal(_) => depth = depth.saturating_add(1),
            Component::CurDir => {}
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_that_leave() {
        let at = |p: &str, t: &str| leaves(&TreePath::parse(p.as_bytes()).unwrap(), Path::new(t));
        assert!(at("a", "/etc/passwd"));
        assert!(at("a", ".."));
        assert!(at("d/a", "../../x"));
        assert!(at("d/a", "../b/../../x"));
        assert!(!at("d/a", "../b"));
        assert!(!at("node_modules/.bin/tsc", "../typescript/bin/tsc"));
    }
}
