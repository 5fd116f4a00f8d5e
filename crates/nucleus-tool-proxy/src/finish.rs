//! The end of a task: pods die, calls are settled, changes are applied, the log is closed, the user is told.

use std::collections::BTreeMap;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use nucleus::{Approved, Digest};
use nucleus_log::{Keys, VerifyOptions};
use nucleus_sandbox::workspace::{self, ApplyOptions, ApplyReport, HoldReason, Status, TaskFiles};
use nucleus_sandbox::{Driver, PodEnd};
use nucleus_wire::changeset;
use nucleus_wire::control::{Failure, FailureClass, FileChange, Summary};
use rustix::io::Errno;

use crate::session;
use crate::task::Task;

/// Largest file that a call can have written, in bytes, with room.
const APPROVED_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// Exit code of a command that is not there, as shells give it.
const NOT_FOUND: i32 = 127;
/// Exit code of a command that is there and cannot be executed, as shells give it.
const NOT_EXECUTABLE: i32 = 126;

/// Why the payload runs no more.
#[derive(Debug)]
pub(crate) enum Ending {
    /// It ended by itself; `None` when how is unknown.
    Finished(Option<PodEnd>),
    /// The user stopped it, or went away.
    Interrupted,
    /// The time of the task or of its policy ran out.
    TimedOut,
    /// It was lost.
    Killed,
}

impl Ending {
    fn word(&self) -> &'static str {
        match self {
            Self::Finished(Some(PodEnd::Killed)) | Self::Killed => "killed",
            Self::Finished(_) => "finished",
            Self::Interrupted => "interrupted",
            Self::TimedOut => "timed_out",
        }
    }

    /// The payload came to an end of its own. What was killed on the way is kept for the user to judge.
    fn is_complete(&self) -> bool {
        matches!(self, Self::Finished(Some(end)) if *end != PodEnd::Killed)
    }

    fn exit_code(&self) -> Option<i32> {
        match self {
            Self::Finished(Some(PodEnd::Code(code))) => Some(*code),
            Self::Finished(Some(PodEnd::Signal(signal))) => Some(signal.saturating_add(128)),
            Self::Finished(Some(PodEnd::NotExecuted(number))) => Some(not_executed(*number)),
            _ => None,
        }
    }
}

/// The exit code of a command that was not executed, by the system's error number.
fn not_executed(number: i32) -> i32 {
    if number == Errno::NOENT.raw_os_error() { NOT_FOUND } else { NOT_EXECUTABLE }
}

/// Ends the task.
///
/// # Errors
/// The changes could not be applied; the session is kept.
pub(crate) fn finish(task: Task, ending: Ending) -> Result<Summary, Failure> {
    let Task {
        socket, spec, executor, budget, recorder, mut session, egress, withhold, began, ..
    } = task;
    // Order matters: nobody may answer a task that is over, no effect may run while the workspace is written, no entry
    // may come after the last.
    drop(socket);
    executor.sandbox().finish();
    egress.finish();
    let dead = session.driver.kill_all();
    if dead.is_ok() {
        record_changes(&session.session, &recorder);
    }
    // The workspace is written like anything else: only what is in the log first takes place.
    let announced =
        if ending.is_complete() && dead.is_ok() { Some(record_apply(&recorder)) } else { None };
    let applied = match &announced {
        Some(Ok(())) => {
            let left = session.session.files().ok();
            let approved = executor.sandbox().approved();
            let hold = |path: &str| {
                let reason = withhold.hold(path)?;
                let let_through = reason == HoldReason::NotPermitted
                    && was_approved(approved, left.as_ref(), path);
                (!let_through).then_some(reason)
            };
            let options = ApplyOptions { review: spec.review, hold: &hold };
            workspace::apply(&mut session.session, &session.lock, &options).map(Some)
        }
        Some(Err(_)) | None => Ok(None),
    };
    let kept = match &applied {
        Ok(Some(_)) => Ok(()), // apply itself says how far the session is
        Ok(None) | Err(_) => session.session.set_status(&session.lock, Status::Interrupted),
    };
    let report = applied.as_ref().ok().and_then(Option::as_ref);
    record_end(&recorder, &ending, report);
    let closed = session.writer.close();
    let log_verdict = verdict(&spec.state_dir, &session.session.log_path());
    announced.transpose()?;
    let report = applied.as_ref().map_err(session::workspace_failure)?.as_ref();
    kept.map_err(|error| session::workspace_failure(&error))?;
    let booked = budget.booked();
    Ok(Summary {
        session: spec.session.clone(),
        exit_code: ending.exit_code(),
        ending: ending.word().to_owned(),
        applied: report.map(applied_changes).unwrap_or_default(),
        held: report.map(held_changes).unwrap_or_default(),
        conflicts: report.map(conflicts).unwrap_or_default(),
        calls: executor.sandbox().calls(),
        input_tokens: booked.input_tokens,
        output_tokens: booked.output_tokens,
        cost_micro_usd: booked.cost_micro_usd,
        list_price_estimate: spec.model.as_ref().is_some_and(|model| model.login.is_some()),
        log: session.session.log_path(),
        log_entries: closed
            .map_err(|error| Failure {
                class: FailureClass::Unavailable,
                message: format!("the log could not be closed: {error}"),
                hint: Some(
                    "what was applied stays applied; keep the session for its log".to_owned(),
                ),
            })?
            .entries,
        log_verdict,
        duration_ms: u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX),
        enforcement: session::enforcement(&session.handles.enforcement),
    })
}

/// Whether a person approved what the policy alone lets nobody write: this content of a file, or a commit.
fn was_approved(approved: &Approved, left: Option<&TaskFiles>, path: &str) -> bool {
    if path.starts_with(".git/") {
        return approved.commit();
    }
    let file = left.and_then(|left| left.file(path));
    let digest = file.and_then(|file| Digest::of_reader(file, APPROVED_BYTES_MAX).ok());
    digest.is_some_and(|(digest, _)| approved.covers(path, &digest))
}

/// Writes down what the task changed, while the workspace and the task's version of it still differ, for whoever reads the
/// session later; the log holds the digest. A task does not fail because of it.
fn record_changes(session: &workspace::Session, recorder: &nucleus::Recorder) {
    let mut event = recorder.event("workspace_changes");
    match write_changes(session) {
        Ok((files, digest)) => {
            event.detail.insert("files".to_owned(), files.into());
            event.detail.insert("sha256".to_owned(), digest.hex().into());
        }
        Err(error) => {
            event.result = Some("error".to_owned());
            event.detail.insert("cause".to_owned(), error.to_string().into());
        }
    }
    // What follows is recorded durably or not done.
    let _poisoned = recorder.note(&event);
}

fn write_changes(
    session: &workspace::Session,
) -> Result<(usize, nucleus::Digest), Box<dyn std::error::Error>> {
    let set = workspace::changeset(session)?;
    let bytes = serde_json::to_vec(&set)?;
    let mut file = std::fs::File::options()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(session.dir().join(changeset::FILE))?;
    file.write_all(&bytes)?;
    file.sync_data()?;
    Ok((set.files.len(), nucleus::Digest::of(&bytes)))
}

fn record_apply(recorder: &nucleus::Recorder) -> Result<(), Failure> {
    let event = recorder.event("workspace_apply");
    recorder.append(&event, nucleus_log::Durability::Durable).map(|_| ()).map_err(|error| Failure {
        class: FailureClass::Unavailable,
        message: format!("nothing was written to the workspace, because the log cannot be written: {error}"),
        hint: Some("the session is kept: free space or repair the state directory, then `nucleus apply` or `nucleus review`".to_owned()),
    })
}

/// Verifies the closed log as anybody with its keys can.
fn verdict(state_dir: &Path, log: &Path) -> String {
    let keys =
        Keys::load_or_create(&state_dir.join("keys")).and_then(|keys| Ok(keys.verify_keys()?));
    match keys {
        Ok(keys) => match nucleus_log::verify(log, &keys, &VerifyOptions::default()) {
            Ok(report) => report.verdict.to_string(),
            Err(error) => error.to_string(),
        },
        Err(error) => error.to_string(),
    }
}

/// Ends a task whose payload never started: nothing ran, so nothing is kept but the log.
pub(crate) fn abandon(task: Task) {
    let Task { socket, executor, recorder, mut session, egress, .. } = task;
    drop(socket);
    executor.sandbox().finish();
    egress.finish();
    // The user is told why the task did not start; what goes wrong here changes nothing about that.
    let _dead = session.driver.kill_all();
    record_end(&recorder, &Ending::Killed, None);
    let _left = workspace::discard(&mut session.session, &session.lock);
    let _closed = session.writer.close();
}

fn record_end(recorder: &nucleus::Recorder, ending: &Ending, report: Option<&ApplyReport>) {
    let mut event = recorder.event("session_end");
    event.result = Some(ending.word().to_owned());
    if let Some(report) = report {
        let mut count = |name: &str, n: usize| {
            event.detail.insert(name.to_owned(), n.into());
        };
        count("applied", report.applied.len());
        count("held", report.held.len());
        count("conflicts", report.conflicts.len());
    }
    // The verdict of the log says that its end is missing; there is nobody left to deny anything to.
    let _poisoned = recorder.append(&event, nucleus_log::Durability::Durable);
}

fn applied_changes(report: &ApplyReport) -> Vec<FileChange> {
    let changes = report.applied.iter().map(|change| FileChange {
        path: change.path.to_string(),
        kind: change.kind.word().to_owned(),
        reason: None,
    });
    let mut folded = fold(changes.collect());
    if let Some(git) = folded.iter_mut().find(|change| change.path == ".git") {
        git.reason.clone_from(&report.history);
    }
    folded
}

fn held_changes(report: &ApplyReport) -> Vec<FileChange> {
    let mut changes: Vec<FileChange> = Vec::new();
    for held in &report.held {
        let (path, kind) = match held.unit() {
            Some(unit) => (unit.to_string(), "git"),
            None => (held.path.to_string(), held.kind.word()),
        };
        if !changes.iter().any(|change| change.path == path) {
            changes.push(FileChange { path, kind: kind.to_owned(), reason: Some(held.why()) });
        }
    }
    changes
}

fn conflicts(report: &ApplyReport) -> Vec<FileChange> {
    let changes = report.conflicts.iter().map(|conflict| FileChange {
        path: conflict.path.to_string(),
        kind: conflict.kind.word().to_owned(),
        reason: Some(conflict.reason.to_string()),
    });
    changes.collect()
}

/// What the user would call one change: `.git` is one, and so is a new directory with everything in it.
fn fold(changes: Vec<FileChange>) -> Vec<FileChange> {
    let mut folded: Vec<FileChange> = Vec::new();
    let mut git = false;
    // Names in order: a directory comes before what is in it.
    let ordered: BTreeMap<Vec<String>, FileChange> = changes
        .into_iter()
        .map(|change| (change.path.split('/').map(str::to_owned).collect(), change))
        .collect();
    let mut directory: Option<(String, usize)> = None;
    for change in ordered.into_values() {
        let path = change.path.clone();
        if path == ".git" || path.starts_with(".git/") {
            git = true;
            continue;
        }
        if let Some((within, files)) = &mut directory
            && path.strip_prefix(within.as_str()).is_some_and(|rest| rest.starts_with('/'))
        {
            *files = files.saturating_add(1);
            continue;
        }
        close(&mut folded, directory.take());
        if change.kind == "created" {
            directory = Some((path, 0));
        }
        folded.push(change);
    }
    close(&mut folded, directory);
    if git {
        folded.push(FileChange { path: ".git".to_owned(), kind: "git".to_owned(), reason: None });
    }
    folded
}

/// Says how much a new directory holds.
fn close(folded: &mut [FileChange], directory: Option<(String, usize)>) {
    if let (Some((path, within @ 1..)), Some(last)) = (directory, folded.last_mut())
        && last.path == path
    {
        last.path = format!("{path}/ ({within} within)");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn created(path: &str) -> FileChange {
        FileChange { path: path.to_owned(), kind: "created".to_owned(), reason: None }
    }

    #[test]
    fn what_was_not_executed_has_the_codes_of_shells() {
        let code = |errno: Errno| {
            Ending::Finished(Some(PodEnd::NotExecuted(errno.raw_os_error()))).exit_code()
        };
        assert_eq!(code(Errno::NOENT), Some(127));
        for there in [Errno::ACCESS, Errno::NOEXEC, Errno::ISDIR, Errno::NOTDIR] {
            assert_eq!(code(there), Some(126), "{there}");
        }
    }

    #[test]
    fn a_new_directory_is_one_change() {
        let all =
            ["target", "target/a", "target/a/b", "target.txt", ".git/index", ".git/HEAD", "x"]
                .map(created)
                .to_vec();
        let folded: Vec<String> = fold(all).into_iter().map(|change| change.path).collect();
        assert_eq!(folded, ["target/ (2 within)", "target.txt", "x", ".git"]);
    }

    #[test]
    fn a_changed_directory_is_not_folded() {
        let mut dir = created("src");
        dir.kind = "mode".to_owned();
        let folded: Vec<String> = fold(vec![dir, created("src/a"), created("src/b")])
            .into_iter()
            .map(|c| c.path)
            .collect();
        assert_eq!(folded, ["src", "src/a", "src/b"]);
    }
}
