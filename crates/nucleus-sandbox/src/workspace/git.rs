//! `.git` as one unit: what its state is, and which of its files are inert.
//!
//! Nothing here runs git. The state of a repository is digested from bytes; what a task may change in it is an
//! allowlist of files that git only stores data in, in the repository itself and in those of its submodules and
//! worktrees that the host has. Everything else below `.git` (hooks, configuration, alternates, rebase scripts, the
//! pointers from one directory to another, new submodules) is held.

use std::ffi::OsStr;
use std::io::{self, Read as _};
use std::path::{Component, Path};

use aws_lc_rs::digest::{Context, SHA256};

use super::node::NodeKind;
use super::path::TreePath;
use super::tree::Tree;

mod config;
mod dirs;
mod index;
mod shade;

pub(crate) use config::worktree as worktree_of;
pub(crate) use dirs::{GitDirs, part};
pub(crate) use shade::{is_settled, settle, shade, shaded};

/// Files that hold the state of a repository, apart from the directories of references.
const STATE_FILES: [&str; 4] = ["HEAD", "packed-refs", "shallow", "reftable/tables.list"];
/// Directories of references; each file in them is one.
const STATE_DIRS: [&str; 2] = ["refs", "reftable"];
/// Locks that a git process takes before it changes any of these.
const LOCKS: [&str; 3] = ["index.lock", "HEAD.lock", "packed-refs.lock"];
/// Names directly in a repository that say what git runs, or where it finds what says so.
const OBEYED: [&str; 8] =
    ["commondir", "config", "config.worktree", "gitdir", "hooks", "info", "modules", "worktrees"];

/// What a path of a `.git` directory is to the apply step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum GitPart {
    /// An object or pack: only ever added.
    Object,
    /// Bookkeeping that must land before references: logs, messages.
    Data,
    /// A reference, HEAD or the index: landed last.
    State,
    /// A lock of a git process that was cut short.
    Lock,
    /// A temporary file of such a process: left out.
    Temporary,
    /// Anything that git obeys: held.
    Trusted,
}

/// Index of the `.git` name in a path, ignoring case (as some file systems do), and whether it is exactly `.git`.
pub(crate) fn unit_of(path: &TreePath) -> Option<(TreePath, bool)> {
    let mut unit = TreePath::root();
    for name in path.names() {
        unit = unit.child(name);
        if name.eq_ignore_ascii_case(".git") {
            return Some((unit, name == ".git"));
        }
    }
    None
}

/// Whether this is the name by which git knows a repository, ignoring case.
pub(crate) fn is_head(name: &OsStr) -> bool {
    name.eq_ignore_ascii_case("HEAD")
}

/// Whether git obeys what has this name directly in a repository, ignoring case.
pub(crate) fn is_obeyed(name: &OsStr) -> bool {
    OBEYED.iter().any(|obeyed| name.eq_ignore_ascii_case(obeyed))
}

/// What the workspace's own repository, and those of its submodules and worktrees, have git run or read among its
/// files. A submodule's configuration counts from its own working tree.
pub(crate) fn obeyed_in(tree: &Tree, workspace: &Path) -> io::Result<Vec<TreePath>> {
    let mut named = Vec::new();
    for dir in GitDirs::of(tree)?.iter() {
        for file in ["config", "config.worktree"] {
            let Some(text) = text(tree, &in_dir(dir, file))? else { continue };
            let here = config::named(&text, workspace);
            let top = worktree_of(&text).and_then(|top| resolve(dir, Path::new(&top), workspace));
            if let Some(top) = top {
                let beneath = |path: &TreePath| {
                    path.names().fold(top.clone(), |joined, name| joined.child(name))
                };
                named.extend(here.iter().map(beneath));
            }
            named.extend(here);
        }
    }
    Ok(named)
}

/// The place in the workspace that a path names from `base` on, `..` taken by its text; `None` for none.
fn resolve(base: &TreePath, named: &Path, workspace: &Path) -> Option<TreePath> {
    let inside = named.strip_prefix(workspace);
    let mut names: Vec<&OsStr> = if inside.is_ok() { Vec::new() } else { base.names().collect() };
    for part in inside.unwrap_or(named).components() {
        match part {
            Component::Normal(name) => names.push(name),
            Component::ParentDir if names.pop().is_some() => {}
            Component::CurDir => {}
            _ => return None,
        }
    }
    Some(names.into_iter().fold(TreePath::root(), |path, name| path.child(name)))
}

/// Where in the workspace the files of the repository lie whose directory of git's this is; `None` if elsewhere.
pub(crate) fn top_of(
    tree: &Tree,
    dir: &TreePath,
    workspace: &Path,
) -> io::Result<Option<TreePath>> {
    if dir.depth() == 1 {
        return Ok(Some(TreePath::root()));
    }
    let config = text(tree, &in_dir(dir, "config"))?.unwrap_or_default();
    Ok(worktree_of(&config).and_then(|top| resolve(dir, Path::new(&top), workspace)))
}

/// The packed references that a directory of git's has in a tree.
pub(crate) fn packed(tree: &Tree, dir: &TreePath) -> io::Result<Option<String>> {
    text(tree, &in_dir(dir, "packed-refs"))
}

/// The content of a file of git's as text.
pub(crate) fn text(tree: &Tree, path: &TreePath) -> io::Result<Option<String>> {
    Ok(read(tree, path)?.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()))
}

/// A place in a directory of git's.
pub(crate) fn in_dir(dir: &TreePath, rest: &str) -> TreePath {
    rest.split('/').fold(dir.clone(), |path, name| path.child(OsStr::new(name)))
}

/// SHA-256 over HEAD, every reference and the index's entries (without the stat data that `git status` refreshes) of
/// the repository and of its worktrees and submodules, as hex; `None` when the workspace has no `.git` directory.
pub(crate) fn digest(tree: &Tree) -> io::Result<Option<String>> {
    let dirs = GitDirs::of(tree)?;
    let mut hash = Context::new(&SHA256);
    for dir in dirs.iter() {
        for file in STATE_FILES {
            field(&mut hash, tree, &in_dir(dir, file))?;
        }
        for refs in STATE_DIRS {
            fields_below(&mut hash, tree, &in_dir(dir, refs), 0)?;
        }
        let index = read(tree, &in_dir(dir, "index"))?;
        hash.update(&index.as_deref().map(index::meaning).unwrap_or_default());
    }
    let hex = hash.finish().as_ref().iter().map(|b| format!("{b:02x}")).collect();
    Ok(dirs.iter().next().map(|_| hex))
}

/// Whether a git process of the host holds one of the unit's locks now.
pub(crate) fn host_busy(tree: &Tree) -> io::Result<bool> {
    for dir in GitDirs::of(tree)?.iter() {
        for lock in LOCKS {
            if tree.stat(&in_dir(dir, lock))?.is_some() {
                return Ok(true);
            }
        }
    }
    Ok(false)
}

fn path(bytes: &[u8]) -> TreePath {
    TreePath::parse(bytes).unwrap_or_default()
}

/// Adds a name and a length-prefixed content, so that no two states share bytes.
fn field(hash: &mut Context, tree: &Tree, path: &TreePath) -> io::Result<()> {
    let content = read(tree, path)?;
    let name = path.as_path().as_os_str().as_encoded_bytes();
    hash.update(&u64::try_from(name.len()).unwrap_or(u64::MAX).to_le_bytes());
    hash.update(name);
    let length = content.as_ref().map_or(u64::MAX, |c| u64::try_from(c.len()).unwrap_or(u64::MAX));
    hash.update(&length.to_le_bytes());
    hash.update(content.as_deref().unwrap_or_default());
    Ok(())
}

fn fields_below(hash: &mut Context, tree: &Tree, dir: &TreePath, depth: usize) -> io::Result<()> {
    if depth > super::limits::DEPTH_LEVELS {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let entries = match tree.entries(dir) {
        Ok(entries) => entries,
        Err(error) if super::tree::is_absent(&error) => return Ok(()),
        Err(error) => return Err(error),
    };
    for entry in entries {
        let child = dir.child(&entry.name);
        match tree.stat(&child)?.map(|s| NodeKind::of(&s)) {
            Some(NodeKind::Directory) => fields_below(hash, tree, &child, depth.saturating_add(1))?,
            Some(NodeKind::File) => field(hash, tree, &child)?,
            _ => {}
        }
    }
    Ok(())
}

/// The content of a file; `None` when there is none or it is no regular file.
pub(crate) fn read(tree: &Tree, path: &TreePath) -> io::Result<Option<Vec<u8>>> {
    match tree.stat(path)?.map(|s| NodeKind::of(&s)) {
        Some(NodeKind::File) => {}
        _ => return Ok(None),
    }
    let mut content = Vec::new();
    tree.file(path)?.read_to_end(&mut content)?;
    Ok(Some(content))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_ignore_case() {
        let (unit, exact) = unit_of(&path(b"vendor/.GIT/config")).unwrap();
        assert_eq!((unit, exact), (path(b"vendor/.GIT"), false));
        assert!(unit_of(&path(b".github/workflows/ci.yml")).is_none());
        assert!(unit_of(&path(b".gitignore")).is_none());
    }
}
