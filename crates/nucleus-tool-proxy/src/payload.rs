//! The payload's own output on its way to the user.

use std::fs::File;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::thread::JoinHandle;

use nucleus_wire::control::FromProxy;

use crate::control::Control;

const CHUNK_BYTES: usize = 32 * 1024;

/// Sends what comes out of `pipe` as [`FromProxy::Output`] until every writer is gone.
///
/// # Errors
/// The thread could not be started.
pub(crate) fn forward(
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
        Err(_) => {
            let hex = bytes
                .iter()
                .flat_map(|byte| [byte >> 4, byte & 0xf])
                .filter_map(|digit| char::from_digit(digit.into(), 16));
            (String::from_utf8_lossy(bytes).into_owned(), Some(hex.collect()))
        }
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
