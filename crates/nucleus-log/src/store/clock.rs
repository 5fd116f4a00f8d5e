//! Time, as a port.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use jiff::Timestamp;
use jiff::fmt::strtime;

/// The clocks a log needs.
pub trait Clock: Send + Sync {
    /// Milliseconds since 1970 by the wall clock. May step either way.
    fn wall_ms(&self) -> i64;
    /// Microseconds since boot.
    fn monotonic_us(&self) -> u64;
    /// Identifier of this boot.
    fn boot_id(&self) -> &str;
    /// For timeouts.
    fn instant(&self) -> Instant {
        Instant::now()
    }
}

/// The clocks of the host.
#[derive(Debug, Clone)]
pub struct SystemClock {
    boot_id: String,
}

impl SystemClock {
    /// Reads the boot id; where the host offers none, it is `unknown`.
    #[must_use]
    pub fn new() -> Self {
        let boot_id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id")
            .map_or_else(|_| "unknown".to_owned(), |id| id.trim().chars().take(64).collect());
        Self { boot_id }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SystemClock {
    fn wall_ms(&self) -> i64 {
        now_ms()
    }

    fn monotonic_us(&self) -> u64 {
        let time = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
        let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
        let micros = u64::try_from(time.tv_nsec).unwrap_or(0).checked_div(1_000).unwrap_or(0);
        seconds.saturating_mul(1_000_000).saturating_add(micros)
    }

    fn boot_id(&self) -> &str {
        &self.boot_id
    }
}

/// Milliseconds since 1970 by the host's wall clock.
pub(crate) fn now_ms() -> i64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .ok()
        .and_then(|since| i64::try_from(since.as_millis()).ok())
        .unwrap_or(0)
}

/// RFC 3339 in UTC with milliseconds. Times outside the years 0 to 9999 are written as 1970.
pub(crate) fn rfc3339(wall_ms: i64) -> String {
    Timestamp::from_millisecond(wall_ms)
        .ok()
        .and_then(|time| strtime::format("%Y-%m-%dT%H:%M:%S.%3fZ", time).ok())
        .filter(|text| crate::line::is_timestamp(text.as_bytes()))
        .unwrap_or_else(|| "1970-01-01T00:00:00.000Z".to_owned())
}

/// The time in such a text, in milliseconds since 1970.
pub(crate) fn parse_rfc3339(text: &str) -> Option<i64> {
    text.parse::<Timestamp>().ok().map(Timestamp::as_millisecond)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_with_milliseconds_and_come_back() {
        assert_eq!(rfc3339(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(rfc3339(1_769_869_425_123), "2026-01-31T14:23:45.123Z");
        assert_eq!(rfc3339(-1), "1969-12-31T23:59:59.999Z");
        assert_eq!(rfc3339(i64::MAX), "1970-01-01T00:00:00.000Z");
        assert_eq!(parse_rfc3339("2026-01-31T14:23:45.123Z"), Some(1_769_869_425_123));
    }
}
