//! Group commit: one thread turns events into lines, lines into durable lines, and signs for them. An event that nobody
//! needs durable is written by the thread that brings it, under the same lock; the sync follows.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use aws_lc_rs::signature::Ed25519KeyPair;

use crate::checkpoint::Checkpoint;
use crate::digest::Digest;
use crate::error::{AppendError, Fault, Step};
use crate::header::{Header, HeaderBody};
use crate::key::{EpochKey, HeaderKey, PublicKey};
use crate::limits::{LAZY_FENCE_MS, MAX_BATCH_BYTES};
use crate::line;
use crate::merkle::Tree;
use crate::store::clock::{Clock, rfc3339};
use crate::store::disk::{AppendFile, Disk};
use crate::store::layout::Layout;
use crate::store::lock::WriterLock;
use crate::store::queue::{Gate, Pending};
use crate::store::writer::{Appended, Closed, Durability, Options};

/// What signs.
pub(crate) struct Signer {
    pub(crate) pair: Ed25519KeyPair,
    pub(crate) public: PublicKey,
    pub(crate) header_key: HeaderKey,
    pub(crate) epoch_key: EpochKey,
}

/// How far the log has come.
pub(crate) struct Position {
    pub(crate) header: Header,
    pub(crate) tree: Tree,
    /// What the next line names as its predecessor.
    pub(crate) previous: Digest,
    /// Digest of the last line; of the first header while there is none.
    pub(crate) last_line: Digest,
}

impl Position {
    pub(crate) fn next_sequence(&self) -> u64 {
        self.tree.size().saturating_add(1)
    }
}

/// An open file and the length it must have, if nobody else writes.
pub(crate) struct Tail {
    pub(crate) file: Box<dyn AppendFile>,
    pub(crate) size: u64,
}

impl Tail {
    /// Appends all bytes in one write, or fails; never goes on after a part of them.
    fn append(&mut self, bytes: &[u8], step: Step) -> Result<(), Fault> {
        if self.file.size().map_err(|e| Fault::io(step, &e))? != self.size {
            return Err(Fault::new(Step::Fence));
        }
        let taken = self.file.append(bytes).map_err(|e| Fault::io(step, &e))?;
        if taken != bytes.len() {
            return Err(Fault::new(Step::ShortWrite));
        }
        let taken = u64::try_from(taken).map_err(|_| Fault::new(step))?;
        self.size = self.size.saturating_add(taken);
        Ok(())
    }

    /// Appends a checkpoint and makes it durable.
    pub(crate) fn append_durably(&mut self, note: &[u8]) -> Result<(), Fault> {
        self.append(note, Step::Checkpoint)?;
        self.sync(Step::Checkpoint)
    }

    fn sync(&mut self, step: Step) -> Result<(), Fault> {
        self.file.sync().map_err(|e| Fault::io(step, &e))
    }
}

/// What a commit works with.
pub(crate) struct Parts {
    pub(crate) layout: Layout,
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) options: Options,
    pub(crate) lock: WriterLock,
    pub(crate) signer: Signer,
    pub(crate) position: Position,
    pub(crate) segment: Tail,
    pub(crate) checkpoints: Tail,
}

/// The state of the writing thread.
pub(crate) struct Commit {
    parts: Parts,
    inbox: VecDeque<Pending>,
    batch: Vec<u8>,
    scratch: Vec<u8>,
    unwritten: Vec<(Pending, Appended)>,
    unsynced: Vec<(Pending, Appended)>,
    written_at: Option<Instant>,
    /// When the lock was last looked at.
    fenced_at: Option<Instant>,
    unsigned_since: Option<Instant>,
    signed_at: Instant,
    segment_since: Instant,
    timestamp: (i64, String),
}

impl Commit {
    pub(crate) fn new(parts: Parts) -> Self {
        let now = parts.clock.instant();
        Self {
            parts,
            inbox: VecDeque::new(),
            batch: Vec::new(),
            scratch: Vec::new(),
            unwritten: Vec::new(),
            unsynced: Vec::new(),
            written_at: None,
            fenced_at: None,
            unsigned_since: None,
            signed_at: now,
            segment_since: now,
            timestamp: (0, rfc3339(0)),
        }
    }

    /// Takes what came and does what is due; says how the log ended, once it has.
    pub(crate) fn serve(
        &mut self,
        batch: Vec<Pending>,
        gate: Gate,
    ) -> Result<Option<Closed>, Fault> {
        self.inbox.extend(batch);
        if let Gate::Poisoned(fault) = gate {
            // A thread that brought an event could not write it.
            return Err(fault);
        }
        self.write_inbox()?;
        if gate != Gate::Open {
            self.sync()?;
            self.sign(true)?;
            return Ok(Some(self.closed()));
        }
        self.tick()?;
        Ok(None)
    }

    /// Whether the next event may be written at once: it ends no epoch, and no sync is overdue, so that those who bring
    /// events cannot keep the writing thread from it.
    pub(crate) fn takes_at_once(&self) -> bool {
        let header = &self.parts.position.header;
        let sequence = self.parts.position.next_sequence();
        let lazy = Duration::from_millis(self.parts.options.lazy_sync_ms);
        let overdue = self
            .written_at
            .is_some_and(|since| self.now().saturating_duration_since(since) >= lazy);
        !overdue && header.epoch_of(sequence) == header.epoch_of(sequence.saturating_add(1))
    }

    /// Writes one event that nobody needs durable. True if a sync has to follow that nobody has been told of.
    pub(crate) fn write_at_once(&mut self, event: &[u8]) -> Result<(Appended, bool), Fault> {
        let first = self.written_at.is_none();
        // Whoever else writes is seen by the length of the file, each time; so for what nobody needs durable it is
        // enough to look at the lock itself now and then.
        let now = self.now();
        let fresh = |since: Instant| {
            now.saturating_duration_since(since) < Duration::from_millis(LAZY_FENCE_MS)
        };
        if !self.fenced_at.is_some_and(fresh) {
            self.fence()?;
        }
        let appended = self.compose(event)?;
        self.write()?;
        Ok((appended, first))
    }

    fn closed(&self) -> Closed {
        let position = &self.parts.position;
        Closed {
            entries: position.tree.size(),
            head: position.last_line,
            root: position.tree.root(),
        }
    }

    /// Answers everybody who waits that nothing more will be written.
    pub(crate) fn fail(&mut self, fault: Fault) {
        let waiting = self.unwritten.drain(..).chain(self.unsynced.drain(..));
        for (pending, _) in waiting {
            pending.answer(Err(AppendError::Poisoned(fault)));
        }
        for pending in self.inbox.drain(..) {
            pending.answer(Err(AppendError::Poisoned(fault)));
        }
    }

    fn now(&self) -> Instant {
        self.parts.clock.instant()
    }

    /// When something has to happen though no event comes.
    pub(crate) fn deadline(&self) -> Instant {
        let options = &self.parts.options;
        let after = |since: Instant, ms: u64| since.checked_add(Duration::from_millis(ms));
        let idle = after(self.signed_at, options.idle_checkpoint_ms);
        let busy = self.unsigned_since.and_then(|s| after(s, options.busy_checkpoint_ms));
        let lazy = self.written_at.and_then(|s| after(s, options.lazy_sync_ms));
        [idle, busy, lazy].into_iter().flatten().min().unwrap_or_else(|| self.now())
    }

    /// Does what is due.
    fn tick(&mut self) -> Result<(), Fault> {
        let now = self.now();
        let options = &self.parts.options;
        let due = |since: Option<Instant>, ms: u64| {
            since.is_some_and(|since| {
                now.saturating_duration_since(since).as_millis() >= u128::from(ms)
            })
        };
        let lazy = due(self.written_at, options.lazy_sync_ms);
        let sign = due(self.unsigned_since, options.busy_checkpoint_ms)
            || due(Some(self.signed_at), options.idle_checkpoint_ms);
        let full = self.parts.segment.size >= options.segment_bytes
            || due(Some(self.segment_since), options.segment_age_ms);
        if lazy {
            self.sync()?;
        }
        if sign {
            self.sign(false)?;
        }
        let first = self.parts.position.header.body.first_sequence;
        if full && self.parts.position.next_sequence() > first {
            self.rotate()?;
        }
        Ok(())
    }

    fn write_inbox(&mut self) -> Result<(), Fault> {
        if self.inbox.is_empty() {
            return Ok(());
        }
        self.fence()?;
        while let Some(pending) = self.inbox.pop_front() {
            self.add(pending)?;
            let sequence = self.parts.position.tree.size();
            let header = &self.parts.position.header;
            let epoch_ends =
                header.epoch_of(sequence) != header.epoch_of(sequence.saturating_add(1));
            if epoch_ends {
                self.write()?;
                self.seal_epoch()?;
            } else if self.batch.len() >= MAX_BATCH_BYTES {
                self.write()?;
            }
        }
        self.write()?;
        if self.unsynced.is_empty() { Ok(()) } else { self.sync() }
    }

    fn add(&mut self, pending: Pending) -> Result<(), Fault> {
        let appended = self.compose(&pending.event)?;
        self.unwritten.push((pending, appended));
        Ok(())
    }

    /// Makes a line of the event, in memory.
    fn compose(&mut self, event: &[u8]) -> Result<Appended, Fault> {
        let wall = self.parts.clock.wall_ms();
        if wall != self.timestamp.0 {
            self.timestamp = (wall, rfc3339(wall));
        }
        let position = &mut self.parts.position;
        let sequence = position.next_sequence();
        if self.parts.signer.epoch_key.epoch() != position.header.epoch_of(sequence) {
            return Err(Fault::new(Step::Crypto));
        }
        let (digest, leaf) = line::compose(
            &mut self.batch,
            &mut self.scratch,
            &self.parts.signer.epoch_key,
            &self.timestamp.1,
            sequence,
            &position.previous,
            event,
        );
        position.tree.push(leaf);
        position.previous = digest;
        position.last_line = digest;
        Ok(Appended { sequence, hash: digest })
    }

    fn fence(&mut self) -> Result<(), Fault> {
        if !self.parts.lock.held() {
            return Err(Fault::new(Step::Fence));
        }
        self.fenced_at = Some(self.now());
        Ok(())
    }

    /// Writes the lines made so far; answers those who wait for no more than that.
    fn write(&mut self) -> Result<(), Fault> {
        if self.batch.is_empty() {
            return Ok(());
        }
        self.parts.segment.append(&self.batch, Step::Write)?;
        self.batch.clear();
        let now = self.now();
        self.written_at.get_or_insert(now);
        self.unsigned_since.get_or_insert(now);
        for (pending, appended) in self.unwritten.drain(..) {
            match pending.durability {
                Durability::Written => pending.answer(Ok(appended)),
                Durability::Durable => self.unsynced.push((pending, appended)),
            }
        }
        Ok(())
    }

    /// Makes the written lines durable; answers those who wait for that.
    fn sync(&mut self) -> Result<(), Fault> {
        if self.written_at.is_none() {
            return Ok(());
        }
        self.parts.segment.sync(Step::Sync)?;
        self.written_at = None;
        for (pending, appended) in self.unsynced.drain(..) {
            pending.answer(Ok(appended));
        }
        Ok(())
    }

    /// Signs for everything there is, which is made durable first. Never signs for what could still be lost.
    fn sign(&mut self, closed: bool) -> Result<(), Fault> {
        self.sync()?;
        self.fence()?;
        let Parts { position, signer, clock, checkpoints, .. } = &mut self.parts;
        let checkpoint = Checkpoint {
            size: position.tree.size(),
            root: position.tree.root(),
            head: position.last_line,
            time: rfc3339(clock.wall_ms()),
            closed,
        };
        let note = checkpoint
            .seal(&position.header.body.origin, &signer.public, &signer.pair)
            .map_err(|_| Fault::new(Step::Crypto))?;
        checkpoints.append_durably(&note)?;
        self.unsigned_since = None;
        self.signed_at = self.now();
        Ok(())
    }

    /// Signs for the epoch that has just ended; only when that is durable, its key is replaced and zeroed.
    fn seal_epoch(&mut self) -> Result<(), Fault> {
        self.sign(false)?;
        let position = &self.parts.position;
        let epoch = position.header.epoch_of(position.next_sequence());
        self.parts.signer.epoch_key.forward_to(epoch).map_err(|_| Fault::new(Step::Crypto))
    }

    /// Ends the segment and begins the next: seal, header, file, in this order, each durable before the next.
    fn rotate(&mut self) -> Result<(), Fault> {
        self.sign(false)?;
        let Parts { layout, disk, clock, position, signer, segment, .. } = &mut self.parts;
        let last_epoch = position.header.epoch_of(position.tree.size());
        let body = HeaderBody {
            created: rfc3339(clock.wall_ms()),
            segment: position.header.body.segment.saturating_add(1),
            first_sequence: position.next_sequence(),
            first_epoch: last_epoch.saturating_add(1),
            previous_hash: position.last_line,
            ..position.header.body.clone()
        };
        let crypto = Fault::new(Step::Crypto);
        let bytes = body.seal(&signer.header_key, &signer.pair).map_err(|_| crypto)?;
        let header = Header::parse(&bytes).ok_or(crypto)?;
        let path: PathBuf = layout.header(body.segment);
        disk.publish(&path, &bytes, 0o600).map_err(|e| Fault::io(Step::Rotate, &e))?;
        let file =
            disk.create(&layout.segment(body.segment)).map_err(|e| Fault::io(Step::Rotate, &e))?;
        signer.epoch_key.forward_to(body.first_epoch).map_err(|_| crypto)?;
        *segment = Tail { file, size: 0 };
        position.previous = header.digest;
        position.header = header;
        self.segment_since = self.now();
        Ok(())
    }
}
