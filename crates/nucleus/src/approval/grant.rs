//! The token a human's yes turns into.
//!
//! HMAC-SHA256 over the digest of one request, the task, the policy, an expiry and a nonce that is good once.
//! The key never leaves the enforcement process. A MAC proves integrity to whoever holds the key; it cannot
//! prove to a third party who approved.

use std::fmt;

use aws_lc_rs::hmac;
use nucleus_wire::hex;
use rustix::rand::{GetRandomFlags, getrandom};

use crate::digest::Digest;
use crate::refusal::Unexpected;

/// First field of a token; also separates these MACs from all others.
const VERSION: &str = "ng1";
const NONCE_BYTES: usize = 16;
const KEY_BYTES: usize = 32;

/// Random bytes of the kernel. The crypto library's own generator gathers jitter for some 20 ms before its first byte.
///
/// # Errors
/// When the host gives no random numbers.
pub(super) fn random<const N: usize>(bytes: &mut [u8; N]) -> Result<(), Unexpected> {
    // The kernel gives up to 256 bytes at once or none.
    match getrandom(bytes, GetRandomFlags::empty()) {
        Ok(given) if given == N => Ok(()),
        _ => Err(Unexpected::Random),
    }
}

/// The key that grants of one task are made with.
pub struct ApprovalKey(hmac::Key);

impl ApprovalKey {
    /// A fresh random key.
    ///
    /// # Errors
    /// When the host gives no random numbers.
    pub fn generate() -> Result<Self, Unexpected> {
        let mut bytes = [0; KEY_BYTES];
        random(&mut bytes)?;
        Ok(Self::from_bytes(&bytes))
    }

    /// No process keeps these bytes: the key, and every unused grant made with it, ends with the process.
    #[must_use]
    pub(crate) fn from_bytes(bytes: &[u8; KEY_BYTES]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, bytes))
    }

    /// A token for these claims.
    pub(crate) fn mint(&self, claims: &Claims) -> Token {
        let body = claims.body();
        let mac = hmac::sign(&self.0, body.as_bytes());
        Token(format!("{body}.{}", hex::encode(mac.as_ref())))
    }

    /// The claims of a token that this key made.
    pub(crate) fn verify(&self, token: &Token) -> Result<Claims, GrantError> {
        let (body, mac) = token.0.rsplit_once('.').ok_or(GrantError::Forged)?;
        let mac = hex::decode_exact::<32>(mac).ok_or(GrantError::Forged)?;
        hmac::verify(&self.0, body.as_bytes(), &mac).map_err(|_| GrantError::Forged)?;
        Claims::parse(body).ok_or(GrantError::Forged)
    }
}

impl fmt::Debug for ApprovalKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ApprovalKey(..)")
    }
}

/// A number used once.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Nonce([u8; NONCE_BYTES]);

impl Nonce {
    pub(crate) fn random() -> Result<Self, Unexpected> {
        let mut bytes = [0; NONCE_BYTES];
        random(&mut bytes)?;
        Ok(Self(bytes))
    }

    /// Lower-case hex, as in the log.
    #[must_use]
    pub fn hex(&self) -> String {
        hex::encode(&self.0)
    }

    /// From the hex in the log.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        hex::decode_exact(text).map(Self)
    }
}

impl fmt::Debug for Nonce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.hex())
    }
}

/// A grant as it is kept: text, MAC last.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Token(pub(crate) String);

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(..)")
    }
}

/// What a token says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Claims {
    pub(crate) request: Digest,
    pub(crate) task: Digest,
    pub(crate) policy: Digest,
    pub(crate) expires_ms: u64,
    pub(crate) nonce: Nonce,
}

impl Claims {
    fn body(&self) -> String {
        format!(
            "{VERSION}.{}.{}.{}.{}.{}",
            self.request,
            self.task,
            self.policy,
            self.expires_ms,
            self.nonce.hex()
        )
    }

    fn parse(body: &str) -> Option<Self> {
        let mut fields = body.split('.');
        if fields.next()? != VERSION {
            return None;
        }
        let mut digest = || hex::decode_exact::<32>(fields.next()?).map(Digest::from_bytes);
        let (request, task, policy) = (digest()?, digest()?, digest()?);
        let expires_ms = fields.next()?.parse().ok()?;
        let nonce = Nonce::parse(fields.next()?)?;
        fields.next().is_none().then_some(Self { request, task, policy, expires_ms, nonce })
    }
}

/// Why a grant does not let a call through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum GrantError {
    #[error("the grant was not made with this task's key, or was changed")]
    Forged,
    #[error("the grant is for another request")]
    OtherRequest,
    #[error("the grant is for another task")]
    OtherTask,
    #[error("the grant was given under another policy")]
    OtherPolicy,
    #[error("the grant has expired")]
    Expired,
    #[error("the grant was used")]
    Used,
}

#[cfg(test)]
mod tests {
    use super::{ApprovalKey, Claims, GrantError, Nonce, Token};
    use crate::digest::Digest;

    fn claims() -> Claims {
        Claims {
            request: Digest::of(b"request"),
            task: Digest::of(b"task"),
            policy: Digest::of(b"policy"),
            expires_ms: 1_234,
            nonce: Nonce([7; 16]),
        }
    }

    #[test]
    fn a_token_comes_back_as_its_claims() {
        let key = ApprovalKey::generate().unwrap();
        assert_eq!(key.verify(&key.mint(&claims())), Ok(claims()));
    }

    #[test]
    fn every_changed_byte_is_noticed() {
        let key = ApprovalKey::generate().unwrap();
        let Token(text) = key.mint(&claims());
        for at in 0..text.len() {
            let mut bytes = text.clone().into_bytes();
            bytes[at] = if bytes[at] == b'1' { b'2' } else { b'1' };
            let changed = Token(String::from_utf8(bytes).unwrap());
            assert_eq!(key.verify(&changed), Err(GrantError::Forged), "byte {at}");
        }
        assert_eq!(key.verify(&Token(String::new())), Err(GrantError::Forged));
        assert_eq!(key.verify(&Token(format!("{text}00"))), Err(GrantError::Forged));
    }

    #[test]
    fn another_key_makes_no_valid_token() {
        let other = ApprovalKey::generate().unwrap();
        let token = other.mint(&claims());
        assert_eq!(ApprovalKey::generate().unwrap().verify(&token), Err(GrantError::Forged));
    }
}
