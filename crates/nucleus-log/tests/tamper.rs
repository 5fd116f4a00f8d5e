//! Whoever can write the files, but has no key, is found out. Every test begins with a log that verifies.
#![expect(
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::unwrap_used,
    reason = "a test that fails, fails"
)]

mod common;

use std::fs;

use common::*;
use nucleus_log::*;

/// Five entries in epochs of two, closed.
fn sound() -> Bench {
    let bench = Bench::new();
    bench.write(5, 2);
    assert_eq!(bench.verify().verdict, Verdict::Ok);
    bench
}

fn lines(bench: &Bench) -> Vec<String> {
    bench.read_log().lines().map(|line| format!("{line}\n")).collect()
}

fn put(bench: &Bench, lines: &[String]) {
    fs::write(bench.log(), lines.concat()).unwrap();
}

/// Replaces text in one line and says what verification finds, with both keys and with the public key alone.
fn edited(line: usize, edit: impl Fn(&str) -> String) -> (Verdict, Verdict) {
    let bench = sound();
    let mut all = lines(&bench);
    let changed = edit(&all[line]);
    assert_ne!(changed, all[line], "the edit must change something");
    all[line] = changed;
    put(&bench, &all);
    (bench.verify().verdict, bench.verify_with(&bench.public_only()).verdict)
}

#[test]
fn any_flipped_bit_of_the_log_is_found() {
    let bench = sound();
    let original = fs::read(bench.log()).unwrap();
    for at in 0..original.len() {
        let mut bytes = original.clone();
        bytes[at] ^= 1;
        fs::write(bench.log(), &bytes).unwrap();
        for keys in [bench.both(), bench.mac_only(), bench.public_only()] {
            let verdict = bench.verify_with(&keys).verdict;
            assert!(
                !matches!(verdict, Verdict::Ok | Verdict::OkWithoutMacKey | Verdict::TornTail),
                "flip at {at}: {verdict:?}"
            );
        }
    }
    fs::write(bench.log(), &original).unwrap();
    assert_eq!(bench.verify().verdict, Verdict::Ok);
}

#[test]
fn any_flipped_bit_of_the_sidecar_is_found() {
    let bench = sound();
    for path in [bench.sidecar().join("header-000000.json"), bench.checkpoints()] {
        let original = fs::read(&path).unwrap();
        for at in 0..original.len() {
            let mut bytes = original.clone();
            bytes[at] ^= 1;
            fs::write(&path, &bytes).unwrap();
            for keys in [bench.both(), bench.mac_only(), bench.public_only()] {
                let verdict = bench.verify_with(&keys).verdict;
                assert!(
                    !matches!(verdict, Verdict::Ok | Verdict::OkWithoutMacKey),
                    "flip at {at} of {}: {verdict:?}",
                    path.display()
                );
            }
        }
        fs::write(&path, &original).unwrap();
    }
    assert_eq!(bench.verify().verdict, Verdict::Ok);
}

#[test]
fn each_part_of_a_line_has_its_verdict() {
    let bad = Verdict::BadSignature { sequence: 3 };
    let broken = Verdict::BrokenChain { sequence: 4 };
    let target = edited(2, |line| line.replace("src/2.rs", "src/x.rs"));
    assert_eq!(target, (bad, broken));
    let result = edited(2, |line| line.replace("success", "failure"));
    assert_eq!(result, (bad, broken));
    let time = edited(2, |line| line.replacen("\"20", "\"19", 1));
    assert_eq!(time, (bad, broken));
    let signature = edited(2, |line| {
        let (head, tail) = line.split_at(line.len() - 5);
        format!("{head}{}", tail.replace(|c: char| c.is_ascii_hexdigit(), "0"))
    });
    assert!(matches!(signature, (Verdict::BadSignature { .. }, Verdict::BrokenChain { .. })));
    let previous = edited(2, |line| {
        let (head, tail) = line.split_once("\"previous_hash\":\"").unwrap();
        let first = if tail.starts_with('0') { "1" } else { "0" };
        format!("{head}\"previous_hash\":\"{first}{}", &tail[1..])
    });
    let broken_here = Verdict::BrokenChain { sequence: 3 };
    assert_eq!(previous, (broken_here, broken_here));
    let sequence = edited(2, |line| line.replace("\"sequence\":3", "\"sequence\":7"));
    assert_eq!(sequence, (Verdict::Gap { sequence: 3 }, Verdict::Gap { sequence: 3 }));
}

#[test]
fn other_spellings_of_the_same_json_are_malformed() {
    type Edit = fn(&str) -> String;
    let edits: [(&str, Edit); 10] = [
        ("space", |l| l.replace(",\"event\"", ", \"event\"")),
        ("leading zero", |l| l.replace("\"sequence\":3", "\"sequence\":03")),
        ("exponent", |l| l.replace("\"sequence\":3", "\"sequence\":3e0")),
        ("duplicate member", |l| l.replace("\"tool\":", "\"tool\":\"x\",\"tool\":")),
        ("member order", |l| {
            l.replace(
                "\"tool\":\"read\",\"target\":\"src/2.rs\"",
                "\"target\":\"src/2.rs\",\"tool\":\"read\"",
            )
        }),
        ("escape", |l| l.replace("src/2.rs", "src\\/2.rs")),
        ("long escape", |l| l.replace("src/2.rs", "\\u0073rc/2.rs")),
        ("carriage return", |l| l.replace('\n', "\r\n")),
        ("upper-case hash", |l| {
            let (head, tail) = l.split_once("\"previous_hash\":\"").unwrap();
            format!("{head}\"previous_hash\":\"{}{}", tail[..64].to_uppercase(), &tail[64..])
        }),
        ("algorithm", |l| l.replace("hmac-sha256:", "hmac-sha1:")),
    ];
    for (name, edit) in edits {
        let malformed = Verdict::Malformed { sequence: 3 };
        assert_eq!(edited(2, edit), (malformed, malformed), "{name}");
    }
}

#[test]
fn a_line_that_is_gone_moved_or_doubled_is_found() {
    let bench = sound();
    let all = lines(&bench);
    let mut deleted = all.clone();
    deleted.remove(2);
    put(&bench, &deleted);
    assert_eq!(bench.verify().verdict, Verdict::Gap { sequence: 3 });
    let mut swapped = all.clone();
    swapped.swap(1, 2);
    put(&bench, &swapped);
    assert_eq!(bench.verify().verdict, Verdict::Gap { sequence: 2 });
    let mut first_gone = all.clone();
    first_gone.remove(0);
    put(&bench, &first_gone);
    assert_eq!(bench.verify().verdict, Verdict::Gap { sequence: 1 });
    let mut doubled = all.clone();
    doubled.insert(3, all[2].clone());
    put(&bench, &doubled);
    assert_eq!(bench.verify().verdict, Verdict::Fork { sequence: 3 });
    put(&bench, &all);
    assert_eq!(bench.verify().verdict, Verdict::Ok);
}

#[test]
fn a_log_cut_at_any_byte_below_its_checkpoint_is_truncated() {
    let bench = sound();
    let original = fs::read(bench.log()).unwrap();
    for len in 0..original.len() {
        fs::write(bench.log(), &original[..len]).unwrap();
        let whole = original[..len].iter().filter(|b| **b == b'\n').count() as u64;
        let expected = Verdict::Truncated { signed: 5, present: whole };
        assert_eq!(bench.verify().verdict, expected, "cut at {len}");
        assert_eq!(bench.verify_with(&bench.public_only()).verdict, expected, "cut at {len}");
    }
    fs::remove_file(bench.log()).unwrap();
    assert_eq!(bench.verify().verdict, Verdict::Truncated { signed: 5, present: 0 });
}

#[test]
fn above_the_checkpoint_a_cut_is_a_torn_tail_and_the_report_says_what_is_proved() {
    let bench = Bench::new();
    let writer = bench.writer();
    let initial = fs::read(bench.checkpoints()).unwrap();
    for n in 0..4 {
        writer.append(&event(n), Durability::Durable).unwrap();
    }
    writer.close().unwrap();
    fs::write(bench.checkpoints(), initial).unwrap();
    let original = fs::read(bench.log()).unwrap();
    for len in 0..=original.len() {
        fs::write(bench.log(), &original[..len]).unwrap();
        let report = bench.verify();
        let whole = original[..len].iter().filter(|b| **b == b'\n').count() as u64;
        let expected = match original[..len].last() {
            None => Verdict::Empty,
            Some(b'\n') => Verdict::Ok,
            Some(_) => Verdict::TornTail,
        };
        assert_eq!(report.verdict, expected, "cut at {len}");
        assert_eq!((report.entries, report.beyond_checkpoint), (whole, whole));
        assert!(!report.closed);
    }
}

#[test]
fn two_histories_of_one_log_are_a_fork() {
    let bench = Bench::new();
    bench.write(3, 100);
    let other = bench.copy();
    for (side, target) in [(&bench, "one"), (&other, "other")] {
        let writer = Writer::resume(&side.log(), &side.keys).unwrap();
        let event = Event { target: Some(target.into()), ..event(9) };
        writer.append(&event, Durability::Durable).unwrap();
        writer.close().unwrap();
        assert_eq!(side.verify().verdict, Verdict::Ok);
    }
    fs::copy(other.log(), bench.log()).unwrap();
    assert_eq!(bench.verify().verdict, Verdict::Fork { sequence: 5 });
    // Both writers' checkpoints, one after the other.
    let both = [fs::read(bench.checkpoints()).unwrap(), fs::read(other.checkpoints()).unwrap()];
    fs::write(bench.checkpoints(), both.concat()).unwrap();
    assert!(matches!(bench.verify().verdict, Verdict::Fork { .. }));
}

#[test]
fn the_wrong_key_never_verifies() {
    let bench = sound();
    let stranger = Bench::new();
    for keys in [stranger.both(), stranger.mac_only(), stranger.public_only()] {
        assert_eq!(bench.verify_with(&keys).verdict, Verdict::WrongKey);
    }
    let mixed = [
        VerifyKeys { mac: bench.both().mac, public: stranger.both().public },
        VerifyKeys { mac: stranger.both().mac, public: bench.both().public },
    ];
    for keys in mixed {
        assert_eq!(bench.verify_with(&keys).verdict, Verdict::WrongKey);
    }
    // The header made to name the stranger's keys.
    stranger.write(5, 2);
    let header = "header-000000.json";
    let own = fs::read_to_string(bench.sidecar().join(header)).unwrap();
    let theirs = fs::read_to_string(stranger.sidecar().join(header)).unwrap();
    let member = |text: &str, name: &str| {
        let tail = text.split_once(&format!("\"{name}\":\"")).unwrap().1;
        tail.split_once('"').unwrap().0.to_owned()
    };
    let named = ["mac_key_id", "public_key"]
        .iter()
        .fold(own.clone(), |text, name| text.replace(&member(&own, name), &member(&theirs, name)));
    fs::write(bench.sidecar().join(header), named).unwrap();
    assert_eq!(bench.verify_with(&stranger.both()).verdict, Verdict::BadSignature { sequence: 0 });
}

#[test]
fn lines_of_another_log_under_the_same_keys_are_refused() {
    let bench = sound();
    let other = Bench::new();
    let other = Bench { keys: bench.keys.clone(), ..other };
    other.write(5, 2);
    assert_eq!(other.verify().verdict, Verdict::Ok);
    fs::copy(other.log(), bench.log()).unwrap();
    assert_eq!(bench.verify().verdict, Verdict::BrokenChain { sequence: 1 });
    fs::copy(
        other.sidecar().join("header-000000.json"),
        bench.sidecar().join("header-000000.json"),
    )
    .unwrap();
    assert!(matches!(bench.verify().verdict, Verdict::Fork { .. }));
}

#[test]
fn a_missing_sidecar_or_part_of_it_is_a_failing_verdict() {
    for part in ["", "header-000000.json", "checkpoints"] {
        let bench = sound();
        let path = bench.sidecar().join(part);
        if part.is_empty() {
            fs::remove_dir_all(path).unwrap();
        } else {
            fs::remove_file(path).unwrap();
        }
        let verdict = bench.verify().verdict;
        assert_eq!(verdict, Verdict::MissingSidecar, "without {part:?}");
        assert_ne!(verdict.exit_code(), 0);
    }
    let bench = sound();
    fs::write(bench.checkpoints(), "").unwrap();
    assert_eq!(bench.verify().verdict, Verdict::MissingSidecar);
    // One seal of an epoch gone: an epoch may not go unsealed.
    let bench = sound();
    let text = fs::read_to_string(bench.checkpoints()).unwrap();
    let notes: Vec<&str> = text.split("\n\n").collect();
    let kept: Vec<&str> =
        notes.chunks(2).filter(|n| !n[0].contains("\n2\n")).flatten().copied().collect();
    assert!(kept.len() < notes.len());
    fs::write(bench.checkpoints(), kept.join("\n\n")).unwrap();
    assert_eq!(bench.verify().verdict, Verdict::MissingSidecar);
    let bench = Bench::new();
    assert!(verify(&bench.log(), &bench.both(), &VerifyOptions::default()).is_err());
}

#[test]
fn an_empty_log_is_never_ok() {
    let bench = Bench::new();
    bench.writer().close().unwrap();
    assert_eq!(bench.verify().verdict, Verdict::Empty);
    assert_ne!(Verdict::Empty.exit_code(), 0);
    fs::remove_dir_all(bench.sidecar()).unwrap();
    assert_eq!(bench.verify().verdict, Verdict::MissingSidecar);
}

#[test]
fn rollback_of_log_and_sidecar_together_is_caught_by_the_pin_alone() {
    let bench = Bench::new();
    bench.write(3, 100);
    let early = bench.copy();
    let writer = Writer::resume(&bench.log(), &bench.keys).unwrap();
    writer.append(&event(3), Durability::Durable).unwrap();
    writer.close().unwrap();
    let report = bench.verify_pinned();
    assert_eq!((report.verdict, report.pin), (Verdict::Ok, Some(PinState::First)));
    let report = bench.verify_pinned();
    assert_eq!((report.verdict, report.pin), (Verdict::Ok, Some(PinState::Extends { from: 5 })));
    // Positive control: a log that grows still extends its pin.
    let writer = Writer::resume(&bench.log(), &bench.keys).unwrap();
    writer.append(&event(4), Durability::Durable).unwrap();
    writer.close().unwrap();
    assert_eq!(bench.verify_pinned().pin, Some(PinState::Extends { from: 5 }));

    fs::copy(early.log(), bench.log()).unwrap();
    fs::remove_dir_all(bench.sidecar()).unwrap();
    copy_tree(&early.sidecar(), &bench.sidecar());
    assert_eq!(bench.verify().verdict, Verdict::Ok, "without a pin nobody can tell");
    let report = bench.verify_pinned();
    assert_eq!(report.verdict, Verdict::RolledBack { pinned: 7 });
    assert_eq!(bench.verify_pinned().verdict, Verdict::RolledBack { pinned: 7 }, "and again");
    // A longer log of the same name with another history.
    fs::remove_file(bench.log()).unwrap();
    fs::remove_dir_all(bench.sidecar()).unwrap();
    bench.write(20, 100);
    assert_eq!(bench.verify().verdict, Verdict::Ok);
    assert_eq!(bench.verify_pinned().verdict, Verdict::RolledBack { pinned: 7 });
    fs::write(bench.path().join("pin.json"), "{").unwrap();
    let options = VerifyOptions { pin: Some(bench.path().join("pin.json")), max_age_s: None };
    let damaged = verify(&bench.log(), &bench.both(), &options);
    assert!(matches!(damaged, Err(VerifyError::Pin(PinError::Malformed { .. }))));
}

#[test]
fn a_log_without_a_recent_checkpoint_is_stale_when_asked() {
    let bench = sound();
    let aged = |max_age_s| {
        let options = VerifyOptions { pin: None, max_age_s: Some(max_age_s) };
        verify(&bench.log(), &bench.both(), &options).unwrap().verdict
    };
    assert_eq!(aged(3_600), Verdict::Ok);
    std::thread::sleep(std::time::Duration::from_millis(1_100));
    assert!(matches!(aged(0), Verdict::Stale { .. }));
}

#[test]
fn a_huge_line_or_a_file_of_zeros_is_refused_without_being_held_in_memory() {
    let bench = sound();
    let original = fs::read(bench.log()).unwrap();
    let file = fs::OpenOptions::new().write(true).open(bench.log()).unwrap();
    file.set_len(8 * 1024 * 1024 * 1024).unwrap();
    assert_eq!(bench.verify().verdict, Verdict::Malformed { sequence: 6 });
    fs::write(bench.log(), &original).unwrap();
    assert_eq!(bench.verify().verdict, Verdict::Ok);
}
