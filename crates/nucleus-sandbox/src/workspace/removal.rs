//! Removing a tree, however deep it is, how long its paths are and whom it is closed to.
//!
//! A task decides the shape of what is removed here. So nothing goes by a path below the top, and no more than three
//! directories are open at once: what lies in a directory below the top is moved up into the top, whose turn then comes.

use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{AtFlags, CWD, Dir, Mode, OFlags};
use rustix::io::Errno;

use super::node::NodeKind;
use super::tree::{Entry, entries_of, stat_at};

/// Most names of the top taken at a time: a wide tree is not held in memory as a whole.
const BATCH: usize = 4096;

/// Removes what lies at a path of Nucleus's own, links not followed; nothing there is fine.
pub(crate) fn remove_tree(path: &Path) -> io::Result<()> {
    remove_at(CWD, path)
}

/// Removes what has a name, a directory with all that is in it; nothing of that name is fine.
pub(crate) fn remove_at(dir: BorrowedFd<'_>, name: impl AsRef<OsStr>) -> io::Result<()> {
    let name = name.as_ref();
    match stat_at(dir, name)? {
        None => return Ok(()),
        Some(stat) if NodeKind::of(&stat) != NodeKind::Directory => {
            return Ok(rustix::fs::unlinkat(dir, name, AtFlags::empty())?);
        }
        Some(_) => {}
    }
    empty(&enter(dir, name)?)?;
    Ok(rustix::fs::unlinkat(dir, name, AtFlags::REMOVEDIR)?)
}

/// Removes everything in a held directory.
pub(crate) fn empty(top: &OwnedFd) -> io::Result<()> {
    let mut moved: u64 = 0;
    loop {
        let batch = some_entries(top)?;
        if batch.is_empty() {
            return Ok(());
        }
        for Entry { name } in batch {
            if unlinked(top, &name)? {
                continue;
            }
            let directory = enter(top.as_fd(), &name)?;
            for Entry { name: inner } in
                entries_of(rustix::io::fcntl_dupfd_cloexec(&directory, 3)?)?
            {
                if !unlinked(&directory, &inner)? {
                    // To move a directory is to change what it says of its parent, so it must be writable.
                    enter(directory.as_fd(), &inner)?;
                    hoist(&directory, &inner, top, &mut moved)?;
                }
            }
            rustix::fs::unlinkat(top, &name, AtFlags::REMOVEDIR)?;
        }
    }
}

/// Opens a directory, its owner let in again.
pub(crate) fn enter(dir: BorrowedFd<'_>, name: &OsStr) -> io::Result<OwnedFd> {
    let closed = stat_at(dir, name)?.is_some_and(|stat| {
        NodeKind::of(&stat) == NodeKind::Directory && stat.st_mode & 0o700 != 0o700
    });
    if closed {
        rustix::fs::chmodat(dir, name, Mode::RWXU, AtFlags::empty())?;
    }
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(rustix::fs::openat(dir, name, flags, Mode::empty())?)
}

/// Removes a name that is no directory; false when it is one.
fn unlinked(dir: &OwnedFd, name: &OsStr) -> io::Result<bool> {
    match rustix::fs::unlinkat(dir, name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => Ok(true),
        // Linux says the one, POSIX the other.
        Err(Errno::ISDIR | Errno::PERM) => match stat_at(dir.as_fd(), name)? {
            Some(stat) if NodeKind::of(&stat) != NodeKind::Directory => Err(Errno::PERM.into()),
            found => Ok(found.is_none()),
        },
        Err(error) => Err(error.into()),
    }
}

/// Moves a directory into the top under a name that is free there.
fn hoist(from: &OwnedFd, name: &OsStr, top: &OwnedFd, moved: &mut u64) -> io::Result<()> {
    loop {
        *moved = moved.saturating_add(1);
        match rustix::fs::renameat(from, name, top, format!(".nucleus-gone-{moved}")) {
            // Something of that name is there, the task's own or a removal's that died.
            Err(Errno::EXIST | Errno::NOTEMPTY | Errno::NOTDIR) => {}
            other => return Ok(other?),
        }
    }
}

/// Some of the names in a directory; none when it is empty.
fn some_entries(dir: &OwnedFd) -> io::Result<Vec<Entry>> {
    let mut out = Vec::new();
    for entry in Dir::read_from(dir)? {
        let entry = entry?;
        let name = entry.file_name();
        if name != c"." && name != c".." {
            out.push(Entry::of(name));
            if out.len() >= BATCH {
                break;
            }
        }
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::ffi::OsStrExt as _;
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;

    /// Makes `levels` directories, each in the last, by descriptors; gives the lowest.
    fn deep(top: &Path, levels: usize, name: &str) -> OwnedFd {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let mut at = rustix::fs::open(top, flags, Mode::empty()).unwrap();
        for _ in 0..levels {
            rustix::fs::mkdirat(&at, name, Mode::RWXU).unwrap();
            at = rustix::fs::openat(&at, name, flags, Mode::empty()).unwrap();
        }
        at
    }

    #[test]
    fn a_tree_of_any_depth_goes_with_few_descriptors() {
        let dir = tempfile::tempdir().unwrap();
        let tree = dir.path().join("tree");
        fs::create_dir(&tree).unwrap();
        // Deeper than a process may have files open, or a stack has room for.
        drop(deep(&tree, 20_000, "d"));
        remove_tree(&tree).unwrap();
        assert!(!tree.exists());
        remove_tree(&tree).unwrap();
    }

    #[test]
    fn a_closed_directory_below_a_long_path_goes_too() {
        let dir = tempfile::tempdir().unwrap();
        let tree = dir.path().join("tree");
        fs::create_dir(&tree).unwrap();
        let lowest = deep(&tree, 30, &"n".repeat(200));
        rustix::fs::mkdirat(&lowest, "closed", Mode::empty()).unwrap();
        rustix::fs::chmodat(&lowest, ".", Mode::empty(), AtFlags::empty()).unwrap();
        as_an_ordinary_owner(|| remove_tree(&tree)).unwrap();
        assert!(!tree.exists());
    }

    #[test]
    fn only_what_is_in_the_tree_goes() {
        let dir = tempfile::tempdir().unwrap();
        let (tree, outside) = (dir.path().join("tree"), dir.path().join("outside"));
        fs::create_dir_all(tree.join("a/b/.nucleus-gone-1/x")).unwrap();
        fs::create_dir_all(tree.join(".nucleus-gone-1/full")).unwrap();
        fs::write(tree.join(".nucleus-gone-2"), "in the way").unwrap();
        fs::create_dir(tree.join("closed")).unwrap();
        fs::write(tree.join("closed/file"), "x").unwrap();
        fs::set_permissions(tree.join("closed"), fs::Permissions::from_mode(0o000)).unwrap();
        fs::create_dir(&outside).unwrap();
        fs::write(outside.join("kept"), "kept").unwrap();
        symlink(&outside, tree.join("a/b/link")).unwrap();
        symlink(&outside, tree.join("link")).unwrap();
        let odd = tree.join(OsStr::from_bytes(b"odd-\xff"));
        fs::create_dir(&odd).unwrap();
        as_an_ordinary_owner(|| remove_tree(&tree)).unwrap();
        assert!(!tree.exists());
        assert_eq!(fs::read_to_string(outside.join("kept")).unwrap(), "kept");
        symlink(&outside, &tree).unwrap();
        remove_tree(&tree).unwrap();
        assert!(outside.join("kept").exists() && fs::symlink_metadata(&tree).is_err());
    }

    /// Runs `work` on a thread without root's right to pass every mode.
    fn as_an_ordinary_owner<T: Send>(work: impl FnOnce() -> T + Send) -> T {
        use rustix::thread::{CapabilitySet, capabilities, set_capabilities};
        std::thread::scope(|scope| {
            let limited = scope.spawn(|| {
                let mut sets = capabilities(None).unwrap();
                sets.effective -= CapabilitySet::DAC_OVERRIDE | CapabilitySet::DAC_READ_SEARCH;
                set_capabilities(None, sets).unwrap();
                work()
            });
            limited.join().unwrap()
        })
    }
}
