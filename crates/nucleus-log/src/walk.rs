//! The verifier proper: fed with headers, checkpoints and lines in order, without IO.

use crate::check::{Against, Checked, check};
use crate::checkpoint::{Checkpoint, NoteError};
use crate::digest::Digest;
use crate::header::{Authentic, Header};
use crate::key::{EpochKey, PublicKey, VerifyKeys};
use crate::line::Line;
use crate::merkle::Tree;
use crate::pair::Pairs;
use crate::report::{Proved, Report, Verdict};

/// What must hold of the log at one size, besides its own checkpoints.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Expectation {
    pub(crate) size: u64,
    pub(crate) root: Digest,
}

/// A verification under way.
pub(crate) struct Walk {
    keys: VerifyKeys,
    epoch_key: Option<EpochKey>,
    header: Header,
    epoch: u64,
    checkpoints: Vec<Checkpoint>,
    /// Checkpoints compared with the lines so far.
    compared: usize,
    pin: Option<Expectation>,
    /// Sizes and roots at ends of epochs that no checkpoint was there for yet.
    unsealed: Vec<(u64, Digest)>,
    tree: Tree,
    previous: Digest,
    last_line: Digest,
    last_time: Option<String>,
    pairs: Pairs,
    report: Report,
}

/// What a walk leaves for a writer that goes on.
pub(crate) struct End {
    pub(crate) header: Header,
    pub(crate) tree: Tree,
    pub(crate) previous: Digest,
    pub(crate) last_line: Digest,
}

impl Walk {
    /// Begins with the first header and the notes of the checkpoint file.
    pub(crate) fn begin(
        keys: VerifyKeys,
        header: Header,
        notes: &[&[u8]],
        mut report: Report,
    ) -> Result<Self, Box<Report>> {
        report.origin = Some(header.body.origin.to_string());
        report.macs_checked = keys.mac.is_some();
        report.public_key_given = keys.public.is_some();
        let opened = trust(&keys, &header)
            .and_then(|public| open_notes(notes, &header, &public))
            .and_then(|checkpoints| Ok((checkpoints, first_key(&keys, &header)?)));
        let (checkpoints, epoch_key) = match opened {
            Ok(opened) => opened,
            Err(verdict) => {
                report.verdict = verdict;
                return Err(Box::new(report));
            }
        };
        report.checkpoints = u64::try_from(checkpoints.len()).unwrap_or(u64::MAX);
        report.closed = checkpoints.last().is_some_and(|c| c.closed);
        report.segments = 1;
        Ok(Self {
            keys,
            epoch_key,
            epoch: header.body.first_epoch,
            previous: header.digest,
            last_line: header.digest,
            header,
            checkpoints,
            compared: 0,
            pin: None,
            unsealed: Vec::new(),
            tree: Tree::default(),
            last_time: None,
            pairs: Pairs::default(),
            report,
        })
    }

    /// Demands a root at a size, from an earlier verification.
    pub(crate) fn expect(&mut self, pin: Expectation) {
        self.pin = Some(pin);
    }

    /// The name of the log.
    pub(crate) fn origin(&self) -> &str {
        self.header.body.origin.as_str()
    }

    /// Looks at the log before its first line.
    pub(crate) fn at_start(&mut self) -> Result<(), Verdict> {
        let body = &self.header.body;
        let first = body.segment == 0
            && body.first_sequence == 1
            && body.first_epoch == 0
            && body.previous_hash == Digest::ZERO;
        if !first {
            return Err(Verdict::Malformed { sequence: 0 });
        }
        self.compare()
    }

    /// Goes on to the next segment.
    pub(crate) fn next_segment(&mut self, header: Header) -> Result<(), Verdict> {
        let (old, new) = (&self.header.body, &header.body);
        match header.authentic(&self.keys) {
            Ok(Authentic::Yes) => {}
            Ok(Authentic::OtherKey) => return Err(Verdict::WrongKey),
            Ok(Authentic::No) | Err(_) => return Err(Verdict::BadSignature { sequence: 0 }),
        }
        let same_log = new.origin == old.origin
            && new.log_id == old.log_id
            && new.public_key == old.public_key
            && new.mac_key_id == old.mac_key_id
            && new.epoch_entries == old.epoch_entries;
        let follows = Some(new.segment) == old.segment.checked_add(1)
            && new.first_sequence == self.expected()
            && new.first_epoch == self.epoch.saturating_add(1)
            && self.expected() > old.first_sequence;
        if !same_log || new.previous_hash != self.last_line {
            return Err(Verdict::BrokenChain { sequence: self.expected() });
        }
        if !follows {
            return Err(Verdict::Gap { sequence: self.expected() });
        }
        self.seal_there()?;
        self.advance_epoch(new.first_epoch)?;
        self.previous = header.digest;
        self.header = header;
        self.report.segments = self.report.segments.saturating_add(1);
        Ok(())
    }

    /// Takes complete lines, each ended by its newline.
    pub(crate) fn lines(&mut self, text: &[u8]) -> Result<(), Verdict> {
        let key = self.epoch_key.as_ref();
        let parts = check(text, Against { header: &self.header, key, expected: self.expected() });
        for part in parts {
            for checked in &part.lines {
                self.line(checked)?;
            }
            if part.malformed {
                return Err(Verdict::Malformed { sequence: self.expected() });
            }
        }
        Ok(())
    }

    fn expected(&self) -> u64 {
        self.tree.size().saturating_add(1)
    }

    fn line(&mut self, checked: &Checked<'_>) -> Result<(), Verdict> {
        let expected = self.expected();
        let line = &checked.line;
        if line.sequence > expected {
            return Err(Verdict::Gap { sequence: expected });
        }
        if line.sequence < expected {
            return Err(self.out_of_order(line));
        }
        if !checked.links.unwrap_or_else(|| line.previous == self.previous.hex()) {
            return Err(Verdict::BrokenChain { sequence: expected });
        }
        let epoch = self.header.epoch_of(expected);
        if epoch != self.epoch {
            self.seal_there()?;
            self.advance_epoch(epoch)?;
        }
        if self.epoch_key.is_some() && checked.authentic != Some(true) {
            return Err(Verdict::BadSignature { sequence: expected });
        }
        self.see_time(line.timestamp);
        self.pairs.see(expected, &line.facts);
        self.previous = checked.digest;
        self.last_line = checked.digest;
        self.tree.push(checked.leaf);
        self.report.entries = expected;
        self.compare()
    }

    /// A second line under a number that was there already: another writer's, or not even that.
    fn out_of_order(&self, line: &Line<'_>) -> Verdict {
        let same_epoch = self.header.epoch_of(line.sequence) == self.epoch;
        match &self.epoch_key {
            Some(key) if same_epoch && !key.accepts(line.head, line.tag) => {
                Verdict::BadSignature { sequence: line.sequence }
            }
            _ => Verdict::Fork { sequence: line.sequence },
        }
    }

    fn see_time(&mut self, timestamp: &[u8]) {
        let last = self.last_time.get_or_insert_default();
        if timestamp < last.as_bytes() {
            self.report.clock_steps_back = self.report.clock_steps_back.saturating_add(1);
        }
        if timestamp != last.as_bytes() {
            last.clear();
            last.push_str(std::str::from_utf8(timestamp).unwrap_or_default());
        }
        if self.report.span.is_none() {
            self.report.span = Some((last.clone(), String::new()));
        }
    }

    /// An epoch may end only where a checkpoint sealed it: without its seal, its key could still have been in use.
    fn seal_there(&mut self) -> Result<(), Verdict> {
        let size = self.tree.size();
        let last = self.compared.checked_sub(1).and_then(|last| self.checkpoints.get(last));
        if last.is_some_and(|c| c.size == size) {
            Ok(())
        } else if self.report.live && self.checkpoints.last().is_none_or(|c| c.size < size) {
            // The writer may have signed it after the checkpoints were read.
            self.unsealed.push((size, self.tree.root()));
            Ok(())
        } else {
            Err(Verdict::MissingSidecar)
        }
    }

    /// True if seals were missing that a living writer may have made meanwhile.
    pub(crate) const fn lacks_seals(&self) -> bool {
        !self.unsealed.is_empty()
    }

    /// Looks for the missing seals in the checkpoints as they are now.
    pub(crate) fn find_seals(&self, notes: &[&[u8]]) -> Result<(), Verdict> {
        let public = trust(&self.keys, &self.header)?;
        let now = open_notes(notes, &self.header, &public)?;
        let sealed = |(size, root): &(u64, Digest)| {
            now.binary_search_by_key(size, |c| c.size)
                .is_ok_and(|at| now.get(at).is_some_and(|c| c.root == *root))
        };
        if self.unsealed.iter().all(sealed) { Ok(()) } else { Err(Verdict::MissingSidecar) }
    }

    fn advance_epoch(&mut self, epoch: u64) -> Result<(), Verdict> {
        if let Some(key) = &mut self.epoch_key {
            key.forward_to(epoch).map_err(|_| Verdict::BadSignature { sequence: 0 })?;
        }
        self.epoch = epoch;
        Ok(())
    }

    /// Compares the log with every checkpoint, and the pin, that speaks of its present size.
    fn compare(&mut self) -> Result<(), Verdict> {
        let size = self.tree.size();
        if let Some(pin) = self.pin.filter(|pin| pin.size == size) {
            if self.tree.root() != pin.root {
                return Err(Verdict::RolledBack { pinned: pin.size });
            }
            self.pin = None;
        }
        while let Some(checkpoint) = self.checkpoints.get(self.compared) {
            if checkpoint.size != size {
                break;
            }
            if checkpoint.root != self.tree.root() || checkpoint.head != self.last_line {
                return Err(Verdict::Fork { sequence: size });
            }
            self.report.proved = Some(Proved::from(checkpoint));
            self.compared = self.compared.saturating_add(1);
        }
        Ok(())
    }

    /// Ends the walk: `stopped` is what ended it early, if anything did.
    pub(crate) fn finish(mut self, stopped: Option<Verdict>) -> (Report, End) {
        let entries = self.tree.size();
        let proved = self.report.proved.as_ref().map_or(0, |proved| proved.size);
        self.report.head = (entries > 0).then_some(self.last_line);
        self.report.beyond_checkpoint = entries.saturating_sub(proved);
        if let (Some(span), Some(last)) = (&mut self.report.span, self.last_time.take()) {
            span.1 = last;
        }
        let unpaired = self.pairs.finish(&mut self.report);
        let signed = self.checkpoints.last().map(|c| c.size);
        self.report.verdict = match (stopped, signed, self.pin, unpaired) {
            (Some(verdict), ..) => verdict,
            (None, None, ..) => Verdict::MissingSidecar,
            (None, Some(signed), ..) if signed > entries => {
                Verdict::Truncated { signed, present: entries }
            }
            (None, _, Some(pin), _) => Verdict::RolledBack { pinned: pin.size },
            (None, _, None, Some(sequence)) => Verdict::Unpaired { sequence },
            _ if self.report.torn != crate::report::Torn::default() => Verdict::TornTail,
            _ if entries == 0 => Verdict::Empty,
            _ if self.keys.mac.is_none() => Verdict::OkWithoutMacKey,
            _ => Verdict::Ok,
        };
        let end = End {
            header: self.header,
            tree: self.tree,
            previous: self.previous,
            last_line: self.last_line,
        };
        (self.report, end)
    }

    /// The report so far, to note what the reader of the files saw.
    pub(crate) fn report_mut(&mut self) -> &mut Report {
        &mut self.report
    }
}

/// The public key to trust: the one given, or the one that the header names if the MAC key vouches for the header.
fn trust(keys: &VerifyKeys, header: &Header) -> Result<PublicKey, Verdict> {
    match header.authentic(keys) {
        Ok(Authentic::Yes) => {}
        Ok(Authentic::OtherKey) => return Err(Verdict::WrongKey),
        Ok(Authentic::No) | Err(_) => return Err(Verdict::BadSignature { sequence: 0 }),
    }
    match (keys.public, &keys.mac) {
        (Some(public), _) => Ok(public),
        (None, Some(_)) => {
            PublicKey::parse(&header.body.public_key).ok_or(Verdict::Malformed { sequence: 0 })
        }
        (None, None) => Err(Verdict::WrongKey),
    }
}

/// The MAC key of the first entries, when there is a MAC key.
fn first_key(keys: &VerifyKeys, header: &Header) -> Result<Option<EpochKey>, Verdict> {
    let Some(mac) = &keys.mac else { return Ok(None) };
    let key = mac.first_epoch(&header.body.origin, &header.body.log_id);
    key.map(Some).map_err(|_| Verdict::BadSignature { sequence: 0 })
}

fn open_notes(
    notes: &[&[u8]],
    header: &Header,
    public: &PublicKey,
) -> Result<Vec<Checkpoint>, Verdict> {
    let mut checkpoints: Vec<Checkpoint> = Vec::with_capacity(notes.len());
    for note in notes {
        let checkpoint =
            Checkpoint::open(note, &header.body.origin, public).map_err(|error| match error {
                NoteError::Malformed => Verdict::Malformed { sequence: 0 },
                NoteError::OtherKey => Verdict::WrongKey,
                NoteError::BadSignature => Verdict::BadSignature { sequence: 0 },
            })?;
        if let Some(last) = checkpoints.last() {
            let same = last.size == checkpoint.size;
            let differs = last.root != checkpoint.root || last.head != checkpoint.head;
            if last.size > checkpoint.size || (same && differs) {
                return Err(Verdict::Fork { sequence: checkpoint.size });
            }
        }
        checkpoints.push(checkpoint);
    }
    Ok(checkpoints)
}

#[cfg(test)]
mod tests;
