//! Owners across the overlay.

use serde::{Deserialize, Serialize};

/// How ids in the upper layer stand for ids of the host when the lower layer is id-mapped (root hosts): the owner of
/// the workspace appears as the pod's id, every other id `n` as `private_base + n`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IdMap {
    /// Host uid that pods run as and that owns what they create.
    pub pod_uid: u32,
    /// Host gid of the same.
    pub pod_gid: u32,
    /// First id of the private range.
    pub private_base: u32,
    /// Length of the private range.
    pub private_len: u32,
}

impl IdMap {
    /// Host uid of an upper uid; `None` when the upper id stands for nobody.
    #[must_use]
    pub fn host_uid(&self, upper: u32, workspace_owner: u32) -> Option<u32> {
        self.host(upper, self.pod_uid, workspace_owner)
    }

    /// Host gid of an upper gid.
    #[must_use]
    pub fn host_gid(&self, upper: u32, workspace_group: u32) -> Option<u32> {
        self.host(upper, self.pod_gid, workspace_group)
    }

    fn host(&self, upper: u32, pod: u32, owner: u32) -> Option<u32> {
        if upper == pod {
            return Some(owner);
        }
        let id = upper.checked_sub(self.private_base)?;
        (id < self.private_len).then_some(id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pod_is_owner_and_private_is_original() {
        let map = IdMap {
            pod_uid: 900_000,
            pod_gid: 900_001,
            private_base: 1_000_000,
            private_len: 65_536,
        };
        assert_eq!(map.host_uid(900_000, 1000), Some(1000));
        assert_eq!(map.host_gid(900_001, 100), Some(100));
        assert_eq!(map.host_uid(1_000_033, 1000), Some(33));
        assert_eq!(map.host_uid(0, 1000), None, "an unmapped root is nobody");
        assert_eq!(map.host_uid(1_065_536, 1000), None);
    }
}
