//! What an index says: each path with its object, and the trees it holds ready for the next commit.

use std::collections::BTreeMap;

use super::id::{Format, ObjectId};

/// A path of the index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Staged {
    pub(super) mode: u32,
    pub(super) id: ObjectId,
    /// Git does not look whether the file differs.
    pub(super) hidden: bool,
}

/// A tree that the index holds ready, of this many entries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Ready {
    pub(super) entries: usize,
    pub(super) id: ObjectId,
}

/// An index.
#[derive(Debug, Clone, Default)]
pub(super) struct Index {
    /// By path and stage.
    pub(super) staged: BTreeMap<(Vec<u8>, u8), Staged>,
    /// By path of the directory; the empty path is the root.
    pub(super) ready: BTreeMap<Vec<u8>, Ready>,
    /// Parts that hide what is in the tree, or say where the rest of the index is.
    pub(super) parts: Vec<[u8; 4]>,
}

/// ctime, mtime, device, inode, mode, owner, group, size; the mode is at 24.
const STAT_BYTES: usize = 40;
const MODE_AT: usize = 24;
const ASSUME_VALID: u16 = 0x8000;
const EXTENDED: u16 = 0x4000;
const SKIP_WORKTREE: u16 = 0x4000;

impl Index {
    /// Reads versions 2 to 4; `None` for anything else.
    pub(super) fn parse(format: Format, bytes: &[u8]) -> Option<Self> {
        let mut rest = bytes;
        if take(&mut rest, 4)? != b"DIRC" {
            return None;
        }
        let version = number(&mut rest)?;
        if !(2..=4).contains(&version) {
            return None;
        }
        let count = number(&mut rest)?;
        let mut index = Self::default();
        let mut name = Vec::new();
        let mut starts = Vec::new();
        for _ in 0..count {
            starts.push(bytes.len().checked_sub(rest.len())?);
            let entry = index.entry(format, version, rest, &mut name)?;
            take(&mut rest, entry)?;
        }
        starts.push(bytes.len().checked_sub(rest.len())?);
        let (mut rest, _checksum) =
            rest.split_at_checked(rest.len().checked_sub(format.bytes())?)?;
        while !rest.is_empty() {
            let part: [u8; 4] = take(&mut rest, 4)?.try_into().ok()?;
            let size = usize::try_from(number(&mut rest)?).ok()?;
            let content = take(&mut rest, size)?;
            match &part {
                b"TREE" => index.ready = ready(format, content)?,
                b"IEOT" | b"EOIE" if !is_map(&part, content, &starts) => return None,
                _ => {}
            }
            index.parts.push(part);
        }
        Some(index)
    }

    /// Reads one entry and gives its length.
    fn entry(
        &mut self,
        format: Format,
        version: u32,
        at: &[u8],
        name: &mut Vec<u8>,
    ) -> Option<usize> {
        let mut rest = at;
        let stat = take(&mut rest, STAT_BYTES)?;
        let mode = number(&mut stat.get(MODE_AT..)?)?;
        let id = ObjectId::new(format, take(&mut rest, format.bytes())?)?;
        let flags = short(&mut rest)?;
        let extended = if flags & EXTENDED != 0 { short(&mut rest)? } else { 0 };
        let fixed = at.len().checked_sub(rest.len())?;
        if version == 4 {
            let cut = name.len().checked_sub(distance(&mut rest)?)?;
            name.truncate(cut);
        } else {
            name.clear();
        }
        let length = rest.iter().position(|b| *b == 0)?;
        name.extend_from_slice(rest.get(..length)?);
        rest = rest.get(length.checked_add(1)?..)?;
        let hidden = flags & ASSUME_VALID != 0 || extended & SKIP_WORKTREE != 0;
        let stage = u8::try_from(flags >> 12 & 3).ok()?;
        let old = self.staged.insert((name.clone(), stage), Staged { mode, id, hidden });
        if old.is_some() {
            return None;
        }
        if version == 4 {
            return at.len().checked_sub(rest.len());
        }
        // Padded with one to eight NULs to a multiple of eight.
        Some(fixed.checked_add(length)?.checked_add(8)? & !7)
    }
}

/// Whether a part that says where others start says so rightly: git's threads read from there.
fn is_map(part: &[u8; 4], content: &[u8], starts: &[usize]) -> bool {
    let mut rest = content;
    let mut value = || number(&mut rest).and_then(|value| usize::try_from(value).ok());
    if part == b"EOIE" {
        return value().is_some_and(|end| starts.last() == Some(&end));
    }
    if value() != Some(1) {
        return false;
    }
    let mut entries = 0_usize;
    while let Some(start) = value() {
        let Some(count) = value() else { return false };
        if starts.get(entries) != Some(&start) {
            return false;
        }
        entries = entries.saturating_add(count);
    }
    entries.checked_add(1) == Some(starts.len())
}

/// The trees that are ready, each after the one it lies in.
fn ready(format: Format, content: &[u8]) -> Option<BTreeMap<Vec<u8>, Ready>> {
    let mut out = BTreeMap::new();
    let mut rest = content;
    // Directories whose parts come next, with how many are still to come.
    let mut open: Vec<(Vec<u8>, usize)> = Vec::new();
    while !rest.is_empty() {
        let name = until(&mut rest, 0)?;
        let entries = until(&mut rest, b' ')?;
        let parts: usize = std::str::from_utf8(until(&mut rest, b'\n')?).ok()?.parse().ok()?;
        let mut path = Vec::new();
        while open.last().is_some_and(|(_, left)| *left == 0) {
            open.pop();
        }
        if let Some((within, left)) = open.last_mut() {
            *left = left.checked_sub(1)?;
            path.clone_from(within);
            if !path.is_empty() {
                path.push(b'/');
            }
        } else if !out.is_empty() {
            return None;
        }
        path.extend_from_slice(name);
        if !entries.starts_with(b"-") {
            let entries = std::str::from_utf8(entries).ok()?.parse().ok()?;
            let id = ObjectId::new(format, take(&mut rest, format.bytes())?)?;
            out.insert(path.clone(), Ready { entries, id });
        }
        open.push((path, parts));
    }
    Some(out)
}

fn take<'b>(rest: &mut &'b [u8], count: usize) -> Option<&'b [u8]> {
    let (taken, after) = rest.split_at_checked(count)?;
    *rest = after;
    Some(taken)
}

fn until<'b>(rest: &mut &'b [u8], end: u8) -> Option<&'b [u8]> {
    let taken = take(rest, rest.iter().position(|b| *b == end)?)?;
    take(rest, 1)?;
    Some(taken)
}

fn number(rest: &mut &[u8]) -> Option<u32> {
    Some(u32::from_be_bytes(take(rest, 4)?.try_into().ok()?))
}

fn short(rest: &mut &[u8]) -> Option<u16> {
    Some(u16::from_be_bytes(take(rest, 2)?.try_into().ok()?))
}

/// A number of seven bits a byte, highest first, of which each but the last counts one more.
fn distance(rest: &mut &[u8]) -> Option<usize> {
    let mut value = 0_usize;
    loop {
        let byte = *take(rest, 1)?.first()?;
        value |= usize::from(byte & 0x7f);
        if byte & 0x80 == 0 {
            return Some(value);
        }
        value = value.checked_add(1)?.checked_mul(128)?;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn hostile_indexes_end(tail in proptest::collection::vec(any::<u8>(), 0..300), version in 1_u8..6, count in 0_u8..4) {
            let mut bytes = b"DIRC\0\0\0".to_vec();
            bytes.extend([version, 0, 0, 0, count]);
            bytes.extend(tail);
            let _ = Index::parse(Format::Sha1, &bytes);
            let _ = Index::parse(Format::Sha256, &bytes);
            let _ = ready(Format::Sha1, &bytes);
        }

        #[test]
        fn hostile_ready_trees_end(text in "([a-z]{0,2}\u{0}-?[0-9]{1,3} [0-9]{1,2}\n|[a-z]{20}){0,10}") {
            let _ = ready(Format::Sha1, text.as_bytes());
        }
    }
}
