//! The meaning of a git index: its entries without the stat data that git refreshes whenever somebody asks for status.

/// Length of the header: `DIRC`, version, number of entries.
const HEADER: usize = 12;
/// Stat data before the mode (ctime, mtime, dev, ino) and after it (uid, gid, size), then the 20-byte object name.
const MODE_AT: usize = 24;
const MODE_END: usize = 28;
const HASH_AT: usize = 40;
/// Object name, flags; an entry with the extended flag has two bytes more.
const FIXED: usize = 62;
const FLAGS_AT: usize = 60;
const EXTENDED: u8 = 0x40;
const FIXED_EXTENDED: usize = 64;

/// Bytes that differ exactly when the entries differ. Formats this does not know (version 4, SHA-256 repositories) are
/// taken whole, which can only find a change where there is none.
pub(super) fn meaning(index: &[u8]) -> Vec<u8> {
    parse(index).unwrap_or_else(|| index.to_vec())
}

fn parse(index: &[u8]) -> Option<Vec<u8>> {
    if index.get(..4)? != b"DIRC" || !matches!(number(index, 4)?, 2 | 3) {
        return None;
    }
    let count = number(index, 8)?;
    let mut out = Vec::with_capacity(index.len() / 2);
    let mut at = HEADER;
    for _ in 0..count {
        let entry = index.get(at..)?;
        out.extend_from_slice(entry.get(MODE_AT..MODE_END)?);
        let extended = entry.get(FLAGS_AT)? & EXTENDED != 0;
        let fixed = if extended { FIXED_EXTENDED } else { FIXED };
        out.extend_from_slice(entry.get(HASH_AT..fixed)?);
        let name = entry.get(fixed..)?;
        let length = name.iter().position(|b| *b == 0)?;
        out.extend_from_slice(name.get(..=length)?);
        // Entries are padded with one to eight NULs to a multiple of eight.
        let size = fixed.checked_add(length)?.checked_add(8)? & !7;
        at = at.checked_add(size)?;
    }
    // What follows are extensions (caches) and a 20-byte checksum: the known optional ones carry no state.
    let extensions = index.get(at..index.len().checked_sub(20)?)?;
    only_caches(extensions).then_some(out)
}

/// Optional extensions start with an upper-case letter; one that does not must be understood, so it is taken whole.
fn only_caches(mut rest: &[u8]) -> bool {
    while let (Some(name), Some(size)) = (rest.get(..4), number(rest, 4)) {
        let next = usize::try_from(size).ok().and_then(|s| s.checked_add(8));
        let Some(after) = next.and_then(|n| rest.get(n..)) else { return false };
        // REUC keeps conflict resolutions: state worth a hold.
        if !name.first().is_some_and(u8::is_ascii_uppercase) || name == b"REUC" {
            return false;
        }
        rest = after;
    }
    rest.is_empty()
}

fn number(bytes: &[u8], at: usize) -> Option<u32> {
    let four = bytes.get(at..at.checked_add(4)?)?;
    Some(u32::from_be_bytes(four.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn index(stat: u8, hash: u8) -> Vec<u8> {
        let mut out = b"DIRC\0\0\0\x02\0\0\0\x01".to_vec();
        out.extend([stat; 24]);
        out.extend([0, 0, 0x81, 0xa4]);
        out.extend([stat; 12]);
        out.extend([hash; 20]);
        out.extend([0, 1, b'f', 0]);
        out.extend([0; 8]);
        // 62 bytes, the name and its padding make 64.
        out.truncate(12 + 64);
        out.extend(b"TREE\0\0\0\x01x");
        out.extend([0; 20]);
        out
    }

    #[test]
    fn refreshed_stat_data_is_no_change() {
        assert_eq!(meaning(&index(1, 7)), meaning(&index(2, 7)));
        assert!(meaning(&index(1, 7)).len() < 40, "parsed, not taken whole");
    }

    #[test]
    fn another_object_is_a_change() {
        assert_ne!(meaning(&index(1, 7)), meaning(&index(1, 8)));
    }

    #[test]
    fn unknown_formats_are_taken_whole() {
        let mut four = index(1, 7);
        four[7] = 4;
        assert_eq!(meaning(&four), four);
        assert_eq!(meaning(b"DIRC"), b"DIRC");
    }
}
