//! What earlier processes of a task left behind, read from its log: nothing about a grant lives anywhere else.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use nucleus_log::{ApprovalRecord, HistoryError, VerifyKeys, approval_history};
use nucleus_wire::hex;

use super::grant::Nonce;
use super::state::SettledAs;
use crate::digest::Digest;

/// The approvals of a task before this process.
#[derive(Debug, Clone, Default)]
pub struct Past {
    /// Nonces that are used.
    pub(crate) used: BTreeSet<Nonce>,
    /// Requests that were ever made; none of them can be decided or used any more.
    pub(crate) requests: BTreeMap<String, Gone>,
    /// No clock of this task may be behind it.
    pub(crate) latest_ms: u64,
}

/// A request of an earlier process.
#[derive(Debug, Clone)]
pub(crate) struct Gone {
    pub(crate) state: SettledAs,
    pub(crate) digest: Option<Digest>,
}

impl Past {
    /// Reads a log that is not being written.
    ///
    /// # Errors
    /// The log does not verify: nothing may be granted then.
    pub fn of_log(path: &Path, keys: &VerifyKeys) -> Result<Self, HistoryError> {
        let history = approval_history(path, keys)?;
        Ok(Self {
            used: history.used_nonces.iter().filter_map(|text| Nonce::parse(text)).collect(),
            requests: history.requests.into_iter().map(|(id, record)| (id, gone(record))).collect(),
            latest_ms: history.latest_ms,
        })
    }

    /// Refusals that still hold: digest, id, words.
    pub(crate) fn refusals(&self) -> impl Iterator<Item = (Digest, &str, Option<&str>)> {
        self.requests.iter().filter_map(|(id, gone)| match (&gone.state, gone.digest) {
            (SettledAs::Refused { reason }, Some(digest)) => {
                Some((digest, id.as_str(), reason.as_deref()))
            }
            _ => None,
        })
    }
}

fn gone(record: ApprovalRecord) -> Gone {
    let state = match record.state.as_str() {
        "used" => SettledAs::Used,
        "refused" => SettledAs::Refused { reason: record.reason },
        "expired" => SettledAs::Expired,
        // Whoever waited for it, or could have used it, died with the process.
        _ => SettledAs::Withdrawn,
    };
    Gone { state, digest: hex::decode_exact::<32>(&record.digest).map(Digest::from_bytes) }
}
