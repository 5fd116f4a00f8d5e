//! What the walls of a pod are really worth on this host.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use lattice_guard::Layer;
use serde::{Deserialize, Serialize};

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
