//! The payload's own output on its way to the user.

use std::fs::File;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::thread::JoinHandle;

use nucleus_wire::control::FromProxy;
use nucleus_wire::hex;

use crate::control::Control;
use crate::task::Task;
use crate::terminal::Terminal;

const CHUNK_BYTES: usize = 32 * 1024;

/// Standard streams of the agent: its own terminal, or pipes whose other ends are forwarded.
///
/// # Errors
/// No descriptors, terminals or threads are left.
pub(crate) fn streams(task: &Task) -> std::io::Result<([OwnedFd; 3], Vec<JoinHandle<()>>)> {
    if let Some(terminal) = &task.spec.terminal {
        let (terminal, follower, thread) =
            Terminal::open(&terminal.facts, Arc::clone(&task.control))?;
        // Set once: a task has one agent.
        let _first = task.terminal.set(terminal);
        let streams = [follower.try_clone()?, follower.try_clone()?, follower];
        return Ok((streams, vec![thread]));
    }
    let (stdout, stdout_writer) = task.runner.pipe()?;
    let (stderr, stderr_writer) = task.runner.pipe()?;
    let null = std::fs::File::open("/dev/null")?;
    Ok(([null.into(), stdout_writer, stderr_writer], output(task, stdout, stderr)?))
}

/// Forwards both streams of a payload.
///
/// # Errors
/// The threads could not be started.
pub(crate) fn output(
    task: &Task,
    stdout: OwnedFd,
    stderr: OwnedFd,
) -> std::io::Result<Vec<JoinHandle<()>>> {
    Ok(vec![
        forward(stdout, "stdout", Arc::clone(&task.control))?,
        forward(stderr, "stderr", Arc::clone(&task.control))?,
    ])
}

/// Sends what comes out of `pipe` as [`FromProxy::Output`] until every writer is gone.
///
/// # Errors
/// The thread could not be started.
fn forward(
    pipe: OwnedFd,
    stream: &'static str,
    control: Arc<Control>,
) -> std::io::Result<JoinHandle<()>> {
    std::thread::Builder::new().name(stream.to_owned()).spawn(move || {
        let mut pipe = File::from(pipe);
        let mut chunk = vec![0_u8; CHUNK_BYTES];
        let mut pending: Vec<u8> = Vec::new();
        while let Ok(count) = pipe.read(&mut chunk) {
            if count == 0 {
                break;
            }
            pending.extend_from_slice(chunk.get(..count).unwrap_or_default());
            let whole = complete_prefix(&pending);
            let rest = pending.split_off(whole);
            send(&control, stream, &pending);
            pending = rest;
        }
        if !pending.is_empty() {
            send(&control, stream, &pending);
        }
    })
}

fn send(control: &Control, stream: &str, bytes: &[u8]) {
    if !bytes.is_empty() {
        control.send(&message(stream, bytes));
    }
}

fn message(stream: &str, bytes: &[u8]) -> FromProxy {
    let (text, hex) = match std::str::from_utf8(bytes) {
        Ok(text) => (text.to_owned(), None),
        Err(_) => (String::from_utf8_lossy(bytes).into_owned(), Some(hex::encode(bytes))),
    };
    FromProxy::Output { stream: stream.to_owned(), text, hex }
}

/// Length of the part that does not end inside a character: at most three bytes wait for the next read.
fn complete_prefix(bytes: &[u8]) -> usize {
    match std::str::from_utf8(bytes) {
        Ok(_) => bytes.len(),
        Err(error) if error.error_len().is_none() => error.valid_up_to(),
        Err(_) => bytes.len(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_that_are_no_text_travel_beside_it() {
        let FromProxy::Output { text, hex, .. } = message("stdout", b"a\xff\x0f") else {
            panic!("no output")
        };
        assert_eq!((text.as_str(), hex.as_deref()), ("a\u{fffd}\u{f}", Some("61ff0f")));
        let FromProxy::Output { text, hex, .. } = message("stdout", "né".as_bytes()) else {
            panic!("no output")
        };
        assert_eq!((text.as_str(), hex), ("né", None));
    }

    #[test]
    fn a_character_cut_by_a_read_waits_for_its_rest() {
        let text = "né".as_bytes();
        assert_eq!(complete_prefix(&text[..2]), 1);
        assert_eq!(complete_prefix(text), 3);
        assert_eq!(complete_prefix(b"\xff\xfe"), 2);
    }
}
