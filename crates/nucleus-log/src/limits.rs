//! Limits of the format, with units in their names.

/// Longest entry line, without its newline.
pub const MAX_LINE_BYTES: usize = 65_535;
/// First integer that may not stand as a JSON number; it is written as decimal text instead.
pub const INTEGER_LIMIT: u64 = 1 << 53;
/// Deepest nesting of arrays and objects inside an event.
pub const MAX_EVENT_DEPTH: usize = 16;
/// Longest identifier member of an event (`type`, `agent_id`, `request_id`, `approval_id`, `grant_nonce`).
pub const MAX_ID_BYTES: usize = 256;
/// Longest origin of a log.
pub const MAX_ORIGIN_BYTES: usize = 255;
/// Longest segment header file.
pub const MAX_HEADER_BYTES: usize = 4_096;
/// Longest checkpoint note.
pub const MAX_NOTE_BYTES: usize = 4_096;
/// Largest checkpoint file a verifier reads.
pub const MAX_CHECKPOINT_FILE_BYTES: u64 = 256 * 1024 * 1024;
/// Most segments of one log.
pub const MAX_SEGMENTS: u32 = 1_000_000;
/// Entries between forced checkpoints; each is also the end of a MAC key epoch.
pub const EPOCH_ENTRIES: u64 = 1_000;
/// Size at which a segment is closed and the next begun.
pub const SEGMENT_BYTES: u64 = 64 * 1024 * 1024;
/// Age at which a segment is closed and the next begun.
pub const SEGMENT_AGE_MS: u64 = 24 * 60 * 60 * 1_000;
/// Longest time an entry waits for a checkpoint.
pub const BUSY_CHECKPOINT_MS: u64 = 1_000;
/// Time between checkpoints of an idle log.
pub const IDLE_CHECKPOINT_MS: u64 = 60_000;
/// Time after which the sync of entries that nobody waits for starts; with the sync itself they are durable within 10 ms.
pub const LAZY_SYNC_MS: u64 = 4;
/// How long a look at the writer's lock counts for entries that nobody waits for.
pub const LAZY_FENCE_MS: u64 = 1;
/// Most bytes of one write.
pub const MAX_BATCH_BYTES: usize = 1024 * 1024;

const _: () = assert!(MAX_LINE_BYTES <= u16::MAX as usize, "an entry must fit a C2SP entry bundle");
const _: () = assert!(MAX_BATCH_BYTES > MAX_LINE_BYTES);
