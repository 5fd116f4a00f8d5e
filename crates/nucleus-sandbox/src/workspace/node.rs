//! What a path holds, as the conflict rule compares it.

use rustix::fs::{FileType, Stat};
use serde::{Deserialize, Serialize};

/// Kind of a file-system node that a task can leave.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NodeKind {
    /// Regular file.
    File,
    /// Directory.
    Directory,
    /// Symbolic link.
    Symlink,
    /// Socket, FIFO or device: never applied.
    Special,
}

impl NodeKind {
    pub(crate) fn of(stat: &Stat) -> Self {
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => Self::File,
            FileType::Directory => Self::Directory,
            FileType::Symlink => Self::Symlink,
            _ => Self::Special,
        }
    }
}

/// Seconds and nanoseconds of a file's time stamp.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Stamp {
    /// Seconds since the epoch.
    pub s: i64,
    /// Nanoseconds.
    pub ns: i64,
}

/// Identity and state of a node on the host at one moment. Two equal fingerprints mean that nobody wrote the file,
/// replaced it or changed its attributes in between.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fingerprint {
    /// Device.
    pub dev: u64,
    /// Inode.
    pub ino: u64,
    /// Size in bytes.
    pub size: u64,
    /// Type and permission bits.
    pub mode: u32,
    /// Last change of content.
    pub mtime: Stamp,
    /// Last change of anything.
    pub ctime: Stamp,
}

impl Fingerprint {
    pub(crate) fn of(stat: &Stat) -> Self {
        Self {
            dev: stat.st_dev,
            ino: stat.st_ino,
            size: u64::try_from(stat.st_size).unwrap_or(0),
            mode: stat.st_mode,
            mtime: mtime(stat),
            ctime: ctime(stat),
        }
    }

    /// The same node with the same content; a rename in between (which moves ctime) is allowed.
    pub(crate) fn same_content(&self, other: &Self) -> bool {
        self.dev == other.dev
            && self.ino == other.ino
            && self.size == other.size
            && self.mode == other.mode
            && self.mtime == other.mtime
    }
}

pub(crate) fn mtime(stat: &Stat) -> Stamp {
    Stamp { s: stat.st_mtime, ns: i64::try_from(stat.st_mtime_nsec).unwrap_or(0) }
}

pub(crate) fn ctime(stat: &Stat) -> Stamp {
    Stamp { s: stat.st_ctime, ns: i64::try_from(stat.st_ctime_nsec).unwrap_or(0) }
}
