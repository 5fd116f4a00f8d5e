//! Bytes to types with limits.

pub mod control;
