//! Break-glass: with a key of its own and a reason, every obligation of the task is answered for a short time.
//!
//! The key is a file the user keeps; only its public half lies in the state directory. What the envelope forbids stays
//! forbidden: the window answers questions, and what is not asked about it cannot reach.

use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};
use nucleus_wire::approvals::{BreakGlass, GLASS_SECONDS_MAX};
use nucleus_wire::display::escape_short;
use nucleus_wire::hex;

use super::grant::random;
use crate::limits::{MAX_REASON_CHARS, MIN_BREAK_GLASS_REASON_CHARS};
use crate::refusal::Unexpected;

/// The public half of the user's break-glass key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BreakGlassKey([u8; 32]);

impl BreakGlassKey {
    /// From 64 lower-case hex digits.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        hex::decode_exact(text.trim()).map(Self)
    }

    /// The key as it stands in its file.
    #[must_use]
    pub fn hex(&self) -> String {
        hex::encode(&self.0)
    }
}

/// An open window.
#[derive(Debug)]
pub(crate) struct Window {
    pub(crate) id: String,
    /// The user's reason, escaped.
    pub(crate) reason: String,
    pub(crate) expires_ns: u64,
}

/// A number a demand must be signed over, good for one demand.
#[derive(Debug)]
pub(crate) struct Challenge([u8; 32]);

impl Challenge {
    pub(crate) fn new() -> Result<Self, Unexpected> {
        let mut bytes = [0; 32];
        random(&mut bytes)?;
        Ok(Self(bytes))
    }

    pub(crate) fn hex(&self) -> String {
        hex::encode(&self.0)
    }
}

/// Why the glass stays whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BreakGlassError {
    /// There was no key when the task began.
    #[error("no break-glass key was known when this task began")]
    NoKey,
    /// The reason says nothing.
    #[error("a reason of at least {MIN_BREAK_GLASS_REASON_CHARS} characters is required")]
    NoReason,
    /// Too long, or no time at all.
    #[error("a window lasts 1 to {GLASS_SECONDS_MAX} seconds")]
    Seconds,
    /// Not the number that was given, or one that was used.
    #[error("the request does not answer this task's latest challenge")]
    Challenge,
    /// Not signed with the key.
    #[error("the request is not signed with the break-glass key")]
    Signature,
    /// A window is open.
    #[error("a break-glass window is open already")]
    Open,
    /// The log did not take it, so it does not hold.
    #[error("the window could not be recorded")]
    Unrecorded,
}

/// Checks a demand; gives the escaped reason. The challenge is used up either way.
pub(crate) fn check(
    demand: &BreakGlass,
    key: Option<&BreakGlassKey>,
    session: &str,
    challenge: Option<Challenge>,
) -> Result<String, BreakGlassError> {
    let key = key.ok_or(BreakGlassError::NoKey)?;
    if demand.reason.trim().chars().count() < MIN_BREAK_GLASS_REASON_CHARS {
        return Err(BreakGlassError::NoReason);
    }
    if !(1..=GLASS_SECONDS_MAX).contains(&demand.seconds) {
        return Err(BreakGlassError::Seconds);
    }
    let given = challenge.ok_or(BreakGlassError::Challenge)?;
    if given.hex() != demand.challenge {
        return Err(BreakGlassError::Challenge);
    }
    let signature = hex::decode_exact::<64>(&demand.signature).ok_or(BreakGlassError::Signature)?;
    let message = BreakGlass::message(session, &demand.challenge, demand.seconds, &demand.reason);
    UnparsedPublicKey::new(&ED25519, key.0)
        .verify(&message, &signature)
        .map_err(|_| BreakGlassError::Signature)?;
    Ok(escape_short(demand.reason.trim(), MAX_REASON_CHARS))
}
