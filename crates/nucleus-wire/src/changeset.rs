//! What a task changed in its workspace, as text for a person: written beside the session's log when the task ends. The
//! log holds the digest of the file, so that whoever shows it later can tell whether it is still the one.

use serde::{Deserialize, Serialize};

/// Name of the file in the session's directory.
pub const FILE: &str = "changes.json";
/// Version of the format.
pub const FORMAT: u32 = 1;
/// Most changes listed.
pub const FILES_MAX: usize = 2_000;
/// Longest diff of one file, in bytes.
pub const DIFF_BYTES_MAX: usize = 64 * 1024;
/// Most bytes of all diffs together.
pub const TOTAL_BYTES_MAX: usize = 1024 * 1024;
/// Largest file read back, in bytes: escapes in JSON make text up to six times as long.
pub const FILE_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// All changes of a task, before anything was carried to the user's tree.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChangeSet {
    /// Version of the format.
    pub version: u32,
    /// The changes, by path.
    pub files: Vec<ChangedFile>,
    /// Changes beyond [`FILES_MAX`], which are not listed.
    pub left_out: u64,
}

/// One changed path.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChangedFile {
    /// Where, with everything escaped that hides or reorders text.
    pub path: String,
    /// `created`, `modified`, `deleted` or `mode`.
    pub kind: String,
    /// A unified diff, the workspace's version first, escaped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub diff: Option<String>,
    /// Why there is no diff, or not all of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

impl ChangeSet {
    /// Reads the file's bytes; `None` when they are not of this format.
    #[must_use]
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        serde_json::from_slice::<Self>(bytes).ok().filter(|set| set.version == FORMAT)
    }
}
