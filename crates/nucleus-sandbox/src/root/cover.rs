//! Masks over withheld paths of the workspace, when a root is built and later.

use std::collections::BTreeSet;
use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::path::Path;

use nucleus_sys::mount::{self, Restrictions};
use nucleus_sys::weaken::{Weak, off};
use rustix::fs::{AtFlags, FileType, Mode};
use rustix::io::Errno;

use super::{locate, make_directory, make_empty, open_beneath, os, write_file};
use crate::error::{Built, Step, at};
use crate::plan::{Cover, CoverWith, LateCovers};

/// An empty directory of every root of tool pods, where masks are made while a task runs.
const PLACE: &str = "run";

/// Covers more of a workspace in a root that stands, which is the caller's; gives the places of what is not there.
///
/// # Errors
/// The first path that could not be covered; some before it may be.
pub(crate) fn late(late: &LateCovers) -> Built<Vec<usize>> {
    let top = rustix::fs::open("/", super::directory_flags(), Mode::empty())
        .map_err(os(Step::Mask, "/"))?;
    let tree = mount::filesystem("tmpfs", &[("size", "16m")], Restrictions::PLAIN)
        .map_err(at(Step::Mask, PLACE))?;
    mount::attach(tree.as_fd(), top.as_fd(), PLACE).map_err(at(Step::Mask, PLACE))?;
    let masked = mask(top.as_fd(), PLACE, &late.inside, &late.covers, Vec::new());
    mount::detach(&format!("/{PLACE}")).map_err(at(Step::Mask, PLACE))?;
    masked
}

/// Covers withheld paths of the workspace at `inside`, with what is made at `place`; gives the places of what is not
/// there.
///
/// # Errors
/// As [`late`].
pub(super) fn mask(
    top: BorrowedFd<'_>,
    place: &str,
    inside: &str,
    covers: &[Cover],
    copies: Vec<OwnedFd>,
) -> Built<Vec<usize>> {
    let mut absent = Vec::new();
    if off(Weak::Masks) {
        return Ok(absent);
    }
    let workspace = locate(top, inside, true)?;
    let file = format!("{place}/mask-file");
    let directory = format!("{place}/mask-directory");
    make_empty(top, &file)?;
    make_directory(top, &directory)?;
    for path in [&file, &directory] {
        rustix::fs::chmodat(top, path.as_str(), Mode::empty(), AtFlags::empty())
            .map_err(os(Step::Mask, ""))?;
    }
    let mut copies = copies.into_iter();
    for (number, cover) in covers.iter().enumerate() {
        let failed = || at(Step::Mask, cover.path.as_str());
        let copy = match &cover.with {
            CoverWith::Copy(_) => copies.next(),
            _ => None,
        };
        let Some((target, is_directory)) = target(&workspace, &cover.path).map_err(failed())?
        else {
            absent.push(number);
            continue;
        };
        // What lies there now may be of another kind than what was found: a task has written since.
        let tree = match (&cover.with, is_directory) {
            (_, true) => clone_mask(top, &directory).map_err(failed())?,
            (CoverWith::Copy(_), false) => {
                copy.ok_or_else(|| failed()(io::ErrorKind::NotFound.into()))?
            }
            (CoverWith::Text(text), false) => {
                let path = format!("{place}/mask-text-{number}");
                write_file(top, &path, text)?;
                clone_mask(top, &path).map_err(failed())?
            }
            (CoverWith::File | CoverWith::Directory, false) => {
                clone_mask(top, &file).map_err(failed())?
            }
        };
        mount::attach(tree.as_fd(), target.as_fd(), "").map_err(failed())?;
    }
    Ok(absent)
}

/// What is to be covered, and whether it is a directory. Gone since the scan, or no longer reached without a link, which
/// cannot be covered: what appears there later is covered for the next pod, and held when changes are applied.
fn target(workspace: &OwnedFd, path: &str) -> io::Result<Option<(OwnedFd, bool)>> {
    let target = match open_beneath(workspace.as_fd(), path) {
        Ok(target) => target,
        Err(error) => {
            let errno = error.raw_os_error().map(Errno::from_raw_os_error);
            let gone = matches!(errno, Some(Errno::NOENT | Errno::NOTDIR | Errno::LOOP));
            return if gone { Ok(None) } else { Err(error) };
        }
    };
    Ok(match FileType::from_raw_mode(rustix::fs::fstat(&target)?.st_mode) {
        FileType::Symlink => None,
        kind => Some((target, kind == FileType::Directory)),
    })
}

/// Makes every directory above a withheld path a mount point, which cannot be renamed. Else a pod could give the path
/// another name, and the rules of the file tools, which see it without its mask, go by names. An overlay refuses such
/// renames by itself.
pub(super) fn pin(top: BorrowedFd<'_>, inside: &str, covers: &[Cover]) -> Built<()> {
    if off(Weak::Masks) {
        return Ok(());
    }
    let workspace = locate(top, inside, true)?;
    let above: BTreeSet<&Path> = covers
        .iter()
        .flat_map(|cover| Path::new(&cover.path).ancestors().skip(1))
        .filter(|path| !path.as_os_str().is_empty())
        .collect();
    // In order of their names, parents come before what lies in them.
    for path in above {
        let path = path.to_string_lossy();
        let failed = || at(Step::Mask, path.as_ref());
        let directory = match open_beneath(workspace.as_fd(), &path) {
            Ok(directory) => directory,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(failed()(error)),
        };
        let tree = mount::clone_tree_at(directory.as_fd(), Path::new("")).map_err(failed())?;
        mount::attach(tree.as_fd(), directory.as_fd(), "").map_err(failed())?;
    }
    Ok(())
}

fn clone_mask(top: BorrowedFd<'_>, path: &str) -> io::Result<OwnedFd> {
    let tree = mount::clone_tree_at(top, Path::new(path))?;
    mount::restrict(tree.as_fd(), Restrictions::READ_ONLY)?;
    Ok(tree)
}
