#![doc = include_str!("../README.md")]
#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]

mod check;
mod checkpoint;
mod digest;
mod encoding;
mod error;
mod event;
mod header;
mod json;
mod key;
pub mod limits;
mod line;
mod merkle;
mod origin;
mod pair;
mod report;
mod store;
mod walk;

pub use checkpoint::Checkpoint;
pub use digest::Digest;
pub use error::{AppendError, Fault, LogError, Step};
pub use event::{Event, EventError, Phase};
pub use key::{CheckpointKey, CryptoError, Keys, MacMaster, PublicKey, VerifyKeys};
pub use origin::{Origin, OriginError};
pub use report::{Interrupted, PinState, Proved, Report, Torn, Verdict};
pub use store::clock::{Clock, SystemClock};
pub use store::disk::{AppendFile, Disk, HostDisk};
pub use store::inspect::{VerifyError, VerifyOptions, verify};
pub use store::keyfile::{CHECKPOINT_KEY_FILE, KeyError, MAC_KEY_FILE, PUBLIC_KEY_FILE};
pub use store::pinfile::PinError;
pub use store::read::{
    ApprovalHistory, ApprovalRecord, Entries, Entry, HistoryError, ReadError, approval_history,
    entries,
};
pub use store::writer::{Appended, Closed, Durability, Options, Ports, Writer};
