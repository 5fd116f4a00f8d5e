//! One resolver for every tool: from the text of a path to an open file beneath the workspace's handle.
//!
//! A path is resolved twice, for two reasons. First it is *walked*: each component is opened by itself without
//! following it, links are read and followed by hand, and the walk never leaves the held directory. That
//! yields the **real name**, free of links, which is what policy judges (a link `notes.txt → .env` is judged
//! as `.env`). Then the real name is *opened* by the kernel with `openat2`, beneath the handle, following no
//! link at all, and the file must be the one the walk saw. Whatever is swapped in between makes the open
//! fail, and the resolution begins again, a bounded number of times.
//!
//! INVARIANT: no tool opens, creates, renames or lists anything except through a directory handle that came
//! from here.

mod walk;

use std::fs::File;
use std::io::Write;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Component, Path};

use nucleus_sys::weaken::{self, Weak};
use rustix::fs::{FileType, Mode, OFlags, ResolveFlags, Stat};
use rustix::io::Errno;

pub(crate) use walk::Located;

use super::bounds::Paths;
use super::error::{Kind, PathFault, ToolError};
use super::limits::RACE_RETRIES_MAX;
use crate::port::Workspace;

const NAME_MAX_BYTES: usize = 255;

/// Resolves paths beneath one workspace.
pub(crate) struct Resolver<'a> {
    root: BorrowedFd<'a>,
    inside: &'a Path,
    ids: Option<(u32, u32)>,
}

/// A regular file that was opened by its real name.
#[derive(Debug)]
pub(crate) struct Opened {
    /// The file, for reading.
    pub(crate) file: File,
    /// Its name beneath the workspace, free of links.
    pub(crate) real: String,
    /// Its attributes when it was opened.
    pub(crate) stat: Stat,
}

impl<'a> Resolver<'a> {
    /// The resolver of `workspace`.
    pub(crate) fn new(workspace: &'a Workspace) -> Self {
        Self { root: workspace.root.as_fd(), inside: &workspace.path, ids: workspace.ids }
    }

    /// Runs `f` with the file-system ids of the pod, when this process is root. Every use of a path belongs
    /// inside, so that what the pod's user may not read or write, a tool may not either.
    pub(crate) fn act<T>(&self, f: impl FnOnce() -> Result<T, ToolError>) -> Result<T, ToolError> {
        match self.ids {
            None => f(),
            Some((uid, gid)) => nucleus_sys::fs::with_fs_ids(uid, gid, f)
                .unwrap_or_else(|source| Err(ToolError::io("act for the pod on", "", source))),
        }
    }

    /// The path beneath the workspace that `text` names: as it is when relative, without the workspace's own
    /// path when absolute (agents send both). Compared by components, so `/ws-evil` is not beneath `/ws`.
    pub(crate) fn relative(&self, text: &str) -> Result<String, ToolError> {
        relative(self.inside, text).map_err(ToolError::Path)
    }

    /// Where `text` really leads, for whoever judges it; an empty text is the workspace itself. Opens no file.
    pub(crate) fn locate(&self, text: &str) -> Result<Located, ToolError> {
        self.act(|| self.locate_here(text))
    }

    /// As [`Self::locate`], inside a running [`Self::act`].
    pub(crate) fn locate_here(&self, text: &str) -> Result<Located, ToolError> {
        self.walk(&self.start(text)?)
    }

    /// A pattern without the workspace's own path before it.
    pub(crate) fn below_workspace<'p>(&self, pattern: &'p str) -> &'p str {
        let beneath = Path::new(pattern).strip_prefix(self.inside).ok().and_then(Path::to_str);
        beneath.filter(|rest| !rest.is_empty()).unwrap_or(pattern)
    }

    fn start(&self, text: &str) -> Result<String, ToolError> {
        if text.is_empty() { Ok(String::new()) } else { self.relative(text) }
    }

    /// Opens the regular file that `text` leads to for reading, if policy admits its real name.
    ///
    /// Never blocks on a pipe or a device, and never follows a link that leaves the workspace.
    pub(crate) fn open_file(&self, text: &str, paths: &dyn Paths) -> Result<Opened, ToolError> {
        let path = self.relative(text)?;
        if weaken::off(Weak::Resolver) {
            return self.open_unresolved(&path, paths);
        }
        for _ in 0..RACE_RETRIES_MAX {
            let located = self.walk(&path)?;
            admit(paths, &path, &located.real)?;
            match located.kind {
                Kind::File => {}
                Kind::Missing => return Err(ToolError::NotFound { path: located.real }),
                kind => return Err(ToolError::NotRegular { path: located.real, kind }),
            }
            let Some(file) = self.open_real(&located.real, READ)? else { continue };
            let stat =
                rustix::fs::fstat(&file).map_err(|e| ToolError::io("look at", &located.real, e))?;
            if located.is(&stat) {
                return Ok(Opened { file: File::from(file), real: located.real, stat });
            }
        }
        Err(ToolError::Changed { path })
    }

    /// Opens the directory that `text` leads to (empty = the workspace itself), with its real name.
    pub(crate) fn open_directory(&self, text: &str) -> Result<(OwnedFd, String), ToolError> {
        let path = self.start(text)?;
        for _ in 0..RACE_RETRIES_MAX {
            let located = self.walk(&path)?;
            match located.kind {
                Kind::Directory => {}
                Kind::Missing => return Err(ToolError::NotFound { path: located.real }),
                _ => return Err(ToolError::NotDirectory { path: located.real }),
            }
            let Some(fd) = self.open_real(&located.real, LIST)? else { continue };
            let stat =
                rustix::fs::fstat(&fd).map_err(|e| ToolError::io("look at", &located.real, e))?;
            if located.is(&stat) {
                return Ok((fd, located.real));
            }
        }
        Err(ToolError::Changed { path })
    }

    /// Opens a real name by the kernel's own resolution: beneath the handle, following nothing. `None` when
    /// the tree no longer is as the walk saw it.
    pub(crate) fn open_real(
        &self,
        real: &str,
        flags: OFlags,
    ) -> Result<Option<OwnedFd>, ToolError> {
        match open_beneath(self.root, real, flags) {
            Ok(fd) => Ok(Some(fd)),
            Err(
                Errno::LOOP
                | Errno::NOENT
                | Errno::NOTDIR
                | Errno::XDEV
                | Errno::AGAIN
                | Errno::NXIO,
            ) => Ok(None),
            Err(error) => Err(ToolError::io("open", real, error)),
        }
    }

    /// What a tool without this module would do; reachable only in test builds, for positive controls.
    pub(crate) fn write_unresolved(&self, path: &str, content: &[u8]) -> Result<(), ToolError> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC | OFlags::CLOEXEC;
        rustix::fs::openat(self.root, path, flags, Mode::from_raw_mode(0o644))
            .map_err(std::io::Error::from)
            .and_then(|fd| File::from(fd).write_all(content))
            .map_err(|e| ToolError::io("write", path, e))
    }

    /// What a tool without this module would do; reachable only in test builds, for positive controls.
    fn open_unresolved(&self, path: &str, paths: &dyn Paths) -> Result<Opened, ToolError> {
        admit(paths, path, path)?;
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let file = rustix::fs::openat(self.root, path, flags, Mode::empty())
            .map_err(|e| ToolError::io("open", path, e))?;
        let stat = rustix::fs::fstat(&file).map_err(|e| ToolError::io("look at", path, e))?;
        Ok(Opened { file: File::from(file), real: path.to_owned(), stat })
    }
}

/// Flags for reading a file that may turn out to be a pipe or a device: neither may block.
pub(crate) const READ: OFlags = OFlags::RDONLY.union(OFlags::NONBLOCK).union(OFlags::NOCTTY);
/// Flags for listing a directory.
pub(crate) const LIST: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY);

/// `openat2` beneath `root`, following no link of either kind.
pub(crate) fn open_beneath(
    root: BorrowedFd<'_>,
    real: &str,
    flags: OFlags,
) -> Result<OwnedFd, Errno> {
    let name = if real.is_empty() { "." } else { real };
    rustix::fs::openat2(
        root,
        name,
        flags | OFlags::CLOEXEC | OFlags::NOFOLLOW,
        Mode::empty(),
        ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS | ResolveFlags::NO_SYMLINKS,
    )
}

/// Asks policy about the real name (about the written one only in a test build without this layer).
pub(crate) fn admit(paths: &dyn Paths, written: &str, real: &str) -> Result<(), ToolError> {
    let name = if weaken::off(Weak::PathPolicy) { written } else { real };
    paths.admit(name)
}

/// What a file's mode says it is.
pub(crate) fn kind(stat: &Stat) -> Kind {
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => Kind::File,
        FileType::Directory => Kind::Directory,
        FileType::Fifo => Kind::Fifo,
        FileType::Socket => Kind::Socket,
        _ => Kind::Device,
    }
}

fn relative(inside: &Path, text: &str) -> Result<String, PathFault> {
    if text.contains('\0') {
        return Err(PathFault::Nul);
    }
    if text.len() > nucleus_wire::limits::PATH_MAX_BYTES {
        return Err(PathFault::TooLong);
    }
    let path = Path::new(text);
    let beneath = if path.is_absolute() {
        path.strip_prefix(inside).map_err(|_| PathFault::Outside)?
    } else if text.is_empty() {
        return Err(PathFault::Empty);
    } else {
        path
    };
    let mut parts: Vec<&str> = Vec::new();
    for component in beneath.components() {
        match component {
            Component::CurDir => {}
            Component::Normal(name) => {
                let name = name.to_str().ok_or(PathFault::NotUtf8)?;
                if name.len() > NAME_MAX_BYTES {
                    return Err(PathFault::NameTooLong);
                }
                parts.push(name);
            }
            Component::ParentDir => return Err(PathFault::Parent),
            Component::RootDir | Component::Prefix(_) => return Err(PathFault::Outside),
        }
    }
    let mut joined = parts.join("/");
    let directory = text.ends_with('/') || text.ends_with("/.");
    if directory && !joined.is_empty() {
        joined.push('/');
    }
    Ok(joined)
}

#[cfg(test)]
mod tests;
