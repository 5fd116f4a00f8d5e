//! A session's record: its log verified, then read.

use std::io::Read;
use std::path::Path;

use nucleus_log::{Digest, Verdict, VerifyKeys, VerifyOptions};
use nucleus_report::Record;
use nucleus_report::html::Shown;
use nucleus_sandbox::workspace::{self, Session, Status};
use nucleus_wire::changeset::{self, ChangeSet};

use crate::environment::Environment;
use crate::failure::CliFailure;
use crate::sessions::pick;
use crate::state::State;

/// Exit code when the log does not verify: what was shown may not be what happened.
pub(crate) const NOT_VERIFIED: u8 = 74;

/// A session and what its log says.
#[derive(Debug)]
pub(crate) struct Recorded {
    /// The session.
    pub session: Session,
    /// Its record.
    pub record: Record,
}

impl Recorded {
    /// Finds a session, verifies its log and reads it.
    pub(crate) fn load(id: Option<&str>, env: &Environment) -> Result<Self, CliFailure> {
        let state = State::open(env)?;
        let session = pick(&state, id, "is known", |_| true)?;
        let record = read(&session.log_path(), &state.dir.join("keys"))?;
        Ok(Self { session, record })
    }

    /// The exit code that the log earns.
    pub(crate) fn exit_code(&self) -> u8 {
        if self.record.is_verified() { 0 } else { NOT_VERIFIED }
    }

    /// The session's changes, and what vouches for them.
    pub(crate) fn changes(&self) -> Result<Shown, CliFailure> {
        let session = &self.session;
        if session.is_running() {
            return Ok(Shown::Absent(
                "The task runs still: its changes are told when it has ended.".to_owned(),
            ));
        }
        if session.status() == Status::Discarded {
            return Ok(Shown::Absent("The changes were thrown away.".to_owned()));
        }
        let path = session.dir().join(changeset::FILE);
        let bytes = match std::fs::File::open(&path) {
            Ok(file) => {
                let mut bytes = Vec::new();
                file.take(changeset::FILE_BYTES_MAX).read_to_end(&mut bytes).map_err(|error| {
                    CliFailure::unavailable(format!("cannot read {}: {error}", path.display()))
                })?;
                bytes
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(self.left()),
            Err(error) => {
                return Err(CliFailure::unavailable(format!(
                    "cannot read {}: {error}",
                    path.display()
                )));
            }
        };
        let Some(set) = ChangeSet::parse(&bytes) else {
            return Ok(Shown::Absent(format!(
                "The record of changes, {}, is damaged.",
                path.display()
            )));
        };
        Ok(match &self.record.changes.sha256 {
            Some(recorded) if *recorded == Digest::of(&bytes).to_string() => Shown::Proved(set),
            Some(_) => Shown::Unproved(
                set,
                "the record of changes is not the one whose digest is in the log".to_owned(),
            ),
            None => Shown::Unproved(set, "no entry that verifies holds its digest".to_owned()),
        })
    }

    /// What lies in the session of a task that was killed before it could write its changes down.
    fn left(&self) -> Shown {
        match self.session.status() {
            Status::Running | Status::Interrupted => match workspace::changeset(&self.session) {
                Ok(set) => Shown::Unproved(
                    set,
                    "the task ended without writing its changes down; they were read from the session just now".to_owned(),
                ),
                Err(error) => Shown::Absent(format!("The changes cannot be read: {error}")),
            },
            _ => Shown::Absent("No record of changes was kept.".to_owned()),
        }
    }
}

fn read(log: &Path, keys: &Path) -> Result<Record, CliFailure> {
    let unavailable = |error: &dyn std::fmt::Display| CliFailure::unavailable(error.to_string());
    let keys = VerifyKeys::load(keys).map_err(|error| unavailable(&error))?;
    let report = nucleus_log::verify(log, &keys, &VerifyOptions::default())
        .map_err(|error| unavailable(&error))?;
    let mut unreadable = None;
    let holds =
        matches!(report.verdict, Verdict::Ok | Verdict::OkWithoutMacKey | Verdict::TornTail);
    // A writer may be ahead of the verification: of a log that holds, only what was verified is read.
    let limit = if holds || report.live { report.entries } else { u64::MAX };
    let entries = match nucleus_log::entries(log) {
        Ok(entries) => entries,
        Err(error) => return Err(unavailable(&error)),
    };
    let entries: Vec<_> = entries
        .take(usize::try_from(limit).unwrap_or(usize::MAX))
        .map_while(|entry| entry.map_err(|error| unreadable = Some(error.to_string())).ok())
        .collect();
    Ok(Record::of(report, entries, unreadable))
}
