//! The enforcement point of Nucleus.

mod approval;
mod budget;
mod caller;
mod cancel;
mod clock;
mod digest;
mod effect;
mod flood;
mod jobs;
mod limits;
mod pool;
mod port;
mod recorder;
mod refusal;
mod result;
mod sanitize;
mod sync;
mod tools;

pub use approval::{
    ApprovalBook, ApprovalKey, ApprovalSetup, ApprovalState, DecideError, Nonce, SettledAs,
};
pub use budget::{Amount, AtomicBudget, BudgetExceeded, BudgetUnit, Reservation};
pub use caller::{BadPrincipal, Caller, Channel, Principal};
pub use cancel::Cancel;
pub use clock::SystemClock;
pub use digest::Digest;
pub use pool::{Busy, Pool};
pub use port::{
    Approver, Clock, Exit, Feed, NoProgress, Program, Progress, RunSpec, Runner, RunnerError,
    Running, Workspace,
};
pub use recorder::Recorder;
pub use refusal::{Refusal, Unexpected, fail_closed};
pub use result::{Ending, ToolResult};
