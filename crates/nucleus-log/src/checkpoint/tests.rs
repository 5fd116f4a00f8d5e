//! Checkpoints as C2SP signed notes.
#![expect(clippy::string_slice, reason = "a test that fails, fails")]

use super::*;
use crate::key::CheckpointKey;

fn fixture() -> (Checkpoint, Origin, PublicKey, Ed25519KeyPair) {
    let key = CheckpointKey::from_seed([5; 32]);
    let checkpoint = Checkpoint {
        size: 3,
        root: Digest::of(b"root"),
        head: Digest::of(b"head"),
        time: "2026-01-31T14:23:45.123Z".into(),
        closed: false,
    };
    let origin = Origin::parse("example.com/log").unwrap();
    (checkpoint, origin, key.public().unwrap(), key.pair().unwrap())
}

fn note() -> String {
    let (checkpoint, origin, public, pair) = fixture();
    let bytes = checkpoint.seal(&origin, &public, &pair).unwrap();
    String::from_utf8(bytes).unwrap().strip_suffix('\n').unwrap().to_owned()
}

#[test]
fn a_note_is_text_empty_line_and_signature() {
    let (checkpoint, origin, public, _) = fixture();
    let note = note();
    let lines: Vec<&str> = note.split('\n').collect();
    assert_eq!(lines[..3], ["example.com/log", "3", &base64(Digest::of(b"root").as_bytes())]);
    assert_eq!(lines[6], "");
    assert!(lines[7].starts_with("\u{2014} example.com/log "));
    assert_eq!(lines[8..], [""]);
    assert_eq!(Checkpoint::open(note.as_bytes(), &origin, &public), Ok(checkpoint));
}

/// The published verifier key of Go's checksum database: `sum.golang.org+033de0ae+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8`.
#[test]
fn the_key_id_is_that_of_other_signed_note_logs() {
    let key = parse_base64("Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8").unwrap();
    let (algorithm, public) = key.split_first().unwrap();
    assert_eq!(*algorithm, ALGORITHM_ED25519);
    let public = PublicKey::new(public.try_into().unwrap());
    let origin = Origin::parse("sum.golang.org").unwrap();
    assert_eq!(key_id(&origin, &public), [0x03, 0x3d, 0xe0, 0xae]);
}

#[test]
fn signatures_of_others_are_ignored_and_a_forged_one_is_not() {
    let (checkpoint, origin, public, pair) = fixture();
    let note = note();
    let stranger = CheckpointKey::from_seed([6; 32]);
    let cosigned = format!("{note}\u{2014} witness.example {}\n", base64(&[9; 68]));
    assert_eq!(Checkpoint::open(cosigned.as_bytes(), &origin, &public), Ok(checkpoint.clone()));
    let other = stranger.public().unwrap();
    assert_eq!(Checkpoint::open(note.as_bytes(), &origin, &other), Err(NoteError::OtherKey));
    let forged = note.replacen("\n3\n", "\n4\n", 1);
    assert_eq!(Checkpoint::open(forged.as_bytes(), &origin, &public), Err(NoteError::BadSignature));
    for bad in ["", "x", "\n\n", "a\n\nb\n", &note[..note.len() - 1]] {
        assert_eq!(Checkpoint::open(bad.as_bytes(), &origin, &public), Err(NoteError::Malformed));
    }
    // Well signed, but not a checkpoint of this log.
    let elsewhere = Origin::parse("elsewhere").unwrap();
    let text = checkpoint.text(&elsewhere);
    let signature = pair.try_sign(text.as_bytes()).unwrap();
    let stamped = [&key_id(&origin, &public)[..], signature.as_ref()].concat();
    let moved = format!("{text}\n{SIGNATURE_LINE}{origin} {}\n", base64(&stamped));
    assert_eq!(Checkpoint::open(moved.as_bytes(), &origin, &public), Err(NoteError::Malformed));
}

#[test]
fn a_file_is_its_complete_notes_and_a_rest() {
    let record = format!("{}\n", note());
    let file = record.repeat(3);
    let (all, rest) = notes(file.as_bytes());
    assert_eq!((all.len(), rest), (3, 0));
    assert!(all.iter().all(|n| *n == note().as_bytes()));
    for cut in 1..record.len() {
        let (whole, rest) = notes(&file.as_bytes()[..file.len() - cut]);
        assert_eq!((whole.len(), rest), (2, record.len() - cut), "cut {cut}");
    }
    assert_eq!(notes(b""), (vec![], 0));
    assert_eq!(notes(&[b'x'; 10_000]), (vec![], 10_000));
}
