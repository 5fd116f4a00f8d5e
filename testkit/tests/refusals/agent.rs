//! Agents: which one, where it is, whose key, which conversation.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Command;

use testkit::host::Host;

use crate::aftermath::{hosts, refused_command, says};

/// A user's PATH that holds nothing of the tester's.
struct Installed<'a> {
    host: &'a Host,
    bin: PathBuf,
}

impl<'a> Installed<'a> {
    fn new(host: &'a Host) -> Self {
        let bin = host.place().join("path");
        std::fs::create_dir(&bin).unwrap();
        for agent in ["claude", "codex", "gemini", "opencode"] {
            let there = PathBuf::from("/usr/bin").join(agent).exists();
            assert!(!there, "this test needs a host without an agent in /usr/bin");
        }
        Self { host, bin }
    }

    fn script(&self, name: &str) {
        self.host.put(&self.bin, name, b"#!/bin/sh\n");
        let mode = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(self.bin.join(name), mode).unwrap();
    }

    fn program(&self, name: &str) {
        std::fs::copy("/bin/true", self.bin.join(name)).unwrap();
    }

    /// `nucleus run` with these options and nothing of an agent's in the environment.
    fn run(&self, options: &[&str]) -> Command {
        let mut command = self.host.command("nucleus");
        // `setpriv`, with which the tests change the account, is looked up by the same variable.
        command.env("PATH", format!("{}:/usr/bin", self.bin.display()));
        command.args(["run", "--allow-local-driver"]).args(options).arg("the task");
        command
    }

    fn refuses(&self, options: &[&str], words: &[&str]) {
        refused_command(self.host, &mut self.run(options), 64, words);
    }
}

#[test]
fn agents_that_cannot_start_are_told() {
    for host in hosts() {
        let installed = Installed::new(&host);
        let installs =
            ["@anthropic-ai/claude-code", "@openai/codex", "@google/gemini-cli", "opencode-ai"];
        installed.refuses(&[], &[&["no agent is installed"], &installs[..]].concat());
        installed.refuses(
            &["--agent", "codex"],
            &["Codex is not installed", "npm install -g @openai/codex"],
        );
        // Something of that name that is no program.
        installed.script("claude");
        installed.refuses(&[], &["is no Claude Code this version knows", "npm install"]);
        installed.script("gemini");
        installed.refuses(&["--agent", "gemini"], &["is no Gemini CLI", "with Node"]);
        let outcome = host.run(&["no-such-program"]);
        says(&outcome, 127, &["no-such-program: not found in the sandbox", "/usr/bin"]);
    }
}

#[test]
fn one_agent_is_taken_and_several_are_listed() {
    for host in hosts() {
        let installed = Installed::new(&host);
        installed.program("codex");
        installed.refuses(&[], &["OPENAI_API_KEY is not set", "--model-key-file"]);
        installed.program("claude");
        installed.refuses(
            &[],
            &[
                "several agents are installed: claude, codex",
                "--agent claude",
                "agent = \"claude\"",
            ],
        );
        installed.refuses(&["--agent", "claude"], &["ANTHROPIC_API_KEY is not set"]);
        let config = ".config/nucleus/config.toml";
        host.put(&host.home(), config, b"agent = \"codex\"\n");
        installed.refuses(&[], &["OPENAI_API_KEY is not set"]);
        let unknown = host.nucleus(&["run", "--agent", "cursor", "the task"]).expect_code(64);
        assert!(unknown.stderr.contains("claude, codex, gemini, opencode, scripted"), "{unknown}");
    }
}

#[test]
fn keys_go_to_their_own_provider() {
    for host in hosts() {
        let installed = Installed::new(&host);
        installed.program("claude");
        installed.program("opencode");
        installed.refuses(
            &["--agent", "claude", "--provider", "openai"],
            &["claude speaks to anthropic only", "--agent opencode"],
        );
        let named = ["--agent", "opencode", "--provider", "gemini"];
        installed.refuses(&named, &["GEMINI_API_KEY is not set"]);
        // Another provider's key does not do.
        let mut command = installed.run(&named);
        command.env("OPENAI_API_KEY", "canary-key-5d0a");
        refused_command(&host, &mut command, 64, &["GEMINI_API_KEY is not set"]);
    }
}

#[test]
fn a_conversation_is_named_by_a_word() {
    for host in hosts() {
        let installed = Installed::new(&host);
        installed.program("claude");
        for id in ["", "-p", "a b", "x;y", "\u{202e}x"] {
            let option = format!("--resume={id}");
            installed.refuses(&["--agent", "claude", &option], &["--resume: not a name"]);
        }
        installed.refuses(&["--model=--help"], &["--model: not a name"]);
        let script = host.place().join("script.json");
        std::fs::write(&script, "[]").unwrap();
        let script = script.display().to_string();
        installed.refuses(
            &["--agent", "scripted", "--script", &script, "--continue"],
            &["no conversations to go on with"],
        );
        let both = host.nucleus(&["run", "--continue", "--resume", "x", "the task"]);
        both.expect_code(64);
    }
}
