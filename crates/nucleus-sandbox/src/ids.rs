//! The user ids a task's pods run as.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use nucleus_sys::userns::Extent;
use serde::{Deserialize, Serialize};

use crate::workspace::IdMap;

/// User and group id that every pod sees as its own.
pub(crate) const INSIDE: u32 = 1_000;
/// First host id of the ranges given to tasks of a root host: above what other software allots, below 2^31.
const FIRST: u32 = 0x7000_0000;
/// Host ids per range: 65,536 for ids found on disk, then the pod's own.
const SPAN: u32 = 0x2_0000;
/// How many ranges there are.
const RANGES: u32 = 2_048;
/// Ids on disk that have a place in a range.
const PRIVATE: u32 = 0x1_0000;

/// Which host ids stand behind the ids of a pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PodIds {
    /// Host uid of the pod's processes.
    pub uid: u32,
    /// Host gid of the same.
    pub gid: u32,
    /// Owner of the workspace on disk.
    pub owner_uid: u32,
    /// Group of the workspace on disk.
    pub owner_gid: u32,
    /// First id of the private range on a root host; none when pods run as the user.
    pub base: Option<u32>,
}

impl PodIds {
    /// The ids for tasks on this workspace. On a root host they come from a range derived from its path, so
    /// that homes and caches that outlive a task keep their owner; else they are the user's own.
    ///
    /// # Errors
    /// What reading the workspace's attributes says.
    pub fn for_workspace(workspace: &Path) -> io::Result<Self> {
        let metadata = std::fs::metadata(workspace)?;
        let (owner_uid, owner_gid) = (metadata.uid(), metadata.gid());
        if !rustix::process::geteuid().is_root() {
            let uid = rustix::process::geteuid().as_raw();
            let gid = rustix::process::getegid().as_raw();
            return Ok(Self { uid, gid, owner_uid, owner_gid, base: None });
        }
        let base = FIRST.saturating_add(range_of(workspace).saturating_mul(SPAN));
        let pod = base.saturating_add(PRIVATE);
        Ok(Self { uid: pod, gid: pod, owner_uid, owner_gid, base: Some(base) })
    }

    /// False when the host ids of the pods do not exist here: this process is root of a user namespace that was given
    /// few ids, as in most containers without root.
    pub(crate) fn exist(&self) -> bool {
        let Some(base) = self.base else { return true };
        ["/proc/self/uid_map", "/proc/self/gid_map"].iter().all(|map| {
            // A map that cannot be read hides nothing that the kernel would not tell later.
            std::fs::read_to_string(map).map_or(true, |text| covers(&text, base, SPAN))
        })
    }

    /// False when files of the workspace's owner could not be changed through an overlay: an ordinary user has only one
    /// uid and gid in a pod, and the kernel refuses to copy up a file of any other (`EOVERFLOW`).
    #[must_use]
    pub fn can_overlay(&self) -> bool {
        self.base.is_some() || (self.uid, self.gid) == (self.owner_uid, self.owner_gid)
    }

    /// The map that brings ids of the upper layer back to ids on disk; none when they are the same.
    #[must_use]
    pub fn disk_map(&self) -> Option<IdMap> {
        self.base.map(|base| IdMap {
            pod_uid: self.uid,
            pod_gid: self.gid,
            private_base: base,
            private_len: PRIVATE,
        })
    }

    /// Uid and gid maps of the pods' user namespace.
    #[must_use]
    pub fn namespace_maps(&self) -> (Vec<Extent>, Vec<Extent>) {
        match self.base {
            None => (vec![one(INSIDE, self.uid)], vec![one(INSIDE, self.gid)]),
            Some(base) => (namespace_map(base, self.uid), namespace_map(base, self.gid)),
        }
    }

    /// Maps of the user namespace that describes an id-mapped mount: from ids on disk to host ids. The owner
    /// becomes the pod's id, every other id its place in the private range.
    #[must_use]
    pub fn mount_maps(&self, owner_uid: u32, owner_gid: u32) -> Option<(Vec<Extent>, Vec<Extent>)> {
        let base = self.base?;
        Some((mount_map(base, self.uid, owner_uid), mount_map(base, self.gid, owner_gid)))
    }
}

/// Whether an id map has these ids on its inner side, in one piece.
fn covers(map: &str, first: u32, count: u32) -> bool {
    let (first, end) = (u64::from(first), u64::from(first).saturating_add(u64::from(count)));
    map.lines().any(|line| {
        let mut fields = line.split_whitespace().map(|field| field.parse::<u64>().unwrap_or(0));
        let (inside, _, length) =
            (fields.next().unwrap_or(0), fields.next(), fields.next().unwrap_or(0));
        inside <= first && end <= inside.saturating_add(length)
    })
}

fn one(inside: u32, outside: u32) -> Extent {
    Extent { inside, outside, count: 1 }
}

fn run(inside: u32, outside: u32, end: u32) -> Option<Extent> {
    let count = end.checked_sub(inside)?;
    (count > 0).then_some(Extent { inside, outside, count })
}

/// Inside, the pod is [`INSIDE`]; the id on disk with that number is seen as the first beyond the range.
fn namespace_map(base: u32, pod: u32) -> Vec<Extent> {
    let after = INSIDE.saturating_add(1);
    [
        run(0, base, INSIDE),
        Some(one(INSIDE, pod)),
        run(after, base.saturating_add(after), PRIVATE),
        Some(one(PRIVATE, base.saturating_add(INSIDE))),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn mount_map(base: u32, pod: u32, owner: u32) -> Vec<Extent> {
    let after = owner.saturating_add(1);
    [
        run(0, base, owner.min(PRIVATE)),
        Some(one(owner, pod)),
        run(after, base.saturating_add(after), PRIVATE),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// A number below [`RANGES`] that depends on the path only (FNV-1a).
fn range_of(workspace: &Path) -> u32 {
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
    for byte in workspace.as_os_str().as_encoded_bytes() {
        hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
    }
    u32::try_from(hash % u64::from(RANGES)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(extents: &[Extent], inside: u32) -> Option<u32> {
        extents.iter().find_map(|extent| {
            let offset = inside.checked_sub(extent.inside)?;
            (offset < extent.count).then(|| extent.outside + offset)
        })
    }

    #[test]
    fn owner_becomes_the_pod_and_nothing_is_mapped_to_root() {
        let ids = PodIds {
            uid: 0x7001_0000,
            gid: 0x7001_0000,
            owner_uid: 0,
            owner_gid: 0,
            base: Some(FIRST),
        };
        let (namespace, _) = ids.namespace_maps();
        assert_eq!(map(&namespace, INSIDE), Some(ids.uid));
        for owner in [0, 1, 1_000, 65_535, 65_536, 4_000_000] {
            let (mount, _) = ids.mount_maps(owner, 0).expect("a root host");
            assert_eq!(map(&mount, owner), Some(ids.uid), "owner {owner}");
            for other in [0_u32, 1, 999, 1_000, 1_001, 65_534, 65_535] {
                let seen = map(&mount, other).expect("has a place");
                assert!(seen >= FIRST);
                assert!(namespace.iter().any(|e| seen >= e.outside && seen - e.outside < e.count));
                let back = ids.disk_map().expect("a root host").host_uid(seen, owner);
                assert_eq!(back, Some(other), "apply finds the id on disk again");
            }
        }
    }

    #[test]
    fn ranges_stay_below_the_sign_bit() {
        let last = FIRST + (RANGES - 1) * SPAN + SPAN - 1;
        assert!(last < 1 << 31);
    }
}
