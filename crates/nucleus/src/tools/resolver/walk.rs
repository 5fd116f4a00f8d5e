//! The walk from a path to its real name, one component at a time.

use std::collections::VecDeque;
use std::ffi::OsStr;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;

use rustix::fs::{FileType, Mode, OFlags, Stat};
use rustix::io::Errno;

use super::{Resolver, kind};
use crate::tools::error::{Kind, PathFault, ToolError};
use crate::tools::limits::{COMPONENTS_MAX, LINKS_MAX};

/// Where a path really leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Located {
    /// Name beneath the workspace, free of links, `.` and `..`; empty = the workspace itself.
    pub(crate) real: String,
    /// What is there.
    pub(crate) kind: Kind,
    identity: Option<(u64, u64)>,
}

impl Located {
    /// Whether `stat` is of the file the walk saw.
    pub(crate) fn is(&self, stat: &Stat) -> bool {
        self.identity == Some((stat.st_dev, stat.st_ino))
    }
}

struct Walk {
    /// Directories entered, with the name each was entered by.
    entered: Vec<(OwnedFd, Vec<u8>)>,
    pending: VecDeque<Vec<u8>>,
    links: usize,
    components: usize,
    directory_wanted: bool,
}

impl Resolver<'_> {
    /// Walks `path` (already relative) and says where it leads.
    pub(crate) fn walk(&self, path: &str) -> Result<Located, ToolError> {
        let mut walk = Walk {
            entered: Vec::new(),
            pending: split(path.as_bytes()),
            links: 0,
            components: 0,
            directory_wanted: path.ends_with('/'),
        };
        while let Some(name) = walk.pending.pop_front() {
            walk.components = walk.components.saturating_add(1);
            if walk.components > COMPONENTS_MAX {
                return Err(ToolError::TooDeep { path: path.to_owned() });
            }
            if name == b".." {
                if walk.entered.pop().is_none() {
                    return Err(ToolError::Escape { path: path.to_owned() });
                }
                continue;
            }
            if let Some(end) = self.step(&mut walk, name, path)? {
                return Ok(end);
            }
        }
        self.end_in_directory(&walk, path)
    }

    /// Opens one name without following it. `Some` when the walk ends here.
    fn step(
        &self,
        walk: &mut Walk,
        name: Vec<u8>,
        path: &str,
    ) -> Result<Option<Located>, ToolError> {
        let at = walk.entered.last().map_or(self.root, |(fd, _)| fd.as_fd());
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let fd = match rustix::fs::openat(at, OsStr::from_bytes(&name), flags, Mode::empty()) {
            Ok(fd) => fd,
            Err(Errno::NOENT) => return walk.missing(name, path).map(Some),
            Err(Errno::NOTDIR) => return Err(ToolError::NotDirectory { path: path.to_owned() }),
            Err(error) => return Err(ToolError::io("open", path, error)),
        };
        let stat = rustix::fs::fstat(&fd).map_err(|e| ToolError::io("look at", path, e))?;
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::Symlink => {
                walk.links = walk.links.saturating_add(1);
                if walk.links > LINKS_MAX {
                    return Err(ToolError::TooDeep { path: path.to_owned() });
                }
                let target = rustix::fs::readlinkat(&fd, "", Vec::new())
                    .map_err(|e| ToolError::io("read the link", path, e))?;
                self.follow(walk, target.as_bytes(), path)?;
                Ok(None)
            }
            FileType::Directory => {
                walk.entered.push((fd, name));
                Ok(None)
            }
            _ if walk.pending.is_empty() && !walk.directory_wanted => {
                let identity = Some((stat.st_dev, stat.st_ino));
                Ok(Some(Located { real: walk.real(Some(&name))?, kind: kind(&stat), identity }))
            }
            _ => Err(ToolError::NotDirectory { path: path.to_owned() }),
        }
    }

    /// Puts a link's target before what is pending. An absolute target is followed only where it names the
    /// workspace itself, which is what a pod would see there.
    fn follow(&self, walk: &mut Walk, target: &[u8], path: &str) -> Result<(), ToolError> {
        let target_path = Path::new(OsStr::from_bytes(target));
        let beneath = if target_path.is_absolute() {
            walk.entered.clear();
            target_path
                .strip_prefix(self.inside)
                .map_err(|_| ToolError::Escape { path: path.to_owned() })?
                .as_os_str()
                .as_bytes()
        } else {
            target
        };
        if walk.pending.is_empty() && target.ends_with(b"/") {
            walk.directory_wanted = true;
        }
        for name in split(beneath).into_iter().rev() {
            walk.pending.push_front(name);
        }
        Ok(())
    }

    fn end_in_directory(&self, walk: &Walk, path: &str) -> Result<Located, ToolError> {
        let at = walk.entered.last().map_or(self.root, |(fd, _)| fd.as_fd());
        let stat = rustix::fs::fstat(at).map_err(|e| ToolError::io("look at", path, e))?;
        let identity = Some((stat.st_dev, stat.st_ino));
        Ok(Located { real: walk.real(None)?, kind: Kind::Directory, identity })
    }
}

impl Walk {
    /// The walk ends at a name that does not exist: what is still pending must be plain names below it.
    fn missing(&mut self, name: Vec<u8>, path: &str) -> Result<Located, ToolError> {
        if self.pending.iter().any(|rest| rest == b"..") {
            return Err(ToolError::NotFound { path: path.to_owned() });
        }
        let mut tail = name;
        for rest in &self.pending {
            tail.push(b'/');
            tail.extend_from_slice(rest);
        }
        Ok(Located { real: self.real(Some(&tail))?, kind: Kind::Missing, identity: None })
    }

    fn real(&self, last: Option<&[u8]>) -> Result<String, ToolError> {
        let mut bytes = Vec::new();
        for name in self.entered.iter().map(|(_, name)| name.as_slice()).chain(last) {
            if !bytes.is_empty() {
                bytes.push(b'/');
            }
            bytes.extend_from_slice(name);
        }
        std::ffi::OsString::from_vec(bytes)
            .into_string()
            .map_err(|_| ToolError::Path(PathFault::NotUtf8))
    }
}

/// The names of a path; `.` and empty names dropped.
fn split(path: &[u8]) -> VecDeque<Vec<u8>> {
    path.split(|byte| *byte == b'/')
        .filter(|name| !name.is_empty() && *name != b".")
        .map(<[u8]>::to_vec)
        .collect()
}
