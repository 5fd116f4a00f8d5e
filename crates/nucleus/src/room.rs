//! One tool call, seven rooms.
//!
//! ```text
//! PARSE ─▶ IDENTIFY ─▶ DECIDE ─▶ RESERVE ─▶ RECORD ─▶ ACT ─▶ SETTLE
//! Parsed → Identified → Permitted → Reserved → Recorded → Acted → ToolResult
//!                     ↘ Parked (a human is asked) ─▶ Permitted
//!                     ↘ Denied ───────────────────────────────▶ ToolResult
//! ```
//!
//! Each value is made by the room before it, consumed by the next, and cannot be copied: a call that skips a
//! room does not compile. [`Executor`](crate::Executor) walks them in order; nothing else needs to.

mod act;
mod decide;
mod deny;
mod identify;
mod park;
mod parse;
mod prompt;
mod record;
mod reserve;
mod settle;

pub use act::Acted;
pub use decide::{Permitted, Ruling};
pub use deny::Denied;
pub use identify::Identified;
pub use park::{Asked, Parked};
pub use parse::Parsed;
pub use prompt::OwnTools;
pub use record::{NotRecorded, Recorded};
pub use reserve::Reserved;

pub(crate) use decide::budget_view;
pub(crate) use reserve::over_budget;
