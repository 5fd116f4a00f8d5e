//! How strong the walls must be.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// What kind of wall stands around a pod.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(rename_all = "snake_case")]
pub enum IsolationLevel {
    /// None.
    #[default]
    None,
    /// Namespaces, capability drop and seccomp around a process of the host's kernel.
    Process,
    /// A virtual machine of its own, held by hardware.
    #[serde(rename = "microvm")]
    MicroVm,
}

impl IsolationLevel {
    /// All levels, weakest first.
    pub const ALL: [Self; 3] = [Self::None, Self::Process, Self::MicroVm];

    /// The name used in policy files.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Process => "process",
            Self::MicroVm => "microvm",
        }
    }
}

impl fmt::Display for IsolationLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for IsolationLevel {
    type Err = UnknownIsolation;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|level| level.name() == text).ok_or(UnknownIsolation)
    }
}

/// One layer of a pod's walls, as policy files demand it and the enforcement report shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Layer {
    /// A root of its own with only what is listed in it.
    Mount,
    /// A network of its own with nothing in it.
    Network,
    /// A process table of its own.
    Pid,
    /// System V IPC and message queues of its own.
    Ipc,
    /// A host name of its own.
    Uts,
    /// User ids of its own.
    User,
    /// Limits on processes, memory and CPU.
    Cgroup,
    /// No capability of the kernel.
    Capabilities,
    /// A list of system calls.
    Seccomp,
    /// Kernel rules on files and sockets.
    Landlock,
    /// No code from anonymous memory files.
    MemfdNoexec,
    /// Limits on files, sizes and dumps.
    Rlimits,
}

impl Layer {
    /// All layers, in the order reports list them.
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

    /// The name used in policy files and reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
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

impl FromStr for Layer {
    type Err = UnknownIsolation;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|layer| layer.name() == text).ok_or(UnknownIsolation)
    }
}

/// The text names no isolation level or layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnknownIsolation;

impl fmt::Display for UnknownIsolation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("unknown isolation level or layer")
    }
}

impl std::error::Error for UnknownIsolation {}

/// The least isolation a run needs. *Lower* permissions demand *more*: the meet takes the stronger demand.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IsolationFloor {
    /// The weakest wall that will do.
    pub minimum: IsolationLevel,
    /// Layers that must be fully in force.
    pub full_layers: BTreeSet<Layer>,
}

impl IsolationFloor {
    /// No demand.
    #[must_use]
    pub const fn top() -> Self {
        Self { minimum: IsolationLevel::None, full_layers: BTreeSet::new() }
    }

    /// Every demand.
    #[must_use]
    pub fn bottom() -> Self {
        Self { minimum: IsolationLevel::MicroVm, full_layers: Layer::ALL.into_iter().collect() }
    }

    /// The demands of both.
    #[must_use]
    pub fn meet(&self, other: &Self) -> Self {
        Self {
            minimum: self.minimum.max(other.minimum),
            full_layers: self.full_layers.union(&other.full_layers).copied().collect(),
        }
    }

    /// True if this demands at least what `other` demands.
    #[must_use]
    pub fn leq(&self, other: &Self) -> bool {
        self.minimum >= other.minimum && self.full_layers.is_superset(&other.full_layers)
    }

    /// What is missing from what a driver achieved. Anything missing refuses the run.
    #[must_use]
    pub fn unmet(
        &self,
        achieved: IsolationLevel,
        full: &BTreeSet<Layer>,
    ) -> Option<IsolationShortfall> {
        let layers: BTreeSet<Layer> = self.full_layers.difference(full).copied().collect();
        let level = (achieved < self.minimum).then_some(self.minimum);
        if level.is_none() && layers.is_empty() {
            return None;
        }
        Some(IsolationShortfall { achieved, level, layers })
    }
}

/// What a run demands and the host did not give.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IsolationShortfall {
    achieved: IsolationLevel,
    level: Option<IsolationLevel>,
    layers: BTreeSet<Layer>,
}

impl IsolationShortfall {
    /// The level demanded, if a weaker one was achieved.
    #[must_use]
    pub const fn level(&self) -> Option<IsolationLevel> {
        self.level
    }

    /// The layers demanded that are not fully in force.
    #[must_use]
    pub const fn layers(&self) -> &BTreeSet<Layer> {
        &self.layers
    }
}

impl fmt::Display for IsolationShortfall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the policy demands")?;
        if let Some(level) = self.level {
            write!(f, " isolation `{level}` and this host achieved `{}`", self.achieved)?;
        }
        if !self.layers.is_empty() {
            let names: Vec<&str> = self.layers.iter().map(|layer| layer.name()).collect();
            let and = if self.level.is_some() { ", and" } else { "" };
            write!(f, "{and} layers in full that are not: {}", names.join(", "))?;
        }
        Ok(())
    }
}

impl std::error::Error for IsolationShortfall {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_parse_back_and_agree_with_serde() {
        for layer in Layer::ALL {
            assert_eq!(layer.name().parse(), Ok(layer));
            assert_eq!(serde_json::to_string(&layer).unwrap(), format!("\"{}\"", layer.name()));
        }
        for level in IsolationLevel::ALL {
            assert_eq!(level.name().parse(), Ok(level));
            assert_eq!(serde_json::to_string(&level).unwrap(), format!("\"{}\"", level.name()));
        }
    }

    #[test]
    fn weaker_walls_and_missing_layers_are_told_apart() {
        let floor = IsolationFloor {
            minimum: IsolationLevel::MicroVm,
            full_layers: BTreeSet::from([Layer::Landlock]),
        };
        let short = floor.unmet(IsolationLevel::Process, &BTreeSet::new()).unwrap();
        assert_eq!(
            short.to_string(),
            "the policy demands isolation `microvm` and this host achieved `process`, \
             and layers in full that are not: landlock"
        );
        assert_eq!(floor.unmet(IsolationLevel::MicroVm, &BTreeSet::from([Layer::Landlock])), None);
        assert_eq!(IsolationFloor::top().unmet(IsolationLevel::None, &BTreeSet::new()), None);
    }
}
