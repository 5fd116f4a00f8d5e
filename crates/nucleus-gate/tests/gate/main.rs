//! Black-box tests of the gate: a real client socket on one side, a stand-in for the provider on the other.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    unreachable_pub,
    reason = "helpers of tests fail like tests do, and are shared between the modules of this one program"
)]

mod book;
mod hostile;
mod login;
mod providers;
mod refuse;
mod relay;
mod support;
mod tunnel;
