//! Git beside withheld files. Pods cannot read them, so git in a pod must not try: entries of the index are marked as
//! never to be looked at, and untracked ones are excluded, in the task's own tree. On the way back both are taken out.
//!
//! Nothing is remembered for that: an index goes to the user with the marks that the user's own has, and no others.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Write as _};
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::{Gid, Mode, OFlags, Uid};

use super::index::{Index, Settled};
use super::{GitDirs, in_dir, read, resolve, text};
use crate::workspace::change::{Change, ChangeKind, Scan};
use crate::workspace::mask::{Cover, Mask};
use crate::workspace::node::NodeKind;
use crate::workspace::path::TreePath;
use crate::workspace::tree::{Tree, is_absent};

/// First and last line of what is added to `info/exclude`.
const BEGIN: &[u8] = b"# Withheld from this task by Nucleus; these lines end with it:\n";
const END: &[u8] = b"# End of what is withheld.\n";
/// Name of a file that takes the place of another.
const TEMPORARY: &str = ".nucleus-apply-git";

/// A working tree, and where git keeps its data.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Checkout {
    top: TreePath,
    dir: TreePath,
    common: TreePath,
}

/// Keeps git in pods off the withheld files of a workspace. `merged` is the tree that pods change, in which nothing runs
/// yet; `owner` is who acts there.
///
/// # Errors
/// Those of reading the workspace and of writing to `merged`.
pub(crate) fn shade(
    workspace: &Path,
    merged: &OwnedFd,
    masks: &[Mask],
    owner: Option<(u32, u32)>,
) -> io::Result<()> {
    let host = Tree::open(workspace)?;
    let merged = Tree::held(merged.try_clone()?);
    let dirs = GitDirs::of(&host)?;
    let mut withheld: BTreeMap<Checkout, BTreeSet<&[u8]>> = BTreeMap::new();
    for mask in masks.iter().filter(|mask| !matches!(mask.cover, Cover::Copy(_))) {
        if let Some(checkout) = checkout(&host, &dirs, workspace, &mask.path)? {
            let name = mask.path.below(&checkout.top).unwrap_or_default();
            withheld.entry(checkout).or_default().insert(name);
        }
    }
    // Worktrees of one repository share the file that says what is excluded.
    let mut excluded: BTreeMap<&TreePath, BTreeSet<&[u8]>> = BTreeMap::new();
    for (checkout, names) in &withheld {
        let index = in_dir(&checkout.dir, "index");
        if let Some(shaded) = shaded(&host, &index, &|name| is_within(names, name))? {
            as_owner(owner, || put(&merged, &index, &shaded))?;
        }
        excluded.entry(&checkout.common).or_default().extend(names);
    }
    for (common, names) in excluded {
        let exclude = in_dir(common, "info/exclude");
        let old = read(&host, &exclude)?.unwrap_or_default();
        as_owner(owner, || put(&merged, &exclude, &excluding(&old, &names)))?;
    }
    Ok(())
}

/// An index of the host as git in pods gets it; `None` when there is nothing to hide from git, or no index that is
/// understood.
pub(crate) fn shaded(
    host: &Tree,
    index: &TreePath,
    withheld: &dyn Fn(&[u8]) -> bool,
) -> io::Result<Option<Vec<u8>>> {
    let Some(bytes) = read(host, index)? else { return Ok(None) };
    let written_s = host.stat(index)?.map_or(0, |stat| stat.st_mtime);
    Ok(Index::parse(&bytes).and_then(|index| index.shade(withheld, written_s)))
}

/// Whether a name is one of these or lies below one.
fn is_within(names: &BTreeSet<&[u8]>, name: &[u8]) -> bool {
    let above = name.iter().enumerate().filter(|(_, b)| **b == b'/').map(|(at, _)| at);
    above.chain([name.len()]).any(|end| name.get(..end).is_some_and(|part| names.contains(part)))
}

/// The working tree that a path lies in: of the workspace's repository, of one inside it, of a worktree or a submodule.
fn checkout(
    host: &Tree,
    dirs: &GitDirs,
    workspace: &Path,
    path: &TreePath,
) -> io::Result<Option<Checkout>> {
    let mut above = path.parent();
    while let Some(top) = above {
        let git = top.child(OsStr::new(".git"));
        match host.stat(&git)?.map(|stat| NodeKind::of(&stat)) {
            Some(NodeKind::Directory) if path.is_within(&git) => return Ok(None),
            Some(NodeKind::Directory) => {
                return Ok(Some(Checkout { top, common: git.clone(), dir: git }));
            }
            Some(NodeKind::File) => {
                let Some(dir) = pointed(host, dirs, workspace, &git, &top, "gitdir: ")? else {
                    return Ok(None);
                };
                let commondir = in_dir(&dir, "commondir");
                let common = pointed(host, dirs, workspace, &commondir, &dir, "")?;
                return Ok(Some(Checkout { top, common: common.unwrap_or(dir.clone()), dir }));
            }
            _ => above = top.parent(),
        }
    }
    Ok(None)
}

/// The directory of git's in the workspace that a file names, from `base` on.
fn pointed(
    host: &Tree,
    dirs: &GitDirs,
    workspace: &Path,
    file: &TreePath,
    base: &TreePath,
    prefix: &str,
) -> io::Result<Option<TreePath>> {
    let text = text(host, file)?;
    let named = text.as_deref().and_then(|text| text.trim_end().strip_prefix(prefix));
    let dir = named.and_then(|named| resolve(base, Path::new(named), workspace));
    Ok(dir.filter(|dir| dirs.contains(dir)))
}

/// `info/exclude` with these names added. One with a line break in it cannot be said there.
fn excluding(old: &[u8], names: &BTreeSet<&[u8]>) -> Vec<u8> {
    let mut out = BEGIN.to_vec();
    for name in names.iter().filter(|name| !name.contains(&b'\n')) {
        out.push(b'/');
        for byte in *name {
            if matches!(byte, b'*' | b'?' | b'[' | b'\\' | b' ') {
                out.push(b'\\');
            }
            out.push(*byte);
        }
        out.push(b'\n');
    }
    out.extend_from_slice(END);
    out.extend_from_slice(old);
    out
}

/// The text without the lines that [`excluding`] added.
fn included(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut ours = false;
    for line in text.split_inclusive(|b| *b == b'\n') {
        ours |= line == BEGIN;
        if !ours {
            out.extend_from_slice(line);
        }
        ours &= line != END;
    }
    out
}

fn as_owner(owner: Option<(u32, u32)>, action: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
    match owner {
        Some((uid, gid)) => nucleus_sys::fs::with_fs_ids(uid, gid, action)?,
        None => action(),
    }
}

/// Writes a file of the tree that pods change. What its owner may not write is left as it is.
fn put(tree: &Tree, path: &TreePath, bytes: &[u8]) -> io::Result<()> {
    match write(tree, path, bytes) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(()),
        other => other,
    }
}

fn write(tree: &Tree, path: &TreePath, bytes: &[u8]) -> io::Result<()> {
    let parent = path.parent().unwrap_or_default();
    if tree.stat(&parent)?.is_none() {
        let (dir, name) = tree.parent(&parent)?;
        rustix::fs::mkdirat(&dir, name, Mode::from_raw_mode(0o755))?;
    }
    let (dir, name) = tree.parent(path)?;
    let flags =
        OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = rustix::fs::openat(dir, name, flags, Mode::from_raw_mode(0o644))?;
    File::from(file).write_all(bytes)
}

/// Takes out of what a task left what [`shade`] put in, and the same of the task's own making. `live` while pods may
/// run: nothing is written then.
///
/// # Errors
/// Those of reading both trees; a file that cannot be rewritten is left, and held by [`is_settled`].
pub(crate) fn settle(host: &Tree, result: &Tree, scan: &mut Scan, live: bool) -> io::Result<()> {
    let dirs = GitDirs::of(host)?;
    let mut same = BTreeSet::new();
    for change in &scan.changes {
        let Some(settled) = settled(host, result, &dirs, change)? else { continue };
        match settled {
            Settled::Same => {
                same.insert(change.path.clone());
            }
            Settled::Other(bytes)
                if !live && read(result, &change.path)? != Some(bytes.clone()) =>
            {
                let _held = replace(result, &change.path, &bytes);
            }
            Settled::Other(_) => {}
        }
    }
    scan.changes.retain(|change| !same.contains(&change.path));
    // A directory that was made for such a file alone.
    let filled: BTreeSet<TreePath> = scan.changes.iter().filter_map(|c| c.path.parent()).collect();
    let emptied: BTreeSet<TreePath> = same.iter().filter_map(TreePath::parent).collect();
    scan.changes.retain(|change| {
        let made = change.node == NodeKind::Directory && change.kind == ChangeKind::Created;
        !made || filled.contains(&change.path) || !emptied.contains(&change.path)
    });
    Ok(())
}

/// Whether an index is as [`settle`] leaves it. One that nobody can read may say anything.
pub(crate) fn is_settled(
    host: &Tree,
    result: &Tree,
    dirs: &GitDirs,
    change: &Change,
) -> io::Result<bool> {
    if !is_index(&change.path) || !is_file(change) {
        return Ok(true);
    }
    match settled(host, result, dirs, change)? {
        Some(Settled::Same) => Ok(true),
        Some(Settled::Other(bytes)) => Ok(read(result, &change.path)? == Some(bytes)),
        // Nothing was understood on the host either: a split index, say.
        None => Ok(read(host, &change.path)?.is_some_and(|bytes| Index::parse(&bytes).is_none())),
    }
}

fn is_index(path: &TreePath) -> bool {
    path.name().is_some_and(|name| name == "index")
}

fn is_file(change: &Change) -> bool {
    change.node == NodeKind::File
        && matches!(change.kind, ChangeKind::Created | ChangeKind::Modified)
}

/// How a changed file goes to the user, when it is one of those.
fn settled(
    host: &Tree,
    result: &Tree,
    dirs: &GitDirs,
    change: &Change,
) -> io::Result<Option<Settled>> {
    let path = &change.path;
    if !is_file(change) {
        return Ok(None);
    }
    let parent = path.parent().unwrap_or_default();
    let is_git = |dir: &TreePath| dirs.contains(dir) || dir.name().is_some_and(|n| n == ".git");
    if is_index(path) && is_git(&parent) {
        let Some(left) = readable(result, path)? else { return Ok(None) };
        let written_s = host.stat(path)?.map_or(0, |stat| stat.st_mtime);
        let settled = match read(host, path)? {
            Some(was) => Index::parse(&was)
                .and_then(|was| Some(was.parse_alike(&left)?.settle(&was, written_s))),
            None => Index::parse(&left).map(Index::settle_new),
        };
        return Ok(settled);
    }
    let in_info = parent.name().is_some_and(|name| name == "info");
    if in_info
        && path.name().is_some_and(|name| name == "exclude")
        && parent.parent().is_some_and(|dir| is_git(&dir))
    {
        let Some(left) = readable(result, path)? else { return Ok(None) };
        let left = included(&left);
        let same = left == read(host, path)?.unwrap_or_default();
        return Ok(Some(if same { Settled::Same } else { Settled::Other(left) }));
    }
    Ok(None)
}

/// The content of what a task left, which may be closed to this user.
fn readable(result: &Tree, path: &TreePath) -> io::Result<Option<Vec<u8>>> {
    match read(result, path) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(None),
        other => other,
    }
}

/// Puts other content in a file's place, under the same owner and mode.
fn replace(tree: &Tree, path: &TreePath, bytes: &[u8]) -> io::Result<()> {
    let (dir, name) = tree.parent(path)?;
    let Some(stat) = tree.stat(path)? else { return Ok(()) };
    match rustix::fs::unlinkat(&dir, TEMPORARY, rustix::fs::AtFlags::empty()) {
        Err(error) if !is_absent(&error.into()) => return Err(error.into()),
        _ => {}
    }
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
    let mut file = File::from(rustix::fs::openat(&dir, TEMPORARY, flags, Mode::RUSR | Mode::WUSR)?);
    file.write_all(bytes)?;
    let (uid, gid) = (Uid::from_raw(stat.st_uid), Gid::from_raw(stat.st_gid));
    rustix::fs::fchown(&file, Some(uid), Some(gid))?;
    rustix::fs::fchmod(&file, Mode::from_raw_mode(stat.st_mode & 0o777))?;
    Ok(rustix::fs::renameat(&dir, TEMPORARY, &dir, name)?)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::workspace::mask::MaskReason;

    fn mask(path: &str) -> Mask {
        Mask {
            path: TreePath::parse(path.as_bytes()).unwrap(),
            reason: MaskReason::Sensitive,
            cover: Cover::File,
            linked: false,
        }
    }

    /// A workspace with a repository and a worktree in it, and an empty tree of pods.
    fn trees() -> (tempfile::TempDir, std::path::PathBuf, std::path::PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let (ws, merged) = (dir.path().join("ws"), dir.path().join("merged"));
        for at in [&ws, &merged] {
            fs::create_dir_all(at.join(".git/worktrees/w")).unwrap();
            fs::create_dir_all(at.join("vendor/.git")).unwrap();
        }
        for head in [".git/HEAD", ".git/worktrees/w/HEAD", "vendor/.git/HEAD"] {
            fs::write(ws.join(head), "ref: refs/heads/main\n").unwrap();
        }
        fs::create_dir(ws.join(".git/info")).unwrap();
        fs::write(ws.join(".git/info/exclude"), "*.log").unwrap();
        fs::write(ws.join(".git/worktrees/w/commondir"), "../..\n").unwrap();
        fs::create_dir(ws.join("w")).unwrap();
        let pointer = format!("gitdir: {}/.git/worktrees/w\n", ws.display());
        fs::write(ws.join("w/.git"), pointer).unwrap();
        (dir, ws, merged)
    }

    #[test]
    fn every_working_tree_is_told_in_its_own_words() {
        let (_dir, ws, merged) = trees();
        let masks = [
            mask(".env"),
            mask("a b/[x]*.pem"),
            mask("w/conf/.env"),
            mask("vendor/.npmrc"),
            mask(".git/secret"),
            mask("odd\nname/.env"),
        ];
        let held = fs::File::open(&merged).unwrap().into();
        shade(&ws, &held, &masks, None).unwrap();
        let read = |path: &str| fs::read_to_string(merged.join(path)).unwrap();
        let main = read(".git/info/exclude");
        for line in ["/.env", "/a\\ b/\\[x]\\*.pem", "/conf/.env", "*.log"] {
            assert!(main.lines().any(|found| found == line), "{line} in {main}");
        }
        assert!(!main.contains("odd") && !main.contains("secret") && !main.contains("npmrc"));
        assert!(read("vendor/.git/info/exclude").contains("\n/.npmrc\n"));
        assert_eq!(included(main.as_bytes()), b"*.log", "to the byte");
    }

    #[test]
    fn lines_of_the_task_stay_and_ours_go_however_they_were_cut() {
        let ours = excluding(b"mine\n", &BTreeSet::from([&b".env"[..]]));
        let more = [&ours[..], b"theirs\n"].concat();
        assert_eq!(included(&more), b"mine\ntheirs\n");
        let twice = [&ours[..], &ours[..]].concat();
        assert_eq!(included(&twice), b"mine\nmine\n");
    }

    #[test]
    fn a_pointer_leads_nowhere_but_to_directories_of_git() {
        let (_dir, ws, _) = trees();
        let host = Tree::open(&ws).unwrap();
        let dirs = GitDirs::of(&host).unwrap();
        for (text, known) in [
            ("gitdir: ../.git/worktrees/w\n", true),
            ("gitdir: ../../.git/worktrees/w\n", false),
            ("gitdir: ../vendor\n", false),
            ("gitdir: /etc\n", false),
            ("../.git/worktrees/w\n", false),
        ] {
            fs::write(ws.join("w/.git"), text).unwrap();
            let path = TreePath::parse(b"w/.env").unwrap();
            let found = checkout(&host, &dirs, &ws, &path).unwrap();
            assert_eq!(found.is_some(), known, "{text}");
        }
    }
}
