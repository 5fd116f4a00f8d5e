//! The relay against a door that a test plays.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;

struct Door {
    _directory: TempDir,
    path: PathBuf,
    listener: UnixListener,
}

impl Door {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("door.sock");
        let listener = UnixListener::bind(&path).unwrap();
        Self { _directory: directory, path, listener }
    }

    fn relay(&self) -> (Child, UnixStream) {
        let child = relay().arg(&self.path).spawn().unwrap();
        (child, self.listener.accept().unwrap().0)
    }
}

fn relay() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_nucleus-mcp"));
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn failed(output: &Output, code: i32, text: &str) {
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{stderr}");
    assert!(stderr.contains(text), "{stderr}");
    assert!(output.stdout.is_empty(), "stdout belongs to the protocol");
}

fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    let next = |_| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (state >> 56) as u8
    };
    (0..length).map(next).collect()
}

#[test]
fn bytes_pass_unchanged_both_ways_at_once() {
    let door = Door::new();
    let (mut child, stream) = door.relay();
    let sent = noise(5 * 1024 * 1024 + 17);
    let expected = sent.clone();
    let (mut stdin, mut stdout) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
    let sender = thread::spawn(move || stdin.write_all(&sent).map(drop));
    let echo = thread::spawn(move || {
        let (mut from, mut to) = (&stream, &stream);
        std::io::copy(&mut from, &mut to).unwrap();
    });
    let mut back = Vec::new();
    stdout.read_to_end(&mut back).unwrap();
    sender.join().unwrap().unwrap();
    echo.join().unwrap();
    assert!(back == expected, "{} of {} bytes", back.len(), expected.len());
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn answers_still_arrive_after_the_client_closed_its_side() {
    let door = Door::new();
    let (mut child, mut stream) = door.relay();
    child.stdin.take().unwrap().write_all(b"{\"id\":1}\n").unwrap();
    let mut request = String::new();
    stream.read_to_string(&mut request).unwrap();
    assert_eq!(request, "{\"id\":1}\n", "the end of the client's side reached the door");
    thread::sleep(Duration::from_millis(100));
    assert!(child.try_wait().unwrap().is_none(), "control: the relay still waits for answers");
    stream.write_all(b"late answer\n").unwrap();
    drop(stream);
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), output.stdout.as_slice()), (Some(0), &b"late answer\n"[..]));
}

#[test]
fn a_message_passes_at_once_not_when_a_buffer_is_full() {
    let door = Door::new();
    let (mut child, mut stream) = door.relay();
    let (mut stdin, mut stdout) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
    let mut byte = [0];
    for round in 0..100_u8 {
        stdin.write_all(&[round]).unwrap();
        stream.read_exact(&mut byte).unwrap();
        stream.write_all(&byte).unwrap();
        stdout.read_exact(&mut byte).unwrap();
        assert_eq!(byte[0], round);
    }
    // One side after the other: a door that closes first is another end than a client that is done.
    drop(stdin);
    assert_eq!(stream.read(&mut byte).unwrap(), 0);
    drop(stream);
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn a_missing_door_is_said() {
    let directory = tempfile::tempdir().unwrap();
    let missing = directory.path().join("none.sock");
    let output = relay().arg(&missing).stdin(Stdio::null()).output().unwrap();
    failed(&output, 69, "no door at ");
    std::fs::write(&missing, "").unwrap();
    failed(&relay().arg(&missing).stdin(Stdio::null()).output().unwrap(), 69, "no door at ");
    let long = format!("/{}", "x".repeat(200));
    failed(&relay().arg(long).stdin(Stdio::null()).output().unwrap(), 69, "no door at ");
}

#[test]
fn wrong_use_is_said() {
    for arguments in [&["a", "b"][..], &["--help"], &["-x"]] {
        failed(
            &relay().args(arguments).stdin(Stdio::null()).output().unwrap(),
            64,
            "usage: nucleus-mcp [SOCKET]",
        );
    }
}

#[test]
fn a_door_that_closes_first_ends_the_relay() {
    let door = Door::new();
    let (child, stream) = door.relay();
    drop(stream);
    let mut child = child;
    let stdin = child.stdin.take();
    let output = child.wait_with_output().unwrap();
    drop(stdin);
    failed(&output, 69, "the door closed");
}

#[test]
fn a_client_that_stops_reading_ends_the_relay() {
    let door = Door::new();
    let (mut child, mut stream) = door.relay();
    drop(child.stdout.take());
    stream.write_all(b"x").unwrap();
    let output = child.wait_with_output().unwrap();
    failed(&output, 74, "writing to the client failed");
}

/// A door that does not read holds the client back; it does not fill the relay's memory.
#[test]
fn memory_stays_small_under_a_flood() {
    let door = Door::new();
    let (mut child, mut stream) = door.relay();
    let mut stdin = child.stdin.take().unwrap();
    let writer = thread::spawn(move || stdin.write_all(&vec![b'x'; 64 * 1024 * 1024]));
    thread::sleep(Duration::from_millis(300));
    let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
    let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    let kib: u64 = resident.trim().trim_end_matches(" kB").parse().unwrap();
    assert!(kib < 8 * 1024, "{kib} KiB resident");
    assert!(!writer.is_finished(), "control: the client is held back");
    let mut all = Vec::new();
    let begun = Instant::now();
    stream.read_to_end(&mut all).unwrap();
    assert_eq!(all.len(), 64 * 1024 * 1024);
    assert!(begun.elapsed() < Duration::from_secs(30));
    writer.join().unwrap().unwrap();
    drop(stream);
    assert_eq!(child.wait().unwrap().code(), Some(0));
}
