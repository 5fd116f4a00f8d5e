//! How far an operation may go without a human.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::operation::Operation;

/// One chain per operation, from nothing to everything. The levels *mean different things*: the classifier rates each
/// request, and the level says what the rating leads to.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// Denied.
    #[default]
    Never,
    /// Every request needs approval.
    Ask,
    /// Low-risk requests pass, others need approval.
    LowRisk,
    /// Whatever the other dimensions permit passes.
    Always,
}

impl Level {
    /// All levels, lowest first.
    pub const ALL: [Self; 4] = [Self::Never, Self::Ask, Self::LowRisk, Self::Always];

    /// The name used in policy files.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Never => "never",
            Self::Ask => "ask",
            Self::LowRisk => "low_risk",
            Self::Always => "always",
        }
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Level {
    type Err = UnknownLevel;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|level| level.name() == text).ok_or(UnknownLevel)
    }
}

/// The text is not the name of a level.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnknownLevel;

impl fmt::Display for UnknownLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("unknown level; allowed are `never`, `ask`, `low_risk` and `always`")
    }
}

impl std::error::Error for UnknownLevel {}

/// A level for each operation. An operation that is not named is [`Level::Never`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "BTreeMap<Operation, Level>", into = "BTreeMap<Operation, Level>")]
pub struct Levels(BTreeMap<Operation, Level>);

impl Levels {
    /// Everything `always`.
    #[must_use]
    pub fn top() -> Self {
        Self(Operation::ALL.into_iter().map(|operation| (operation, Level::Always)).collect())
    }

    /// Everything `never`.
    #[must_use]
    pub fn bottom() -> Self {
        Self(BTreeMap::new())
    }

    /// The level of one operation.
    #[must_use]
    pub fn get(&self, operation: Operation) -> Level {
        self.0.get(&operation).copied().unwrap_or_default()
    }

    /// The same levels with one of them set.
    #[must_use]
    pub fn with(mut self, operation: Operation, level: Level) -> Self {
        // INVARIANT: `never` is never stored, so that equal meaning is equal value.
        if level == Level::Never {
            self.0.remove(&operation);
        } else {
            self.0.insert(operation, level);
        }
        self
    }

    /// The same levels with one of them lowered to at most `ceiling`, as `[obligations]` does.
    #[must_use]
    pub fn lower(self, operation: Operation, ceiling: Level) -> Self {
        let level = self.get(operation).min(ceiling);
        self.with(operation, level)
    }

    /// Every operation with its level, `never` included.
    pub fn iter(&self) -> impl Iterator<Item = (Operation, Level)> + '_ {
        Operation::ALL.into_iter().map(|operation| (operation, self.get(operation)))
    }

    /// The lower level of each operation.
    #[must_use]
    pub fn meet(&self, other: &Self) -> Self {
        Operation::ALL.into_iter().fold(Self::bottom(), |levels, operation| {
            levels.with(operation, self.get(operation).min(other.get(operation)))
        })
    }

    /// True if no operation goes further here than in `other`.
    #[must_use]
    pub fn leq(&self, other: &Self) -> bool {
        Operation::ALL.into_iter().all(|operation| self.get(operation) <= other.get(operation))
    }
}

impl From<BTreeMap<Operation, Level>> for Levels {
    fn from(map: BTreeMap<Operation, Level>) -> Self {
        map.into_iter()
            .fold(Self::bottom(), |levels, (operation, level)| levels.with(operation, level))
    }
}

impl From<Levels> for BTreeMap<Operation, Level> {
    fn from(levels: Levels) -> Self {
        levels.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_operation_not_named_is_never() {
        let levels: Levels = serde_json::from_str(r#"{"read_files":"always"}"#).unwrap();
        assert_eq!(levels.get(Operation::ReadFiles), Level::Always);
        assert_eq!(levels.get(Operation::WebFetch), Level::Never);
    }

    #[test]
    fn never_has_one_form() {
        let set_and_cleared = Levels::bottom()
            .with(Operation::RunBash, Level::Always)
            .with(Operation::RunBash, Level::Never);
        assert_eq!(set_and_cleared, Levels::bottom());
        let from_file: Levels = serde_json::from_str(r#"{"run_bash":"never"}"#).unwrap();
        assert_eq!(from_file, Levels::bottom());
    }

    #[test]
    fn an_obligation_lowers_and_never_raises() {
        let levels = Levels::bottom().with(Operation::RunBash, Level::Always);
        assert_eq!(
            levels.clone().lower(Operation::RunBash, Level::Ask).get(Operation::RunBash),
            Level::Ask
        );
        assert_eq!(
            levels.lower(Operation::GitPush, Level::Ask).get(Operation::GitPush),
            Level::Never
        );
    }
}
