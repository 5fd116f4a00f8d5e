//! The envelope of a task: the operator's policy, the administrator's ceiling, and what the repository adds.

use std::collections::BTreeSet;
use std::os::fd::AsFd;
use std::path::Path;

use lattice_guard::{Classifier, Envelope, GateMode, GrantAuthority, Name, Permissions};
use nucleus_wire::config::AdminConfig;
use nucleus_wire::control::{Failure, FailureClass, PolicySource, TaskSpec};
use nucleus_wire::permissions::{self, BudgetLimit, Defaults};
use nucleus_wire::profile;
use rustix::fs::{CWD, FileType, Mode, OFlags, ResolveFlags, fstat, openat, openat2};

/// Policy file of a repository, beneath the workspace. It can only tighten.
const PROJECT_FILE: &str = ".nucleus/permissions.toml";
/// Largest policy file, in bytes, as everywhere.
const PROJECT_FILE_BYTES_MAX: u64 = 64 * 1024;

/// What a task may do, and where that comes from.
pub(crate) struct TaskEnvelope {
    /// The envelope, tightened by everything that tightens.
    pub envelope: Envelope,
    /// Mints grants for it; goes to the executor and nowhere else.
    pub authority: GrantAuthority,
    /// Name of the operator's policy, for people.
    pub name: String,
    /// The files that took something from it, for people.
    pub tightened_by: Vec<String>,
    /// What the user should know about it.
    pub notes: Vec<String>,
}

/// Puts the envelope together for a task that starts at `started_ms`.
///
/// # Errors
/// A policy file that is not sound ([`FailureClass::Policy`]), or an administrator who forbids it
/// ([`FailureClass::Denied`]).
pub(crate) fn assemble(spec: &TaskSpec, started_ms: u64) -> Result<TaskEnvelope, Failure> {
    let (mut notes, mut tightened_by) = (Vec::new(), Vec::new());
    let (name, mut operator) = operator_policy(spec, started_ms)?;
    for ceiling in &spec.ceilings {
        let admin = AdminConfig::parse(&ceiling.name, &ceiling.text)
            .map_err(|errors| policy_failure(&errors))?;
        forbidden(&admin, spec)?;
        let admins = admin.ceiling(started_ms);
        if !operator.leq(&admins) {
            tightened_by.push(ceiling.name.clone());
        }
        operator = operator.meet(&admins);
    }
    if operator.network != lattice_guard::Hosts::bottom() {
        notes.push("the policy names network hosts; pods of this version have no network at all, so none is reachable".to_owned());
    }
    if operator.paths.allows_by_list()
        && operator.levels.get(lattice_guard::Operation::RunBash) > lattice_guard::Level::Never
    {
        notes.push("[paths] allowed binds the file tools and what is applied; commands can read the rest unless it is blocked".to_owned());
    }
    // The gate looks at the operator's envelope, before the repository can remove a leg of the trifecta.
    let (envelope, authority) = Envelope::new(operator, Classifier::default(), GateMode::Static);
    let envelope = match project_policy(&spec.workspace, started_ms)? {
        Some(ceiling) => {
            notes.push(format!("{PROJECT_FILE} of this repository tightens the policy"));
            if !envelope.permissions().leq(&ceiling) {
                tightened_by.push(format!("{PROJECT_FILE} of this repository"));
            }
            envelope.tighten(&ceiling)
        }
        None => envelope,
    };
    Ok(TaskEnvelope { envelope, authority, name, tightened_by, notes })
}

fn operator_policy(spec: &TaskSpec, started_ms: u64) -> Result<(String, Permissions), Failure> {
    let defaults = defaults(spec)?;
    match &spec.policy {
        PolicySource::Profile { name } => {
            let profile = profile::by_name(name).ok_or_else(|| Failure {
                class: FailureClass::Usage,
                message: format!("no profile is named {name:?}"),
                hint: Some("see `nucleus profiles`".to_owned()),
            })?;
            Ok((name.clone(), profile.policy().envelope(started_ms, &defaults)))
        }
        PolicySource::File(file) => {
            let policy = permissions::parse(&file.name, &file.text)
                .map_err(|errors| policy_failure(&errors))?;
            policy.refuse_unmeasured(&measured(spec)).map_err(|errors| policy_failure(&errors))?;
            Ok((file.name.clone(), policy.envelope(started_ms, &defaults)))
        }
    }
}

/// Limits that something on this task's route counts: the model gate counts tokens, where there is one.
fn measured(spec: &TaskSpec) -> BTreeSet<BudgetLimit> {
    let tokens =
        spec.model.iter().flat_map(|_| [BudgetLimit::InputTokens, BudgetLimit::OutputTokens]);
    std::iter::once(BudgetLimit::Cost).chain(tokens).collect()
}

fn defaults(spec: &TaskSpec) -> Result<Defaults, Failure> {
    let provider = match &spec.model {
        Some(model) => Some(Name::parse(&model.provider).map_err(|error| Failure {
            class: FailureClass::Usage,
            message: format!("model provider: {error}"),
            hint: None,
        })?),
        None => None,
    };
    Ok(Defaults::new(provider))
}

fn forbidden(admin: &AdminConfig, spec: &TaskSpec) -> Result<(), Failure> {
    let denied = |message: String| Failure {
        class: FailureClass::Denied,
        message,
        hint: Some("the administrator's /etc/nucleus/config.toml says so".to_owned()),
    };
    if admin.forbid.local_driver {
        return Err(denied("the local driver is forbidden on this machine".to_owned()));
    }
    if let PolicySource::Profile { name } = &spec.policy
        && admin.forbid.profiles.contains(name)
    {
        return Err(denied(format!("profile {name:?} is forbidden on this machine")));
    }
    Ok(())
}

/// Reads the repository's own policy without following a link out of it.
fn project_policy(workspace: &Path, started_ms: u64) -> Result<Option<Permissions>, Failure> {
    let unreadable = |error: &dyn std::fmt::Display| Failure {
        class: FailureClass::Policy,
        message: format!("{PROJECT_FILE} of this repository cannot be read: {error}"),
        hint: Some("remove it, or make it a regular file of at most 64 KiB".to_owned()),
    };
    let root =
        openat(CWD, workspace, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
            .map_err(|error| unreadable(&error))?;
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    let file = match openat2(root.as_fd(), PROJECT_FILE, flags, Mode::empty(), resolve) {
        Ok(file) => file,
        Err(rustix::io::Errno::NOENT | rustix::io::Errno::NOTDIR) => return Ok(None),
        Err(error) => return Err(unreadable(&error)),
    };
    let regular = fstat(&file)
        .is_ok_and(|meta| FileType::from_raw_mode(meta.st_mode) == FileType::RegularFile);
    if !regular {
        return Err(unreadable(&"it is not a regular file"));
    }
    let mut text = Vec::new();
    let mut limited =
        std::io::Read::take(std::fs::File::from(file), PROJECT_FILE_BYTES_MAX.saturating_add(1));
    std::io::Read::read_to_end(&mut limited, &mut text).map_err(|error| unreadable(&error))?;
    let policy =
        permissions::parse(PROJECT_FILE, &text).map_err(|errors| policy_failure(&errors))?;
    Ok(Some(policy.ceiling(started_ms)))
}

fn policy_failure(errors: &dyn std::fmt::Display) -> Failure {
    Failure { class: FailureClass::Policy, message: errors.to_string(), hint: None }
}
