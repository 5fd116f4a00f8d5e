//! One thing that happened.

use serde::Serialize;

/// How it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Let through by the envelope, and done.
    Allowed,
    /// Let through by a person's word, and done.
    Approved,
    /// Refused, by the rule and layer that the step names.
    Denied,
    /// No call at all: an unknown tool, arguments that are not its own, a broken message.
    Malformed,
    /// Let through, or never judged, and failed.
    Failed,
    /// Let through, and ended on purpose before it was done.
    Stopped,
    /// A person was asked.
    Waiting,
    /// Its intent is recorded and its outcome is not: it runs still, or was cut off.
    Unfinished,
    /// Nothing to judge: the session's own entries.
    Noted,
}

impl Verdict {
    /// All of them, in the order in which they are told.
    pub const ALL: [Self; 9] = [
        Self::Allowed,
        Self::Approved,
        Self::Denied,
        Self::Malformed,
        Self::Failed,
        Self::Stopped,
        Self::Waiting,
        Self::Unfinished,
        Self::Noted,
    ];

    /// The word for it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Allowed => "allowed",
            Self::Approved => "approved",
            Self::Denied => "denied",
            Self::Malformed => "malformed",
            Self::Failed => "failed",
            Self::Stopped => "stopped",
            Self::Waiting => "waiting",
            Self::Unfinished => "unfinished",
            Self::Noted => "noted",
        }
    }

    /// The sign for it, the same everywhere a session is shown.
    #[must_use]
    pub const fn sign(self) -> &'static str {
        match self {
            Self::Allowed | Self::Approved => "✓",
            Self::Denied | Self::Malformed => "✗",
            Self::Failed => "!",
            Self::Stopped => "■",
            Self::Waiting => "?",
            Self::Unfinished => "…",
            Self::Noted => "·",
        }
    }
}

/// Types of entries that a call, or what goes out through a gate, begins with. Nothing else is counted.
const CALLS: [&str; 6] = [
    "tool_execution",
    "model_call",
    "package_fetch",
    "malformed_call",
    "gate_refusal",
    "name_query",
];

/// Tokens of a model call.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Tokens {
    /// Uncached input.
    pub input: u64,
    /// Output.
    pub output: u64,
    /// Read from or written to a cache.
    pub cached: u64,
}

/// One thing that happened: the entries of a call joined, or an entry that stands for itself. Texts are as they are in the
/// log: whoever shows them escapes them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Step {
    /// Sequence number of its first entry.
    pub sequence: u64,
    /// Sequence number of its last entry.
    pub last_sequence: u64,
    /// Time of the first entry, RFC 3339 in UTC.
    pub time: String,
    /// Microseconds since the first entry of the log, by the clock that cannot be set; absent across a reboot.
    pub offset_us: Option<u64>,
    /// The same of its last entry.
    pub end_offset_us: Option<u64>,
    /// Type of the first entry.
    pub kind: String,
    /// Tool or operation; the type of the entry where there is none.
    pub operation: String,
    /// What it acted on.
    pub target: Option<String>,
    /// Who called.
    pub principal: Option<String>,
    /// How it ended.
    pub verdict: Verdict,
    /// Code of the rule that decided, or of the fault.
    pub rule: Option<String>,
    /// Layer that refused.
    pub layer: Option<String>,
    /// The approval it belongs to.
    pub approval: Option<String>,
    /// What came of it, in a few words each.
    pub result: Vec<String>,
    /// How long the effect took.
    pub duration_ms: Option<u64>,
    /// Cost booked, in millionths of a dollar.
    pub cost_micro_usd: Option<u64>,
    /// Tokens of a model call.
    pub tokens: Option<Tokens>,
    /// Whether all its entries lie in the part of the log that verified.
    pub proved: bool,
}

impl Step {
    /// Whether it is a call, proved and judged: one of those that are counted.
    pub(crate) fn counts(&self) -> bool {
        self.proved && self.verdict != Verdict::Noted && CALLS.contains(&self.kind.as_str())
    }
}
