//! `.git` as one unit: what its state is, and which of its files are inert.
//!
//! Nothing here runs git. The state of a repository is digested from bytes; what a task may change in it is an
//! allowlist of files that git only stores data in. Everything else below `.git` (hooks, configuration, alternates,
//! rebase scripts, submodule directories) is held.

use std::ffi::OsStr;
use std::io::{self, Read as _};
use std::path::Path;

use aws_lc_rs::digest::{Context, SHA256};

use super::node::NodeKind;
use super::path::TreePath;
use super::tree::Tree;

mod index;

/// Files of `.git` that hold the state of the repository, apart from the directories of references.
const STATE_FILES: [&[u8]; 4] =
    [b".git/HEAD", b".git/packed-refs", b".git/shallow", b".git/reftable/tables.list"];
/// Directories of references; each file in them is one.
const STATE_DIRS: [&[u8]; 2] = [b".git/refs", b".git/reftable"];
/// Names directly in `.git` that git only stores data in.
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

/// Variables of a git configuration whose value is run, or is a file that says what is run.
const RUNS: [&str; 20] = [
    "askpass",
    "attributesfile",
    "clean",
    "cmd",
    "command",
    "driver",
    "editor",
    "external",
    "fsmonitor",
    "gitproxy",
    "helper",
    "hookspath",
    "packobjectshook",
    "pager",
    "path",
    "process",
    "program",
    "smudge",
    "sshcommand",
    "textconv",
];

/// Paths of the workspace that the repository's configuration has git run or read: hooks that lie among the sources,
/// filters, included files. Words that are no paths of the workspace are harmless in the list.
pub(crate) fn named_by_config(config: &str, workspace: &Path) -> Vec<TreePath> {
    let mut named = Vec::new();
    let mut alias = false;
    for line in config.lines().map(str::trim) {
        if line.starts_with('[') {
            alias = line.to_ascii_lowercase().starts_with("[alias");
        }
        let line = line.rsplit_once(']').map_or(line, |(_, rest)| rest);
        let Some((key, value)) = line.split_once('=') else { continue };
        if !alias && !RUNS.contains(&key.trim().to_ascii_lowercase().as_str()) {
            continue;
        }
        let is_gap = |c: char| {
            c.is_whitespace() || matches!(c, '"' | '\'' | '!' | ';' | '&' | '|' | '(' | ')')
        };
        for word in value.split(is_gap) {
            let word = Path::new(word);
            let inside = word.strip_prefix(workspace).unwrap_or(word);
            let names: Vec<&OsStr> = inside
                .components()
                .filter_map(|part| match part {
                    std::path::Component::Normal(name) => Some(name),
                    _ => None,
                })
                .collect();
            if !names.is_empty() {
                named.push(names.iter().fold(TreePath::root(), |path, name| path.child(name)));
            }
        }
    }
    named
}

/// What the workspace's own repository has git run or read among its files.
pub(crate) fn obeyed_in(tree: &Tree, workspace: &Path) -> io::Result<Vec<TreePath>> {
    let mut named = Vec::new();
    for file in [b".git/config".as_slice(), b".git/config.worktree"] {
        if let Some(config) = read(tree, &path(file))? {
            named.extend(named_by_config(&String::from_utf8_lossy(&config), workspace));
        }
    }
    Ok(named)
}

/// The packed references of a tree.
pub(crate) fn packed(tree: &Tree) -> io::Result<Option<String>> {
    let bytes = read(tree, &path(b".git/packed-refs"))?;
    Ok(bytes.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()))
}

/// Classifies a path below the workspace's own `.git`.
pub(crate) fn part(path: &TreePath) -> GitPart {
    let Some(rest) = path.as_str().and_then(|p| p.strip_prefix(".git/")) else {
        return GitPart::Trusted;
    };
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

/// SHA-256 over HEAD, every reference and the index's entries (without the stat data that `git status` refreshes), as
/// hex; `None` when the workspace has no `.git` directory.
pub(crate) fn digest(tree: &Tree) -> io::Result<Option<String>> {
    let unit = path(b".git");
    let is_dir = tree.stat(&unit)?.is_some_and(|s| NodeKind::of(&s) == NodeKind::Directory);
    if !is_dir {
        return Ok(None);
    }
    let mut hash = Context::new(&SHA256);
    for file in STATE_FILES {
        field(&mut hash, tree, &path(file))?;
    }
    for dir in STATE_DIRS {
        fields_below(&mut hash, tree, &path(dir), 0)?;
    }
    let index = read(tree, &path(b".git/index"))?;
    hash.update(&index.as_deref().map(index::meaning).unwrap_or_default());
    let hex = hash.finish().as_ref().iter().map(|b| format!("{b:02x}")).collect();
    Ok(Some(hex))
}

/// Whether a git process of the host holds one of the unit's locks now.
pub(crate) fn host_busy(tree: &Tree) -> io::Result<bool> {
    for lock in [b".git/index.lock".as_slice(), b".git/HEAD.lock", b".git/packed-refs.lock"] {
        if tree.stat(&path(lock))?.is_some() {
            return Ok(true);
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
fn read(tree: &Tree, path: &TreePath) -> io::Result<Option<Vec<u8>>> {
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

    fn of(text: &str) -> GitPart {
        part(&path(text.as_bytes()))
    }

    #[test]
    fn what_git_obeys_is_trusted() {
        for text in [
            ".git/config",
            ".git/config.worktree",
            ".git/hooks/pre-commit",
            ".git/info/attributes",
            ".git/info/exclude",
            ".git/objects/info/commit-graph",
            ".git/objects/info/alternates",
            ".git/modules/x/config",
            ".git/rebase-merge/git-rebase-todo",
            ".git/commondir",
            ".git/sequencer/todo",
            ".git/worktrees/a/gitdir",
            ".git/unheard-of",
            ".git/objects/zz/file",
        ] {
            assert_eq!(of(text), GitPart::Trusted, "{text}");
        }
    }

    #[test]
    fn a_commit_touches_only_inert_files() {
        for text in [
            ".git/HEAD",
            ".git/index",
            ".git/refs/heads/main",
            ".git/logs/HEAD",
            ".git/COMMIT_EDITMSG",
            ".git/objects/ab/0123456789012345678901234567890123456789",
            ".git/objects/pack/pack-0123.pack",
        ] {
            assert_ne!(of(text), GitPart::Trusted, "{text}");
        }
        assert_eq!(of(".git/index.lock"), GitPart::Lock);
    }

    #[test]
    fn what_the_configuration_runs_is_named() {
        let config = "[core]\n\thooksPath = tools/hooks/\n\tbare = false\n[filter \"x\"]\n\tclean = ./bin/clean %f\n\
            [core] fsmonitor = \"/ws/watch.sh\"\n[branch \"main\"]\n\tmerge = refs/heads/main\n[alias]\n\tco = !sh go.sh\n";
        let named = named_by_config(config, Path::new("/ws"));
        for text in ["tools/hooks", "bin/clean", "watch.sh", "go.sh"] {
            assert!(named.contains(&path(text.as_bytes())), "{text} in {named:?}");
        }
        for text in ["false", "refs/heads/main", ""] {
            assert!(!named.contains(&path(text.as_bytes())), "{text} in {named:?}");
        }
    }

    #[test]
    fn units_ignore_case() {
        let (unit, exact) = unit_of(&path(b"vendor/.GIT/config")).unwrap();
        assert_eq!((unit, exact), (path(b"vendor/.GIT"), false));
        assert!(unit_of(&path(b".github/workflows/ci.yml")).is_none());
        assert!(unit_of(&path(b".gitignore")).is_none());
    }
}
