//! The index of git, as its own documentation describes it (`gitformat-index`): read, compared, and written anew.
//!
//! An index that pods get and one that goes back to the user differ in flags only. What an index says beyond its
//! entries (caches of trees, of untracked files, of a monitor) git makes again; it does not cross, because nobody could
//! see that it lies.

use std::borrow::Cow;
use std::collections::BTreeMap;

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, SHA256, digest};

/// Length of the header: `DIRC`, version, number of entries.
const HEADER: usize = 12;
/// Stat data before the mode (ctime, mtime, dev, ino) and after it (uid, gid, size).
const BEFORE: usize = 24;
const MODE: usize = 4;
const AFTER: usize = 12;
/// Where the seconds of the modification time are.
const MTIME_AT: usize = 8;
/// Flags of an entry: never looked at by git, two bytes more follow, merge stage, length of the name.
const ASSUME_VALID: u16 = 0x8000;
const EXTENDED: u16 = 0x4000;
const STAGE: u16 = 0x3000;
const NAME_LENGTH: u16 = 0x0fff;
/// Extended flags: never looked at either, and to be added later.
const SKIP_WORKTREE: u16 = 0x4000;
const INTENT_TO_ADD: u16 = 0x2000;
/// Lengths of object names, of SHA-1 and of SHA-256.
const HASHES: [usize; 2] = [20, 32];

/// One entry.
#[derive(Debug, Clone)]
struct Entry<'a> {
    before: [u8; BEFORE],
    mode: [u8; MODE],
    after: [u8; AFTER],
    id: &'a [u8],
    flags: u16,
    extended: u16,
    name: Cow<'a, [u8]>,
}

/// An index.
#[derive(Debug)]
pub(crate) struct Index<'a> {
    hash: usize,
    entries: Vec<Entry<'a>>,
    /// What conflicts were resolved to: the one extension that is no cache.
    resolved: Option<&'a [u8]>,
}

/// What an index is beside that of the host.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Settled {
    /// The same entries.
    Same,
    /// Other entries; this is how they go to the user.
    Other(Vec<u8>),
}

/// Bytes that differ exactly when the entries differ. Formats this does not know are taken whole, which can only find a
/// change where there is none.
pub(super) fn meaning(index: &[u8]) -> Vec<u8> {
    Index::parse(index).map_or_else(|| index.to_vec(), |index| index.meaning())
}

impl<'a> Index<'a> {
    /// Reads versions 2 to 4 of either hash. `None` for anything else, a split or sparse index among them.
    pub(crate) fn parse(bytes: &'a [u8]) -> Option<Self> {
        HASHES.into_iter().find_map(|hash| Self::parse_as(bytes, hash))
    }

    /// As [`Index::parse`], of the same hash as `self`.
    pub(crate) fn parse_alike<'b>(&self, bytes: &'b [u8]) -> Option<Index<'b>> {
        Index::parse_as(bytes, self.hash)
    }

    fn parse_as(bytes: &'a [u8], hash: usize) -> Option<Self> {
        let version = number(bytes, 4)?;
        if bytes.get(..4)? != b"DIRC" || !matches!(version, 2..=4) {
            return None;
        }
        let body = bytes.get(..bytes.len().checked_sub(hash)?)?;
        let mut entries: Vec<Entry<'a>> = Vec::new();
        let mut rest = body.get(HEADER..)?;
        for _ in 0..number(bytes, 8)? {
            let previous = entries.last().map(|entry| &*entry.name).unwrap_or_default();
            let (entry, after) = Entry::parse(rest, hash, version, previous)?;
            entries.push(entry);
            rest = after;
        }
        let resolved = extensions(rest)?;
        Some(Self { hash, entries, resolved })
    }

    fn meaning(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.entries.len().saturating_mul(64));
        for entry in &self.entries {
            out.extend_from_slice(&entry.mode);
            out.extend_from_slice(entry.id);
            out.extend_from_slice(&entry.flag_bytes());
            out.extend_from_slice(&entry.name);
            out.push(0);
        }
        out.extend_from_slice(self.resolved.unwrap_or_default());
        out
    }

    /// How git in pods gets it: entries that `withheld` names are never looked at in the tree. `None` when there are
    /// none such. `written_s` is when the index was written, in seconds since the epoch.
    pub(crate) fn shade(
        mut self,
        withheld: &dyn Fn(&[u8]) -> bool,
        written_s: i64,
    ) -> Option<Vec<u8>> {
        let mut any = false;
        for entry in &mut self.entries {
            if withheld(&entry.name) {
                entry.extended |= SKIP_WORKTREE;
                any = true;
            }
            entry.forget_unless_older(written_s);
        }
        any.then(|| self.write())
    }

    /// How it goes to the user, whose index is `host`: what hides a file from git is as it was there, and nothing is
    /// said of the tree's files that was not said there.
    pub(crate) fn settle(mut self, host: &Index<'_>, written_s: i64) -> Settled {
        let known: BTreeMap<(&[u8], u16), &Entry<'_>> =
            host.entries.iter().map(|entry| ((&*entry.name, entry.stage()), entry)).collect();
        for entry in &mut self.entries {
            let known = known.get(&(&*entry.name, entry.flags & STAGE));
            let (flags, extended) = known.map_or((0, 0), |known| (known.flags, known.extended));
            entry.flags = entry.flags & !ASSUME_VALID | flags & ASSUME_VALID;
            entry.extended = entry.extended & INTENT_TO_ADD | extended & !INTENT_TO_ADD;
            match known.filter(|known| known.mode == entry.mode && known.id == entry.id) {
                Some(known) => (entry.before, entry.after) = (known.before, known.after),
                None => (entry.before, entry.after) = ([0; BEFORE], [0; AFTER]),
            }
            entry.forget_unless_older(written_s);
        }
        if self.meaning() == host.meaning() { Settled::Same } else { Settled::Other(self.write()) }
    }

    /// As [`Index::settle`], for a repository that the host has no index of.
    pub(crate) fn settle_new(self) -> Settled {
        let host = Index { hash: self.hash, entries: Vec::new(), resolved: None };
        self.settle(&host, 0)
    }

    fn write(&self) -> Vec<u8> {
        let version: u32 = if self.entries.iter().any(|e| e.extended != 0) { 3 } else { 2 };
        let count = u32::try_from(self.entries.len()).unwrap_or(u32::MAX);
        let mut out = Vec::with_capacity(self.entries.len().saturating_mul(112));
        out.extend_from_slice(b"DIRC");
        out.extend_from_slice(&version.to_be_bytes());
        out.extend_from_slice(&count.to_be_bytes());
        for entry in &self.entries {
            let start = out.len();
            out.extend_from_slice(&entry.before);
            out.extend_from_slice(&entry.mode);
            out.extend_from_slice(&entry.after);
            out.extend_from_slice(entry.id);
            out.extend_from_slice(&entry.flag_bytes());
            out.extend_from_slice(&entry.name);
            // One to eight NULs, to a multiple of eight.
            let length = out.len().saturating_sub(start);
            let padded = start.saturating_add(length.saturating_add(8) & !7);
            out.resize(padded, 0);
        }
        if let Some(resolved) = self.resolved {
            out.extend_from_slice(b"REUC");
            out.extend_from_slice(&u32::try_from(resolved.len()).unwrap_or(0).to_be_bytes());
            out.extend_from_slice(resolved);
        }
        let algorithm = if self.hash == 20 { &SHA1_FOR_LEGACY_USE_ONLY } else { &SHA256 };
        let sum = digest(algorithm, &out);
        out.extend_from_slice(sum.as_ref());
        out
    }
}

impl<'a> Entry<'a> {
    /// Reads one entry; gives what comes after it.
    fn parse(
        bytes: &'a [u8],
        hash: usize,
        version: u32,
        previous: &[u8],
    ) -> Option<(Self, &'a [u8])> {
        let (before, rest) = bytes.split_first_chunk::<BEFORE>()?;
        let (mode, rest) = rest.split_first_chunk::<MODE>()?;
        let (after, rest) = rest.split_first_chunk::<AFTER>()?;
        let (id, rest) = rest.split_at_checked(hash)?;
        let (flags, mut rest) = rest.split_first_chunk::<2>()?;
        let flags = u16::from_be_bytes(*flags);
        let mut extended = 0;
        if flags & EXTENDED != 0 {
            let (more, after) = rest.split_first_chunk::<2>()?;
            extended = u16::from_be_bytes(*more);
            rest = after;
        }
        let mut kept: &[u8] = &[];
        if version == 4 {
            let (stripped, after) = offset(rest)?;
            kept = previous.get(..previous.len().checked_sub(stripped)?)?;
            rest = after;
        }
        let length = rest.iter().position(|b| *b == 0)?;
        let (name, padding) = rest.split_at_checked(length)?;
        let rest = if version == 4 {
            padding.get(1..)?
        } else {
            let size = bytes.len().checked_sub(padding.len())?;
            bytes.get(size.checked_add(8)? & !7..)?
        };
        let name = if kept.is_empty() { name.into() } else { [kept, name].concat().into() };
        let flags = flags & !EXTENDED;
        let entry = Self { before: *before, mode: *mode, after: *after, id, flags, extended, name };
        Some((entry, rest))
    }

    fn stage(&self) -> u16 {
        self.flags & STAGE
    }

    fn flag_bytes(&self) -> Vec<u8> {
        let length = u16::try_from(self.name.len()).unwrap_or(u16::MAX).min(NAME_LENGTH);
        let flags = self.flags & (ASSUME_VALID | STAGE) | length;
        if self.extended == 0 {
            return flags.to_be_bytes().to_vec();
        }
        [(flags | EXTENDED).to_be_bytes(), self.extended.to_be_bytes()].concat()
    }

    /// A file that was written in the second in which the index was may have been written after it: git compares its
    /// content, which it would not do in an index that is written later.
    fn forget_unless_older(&mut self, written_s: i64) {
        let modified_s = number(&self.before, MTIME_AT).map_or(0, i64::from);
        if modified_s >= written_s {
            (self.before, self.after) = ([0; BEFORE], [0; AFTER]);
        }
    }
}

/// Passes over the extensions; gives the one that is no cache. Optional ones start with an upper-case letter, one that
/// does not must be understood.
#[expect(clippy::option_option, reason = "not understood, absent, and present differ")]
fn extensions(mut rest: &[u8]) -> Option<Option<&[u8]>> {
    let mut resolved = None;
    while !rest.is_empty() {
        let (name, after) = rest.split_first_chunk::<4>()?;
        let size = usize::try_from(number(after, 0)?).ok()?;
        let (content, next) = after.get(4..)?.split_at_checked(size)?;
        if !name.first()?.is_ascii_uppercase() {
            return None;
        }
        if name == b"REUC" {
            resolved = Some(content);
        }
        rest = next;
    }
    Some(resolved)
}

/// A number in git's encoding of offsets, and what comes after it.
fn offset(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let (mut byte, mut rest) = bytes.split_first()?;
    let mut value = usize::from(byte & 0x7f);
    while byte & 0x80 != 0 {
        (byte, rest) = rest.split_first()?;
        value = value.checked_add(1)?.checked_mul(128)?.checked_add(usize::from(byte & 0x7f))?;
    }
    Some((value, rest))
}

fn number(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk::<4>().map(|four| u32::from_be_bytes(*four))
}
