//! The rule against private data, untrusted content and a way out in one task.

use serde::{Deserialize, Serialize};

use crate::level::Level;
use crate::operation::Operation;
use crate::permissions::Permissions;
use crate::request::{Action, Request};
use crate::verdict::{Cause, Obligation, Verdict};

/// What a task has seen. Belongs to everything that shares a workspace, and only grows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Label {
    /// Data of the user's.
    pub private: bool,
    /// Content anyone may have written.
    pub untrusted: bool,
}

impl Label {
    /// What either has seen.
    #[must_use]
    pub const fn join(self, other: Self) -> Self {
        Self {
            private: self.private || other.private,
            untrusted: self.untrusted || other.untrusted,
        }
    }
}

/// When the gate asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GateMode {
    /// Always, if the envelope has all three legs.
    #[default]
    Static,
    /// Once the task has seen private data and untrusted content.
    Exposure,
}

/// The gate of a task. Computed once from the operator's envelope, *before* anything tightens it: a project file that
/// takes one leg away must not open the gate for the other two. Children inherit it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Gate {
    mode: GateMode,
    /// The envelope has all three legs.
    armed: bool,
    /// Untrusted content comes in by packages alone. Pods then reach nothing but what fetches them, which takes names and
    /// no content, so a command is no way out by itself.
    packages_only: bool,
}

impl Gate {
    /// The gate of an operator's envelope. Legs count from `ask` on: an approved call is a call.
    #[must_use]
    pub fn new(operator: &Permissions, mode: GateMode) -> Self {
        let has = |operations: &[Operation]| {
            operations.iter().any(|operation| operator.levels.get(*operation) >= Level::Ask)
        };
        let run = [Operation::RunBash];
        let private = has(&READS) || has(&run);
        let web = has(&WEB) || has(&run) && !operator.network.is_bottom();
        let packages = has(&run) && !operator.packages.is_bottom();
        let packages_only = packages && !web;
        let ways_out: &[Operation] = if packages_only { &SENDERS } else { &WAYS_OUT };
        let way_out = has(ways_out) || mode == GateMode::Exposure && has(&WEB);
        Self { mode, armed: private && (web || packages) && way_out, packages_only }
    }

    /// When the gate asks.
    #[must_use]
    pub const fn mode(&self) -> GateMode {
        self.mode
    }

    /// True if the gate can ask at all in this task.
    #[must_use]
    pub const fn armed(&self) -> bool {
        self.armed
    }

    /// True if the gate asks for ways out from here on. Within a task it only closes.
    #[must_use]
    pub const fn closed(&self, label: Label) -> bool {
        match self.mode {
            GateMode::Static => self.armed,
            // The label alone decides: it may hold what an earlier, wider envelope let in.
            GateMode::Exposure => label.private && label.untrusted,
        }
    }

    /// The gate's verdict: approval for each way out when it is closed. It never denies, and never allows what
    /// [`judge`](crate::judge()) does not.
    #[must_use]
    pub fn verdict(&self, label: Label, request: &Request) -> Verdict {
        // A command reads, meets and sends in one go, so what it brings along counts already. A web request has left
        // before its answer arrives, so what it brings counts from the next call on.
        let seen = if request.operations().contains(&Operation::RunBash) {
            self.after(label, request)
        } else {
            label
        };
        if !self.closed(seen) {
            return Verdict::Allow;
        }
        let causes = request
            .operations()
            .iter()
            .filter(|operation| self.is_way_out(**operation))
            .map(|operation| match self.mode {
                GateMode::Static => Cause::StaticGate(*operation),
                GateMode::Exposure => Cause::ExposureGate(*operation),
            })
            .collect();
        Obligation::new(causes).map_or(Verdict::Allow, Verdict::NeedsApproval)
    }

    /// The task's label once the request is carried out.
    #[must_use]
    pub fn after(&self, label: Label, request: &Request) -> Label {
        let needs =
            |operations: &[Operation]| operations.iter().any(|o| request.operations().contains(o));
        let runs = needs(&[Operation::RunBash]);
        label.join(Label {
            private: needs(&READS) || runs,
            untrusted: needs(&WEB)
                || runs && request.pod().network
                || matches!(request.action(), Action::PackageFetch { .. }),
        })
    }

    fn is_way_out(&self, operation: Operation) -> bool {
        match self.mode {
            GateMode::Static if self.packages_only => SENDERS.contains(&operation),
            GateMode::Static => WAYS_OUT.contains(&operation),
            // The label may hold what an earlier, wider envelope let in.
            GateMode::Exposure => WAYS_OUT.contains(&operation) || WEB.contains(&operation),
        }
    }
}

const READS: [Operation; 3] = [Operation::ReadFiles, Operation::GlobSearch, Operation::GrepSearch];
const WEB: [Operation; 2] = [Operation::WebFetch, Operation::WebSearch];
const SENDERS: [Operation; 2] = [Operation::GitPush, Operation::CreatePr];
const WAYS_OUT: [Operation; 3] = [Operation::GitPush, Operation::CreatePr, Operation::RunBash];

#[cfg(test)]
mod tests;
