//! Faults: processes of Nucleus killed at any point, signals, a full disk. Whatever happens, the log verifies, no
//! effect is without its intent, nothing runs on, and the workspace is the old one or, after `nucleus apply`, the
//! new one.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test says what broke by ending there"
)]

#[path = "faults/apply.rs"]
mod apply;
#[path = "faults/chance.rs"]
mod chance;
#[path = "faults/ledger.rs"]
mod ledger;
#[path = "faults/proxy.rs"]
mod proxy;
#[path = "faults/signals.rs"]
mod signals;
#[path = "faults/space.rs"]
mod space;
#[path = "faults/work.rs"]
mod work;
