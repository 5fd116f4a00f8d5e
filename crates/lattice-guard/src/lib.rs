//! Permission lattice of Nucleus (exports in progress).

mod amount;
mod budget;
mod clause;
mod command_pattern;
mod delegation;
mod git;
mod host;
mod invocation;
mod isolation;
mod launcher;
mod level;
mod name;
mod operation;
mod path_pattern;
mod program;
mod rel_path;
mod shell;
mod split;
mod time;
pub mod limits;

pub use amount::{AmountError, MicroUsd, Tokens};
pub use budget::{BudgetLimits, BudgetView};
pub use clause::{Atom, Clauses};
pub use command_pattern::{ArgPattern, CommandPattern, CommandPatternError};
pub use delegation::{DelegationDepth};
pub use host::{Host, HostError, HostPattern, Hosts};
pub use isolation::{IsolationFloor, IsolationLevel, IsolationShortfall, Layer, UnknownIsolation};
pub use level::{Level, Levels, UnknownLevel};
pub use name::{Name, NameError, Names};
pub use operation::{Operation, UnknownOperation};
pub use path_pattern::{PathPattern, PathPatternError};
pub use program::{ResolvedProgram};
pub use rel_path::{RelPath, RelPathError};
pub use split::{CommandLine, split_command};
pub use time::{TimeWindow};
