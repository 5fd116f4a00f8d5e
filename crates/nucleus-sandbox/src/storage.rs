//! What Nucleus keeps on disk: how much it is, and removing what nobody needs any more.
//!
//! Nothing is removed in place. A thing is first moved out of sight under its lock, then removed, so that a process that
//! dies in between leaves nothing half there; what it leaves in `trash` goes with the next removal.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use rustix::fs::FlockOperation;

use crate::home::workspace_hash;
use crate::workspace::{self, Session, WorkspaceError};

/// Directory of what is being removed.
const TRASH: &str = "trash";

/// What a kept thing is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[expect(clippy::exhaustive_enums, reason = "each kind has its own rule")]
pub enum Kind {
    /// What a removal that died left.
    Trash,
    /// What a `nucleus doctor` that died left.
    Rehearsal,
    /// A session, or what is left of one that never began.
    Session,
    /// Writable layers of toolchain caches, for one workspace and policy.
    Cache,
    /// An agent's home, for one workspace.
    Home,
}

impl Kind {
    /// The word used in lists.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Trash => "trash",
            Self::Rehearsal => "rehearsal",
            Self::Session => "session",
            Self::Cache => "cache",
            Self::Home => "home",
        }
    }
}

/// Whether a thing may go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "each must be handled")]
pub enum Need {
    /// A task uses it now: never.
    InUse,
    /// It holds changes that were never applied: only when the user insists.
    Unapplied,
    /// Nothing waits for it.
    None,
}

/// One kept thing.
#[derive(Debug, Clone)]
pub struct Item {
    /// What it is.
    pub kind: Kind,
    /// Its name: a session's id, or a directory's name.
    pub name: String,
    /// Bytes on disk.
    pub bytes: u64,
    /// When it was last used, in milliseconds since the epoch.
    pub used_ms: u64,
    /// Whether it may go.
    pub need: Need,
}

/// Everything kept below `state_dir`.
///
/// # Errors
/// The state directory cannot be listed.
pub fn survey(state_dir: &Path) -> Result<Vec<Item>, WorkspaceError> {
    let mut items = Vec::new();
    let mut busy = BTreeSet::new();
    let sessions = state_dir.join("sessions");
    for name in names(&sessions) {
        let dir = sessions.join(&name);
        let need = match Session::open(state_dir, &name) {
            Ok(session) if session.is_running() => {
                busy.insert(workspace_hash(&session.meta().workspace));
                Need::InUse
            }
            Ok(session) if session.status().is_settled() => Need::None,
            Ok(_) => Need::Unapplied,
            // It never began: its metadata is written before anything else happens.
            Err(WorkspaceError::UnknownSession { .. }) if is_free(&dir.join("lock")) => Need::None,
            // Damaged, or of another version: its files may be all that is left of somebody's work.
            Err(_) => Need::Unapplied,
        };
        let used_ms = used(&dir);
        items.push(Item { kind: Kind::Session, bytes: size(&dir), name, used_ms, need });
    }
    for (kind, place) in [(Kind::Cache, "caches"), (Kind::Home, "homes"), (Kind::Trash, TRASH)] {
        for name in names(&state_dir.join(place)) {
            let dir = state_dir.join(place).join(&name);
            let of_running = busy.iter().any(|hash| name.contains(hash.as_str()));
            let locked = kind == Kind::Cache && !is_free(&dir.join(".lock"));
            let need = if of_running || locked { Need::InUse } else { Need::None };
            items.push(Item { kind, bytes: size(&dir), used_ms: used(&dir), name, need });
        }
    }
    for name in names(state_dir) {
        let pid = name.strip_prefix("rehearsal-").and_then(|pid| pid.parse::<u32>().ok());
        if pid.is_some_and(|pid| !Path::new("/proc").join(pid.to_string()).exists()) {
            let dir = state_dir.join(&name);
            let (bytes, used_ms) = (size(&dir), used(&dir));
            items.push(Item { kind: Kind::Rehearsal, name, bytes, used_ms, need: Need::None });
        }
    }
    Ok(items)
}

/// Removes one thing, unless it is needed now; gives the bytes freed. `force` takes changes that were never applied
/// along.
///
/// # Errors
/// It cannot be removed; whatever is left of it lies in the trash.
pub fn remove(state_dir: &Path, item: &Item, force: bool) -> Result<Option<u64>, io::Error> {
    let place = match item.kind {
        Kind::Trash => TRASH,
        Kind::Rehearsal => "",
        Kind::Session => "sessions",
        Kind::Cache => "caches",
        Kind::Home => "homes",
    };
    let dir = state_dir.join(place).join(&item.name);
    if item.need == Need::InUse || item.need == Need::Unapplied && !force {
        return Ok(None);
    }
    if matches!(item.kind, Kind::Trash | Kind::Rehearsal) {
        workspace::remove_tree(&dir)?;
        return Ok(Some(item.bytes));
    }
    // Held until it is out of sight: nobody begins to use it in between.
    let _lock = match item.kind {
        Kind::Session => match hold(&dir.join("lock"))? {
            Some(lock) => Some(lock),
            None => return Ok(None),
        },
        Kind::Cache => match hold(&dir.join(".lock"))? {
            Some(lock) => Some(lock),
            None => return Ok(None),
        },
        Kind::Home | Kind::Trash | Kind::Rehearsal => None,
    };
    if item.kind == Kind::Session
        && !force
        && Session::open(state_dir, &item.name).is_ok_and(|session| !session.status().is_settled())
    {
        return Ok(None);
    }
    let trash = state_dir.join(TRASH);
    fs::DirBuilder::new().recursive(true).mode(0o700).create(&trash)?;
    let gone = trash.join(format!("{place}-{}-{}", item.name, std::process::id()));
    fs::rename(&dir, &gone)?;
    workspace::remove_tree(&gone)?;
    Ok(Some(item.bytes))
}

/// Bytes on disk of a tree, links not followed. What cannot be read counts as nothing.
#[must_use]
pub fn size(path: &Path) -> u64 {
    let Ok(metadata) = fs::symlink_metadata(path) else { return 0 };
    let mut bytes = metadata.blocks().saturating_mul(512);
    if metadata.is_dir() {
        let mut open = vec![path.to_path_buf()];
        while let Some(dir) = open.pop() {
            for entry in fs::read_dir(&dir).into_iter().flatten().flatten() {
                let Ok(metadata) = entry.metadata() else { continue };
                bytes = bytes.saturating_add(metadata.blocks().saturating_mul(512));
                if metadata.is_dir() {
                    open.push(entry.path());
                }
            }
        }
    }
    bytes
}

/// When anything directly in a directory last changed.
fn used(dir: &Path) -> u64 {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    let within = entries.filter_map(|entry| entry.metadata().ok());
    within
        .chain(fs::symlink_metadata(dir))
        .filter_map(|metadata| metadata.modified().ok())
        .max()
        .map_or(0, millis)
}

fn millis(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

fn names(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    let mut names: Vec<String> =
        entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
    names.sort();
    names
}

fn is_free(lock: &Path) -> bool {
    !lock.exists() || hold(lock).is_ok_and(|held| held.is_some())
}

/// Takes a lock that may not be there; `None` while somebody has it.
fn hold(lock: &Path) -> io::Result<Option<File>> {
    let file = File::options().write(true).create(true).truncate(false).open(lock)?;
    match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(Some(file)),
        Err(rustix::io::Errno::WOULDBLOCK) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(state: &Path, name: &str) -> Item {
        survey(state).unwrap().into_iter().find(|item| item.name == name).unwrap()
    }

    #[test]
    fn what_is_locked_stays_and_what_is_free_goes() {
        let state = tempfile::tempdir().unwrap();
        let cache = state.path().join("caches/0123-4567");
        fs::create_dir_all(cache.join("npm")).unwrap();
        fs::write(cache.join("npm/file"), vec![1_u8; 10_000]).unwrap();
        let lock = hold(&cache.join(".lock")).unwrap().unwrap();
        let busy = item(state.path(), "0123-4567");
        assert_eq!(busy.need, Need::InUse);
        assert_eq!(remove(state.path(), &busy, true).unwrap(), None);
        drop(lock);
        let free = item(state.path(), "0123-4567");
        assert!(free.bytes >= 10_000 && free.need == Need::None, "{free:?}");
        let lock = hold(&cache.join(".lock")).unwrap().unwrap();
        assert_eq!(remove(state.path(), &free, false).unwrap(), None, "taken since the survey");
        drop(lock);
        assert_eq!(remove(state.path(), &free, false).unwrap(), Some(free.bytes));
        assert!(!cache.exists() && names(&state.path().join(TRASH)).is_empty());
    }

    #[test]
    fn a_session_that_is_damaged_or_unapplied_needs_force() {
        let state = tempfile::tempdir().unwrap();
        let dir = state.path().join("sessions/20260101-000000-aaaa");
        fs::create_dir_all(&dir).unwrap();
        fs::write(dir.join("session.json"), "{\"version\":1,").unwrap();
        let damaged = item(state.path(), "20260101-000000-aaaa");
        assert_eq!(damaged.need, Need::Unapplied);
        assert_eq!(remove(state.path(), &damaged, false).unwrap(), None);
        assert!(dir.exists());
        assert!(remove(state.path(), &damaged, true).unwrap().is_some() && !dir.exists());
    }
}
