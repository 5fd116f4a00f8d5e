//! The walk that finds withheld paths and records the names a workspace began with.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, FileType, Mode, OFlags, RawDir};

use super::{Cover, Mask, MaskPolicy, MaskReason, credential, names_file};
use crate::workspace::error::{At as _, Doing, WorkspaceError};
use crate::workspace::limits::{DEPTH_LEVELS, GIT_CONFIG_BYTES};
use crate::workspace::node::NodeKind;
use crate::workspace::path::TreePath;
use crate::workspace::tree::{Tree, stat_at};

/// Size of the buffer that directories are read into.
const DIRECTORY_BUFFER: usize = 1 << 16;

struct Walk<'a> {
    tree: Tree,
    root: &'a Path,
    policy: &'a MaskPolicy,
    scratch: PathBuf,
    /// Where the names go; a later look leaves those that the task began with.
    names: Option<BufWriter<File>>,
    /// Paths that are masked already.
    known: &'a BTreeSet<TreePath>,
    /// Told of each directory before it is read.
    entered: &'a mut dyn FnMut(&Path),
    masks: Vec<Mask>,
}

/// One name found in a directory.
struct Found {
    name: Vec<u8>,
    kind: FileType,
}

/// Plans for the first time (no masks known), or once more beside the masks that are known.
pub(super) fn plan(
    root: &Path,
    policy: &MaskPolicy,
    session_dir: &Path,
    known: Option<&BTreeSet<TreePath>>,
    entered: &mut dyn FnMut(&Path),
) -> Result<Vec<Mask>, WorkspaceError> {
    let scratch = session_dir.join("masks");
    match fs::DirBuilder::new().mode(0o755).create(&scratch) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            return Err(error).at(Doing::Write, &scratch);
        }
        _ => {}
    }
    let none = BTreeSet::new();
    let mut walk = Walk {
        tree: Tree::open(root).at(Doing::Read, root)?,
        root,
        policy,
        scratch,
        names: if known.is_some() { None } else { Some(names(session_dir)?) },
        known: known.unwrap_or(&none),
        entered,
        masks: Vec::new(),
    };
    let top = walk.tree.dir(&TreePath::root()).at(Doing::Read, root)?;
    let mut path = Vec::new();
    let mut buffer = vec![MaybeUninit::uninit(); DIRECTORY_BUFFER];
    walk.directory(top, &mut path, &mut buffer, 0)?;
    if let Some(names) = &mut walk.names {
        names.flush().at(Doing::Write, &names_file(session_dir))?;
    }
    Ok(walk.masks)
}

fn names(session_dir: &Path) -> Result<BufWriter<File>, WorkspaceError> {
    let path = names_file(session_dir);
    let file = File::options().write(true).create(true).truncate(true).mode(0o600).open(&path);
    Ok(BufWriter::with_capacity(1 << 18, file.at(Doing::Write, &path)?))
}

impl Walk<'_> {
    /// Walks one directory; `path` is its path, and is given back unchanged.
    fn directory(
        &mut self,
        dir: OwnedFd,
        path: &mut Vec<u8>,
        buffer: &mut [MaybeUninit<u8>],
        depth: usize,
    ) -> Result<(), WorkspaceError> {
        if depth > DEPTH_LEVELS {
            return Err(WorkspaceError::TooDeep { path: self.at(path), limit: DEPTH_LEVELS });
        }
        let at = self.at(path);
        (self.entered)(&at);
        let found = read_directory(&dir, buffer).at(Doing::Read, &self.at(path))?;
        let in_git = path.split(|b| *b == b'/').any(|name| name.eq_ignore_ascii_case(b".git"))
            || is_repository(&found);
        self.record(path, &found).at(Doing::Write, &self.scratch)?;
        for Found { name, kind } in found {
            let length = path.len();
            if length > 0 {
                path.push(b'/');
            }
            path.extend_from_slice(&name);
            let kind =
                if kind == FileType::Unknown { self.kind_of(&dir, &name, path)? } else { kind };
            // A name that is not text is judged by what of it is.
            let masked = self.is_known(path)
                || match self.policy.judge(&String::from_utf8_lossy(path)) {
                    Some(reason) => self.mask(&dir, &name, path, kind, reason)?,
                    None if in_git
                        && name.starts_with(b"config")
                        && kind == FileType::RegularFile =>
                    {
                        self.scrub(path)?
                    }
                    None => false,
                };
            if kind == FileType::Directory && !masked {
                self.descend(&dir, &name, path, buffer, depth)?;
            }
            path.truncate(length);
        }
        Ok(())
    }

    fn is_known(&self, path: &[u8]) -> bool {
        !self.known.is_empty() && TreePath::parse(path).is_some_and(|p| self.known.contains(&p))
    }

    fn at(&self, path: &[u8]) -> PathBuf {
        self.root.join(std::ffi::OsStr::from_bytes(path))
    }

    fn record(&mut self, dir: &[u8], found: &[Found]) -> io::Result<()> {
        let Some(names) = &mut self.names else { return Ok(()) };
        names.write_all(dir)?;
        names.write_all(b"\0")?;
        for entry in found {
            names.write_all(&entry.name)?;
            names.write_all(b"\0")?;
        }
        names.write_all(b"\0")
    }

    fn descend(
        &mut self,
        dir: &OwnedFd,
        name: &[u8],
        path: &mut Vec<u8>,
        buffer: &mut [MaybeUninit<u8>],
        depth: usize,
    ) -> Result<(), WorkspaceError> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let name = std::ffi::OsStr::from_bytes(name);
        // Looking up `.` asks for the right to search, which opening does not.
        let opened = rustix::fs::openat(dir, name, flags, Mode::empty())
            .and_then(|below| rustix::fs::statat(&below, ".", AtFlags::empty()).map(|_| below));
        match opened {
            Ok(below) => self.directory(below, path, buffer, depth.saturating_add(1)),
            // Gone or replaced meanwhile.
            Err(rustix::io::Errno::NOENT | rustix::io::Errno::NOTDIR | rustix::io::Errno::LOOP) => {
                Ok(())
            }
            // What lies in it is not known. Its owner may open it again, and a rootless pod is its owner.
            Err(rustix::io::Errno::ACCESS) => {
                let path = TreePath::parse(path).unwrap_or_default();
                let (reason, cover) = (MaskReason::Closed, Cover::Directory);
                self.masks.push(Mask { path, reason, cover, linked: false });
                Ok(())
            }
            Err(error) => Err(error).at(Doing::Read, &self.at(path)),
        }
    }

    fn kind_of(&self, dir: &OwnedFd, name: &[u8], path: &[u8]) -> Result<FileType, WorkspaceError> {
        let stat = stat_at(dir.as_fd(), std::ffi::OsStr::from_bytes(name))
            .at(Doing::Read, &self.at(path))?;
        Ok(stat.map_or(FileType::Unknown, |s| FileType::from_raw_mode(s.st_mode)))
    }

    /// Records a mask; true when the path itself is covered.
    fn mask(
        &mut self,
        dir: &OwnedFd,
        name: &[u8],
        bytes: &[u8],
        kind: FileType,
        reason: MaskReason,
    ) -> Result<bool, WorkspaceError> {
        let name = std::ffi::OsStr::from_bytes(name);
        let path = TreePath::parse(bytes).unwrap_or_default();
        match kind {
            FileType::Symlink => {
                self.mask_target(&path, reason);
                Ok(true)
            }
            FileType::Directory => {
                self.masks.push(Mask { path, reason, cover: Cover::Directory, linked: false });
                Ok(true)
            }
            _ => {
                let stat = stat_at(dir.as_fd(), name).at(Doing::Read, &self.at(bytes))?;
                let linked = stat.is_some_and(|s| s.st_nlink > 1);
                self.masks.push(Mask { path, reason, cover: Cover::File, linked });
                Ok(true)
            }
        }
    }

    /// A bind cannot cover a link; what it leads to inside the workspace is covered instead. Outside the workspace it
    /// leads nowhere in a pod.
    fn mask_target(&mut self, link: &TreePath, reason: MaskReason) {
        let from = self.root.join(link.as_path());
        let Ok(real) = fs::canonicalize(&from) else { return };
        let Ok(inside) = real.strip_prefix(self.root) else { return };
        let Some(path) =
            TreePath::parse(&inside.as_os_str().to_owned().into_vec()).filter(|p| !p.is_root())
        else {
            return;
        };
        let cover = if real.is_dir() { Cover::Directory } else { Cover::File };
        if !self.known.contains(&path) && self.masks.iter().all(|m| m.path != path) {
            self.masks.push(Mask { path, reason, cover, linked: false });
        }
    }

    /// Covers a git configuration that carries a credential with a copy without it.
    fn scrub(&mut self, bytes: &[u8]) -> Result<bool, WorkspaceError> {
        let Some(path) = TreePath::parse(bytes) else { return Ok(false) };
        let at = self.root.join(path.as_path());
        let Some(stat) = self.tree.stat(&path).at(Doing::Read, &at)? else { return Ok(false) };
        let too_large = u64::try_from(stat.st_size).unwrap_or(0) > GIT_CONFIG_BYTES;
        if NodeKind::of(&stat) != NodeKind::File {
            return Ok(false);
        }
        let config = match self.tree.file(&path) {
            Ok(file) if !too_large => io::read_to_string(file).ok(),
            _ => None,
        };
        let linked = stat.st_nlink > 1;
        let Some(config) = config else {
            // Too large, no text, or closed to its owner, which a rootless pod is: covered whole rather than shown
            // unscrubbed.
            self.masks.push(Mask {
                path,
                reason: MaskReason::Credential,
                cover: Cover::File,
                linked,
            });
            return Ok(true);
        };
        let Some(clean) = credential::scrub(&config) else { return Ok(false) };
        // Pods have the copies of earlier looks.
        let number = self.known.len().saturating_add(self.masks.len());
        let copy = self.scratch.join(format!("git-config-{number}"));
        let mut file =
            File::options().write(true).create(true).truncate(true).mode(0o644).open(&copy);
        file.as_mut()
            .map_err(|e| io::Error::from(e.kind()))
            .and_then(|f| f.write_all(clean.as_bytes()))
            .at(Doing::Write, &copy)?;
        self.masks.push(Mask {
            path,
            reason: MaskReason::Credential,
            cover: Cover::Copy(copy),
            linked,
        });
        Ok(true)
    }
}

/// Whether a directory is a repository of git or a worktree's part of one, under whatever name.
fn is_repository(found: &[Found]) -> bool {
    let has = |name: &[u8]| found.iter().any(|entry| entry.name == name);
    has(b"HEAD") && (has(b"refs") || has(b"objects") || has(b"commondir"))
}

fn read_directory(dir: &OwnedFd, buffer: &mut [MaybeUninit<u8>]) -> io::Result<Vec<Found>> {
    let mut out = Vec::new();
    let mut entries = RawDir::new(dir, buffer);
    while let Some(entry) = entries.next() {
        let entry = entry?;
        let name = entry.file_name().to_bytes();
        if name != b"." && name != b".." {
            out.push(Found { name: name.to_vec(), kind: entry.file_type() });
        }
    }
    Ok(out)
}
