//! The answers a judge can give.

use std::collections::BTreeSet;
use std::fmt;

use crate::operation::Operation;
use crate::reason::{Dimension, Reason};

/// How strict an answer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Strictness {
    /// Denied.
    Deny,
    /// A human has to approve.
    NeedsApproval,
    /// Allowed.
    Allow,
}

/// What a judge says of a request. Verdicts are compared by [`Verdict::strictness`]: two denials for different reasons
/// are different values and equally strict.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Denied.
    Deny(Reason),
    /// A human has to approve.
    NeedsApproval(Obligation),
    /// Allowed.
    Allow,
}

impl Verdict {
    /// How strict the verdict is.
    #[must_use]
    pub const fn strictness(&self) -> Strictness {
        match self {
            Self::Deny(_) => Strictness::Deny,
            Self::NeedsApproval(_) => Strictness::NeedsApproval,
            Self::Allow => Strictness::Allow,
        }
    }

    /// The stricter of two verdicts; where both need approval, for the causes of both.
    #[must_use]
    pub fn strictest(self, other: Self) -> Self {
        match (self, other) {
            (Self::NeedsApproval(ours), Self::NeedsApproval(theirs)) => {
                Self::NeedsApproval(ours.and(theirs))
            }
            (ours, theirs) if ours.strictness() <= theirs.strictness() => ours,
            (_, theirs) => theirs,
        }
    }
}

/// Why a human has to approve.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Cause {
    /// The operation is `ask`.
    Level(Operation),
    /// The operation is `low_risk`, and the request is not.
    Risk(Operation),
    /// The envelope holds private data, untrusted content and a way out.
    StaticGate(Operation),
    /// The task has seen private data and untrusted content, and the operation is a way out.
    ExposureGate(Operation),
}

impl Cause {
    /// The operation that has to be approved.
    #[must_use]
    pub const fn operation(self) -> Operation {
        match self {
            Self::Level(operation)
            | Self::Risk(operation)
            | Self::StaticGate(operation)
            | Self::ExposureGate(operation) => operation,
        }
    }

    /// A stable code, for logs and for programs.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Level(_) => "ask.capability.level",
            Self::Risk(_) => "ask.capability.risk",
            Self::StaticGate(_) => "ask.gate.static",
            Self::ExposureGate(_) => "ask.gate.exposure",
        }
    }

    /// The part of the policy that asks.
    #[must_use]
    pub const fn dimension(self) -> Dimension {
        match self {
            Self::Level(_) | Self::Risk(_) => Dimension::Levels,
            Self::StaticGate(_) | Self::ExposureGate(_) => Dimension::Gate,
        }
    }

    fn text(self) -> &'static str {
        match self {
            Self::Level(_) => "it always needs approval in this session",
            Self::Risk(operation) => match operation {
                Operation::ReadFiles | Operation::GlobSearch | Operation::GrepSearch => {
                    "it touches a sensitive path"
                }
                Operation::WriteFiles | Operation::EditFiles => {
                    "the file is one that programs execute or trust without being asked"
                }
                Operation::RunBash => "the command could reach beyond the workspace's overlay",
                Operation::WebSearch | Operation::WebFetch => "it sends more than a plain request",
                Operation::GitCommit => {
                    "the branch is protected or unknown, or checks are overridden"
                }
                Operation::GitPush => "it is not a plain push to the agent's own branches",
                Operation::CreatePr => "it is not a draft in this repository",
                Operation::ManagePods | Operation::SpawnAgent => "it starts or stops others",
            },
            Self::StaticGate(_) => {
                "this session can read private data, meet untrusted content and send data out, so each way out is asked"
            }
            Self::ExposureGate(_) => {
                "this task has seen private data and untrusted content, so each way out is asked"
            }
        }
    }
}

/// What a human has to approve, and why. There is always at least one cause.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Obligation {
    first: Cause,
    causes: BTreeSet<Cause>,
}

impl Obligation {
    /// The obligation of these causes; `None` if there are none.
    pub(crate) fn new(causes: BTreeSet<Cause>) -> Option<Self> {
        let key = |cause: &Cause| (cause.operation().specificity(), std::cmp::Reverse(*cause));
        let first = causes.iter().copied().max_by_key(key)?;
        Some(Self { first, causes })
    }

    /// The operation to name: the most specific one, so a command that pushes is `git_push` and not `run_bash`.
    #[must_use]
    pub const fn operation(&self) -> Operation {
        self.first.operation()
    }

    /// Every operation that has to be approved.
    #[must_use]
    pub fn operations(&self) -> BTreeSet<Operation> {
        self.causes.iter().map(|cause| cause.operation()).collect()
    }

    /// Every cause.
    #[must_use]
    pub const fn causes(&self) -> &BTreeSet<Cause> {
        &self.causes
    }

    /// The code of the cause behind [`Obligation::operation`].
    #[must_use]
    pub const fn code(&self) -> &'static str {
        self.first.code()
    }

    /// What the agent is told. The pending id and the way to retry are added by whoever keeps the approvals.
    #[must_use]
    pub fn agent_text(&self) -> String {
        format!(
            "Needs approval ({}): `{}`, because {}. A human has been asked; go on with other work and retry this call, \
             unchanged, when it is approved.",
            self.code(),
            self.operation(),
            self.first.text()
        )
    }

    /// What the operator is told.
    #[must_use]
    pub fn operator_text(&self) -> String {
        let causes: Vec<String> = self
            .causes
            .iter()
            .map(|cause| format!("`{}`: {} ({})", cause.operation(), cause.text(), cause.code()))
            .collect();
        causes.join("; ")
    }

    /// The obligations of both.
    fn and(mut self, other: Self) -> Self {
        self.causes.extend(other.causes);
        let first = self.first;
        Self::new(self.causes).unwrap_or(Self { first, causes: BTreeSet::from([first]) })
    }

    /// True if whoever approved `other` has approved this too.
    pub(crate) fn is_covered_by(&self, other: &Self) -> bool {
        self.causes.is_subset(&other.causes)
    }
}

impl fmt::Display for Obligation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.operator_text())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn needs(causes: &[Cause]) -> Verdict {
        Verdict::NeedsApproval(Obligation::new(causes.iter().copied().collect()).unwrap())
    }

    #[test]
    fn the_strictest_verdict_wins_and_obligations_add_up() {
        let deny = || Verdict::Deny(Reason::TimeExpired);
        let ask = needs(&[Cause::Level(Operation::RunBash)]);
        assert_eq!(Verdict::Allow.strictest(deny()), deny());
        assert_eq!(deny().strictest(ask.clone()), deny());
        assert_eq!(Verdict::Allow.strictest(ask.clone()), ask);
        let both = ask.strictest(needs(&[Cause::StaticGate(Operation::GitPush)]));
        let Verdict::NeedsApproval(obligation) = both else { panic!() };
        assert_eq!(obligation.operations().len(), 2);
        assert_eq!(obligation.operation(), Operation::GitPush);
    }

    #[test]
    fn the_most_specific_operation_is_named_and_the_rule_before_the_gate() {
        let causes = [
            Cause::StaticGate(Operation::RunBash),
            Cause::StaticGate(Operation::GitPush),
            Cause::Level(Operation::GitPush),
        ];
        let obligation = Obligation::new(causes.into_iter().collect()).unwrap();
        assert_eq!(obligation.operation(), Operation::GitPush);
        assert_eq!(obligation.code(), "ask.capability.level");
        assert_eq!(Obligation::new(BTreeSet::new()), None);
    }
}
