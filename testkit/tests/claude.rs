//! Real Claude Code, as npm ships it, against a stand-in for the Messages API.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a fixture that cannot be set up ends its test"
)]

use serde_json::{Value, json};
use testkit::anthropic::{Mock, Options, Script, Select, ToolUse, Turn};
use testkit::host::{Account, Host, ISSUE, Outcome, given, programs};

const KEY: &str = "canary-key-5d0a";

/// Claude Code and a stand-in that says `turns`, on a host with a repository whose test fails.
struct Stage {
    host: Host,
    mock: Mock,
}

impl Stage {
    fn new(account: Account, turns: Vec<Turn>) -> Self {
        let host = Host::new(&programs(), account)
            .with_rust()
            .with_issue()
            .with_agent("claude", &given("NUCLEUS_TEST_CLAUDE"));
        let script = Script { turns, select: Select::Conversation };
        let mock = Mock::start(Options { script, key: Some(KEY.to_owned()), ..Options::default() })
            .unwrap();
        Self { host, mock }
    }

    fn run(&self, extra: &[&str], task: &str) -> Outcome {
        let mut command = self.host.command("nucleus");
        command.args(["run", "--profile", "fix-issue", "--allow-local-driver"]);
        command.args(["--agent", "claude", "--model-upstream", &self.mock.origin()]);
        Outcome::of(command.args(extra).arg(task).env("ANTHROPIC_API_KEY", KEY))
    }

    /// What the model got to see of its last tool call.
    fn last_result(&self) -> String {
        let requests = self.mock.requests();
        let body: Value = requests.last().map(|request| request.body.clone()).unwrap_or_default();
        let messages = body["messages"].as_array().cloned().unwrap_or_default();
        messages.last().map(|message| message["content"].to_string()).unwrap_or_default()
    }
}

fn tool(name: &str, input: Value) -> Turn {
    Turn { tools: vec![ToolUse { name: name.to_owned(), input }], ..Turn::default() }
}

fn say(text: &str) -> Turn {
    Turn { text: Some(text.to_owned()), ..Turn::default() }
}

#[test]
fn claude_code_finishes_a_task_without_any_approval() {
    for account in Account::all() {
        finishes(account);
    }
}

fn finishes(account: Account) {
    let turns = vec![
        tool("mcp__nucleus__read", json!({"path": "sub/src/lib.rs"})),
        tool(
            "mcp__nucleus__edit",
            json!({"path": "sub/src/lib.rs", "old_string": "age <= 12", "new_string": "age < 12"}),
        ),
        tool("mcp__nucleus__run", json!({"command": "cd sub && cargo test 2>&1 | tail -5"})),
        say("Fixed."),
    ];
    let stage = Stage::new(account, turns);
    let outcome = stage.run(&[], "Fix the failing test").expect_code(0);
    assert!(outcome.stdout.contains("Fixed."), "{outcome}");
    assert!(stage.host.read("sub/src/lib.rs").unwrap().contains("age < 12"), "{outcome}");
    assert!(stage.last_result().contains("test result: ok."), "{}", stage.last_result());
    assert!(!outcome.stderr.contains("needs approval"), "{outcome}");
    assert!(!outcome.stderr.contains("✗"), "something was refused: {outcome}");
    assert_eq!(stage.mock.requests().len(), 4, "{outcome}");
    let log = stage.host.logs().pop().unwrap();
    stage.host.verify(&log).expect_code(0);
    assert!(!std::fs::read_to_string(log).unwrap().contains(KEY));
}

#[test]
fn its_own_shell_finds_no_key_and_changes_nothing() {
    for account in Account::all() {
        looks_around(account);
    }
}

fn looks_around(account: Account) {
    // The shell is switched on on purpose: what it cannot do is the pod's doing, not a flag's.
    const SHELL: &str = "env; cat /proc/*/environ /proc/*/cmdline 2>/dev/null | tr '\\0' '\\n'; \
        cat ~/.claude.json 2>/dev/null; find / -xdev -newer /proc/1 -type f -size -64k -exec cat {} + 2>/dev/null | strings; \
        echo owned > sub/src/lib.rs; rm -rf sub; mv ../work ../gone; echo made > made.txt; echo the-end";
    let turns =
        vec![tool("Bash", json!({"command": SHELL, "description": "look around"})), say("Over.")];
    let stage = Stage::new(account, turns);
    let shell_on = [
        "--agent-arg=--tools",
        "--agent-arg=default",
        "--agent-arg=--allowedTools",
        "--agent-arg=Bash",
    ];
    let outcome = stage.run(&shell_on, "Look around").expect_code(0);
    let seen = stage.last_result();
    assert!(seen.contains("the-end"), "the shell did not run: {seen}");
    assert!(
        seen.contains("ANTHROPIC_API_KEY=held-outside-this-sandbox"),
        "the placeholder is the control: {seen}"
    );
    assert!(!seen.contains(KEY), "the key is in the pod: {seen}");
    assert_eq!(stage.host.read("sub/src/lib.rs").as_deref(), Some(ISSUE), "{outcome}");
    assert_eq!(stage.host.read("made.txt"), None);
    assert!(outcome.stderr.contains("none changed"), "{outcome}");
    // The stand-in answers only with the right key, so the gate did put it in.
    let requests = stage.mock.requests();
    assert!(
        !requests.is_empty()
            && requests
                .iter()
                .all(|request| header(request.headers.iter(), "x-api-key") == Some(KEY))
    );
}

#[test]
fn its_context_file_is_there_and_nothing_else_of_the_repository() {
    let turns = vec![
        tool("Bash", json!({"command": "find . -type f; cat CLAUDE.md", "description": "list"})),
        say("Over."),
    ];
    let stage = Stage::new(Account::all()[0], turns);
    let shell_on = [
        "--agent-arg=--tools",
        "--agent-arg=default",
        "--agent-arg=--allowedTools",
        "--agent-arg=Bash",
    ];
    stage.run(&shell_on, "List").expect_code(0);
    let seen = stage.last_result();
    assert!(seen.contains("Answer briefly."), "{seen}");
    assert!(!seen.contains("Cargo.toml"), "{seen}");
}

#[test]
fn a_conversation_goes_on_where_it_ended() {
    for account in Account::all() {
        let stage = Stage::new(account, vec![say("I am Ada."), say("You are back.")]);
        stage.run(&[], "Who are you?").expect_code(0);
        let outcome = stage.run(&["--continue"], "And now?").expect_code(0);
        assert!(outcome.stdout.contains("You are back."), "{outcome}");
        let heard = stage.mock.requests().last().map(|last| last.body.to_string()).unwrap();
        assert!(heard.contains("Who are you?") && heard.contains("I am Ada."), "{heard}");
        // The client's own name of the conversation: the file it keeps it in.
        let files = stage.host.of_agents("/.claude/projects/", ".jsonl");
        let id = files[0].file_stem().unwrap().to_string_lossy().into_owned();
        assert_eq!(files.len(), 1, "{files:?}");
        let outcome = stage.run(&["--resume", &id], "Once more?").expect_code(0);
        assert!(outcome.stdout.contains("done"), "{outcome}");
        let heard = stage.mock.requests().last().map(|last| last.body.to_string()).unwrap();
        assert!(heard.contains("And now?") && heard.contains("You are back."), "{heard}");
        let fresh = stage.run(&[], "Who are you?").expect_code(0);
        assert!(fresh.stdout.contains("I am Ada."), "a new task begins anew: {fresh}");
        let unknown = stage.run(&["--resume", "5c0ffee5-0000-4000-8000-000000000000"], "Hm?");
        assert_ne!(unknown.code, Some(0), "{unknown}");
    }
}

#[test]
fn what_of_its_own_setup_is_left_behind_is_named() {
    let stage = Stage::new(Account::all()[0], vec![say("Over.")]);
    let servers =
        |name: &str| format!("{{\"mcpServers\": {{\"{name}\": {{\"command\": \"x\"}}}}}}");
    stage.host.file(".mcp.json", servers("of-the-project"));
    stage.host.put(&stage.host.home(), ".claude.json", servers("of-the-user").as_bytes());
    let outcome = stage.run(&[], "Look").expect_code(0);
    for name in ["of-the-project", "of-the-user"] {
        assert!(outcome.stderr.contains(&format!("MCP server {name} ")), "{outcome}");
    }
}

fn header<'a>(
    mut headers: impl Iterator<Item = (&'a String, &'a String)>,
    name: &str,
) -> Option<&'a str> {
    headers.find(|(known, _)| known.as_str() == name).map(|(_, value)| value.as_str())
}
