//! Remembers how far each log had come, on the verifier's side.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, Mode, OFlags, RenameFlags};
use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::report::{PinState, Report, Verdict};
use crate::store::disk::publish;
use crate::walk::Expectation;

const MAX_PIN_BYTES: u64 = 16 * 1024 * 1024;

/// What is wrong with a pin file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PinError {
    /// The host refused.
    #[error("cannot use the pin file {}: {source}", path.display())]
    Unavailable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It is not a pin file. Never overwritten: whoever damages the pin must not thereby remove it.
    #[error("{} is not a pin file; move it away if you mean to forget what it pins", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Pinned {
    size: u64,
    root: Digest,
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Pins {
    pins: BTreeMap<String, Pinned>,
}

/// A pin file in use by one verification at a time.
#[derive(Debug)]
pub(crate) struct Pin {
    path: PathBuf,
    pins: Pins,
    _lock: File,
}

impl Pin {
    /// Reads the file, or begins a new one.
    pub(crate) fn open(path: &Path) -> Result<Self, PinError> {
        let failed = |source: io::Error| PinError::Unavailable { path: path.to_owned(), source };
        let lock = take_lock(path).map_err(failed)?;
        let mut text = Vec::new();
        match File::open(path) {
            Ok(file) => {
                file.take(MAX_PIN_BYTES).read_to_end(&mut text).map_err(failed)?;
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let pins = Pins::default();
                return Ok(Self { path: path.to_owned(), pins, _lock: lock });
            }
            Err(error) => return Err(failed(error)),
        }
        let pins = serde_json::from_slice(&text)
            .map_err(|_| PinError::Malformed { path: path.to_owned() })?;
        Ok(Self { path: path.to_owned(), pins, _lock: lock })
    }

    /// What is remembered of a log.
    pub(crate) fn find(&self, origin: &str) -> Option<Expectation> {
        let pinned = self.pins.pins.get(origin)?;
        Some(Expectation { size: pinned.size, root: pinned.root })
    }

    /// Remembers the last checkpoint of a log that verified. Only what was signed is pinned: the rest may be lost in a crash.
    pub(crate) fn remember(mut self, report: &mut Report) -> Result<(), PinError> {
        let good = matches!(
            report.verdict,
            Verdict::Ok | Verdict::OkWithoutMacKey | Verdict::TornTail | Verdict::Stale { .. }
        );
        let (Some(origin), Some(proved), true) = (&report.origin, &report.proved, good) else {
            return Ok(());
        };
        let pinned = Pinned { size: proved.size, root: proved.root };
        let old = self.pins.pins.insert(origin.clone(), pinned);
        report.pin = Some(old.map_or(PinState::First, |old| PinState::Extends { from: old.size }));
        if old == Some(pinned) {
            return Ok(());
        }
        let failed = |source: io::Error| PinError::Unavailable { path: self.path.clone(), source };
        let mut text = serde_json::to_vec(&self.pins).map_err(|e| failed(e.into()))?;
        text.push(b'\n');
        publish(&self.path, &text, 0o600, RenameFlags::empty()).map_err(failed)
    }
}

fn take_lock(path: &Path) -> io::Result<File> {
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    let flags = OFlags::CREATE | OFlags::RDWR | OFlags::CLOEXEC;
    let file = File::from(rustix::fs::open(&name, flags, Mode::from_raw_mode(0o600))?);
    rustix::fs::flock(&file, FlockOperation::LockExclusive)?;
    Ok(file)
}
