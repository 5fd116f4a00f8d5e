//! Everything the command says without running anything: help, profiles, completions, versions.

#![expect(clippy::unwrap_used, reason = "a test says what broke by ending there")]

use std::collections::BTreeMap;
use std::io::Write;
use std::process::{Command, Output, Stdio};

use nucleus_wire::control::FailureClass;

fn nucleus(args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_nucleus"));
    command.env_clear().env("HOME", "/nonexistent").args(args).stdin(Stdio::null());
    command.output().unwrap()
}

fn text(args: &[&str]) -> String {
    let output = nucleus(args);
    assert!(output.status.success(), "{args:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn help_texts() {
    let mut all = String::new();
    for args in [
        &["--help"][..],
        &["run", "--help"],
        &["claude", "--help"],
        &["attach", "--help"],
        &["stop", "--help"],
        &["mcp", "--help"],
        &["mcp", "serve", "--help"],
        &["mcp", "config", "--help"],
        &["approvals", "--help"],
        &["approvals", "list", "--help"],
        &["approvals", "show", "--help"],
        &["approvals", "approve", "--help"],
        &["approvals", "deny", "--help"],
        &["approvals", "watch", "--help"],
        &["approvals", "rules", "--help"],
        &["approvals", "revoke", "--help"],
        &["approvals", "break-glass", "--help"],
        &["approvals", "answer", "--help"],
        &["profiles", "--help"],
        &["apply", "--help"],
        &["review", "--help"],
        &["discard", "--help"],
        &["undo", "--help"],
        &["changes", "--help"],
        &["ps", "--help"],
        &["logs", "--help"],
        &["gc", "--help"],
        &["doctor", "--help"],
        &["config", "--help"],
        &["man", "--help"],
        &["replay", "--help"],
        &["report", "--help"],
        &["completions", "--help"],
    ] {
        all.push_str(&format!("$ nucleus {}\n{}\n", args.join(" "), text(args)));
    }
    assert!(!all.contains('\u{1b}'), "no colour off a terminal");
    insta::assert_snapshot!(all);
}

#[test]
fn profiles() {
    insta::assert_snapshot!(text(&["profiles"]));
    let listed: Vec<serde_json::Value> =
        serde_json::from_str(&text(&["profiles", "--json"])).unwrap();
    assert_eq!(listed.iter().filter(|profile| profile["default"] == true).count(), 1);
    assert!(listed.iter().all(|profile| profile["permissions_toml"].is_string()));
}

#[test]
fn the_documented_exit_codes_are_the_ones_used() {
    let help = text(&["--help"]);
    let documented: BTreeMap<u8, &str> = help
        .lines()
        .filter_map(|line| line.trim_start().split_once(' '))
        .filter_map(|(code, words)| Some((code.parse().ok()?, words.trim())))
        .collect();
    for (class, word) in [
        (FailureClass::Usage, "wrong use"),
        (FailureClass::Policy, "policy or configuration"),
        (FailureClass::Isolation, "host"),
        (FailureClass::Internal, "defect"),
        (FailureClass::Unavailable, "space"),
        (FailureClass::Denied, "refused"),
        (FailureClass::Interrupted, "interrupted"),
    ] {
        assert!(documented[&class.exit_code()].contains(word), "{class:?}: {documented:?}");
    }
    assert!(documented[&124].contains("time"), "{documented:?}");
    assert_eq!(documented.len(), 8, "{documented:?}");
}

#[test]
fn versions() {
    assert_eq!(text(&["--version"]), format!("nucleus {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn completion_scripts_parse_where_their_shell_is() {
    for (shell, marker) in
        [("bash", "complete -F"), ("zsh", "#compdef nucleus"), ("fish", "complete -c nucleus")]
    {
        let script = text(&["completions", shell]);
        assert!(
            script.contains(marker) && script.contains("allow-local-driver"),
            "{shell}: {script}"
        );
        let Ok(mut child) =
            Command::new(shell).arg("-n").stdin(Stdio::piped()).stderr(Stdio::piped()).spawn()
        else {
            assert_ne!(shell, "bash", "bash is part of the base system");
            continue;
        };
        child.stdin.take().unwrap().write_all(script.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success() && output.stderr.is_empty(), "{shell}: {output:?}");
    }
}

#[test]
fn a_reader_that_leaves_early_is_no_error() {
    for args in [&["profiles"][..], &["completions", "bash"]] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_nucleus"));
        let mut child =
            command.args(args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        drop(child.stdout.take());
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
    }
}
