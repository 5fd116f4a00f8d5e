//! Limits of the tools, beyond what the wire already bounds. Units are in the names.

use std::time::Duration;

/// Symbolic links followed for one path, as in the kernel.
pub(crate) const LINKS_MAX: usize = 40;
/// Path components walked for one path, those of its links included.
pub(crate) const COMPONENTS_MAX: usize = 4_096;
/// Times a resolution is begun again when the tree changes under it.
pub(crate) const RACE_RETRIES_MAX: usize = 16;

/// Text one `read` gives.
pub(crate) const READ_TEXT_MAX_BYTES: usize = 256 * 1024;
/// Largest picture `read` gives: what model providers take after base64, with room for the message around it.
pub(crate) const IMAGE_MAX_BYTES: u64 = 3 * 1024 * 1024;
/// Bytes one `read` passes over to find its first line.
pub(crate) const READ_SCAN_MAX_BYTES: u64 = 256 * 1024 * 1024;
/// One line in the result of `read`; the rest of the line is counted.
pub(crate) const READ_LINE_MAX_BYTES: usize = 16 * 1024;
/// Start of a file in which a NUL byte makes it binary.
pub(crate) const BINARY_PROBE_BYTES: usize = 8 * 1024;

/// Largest file `edit` changes, before and after.
pub(crate) const EDIT_FILE_MAX_BYTES: u64 = 16 * 1024 * 1024;
/// Line numbers named when an edit matches several times.
pub(crate) const EDIT_PLACES_MAX: usize = 20;

/// Entries a walk looks at.
pub(crate) const WALK_ENTRIES_MAX: u64 = 1_000_000;
/// Depth of directories a walk descends into.
pub(crate) const WALK_DEPTH_MAX: usize = 128;
/// Entries of one directory held at a time.
pub(crate) const WALK_DIRECTORY_MAX: usize = 200_000;
/// One ignore file; a larger one is passed over.
pub(crate) const IGNORE_FILE_MAX_BYTES: u64 = 128 * 1024;
/// Rules taken from one ignore file: compiling them takes time the walk cannot interrupt.
pub(crate) const IGNORE_RULES_MAX: usize = 2_000;
/// Paths one `glob` gives.
pub(crate) const GLOB_PATHS_MAX: usize = 2_000;

/// Largest file `grep` looks into.
pub(crate) const GREP_FILE_MAX_BYTES: u64 = 32 * 1024 * 1024;
/// Longest line `grep` can hold; a file with a longer one is skipped and counted.
pub(crate) const GREP_LINE_MAX_BYTES: usize = 8 * 1024 * 1024;
/// One line in the result of `grep`.
pub(crate) const GREP_SHOWN_LINE_MAX_BYTES: usize = 1_024;
/// Text one `grep` gives.
pub(crate) const GREP_TEXT_MAX_BYTES: usize = 256 * 1024;
/// Compiled form of one regular expression.
pub(crate) const REGEX_PROGRAM_MAX_BYTES: usize = 8 * 1024 * 1024;
/// Cache of one lazily built automaton.
pub(crate) const REGEX_CACHE_MAX_BYTES: usize = 8 * 1024 * 1024;
/// Nesting of one regular expression.
pub(crate) const REGEX_NEST_MAX: u32 = 100;
/// A counted repetition at or above this is refused.
pub(crate) const REGEX_REPEAT_REFUSED: u32 = 1_000;

/// Output kept from the start of one stream.
pub(crate) const OUTPUT_HEAD_BYTES: usize = 128 * 1024;
/// Output kept from the end of one stream.
pub(crate) const OUTPUT_TAIL_BYTES: usize = 128 * 1024;
/// Output of one job kept on disk from its start on, both streams together, once it is more than memory holds.
pub(crate) const JOB_SPOOL_BYTES: u64 = 32 * 1024 * 1024;
/// Output of all jobs of a task kept on disk.
pub(crate) const TASK_SPOOL_BYTES: u64 = 256 * 1024 * 1024;
/// Command line of a job in a list of jobs.
pub(crate) const JOB_LABEL_MAX_CHARS: usize = 120;
/// Newest output of one job kept in memory, both streams together.
pub(crate) const JOB_RING_BYTES: usize = 256 * 1024;
/// Text one `job_output` gives.
pub(crate) const JOB_OUTPUT_MAX_BYTES: usize = 64 * 1024;
/// Last line of a running command in a progress message.
pub(crate) const PROGRESS_LINE_MAX_CHARS: usize = 200;
/// Jobs that may run at once.
pub(crate) const JOBS_RUNNING_MAX: usize = 16;
/// Ended jobs whose output is kept.
pub(crate) const JOBS_ENDED_MAX: usize = 32;
/// Time between progress messages of one call.
pub(crate) const PROGRESS_INTERVAL: Duration = Duration::from_secs(2);
/// Longest sleep of whatever waits for a command while it could also be cancelled.
pub(crate) const WAIT_SLICE: Duration = Duration::from_millis(20);
/// Time output may still arrive after the command's own end.
pub(crate) const DRAIN_GRACE: Duration = Duration::from_millis(500);
/// Time a killed process tree has to be gone before the job is given up as lost.
pub(crate) const KILL_GRACE: Duration = Duration::from_secs(10);

const _: () = assert!(GREP_SHOWN_LINE_MAX_BYTES < GREP_TEXT_MAX_BYTES);
const _: () = assert!(READ_LINE_MAX_BYTES < READ_TEXT_MAX_BYTES);
