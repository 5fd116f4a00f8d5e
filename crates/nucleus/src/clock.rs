//! The host's clocks.

use std::time::{SystemTime, UNIX_EPOCH};

use rustix::time::{ClockId, clock_gettime};

use crate::port::Clock;

/// Where the kernel tells the identity of this boot.
const BOOT_ID_FILE: &str = "/proc/sys/kernel/random/boot_id";

/// [`Clock`] over the host's own clocks.
#[derive(Debug)]
pub struct SystemClock {
    boot_id: String,
}

impl SystemClock {
    /// Reads the boot identity once.
    ///
    /// # Errors
    /// When `/proc` does not tell it.
    pub fn new() -> std::io::Result<Self> {
        Ok(Self { boot_id: std::fs::read_to_string(BOOT_ID_FILE)?.trim().to_owned() })
    }
}

impl Clock for SystemClock {
    fn wall_ms(&self) -> u64 {
        // A clock before 1970 reads as 0: every window that has a beginning is then closed.
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    }

    fn monotonic_ns(&self) -> u64 {
        // Boot time goes on while the machine sleeps: expiry must not stop with it.
        let now = clock_gettime(ClockId::Boottime);
        let seconds = u64::try_from(now.tv_sec).unwrap_or(0);
        let nanoseconds = u64::try_from(now.tv_nsec).unwrap_or(0);
        seconds.saturating_mul(1_000_000_000).saturating_add(nanoseconds)
    }

    fn boot_id(&self) -> &str {
        &self.boot_id
    }
}

#[cfg(test)]
mod tests {
    use super::SystemClock;
    use crate::port::Clock;

    #[test]
    fn time_goes_forward() {
        let clock = SystemClock::new().unwrap();
        let first = clock.monotonic_ns();
        assert!(clock.monotonic_ns() >= first);
        assert!(clock.wall_ms() > 1_700_000_000_000);
        assert_eq!(clock.boot_id().len(), 36);
    }
}
