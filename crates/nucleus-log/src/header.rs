//! The signed header that every segment's first line is bound to.

use aws_lc_rs::constant_time;
use aws_lc_rs::signature::Ed25519KeyPair;
use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::encoding::{hex, parse_hex};
use crate::key::{CryptoError, HeaderKey, VerifyKeys};
use crate::limits::{MAX_HEADER_BYTES, MAX_SEGMENTS};
use crate::origin::Origin;

const SIGN_DOMAIN: &[u8] = b"nucleus-log/1 header signature\n";
/// Name and version of the format.
pub(crate) const FORMAT: &str = "nucleus-log/1";
const MAC: &str = ",\"mac\":\"hmac-sha256:";
const SIGNATURE: &str = ",\"signature\":\"ed25519:";

/// What a header says, in the order of its members.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct HeaderBody {
    pub(crate) format: String,
    pub(crate) origin: Origin,
    pub(crate) log_id: String,
    pub(crate) created: String,
    pub(crate) segment: u32,
    pub(crate) first_sequence: u64,
    pub(crate) first_epoch: u64,
    pub(crate) epoch_entries: u64,
    pub(crate) previous_hash: Digest,
    pub(crate) mac_key_id: String,
    pub(crate) public_key: String,
}

/// A header as read: its body, its bytes' digest, and the parts that authenticate it.
#[derive(Debug, Clone)]
pub(crate) struct Header {
    pub(crate) body: HeaderBody,
    pub(crate) digest: Digest,
    mac: [u8; 32],
    signature: [u8; 64],
    mac_covers: Vec<u8>,
    signature_covers: Vec<u8>,
}

/// What a header's authentication came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Authentic {
    /// Every key that was given accepts it.
    Yes,
    /// It names another key than the one given.
    OtherKey,
    /// It names the given key, which does not accept it.
    No,
}

impl HeaderBody {
    /// The header's line, authenticated, with its newline.
    pub(crate) fn seal(
        &self,
        key: &HeaderKey,
        pair: &Ed25519KeyPair,
    ) -> Result<Vec<u8>, CryptoError> {
        let mut text = serde_json::to_string(self).map_err(|_| CryptoError)?;
        text.pop();
        let mac = key.tag(text.as_bytes())?;
        text.push_str(MAC);
        text.push_str(&hex(&mac));
        text.push('"');
        let mut covered = SIGN_DOMAIN.to_vec();
        covered.extend_from_slice(text.as_bytes());
        text.push_str(SIGNATURE);
        text.push_str(&hex(pair.try_sign(&covered).map_err(|_| CryptoError)?.as_ref()));
        text.push_str("\"}\n");
        Ok(text.into_bytes())
    }
}

impl Header {
    /// Reads a header file; `None` if it breaks a rule of the format. Says nothing about who wrote it.
    pub(crate) fn parse(file: &[u8]) -> Option<Self> {
        if file.len() > MAX_HEADER_BYTES {
            return None;
        }
        let line = std::str::from_utf8(file).ok()?.strip_suffix('\n')?;
        let (before, signature) = line.strip_suffix("\"}")?.rsplit_once(SIGNATURE)?;
        let (body, mac) = before.strip_suffix('"')?.rsplit_once(MAC)?;
        let parsed: HeaderBody = serde_json::from_str(&format!("{body}}}")).ok()?;
        let canonical = serde_json::to_string(&parsed).ok()?;
        let sound = canonical.strip_suffix('}') == Some(body)
            && parsed.format == FORMAT
            && parsed.segment < MAX_SEGMENTS
            && parsed.epoch_entries > 0
            && parsed.first_sequence > 0;
        sound.then_some(())?;
        Some(Self {
            body: parsed,
            digest: Digest::of(line.as_bytes()),
            mac: parse_hex(mac.as_bytes())?,
            signature: parse_hex(signature.as_bytes())?,
            mac_covers: body.as_bytes().to_vec(),
            signature_covers: [SIGN_DOMAIN, before.as_bytes()].concat(),
        })
    }

    /// Checks the header against every key that was given.
    pub(crate) fn authentic(&self, keys: &VerifyKeys) -> Result<Authentic, CryptoError> {
        let mut verdict = Authentic::Yes;
        if let Some(public) = &keys.public {
            if self.body.public_key != public.to_string() {
                return Ok(Authentic::OtherKey);
            }
            if !public.verify(&self.signature_covers, &self.signature) {
                verdict = Authentic::No;
            }
        }
        if let Some(mac) = &keys.mac {
            let key = mac.header_key()?;
            if self.body.mac_key_id != key.id() {
                return Ok(Authentic::OtherKey);
            }
            let tag = key.tag(&self.mac_covers)?;
            if constant_time::verify_slices_are_equal(&tag, &self.mac).is_err() {
                verdict = Authentic::No;
            }
        }
        Ok(verdict)
    }

    /// Epoch and position in it of an entry of this segment.
    pub(crate) fn epoch_of(&self, sequence: u64) -> u64 {
        let offset = sequence.saturating_sub(self.body.first_sequence);
        let epochs = offset.checked_div(self.body.epoch_entries).unwrap_or(0);
        self.body.first_epoch.saturating_add(epochs)
    }
}

#[cfg(test)]
mod tests;
