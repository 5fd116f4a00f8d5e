//! Limits of this crate, units in the names.

/// Longest text of an agent's making shown in one place, in characters; a cut is visible.
pub const TEXT_CHARS_MAX: usize = 2_000;
/// Steps shown on a page; it says how many more there are.
pub const PAGE_STEPS_MAX: usize = 20_000;
/// Points of the budget curve; more are thinned out, the last one always stays.
pub const CURVE_POINTS_MAX: usize = 500;
