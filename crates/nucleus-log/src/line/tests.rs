//! Composed lines scan; nothing else does.

use proptest::prelude::*;

use super::*;
use crate::event::{Event, Stamp};
use crate::key::MacMaster;
use crate::origin::Origin;

fn key() -> EpochKey {
    let origin = Origin::parse("o").unwrap();
    MacMaster::new([7; 32]).first_epoch(&origin, "id").unwrap()
}

fn line(sequence: u64, event: &Event) -> Vec<u8> {
    let stamp = Stamp { monotonic_us: 1, boot_id: "b".into() };
    let event = event.encode(&stamp, MAX_EVENT_BYTES).unwrap();
    let mut bytes = Vec::new();
    let time = "2026-01-31T14:23:45.123Z";
    let (digest, leaf) =
        compose(&mut bytes, &mut Vec::new(), &key(), time, sequence, &Digest::ZERO, &event);
    assert_eq!(bytes.pop(), Some(b'\n'));
    assert_eq!(digest, Digest::of(&bytes));
    assert_eq!(leaf, Digest::leaf(&mut Vec::new(), &bytes));
    bytes
}

#[test]
fn the_mac_covers_domain_origin_and_the_line_without_its_signature() {
    let bytes = line(9, &Event::new("t", "a"));
    let scanned = Line::scan(&mut Scanner::default(), &bytes).unwrap();
    assert_eq!(scanned.sequence, 9);
    assert_eq!(scanned.previous, Digest::ZERO.hex());
    assert!(key().accepts(scanned.head, scanned.tag));
    assert_eq!(*bytes.strip_prefix(scanned.head).unwrap().first().unwrap(), b',');
    let other = Origin::parse("p").unwrap();
    let other = MacMaster::new([7; 32]).first_epoch(&other, "id").unwrap();
    assert!(!other.accepts(scanned.head, scanned.tag), "another origin");
    let mut later = key();
    later.forward_to(1).unwrap();
    assert!(!later.accepts(scanned.head, scanned.tag), "another epoch");
    assert!(later.forward_to(0).is_err(), "there is no way back");
}

#[test]
fn the_longest_event_makes_a_line_within_the_limit() {
    let mut event = Event::new("t", "a");
    event.target = Some("x".repeat(MAX_EVENT_BYTES));
    let shrunk = line(u64::MAX >> 11, &event);
    assert!(shrunk.len() < 1_000);
    let stamp = Stamp { monotonic_us: 1, boot_id: "b".into() };
    event.target = Some(String::new());
    let rest = event.encode(&stamp, MAX_EVENT_BYTES).unwrap().len();
    event.target = Some("x".repeat(MAX_EVENT_BYTES - rest));
    assert_eq!(line(u64::MAX >> 11, &event).len(), crate::limits::MAX_LINE_BYTES);
}

#[test]
fn times_out_of_range_are_refused() {
    for good in ["2024-02-29T23:59:59.999Z", "2000-02-29T00:00:00.000Z", "0000-01-01T00:00:00.000Z"]
    {
        assert!(is_timestamp(good.as_bytes()), "{good}");
    }
    for bad in [
        "2023-02-29T00:00:00.000Z",
        "1900-02-29T00:00:00.000Z",
        "2023-13-01T00:00:00.000Z",
        "2023-00-01T00:00:00.000Z",
        "2023-01-00T00:00:00.000Z",
        "2023-04-31T00:00:00.000Z",
        "2023-01-01T24:00:00.000Z",
        "2023-01-01T00:60:00.000Z",
        "2023-01-01T00:00:60.000Z",
        "2023-01-01T00:00:00.000z",
        "2023-01-01 00:00:00.000Z",
        "2023-01-01T00:00:00.00Z",
        "2023-01-01T00:00:00.0000Z",
        "",
    ] {
        assert!(!is_timestamp(bad.as_bytes()), "{bad}");
    }
}

proptest! {
    #[test]
    fn composed_lines_scan_and_are_json(
        kind in "[a-z_]{1,20}", agent in any::<String>(), target in proptest::option::of(any::<String>()),
        sequence in 1_u64..1 << 53, bytes in any::<Option<u64>>(),
    ) {
        let mut event = Event::new(kind, agent.chars().take(60).collect::<String>());
        event.target = target.clone();
        event.bytes_returned = bytes;
        let bytes = line(sequence, &event);
        let scanned = Line::scan(&mut Scanner::default(), &bytes).unwrap();
        prop_assert_eq!(scanned.sequence, sequence);
        let parsed: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
        prop_assert_eq!(&parsed["sequence"], sequence);
        prop_assert_eq!(parsed["event"]["target"].as_str(), target.as_deref());
    }

    #[test]
    fn damaged_lines_neither_panic_nor_keep_their_mac(at: prop::sample::Index, byte: u8) {
        let sound = line(3, &Event::new("t", "a"));
        let mut bytes = sound.clone();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        if let Some(scanned) = Line::scan(&mut Scanner::default(), &bytes) {
            prop_assert_eq!(key().accepts(scanned.head, scanned.tag), bytes == sound);
        }
    }
}
