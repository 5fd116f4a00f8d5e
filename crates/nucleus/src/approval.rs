//! Approvals: a human lets one exact request through, once.

mod before;
mod book;
mod canonical;
mod glass;
mod grant;
mod operand;
mod past;
mod render;
mod setup;
mod similar;
mod state;
mod webhook;

pub use book::{AnswerRefused, ApprovalBook};
pub use glass::{BreakGlassError, BreakGlassKey};
pub use grant::{ApprovalKey, Nonce};
pub use past::Past;
pub use setup::ApprovalSetup;
pub use similar::RuleError;
pub use state::{Answer, ApprovalState, DecideError, SettledAs};
pub use webhook::{AnswerError, WebhookKey};

pub(crate) use book::{Consumed, Presented, Submitted};
pub(crate) use canonical::{ApprovalRequest, Subject};
pub(crate) use operand::{Operands, in_pod};
