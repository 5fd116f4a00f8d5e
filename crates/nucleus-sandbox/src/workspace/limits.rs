//! Limits of this module, units in the names.

/// Longest path inside a workspace.
pub const PATH_BYTES: usize = 4096;
/// Deepest directory level walked; deeper trees end the operation with an error rather than the process.
pub const DEPTH_LEVELS: usize = 512;
/// Files larger than this are not shown as a diff.
pub const DIFF_BYTES: u64 = 1024 * 1024;
/// Largest `session.json`, `held.json` or baseline read back.
pub const META_BYTES: u64 = 64 * 1024 * 1024;
/// Largest `.git/config` scrubbed; a larger one is masked whole.
pub const GIT_CONFIG_BYTES: u64 = 1024 * 1024;
/// Most bytes of replaced and removed files that an apply keeps, so that it can be taken back.
pub const UNDO_BYTES: u64 = 512 * 1024 * 1024;
/// Wall-clock time may run behind boot time by this much before every change is held.
pub const CLOCK_SLACK_MS: u64 = 1000;
