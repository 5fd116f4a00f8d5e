//! The tools: what an agent can do to files and processes, once the act room lets it.
//!
//! [`perform`] is the only way in, and it takes the [`Warrant`] of a call whose intent is in the log. A tool decides
//! nothing: it resolves, asks the call's [`PathGuard`] about what a path really is, does its one effect within
//! the call's bounds, and says what it did.

mod bounds;
mod edit;
pub(crate) mod error;
mod glob;
mod grep;
mod image;
pub(crate) mod limits;
mod pattern;
mod perform;
mod read;
mod replace;
mod resolver;
mod run;
#[cfg(test)]
mod testing;
pub(crate) mod text;
mod tree;
mod write;

pub(crate) use edit::{EditArgs, edited};
pub(crate) use error::{Kind, ToolError};
pub(crate) use image::names_image;
pub(crate) use perform::perform;
pub(crate) use resolver::Resolver;
