//! The writer of a log.

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};
use std::thread::JoinHandle;

use crate::digest::Digest;
use crate::error::{AppendError, Fault, LogError, Step};
use crate::event::{Event, Stamp};
use crate::key::Keys;
use crate::limits;
use crate::line::MAX_EVENT_BYTES;
use crate::origin::Origin;
use crate::store::clock::{Clock, SystemClock};
use crate::store::commit::{Commit, Parts};
use crate::store::disk::{Disk, HostDisk};
use crate::store::open::{self, Recovered};
use crate::store::queue::{Gate, Pending, Queue, lock};

/// What an append waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// The entry has survived `fdatasync`: for whatever changes something or leaves the host.
    Durable,
    /// The entry is written; it becomes durable within 10 ms: for reads and searches.
    Written,
}

/// An entry that was recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Appended {
    /// Its sequence number, from 1.
    pub sequence: u64,
    /// Digest of its line.
    pub hash: Digest,
}

/// The state of a log when its writer ended in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Closed {
    /// Entries.
    pub entries: u64,
    /// Digest of the last line (of the first header, if there is no line).
    pub head: Digest,
    /// RFC 6962 root over the lines.
    pub root: Digest,
}

/// Sizes and times of a log. The defaults are those of the specification; tests use smaller ones.
#[derive(Debug, Clone)]
pub struct Options {
    /// Entries of a MAC key epoch, each ended by a checkpoint. Fixed at creation.
    pub epoch_entries: u64,
    /// Size at which a segment ends.
    pub segment_bytes: u64,
    /// Age at which a segment ends.
    pub segment_age_ms: u64,
    /// Longest time without a checkpoint while entries come.
    pub busy_checkpoint_ms: u64,
    /// Longest time without a checkpoint otherwise.
    pub idle_checkpoint_ms: u64,
    /// Longest time before the sync of entries that nobody waits for.
    pub lazy_sync_ms: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            epoch_entries: limits::EPOCH_ENTRIES,
            segment_bytes: limits::SEGMENT_BYTES,
            segment_age_ms: limits::SEGMENT_AGE_MS,
            busy_checkpoint_ms: limits::BUSY_CHECKPOINT_MS,
            idle_checkpoint_ms: limits::IDLE_CHECKPOINT_MS,
            lazy_sync_ms: limits::LAZY_SYNC_MS,
        }
    }
}

impl Options {
    pub(crate) const fn refuse(&self) -> Result<(), LogError> {
        if self.epoch_entries == 0 {
            return Err(LogError::Options("epoch_entries is 0"));
        }
        if self.segment_bytes == 0 || self.segment_age_ms == 0 {
            return Err(LogError::Options("a segment can hold nothing"));
        }
        if self.busy_checkpoint_ms == 0 || self.idle_checkpoint_ms == 0 {
            return Err(LogError::Options("a checkpoint interval is 0"));
        }
        Ok(())
    }
}

/// The outside world of a writer.
#[derive(Clone)]
pub struct Ports {
    /// Where files live.
    pub disk: Arc<dyn Disk>,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
}

impl Default for Ports {
    fn default() -> Self {
        Self { disk: Arc::new(HostDisk), clock: Arc::new(SystemClock::new()) }
    }
}

impl std::fmt::Debug for Ports {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ports").field("disk", &self.disk).finish_non_exhaustive()
    }
}

/// The one writer of a log. Shared between threads by reference or `Arc`.
///
/// It fails closed: after the first error of a write, a sync or a checkpoint, every append is refused.
pub struct Writer {
    queue: Arc<Queue>,
    /// The state of the log; none once it has ended, so that its lock is free for the next writer.
    commit: Arc<Mutex<Option<Commit>>>,
    clock: Arc<dyn Clock>,
    origin: Origin,
    thread: Mutex<Option<JoinHandle<Result<Closed, Fault>>>>,
    outcome: OnceLock<Result<Closed, Fault>>,
}

impl Writer {
    /// Begins a new log at `path`, with its sidecar `path.d/`.
    ///
    /// # Errors
    /// [`LogError::Exists`] if there is a log or a sidecar already, [`LogError::Unavailable`] if the host refuses.
    pub fn create(path: &Path, keys: &Keys, origin: Origin) -> Result<Self, LogError> {
        Self::create_with(path, keys, origin, Options::default(), Ports::default())
    }

    /// As [`Writer::create`], with other sizes, times and ports.
    ///
    /// # Errors
    /// As [`Writer::create`], and [`LogError::Options`].
    pub fn create_with(
        path: &Path,
        keys: &Keys,
        origin: Origin,
        options: Options,
        ports: Ports,
    ) -> Result<Self, LogError> {
        Self::start(open::create(path, keys, origin, options, ports)?)
    }

    /// Goes on with a log whose writer has ended or died.
    ///
    /// The whole log is verified first. An unfinished last record, as a crash leaves it, is moved to a file in the
    /// sidecar; anything else that does not verify is refused. What was found is the first new entry (`log_resumed`).
    ///
    /// # Errors
    /// [`LogError::Busy`] while another writer lives, [`LogError::Untrusted`] if the log does not verify,
    /// [`LogError::Unavailable`] if the host refuses.
    pub fn resume(path: &Path, keys: &Keys) -> Result<Self, LogError> {
        Self::resume_with(path, keys, Options::default(), Ports::default())
    }

    /// As [`Writer::resume`], with other sizes, times and ports (`epoch_entries` stays what it was at creation).
    ///
    /// # Errors
    /// As [`Writer::resume`], and [`LogError::Options`].
    pub fn resume_with(
        path: &Path,
        keys: &Keys,
        options: Options,
        ports: Ports,
    ) -> Result<Self, LogError> {
        let (parts, recovered) = open::resume(path, keys, options, ports)?;
        let writer = Self::start(parts)?;
        writer.note_recovery(&recovered)?;
        Ok(writer)
    }

    fn start(parts: Parts) -> Result<Self, LogError> {
        let queue = Arc::new(Queue::new());
        let clock = Arc::clone(&parts.clock);
        let origin = parts.position.header.body.origin.clone();
        let path = parts.layout.log().to_owned();
        let commit = Arc::new(Mutex::new(Some(Commit::new(parts))));
        let shared = (Arc::clone(&queue), Arc::clone(&commit), Arc::clone(&clock));
        let thread = std::thread::Builder::new()
            .name("nucleus-log".to_owned())
            .spawn(move || {
                let (queue, commit, clock) = shared;
                let _ended = PoisonOnExit(&queue);
                run(&queue, &commit, clock.as_ref())
            })
            .map_err(|source| LogError::Unavailable {
                action: "cannot start the writer of",
                path,
                source,
            })?;
        Ok(Self {
            queue,
            commit,
            clock,
            origin,
            thread: Mutex::new(Some(thread)),
            outcome: OnceLock::new(),
        })
    }

    fn note_recovery(&self, recovered: &Recovered) -> Result<(), LogError> {
        match self.append(&recovered.event(), Durability::Durable) {
            Ok(_) => Ok(()),
            Err(AppendError::Poisoned(fault)) => Err(LogError::Poisoned(fault)),
            Err(AppendError::Event(_) | AppendError::Closed) => {
                Err(LogError::Poisoned(Fault::new(Step::Thread)))
            }
        }
    }

    /// Records an event and waits as long as `durability` says. Callable from any number of threads.
    ///
    /// Values too long for a line are replaced by their digest and size, the largest first.
    ///
    /// # Errors
    /// [`AppendError`]: the event is not recorded (or not durably), so its effect must not happen.
    pub fn append(&self, event: &Event, durability: Durability) -> Result<Appended, AppendError> {
        let stamp = Stamp {
            monotonic_us: self.clock.monotonic_us(),
            boot_id: self.clock.boot_id().to_owned(),
        };
        let bytes = event.encode(&stamp, MAX_EVENT_BYTES)?;
        if durability == Durability::Written
            && let Some(appended) = self.write_at_once(&bytes)?
        {
            return Ok(appended);
        }
        let (pending, slot) = Pending::new(bytes, durability);
        self.queue.push(pending)?;
        slot.wait()
    }

    /// Writes an event on the calling thread; `None` when only the writing thread can take it now.
    fn write_at_once(&self, event: &[u8]) -> Result<Option<Appended>, AppendError> {
        let mut state = held(&self.commit).map_err(|fault| self.poison(fault))?;
        let Some(commit) = state.as_mut() else { return Ok(None) };
        // Asked under the lock: whoever closes or poisons the log holds it when nothing more may be written.
        if self.queue.gate() != Gate::Open || !commit.takes_at_once() {
            return Ok(None);
        }
        match commit.write_at_once(event) {
            Ok((appended, first)) => {
                drop(state);
                if first {
                    self.queue.nudge();
                }
                Ok(Some(appended))
            }
            // Still under the lock: nobody writes behind a line that may be there in part.
            Err(fault) => Err(self.poison(fault)),
        }
    }

    fn poison(&self, fault: Fault) -> AppendError {
        self.queue.shut(Gate::Poisoned(fault));
        AppendError::Poisoned(self.fault().unwrap_or(fault))
    }

    /// Name of the log.
    #[must_use]
    pub const fn origin(&self) -> &Origin {
        &self.origin
    }

    /// The failure that ended this writer, if it has failed.
    #[must_use]
    pub fn fault(&self) -> Option<Fault> {
        match self.queue.gate() {
            Gate::Poisoned(fault) => Some(fault),
            Gate::Open | Gate::Closing | Gate::Closed => None,
        }
    }

    /// Signs a last checkpoint and ends the writer. Later appends are refused; closing again answers the same.
    ///
    /// # Errors
    /// [`LogError::Poisoned`] if the writer has failed, before or now.
    pub fn close(&self) -> Result<Closed, LogError> {
        self.queue.shut(Gate::Closing);
        let mut thread = lock(&self.thread);
        if let Some(handle) = thread.take() {
            let outcome = handle.join().unwrap_or(Err(Fault::new(Step::Thread)));
            if let Err(fault) = outcome {
                self.queue.shut(Gate::Poisoned(fault));
            }
            self.outcome.get_or_init(|| outcome);
        }
        drop(thread);
        let gone = Err(Fault::new(Step::Thread));
        (*self.outcome.get().unwrap_or(&gone)).map_err(LogError::Poisoned)
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        // Nobody is left to tell; an unclosed log says itself that it was not closed.
        let _ = self.close();
    }
}

/// The writing thread: takes whatever comes until the queue closes or something fails.
fn run(queue: &Queue, commit: &Mutex<Option<Commit>>, clock: &dyn Clock) -> Result<Closed, Fault> {
    let mut deadline = clock.instant();
    loop {
        let (batch, gate) = queue.take(deadline, || clock.instant());
        let mut state = held(commit)?;
        let Some(commit) = state.as_mut() else { return Err(Fault::new(Step::Thread)) };
        match commit.serve(batch, gate) {
            Ok(None) => deadline = commit.deadline(),
            // The gate is shut before the lock is given back: no event comes behind the last checkpoint, or behind a fault.
            Ok(Some(closed)) => {
                queue.shut(Gate::Closed);
                *state = None;
                return Ok(closed);
            }
            Err(fault) => {
                queue.shut(Gate::Poisoned(fault));
                commit.fail(fault);
                *state = None;
                return Err(fault);
            }
        }
    }
}

/// The state of the log, unless a thread panicked while it changed it.
fn held(commit: &Mutex<Option<Commit>>) -> Result<MutexGuard<'_, Option<Commit>>, Fault> {
    commit.lock().map_err(|_| Fault::new(Step::Thread))
}

/// Whatever ends the thread, nobody waits for it for ever.
struct PoisonOnExit<'a>(&'a Queue);

impl Drop for PoisonOnExit<'_> {
    fn drop(&mut self) {
        self.0.shut(Gate::Poisoned(Fault::new(Step::Thread)));
    }
}

impl std::fmt::Debug for Writer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Writer").field("origin", &self.origin).finish_non_exhaustive()
    }
}
