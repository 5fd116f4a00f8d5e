//! The task that is disturbed, and what its workspace may look like.

use std::collections::BTreeMap;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

use serde_json::json;
use testkit::host::Host;
use testkit::script::{Action, Script, Step};

/// Rounds of the script; each makes one call of every kind that has an effect.
pub(crate) const ROUNDS: usize = 6;
/// Size of the written files: large enough to be caught half-written.
const WRITTEN_BYTES: usize = 300_000;

/// Files by path.
pub(crate) type Tree = BTreeMap<String, Vec<u8>>;

/// The workspace before the task.
pub(crate) fn before() -> Tree {
    let mut tree = Tree::new();
    tree.insert("README.md".to_owned(), b"# A repository\n".to_vec());
    tree.insert("counter.txt".to_owned(), b"version 0\n".to_vec());
    tree.insert("sub/large.txt".to_owned(), vec![b'o'; WRITTEN_BYTES]);
    for round in 0..ROUNDS {
        tree.insert(format!("old/{round}.txt"), b"to be removed\n".to_vec());
    }
    tree
}

/// Puts a tree into the workspace.
pub(crate) fn fill(host: &Host, tree: &Tree) {
    for (path, content) in tree {
        host.file(path, content);
    }
}

/// Content of the file that `write` makes in a round.
pub(crate) fn written(round: usize) -> Vec<u8> {
    let mut content = format!("round {round}\n").into_bytes();
    content.resize(WRITTEN_BYTES, b'n');
    content
}

/// The script: writes, edits, commands and background jobs.
pub(crate) fn script() -> Script {
    let call = |name: &str, args: serde_json::Value| Step {
        action: Some(Action::Tool { name: name.to_owned(), args }),
        measure: true,
        ..Step::default()
    };
    let mut steps = Vec::new();
    for round in 0..ROUNDS {
        let content = String::from_utf8(written(round)).unwrap();
        steps.push(call("write", json!({"path": format!("new/w{round}.txt"), "content": content})));
        steps.push(call("write", json!({"path": "sub/large.txt", "content": content})));
        let (old, new) = (format!("version {round}"), format!("version {}", round + 1));
        steps.push(call(
            "edit",
            json!({"path": "counter.txt", "old_string": old, "new_string": new}),
        ));
        steps.push(call(
            "run",
            json!({"command": format!("echo ran > r{round}.txt; rm old/{round}.txt")}),
        ));
        steps.push(call(
            "run",
            json!({"command": format!("echo job > b{round}.txt; sleep 5"), "background": true}),
        ));
    }
    Script { steps }
}

/// The regular files of a directory, by path; `None` for what an overlay marks as deleted.
pub(crate) fn files(root: &Path) -> BTreeMap<String, Option<Vec<u8>>> {
    let mut found = BTreeMap::new();
    let mut dirs = vec![root.to_path_buf()];
    while let Some(dir) = dirs.pop() {
        for entry in std::fs::read_dir(&dir).into_iter().flatten().filter_map(Result::ok) {
            let path = entry.path();
            let Ok(meta) = std::fs::symlink_metadata(&path) else { continue };
            let name = path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
            if meta.is_dir() {
                dirs.push(path);
            } else if meta.file_type().is_char_device() && meta.rdev() == 0 {
                found.insert(name, None);
            } else if let Ok(content) = std::fs::read(&path) {
                found.insert(name, Some(content));
            }
        }
    }
    found
}

/// The tree of a workspace as it is.
pub(crate) fn tree(workspace: &Path) -> Tree {
    files(workspace).into_iter().filter_map(|(path, content)| Some((path, content?))).collect()
}

/// What the workspace is to become: the old tree with the upper layer over it. Half-written temporaries of a killed
/// enforcement process are no changes of the task.
pub(crate) fn merged(upper: &BTreeMap<String, Option<Vec<u8>>>) -> Tree {
    let mut tree = before();
    for (path, content) in upper.iter().filter(|(path, _)| !is_temporary(path)) {
        match content {
            Some(content) => tree.insert(path.clone(), content.clone()),
            None => tree.remove(path),
        };
    }
    tree
}

/// Names of both trees whose content differs.
pub(crate) fn difference(a: &Tree, b: &Tree) -> Vec<String> {
    let names = a.keys().chain(b.keys());
    let differs = |name: &&String| a.get(*name) != b.get(*name);
    let mut names: Vec<String> = names.filter(differs).cloned().collect();
    names.dedup();
    names
}

fn is_temporary(path: &str) -> bool {
    path.rsplit('/').next().is_some_and(|name| name.starts_with(".nucleus-write-"))
}
