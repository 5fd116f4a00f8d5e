//! The RFC 6962 tree over the lines, kept as the roots of its complete subtrees.

use crate::digest::Digest;

/// A tree that only grows.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tree {
    size: u64,
    /// Roots of the complete subtrees, largest first: one per set bit of `size`.
    peaks: Vec<Digest>,
}

impl Tree {
    /// Number of leaves.
    pub(crate) const fn size(&self) -> u64 {
        self.size
    }

    /// Adds a leaf by its leaf hash.
    pub(crate) fn push(&mut self, leaf: Digest) {
        let mut carry = leaf;
        for _ in 0..self.size.trailing_ones() {
            if let Some(left) = self.peaks.pop() {
                carry = Digest::node(&left, &carry);
            }
        }
        self.peaks.push(carry);
        self.size = self.size.saturating_add(1);
    }

    /// Root of the tree as it is now; of the empty tree, SHA-256 of nothing.
    pub(crate) fn root(&self) -> Digest {
        let mut peaks = self.peaks.iter().rev();
        let Some(last) = peaks.next() else { return Digest::of(b"") };
        peaks.fold(*last, |right, left| Digest::node(left, &right))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The recursive definition of RFC 6962 section 2.1.
    fn reference(leaves: &[&[u8]]) -> Digest {
        match leaves {
            [] => Digest::of(b""),
            [one] => Digest::leaf(&mut Vec::new(), one),
            many => {
                let mut k = 1;
                while k * 2 < many.len() {
                    k *= 2;
                }
                Digest::node(&reference(&many[..k]), &reference(&many[k..]))
            }
        }
    }

    #[test]
    fn root_is_that_of_rfc_6962_at_every_size() {
        let leaves: Vec<Vec<u8>> = (0_u8..70).map(|i| vec![i; usize::from(i)]).collect();
        let mut tree = Tree::default();
        for size in 0..leaves.len() {
            let part: Vec<&[u8]> = leaves[..size].iter().map(Vec::as_slice).collect();
            assert_eq!(tree.root(), reference(&part), "size {size}");
            assert_eq!(tree.size(), size as u64);
            tree.push(Digest::leaf(&mut Vec::new(), &leaves[size]));
        }
    }

    #[test]
    fn known_roots_of_certificate_transparency() {
        let mut tree = Tree::default();
        for leaf in [&b""[..], b"\x00", b"\x10", b"\x20\x21", b"\x30\x31", b"\x40\x41\x42\x43"] {
            tree.push(Digest::leaf(&mut Vec::new(), leaf));
        }
        assert_eq!(
            tree.root().to_string(),
            "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef"
        );
    }
}
