//! The laws of the order and of the decision, for every dimension and for the whole.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "values of a test's own making")]

mod arbitrary;
mod decision;
mod order;
