//! When: absolute wall-clock windows. The clock itself lives elsewhere.

use serde::{Deserialize, Serialize};

/// From `not_before_ms` on and before `not_after_ms`, in milliseconds since the Unix epoch. [`u64::MAX`] as the end is
/// no end. Every empty window is the same window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Bounds", into = "Bounds")]
pub struct TimeWindow {
    not_before_ms: u64,
    not_after_ms: u64,
}

impl TimeWindow {
    /// The window between two instants; empty if the end is not after the beginning.
    #[must_use]
    pub const fn new(not_before_ms: u64, not_after_ms: u64) -> Self {
        if not_before_ms < not_after_ms {
            Self { not_before_ms, not_after_ms }
        } else {
            Self::bottom()
        }
    }

    /// Always.
    #[must_use]
    pub const fn top() -> Self {
        Self { not_before_ms: 0, not_after_ms: u64::MAX }
    }

    /// Never.
    #[must_use]
    pub const fn bottom() -> Self {
        Self { not_before_ms: 0, not_after_ms: 0 }
    }

    /// The first millisecond inside.
    #[must_use]
    pub const fn not_before_ms(&self) -> u64 {
        self.not_before_ms
    }

    /// The first millisecond outside again.
    #[must_use]
    pub const fn not_after_ms(&self) -> u64 {
        self.not_after_ms
    }

    /// True if no instant is inside.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.not_after_ms == 0
    }

    /// True if the instant is inside.
    #[must_use]
    pub const fn contains(&self, now_ms: u64) -> bool {
        self.not_before_ms <= now_ms
            && (now_ms < self.not_after_ms || self.not_after_ms == u64::MAX)
    }

    /// The instants in both.
    #[must_use]
    pub fn meet(&self, other: &Self) -> Self {
        Self::new(
            self.not_before_ms.max(other.not_before_ms),
            self.not_after_ms.min(other.not_after_ms),
        )
    }

    /// True if every instant of this is in `other`.
    #[must_use]
    pub const fn leq(&self, other: &Self) -> bool {
        self.is_empty()
            || (other.not_before_ms <= self.not_before_ms
                && self.not_after_ms <= other.not_after_ms)
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Bounds {
    not_before_ms: u64,
    not_after_ms: u64,
}

impl From<Bounds> for TimeWindow {
    fn from(bounds: Bounds) -> Self {
        Self::new(bounds.not_before_ms, bounds.not_after_ms)
    }
}

impl From<TimeWindow> for Bounds {
    fn from(window: TimeWindow) -> Self {
        Self { not_before_ms: window.not_before_ms, not_after_ms: window.not_after_ms }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_is_outside() {
        let window = TimeWindow::new(10, 20);
        assert!(!window.contains(9) && window.contains(10) && window.contains(19));
        assert!(!window.contains(20));
        assert!(TimeWindow::top().contains(u64::MAX) && TimeWindow::top().contains(0));
    }

    #[test]
    fn empty_windows_have_one_form() {
        assert_eq!(TimeWindow::new(20, 10), TimeWindow::bottom());
        assert_eq!(TimeWindow::new(10, 20).meet(&TimeWindow::new(20, 30)), TimeWindow::bottom());
        assert_eq!(TimeWindow::new(u64::MAX, u64::MAX), TimeWindow::bottom());
        let read: TimeWindow =
            serde_json::from_str(r#"{"not_before_ms":9,"not_after_ms":3}"#).unwrap();
        assert_eq!(read, TimeWindow::bottom());
        assert!(!TimeWindow::bottom().contains(0));
    }
}
