//! Test fixtures, fakes and black-box suites. Nothing here ships.

pub mod anthropic;
pub mod host;
pub mod script;
