//! A log written once, and verified by an independent program after the README: later versions must verify it too.
#![expect(clippy::unwrap_used, reason = "a test that fails, fails")]

mod common;

use common::copy_tree;
use nucleus_log::*;

const MAC_KEY: &str = "1b2ef19bff88cff0f4f22ce94ee620aa217a0c3a46279bea43cd916c89fbca21";
const PUBLIC_KEY: &str = "ed25519:edf9c0a246d4530c79aed38674382f547f07e5f96fa28f45ea5fe98e0021aa3b";

fn keys() -> VerifyKeys {
    let mac = *Digest::parse_hex(MAC_KEY).unwrap().as_bytes();
    VerifyKeys { mac: Some(MacMaster::new(mac)), public: PublicKey::parse(PUBLIC_KEY) }
}

#[test]
fn the_vector_of_version_1_verifies() {
    let dir = tempfile::tempdir().unwrap();
    copy_tree(
        &std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors/v1"),
        dir.path(),
    );
    let log = dir.path().join("log.jsonl");
    let report = verify(&log, &keys(), &VerifyOptions::default()).unwrap();
    assert_eq!(report.verdict, Verdict::Ok);
    assert_eq!((report.entries, report.segments, report.checkpoints), (9, 3, 6));
    assert_eq!(report.interrupted_total, 1);
    let root =
        Digest::parse_hex("8778a884970786fdcfa521cc8c34de1e2d3d847e38a1e665edf64beb858148cf");
    let proved = report.proved.unwrap();
    assert_eq!((proved.size, Some(proved.root)), (9, root));
    let target = "naïve \"quoted\"\n\u{1}\u{7f}😀\\";
    for entry in entries(&log).unwrap() {
        assert_eq!(entry.unwrap().members()["target"], target);
    }
}
