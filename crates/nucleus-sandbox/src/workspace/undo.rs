//! Taking back what was applied: before-images kept by an apply, and the way back behind the same journal.
//!
//! Each apply (and each accept) leaves one *layer*: the steps that undo it, with the state in which it left every path,
//! and the files it replaced or removed, named by slot. A path that the host changed since is left as it is.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::apply::{Probe, carry};
use super::change::ChangeKind;
use super::error::{At as _, Doing, WorkspaceError};
use super::git::{self, GitDirs, GitPart};
use super::journal::PlanRecord;
use super::node::Fingerprint;
use super::path::TreePath;
use super::plan::{ConflictReason, Op, is_own_git};
use super::recover::recover;
use super::removal;
use super::session::{Lock, Session, Status, read_json, write_json};
use super::tree::Tree;

mod keep;

pub(crate) use keep::keep;

/// Version of a layer's file.
const FORMAT: u32 = 1;

/// The way back from one apply.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Layer {
    version: u32,
    /// Why it cannot be gone, when the images were not kept.
    lost: Option<String>,
    /// State of the repository right after the apply.
    git: Option<String>,
    /// Steps back, in order.
    ops: Vec<Op>,
    /// State of each image when it was kept.
    images: BTreeMap<u32, Fingerprint>,
}

/// A path that was not taken back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Left {
    /// Where.
    pub path: TreePath,
    /// Why not.
    pub reason: LeftReason,
}

/// Why a path was not taken back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum LeftReason {
    /// Changed, replaced or removed here since.
    Changed,
    /// A directory holds something that came later.
    NotEmpty,
    /// A commit, a checkout or another git command came later.
    Git,
    /// The kept image is not what was kept.
    ImageChanged,
}

impl std::fmt::Display for LeftReason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Changed => "changed here since it was applied",
            Self::NotEmpty => "the directory holds something that came later",
            Self::Git => "the repository moved on since",
            Self::ImageChanged => "the kept version was changed since",
        })
    }
}

/// What an undo did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UndoReport {
    /// Taken back: how each path changed by it.
    pub undone: Vec<(TreePath, ChangeKind)>,
    /// Left as they are.
    pub left: Vec<Left>,
    /// An earlier undo that had died was finished first.
    pub finished_earlier: bool,
}

/// Takes back everything that was applied of a session, the latest first. What waits for review goes on waiting.
///
/// # Errors
/// `NothingApplied`, `NotKept`, `UndoFailed`, `WorkspaceGone`, `NoSpace`, `Io`. A process that dies in between leaves a
/// journal, with which the next command goes on.
pub fn undo(session: &mut Session, lock: &Lock) -> Result<UndoReport, WorkspaceError> {
    undo_probed(session, lock, &|_| false)
}

fn undo_probed(
    session: &mut Session,
    lock: &Lock,
    probe: Probe<'_>,
) -> Result<UndoReport, WorkspaceError> {
    let interrupted = super::journal::read(session.dir())?
        .is_some_and(|progress| progress.plan.is_some_and(|plan| plan.undo.is_some()));
    recover(session, lock)?;
    settle(session, lock)?;
    let mut report = UndoReport { finished_earlier: interrupted, ..UndoReport::default() };
    let layers = layers(session)?;
    if layers.is_empty() {
        let (id, status) = (session.id().to_owned(), session.status());
        return if interrupted {
            Ok(report)
        } else {
            Err(WorkspaceError::NothingApplied { id, status })
        };
    }
    session.require_workspace()?;
    let mut read = Vec::new();
    for number in layers.into_iter().rev() {
        let layer = load(session, number)?;
        if let Some(why) = layer.lost {
            return Err(WorkspaceError::NotKept { id: session.id().to_owned(), why });
        }
        read.push((number, layer));
    }
    for (number, layer) in read {
        one(session, lock, (number, layer), probe, &mut report)?;
    }
    settle(session, lock)?;
    Ok(report)
}

/// Whether a session has something that [`undo`] could take back.
#[must_use]
pub fn has_layers(session: &Session) -> bool {
    session.dir().join("undo").exists()
}

fn one(
    session: &mut Session,
    lock: &Lock,
    (number, layer): (u32, Layer),
    probe: Probe<'_>,
    report: &mut UndoReport,
) -> Result<(), WorkspaceError> {
    let ops = possible(session, number, layer, report)?;
    let record = PlanRecord {
        staging: format!(".nucleus-apply-{}", session.id()),
        ops,
        waiting: Vec::new(),
        whole: false,
        undo: Some(number),
    };
    let conflicts = carry(session, lock, &record, probe).map_err(|error| match error {
        WorkspaceError::RolledBack { path, source, id } => {
            WorkspaceError::UndoFailed { path, source, id }
        }
        other => other,
    })?;
    for op in &record.ops {
        let path = op.path().clone();
        match conflicts.get(&path) {
            Some(ConflictReason::NotEmpty) => {
                report.left.push(Left { path, reason: LeftReason::NotEmpty });
            }
            Some(_) => report.left.push(Left { path, reason: LeftReason::Changed }),
            None => report.undone.push((path, kind(op))),
        }
    }
    Ok(())
}

fn kind(op: &Op) -> ChangeKind {
    match op {
        Op::Remove { .. } | Op::RemoveDir { .. } => ChangeKind::Deleted,
        Op::MakeDir { .. } | Op::Put { expected: None, .. } => ChangeKind::Created,
        Op::Put { .. } => ChangeKind::Modified,
        Op::Chmod { .. } => ChangeKind::Mode,
    }
}

/// The steps that may be tried: images are what was kept, and `.git` goes whole or not at all.
fn possible(
    session: &Session,
    number: u32,
    layer: Layer,
    report: &mut UndoReport,
) -> Result<Vec<Op>, WorkspaceError> {
    let workspace = &session.meta().workspace;
    let host = Tree::open(workspace).at(Doing::Read, workspace)?;
    let dir = images_dir(session, number);
    let images = Tree::open(&dir).at(Doing::Read, &dir)?;
    // Objects are named by their content and may be used by something that came later: they stay.
    let dirs = GitDirs::of(&host).at(Doing::Read, workspace)?;
    let is_object = |op: &Op| {
        dirs.is_object(op.path()) && matches!(op, Op::Remove { .. } | Op::RemoveDir { .. })
    };
    let (own_git, mut ops): (Vec<Op>, Vec<Op>) =
        layer.ops.into_iter().filter(|op| !is_object(op)).partition(|op| is_own_git(op.path()));
    ops.extend(
        git_steps(own_git, layer.git.as_deref(), (&host, &dirs), report)
            .at(Doing::Read, workspace)?,
    );
    let mut kept = Vec::new();
    for op in ops {
        if let Op::Put { path, slot, .. } = &op {
            let name = TreePath::root().child(slot.to_string().as_ref());
            let now = images.stat(&name).at(Doing::Read, &dir)?.as_ref().map(Fingerprint::of);
            let same = match (&now, layer.images.get(slot)) {
                (Some(now), Some(was)) => now.same_content(was),
                _ => false,
            };
            if !same {
                let reason = LeftReason::ImageChanged;
                report.left.push(Left { path: path.clone(), reason });
                continue;
            }
        }
        kept.push(op);
    }
    kept.sort_by(keep::order);
    Ok(kept)
}

/// Git rewrites its index for reasons that are no change: what it stands for is compared, not its stamps.
fn git_steps(
    ops: Vec<Op>,
    after: Option<&str>,
    (host, dirs): (&Tree, &GitDirs),
    report: &mut UndoReport,
) -> io::Result<Vec<Op>> {
    if ops.is_empty() {
        return Ok(ops);
    }
    let mut moved = git::host_busy(host)? || git::digest(host)?.as_deref() != after;
    let mut steps = Vec::new();
    for mut op in ops {
        let state = dirs.part(op.path()) == GitPart::State;
        let now = host.stat(op.path())?.as_ref().map(Fingerprint::of);
        match &mut op {
            Op::Put { expected, .. } if state => expected.clone_from(&now),
            Op::Remove { expected, .. } if state => match now {
                Some(now) => *expected = now,
                None => moved = true,
            },
            Op::Put { expected, .. } => moved |= *expected != now,
            Op::Remove { expected, .. } => moved |= now.as_ref() != Some(expected),
            Op::RemoveDir { .. } | Op::MakeDir { .. } | Op::Chmod { .. } => {}
        }
        steps.push(op);
    }
    if moved {
        report.left.extend(
            steps.iter().map(|op| Left { path: op.path().clone(), reason: LeftReason::Git }),
        );
        steps.clear();
    }
    Ok(steps)
}

/// Where the images of a layer are.
pub(crate) fn images_dir(session: &Session, number: u32) -> PathBuf {
    session.dir().join(format!("undo/{number}"))
}

fn layer_file(session: &Session, number: u32) -> PathBuf {
    session.dir().join(format!("undo/{number}.json"))
}

/// Numbers of the layers, oldest first.
fn layers(session: &Session) -> Result<BTreeSet<u32>, WorkspaceError> {
    let dir = session.dir().join("undo");
    let entries = match fs::read_dir(&dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(BTreeSet::new()),
        Err(error) => return Err(error).at(Doing::Read, &dir),
    };
    let mut numbers = BTreeSet::new();
    for entry in entries {
        let name = entry.at(Doing::Read, &dir)?.file_name();
        numbers.extend(
            name.to_str().and_then(|n| n.strip_suffix(".json")).and_then(|n| n.parse::<u32>().ok()),
        );
    }
    Ok(numbers)
}

fn load(session: &Session, number: u32) -> Result<Layer, WorkspaceError> {
    let path = layer_file(session, number);
    let layer: Layer = read_json(&path)?;
    if layer.version != FORMAT {
        return Err(WorkspaceError::Version { path, found: layer.version, known: FORMAT });
    }
    Ok(layer)
}

fn save(session: &Session, number: u32, layer: &Layer) -> Result<(), WorkspaceError> {
    write_json(&layer_file(session, number), layer)
}

/// Ends a layer that was taken back. Its images go with the last layer: a process that dies before its journal ends
/// opens them once more.
pub(crate) fn drop_layer(session: &Session, number: u32) -> Result<(), WorkspaceError> {
    let file = layer_file(session, number);
    match fs::remove_file(&file) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(error).at(Doing::Remove, &file)
        }
        _ => Ok(()),
    }
}

/// Ends a session of which every layer was taken back and nothing waits.
pub(crate) fn settle(session: &mut Session, lock: &Lock) -> Result<(), WorkspaceError> {
    let dir = session.dir().join("undo");
    if !dir.exists() || !layers(session)?.is_empty() {
        return Ok(());
    }
    if session.status() == Status::Applied {
        session.set_status(lock, Status::Undone)?;
    }
    removal::remove_tree(&dir).at(Doing::Remove, &dir)
}

#[cfg(test)]
mod tests;
