//! A bounded number of threads that calls run on, and a bounded queue before them.
//!
//! The thread owns the call to its end: a client that leaves only stops listening.

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

type Work = Box<dyn FnOnce() + Send>;

/// Worker threads for calls.
pub struct Pool {
    shared: Arc<Shared>,
    workers: Vec<JoinHandle<()>>,
    queued_max: usize,
}

/// Each worker waits by itself: the one that became free last is given work first, for its memory is warm, and one call
/// wakes one thread.
struct Shared {
    queue: Mutex<Queue>,
    wakes: Vec<Condvar>,
}

struct Queue {
    waiting: VecDeque<Work>,
    /// Free workers by their numbers, the last to become free at the end.
    free: Vec<usize>,
    ended: bool,
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
        let threads = threads.max(1);
        let queue = Queue { waiting: VecDeque::new(), free: Vec::new(), ended: false };
        let wakes = (0..threads).map(|_| Condvar::new()).collect();
        let shared = Arc::new(Shared { queue: Mutex::new(queue), wakes });
        let mut pool = Self { shared, workers: Vec::new(), queued_max: queued };
        for number in 0..threads {
            let shared = Arc::clone(&pool.shared);
            let thread = std::thread::Builder::new().name(format!("call-{number}"));
            // Those that did start end with the pool when one cannot.
            pool.workers.push(thread.spawn(move || shared.work(number))?);
        }
        Ok(pool)
    }

    /// Hands `work` to a free worker, or puts it in the queue.
    ///
    /// # Errors
    /// [`Busy`].
    pub fn submit(&self, work: impl FnOnce() + Send + 'static) -> Result<(), Busy> {
        let mut queue = self.shared.queue();
        if queue.waiting.len() >= self.queued_max {
            return Err(Busy);
        }
        queue.waiting.push_back(Box::new(work));
        let free = queue.free.pop();
        drop(queue);
        if let Some(wake) = free.and_then(|number| self.shared.wakes.get(number)) {
            wake.notify_one();
        }
        Ok(())
    }
}

impl Drop for Pool {
    /// Waits until everything that was handed over is done. The last handle may go with the last call: then the worker
    /// that makes it is waited for by nobody, and ends by itself.
    fn drop(&mut self) {
        self.shared.queue().ended = true;
        self.shared.wakes.iter().for_each(Condvar::notify_one);
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

impl Shared {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does what comes as worker `number`, until the pool is dropped and nothing is left.
    fn work(&self, number: usize) {
        while let Some(work) = self.next(number) {
            // One call that panics must not take the worker with it (builds that unwind).
            let _ = catch_unwind(AssertUnwindSafe(work));
        }
    }

    fn next(&self, number: usize) -> Option<Work> {
        let wake = self.wakes.get(number)?;
        let mut queue = self.queue();
        loop {
            if let Some(work) = queue.waiting.pop_front() {
                // Woken by nothing, or overtaken by a worker that was busy: it may still count as free.
                queue.free.retain(|free| *free != number);
                return Some(work);
            }
            if queue.ended {
                return None;
            }
            if !queue.free.contains(&number) {
                queue.free.push(number);
            }
            queue = wake.wait(queue).unwrap_or_else(PoisonError::into_inner);
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
    fn the_worker_that_became_free_last_is_given_work_first() {
        let pool = Pool::new(3, 4).unwrap();
        let free = |count| {
            while pool.shared.queue().free.len() < count {
                std::thread::yield_now();
            }
        };
        free(3);
        let (sender, receiver) = channel();
        let mut gates = Vec::new();
        for _ in 0..3 {
            let (go, gate) = channel::<()>();
            let sender = sender.clone();
            pool.submit(move || {
                sender.send(std::thread::current().id()).unwrap();
                gate.recv().unwrap();
            })
            .unwrap();
            gates.push((receiver.recv().unwrap(), go));
        }
        // The first to be busy becomes free last.
        for (busy, (_, go)) in gates.iter().rev().enumerate() {
            go.send(()).unwrap();
            free(busy + 1);
        }
        pool.submit(move || sender.send(std::thread::current().id()).unwrap()).unwrap();
        assert_eq!(receiver.recv().unwrap(), gates[0].0);
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
