//! The writer: many threads, hostile text, clocks, segments, recovery, one writer only.
#![expect(clippy::string_slice, clippy::unwrap_used, reason = "a test that fails, fails")]

mod common;

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use common::*;
use nucleus_log::*;

#[test]
fn sixty_four_threads_make_one_chain_and_every_answer_is_true() {
    let bench = Bench::new();
    let options = Options { epoch_entries: 100, ..Options::default() };
    let writer = bench.writer_with(options);
    let answers: Vec<Vec<Appended>> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..64)
            .map(|thread| {
                let writer = &writer;
                scope.spawn(move || {
                    (0..10)
                        .map(|n| writer.append(&event(thread * 10 + n), durability(n)).unwrap())
                        .collect()
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    for own in &answers {
        assert!(own.windows(2).all(|pair| pair[0].sequence < pair[1].sequence));
    }
    let closed = writer.close().unwrap();
    assert_eq!(closed.entries, 640);
    let report = bench.verify();
    assert_eq!((report.verdict, report.entries), (Verdict::Ok, 640));
    let text = bench.read_log();
    let lines: Vec<&str> = text.lines().collect();
    let sequences: BTreeSet<u64> = answers.iter().flatten().map(|a| a.sequence).collect();
    assert_eq!(sequences, (1..=640).collect());
    for answer in answers.iter().flatten() {
        let line = lines[usize::try_from(answer.sequence).unwrap() - 1];
        assert_eq!(Digest::of(line.as_bytes()), answer.hash);
    }
}

#[test]
fn text_in_an_event_cannot_become_a_line_a_member_or_a_signature() {
    let hostile = [
        "a\nb",
        "{\"timestamp\":\"2026-01-01T00:00:00.000Z\",\"sequence\":2}\n",
        "x\",\"result\":\"denied\",\"y\":\"",
        "\"},\"signature\":\"hmac-sha256:0000000000000000000000000000000000000000000000000000000000000000\"}\n",
        "\u{0}\u{1}\u{8}\u{c}\r\t\u{1b}[2J\u{7f}\u{85}\u{202e}\u{2028}\u{feff}",
        "\\u0022\\n\\",
        "😀\u{10ffff}",
    ];
    let bench = Bench::new();
    let writer = bench.writer();
    for text in hostile {
        let mut event = Event {
            phase: Phase::Decision,
            tool: Some(text.into()),
            target: Some(text.into()),
            request_id: Some(text.into()),
            ..Event::new("tool_execution", text)
        };
        event.detail.insert(text.into(), text.into());
        writer.append(&event, Durability::Durable).unwrap();
    }
    writer.close().unwrap();
    let report = bench.verify();
    assert_eq!((report.verdict, report.entries), (Verdict::Ok, hostile.len() as u64));
    for (entry, text) in entries(&bench.log()).unwrap().zip(hostile) {
        let members = entry.unwrap().members();
        for name in ["agent_id", "tool", "target", "request_id"] {
            assert_eq!(members[name], text);
        }
        assert_eq!(members["detail"][text], text);
        assert!(!members.contains_key("result"));
    }
}

#[test]
fn values_too_long_for_a_line_are_replaced_by_digest_and_size() {
    let bench = Bench::new();
    let writer = bench.writer();
    let long = "\u{1}".repeat(40_000);
    let mut big = Event { target: Some(long.clone()), ..Event::new("tool_execution", "a") };
    big.detail.insert("small".into(), "kept".into());
    writer.append(&big, Durability::Durable).unwrap();
    let fits = Event { target: Some("x".repeat(60_000)), ..Event::new("tool_execution", "a") };
    writer.append(&fits, Durability::Durable).unwrap();
    let mut many = Event::new("tool_execution", "a");
    for n in 0..20_000 {
        many.detail.insert(format!("{n}"), n.into());
    }
    writer.append(&many, Durability::Durable).unwrap();
    let id = Event { request_id: Some("x".repeat(257)), ..Event::new("x", "a") };
    let refused = writer.append(&id, Durability::Durable);
    assert_eq!(refused, Err(AppendError::Event(EventError::LongId)));
    let open = Event { phase: Phase::Intent, ..Event::new("x", "a") };
    let refused = writer.append(&open, Durability::Durable);
    assert_eq!(refused, Err(AppendError::Event(EventError::NoRequest)));
    let mut deep = Event::new("x", "a");
    let nested = (0..40).fold(serde_json::Value::Null, |inner, _| vec![inner].into());
    deep.detail.insert("deep".into(), nested);
    let refused = writer.append(&deep, Durability::Durable);
    assert_eq!(refused, Err(AppendError::Event(EventError::Depth)));
    writer.close().unwrap();
    assert_eq!(bench.verify().verdict, Verdict::Ok);
    let all: Vec<_> = entries(&bench.log()).unwrap().map(|e| e.unwrap().members()).collect();
    assert_eq!(all.len(), 3);
    let json = serde_json::to_string(&long).unwrap();
    assert_eq!(all[0]["target"]["sha256"], Digest::of(json.as_bytes()).to_string());
    assert_eq!(all[0]["target"]["size"], json.len());
    assert_eq!(all[0]["detail"]["small"], "kept");
    assert_eq!(all[1]["target"], "x".repeat(60_000));
    assert!(all[2]["detail"]["sha256"].is_string());
}

#[test]
fn numbers_outside_the_format_are_written_as_text() {
    let bench = Bench::new();
    let writer = bench.writer();
    let mut event = Event { bytes_returned: Some(u64::MAX), ..Event::new("x", "a") };
    event
        .detail
        .insert("n".into(), serde_json::json!([1.5, 9_007_199_254_740_991_u64, -1, i64::MIN]));
    writer.append(&event, Durability::Durable).unwrap();
    writer.close().unwrap();
    assert_eq!(bench.verify().verdict, Verdict::Ok);
    let members = entries(&bench.log()).unwrap().next().unwrap().unwrap().members();
    assert_eq!(members["bytes_returned"], u64::MAX.to_string());
    let expected = serde_json::json!(["1.5", 9_007_199_254_740_991_u64, -1, i64::MIN.to_string()]);
    assert_eq!(members["detail"]["n"], expected);
}

/// A clock whose wall time is set by the test.
struct SetClock(AtomicI64);

impl Clock for SetClock {
    fn wall_ms(&self) -> i64 {
        self.0.load(Ordering::SeqCst)
    }
    fn monotonic_us(&self) -> u64 {
        7
    }
    fn boot_id(&self) -> &'static str {
        "boot"
    }
}

#[test]
fn a_clock_that_steps_back_breaks_nothing_and_is_reported() {
    let bench = Bench::new();
    let clock = Arc::new(SetClock(AtomicI64::new(1_769_869_425_123)));
    let ports = Ports { clock: Arc::<SetClock>::clone(&clock), ..Ports::default() };
    let options = Options { epoch_entries: 2, ..Options::default() };
    let writer =
        Writer::create_with(&bench.log(), &bench.keys, Bench::origin(), options, ports).unwrap();
    for wall in [1_769_869_425_123, 1_769_869_425_124, 5_000, 6_000, -5_000, 1_769_869_425_125] {
        clock.0.store(wall, Ordering::SeqCst);
        writer.append(&event(0), Durability::Durable).unwrap();
    }
    writer.close().unwrap();
    let report = bench.verify();
    assert_eq!((report.verdict, report.clock_steps_back), (Verdict::Ok, 2));
    let text = bench.read_log();
    assert!(text.starts_with("{\"timestamp\":\"2026-01-31T14:23:45.123Z\",\"sequence\":1,"));
    assert!(text.contains("\"monotonic_us\":7,\"boot_id\":\"boot\""));
}

#[test]
fn written_entries_become_durable_and_signed_without_anyone_waiting() {
    let bench = Bench::new();
    let options = Options { busy_checkpoint_ms: 50, idle_checkpoint_ms: 100, ..Options::default() };
    let writer = bench.writer_with(options);
    writer.append(&event(0), Durability::Written).unwrap();
    assert_eq!(bench.verify().entries, 1, "written before the answer");
    let begun = Instant::now();
    let proved = loop {
        let report = bench.verify();
        assert!(report.live);
        if report.proved.as_ref().is_some_and(|p| p.size == 1)
            || begun.elapsed() > Duration::from_secs(10)
        {
            break report.proved.unwrap().size;
        }
        std::thread::sleep(Duration::from_millis(5));
    };
    assert_eq!(proved, 1);
    let before = bench.verify().checkpoints;
    std::thread::sleep(Duration::from_millis(400));
    assert!(bench.verify().checkpoints > before, "an idle log goes on to be signed");
    writer.close().unwrap();
    assert!(!bench.verify().live);
}

#[test]
fn a_log_can_be_verified_while_it_is_written() {
    let bench = Bench::new();
    let options = Options { epoch_entries: 50, segment_bytes: 100_000, ..Options::default() };
    let writer = bench.writer_with(options);
    let done = std::sync::atomic::AtomicBool::new(false);
    let counts = std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                // Bounded: verifying starts over each time and would never catch up with a writer that does not stop.
                for n in 0..500 {
                    if done.load(Ordering::SeqCst) {
                        return;
                    }
                    writer.append(&event(n), Durability::Written).unwrap();
                }
            });
        }
        let mut verdicts = Vec::new();
        while verdicts.len() < 40 || verdicts.last().is_some_and(|r: &Report| r.entries < 500) {
            verdicts.push(bench.verify());
        }
        done.store(true, Ordering::SeqCst);
        verdicts
    });
    for report in &counts {
        assert!(matches!(report.verdict, Verdict::Ok | Verdict::Empty), "{report:?}");
        assert!(report.live);
    }
    assert!(counts.windows(2).all(|pair| pair[0].entries <= pair[1].entries));
    writer.close().unwrap();
    assert_eq!(bench.verify().verdict, Verdict::Ok);
}

#[test]
fn segments_follow_each_other_and_none_may_be_missing() {
    let bench = Bench::new();
    let options = Options { segment_bytes: 1_500, epoch_entries: 4, ..Options::default() };
    let writer = bench.writer_with(options.clone());
    for n in 0..20 {
        writer.append(&event(n), Durability::Durable).unwrap();
    }
    writer.close().unwrap();
    let report = bench.verify();
    assert_eq!((report.verdict, report.entries), (Verdict::Ok, 20));
    assert!(report.segments > 3, "{report:?}");
    assert_eq!(bench.verify_with(&bench.public_only()).verdict, Verdict::OkWithoutMacKey);
    assert_eq!(entries(&bench.log()).unwrap().map(|e| e.unwrap().sequence).max(), Some(20));
    let ports = Ports::default();
    let writer = Writer::resume_with(&bench.log(), &bench.keys, options, ports).unwrap();
    let next = writer.append(&event(21), Durability::Durable).unwrap();
    assert_eq!(next.sequence, 22, "after log_resumed");
    writer.close().unwrap();
    let whole = bench.verify();
    assert_eq!((whole.verdict, whole.entries), (Verdict::Ok, 22));

    let gone = |names: &[String]| {
        let copy = bench.copy();
        for name in names {
            fs::remove_file(copy.sidecar().join(name)).unwrap();
        }
        copy.verify().verdict
    };
    let last = whole.segments - 1;
    let of = |n: u32| [format!("segment-{n:06}.jsonl"), format!("header-{n:06}.json")];
    assert_eq!(gone(&[]), Verdict::Ok);
    assert!(matches!(gone(&of(last)), Verdict::Truncated { .. }));
    assert!(matches!(gone(&of(last)[..1]), Verdict::Truncated { .. }));
    assert!(matches!(gone(&of(1)), Verdict::Truncated { .. }));
    assert!(!gone(&of(1)[..1]).is_ok());
    assert!(!gone(&of(1)[1..]).is_ok());
}

#[test]
fn a_crash_while_a_segment_begins_leaves_a_log_that_goes_on() {
    let bench = Bench::new();
    let options = Options { segment_bytes: 1_500, ..Options::default() };
    let writer = bench.writer_with(options);
    for n in 0..4 {
        writer.append(&event(n), Durability::Durable).unwrap();
    }
    while !bench.sidecar().join("segment-000001.jsonl").exists() {
        std::thread::sleep(Duration::from_millis(1));
    }
    writer.close().unwrap();
    let count = bench.verify().entries;
    // The header is there, the file is not yet.
    fs::remove_file(bench.sidecar().join("segment-000001.jsonl")).unwrap();
    let report = bench.verify();
    assert_eq!((report.verdict, report.entries), (Verdict::Ok, count));
    let writer = Writer::resume(&bench.log(), &bench.keys).unwrap();
    writer.append(&event(1), Durability::Durable).unwrap();
    writer.close().unwrap();
    let report = bench.verify();
    assert_eq!((report.verdict, report.entries, report.segments), (Verdict::Ok, count + 2, 2));
}

#[test]
fn an_unfinished_record_is_moved_aside_recorded_and_the_chain_goes_on() {
    let bench = Bench::new();
    let writer = bench.writer_with(Options { epoch_entries: 3, ..Options::default() });
    let initial = fs::read(bench.checkpoints()).unwrap();
    for n in 0..2 {
        writer.append(&event(n), Durability::Durable).unwrap();
    }
    writer.close().unwrap();
    let text = bench.read_log();
    let (keep, cut) = text.as_bytes().split_at(text.len() - 100);
    fs::write(bench.log(), keep).unwrap();
    fs::write(bench.checkpoints(), [&initial[..], b"nucleus/session/test\n2\nAAAA"].concat())
        .unwrap();
    assert!(!cut.is_empty());
    let report = bench.verify();
    assert_eq!((report.verdict, report.entries), (Verdict::TornTail, 1));
    assert_eq!(report.torn.checkpoint_bytes, 27);

    let writer = Writer::resume(&bench.log(), &bench.keys).unwrap();
    for n in 0..5 {
        writer.append(&event(n), Durability::Durable).unwrap();
    }
    writer.close().unwrap();
    let report = bench.verify();
    assert_eq!((report.verdict, report.entries), (Verdict::Ok, 7));
    let torn = report_torn(&bench);
    assert_eq!(torn.len(), 2, "{torn:?}");
    let first_line = text.find('\n').unwrap() + 1;
    let aside = fs::read(bench.sidecar().join(format!("torn-log-at-{first_line}"))).unwrap();
    assert_eq!(aside, &keep[first_line..]);
    let second = entries(&bench.log()).unwrap().nth(1).unwrap().unwrap().members();
    assert_eq!(second["type"], "log_resumed");
    assert_eq!(second["detail"]["torn_log_bytes"], keep.len() - first_line);
}

fn report_torn(bench: &Bench) -> Vec<String> {
    let names = fs::read_dir(bench.sidecar()).unwrap();
    let names = names.map(|e| e.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name.starts_with("torn-")).collect()
}

#[test]
fn a_log_that_was_tampered_with_is_not_continued() {
    let bench = Bench::new();
    bench.write(3, 100);
    let sound = bench.copy();
    assert!(Writer::resume(&sound.log(), &sound.keys).is_ok());
    let text = bench.read_log();
    for damaged in
        [text.replacen("src/1", "src/x", 1), text[..text.len() - 9].to_owned(), String::new()]
    {
        fs::write(bench.log(), damaged).unwrap();
        let refused = Writer::resume(&bench.log(), &bench.keys);
        assert!(matches!(refused, Err(LogError::Untrusted { .. })), "{refused:?}");
    }
    fs::write(bench.log(), &text).unwrap();
    let stranger = Bench::new();
    let refused = Writer::resume(&bench.log(), &stranger.keys);
    let wrong = matches!(&refused, Err(LogError::Untrusted { verdict: Verdict::WrongKey, .. }));
    assert!(wrong, "{refused:?}");
    fs::remove_dir_all(bench.sidecar()).unwrap();
    let refused = Writer::resume(&bench.log(), &bench.keys);
    let missing =
        matches!(&refused, Err(LogError::Untrusted { verdict: Verdict::MissingSidecar, .. }));
    assert!(missing, "{refused:?}");
}

#[test]
fn a_log_has_one_writer() {
    let bench = Bench::new();
    let writer = bench.writer();
    writer.append(&event(0), Durability::Durable).unwrap();
    assert!(matches!(Writer::resume(&bench.log(), &bench.keys), Err(LogError::Busy { .. })));
    let again = Writer::create(&bench.log(), &bench.keys, Bench::origin());
    assert!(matches!(again, Err(LogError::Exists { .. })));
    writer.append(&event(1), Durability::Durable).unwrap();
    writer.close().unwrap();
    assert!(Writer::resume(&bench.log(), &bench.keys).is_ok());
}

#[test]
fn a_writer_whose_lock_or_log_was_touched_stops() {
    type Touch = fn(&Bench);
    let touches: [(&str, Touch); 4] = [
        ("lock replaced", |b| {
            fs::remove_file(b.sidecar().join("lock")).unwrap();
            fs::write(b.sidecar().join("lock"), "1\n").unwrap();
        }),
        ("fence raised", |b| fs::write(b.sidecar().join("lock"), "2\n").unwrap()),
        ("line appended", |b| {
            let text = b.read_log();
            fs::write(b.log(), format!("{text}{text}")).unwrap();
        }),
        ("log cut", |b| fs::write(b.log(), "").unwrap()),
    ];
    let both = [Durability::Durable, Durability::Written];
    for ((name, touch), durability) in touches.into_iter().flat_map(|t| both.map(|d| (t, d))) {
        let bench = Bench::new();
        let writer = bench.writer();
        writer.append(&event(0), Durability::Durable).unwrap();
        touch(&bench);
        // For what nobody waits for, a look at the lock counts this long.
        std::thread::sleep(Duration::from_millis(limits::LAZY_FENCE_MS + 1));
        let refused = writer.append(&event(1), durability);
        let fault = Fault { step: Step::Fence, kind: None };
        assert_eq!(refused, Err(AppendError::Poisoned(fault)), "{name}");
        assert_eq!(writer.append(&event(2), Durability::Written), refused, "{name}");
        assert_eq!(writer.fault(), Some(fault));
        assert!(matches!(writer.close(), Err(LogError::Poisoned(_))), "{name}");
    }
}

#[test]
fn a_closed_writer_takes_nothing_and_closes_the_same_again() {
    let bench = Bench::new();
    let writer = bench.writer();
    writer.append(&event(0), Durability::Written).unwrap();
    let closed = writer.close().unwrap();
    assert_eq!(writer.append(&event(1), Durability::Durable), Err(AppendError::Closed));
    assert_eq!(writer.close().unwrap(), closed);
    assert_eq!(bench.verify().entries, 1);
}

#[test]
fn intents_and_outcomes_are_joined() {
    let call = |phase, id: &str| Event {
        phase,
        request_id: Some(id.into()),
        ..Event::new("tool_execution", "a")
    };
    let written = |events: &[Event]| {
        let bench = Bench::new();
        let writer = bench.writer();
        for event in events {
            writer.append(event, Durability::Written).unwrap();
        }
        writer.close().unwrap();
        bench.verify()
    };
    use Phase::{Decision, Intent, Outcome};
    let paired = written(&[
        call(Intent, "a"),
        call(Intent, "b"),
        call(Decision, "c"),
        call(Outcome, "b"),
        call(Outcome, "a"),
    ]);
    assert_eq!((paired.verdict, paired.interrupted_total), (Verdict::Ok, 0));
    let interrupted = written(&[call(Intent, "a"), call(Intent, "b"), call(Outcome, "a")]);
    assert_eq!(interrupted.verdict, Verdict::Ok, "a crash is no crime");
    let expected = [Interrupted { sequence: 2, request_id: "b".into() }];
    assert_eq!(interrupted.interrupted, expected);
    let orphan = written(&[call(Intent, "a"), call(Outcome, "b")]);
    assert_eq!(orphan.verdict, Verdict::Unpaired { sequence: 2 });
    let twice = written(&[call(Intent, "a"), call(Outcome, "a"), call(Outcome, "a")]);
    assert_eq!(twice.verdict, Verdict::Unpaired { sequence: 3 });
    let repeated = written(&[call(Intent, "a"), call(Intent, "a")]);
    assert_eq!(repeated.verdict, Verdict::Unpaired { sequence: 2 });
}

#[test]
fn used_nonces_are_those_of_the_intents_of_a_log_that_verifies() {
    let bench = Bench::new();
    let writer = bench.writer();
    let call = |phase, id: &str, nonce: &str| Event {
        phase,
        request_id: Some(id.into()),
        grant_nonce: Some(nonce.into()),
        ..Event::new("tool_execution", "a")
    };
    for event in [
        call(Phase::Intent, "1", "used"),
        call(Phase::Outcome, "1", "used"),
        call(Phase::Decision, "2", "granted only"),
        call(Phase::Intent, "3", "also used"),
    ] {
        writer.append(&event, Durability::Durable).unwrap();
    }
    writer.close().unwrap();
    let history = approval_history(&bench.log(), &bench.both()).unwrap();
    assert_eq!(history.used_nonces, ["also used", "used"].map(String::from).into());
    assert!(history.latest_ms > 1_700_000_000_000, "{history:?}");
    let text = bench.read_log();
    fs::write(bench.log(), text.replace("also used", "not  used")).unwrap();
    let changed = approval_history(&bench.log(), &bench.both());
    assert!(matches!(changed, Err(HistoryError::Untrusted(_))));
}

#[test]
fn requests_are_as_their_last_entry_leaves_them() {
    let bench = Bench::new();
    let writer = bench.writer();
    let entry = |id: &str, state: &str| Event {
        phase: Phase::Decision,
        approval_id: Some(id.into()),
        result: Some(state.into()),
        tool: Some("git_push".into()),
        ..Event::new("approval", "a")
    };
    let intent = Event {
        phase: Phase::Intent,
        request_id: Some("1".into()),
        approval_id: Some("aaaa".into()),
        grant_nonce: Some("nonce".into()),
        ..Event::new("tool_execution", "a")
    };
    for event in [
        entry("aaaa", "pending"),
        entry("bbbb", "pending"),
        entry("aaaa", "granted"),
        intent,
        entry("bbbb", "refused"),
        entry("cccc", "pending"),
    ] {
        writer.append(&event, Durability::Durable).unwrap();
    }
    let outcome = Event {
        phase: Phase::Outcome,
        request_id: Some("1".into()),
        ..Event::new("tool_execution", "a")
    };
    writer.append(&outcome, Durability::Durable).unwrap();
    writer.close().unwrap();
    let history = approval_history(&bench.log(), &bench.both()).unwrap();
    let states: Vec<(&str, &str)> =
        history.requests.iter().map(|(id, r)| (id.as_str(), r.state.as_str())).collect();
    assert_eq!(states, [("aaaa", "used"), ("bbbb", "refused"), ("cccc", "pending")]);
}

#[test]
fn keys_are_made_once_and_refused_when_exposed_or_damaged() {
    let dir = tempfile::tempdir().unwrap();
    let keys = dir.path().join("keys");
    let first = Keys::load_or_create(&keys).unwrap().verify_keys().unwrap().public.unwrap();
    let second = Keys::load_or_create(&keys).unwrap().verify_keys().unwrap().public.unwrap();
    assert_eq!(first, second);
    assert_eq!(PublicKey::load(&keys.join(PUBLIC_KEY_FILE)).unwrap(), first);
    let mode = |path: &std::path::Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&keys), 0o700);
    for name in [MAC_KEY_FILE, CHECKPOINT_KEY_FILE] {
        let path = keys.join(name);
        assert_eq!(mode(&path), 0o600);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        assert!(matches!(Keys::load_or_create(&keys), Err(KeyError::Exposed { .. })));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        let sound = fs::read(&path).unwrap();
        for bad in [&sound[..31], &[&sound[..], b"\n"].concat()] {
            fs::write(&path, bad).unwrap();
            assert!(matches!(Keys::load_or_create(&keys), Err(KeyError::Malformed { .. })));
        }
        fs::remove_file(&path).unwrap();
        std::os::unix::fs::symlink("/dev/zero", &path).unwrap();
        assert!(matches!(Keys::load_or_create(&keys), Err(KeyError::Unavailable { .. })));
        fs::remove_file(&path).unwrap();
        fs::write(&path, &sound).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    }
    assert!(Keys::load_or_create(&keys).is_ok());
}
