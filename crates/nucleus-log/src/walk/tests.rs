//! What only an attacker with keys can try.

use super::*;
use crate::event::{Event, Stamp};
use crate::header::{FORMAT, HeaderBody};
use crate::key::{CheckpointKey, Keys, MacMaster};
use crate::line::compose;
use crate::origin::Origin;

const TIME: &str = "2026-01-31T14:23:45.123Z";

fn keys() -> Keys {
    Keys::new(MacMaster::new([1; 32]), CheckpointKey::from_seed([2; 32]))
}

fn header() -> Header {
    let keys = keys();
    let key = keys.mac.header_key().unwrap();
    let body = HeaderBody {
        format: FORMAT.into(),
        origin: Origin::parse("o").unwrap(),
        log_id: "00".into(),
        created: TIME.into(),
        segment: 0,
        first_sequence: 1,
        first_epoch: 0,
        epoch_entries: 3,
        previous_hash: Digest::ZERO,
        mac_key_id: key.id().into(),
        public_key: keys.checkpoint.public().unwrap().to_string(),
    };
    Header::parse(&body.seal(&key, &keys.checkpoint.pair().unwrap()).unwrap()).unwrap()
}

/// Lines of six entries; entry `n` says `text(n)` and is MACed with the key of epoch `epoch(n)`.
fn lines(text: impl Fn(u64) -> String, epoch: impl Fn(u64) -> u64) -> (Vec<u8>, Vec<Vec<u8>>) {
    let header = header();
    let mut bytes = Vec::new();
    let mut previous = header.digest;
    let mut tree = Tree::default();
    let mut notes = Vec::new();
    let public = keys().checkpoint.public().unwrap();
    for sequence in 1..=6 {
        let mut key = keys().mac.first_epoch(&header.body.origin, &header.body.log_id).unwrap();
        key.forward_to(epoch(sequence)).unwrap();
        let stamp = Stamp { monotonic_us: sequence, boot_id: "b".into() };
        let event = Event { target: Some(text(sequence)), ..Event::new("t", "a") };
        let event = event.encode(&stamp, 1_000).unwrap();
        let (digest, leaf) =
            compose(&mut bytes, &mut Vec::new(), &key, TIME, sequence, &previous, &event);
        previous = digest;
        tree.push(leaf);
        if sequence % 3 == 0 {
            let (size, root) = (tree.size(), tree.root());
            let checkpoint =
                Checkpoint { size, root, head: digest, time: TIME.into(), closed: false };
            let pair = keys().checkpoint.pair().unwrap();
            let mut note = checkpoint.seal(&header.body.origin, &public, &pair).unwrap();
            note.pop();
            notes.push(note);
        }
    }
    (bytes, notes)
}

fn verdict(lines: &[u8], notes: &[Vec<u8>]) -> Verdict {
    let notes: Vec<&[u8]> = notes.iter().map(Vec::as_slice).collect();
    let keys = keys().verify_keys().unwrap();
    let mut walk = Walk::begin(keys, header(), &notes, Report::new()).unwrap_or_else(|_| panic!());
    let stopped = walk.at_start().and_then(|()| walk.lines(lines)).err();
    walk.finish(stopped).0.verdict
}

fn epoch(sequence: u64) -> u64 {
    (sequence - 1) / 3
}

fn honest(sequence: u64) -> String {
    format!("honest {sequence}")
}

#[test]
fn old_entries_sealed_again_with_a_newer_key_are_refused() {
    let (sound, notes) = lines(honest, epoch);
    assert_eq!(verdict(&sound, &notes), Verdict::Ok);
    // The attacker of epoch 1 rewrites entry 2 with the key he has; even the checkpoint key does not help him.
    let lie = |n| if n == 2 { "a lie".into() } else { honest(n) };
    let (forged, forged_notes) = lines(lie, |n| epoch(n).max(1));
    assert_eq!(verdict(&forged, &forged_notes), Verdict::BadSignature { sequence: 1 });
    let (forged, _) = lines(lie, |n| if n == 2 { 1 } else { epoch(n) });
    assert_eq!(verdict(&forged, &notes), Verdict::BadSignature { sequence: 2 });
}

#[test]
fn who_has_the_mac_key_cannot_rewrite_what_was_signed() {
    let (_, notes) = lines(honest, epoch);
    let (rewritten, own_notes) = lines(|n| format!("a lie {n}"), epoch);
    assert_eq!(verdict(&rewritten, &notes), Verdict::Fork { sequence: 3 });
    // The limit of this format, stated in the documentation: with both keys the past can be rewritten.
    assert_eq!(verdict(&rewritten, &own_notes), Verdict::Ok);
}

#[test]
fn an_epoch_cannot_go_unsealed() {
    let (sound, notes) = lines(honest, epoch);
    assert_eq!(verdict(&sound, &notes[1..]), Verdict::MissingSidecar);
    assert_eq!(verdict(&sound, &notes[..1]), Verdict::Ok, "the last may be lost in a crash");
}
