//! From a verified audit log to evidence that a person reads.
//!
//! [`Record::of`] joins the entries of a session's log into [`Step`]s: a call with its intent, verdict, outcome and cost is one
//! step. [`html::page`] writes a record as one self-contained page. Both are pure: whoever calls them has verified the log
//! ([`nucleus_log::verify`]) and read its entries; what verification found is part of the record, and every step says whether
//! it lies in the part of the log that holds.
//!
//! # Invariants
//! - Nothing here reads a file, a clock or the environment.
//! - A page loads nothing, runs nothing and links to nothing: its content security policy forbids it, and it has no need.
//! - Text of an agent's making cannot leave its place on a page: markup is escaped, and so is whatever hides or reorders text.

pub mod amount;
mod gather;
pub mod html;
pub mod limits;
mod member;
mod proof;
mod record;
mod step;

pub use proof::{Line, Mark, proof_lines};
pub use record::{Changes, Limits, Record, Totals};
pub use step::{Step, Tokens, Verdict};
