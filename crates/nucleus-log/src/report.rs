//! What verification found.

use std::fmt;

use serde::Serialize;

use crate::checkpoint::Checkpoint;
use crate::digest::Digest;

/// The verdict on a log, worst news first found. Every verdict has an exit code of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(tag = "verdict", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Verdict {
    /// Lines, chain, MACs and checkpoints hold.
    Ok,
    /// Lines, chain and checkpoints hold; MACs were not looked at, for want of the MAC key.
    OkWithoutMacKey,
    /// Everything holds up to an unfinished last line or checkpoint, as a crash leaves it.
    TornTail,
    /// The line does not name the digest of the line before it.
    BrokenChain {
        /// Sequence number expected there.
        sequence: u64,
    },
    /// A MAC or signature is not by the key that it claims.
    BadSignature {
        /// Sequence number of the line (0 for a header; the size, for a checkpoint).
        sequence: u64,
    },
    /// Lines are missing.
    Gap {
        /// First sequence number that is missing.
        sequence: u64,
    },
    /// A signed checkpoint speaks of more entries than there are, or a checkpoint that must exist does not.
    Truncated {
        /// Entries that the checkpoints prove.
        signed: u64,
        /// Entries that are there.
        present: u64,
    },
    /// Two histories: a validly signed checkpoint or line contradicts another.
    Fork {
        /// Size of the log at the contradiction.
        sequence: u64,
    },
    /// The last checkpoint is older than asked for.
    Stale {
        /// Its age in seconds.
        age_s: u64,
    },
    /// The log was written with another key than the one given.
    WrongKey,
    /// Nothing was ever recorded.
    Empty,
    /// The sidecar, or a part of it that must be there, is missing.
    MissingSidecar,
    /// A line, header or checkpoint breaks the format.
    Malformed {
        /// Sequence number expected there (0 for a header or checkpoint).
        sequence: u64,
    },
    /// An outcome without its intent, or a second intent under one request id.
    Unpaired {
        /// Its sequence number.
        sequence: u64,
    },
    /// The log is not an extension of the one that was pinned.
    RolledBack {
        /// Entries at the time of the pin.
        pinned: u64,
    },
}

impl Verdict {
    /// True for [`Verdict::Ok`] alone.
    #[must_use]
    pub const fn is_ok(&self) -> bool {
        matches!(self, Self::Ok)
    }

    /// Exit code of `nucleus-audit verify`.
    #[must_use]
    pub const fn exit_code(&self) -> u8 {
        match self {
            Self::Ok => 0,
            Self::OkWithoutMacKey => 10,
            Self::TornTail => 11,
            Self::BrokenChain { .. } => 12,
            Self::BadSignature { .. } => 13,
            Self::Gap { .. } => 14,
            Self::Truncated { .. } => 15,
            Self::Fork { .. } => 16,
            Self::Stale { .. } => 17,
            Self::WrongKey => 18,
            Self::Empty => 19,
            Self::MissingSidecar => 20,
            Self::Malformed { .. } => 21,
            Self::Unpaired { .. } => 22,
            Self::RolledBack { .. } => 23,
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ok => f.write_str("verified"),
            Self::OkWithoutMacKey => {
                f.write_str("chain and checkpoints verified; MACs not checked, no MAC key")
            }
            Self::TornTail => f.write_str("verified up to an unfinished last record"),
            Self::BrokenChain { sequence } => {
                write!(f, "the hash chain is broken at entry {sequence}")
            }
            Self::BadSignature { sequence: 0 } => f.write_str("a header's signature is wrong"),
            Self::BadSignature { sequence } => {
                write!(f, "the signature at entry {sequence} is wrong")
            }
            Self::Gap { sequence } => write!(f, "entry {sequence} is missing"),
            Self::Truncated { signed, present } => {
                write!(f, "truncated: {signed} entries were signed for, {present} are there")
            }
            Self::Fork { sequence } => write!(f, "forked: two histories at entry {sequence}"),
            Self::Stale { age_s } => {
                write!(f, "stale: the last checkpoint is {age_s} s old")
            }
            Self::WrongKey => f.write_str("written with another key than the one given"),
            Self::Empty => f.write_str("empty: nothing was recorded"),
            Self::MissingSidecar => f.write_str("the sidecar directory or a part of it is missing"),
            Self::Malformed { sequence: 0 } => {
                f.write_str("a header or checkpoint breaks the format")
            }
            Self::Malformed { sequence } => write!(f, "entry {sequence} breaks the format"),
            Self::Unpaired { sequence } => {
                write!(f, "entry {sequence} is an outcome without intent or a repeated intent")
            }
            Self::RolledBack { pinned } => {
                write!(f, "rolled back: not an extension of the {pinned} entries pinned before")
            }
        }
    }
}

/// An intent whose outcome was never recorded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Interrupted {
    /// Its sequence number.
    pub sequence: u64,
    /// Its request id, as it stands on the line.
    pub request_id: String,
}

/// Unfinished bytes after the last complete record.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Torn {
    /// In the log.
    pub log_bytes: u64,
    /// In the checkpoint file.
    pub checkpoint_bytes: u64,
}

/// What verification found, and what it proves.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// The verdict.
    #[serde(flatten)]
    pub verdict: Verdict,
    /// Name of the log, from its header.
    pub origin: Option<String>,
    /// Entries that verified, from the first on.
    pub entries: u64,
    /// Digest of the last of them.
    pub head: Option<Digest>,
    /// Segments read.
    pub segments: u32,
    /// Checkpoints that verified.
    pub checkpoints: u64,
    /// The last checkpoint that verified against the lines: it proves everything up to its size.
    pub proved: Option<Proved>,
    /// Entries after it, which only the chain (and the MACs, with the key) hold.
    pub beyond_checkpoint: u64,
    /// True if MACs were checked.
    pub macs_checked: bool,
    /// True if a public key from outside the log checked the checkpoints; false if the header named it, vouched for by the MAC key.
    pub public_key_given: bool,
    /// True if the last checkpoint says that the writer ended in order.
    pub closed: bool,
    /// True if a process was writing the log meanwhile.
    pub live: bool,
    /// Unfinished bytes.
    pub torn: Torn,
    /// Times of the first and the last entry.
    pub span: Option<(String, String)>,
    /// How often the wall clock stepped back between two entries. No fault: order is by sequence.
    pub clock_steps_back: u64,
    /// Intents without outcome: the calls that a crash or a kill interrupted (at most 1,000 are listed).
    pub interrupted: Vec<Interrupted>,
    /// How many there are.
    pub interrupted_total: u64,
    /// What became of the pin, when one was asked for.
    pub pin: Option<PinState>,
}

/// The last checkpoint that verified.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Proved {
    /// Entries that it covers.
    pub size: u64,
    /// RFC 6962 root over their lines.
    pub root: Digest,
    /// When it was signed.
    pub time: String,
}

impl From<&Checkpoint> for Proved {
    fn from(checkpoint: &Checkpoint) -> Self {
        Self { size: checkpoint.size, root: checkpoint.root, time: checkpoint.time.clone() }
    }
}

/// What became of a pin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(tag = "pin", rename_all = "snake_case")]
pub enum PinState {
    /// First sight of this log: nothing to compare with; remembered now.
    First,
    /// The log extends what was pinned.
    Extends {
        /// Entries pinned before.
        from: u64,
    },
}

impl Report {
    pub(crate) fn new() -> Self {
        Self {
            verdict: Verdict::Empty,
            origin: None,
            entries: 0,
            head: None,
            segments: 0,
            checkpoints: 0,
            proved: None,
            beyond_checkpoint: 0,
            macs_checked: false,
            public_key_given: false,
            closed: false,
            live: false,
            torn: Torn::default(),
            span: None,
            clock_steps_back: 0,
            interrupted: Vec::new(),
            interrupted_total: 0,
            pin: None,
        }
    }
}
