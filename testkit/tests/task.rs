//! Whole tasks as a user lives them: nothing of theirs is overwritten, what is held can be reviewed, questions are
//! asked once, real toolchains work, and every end has its code.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test says what broke by ending there"
)]

#[path = "task/approval.rs"]
mod approval;
#[path = "task/changes.rs"]
mod changes;
#[path = "task/conflict.rs"]
mod conflict;
#[path = "task/ending.rs"]
mod ending;
#[path = "task/kept.rs"]
mod kept;
#[path = "task/meeting.rs"]
mod meeting;
#[path = "task/review.rs"]
mod review;
#[path = "task/scope.rs"]
mod scope;
#[path = "task/toolchain.rs"]
mod toolchain;
#[path = "task/undo.rs"]
mod undo;
#[path = "task/withheld.rs"]
mod withheld;
