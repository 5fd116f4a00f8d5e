#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]
#![deny(clippy::arithmetic_side_effects)]

pub mod approvals;
pub mod changeset;
pub mod config;
pub mod control;
pub mod display;
pub mod file;
pub mod hex;
pub mod json;
pub mod limits;
pub mod login;
pub mod mcp;
pub mod permissions;
pub mod profile;
mod suggest;
pub mod terminal;
mod text;
pub mod tool;
