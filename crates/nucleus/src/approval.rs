//! Approvals: a human lets one exact request through, once.

mod book;
mod canonical;
mod grant;
mod operand;
mod render;
mod setup;
mod state;

pub use book::ApprovalBook;
pub use grant::{ApprovalKey, Nonce};
pub use setup::ApprovalSetup;
pub use state::{ApprovalState, DecideError, SettledAs};

pub(crate) use book::{Consumed, Presented, Submitted};
pub(crate) use canonical::{ApprovalRequest, Subject};
pub(crate) use operand::{Operands, in_pod};
