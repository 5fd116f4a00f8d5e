//! `cargo xtask bench`.

use crate::Options;

/// Placeholder until the benches are wired.
pub(crate) fn run(_options: Options) -> Result<(), String> {
    Err("no benches yet".to_owned())
}
