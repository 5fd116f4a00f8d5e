//! The judgement that needs no look at what the host did.

use std::ffi::OsStr;
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
        let target = match (change.node, change.kind) {
            (NodeKind::Symlink, kind) if kind != ChangeKind::Deleted => {
                Some(host.result_link(&change.path)?)
            }
            _ => None,
        };
        if let Some(reason) = self.content(change, target.as_deref(), host)? {
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

    /// The judgement of what is at a path, wherever it is kept: in the tree or in a commit. `target` is that of a link.
    pub(crate) fn content(
        &self,
        change: &Change,
        target: Option<&OsStr>,
        host: &Host<'_>,
    ) -> Result<Option<HoldReason>, WorkspaceError> {
        let path = &change.path;
        let Some(text) = path.as_str() else { return Ok(Some(HoldReason::NameNotText)) };
        if git::unit_of(path).is_some() || is_of_bare_repository(change, host)? {
            return Ok(Some(HoldReason::NestedRepository));
        }
        if change.node != NodeKind::Directory && host.is_obeyed(path) {
            return Ok(Some(HoldReason::GitTrusted));
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
        match target {
            Some(target) => Ok(self.link(path, text, target)),
            None => Ok(None),
        }
    }

    /// A link that leaves the workspace, or that stands for something else under a hidden name or one beneath which
    /// something is executed: `.github` or `gradle` linked to a plain directory would give its files names nobody judged.
    fn link(&self, path: &TreePath, text: &str, target: &OsStr) -> Option<HoldReason> {
        if leaves(path, Path::new(target)) {
            return Some(HoldReason::LinkOutside);
        }
        let hidden = path.name().is_some_and(|n| n.as_encoded_bytes().starts_with(b"."));
        let bin = path.parent().and_then(|p| p.name().map(|n| n == ".bin")).unwrap_or(false);
        if hidden && !bin {
            return Some(HoldReason::LinkAlias);
        }
        (self.rule)(&format!("{text}/"))
    }

    /// Why the whole of `.git` would wait: for what moved in it, or for no fault of its own.
    /// A reference of a submodule or worktree is one like those of the repository itself.
    pub(crate) fn hold_git(&self, unit: &[Change], host: &Host<'_>) -> Option<HoldReason> {
        if self.clock_went_back {
            return Some(HoldReason::ClockWentBack);
        }
        let moved = unit.iter().filter(|change| change.node != NodeKind::Directory);
        let places = moved.filter_map(|change| host.git.split(&change.path));
        let ruled = places.map(|(_, rest)| format!(".git/{rest}")).find_map(|at| (self.rule)(&at));
        ruled.or(self.review.then_some(HoldReason::Review))
    }
}

/// A directory that stays one.
fn is_plain_dir(change: &Change) -> bool {
    change.node == NodeKind::Directory && change.kind != ChangeKind::Deleted
}

/// Whether a path belongs to the workspace's own `.git`.
pub(crate) fn is_own_git(path: &TreePath) -> bool {
    git::unit_of(path).is_some_and(|(unit, exact)| exact && unit.depth() == 1)
}

/// Whether a change makes a directory a repository although none of its names is `.git`, or is what git obeys in one:
/// git takes any directory with a `HEAD`, objects and references for a repository and runs what its configuration
/// says. Without `HEAD` there is none, so that name is enough.
fn is_of_bare_repository(change: &Change, host: &Host<'_>) -> Result<bool, WorkspaceError> {
    if change.node == NodeKind::Directory || change.kind == ChangeKind::Deleted {
        return Ok(false);
    }
    let path = &change.path;
    if path.name().is_some_and(git::is_head) {
        return Ok(true);
    }
    let mut dir = TreePath::root();
    for name in path.names() {
        if git::is_obeyed(name) && host.has_head(&dir)? {
            return Ok(true);
        }
        dir = dir.child(name);
    }
    Ok(false)
}

/// Whether a target goes above the workspace, or may: what it names first can be a link itself, so the parent of that
/// can be anywhere.
fn leaves(path: &TreePath, target: &Path) -> bool {
    use std::path::Component;
    let mut depth = path.depth().saturating_sub(1);
    let mut named = false;
    for component in target.components() {
        match component {
            Component::RootDir | Component::Prefix(_) => return true,
            Component::ParentDir => match depth.checked_sub(1) {
                Some(up) if !named => depth = up,
                _ => return true,
            },
            Component::Normal(_) => named = true,
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
        assert!(at("a", "b/.."), "b may be a link to anywhere below");
        assert!(at("d/a", "../b/../c"));
        assert!(!at("d/a", "../b"));
        assert!(!at("d/e/a", "../../b/c"));
        assert!(!at("node_modules/.bin/tsc", "../typescript/bin/tsc"));
    }
}
