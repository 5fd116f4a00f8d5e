#![doc = include_str!("../README.md")]

mod approval;
mod approved;
mod budget;
mod caller;
mod cancel;
mod clock;
mod command;
mod digest;
mod effect;
mod egress;
mod ending;
mod error;
mod executor;
mod flood;
mod jobs;
pub mod limits;
mod model;
mod open;
mod packages;
mod pool;
mod port;
mod recorder;
mod refusal;
mod result;
pub mod room;
mod sandbox;
mod sanitize;
mod session;
mod sync;
mod tools;
mod turned;

pub use approval::{
    Answer, AnswerError, AnswerRefused, ApprovalBook, ApprovalKey, ApprovalSetup, ApprovalState,
    BreakGlassError, BreakGlassKey, DecideError, Nonce, Past, RuleError, SettledAs, WebhookKey,
};
pub use approved::Approved;
pub use budget::{Amount, AtomicBudget, BudgetExceeded, BudgetUnit, Reservation};
pub use caller::{BadPrincipal, Caller, Channel, Principal};
pub use cancel::Cancel;
pub use clock::SystemClock;
pub use command::CommandTicket;
pub use digest::Digest;
pub use ending::CommandEnding;
pub use error::ExecutorError;
pub use executor::{Executor, RunOutput};
pub use model::{ModelCallRequest, ModelTicket, ModelUsage};
pub use packages::{PackageFetchRequest, PackageTicket};
pub use pool::{Busy, Pool};
pub use port::{
    Approver, Clock, Exit, Feed, NoProgress, Program, Progress, RunSpec, Runner, RunnerError,
    Running, Workspace,
};
pub use recorder::Recorder;
pub use refusal::{Refusal, Unexpected, fail_closed};
pub use result::{Ending, Image, ToolResult};
pub use room::OwnTools;
pub use sandbox::{Sandbox, SandboxParts};
pub use sanitize::Sanitizer;
pub use turned::TurnedAway;
