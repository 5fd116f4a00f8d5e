//! Beginning a log, and going on with one.

use std::io;
use std::path::Path;

use rustix::fs::Mode;
use serde_json::{Map, Value};

use crate::checkpoint::Checkpoint;
use crate::digest::Digest;
use crate::encoding::hex;
use crate::error::LogError;
use crate::event::Event;
use crate::header::{FORMAT, Header, HeaderBody};
use crate::key::{CryptoError, Keys};
use crate::merkle::Tree;
use crate::origin::Origin;
use crate::report::{Torn, Verdict};
use crate::store::clock::rfc3339;
use crate::store::commit::{Parts, Position, Signer, Tail};
use crate::store::disk::{AppendFile, Disk, random, sync_parent};
use crate::store::inspect::{Extent, VerifyError, inspect};
use crate::store::layout::Layout;
use crate::store::lock::WriterLock;
use crate::store::writer::{Options, Ports};

/// What [`resume`] found and did.
pub(crate) struct Recovered {
    torn: Torn,
    entries: u64,
    interrupted: u64,
}

impl Recovered {
    /// The entry that says so.
    pub(crate) fn event(&self) -> Event {
        let detail: Map<String, Value> = [
            ("entries_before".to_owned(), Value::from(self.entries)),
            ("interrupted_calls".to_owned(), Value::from(self.interrupted)),
            ("torn_checkpoint_bytes".to_owned(), Value::from(self.torn.checkpoint_bytes)),
            ("torn_log_bytes".to_owned(), Value::from(self.torn.log_bytes)),
        ]
        .into_iter()
        .collect();
        Event { result: Some("success".into()), detail, ..Event::new("log_resumed", "nucleus") }
    }
}

impl From<CryptoError> for LogError {
    fn from(_: CryptoError) -> Self {
        Self::Crypto
    }
}

fn unavailable(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> LogError {
    move |source| LogError::Unavailable { action, path: path.to_owned(), source }
}

fn signer(keys: &Keys, origin: &Origin, log_id: &str) -> Result<Signer, LogError> {
    Ok(Signer {
        pair: keys.checkpoint.pair()?,
        public: keys.checkpoint.public()?,
        header_key: keys.mac.header_key()?,
        epoch_key: keys.mac.first_epoch(origin, log_id)?,
    })
}

/// Begins a log: sidecar, lock, header, checkpoints with one for the empty log, and last the log itself.
pub(crate) fn create(
    path: &Path,
    keys: &Keys,
    origin: Origin,
    options: Options,
    ports: Ports,
) -> Result<Parts, LogError> {
    options.refuse()?;
    let layout = Layout::new(path);
    let exists = || LogError::Exists { path: path.to_owned() };
    if rustix::fs::lstat(path).is_ok() {
        return Err(exists());
    }
    match rustix::fs::mkdir(layout.sidecar(), Mode::from_raw_mode(0o700)) {
        Ok(()) => {}
        Err(rustix::io::Errno::EXIST) => return Err(exists()),
        Err(error) => return Err(unavailable("cannot make", layout.sidecar())(error.into())),
    }
    sync_parent(path).map_err(unavailable("cannot sync the directory of", path))?;
    let lock = take_lock(&layout)?;
    let log_id = hex(&random::<16>().map_err(unavailable("no random bytes for", path))?);
    let signer = signer(keys, &origin, &log_id)?;
    let now = rfc3339(ports.clock.wall_ms());
    let body = HeaderBody {
        format: FORMAT.to_owned(),
        origin,
        log_id,
        created: now.clone(),
        segment: 0,
        first_sequence: 1,
        first_epoch: 0,
        epoch_entries: options.epoch_entries,
        previous_hash: Digest::ZERO,
        mac_key_id: signer.header_key.id().to_owned(),
        public_key: signer.public.to_string(),
    };
    let bytes = body.seal(&signer.header_key, &signer.pair)?;
    let header = Header::parse(&bytes).ok_or(LogError::Crypto)?;
    let header_path = layout.header(0);
    ports
        .disk
        .publish(&header_path, &bytes, 0o600)
        .map_err(unavailable("cannot write", &header_path))?;
    let tree = Tree::default();
    let first =
        Checkpoint { size: 0, root: tree.root(), head: header.digest, time: now, closed: false };
    let note = first.seal(&body.origin, &signer.public, &signer.pair)?;
    let checkpoints = first_checkpoint(ports.disk.as_ref(), &layout, &note)?;
    let file = ports.disk.create(path).map_err(unavailable("cannot make", path))?;
    let position = Position { previous: header.digest, last_line: header.digest, header, tree };
    let Ports { disk, clock } = ports;
    let segment = Tail { file, size: 0 };
    Ok(Parts { layout, disk, clock, options, lock, signer, position, segment, checkpoints })
}

fn take_lock(layout: &Layout) -> Result<WriterLock, LogError> {
    let path = layout.lock();
    match WriterLock::take(&path) {
        Ok(lock) => Ok(lock),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
            Err(LogError::Busy { path: layout.log().to_owned() })
        }
        Err(error) => Err(unavailable("cannot lock", &path)(error)),
    }
}

fn first_checkpoint(disk: &dyn Disk, layout: &Layout, note: &[u8]) -> Result<Tail, LogError> {
    let path = layout.checkpoints();
    let mut file = disk.create(&path).map_err(unavailable("cannot make", &path))?;
    let taken = file.append(note).map_err(unavailable("cannot write", &path))?;
    if taken != note.len() {
        return Err(unavailable("cannot write", &path)(io::ErrorKind::WriteZero.into()));
    }
    file.sync().map_err(unavailable("cannot sync", &path))?;
    let size = file.size().map_err(unavailable("cannot read", &path))?;
    Ok(Tail { file, size })
}

/// Goes on with a log: verifies all of it, moves an unfinished record aside, and stands where the next line goes.
pub(crate) fn resume(
    path: &Path,
    keys: &Keys,
    options: Options,
    ports: Ports,
) -> Result<(Parts, Recovered), LogError> {
    options.refuse()?;
    let layout = Layout::new(path);
    let untrusted = |verdict| LogError::Untrusted { path: path.to_owned(), verdict };
    if rustix::fs::lstat(layout.sidecar()).is_err() {
        return Err(untrusted(Verdict::MissingSidecar));
    }
    let lock = take_lock(&layout)?;
    let (report, end) = inspect(&layout, &keys.verify_keys()?, None).map_err(|error| {
        let source = match error {
            VerifyError::Unreadable { source, .. } => source,
            VerifyError::NoKey | VerifyError::Pin(_) => io::ErrorKind::InvalidInput.into(),
        };
        unavailable("cannot read", path)(source)
    })?;
    let sound = matches!(report.verdict, Verdict::Ok | Verdict::TornTail | Verdict::Empty);
    let Some((end, extent)) = end.filter(|_| sound) else {
        return Err(untrusted(report.verdict));
    };
    let body = &end.header.body;
    let mut signer = signer(keys, &body.origin, &body.log_id)?;
    let next = end.tree.size().saturating_add(1);
    let epoch = end.header.epoch_of(next);
    let (mut segment, checkpoints) = reopen(&layout, &ports, body.segment, extent, &report.torn)?;
    let current = layout.segment(body.segment);
    segment.file.sync().map_err(unavailable("cannot sync", &current))?;
    let recovered = Recovered {
        torn: report.torn,
        entries: report.entries,
        interrupted: report.interrupted_total,
    };
    let position = Position {
        previous: end.previous,
        last_line: end.last_line,
        header: end.header,
        tree: end.tree,
    };
    let checkpoints = seal_resumed(&layout, &ports, &signer, &position, checkpoints)?;
    signer.epoch_key.forward_to(epoch)?;
    let Ports { disk, clock } = ports;
    let parts =
        Parts { layout, disk, clock, options, lock, signer, position, segment, checkpoints };
    Ok((parts, recovered))
}

/// Opens the last segment and the checkpoint file, without their unfinished records.
fn reopen(
    layout: &Layout,
    ports: &Ports,
    index: u32,
    extent: Extent,
    torn: &Torn,
) -> Result<(Tail, Tail), LogError> {
    let path = layout.segment(index);
    let file = if rustix::fs::lstat(&path).is_ok() {
        ports.disk.open(&path)
    } else {
        ports.disk.create(&path)
    };
    let file = file.map_err(unavailable("cannot open", &path))?;
    let place = layout.torn("log", extent.segment_bytes);
    let segment = cut(ports, file, &path, &place, extent.segment_bytes, torn.log_bytes)?;
    let path = layout.checkpoints();
    let file = ports.disk.open(&path).map_err(unavailable("cannot open", &path))?;
    let place = layout.torn("checkpoints", extent.checkpoint_bytes);
    let checkpoints =
        cut(ports, file, &path, &place, extent.checkpoint_bytes, torn.checkpoint_bytes)?;
    Ok((segment, checkpoints))
}

/// Cuts an unfinished record off a file, after it lies durably at `place`.
fn cut(
    ports: &Ports,
    mut file: Box<dyn AppendFile>,
    path: &Path,
    place: &Path,
    complete: u64,
    torn: u64,
) -> Result<Tail, LogError> {
    if torn > 0 {
        let bytes = read_from(path, complete).map_err(unavailable("cannot read", path))?;
        match ports.disk.publish(place, &bytes, 0o600) {
            // A crash after this point of an earlier recovery: the bytes are safe already.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(unavailable("cannot write", place)(error)),
            Ok(()) => {}
        }
        file.truncate(complete).map_err(unavailable("cannot cut", path))?;
    }
    let size = file.size().map_err(unavailable("cannot read", path))?;
    if size != complete {
        return Err(unavailable("someone else writes", path)(io::ErrorKind::InvalidData.into()));
    }
    Ok(Tail { file, size })
}

fn read_from(path: &Path, offset: u64) -> io::Result<Vec<u8>> {
    use std::io::{Read, Seek, SeekFrom};
    let mut file = std::fs::File::open(path)?;
    file.seek(SeekFrom::Start(offset))?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Signs for everything that was found, now that it is durable. Also the seal of an epoch that ended unsealed.
fn seal_resumed(
    layout: &Layout,
    ports: &Ports,
    signer: &Signer,
    position: &Position,
    mut checkpoints: Tail,
) -> Result<Tail, LogError> {
    let checkpoint = Checkpoint {
        size: position.tree.size(),
        root: position.tree.root(),
        head: position.last_line,
        time: rfc3339(ports.clock.wall_ms()),
        closed: false,
    };
    let note = checkpoint.seal(&position.header.body.origin, &signer.public, &signer.pair)?;
    let path = layout.checkpoints();
    checkpoints.append_durably(&note).map_err(|fault| match fault.kind {
        Some(kind) => unavailable("cannot write", &path)(kind.into()),
        None => LogError::Poisoned(fault),
    })?;
    Ok(checkpoints)
}
