//! A log is written, verified, resumed and read.
#![expect(clippy::string_slice, reason = "a test that fails, fails")]

mod common;

use common::*;
use nucleus_log::*;

#[test]
fn a_written_log_verifies_with_both_keys_and_with_either() {
    let bench = Bench::new();
    let writer = bench.writer();
    for n in 0..10 {
        let appended = writer.append(&event(n), durability(n)).unwrap();
        assert_eq!(appended.sequence, n + 1);
    }
    let closed = writer.close().unwrap();
    assert_eq!(closed.entries, 10);
    let report = bench.verify();
    assert_eq!(report.verdict, Verdict::Ok, "{report:?}");
    assert_eq!(report.entries, 10);
    assert_eq!(report.head, Some(closed.head));
    assert_eq!(report.beyond_checkpoint, 0);
    assert!(report.closed && report.macs_checked && report.public_key_given);
    let proved = report.proved.unwrap();
    assert_eq!((proved.size, proved.root), (10, closed.root));

    let report = bench.verify_with(&bench.public_only());
    assert_eq!(report.verdict, Verdict::OkWithoutMacKey);
    assert!(!report.macs_checked);
    let report = bench.verify_with(&bench.mac_only());
    assert_eq!(report.verdict, Verdict::Ok);
    assert!(!report.public_key_given);
    let nothing = verify(&bench.log(), &VerifyKeys::default(), &VerifyOptions::default());
    assert!(matches!(nothing, Err(VerifyError::NoKey)));
}

#[test]
fn lines_have_the_documented_shape() {
    let bench = Bench::new();
    let writer = bench.writer();
    writer.append(&event(0), Durability::Durable).unwrap();
    writer.close().unwrap();
    let text = bench.read_log();
    let line = text.strip_suffix('\n').unwrap();
    assert!(line.starts_with("{\"timestamp\":\"20"), "{line}");
    let order = [
        "\"timestamp\":",
        "\"sequence\":1,",
        "\"previous_hash\":\"",
        "\"event\":{\"type\":\"tool_execution\",\"agent_id\":\"agent-1\",\"tool\":\"read\",\"target\":\"src/0.rs\",\"result\":\"success\"",
        "\"signature\":\"hmac-sha256:",
    ];
    let mut at = 0;
    for part in order {
        at += line[at..].find(part).unwrap_or_else(|| panic!("{part} not in order in {line}"));
    }
    assert!(!line.contains(": ") && !line.contains(", "));
}
