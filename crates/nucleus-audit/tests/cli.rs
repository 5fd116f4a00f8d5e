//! The program as its users see it.
#![expect(clippy::string_slice, clippy::unwrap_used, reason = "a test that fails, fails")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use nucleus_log::*;

struct State(tempfile::TempDir);

impl State {
    /// A session of `count` calls, in the layout of `nucleus run`.
    fn new(count: u64) -> Self {
        let state = Self(tempfile::tempdir().unwrap());
        fs::create_dir_all(state.session()).unwrap();
        let keys = Keys::load_or_create(&state.keys()).unwrap();
        let origin = Origin::parse("nucleus/session/s1").unwrap();
        let writer = Writer::create(&state.log(), &keys, origin).unwrap();
        for n in 0..count {
            let call = |phase, result: &str| Event {
                phase,
                request_id: Some(format!("r{n}")),
                tool: Some("read".into()),
                target: Some(format!("src/\u{1b}[2J\n{n}.rs")),
                result: Some(result.into()),
                ..Event::new("tool_execution", "agent-prod-047")
            };
            writer.append(&call(Phase::Intent, "allowed"), Durability::Written).unwrap();
            writer.append(&call(Phase::Outcome, "success"), Durability::Written).unwrap();
        }
        writer.close().unwrap();
        state
    }
    fn keys(&self) -> PathBuf {
        self.0.path().join("keys")
    }
    fn session(&self) -> PathBuf {
        self.0.path().join("sessions/s1")
    }
    fn log(&self) -> PathBuf {
        self.session().join("log.jsonl")
    }
    fn run(&self, args: &[&str]) -> Output {
        self.run_at(&self.log(), args)
    }
    fn run_at(&self, log: &Path, args: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_nucleus-audit"));
        let (first, rest) = args.split_first().unwrap();
        command.arg(first).arg(log).args(rest).env_clear();
        command.env("XDG_STATE_HOME", self.0.path().join("nothing")).output().unwrap()
    }
}

fn stdout(output: &Output) -> &str {
    std::str::from_utf8(&output.stdout).unwrap()
}

fn code(output: &Output) -> i32 {
    output.status.code().unwrap()
}

#[test]
fn verify_prints_the_three_lines_first_and_says_what_is_proved() {
    let state = State::new(3);
    let output = state.run(&["verify"]);
    assert_eq!(code(&output), 0);
    let lines: Vec<&str> = stdout(&output).lines().collect();
    assert_eq!(
        lines[..5],
        [
            "✓ 6 entries verified",
            "✓ Hash chain intact",
            "✓ No gaps detected",
            "✓ Every entry's MAC holds",
            lines[4],
        ]
    );
    assert!(lines[4].starts_with("✓ Signed by the public key: entries 1 to 6, checkpoint of 20"));
    assert!(stdout(&output).contains("✓ Every intent has its outcome\n"));
    assert!(stdout(&output).contains("Log nucleus/session/s1 was closed in order\n"));
    assert!(stdout(&output).contains("Not proved: that log and sidecar were not rolled back"));
}

#[test]
fn without_the_mac_key_the_exit_code_says_so() {
    let state = State::new(3);
    let public = state.keys().join(PUBLIC_KEY_FILE);
    let output = state.run(&["verify", "--public", public.to_str().unwrap()]);
    assert_eq!(code(&output), 10);
    assert!(stdout(&output).starts_with("✓ 6 entries verified\n"));
    assert!(stdout(&output).contains("– MACs not checked: no MAC key\n"));
    fs::remove_file(state.keys().join(MAC_KEY_FILE)).unwrap();
    assert_eq!(code(&state.run(&["verify"])), 10);
    fs::remove_file(public).unwrap();
    assert_eq!(code(&state.run(&["verify"])), 10, "the public key follows from the seed");
    fs::remove_dir_all(state.keys()).unwrap();
    let output = state.run(&["verify"]);
    assert_eq!(code(&output), 2);
    assert!(String::from_utf8_lossy(&output.stderr).contains("no key to verify with"));
}

#[test]
fn verdicts_have_their_exit_codes_and_no_false_tick() {
    let state = State::new(3);
    let text = fs::read_to_string(state.log()).unwrap();
    for (damaged, expected) in [
        (text.replacen("r1", "rX", 1), 13),
        (text.lines().skip(1).fold(String::new(), |all, line| all + line + "\n"), 14),
        (text[..text.len() - 1].to_owned(), 15),
        (text.replacen("},", "} ,", 1), 21),
    ] {
        fs::write(state.log(), damaged).unwrap();
        let output = state.run(&["verify"]);
        assert_eq!(code(&output), expected);
        assert!(!stdout(&output).contains('✓'), "{}", stdout(&output));
        assert!(stdout(&output).contains("✗ "));
    }
    fs::write(state.log(), &text).unwrap();
    assert_eq!(code(&state.run(&["verify"])), 0);
    let stranger = State::new(1);
    let key = stranger.keys().join(MAC_KEY_FILE);
    assert_eq!(code(&state.run(&["verify", "--key", key.to_str().unwrap()])), 18);
    assert_eq!(code(&state.run(&["verify", "--max-age", "3600"])), 0);
    fs::remove_dir_all(state.session().join("log.jsonl.d")).unwrap();
    assert_eq!(code(&state.run(&["verify"])), 20);
    assert_eq!(code(&State::new(0).run(&["verify"])), 19);
    assert_eq!(
        code(&state.run_at(Path::new("/nonexistent"), &["verify", "--key", key.to_str().unwrap()])),
        3
    );
    assert_eq!(code(&state.run(&["verify", "--no-such-option"])), 2);
}

#[test]
fn the_pin_is_kept_across_runs() {
    let state = State::new(2);
    let pin = state.0.path().join("pin.json");
    let args = ["verify", "--pin", pin.to_str().unwrap()];
    assert!(stdout(&state.run(&args)).contains("– First sight of this log; pinned from now on\n"));
    assert!(stdout(&state.run(&args)).contains("✓ Extends the 4 entries pinned before\n"));
    let text = fs::read_to_string(&pin).unwrap().replace("\"size\":4", "\"size\":9");
    fs::write(&pin, text).unwrap();
    assert_eq!(code(&state.run(&args)), 23);
}

#[test]
fn the_report_is_one_json_object() {
    let state = State::new(2);
    let output = state.run(&["verify", "--json"]);
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["verdict"], "ok");
    assert_eq!(report["entries"], 4);
    assert_eq!(report["proved"]["size"], 4);
    assert_eq!(report["interrupted"], serde_json::json!([]));
}

#[test]
fn show_prints_one_safe_line_per_entry() {
    let state = State::new(2);
    let output = state.run(&["show"]);
    assert_eq!(code(&output), 0);
    let lines: Vec<&str> = stdout(&output).lines().collect();
    assert_eq!(lines.len(), 4);
    let expected = "  tool_execution  intent  agent-prod-047  read  src/\\u{1b}[2J\\n0.rs  allowed";
    assert!(lines[0].starts_with("     1 20") && lines[0].ends_with(expected), "{}", lines[0]);
    let text = fs::read_to_string(state.log()).unwrap();
    fs::write(state.log(), &text[..text.len() - 3]).unwrap();
    let output = state.run(&["show"]);
    assert_eq!((code(&output), stdout(&output).lines().count()), (3, 3));
}

#[test]
fn a_log_that_is_not_there_is_told_before_anything_about_keys() {
    let state = State::new(1);
    for name in ["verify", "show"] {
        let output = state.run_at(Path::new("/nope/log.jsonl"), &[name]);
        assert_eq!(code(&output), 3, "{output:?}");
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(told.contains("cannot read /nope/log.jsonl: No such file"), "{told}");
    }
}

#[test]
fn completions_and_help_work() {
    let program = env!("CARGO_BIN_EXE_nucleus-audit");
    for args in [&["completions", "bash"][..], &["verify", "--help"], &["--version"]] {
        let output = Command::new(program).args(args).output().unwrap();
        assert_eq!(code(&output), 0);
        assert!(!output.stdout.is_empty());
    }
    let help = Command::new(program).args(["verify", "--help"]).output().unwrap();
    assert!(stdout(&help).contains("rolled_back"));
}
