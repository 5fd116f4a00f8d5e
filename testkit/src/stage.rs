//! A real agent on a host with a repository whose test fails, and a stand-in for its model; and what every agent has to
//! show there.

use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};

use crate::host::{Account, Host, ISSUE, Outcome, Witness, given, leftovers, programs, signal};
use crate::mock::{Api, Mock, Options, Script, Select, ToolUse, Turn};

/// The user's key. Nothing but the stand-in may ever see it.
pub const KEY: &str = "canary-key-5d0a";
/// How long a killed task may take to be gone.
const PATIENCE: Duration = Duration::from_secs(20);
/// Between two keys: programs take what comes at once for a paste.
const TYPING: Duration = Duration::from_millis(700);
/// What a pod holds in its place.
pub const PLACEHOLDER: &str = "held-outside-this-sandbox";

/// A real agent.
#[derive(Debug, Clone, Copy)]
pub struct Agent {
    /// Name, and command in PATH.
    pub name: &'static str,
    /// Variable that names its file.
    pub given: &'static str,
    /// API of its model.
    pub api: Api,
    /// Variable that holds the user's key.
    pub key: &'static str,
    /// What stands before the name of a tool of the door.
    pub prefix: &'static str,
    /// Options of `nucleus run` beside the common ones.
    pub options: &'static [&'static str],
}

/// An agent, its model and a host.
#[derive(Debug)]
pub struct Stage {
    /// The agent.
    pub agent: Agent,
    /// The host, with `sub/src/lib.rs` as [`ISSUE`].
    pub host: Host,
    /// The stand-in.
    pub mock: Mock,
}

impl Stage {
    /// A host of this account, where the model says `turns`.
    ///
    /// # Panics
    /// When it cannot be set up.
    #[must_use]
    pub fn new(agent: Agent, account: Account, turns: Vec<Turn>) -> Self {
        let host = Host::new(&programs(), account)
            .with_rust()
            .with_issue()
            .with_agent(agent.name, &given(agent.given));
        let script = Script { turns, select: Select::Conversation };
        let options = Options { api: agent.api, script, record: None, key: Some(KEY.to_owned()) };
        Self { agent, host, mock: Mock::start(options).expect("a stand-in") }
    }

    /// `nucleus run` with this agent under `fix-issue`.
    pub fn run(&self, extra: &[&str], task: &str) -> Outcome {
        Outcome::of(&mut self.command(&["--profile", "fix-issue"], extra, task))
    }

    /// The command line of the agent under another policy.
    #[must_use]
    pub fn command(&self, policy: &[&str], extra: &[&str], task: &str) -> Command {
        let mut command = self.host.command("nucleus");
        command.args(["run", "--allow-local-driver"]).args(policy);
        command.args(["--agent", self.agent.name, "--model-upstream", &self.mock.origin()]);
        command.args(self.agent.options).args(extra).arg(task);
        command.env(self.agent.key, KEY);
        command
    }

    /// `nucleus claude` and the like.
    #[must_use]
    pub fn interactive(&self) -> Command {
        let mut command = self.host.command("nucleus");
        command.args([self.agent.name, "--profile", "fix-issue", "--allow-local-driver"]);
        command.args(["--model-upstream", &self.mock.origin()]).args(self.agent.options);
        command.env(self.agent.key, KEY);
        command
    }

    /// The last request that offers tools: the conversation itself, not a title or a choice of models.
    #[must_use]
    pub fn last(&self) -> Value {
        let requests = self.mock.requests();
        let talks =
            requests.iter().rev().find(|request| request.body.to_string().contains("\"tools\""));
        talks.map(|request| request.body.clone()).unwrap_or_default()
    }
}

/// A turn that calls a tool of the agent's own name.
#[must_use]
pub fn tool(name: &str, input: Value) -> Turn {
    Turn { tools: vec![ToolUse { name: name.to_owned(), input }], ..Turn::default() }
}

/// A turn of words.
#[must_use]
pub fn say(text: &str) -> Turn {
    Turn { text: Some(text.to_owned()), ..Turn::default() }
}

/// Reads, edits, runs the tests through a pipe and ends, and nobody was asked anything.
///
/// # Panics
/// When it does not.
pub fn finishes_a_task(agent: Agent, account: Account) {
    let door = |name: &str, input: Value| tool(&format!("{}{name}", agent.prefix), input);
    let edit =
        json!({"path": "sub/src/lib.rs", "old_string": "age <= 12", "new_string": "age < 12"});
    let turns = vec![
        door("read", json!({"path": "sub/src/lib.rs"})),
        door("edit", edit),
        door("run", json!({"command": "cd sub && cargo test 2>&1 | tail -5"})),
        say("Fixed."),
    ];
    let stage = Stage::new(agent, account, turns);
    let outcome = stage.run(&[], "Fix the failing test").expect_code(0);
    assert!(outcome.stdout.contains("Fixed."), "{outcome}");
    let fixed = stage.host.read("sub/src/lib.rs").expect("the library");
    assert!(fixed.contains("age < 12"), "{outcome}");
    let heard = stage.last().to_string();
    assert!(heard.contains("test result: ok."), "{heard}");
    assert!(heard.contains("Answer briefly."), "the context file is not read: {heard}");
    assert!(!outcome.stderr.contains("needs approval"), "{outcome}");
    let log = stage.host.logs().pop().expect("a log");
    stage.host.verify(&log).expect_code(0);
    assert!(!std::fs::read_to_string(log).expect("a log").contains(KEY));
    // The stand-in answers only to the right key, so the gate did put it in.
    let requests = stage.mock.requests();
    assert!(requests.iter().all(|request| request.key() == Some(KEY)), "{outcome}");
}

/// The agent's own shell, switched on on purpose, finds no key and changes nothing: that is the pod's doing, not a
/// flag's. `call` makes the turn that runs a command line.
///
/// # Panics
/// When it finds or changes something.
pub fn looks_around(agent: Agent, account: Account, call: fn(&str) -> Turn, switches: &[&str]) {
    const SHELL: &str = "env; cat /proc/*/environ /proc/*/cmdline 2>/dev/null | tr '\\0' '\\n'; \
        grep -rsh held-outside /run/nucleus ~/.config ~/.codex ~/.gemini ~/.claude.json; \
        find / -xdev -newer /proc/1 -type f -size -64k -exec cat {} + 2>/dev/null | strings; \
        echo owned > sub/src/lib.rs; find sub -delete; mv ../work ../gone; echo made > made.txt; printf 'the-%d-end' 42";
    let stage = Stage::new(agent, account, vec![call(SHELL), say("Over.")]);
    let outcome = stage.run(switches, "Look around").expect_code(0);
    let seen = stage.last().to_string();
    assert!(seen.contains("the-42-end"), "the shell did not run: {outcome}\n{seen}");
    assert!(seen.contains(PLACEHOLDER), "the placeholder is the control: {seen}");
    assert!(!seen.contains(KEY), "the key is in the pod: {seen}");
    assert_eq!(stage.host.read("sub/src/lib.rs").as_deref(), Some(ISSUE), "{outcome}");
    assert_eq!(stage.host.read("made.txt"), None, "{outcome}");
    assert!(outcome.stderr.contains("none changed"), "{outcome}");
}

/// Somebody works with it in its own terminal interface: types a task, sees it done, makes the window smaller, leaves;
/// the terminal is as it was. `ready` shows that it can be typed at, `leave` is typed to end it.
///
/// # Panics
/// When it is not so.
pub fn is_worked_with(agent: Agent, account: Account, ready: &str, leave: &[&str]) {
    let door = |name: &str, input: Value| tool(&format!("{}{name}", agent.prefix), input);
    let edit =
        json!({"path": "sub/src/lib.rs", "old_string": "age <= 12", "new_string": "age < 12"});
    let turns = vec![
        door("read", json!({"path": "sub/src/lib.rs"})),
        door("edit", edit),
        say("The comparison is mended."),
    ];
    let stage = Stage::new(agent, account, turns);
    let mut terminal = stage.host.at_full_terminal(&stage.interactive());
    let before = terminal.settings();
    terminal.wait_for("Ctrl-] calls up Nucleus itself");
    terminal.wait_for(ready);
    terminal.enter("Mend the failing test");
    terminal.wait_for("Mend the failing test");
    terminal.enter("\r");
    terminal.wait_for("The comparison is mended.");
    let drawn = terminal.screen().len();
    terminal.resize(24, 70);
    terminal.wait_for("Mend the failing test");
    assert!(terminal.screen().len() > drawn, "it does not know its new size");
    for keys in leave {
        terminal.enter(keys);
        std::thread::sleep(TYPING);
    }
    terminal.wait_for("log verified");
    let after = terminal.settings();
    let outcome = terminal.outcome();
    assert_eq!(after, before, "{outcome}");
    let fixed = stage.host.read("sub/src/lib.rs").expect("the library");
    assert!(fixed.contains("age < 12"), "{outcome}");
    let requests = stage.mock.requests();
    assert!(requests.iter().all(|request| request.key() == Some(KEY)), "{outcome}");
    let left = leftovers(stage.host.place(), PATIENCE);
    assert!(left.is_empty(), "{left:?}");
}

/// `nucleus` killed while somebody works with it: nothing runs on, and the terminal can be used.
///
/// # Panics
/// When it cannot.
pub fn is_killed_at_work(agent: Agent, account: Account, ready: &str) {
    let stage = Stage::new(agent, account, vec![say("Over.")]);
    let mut terminal = stage.host.at_full_terminal(&within_shell(&stage.interactive()));
    let before = terminal.settings();
    terminal.wait_for("Ctrl-] calls up Nucleus itself");
    terminal.wait_for(ready);
    let witness = Witness::of(terminal.pid());
    signal(witness.named("nucleus").expect("nucleus"), rustix::process::Signal::KILL);
    terminal.wait_for("back-137");
    terminal.comes_back_to(&before);
    terminal.enter("\n");
    terminal.wait_for("over");
    let outcome = terminal.outcome();
    let left = leftovers(stage.host.place(), PATIENCE);
    assert!(left.is_empty(), "{left:?}: {outcome}");
}

/// `command` within a shell that stays when it ends, as a user has one: it says `back-CODE` and waits for a line.
///
/// # Panics
/// When the command has no directory.
#[must_use]
pub fn within_shell(command: &Command) -> Command {
    let mut shell = Command::new("sh");
    shell.args(["-c", "\"$@\"; echo back-$?; read line; echo over", "sh"]);
    shell.arg(command.get_program()).args(command.get_args());
    shell.env_clear().envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    shell.current_dir(command.get_current_dir().expect("a directory"));
    shell
}

/// A conversation goes on where it ended, and only when asked to. `id` is the agent's own name of the only one.
///
/// # Panics
/// When it does not.
pub fn goes_on(agent: Agent, account: Account, id: fn(&Host, &Outcome) -> String) {
    let stage = Stage::new(agent, account, vec![say("I am Ada."), say("You are back.")]);
    let first = stage.run(&[], "Who are you?").expect_code(0);
    let id = id(&stage.host, &first);
    let outcome = stage.run(&["--continue"], "And now?").expect_code(0);
    assert!(outcome.stdout.contains("You are back."), "{outcome}");
    let heard = stage.last().to_string();
    assert!(heard.contains("Who are you?") && heard.contains("I am Ada."), "{heard}");
    let outcome = stage.run(&["--resume", &id], "Once more?").expect_code(0);
    let heard = stage.last().to_string();
    assert!(heard.contains("And now?") && heard.contains("You are back."), "{outcome}\n{heard}");
    let fresh = stage.run(&[], "Who are you?").expect_code(0);
    assert!(fresh.stdout.contains("I am Ada."), "a new task begins anew: {fresh}");
    let unknown = stage.run(&["--resume", "5c0ffee5-0000-4000-8000-000000000000"], "Hm?");
    assert_ne!(unknown.code, Some(0), "{unknown}");
}

/// MCP servers of the agent's own setup are named. `files` are those of the project and of the user, by path, each with a
/// server `of-the-project` or `of-the-user` in it.
///
/// # Panics
/// When one is not.
pub fn names_servers(agent: Agent, project: (&str, &str), user: (&str, &str)) {
    let stage = Stage::new(agent, Account::all().remove(0), vec![say("Over.")]);
    stage.host.file(project.0, project.1);
    stage.host.put(&stage.host.home(), user.0, user.1.as_bytes());
    let outcome = stage.run(&[], "Look").expect_code(0);
    for name in ["of-the-project", "of-the-user"] {
        assert!(outcome.stderr.contains(&format!("MCP server {name} ")), "{outcome}");
    }
}
