//! The state of the host when a task began, as far as the conflict rule needs it.
//!
//! No walk is made. A file that somebody changes gets a change time (ctime), which no user program can set; so it is
//! enough to know one time stamp of the workspace's own file system that lies after every change made before the start
//! and not after any made since. `.git` is compared by content, because git rewrites its index for reasons that are
//! no change.

use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime};

use rustix::fs::{AtFlags, Mode, OFlags};
use rustix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};

use super::error::{At as _, Doing, WorkspaceError};
use super::git;
use super::limits::CLOCK_SLACK_MS;
use super::node::{Stamp, ctime};
use super::tree::Tree;

/// What is known of the start.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Baseline {
    /// Wall clock, in milliseconds since the epoch.
    pub started_ms: u64,
    /// Time since boot, in milliseconds.
    pub boot_ms: u64,
    /// Boot id of the kernel.
    pub boot_id: String,
    /// A change time of the workspace's file system: whatever changed at or after it, changed during the task.
    pub stamp: Stamp,
    /// SHA-256 over HEAD, refs and index of `.git`, when there is one.
    pub git: Option<String>,
}

/// Steps of the coarse clock that file systems use are at most 10 ms.
const CLOCK_STEP: Duration = Duration::from_millis(1);
const CLOCK_STEPS: usize = 50;

impl Baseline {
    /// Takes the state now.
    pub(crate) fn take(workspace: &Path) -> Result<Self, WorkspaceError> {
        let tree = Tree::open(workspace).at(Doing::Read, workspace)?;
        let first = stamp(&tree).at(Doing::Write, workspace)?;
        // Whatever was written just before has a stamp not after `first`; wait until the clock has moved on.
        let mut now = first;
        for _ in 0..CLOCK_STEPS {
            if now > first {
                break;
            }
            std::thread::sleep(CLOCK_STEP);
            now = stamp(&tree).at(Doing::Write, workspace)?;
        }
        let git = git::digest(&tree).at(Doing::Read, workspace)?;
        Ok(Self { started_ms: wall_ms(), boot_ms: boot_ms(), boot_id: boot_id(), stamp: now, git })
    }

    /// Whether a change time lies in the task's time.
    pub(crate) fn is_since(&self, ctime: Stamp) -> bool {
        ctime >= self.stamp
    }

    /// Whether the wall clock was set back since, so that change times prove nothing.
    pub(crate) fn clock_went_back(&self) -> bool {
        let wall = wall_ms();
        if self.boot_id != boot_id() {
            return wall < self.started_ms;
        }
        let elapsed = boot_ms().saturating_sub(self.boot_ms);
        wall.saturating_add(CLOCK_SLACK_MS) < self.started_ms.saturating_add(elapsed)
    }
}

/// A change time of the file system that holds the workspace, without a name in the user's tree where it can be had so.
fn stamp(tree: &Tree) -> rustix::io::Result<Stamp> {
    let unnamed = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
    if let Ok(file) = rustix::fs::openat(tree.fd(), ".", unnamed, Mode::RUSR | Mode::WUSR) {
        return Ok(ctime(&rustix::fs::fstat(&file)?));
    }
    let name = format!(".nucleus-stamp-{}", std::process::id());
    let flags = OFlags::CREATE | OFlags::EXCL | OFlags::RDWR | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let file = rustix::fs::openat(tree.fd(), &name, flags, Mode::RUSR | Mode::WUSR)?;
    let stat = rustix::fs::fstat(&file);
    rustix::fs::unlinkat(tree.fd(), &name, AtFlags::empty())?;
    Ok(ctime(&stat?))
}

fn wall_ms() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

fn boot_ms() -> u64 {
    let now = clock_gettime(ClockId::Boottime);
    let s = u64::try_from(now.tv_sec).unwrap_or(0);
    let ns = u64::try_from(now.tv_nsec).unwrap_or(0);
    s.saturating_mul(1000).saturating_add(ns / 1_000_000)
}

fn boot_id() -> String {
    let text = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    text.trim().to_owned()
}
