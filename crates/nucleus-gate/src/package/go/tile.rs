//! Tiles of the checksum database: hashes of its tree, 256 in a row.

/// Levels of the tree in one tile. Clients use this one height.
const HEIGHT: u32 = 8;
/// Hashes in a tile that is full.
const FULL: u64 = 256;
/// The tree's levels of tiles: more would not fit a number.
const LEVELS: u32 = 8;

/// A tile, full or not yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::package) struct Tile {
    level: u32,
    index: u64,
    width: u64,
}

impl Tile {
    /// Reads `tile/8/LEVEL/INDEX`, with `.p/WIDTH` behind it when it is not full.
    pub(super) fn parse(path: &str) -> Option<Self> {
        let (level, rest) = path.strip_prefix("tile/8/")?.split_once('/')?;
        let (index, width) = match rest.split_once(".p/") {
            Some((index, width)) => (index, width.parse().ok()?),
            None => (rest, FULL),
        };
        let digits = index.split('/').map(|group| group.trim_start_matches('x'));
        let digits: String = digits.collect();
        let tile = Self { level: level.parse().ok()?, index: digits.parse().ok()?, width };
        // Each tile has one address.
        (tile.level < LEVELS && tile.width > 0 && tile.path() == path).then_some(tile)
    }

    /// Its address.
    pub(super) fn path(self) -> String {
        let mut groups = format!("{:03}", self.index % 1000);
        let mut rest = self.index / 1000;
        while rest > 0 {
            groups = format!("x{:03}/{groups}", rest % 1000);
            rest /= 1000;
        }
        let partial = if self.width == FULL { String::new() } else { format!(".p/{}", self.width) };
        format!("tile/{HEIGHT}/{}/{groups}{partial}", self.level)
    }

    /// True if a tree of this many entries has it.
    pub(super) fn is_in(self, entries: u64) -> bool {
        let hashes = self.level.checked_mul(HEIGHT).and_then(|bits| entries.checked_shr(bits));
        let end = self.index.checked_mul(FULL).and_then(|start| start.checked_add(self.width));
        hashes.zip(end).is_some_and(|(hashes, end)| self.width <= FULL && end <= hashes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tile_has_one_address() {
        for path in ["tile/8/0/000", "tile/8/0/005.p/1", "tile/8/1/x001/x234/067.p/255"] {
            assert_eq!(Tile::parse(path).unwrap().path(), path);
        }
        for bad in [
            "tile/8/0",
            "tile/8/0/0",
            "tile/8/0/1234",
            "tile/8/0/x000/001",
            "tile/8/0/xx001/001",
            "tile/8/0/000.p/0",
            "tile/8/0/000.p/256",
            "tile/8/0/000.p/01",
            "tile/8/0/000.p/+1",
            "tile/8/00/000",
            "tile/8/9/000",
            "tile/8/-1/000",
            "tile/8/data/000",
            "tile/10/0/000",
            "tile/8/0/000/",
            "tile/8/0/x999/x999/x999/x999/x999/x999/999",
        ] {
            assert_eq!(Tile::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_tree_has_the_tiles_that_it_is_large_enough_for() {
        let is_in = |path: &str, entries| Tile::parse(path).unwrap().is_in(entries);
        assert!(is_in("tile/8/0/000.p/5", 5) && !is_in("tile/8/0/000.p/5", 4));
        assert!(is_in("tile/8/0/001", 512) && !is_in("tile/8/0/001", 511));
        assert!(is_in("tile/8/1/000.p/2", 512) && !is_in("tile/8/1/000.p/2", 511));
        assert!(!is_in("tile/8/7/000.p/1", u64::MAX >> 9));
        assert!(!is_in("tile/8/0/000.p/1", 0));
    }
}
