//! The record of a session: `nucleus replay`, and `nucleus report` as a real browser shows it. Whatever an agent wrote stays
//! text, and what the log does not prove is not shown as if it did.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test says what broke by ending there")]

#[path = "report/control.rs"]
mod control;
#[path = "report/malformed.rs"]
mod malformed;
#[path = "report/page.rs"]
mod page;
#[path = "report/session.rs"]
mod session;
#[path = "report/trust.rs"]
mod trust;
