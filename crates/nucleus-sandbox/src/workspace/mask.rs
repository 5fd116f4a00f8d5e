//! Paths that a pod must not read although they lie in the workspace.

use std::collections::BTreeSet;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::error::WorkspaceError;
use super::path::TreePath;

mod credential;
mod walk;

pub(crate) use credential::scrub;

/// Why a path is withheld.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MaskReason {
    /// The policy blocks it by name.
    Blocked,
    /// It is of the sensitive set and not allowed by name.
    Sensitive,
    /// It carries a credential in a URL or header; pods get a scrubbed copy.
    Credential,
    /// A directory that this user may not list or search, so what it holds is not known.
    Closed,
}

/// The judgement on a path relative to the workspace.
type Rule = dyn Fn(&str) -> Option<MaskReason> + Send + Sync;

/// What the policy withholds, as a pure judgement of a workspace-relative path. It must be the same judgement that the
/// file tools apply, or `cat` and `read` would differ.
#[derive(Clone)]
pub struct MaskPolicy {
    rule: Arc<Rule>,
}

impl fmt::Debug for MaskPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MaskPolicy")
    }
}

impl MaskPolicy {
    /// From a judgement.
    pub fn new(rule: impl Fn(&str) -> Option<MaskReason> + Send + Sync + 'static) -> Self {
        Self { rule: Arc::new(rule) }
    }

    /// Withholds nothing.
    #[must_use]
    pub fn none() -> Self {
        Self::new(|_| None)
    }

    /// The judgement on one path.
    #[must_use]
    pub fn judge(&self, path: &str) -> Option<MaskReason> {
        (self.rule)(path)
    }
}

/// What lies over a masked path in a pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cover {
    /// An empty file nobody may read (mode 000).
    File,
    /// An empty directory nobody may list (mode 000).
    Directory,
    /// This file of the session, a scrubbed copy, readable and not writable.
    Copy(PathBuf),
}

/// One mask.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mask {
    /// Where, relative to the workspace.
    pub path: TreePath,
    /// Why.
    pub reason: MaskReason,
    /// What covers it.
    pub cover: Cover,
    /// The file has other hard links, which may lie unmasked in the workspace: worth a note to the user.
    pub linked: bool,
}

/// Finds what of the policy's withheld set exists in `root` now. Symbolic links are not followed in the walk; when a
/// withheld name is itself a link, what it points to inside the workspace is masked. Scrubbed copies of git
/// configurations and the list of names (for the conflict rule) are put into `session_dir`.
///
/// What appears later at such a path is masked in the pods that start after it did, and held at apply.
///
/// # Errors
/// [`WorkspaceError::Io`] when a directory cannot be read: the caller must not start a pod then.
pub fn plan(
    root: &Path,
    policy: &MaskPolicy,
    session_dir: &Path,
) -> Result<Vec<Mask>, WorkspaceError> {
    plan_watched(root, policy, session_dir, &mut |_| {})
}

/// As [`plan`]; `entered` is told of each directory before it is read.
pub(crate) fn plan_watched(
    root: &Path,
    policy: &MaskPolicy,
    session_dir: &Path,
    entered: &mut dyn FnMut(&Path),
) -> Result<Vec<Mask>, WorkspaceError> {
    walk::plan(root, policy, session_dir, None, entered)
}

/// As [`plan_watched`], later in the task: what is masked already is not looked at, and the names that the task began
/// with stay.
pub(crate) fn plan_again(
    root: &Path,
    policy: &MaskPolicy,
    session_dir: &Path,
    known: &BTreeSet<TreePath>,
    entered: &mut dyn FnMut(&Path),
) -> Result<Vec<Mask>, WorkspaceError> {
    walk::plan(root, policy, session_dir, Some(known), entered)
}

/// Where the names are kept: for each directory its path, the names in it, and an empty name, each ended by NUL.
pub(crate) fn names_file(session_dir: &Path) -> PathBuf {
    session_dir.join("names")
}

/// Reads the names back.
pub(crate) fn read_names(bytes: &[u8]) -> BTreeSet<TreePath> {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt as _;
    let mut out = BTreeSet::new();
    let mut dir: Option<TreePath> = None;
    for field in bytes.split(|b| *b == 0) {
        match (&dir, field.is_empty()) {
            (None, _) => dir = Some(TreePath::parse(field).unwrap_or_default()),
            (Some(_), true) => dir = None,
            (Some(dir), false) => {
                out.insert(dir.child(OsStr::from_bytes(field)));
            }
        }
    }
    out
}
