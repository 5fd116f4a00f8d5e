//! Carrying changes to the user's tree.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::change::{self, Change, ChangeKind};
use super::error::WorkspaceError;
use super::journal::{Journal, PlanRecord, Record};
use super::node::NodeKind;
use super::path::TreePath;
use super::plan::{
    self, Accepted, ConflictReason, HoldReason, Holder, Host, Op, Plan, Wait, Waiting,
};
use super::recover::recover;
use super::review;
use super::session::{Lock, Session};
use super::undo;

mod step;

pub(crate) use step::{Executor, Probe};

/// How to apply.
#[expect(missing_debug_implementations, reason = "holds a function")]
pub struct ApplyOptions<'a> {
    /// Hold everything.
    pub review: bool,
    /// The policy's judgement of a workspace-relative path: why a change to it waits, if it does. With a `/` at the
    /// end it is asked about a link there, and beneath `.git/` about a reference that moved.
    pub hold: &'a dyn Fn(&str) -> Option<HoldReason>,
}

/// A change that was carried over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppliedChange {
    /// Where.
    pub path: TreePath,
    /// How.
    pub kind: ChangeKind,
    /// What it is.
    pub node: NodeKind,
}

/// A change that waits for `review`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeldChange {
    /// Where.
    pub path: TreePath,
    /// How.
    pub kind: ChangeKind,
    /// Why it waits.
    pub reason: HoldReason,
    /// What in particular is the reason.
    pub detail: Option<String>,
}

impl HeldChange {
    /// Why it waits, for the user.
    #[must_use]
    pub fn why(&self) -> String {
        plan::told(&self.reason.to_string(), self.detail.as_deref())
    }

    /// The repository it is part of, when all of that waits together.
    #[must_use]
    pub fn unit(&self) -> Option<TreePath> {
        review::git_unit(&self.path, Wait::Held(self.reason))
    }
}

/// A change whose host side changed too; both versions are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conflict {
    /// Where.
    pub path: TreePath,
    /// How the task changed it.
    pub kind: ChangeKind,
    /// How the host did.
    pub reason: ConflictReason,
}

/// What an apply did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ApplyReport {
    /// Carried over.
    pub applied: Vec<AppliedChange>,
    /// Waiting, by the policy or for safety.
    pub held: Vec<HeldChange>,
    /// Waiting, because the host changed.
    pub conflicts: Vec<Conflict>,
    /// Sockets, FIFOs and devices, which are never carried over.
    pub skipped: Vec<TreePath>,
    /// New commits and moved references, when the repository was carried over.
    pub history: Option<String>,
}

/// Applies what may be applied and leaves the rest in the session. The caller has killed every pod of the task.
///
/// All or nothing: an error puts everything back. A process that dies in between leaves a journal, with which the next
/// command finishes or undoes the work. No host file that changed since the task began is overwritten, even when it
/// changes during the apply: replaced files are exchanged, compared, and exchanged back if they are not what was
/// planned for.
///
/// # Errors
/// [`WorkspaceError`]: `Over`, `WorkspaceGone`, `NoSpace`, `RolledBack` (nothing was changed by any of these), or `Io`.
pub fn apply(
    session: &mut Session,
    lock: &Lock,
    options: &ApplyOptions<'_>,
) -> Result<ApplyReport, WorkspaceError> {
    apply_probed(session, lock, options, &|_| false)
}

pub(crate) fn apply_probed(
    session: &mut Session,
    lock: &Lock,
    options: &ApplyOptions<'_>,
    probe: Probe<'_>,
) -> Result<ApplyReport, WorkspaceError> {
    if session.status().is_settled() {
        return Err(WorkspaceError::Over { id: session.id().to_owned(), status: session.status() });
    }
    recover(session, lock)?;
    if session.status().is_settled() {
        // What had died was finished just now, and nothing waits.
        return Ok(ApplyReport::default());
    }
    let scan = change::scan(session)?;
    let mut plan = {
        let host = Host::open(session)?;
        let meta = session.meta();
        let holder = Holder {
            rule: options.hold,
            policy_file: policy_path(session),
            review: options.review,
            clock_went_back: meta.baseline.clock_went_back(),
        };
        let mut plan = plan::judge(&scan, &holder, &host)?;
        let rejected = review::rejected(session)?;
        plan.waiting.retain(|w| !rejected.contains(&w.change.path));
        plan
    };
    let history = plan.history.take();
    let mut report = run(session, lock, plan, true, probe)?;
    let goes = |change: &AppliedChange| plan::is_own_git(&change.path);
    report.history = history.filter(|_| report.applied.iter().any(goes));
    report.skipped = scan.special;
    Ok(report)
}

/// Applies paths the user accepted.
pub(crate) fn apply_accepted(
    session: &mut Session,
    lock: &Lock,
    accepted: &Accepted,
) -> Result<ApplyReport, WorkspaceError> {
    let scan = change::scan(session)?;
    let plan = {
        let host = Host::open(session)?;
        plan::judge_accepted(&scan, accepted, &host)?
    };
    run(session, lock, plan, false, &|_| false)
}

/// The policy file as a path of the workspace.
fn policy_path(session: &Session) -> Option<TreePath> {
    use std::os::unix::ffi::OsStrExt as _;
    let meta = session.meta();
    let file: &PathBuf = meta.policy_file.as_ref()?;
    let real = std::fs::canonicalize(file).unwrap_or_else(|_| file.clone());
    let inside =
        real.strip_prefix(&meta.workspace).or_else(|_| file.strip_prefix(&meta.workspace)).ok()?;
    TreePath::parse(inside.as_os_str().as_bytes()).filter(|p| !p.is_root())
}

fn run(
    session: &mut Session,
    lock: &Lock,
    plan: Plan,
    whole: bool,
    probe: Probe<'_>,
) -> Result<ApplyReport, WorkspaceError> {
    let ops = {
        let host = Host::open(session)?;
        plan::arrange(&plan.go, &host, session.meta())?
    };
    let record = PlanRecord {
        staging: format!(".nucleus-apply-{}", session.id()),
        ops,
        waiting: plan.waiting,
        whole,
        undo: None,
    };
    let mut waiting = record.waiting.clone();
    let mut conflicted = BTreeMap::new();
    if record.ops.is_empty() {
        review::store(session, lock, &waiting, whole)?;
        review::settle(session, lock)?;
    } else {
        conflicted = carry(session, lock, &record, probe)?;
        waiting = with_conflicts(&record, &conflicted);
    }
    Ok(report(&plan.go, &waiting, &conflicted))
}

/// Does the steps of a record behind the journal; gives those that the host got in the way of.
pub(crate) fn carry(
    session: &mut Session,
    lock: &Lock,
    record: &PlanRecord,
    probe: Probe<'_>,
) -> Result<BTreeMap<TreePath, ConflictReason>, WorkspaceError> {
    let mut journal = Journal::create(session.dir())?;
    let mut executor = Executor::open(session, record, probe)?;
    executor.require_space(session, &record.ops).inspect_err(|_| {
        // Nothing was announced yet.
        let _ = std::fs::remove_file(super::journal::path_in(session.dir()));
    })?;
    journal.append(&Record::Plan(record.clone()))?;
    let staged = match executor.stage(&record.ops) {
        Ok(staged) => staged,
        Err(error) => return Err(put_back(session, journal, &executor, error)),
    };
    journal.append(&Record::Staged(staged.clone()))?;
    let conflicted = match executor.forward(&record.ops, &staged) {
        Ok(conflicted) => conflicted,
        Err(error) if error.is_crash() => return Err(error.into_error(session.id())),
        Err(error) => {
            journal.append(&Record::Rollback)?;
            executor.back(&record.ops, &staged);
            return Err(put_back(session, journal, &executor, error));
        }
    };
    finish(session, lock, journal, &executor, record, &conflicted)?;
    Ok(conflicted)
}

/// Makes the result durable and ends the journal.
pub(crate) fn finish(
    session: &mut Session,
    lock: &Lock,
    mut journal: Journal,
    executor: &Executor<'_>,
    record: &PlanRecord,
    conflicted: &BTreeMap<TreePath, ConflictReason>,
) -> Result<(), WorkspaceError> {
    executor.sync(&record.ops, &session.meta().workspace)?;
    if record.undo.is_none() {
        undo::keep(session, executor, &record.ops, conflicted)?;
        executor.crash_here("kept").map_err(|e| e.into_error(session.id()))?;
        review::store(session, lock, &with_conflicts(record, conflicted), record.whole)?;
    }
    journal.append(&Record::Committed)?;
    executor.crash_here("committed").map_err(|e| e.into_error(session.id()))?;
    conclude(session, lock, journal, executor, record)
}

/// What comes after the record is committed.
pub(crate) fn conclude(
    session: &mut Session,
    lock: &Lock,
    journal: Journal,
    executor: &Executor<'_>,
    record: &PlanRecord,
) -> Result<(), WorkspaceError> {
    executor.clear(&session.meta().workspace)?;
    if let Some(layer) = record.undo {
        undo::drop_layer(session, layer)?;
    }
    journal.remove()?;
    match record.undo {
        Some(_) => undo::settle(session, lock),
        None => review::settle(session, lock),
    }
}

fn put_back(
    session: &Session,
    journal: Journal,
    executor: &Executor<'_>,
    error: step::StepError,
) -> WorkspaceError {
    if error.is_crash() {
        return error.into_error(session.id());
    }
    match executor.clear(&session.meta().workspace).and_then(|()| journal.remove()) {
        Ok(()) => error.into_error(session.id()),
        Err(second) => second,
    }
}

fn with_conflicts(
    record: &PlanRecord,
    conflicted: &BTreeMap<TreePath, ConflictReason>,
) -> Vec<Waiting> {
    let mut waiting = record.waiting.clone();
    for op in &record.ops {
        let Some(reason) = conflicted.get(op.path()) else { continue };
        let (kind, node) = match op {
            Op::Remove { .. } => (ChangeKind::Deleted, NodeKind::File),
            Op::RemoveDir { .. } => (ChangeKind::Deleted, NodeKind::Directory),
            Op::MakeDir { .. } => (ChangeKind::Created, NodeKind::Directory),
            Op::Put { expected: None, .. } => (ChangeKind::Created, NodeKind::File),
            Op::Put { .. } => (ChangeKind::Modified, NodeKind::File),
            Op::Chmod { .. } => (ChangeKind::Mode, NodeKind::File),
        };
        let change = Change { path: op.path().clone(), kind, node };
        waiting.push(Waiting::new(change, Wait::Conflict(*reason)));
    }
    waiting
}

fn report(
    go: &[Change],
    waiting: &[Waiting],
    conflicted: &BTreeMap<TreePath, ConflictReason>,
) -> ApplyReport {
    let mut report = ApplyReport::default();
    for change in go.iter().filter(|c| !conflicted.contains_key(&c.path)) {
        let Change { path, kind, node } = change.clone();
        report.applied.push(AppliedChange { path, kind, node });
    }
    for Waiting { change, wait, detail } in waiting {
        let (path, kind) = (change.path.clone(), change.kind);
        match *wait {
            Wait::Held(reason) => {
                report.held.push(HeldChange { path, kind, reason, detail: detail.clone() });
            }
            Wait::Conflict(reason) => report.conflicts.push(Conflict { path, kind, reason }),
        }
    }
    report
}

#[cfg(test)]
pub(crate) mod tests;
