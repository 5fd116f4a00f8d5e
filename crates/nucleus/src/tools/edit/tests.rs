use std::fs;

use proptest::prelude::*;

use super::*;
use crate::tools::testing::{Bench, Open, code};

fn change(bench: &Bench, old: &str, new: &str, all: bool) -> Result<EditOutcome, ToolError> {
    edit(&bench.resolver(), &Open, &EditArgs { path: "f", old, new, all }, &bench.bounds())
}

fn fault(content: &str, old: &str) -> String {
    let bench = Bench::new();
    bench.put("f", content);
    let error = change(&bench, old, "new", false).unwrap_err();
    assert_eq!(bench.text("f"), content, "a failed edit changes nothing");
    error.agent_text()
}

#[test]
fn one_match_is_replaced_and_shown() {
    let bench = Bench::new();
    bench.put("f", "1\n2\n3\n4\n5\n6\n7\n8\n9\n");
    let done = change(&bench, "5\n", "five\nand a half\n", false).unwrap();
    assert_eq!(bench.text("f"), "1\n2\n3\n4\nfive\nand a half\n6\n7\n8\n9\n");
    let shown = "     2\t2\n     3\t3\n     4\t4\n     5\tfive\n     6\tand a half\n     7\t6\n     8\t7\n     9\t8\n    10\t9\n";
    assert_eq!(done.text, format!("Edited f: 1 occurrence replaced.\n{shown}"));
}

#[test]
fn no_match_says_what_is_different() {
    assert_eq!(
        fault("a\nb\n", "zzz"),
        "`f` is unchanged: old_string does not occur in it; read it again and copy the text exactly."
    );
    assert!(fault("a\r\nb\r\n", "a\nb").contains("the file ends its lines in CRLF"));
    assert!(fault("a\nb\n", "a\r\nb").contains("in LF, old_string in CRLF"));
    assert!(
        fault("fn a() {\n    b();\n}\n", "fn a() {\n\tb();\n}")
            .contains("line 1 differs only in white space")
    );
    assert!(
        fault("x\n  let y = 1;\n", "let  y = 1;").contains("line 2 differs only in white space")
    );
    assert!(
        fault("one\ntwo\n", "     1\tone\n     2\ttwo").contains("line numbers that read shows")
    );
    assert!(
        fault("Hello World\n", "hello world")
            .contains("line 1 differs only in upper and lower case")
    );
    assert!(fault("a\nfn x() {\n  1\n}\n", "fn x() {\n  2\n}").contains("first line is at line 2"));
}

#[test]
fn several_matches_name_their_lines() {
    assert_eq!(
        fault("x\na\nx\nb x x\n", "x"),
        "`f` is unchanged: old_string occurs 4 times, at lines 1, 3, 4; add lines around it until it is unique, or set replace_all."
    );
    assert!(fault(&"x\n".repeat(50), "x").contains("50 times, at lines 1, 2, 3"));
    assert!(fault(&"x\n".repeat(50), "x").contains("20 and more;"));
}

#[test]
fn every_match_is_replaced_when_asked() {
    let bench = Bench::new();
    bench.put("f", "aXbXcX");
    assert_eq!(change(&bench, "X", "--", true).unwrap().replaced, 3);
    assert_eq!(bench.text("f"), "a--b--c--");
    bench.put("f", "aaaa");
    assert_eq!(change(&bench, "aa", "a", true).unwrap().replaced, 2);
    assert_eq!(bench.text("f"), "aa");
}

#[test]
fn bytes_around_the_match_stay_as_they_are() {
    let bench = Bench::new();
    bench.put("f", b"\xff\r\nold\r\n\xfe");
    change(&bench, "old", "new", false).unwrap();
    assert_eq!(fs::read(bench.ws("f")).unwrap(), b"\xff\r\nnew\r\n\xfe");
    bench.put("f", "a\r\nb\r\n");
    change(&bench, "a\r\nb", "c\r\nd", false).unwrap();
    assert_eq!(bench.text("f"), "c\r\nd\r\n");
}

#[test]
fn what_is_no_edit_is_refused() {
    let bench = Bench::new();
    bench.put("f", "a");
    assert_eq!(code(change(&bench, "", "x", false)), "edit.empty");
    assert_eq!(code(change(&bench, "a", "a", false)), "edit.same");
    bench.put("f", b"a\0b");
    assert_eq!(code(change(&bench, "a", "x", false)), "file.binary");
    fs::remove_file(bench.ws("f")).unwrap();
    assert_eq!(code(change(&bench, "a", "x", false)), "path.not_found");
    fs::hard_link(bench.host("outside/secret"), bench.ws("f")).unwrap();
    assert_eq!(code(change(&bench, "canary", "x", false)), "deny.path.hard_link");
    bench.assert_outside_untouched();
}

#[test]
fn sizes_are_bounded_before_and_after() {
    let bench = Bench::new();
    bench.put("f", "x");
    let file = fs::File::options().write(true).open(bench.ws("f")).unwrap();
    file.set_len(EDIT_FILE_MAX_BYTES + 1).unwrap();
    assert_eq!(code(change(&bench, "x", "y", false)), "file.too_large");
    bench.put("f", "x".repeat(100_000));
    assert_eq!(code(change(&bench, "x", &"y".repeat(1000), true)), "file.too_large");
    assert_eq!(bench.text("f").len(), 100_000);
}

#[test]
fn a_file_that_changes_meanwhile_is_not_overwritten() {
    let bench = Bench::new();
    bench.put("f", "old");
    let stat = rustix::fs::stat(bench.ws("f")).unwrap();
    fs::write(bench.ws("f"), "somebody else's").unwrap();
    let result =
        replace(&bench.resolver(), "f", b"mine", Some(Version::of(&stat)), &bench.bounds());
    assert_eq!(code(result), "path.changed");
    assert_eq!(bench.text("f"), "somebody else's");
}

#[test]
fn a_unique_match_is_replaced_exactly() {
    let bench = Bench::new();
    proptest!(|(before in "[ab\n]{0,30}", old in "[xé]{1,5}", after in "[ab\n]{0,30}", new in "[cd\n]{0,9}")| {
        bench.put("f", format!("{before}{old}{after}"));
        change(&bench, &old, &new, false).unwrap();
        prop_assert_eq!(bench.text("f"), format!("{before}{new}{after}"));
    });
}

#[test]
fn no_edit_panics() {
    let bench = Bench::new();
    proptest!(|(content in any::<String>(), old in "\\PC{0,12}|[ \t\r\n0-9a]{0,12}", all in any::<bool>())| {
        bench.put("f", &content);
        let _ = change(&bench, &old, "new", all);
    });
}
