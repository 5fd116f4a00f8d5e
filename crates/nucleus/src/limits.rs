//! Limits of the enforcement point.

use std::time::Duration;

/// Approval requests of one task that may wait at a time.
pub const MAX_PENDING_APPROVALS: usize = 5;
/// Calls of one task that may hold a worker while they wait for a human.
pub const MAX_APPROVAL_WAITERS: usize = 4;
/// How long a request waits for a human before it is refused.
pub const APPROVAL_TTL: Duration = Duration::from_secs(300);
/// How long a call waits for a human before it is answered with the request's id.
pub const APPROVAL_WAIT: Duration = Duration::from_secs(30);
/// Settled requests kept for `approvals_status`.
pub const MAX_SETTLED_APPROVALS: usize = 64;
/// Refused requests remembered, so that asking again does not ask the human again.
pub const MAX_REMEMBERED_REFUSALS: usize = 256;
/// New questions to a human in each window of a task; duplicates and what a rule answers do not count.
pub const MAX_APPROVAL_QUESTIONS: usize = 30;
/// Length of that window.
pub const APPROVAL_QUESTION_WINDOW: Duration = Duration::from_secs(300);
/// Rules for similar calls in force at a time.
pub const MAX_APPROVAL_RULES: usize = 16;
/// Shortest reason for breaking the glass, in characters.
pub const MIN_BREAK_GLASS_REASON_CHARS: usize = 8;
/// How far the time of a webhook's answer may be from now, in seconds.
pub const MAX_ANSWER_SKEW_S: u64 = 300;
/// Longest reason of a human, in characters.
pub const MAX_REASON_CHARS: usize = 500;

/// Longest rendering that a person is asked about, in bytes as it is shown. What is longer nobody can read, so nobody is
/// asked about it. Five wait at a time, and each is one line of the approvals socket and of the control socket.
pub const MAX_RENDERED_BYTES: usize = 1024 * 1024;
/// Largest file that is compared with what a call would make of it, in bytes.
pub const MAX_DIFF_FILE_BYTES: usize = 1024 * 1024;
/// Two versions that take longer to compare get a diff that is right but not the shortest.
pub const DIFF_TIME: Duration = Duration::from_millis(500);
/// Bytes of operand files hashed for one approval.
pub const MAX_OPERAND_BYTES: u64 = 256 * 1024 * 1024;
/// Operand files hashed for one approval.
pub const MAX_OPERANDS: usize = 64;

/// Hard end of a call about files.
pub const FILE_CALL_TIMEOUT: Duration = Duration::from_secs(60);
/// Refusals of malformed calls written to the log one by one in each window; the rest are counted.
pub const MAX_FLOOD_ENTRIES: u32 = 20;
/// Length of that window.
pub const FLOOD_WINDOW: Duration = Duration::from_secs(10);

/// Longest name of a tool that is none in feed and log, in characters.
pub const MAX_TOOL_CHARS: usize = 64;
/// Longest target of a call in feed and log, in characters.
pub const MAX_TARGET_CHARS: usize = 512;
