//! A client outside of any pod: only what it asks of the door is enforced, and it is told so.

use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::sync::mpsc::Sender;

use nucleus::Caller;
use nucleus_sandbox::PodEnd;
use nucleus_wire::control::{Failure, FailureClass};

use crate::door::{Door, Scope};
use crate::session;
use crate::task::{Running, Task, TaskEvent};

/// What holds, in the record of the session.
pub(crate) const SCOPE: &str = "only tool calls are enforced";
/// The same for the user.
pub(crate) const LABEL: &str =
    "only tool calls are enforced: what the client does by other means is not";

/// Serves the client until it leaves, which is the payload's end.
///
/// # Errors
/// There is no connection, or the host gives no thread.
pub(crate) fn start(
    task: &Task,
    client: Option<OwnedFd>,
    caller: &Caller,
    ended: &Sender<TaskEvent>,
) -> Result<Running, Failure> {
    let Some(stream) = client.map(UnixStream::from) else {
        return Err(Failure {
            class: FailureClass::Internal,
            message: "no connection was handed over for the client".to_owned(),
            hint: None,
        });
    };
    let unavailable = |error: &std::io::Error| session::io_failure("the client's door", error);
    let door = Door::new(task.executor.clone(), caller.clone(), Scope::Outside)
        .map_err(|error| unavailable(&error))?;
    let ended = ended.clone();
    std::thread::Builder::new()
        .name("client".to_owned())
        .spawn(move || {
            // A connection that cannot be served ends like one that was closed.
            let _closed = door.converse(stream);
            let _stopped = ended.send(TaskEvent::Ended(Some(PodEnd::Code(0))));
        })
        .map_err(|error| unavailable(&error))?;
    Ok(Running::default())
}
