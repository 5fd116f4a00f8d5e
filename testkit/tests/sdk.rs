//! The protocol's official Python client, as PyPI ships it, against `nucleus mcp serve` in both eras.
#![expect(clippy::unwrap_used, reason = "a fixture that cannot be set up ends its test")]

use std::process::Command;

use serde_json::Value;
use testkit::host::{Account, Host, Outcome, given, programs};

const CLIENT: &str = include_str!("sdk/client.py");
const PICTURE: &[u8] = b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR\0\0\0\x01\0\0\0\x01\x08\x06\0\0\0";

fn converse(host: &Host, mode: &str) -> (Value, Outcome) {
    let script = host.place().join("client.py");
    std::fs::write(&script, CLIENT).unwrap();
    // The server is started by the client, as the same account.
    let server = host.command("nucleus");
    let mut command = host.account().command(&given("NUCLEUS_TEST_PYTHON_MCP"));
    command.arg(script).arg(mode).arg(host.program("nucleus"));
    command.args(["mcp", "serve", "--allow-local-driver", "--profile", "fix-issue"]);
    like(&mut command, &server);
    let outcome = Outcome::of(&mut command).expect_code(0);
    (serde_json::from_str(&outcome.stdout).unwrap(), outcome)
}

/// Gives `command` the directory and environment of `other`.
fn like(command: &mut Command, other: &Command) {
    command.env_clear().current_dir(other.get_current_dir().unwrap());
    command.envs(other.get_envs().filter_map(|(name, value)| Some((name, value?))));
}

#[test]
fn the_official_client_speaks_with_it_in_both_eras() {
    let bins = programs();
    for account in Account::all() {
        for (mode, version) in [("auto", "2026-07-28"), ("legacy", "2025-11-25")] {
            let host = Host::new(&bins, account);
            host.file("README.md", "# A repository\n");
            host.file("point.png", PICTURE);
            let (seen, outcome) = converse(&host, mode);
            assert_eq!(seen["version"], version);
            assert_eq!(seen["server"], "nucleus");
            assert!(seen["instructions"].as_str().unwrap().contains("Only calls of these tools"));
            assert!(seen["tools"].as_array().unwrap().iter().any(|tool| tool == "job_output"));
            let text = |what: &str| seen[what]["content"][0]["text"].as_str().unwrap().to_owned();
            assert!(text("read").contains("# A repository"), "{seen}");
            assert_eq!(seen["picture"]["content"][1]["type"], "image", "{seen}");
            assert!(text("run").contains("made"), "{seen}");
            assert_eq!(seen["refused"]["failed"], true, "{seen}");
            assert!(seen["progress"].as_array().unwrap().len() >= 2, "{seen}");
            assert_eq!(seen["cancelled"], true);
            assert!(text("after").contains("made"), "{seen}");
            assert_eq!(host.read("made.txt").as_deref(), Some("made\n"), "{outcome}");
            host.verify(&host.logs()[0]).expect_code(0);
        }
    }
}
