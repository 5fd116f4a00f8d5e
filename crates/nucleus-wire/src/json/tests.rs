use proptest::prelude::*;
use serde_json::json;

use super::{JsonErrorKind as Kind, Limits, parse};

fn kind_at(text: &str) -> (Kind, usize) {
    let error = parse(text.as_bytes(), &Limits::FRAME).expect_err(text);
    (error.kind(), error.offset())
}

#[test]
fn reads_every_kind_of_value() {
    let text = r#" {"a":[1,-2,3.5,1e3,-0.25E-2],"b":{"c":null,"d":true,"e":false},"f":"\"\\\/\b\f\n\r\té\ud83d\ude00","":[],"g":{}} "#;
    let value = parse(text.as_bytes(), &Limits::FRAME).unwrap();
    let expected: serde_json::Value = serde_json::from_str(text).unwrap();
    assert_eq!(value, expected);
}

#[test]
fn integers_stay_exact() {
    for text in ["18446744073709551615", "-9223372036854775808", "9007199254740993", "0"] {
        let value = parse(text.as_bytes(), &Limits::FRAME).unwrap();
        assert_eq!(value.to_string(), text);
        assert!(value.is_i64() || value.is_u64());
    }
}

#[test]
fn refuses_with_kind_and_offset() {
    let cases = [
        ("", Kind::UnexpectedEnd, 0),
        ("   ", Kind::UnexpectedEnd, 3),
        ("{", Kind::UnexpectedEnd, 1),
        ("[1,", Kind::UnexpectedEnd, 3),
        ("[1 2]", Kind::UnexpectedCharacter, 3),
        ("[1,]", Kind::UnexpectedCharacter, 3),
        ("{\"a\":1,}", Kind::UnexpectedCharacter, 7),
        ("{a:1}", Kind::UnexpectedCharacter, 1),
        ("{\"a\" 1}", Kind::UnexpectedCharacter, 5),
        ("]", Kind::UnexpectedCharacter, 0),
        ("{]", Kind::UnexpectedCharacter, 1),
        ("[1}", Kind::UnexpectedCharacter, 2),
        ("\u{feff}{}", Kind::UnexpectedCharacter, 0),
        ("nul", Kind::UnexpectedEnd, 3),
        ("nulL", Kind::UnexpectedCharacter, 3),
        ("NaN", Kind::UnexpectedCharacter, 0),
        ("Infinity", Kind::UnexpectedCharacter, 0),
        ("-", Kind::UnexpectedEnd, 1),
        ("-Infinity", Kind::InvalidNumber, 0),
        ("+1", Kind::UnexpectedCharacter, 0),
        ("01", Kind::InvalidNumber, 0),
        ("-01", Kind::InvalidNumber, 0),
        ("1.", Kind::UnexpectedEnd, 2),
        ("[1.]", Kind::InvalidNumber, 1),
        (".5", Kind::UnexpectedCharacter, 0),
        ("1.2.3", Kind::InvalidNumber, 0),
        ("1e", Kind::UnexpectedEnd, 2),
        ("0x10", Kind::Trailing, 1),
        ("18446744073709551616", Kind::NumberRange, 0),
        ("-9223372036854775809", Kind::NumberRange, 0),
        ("1e999", Kind::NumberRange, 0),
        ("\"abc", Kind::UnexpectedEnd, 4),
        ("\"a\nb\"", Kind::ControlCharacter, 2),
        ("\"\\x41\"", Kind::InvalidEscape, 1),
        ("\"\\u00g0\"", Kind::InvalidEscape, 1),
        ("\"\\u+123\"", Kind::InvalidEscape, 1),
        ("\"\\ud800\"", Kind::InvalidEscape, 1),
        ("\"\\ud800\\u0041\"", Kind::InvalidEscape, 1),
        ("\"\\udc00\"", Kind::InvalidEscape, 1),
        ("\"\\u12", Kind::UnexpectedEnd, 5),
        ("{} {}", Kind::Trailing, 3),
        ("1 // one", Kind::Trailing, 2),
        ("{\"a\":1,\"a\":2}", Kind::DuplicateKey, 7),
        ("{\"a\":1,\"\\u0061\":2}", Kind::DuplicateKey, 7),
        ("[{\"x\":{\"k\":1,\"b\":0,\"k\":1}}]", Kind::DuplicateKey, 19),
    ];
    for (text, kind, offset) in cases {
        assert_eq!(kind_at(text), (kind, offset), "{text:?}");
    }
}

#[test]
fn refuses_bytes_that_are_not_utf8() {
    for (bytes, offset) in [
        (&b"\"\xff\""[..], 1),
        (b"\"\xc0\xaf\"", 1),
        (b"\"\xed\xa0\x80\"", 1),
        (b"\xfe\xff\x00{", 0),
    ] {
        let error = parse(bytes, &Limits::FRAME).unwrap_err();
        assert_eq!((error.kind(), error.offset()), (Kind::Utf8, offset));
    }
}

#[test]
fn depth_is_capped_exactly() {
    let nest = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    assert!(parse(nest(64).as_bytes(), &Limits::FRAME).is_ok());
    assert_eq!(kind_at(&nest(65)), (Kind::TooDeep, 64));
    let objects = "{\"a\":".repeat(65);
    assert_eq!(kind_at(&objects).0, Kind::TooDeep);
    // Far more levels than any thread's stack could take.
    assert_eq!(kind_at(&"[".repeat(2_000_000)).0, Kind::TooDeep);
}

#[test]
fn size_and_count_are_capped_exactly() {
    let limits = Limits { max_bytes: 8, max_depth: 2, max_values: 4 };
    assert!(parse(b"[1,2,3] ", &limits).is_ok());
    let large = parse(b"[1,2,3]  ", &limits).unwrap_err();
    assert_eq!((large.kind(), large.offset()), (Kind::TooLarge, 8));
    let limits = Limits { max_bytes: 100, ..limits };
    let many = parse(b"[1,2,3,4]", &limits).unwrap_err();
    assert_eq!((many.kind(), many.offset()), (Kind::TooManyValues, 7));
}

#[test]
fn messages_name_the_place() {
    let error = parse(b"{\"a\":1,\"a\":2}", &Limits::FRAME).unwrap_err();
    assert_eq!(error.to_string(), "duplicate key at byte 7");
}

fn arbitrary_json() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(json!(null)),
        any::<bool>().prop_map(|b| json!(b)),
        any::<i64>().prop_map(|i| json!(i)),
        any::<u64>().prop_map(|u| json!(u)),
        any::<f64>().prop_filter("finite", |f| f.is_finite()).prop_map(|f| json!(f)),
        any::<String>().prop_map(|s| json!(s)),
    ];
    leaf.prop_recursive(6, 64, 8, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..8).prop_map(|v| json!(v)),
            prop::collection::btree_map(any::<String>(), inner, 0..8).prop_map(|m| json!(m)),
        ]
    })
}

proptest! {
    #[test]
    fn what_is_written_is_read_back(value in arbitrary_json()) {
        let text = serde_json::to_string(&value).unwrap();
        prop_assert_eq!(parse(text.as_bytes(), &Limits::FRAME).unwrap(), value.clone());
        let pretty = serde_json::to_string_pretty(&value).unwrap();
        prop_assert_eq!(parse(pretty.as_bytes(), &Limits::FRAME).unwrap(), value);
    }

    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..256)) {
        let _ = parse(&bytes, &Limits::FRAME);
    }

    /// Text made of JSON's own characters reaches deeper than random bytes, and whatever is accepted here the
    /// reference parser reads the same.
    #[test]
    fn accepts_nothing_the_reference_refuses(text in r#"[\[\]{}:,"\\u0-9a-f.eE+\-tnrl ]{0,40}"#) {
        if let Ok(value) = parse(text.as_bytes(), &Limits::FRAME) {
            prop_assert_eq!(serde_json::from_str::<serde_json::Value>(&text).unwrap(), value);
        }
    }
}
