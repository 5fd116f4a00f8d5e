//! Approvals: a human lets one exact request through, once.

mod book;
mod canonical;
mod grant;
mod operand;
mod render;

pub use book::{ApprovalBook, ApprovalSetup, ApprovalState, DecideError, SettledAs};
pub use grant::{ApprovalKey, Nonce};

pub(crate) use book::{Consumed, Presented, Submitted};
pub(crate) use canonical::{ApprovalRequest, Subject};
pub(crate) use operand::{Operands, in_pod};
