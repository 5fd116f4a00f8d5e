//! Times of one thing, and what is told of them.

use std::time::{Duration, Instant};

/// Percentiles, in microseconds.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Quantiles {
    /// The middle one.
    pub p50: f64,
    /// The 99th of a hundred.
    pub p99: f64,
}

impl Quantiles {
    /// Of times taken.
    pub(super) fn of(mut times: Vec<Duration>) -> Self {
        times.sort_unstable();
        let at = |percent: usize| {
            times.get(times.len().saturating_mul(percent) / 100).copied().map_or(0.0, micros)
        };
        Self { p50: at(50), p99: at(99) }
    }
}

/// Times an action, after a few rounds that do not count.
pub(super) fn measure(
    rounds: usize,
    mut action: impl FnMut() -> Result<(), String>,
) -> Result<Quantiles, String> {
    for _ in 0..rounds.div_ceil(10) {
        action()?;
    }
    let mut times = Vec::with_capacity(rounds);
    for _ in 0..rounds {
        let begun = Instant::now();
        action()?;
        times.push(begun.elapsed());
    }
    Ok(Quantiles::of(times))
}

/// As microseconds.
pub(super) fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}
