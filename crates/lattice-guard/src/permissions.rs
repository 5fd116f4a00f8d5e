//! The whole envelope.

use serde::{Deserialize, Serialize};

use crate::budget::BudgetLimits;
use crate::classifier::Classifier;
use crate::command::CommandLattice;
use crate::delegation::DelegationDepth;
use crate::host::Hosts;
use crate::isolation::IsolationFloor;
use crate::level::Levels;
use crate::model::Models;
use crate::name::Names;
use crate::operation::Operation;
use crate::packages::Packages;
use crate::path::Paths;
use crate::reason::Reason;
use crate::rel_path::RelPath;
use crate::time::TimeWindow;

/// What an agent may do, in every dimension. Permissions only go down: [`Permissions::meet`] is the one way two
/// envelopes become one.
///
/// Serialised members keep their order and sets are sorted, so equal permissions are equal bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Permissions {
    /// How far each operation may go.
    pub levels: Levels,
    /// Which files.
    pub paths: Paths,
    /// Which commands.
    pub commands: CommandLattice,
    /// Which hosts.
    pub network: Hosts,
    /// Which package registries, to fetch only.
    pub packages: Packages,
    /// Which models, and what they may see.
    pub model: Models,
    /// How much money and how many tokens.
    pub budget: BudgetLimits,
    /// When.
    pub time: TimeWindow,
    /// Behind which walls.
    pub isolation: IsolationFloor,
    /// With which credentials.
    pub credentials: Names,
    /// With how many generations of other agents.
    pub delegation: DelegationDepth,
}

impl Permissions {
    /// Everything.
    #[must_use]
    pub fn top() -> Self {
        Self {
            levels: Levels::top(),
            paths: Paths::top(),
            commands: CommandLattice::top(),
            network: Hosts::top(),
            packages: Packages::top(),
            model: Models::top(),
            budget: BudgetLimits::top(),
            time: TimeWindow::top(),
            isolation: IsolationFloor::top(),
            credentials: Names::top(),
            delegation: DelegationDepth::top(),
        }
    }

    /// Nothing.
    #[must_use]
    pub fn bottom() -> Self {
        Self {
            levels: Levels::bottom(),
            paths: Paths::bottom(),
            commands: CommandLattice::bottom(),
            network: Hosts::bottom(),
            packages: Packages::bottom(),
            model: Models::bottom(),
            budget: BudgetLimits::bottom(),
            time: TimeWindow::bottom(),
            isolation: IsolationFloor::bottom(),
            credentials: Names::bottom(),
            delegation: DelegationDepth::bottom(),
        }
    }

    /// What both permit: the greatest envelope below both.
    #[must_use]
    pub fn meet(&self, other: &Self) -> Self {
        Self {
            levels: self.levels.meet(&other.levels),
            paths: self.paths.meet(&other.paths),
            commands: self.commands.meet(&other.commands),
            network: self.network.meet(&other.network),
            packages: self.packages.meet(&other.packages),
            model: self.model.meet(&other.model),
            budget: self.budget.meet(&other.budget),
            time: self.time.meet(&other.time),
            isolation: self.isolation.meet(&other.isolation),
            credentials: self.credentials.meet(&other.credentials),
            delegation: self.delegation.meet(&other.delegation),
        }
    }

    /// True if this permits no more than `other` (sound; for path, command and host patterns not complete).
    #[must_use]
    pub fn leq(&self, other: &Self) -> bool {
        self.levels.leq(&other.levels)
            && self.paths.leq(&other.paths)
            && self.commands.leq(&other.commands)
            && self.network.leq(&other.network)
            && self.packages.leq(&other.packages)
            && self.model.leq(&other.model)
            && self.budget.leq(&other.budget)
            && self.time.leq(&other.time)
            && self.isolation.leq(&other.isolation)
            && self.credentials.leq(&other.credentials)
            && self.delegation.leq(&other.delegation)
    }

    /// Judges the resolved name a file operation is about to act on. For a name that differs from the one decided on.
    ///
    /// # Errors
    /// The reason of the refusal.
    pub fn admit_path(
        &self,
        classifier: &Classifier,
        operation: Operation,
        path: &RelPath,
    ) -> Result<(), Reason> {
        self.paths.admit(classifier, path)?;
        let shows = matches!(
            operation,
            Operation::ReadFiles
                | Operation::EditFiles
                | Operation::GlobSearch
                | Operation::GrepSearch
        );
        if shows && !self.model.visible.permits(path) {
            return Err(Reason::PathHiddenFromModel { path: path.clone() });
        }
        Ok(())
    }
}
