//! The verdict without history.

use std::collections::BTreeSet;

use crate::classifier::{Classifier, Risk};
use crate::level::Level;
use crate::operation::Operation;
use crate::permissions::Permissions;
use crate::reason::Reason;
use crate::request::{Action, Request};
use crate::verdict::{Cause, Obligation, Verdict};

/// Judges a request by permissions, classifier and time alone.
///
/// The law: `p.leq(q)` implies `judge(p, r)` is at least as strict as `judge(q, r)` for every request, as long as p's
/// classifier rates no request lower than q's. Property tests hold it.
#[must_use]
pub fn judge(
    permissions: &Permissions,
    classifier: &Classifier,
    request: &Request,
    now_ms: u64,
) -> Verdict {
    let checks = [
        in_time(permissions, now_ms),
        capable(permissions, request),
        within(permissions, classifier, request),
        credentials(permissions, request),
    ];
    for check in checks {
        if let Err(reason) = check {
            return Verdict::Deny(reason);
        }
    }
    let causes: BTreeSet<Cause> = request
        .operations()
        .iter()
        .filter_map(|operation| {
            asks(permissions.levels.get(*operation), *operation, classifier, request)
        })
        .collect();
    Obligation::new(causes).map_or(Verdict::Allow, Verdict::NeedsApproval)
}

fn in_time(permissions: &Permissions, now_ms: u64) -> Result<(), Reason> {
    if permissions.time.contains(now_ms) {
        return Ok(());
    }
    Err(if now_ms < permissions.time.not_before_ms() {
        Reason::TimeNotYet
    } else {
        Reason::TimeExpired
    })
}

/// A denied operation is named by the most specific one: `git push` by `git_push`.
fn capable(permissions: &Permissions, request: &Request) -> Result<(), Reason> {
    let denied = request
        .operations()
        .iter()
        .filter(|operation| permissions.levels.get(**operation) == Level::Never)
        .max_by_key(|operation| operation.specificity());
    match denied {
        Some(operation) => Err(Reason::CapabilityNever { operation: *operation }),
        None => Ok(()),
    }
}

fn within(
    permissions: &Permissions,
    classifier: &Classifier,
    request: &Request,
) -> Result<(), Reason> {
    match request.action() {
        Action::Read { path } => permissions.admit_path(classifier, Operation::ReadFiles, path),
        Action::Write { path } => permissions.admit_path(classifier, Operation::WriteFiles, path),
        Action::Edit { path } => permissions.admit_path(classifier, Operation::EditFiles, path),
        Action::Glob { root, .. } | Action::Grep { root } => {
            permissions.paths.admit_search(classifier, root)?;
            if permissions.model.visible.permits_search(root) {
                Ok(())
            } else {
                Err(Reason::PathHiddenFromModel { path: root.clone() })
            }
        }
        Action::Run { .. } => match request.invocation() {
            Some(invocation) => permissions.commands.admit(invocation),
            None => Err(Reason::CommandEmpty),
        },
        Action::WebFetch { host, .. } | Action::WebSearch { host } => {
            if permissions.network.permits(host) {
                Ok(())
            } else {
                Err(Reason::HostNotAllowed { host: host.clone() })
            }
        }
        Action::PackageFetch { registry } => {
            if permissions.packages.permits(*registry) {
                Ok(())
            } else {
                Err(Reason::RegistryNotAllowed { registry: *registry })
            }
        }
        Action::SpawnAgent { depth } => {
            if (1..=permissions.delegation.generations()).contains(depth) {
                Ok(())
            } else {
                Err(Reason::DelegationTooDeep)
            }
        }
        Action::ModelCall { provider, .. } => {
            if permissions.model.providers.permits(provider) {
                Ok(())
            } else {
                Err(Reason::ProviderNotAllowed { provider: provider.clone() })
            }
        }
        Action::GitCommit { .. }
        | Action::GitPush { .. }
        | Action::CreatePr { .. }
        | Action::ManagePods => Ok(()),
    }
}

fn credentials(permissions: &Permissions, request: &Request) -> Result<(), Reason> {
    match request.credentials().iter().find(|name| !permissions.credentials.permits(name)) {
        Some(credential) => Err(Reason::CredentialNotAllowed { credential: credential.clone() }),
        None => Ok(()),
    }
}

fn asks(
    level: Level,
    operation: Operation,
    classifier: &Classifier,
    request: &Request,
) -> Option<Cause> {
    match level {
        // `capable` has denied what is `never`.
        Level::Never | Level::Ask => Some(Cause::Level(operation)),
        Level::LowRisk if classifier.risk(operation, request) == Risk::High => {
            Some(Cause::Risk(operation))
        }
        Level::LowRisk | Level::Always => None,
    }
}

#[cfg(test)]
mod tests;
