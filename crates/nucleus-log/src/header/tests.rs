//! Headers are believed only whole and signed.

use super::*;
use crate::key::{CheckpointKey, Keys, MacMaster};

fn keys() -> Keys {
    Keys::new(MacMaster::new([1; 32]), CheckpointKey::from_seed([2; 32]))
}

fn sealed(edit: impl Fn(&mut HeaderBody)) -> Vec<u8> {
    let keys = keys();
    let key = keys.mac.header_key().unwrap();
    let mut body = HeaderBody {
        format: FORMAT.into(),
        origin: Origin::parse("o").unwrap(),
        log_id: "00".into(),
        created: "2026-01-31T14:23:45.123Z".into(),
        segment: 0,
        first_sequence: 1,
        first_epoch: 0,
        epoch_entries: 10,
        previous_hash: Digest::ZERO,
        mac_key_id: key.id().into(),
        public_key: keys.checkpoint.public().unwrap().to_string(),
    };
    edit(&mut body);
    body.seal(&key, &keys.checkpoint.pair().unwrap()).unwrap()
}

#[test]
fn a_sealed_header_comes_back_and_is_authentic() {
    let bytes = sealed(|_| {});
    let header = Header::parse(&bytes).unwrap();
    assert_eq!(header.authentic(&keys().verify_keys().unwrap()), Ok(Authentic::Yes));
    assert_eq!(header.digest, Digest::of(&bytes[..bytes.len() - 1]));
    let epochs = [1, 10, 11, 21].map(|sequence| header.epoch_of(sequence));
    assert_eq!(epochs, [0, 0, 1, 2]);
}

#[test]
fn other_spellings_and_senseless_values_are_refused() {
    let text = String::from_utf8(sealed(|_| {})).unwrap();
    for bad in [
        text.replace(",\"segment\"", ", \"segment\""),
        text.replace("\"segment\":0", "\"segment\":0,\"extra\":1"),
        text.replace("\"segment\":0", "\"segment\":0,\"segment\":0"),
        text.replace("\"log_id\":\"00\"", "\"log_id\":\"\\u0030\\u0030\""),
        text.trim_end().to_owned(),
        format!("{text}\n"),
        String::new(),
    ] {
        assert!(Header::parse(bad.as_bytes()).is_none(), "{bad}");
    }
    assert!(Header::parse(&sealed(|b| b.format = "nucleus-log/2".into())).is_none());
    assert!(Header::parse(&sealed(|b| b.epoch_entries = 0)).is_none());
    assert!(Header::parse(&sealed(|b| b.first_sequence = 0)).is_none());
    assert!(Header::parse(&sealed(|b| b.segment = MAX_SEGMENTS)).is_none());
}
