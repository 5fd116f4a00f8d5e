//! The README's sample output is what a run really prints, and its first commands are those of this version.

use testkit::anthropic::{Mock, Options};
use testkit::host::{Account, Host, programs};
use testkit::script::Script;

const README: &str = include_str!("../../README.md");
const DEMO: &str = include_str!("../../xtask/demo/script.json");

#[test]
fn the_sample_output_is_of_a_run() {
    let bins = programs();
    let host = Host::new(&bins, Account::all()[0]).with_rust();
    for (path, text) in [
        ("Cargo.toml", include_str!("../../xtask/demo/repo/Cargo.toml")),
        ("Cargo.lock", include_str!("../../xtask/demo/repo/Cargo.lock")),
        ("src/lib.rs", include_str!("../../xtask/demo/repo/src/lib.rs")),
        ("NOTES.md", include_str!("../../xtask/demo/repo/NOTES.md")),
        (".env", "API_TOKEN=canary-7f3b\n"),
        (".git/HEAD", "ref: refs/heads/main\n"),
        (".git/hooks/README", "hooks\n"),
    ] {
        host.file(path, text);
    }
    let mock = Mock::start(Options::default()).unwrap();
    let script = Script::parse(DEMO.as_bytes()).unwrap();
    let outcome =
        host.script_with(&script, &["--profile", "fix-issue", "--model-upstream", &mock.origin()]);
    let sample = README
        .split("```text\n")
        .nth(1)
        .and_then(|rest| rest.split("```").next())
        .expect("a sample");
    let lines: Vec<&str> = sample.lines().collect();
    assert_eq!(lines.len(), 12, "the sample has twelve lines");
    for line in lines {
        let shown = outcome.stderr.lines().any(|printed| words_in_order(printed, line));
        assert!(shown, "the README shows {line:?}, the run does not: {outcome}");
    }
}

/// True when every word of `sample` is in `printed`, in order; what varies (times, digests, paths) may stand between.
fn words_in_order(printed: &str, sample: &str) -> bool {
    let mut words = printed.split_whitespace();
    sample.split_whitespace().all(|wanted| {
        words.any(|word| word.trim_end_matches([',', ':']) == wanted.trim_end_matches([',', ':']))
    })
}

#[test]
fn words_must_come_in_order() {
    assert!(words_in_order("✓ run x  exit 0  31 ms", "✓ run x exit 0"));
    assert!(!words_in_order("✓ run x  exit 1  31 ms", "✓ run x exit 0"));
}
