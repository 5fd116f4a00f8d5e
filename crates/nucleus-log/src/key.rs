//! Keys: the MAC master key with its ratchet, and the Ed25519 key of checkpoints.

use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair, ParsedPublicKey};
use aws_lc_rs::{constant_time, hkdf, hmac};
use zeroize::Zeroizing;

use crate::digest::Digest;
use crate::encoding::{hex, hex32, parse_hex};
use crate::origin::Origin;

const MAC_DOMAIN: &[u8] = b"nucleus-log/1 entry\n";
const HEADER_MAC_DOMAIN: &[u8] = b"nucleus-log/1 header mac\n";
const INFO_KEY_ID: &[u8] = b"nucleus-log/1 key id";
const INFO_HEADER: &[u8] = b"nucleus-log/1 header key";
const INFO_FIRST: &[u8] = b"nucleus-log/1 first epoch\n";
const INFO_NEXT: &[u8] = b"nucleus-log/1 next epoch";
const INFO_ENTRY: &[u8] = b"nucleus-log/1 entry key";

/// The crypto library refused: not expected, and treated as a failure of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the crypto library refused")]
pub struct CryptoError;

type Secret = Zeroizing<[u8; 32]>;

fn expand(salt: &[u8], secret: &[u8], info: &[&[u8]]) -> Result<Secret, CryptoError> {
    let mut out = Zeroizing::new([0; 32]);
    hkdf::Salt::new(hkdf::HKDF_SHA256, salt)
        .extract(secret)
        .expand(info, hkdf::HKDF_SHA256)
        .and_then(|okm| okm.fill(out.as_mut_slice()))
        .map_err(|_| CryptoError)?;
    Ok(out)
}

/// The symmetric master key: who holds it can verify, and forge, every MAC of every log under it.
///
/// It has no `Debug` that shows it, and is zeroed when dropped.
#[derive(Clone)]
pub struct MacMaster(Secret);

impl MacMaster {
    /// Takes 32 random bytes.
    #[must_use]
    pub fn new(bytes: [u8; 32]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// The key of segment headers, which tells nothing about the keys of entries.
    pub(crate) fn header_key(&self) -> Result<HeaderKey, CryptoError> {
        let id = hex(expand(b"", self.0.as_slice(), &[INFO_KEY_ID])?.get(..8).unwrap_or_default());
        let derived = expand(b"", self.0.as_slice(), &[INFO_HEADER])?;
        Ok(HeaderKey { id, mac: hmac::Key::new(hmac::HMAC_SHA256, derived.as_slice()) })
    }

    /// The key of a log's first epoch.
    pub(crate) fn first_epoch(
        &self,
        origin: &Origin,
        log_id: &str,
    ) -> Result<EpochKey, CryptoError> {
        let info = [INFO_FIRST, origin.as_str().as_bytes(), b"\n", log_id.as_bytes()];
        EpochKey::new(0, expand(b"", self.0.as_slice(), &info)?, origin)
    }
}

impl std::fmt::Debug for MacMaster {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("MacMaster(..)")
    }
}

/// The MAC key of segment headers.
pub(crate) struct HeaderKey {
    id: String,
    mac: hmac::Key,
}

impl HeaderKey {
    /// Names the master key without revealing it: 16 hexadecimal digits.
    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    /// MAC of a header's body.
    pub(crate) fn tag(&self, body: &[u8]) -> Result<[u8; 32], CryptoError> {
        let mut context = hmac::Context::with_key(&self.mac);
        context.update(HEADER_MAC_DOMAIN);
        context.update(body);
        context.sign().as_ref().try_into().map_err(|_| CryptoError)
    }
}

/// The MAC key of one epoch. The next can be computed from it, the one before cannot.
pub(crate) struct EpochKey {
    epoch: u64,
    chain: Secret,
    /// Has absorbed the domain and the origin.
    mac: hmac::Context,
    origin: Origin,
}

impl EpochKey {
    fn new(epoch: u64, chain: Secret, origin: &Origin) -> Result<Self, CryptoError> {
        let entry = expand(b"", chain.as_slice(), &[INFO_ENTRY])?;
        let mut mac = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, entry.as_slice()));
        mac.update(MAC_DOMAIN);
        mac.update(origin.as_str().as_bytes());
        mac.update(b"\n");
        Ok(Self { epoch, chain, mac, origin: origin.clone() })
    }

    pub(crate) const fn epoch(&self) -> u64 {
        self.epoch
    }

    /// Becomes the key of a later epoch; the keys before it are zeroed. There is no way back.
    pub(crate) fn forward_to(&mut self, epoch: u64) -> Result<(), CryptoError> {
        while self.epoch < epoch {
            let next = expand(b"", self.chain.as_slice(), &[INFO_NEXT])?;
            *self = Self::new(self.epoch.saturating_add(1), next, &self.origin)?;
        }
        if self.epoch == epoch { Ok(()) } else { Err(CryptoError) }
    }

    /// A second handle on the same key, for another thread.
    pub(crate) fn share(&self) -> Self {
        Self {
            epoch: self.epoch,
            chain: self.chain.clone(),
            mac: self.mac.clone(),
            origin: self.origin.clone(),
        }
    }

    /// MAC of a line whose signature member is cut out: `head` and the closing brace.
    pub(crate) fn tag(&self, head: &[u8]) -> [u8; 32] {
        let mut context = self.mac.clone();
        context.update(head);
        context.update(b"}");
        context.sign().as_ref().first_chunk().copied().unwrap_or_default()
    }

    /// True if `tag` is the MAC of `head` in hexadecimal; constant time in the tag.
    pub(crate) fn accepts(&self, head: &[u8], tag: &[u8]) -> bool {
        constant_time::verify_slices_are_equal(&hex32(&self.tag(head)), tag).is_ok()
    }
}

/// The Ed25519 public key that checks headers and checkpoints.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct PublicKey([u8; 32]);

impl PublicKey {
    const PREFIX: &'static str = "ed25519:";

    /// Takes the 32 bytes of an Ed25519 public key.
    #[must_use]
    pub const fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Reads the text form: `ed25519:` and 64 lowercase hexadecimal digits.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        parse_hex(text.strip_prefix(Self::PREFIX)?.as_bytes()).map(Self)
    }

    /// The 32 bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    pub(crate) fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        ParsedPublicKey::new(&ED25519, self.0)
            .is_ok_and(|key| key.verify_sig(message, signature).is_ok())
    }
}

impl std::fmt::Display for PublicKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}{}", Self::PREFIX, Digest::from_bytes(self.0))
    }
}

impl std::fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "PublicKey({self})")
    }
}

/// The Ed25519 key that signs headers and checkpoints.
#[derive(Clone)]
pub struct CheckpointKey(Secret);

impl CheckpointKey {
    /// Takes a 32-byte seed.
    #[must_use]
    pub fn from_seed(seed: [u8; 32]) -> Self {
        Self(Zeroizing::new(seed))
    }

    /// The public half.
    ///
    /// # Errors
    /// [`CryptoError`] when the crypto library refuses the seed.
    pub fn public(&self) -> Result<PublicKey, CryptoError> {
        let pair = self.pair()?;
        pair.public_key().as_ref().try_into().map(PublicKey).map_err(|_| CryptoError)
    }

    pub(crate) fn pair(&self) -> Result<Ed25519KeyPair, CryptoError> {
        Ed25519KeyPair::from_seed_unchecked(self.0.as_slice()).map_err(|_| CryptoError)
    }
}

impl std::fmt::Debug for CheckpointKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("CheckpointKey(..)")
    }
}

/// Everything a writer needs.
#[derive(Debug, Clone)]
pub struct Keys {
    pub(crate) mac: MacMaster,
    pub(crate) checkpoint: CheckpointKey,
}

impl Keys {
    /// Joins the two keys.
    #[must_use]
    pub const fn new(mac: MacMaster, checkpoint: CheckpointKey) -> Self {
        Self { mac, checkpoint }
    }

    /// What verifies the logs written with these keys.
    ///
    /// # Errors
    /// [`CryptoError`] when the crypto library refuses the seed.
    pub fn verify_keys(&self) -> Result<VerifyKeys, CryptoError> {
        Ok(VerifyKeys { mac: Some(self.mac.clone()), public: Some(self.checkpoint.public()?) })
    }
}

/// What a verifier trusts. With neither key nothing can be verified.
#[derive(Debug, Clone, Default)]
pub struct VerifyKeys {
    /// The MAC master key.
    pub mac: Option<MacMaster>,
    /// The public key of checkpoints.
    pub public: Option<PublicKey>,
}
