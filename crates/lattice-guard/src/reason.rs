//! Why a request is denied.

use std::fmt;

use crate::command_pattern::CommandPattern;
use crate::host::Host;
use crate::name::Name;
use crate::operation::Operation;
use crate::packages::Registry;
use crate::path_pattern::PathPattern;
use crate::rel_path::RelPath;

/// The part of a policy that a reason or an explanation comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Dimension {
    /// `[capabilities]` and `[obligations]`.
    Levels,
    /// `[paths]`.
    Paths,
    /// `[commands]`.
    Commands,
    /// `[network]`.
    Network,
    /// `[model]`.
    Model,
    /// `[budget]`.
    Budget,
    /// `[time]`.
    Time,
    /// `[isolation]`.
    Isolation,
    /// Credentials the agent may have used for it.
    Credentials,
    /// Agents the agent may start.
    Delegation,
    /// The rule against private data, untrusted content and a way out together.
    Gate,
}

impl Dimension {
    /// The name used in messages: the section of the policy file, where there is one.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Levels => "capabilities",
            Self::Paths => "paths",
            Self::Commands => "commands",
            Self::Network => "network",
            Self::Model => "model",
            Self::Budget => "budget",
            Self::Time => "time",
            Self::Isolation => "isolation",
            Self::Credentials => "credentials",
            Self::Delegation => "delegation",
            Self::Gate => "gate",
        }
    }
}

impl fmt::Display for Dimension {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A refusal. Closed: whoever matches on it learns when a new one appears.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reason {
    /// The operation is `never`.
    CapabilityNever {
        /// The operation.
        operation: Operation,
    },
    /// The policy does not hold yet.
    TimeNotYet,
    /// The policy holds no more.
    TimeExpired,
    /// A blocked path.
    PathBlocked {
        /// The path asked for.
        path: RelPath,
        /// The block.
        rule: PathPattern,
    },
    /// A path outside the allow list.
    PathNotAllowed {
        /// The path asked for.
        path: RelPath,
    },
    /// A sensitive path that is not allowed by name.
    PathSensitive {
        /// The path asked for.
        path: RelPath,
    },
    /// A path whose content no model may see.
    PathHiddenFromModel {
        /// The path asked for.
        path: RelPath,
    },
    /// No program, or words no program can be given.
    CommandEmpty,
    /// A blocked command.
    CommandBlocked {
        /// Bare name of the program.
        program: String,
        /// The block.
        rule: CommandPattern,
    },
    /// A command outside the allow list.
    CommandNotAllowed {
        /// Bare name of the program.
        program: String,
    },
    /// A host that is not named.
    HostNotAllowed {
        /// The host asked for.
        host: Host,
    },
    /// A package registry that is not named.
    RegistryNotAllowed {
        /// The registry asked for.
        registry: Registry,
    },
    /// A model provider that is not named.
    ProviderNotAllowed {
        /// The provider asked for.
        provider: Name,
    },
    /// A credential that is not named.
    CredentialNotAllowed {
        /// The credential asked for.
        credential: Name,
    },
    /// Deeper delegation than allowed.
    DelegationTooDeep,
    /// No money left.
    BudgetCost,
    /// No input tokens left.
    BudgetInputTokens,
    /// No output tokens left.
    BudgetOutputTokens,
}

impl Reason {
    /// A stable code, for logs and for programs.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::CapabilityNever { .. } => "deny.capability.never",
            Self::TimeNotYet => "deny.time.not_yet",
            Self::TimeExpired => "deny.time.expired",
            Self::PathBlocked { .. } => "deny.path.blocked",
            Self::PathNotAllowed { .. } => "deny.path.not_allowed",
            Self::PathSensitive { .. } => "deny.path.sensitive",
            Self::PathHiddenFromModel { .. } => "deny.path.hidden_from_model",
            Self::CommandEmpty => "deny.command.empty",
            Self::CommandBlocked { .. } => "deny.command.blocked",
            Self::CommandNotAllowed { .. } => "deny.command.not_allowed",
            Self::HostNotAllowed { .. } => "deny.network.host",
            Self::RegistryNotAllowed { .. } => "deny.network.packages",
            Self::ProviderNotAllowed { .. } => "deny.model.provider",
            Self::CredentialNotAllowed { .. } => "deny.credential.not_allowed",
            Self::DelegationTooDeep => "deny.delegation.depth",
            Self::BudgetCost => "deny.budget.cost",
            Self::BudgetInputTokens => "deny.budget.input_tokens",
            Self::BudgetOutputTokens => "deny.budget.output_tokens",
        }
    }

    /// The part of the policy that refused.
    #[must_use]
    pub const fn dimension(&self) -> Dimension {
        match self {
            Self::CapabilityNever { .. } => Dimension::Levels,
            Self::TimeNotYet | Self::TimeExpired => Dimension::Time,
            Self::PathBlocked { .. } | Self::PathNotAllowed { .. } | Self::PathSensitive { .. } => {
                Dimension::Paths
            }
            Self::PathHiddenFromModel { .. } | Self::ProviderNotAllowed { .. } => Dimension::Model,
            Self::CommandEmpty | Self::CommandBlocked { .. } | Self::CommandNotAllowed { .. } => {
                Dimension::Commands
            }
            Self::HostNotAllowed { .. } | Self::RegistryNotAllowed { .. } => Dimension::Network,
            Self::CredentialNotAllowed { .. } => Dimension::Credentials,
            Self::DelegationTooDeep => Dimension::Delegation,
            Self::BudgetCost | Self::BudgetInputTokens | Self::BudgetOutputTokens => {
                Dimension::Budget
            }
        }
    }

    /// What the agent is told: the rule, and what it may do instead. Holds nothing but the agent's own words and the
    /// policy's, never a path of the host.
    #[must_use]
    pub fn agent_text(&self) -> String {
        let code = self.code();
        match self {
            Self::CapabilityNever { operation } => format!(
                "Denied by policy ({code}): `{operation}` is `never` in this session. Do not retry; finish without it, \
                 or say in your answer that it is needed."
            ),
            Self::TimeNotYet => format!(
                "Denied by policy ({code}): the session has not begun. Stop and tell the user."
            ),
            Self::TimeExpired => format!(
                "Denied by policy ({code}): the session's time is over. Stop and tell the user what is left to do."
            ),
            Self::PathBlocked { path, rule } => format!(
                "Denied by policy ({code}): `{path}` is withheld by the rule `{rule}`. Work without this file."
            ),
            Self::PathNotAllowed { path } => format!(
                "Denied by policy ({code}): `{path}` is outside the allowed paths. Use `glob` to see what is inside."
            ),
            Self::PathSensitive { path } => format!(
                "Denied by policy ({code}): `{path}` is of a kind that holds secrets and is withheld unless the policy \
                 names it. Work without its content; ask the user for the one value you need, or to allow it by name."
            ),
            Self::PathHiddenFromModel { path } => format!(
                "Denied by policy ({code}): the content of `{path}` may not be shown to a model. Work without it."
            ),
            Self::CommandEmpty => format!(
                "Denied by policy ({code}): no program is named, or an argument holds a NUL byte. Give a command."
            ),
            Self::CommandBlocked { program, rule } => format!(
                "Denied by policy ({code}): the command starts or contains `{program}` in a way the rule `{rule}` \
                 blocks. Use another tool for this step."
            ),
            Self::CommandNotAllowed { program } => format!(
                "Denied by policy ({code}): no rule allows this call of `{program}`. Commands are compared argument by \
                 argument and shell syntax makes it a call of `sh`: run one allowed command at a time."
            ),
            Self::HostNotAllowed { host } => format!(
                "Denied by policy ({code}): `{host}` is not among the named hosts. Work with what is in the workspace."
            ),
            Self::RegistryNotAllowed { registry } => format!(
                "Denied by policy ({code}): packages of `{registry}` may not be fetched. Work with what is installed."
            ),
            Self::ProviderNotAllowed { provider } => format!(
                "Denied by policy ({code}): the model provider `{provider}` is not named. Use the session's own model."
            ),
            Self::CredentialNotAllowed { credential } => format!(
                "Denied by policy ({code}): the credential `{credential}` is not named. Finish without it."
            ),
            Self::DelegationTooDeep => format!(
                "Denied by policy ({code}): no further agent may be started from here. Do the work yourself."
            ),
            Self::BudgetCost => format!(
                "Denied by policy ({code}): the session's money is spent. Stop and tell the user what is left to do."
            ),
            Self::BudgetInputTokens => {
                format!("Denied by policy ({code}): the session's input tokens are spent. Stop.")
            }
            Self::BudgetOutputTokens => {
                format!("Denied by policy ({code}): the session's output tokens are spent. Stop.")
            }
        }
    }

    /// What the operator is told: the rule, and where to change it.
    #[must_use]
    pub fn operator_text(&self) -> String {
        let section = self.dimension().name();
        match self {
            Self::CapabilityNever { operation } => {
                format!(
                    "`{operation}` is `never`; [{section}] {operation} = \"ask\" would let you decide each time"
                )
            }
            Self::TimeNotYet => format!("before the window of [{section}]"),
            Self::TimeExpired => {
                format!("after the window of [{section}]; start a new run, or raise valid_hours")
            }
            Self::PathBlocked { path, rule } => {
                format!("`{path}` matches blocked = \"{rule}\" of [{section}]")
            }
            Self::PathNotAllowed { path } => {
                format!("`{path}` matches nothing in allowed of [{section}]")
            }
            Self::PathSensitive { path } => format!(
                "`{path}` is in the sensitive set; only a pattern in allowed of [{section}] that names it lets it through"
            ),
            Self::PathHiddenFromModel { path } => {
                format!("`{path}` is withheld from models by [{section}]")
            }
            Self::CommandEmpty => "empty command, or a NUL byte in an argument".to_owned(),
            Self::CommandBlocked { program, rule } => {
                format!("call of `{program}` matches block = \"{rule}\" of [{section}]")
            }
            Self::CommandNotAllowed { program } => {
                format!("call of `{program}` matches nothing in allow of [{section}]")
            }
            Self::HostNotAllowed { host } => {
                format!("`{host}` matches nothing in allow of [{section}]")
            }
            Self::RegistryNotAllowed { registry } => {
                format!("`{registry}` is not in packages of [{section}]")
            }
            Self::ProviderNotAllowed { provider } => {
                format!("`{provider}` is not in allow of [{section}]")
            }
            Self::CredentialNotAllowed { credential } => {
                format!("credential `{credential}` is not usable here")
            }
            Self::DelegationTooDeep => "the delegation depth is used up".to_owned(),
            Self::BudgetCost => format!("max_cost_usd of [{section}] is spent"),
            Self::BudgetInputTokens => format!("max_input_tokens of [{section}] are spent"),
            Self::BudgetOutputTokens => format!("max_output_tokens of [{section}] are spent"),
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code(), self.operator_text())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn every_reason() -> Vec<Reason> {
        let path = || RelPath::parse("src/a.rs").unwrap();
        let name = || Name::parse("anthropic").unwrap();
        vec![
            Reason::CapabilityNever { operation: Operation::GitPush },
            Reason::TimeNotYet,
            Reason::TimeExpired,
            Reason::PathBlocked { path: path(), rule: PathPattern::parse("src/").unwrap() },
            Reason::PathNotAllowed { path: path() },
            Reason::PathSensitive { path: path() },
            Reason::PathHiddenFromModel { path: path() },
            Reason::CommandEmpty,
            Reason::CommandBlocked {
                program: "bash".to_owned(),
                rule: CommandPattern::program("bash"),
            },
            Reason::CommandNotAllowed { program: "bash".to_owned() },
            Reason::HostNotAllowed { host: Host::parse("example.com").unwrap() },
            Reason::RegistryNotAllowed { registry: Registry::Npm },
            Reason::ProviderNotAllowed { provider: name() },
            Reason::CredentialNotAllowed { credential: name() },
            Reason::DelegationTooDeep,
            Reason::BudgetCost,
            Reason::BudgetInputTokens,
            Reason::BudgetOutputTokens,
        ]
    }

    #[test]
    fn codes_are_distinct_and_each_text_names_its_code() {
        let reasons = every_reason();
        let codes: BTreeSet<_> = reasons.iter().map(Reason::code).collect();
        assert_eq!(codes.len(), reasons.len());
        for reason in &reasons {
            assert!(reason.agent_text().contains(reason.code()), "{reason}");
            assert!(!reason.operator_text().is_empty());
        }
    }

    #[test]
    fn the_agent_is_told_what_to_do_next() {
        for reason in every_reason() {
            let text = reason.agent_text();
            let sentences = text.matches(". ").count() + 1;
            assert!(sentences >= 2, "only the refusal, no next step: {text}");
        }
    }
}
