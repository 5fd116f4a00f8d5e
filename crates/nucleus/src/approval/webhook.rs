//! What goes out to a webhook and what may come back, as bytes and proofs. Delivery is somebody else's work.
//!
//! Both directions carry an HMAC-SHA256 under a key that only the user's side and the receiver hold; each direction
//! has its own first line, so that neither can be passed off as the other.

use aws_lc_rs::hmac;
use nucleus_wire::hex;
use nucleus_wire::limits::WEBHOOK_KEY_MIN_BYTES;
use serde::Deserialize;

use crate::limits::MAX_ANSWER_SKEW_S;

/// Key of a webhook.
pub struct WebhookKey(hmac::Key);

/// An answer as it came back, proved and in time. Whether the request still waits is the book's to say.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SignedAnswer {
    version: u32,
    session: String,
    pub(crate) id: String,
    pub(crate) digest: String,
    pub(crate) nonce: String,
    decision: Verdict,
    timestamp: u64,
    #[serde(default)]
    pub(crate) reason: Option<String>,
    signature: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Verdict {
    Approve,
    Deny,
}

/// Why an answer decides nothing.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AnswerError {
    /// No webhook is configured for this task.
    #[error("this task has no webhook, so no signed answer can be for it")]
    NoKey,
    /// Not a document of version 1.
    #[error("the answer is not a document of version 1")]
    Malformed,
    /// Not made with the key, or changed since.
    #[error("the signature does not fit")]
    Signature,
    /// For another task.
    #[error("the answer is for another session")]
    OtherSession,
    /// Too old, or from the future.
    #[error("the answer's time is more than {MAX_ANSWER_SKEW_S} seconds from now")]
    Time,
    /// What was sent to the webhook was not all of it.
    #[error(
        "the request is too long for a message; read all of it and approve it with `nucleus approvals`"
    )]
    NotShown,
    /// The request it names was made anew since, or its arguments were changed.
    #[error("the answer is for another request than the one that waits")]
    OtherRequest,
}

impl WebhookKey {
    /// The key in these bytes (a trailing line break is not part of it); `None` when they are fewer than 32.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let bytes = bytes.strip_suffix(b"\n").unwrap_or(bytes);
        let long_enough = bytes.len() >= WEBHOOK_KEY_MIN_BYTES;
        long_enough.then(|| Self(hmac::Key::new(hmac::HMAC_SHA256, bytes)))
    }

    /// Signature of a delivery, hex: over `nucleus webhook v1`, the time in seconds and the body, each on a line of its own.
    #[must_use]
    pub fn sign_delivery(&self, timestamp_s: u64, body: &str) -> String {
        let message = format!("nucleus webhook v1\n{timestamp_s}\n{body}");
        hex::encode(hmac::sign(&self.0, message.as_bytes()).as_ref())
    }

    pub(crate) fn verify_answer(
        &self,
        document: &str,
        session: &str,
        now_ms: u64,
    ) -> Result<SignedAnswer, AnswerError> {
        let answer: SignedAnswer =
            serde_json::from_str(document).map_err(|_| AnswerError::Malformed)?;
        if answer.version != 1 {
            return Err(AnswerError::Malformed);
        }
        let mac = hex::decode_exact::<32>(&answer.signature).ok_or(AnswerError::Signature)?;
        hmac::verify(&self.0, answer.message().as_bytes(), &mac)
            .map_err(|_| AnswerError::Signature)?;
        if answer.session != session {
            return Err(AnswerError::OtherSession);
        }
        if answer.timestamp.abs_diff(now_ms / 1_000) > MAX_ANSWER_SKEW_S {
            return Err(AnswerError::Time);
        }
        Ok(answer)
    }
}

impl SignedAnswer {
    /// What is signed: every member on a line of its own, the reason last, so that no line break in it can be taken for
    /// another member. The others are refused below when they hold one.
    fn message(&self) -> String {
        let decision = if self.approves() { "approve" } else { "deny" };
        format!(
            "nucleus webhook answer v1\n{}\n{}\n{}\n{}\n{decision}\n{}\n{}",
            one_line(&self.session),
            one_line(&self.id),
            one_line(&self.digest),
            one_line(&self.nonce),
            self.timestamp,
            self.reason.as_deref().unwrap_or_default()
        )
    }

    pub(crate) fn approves(&self) -> bool {
        self.decision == Verdict::Approve
    }
}

/// A member with a line break is none: the signature of its other form cannot fit.
fn one_line(text: &str) -> &str {
    if text.contains('\n') { "" } else { text }
}

impl std::fmt::Debug for WebhookKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("WebhookKey(..)")
    }
}
