use grep_matcher::Matcher;
use proptest::prelude::*;

use super::*;

fn code(pattern: &str) -> &'static str {
    regex(pattern, false).err().map_or("accepted", |fault| fault.code())
}

#[test]
fn nested_repetitions_are_refused() {
    for pattern in [
        "(a+)+",
        "(a*)*",
        "(?:a+)*",
        "((a+))+",
        "(a+)+$",
        "x(a+)+y",
        "([a-z]+)*",
        "(a*b?)+",
        "(a+|b)+",
        "(a{2,})+",
        "(a+){3,}",
        "((?:a+)+b)",
        "(?P<n>a+)+",
        "a**",
        "(a+$)+",
    ] {
        assert_eq!(code(pattern), "pattern.nested_repeat", "{pattern}");
    }
}

#[test]
fn overlapping_alternatives_are_refused() {
    for pattern in
        ["(a|a)+", "(?:ab|ab)*", "(\\w|\\d)+", "(a|[a-z])*", "(.|x)+", "((a|b|a))+", "(a|a){2,}"]
    {
        assert_eq!(code(pattern), "pattern.overlapping_alternatives", "{pattern}");
    }
}

#[test]
fn excessive_counts_are_refused() {
    for pattern in ["a{1000,}", "a{1000}", "(ab){1,5000}", "[a-z]{2000}", "(x|a{1000,})"] {
        assert_eq!(code(pattern), "pattern.excessive_repeat", "{pattern}");
    }
}

#[test]
fn ordinary_patterns_are_accepted() {
    for pattern in [
        "a+?",
        "é{2}",
        "a{2,}",
        "a{999}",
        "(\\w+\\.)+\\w+",
        "(foo|bar)+",
        "(.|x)?",
        "(a|b)+",
        "(\\d{1,3}\\.){3}\\d{1,3}",
        "fn\\s+(\\w+)\\s*\\(",
        "(?i)todo|fixme",
        "\\bnew\\b",
        "[^\"]*",
        "(\\s*,\\s*\\w)+",
        "(ab?)+",
        "漢字+",
        "^$",
        "(a+b)+",
        "(?:\\w+::)*\\w+",
        "(a+)?",
        "(a+){2}",
    ] {
        assert_eq!(code(pattern), "accepted", "{pattern}");
    }
}

#[test]
fn the_control_for_lazy_and_multibyte_patterns_finds_text() {
    let lazy = regex("a+?", false).unwrap();
    assert!(lazy.is_match(b"xaay").unwrap());
    let accents = regex("é{2}", false).unwrap();
    assert!(accents.is_match("caféé".as_bytes()).unwrap());
    assert!(!accents.is_match("café".as_bytes()).unwrap());
}

#[test]
fn what_is_no_expression_is_named() {
    assert_eq!(code("("), "pattern.syntax");
    assert_eq!(code("[z-a]"), "pattern.syntax");
    assert_eq!(code("\\p{Nothing}"), "pattern.syntax");
    assert_eq!(code(""), "pattern.empty");
    assert_eq!(code("a\nb"), "pattern.line_break");
    assert_eq!(code("a\\nb"), "pattern.line_break");
    assert_eq!(code(&"a".repeat(1025)), "pattern.too_long");
    assert_eq!(code("((a{900}){900}){900}"), "pattern.too_complex");
    assert_eq!(code(&"(".repeat(500)), "pattern.syntax");
    assert_eq!(code("(?=x)"), "pattern.syntax");
}

#[test]
fn globs_stay_within_names() {
    let any = glob("*.rs").unwrap();
    assert!(any.is_match("a.rs") && !any.is_match("src/a.rs"));
    let deep = glob("**/*.{rs,toml}").unwrap();
    assert!(deep.is_match("a.rs") && deep.is_match("x/y/Cargo.toml"));
    assert_eq!(glob("[").err().map(|f| f.code()), Some("pattern.glob"));
    assert_eq!(glob("{a").err().map(|f| f.code()), Some("pattern.glob"));
}

proptest! {
    #[test]
    fn no_text_makes_a_pattern_panic(text in any::<String>()) {
        let _ = regex(&text, true);
        let _ = glob(&text);
    }

    #[test]
    fn no_expression_like_text_makes_a_pattern_panic(
        text in "[a-cé漢(){}\\[\\]|*+?,0-9^$.\\\\:<>=!\\-&~PpdswbuxnDSW]{0,60}"
    ) {
        let _ = regex(&text, false);
        let _ = glob(&text);
    }

    #[test]
    fn what_is_accepted_can_be_searched_with(
        text in "[ab(|)*+?{}0-3]{0,12}", haystack in "[ab]{0,200}"
    ) {
        if let Ok(matcher) = regex(&text, false) {
            let _ = matcher.is_match(haystack.as_bytes());
        }
    }
}
