//! Context files: what an agent reads as its instructions, as copies.

use std::collections::VecDeque;
use std::io::Read as _;
use std::path::Path;

use super::data::data;
use crate::workspace::tree::Tree;
use crate::workspace::{NodeKind, TreePath};

/// Largest context file; a larger one is left out whole.
pub const FILE_BYTES: u64 = 256 * 1024;
/// Most bytes of context files in all.
pub const TOTAL_BYTES: u64 = 2 * 1024 * 1024;
/// Most context files.
pub const FILES: usize = 256;
/// Most names looked at; the walk goes level by level, so the nearest files are found first.
const NAMES: usize = 50_000;

/// Where a context file appears in the agent pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ContextPlace {
    /// Relative to the workspace.
    Workspace(TreePath),
    /// Relative to the agent's home.
    Home(TreePath),
}

/// One context file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContextFile {
    /// Where it appears.
    pub place: ContextPlace,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

/// Collects the context files of a workspace and of the user. Symbolic links are not followed, withheld paths, large
/// files and directories of dependencies are left out; what cannot be read is left out too.
#[must_use]
pub fn collect(
    workspace: &Path,
    host_home: &Path,
    withheld: &dyn Fn(&str) -> bool,
) -> Vec<ContextFile> {
    let mut out = Vec::new();
    let mut total = 0;
    if let Ok(tree) = Tree::open(workspace) {
        in_workspace(&tree, withheld, &mut out, &mut total);
    }
    if let Ok(home) = Tree::open(host_home) {
        for name in &data().context.user {
            let path = TreePath::parse(name.as_bytes()).unwrap_or_default();
            if let Some(bytes) = read(&home, &path, &mut total) {
                out.push(ContextFile { place: ContextPlace::Home(path), bytes });
            }
        }
    }
    out
}

fn in_workspace(
    tree: &Tree,
    withheld: &dyn Fn(&str) -> bool,
    out: &mut Vec<ContextFile>,
    total: &mut u64,
) {
    let rules = &data().context;
    let mut looked = 0_usize;
    let mut queue = VecDeque::from([TreePath::root()]);
    while let Some(dir) = queue.pop_front() {
        for entry in tree.entries(&dir).unwrap_or_default() {
            looked = looked.saturating_add(1);
            if looked > NAMES || out.len() >= FILES {
                return;
            }
            let path = dir.child(&entry.name);
            let (Some(name), Some(text)) = (entry.name.to_str(), path.as_str()) else { continue };
            let wanted = rules.names.iter().any(|n| n == name);
            // Names with a dot in the middle are hardly ever directories, but only the file system knows.
            let Ok(Some(stat)) = tree.stat(&path) else { continue };
            match NodeKind::of(&stat) {
                NodeKind::Directory if !rules.skip.iter().any(|s| s == name) && !withheld(text) => {
                    queue.push_back(path)
                }
                NodeKind::File if wanted && !withheld(text) => {
                    if let Some(bytes) = read(tree, &path, total) {
                        out.push(ContextFile { place: ContextPlace::Workspace(path), bytes });
                    }
                }
                _ => {}
            }
        }
    }
}

fn read(tree: &Tree, path: &TreePath, total: &mut u64) -> Option<Vec<u8>> {
    let file = tree.file(path).ok()?;
    let size = file.metadata().ok()?.len();
    if size > FILE_BYTES || total.saturating_add(size) > TOTAL_BYTES {
        return None;
    }
    let mut bytes = Vec::new();
    file.take(FILE_BYTES).read_to_end(&mut bytes).ok()?;
    *total = total.saturating_add(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
    Some(bytes)
}
