//! What the names of a repository stand for, before and after a task.

use std::collections::BTreeMap;
use std::io;

use super::id::{Format, ObjectId};
use super::limits;
use super::store::{bytes, path};
use crate::workspace::change::{Change, ChangeKind};
use crate::workspace::limits::DEPTH_LEVELS;
use crate::workspace::node::NodeKind;
use crate::workspace::path::TreePath;
use crate::workspace::tree::{Tree, is_absent};

/// What a name stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Value {
    Id(ObjectId),
    /// Another name.
    Link(String),
    /// Nothing that git writes.
    Broken,
}

/// A line of the packed references.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Packed {
    pub(super) id: ObjectId,
    /// What the tag stands for, as the file says.
    pub(super) peeled: Option<ObjectId>,
}

/// All names of one side.
#[derive(Debug, Clone, Default)]
pub(super) struct Refs {
    loose: BTreeMap<String, Value>,
    pub(super) packed: BTreeMap<String, Packed>,
    /// Whether the file of packed references is one that git writes.
    pub(super) packed_sound: bool,
}

impl Refs {
    /// Those of the user's repository.
    pub(super) fn of(tree: &Tree, format: Format) -> io::Result<Self> {
        let mut refs = Self { packed_sound: true, ..Self::default() };
        for name in ["HEAD", "packed-refs"] {
            refs.load(tree, name, format)?;
        }
        let mut dirs = vec![path("refs")];
        while let Some(dir) = dirs.pop() {
            if dir.depth() > DEPTH_LEVELS {
                return Err(io::ErrorKind::InvalidInput.into());
            }
            let entries = match tree.entries(&dir) {
                Ok(entries) => entries,
                Err(error) if is_absent(&error) => continue,
                Err(error) => return Err(error),
            };
            for entry in entries {
                let child = dir.child(&entry.name);
                let kind = tree.stat(&child)?.map(|s| NodeKind::of(&s));
                match (kind, name_of(&child)) {
                    (Some(NodeKind::Directory), _) => dirs.push(child),
                    (Some(NodeKind::File), Some(name)) => refs.load(tree, name, format)?,
                    _ => {}
                }
            }
        }
        Ok(refs)
    }

    /// Those a task leaves, when it leaves these changes in `result`.
    pub(super) fn after(
        &self,
        changes: &[Change],
        result: &Tree,
        format: Format,
    ) -> io::Result<Self> {
        let mut refs = self.clone();
        for change in changes.iter().filter(|c| c.node != NodeKind::Directory) {
            let Some(name) = name_of(&change.path).filter(|name| is_reference(name)) else {
                continue;
            };
            match change.kind {
                ChangeKind::Deleted if name == "packed-refs" => refs.packed.clear(),
                ChangeKind::Deleted => {
                    refs.loose.remove(name);
                }
                ChangeKind::Created | ChangeKind::Modified => refs.load(result, name, format)?,
                ChangeKind::Mode => {}
            }
        }
        Ok(refs)
    }

    fn load(&mut self, tree: &Tree, name: &str, format: Format) -> io::Result<()> {
        let Some(content) = bytes(tree, name, limits::TEXT_BYTES)? else {
            return Ok(());
        };
        if name == "packed-refs" {
            (self.packed, self.packed_sound) = packed(&content, format);
        } else {
            self.loose.insert(name.to_owned(), value(&content, format));
        }
        Ok(())
    }

    pub(super) fn get(&self, name: &str) -> Option<Value> {
        let packed = || self.packed.get(name).map(|packed| Value::Id(packed.id));
        self.loose.get(name).cloned().or_else(packed)
    }

    /// Every name once.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        let packed = self.packed.keys().filter(|name| !self.loose.contains_key(*name));
        self.loose.keys().chain(packed).map(String::as_str)
    }

    /// Every object that a name stands for.
    pub(super) fn ids(&self) -> Vec<ObjectId> {
        let id = |name| match self.get(name) {
            Some(Value::Id(id)) => Some(id),
            _ => None,
        };
        let peeled = self.packed.values().filter_map(|packed| packed.peeled);
        self.names().filter_map(id).chain(peeled).collect()
    }

    /// The object that HEAD stands for, through one branch.
    pub(super) fn head(&self) -> Option<ObjectId> {
        match self.get("HEAD")? {
            Value::Id(id) => Some(id),
            Value::Link(name) => match self.get(&name)? {
                Value::Id(id) => Some(id),
                _ => None,
            },
            Value::Broken => None,
        }
    }
}

/// The name of a reference in the file of this path.
fn name_of(path: &TreePath) -> Option<&str> {
    path.as_str()
}

/// Whether a file of `.git` is read as a reference, or as many.
pub(super) fn is_reference(name: &str) -> bool {
    matches!(name, "HEAD" | "packed-refs") || name.starts_with("refs/")
}

fn value(content: &[u8], format: Format) -> Value {
    let line = content.strip_suffix(b"\n").unwrap_or(content);
    if let Some(name) = line.strip_prefix(b"ref: ") {
        return match std::str::from_utf8(name) {
            Ok(name) if !name.contains(char::is_control) => Value::Link(name.to_owned()),
            _ => Value::Broken,
        };
    }
    ObjectId::parse(format, line).filter(|id| !id.is_null()).map_or(Value::Broken, Value::Id)
}

/// The packed references, and whether nothing else is in the file. Git looks names up by halving, so their order counts.
fn packed(content: &[u8], format: Format) -> (BTreeMap<String, Packed>, bool) {
    let mut out: BTreeMap<String, Packed> = BTreeMap::new();
    let mut sound = content.is_empty() || content.ends_with(b"\n");
    let mut last: Option<String> = None;
    let lines = content.split(|b| *b == b'\n').filter(|line| !line.is_empty());
    for (number, line) in lines.enumerate() {
        if line.starts_with(b"#") {
            sound &= number == 0;
            continue;
        }
        if let Some(peeled) = line.strip_prefix(b"^") {
            let of = last.as_ref().and_then(|name| out.get_mut(name));
            match (of, ObjectId::parse(format, peeled)) {
                (Some(of), Some(id)) if of.peeled.is_none() => of.peeled = Some(id),
                _ => sound = false,
            }
            continue;
        }
        let parsed =
            line.split_at_checked(format.bytes().saturating_mul(2)).and_then(|(hex, rest)| {
                let name = std::str::from_utf8(rest.strip_prefix(b" ")?).ok()?;
                Some((ObjectId::parse(format, hex)?, name.to_owned()))
            });
        let Some((id, name)) = parsed else {
            sound = false;
            continue;
        };
        sound &= last.as_ref().is_none_or(|last| *last < name);
        out.insert(name.clone(), Packed { id, peeled: None });
        last = Some(name);
    }
    (out, sound)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const HEX: &str = "0123456789012345678901234567890123456789";

    #[test]
    fn packed_references_are_read_as_git_writes_them() {
        let text = format!(
            "# pack-refs with: peeled fully-peeled sorted \n{HEX} refs/heads/a\n{HEX} refs/tags/b\n^{HEX}\n"
        );
        let (refs, sound) = packed(text.as_bytes(), Format::Sha1);
        assert!(sound && refs.len() == 2 && refs["refs/tags/b"].peeled.is_some());
        for bad in [
            format!("{HEX} refs/b\n{HEX} refs/a\n"),
            format!("{HEX} refs/a\n{HEX} refs/a\n"),
            format!("{HEX} refs/a\n# x\n"),
            format!("^{HEX}\n"),
            format!("{HEX}  refs/a"),
            "x\n".to_owned(),
        ] {
            assert!(!packed(bad.as_bytes(), Format::Sha1).1, "{bad}");
        }
    }

    #[test]
    fn values_are_ids_or_other_names() {
        assert!(matches!(value(format!("{HEX}\n").as_bytes(), Format::Sha1), Value::Id(_)));
        assert_eq!(value(b"ref: refs/heads/a\n", Format::Sha1), Value::Link("refs/heads/a".into()));
        for bad in ["", "x", &"0".repeat(39), &format!("{HEX} x"), &"0".repeat(40), "ref: a\nb"] {
            assert_eq!(value(bad.as_bytes(), Format::Sha1), Value::Broken, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn hostile_references_end(text in "([0-9a-f]{40}|[# ^\n]|refs/[a-z]){0,30}", bytes in proptest::collection::vec(any::<u8>(), 0..99)) {
            for content in [text.as_bytes(), &bytes] {
                let _ = (packed(content, Format::Sha1), value(content, Format::Sha1));
            }
        }
    }
}
