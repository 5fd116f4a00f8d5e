//! After a crash in the middle of an apply.

use super::apply::{Executor, conclude, finish};
use super::error::WorkspaceError;
use super::journal::{self, Journal, Record};
use super::session::{Lock, Session};

/// What a recovery did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recovery {
    /// There was nothing to do.
    Nothing,
    /// The interrupted apply was finished.
    Finished,
    /// The interrupted apply was undone; it can be started again.
    RolledBack,
}

/// Finishes or undoes an apply whose process died. An apply that had not begun to change the workspace, or had begun to
/// put things back, is undone; any other is finished. Host files that changed in between are left as they are and
/// reported as conflicts by `review`.
///
/// # Errors
/// `Io`, `WorkspaceGone`: the journal stays, so that the next command tries again.
pub fn recover(session: &mut Session, lock: &Lock) -> Result<Recovery, WorkspaceError> {
    let Some(progress) = journal::read(session.dir())? else { return Ok(Recovery::Nothing) };
    session.require_workspace()?;
    let mut journal = Journal::reopen(session.dir())?;
    let Some(plan) = progress.plan else {
        journal.remove()?;
        return Ok(Recovery::RolledBack);
    };
    let executor = Executor::open(session, &plan, &|_| false)?;
    if progress.committed {
        conclude(session, lock, journal, &executor, &plan)?;
        return Ok(Recovery::Finished);
    }
    let undo = progress.rollback || progress.staged.is_none();
    let staged = progress.staged.unwrap_or_default();
    if !undo {
        match executor.forward(&plan.ops, &staged) {
            Ok(conflicted) => {
                finish(session, lock, journal, &executor, &plan, &conflicted)?;
                return Ok(Recovery::Finished);
            }
            Err(_) => journal.append(&Record::Rollback)?,
        }
    }
    executor.back(&plan.ops, &staged);
    executor.sync(&plan.ops, &session.meta().workspace)?;
    executor.clear(&session.meta().workspace)?;
    journal.remove()?;
    Ok(Recovery::RolledBack)
}
