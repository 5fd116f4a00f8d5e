//! The agent's home in its pod, and the context files it may read.
//!
//! The home persists per agent and workspace, so that a client can continue its own sessions. The agent writes it, so
//! everything here reaches it through a held directory and no symbolic link.

pub mod context;
mod data;
mod document;
mod json;
mod markdown;
mod seed;

pub(crate) use seed::clear_away;
pub use seed::{HomeError, SeededHome, seed, workspace_hash};
