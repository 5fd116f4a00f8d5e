//! Measures appending and verifying, each against a floor measured in the same run; prints one JSON object.
//!
//! `cargo run --release -p nucleus-log --example log_bench [DIR]`: DIR is where the log is written (default: the
//! directory for temporary files). Rounds of floor and log alternate, so that a noisy machine disturbs both.

use std::error::Error;
use std::fs::{self, File};
use std::hint::black_box;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use aws_lc_rs::{digest, hmac};
use nucleus_log::{
    Durability, Event, Keys, Origin, Phase, Verdict, VerifyKeys, VerifyOptions, Writer, verify,
};
use serde::Deserialize;
use serde_json::json;
use serde_json::value::RawValue;

type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

const WRITERS: usize = 64;
const ROUNDS: usize = 5;
const APPENDS_PER_WRITER: usize = 60;
const SYNCS: usize = 60;
/// Few enough to stay in one segment.
const VERIFY_ENTRIES: usize = 80_000;
const LINE_BYTES: usize = 450;

fn main() -> Outcome<()> {
    let base = std::env::args_os().nth(1).map_or_else(std::env::temp_dir, PathBuf::from);
    let dir = tempfile::tempdir_in(base)?;
    let keys = Keys::load_or_create(&dir.path().join("keys"))?;
    let append = append(dir.path(), &keys)?;
    let verify = verifying(dir.path(), &keys)?;
    println!("{}", json!({ "append": append, "verify": verify }));
    Ok(())
}

fn event(n: usize) -> Event {
    Event {
        tool: Some("read".into()),
        target: Some(format!("crates/nucleus-log/src/file{n}.rs")),
        result: Some("success".into()),
        phase: Phase::Decision,
        request_id: Some(format!("request-{n}")),
        rule: Some("allow.capability.always".into()),
        bytes_returned: Some(4_523),
        ..Event::new("tool_execution", "agent-prod-047")
    }
}

/// Durable appends of 64 threads, beside the bare cost of writing 64 lines and syncing them.
fn append(dir: &Path, keys: &Keys) -> Outcome<serde_json::Value> {
    let mut latencies = Vec::new();
    let mut floor = Vec::new();
    let mut took = Duration::ZERO;
    for round in 0..ROUNDS {
        floor.extend(syncs(&dir.join(format!("floor-{round}")))?);
        let origin = Origin::parse(&format!("bench/append/{round}"))?;
        let writer = Writer::create(&dir.join(format!("append-{round}.jsonl")), keys, origin)?;
        let begun = Instant::now();
        let own: Vec<Outcome<Vec<Duration>>> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..WRITERS).map(|_| scope.spawn(|| appends(&writer))).collect();
            threads
                .into_iter()
                .map(|t| t.join().unwrap_or_else(|_| Err("a thread died".into())))
                .collect()
        });
        took += begun.elapsed();
        for part in own {
            latencies.extend(part?);
        }
        writer.close()?;
    }
    let count = latencies.len();
    let (p50, p99) = (quantile(&mut latencies, 50), quantile(&mut latencies, 99));
    let (floor_p50, floor_p99) = (quantile(&mut floor, 50), quantile(&mut floor, 99));
    Ok(json!({
        "writers": WRITERS,
        "p50_us": p50,
        "p99_us": p99,
        "entries_per_s": per_second(count, took),
        "floor_p50_us": floor_p50,
        "floor_p99_us": floor_p99,
        "allowed_p99_us": 2.0 * floor_p99 + 1_000.0,
    }))
}

fn appends(writer: &Writer) -> Outcome<Vec<Duration>> {
    (0..APPENDS_PER_WRITER)
        .map(|n| {
            let event = event(n);
            let begun = Instant::now();
            writer.append(&event, Durability::Durable)?;
            Ok(begun.elapsed())
        })
        .collect()
}

fn syncs(path: &Path) -> Outcome<Vec<Duration>> {
    let mut file = File::create_new(path)?;
    let batch = vec![b'x'; WRITERS * LINE_BYTES];
    (0..SYNCS)
        .map(|_| {
            let begun = Instant::now();
            file.write_all(&batch)?;
            file.sync_data()?;
            Ok(begun.elapsed())
        })
        .collect()
}

/// Verification of a log, beside the naive way to do a part of it.
fn verifying(dir: &Path, keys: &Keys) -> Outcome<serde_json::Value> {
    let path = dir.join("verify.jsonl");
    let writer = Writer::create(&path, keys, Origin::parse("bench/verify")?)?;
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for n in 0..VERIFY_ENTRIES / 8 {
                    if writer.append(&event(n), Durability::Written).is_err() {
                        return;
                    }
                }
            });
        }
    });
    writer.close()?;
    let trusted = keys.verify_keys()?;
    let public = VerifyKeys { mac: None, ..trusted.clone() };
    let (mut full, mut by_public, mut naive) = (Duration::MAX, Duration::MAX, Duration::MAX);
    let (mut full_cpu, mut naive_cpu) = (Duration::MAX, Duration::MAX);
    for _ in 0..ROUNDS {
        let (begun, cpu) = (Instant::now(), cpu_time());
        if floor(&path)? != VERIFY_ENTRIES {
            return Err("the floor disagrees".into());
        }
        naive = naive.min(begun.elapsed());
        naive_cpu = naive_cpu.min(cpu_time().saturating_sub(cpu));
        let cpu = cpu_time();
        full = full.min(timed(&path, &trusted, Verdict::Ok)?);
        full_cpu = full_cpu.min(cpu_time().saturating_sub(cpu));
        by_public = by_public.min(timed(&path, &public, Verdict::OkWithoutMacKey)?);
    }
    Ok(json!({
        "entries": VERIFY_ENTRIES,
        "bytes": fs::metadata(&path)?.len(),
        "entries_per_s": per_second(VERIFY_ENTRIES, full),
        "public_key_only_entries_per_s": per_second(VERIFY_ENTRIES, by_public),
        "floor_entries_per_s": per_second(VERIFY_ENTRIES, naive),
        "ratio": naive.as_secs_f64() / full.as_secs_f64(),
        "cpu_ratio": naive_cpu.as_secs_f64() / full_cpu.as_secs_f64(),
    }))
}

fn timed(path: &Path, keys: &VerifyKeys, expected: Verdict) -> Outcome<Duration> {
    let begun = Instant::now();
    let report = verify(path, keys, &VerifyOptions::default())?;
    let took = begun.elapsed();
    if report.verdict != expected || report.entries != VERIFY_ENTRIES as u64 {
        return Err(format!("{report:?}").into());
    }
    Ok(took)
}

/// Processor time of this process so far: says more than wall time on a machine that is busy with other work.
fn cpu_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::try_from(time).unwrap_or_default()
}

#[derive(Deserialize)]
struct NaiveLine<'a> {
    timestamp: &'a str,
    sequence: u64,
    previous_hash: &'a str,
    #[serde(borrow)]
    event: &'a RawValue,
    signature: &'a str,
}

/// Split, borrowed parse, sequence, previous hash, prekeyed HMAC, SHA-256: no tree, no checkpoints, no strictness.
fn floor(path: &Path) -> Outcome<usize> {
    let text = fs::read(path)?;
    let key = hmac::Key::new(hmac::HMAC_SHA256, &[7; 32]);
    let mut count = 0;
    let mut previous = String::new();
    let mut rest = text.as_slice();
    while let Some(end) = memchr::memchr(b'\n', rest) {
        let (line, next) = rest.split_at(end);
        rest = next.get(1..).unwrap_or_default();
        let parsed: NaiveLine<'_> = serde_json::from_slice(line)?;
        count += 1;
        if parsed.sequence != count as u64 {
            return Err("sequence".into());
        }
        if count > 1 && parsed.previous_hash != previous {
            return Err("previous hash".into());
        }
        let head = line.len().saturating_sub(parsed.signature.len() + 16);
        let mut context = hmac::Context::with_key(&key);
        context.update(line.get(..head).unwrap_or_default());
        context.update(b"}");
        black_box((context.sign(), parsed.timestamp, parsed.event.get()));
        previous = hex(digest::digest(&digest::SHA256, line).as_ref());
    }
    Ok(count)
}

fn hex(bytes: &[u8]) -> String {
    let digit = |n: u8| char::from(if n < 10 { b'0' + n } else { b'a' + n - 10 });
    bytes.iter().flat_map(|b| [digit(b >> 4), digit(b & 15)]).collect()
}

/// In microseconds.
fn quantile(sample: &mut [Duration], percent: usize) -> f64 {
    sample.sort_unstable();
    let at = (sample.len() * percent / 100).min(sample.len().saturating_sub(1));
    sample.get(at).map_or(0.0, |d| d.as_secs_f64() * 1e6)
}

fn per_second(count: usize, took: Duration) -> f64 {
    (count as f64 / took.as_secs_f64()).round()
}
