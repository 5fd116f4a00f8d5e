//! Cancellation of one call, seen by whoever waits in it.

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// A flag that ends a call early. Clones are the same flag; once set it stays set.
#[derive(Debug, Clone, Default)]
pub struct Cancel {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    cancelled: Mutex<bool>,
    changed: Condvar,
}

impl Cancel {
    /// A flag that nobody has set.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the flag and wakes everybody who waits.
    pub fn cancel(&self) {
        *self.shared.cancelled.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.shared.changed.notify_all();
    }

    /// True once the flag is set.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        *self.shared.cancelled.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sleeps at most `timeout`, less when the flag is set meanwhile; true when it is set.
    #[must_use]
    pub fn wait(&self, timeout: Duration) -> bool {
        let deadline = Instant::now() + timeout;
        let mut cancelled = self.shared.cancelled.lock().unwrap_or_else(PoisonError::into_inner);
        while !*cancelled {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            cancelled = self
                .shared
                .changed
                .wait_timeout(cancelled, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use std::thread;
    use std::time::{Duration, Instant};

    use super::Cancel;

    #[test]
    fn waiting_ends_when_cancelled_and_only_then() {
        let cancel = Cancel::new();
        assert!(!cancel.wait(Duration::from_millis(5)));
        let other = cancel.clone();
        let started = Instant::now();
        let waker = thread::spawn(move || other.cancel());
        assert!(cancel.wait(Duration::from_secs(30)));
        assert!(started.elapsed() < Duration::from_secs(20));
        waker.join().unwrap();
        assert!(cancel.is_cancelled());
    }
}
