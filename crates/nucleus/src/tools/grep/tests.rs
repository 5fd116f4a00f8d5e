use std::time::{Duration, Instant};

use rustix::fs::{CWD, FileType, Mode};

use super::*;
use crate::cancel::Cancel;
use crate::tools::testing::{Bench, CANARY, Open, Withheld, code};

const ALL: GrepArgs<'static> = GrepArgs {
    pattern: "",
    path: "",
    glob: None,
    ignore_case: false,
    context: 0,
    max_matches: 200,
    show: Show::Lines,
};

fn search(bench: &Bench, paths: &dyn Paths, args: &GrepArgs<'_>) -> GrepOutcome {
    grep(&bench.resolver(), paths, args, &bench.bounds()).unwrap()
}

#[test]
fn lines_files_and_counts() {
    let bench = Bench::new();
    bench
        .put("b.rs", "one\nfn two() {}\n")
        .put("a/c.rs", "fn x() {}\nfn y() {}\n")
        .put("d.txt", "fn z");
    let lines = search(&bench, &Open, &GrepArgs { pattern: "fn \\w+", ..ALL });
    assert_eq!(
        lines.text,
        "a/c.rs:1:fn x() {}\na/c.rs:2:fn y() {}\nb.rs:2:fn two() {}\nd.txt:1:fn z\n"
    );
    assert_eq!((lines.matches, lines.files, lines.truncated), (4, 3, false));
    let show = |show| {
        search(&bench, &Open, &GrepArgs { pattern: "fn", glob: Some("*.rs"), show, ..ALL }).text
    };
    assert_eq!(show(Show::Files), "a/c.rs\nb.rs\n");
    assert_eq!(show(Show::Counts), "a/c.rs:2\nb.rs:1\n");
    let other = search(
        &bench,
        &Open,
        &GrepArgs { pattern: "FN", ignore_case: true, glob: Some("!*.rs"), ..ALL },
    );
    assert_eq!(other.text, "d.txt:1:fn z\n");
    let below = search(
        &bench,
        &Open,
        &GrepArgs { pattern: "fn", glob: Some("a/*.rs"), show: Show::Files, ..ALL },
    );
    assert_eq!(below.text, "a/c.rs\n");
    let one =
        search(&bench, &Open, &GrepArgs { pattern: "fn", path: "a/c.rs", max_matches: 1, ..ALL });
    assert!(
        one.text.starts_with("a/c.rs:1:fn x() {}\n[ended at a limit after 1 match;")
            && one.truncated
    );
    assert_eq!(
        search(&bench, &Open, &GrepArgs { pattern: "nothing here", ..ALL }).text,
        "No line matches.\n"
    );
}

#[test]
fn context_is_told_from_matches() {
    let bench = Bench::new();
    bench.put("f", "1\n2\nhit\n4\n5\n6\n7\nhit\n").put("g", "hit\n");
    let found = search(&bench, &Open, &GrepArgs { pattern: "hit", context: 1, ..ALL });
    assert_eq!(found.text, "f-2-2\nf:3:hit\nf-4-4\n--\nf-7-7\nf:8:hit\ng:1:hit\n");
}

#[test]
fn withheld_files_are_never_looked_into() {
    let bench = Bench::new();
    bench
        .put(".env", CANARY)
        .put("a/server.pem", CANARY)
        .put("notes", "canary-free")
        .link("copy", ".env");
    bench
        .link("out", "../outside")
        .put(".gitignore", "ignored\n")
        .put("ignored", CANARY)
        .put(".git/x", CANARY);
    let args = GrepArgs { pattern: "canary", ..ALL };
    let control = search(&bench, &Open, &args);
    assert_eq!(control.matches, 3, "control: without the rule they are found\n{}", control.text);
    let policy = Withheld(&[".env", ".pem"]);
    let found = search(&bench, &policy, &args);
    assert_eq!(found.text.lines().next(), Some("notes:1:canary-free"));
    assert!(!found.text.contains(CANARY) && !found.text.contains(".env"), "{}", found.text);
    assert!(found.text.contains("[2 files are withheld by policy]"));
    for path in [".env", "copy", "a/server.pem"] {
        let named = grep(&bench.resolver(), &policy, &GrepArgs { path, ..args }, &bench.bounds());
        assert_eq!(code(named), "deny.path.sensitive", "{path}");
    }
    let out = grep(&bench.resolver(), &Open, &GrepArgs { path: "out", ..args }, &bench.bounds());
    assert_eq!(code(out), "deny.path.escape");
}

/// Row 14.
#[test]
fn special_binary_and_huge_files_are_passed_over() {
    let bench = Bench::new();
    rustix::fs::mknodat(CWD, bench.ws("pipe"), FileType::Fifo, Mode::from_raw_mode(0o666), 0)
        .unwrap();
    bench.put("binary", b"hit\0hit").put("text", "hit\n").put("sparse", "hit\n");
    File::options().write(true).open(bench.ws("sparse")).unwrap().set_len(1 << 40).unwrap();
    let found = search(&bench, &Open, &GrepArgs { pattern: "hit", ..ALL });
    assert_eq!(
        found.text,
        format!("text:1:hit\n[1 file larger than {GREP_FILE_MAX_BYTES} bytes passed over]\n")
    );
    let named = grep(
        &bench.resolver(),
        &Open,
        &GrepArgs { pattern: "hit", path: "pipe", ..ALL },
        &bench.bounds(),
    );
    assert_eq!(code(named), "deny.path.special");
}

#[test]
fn long_lines_are_cut_around_the_match() {
    let bench = Bench::new();
    bench.put("min.js", format!("{}needle{}\n", "é".repeat(20_000), "z".repeat(20_000)));
    let found = search(&bench, &Open, &GrepArgs { pattern: "needle", ..ALL });
    assert!(found.text.len() < 2 * 1024 && found.text.contains("needle"), "{}", found.text.len());
    assert!(found.text.starts_with("min.js:1:[…] ") && found.text.trim_end().ends_with(" […]"));
}

#[test]
fn text_is_bounded() {
    let bench = Bench::new();
    bench.put("f", "match this line of some length, please\n".repeat(20_000));
    let found = search(&bench, &Open, &GrepArgs { pattern: "match", max_matches: 10_000, ..ALL });
    assert!(
        found.truncated && found.text.len() < GREP_TEXT_MAX_BYTES + 4096,
        "{}",
        found.text.len()
    );
}

#[test]
fn bad_patterns_are_named_and_searches_can_be_ended() {
    let bench = Bench::new();
    bench.put("f", "x\n");
    let with = |pattern| {
        code(grep(&bench.resolver(), &Open, &GrepArgs { pattern, ..ALL }, &bench.bounds()))
    };
    assert_eq!(with("(a+)+"), "pattern.nested_repeat");
    assert_eq!(with("("), "pattern.syntax");
    let cancel = Cancel::new();
    cancel.cancel();
    let bounds = Bounds::new(&cancel, Instant::now() + Duration::from_secs(9));
    assert_eq!(
        code(grep(&bench.resolver(), &Open, &GrepArgs { pattern: "x", ..ALL }, &bounds)),
        "call.cancelled"
    );
    let late = Bounds::new(bench.cancel(), Instant::now());
    assert_eq!(
        code(grep(&bench.resolver(), &Open, &GrepArgs { pattern: "x", ..ALL }, &late)),
        "call.deadline"
    );
}
