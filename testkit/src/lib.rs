//! Test fixtures, fakes and black-box suites. Nothing here ships.

pub mod host;
pub mod script;
