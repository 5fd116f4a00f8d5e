//! Real Codex, as npm ships it, against a stand-in for the Responses API.

#![expect(clippy::panic, reason = "an agent that keeps no conversation ends its test")]

use serde_json::json;
use testkit::host::{Account, Host, Outcome};
use testkit::mock::{Api, Turn};
use testkit::stage::{self, Agent, Stage, say, tool};

const CODEX: Agent = Agent {
    name: "codex",
    given: "NUCLEUS_TEST_CODEX",
    api: Api::OpenAi,
    key: "OPENAI_API_KEY",
    prefix: "mcp__nucleus__",
    options: &[],
};

/// What its interface shows when it can be typed at.
const READY: &str = "OpenAI Codex";

#[test]
fn codex_finishes_a_task_without_any_approval() {
    for account in Account::all() {
        stage::finishes_a_task(CODEX, account);
    }
}

#[test]
fn it_offers_the_tools_of_the_door_at_once_and_no_shell() {
    // Two kinds of models: one is given its tools beside the conversation, the other within it.
    for model in ["gpt-5.5", "gpt-6.1-sol"] {
        let stage = Stage::new(CODEX, Account::all().remove(0), vec![say("Over.")]);
        stage.run(&["--model", model], "Look").expect_code(0);
        let heard = stage.last().to_string();
        assert!(heard.contains("\"name\":\"mcp__nucleus\""), "{model}: {heard}");
        assert!(!heard.contains("\"exec_command\""), "{model}: {heard}");
    }
}

#[test]
fn its_own_shell_finds_no_key_and_changes_nothing() {
    let call =
        |line: &str| -> Turn { tool("exec_command", json!({"cmd": line, "yield_time_ms": 30000})) };
    for account in Account::all() {
        stage::looks_around(
            CODEX,
            account,
            call,
            &[
                "--model=gpt-5.5",
                "--agent-arg=--enable=shell_tool",
                "--agent-arg=--config=sandbox_mode=\"danger-full-access\"",
            ],
        );
    }
}

#[test]
fn a_conversation_goes_on_where_it_ended() {
    for account in Account::all() {
        stage::goes_on(CODEX, account, printed_id);
    }
}

/// Codex says the id of its conversation at the start.
fn printed_id(_host: &Host, first: &Outcome) -> String {
    let line = first.stderr.lines().find_map(|line| line.strip_prefix("session id: "));
    line.unwrap_or_else(|| panic!("no session id: {first}")).to_owned()
}

#[test]
fn it_is_worked_with_in_its_own_interface() {
    for account in Account::all() {
        stage::is_worked_with(CODEX, account, READY, &["/quit", "\r"]);
    }
}

#[test]
fn killed_at_work_it_leaves_the_terminal_usable_and_nothing_running() {
    for account in Account::all() {
        stage::is_killed_at_work(CODEX, account, READY);
    }
}

#[test]
fn servers_of_its_own_are_named() {
    stage::names_servers(
        CODEX,
        (".codex/config.toml", "[mcp_servers.of-the-project]\ncommand = 'x'\n"),
        (".codex/config.toml", "model = 'gpt-5.5'\n[mcp_servers.of-the-user]\ncommand = 'x'\n"),
    );
}
