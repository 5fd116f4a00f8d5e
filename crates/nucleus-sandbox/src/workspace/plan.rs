//! Which changes go to the user's tree, which wait, and in what order.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Deserialize, Serialize};

use super::change::{Change, ChangeKind, Scan};
use super::error::WorkspaceError;
use super::node::{Fingerprint, NodeKind};
use super::path::TreePath;

mod branch;
mod conflict;
mod hold;
mod order;

pub(crate) use conflict::Host;
pub(crate) use hold::{Holder, is_own_git};
pub(crate) use order::{Op, Owner, arrange};

/// Why a change waits for the user although the host did not change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum HoldReason {
    /// Something executes or trusts the file without being asked to.
    ExecutedOrTrusted,
    /// The path is of the sensitive set.
    Sensitive,
    /// The policy blocks the path.
    Blocked,
    /// The policy lets nothing be written, or committed, without a person.
    NotPermitted,
    /// It is the operator's own policy.
    PolicyFile,
    /// The user asked to review everything.
    Review,
    /// The name is not text.
    NameNotText,
    /// A link that leaves the workspace.
    LinkOutside,
    /// A link behind which trusted files could be reached by another name.
    LinkAlias,
    /// A file of `.git` that git obeys.
    GitTrusted,
    /// HEAD, a reference or the index moved on the host during the task.
    GitMoved,
    /// A git process holds the repository now.
    GitBusy,
    /// The task was stopped within a git operation.
    GitUnfinished,
    /// The task removed or replaced `.git` itself.
    GitReplaced,
    /// The index is of a form that cannot be looked into, so it may hide changes.
    IndexUnread,
    /// The task moved a branch that a worktree has checked out, and left that worktree behind.
    WorktreeBehind,
    /// An object of the repository was written over, or is not what its name says.
    GitObject,
    /// Objects came in packs, which are not looked through.
    GitPacked,
    /// What a name stands for, or what git shows, would change unseen.
    GitNames,
    /// A commit or the index has what would wait as a file.
    GitCommit,
    /// The commits could not be looked through.
    GitUnread,
    /// A repository that the task made, or one within the workspace that it changed.
    NestedRepository,
    /// The place lies on another file system than the workspace.
    OtherFilesystem,
    /// The file belongs to another user than what the task put in its place.
    OwnerLost,
    /// The wall clock was set back during the task, so nothing shows which files the host changed.
    ClockWentBack,
    /// What it lies in, or replaces, waits.
    ParentHeld,
}

impl fmt::Display for HoldReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ExecutedOrTrusted => "something would execute or trust it without being asked",
            Self::Sensitive => "the path is of the sensitive set",
            Self::Blocked => "the policy blocks this path",
            Self::NotPermitted => "the policy does not let the task write or commit this by itself",
            Self::PolicyFile => "it is the policy of this task",
            Self::Review => "review of everything was asked for",
            Self::NameNotText => "its name is not text",
            Self::LinkOutside => "a link that leaves the workspace",
            Self::LinkAlias => "a link that would give files a name that something trusts",
            Self::GitTrusted => "git obeys this file",
            Self::GitMoved => {
                "HEAD, a branch or the index moved here during the task; merge by hand, then reject"
            }
            Self::GitBusy => "a git command holds the repository now; let it end and apply again",
            Self::GitUnfinished => "the task was stopped in the middle of a git command",
            Self::GitReplaced => "the task removed or replaced the repository itself",
            Self::IndexUnread => "its index cannot be read, and may hide changes from git",
            Self::WorktreeBehind => {
                "it moves a branch that a worktree of yours has checked out, and not the worktree"
            }
            Self::GitObject => "an object of the repository is not what its name says",
            Self::GitPacked => "the repository was repacked",
            Self::GitNames => "git would show something else than there is",
            Self::GitCommit => "what waits as a file is in a commit or staged for one",
            Self::GitUnread => "its commits could not be looked through",
            Self::NestedRepository => "a repository that the task made or changed",
            Self::OtherFilesystem => "it lies on another file system than the workspace",
            Self::OwnerLost => "it belongs to another user, and the task put its own file there",
            Self::ClockWentBack => {
                "the clock was set back during the task, so host edits cannot be told"
            }
            Self::ParentHeld => "what it lies in, or replaces, waits",
        })
    }
}

/// How the host changed meanwhile.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ConflictReason {
    /// The host's file was written, replaced or given other attributes.
    EditedOnHost,
    /// A file of that name appeared on the host.
    CreatedOnHost,
    /// The host's file or directory was removed or renamed.
    RemovedOnHost,
    /// A directory on the way is no longer one.
    ParentChanged,
    /// A directory to remove holds something new.
    NotEmpty,
}

impl fmt::Display for ConflictReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::EditedOnHost => "edited here during the task",
            Self::CreatedOnHost => "created here during the task",
            Self::RemovedOnHost => "removed or renamed here during the task",
            Self::ParentChanged => "a directory on the way was replaced here during the task",
            Self::NotEmpty => "the directory holds something new",
        })
    }
}

/// A reason with what it is about.
pub(crate) fn told(reason: &str, detail: Option<&str>) -> String {
    match detail {
        Some(detail) => format!("{reason}: {detail}"),
        None => reason.to_owned(),
    }
}

/// Why a change waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Wait {
    Held(HoldReason),
    Conflict(ConflictReason),
}

/// A change that waits, as kept in the session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Waiting {
    pub(crate) change: Change,
    pub(crate) wait: Wait,
    /// What in particular is the reason, or what it stands for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) detail: Option<String>,
}

impl Waiting {
    pub(crate) fn new(change: Change, wait: Wait) -> Self {
        Self { change, wait, detail: None }
    }
}

/// What is to be done.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    pub(crate) go: Vec<Change>,
    pub(crate) waiting: Vec<Waiting>,
    /// What happened in the repository, when it goes.
    pub(crate) history: Option<String>,
}

/// Paths the user accepted in review, with the host's state as the user saw it.
pub(crate) type Accepted = BTreeMap<TreePath, Option<Fingerprint>>;

/// Judges every change of a scan.
pub(crate) fn judge(
    scan: &Scan,
    holder: &Holder<'_>,
    host: &Host<'_>,
) -> Result<Plan, WorkspaceError> {
    let mut plan = Plan::default();
    let mut git = Vec::new();
    for change in &scan.changes {
        if change.path.names().any(super::overlay::is_own_temporary) {
            continue;
        }
        if hold::is_own_git(&change.path) {
            git.push(change.clone());
            continue;
        }
        let conflict = host.conflict(change)?;
        let wait = match conflict {
            Some(reason) => Some(Wait::Conflict(reason)),
            None => holder.hold(change, host)?.map(Wait::Held),
        };
        plan.put(change.clone(), wait);
    }
    judge_git(git, holder, host, &mut plan)?;
    settle_parents(&mut plan);
    Ok(plan)
}

/// Plans only what the user accepted; a path whose host side changed since the user looked stays in conflict.
pub(crate) fn judge_accepted(
    scan: &Scan,
    accepted: &Accepted,
    host: &Host<'_>,
) -> Result<Plan, WorkspaceError> {
    let mut plan = Plan::default();
    for change in &scan.changes {
        let Some(seen) = accepted.get(&change.path) else {
            // Directories on the way to an accepted path are made.
            let leads = change.node == NodeKind::Directory
                && change.kind == ChangeKind::Created
                && accepted.keys().any(|a| a.is_within(&change.path));
            if leads {
                plan.put(change.clone(), None);
            }
            continue;
        };
        let now = host.fingerprint(&change.path)?;
        let wait = (now != *seen).then_some(Wait::Conflict(ConflictReason::EditedOnHost));
        plan.put(change.clone(), wait);
    }
    keep_git_whole(&mut plan, host)?;
    settle_parents(&mut plan);
    Ok(plan)
}

/// The user accepts `.git` as it was shown; what the host did to it since the task began is not undone by that, and no
/// part of it goes without the others.
fn keep_git_whole(plan: &mut Plan, host: &Host<'_>) -> Result<(), WorkspaceError> {
    let in_unit = |change: &Change| {
        hold::is_own_git(&change.path)
            && host.git.part(&change.path) != super::git::GitPart::Trusted
    };
    let unit: Vec<Change> = plan.go.iter().filter(|c| in_unit(c)).cloned().collect();
    if unit.is_empty() {
        return Ok(());
    }
    let torn = plan.waiting.iter().any(|w| in_unit(&w.change));
    let moved = Wait::Held(HoldReason::GitMoved);
    let wait = if torn { Some(moved) } else { host.git_wait(&unit)? };
    if let Some(wait) = wait {
        let (stay, go) = std::mem::take(&mut plan.go).into_iter().partition(in_unit);
        plan.go = go;
        let stay: Vec<Change> = stay;
        plan.waiting.extend(stay.into_iter().map(|change| Waiting::new(change, wait)));
    }
    Ok(())
}

impl Plan {
    /// Puts the repository, of which one file tells the reason of all.
    fn put_unit(&mut self, unit: Vec<Change>, wait: Option<Wait>, mut detail: Option<String>) {
        let Some(wait) = wait else {
            self.go.extend(unit);
            return;
        };
        for change in unit {
            let tells = change.node != NodeKind::Directory;
            let detail = tells.then(|| detail.take()).flatten();
            self.waiting.push(Waiting { change, wait, detail });
        }
    }

    fn put(&mut self, change: Change, wait: Option<Wait>) {
        match wait {
            Some(wait) => self.waiting.push(Waiting::new(change, wait)),
            None => self.go.push(change),
        }
    }
}

/// `.git` goes as a whole or not at all; only what git obeys is taken out and held by itself.
fn judge_git(
    changes: Vec<Change>,
    holder: &Holder<'_>,
    host: &Host<'_>,
    plan: &mut Plan,
) -> Result<(), WorkspaceError> {
    use super::git::GitPart;
    if let Some(whole) = changes.iter().find(|c| c.path.depth() == 1) {
        let is_new = host.fingerprint(&whole.path)?.is_none();
        let reason = if is_new { HoldReason::NestedRepository } else { HoldReason::GitReplaced };
        for change in changes {
            plan.put(change, Some(Wait::Held(reason)));
        }
        return Ok(());
    }
    let all = changes.clone();
    let mut unit = Vec::new();
    let mut unit_wait = None;
    for change in changes {
        let part = host.git.part(&change.path);
        let is_dir = change.node == NodeKind::Directory;
        match part {
            GitPart::Temporary => {}
            GitPart::Object | GitPart::Data
                if change.kind == ChangeKind::Deleted && host.git.is_object(&change.path) => {}
            GitPart::Trusted if is_dir => {
                // A directory by itself obeys nothing; its files are judged one by one.
                if change.kind != ChangeKind::Deleted {
                    unit.push(change);
                }
            }
            GitPart::Trusted => plan.put(change, Some(Wait::Held(HoldReason::GitTrusted))),
            GitPart::Lock if change.kind != ChangeKind::Deleted => {
                unit_wait.get_or_insert(Wait::Held(HoldReason::GitUnfinished));
            }
            GitPart::Lock => {}
            GitPart::State if !host.is_settled(&change)? => {
                unit_wait = Some(Wait::Held(HoldReason::IndexUnread));
                unit.push(change);
            }
            _ if change.node == NodeKind::Symlink => {
                plan.put(change, Some(Wait::Held(HoldReason::GitTrusted)));
            }
            _ => unit.push(change),
        }
    }
    if unit.iter().all(|c| c.node == NodeKind::Directory) {
        return Ok(());
    }
    if unit_wait.is_none() && host.loses_references(&unit)? {
        unit_wait = Some(Wait::Held(HoldReason::GitReplaced));
    }
    if unit_wait.is_none() && host.leaves_worktree_behind(&unit)? {
        unit_wait = Some(Wait::Held(HoldReason::WorktreeBehind));
    }
    if unit_wait.is_none() {
        unit_wait = host.git_wait(&unit)?;
    }
    let mut detail = None;
    if unit_wait.is_none() {
        let history = super::history::judge(&all, holder, host);
        unit_wait = history.hold.or_else(|| holder.hold_git(&unit, host)).map(Wait::Held);
        detail = history.detail.or_else(|| history.told.clone());
        plan.history = history.told;
    }
    plan.put_unit(unit, unit_wait, detail);
    Ok(())
}

/// A change can only go when the directory it lies in exists or is made, when what it replaces goes away, and a
/// directory only goes away when everything in it does.
fn settle_parents(plan: &mut Plan) {
    loop {
        let mut waiting_dirs: BTreeSet<TreePath> = BTreeSet::new();
        let mut stuck_below: BTreeSet<TreePath> = BTreeSet::new();
        for waiting in &plan.waiting {
            let change = &waiting.change;
            let makes_dir =
                change.node == NodeKind::Directory && change.kind == ChangeKind::Created;
            let keeps_file =
                change.node != NodeKind::Directory && change.kind == ChangeKind::Deleted;
            if makes_dir || keeps_file {
                waiting_dirs.insert(change.path.clone());
            }
            if change.kind == ChangeKind::Deleted {
                stuck_below.extend(ancestors(&change.path));
                stuck_below.insert(change.path.clone());
            }
        }
        let stuck = |change: &Change| {
            let blocked = ancestors(&change.path).any(|a| waiting_dirs.contains(&a));
            let cannot_go =
                change.kind == ChangeKind::Deleted && change.node == NodeKind::Directory;
            let replaces = change.kind == ChangeKind::Created;
            blocked || ((cannot_go || replaces) && stuck_below.contains(&change.path))
        };
        let (stay, go): (Vec<Change>, Vec<Change>) =
            std::mem::take(&mut plan.go).into_iter().partition(stuck);
        plan.go = go;
        if stay.is_empty() {
            break;
        }
        let held = Wait::Held(HoldReason::ParentHeld);
        plan.waiting.extend(stay.into_iter().map(|change| Waiting::new(change, held)));
    }
    drop_empty_parents(plan);
}

/// New directories whose whole content waits are made when the content is accepted, not before.
fn drop_empty_parents(plan: &mut Plan) {
    let mut with_waiting: BTreeSet<TreePath> = BTreeSet::new();
    for waiting in plan.waiting.iter().filter(|w| w.change.kind != ChangeKind::Deleted) {
        with_waiting.extend(ancestors(&waiting.change.path));
    }
    let mut with_going: BTreeSet<TreePath> = BTreeSet::new();
    let goes = |c: &&Change| c.node != NodeKind::Directory && c.kind != ChangeKind::Deleted;
    for change in plan.go.iter().filter(goes) {
        with_going.extend(ancestors(&change.path));
    }
    plan.go.retain(|change| {
        let new_dir = change.node == NodeKind::Directory && change.kind == ChangeKind::Created;
        !new_dir || with_going.contains(&change.path) || !with_waiting.contains(&change.path)
    });
}

/// The directories above a path, nearest first, without the workspace itself.
pub(crate) fn ancestors(path: &TreePath) -> impl Iterator<Item = TreePath> + use<> {
    std::iter::successors(path.parent(), TreePath::parent).take_while(|p| !p.is_root())
}
