//! A bounded number of threads that calls run on, and a bounded queue before them.
//!
//! The thread owns the call to its end: a client that leaves only stops listening.

use std::fmt;
use std::io;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

type Work = Box<dyn FnOnce() + Send>;

/// Worker threads for calls.
pub struct Pool {
    queue: Option<SyncSender<Work>>,
    workers: Vec<JoinHandle<()>>,
}

/// Every worker is taken and the queue is full. Nothing of the work was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("too many calls at a time")]
pub struct Busy;

impl Pool {
    /// Starts `threads` workers behind a queue of `queued` calls.
    ///
    /// # Errors
    /// When the host gives no thread.
    pub fn new(threads: usize, queued: usize) -> io::Result<Self> {
        let (queue, waiting) = sync_channel::<Work>(queued);
        let waiting = Arc::new(Mutex::new(waiting));
        let workers = (0..threads.max(1))
            .map(|number| {
                let waiting = Arc::clone(&waiting);
                let name = format!("call-{number}");
                std::thread::Builder::new().name(name).spawn(move || work(&waiting))
            })
            .collect::<io::Result<Vec<_>>>()?;
        Ok(Self { queue: Some(queue), workers })
    }

    /// Hands `work` to the next free worker.
    ///
    /// # Errors
    /// [`Busy`].
    pub fn submit(&self, work: impl FnOnce() + Send + 'static) -> Result<(), Busy> {
        let Some(queue) = &self.queue else { return Err(Busy) };
        queue.try_send(Box::new(work)).map_err(|error| match error {
            TrySendError::Full(_) | TrySendError::Disconnected(_) => Busy,
        })
    }
}

impl Drop for Pool {
    /// Waits until everything that was handed over is done. The last handle may go with the last call: then the worker
    /// that makes it is waited for by nobody, and ends by itself.
    fn drop(&mut self) {
        self.queue = None;
        let here = std::thread::current().id();
        for worker in self.workers.drain(..).filter(|worker| worker.thread().id() != here) {
            // A worker that panicked has no more to do.
            let _ = worker.join();
        }
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool").field("workers", &self.workers.len()).finish_non_exhaustive()
    }
}

fn work(waiting: &Mutex<Receiver<Work>>) {
    loop {
        let next = waiting.lock().unwrap_or_else(PoisonError::into_inner).recv();
        match next {
            // One call that panics must not take the worker with it (builds that unwind).
            Ok(work) => {
                let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work));
            }
            Err(_) => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::mpsc::channel;

    use super::{Busy, Pool};

    #[test]
    fn what_was_handed_over_is_done_and_the_rest_is_refused() {
        let done = Arc::new(AtomicUsize::new(0));
        let pool = Pool::new(1, 1).unwrap();
        let (started, has_started) = channel();
        let (go, gate) = channel::<()>();
        let count = Arc::clone(&done);
        pool.submit(move || {
            started.send(()).unwrap();
            gate.recv().unwrap();
            count.fetch_add(1, Ordering::SeqCst);
        })
        .unwrap();
        has_started.recv().unwrap();
        let count = Arc::clone(&done);
        pool.submit(move || {
            count.fetch_add(1, Ordering::SeqCst);
        })
        .unwrap();
        assert_eq!(pool.submit(|| {}), Err(Busy));
        go.send(()).unwrap();
        drop(pool);
        assert_eq!(done.load(Ordering::SeqCst), 2);
    }

    #[test]
    fn a_call_may_hold_the_last_handle_of_its_own_pool() {
        let pool = Arc::new(Pool::new(2, 4).unwrap());
        let (sender, receiver) = channel();
        let (go, gate) = channel::<()>();
        let own = Arc::clone(&pool);
        pool.submit(move || {
            gate.recv().unwrap();
            let dropped = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| drop(own)));
            sender.send(dropped.is_ok()).unwrap();
        })
        .unwrap();
        drop(pool);
        go.send(()).unwrap();
        assert!(receiver.recv().unwrap(), "it waited for itself");
    }

    #[test]
    fn a_panic_costs_only_its_own_call() {
        let pool = Pool::new(1, 4).unwrap();
        pool.submit(|| panic!("expected in this test")).unwrap();
        let (sender, receiver) = channel();
        pool.submit(move || sender.send(1).unwrap()).unwrap();
        assert_eq!(receiver.recv().unwrap(), 1);
    }
}
