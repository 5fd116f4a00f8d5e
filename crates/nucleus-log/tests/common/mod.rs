//! Shared by the tests of this crate.
#![expect(
    clippy::unwrap_used,
    dead_code,
    unreachable_pub,
    reason = "every test file uses a part of it"
)]

use std::path::{Path, PathBuf};

use nucleus_log::*;

/// A directory with keys and one log.
pub struct Bench {
    pub dir: tempfile::TempDir,
    pub keys: Keys,
}

pub fn event(n: u64) -> Event {
    Event {
        tool: Some("read".into()),
        target: Some(format!("src/{n}.rs")),
        result: Some("success".into()),
        bytes_returned: Some(4_523),
        ..Event::new("tool_execution", "agent-1")
    }
}

pub fn durability(n: u64) -> Durability {
    if n.is_multiple_of(2) { Durability::Durable } else { Durability::Written }
}

impl Bench {
    pub fn new() -> Self {
        Self::at(tempfile::tempdir().unwrap())
    }

    pub fn at(dir: tempfile::TempDir) -> Self {
        let keys = Keys::load_or_create(&dir.path().join("keys")).unwrap();
        Self { dir, keys }
    }

    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    pub fn log(&self) -> PathBuf {
        self.dir.path().join("log.jsonl")
    }

    pub fn sidecar(&self) -> PathBuf {
        self.dir.path().join("log.jsonl.d")
    }

    pub fn checkpoints(&self) -> PathBuf {
        self.sidecar().join("checkpoints")
    }

    pub fn read_log(&self) -> String {
        std::fs::read_to_string(self.log()).unwrap()
    }

    pub fn origin() -> Origin {
        Origin::parse("nucleus/session/test").unwrap()
    }

    pub fn writer(&self) -> Writer {
        Writer::create(&self.log(), &self.keys, Self::origin()).unwrap()
    }

    pub fn writer_with(&self, options: Options) -> Writer {
        Writer::create_with(&self.log(), &self.keys, Self::origin(), options, Ports::default())
            .unwrap()
    }

    /// A log of `count` entries in epochs of `epoch` entries, closed.
    pub fn write(&self, count: u64, epoch: u64) {
        let writer = self.writer_with(Options { epoch_entries: epoch, ..Options::default() });
        for n in 0..count {
            writer.append(&event(n), Durability::Written).unwrap();
        }
        writer.close().unwrap();
    }

    pub fn both(&self) -> VerifyKeys {
        self.keys.verify_keys().unwrap()
    }

    pub fn mac_only(&self) -> VerifyKeys {
        VerifyKeys { public: None, ..self.both() }
    }

    pub fn public_only(&self) -> VerifyKeys {
        VerifyKeys { mac: None, ..self.both() }
    }

    pub fn verify(&self) -> Report {
        self.verify_with(&self.both())
    }

    pub fn verify_with(&self, keys: &VerifyKeys) -> Report {
        verify(&self.log(), keys, &VerifyOptions::default()).unwrap()
    }

    pub fn verify_pinned(&self) -> Report {
        let pin = Some(self.path().join("pin.json"));
        let options = VerifyOptions { pin, ..VerifyOptions::default() };
        verify(&self.log(), &self.both(), &options).unwrap()
    }

    /// A copy of log and sidecar in a directory of its own, with the same keys.
    pub fn copy(&self) -> Self {
        let dir = tempfile::tempdir().unwrap();
        copy_tree(self.path(), dir.path());
        Self { dir, keys: self.keys.clone() }
    }
}

pub fn copy_tree(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let place = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_tree(&entry.path(), &place);
        } else {
            std::fs::copy(entry.path(), &place).unwrap();
        }
    }
}
