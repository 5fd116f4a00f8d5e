//! Approvals from anywhere: the socket of a running task, who may open it, what an answer does, and what it never does.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a fixture that cannot be set up ends its test"
)]

#[path = "approvals/answer.rs"]
mod answer;
#[path = "approvals/attach.rs"]
mod attach;
#[path = "approvals/catalogue.rs"]
mod catalogue;
#[path = "approvals/desk.rs"]
mod desk;
#[path = "approvals/hook.rs"]
mod hook;
#[path = "approvals/peer.rs"]
mod peer;
#[path = "approvals/rule.rs"]
mod rule;
#[path = "approvals/watch.rs"]
mod watch;
#[path = "approvals/whole.rs"]
mod whole;
