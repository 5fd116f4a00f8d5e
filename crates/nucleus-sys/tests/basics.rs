//! What can be shown without namespaces; the rest is shown by the attacks in `nucleus-sandbox`.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use nucleus_sys::{caps, fd, fs, landlock, memfd, process, seccomp};

#[test]
fn a_message_arrives_whole_with_its_descriptors() {
    let (ours, theirs) = UnixStream::pair().expect("pair");
    let file = memfd::sealed(b"inside").expect("memfd");
    fd::send(&ours, b"{}", &[file.as_fd()], 16).expect("send");
    fd::send(&ours, b"", &[], 16).expect("send");
    let (body, mut fds) = fd::receive(&theirs, 16).expect("receive").expect("a message");
    assert_eq!((body.as_slice(), fds.len()), (b"{}".as_slice(), 1));
    let mut text = String::new();
    File::from(fds.remove(0)).read_to_string(&mut text).expect("read");
    assert_eq!(text, "inside");
    let (body, fds) = fd::receive(&theirs, 16).expect("receive").expect("a message");
    assert!(body.is_empty() && fds.is_empty());
    drop(ours);
    assert!(fd::receive(&theirs, 16).expect("closed").is_none());
}

#[test]
fn messages_beyond_the_limit_are_refused_on_both_sides() {
    let (mut ours, theirs) = UnixStream::pair().expect("pair");
    let input = std::io::stdin();
    let many = vec![input.as_fd(); fd::MAX_FDS + 1];
    assert!(fd::send(&ours, b"", &many, 16).is_err());
    let sent = fd::send(&ours, &[0; 17], &[], 16).expect_err("too long");
    assert_eq!(sent.kind(), std::io::ErrorKind::InvalidInput);
    ours.write_all(&17_u32.to_le_bytes()).expect("a long header");
    let received = fd::receive(&theirs, 16).expect_err("too long");
    assert_eq!(received.kind(), std::io::ErrorKind::InvalidData);
    ours.write_all(&4_u32.to_le_bytes()).expect("header");
    drop(ours);
    let torn = fd::receive(&theirs, 16).expect_err("torn");
    assert_eq!(torn.kind(), std::io::ErrorKind::UnexpectedEof);
}

#[test]
fn a_sealed_memory_file_cannot_be_changed() {
    let file = memfd::sealed(b"key").expect("memfd");
    let mut file = File::from(file);
    assert!(file.write_all(b"x").is_err());
    assert!(file.set_len(0).is_err());
    let mut text = String::new();
    file.read_to_string(&mut text).expect("read");
    assert_eq!(text, "key");
}

#[test]
fn only_open_descriptors_are_inherited() {
    assert!(fd::inherit(0).is_err());
    assert!(fd::inherit(1_000_000).is_err());
    let file = File::open("/dev/null").expect("null");
    rustix::io::fcntl_setfd(&file, rustix::io::FdFlags::empty()).expect("flags");
    let raw = file.as_raw_fd();
    std::mem::forget(file);
    let ours = fd::inherit(raw).expect("inherit");
    let flags = rustix::io::fcntl_getfd(&ours).expect("flags");
    assert!(flags.contains(rustix::io::FdFlags::CLOEXEC));
}

#[test]
fn a_threaded_process_gets_no_token() {
    // The test harness runs this in a thread of its own.
    let waiting = std::thread::spawn(|| std::thread::sleep(Duration::from_millis(200)));
    assert!(process::SingleThreaded::verify().is_err());
    waiting.join().expect("join");
}

#[test]
fn file_system_ids_change_for_one_call() {
    let place = std::env::temp_dir().join(format!("nucleus-ids-{}", std::process::id()));
    std::fs::create_dir_all(&place).expect("directory");
    let (path, own) = (place.join("f"), std::fs::metadata(&place).expect("metadata").uid());
    if own == 0 {
        std::os::unix::fs::chown(&place, Some(54_321), Some(54_321)).expect("chown");
        let made = fs::with_fs_ids(54_321, 54_322, || File::create(&path));
        made.expect("ids").expect("file");
        let metadata = std::fs::metadata(&path).expect("metadata");
        assert_eq!((metadata.uid(), metadata.gid()), (54_321, 54_322));
        // The capabilities over files are gone inside and back afterwards.
        let denied = fs::with_fs_ids(54_321, 54_321, || File::open("/etc/shadow").is_err());
        assert!(denied.expect("ids"));
        assert!(File::open("/etc/shadow").is_ok());
        let caught = std::panic::catch_unwind(|| fs::with_fs_ids(54_321, 54_321, || panic!("x")));
        assert!(caught.is_err() && File::open("/etc/shadow").is_ok(), "restored after a panic");
    } else {
        assert!(fs::with_fs_ids(0, 0, || ()).is_err(), "an ordinary user stays that user");
    }
    std::fs::remove_dir_all(place).expect("clean up");
}

#[test]
fn filters_compile_here() {
    for require_sealed_memory_files in [false, true] {
        seccomp::compile(seccomp::Options { require_sealed_memory_files }).expect("compile");
    }
}

#[test]
fn probes_answer() {
    assert!(landlock::version() >= 0);
    let _either = caps::are_empty().expect("capabilities");
}

#[test]
fn an_ended_process_is_seen_through_its_descriptor() {
    let mut child = std::process::Command::new("true").spawn().expect("spawn");
    let pid = rustix::process::Pid::from_child(&child);
    let pidfd = rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty());
    let pidfd = pidfd.expect("pidfd");
    assert!(process::wait_end(pidfd.as_fd(), Some(Duration::from_secs(10))).expect("wait"));
    assert!(child.wait().expect("wait").success());
    assert!(process::pid_of(&pidfd).is_err());
    assert!(process::kill(pidfd.as_fd()).is_err());
}
