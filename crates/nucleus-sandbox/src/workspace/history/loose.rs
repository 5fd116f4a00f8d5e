//! Objects in a file of their own.

use std::io::{self, Read};

use super::id::ObjectId;
use super::inflate::Inflate;
use super::object::{self, Commit, Kind};

/// Longest header: a kind, a size of twenty digits.
const HEADER_BYTES: usize = 32;
/// Bytes inflated at once.
const CHUNK_BYTES: usize = 1 << 16;

/// Reads an object of at most `limit` bytes.
pub(super) fn read(file: impl Read, limit: usize) -> io::Result<(Kind, Vec<u8>)> {
    let mut stream = Inflate::new(file);
    let (kind, size, _) = header(&mut stream)?;
    if size > limit {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    Ok((kind, stream.exactly(size)?))
}

/// What a file that should be an object is.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Sound(Kind),
    /// It is not what its name says, or not what any git writes.
    Unsound(&'static str),
    /// More than is looked at.
    TooLarge,
}

/// Whether a new object is what its name says. `room` is how many bytes may still be inflated; `limit` is for objects
/// that are read as a whole: all but file contents.
pub(super) fn verify(
    file: impl Read,
    id: ObjectId,
    limit: usize,
    room: &mut u64,
) -> io::Result<Verdict> {
    match try_verify(file, id, limit, room) {
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof
            ) =>
        {
            Ok(Verdict::Unsound("it is damaged"))
        }
        other => other,
    }
}

fn try_verify(file: impl Read, id: ObjectId, limit: usize, room: &mut u64) -> io::Result<Verdict> {
    let mut stream = Inflate::new(file);
    let (kind, size, head) = header(&mut stream)?;
    let wide = u64::try_from(size).unwrap_or(u64::MAX);
    if wide > *room || (kind != Kind::Blob && size > limit) {
        return Ok(Verdict::TooLarge);
    }
    *room = room.saturating_sub(wide);
    let mut hash = id.format().hasher();
    hash.update(&head);
    let mut content = Vec::new();
    if kind == Kind::Blob {
        let mut chunk = vec![0; CHUNK_BYTES];
        let mut left = size;
        loop {
            let got = stream.read(&mut chunk)?;
            hash.update(chunk.get(..got).unwrap_or_default());
            match left.checked_sub(got) {
                Some(rest) => left = rest,
                None => return Ok(Verdict::Unsound("it is longer than it says")),
            }
            if got == 0 {
                break;
            }
        }
        if left > 0 {
            return Ok(Verdict::Unsound("it is shorter than it says"));
        }
    } else {
        content = stream.exactly(size)?;
        hash.update(&content);
    }
    if !stream.is_whole()? {
        return Ok(Verdict::Unsound("something follows it"));
    }
    if hash.finish().as_ref() != id.as_bytes() {
        return Ok(Verdict::Unsound("its content is another's"));
    }
    Ok(form(kind, id, &content))
}

/// Whether an object is written as git writes it, so that everybody reads it alike.
fn form(kind: Kind, id: ObjectId, content: &[u8]) -> Verdict {
    let wrong = match kind {
        Kind::Blob => None,
        Kind::Commit if Commit::parse(id.format(), content).is_some() => None,
        Kind::Tag if object::tagged(id.format(), content).is_some() => None,
        Kind::Commit | Kind::Tag => Some("it is not written as git writes it"),
        Kind::Tree => match object::entries(id.format(), content) {
            Some(entries) => object::unsound(&entries),
            None => Some("it is not written as git writes it"),
        },
    };
    wrong.map_or(Verdict::Sound(kind), Verdict::Unsound)
}

/// Kind and size of an object, and the bytes that say so.
fn header(stream: &mut impl Read) -> io::Result<(Kind, usize, Vec<u8>)> {
    let mut head = Vec::with_capacity(HEADER_BYTES);
    let mut byte = [0];
    loop {
        stream.read_exact(&mut byte)?;
        head.extend_from_slice(&byte);
        if byte == [0] {
            break;
        }
        if head.len() >= HEADER_BYTES {
            return Err(io::ErrorKind::InvalidData.into());
        }
    }
    let text = head.get(..head.len().saturating_sub(1)).unwrap_or_default();
    parse_header(text)
        .map(|(kind, size)| (kind, size, head.clone()))
        .ok_or_else(|| io::ErrorKind::InvalidData.into())
}

fn parse_header(text: &[u8]) -> Option<(Kind, usize)> {
    let gap = text.iter().position(|b| *b == b' ')?;
    let kind = Kind::of_word(text.get(..gap)?)?;
    let digits = std::str::from_utf8(text.get(gap.checked_add(1)?..)?).ok()?;
    let plain = digits.bytes().all(|b| b.is_ascii_digit());
    // One way to write a size.
    if !plain || (digits.len() > 1 && digits.starts_with('0')) {
        return None;
    }
    Some((kind, digits.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use miniz_oxide::deflate::compress_to_vec_zlib;
    use proptest::prelude::*;

    use super::super::id::Format;
    use super::*;

    const LIMIT: usize = 1 << 20;

    fn named(whole: &[u8]) -> ObjectId {
        let mut hash = Format::Sha1.hasher();
        hash.update(whole);
        ObjectId::new(Format::Sha1, hash.finish().as_ref()).unwrap()
    }

    fn check(whole: &[u8]) -> Verdict {
        verify(compress_to_vec_zlib(whole, 1).as_slice(), named(whole), LIMIT, &mut (1 << 24))
            .unwrap()
    }

    #[test]
    fn an_object_is_what_its_name_says() {
        assert_eq!(check(b"blob 3\0abc"), Verdict::Sound(Kind::Blob));
        assert_eq!(check(b"tree 0\0"), Verdict::Sound(Kind::Tree));
        let file = compress_to_vec_zlib(b"blob 4\0evil", 1);
        let forged = verify(file.as_slice(), named(b"blob 3\0abc"), LIMIT, &mut (1 << 24)).unwrap();
        assert!(matches!(forged, Verdict::Unsound(_)));
    }

    #[test]
    fn an_object_of_another_form_is_refused_even_by_its_own_name() {
        for bad in [
            b"blob 2\0abc".as_slice(),
            b"blob 4\0abc",
            b"blob 03\0abc",
            b"blob  3\0abc",
            b"blob +3\0abc",
            b"blub 3\0abc",
            b"blob 3",
            b"tree 3\0abc",
            b"commit 3\0abc",
            b"tag 3\0abc",
            b"blob 99999999999999999999999\0abc",
            b"",
        ] {
            assert!(matches!(check(bad), Verdict::Unsound(_)), "{bad:?}");
        }
        let mut tail = compress_to_vec_zlib(b"blob 3\0abc", 1);
        tail.push(0);
        let id = named(b"blob 3\0abc");
        let verdict = verify(tail.as_slice(), id, LIMIT, &mut (1 << 24)).unwrap();
        assert!(matches!(verdict, Verdict::Unsound(_)));
    }

    #[test]
    fn a_bomb_is_too_large_or_longer_than_it_says() {
        let mut bomb = b"blob 10\0".to_vec();
        bomb.resize(1 << 24, 0);
        assert!(matches!(check(&bomb), Verdict::Unsound(_)));
        let claim = compress_to_vec_zlib(b"blob 9999999999\0abc", 1);
        let verdict = verify(claim.as_slice(), named(b""), LIMIT, &mut (1 << 24)).unwrap();
        assert_eq!(verdict, Verdict::TooLarge);
        let claim = compress_to_vec_zlib(b"tree 99999999\0abc", 1);
        let verdict = verify(claim.as_slice(), named(b""), LIMIT, &mut (1 << 30)).unwrap();
        assert_eq!(verdict, Verdict::TooLarge);
    }

    proptest! {
        #[test]
        fn hostile_files_end(file in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = verify(file.as_slice(), named(b""), LIMIT, &mut (1 << 20));
            let _ = read(file.as_slice(), LIMIT);
        }

        #[test]
        fn damaged_files_end(content in proptest::collection::vec(any::<u8>(), 0..200), at in 0_usize..200, bit in 0_u8..8) {
            let mut whole = format!("blob {}\0", content.len()).into_bytes();
            whole.extend(content);
            let id = named(&whole);
            let mut file = compress_to_vec_zlib(&whole, 1);
            prop_assert_eq!(verify(file.as_slice(), id, LIMIT, &mut (1 << 20)).unwrap(), Verdict::Sound(Kind::Blob));
            let at = at % file.len();
            file[at] ^= 1 << bit;
            // Either it still inflates to the same, or it is refused.
            if let Verdict::Sound(_) = verify(file.as_slice(), id, LIMIT, &mut (1 << 20)).unwrap() {
                prop_assert!(read(file.as_slice(), LIMIT).unwrap().1 == whole[whole.iter().position(|b| *b == 0).unwrap() + 1..]);
            }
        }
    }
}
