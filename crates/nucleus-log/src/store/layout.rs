//! Where the parts of a log lie: `LOG` and, beside it, `LOG.d/`.

use std::path::{Path, PathBuf};

/// Paths of one log.
#[derive(Debug, Clone)]
pub(crate) struct Layout {
    log: PathBuf,
    sidecar: PathBuf,
}

impl Layout {
    pub(crate) fn new(log: &Path) -> Self {
        let mut sidecar = log.as_os_str().to_owned();
        sidecar.push(".d");
        Self { log: log.to_owned(), sidecar: sidecar.into() }
    }

    pub(crate) fn log(&self) -> &Path {
        &self.log
    }

    pub(crate) fn sidecar(&self) -> &Path {
        &self.sidecar
    }

    /// The first segment is `LOG` itself, the others lie in the sidecar.
    pub(crate) fn segment(&self, index: u32) -> PathBuf {
        if index == 0 {
            self.log.clone()
        } else {
            self.sidecar.join(format!("segment-{index:06}.jsonl"))
        }
    }

    pub(crate) fn header(&self, index: u32) -> PathBuf {
        self.sidecar.join(format!("header-{index:06}.json"))
    }

    pub(crate) fn checkpoints(&self) -> PathBuf {
        self.sidecar.join("checkpoints")
    }

    pub(crate) fn lock(&self) -> PathBuf {
        self.sidecar.join("lock")
    }

    /// Where recovery puts the unfinished bytes that it cuts off.
    pub(crate) fn torn(&self, what: &str, offset: u64) -> PathBuf {
        self.sidecar.join(format!("torn-{what}-at-{offset}"))
    }
}
