//! Real OpenCode, as npm ships it, against a stand-in for the Messages API.
#![expect(clippy::unwrap_used, reason = "a fixture that cannot be set up ends its test")]

use serde_json::{Value, json};
use testkit::anthropic::{Mock, Options, Script, Select, ToolUse, Turn};
use testkit::host::{Account, Host, ISSUE, Outcome, given, programs};

const KEY: &str = "canary-key-5d0a";

struct Stage {
    host: Host,
    mock: Mock,
}

impl Stage {
    fn new(account: Account, turns: Vec<Turn>) -> Self {
        let host = Host::new(&programs(), account)
            .with_rust()
            .with_issue()
            .with_agent("opencode", &given("NUCLEUS_TEST_OPENCODE"));
        let script = Script { turns, select: Select::Conversation };
        let mock = Mock::start(Options { script, key: Some(KEY.to_owned()), ..Options::default() })
            .unwrap();
        Self { host, mock }
    }

    fn run(&self, extra: &[&str], task: &str) -> Outcome {
        let mut command = self.host.command("nucleus");
        command.args(["run", "--profile", "fix-issue", "--allow-local-driver"]);
        command.args(["--agent", "opencode", "--model", "claude-sonnet-5"]);
        command.args(["--model-upstream", &self.mock.origin()]);
        Outcome::of(command.args(extra).arg(task).env("ANTHROPIC_API_KEY", KEY))
    }

    /// The last request of the conversation itself; others ask for a title.
    fn last(&self) -> Value {
        let requests = self.mock.requests();
        let talks = requests.iter().rev().find(|request| request.body.get("tools").is_some());
        talks.map(|request| request.body.clone()).unwrap_or_default()
    }
}

fn tool(name: &str, input: Value) -> Turn {
    Turn { tools: vec![ToolUse { name: name.to_owned(), input }], ..Turn::default() }
}

fn say(text: &str) -> Turn {
    Turn { text: Some(text.to_owned()), ..Turn::default() }
}

#[test]
fn opencode_finishes_a_task_without_any_approval() {
    for account in Account::all() {
        let edit =
            json!({"path": "sub/src/lib.rs", "old_string": "age <= 12", "new_string": "age < 12"});
        let turns = vec![
            tool("nucleus_read", json!({"path": "sub/src/lib.rs"})),
            tool("nucleus_edit", edit),
            tool("nucleus_run", json!({"command": "cd sub && cargo test 2>&1 | tail -5"})),
            say("Fixed."),
        ];
        let stage = Stage::new(account, turns);
        let outcome = stage.run(&[], "Fix the failing test").expect_code(0);
        assert!(outcome.stdout.contains("Fixed."), "{outcome}");
        assert!(stage.host.read("sub/src/lib.rs").unwrap().contains("age < 12"), "{outcome}");
        let heard = stage.last().to_string();
        assert!(heard.contains("test result: ok."), "{heard}");
        assert!(heard.contains("Answer briefly."), "the context file is not read: {heard}");
        assert!(!outcome.stderr.contains("needs approval"), "{outcome}");
        let log = stage.host.logs().pop().unwrap();
        stage.host.verify(&log).expect_code(0);
        assert!(!std::fs::read_to_string(log).unwrap().contains(KEY));
    }
}

#[test]
fn its_own_shell_finds_no_key_and_changes_nothing() {
    const SHELL: &str = "env; cat /proc/*/environ /proc/*/cmdline 2>/dev/null | tr '\\0' '\\n'; \
        grep -rs apiKey /run/nucleus /home/agent/.config; echo owned > sub/src/lib.rs; rm -rf sub; \
        echo made > made.txt; echo the-end";
    for account in Account::all() {
        let input = json!({"command": SHELL, "description": "look around"});
        let stage = Stage::new(account, vec![tool("bash", input), say("Over.")]);
        let outcome = stage.run(&["--agent-arg=--auto"], "Look around").expect_code(0);
        let seen = stage.last()["messages"].to_string();
        assert!(seen.contains("the-end\\n"), "the shell did not run: {seen}");
        assert!(seen.contains("held-outside-this-sandbox"), "the control: {seen}");
        assert!(!seen.contains(KEY), "the key is in the pod: {seen}");
        assert_eq!(stage.host.read("sub/src/lib.rs").as_deref(), Some(ISSUE), "{outcome}");
        assert_eq!(stage.host.read("made.txt"), None);
    }
}

#[test]
fn a_conversation_goes_on_where_it_ended() {
    for account in Account::all() {
        let stage = Stage::new(account, vec![say("I am Ada."), say("You are back.")]);
        stage.run(&[], "Who are you?").expect_code(0);
        let outcome = stage.run(&["--continue"], "And now?").expect_code(0);
        assert!(outcome.stdout.contains("You are back."), "{outcome}");
        let heard = stage.last().to_string();
        assert!(heard.contains("Who are you?") && heard.contains("I am Ada."), "{heard}");
        let unknown = stage.run(&["--resume", "ses_000000000000000000000000"], "Hm?");
        assert_ne!(unknown.code, Some(0), "{unknown}");
    }
}

#[test]
fn servers_of_its_own_are_named() {
    let stage = Stage::new(Account::all()[0], vec![say("Over.")]);
    let servers = |name: &str| {
        format!(
            "{{ // mine\n \"mcp\": {{\"{name}\": {{\"type\": \"local\", \"command\": [\"x\"]}}}}}}"
        )
    };
    stage.host.file("opencode.json", servers("of-the-project"));
    let user = servers("of-the-user");
    stage.host.put(&stage.host.home(), ".config/opencode/opencode.json", user.as_bytes());
    let outcome = stage.run(&[], "Look").expect_code(0);
    for name in ["of-the-project", "of-the-user"] {
        assert!(outcome.stderr.contains(&format!("MCP server {name} ")), "{outcome}");
    }
}
