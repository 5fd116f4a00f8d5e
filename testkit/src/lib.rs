//! Test fixtures, fakes and black-box suites. Nothing here ships.

pub mod script;
