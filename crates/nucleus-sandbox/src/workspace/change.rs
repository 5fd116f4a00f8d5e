//! What a task changed.

use serde::{Deserialize, Serialize};

use super::error::{At as _, Doing, WorkspaceError};
use super::node::NodeKind;
use super::path::TreePath;
use super::session::{Mode, Session};
use super::tree::Tree;
use super::{copy, git, overlay};

/// How a path differs from the host's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChangeKind {
    /// New.
    Created,
    /// Other content, or another kind of node.
    Modified,
    /// Gone.
    Deleted,
    /// Other permission bits, same content.
    Mode,
}

impl ChangeKind {
    /// The word used in lists.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Modified => "modified",
            Self::Deleted => "deleted",
            Self::Mode => "mode",
        }
    }
}

/// One changed path. Directories appear when they were created, deleted or got another mode; what was in a deleted
/// directory is listed too.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// Where.
    pub path: TreePath,
    /// How.
    pub kind: ChangeKind,
    /// What it is now; for a deletion, what it was.
    pub node: NodeKind,
}

/// Everything a walk of the result found.
#[derive(Debug, Default)]
pub(crate) struct Scan {
    pub(crate) changes: Vec<Change>,
    /// Sockets, FIFOs and devices, which never leave a session.
    pub(crate) special: Vec<TreePath>,
}

impl Scan {
    pub(crate) fn push(&mut self, path: TreePath, kind: ChangeKind, node: NodeKind) {
        self.changes.push(Change { path, kind, node });
    }
}

/// Lists what the task of a session changed, against the workspace as it is now. Call it when no pod runs.
///
/// # Errors
/// [`WorkspaceError::WorkspaceGone`], or `Io`.
pub fn changes(session: &Session) -> Result<Vec<Change>, WorkspaceError> {
    Ok(scan(session)?.changes)
}

/// Lists what the task of a session has changed so far, while its pods may run: a look, not a snapshot. What comes and
/// goes meanwhile, and directories closed to this user, are passed over.
///
/// # Errors
/// As [`changes`].
pub fn changes_now(session: &Session) -> Result<Vec<Change>, WorkspaceError> {
    let mut changes = scan_as(session, true)?.changes;
    changes.retain(|change| !change.path.names().any(overlay::is_own_temporary));
    Ok(changes)
}

pub(crate) fn scan(session: &Session) -> Result<Scan, WorkspaceError> {
    scan_as(session, false)
}

fn scan_as(session: &Session, live: bool) -> Result<Scan, WorkspaceError> {
    session.require_workspace()?;
    let mut scan = match session.meta().mode {
        Mode::Overlay => overlay::scan(session, live)?,
        Mode::Copy => copy::scan(session)?,
    };
    let host = &session.meta().workspace;
    let result = session.result_dir();
    let (host, result) =
        (Tree::open(host).at(Doing::Read, host)?, Tree::open(&result).at(Doing::Read, &result)?);
    git::settle(&host, &result, &mut scan, live).at(Doing::Read, &session.meta().workspace)?;
    scan.changes.sort_by(|a, b| a.path.cmp(&b.path).then(b.kind.cmp(&a.kind)));
    Ok(scan)
}
