//! The relay an agent's client starts inside its pod: bytes between stdio and the door.
//!
//! `nucleus-mcp [SOCKET]` connects to the door (`/run/door.sock` unless another socket is named) and copies
//! both directions unchanged, whatever they hold: framing, limits and judgement are the door's. When the client closes
//! its side, the relay closes the sending half, passes on the answers that are still coming, and ends.
//!
//! Exit codes: 0 both sides ended in order; 64 wrong use; 69 there is no door, or it closed before the client
//! did; 74 a read or write failed.

mod pump;

use std::ffi::OsString;
use std::net::Shutdown;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use pump::{Broken, pump};

const DOOR: &str = "/run/door.sock";
const USAGE: u8 = 64;
const UNAVAILABLE: u8 = 69;
const IO: u8 = 74;
const STACK_BYTES: usize = 128 * 1024;

fn main() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    let door = match arguments.as_slice() {
        [] => PathBuf::from(DOOR),
        [one] if !one.as_encoded_bytes().starts_with(b"-") => PathBuf::from(one),
        _ => return fail(USAGE, "usage: nucleus-mcp [SOCKET]"),
    };
    let stream = match UnixStream::connect(&door) {
        Ok(stream) => Arc::new(stream),
        Err(error) => {
            let text = format!(
                "no door at {}: {error}. This program works inside a Nucleus pod; start the agent with `nucleus run`",
                door.display()
            );
            return fail(UNAVAILABLE, &text);
        }
    };
    relay(&stream)
}

/// Copies until the door ends its side.
fn relay(stream: &Arc<UnixStream>) -> ExitCode {
    let client_done = Arc::new(AtomicBool::new(false));
    let (sending, done) = (Arc::clone(stream), Arc::clone(&client_done));
    let sender = thread::Builder::new().stack_size(STACK_BYTES).spawn(move || {
        let ended = pump(rustix::stdio::stdin(), sending.as_fd());
        done.store(true, Ordering::Release);
        // A door that is gone already needs no end of transmission; the other direction reports it.
        let _ = sending.shutdown(Shutdown::Write);
        ended
    });
    let sender = match sender {
        Ok(sender) => sender,
        Err(error) => return fail(IO, &format!("cannot start a thread: {error}")),
    };
    match pump(stream.as_fd(), rustix::stdio::stdout()) {
        Ok(()) if client_done.load(Ordering::Acquire) => match sender.join() {
            Ok(Err(Broken::Read(error))) => {
                fail(IO, &format!("reading from the client failed: {error}"))
            }
            _ => ExitCode::SUCCESS,
        },
        Ok(()) => fail(UNAVAILABLE, "the door closed: the task has ended or was stopped"),
        Err(Broken::Read(error)) => fail(IO, &format!("reading from the door failed: {error}")),
        Err(Broken::Write(error)) => fail(IO, &format!("writing to the client failed: {error}")),
    }
}

fn fail(code: u8, text: &str) -> ExitCode {
    eprintln!("nucleus-mcp: {text}");
    ExitCode::from(code)
}
