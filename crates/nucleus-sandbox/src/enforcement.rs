//! What the walls of a pod are really worth on this host.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Deserialize, Serialize};

/// One layer of the wall. The names are those of `[isolation]` in `permissions.toml`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(clippy::exhaustive_enums, reason = "a new layer must be handled everywhere")]
pub enum Layer {
    /// Own mounts: only what was named exists.
    Mount,
    /// Own network without a way out.
    Network,
    /// Own processes.
    Pid,
    /// Own System V IPC and message queues.
    Ipc,
    /// Own host name.
    Uts,
    /// Own users; ids inside mean nothing outside.
    User,
    /// Limits on processes and memory.
    Cgroup,
    /// No capability, for good.
    Capabilities,
    /// System call filter.
    Seccomp,
    /// Landlock domain.
    Landlock,
    /// Memory files cannot be executed.
    MemfdNoexec,
    /// Resource limits of each process.
    Rlimits,
}

impl Layer {
    /// Every layer.
    pub const ALL: [Self; 12] = [
        Self::Mount,
        Self::Network,
        Self::Pid,
        Self::Ipc,
        Self::Uts,
        Self::User,
        Self::Cgroup,
        Self::Capabilities,
        Self::Seccomp,
        Self::Landlock,
        Self::MemfdNoexec,
        Self::Rlimits,
    ];

    /// Its name in files and reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Mount => "mount",
            Self::Network => "network",
            Self::Pid => "pid",
            Self::Ipc => "ipc",
            Self::Uts => "uts",
            Self::User => "user",
            Self::Cgroup => "cgroup",
            Self::Capabilities => "capabilities",
            Self::Seccomp => "seccomp",
            Self::Landlock => "landlock",
            Self::MemfdNoexec => "memfd_noexec",
            Self::Rlimits => "rlimits",
        }
    }
}

impl fmt::Display for Layer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// How much of a layer holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(clippy::exhaustive_enums, reason = "the three values are the promise")]
pub enum Strength {
    /// Nothing of it.
    None,
    /// Some of it; the evidence says what is missing.
    Partial,
    /// All of it.
    Full,
}

impl fmt::Display for Strength {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "none",
            Self::Partial => "partial",
            Self::Full => "full",
        })
    }
}

/// One layer's strength and what showed it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// How much holds.
    pub strength: Strength,
    /// The probe, in words.
    pub evidence: String,
}

/// The strength of every layer, as probed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Enforcement {
    layers: BTreeMap<Layer, Finding>,
}

impl Enforcement {
    /// Records one layer. The weaker finding stands when a layer is recorded twice.
    pub fn record(&mut self, layer: Layer, strength: Strength, evidence: impl Into<String>) {
        let finding = Finding { strength, evidence: evidence.into() };
        match self.layers.get(&layer) {
            Some(old) if old.strength <= strength => {}
            _ => {
                self.layers.insert(layer, finding);
            }
        }
    }

    /// What was found of a layer; a layer that was not probed is not there.
    #[must_use]
    pub fn strength(&self, layer: Layer) -> Strength {
        self.layers.get(&layer).map_or(Strength::None, |finding| finding.strength)
    }

    /// Every finding, in the order of [`Layer::ALL`].
    pub fn iter(&self) -> impl Iterator<Item = (Layer, &Finding)> {
        self.layers.iter().map(|(layer, finding)| (*layer, finding))
    }

    /// Layers that hold in full.
    #[must_use]
    pub fn full(&self) -> BTreeSet<Layer> {
        Layer::ALL.into_iter().filter(|layer| self.strength(*layer) == Strength::Full).collect()
    }

    /// Layers of `required` that do not hold in full.
    #[must_use]
    pub fn missing(&self, required: &BTreeSet<Layer>) -> Vec<Layer> {
        required.iter().copied().filter(|layer| self.strength(*layer) != Strength::Full).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_weaker_finding_stands_and_absence_is_none() {
        let mut found = Enforcement::default();
        found.record(Layer::Seccomp, Strength::Full, "filter installed");
        found.record(Layer::Seccomp, Strength::Partial, "self-test");
        found.record(Layer::Seccomp, Strength::Full, "again");
        assert_eq!(found.strength(Layer::Seccomp), Strength::Partial);
        assert_eq!(found.strength(Layer::Landlock), Strength::None);
        let required = BTreeSet::from([Layer::Seccomp, Layer::Landlock]);
        assert_eq!(found.missing(&required), [Layer::Seccomp, Layer::Landlock]);
    }
}
