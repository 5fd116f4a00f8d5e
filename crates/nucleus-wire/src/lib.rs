//! Bytes to types with limits.

pub mod control;
pub mod display;
