//! `permissions.toml`: the envelope of a task as its operator writes it.
//!
//! ```toml
//! [capabilities]            # operation = "never" | "ask" | "low_risk" | "always"; not named = never
//! read_files = "always"
//! run_bash = "low_risk"
//!
//! [obligations]
//! approvals = ["run_bash"]  # lowered to "ask"
//!
//! [paths]                   # absent = every path
//! allowed = ["src/**"]      # absent = every path, [] = none
//! blocked = ["secrets/"]
//!
//! [commands]                # absent = every command
//! allow = ["cargo test *", { argv = ["git", "status"], match = ["git status"] }]
//! block = [{ rule = "git push *", not_match = ["git pushd"] }]
//!
//! [network]                 # absent = none
//! allow = ["api.github.com:443", "*.crates.io"]
//! packages = ["cargo", "npm", "pip", "go"]  # registries that commands may fetch from, and only fetch
//!
//! [model]                   # absent = the agent's own provider
//! allow = ["anthropic"]
//! hidden_paths = ["customers/"]  # never shown to a model: neither by a tool nor to a command, whose output is shown
//!
//! [budget]                  # a limit not named = the default profile's
//! max_cost_usd = 2.0
//! max_input_tokens = 50000
//! max_output_tokens = 5000
//!
//! [time]                    # absent = the default profile's
//! valid_hours = 1           # or valid_minutes
//!
//! [isolation]
//! minimum = "process"       # or "microvm"
//! full_layers = ["landlock"]
//! ```
//!
//! A file is used in one of two ways. As the operator's *envelope*, a section that is absent takes the default above.
//! As a *ceiling* that is met with an envelope (an administrator's, or a file found in a workspace), a section that is
//! absent demands nothing, and a section that is there means what it always means (an operation it does not name is
//! `never`). It can only tighten.

mod budget;
mod command;
mod section;

use std::collections::BTreeSet;
use std::sync::LazyLock;

use lattice_guard::{
    Classifier, CommandLattice, DelegationDepth, Hosts, IsolationFloor, Level, Levels, Models,
    Names, Operation, Packages, PathRules, Paths, Permissions, TimeWindow,
};

pub use budget::{BudgetLimit, Defaults};

use budget::BudgetSection;
use section::{ModelSection, NetworkSection, PathSection};

use crate::file::{FileErrors, Source, Table};

/// The tables of a permissions file.
pub(crate) const SECTIONS: [&str; 9] = [
    "capabilities",
    "obligations",
    "paths",
    "commands",
    "network",
    "model",
    "budget",
    "time",
    "isolation",
];

const MS_PER_MINUTE: u64 = 60_000;

/// Which paths are sensitive, for reading allow lists. Compiled once.
static CLASSIFIER: LazyLock<Classifier> = LazyLock::new(Classifier::default);

/// A sound permissions file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyFile {
    file: String,
    levels: Option<Levels>,
    approvals: BTreeSet<Operation>,
    paths: Option<PathSection>,
    commands: Option<CommandLattice>,
    network: Option<NetworkSection>,
    model: Option<ModelSection>,
    budget: BudgetSection,
    valid_minutes: Option<u64>,
    isolation: Option<IsolationFloor>,
}

/// Reads a permissions file. `file` is its name for messages.
///
/// # Errors
/// Everything that is wrong with it, each with its place: see [`crate::file`].
pub fn parse(file: &str, source: impl AsRef<[u8]>) -> Result<PolicyFile, FileErrors> {
    Source::read(file, source.as_ref(), |root, source| {
        root.only(&SECTIONS, source);
        PolicyFile::from_table(file, &root, source)
    })
}

impl PolicyFile {
    /// Reads the sections that are in `root`, whatever else is there.
    pub(crate) fn from_table(file: &str, root: &Table<'_, '_>, source: &mut Source<'_>) -> Self {
        Self {
            file: file.to_owned(),
            levels: section::capabilities(root, source),
            approvals: section::obligations(root, source),
            paths: section::paths(root, source),
            commands: command::commands(root, source),
            network: section::network(root, source),
            model: section::model(root, source),
            budget: budget::budget(root, source),
            valid_minutes: section::valid_minutes(root, source),
            isolation: section::isolation(root, source),
        }
    }

    /// The envelope of a task that starts at `started_ms` (milliseconds since the Unix epoch). No file names
    /// credentials or delegation, so there are none.
    #[must_use]
    pub fn envelope(&self, started_ms: u64, defaults: &Defaults) -> Permissions {
        let valid_minutes = self.valid_minutes.unwrap_or(defaults.valid_minutes);
        let own_provider: Names = defaults.provider.iter().cloned().collect();
        Permissions {
            levels: self.lowered(self.levels.clone().unwrap_or_else(Levels::bottom)),
            paths: match &self.paths {
                Some(paths) => paths.rules(&CLASSIFIER),
                None => Paths::from_rules(None, Vec::new(), &CLASSIFIER),
            },
            commands: self.commands.clone().unwrap_or_else(CommandLattice::permissive),
            network: self.network.as_ref().map_or_else(Hosts::bottom, |n| n.hosts.clone()),
            packages: self.network.as_ref().map_or_else(Packages::bottom, |n| n.packages.clone()),
            model: match &self.model {
                Some(model) => model.models(own_provider),
                None => Models { providers: own_provider, visible: PathRules::top() },
            },
            budget: self.budget.limits(&defaults.budget),
            time: window(started_ms, valid_minutes),
            isolation: self.isolation.clone().unwrap_or_else(section::isolation_default),
            credentials: Names::bottom(),
            delegation: DelegationDepth::bottom(),
        }
    }

    /// What this file allows at most to an envelope it is met with, for a task that starts at `started_ms`.
    #[must_use]
    pub fn ceiling(&self, started_ms: u64) -> Permissions {
        let top = Permissions::top();
        Permissions {
            levels: self.lowered(self.levels.clone().unwrap_or_else(Levels::top)),
            paths: match &self.paths {
                Some(paths) => paths.ceiling(&CLASSIFIER),
                None => Paths::top(),
            },
            commands: self.commands.clone().unwrap_or(top.commands),
            network: self.network.as_ref().map_or_else(Hosts::top, |n| n.hosts.clone()),
            packages: self.network.as_ref().map_or_else(Packages::top, |n| n.packages.clone()),
            model: self.model.as_ref().map_or_else(Models::top, |model| model.models(Names::top())),
            budget: self.budget.limits(&top.budget),
            time: self.valid_minutes.map_or_else(TimeWindow::top, |m| window(started_ms, m)),
            isolation: self.isolation.clone().unwrap_or_else(IsolationFloor::top),
            credentials: Names::top(),
            delegation: DelegationDepth::top(),
        }
    }

    /// Operations that `[obligations]` lowers to approval.
    #[must_use]
    pub fn approvals(&self) -> &BTreeSet<Operation> {
        &self.approvals
    }

    /// The budget limits the file itself names.
    #[must_use]
    pub fn budget_limits(&self) -> BTreeSet<BudgetLimit> {
        self.budget.named()
    }

    /// Refuses limits that are named here and that nothing on the task's route measures, because they would be
    /// shown and not hold.
    ///
    /// # Errors
    /// One error per such limit, at its place.
    pub fn refuse_unmeasured(&self, measured: &BTreeSet<BudgetLimit>) -> Result<(), FileErrors> {
        self.budget.refuse_unmeasured(&self.file, measured)
    }

    fn lowered(&self, levels: Levels) -> Levels {
        self.approvals.iter().fold(levels, |levels, operation| levels.lower(*operation, Level::Ask))
    }
}

fn window(started_ms: u64, valid_minutes: u64) -> TimeWindow {
    let end = started_ms.saturating_add(valid_minutes.saturating_mul(MS_PER_MINUTE));
    TimeWindow::new(started_ms, end)
}
