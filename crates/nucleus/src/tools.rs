//! The tools: what an agent can do to files and processes, once the act room lets it.
mod bounds;
mod edit;
pub(crate) mod error;
mod glob;
mod grep;
pub(crate) mod limits;
mod pattern;
mod read;
mod replace;
mod resolver;
pub(crate) mod text;
mod tree;
mod write;
