//! The write-ahead journal of an apply.
//!
//! One JSON record per line, each durable before what it announces: `plan` (every step and everything that waits)
//! before the staging directory is made, `staged` (the inode of each new file) before the first step, `rollback`
//! before the first step back, `committed` after the last step is durable. A torn last line counts as not written.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::error::{At as _, Doing, WorkspaceError};
use super::plan::{Op, Waiting};
use super::session::sync_parent;

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Record {
    Plan(PlanRecord),
    /// Slot to inode.
    Staged(BTreeMap<u32, u64>),
    Rollback,
    Committed,
}

/// What an apply set out to do.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct PlanRecord {
    pub(crate) staging: String,
    pub(crate) ops: Vec<Op>,
    /// What waits after it, whatever conflicts it still meets.
    pub(crate) waiting: Vec<Waiting>,
    /// Whether this settles the session (an apply) or only some of its waiting paths (an accept).
    pub(crate) whole: bool,
    /// The layer of before-images that this takes back; none for an apply.
    #[serde(default)]
    pub(crate) undo: Option<u32>,
}

/// How far a journal says an apply got.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    pub(crate) plan: Option<PlanRecord>,
    pub(crate) staged: Option<BTreeMap<u32, u64>>,
    pub(crate) rollback: bool,
    pub(crate) committed: bool,
}

#[derive(Debug)]
pub(crate) struct Journal {
    file: File,
    path: PathBuf,
}

pub(crate) fn path_in(session_dir: &Path) -> PathBuf {
    session_dir.join("apply.journal")
}

impl Journal {
    /// Starts a journal; there must be none.
    pub(crate) fn create(session_dir: &Path) -> Result<Self, WorkspaceError> {
        let path = path_in(session_dir);
        let file = File::options()
            .append(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)
            .at(Doing::Write, &path)?;
        sync_parent(&path)?;
        Ok(Self { file, path })
    }

    /// Goes on with a journal that a dead process left.
    pub(crate) fn reopen(session_dir: &Path) -> Result<Self, WorkspaceError> {
        let path = path_in(session_dir);
        let mut file = File::options().append(true).open(&path).at(Doing::Write, &path)?;
        // A torn line must not swallow the next record.
        file.write_all(b"\n").at(Doing::Write, &path)?;
        Ok(Self { file, path })
    }

    /// Writes a record and waits until it is durable.
    pub(crate) fn append(&mut self, record: &Record) -> Result<(), WorkspaceError> {
        let mut line = serde_json::to_vec(record)
            .map_err(|source| WorkspaceError::Damaged { path: self.path.clone(), source })?;
        line.push(b'\n');
        self.file.write_all(&line).at(Doing::Write, &self.path)?;
        self.file.sync_data().at(Doing::Sync, &self.path)
    }

    /// Ends it.
    pub(crate) fn remove(self) -> Result<(), WorkspaceError> {
        fs::remove_file(&self.path).at(Doing::Remove, &self.path)?;
        sync_parent(&self.path)
    }
}

/// Reads a journal; `None` when there is none.
pub(crate) fn read(session_dir: &Path) -> Result<Option<Progress>, WorkspaceError> {
    let path = path_in(session_dir);
    let file = match File::open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error).at(Doing::Read, &path),
    };
    let mut progress = Progress::default();
    let mut damaged = None;
    for line in BufReader::new(file).split(b'\n') {
        let line = line.at(Doing::Read, &path)?;
        if line.is_empty() {
            continue;
        }
        match serde_json::from_slice(&line) {
            Ok(Record::Plan(plan)) => progress.plan = Some(plan),
            Ok(Record::Staged(slots)) => progress.staged = Some(slots),
            Ok(Record::Rollback) => progress.rollback = true,
            Ok(Record::Committed) => progress.committed = true,
            Err(source) => damaged = Some(source),
        }
    }
    // A line that was cut short is the record that was being written when the process died; what it announced had not
    // begun. Without a plan nothing was ever touched.
    if let (Some(source), None, true) = (damaged, &progress.plan, progress.staged.is_some()) {
        return Err(WorkspaceError::Damaged { path, source });
    }
    Ok(Some(progress))
}
