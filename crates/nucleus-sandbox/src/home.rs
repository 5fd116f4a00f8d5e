//! The agent's home in its pod, and the context files it may read.
//!
//! The home persists per agent and workspace, so that a client can continue its own sessions. The agent writes it, so
//! everything here reaches it through a held directory and no symbolic link, and what programs would take for
//! configuration or run goes at each start: it would be an earlier task's word in a later one, under another policy.

pub mod context;
mod data;
mod document;
mod json;
mod markdown;
mod seed;

pub use seed::{HomeError, SeededHome, seed, workspace_hash};
