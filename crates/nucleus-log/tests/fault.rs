//! The disk fails, the process dies.
#![expect(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that fails, fails"
)]

mod common;

use std::fs;
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use common::*;
use nucleus_log::*;

/// What fails, from when on.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Failure {
    None = 0,
    NoSpace,
    ShortWrite,
    Sync,
    Checkpoint,
    CheckpointSync,
    Create,
}

/// The host's disk, until it is told to fail.
#[derive(Debug, Clone)]
struct FailingDisk(Arc<AtomicU32>);

#[derive(Debug)]
struct FailingFile {
    inner: Box<dyn AppendFile>,
    checkpoints: bool,
    failure: Arc<AtomicU32>,
}

impl FailingDisk {
    fn fail(&self, failure: Failure) {
        self.0.store(failure as u32, Ordering::SeqCst);
    }
    fn fails(&self, failure: Failure) -> bool {
        self.0.load(Ordering::SeqCst) == failure as u32
    }
    fn wrap(&self, path: &Path, inner: Box<dyn AppendFile>) -> Box<dyn AppendFile> {
        let checkpoints = path.ends_with("checkpoints");
        Box::new(FailingFile { inner, checkpoints, failure: Arc::clone(&self.0) })
    }
}

impl Disk for FailingDisk {
    fn create(&self, path: &Path) -> io::Result<Box<dyn AppendFile>> {
        if self.fails(Failure::Create) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        Ok(self.wrap(path, HostDisk.create(path)?))
    }
    fn open(&self, path: &Path) -> io::Result<Box<dyn AppendFile>> {
        Ok(self.wrap(path, HostDisk.open(path)?))
    }
    fn publish(&self, path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
        HostDisk.publish(path, bytes, mode)
    }
}

impl FailingFile {
    fn fails(&self, failure: Failure) -> bool {
        self.failure.load(Ordering::SeqCst) == failure as u32
    }
}

impl AppendFile for FailingFile {
    fn append(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.checkpoints {
            if self.fails(Failure::Checkpoint) {
                return Err(io::ErrorKind::StorageFull.into());
            }
        } else if self.fails(Failure::NoSpace) {
            return Err(io::ErrorKind::StorageFull.into());
        } else if self.fails(Failure::ShortWrite) {
            return self.inner.append(&bytes[..bytes.len() / 2]);
        }
        self.inner.append(bytes)
    }
    fn sync(&mut self) -> io::Result<()> {
        let failure = if self.checkpoints { Failure::CheckpointSync } else { Failure::Sync };
        if self.fails(failure) { Err(io::Error::other("EIO")) } else { self.inner.sync() }
    }
    fn size(&self) -> io::Result<u64> {
        self.inner.size()
    }
    fn truncate(&mut self, len: u64) -> io::Result<()> {
        self.inner.truncate(len)
    }
}

#[test]
fn after_the_first_failure_every_append_is_refused_for_good() {
    for (failure, step, verdict) in [
        (Failure::NoSpace, Step::Write, Verdict::Ok),
        (Failure::ShortWrite, Step::ShortWrite, Verdict::TornTail),
        (Failure::Sync, Step::Sync, Verdict::Ok),
        (Failure::Checkpoint, Step::Checkpoint, Verdict::Ok),
        (Failure::CheckpointSync, Step::Checkpoint, Verdict::Ok),
        (Failure::Create, Step::Rotate, Verdict::Ok),
    ] {
        // By the writing thread, and by the thread that brings the event.
        for appended in [Durability::Durable, Durability::Written] {
            fails_for_good(failure, step, verdict, appended);
        }
    }
}

fn fails_for_good(failure: Failure, step: Step, verdict: Verdict, appended: Durability) {
    let bench = Bench::new();
    let disk = FailingDisk(Arc::new(AtomicU32::new(0)));
    let ports = Ports { disk: Arc::new(disk.clone()), ..Ports::default() };
    // Six entries make an epoch, and its seal a checkpoint; seven fill a segment.
    let options = Options { epoch_entries: 6, segment_bytes: 3_000, ..Options::default() };
    let writer =
        Writer::create_with(&bench.log(), &bench.keys, Bench::origin(), options, ports).unwrap();
    for n in 0..4 {
        writer.append(&event(n), Durability::Durable).unwrap();
    }
    disk.fail(failure);
    let failed = (4..30).find_map(|n| writer.append(&event(n), appended).err());
    let Some(AppendError::Poisoned(fault)) = failed else { panic!("{failure:?}: {failed:?}") };
    assert_eq!(fault.step, step, "{failure:?}");
    let written = fs::read(bench.log()).unwrap();
    disk.fail(Failure::None);
    for durability in [Durability::Durable, Durability::Written] {
        let refused = writer.append(&event(9), durability);
        assert_eq!(refused, Err(AppendError::Poisoned(fault)), "{failure:?}");
    }
    assert!(writer.close().is_err(), "{failure:?}");
    drop(writer);
    assert_eq!(fs::read(bench.log()).unwrap(), written, "{failure:?}: nothing after a failure");
    let report = bench.verify();
    assert_eq!(report.verdict, verdict, "{failure:?}");
    assert!(report.entries >= 4 && !report.closed);
    // With the disk sound again the log can be taken up.
    let writer = resumed(&bench);
    writer.append(&event(1), Durability::Durable).unwrap();
    writer.close().unwrap();
    assert_eq!(bench.verify().verdict, Verdict::Ok, "{failure:?}");
}

/// Goes on with a log. A child that another test is starting has a copy of the lock's descriptor until it executes.
fn resumed(bench: &Bench) -> Writer {
    let until = Instant::now() + Duration::from_secs(30);
    loop {
        match Writer::resume(&bench.log(), &bench.keys) {
            Err(LogError::Busy { .. }) if Instant::now() < until => std::thread::yield_now(),
            resumed => return resumed.unwrap(),
        }
    }
}

#[test]
fn waiting_threads_all_hear_of_a_failure() {
    let bench = Bench::new();
    let disk = FailingDisk(Arc::new(AtomicU32::new(0)));
    let ports = Ports { disk: Arc::new(disk.clone()), ..Ports::default() };
    let options = Options::default();
    let writer =
        Writer::create_with(&bench.log(), &bench.keys, Bench::origin(), options, ports).unwrap();
    let durable = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..16)
            .map(|_| {
                scope.spawn(|| {
                    let mut durable = 0_u64;
                    while writer.append(&event(0), Durability::Durable).is_ok() {
                        durable += 1;
                    }
                    durable
                })
            })
            .collect();
        std::thread::sleep(Duration::from_millis(50));
        disk.fail(Failure::Sync);
        threads.into_iter().map(|t| t.join().unwrap()).sum::<u64>()
    });
    assert!(durable > 0);
    assert!(bench.verify().entries >= durable, "nobody was told of an entry that is not there");
}

/// A real full disk. Needs root, for the mount.
#[test]
#[ignore = "needs root"]
fn needs_root_a_full_file_system_poisons_the_log_and_leaves_it_verifiable() {
    let mount = tempfile::tempdir().unwrap();
    let mounted = Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=256k", "tmpfs"])
        .arg(mount.path())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success());
    assert!(mounted, "a tmpfs is mounted by root");
    let unmount = || {
        let status = Command::new("umount").arg(mount.path()).status();
        assert!(status.is_ok_and(|status| status.success()));
    };
    let log = mount.path().join("log.jsonl");
    let bench = Bench::new();
    let writer = Writer::create(&log, &bench.keys, Bench::origin()).unwrap();
    let outcome = (0..10_000).find_map(|n| writer.append(&event(n), Durability::Durable).err());
    let again = writer.append(&event(0), Durability::Durable).err();
    drop(writer);
    let report = verify(&log, &bench.both(), &VerifyOptions::default()).unwrap();
    unmount();
    assert!(matches!(outcome, Some(AppendError::Poisoned(_))), "{outcome:?}");
    assert_eq!(outcome, again);
    assert!(matches!(report.verdict, Verdict::Ok | Verdict::TornTail), "{report:?}");
    assert!(report.entries > 100);
}

const CHILD: &str = "NUCLEUS_LOG_TEST_CHILD";

/// Not a test of its own: the process that the next test kills.
#[test]
fn child_that_appends_until_killed() {
    let Some(dir) = std::env::var_os(CHILD).map(PathBuf::from) else { return };
    let keys = Keys::load_or_create(&dir.join("keys")).unwrap();
    let log = dir.join("log.jsonl");
    let options = Options {
        epoch_entries: 16,
        segment_bytes: 40_000,
        busy_checkpoint_ms: 3,
        ..Options::default()
    };
    let writer = if log.exists() {
        Writer::resume_with(&log, &keys, options, Ports::default()).unwrap()
    } else {
        Writer::create_with(&log, &keys, Bench::origin(), options, Ports::default()).unwrap()
    };
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for n in 0.. {
                    let appended = writer.append(&event(n), durability(n)).unwrap();
                    if durability(n) == Durability::Durable {
                        println!("\ndurable {}", appended.sequence);
                    }
                }
            });
        }
    });
}

#[test]
fn after_kill_9_nothing_durable_is_lost_and_the_log_goes_on() {
    let bench = Bench::new();
    let mut durable = 0_u64;
    let mut torn = 0;
    for round in 0..25_u64 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["child_that_appends_until_killed", "--exact", "--nocapture"])
            .env(CHILD, bench.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let out = BufReader::new(child.stdout.take().unwrap());
        let (first, began) = std::sync::mpsc::channel();
        let reader = std::thread::spawn(move || {
            let lines = out.lines().map_while(Result::ok);
            let durable = lines.filter_map(|l| l.strip_prefix("durable ")?.parse::<u64>().ok());
            durable.inspect(|sequence| first.send(*sequence).unwrap_or_default()).max()
        });
        // Four times out of five while it writes, else while it starts, creates or recovers.
        if round % 5 != 0 {
            began.recv_timeout(Duration::from_secs(60)).unwrap();
        }
        std::thread::sleep(Duration::from_millis(round * 7 % 40));
        child.kill().unwrap();
        child.wait().unwrap();
        durable = durable.max(reader.join().unwrap().unwrap_or(0));
        if !bench.log().exists() {
            // Killed before the log was made: its sidecar is there, and nothing was ever recorded.
            fs::remove_dir_all(bench.sidecar()).ok();
            continue;
        }
        let report = bench.verify();
        assert!(
            matches!(report.verdict, Verdict::Ok | Verdict::TornTail | Verdict::Empty),
            "round {round}: {report:?}"
        );
        torn += u32::from(report.verdict == Verdict::TornTail);
        assert!(report.entries >= durable, "round {round}: {durable} acknowledged, {report:?}");
    }
    assert!(durable > 100, "positive control: the children did write ({durable})");
    eprintln!("{durable} durable entries, {torn} torn tails");
    let writer = Writer::resume(&bench.log(), &bench.keys).unwrap();
    writer.close().unwrap();
    assert_eq!(bench.verify().verdict, Verdict::Ok);
}
