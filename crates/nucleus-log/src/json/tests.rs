//! The scanner accepts exactly one spelling.

use proptest::prelude::*;
use serde_json::Value;

use super::*;

fn accepts(text: &str) -> bool {
    let bytes = text.as_bytes();
    Scanner::default().event(bytes).is_some_and(|(_, rest)| rest.is_empty())
}

fn with(member: &str) -> String {
    format!("{{\"type\":\"t\",\"agent_id\":\"a\",{member}}}")
}

#[test]
fn members_that_verification_needs_are_found() {
    let text = with("\"tool\":\"run\",\"phase\":\"intent\",\"request_id\":\"r\\n1\"");
    let (facts, rest) = Scanner::default().event(text.as_bytes()).unwrap();
    assert_eq!(facts.phase, Some(&b"intent"[..]));
    assert_eq!(facts.request_id, Some(&b"r\\n1"[..]));
    assert!(rest.is_empty());
}

#[test]
fn what_is_accepted_and_what_is_not() {
    assert!(accepts("{\"type\":\"t\",\"agent_id\":\"a\"}"));
    for good in [
        "\"x\":null",
        "\"x\":true,\"y\":false",
        "\"x\":0",
        "\"x\":-1",
        "\"x\":9007199254740991",
        "\"x\":[]",
        "\"x\":{}",
        "\"x\":[1,{\"a\":[]},\"\"]",
        "\"x\":{\"a\":1,\"b\":{\"a\":1}}",
        "\"x\":\"\\\"\\\\\\b\\f\\n\\r\\t\\u0000\\u001f\"",
        "\"x\":\"é😀\"",
        "\"tool\":\"a\",\"target\":\"b\",\"result\":\"c\",\"x\":1",
        "\"target\":\"b\",\"x\":1",
    ] {
        assert!(accepts(&with(good)), "{good}");
    }
    for bad in [
        "",
        "\"x\"",
        "\"x\":",
        "\"x\": 1",
        "\"x\":1,",
        "\"x\":1}",
        "\"x\":00",
        "\"x\":01",
        "\"x\":-0",
        "\"x\":+1",
        "\"x\":1.0",
        "\"x\":1e1",
        "\"x\":9007199254740992",
        "\"x\":99999999999999999999",
        "\"x\":nul",
        "\"x\":[1,]",
        "\"x\":[1 ]",
        "\"x\":{\"a\":1,\"a\":1}",
        "\"x\":{\"a\":1,}",
        "\"x\":1,\"x\":1",
        "\"type\":\"t\"",
        "\"x\":\"\\/\"",
        "\"x\":\"\\u000a\"",
        "\"x\":\"\\u0041\"",
        "\"x\":\"\\u001F\"",
        "\"x\":\"\\u0020\"",
        "\"x\":\"\\ud83d\\ude00\"",
        "\"x\":\"",
        "\"x\":'a'",
        "\"phase\":1",
        "\"request_id\":null",
        "\"x\":1,\"tool\":\"a\"",
        "\"result\":\"a\",\"target\":\"b\"",
    ] {
        assert!(!accepts(&with(bad)), "{bad}");
    }
    assert!(!accepts("{\"agent_id\":\"a\",\"type\":\"t\"}"));
    assert!(!accepts("{\"type\":1,\"agent_id\":\"a\"}"));
    let deep = |n: usize| with(&format!("\"x\":{}{}", "[".repeat(n), "]".repeat(n)));
    assert!(accepts(&deep(15)));
    assert!(!accepts(&deep(16)));
    assert!(!accepts(&deep(30_000)), "and without overflowing the stack");
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (-(1_i64 << 53) + 1..1 << 53).prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 32, 6, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            proptest::collection::btree_map(any::<String>(), inner, 0..6)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn whatever_serde_writes_is_accepted(value in value()) {
        let text = with(&format!("\"x\":{value}"));
        prop_assert!(accepts(&text), "{}", text);
    }

    /// Damage a sound text: if it is still accepted, an independent parser agrees on every member, and there is no
    /// other way to spell what it says.
    #[test]
    fn whatever_is_accepted_is_json_in_its_one_spelling(
        value in value(), at: prop::sample::Index, byte in prop_oneof![Just(b'"'), Just(b'\\'), Just(b'{'), Just(b'}'), Just(b','), Just(b':'), Just(b'0'), Just(b'u'), any::<u8>()], insert: bool,
    ) {
        let mut bytes = with(&format!("\"x\":{value}")).into_bytes();
        let at = at.index(bytes.len());
        if insert { bytes.insert(at, byte) } else { bytes[at] = byte }
        let clean = bytes.iter().all(|b| *b >= 0x20);
        if let (true, Ok(text)) = (clean, std::str::from_utf8(&bytes)) && accepts(text) {
            let parsed: Value = serde_json::from_str(text).unwrap();
            prop_assert_eq!(parsed.to_string().len(), text.len(), "{}", text);
        }
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = Scanner::default().event(&bytes);
        let _ = Scanner::default().event(&[b"{\"type\":\"", bytes.as_slice()].concat());
    }
}
