//! What commits, trees and tags say.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;

use super::id::{Format, ObjectId};

/// Kind of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Commit,
    Tree,
    Blob,
    Tag,
}

impl Kind {
    pub(super) fn of_word(word: &[u8]) -> Option<Self> {
        match word {
            b"commit" => Some(Self::Commit),
            b"tree" => Some(Self::Tree),
            b"blob" => Some(Self::Blob),
            b"tag" => Some(Self::Tag),
            _ => None,
        }
    }
}

/// What git reads of a commit.
#[derive(Debug, Clone)]
pub(super) struct Commit {
    pub(super) tree: ObjectId,
    pub(super) parents: Vec<ObjectId>,
    /// Seconds since the epoch, as the committer says.
    pub(super) time: i64,
    pub(super) subject: String,
}

impl Commit {
    pub(super) fn parse(format: Format, content: &[u8]) -> Option<Self> {
        let mut lines = content.split(|b| *b == b'\n');
        let tree = ObjectId::parse(format, lines.next()?.strip_prefix(b"tree ")?)?;
        let mut parents = Vec::new();
        let mut time = 0;
        let mut in_parents = true;
        for line in lines.by_ref().take_while(|line| !line.is_empty()) {
            if let Some(parent) = line.strip_prefix(b"parent ").filter(|_| in_parents) {
                parents.push(ObjectId::parse(format, parent)?);
                continue;
            }
            in_parents = false;
            if line.starts_with(b"committer ") {
                let text = String::from_utf8_lossy(line);
                time = text.split(' ').rev().nth(1).and_then(|t| t.parse().ok()).unwrap_or(0);
            }
        }
        let subject = lines.find(|line| !line.is_empty()).unwrap_or_default();
        let subject = String::from_utf8_lossy(subject).into_owned();
        Some(Self { tree, parents, time, subject })
    }
}

/// What a tag stands for.
pub(super) fn tagged(format: Format, content: &[u8]) -> Option<ObjectId> {
    let line = content.split(|b| *b == b'\n').next()?;
    ObjectId::parse(format, line.strip_prefix(b"object ")?)
}

/// A name in a tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) mode: u32,
    pub(super) name: Vec<u8>,
    pub(super) id: ObjectId,
}

/// Modes of what a tree can hold, as git writes them.
pub(super) const DIRECTORY: u32 = 0o40_000;
pub(super) const LINK: u32 = 0o120_000;
const FILE: u32 = 0o100_644;
const PROGRAM: u32 = 0o100_755;
/// A commit of another repository.
const SUBMODULE: u32 = 0o160_000;
/// A file as git wrote it long ago.
const GROUP_FILE: u32 = 0o100_664;

impl Entry {
    pub(super) fn is_directory(&self) -> bool {
        self.mode == DIRECTORY
    }

    pub(super) fn name(&self) -> &OsStr {
        OsStr::from_bytes(&self.name)
    }

    /// Whether this is the same content as the other, whatever its name.
    pub(super) fn same(&self, other: &Self) -> bool {
        self.mode == other.mode && self.id == other.id
    }
}

/// The entries of a tree, in its order.
pub(super) fn entries(format: Format, content: &[u8]) -> Option<Vec<Entry>> {
    let mut out = Vec::new();
    let mut rest = content;
    while !rest.is_empty() {
        let gap = rest.iter().position(|b| *b == b' ')?;
        let digits = rest.get(..gap)?;
        if digits.is_empty() || digits.len() > 7 {
            return None;
        }
        let mut mode = 0_u32;
        for digit in digits {
            if !(b'0'..=b'7').contains(digit) {
                return None;
            }
            mode = mode << 3 | u32::from(digit & 7);
        }
        rest = rest.get(gap.checked_add(1)?..)?;
        let end = rest.iter().position(|b| *b == 0)?;
        let name = rest.get(..end)?.to_vec();
        rest = rest.get(end.checked_add(1)?..)?;
        let (hash, after) = rest.split_at_checked(format.bytes())?;
        out.push(Entry { mode, name, id: ObjectId::new(format, hash)? });
        rest = after;
    }
    Some(out)
}

/// Why no git writes a tree like this, if none does: its order and its names are what keeps two readers from seeing two
/// trees.
pub(super) fn unsound(entries: &[Entry]) -> Option<&'static str> {
    let mut last: Option<Vec<u8>> = None;
    let mut names = std::collections::BTreeSet::new();
    for entry in entries {
        if !matches!(entry.mode, DIRECTORY | LINK | FILE | PROGRAM | SUBMODULE | GROUP_FILE) {
            return Some("a mode that git does not know");
        }
        let name = entry.name.as_slice();
        if name.is_empty() || name == b"." || name == b".." || name.contains(&b'/') {
            return Some("a name that is none");
        }
        if name.eq_ignore_ascii_case(b".git") {
            return Some("the name of a repository");
        }
        // Directories are ordered as if their names ended with a slash.
        let mut key = name.to_vec();
        if entry.is_directory() {
            key.push(b'/');
        }
        if last.as_ref().is_some_and(|last| *last >= key) || !names.insert(name) {
            return Some("names out of order");
        }
        last = Some(key);
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn tree(entries: &[(&str, &str)]) -> Vec<Entry> {
        let mut content = Vec::new();
        for (mode, name) in entries {
            content.extend_from_slice(format!("{mode} {name}\0").as_bytes());
            content.extend_from_slice(&[7; 20]);
        }
        super::entries(Format::Sha1, &content).unwrap()
    }

    #[test]
    fn a_tree_is_in_gits_order_and_of_plain_names() {
        assert_eq!(unsound(&tree(&[("100644", "a-b"), ("40000", "a"), ("120000", "a0")])), None);
        for bad in [
            vec![("100644", "b"), ("100644", "a")],
            vec![("100644", "a"), ("100644", "a")],
            vec![("100644", "a"), ("40000", "a")],
            vec![("100644", "a"), ("100644", "a-b"), ("40000", "a")],
            vec![("100644", "..")],
            vec![("100644", "a/b")],
            vec![("100644", "")],
            vec![("40000", ".Git")],
            vec![("104755", "a")],
            vec![("20000", "a")],
        ] {
            assert!(unsound(&tree(&bad)).is_some(), "{bad:?}");
        }
    }

    #[test]
    fn a_commit_says_its_tree_and_its_parents() {
        let hex = "0123456789012345678901234567890123456789";
        let text = format!(
            "tree {hex}\nparent {hex}\nauthor A <a> 5 +0000\ncommitter A B <a> 77 +0100\n\nsubject\n\nparent x\n"
        );
        let commit = Commit::parse(Format::Sha1, text.as_bytes()).unwrap();
        assert_eq!((commit.parents.len(), commit.time), (1, 77));
        assert_eq!(commit.subject, "subject");
        assert!(Commit::parse(Format::Sha256, text.as_bytes()).is_none());
        assert!(Commit::parse(Format::Sha1, b"parent x").is_none());
    }

    proptest! {
        #[test]
        fn hostile_objects_end(content in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = Commit::parse(Format::Sha1, &content);
            let _ = tagged(Format::Sha256, &content);
            if let Some(entries) = entries(Format::Sha1, &content) {
                let _ = unsound(&entries);
            }
        }

        #[test]
        fn hostile_commits_end(tail in "(parent |committer |[0-9a-f]{40}|\n|[ -~é]){0,40}") {
            let text = format!("tree {}\n{tail}", "0".repeat(40));
            let _ = Commit::parse(Format::Sha1, text.as_bytes());
        }
    }
}
