//! The protocol of a task's approvals socket, between `nucleus approvals` and the enforcement process.
//!
//! One JSON object per line, one answer per question. The socket lies in a directory of the session that only the
//! user can enter; the enforcement process looks at every peer before it reads a byte. What is said here decides
//! nothing by itself: a yes is a decision of the same book that the terminal of `nucleus run` uses.

use serde::{Deserialize, Serialize};

use crate::control::ApprovalView;

/// Starts each line of a rendering that is a line of a unified diff; its sign follows.
pub const DIFF_MARK: &str = "agent diff │ ";
/// Longest rendering that lists and messages carry whole, in characters: a chat refuses a section of more than 3,000.
pub const BRIEF_MAX_CHARS: usize = 2_500;

/// Directory of the socket, beneath the session's.
pub const SOCKET_DIR: &str = "approvals";
/// The socket, beneath its directory.
pub const SOCKET: &str = "socket";
/// Longest line either side reads, in bytes.
pub const LINE_MAX_BYTES: u64 = 1024 * 1024;

/// Most calls one rule may let through.
pub const RULE_COUNT_MAX: u32 = 50;
/// Calls a rule lets through when nothing is said.
pub const RULE_COUNT_DEFAULT: u32 = 5;
/// Longest life of a rule, in seconds.
pub const RULE_SECONDS_MAX: u64 = 3_600;
/// Life of a rule when nothing is said, in seconds.
pub const RULE_SECONDS_DEFAULT: u64 = 600;
/// Longest break-glass window, in seconds.
pub const GLASS_SECONDS_MAX: u64 = 900;
/// Break-glass window when nothing is said, in seconds.
pub const GLASS_SECONDS_DEFAULT: u64 = 300;

/// A question to the enforcement process.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum Ask {
    /// Every request the task remembers, each with the beginning of its rendering.
    List,
    /// One request with all of its rendering.
    Show {
        /// The request.
        id: String,
    },
    /// A human's answer to one request.
    Decide {
        /// The request.
        id: String,
        /// True to grant once.
        approve: bool,
        /// The human's words for the agent, when refused.
        #[serde(default)]
        reason: Option<String>,
        /// Let similar calls through too.
        #[serde(default)]
        similar: Option<Similar>,
    },
    /// The rules that let similar calls through, and an open break-glass window.
    Rules,
    /// Ends a rule or the break-glass window.
    Revoke {
        /// Id of the rule.
        rule: String,
    },
    /// Asks for a number that the next break-glass request must be signed over.
    Challenge,
    /// Opens the break-glass window.
    BreakGlass(BreakGlass),
    /// A signed answer that came back from a webhook.
    Answer {
        /// The whole document, as it came.
        document: String,
    },
}

/// What else a yes covers: calls of the same tool and operation that match, a limited number of times.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Similar {
    /// For a command: its words, where an unquoted `*` is any argument (at the end: any arguments). The request's own
    /// words when absent.
    #[serde(default)]
    pub argv: Option<String>,
    /// For a file: the directory beneath which other files count. The request's own file when absent.
    #[serde(default)]
    pub path_prefix: Option<String>,
    /// Calls it lets through, 1 to [`RULE_COUNT_MAX`].
    #[serde(default)]
    pub count: Option<u32>,
    /// Seconds it lives, 1 to [`RULE_SECONDS_MAX`].
    #[serde(default)]
    pub seconds: Option<u64>,
}

/// A signed demand to let every obligation of the task through for a short time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BreakGlass {
    /// Why; goes into the log.
    pub reason: String,
    /// How long, 1 to [`GLASS_SECONDS_MAX`].
    pub seconds: u64,
    /// The number the enforcement process gave, hex.
    pub challenge: String,
    /// Ed25519 over [`BreakGlass::message`], hex.
    pub signature: String,
}

impl BreakGlass {
    /// What is signed: session, number, time and reason, each on a line of its own. The reason comes last, so that no
    /// line break in it can be taken for another member.
    #[must_use]
    pub fn message(session: &str, challenge: &str, seconds: u64, reason: &str) -> Vec<u8> {
        format!("nucleus break-glass v1\n{session}\n{challenge}\n{seconds}\n{reason}").into_bytes()
    }
}

/// An answer of the enforcement process.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Told {
    /// To [`Ask::List`].
    Requests {
        /// The session.
        session: String,
        /// Newest last.
        requests: Vec<RequestView>,
    },
    /// To [`Ask::Show`].
    Request {
        /// The session.
        session: String,
        /// The request.
        request: Box<RequestView>,
    },
    /// The decision holds and is in the log.
    Decided {
        /// The request.
        id: String,
        /// `granted` or `refused`.
        outcome: String,
        /// Id of the rule that was made with it.
        #[serde(default)]
        rule: Option<String>,
    },
    /// To [`Ask::Rules`].
    Rules {
        /// The session.
        session: String,
        /// What is in force.
        rules: Vec<RuleView>,
    },
    /// The rule is gone.
    Revoked {
        /// Which one.
        rule: String,
    },
    /// To [`Ask::Challenge`].
    Challenge {
        /// The session, as it must be signed.
        session: String,
        /// The number, hex.
        challenge: String,
    },
    /// The window is open.
    Open {
        /// Id to revoke it by.
        rule: String,
        /// How long, in seconds.
        seconds: u64,
    },
    /// Nothing was done.
    Refused {
        /// Why, for programs.
        code: RefusedCode,
        /// Why, for people.
        message: String,
    },
}

/// Why the enforcement process refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RefusedCode {
    /// The peer is another user or lives in another namespace.
    Peer,
    /// Too many peers are there already.
    Crowded,
    /// The line is no question.
    Malformed,
    /// No request or rule has the id.
    Unknown,
    /// The request is decided, used, expired or withdrawn already.
    Settled,
    /// The rule asked for cannot be made.
    Rule,
    /// The proof is missing, forged, late, or was used.
    Proof,
    /// The decision could not be recorded.
    Unrecorded,
}

/// One request.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RequestView {
    /// What is asked.
    #[serde(flatten)]
    pub view: ApprovalView,
    /// `pending`, `granted`, `used`, `refused`, `expired` or `withdrawn`.
    pub state: String,
    /// The human's words, escaped, when refused with any.
    #[serde(default)]
    pub reason: Option<String>,
}

/// One rule in force.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RuleView {
    /// Id to revoke it by.
    pub id: String,
    /// What it lets through, in words, escaped.
    pub covers: String,
    /// Calls left; absent for break-glass.
    #[serde(default)]
    pub left: Option<u32>,
    /// Seconds left.
    pub expires_in_s: u64,
}

/// The beginning of a rendering that is longer than [`BRIEF_MAX_CHARS`], with a last line that says so and `rest`, where
/// the others are; `None` for one that is short enough to be shown whole. Counted is what a chat counts, which takes some
/// characters as entities.
#[must_use]
pub fn brief(rendering: &str, rest: &str) -> Option<String> {
    let sent = |c| match c {
        '&' => "&amp;".len(),
        '<' | '>' => "&lt;".len(),
        _ => 1,
    };
    let mut count = 0_usize;
    let (end, _) = rendering.char_indices().find(|(_, c)| {
        count = count.saturating_add(sent(*c));
        count > BRIEF_MAX_CHARS
    })?;
    let head = rendering.get(..end).unwrap_or_default();
    // Whole lines, unless the first is longer than all that fits.
    let head = head.rfind('\n').and_then(|at| head.get(..at)).unwrap_or(head);
    let (shown, all) = (head.lines().count(), rendering.lines().count());
    Some(format!("{head}\n… cut here, in line {shown} of {all}: {rest}\n"))
}

impl ApprovalView {
    /// The request with the beginning of its rendering only, where that is long.
    #[must_use]
    pub fn shortened(mut self) -> Self {
        let rest = format!("nucleus approvals show {} prints all of it", self.id);
        if self.complete
            && let Some(brief) = brief(&self.rendering, &rest)
        {
            self.rendering = brief;
            self.complete = false;
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::{BRIEF_MAX_CHARS, brief};

    #[test]
    fn a_short_rendering_stays_whole_and_a_long_one_says_where_it_was_cut() {
        assert_eq!(brief(&"é".repeat(BRIEF_MAX_CHARS), "there"), None);
        let long: String = (0..1_000).map(|n| format!("line {n}\n")).collect();
        let text = brief(&long, "there").unwrap();
        assert!(text.starts_with("line 0\nline 1\n"), "{text}");
        assert!(text.ends_with(" of 1000: there\n"), "{text}");
        assert!(text.chars().count() < BRIEF_MAX_CHARS + 80);
        let one = brief(&"x".repeat(BRIEF_MAX_CHARS + 1), "there").unwrap();
        assert!(one.ends_with("x\n… cut here, in line 1 of 1: there\n"), "{one}");
        // As a chat counts: what it takes as an entity is longer than it looks.
        assert!(brief(&"&".repeat(BRIEF_MAX_CHARS / 5 + 1), "there").is_some());
        assert!(brief(&"&".repeat(BRIEF_MAX_CHARS / 5), "there").is_none());
    }
}
