//! The directories git keeps its data in: the workspace's own `.git`, and in it those of submodules and worktrees.

use std::ffi::OsStr;
use std::io;

use super::{GitPart, path};
use crate::workspace::limits::DEPTH_LEVELS;
use crate::workspace::node::NodeKind;
use crate::workspace::path::TreePath;
use crate::workspace::tree::{Tree, is_absent};

/// Names directly in a directory of git's that git only stores data in.
const INERT_FILES: [&str; 16] = [
    "AUTO_MERGE",
    "CHERRY_PICK_HEAD",
    "COMMIT_EDITMSG",
    "FETCH_HEAD",
    "HEAD",
    "MERGE_HEAD",
    "MERGE_MODE",
    "MERGE_MSG",
    "ORIG_HEAD",
    "REBASE_HEAD",
    "REVERT_HEAD",
    "SQUASH_MSG",
    "TAG_EDITMSG",
    "index",
    "packed-refs",
    "shallow",
];

/// Git's directories of a workspace as the host has them. What a task makes is not among them, so that no name of its
/// choosing decides which of its files are data.
#[derive(Debug, Default)]
pub(crate) struct GitDirs(Vec<TreePath>);

impl GitDirs {
    /// Finds them.
    pub(crate) fn of(tree: &Tree) -> io::Result<Self> {
        let own = path(b".git");
        let mut found = Self::default();
        if tree.stat(&own)?.is_some_and(|s| NodeKind::of(&s) == NodeKind::Directory) {
            found.add(tree, own, 0)?;
        }
        Ok(found)
    }

    /// All of them, the workspace's own first.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &TreePath> {
        self.0.iter()
    }

    /// Those of worktrees.
    pub(crate) fn worktrees(&self) -> impl Iterator<Item = &TreePath> {
        self.iter().filter(|dir| {
            dir.parent().is_some_and(|p| p.name().is_some_and(|name| name == "worktrees"))
        })
    }

    /// Whether this is one.
    pub(crate) fn contains(&self, dir: &TreePath) -> bool {
        self.0.contains(dir)
    }

    /// The directory a path belongs to, and its place in it.
    pub(crate) fn split<'p>(&self, path: &'p TreePath) -> Option<(&TreePath, &'p str)> {
        let text = path.as_str()?;
        let within = |dir: &&TreePath| path.is_within(dir) && path != *dir;
        let dir = self.iter().filter(within).max_by_key(|dir| dir.depth())?;
        Some((dir, text.strip_prefix(dir.as_str()?)?.strip_prefix('/')?))
    }

    /// Classifies a path below the workspace's own `.git`.
    pub(crate) fn part(&self, path: &TreePath) -> GitPart {
        self.split(path).map_or(GitPart::Trusted, |(_, rest)| part(rest))
    }

    /// Whether a path is one of git's objects, or lies where they do.
    pub(crate) fn is_object(&self, path: &TreePath) -> bool {
        self.split(path).is_some_and(|(_, rest)| rest.starts_with("objects/"))
    }

    fn add(&mut self, tree: &Tree, dir: TreePath, depth: usize) -> io::Result<()> {
        let modules = dir.child(OsStr::new("modules"));
        let worktrees = dir.child(OsStr::new("worktrees"));
        self.0.push(dir);
        self.below(tree, &modules, true, depth.saturating_add(1))?;
        self.below(tree, &worktrees, false, depth.saturating_add(1))
    }

    /// Adds what of git's lies in `dir`. The name of a submodule may have slashes in it (`deep`).
    fn below(&mut self, tree: &Tree, dir: &TreePath, deep: bool, depth: usize) -> io::Result<()> {
        if depth > DEPTH_LEVELS {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let entries = match tree.entries(dir) {
            Ok(entries) => entries,
            Err(error) if is_absent(&error) => return Ok(()),
            Err(error) => return Err(error),
        };
        for entry in entries {
            let child = dir.child(&entry.name);
            if tree.stat(&child)?.is_none_or(|s| NodeKind::of(&s) != NodeKind::Directory) {
                continue;
            }
            let head = tree.stat(&child.child(OsStr::new("HEAD")))?;
            if head.is_some_and(|s| NodeKind::of(&s) == NodeKind::File) {
                self.add(tree, child, depth)?;
            } else if deep {
                self.below(tree, &child, deep, depth.saturating_add(1))?;
            }
        }
        Ok(())
    }
}

/// Classifies a place in a directory of git's.
pub(crate) fn part(rest: &str) -> GitPart {
    let last = rest.rsplit('/').next().unwrap_or(rest);
    if last.ends_with(".lock") {
        return GitPart::Lock;
    }
    match rest.split_once('/') {
        Some(("objects", below)) => object(below),
        Some(("refs" | "reftable", _)) => GitPart::State,
        Some(("logs", _)) => GitPart::Data,
        Some(("info", "refs")) => GitPart::Data,
        None if rest == "gc.log" || rest == "gc.pid" => GitPart::Temporary,
        None if matches!(rest, "HEAD" | "index" | "packed-refs" | "shallow") => GitPart::State,
        None if INERT_FILES.contains(&rest) || rest.starts_with("sharedindex.") => GitPart::Data,
        _ => GitPart::Trusted,
    }
}

fn object(below: &str) -> GitPart {
    let last = below.rsplit('/').next().unwrap_or(below);
    if last.starts_with("tmp_obj_") || last.starts_with("tmp_pack_") || last.starts_with("tmp_idx_")
    {
        return GitPart::Temporary;
    }
    match below.split_once('/') {
        Some(("pack", file)) if !file.contains('/') => GitPart::Object,
        Some(("info", "packs")) => GitPart::Data,
        Some((fan, hash)) if is_hex(fan, 2..=2) && is_hex(hash, 38..=62) => GitPart::Object,
        _ => GitPart::Trusted,
    }
}

fn is_hex(text: &str, length: std::ops::RangeInclusive<usize>) -> bool {
    length.contains(&text.len()) && text.bytes().all(|b| b.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A workspace with a submodule, one with a slash in its name and one within a submodule, and a worktree.
    fn dirs() -> (tempfile::TempDir, GitDirs) {
        let dir = tempfile::tempdir().unwrap();
        for place in [
            "",
            "/modules/m",
            "/modules/deep/name",
            "/modules/m/modules/inner",
            "/worktrees/w",
            "/worktrees/w/stray",
        ] {
            let place = dir.path().join(format!(".git{place}"));
            std::fs::create_dir_all(&place).unwrap();
            std::fs::write(place.join("HEAD"), "ref: refs/heads/main\n").unwrap();
        }
        std::fs::create_dir_all(dir.path().join(".git/modules/headless")).unwrap();
        std::os::unix::fs::symlink("m", dir.path().join(".git/modules/link")).unwrap();
        let found = GitDirs::of(&Tree::open(dir.path()).unwrap()).unwrap();
        (dir, found)
    }

    #[test]
    fn submodules_and_worktrees_of_the_host_are_found() {
        let (_dir, dirs) = dirs();
        let names: Vec<_> = dirs.iter().map(ToString::to_string).collect();
        assert_eq!(
            names,
            [
                ".git",
                ".git/modules/deep/name",
                ".git/modules/m",
                ".git/modules/m/modules/inner",
                ".git/worktrees/w"
            ]
        );
        assert_eq!(dirs.worktrees().count(), 1);
    }

    #[test]
    fn what_git_obeys_is_trusted() {
        let (_dir, dirs) = dirs();
        for place in
            ["", "/modules/m", "/modules/deep/name", "/modules/m/modules/inner", "/worktrees/w"]
        {
            for text in [
                "config",
                "config.worktree",
                "hooks/pre-commit",
                "info/attributes",
                "objects/info/alternates",
                "modules/x/config",
                "modules/x/HEAD",
                "modules/x/index",
                "rebase-merge/git-rebase-todo",
                "commondir",
                "gitdir",
                "locked",
                "sequencer/todo",
                "worktrees/a/gitdir",
                "worktrees/a/HEAD",
                "unheard-of",
                "objects/zz/file",
            ] {
                let text = format!(".git{place}/{text}");
                assert_eq!(dirs.part(&path(text.as_bytes())), GitPart::Trusted, "{text}");
            }
        }
        // No name of a task's choosing makes a directory one of git's.
        for text in [
            "modules/new/HEAD",
            "modules/deep/HEAD",
            "modules/headless/index",
            "modules/link/index",
        ] {
            assert_eq!(dirs.part(&path(format!(".git/{text}").as_bytes())), GitPart::Trusted);
        }
    }

    #[test]
    fn a_commit_touches_only_inert_files() {
        let (_dir, dirs) = dirs();
        for place in
            ["", "/modules/m", "/modules/deep/name", "/modules/m/modules/inner", "/worktrees/w"]
        {
            for text in [
                "HEAD",
                "index",
                "refs/heads/main",
                "logs/HEAD",
                "COMMIT_EDITMSG",
                "ORIG_HEAD",
                "objects/ab/0123456789012345678901234567890123456789",
                "objects/pack/pack-0123.pack",
            ] {
                let text = format!(".git{place}/{text}");
                assert_ne!(dirs.part(&path(text.as_bytes())), GitPart::Trusted, "{text}");
            }
            let lock = format!(".git{place}/index.lock");
            assert_eq!(dirs.part(&path(lock.as_bytes())), GitPart::Lock);
        }
    }
}
