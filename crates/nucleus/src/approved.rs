//! What a person let a task write although its policy lets nothing be written unasked.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use crate::digest::Digest;

/// Files as they were approved, and whether a commit was. Whoever carries a task's changes to the host asks it about what the
/// policy would hold.
#[derive(Debug, Default)]
pub struct Approved(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    /// Digest of the content that the approved call left, by the file's real name beneath the workspace.
    files: BTreeMap<String, Digest>,
    commit: bool,
}

impl Approved {
    /// Whether a person approved that this file has this content.
    #[must_use]
    pub fn covers(&self, path: &str, content: &Digest) -> bool {
        self.known().files.get(path) == Some(content)
    }

    /// Whether a person approved a commit.
    #[must_use]
    pub fn commit(&self) -> bool {
        self.known().commit
    }

    pub(crate) fn add_file(&self, written: Written) {
        self.known().files.insert(written.path, written.content);
    }

    pub(crate) fn add_commit(&self) {
        self.known().commit = true;
    }

    fn known(&self) -> std::sync::MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A file that a call wrote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Written {
    /// Its real name beneath the workspace.
    pub(crate) path: String,
    /// Digest of what it holds now.
    pub(crate) content: Digest,
}
