//! What waits for the user, and the user's word on it.

use std::collections::BTreeSet;
use std::io;
use std::path::PathBuf;

use nucleus_wire::changeset;
use serde::{Deserialize, Serialize};

use super::apply::{ApplyReport, apply_accepted};
use super::change::{self, ChangeKind};
use super::error::{At as _, Doing, WorkspaceError};
use super::node::{Fingerprint, NodeKind};
use super::path::TreePath;
use super::plan::{Accepted, HoldReason, Wait, Waiting};
use super::recover::recover;
use super::removal::remove_tree;
use super::session::{Lock, Session, Status, read_json, write_json};
use super::tree::Tree;

mod diff;

pub use diff::{Diff, diff, diff_change};

/// `held.json`.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Held {
    version: u32,
    waiting: Vec<Waiting>,
    rejected: BTreeSet<TreePath>,
}

/// Version of `held.json`.
const FORMAT: u32 = 1;

/// One thing to decide on: a path, or the repository as a whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReviewItem {
    /// Where; `.git` for the repository.
    pub path: TreePath,
    /// How it changed.
    pub kind: ChangeKind,
    /// Why it waits, for the user.
    pub reason: String,
    /// Whether the host changed too.
    pub conflict: bool,
    /// Whether it can be accepted, and if not, why not.
    pub refusal: Option<HoldReason>,
    /// The changes it stands for, with the host's state of each as it is now.
    parts: Vec<(TreePath, Option<Fingerprint>)>,
}

impl ReviewItem {
    /// How many changed files it stands for.
    #[must_use]
    pub fn files(&self) -> usize {
        self.parts.len()
    }
}

/// Lists what waits. Paths that meanwhile equal the host's are left out.
///
/// # Errors
/// `WorkspaceGone`, `Io`.
pub fn items(session: &Session) -> Result<Vec<ReviewItem>, WorkspaceError> {
    let held = load(session)?;
    if held.waiting.is_empty() {
        return Ok(Vec::new());
    }
    let current: BTreeSet<_> = change::scan(session)?
        .changes
        .into_iter()
        .map(|c| (c.path, c.kind == ChangeKind::Deleted))
        .collect();
    let workspace = &session.meta().workspace;
    let tree = Tree::open(workspace).at(Doing::Read, workspace)?;
    // A new directory is shown by what is in it.
    let filled: BTreeSet<TreePath> =
        held.waiting.iter().flat_map(|w| super::plan::ancestors(&w.change.path)).collect();
    let mut items: Vec<ReviewItem> = Vec::new();
    for Waiting { change, wait, detail } in held.waiting {
        if change.node == NodeKind::Directory
            && change.kind == ChangeKind::Created
            && filled.contains(&change.path)
        {
            continue;
        }
        let gone = !current.contains(&(change.path.clone(), change.kind == ChangeKind::Deleted));
        if gone || held.rejected.contains(&change.path) {
            continue;
        }
        let stat =
            tree.stat(&change.path).at(Doing::Read, &workspace.join(change.path.as_path()))?;
        let part = (change.path.clone(), stat.as_ref().map(Fingerprint::of));
        let unit = git_unit(&change.path, wait);
        let path = unit.clone().unwrap_or_else(|| change.path.clone());
        if unit.is_some()
            && let Some(item) = items.iter_mut().find(|i| i.path == path)
        {
            item.parts.push(part);
            continue;
        }
        let (reason, conflict, refusal) = match wait {
            Wait::Held(reason) => {
                let text = super::plan::told(&reason.to_string(), detail.as_deref());
                (text, false, refusal(reason))
            }
            Wait::Conflict(reason) => (reason.to_string(), true, None),
        };
        let kind = if unit.is_some() { ChangeKind::Modified } else { change.kind };
        items.push(ReviewItem { path, kind, reason, conflict, refusal, parts: vec![part] });
    }
    Ok(items)
}

/// Changes of `.git` that wait together.
pub(crate) fn git_unit(path: &TreePath, wait: Wait) -> Option<TreePath> {
    let (unit, _) = super::git::unit_of(path)?;
    let alone = matches!(wait, Wait::Held(HoldReason::GitTrusted) | Wait::Conflict(_));
    (!alone).then_some(unit)
}

/// What even the user's word does not carry over, because it would undo the host's work as a whole.
fn refusal(reason: HoldReason) -> Option<HoldReason> {
    match reason {
        HoldReason::GitMoved
        | HoldReason::GitUnfinished
        | HoldReason::GitBusy
        | HoldReason::GitReplaced
        | HoldReason::GitObject
        | HoldReason::OtherFilesystem => Some(reason),
        _ => None,
    }
}

/// Carries over what the user accepted. An item whose host side changed since it was listed stays, as a conflict.
///
/// # Errors
/// `NotAcceptable` before anything is done; otherwise as [`super::apply`].
pub fn accept(
    session: &mut Session,
    lock: &Lock,
    items: &[ReviewItem],
) -> Result<ApplyReport, WorkspaceError> {
    require_open(session)?;
    if let Some((item, why)) = items.iter().find_map(|i| i.refusal.map(|why| (i, why))) {
        return Err(WorkspaceError::NotAcceptable { path: item.path.to_string(), why });
    }
    recover(session, lock)?;
    let accepted: Accepted = items.iter().flat_map(|i| i.parts.iter().cloned()).collect();
    let report = apply_accepted(session, lock, &accepted)?;
    let mut held = load(session)?;
    let failed: BTreeSet<&TreePath> = report
        .held
        .iter()
        .map(|h| &h.path)
        .chain(report.conflicts.iter().map(|c| &c.path))
        .collect();
    held.waiting
        .retain(|w| !accepted.contains_key(&w.change.path) || failed.contains(&w.change.path));
    // Directories made on the way wait no longer.
    let current: BTreeSet<TreePath> =
        change::scan(session)?.changes.into_iter().map(|c| c.path).collect();
    held.waiting.retain(|w| current.contains(&w.change.path));
    save(session, &held)?;
    settle(session, lock)?;
    Ok(report)
}

/// Drops what the user does not want. The workspace is not touched.
///
/// # Errors
/// `Io`.
pub fn reject(
    session: &mut Session,
    lock: &Lock,
    items: &[ReviewItem],
) -> Result<(), WorkspaceError> {
    require_open(session)?;
    recover(session, lock)?;
    let mut held = load(session)?;
    for item in items {
        held.rejected.extend(item.parts.iter().map(|(path, _)| path.clone()));
    }
    held.waiting.retain(|w| !held.rejected.contains(&w.change.path));
    let filled: BTreeSet<TreePath> =
        held.waiting.iter().flat_map(|w| super::plan::ancestors(&w.change.path)).collect();
    let rejected_in: BTreeSet<TreePath> =
        held.rejected.iter().flat_map(super::plan::ancestors).collect();
    held.waiting.retain(|w| {
        let only_way = w.change.node == NodeKind::Directory && w.change.kind == ChangeKind::Created;
        !only_way || filled.contains(&w.change.path) || !rejected_in.contains(&w.change.path)
    });
    save(session, &held)?;
    settle(session, lock)
}

/// Throws a session's changes away. The workspace is not touched; an apply that was under way is finished or undone
/// first. The log stays.
///
/// # Errors
/// `Over`, `Io`.
pub fn discard(session: &mut Session, lock: &Lock) -> Result<(), WorkspaceError> {
    require_open(session)?;
    match recover(session, lock) {
        // The workspace is gone, and with it whatever was to be recovered in it.
        Err(WorkspaceError::WorkspaceGone { .. }) => {}
        other => {
            other?;
        }
    }
    session.set_status(lock, Status::Discarded)?;
    // What is thrown away is not shown later either.
    let record = session.dir().join(changeset::FILE);
    remove_tree(&record).at(Doing::Remove, &record)?;
    clear(session)
}

fn require_open(session: &Session) -> Result<(), WorkspaceError> {
    let status = session.status();
    if status.is_settled() {
        return Err(WorkspaceError::Over { id: session.id().to_owned(), status });
    }
    Ok(())
}

fn file(session: &Session) -> PathBuf {
    session.dir().join("held.json")
}

fn load(session: &Session) -> Result<Held, WorkspaceError> {
    let path = file(session);
    match read_json::<Held>(&path) {
        Ok(held) if held.version == FORMAT => Ok(held),
        Ok(held) => Err(WorkspaceError::Version { path, found: held.version, known: FORMAT }),
        Err(WorkspaceError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
            Ok(Held { version: FORMAT, ..Held::default() })
        }
        Err(error) => Err(error),
    }
}

fn save(session: &Session, held: &Held) -> Result<(), WorkspaceError> {
    write_json(&file(session), held)
}

/// Paths the user rejected: an apply passes them over.
pub(crate) fn rejected(session: &Session) -> Result<BTreeSet<TreePath>, WorkspaceError> {
    Ok(load(session)?.rejected)
}

/// Records what waits after an apply (`whole`), or what an accept met.
pub(crate) fn store(
    session: &mut Session,
    lock: &Lock,
    waiting: &[Waiting],
    whole: bool,
) -> Result<(), WorkspaceError> {
    let mut held = load(session)?;
    if whole {
        held.waiting = waiting.to_vec();
    } else {
        for new in waiting {
            match held
                .waiting
                .iter_mut()
                .find(|w| w.change.path == new.change.path && w.change.kind == new.change.kind)
            {
                Some(old) => old.clone_from(new),
                None => held.waiting.push(new.clone()),
            }
        }
    }
    save(session, &held)?;
    if whole { session.set_status(lock, Status::Held) } else { Ok(()) }
}

/// Ends the session when nothing waits any more.
pub(crate) fn settle(session: &mut Session, lock: &Lock) -> Result<(), WorkspaceError> {
    if session.status() == Status::Held && load(session)?.waiting.is_empty() {
        session.set_status(lock, Status::Applied)?;
        clear(session)?;
    }
    Ok(())
}

/// What the pods of a session had, and what only its review needs.
const NOT_KEPT: [&str; 13] = [
    "agent",
    "agent-tmp",
    "approvals",
    "copy",
    "copy.json",
    "held.json",
    "home",
    "masks",
    "names",
    "overlay",
    "stand-in",
    "tmp",
    "worktree",
];

/// Removes what a settled session no longer needs; the log, the metadata and the way back stay.
fn clear(session: &Session) -> Result<(), WorkspaceError> {
    for name in NOT_KEPT {
        let path = session.dir().join(name);
        remove_tree(&path).at(Doing::Remove, &path)?;
    }
    Ok(())
}

/// What kind of node an item is on the task's side, for callers that show it.
pub(crate) fn node(tree: &Tree, path: &TreePath) -> io::Result<Option<NodeKind>> {
    Ok(tree.stat(path)?.as_ref().map(NodeKind::of))
}
