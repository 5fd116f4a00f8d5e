//! The seven rooms from outside, with fake pods and a real log.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

#[path = "pipeline/approvals.rs"]
mod approvals;
#[path = "pipeline/calls.rs"]
mod calls;
#[path = "pipeline/concurrency.rs"]
mod concurrency;
#[path = "pipeline/faults.rs"]
mod faults;
#[path = "pipeline/model.rs"]
mod model;
#[path = "pipeline/packages.rs"]
mod packages;
#[path = "pipeline/prompt.rs"]
mod prompt;
#[path = "pipeline/support.rs"]
mod support;
