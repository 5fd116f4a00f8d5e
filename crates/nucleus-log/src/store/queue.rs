//! Between the threads that append and the one that writes.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::error::{AppendError, Fault, Step};
use crate::store::writer::{Appended, Durability};

pub(crate) type Answer = Result<Appended, AppendError>;

/// Locks even after another thread panicked: every state the lock protects is valid at every moment.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Where one append waits for its answer.
#[derive(Debug, Default)]
pub(crate) struct Slot {
    answer: Mutex<Option<Answer>>,
    answered: Condvar,
}

impl Slot {
    fn put(&self, answer: Answer) {
        lock(&self.answer).get_or_insert(answer);
        self.answered.notify_one();
    }

    pub(crate) fn wait(&self) -> Answer {
        let mut answer = lock(&self.answer);
        loop {
            if let Some(answer) = *answer {
                return answer;
            }
            answer = self.answered.wait(answer).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

/// An event on its way to the log. Dropped without an answer, it answers that the writer is gone.
#[derive(Debug)]
pub(crate) struct Pending {
    pub(crate) event: Vec<u8>,
    pub(crate) durability: Durability,
    slot: Arc<Slot>,
}

impl Pending {
    pub(crate) fn new(event: Vec<u8>, durability: Durability) -> (Self, Arc<Slot>) {
        let slot = Arc::new(Slot::default());
        (Self { event, durability, slot: Arc::clone(&slot) }, slot)
    }

    pub(crate) fn answer(self, answer: Answer) {
        self.slot.put(answer);
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        self.slot.put(Err(AppendError::Poisoned(Fault::new(Step::Thread))));
    }
}

/// Whether the queue takes more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Gate {
    Open,
    Closing,
    Closed,
    Poisoned(Fault),
}

#[derive(Debug)]
struct Inner {
    pending: Vec<Pending>,
    gate: Gate,
    /// Something has to be looked at before the deadline that the writing thread waits for.
    nudged: bool,
}

/// The queue.
#[derive(Debug)]
pub(crate) struct Queue {
    inner: Mutex<Inner>,
    arrived: Condvar,
}

impl Queue {
    pub(crate) fn new() -> Self {
        let inner = Inner { pending: Vec::new(), gate: Gate::Open, nudged: false };
        Self { inner: Mutex::new(inner), arrived: Condvar::new() }
    }

    pub(crate) fn push(&self, pending: Pending) -> Result<(), AppendError> {
        let mut inner = lock(&self.inner);
        let refusal = match inner.gate {
            Gate::Open => None,
            Gate::Closing | Gate::Closed => Some(AppendError::Closed),
            Gate::Poisoned(fault) => Some(AppendError::Poisoned(fault)),
        };
        if let Some(refusal) = refusal {
            drop(inner);
            pending.answer(Err(refusal));
            return Err(refusal);
        }
        inner.pending.push(pending);
        if inner.pending.len() == 1 {
            self.arrived.notify_one();
        }
        Ok(())
    }

    /// Makes the writing thread look at its deadlines again.
    pub(crate) fn nudge(&self) {
        lock(&self.inner).nudged = true;
        self.arrived.notify_one();
    }

    /// Waits for events, a nudge, the deadline, or the end of the queue, and takes whatever there is.
    pub(crate) fn take(
        &self,
        deadline: Instant,
        now: impl Fn() -> Instant,
    ) -> (Vec<Pending>, Gate) {
        let mut inner = lock(&self.inner);
        loop {
            let left = deadline.saturating_duration_since(now());
            let called = !inner.pending.is_empty() || inner.gate != Gate::Open || inner.nudged;
            if called || left == Duration::ZERO {
                inner.nudged = false;
                return (std::mem::take(&mut inner.pending), inner.gate);
            }
            inner = self
                .arrived
                .wait_timeout(inner, left)
                .map_or_else(|error| error.into_inner().0, |(inner, _)| inner);
        }
    }

    pub(crate) fn gate(&self) -> Gate {
        lock(&self.inner).gate
    }

    /// Moves the gate on; a poisoned or closed gate stays what it is. Waiting events get the answer.
    pub(crate) fn shut(&self, gate: Gate) {
        let mut inner = lock(&self.inner);
        if matches!(inner.gate, Gate::Open | Gate::Closing) {
            inner.gate = gate;
        }
        let refusal = match inner.gate {
            Gate::Poisoned(fault) => AppendError::Poisoned(fault),
            Gate::Closed => AppendError::Closed,
            Gate::Open | Gate::Closing => {
                self.arrived.notify_one();
                return;
            }
        };
        for pending in std::mem::take(&mut inner.pending) {
            pending.answer(Err(refusal));
        }
        self.arrived.notify_one();
    }
}
