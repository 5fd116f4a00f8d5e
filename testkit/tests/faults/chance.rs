//! Random points, the same again for the same seed.

use std::time::Duration;

/// Fixes the seed of a run.
const SEED: &str = "NUCLEUS_TEST_SEED";

/// A generator of random numbers (xorshift*), good enough to choose moments.
pub(crate) struct Chance {
    state: u64,
}

impl Chance {
    /// Seeded by `NUCLEUS_TEST_SEED` or the clock; the seed is printed.
    pub(crate) fn new(test: &str) -> Self {
        let given = std::env::var(SEED).ok().and_then(|text| text.parse().ok());
        let clock = || {
            std::time::SystemTime::now()
                .duration_since(std::time::UNIX_EPOCH)
                .map_or(1, |t| t.as_micros())
        };
        let seed = given.unwrap_or_else(|| u64::try_from(clock()).unwrap_or(1)).max(1);
        eprintln!("{test}: seed {seed} ({SEED}={seed} repeats the choices)");
        Self { state: seed }
    }

    /// A number below `bound`.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.state ^= self.state >> 12;
        self.state ^= self.state << 25;
        self.state ^= self.state >> 27;
        self.state.wrapping_mul(0x2545_F491_4F6C_DD1D).rotate_right(32) % bound.max(1)
    }

    /// A time below `bound`.
    pub(crate) fn time(&mut self, bound: Duration) -> Duration {
        Duration::from_micros(self.below(u64::try_from(bound.as_micros()).unwrap_or(u64::MAX)))
    }
}
