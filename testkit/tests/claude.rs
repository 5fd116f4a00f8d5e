//! Real Claude Code, as npm ships it, against a stand-in for the Messages API.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a fixture that cannot be set up ends its test"
)]

use std::os::unix::fs::symlink;

use serde_json::{Value, json};
use testkit::anthropic::{Mock, Options, Script, Select, ToolUse, Turn};
use testkit::host::{Account, Host, Outcome, given, programs};

const KEY: &str = "canary-key-5d0a";
const BUG: &str = include_str!("../../xtask/demo/repo/src/lib.rs");
const MANIFEST: &str = include_str!("../../xtask/demo/repo/Cargo.toml");

/// Claude Code and a stand-in that says `turns`, on a host with a repository whose test fails.
struct Stage {
    host: Host,
    mock: Mock,
    path: String,
}

impl Stage {
    fn new(turns: Vec<Turn>) -> Self {
        let bins = programs();
        let claude = given("NUCLEUS_TEST_CLAUDE");
        // Cargo must be readable for whoever runs the task, and the toolchain of root's tests is root's.
        let account = Account::all()[0];
        let host = Host::new(&bins, account).with_rust();
        host.file("sub/Cargo.toml", MANIFEST);
        host.file("sub/src/lib.rs", BUG);
        host.file("CLAUDE.md", "Answer briefly.\n");
        let links = host.place().join("links");
        std::fs::create_dir(&links).unwrap();
        symlink(&claude, links.join("claude")).unwrap();
        let path = format!("{}:{}", links.display(), std::env::var("PATH").unwrap());
        let script = Script { turns, select: Select::Conversation };
        let mock =
            Mock::start(Options { script, record: None, key: Some(KEY.to_owned()) }).unwrap();
        Self { host, mock, path }
    }

    fn run(&self, extra: &[&str], task: &str) -> Outcome {
        let mut command = self.host.command("nucleus");
        command.args([
            "run",
            "--profile",
            "fix-issue",
            "--allow-local-driver",
            "--agent",
            "claude",
        ]);
        command.args(["--model-upstream", &self.mock.origin()]).args(extra).arg(task);
        command.env("PATH", &self.path).env("ANTHROPIC_API_KEY", KEY);
        Outcome::of(&mut command)
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
    let turns = vec![
        tool("mcp__nucleus__read", json!({"path": "sub/src/lib.rs"})),
        tool(
            "mcp__nucleus__edit",
            json!({"path": "sub/src/lib.rs", "old_string": "age <= 12", "new_string": "age < 12"}),
        ),
        tool("mcp__nucleus__run", json!({"command": "cd sub && cargo test 2>&1 | tail -5"})),
        say("Fixed."),
    ];
    let stage = Stage::new(turns);
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
    // The shell is switched on on purpose: what it cannot do is the pod's doing, not a flag's.
    const SHELL: &str = "env; cat /proc/*/environ /proc/*/cmdline 2>/dev/null | tr '\\0' '\\n'; \
        cat ~/.claude.json 2>/dev/null; find / -xdev -newer /proc/1 -type f -size -64k -exec cat {} + 2>/dev/null | strings; \
        echo owned > sub/src/lib.rs; rm -rf sub; mv ../work ../gone; echo made > made.txt; echo the-end";
    let turns =
        vec![tool("Bash", json!({"command": SHELL, "description": "look around"})), say("Over.")];
    let stage = Stage::new(turns);
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
    assert_eq!(stage.host.read("sub/src/lib.rs").as_deref(), Some(BUG), "{outcome}");
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
    let stage = Stage::new(turns);
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

fn header<'a>(
    mut headers: impl Iterator<Item = (&'a String, &'a String)>,
    name: &str,
) -> Option<&'a str> {
    headers.find(|(known, _)| known.as_str() == name).map(|(_, value)| value.as_str())
}
