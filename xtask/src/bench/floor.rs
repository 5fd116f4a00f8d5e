//! The least a thing could cost here.

use std::fs::File;
use std::io::{PipeReader, PipeWriter, Read, Write, pipe};
use std::os::unix::fs::FileExt;
use std::os::unix::net::UnixStream;
use std::path::Path;

use super::sample::{Quantiles, measure};

const REQUEST_BYTES: usize = 128;
const ROUNDS: usize = 2_000;

/// The hops of a read without anything at them: a pipe to a relay, a socket to a server that reads the file, and back.
pub(super) fn relayed_read(file: &Path, bytes: usize) -> Result<Quantiles, String> {
    let failed = |error: std::io::Error| format!("the floor of reads: {error}");
    let file = File::open(file).map_err(failed)?;
    let (mut from_client, mut to_relay) = pipe().map_err(failed)?;
    let (mut from_relay, mut to_client) = pipe().map_err(failed)?;
    let (relay, server) = UnixStream::pair().map_err(failed)?;
    let back = relay.try_clone().map_err(failed)?;
    std::thread::scope(|scope| {
        scope.spawn(move || forward(&mut from_client, relay, REQUEST_BYTES));
        scope.spawn(move || backward(back, &mut to_client, bytes));
        scope.spawn(move || serve(&file, server, bytes));
        let request = vec![b'x'; REQUEST_BYTES];
        let mut answer = vec![0; bytes];
        let measured = measure(ROUNDS, || {
            to_relay.write_all(&request).map_err(failed)?;
            from_relay.read_exact(&mut answer).map_err(failed)
        });
        // The end of the requests ends every thread.
        drop(to_relay);
        measured
    })
}

/// Until the client has no more requests; then the socket closes, which ends the others.
fn forward(from: &mut PipeReader, mut to: UnixStream, bytes: usize) {
    let mut buffer = vec![0; bytes];
    while from.read_exact(&mut buffer).is_ok() && to.write_all(&buffer).is_ok() {}
    // An error means that it is closed already.
    let _closed = to.shutdown(std::net::Shutdown::Both);
}

fn backward(mut from: UnixStream, to: &mut PipeWriter, bytes: usize) {
    let mut buffer = vec![0; bytes];
    while from.read_exact(&mut buffer).is_ok() && to.write_all(&buffer).is_ok() {}
}

fn serve(file: &File, mut socket: UnixStream, bytes: usize) {
    let mut request = vec![0; REQUEST_BYTES];
    let mut answer = vec![0; bytes];
    while socket.read_exact(&mut request).is_ok() {
        if file.read_exact_at(&mut answer, 0).is_err() || socket.write_all(&answer).is_err() {
            return;
        }
    }
}
