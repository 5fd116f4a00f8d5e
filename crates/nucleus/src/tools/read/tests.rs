use std::fs::File;
use std::time::{Duration, Instant};

use super::*;
use crate::cancel::Cancel;
use crate::tools::testing::{Bench, Open, code};

fn page(bench: &Bench, offset: u64, limit: u64) -> Result<ReadOutcome, ToolError> {
    let args = ReadArgs { path: "f", offset, limit };
    read(&bench.resolver(), &Open, &args, &bench.bounds())
}

fn text(content: impl AsRef<[u8]>) -> String {
    let bench = Bench::new();
    bench.put("f", content);
    page(&bench, 1, 2000).unwrap().text
}

#[test]
fn lines_are_numbered_like_cat_does() {
    assert_eq!(text("one\n\n\ttwo\n"), "     1\tone\n     2\t\n     3\t\ttwo\n");
    assert_eq!(text("one"), "     1\tone\n[no newline at the end of the file]\n");
    assert_eq!(text(""), "[the file is empty]\n");
    assert_eq!(text("\n"), "     1\t\n");
}

#[test]
fn a_page_says_how_to_go_on() {
    let bench = Bench::new();
    bench.put("f", "a\nb\nc\nd\n");
    let first = page(&bench, 2, 2).unwrap();
    assert_eq!(
        first.text,
        "     2\tb\n     3\tc\n[lines 2-3 shown, the file goes on (8 bytes); read on with offset 4]\n"
    );
    assert!(first.truncated);
    let last = page(&bench, 4, 2).unwrap();
    assert_eq!((last.text.as_str(), last.truncated, last.lines), ("     4\td\n", false, 1));
    assert_eq!(code(page(&bench, 5, 1)), "read.beyond_end");
    assert_eq!(page(&bench, 3, 2).unwrap().text, "     3\tc\n     4\td\n");
}

#[test]
fn what_is_special_about_a_file_is_said() {
    assert_eq!(
        text("a\r\nb\r\n"),
        "     1\ta\n     2\tb\n[2 lines above end in CRLF; edit needs \\r\\n to match across them]\n"
    );
    assert_eq!(
        text(b"caf\xe9\n"),
        "     1\tcaf\u{fffd}\n[not all UTF-8: other bytes are shown as U+FFFD]\n"
    );
}

#[test]
fn binary_files_are_named_not_shown() {
    let bench = Bench::new();
    bench.put("f", b"\x89PNG\r\n\x1a\n\0\0\0");
    let error = page(&bench, 1, 10).unwrap_err();
    assert_eq!(error.code(), "file.binary");
    assert_eq!(
        error.agent_text(),
        "`f` is a binary file (PNG image, 11 bytes). This tool works on text."
    );
}

#[test]
fn long_lines_and_long_files_stay_within_their_limits() {
    let long = "é".repeat(100_000);
    let cut = text(&long);
    assert!(cut.len() < READ_LINE_MAX_BYTES + 200);
    assert!(!cut.contains('\u{fffd}'));
    assert!(cut.contains(&format!("[line cut, {} more bytes]", 200_000 - READ_LINE_MAX_BYTES)));

    let bench = Bench::new();
    bench.put("f", "0123456789abcdef\n".repeat(100_000));
    let all = page(&bench, 1, 100_000).unwrap();
    assert!(all.truncated && all.text.len() < READ_TEXT_MAX_BYTES + 200);
}

#[test]
fn a_huge_sparse_file_ends_by_its_limit_not_by_time() {
    let bench = Bench::new();
    bench.put("f", "start\n".repeat(2_000));
    File::options().write(true).open(bench.ws("f")).unwrap().set_len(1 << 40).unwrap();
    let begun = Instant::now();
    assert_eq!(code(page(&bench, 3_000, 10)), "file.too_large");
    assert!(begun.elapsed() < Duration::from_secs(30));
}

#[test]
fn a_cancelled_or_late_call_ends() {
    let bench = Bench::new();
    bench.put("f", "x\n");
    let args = ReadArgs { path: "f", offset: 1, limit: 1 };
    let late = Bounds::new(bench.cancel(), Instant::now());
    assert_eq!(code(read(&bench.resolver(), &Open, &args, &late)), "call.deadline");
    let cancel = Cancel::new();
    cancel.cancel();
    let bounds = Bounds::new(&cancel, Instant::now() + Duration::from_secs(9));
    assert_eq!(code(read(&bench.resolver(), &Open, &args, &bounds)), "call.cancelled");
}

#[test]
fn a_picture_is_given_whole_or_not_at_all() {
    let bench = Bench::new();
    let mut png = b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR".to_vec();
    bench.put("p.png", &png);
    bench.put("lies.png", b"GIF89a\x01\0");
    let open = |path| {
        let args = ReadArgs { path, offset: 1, limit: 2000 };
        read(&bench.resolver(), &Open, &args, &bench.bounds())
    };
    let seen = open("p.png").unwrap();
    assert_eq!(seen.text, "[PNG picture, 16 B]\n");
    assert_eq!(seen.image, Some(Image { bytes: png.clone(), mime_type: "image/png" }));
    assert_eq!(code(open("lies.png")), "file.binary");
    png.resize(usize::try_from(IMAGE_MAX_BYTES).unwrap(), 0);
    bench.put("p.png", &png);
    assert!(open("p.png").unwrap().image.is_some());
    png.push(0);
    bench.put("p.png", &png);
    assert_eq!(code(open("p.png")), "file.too_large");
}
