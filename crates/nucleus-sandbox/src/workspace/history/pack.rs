//! Packs of the user's own repository, read by their index.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt as _;

use super::delta;
use super::id::{Format, ObjectId};
use super::inflate::Inflate;
use super::object::Kind;

const MAGIC: [u8; 8] = *b"\xfftOc\0\0\0\x02";
/// How many objects start with each byte or less.
const FANOUT_AT: u64 = 8;
const NAMES_AT: u64 = FANOUT_AT + 4 * 256;
/// Offsets with this bit are numbers of a larger one.
const LARGE: u64 = 1 << 31;
/// Longest chain of differences: what git itself writes at most.
const CHAIN: usize = 4096;

/// A pack and its index.
#[derive(Debug)]
pub(super) struct Pack {
    index: File,
    data: File,
    format: Format,
    fanout: Vec<u32>,
}

/// What starts at an offset of a pack.
enum Start {
    Whole(Kind),
    /// A difference to what starts at this offset.
    Offset(u64),
    /// A difference to this object.
    Named(ObjectId),
}

fn damaged() -> io::Error {
    io::ErrorKind::InvalidData.into()
}

impl Pack {
    pub(super) fn open(index: File, data: File, format: Format) -> io::Result<Self> {
        let mut head = [0; 8];
        index.read_exact_at(&mut head, 0)?;
        if head != MAGIC {
            return Err(io::ErrorKind::Unsupported.into());
        }
        let mut table = vec![0; 4 * 256];
        index.read_exact_at(&mut table, FANOUT_AT)?;
        let fanout: Vec<u32> = table
            .chunks_exact(4)
            .filter_map(|four| Some(u32::from_be_bytes(four.try_into().ok()?)))
            .collect();
        if fanout.len() != 256 || !fanout.is_sorted() {
            return Err(damaged());
        }
        Ok(Self { index, data, format, fanout })
    }

    fn objects(&self) -> u64 {
        self.fanout.last().copied().map_or(0, u64::from)
    }

    /// Where an object starts.
    pub(super) fn find(&self, id: &ObjectId) -> io::Result<Option<u64>> {
        let first = id.as_bytes().first().copied().map_or(0, usize::from);
        let below = first.checked_sub(1).and_then(|f| self.fanout.get(f)).copied();
        let mut low = u64::from(below.unwrap_or(0));
        let mut high = u64::from(self.fanout.get(first).copied().unwrap_or(0));
        let width = u64::try_from(self.format.bytes()).map_err(|_| damaged())?;
        let mut name = vec![0; self.format.bytes()];
        while low < high {
            let middle = low.midpoint(high);
            self.index
                .read_exact_at(&mut name, NAMES_AT.saturating_add(middle.saturating_mul(width)))?;
            match name.as_slice().cmp(id.as_bytes()) {
                std::cmp::Ordering::Less => low = middle.saturating_add(1),
                std::cmp::Ordering::Greater => high = middle,
                std::cmp::Ordering::Equal => return self.offset(middle, width).map(Some),
            }
        }
        Ok(None)
    }

    /// The offset of the object with this number.
    fn offset(&self, number: u64, width: u64) -> io::Result<u64> {
        let objects = self.objects();
        // After the names come the checksums of four bytes each.
        let offsets = NAMES_AT.saturating_add(objects.saturating_mul(width.saturating_add(4)));
        let mut four = [0; 4];
        self.index.read_exact_at(&mut four, offsets.saturating_add(number.saturating_mul(4)))?;
        let small = u64::from(u32::from_be_bytes(four));
        if small & LARGE == 0 {
            return Ok(small);
        }
        let table = offsets.saturating_add(objects.saturating_mul(4));
        let mut eight = [0; 8];
        let at = table.saturating_add((small & !LARGE).saturating_mul(8));
        self.index.read_exact_at(&mut eight, at)?;
        Ok(u64::from_be_bytes(eight))
    }

    /// The object that starts at an offset, when neither it nor what it is made of is larger than `limit`.
    pub(super) fn read(&self, offset: u64, limit: usize) -> io::Result<(Kind, Vec<u8>)> {
        let mut at = offset;
        let mut deltas: Vec<Vec<u8>> = Vec::new();
        let mut room = limit;
        loop {
            let (start, size, data_at) = self.start(at)?;
            if size > room {
                return Err(io::ErrorKind::FileTooLarge.into());
            }
            let content = Inflate::new(At { file: &self.data, at: data_at }).exactly(size)?;
            let base = match start {
                Start::Whole(kind) => return rebuild(kind, content, deltas, limit),
                Start::Offset(base) => base,
                Start::Named(base) => self.find(&base)?.ok_or_else(damaged)?,
            };
            room = room.saturating_sub(content.len());
            deltas.push(content);
            if deltas.len() > CHAIN {
                return Err(damaged());
            }
            at = base;
        }
    }

    /// What starts at an offset, its size, and where its compressed bytes start.
    fn start(&self, offset: u64) -> io::Result<(Start, usize, u64)> {
        let mut source = At { file: &self.data, at: offset };
        let first = source.byte()?;
        let mut size = usize::from(first & 0x0f);
        let mut shift = 4_u32;
        let mut more = first & 0x80 != 0;
        while more {
            let byte = source.byte()?;
            if shift > 53 {
                return Err(damaged());
            }
            size |= usize::from(byte & 0x7f) << shift;
            shift = shift.saturating_add(7);
            more = byte & 0x80 != 0;
        }
        let start = match first >> 4 & 7 {
            1 => Start::Whole(Kind::Commit),
            2 => Start::Whole(Kind::Tree),
            3 => Start::Whole(Kind::Blob),
            4 => Start::Whole(Kind::Tag),
            6 => Start::Offset(source.back(offset)?),
            7 => {
                let mut name = vec![0; self.format.bytes()];
                source.read_exact(&mut name)?;
                Start::Named(ObjectId::new(self.format, &name).ok_or_else(damaged)?)
            }
            _ => return Err(damaged()),
        };
        Ok((start, size, source.at))
    }
}

/// Puts the differences onto the whole object, the last found first.
fn rebuild(
    kind: Kind,
    base: Vec<u8>,
    deltas: Vec<Vec<u8>>,
    limit: usize,
) -> io::Result<(Kind, Vec<u8>)> {
    let mut content = base;
    for delta in deltas.iter().rev() {
        content = delta::apply(&content, delta, limit).ok_or_else(damaged)?;
    }
    Ok((kind, content))
}

/// A file read from a place on.
struct At<'f> {
    file: &'f File,
    at: u64,
}

impl At<'_> {
    fn byte(&mut self) -> io::Result<u8> {
        let mut byte = [0];
        self.read_exact(&mut byte)?;
        let [byte] = byte;
        Ok(byte)
    }

    /// An offset told as the distance back from here: always before, so a chain of them ends.
    fn back(&mut self, from: u64) -> io::Result<u64> {
        let mut byte = self.byte()?;
        let mut distance = u64::from(byte & 0x7f);
        while byte & 0x80 != 0 {
            byte = self.byte()?;
            distance = distance.checked_add(1).filter(|d| d >> 56 == 0).ok_or_else(damaged)?;
            distance = distance << 7 | u64::from(byte & 0x7f);
        }
        from.checked_sub(distance).filter(|_| distance > 0).ok_or_else(damaged)
    }
}

impl Read for At<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let got = self.file.read_at(out, self.at)?;
        self.at = self.at.saturating_add(u64::try_from(got).unwrap_or(0));
        Ok(got)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use miniz_oxide::deflate::compress_to_vec_zlib;
    use proptest::prelude::*;

    use super::*;

    fn file(bytes: &[u8]) -> File {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        file
    }

    /// A pack of these pieces and an index that names each by a byte repeated.
    fn pack(pieces: &[(u8, Vec<u8>)]) -> Pack {
        let mut data = b"PACK\0\0\0\x02\0\0\0\0".to_vec();
        let mut index = MAGIC.to_vec();
        for first in 0..=255_u8 {
            let count = pieces.iter().filter(|(name, _)| *name <= first).count();
            index.extend(u32::try_from(count).unwrap().to_be_bytes());
        }
        for (name, _) in pieces {
            index.extend([*name; 20]);
        }
        index.resize(index.len() + 4 * pieces.len(), 0);
        for (_, piece) in pieces {
            index.extend(u32::try_from(data.len()).unwrap().to_be_bytes());
            data.extend(piece);
        }
        Pack::open(file(&index), file(&data), Format::Sha1).unwrap()
    }

    fn piece(head: &[u8], content: &[u8]) -> Vec<u8> {
        let mut out = head.to_vec();
        out.extend(compress_to_vec_zlib(content, 1));
        out
    }

    fn id(name: u8) -> ObjectId {
        ObjectId::new(Format::Sha1, &[name; 20]).unwrap()
    }

    fn get(pack: &Pack, name: u8) -> io::Result<(Kind, Vec<u8>)> {
        pack.read(pack.find(&id(name))?.unwrap(), 1 << 20)
    }

    #[test]
    fn chains_of_both_kinds_are_rebuilt() {
        let whole = piece(&[3 << 4 | 5], b"hello");
        let back = u8::try_from(whole.len()).unwrap();
        // "hello" and then "!", then "?".
        let by_offset = piece(&[6 << 4 | 6, back], &[5, 6, 0x90, 5, 1, b'!']);
        let mut named = vec![7 << 4 | 6];
        named.extend([2; 20]);
        let by_name = piece(&named, &[6, 7, 0x90, 6, 1, b'?']);
        let pack = pack(&[(1, whole), (2, by_offset), (3, by_name)]);
        assert_eq!(get(&pack, 1).unwrap(), (Kind::Blob, b"hello".to_vec()));
        assert_eq!(get(&pack, 2).unwrap().1, b"hello!");
        assert_eq!(get(&pack, 3).unwrap().1, b"hello!?");
        assert_eq!(pack.find(&id(9)).unwrap(), None);
    }

    #[test]
    fn a_circle_and_a_lie_about_size_end() {
        let mut other = vec![7 << 4 | 6];
        other.extend([2; 20]);
        let mut one = vec![7 << 4 | 6];
        one.extend([1; 20]);
        let delta = [5, 6, 0x90, 5, 1, b'!'];
        let circle = pack(&[(1, piece(&other, &delta)), (2, piece(&one, &delta))]);
        assert!(get(&circle, 1).is_err());
        let claims = pack(&[(1, piece(&[3 << 4 | 0x8f, 0xff, 0xff, 0x7f], b"x"))]);
        assert!(get(&claims, 1).is_err());
        let bomb = pack(&[(1, piece(&[3 << 4 | 5], &vec![0; 1 << 22]))]);
        assert!(get(&bomb, 1).is_err());
        let itself = pack(&[(1, piece(&[6 << 4 | 6, 0], &delta))]);
        assert!(get(&itself, 1).is_err());
    }

    proptest! {
        #[test]
        fn hostile_packs_end(head in proptest::collection::vec(any::<u8>(), 1..30), content in proptest::collection::vec(any::<u8>(), 0..40)) {
            let pack = pack(&[(1, piece(&[3 << 4 | 2], b"ab")), (2, piece(&head, &content))]);
            let _ = get(&pack, 2);
        }

        #[test]
        fn hostile_indexes_end(index in proptest::collection::vec(any::<u8>(), 0..1200), name in any::<u8>()) {
            let mut whole = MAGIC.to_vec();
            whole.extend(&index);
            for bytes in [&index, &whole] {
                if let Ok(pack) = Pack::open(file(bytes), file(&index), Format::Sha1)
                    && let Ok(Some(at)) = pack.find(&id(name))
                {
                    let _ = pack.read(at, 1 << 20);
                }
            }
        }
    }
}
