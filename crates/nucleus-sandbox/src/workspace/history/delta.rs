//! Objects that a pack keeps as the difference to another.

/// Rebuilds an object of at most `limit` bytes from its base; `None` when the delta is not one of that base.
pub(super) fn apply(base: &[u8], delta: &[u8], limit: usize) -> Option<Vec<u8>> {
    let mut rest = delta;
    if size(&mut rest)? != base.len() {
        return None;
    }
    let length = size(&mut rest)?;
    if length > limit {
        return None;
    }
    let mut out = Vec::with_capacity(length.min(1 << 20));
    while let Some((op, after)) = rest.split_first() {
        rest = after;
        let piece = if op & 0x80 != 0 {
            let start = number(*op, 4, &mut rest)?;
            let count = match number(op >> 4, 3, &mut rest)? {
                0 => 0x1_0000,
                count => count,
            };
            base.get(start..start.checked_add(count)?)?
        } else if *op != 0 {
            let (literal, after) = rest.split_at_checked(usize::from(*op))?;
            rest = after;
            literal
        } else {
            return None;
        };
        if out.len().checked_add(piece.len())? > length {
            return None;
        }
        out.extend_from_slice(piece);
    }
    (out.len() == length).then_some(out)
}

/// A size of seven bits a byte, lowest first.
fn size(rest: &mut &[u8]) -> Option<usize> {
    let mut value = 0_usize;
    let mut shift = 0_u32;
    loop {
        let (byte, after) = rest.split_first()?;
        *rest = after;
        if shift > 56 {
            return None;
        }
        value |= usize::from(byte & 0x7f).checked_shl(shift)?;
        shift = shift.saturating_add(7);
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
}

/// A number of which only the bytes are there that the lowest bits of `present` announce.
fn number(present: u8, bytes: u32, rest: &mut &[u8]) -> Option<usize> {
    let mut value = 0_usize;
    for at in 0..bytes {
        if present & (1 << at) != 0 {
            let (byte, after) = rest.split_first()?;
            *rest = after;
            value |= usize::from(*byte) << at.saturating_mul(8);
        }
    }
    Some(value)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn copies_and_literals_make_the_object() {
        // From "hello world": all of "hello ", then "you".
        let delta = [11, 9, 0x90, 6, 3, b'y', b'o', b'u'];
        assert_eq!(apply(b"hello world", &delta, 100).unwrap(), b"hello you");
        assert_eq!(apply(b"hello world", &delta, 8), None, "larger than allowed");
        assert_eq!(apply(b"hello", &delta, 100), None, "another base");
    }

    proptest! {
        #[test]
        fn hostile_deltas_end(base in proptest::collection::vec(any::<u8>(), 0..64),
                              delta in proptest::collection::vec(any::<u8>(), 0..64)) {
            if let Some(out) = apply(&base, &delta, 1 << 16) {
                prop_assert!(out.len() <= 1 << 16);
            }
        }

        #[test]
        fn hostile_deltas_of_the_right_base_end(base in proptest::collection::vec(any::<u8>(), 0..64),
                                                tail in proptest::collection::vec(any::<u8>(), 0..64)) {
            let mut delta = vec![u8::try_from(base.len()).unwrap()];
            delta.extend(tail);
            if let Some(out) = apply(&base, &delta, 1 << 16) {
                prop_assert!(out.len() <= 1 << 16);
            }
        }
    }
}
