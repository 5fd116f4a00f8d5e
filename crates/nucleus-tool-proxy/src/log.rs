//! The log of a task, opened: a new one, or one that an earlier process began. What that one granted and used stays used.

use std::path::Path;
use std::sync::Arc;

use nucleus::Past;
use nucleus_log::{Keys, Origin, Writer};
use nucleus_wire::control::{Failure, FailureClass};

/// Opens the log at `path` of this session; gives what it says of approvals before this process.
///
/// # Errors
/// It cannot be written, or one that is there does not verify: nothing runs then.
pub(crate) fn open(
    state_dir: &Path,
    path: &Path,
    session: &str,
) -> Result<(Arc<Writer>, Past), Failure> {
    let unwritable = |error: &dyn std::fmt::Display| Failure {
        class: FailureClass::Unavailable,
        message: format!("the log cannot be written: {error}"),
        hint: Some(
            "nothing runs without a log; free space or repair the state directory".to_owned(),
        ),
    };
    let keys = Keys::load_or_create(&state_dir.join("keys")).map_err(|error| unwritable(&error))?;
    if path.try_exists().map_err(|error| unwritable(&error))? {
        // Read before the first new entry, and before anything could be granted.
        let known = keys.verify_keys().map_err(|error| unwritable(&error))?;
        let past = Past::of_log(path, &known).map_err(|error| unwritable(&error))?;
        let writer = Writer::resume(path, &keys).map_err(|error| unwritable(&error))?;
        return Ok((Arc::new(writer), past));
    }
    let origin =
        Origin::parse(&format!("nucleus/session/{session}")).map_err(|error| unwritable(&error))?;
    let writer = Writer::create(path, &keys, origin).map_err(|error| unwritable(&error))?;
    Ok((Arc::new(writer), Past::default()))
}

#[cfg(test)]
mod tests {
    use nucleus_log::{Durability, Event, Phase};

    use super::open;

    #[test]
    fn what_an_earlier_process_used_is_known_when_its_log_is_opened_again() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("log.jsonl");
        let nonce = "0123456789abcdef0123456789abcdef";
        let (writer, past) = open(place.path(), &path, "20261129-000000-aaaa").unwrap();
        assert!(!format!("{past:?}").contains(nonce), "a new log knows nothing");
        let mut event = Event::new("tool_execution", "agent:claude@s-1");
        event.phase = Phase::Intent;
        event.request_id = Some("r1".to_owned());
        event.approval_id = Some("aaaa".to_owned());
        event.grant_nonce = Some(nonce.to_owned());
        writer.append(&event, Durability::Durable).unwrap();
        writer.close().unwrap();
        drop(writer);
        let (writer, past) = open(place.path(), &path, "20261129-000000-aaaa").unwrap();
        assert!(format!("{past:?}").contains(nonce), "{past:?}");
        writer.close().unwrap();
        drop(writer);
        // One that was changed since is not gone on with.
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, text.replace("\"intent\"", "\"note\"")).unwrap();
        assert!(open(place.path(), &path, "20261129-000000-aaaa").is_err());
    }
}
