//! Bytes to types with limits.
#![forbid(unsafe_code)]
#![deny(clippy::arithmetic_side_effects)]

pub mod control;
pub mod display;
pub mod json;
pub mod limits;
pub mod mcp;
mod suggest;
mod text;
pub mod tool;
