//! A client outside of any pod: only what it asks of the door is enforced, and it is told so.

use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::sync::mpsc::Sender;

use nucleus::Caller;
use nucleus_sandbox::PodEnd;
use nucleus_wire::control::{Failure, FailureClass};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::door::{Door, Scope};
use crate::session;
use crate::task::{Running, Task, TaskEvent};

/// What holds, in the record of the session.
pub(crate) const SCOPE: &str = "only tool calls are enforced";
/// The same for the user.
pub(crate) const LABEL: &str =
    "only tool calls are enforced: what the client does by other means is not";

/// True when both directions of a connection are closed.
fn hung_up(stream: &UnixStream) -> bool {
    let mut asked = [PollFd::new(stream, PollFlags::empty())];
    match poll(&mut asked, Some(&Timespec::default())) {
        Ok(_) => asked.iter().any(|fd| fd.revents().contains(PollFlags::HUP)),
        Err(_) => true,
    }
}

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
            // A client that ends its sending half leaves in order; one whose connection is gone was lost, and so is
            // one that cannot be served.
            let served = stream.try_clone().and_then(|ours| door.converse(ours));
            let left = served.is_ok() && !hung_up(&stream);
            let event =
                if left { TaskEvent::Ended(Some(PodEnd::Code(0))) } else { TaskEvent::Stop };
            let _stopped = ended.send(event);
        })
        .map_err(|error| unavailable(&error))?;
    Ok(Running::default())
}
